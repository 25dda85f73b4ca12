// SPDX-License-Identifier: GPL-2.0-only
/*
 * Map, unmap, and finding a slot by its address. See map.h for how a slot is
 * taken, and for why a magazine needs no lock.
 *
 * Functions that do what is rare are apart and called last, so that the usual
 * path saves no register.
 */
#include <kunit/static_stub.h>
#include <linux/bitops.h>
#include <linux/dma-map-ops.h>
#include <linux/iommu-dma.h>
#include <linux/memblock.h>
#include <trace/events/cc_swiotlb.h>

#include "map.h"

/**
 * cc_behind_iommu() - does an IOMMU translate what a device sees?
 * @dev: device
 *
 * Context: any.
 * Return: true if so: then it is not the address of the memory that the device uses.
 */
bool cc_behind_iommu(struct device *dev)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_behind_iommu, dev);
	return use_dma_iommu(dev);
}

/**
 * cc_reaches() - does a device reach a buffer, and is that within one segment?
 * @dev: device
 * @tlb_addr: physical address of the buffer
 * @size: bytes
 *
 * As in dma_capable(), DMA_MAPPING_ERROR is the address of what has none.
 *
 * Context: any.
 * Return: true if so.
 */
bool cc_reaches(struct device *dev, phys_addr_t tlb_addr, size_t size)
{
	dma_addr_t addr = phys_to_dma_unencrypted(dev, tlb_addr);
	dma_addr_t end = addr + size - 1;
	unsigned long boundary = dma_get_seg_boundary(dev);

	if (cc_behind_iommu(dev))
		return true;
	return addr != DMA_MAPPING_ERROR && addr <= end &&
	       end <= min_not_zero(*dev->dma_mask, dev->bus_dma_limit) &&
	       (addr & boundary) + (size - 1) <= boundary;
}

/* Does the device reach all memory, if no IOMMU translates? */
static bool reaches_all(struct device *dev)
{
	/* Memory may be added, and drivers do not ask again. */
	phys_addr_t last = PFN_PHYS(max_t(unsigned long long, max_pfn,
					  max_possible_pfn)) - 1;
	dma_addr_t end = phys_to_dma_unencrypted(dev, last);

	return end != DMA_MAPPING_ERROR &&
	       end <= min_not_zero(dma_get_mask(dev), dev->bus_dma_limit);
}

/**
 * cc_swiotlb_max_mapping_size() - what always fits, whatever the offset
 * @dev: device
 *
 * Context: any.
 * Return: bytes; 0 if nothing does, because the device does not reach all
 * memory that may be shared, or keeps more bits of an address than are noted of
 * an offset.
 */
size_t cc_swiotlb_max_mapping_size(struct device *dev)
{
	unsigned int min_align_mask = dma_get_min_align_mask(dev);

	if (min_align_mask >> CC_OFFSET_BITS)
		return 0;
	if (!cc_behind_iommu(dev) && !reaches_all(dev))
		return 0;
	return BIT(cc_promised_shift) - round_up(min_align_mask, 1U << CC_SLOT_MIN_SHIFT);
}

/* What an operator needs to know of a shortage, and what helps. */
static void report(struct device *dev, size_t size, unsigned int nr,
		   const char *what)
{
	unsigned long shared = READ_ONCE(cc_swiotlb.shared);
	unsigned long sum = shared + READ_ONCE(cc_swiotlb.quarantined);
	unsigned long limit = READ_ONCE(cc_swiotlb.max);

	if (!cc_swiotlb_max_mapping_size(dev))
		dev_warn_ratelimited(dev,
				     "cc-swiotlb: %zu bytes %s: the device needs the legacy pool, since it does not reach all memory or aligns to more than 64 KiB; swiotlb=<slabs>,cc enlarges it\n",
				     size, what);
	else
		dev_warn_ratelimited(dev,
				     "cc-swiotlb: %zu bytes %s: no free %lu-byte slot, reserve %lu KiB, %lu of at most %lu KiB shared; raise cc_swiotlb=%s\n",
				     size, what, BIT(cc_classes[nr].shift),
				     READ_ONCE(cc_swiotlb.reserve_bytes) >> 10,
				     shared >> 10, limit >> 10,
				     sum + BIT(max(cc_classes[nr].wanted, CC_FRAME_SHIFT)) <=
				     limit ?
				     "reserve=" : "max=");
}

