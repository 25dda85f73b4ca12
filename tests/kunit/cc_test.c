// SPDX-License-Identifier: GPL-2.0-only
/*
 * Common to the suites of cc-swiotlb, see cc_test.h.
 */
#include <linux/bitmap.h>
#include <linux/bug.h>
#include <linux/cc_loan.h>
#include <linux/cpumask.h>
#include <linux/dma-map-ops.h>
#include <linux/kmsg_dump.h>
#include <linux/mm.h>
#include <linux/page_ref.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>
#include <asm/sections.h>

#include "cc_test.h"

/**
 * cc_test_options() - options of an allocator that is small enough for tests
 * @opts: receives the options
 */
void cc_test_options(struct cc_options *opts)
{
	cc_options_default(opts, CC_TEST_RAM);
	opts->max = SZ_128M;
	/* Larger ones take whole blocks, which most tests want for something else. */
	opts->classes &= CC_TEST_CLASSES;
}

static unsigned long base[CC_NR_CLASSES][CC_NR_COUNTERS];

static void set_base(void)
{
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		for (unsigned int j = 0; j < CC_NR_COUNTERS; j++)
			base[i][j] = cc_count(i, j);
}

static struct task_struct *no_thread(void)
{
	return NULL;
}

bool cc_test_started;

/**
 * cc_test_start_with() - start the allocator, and a legacy pool behind it
 * @test: the test, which is skipped if the machine has booted with swiotlb=cc
 * @opts: options
 * @thread: with kccd; else the test makes its passes
 */
void cc_test_start_with(struct kunit *test, const struct cc_options *opts,
			bool thread)
{
	if (cc_swiotlb_enabled())
		kunit_skip(test, "booted with swiotlb=cc, or a test before has leaked");
	KUNIT_ASSERT_EQ(test, 0, swiotlb_init_late(SZ_4M, GFP_KERNEL, NULL));
	KUNIT_ASSERT_TRUE(test, is_swiotlb_allocated());
	if (!thread)
		kunit_activate_static_stub(test, cc_kccd_run, no_thread);
	KUNIT_ASSERT_EQ(test, 0, cc_swiotlb_start(opts));
	cc_test_started = true;
	cc_test_now = jiffies;
	KUNIT_ASSERT_EQ(test, 0, cc_used_bytes());
	set_base();
}

/**
 * cc_test_start() - start the allocator without kccd, with the usual options
 * @test: the test
 */
void cc_test_start(struct kunit *test)
{
	struct cc_options opts;

	cc_test_options(&opts);
	cc_test_start_with(test, &opts, false);
}

/* Some tests have slots of CPUs that are not there. */
static void forget_homes(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
			per_cpu_ptr(&cc_cpu, cpu)->mag[i].home = 0;
}

/**
 * cc_test_stop() - stop the allocator; fails the test if anything is leaked
 * @test: the test; what it has not started goes on, as on a machine with swiotlb=cc
 */
void cc_test_stop(struct kunit *test)
{
	if (!cc_test_started || !cc_swiotlb_enabled())
		return;
	cc_test_started = false;
	KUNIT_EXPECT_EQ(test, 0, cc_used_bytes());
	KUNIT_EXPECT_EQ(test, 0, cc_coherent_bytes());
	KUNIT_EXPECT_EQ(test, 0, cc_loan_bytes());
	cc_swiotlb_stop();
	KUNIT_EXPECT_FALSE(test, cc_swiotlb_lends());
	KUNIT_EXPECT_FALSE(test, cc_swiotlb_maps());
	KUNIT_EXPECT_EQ(test, 0, cc_swiotlb.shared);
	KUNIT_EXPECT_EQ(test, 0, cc_swiotlb.reserve_bytes);
	KUNIT_EXPECT_TRUE(test, list_empty(&cc_swiotlb.blocks));
	forget_homes();
}

int cc_test_init(struct kunit *test)
{
	cc_test_start(test);
	return 0;
}

void cc_test_exit(struct kunit *test)
{
	cc_test_stop(test);
}

/**
 * cc_test_device() - make a device whose DMA goes through swiotlb
 * @test: the test that it belongs to
 * @dma_mask: addresses that the device reaches
 * @min_align_mask: address bits that bouncing has to preserve
 *
 * Return: the device; a failure ends the test.
 */
