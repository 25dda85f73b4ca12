// SPDX-License-Identifier: GPL-2.0-only
/*
 * kccd: watermarks, growth, decay, return, backoff. No thread runs: the tests
 * take its steps and ticks themselves, with nothing real below them.
 */
#include <linux/dma-map-ops.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/shrinker.h>
#include <linux/slab.h>

#include "cc_test.h"

#define BURST	64

struct kccd_test {
	struct device *dev;
	u8 *buf;
	phys_addr_t tlb[BURST];
};

static int kccd_init(struct kunit *test)
{
	struct kccd_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	t->buf = cc_test_buffer(test, SZ_512K);
	test->priv = t;
	cc_test_pin(test);
	cc_fake_begin(test);
	cc_test_start(test);
	return 0;
}

static void kccd_exit(struct kunit *test)
{
	cc_test_stop(test);
	cc_fake_end(test);
}

/* Map up to @nr buffers; return how many slots of the allocator they got. */
static unsigned int take(struct kccd_test *t, unsigned int nr, size_t size,
			 bool step)
{
	unsigned int served = 0;

	for (unsigned int i = 0; i < nr; i++) {
		t->tlb[i] = cc_swiotlb_map(t->dev, virt_to_phys(t->buf), size,
					   0, 0);
		served += !cc_test_failed(t->tlb[i]);
		if (step)
			cc_test_grow();
	}
	return served;
}

static void give(struct kccd_test *t, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		if (!cc_test_failed(t->tlb[i]))
			cc_test_give(t->tlb[i]);
}

/* The reserve, and the marks, are there when the allocator has started. */
static void kccd_start(struct kunit *test)
{
	struct cc_options opts;

	cc_test_options(&opts);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.target, opts.reserve);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, opts.reserve);
	KUNIT_EXPECT_LT(test, cc_swiotlb.reserve_bytes, opts.reserve + SZ_2M);
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		KUNIT_EXPECT_GE(test, cc_class_free(&cc_classes[i]), opts.mark[i]);
	KUNIT_EXPECT_EQ(test, cc_kccd_stats.grown, cc_swiotlb.shared);
	KUNIT_EXPECT_EQ(test, 0, cc_grow_backoff(cc_test_now));

	/* Without marks the reserve is all there is, to the byte. */
	kccd_exit(test);
	cc_fake_begin(test);
	memset(opts.mark, 0, sizeof(opts.mark));
	cc_test_start_with(test, &opts, false);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.reserve_bytes, opts.reserve);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, opts.reserve);
}

/* A step without need does nothing, and one with need does what is needed. */
static void kccd_idle_step(struct kunit *test)
{
	unsigned int before = cc_fake.calls[CC_FAKE_SHARE];

	KUNIT_EXPECT_EQ(test, 0, cc_test_grow());
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_SHARE], before);
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_UNSHARE], 0);
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.min, cc_swiotlb.shared + SZ_64K));
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_SHARE], before);
	KUNIT_EXPECT_EQ(test, 0, cc_test_grow());
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_SHARE], before + 1);
}

/* What is taken from the reserve is filled up again. */
static void kccd_refill(struct kunit *test)
{
	struct kccd_test *t = test->priv;

	/* Two slots for the mark, two chunks beyond the target, and two more. */
	KUNIT_ASSERT_EQ(test, 6, take(t, 6, SZ_512K, false));
	KUNIT_ASSERT_LT(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
	KUNIT_EXPECT_EQ(test, 0, cc_test_grow());
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
	give(t, 6);
}

/* The target doubles when the reserve ran low, up to a quarter of the limit. */
static void kccd_target_grows(struct kunit *test)
{
	struct kccd_test *t = test->priv;
	unsigned long target = cc_swiotlb.target;

	/* A little is taken: the target stays. */
	KUNIT_ASSERT_EQ(test, 2, take(t, 2, SZ_512K, false));
	cc_test_grow();
	KUNIT_EXPECT_EQ(test, cc_swiotlb.target, target);
	give(t, 2);
	cc_test_settle(test);

	/* All of it is taken: the target doubles once. */
	KUNIT_ASSERT_GE(test, take(t, BURST, SZ_512K, false), 8);
	KUNIT_EXPECT_EQ(test, 0, cc_swiotlb.reserve_bytes);
	KUNIT_EXPECT_EQ(test, 0, cc_test_grow());
	KUNIT_EXPECT_EQ(test, cc_swiotlb.target, 2 * target);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
	give(t, BURST);

	/* Time and again: up to its limit. */
	for (int i = 0; i < 20; i++) {
		unsigned long flags;

		raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
		cc_swiotlb.taken += cc_swiotlb.target;
		raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
		cc_kccd_ask(CC_ASK_ALL);
		cc_test_now += CC_BACKOFF_MIN;
		cc_test_grow();
	}
	KUNIT_EXPECT_LE(test, cc_swiotlb.target, cc_swiotlb.max / 4);
	KUNIT_EXPECT_GT(test, cc_swiotlb.target, cc_swiotlb.max / 8);

	/* And down again, step by step, when nobody needs it. */
	cc_test_settle(test);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.target, cc_swiotlb.reserve_min);
	KUNIT_EXPECT_LT(test, cc_swiotlb.reserve_bytes, cc_swiotlb.reserve_min + SZ_2M);
}

