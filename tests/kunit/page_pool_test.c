// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page_pool on a device that bounces: its pages are mapped for as long as the
 * pool lives, recycled while they are mapped, and synced in part.
 */
#include <linux/completion.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/interrupt.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>
#include <net/page_pool/helpers.h>

#include "cc_test.h"

#define NR_PAGES	64
#define ROUNDS		20

struct pp_test {
	struct page_pool *pool;
	struct page *page[NR_PAGES];
	dma_addr_t dma[NR_PAGES];
	struct tasklet_struct tasklet;
	struct completion done;
	unsigned int wrong;
	unsigned int lasting;
	unsigned int round;
};

static u8 *device_view(struct device *dev, dma_addr_t dma)
{
	return cc_test_virt(dma_to_phys(dev, dma));
}

/* Receive NR_PAGES packets: the device writes a part, the CPU reads it. */
static void receive(struct pp_test *t)
{
	struct device *dev = t->pool->p.dev;

	for (unsigned int i = 0; i < NR_PAGES; i++) {
		u32 start = 64 * (i % 8), size = 60 + 40 * (i % 30);
		u8 fill = i + 17 * t->round;
		u8 *cpu, *bounce;

		t->page[i] = page_pool_dev_alloc_pages(t->pool);
		if (!t->page[i]) {
			t->wrong++;
			continue;
		}
		t->dma[i] = page_pool_get_dma_addr(t->page[i]);
		cpu = page_address(t->page[i]);
		bounce = device_view(dev, t->dma[i]);
		if (!cc_swiotlb_find_pool(dma_to_phys(dev, t->dma[i])))
			t->wrong++;
		else if (cc_chunk_by_addr(dma_to_phys(dev, t->dma[i]))->class ==
			 &cc_classes[CC_LASTING])
			t->lasting++;
		cpu[start] = ~fill;
		cpu[start + size] = 0xee;
		memset(bounce + start, fill, size);
		bounce[start + size] = 0xdd;
		page_pool_dma_sync_for_cpu(t->pool, t->page[i], start, size);
		if (memchr_inv(cpu + start, fill, size) || cpu[start + size] != 0xee)
			t->wrong++;
	}
}

/* Give the pages back; what the CPU wrote must reach the device. */
static void recycle(struct pp_test *t)
{
	struct device *dev = t->pool->p.dev;

	for (unsigned int i = 0; i < NR_PAGES; i++) {
		u8 *bounce, *cpu;

		if (!t->page[i])
			continue;
		cpu = page_address(t->page[i]);
		bounce = device_view(dev, t->dma[i]);
		memset(cpu, 0x33, PAGE_SIZE);
		memset(bounce, 0x44, PAGE_SIZE);
		/* Half of them are synced in part, the others as a whole. */
		page_pool_put_page(t->pool, t->page[i], i & 1 ? 1000 : -1, false);
		if (bounce[0] != 0x33 || bounce[999] != 0x33 ||
		    bounce[1000] != (i & 1 ? 0x44 : 0x33))
			t->wrong++;
		t->page[i] = NULL;
	}
}

static void receive_softirq(struct tasklet_struct *tasklet)
{
	struct pp_test *t = container_of(tasklet, struct pp_test, tasklet);

	receive(t);
	recycle(t);
	complete(&t->done);
}

static void page_pool_bounced(struct kunit *test)
{
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	struct pp_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	struct page_pool_params params = {
		.flags = PP_FLAG_DMA_MAP | PP_FLAG_DMA_SYNC_DEV,
		.pool_size = 2 * NR_PAGES,
		.nid = NUMA_NO_NODE,
		.dev = dev,
		.dma_dir = DMA_BIDIRECTIONAL,
		.max_len = PAGE_SIZE,
	};
	struct io_tlb_mem *mem = dev->dma_io_tlb_mem;
	bool force = mem->force_bounce;
	unsigned long maps;

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->pool = page_pool_create(&params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t->pool);
	tasklet_setup(&t->tasklet, receive_softirq);
	init_completion(&t->done);
	mem->force_bounce = true;
	/* The first round maps the pages, and all others only sync them. */
	for (t->round = 0; t->round < ROUNDS; t->round++) {
		if (t->round == 1)
			maps = cc_test_sum(CC_MAPS);
		if (t->round & 1) {
			tasklet_schedule(&t->tasklet);
			wait_for_completion(&t->done);
		} else {
			local_bh_disable();
			receive(t);
			local_bh_enable();
			recycle(t);
		}
		cc_test_tick();
		cc_test_grow();
	}
	mem->force_bounce = force;
	tasklet_kill(&t->tasklet);
	KUNIT_EXPECT_EQ(test, t->wrong, 0);
	/* So the slots of such a pool are apart from others. */
	KUNIT_EXPECT_EQ(test, t->lasting, ROUNDS * NR_PAGES);
	KUNIT_EXPECT_GE(test, maps, NR_PAGES);
	/* A page pool may keep some pages on its side; few are mapped anew. */
	KUNIT_EXPECT_LE(test, cc_test_sum(CC_MAPS), maps + 2 * NR_PAGES);
	KUNIT_EXPECT_EQ(test, cc_test_sum(CC_LEGACY), 0);
	KUNIT_EXPECT_GE(test, cc_used_bytes(), NR_PAGES * PAGE_SIZE);
	cc_test_check(test);
	page_pool_destroy(t->pool);
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), 0);
	cc_test_check(test);
}

static struct kunit_case page_pool_cases[] = {
	KUNIT_CASE(page_pool_bounced),
	{}
};

static struct kunit_suite page_pool_suite = {
	.name = "cc_swiotlb_page_pool",
	.init = cc_test_init,
	.exit = cc_test_exit,
	.test_cases = page_pool_cases,
};

kunit_test_suite(page_pool_suite);

MODULE_DESCRIPTION("Test of cc-swiotlb with a page_pool");
MODULE_LICENSE("GPL");
