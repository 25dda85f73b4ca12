// SPDX-License-Identifier: GPL-2.0-only
/*
 * Chunks: how they move between the reserve and the classes.
 */
#include <kunit/static_stub.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/page_ref.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <trace/events/cc_swiotlb.h>

#include "slot.h"

/**
 * cc_reserve_add() - put a chunk that no class owns into the reserve
 * @chunk: the chunk
 *
 * Context: under cc_swiotlb.lock.
 */
void cc_reserve_add(struct cc_chunk *chunk)
{
	struct cc_block *block = chunk->block;
	unsigned int shift = ilog2(cc_chunk_bytes(chunk));
	struct cc_node *node = &cc_swiotlb.node[chunk->nid];
	struct list_head *list = &node->reserve[shift - CC_FRAME_SHIFT];

	lockdep_assert_held(&cc_swiotlb.lock);
	chunk->class = NULL;
	chunk->shift = shift;
	node->bytes += cc_chunk_bytes(chunk);
	cc_swiotlb.reserve_bytes += cc_chunk_bytes(chunk);
	list_add(&chunk->node, list);
	if (++block->nr_reserve < block->nr_chunks)
		return;
	/*
	 * Chunks of a whole block are used last, so that it can be returned; those of a
	 * full-sized one after all others, since large slots need them.
	 */
	if (block->shift < CC_BLOCK_SHIFT && shift == CC_CHUNK_SHIFT && !list_empty(&node->whole))
		list = &list_last_entry(&node->whole, struct cc_block, whole)->chunks[0].node;
	for (unsigned int i = 0; i < block->nr_chunks; i++)
		list_move_tail(&block->chunks[i].node, list);
	if (block->shift == CC_BLOCK_SHIFT)
		list_add(&block->whole, &node->whole);
}

/**
 * cc_reserve_del() - take a chunk out of the reserve
 * @chunk: the chunk
 *
 * Context: under cc_swiotlb.lock.
 */
void cc_reserve_del(struct cc_chunk *chunk)
{
	lockdep_assert_held(&cc_swiotlb.lock);
	list_del_init(&chunk->node);
	list_del_init(&chunk->block->whole);
	chunk->block->nr_reserve--;
	cc_swiotlb.node[chunk->nid].bytes -= cc_chunk_bytes(chunk);
	cc_swiotlb.reserve_bytes -= cc_chunk_bytes(chunk);
	if (cc_swiotlb.reserve_bytes < cc_swiotlb.reserve_low)
		cc_swiotlb.reserve_low = cc_swiotlb.reserve_bytes;
}

static bool node_holds(unsigned int shift, const struct cc_node *node)
{
	unsigned int i = max(shift, CC_FRAME_SHIFT) - CC_FRAME_SHIFT;

	for (; i < CC_NR_CHUNK_SIZES; i++)
		if (!list_empty(&node->reserve[i]))
			return true;
	return shift > CC_CHUNK_SHIFT && !list_empty(&node->whole);
}

/* What a node has of chunks of a size, or, with CC_NR_CHUNK_SIZES, of whole blocks; or NULL. */
static struct cc_chunk *first_chunk(struct cc_node *node, unsigned int size)
{
	struct cc_block *block;

	if (size < CC_NR_CHUNK_SIZES)
		return list_first_entry_or_null(&node->reserve[size], struct cc_chunk, node);
	block = list_first_entry_or_null(&node->whole, struct cc_block, whole);
	return block ? block->chunks : NULL;
}

/* The same of a node, or of the one with the largest reserve that has any. */
static struct cc_chunk *richest_chunk(unsigned int size, int nid)
{
	struct cc_chunk *chunk = NULL;
	unsigned long most = 0;

	if (nid != NUMA_NO_NODE)
		return first_chunk(&cc_swiotlb.node[nid], size);
	for (unsigned int i = 0; i < cc_nr_nodes; i++) {
		struct cc_node *node = &cc_swiotlb.node[i];
		struct cc_chunk *first = first_chunk(node, size);

		if (first && node->bytes > most) {
			most = node->bytes;
			chunk = first;
		}
	}
	return chunk;
}

