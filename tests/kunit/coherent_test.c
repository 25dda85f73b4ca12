// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages for coherent allocations, with memory and conversions faked. dma_api_test.c
 * is about who asks for them.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/page_ref.h>
#include <linux/string.h>
#include <linux/swiotlb.h>

#include "../holders.h"
#include "cc_test.h"

#define COHERENT	(&cc_classes[CC_COHERENT])

struct coherent_test {
	struct device *dev;
	struct device *other;
};

static int coherent_init(struct kunit *test)
{
	struct coherent_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	cc_fake_begin(test);
	cc_test_start(test);
	t->dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	t->other = cc_test_device(test, DMA_BIT_MASK(64), 0);
	return 0;
}

static void coherent_exit(struct kunit *test)
{
	cc_test_stop(test);
	cc_fake_end(test);
}

static phys_addr_t alloc_for(struct device *dev, size_t size, gfp_t gfp)
{
	struct page *page = cc_swiotlb_alloc_pages(dev, size, gfp);

	return page ? page_to_phys(page) : 0;
}

static phys_addr_t alloc(struct kunit *test, size_t size)
{
	struct coherent_test *t = test->priv;
	phys_addr_t addr = alloc_for(t->dev, size, GFP_ATOMIC);

	KUNIT_ASSERT_NE(test, addr, 0);
	return addr;
}

static void give(struct kunit *test, phys_addr_t addr, size_t size)
{
	struct coherent_test *t = test->priv;

	KUNIT_EXPECT_TRUE(test, cc_swiotlb_free_pages(t->dev, addr, size));
}

static const size_t size_params[] = {
	1, PAGE_SIZE, PAGE_SIZE + 1, 3 * PAGE_SIZE, 5 * PAGE_SIZE, SZ_64K, SZ_128K + 1,
	SZ_512K,
};

static void size_desc(const size_t *size, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%zu", *size);
}

KUNIT_ARRAY_PARAM(size, size_params, size_desc);

/* As many pages as are needed, shared, zeroed and aligned; none is converted for them. */
static void coherent_sizes(struct kunit *test)
{
	size_t size = *(const size_t *)test->param_value, bytes = PAGE_ALIGN(size);
	unsigned int shared = cc_fake.calls[CC_FAKE_SHARE];
	struct coherent_test *t = test->priv;
	phys_addr_t addr[4];

	/* The second time, it is what was dirty when it was freed. */
	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(addr); i++) {
			addr[i] = alloc_for(t->dev, size, GFP_KERNEL);
			KUNIT_ASSERT_NE(test, addr[i], 0);
			KUNIT_EXPECT_EQ(test, addr[i] & ((PAGE_SIZE << get_order(size)) - 1), 0);
			KUNIT_EXPECT_PTR_EQ(test, cc_chunk_by_addr(addr[i])->class, COHERENT);
			KUNIT_EXPECT_NULL(test, memchr_inv(cc_test_virt(addr[i]), 0, bytes));
		}
		KUNIT_EXPECT_EQ(test, cc_coherent_bytes(), ARRAY_SIZE(addr) * bytes);
		for (unsigned int i = 0; i < ARRAY_SIZE(addr); i++)
			memset(cc_test_virt(addr[i]), i + 1, bytes);
		for (unsigned int i = 0; i < ARRAY_SIZE(addr); i++)
			KUNIT_EXPECT_NULL(test, memchr_inv(cc_test_virt(addr[i]), i + 1, bytes));
		cc_test_check(test);
		for (unsigned int i = 0; i < ARRAY_SIZE(addr); i++)
			give(test, addr[i], size);
	}
	KUNIT_EXPECT_EQ(test, cc_coherent_bytes(), 0);
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_SHARE], shared);
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_UNSHARE], 0);
	cc_test_check(test);
}

