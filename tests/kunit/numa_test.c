// SPDX-License-Identifier: GPL-2.0-only
/*
 * NUMA: which node memory comes from and goes back to. The nodes are faked, and all CPUs
 * are on one of them, which the test chooses.
 */
#include <linux/cc_loan.h>
#include <linux/dma-mapping.h>
#include <linux/prandom.h>
#include <linux/random.h>

#include "cc_test.h"

#define SIZE	SZ_4K
#define NODES	3
#define MAPS	600

struct numa_test {
	struct device *dev;
	struct cc_class *class;
	unsigned int nr;
	phys_addr_t buf;
	phys_addr_t tlb[MAPS];
};

static int numa_init(struct kunit *test)
{
	struct numa_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	cc_test_pin(test);
	cc_fake_begin(test);
	cc_fake_nodes(test, NODES);
	cc_test_start(test);
	t->dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	t->buf = virt_to_phys(cc_test_buffer(test, SIZE));
	t->nr = cc_test_class(SIZE);
	t->class = &cc_classes[t->nr];
	cc_test_enlarge(t->class, 16);
	return 0;
}

static void numa_exit(struct kunit *test)
{
	cc_test_stop(test);
	cc_fake_end(test);
	cc_fake_remove(test);
}

/* All CPUs move to a node, and hold nothing of the one before. */
static void move_to(struct kunit *test, int nid)
{
	KUNIT_ASSERT_TRUE(test, cc_test_drain_all());
	cc_fake.cpu_node = nid;
}

static int node_of(phys_addr_t tlb)
{
	return cc_chunk_by_addr(tlb)->nid;
}

static struct cc_slot *slot_of(phys_addr_t tlb)
{
	return cc_slot_by_index(cc_index_by_addr(cc_chunk_by_addr(tlb), tlb));
}

/* Map one after the other. Returns how many of them are on the node. */
static unsigned int map(struct kunit *test, unsigned int from, unsigned int nr, int nid)
{
	struct numa_test *t = test->priv;
	unsigned int there = 0;

	for (unsigned int i = from; i < from + nr; i++) {
		t->tlb[i] = cc_swiotlb_map(t->dev, t->buf, SIZE, 0, 0);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(t->tlb[i]));
		there += node_of(t->tlb[i]) == nid;
	}
	return there;
}

static void unmap(struct kunit *test, unsigned int from, unsigned int nr)
{
	struct numa_test *t = test->priv;

	for (unsigned int i = from; i < from + nr; i++)
		cc_test_give(t->tlb[i]);
}

static long pool_free(struct numa_test *t, int nid)
{
	return atomic_long_read(&t->class->node[nid].pool_free);
}

/* Let mappings take all of the reserve, and put it into no class that a test uses. */
static void take_reserve(int nid)
{
	struct cc_class *other = &cc_classes[cc_test_class(SZ_32K)];

	while (cc_reserve_take(other, nid, LONG_MAX))
		;
}

/* A CPU of the node has mapped, and kccd has done what follows from it. */
static void use(struct kunit *test, int nid)
{
	cc_reserve_use(nid);
	cc_kccd_ask(CC_ASK_ALL);
	cc_test_grow();
	KUNIT_ASSERT_GE(test, cc_swiotlb.node[nid].bytes, cc_reserve_share());
}

/* Nothing is promised to a node that no CPU has mapped on; then it gets its share. */
static void numa_share(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, cc_swiotlb.nr_used, 1);
	KUNIT_EXPECT_GE(test, cc_swiotlb.node[0].bytes, cc_swiotlb.target);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.node[1].bytes, 0);

	move_to(test, 1);
	map(test, 0, 1, 1);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.nr_used, 2);
	KUNIT_EXPECT_EQ(test, cc_reserve_share(), cc_swiotlb.target / 2);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
	KUNIT_EXPECT_EQ(test, cc_test_grow(), 0);
	KUNIT_EXPECT_GE(test, cc_swiotlb.node[0].bytes, cc_reserve_share());
	KUNIT_EXPECT_GE(test, cc_swiotlb.node[1].bytes, cc_reserve_share());
	cc_test_check(test);
	unmap(test, 0, 1);
}

