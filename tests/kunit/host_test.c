// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the allocator asks of the page allocator and of the host, how it takes a refusal,
 * and the table that grows when there is memory where none could be at boot.
 */
#include <linux/mm.h>
#include <linux/sched.h>

#include "defects_test.h"

static unsigned int asked, hard, asked_noio;

static void count_asked(unsigned int order, bool try_hard, int nid)
{
	asked++;
	hard |= try_hard << order;
	asked_noio += !!(current->flags & PF_MEMALLOC_NOIO);
}

static int grow(unsigned int min_shift, int nid)
{
	int err;

	asked = 0;
	hard = 0;
	mutex_lock(&cc_swiotlb.mutex);
	err = cc_block_grow(SZ_2M, min_shift, nid);
	mutex_unlock(&cc_swiotlb.mutex);
	return err;
}

/* Memory is reclaimed for the least that will do, and only if there is no other node. */
static void host_try_hard(struct kunit *test)
{
	unsigned int most = min(CC_BLOCK_SHIFT, PAGE_SHIFT + MAX_PAGE_ORDER);

	start(test, SZ_128M, SZ_8M, 0);
	cc_fake_fail(CC_FAKE_MEMORY, 0, UINT_MAX);
	cc_fake.allocating = count_asked;
	for (unsigned int shift = CC_FRAME_SHIFT; shift <= most; shift++) {
		KUNIT_EXPECT_EQ(test, -ENOMEM, grow(shift, NUMA_NO_NODE));
		KUNIT_EXPECT_EQ(test, asked, most - shift + 1);
		KUNIT_EXPECT_EQ(test, hard, BIT(shift - PAGE_SHIFT));
		KUNIT_EXPECT_EQ(test, -ENOMEM, grow(shift, 0));
		KUNIT_EXPECT_EQ(test, asked, most - shift + 1);
		KUNIT_EXPECT_EQ(test, hard, 0);
	}
	cc_fake.allocating = NULL;
}

/* What kccd allocates starts no I/O, which may wait for a bounce buffer. */
static void host_no_io(struct kunit *test)
{
	start(test, SZ_128M, SZ_8M, 0);
	asked = 0;
	asked_noio = 0;
	cc_fake.allocating = count_asked;
	KUNIT_EXPECT_EQ(test, 0, cc_kccd_set(&cc_swiotlb.min, SZ_32M));
	cc_kccd_pass(cc_test_now);
	cc_fake.allocating = NULL;
	KUNIT_EXPECT_GT(test, asked, 0);
	KUNIT_EXPECT_EQ(test, asked, asked_noio);
	KUNIT_EXPECT_FALSE(test, current->flags & PF_MEMALLOC_NOIO);
}

/* What is allocated under the mutex may fail rather than wait, and must not wait for I/O. */
static void host_gfp(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, CC_GFP & __GFP_NORETRY);
	KUNIT_EXPECT_FALSE(test, CC_GFP & (__GFP_IO | __GFP_FS | __GFP_NOFAIL));
	/* Nobody else compacts for kccd. */
	KUNIT_EXPECT_TRUE(test, CC_GFP_LOOK & __GFP_KSWAPD_RECLAIM);
	KUNIT_EXPECT_FALSE(test, CC_GFP_LOOK & __GFP_DIRECT_RECLAIM);
}

/* A conversion that lacks memory is not a page allocator that has none. */
static void host_no_memory(struct kunit *test)
{
	start(test, SZ_128M, SZ_8M, 0);
	cc_fake.error = -ENOMEM;
	cc_fake_fail(CC_FAKE_SHARE, 0, 1);
	KUNIT_EXPECT_EQ(test, -EIO, grow(CC_BLOCK_SHIFT, NUMA_NO_NODE));
	cc_fake.error = -EPERM;
	cc_fake_fail(CC_FAKE_SHARE, 0, 1);
	KUNIT_EXPECT_EQ(test, -EPERM, grow(CC_BLOCK_SHIFT, NUMA_NO_NODE));
	cc_fake_fail(CC_FAKE_MEMORY, 0, UINT_MAX);
	KUNIT_EXPECT_EQ(test, -ENOMEM, grow(CC_BLOCK_SHIFT, NUMA_NO_NODE));
	cc_test_check(test);
}