/* What is not for this allocator is left to dma-direct, and counted. */
static void coherent_refused(struct kunit *test)
{
	unsigned long other = cc_coherent_sum(CC_COHERENT_OTHER);
	struct coherent_test *t = test->priv;
	u64 mask = DMA_BIT_MASK(64);

	KUNIT_EXPECT_EQ(test, alloc_for(t->dev, SZ_512K + 1, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, alloc_for(t->dev, SIZE_MAX, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, alloc_for(t->dev, 0, GFP_KERNEL), 0);
	/* The coherent mask decides, whatever the device reaches otherwise. */
	t->dev->dma_mask = &mask;
	t->dev->coherent_dma_mask = PAGE_SIZE - 1;
	KUNIT_EXPECT_EQ(test, alloc_for(t->dev, PAGE_SIZE, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, cc_coherent_sum(CC_COHERENT_OTHER), other + 4);
	KUNIT_EXPECT_EQ(test, cc_coherent_bytes(), 0);
	cc_test_check(test);

	mask = PAGE_SIZE - 1;
	t->dev->coherent_dma_mask = DMA_BIT_MASK(64);
	give(test, alloc(test, PAGE_SIZE), PAGE_SIZE);
	t->dev->bus_dma_limit = PAGE_SIZE - 1;
	KUNIT_EXPECT_EQ(test, alloc_for(t->dev, PAGE_SIZE, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, cc_coherent_sum(CC_COHERENT_OTHER), other + 5);
	t->dev->dma_mask = &t->dev->coherent_dma_mask;
	t->dev->bus_dma_limit = 0;
#ifdef CONFIG_DMA_CMA
	/* A device with memory of its own shall have that. Nobody looks into it here. */
	t->dev->cma_area = (struct cma *)t;
	KUNIT_EXPECT_EQ(test, alloc_for(t->dev, PAGE_SIZE, GFP_KERNEL), 0);
	t->dev->cma_area = NULL;
	KUNIT_EXPECT_EQ(test, cc_coherent_sum(CC_COHERENT_OTHER), other + 6);
#endif
	give(test, alloc(test, PAGE_SIZE), PAGE_SIZE);
}

/* Nothing that lives for ever shares a chunk with mappings. */
static void coherent_own_chunks(struct kunit *test)
{
	struct coherent_test *t = test->priv;
	phys_addr_t tlb[64], addr[64];
	void *buf = cc_test_buffer(test, PAGE_SIZE);
	struct cc_chunk *chunk;

	for (unsigned int i = 0; i < ARRAY_SIZE(tlb); i++) {
		addr[i] = alloc(test, PAGE_SIZE);
		tlb[i] = cc_test_map(t->other, buf, PAGE_SIZE, 0, DMA_TO_DEVICE);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb[i]));
		chunk = cc_chunk_by_addr(tlb[i]);
		KUNIT_EXPECT_PTR_EQ(test, chunk->class, &cc_classes[cc_test_class(PAGE_SIZE)]);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(tlb); i++)
		cc_test_unmap(t->other, tlb[i], PAGE_SIZE, DMA_TO_DEVICE);
	cc_test_settle(test);
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		if (!cc_classes[i].mark)
			KUNIT_EXPECT_EQ(test, cc_classes[i].nr_slots, 0);
	KUNIT_EXPECT_GT(test, COHERENT->nr_slots, 0);
	cc_test_check(test);
	for (unsigned int i = 0; i < ARRAY_SIZE(tlb); i++)
		give(test, addr[i], PAGE_SIZE);
}

/* The other way round: when nothing is allocated, mappings and the host get it back. */
static void coherent_returns(struct kunit *test)
{
	phys_addr_t addr[16];
	unsigned long shared;

	KUNIT_ASSERT_EQ(test, 0, cc_test_grow());
	cc_test_settle(test);
	shared = cc_swiotlb.shared;
	for (unsigned int i = 0; i < ARRAY_SIZE(addr); i++)
		addr[i] = alloc(test, SZ_512K);
	KUNIT_EXPECT_EQ(test, 0, cc_test_grow());
	KUNIT_EXPECT_GT(test, cc_swiotlb.shared, shared);
	cc_test_settle(test);
	KUNIT_EXPECT_EQ(test, COHERENT->nr_slots << PAGE_SHIFT, ARRAY_SIZE(addr) * SZ_512K);
	for (unsigned int i = 0; i < ARRAY_SIZE(addr); i++)
		give(test, addr[i], SZ_512K);
	cc_test_settle(test);
	KUNIT_EXPECT_EQ(test, COHERENT->nr_slots, 0);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, shared);
	cc_test_check(test);
}

/*
 * Who cannot wait takes all that the reserve has; who can leaves half of it to mappings.
 * kccd makes up for it.
 */
static void coherent_reserve(struct kunit *test)
{
	unsigned long other = cc_coherent_sum(CC_COHERENT_OTHER);
	struct coherent_test *t = test->priv;
	unsigned int nr = 0;
	phys_addr_t addr[64];

	while (nr < ARRAY_SIZE(addr) &&
	       (addr[nr] = alloc_for(t->dev, SZ_512K, GFP_KERNEL)))
		nr++;
	KUNIT_EXPECT_GT(test, nr, 0);
	KUNIT_EXPECT_EQ(test, cc_coherent_sum(CC_COHERENT_OTHER), other + 1);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.reserve_bytes, cc_swiotlb.reserve_min / 2);
	/* A caller that would be content with less has another way, too. */
	KUNIT_EXPECT_EQ(test, alloc_for(t->dev, SZ_512K, GFP_NOWAIT | __GFP_NORETRY), 0);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.reserve_bytes, cc_swiotlb.reserve_min / 2);
	other++;
	while (nr < ARRAY_SIZE(addr) &&
	       (addr[nr] = alloc_for(t->dev, SZ_512K, GFP_ATOMIC)))
		nr++;
	KUNIT_EXPECT_EQ(test, cc_coherent_sum(CC_COHERENT_OTHER), other + 2);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.reserve_bytes, 0);
	cc_test_check(test);

	KUNIT_EXPECT_NE(test, atomic_read(&cc_kicks.asked), 0);
	KUNIT_ASSERT_EQ(test, 0, cc_test_grow());
	addr[nr] = alloc_for(t->dev, SZ_512K, GFP_KERNEL);
	KUNIT_EXPECT_NE(test, addr[nr++], 0);
	while (nr--)
		give(test, addr[nr], SZ_512K);
}

