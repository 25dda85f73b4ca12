// SPDX-License-Identifier: GPL-2.0-only
/*
 * Chunks: shared memory from its allocation to its return.
 *
 * A page is always known to be private and ours to free, or known to be shared
 * and in a block, or of unknown state. What is of unknown state, because
 * converting it back failed too, is quarantined: leaked on purpose and counted.
 */
#define pr_fmt(fmt) "cc-swiotlb: " fmt

#include <kunit/static_stub.h>
#include <linux/genalloc.h>
#include <linux/gfp.h>
#include <linux/ktime.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/set_memory.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <trace/events/cc_swiotlb.h>

#include "internal.h"

/* Chunks by {address >> CC_FRAME_SHIFT}; leaves are never freed. */
struct cc_chunk_table cc_by_frame;

/*
 * All slots, as one array: address space for all that RAM could hold, with pages
 * behind the slots of blocks only. No slot has index 0.
 */
struct cc_slot *cc_slots __read_mostly;
static struct vm_struct *slot_area;
/* The parts of the array that blocks do not use. */
static struct gen_pool *slot_space;

/**
 * cc_alloc_memory() - allocate memory that is to be shared
 * @order: log2 of the number of pages
 * @try_hard: reclaim and compact rather than fail
 *
 * It is zeroed while it is private, so that nothing in it leaks to the host.
 * Where the host sees all memory anyway, that would only make growth slower.
 *
 * Context: task.
 * Return: the first page, or NULL.
 */
struct page *cc_alloc_memory(unsigned int order, bool try_hard)
{
	gfp_t gfp = GFP_KERNEL | __GFP_NOWARN;

	KUNIT_STATIC_STUB_REDIRECT(cc_alloc_memory, order, try_hard);
	if (swiotlb_is_shared())
		gfp |= __GFP_ZERO;
	if (!try_hard)
		gfp |= __GFP_NORETRY;
	return alloc_pages(gfp, order);
}

/**
 * cc_free_memory() - return memory to the page allocator
 * @page: first page; the memory must be known to be private
 * @order: log2 of the number of pages
 *
 * Context: task.
 */
void cc_free_memory(struct page *page, unsigned int order)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_free_memory, page, order);
	__free_pages(page, order);
}

/**
 * cc_alloc_metadata() - allocate private memory for descriptors
 * @size: bytes
 *
 * Context: task.
 * Return: zeroed memory, or NULL.
 */
void *cc_alloc_metadata(size_t size)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_alloc_metadata, size);
	return kvzalloc(size, GFP_KERNEL | __GFP_NOWARN);
}

/**
 * cc_free_metadata() - free what cc_alloc_metadata() has returned
 * @ptr: the memory; can be NULL
 *
 * Context: task.
 */
void cc_free_metadata(void *ptr)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_free_metadata, ptr);
	kvfree(ptr);
}

/**
 * cc_alloc_metadata_page() - allocate a private page for slots
 *
 * Context: task.
 * Return: a zeroed page, or NULL.
 */
struct page *cc_alloc_metadata_page(void)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_alloc_metadata_page);
	return alloc_page(GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN);
}

/**
 * cc_free_metadata_page() - free what cc_alloc_metadata_page() has returned
 * @page: the page
 *
 * Context: task.
 */
void cc_free_metadata_page(struct page *page)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_free_metadata_page, page);
	__free_page(page);
}

/**
 * cc_convert() - share memory with the host, or make it private again
 * @page: first page
 * @order: log2 of the number of pages
 * @share: true to share
 *
 * Context: task. The conversion may sleep and is slow.
 * Return: 0, or an error after which the state of the memory is unknown.
 */
int cc_convert(struct page *page, unsigned int order, bool share)
{
	unsigned long vaddr = (unsigned long)page_address(page);

	KUNIT_STATIC_STUB_REDIRECT(cc_convert, page, order, share);
	if (!swiotlb_is_shared())
		return 0;
	return share ? set_memory_decrypted(vaddr, 1 << order) :
			 set_memory_encrypted(vaddr, 1 << order);
}