/* Nothing is lost but memory, so that the counter is enough after the first time. */
bool cc_larger_reported; /* not static for its test */

static void report_larger(struct device *dev, size_t size, unsigned int nr,
			  unsigned long attrs)
{
	/* Often, and by all CPUs: most only read. */
	if (!(attrs & DMA_ATTR_NO_WARN) && !READ_ONCE(cc_larger_reported) &&
	    !xchg(&cc_larger_reported, true))
		report(dev, size, nr, "mapped in a larger slot");
}

/**
 * cc_swiotlb_fallback() - note what became of a mapping that did not work here
 * @dev: device
 * @orig_addr: as passed to cc_swiotlb_map()
 * @size: as passed to cc_swiotlb_map()
 * @alloc_align_mask: as passed to cc_swiotlb_map()
 * @mapped: swiotlb's own pool has served it
 * @attrs: DMA attributes; DMA_ATTR_NO_WARN is honoured
 *
 * Context: any but NMI.
 */
void cc_swiotlb_fallback(struct device *dev, phys_addr_t orig_addr, size_t size,
			 unsigned int alloc_align_mask, bool mapped,
			 unsigned long attrs)
{
	unsigned int order = cc_order(dev, orig_addr, size, alloc_align_mask);
	unsigned int nr = cc_class_of[min(order, cc_max_shift)];

	this_cpu_inc(cc_cpu.mag[nr].count[mapped ? CC_LEGACY : CC_FAILED]);
	trace_cc_swiotlb_failed(dev, size, mapped);

	if (attrs & DMA_ATTR_NO_WARN)
		return;
	if (mapped) {
		if (cc_swiotlb_max_mapping_size(dev))
			report(dev, size, nr, "mapped in the legacy pool");
		return;
	}
	if (order > cc_max_shift)
		dev_warn_ratelimited(dev,
				     "cc-swiotlb: %zu bytes not mapped: the maximum for this device is %zu\n",
				     size, cc_swiotlb_max_mapping_size(dev));
	else
		report(dev, size, nr, "not mapped");
	cc_kccd_kick(CC_KICK_HOLDERS);
}

/* Make @slot that of the buffer. Enables preemption. */
static __always_inline phys_addr_t fill(struct device *dev,
					phys_addr_t orig_addr, size_t size,
					size_t offset, struct cc_slot *slot,
					unsigned int nr)
{
	phys_addr_t tlb_addr = cc_slot_fill(dev, orig_addr, size, offset, slot, nr);

	trace_cc_swiotlb_map(dev, orig_addr, tlb_addr, size, cc_classes[nr].shift);
	return tlb_addr;
}

/* A slot has been taken, maybe out of the device's reach. Enables preemption. */
static noinline phys_addr_t map_checked(struct device *dev,
					phys_addr_t orig_addr, size_t size,
					size_t offset, u32 index)
{
	struct cc_slot *slot = cc_slot_by_index(index);

	if (cc_reaches(dev, slot->base + offset, size))
		return fill(dev, orig_addr, size, offset, slot,
			    cc_chunk_by_index(index)->class - cc_classes);
	cc_slot_give_home(index);
	preempt_enable();
	return (phys_addr_t)DMA_MAPPING_ERROR;
}

/* The loaded magazine is empty. Enables preemption. */
static noinline phys_addr_t map_refill(struct device *dev,
				       phys_addr_t orig_addr, size_t size,
				       size_t offset, unsigned int nr,
				       unsigned long attrs)
{
	u32 index = cc_magazine_refill(&cc_classes[nr]);
	struct cc_chunk *chunk;
	phys_addr_t tlb_addr;
	bool remote;

	if (!index) {
		preempt_enable();
		return (phys_addr_t)DMA_MAPPING_ERROR;
	}
	chunk = cc_chunk_by_index(index);
	remote = chunk->nid != cc_cpu_node(smp_processor_id());
	tlb_addr = map_checked(dev, orig_addr, size, offset, index);
	if (tlb_addr == (phys_addr_t)DMA_MAPPING_ERROR)
		return tlb_addr;
	if (unlikely(remote)) {
		cc_slot_by_index(index)->cpu = CC_NO_CPU;
		/* As in cc_slot_fill(): before the address reaches another CPU. */
		smp_wmb();
	}
	if (unlikely(chunk->class != &cc_classes[nr]))
		report_larger(dev, size, nr, attrs);
	return tlb_addr;
}

