// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings without a copy of the original (DMA_ATTR_OVERWRITE). Each slot that
 * the tests map holds what another mapping has left there: not a byte of that may
 * reach the buffer unless the driver has said that the device wrote all of it.
 */
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>

#include "../holders.h"
#include "cc_test.h"

#define SIZE		3000
#define OFFSET		100

/* Another's data, what is in the buffer before, and what the device writes. */
#define OTHERS		0x77
#define BEFORE		0x5a
#define WRITTEN		0xa5

/**
 * struct overwrite_test - what a test has
 * @dev: the device that maps
 * @other: another one, whose data lie in the slots
 * @buf: memory to be mapped
 * @forced: whether all DMA had to bounce before
 * @shared: what swiotlb knew of its memory before
 */
struct overwrite_test {
	struct device *dev;
	struct device *other;
	u8 *buf;
	bool forced;
	bool shared;
};

/* Drivers' calls are bounced, too. */
static int start(struct kunit *test, bool forced)
{
	struct overwrite_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	/* A slot that was unmapped is the next one that this CPU maps. */
	cc_test_pin(test);
	cc_test_start(test);
	t->dev = cc_test_device(test, DMA_BIT_MASK(64), 511);
	t->other = cc_test_device(test, DMA_BIT_MASK(64), 511);
	t->buf = cc_test_buffer(test, SZ_64K);
	t->forced = t->dev->dma_io_tlb_mem->force_bounce;
	t->dev->dma_io_tlb_mem->force_bounce = forced;
	return 0;
}

/* All of the DMA bounces, as in the guests of older kernels. */
static int forced_init(struct kunit *test)
{
	return start(test, true);
}

static void overwrite_exit(struct kunit *test)
{
	struct overwrite_test *t = test->priv;

	if (t && t->dev)
		t->dev->dma_io_tlb_mem->force_bounce = t->forced;
	cc_test_stop(test);
}

/* Leave another's data in the @nr slots of a size that are mapped next. */
static void leave(struct kunit *test, size_t size, unsigned int nr)
{
	struct overwrite_test *t = test->priv;
	phys_addr_t tlb[4];

	for (unsigned int i = 0; i < nr; i++) {
		tlb[i] = cc_test_map(t->other, t->buf, size, 0, DMA_TO_DEVICE);
		KUNIT_ASSERT_NOT_NULL(test, cc_swiotlb_find_pool(tlb[i]));
		memset(cc_test_virt(tlb[i]), OTHERS, size);
	}
	while (nr--)
		cc_test_unmap(t->other, tlb[nr], size, DMA_TO_DEVICE);
}

/* Map the buffer, by a call of a driver, into a slot with another's data. */
static phys_addr_t map(struct kunit *test, enum dma_data_direction dir,
		       unsigned long attrs)
{
	struct overwrite_test *t = test->priv;
	dma_addr_t addr;
	phys_addr_t tlb;

	leave(test, SZ_4K, 1);
	memset(t->buf, BEFORE, SZ_64K);
	/* From here on the device need not sync, unless something bounces. */
	KUNIT_ASSERT_EQ(test, 0, dma_set_mask(t->dev, DMA_BIT_MASK(64)));
	addr = dma_map_single_attrs(t->dev, t->buf + OFFSET, SIZE, dir, attrs);
	KUNIT_ASSERT_EQ(test, 0, dma_mapping_error(t->dev, addr));
	tlb = dma_to_phys(t->dev, addr);
	KUNIT_ASSERT_NOT_NULL(test, cc_swiotlb_find_pool(tlb));
	KUNIT_EXPECT_TRUE(test, dma_dev_need_sync(t->dev));
	return tlb;
}

static void unmap(struct kunit *test, phys_addr_t tlb, enum dma_data_direction dir,
		  unsigned long attrs)
{
	struct overwrite_test *t = test->priv;

	cc_test_log_begin(test);
	dma_unmap_single_attrs(t->dev, phys_to_dma(t->dev, tlb), SIZE, dir, attrs);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 0, cc_test_log_lines(dev_name(t->dev), ""));
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), 0);
	cc_test_check(test);
}

