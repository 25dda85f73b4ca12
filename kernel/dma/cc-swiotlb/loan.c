// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loans: slots whose pages other kernel code has, and which a device reads or writes as
 * they are. See include/linux/cc_loan.h for what who borrows has to know.
 *
 * A loan is a slot of the class that a mapping of the size would take, of a page at least,
 * from the same magazines: a buffer in one piece costs as much memory lent as bounced, and
 * all that makes classes grow and shrink serves loans as well. The slot has CC_SLOT_LENT as
 * its device, so that whoever finds it by its address knows it for what it is.
 *
 * While it is lent each of its pages has two references more than it has otherwise, which
 * is none, or one for the first page of a block. One is the borrower's. The other is never
 * given up, so that a page does not reach the page allocator when somebody puts one
 * reference too many.
 */
#include <linux/cc_loan.h>
#include <linux/mm.h>
#include <linux/page_ref.h>
#include <linux/percpu_counter.h>
#include <linux/workqueue.h>

#include "map.h"

static_assert(BIT(CC_CHUNK_SHIFT) == CC_LOAN_MAX);

DEFINE_PER_CPU(unsigned long [CC_NR_LOAN_COUNTERS], cc_loan_count);
DEFINE_STATIC_KEY_FALSE(cc_loan_key);

/* Pages of what is lent or held, each loan as large as the slot that it should have. */
static struct percpu_counter lent;

/* All CPUs look for loans where they map. */
static bool ready __read_mostly;

/*
 * As in cc_swiotlb_start(): a key is patched into one place after the other, and not
 * every architecture waits until all CPUs execute it.
 */
static void make_ready(struct work_struct *work)
{
	static_branch_enable(&cc_loan_key);
	synchronize_rcu();
	WRITE_ONCE(ready, true);
}

/* Somebody has asked for a loan, and has not got the first one. */
DECLARE_WORK(cc_loan_first, make_ready);

static void count(enum cc_loan_counter counter)
{
	this_cpu_inc(cc_loan_count[counter]);
}

/**
 * cc_loan_sum() - the value of a counter since boot
 * @counter: which one
 *
 * Context: any; not exact while something is lent or given back.
 * Return: the sum over all CPUs.
 */
unsigned long cc_loan_sum(enum cc_loan_counter counter)
{
	return cc_sum(&cc_loan_count[counter]);
}

/**
 * cc_loan_bytes() - bytes that count for the budget: what is lent or held
 *
 * Context: any but NMI.
 * Return: bytes.
 */
unsigned long cc_loan_bytes(void)
{
	return (unsigned long)percpu_counter_sum_positive(&lent) << PAGE_SHIFT;
}

/* The class that a mapping of so much would take. */
static struct cc_class *class_for(size_t size)
{
	return &cc_classes[cc_class_of[max(fls_long(size - 1), PAGE_SHIFT)]];
}

static unsigned long pages_for(size_t size)
{
	return BIT(class_for(size)->shift - PAGE_SHIFT);
}

static s64 budget(void)
{
	return READ_ONCE(cc_swiotlb.max) / CC_LOAN_SHARE >> PAGE_SHIFT;
}

/*
 * What a CPU counts for itself, in pages, before it takes the lock of the sum: all of them
 * together no more than a quarter of the budget at boot. It stays the same, since a
 * comparison goes by what others may have counted.
 */
s32 cc_loan_batch __read_mostly;

/* Pages that were too many, and when: near the budget, to know that takes a sum. */
static s64 refused __read_mostly;
static unsigned long refused_at __read_mostly;

static bool charge(size_t size)
{
	s64 pages = pages_for(size);
	unsigned long now = jiffies;

	if (unlikely(READ_ONCE(refused_at) == now && READ_ONCE(refused) <= pages))
		return false;
	if (__percpu_counter_compare(&lent, budget() - pages, cc_loan_batch) > 0) {
		WRITE_ONCE(refused, pages);
		WRITE_ONCE(refused_at, now);
		return false;
	}
	percpu_counter_add_batch(&lent, pages, cc_loan_batch);
	return true;
}

static void uncharge(size_t size)
{
	percpu_counter_add_batch(&lent, -(s64)pages_for(size), cc_loan_batch);
}

/* Would a chunk more give the class something that its mark does not keep? */
static bool worth_a_chunk(const struct cc_class *class)
{
	return cc_class_free(class) + (BIT(CC_CHUNK_SHIFT) >> class->shift) >
	       READ_ONCE(class->mark);
}

/*
 * Who borrows has another way, so that what a mark keeps, half of the reserve, and NUMA nodes
 * that were not asked for are left to mappings, which have none. Preemption disabled.
 */
