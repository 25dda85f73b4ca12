// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of swiotlb_map() where that needs no detour: the CPU has a slot at hand,
 * the device reaches it, and nothing is traced. Calls on that way are the last thing
 * that their function does, so that hardly a register is saved.
 */
#include <linux/dma-map-ops.h>
#include <trace/events/cc_swiotlb.h>

#include "map.h"

/* The device will write all of it: nothing is copied in. */
static noinline dma_addr_t map_stale(struct device *dev, phys_addr_t orig_addr,
				     phys_addr_t tlb_addr)
{
	cc_swiotlb_set_stale(dev, tlb_addr);
	return swiotlb_map_fill(dev, orig_addr, 0, tlb_addr);
}

static __always_inline dma_addr_t map_fill(struct device *dev, phys_addr_t orig_addr,
					   size_t size, enum dma_data_direction dir,
					   unsigned long attrs, phys_addr_t tlb_addr)
{
	if ((attrs & DMA_ATTR_OVERWRITE) && dir == DMA_FROM_DEVICE)
		return map_stale(dev, orig_addr, tlb_addr);
	return swiotlb_map_fill(dev, orig_addr, size, tlb_addr);
}

/*
 * Maybe the device does not reach the slot, or sees it elsewhere. If it does not, another
 * slot may be found. Enables preemption.
 */
static noinline dma_addr_t map_checked(struct device *dev, phys_addr_t orig_addr,
				       size_t size, enum dma_data_direction dir,
				       unsigned long attrs, struct cc_slot *slot)
{
	size_t offset = orig_addr & dma_get_min_align_mask(dev);
	u32 index = slot - cc_slots;
	phys_addr_t tlb_addr;

	if (!cc_reaches(dev, slot->base + offset, size)) {
		cc_slot_give(index);
		preempt_enable();
		return swiotlb_map_slow(dev, orig_addr, size, dir, attrs);
	}
	tlb_addr = cc_slot_fill(dev, orig_addr, size, offset, slot,
				cc_chunk_by_index(index)->class - cc_classes);
	map_fill(dev, orig_addr, size, dir, attrs, tlb_addr);
	return phys_to_dma_unencrypted(dev, tlb_addr);
}

/* Inlined twice: for any attributes, and for none, which is what most mappings have. */
static __always_inline dma_addr_t map(struct device *dev, phys_addr_t orig_addr,
				      size_t size, enum dma_data_direction dir,
				      unsigned long attrs)
{
	unsigned int order = cc_order(dev, orig_addr, size, 0), nr;
	size_t offset = orig_addr & dma_get_min_align_mask(dev);
	phys_addr_t tlb_addr;
	struct cc_slot *slot;

	if (unlikely(trace_cc_swiotlb_map_enabled() || order > cc_max_shift ||
		     dma_get_min_align_mask(dev) >> CC_OFFSET_BITS ||
		     !cc_within_segment(dev)))
		goto slow;
	nr = cc_class_of[order];
	if (cc_lasts(nr, attrs))
		goto slow;

	preempt_disable();
	if (unlikely(!cc_magazine_pop(&cc_cpu.mag[nr].loaded, &slot))) {
		preempt_enable();
		goto slow;
	}
	if (unlikely(!cc_reaches_simply(dev, slot)))
		return map_checked(dev, orig_addr, size, dir, attrs, slot);
	tlb_addr = cc_slot_fill(dev, orig_addr, size, offset, slot, nr);
	return map_fill(dev, orig_addr, size, dir, attrs, tlb_addr);

slow:
	return swiotlb_map_slow(dev, orig_addr, size, dir, attrs);
}

static noinline dma_addr_t map_attrs(struct device *dev, phys_addr_t orig_addr,
				     size_t size, enum dma_data_direction dir,
				     unsigned long attrs)
{
	return map(dev, orig_addr, size, dir, attrs);
}

/**
 * cc_swiotlb_map_fast() - map if that is possible without a detour
 * @dev: device that does the DMA, which is coherent
 * @orig_addr: physical address of the original buffer
 * @size: bytes to map
 * @dir: direction of the DMA
 * @attrs: DMA attributes
 *
 * If it is not, swiotlb_map_slow() does it.
 *
 * Context: any but NMI; allocates nothing, never sleeps.
 * Return: DMA address of the bounce buffer, or DMA_MAPPING_ERROR.
 */
dma_addr_t cc_swiotlb_map_fast(struct device *dev, phys_addr_t orig_addr,
			       size_t size, enum dma_data_direction dir,
			       unsigned long attrs)
{
	return unlikely(attrs) ? map_attrs(dev, orig_addr, size, dir, attrs) :
				 map(dev, orig_addr, size, dir, 0);
}
