// SPDX-License-Identifier: GPL-2.0-only
/*
 * Chunks: reserve, lookup by address, quarantine, and what remains when the
 * page allocator, the allocation of metadata, or a conversion fails.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/dma-map-ops.h>
#include <linux/kthread.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/set_memory.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "cc_test.h"

static int fake_init(struct kunit *test)
{
	cc_fake_begin(test);
	cc_test_start(test);
	return 0;
}

static void fake_exit(struct kunit *test)
{
	cc_test_stop(test);
	cc_fake_end(test);
}

/* Only the addresses of chunks are found, and all of them. */
static void chunk_lookup(struct kunit *test)
{
	void *buf = kunit_kzalloc(test, SZ_1K, GFP_KERNEL);
	void *vmem = vmalloc(PAGE_SIZE);
	struct cc_block *block;
	phys_addr_t foreign[] = {
		0, 1, ~0ULL, ~0ULL >> 1, 1ULL << 32, 1ULL << 40, 1ULL << 52,
		PFN_PHYS(max_pfn), PFN_PHYS(max_pfn) - 1,
		PFN_PHYS(max_pfn) + (1ULL << (CC_FRAME_SHIFT + CC_LEAF_BITS)),
		vmem ? PFN_PHYS(vmalloc_to_pfn(vmem)) : 0,
		buf ? virt_to_phys(buf) : 0, virt_to_phys(phys_to_virt(0)),
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(foreign); i++)
		KUNIT_EXPECT_NULL_MSG(test, cc_swiotlb_find_pool(foreign[i]),
				      "%pa", &foreign[i]);
	vfree(vmem);
	KUNIT_ASSERT_FALSE(test, list_empty(&cc_swiotlb.blocks));
	mutex_lock(&cc_swiotlb.mutex);
	list_for_each_entry(block, &cc_swiotlb.blocks, node) {
		phys_addr_t start = page_to_phys(block->page);

		for (unsigned long i = 0; i < 1UL << block->shift; i += SZ_4K) {
			struct io_tlb_pool *pool = cc_swiotlb_find_pool(start + i);

			/* The mutex is held: go on. */
			KUNIT_EXPECT_NOT_NULL(test, pool);
			if (!pool)
				continue;
			KUNIT_EXPECT_TRUE(test, pool->cc);
			KUNIT_EXPECT_GE(test, start + i, pool->start);
			KUNIT_EXPECT_LT(test, start + i, pool->end);
			KUNIT_EXPECT_PTR_EQ(test, phys_to_virt(start + i),
					    pool->vaddr + (start + i - pool->start));
		}
	}
	mutex_unlock(&cc_swiotlb.mutex);
}

/* Bytes of all memory whose address is found. */
static unsigned long found_bytes(void)
{
	unsigned long found = 0;

	for (phys_addr_t a = 0; a < PFN_PHYS(max_pfn); a += SZ_64K)
		if (cc_swiotlb_find_pool(a))
			found += SZ_64K;
	return found;
}

/* Each address in memory is found if it is in a block, and only then. */
static void chunk_lookup_all(struct kunit *test)
{
	KUNIT_EXPECT_GT(test, cc_swiotlb.shared, 0);
	KUNIT_EXPECT_EQ(test, found_bytes(), cc_swiotlb.shared);
}

static unsigned int nr_blocks(void)
{
	return list_count_nodes(&cc_swiotlb.blocks);
}

/* Blocks are as large as one entry of the direct map, and aligned. */
static void chunk_block_size(struct kunit *test)
{
	unsigned int order = CC_BLOCK_SHIFT - PAGE_SHIFT;
	struct cc_block *block;

	if (order > MAX_PAGE_ORDER)
		kunit_skip(test, "no page is that large");
	KUNIT_ASSERT_FALSE(test, list_empty(&cc_swiotlb.blocks));
	list_for_each_entry(block, &cc_swiotlb.blocks, node) {
		KUNIT_EXPECT_EQ(test, block->shift, CC_BLOCK_SHIFT);
		KUNIT_EXPECT_TRUE(test, IS_ALIGNED(page_to_phys(block->page), SZ_2M));
		KUNIT_EXPECT_EQ(test, block->nr_chunks, 4);
	}
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, nr_blocks() * SZ_2M);
}

