// SPDX-License-Identifier: GPL-2.0-only
/*
 * Coherent allocations through the DMA API, for a device that the tests call
 * confidential, where the architecture does not know better.
 */
#include <linux/anon_inodes.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/scatterlist.h>
#include <linux/string.h>
#include <linux/swiotlb.h>
#include <linux/uaccess.h>

#include "../../direct.h"
#include "cc_test.h"

#ifndef CONFIG_ARCH_HAS_FORCE_DMA_UNENCRYPTED
#define TABLE_SIZE	(3 * PAGE_SIZE)

/* For which no memory would have to be converted, if it was not for the tests. */
struct device *cc_test_confidential;

bool force_dma_unencrypted(struct device *dev)
{
	return dev == cc_test_confidential;
}

/**
 * struct dma_api_test - what a test has
 * @dev: the device, which is confidential
 * @shared: what swiotlb knew of its memory before
 * @decrypted: how often dma-direct has shared memory for such a device
 * @encrypted: how often it has made it private again
 */
struct dma_api_test {
	struct device *dev;
	bool shared;
	unsigned int decrypted;
	unsigned int encrypted;
};

static struct dma_api_test *state;

/* What dma-direct converts, and what it must not: a page inside of a chunk. */
static void converted(void *vaddr, size_t size)
{
	KUNIT_EXPECT_NULL_MSG(kunit_get_current_test(), cc_chunk_by_addr(virt_to_phys(vaddr)),
			      "becomes private in the middle of a block");
}

static int fake_decrypted(struct device *dev, void *vaddr, size_t size)
{
	converted(vaddr, size);
	state->decrypted += force_dma_unencrypted(dev);
	return 0;
}

static int fake_encrypted(struct device *dev, void *vaddr, size_t size)
{
	converted(vaddr, size);
	state->encrypted += force_dma_unencrypted(dev);
	return 0;
}

static int dma_api_init(struct kunit *test)
{
	struct dma_api_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	state = t;
	cc_fake_begin(test);
	cc_test_start(test);
	t->dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	t->shared = cc_test_set_shared(t->dev->dma_io_tlb_mem, true);
	kunit_activate_static_stub(test, dma_set_decrypted, fake_decrypted);
	kunit_activate_static_stub(test, dma_set_encrypted, fake_encrypted);
	cc_test_confidential = t->dev;
	return 0;
}

static void dma_api_exit(struct kunit *test)
{
	struct dma_api_test *t = test->priv;

	cc_test_confidential = NULL;
	if (t && t->dev)
		cc_test_set_shared(t->dev->dma_io_tlb_mem, t->shared);
	cc_test_stop(test);
	cc_fake_end(test);
}

static bool is_ours(struct device *dev, dma_addr_t dma)
{
	return cc_chunk_by_addr(dma_to_phys(dev, dma));
}

/* What dma-direct did before, for what is not in a chunk: one conversion and one back. */
static void expect_converted(struct kunit *test, unsigned int nr)
{
	struct dma_api_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, t->decrypted, nr);
	KUNIT_EXPECT_EQ(test, t->encrypted, nr);
	t->decrypted = 0;
	t->encrypted = 0;
	KUNIT_EXPECT_EQ(test, cc_coherent_bytes(), 0);
	cc_test_check(test);
}

static const gfp_t gfp_params[] = { GFP_KERNEL, GFP_ATOMIC };

