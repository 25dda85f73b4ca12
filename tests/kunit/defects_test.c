// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the loop of kccd could get wrong: to spin, to sleep for ever, or to go after what
 * nobody needs. Each test is the least that shows it.
 */
#include <linux/kernel.h>

#include "defects_test.h"

/* Memory in small pieces: kccd waits for larger ones, and goes on with small ones. */
static void defects_fragmented(struct kunit *test)
{
	unsigned int passes;
	unsigned long ticks;

	cc_fake.max_order = CC_CHUNK_SHIFT - 2 - PAGE_SHIFT;
	start(test, SZ_128M, SZ_8M, 2);
	KUNIT_EXPECT_EQ(test, cc_class_free(LARGEST), 0);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
	passes = live(60 * HZ);
	KUNIT_EXPECT_GT(test, passes, 8);
	KUNIT_EXPECT_LT(test, passes, CC_PASSES_TO_SLEEP);
	ticks = cc_kccd_stats.ticks;
	KUNIT_EXPECT_LE(test, live(60 * HZ), 60 * HZ / CC_BACKOFF_MAX + 1);
	KUNIT_EXPECT_EQ(test, cc_kccd_stats.ticks, ticks);

	/* No attempt for the mark is due for seconds, and it is asked for in vain. */
	for (int i = 0; i < 2; i++) {
		kick();
		cc_kccd_pass(cc_test_now);
		KUNIT_EXPECT_FALSE(test, cc_kccd_pending(cc_test_now));
	}
	KUNIT_ASSERT_EQ(test, take(test, 24, SZ_128K), 24);
	KUNIT_ASSERT_LT(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
	cc_kccd_pass(cc_test_now);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);

	cc_fake.max_order = MAX_PAGE_ORDER;
	live(CC_BACKOFF_MAX);
	KUNIT_EXPECT_GE(test, cc_class_free(LARGEST), LARGEST->mark);
}

/* Requests without end and no memory: 50 passes a second, and none is forgotten. */
static void defects_requests(struct kunit *test)
{
	unsigned long end;
	unsigned int passes = 0;

	start(test, SZ_128M, SZ_8M, 0);
	live(10 * HZ);
	cc_fake_fail(CC_FAKE_MEMORY, 0, UINT_MAX);
	cc_test_log_begin(test);
	KUNIT_ASSERT_EQ(test, take(test, 4, SZ_512K), 4);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
	cc_kccd_pass(cc_test_now);
	for (end = cc_test_now + 5 * HZ; time_before(cc_test_now, end); cc_test_now++)
		for (unsigned int i = 0; i < 4; i++) {
			kick();
			if (!cc_kccd_pending(cc_test_now))
				continue;
			cc_kccd_pass(cc_test_now);
			passes++;
		}
	KUNIT_EXPECT_LE(test, passes, 5 * HZ / CC_BACKOFF_MIN + 1);
	kick();
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now + CC_BACKOFF_MIN));
	/* Without requests: once in the longest backoff. */
	live(60 * HZ);
	KUNIT_EXPECT_LE(test, live(600 * HZ), 600 * HZ / CC_BACKOFF_MAX + 1);
	cc_test_log_end(test);
	cc_fake_fail(CC_FAKE_MEMORY, 0, 0);
	live(CC_BACKOFF_MAX);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
}

/* At the limit nothing is tried again by itself, but what comes meanwhile is heard in time. */
static void defects_request_at_limit(struct kunit *test)
{
	start(test, SZ_16M, SZ_8M, 0);
	cc_test_log_begin(test);
	while (take(test, MANY, SZ_512K))
		live(60 * HZ);
	live(60 * HZ);
	KUNIT_ASSERT_TRUE(test, asleep());
	kick();
	KUNIT_EXPECT_LE(test, cc_kccd_pass(cc_test_now), CC_BACKOFF_MIN);
	/* And not when half of all jiffies have gone by. */
	cc_test_now += BIT(BITS_PER_LONG - 1) + HZ;
	kick();
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
	cc_test_log_end(test);
}

