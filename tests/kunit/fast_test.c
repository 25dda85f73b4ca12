// SPDX-License-Identifier: GPL-2.0-only
/*
 * What maps without a detour, and what must not. Where swiotlb's own pool has no slabs, the
 * usual way refuses all, so that it is seen which one a mapping has gone.
 */
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>

#include "cc_test.h"

static struct device *dev;
static u8 *buf;

static int fast_init(struct kunit *test)
{
	cc_test_start(test);
	cc_test_pin(test);
	dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	buf = cc_test_buffer(test, SZ_4K);
	if (!dev_is_dma_coherent(dev))
		kunit_skip(test, "no fast path for what is not coherent");
	return 0;
}

/* Map with a slot at hand. True if that did not go the usual way. */
static bool maps_fast(struct kunit *test)
{
	struct io_tlb_mem *mem = dev->dma_io_tlb_mem;
	unsigned long nslabs = mem->nslabs;
	phys_addr_t tlb;
	dma_addr_t addr;

	tlb = cc_test_map(dev, buf, SZ_4K, 0, DMA_TO_DEVICE);
	KUNIT_EXPECT_FALSE(test, cc_test_failed(tlb));
	cc_test_unmap(dev, tlb, SZ_4K, DMA_TO_DEVICE);
	mem->nslabs = 0;
	addr = swiotlb_map(dev, virt_to_phys(buf), SZ_4K, DMA_TO_DEVICE, DMA_ATTR_NO_WARN);
	mem->nslabs = nslabs;
	if (addr == DMA_MAPPING_ERROR)
		return false;
	cc_test_unmap(dev, dma_to_phys(dev, addr), SZ_4K, DMA_TO_DEVICE);
	return true;
}

/* A mapping with a slot at hand goes without a detour. */
static void fast_taken(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, maps_fast(test));
}

#ifdef __DMA_ATTR_ALLOC_CC_SHARED
/* But not if memory is not what the device needs, shared or private: swiotlb asks about that. */
static void fast_mismatch(struct kunit *test)
{
	struct io_tlb_mem *mem = dev->dma_io_tlb_mem;
	bool shared = mem->cc_shared;

	mem->cc_shared = !force_dma_unencrypted(dev);
	KUNIT_EXPECT_FALSE(test, maps_fast(test));
	mem->cc_shared = shared;
}
#endif

static struct kunit_case fast_cases[] = {
	KUNIT_CASE(fast_taken),
#ifdef __DMA_ATTR_ALLOC_CC_SHARED
	KUNIT_CASE(fast_mismatch),
#endif
	{}
};

static struct kunit_suite fast_suite = {
	.name = "cc_swiotlb_fast",
	.init = fast_init,
	.exit = cc_test_exit,
	.test_cases = fast_cases,
};

kunit_test_suite(fast_suite);

MODULE_DESCRIPTION("Tests of mappings of cc-swiotlb without a detour");
MODULE_LICENSE("GPL");
