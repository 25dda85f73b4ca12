// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a pass of kccd does in which order, and what ends it: grace periods, a shrinker
 * that kccd itself has called, reclaim, a reboot, and nodes without memory.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/notifier.h>
#include <linux/shrinker.h>

#include "defects_test.h"

/* Who has seen kccd awake is done with what it does, when kccd goes to sleep. */
static void pass_last_tick(struct kunit *test)
{
	start(test, SZ_128M, SZ_8M, 0);
	live(60 * HZ);
	KUNIT_ASSERT_TRUE(test, asleep());
	count_grace_periods(test);
	cc_kccd_kick(CC_KICK_TICK);
	live(60 * HZ);
	KUNIT_EXPECT_TRUE(test, asleep());
	kunit_deactivate_static_stub(test, cc_grace_period);
	KUNIT_EXPECT_EQ(test, graces.nr, 1);
}

/* What is asked for is shared before a tick waits for anybody. */
static void pass_asked_first(struct kunit *test)
{
	start(test, SZ_128M, SZ_8M, 0);
	live(60 * HZ);
	/* The next tick is the last one, unless something happens. */
	cc_test_tick();
	KUNIT_ASSERT_EQ(test, cc_kccd_pass(cc_test_now), CC_TICK);
	KUNIT_ASSERT_TRUE(test, cc_reserve_take(LARGEST, 0, LONG_MAX));
	cc_kccd_ask(CC_ASK_RESERVE);
	count_grace_periods(test);
	cc_test_now += CC_TICK;
	cc_kccd_pass(cc_test_now);
	KUNIT_EXPECT_FALSE(test, graces.lacking);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
	kunit_deactivate_static_stub(test, cc_grace_period);
}

static unsigned long (*count_objects)(struct shrinker *s, struct shrink_control *sc);
static unsigned long counted_inside;
static unsigned int inside;

/* As reclaim would, on behalf of an allocation of kccd. */
static void count_inside(unsigned int order, bool try_hard, int nid)
{
	struct shrink_control sc = {};

	if (current != cc_fake_thread)
		return;
	counted_inside = min(counted_inside, count_objects(NULL, &sc));
	inside++;
}

/* What kccd allocates does not make it return what it has. */
static void pass_own_allocation(struct kunit *test)
{
	unsigned long limit = jiffies + 20 * HZ;
	struct shrink_control sc = {};
	struct cc_options opts;

	count_objects = cc_test_symbol(test, "shrinker_count");
	cc_test_options(&opts);
	opts.reserve = SZ_4M;
	memset(opts.mark, 0, sizeof(opts.mark));
	inside = 0;
	counted_inside = ULONG_MAX;
	kunit_activate_static_stub(test, cc_kccd_run, cc_fake_run);
	cc_test_start_with(test, &opts, true);
	mutex_lock(&cc_swiotlb.mutex);
	/* More than is kept, so that there is something to return. */
	KUNIT_EXPECT_EQ(test, 0, cc_block_grow(SZ_2M, CC_BLOCK_SHIFT, NUMA_NO_NODE));
	cc_swiotlb.target = SZ_16M;
	cc_fake.allocating = count_inside;
	KUNIT_EXPECT_NE(test, count_objects(NULL, &sc), SHRINK_EMPTY);
	mutex_unlock(&cc_swiotlb.mutex);
	cc_kccd_ask(CC_ASK_ALL);
	while (!READ_ONCE(inside) && time_before(jiffies, limit))
		schedule_timeout_uninterruptible(1);
	mutex_lock(&cc_swiotlb.mutex);
	cc_fake.allocating = NULL;
	mutex_unlock(&cc_swiotlb.mutex);
	KUNIT_EXPECT_GT(test, inside, 0);
	KUNIT_EXPECT_EQ(test, counted_inside, SHRINK_EMPTY);
}

static struct completion locked;
static bool converted;

/* A pass that is still converting. */
static int convert_slowly(void *unused)
{
	mutex_lock(&cc_swiotlb.mutex);
	complete(&locked);
	msleep(100);
	WRITE_ONCE(converted, true);
	mutex_unlock(&cc_swiotlb.mutex);
	return 0;
}