struct device *cc_test_device(struct kunit *test, u64 dma_mask,
			      u32 min_align_mask)
{
	struct device_dma_parameters *parms;
	static unsigned int nr;
	struct device *dev;
	char *name;

	name = kunit_kmalloc(test, 24, GFP_KERNEL);
	parms = kunit_kzalloc(test, sizeof(*parms), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, name);
	KUNIT_ASSERT_NOT_NULL(test, parms);
	snprintf(name, 24, "cc-test%u", nr++);
	dev = kunit_device_register(test, name);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	dev->dma_parms = parms;
	dev->coherent_dma_mask = dma_mask;
	dev->dma_mask = &dev->coherent_dma_mask;
	dma_set_min_align_mask(dev, min_align_mask);
	return dev;
}

/**
 * cc_test_buffer() - allocate memory that is contiguous and naturally aligned
 * @test: the test that it belongs to
 * @size: bytes
 *
 * Return: the memory; a failure ends the test.
 */
void *cc_test_buffer(struct kunit *test, size_t size)
{
	void *buf = kunit_kmalloc(test, roundup_pow_of_two(size), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	return buf;
}

/**
 * cc_test_pin() - stay on one CPU until the test ends
 * @test: the test
 */
void cc_test_pin(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, 0, set_cpus_allowed_ptr(current, cpumask_of(0)));
}

/* This CPU's magazine; only for tests that are pinned. */
struct cc_magazine *cc_test_magazine(unsigned int nr)
{
	return &per_cpu_ptr(&cc_cpu, raw_smp_processor_id())->mag[nr];
}

/* The value of a counter since the allocator was started by the test. */
unsigned long cc_test_count(unsigned int nr, enum cc_counter counter)
{
	return cc_count(nr, counter) - base[nr][counter];
}

/* The same of all classes together. */
unsigned long cc_test_sum(enum cc_counter counter)
{
	unsigned long sum = 0;

	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		sum += cc_test_count(i, counter);
	return sum;
}

/**
 * cc_test_lend() - let there be loans: the first one that is asked for is not given
 * @test: the test
 */
void cc_test_lend(struct kunit *test)
{
	KUNIT_EXPECT_NULL(test, cc_loan_alloc(PAGE_SIZE, NUMA_NO_NODE));
	flush_work(&cc_loan_first);
	KUNIT_ASSERT_TRUE(test, cc_swiotlb_lends());
}

phys_addr_t cc_test_map(struct device *dev, void *buf, size_t size,
			unsigned int align_mask, enum dma_data_direction dir)
{
	return cc_test_tbl_map(dev, virt_to_phys(buf), size, align_mask,
			       dir, 0);
}

void cc_test_unmap(struct device *dev, phys_addr_t tlb, size_t size,
		   enum dma_data_direction dir)
{
	swiotlb_tbl_unmap_single(dev, tlb, size, dir, 0);
}

unsigned long cc_test_now;

/* Is anything missing that kccd keeps? It does not hear of it when tests do it. */
static bool lacking(void)
{
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		if (cc_classes[i].starved ||
		    cc_class_free(&cc_classes[i]) < cc_classes[i].mark)
			return true;
	return cc_swiotlb.reserve_bytes < cc_swiotlb.target ||
	       cc_swiotlb.shared < cc_swiotlb.min;
}

/**
 * cc_test_grow() - let kccd do what is due now
 *
 * The clock moves on only if kccd has just been asked in vain.
 *
 * Return: 0, or -EAGAIN if not all memory could be had.
 */
int cc_test_grow(void)
{
	if (lacking()) {
		cc_kccd_ask(CC_ASK_ALL);
		if (!cc_kccd_pending(cc_test_now))
			cc_test_now += CC_BACKOFF_MIN;
	}
	while (!cc_kccd_pass(cc_test_now))
		cond_resched();
	return cc_swiotlb.reserve_bytes < cc_swiotlb.target ||
	       cc_swiotlb.shared < cc_swiotlb.min ? -EAGAIN : 0;
}

/**
 * cc_test_tick() - let a second go by, and kccd do what it does once a second
 */
