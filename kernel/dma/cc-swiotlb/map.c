// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fast path: map, unmap, and finding a slot by its address.
 *
 * Why a magazine needs no lock. Its head is one u64 per CPU: {tid, count,
 * index of the first slot}. Only this CPU changes it, with preemption disabled
 * and by this_cpu_try_cmpxchg(), so the only thing that can come between the
 * read of the head and the cmpxchg is an interrupt on this CPU. Whatever that
 * interrupt does to the magazine, it adds one to the tid each time; so the
 * cmpxchg succeeds only if nothing has happened in between, and the link that
 * was read from the first slot is still that slot's link. The tid has 28 bits:
 * to fool the cmpxchg, one interrupt would have to map and unmap exactly a
 * multiple of 2^28 times (many seconds) before it returns.
 *
 * The slot that the head names may be taken, mapped, freed and even retired by
 * that interrupt and other CPUs before its link is read. Its metadata is still
 * there, because it is freed after a grace period, and a section with
 * preemption disabled delays that. The value read is then thrown away.
 */
#include <linux/bitops.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <trace/events/cc_swiotlb.h>

#include "internal.h"

DEFINE_PER_CPU_ALIGNED(struct cc_cpu, cc_cpu);

/* The highest address that was ever shared, for the first look at a mask. */
u64 cc_top __read_mostly;

/* Take a slot; @chunk and @slot are set unless 0 is returned. */
static __always_inline u32 magazine_pop(struct cc_magazine __percpu *mag,
					struct cc_chunk **chunk,
					struct cc_slot **slot)
{
	u64 old = this_cpu_read(mag->loaded), new;
	u32 index;

	do {
		index = cc_chain_index(old);
		if (unlikely(!index))
			return 0;
		*chunk = cc_chunk_by_index(index);
		*slot = &(*chunk)->slots[cc_slot_nr(index)];
		new = ((old & ~CC_CHAIN_INDEX) + CC_CHAIN_TID - CC_CHAIN_ONE) |
		      READ_ONCE((*slot)->next);
	} while (unlikely(!this_cpu_try_cmpxchg(mag->loaded, &old, new)));

	return index;
}

/* Returns false, and has done nothing, if the magazine is full. */
static __always_inline bool magazine_push(struct cc_magazine __percpu *mag,
					  struct cc_class *class,
					  struct cc_slot *slot, u32 index)
{
	u64 old = this_cpu_read(mag->loaded), new;

	do {
		if (unlikely(cc_chain_count(old) >= class->mag_size))
			return false;
		WRITE_ONCE(slot->next, cc_chain_index(old));
		new = ((old & ~CC_CHAIN_INDEX) + CC_CHAIN_TID + CC_CHAIN_ONE) |
		      index;
		/* The slot is complete before an interrupt can take it. */
		barrier();
	} while (unlikely(!this_cpu_try_cmpxchg(mag->loaded, &old, new)));

	return true;
}

static noinline phys_addr_t traced_map(struct device *dev,
				       phys_addr_t orig_addr, size_t size,
				       phys_addr_t tlb_addr, unsigned int shift)
{
	trace_cc_swiotlb_map(dev, orig_addr, tlb_addr, size, shift);
	return tlb_addr;
}

static __always_inline phys_addr_t slot_addr(struct cc_chunk *chunk, u32 index)
{
	return chunk->pool.start +
		((phys_addr_t)cc_slot_nr(index) << chunk->shift);
}

/* Make @slot that of the buffer. Enables preemption. */
static __always_inline phys_addr_t
fill_slot(struct device *dev, phys_addr_t orig_addr, size_t size, u32 offset,
	  struct cc_chunk *chunk, struct cc_slot *slot, phys_addr_t tlb_addr)
{
	unsigned int shift = chunk->shift, nr = shift - CC_SLOT_MIN_SHIFT;

	slot->orig_addr = orig_addr;
	slot->dev = dev;
	slot->size = size;
	slot->offset = offset;
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
	if (trace_cc_swiotlb_map_enabled())
		return traced_map(dev, orig_addr, size, tlb_addr, shift);
	return tlb_addr;
}

/*
 * Can every device with the usual limits reach the buffer, and does it stay
 * within one DMA segment? Most devices reach every address; and what is
 * naturally aligned crosses no boundary that is at least as large.
 */
static __always_inline bool reaches_all(struct device *dev)
{
	return !IS_ENABLED(CONFIG_ARCH_HAS_PHYS_TO_DMA) &&
	       !((unsigned long)dev->dma_range_map | dev->bus_dma_limit) &&
	       *dev->dma_mask >= cc_top &&
	       dma_get_seg_boundary(dev) >= CC_SLOT_MAX - 1;
}