/* Those pages are apart; no magazine has them. */
static noinline phys_addr_t map_lasting(struct device *dev, phys_addr_t orig_addr,
					size_t size, size_t offset)
{
	phys_addr_t tlb_addr;
	struct cc_slot *slot;
	u32 index;

	preempt_disable();
	index = cc_magazine_take_lasting();
	slot = cc_slot_by_index(index);
	if (index && !cc_reaches(dev, slot->base + offset, size)) {
		cc_depot_pass(index);
		index = 0;
	}
	if (!index) {
		preempt_enable();
		return (phys_addr_t)DMA_MAPPING_ERROR;
	}
	tlb_addr = fill(dev, orig_addr, size, offset, slot, CC_PAGE_CLASS);
	slot->cpu = CC_NO_CPU;
	/* As in cc_slot_fill(): before the address reaches another CPU. */
	smp_wmb();
	return tlb_addr;
}

/**
 * cc_swiotlb_map() - take a slot for a buffer that is to be bounced
 * @dev: device that does the DMA
 * @orig_addr: physical address of the original buffer
 * @size: bytes to map
 * @alloc_align_mask: the slot starts and ends aligned to this mask plus one
 * @attrs: DMA attributes; with DMA_ATTR_SKIP_CPU_SYNC, a mapping of a page is expected to
 *	last, and kept apart from others
 *
 * The bits of @orig_addr that the device's min_align_mask covers are kept. No
 * other mapping shares a byte of the slot. The caller copies the data; the
 * bounce buffer is in the direct map.
 *
 * Context: any but NMI; allocates nothing, never sleeps.
 * Return: physical address of the bounce buffer, or DMA_MAPPING_ERROR.
 */
phys_addr_t cc_swiotlb_map(struct device *dev, phys_addr_t orig_addr,
			   size_t size, unsigned int alloc_align_mask,
			   unsigned long attrs)
{
	unsigned int order = cc_order(dev, orig_addr, size, alloc_align_mask);
	size_t offset = orig_addr & dma_get_min_align_mask(dev);
	struct cc_slot *slot;
	unsigned int nr;
	u32 index;

	if (unlikely(order > cc_max_shift || offset >> CC_OFFSET_BITS))
		return (phys_addr_t)DMA_MAPPING_ERROR;
	nr = cc_class_of[order];
	if (unlikely(cc_lasts(nr, attrs))) {
		phys_addr_t tlb_addr = map_lasting(dev, orig_addr, size, offset);

		if (tlb_addr != (phys_addr_t)DMA_MAPPING_ERROR)
			return tlb_addr;
	}

	preempt_disable();
	index = cc_magazine_pop(&cc_cpu.mag[nr].loaded, &slot);
	if (unlikely(!index))
		return map_refill(dev, orig_addr, size, offset, nr, attrs);
	if (unlikely(!cc_within_segment(dev) || !cc_reaches_simply(dev, slot)))
		return map_checked(dev, orig_addr, size, offset, index);
	return fill(dev, orig_addr, size, offset, slot, nr);
}

/* Does a mapping of this device start here? */
static __always_inline bool is_mapped(struct device *dev, phys_addr_t tlb_addr,
				      const struct cc_slot *slot)
{
	return slot->dev == dev && slot->base + slot->offset == tlb_addr;
}

static __always_inline struct cc_chunk *chunk_of(struct io_tlb_pool *pool)
{
	return container_of(pool, struct cc_chunk, pool);
}

/**
 * cc_swiotlb_set_stale() - note that a new mapping has no copy of the original
 * @dev: device that does the DMA
 * @tlb_addr: what cc_swiotlb_map() has returned
 *
 * Until cc_swiotlb_clear_stale(), nothing is copied from the slot, and
 * cc_swiotlb_unmap() gives it back without a warning.
 *
 * Context: any but NMI; before anybody else knows of @tlb_addr.
 */
void cc_swiotlb_set_stale(struct device *dev, phys_addr_t tlb_addr)
{
	struct cc_chunk *chunk = cc_chunk_by_addr(tlb_addr);

	cc_slot_by_index(cc_index_by_addr(chunk, tlb_addr))->dev = cc_slot_stale(dev);
	/* As in cc_slot_fill(): before the address reaches another CPU. */
	smp_wmb();
}

