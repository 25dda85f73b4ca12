// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the rest of the kernel asks of the allocator, apart from mapping: to
 * start or not to start, to give memory back when it is scarce, and to stop
 * converting before a reboot.
 */
#include <linux/cpuhotplug.h>
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/notifier.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>

#include "cc_test.h"

#define BURST	32

struct core_test {
	struct device *dev;
	phys_addr_t buf;
};

static int core_init(struct kunit *test)
{
	struct core_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	t->dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	t->buf = virt_to_phys(cc_test_buffer(test, SZ_512K));
	cc_test_pin(test);
	cc_fake_begin(test);
	return 0;
}

static void core_exit(struct kunit *test)
{
	cc_test_stop(test);
	cc_fake_end(test);
}

/* Make the allocator grow; all of that is free again when this returns. */
static void burst(struct kunit *test)
{
	struct core_test *t = test->priv;
	phys_addr_t tlb[BURST];

	for (unsigned int i = 0; i < BURST; i++) {
		tlb[i] = cc_swiotlb_map(t->dev, t->buf, SZ_512K, 0, 0);
		cc_test_grow();
	}
	for (unsigned int i = 0; i < BURST; i++)
		if (!cc_test_failed(tlb[i]))
			cc_test_give(tlb[i]);
	cc_test_drain_all();
	KUNIT_EXPECT_GE(test, cc_swiotlb.shared, BURST / 2 * SZ_512K);
}

/* A file of the shrinker in debugfs. */
static const char *shrinker_file(struct kunit *test, const char *file)
{
	char *path = kunit_kmalloc(test, 48, GFP_KERNEL);
	struct dentry *root, *dir = NULL;

	KUNIT_ASSERT_NOT_NULL(test, path);
	if (!IS_ENABLED(CONFIG_SHRINKER_DEBUG) || !IS_ENABLED(CONFIG_DEBUG_FS))
		kunit_skip(test, "needs CONFIG_SHRINKER_DEBUG");
	root = debugfs_lookup("shrinker", NULL);
	for (int i = 0; i < 256 && !dir; i++) {
		snprintf(path, 48, "cc-swiotlb-%d", i);
		dir = debugfs_lookup(path, root);
		snprintf(path, 48, "shrinker/cc-swiotlb-%d/%s", i, file);
	}
	dput(root);
	KUNIT_ASSERT_NOT_NULL(test, dir);
	dput(dir);
	return path;
}

/* Pages that the shrinker says could be returned. */
static unsigned long shrinker_says(struct kunit *test)
{
	const char *text = cc_test_read(test, "debugfs", shrinker_file(test, "count"));
	unsigned long pages;

	/* No line at all stands for none. */
	return sscanf(text, "%*u %lu", &pages) == 1 ? pages : 0;
}

static void shrinker_scan(struct kunit *test)
{
	const char *path = shrinker_file(test, "scan");

	KUNIT_ASSERT_EQ(test, 0, cc_test_write(test, "debugfs", path, "0 0 1"));
}

/* What is neither used nor part of the reserve can be returned. */
static void core_shrinker_count(struct kunit *test)
{
	struct core_test *t = test->priv;
	unsigned long kept = 0;
	phys_addr_t tlb;

	cc_test_start(test);
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		kept += cc_classes[i].mark << cc_classes[i].shift;
	KUNIT_EXPECT_EQ(test, shrinker_says(test),
			(cc_swiotlb.shared - cc_swiotlb.reserve_min - kept) >> PAGE_SHIFT);
	burst(test);
	tlb = cc_swiotlb_map(t->dev, t->buf, SZ_256K, 0, 0);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
	cc_test_drain_all();
	KUNIT_EXPECT_EQ(test, shrinker_says(test),
			(cc_swiotlb.shared - cc_swiotlb.reserve_min - kept - SZ_256K) >>
			PAGE_SHIFT);
	cc_test_give(tlb);
	cc_swiotlb.reserve_min = cc_swiotlb.shared;
	KUNIT_EXPECT_EQ(test, shrinker_says(test), 0);
}

/* Reclaim cuts the decay short: one pass returns what took many seconds. */
static void core_shrinker_scan(struct kunit *test)
{
	unsigned long before;

	cc_test_start(test);
	burst(test);
	for (int i = 0; i < 2; i++)
		cc_test_tick();
	before = cc_swiotlb.shared;
	KUNIT_ASSERT_GT(test, before, cc_swiotlb.reserve_min + SZ_8M);
	KUNIT_ASSERT_GT(test, cc_classes[CC_CHUNK_CLASS].need, BURST / 4);
	shrinker_scan(test);
	KUNIT_EXPECT_EQ_MSG(test, cc_swiotlb.shared, before, "reclaim must not wait");
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
	cc_kccd_pass(cc_test_now);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.target, cc_swiotlb.reserve_min);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, cc_swiotlb.reserve_min + SZ_4M);
	cc_test_check(test);
}