/* What each mapping finds missing, and each unmap brings back, is no work for kccd. */
static void defects_request_flickers(struct kunit *test)
{
	unsigned int passes = 0;

	start(test, SZ_16M, 0, 2);
	KUNIT_ASSERT_EQ(test, LARGEST->mag_size, 0);
	cc_test_log_begin(test);
	while (take(test, MANY, SZ_512K))
		live(60 * HZ);
	give(test, 2);
	live(60 * HZ);
	KUNIT_ASSERT_EQ(test, cc_class_free(LARGEST), 2);
	KUNIT_ASSERT_EQ(test, take(test, 1, SZ_512K), 1);
	cc_kccd_pass(cc_test_now);
	give(test, 1);
	cc_test_now += CC_BACKOFF_MIN;
	for (int i = 0; i < 100; i++) {
		KUNIT_ASSERT_EQ(test, take(test, 1, SZ_512K), 1);
		give(test, 1);
		if (!cc_kccd_pending(cc_test_now))
			continue;
		cc_kccd_pass(cc_test_now);
		passes++;
	}
	KUNIT_EXPECT_LE(test, passes, CC_NR_ASKS);
	cc_test_log_end(test);
}

static void kick_once(struct page *page, unsigned int order, bool share)
{
	cc_fake.converted = NULL;
	kick();
}

/* A request that a pass had already satisfied makes it deaf to nothing. */
static void defects_request_at_once(struct kunit *test)
{
	start(test, SZ_64M, SZ_8M, 2);
	live(10 * HZ);
	KUNIT_ASSERT_TRUE(test, asleep());
	kick();
	cc_kccd_pass(cc_test_now);
	KUNIT_ASSERT_FALSE(test, cc_kccd_pending(cc_test_now));
	KUNIT_ASSERT_EQ(test, take(test, 4, SZ_512K), 4);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
	cc_kccd_pass(cc_test_now);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
}

static unsigned int nr_wakes;
static void (*wake)(struct irq_work *work);

static void count_wake(struct irq_work *work)
{
	nr_wakes++;
	wake(work);
}

/* Count how often kccd is woken, until wakes_end(). */
void wakes_begin(void)
{
	irq_work_sync(&cc_kicks.work);
	nr_wakes = 0;
	wake = cc_kicks.work.func;
	cc_kicks.work.func = count_wake;
}

unsigned int wakes(void)
{
	irq_work_sync(&cc_kicks.work);
	return nr_wakes;
}

void wakes_end(void)
{
	irq_work_sync(&cc_kicks.work);
	cc_kicks.work.func = wake;
}

/* Nor does one that came while the pass was under way: the thread is woken for the next. */
static void defects_request_wakes(struct kunit *test)
{
	start(test, SZ_64M, SZ_8M, 0);
	live(10 * HZ);
	kick();
	cc_kccd_pass(cc_test_now);
	KUNIT_ASSERT_EQ(test, take(test, 1, SZ_512K), 1);
	cc_fake.converted = kick_once;
	do
		cc_kccd_pass(cc_test_now);
	while (cc_kccd_pending(cc_test_now));
	KUNIT_EXPECT_NULL(test, cc_fake.converted);

	wakes_begin();
	KUNIT_EXPECT_EQ(test, take(test, 4, SZ_512K), 4);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
	KUNIT_EXPECT_GT(test, wakes(), 0);
	wakes_end();
}

/* A request that comes while a pass is under way needs another one. */
static void defects_request_in_pass(struct kunit *test)
{
	start(test, SZ_128M, SZ_8M, 0);
	KUNIT_ASSERT_EQ(test, take(test, 4, SZ_512K), 4);
	cc_fake.converted = kick_once;
	cc_kccd_pass(cc_test_now);
	KUNIT_EXPECT_NULL(test, cc_fake.converted);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
}

struct graces graces;

static void note_grace_period(void)
{
	might_sleep();
	graces.nr++;
	graces.lacking |= cc_swiotlb.reserve_bytes < cc_swiotlb.target;
	graces.table = cc_by_frame;
}

/**
 * count_grace_periods() - from here on count them, and do not wait for them
 * @test: the test
 */
void count_grace_periods(struct kunit *test)
{
	graces = (struct graces){};
	kunit_activate_static_stub(test, cc_grace_period, note_grace_period);
}

/* When memory is reclaimed, one does for all classes. */
static void defects_grace_periods(struct kunit *test)
{
	unsigned int classes = 0;

	start(test, SZ_128M, SZ_8M, 0);
	for (size_t size = SZ_512; size < SZ_512K; size *= 2)
		KUNIT_ASSERT_EQ(test, take(test, 1, size), 1);
	live(5 * HZ);
	give(test, MANY);
	live(HZ / 10);
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		classes += !!cc_classes[i].nr_slots;
	KUNIT_ASSERT_GT(test, classes, 3);
	count_grace_periods(test);
	for (int i = 0; i < 3; i++) {
		cc_kccd_reclaim();
		cc_test_now += CC_RECLAIM_INTERVAL;
		cc_kccd_pass(cc_test_now);
	}
	kunit_deactivate_static_stub(test, cc_grace_period);
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		KUNIT_EXPECT_EQ(test, cc_classes[i].nr_slots, 0);
	/* For the classes, and for what the reserve gives back. */
	KUNIT_EXPECT_GE(test, graces.nr, 1);
	KUNIT_EXPECT_LE(test, graces.nr, 4);
}

