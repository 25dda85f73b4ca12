// SPDX-License-Identifier: GPL-2.0-only
/*
 * The contract of map, sync and unmap.
 */
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>

#include "cc_test.h"

/* What the device requires to be kept, and what the caller requires. */
struct align_param {
	u32 min;
	u32 alloc;
};

static const struct align_param align_params[] = {
	{ 0, 0 }, { 0, 2047 }, { 0, 4095 }, { 0, 65535 },
	{ 511, 0 }, { 511, 2047 }, { 511, 4095 }, { 511, 65535 },
	{ 2047, 0 }, { 2047, 2047 }, { 2047, 4095 }, { 2047, 65535 },
	{ 4095, 0 }, { 4095, 2047 }, { 4095, 4095 }, { 4095, 65535 },
	{ 65535, 0 }, { 65535, 2047 }, { 65535, 4095 }, { 65535, 65535 },
};

static void align_desc(const struct align_param *p, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "min_align_mask=%u alloc_align_mask=%u",
		 p->min, p->alloc);
}

KUNIT_ARRAY_PARAM(align, align_params, align_desc);

static const u32 offsets[] = {
	0, 1, 100, 511, 512, 2047, 2048, 3000, 4095, 4096, 10000, 65535,
};

static const size_t sizes[] = {
	1, 63, 511, 512, 513, 2048, 4095, 4096, 4097, 9000, 16384, 65536, 100000,
	262144, 300000, SZ_512K,
};

/* The granules that a mapping owns. */
struct owned {
	phys_addr_t tlb;
	phys_addr_t start;
	phys_addr_t end;
	size_t size;
	u32 offset;
	u8 fill;
};

#define MAX_OWNED	8

static void fill_owned(struct owned *o)
{
	void *start = cc_test_virt(o->start);

	/* As dma-iommu does for untrusted devices, then what the device does. */
	memset(start, 0, o->tlb - o->start);
	memset(cc_test_virt(o->tlb), o->fill, o->size);
	memset(cc_test_virt(o->tlb + o->size), 0, o->end - o->tlb - o->size);
}

static void unmap_owned(struct kunit *test, struct device *dev, u8 *buf,
			struct owned *o)
{
	memset(buf + o->offset, 0x11, o->size);
	cc_test_unmap(dev, o->tlb, o->size, DMA_FROM_DEVICE);
	KUNIT_EXPECT_NULL(test, memchr_inv(buf + o->offset, o->fill, o->size));
}

/* Rules 1, 2 and 3: alignment, and granules that nobody else owns. */
static void map_alignment(struct kunit *test)
{
	const struct align_param *p = test->param_value;
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), p->min);
	u8 *buf = cc_test_buffer(test, SZ_1M);
	struct owned live[MAX_OWNED] = { 0 };
	unsigned int n = 0, mapped = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes) * ARRAY_SIZE(offsets); i++) {
		struct owned *o = &live[n++ % MAX_OWNED];

		if (o->size)
			unmap_owned(test, dev, buf, o);
		*o = (struct owned){
			.offset = offsets[i % ARRAY_SIZE(offsets)],
			.size = min(sizes[i / ARRAY_SIZE(offsets)],
				    swiotlb_max_mapping_size(dev)),
			.fill = i | 1,
		};
		memset(buf + o->offset, 0x22, o->size);
		o->tlb = cc_test_map(dev, buf + o->offset, o->size, p->alloc,
				     DMA_FROM_DEVICE);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(o->tlb));
		KUNIT_ASSERT_NOT_NULL(test, cc_swiotlb_find_pool(o->tlb));
		KUNIT_EXPECT_NULL(test, memchr_inv(cc_test_virt(o->tlb), 0x22, o->size));
		o->start = round_down(o->tlb, p->alloc + 1);
		o->end = round_up(o->tlb + o->size, p->alloc + 1);

		KUNIT_EXPECT_EQ(test, o->tlb & p->min, o->offset & p->min);
		KUNIT_EXPECT_EQ(test, (o->tlb - (o->offset & p->min)) & p->alloc, 0);
		if (!p->min && !p->alloc && o->size >= PAGE_SIZE)
			KUNIT_EXPECT_TRUE(test, PAGE_ALIGNED(o->tlb));
		for (unsigned int j = 0; j < MAX_OWNED; j++)
			if (&live[j] != o && live[j].size)
				KUNIT_EXPECT_TRUE(test, o->end <= live[j].start ||
						  live[j].end <= o->start);
		fill_owned(o);
		mapped++;
		cc_test_grow();
	}
	for (unsigned int j = 0; j < MAX_OWNED; j++)
		unmap_owned(test, dev, buf, &live[j]);
	KUNIT_EXPECT_EQ(test, mapped, cc_test_sum(CC_MAPS));
	KUNIT_EXPECT_EQ(test, 0, cc_test_sum(CC_LEGACY));
	cc_test_check(test);
}