/* Until kccd has nothing to do and sleeps. */
static void wait_until_asleep(struct kunit *test)
{
	unsigned long limit = jiffies + 60 * HZ, ticks;

	do {
		ticks = READ_ONCE(cc_kccd_stats.ticks);
		schedule_timeout_uninterruptible(5 * HZ / 2);
	} while (ticks != READ_ONCE(cc_kccd_stats.ticks) && time_before(jiffies, limit));
	KUNIT_ASSERT_TRUE(test, time_before(jiffies, limit));
}

/*
 * Reclaim wakes kccd, even if it sleeps because there is nothing to do, and it
 * empties all magazines at once.
 */
static void core_shrinker_wakes(struct kunit *test)
{
	struct cc_class *class = &cc_classes[cc_test_class(SZ_4K)];
	struct core_test *t = test->priv;
	unsigned long limit, ticks;
	struct cc_options opts;
	phys_addr_t tlb;

	core_exit(test);
	cc_fake_remove(test);
	cc_test_options(&opts);
	cc_test_start_with(test, &opts, true);
	cc_test_enlarge(class, 1);
	wait_until_asleep(test);
	tlb = cc_swiotlb_map(t->dev, t->buf, SZ_4K, 0, 0);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
	cc_test_give(tlb);
	KUNIT_EXPECT_LT(test, cc_class_free(class), class->nr_slots);
	ticks = READ_ONCE(cc_kccd_stats.ticks);
	shrinker_scan(test);
	limit = jiffies + 5 * HZ;
	while (READ_ONCE(cc_kccd_stats.ticks) == ticks && time_before(jiffies, limit))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_GT(test, READ_ONCE(cc_kccd_stats.ticks), ticks);
	KUNIT_EXPECT_EQ(test, cc_class_free(class), class->nr_slots);
}

/* So does a mapping that takes from the reserve, long before a tick would. */
static void core_mapping_wakes(struct kunit *test)
{
	struct core_test *t = test->priv;
	unsigned long limit, grown;
	phys_addr_t tlb[BURST];
	struct cc_options opts;
	unsigned int n = 0;

	core_exit(test);
	cc_fake_remove(test);
	cc_test_options(&opts);
	cc_test_start_with(test, &opts, true);
	wait_until_asleep(test);
	grown = READ_ONCE(cc_kccd_stats.grown);
	while (READ_ONCE(cc_swiotlb.reserve_bytes) >= READ_ONCE(cc_swiotlb.target) && n < BURST) {
		tlb[n] = cc_swiotlb_map(t->dev, t->buf, SZ_512K, 0, 0);
		n += !cc_test_failed(tlb[n]);
	}
	limit = jiffies + 5 * HZ;
	while (READ_ONCE(cc_kccd_stats.grown) == grown && time_before(jiffies, limit))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_GT(test, READ_ONCE(cc_kccd_stats.grown), grown);
	while (n--)
		cc_test_give(tlb[n]);
}

static int no_notice(struct notifier_block *nb, unsigned long action, void *data)
{
	return NOTIFY_DONE;
}

/* The notifier that is called before a reboot, or NULL. */
static struct notifier_block *reboot_notifier(struct kunit *test)
{
	notifier_fn_t fn = cc_test_symbol(test, "kccd_reboot");
	struct notifier_block first = { .notifier_call = no_notice, .priority = INT_MAX };
	struct notifier_block *nb;

	/* The list begins with the highest priority. */
	KUNIT_ASSERT_EQ(test, 0, register_reboot_notifier(&first));
	nb = rcu_access_pointer(first.next);
	while (nb && nb->notifier_call != fn)
		nb = rcu_access_pointer(nb->next);
	unregister_reboot_notifier(&first);
	return nb;
}

/* A reboot or kexec ends all conversions, and a new start begins them again. */
static void core_reboot(struct kunit *test)
{
	struct notifier_block *nb;
	unsigned int shares;

	KUNIT_EXPECT_NULL(test, reboot_notifier(test));
	cc_test_start(test);
	nb = reboot_notifier(test);
	KUNIT_ASSERT_NOT_NULL(test, nb);
	burst(test);
	shares = cc_fake.calls[CC_FAKE_SHARE];
	KUNIT_EXPECT_EQ(test, NOTIFY_DONE, nb->notifier_call(nb, SYS_RESTART, NULL));
	for (int i = 0; i < 20; i++)
		cc_test_tick();
	cc_swiotlb.target = cc_swiotlb.max;
	KUNIT_EXPECT_EQ(test, -EAGAIN, cc_test_grow());
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_SHARE], shares);
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_UNSHARE], 0);
	cc_test_stop(test);
	KUNIT_EXPECT_NULL(test, reboot_notifier(test));
	cc_test_start(test);
	cc_swiotlb.target = cc_swiotlb.reserve_min + SZ_8M;
	KUNIT_EXPECT_EQ(test, 0, cc_test_grow());
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
}

