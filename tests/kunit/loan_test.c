// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loans, with memory and conversions faked. dma_loan_test.c is about how devices get
 * them.
 */
#include <linux/irq_work.h>
#include <linux/page_ref.h>
#include <linux/string.h>
#include <linux/swiotlb.h>

#include "../holders.h"
#include "loan_test.h"

static const size_t size_params[] = {
	1, PAGE_SIZE, PAGE_SIZE + 1, 3 * PAGE_SIZE, 9 * PAGE_SIZE, SZ_64K, SZ_512K,
};

static void size_desc(const size_t *size, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%zu", *size);
}

KUNIT_ARRAY_PARAM(size, size_params, size_desc);

/* As many pages as are needed, shared and aligned, that are nobody else's. */
static void loan_sizes(struct kunit *test)
{
	size_t size = *(const size_t *)test->param_value, bytes = PAGE_ALIGN(size);
	unsigned int shared = cc_fake.calls[CC_FAKE_SHARE], memory;
	struct page *page[4];

	memory = cc_fake.calls[CC_FAKE_MEMORY] + cc_fake.calls[CC_FAKE_METADATA];
	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(page); i++) {
			page[i] = alloc(test, size);
			KUNIT_EXPECT_EQ(test, page_to_phys(page[i]) &
					      ((PAGE_SIZE << get_order(size)) - 1), 0);
			KUNIT_EXPECT_PTR_EQ(test, class_of(page[i]),
					    &cc_classes[cc_test_class(max(size, PAGE_SIZE))]);
			KUNIT_EXPECT_TRUE(test, cc_loan_covers(page_to_phys(page[i]), bytes));
			for (unsigned int j = 0; j < bytes / PAGE_SIZE; j++)
				KUNIT_EXPECT_GE(test, page_ref_count(page[i] + j), 2);
			memset(page_address(page[i]), i + 1, bytes);
		}
		for (unsigned int i = 0; i < ARRAY_SIZE(page); i++)
			KUNIT_EXPECT_NULL(test, memchr_inv(page_address(page[i]), i + 1, bytes));
		KUNIT_EXPECT_EQ(test, cc_loan_bytes(),
				ARRAY_SIZE(page) << class_of(page[0])->shift);
		KUNIT_EXPECT_EQ(test, cc_used_bytes(), cc_loan_bytes());
		cc_test_check(test);
		for (unsigned int i = 0; i < ARRAY_SIZE(page); i++)
			cc_loan_free(page[i], size);
		KUNIT_EXPECT_EQ(test, cc_loan_bytes(), 0);
		KUNIT_EXPECT_EQ(test, cc_used_bytes(), 0);
		KUNIT_EXPECT_FALSE(test, cc_loan_covers(page_to_phys(page[0]), bytes));
		cc_test_check(test);
	}
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_SHARE], shared);
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_MEMORY] + cc_fake.calls[CC_FAKE_METADATA],
			memory);
}

/* Gate: none is given before all CPUs look for loans where they map. */
static void loan_first(struct kunit *test)
{
	struct page *page;

	cc_test_stop(test);
	KUNIT_EXPECT_FALSE(test, cc_loan_enabled());
	KUNIT_EXPECT_NULL(test, cc_loan_alloc(PAGE_SIZE, NUMA_NO_NODE));
	cc_test_start(test);
	KUNIT_EXPECT_TRUE(test, cc_loan_enabled());
	KUNIT_EXPECT_FALSE(test, cc_swiotlb_lends());
	cc_test_lend(test);
	page = alloc(test, PAGE_SIZE);
	cc_loan_free(page, PAGE_SIZE);
}

/* What is no size of a loan. */
static void loan_refused(struct kunit *test)
{
	KUNIT_EXPECT_NULL(test, cc_loan_alloc(0, NUMA_NO_NODE));
	KUNIT_EXPECT_NULL(test, cc_loan_alloc(CC_LOAN_MAX + 1, NUMA_NO_NODE));
	KUNIT_EXPECT_NULL(test, cc_loan_alloc(SIZE_MAX, NUMA_NO_NODE));
	KUNIT_EXPECT_EQ(test, cc_loan_bytes(), 0);
	cc_test_check(test);
}

