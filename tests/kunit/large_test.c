// SPDX-License-Identifier: GPL-2.0-only
/*
 * Slots of more than 512 KiB, which take whole blocks: what they hold, what becomes of the
 * blocks, and what drivers are promised.
 */
#include <linux/mm.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/swiotlb.h>

#include "cc_test.h"

#define LARGEST	(&cc_classes[CC_NR_CLASSES - 1])

struct large_test {
	struct device *dev;
	u8 *buf;
};

static int large_init(struct kunit *test)
{
	struct large_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	struct cc_options opts;

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	if (PAGE_SHIFT + MAX_PAGE_ORDER < CC_BLOCK_SHIFT)
		kunit_skip(test, "no blocks of 2 MiB on this machine");
	cc_test_pin(test);
	cc_fake_begin(test);
	cc_options_default(&opts, CC_TEST_RAM);
	opts.max = SZ_128M;
	opts.mark[CC_NR_CLASSES - 1] = 1;
	cc_test_start_with(test, &opts, false);
	t->dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	t->buf = cc_test_buffer(test, SZ_2M);
	return 0;
}

static void large_exit(struct kunit *test)
{
	cc_test_stop(test);
	cc_fake_end(test);
}

static phys_addr_t map(struct kunit *test, size_t size)
{
	struct large_test *t = test->priv;

	return cc_swiotlb_map(t->dev, virt_to_phys(t->buf), size, 0, 0);
}

static struct cc_block *block_of(phys_addr_t tlb)
{
	return cc_chunk_by_addr(tlb)->block;
}

static const size_t size_params[] = { SZ_512K + 1, SZ_1M, SZ_1M + 1, SZ_2M - SZ_4K, SZ_2M };

static void size_desc(const size_t *size, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%zu bytes", *size);
}

KUNIT_ARRAY_PARAM(size, size_params, size_desc);

/* All of a large buffer goes there and back, and a part of it by a sync. */
static void large_copies(struct kunit *test)
{
	size_t size = *(const size_t *)test->param_value, far = size - 1000;
	struct large_test *t = test->priv;
	struct cc_chunk *chunk;
	phys_addr_t tlb;

	for (size_t i = 0; i < size; i++)
		t->buf[i] = i * 7 + (i >> 12);
	tlb = cc_test_map(t->dev, t->buf, size, 0, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
	chunk = cc_chunk_by_addr(tlb);
	KUNIT_ASSERT_NOT_NULL(test, chunk);
	KUNIT_EXPECT_EQ(test, cc_chunk_bytes(chunk), SZ_2M);
	KUNIT_EXPECT_EQ(test, BIT(chunk->shift), roundup_pow_of_two(size));
	KUNIT_EXPECT_EQ(test, tlb % BIT(chunk->shift), 0);
	KUNIT_EXPECT_TRUE(test, !memcmp(cc_test_virt(tlb), t->buf, size));
	for (size_t i = 0; i < SZ_2M; i += BIT(CC_FRAME_SHIFT))
		KUNIT_EXPECT_PTR_EQ(test, cc_chunk_by_addr(chunk->pool.start + i), chunk);
	cc_test_check(test);

	memset(cc_test_virt(tlb) + far, 0xaa, 1000);
	__swiotlb_sync_single_for_cpu(t->dev, tlb + far, 1000, DMA_FROM_DEVICE,
				      &chunk->pool);
	KUNIT_EXPECT_NULL(test, memchr_inv(t->buf + far, 0xaa, 1000));
	memset(cc_test_virt(tlb), 0x55, size);
	cc_test_unmap(t->dev, tlb, size, DMA_FROM_DEVICE);
	KUNIT_EXPECT_NULL(test, memchr_inv(t->buf, 0x55, size));
	KUNIT_EXPECT_EQ(test, cc_test_sum(CC_FAILED), 0);
	KUNIT_EXPECT_EQ(test, cc_test_sum(CC_LEGACY), 0);
	cc_test_check(test);
}

/* Without a mark nothing is promised, and it works if there is a block. */
static void large_unpromised(struct kunit *test)
{
	struct large_test *t = test->priv;
	struct cc_options opts;
	phys_addr_t tlb;

	cc_test_stop(test);
	cc_options_default(&opts, CC_TEST_RAM);
	opts.max = SZ_128M;
	cc_test_start_with(test, &opts, false);
	KUNIT_EXPECT_EQ(test, swiotlb_max_mapping_size(t->dev), SZ_512K);
	KUNIT_EXPECT_EQ(test, LARGEST->nr_slots, 0);
	tlb = map(test, SZ_2M);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
	cc_test_give(tlb);
	KUNIT_EXPECT_EQ(test, cc_kccd_set_mark(LARGEST, 0), 0);
	KUNIT_EXPECT_EQ(test, cc_kccd_set(&cc_swiotlb.max, SZ_32M), 0);
	cc_test_settle(test);
	KUNIT_EXPECT_EQ(test, LARGEST->nr_slots, 0);
	cc_test_check(test);
}

/* What drivers are told is what fits at any offset. */
static void large_promise(struct kunit *test)
{
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 4095);
	struct large_test *t = test->priv;
	size_t most = swiotlb_max_mapping_size(dev);
	phys_addr_t tlb;

	KUNIT_EXPECT_EQ(test, swiotlb_max_mapping_size(t->dev), SZ_2M);
	KUNIT_EXPECT_EQ(test, most, SZ_2M - SZ_4K);
	tlb = cc_swiotlb_map(dev, virt_to_phys(t->buf) + 4095, most, 0, 0);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
	cc_test_give(tlb);
	cc_test_log_begin(test);
	KUNIT_EXPECT_TRUE(test, cc_test_failed(map(test, SZ_2M + 1)));
	cc_test_log_end(test);
	cc_test_check(test);
}

