// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings that last, as those of a NIC's page pool: they have chunks of their own, so
 * that after a burst of others little more stays shared than what they hold.
 */
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/prandom.h>
#include <linux/vmalloc.h>

#include "cc_test.h"

#define LASTS	DMA_ATTR_SKIP_CPU_SYNC
#define LASTING	(&cc_classes[CC_LASTING])
#define PAGES	(&cc_classes[CC_PAGE_CLASS])

/* What a NIC has for its descriptors, and what disks have in flight */
#define RING	(SZ_16M / PAGE_SIZE)
#define BURST	(SZ_64M / PAGE_SIZE)

struct lasting_test {
	struct device *dev;
	phys_addr_t buf;
	bool force;
	struct rnd_state rnd;
	phys_addr_t ring[RING];
	phys_addr_t burst[BURST];
};

static void start(struct kunit *test, unsigned long classes)
{
	struct cc_options opts;

	cc_test_options(&opts);
	opts.max = SZ_256M;
	if (classes)
		opts.classes = classes;
	cc_fake_begin(test);
	cc_test_start_with(test, &opts, false);
}

static void stop(struct kunit *test)
{
	cc_test_check(test);
	cc_test_stop(test);
	cc_fake_end(test);
}

static int lasting_init(struct kunit *test)
{
	struct lasting_test *t = vzalloc(sizeof(*t));

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	t->dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	t->buf = virt_to_phys(cc_test_buffer(test, SZ_512K));
	for (unsigned int i = 0; i < RING; i++)
		t->ring[i] = (phys_addr_t)DMA_MAPPING_ERROR;
	for (unsigned int i = 0; i < BURST; i++)
		t->burst[i] = (phys_addr_t)DMA_MAPPING_ERROR;
	prandom_seed_state(&t->rnd, 1);
	cc_test_pin(test);
	start(test, 0);
	t->force = t->dev->dma_io_tlb_mem->force_bounce;
	return 0;
}

static struct cc_class *class_of(phys_addr_t tlb)
{
	return cc_chunk_by_addr(tlb)->class;
}

static phys_addr_t map(struct lasting_test *t, size_t size, unsigned long attrs)
{
	return cc_swiotlb_map(t->dev, t->buf, size, 0, attrs);
}

static void map_all(struct lasting_test *t, phys_addr_t *tlb, unsigned int nr,
		    unsigned long attrs)
{
	for (unsigned int i = 0; i < nr; i++) {
		/* kccd is not much slower than who maps. */
		if (i % (SZ_1M / PAGE_SIZE) == 0)
			cc_test_grow();
		if (cc_test_failed(tlb[i]))
			tlb[i] = map(t, PAGE_SIZE, attrs);
	}
}

static void unmap(phys_addr_t *tlb)
{
	if (!cc_test_failed(*tlb))
		cc_test_give(*tlb);
	*tlb = (phys_addr_t)DMA_MAPPING_ERROR;
}

static void unmap_all(phys_addr_t *tlb, unsigned int nr)
{
	while (nr--)
		unmap(&tlb[nr]);
}

/* Whatever was mapped when a test ended early is given back. */
static void lasting_exit(struct kunit *test)
{
	struct lasting_test *t = test->priv;

	if (t && cc_test_started) {
		t->dev->dma_io_tlb_mem->force_bounce = t->force;
		unmap_all(t->ring, RING);
		unmap_all(t->burst, BURST);
		cc_test_check(test);
	}
	cc_test_stop(test);
	cc_fake_end(test);
	vfree(t);
}

/* Which mappings last: those of a page that the driver syncs by itself. */
static void lasting_which(struct kunit *test)
{
	struct lasting_test *t = test->priv;
	static const struct {
		size_t size;
		unsigned long attrs;
		bool lasts;
	} of[] = {
		{ PAGE_SIZE, LASTS, true },
		{ PAGE_SIZE, LASTS | DMA_ATTR_WEAK_ORDERING, true },
		{ PAGE_SIZE / 2 + 1, LASTS, true },
		{ PAGE_SIZE / 2, LASTS, false },
		{ PAGE_SIZE + 1, LASTS, false },
		{ PAGE_SIZE, 0, false },
		{ PAGE_SIZE, DMA_ATTR_WEAK_ORDERING, false },
	};
	phys_addr_t tlb[ARRAY_SIZE(of)];

	for (unsigned int i = 0; i < ARRAY_SIZE(of); i++) {
		tlb[i] = map(t, of[i].size, of[i].attrs);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb[i]));
		KUNIT_EXPECT_EQ_MSG(test, of[i].lasts, class_of(tlb[i]) == LASTING,
				    "%zu bytes, %#lx", of[i].size, of[i].attrs);
	}
	cc_test_check(test);
	for (unsigned int i = 0; i < ARRAY_SIZE(of); i++)
		cc_test_give(tlb[i]);
}