/* The whole cycle: growth in a burst, all of it returned after it. */
static void kccd_returns_memory(struct kunit *test)
{
	struct kccd_test *t = test->priv;
	unsigned long idle, peak;
	int ticks = 0;

	cc_test_settle(test);
	idle = cc_swiotlb.shared;
	KUNIT_EXPECT_EQ(test, BURST, take(t, BURST, SZ_512K, true));
	peak = cc_swiotlb.shared;
	KUNIT_EXPECT_GE(test, peak, BURST * SZ_512K);
	cc_test_check(test);
	/* Nothing that is used is returned, however long it takes. */
	for (int i = 0; i < 50; i++)
		cc_test_tick();
	KUNIT_EXPECT_GE(test, cc_swiotlb.shared, BURST * SZ_512K);
	give(t, BURST);
	while (cc_swiotlb.shared > idle + SZ_2M && ticks < 60) {
		cc_test_tick();
		ticks++;
	}
	KUNIT_EXPECT_LT_MSG(test, ticks, 60, "%lu KiB left", cc_swiotlb.shared >> 10);
	/* Gradually: the next burst may come soon. */
	KUNIT_EXPECT_GT(test, ticks, 3);
	cc_test_settle(test);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, idle + SZ_2M);
	KUNIT_EXPECT_GE(test, cc_swiotlb.shared, cc_swiotlb.reserve_min);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.peak, peak);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.target, cc_swiotlb.reserve_min);
	KUNIT_EXPECT_EQ(test, cc_kccd_stats.grown - cc_kccd_stats.returned, cc_swiotlb.shared);
	cc_test_check(test);
}

/* A burst that comes back within a second costs no conversion. */
static void kccd_hysteresis(struct kunit *test)
{
	struct kccd_test *t = test->priv;
	unsigned int shares, unshares;

	for (int i = 0; i < 4; i++) {
		KUNIT_ASSERT_EQ(test, 32, take(t, 32, SZ_64K, true));
		give(t, 32);
		cc_test_tick();
	}
	shares = cc_fake.calls[CC_FAKE_SHARE];
	unshares = cc_fake.calls[CC_FAKE_UNSHARE];
	for (int i = 0; i < 20; i++) {
		KUNIT_ASSERT_EQ(test, 32, take(t, 32, SZ_64K, true));
		give(t, 32);
		cc_test_tick();
	}
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_SHARE], shares);
	KUNIT_EXPECT_LE(test, cc_fake.calls[CC_FAKE_UNSHARE], unshares + 2);
	unshares = cc_fake.calls[CC_FAKE_UNSHARE];
	cc_test_settle(test);
	KUNIT_EXPECT_GT_MSG(test, cc_fake.calls[CC_FAKE_UNSHARE], unshares,
			    "nothing had grown, or nothing is ever returned");
}

/* Map @bytes in slots of each size. Returns how many; a failure fails the test. */
static unsigned int burst(struct kunit *test, phys_addr_t *tlb, const unsigned long *sizes,
			  unsigned long bytes)
{
	struct kccd_test *t = test->priv;
	unsigned int nr = 0, failed = 0;

	for (unsigned int i = 0; i < 3; i++)
		for (unsigned long n = bytes / sizes[i]; n--; ) {
			tlb[nr] = cc_swiotlb_map(t->dev, virt_to_phys(t->buf), sizes[i], 0, 0);
			if (cc_test_failed(tlb[nr]))
				failed++;
			else
				nr++;
		}
	KUNIT_EXPECT_EQ(test, failed, 0);
	return nr;
}