/**
 * cc_swiotlb_clear_stale() - the device has written all of a mapping
 * @dev: device that did the DMA
 * @tlb_addr: what cc_swiotlb_map() returned
 * @pool: the pool that holds @tlb_addr
 *
 * Changes nothing unless it is the start of a mapping of this device that is stale.
 *
 * Context: any but NMI; on behalf of the owner, who unmaps.
 */
void cc_swiotlb_clear_stale(struct device *dev, phys_addr_t tlb_addr,
			    struct io_tlb_pool *pool)
{
	u32 index = cc_index_by_addr(chunk_of(pool), tlb_addr);
	struct cc_slot *slot = cc_slot_by_index(index);

	if (is_mapped(cc_slot_stale(dev), tlb_addr, slot))
		slot->dev = dev;
}

/**
 * cc_swiotlb_mapped() - may a mapping be undone?
 * @dev: device that did the DMA
 * @tlb_addr: what cc_swiotlb_map() returned
 * @pool: the pool that holds @tlb_addr
 *
 * For callers that copy before they call cc_swiotlb_unmap(), which warns if not.
 *
 * Context: any but NMI.
 * Return: true if a mapping of this device starts at @tlb_addr, and is not stale.
 */
bool cc_swiotlb_mapped(struct device *dev, phys_addr_t tlb_addr,
		       struct io_tlb_pool *pool)
{
	u32 index = cc_index_by_addr(chunk_of(pool), tlb_addr);

	return is_mapped(dev, tlb_addr, cc_slot_by_index(index));
}

/* What is mapped is given back, whatever the driver says of its size. */
static noinline void __cold unmap_wrong(struct device *dev,
					phys_addr_t tlb_addr, size_t size,
					struct cc_slot *slot,
					struct io_tlb_pool *pool)
{
	bool mapped = is_mapped(dev, tlb_addr, slot);

	/* Shared already, and not bounced: there is nothing to undo. */
	if (cc_chunk_is_coherent(chunk_of(pool)) || cc_slot_is_lent(slot))
		return;
	/* An error: what is in it is nobody's. */
	if (is_mapped(cc_slot_stale(dev), tlb_addr, slot)) {
		slot->dev = dev;
		cc_swiotlb_unmap(dev, tlb_addr, size, pool);
		return;
	}
	if (!slot->dev)
		dev_WARN_ONCE(dev, 1,
			      "unmap of %pa (%zu bytes), which is not mapped: unmapped twice?\n",
			      &tlb_addr, size);
	else
		dev_WARN_ONCE(dev, 1,
			      "unmap of %pa (%zu bytes), but %u bytes are mapped%s at offset %u of the slot: %s\n",
			      &tlb_addr, size, slot->size,
			      cc_slot_owner(slot) == dev ? "" : " by another device",
			      slot->offset, mapped ? "all are unmapped" : "ignored");
	if (mapped)
		cc_swiotlb_unmap(dev, tlb_addr, slot->size, pool);
}

/* The loaded magazine is full. Enables preemption. */
static noinline void unmap_full(struct cc_class *class, u32 index)
{
	cc_slot_pushed(class, index, CC_NOT_PUSHED);
	preempt_enable();
}

/* The loaded magazine was empty. Enables preemption. */
static noinline void unmap_first(struct cc_class *class, u32 index)
{
	cc_slot_pushed(class, index, CC_PUSHED_FIRST);
	preempt_enable();
}

/* The slot is traced, or not one that this CPU has mapped on its node. Enables preemption. */
static noinline void unmap_slow(struct device *dev, phys_addr_t tlb_addr,
				size_t size, struct cc_chunk *chunk)
{
	struct cc_class *class = chunk->class;
	u32 index = cc_index_by_addr(chunk, tlb_addr);

	trace_cc_swiotlb_unmap(dev, tlb_addr, size, class->shift);
	cc_slot_return(class, cc_slot_by_index(index), index);
	preempt_enable();
}

