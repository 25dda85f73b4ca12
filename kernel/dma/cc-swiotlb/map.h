/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a slot is taken off a magazine and put back, inline.
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
#include <linux/preempt.h>
#include <linux/prefetch.h>

#include "slot.h"

extern bool cc_larger_reported;
bool cc_behind_iommu(struct device *dev);
bool cc_reaches(struct device *dev, phys_addr_t tlb_addr, size_t size);

/* Take a slot; @slot is set unless 0 is returned. Preemption disabled. */
static __always_inline u32 cc_magazine_pop(u64 __percpu *head, struct cc_slot **slot)
{
	u64 old = this_cpu_read(*head), new;
	u32 index;

	do {
		index = cc_chain_index(old);
		if (unlikely(!index))
			return 0;
		*slot = cc_slot_by_index(index);
		new = cc_chain_head(old, READ_ONCE((*slot)->next), -1);
	} while (unlikely(!this_cpu_try_cmpxchg(*head, &old, new)));
	/* If it comes from another CPU's cache, let it come now. */
	prefetchw(cc_slot_by_index(cc_chain_index(new)));

	return index;
}

enum cc_push { CC_PUSHED, CC_PUSHED_FIRST, CC_NOT_PUSHED };

/*
 * Not if the chain has @max slots. The slot's offset and cpu are gone in any
 * case: the link is in their place.
 */
static __always_inline enum cc_push cc_magazine_push(u64 __percpu *head,
						     unsigned int max,
						     struct cc_slot *slot,
						     u32 index)
{
	u64 old = this_cpu_read(*head), new;

	do {
		if (unlikely(cc_chain_count(old) >= max))
			return CC_NOT_PUSHED;
		WRITE_ONCE(slot->next, cc_chain_index(old));
		new = cc_chain_head(old, index, 1);
		/* The slot is complete before an interrupt can take it. */
		barrier();
	} while (unlikely(!this_cpu_try_cmpxchg(*head, &old, new)));

	return likely(cc_chain_index(old)) ? CC_PUSHED : CC_PUSHED_FIRST;
}

/*
 * When kccd went to sleep, all magazines were empty: it has to hear of the first
 * slot that rests in one. Preemption disabled.
 */
static inline void cc_slot_pushed(struct cc_class *class, u32 index,
				  enum cc_push how)
{
	if (how == CC_NOT_PUSHED)
		cc_magazine_give(class, index);
	else if (how == CC_PUSHED_FIRST)
		cc_kccd_kick(CC_KICK_TICK);
}

/* Give a slot back to its class. Preemption disabled. */
static inline void cc_slot_give(u32 index)
{
	struct cc_class *class = cc_chunk_by_index(index)->class;

	cc_slot_pushed(class, index,
		       cc_magazine_push(&cc_cpu.mag[class - cc_classes].loaded,
					class->mag_size, cc_slot_by_index(index),
					index));
}

/* To this CPU's magazine, if the slot is of its NUMA node. Preemption disabled. */
static inline void cc_slot_give_home(u32 index)
{
	if (cc_chunk_by_index(index)->nid == cc_cpu_node(smp_processor_id()))
		cc_slot_give(index);
	else
		cc_depot_pass(index);
}

/*
 * Another CPU has taken the slot. That has its memory in the cache and will
 * need slots: these are collected, to be sent back. Preemption disabled.
 */
static inline void cc_slot_give_foreign(struct cc_class *class, struct cc_slot *slot,
					u32 index, unsigned int cpu)
{
	struct cc_magazine __percpu *mag = &cc_cpu.mag[class - cc_classes];
	enum cc_push how;

	/* One CPU at a time gets its slots back; those of others stay here. */
	if (!cc_chain_index(this_cpu_read(mag->foreign)))
		this_cpu_write(mag->home, cpu);
	if (cpu != this_cpu_read(mag->home))
		return cc_slot_give_home(index);
	how = cc_magazine_push(&mag->foreign, cc_foreign_size(class), slot, index);
	if (how == CC_NOT_PUSHED)
		cc_magazine_send(class, index);
	else
		cc_slot_pushed(class, index, how);
}

/* Give a slot back that is still as cc_slot_fill() left it. Preemption disabled. */
static inline void cc_slot_return(struct cc_class *class, struct cc_slot *slot,
				  u32 index)
{
	unsigned int cpu = slot->cpu;

	slot->dev = NULL;
	this_cpu_inc(cc_cpu.mag[class->shift - CC_SLOT_MIN_SHIFT].count[CC_UNMAPS]);
	if (cpu == smp_processor_id())
		cc_slot_give(index);
	else if (cpu == CC_NO_CPU)
		cc_depot_pass(index);
	else
		cc_slot_give_foreign(class, slot, index, cpu);
}

/* What is naturally aligned crosses no boundary that is at least as large. */
static __always_inline bool cc_within_segment(struct device *dev)
{
	return dma_get_seg_boundary(dev) >= CC_SLOT_MAX - 1;
}

/* Does the device reach the slot? True only if that is simple to say. */
static __always_inline bool cc_reaches_simply(struct device *dev,
					      const struct cc_slot *slot)
{
	dma_addr_t end;

	if (IS_ENABLED(CONFIG_ARCH_HAS_PHYS_TO_DMA) || dev->dma_range_map)
		return false;
	end = phys_to_dma_unencrypted(dev, slot->base + CC_SLOT_MAX - 1);
	/* There is no limit if it is 0, which becomes the largest. */
	return end <= *dev->dma_mask && end <= dev->bus_dma_limit - 1;
}

/* Make @slot, of class @nr, that of the buffer. Enables preemption. */
static __always_inline phys_addr_t
cc_slot_fill(struct device *dev, phys_addr_t orig_addr, size_t size,
	     size_t offset, struct cc_slot *slot, unsigned int nr)
{
	phys_addr_t tlb_addr = slot->base + offset;

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
	 * The returned address may reach another CPU by a plain store: what was
	 * written to the slot comes before that. So does the chunk's entry in the
	 * lookup table, since the slot came here by locks and full barriers from
	 * the CPU that wrote it. The other side needs no barrier: it finds entry
	 * and slot by address dependencies.
	 */
	smp_wmb();
	return tlb_addr;
}

#endif /* _KERNEL_DMA_CC_SWIOTLB_MAP_H */
