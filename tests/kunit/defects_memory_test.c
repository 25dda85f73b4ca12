// SPDX-License-Identifier: GPL-2.0-only
/*
 * What can go wrong with memory: limits that are none, what is lost or kept for ever, and
 * what reboot, hotplug and reclaim may find. Each test is the least that shows it.
 */
#include <linux/cpu.h>
#include <linux/mm.h>
#include <linux/shrinker.h>

#include "defects_test.h"

/* What is in quarantine is shared, for all that is known. */
static void defects_quarantine(struct kunit *test)
{
	start(test, SZ_16M, SZ_2M, 0);
	cc_test_log_begin(test);
	while (take(test, 1, SZ_512K))
		live(CC_BACKOFF_MIN);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, SZ_16M);
	give(test, MANY);
	cc_fake_fail(CC_FAKE_UNSHARE, 0, 2);
	cc_fake_fail(CC_FAKE_SHARE, 0, 2);
	live(120 * HZ);
	KUNIT_ASSERT_EQ(test, cc_swiotlb.quarantined, 2 * SZ_2M);
	for (unsigned int i = 0; i < 64; i++) {
		take(test, 1, SZ_512K);
		live(CC_BACKOFF_MIN);
		KUNIT_EXPECT_LE(test, cc_swiotlb.shared + cc_swiotlb.quarantined, SZ_16M);
	}
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, SZ_16M - 2 * SZ_2M);
	cc_test_log_end(test);
}

/* At the limit there is nothing to try, until something is returned. */
static void defects_limit(struct kunit *test)
{
	start(test, SZ_16M, SZ_2M, 0);
	cc_test_log_begin(test);
	while (take(test, 1, SZ_64K))
		live(CC_BACKOFF_MIN);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, SZ_16M);
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set_mark(LARGEST, 4));
	live(10 * HZ);
	KUNIT_EXPECT_EQ(test, cc_class_free(LARGEST), 0);
	KUNIT_EXPECT_TRUE(test, asleep());
	KUNIT_EXPECT_LE(test, live(600 * HZ), 1);
	give(test, MANY);
	live(60 * HZ);
	KUNIT_EXPECT_GE(test, cc_class_free(LARGEST), 4);
	KUNIT_EXPECT_TRUE(test, asleep());
	cc_test_log_end(test);
}

/* A lower limit takes effect at once, on what is free and on the target. */
static void defects_lower_limit(struct kunit *test)
{
	start(test, SZ_128M, SZ_4M, 0);
	for (unsigned int i = 0; i < 64; i++) {
		take(test, 1, SZ_512K);
		live(1);
	}
	give(test, MANY);
	live(2 * CC_TICK);
	KUNIT_ASSERT_GT(test, cc_swiotlb.shared, SZ_16M);
	cc_swiotlb.target = SZ_8M;
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.max, SZ_16M));
	KUNIT_EXPECT_EQ(test, cc_swiotlb.target, SZ_4M);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
	cc_kccd_pass(cc_test_now);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, SZ_16M);
}

/* A reboot does not wait for all that a pass still had to do. */
static void defects_reboot_in_pass(struct kunit *test)
{
	unsigned int before;

	start(test, SZ_128M, SZ_4M, 0);
	before = cc_fake.calls[CC_FAKE_SHARE];
	cc_fake.converted = reboot_now;
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.min, SZ_32M));
	cc_kccd_pass(cc_test_now);
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_SHARE], before + 1);
	KUNIT_EXPECT_TRUE(test, asleep());
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_SHARE], before + 1);
	cc_fake.converted = NULL;
	cc_swiotlb.stopping = false;
}

