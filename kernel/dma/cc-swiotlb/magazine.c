// SPDX-License-Identifier: GPL-2.0-only
/*
 * Magazines, apart from their fast path: where a CPU gets slots when it has
 * none and where it leaves them when it has too many.
 *
 * Each CPU has two chains per class. The fast path works on the loaded one; a
 * CPU goes to the depot only when both are empty, or both full. See map.h for
 * why no lock is needed; this file changes the heads by the same rule.
 */
#include <kunit/static_stub.h>
#include <linux/cpumask.h>
#include <linux/smp.h>
#include <trace/events/cc_swiotlb.h>

#include "slot.h"

/* A mapping may take a slot of this many enabled classes further up. */
#define CC_LARGER_CLASSES	3

/* It looks at this many chunks before it takes another one from the reserve. */
#define CC_LOOK_AT_CHUNKS	64

/* Fill one of this CPU's magazines if it is empty. Preemption disabled. */
static bool attach(u64 __percpu *head, u64 chain)
{
	u64 old = this_cpu_read(*head);

	do {
		if (cc_chain_index(old))
			return false;
	} while (!this_cpu_try_cmpxchg(*head, &old,
				       cc_chain_head(old, cc_chain_index(chain),
						     cc_chain_count(chain))));
	return true;
}

/* The NUMA node of the first slot of a chain. */
static int node_of(u64 chain)
{
	return cc_chunk_by_index(cc_chain_index(chain))->nid;
}

/*
 * Find room for a chain: in a magazine of this CPU, if it is of its node, or in the depot
 * of the node that it is of. Preemption disabled.
 */
static void stow(struct cc_class *class, u64 chain)
{
	struct cc_magazine __percpu *mag = &cc_cpu.mag[class - cc_classes];

	if (class->mag_size && node_of(chain) == cc_cpu_node(smp_processor_id()) &&
	    (attach(&mag->loaded, chain) || attach(&mag->spare, chain)))
		return;
	cc_depot_push(class, chain);
}

/* Take the first slot of a chain, and find room for the rest. Preemption disabled. */
static u32 take_first(struct cc_class *class, u64 chain)
{
	u32 index = cc_chain_index(chain);

	if (cc_chain_count(chain) > 1)
		stow(class, cc_chain(cc_slot_by_index(index)->next,
				     cc_chain_count(chain) - 1));
	return index;
}

/**
 * struct how - how slots are taken of a class
 * @nid:	from this NUMA node
 * @most:	no more than this many at once
 * @keep:	leave so many to others
 * @nr_chunks:	look at so many chunks at most
 */
struct how {
	int nid;
	unsigned int most;
	unsigned long keep;
	unsigned int nr_chunks;
};

/* Of the slots that are to be left to others, what no other node has. */
static long keep_on_node(struct cc_class *class, const struct how *how)
{
	unsigned long others = 0;

	for (unsigned int nid = 0; nid < cc_nr_nodes; nid++)
		if (nid != how->nid)
			others += max(atomic_long_read(&class->node[nid].pool_free), 0L);
	return how->keep - min(how->keep, others);
}

/* Take a batch of slots from the gen_pool of a node and link them. */
static u64 take_from_pool(struct cc_class *class, const struct how *how)
{
	struct cc_class_node *node = &class->node[how->nid];
	long keep = how->keep ? keep_on_node(class, how) : 0;
	long free = atomic_long_read(&node->pool_free), want;
	unsigned int nr_chunks = how->nr_chunks, nr;
	unsigned long addrs[CC_BATCH_SLOTS];
	void *owner;
	struct cc_chunk *chunk;
	u32 index = 0;

	/*
	 * Count before taking: pool_free must never promise what is gone. Nor
	 * may it hide what is there, or others would fetch chunks in vain.
	 */
	do {
		if (free <= keep)
			return 0;
		want = min3(free - keep, (long)class->batch, (long)how->most);
	} while (!atomic_long_try_cmpxchg(&node->pool_free, &free, free - want));
	/*
	 * If a chunk's worth is free, look for it in all chunks, or the class would grow
	 * each time. The hint moves to what is found, so that is rare.
	 */
	if (free >= (long)(BIT(CC_CHUNK_SHIFT) >> class->shift))
		nr_chunks = UINT_MAX;
	nr = gen_pool_alloc_bulk(&node->pool, &node->hint, addrs, want, nr_chunks, &owner);
	atomic_long_add(want - nr, &node->pool_free);
	if (!nr)
		return 0;
	chunk = owner;
	for (unsigned int i = nr; i--; ) {
		phys_addr_t base = chunk->pool.start +
				   (addrs[i] - (unsigned long)chunk->pool.vaddr);
		u32 first = cc_index_by_addr(chunk, base);

		cc_slot_by_index(first)->base = base;
		cc_slot_by_index(first)->next = index;
		index = first;
	}
	return cc_chain(index, nr);
}

