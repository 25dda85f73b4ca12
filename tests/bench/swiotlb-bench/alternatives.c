// SPDX-License-Identifier: GPL-2.0-only
/*
 * What could have been otherwise in cc-swiotlb, built and measured beside what
 * it is: magazines, depot, lookup by address, size of blocks.
 */
#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/dma-direct.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/prandom.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/xarray.h>

#include "../cc-swiotlb/slot.h"
#include "bench.h"

/* What could have been otherwise: the size of a magazine */

static unsigned long count(unsigned int class, enum cc_counter counter)
{
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu(cc_cpu, cpu).mag[class].count[counter];
	return sum;
}

void bench_magazine(void)
{
	const unsigned int nr = ilog2(SZ_4K) - CC_SLOT_MIN_SHIFT;
	struct cc_class *class = &cc_classes[nr];
	u8 mag_size = class->mag_size;

	for (unsigned int size = 8; size <= 128; size *= 2) {
		unsigned long inbox, depot, maps;
		s64 rate;

		cc_magazine_drain_all();
		WRITE_ONCE(class->mag_size, size);
		inbox = count(nr, CC_INBOX);
		depot = count(nr, CC_DEPOT);
		maps = count(nr, CC_MAPS);
		rate = bench_remote_rate(min(num_online_cpus(), 2U), SZ_4K);
		inbox = count(nr, CC_INBOX) - inbox;
		depot = count(nr, CC_DEPOT) - depot;
		maps = max(count(nr, CC_MAPS) - maps, 1UL);
		pr_info("magazine-%u ops_per_ms %lld\n", size, rate);
		/* Each chain goes in and out: two changes of the inbox, or two locks. */
		pr_info("magazine-%u inbox_writes_per_1000_maps %lu\n", size, 2000 * inbox / maps);
		pr_info("magazine-%u depot_locks_per_1000_maps %lu\n", size, 2000 * depot / maps);
	}
	WRITE_ONCE(class->mag_size, mag_size);
}

/*
 * The scheme of a magazine: one word changed by cmpxchg and a list (what is used),
 * the same with LOCK, or an array and a byte that says that it is in use.
 */
enum { SCHEME_SLOTS = 64 };

struct scheme {
	u64 head;
	atomic64_t locked;
	u32 next[SCHEME_SLOTS];
	u8 busy;
	u8 nr;
	u32 slot[SCHEME_SLOTS];
};

static DEFINE_PER_CPU(struct scheme, scheme);

#define SCHEME_TID	BIT_ULL(36)

static noinline void scheme_list(void)
{
	struct scheme *s;
	u64 old, new;
	u32 i;

	preempt_disable();
	s = this_cpu_ptr(&scheme);
	old = this_cpu_read(scheme.head);
	do {
		i = old % SCHEME_SLOTS;
		new = ((old & ~0xffULL) + SCHEME_TID) | s->next[i];
	} while (!this_cpu_try_cmpxchg(scheme.head, &old, new));
	old = this_cpu_read(scheme.head);
	do {
		s->next[i] = old % SCHEME_SLOTS;
		new = ((old & ~0xffULL) + SCHEME_TID) | i;
	} while (!this_cpu_try_cmpxchg(scheme.head, &old, new));
	preempt_enable();
}

static noinline void scheme_locked(void)
{
	struct scheme *s;
	s64 old, new;
	u32 i;

	preempt_disable();
	s = this_cpu_ptr(&scheme);
	old = atomic64_read(&s->locked);
	do {
		i = (u64)old % SCHEME_SLOTS;
		new = ((old & ~0xffULL) + SCHEME_TID) | s->next[i];
	} while (!atomic64_try_cmpxchg(&s->locked, &old, new));
	old = atomic64_read(&s->locked);
	do {
		s->next[i] = (u64)old % SCHEME_SLOTS;
		new = ((old & ~0xffULL) + SCHEME_TID) | i;
	} while (!atomic64_try_cmpxchg(&s->locked, &old, new));
	preempt_enable();
}

static noinline void scheme_array(void)
{
	struct scheme *s;
	u32 i = 0;

	preempt_disable();
	s = this_cpu_ptr(&scheme);
	if (!READ_ONCE(s->busy)) {
		WRITE_ONCE(s->busy, 1);
		barrier();
		i = s->slot[--s->nr];
		barrier();
		WRITE_ONCE(s->busy, 0);
	}
	barrier();
	if (!READ_ONCE(s->busy)) {
		WRITE_ONCE(s->busy, 1);
		barrier();
		s->slot[s->nr++] = i;
		barrier();
		WRITE_ONCE(s->busy, 0);
	}
	preempt_enable();
}