void cc_test_tick(void)
{
	cc_kccd_kick(CC_KICK_TICK);
	cc_kccd_pass(cc_test_now);
	cc_test_now += CC_TICK;
	cc_kccd_pass(cc_test_now);
}

/**
 * cc_test_settle() - let the ticks return what is not needed any more
 * @test: the test, which fails if they find something to do for ever
 */
void cc_test_settle(struct kunit *test)
{
	unsigned long sleep = 0;
	int passes = 0;

	cc_kccd_kick(CC_KICK_TICK);
	while (sleep <= CC_TICK && passes++ < 2 * CC_PASSES_TO_SLEEP) {
		cc_test_now += sleep;
		sleep = cc_kccd_pass(cc_test_now);
	}
	KUNIT_EXPECT_GT(test, sleep, CC_TICK);
}

/* Slots in a chain; each must be free, of the class, and of the node. */
static unsigned long check_chain(struct kunit *test, struct cc_class *class,
				 u64 chain, int nid)
{
	unsigned int count = cc_chain_count(chain);
	u32 index = cc_chain_index(chain);

	for (unsigned int i = 0; i < count; i++) {
		struct cc_chunk *chunk;

		KUNIT_EXPECT_NE(test, 0, index);
		if (!index)
			return 0;
		chunk = cc_chunk_by_index(index);
		KUNIT_EXPECT_PTR_EQ(test, chunk->class, class);
		KUNIT_EXPECT_EQ(test, chunk->nid, nid);
		KUNIT_EXPECT_EQ(test, cc_slot_by_index(index)->base,
				chunk->pool.start +
				((phys_addr_t)(index - chunk->index) << class->shift));
		KUNIT_EXPECT_NULL(test, cc_slot_by_index(index)->dev);
		index = cc_slot_by_index(index)->next;
	}
	KUNIT_EXPECT_EQ(test, 0, index);
	return count;
}

static unsigned long check_magazines(struct kunit *test, struct cc_class *class)
{
	unsigned long slots = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct cc_magazine *mag = &per_cpu_ptr(&cc_cpu, cpu)->mag[class - cc_classes];
		u32 inbox = per_cpu_ptr(&cc_cpu, cpu)->inbox[class - cc_classes];
		enum { FOREIGN = 2 };
		u64 heads[] = {
			mag->loaded, mag->spare, [FOREIGN] = mag->foreign,
			inbox ? cc_chain(inbox, cc_slot_by_index(inbox)->size) : 0,
		};

		for (unsigned int i = 0; i < ARRAY_SIZE(heads); i++) {
			u64 chain = heads[i] & ~CC_CHAIN_TID_MASK;

			KUNIT_EXPECT_LE(test, cc_chain_count(chain),
					max(class->mag_size, class->batch));
			KUNIT_EXPECT_EQ(test, !cc_chain_count(chain),
					!cc_chain_index(chain));
			slots += check_chain(test, class, chain,
					     cc_cpu_node(i == FOREIGN ? mag->home : cpu));
		}
	}
	return slots;
}

static unsigned long check_depot(struct kunit *test, struct cc_class *class, int nid)
{
	struct cc_depot *depot = &class->node[nid].depot;
	unsigned long slots = 0;
	u32 head = depot->head;

	while (head) {
		struct cc_slot *first = cc_slot_by_index(head);

		slots += check_chain(test, class, cc_chain(head, first->size), nid);
		head = first->chain;
	}
	KUNIT_EXPECT_EQ(test, slots, depot->slots);
	KUNIT_EXPECT_LE(test, depot->low, depot->slots);
	return slots;
}

/* Pages of mappings that last; they are counted with the class of pages. */
static unsigned long lasting_used(void)
{
	const struct cc_class *class = &cc_classes[CC_LASTING];

	return class->nr_slots - cc_class_pool_free(class);
}