/* The reserve learns from them as from others. */
static void lasting_target(struct kunit *test)
{
	struct lasting_test *t = test->priv;
	unsigned long target = cc_swiotlb.target;

	KUNIT_ASSERT_LE(test, target, RING * PAGE_SIZE);
	for (unsigned int i = 0; i < target / PAGE_SIZE; i++) {
		t->ring[i] = map(t, PAGE_SIZE, LASTS);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(t->ring[i]));
	}
	cc_test_grow();
	KUNIT_EXPECT_EQ(test, cc_swiotlb.target, 2 * target);
}

/* So they come by the DMA API, and are copied as others are. */
static void lasting_dma_api(struct kunit *test)
{
	struct lasting_test *t = test->priv;
	struct page *page = pfn_to_page(PHYS_PFN(t->buf));
	u8 *buf = phys_to_virt(t->buf), *bounce;
	dma_addr_t dma;

	t->dev->dma_io_tlb_mem->force_bounce = true;
	memset(buf, 0x11, PAGE_SIZE);
	/* Whether a magazine has something or not. */
	for (unsigned int i = 0; i < 2; i++) {
		dma = dma_map_page_attrs(t->dev, page, 0, PAGE_SIZE, DMA_FROM_DEVICE, LASTS);
		KUNIT_ASSERT_FALSE(test, dma_mapping_error(t->dev, dma));
		KUNIT_EXPECT_PTR_EQ(test, LASTING, class_of(dma_to_phys(t->dev, dma)));
		bounce = cc_test_virt(dma_to_phys(t->dev, dma));
		KUNIT_EXPECT_NULL(test, memchr_inv(bounce, 0x11, PAGE_SIZE));
		memset(bounce, 0x22, PAGE_SIZE);
		dma_sync_single_for_cpu(t->dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
		KUNIT_EXPECT_NULL(test, memchr_inv(buf, 0x22, PAGE_SIZE));
		memset(buf, 0x11, PAGE_SIZE);
		dma_unmap_page_attrs(t->dev, dma, PAGE_SIZE, DMA_FROM_DEVICE, LASTS);
		KUNIT_EXPECT_NULL(test, memchr_inv(buf, 0x11, PAGE_SIZE));
		cc_test_give(map(t, PAGE_SIZE, 0));
	}
}

/* Their slots go back to their gen_pool, not to a magazine, and serve again. */
static void lasting_unmap(struct kunit *test)
{
	struct lasting_test *t = test->priv;
	unsigned long maps = cc_test_count(CC_PAGE_CLASS, CC_MAPS);
	phys_addr_t tlb = map(t, PAGE_SIZE, LASTS);

	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
	KUNIT_EXPECT_EQ(test, cc_class_pool_free(LASTING), LASTING->nr_slots - 1);
	KUNIT_EXPECT_EQ(test, cc_test_count(CC_PAGE_CLASS, CC_MAPS), maps + 1);
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), PAGE_SIZE);
	cc_test_give(tlb);
	KUNIT_EXPECT_EQ(test, cc_class_pool_free(LASTING), LASTING->nr_slots);
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), 0);
	KUNIT_EXPECT_EQ(test, 0, cc_chain_count(cc_test_magazine(CC_PAGE_CLASS)->loaded));
	KUNIT_EXPECT_EQ(test, tlb, map(t, PAGE_SIZE, LASTS));
	cc_test_give(tlb);
}