/* One block that stays shared is said, and is no reason to leave others to the next kernel. */
static void host_kexec(struct kunit *test)
{
	unsigned int before;
	struct cc_block *block;

	start(test, SZ_128M, SZ_8M, 0);
	/* The fake wants private memory not to be found. */
	mutex_lock(&cc_swiotlb.mutex);
	list_for_each_entry(block, &cc_swiotlb.blocks, node)
		for (unsigned int i = 0; i < block->nr_chunks; i++)
			cc_chunk_unpublish(&block->chunks[i]);
	mutex_unlock(&cc_swiotlb.mutex);
	before = cc_fake.calls[CC_FAKE_UNSHARE];
	cc_fake_fail(CC_FAKE_UNSHARE, 1, 1);
	cc_test_log_begin(test);
	cc_swiotlb_kexec();
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("cc-swiotlb: 2048 KiB at", "may be shared"));
	KUNIT_EXPECT_EQ(test, cc_fake.calls[CC_FAKE_UNSHARE] - before,
			list_count_nodes(&cc_swiotlb.blocks));
	/* Here the allocator goes on. The fake knows what is private. */
	mutex_lock(&cc_swiotlb.mutex);
	list_for_each_entry(block, &cc_swiotlb.blocks, node) {
		KUNIT_EXPECT_EQ(test, 0, cc_convert(block->page, block->shift - PAGE_SHIFT, true));
		for (unsigned int i = 0; i < block->nr_chunks; i++)
			KUNIT_EXPECT_EQ(test, 0, cc_chunk_publish(&block->chunks[i]));
	}
	mutex_unlock(&cc_swiotlb.mutex);
}

/*
 * A chunk at twice the end of what there was: the larger table has room for it, and nobody
 * looks into the smaller one any more when it can be found.
 */
static void host_table(struct kunit *test)
{
	struct cc_chunk *chunk = kunit_kzalloc(test, sizeof(*chunk), GFP_KERNEL);
	struct cc_chunk_table *before;

	KUNIT_ASSERT_NOT_NULL(test, chunk);
	start(test, SZ_128M, SZ_8M, 0);
	before = cc_by_frame;
	chunk->pool.start = (phys_addr_t)2 * before->nr << (CC_FRAME_SHIFT + CC_LEAF_BITS);
	chunk->pool.end = chunk->pool.start + BIT(CC_FRAME_SHIFT);
	count_grace_periods(test);
	mutex_lock(&cc_swiotlb.mutex);
	KUNIT_EXPECT_EQ(test, 0, cc_chunk_publish(chunk));
	mutex_unlock(&cc_swiotlb.mutex);
	kunit_deactivate_static_stub(test, cc_grace_period);
	KUNIT_EXPECT_EQ(test, graces.nr, 1);
	KUNIT_EXPECT_PTR_NE(test, cc_by_frame, before);
	KUNIT_EXPECT_PTR_EQ(test, cc_by_frame, graces.table);
	KUNIT_EXPECT_PTR_EQ(test, cc_by_frame->smaller, before);
	KUNIT_EXPECT_PTR_EQ(test, cc_chunk_by_addr(chunk->pool.start), chunk);
	KUNIT_EXPECT_NULL(test, cc_chunk_by_addr(chunk->pool.end));
	cc_test_check(test);
	mutex_lock(&cc_swiotlb.mutex);
	if (cc_by_frame->nr > 2 * before->nr)
		cc_chunk_unpublish(chunk);
	mutex_unlock(&cc_swiotlb.mutex);
	KUNIT_EXPECT_NULL(test, cc_chunk_by_addr(chunk->pool.start));
}

static struct kunit_case host_cases[] = {
	KUNIT_CASE(host_try_hard),
	KUNIT_CASE(host_no_io),
	KUNIT_CASE(host_gfp),
	KUNIT_CASE(host_no_memory),
	KUNIT_CASE(host_kexec),
	KUNIT_CASE(host_table),
	{}
};

static struct kunit_suite host_suite = {
	.name = "cc_swiotlb_host",
	.init = defects_init,
	.exit = defects_exit,
	.test_cases = host_cases,
};

kunit_test_suite(host_suite);

MODULE_DESCRIPTION("Tests of what cc-swiotlb asks of page allocator and host");
MODULE_LICENSE("GPL");