/* It has that again, also if the others have enough, and something was asked for just before. */
static void numa_share_taken(struct kunit *test)
{
	unsigned int nr = 0;

	use(test, 1);
	cc_test_now += CC_BACKOFF_MIN;
	cc_kccd_ask(CC_ASK_ALL);
	cc_kccd_pass(cc_test_now);
	KUNIT_ASSERT_FALSE(test, cc_kccd_pending(cc_test_now));
	move_to(test, 1);
	atomic_set(&cc_kicks.asked, 0);
	while (nr < MAPS && cc_swiotlb.node[1].bytes >= cc_reserve_share())
		nr += map(test, nr, 1, 1);
	KUNIT_EXPECT_LT(test, cc_swiotlb.node[1].bytes, cc_reserve_share());
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
	cc_test_grow();
	KUNIT_EXPECT_GE(test, cc_swiotlb.node[1].bytes, cc_reserve_share());
	unmap(test, 0, nr);
}

/* Each node has its share, also where that is much less than a block. */
static void numa_share_small(struct kunit *test)
{
	struct cc_options opts;

	cc_test_stop(test);
	cc_fake_end(test);
	cc_fake_begin(test);
	cc_fake_nodes(test, NODES);
	cc_test_options(&opts);
	opts.reserve = SZ_2M;
	cc_test_start_with(test, &opts, false);
	for (int nid = 0; nid < NODES; nid++)
		cc_reserve_use(nid);
	cc_kccd_ask(CC_ASK_ALL);
	cc_test_grow();
	for (int nid = 0; nid < NODES; nid++)
		KUNIT_EXPECT_GE(test, cc_swiotlb.node[nid].bytes, cc_reserve_share());
}

/* One node without memory does not keep the next one from its share. */
static void numa_share_refused(struct kunit *test)
{
	cc_fake.no_memory = BIT(1);
	cc_reserve_use(1);
	cc_reserve_use(2);
	cc_test_log_begin(test);
	cc_test_tick();
	cc_test_tick();
	cc_test_log_end(test);
	KUNIT_EXPECT_LT(test, cc_swiotlb.node[1].bytes, cc_reserve_share());
	KUNIT_EXPECT_GE(test, cc_swiotlb.node[2].bytes, cc_reserve_share());
}

/* A CPU maps on its node as long as there is anything. */
static void numa_local(struct kunit *test)
{
	for (int nid = NODES - 1; nid >= 0; nid--) {
		move_to(test, nid);
		use(test, nid);
		KUNIT_EXPECT_EQ(test, map(test, 0, MAPS / 2, nid), MAPS / 2);
		use(test, nid);
		KUNIT_EXPECT_EQ(test, map(test, MAPS / 2, MAPS / 2, nid), MAPS / 2);
		unmap(test, 0, MAPS);
		cc_test_check(test);
	}
	KUNIT_EXPECT_EQ(test, cc_test_sum(CC_REMOTE), 0);
	/* What lies in depots is of their nodes. */
	move_to(test, 0);
	cc_test_check(test);
}

/* Without memory on its node, a CPU maps on another one, and no slot of that stays. */
static void numa_elsewhere(struct kunit *test)
{
	struct numa_test *t = test->priv;
	struct cc_magazine *mag = cc_test_magazine(t->nr);
	unsigned int left;
	long free;

	move_to(test, 1);
	KUNIT_EXPECT_EQ(test, map(test, 0, 3, 0), 3);
	KUNIT_EXPECT_EQ(test, cc_test_count(t->nr, CC_REMOTE), 3);
	KUNIT_EXPECT_EQ(test, slot_of(t->tlb[0])->cpu, CC_NO_CPU);
	KUNIT_EXPECT_EQ(test, cc_chain_count(mag->loaded), 0);
	free = pool_free(t, 0);
	unmap(test, 0, 3);
	KUNIT_EXPECT_EQ(test, pool_free(t, 0), free + 3);
	KUNIT_EXPECT_EQ(test, cc_chain_count(mag->loaded), 0);
	KUNIT_EXPECT_EQ(test, cc_chain_count(mag->foreign), 0);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
	cc_test_check(test);

	/* A magazine in a depot is left there but for one slot. */
	move_to(test, 0);
	map(test, 0, 8, 0);
	unmap(test, 0, 8);
	move_to(test, 1);
	for (unsigned int i = 0; pool_free(t, 0); i++) {
		KUNIT_ASSERT_LT(test, i, MAPS);
		map(test, i, 1, 0);
		free = i + 1;
	}
	KUNIT_EXPECT_GT(test, t->class->node[0].depot.slots, 1);
	/* Nor does the rest leave it meanwhile. */
	left = t->class->node[0].depot.slots;
	t->class->node[0].depot.low = left;
	map(test, free, 1, 0);
	KUNIT_EXPECT_EQ(test, t->class->node[0].depot.low, left - 1);
	KUNIT_EXPECT_EQ(test, slot_of(t->tlb[free])->cpu, CC_NO_CPU);
	KUNIT_EXPECT_EQ(test, cc_chain_count(mag->loaded), 0);
	cc_test_check(test);
	unmap(test, 0, free + 1);
}

