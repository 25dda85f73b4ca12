// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is taken from the reserve and what goes back: no more than is needed, by whoever
 * needs it, and what was needed in between is not returned to the host.
 */
#include <kunit/test-bug.h>
#include <linux/gfp.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched.h>

#include "defects_test.h"

#define COHERENT	(&cc_classes[CC_COHERENT])

/* A block of 1 << @shift bytes more in the reserve, whatever its target is. */
static void add_block(struct kunit *test, unsigned int shift)
{
	mutex_lock(&cc_swiotlb.mutex);
	KUNIT_EXPECT_EQ(test, 0, cc_block_grow(BIT(shift), shift, NUMA_NO_NODE));
	mutex_unlock(&cc_swiotlb.mutex);
}

/* Of two CPUs that find a class empty, the second one finds what the first one has taken. */
static void reserve_taken_once(struct kunit *test)
{
	struct cc_class *class = &cc_classes[cc_test_class(SZ_4K)];
	unsigned long before;

	start(test, SZ_128M, SZ_8M, 0);
	before = cc_swiotlb.reserve_bytes;
	for (unsigned int i = 0; i < 2; i++) {
		KUNIT_EXPECT_TRUE(test, cc_reserve_take(class, 0, 1));
		KUNIT_EXPECT_EQ(test, cc_swiotlb.reserve_bytes, before - SZ_512K);
	}
	cc_test_check(test);
}

static unsigned int joined;

static void look_at_chunk(const struct cc_chunk *chunk)
{
	struct cc_class_node *node = &chunk->class->node[chunk->nid];
	struct kunit *test = kunit_get_current_test();

	joined++;
	KUNIT_EXPECT_LE(test, (size_t)atomic_long_read(&node->pool_free) << chunk->shift,
			gen_pool_avail(&node->pool));
}

/* Who sees that a class has a slot finds it, or would take a chunk more. */
static void reserve_counted_last(struct kunit *test)
{
	struct cc_class *class = &cc_classes[cc_test_class(SZ_4K)];

	start(test, SZ_128M, SZ_8M, 0);
	joined = 0;
	kunit_activate_static_stub(test, cc_chunk_point, look_at_chunk);
	KUNIT_EXPECT_TRUE(test, cc_reserve_take(class, 0, 1));
	kunit_deactivate_static_stub(test, cc_chunk_point);
	KUNIT_EXPECT_EQ(test, joined, 1);
	cc_test_check(test);
}

static struct task_struct *between;
static unsigned int held, most_held;

static void count_held(const struct cc_chunk *chunk)
{
	held++;
	wake_up_process(between);
}

/* Runs on the CPU of the test as soon as preemption and interrupts are on. */
static int look_between(void *unused)
{
	do {
		most_held = max(most_held, held);
		held = 0;
		set_current_state(TASK_IDLE);
		if (!kthread_should_stop())
			schedule();
		__set_current_state(TASK_RUNNING);
	} while (!kthread_should_stop());
	return 0;
}

/* Interrupts are off for no more than a batch of chunks, however many go back. */
static void reserve_interrupts(struct kunit *test)
{
	struct cc_class *class = &cc_classes[cc_test_class(SZ_4K)];
	unsigned long nr_slots;

	start(test, SZ_128M, SZ_32M, 0);
	while (cc_reserve_take(class, 0, LONG_MAX))
		;
	nr_slots = class->nr_slots;
	KUNIT_ASSERT_GT(test, nr_slots, SZ_16M / SZ_4K);
	between = kthread_create_on_cpu(look_between, NULL, raw_smp_processor_id(),
					"cc-between/%u");
	KUNIT_ASSERT_FALSE(test, IS_ERR(between));
	sched_set_fifo(between);
	held = 0;
	most_held = 0;
	kunit_activate_static_stub(test, cc_chunk_point, count_held);
	KUNIT_EXPECT_EQ(test, cc_test_retire(class, ULONG_MAX), nr_slots);
	kunit_deactivate_static_stub(test, cc_chunk_point);
	kthread_stop(between);
	KUNIT_EXPECT_GT(test, most_held, 0);
	KUNIT_EXPECT_LE(test, max(most_held, held), 8);
	cc_test_check(test);
}

/* The smallest chunk that is large enough, so that large ones are left to large slots. */
static void reserve_smallest(struct kunit *test)
{
	struct defects_test *t = test->priv;
	static const size_t sizes[] = { SZ_64K, SZ_128K, SZ_512K };

	start(test, SZ_128M, SZ_2M, 0);
	add_block(test, ilog2(SZ_128K));
	add_block(test, ilog2(SZ_64K));
	/* The class of the first one is empty again each time. */
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		KUNIT_ASSERT_EQ(test, take(test, sizes[i] / SZ_64K, SZ_64K), sizes[i] / SZ_64K);
		KUNIT_EXPECT_EQ(test, cc_chunk_bytes(cc_chunk_by_addr(t->tlb[t->nr - 1])),
				sizes[i]);
	}
	cc_test_check(test);
}