/* A block is one chunk while it is used as such, and four before and after. */
static void large_blocks(struct kunit *test)
{
	struct cc_block *block;
	phys_addr_t tlb, small;

	tlb = map(test, SZ_2M);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
	block = block_of(tlb);
	KUNIT_EXPECT_EQ(test, block->nr_chunks, 4);
	KUNIT_EXPECT_EQ(test, block->nr_reserve, 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&block->whole));
	cc_test_give(tlb);
	KUNIT_ASSERT_EQ(test, 0, cc_kccd_set_mark(LARGEST, 1));
	LARGEST->mark = 0;
	cc_test_settle(test);
	KUNIT_EXPECT_EQ(test, LARGEST->nr_slots, 0);
	cc_test_check(test);
	LARGEST->mark = 1;
	cc_kccd_ask(CC_ASK_ALL);
	cc_test_grow();
	KUNIT_EXPECT_EQ(test, LARGEST->nr_slots, 1);
	small = map(test, SZ_4K);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(small));
	KUNIT_EXPECT_EQ(test, cc_chunk_bytes(cc_chunk_by_addr(small)), SZ_512K);
	cc_test_check(test);
	cc_test_give(small);
}

/* A block of which a part is in use is none for a large mapping. */
static void large_whole_only(struct kunit *test)
{
	struct large_test *t = test->priv;
	phys_addr_t tlb[64], large;
	unsigned int nr = 0;

	/* A slot of each block that the reserve has. */
	while (nr < ARRAY_SIZE(tlb) && cc_reserve_holds(CC_BLOCK_SHIFT, NUMA_NO_NODE)) {
		tlb[nr] = map(test, SZ_512K);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb[nr++]));
	}
	KUNIT_EXPECT_GT(test, cc_swiotlb.reserve_bytes, 0);
	large = map(test, SZ_2M);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(large));
	/* That was what the mark keeps; now there is nothing. */
	KUNIT_EXPECT_TRUE(test, cc_test_failed(map(test, SZ_2M)));
	KUNIT_EXPECT_TRUE(test, LARGEST->starved);
	KUNIT_EXPECT_NE(test, atomic_read(&cc_kicks.asked), 0);
	cc_test_grow();
	KUNIT_EXPECT_TRUE(test, cc_class_free(LARGEST) ||
			  cc_reserve_holds(CC_BLOCK_SHIFT, NUMA_NO_NODE));
	cc_test_check(test);
	cc_test_give(large);
	while (nr--)
		cc_swiotlb_unmap(t->dev, tlb[nr], SZ_512K, &cc_chunk_by_addr(tlb[nr])->pool);
	cc_test_check(test);
}

/* What the mark keeps is for all large mappings only, and is there again after each. */
static void large_mark(struct kunit *test)
{
	phys_addr_t tlb[160], large;
	unsigned int nr = 0;

	mutex_lock(&cc_swiotlb.mutex);
	cc_swiotlb.max = cc_swiotlb.shared;
	mutex_unlock(&cc_swiotlb.mutex);
	while (nr < ARRAY_SIZE(tlb)) {
		tlb[nr] = map(test, SZ_256K);
		if (cc_test_failed(tlb[nr]))
			break;
		nr++;
	}
	KUNIT_ASSERT_LT(test, nr, ARRAY_SIZE(tlb));
	for (unsigned int i = 0; i < ARRAY_SIZE(size_params); i++) {
		large = map(test, size_params[i]);
		KUNIT_EXPECT_FALSE(test, cc_test_failed(large));
		if (!cc_test_failed(large))
			cc_test_give(large);
	}
	cc_test_check(test);
	while (nr--)
		cc_test_give(tlb[nr]);
}