static struct task_struct *no_memory(void)
{
	return ERR_PTR(-ENOMEM);
}

/* A start that fails leaves nothing behind, however often. */
static void core_start_fails(struct kunit *test)
{
	struct cc_options opts;

	if (cc_swiotlb_enabled())
		kunit_skip(test, "booted with swiotlb=cc");
	cc_test_started = true;
	cc_test_options(&opts);
	kunit_activate_static_stub(test, cc_kccd_run, no_memory);
	/* There are less than a hundred dynamic states of CPU hotplug. */
	for (int i = 0; i < 100; i++)
		KUNIT_ASSERT_EQ(test, -ENOMEM, cc_swiotlb_start(&opts));
	KUNIT_EXPECT_FALSE(test, cc_swiotlb_enabled());
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_MEMORY], 0);
	KUNIT_EXPECT_EQ(test, cc_fake.metadata, 0);
	KUNIT_EXPECT_NULL(test, cc_swiotlb_find_pool(page_to_phys(ZERO_PAGE(0))));
	kunit_deactivate_static_stub(test, cc_kccd_run);
	cc_test_start(test);
	burst(test);
	cc_test_check(test);
}

static int no_callback(unsigned int cpu)
{
	return 0;
}

/* Nor does it if there is no state of CPU hotplug left. */
static void core_start_no_hotplug(struct kunit *test)
{
	struct cc_options opts;
	int state[128], nr = 0;

	if (cc_swiotlb_enabled())
		kunit_skip(test, "booted with swiotlb=cc");
	cc_test_started = true;
	cc_test_options(&opts);
	do {
		state[nr] = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "cc-test",
						      NULL, no_callback);
	} while (state[nr] > 0 && ++nr < ARRAY_SIZE(state));
	KUNIT_EXPECT_LT(test, nr, ARRAY_SIZE(state));
	KUNIT_EXPECT_EQ(test, -ENOSPC, cc_swiotlb_start(&opts));
	while (nr--)
		cpuhp_remove_state_nocalls(state[nr]);
	KUNIT_EXPECT_FALSE(test, cc_swiotlb_enabled());
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_MEMORY], 0);
	KUNIT_EXPECT_NULL(test, reboot_notifier(test));
	cc_test_start(test);
}

static struct task_struct *no_thread(void)
{
	return NULL;
}

/* The start at boot: not unless chosen, with the options, and never fatal. */
static void core_boot(struct kunit *test)
{
	initcall_t init = cc_test_symbol(test, "cc_swiotlb_init");
	int (*setup)(char *str) = cc_test_symbol(test, "cc_options_setup");
	/* Given twice: those of the boot loader, and of who boots. */
	char first[] = "max=64M,min=12M", second[] = "reserve=2M,wrong";

	if (system_state >= SYSTEM_FREEING_INITMEM || cc_swiotlb_enabled())
		kunit_skip(test, "only while the kernel boots, without swiotlb=cc");
	cc_test_started = true;
	KUNIT_ASSERT_EQ(test, 0, swiotlb_init_late(SZ_4M, GFP_KERNEL, NULL));
	KUNIT_EXPECT_FALSE(test, is_swiotlb_force_bounce(((struct core_test *)test->priv)->dev));
	/* This is what "cc_swiotlb" without a value is. */
	KUNIT_EXPECT_EQ(test, -EINVAL, setup(NULL));
	KUNIT_EXPECT_EQ(test, 0, setup(first));
	KUNIT_EXPECT_EQ(test, 0, setup(second));
	cc_swiotlb.selected = false;
	cc_test_log_begin(test);
	KUNIT_EXPECT_EQ(test, 0, init());
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("cc_swiotlb= has no effect", ""));
	KUNIT_EXPECT_FALSE(test, cc_swiotlb_enabled());

	/* Reading the options takes them apart. */
	cc_swiotlb.selected = true;
	kunit_activate_static_stub(test, cc_kccd_run, no_memory);
	cc_test_log_begin(test);
	KUNIT_EXPECT_EQ(test, 0, init());
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("cannot start (-12)", "pool"));
	KUNIT_EXPECT_FALSE(test, cc_swiotlb_enabled());
	kunit_deactivate_static_stub(test, cc_kccd_run);

	KUNIT_EXPECT_EQ(test, 0, setup(first));
	KUNIT_EXPECT_EQ(test, 0, setup(second));
	kunit_activate_static_stub(test, cc_kccd_run, no_thread);
	cc_test_log_begin(test);
	KUNIT_EXPECT_EQ(test, 0, init());
	cc_test_log_end(test);
	KUNIT_EXPECT_TRUE(test, cc_swiotlb_enabled());
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("\"wrong\" refused", ""));
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("allocator of swiotlb: 12288 KiB shared now",
						   "at most 65536 KiB; reserve 2048 KiB"));
	KUNIT_EXPECT_EQ(test, cc_swiotlb.max, SZ_64M);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.min, SZ_8M + SZ_4M);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, SZ_8M + SZ_4M);
	cc_swiotlb.selected = false;
}