/* What a reclaim cannot free, because a part of its block is mapped, counts once. */
static void defects_leftover(struct kunit *test)
{
	struct defects_test *t = test->priv;
	unsigned int n;

	start(test, SZ_128M, SZ_4M, 0);
	for (unsigned int i = 0; i < 64; i++) {
		KUNIT_ASSERT_EQ(test, take(test, 1, SZ_512K), 1);
		live(1);
	}
	/* One of each four chunks stays, so nearly all blocks do. */
	for (n = 0, t->nr = 0; n < 64; n++)
		if (n % 4)
			cc_test_give(t->tlb[n]);
		else
			t->tlb[t->nr++] = t->tlb[n];
	cc_test_drain_all();
	live(2 * CC_TICK);
	KUNIT_EXPECT_GT(test, cc_kccd_freeable(), 0);
	cc_kccd_reclaim();
	cc_kccd_pass(cc_test_now);
	KUNIT_EXPECT_GT(test, cc_swiotlb.reserve_bytes, cc_swiotlb.reserve_min + SZ_2M);
	KUNIT_EXPECT_EQ(test, cc_kccd_freeable(), 0);

	/* It has been in use since, and counts again. */
	cc_fake_fail(CC_FAKE_MEMORY, 0, UINT_MAX);
	cc_test_log_begin(test);
	n = take(test, MANY, SZ_512K);
	KUNIT_EXPECT_GT(test, n, 16);
	live(2 * CC_TICK);
	give(test, n);
	cc_test_drain_all();
	cc_test_log_end(test);
	KUNIT_EXPECT_GT(test, cc_kccd_freeable(), 0);
}

/* The limit leaves room for the largest mappings, whatever else is 0. */
static void defects_least_limit(struct kunit *test)
{
	start(test, SZ_16M, 0, 2);
	KUNIT_EXPECT_EQ(test, -EINVAL, cc_kccd_set(&cc_swiotlb.max, SZ_2M - 1));
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.max, SZ_2M));
}

static const unsigned long lossy_params[] = { 0, 2 };

static void lossy_desc(const unsigned long *p, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "mark %lu", *p);
}

KUNIT_ARRAY_PARAM(lossy, lossy_params, lossy_desc);

static const unsigned long refused_params[] = { false, true };

static void refused_desc(const unsigned long *p, char *desc)
{
	strscpy(desc, *p ? "and cannot be shared again" : "can be shared again",
		KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(refused, refused_params, refused_desc);

/* A host that refuses conversions, even those back, does not get all memory. */
static void defects_lossy(struct kunit *test)
{
	unsigned long mark = *(const unsigned long *)test->param_value;

	start(test, SZ_128M, SZ_4M, mark);
	KUNIT_ASSERT_GT(test, take(test, 32, SZ_256K), 8);
	/* What has a mark is missing, too. */
	KUNIT_ASSERT_EQ(test, take(test, mark, SZ_512K), mark);
	cc_fake_fail(CC_FAKE_SHARE, 0, UINT_MAX);
	cc_fake_fail(CC_FAKE_UNSHARE, 0, UINT_MAX);
	cc_test_log_begin(test);
	live(30 * CC_BACKOFF_MAX);
	cc_test_log_end(test);
	KUNIT_EXPECT_GE(test, cc_swiotlb.quarantined, SZ_2M);
	KUNIT_EXPECT_LE(test, cc_swiotlb.quarantined, 4 * SZ_2M);
	cc_fake_fail(CC_FAKE_SHARE, 0, 0);
	cc_fake_fail(CC_FAKE_UNSHARE, 0, 0);
	live(2 * CC_BACKOFF_MAX);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
	KUNIT_EXPECT_FALSE(test, cc_swiotlb.node[0].lossy);
}

/*
 * A host that does not take memory back, for a while: what stays shared can still be used,
 * and goes when it can. If it does not even say that it is shared, little is lost.
 */
static void defects_refused(struct kunit *test)
{
	bool also_share = *(const unsigned long *)test->param_value;
	unsigned long shared;
	unsigned int calls;

	start(test, SZ_128M, SZ_4M, 0);
	while (cc_swiotlb.shared < SZ_64M) {
		KUNIT_ASSERT_GT(test, take(test, 1, SZ_512K), 0);
		live(1);
	}
	shared = cc_swiotlb.shared;
	give(test, MANY);
	cc_fake_fail(CC_FAKE_UNSHARE, 0, UINT_MAX);
	if (also_share)
		cc_fake_fail(CC_FAKE_SHARE, 0, UINT_MAX);
	cc_test_log_begin(test);
	calls = cc_fake.calls[CC_FAKE_UNSHARE];
	KUNIT_EXPECT_LE(test, live(3 * CC_BACKOFF_MAX), 100);
	/* 20 ms, 40 ms, and so on, up to 10 s */
	KUNIT_EXPECT_LE(test, cc_fake.calls[CC_FAKE_UNSHARE] - calls, 14);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared + cc_swiotlb.quarantined, shared);
	if (also_share)
		KUNIT_EXPECT_LE(test, cc_swiotlb.quarantined, 14 * SZ_2M);
	else
		KUNIT_EXPECT_EQ(test, cc_swiotlb.quarantined, 0);
	cc_test_check(test);
	/* To ask for it does not help, so it is not asked for. */
	cc_kccd_reclaim();
	cc_test_log_begin(test);
	live(2 * CC_RECLAIM_INTERVAL);
	cc_test_log_end(test);
	KUNIT_EXPECT_LE(test, cc_kccd_freeable(), SZ_2M);
	/* That there was nothing to return for a while is no sign that it works again. */
	cc_test_log_begin(test);
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.min, cc_swiotlb.shared));
	live(2 * CC_BACKOFF_MAX);
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.min, 0));
	calls = cc_fake.calls[CC_FAKE_UNSHARE];
	live(CC_BACKOFF_MAX / 2);
	cc_test_log_end(test);
	KUNIT_EXPECT_LE(test, cc_fake.calls[CC_FAKE_UNSHARE] - calls, 2);
	/* It serves mappings as before. */
	KUNIT_EXPECT_EQ(test, take(test, 4, SZ_512K), 4);
	give(test, 4);

	cc_fake_fail(CC_FAKE_UNSHARE, 0, 0);
	cc_fake_fail(CC_FAKE_SHARE, 0, 0);
	live(2 * CC_BACKOFF_MAX);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, SZ_4M + 2 * SZ_2M);
	live(CC_BACKOFF_MAX);
	KUNIT_EXPECT_TRUE(test, asleep());
}

