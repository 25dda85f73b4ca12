// SPDX-License-Identifier: GPL-2.0-only
/*
 * Map, unmap, and finding a slot by its address. See map.h for the fast path
 * of a mapping, and for why a magazine needs no lock.
 */
#include <linux/bitops.h>
#include <linux/dma-map-ops.h>
#include <trace/events/cc_swiotlb.h>

#include "map.h"

DEFINE_PER_CPU_ALIGNED(struct cc_cpu, cc_cpu);

/* The highest address that a device has ever needed to reach a slot. */
u64 cc_top __read_mostly;

/* Returns false if the chain has @max slots. @slot->cpu may be lost then. */
static __always_inline bool magazine_push(u64 __percpu *head, unsigned int max,
					  struct cc_slot *slot, u32 index)
{
	u64 old = this_cpu_read(*head), new;

	do {
		if (unlikely(cc_chain_count(old) >= max))
			return false;
		WRITE_ONCE(slot->next, cc_chain_index(old));
		new = cc_chain_head(old, index, 1);
		/* The slot is complete before an interrupt can take it. */
		barrier();
	} while (unlikely(!this_cpu_try_cmpxchg(*head, &old, new)));

	return true;
}

/* Does the device reach the slot, and is the buffer within one segment? */
static bool reaches(struct device *dev, phys_addr_t tlb_addr, size_t size)
{
	dma_addr_t addr = phys_to_dma_unencrypted(dev, tlb_addr);
	unsigned long boundary = dma_get_seg_boundary(dev);

	return dma_capable(dev, addr, size, true) &&
	       (addr & boundary) + (size - 1) <= boundary;
}

/**
 * cc_swiotlb_map() - take a slot for a buffer that is to be bounced
 * @dev: device that does the DMA
 * @orig_addr: physical address of the original buffer
 * @size: bytes to map
 * @alloc_align_mask: the slot starts and ends aligned to this mask plus one
 *
 * The bits of @orig_addr that the device's min_align_mask covers are kept. No
 * other mapping shares a byte of the slot. The caller copies the data; the
 * bounce buffer is in the direct map.
 *
 * Context: any but NMI; allocates nothing, never sleeps.
 * Return: physical address of the bounce buffer, or DMA_MAPPING_ERROR.
 */
phys_addr_t cc_swiotlb_map(struct device *dev, phys_addr_t orig_addr,
			   size_t size, unsigned int alloc_align_mask)
{
	unsigned int order = cc_order(dev, orig_addr, size, alloc_align_mask);
	size_t offset = orig_addr & dma_get_min_align_mask(dev);
	struct cc_slot *slot;
	phys_addr_t tlb_addr;
	unsigned int nr, got;
	u32 index;

	if (unlikely(order > CC_SLOT_MAX_SHIFT || offset >> CC_OFFSET_BITS))
		return (phys_addr_t)DMA_MAPPING_ERROR;
	nr = cc_class_of[order];

	preempt_disable();
	index = cc_magazine_pop(&cc_cpu.mag[nr], &slot);
	if (unlikely(!index)) {
		index = cc_magazine_refill(&cc_classes[nr]);
		if (!index)
			goto fail;
		slot = cc_slot_by_index(index);
		got = cc_chunk_by_index(index)->class - cc_classes;
		if (unlikely(got != nr))
			cc_report_larger(dev, size, nr);
		nr = got;
	}
	if (unlikely(!cc_reaches_all(dev) &&
		     !reaches(dev, slot->base + offset, size))) {
		cc_magazine_give(&cc_classes[nr], index);
		goto fail;
	}
	tlb_addr = cc_slot_fill(dev, orig_addr, size, offset, slot, nr);
	trace_cc_swiotlb_map(dev, orig_addr, tlb_addr, size,
			     cc_classes[nr].shift);
	return tlb_addr;

fail:
	preempt_enable();
	return (phys_addr_t)DMA_MAPPING_ERROR;
}

static noinline void __cold warn_unmap(struct device *dev,
				       phys_addr_t tlb_addr, size_t size,
				       struct cc_slot *slot)
{
	if (!slot->dev)
		dev_WARN_ONCE(dev, 1,
			      "unmap of %pa (%zu bytes), which is not mapped: unmapped twice?\n",
			      &tlb_addr, size);
	else
		dev_WARN_ONCE(dev, 1,
			      "unmap of %pa (%zu bytes), but %u bytes are mapped%s at offset %u of the slot: ignored\n",
			      &tlb_addr, size, slot->size,
			      slot->dev == dev ? "" : " by another device",
			      slot->offset);
}

/* Is that exactly what was mapped? If not, warn once; change nothing. */
static __always_inline bool is_mapped(struct device *dev, phys_addr_t tlb_addr,
				      size_t size, struct cc_slot *slot)
{
	return slot->dev == dev && slot->size == size &&
	       slot->base + slot->offset == tlb_addr;
}

/**
 * cc_swiotlb_unmap_check() - check that a mapping may be undone
 * @dev: device that did the DMA
 * @tlb_addr: what cc_swiotlb_map() returned
 * @size: what was mapped
 * @pool: the pool that holds @tlb_addr
 *
 * For callers that copy before they call cc_swiotlb_unmap(). Warns once if
 * there is no such mapping.
 *
 * Context: any but NMI.
 * Return: true if there is such a mapping.
 */
