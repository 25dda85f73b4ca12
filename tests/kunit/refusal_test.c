// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit: what a host that does not take some memory back, or has lost some, does to the
 * rest, and to the time when it works again.
 */
#include <linux/gfp.h>
#include <linux/sizes.h>

#include "defects_test.h"

/* Share by slots of 512 KiB, which the test holds. */
static void grow_to(struct kunit *test, unsigned long bytes)
{
	while (cc_swiotlb.shared < bytes) {
		KUNIT_ASSERT_GT(test, take(test, 1, SZ_512K), 0);
		live(1);
	}
}

/* Add so many blocks of 64 KiB. Returns the oldest of them. */
static struct cc_block *grow_small(struct kunit *test, unsigned int nr)
{
	struct cc_block *block = NULL;
	int err = 0;

	mutex_lock(&cc_swiotlb.mutex);
	while (nr-- && !err) {
		err = cc_block_grow(SZ_64K, CC_FRAME_SHIFT, NUMA_NO_NODE);
		if (!block)
			block = list_last_entry(&cc_swiotlb.blocks, struct cc_block, node);
	}
	mutex_unlock(&cc_swiotlb.mutex);
	KUNIT_ASSERT_EQ(test, err, 0);
	return block;
}

static unsigned int nr_small(void)
{
	struct cc_block *block;
	unsigned int nr = 0;

	list_for_each_entry(block, &cc_swiotlb.blocks, node)
		nr += block->shift < CC_BLOCK_SHIFT;
	return nr;
}

static void live_quietly(struct kunit *test, unsigned long span)
{
	cc_test_log_begin(test);
	live(span);
	cc_test_log_end(test);
}

/* A small block that the host refuses is in the way of no other one, small or large. */
static void refusal_small(struct kunit *test)
{
	start(test, SZ_128M, SZ_4M, 0);
	cc_fake.refused = grow_small(test, 8)->page;
	grow_to(test, SZ_64M);
	give(test, MANY);
	live_quietly(test, 120 * HZ);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, SZ_4M + SZ_2M);
	KUNIT_EXPECT_EQ(test, nr_small(), 1);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.quarantined, 0);
	cc_test_check(test);
}

/* What a host refuses for a while is in the way of nothing, either, when it recovers. */
static void refusal_most(struct kunit *test)
{
	struct page *page;

	start(test, SZ_128M, SZ_4M, 0);
	page = grow_small(test, 4)->page;
	grow_to(test, SZ_64M);
	give(test, MANY);
	cc_fake_fail(CC_FAKE_UNSHARE, 0, UINT_MAX);
	live_quietly(test, 600 * HZ);
	cc_fake_fail(CC_FAKE_UNSHARE, 0, 0);
	cc_fake.refused = page;
	live_quietly(test, 120 * HZ);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, SZ_4M + SZ_2M);
	KUNIT_EXPECT_LE(test, nr_small(), 1);
	cc_test_check(test);
}

/* What is returned is tried from the youngest on; a failure leaves the others in order. */
static void refusal_order(struct kunit *test)
{
	struct cc_block *block, *young = NULL, *old;
	unsigned long number = 0;

	start(test, SZ_128M, SZ_32M, 0);
	old = list_first_entry(&cc_swiotlb.blocks, struct cc_block, node);
	cc_fake.refused = list_prev_entry(list_last_entry(&cc_swiotlb.blocks, struct cc_block,
							  node), node)->page;
	mutex_lock(&cc_swiotlb.mutex);
	cc_test_log_begin(test);
	KUNIT_EXPECT_EQ(test, cc_block_shrink(0, SZ_16M), SZ_2M);
	cc_test_log_end(test);
	/* The refused one stands first, as if it were the oldest. */
	list_for_each_entry(block, &cc_swiotlb.blocks, node) {
		if (!number++)
			KUNIT_EXPECT_PTR_EQ(test, block->page, cc_fake.refused);
		else if (number == 2)
			KUNIT_EXPECT_PTR_EQ(test, block, old);
		young = block;
	}
	KUNIT_EXPECT_EQ(test, cc_block_shrink(0, SZ_2M), SZ_2M);
	list_for_each_entry(block, &cc_swiotlb.blocks, node)
		KUNIT_EXPECT_PTR_NE(test, block, young);
	mutex_unlock(&cc_swiotlb.mutex);
}

