// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tables for all memory there can be: of chunks, by an address in them, and of
 * slots, by their index.
 */
#include <linux/gfp.h>
#include <linux/lockdep.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "slot.h"

static struct vm_struct *slot_area;
/* The parts of the array that blocks do not use. */
static struct gen_pool *slot_space;

/**
 * cc_table_set() - change what the lookup by address finds for a chunk
 * @chunk: the chunk, which has been published
 * @entry: @chunk, with all the memory that it has now, or NULL
 *
 * Context: any, where nobody else changes the chunk.
 */
void cc_table_set(struct cc_chunk *chunk, struct cc_chunk *entry)
{
	unsigned long frame = chunk->pool.start >> CC_FRAME_SHIFT;
	unsigned long end = chunk->pool.end >> CC_FRAME_SHIFT;
	struct cc_chunk **leaf = READ_ONCE(cc_by_frame)->leaf[frame >> CC_LEAF_BITS];

	/* A chunk is aligned to its size: its frames share one leaf. */
	for (; frame < end; frame++)
		/* The entry is complete before anyone can find it. */
		smp_store_release(&leaf[frame & (CC_LEAF_SIZE - 1)], entry);
}

/*
 * Memory was added above all that there could be at boot. A reader may still look
 * into the smaller table, so that is kept. The grace period is a barrier on each
 * CPU: nobody who gets an address that only the larger table knows can still see
 * the smaller one.
 */
static int table_grow(unsigned long nr)
{
	struct cc_chunk_table *old = cc_by_frame, *new;

	nr = max(nr + 1, 2 * old->nr);
	new = cc_alloc_metadata(struct_size(new, leaf, nr));
	if (!new)
		return -ENOMEM;
	new->nr = nr;
	new->smaller = old;
	memcpy(new->leaf, old->leaf, old->nr * sizeof(*old->leaf));
	/* Complete before cc_chunk_by_addr() can look into it. */
	smp_store_release(&cc_by_frame, new);
	cc_grace_period();
	return 0;
}

/**
 * cc_chunk_publish() - let a chunk be found by its address
 * @chunk: the chunk
 *
 * Context: task, under cc_swiotlb.mutex.
 * Return: 0 or -ENOMEM.
 */
int cc_chunk_publish(struct cc_chunk *chunk)
{
	unsigned long nr = chunk->pool.start >> (CC_FRAME_SHIFT + CC_LEAF_BITS);
	void *leaf;

	lockdep_assert_held(&cc_swiotlb.mutex);
	if (nr >= cc_by_frame->nr && table_grow(nr))
		return -ENOMEM;
	if (!cc_by_frame->leaf[nr]) {
		leaf = cc_alloc_metadata(CC_LEAF_SIZE * sizeof(void *));
		if (!leaf)
			return -ENOMEM;
		/* Zeroed before cc_chunk_by_addr() can look into it. */
		smp_store_release(&cc_by_frame->leaf[nr], leaf);
	}
	cc_table_set(chunk, chunk);
	return 0;
}

/**
 * cc_chunk_unpublish() - let a chunk not be found any more
 * @chunk: the chunk
 *
 * Those who have found it are done with it after a grace period.
 *
 * Context: task, under cc_swiotlb.mutex.
 */
void cc_chunk_unpublish(struct cc_chunk *chunk)
{
	lockdep_assert_held(&cc_swiotlb.mutex);
	cc_table_set(chunk, NULL);
}

/* Bytes of the slots of a block of 1 << @shift bytes. */
#define SLOTS_SIZE(shift)	\
	PAGE_ALIGN(sizeof(struct cc_slot) << ((shift) - CC_SLOT_MIN_SHIFT))

static void put_slots(unsigned long start, unsigned long end,
		      struct page **pages, unsigned int nr)
{
	vm_area_unmap_pages(slot_area, start, end);
	while (nr--)
		cc_free_metadata_page(pages[nr]);
	gen_pool_free(slot_space, start, end - start);
}

/*
 * Page tables are allocated with GFP_KERNEL, which would not fail but wait, for
 * ever if need be. This way they come from the reserves of the page allocator, a
 * page for 32 MiB, or not at all.
 */
static int map_slots(unsigned long start, unsigned long end,
		     struct page **pages)
{
	unsigned int noreclaim = memalloc_noreclaim_save();
	int err = vm_area_map_pages(slot_area, start, end, pages);

	memalloc_noreclaim_restore(noreclaim);
	return err;
}

/**
 * cc_slots_free() - free what cc_slots_alloc() has returned
 * @slots: the slots
 * @shift: log2 of the size of their block
 *
 * Context: task, a grace period after the last slot was in use.
 */