static const unsigned int order_params[] = { 4, 5, 6, 7, 8 };

static void order_desc(const unsigned int *p, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "order %u", *p);
}

KUNIT_ARRAY_PARAM(order, order_params, order_desc);

/* Fragmented memory gives smaller blocks, and the reserve is filled all the same. */
static void chunk_fragmented(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	size_t size = min(PAGE_SIZE << order, SZ_512K);
	u8 *buf = cc_test_buffer(test, SZ_512K);
	phys_addr_t tlb[32];
	unsigned int nr;

	cc_test_settle(test);
	cc_fake.max_order = order;
	for (unsigned int i = 0; i < ARRAY_SIZE(tlb); i++) {
		memset(buf, i, size);
		tlb[i] = cc_test_map(dev, buf, size, 0, DMA_TO_DEVICE);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb[i]));
		KUNIT_EXPECT_NOT_NULL(test, cc_swiotlb_find_pool(tlb[i]));
		cc_test_grow();
	}
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
	for (unsigned int i = 0; i < ARRAY_SIZE(tlb); i++) {
		KUNIT_EXPECT_NULL(test, memchr_inv(cc_test_virt(tlb[i]), i, size));
		cc_test_unmap(dev, tlb[i], size, DMA_TO_DEVICE);
	}
	/* Chunks that are too small for the largest class do not serve it. */
	for (nr = 0; nr < ARRAY_SIZE(tlb); nr++) {
		tlb[nr] = cc_swiotlb_map(dev, virt_to_phys(buf), SZ_512K, 0, 0);
		if (cc_test_failed(tlb[nr]))
			break;
		KUNIT_EXPECT_EQ(test, cc_chunk_bytes(cc_chunk_by_addr(tlb[nr])),
				SZ_512K);
		cc_test_grow();
	}
	KUNIT_EXPECT_EQ(test, nr == ARRAY_SIZE(tlb), size == SZ_512K);
	while (nr--)
		cc_test_give(tlb[nr]);
	cc_test_check(test);
}

/* A broken block is taken before a whole one, so that whole ones stay. */
static void chunk_reserve_order(struct kunit *test)
{
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	u8 *buf = cc_test_buffer(test, SZ_16K);
	struct cc_block *block;
	unsigned int broken = 0;
	phys_addr_t tlb[3];

	KUNIT_ASSERT_GE(test, nr_blocks(), 2);
	for (unsigned int i = 0; i < ARRAY_SIZE(tlb); i++) {
		tlb[i] = cc_test_map(dev, buf, 512 << (2 * i), 0, DMA_TO_DEVICE);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb[i]));
	}
	/* Two 512 KiB chunks for the mark of the largest class, and three. */
	list_for_each_entry(block, &cc_swiotlb.blocks, node)
		broken += block->nr_reserve && block->nr_reserve < block->nr_chunks;
	KUNIT_EXPECT_LE(test, broken, 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(tlb); i++)
		cc_test_unmap(dev, tlb[i], 512 << (2 * i), DMA_TO_DEVICE);
}

