/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Common to the suites about defects: slots by number, limits, and kccd's time.
 */
#ifndef _CC_SWIOTLB_DEFECTS_TEST_H
#define _CC_SWIOTLB_DEFECTS_TEST_H

#include <linux/gfp.h>

#include "cc_test.h"

#define MANY	2048
#define LARGEST	(&cc_classes[CC_CHUNK_CLASS])

struct defects_test {
	struct device *dev;
	phys_addr_t buf;
	unsigned int nr;
	phys_addr_t tlb[MANY];
};

static inline int defects_init(struct kunit *test)
{
	struct defects_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	t->dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	t->buf = virt_to_phys(cc_test_buffer(test, SZ_512K));
	cc_test_pin(test);
	cc_fake_begin(test);
	return 0;
}

/* Slots of @size bytes for the test; how many there were, @nr at most. */
static inline unsigned int take(struct kunit *test, unsigned int nr, size_t size)
{
	struct defects_test *t = test->priv;
	unsigned int got = 0;

	for (; got < nr && t->nr < MANY; got++) {
		t->tlb[t->nr] = cc_swiotlb_map(t->dev, t->buf, size, 0, 0);
		if (cc_test_failed(t->tlb[t->nr]))
			break;
		t->nr++;
	}
	return got;
}

static inline void give(struct kunit *test, unsigned int nr)
{
	struct defects_test *t = test->priv;

	while (nr-- && t->nr)
		cc_test_give(t->tlb[--t->nr]);
}

static inline void defects_exit(struct kunit *test)
{
	cc_fake.converted = NULL;
	give(test, MANY);
	cc_test_stop(test);
	cc_fake_end(test);
}

/* Start with these limits, and no marks but that of the largest class. */
static inline void start(struct kunit *test, unsigned long max, unsigned long reserve,
			 unsigned long mark)
{
	struct cc_options opts;

	cc_test_options(&opts);
	opts.max = max;
	opts.min = 0;
	opts.reserve = reserve;
	memset(opts.mark, 0, sizeof(opts.mark));
	opts.mark[CC_CHUNK_CLASS] = mark;
	cc_test_log_begin(test);
	cc_test_start_with(test, &opts, false);
	cc_test_log_end(test);
}

/* What the thread does in @span jiffies. Returns the number of its passes. */
static inline unsigned int live(unsigned long span)
{
	unsigned long end = cc_test_now + span, sleep;
	unsigned int passes = 0;

	do {
		sleep = cc_kccd_pass(cc_test_now);
		if (cc_kccd_pending(cc_test_now))
			sleep = 0;
		if (sleep > end - cc_test_now)
			break;
		cc_test_now += sleep;
	} while (++passes < 10000);
	cc_test_now = end;
	return passes;
}

static inline void kick(void)
{
	cc_kccd_ask(CC_ASK_ALL);
}

static inline bool asleep(void)
{
	return cc_kccd_pass(cc_test_now) == MAX_SCHEDULE_TIMEOUT &&
	       !cc_kccd_pending(cc_test_now);
}

void wakes_begin(void);
unsigned int wakes(void);
void wakes_end(void);

/**
 * struct graces - grace periods since count_grace_periods()
 * @nr: how many
 * @lacking: when one began, the reserve was below its target
 * @table: what chunks were found by when the last one began
 */
struct graces {
	unsigned int nr;
	bool lacking;
	struct cc_chunk_table *table;
};

extern struct graces graces;
void count_grace_periods(struct kunit *test);

/* For cc_fake.converted: a reboot begins with a conversion. */
static inline void reboot_now(struct page *page, unsigned int order, bool share)
{
	WRITE_ONCE(cc_swiotlb.stopping, true);
}

#endif /* _CC_SWIOTLB_DEFECTS_TEST_H */