/* What this CPU holds for itself. Preemption disabled. */
static u64 take_from_cpu(struct cc_class *class)
{
	struct cc_magazine __percpu *mag = &cc_cpu.mag[class - cc_classes];
	u64 chain = cc_chain_detach(&mag->loaded);

	if (!chain)
		chain = cc_chain_detach(&mag->spare);
	if (!chain) {
		chain = cc_inbox_empty(this_cpu_ptr(&cc_cpu.inbox[class - cc_classes]));
		if (chain)
			this_cpu_inc(mag->count[CC_INBOX]);
	}
	return chain;
}

/* What no CPU holds. Preemption disabled. */
static u64 take_from_class(struct cc_class *class, const struct how *how,
			   enum cc_counter pool_counter)
{
	struct cc_magazine __percpu *mag = &cc_cpu.mag[class - cc_classes];
	u64 chain = cc_depot_pop(class, how->nid, how->most, how->keep);

	if (chain) {
		this_cpu_inc(mag->count[CC_DEPOT]);
		return chain;
	}
	chain = take_from_pool(class, how);
	if (chain)
		this_cpu_inc(mag->count[pool_counter]);
	return chain;
}

#if IS_ENABLED(CONFIG_KUNIT)
/**
 * cc_magazine_point() - where tests place an interrupt
 * @class: class that slots are taken of
 *
 * Before slots are looked for, and when they have been found and are in no magazine.
 *
 * Context: any but NMI, preemption disabled.
 */
void cc_magazine_point(struct cc_class *class)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_magazine_point, class);
}
#endif

static void point(struct cc_class *class)
{
	if (IS_ENABLED(CONFIG_KUNIT))
		cc_magazine_point(class);
}

/* A CPU has got slots of a class: kccd hears of it. */
static void taken(struct cc_class *class, unsigned int nr)
{
	cc_class_note_peak(class);
	if (cc_class_free(class) < READ_ONCE(class->mark))
		cc_kccd_ask(cc_ask_chunk(READ_ONCE(class->wanted)));
	else
		cc_kccd_kick(CC_KICK_TICK);
	trace_cc_swiotlb_refill(class->shift, nr);
}

/* What was collected for a CPU of a node. Preemption disabled. */
static u64 take_foreign(struct cc_class *class, int nid)
{
	struct cc_magazine __percpu *mag = &cc_cpu.mag[class - cc_classes];
	unsigned int home = this_cpu_read(mag->home);
	u64 chain;

	if (cc_cpu_node(home) != nid)
		return 0;
	chain = cc_chain_detach(&mag->foreign);
	/* An interrupt may have collected others meanwhile. */
	if (chain && node_of(chain) != nid) {
		cc_depot_push(class, chain);
		return 0;
	}
	return chain;
}

/* Take a slot of a class without growing the class. Preemption disabled. */
static u32 take(struct cc_class *class, const struct how *how,
		enum cc_counter pool_counter)
{
	u32 index;
	u64 chain;

	point(class);
	chain = take_from_cpu(class);
	if (!chain)
		chain = take_from_class(class, how, pool_counter);
	if (!chain)
		chain = take_foreign(class, how->nid);
	if (!chain)
		return 0;

	point(class);
	index = take_first(class, chain);
	taken(class, cc_chain_count(chain));
	return index;
}

/* The same, but one slot of a node that is not this CPU's, where all others stay. */
static u32 take_remote(struct cc_class *class, const struct how *how)
{
	u32 index;
	u64 chain;

	point(class);
	chain = take_foreign(class, how->nid);
	if (!chain)
		chain = take_from_pool(class, how);
	if (!chain)
		chain = cc_depot_pop(class, how->nid, how->most, how->keep);
	if (!chain)
		return 0;

	point(class);
	index = take_first(class, chain);
	this_cpu_inc(cc_cpu.mag[class - cc_classes].count[CC_REMOTE]);
	taken(class, 1);
	return index;
}

/* A slot of any node but one. Preemption disabled. */
static u32 take_elsewhere(struct cc_class *class, struct how how)
{
	int here = how.nid;
	u32 index = 0;

	how.most = 1;
	for (unsigned int i = 1; i < cc_nr_nodes && !index; i++) {
		how.nid = (here + i) % cc_nr_nodes;
		index = take_remote(class, &how);
	}
	return index;
}

/*
 * Take a slot of a larger class, but none of those that its mark keeps for the
 * mappings that need that size.
 */