/* A class gives its chunks back only when none of their slots is used. */
static void chunk_retire(struct kunit *test)
{
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	u8 *buf = cc_test_buffer(test, SZ_64K);
	struct cc_class *class = &cc_classes[cc_test_class(SZ_64K)];
	phys_addr_t tlb = cc_test_map(dev, buf, SZ_64K, 0, DMA_TO_DEVICE);
	unsigned long slots = class->nr_slots, reserve = cc_swiotlb.reserve_bytes;
	LIST_HEAD(retired);

	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
	KUNIT_ASSERT_GT(test, slots, 0);
	cc_test_drain_all();
	cc_depot_drain(class, 0, UINT_MAX);
	KUNIT_EXPECT_EQ(test, cc_test_retire(class, ULONG_MAX), 0);
	KUNIT_EXPECT_EQ(test, class->nr_slots, slots);
	cc_test_check(test);

	cc_test_unmap(dev, tlb, SZ_64K, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ_MSG(test, cc_test_retire(class, ULONG_MAX), 0,
			    "the slot is in a magazine");
	cc_test_drain_all();
	cc_depot_drain(class, 0, UINT_MAX);
	KUNIT_EXPECT_EQ(test, cc_test_retire(class, slots - 1), 0);
	/* Nor one that has come since kccd has looked. */
	mutex_lock(&cc_swiotlb.mutex);
	KUNIT_EXPECT_EQ(test, 0, cc_class_retire(class, ULONG_MAX, class->nr_joined - 1,
						 &retired));
	mutex_unlock(&cc_swiotlb.mutex);
	KUNIT_EXPECT_TRUE(test, list_empty(&retired));
	KUNIT_EXPECT_EQ(test, cc_test_retire(class, ULONG_MAX), slots);
	KUNIT_EXPECT_EQ(test, class->nr_slots, 0);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.reserve_bytes, reserve + (slots << class->shift));
	cc_test_check(test);
}

/* A block goes back only as a whole, and never below what is to be kept. */
static void chunk_shrink(struct kunit *test)
{
	unsigned long before = cc_swiotlb.shared, done;

	mutex_lock(&cc_swiotlb.mutex);
	KUNIT_EXPECT_EQ(test, 0, cc_block_grow(SZ_2M, CC_FRAME_SHIFT, NUMA_NO_NODE));
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, before + SZ_2M);
	KUNIT_EXPECT_EQ(test, 0, cc_block_shrink(cc_swiotlb.reserve_bytes, ULONG_MAX));
	KUNIT_EXPECT_EQ(test, 0, cc_block_shrink(cc_swiotlb.reserve_bytes - SZ_2M + 1, ULONG_MAX));
	KUNIT_EXPECT_EQ(test, 0, cc_block_shrink(0, SZ_2M - 1));
	KUNIT_EXPECT_EQ(test, SZ_2M, cc_block_shrink(cc_swiotlb.reserve_bytes - SZ_2M, ULONG_MAX));
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, before);
	done = cc_block_shrink(0, ULONG_MAX);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, before - done);
	/* The mark of the largest class lives in one block. */
	KUNIT_EXPECT_EQ(test, nr_blocks(), 1);
	mutex_unlock(&cc_swiotlb.mutex);
	cc_test_check(test);
}

/* Small blocks go before large ones, even before those that are younger. */
static void chunk_shrink_small(struct kunit *test)
{
	mutex_lock(&cc_swiotlb.mutex);
	KUNIT_EXPECT_EQ(test, 0, cc_block_grow(SZ_64K, CC_FRAME_SHIFT, NUMA_NO_NODE));
	KUNIT_EXPECT_EQ(test, 0, cc_block_grow(SZ_2M, CC_FRAME_SHIFT, NUMA_NO_NODE));
	/* After that no room is left for a large one. */
	KUNIT_EXPECT_EQ(test, SZ_64K, cc_block_shrink(0, SZ_2M));
	KUNIT_EXPECT_EQ(test, SZ_2M, cc_block_shrink(0, SZ_2M));
	mutex_unlock(&cc_swiotlb.mutex);
	cc_test_check(test);
}

static u32 first_index(const struct cc_block *block)
{
	return block->slots - cc_slots;
}

static u32 end_index(const struct cc_block *block)
{
	return first_index(block) + (1U << (block->shift - CC_SLOT_MIN_SHIFT));
}