/* One block that stays does not keep others. */
static void defects_refused_one(struct kunit *test)
{
	struct cc_block *block;
	unsigned int n = 0;

	start(test, SZ_128M, SZ_4M, 0);
	while (cc_swiotlb.shared < SZ_64M) {
		KUNIT_ASSERT_GT(test, take(test, 1, SZ_512K), 0);
		live(1);
	}
	list_for_each_entry(block, &cc_swiotlb.blocks, node)
		if (n++ == 10)
			cc_fake.refused = block->page;
	give(test, MANY);
	cc_test_log_begin(test);
	live(120 * HZ);
	cc_test_log_end(test);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, SZ_4M + 2 * SZ_2M);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.quarantined, 0);
	cc_test_check(test);
	cc_fake.refused = NULL;
	live(CC_BACKOFF_MAX);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, SZ_4M + SZ_2M);
	KUNIT_EXPECT_TRUE(test, asleep());
}

/* However short the host refuses, and whenever, all that is too much goes in the end. */
static void defects_refused_soon(struct kunit *test)
{
	start(test, SZ_128M, SZ_4M, 0);
	for (unsigned long begin = 0; begin < 16 * HZ; begin += HZ / 2) {
		while (cc_swiotlb.shared < SZ_32M) {
			KUNIT_ASSERT_GT(test, take(test, 1, SZ_512K), 0);
			live(1);
		}
		give(test, MANY);
		cc_test_log_begin(test);
		live(begin);
		cc_fake_fail(CC_FAKE_UNSHARE, 0, UINT_MAX);
		live(3 * HZ / 2);
		cc_fake_fail(CC_FAKE_UNSHARE, 0, 0);
		live(60 * HZ);
		cc_test_log_end(test);
		KUNIT_EXPECT_LT_MSG(test, cc_swiotlb.shared, SZ_4M + SZ_2M, "from %lu", begin);
		KUNIT_EXPECT_TRUE(test, asleep());
	}
}

/* A lower limit is kept within two seconds, also for what was in use just before. */
static void defects_lower_limit_soon(struct kunit *test)
{
	start(test, SZ_128M, SZ_4M, 0);
	for (unsigned int i = 0; i < 64; i++) {
		take(test, 1, SZ_512K);
		live(1);
	}
	live(HZ / 2);
	give(test, MANY);
	KUNIT_ASSERT_GE(test, cc_swiotlb.shared, SZ_32M);
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.max, SZ_16M));
	live(2 * CC_TICK + CC_BACKOFF_MIN);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, SZ_16M);
}

/* What was risked first, and worked, counts, though more could not be had. */
static void defects_probe(struct kunit *test)
{
	start(test, SZ_128M, SZ_4M, 0);
	cc_test_set_lossy(true);
	cc_fake.max_order = CC_FRAME_SHIFT - PAGE_SHIFT;
	cc_test_log_begin(test);
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set_mark(LARGEST, 16));
	cc_kccd_pass(cc_test_now);
	cc_test_log_end(test);
	KUNIT_EXPECT_GT(test, cc_swiotlb.shared, SZ_4M);
	KUNIT_EXPECT_EQ(test, cc_kccd_stats.grown, cc_swiotlb.shared);
}