/* Each signal that kccd needs wakes it. */
static void defects_signals(struct kunit *test)
{
	start(test, SZ_128M, SZ_8M, 0);
	/* With many CPUs there would be none for slots of this size. */
	LARGEST->mag_size = 1;
	live(10 * HZ);
	KUNIT_EXPECT_TRUE(test, asleep());
	/* The reserve is below its target, but there is something in it. */
	KUNIT_ASSERT_EQ(test, take(test, 1, SZ_512K), 1);
	cc_kccd_pass(cc_test_now);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
	live(10 * HZ);
	KUNIT_EXPECT_TRUE(test, asleep());
	/* One slot in a magazine is enough. */
	give(test, 1);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
	live(60 * HZ);
	KUNIT_EXPECT_TRUE(test, asleep());
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.min, SZ_16M));
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
	cc_kccd_pass(cc_test_now);
	KUNIT_EXPECT_GE(test, cc_swiotlb.shared, SZ_16M);
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set_mark(LARGEST, 3));
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
	cc_kccd_pass(cc_test_now);
	KUNIT_EXPECT_GE(test, cc_class_free(LARGEST), 3);
}

/* The same where another CPU has mapped the slot, and no chain is collected for it. */
static void defects_signals_foreign(struct kunit *test)
{
	struct defects_test *t = test->priv;
	struct cc_chunk *chunk;

	start(test, SZ_128M, SZ_8M, 0);
	LARGEST->mag_size = 1;
	KUNIT_ASSERT_EQ(test, take(test, 1, SZ_512K), 1);
	live(60 * HZ);
	KUNIT_EXPECT_TRUE(test, asleep());
	chunk = cc_chunk_by_addr(t->tlb[0]);
	cc_slot_by_index(cc_index_by_addr(chunk, t->tlb[0]))->cpu = nr_cpu_ids;
	give(test, 1);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
}

/* Who has asked for memory holds slots, too, which may come to rest. */
static void defects_signals_asked(struct kunit *test)
{
	struct cc_class *class = &cc_classes[cc_test_class(SZ_4K)];

	start(test, SZ_128M, SZ_8M, 0);
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set_mark(class, SZ_512K / SZ_4K));
	live(60 * HZ);
	KUNIT_ASSERT_TRUE(test, asleep());
	KUNIT_ASSERT_EQ(test, take(test, 1, SZ_4K), 1);
	KUNIT_ASSERT_FALSE(test, cc_kicks.tick);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
	KUNIT_EXPECT_LE(test, cc_kccd_pass(cc_test_now), CC_TICK);
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set_mark(class, 0));
}

/* The same where slots are too large for magazines. */
static void defects_signals_bypass(struct kunit *test)
{
	start(test, SZ_16M, SZ_4M, 0);
	KUNIT_ASSERT_EQ(test, LARGEST->mag_size, 0);
	KUNIT_ASSERT_EQ(test, take(test, 4, SZ_512K), 4);
	live(60 * HZ);
	KUNIT_EXPECT_TRUE(test, asleep());
	give(test, 1);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
}

/* Without memory the target goes up once, for what mappings took, and then down. */
static void defects_target(struct kunit *test)
{
	start(test, SZ_128M, SZ_8M, 0);
	cc_fake_fail(CC_FAKE_MEMORY, 0, UINT_MAX);
	cc_test_log_begin(test);
	KUNIT_ASSERT_EQ(test, take(test, 12, SZ_512K), 12);
	live(CC_TICK / 2);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.target, 2 * SZ_8M);
	live(60 * HZ);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.target, SZ_8M);
	cc_test_log_end(test);
}

static unsigned int bursts;

static void burst(struct page *page, unsigned int order, bool share)
{
	if (share && bursts) {
		bursts--;
		take(kunit_get_current_test(), 4, SZ_512K);
	}
}