/* No two blocks share an index, 0 is that of none, and all are used again. */
static void chunk_indexes(struct kunit *test)
{
	struct cc_block *block, *other;
	u32 end = 0;

	mutex_lock(&cc_swiotlb.mutex);
	for (int i = 0; i < 20; i++) {
		KUNIT_EXPECT_EQ(test, 0, cc_block_grow(SZ_2M, CC_FRAME_SHIFT, NUMA_NO_NODE));
		block = list_last_entry(&cc_swiotlb.blocks, struct cc_block, node);
		end = end ?: end_index(block);
		KUNIT_EXPECT_EQ(test, end_index(block), end);
		KUNIT_EXPECT_EQ(test, SZ_2M, cc_block_shrink(0, SZ_2M));
	}
	for (unsigned int size = SZ_64K; size <= SZ_2M; size *= 2)
		KUNIT_EXPECT_EQ(test, 0, cc_block_grow(size, CC_FRAME_SHIFT, NUMA_NO_NODE));
	list_for_each_entry(block, &cc_swiotlb.blocks, node) {
		KUNIT_EXPECT_GT(test, first_index(block), 0);
		list_for_each_entry(other, &cc_swiotlb.blocks, node)
			KUNIT_EXPECT_TRUE(test, other == block ||
					  end_index(other) <= first_index(block) ||
					  end_index(block) <= first_index(other));
	}
	mutex_unlock(&cc_swiotlb.mutex);
	cc_test_check(test);
}

struct reader {
	struct completion inside;
	bool left;
};

/* Somebody who has found a chunk and looks at it for a while. */
static int read_for_long(void *arg)
{
	unsigned long end = jiffies + HZ / 5;
	struct reader *r = arg;

	rcu_read_lock();
	complete(&r->inside);
	while (time_before(jiffies, end))
		cpu_relax();
	WRITE_ONCE(r->left, true);
	rcu_read_unlock();
	return 0;
}

static void start_reader(struct kunit *test, struct reader *r)
{
	unsigned int cpu = cpumask_any_but(cpu_online_mask, 0);
	struct task_struct *task;

	r->left = false;
	init_completion(&r->inside);
	task = kthread_create_on_cpu(read_for_long, r, cpu, "cc-reader/%u");
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, task);
	/* The mutex may be held: that nobody was inside is seen later. */
	if (IS_ERR(task))
		return;
	wake_up_process(task);
	wait_for_completion(&r->inside);
}

/* Neither a descriptor nor memory is used again while somebody looks at it. */
static void chunk_readers(struct kunit *test)
{
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	u8 *buf = cc_test_buffer(test, SZ_64K);
	struct cc_class *class = &cc_classes[cc_test_class(SZ_64K)];
	struct reader *r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);
	phys_addr_t tlb;

	KUNIT_ASSERT_NOT_NULL(test, r);
	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");
	cc_test_pin(test);
	tlb = cc_test_map(dev, buf, SZ_64K, 0, DMA_TO_DEVICE);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
	cc_test_unmap(dev, tlb, SZ_64K, DMA_TO_DEVICE);
	cc_test_drain_all();
	cc_depot_drain(class, 0, UINT_MAX);
	start_reader(test, r);
	KUNIT_EXPECT_GT(test, cc_test_retire(class, ULONG_MAX), 0);
	KUNIT_EXPECT_TRUE(test, READ_ONCE(r->left));
	mutex_lock(&cc_swiotlb.mutex);
	start_reader(test, r);
	KUNIT_EXPECT_EQ(test, SZ_2M, cc_block_shrink(0, SZ_2M));
	KUNIT_EXPECT_TRUE(test, READ_ONCE(r->left));
	mutex_unlock(&cc_swiotlb.mutex);
	/* The reader is done with what the test has allocated. */
	synchronize_rcu();
}

#define ZERO_ORDER	4
#define ZERO_PAGES	16

static struct page *alloc_dirty(unsigned int order, bool try_hard, int nid)
{
	return alloc_pages(GFP_KERNEL, order);
}

/* Fill memory, free it, and allocate as much. Returns how many of it are dirty. */
static unsigned int dirty_pages(struct kunit *test, bool try_hard,
				struct page *(*alloc)(unsigned int, bool, int))
{
	struct page *page[ZERO_PAGES];
	unsigned int dirty = 0;

