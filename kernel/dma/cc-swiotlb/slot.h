/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Slots: how one is named and found, how free ones are linked and taken off a CPU, and what
 * a slot has as its device when it is none of a mapping.
 */
#ifndef _KERNEL_DMA_CC_SWIOTLB_SLOT_H
#define _KERNEL_DMA_CC_SWIOTLB_SLOT_H

#include "internal.h"

/* Slots that a CPU takes from a gen_pool at once, at most. */
#define CC_BATCH_SLOTS		16

/*
 * A chain of free slots, and the head of a magazine: {index, tid, count}, the
 * index in the upper half, so that the other two change in one addition.
 */
#define CC_CHAIN_COUNT_BITS	8
#define CC_CHAIN_COUNT_MAX	(BIT(CC_CHAIN_COUNT_BITS) - 1)
#define CC_CHAIN_TID		BIT(CC_CHAIN_COUNT_BITS)
/* As wide as a chain, so that its complement keeps the index. */
#define CC_CHAIN_TID_MASK	GENMASK_ULL(31, CC_CHAIN_COUNT_BITS)

static inline u32 cc_chain_index(u64 chain)
{
	return chain >> 32;
}

static inline unsigned int cc_chain_count(u64 chain)
{
	return chain & CC_CHAIN_COUNT_MAX;
}

static inline u64 cc_chain(u32 index, unsigned int count)
{
	return (u64)index << 32 | count;
}

/* The head that follows @old: the first slot is @index, there are @more slots. */
static inline u64 cc_chain_head(u64 old, u32 index, int more)
{
	return (u64)index << 32 | (u32)(old + CC_CHAIN_TID + more);
}

#define CC_LEAF_BITS		9
#define CC_LEAF_SIZE		BIT(CC_LEAF_BITS)

/*
 * The slot of an index, which must be that of a slot. Any context; inside a
 * section that a grace period waits for.
 */
static inline struct cc_slot *cc_slot_by_index(u32 index)
{
	return &cc_slots[index];
}

/* The index of the slot that @paddr is in. */
static inline u32 cc_index_by_addr(const struct cc_chunk *chunk,
				   phys_addr_t paddr)
{
	return chunk->index + ((paddr - chunk->pool.start) >> chunk->shift);
}

/*
 * What struct cc_slot has as the device while the slot is stale: it was mapped
 * without a copy of the original, and holds whatever the last mapping has left.
 * It is no device's, so that whoever does not know of this, a sync or an unmap
 * after an error, finds nothing that may be copied.
 */
static inline struct device *cc_slot_stale(struct device *dev)
{
	return (struct device *)((unsigned long)dev | 1);
}

/*
 * What the first slot of a coherent allocation has as the device. For the same reason
 * it is no device's: nothing is mapped there, and there is nothing to be copied.
 */
static inline struct device *cc_slot_coherent(struct device *dev)
{
	return (struct device *)((unsigned long)dev | 2);
}

/*
 * What a slot that is lent has as the device. Nothing is mapped there, whoever asks: it is
 * like a stale slot of no device at all.
 */
#define CC_SLOT_LENT	((struct device *)1UL)

static_assert(__alignof__(struct device) > 3);

/* The device that has a slot, whatever for. */
static inline struct device *cc_slot_owner(const struct cc_slot *slot)
{
	return (struct device *)((unsigned long)READ_ONCE(slot->dev) & ~3UL);
}

static inline bool cc_slot_is_coherent(const struct cc_slot *slot)
{
	return (unsigned long)READ_ONCE(slot->dev) & 2;
}

static inline bool cc_slot_is_lent(const struct cc_slot *slot)
{
	return READ_ONCE(slot->dev) == CC_SLOT_LENT;
}

static inline void *cc_slot_vaddr(const struct cc_chunk *chunk, u32 index)
{
	return chunk->pool.vaddr +
		((unsigned long)(index - chunk->index) << chunk->shift);
}

/*
 * The chunk that holds @paddr, which may be any address; NULL if none. No
 * search. Table, leaf and chunk were published before @paddr was first mapped,
 * and each is found by an address dependency on the one before, so that the
 * caller, who got @paddr from a mapping, sees them (see cc_slot_fill()).
 */