/* What mappings take while kccd is sharing memory is not forgotten. */
static void defects_target_while_growing(struct kunit *test)
{
	start(test, SZ_128M, SZ_8M, 0);
	live(10 * HZ);
	KUNIT_ASSERT_EQ(test, cc_swiotlb.target, SZ_8M);
	KUNIT_ASSERT_EQ(test, take(test, 1, SZ_512K), 1);
	bursts = 8;
	cc_fake.converted = burst;
	cc_kccd_pass(cc_test_now);
	KUNIT_EXPECT_EQ(test, bursts, 0);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.target, 2 * SZ_8M);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, 2 * SZ_8M);
}

/* What kccd gives to a class for its mark is not what mappings take. */
static void defects_own_take(struct kunit *test)
{
	struct cc_class *class = &cc_classes[cc_test_class(SZ_4K)];
	unsigned long mark = 0, target;

	start(test, SZ_128M, SZ_8M, 0);
	KUNIT_ASSERT_EQ(test, take(test, 16, SZ_512K), 16);
	live(2 * CC_TICK);
	target = cc_swiotlb.target;
	KUNIT_ASSERT_GT(test, target, SZ_8M);
	for (int i = 0; i < 3; i++) {
		mark += (target / 2 + SZ_1M) / SZ_4K;
		KUNIT_EXPECT_EQ(test, 0, cc_kccd_set_mark(class, mark));
		live(CC_TICK);
		KUNIT_EXPECT_GE(test, cc_class_free(class), mark);
	}
	KUNIT_EXPECT_LT(test, cc_swiotlb.target, target);
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set_mark(class, 0));
}

/* A mark is never filled from what the reserve promises to mappings. */
static void defects_mark(struct kunit *test)
{
	struct cc_class *class = &cc_classes[cc_test_class(SZ_4K)];

	start(test, SZ_128M, SZ_8M, 0);
	cc_fake_fail(CC_FAKE_MEMORY, 0, UINT_MAX);
	cc_test_log_begin(test);
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set_mark(class, SZ_4M / SZ_4K));
	live(10 * HZ);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, SZ_8M);
	KUNIT_EXPECT_EQ(test, cc_class_free(class), 0);
	cc_test_log_end(test);
	cc_fake_fail(CC_FAKE_MEMORY, 0, 0);
	live(CC_BACKOFF_MAX);
	KUNIT_EXPECT_GE(test, cc_class_free(class), SZ_4M / SZ_4K);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, SZ_8M);
}

/* What mappings take of a mark is there again at once, and kccd can rest. */
static void defects_mark_used(struct kunit *test)
{
	start(test, SZ_128M, SZ_4M, 4);
	live(10 * HZ);
	KUNIT_EXPECT_TRUE(test, asleep());
	KUNIT_ASSERT_EQ(test, take(test, 4, SZ_512K), 4);
	KUNIT_EXPECT_LT(test, cc_class_free(LARGEST), 4);
	cc_kccd_pass(cc_test_now);
	KUNIT_EXPECT_GE(test, cc_class_free(LARGEST), 4);
	live(60 * HZ);
	KUNIT_EXPECT_GE(test, cc_class_free(LARGEST), 4);
	KUNIT_EXPECT_TRUE(test, asleep());
}

/* A chunk stays until the mapping that it was given for can have taken a slot. */
static void defects_joined(struct kunit *test)
{
	struct cc_class *class = &cc_classes[cc_test_class(SZ_4K)];

	start(test, SZ_128M, SZ_4M, 0);
	live(10 * HZ);
	KUNIT_ASSERT_TRUE(test, cc_reserve_take(class, NUMA_NO_NODE, 1));
	cc_kccd_kick(CC_KICK_TICK);
	live(CC_TICK);
	KUNIT_EXPECT_GT(test, class->nr_slots, 0);
	live(60 * HZ);
	KUNIT_EXPECT_EQ(test, class->nr_slots, 0);
}

/* After a success the next failure is the first one. */
static void defects_backoff(struct kunit *test)
{
	start(test, SZ_128M, SZ_8M, 0);
	cc_fake_fail(CC_FAKE_MEMORY, 0, UINT_MAX);
	cc_test_log_begin(test);
	KUNIT_ASSERT_EQ(test, take(test, 4, SZ_512K), 4);
	live(5 * HZ);
	KUNIT_EXPECT_GT(test, cc_grow_backoff(cc_test_now), 0);
	cc_fake_fail(CC_FAKE_MEMORY, 0, 0);
	live(CC_BACKOFF_MAX);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
	cc_fake_fail(CC_FAKE_MEMORY, 0, UINT_MAX);
	KUNIT_ASSERT_EQ(test, take(test, 4, SZ_512K), 4);
	cc_kccd_pass(cc_test_now);
	KUNIT_EXPECT_EQ(test, cc_grow_backoff(cc_test_now), CC_BACKOFF_MIN);
	cc_test_log_end(test);
}