	for (unsigned int i = 0; i < ZERO_PAGES; i++) {
		page[i] = alloc_pages(GFP_KERNEL, ZERO_ORDER);
		KUNIT_ASSERT_NOT_NULL(test, page[i]);
		memset(page_address(page[i]), 0xff, PAGE_SIZE << ZERO_ORDER);
	}
	for (unsigned int i = 0; i < ZERO_PAGES; i++)
		__free_pages(page[i], ZERO_ORDER);
	for (unsigned int i = 0; i < ZERO_PAGES; i++) {
		page[i] = alloc(ZERO_ORDER, try_hard, NUMA_NO_NODE);
		KUNIT_ASSERT_NOT_NULL(test, page[i]);
		dirty += !!memchr_inv(page_address(page[i]), 0, PAGE_SIZE << ZERO_ORDER);
	}
	for (unsigned int i = 0; i < ZERO_PAGES; i++)
		__free_pages(page[i], ZERO_ORDER);
	return dirty;
}

/* Nothing is left to be read by the host in memory that is to be shared. */
static void chunk_zeroed(struct kunit *test)
{
	kunit_deactivate_static_stub(test, cc_alloc_memory);
	/* What was freed comes back as it was; if not, the rest proves nothing. */
	if (!want_init_on_alloc(GFP_KERNEL) && !want_init_on_free())
		KUNIT_EXPECT_GT(test, dirty_pages(test, true, alloc_dirty), 0);
	KUNIT_EXPECT_EQ(test, dirty_pages(test, true, cc_alloc_memory), 0);
	KUNIT_EXPECT_EQ(test, dirty_pages(test, false, cc_alloc_memory), 0);
}

/* What cannot be converted back is never used or freed, but counted. */
static void chunk_quarantine(struct kunit *test)
{
	unsigned long before = cc_swiotlb.shared;

	cc_test_log_begin(test);
	mutex_lock(&cc_swiotlb.mutex);
	/* Decrypting fails, and so does the way back. */
	cc_fake_fail(CC_FAKE_SHARE, 0, 1);
	cc_fake_fail(CC_FAKE_UNSHARE, 0, 1);
	KUNIT_EXPECT_EQ(test, -EIO, cc_block_grow(SZ_2M, CC_FRAME_SHIFT, NUMA_NO_NODE));
	KUNIT_EXPECT_EQ(test, cc_swiotlb.quarantined, SZ_2M);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, before);
	/* Decrypting fails, but the way back works. */
	cc_fake_fail(CC_FAKE_SHARE, 0, 1);
	KUNIT_EXPECT_EQ(test, -EIO, cc_block_grow(SZ_2M, CC_FRAME_SHIFT, NUMA_NO_NODE));
	KUNIT_EXPECT_EQ(test, cc_swiotlb.quarantined, SZ_2M);
	/* Encrypting fails when memory is returned, but the way back works. */
	cc_test_set_lossy(false);
	KUNIT_EXPECT_EQ(test, 0, cc_block_grow(SZ_2M, CC_FRAME_SHIFT, NUMA_NO_NODE));
	cc_fake_fail(CC_FAKE_UNSHARE, 0, 1);
	KUNIT_EXPECT_EQ(test, 0, cc_block_shrink(0, SZ_2M));
	KUNIT_EXPECT_EQ(test, cc_swiotlb.quarantined, SZ_2M);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, before + SZ_2M);
	KUNIT_EXPECT_EQ(test, found_bytes(), cc_swiotlb.shared);
	/* Encrypting fails, and so does the way back. */
	cc_fake_fail(CC_FAKE_UNSHARE, 0, 1);
	cc_fake_fail(CC_FAKE_SHARE, 0, 1);
	KUNIT_EXPECT_EQ(test, 0, cc_block_shrink(0, SZ_2M));
	KUNIT_EXPECT_EQ(test, cc_swiotlb.quarantined, SZ_4M);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, before);
	mutex_unlock(&cc_swiotlb.mutex);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 2, cc_test_log_lines("state of", "unknown"));
	KUNIT_EXPECT_EQ(test, cc_convert_stats.failed[true], 3);
	KUNIT_EXPECT_EQ(test, cc_convert_stats.failed[false], 3);
	KUNIT_EXPECT_EQ(test, found_bytes(), cc_swiotlb.shared);
	cc_test_check(test);
}

