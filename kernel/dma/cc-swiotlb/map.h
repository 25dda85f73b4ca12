/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fast path of a mapping, inline, because swiotlb_map_cc() is where it ends.
 *
 * Why a magazine needs no lock. Its head is one u64 per CPU: {index of the
 * first slot, tid, count}. Only this CPU changes it, with preemption disabled
 * and by this_cpu_try_cmpxchg(), so the only thing that can come between the
 * read of the head and the cmpxchg is an interrupt on this CPU. Whatever that
 * interrupt does to the magazine, it adds one to the tid each time; so the
 * cmpxchg succeeds only if nothing has happened in between, and the link that
 * was read from the first slot is still that slot's link. The tid has 24 bits:
 * to fool the cmpxchg, one interrupt would have to map and unmap exactly a
 * multiple of 2^23 times (a second of nothing else) before it returns.
 *
 * The slot that the head names may be taken, mapped, freed and even retired by
 * that interrupt and other CPUs before its link is read. Its metadata is still
 * there, because it is freed after a grace period, and a section with
 * preemption disabled delays that. The value read is then thrown away.
 */
#ifndef _KERNEL_DMA_CC_SWIOTLB_MAP_H
#define _KERNEL_DMA_CC_SWIOTLB_MAP_H

#include <linux/dma-direct.h>

/* Where shared memory is at another address for the device (Arm CCA). */
#ifndef dma_addr_unencrypted
#define dma_addr_unencrypted(x) (x)
#endif

#ifdef CONFIG_CC_SWIOTLB
#include <linux/preempt.h>
#include <linux/prefetch.h>
#include <linux/tracepoint-defs.h>

#include "internal.h"

DECLARE_TRACEPOINT(cc_swiotlb_map);

/* Take a slot; @slot is set unless 0 is returned. Preemption disabled. */
static __always_inline u32 cc_magazine_pop(struct cc_magazine __percpu *mag,
					   struct cc_slot **slot)
{
	u64 old = this_cpu_read(mag->loaded), new;
	u32 index;

	do {
		index = cc_chain_index(old);
		if (unlikely(!index))
			return 0;
		*slot = cc_slot_by_index(index);
		new = cc_chain_head(old, READ_ONCE((*slot)->next), -1);
	} while (unlikely(!this_cpu_try_cmpxchg(mag->loaded, &old, new)));
	/* If it comes from another CPU's cache, let it come now. */
	prefetchw(cc_slot_by_index(cc_chain_index(new)));

	return index;
}

/* Make @slot, of class @nr, that of the buffer. Enables preemption. */
static __always_inline phys_addr_t
cc_slot_fill(struct device *dev, phys_addr_t orig_addr, size_t size,
	     size_t offset, struct cc_slot *slot, unsigned int nr)
{
	slot->orig_addr = orig_addr;
	slot->dev = dev;
	slot->size = size;
	slot->offset = offset;
	slot->cpu = raw_smp_processor_id();
	this_cpu_inc(cc_cpu.mag[nr].count[CC_MAPS]);
	this_cpu_add(cc_cpu.mag[nr].count[CC_BYTES], size);
	this_cpu_inc(cc_cpu.bin[fls_long(size - 1)]);
	preempt_enable();

	/*
	 * The returned address may reach another CPU by a plain store. Order
	 * what was written to the slot, and what this CPU has seen of the
	 * lookup table, before that store. The other side needs no barrier: it
	 * finds table entry and slot by address dependencies.
	 */
	smp_wmb();
	return slot->base + offset;
}

/*
 * Can the device reach every slot, at its physical address but for what
 * dma_addr_unencrypted() adds, and does a slot stay within one DMA segment?
 * That is so for most devices: what is naturally aligned crosses no boundary
 * that is at least as large.
 */
static __always_inline bool cc_reaches_all(struct device *dev)
{
	return !IS_ENABLED(CONFIG_ARCH_HAS_PHYS_TO_DMA) &&
	       !((unsigned long)dev->dma_range_map | dev->bus_dma_limit) &&
	       *dev->dma_mask >= cc_top &&
	       dma_get_seg_boundary(dev) >= CC_SLOT_MAX - 1;
}

/**
 * cc_swiotlb_map_fast() - map if that is possible without a detour
 * @dev: device that does the DMA
 * @orig_addr: physical address of the original buffer
 * @size: bytes to map
 *
 * Like cc_swiotlb_map(), if this CPU's magazine has a slot of the right class
 * and the device has no limits. Otherwise, or when traced, nothing has been
 * done. The slot's address for the device is dma_addr_unencrypted() of what is
 * returned.
 *
 * Context: any but NMI; allocates nothing, never sleeps.
 * Return: physical address of the bounce buffer, or DMA_MAPPING_ERROR.
 */
static __always_inline phys_addr_t cc_swiotlb_map_fast(struct device *dev,
						       phys_addr_t orig_addr,
						       size_t size)
{
	unsigned int order = cc_order(dev, orig_addr, size, 0), nr;
	size_t offset = orig_addr & dma_get_min_align_mask(dev);
	struct cc_slot *slot;

	if (unlikely(tracepoint_enabled(cc_swiotlb_map) ||
		     !cc_reaches_all(dev) || order > CC_SLOT_MAX_SHIFT ||
		     offset >> CC_OFFSET_BITS))
		return (phys_addr_t)DMA_MAPPING_ERROR;
	nr = cc_class_of[order];

	preempt_disable();
	if (unlikely(!cc_magazine_pop(&cc_cpu.mag[nr], &slot))) {
		preempt_enable();
		return (phys_addr_t)DMA_MAPPING_ERROR;
	}
	return cc_slot_fill(dev, orig_addr, size, offset, slot, nr);
}
#endif /* CONFIG_CC_SWIOTLB */

#endif /* _KERNEL_DMA_CC_SWIOTLB_MAP_H */
