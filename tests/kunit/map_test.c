// SPDX-License-Identifier: GPL-2.0-only
/*
 * The contract of map, sync and unmap.
 */
#include <linux/dma-map-ops.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "cc_test.h"

static void map_copies_both_ways(struct kunit *test)
{
	static const size_t sizes[] = { 1, 511, 512, 513, 2048, 4096, 16384,
					100000, CC_SLOT_MAX };
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	u8 *buf = kunit_kmalloc(test, CC_SLOT_MAX, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		phys_addr_t tlb;

		memset(buf, 0x5a, sizes[i]);
		tlb = cc_test_map(dev, buf, sizes[i], 0, DMA_BIDIRECTIONAL);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
		KUNIT_EXPECT_NOT_NULL(test, cc_swiotlb_find_pool(tlb));
		KUNIT_EXPECT_MEMEQ(test, cc_test_virt(tlb), buf, sizes[i]);
		memset(cc_test_virt(tlb), 0xa5, sizes[i]);
		cc_test_unmap(dev, tlb, sizes[i], DMA_BIDIRECTIONAL);
		KUNIT_EXPECT_EQ(test, buf[0], 0xa5);
		KUNIT_EXPECT_EQ(test, buf[sizes[i] - 1], 0xa5);
	}
}

static struct kunit_case map_cases[] = {
	KUNIT_CASE(map_copies_both_ways),
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