/* When the last of the surplus has gone, kccd listens again. */
static void refusal_ends(struct kunit *test)
{
	unsigned long sleep;

	start(test, SZ_128M, SZ_4M, 0);
	for (unsigned long bytes = SZ_4M + SZ_2M; bytes <= SZ_16M; bytes += SZ_2M) {
		grow_to(test, bytes);
		give(test, MANY);
		cc_fake_fail(CC_FAKE_UNSHARE, 0, UINT_MAX);
		live_quietly(test, 60 * HZ);
		cc_fake_fail(CC_FAKE_UNSHARE, 0, 0);
		for (unsigned int i = 0; i < 1000; i++) {
			sleep = cc_kccd_pass(cc_test_now);
			if (sleep == MAX_SCHEDULE_TIMEOUT)
				break;
			cc_test_now += sleep;
		}
		KUNIT_EXPECT_EQ(test, sleep, MAX_SCHEDULE_TIMEOUT);
		cc_kccd_kick(CC_KICK_TICK);
		KUNIT_EXPECT_TRUE_MSG(test, cc_kccd_pending(cc_test_now), "%lu bytes", bytes);
		live_quietly(test, 20 * HZ);
	}
}

static bool lossy_after(struct kunit *test, enum cc_fake_call call, unsigned int nr)
{
	int err;

	cc_fake_fail(call, 0, nr);
	mutex_lock(&cc_swiotlb.mutex);
	err = cc_block_grow(SZ_2M, CC_FRAME_SHIFT, NUMA_NO_NODE);
	mutex_unlock(&cc_swiotlb.mutex);
	KUNIT_EXPECT_EQ(test, !!err, call == CC_FAKE_SHARE && nr);
	return cc_swiotlb.node[0].lossy;
}

/* After a loss little is risked, until memory has been shared. */
static void refusal_lossy(struct kunit *test)
{
	start(test, SZ_128M, SZ_4M, 0);
	cc_test_log_begin(test);
	cc_fake_fail(CC_FAKE_UNSHARE, 0, 1);
	KUNIT_EXPECT_TRUE(test, lossy_after(test, CC_FAKE_SHARE, 1));
	KUNIT_EXPECT_EQ(test, cc_swiotlb.quarantined, SZ_2M);
	/* That it was made private again does not say that it can be shared. */
	KUNIT_EXPECT_TRUE(test, lossy_after(test, CC_FAKE_SHARE, 1));
	KUNIT_EXPECT_FALSE(test, lossy_after(test, CC_FAKE_SHARE, 0));

	/* A loss when memory is returned. That another return works says nothing of it. */
	for (unsigned int lost = 2; lost--; ) {
		cc_fake_fail(CC_FAKE_UNSHARE, 0, lost);
		cc_fake_fail(CC_FAKE_SHARE, 0, lost);
		mutex_lock(&cc_swiotlb.mutex);
		KUNIT_EXPECT_EQ(test, cc_block_shrink(0, SZ_2M), lost ? 0 : SZ_2M);
		mutex_unlock(&cc_swiotlb.mutex);
		KUNIT_EXPECT_TRUE(test, cc_swiotlb.node[0].lossy);
	}
	KUNIT_EXPECT_FALSE(test, lossy_after(test, CC_FAKE_SHARE, 0));
	cc_test_log_end(test);
}

/* What was lost is not counted as returned, and no room for more. */
static void refusal_counts(struct kunit *test)
{
	start(test, SZ_32M, SZ_4M, 0);
	grow_to(test, SZ_32M);
	give(test, MANY);
	cc_fake_fail(CC_FAKE_UNSHARE, 2, 1);
	cc_fake_fail(CC_FAKE_SHARE, 0, 1);
	live_quietly(test, 30 * HZ);
	KUNIT_ASSERT_EQ(test, cc_swiotlb.quarantined, SZ_2M);
	KUNIT_EXPECT_EQ(test, cc_kccd_stats.grown - cc_kccd_stats.returned,
			cc_swiotlb.shared + cc_swiotlb.quarantined);
}

