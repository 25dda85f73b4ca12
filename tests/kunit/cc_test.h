/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Common to the suites of cc-swiotlb: starting and stopping the allocator,
 * devices that bounce, what must hold whenever nothing moves, the log, and a
 * fake of everything below the allocator that can be made to fail.
 */
#ifndef _CC_SWIOTLB_TEST_H
#define _CC_SWIOTLB_TEST_H

#include <kunit/device.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/swiotlb.h>

#include "../options.h"
#include "../slot.h"

/* A small machine: what the tests take must not be all there is. */
#define CC_TEST_RAM	SZ_1G
/* Those that tests use unless they are about larger ones. */
#define CC_TEST_CLASSES	GENMASK(CC_CHUNK_SHIFT, CC_SLOT_MIN_SHIFT)

/* If the allocator runs, it is one that a test has started. */
extern bool cc_test_started;

void cc_test_options(struct cc_options *opts);
void cc_test_start_with(struct kunit *test, const struct cc_options *opts,
			bool thread);
void cc_test_start(struct kunit *test);
void cc_test_stop(struct kunit *test);
int cc_test_init(struct kunit *test);
void cc_test_exit(struct kunit *test);

struct device *cc_test_device(struct kunit *test, u64 dma_mask,
			      u32 min_align_mask);
void *cc_test_buffer(struct kunit *test, size_t size);
void cc_test_pin(struct kunit *test);

/* The time of day for kccd, in jiffies, when the test makes its passes. */
extern unsigned long cc_test_now;

int cc_test_grow(void);
void cc_test_tick(void);

void cc_test_settle(struct kunit *test);
void cc_test_check(struct kunit *test);
struct cc_magazine *cc_test_magazine(unsigned int nr);
unsigned long cc_test_count(unsigned int nr, enum cc_counter counter);
unsigned long cc_test_sum(enum cc_counter counter);

/* Some kernels update the attributes, and take a pointer. */
static inline phys_addr_t cc_test_tbl_map(struct device *dev, phys_addr_t orig,
					  size_t size, unsigned int align_mask,
					  enum dma_data_direction dir,
					  unsigned long attrs)
{
	return swiotlb_tbl_map_single(dev, orig, size, align_mask, dir,
		__builtin_choose_expr(__same_type(&swiotlb_tbl_map_single,
						  phys_addr_t (*)(struct device *,
								  phys_addr_t, size_t,
								  unsigned int,
								  enum dma_data_direction,
								  unsigned long)),
				      attrs, &attrs));
}

/* The device for which force_dma_unencrypted() is true, where tests say which. */
extern struct device *cc_test_confidential;

/* Some kernels know whether swiotlb's memory is shared. Returns what was known before. */
static inline bool cc_test_set_shared(struct io_tlb_mem *mem, bool shared)
{
#ifdef __DMA_ATTR_ALLOC_CC_SHARED
	swap(mem->cc_shared, shared);
	return shared;
#else
	return true;
#endif
}

void cc_test_lend(struct kunit *test);

phys_addr_t cc_test_map(struct device *dev, void *buf, size_t size,
			unsigned int align_mask, enum dma_data_direction dir);
void cc_test_unmap(struct device *dev, phys_addr_t tlb, size_t size,
		   enum dma_data_direction dir);

static inline bool cc_test_failed(phys_addr_t tlb)
{
	return tlb == (phys_addr_t)DMA_MAPPING_ERROR;
}

/* What the device sees at a bounce address. */
static inline void *cc_test_virt(phys_addr_t tlb)
{
	return phys_to_virt(tlb);
}

static inline unsigned int cc_test_class(size_t size)
{
	return cc_class_of[fls_long(size - 1)];
}

/* Magazines of @slots at least, which they are not where there are many CPUs. */
static inline void cc_test_enlarge(struct cc_class *class, unsigned int slots)
{
	class->mag_size = max(class->mag_size, slots);
	class->batch = clamp(SZ_32K >> class->shift, 1, min(class->mag_size, 16));
}

/* Functions that have no declaration, and the files of the allocator. */
void *cc_test_symbol(struct kunit *test, const char *name);
void cc_test_files(struct kunit *test);
char *cc_test_read(struct kunit *test, const char *fs, const char *path);
int cc_test_write(struct kunit *test, const char *fs, const char *path,
		  const char *text);

/*
 * The log: remembered from begin to end. Warnings that a test provokes are on the console
 * all the same: some consoles are written to later, by a thread that knows no test.
 */