/* The mapped part of the buffer is @fill, the rest as before. */
static void expect(struct kunit *test, u8 fill)
{
	struct overwrite_test *t = test->priv;

	KUNIT_EXPECT_NULL(test, memchr_inv(t->buf, BEFORE, OFFSET));
	KUNIT_EXPECT_NULL(test, memchr_inv(t->buf + OFFSET, fill, SIZE));
	KUNIT_EXPECT_NULL(test, memchr_inv(t->buf + OFFSET + SIZE, BEFORE,
					   SZ_64K - OFFSET - SIZE));
}

/* Nothing is copied in, and what the device has written is copied out. */
static void overwrite_success(struct kunit *test)
{
	/* At first no slot is at hand; then the fast path has one. */
	for (unsigned int i = 0; i < 3; i++) {
		phys_addr_t tlb = map(test, DMA_FROM_DEVICE, DMA_ATTR_OVERWRITE);

		KUNIT_EXPECT_NULL(test, memchr_inv(cc_test_virt(tlb), OTHERS, SIZE));
		memset(cc_test_virt(tlb), WRITTEN, SIZE);
		unmap(test, tlb, DMA_FROM_DEVICE, DMA_ATTR_OVERWRITE);
		expect(test, WRITTEN);
	}
}

/* The same where swiotlb_map() does not take the fast path. */
static void overwrite_no_slot(struct kunit *test)
{
	struct overwrite_test *t = test->priv;
	phys_addr_t tlb;
	dma_addr_t addr;

	memset(t->buf, BEFORE, SZ_64K);
	addr = dma_map_single_attrs(t->dev, t->buf, SZ_16K, DMA_FROM_DEVICE,
				    DMA_ATTR_OVERWRITE);
	KUNIT_ASSERT_EQ(test, 0, dma_mapping_error(t->dev, addr));
	tlb = dma_to_phys(t->dev, addr);
	KUNIT_ASSERT_NOT_NULL(test, cc_swiotlb_find_pool(tlb));
	/* It is fresh from the reserve. */
	KUNIT_EXPECT_NULL(test, memchr_inv(cc_test_virt(tlb), 0, SZ_16K));
	dma_unmap_single_attrs(t->dev, addr, SZ_16K, DMA_FROM_DEVICE, 0);
	KUNIT_EXPECT_NULL(test, memchr_inv(t->buf, BEFORE, SZ_64K));

	/* Not what the device reads. */
	addr = dma_map_single_attrs(t->dev, t->buf, SZ_64K, DMA_TO_DEVICE,
				    DMA_ATTR_OVERWRITE);
	KUNIT_ASSERT_EQ(test, 0, dma_mapping_error(t->dev, addr));
	tlb = dma_to_phys(t->dev, addr);
	KUNIT_EXPECT_NULL(test, memchr_inv(cc_test_virt(tlb), BEFORE, SZ_64K));
	dma_unmap_single_attrs(t->dev, addr, SZ_64K, DMA_TO_DEVICE, 0);
	cc_test_check(test);
}

static const unsigned long failed_params[] = {
	0, DMA_ATTR_SKIP_CPU_SYNC, DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_OVERWRITE,
};

static void failed_desc(const unsigned long *attrs, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "attrs %#lx", *attrs);
}

KUNIT_ARRAY_PARAM(failed, failed_params, failed_desc);

/*
 * Gate: success is what an unmap says, not what it takes for granted. A driver's
 * error path unmaps as ever: nothing is copied, and nobody is blamed.
 */
static void overwrite_failed(struct kunit *test)
{
	unsigned long attrs = *(const unsigned long *)test->param_value;
	phys_addr_t tlb = map(test, DMA_FROM_DEVICE, DMA_ATTR_OVERWRITE);

	/* The device has written a part. */
	memset(cc_test_virt(tlb), WRITTEN, SIZE / 2);
	unmap(test, tlb, DMA_FROM_DEVICE, attrs);
	expect(test, BEFORE);
	/* The slot is an ordinary one again. */
	tlb = map(test, DMA_BIDIRECTIONAL, 0);
	KUNIT_EXPECT_NULL(test, memchr_inv(cc_test_virt(tlb), BEFORE, SIZE));
	unmap(test, tlb, DMA_BIDIRECTIONAL, 0);
	expect(test, BEFORE);
}