/* They are counted with the class of pages, and their chunks are told apart. */
static void lasting_stats(struct kunit *test)
{
	struct lasting_test *t = test->priv;
	unsigned long slots, in_use, high, cached;
	char row[32], *text;
	phys_addr_t tlb[2];
	int n;

	cc_test_files(test);
	tlb[0] = map(t, PAGE_SIZE, LASTS);
	tlb[1] = map(t, PAGE_SIZE, 0);
	snprintf(row, sizeof(row), "\n%6lu", PAGE_SIZE);
	text = strstr(cc_test_read(test, "debugfs", "swiotlb/cc/stats"), row);
	KUNIT_ASSERT_NOT_NULL(test, text);
	n = sscanf(text + strlen(row), "%lu %lu %lu %lu", &slots, &in_use, &high, &cached);
	KUNIT_ASSERT_EQ(test, n, 4);
	KUNIT_EXPECT_EQ(test, slots, LASTING->nr_slots + PAGES->nr_slots);
	KUNIT_EXPECT_EQ(test, in_use, 2);
	KUNIT_EXPECT_EQ(test, high, 1 + PAGES->batch);
	KUNIT_EXPECT_EQ(test, cached, PAGES->batch - 1);
	text = cc_test_read(test, "debugfs", "swiotlb/cc/chunks");
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, " lasting "));
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, " used "));
	for (unsigned int i = 0; i < ARRAY_SIZE(tlb); i++)
		cc_test_give(tlb[i]);
}

/* What is kept of the reserve when idle is theirs by a half; then other slots serve. */
static void lasting_reserve(struct kunit *test)
{
	struct lasting_test *t = test->priv;
	unsigned long reserve;
	unsigned int i;

	atomic_set(&cc_kicks.asked, 0);
	for (i = 0; i < RING; i++) {
		reserve = cc_swiotlb.reserve_bytes;
		/* kccd has heard of the first chunk that is missing. */
		KUNIT_EXPECT_EQ(test, !!atomic_read(&cc_kicks.asked), reserve < cc_swiotlb.target);
		t->ring[i] = map(t, PAGE_SIZE, LASTS);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(t->ring[i]));
		if (class_of(t->ring[i]) != LASTING)
			break;
	}
	KUNIT_EXPECT_PTR_EQ(test, PAGES, class_of(t->ring[i]));
	KUNIT_EXPECT_EQ(test, i, LASTING->nr_slots);
	KUNIT_EXPECT_GE(test, reserve, cc_swiotlb.reserve_min / 2);
	KUNIT_EXPECT_LT(test, reserve, cc_swiotlb.reserve_min / 2 + BIT(CC_CHUNK_SHIFT));
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
	cc_test_grow();
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
	cc_test_give(t->ring[i]);
	t->ring[i] = map(t, PAGE_SIZE, LASTS);
	KUNIT_EXPECT_PTR_EQ(test, LASTING, class_of(t->ring[i]));
	unmap_all(t->ring, RING);
}

/* A device that does not reach the page has another one, or none; nothing is lost. */
static void lasting_unreached(struct kunit *test)
{
	struct lasting_test *t = test->priv;
	struct device *narrow = cc_test_device(test, DMA_BIT_MASK(20), 0);
	phys_addr_t tlb = map(t, PAGE_SIZE, LASTS);

	KUNIT_ASSERT_GT(test, tlb, DMA_BIT_MASK(20));
	KUNIT_EXPECT_TRUE(test, cc_test_failed(cc_swiotlb_map(narrow, t->buf, PAGE_SIZE, 0,
							      LASTS)));
	cc_test_check(test);
	cc_test_give(tlb);
	KUNIT_EXPECT_EQ(test, cc_class_pool_free(LASTING), LASTING->nr_slots);
}

/* Only if pages are a size that is used. */
static void lasting_no_pages(struct kunit *test)
{
	struct lasting_test *t = test->priv;
	phys_addr_t tlb;

	stop(test);
	start(test, CC_TEST_CLASSES & ~BIT(PAGE_SHIFT));
	tlb = map(t, PAGE_SIZE, LASTS);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
	KUNIT_EXPECT_PTR_EQ(test, PAGES + 1, class_of(tlb));
	cc_test_give(tlb);
}

/* Of the node of the CPU, or as any other mapping */
static void lasting_nodes(struct kunit *test)
{
	struct lasting_test *t = test->priv;
	phys_addr_t tlb[3];

	cc_test_stop(test);
	cc_fake_end(test);
	cc_fake_begin(test);
	cc_fake_nodes(test, 3);
	cc_test_start(test);
	for (unsigned int nid = 0; nid < 2; nid++) {
		cc_fake.cpu_node = nid;
		cc_reserve_use(nid);
		cc_kccd_ask(CC_ASK_ALL);
		cc_test_grow();
		tlb[nid] = map(t, PAGE_SIZE, LASTS);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb[nid]));
		KUNIT_EXPECT_PTR_EQ(test, LASTING, class_of(tlb[nid]));
		KUNIT_EXPECT_EQ(test, nid, cc_chunk_by_addr(tlb[nid])->nid);
	}
	/* One without memory has no use for that of another one: any slot will do. */
	cc_fake.cpu_node = 2;
	tlb[2] = map(t, PAGE_SIZE, LASTS);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb[2]));
	KUNIT_EXPECT_PTR_EQ(test, PAGES, class_of(tlb[2]));
	cc_test_check(test);
	for (unsigned int nid = 0; nid < 3; nid++)
		cc_test_give(tlb[nid]);
	for (unsigned int nid = 0; nid < 2; nid++)
		KUNIT_EXPECT_EQ(test, atomic_long_read(&LASTING->node[nid].pool_free),
				LASTING->nr_slots / 2);
}