struct fail_param {
	const char *name;
	bool fails[CC_FAKE_NR];
	unsigned int nr;
};

static const struct fail_param fail_params[] = {
	{ "one page allocation", { [CC_FAKE_MEMORY] = true }, 1 },
	{ "all page allocations", { [CC_FAKE_MEMORY] = true }, UINT_MAX },
	{ "one metadata allocation", { [CC_FAKE_METADATA] = true }, 1 },
	{ "all metadata allocations", { [CC_FAKE_METADATA] = true }, UINT_MAX },
	{ "one share", { [CC_FAKE_SHARE] = true }, 1 },
	{ "all shares", { [CC_FAKE_SHARE] = true }, UINT_MAX },
	{ "one unshare", { [CC_FAKE_UNSHARE] = true }, 1 },
	{ "all unshares", { [CC_FAKE_UNSHARE] = true }, UINT_MAX },
	{ "one share, all unshares",
	  { [CC_FAKE_SHARE] = true, [CC_FAKE_UNSHARE] = true }, 1 },
};

static void fail_desc(const struct fail_param *p, char *desc)
{
	strscpy(desc, p->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(fail, fail_params, fail_desc);

#define FAIL_CALLS	50
#define FAIL_MAPS	64
#define FAIL_SIZE	SZ_128K

/* A burst that makes kccd convert some 70 blocks, and the way back. */
static void burst(struct kunit *test, struct device *dev, u8 *buf)
{
	phys_addr_t tlb[FAIL_MAPS];

	for (unsigned int i = 0; i < FAIL_MAPS; i++) {
		size_t size = FAIL_SIZE >> (i % 2);

		buf[0] = i;
		buf[size - 1] = ~i;
		tlb[i] = cc_test_tbl_map(dev, virt_to_phys(buf), size, 0,
					 DMA_BIDIRECTIONAL, DMA_ATTR_NO_WARN);
		cc_test_grow();
	}
	for (unsigned int i = 0; i < FAIL_MAPS; i++) {
		size_t size = FAIL_SIZE >> (i % 2);

		if (cc_test_failed(tlb[i]))
			continue;
		swiotlb_tbl_unmap_single(dev, tlb[i], size, DMA_FROM_DEVICE, 0);
		KUNIT_EXPECT_EQ(test, buf[0], (u8)i);
		KUNIT_EXPECT_EQ(test, buf[size - 1], (u8)~i);
	}
}

/* Every call fails in turn. */
static void chunk_failures(struct kunit *test)
{
	const struct fail_param *p = test->param_value;
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	u8 *buf = cc_test_buffer(test, FAIL_SIZE);
	unsigned int reached = 0;
	struct cc_options opts;

	cc_test_options(&opts);
	opts.max = SZ_32M;
	opts.reserve = SZ_2M;
	/* No block will be large enough for the mark of the largest class. */
	memset(opts.mark, 0, sizeof(opts.mark));
	fake_exit(test);
	for (unsigned int n = 0; n < FAIL_CALLS; n++) {
		unsigned int calls = 0;

		cc_fake_begin(test);
		cc_fake.max_order = ilog2(FAIL_SIZE) - PAGE_SHIFT;
		for (unsigned int c = 0; c < CC_FAKE_NR; c++) {
			bool back = c == CC_FAKE_UNSHARE && p->fails[CC_FAKE_SHARE];

			if (p->fails[c])
				cc_fake_fail(c, back ? 0 : n, back ? UINT_MAX : p->nr);
		}
		cc_test_log_begin(test);
		cc_test_start_with(test, &opts, false);
		burst(test, dev, buf);
		cc_test_settle(test);
		cc_test_log_end(test);
		cc_test_check(test);
		KUNIT_EXPECT_EQ(test, found_bytes(), cc_swiotlb.shared);
		/* What cannot be returned stays. */
		if (!p->fails[CC_FAKE_UNSHARE])
			KUNIT_EXPECT_LE(test, cc_swiotlb.shared, SZ_8M);

		/* When it works again, all is as ever. */
		for (unsigned int c = 0; c < CC_FAKE_NR; c++) {
			cc_fake_fail(c, 0, 0);
			if (p->fails[c])
				calls = max(calls, cc_fake.calls[c]);
		}
		reached += calls > n;
		cc_test_now += CC_BACKOFF_MAX;
		KUNIT_EXPECT_EQ(test, 0, cc_test_grow());
		KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
		burst(test, dev, buf);
		cc_test_check(test);
		fake_exit(test);
	}
	kunit_info(test, "%u of %u calls reached", reached, FAIL_CALLS);
	KUNIT_EXPECT_GE(test, reached, FAIL_CALLS / 2);
}

#ifdef CONFIG_X86
static unsigned long direct_map_4k(struct kunit *test)
{
	const char *line = strstr(cc_test_read(test, "proc", "meminfo"),
				  "DirectMap4k:");
	unsigned long kib;

	if (!line || sscanf(line, "DirectMap4k: %lu", &kib) != 1)
		kunit_skip(test, "no DirectMap4k in meminfo");
	return kib;
}

static void set_attribute(struct page *page, unsigned int order, bool share)
{
	unsigned long addr = (unsigned long)page_address(page);

	if (share)
		set_memory_ro(addr, 1 << order);
	else
		set_memory_rw(addr, 1 << order);
}

/* KiB that get small entries when a block of so many bytes is shared. */
static unsigned long split_by(struct kunit *test, size_t bytes)
{
	unsigned long before = direct_map_4k(test);
	int err;

	mutex_lock(&cc_swiotlb.mutex);
	err = cc_block_grow(bytes, ilog2(bytes), NUMA_NO_NODE);
	mutex_unlock(&cc_swiotlb.mutex);
	KUNIT_EXPECT_EQ(test, 0, err);
	return direct_map_4k(test) - before;
}

/*
 * A conversion, which changes an attribute of a block, splits no huge entry of
 * the direct map, because blocks are as large as one; a smaller one would.
 */
static void chunk_whole_entry(struct kunit *test)
{
	unsigned long whole = 0, half = 0;

	cc_fake.converted = set_attribute;
	for (unsigned int i = 0; i < 8; i++) {
		whole += split_by(test, BIT(CC_BLOCK_SHIFT));
		half += split_by(test, BIT(CC_BLOCK_SHIFT) / 2);
	}
	KUNIT_EXPECT_EQ(test, 0, whole);
	if (!whole && !half)
		kunit_skip(test, "no huge entries in the direct map");
	kunit_info(test, "DirectMap4k: %lu KiB more by blocks, %lu KiB by halves",
		   whole, half);
}
#else
static void chunk_whole_entry(struct kunit *test)
{
	kunit_skip(test, "set_memory_ro() is not for the direct map here");
}
#endif

static struct kunit_case chunk_cases[] = {
	KUNIT_CASE(chunk_lookup),
	KUNIT_CASE(chunk_lookup_all),
	KUNIT_CASE(chunk_block_size),
	KUNIT_CASE(chunk_whole_entry),
	KUNIT_CASE_PARAM(chunk_fragmented, order_gen_params),
	KUNIT_CASE(chunk_reserve_order),
	KUNIT_CASE(chunk_retire),
	KUNIT_CASE(chunk_shrink),
	KUNIT_CASE(chunk_shrink_small),
	KUNIT_CASE(chunk_indexes),
	KUNIT_CASE(chunk_readers),
	KUNIT_CASE(chunk_zeroed),
	KUNIT_CASE(chunk_quarantine),
	KUNIT_CASE_PARAM_ATTR(chunk_failures, fail_gen_params,
			      { .speed = KUNIT_SPEED_SLOW }),
	{}
};

static struct kunit_suite chunk_suite = {
	.name = "cc_swiotlb_chunk",
	.init = fake_init,
	.exit = fake_exit,
	.test_cases = chunk_cases,
};

kunit_test_suite(chunk_suite);

MODULE_DESCRIPTION("Tests of the chunks of cc-swiotlb");
MODULE_LICENSE("GPL");