/* A reserve of chunks that are too small: kccd makes one that is not. */
static void coherent_starved(struct kunit *test)
{
	struct coherent_test *t = test->priv;
	struct cc_options opts;
	phys_addr_t small, addr;

	cc_test_stop(test);
	cc_fake.max_order = CC_FRAME_SHIFT - PAGE_SHIFT;
	cc_test_options(&opts);
	opts.reserve = SZ_2M;
	cc_test_start_with(test, &opts, false);

	KUNIT_EXPECT_EQ(test, alloc_for(t->dev, SZ_512K, GFP_ATOMIC), 0);
	KUNIT_EXPECT_EQ(test, alloc_for(t->dev, SZ_128K, GFP_KERNEL), 0);
	small = alloc(test, SZ_64K);
	cc_fake.max_order = MAX_PAGE_ORDER;
	/* The largest classes wait for what cannot be had, too. */
	cc_test_now += CC_BACKOFF_MAX;
	KUNIT_EXPECT_EQ(test, alloc_for(t->dev, SZ_512K, GFP_ATOMIC), 0);
	KUNIT_EXPECT_EQ(test, 0, cc_test_grow());
	addr = alloc_for(t->dev, SZ_512K, GFP_ATOMIC);
	KUNIT_EXPECT_NE(test, addr, 0);
	KUNIT_EXPECT_FALSE(test, COHERENT->starved);
	if (addr)
		give(test, addr, SZ_512K);
	give(test, small, SZ_64K);
	cc_test_check(test);
}

/* Free pages that are not in a row are no reason to refuse. */
static void coherent_fragmented(struct kunit *test)
{
	unsigned int nr = SZ_512K / PAGE_SIZE;
	phys_addr_t *addr = kunit_kcalloc(test, nr, sizeof(*addr), GFP_KERNEL), large;

	KUNIT_ASSERT_NOT_NULL(test, addr);
	for (unsigned int i = 0; i < nr; i++)
		addr[i] = alloc(test, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, COHERENT->nr_slots, nr);
	for (unsigned int i = 0; i < nr; i += 2)
		give(test, addr[i], PAGE_SIZE);
	large = alloc(test, 2 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, COHERENT->nr_slots, 2 * nr);
	give(test, large, 2 * PAGE_SIZE);
	for (unsigned int i = 1; i < nr; i += 2)
		give(test, addr[i], PAGE_SIZE);
	cc_test_check(test);
}