/* Gate: a sync copies nothing, in any direction, and warns once. */
static void overwrite_sync(struct kunit *test)
{
	struct overwrite_test *t = test->priv;
	phys_addr_t tlb = map(test, DMA_FROM_DEVICE, DMA_ATTR_OVERWRITE);
	dma_addr_t addr = phys_to_dma(t->dev, tlb);

	cc_test_log_begin(test);
	dma_sync_single_for_cpu(t->dev, addr, SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(t->dev, addr + 1000, 1000, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(t->dev, addr + SIZE - 1, 1, DMA_BIDIRECTIONAL);
	dma_sync_single_for_device(t->dev, addr, SIZE, DMA_BIDIRECTIONAL);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(dev_name(t->dev), "sync at"));
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("sync at", "DMA_ATTR_OVERWRITE"));
	expect(test, BEFORE);
	KUNIT_EXPECT_NULL(test, memchr_inv(cc_test_virt(tlb), OTHERS, SIZE));

	memset(cc_test_virt(tlb), WRITTEN, SIZE);
	unmap(test, tlb, DMA_FROM_DEVICE, DMA_ATTR_OVERWRITE);
	expect(test, WRITTEN);
}

static const enum dma_data_direction dir_params[] = {
	DMA_BIDIRECTIONAL, DMA_TO_DEVICE,
};