/* It is the slot that a mapping would have, from the same magazine. */
static void loan_is_slot(struct kunit *test)
{
	struct loan_test *t = test->priv;
	struct page *page = alloc(test, SZ_16K);
	phys_addr_t addr = page_to_phys(page), tlb;

	cc_loan_free(page, SZ_16K);
	tlb = cc_test_map(t->dev, t->buf, SZ_16K, 0, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, tlb, addr);
	/* A page of a mapping has no reference, and none can be taken. */
	KUNIT_EXPECT_FALSE(test, get_page_unless_zero(page + 1));
	cc_test_unmap(t->dev, tlb, SZ_16K, DMA_TO_DEVICE);
	KUNIT_EXPECT_PTR_EQ(test, alloc(test, SZ_16K), page);
	cc_loan_free(page, SZ_16K);
	cc_test_check(test);
}

/* Gate: a quarter of what may be shared, what is held included, and not a page more. */
static void loan_budget(struct kunit *test)
{
	unsigned long nr = 0, most = cc_swiotlb.max / CC_LOAN_SHARE / SZ_512K;
	struct page **page = kunit_kcalloc(test, most + 2, sizeof(*page), GFP_KERNEL);
	unsigned long over = cc_loan_sum(CC_LOAN_BUDGET);

	KUNIT_ASSERT_NOT_NULL(test, page);
	while (nr < most + 2) {
		cc_test_grow();
		page[nr] = cc_loan_alloc(SZ_512K, NUMA_NO_NODE);
		if (!page[nr])
			break;
		nr++;
	}
	KUNIT_ASSERT_EQ(test, nr, most);
	KUNIT_EXPECT_NULL(test, cc_loan_alloc(1, NUMA_NO_NODE));
	KUNIT_EXPECT_EQ(test, cc_loan_sum(CC_LOAN_BUDGET), over + 2);
	KUNIT_EXPECT_EQ(test, cc_loan_bytes(), most * SZ_512K);
	cc_test_check(test);

	/* Who holds on to a page does not get more for that. */
	get_page(page[0]);
	cc_loan_free(page[0], SZ_512K);
	KUNIT_EXPECT_NULL(test, cc_loan_alloc(PAGE_SIZE, NUMA_NO_NODE));
	put_page(page[0]);
	cc_test_tick();
	later();
	page[0] = alloc(test, SZ_512K);

	cc_loan_free(page[--nr], SZ_512K);
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.max, cc_swiotlb.max / 2));
	KUNIT_EXPECT_NULL(test, cc_loan_alloc(PAGE_SIZE, NUMA_NO_NODE));
	while (nr--)
		cc_loan_free(page[nr], SZ_512K);
	later();
	page[0] = alloc(test, PAGE_SIZE);
	cc_loan_free(page[0], PAGE_SIZE);
	cc_test_check(test);
}

/* Gate: what was lent under a higher limit counts under a lower one. */
static void loan_budget_lowered(struct kunit *test)
{
	unsigned long max = cc_swiotlb.max;
	struct page *page[28], *more;

	for (unsigned int i = 0; i < ARRAY_SIZE(page); i++)
		page[i] = alloc(test, SZ_128K);
	WRITE_ONCE(cc_swiotlb.max, SZ_8M);
	more = cc_loan_alloc(SZ_4K, NUMA_NO_NODE);
	KUNIT_EXPECT_NULL(test, more);
	if (more)
		cc_loan_free(more, SZ_4K);
	for (unsigned int i = 0; i < ARRAY_SIZE(page); i++)
		cc_loan_free(page[i], SZ_128K);
	later();
	more = cc_loan_alloc(SZ_4K, NUMA_NO_NODE);
	KUNIT_EXPECT_NOT_NULL(test, more);
	WRITE_ONCE(cc_swiotlb.max, max);
	if (more)
		cc_loan_free(more, SZ_4K);
	KUNIT_EXPECT_EQ(test, cc_loan_bytes(), 0);
}

