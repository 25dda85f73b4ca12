// SPDX-License-Identifier: GPL-2.0-only
/*
 * The depot: whole magazines on their way from CPUs that free to CPUs that
 * map. Push and pop are O(1) whatever the size of a magazine: a chain is linked
 * through the metadata of its slots, and the chains of a class through the
 * metadata of each chain's first slot. So the depot has no capacity to exceed
 * and no memory of its own; kccd takes out what nobody has needed for a while.
 */
#include "slot.h"

/**
 * cc_depot_push() - put a chain into the depot of its NUMA node
 * @class: class of its slots
 * @chain: at least one slot; the first one says which node. Others may be of another
 *	one, if an interrupt has collected them: who takes them has to look
 *
 * Context: any but NMI.
 */
void cc_depot_push(struct cc_class *class, u64 chain)
{
	struct cc_slot *first = cc_slot_by_index(cc_chain_index(chain));
	int nid = cc_chunk_by_addr(first->base)->nid;
	struct cc_depot *depot = &class->node[nid].depot;
	unsigned long flags;

	first->size = cc_chain_count(chain);
	raw_spin_lock_irqsave(&depot->lock, flags);
	first->chain = depot->head;
	WRITE_ONCE(depot->head, cc_chain_index(chain));
	WRITE_ONCE(depot->slots, depot->slots + first->size);
	raw_spin_unlock_irqrestore(&depot->lock, flags);
}

/* How many slots of a chain may be taken, so that @keep are left: all, one, or none. */
static unsigned int spared(const struct cc_class *class, unsigned int size, unsigned int most,
			   unsigned long keep)
{
	unsigned long free = keep ? cc_class_free(class) : size;

	if (size <= most && free >= keep + size)
		return size;
	return free > keep ? 1 : 0;
}

/**
 * cc_depot_pop() - take a chain out of the depot, or its first slot
 * @class: class of the slots
 * @nid: NUMA node of the depot
 * @most: no chain of more than this many: then only its first slot
 * @keep: free slots that must be left to others, in depots and gen_pools together
 *
 * Context: any but NMI.
 * Return: the chain that came last, or as much of it as can be spared; 0 if nothing.
 */
u64 cc_depot_pop(struct cc_class *class, int nid, unsigned int most, unsigned long keep)
{
	struct cc_depot *depot = &class->node[nid].depot;
	unsigned long flags;
	u64 chain = 0;

	if (!READ_ONCE(depot->head))
		return 0;

	raw_spin_lock_irqsave(&depot->lock, flags);
	if (depot->head) {
		struct cc_slot *first = cc_slot_by_index(depot->head), *next;
		unsigned int nr = spared(class, first->size, most, keep);
		u32 head = depot->head;

		if (nr)
			chain = cc_chain(depot->head, nr);
		if (nr == first->size) {
			head = first->chain;
		} else if (nr) {
			head = first->next;
			next = cc_slot_by_index(head);
			next->size = first->size - 1;
			next->chain = first->chain;
		}
		WRITE_ONCE(depot->head, head);
		WRITE_ONCE(depot->slots, depot->slots - nr);
		if (depot->slots < depot->low)
			depot->low = depot->slots;
	}
	raw_spin_unlock_irqrestore(&depot->lock, flags);
	return chain;
}

/*
 * Return the slots of a chain to the gen_pool, those of one chunk together; @oldest
 * is the oldest chunk that got some.
 */
static void chain_to_pool(u64 chain, struct cc_chunk **oldest)
{
	unsigned int left = cc_chain_count(chain);
	u32 index = cc_chain_index(chain);

	while (left) {
		struct cc_chunk *chunk = cc_chunk_by_index(index);
		struct cc_class_node *node = cc_chunk_class_node(chunk);
		unsigned long addrs[16];
		unsigned int nr = 0;

		do {
			addrs[nr++] = (unsigned long)cc_slot_vaddr(chunk, index);
			index = cc_slot_by_index(index)->next;
		} while (--left && nr < ARRAY_SIZE(addrs) &&
			 cc_chunk_by_index(index) == chunk);
		nr = gen_pool_free_bulk(&node->pool, chunk->gpc, addrs, nr);
		atomic_long_add(nr, &node->pool_free);
		if (!*oldest || chunk->number < (*oldest)->number)
			*oldest = chunk;
	}
}

/* Take from the oldest chunk that has something, so that the young ones run empty. */
static void set_hint_back(const struct cc_chunk *oldest)
{
	struct cc_class_node *node = cc_chunk_class_node(oldest);
	const struct gen_pool_chunk *hint;
	const struct cc_chunk *from;

	rcu_read_lock();
	hint = rcu_dereference(node->hint);
	from = hint ? hint->owner : NULL;
	if (from && oldest->number < from->number)
		rcu_assign_pointer(node->hint, oldest->gpc);
	rcu_read_unlock();
}

/**
 * cc_depot_pass() - return a slot to its gen_pool, past magazines and depot
 * @index: the slot
 *
 * For a slot of another NUMA node, which would stay with this CPU otherwise.
 *
 * Context: any but NMI.
 */
void cc_depot_pass(u32 index)
{
	struct cc_chunk *chunk = NULL;

	chain_to_pool(cc_chain(index, 1), &chunk);
	/* The chunk may be empty now. */
	cc_kccd_kick(CC_KICK_TICK);
}

/**
 * cc_depot_drain() - return magazines from the depot to the gen_pool
 * @class: class to look at
 * @nid: NUMA node of the depot
 * @nr: stop before more than this many slots have been returned
 *
 * Context: task, under cc_swiotlb.mutex, or nobody else retires chunks.
 */
void cc_depot_drain(struct cc_class *class, int nid, unsigned int nr)
{
	struct cc_chunk *oldest = NULL;

	while (nr) {
		unsigned int count;
		u64 chain;

		/* If kccd had to wait here, nobody could find these. */
		preempt_disable();
		chain = cc_depot_pop(class, nid, UINT_MAX, 0);
		count = cc_chain_count(chain);
		if (count > nr)
			cc_depot_push(class, chain);
		else if (chain)
			chain_to_pool(chain, &oldest);
		preempt_enable();
		if (!chain || count > nr)
			break;
		nr -= count;
		cond_resched();
	}
	if (oldest)
		set_hint_back(oldest);
}