/*
 * The smallest chunk of the reserve of 1 << @shift bytes at least, of a node or of any,
 * or NULL. What is larger may be more than can be spared.
 */
static struct cc_chunk *find_chunk(unsigned int shift, int nid)
{
	unsigned int size = max(shift, CC_FRAME_SHIFT) - CC_FRAME_SHIFT;
	struct cc_chunk *chunk = NULL;

	if (shift > CC_CHUNK_SHIFT)
		return richest_chunk(CC_NR_CHUNK_SIZES, nid);
	for (; size < CC_NR_CHUNK_SIZES && !chunk; size++)
		chunk = richest_chunk(size, nid);
	return chunk;
}

/*
 * Take a whole block out of the reserve, as one chunk: the first one takes over the others.
 * Nothing is mapped there, so that nobody looks for an address of it who had it from a
 * mapping. Who gets one later sees what was written here as he sees the class of the chunk:
 * see chunk_join(). Under cc_swiotlb.lock.
 */
static void merge(struct cc_block *block)
{
	struct cc_chunk *first = block->chunks;

	for (unsigned int i = 0; i < block->nr_chunks; i++)
		cc_reserve_del(&block->chunks[i]);
	WRITE_ONCE(first->pool.end, first->pool.start + BIT(block->shift));
	cc_table_set(first, first);
}

/* Undo merge(), into the reserve. Under cc_swiotlb.lock. */
static void split(struct cc_block *block)
{
	struct cc_chunk *first = block->chunks;

	WRITE_ONCE(first->pool.end, first->pool.start + BIT(CC_CHUNK_SHIFT));
	for (unsigned int i = 0; i < block->nr_chunks; i++) {
		cc_table_set(&block->chunks[i], &block->chunks[i]);
		cc_reserve_add(&block->chunks[i]);
	}
}

/**
 * cc_reserve_holds() - is there a chunk that is large enough?
 * @shift: log2 of the bytes that it has to hold
 * @nid: NUMA node of the chunk, or NUMA_NO_NODE
 *
 * Context: any; not exact without cc_swiotlb.lock.
 * Return: true if there is one.
 */
bool cc_reserve_holds(unsigned int shift, int nid)
{
	if (nid != NUMA_NO_NODE)
		return node_holds(shift, &cc_swiotlb.node[nid]);
	for (unsigned int i = 0; i < cc_nr_nodes; i++)
		if (node_holds(shift, &cc_swiotlb.node[i]))
			return true;
	return false;
}

/**
 * cc_reserve_wait() - let a chunk arrive that is on its way from the reserve to a class
 *
 * Meanwhile neither has it, for those who look without the lock. Here they have to take
 * it if it is taken, or they see what has been done under it.
 *
 * Context: any but NMI.
 */
void cc_reserve_wait(void)
{
	unsigned long flags;

	/* After the look at the reserve; pairs with smp_mb__after_spinlock() in give(). */
	smp_mb();
	if (!raw_spin_is_locked(&cc_swiotlb.lock)) {
		/* What the caller looks at next is not from before that was seen. */
		smp_rmb();
		return;
	}
	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
}

/**
 * cc_reserve_use() - a CPU of a NUMA node maps
 * @nid: the node
 *
 * From then on the reserve has a share of it.
 *
 * Context: any but NMI.
 */
void cc_reserve_use(int nid)
{
	struct cc_node *node = &cc_swiotlb.node[nid];
	unsigned long flags;

	if (READ_ONCE(node->used))
		return;
	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	if (!node->used) {
		WRITE_ONCE(node->used, true);
		WRITE_ONCE(cc_swiotlb.nr_used, cc_swiotlb.nr_used + 1);
	}
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
}

/**
 * cc_reserve_share() - what the reserve should have on each node that is used
 *
 * Context: any.
 * Return: bytes.
 */
