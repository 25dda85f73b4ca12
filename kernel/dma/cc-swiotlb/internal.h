/* SPDX-License-Identifier: GPL-2.0 */
/*
 * cc-swiotlb: the structures, sizes, lock order and invariants.
 *
 * Memory comes as blocks (the unit of conversion), is handed out as chunks
 * (the unit that a size class owns), and is mapped as slots:
 *
 *   block   2 MiB, naturally aligned, so that converting it splits no huge
 *           entry of the direct map; smaller when memory is fragmented
 *   chunk   at most 512 KiB of a block; either class-less in the reserve or
 *           owned by one class. For slots above 512 KiB, the first chunk of a
 *           block takes over the others while a class has it
 *   slot    a power of two from 512 bytes to 2 MiB, naturally aligned
 *
 * All of a block is on one NUMA node. A CPU takes slots of its own node, as long as
 * there are any there. A slot of another node does not rest in a magazine, unless an
 * interrupt collects it in a moment when the CPU has decided to collect others.
 *
 * A slot is at any time in exactly one of these places: mapped; in a magazine
 * or in the inbox of one CPU; in the depot of its class; free in the gen_pool of
 * its class; or in a chunk that no class owns. The first two change without a
 * lock.
 *
 * A slot that is lent counts as mapped, and so does one whose loan is over while
 * somebody else holds a page of it.
 *
 * Coherent allocations have chunks of their own, whose slots are pages: free in
 * the gen_pool, in an allocation, or freed while somebody else holds the page.
 *
 * So have mappings of a page that drivers keep and sync by themselves (they "last"). Their
 * slots are mapped, or free in the gen_pool, and counted with the class of pages.
 *
 * Locks, outermost first:
 *   cc_swiotlb.mutex  kccd's pass against start, stop, sysfs and debugfs. Task
 *                     context. Nothing that is done under it waits without bound.
 *   cc_swiotlb.lock   raw, irqs off: the reserve, the chunks of a class, and with
 *                     them additions to and removals from its gen_pools.
 *   depot.lock        raw, irqs off: one class's list of whole magazines on a node.
 *
 * Calls go one way, each file calling only what stands to its left:
 *   state, memory, class, depot, table, chunk, block, holders, magazine, drain, held,
 *   coherent, {map, grow}, loan, kccd, fast, options, stats, core
 * The one signal that goes up, by cc_kccd_kick() and cc_kccd_ask(), is state and an
 * irq_work.
 *
 * Everything that the kernel relies on is in private memory: no list pointer,
 * bitmap or index is ever stored in a page that the host can write.
 */
#ifndef _KERNEL_DMA_CC_SWIOTLB_INTERNAL_H
#define _KERNEL_DMA_CC_SWIOTLB_INTERNAL_H

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/cc_swiotlb.h>
#include <linux/cpumask.h>
#include <linux/dma-mapping.h>
#include <linux/genalloc.h>
#include <linux/genalloc_ext.h>
#include <linux/irq_work.h>
#include <linux/list.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/swiotlb.h>
#include <linux/threads.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "backoff.h"

#define CC_SLOT_MIN_SHIFT	9
#define CC_SLOT_MAX_SHIFT	21
#define CC_NR_CLASSES		(CC_SLOT_MAX_SHIFT - CC_SLOT_MIN_SHIFT + 1)
#define CC_SLOT_MAX		BIT(CC_SLOT_MAX_SHIFT)
/* Behind the classes of mappings: the pages of coherent allocations, and those that last. */
#define CC_COHERENT		CC_NR_CLASSES
#define CC_LASTING		(CC_NR_CLASSES + 1)
/* All that own chunks. */
#define CC_NR_OWNERS		(CC_NR_CLASSES + 2)
/* The class that pages are of. */
#define CC_PAGE_CLASS		(PAGE_SHIFT - CC_SLOT_MIN_SHIFT)

