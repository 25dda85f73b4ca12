// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory: what the allocator is built on, and all that tests replace. NUMA nodes,
 * pages, their conversion, and private memory for descriptors. Nothing here waits
 * without bound.
 */
#include <kunit/static_stub.h>
#include <linux/gfp.h>
#include <linux/kasan.h>
#include <linux/mem_encrypt.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/numa.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/set_memory.h>
#include <linux/slab.h>
#include <linux/topology.h>
#include <linux/vmalloc.h>

#include "internal.h"

/**
 * cc_count_nodes() - how many NUMA nodes can there be?
 *
 * Context: any.
 * Return: a number above that of any node.
 */
unsigned int cc_count_nodes(void)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_count_nodes);
	return nr_node_ids;
}

/**
 * cc_memory_node() - the node with memory that is nearest to another one
 * @nid: a node, or NUMA_NO_NODE
 *
 * Context: any.
 * Return: a node, of whose memory none may be left.
 */
int cc_memory_node(int nid)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_memory_node, nid);
	/*
	 * Where the architecture knows of nodes without memory, or the node has some, the
	 * first look answers. NUMA_NO_NODE until a CPU has been seen.
	 */
	return max(numa_nearest_node(nid, N_MEMORY), 0);
}

/**
 * cc_cpu_node() - the node that has the memory for a CPU
 * @cpu: the CPU
 *
 * Context: any.
 * Return: the nearest node that has memory, of which none may be left.
 */
int cc_cpu_node(unsigned int cpu)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_cpu_node, cpu);
	return cc_memory_node(cpu_to_mem(cpu));
}

/**
 * cc_page_node() - the node that a page is on
 * @page: the page
 *
 * Context: any.
 * Return: a node.
 */
int cc_page_node(const struct page *page)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_page_node, page);
	return page_to_nid(page);
}

/**
 * cc_alloc_memory() - allocate memory that is to be shared
 * @order: log2 of the number of pages
 * @try_hard: reclaim once rather than fail at once
 * @nid: the NUMA node that it must be on, or NUMA_NO_NODE
 *
 * The memory is zeroed while it is private, so that nothing in it leaks to the
 * host. To compact takes I/O, which the caller must not wait for; kcompactd does
 * it, woken by what is tried without reclaim, and the caller comes back later.
 *
 * Context: task.
 * Return: the first page, or NULL.
 */
struct page *cc_alloc_memory(unsigned int order, bool try_hard, int nid)
{
	gfp_t gfp = (try_hard ? CC_GFP : CC_GFP_LOOK) | __GFP_ZERO;

	KUNIT_STATIC_STUB_REDIRECT(cc_alloc_memory, order, try_hard, nid);
	if (nid == NUMA_NO_NODE)
		return alloc_pages(gfp, order);
	return node_online(nid) ? alloc_pages_node(nid, gfp | __GFP_THISNODE, order) : NULL;
}

/**
 * cc_free_memory() - return memory to the page allocator
 * @page: first page; the memory must be known to be private
 * @order: log2 of the number of pages
 *
 * Context: task.
 */
void cc_free_memory(struct page *page, unsigned int order)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_free_memory, page, order);
	__free_pages(page, order);
}

/**
 * cc_alloc_metadata() - allocate private memory for descriptors
 * @size: bytes
 *
 * Context: task.
 * Return: zeroed memory, or NULL.
 */
void *cc_alloc_metadata(size_t size)
{
	unsigned int noreclaim;
	void *ptr;

	KUNIT_STATIC_STUB_REDIRECT(cc_alloc_metadata, size);
	if (size <= PAGE_SIZE)
		return kzalloc(size, CC_GFP);
	/*
	 * vmalloc() may allocate page tables without regard to the flags: those come from
	 * the reserves of memory, or it fails. The memory itself does not.
	 */
	noreclaim = memalloc_noreclaim_save();
	ptr = kvzalloc(size, CC_GFP | __GFP_NOMEMALLOC);
	memalloc_noreclaim_restore(noreclaim);
	return ptr;
}

/**
 * cc_free_metadata() - free what cc_alloc_metadata() has returned
 * @ptr: the memory; can be NULL
 *
 * Context: task.
 */
void cc_free_metadata(void *ptr)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_free_metadata, ptr);
	kvfree(ptr);
}

/**
 * cc_alloc_metadata_page() - allocate a private page for slots
 *
 * Context: task.
 * Return: a zeroed page, or NULL.
 */
struct page *cc_alloc_metadata_page(void)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_alloc_metadata_page);
	return alloc_page(CC_GFP | __GFP_ZERO);
}

/**
 * cc_free_metadata_page() - free what cc_alloc_metadata_page() has returned
 * @page: the page
 *
 * Context: task.
 */
void cc_free_metadata_page(struct page *page)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_free_metadata_page, page);
	__free_page(page);
}

/**
 * cc_grace_period() - wait until nobody uses what could be found before
 *
 * Context: task.
 */
void cc_grace_period(void)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_grace_period);
	synchronize_rcu();
}

/**
 * cc_convert() - share memory with the host, or make it private again
 * @page: first page
 * @order: log2 of the number of pages
 * @share: true to share
 *
 * Context: task. The conversion may sleep and is slow.
 * Return: 0, or an error after which the state of the memory is unknown.
 */
int cc_convert(struct page *page, unsigned int order, bool share)
{
	/* What is not in the direct map is refused, and with a tag it seems not to be. */
	unsigned long vaddr = (unsigned long)kasan_reset_tag(page_address(page));
	unsigned int noreclaim;
	int err;

	KUNIT_STATIC_STUB_REDIRECT(cc_convert, page, order, share);
	if (!swiotlb_is_shared())
		return 0;
	/*
	 * x86 does that before it converts, and may wait for a workqueue, which nobody
	 * must who allocates from the reserves. Then next to nothing is left to be purged.
	 */
	if (IS_ENABLED(CONFIG_X86))
		vm_unmap_aliases();
	/* To split an entry of the direct map takes a page: have it, or fail. */
	noreclaim = memalloc_noreclaim_save();
	err = share ? set_memory_decrypted(vaddr, 1 << order) :
		      set_memory_encrypted(vaddr, 1 << order);
	memalloc_noreclaim_restore(noreclaim);
	return err;
}
