// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random histories of loans and mappings: what is lent, held by others, given back and let
 * go, in any order.
 */
#include <linux/cc_loan.h>
#include <linux/mm.h>
#include <linux/prandom.h>

#include "cc_test.h"

#define HISTORIES	10000
#define STEPS		24
#define NR_LIVE		12

/**
 * struct history - what a random history has done
 * @rnd: its random numbers
 * @page: loans, or NULL
 * @size: of each of them
 * @held: pages of loans that are over, of which this has a reference
 * @dev: a device
 * @buf: what is mapped for it
 * @tlb: the mapping, or 0
 * @lent: bytes that count for the budget
 */
struct history {
	struct rnd_state rnd;
	struct page *page[NR_LIVE];
	size_t size[NR_LIVE];
	struct page *held[NR_LIVE];
	struct device *dev;
	void *buf;
	phys_addr_t tlb;
	unsigned long lent;
};

static u32 rnd(struct history *h, u32 below)
{
	return prandom_u32_state(&h->rnd) % below;
}

static unsigned long slot_bytes(size_t size)
{
	return BIT(cc_classes[cc_test_class(max(size, PAGE_SIZE))].shift);
}

static void step_loan(struct kunit *test, struct history *h, unsigned int i)
{
	struct page *page = h->page[i];
	size_t size;

	if (page) {
		size = h->size[i];
		KUNIT_EXPECT_EQ(test, *(u32 *)page_address(page), i);
		if (!h->held[i] && !rnd(h, 4)) {
			h->held[i] = page + rnd(h, PFN_UP(size));
			get_page(h->held[i]);
		} else if (!h->held[i]) {
			h->lent -= slot_bytes(size);
		}
		cc_loan_free(page, size);
		h->page[i] = NULL;
		return;
	}
	/* What is held is counted until it is let go. */
	if (h->held[i])
		return;
	size = 1 + rnd(h, SZ_64K >> rnd(h, 5));
	h->page[i] = cc_loan_alloc(size, NUMA_NO_NODE);
	if (!h->page[i])
		return;
	h->size[i] = size;
	h->lent += slot_bytes(size);
	*(u32 *)page_address(h->page[i]) = i;
	KUNIT_EXPECT_TRUE(test, cc_loan_covers(page_to_phys(h->page[i]), size));
}

/* What a tick does about it; a whole one takes longer than all the rest. */
static void let_go(struct history *h, unsigned int i)
{
	if (!h->held[i] || h->page[i])
		return;
	put_page(h->held[i]);
	h->held[i] = NULL;
	mutex_lock(&cc_swiotlb.mutex);
	cc_loan_look();
	mutex_unlock(&cc_swiotlb.mutex);
	h->lent -= slot_bytes(h->size[i]);
}

static void step_map(struct kunit *test, struct history *h)
{
	if (h->tlb) {
		cc_test_unmap(h->dev, h->tlb, SZ_8K, DMA_TO_DEVICE);
		h->tlb = 0;
		return;
	}
	h->tlb = cc_test_map(h->dev, h->buf, SZ_8K, 0, DMA_TO_DEVICE);
	KUNIT_EXPECT_FALSE(test, cc_test_failed(h->tlb));
	KUNIT_EXPECT_FALSE(test, cc_loan_covers(h->tlb, 1));
}

static void step(struct kunit *test, struct history *h)
{
	unsigned int i = rnd(h, NR_LIVE);

	switch (rnd(h, 16)) {
	case 0:
		step_map(test, h);
		break;
	case 1:
		if (!rnd(h, 32))
			cc_test_tick();
		break;
	case 2:
	case 3:
		let_go(h, i);
		break;
	default:
		step_loan(test, h, i);
	}
	KUNIT_EXPECT_EQ(test, cc_loan_bytes(), h->lent);
}

/* Nothing is lost and nothing is used twice, whatever the order. */
static void loan_histories(struct kunit *test)
{
	struct history *h = kunit_kzalloc(test, sizeof(*h), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, h);
	h->dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	h->buf = cc_test_buffer(test, SZ_8K);
	for (unsigned int n = 0; n < HISTORIES && test->status == KUNIT_SUCCESS; n++) {
		prandom_seed_state(&h->rnd, n);
		for (unsigned int i = 0; i < STEPS; i++)
			step(test, h);
		if (n % 100 == 0)
			cc_test_check(test);
		for (unsigned int i = 0; i < NR_LIVE; i++) {
			if (h->page[i])
				step_loan(test, h, i);
			let_go(h, i);
		}
		if (h->tlb)
			step_map(test, h);
		KUNIT_EXPECT_EQ_MSG(test, cc_loan_bytes(), 0, "history %u", n);
		KUNIT_EXPECT_EQ_MSG(test, cc_used_bytes(), 0, "history %u", n);
		KUNIT_EXPECT_EQ_MSG(test, cc_swiotlb.loans_held.bytes, 0, "history %u", n);
		h->lent = 0;
		cond_resched();
	}
	cc_test_settle(test);
	cc_test_check(test);
}

static int history_init(struct kunit *test)
{
	cc_test_pin(test);
	cc_fake_begin(test);
	cc_test_start(test);
	cc_test_lend(test);
	return 0;
}

static void history_exit(struct kunit *test)
{
	cc_test_stop(test);
	cc_fake_end(test);
}

static struct kunit_case history_cases[] = {
	KUNIT_CASE(loan_histories),
	{}
};

static struct kunit_suite history_suite = {
	.name = "cc_swiotlb_loan_history",
	.init = history_init,
	.exit = history_exit,
	.test_cases = history_cases,
};

kunit_test_suite(history_suite);

MODULE_DESCRIPTION("Test of random histories of loans of cc-swiotlb");
MODULE_LICENSE("GPL");