static u32 take_larger(struct cc_class *class, struct how how)
{
	/* What is kept of 2 MiB is kept for all who need a whole block. */
	bool keeps = class <= &cc_classes[CC_CHUNK_CLASS];
	unsigned int left = CC_LARGER_CLASSES;

	while (left && ++class < cc_classes + CC_NR_CLASSES) {
		u32 index = 0;

		if (!class->enabled)
			continue;
		how.keep = keeps ? READ_ONCE(class->mark) : 0;
		/* What this CPU holds may come from what was kept, too. */
		if (cc_class_free(class) >= how.keep)
			index = take(class, &how, CC_POOL) ?: take_elsewhere(class, how);
		if (index)
			return index;
		left--;
	}
	return 0;
}

/* Have a chunk of the reserve, of a node or of any, given to a class, and tell kccd. */
static bool grow_class(struct cc_class *class, int nid, unsigned long want)
{
	bool given = cc_reserve_take(class, nid, want);
	unsigned int ask = 0;

	if (!given && (nid == NUMA_NO_NODE || cc_nr_nodes == 1)) {
		/*
		 * After the look at the reserve: if feed_starved() clears it later, that
		 * sees no chunk that this one has missed. Pairs with xchg() there.
		 */
		smp_mb();
		WRITE_ONCE(class->starved, true);
		ask = cc_ask_chunk(READ_ONCE(class->wanted));
	}
	cc_kccd_ask(ask | cc_reserve_lacks(nid));
	return given;
}

/* This CPU's node has nothing: see what the others have. Preemption disabled. */
static u32 refill_elsewhere(struct cc_class *class, struct how how)
{
	unsigned long free;
	u32 index;

	/* As in cc_magazine_refill(). What the class is given may be of this node now. */
	do {
		free = cc_class_pool_free(class);
		index = take(class, &how, CC_RESERVE);
		if (!index)
			index = take_elsewhere(class, how);
		how.nr_chunks = UINT_MAX;
	} while (!index && grow_class(class, NUMA_NO_NODE, free + 1));
	return index;
}

/**
 * cc_magazine_take_spare() - take a slot that nobody misses
 * @class: class that was asked for
 * @nid: NUMA node that it is to be of
 *
 * Not what the mark keeps for mappings, and not of another class.
 *
 * Context: any but NMI, preemption disabled.
 * Return: index of a slot, or 0.
 */
u32 cc_magazine_take_spare(struct cc_class *class, int nid)
{
	bool local = nid == cc_cpu_node(smp_processor_id());
	const struct how how = {
		.nid = nid,
		.most = local ? UINT_MAX : 1,
		.keep = READ_ONCE(class->mark),
		.nr_chunks = CC_LOOK_AT_CHUNKS,
	};

	if (cc_class_free(class) < how.keep)
		return 0;
	return local ? take(class, &how, CC_POOL) : take_remote(class, &how);
}

/**
 * cc_magazine_take_lasting() - take a page for a mapping that lasts
 *
 * Past magazines and depot, which would mix it with others. Chunks of the reserve serve
 * it as long as half of what is kept there when idle is left for others.
 *
 * Context: any but NMI, preemption disabled.
 * Return: index of a slot of this CPU's NUMA node, or 0: any other slot will do then.
 */
u32 cc_magazine_take_lasting(void)
{
	struct cc_class *class = &cc_classes[CC_LASTING];
	struct how how = {
		.nid = cc_cpu_node(smp_processor_id()),
		.most = 1,
		.nr_chunks = CC_LOOK_AT_CHUNKS,
	};
	atomic_long_t *pool_free = &class->node[how.nid].pool_free;
	u64 chain;

	cc_reserve_use(how.nid);
	/* As in cc_magazine_refill(), this ends. */
	while (true) {
		long free = max(atomic_long_read(pool_free), 0L);
		bool given;

		point(&cc_classes[CC_PAGE_CLASS]);
		chain = take_from_pool(class, &how);
		if (chain)
			break;
		given = cc_reserve_give(class, how.nid, free + 1,
					READ_ONCE(cc_swiotlb.reserve_min) / 2);
		cc_kccd_ask(cc_reserve_lacks(how.nid));
		if (!given)
			return 0;
		how.nr_chunks = UINT_MAX;
	}
	this_cpu_inc(cc_cpu.mag[CC_PAGE_CLASS].count[CC_POOL]);
	taken(class, 1);
	return cc_chain_index(chain);
}

/**
 * cc_magazine_refill() - take a slot when the loaded magazine is empty
 * @class: class that was asked for
 *
 * The order is: spare magazine, inbox, depot, gen_pool, what was collected for
 * another CPU, a chunk of the reserve; the same of other NUMA nodes; a larger class.
 * What comes after that is swiotlb's own pool.
 *
 * Context: any but NMI, preemption disabled.
 * Return: index of a slot, maybe of a larger class, or 0.
 */