/* Over the budget, whoever asks for as much is refused without a look, until the next jiffy. */
static void loan_budget_refused(struct kunit *test)
{
	unsigned long max = cc_swiotlb.max, at, now;
	struct page *page = alloc(test, SZ_128K), *same, *less, *later_on;
	unsigned int tries = 100;

	/* As all of it may come in one jiffy or in two. */
	do {
		later();
		WRITE_ONCE(cc_swiotlb.max, CC_LOAN_SHARE * SZ_128K);
		at = jiffies;
		same = cc_loan_alloc(SZ_64K, NUMA_NO_NODE);
		WRITE_ONCE(cc_swiotlb.max, max);
		KUNIT_EXPECT_NULL(test, same);
		same = cc_loan_alloc(SZ_64K, NUMA_NO_NODE);
		less = cc_loan_alloc(SZ_32K, NUMA_NO_NODE);
		if (less)
			cc_loan_free(less, SZ_32K);
		now = jiffies;
		if (now != at && same)
			cc_loan_free(same, SZ_64K);
	} while (now != at && --tries);
	KUNIT_EXPECT_NULL(test, same);
	KUNIT_EXPECT_NOT_NULL(test, less);
	later();
	later_on = alloc(test, SZ_64K);
	cc_loan_free(later_on, SZ_64K);
	cc_loan_free(page, SZ_128K);
}

/* What CPUs count for themselves is little of the budget, so that its sum is taken near it. */
static void loan_batch(struct kunit *test)
{
	static const unsigned long max[] = { SZ_2M, SZ_16M, SZ_128M };
	struct cc_options opts;

	for (unsigned int i = 0; i < ARRAY_SIZE(max); i++) {
		loan_exit(test);
		cc_fake_begin(test);
		cc_test_options(&opts);
		opts.max = max[i];
		opts.reserve = min(opts.reserve, max[i] / 2);
		memset(opts.mark, 0, sizeof(opts.mark));
		cc_test_start_with(test, &opts, false);
		KUNIT_EXPECT_GE(test, cc_loan_batch, 1);
		KUNIT_EXPECT_LE(test, cc_loan_batch, 2 * (CC_LOAN_MAX >> PAGE_SHIFT));
		KUNIT_EXPECT_LE(test, (cc_loan_batch - 1UL) * num_possible_cpus(),
				max[i] / CC_LOAN_SHARE / 4 >> PAGE_SHIFT);
		if (cc_loan_batch < 2 * (CC_LOAN_MAX >> PAGE_SHIFT))
			KUNIT_EXPECT_GE(test, (cc_loan_batch + 1UL) * num_possible_cpus(),
					max[i] / CC_LOAN_SHARE / 4 >> PAGE_SHIFT);
	}
}

/* What comes back while a mapping has found nothing is for that, which comes again. */
static void loan_starved(struct kunit *test)
{
	struct loan_test *t = test->priv;
	struct cc_class *class = &cc_classes[cc_test_class(SZ_128K)];
	enum { MOST = 256 };
	phys_addr_t *tlb = kunit_kcalloc(test, MOST, sizeof(*tlb), GFP_KERNEL), again;
	unsigned int nr = 0;

	KUNIT_ASSERT_NOT_NULL(test, tlb);
	cc_fake_fail(CC_FAKE_MEMORY, 0, UINT_MAX);
	cc_test_log_begin(test);
	while (nr < MOST) {
		tlb[nr] = cc_swiotlb_map(t->dev, virt_to_phys(t->buf), SZ_128K, 0, 0);
		if (cc_test_failed(tlb[nr]) || cc_chunk_by_addr(tlb[nr])->class != class)
			break;
		nr++;
	}
	KUNIT_ASSERT_LT(test, nr, MOST);
	KUNIT_ASSERT_TRUE(test, class->starved);
	if (!cc_test_failed(tlb[nr]))
		cc_test_give(tlb[nr]);
	cc_test_give(tlb[--nr]);
	KUNIT_EXPECT_NULL(test, cc_loan_alloc(SZ_128K, NUMA_NO_NODE));
	again = cc_swiotlb_map(t->dev, virt_to_phys(t->buf), SZ_128K, 0, 0);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(again));
	KUNIT_EXPECT_PTR_EQ(test, cc_chunk_by_addr(again)->class, class);
	cc_test_give(again);
	while (nr--)
		cc_test_give(tlb[nr]);
	/* With memory, nothing is missing any more. */
	cc_fake_fail(CC_FAKE_MEMORY, 0, 0);
	cc_test_now += CC_BACKOFF_MAX;
	cc_test_tick();
	cc_test_log_end(test);
	KUNIT_EXPECT_FALSE(test, class->starved);
	cc_loan_free(alloc(test, SZ_128K), SZ_128K);
}