#define CC_CHUNK_SHIFT		19
#define CC_BLOCK_SHIFT		21
/* The largest class whose slots fit into a chunk. It is always in use. */
#define CC_CHUNK_CLASS		(CC_CHUNK_SHIFT - CC_SLOT_MIN_SHIFT)
/* A limit below would not even leave one whole block. */
#define CC_MAX_LEAST		BIT(CC_BLOCK_SHIFT)
/* Drivers are told of larger ones, which take whole blocks, if there is this much. */
#define CC_LARGE_MAX		SZ_64M
/* The smallest chunk, and the granule of the lookup by address. */
#define CC_FRAME_SHIFT		16
#define CC_NR_CHUNK_SIZES	(CC_CHUNK_SHIFT - CC_FRAME_SHIFT + 1)
/* Sizes that kccd can be asked for: those of chunks, and up to a whole block. */
#define CC_NR_GROW_SIZES	(CC_BLOCK_SHIFT - CC_FRAME_SHIFT + 1)

static_assert(CC_FRAME_SHIFT >= PAGE_SHIFT);
static_assert(CC_BLOCK_SHIFT >= CC_SLOT_MAX_SHIFT);

/**
 * struct cc_slot - what the kernel knows of one slot
 * @orig_addr:	physical address of the buffer that is bounced, when mapped
 * @dev:	owning device; NULL when not mapped; see cc_slot_stale(),
 *		cc_slot_coherent() and CC_SLOT_LENT
 * @base:	physical address of the slot, since it has left the gen_pool
 * @size:	bytes mapped or lent; in the first slot of a chain: slots in the
 *		chain; in the first one of a coherent allocation: bytes of its pages
 * @offset:	bytes in front of the buffer, when mapped
 * @cpu:	the CPU that has mapped it or taken it as a loan, or CC_NO_CPU
 * @next:	index of the next slot of the same magazine, when free, or of the
 *		next one in a &struct cc_held
 * @chain:	index of the next chain in the depot, in the first of a chain
 */
struct cc_slot {
	union {
		phys_addr_t orig_addr;
		u32 chain;
	};
	struct device *dev;
	phys_addr_t base;
	u32 size;
	union {
		struct {
			u16 offset;
			u16 cpu;
		};
		u32 next;
	};
} __aligned(32);

/* Slots are allocated by pages. */
static_assert(PAGE_SIZE % sizeof(struct cc_slot) == 0);

/* A larger offset needs the legacy pool; no CPU has a larger number. */
#define CC_OFFSET_BITS		16
static_assert(BIT(CC_OFFSET_BITS) > CONFIG_NR_CPUS);

/* In struct cc_slot as the CPU: back to the gen_pool. It is of another node, or lasts. */
#define CC_NO_CPU		(BIT(CC_OFFSET_BITS) - 1)

/**
 * struct cc_chunk - a piece of shared memory that one class owns, or none
 * @pool:	what swiotlb sees; @pool.cc is set
 * @index:	index of slot 0
 * @shift:	log2 of the slot size, when a class owns the chunk
 * @class:	the owner, or NULL while in the reserve
 * @block:	where the memory comes from
 * @number:	in the order in which the class's chunks have joined it
 * @nid:	NUMA node of its memory
 * @node:	in the reserve of its NUMA node or in the class's chunks
 * @gpc:	descriptor and bitmap for the class's gen_pool, preallocated
 */
struct cc_chunk {
	struct io_tlb_pool pool;
	u32 index;
	u8 shift;
	struct cc_class *class;
	struct cc_block *block;
	unsigned long number;
	int nid;
	struct list_head node;
	struct gen_pool_chunk *gpc;
};

/**
 * struct cc_block - a piece of memory that is converted as a whole
 * @node:	in cc_swiotlb.blocks; under cc_swiotlb.mutex
 * @whole:	in the @whole of its node, while no class owns any of a full-sized one;
 *		under cc_swiotlb.lock
 * @page:	its memory
 * @shift:	log2 of its size in bytes
 * @nr_chunks:	number of entries in @chunks
 * @nr_reserve:	how many of them no class owns; under cc_swiotlb.lock
 * @refused:	the host has refused to take it back; under cc_swiotlb.mutex
 * @slots:	in cc_slots: one per CC_SLOT_MIN, whatever the chunk's class
 * @gpcs:	gen_pool descriptors of all chunks
 * @chunks:	the chunks
 */