/* A veto counts before the start, and is explained. */
static void core_veto(struct kunit *test)
{
	cc_test_log_begin(test);
	cc_swiotlb.selected = false;
	KUNIT_EXPECT_FALSE(test, cc_swiotlb_deselect("first reason"));
	cc_swiotlb.selected = true;
	KUNIT_EXPECT_TRUE(test, cc_swiotlb_deselect("second reason"));
	KUNIT_EXPECT_FALSE(test, cc_swiotlb.selected);
	KUNIT_EXPECT_FALSE(test, cc_swiotlb_deselect("third reason"));
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("cc-swiotlb: not used", ""));
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("cc-swiotlb: not used", "second reason"));
}

/* The log says what was asked for, what was there, and what helps. */
static void core_reports(struct kunit *test)
{
	struct core_test *t = test->priv;
	const char *name = dev_name(t->dev);

	cc_test_start(test);
	/* Until the rate limit has forgotten what tests before have caused. */
	schedule_timeout_uninterruptible(11 * HZ / 2);
	cc_test_log_begin(test);
	cc_swiotlb_fallback(t->dev, t->buf, SZ_4K, 0, false, 0);
	cc_swiotlb_fallback(t->dev, t->buf, SZ_4K, 0, false, DMA_ATTR_NO_WARN);
	cc_swiotlb_fallback(t->dev, t->buf, SZ_8K, 0, true, 0);
	cc_swiotlb_fallback(t->dev, t->buf, SZ_1M, 0, false, 0);
	/* Less than the smallest block is left, counted with what is lost. */
	cc_swiotlb.quarantined = SZ_64K;
	cc_swiotlb.max = cc_swiotlb.shared + SZ_128K - 1;
	cc_swiotlb_fallback(t->dev, t->buf, SZ_16K, 0, false, 0);
	cc_swiotlb.quarantined = 0;
	t->dev->bus_dma_limit = SZ_1M;
	cc_swiotlb_fallback(t->dev, t->buf, SZ_32K, 0, false, 0);
	/* As it should be for such a device, and nothing to report. */
	cc_swiotlb_fallback(t->dev, t->buf, SZ_64K, 0, true, 0);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 5, cc_test_log_lines(name, "cc-swiotlb:"));
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(name, " 4096 bytes not mapped: no free"));
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(name, "no free 4096-byte slot"));
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(name, " 8192 bytes mapped in the legacy pool"));
	KUNIT_EXPECT_EQ(test, 2, cc_test_log_lines(name, "raise cc_swiotlb=reserve="));
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(name, " 1048576 bytes not mapped: the maximum"));
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(" 16384 bytes", "raise cc_swiotlb=max="));
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(" 32768 bytes", "does not reach all memory"));
}

static struct kunit_case core_cases[] = {
	KUNIT_CASE(core_shrinker_count),
	KUNIT_CASE(core_shrinker_scan),
	KUNIT_CASE_SLOW(core_shrinker_wakes),
	KUNIT_CASE_SLOW(core_mapping_wakes),
	KUNIT_CASE(core_reboot),
	KUNIT_CASE(core_start_fails),
	KUNIT_CASE(core_start_no_hotplug),
	KUNIT_CASE(core_boot),
	KUNIT_CASE(core_veto),
	KUNIT_CASE_SLOW(core_reports),
	{}
};

static struct kunit_suite core_suite = {
	.name = "cc_swiotlb_core",
	.init = core_init,
	.exit = core_exit,
	.test_cases = core_cases,
};

kunit_test_suite(core_suite);

MODULE_DESCRIPTION("Tests of cc-swiotlb as a part of the kernel");
MODULE_LICENSE("GPL");