unsigned long cc_reserve_share(void)
{
	return READ_ONCE(cc_swiotlb.target) / max(READ_ONCE(cc_swiotlb.nr_used), 1);
}

/**
 * cc_reserve_lacks() - is less in the reserve than should be?
 * @nid: NUMA node that must have its share, too, if it is used, or NUMA_NO_NODE
 *
 * Context: any; not exact without cc_swiotlb.lock.
 * Return: what kccd is to be asked for.
 */
unsigned int cc_reserve_lacks(int nid)
{
	if (READ_ONCE(cc_swiotlb.reserve_bytes) < READ_ONCE(cc_swiotlb.target))
		return CC_ASK_RESERVE;
	if (nid != NUMA_NO_NODE && READ_ONCE(cc_swiotlb.node[nid].used) &&
	    READ_ONCE(cc_swiotlb.node[nid].bytes) < cc_reserve_share())
		return CC_ASK_SHARE;
	return 0;
}

/*
 * The pages of a block are one allocation: the first one is counted, the others are not.
 * While they are for coherent allocations each is counted, as after split_page(): this
 * one reference is never given up, so that whoever else takes one and drops it does not
 * free the page. All other pages have a count of 0, and nobody can take one.
 */
static void count_pages(const struct cc_chunk *chunk)
{
	struct page *page = pfn_to_page(PHYS_PFN(chunk->pool.start));
	struct page *end = page + (cc_chunk_bytes(chunk) >> PAGE_SHIFT);

	for (; page < end; page++)
		if (page != chunk->block->page)
			page_ref_unfreeze(page, 1);
}

/* Undo count_pages(), unless somebody else has a reference to a page. */
static bool uncount_pages(const struct cc_chunk *chunk)
{
	struct page *first = pfn_to_page(PHYS_PFN(chunk->pool.start)), *page = first;
	struct page *end = page + (cc_chunk_bytes(chunk) >> PAGE_SHIFT);

	while (page < end && page_ref_freeze(page, 1))
		page++;
	if (page == end) {
		if (first == chunk->block->page)
			page_ref_unfreeze(first, 1);
		return true;
	}
	while (page-- > first)
		page_ref_unfreeze(page, 1);
	return false;
}

#if IS_ENABLED(CONFIG_KUNIT)
/**
 * cc_chunk_point() - where tests look
 * @chunk: a chunk that a class has got and does not count yet, or that one may retire, or
 *	that goes back to the reserve
 *
 * Context: under cc_swiotlb.lock.
 */
void cc_chunk_point(const struct cc_chunk *chunk)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_chunk_point, chunk);
}
#endif

/* Make a chunk that is in no list the class's. Under cc_swiotlb.lock. */
static void chunk_join(struct cc_chunk *chunk, struct cc_class *class)
{
	chunk->class = class;
	chunk->shift = class->shift;
	chunk->number = class->nr_joined;
	WRITE_ONCE(class->nr_joined, class->nr_joined + 1);
	if (cc_chunk_is_coherent(chunk))
		count_pages(chunk);
	list_add_tail(&chunk->node, &class->chunks);
	WRITE_ONCE(class->nr_slots, class->nr_slots + cc_chunk_slots(chunk));
	gen_pool_add_chunk(&class->node[chunk->nid].pool, chunk->gpc,
			   (unsigned long)chunk->pool.vaddr, chunk->pool.start,
			   cc_chunk_bytes(chunk), chunk);
	if (IS_ENABLED(CONFIG_KUNIT))
		cc_chunk_point(chunk);
	/*
	 * Who sees the slots counted finds the chunk, or he would take another one. Who
	 * does not see them comes here for the lock, or waits for it before he gives up.
	 */
	smp_mb__before_atomic();
	atomic_long_add(cc_chunk_slots(chunk), &class->node[chunk->nid].pool_free);
}

/* Has the class as many free slots on a node, or on all of them? */
static bool has_free(const struct cc_class *class, int nid, unsigned long want)
{
	if (nid == NUMA_NO_NODE)
		return cc_class_pool_free(class) >= want;
	return atomic_long_read(&class->node[nid].pool_free) >= (long)want;
}