/* What is lost is not to be returned any more: nothing else goes in its place. */
static void refusal_surplus(struct kunit *test)
{
	unsigned long shared;

	start(test, SZ_128M, SZ_4M, 0);
	grow_to(test, SZ_4M + SZ_2M);
	give(test, MANY);
	cc_fake_fail(CC_FAKE_UNSHARE, 0, 1);
	cc_fake_fail(CC_FAKE_SHARE, 0, 1);
	for (unsigned long i = 0; i < 60 * HZ && !cc_swiotlb.quarantined; i++)
		live_quietly(test, 1);
	KUNIT_ASSERT_EQ(test, cc_swiotlb.quarantined, SZ_2M);
	grow_small(test, 1);
	shared = cc_swiotlb.shared;
	live(2 * CC_BACKOFF_MIN);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, shared);
}

/* What a return leaves is the least that there has been. */
static void refusal_low_water(struct kunit *test)
{
	start(test, SZ_128M, SZ_16M, 0);
	mutex_lock(&cc_swiotlb.mutex);
	KUNIT_EXPECT_EQ(test, cc_block_shrink(0, SZ_8M), SZ_8M);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.reserve_low, cc_swiotlb.reserve_bytes);
	mutex_unlock(&cc_swiotlb.mutex);
}

/* What was risked first, and worked, ends the wait for as little. */
static void refusal_probe(struct kunit *test)
{
	start(test, SZ_128M, SZ_4M, 0);
	KUNIT_ASSERT_GT(test, take(test, 4, SZ_512K), 0);
	cc_fake_fail(CC_FAKE_SHARE, 0, 1);
	cc_test_log_begin(test);
	cc_kccd_pass(cc_test_now);
	KUNIT_ASSERT_GT(test, cc_grow_backoff(cc_test_now), 0);
	cc_test_set_lossy(true);
	cc_fake.max_order = CC_FRAME_SHIFT - PAGE_SHIFT;
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set_mark(LARGEST, 16));
	cc_kccd_pass(cc_test_now);
	cc_kccd_pass(cc_test_now);
	cc_test_log_end(test);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
}

/* The part of a node that could not be shared is tried again, whatever happens meanwhile. */
static void refusal_node(struct kunit *test)
{
	cc_fake_nodes(test, 2);
	start(test, SZ_128M, SZ_8M, 0);
	live(60 * HZ);
	cc_fake_fail(CC_FAKE_SHARE, 0, UINT_MAX);
	cc_reserve_use(1);
	cc_kccd_ask(CC_ASK_SHARE);
	for (int i = 0; i < 200 && cc_grow_backoff(cc_test_now) < 4 * HZ; i++)
		live_quietly(test, HZ / 10);
	KUNIT_EXPECT_GE(test, cc_grow_backoff(cc_test_now), 4 * HZ);
	cc_fake_fail(CC_FAKE_SHARE, 0, 0);
	/* Another pass grows, and its ticks end, before it is the node's turn. */
	cc_kccd_ask(CC_ASK_RESERVE);
	live_quietly(test, CC_BACKOFF_MAX);
	KUNIT_EXPECT_GE(test, cc_swiotlb.node[1].bytes, cc_reserve_share());
	/* What the reserve has too much then goes back. */
	live_quietly(test, 60 * HZ);
	KUNIT_EXPECT_LT(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target + SZ_2M);
	KUNIT_EXPECT_TRUE(test, asleep());
}

/* Two nodes, one of which the host shares nothing of from here on. */
static void start_on_two(struct kunit *test, unsigned int bad)
{
	cc_fake_nodes(test, 2);
	start(test, SZ_1G, SZ_8M, 0);
	live(60 * HZ);
	cc_fake.unsharable = BIT(bad);
	cc_reserve_use(1);
	cc_kccd_ask(CC_ASK_SHARE);
}

/* The page allocator, if it may choose, gives memory of the first one. */
static const unsigned int node_params[] = { 0, 1 };