/**
 * cc_swiotlb_unmap() - give a slot back
 * @dev: device that did the DMA
 * @tlb_addr: what cc_swiotlb_map() returned
 * @size: what was mapped
 * @pool: the pool that holds @tlb_addr
 *
 * Warns once if that is not what is mapped. If it is not the start of a mapping
 * of this device, nothing is changed; but without a mapping nothing keeps the memory
 * here, and on a preemptible kernel it may go while this looks at it. What is in a
 * coherent allocation or in a loan was never bounced, but found here by its address: that
 * is no mistake of anybody.
 *
 * Context: any but NMI, on any CPU.
 */
void cc_swiotlb_unmap(struct device *dev, phys_addr_t tlb_addr, size_t size,
		      struct io_tlb_pool *pool)
{
	struct cc_chunk *chunk = chunk_of(pool);
	unsigned int nr = chunk->shift - CC_SLOT_MIN_SHIFT;
	u32 index = cc_index_by_addr(chunk, tlb_addr);
	struct cc_slot *slot = cc_slot_by_index(index);
	enum cc_push how;

	if (unlikely(!is_mapped(dev, tlb_addr, slot) || slot->size != size))
		return unmap_wrong(dev, tlb_addr, size, slot, pool);

	preempt_disable();
	if (unlikely(trace_cc_swiotlb_unmap_enabled() ||
		     slot->cpu != smp_processor_id()))
		return unmap_slow(dev, tlb_addr, size, chunk);
	slot->dev = NULL;
	this_cpu_inc(cc_cpu.mag[nr].count[CC_UNMAPS]);
	how = cc_magazine_push(&cc_cpu.mag[nr].loaded, chunk->class->mag_size,
			       slot, index);
	if (unlikely(how == CC_NOT_PUSHED))
		return unmap_full(chunk->class, index);
	if (unlikely(how == CC_PUSHED_FIRST))
		return unmap_first(chunk->class, index);
	preempt_enable();
}

static void __cold sync_wrong(struct device *dev, phys_addr_t tlb_addr,
			      const struct cc_slot *slot)
{
	const char *why = "where nothing is mapped";

	/* The device sees what is there; drivers of dma_alloc_pages() have to ask. */
	if (cc_chunk_is_coherent(cc_chunk_by_addr(tlb_addr)) || cc_slot_is_lent(slot))
		return;
	if (slot->dev == cc_slot_stale(dev))
		why = "which only an unmap with DMA_ATTR_OVERWRITE copies";
	else if (slot->dev && slot->dev != dev)
		why = "where nothing is mapped by this device";
	dev_WARN_ONCE(dev, 1, "sync at %pa, %s\n", &tlb_addr, why);
}

/**
 * cc_swiotlb_find_orig() - find what is behind an address in a bounce buffer
 * @dev: device that does the DMA
 * @tlb_addr: an address inside of a mapping
 * @pool: the pool that holds @tlb_addr
 * @left: receives the number of bytes that are mapped from @tlb_addr on
 *
 * Warns once if @tlb_addr is not inside of a mapping of the device, or that is stale,
 * but not about a coherent allocation or a loan: nothing is behind that.
 *
 * Context: any but NMI.
 * Return: the physical address that @tlb_addr stands for, or DMA_MAPPING_ERROR.
 */
phys_addr_t cc_swiotlb_find_orig(struct device *dev, phys_addr_t tlb_addr,
				 struct io_tlb_pool *pool, size_t *left)
{
	u32 index = cc_index_by_addr(chunk_of(pool), tlb_addr);
	struct cc_slot *slot = cc_slot_by_index(index);
	size_t start = tlb_addr - slot->base - slot->offset;

	if (unlikely(slot->dev != dev || start > slot->size)) {
		sync_wrong(dev, tlb_addr, slot);
		return (phys_addr_t)DMA_MAPPING_ERROR;
	}
	*left = slot->size - start;
	return slot->orig_addr + start;
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

/**
 * cc_swiotlb_holds() - is any of a range in memory of this allocator?
 * @paddr: any physical address
 * @size: bytes
 *
 * Context: any but NMI.
 * Return: true if a part of the range is shared here, lent or not.
 */
bool cc_swiotlb_holds(phys_addr_t paddr, size_t size)
{
	phys_addr_t frame = round_down(paddr, BIT(CC_FRAME_SHIFT));

	for (; frame < paddr + size; frame += BIT(CC_FRAME_SHIFT))
		if (cc_chunk_by_addr(frame))
			return true;
	return false;
}