struct cc_block {
	struct list_head node;
	struct list_head whole;
	struct page *page;
	unsigned int shift;
	unsigned int nr_chunks;
	unsigned int nr_reserve;
	bool refused;
	struct cc_slot *slots;
	void *gpcs;
	struct cc_chunk chunks[];
};

/* Per-CPU and per-class counters; the first three belong to the fast path. */
enum cc_counter {
	CC_MAPS,	/* slots taken, by mappings and as loans */
	CC_UNMAPS,	/* slots given back */
	CC_BYTES,	/* bytes requested by CC_MAPS */
	CC_INBOX,	/* taken with a chain that another CPU has sent */
	CC_DEPOT,	/* taken with a magazine from the depot */
	CC_POOL,	/* taken from the class's gen_pool */
	CC_RESERVE,	/* a reserve chunk was given to the class first */
	CC_REMOTE,	/* taken from another NUMA node */
	CC_LARGER,	/* taken from a larger class */
	CC_LEGACY,	/* mapped by the legacy pool */
	CC_FAILED,	/* not mapped at all */
	CC_NR_COUNTERS
};

/**
 * struct cc_magazine - one CPU's free slots of one class
 * @loaded:	head of the chain that the fast path works on
 * @spare:	a second chain, so that going back and forth around a full or
 *		an empty magazine does not go to the depot each time
 * @foreign:	a chain of slots that another CPU has mapped
 * @home:	the CPU that @foreign will be sent to
 * @count:	counters, see &enum cc_counter
 */
struct cc_magazine {
	u64 loaded;
	u64 spare;
	u64 foreign;
	unsigned int home;
	unsigned long count[CC_NR_COUNTERS];
} ____cacheline_aligned;

/* Requested sizes: bin n counts the sizes up to 1 << n. */
#define CC_NR_BINS		(CC_SLOT_MAX_SHIFT + 1)

/* Per-CPU counters of coherent allocations. */
enum cc_coherent_counter {
	CC_COHERENT_ALLOCS,	/* allocations */
	CC_COHERENT_FREES,	/* allocations that were freed */
	CC_COHERENT_OTHER,	/* left to dma-direct: none at hand, or not for it */
	CC_COHERENT_TAKEN,	/* bytes of the pages of CC_COHERENT_ALLOCS */
	CC_COHERENT_GIVEN,	/* the same of CC_COHERENT_FREES */
	CC_NR_COHERENT_COUNTERS
};

DECLARE_PER_CPU(unsigned long [CC_NR_COHERENT_COUNTERS], cc_coherent_count);

/* Per-CPU counters of loans. */
enum cc_loan_counter {
	CC_LOAN_ALLOCS,		/* loans */
	CC_LOAN_FREES,		/* loans that are over */
	CC_LOAN_NONE,		/* not given: none at hand, or left to mappings */
	CC_LOAN_BUDGET,		/* not given: too much is lent already */
	CC_NR_LOAN_COUNTERS
};

DECLARE_PER_CPU(unsigned long [CC_NR_LOAN_COUNTERS], cc_loan_count);

struct cc_cpu {
	struct cc_magazine mag[CC_NR_CLASSES];
	unsigned long bin[CC_NR_BINS];
	/* Of kccd: @loaded at its last tick, and a bit for each class to empty. */
	u64 seen[CC_NR_CLASSES];
	u16 drain;
	/*
	 * The first slot of a chain that another CPU has sent. Apart from the
	 * rest, which only this CPU writes.
	 */
	u32 inbox[CC_NR_CLASSES] ____cacheline_aligned_in_smp;
};

DECLARE_PER_CPU_ALIGNED(struct cc_cpu, cc_cpu);

/**
 * struct cc_depot - whole magazines on their way between CPUs
 * @lock:	protects the rest; raw, irqs off
 * @head:	index of the first slot of the first chain
 * @slots:	slots in all chains
 * @low:	the least value of @slots since kccd's last tick
 */