/* What has come back is lent again, also where it waits in the depot, and a mark keeps some. */
static void loan_reuse(struct kunit *test)
{
	struct cc_class *largest = &cc_classes[cc_test_class(SZ_512K)];

	largest->mag_size = 0;
	KUNIT_ASSERT_EQ(test, 0, cc_test_grow());
	for (unsigned int i = 0; i < 100; i++) {
		struct page *page = alloc(test, SZ_512K);

		cc_loan_free(page, SZ_512K);
	}
	KUNIT_EXPECT_LE(test, largest->nr_slots, largest->mark + 2);
	KUNIT_EXPECT_GE(test, cc_class_free(largest), largest->mark);
	cc_test_check(test);
}

/* A chunk that is given for a loan is where that looks first. */
static void loan_behind_many(struct kunit *test)
{
	struct cc_class *largest = &cc_classes[cc_test_class(SZ_512K)];
	struct loan_test *t = test->priv;
	struct cc_chunk *first;
	phys_addr_t tlb[80];
	struct page *page;
	unsigned int nr;

	for (nr = 0; nr < ARRAY_SIZE(tlb); nr++) {
		tlb[nr] = cc_swiotlb_map(t->dev, virt_to_phys(t->buf), SZ_512K, 0, 0);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb[nr]));
		cc_test_grow();
	}
	first = list_first_entry(&largest->chunks, struct cc_chunk, node);
	rcu_assign_pointer(largest->node->hint, first->gpc);
	page = cc_loan_alloc(SZ_512K, NUMA_NO_NODE);
	KUNIT_EXPECT_NOT_NULL(test, page);
	if (page)
		cc_loan_free(page, SZ_512K);
	while (nr--)
		cc_test_give(tlb[nr]);
	cc_test_check(test);
}

/* What a mark would keep all of is not asked for. */
static void loan_mark_far(struct kunit *test)
{
	struct cc_class *class = &cc_classes[cc_test_class(SZ_128K)];
	unsigned long bytes = cc_swiotlb.reserve_bytes;

	class->mark = 1000;
	for (unsigned int i = 0; i < 5; i++) {
		struct page *page = cc_loan_alloc(SZ_128K, NUMA_NO_NODE);

		KUNIT_EXPECT_NULL(test, page);
		if (page)
			cc_loan_free(page, SZ_128K);
	}
	KUNIT_EXPECT_EQ(test, cc_swiotlb.reserve_bytes, bytes);
	class->mark = 0;
}