static void dir_desc(const enum dma_data_direction *dir, char *desc)
{
	strscpy(desc, *dir == DMA_TO_DEVICE ? "to" : "both", KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(dir, dir_params, dir_desc);

/* Gate: what the device reads is copied in, whatever the driver promises. */
static void overwrite_direction(struct kunit *test)
{
	const enum dma_data_direction dir = *(enum dma_data_direction *)test->param_value;

	for (unsigned int i = 0; i < 2; i++) {
		phys_addr_t tlb = map(test, dir, DMA_ATTR_OVERWRITE);

		KUNIT_EXPECT_NULL(test, memchr_inv(cc_test_virt(tlb), BEFORE, SIZE));
		memset(cc_test_virt(tlb), WRITTEN, SIZE);
		unmap(test, tlb, dir, i ? DMA_ATTR_OVERWRITE : 0);
		expect(test, dir == DMA_TO_DEVICE ? BEFORE : WRITTEN);
	}
}

/*
 * Gate: callers of swiotlb_tbl_map_single(), dma-iommu for untrusted devices
 * above all, get a buffer that is initialised; an unmap says nothing new of it.
 */
static void overwrite_untrusted(struct kunit *test)
{
	struct overwrite_test *t = test->priv;

	for (unsigned int i = 0; i < 2; i++) {
		unsigned long attrs = i ? DMA_ATTR_OVERWRITE : 0;
		phys_addr_t tlb;

		leave(test, SZ_4K, 1);
		memset(t->buf, BEFORE, SZ_64K);
		tlb = cc_test_tbl_map(t->dev, virt_to_phys(t->buf + OFFSET), SIZE, 0,
				      DMA_FROM_DEVICE, DMA_ATTR_OVERWRITE);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
		KUNIT_ASSERT_NOT_NULL(test, cc_swiotlb_find_pool(tlb));
		KUNIT_EXPECT_NULL(test, memchr_inv(cc_test_virt(tlb), BEFORE, SIZE));
		/* An ordinary mapping: it may be synced, and a part be written. */
		*(u8 *)cc_test_virt(tlb) = WRITTEN;
		swiotlb_sync_single_for_cpu(t->dev, tlb, SIZE, DMA_FROM_DEVICE);
		KUNIT_EXPECT_EQ(test, t->buf[OFFSET], WRITTEN);
		t->buf[OFFSET] = BEFORE;
		swiotlb_tbl_unmap_single(t->dev, tlb, SIZE, DMA_FROM_DEVICE, attrs);
		KUNIT_EXPECT_EQ(test, t->buf[OFFSET], WRITTEN);
		t->buf[OFFSET] = BEFORE;
		expect(test, BEFORE);
		cc_test_check(test);
	}
}

/* A pool of its own, which is swiotlb's default pool under another name. */
static struct io_tlb_mem *own_pool(struct kunit *test, const struct io_tlb_mem *mem)
{
	struct io_tlb_mem *own = kunit_kzalloc(test, sizeof(*own), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, own);
	*own = *mem;
#ifdef CONFIG_SWIOTLB_DYNAMIC
	own->can_grow = false;
	INIT_LIST_HEAD(&own->pools);
	list_add(&own->defpool.node, &own->pools);
#endif
	return own;
}

/*
 * Gate: a device with a pool of its own has nothing of this: a copy is made, and not into
 * a slot, whether one is at hand for the fast path or not.
 */
static void overwrite_restricted(struct kunit *test)
{
	static const size_t sizes[] = { SZ_4K, SZ_32K };
	struct overwrite_test *t = test->priv;
	struct io_tlb_mem *mem = t->dev->dma_io_tlb_mem;
	struct io_tlb_mem *own = own_pool(test, mem);

	leave(test, SZ_4K, 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		phys_addr_t tlb;
		dma_addr_t addr;

		memset(t->buf, BEFORE, SZ_64K);
		t->dev->dma_io_tlb_mem = own;
		addr = swiotlb_map(t->dev, virt_to_phys(t->buf), sizes[i], DMA_FROM_DEVICE,
				   DMA_ATTR_OVERWRITE);
		tlb = dma_to_phys(t->dev, addr);
		if (addr == DMA_MAPPING_ERROR || cc_swiotlb_find_pool(tlb)) {
			t->dev->dma_io_tlb_mem = mem;
			KUNIT_FAIL_AND_ABORT(test, "%zu bytes not mapped in the pool", sizes[i]);
		}
		KUNIT_EXPECT_NULL(test, memchr_inv(cc_test_virt(tlb), BEFORE, sizes[i]));
		KUNIT_EXPECT_EQ(test, cc_used_bytes(), 0);
		*(u8 *)cc_test_virt(tlb) = WRITTEN;
		swiotlb_tbl_unmap_single(t->dev, tlb, sizes[i], DMA_FROM_DEVICE, 0);
		t->dev->dma_io_tlb_mem = mem;
		KUNIT_EXPECT_EQ(test, t->buf[0], WRITTEN);
		KUNIT_EXPECT_NULL(test, memchr_inv(t->buf + 1, BEFORE, SZ_64K - 1));
	}
}

/* The legacy pool copies in, as ever; so it copies out, whatever unmap says. */
static void overwrite_legacy(struct kunit *test)
{
	/* It wants more bits of the address kept than are noted of an offset. */
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), SZ_128K - 1);
	u8 *buf = cc_test_buffer(test, SZ_256K);

	buf = PTR_ALIGN(buf, SZ_128K) + SZ_64K;
	for (unsigned int i = 0; i < 4; i++) {
		unsigned long attrs = i & 1 ? DMA_ATTR_OVERWRITE : 0;
		phys_addr_t tlb;
		dma_addr_t addr;

		memset(buf, BEFORE, SIZE);
		cc_test_log_begin(test);
		addr = swiotlb_map(dev, virt_to_phys(buf), SIZE, DMA_FROM_DEVICE,
				   DMA_ATTR_OVERWRITE);
		cc_test_log_end(test);
		KUNIT_ASSERT_NE(test, addr, DMA_MAPPING_ERROR);
		tlb = dma_to_phys(dev, addr);
		KUNIT_ASSERT_NULL(test, cc_swiotlb_find_pool(tlb));
		KUNIT_EXPECT_NULL(test, memchr_inv(cc_test_virt(tlb), BEFORE, SIZE));
		*(u8 *)cc_test_virt(tlb) = WRITTEN;
		swiotlb_tbl_unmap_single(dev, tlb, SIZE, DMA_FROM_DEVICE, attrs);
		KUNIT_EXPECT_EQ(test, buf[0], WRITTEN);
		KUNIT_EXPECT_NULL(test, memchr_inv(buf + 1, BEFORE, SIZE - 1));
	}
	KUNIT_EXPECT_EQ(test, 4, cc_test_sum(CC_LEGACY));
}

/* Gate: of a request that is mapped in part, the rest of it being too large. */
static void overwrite_partial(struct kunit *test)
{
	struct overwrite_test *t = test->priv;
	struct scatterlist sg[3];
	struct sg_table sgt = { .sgl = sg, .orig_nents = ARRAY_SIZE(sg) };

	leave(test, SZ_4K, 2);
	memset(t->buf, BEFORE, SZ_64K);
	sg_init_table(sg, ARRAY_SIZE(sg));
	sg_set_buf(&sg[0], t->buf, SIZE);
	sg_set_buf(&sg[1], t->buf + SZ_4K, SIZE);
	sg_set_buf(&sg[2], t->buf + SZ_8K, SZ_1M);
	cc_test_log_begin(test);
	KUNIT_EXPECT_NE(test, 0, dma_map_sgtable(t->dev, &sgt, DMA_FROM_DEVICE,
						 DMA_ATTR_NO_WARN | DMA_ATTR_OVERWRITE));
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 0, cc_test_log_lines(dev_name(t->dev), ""));
	KUNIT_EXPECT_NULL(test, memchr_inv(t->buf, BEFORE, SZ_64K));
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), 0);
	cc_test_check(test);
}