/* The chunks of other nodes' reserve come after what their classes have. */
static void numa_reserve_elsewhere(struct kunit *test)
{
	struct numa_test *t = test->priv;
	unsigned long bytes;

	move_to(test, 2);
	take_reserve(2);
	bytes = cc_swiotlb.node[0].bytes;
	KUNIT_ASSERT_GT(test, bytes, 0);
	map(test, 0, 1, 0);
	KUNIT_EXPECT_LT(test, cc_swiotlb.node[0].bytes, bytes);
	bytes = cc_swiotlb.node[0].bytes;
	map(test, 1, 1, 0);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.node[0].bytes, bytes);
	KUNIT_EXPECT_EQ(test, cc_test_count(t->nr, CC_REMOTE), 2);
	KUNIT_EXPECT_FALSE(test, t->class->starved);

	/* With nothing anywhere, the class is starved. */
	take_reserve(NUMA_NO_NODE);
	for (unsigned int i = 2; pool_free(t, 0); i++) {
		KUNIT_ASSERT_LT(test, i, MAPS);
		map(test, i, 1, 0);
		bytes = i + 1;
	}
	t->tlb[bytes] = cc_swiotlb_map(t->dev, t->buf, SIZE, 0, 0);
	KUNIT_EXPECT_TRUE(test, t->class->starved);
	bytes += !cc_test_failed(t->tlb[bytes]);
	unmap(test, 0, bytes);
}

/* A slot of another node that cannot be sent home does not stay here, either. */
static void numa_foreign(struct kunit *test)
{
	struct numa_test *t = test->priv;
	struct cc_magazine *mag = cc_test_magazine(t->nr);
	long free;

	map(test, 0, 2, 0);
	slot_of(t->tlb[0])->cpu = CC_FAKE_CPUS;
	slot_of(t->tlb[1])->cpu = CC_FAKE_CPUS + 1;
	move_to(test, 1);
	free = pool_free(t, 0);
	unmap(test, 0, 1);
	KUNIT_EXPECT_EQ(test, cc_chain_count(mag->foreign), 1);
	unmap(test, 1, 1);
	KUNIT_EXPECT_EQ(test, cc_chain_count(mag->loaded), 0);
	KUNIT_EXPECT_EQ(test, pool_free(t, 0), free + 1);
	cc_test_check(test);
}

/* Nor does one that was collected for a CPU of another node, when nothing else is left. */
static void numa_foreign_taken(struct kunit *test)
{
	struct numa_test *t = test->priv;
	struct cc_magazine *mag = cc_test_magazine(t->nr);

	map(test, 0, 3, 0);
	for (unsigned int i = 0; i < 3; i++)
		slot_of(t->tlb[i])->cpu = CC_FAKE_CPUS;
	move_to(test, 1);
	mutex_lock(&cc_swiotlb.mutex);
	cc_depot_drain(t->class, 0, UINT_MAX);
	mutex_unlock(&cc_swiotlb.mutex);
	unmap(test, 0, 3);
	KUNIT_EXPECT_EQ(test, cc_chain_count(mag->foreign), 3);
	cc_test_check(test);
	map(test, 0, 1, 0);
	KUNIT_EXPECT_EQ(test, cc_chain_count(mag->foreign), 0);
	KUNIT_EXPECT_EQ(test, cc_chain_count(mag->loaded), 0);
	KUNIT_EXPECT_EQ(test, t->class->node[0].depot.slots, 2);
	KUNIT_EXPECT_EQ(test, slot_of(t->tlb[0])->cpu, CC_NO_CPU);
	cc_test_check(test);
	unmap(test, 0, 1);
}