/* Gate: half of the reserve, and what a mark keeps, are left to who has no other way. */
static void loan_scarce(struct kunit *test)
{
	struct cc_class *largest = &cc_classes[cc_test_class(SZ_512K)];
	unsigned long none = cc_loan_sum(CC_LOAN_NONE);
	struct page *page[40];
	unsigned int nr = 0;

	KUNIT_ASSERT_EQ(test, 0, cc_kccd_set_mark(largest, 4));
	KUNIT_ASSERT_EQ(test, 0, cc_test_grow());
	KUNIT_ASSERT_EQ(test, cc_class_free(largest), 4);
	atomic_set(&cc_kicks.asked, 0);
	page[nr++] = alloc(test, SZ_256K);
	KUNIT_EXPECT_NE(test, atomic_read(&cc_kicks.asked), 0);
	atomic_set(&cc_kicks.asked, 0);
	while (nr < ARRAY_SIZE(page) && (page[nr] = cc_loan_alloc(SZ_256K, NUMA_NO_NODE)))
		nr++;
	KUNIT_EXPECT_EQ(test, cc_swiotlb.reserve_bytes, cc_swiotlb.reserve_min / 2);
	KUNIT_EXPECT_EQ(test, cc_loan_bytes(), nr * SZ_256K);
	KUNIT_EXPECT_EQ(test, cc_loan_sum(CC_LOAN_NONE), none + 1);
	KUNIT_EXPECT_NE(test, atomic_read(&cc_kicks.asked), 0);
	/* Nor do the free slots of a mark count. */
	KUNIT_EXPECT_NULL(test, cc_loan_alloc(SZ_512K, NUMA_NO_NODE));
	KUNIT_EXPECT_EQ(test, cc_class_free(largest), 4);
	KUNIT_EXPECT_EQ(test, cc_loan_sum(CC_LOAN_NONE), none + 2);
	KUNIT_ASSERT_LE(test, nr + 2, ARRAY_SIZE(page));

	/* kccd makes up for it. */
	KUNIT_EXPECT_EQ(test, 0, cc_test_grow());
	for (unsigned int i = 0; i < 2; i++) {
		page[nr] = cc_loan_alloc(i ? SZ_256K : SZ_512K, NUMA_NO_NODE);
		KUNIT_EXPECT_NOT_NULL(test, page[nr]);
		nr += !!page[nr];
	}
	KUNIT_EXPECT_EQ(test, cc_class_free(largest), 4);
	cc_test_check(test);
	while (nr--)
		cc_loan_free(page[nr], slot_of(page[nr])->size);
	cc_test_check(test);
}

/* What a mark keeps is kept for mappings in a magazine, too. */
static void loan_mark_cached(struct kunit *test)
{
	struct cc_class *largest = &cc_classes[cc_test_class(SZ_512K)];
	struct loan_test *t = test->priv;
	phys_addr_t tlb[2];

	KUNIT_ASSERT_EQ(test, 0, cc_kccd_set_mark(largest, 2));
	KUNIT_ASSERT_EQ(test, 0, cc_test_grow());
	KUNIT_ASSERT_EQ(test, cc_class_free(largest), 2);
	largest->mag_size = 4;
	for (unsigned int i = 0; i < 2; i++) {
		tlb[i] = cc_test_map(t->dev, t->buf, SZ_512K, 0, DMA_TO_DEVICE);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb[i]));
	}
	for (unsigned int i = 0; i < 2; i++)
		cc_test_unmap(t->dev, tlb[i], SZ_512K, DMA_TO_DEVICE);
	KUNIT_ASSERT_EQ(test, cc_class_free(largest), 0);
	KUNIT_ASSERT_EQ(test, cc_chain_count(cc_test_magazine(CC_CHUNK_CLASS)->loaded), 2);
	KUNIT_EXPECT_NULL(test, cc_loan_alloc(SZ_512K, NUMA_NO_NODE));
	KUNIT_EXPECT_EQ(test, cc_chain_count(cc_test_magazine(CC_CHUNK_CLASS)->loaded), 2);
}

