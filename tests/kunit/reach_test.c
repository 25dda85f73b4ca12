// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that do not reach all memory: what they are given, and what becomes of the slots
 * that they are not.
 */
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/mm.h>
#include <linux/swiotlb.h>

#include "../map.h"
#include "cc_test.h"

static const size_t sizes[] = { 1, 512, 513, SZ_4K, SZ_64K };

static const u32 mask_params[] = { 20, 24, 32, 40, 64 };

static void mask_desc(const u32 *p, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%u bits", *p);
}

KUNIT_ARRAY_PARAM(mask, mask_params, mask_desc);

/* Rule 9: nothing is returned that the device does not reach. */
static void reach_mask(struct kunit *test)
{
	u64 mask = DMA_BIT_MASK(*(const u32 *)test->param_value);
	struct device *dev = cc_test_device(test, mask, 0);
	phys_addr_t buf = virt_to_phys(cc_test_buffer(test, SZ_64K));

	/* What swiotlb would refuse is not given, with or without a slot at hand. */
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		size_t size = sizes[i / 2];
		phys_addr_t tlb = cc_swiotlb_map(dev, buf, size, 0, 0);

		if (cc_test_failed(tlb))
			continue;
		KUNIT_EXPECT_LE(test, phys_to_dma_unencrypted(dev, tlb) + size - 1, mask);
		cc_test_give(tlb);
	}
	cc_test_log_begin(test);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		dma_addr_t addr = swiotlb_map(dev, buf, sizes[i], DMA_TO_DEVICE,
					      DMA_ATTR_NO_WARN);
		phys_addr_t tlb = dma_to_phys(dev, addr);

		if (cc_swiotlb_max_mapping_size(dev)) {
			KUNIT_EXPECT_NE(test, addr, DMA_MAPPING_ERROR);
			KUNIT_EXPECT_NOT_NULL(test, cc_swiotlb_find_pool(tlb));
		}
		if (addr == DMA_MAPPING_ERROR)
			continue;
		swiotlb_tbl_unmap_single(dev, tlb, sizes[i], DMA_TO_DEVICE, 0);
	}
	cc_test_log_end(test);
	cc_test_check(test);
}

static void set_limit(struct device *dev, bool mask, u64 limit)
{
	if (mask)
		dev->coherent_dma_mask = limit ?: DMA_BIT_MASK(64);
	else
		dev->bus_dma_limit = limit;
}

static const bool limit_params[] = { false, true };

