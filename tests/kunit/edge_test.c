// SPDX-License-Identifier: GPL-2.0-only
/*
 * The edges of what is mapped: nothing at all and too much, the end of a DMA segment, of
 * what a device reaches, and of a block. Most of them with a slot at hand, since then
 * swiotlb_map() may look at less.
 */
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/nodemask.h>
#include <linux/swiotlb.h>
#include <linux/topology.h>

#include "cc_test.h"

/**
 * struct edge_test - a started allocator without kccd, and two devices
 * @wide: has no limits
 * @dev: has those that a test gives it
 * @buf: what is mapped
 */
struct edge_test {
	struct device *wide;
	struct device *dev;
	u8 *buf;
};

static int edge_init(struct kunit *test)
{
	struct edge_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	cc_test_pin(test);
	cc_test_start(test);
	for (unsigned int i = 0; i <= CC_CHUNK_CLASS; i++)
		cc_test_enlarge(&cc_classes[i], 1);
	t->wide = cc_test_device(test, DMA_BIT_MASK(64), 0);
	t->dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	t->buf = cc_test_buffer(test, SZ_1M);
	return 0;
}

/* Leave a free slot in the magazine of this CPU, the next one that it maps. */
static phys_addr_t leave(struct kunit *test, size_t size)
{
	struct edge_test *t = test->priv;
	phys_addr_t tlb = cc_test_map(t->wide, t->buf, size, 0, DMA_TO_DEVICE);

	KUNIT_ASSERT_NOT_NULL(test, cc_swiotlb_find_pool(tlb));
	cc_test_unmap(t->wide, tlb, size, DMA_TO_DEVICE);
	KUNIT_ASSERT_GT(test, cc_chain_count(cc_test_magazine(cc_test_class(size))->loaded), 0);
	return tlb;
}

/* As a driver does it, by the fast path if there is one. */
static dma_addr_t map(struct kunit *test, size_t size)
{
	struct edge_test *t = test->priv;
	dma_addr_t addr;

	cc_test_log_begin(test);
	addr = swiotlb_map(t->dev, virt_to_phys(t->buf), size, DMA_TO_DEVICE, 0);
	cc_test_log_end(test);
	return addr;
}

/* Is it one of ours? */
static bool is_ours(struct kunit *test, dma_addr_t addr)
{
	struct edge_test *t = test->priv;

	return addr != DMA_MAPPING_ERROR && cc_swiotlb_find_pool(dma_to_phys(t->dev, addr));
}

static void unmap(struct kunit *test, dma_addr_t addr, size_t size)
{
	struct edge_test *t = test->priv;

	if (addr != DMA_MAPPING_ERROR)
		cc_test_unmap(t->dev, dma_to_phys(t->dev, addr), size, DMA_TO_DEVICE);
}

/* What is larger than any slot there can be counts for the largest class that is used. */
static void edge_counts_too_large(struct kunit *test)
{
	struct edge_test *t = test->priv;
	unsigned int nr = cc_class_of[cc_max_shift];
	unsigned long failed = cc_test_count(nr, CC_FAILED);

	for (size_t size = SZ_1M; size <= SZ_4M; size *= 2)
		KUNIT_EXPECT_TRUE(test, cc_test_failed(cc_test_tbl_map(t->dev, virt_to_phys(t->buf),
								       size, 0, DMA_TO_DEVICE,
								       DMA_ATTR_NO_WARN)));
	KUNIT_EXPECT_EQ(test, cc_test_count(nr, CC_FAILED), failed + 3);
	KUNIT_EXPECT_EQ(test, cc_test_sum(CC_FAILED), failed + 3);
}

/* The largest slot is not given to what is larger, even if it is at hand. */
static void edge_too_large(struct kunit *test)
{
	dma_addr_t addr;

	leave(test, SZ_512K);
	addr = map(test, SZ_512K + 1);
	KUNIT_EXPECT_EQ(test, addr, DMA_MAPPING_ERROR);
	unmap(test, addr, SZ_512K + 1);
	addr = map(test, SZ_512K);
	KUNIT_EXPECT_TRUE(test, is_ours(test, addr));
	unmap(test, addr, SZ_512K);
	cc_test_check(test);
}