struct cc_depot {
	raw_spinlock_t lock;
	u32 head;
	unsigned int slots;
	unsigned int low;
};

/**
 * struct cc_class_node - the slots of a class on one NUMA node
 * @pool:	free slots, but for those in magazines and in the depot
 * @hint:	chunk of @pool that had free slots last
 * @pool_free:	number of free slots in @pool; while a chunk leaves that, more
 * @depot:	whole magazines
 */
struct cc_class_node {
	struct gen_pool pool;
	struct gen_pool_chunk __rcu *hint;
	atomic_long_t pool_free;
	struct cc_depot depot;
} ____cacheline_aligned_in_smp;

/**
 * struct cc_class - all slots of one size
 * @shift:	log2 of the slot size
 * @enabled:	part of the table that is in use
 * @mag_size:	slots in a full magazine; 0: this class bypasses the magazines
 * @batch:	slots taken from a gen_pool at once
 * @mark:	slots that kccd keeps free; from the command line
 * @node:	what it has on each NUMA node
 * @nr_slots:	slots of all chunks; under cc_swiotlb.lock
 * @chunks:	under cc_swiotlb.lock
 * @nr_joined:	chunks that have ever been in it; under cc_swiotlb.lock
 * @seen_joined: what @nr_joined was in kccd's last tick
 * @need:	decaying maximum of @peak: what kccd leaves to the class
 * @starved:	a mapping found no chunk in the reserve that is large enough
 * @wanted:	log2 of the bytes that it has to hold: @shift, or those of pages, or of
 *		a block
 * @high:	high water of the slots out of gen_pools and depots
 * @peak:	the same since kccd's last tick
 * @last_peak:	the same in the second before
 */
struct cc_class {
	/* The fast path reads these; nobody writes into their line but who sets a mark. */
	u8 shift;
	bool enabled;
	u8 mag_size;
	u8 batch;
	unsigned long mark;
	struct cc_class_node *node;

	unsigned long nr_slots ____cacheline_aligned_in_smp;
	struct list_head chunks;
	unsigned long nr_joined;
	unsigned long seen_joined;
	unsigned long need;
	bool starved;
	u8 wanted;
	unsigned long high;
	unsigned long peak;
	unsigned long last_peak;
} ____cacheline_aligned_in_smp;

/**
 * struct cc_node - what the reserve has on one NUMA node
 * @reserve:	class-less chunks by log2 of their size; under cc_swiotlb.lock
 * @whole:	blocks of CC_BLOCK_SHIFT, all of whose chunks are in @reserve; under
 *		cc_swiotlb.lock
 * @shared:	bytes of all blocks of the node; under cc_swiotlb.mutex
 * @bytes:	sum of @reserve; under cc_swiotlb.lock
 * @used:	a CPU of the node maps; under cc_swiotlb.lock
 * @no_memory:	it had none when it was tried last; under cc_swiotlb.mutex
 * @refuses:	a block of it could not be shared the last time; under cc_swiotlb.mutex
 * @lossy:	a block was quarantined, and none of the node has been shared since; under
 *		cc_swiotlb.mutex
 * @backoff:	of what is its part; under cc_swiotlb.mutex
 */
struct cc_node {
	struct list_head reserve[CC_NR_CHUNK_SIZES];
	struct list_head whole;
	unsigned long shared;
	unsigned long bytes;
	bool used;
	bool no_memory;
	bool refuses;
	bool lossy;
	struct cc_backoff backoff;
};

/**
 * struct cc_held - what was freed while somebody held a page of it
 * @first:	index of the first slot of one; that has the index of the next one's
 * @bytes:	sum of all
 */
struct cc_held {
	u32 first;
	unsigned long bytes;
};