/* Returns the bytes of the class's chunks. */
static unsigned long check_class(struct kunit *test, struct cc_class *class)
{
	unsigned int nr = class - cc_classes;
	unsigned long slots = 0, used = 0, bytes = 0, out;
	struct cc_chunk *chunk;

	list_for_each_entry(chunk, &class->chunks, node) {
		unsigned long n = cc_chunk_slots(chunk);
		unsigned long weight = bitmap_weight(chunk->gpc->bits, n);

		KUNIT_EXPECT_PTR_EQ(test, chunk->class, class);
		KUNIT_EXPECT_EQ(test, chunk->shift, class->shift);
		KUNIT_EXPECT_EQ(test, atomic_long_read(&chunk->gpc->avail),
				(n - weight) << class->shift);
		slots += n;
		used += weight;
		bytes += cc_chunk_bytes(chunk);
	}
	if (nr == CC_LASTING)
		out = lasting_used();
	else
		out = check_magazines(test, class) +
		      cc_test_count(nr, CC_MAPS) - cc_test_count(nr, CC_UNMAPS);
	if (nr == CC_PAGE_CLASS)
		out -= lasting_used();
	for (unsigned int nid = 0; nid < cc_nr_nodes; nid++)
		out += check_depot(test, class, nid);
	KUNIT_EXPECT_EQ(test, slots, class->nr_slots);
	KUNIT_EXPECT_EQ(test, used, out);
	KUNIT_EXPECT_EQ(test, cc_class_pool_free(class), slots - used);
	return bytes;
}

/* References that a page has while nobody else takes one. */
static int refs_of(const struct page *page, const struct cc_chunk *chunk)
{
	phys_addr_t paddr = page_to_phys(page);

	if (cc_chunk_is_coherent(chunk))
		return 1;
	return chunk->class && cc_loan_covers(paddr, PAGE_SIZE) ? 2 : 0;
}

static void check_counts(struct kunit *test, const struct cc_chunk *chunk)
{
	struct page *page = pfn_to_page(PHYS_PFN(chunk->pool.start));
	struct page *end = page + (cc_chunk_bytes(chunk) >> PAGE_SHIFT);
	unsigned long wrong = 0;

	/* The first page of a block may be in the middle of what a test has allocated. */
	for (; page < end; page++)
		if (page != chunk->block->page)
			wrong += page_ref_count(page) != refs_of(page, chunk);
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

/* Returns the bytes of the chunks of coherent allocations. */
static unsigned long check_coherent(struct kunit *test)
{
	struct cc_class *class = &cc_classes[CC_COHERENT];
	unsigned long pages = 0, used = 0;
	struct cc_chunk *chunk;

	list_for_each_entry(chunk, &class->chunks, node) {
		unsigned long n = cc_chunk_slots(chunk);

		KUNIT_EXPECT_PTR_EQ(test, chunk->class, class);
		KUNIT_EXPECT_EQ(test, chunk->shift, PAGE_SHIFT);
		pages += n;
		used += bitmap_weight(chunk->gpc->bits, n);
	}
	KUNIT_EXPECT_EQ(test, pages, class->nr_slots);
	KUNIT_EXPECT_EQ(test, pages - used, cc_class_pool_free(class));
	KUNIT_EXPECT_EQ(test, used << PAGE_SHIFT,
			cc_coherent_bytes() + cc_swiotlb.coherent_held.bytes);
	return pages << PAGE_SHIFT;
}

/* Returns the bytes that the reserve has on a node. */
static unsigned long check_reserve(struct kunit *test, int nid)
{
	struct cc_node *node = &cc_swiotlb.node[nid];
	unsigned long bytes = 0;
	struct cc_chunk *chunk;
	bool whole = false;

	for (unsigned int i = 0; i < CC_NR_CHUNK_SIZES; i++)
		list_for_each_entry(chunk, &node->reserve[i], node) {
			KUNIT_EXPECT_EQ(test, cc_chunk_bytes(chunk),
					1UL << (CC_FRAME_SHIFT + i));
			KUNIT_EXPECT_NULL(test, chunk->class);
			KUNIT_EXPECT_EQ(test, nid, chunk->nid);
			bytes += cc_chunk_bytes(chunk);
			/* Those of whole full-sized blocks are the last ones. */
			KUNIT_EXPECT_LE(test, whole, !list_empty(&chunk->block->whole));
			whole = !list_empty(&chunk->block->whole);
		}
	KUNIT_EXPECT_EQ(test, bytes, node->bytes);
	return bytes;
}

/**
 * cc_test_check() - check that every slot is in exactly one place
 * @test: the test, which must have stopped all mapping
 */
void cc_test_check(struct kunit *test)
{
	unsigned long bytes = 0, on_nodes = 0, reserve = 0, classes = 0;
	struct cc_block *block;
	struct cc_chunk *chunk;

	mutex_lock(&cc_swiotlb.mutex);
	list_for_each_entry(block, &cc_swiotlb.blocks, node) {
		unsigned int nr_reserve = 0;

		bytes += 1UL << block->shift;
		for (unsigned int i = 0; i < block->nr_chunks; i += cc_chunk_parts(chunk)) {
			chunk = &block->chunks[i];
			nr_reserve += !chunk->class;
			if (!cc_swiotlb.coherent_held.bytes && !cc_swiotlb.loans_held.bytes)
				check_counts(test, chunk);
			for (phys_addr_t addr = chunk->pool.start; addr < chunk->pool.end;
			     addr += BIT(CC_FRAME_SHIFT))
				KUNIT_EXPECT_PTR_EQ(test, chunk, cc_chunk_by_addr(addr));
			KUNIT_EXPECT_PTR_EQ(test, cc_slot_by_index(chunk->index),
					    block->slots + (i << (CC_CHUNK_SHIFT -
								  CC_SLOT_MIN_SHIFT)));
		}
		KUNIT_EXPECT_EQ(test, nr_reserve, block->nr_reserve);
		KUNIT_EXPECT_EQ(test, !list_empty(&block->whole),
				block->shift == CC_BLOCK_SHIFT &&
				nr_reserve == block->nr_chunks);
	}
	for (unsigned int nid = 0; nid < cc_nr_nodes; nid++) {
		reserve += check_reserve(test, nid);
		on_nodes += cc_swiotlb.node[nid].shared;
	}
	KUNIT_EXPECT_EQ(test, bytes, on_nodes);
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		classes += check_class(test, &cc_classes[i]);
	classes += check_class(test, &cc_classes[CC_LASTING]);
	KUNIT_EXPECT_EQ(test, reserve, cc_swiotlb.reserve_bytes);
	KUNIT_EXPECT_EQ(test, bytes, cc_swiotlb.shared);
	KUNIT_EXPECT_EQ(test, bytes, reserve + classes + check_coherent(test));
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, cc_swiotlb.peak);
	mutex_unlock(&cc_swiotlb.mutex);
}