/* Coherent allocations leave others a part of what may be shared. */
static bool within_share(const struct cc_class *class, size_t bytes)
{
	return class != &cc_classes[CC_COHERENT] ||
	       (class->nr_slots << class->shift) + bytes <=
	       READ_ONCE(cc_swiotlb.max) / CC_COHERENT_SHARE;
}

/* Does the reserve have so much, and a node its part of it, when @bytes have gone? */
static bool leaves(int nid, unsigned long keep, size_t bytes)
{
	return READ_ONCE(cc_swiotlb.reserve_bytes) >= keep + bytes &&
	       (nid == NUMA_NO_NODE ||
		READ_ONCE(cc_swiotlb.node[nid].bytes) >=
		keep / max(READ_ONCE(cc_swiotlb.nr_used), 1) + bytes);
}

/*
 * No page is converted and no memory allocated: that has been done when the chunk
 * was put into the reserve.
 */
static bool give(struct cc_class *class, int nid, unsigned int shift,
		 unsigned long want, unsigned long keep, bool mapping)
{
	phys_addr_t start = 0;
	struct cc_chunk *chunk;
	unsigned long flags;

	/* When there is nothing, many CPUs come here to find that out. */
	if (!cc_reserve_holds(shift, nid) ||
	    (keep && !leaves(nid, keep, BIT(max(shift, CC_FRAME_SHIFT))))) {
		trace_cc_swiotlb_reserve(class->shift, 0,
					 READ_ONCE(cc_swiotlb.reserve_bytes));
		return has_free(class, nid, want);
	}

	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	/* Who sees the reserve without the chunk sees the lock taken, or what came after. */
	smp_mb__after_spinlock();
	/* Another CPU may have been faster. */
	if (has_free(class, nid, want)) {
		raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
		return true;
	}
	chunk = find_chunk(shift, nid);
	if (chunk && (!leaves(nid, keep, max(cc_chunk_bytes(chunk), BIT(shift))) ||
		      !within_share(class, cc_chunk_bytes(chunk))))
		chunk = NULL;
	if (chunk) {
		if (shift > CC_CHUNK_SHIFT)
			merge(chunk->block);
		else
			cc_reserve_del(chunk);
		chunk_join(chunk, class);
		start = chunk->pool.start;
		if (mapping)
			cc_swiotlb.taken += cc_chunk_bytes(chunk);
		/* Who wants it of a node, or for a mapping, has found nothing elsewhere. */
		if (mapping || nid != NUMA_NO_NODE)
			rcu_assign_pointer(class->node[chunk->nid].hint, chunk->gpc);
	}
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);

	trace_cc_swiotlb_reserve(class->shift, start,
				 READ_ONCE(cc_swiotlb.reserve_bytes));
	return chunk;
}

/**
 * cc_reserve_give() - give a chunk of the reserve to a class, if it can be spared
 * @class: class that is short of free slots
 * @nid: NUMA node of the chunk, or NUMA_NO_NODE for the one with the largest reserve
 * @want: do nothing if its gen_pool there has at least this many
 * @keep: bytes that must stay in the reserve; a node's part of it there
 *
 * Context: any but NMI.
 * Return: true if the class's gen_pool may have @want free slots now.
 */
bool cc_reserve_give(struct cc_class *class, int nid, unsigned long want,
		     unsigned long keep)
{
	/* What lasts is a mapping, too, though it has another way. */
	return give(class, nid, class->wanted, want, keep, class == &cc_classes[CC_LASTING]);
}

/**
 * cc_reserve_take() - give a chunk of the reserve to a class, on behalf of a mapping
 * @class: class that is short of free slots
 * @nid: NUMA node of the chunk, or NUMA_NO_NODE
 * @want: do nothing if its gen_pool there has at least this many
 *
 * Context: any but NMI.
 * Return: true if the class's gen_pool may have @want free slots now.
 */
