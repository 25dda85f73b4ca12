// SPDX-License-Identifier: GPL-2.0-only
/*
 * Size classes: the table, what magazines may hold, which class serves, and
 * the counters of each.
 */
#include <linux/dma-map-ops.h>
#include <linux/slab.h>

#include "../map.h"
#include "cc_test.h"

/* Every size gets the smallest class that holds it. */
static void class_table(struct kunit *test)
{
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++) {
		KUNIT_EXPECT_EQ(test, cc_classes[i].shift, CC_SLOT_MIN_SHIFT + i);
		KUNIT_EXPECT_EQ(test, cc_classes[i].node->pool.min_alloc_order,
				CC_SLOT_MIN_SHIFT + i);
		KUNIT_EXPECT_EQ(test, cc_classes[i].enabled, i <= CC_CHUNK_CLASS);
	}
	for (size_t size = 1; size <= SZ_512K; size++) {
		unsigned int shift = cc_classes[cc_test_class(size)].shift;

		if (size > 1UL << shift ||
		    (shift > CC_SLOT_MIN_SHIFT && size <= 1UL << (shift - 1)))
			KUNIT_FAIL(test, "%zu bytes in a slot of %lu", size, 1UL << shift);
	}
}

static const unsigned long mask_params[] = {
	BIT(9) | BIT(11) | BIT(12) | BIT(14) | BIT(19),
	BIT(19),
	BIT(12) | BIT(19),
	GENMASK(19, 9),
};

static void mask_desc(const unsigned long *p, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%#lx", *p);
}

KUNIT_ARRAY_PARAM(mask, mask_params, mask_desc);

/* classes= leaves out classes; a larger one serves in their place. */
static void class_mask(struct kunit *test)
{
	unsigned long mask = *(const unsigned long *)test->param_value;
	struct device *dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	phys_addr_t buf = virt_to_phys(cc_test_buffer(test, SZ_512K));
	struct cc_options opts;

	cc_test_stop(test);
	cc_test_options(&opts);
	opts.classes = mask;
	cc_test_start_with(test, &opts, false);
	for (unsigned int order = 0; order <= CC_CHUNK_SHIFT; order++) {
		unsigned int want = max(order, CC_SLOT_MIN_SHIFT);
		phys_addr_t tlb;

		while (!(mask & BIT(want)))
			want++;
		KUNIT_EXPECT_EQ(test, cc_classes[cc_class_of[order]].shift, want);
		tlb = cc_swiotlb_map(dev, buf, 1UL << order, 0, 0);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
		KUNIT_EXPECT_EQ(test, cc_chunk_by_addr(tlb)->shift, want);
		cc_test_give(tlb);
		cc_test_grow();
	}
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++) {
		KUNIT_EXPECT_EQ(test, cc_classes[i].enabled, !!(mask & BIT(i + CC_SLOT_MIN_SHIFT)));
		if (!cc_classes[i].enabled)
			KUNIT_EXPECT_EQ(test, cc_classes[i].nr_slots, 0);
	}
	cc_test_check(test);
}

/* CPUs hold a half of the limit at most, and 96 MiB of each class. */
static void check_magazines(struct kunit *test, unsigned int nr_cpus,
			    unsigned long max)
{
	unsigned long all = 0;

	cc_class_init(nr_cpus, max);
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++) {
		struct cc_class *class = &cc_classes[i];
		unsigned long slots = 2 * class->mag_size + 2 * cc_foreign_size(class);
		unsigned long bytes = (slots << class->shift) * nr_cpus;

		all += bytes;
		if (bytes > SZ_64M + SZ_32M || class->mag_size > CC_CHAIN_COUNT_MAX ||
		    class->batch < 1 || class->batch > 16 ||
		    (class->mag_size && class->batch > class->mag_size))
			KUNIT_FAIL(test, "class %u: magazine %u, batch %u",
				   i, class->mag_size, class->batch);
	}
	if (all > max / 2)
		KUNIT_FAIL(test, "%u CPUs, limit %lu: %lu bytes", nr_cpus, max, all);
}

static void class_magazine_bytes(struct kunit *test)
{
	for (unsigned int nr_cpus = 1; nr_cpus <= 1024; nr_cpus++) {
		for (unsigned long max = SZ_4M; max <= SZ_1G; max *= 4)
			check_magazines(test, nr_cpus, max);
		/* Where there is memory, 4 KiB always have a magazine worth it. */
		check_magazines(test, nr_cpus, SZ_2G + SZ_256M);
		if (nr_cpus <= 96)
			KUNIT_EXPECT_GE(test, cc_classes[cc_test_class(SZ_4K)].mag_size, 64);
	}
}