/* For devices with limits. Preemption is disabled, and enabled here. */
static noinline phys_addr_t map_limited(struct device *dev,
					phys_addr_t orig_addr, size_t size,
					u32 offset, u32 index)
{
	unsigned long boundary = dma_get_seg_boundary(dev);
	struct cc_chunk *chunk = cc_chunk_by_index(index);
	phys_addr_t tlb_addr = slot_addr(chunk, index) + offset;
	dma_addr_t addr = phys_to_dma_unencrypted(dev, tlb_addr);

	if (!dma_capable(dev, addr, size, true) ||
	    (addr & boundary) + (size - 1) > boundary) {
		cc_magazine_give(chunk->class, index);
		preempt_enable();
		return (phys_addr_t)DMA_MAPPING_ERROR;
	}
	return fill_slot(dev, orig_addr, size, offset, chunk,
			 cc_slot_by_index(index), tlb_addr);
}

/* The loaded magazine was empty. Preemption is disabled, and enabled here. */
static noinline phys_addr_t map_slow(struct device *dev, phys_addr_t orig_addr,
				     size_t size, u32 offset, unsigned int nr)
{
	u32 index = cc_magazine_refill(&cc_classes[nr]);

	if (!index) {
		preempt_enable();
		return (phys_addr_t)DMA_MAPPING_ERROR;
	}
	return map_limited(dev, orig_addr, size, offset, index);
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
 * All that is not the usual case is a tail call, so that this function saves
 * no registers.
 *
 * Context: any but NMI; allocates nothing, never sleeps.
 * Return: physical address of the bounce buffer, or DMA_MAPPING_ERROR.
 */
phys_addr_t cc_swiotlb_map(struct device *dev, phys_addr_t orig_addr,
			   size_t size, unsigned int alloc_align_mask)
{
	unsigned int order = cc_order(dev, orig_addr, size, alloc_align_mask);
	u32 offset = orig_addr & dma_get_min_align_mask(dev), index;
	struct cc_chunk *chunk;
	struct cc_slot *slot;
	unsigned int nr;

	if (unlikely(order > CC_SLOT_MAX_SHIFT || !size))
		return (phys_addr_t)DMA_MAPPING_ERROR;
	nr = cc_class_of[order];

	preempt_disable();
	index = magazine_pop(&cc_cpu.mag[nr], &chunk, &slot);
	if (unlikely(!index))
		return map_slow(dev, orig_addr, size, offset, nr);
	if (unlikely(!reaches_all(dev)))
		return map_limited(dev, orig_addr, size, offset, index);
	return fill_slot(dev, orig_addr, size, offset, chunk, slot,
			 slot_addr(chunk, index) + offset);
}

static __always_inline struct cc_slot *slot_by_addr(phys_addr_t tlb_addr,
						    struct cc_chunk *chunk,
						    unsigned int *i)
{
	*i = (tlb_addr - chunk->pool.start) >> chunk->shift;
	return &chunk->slots[*i];
}

/* Offset of @tlb_addr in its slot. */
static __always_inline u32 slot_offset(phys_addr_t tlb_addr,
				       struct cc_chunk *chunk)
{
	return tlb_addr & ((1U << chunk->shift) - 1);
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
				      size_t size, struct cc_chunk *chunk,
				      struct cc_slot *slot)
{
	return slot->dev == dev && slot->size == size &&
	       slot->offset == slot_offset(tlb_addr, chunk);
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
	unsigned int i;
	struct cc_slot *slot = slot_by_addr(tlb_addr, chunk, &i);

	if (likely(is_mapped(dev, tlb_addr, size, chunk, slot)))
		return true;
	warn_unmap(dev, tlb_addr, size, slot);
	return false;
}

static noinline void traced_unmap(struct device *dev, phys_addr_t tlb_addr,
				  size_t size, unsigned int shift)
{
	trace_cc_swiotlb_unmap(dev, tlb_addr, size, shift);
}

/* The loaded magazine is full. Preemption is disabled, and enabled here. */
static noinline void unmap_slow(struct device *dev, phys_addr_t tlb_addr,
				size_t size, struct cc_chunk *chunk, u32 index)
{
	unsigned int shift = chunk->shift;

	cc_magazine_give(chunk->class, index);
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
	unsigned int i, shift = chunk->shift, nr = shift - CC_SLOT_MIN_SHIFT;
	struct cc_slot *slot = slot_by_addr(tlb_addr, chunk, &i);
	u32 index = chunk->index + i;

	if (unlikely(!is_mapped(dev, tlb_addr, size, chunk, slot)))
		return warn_unmap(dev, tlb_addr, size, slot);

	slot->dev = NULL;
	preempt_disable();
	this_cpu_inc(cc_cpu.mag[nr].count[CC_UNMAPS]);
	if (unlikely(!magazine_push(&cc_cpu.mag[nr], chunk->class, slot,
				    index)))
		return unmap_slow(dev, tlb_addr, size, chunk, index);
	preempt_enable();
	if (trace_cc_swiotlb_unmap_enabled())
		traced_unmap(dev, tlb_addr, size, shift);
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
	unsigned int i;
	struct cc_slot *slot = slot_by_addr(tlb_addr, chunk, &i);
	size_t start = (size_t)slot_offset(tlb_addr, chunk) - slot->offset;

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