/* What the reserve has lacked between two ticks stays, even if it is there again. */
static void reserve_low_water(struct kunit *test)
{
	start(test, SZ_128M, SZ_8M, 0);
	live(60 * HZ);
	add_block(test, CC_BLOCK_SHIFT);
	cc_test_tick();
	KUNIT_ASSERT_EQ(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target + SZ_2M);
	for (unsigned int i = 0; i < SZ_2M / SZ_512K; i++)
		KUNIT_ASSERT_TRUE(test, cc_reserve_take(LARGEST, 0, LONG_MAX));
	KUNIT_EXPECT_EQ(test, cc_test_retire(LARGEST, ULONG_MAX), SZ_2M / SZ_512K);
	KUNIT_ASSERT_EQ(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target + SZ_2M);
	cc_test_tick();
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_UNSHARE], 0);
	/* Unless nobody has needed it for a second. */
	cc_test_tick();
	KUNIT_EXPECT_EQ(test, cc_swiotlb.reserve_bytes, cc_swiotlb.target);
}

/* A page of a block that was of coherent memory has the references it had before. */
static void reserve_after_coherent(struct kunit *test)
{
	struct defects_test *t = test->priv;
	struct page *page[SZ_8M / SZ_512K];
	struct cc_block *block;
	unsigned int firsts = 0;

	start(test, SZ_128M, SZ_8M, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(page); i++) {
		page[i] = cc_swiotlb_alloc_pages(t->dev, SZ_512K, GFP_ATOMIC);
		KUNIT_ASSERT_NOT_NULL(test, page[i]);
		firsts += page[i] == cc_chunk_by_addr(page_to_phys(page[i]))->block->page;
	}
	KUNIT_ASSERT_GT(test, firsts, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(page); i++)
		cc_swiotlb_free_pages(t->dev, page_to_phys(page[i]), SZ_512K);
	cc_test_retire(COHERENT, ULONG_MAX);
	KUNIT_ASSERT_EQ(test, COHERENT->nr_slots, 0);
	list_for_each_entry(block, &cc_swiotlb.blocks, node)
		KUNIT_EXPECT_EQ(test, page_ref_count(block->page), 1);
	cc_test_check(test);
}

/* Who has another way takes a part of the reserve, and is no reason for a larger one. */
static void reserve_coherent_target(struct kunit *test)
{
	struct defects_test *t = test->priv;
	struct page *page[16];
	unsigned int nr = 0;

	start(test, SZ_128M, SZ_8M, 0);
	add_block(test, CC_BLOCK_SHIFT);
	while (nr < ARRAY_SIZE(page) &&
	       (page[nr] = cc_swiotlb_alloc_pages(t->dev, SZ_512K, GFP_KERNEL)))
		nr++;
	KUNIT_ASSERT_GT(test, nr * SZ_512K, cc_swiotlb.target / 2);
	cc_kccd_pass(cc_test_now);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.target, SZ_8M);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, SZ_8M);
	while (nr--)
		cc_swiotlb_free_pages(t->dev, page_to_phys(page[nr]), SZ_512K);
}

/* A mark is kept where the limit has room for it, whatever is left over. */
static void reserve_mark_tight(struct kunit *test)
{
	static const char * const said[] = { "max=8768K", "max=9000K", "max=8704K" };
	struct cc_options opts;
	char str[16];

	for (unsigned int i = 0; i < ARRAY_SIZE(said); i++) {
		cc_options_default(&opts, SZ_2G);
		strscpy(str, said[i]);
		KUNIT_ASSERT_EQ(test, cc_options_parse(&opts, str, SZ_2G), 0);
		cc_test_log_begin(test);
		start(test, opts.max, opts.reserve, opts.mark[CC_CHUNK_CLASS]);
		live(60 * HZ);
		cc_test_log_end(test);
		KUNIT_EXPECT_EQ(test, opts.mark[CC_CHUNK_CLASS], 2);
		KUNIT_EXPECT_GE(test, cc_class_free(LARGEST), 2);
		KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, opts.reserve);
		KUNIT_EXPECT_TRUE(test, asleep());
		cc_test_stop(test);
	}
}

static struct kunit_case reserve_cases[] = {
	KUNIT_CASE(reserve_taken_once),
	KUNIT_CASE(reserve_counted_last),
	KUNIT_CASE(reserve_interrupts),
	KUNIT_CASE(reserve_smallest),
	KUNIT_CASE(reserve_low_water),
	KUNIT_CASE(reserve_after_coherent),
	KUNIT_CASE(reserve_coherent_target),
	KUNIT_CASE(reserve_mark_tight),
	{}
};

static struct kunit_suite reserve_suite = {
	.name = "cc_swiotlb_reserve",
	.init = defects_init,
	.exit = defects_exit,
	.test_cases = reserve_cases,
};

kunit_test_suite(reserve_suite);

MODULE_DESCRIPTION("Tests of the reserve of cc-swiotlb");
MODULE_LICENSE("GPL");