static inline struct cc_chunk *cc_chunk_by_addr(phys_addr_t paddr)
{
	struct cc_chunk_table *table = READ_ONCE(cc_by_frame);
	phys_addr_t frame = paddr >> CC_FRAME_SHIFT;
	struct cc_chunk **leaf;

	if (frame >> CC_LEAF_BITS >= table->nr)
		return NULL;
	leaf = READ_ONCE(table->leaf[frame >> CC_LEAF_BITS]);
	if (!leaf)
		return NULL;
	return READ_ONCE(leaf[frame & (CC_LEAF_SIZE - 1)]);
}

/* The chunk of a slot that has left the gen_pool. */
static inline struct cc_chunk *cc_chunk_by_index(u32 index)
{
	return cc_chunk_by_addr(cc_slot_by_index(index)->base);
}

/*
 * The log2 of the slot that a buffer needs; more than cc_max_shift if there
 * is none. Slots are aligned to their size, so one at least as large as each
 * alignment satisfies them all.
 */
static __always_inline unsigned int cc_order(struct device *dev,
					     phys_addr_t orig_addr, size_t size,
					     unsigned int alloc_align_mask)
{
	unsigned int min_align_mask = dma_get_min_align_mask(dev);
	u32 offset = orig_addr & min_align_mask;

	/* A size of 0 is too much, too, whatever the offset. */
	return fls_long((offset + size - 1) | (size - 1) | min_align_mask |
			alloc_align_mask);
}

/* Take all slots of one of this CPU's magazines. Preemption disabled. */
static inline u64 cc_chain_detach(u64 __percpu *head)
{
	u64 old = this_cpu_read(*head);

	do {
		if (!cc_chain_index(old))
			return 0;
	} while (!this_cpu_try_cmpxchg(*head, &old,
				       cc_chain_head(old, 0, -cc_chain_count(old))));
	return old & ~CC_CHAIN_TID_MASK;
}

/* What another CPU has sent to the owner of the inbox. Any CPU. */
static inline u64 cc_inbox_empty(u32 *inbox)
{
	u32 index = READ_ONCE(*inbox) ? xchg(inbox, 0) : 0;

	return index ? cc_chain(index, cc_slot_by_index(index)->size) : 0;
}

/* Slots of another CPU that are collected before they are sent to it. */
static inline unsigned int cc_foreign_size(const struct cc_class *class)
{
	return class->mag_size / 2;
}

/* Does a chunk consist of pages for coherent allocations? */
static inline bool cc_chunk_is_coherent(const struct cc_chunk *chunk)
{
	return READ_ONCE(chunk->class) == &cc_classes[CC_COHERENT];
}

/*
 * Will a mapping that is for class @nr last? A driver that syncs by itself what it needs
 * keeps its buffers mapped, as a rule, and uses each one again: the page pools of NICs,
 * above all. Beside slots that come and go, each of them would keep a chunk shared after a
 * burst.
 */
static __always_inline bool cc_lasts(unsigned int nr, unsigned long attrs)
{
	return (attrs & DMA_ATTR_SKIP_CPU_SYNC) && nr == CC_PAGE_CLASS;
}

/* The sum of a counter over all CPUs. Any context; not exact while it changes. */
static inline unsigned long cc_sum(const unsigned long __percpu *counter)
{
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(counter, cpu));
	return sum;
}

/* What the class of a chunk has on the chunk's node. */
static inline struct cc_class_node *cc_chunk_class_node(const struct cc_chunk *chunk)
{
	return &chunk->class->node[chunk->nid];
}

static inline size_t cc_chunk_bytes(const struct cc_chunk *chunk)
{
	return READ_ONCE(chunk->pool.end) - chunk->pool.start;
}

/* How many chunks of its block a chunk stands for: all, if it has taken over the others. */
static inline unsigned int cc_chunk_parts(const struct cc_chunk *chunk)
{
	return cc_chunk_bytes(chunk) * chunk->block->nr_chunks >> chunk->block->shift;
}

static inline unsigned long cc_chunk_slots(const struct cc_chunk *chunk)
{
	return cc_chunk_bytes(chunk) >> chunk->shift;
}

#endif /* _KERNEL_DMA_CC_SWIOTLB_SLOT_H */
