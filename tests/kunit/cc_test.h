/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Common to the suites of cc-swiotlb: starting and stopping the allocator, and
 * devices that bounce.
 */
#ifndef _CC_SWIOTLB_TEST_H
#define _CC_SWIOTLB_TEST_H

#include <kunit/device.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>

#include "../internal.h"

/* A small machine: what the tests take must not be all there is. */
#define CC_TEST_RAM	SZ_1G

void cc_test_options(struct cc_options *opts);
void cc_test_start_with(struct kunit *test, const struct cc_options *opts);
void cc_test_start(struct kunit *test);
void cc_test_stop(struct kunit *test);
int cc_test_init(struct kunit *test);
void cc_test_exit(struct kunit *test);

struct device *cc_test_device(struct kunit *test, u64 dma_mask,
			      u32 min_align_mask);

phys_addr_t cc_test_map(struct device *dev, void *buf, size_t size,
			unsigned int align_mask, enum dma_data_direction dir);
void cc_test_unmap(struct device *dev, phys_addr_t tlb, size_t size,
		   enum dma_data_direction dir);

static inline bool cc_test_failed(phys_addr_t tlb)
{
	return tlb == (phys_addr_t)DMA_MAPPING_ERROR;
}

/* What the device sees at a bounce address. */
static inline void *cc_test_virt(phys_addr_t tlb)
{
	return phys_to_virt(tlb);
}

#endif /* _CC_SWIOTLB_TEST_H */
