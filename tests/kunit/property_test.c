// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random operations against a model that is plain enough to be right: for each
 * mapping, what the original and the bounce buffer must contain, as copies.
 *
 * Boot with cc_swiotlb_property.seed=<n> to repeat a run, which prints its seed,
 * and with cc_swiotlb_property.ops=<n> for a longer one.
 */
#include <linux/dma-map-ops.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "cc_test.h"

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "cc_swiotlb_property."

static unsigned long seed;
module_param(seed, ulong, 0);
MODULE_PARM_DESC(seed, "seed of the random operations; 0: a random one");

static unsigned long ops = 200000;
module_param(ops, ulong, 0);
MODULE_PARM_DESC(ops, "number of random operations");

#define NR_DEVS		4
#define NR_LIVE		128
/* An original lies at a random offset in a buffer of its own. */
#define ORIG_SIZE	SZ_8K
#define LARGE_LIVE	4
#define LARGE_SIZE	SZ_1M

/**
 * struct entry - a mapping, and the model of it
 * @dev: the device, NULL when not mapped
 * @mem: memory that @orig is part of
 * @orig: the original buffer
 * @want_orig: what it must contain
 * @want_bounce: what the bounce buffer must contain
 * @tlb: address of the bounce buffer
 * @start: first byte that the mapping owns
 * @end: and the one after the last
 * @size: bytes mapped
 * @dir: direction
 */
struct entry {
	struct device *dev;
	u8 *mem;
	u8 *orig;
	u8 *want_orig;
	u8 *want_bounce;
	phys_addr_t tlb;
	phys_addr_t start;
	phys_addr_t end;
	u32 size;
	enum dma_data_direction dir;
};

struct model {
	struct rnd_state rnd;
	struct device *dev[NR_DEVS];
	struct entry entry[NR_LIVE];
	unsigned long live;
	unsigned long bytes;
};

static u32 rnd(struct model *m, u32 below)
{
	return below ? prandom_u32_state(&m->rnd) % below : 0;
}

static bool is_large(struct model *m, struct entry *e)
{
	return e - m->entry < LARGE_LIVE;
}

static u32 rnd_size(struct model *m, struct entry *e, u32 max)
{
	/* As many sizes of each magnitude. */
	u32 size = 1 + rnd(m, 1U << rnd(m, (is_large(m, e) ? CC_CHUNK_SHIFT : 12) + 1));

	return min(size, max);
}

static void op_map(struct kunit *test, struct model *m, struct entry *e)
{
	static const u32 alloc_masks[] = { 0, 0, 0, 2047, 4095, 65535 };
	u32 alloc_mask = alloc_masks[rnd(m, ARRAY_SIZE(alloc_masks))];
	struct device *dev = m->dev[rnd(m, NR_DEVS)];
	u32 min_mask = dma_get_min_align_mask(dev);

	e->size = rnd_size(m, e, swiotlb_max_mapping_size(dev));
	e->orig = e->mem + rnd(m, (is_large(m, e) ? LARGE_SIZE : ORIG_SIZE) - e->size);
	e->dir = rnd(m, 3);
	prandom_bytes_state(&m->rnd, e->orig, e->size);
	memcpy(e->want_orig, e->orig, e->size);
	memcpy(e->want_bounce, e->orig, e->size);
	e->tlb = cc_test_tbl_map(dev, virt_to_phys(e->orig), e->size,
				 alloc_mask, e->dir, DMA_ATTR_NO_WARN |
				 (rnd(m, 3) ? 0 : DMA_ATTR_SKIP_CPU_SYNC));
	if (cc_test_failed(e->tlb) || !cc_swiotlb_find_pool(e->tlb)) {
		/* The reserve may be empty; the next step fills it. */
		if (!cc_test_failed(e->tlb))
			swiotlb_tbl_unmap_single(dev, e->tlb, e->size, e->dir, 0);
		return;
	}
	e->dev = dev;
	e->start = round_down(e->tlb, alloc_mask + 1);
	e->end = round_up(e->tlb + e->size, alloc_mask + 1);
	KUNIT_EXPECT_EQ(test, e->tlb & min_mask, virt_to_phys(e->orig) & min_mask);
	for (unsigned int i = 0; i < NR_LIVE; i++) {
		struct entry *o = &m->entry[i];

		if (o->dev && o != e && o->start < e->end && e->start < o->end)
			KUNIT_FAIL(test, "%pa..%pa overlaps %pa..%pa", &e->start,
				   &e->end, &o->start, &o->end);
	}
	/* The padding may be overwritten, too. */
	memset(cc_test_virt(e->start), 0, e->tlb - e->start);
	memset(cc_test_virt(e->tlb + e->size), 0, e->end - e->tlb - e->size);
	m->live++;
	m->bytes += 1UL << cc_chunk_by_addr(e->tlb)->shift;
}

static void check_entry(struct kunit *test, struct entry *e)
{
	if (memcmp(cc_test_virt(e->tlb), e->want_bounce, e->size))
		KUNIT_FAIL(test, "bounce buffer of %u bytes at %pa is wrong",
			   e->size, &e->tlb);
	if (memcmp(e->orig, e->want_orig, e->size))
		KUNIT_FAIL(test, "original of %u bytes at %pa is wrong",
			   e->size, &e->tlb);
}

static void op_unmap(struct kunit *test, struct model *m, struct entry *e)
{
	bool skip = !rnd(m, 4);

	check_entry(test, e);
	m->bytes -= 1UL << cc_chunk_by_addr(e->tlb)->shift;
	swiotlb_tbl_unmap_single(e->dev, e->tlb, e->size, e->dir,
				 skip ? DMA_ATTR_SKIP_CPU_SYNC : 0);
	if (!skip && e->dir != DMA_TO_DEVICE)
		memcpy(e->want_orig, e->want_bounce, e->size);
	if (memcmp(e->orig, e->want_orig, e->size))
		KUNIT_FAIL(test, "original of %u bytes is wrong after unmap", e->size);
	e->dev = NULL;
	m->live--;
}