/* A larger slot of another node is better than none. */
static void numa_larger(struct kunit *test)
{
	struct numa_test *t = test->priv;
	struct cc_class *larger = t->class + 1;

	KUNIT_ASSERT_TRUE(test, cc_reserve_take(larger, 0, 1));
	take_reserve(NUMA_NO_NODE);
	move_to(test, 1);
	map(test, 0, 1, 0);
	KUNIT_EXPECT_PTR_EQ(test, cc_chunk_by_addr(t->tlb[0])->class, larger);
	KUNIT_EXPECT_EQ(test, slot_of(t->tlb[0])->cpu, CC_NO_CPU);
	KUNIT_EXPECT_EQ(test, cc_test_count(t->nr, CC_LARGER), 1);
	cc_test_check(test);
	unmap(test, 0, 1);
}

/* What a device does not reach goes back to where it came from. */
static void numa_unreached(struct kunit *test)
{
	struct numa_test *t = test->priv;
	struct device *narrow = cc_test_device(test, DMA_BIT_MASK(13), 0);
	struct cc_magazine *mag = cc_test_magazine(t->nr);

	move_to(test, 1);
	KUNIT_EXPECT_TRUE(test, cc_test_failed(cc_swiotlb_map(narrow, t->buf, SIZE, 0, 0)));
	KUNIT_EXPECT_EQ(test, cc_chain_count(mag->loaded), 0);
	cc_test_check(test);
}

/* A mark is for all nodes together: what others have need not be kept here. */
static void numa_mark(struct kunit *test)
{
	struct numa_test *t = test->priv;
	struct cc_class *larger = t->class + 1;
	unsigned int i;

	KUNIT_ASSERT_TRUE(test, cc_reserve_take(larger, 0, 1));
	move_to(test, 1);
	use(test, 1);
	KUNIT_ASSERT_TRUE(test, cc_reserve_take(larger, 1, 1));
	larger->mark = atomic_long_read(&larger->node[0].pool_free);
	take_reserve(NUMA_NO_NODE);
	/* All of node 1, but not one of node 0. */
	for (i = 0; i < MAPS; i++) {
		t->tlb[i] = cc_swiotlb_map(t->dev, t->buf, SIZE, 0, 0);
		if (cc_test_failed(t->tlb[i]))
			break;
		if (cc_chunk_by_addr(t->tlb[i])->class == larger)
			KUNIT_EXPECT_EQ(test, node_of(t->tlb[i]), 1);
	}
	KUNIT_EXPECT_EQ(test, atomic_long_read(&larger->node[0].pool_free), larger->mark);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&larger->node[1].pool_free), 0);
	unmap(test, 0, i);
	/* Two that look at the same time take what each took for the other's: kccd sees it. */
	move_to(test, 0);
	larger->mark = cc_class_free(larger);
	for (int nid = 0; nid < 2; nid++) {
		move_to(test, nid);
		t->tlb[nid] = cc_swiotlb_map(t->dev, t->buf, 2 * SIZE, 0, 0);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(t->tlb[nid]));
		KUNIT_EXPECT_EQ(test, node_of(t->tlb[nid]), nid);
	}
	KUNIT_EXPECT_LT(test, cc_class_free(larger), larger->mark);
	KUNIT_EXPECT_EQ(test, cc_test_grow(), 0);
	KUNIT_EXPECT_GE(test, cc_class_free(larger), larger->mark);
	for (int nid = 0; nid < 2; nid++) {
		move_to(test, nid);
		unmap(test, nid, 1);
	}
	cc_test_check(test);
}

/* A node without memory does not make kccd share that of others for ever. */
static void numa_refused(struct kunit *test)
{
	cc_fake.no_memory = BIT(1);
	move_to(test, 1);
	map(test, 0, 1, 0);
	KUNIT_EXPECT_EQ(test, cc_test_grow(), 0);
	KUNIT_EXPECT_TRUE(test, cc_swiotlb.node[1].no_memory);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.node[1].bytes, 0);
	cc_test_settle(test);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, cc_swiotlb.target + 2 * SZ_2M);
	KUNIT_EXPECT_EQ(test, cc_kccd_pass(cc_test_now), MAX_SCHEDULE_TIMEOUT);
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_UNSHARE], 0);

	/* When it has some, it is used. */
	cc_fake.no_memory = 0;
	cc_test_tick();
	cc_test_grow();
	KUNIT_EXPECT_GE(test, cc_swiotlb.node[1].bytes, cc_reserve_share());
	unmap(test, 0, 1);
}