static void node_desc(const unsigned int *nid, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "node %u", *nid);
}

KUNIT_ARRAY_PARAM(node, node_params, node_desc);

/* Where nothing can be shared of one node, the others have what is needed. */
static void refusal_one_node(struct kunit *test)
{
	start_on_two(test, *(const unsigned int *)test->param_value);
	live_quietly(test, HZ / 10);
	for (int i = 0; i < 200 && cc_grow_backoff(cc_test_now) < 4 * HZ; i++)
		live_quietly(test, HZ / 10);
	cc_kccd_kick(CC_KICK_TICK);
	live_quietly(test, 2 * HZ);
	cc_test_now += cc_grow_backoff(cc_test_now);
	KUNIT_ASSERT_EQ(test, take(test, 8, SZ_512K), 8);
	live_quietly(test, HZ);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);

	/* It is tried as often as its backoff allows, whatever the others do. */
	cc_fake.calls[CC_FAKE_SHARE] = 0;
	cc_convert_stats.failed[true] = 0;
	for (int i = 0; i < 60; i++) {
		KUNIT_EXPECT_EQ(test, take(test, 4, SZ_512K), 4);
		live_quietly(test, HZ);
		KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
	}
	KUNIT_EXPECT_GE(test, cc_convert_stats.failed[true], 5);
	KUNIT_EXPECT_LE(test, cc_convert_stats.failed[true], 20);
	cc_test_check(test);
}

/* If it loses what it refuses, as little is risked, though the others grow. */
static void refusal_lost_node(struct kunit *test)
{
	start_on_two(test, *(const unsigned int *)test->param_value);
	cc_fake_fail(CC_FAKE_UNSHARE, 0, UINT_MAX);
	for (int i = 0; i < 60; i++) {
		KUNIT_EXPECT_EQ(test, take(test, 4, SZ_512K), 4);
		live_quietly(test, HZ);
	}
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
	KUNIT_EXPECT_LE(test, cc_swiotlb.quarantined, SZ_4M);
	cc_fake_fail(CC_FAKE_UNSHARE, 0, 0);
}

/* Nor is more risked where the page allocator chooses the node. */
static void refusal_lost_anywhere(struct kunit *test)
{
	cc_fake_nodes(test, 2);
	start(test, SZ_128M, SZ_4M, 0);
	cc_swiotlb.node[0].lossy = true;
	cc_fake_fail(CC_FAKE_SHARE, 0, UINT_MAX);
	cc_fake_fail(CC_FAKE_UNSHARE, 0, UINT_MAX);
	cc_test_log_begin(test);
	mutex_lock(&cc_swiotlb.mutex);
	KUNIT_EXPECT_EQ(test, cc_block_grow(SZ_2M, CC_CHUNK_SHIFT, NUMA_NO_NODE), -EIO);
	mutex_unlock(&cc_swiotlb.mutex);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.quarantined, SZ_64K);
	cc_fake_fail(CC_FAKE_UNSHARE, 0, 0);
}

/* Nor does the next node wait for it. */
static void refusal_next_node(struct kunit *test)
{
	cc_fake_nodes(test, 3);
	start(test, SZ_128M, SZ_8M + SZ_1M, 0);
	cc_fake.unsharable = BIT(1);
	cc_reserve_use(1);
	cc_reserve_use(2);
	cc_kccd_ask(CC_ASK_SHARE);
	live_quietly(test, 2 * HZ);
	KUNIT_EXPECT_GE(test, cc_swiotlb.node[2].bytes, cc_reserve_share());
	KUNIT_EXPECT_EQ(test, cc_swiotlb.node[1].bytes, 0);
}

