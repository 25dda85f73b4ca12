// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocks: shared memory from its allocation to its return.
 *
 * A page is always known to be private and ours to free, or known to be shared
 * and in a block, or of unknown state. What is of unknown state, because
 * converting it back failed too, is quarantined: leaked on purpose and counted.
 */
#define pr_fmt(fmt) "cc-swiotlb: " fmt

#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/ratelimit.h>
#include <linux/rcupdate.h>
#include <trace/events/cc_swiotlb.h>

#include "internal.h"

struct cc_convert_stats cc_convert_stats;

/*
 * What the host refused to share lately, private again; under cc_swiotlb.mutex. The page
 * allocator would give the same pages when memory is shared next.
 */
static LIST_HEAD(aside);
#define MOST_ASIDE	4

static int convert(struct cc_block *block, bool share)
{
	ktime_t start = ktime_get();
	int err = cc_convert(block->page, block->shift - PAGE_SHIFT, share);
	u64 ns = ktime_to_ns(ktime_sub(ktime_get(), start));

	cc_convert_stats.blocks[share]++;
	cc_convert_stats.failed[share] += !!err;
	cc_convert_stats.ns[share] += ns;
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

static void block_free_metadata(struct cc_block *block)
{
	cc_free_metadata(block->gpcs);
	if (block->slots)
		cc_slots_free(block->slots, block->shift);
	cc_free_metadata(block);
}

static void block_free(struct cc_block *block, bool lost)
{
	if (lost)
		quarantine(block);
	else
		cc_free_memory(block->page, block->shift - PAGE_SHIFT);
	block_free_metadata(block);
}

static void free_oldest_aside(void)
{
	struct page *page = list_first_entry(&aside, struct page, lru);
	unsigned int order = page_private(page);

	list_del(&page->lru);
	set_page_private(page, 0);
	cc_free_memory(page, order);
}

/**
 * cc_block_free_aside() - free the blocks that the host has refused to share, if any
 *
 * Context: task, under cc_swiotlb.mutex.
 */
void cc_block_free_aside(void)
{
	lockdep_assert_held(&cc_swiotlb.mutex);
	while (!list_empty(&aside))
		free_oldest_aside();
}

/* A block that the host has refused to share, and that is private again. */
static void put_aside(struct cc_block *block)
{
	if (list_count_nodes(&aside) == MOST_ASIDE)
		free_oldest_aside();
	set_page_private(block->page, block->shift - PAGE_SHIFT);
	list_add_tail(&block->page->lru, &aside);
	block_free_metadata(block);
}

/* Private memory of a block of this size, with metadata. */
static struct cc_block *block_alloc(unsigned int shift, bool try_hard, int nid)
{
	unsigned int chunk_shift = min(shift, CC_CHUNK_SHIFT);
	struct page *page = cc_alloc_memory(shift - PAGE_SHIFT, try_hard, nid);
	struct cc_block *block;
	size_t gpc_bytes;

	if (!page)
		return NULL;
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
	block->slots = cc_slots_alloc(shift);
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
		chunk->nid = cc_page_node(page);
		INIT_LIST_HEAD(&chunk->node);
	}
	INIT_LIST_HEAD(&block->whole);
	return block;

free_metadata:
	block_free_metadata(block);
free_page:
	cc_free_memory(page, shift - PAGE_SHIFT);
	return NULL;
}

/* A block, or one of the next best size. */
static struct cc_block *block_alloc_largest(unsigned long limit,
					    unsigned int min_shift, int nid)
{
	unsigned int shift = min(CC_BLOCK_SHIFT, PAGE_SHIFT + MAX_PAGE_ORDER);
	bool try_hard = nid == NUMA_NO_NODE; /* else others may have free memory */
	struct cc_block *block = NULL;

	for (; !block && shift >= min_shift; shift--)
		if (1UL << shift <= limit)
			block = block_alloc(shift, try_hard && shift == min_shift, nid);
	return block;
}

/* Was memory lost, and none of the node been shared since? */
static bool lossy(int nid)
{
	if (nid == NUMA_NO_NODE)
		return cc_nr_nodes == 1 && cc_swiotlb.node[0].lossy;
	return cc_swiotlb.node[nid].lossy;
}

/**
 * cc_block_grow() - convert one more block and put it into the reserve
 * @limit: bytes that it may have at most
 * @min_shift: log2 of the bytes that it must have, CC_FRAME_SHIFT at least
 * @nid: NUMA node that it must be on, or NUMA_NO_NODE
 *
 * Context: task, under cc_swiotlb.mutex.
 * Return: 0, or -ENOMEM or what the conversion said (-EIO if that was -ENOMEM), after
 * which nothing has changed, except that memory may have been quarantined, or a first
 * small block been added to find out whether conversions work again.
 */
