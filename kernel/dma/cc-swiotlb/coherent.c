// SPDX-License-Identifier: GPL-2.0-only
/*
 * Coherent allocations: whole pages, which the host can access already, so that none
 * is converted for them and any context can have them.
 *
 * Their chunks are their own, since they stay for ever, where a mapping is over soon.
 * There are no magazines in front of the gen_pool: drivers allocate when they start.
 * An allocation takes as many pages as it needs, aligned as the page allocator would
 * align them, and is noted in the metadata of its first page's slot.
 *
 * A page is not used again while anybody but the allocator has a reference to it. What
 * is freed before that waits in a list, which kccd looks through whenever it ticks.
 */
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/page_ref.h>
#include <linux/string.h>

#include "slot.h"

DEFINE_PER_CPU(unsigned long [CC_NR_COHERENT_COUNTERS], cc_coherent_count);

static struct cc_class *const coherent = &cc_classes[CC_COHERENT];

static void count(enum cc_coherent_counter counter, unsigned long nr)
{
	this_cpu_add(cc_coherent_count[counter], nr);
}

/**
 * cc_coherent_sum() - the value of a counter since boot
 * @counter: which one
 *
 * Context: any; not exact while something is allocated or freed.
 * Return: the sum over all CPUs.
 */
unsigned long cc_coherent_sum(enum cc_coherent_counter counter)
{
	return cc_sum(&cc_coherent_count[counter]);
}

/**
 * cc_coherent_bytes() - bytes of all coherent allocations
 *
 * Context: any; not exact while something is allocated or freed.
 * Return: bytes.
 */
unsigned long cc_coherent_bytes(void)
{
	long bytes = cc_coherent_sum(CC_COHERENT_TAKEN) -
		     cc_coherent_sum(CC_COHERENT_GIVEN);

	return max(bytes, 0L);
}

static int device_node(const struct device *dev)
{
	return cc_node_or_local(dev_to_node((struct device *)dev));
}

/* Is there memory that only this device has? */
static bool has_own_memory(const struct device *dev)
{
#ifdef CONFIG_DMA_CMA
	return dev->cma_area;
#else
	return false;
#endif
}

/* Pages in a row, aligned to the power of two that holds them, and their chunk. */
static void *take_from(struct cc_class_node *node, size_t size, struct cc_chunk **chunk)
{
	unsigned long vaddr;
	void *owner;

	vaddr = gen_pool_alloc_algo_owner(&node->pool, size,
					  gen_pool_first_fit_order_align, NULL,
					  &owner);
	if (!vaddr)
		return NULL;
	atomic_long_sub(size >> PAGE_SHIFT, &node->pool_free);
	*chunk = owner;
	return (void *)vaddr;
}

/* Of a NUMA node, or of any. */
static void *take(size_t size, int nid, struct cc_chunk **chunk)
{
	void *vaddr = NULL;

	if (nid != NUMA_NO_NODE)
		return take_from(&coherent->node[nid], size, chunk);
	for (unsigned int i = 0; i < cc_nr_nodes && !vaddr; i++)
		vaddr = take_from(&coherent->node[i], size, chunk);
	return vaddr;
}

static void give(const struct cc_chunk *chunk, phys_addr_t base, size_t size)
{
	struct cc_class_node *node = &coherent->node[chunk->nid];

	atomic_long_add(cc_chunk_put(chunk, base - chunk->pool.start, size),
			&node->pool_free);
}

/*
 * What the reserve keeps. A caller that can wait has another way, and so has one that
 * does not insist, so that this is not what a burst of mappings finds it empty for. Any
 * other is like a mapping.
 */
static unsigned long reserve_keep(gfp_t gfp)
{
	unsigned long half = READ_ONCE(cc_swiotlb.reserve_min) / 2;
	bool other_way = gfpflags_allow_blocking(gfp) || (gfp & __GFP_NORETRY);

	return other_way && half >= BIT(CC_CHUNK_SHIFT) ? half : 0;
}

/* Have a chunk of the reserve, of a node or of any, for 1 << @shift bytes, and tell kccd. */
static bool grow(unsigned int shift, int nid, gfp_t gfp)
{
	unsigned long bytes = READ_ONCE(coherent->nr_slots) << PAGE_SHIFT;
	unsigned int ask = 0;
	bool given;

	if (bytes + BIT(CC_CHUNK_SHIFT) > READ_ONCE(cc_swiotlb.max) / CC_COHERENT_SHARE)
		return false;
	given = cc_reserve_take_large(coherent, nid, shift, reserve_keep(gfp));
	if (!given && (nid == NUMA_NO_NODE || cc_nr_nodes == 1)) {
		WRITE_ONCE(coherent->wanted, shift);
		/* As in grow_class(); and it is known what is wanted. */
		smp_mb();
		WRITE_ONCE(coherent->starved, true);
		ask = cc_ask_chunk(shift);
	}
	cc_kccd_ask(ask | cc_reserve_lacks(nid));
	return given;
}

static void *take_or_grow(size_t size, int nid, gfp_t gfp, struct cc_chunk **chunk)
{
	unsigned int shift = PAGE_SHIFT + get_order(size);
	void *vaddr;

	/* Others may take what is new: then each time for what they have allocated. */
	do {
		vaddr = take(size, nid, chunk);
	} while (!vaddr && grow(shift, nid, gfp));
	return vaddr;
}