static const u32 min_params[] = { 0, 511, 2047, 4095, 65535 };

static void min_desc(const u32 *p, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "min_align_mask=%u", *p);
}

KUNIT_ARRAY_PARAM(min, min_params, min_desc);

/* Rule 5: what swiotlb_max_mapping_size() says fits at every offset. */
static void map_maximum(struct kunit *test)
{
	const u32 mask = *(const u32 *)test->param_value;
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), mask);
	size_t max = swiotlb_max_mapping_size(dev);
	phys_addr_t tlb;

	KUNIT_EXPECT_LE(test, max, SZ_512K);
	KUNIT_EXPECT_GE(test, max, SZ_512K - mask - 1);
	for (u32 offset = 0; offset <= mask; offset++) {
		struct io_tlb_pool *pool;

		tlb = cc_swiotlb_map(dev, SZ_1M + offset, max, 0, 0);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
		pool = cc_swiotlb_find_pool(tlb);
		KUNIT_EXPECT_EQ(test, tlb & mask, offset);
		KUNIT_EXPECT_LE(test, tlb + max, pool->end);
		cc_swiotlb_unmap(dev, tlb, max, pool);
	}
}

/* An offset of more than 16 bits is nothing for a slot, but for the legacy pool. */
static void map_wide_mask(struct kunit *test)
{
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), SZ_128K - 1);
	phys_addr_t buf = ALIGN(virt_to_phys(cc_test_buffer(test, SZ_256K)), SZ_128K);
	dma_addr_t addr;

	KUNIT_EXPECT_EQ(test, swiotlb_max_mapping_size(dev), SZ_128K);
	/* The second time of each, the magazine has a slot. */
	for (unsigned int i = 0; i < 4; i++) {
		u32 offset = i % 2 ? SZ_64K : SZ_64K - SZ_4K;

		addr = swiotlb_map(dev, buf + offset, SZ_4K, DMA_TO_DEVICE, 0);
		KUNIT_ASSERT_NE(test, addr, DMA_MAPPING_ERROR);
		KUNIT_EXPECT_EQ(test, (addr ^ (buf + offset)) & (SZ_128K - 1), 0);
		KUNIT_EXPECT_EQ(test, !cc_swiotlb_find_pool(dma_to_phys(dev, addr)), i % 2);
		swiotlb_tbl_unmap_single(dev, dma_to_phys(dev, addr), SZ_4K,
					 DMA_TO_DEVICE, 0);
	}
	KUNIT_EXPECT_EQ(test, 2, cc_test_sum(CC_LEGACY));
	KUNIT_EXPECT_EQ(test, 2, cc_test_sum(CC_MAPS));
	cc_test_check(test);
}

/* More than a slot is refused, not cut off. */
static void map_too_large(struct kunit *test)
{
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 4095);
	phys_addr_t buf = virt_to_phys(cc_test_buffer(test, SZ_1M));
	phys_addr_t tlb;

	for (int i = 0; i < 2; i++) {
		size_t size = i ? SZ_1M : SZ_512K - 4095 + 1;

		tlb = cc_test_tbl_map(dev, buf + 4095, size, 0,
				      DMA_TO_DEVICE, DMA_ATTR_NO_WARN);
		KUNIT_EXPECT_TRUE(test, cc_test_failed(tlb));
	}
	KUNIT_EXPECT_EQ(test, 2, cc_test_sum(CC_FAILED));
	KUNIT_EXPECT_EQ(test, 0, cc_test_sum(CC_MAPS));
	cc_test_check(test);
}

static const enum dma_data_direction dir_params[] = {
	DMA_BIDIRECTIONAL, DMA_TO_DEVICE, DMA_FROM_DEVICE,
};