/* A host that refuses to convert is not asked more often because a node lacks something. */
static void numa_backoff(struct kunit *test)
{
	unsigned int calls = cc_fake.calls[CC_FAKE_SHARE];
	unsigned long failed = cc_kccd_stats.grow_failed;

	move_to(test, 1);
	cc_reserve_use(1);
	cc_fake_fail(CC_FAKE_SHARE, 0, UINT_MAX);
	for (unsigned int i = 0; i < 60; i++) {
		cc_kccd_ask(CC_ASK_ALL);
		cc_test_tick();
	}
	KUNIT_EXPECT_GT(test, cc_fake.calls[CC_FAKE_SHARE], calls);
	KUNIT_EXPECT_LE(test, cc_fake.calls[CC_FAKE_SHARE], calls + 20);
	KUNIT_EXPECT_GT(test, cc_kccd_stats.grow_failed, failed);
	cc_test_check(test);

	/* A success ends it. */
	cc_fake_fail(CC_FAKE_SHARE, 0, 0);
	cc_test_now += CC_BACKOFF_MAX;
	cc_test_tick();
	KUNIT_EXPECT_GE(test, cc_swiotlb.node[1].bytes, cc_reserve_share());
	cc_fake_fail(CC_FAKE_SHARE, 0, UINT_MAX);
	cc_reserve_use(2);
	cc_test_tick();
	KUNIT_EXPECT_LE(test, cc_grow_backoff(cc_test_now), CC_BACKOFF_MIN);
}

/* What one node has shared before it failed counts when another one is tried. */
static void numa_probe_limit(struct kunit *test)
{
	struct cc_class *largest = &cc_classes[cc_test_class(SZ_512K)];

	move_to(test, 1);
	cc_reserve_use(1);
	take_reserve(NUMA_NO_NODE);
	mutex_lock(&cc_swiotlb.mutex);
	cc_test_set_lossy(true);
	cc_swiotlb.max = cc_swiotlb.shared + SZ_512K;
	mutex_unlock(&cc_swiotlb.mutex);
	WRITE_ONCE(largest->starved, true);
	cc_kccd_ask(CC_ASK_ALL);
	cc_test_grow();
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, cc_swiotlb.max);
	cc_test_check(test);
}

/* The reserve is not doubled for a node where the limit leaves no room. */
static void numa_limit(struct kunit *test)
{
	mutex_lock(&cc_swiotlb.mutex);
	cc_swiotlb.max = cc_swiotlb.shared;
	mutex_unlock(&cc_swiotlb.mutex);
	move_to(test, 1);
	map(test, 0, 1, 0);
	cc_test_grow();
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, cc_swiotlb.max);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.node[1].bytes, 0);
	unmap(test, 0, 1);
	cc_test_settle(test);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, cc_swiotlb.max);
}

/* After a burst, what goes back is of the node that has too much. */
static void numa_return(struct kunit *test)
{
	unsigned long share;

	for (int nid = 0; nid < 2; nid++) {
		move_to(test, nid);
		use(test, nid);
	}
	for (unsigned int i = 0; i < MAPS; i += MAPS / 10) {
		map(test, i, MAPS / 10, 1);
		use(test, 1);
	}
	unmap(test, 0, MAPS);
	cc_test_settle(test);
	share = cc_reserve_share();
	for (int nid = 0; nid < 2; nid++) {
		KUNIT_EXPECT_GE(test, cc_swiotlb.node[nid].bytes, share);
		KUNIT_EXPECT_LT(test, cc_swiotlb.node[nid].bytes, share + SZ_2M);
	}
	cc_test_check(test);
}

