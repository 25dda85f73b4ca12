/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Common to the suites about magazines: mappings of 4 KiB by number, and what
 * the magazine of this CPU holds.
 */
#ifndef _CC_SWIOTLB_MAGAZINE_TEST_H
#define _CC_SWIOTLB_MAGAZINE_TEST_H

#include "cc_test.h"

#define SIZE	SZ_4K
#define MAX_TLB	640

/**
 * struct mag_test - a started allocator without kccd, and a device
 * @dev: the device
 * @class: the class that mappings of SIZE use
 * @nr: its number
 * @buf: what is mapped
 * @tlb: the mappings
 */
struct mag_test {
	struct device *dev;
	struct cc_class *class;
	unsigned int nr;
	phys_addr_t buf;
	phys_addr_t tlb[MAX_TLB];
};

static inline int magazine_init(struct kunit *test)
{
	struct mag_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	cc_test_pin(test);
	cc_test_start(test);
	t->dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	t->buf = virt_to_phys(cc_test_buffer(test, SZ_512K));
	t->nr = cc_test_class(SIZE);
	t->class = &cc_classes[t->nr];
	cc_test_enlarge(t->class, 16);
	return 0;
}

/* Map until one fails. Returns how many did not. */
static inline unsigned int take_some(struct mag_test *t, unsigned int from, unsigned int nr)
{
	for (unsigned int i = from; i < from + nr; i++) {
		if (i == MAX_TLB)
			return i - from;
		t->tlb[i] = cc_swiotlb_map(t->dev, t->buf, SIZE, 0, 0);
		if (cc_test_failed(t->tlb[i])) {
			cc_test_grow();
			t->tlb[i] = cc_swiotlb_map(t->dev, t->buf, SIZE, 0, 0);
		}
		if (cc_test_failed(t->tlb[i]))
			return i - from;
	}
	return nr;
}

static inline void take(struct kunit *test, unsigned int from, unsigned int nr)
{
	KUNIT_ASSERT_EQ(test, nr, take_some(test->priv, from, nr));
}

static inline void give(struct kunit *test, unsigned int from, unsigned int nr)
{
	struct mag_test *t = test->priv;

	for (unsigned int i = from; i < from + nr; i++)
		cc_test_give(t->tlb[i]);
}

static inline unsigned int loaded(struct mag_test *t)
{
	return cc_chain_count(cc_test_magazine(t->nr)->loaded);
}

static inline unsigned int spare(struct mag_test *t)
{
	return cc_chain_count(cc_test_magazine(t->nr)->spare);
}

static inline unsigned long pool_hits(struct mag_test *t)
{
	return cc_test_count(t->nr, CC_POOL) + cc_test_count(t->nr, CC_RESERVE);
}

#endif /* _CC_SWIOTLB_MAGAZINE_TEST_H */