void bench_scheme(void)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} all[] = {
		{ "list", scheme_list },
		{ "locked", scheme_locked },
		{ "array", scheme_array },
	};
	static s64 t[NR_BATCHES];
	const unsigned int nr = 4096;

	this_cpu_write(scheme.nr, SCHEME_SLOTS / 2);
	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
		s64 ns;

		for (unsigned int j = 0; j < NR_BATCHES; j++) {
			u64 start = ktime_get_ns();

			for (unsigned int k = 0; k < nr; k++)
				all[i].fn();
			t[j] = ktime_get_ns() - start;
			if (j % 16 == 0)
				cond_resched();
		}
		ns = bench_median(t, NR_BATCHES) * 10 / nr;
		pr_info("scheme-%s ns_per_pop_and_push %lld.%lld\n", all[i].name,
			ns / 10, ns % 10);
	}
}

/* The lookup by address: table, xarray, field of struct page */

static struct xarray by_frame;
static unsigned long sink;

enum { NR_ADDRS = 4096 };

/* @nr is a power of two. */
static s64 time_lookup(int how, const phys_addr_t *addrs, unsigned int nr)
{
	static s64 t[NR_BATCHES];

	for (unsigned int i = 0; i < NR_BATCHES; i++) {
		unsigned long sum = 0;
		u64 start = ktime_get_ns();

		for (unsigned int j = 0; j < NR_ADDRS; j++) {
			phys_addr_t a = addrs[j & (nr - 1)];

			if (how == 0)
				sum += (unsigned long)cc_chunk_by_addr(a);
			else if (how == 1)
				sum += (unsigned long)xa_load(&by_frame,
							      a >> CC_FRAME_SHIFT);
			else
				sum += READ_ONCE(pfn_to_page(PHYS_PFN(a))->private);
		}
		t[i] = ktime_get_ns() - start;
		WRITE_ONCE(sink, sum);
		if (i % 16 == 0)
			cond_resched();
	}
	return bench_median(t, NR_BATCHES) * 10 / NR_ADDRS;
}

void bench_lookup(void)
{
	static const char * const name[] = { "table", "xarray", "page" };
	phys_addr_t *addrs = kvmalloc_array(NR_ADDRS, sizeof(*addrs), GFP_KERNEL);
	unsigned int nr = 0, nr_chunks = 0;
	struct cc_block *block;

	xa_init(&by_frame);
	bench_fill();
	mutex_lock(&cc_swiotlb.mutex);
	list_for_each_entry(block, &cc_swiotlb.blocks, node)
		for (unsigned int i = 0; i < block->nr_chunks; i++) {
			struct io_tlb_pool *p = &block->chunks[i].pool;

			for (phys_addr_t a = p->start; a < p->end; a += 1 << CC_FRAME_SHIFT)
				xa_store(&by_frame, a >> CC_FRAME_SHIFT,
					 &block->chunks[i], GFP_KERNEL);
			nr_chunks++;
		}
	mutex_unlock(&cc_swiotlb.mutex);
	for (; addrs && bench_nr_filled && nr < NR_ADDRS; nr++) {
		unsigned int i = prandom_u32_state(&bench_rnd) % bench_nr_filled;

		addrs[nr] = dma_to_phys(bench_dev, bench_filled[i]);
	}
	if (nr) {
		pr_info("lookup chunks %u\n", nr_chunks);
		for (int how = 0; how < 3; how++) {
			s64 hot = time_lookup(how, addrs, 16);
			s64 cold = time_lookup(how, addrs, nr);

			pr_info("lookup-%s hot_ns %lld.%lld\n", name[how], hot / 10, hot % 10);
			pr_info("lookup-%s random_ns %lld.%lld\n", name[how], cold / 10, cold % 10);
		}
	}
	bench_thin_out(0);
	vfree(bench_filled);
	xa_destroy(&by_frame);
	kvfree(addrs);
}

/*
 * From the index of a slot to the slot: one array, as it is, or a table of two levels
 * with the slots of each chunk. Each index is read from the slot before it, as when a
 * magazine is emptied; all slots are in the first-level cache.
 */