/* No chunk is large enough: look at all CPUs, not too often, and give up in the end. */
static void defects_starved(struct kunit *test)
{
	struct cc_class *class = &cc_classes[cc_test_class(SZ_256K)];
	unsigned long drains;

	cc_fake.max_order = CC_FRAME_SHIFT - PAGE_SHIFT;
	start(test, SZ_128M, SZ_4M, 0);
	live(10 * HZ);
	drains = cc_kccd_stats.drains;
	cc_test_log_begin(test);
	KUNIT_EXPECT_EQ(test, take(test, 1, SZ_256K), 0);
	KUNIT_EXPECT_TRUE(test, class->starved);
	live(3 * CC_BACKOFF_MIN);
	KUNIT_EXPECT_EQ(test, cc_kccd_stats.drains, drains + 1);
	for (unsigned int i = 0; i < 10 * HZ / CC_BACKOFF_MIN; i++) {
		KUNIT_EXPECT_EQ(test, take(test, 1, SZ_256K), 0);
		live(CC_BACKOFF_MIN);
	}
	KUNIT_EXPECT_LE(test, cc_kccd_stats.drains, drains + 11 * HZ / CC_RECLAIM_INTERVAL);
	live(4 * CC_BACKOFF_MAX);
	KUNIT_EXPECT_FALSE(test, class->starved);
	KUNIT_EXPECT_TRUE(test, asleep());
	cc_test_log_end(test);
}

/* A pass ends after a while, and the next one goes on. */
static void defects_long_pass(struct kunit *test)
{
	unsigned long before;

	start(test, SZ_128M, SZ_4M, 0);
	before = cc_kccd_stats.grown;
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.min, SZ_128M - SZ_8M));
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_pass(cc_test_now));
	KUNIT_EXPECT_LE(test, cc_kccd_stats.grown - before, SZ_64M + SZ_2M);
	live(1);
	KUNIT_EXPECT_GE(test, cc_swiotlb.shared, SZ_128M - SZ_8M);

	/* The other way, too. */
	KUNIT_EXPECT_EQ(test, cc_kccd_freeable(), 0);
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.min, 0));
	KUNIT_EXPECT_GT(test, cc_kccd_freeable(), SZ_64M);
	before = cc_kccd_stats.returned;
	cc_kccd_reclaim();
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_pass(cc_test_now));
	KUNIT_EXPECT_LE(test, cc_kccd_stats.returned - before, SZ_64M);
	live(1);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, SZ_4M + SZ_2M);
}

static unsigned long grown_before;

/* When a pass has shared nearly as much as it may, somebody asks for more. */
static void ask_late(struct page *page, unsigned int order, bool share)
{
	if (cc_kccd_stats.grown - grown_before < SZ_64M - SZ_128K)
		return;
	cc_fake.converted = NULL;
	LARGEST->starved = true;
	kick();
}

/* That is not in vain, and no reason to interrupt all CPUs. */
static void defects_long_pass_asked(struct kunit *test)
{
	unsigned long drains;

	cc_fake.max_order = CC_FRAME_SHIFT - PAGE_SHIFT;
	start(test, SZ_256M, SZ_1M, 0);
	live(10 * HZ);
	drains = cc_kccd_stats.drains;
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.min, cc_swiotlb.shared + SZ_128M));
	cc_kccd_kick(CC_KICK_TICK);
	cc_kccd_pass(cc_test_now);
	grown_before = cc_kccd_stats.grown;
	cc_fake.converted = ask_late;
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.min, cc_swiotlb.shared + SZ_128M));
	cc_test_now += CC_TICK;
	cc_kccd_pass(cc_test_now);
	KUNIT_EXPECT_NULL(test, cc_fake.converted);
	KUNIT_EXPECT_TRUE(test, LARGEST->starved);
	KUNIT_EXPECT_EQ(test, cc_kccd_stats.drains, drains);
	kick();
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
}