/* A mapping of no byte fails, whatever the offset in front of it. */
static void edge_nothing(struct kunit *test)
{
	static const unsigned int offsets[] = { 0, 1, 100, 511 };
	struct edge_test *t = test->priv;

	dma_set_min_align_mask(t->dev, 511);
	for (unsigned int i = 0; i < ARRAY_SIZE(offsets); i++) {
		phys_addr_t tlb = cc_swiotlb_map(t->dev, virt_to_phys(t->buf) + offsets[i], 0,
						 0, 0);

		KUNIT_EXPECT_TRUE_MSG(test, cc_test_failed(tlb), "offset %u", offsets[i]);
		if (!cc_test_failed(tlb))
			cc_test_give(tlb);
	}
}

static const unsigned long segment_params[] = { SZ_512, SZ_4K, SZ_64K, SZ_512K };

static void segment_desc(const unsigned long *size, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%lu bytes", *size);
}

KUNIT_ARRAY_PARAM(segment, segment_params, segment_desc);

/* What fills a DMA segment is mapped here, and what is larger is not. */
static void edge_segment(struct kunit *test)
{
	unsigned long size = *(const unsigned long *)test->param_value;
	struct edge_test *t = test->priv;
	dma_addr_t addr;

	t->dev->dma_parms->segment_boundary_mask = size - 1;
	leave(test, size);
	addr = map(test, size);
	KUNIT_EXPECT_TRUE(test, is_ours(test, addr));
	KUNIT_EXPECT_EQ(test, addr & (size - 1), 0);
	KUNIT_EXPECT_EQ(test, cc_test_sum(CC_LEGACY), 0);
	unmap(test, addr, size);
	if (2 * size <= SZ_512K)
		leave(test, 2 * size);
	addr = map(test, size + 1);
	KUNIT_EXPECT_FALSE(test, is_ours(test, addr));
	unmap(test, addr, size + 1);
	cc_test_check(test);
}

/* A slot at hand is not given to a device whose bus ends before it. */
static void edge_bus_limit(struct kunit *test)
{
	struct edge_test *t = test->priv;
	phys_addr_t tlb = leave(test, SZ_4K);
	dma_addr_t addr, end = phys_to_dma_unencrypted(t->dev, tlb) + SZ_4K - 1;

	t->dev->bus_dma_limit = end - 1;
	addr = map(test, SZ_4K);
	KUNIT_EXPECT_FALSE(test, is_ours(test, addr));
	unmap(test, addr, SZ_4K);
	t->dev->bus_dma_limit = end;
	addr = map(test, SZ_4K);
	KUNIT_EXPECT_EQ(test, addr, phys_to_dma_unencrypted(t->dev, tlb));
	unmap(test, addr, SZ_4K);
	t->dev->bus_dma_limit = 0;
	cc_test_check(test);
}

/*
 * A bus that reaches everything says so by a limit, too, as on all machines with ACPI on
 * arm64. A slot at hand is taken without a detour.
 */
static void edge_wide_bus(struct kunit *test)
{
	struct cc_magazine *mag = cc_test_magazine(cc_test_class(SZ_4K));
	struct edge_test *t = test->priv;
	phys_addr_t tlb = leave(test, SZ_4K);
	u64 loaded = mag->loaded;
	dma_addr_t addr;

	t->dev->bus_dma_limit = U64_MAX;
	addr = map(test, SZ_4K);
	KUNIT_EXPECT_EQ(test, addr, phys_to_dma_unencrypted(t->dev, tlb));
	KUNIT_EXPECT_EQ(test, (mag->loaded & CC_CHAIN_TID_MASK) - (loaded & CC_CHAIN_TID_MASK),
			CC_CHAIN_TID);
	unmap(test, addr, SZ_4K);
	t->dev->bus_dma_limit = 0;
	cc_test_check(test);
}

/* Where a bus has memory elsewhere, a slot at hand is given with the address there. */
static void edge_range_map(struct kunit *test)
{
	static const struct bus_dma_region elsewhere[] = {
		{ .dma_start = BIT_ULL(40), .size = BIT_ULL(40) }, {}
	};
	struct cc_magazine *mag = cc_test_magazine(cc_test_class(SZ_4K));
	struct edge_test *t = test->priv;
	phys_addr_t tlb;
	u64 loaded;

	if (IS_ENABLED(CONFIG_ARCH_HAS_PHYS_TO_DMA))
		kunit_skip(test, "the architecture has addresses of its own");
	tlb = leave(test, SZ_4K);
	t->dev->dma_range_map = elsewhere;
	KUNIT_EXPECT_NE(test, phys_to_dma_unencrypted(t->dev, tlb),
			phys_to_dma_unencrypted(t->wide, tlb));
	loaded = mag->loaded;
	KUNIT_EXPECT_EQ(test, map(test, SZ_4K), phys_to_dma_unencrypted(t->dev, tlb));
	/* That is known before a slot is looked at. */
	KUNIT_EXPECT_EQ(test, (mag->loaded & CC_CHAIN_TID_MASK) - (loaded & CC_CHAIN_TID_MASK),
			CC_CHAIN_TID);
	cc_test_unmap(t->dev, tlb, SZ_4K, DMA_TO_DEVICE);
	/* It would be freed with the device. */
	t->dev->dma_range_map = NULL;
	cc_test_check(test);
}