/*
 * A burst in several classes that needs all of the reserve is served, where nothing else
 * could be shared, and so is the next one, in others. This is what the guarantee says of
 * one CPU.
 */
static void kccd_reserve_serves_all(struct kunit *test)
{
	static const unsigned long sizes[][3] = {
		{ SZ_2K, SZ_16K, SZ_64K }, { SZ_4K, SZ_32K, SZ_512K },
	};
	struct cc_options opts;
	unsigned long bytes;
	unsigned int nr;
	phys_addr_t *tlb;

	kccd_exit(test);
	cc_fake_begin(test);
	cc_test_options(&opts);
	memset(opts.mark, 0, sizeof(opts.mark));
	opts.max = opts.reserve;
	cc_test_start_with(test, &opts, false);
	bytes = opts.reserve / 3 - SZ_512K - 3 * SZ_32K;
	tlb = kunit_kcalloc(test, 3 * bytes / SZ_2K, sizeof(*tlb), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, tlb);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		KUNIT_EXPECT_EQ(test, cc_swiotlb.reserve_bytes, opts.reserve);
		nr = burst(test, tlb, sizes[i], bytes);
		KUNIT_EXPECT_LT(test, cc_swiotlb.reserve_bytes, opts.reserve / 4);
		while (nr--)
			cc_test_give(tlb[nr]);
		cc_test_settle(test);
	}
	cc_test_check(test);
}

/* The limit is kept; there kccd tries nothing, until it hears of something. */
static void kccd_limit(struct kunit *test)
{
	struct kccd_test *t = test->priv;
	struct cc_options opts;

	kccd_exit(test);
	cc_fake_begin(test);
	cc_test_options(&opts);
	/* No multiple of the usual block: smaller ones fill what is left. */
	opts.max = SZ_16M + 3 * SZ_64K;
	cc_test_start_with(test, &opts, false);
	cc_test_log_begin(test);
	KUNIT_EXPECT_LT(test, take(t, BURST, SZ_512K, true), BURST);
	KUNIT_EXPECT_EQ(test, -EAGAIN, cc_test_grow());
	cc_test_settle(test);
	KUNIT_EXPECT_EQ(test, MAX_SCHEDULE_TIMEOUT, cc_kccd_pass(cc_test_now));
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 0, cc_grow_backoff(cc_test_now));
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, opts.max);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.peak, opts.max);
	cc_test_check(test);
	give(t, BURST);
	cc_test_settle(test);
	KUNIT_EXPECT_EQ(test, 0, cc_test_grow());
}

/* Memory that is to be kept when idle is kept. */
static void kccd_minimum(struct kunit *test)
{
	cc_swiotlb.min = SZ_16M;
	KUNIT_EXPECT_EQ(test, 0, cc_test_grow());
	KUNIT_EXPECT_GE(test, cc_swiotlb.shared, SZ_16M);
	cc_test_settle(test);
	KUNIT_EXPECT_GE(test, cc_swiotlb.shared, SZ_16M);
	cc_swiotlb.min = 0;
	cc_test_settle(test);
	KUNIT_EXPECT_LT(test, cc_swiotlb.shared, SZ_16M);
}

/* The marks of the classes are kept free, and survive the decay. */
static void kccd_marks(struct kunit *test)
{
	static const u8 shifts[] = { 9, 11, 12, 14, 19 };
	struct kccd_test *t = test->priv;
	struct cc_options opts;

	kccd_exit(test);
	cc_fake_begin(test);
	cc_test_options(&opts);
	for (unsigned int i = 0; i < ARRAY_SIZE(shifts); i++)
		opts.mark[shifts[i] - CC_SLOT_MIN_SHIFT] = 10 * (i + 1);
	cc_test_start_with(test, &opts, false);
	for (int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(shifts); i++) {
			struct cc_class *class = &cc_classes[shifts[i] - CC_SLOT_MIN_SHIFT];

			KUNIT_EXPECT_GE_MSG(test, cc_class_free(class), 10 * (i + 1),
					    "round %d class %u", round, 1U << shifts[i]);
		}
		if (!round) {
			KUNIT_EXPECT_EQ(test, 30, take(t, 30, SZ_16K, false));
			KUNIT_EXPECT_EQ(test, 0, cc_test_grow());
		} else if (round == 1) {
			give(t, 30);
			cc_test_settle(test);
		}
	}
	cc_test_check(test);
}

