// SPDX-License-Identifier: GPL-2.0-only
/*
 * Drivers that get it wrong: one warning that names the device, nothing is
 * changed, and whoever gets it right is served as ever.
 */
#include <linux/dma-map-ops.h>
#include <linux/slab.h>

#include "cc_test.h"

#define SIZE	3000
#define OFFSET	100

struct misuse_test {
	struct device *dev;
	struct device *other;
	u8 *buf;
	phys_addr_t tlb;
};

static int misuse_init(struct kunit *test)
{
	struct misuse_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	/* A slot that was unmapped is the next one that this CPU maps. */
	cc_test_pin(test);
	cc_test_start(test);
	t->dev = cc_test_device(test, DMA_BIT_MASK(64), 511);
	t->other = cc_test_device(test, DMA_BIT_MASK(64), 511);
	t->buf = cc_test_buffer(test, SZ_4K);
	memset(t->buf, 1, SZ_4K);
	t->tlb = cc_test_map(t->dev, t->buf + OFFSET, SIZE, 0, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(t->tlb));
	KUNIT_ASSERT_NOT_NULL(test, cc_swiotlb_find_pool(t->tlb));
	memset(cc_test_virt(t->tlb), 2, SIZE);
	return 0;
}

/* The mapping is still what it was, and can be undone. */
static void expect_mapped(struct kunit *test)
{
	struct misuse_test *t = test->priv;

	KUNIT_EXPECT_NULL(test, memchr_inv(t->buf, 1, SZ_4K));
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), SZ_4K);
	cc_test_check(test);
	cc_test_log_begin(test);
	cc_test_unmap(t->dev, t->tlb, SIZE, DMA_FROM_DEVICE);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 0, cc_test_log_lines(dev_name(t->dev), ""));
	KUNIT_EXPECT_NULL(test, memchr_inv(t->buf + OFFSET, 2, SIZE));
	KUNIT_EXPECT_NULL(test, memchr_inv(t->buf, 1, OFFSET));
	KUNIT_EXPECT_NULL(test, memchr_inv(t->buf + OFFSET + SIZE, 1, SZ_4K - OFFSET - SIZE));
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), 0);
	cc_test_check(test);
}

struct misuse_param {
	const char *name;
	int tlb;
	int size;
	bool other;
};

static const struct misuse_param misuse_params[] = {
	{ "wrong device", 0, 0, true },
	{ "start of the slot", -OFFSET, 0 },
	{ "one byte before", -1, 0 },
	{ "one byte behind", 1, 0 },
	{ "in the middle", SIZE / 2, 0 },
	{ "in the middle, and the rest", SIZE / 2, -SIZE / 2 },
	{ "the last byte", SIZE - 1, 1 - SIZE },
	{ "the next slot", SZ_4K, 0 },
	{ "wrong device and size", 0, 1, true },
};

static void misuse_desc(const struct misuse_param *p, char *desc)
{
	strscpy(desc, p->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(misuse, misuse_params, misuse_desc);

/* Unmapping what is not mapped like that. */
static void misuse_unmap(struct kunit *test)
{
	const struct misuse_param *p = test->param_value;
	struct misuse_test *t = test->priv;
	struct device *dev = p->other ? t->other : t->dev;

	cc_test_log_begin(test);
	for (int i = 0; i < 3; i++)
		swiotlb_tbl_unmap_single(dev, t->tlb + p->tlb, SIZE + p->size,
					 DMA_FROM_DEVICE, 0);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(dev_name(dev), "unmap of"));
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("unmap of", ""));
	expect_mapped(test);
}

static const int size_params[] = { -1, 1, -SIZE, SZ_2M };

static void size_desc(const int *p, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%d bytes", SIZE + *p);
}

KUNIT_ARRAY_PARAM(size, size_params, size_desc);

/* Unmapping another size than was mapped, which costs a warning, not the slot. */
static void misuse_size(struct kunit *test)
{
	struct misuse_test *t = test->priv;
	int more = *(const int *)test->param_value;
	size_t copied = min(SIZE + more, SIZE);

	cc_test_log_begin(test);
	cc_test_unmap(t->dev, t->tlb, SIZE + more, DMA_FROM_DEVICE);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(dev_name(t->dev), "unmap of"));
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), 0);
	KUNIT_EXPECT_NULL(test, memchr_inv(t->buf + OFFSET, 2, copied));
	KUNIT_EXPECT_NULL(test, memchr_inv(t->buf, 1, OFFSET));
	KUNIT_EXPECT_NULL(test, memchr_inv(t->buf + OFFSET + copied, 1,
					   SZ_4K - OFFSET - copied));
	cc_test_check(test);

	/* It is free, and the next to be handed out. */
	KUNIT_EXPECT_EQ(test, t->tlb, cc_test_map(t->dev, t->buf + OFFSET, SIZE, 0,
						  DMA_TO_DEVICE));
	cc_test_unmap(t->dev, t->tlb, SIZE, DMA_TO_DEVICE);
	cc_test_check(test);
}

/* Another device's sync copies nothing. */
static void misuse_sync_device(struct kunit *test)
{
	struct misuse_test *t = test->priv;

	cc_test_log_begin(test);
	swiotlb_sync_single_for_cpu(t->other, t->tlb, SIZE, DMA_FROM_DEVICE);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(dev_name(t->other), "sync at"));
	expect_mapped(test);
}

