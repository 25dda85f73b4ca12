// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loans through the DMA API, for a device that the tests call confidential, where the
 * architecture does not know better: once where all of its DMA bounces, as in the guests
 * of older kernels, and once where dma-direct finds out for each buffer.
 */
#include <linux/cc_loan.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/string.h>

#include "cc_test.h"

#ifndef CONFIG_ARCH_HAS_FORCE_DMA_UNENCRYPTED
#define SIZE		(3 * PAGE_SIZE)

enum branch { FORCED, NOT_FORCED };

static const enum branch branches[] = { FORCED, NOT_FORCED };

static void branch_desc(const enum branch *branch, char *desc)
{
	strscpy(desc, *branch == FORCED ? "all bounces" : "not all bounces",
		KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(branch, branches, branch_desc);

/**
 * struct dma_loan_test - what a test has
 * @dev: the device, which is confidential
 * @mem: swiotlb's memory for it
 * @buf: private memory
 * @shared: what swiotlb knew of @mem before
 * @forced: whether all DMA of @mem had to bounce before
 */
struct dma_loan_test {
	struct device *dev;
	struct io_tlb_mem *mem;
	u8 *buf;
	bool shared;
	bool forced;
};

static int dma_loan_init(struct kunit *test)
{
	struct dma_loan_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	cc_test_pin(test);
	cc_fake_begin(test);
	cc_test_start(test);
	t->dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	t->mem = t->dev->dma_io_tlb_mem;
	t->buf = cc_test_buffer(test, SZ_64K);
	t->shared = cc_test_set_shared(t->mem, true);
	t->forced = t->mem->force_bounce;
	t->mem->force_bounce = test->param_value &&
			       *(const enum branch *)test->param_value == FORCED;
	cc_test_confidential = t->dev;
	cc_test_lend(test);
	return 0;
}

static void dma_loan_exit(struct kunit *test)
{
	struct dma_loan_test *t = test->priv;

	cc_test_confidential = NULL;
	if (t && t->dev) {
		t->dev->dma_io_tlb_mem = t->mem;
		cc_test_set_shared(t->mem, t->shared);
		t->mem->force_bounce = t->forced;
	}
	cc_test_stop(test);
	cc_fake_end(test);
}

static struct page *alloc(struct kunit *test, size_t size, int fill)
{
	struct page *page = cc_loan_alloc(size, NUMA_NO_NODE);

	KUNIT_ASSERT_NOT_NULL(test, page);
	memset(page_address(page), fill, size);
	return page;
}

static dma_addr_t map(struct dma_loan_test *t, phys_addr_t paddr, size_t size,
		      unsigned long attrs)
{
	return dma_map_page_attrs(t->dev, pfn_to_page(PHYS_PFN(paddr)),
				  offset_in_page(paddr), size,
				  DMA_FROM_DEVICE, attrs);
}

static void unmap(struct dma_loan_test *t, dma_addr_t dma, size_t size,
		  unsigned long attrs)
{
	dma_unmap_page_attrs(t->dev, dma, size, DMA_FROM_DEVICE, attrs);
}

/* The device has the loan itself: nothing bounces, nothing is copied, nobody complains. */
static void dma_loan_as_is(struct kunit *test)
{
	static const struct { size_t from, size; } parts[] = {
		{ 0, SIZE }, { 512, 512 }, { PAGE_SIZE, 2 * PAGE_SIZE }, { SIZE - 1, 1 },
	};
	struct dma_loan_test *t = test->priv;
	struct page *page = alloc(test, SIZE, 0x5a);
	unsigned long used = cc_used_bytes(), attrs = DMA_ATTR_CC_SHARED;
	phys_addr_t first = page_to_phys(page);
	u8 *data = page_address(page);

	cc_test_log_begin(test);
	for (unsigned int i = 0; i < ARRAY_SIZE(parts); i++) {
		phys_addr_t paddr = first + parts[i].from;
		size_t size = parts[i].size;
		dma_addr_t dma;

		/* As drivers of block devices pass it. */
		if (i == 2)
			attrs |= DMA_ATTR_OVERWRITE;
		dma = map(t, paddr, size, attrs);
		KUNIT_EXPECT_EQ(test, dma, phys_to_dma_unencrypted(t->dev, paddr));
		KUNIT_EXPECT_EQ(test, cc_used_bytes(), used);
		/* Even if the device bounces what else it maps. */
		dma_reset_need_sync(t->dev);
		dma_sync_single_for_cpu(t->dev, dma, size, DMA_FROM_DEVICE);
		dma_sync_single_for_device(t->dev, dma, size, DMA_FROM_DEVICE);
		data[parts[i].from] = i;
		unmap(t, dma, size, attrs);
		/* And if the driver forgets to say it. */
		unmap(t, dma, size, 0);
		KUNIT_EXPECT_EQ(test, data[parts[i].from], i);
		data[parts[i].from] = 0x5a;
	}
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 0, cc_test_log_lines("cc-test", ""));
	KUNIT_EXPECT_NULL(test, memchr_inv(data, 0x5a, SIZE));
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), used);
	cc_loan_free(page, SIZE);
	cc_test_check(test);
}