bool cc_swiotlb_unmap_check(struct device *dev, phys_addr_t tlb_addr,
			    size_t size, struct io_tlb_pool *pool)
{
	struct cc_chunk *chunk = container_of(pool, struct cc_chunk, pool);
	struct cc_slot *slot = cc_slot_by_index(cc_index_by_addr(chunk, tlb_addr));

	if (likely(is_mapped(dev, tlb_addr, size, slot)))
		return true;
	warn_unmap(dev, tlb_addr, size, slot);
	return false;
}

/*
 * The slot is traced, or there is no room for it in the loaded magazine, or it
 * was mapped by another CPU, which has its memory in the cache and will need
 * slots: these are collected, to be sent back. Preemption is enabled here.
 */
static noinline void unmap_slow(struct device *dev, phys_addr_t tlb_addr,
				size_t size, struct cc_chunk *chunk)
{
	struct cc_class *class = chunk->class;
	struct cc_magazine __percpu *mag = &cc_cpu.mag[class - cc_classes];
	u32 index = cc_index_by_addr(chunk, tlb_addr);
	struct cc_slot *slot = cc_slot_by_index(index);
	unsigned int cpu = slot->cpu, shift = chunk->shift;

	slot->dev = NULL;
	this_cpu_inc(mag->count[CC_UNMAPS]);
	/* One CPU at a time gets its slots back; those of others stay here. */
	if (!cc_chain_index(this_cpu_read(mag->foreign)))
		this_cpu_write(mag->home, cpu);
	if (cpu == smp_processor_id() || cpu != this_cpu_read(mag->home)) {
		if (!magazine_push(&mag->loaded, class->mag_size, slot, index))
			cc_magazine_give(class, index);
	} else if (!magazine_push(&mag->foreign, cc_foreign_size(class), slot,
				  index)) {
		cc_magazine_send(class, index);
	}
	preempt_enable();
	trace_cc_swiotlb_unmap(dev, tlb_addr, size, shift);
}

/**
 * cc_swiotlb_unmap() - give a slot back
 * @dev: device that did the DMA
 * @tlb_addr: what cc_swiotlb_map() returned
 * @size: what was mapped
 * @pool: the pool that holds @tlb_addr
 *
 * Warns once, and changes nothing, if there is no such mapping.
 *
 * Context: any but NMI, on any CPU.
 */
void cc_swiotlb_unmap(struct device *dev, phys_addr_t tlb_addr, size_t size,
		      struct io_tlb_pool *pool)
{
	struct cc_chunk *chunk = container_of(pool, struct cc_chunk, pool);
	unsigned int nr = chunk->shift - CC_SLOT_MIN_SHIFT;
	u32 index = cc_index_by_addr(chunk, tlb_addr);
	struct cc_slot *slot = cc_slot_by_index(index);

	if (unlikely(!is_mapped(dev, tlb_addr, size, slot)))
		return warn_unmap(dev, tlb_addr, size, slot);

	preempt_disable();
	if (unlikely(trace_cc_swiotlb_unmap_enabled() ||
		     slot->cpu != smp_processor_id()))
		return unmap_slow(dev, tlb_addr, size, chunk);
	slot->dev = NULL;
	if (unlikely(!magazine_push(&cc_cpu.mag[nr].loaded,
				    chunk->class->mag_size, slot, index))) {
		slot->cpu = smp_processor_id();
		return unmap_slow(dev, tlb_addr, size, chunk);
	}
	this_cpu_inc(cc_cpu.mag[nr].count[CC_UNMAPS]);
	preempt_enable();
}

/**
 * cc_swiotlb_find_orig() - find what is behind a part of a bounce buffer
 * @dev: device that does the DMA
 * @tlb_addr: an address inside of a mapping
 * @size: bytes from @tlb_addr on that are to be synced
 * @pool: the pool that holds @tlb_addr
 * @orig_addr: receives the physical address that @tlb_addr stands for
 *
 * Warns once if the part is not all inside of the mapping.
 *
 * Context: any but NMI.
 * Return: @size, or the number of bytes from @tlb_addr on that are mapped.
 */
size_t cc_swiotlb_find_orig(struct device *dev, phys_addr_t tlb_addr,
			    size_t size, struct io_tlb_pool *pool,
			    phys_addr_t *orig_addr)
{
	struct cc_chunk *chunk = container_of(pool, struct cc_chunk, pool);
	struct cc_slot *slot = cc_slot_by_index(cc_index_by_addr(chunk, tlb_addr));
	size_t start = tlb_addr - slot->base - slot->offset;

	if (unlikely(!slot->dev || start > slot->size ||
		     size > slot->size - start)) {
		dev_WARN_ONCE(dev, 1,
			      "sync of %zu bytes at %pa is not inside of a mapping (%u bytes at offset %u of the slot)\n",
			      size, &tlb_addr, slot->dev ? slot->size : 0,
			      slot->offset);
		if (!slot->dev || start > slot->size)
			return 0;
		size = slot->size - start;
	}
	*orig_addr = slot->orig_addr + start;
	return size;
}

/**
 * cc_swiotlb_find_pool() - find the pool that holds a physical address
 * @paddr: any physical address
 *
 * Context: any but NMI.
 * Return: the pool, or NULL if @paddr is not in one of this allocator's.
 */
struct io_tlb_pool *cc_swiotlb_find_pool(phys_addr_t paddr)
{
	struct cc_chunk *chunk = cc_chunk_by_addr(paddr);

	return chunk ? &chunk->pool : NULL;
}