int cc_block_grow(unsigned long limit, unsigned int min_shift, int nid)
{
	unsigned int published = 0;
	struct cc_block *block;
	struct cc_node *node;
	unsigned long flags;
	bool lost = false, refused = false;
	int err;

	lockdep_assert_held(&cc_swiotlb.mutex);
	/* After a loss, until memory is shared, as little is risked as there can be. */
	if (lossy(nid) && min_shift > CC_FRAME_SHIFT) {
		err = cc_block_grow(limit, CC_FRAME_SHIFT, nid);
		if (err)
			return err;
		limit -= BIT(CC_FRAME_SHIFT);
	} else if (lossy(nid)) {
		limit = min(limit, BIT(CC_FRAME_SHIFT));
	}
	block = block_alloc_largest(limit, min_shift, nid);
	if (!block)
		return -ENOMEM;
	if (nid == NUMA_NO_NODE && cc_nr_nodes > 1 && block->shift > CC_FRAME_SHIFT &&
	    lossy(block->chunks[0].nid)) {
		nid = block->chunks[0].nid;
		block_free(block, false);
		return cc_block_grow(limit, min_shift, nid);
	}
	for (; published < block->nr_chunks; published++) {
		err = cc_chunk_publish(&block->chunks[published]);
		if (err)
			goto unpublish;
	}
	err = convert(block, true);
	/* To the caller, that is another thing than that there is no memory. */
	if (err == -ENOMEM)
		err = -EIO;
	if (err)
		lost = convert(block, false);
	refused = err && !lost;
	node = &cc_swiotlb.node[block->chunks[0].nid];
	node->refuses = err;
	node->lossy = err && (node->lossy || lost);
	if (err)
		goto unpublish;

	list_add_tail(&block->node, &cc_swiotlb.blocks);
	cc_swiotlb.shared += 1UL << block->shift;
	node->shared += 1UL << block->shift;
	cc_swiotlb.peak = max(cc_swiotlb.peak, cc_swiotlb.shared);
	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	for (unsigned int i = 0; i < block->nr_chunks; i++)
		cc_reserve_add(&block->chunks[i]);
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
	trace_cc_swiotlb_grow(page_to_phys(block->page), 1UL << block->shift,
			      cc_swiotlb.shared);
	return 0;

unpublish:
	while (published--)
		cc_chunk_unpublish(&block->chunks[published]);
	if (refused)
		put_aside(block);
	else
		block_free(block, lost);
	return err;
}

/* Would the reserve have less than its share on the node of a block, without that? */
static bool node_needs(const struct cc_block *block, unsigned long keep)
{
	const struct cc_node *node = &cc_swiotlb.node[block->chunks[0].nid];

	return node->used &&
	       node->bytes < keep / cc_swiotlb.nr_used + (1UL << block->shift);
}

/* Take a block out of the reserve, if no class owns any of its chunks. */
static bool take_whole(struct cc_block *block, unsigned long keep, bool parts)
{
	unsigned long flags, low;
	bool whole;

	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	whole = block->nr_reserve == block->nr_chunks &&
		!(parts && node_needs(block, keep)) &&
		cc_swiotlb.reserve_bytes >= keep + (1UL << block->shift);
	if (whole) {
		low = cc_swiotlb.reserve_low;
		for (unsigned int i = 0; i < block->nr_chunks; i++)
			cc_reserve_del(&block->chunks[i]);
		/* It may come back. */
		cc_swiotlb.reserve_low = low;
	}
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
	return whole;
}

/* In which turn a block is returned: small ones first, and last what was refused before. */
enum turn { SMALL, LARGE, REFUSED };

static enum turn turn_of(const struct cc_block *block)
{
	return block->refused ? REFUSED : block->shift < CC_BLOCK_SHIFT ? SMALL : LARGE;
}

/*
 * Take blocks whose turn it is out of the reserve, and let their chunks not be found any
 * more. The youngest first: the old ones have been proven to be needed. Unless @parts, those
 * of nodes, too, that have no more than their part.
 */
static unsigned long take_some(struct list_head *victims, enum turn turn,
			       unsigned long keep, unsigned long limit, bool parts)
{
	struct cc_block *block, *next;

	list_for_each_entry_safe_reverse(block, next, &cc_swiotlb.blocks, node) {
		unsigned long bytes = 1UL << block->shift;

		if (limit < BIT(CC_FRAME_SHIFT))
			break;
		cond_resched();
		if (turn_of(block) != turn || bytes > limit ||
		    READ_ONCE(block->nr_reserve) != block->nr_chunks ||
		    !take_whole(block, keep, parts))
			continue;
		limit -= bytes;
		list_move(&block->node, victims);
		for (unsigned int i = 0; i < block->nr_chunks; i++)
			cc_chunk_unpublish(&block->chunks[i]);
	}
	return limit;
}