void cc_slots_free(struct cc_slot *slots, unsigned int shift)
{
	unsigned long start = (unsigned long)slots, end = start + SLOTS_SIZE(shift);
	struct page *pages[SLOTS_SIZE(CC_BLOCK_SHIFT) / PAGE_SIZE];
	unsigned int nr = 0;

	for (unsigned long addr = start; addr < end; addr += PAGE_SIZE)
		pages[nr++] = vmalloc_to_page((void *)addr);
	put_slots(start, end, pages, nr);
}

/**
 * cc_slots_alloc() - allocate the slots of a block
 * @shift: log2 of the size of the block
 *
 * Context: task.
 * Return: zeroed slots with indexes in a row, one for each CC_SLOT_MIN_SHIFT of
 * the block; or NULL.
 */
struct cc_slot *cc_slots_alloc(unsigned int shift)
{
	unsigned long start = gen_pool_alloc(slot_space, SLOTS_SIZE(shift));
	unsigned long end = start + SLOTS_SIZE(shift);
	struct page *pages[SLOTS_SIZE(CC_BLOCK_SHIFT) / PAGE_SIZE];
	unsigned int nr = 0;

	if (!start)
		return NULL;
	for (unsigned long addr = start; addr < end; addr += PAGE_SIZE) {
		pages[nr] = cc_alloc_metadata_page();
		if (!pages[nr])
			goto put;
		nr++;
	}
	if (!map_slots(start, end, pages))
		return (struct cc_slot *)start;
put:
	put_slots(start, end, pages, nr);
	return NULL;
}

/* An index has 32 bits, and the page of index 0 is not used. */
#define CC_MAX_SLOTS	(BIT_ULL(32) - PAGE_SIZE / sizeof(struct cc_slot))

/*
 * Address space for the slots of all RAM, in the smallest blocks, whose slots take
 * a page whatever its size; if that leaves enough to others.
 */
static int init_slots(void)
{
	u64 nr_blocks = (u64)totalram_pages() >> (CC_FRAME_SHIFT - PAGE_SHIFT);
	u64 nr = min(nr_blocks * (SLOTS_SIZE(CC_FRAME_SHIFT) / sizeof(struct cc_slot)),
		     CC_MAX_SLOTS);
	unsigned long size = min(round_up(nr * sizeof(struct cc_slot), PAGE_SIZE),
				 round_down(VMALLOC_TOTAL / 4, PAGE_SIZE));

	slot_area = get_vm_area(PAGE_SIZE + size, VM_SPARSE);
	slot_space = gen_pool_create(PAGE_SHIFT, NUMA_NO_NODE);
	if (!slot_area || !slot_space)
		return -ENOMEM;
	cc_slots = slot_area->addr;
	return gen_pool_add(slot_space, (unsigned long)cc_slots + PAGE_SIZE,
			    size, NUMA_NO_NODE);
}

/* A table for all memory that there can be, as far as is known at boot. */
static int init_table(void)
{
	u64 end = (u64)max_t(unsigned long long, max_pfn, max_possible_pfn)
		  << PAGE_SHIFT;
	unsigned long nr = DIV_ROUND_UP_ULL(end, 1ULL << (CC_FRAME_SHIFT +
							  CC_LEAF_BITS));
	struct cc_chunk_table *table = kvzalloc(struct_size(table, leaf, nr),
						GFP_KERNEL);

	if (!table)
		return -ENOMEM;
	table->nr = nr;
	cc_by_frame = table;
	return 0;
}

/**
 * cc_table_init() - make both tables
 *
 * Context: task.
 * Return: 0 or -ENOMEM, and cc_table_exit() is to be called.
 */
int cc_table_init(void)
{
	return init_table() ?: init_slots();
}

/**
 * cc_table_exit() - undo cc_table_init(), after everything has been returned
 *
 * Context: task.
 */
void cc_table_exit(void)
{
	struct cc_chunk_table *table = cc_by_frame, *smaller;

	if (slot_space)
		gen_pool_destroy(slot_space);
	if (slot_area)
		free_vm_area(slot_area);
	slot_space = NULL;
	slot_area = NULL;

	cc_by_frame = &cc_no_chunks;
	for (unsigned long i = 0; i < table->nr; i++)
		cc_free_metadata(table->leaf[i]);
	for (; table->smaller; table = smaller) {
		smaller = table->smaller;
		cc_free_metadata(table);
	}
	/* The one that was made at boot. */
	if (table != &cc_no_chunks)
		kvfree(table);
}