static int class_init(struct kunit *test)
{
	if (cc_swiotlb_enabled())
		kunit_skip(test, "booted with swiotlb=cc");
	cc_test_pin(test);
	return 0;
}

struct larger_test {
	struct device *dev;
	phys_addr_t buf;
};

static phys_addr_t map_size(struct larger_test *t, size_t size)
{
	return cc_swiotlb_map(t->dev, t->buf, size, 0, 0);
}

static void unmap(phys_addr_t tlb)
{
	cc_test_give(tlb);
}

/* A larger class serves when all else is dry, but not a much larger one. */
static void class_larger(struct kunit *test)
{
	struct larger_test t = {
		.dev = cc_test_device(test, DMA_BIT_MASK(64), 0),
		.buf = virt_to_phys(cc_test_buffer(test, SZ_512K)),
	};
	struct cc_class *largest = &cc_classes[CC_CHUNK_CLASS];
	phys_addr_t tlb[3], start, a, b, c;
	struct cc_options opts;

	cc_test_stop(test);
	cc_test_options(&opts);
	opts.max = SZ_2M;
	opts.reserve = SZ_2M;
	/* At its limit there is nothing for its marks, of which it complains. */
	cc_test_log_begin(test);
	cc_test_start_with(test, &opts, false);
	cc_test_log_end(test);
	KUNIT_ASSERT_EQ(test, cc_swiotlb.shared, SZ_2M);
	KUNIT_ASSERT_EQ(test, largest->mark, 2);
	/* Four chunks: of 4 KiB and 32 KiB slots, and two of the largest. */
	a = map_size(&t, SZ_4K);
	b = map_size(&t, SZ_32K);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(a) || cc_test_failed(b));
	while (cc_swiotlb.reserve_bytes)
		KUNIT_ASSERT_TRUE(test, cc_reserve_take(largest, NUMA_NO_NODE,
							largest->nr_slots + 1));

	/* Who wants no warning gets none, and does not use up the only one. */
	cc_larger_reported = false;
	cc_test_log_begin(test);
	tlb[0] = cc_swiotlb_map(t.dev, t.buf, 512, 0, DMA_ATTR_NO_WARN);
	cc_test_log_end(test);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb[0]));
	KUNIT_EXPECT_EQ(test, 0, cc_test_log_lines("mapped in a larger slot", ""));
	KUNIT_EXPECT_FALSE(test, cc_larger_reported);
	KUNIT_EXPECT_EQ(test, cc_chunk_by_addr(tlb[0])->shift, 12);
	tlb[1] = map_size(&t, SZ_8K);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb[1]));
	KUNIT_EXPECT_EQ(test, cc_chunk_by_addr(tlb[1])->shift, 15);
	/* The mark keeps its slots for mappings that need that size. */
	largest->mark = largest->nr_slots;
	KUNIT_EXPECT_TRUE(test, cc_test_failed(map_size(&t, SZ_64K)));
	largest->mark--;
	tlb[2] = map_size(&t, SZ_64K);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb[2]));
	KUNIT_EXPECT_EQ(test, cc_chunk_by_addr(tlb[2])->shift, 19);
	KUNIT_EXPECT_TRUE(test, cc_test_failed(map_size(&t, SZ_64K)));
	KUNIT_EXPECT_EQ(test, cc_test_count(cc_test_class(512), CC_LARGER), 1);
	KUNIT_EXPECT_EQ(test, cc_test_count(cc_test_class(SZ_8K), CC_LARGER), 1);
	KUNIT_EXPECT_EQ(test, cc_test_count(cc_test_class(SZ_64K), CC_LARGER), 1);
	cc_test_check(test);
	/* Back to where it came from, not to the class that was asked for. */
	for (int i = 0; i < 3; i++)
		unmap(tlb[i]);
	cc_test_check(test);

	/* With all 4 KiB slots gone, 512 bytes do not take 32 KiB. */
	for (int i = 0; i < SZ_512K / SZ_4K - 1; i++)
		KUNIT_ASSERT_FALSE(test, cc_test_failed(map_size(&t, SZ_4K)));
	c = map_size(&t, 512);
	KUNIT_EXPECT_TRUE(test, cc_test_failed(c));
	/* Free all of the 4 KiB chunk. */
	start = round_down(a, SZ_512K);
	for (size_t i = 0; i < SZ_512K; i += SZ_4K)
		unmap(start + i);
	unmap(b);
	cc_test_check(test);
}