/* What was refused before only if there is nothing else, whatever its size. */
static void take_victims(struct list_head *victims, unsigned long keep, unsigned long limit)
{
	unsigned long over = min(cc_bytes_over_limit(), limit), left;

	left = take_some(victims, SMALL, keep, limit, true);
	left = take_some(victims, LARGE, keep, left, true);
	/* The limit comes before the parts of nodes. */
	over -= min(over, limit - left);
	over = take_some(victims, SMALL, keep, over, false);
	take_some(victims, LARGE, keep, over, false);
	if (list_empty(victims))
		take_some(victims, REFUSED, keep, limit, !cc_bytes_over_limit());
}

/* Into the reserve again, and into a place in the list of blocks. */
static void put_back(struct cc_block *block, struct list_head *after)
{
	unsigned long flags;

	/* Their leaf in the table is still there. */
	for (unsigned int i = 0; i < block->nr_chunks; i++)
		cc_table_set(&block->chunks[i], &block->chunks[i]);
	list_move(&block->node, after);
	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	for (unsigned int i = 0; i < block->nr_chunks; i++)
		cc_reserve_add(&block->chunks[i]);
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
}

static void report_refusal(const struct cc_block *block)
{
	static DEFINE_RATELIMIT_STATE(limit, 60 * HZ, 1);

	if (__ratelimit(&limit))
		pr_warn("%lu KiB at %pa could not be made private, and stay in use\n",
			(1UL << block->shift) >> 10, &block->chunks[0].pool.start);
}

/* What has been taken of the reserve is there again, or has left it for good. */
static void settle_low_water(void)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	cc_swiotlb.reserve_low = min(cc_swiotlb.reserve_low, cc_swiotlb.reserve_bytes);
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
}

/* Make a block private and free it. If not, it stays in use, or is quarantined. */
static bool unshare(struct cc_block *block)
{
	unsigned long bytes = 1UL << block->shift;
	bool failed = convert(block, false), lost = failed;

	/* If it can be shared once more, its state is known, and nothing is lost. */
	if (failed)
		lost = convert(block, true);
	if (failed && !lost) {
		report_refusal(block);
		block->refused = true;
		/* As if it were the oldest: of those it is the last one to be tried again. */
		put_back(block, &cc_swiotlb.blocks);
		return false;
	}
	cc_swiotlb.node[block->chunks[0].nid].lossy |= lost;
	list_del(&block->node);
	cc_swiotlb.shared -= bytes;
	cc_swiotlb.node[block->chunks[0].nid].shared -= bytes;
	if (!lost)
		trace_cc_swiotlb_shrink(page_to_phys(block->page), bytes, cc_swiotlb.shared);
	block_free(block, lost);
	return !failed;
}

/**
 * cc_block_shrink() - make blocks of the reserve private again and free them
 * @keep: bytes to leave in the reserve at least
 * @limit: return no more bytes than this
 *
 * What memory that was fragmented has given goes first, so that what stays is in
 * large blocks again. Once a conversion has failed, or a reboot has begun, no other one
 * is tried.
 *
 * Context: task, under cc_swiotlb.mutex.
 * Return: bytes returned, without what was quarantined.
 */
unsigned long cc_block_shrink(unsigned long keep, unsigned long limit)
{
	unsigned long before = cc_swiotlb.shared + cc_swiotlb.quarantined;
	struct cc_block *block, *next;
	LIST_HEAD(victims);

	lockdep_assert_held(&cc_swiotlb.mutex);
	take_victims(&victims, keep, limit);
	if (list_empty(&victims))
		return 0;

	/* Whoever found a chunk by its address or index is done with it. */
	cc_grace_period();
	list_for_each_entry_safe_reverse(block, next, &victims, node) {
		if (READ_ONCE(cc_swiotlb.stopping) || !unshare(block))
			break;
		cond_resched();
	}
	list_for_each_entry_safe(block, next, &victims, node) {
		put_back(block, cc_swiotlb.blocks.prev);
		cond_resched();
	}
	settle_low_water();
	return before - cc_swiotlb.shared - cc_swiotlb.quarantined;
}

/**
 * cc_swiotlb_kexec() - make all blocks private, since the next kernel expects that
 *
 * Not every platform does that by itself. What was shared by others, or is
 * quarantined, stays as it is. No account is kept: this kernel ends.
 *
 * Context: task; devices have been shut down, and nobody touches what they used.
 */
void cc_swiotlb_kexec(void)
{
	struct cc_block *block;

	if (!cc_swiotlb_enabled())
		return;
	mutex_lock(&cc_swiotlb.mutex);
	list_for_each_entry(block, &cc_swiotlb.blocks, node)
		if (convert(block, false))
			pr_emerg("%lu KiB at %pa may be shared when the next kernel starts\n",
				 (1UL << block->shift) >> 10,
				 &block->chunks[0].pool.start);
	mutex_unlock(&cc_swiotlb.mutex);
}