/* Growth that fails is tried again later and later, then as soon as it works. */
static void kccd_backoff(struct kunit *test)
{
	static const enum cc_fake_call calls[] = {
		CC_FAKE_MEMORY, CC_FAKE_METADATA, CC_FAKE_SHARE,
	};
	struct kccd_test *t = test->priv;

	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		unsigned long backoff, last = 0;

		take(t, BURST, SZ_512K, false);
		cc_fake_fail(calls[i], 0, UINT_MAX);
		cc_test_log_begin(test);
		for (int j = 0; j < 16; j++) {
			unsigned int n = cc_fake.calls[calls[i]];

			cc_test_now += cc_grow_backoff(cc_test_now);
			KUNIT_EXPECT_EQ(test, -EAGAIN, cc_test_grow());
			KUNIT_EXPECT_GT(test, cc_fake.calls[calls[i]], n);
			/* It does not spin: one attempt, with all sizes. */
			KUNIT_EXPECT_LE(test, cc_fake.calls[calls[i]], n + 12);
			backoff = cc_grow_backoff(cc_test_now);
			KUNIT_EXPECT_GT(test, backoff, 0);
			KUNIT_EXPECT_LE(test, backoff, 10 * HZ);
			if (last && last < 4 * HZ)
				KUNIT_EXPECT_GE(test, backoff, last + last / 2);
			last = backoff;
		}
		cc_test_log_end(test);
		KUNIT_EXPECT_GT(test, last, 8 * HZ);
		cc_fake_fail(calls[i], 0, 0);
		/* Not before that is over, and then at once. */
		cc_test_now += last - 1;
		KUNIT_EXPECT_EQ(test, -EAGAIN, cc_test_grow());
		cc_test_now += 1;
		KUNIT_EXPECT_EQ(test, 0, cc_test_grow());
		KUNIT_EXPECT_EQ(test, 0, cc_grow_backoff(cc_test_now));
		KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
		give(t, BURST);
		cc_test_check(test);
		cc_test_settle(test);
	}
	KUNIT_EXPECT_GE(test, cc_kccd_stats.grow_failed, 3 * 16);
}

/* After a reboot or kexec has begun, nothing is converted any more. */
static void kccd_stopping(struct kunit *test)
{
	struct kccd_test *t = test->priv;
	unsigned int shares;

	/* There is much to return, and the reserve is empty. */
	take(t, BURST, SZ_512K, true);
	give(t, BURST);
	cc_swiotlb.stopping = true;
	shares = cc_fake.calls[CC_FAKE_SHARE];
	cc_swiotlb.target = cc_swiotlb.max;
	KUNIT_EXPECT_EQ(test, -EAGAIN, cc_test_grow());
	cc_swiotlb.target = cc_swiotlb.reserve_min;
	for (int i = 0; i < 50; i++)
		cc_test_tick();
	KUNIT_EXPECT_EQ(test, shares, cc_fake.calls[CC_FAKE_SHARE]);
	KUNIT_EXPECT_EQ(test, 0, cc_fake.calls[CC_FAKE_UNSHARE]);
	/* What is there still serves. */
	KUNIT_EXPECT_EQ(test, BURST, take(t, BURST, SZ_512K, true));
	give(t, BURST);
	cc_swiotlb.stopping = false;
	cc_test_settle(test);
	KUNIT_EXPECT_GT(test, cc_fake.calls[CC_FAKE_UNSHARE], 0);
}