/* Coherent memory is on the node of the device. */
static void numa_coherent(struct kunit *test)
{
	struct numa_test *t = test->priv;
	struct page *page;

	use(test, 2);
	/* Without CONFIG_NUMA a device has no node, and this CPU's counts. */
	if (!IS_ENABLED(CONFIG_NUMA))
		move_to(test, 2);
	set_dev_node(t->dev, 2);
	page = cc_swiotlb_alloc_pages(t->dev, SIZE, GFP_ATOMIC);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_EXPECT_EQ(test, node_of(page_to_phys(page)), 2);
	/* It has looked there first, and for nothing more than it needs. */
	KUNIT_EXPECT_EQ(test, cc_classes[CC_COHERENT].nr_slots << PAGE_SHIFT, SZ_512K);
	KUNIT_EXPECT_TRUE(test, cc_swiotlb_free_pages(t->dev, page_to_phys(page), SIZE));
	/* None at all is this CPU's. */
	set_dev_node(t->dev, NUMA_NO_NODE);
	move_to(test, 0);
	page = cc_swiotlb_alloc_pages(t->dev, SIZE, GFP_ATOMIC);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_EXPECT_EQ(test, node_of(page_to_phys(page)), 0);
	KUNIT_EXPECT_TRUE(test, cc_swiotlb_free_pages(t->dev, page_to_phys(page), SIZE));
	cc_test_check(test);
}

/* Where that has no memory, it is on another one. */
static void numa_coherent_elsewhere(struct kunit *test)
{
	struct numa_test *t = test->priv;
	struct page *page;

	move_to(test, 2);
	set_dev_node(t->dev, 2);
	KUNIT_ASSERT_EQ(test, cc_swiotlb.node[2].bytes, 0);
	page = cc_swiotlb_alloc_pages(t->dev, SIZE, GFP_ATOMIC);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_EXPECT_EQ(test, node_of(page_to_phys(page)), 0);
	KUNIT_EXPECT_TRUE(test, cc_swiotlb_free_pages(t->dev, page_to_phys(page), SIZE));
	cc_test_check(test);
}

/* A loan is of the node of the CPU, or there is none; half of the reserve is left. */
static void numa_loan(struct kunit *test)
{
	struct page *page[16];
	unsigned int nr = 0;

	cc_test_lend(test);
	move_to(test, 1);
	KUNIT_EXPECT_NULL(test, cc_loan_alloc(SZ_256K, NUMA_NO_NODE));
	KUNIT_EXPECT_EQ(test, cc_loan_bytes(), 0);
	use(test, 1);
	while (nr < ARRAY_SIZE(page) && (page[nr] = cc_loan_alloc(SZ_256K, NUMA_NO_NODE)))
		KUNIT_EXPECT_EQ(test, node_of(page_to_phys(page[nr++])), 1);
	KUNIT_EXPECT_GT(test, nr, 0);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.reserve_min / 2);
	KUNIT_EXPECT_GE(test, cc_swiotlb.node[1].bytes, cc_swiotlb.reserve_min / 4);
	KUNIT_EXPECT_EQ(test, cc_test_sum(CC_REMOTE), 0);
	cc_test_check(test);
	while (nr--)
		cc_loan_free(page[nr], SZ_256K);
}

/* A loan that is asked for of another node is of that one, and no CPU keeps it. */
static void numa_loan_of_node(struct kunit *test)
{
	struct cc_class *class = &cc_classes[cc_test_class(SZ_256K)];
	struct page *page[16];
	unsigned int nr = 0;

	cc_test_lend(test);
	KUNIT_EXPECT_NULL(test, cc_loan_alloc(SZ_256K, 1));
	use(test, 1);
	while (nr < ARRAY_SIZE(page) && (page[nr] = cc_loan_alloc(SZ_256K, 1))) {
		KUNIT_EXPECT_EQ(test, node_of(page_to_phys(page[nr])), 1);
		KUNIT_EXPECT_EQ(test, slot_of(page_to_phys(page[nr++]))->cpu, CC_NO_CPU);
	}
	KUNIT_ASSERT_GT(test, nr, 1);
	KUNIT_EXPECT_EQ(test, cc_test_sum(CC_REMOTE), nr);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.reserve_min / 2);
	for (unsigned int i = 0; i < nr; i++)
		cc_loan_free(page[i], SZ_256K);
	KUNIT_EXPECT_EQ(test, cc_class_free(class),
			atomic_long_read(&class->node[1].pool_free) + class->node[1].depot.slots);
	cc_test_check(test);

	/* This CPU's magazine has some, which are of another node. */
	map(test, 0, 4, 0);
	unmap(test, 0, 4);
	page[0] = cc_loan_alloc(SIZE, 1);
	KUNIT_EXPECT_TRUE(test, !page[0] || node_of(page_to_phys(page[0])) == 1);
	if (page[0])
		cc_loan_free(page[0], SIZE);

	/* There is no such node, or none with memory. Whose part it is counts by CPUs alone. */
	cc_fake.memoryless = BIT(2);
	for (int nid = 2; nid <= NODES; nid += NODES - 2) {
		page[0] = cc_loan_alloc(SIZE, nid);
		KUNIT_ASSERT_NOT_NULL(test, page[0]);
		KUNIT_EXPECT_EQ(test, node_of(page_to_phys(page[0])), 0);
		cc_loan_free(page[0], SIZE);
	}
	cc_fake.memoryless = 0;
	KUNIT_EXPECT_NULL(test, cc_loan_alloc(SIZE, 2));
	KUNIT_EXPECT_EQ(test, cc_swiotlb.nr_used, 2);
	cc_test_check(test);
}