static noinline u32 refill(struct cc_class *class, int nid)
{
	unsigned long keep = READ_ONCE(cc_swiotlb.reserve_min) / 2;
	long free = max(atomic_long_read(&class->node[nid].pool_free), 0L);
	u32 index = cc_magazine_take_spare(class, nid);

	/* A node has a part of the reserve if its own CPUs need it. */
	if (nid == cc_cpu_node(smp_processor_id()))
		cc_reserve_use(nid);
	if (!index && worth_a_chunk(class) && cc_reserve_give(class, nid, free + 1, keep))
		index = cc_magazine_take_spare(class, nid);
	cc_kccd_ask(cc_reserve_lacks(nid));
	return index;
}

/* Preemption disabled. */
static u32 take(struct cc_class *class, int nid)
{
	bool local = nid == NUMA_NO_NODE ||
		     cc_node_or_local(nid) == cc_cpu_node(smp_processor_id());
	unsigned long mark = READ_ONCE(class->mark);
	struct cc_slot *slot;
	u32 index = 0;

	/* What comes back is for the mapping that has found nothing, and comes again. */
	if (READ_ONCE(class->starved))
		return 0;
	/* What this CPU holds is of its node, and may come from what was kept. */
	if (local && (!mark || cc_class_free(class) >= mark))
		index = cc_magazine_pop(&cc_cpu.mag[class - cc_classes].loaded, &slot);
	return likely(index) ? index : refill(class, cc_node_or_local(nid));
}

static struct page *first_page(const struct cc_slot *slot)
{
	return pfn_to_page(PHYS_PFN(slot->base));
}

/* References that a page has when it is not lent: the page allocator counts one in a block. */
static int rest_of(const struct page *page, const struct cc_block *block)
{
	return page == block->page;
}

/*
 * References that it has more while it is lent: with one, somebody who puts it once too
 * often would have it freed.
 */
#define LENT_REFS	2

static void count_pages(const struct cc_slot *slot, const struct cc_block *block)
{
	struct page *page = first_page(slot);

	for (struct page *end = page + PFN_UP(slot->size); page < end; page++) {
		if (rest_of(page, block))
			page_ref_add(page, LENT_REFS);
		else
			page_ref_unfreeze(page, LENT_REFS);
	}
}

/* False if somebody else has a reference. Can be called again when it has failed. */
static bool uncount_page(struct page *page, int rest)
{
	int refs = page_ref_count(page);

	if (refs == rest)
		return true;
	WARN_ONCE(refs < rest + LENT_REFS,
		  "a reference to a page of a loan was put that nobody had\n");
	if (refs > rest + LENT_REFS || !page_ref_freeze(page, refs))
		return false;
	/* What a borrower has noted in it must not reach the page allocator. */
	set_page_private(page, 0);
	if (rest)
		page_ref_unfreeze(page, rest);
	return true;
}

/* Undo count_pages() as far as possible: false if somebody holds a page. */
static bool uncount_pages(const struct cc_slot *slot, const struct cc_block *block)
{
	struct page *first = first_page(slot), *page = first + PFN_UP(slot->size);
	bool done = true;

	/*
	 * The first page last, and only then: in a block that has another reference, which
	 * somebody in passing could take for the one of the loan.
	 */
	while (page-- > first)
		if (page != first || done)
			done &= uncount_page(page, rest_of(page, block));
	return done;
}

/* Make @index a loan. Enables preemption. */
static struct page *lend(u32 index, size_t size)
{
	struct cc_slot *slot = cc_slot_by_index(index);
	struct cc_chunk *chunk = cc_chunk_by_addr(slot->base);
	unsigned int nr = chunk->class - cc_classes, cpu = smp_processor_id();

	slot->size = size;
	slot->offset = 0;
	slot->cpu = chunk->nid == cc_cpu_node(cpu) ? cpu : CC_NO_CPU;
	slot->dev = CC_SLOT_LENT;
	this_cpu_inc(cc_cpu.mag[nr].count[CC_MAPS]);
	this_cpu_add(cc_cpu.mag[nr].count[CC_BYTES], size);
	preempt_enable();
	count_pages(slot, chunk->block);
	count(CC_LOAN_ALLOCS);
	/* As in cc_slot_fill(): before the address reaches another CPU. */
	smp_wmb();
	return first_page(slot);
}

/**
 * cc_loan_alloc() - borrow pages that the host can access already
 * @size: bytes, up to CC_LOAN_MAX
 * @nid: NUMA node of the pages, or NUMA_NO_NODE for that of this CPU
 *
 * Nothing waits for a loan: who gets none goes the way that there was before. The first
 * one after boot is not given. What is over the budget is refused for the rest of a jiffy.
 *
 * Context: any but NMI; allocates nothing, never sleeps.
 * Return: the first of pages in a row, in the direct map, aligned to the power of two that
 * holds them, with whatever they were left with; or NULL.
 */
struct page *cc_loan_alloc(size_t size, int nid)
{
	struct page *page = NULL;
	u32 index;