/* The depot's idle slots, and those alone, go back to the gen_pool. */
static void kccd_depot_decay(struct kunit *test)
{
	struct kccd_test *t = test->priv;
	struct cc_class *class = &cc_classes[cc_test_class(SZ_64K)];
	unsigned int slots;

	KUNIT_ASSERT_EQ(test, BURST, take(t, BURST, SZ_64K, true));
	give(t, BURST);
	cc_test_drain_all();
	slots = class->node->depot.slots;
	KUNIT_ASSERT_GE(test, slots, BURST);
	/* The first tick sets the mark, the second one drains what is below it. */
	cc_test_tick();
	KUNIT_EXPECT_EQ(test, class->node->depot.slots, slots);
	cc_test_tick();
	KUNIT_EXPECT_LT(test, class->node->depot.slots, slots);
	cc_test_settle(test);
	KUNIT_EXPECT_EQ(test, class->node->depot.slots, 0);
	cc_test_check(test);
}

/* A magazine larger than what seems to be idle does not stay for ever. */
static void kccd_depot_large(struct kunit *test)
{
	struct kccd_test *t = test->priv;
	struct cc_class *class = &cc_classes[cc_test_class(SZ_4K)];
	u64 small, large;

	cc_test_enlarge(class, 16);
	migrate_disable();
	KUNIT_EXPECT_EQ(test, 16, take(t, 16, SZ_4K, false));
	give(t, 16);
	migrate_enable();
	cc_test_drain_all();
	large = cc_depot_pop(class, 0, UINT_MAX, 0);
	cc_depot_drain(class, 0, UINT_MAX);
	KUNIT_ASSERT_GT(test, cc_chain_count(large), 2);
	/* Make it two: one slot below, the rest above. */
	small = cc_chain(cc_chain_index(large), 1);
	large = cc_chain(cc_slot_by_index(cc_chain_index(large))->next,
			 cc_chain_count(large) - 1);
	cc_slot_by_index(cc_chain_index(small))->next = 0;
	cc_depot_push(class, small);
	cc_depot_push(class, large);
	class->node->depot.low = 1;
	for (int i = 0; i < 3; i++)
		cc_test_tick();
	KUNIT_EXPECT_EQ(test, class->node->depot.slots, 0);
}

/* Fragmented memory must not starve a class, which has no mark, for ever. */
static void kccd_starved(struct kunit *test)
{
	struct kccd_test *t = test->priv;
	struct cc_options opts;

	/* Without marks: those of the largest class would feed the others. */
	kccd_exit(test);
	cc_fake_begin(test);
	cc_test_options(&opts);
	memset(opts.mark, 0, sizeof(opts.mark));
	cc_test_start_with(test, &opts, false);
	cc_fake.max_order = CC_FRAME_SHIFT - PAGE_SHIFT;
	cc_test_log_begin(test);
	KUNIT_EXPECT_LT(test, take(t, BURST, SZ_256K, true), BURST);
	cc_test_log_end(test);
	give(t, BURST);
	cc_test_check(test);
	/* Now there is memory again, but the reserve is full of small chunks. */
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
	cc_fake.max_order = MAX_PAGE_ORDER;
	cc_test_now += CC_BACKOFF_MAX;
	take(t, BURST, SZ_256K, true);
	give(t, BURST);
	KUNIT_EXPECT_EQ(test, BURST, take(t, BURST, SZ_256K, true));
	give(t, BURST);
	cc_test_check(test);
}

/* A mark that no page is large enough for does not make kccd take all memory. */
static void kccd_fragmented(struct kunit *test)
{
	struct cc_options opts;

	kccd_exit(test);
	cc_fake_begin(test);
	cc_fake.max_order = CC_CHUNK_SHIFT - 1 - PAGE_SHIFT;
	cc_test_options(&opts);
	cc_test_start_with(test, &opts, false);
	KUNIT_EXPECT_LT(test, cc_class_free(&cc_classes[CC_CHUNK_CLASS]),
			opts.mark[CC_CHUNK_CLASS]);
	for (int i = 0; i < 10; i++)
		KUNIT_EXPECT_EQ(test, 0, cc_test_grow());
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, opts.reserve + SZ_2M);
	/* As soon as there is one, it is taken. */
	cc_fake.max_order = MAX_PAGE_ORDER;
	cc_test_now += CC_BACKOFF_MAX;
	KUNIT_EXPECT_EQ(test, 0, cc_test_grow());
	KUNIT_EXPECT_GE(test, cc_class_free(&cc_classes[CC_CHUNK_CLASS]),
			opts.mark[CC_CHUNK_CLASS]);
	cc_test_check(test);
}