void bench_index(void)
{
	enum { SLOTS = 64, STEPS = 4096 };
	static struct cc_slot *root[16], **table[16], *array;
	static s64 t[NR_BATCHES];

	array = kvcalloc(SLOTS, sizeof(*array), GFP_KERNEL);
	if (!array)
		return;
	for (unsigned int i = 0; i < SLOTS; i++)
		array[i].next = (i + 17) % SLOTS;
	WRITE_ONCE(root[1], array);
	WRITE_ONCE(table[1], root);
	for (int two = 0; two < 2; two++) {
		s64 ns;

		for (unsigned int i = 0; i < NR_BATCHES; i++) {
			u64 start = ktime_get_ns();
			u32 index = 0;

			for (unsigned int j = 0; j < STEPS; j++) {
				u32 id = BIT(4) | 1;
				struct cc_slot *slots = READ_ONCE(array);

				if (two) {
					id += index / SLOTS;
					slots = READ_ONCE(READ_ONCE(table[id >> 4])[id & 15]);
				}
				index = READ_ONCE(slots[index].next);
			}
			t[i] = ktime_get_ns() - start;
			WRITE_ONCE(sink, index);
			if (i % 16 == 0)
				cond_resched();
		}
		ns = bench_median(t, NR_BATCHES) * 10 / STEPS;
		pr_info("index-%s ns %lld.%lld\n", two ? "table" : "array", ns / 10, ns % 10);
	}
	kvfree(array);
}

/*
 * The depot: whole magazines on a list, as it is; or none, so that the slots of
 * a full magazine go back to the bitmap of the gen_pool, and come from there. For
 * as many slots at once as leave the magazines of one CPU; nothing is copied.
 */
static s64 time_depot(bool drain)
{
	enum { SLOTS = 1024, ROUNDS = 101 };
	struct cc_class *class = &cc_classes[ilog2(SZ_4K) - CC_SLOT_MIN_SHIFT];
	static phys_addr_t tlb[SLOTS];
	static s64 t[ROUNDS];

	for (int r = -2; r < ROUNDS; r++) {
		unsigned int nr = 0;
		u64 start = ktime_get_ns();

		for (; nr < SLOTS; nr++) {
			tlb[nr] = cc_swiotlb_map(bench_dev, SZ_1M, SZ_4K, 0, 0);
			if (tlb[nr] == (phys_addr_t)DMA_MAPPING_ERROR)
				break;
		}
		while (nr--)
			cc_swiotlb_unmap(bench_dev, tlb[nr], SZ_4K,
					 cc_swiotlb_find_pool(tlb[nr]));
		if (drain)
			cc_depot_drain(class, 0, UINT_MAX);
		if (r >= 0)
			t[r] = ktime_get_ns() - start;
		cond_resched();
	}
	return bench_median(t, ROUNDS) * 10 / SLOTS;
}

void bench_depot(void)
{
	s64 list = time_depot(false), none = time_depot(true);

	pr_info("depot-list ns %lld.%lld\n", list / 10, list % 10);
	pr_info("depot-none ns %lld.%lld\n", none / 10, none % 10);
}

/*
 * The size of blocks. What is timed is a growth by TOTAL bytes and their return:
 * pages, metadata, publishing, the grace period; on UML no page is converted.
 */
void bench_block(void)
{
	static const unsigned int shifts[] = { 16, 19, CC_BLOCK_SHIFT };
	enum { TOTAL = SZ_64M, ROUNDS = 15 };
	static s64 grow[ROUNDS], shrink[ROUNDS];

	for (unsigned int i = 0; i < ARRAY_SIZE(shifts); i++) {
		unsigned long bytes = 1UL << shifts[i];

		for (unsigned int r = 0; r < ROUNDS; r++) {
			unsigned long reserve, done = 0;
			u64 start;

			mutex_lock(&cc_swiotlb.mutex);
			reserve = cc_swiotlb.reserve_bytes;
			start = ktime_get_ns();
			while (done < TOTAL && !cc_block_grow(bytes, shifts[i], NUMA_NO_NODE))
				done += bytes;
			grow[r] = ktime_get_ns() - start;
			start = ktime_get_ns();
			cc_block_shrink(reserve, done);
			shrink[r] = ktime_get_ns() - start;
			mutex_unlock(&cc_swiotlb.mutex);
			cond_resched();
		}
		pr_info("block-%lu grow_ns_per_mib %lld\n", bytes,
			bench_median(grow, ROUNDS) / (TOTAL / SZ_1M));
		pr_info("block-%lu shrink_ns_per_mib %lld\n", bytes,
			bench_median(shrink, ROUNDS) / (TOTAL / SZ_1M));
	}
}
