// SPDX-License-Identifier: GPL-2.0-only
/*
 * Common to the suites of cc-swiotlb, see cc_test.h.
 */
#include <linux/dma-map-ops.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>

#include "cc_test.h"

/**
 * cc_test_options() - options of an allocator that is small enough for tests
 * @opts: receives the options
 */
void cc_test_options(struct cc_options *opts)
{
	cc_options_default(opts, CC_TEST_RAM);
	opts->max = SZ_128M;
}

/**
 * cc_test_start_with() - start the allocator, and a legacy pool behind it
 * @test: the test, which is skipped if the machine has booted with swiotlb=cc
 * @opts: options
 */
void cc_test_start_with(struct kunit *test, const struct cc_options *opts)
{
	if (cc_swiotlb_enabled())
		kunit_skip(test, "booted with swiotlb=cc");
	KUNIT_ASSERT_EQ(test, 0, swiotlb_init_late(SZ_4M, GFP_KERNEL, NULL));
	KUNIT_ASSERT_TRUE(test, is_swiotlb_allocated());
	KUNIT_ASSERT_EQ(test, 0, cc_swiotlb_start(opts));
}

/**
 * cc_test_start() - start the allocator with the usual options of the tests
 * @test: the test
 */
void cc_test_start(struct kunit *test)
{
	struct cc_options opts;

	cc_test_options(&opts);
	cc_test_start_with(test, &opts);
}

/**
 * cc_test_stop() - stop the allocator; fails the test if anything is leaked
 * @test: the test
 */
void cc_test_stop(struct kunit *test)
{
	if (!cc_swiotlb_enabled())
		return;
	KUNIT_EXPECT_EQ(test, 0, cc_used_bytes());
	cc_swiotlb_stop();
	KUNIT_EXPECT_EQ(test, 0, cc.decrypted);
	KUNIT_EXPECT_EQ(test, 0, cc.reserve_bytes);
}

int cc_test_init(struct kunit *test)
{
	cc_test_start(test);
	return 0;
}

void cc_test_exit(struct kunit *test)
{
	cc_test_stop(test);
}

/**
 * cc_test_device() - make a device whose DMA goes through swiotlb
 * @test: the test that it belongs to
 * @dma_mask: addresses that the device reaches
 * @min_align_mask: address bits that bouncing has to preserve
 */
struct device *cc_test_device(struct kunit *test, u64 dma_mask,
			      u32 min_align_mask)
{
	struct device_dma_parameters *parms;
	struct device *dev;

	dev = kunit_device_register(test, "cc-test");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	parms = kunit_kzalloc(test, sizeof(*parms), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, parms);
	dev->dma_parms = parms;
	dev->coherent_dma_mask = dma_mask;
	dev->dma_mask = &dev->coherent_dma_mask;
	dma_set_min_align_mask(dev, min_align_mask);
	return dev;
}

phys_addr_t cc_test_map(struct device *dev, void *buf, size_t size,
			unsigned int align_mask, enum dma_data_direction dir)
{
	return swiotlb_tbl_map_single(dev, virt_to_phys(buf), size, align_mask,
				      dir, 0);
}

void cc_test_unmap(struct device *dev, phys_addr_t tlb, size_t size,
		   enum dma_data_direction dir)
{
	swiotlb_tbl_unmap_single(dev, tlb, size, dir, 0);
}