bool cc_reserve_take(struct cc_class *class, int nid, unsigned long want)
{
	return give(class, nid, class->wanted, want, 0, true);
}

/**
 * cc_reserve_take_large() - the same for several slots in a row
 * @class: class that is short of them
 * @nid: NUMA node of the chunk, or NUMA_NO_NODE
 * @shift: log2 of the bytes that the chunk has to hold
 * @keep: bytes that must stay in the reserve; 0 if the caller has no other way
 *
 * Context: any but NMI.
 * Return: true if the class has got a chunk.
 */
bool cc_reserve_take_large(struct cc_class *class, int nid, unsigned int shift,
			   unsigned long keep)
{
	/*
	 * Free slots may be there, but not in a row. The target is for those who have
	 * no other way.
	 */
	return give(class, nid, shift, LONG_MAX, keep, !keep);
}

/**
 * cc_chunk_put() - give neighbouring slots of a chunk back to the gen_pool
 * @chunk: the chunk
 * @offset: bytes in front of the first slot
 * @size: bytes of the slots
 *
 * gen_pool_free() would look for the chunk, which may be one of thousands.
 *
 * Context: any but NMI.
 * Return: the number of slots.
 */
unsigned int cc_chunk_put(const struct cc_chunk *chunk, size_t offset, size_t size)
{
	struct gen_pool *pool = &cc_chunk_class_node(chunk)->pool;
	unsigned long addr = (unsigned long)chunk->pool.vaddr + offset;
	unsigned int shift = chunk->shift, nr = size >> shift;
	unsigned long addrs[16];

	/* With the last slot the chunk may go. */
	for (unsigned int i = 0; i < nr; i++, addr += BIT(shift)) {
		unsigned int n = i % ARRAY_SIZE(addrs);

		addrs[n] = addr;
		if (n + 1 == ARRAY_SIZE(addrs) || i + 1 == nr)
			gen_pool_free_bulk(pool, chunk->gpc, addrs, n + 1);
	}
	return nr;
}

/* Take all slots of a chunk that has none in use; false if it has. */
static bool seal(struct cc_class *class, struct cc_chunk *chunk)
{
	struct gen_pool *pool = &class->node[chunk->nid].pool;

	if (!gen_pool_seal_chunk(pool, chunk->gpc))
		return false;
	if (!cc_chunk_is_coherent(chunk) || uncount_pages(chunk))
		return true;
	/* Somebody has taken a reference to a page in passing: another time. */
	cc_chunk_put(chunk, 0, cc_chunk_bytes(chunk));
	return false;
}

/* Chunks that are moved before interrupts are enabled again. */
#define CC_RETIRE_BATCH	8

/* Take the youngest chunks without a used slot off a class, up to a batch. */
static unsigned long retire_some(struct cc_class *class, unsigned long nr_slots,
				 unsigned long young, unsigned long *left,
				 struct list_head *retired, struct list_head *kept)
{
	/* The pages of a chunk take as long as a batch of chunks. */
	int batch = class == &cc_classes[CC_COHERENT] ? 1 : CC_RETIRE_BATCH;
	unsigned long done = 0;

	for (int i = 0; i < batch && *left; i++) {
		struct cc_class_node *node;
		struct cc_chunk *chunk;
		unsigned long slots;

		if (list_empty(&class->chunks)) {
			*left = 0;
			break;
		}
		chunk = list_last_entry(&class->chunks, struct cc_chunk, node);
		if (IS_ENABLED(CONFIG_KUNIT))
			cc_chunk_point(chunk);
		slots = cc_chunk_slots(chunk);
		*left -= min(*left, slots);
		if (chunk->number >= young || done + slots > nr_slots || !seal(class, chunk)) {
			list_move(&chunk->node, kept);
			continue;
		}
		node = cc_chunk_class_node(chunk);
		gen_pool_del_chunk(&node->pool, chunk->gpc, &node->hint);
		/* Who still sees these counted finds none, as if he had come later. */
		atomic_long_sub(slots, &node->pool_free);
		WRITE_ONCE(class->nr_slots, class->nr_slots - slots);
		done += slots;
		list_move(&chunk->node, retired);
	}
	return done;
}