/*
 * A NIC comes up while disks have a lull in their burst: free slots are all over the place.
 * When the disks rest, what is shared is what the NIC holds, and not much more.
 */
static void lasting_after_burst(struct kunit *test)
{
	struct lasting_test *t = test->priv;
	unsigned long held = RING * PAGE_SIZE;

	map_all(t, t->burst, BURST, 0);
	KUNIT_ASSERT_GE(test, cc_swiotlb.shared, SZ_64M);
	for (unsigned int i = 0; i < BURST / 2; i++)
		unmap(&t->burst[prandom_u32_state(&t->rnd) % BURST]);
	map_all(t, t->ring, RING, LASTS);
	map_all(t, t->burst, BURST, 0);
	cc_test_check(test);
	unmap_all(t->burst, BURST);
	for (unsigned int second = 0; second < 120; second++) {
		cc_test_tick();
		cc_test_grow();
	}
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), held);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, held + held / 4 + cc_swiotlb.reserve_min);
	kunit_info(test, "%lu KiB shared, %lu KiB held, %lu KiB kept in the reserve",
		   cc_swiotlb.shared >> 10, held >> 10, cc_swiotlb.reserve_min >> 10);

	/* The NIC goes down, and so does its memory. */
	unmap_all(t->ring, RING);
	for (unsigned int second = 0; second < 120; second++)
		cc_test_tick();
	KUNIT_EXPECT_EQ(test, LASTING->nr_slots, 0);
}

/*
 * Beside a ring that fills many chunks, some pages come and go: they find what has come
 * back, wherever that is, and no chunk more is taken for them each time.
 */
static void lasting_churn(struct kunit *test)
{
	struct lasting_test *t = test->priv;
	unsigned int nr = SZ_512K / PAGE_SIZE * 3;
	unsigned long slots;

	/* More chunks than a mapping looks at, if it has a choice. */
	map_all(t, t->burst, BURST, LASTS);
	map_all(t, t->ring, nr, LASTS);
	slots = LASTING->nr_slots;
	KUNIT_ASSERT_GT(test, slots, 64 * SZ_512K / PAGE_SIZE);
	for (unsigned int second = 0; second < 100; second++) {
		for (unsigned int i = 0; i < nr; i++) {
			unmap(&t->ring[i]);
			t->ring[i] = map(t, PAGE_SIZE, LASTS);
		}
		unmap_all(t->ring, nr);
		map_all(t, t->ring, nr, LASTS);
		cc_test_tick();
	}
	KUNIT_EXPECT_LE(test, LASTING->nr_slots, slots + 2 * SZ_512K / PAGE_SIZE);
	unmap_all(t->burst, BURST);
	unmap_all(t->ring, RING);
}

static struct kunit_case lasting_cases[] = {
	KUNIT_CASE(lasting_which),
	KUNIT_CASE(lasting_target),
	KUNIT_CASE(lasting_dma_api),
	KUNIT_CASE(lasting_unmap),
	KUNIT_CASE(lasting_stats),
	KUNIT_CASE(lasting_reserve),
	KUNIT_CASE(lasting_unreached),
	KUNIT_CASE(lasting_no_pages),
	KUNIT_CASE(lasting_nodes),
	KUNIT_CASE(lasting_after_burst),
	KUNIT_CASE(lasting_churn),
	{}
};

static struct kunit_suite lasting_suite = {
	.name = "cc_swiotlb_lasting",
	.init = lasting_init,
	.exit = lasting_exit,
	.test_cases = lasting_cases,
};

kunit_test_suite(lasting_suite);

MODULE_DESCRIPTION("Test of cc-swiotlb with mappings that last");
MODULE_LICENSE("GPL");