static const unsigned long table_params[] = { 0, DMA_ATTR_OVERWRITE };

KUNIT_ARRAY_PARAM(table, table_params, failed_desc);

/* All segments of a table, with success and without. */
static void overwrite_table(struct kunit *test)
{
	unsigned long attrs = *(const unsigned long *)test->param_value;
	struct overwrite_test *t = test->priv;
	struct scatterlist sg[3], *s;
	struct sg_table sgt = { .sgl = sg, .orig_nents = ARRAY_SIZE(sg) };
	unsigned int i;

	leave(test, SZ_4K, 3);
	memset(t->buf, BEFORE, SZ_64K);
	sg_init_table(sg, ARRAY_SIZE(sg));
	for_each_sg(sg, s, ARRAY_SIZE(sg), i)
		sg_set_buf(s, t->buf + i * SZ_8K, SIZE + i);
	KUNIT_ASSERT_EQ(test, 0, dma_map_sgtable(t->dev, &sgt, DMA_FROM_DEVICE,
						 DMA_ATTR_OVERWRITE));
	for_each_sg(sg, s, ARRAY_SIZE(sg), i) {
		void *slot = cc_test_virt(dma_to_phys(t->dev, sg_dma_address(s)));

		KUNIT_EXPECT_NULL(test, memchr_inv(slot, OTHERS, SIZE + i));
		if (attrs)
			memset(slot, WRITTEN, SIZE + i);
	}
	dma_unmap_sgtable(t->dev, &sgt, DMA_FROM_DEVICE, attrs);
	for (i = 0; i < ARRAY_SIZE(sg); i++) {
		u8 *buf = t->buf + i * SZ_8K;

		KUNIT_EXPECT_NULL(test, memchr_inv(buf, attrs ? WRITTEN : BEFORE, SIZE + i));
		KUNIT_EXPECT_NULL(test, memchr_inv(buf + SIZE + i, BEFORE, SZ_8K - SIZE - i));
	}
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), 0);
	cc_test_check(test);
}

/* A driver that gets it wrong: it is blamed, and nothing is changed or copied. */
static void overwrite_misuse(struct kunit *test)
{
	struct overwrite_test *t = test->priv;
	phys_addr_t tlb = map(test, DMA_FROM_DEVICE, DMA_ATTR_OVERWRITE);

	cc_test_log_begin(test);
	swiotlb_tbl_unmap_single(t->dev, tlb + 1, SIZE, DMA_FROM_DEVICE,
				 DMA_ATTR_OVERWRITE);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(dev_name(t->dev), "unmap of"));
	KUNIT_EXPECT_EQ(test, 0, cc_test_log_lines("unmap of", "another device"));

	cc_test_log_begin(test);
	swiotlb_tbl_unmap_single(t->other, tlb, SIZE, DMA_FROM_DEVICE,
				 DMA_ATTR_OVERWRITE);
	swiotlb_sync_single_for_cpu(t->other, tlb, SIZE, DMA_FROM_DEVICE);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("unmap of", "another device"));
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(dev_name(t->other), "sync at"));
	expect(test, BEFORE);
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), SZ_4K);

	/* The wrong size costs a warning, not the slot. */
	cc_test_log_begin(test);
	swiotlb_tbl_unmap_single(t->dev, tlb, SIZE + 1, DMA_FROM_DEVICE, 0);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(dev_name(t->dev), "unmap of"));
	expect(test, BEFORE);
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), 0);

	/* What has been unmapped is nobody's, with success or without. */
	cc_test_log_begin(test);
	swiotlb_tbl_unmap_single(t->dev, tlb, SIZE, DMA_FROM_DEVICE,
				 DMA_ATTR_OVERWRITE);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(dev_name(t->dev), "unmapped twice"));
	expect(test, BEFORE);
	cc_test_check(test);
}