/* Put a batch of retired chunks into the reserve. */
static void add_retired(struct list_head *retired)
{
	struct cc_chunk *chunk, *next;
	unsigned long flags;
	int n = 0;

	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	list_for_each_entry_safe(chunk, next, retired, node) {
		if (n >= CC_RETIRE_BATCH)
			break;
		list_del_init(&chunk->node);
		if (IS_ENABLED(CONFIG_KUNIT))
			cc_chunk_point(chunk);
		if (cc_chunk_bytes(chunk) > BIT(CC_CHUNK_SHIFT)) {
			split(chunk->block);
			n += chunk->block->nr_chunks;
		} else {
			cc_reserve_add(chunk);
			n++;
		}
	}
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
	cond_resched();
}

/**
 * cc_class_retire() - take chunks without a used slot away from a class
 * @class: the class
 * @nr_slots: take no more than this many slots
 * @young: leave the chunks that have this number, or one above
 * @retired: list that they are added to, for cc_reserve_add_retired()
 *
 * Context: task, under cc_swiotlb.mutex.
 * Return: slots taken away.
 */
unsigned long cc_class_retire(struct cc_class *class, unsigned long nr_slots,
			      unsigned long young, struct list_head *retired)
{
	unsigned long done = 0, left = READ_ONCE(class->nr_slots), flags;
	LIST_HEAD(kept);

	lockdep_assert_held(&cc_swiotlb.mutex);
	/* The youngest chunks are the least used: begin with them. */
	while (left) {
		raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
		done += retire_some(class, nr_slots - done, young, &left, retired, &kept);
		raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
		cond_resched();
	}
	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	list_splice_tail(&kept, &class->chunks);
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
	return done;
}

/**
 * cc_reserve_add_retired() - put chunks into the reserve that classes do not have any more
 * @retired: what cc_class_retire() has added, for as many classes as there are; then empty
 *
 * Context: task, under cc_swiotlb.mutex. Waits for a grace period if there are any.
 */
void cc_reserve_add_retired(struct list_head *retired)
{
	lockdep_assert_held(&cc_swiotlb.mutex);
	if (list_empty(retired))
		return;
	/* Nobody walks through the descriptors any more, they can be reused. */
	cc_grace_period();
	while (!list_empty(retired))
		add_retired(retired);
}

static int init_nodes(void)
{
	unsigned int cpu;

	INIT_LIST_HEAD(&cc_swiotlb.blocks);
	cc_swiotlb.nr_used = 0;
	cc_swiotlb.node = kcalloc(cc_nr_nodes, sizeof(*cc_swiotlb.node), GFP_KERNEL);
	if (!cc_swiotlb.node)
		return -ENOMEM;
	for (unsigned int nid = 0; nid < cc_nr_nodes; nid++) {
		INIT_LIST_HEAD(&cc_swiotlb.node[nid].whole);
		for (unsigned int i = 0; i < CC_NR_CHUNK_SIZES; i++)
			INIT_LIST_HEAD(&cc_swiotlb.node[nid].reserve[i]);
	}
	for_each_online_cpu(cpu)
		cc_reserve_use(cc_cpu_node(cpu));
	return 0;
}

/**
 * cc_chunk_init() - make the reserve, and the tables of chunks and slots
 *
 * Context: task.
 * Return: 0 or -ENOMEM.
 */
int cc_chunk_init(void)
{
	if (init_nodes() || cc_table_init()) {
		cc_chunk_exit();
		return -ENOMEM;
	}
	return 0;
}

/**
 * cc_chunk_exit() - undo cc_chunk_init(), after everything has been returned
 *
 * Context: task.
 */
void cc_chunk_exit(void)
{
	cc_table_exit();
	/* For those who read the files of a test afterwards. */
	cc_nr_nodes = 0;
	kfree(cc_swiotlb.node);
	cc_swiotlb.node = NULL;
}