/**
 * struct cc_swiotlb - everything else; bytes unless said otherwise
 * @mutex:	see the lock order above
 * @lock:	see the lock order above
 * @selected:	chosen on the command line and not vetoed since
 * @stopping:	conversions are over: reboot, kexec or stop
 * @node:	the reserve of each NUMA node
 * @nr_used:	nodes whose CPUs map, at least 1; under @lock
 * @reserve_bytes: sum over @node; under @lock
 * @reserve_low: the least @reserve_bytes since the last tick; under @lock
 * @taken:	what mappings have ever taken from the reserve; under @lock
 * @blocks:	all blocks; under @mutex
 * @shared:	sum of @blocks, legacy pool not included; under @mutex
 * @peak:	high water of @shared
 * @max:	limit of @shared and @quarantined together
 * @min:	kept when idle
 * @reserve_min: the reserve that kccd keeps when idle
 * @target:	the reserve that kccd keeps now
 * @quarantined: of unknown state and leaked for ever
 * @coherent_held: coherent allocations that were freed while a page was held; under @lock
 * @loans_held:	the same of loans; under @lock
 */
struct cc_swiotlb {
	struct mutex mutex;	/* see the lock order above */
	raw_spinlock_t lock;	/* see the lock order above */
	bool selected;
	bool stopping;
	struct cc_node *node;
	unsigned int nr_used;
	unsigned long reserve_bytes;
	unsigned long reserve_low;
	unsigned long taken;
	struct list_head blocks;
	unsigned long shared;
	unsigned long peak;
	unsigned long max;
	unsigned long min;
	unsigned long reserve_min;
	unsigned long target;
	unsigned long quarantined;
	struct cc_held coherent_held;
	struct cc_held loans_held;
};

enum cc_kick {
	CC_KICK_TICK,	/* slots move: keep ticking until they rest */
	CC_KICK_HOLDERS, /* a mapping has failed: say who holds what */
};

/**
 * struct cc_kicks - what kccd has been told, from any context
 * @wait:	where it sleeps
 * @work:	wakes it
 * @asked:	what was asked for: bit n: chunks of 1 << (CC_FRAME_SHIFT + n) bytes;
 *		CC_ASK_SHARE. A pass clears what it hears
 * @tick:	CC_KICK_TICK; kccd's tick clears it
 * @holders:	CC_KICK_HOLDERS; kccd's pass clears it
 */
struct cc_kicks {
	struct rcuwait wait;
	struct irq_work work;
	atomic_t asked;
	bool tick;
	bool holders;
};

/* The reserve has not enough. */
#define CC_ASK_RESERVE		BIT(0)
/* It has not enough on a node. */
#define CC_ASK_SHARE		BIT(CC_NR_GROW_SIZES)
#define CC_NR_ASKS		(CC_NR_GROW_SIZES + 1)
#define CC_ASK_ALL		(BIT(CC_NR_ASKS) - 1)

/* Chunks of 1 << @shift bytes are missing. */
static inline unsigned int cc_ask_chunk(unsigned int shift)
{
	return BIT(max(shift, CC_FRAME_SHIFT) - CC_FRAME_SHIFT);
}

/* state.c */
extern struct cc_swiotlb cc_swiotlb;
extern struct cc_kicks cc_kicks;
void cc_kccd_kick(enum cc_kick kick);
void cc_kccd_ask(unsigned int what);

/* What has to be returned for the sum to be within the limit, in whole blocks. */
static inline unsigned long cc_bytes_over_limit(void)
{
	unsigned long sum = READ_ONCE(cc_swiotlb.shared) + READ_ONCE(cc_swiotlb.quarantined);
	unsigned long limit = READ_ONCE(cc_swiotlb.max);

	return sum > limit ? round_up(sum - limit, BIT(CC_BLOCK_SHIFT)) : 0;
}

/* class.c */
extern struct cc_class cc_classes[CC_NR_OWNERS];
/* The class that serves a space of up to 1 << index bytes. */
extern u8 cc_class_of[CC_SLOT_MAX_SHIFT + 1];
/* The log2 of the largest slot, and of the largest one that drivers are told of. */
extern u8 cc_max_shift;
extern u8 cc_promised_shift;
/* NUMA nodes that there can be. */
extern unsigned int cc_nr_nodes;
int cc_node_or_local(int nid);
int cc_class_init(unsigned int nr_cpus, unsigned long max);
void cc_class_enable(unsigned long mask);
void cc_class_note_peak(struct cc_class *class);
unsigned long cc_class_pool_free(const struct cc_class *class);
unsigned long cc_class_in_depots(const struct cc_class *class);
unsigned long cc_class_free(const struct cc_class *class);

