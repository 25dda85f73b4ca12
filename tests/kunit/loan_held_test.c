// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loans that somebody holds when they come back, or that come back wrongly.
 */
#include <linux/page_ref.h>

#include "loan_test.h"

/* Gate: what somebody else has a reference to is not used again, nor returned. */
static void loan_held(struct kunit *test)
{
	struct loan_test *t = test->priv;
	struct page *page = alloc(test, SZ_16K), *again[8];
	unsigned long nr = SZ_16K / PAGE_SIZE;
	phys_addr_t tlb[8];

	for (unsigned int i = 0; i < nr; i++)
		get_page(page + i);
	get_page(page + nr - 1);
	cc_loan_free(page, SZ_16K);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.loans_held.bytes, SZ_16K);
	for (unsigned int i = 0; i < ARRAY_SIZE(again); i++) {
		again[i] = alloc(test, SZ_16K);
		KUNIT_EXPECT_PTR_NE(test, again[i], page);
		tlb[i] = cc_test_map(t->dev, t->buf, SZ_16K, 0, DMA_TO_DEVICE);
		KUNIT_EXPECT_NE(test, tlb[i], page_to_phys(page));
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(again); i++) {
		cc_loan_free(again[i], SZ_16K);
		cc_test_unmap(t->dev, tlb[i], SZ_16K, DMA_TO_DEVICE);
	}
	/* It is no loan any more: to who maps it, nor to who returns it. */
	KUNIT_EXPECT_FALSE(test, cc_loan_covers(page_to_phys(page), 1));

	/* kccd does not wait for it, and sleeps. One after the other lets go. */
	for (unsigned int i = 0; i < nr; i++) {
		cc_test_settle(test);
		KUNIT_EXPECT_EQ(test, cc_swiotlb.loans_held.bytes, SZ_16K);
		KUNIT_EXPECT_GT(test, class_of(page)->nr_slots, 0);
		cc_test_check(test);
		put_page(page + i);
	}
	cc_test_settle(test);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.loans_held.bytes, SZ_16K);
	put_page(page + nr - 1);
	cc_test_tick();
	KUNIT_EXPECT_EQ(test, cc_swiotlb.loans_held.bytes, 0);
	KUNIT_EXPECT_EQ(test, cc_loan_bytes(), 0);
	cc_test_settle(test);
	KUNIT_EXPECT_NULL(test, class_of(page));
	cc_test_check(test);
}

/* Who had it is not known any more when it is let go: it goes to no CPU. */
static void loan_held_to_pool(struct kunit *test)
{
	struct page *page = alloc(test, SZ_4K);
	struct cc_class *class = class_of(page);
	struct cc_magazine *mag = cc_test_magazine(class - cc_classes);
	unsigned int loaded = cc_chain_count(mag->loaded);
	unsigned long free = cc_class_free(class);

	get_page(page);
	cc_loan_free(page, SZ_4K);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.loans_held.bytes, SZ_4K);
	put_page(page);
	mutex_lock(&cc_swiotlb.mutex);
	cc_loan_look();
	mutex_unlock(&cc_swiotlb.mutex);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.loans_held.bytes, 0);
	KUNIT_EXPECT_EQ(test, cc_chain_count(mag->loaded), loaded);
	KUNIT_EXPECT_EQ(test, cc_chain_count(mag->foreign), 0);
	KUNIT_EXPECT_EQ(test, cc_class_free(class), free + 1);
	cc_test_check(test);
}

/* What a borrower has noted in the pages does not reach the page allocator. */
static void loan_private(struct kunit *test)
{
	struct page *page = alloc(test, 4 * PAGE_SIZE);

	for (unsigned int i = 0; i < 4; i++)
		set_page_private(page + i, i + 1);
	cc_loan_free(page, 4 * PAGE_SIZE);
	for (unsigned int i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, page_private(page + i), 0);
}

/* More than the reserve has. Returns what was shared before. */
static unsigned long lend_many(struct kunit *test, struct page **page, unsigned int nr,
			       size_t size)
{
	unsigned long shared;

	KUNIT_ASSERT_EQ(test, 0, cc_test_grow());
	cc_test_settle(test);
	shared = cc_swiotlb.shared;
	for (unsigned int i = 0; i < nr; i++) {
		page[i] = alloc(test, size);
		cc_test_grow();
	}
	KUNIT_EXPECT_GT(test, cc_swiotlb.shared, shared);
	return shared;
}

/* A loan that is a chunk, the first one of its block. */
static struct page *alloc_first(struct kunit *test)
{
	struct page *page[8], *first = NULL;
	unsigned int nr = 0;

	while (nr < ARRAY_SIZE(page) && !first) {
		cc_test_grow();
		page[nr] = alloc(test, SZ_512K);
		if (cc_chunk_by_addr(page_to_phys(page[nr]))->block->page == page[nr])
			first = page[nr];
		else
			nr++;
	}
	while (nr--)
		cc_loan_free(page[nr], SZ_512K);
	KUNIT_ASSERT_NOT_NULL(test, first);
	return first;
}

/* Gate: a reference in passing to the first page of a block is not taken for the loan's. */
static void loan_held_first(struct kunit *test)
{
	struct page *first = alloc_first(test), *third = first + 3;

	get_page(third);
	cc_loan_free(first, SZ_512K);
	get_page(first);
	cc_test_tick();
	KUNIT_ASSERT_EQ(test, page_ref_count(first), 4);
	put_page(first);
	put_page(third);
	cc_test_tick();
	KUNIT_EXPECT_EQ(test, page_ref_count(first), 1);
	KUNIT_EXPECT_EQ(test, page_ref_count(third), 0);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.loans_held.bytes, 0);
	cc_test_check(test);
}