/* A node that has no large piece is asked for small ones. */
static void refusal_small_node(struct kunit *test)
{
	cc_fake_nodes(test, 2);
	cc_fake.max_order = CC_FRAME_SHIFT - PAGE_SHIFT;
	start(test, SZ_128M, SZ_8M, 0);
	cc_reserve_use(1);
	cc_kccd_ask(CC_ASK_SHARE);
	live_quietly(test, 60 * HZ);
	/* All of node 1, so that it is the one that is asked. */
	while (cc_reserve_take(&cc_classes[0], 1, LONG_MAX))
		;
	LARGEST->starved = true;
	cc_kccd_ask(CC_ASK_ALL);
	cc_test_log_begin(test);
	cc_kccd_pass(cc_test_now);
	cc_test_log_end(test);
	KUNIT_EXPECT_GE(test, cc_swiotlb.node[1].bytes, cc_reserve_share());
}

/* Blocks that cannot be shared are not what is tried again. */
static void refusal_unshared(struct kunit *test)
{
	start(test, SZ_128M, SZ_4M, 0);
	cc_fake.gives_last = true;
	grow_to(test, SZ_16M);
	give(test, MANY);
	live(60 * HZ);
	cc_fake.nr_unshared = 0;
	cc_fake.refuses_next = ARRAY_SIZE(cc_fake.unshared);
	KUNIT_ASSERT_NOT_NULL(test, cc_fake.last);
	KUNIT_ASSERT_EQ(test, take(test, 6, SZ_512K), 6);
	live_quietly(test, HZ);
	KUNIT_EXPECT_EQ(test, cc_fake.refuses_next, 0);
	KUNIT_EXPECT_EQ(test, cc_convert_stats.failed[true], ARRAY_SIZE(cc_fake.unshared));
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
	cc_fake.nr_unshared = 0;
}

static void add_blocks(struct kunit *test, unsigned int nr, int nid)
{
	while (nr--) {
		mutex_lock(&cc_swiotlb.mutex);
		KUNIT_EXPECT_EQ(test, 0, cc_block_grow(SZ_2M, CC_BLOCK_SHIFT, nid));
		mutex_unlock(&cc_swiotlb.mutex);
	}
}

/* Of min= a lowered limit takes no more than it must. */
static void refusal_limit_minimum(struct kunit *test)
{
	unsigned int shares;

	start(test, SZ_128M, SZ_8M, 0);
	KUNIT_ASSERT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.min, SZ_64M + SZ_16M));
	add_blocks(test, (SZ_64M + SZ_32M - cc_swiotlb.shared) / SZ_2M, NUMA_NO_NODE);
	shares = cc_fake.calls[CC_FAKE_SHARE];
	KUNIT_ASSERT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.max, cc_swiotlb.shared - SZ_2M));
	live(60 * HZ);
	KUNIT_EXPECT_GE(test, cc_swiotlb.shared, cc_swiotlb.min);
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_SHARE], shares);
	cc_test_check(test);
}

/* Nor of the parts of nodes, if others have more than theirs. */
static void refusal_limit_node(struct kunit *test)
{
	unsigned int shares;

	cc_fake_nodes(test, 2);
	start(test, SZ_128M, SZ_8M, 0);
	add_blocks(test, SZ_32M / SZ_2M, 0);
	cc_reserve_use(1);
	add_blocks(test, SZ_4M / SZ_2M, 1);
	KUNIT_ASSERT_EQ(test, cc_swiotlb.node[1].bytes, cc_reserve_share());
	shares = cc_fake.calls[CC_FAKE_SHARE];
	KUNIT_ASSERT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.max, cc_swiotlb.shared - SZ_2M));
	live(60 * HZ);
	KUNIT_EXPECT_GE(test, cc_swiotlb.node[1].bytes, cc_reserve_share());
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_SHARE], shares);
	cc_test_check(test);
}