/* depot.c */
void cc_depot_push(struct cc_class *class, u64 chain);
u64 cc_depot_pop(struct cc_class *class, int nid, unsigned int most, unsigned long keep);
void cc_depot_drain(struct cc_class *class, int nid, unsigned int nr);
void cc_depot_pass(u32 index);

/* memory.c */

/*
 * For all that is allocated under cc_swiotlb.mutex: without __GFP_NORETRY the page
 * allocator never fails for an order of up to 3, and without __GFP_FS it cannot
 * have the OOM killer make room either.
 */
#define CC_GFP		(GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN)

/* What does not reclaim wakes kswapd, and kcompactd, which may wait for I/O. */
#define CC_GFP_LOOK	(GFP_NOWAIT | __GFP_NOWARN)

unsigned int cc_count_nodes(void);
int cc_memory_node(int nid);
int cc_cpu_node(unsigned int cpu);
int cc_page_node(const struct page *page);
struct page *cc_alloc_memory(unsigned int order, bool try_hard, int nid);
void cc_free_memory(struct page *page, unsigned int order);
void *cc_alloc_metadata(size_t size);
void cc_free_metadata(void *ptr);
struct page *cc_alloc_metadata_page(void);
void cc_free_metadata_page(struct page *page);
void cc_grace_period(void);
int cc_convert(struct page *page, unsigned int order, bool share);

/* table.c */

/**
 * struct cc_chunk_table - chunks by {address >> CC_FRAME_SHIFT}
 * @nr:		number of entries in @leaf
 * @smaller:	the table that this one has replaced; readers may still use it
 * @leaf:	tables of CC_LEAF_SIZE chunks; never freed
 */
struct cc_chunk_table {
	unsigned long nr;
	struct cc_chunk_table *smaller;
	struct cc_chunk **leaf[];
};

/* state.c */
extern struct cc_chunk_table cc_no_chunks;
extern struct cc_chunk_table *cc_by_frame;
extern struct cc_slot *cc_slots;

int cc_table_init(void);
void cc_table_exit(void);
void cc_table_set(struct cc_chunk *chunk, struct cc_chunk *entry);
struct cc_slot *cc_slots_alloc(unsigned int shift);
void cc_slots_free(struct cc_slot *slots, unsigned int shift);
int cc_chunk_publish(struct cc_chunk *chunk);
void cc_chunk_unpublish(struct cc_chunk *chunk);

/* chunk.c */
int cc_chunk_init(void);
void cc_chunk_exit(void);
void cc_chunk_point(const struct cc_chunk *chunk);
void cc_reserve_add(struct cc_chunk *chunk);
void cc_reserve_del(struct cc_chunk *chunk);
unsigned int cc_chunk_put(const struct cc_chunk *chunk, size_t offset, size_t size);
bool cc_reserve_holds(unsigned int shift, int nid);
void cc_reserve_wait(void);
void cc_reserve_use(int nid);
unsigned long cc_reserve_share(void);
unsigned int cc_reserve_lacks(int nid);
bool cc_reserve_take(struct cc_class *class, int nid, unsigned long want);
bool cc_reserve_take_large(struct cc_class *class, int nid, unsigned int shift,
			   unsigned long keep);
bool cc_reserve_give(struct cc_class *class, int nid, unsigned long want,
		     unsigned long keep);
unsigned long cc_class_retire(struct cc_class *class, unsigned long nr_slots,
			      unsigned long young, struct list_head *retired);
void cc_reserve_add_retired(struct list_head *retired);

/* block.c */
struct cc_convert_stats {
	unsigned long blocks[2];	/* [true]: shared */
	unsigned long failed[2];
	u64 ns[2];
};