/* Classes that are not in use are no step on the way to a larger one. */
static void class_larger_sparse(struct kunit *test)
{
	struct larger_test t = {
		.dev = cc_test_device(test, DMA_BIT_MASK(64), 0),
		.buf = virt_to_phys(cc_test_buffer(test, SZ_512K)),
	};
	struct cc_class *largest = &cc_classes[CC_CHUNK_CLASS];
	struct cc_options opts;
	phys_addr_t tlb;

	cc_test_stop(test);
	cc_test_options(&opts);
	opts.classes = BIT(9) | BIT(11) | BIT(12) | BIT(14) | BIT(19);
	memset(opts.mark, 0, sizeof(opts.mark));
	cc_test_start_with(test, &opts, false);
	while (cc_swiotlb.reserve_bytes)
		KUNIT_ASSERT_TRUE(test, cc_reserve_take(largest, NUMA_NO_NODE,
							largest->nr_slots + 1));
	tlb = map_size(&t, SZ_16K);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
	KUNIT_EXPECT_EQ(test, cc_chunk_by_addr(tlb)->shift, 19);
	cc_test_give(tlb);
	/* Three steps up from 2 KiB, but four from 512 bytes. */
	tlb = map_size(&t, SZ_2K);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
	KUNIT_EXPECT_EQ(test, cc_chunk_by_addr(tlb)->shift, 19);
	cc_test_give(tlb);
	KUNIT_EXPECT_TRUE(test, cc_test_failed(map_size(&t, 512)));
	cc_test_check(test);
}

static const bool cached_params[] = { false, true };

static void cached_desc(const bool *p, char *desc)
{
	strscpy(desc, *p ? "in a magazine" : "in the pool", KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(cached, cached_params, cached_desc);

/* What a larger class has in its depot beyond the mark is there for smaller mappings, too. */
static void class_larger_depot(struct kunit *test)
{
	bool cached = *(const bool *)test->param_value;
	struct larger_test t = {
		.dev = cc_test_device(test, DMA_BIT_MASK(64), 0),
		.buf = virt_to_phys(cc_test_buffer(test, SZ_512K)),
	};
	struct cc_class *largest = &cc_classes[CC_CHUNK_CLASS];
	unsigned long spare;
	phys_addr_t got[12];
	unsigned int nr = 0;

	cc_test_pin(test);
	largest->mag_size = cached ? 8 : 0;
	for (; nr < 6; nr++) {
		got[nr] = map_size(&t, SZ_512K);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(got[nr]));
		cc_test_grow();
	}
	while (nr)
		unmap(got[--nr]);
	if (cached) {
		KUNIT_EXPECT_TRUE(test, cc_test_drain_all());
		/* A part of what is one magazine in the depot. */
		largest->mark = 4;
	}
	KUNIT_EXPECT_EQ(test, largest->node->depot.slots, 6);
	while (cc_reserve_take(&cc_classes[cc_test_class(SZ_32K)], NUMA_NO_NODE, LONG_MAX))
		;
	spare = cc_class_free(largest) - largest->mark;
	while (nr < ARRAY_SIZE(got)) {
		got[nr] = map_size(&t, SZ_256K);
		if (cc_test_failed(got[nr]))
			break;
		nr++;
	}
	KUNIT_EXPECT_EQ(test, nr, spare);
	KUNIT_EXPECT_EQ(test, cc_class_free(largest), largest->mark);
	while (nr)
		unmap(got[--nr]);
	cc_test_check(test);
}

/* Large mappings make progress even if small ones take all there is. */
static void class_mark_kept(struct kunit *test)
{
	bool cached = *(const bool *)test->param_value;
	struct larger_test t = {
		.dev = cc_test_device(test, DMA_BIT_MASK(64), 0),
		.buf = virt_to_phys(cc_test_buffer(test, SZ_512K)),
	};
	struct cc_class *largest = &cc_classes[CC_CHUNK_CLASS];
	unsigned int nr = 0, large = 0;
	phys_addr_t *tlb, got[8];

	tlb = kunit_kcalloc(test, 1024, sizeof(*tlb), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, tlb);
	KUNIT_ASSERT_GT(test, largest->mark, 0);
	KUNIT_ASSERT_GE(test, cc_class_free(largest), largest->mark);
	/* Also what of it rests in a magazine meanwhile. */
	cc_test_pin(test);
	if (cached) {
		largest->mag_size = 2 * largest->mark;
		while (large < largest->mark)
			got[large++] = map_size(&t, SZ_512K);
		while (large)
			unmap(got[--large]);
		KUNIT_ASSERT_EQ(test, cc_class_free(largest), 0);
	}
	for (size_t size = SZ_64K; size < SZ_512K; size *= 2)
		while (nr < 1024) {
			tlb[nr] = map_size(&t, size);
			if (cc_test_failed(tlb[nr]))
				break;
			nr++;
		}
	KUNIT_EXPECT_EQ(test, cc_swiotlb.reserve_bytes, 0);
	KUNIT_EXPECT_EQ(test, cc_class_free(largest), cached ? 0 : largest->mark);
	while (large < ARRAY_SIZE(got)) {
		got[large] = map_size(&t, SZ_512K);
		if (cc_test_failed(got[large]))
			break;
		large++;
	}
	KUNIT_EXPECT_EQ(test, large, largest->mark);
	while (large--)
		unmap(got[large]);
	while (nr--)
		unmap(tlb[nr]);
	cc_test_check(test);
}

/* The counters of a mapping, and the histogram of the requested sizes. */
static void class_counters(struct kunit *test)
{
	static const struct {
		size_t size;
		u8 bin;
	} maps[] = {
		{ 1, 0 }, { 2, 1 }, { 3, 2 }, { 4, 2 }, { 5, 3 }, { 512, 9 },
		{ 513, 10 }, { 4096, 12 }, { 4097, 13 }, { SZ_512K, 19 },
	};
	struct larger_test t = {
		.dev = cc_test_device(test, DMA_BIT_MASK(64), 0),
		.buf = virt_to_phys(cc_test_buffer(test, SZ_512K)),
	};
	unsigned long bytes = 0, used = 0;
	phys_addr_t tlb[ARRAY_SIZE(maps)];

	for (unsigned int i = 0; i < ARRAY_SIZE(maps); i++) {
		unsigned long *bin = &this_cpu_ptr(&cc_cpu)->bin[maps[i].bin];
		unsigned int nr = cc_test_class(maps[i].size);
		unsigned long before = *bin, count = cc_test_count(nr, CC_MAPS);

		tlb[i] = map_size(&t, maps[i].size);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb[i]));
		KUNIT_EXPECT_EQ(test, *bin, before + 1);
		KUNIT_EXPECT_EQ(test, cc_test_count(nr, CC_MAPS), count + 1);
		bytes += maps[i].size;
		used += 1UL << cc_classes[nr].shift;
		KUNIT_EXPECT_EQ(test, cc_used_bytes(), used);
	}
	KUNIT_EXPECT_EQ(test, cc_test_sum(CC_BYTES), bytes);
	KUNIT_EXPECT_EQ(test, cc_test_sum(CC_MAPS), ARRAY_SIZE(maps));
	KUNIT_EXPECT_EQ(test, cc_test_sum(CC_UNMAPS), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(maps); i++)
		unmap(tlb[i]);
	KUNIT_EXPECT_EQ(test, cc_test_sum(CC_UNMAPS), ARRAY_SIZE(maps));
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), 0);
}