static void dir_desc(const enum dma_data_direction *p, char *desc)
{
	static const char * const names[] = { "both", "to", "from" };

	strscpy(desc, names[*p], KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(dir, dir_params, dir_desc);

/* Rule 8: map copies in for every direction, unmap copies out unless told. */
static void map_direction(struct kunit *test)
{
	const enum dma_data_direction dir = *(enum dma_data_direction *)test->param_value;
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	u8 *buf = cc_test_buffer(test, SZ_512K);

	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		unsigned long attrs = i & 1 ? DMA_ATTR_SKIP_CPU_SYNC : 0;
		size_t size = sizes[i / 2];
		bool out = !attrs && dir != DMA_TO_DEVICE;
		phys_addr_t tlb;

		memset(buf, 0x5a, size);
		tlb = cc_test_tbl_map(dev, virt_to_phys(buf), size, 0,
				      dir, attrs);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
		KUNIT_EXPECT_MEMEQ(test, cc_test_virt(tlb), buf, size);
		/* The device writes one byte; the rest must survive. */
		*(u8 *)cc_test_virt(tlb + size / 2) = 0xa5;
		memset(buf, 0x66, size);
		swiotlb_tbl_unmap_single(dev, tlb, size, dir, attrs);
		KUNIT_EXPECT_EQ(test, buf[size / 2], out ? 0xa5 : 0x66);
		buf[size / 2] = out ? 0x5a : 0x66;
		KUNIT_EXPECT_NULL(test, memchr_inv(buf, out ? 0x5a : 0x66, size));
	}
}

struct sync_param {
	const char *name;
	size_t start;
	size_t size;
	size_t copied;
};

#define SYNC_SIZE	10000

static const struct sync_param sync_params[] = {
	{ "all", 0, SYNC_SIZE, SYNC_SIZE },
	{ "start", 0, 100, 100 },
	{ "middle", 5000, 1234, 1234 },
	{ "across slots of swiotlb", 2040, 4100, 4100 },
	{ "last byte", SYNC_SIZE - 1, 1, 1 },
	{ "end", SYNC_SIZE - 777, 777, 777 },
	{ "one too many", SYNC_SIZE - 777, 778, 777 },
	{ "beyond", 9000, 5000, 1000 },
	{ "all beyond", SYNC_SIZE, 1, 0 },
	{ "behind", SYNC_SIZE + 1, 1, 0 },
};

static void sync_desc(const struct sync_param *p, char *desc)
{
	strscpy(desc, p->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(sync, sync_params, sync_desc);

/* All of @buf is @out, but for @size bytes from @start on, which are @in. */
static void expect_filled(struct kunit *test, const u8 *buf, size_t start,
			  size_t size, u8 in, u8 out)
{
	KUNIT_EXPECT_NULL(test, memchr_inv(buf, out, start));
	KUNIT_EXPECT_NULL(test, memchr_inv(buf + start, in, size));
	KUNIT_EXPECT_NULL(test, memchr_inv(buf + start + size, out,
					   SYNC_SIZE + 6000 - start - size));
}

/* Warnings of a sync, by swiotlb or by the allocator. */
static unsigned int sync_warnings(struct device *dev)
{
	return cc_test_log_lines(dev_name(dev), "sync at") +
	       cc_test_log_lines(dev_name(dev), "Buffer overflow");
}

/* Rule 7: sync of a part; what is not mapped is not copied, and warned of. */
static void map_sync(struct kunit *test)
{
	const struct sync_param *p = test->param_value;
	bool bad = p->copied < p->size;
	u8 *buf = cc_test_buffer(test, SZ_64K);

	for (u32 offset = 0; offset < 4096; offset += 1365) {
		struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 4095);
		size_t start = min(p->start, SYNC_SIZE);
		u8 *orig = buf + offset;
		phys_addr_t tlb;

		memset(buf, 1, SZ_64K);
		tlb = cc_test_map(dev, orig, SYNC_SIZE, 0, DMA_BIDIRECTIONAL);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
		memset(cc_test_virt(tlb), 2, SYNC_SIZE);

		cc_test_log_begin(test);
		swiotlb_sync_single_for_cpu(dev, tlb + p->start, p->size,
					    DMA_FROM_DEVICE);
		cc_test_log_end(test);
		KUNIT_EXPECT_EQ(test, bad, sync_warnings(dev));
		expect_filled(test, orig, start, p->copied, 2, 1);

		memset(orig, 3, SYNC_SIZE + 6000);
		memset(cc_test_virt(tlb), 4,
		       min(SYNC_SIZE + 6000, SZ_16K - 4096));
		cc_test_log_begin(test);
		swiotlb_sync_single_for_device(dev, tlb + p->start, p->size,
					       DMA_TO_DEVICE);
		cc_test_log_end(test);
		KUNIT_EXPECT_EQ(test, bad, sync_warnings(dev));
		KUNIT_EXPECT_NULL(test, memchr_inv(cc_test_virt(tlb + start), 3, p->copied));
		KUNIT_EXPECT_NULL(test, memchr_inv(cc_test_virt(tlb), 4, start));
		KUNIT_EXPECT_NULL(test, memchr_inv(cc_test_virt(tlb + start + p->copied), 4,
						   SYNC_SIZE - start - p->copied));
		cc_test_unmap(dev, tlb, SYNC_SIZE, DMA_TO_DEVICE);
	}
}

/* A sync for the direction that does not concern it copies nothing. */
static void map_sync_direction(struct kunit *test)
{
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	u8 *buf = cc_test_buffer(test, SZ_4K);
	phys_addr_t tlb;

	memset(buf, 1, SZ_4K);
	tlb = cc_test_map(dev, buf, SZ_4K, 0, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
	memset(cc_test_virt(tlb), 2, SZ_4K);
	swiotlb_sync_single_for_cpu(dev, tlb, SZ_4K, DMA_TO_DEVICE);
	KUNIT_EXPECT_NULL(test, memchr_inv(buf, 1, SZ_4K));
	swiotlb_sync_single_for_device(dev, tlb, SZ_4K, DMA_FROM_DEVICE);
	KUNIT_EXPECT_NULL(test, memchr_inv(cc_test_virt(tlb), 2, SZ_4K));
	cc_test_unmap(dev, tlb, SZ_4K, DMA_TO_DEVICE);
	KUNIT_EXPECT_NULL(test, memchr_inv(buf, 1, SZ_4K));
}

#ifdef CONFIG_SWIOTLB_DYNAMIC
/* Memory that max= does not bound is not allocated for what does not fit. */
static void map_no_pools(struct kunit *test)
{
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	u8 *buf = cc_test_buffer(test, SZ_256K);
	phys_addr_t tlb, *mapped;
	unsigned int n = 0, most = (SZ_128M + SZ_4M) / SZ_256K + 1;
	struct cc_options opts;

	mapped = kunit_kcalloc(test, most, sizeof(*mapped), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, mapped);
	cc_test_stop(test);
	cc_test_options(&opts);
	opts.max = SZ_8M;
	cc_test_start_with(test, &opts, false);
	cc_test_log_begin(test);
	while (n < most) {
		tlb = cc_test_tbl_map(dev, virt_to_phys(buf), SZ_256K, 0,
				      DMA_TO_DEVICE, DMA_ATTR_NO_WARN);
		if (cc_test_failed(tlb))
			break;
		mapped[n++] = tlb;
		cc_test_grow();
	}
	cc_test_log_end(test);
	/* The legacy pool, which may have been there, and what max= allows. */
	KUNIT_EXPECT_LT(test, n, most);
	KUNIT_EXPECT_TRUE(test, list_empty(&dev->dma_io_tlb_pools));
	KUNIT_EXPECT_FALSE(test, work_pending(&dev->dma_io_tlb_mem->dyn_alloc));
	while (n--)
		cc_test_unmap(dev, mapped[n], SZ_256K, DMA_TO_DEVICE);
	cc_test_check(test);
}
#endif

#ifdef __DMA_ATTR_ALLOC_CC_SHARED
/* The attribute says what the memory is, whatever the caller has passed. */
static void map_attrs(struct kunit *test)
{
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	struct io_tlb_mem *mem = dev->dma_io_tlb_mem;
	u8 *buf = cc_test_buffer(test, SZ_4K);
	bool shared = mem->cc_shared;

	for (unsigned int i = 0; i < 4; i++) {
		unsigned long attrs = i & 1 ? DMA_ATTR_CC_SHARED : 0;
		phys_addr_t tlb;

		mem->cc_shared = i & 2;
		tlb = swiotlb_tbl_map_single(dev, virt_to_phys(buf), SZ_4K, 0,
					     DMA_TO_DEVICE, &attrs);
		mem->cc_shared = shared;
		KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
		KUNIT_EXPECT_NOT_NULL(test, cc_swiotlb_find_pool(tlb));
		KUNIT_EXPECT_EQ(test, attrs, i & 2 ? DMA_ATTR_CC_SHARED : 0);
		cc_test_unmap(dev, tlb, SZ_4K, DMA_TO_DEVICE);
	}
}
#endif

/* The DMA API as drivers use it, with bouncing forced. */
static void map_dma_api(struct kunit *test)
{
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 511);
	struct io_tlb_mem *mem = dev->dma_io_tlb_mem;
	bool force = mem->force_bounce, skips;
	u8 *buf = cc_test_buffer(test, SZ_64K);
	struct scatterlist sg[3];
	phys_addr_t tlb;
	dma_addr_t addr;

	mem->force_bounce = true;
	KUNIT_EXPECT_EQ(test, 0, dma_set_mask(dev, DMA_BIT_MASK(64)));
	skips = !dma_dev_need_sync(dev);
	KUNIT_EXPECT_EQ(test, dma_max_mapping_size(dev), SZ_512K - 512);
	memset(buf, 1, SZ_64K);
	addr = dma_map_single(dev, buf + 100, SZ_16K, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_EQ(test, 0, dma_mapping_error(dev, addr));
	tlb = dma_to_phys(dev, addr);
	KUNIT_EXPECT_NOT_NULL(test, cc_swiotlb_find_pool(tlb));
	KUNIT_EXPECT_EQ(test, addr & 511, 100);
	if (skips)
		KUNIT_EXPECT_TRUE_MSG(test, dma_dev_need_sync(dev), "syncs would be lost");
	memset(cc_test_virt(tlb), 2, SZ_16K);
	dma_sync_single_for_cpu(dev, addr + 1000, 1000, DMA_FROM_DEVICE);
	KUNIT_EXPECT_NULL(test, memchr_inv(buf, 1, 1100));
	KUNIT_EXPECT_NULL(test, memchr_inv(buf + 1100, 2, 1000));
	KUNIT_EXPECT_NULL(test, memchr_inv(buf + 2100, 1, SZ_16K));
	buf[100] = 3;
	dma_sync_single_for_device(dev, addr, 1, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, 3, *(u8 *)cc_test_virt(tlb));
	dma_unmap_single(dev, addr, SZ_16K, DMA_FROM_DEVICE);
	KUNIT_EXPECT_NULL(test, memchr_inv(buf + 101, 2, SZ_16K - 1));

	sg_init_table(sg, ARRAY_SIZE(sg));
	for (unsigned int i = 0; i < ARRAY_SIZE(sg); i++)
		sg_set_buf(&sg[i], buf + i * 20000, 5000 * (i + 1));
	memset(buf, 4, SZ_64K);
	KUNIT_EXPECT_EQ(test, 3, dma_map_sg(dev, sg, 3, DMA_FROM_DEVICE));
	for (unsigned int i = 0; i < ARRAY_SIZE(sg); i++)
		memset(cc_test_virt(dma_to_phys(dev, sg_dma_address(&sg[i]))), 5,
		       sg_dma_len(&sg[i]));
	dma_unmap_sg(dev, sg, 3, DMA_FROM_DEVICE);
	for (unsigned int i = 0; i < ARRAY_SIZE(sg); i++) {
		KUNIT_EXPECT_NULL(test, memchr_inv(buf + i * 20000, 5, 5000 * (i + 1)));
		KUNIT_EXPECT_EQ(test, buf[i * 20000 + 5000 * (i + 1)], 4);
	}
	mem->force_bounce = force;
	cc_test_check(test);
}

static const unsigned long boundary_params[] = {
	SZ_512 - 1, SZ_4K - 1, SZ_64K - 1, SZ_512K - 1, SZ_2M - 1, ULONG_MAX,
};

static void boundary_desc(const unsigned long *p, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%#lx", *p);
}

KUNIT_ARRAY_PARAM(boundary, boundary_params, boundary_desc);

/* Rule 4: no buffer crosses the boundary of the device's DMA segments. */
static void map_boundary(struct kunit *test)
{
	unsigned long boundary = *(const unsigned long *)test->param_value;
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 511);
	phys_addr_t buf = virt_to_phys(cc_test_buffer(test, SZ_1M));

	dev->dma_parms->segment_boundary_mask = boundary;
	cc_test_log_begin(test);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes) * ARRAY_SIZE(offsets); i++) {
		u32 offset = offsets[i % ARRAY_SIZE(offsets)];
		size_t size = min(sizes[i / ARRAY_SIZE(offsets)],
				  swiotlb_max_mapping_size(dev));
		bool fits = (offset & 511) + size - 1 <= boundary;
		phys_addr_t tlb;
		dma_addr_t addr;

		tlb = cc_test_tbl_map(dev, buf + offset, size, 0,
				      DMA_TO_DEVICE, DMA_ATTR_NO_WARN);
		if (fits)
			KUNIT_EXPECT_FALSE(test, cc_test_failed(tlb));
		if (cc_test_failed(tlb))
			continue;
		addr = phys_to_dma_unencrypted(dev, tlb);
		if (cc_swiotlb_find_pool(tlb))
			KUNIT_EXPECT_LE(test, (addr & boundary) + size - 1, boundary);
		swiotlb_tbl_unmap_single(dev, tlb, size, DMA_TO_DEVICE, 0);
	}
	cc_test_log_end(test);
	cc_test_check(test);
}