/* Who reaches into a block from outside of it reaches shared memory. */
static void edge_holds(struct kunit *test)
{
	struct cc_block *block = list_first_entry(&cc_swiotlb.blocks, struct cc_block, node), *b;
	phys_addr_t low = page_to_phys(block->page), high = low + BIT(block->shift);

	list_for_each_entry(b, &cc_swiotlb.blocks, node) {
		low = min(low, page_to_phys(b->page));
		high = max(high, page_to_phys(b->page) + BIT(b->shift));
	}
	KUNIT_EXPECT_TRUE(test, cc_swiotlb_holds(low - 1, 2));
	KUNIT_EXPECT_TRUE(test, cc_swiotlb_holds(low - SZ_64K - 1, SZ_64K + 2));
	KUNIT_EXPECT_TRUE(test, cc_swiotlb_holds(high - 1, 2));
	KUNIT_EXPECT_FALSE(test, cc_swiotlb_holds(low - 1, 1));
	KUNIT_EXPECT_FALSE(test, cc_swiotlb_holds(high, SZ_64K));
}

/* The first mapping that bounces makes a driver sync, whichever way it comes. */
static void edge_needs_sync(struct kunit *test)
{
	struct edge_test *t = test->priv;
	dma_addr_t addr;

	for (unsigned int i = 0; i < 2; i++) {
		KUNIT_ASSERT_EQ(test, 0, dma_set_mask(t->dev, DMA_BIT_MASK(64)));
		if (dma_dev_need_sync(t->dev))
			kunit_skip(test, "devices sync always");
		if (i)
			leave(test, SZ_4K);
		addr = map(test, SZ_4K);
		KUNIT_EXPECT_TRUE(test, is_ours(test, addr));
		KUNIT_EXPECT_TRUE(test, dma_dev_need_sync(t->dev));
		unmap(test, addr, SZ_4K);
	}
}

#ifdef CONFIG_USE_PERCPU_NUMA_NODE_ID
/*
 * A CPU on a node without memory, as the processor of a board whose slots are empty. Not
 * all architectures name the nearest node that has some.
 */
static void edge_no_memory(struct kunit *test)
{
	int cpu = raw_smp_processor_id(), node = cpu_to_node(cpu), nid, found;
	unsigned long flags;

	for (nid = 0; nid < MAX_NUMNODES && node_state(nid, N_MEMORY); nid++)
		;
	if (nid == MAX_NUMNODES)
		kunit_skip(test, "all nodes have memory");
	local_irq_save(flags);
	set_cpu_numa_node(cpu, nid);
	found = cc_cpu_node(cpu);
	set_cpu_numa_node(cpu, node);
	local_irq_restore(flags);
	KUNIT_EXPECT_TRUE(test, node_state(found, N_MEMORY));
	KUNIT_EXPECT_LT(test, found, nr_node_ids);
}
#endif

static struct kunit_case edge_cases[] = {
	KUNIT_CASE(edge_counts_too_large),
	KUNIT_CASE(edge_too_large),
	KUNIT_CASE(edge_nothing),
	KUNIT_CASE_PARAM(edge_segment, segment_gen_params),
	KUNIT_CASE(edge_bus_limit),
	KUNIT_CASE(edge_wide_bus),
	KUNIT_CASE(edge_range_map),
	KUNIT_CASE(edge_holds),
	KUNIT_CASE(edge_needs_sync),
#ifdef CONFIG_USE_PERCPU_NUMA_NODE_ID
	KUNIT_CASE(edge_no_memory),
#endif
	{}
};

static struct kunit_suite edge_suite = {
	.name = "cc_swiotlb_edge",
	.init = edge_init,
	.exit = cc_test_exit,
	.test_cases = edge_cases,
};

kunit_test_suite(edge_suite);

MODULE_DESCRIPTION("Tests of the edges of what cc-swiotlb maps");
MODULE_LICENSE("GPL");