/* The high water of a class follows its use. */
static void class_high_water(struct kunit *test)
{
	struct larger_test t = {
		.dev = cc_test_device(test, DMA_BIT_MASK(64), 0),
		.buf = virt_to_phys(cc_test_buffer(test, SZ_64K)),
	};
	struct cc_class *class = &cc_classes[cc_test_class(SZ_64K)];
	unsigned long high;
	phys_addr_t tlb[20];

	for (int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(tlb); i++) {
			tlb[i] = map_size(&t, SZ_64K);
			KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb[i]));
			cc_test_grow();
		}
		KUNIT_EXPECT_GE(test, class->high, ARRAY_SIZE(tlb));
		KUNIT_EXPECT_LE(test, class->high, ARRAY_SIZE(tlb) + class->batch);
		for (unsigned int i = 0; i < ARRAY_SIZE(tlb); i++)
			unmap(tlb[i]);
	}
	/* It does not follow it down. */
	high = class->high;
	cc_test_settle(test);
	tlb[0] = map_size(&t, SZ_64K);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb[0]));
	KUNIT_EXPECT_EQ(test, class->high, high);
	KUNIT_EXPECT_LT(test, class->peak, high);
	unmap(tlb[0]);
}

static struct kunit_case table_cases[] = {
	KUNIT_CASE(class_magazine_bytes),
	{}
};

static struct kunit_case class_cases[] = {
	KUNIT_CASE(class_table),
	KUNIT_CASE_PARAM(class_mask, mask_gen_params),
	KUNIT_CASE(class_larger),
	KUNIT_CASE(class_larger_sparse),
	KUNIT_CASE_PARAM(class_larger_depot, cached_gen_params),
	KUNIT_CASE_PARAM(class_mark_kept, cached_gen_params),
	KUNIT_CASE(class_counters),
	KUNIT_CASE(class_high_water),
	{}
};

static struct kunit_suite table_suite = {
	.name = "cc_swiotlb_class_table",
	.init = class_init,
	.test_cases = table_cases,
};

static struct kunit_suite class_suite = {
	.name = "cc_swiotlb_class",
	.init = cc_test_init,
	.exit = cc_test_exit,
	.test_cases = class_cases,
};

kunit_test_suites(&table_suite, &class_suite);

MODULE_DESCRIPTION("Tests of the size classes of cc-swiotlb");
MODULE_LICENSE("GPL");