/* The device writes a part of the buffer; maybe another part is synced. */
static void op_device(struct kunit *test, struct model *m, struct entry *e)
{
	u32 start = rnd(m, e->size), size = 1 + rnd(m, e->size - start);

	prandom_bytes_state(&m->rnd, e->want_bounce + start, size);
	memcpy(cc_test_virt(e->tlb + start), e->want_bounce + start, size);
	start = rnd(m, e->size);
	size = 1 + rnd(m, e->size - start);
	swiotlb_sync_single_for_cpu(e->dev, e->tlb + start, size, e->dir);
	if (e->dir != DMA_TO_DEVICE)
		memcpy(e->want_orig + start, e->want_bounce + start, size);
	check_entry(test, e);
}

static void op_cpu(struct kunit *test, struct model *m, struct entry *e)
{
	u32 start = rnd(m, e->size), size = 1 + rnd(m, e->size - start);

	prandom_bytes_state(&m->rnd, e->want_orig + start, size);
	memcpy(e->orig + start, e->want_orig + start, size);
	start = rnd(m, e->size);
	size = 1 + rnd(m, e->size - start);
	swiotlb_sync_single_for_device(e->dev, e->tlb + start, size, e->dir);
	if (e->dir != DMA_FROM_DEVICE)
		memcpy(e->want_bounce + start, e->want_orig + start, size);
	check_entry(test, e);
}

static void check_counters(struct kunit *test, struct model *m)
{
	unsigned long maps = cc_test_sum(CC_MAPS);

	KUNIT_EXPECT_EQ(test, maps - cc_test_sum(CC_UNMAPS), m->live);
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), m->bytes);
	KUNIT_EXPECT_LE(test, cc_used_bytes(), cc_swiotlb.shared - cc_swiotlb.reserve_bytes);
}

static void step(struct kunit *test, struct model *m)
{
	struct entry *e = &m->entry[rnd(m, rnd(m, 8) ? NR_LIVE : LARGE_LIVE)];
	u32 what = rnd(m, 1000);

	if (what < 4) {
		cc_test_grow();
	} else if (what < 6) {
		cc_test_tick();
	} else if (what < 7) {
		cc_test_drain_all();
	} else if (what < 8) {
		cc_depot_drain(&cc_classes[rnd(m, CC_NR_CLASSES)], 0, 1 + rnd(m, 64));
	} else if (what < 9) {
		cc_test_retire(&cc_classes[rnd(m, CC_NR_CLASSES)], 1 + rnd(m, 1024));
		mutex_lock(&cc_swiotlb.mutex);
		cc_block_shrink(rnd(m, SZ_4M), SZ_2M * rnd(m, 3));
		mutex_unlock(&cc_swiotlb.mutex);
	} else if (!e->dev) {
		op_map(test, m, e);
	} else if (what < 500) {
		op_unmap(test, m, e);
	} else if (what < 750) {
		op_device(test, m, e);
	} else {
		op_cpu(test, m, e);
	}
}

static u8 *alloc_model_buffer(struct kunit *test, unsigned int i)
{
	return cc_test_buffer(test, i < LARGE_LIVE ? SZ_512K : SZ_4K);
}

static void property_random(struct kunit *test)
{
	static const u32 masks[NR_DEVS] = { 0, 511, 4095, 65535 };
	struct model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	unsigned long s = seed ?: get_random_u32();
	unsigned long n;

	KUNIT_ASSERT_NOT_NULL(test, m);
	kunit_info(test, "cc_swiotlb_property.seed=%lu", s);
	prandom_seed_state(&m->rnd, s);
	for (unsigned int i = 0; i < NR_DEVS; i++)
		m->dev[i] = cc_test_device(test, DMA_BIT_MASK(64), masks[i]);
	for (unsigned int i = 0; i < NR_LIVE; i++) {
		struct entry *e = &m->entry[i];

		e->mem = cc_test_buffer(test, i < LARGE_LIVE ? LARGE_SIZE : ORIG_SIZE);
		e->want_orig = alloc_model_buffer(test, i);
		e->want_bounce = alloc_model_buffer(test, i);
	}

	for (n = 0; n < ops && test->status != KUNIT_FAILURE; n++) {
		step(test, m);
		check_counters(test, m);
		if (n % 256 == 0)
			cc_test_check(test);
		cond_resched();
	}
	for (unsigned int i = 0; i < NR_LIVE; i++)
		if (m->entry[i].dev)
			op_unmap(test, m, &m->entry[i]);
	cc_test_check(test);
	KUNIT_EXPECT_EQ(test, m->live, 0);
	KUNIT_EXPECT_GE(test, cc_test_sum(CC_MAPS), n / 16);
	if (test->status == KUNIT_FAILURE)
		kunit_err(test, "after %lu operations; cc_swiotlb_property.seed=%lu repeats it",
			  n, s);
}

static struct kunit_case property_cases[] = {
	KUNIT_CASE_SLOW(property_random),
	{}
};

static struct kunit_suite property_suite = {
	.name = "cc_swiotlb_property",
	.init = cc_test_init,
	.exit = cc_test_exit,
	.test_cases = property_cases,
};

kunit_test_suite(property_suite);

MODULE_DESCRIPTION("Random operations on cc-swiotlb against a model");
MODULE_LICENSE("GPL");