static int convert(struct cc_block *block, bool share)
{
	ktime_t start = ktime_get();
	int err = cc_convert(block->page, block->shift - PAGE_SHIFT, share);
	u64 ns = ktime_to_ns(ktime_sub(ktime_get(), start));

	cc_kccd_stats.converted[share]++;
	cc_kccd_stats.failed[share] += !!err;
	cc_kccd_stats.ns[share] += ns;
	trace_cc_swiotlb_convert(page_to_phys(block->page), 1UL << block->shift,
				 share, ns, err);
	return err;
}

static void quarantine(struct cc_block *block)
{
	cc_swiotlb.quarantined += 1UL << block->shift;
	pr_warn_ratelimited("state of %lu KiB at %pa unknown after a failed conversion: never used again\n",
			    (1UL << block->shift) >> 10,
			    &block->chunks[0].pool.start);
}

/* What the lookup by address finds for a chunk: @entry is it, or NULL. */
static void set_frames(struct cc_chunk *chunk, struct cc_chunk *entry)
{
	unsigned long frame = chunk->pool.start >> CC_FRAME_SHIFT;
	unsigned long end = chunk->pool.end >> CC_FRAME_SHIFT;
	struct cc_chunk **leaf = cc_by_frame.root[frame >> CC_LEAF_BITS];

	/* A chunk is aligned to its size: its frames share one leaf. */
	for (; frame < end; frame++)
		/* The entry is complete before anyone can find it. */
		smp_store_release(&leaf[frame & (CC_LEAF_SIZE - 1)], entry);
}

static int chunk_publish(struct cc_chunk *chunk)
{
	unsigned long nr = chunk->pool.start >> (CC_FRAME_SHIFT + CC_LEAF_BITS);

	if (nr >= cc_by_frame.nr)
		return -ERANGE;
	if (!cc_by_frame.root[nr]) {
		void *leaf = cc_alloc_metadata(CC_LEAF_SIZE * sizeof(void *));

		if (!leaf)
			return -ENOMEM;
		/* Zeroed before cc_chunk_by_addr() can look into it. */
		smp_store_release(&cc_by_frame.root[nr], leaf);
	}
	set_frames(chunk, chunk);
	return 0;
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

static void free_slots(struct cc_slot *slots, unsigned int shift)
{
	unsigned long start = (unsigned long)slots, end = start + SLOTS_SIZE(shift);
	struct page *pages[SLOTS_SIZE(CC_BLOCK_SHIFT) / PAGE_SIZE];
	unsigned int nr = 0;

	for (unsigned long addr = start; addr < end; addr += PAGE_SIZE)
		pages[nr++] = vmalloc_to_page((void *)addr);
	put_slots(start, end, pages, nr);
}

/* Zeroed slots for a block, with indexes in a row; NULL if memory is short. */
static struct cc_slot *alloc_slots(unsigned int shift)
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
	if (!vm_area_map_pages(slot_area, start, end, pages))
		return (struct cc_slot *)start;
put:
	put_slots(start, end, pages, nr);
	return NULL;
}

static void block_free_metadata(struct cc_block *block)
{
	cc_free_metadata(block->gpcs);
	if (block->slots)
		free_slots(block->slots, block->shift);
	cc_free_metadata(block);
}

/* Private memory of a block, or the next best size, with metadata. */
static struct cc_block *block_alloc(unsigned long limit, unsigned int min_shift)
{
	unsigned int shift = min(CC_BLOCK_SHIFT, PAGE_SHIFT + MAX_PAGE_ORDER);
	unsigned int chunk_shift;
	struct page *page = NULL;
	struct cc_block *block;
	size_t gpc_bytes;

	for (; shift >= min_shift; shift--) {
		if (1UL << shift > limit)
			continue;
		page = cc_alloc_memory(shift - PAGE_SHIFT,
				       shift == min_shift);
		if (page)
			break;
	}
	if (!page)
		return NULL;

	chunk_shift = min(shift, CC_CHUNK_SHIFT);
	block = cc_alloc_metadata(struct_size(block, chunks,
					      1U << (shift - chunk_shift)));
	if (!block)
		goto free_page;
	block->page = page;
	block->shift = shift;
	block->nr_chunks = 1U << (shift - chunk_shift);
	gpc_bytes = ALIGN(gen_pool_chunk_bytes(1UL << chunk_shift,
					       CC_SLOT_MIN_SHIFT),
			  L1_CACHE_BYTES);
	block->gpcs = cc_alloc_metadata(gpc_bytes * block->nr_chunks);
	block->slots = alloc_slots(shift);
	if (!block->gpcs || !block->slots)
		goto free_metadata;