/* Gate: to a mapping's functions, nothing is there, and nobody is blamed. */
static void loan_no_mapping(struct kunit *test)
{
	struct loan_test *t = test->priv;
	struct page *page = alloc(test, 2 * PAGE_SIZE);
	phys_addr_t addr = page_to_phys(page);
	u8 *buf = page_address(page);

	memset(buf, 0x5a, 2 * PAGE_SIZE);
	cc_test_log_begin(test);
	for (phys_addr_t at = addr; at < addr + 2 * PAGE_SIZE; at += PAGE_SIZE / 2) {
		struct io_tlb_pool *pool = swiotlb_find_pool(t->dev, at);
		size_t left;

		KUNIT_ASSERT_NOT_NULL(test, pool);
		KUNIT_EXPECT_FALSE(test, cc_swiotlb_mapped(t->dev, at, pool));
		KUNIT_EXPECT_TRUE(test, cc_test_failed(cc_swiotlb_find_orig(t->dev, at, pool,
									    &left)));
		cc_swiotlb_clear_stale(t->dev, at, pool);
		swiotlb_sync_single_for_cpu(t->dev, at, 100, DMA_FROM_DEVICE);
		swiotlb_sync_single_for_device(t->dev, at, 100, DMA_TO_DEVICE);
		swiotlb_tbl_unmap_single(t->dev, at, PAGE_SIZE, DMA_BIDIRECTIONAL, 0);
		swiotlb_tbl_unmap_single(t->dev, at, PAGE_SIZE, DMA_FROM_DEVICE,
					 DMA_ATTR_OVERWRITE);
	}
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 0, cc_test_log_lines("cc-test", ""));
	KUNIT_EXPECT_NULL(test, memchr_inv(buf, 0x5a, 2 * PAGE_SIZE));
	KUNIT_EXPECT_TRUE(test, cc_loan_covers(addr, 2 * PAGE_SIZE));
	cc_loan_free(page, 2 * PAGE_SIZE);
	/* What is none any more is a mistake again. */
	cc_test_log_begin(test);
	swiotlb_tbl_unmap_single(t->dev, addr, PAGE_SIZE, DMA_FROM_DEVICE, 0);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(dev_name(t->dev), "unmapped twice"));
	cc_test_check(test);
}

/* Two loans that are neighbours, the first one at the lower address. */
static void neighbours(struct kunit *test, struct page **page, size_t size)
{
	unsigned int nr = 0;
	struct page *all[32];

	page[0] = NULL;
	while (!page[0] && nr < ARRAY_SIZE(all)) {
		all[nr] = alloc(test, size);
		for (unsigned int i = 0; i < nr && !page[0]; i++) {
			if (page_to_phys(all[i]) + size == page_to_phys(all[nr])) {
				page[0] = all[i];
				page[1] = all[nr];
			} else if (page_to_phys(all[nr]) + size == page_to_phys(all[i])) {
				page[0] = all[nr];
				page[1] = all[i];
			}
		}
		nr++;
	}
	KUNIT_ASSERT_NOT_NULL(test, page[0]);
	while (nr--)
		if (all[nr] != page[0] && all[nr] != page[1])
			cc_loan_free(all[nr], size);
}

/* Gate: a range is one of loans from the first byte to the last one. */
static void loan_covers(struct kunit *test)
{
	struct loan_test *t = test->priv;
	struct page *page[2], *odd;
	phys_addr_t first, tlb;

	neighbours(test, page, SZ_16K);
	first = page_to_phys(page[0]);
	KUNIT_EXPECT_TRUE(test, cc_loan_covers(first, 1));
	KUNIT_EXPECT_TRUE(test, cc_loan_covers(first + 512, SZ_16K - 512));
	KUNIT_EXPECT_TRUE(test, cc_loan_covers(first, SZ_32K));
	KUNIT_EXPECT_TRUE(test, cc_loan_covers(first + SZ_16K - 1, 2));
	KUNIT_EXPECT_TRUE(test, cc_loan_covers(first + 2 * SZ_16K - 1, 1));
	cc_loan_free(page[1], SZ_16K);
	KUNIT_EXPECT_TRUE(test, cc_loan_covers(first, SZ_16K));
	KUNIT_EXPECT_FALSE(test, cc_loan_covers(first, SZ_16K + 1));
	KUNIT_EXPECT_FALSE(test, cc_loan_covers(first + SZ_16K - 1, 2));
	/* Somebody else's mapping next to it. */
	tlb = cc_test_map(t->dev, t->buf, SZ_16K, 0, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, tlb, first + SZ_16K);
	KUNIT_EXPECT_FALSE(test, cc_loan_covers(first, SZ_16K + 1));
	cc_test_unmap(t->dev, tlb, SZ_16K, DMA_TO_DEVICE);
	cc_loan_free(page[0], SZ_16K);

	/* The rest of a slot belongs to no loan, the rest of a page does. */
	odd = alloc(test, SZ_16K + 1);
	first = page_to_phys(odd);
	KUNIT_EXPECT_TRUE(test, cc_loan_covers(first, PAGE_ALIGN(SZ_16K + 1)));
	if (PAGE_ALIGN(SZ_16K + 1) < SZ_32K)
		KUNIT_EXPECT_FALSE(test, cc_loan_covers(first, PAGE_ALIGN(SZ_16K + 1) + 1));
	cc_loan_free(odd, SZ_16K + 1);
	KUNIT_EXPECT_FALSE(test, cc_loan_covers(virt_to_phys(t->buf), 1));
	KUNIT_EXPECT_FALSE(test, cc_loan_covers(0, 1));
	KUNIT_EXPECT_FALSE(test, cc_loan_covers(PHYS_ADDR_MAX & PAGE_MASK, 1));
	cc_test_check(test);
}