/* Whatever drivers allocate, half of the limit is left to mappings. */
static void coherent_limit(struct kunit *test)
{
	struct coherent_test *t = test->priv;
	unsigned long max = cc_swiotlb.max / 2, nr = 0;
	phys_addr_t *addr = kunit_kcalloc(test, cc_swiotlb.max / SZ_512K, sizeof(*addr),
					  GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, addr);
	for (; nr < cc_swiotlb.max / SZ_512K; nr++) {
		cc_test_grow();
		addr[nr] = alloc_for(t->dev, SZ_512K, GFP_ATOMIC);
		if (!addr[nr])
			break;
	}
	KUNIT_EXPECT_EQ(test, cc_coherent_bytes(), max);
	KUNIT_EXPECT_EQ(test, COHERENT->nr_slots << PAGE_SHIFT, max);
	KUNIT_EXPECT_FALSE(test, COHERENT->starved);
	/* Nor do those who have all looked before one of them got it. */
	cc_test_grow();
	KUNIT_ASSERT_TRUE(test, cc_reserve_holds(CC_CHUNK_SHIFT, NUMA_NO_NODE));
	KUNIT_EXPECT_FALSE(test, cc_reserve_take_large(COHERENT, NUMA_NO_NODE,
						       CC_CHUNK_SHIFT, 0));
	while (nr--)
		give(test, addr[nr], SZ_512K);
	cc_test_check(test);
}

/* Interrupts are off, and the clock and the page allocator out of reach: any context. */
static void coherent_any_context(struct kunit *test)
{
	struct coherent_test *t = test->priv;
	unsigned int calls = cc_fake.calls[CC_FAKE_MEMORY] + cc_fake.calls[CC_FAKE_METADATA];
	unsigned long flags;
	phys_addr_t addr;

	local_irq_save(flags);
	addr = alloc_for(t->dev, SZ_32K, GFP_ATOMIC);
	if (addr)
		cc_swiotlb_free_pages(t->dev, addr, SZ_32K);
	local_irq_restore(flags);
	KUNIT_EXPECT_NE(test, addr, 0);
	KUNIT_EXPECT_EQ(test, calls, cc_fake.calls[CC_FAKE_MEMORY] +
				     cc_fake.calls[CC_FAKE_METADATA]);
	cc_test_check(test);
}

/* Gate: what somebody else has a reference to is not used again, nor returned. */
static void coherent_held(struct kunit *test)
{
	phys_addr_t addr = alloc(test, 4 * PAGE_SIZE), again[8];
	struct page *page = pfn_to_page(PHYS_PFN(addr)) + 2;
	struct coherent_test *t = test->priv;

	for (unsigned int i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, page_ref_count(page - 2 + i), 1);
	get_page(page);
	give(test, addr, 4 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.coherent_held.bytes, 4 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, cc_coherent_bytes(), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(again); i++) {
		again[i] = alloc(test, 4 * PAGE_SIZE);
		KUNIT_EXPECT_NE(test, again[i], addr);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(again); i++)
		give(test, again[i], 4 * PAGE_SIZE);
	/* Freed twice is freed twice, held or not. */
	cc_test_log_begin(test);
	give(test, addr, 4 * PAGE_SIZE);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(dev_name(t->dev), "freed twice"));

	/* kccd does not wait for it, and sleeps. */
	cc_test_settle(test);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.coherent_held.bytes, 4 * PAGE_SIZE);
	KUNIT_EXPECT_GT(test, COHERENT->nr_slots, 0);
	cc_test_check(test);

	/* The last reference but ours. The page is not free for that. */
	put_page(page);
	KUNIT_EXPECT_EQ(test, page_ref_count(page), 1);
	cc_test_tick();
	KUNIT_EXPECT_EQ(test, cc_swiotlb.coherent_held.bytes, 0);
	KUNIT_EXPECT_EQ(test, alloc(test, 4 * PAGE_SIZE), addr);
	give(test, addr, 4 * PAGE_SIZE);
	cc_test_settle(test);
	KUNIT_EXPECT_EQ(test, COHERENT->nr_slots, 0);
	cc_test_check(test);
}