	for (unsigned int i = 0; i < block->nr_chunks; i++) {
		struct cc_chunk *chunk = &block->chunks[i];
		size_t offset = (size_t)i << chunk_shift;

		chunk->pool.start = page_to_phys(page) + offset;
		chunk->pool.end = chunk->pool.start + (1UL << chunk_shift);
		chunk->pool.vaddr = page_address(page) + offset;
		chunk->pool.cc = true;
		chunk->index = block->slots - cc_slots +
			       (offset >> CC_SLOT_MIN_SHIFT);
		chunk->gpc = block->gpcs + i * gpc_bytes;
		chunk->block = block;
		INIT_LIST_HEAD(&chunk->node);
	}
	return block;

free_metadata:
	block_free_metadata(block);
free_page:
	cc_free_memory(page, shift - PAGE_SHIFT);
	return NULL;
}

/* Put a chunk that no class owns into the reserve. Under cc_swiotlb.lock. */
static void reserve_add(struct cc_chunk *chunk)
{
	struct cc_block *block = chunk->block;
	unsigned int shift = ilog2(cc_chunk_bytes(chunk));
	struct list_head *list = &cc_swiotlb.reserve[shift - CC_FRAME_SHIFT];

	chunk->class = NULL;
	chunk->shift = shift;
	cc_swiotlb.reserve_bytes += cc_chunk_bytes(chunk);
	list_add(&chunk->node, list);
	/* Chunks of a whole block are used last, so that it can be returned. */
	if (++block->nr_reserve == block->nr_chunks)
		for (unsigned int i = 0; i < block->nr_chunks; i++)
			list_move_tail(&block->chunks[i].node, list);
}

/* Take a chunk out of the reserve. Under cc_swiotlb.lock. */
static void reserve_del(struct cc_chunk *chunk)
{
	list_del_init(&chunk->node);
	chunk->block->nr_reserve--;
	cc_swiotlb.reserve_bytes -= cc_chunk_bytes(chunk);
	if (cc_swiotlb.reserve_bytes < cc_swiotlb.reserve_low)
		cc_swiotlb.reserve_low = cc_swiotlb.reserve_bytes;
}

/**
 * cc_block_grow() - convert one more block and put it into the reserve
 * @limit: bytes that it may have at most
 * @min_shift: log2 of the bytes that it must have, CC_FRAME_SHIFT at least
 *
 * Context: task, under cc_swiotlb.mutex.
 * Return: 0, or an error after which nothing has changed, except that memory
 * may have been quarantined.
 */
int cc_block_grow(unsigned long limit, unsigned int min_shift)
{
	struct cc_block *block = block_alloc(limit, min_shift);
	unsigned int published = 0;
	unsigned long flags;
	bool lost = false;
	int err;

	if (!block)
		return -ENOMEM;
	for (; published < block->nr_chunks; published++) {
		err = chunk_publish(&block->chunks[published]);
		if (err)
			goto unpublish;
	}
	err = convert(block, true);
	if (err) {
		lost = convert(block, false);
		goto unpublish;
	}

	list_add_tail(&block->node, &cc_swiotlb.blocks);
	cc_swiotlb.shared += 1UL << block->shift;
	cc_swiotlb.peak = max(cc_swiotlb.peak, cc_swiotlb.shared);
	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	for (unsigned int i = 0; i < block->nr_chunks; i++)
		reserve_add(&block->chunks[i]);
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
	trace_cc_swiotlb_grow(page_to_phys(block->page), 1UL << block->shift,
			      cc_swiotlb.shared);
	return 0;

unpublish:
	while (published--)
		set_frames(&block->chunks[published], NULL);
	if (lost)
		quarantine(block);
	else
		cc_free_memory(block->page, block->shift - PAGE_SHIFT);
	block_free_metadata(block);
	return err;
}