static unsigned int cpu_on(int nid)
{
	return nid == cc_fake.cpu_node ? raw_smp_processor_id() : CC_FAKE_CPUS + nid;
}

/* Maps, moves and ticks at random: every slot is in one place, and on one node. */
static void numa_random(struct kunit *test)
{
	struct numa_test *t = test->priv;
	u32 seed = get_random_u32();
	struct rnd_state rnd;
	unsigned int nr = 0;

	kunit_info(test, "seed %u\n", seed);
	prandom_seed_state(&rnd, seed);
	for (unsigned int i = 0; i < 3000; i++) {
		u32 what = prandom_u32_state(&rnd) % 64, j;

		if (what == 0) {
			move_to(test, prandom_u32_state(&rnd) % NODES);
			/* A CPU cannot move: what it has mapped was mapped by another one. */
			for (j = 0; j < nr; j++)
				if (slot_of(t->tlb[j])->cpu != CC_NO_CPU)
					slot_of(t->tlb[j])->cpu = cpu_on(node_of(t->tlb[j]));
		} else if (what == 1) {
			cc_fake.no_memory = prandom_u32_state(&rnd) % 7;
		} else if (what < 4) {
			cc_test_tick();
		} else if (what < 8) {
			cc_test_grow();
		} else if (what < 40 && nr < MAPS) {
			t->tlb[nr] = cc_swiotlb_map(t->dev, t->buf, SIZE, 0, 0);
			nr += !cc_test_failed(t->tlb[nr]);
		} else if (nr) {
			j = prandom_u32_state(&rnd) % nr;
			cc_test_give(t->tlb[j]);
			t->tlb[j] = t->tlb[--nr];
		}
		KUNIT_ASSERT_LE(test, cc_swiotlb.shared, cc_swiotlb.max);
	}
	cc_test_check(test);
	unmap(test, 0, nr);
	cc_fake.no_memory = 0;
	cc_test_settle(test);
	cc_test_check(test);
}

static struct kunit_case numa_cases[] = {
	KUNIT_CASE(numa_share),
	KUNIT_CASE(numa_share_taken),
	KUNIT_CASE(numa_share_small),
	KUNIT_CASE(numa_share_refused),
	KUNIT_CASE(numa_local),
	KUNIT_CASE(numa_elsewhere),
	KUNIT_CASE(numa_reserve_elsewhere),
	KUNIT_CASE(numa_foreign),
	KUNIT_CASE(numa_foreign_taken),
	KUNIT_CASE(numa_larger),
	KUNIT_CASE(numa_unreached),
	KUNIT_CASE(numa_mark),
	KUNIT_CASE(numa_refused),
	KUNIT_CASE(numa_backoff),
	KUNIT_CASE(numa_probe_limit),
	KUNIT_CASE(numa_limit),
	KUNIT_CASE(numa_return),
	KUNIT_CASE(numa_coherent),
	KUNIT_CASE(numa_coherent_elsewhere),
	KUNIT_CASE(numa_loan),
	KUNIT_CASE(numa_loan_of_node),
	KUNIT_CASE(numa_random),
	{}
};

static struct kunit_suite numa_suite = {
	.name = "cc_swiotlb_numa",
	.init = numa_init,
	.exit = numa_exit,
	.test_cases = numa_cases,
};

kunit_test_suite(numa_suite);