void cc_test_log_begin(struct kunit *test);
void cc_test_log_end(struct kunit *test);
unsigned int cc_test_log_lines(const char *with, const char *and_with);

/* What the fake can do wrong. */
enum cc_fake_call {
	CC_FAKE_MEMORY,
	CC_FAKE_METADATA,
	CC_FAKE_SHARE,
	CC_FAKE_UNSHARE,
	CC_FAKE_NR
};

/* From here on, a CPU on each node, which is not there. */
#define CC_FAKE_CPUS		1000

/**
 * struct cc_fake - fake of page allocation, conversion and metadata
 * @calls: how often each has been called
 * @fail_from: the first call that fails, counted from 0
 * @fail_to: the next one that does not
 * @max_order: larger pages are not to be had
 * @above: physical address below which no page is to be had
 * @nr_nodes: NUMA nodes
 * @cpu_node: the one of all CPUs
 * @no_memory: a bit for each node that has no memory to be had
 * @memoryless: bit n: node n never has any, and node 0 is the nearest
 * @unsharable: a bit for each node whose memory cannot be shared
 * @error: what a conversion that fails says, unless 0: -EIO
 * @allocating: called before each allocation of pages, unless NULL
 * @refused: page that is not made private
 * @unshared: pages that are not shared
 * @nr_unshared: of these
 * @refuses_next: so many more pages will be such
 * @last: page that was freed last, if it is given for the next allocation, or NULL
 * @last_order: log2 of its number of pages
 * @gives_last: it is
 * @converted: called for each conversion that works, unless NULL
 * @blocks: memory that has not been freed
 * @metadata: pieces of metadata that have not been freed
 */
struct cc_fake {
	unsigned int calls[CC_FAKE_NR];
	unsigned int fail_from[CC_FAKE_NR];
	unsigned int fail_to[CC_FAKE_NR];
	unsigned int max_order;
	phys_addr_t above;
	unsigned int nr_nodes;
	int cpu_node;
	unsigned long no_memory;
	unsigned int memoryless;
	unsigned long unsharable;
	int error;
	void (*allocating)(unsigned int order, bool try_hard, int nid);
	struct page *refused;
	struct page *unshared[2];
	unsigned int nr_unshared;
	unsigned int refuses_next;
	struct page *last;
	unsigned int last_order;
	bool gives_last;
	void (*converted)(struct page *page, unsigned int order, bool share);
	struct list_head blocks;
	unsigned int metadata;
};

extern struct cc_fake cc_fake;

void cc_fake_begin(struct kunit *test);
void cc_fake_nodes(struct kunit *test, unsigned int nr);
void cc_fake_fail(enum cc_fake_call call, unsigned int from, unsigned int nr);
void cc_fake_end(struct kunit *test);
void cc_fake_remove(struct kunit *test);

/* The thread that cc_fake_run() has started. */
extern struct task_struct *cc_fake_thread;

struct task_struct *cc_fake_run(void);

/* Memory was lost, or was not. */
static inline void cc_test_set_lossy(bool lossy)
{
	for (unsigned int nid = 0; nid < cc_nr_nodes; nid++)
		cc_swiotlb.node[nid].lossy = lossy;
}

/* Undo cc_swiotlb_map(), whatever was mapped. */
static inline void cc_test_give(phys_addr_t tlb)
{
	struct cc_chunk *chunk = cc_chunk_by_addr(tlb);
	struct cc_slot *slot = cc_slot_by_index(cc_index_by_addr(chunk, tlb));

	cc_swiotlb_unmap(slot->dev, tlb, slot->size, &chunk->pool);
}

static inline bool cc_test_drain_all(void)
{
	guard(mutex)(&cc_swiotlb.mutex);
	return cc_magazine_drain_all();
}

static inline bool cc_test_drain_idle(void)
{
	guard(mutex)(&cc_swiotlb.mutex);
	return cc_magazine_drain_idle();
}

/* Have the reserve take away what a class does not use, @nr_slots at most. */
static inline unsigned long cc_test_retire(struct cc_class *class, unsigned long nr_slots)
{
	unsigned long done;
	LIST_HEAD(retired);

	mutex_lock(&cc_swiotlb.mutex);
	done = cc_class_retire(class, nr_slots, ULONG_MAX, &retired);
	cc_reserve_add_retired(&retired);
	mutex_unlock(&cc_swiotlb.mutex);
	return done;
}

#endif /* _CC_SWIOTLB_TEST_H */