	if (!cc_loan_enabled() || !size || size > CC_LOAN_MAX)
		return NULL;
	if (unlikely(!READ_ONCE(ready))) {
		schedule_work(&cc_loan_first);
		return NULL;
	}
	if (unlikely(!charge(size))) {
		count(CC_LOAN_BUDGET);
		return NULL;
	}
	preempt_disable();
	index = take(class_for(size), nid);
	if (likely(index)) {
		page = lend(index, size);
	} else {
		preempt_enable();
		uncharge(size);
		count(CC_LOAN_NONE);
	}
	return page;
}
EXPORT_SYMBOL_GPL(cc_loan_alloc);

static void __cold free_wrong(struct page *page, size_t size, const struct cc_slot *slot)
{
	phys_addr_t paddr = page_to_phys(page);

	if (!slot || !cc_slot_is_lent(slot) || slot->base != paddr)
		WARN_ONCE(1, "cc-swiotlb: return of %pa (%zu bytes), which is not the start of a loan, ignored: returned twice?\n",
			  &paddr, size);
	else
		WARN_ONCE(1, "cc-swiotlb: return of %pa (%zu bytes), but %u bytes were lent: ignored\n",
			  &paddr, size, slot->size);
}

/**
 * cc_loan_free() - give back what was borrowed
 * @page: what cc_loan_alloc() has returned
 * @size: as passed to cc_loan_alloc()
 *
 * A page to which somebody else has a reference is not used again before he puts it.
 * Warns once, and changes nothing, if this is no loan of that size.
 *
 * Context: any but NMI, on any CPU.
 */
void cc_loan_free(struct page *page, size_t size)
{
	struct cc_slot *slot = NULL;
	struct cc_chunk *chunk;
	u32 index = 0;

	/* What is no loan may go away meanwhile. */
	preempt_disable();
	chunk = cc_chunk_by_addr(page_to_phys(page));
	if (chunk) {
		index = cc_index_by_addr(chunk, page_to_phys(page));
		slot = cc_slot_by_index(index);
	}
	if (unlikely(!slot || !cc_slot_is_lent(slot) || slot->size != size ||
		     slot->base != page_to_phys(page))) {
		free_wrong(page, size, slot);
		preempt_enable();
		return;
	}
	count(CC_LOAN_FREES);
	if (likely(uncount_pages(slot, chunk->block))) {
		uncharge(size);
		cc_slot_return(chunk->class, slot, index);
	} else {
		slot->dev = NULL;
		cc_hold(&cc_swiotlb.loans_held, slot);
		cc_kccd_kick(CC_KICK_TICK);
	}
	preempt_enable();
}
EXPORT_SYMBOL_GPL(cc_loan_free);

/**
 * cc_loan_look() - give back loans that are over and held by nobody any more
 *
 * Context: task, under cc_swiotlb.mutex.
 */
void cc_loan_look(void)
{
	u32 index = cc_held_take(&cc_swiotlb.loans_held);

	while (index) {
		struct cc_slot *slot = cc_slot_by_index(index);
		struct cc_chunk *chunk = cc_chunk_by_addr(slot->base);
		u32 next = slot->next;

		if (uncount_pages(slot, chunk->block)) {
			uncharge(slot->size);
			preempt_disable();
			/* Who has taken it is not known any more. */
			slot->cpu = CC_NO_CPU;
			cc_slot_return(chunk->class, slot, index);
			preempt_enable();
		} else {
			cc_hold(&cc_swiotlb.loans_held, slot);
		}
		index = next;
		cond_resched();
	}
}

/**
 * cc_loan_covers() - is all of a range lent?
 * @paddr: physical address, page-aligned or not
 * @size: bytes
 *
 * The block layer may have put loans together that are neighbours.
 *
 * Context: any but NMI.
 * Return: true if each page of the range belongs to a loan.
 */
bool cc_loan_covers(phys_addr_t paddr, size_t size)
{
	guard(rcu)();
	while (size) {
		struct cc_chunk *chunk = cc_chunk_by_addr(paddr);
		const struct cc_slot *slot;
		size_t here;

		if (!chunk)
			return false;
		slot = cc_slot_by_index(cc_index_by_addr(chunk, paddr));
		if (!cc_slot_is_lent(slot) || paddr - slot->base >= PAGE_ALIGN(slot->size))
			return false;
		here = min(size, slot->base + PAGE_ALIGN(slot->size) - paddr);
		paddr += here;
		size -= here;
	}
	return true;
}

/**
 * cc_loan_init() - make what the budget is counted with, which stays for ever
 *
 * Context: task.
 * Return: 0 or -ENOMEM.
 */
int cc_loan_init(void)
{
	cc_loan_batch = clamp_t(s64, budget() / (4 * num_possible_cpus()), 1,
				2 * pages_for(CC_LOAN_MAX));
	refused = S64_MAX;
	if (!percpu_counter_initialized(&lent))
		return percpu_counter_init(&lent, 0, GFP_KERNEL);
	percpu_counter_set(&lent, 0);
	return 0;
}

/**
 * cc_loan_exit() - forget that there were loans; for tests, after the last one
 *
 * Context: task.
 */
void cc_loan_exit(void)
{
	cancel_work_sync(&cc_loan_first);
	ready = false;
	static_branch_disable(&cc_loan_key);
}