extern struct cc_convert_stats cc_convert_stats;

int cc_block_grow(unsigned long limit, unsigned int min_shift, int nid);
void cc_block_free_aside(void);
unsigned long cc_block_shrink(unsigned long keep, unsigned long limit);

/* magazine.c */
u32 cc_magazine_refill(struct cc_class *class);
u32 cc_magazine_take_spare(struct cc_class *class, int nid);
u32 cc_magazine_take_lasting(void);
void cc_magazine_flush(struct cc_class *class);
void cc_magazine_give(struct cc_class *class, u32 index);
bool cc_magazine_online(unsigned int cpu);
void cc_magazine_point(struct cc_class *class);
void cc_magazine_send(struct cc_class *class, u32 index);

/* drain.c */
unsigned long cc_magazine_moves(void);
bool cc_magazine_drain_idle(void);
bool cc_magazine_drain_all(void);
int cc_magazine_init(void);
void cc_magazine_exit(void);

/* held.c */
void cc_hold(struct cc_held *held, struct cc_slot *slot);
u32 cc_held_take(struct cc_held *held);

/* coherent.c */

/* Of the memory that may be shared, coherent allocations leave this share to others. */
#define CC_COHERENT_SHARE	2

unsigned long cc_coherent_sum(enum cc_coherent_counter counter);
unsigned long cc_coherent_bytes(void);
void cc_coherent_look(void);

/* loan.c */

/* Of the memory that may be shared, what is lent is this share at most. */
#define CC_LOAN_SHARE		4

extern struct work_struct cc_loan_first;
extern s32 cc_loan_batch;

unsigned long cc_loan_sum(enum cc_loan_counter counter);
unsigned long cc_loan_bytes(void);
void cc_loan_look(void);
int cc_loan_init(void);
void cc_loan_exit(void);

/* grow.c, as far as it is not in kccd.h */
#define CC_BACKOFF_MIN		max(HZ / 50, 1)
#define CC_BACKOFF_MAX		(10 * HZ)

struct cc_kccd_stats {
	unsigned long passes;
	unsigned long ticks;
	unsigned long drains;		/* rounds that emptied all magazines */
	unsigned long grown;		/* bytes */
	unsigned long returned;		/* bytes */
	unsigned long grow_failed;
};

extern struct cc_kccd_stats cc_kccd_stats;

unsigned long cc_grow_backoff(unsigned long now);

/* kccd.c */
#define CC_TICK			HZ
/*
 * Emptying all magazines interrupts CPUs: not in passes that begin less than so many
 * jiffies after one that did it.
 */
#define CC_RECLAIM_INTERVAL	HZ
/* Who holds what is logged at most once in so many jiffies. */
#define CC_HOLDERS_INTERVAL	(60 * HZ)
/* Passes until kccd sleeps for ever, if nothing happens and nothing is missing. */
#define CC_PASSES_TO_SLEEP	128

bool cc_kccd_pending(unsigned long now);
unsigned long cc_kccd_pass(unsigned long now);
unsigned long cc_kccd_freeable(void);
void cc_kccd_reclaim(void);
int cc_kccd_set(unsigned long *field, unsigned long val);
int cc_kccd_set_mark(struct cc_class *class, unsigned long slots);
struct task_struct *cc_kccd_run(void);
int cc_kccd_start(void);
void cc_kccd_stop(void);

/* Bytes that a mark takes: whole chunks, or whole blocks. */
static inline u64 cc_mark_bytes(unsigned int shift, unsigned long slots)
{
	return round_up((u64)slots << shift,
			BIT(shift > CC_CHUNK_SHIFT ? CC_BLOCK_SHIFT : CC_CHUNK_SHIFT));
}

/* stats.c */
unsigned long cc_count(unsigned int class, enum cc_counter counter);
unsigned long cc_used_bytes(void);

/* core.c */
struct cc_options;
int cc_swiotlb_start(const struct cc_options *opts);
void cc_swiotlb_stop(void);

#endif /* _KERNEL_DMA_CC_SWIOTLB_INTERNAL_H */
