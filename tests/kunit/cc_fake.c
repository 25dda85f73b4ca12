// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fake of what is below the allocator: pages, their conversion, and memory
 * for metadata. It fails when it is told to, knows the state of each page, and
 * fails the test when a page is converted or freed in a state that forbids it.
 */
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "cc_test.h"

struct cc_fake cc_fake;

static struct kunit *fake_test;

enum fake_state { PRIVATE, SHARED, UNKNOWN };

struct fake_block {
	struct list_head node;
	struct page *page;
	unsigned int order;
	int nid;
	enum fake_state state;
};

static bool fails(enum cc_fake_call call)
{
	unsigned int n = cc_fake.calls[call]++;

	return n >= cc_fake.fail_from[call] && n < cc_fake.fail_to[call];
}

static struct fake_block *fake_find(struct page *page, unsigned int order)
{
	struct fake_block *block;

	list_for_each_entry(block, &cc_fake.blocks, node)
		if (block->page == page && block->order == order)
			return block;
	KUNIT_FAIL(fake_test, "page was never allocated, or freed already");
	return NULL;
}

/* Pages above cc_fake.above; those below are held until one is found. */
static struct page *alloc_above(unsigned int order)
{
	struct page *page, *next;
	LIST_HEAD(below);

	while ((page = alloc_pages(GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY, order))) {
		if (page_to_phys(page) >= cc_fake.above)
			break;
		list_add(&page->lru, &below);
	}
	while (!list_empty(&below)) {
		next = list_first_entry(&below, struct page, lru);
		list_del(&next->lru);
		__free_pages(next, order);
	}
	return page;
}

static struct page *fake_alloc_memory(unsigned int order, bool try_hard, int nid)
{
	struct fake_block *block;

	if (cc_fake.allocating)
		cc_fake.allocating(order, try_hard, nid);
	if (nid == NUMA_NO_NODE)
		nid = ffz(cc_fake.no_memory);
	else if (cc_fake.no_memory & BIT(nid))
		return NULL;
	if (order > cc_fake.max_order || fails(CC_FAKE_MEMORY))
		return NULL;
	block = kunit_kzalloc(fake_test, sizeof(*block), GFP_KERNEL);
	if (!block)
		return NULL;
	if (cc_fake.last && cc_fake.last_order == order)
		block->page = cc_fake.last;
	else
		block->page = alloc_above(order);
	if (block->page == cc_fake.last)
		cc_fake.last = NULL;
	block->order = order;
	block->nid = nid;
	if (!block->page) {
		kunit_kfree(fake_test, block);
		return NULL;
	}
	list_add(&block->node, &cc_fake.blocks);
	return block->page;
}

static void fake_free_memory(struct page *page, unsigned int order)
{
	struct fake_block *block = fake_find(page, order);

	if (!block)
		return;
	KUNIT_EXPECT_EQ_MSG(fake_test, block->state, PRIVATE,
			    "freed while shared or of unknown state");
	list_del(&block->node);
	kunit_kfree(fake_test, block);
	if (cc_fake.gives_last) {
		swap(page, cc_fake.last);
		swap(order, cc_fake.last_order);
	}
	if (page)
		__free_pages(page, order);
}

/* No part of it is found by its address. */
static bool fake_hidden(const struct fake_block *block)
{
	phys_addr_t start = page_to_phys(block->page), end = start + (PAGE_SIZE << block->order);

	for (phys_addr_t addr = start; addr < end; addr += BIT(CC_FRAME_SHIFT))
		if (cc_chunk_by_addr(addr))
			return false;
	return true;
}

/* Is this a page that is never shared? */
static bool fake_refuses(struct page *page)
{
	for (unsigned int i = 0; i < cc_fake.nr_unshared; i++)
		if (page == cc_fake.unshared[i])
			return true;
	if (!cc_fake.refuses_next)
		return false;
	cc_fake.refuses_next--;
	cc_fake.unshared[cc_fake.nr_unshared++] = page;
	return true;
}

static int fake_convert(struct page *page, unsigned int order, bool share)
{
	struct fake_block *block = fake_find(page, order);

	might_sleep();
	if (!block)
		return -EINVAL;
	KUNIT_EXPECT_NE_MSG(fake_test, block->state, share ? SHARED : PRIVATE,
			    "converted to what it is");
	if (block->state == SHARED)
		KUNIT_EXPECT_TRUE_MSG(fake_test, fake_hidden(block), "can still be found");
	if (fails(share ? CC_FAKE_SHARE : CC_FAKE_UNSHARE) ||
	    (share && (fake_refuses(page) || (cc_fake.unsharable & BIT(block->nid)))) ||
	    (!share && page == cc_fake.refused)) {
		block->state = UNKNOWN;
		return cc_fake.error ?: -EIO;
	}
	block->state = share ? SHARED : PRIVATE;
	if (cc_fake.converted)
		cc_fake.converted(page, order, share);
	return 0;
}

static void *fake_alloc_metadata(size_t size)
{
	void *ptr = fails(CC_FAKE_METADATA) ? NULL : kvzalloc(size, GFP_KERNEL);

	cc_fake.metadata += !!ptr;
	return ptr;
}

static void fake_free_metadata(void *ptr)
{
	cc_fake.metadata -= !!ptr;
	kvfree(ptr);
}

static struct page *fake_alloc_metadata_page(void)
{
	struct page *page = NULL;

	if (!fails(CC_FAKE_METADATA))
		page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	cc_fake.metadata += !!page;
	return page;
}

static void fake_free_metadata_page(struct page *page)
{
	cc_fake.metadata--;
	__free_page(page);
}

static unsigned int fake_count_nodes(void)
{
	return cc_fake.nr_nodes;
}