/* Several of them, of which some are let go. */
static void coherent_held_many(struct kunit *test)
{
	phys_addr_t addr[6];

	for (unsigned int i = 0; i < ARRAY_SIZE(addr); i++) {
		addr[i] = alloc(test, PAGE_SIZE);
		get_page(pfn_to_page(PHYS_PFN(addr[i])));
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(addr); i++)
		give(test, addr[i], PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.coherent_held.bytes, ARRAY_SIZE(addr) * PAGE_SIZE);
	for (unsigned int i = 0; i < ARRAY_SIZE(addr); i += 2)
		put_page(pfn_to_page(PHYS_PFN(addr[i])));
	cc_test_tick();
	KUNIT_EXPECT_EQ(test, cc_swiotlb.coherent_held.bytes, ARRAY_SIZE(addr) / 2 * PAGE_SIZE);
	cc_test_check(test);
	for (unsigned int i = 1; i < ARRAY_SIZE(addr); i += 2)
		put_page(pfn_to_page(PHYS_PFN(addr[i])));
	cc_test_tick();
	KUNIT_EXPECT_EQ(test, cc_swiotlb.coherent_held.bytes, 0);
	cc_test_check(test);
}

/* What a driver has noted in its pages does not reach the page allocator. */
static void coherent_private(struct kunit *test)
{
	phys_addr_t addr = alloc(test, 4 * PAGE_SIZE);
	struct page *page = pfn_to_page(PHYS_PFN(addr));

	for (unsigned int i = 0; i < 4; i++)
		set_page_private(page + i, i + 1);
	give(test, addr, 4 * PAGE_SIZE);
	for (unsigned int i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, page_private(page + i), 0);
	cc_test_settle(test);
}

/* A reference that somebody takes in passing, to a page that is free. */
static void coherent_passing(struct kunit *test)
{
	phys_addr_t addr[2] = { alloc(test, PAGE_SIZE), alloc(test, PAGE_SIZE) };
	struct page *page = pfn_to_page(PHYS_PFN(addr[1]));

	give(test, addr[0], PAGE_SIZE);
	give(test, addr[1], PAGE_SIZE);
	KUNIT_EXPECT_TRUE(test, get_page_unless_zero(page));
	cc_test_settle(test);
	/* It stays, and is used as before. */
	KUNIT_EXPECT_GT(test, COHERENT->nr_slots, 0);
	KUNIT_EXPECT_EQ(test, alloc(test, PAGE_SIZE), addr[0]);
	give(test, addr[0], PAGE_SIZE);
	put_page(page);
	cc_test_settle(test);
	KUNIT_EXPECT_EQ(test, COHERENT->nr_slots, 0);
	/* In the reserve nobody can take one. */
	KUNIT_EXPECT_NOT_NULL(test, cc_chunk_by_addr(addr[1]));
	KUNIT_EXPECT_FALSE(test, get_page_unless_zero(page));
	cc_test_check(test);
}

/* Gate: to a mapping's functions, nothing is there, and nobody is blamed. */
static void coherent_no_mapping(struct kunit *test)
{
	struct coherent_test *t = test->priv;
	phys_addr_t addr = alloc(test, 2 * PAGE_SIZE);
	u8 *buf = cc_test_virt(addr);
	struct device *devs[] = { t->dev, t->other };

	memset(buf, 0x5a, 2 * PAGE_SIZE);
	cc_test_log_begin(test);
	for (unsigned int i = 0; i < ARRAY_SIZE(devs); i++) {
		for (phys_addr_t at = addr; at < addr + 2 * PAGE_SIZE; at += PAGE_SIZE / 2) {
			struct io_tlb_pool *pool = swiotlb_find_pool(devs[i], at);
			size_t left;

			KUNIT_ASSERT_NOT_NULL(test, pool);
			KUNIT_EXPECT_FALSE(test, cc_swiotlb_mapped(devs[i], at, pool));
			KUNIT_EXPECT_TRUE(test,
					  cc_test_failed(cc_swiotlb_find_orig(devs[i], at,
									      pool, &left)));
			cc_swiotlb_clear_stale(devs[i], at, pool);
			swiotlb_sync_single_for_cpu(devs[i], at, 100, DMA_FROM_DEVICE);
			swiotlb_sync_single_for_device(devs[i], at, 100, DMA_TO_DEVICE);
			swiotlb_tbl_unmap_single(devs[i], at, PAGE_SIZE, DMA_BIDIRECTIONAL,
						 i ? DMA_ATTR_OVERWRITE : 0);
		}
	}
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 0, cc_test_log_lines("cc-test", ""));
	KUNIT_EXPECT_NULL(test, memchr_inv(buf, 0x5a, 2 * PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, cc_coherent_bytes(), 2 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), 0);
	give(test, addr, 2 * PAGE_SIZE);
	cc_test_check(test);
}