/* A failure is reported, once per mapping, unless the caller does that. */
static void map_no_warn(struct kunit *test)
{
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	phys_addr_t buf = virt_to_phys(cc_test_buffer(test, SZ_1M));

	for (int i = 0; i < 2; i++) {
		cc_test_log_begin(test);
		cc_test_tbl_map(dev, buf, SZ_1M, 0, DMA_TO_DEVICE,
				i ? DMA_ATTR_NO_WARN : 0);
		cc_test_log_end(test);
		KUNIT_EXPECT_EQ(test, !i, cc_test_log_lines(dev_name(dev), "1048576"));
	}
}

/* A device with a pool of its own, as restricted DMA gives it, uses no other. */
static void map_restricted(struct kunit *test)
{
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	u8 *buf = cc_test_buffer(test, SZ_4K);
	struct io_tlb_mem *own = kunit_kzalloc(test, sizeof(*own), GFP_KERNEL);
	struct io_tlb_mem *mem = dev->dma_io_tlb_mem;
	phys_addr_t tlb;

	KUNIT_ASSERT_NOT_NULL(test, own);
	KUNIT_EXPECT_EQ(test, swiotlb_max_mapping_size(dev), SZ_512K);
	/* A slot at hand, for the fast path. */
	tlb = cc_test_map(dev, buf, SZ_4K, 0, DMA_TO_DEVICE);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
	cc_test_unmap(dev, tlb, SZ_4K, DMA_TO_DEVICE);
	dev->dma_io_tlb_mem = own;
	KUNIT_EXPECT_LT(test, swiotlb_max_mapping_size(dev), SZ_512K);
	/* It has no memory. */
	cc_test_log_begin(test);
	KUNIT_EXPECT_TRUE(test, cc_test_failed(cc_test_map(dev, buf, SZ_4K, 0,
							   DMA_TO_DEVICE)));
	KUNIT_EXPECT_EQ(test, DMA_MAPPING_ERROR,
			swiotlb_map(dev, virt_to_phys(buf), SZ_4K, DMA_TO_DEVICE, 0));
	cc_test_log_end(test);
	dev->dma_io_tlb_mem = mem;
	KUNIT_EXPECT_EQ(test, 1, cc_test_sum(CC_MAPS));
	KUNIT_EXPECT_EQ(test, 0, cc_test_sum(CC_FAILED));
	cc_test_check(test);
}

