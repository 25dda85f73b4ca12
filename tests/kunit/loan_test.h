/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Common to the suites about loans: the allocator with memory faked, and the slot and the
 * class of a loan.
 */
#ifndef _CC_SWIOTLB_LOAN_TEST_H
#define _CC_SWIOTLB_LOAN_TEST_H

#include <linux/cc_loan.h>
#include <linux/mm.h>

#include "cc_test.h"

struct loan_test {
	struct device *dev;
	void *buf;
};

static inline int loan_init(struct kunit *test)
{
	struct loan_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	cc_test_pin(test);
	cc_fake_begin(test);
	cc_test_start(test);
	t->dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	t->buf = cc_test_buffer(test, SZ_512K);
	cc_test_lend(test);
	return 0;
}

static inline void loan_exit(struct kunit *test)
{
	cc_test_stop(test);
	cc_fake_end(test);
}

static inline struct page *alloc(struct kunit *test, size_t size)
{
	struct page *page = cc_loan_alloc(size, NUMA_NO_NODE);

	KUNIT_ASSERT_NOT_NULL(test, page);
	return page;
}

/* What has been refused is refused for the rest of a jiffy. */
static inline void later(void)
{
	schedule_timeout_uninterruptible(1);
}

static inline struct cc_slot *slot_of(const struct page *page)
{
	struct cc_chunk *chunk = cc_chunk_by_addr(page_to_phys(page));

	return cc_slot_by_index(cc_index_by_addr(chunk, page_to_phys(page)));
}

static inline struct cc_class *class_of(const struct page *page)
{
	return cc_chunk_by_addr(page_to_phys(page))->class;
}

#endif /* _CC_SWIOTLB_LOAN_TEST_H */