/* What a hard interrupt does. */
struct in_irq {
	struct irq_work work;
	struct page *page;
	bool hard;
};

static void alloc_and_free(struct irq_work *work)
{
	struct in_irq *in = container_of(work, struct in_irq, work);
	struct page *page = cc_loan_alloc(SZ_64K, NUMA_NO_NODE);

	in->hard = in_hardirq() && irqs_disabled();
	if (page)
		cc_loan_free(page, SZ_64K);
	/* What a task has taken; somebody has a page of it. */
	cc_loan_free(in->page, SZ_32K);
	in->page = page;
}

static void loan_hardirq(struct kunit *test)
{
	struct in_irq in = {
		.work = IRQ_WORK_INIT_HARD(alloc_and_free),
		.page = alloc(test, SZ_32K),
	};
	struct page *held = in.page;

	get_page(held);
	irq_work_queue(&in.work);
	irq_work_sync(&in.work);
	KUNIT_EXPECT_TRUE(test, in.hard);
	KUNIT_EXPECT_NOT_NULL(test, in.page);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.loans_held.bytes, SZ_32K);
	put_page(held);
	cc_test_tick();
	KUNIT_EXPECT_EQ(test, cc_loan_bytes(), 0);
	cc_test_check(test);
}

/* Loans are named where it is said who holds what. */
static void loan_holder(struct kunit *test)
{
	struct page *page[2] = { alloc(test, SZ_64K), alloc(test, 3000) };
	const struct cc_holder *h;
	unsigned int nr;

	mutex_lock(&cc_swiotlb.mutex);
	h = cc_holders_count(&nr);
	KUNIT_EXPECT_EQ(test, nr, 1);
	KUNIT_EXPECT_STREQ(test, h->name, "loans");
	KUNIT_EXPECT_EQ(test, h->slots, 2);
	KUNIT_EXPECT_EQ(test, h->bytes, SZ_64K + 3000);
	KUNIT_EXPECT_EQ(test, h->largest, SZ_64K);
	mutex_unlock(&cc_swiotlb.mutex);
	cc_loan_free(page[0], SZ_64K);
	cc_loan_free(page[1], 3000);
}

static struct kunit_case loan_cases[] = {
	KUNIT_CASE_PARAM(loan_sizes, size_gen_params),
	KUNIT_CASE(loan_first),
	KUNIT_CASE(loan_refused),
	KUNIT_CASE(loan_is_slot),
	KUNIT_CASE(loan_budget),
	KUNIT_CASE(loan_budget_lowered),
	KUNIT_CASE(loan_budget_refused),
	KUNIT_CASE(loan_batch),
	KUNIT_CASE(loan_starved),
	KUNIT_CASE(loan_reuse),
	KUNIT_CASE(loan_behind_many),
	KUNIT_CASE(loan_mark_far),
	KUNIT_CASE(loan_scarce),
	KUNIT_CASE(loan_mark_cached),
	KUNIT_CASE(loan_no_mapping),
	KUNIT_CASE(loan_covers),
	KUNIT_CASE(loan_hardirq),
	KUNIT_CASE(loan_holder),
	{}
};

static struct kunit_suite loan_suite = {
	.name = "cc_swiotlb_loan",
	.init = loan_init,
	.exit = loan_exit,
	.test_cases = loan_cases,
};

kunit_test_suite(loan_suite);

MODULE_DESCRIPTION("Test of loans of cc-swiotlb");
MODULE_LICENSE("GPL");