/* In one second kccd returns memory once, however often it passes. */
static void defects_ticks(struct kunit *test)
{
	unsigned long ticks;

	start(test, SZ_128M, SZ_4M, 0);
	ticks = cc_kccd_stats.ticks;
	for (unsigned int i = 0; i < 30; i++) {
		take(test, 1, SZ_512K);
		cc_kccd_pass(cc_test_now);
	}
	KUNIT_EXPECT_LE(test, cc_kccd_stats.ticks, ticks + 1);
	/* They go on while something moves. */
	for (unsigned int i = 0; i < 20; i++) {
		give(test, 1);
		take(test, 1, SZ_512K);
		live(CC_TICK);
	}
	ticks = cc_kccd_stats.ticks;
	for (unsigned int i = 0; i < 20; i++) {
		give(test, 1);
		take(test, 1, SZ_512K);
		live(CC_TICK);
	}
	KUNIT_EXPECT_GE(test, cc_kccd_stats.ticks, ticks + 19);
	KUNIT_EXPECT_LE(test, cc_kccd_stats.ticks, ticks + 21);
}

/* Though a class gets another chunk each second, what it does not use is returned. */
static void defects_growing(struct kunit *test)
{
	struct cc_class *class = &cc_classes[cc_test_class(SZ_64K)];

	start(test, SZ_128M, SZ_4M, 0);
	KUNIT_ASSERT_EQ(test, take(test, 32, SZ_64K), 32);
	give(test, 32);
	for (unsigned int second = 0; second < 40; second++) {
		KUNIT_ASSERT_TRUE(test, cc_reserve_take(class, NUMA_NO_NODE, LONG_MAX));
		cc_kccd_kick(CC_KICK_TICK);
		live(CC_TICK);
	}
	KUNIT_EXPECT_LE(test, class->nr_slots, 4 * SZ_512K / SZ_64K);
}

/* A pause between two bursts costs no conversion, whatever else stays mapped. */
static void defects_pause(struct kunit *test)
{
	unsigned int shares, unshares;

	start(test, SZ_128M, SZ_4M, 0);
	for (unsigned int i = 0; i < 80; i++) {
		KUNIT_ASSERT_EQ(test, take(test, 1, SZ_512K), 1);
		live(1);
	}
	live(10 * CC_TICK);
	for (unsigned int i = 0; i < 22; i++) {
		if (i == 2) {
			shares = cc_fake.calls[CC_FAKE_SHARE];
			unshares = cc_fake.calls[CC_FAKE_UNSHARE];
		}
		for (unsigned int n = 0; n < 32; n++) {
			KUNIT_ASSERT_EQ(test, take(test, 1, SZ_512K), 1);
			live(1);
		}
		give(test, 32);
		live(2 * CC_TICK);
	}
	KUNIT_EXPECT_LE(test, cc_fake.calls[CC_FAKE_SHARE], shares + 20);
	KUNIT_EXPECT_LE(test, cc_fake.calls[CC_FAKE_UNSHARE], unshares + 20);
	kunit_info(test, "%u shares, %u unshares", cc_fake.calls[CC_FAKE_SHARE] - shares,
		   cc_fake.calls[CC_FAKE_UNSHARE] - unshares);
}

static struct kunit_case defects_cases[] = {
	KUNIT_CASE(defects_fragmented),
	KUNIT_CASE(defects_requests),
	KUNIT_CASE(defects_request_at_limit),
	KUNIT_CASE(defects_request_flickers),
	KUNIT_CASE(defects_request_at_once),
	KUNIT_CASE(defects_request_wakes),
	KUNIT_CASE(defects_request_in_pass),
	KUNIT_CASE(defects_grace_periods),
	KUNIT_CASE(defects_signals),
	KUNIT_CASE(defects_signals_foreign),
	KUNIT_CASE(defects_signals_asked),
	KUNIT_CASE(defects_signals_bypass),
	KUNIT_CASE(defects_target),
	KUNIT_CASE(defects_target_while_growing),
	KUNIT_CASE(defects_own_take),
	KUNIT_CASE(defects_mark),
	KUNIT_CASE(defects_mark_used),
	KUNIT_CASE(defects_joined),
	KUNIT_CASE(defects_backoff),
	KUNIT_CASE(defects_starved),
	KUNIT_CASE(defects_long_pass),
	KUNIT_CASE(defects_long_pass_asked),
	KUNIT_CASE(defects_ticks),
	KUNIT_CASE(defects_growing),
	KUNIT_CASE(defects_pause),
	{}
};

static struct kunit_suite defects_suite = {
	.name = "cc_swiotlb_defects",
	.init = defects_init,
	.exit = defects_exit,
	.test_cases = defects_cases,
};

kunit_test_suite(defects_suite);

MODULE_DESCRIPTION("Tests of defects of the loop that were mended");
MODULE_LICENSE("GPL");