/* A driver that gets it wrong: nothing that is shared becomes private for that. */
static void coherent_misuse(struct kunit *test)
{
	struct coherent_test *t = test->priv;
	void *buf = cc_test_buffer(test, PAGE_SIZE);
	phys_addr_t addr = alloc(test, 2 * PAGE_SIZE);
	phys_addr_t tlb = cc_test_map(t->dev, buf, PAGE_SIZE, 0, DMA_TO_DEVICE);

	KUNIT_EXPECT_FALSE(test, cc_swiotlb_free_pages(t->dev, virt_to_phys(buf), PAGE_SIZE));

	cc_test_log_begin(test);
	KUNIT_EXPECT_TRUE(test, cc_swiotlb_free_pages(t->dev, tlb, PAGE_SIZE));
	KUNIT_EXPECT_TRUE(test, cc_swiotlb_free_pages(t->dev, addr + PAGE_SIZE, PAGE_SIZE));
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(dev_name(t->dev), "not the start"));
	KUNIT_EXPECT_EQ(test, cc_coherent_bytes(), 2 * PAGE_SIZE);
	cc_test_unmap(t->dev, tlb, PAGE_SIZE, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), 0);

	/* Of the wrong size, or by the wrong device: it costs a warning. */
	cc_test_log_begin(test);
	give(test, addr, PAGE_SIZE);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("coherent free", "all are freed"));
	KUNIT_EXPECT_EQ(test, cc_coherent_bytes(), 0);
	cc_test_log_begin(test);
	KUNIT_EXPECT_TRUE(test, cc_swiotlb_free_pages(t->other, alloc(test, 100), 100));
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(dev_name(t->other), "by another device"));
	KUNIT_EXPECT_EQ(test, cc_coherent_bytes(), 0);
	cc_test_check(test);
}

/* A device that holds something is named, with the bytes of its pages. */
static void coherent_holder(struct kunit *test)
{
	struct coherent_test *t = test->priv;
	phys_addr_t addr = alloc(test, SZ_64K + 1);
	const struct cc_holder *h;
	unsigned int nr;

	mutex_lock(&cc_swiotlb.mutex);
	h = cc_holders_count(&nr);
	KUNIT_EXPECT_EQ(test, nr, 1);
	KUNIT_EXPECT_STREQ(test, h->name, dev_name(t->dev));
	KUNIT_EXPECT_EQ(test, h->slots, 1);
	KUNIT_EXPECT_EQ(test, h->slot_bytes, PAGE_ALIGN(SZ_64K + 1));
	KUNIT_EXPECT_EQ(test, h->largest, PAGE_ALIGN(SZ_64K + 1));
	mutex_unlock(&cc_swiotlb.mutex);
	give(test, addr, SZ_64K + 1);
}

static struct kunit_case coherent_cases[] = {
	KUNIT_CASE_PARAM(coherent_sizes, size_gen_params),
	KUNIT_CASE(coherent_refused),
	KUNIT_CASE(coherent_own_chunks),
	KUNIT_CASE(coherent_returns),
	KUNIT_CASE(coherent_reserve),
	KUNIT_CASE(coherent_starved),
	KUNIT_CASE(coherent_fragmented),
	KUNIT_CASE(coherent_limit),
	KUNIT_CASE(coherent_any_context),
	KUNIT_CASE(coherent_held),
	KUNIT_CASE(coherent_held_many),
	KUNIT_CASE(coherent_private),
	KUNIT_CASE(coherent_passing),
	KUNIT_CASE(coherent_no_mapping),
	KUNIT_CASE(coherent_misuse),
	KUNIT_CASE(coherent_holder),
	{}
};

static struct kunit_suite coherent_suite = {
	.name = "cc_swiotlb_coherent",
	.init = coherent_init,
	.exit = coherent_exit,
	.test_cases = coherent_cases,
};

kunit_test_suite(coherent_suite);

MODULE_DESCRIPTION("Test of pages for coherent allocations in cc-swiotlb");
MODULE_LICENSE("GPL");