/**
 * cc_swiotlb_alloc_pages() - take pages for a coherent allocation
 * @dev: device that will use them
 * @size: bytes
 * @gfp: whether the caller can wait, which it does not have to here
 *
 * If there are none, dma-direct has another way, where memory is converted.
 *
 * Context: any but NMI; allocates nothing, never sleeps.
 * Return: the first of zeroed pages, all in the direct map, shared with the host, and
 * within the coherent mask of the device, aligned to the power of two that holds them;
 * or NULL.
 */
struct page *cc_swiotlb_alloc_pages(struct device *dev, size_t size, gfp_t gfp)
{
	struct cc_chunk *chunk;
	struct cc_slot *slot;
	phys_addr_t base;
	void *vaddr;

	size = PAGE_ALIGN(size);
	if (!size || size > BIT(CC_CHUNK_SHIFT) || has_own_memory(dev))
		goto other;
	vaddr = take_or_grow(size, device_node(dev), gfp, &chunk);
	if (!vaddr && cc_nr_nodes > 1)
		vaddr = take_or_grow(size, NUMA_NO_NODE, gfp, &chunk);
	if (!vaddr)
		goto other;
	base = chunk->pool.start + (vaddr - chunk->pool.vaddr);
	if (!dma_coherent_ok(dev, base, size)) {
		give(chunk, base, size);
		/* The chunk may have come for this. */
		cc_kccd_kick(CC_KICK_TICK);
		goto other;
	}
	slot = cc_slot_by_index(cc_index_by_addr(chunk, base));
	slot->base = base;
	slot->size = size;
	slot->dev = cc_slot_coherent(dev);
	/* The host can write to it whenever it likes: zeroed for the device, not for us. */
	memset(vaddr, 0, size);

	count(CC_COHERENT_ALLOCS, 1);
	count(CC_COHERENT_TAKEN, size);
	cc_class_note_peak(coherent);
	cc_kccd_kick(CC_KICK_TICK);
	/* As in cc_slot_fill(): before the address reaches another CPU. */
	smp_wmb();
	return pfn_to_page(PHYS_PFN(base));
other:
	count(CC_COHERENT_OTHER, 1);
	return NULL;
}

/* Has anybody but the allocator a reference to one of the pages? */
static bool is_held(const struct cc_slot *slot)
{
	struct page *page = pfn_to_page(PHYS_PFN(slot->base));

	for (struct page *end = page + (slot->size >> PAGE_SHIFT); page < end; page++)
		if (page_ref_count(page) != 1)
			return true;
	return false;
}

/* The page allocator wants pages back as it gave them: what drivers note in them goes. */
static void clean(const struct cc_slot *slot)
{
	struct page *page = pfn_to_page(PHYS_PFN(slot->base));

	for (struct page *end = page + (slot->size >> PAGE_SHIFT); page < end; page++)
		set_page_private(page, 0);
}

/* Nobody uses the allocation any more, as far as its owner knows. */
static void release(struct cc_slot *slot)
{
	if (is_held(slot)) {
		cc_hold(&cc_swiotlb.coherent_held, slot);
		return;
	}
	clean(slot);
	give(cc_chunk_by_addr(slot->base), slot->base, slot->size);
}

static void __cold free_wrong(struct device *dev, phys_addr_t paddr, size_t size,
			      const struct cc_slot *slot)
{
	if (!cc_slot_is_coherent(slot))
		dev_WARN_ONCE(dev, 1,
			      "coherent free of %pa (%zu bytes), which is not the start of an allocation, ignored: freed twice?\n",
			      &paddr, size);
	else
		dev_WARN_ONCE(dev, 1,
			      "coherent free of %pa (%zu bytes), but %u bytes were allocated%s: all are freed\n",
			      &paddr, size, slot->size,
			      cc_slot_owner(slot) == dev ? "" : " by another device");
}

/**
 * cc_swiotlb_free_pages() - give the pages of a coherent allocation back
 * @dev: device that used them
 * @paddr: physical address of the first page
 * @size: bytes
 *
 * What is in a chunk must never be converted or freed by anybody else, so that it is
 * none of the caller's business any more, whatever it was. Warns once if it was not
 * what has been allocated.
 *
 * Context: any but NMI, on any CPU.
 * Return: false if @paddr is not in a chunk.
 */
bool cc_swiotlb_free_pages(struct device *dev, phys_addr_t paddr, size_t size)
{
	struct cc_chunk *chunk;
	struct cc_slot *slot;

	/* What is freed twice may go away meanwhile. */
	guard(rcu)();
	chunk = cc_chunk_by_addr(paddr);
	if (!chunk)
		return false;
	size = PAGE_ALIGN(size);
	slot = cc_slot_by_index(cc_index_by_addr(chunk, paddr));
	if (slot->dev != cc_slot_coherent(dev) || slot->size != size) {
		free_wrong(dev, paddr, size, slot);
		if (!cc_slot_is_coherent(slot))
			return true;
	}
	slot->dev = NULL;
	count(CC_COHERENT_FREES, 1);
	count(CC_COHERENT_GIVEN, slot->size);
	release(slot);
	cc_kccd_kick(CC_KICK_TICK);
	return true;
}

/**
 * cc_coherent_look() - give back what was freed and is held by nobody any more
 *
 * Context: task, under cc_swiotlb.mutex.
 */
void cc_coherent_look(void)
{
	u32 index = cc_held_take(&cc_swiotlb.coherent_held);

	while (index) {
		struct cc_slot *slot = cc_slot_by_index(index);

		index = slot->next;
		release(slot);
		cond_resched();
	}
}