/* Unmapping twice, and once more when the slot is somebody else's. */
static void misuse_double_unmap(struct kunit *test)
{
	struct misuse_test *t = test->priv;
	phys_addr_t first = t->tlb;

	cc_test_unmap(t->dev, first, SIZE, DMA_TO_DEVICE);
	cc_test_log_begin(test);
	for (int i = 0; i < 3; i++)
		cc_test_unmap(t->dev, first, SIZE, DMA_FROM_DEVICE);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(dev_name(t->dev), "unmapped twice"));
	KUNIT_EXPECT_EQ(test, 0, cc_used_bytes());
	KUNIT_EXPECT_NULL(test, memchr_inv(t->buf, 1, SZ_4K));
	cc_test_check(test);

	/* Now each slot of the magazine must still be handed out once only. */
	for (int i = 0; i < 20; i++) {
		phys_addr_t a = cc_test_map(t->dev, t->buf, SIZE, 0, DMA_TO_DEVICE);
		phys_addr_t b = cc_test_map(t->dev, t->buf, SIZE, 0, DMA_TO_DEVICE);

		KUNIT_EXPECT_NE(test, a, b);
		cc_test_unmap(t->dev, a, SIZE, DMA_TO_DEVICE);
		cc_test_unmap(t->dev, b, SIZE, DMA_TO_DEVICE);
	}
	t->tlb = cc_test_map(t->other, t->buf + OFFSET, SIZE, 0, DMA_TO_DEVICE);
	cc_test_log_begin(test);
	cc_test_unmap(t->dev, t->tlb, SIZE, DMA_FROM_DEVICE);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(dev_name(t->dev), "another device"));
	cc_test_unmap(t->other, t->tlb, SIZE, DMA_TO_DEVICE);
	cc_test_check(test);
}

/* Syncing what has been unmapped copies nothing. */
static void misuse_sync_unmapped(struct kunit *test)
{
	struct misuse_test *t = test->priv;

	cc_test_unmap(t->dev, t->tlb, SIZE, DMA_TO_DEVICE);
	cc_test_log_begin(test);
	swiotlb_sync_single_for_cpu(t->dev, t->tlb, SIZE, DMA_FROM_DEVICE);
	swiotlb_sync_single_for_device(t->dev, t->tlb, SIZE, DMA_TO_DEVICE);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(dev_name(t->dev), "sync at"));
	KUNIT_EXPECT_NULL(test, memchr_inv(t->buf, 1, SZ_4K));
	KUNIT_EXPECT_NULL(test, memchr_inv(cc_test_virt(t->tlb), 2, SIZE));
	cc_test_check(test);
}

/* Syncing in front of the buffer, in the padding. */
static void misuse_sync_before(struct kunit *test)
{
	struct misuse_test *t = test->priv;

	cc_test_log_begin(test);
	swiotlb_sync_single_for_cpu(t->dev, t->tlb - 1, 2, DMA_FROM_DEVICE);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(dev_name(t->dev), "sync at"));
	expect_mapped(test);
}

/* Foreign addresses are nobody's business here. */
static void misuse_foreign(struct kunit *test)
{
	struct misuse_test *t = test->priv;
	phys_addr_t foreign = virt_to_phys(t->buf);

	cc_test_log_begin(test);
	cc_test_unmap(t->dev, foreign, SIZE, DMA_FROM_DEVICE);
	cc_test_unmap(t->dev, 0, SIZE, DMA_FROM_DEVICE);
	cc_test_unmap(t->dev, ~(phys_addr_t)0, SIZE, DMA_FROM_DEVICE);
	swiotlb_sync_single_for_cpu(t->dev, foreign, SIZE, DMA_FROM_DEVICE);
	swiotlb_sync_single_for_device(t->dev, foreign, SIZE, DMA_TO_DEVICE);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 0, cc_test_log_lines(dev_name(t->dev), ""));
	expect_mapped(test);
}

/* An address in a chunk that no class owns. */
static void misuse_reserve(struct kunit *test)
{
	struct misuse_test *t = test->priv;
	struct cc_chunk *chunk = list_first_entry(&cc_swiotlb.node->reserve[CC_NR_CHUNK_SIZES - 1],
						  struct cc_chunk, node);

	KUNIT_ASSERT_FALSE(test, list_empty(&cc_swiotlb.node->reserve[CC_NR_CHUNK_SIZES - 1]));
	cc_test_log_begin(test);
	cc_test_unmap(t->dev, chunk->pool.start + SZ_64K + 1, SIZE, DMA_FROM_DEVICE);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(dev_name(t->dev), "unmap of"));
	expect_mapped(test);
}

static struct kunit_case misuse_cases[] = {
	KUNIT_CASE_PARAM(misuse_unmap, misuse_gen_params),
	KUNIT_CASE_PARAM(misuse_size, size_gen_params),
	KUNIT_CASE(misuse_double_unmap),
	KUNIT_CASE(misuse_sync_unmapped),
	KUNIT_CASE(misuse_sync_before),
	KUNIT_CASE(misuse_sync_device),
	KUNIT_CASE(misuse_foreign),
	KUNIT_CASE(misuse_reserve),
	{}
};

static struct kunit_suite misuse_suite = {
	.name = "cc_swiotlb_misuse",
	.init = misuse_init,
	.exit = cc_test_exit,
	.test_cases = misuse_cases,
};

kunit_test_suite(misuse_suite);

MODULE_DESCRIPTION("Tests of cc-swiotlb with drivers that are wrong");
MODULE_LICENSE("GPL");