/* With the thread: a burst is served, and the memory returns by itself. */
static void kccd_thread(struct kunit *test)
{
	struct kccd_test *t = test->priv;
	unsigned long idle, limit;
	unsigned int served = 0;
	struct cc_options opts;

	kccd_exit(test);
	cc_fake_remove(test);
	kunit_deactivate_static_stub(test, cc_kccd_run);
	cc_test_options(&opts);
	cc_test_start_with(test, &opts, true);
	idle = cc_swiotlb.shared;
	limit = jiffies + 20 * HZ;
	while (served < BURST && time_before(jiffies, limit)) {
		t->tlb[served] = cc_swiotlb_map(t->dev, virt_to_phys(t->buf),
						SZ_512K, 0, 0);
		if (cc_test_failed(t->tlb[served]))
			schedule_timeout_uninterruptible(1);
		else
			served++;
	}
	KUNIT_EXPECT_EQ(test, served, BURST);
	KUNIT_EXPECT_GE(test, cc_swiotlb.shared, BURST * SZ_512K);
	give(t, served);
	limit = jiffies + 60 * HZ;
	while (READ_ONCE(cc_swiotlb.shared) > idle + SZ_8M && time_before(jiffies, limit))
		schedule_timeout_uninterruptible(HZ / 4);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, idle + SZ_8M);
}

/* What failed is tried again without another mapping that asks for it. */
static void kccd_retries(struct kunit *test)
{
	struct kccd_test *t = test->priv;
	unsigned long limit;
	struct cc_options opts;

	kccd_exit(test);
	cc_fake_begin(test);
	cc_test_options(&opts);
	memset(opts.mark, 0, sizeof(opts.mark));
	kunit_deactivate_static_stub(test, cc_kccd_run);
	kunit_activate_static_stub(test, cc_kccd_run, cc_fake_run);
	cc_test_start_with(test, &opts, true);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, cc_fake_thread);
	cc_test_log_begin(test);
	cc_fake_fail(CC_FAKE_MEMORY, 0, UINT_MAX);
	/* A class that is starved would ask again by itself. */
	KUNIT_ASSERT_EQ(test, 4, take(t, 4, SZ_512K, false));
	limit = jiffies + 20 * HZ;
	/* More often than the mappings above have asked for it. */
	while (READ_ONCE(cc_kccd_stats.grow_failed) < 6 && time_before(jiffies, limit))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_GE(test, READ_ONCE(cc_kccd_stats.grow_failed), 6);
	KUNIT_EXPECT_LT(test, READ_ONCE(cc_swiotlb.reserve_bytes), cc_swiotlb.target);
	cc_fake_fail(CC_FAKE_MEMORY, 0, 0);
	limit = jiffies + 30 * HZ;
	while (READ_ONCE(cc_swiotlb.reserve_bytes) < cc_swiotlb.target &&
	       time_before(jiffies, limit))
		schedule_timeout_uninterruptible(1);
	cc_test_log_end(test);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
	give(t, 4);
}

/* With nothing mapped, no more stays shared than a lower limit allows. */
static void kccd_lower_limit(struct kunit *test)
{
	struct cc_class *largest = &cc_classes[CC_CHUNK_CLASS];
	struct cc_options opts;
	unsigned long kept;

	cc_test_options(&opts);
	KUNIT_ASSERT_GT(test, cc_swiotlb.shared, opts.reserve);
	cc_test_log_begin(test);
	kept = opts.reserve + (largest->mark << largest->shift);
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.max, kept));
	cc_test_settle(test);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, kept);
	KUNIT_EXPECT_GE(test, cc_class_free(largest), largest->mark);
	cc_test_log_end(test);
}