static int fake_memory_node(int nid)
{
	return cc_fake.memoryless & BIT(nid) ? 0 : nid;
}

static int fake_cpu_node(unsigned int cpu)
{
	return cpu < CC_FAKE_CPUS ? cc_fake.cpu_node : cpu - CC_FAKE_CPUS;
}

static bool fake_online(unsigned int cpu)
{
	return cpu < CC_FAKE_CPUS;
}

static int fake_page_node(const struct page *page)
{
	struct fake_block *block;

	list_for_each_entry(block, &cc_fake.blocks, node)
		if (page >= block->page && page < block->page + (1 << block->order))
			return block->nid;
	return 0;
}

/**
 * cc_fake_nodes() - have some NUMA nodes
 * @test: the test; after cc_fake_begin() and before it starts the allocator
 * @nr: number of nodes
 */
void cc_fake_nodes(struct kunit *test, unsigned int nr)
{
	cc_fake.nr_nodes = nr;
	kunit_activate_static_stub(test, cc_count_nodes, fake_count_nodes);
	kunit_activate_static_stub(test, cc_memory_node, fake_memory_node);
	kunit_activate_static_stub(test, cc_cpu_node, fake_cpu_node);
	kunit_activate_static_stub(test, cc_page_node, fake_page_node);
	kunit_activate_static_stub(test, cc_magazine_online, fake_online);
}

/**
 * cc_fake_begin() - put the fake in place, and let nothing fail
 * @test: the test; before it starts the allocator
 */
void cc_fake_begin(struct kunit *test)
{
	memset(&cc_fake, 0, sizeof(cc_fake));
	INIT_LIST_HEAD(&cc_fake.blocks);
	cc_fake.max_order = MAX_PAGE_ORDER;
	fake_test = test;
	kunit_activate_static_stub(test, cc_alloc_memory, fake_alloc_memory);
	kunit_activate_static_stub(test, cc_free_memory, fake_free_memory);
	kunit_activate_static_stub(test, cc_alloc_metadata, fake_alloc_metadata);
	kunit_activate_static_stub(test, cc_free_metadata, fake_free_metadata);
	kunit_activate_static_stub(test, cc_alloc_metadata_page, fake_alloc_metadata_page);
	kunit_activate_static_stub(test, cc_free_metadata_page, fake_free_metadata_page);
	kunit_activate_static_stub(test, cc_convert, fake_convert);
}

/**
 * cc_fake_fail() - let calls fail
 * @call: which
 * @from: number of calls that still work
 * @nr: number of calls that fail after that
 */
void cc_fake_fail(enum cc_fake_call call, unsigned int from, unsigned int nr)
{
	cc_fake.fail_from[call] = cc_fake.calls[call] + from;
	cc_fake.fail_to[call] = nr > UINT_MAX - cc_fake.fail_from[call] ?
				UINT_MAX : cc_fake.fail_from[call] + nr;
}

/**
 * cc_fake_end() - fail the test if memory is missing
 * @test: the test; after it has stopped the allocator
 *
 * Only what is quarantined may be left.
 */
void cc_fake_end(struct kunit *test)
{
	struct fake_block *block, *next;
	unsigned long unknown = 0;

	if (!fake_test)
		return;
	list_for_each_entry_safe(block, next, &cc_fake.blocks, node) {
		KUNIT_EXPECT_EQ_MSG(test, block->state, UNKNOWN, "leaked");
		unknown += PAGE_SIZE << block->order;
		__free_pages(block->page, block->order);
		kunit_kfree(test, block);
	}
	INIT_LIST_HEAD(&cc_fake.blocks);
	if (cc_fake.last)
		__free_pages(cc_fake.last, cc_fake.last_order);
	KUNIT_EXPECT_EQ(test, unknown, cc_swiotlb.quarantined);
	KUNIT_EXPECT_EQ(test, cc_fake.metadata, 0);
	fake_test = NULL;
}

/**
 * cc_fake_remove() - let the real functions do the work again
 * @test: the test; after cc_fake_end()
 */
void cc_fake_remove(struct kunit *test)
{
	kunit_deactivate_static_stub(test, cc_alloc_memory);
	kunit_deactivate_static_stub(test, cc_free_memory);
	kunit_deactivate_static_stub(test, cc_alloc_metadata);
	kunit_deactivate_static_stub(test, cc_free_metadata);
	kunit_deactivate_static_stub(test, cc_alloc_metadata_page);
	kunit_deactivate_static_stub(test, cc_free_metadata_page);
	kunit_deactivate_static_stub(test, cc_convert);
	if (!cc_fake.nr_nodes)
		return;
	kunit_deactivate_static_stub(test, cc_count_nodes);
	kunit_deactivate_static_stub(test, cc_memory_node);
	kunit_deactivate_static_stub(test, cc_cpu_node);
	kunit_deactivate_static_stub(test, cc_page_node);
	kunit_deactivate_static_stub(test, cc_magazine_online);
}

struct task_struct *cc_fake_thread;

/**
 * cc_fake_run() - start the real thread, but with the fake below it
 *
 * In the place of cc_kccd_run(). The thread waits for the mutex until the fake is there.
 *
 * Return: the thread, or an error pointer.
 */
struct task_struct *cc_fake_run(void)
{
	struct kunit *test = current->kunit_test;

	kunit_deactivate_static_stub(test, cc_kccd_run);
	mutex_lock(&cc_swiotlb.mutex);
	cc_fake_thread = cc_kccd_run();
	if (!IS_ERR(cc_fake_thread))
		cc_fake_thread->kunit_test = test;
	mutex_unlock(&cc_swiotlb.mutex);
	return cc_fake_thread;
}