/* A block none of whose chunks is owned by a class, or NULL. */
static struct cc_block *whole_block(void)
{
	struct cc_block *block;

	/* The youngest first: the old ones have been proven to be needed. */
	list_for_each_entry_reverse(block, &cc_swiotlb.blocks, node)
		if (READ_ONCE(block->nr_reserve) == block->nr_chunks)
			return block;
	return NULL;
}

/**
 * cc_block_shrink() - make blocks of the reserve private again and free them
 * @keep: bytes to leave in the reserve at least
 * @limit: return no more bytes than this
 *
 * Context: task, under cc_swiotlb.mutex.
 * Return: bytes returned, or quarantined.
 */
unsigned long cc_block_shrink(unsigned long keep, unsigned long limit)
{
	struct cc_block *block, *next;
	unsigned long done = 0, flags;
	LIST_HEAD(victims);

	while ((block = whole_block())) {
		bool taken = false;

		if (1UL << block->shift > limit)
			break;
		raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
		if (block->nr_reserve == block->nr_chunks &&
		    cc_swiotlb.reserve_bytes >= keep + (1UL << block->shift)) {
			unsigned long low = cc_swiotlb.reserve_low;

			for (unsigned int i = 0; i < block->nr_chunks; i++)
				reserve_del(&block->chunks[i]);
			cc_swiotlb.reserve_low = min(low, cc_swiotlb.reserve_bytes);
			taken = true;
		}
		raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
		if (!taken)
			break;
		limit -= 1UL << block->shift;
		list_move(&block->node, &victims);
		for (unsigned int i = 0; i < block->nr_chunks; i++)
			set_frames(&block->chunks[i], NULL);
	}
	if (list_empty(&victims))
		return 0;

	/* Whoever found a chunk by its address or index is done with it. */
	synchronize_rcu();
	list_for_each_entry_safe(block, next, &victims, node) {
		unsigned long bytes = 1UL << block->shift;
		bool lost = convert(block, false);

		list_del(&block->node);
		done += bytes;
		cc_swiotlb.shared -= bytes;
		trace_cc_swiotlb_retire(page_to_phys(block->page), bytes,
					cc_swiotlb.shared);
		if (lost)
			quarantine(block);
		else
			cc_free_memory(block->page, block->shift - PAGE_SHIFT);
		block_free_metadata(block);
		cond_resched();
	}
	return done;
}

/**
 * cc_reserve_give() - give a chunk of the reserve to a class
 * @class: class that is short of free slots
 * @want: do nothing if its gen_pool has at least this many
 *
 * No page is converted and no memory allocated: that has been done when the
 * chunk was put into the reserve.
 *
 * Context: any but NMI.
 * Return: true if the class's gen_pool may have @want free slots now.
 */
bool cc_reserve_give(struct cc_class *class, unsigned long want)
{
	struct cc_chunk *chunk = NULL;
	unsigned int i = 0;
	unsigned long flags;

	if (class->shift > CC_FRAME_SHIFT)
		i = class->shift - CC_FRAME_SHIFT;

	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	/* Another CPU may have been faster. */
	if (atomic_long_read(&class->pool_free) >= (long)want) {
		raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
		return true;
	}
	for (; i < CC_NR_CHUNK_SIZES && !chunk; i++)
		chunk = list_first_entry_or_null(&cc_swiotlb.reserve[i],
						 struct cc_chunk, node);
	if (chunk) {
		reserve_del(chunk);
		chunk->class = class;
		chunk->shift = class->shift;
		list_add_tail(&chunk->node, &class->chunks);
		WRITE_ONCE(class->nr_slots,
			   class->nr_slots + cc_chunk_slots(chunk));
		atomic_long_add(cc_chunk_slots(chunk), &class->pool_free);
		gen_pool_add_chunk(&class->pool, chunk->gpc,
				   (unsigned long)chunk->pool.vaddr,
				   chunk->pool.start, cc_chunk_bytes(chunk),
				   chunk);
	}
	WRITE_ONCE(class->starved, !chunk);
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);

	trace_cc_swiotlb_reserve(class->shift, chunk ? chunk->pool.start : 0,
				 READ_ONCE(cc_swiotlb.reserve_bytes));
	cc_kccd_kick(!chunk);
	return chunk;
}