/* Where memory is fragmented there are none; kccd rests, and finds them when they are back. */
static void large_fragmented(struct kunit *test)
{
	unsigned long passes = cc_kccd_stats.passes, drains = cc_kccd_stats.drains;
	phys_addr_t tlb[32];
	unsigned int nr = 0;

	cc_fake.max_order = CC_CHUNK_SHIFT - PAGE_SHIFT;
	for (unsigned int i = 0; i < 60; i++) {
		while (nr < ARRAY_SIZE(tlb)) {
			tlb[nr] = map(test, SZ_2M);
			if (cc_test_failed(tlb[nr]))
				break;
			nr++;
		}
		cc_test_tick();
	}
	KUNIT_ASSERT_LT(test, nr, ARRAY_SIZE(tlb));
	KUNIT_EXPECT_GT(test, nr, 0);
	KUNIT_EXPECT_LE(test, cc_kccd_stats.passes, passes + 60 * 6);
	/* What idle CPUs hold is no whole block. */
	KUNIT_EXPECT_EQ(test, cc_kccd_stats.drains, drains);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, (nr + 8) * SZ_2M + cc_swiotlb.target);
	cc_fake.max_order = MAX_PAGE_ORDER;
	cc_test_now += CC_BACKOFF_MAX;
	cc_test_grow();
	KUNIT_EXPECT_GE(test, cc_class_free(LARGEST), 1);
	cc_test_check(test);
	while (nr--)
		cc_test_give(tlb[nr]);
}

/* The limit leaves room for them, and the mark cannot be given up. */
static void large_limits(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, cc_kccd_set_mark(LARGEST, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, cc_kccd_set_mark(&cc_classes[CC_CHUNK_CLASS], 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, cc_kccd_set_mark(&cc_classes[CC_CHUNK_CLASS + 1], 0), 0);
	KUNIT_EXPECT_EQ(test, cc_kccd_set(&cc_swiotlb.max, SZ_64M - 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, cc_kccd_set(&cc_swiotlb.max, SZ_64M), 0);
}

/* No CPU keeps any for itself. */
static void large_no_magazines(struct kunit *test)
{
	struct cc_options opts;
	phys_addr_t tlb;

	cc_test_stop(test);
	cc_options_default(&opts, CC_TEST_RAM);
	opts.max = SZ_1G;
	cc_test_start_with(test, &opts, false);
	if (cc_classes[CC_CHUNK_CLASS].mag_size <= 2)
		kunit_skip(test, "with so many CPUs there would be none anyway");
	tlb = map(test, SZ_1M);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
	KUNIT_EXPECT_EQ(test, cc_classes[CC_CHUNK_CLASS + 1].mag_size, 0);
	cc_test_give(tlb);
	KUNIT_EXPECT_EQ(test, cc_chain_count(cc_test_magazine(CC_CHUNK_CLASS + 1)->loaded), 0);
	cc_test_check(test);
}

#define LIVE	40

/* Mappings of all sizes, ticks and fragmented memory at random. */
static void large_random(struct kunit *test)
{
	u32 seed = get_random_u32();
	struct rnd_state rnd;
	phys_addr_t tlb[LIVE];
	unsigned int nr = 0;

	kunit_info(test, "seed %u\n", seed);
	prandom_seed_state(&rnd, seed);
	for (unsigned int i = 0; i < 4000; i++) {
		u32 what = prandom_u32_state(&rnd) % 64, j;

		if (what == 0) {
			cc_fake.max_order = CC_CHUNK_SHIFT - PAGE_SHIFT +
					    prandom_u32_state(&rnd) % 3;
		} else if (what < 4) {
			cc_test_tick();
		} else if (what < 8) {
			cc_test_grow();
		} else if (what < 36 && nr < LIVE) {
			j = 10 + prandom_u32_state(&rnd) % 12;
			tlb[nr] = map(test, 1 + prandom_u32_state(&rnd) % BIT(j));
			nr += !cc_test_failed(tlb[nr]);
		} else if (nr) {
			j = prandom_u32_state(&rnd) % nr;
			cc_test_give(tlb[j]);
			tlb[j] = tlb[--nr];
		}
		KUNIT_ASSERT_LE(test, cc_swiotlb.shared, cc_swiotlb.max);
		if (i % 64 == 0)
			cc_test_check(test);
	}
	while (nr--)
		cc_test_give(tlb[nr]);
	cc_fake.max_order = MAX_PAGE_ORDER;
	cc_test_settle(test);
	cc_test_check(test);
}

static struct kunit_case large_cases[] = {
	KUNIT_CASE_PARAM(large_copies, size_gen_params),
	KUNIT_CASE(large_unpromised),
	KUNIT_CASE(large_promise),
	KUNIT_CASE(large_blocks),
	KUNIT_CASE(large_whole_only),
	KUNIT_CASE(large_mark),
	KUNIT_CASE(large_fragmented),
	KUNIT_CASE(large_limits),
	KUNIT_CASE(large_no_magazines),
	KUNIT_CASE(large_random),
	{}
};

static struct kunit_suite large_suite = {
	.name = "cc_swiotlb_large",
	.init = large_init,
	.exit = large_exit,
	.test_cases = large_cases,
};

kunit_test_suite(large_suite);

MODULE_DESCRIPTION("Tests of the large slots of cc-swiotlb");
MODULE_LICENSE("GPL");