static void limit_desc(const bool *mask, char *desc)
{
	strscpy(desc, *mask ? "DMA mask" : "limit of the bus", KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(limit, limit_params, limit_desc);

/* A device that reaches the legacy pool, and nothing of ours, uses that. */
static void reach_legacy(struct kunit *test)
{
	bool mask = *(const bool *)test->param_value;
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	u8 *buf = cc_test_buffer(test, SZ_64K);
	phys_addr_t legacy, tlb;
	struct cc_options opts;

	/* A mapping that is refused here tells where the legacy pool is. */
	cc_test_log_begin(test);
	set_limit(dev, mask, 1);
	legacy = cc_test_map(dev, buf, SZ_64K, 0, DMA_BIDIRECTIONAL);
	cc_test_log_end(test);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(legacy));
	KUNIT_ASSERT_NULL(test, cc_swiotlb_find_pool(legacy));
	cc_test_unmap(dev, legacy, SZ_64K, DMA_TO_DEVICE);

	cc_test_stop(test);
	cc_fake_begin(test);
	cc_fake.above = legacy + SZ_4M;
	cc_test_options(&opts);
	opts.reserve = SZ_2M;
	cc_test_start_with(test, &opts, false);
	if (!cc_swiotlb.shared) {
		cc_test_stop(test);
		cc_fake_end(test);
		kunit_skip(test, "no memory above the legacy pool");
	}
	set_limit(dev, mask, legacy + SZ_4M - 1);
	memset(buf, 1, SZ_64K);
	cc_test_log_begin(test);
	tlb = cc_test_map(dev, buf, SZ_64K, 0, DMA_BIDIRECTIONAL);
	cc_test_log_end(test);
	KUNIT_EXPECT_FALSE(test, cc_test_failed(tlb));
	KUNIT_EXPECT_NULL(test, cc_swiotlb_find_pool(tlb));
	KUNIT_EXPECT_LT(test, tlb, legacy + SZ_4M);
	KUNIT_EXPECT_MEMEQ(test, cc_test_virt(tlb), buf, SZ_64K);
	KUNIT_EXPECT_EQ(test, 1, cc_test_sum(CC_LEGACY));
	KUNIT_EXPECT_EQ(test, 0, cc_test_sum(CC_MAPS));
	cc_test_check(test);
	memset(cc_test_virt(tlb), 2, SZ_64K);
	cc_test_unmap(dev, tlb, SZ_64K, DMA_FROM_DEVICE);
	KUNIT_EXPECT_NULL(test, memchr_inv(buf, 2, SZ_64K));
	/* It is told what fits in the legacy pool. */
	KUNIT_EXPECT_LE(test, swiotlb_max_mapping_size(dev), SZ_256K);
	set_limit(dev, mask, 0);
	KUNIT_EXPECT_EQ(test, swiotlb_max_mapping_size(dev), SZ_512K);
	cc_test_stop(test);
	cc_fake_end(test);
}

/* A mapping of a device that does not reach all; DMA_MAPPING_ERROR if it fails. */
static phys_addr_t map_narrow(struct kunit *test, struct device *dev, u8 *buf)
{
	dma_addr_t addr;

	cc_test_log_begin(test);
	addr = swiotlb_map(dev, virt_to_phys(buf), SZ_4K, DMA_TO_DEVICE,
			   DMA_ATTR_NO_WARN);
	cc_test_log_end(test);
	if (addr == DMA_MAPPING_ERROR)
		return (phys_addr_t)DMA_MAPPING_ERROR;
	KUNIT_EXPECT_LE(test, addr + SZ_4K - 1, dma_get_mask(dev));
	return dma_to_phys(dev, addr);
}

/*
 * What counts is the slot that is at hand. One that is out of reach is put back
 * where it was, and one within reach is used, wherever others are.
 */
static void reach_slots(struct kunit *test)
{
	struct device *wide = cc_test_device(test, DMA_BIT_MASK(64), 0);
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	u8 *buf = cc_test_buffer(test, SZ_4K);
	unsigned int nr = cc_test_class(SZ_4K);
	struct cc_magazine *mag;
	phys_addr_t low, high, tlb;
	u64 loaded, spare;

	cc_test_pin(test);
	cc_test_enlarge(&cc_classes[nr], 16);
	mag = cc_test_magazine(nr);
	low = cc_test_map(wide, buf, SZ_4K, 0, DMA_TO_DEVICE);
	high = cc_test_map(wide, buf, SZ_4K, 0, DMA_TO_DEVICE);
	KUNIT_ASSERT_NE(test, low, high);
	KUNIT_ASSERT_NOT_NULL(test, cc_swiotlb_find_pool(low));
	KUNIT_ASSERT_NOT_NULL(test, cc_swiotlb_find_pool(high));
	if (low > high)
		swap(low, high);
	dev->coherent_dma_mask = phys_to_dma_unencrypted(dev, high) + SZ_4K - 2;

	cc_test_unmap(wide, low, SZ_4K, DMA_TO_DEVICE);
	cc_test_unmap(wide, high, SZ_4K, DMA_TO_DEVICE);
	loaded = mag->loaded;
	spare = mag->spare;
	for (int i = 0; i < 5; i++) {
		tlb = map_narrow(test, dev, buf);
		if (cc_test_failed(tlb))
			continue;
		KUNIT_EXPECT_NULL(test, cc_swiotlb_find_pool(tlb));
		cc_test_unmap(dev, tlb, SZ_4K, DMA_TO_DEVICE);
	}
	KUNIT_EXPECT_EQ(test, cc_chain_index(mag->loaded), cc_chain_index(loaded));
	KUNIT_EXPECT_EQ(test, cc_chain_count(mag->loaded), cc_chain_count(loaded));
	KUNIT_EXPECT_EQ(test, mag->spare, spare);
	KUNIT_EXPECT_EQ(test, cc_classes[nr].node->depot.slots, 0);

	high = cc_test_map(wide, buf, SZ_4K, 0, DMA_TO_DEVICE);
	tlb = map_narrow(test, dev, buf);
	KUNIT_EXPECT_EQ(test, tlb, low);
	if (!cc_test_failed(tlb))
		cc_test_unmap(dev, tlb, SZ_4K, DMA_TO_DEVICE);
	cc_test_unmap(wide, high, SZ_4K, DMA_TO_DEVICE);
	cc_test_check(test);
}

#ifdef CONFIG_IOMMU_DMA
/* The flag has accessors in kernels that have the attribute. */
static void set_iommu(struct kunit *test, struct device *dev, bool on)
{
#ifdef __DMA_ATTR_ALLOC_CC_SHARED
	dev_assign_dma_iommu(dev, on);
#else
	dev->dma_iommu = on;
#endif
}
#else
static bool is_behind(struct device *dev)
{
	return true;
}

static void set_iommu(struct kunit *test, struct device *dev, bool on)
{
	if (on)
		kunit_activate_static_stub(test, cc_behind_iommu, is_behind);
	else
		kunit_deactivate_static_stub(test, cc_behind_iommu);
}
#endif

/* Behind an IOMMU, a device does not use the address of the memory. */
static void reach_iommu(struct kunit *test)
{
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(32), 511);
	u8 *buf = cc_test_buffer(test, SZ_64K);
	phys_addr_t tlb;

	dev->coherent_dma_mask = SZ_1M - 1;
	dev->dma_parms->segment_boundary_mask = SZ_4K - 1;
	KUNIT_EXPECT_LT(test, swiotlb_max_mapping_size(dev), SZ_256K + 1);
	set_iommu(test, dev, true);
	KUNIT_EXPECT_EQ(test, swiotlb_max_mapping_size(dev), SZ_512K - 512);
	for (unsigned int i = 0; i < 3; i++) {
		memset(buf, i, SZ_64K);
		tlb = cc_test_map(dev, buf + 5, SZ_64K - 5, SZ_4K - 1, DMA_TO_DEVICE);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
		KUNIT_EXPECT_NOT_NULL(test, cc_swiotlb_find_pool(tlb));
		KUNIT_EXPECT_NULL(test, memchr_inv(cc_test_virt(tlb), i, SZ_64K - 5));
		cc_test_unmap(dev, tlb, SZ_64K - 5, DMA_TO_DEVICE);
	}
	set_iommu(test, dev, false);
	KUNIT_EXPECT_EQ(test, 3, cc_test_sum(CC_MAPS));
	KUNIT_EXPECT_EQ(test, 0, cc_test_sum(CC_LEGACY));
	cc_test_check(test);
}

static struct kunit_case reach_cases[] = {
	KUNIT_CASE_PARAM(reach_mask, mask_gen_params),
	KUNIT_CASE_PARAM(reach_legacy, limit_gen_params),
	KUNIT_CASE(reach_slots),
	KUNIT_CASE(reach_iommu),
	{}
};

static struct kunit_suite reach_suite = {
	.name = "cc_swiotlb_reach",
	.init = cc_test_init,
	.exit = cc_test_exit,
	.test_cases = reach_cases,
};

kunit_test_suite(reach_suite);

MODULE_DESCRIPTION("Tests of cc-swiotlb with devices that do not reach all memory");
MODULE_LICENSE("GPL");