/* A stale slot is held by its device, like any other. */
static void overwrite_holder(struct kunit *test)
{
	struct overwrite_test *t = test->priv;
	phys_addr_t tlb = map(test, DMA_FROM_DEVICE, DMA_ATTR_OVERWRITE);
	const struct cc_holder *h;
	unsigned int nr;

	mutex_lock(&cc_swiotlb.mutex);
	h = cc_holders_count(&nr);
	KUNIT_EXPECT_EQ(test, nr, 1);
	KUNIT_EXPECT_PTR_EQ(test, h->dev, (const struct device *)t->dev);
	KUNIT_EXPECT_EQ(test, h->bytes, SIZE);
	mutex_unlock(&cc_swiotlb.mutex);
	unmap(test, tlb, DMA_FROM_DEVICE, 0);
}

/*
 * Gate: what is shared has been zeroed before, so that a slot never holds
 * anything but what was bounced. The memory that is shared here is dirty.
 */
static void overwrite_zeroed(struct kunit *test)
{
	unsigned int order = CC_BLOCK_SHIFT - PAGE_SHIFT, nr = 0;
	struct page *page[16] = { 0 };
	struct cc_options opts;
	struct cc_block *block;

	cc_test_stop(test);
	for (unsigned int i = 0; i < ARRAY_SIZE(page); i++) {
		page[i] = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);
		if (page[i])
			memset(page_address(page[i]), OTHERS, BIT(CC_BLOCK_SHIFT));
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(page); i++) {
		if (page[i])
			__free_pages(page[i], order);
	}

	cc_test_options(&opts);
	opts.reserve = SZ_16M;
	cc_test_start_with(test, &opts, false);
	list_for_each_entry(block, &cc_swiotlb.blocks, node) {
		KUNIT_EXPECT_NULL(test, memchr_inv(page_address(block->page), 0,
						   BIT(block->shift)));
		for (unsigned int i = 0; i < ARRAY_SIZE(page); i++)
			nr += page[i] && block->page == page[i];
	}
	KUNIT_EXPECT_NE_MSG(test, nr, 0, "none of the dirty memory was taken");
}

/* They are the same in both suites, and each needs its own. */
static struct kunit_case overwrite_cases[2][14] = {
	[0 ... 1] = {
		KUNIT_CASE(overwrite_success),
		KUNIT_CASE(overwrite_no_slot),
		KUNIT_CASE_PARAM(overwrite_failed, failed_gen_params),
		KUNIT_CASE(overwrite_sync),
		KUNIT_CASE_PARAM(overwrite_direction, dir_gen_params),
		KUNIT_CASE(overwrite_untrusted),
		KUNIT_CASE(overwrite_restricted),
		KUNIT_CASE(overwrite_legacy),
		KUNIT_CASE(overwrite_partial),
		KUNIT_CASE_PARAM(overwrite_table, table_gen_params),
		KUNIT_CASE(overwrite_misuse),
		KUNIT_CASE(overwrite_holder),
		KUNIT_CASE(overwrite_zeroed),
		{}
	}
};

static struct kunit_suite overwrite_suite = {
	.name = "cc_swiotlb_overwrite",
	.init = forced_init,
	.exit = overwrite_exit,
	.test_cases = overwrite_cases[0],
};

kunit_test_suite(overwrite_suite);

/* Linux 6.12 has no other confidential devices, and elsewhere the platform says which are. */
#if defined(__DMA_ATTR_ALLOC_CC_SHARED) && !defined(CONFIG_ARCH_HAS_FORCE_DMA_UNENCRYPTED)
/* dma-direct finds out for each buffer that it bounces. */
static int confidential_init(struct kunit *test)
{
	struct overwrite_test *t;
	int err = start(test, false);

	t = test->priv;
	t->shared = cc_test_set_shared(t->dev->dma_io_tlb_mem, true);
	cc_test_confidential = t->dev;
	return err;
}

static void confidential_exit(struct kunit *test)
{
	struct overwrite_test *t = test->priv;

	cc_test_confidential = NULL;
	if (t && t->dev)
		cc_test_set_shared(t->dev->dma_io_tlb_mem, t->shared);
	overwrite_exit(test);
}

static struct kunit_suite confidential_suite = {
	.name = "cc_swiotlb_overwrite_confidential",
	.init = confidential_init,
	.exit = confidential_exit,
	.test_cases = overwrite_cases[1],
};

kunit_test_suite(confidential_suite);
#endif

MODULE_DESCRIPTION("Tests of cc-swiotlb without a copy of the original");
MODULE_LICENSE("GPL");