/* Chunks looked at before interrupts are enabled again. */
#define CC_RETIRE_SCAN	32

/**
 * cc_class_retire() - take chunks without a used slot away from a class
 * @class: the class
 * @nr_slots: take no more than this many slots
 *
 * The chunks go to the reserve.
 *
 * Context: task, under cc_swiotlb.mutex.
 * Return: slots taken away.
 */
unsigned long cc_class_retire(struct cc_class *class, unsigned long nr_slots)
{
	unsigned long done = 0, left = READ_ONCE(class->nr_slots), flags;
	struct cc_chunk *chunk, *next;
	LIST_HEAD(retired);
	LIST_HEAD(kept);

	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	for (unsigned int n = 1; left && !list_empty(&class->chunks); n++) {
		unsigned long slots;

		/* The youngest chunks are the least used. */
		chunk = list_last_entry(&class->chunks, struct cc_chunk, node);
		slots = cc_chunk_slots(chunk);
		left -= min(left, slots);
		if (done + slots > nr_slots ||
		    !gen_pool_seal_chunk(&class->pool, chunk->gpc)) {
			list_move(&chunk->node, &kept);
		} else {
			gen_pool_del_chunk(&class->pool, chunk->gpc,
					   &class->hint);
			atomic_long_sub(slots, &class->pool_free);
			WRITE_ONCE(class->nr_slots, class->nr_slots - slots);
			done += slots;
			list_move(&chunk->node, &retired);
		}
		if (n % CC_RETIRE_SCAN == 0) {
			raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
			cond_resched();
			raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
		}
	}
	list_splice_tail(&kept, &class->chunks);
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
	if (!done)
		return 0;

	/* Nobody walks through the descriptors any more, they can be reused. */
	synchronize_rcu();
	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	list_for_each_entry_safe(chunk, next, &retired, node) {
		list_del(&chunk->node);
		reserve_add(chunk);
	}
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
	return done;
}

/* An index has 32 bits, and the page of index 0 is not used. */
#define CC_MAX_SLOTS	(BIT_ULL(32) - PAGE_SIZE / sizeof(struct cc_slot))

/* Address space for the slots of all RAM, if that leaves enough to others. */
static int init_slots(void)
{
	u64 nr = min((u64)totalram_pages() << (PAGE_SHIFT - CC_SLOT_MIN_SHIFT),
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

/**
 * cc_chunk_init() - make the tables of chunks and slots for all memory there is
 *
 * Context: task.
 * Return: 0 or -ENOMEM.
 */
int cc_chunk_init(void)
{
	u64 end = (u64)max_t(unsigned long long, max_pfn, max_possible_pfn)
		  << PAGE_SHIFT;

	cc_by_frame.nr = DIV_ROUND_UP_ULL(end, 1ULL << (CC_FRAME_SHIFT +
							CC_LEAF_BITS));
	cc_by_frame.root = kvcalloc(cc_by_frame.nr, sizeof(*cc_by_frame.root),
				    GFP_KERNEL);
	if (!cc_by_frame.root || init_slots()) {
		cc_chunk_exit();
		return -ENOMEM;
	}
	raw_spin_lock_init(&cc_swiotlb.lock);
	INIT_LIST_HEAD(&cc_swiotlb.blocks);
	for (unsigned int i = 0; i < CC_NR_CHUNK_SIZES; i++)
		INIT_LIST_HEAD(&cc_swiotlb.reserve[i]);
	return 0;
}

/**
 * cc_chunk_exit() - undo cc_chunk_init(), after everything has been returned
 *
 * Context: task.
 */
void cc_chunk_exit(void)
{
	if (slot_space)
		gen_pool_destroy(slot_space);
	if (slot_area)
		free_vm_area(slot_area);
	slot_space = NULL;
	slot_area = NULL;
	for (unsigned long i = 0; cc_by_frame.root && i < cc_by_frame.nr; i++)
		cc_free_metadata(cc_by_frame.root[i]);
	kvfree(cc_by_frame.root);
	cc_by_frame.root = NULL;
	cc_by_frame.nr = 0;
}