#define LOG_LINES	64
#define LOG_WIDTH	320

static struct {
	struct kmsg_dump_iter iter;
	unsigned int lines;
	char line[LOG_LINES][LOG_WIDTH];
} captured;

/**
 * cc_test_log_begin() - remember what is logged from now on
 * @test: the test
 *
 * Warnings that come once per boot come again.
 */
void cc_test_log_begin(struct kunit *test)
{
	size_t len;

	if (!IS_ENABLED(CONFIG_PRINTK))
		kunit_skip(test, "needs CONFIG_PRINTK");
	kmsg_dump_rewind(&captured.iter);
	while (kmsg_dump_get_line(&captured.iter, false, NULL, 0, &len))
		;
	/* What /sys/kernel/debug/clear_warn_once does. */
	generic_bug_clear_once();
	memset(__start_once, 0, __end_once - __start_once);
}

/**
 * cc_test_log_end() - stop remembering
 * @test: the test
 */
void cc_test_log_end(struct kunit *test)
{
	char *line;
	size_t len;

	captured.lines = 0;
	do {
		line = captured.line[captured.lines];
		if (!kmsg_dump_get_line(&captured.iter, false, line,
					LOG_WIDTH - 1, &len))
			break;
		line[len] = 0;
	} while (++captured.lines < LOG_LINES);
}

/**
 * cc_test_log_lines() - count the lines of the log that hold two strings
 * @with: one
 * @and_with: the other
 *
 * Return: the number of lines.
 */
unsigned int cc_test_log_lines(const char *with, const char *and_with)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < captured.lines; i++)
		nr += strstr(captured.line[i], with) &&
		      strstr(captured.line[i], and_with);
	return nr;
}