/* Gate: the block of what is held stays, and all others go. */
static void loan_held_alone(struct kunit *test)
{
	struct page *page[16];
	unsigned long shared = lend_many(test, page, ARRAY_SIZE(page), SZ_512K);

	get_page(page[3] + 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(page); i++)
		cc_loan_free(page[i], SZ_512K);
	cc_test_settle(test);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.loans_held.bytes, SZ_512K);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, shared + SZ_2M);
	cc_test_check(test);
	put_page(page[3] + 1);
	cc_test_settle(test);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, shared);
	cc_test_check(test);
}

/* Idle loans cost nothing: their memory is private again. */
static void loan_returns(struct kunit *test)
{
	struct page *page[32];
	unsigned long shared = lend_many(test, page, ARRAY_SIZE(page), SZ_256K);

	for (unsigned int i = 0; i < ARRAY_SIZE(page); i++)
		cc_loan_free(page[i], SZ_256K);
	cc_test_settle(test);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, shared);
	KUNIT_EXPECT_EQ(test, cc_classes[cc_test_class(SZ_256K)].nr_slots, 0);
	/* Nobody can take a reference to a page that waits in the reserve. */
	cc_test_check(test);
}

/* Gate: a reference that is put once too often gives no page away. */
static void loan_stray_put(struct kunit *test)
{
	struct page *first = alloc_first(test);

	/* The first page of a block is counted when it is not lent, too. */
	for (int i = 0; i < 2; i++) {
		put_page(first + i);
		cc_test_log_begin(test);
		cc_loan_free(first, SZ_512K);
		cc_test_log_end(test);
		KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("a reference", "that nobody had"));
		KUNIT_EXPECT_EQ(test, cc_swiotlb.loans_held.bytes, 0);
		KUNIT_EXPECT_EQ(test, page_ref_count(first), 1);
		KUNIT_EXPECT_EQ(test, page_ref_count(first + 1), 0);
		first = alloc_first(test);
	}
	cc_loan_free(first, SZ_512K);
	cc_test_check(test);
}

/* Gate: who gets it wrong is told, and changes nothing. */
static void loan_misuse(struct kunit *test)
{
	struct loan_test *t = test->priv;
	struct page *page = alloc(test, 4 * PAGE_SIZE), *coherent;
	unsigned long frees = cc_loan_sum(CC_LOAN_FREES);
	phys_addr_t tlb;

	tlb = cc_test_map(t->dev, t->buf, 4 * PAGE_SIZE, 0, DMA_TO_DEVICE);
	coherent = cc_swiotlb_alloc_pages(t->dev, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, coherent);
	for (unsigned int i = 0; i < 5; i++) {
		struct page *wrong[] = {
			page + 1, virt_to_page(t->buf), pfn_to_page(PHYS_PFN(tlb)), coherent, page,
		};
		size_t size = i < 4 ? 4 * PAGE_SIZE : 3 * PAGE_SIZE;

		cc_test_log_begin(test);
		cc_loan_free(wrong[i], size);
		cc_loan_free(wrong[i], size);
		cc_test_log_end(test);
		KUNIT_EXPECT_EQ_MSG(test, 1, cc_test_log_lines("cc-swiotlb: return of",
							       "ignored"), "%u", i);
		KUNIT_EXPECT_TRUE(test, cc_loan_covers(page_to_phys(page), 4 * PAGE_SIZE));
	}
	KUNIT_EXPECT_EQ(test, cc_loan_sum(CC_LOAN_FREES), frees);
	KUNIT_EXPECT_EQ(test, cc_coherent_bytes(), PAGE_SIZE);
	cc_test_check(test);
	cc_test_unmap(t->dev, tlb, 4 * PAGE_SIZE, DMA_TO_DEVICE);
	cc_swiotlb_free_pages(t->dev, page_to_phys(coherent), PAGE_SIZE);

	/* Nor is a loan returned by those who free other things. */
	cc_test_log_begin(test);
	KUNIT_EXPECT_TRUE(test, cc_swiotlb_free_pages(t->dev, page_to_phys(page),
						      4 * PAGE_SIZE));
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("coherent free", "ignored"));
	KUNIT_EXPECT_TRUE(test, cc_loan_covers(page_to_phys(page), 4 * PAGE_SIZE));

	cc_loan_free(page, 4 * PAGE_SIZE);
	cc_test_log_begin(test);
	cc_loan_free(page, 4 * PAGE_SIZE);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("cc-swiotlb: return of", "returned twice"));
	KUNIT_EXPECT_EQ(test, cc_loan_bytes(), 0);
	cc_test_check(test);
}

static struct kunit_case loan_held_cases[] = {
	KUNIT_CASE(loan_held),
	KUNIT_CASE(loan_held_to_pool),
	KUNIT_CASE(loan_private),
	KUNIT_CASE(loan_held_first),
	KUNIT_CASE(loan_held_alone),
	KUNIT_CASE(loan_returns),
	KUNIT_CASE(loan_stray_put),
	KUNIT_CASE(loan_misuse),
	{}
};

static struct kunit_suite loan_held_suite = {
	.name = "cc_swiotlb_loan_held",
	.init = loan_init,
	.exit = loan_exit,
	.test_cases = loan_held_cases,
};

kunit_test_suite(loan_held_suite);

MODULE_DESCRIPTION("Tests of loans of cc-swiotlb that are held, or returned wrongly");
MODULE_LICENSE("GPL");