/* A limit leaves room for the reserve and for all marks, not for each of them alone. */
static void kccd_keeps_all(struct kunit *test)
{
	struct cc_class *largest = &cc_classes[CC_CHUNK_CLASS];
	struct cc_class *small = &cc_classes[cc_test_class(SZ_4K)];

	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.max, SZ_64M));
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.reserve_min, SZ_8M));
	/* Nor does the target take what a mark needs. */
	cc_swiotlb.target = SZ_16M;
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set_mark(largest, (SZ_32M + SZ_16M + SZ_4M) / SZ_512K));
	KUNIT_EXPECT_LE(test, cc_swiotlb.target, SZ_8M + SZ_4M);
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set_mark(largest, SZ_16M / SZ_512K));
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set_mark(small, 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, cc_kccd_set(&cc_swiotlb.max, SZ_16M + SZ_8M + SZ_512K - 1));
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.max, SZ_16M + SZ_8M + SZ_512K));
	KUNIT_EXPECT_EQ(test, -EINVAL, cc_kccd_set(&cc_swiotlb.reserve_min, SZ_8M + SZ_64K));
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.min, cc_swiotlb.max));
	KUNIT_EXPECT_EQ(test, -EINVAL, cc_kccd_set(&cc_swiotlb.min, cc_swiotlb.max + SZ_64K));
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.min, 0));
	KUNIT_EXPECT_EQ(test, -EINVAL, cc_kccd_set_mark(largest, SZ_16M / SZ_512K + 1));
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set_mark(small, SZ_512K / SZ_4K));
	KUNIT_EXPECT_EQ(test, -EINVAL, cc_kccd_set_mark(small, SZ_512K / SZ_4K + 1));
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set_mark(small, 0));
	/* Nor modulo the size of a word, and what is larger takes whole blocks. */
	KUNIT_EXPECT_EQ(test, -EINVAL, cc_kccd_set_mark(small, 1UL << (BITS_PER_LONG - 12)));
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.max, SZ_16M + SZ_8M + SZ_1M));
	KUNIT_EXPECT_EQ(test, -EINVAL, cc_kccd_set_mark(largest + 1, 1));
	cc_test_log_begin(test);
	cc_test_settle(test);
	KUNIT_EXPECT_GE(test, cc_class_free(largest), largest->mark);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, SZ_8M);
	cc_test_log_end(test);
}

/* Without a reserve kccd learns from what mappings took, and only from that. */
static void kccd_no_reserve(struct kunit *test)
{
	struct kccd_test *t = test->priv;
	struct cc_options opts;

	kccd_exit(test);
	cc_fake_begin(test);
	cc_test_options(&opts);
	opts.reserve = 0;
	memset(opts.mark, 0, sizeof(opts.mark));
	opts.mark[CC_CHUNK_CLASS] = 6;
	cc_test_start_with(test, &opts, false);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.target, 0);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.taken, 0);
	cc_test_log_begin(test);
	KUNIT_EXPECT_EQ(test, 8, take(t, BURST, SZ_512K, false));
	cc_test_log_end(test);
	KUNIT_EXPECT_GT(test, cc_swiotlb.taken, 0);
	cc_test_grow();
	KUNIT_EXPECT_GT(test, cc_swiotlb.target, 0);
	give(t, BURST);
	cc_test_settle(test);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.target, 0);
}

static struct kunit_case kccd_cases[] = {
	KUNIT_CASE(kccd_start),
	KUNIT_CASE(kccd_idle_step),
	KUNIT_CASE(kccd_refill),
	KUNIT_CASE(kccd_target_grows),
	KUNIT_CASE(kccd_returns_memory),
	KUNIT_CASE(kccd_hysteresis),
	KUNIT_CASE(kccd_reserve_serves_all),
	KUNIT_CASE(kccd_limit),
	KUNIT_CASE(kccd_lower_limit),
	KUNIT_CASE(kccd_keeps_all),
	KUNIT_CASE(kccd_no_reserve),
	KUNIT_CASE(kccd_minimum),
	KUNIT_CASE(kccd_marks),
	KUNIT_CASE_SLOW(kccd_backoff),
	KUNIT_CASE_SLOW(kccd_retries),
	KUNIT_CASE(kccd_stopping),
	KUNIT_CASE(kccd_depot_decay),
	KUNIT_CASE(kccd_depot_large),
	KUNIT_CASE(kccd_starved),
	KUNIT_CASE(kccd_fragmented),
	KUNIT_CASE_SLOW(kccd_thread),
	{}
};

static struct kunit_suite kccd_suite = {
	.name = "cc_swiotlb_kccd",
	.init = kccd_init,
	.exit = kccd_exit,
	.test_cases = kccd_cases,
};

kunit_test_suite(kccd_suite);

MODULE_DESCRIPTION("Tests of kccd");
MODULE_LICENSE("GPL");