/*
 * A CPU that goes may wait for I/O that waits for memory: kccd does not wait for the
 * CPU, but does what it can and comes back.
 */
static void defects_hotplug(struct kunit *test)
{
	unsigned long drains;

	start(test, SZ_128M, SZ_4M, 0);
	KUNIT_ASSERT_EQ(test, take(test, 8, SZ_64K), 8);
	give(test, 8);
	drains = cc_kccd_stats.drains;
	cpus_write_lock();
	cc_kccd_reclaim();
	KUNIT_EXPECT_EQ(test, 0, cc_test_grow());
	live(3 * CC_RECLAIM_INTERVAL);
	if (IS_ENABLED(CONFIG_HOTPLUG_CPU))
		KUNIT_EXPECT_EQ(test, cc_kccd_stats.drains, drains);
	cpus_write_unlock();
	live(2 * CC_RECLAIM_INTERVAL);
	KUNIT_EXPECT_EQ(test, cc_kccd_stats.drains, drains + 1);
}

/* Reclaim takes nothing from a class that it had in use in the last second. */
static void defects_reclaim(struct kunit *test)
{
	struct cc_class *class = &cc_classes[cc_test_class(SZ_64K)];

	start(test, SZ_128M, SZ_4M, 0);
	for (unsigned int i = 0; i < 64; i++) {
		KUNIT_ASSERT_EQ(test, take(test, 1, SZ_64K), 1);
		live(1);
	}
	live(2 * CC_TICK);
	give(test, MANY);
	cc_test_drain_all();
	live(CC_TICK);
	KUNIT_ASSERT_GE(test, class->nr_slots, 64);
	cc_swiotlb.target = SZ_8M;
	cc_kccd_reclaim();
	cc_kccd_pass(cc_test_now);
	KUNIT_EXPECT_GE(test, class->nr_slots, 64);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.target, SZ_4M);
	live(CC_RECLAIM_INTERVAL);
	/* What comes from the magazines does not stay in the depot. */
	KUNIT_ASSERT_EQ(test, take(test, 64, SZ_64K), 64);
	give(test, MANY);
	cc_kccd_reclaim();
	cc_kccd_pass(cc_test_now);
	KUNIT_EXPECT_GE(test, class->nr_slots, 64);
	KUNIT_EXPECT_EQ(test, class->node->depot.slots, 0);
	/* Seconds later all of it goes. */
	live(2 * CC_RECLAIM_INTERVAL);
	cc_kccd_reclaim();
	live(CC_RECLAIM_INTERVAL);
	KUNIT_EXPECT_EQ(test, class->nr_slots, 0);
}

/* The shrinker has scanned all, or it would be asked for the rest again. */
static void defects_shrinker(struct kunit *test)
{
	unsigned long (*scan)(struct shrinker *s, struct shrink_control *sc) =
		cc_test_symbol(test, "shrinker_scan");
	struct shrink_control sc = { .nr_to_scan = 128 };

	start(test, SZ_128M, SZ_4M, 0);
	KUNIT_EXPECT_EQ(test, scan(NULL, &sc), 0);
	KUNIT_EXPECT_EQ(test, sc.nr_scanned, 128);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
}

/* A CPU that has nothing else uses what it has collected for another one. */
static void defects_foreign(struct kunit *test)
{
	struct defects_test *t = test->priv;
	unsigned int nr = cc_test_class(SZ_4K), all = SZ_2M / SZ_4K;

	start(test, SZ_2M, SZ_2M, 0);
	/* Whatever the number of CPUs that share the bytes of magazines. */
	cc_classes[nr].mag_size = 8;
	cc_test_log_begin(test);
	KUNIT_ASSERT_EQ(test, take(test, MANY, SZ_4K), all);
	for (unsigned int i = all - 3; i < all; i++) {
		struct cc_chunk *chunk = cc_chunk_by_addr(t->tlb[i]);

		cc_slot_by_index(cc_index_by_addr(chunk, t->tlb[i]))->cpu = 1;
	}
	give(test, 3);
	KUNIT_EXPECT_EQ(test, cc_chain_count(cc_test_magazine(nr)->foreign), 3);
	KUNIT_EXPECT_EQ(test, take(test, 3, SZ_4K), 3);
	KUNIT_EXPECT_EQ(test, cc_chain_count(cc_test_magazine(nr)->foreign), 0);
	cc_test_log_end(test);
	cc_test_check(test);
}