/* A reboot goes on when the pass is over that is under way, and no other one begins. */
static void pass_reboot_waits(struct kunit *test)
{
	int (*reboot)(struct notifier_block *nb, unsigned long action, void *data) =
		cc_test_symbol(test, "kccd_reboot");
	struct task_struct *task;

	start(test, SZ_128M, SZ_8M, 0);
	init_completion(&locked);
	converted = false;
	task = kthread_create(convert_slowly, NULL, "cc-slow");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	get_task_struct(task);
	wake_up_process(task);
	wait_for_completion(&locked);
	KUNIT_EXPECT_EQ(test, NOTIFY_DONE, reboot(NULL, 0, NULL));
	KUNIT_EXPECT_TRUE(test, READ_ONCE(converted));
	kthread_stop_put(task);
	KUNIT_EXPECT_TRUE(test, asleep());
	cc_swiotlb.stopping = false;
}

/* What was taken of a larger target is no reason to raise the one that reclaim has lowered. */
static void pass_reclaim_target(struct kunit *test)
{
	start(test, SZ_128M, SZ_8M, 0);
	live(60 * HZ);
	mutex_lock(&cc_swiotlb.mutex);
	cc_swiotlb.target = SZ_16M;
	mutex_unlock(&cc_swiotlb.mutex);
	cc_fake_fail(CC_FAKE_MEMORY, 0, UINT_MAX);
	cc_test_log_begin(test);
	KUNIT_ASSERT_EQ(test, take(test, SZ_4M / SZ_512K + 2, SZ_512K), SZ_4M / SZ_512K + 2);
	cc_kccd_reclaim();
	cc_kccd_pass(cc_test_now);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.target, SZ_8M);
}

/* Nor does a reboot wait until all nodes have their shares. */
static void pass_reboot_in_balance(struct kunit *test)
{
	unsigned int before;

	cc_fake_nodes(test, 2);
	start(test, SZ_128M, SZ_16M, 0);
	live(60 * HZ);
	cc_reserve_use(1);
	KUNIT_ASSERT_GT(test, cc_reserve_share(), cc_swiotlb.node[1].bytes + SZ_4M);
	before = cc_fake.calls[CC_FAKE_SHARE];
	cc_fake.converted = reboot_now;
	cc_kccd_ask(CC_ASK_SHARE);
	cc_kccd_pass(cc_test_now);
	cc_fake.converted = NULL;
	cc_swiotlb.stopping = false;
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_SHARE], before + 1);
}

/* That a node has no memory is no failure, and it is not asked for that at once again. */
static void pass_empty_node(struct kunit *test)
{
	cc_fake_nodes(test, 2);
	start(test, SZ_128M, SZ_8M, 0);
	live(60 * HZ);
	cc_fake.no_memory = BIT(1);
	cc_reserve_use(1);
	cc_kccd_ask(CC_ASK_SHARE);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
	cc_kccd_pass(cc_test_now);
	KUNIT_ASSERT_TRUE(test, cc_swiotlb.node[1].no_memory);
	KUNIT_EXPECT_EQ(test, cc_grow_backoff(cc_test_now), 0);
	KUNIT_EXPECT_EQ(test, cc_kccd_stats.grow_failed, 0);
	cc_kccd_ask(CC_ASK_SHARE);
	KUNIT_EXPECT_FALSE(test, cc_kccd_pending(cc_test_now));
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now + CC_BACKOFF_MIN));
}

static struct kunit_case pass_cases[] = {
	KUNIT_CASE(pass_last_tick),
	KUNIT_CASE(pass_asked_first),
	KUNIT_CASE(pass_own_allocation),
	KUNIT_CASE(pass_reboot_waits),
	KUNIT_CASE(pass_reclaim_target),
	KUNIT_CASE(pass_reboot_in_balance),
	KUNIT_CASE(pass_empty_node),
	{}
};

static struct kunit_suite pass_suite = {
	.name = "cc_swiotlb_pass",
	.init = defects_init,
	.exit = defects_exit,
	.test_cases = pass_cases,
};

kunit_test_suite(pass_suite);

MODULE_DESCRIPTION("Tests of the passes of kccd");
MODULE_LICENSE("GPL");