/* Neighbours that were put together, and a table. */
static void dma_loan_merged(struct kunit *test)
{
	struct dma_loan_test *t = test->priv;
	struct page *all[16], *low = NULL;
	struct scatterlist sg[2];
	dma_addr_t dma;

	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++)
		all[i] = alloc(test, SZ_16K, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(all) && !low; i++)
		if (cc_loan_covers(page_to_phys(all[i]), SZ_32K))
			low = all[i];
	KUNIT_ASSERT_NOT_NULL(test, low);
	dma = map(t, page_to_phys(low), SZ_32K, DMA_ATTR_CC_SHARED);
	KUNIT_EXPECT_EQ(test, dma, phys_to_dma_unencrypted(t->dev, page_to_phys(low)));
	unmap(t, dma, SZ_32K, DMA_ATTR_CC_SHARED);

	sg_init_table(sg, 2);
	sg_set_page(&sg[0], low, SZ_32K, 0);
	sg_set_page(&sg[1], low, 512, 1024);
	KUNIT_EXPECT_EQ(test, 2, dma_map_sg_attrs(t->dev, sg, 2, DMA_FROM_DEVICE,
						  DMA_ATTR_CC_SHARED));
	KUNIT_EXPECT_EQ(test, sg_dma_address(&sg[0]), dma);
	KUNIT_EXPECT_EQ(test, sg_dma_address(&sg[1]), dma + 1024);
	dma_unmap_sg_attrs(t->dev, sg, 2, DMA_FROM_DEVICE, DMA_ATTR_CC_SHARED);

	/* A table of which one entry is none is none: that entry begins where a loan ends. */
	cc_test_log_begin(test);
	sg_set_page(&sg[1], low, SZ_512K + 512, 0);
	KUNIT_EXPECT_EQ(test, 0, dma_map_sg_attrs(t->dev, sg, 2, DMA_FROM_DEVICE,
						  DMA_ATTR_CC_SHARED));
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(dev_name(t->dev), "DMA_ATTR_CC_SHARED"));
	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++)
		cc_loan_free(all[i], SZ_16K);
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), 0);
	cc_test_check(test);
}

/* Not mapped, neither as it is nor bounced; said once. */
static void refused(struct kunit *test, phys_addr_t paddr, size_t size, const char *what)
{
	struct dma_loan_test *t = test->priv;
	unsigned long used = cc_used_bytes();
	dma_addr_t dma[2];

	cc_test_log_begin(test);
	dma[0] = map(t, paddr, size, DMA_ATTR_CC_SHARED);
	dma[1] = map(t, paddr, size, DMA_ATTR_CC_SHARED);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ_MSG(test, dma[0], DMA_MAPPING_ERROR, "%s", what);
	KUNIT_EXPECT_EQ_MSG(test, dma[1], DMA_MAPPING_ERROR, "%s", what);
	KUNIT_EXPECT_EQ_MSG(test, 1, cc_test_log_lines(dev_name(t->dev), "DMA_ATTR_CC_SHARED"),
			    "%s", what);
	KUNIT_EXPECT_EQ_MSG(test, cc_used_bytes(), used, "%s", what);
}

/* Gate: a buffer of which a part is no loan. */
static void dma_loan_in_part(struct kunit *test)
{
	struct dma_loan_test *t = test->priv;
	struct page *page = alloc(test, SIZE, 0), *freed = alloc(test, SZ_64K, 0), *coherent;
	phys_addr_t paddr = page_to_phys(page), tlb;

	refused(test, paddr, SIZE + 1, "more than the loan");
	refused(test, paddr + SIZE - 1, 2, "its last byte and one more");
	tlb = cc_swiotlb_map(t->dev, virt_to_phys(t->buf), SZ_8K, 0, 0);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
	refused(test, tlb, SZ_8K, "what is mapped");
	cc_test_give(tlb);
	cc_loan_free(freed, SZ_64K);
	refused(test, page_to_phys(freed), SZ_64K, "a loan that is over");
	coherent = cc_swiotlb_alloc_pages(t->dev, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, coherent);
	refused(test, page_to_phys(coherent), PAGE_SIZE, "a coherent allocation");
	cc_swiotlb_free_pages(t->dev, page_to_phys(coherent), PAGE_SIZE);
	/* Where others share memory for themselves, they know. */
#ifndef __DMA_ATTR_ALLOC_CC_SHARED
	refused(test, virt_to_phys(t->buf), PAGE_SIZE, "private memory");
#endif
	cc_loan_free(page, SIZE);
}