/* A lowered limit comes before the parts of nodes, and before min=. */
static void refusal_lower_limit(struct kunit *test)
{
	cc_fake_nodes(test, 2);
	start(test, SZ_128M, SZ_8M, 0);
	cc_reserve_use(1);
	cc_kccd_ask(CC_ASK_SHARE);
	live(60 * HZ);
	KUNIT_ASSERT_EQ(test, take(test, 12, SZ_512K), 12);
	live(60 * HZ);
	KUNIT_ASSERT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.max, cc_swiotlb.shared - SZ_2M));
	live(60 * HZ);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, cc_swiotlb.max);
	give(test, MANY);
	live(60 * HZ);

	cc_fake_fail(CC_FAKE_UNSHARE, 0, 1);
	cc_fake.unsharable = BIT(0) | BIT(1);
	KUNIT_ASSERT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.reserve_min, 0));
	live_quietly(test, 60 * HZ);
	cc_fake.unsharable = 0;
	KUNIT_ASSERT_GT(test, cc_swiotlb.quarantined, 0);
	KUNIT_ASSERT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.min, cc_swiotlb.max));
	live_quietly(test, 60 * HZ);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared + cc_swiotlb.quarantined, cc_swiotlb.max);
	KUNIT_ASSERT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.min, SZ_4M));
	KUNIT_ASSERT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.max, SZ_4M));
	live_quietly(test, 60 * HZ);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared + cc_swiotlb.quarantined, cc_swiotlb.max);
	KUNIT_EXPECT_TRUE(test, asleep());
}

/* What a reclaim cannot return is not offered again, though it takes several passes. */
static void refusal_leftover(struct kunit *test)
{
	unsigned int n = 0;
	struct defects_test *t = test->priv;

	start(test, SZ_512M, SZ_4M, 0);
	grow_to(test, SZ_256M);
	/* One slot in each second block stays. */
	for (unsigned int i = 0; i < t->nr; i++) {
		if (i % 8)
			cc_test_give(t->tlb[i]);
		else
			t->tlb[n++] = t->tlb[i];
	}
	t->nr = n;
	/* As if no more had been in use for two seconds, without ticks that return some of it. */
	LARGEST->peak = n;
	LARGEST->last_peak = n;
	cc_kccd_reclaim();
	live(10 * HZ);
	KUNIT_EXPECT_LT(test, cc_kccd_freeable(), SZ_2M);
	KUNIT_EXPECT_GT(test, cc_swiotlb.shared, SZ_64M);
	cc_test_check(test);
}

/* A reboot waits for one conversion, not for all that was to be returned. */
static void refusal_reboot(struct kunit *test)
{
	unsigned long shared;

	start(test, SZ_128M, SZ_4M, 0);
	grow_to(test, SZ_64M);
	give(test, MANY);
	shared = cc_swiotlb.shared;
	cc_fake.converted = reboot_now;
	live(10 * HZ);
	cc_fake.converted = NULL;
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, shared - SZ_2M);
	cc_test_check(test);
	cc_swiotlb.stopping = false;
}

static void refusal_exit(struct kunit *test)
{
	cc_fake.refused = NULL;
	defects_exit(test);
}

static struct kunit_case refusal_cases[] = {
	KUNIT_CASE(refusal_small),
	KUNIT_CASE(refusal_most),
	KUNIT_CASE(refusal_order),
	KUNIT_CASE(refusal_ends),
	KUNIT_CASE(refusal_lossy),
	KUNIT_CASE(refusal_counts),
	KUNIT_CASE(refusal_surplus),
	KUNIT_CASE(refusal_low_water),
	KUNIT_CASE(refusal_probe),
	KUNIT_CASE(refusal_node),
	KUNIT_CASE_PARAM(refusal_one_node, node_gen_params),
	KUNIT_CASE_PARAM(refusal_lost_node, node_gen_params),
	KUNIT_CASE(refusal_lost_anywhere),
	KUNIT_CASE(refusal_next_node),
	KUNIT_CASE(refusal_small_node),
	KUNIT_CASE(refusal_unshared),
	KUNIT_CASE(refusal_limit_minimum),
	KUNIT_CASE(refusal_limit_node),
	KUNIT_CASE(refusal_lower_limit),
	KUNIT_CASE(refusal_leftover),
	KUNIT_CASE(refusal_reboot),
	{}
};

static struct kunit_suite refusal_suite = {
	.name = "cc_swiotlb_refusal",
	.init = defects_init,
	.exit = refusal_exit,
	.test_cases = refusal_cases,
};

kunit_test_suite(refusal_suite);

MODULE_DESCRIPTION("Tests of cc-swiotlb with a host that refuses");
MODULE_LICENSE("GPL");