static struct kunit_case map_cases[] = {
	KUNIT_CASE_PARAM(map_alignment, align_gen_params),
	KUNIT_CASE_PARAM(map_maximum, min_gen_params),
	KUNIT_CASE(map_wide_mask),
	KUNIT_CASE(map_too_large),
	KUNIT_CASE_PARAM(map_direction, dir_gen_params),
	KUNIT_CASE_PARAM(map_sync, sync_gen_params),
	KUNIT_CASE(map_sync_direction),
#ifdef CONFIG_SWIOTLB_DYNAMIC
	KUNIT_CASE(map_no_pools),
#endif
#ifdef __DMA_ATTR_ALLOC_CC_SHARED
	KUNIT_CASE(map_attrs),
#endif
	KUNIT_CASE(map_dma_api),
	KUNIT_CASE_PARAM(map_boundary, boundary_gen_params),
	KUNIT_CASE(map_no_warn),
	KUNIT_CASE(map_restricted),
	{}
};

static struct kunit_suite map_suite = {
	.name = "cc_swiotlb_map",
	.init = cc_test_init,
	.exit = cc_test_exit,
	.test_cases = map_cases,
};

kunit_test_suite(map_suite);

MODULE_DESCRIPTION("Tests of the contract of cc-swiotlb");
MODULE_LICENSE("GPL");