/* Gate: without the attribute it is memory like any other. */
static void dma_loan_bounces(struct kunit *test)
{
	struct dma_loan_test *t = test->priv;
	struct page *page = alloc(test, SIZE, 0x11);

	/* The second time for a device that is given private memory. */
	for (unsigned int i = 0; i < 2; i++) {
		unsigned long used = cc_used_bytes();
		dma_addr_t dma = map(t, page_to_phys(page), SIZE, 0);
		phys_addr_t tlb = dma_to_phys(t->dev, dma);

		KUNIT_ASSERT_NE(test, dma, DMA_MAPPING_ERROR);
		KUNIT_EXPECT_NE(test, tlb, page_to_phys(page));
		KUNIT_EXPECT_GT(test, cc_used_bytes(), used);
		memset(cc_test_virt(tlb), 0x22 + i, SIZE);
		unmap(t, dma, SIZE, 0);
		KUNIT_EXPECT_EQ(test, cc_used_bytes(), used);
		KUNIT_EXPECT_NULL(test, memchr_inv(page_address(page), 0x22 + i, SIZE));
		cc_test_confidential = NULL;
	}
	cc_loan_free(page, SIZE);
	cc_test_check(test);
}

enum { PLAIN, OWN_POOL, MASK, ALIGN, TRUSTED, NEVER_BOUNCES, STOPPED };

static const char *const gates[] = {
	[PLAIN] = "plain",
	[OWN_POOL] = "another pool",
	[MASK] = "out of reach",
	[ALIGN] = "aligns too much",
	[TRUSTED] = "trusted device",
	[NEVER_BOUNCES] = "does not bounce",
	[STOPPED] = "no cc-swiotlb",
};

static void what_desc(const char *const *what, char *desc)
{
	strscpy(desc, *what, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(gate, gates, what_desc);

/* Gates: who is told to use loans, and who cannot even if he does. */
static void dma_loan_gate(struct kunit *test)
{
	unsigned int what = (const char *const *)test->param_value - gates;
	struct io_tlb_mem *own = kunit_kzalloc(test, sizeof(*own), GFP_KERNEL);
	struct dma_loan_test *t = test->priv;
	struct page *page = alloc(test, PAGE_SIZE, 0);

	KUNIT_ASSERT_NOT_NULL(test, own);
	t->mem->force_bounce = false;
	KUNIT_EXPECT_TRUE(test, dma_can_map_shared(t->dev));
	t->mem->force_bounce = true;
	KUNIT_EXPECT_TRUE(test, dma_can_map_shared(t->dev));
	switch (what) {
	case OWN_POOL:
		t->dev->dma_io_tlb_mem = own;
		break;
	case MASK:
		t->dev->coherent_dma_mask = PAGE_SIZE - 1;
		break;
	case ALIGN:
		dma_set_min_align_mask(t->dev, SZ_128K - 1);
		break;
	case TRUSTED:
#ifndef __DMA_ATTR_ALLOC_CC_SHARED
		cc_loan_free(page, PAGE_SIZE);
		kunit_skip(test, "this kernel trusts no device");
#endif
		cc_test_confidential = NULL;
		break;
	case NEVER_BOUNCES:
		t->mem->force_bounce = false;
		cc_test_set_shared(t->mem, false);
		cc_test_confidential = NULL;
		break;
	case STOPPED:
		cc_loan_free(page, PAGE_SIZE);
		cc_test_stop(test);
		break;
	}
	KUNIT_EXPECT_EQ(test, dma_can_map_shared(t->dev), what == PLAIN);
	if (what == OWN_POOL || what == MASK || what == TRUSTED)
		refused(test, page_to_phys(page), PAGE_SIZE, gates[what]);
	t->dev->coherent_dma_mask = DMA_BIT_MASK(64);
	if (what != STOPPED)
		cc_loan_free(page, PAGE_SIZE);
}

static struct kunit_case dma_loan_cases[] = {
	KUNIT_CASE_PARAM(dma_loan_as_is, branch_gen_params),
	KUNIT_CASE_PARAM(dma_loan_merged, branch_gen_params),
	KUNIT_CASE_PARAM(dma_loan_in_part, branch_gen_params),
	KUNIT_CASE_PARAM(dma_loan_bounces, branch_gen_params),
	KUNIT_CASE_PARAM(dma_loan_gate, gate_gen_params),
	{}
};

static struct kunit_suite dma_loan_suite = {
	.name = "cc_swiotlb_dma_loan",
	.init = dma_loan_init,
	.exit = dma_loan_exit,
	.test_cases = dma_loan_cases,
};

kunit_test_suite(dma_loan_suite);
#endif

MODULE_DESCRIPTION("Test of loans of cc-swiotlb through the DMA API");
MODULE_LICENSE("GPL");