static void gfp_desc(const gfp_t *gfp, char *desc)
{
	strscpy(desc, *gfp == GFP_KERNEL ? "GFP_KERNEL" : "GFP_ATOMIC",
		KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(gfp, gfp_params, gfp_desc);

/* A driver's call: nothing is converted, in any context. */
static void dma_api_coherent(struct kunit *test)
{
	gfp_t gfp = *(const gfp_t *)test->param_value;
	struct dma_api_test *t = test->priv;
	dma_addr_t dma;
	void *vaddr;

	for (unsigned int i = 0; i < 2; i++) {
		vaddr = dma_alloc_coherent(t->dev, TABLE_SIZE, &dma, gfp);
		KUNIT_ASSERT_NOT_NULL(test, vaddr);
		KUNIT_EXPECT_TRUE(test, is_ours(t->dev, dma));
		KUNIT_EXPECT_EQ(test, dma_to_phys(t->dev, dma), virt_to_phys(vaddr));
		KUNIT_EXPECT_NULL(test, memchr_inv(vaddr, 0, TABLE_SIZE));
		memset(vaddr, 0x77, TABLE_SIZE);
		KUNIT_EXPECT_EQ(test, cc_coherent_bytes(), TABLE_SIZE);
		dma_free_coherent(t->dev, TABLE_SIZE, vaddr, dma);
		expect_converted(test, 0);
	}
}

/* A host that changes the handle, which a driver keeps in shared memory, frees nothing else. */
static void dma_api_handle(struct kunit *test)
{
	struct dma_api_test *t = test->priv;
	dma_addr_t dma[2];
	void *vaddr[2];

	for (unsigned int i = 0; i < 2; i++) {
		vaddr[i] = dma_alloc_coherent(t->dev, TABLE_SIZE, &dma[i], GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, vaddr[i]);
	}
	cc_test_log_begin(test);
	dma_free_coherent(t->dev, TABLE_SIZE, vaddr[0], dma[1]);
	KUNIT_EXPECT_EQ(test, cc_coherent_bytes(), TABLE_SIZE);
	dma_free_coherent(t->dev, TABLE_SIZE, vaddr[1], 0);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 0, cc_test_log_lines(dev_name(t->dev), ""));
	expect_converted(test, 0);
}

/* The same of pages, which a driver has to sync. */
static void dma_api_pages(struct kunit *test)
{
	gfp_t gfp = *(const gfp_t *)test->param_value;
	struct dma_api_test *t = test->priv;
	struct page *page;
	dma_addr_t dma;

	page = dma_alloc_pages(t->dev, TABLE_SIZE, &dma, DMA_FROM_DEVICE, gfp);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_EXPECT_TRUE(test, is_ours(t->dev, dma));
	KUNIT_EXPECT_NULL(test, memchr_inv(page_address(page), 0, TABLE_SIZE));
	memset(page_address(page), 0x77, TABLE_SIZE);
	/* Even if the device bounces what it maps. */
	dma_reset_need_sync(t->dev);
	cc_test_log_begin(test);
	dma_sync_single_for_device(t->dev, dma, TABLE_SIZE, DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(t->dev, dma + PAGE_SIZE, PAGE_SIZE, DMA_FROM_DEVICE);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 0, cc_test_log_lines(dev_name(t->dev), ""));
	KUNIT_EXPECT_NULL(test, memchr_inv(page_address(page), 0x77, TABLE_SIZE));
	dma_free_pages(t->dev, TABLE_SIZE, page, dma, DMA_FROM_DEVICE);
	expect_converted(test, 0);
}

enum { TOO_LARGE, NO_MAPPING, MASK, RESTRICTED, TRUSTED, NOT_SHARED, NOT_COHERENT };

static const char *const as_before[] = {
	[TOO_LARGE] = "too large",
	[NO_MAPPING] = "no kernel mapping",
	[MASK] = "out of reach",
	[RESTRICTED] = "another pool",
	[TRUSTED] = "trusted device",
	[NOT_SHARED] = "chunks not shared",
#ifdef CONFIG_ARCH_HAS_SYNC_DMA_FOR_DEVICE
	[NOT_COHERENT] = "not coherent",
#endif
};

/* Only some architectures know such devices. */
static void set_coherent(struct device *dev, bool coherent)
{
#ifdef CONFIG_ARCH_HAS_SYNC_DMA_FOR_DEVICE
	dev->dma_coherent = coherent;
#endif
}

static void before_desc(const char *const *what, char *desc)
{
	strscpy(desc, *what, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(before, as_before, before_desc);

/* Gates: what does not come from a chunk is allocated, converted and freed as ever. */
static void dma_api_as_before(struct kunit *test)
{
	unsigned int what = (const char *const *)test->param_value - as_before, nr = 0;
	struct io_tlb_mem *own = kunit_kzalloc(test, sizeof(*own), GFP_KERNEL);
	struct dma_api_test *t = test->priv;
	struct io_tlb_mem *mem = t->dev->dma_io_tlb_mem;
	size_t size = what == TOO_LARGE ? SZ_512K + 1 : TABLE_SIZE;
	unsigned long attrs = what == NO_MAPPING ? DMA_ATTR_NO_KERNEL_MAPPING : 0;
	struct page *page = NULL;
	dma_addr_t dma;
	void *vaddr;

	KUNIT_ASSERT_NOT_NULL(test, own);
	if (what == NOT_SHARED && cc_test_set_shared(own, true))
		kunit_skip(test, "this kernel shares all memory for bounce buffers");
	if (what == MASK)
		t->dev->coherent_dma_mask = PAGE_SIZE - 1;
	if (what == RESTRICTED)
		t->dev->dma_io_tlb_mem = own;
	if (what == TRUSTED)
		cc_test_confidential = NULL;
	if (what == NOT_SHARED)
		cc_test_set_shared(mem, false);
	set_coherent(t->dev, what != NOT_COHERENT);

	vaddr = dma_alloc_attrs(t->dev, size, &dma, GFP_KERNEL, attrs);
	if (vaddr) {
		nr++;
		KUNIT_EXPECT_FALSE(test, is_ours(t->dev, dma));
		dma_free_attrs(t->dev, size, vaddr, dma, attrs);
	}
	if (!attrs)
		page = dma_alloc_pages(t->dev, size, &dma, DMA_BIDIRECTIONAL, GFP_KERNEL);
	if (page) {
		nr++;
		KUNIT_EXPECT_FALSE(test, is_ours(t->dev, dma));
		dma_free_pages(t->dev, size, page, dma, DMA_BIDIRECTIONAL);
	}
	t->dev->dma_io_tlb_mem = mem;
	cc_test_set_shared(mem, true);
	KUNIT_EXPECT_EQ(test, nr, what == MASK ? 0 : attrs ? 1 : 2);
	/* Such memory may be remapped, and is converted elsewhere then. */
	if (what == NOT_COHERENT)
		return;
	expect_converted(test, what == TRUSTED ? 0 : nr);
}

/* What a driver says when it frees makes no shared page private. */
static void dma_api_free_attrs(struct kunit *test)
{
	struct dma_api_test *t = test->priv;
	dma_addr_t dma;
	void *vaddr = dma_alloc_coherent(t->dev, TABLE_SIZE, &dma, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, vaddr);
	KUNIT_ASSERT_TRUE(test, is_ours(t->dev, dma));
	dma_free_attrs(t->dev, TABLE_SIZE, vaddr, dma, DMA_ATTR_NO_KERNEL_MAPPING);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.coherent_held.bytes, 0);
	expect_converted(test, 0);
}

struct to_map {
	struct device *dev;
	void *vaddr;
	dma_addr_t dma;
};

static int map_to_user(struct file *file, struct vm_area_struct *vma)
{
	struct to_map *m = file->private_data;

	return dma_mmap_coherent(m->dev, vma, m->vaddr, m->dma, TABLE_SIZE);
}

/* What a process maps is what the device sees; a table of it has its pages. */
static void dma_api_mmap(struct kunit *test)
{
	static const struct file_operations fops = { .mmap = map_to_user };
	struct dma_api_test *t = test->priv;
	struct to_map m = { .dev = t->dev };
	unsigned long user;
	struct sg_table sgt;
	struct file *file;
	u32 word = 0;

	m.vaddr = dma_alloc_coherent(t->dev, TABLE_SIZE, &m.dma, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m.vaddr);
	KUNIT_ASSERT_TRUE(test, is_ours(t->dev, m.dma));

	KUNIT_ASSERT_EQ(test, 0, dma_get_sgtable(t->dev, &sgt, m.vaddr, m.dma, TABLE_SIZE));
	KUNIT_EXPECT_EQ(test, sgt.orig_nents, 1);
	KUNIT_EXPECT_PTR_EQ(test, sg_page(sgt.sgl), virt_to_page(m.vaddr));
	KUNIT_EXPECT_EQ(test, sgt.sgl->length, TABLE_SIZE);
	sg_free_table(&sgt);

	file = anon_inode_getfile("cc-test", &fops, &m, O_RDWR);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	user = kunit_vm_mmap(test, file, 0, TABLE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	fput(file);
	KUNIT_ASSERT_FALSE(test, !user || IS_ERR_VALUE(user));
	for (unsigned int i = 0; i < 3; i++) {
		u32 __user *at = (u32 __user *)(user + i * PAGE_SIZE);

		KUNIT_EXPECT_EQ(test, 0, put_user(0x1000 + i, at));
		KUNIT_EXPECT_EQ(test, *(u32 *)(m.vaddr + i * PAGE_SIZE), 0x1000 + i);
		*(u32 *)(m.vaddr + i * PAGE_SIZE) = 0x2000 + i;
		KUNIT_EXPECT_EQ(test, 0, get_user(word, at));
		KUNIT_EXPECT_EQ(test, word, 0x2000 + i);
	}
	KUNIT_EXPECT_EQ(test, 0, vm_munmap(user, TABLE_SIZE));
	dma_free_coherent(t->dev, TABLE_SIZE, m.vaddr, m.dma);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.coherent_held.bytes, 0);
	expect_converted(test, 0);
}

static struct kunit_case dma_api_cases[] = {
	KUNIT_CASE_PARAM(dma_api_coherent, gfp_gen_params),
	KUNIT_CASE(dma_api_handle),
	KUNIT_CASE_PARAM(dma_api_pages, gfp_gen_params),
	KUNIT_CASE_PARAM(dma_api_as_before, before_gen_params),
	KUNIT_CASE(dma_api_free_attrs),
	KUNIT_CASE(dma_api_mmap),
	{}
};

static struct kunit_suite dma_api_suite = {
	.name = "cc_swiotlb_dma_api",
	.init = dma_api_init,
	.exit = dma_api_exit,
	.test_cases = dma_api_cases,
};

kunit_test_suite(dma_api_suite);
#endif

MODULE_DESCRIPTION("Test of coherent allocations from cc-swiotlb through the DMA API");
MODULE_LICENSE("GPL");