u32 cc_magazine_refill(struct cc_class *class)
{
	struct how how = {
		.nid = cc_cpu_node(smp_processor_id()),
		.most = UINT_MAX,
		.nr_chunks = CC_LOOK_AT_CHUNKS,
	};
	atomic_long_t *pool_free = &class->node[how.nid].pool_free;
	enum cc_counter counter = CC_POOL;
	unsigned int nr = class - cc_classes;
	long free;
	u32 index;

	cc_reserve_use(how.nid);

	/*
	 * Not for ever: each time around the class has got slots. Others may be faster to
	 * take them, but each time they are, it is for mappings that they have made. They
	 * need not be where this one looks: the next time it looks at all chunks.
	 */
	do {
		free = max(atomic_long_read(pool_free), 0L);
		index = take(class, &how, counter);
		if (counter == CC_RESERVE)
			how.nr_chunks = UINT_MAX;
		counter = CC_RESERVE;
	} while (!index && grow_class(class, how.nid, free + 1));
	if (unlikely(!index) && cc_nr_nodes > 1)
		index = refill_elsewhere(class, how);
	/* To look at all chunks takes long, but a mapping that fails takes longer. */
	how.nr_chunks = UINT_MAX;
	if (unlikely(!index))
		cc_reserve_wait();
	if (unlikely(!index) && atomic_long_read(pool_free) > 0)
		index = take(class, &how, CC_POOL);
	if (unlikely(!index))
		index = take_elsewhere(class, how);
	if (unlikely(!index)) {
		index = take_larger(class, how);
		if (index)
			this_cpu_inc(cc_cpu.mag[nr].count[CC_LARGER]);
		trace_cc_swiotlb_larger(class->shift, index ?
			cc_chunk_by_index(index)->shift : 0);
	}
	return index;
}

/**
 * cc_magazine_flush() - make room in the loaded magazine
 * @class: class of the magazine
 *
 * The spare magazine goes to the depot, the loaded one becomes the spare. Slots on
 * their way out are what kccd's ticks are about, so they go on from here.
 *
 * Context: any but NMI, preemption disabled.
 */
void cc_magazine_flush(struct cc_class *class)
{
	struct cc_magazine __percpu *mag = &cc_cpu.mag[class - cc_classes];
	u64 full = cc_chain_detach(&mag->loaded), spare = cc_chain_detach(&mag->spare);

	if (spare)
		cc_depot_push(class, spare);
	if (full && !attach(&mag->spare, full))
		cc_depot_push(class, full);
	cc_kccd_kick(CC_KICK_TICK);
}

/**
 * cc_magazine_give() - give a slot back when the loaded magazine is full
 * @class: class of the slot
 * @index: the slot
 *
 * Context: any but NMI, preemption disabled.
 */
void cc_magazine_give(struct cc_class *class, u32 index)
{
	cc_magazine_flush(class);
	cc_slot_by_index(index)->next = 0;
	stow(class, cc_chain(index, 1));
}

/**
 * cc_magazine_online() - will a CPU look into its inbox?
 * @cpu: the CPU
 *
 * It cannot die before preemption is enabled: that waits for all who do not sleep.
 *
 * Context: any, preemption disabled.
 * Return: true if it is online.
 */
bool cc_magazine_online(unsigned int cpu)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_magazine_online, cpu);
	return cpu_online(cpu);
}

/**
 * cc_magazine_send() - give a slot back when the foreign chain is full
 * @class: class of the slot
 * @index: the slot, of the same CPU as those of the chain
 *
 * The chain goes to the CPU that has mapped its slots, or to the depot if that
 * CPU is dead or has not yet needed what it was sent before.
 *
 * Context: any but NMI, preemption disabled.
 */
void cc_magazine_send(struct cc_class *class, u32 index)
{
	unsigned int nr = class - cc_classes;
	struct cc_magazine __percpu *mag = &cc_cpu.mag[nr];
	unsigned int cpu = this_cpu_read(mag->home);
	u64 chain = cc_chain_detach(&mag->foreign);

	if (chain) {
		u32 first = cc_chain_index(chain);

		cc_slot_by_index(first)->size = cc_chain_count(chain);
		if (!cc_magazine_online(cpu) ||
		    cmpxchg(&per_cpu_ptr(&cc_cpu, cpu)->inbox[nr], 0, first))
			cc_depot_push(class, chain);
	}
	chain = cc_chain(index, 1);
	cc_slot_by_index(index)->next = 0;
	if (!cc_foreign_size(class) || !attach(&mag->foreign, chain))
		stow(class, chain);
	/* A class that has no foreign chain has not told kccd before. */
	cc_kccd_kick(CC_KICK_TICK);
}