/* A smaller mapping gets what a class has beyond its mark, to the slot. */
static void defects_larger(struct kunit *test)
{
	struct cc_class *class = &cc_classes[1];

	start(test, SZ_2M, SZ_2M, 0);
	KUNIT_ASSERT_GT(test, class->batch, 2);
	KUNIT_ASSERT_TRUE(test, cc_reserve_take(class, NUMA_NO_NODE, 1));
	while (cc_swiotlb.reserve_bytes)
		KUNIT_ASSERT_TRUE(test, cc_reserve_take(LARGEST, NUMA_NO_NODE,
							LARGEST->nr_slots + 1));
	cc_test_log_begin(test);
	class->mark = class->nr_slots - 2;
	KUNIT_EXPECT_EQ(test, take(test, 3, 512), 2);
	KUNIT_EXPECT_EQ(test, cc_class_free(class), class->mark);
	/* Nor a whole magazine of the depot. */
	KUNIT_EXPECT_EQ(test, take(test, 8, SZ_1K), 8);
	give(test, 8);
	cc_test_drain_all();
	KUNIT_ASSERT_GE(test, class->node->depot.slots, 8);
	class->mark = cc_class_free(class);
	KUNIT_EXPECT_EQ(test, take(test, 1, 512), 0);
	class->mark = 0;
	cc_test_log_end(test);
	cc_test_check(test);
}

/* Memory above what the table was made for: a larger table knows all chunks. */
static void defects_table(struct kunit *test)
{
	const unsigned int shift = CC_FRAME_SHIFT + CC_LEAF_BITS;
	struct cc_chunk_table *table = cc_by_frame;
	unsigned long top = 0, low = ULONG_MAX;
	struct cc_block *block;

	start(test, SZ_128M, SZ_64M + SZ_8M, 0);
	table = cc_by_frame;
	list_for_each_entry(block, &cc_swiotlb.blocks, node) {
		top = max(top, page_to_phys(block->page) >> shift);
		low = min(low, page_to_phys(block->page) >> shift);
	}
	KUNIT_ASSERT_LT(test, low, top);
	mutex_lock(&cc_swiotlb.mutex);
	cc_free_metadata(table->leaf[top]);
	table->leaf[top] = NULL;
	table->nr = top;
	list_for_each_entry(block, &cc_swiotlb.blocks, node)
		for (unsigned int i = 0; i < block->nr_chunks; i++)
			if (block->chunks[i].pool.start >> shift == top)
				KUNIT_EXPECT_EQ(test, 0, cc_chunk_publish(&block->chunks[i]));
	mutex_unlock(&cc_swiotlb.mutex);
	KUNIT_EXPECT_PTR_NE(test, table, cc_by_frame);
	KUNIT_EXPECT_GT(test, cc_by_frame->nr, top);
	cc_test_check(test);
}

static struct kunit_case defects_cases[] = {
	KUNIT_CASE(defects_quarantine),
	KUNIT_CASE(defects_limit),
	KUNIT_CASE(defects_lower_limit),
	KUNIT_CASE(defects_reboot_in_pass),
	KUNIT_CASE(defects_leftover),
	KUNIT_CASE(defects_least_limit),
	KUNIT_CASE_PARAM(defects_lossy, lossy_gen_params),
	KUNIT_CASE_PARAM(defects_refused, refused_gen_params),
	KUNIT_CASE(defects_refused_one),
	KUNIT_CASE(defects_refused_soon),
	KUNIT_CASE(defects_lower_limit_soon),
	KUNIT_CASE(defects_probe),
	KUNIT_CASE(defects_hotplug),
	KUNIT_CASE(defects_reclaim),
	KUNIT_CASE(defects_shrinker),
	KUNIT_CASE(defects_foreign),
	KUNIT_CASE(defects_larger),
	KUNIT_CASE(defects_table),
	{}
};

static struct kunit_suite defects_suite = {
	.name = "cc_swiotlb_defects_memory",
	.init = defects_init,
	.exit = defects_exit,
	.test_cases = defects_cases,
};

kunit_test_suite(defects_suite);

MODULE_DESCRIPTION("Tests of defects with memory that were mended");
MODULE_LICENSE("GPL");
