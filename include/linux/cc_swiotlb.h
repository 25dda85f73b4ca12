/* SPDX-License-Identifier: GPL-2.0 */
/*
 * cc-swiotlb: a bounce-buffer allocator for swiotlb that grows and shrinks at
 * run time. This is the interface between swiotlb and the allocator; swiotlb keeps
 * the policy (who bounces) and the copying.
 */
#ifndef __LINUX_CC_SWIOTLB_H
#define __LINUX_CC_SWIOTLB_H

#include <linux/init.h>
#include <linux/jump_label.h>
#include <linux/types.h>

struct device;
struct io_tlb_pool;
struct page;

#ifdef CONFIG_CC_SWIOTLB
DECLARE_STATIC_KEY_FALSE(cc_swiotlb_key);
DECLARE_STATIC_KEY_FALSE(cc_swiotlb_map_key);
DECLARE_STATIC_KEY_FALSE(cc_loan_key);

/* True while something may be mapped by the allocator. Any context. */
static __always_inline bool cc_swiotlb_enabled(void)
{
	return static_branch_unlikely(&cc_swiotlb_key);
}

/*
 * True while the allocator serves mappings: only after all CPUs look for these, since
 * a key is patched into one place after the other. Any context.
 */
static __always_inline bool cc_swiotlb_maps(void)
{
	return static_branch_unlikely(&cc_swiotlb_map_key);
}

/* True since the first loan was asked for, so before it is given. Any context. */
static __always_inline bool cc_swiotlb_lends(void)
{
	return static_branch_unlikely(&cc_loan_key);
}

void cc_swiotlb_kexec(void);
#else
static __always_inline bool cc_swiotlb_enabled(void)
{
	return false;
}

static __always_inline bool cc_swiotlb_maps(void)
{
	return false;
}

static __always_inline bool cc_swiotlb_lends(void)
{
	return false;
}

static inline void cc_swiotlb_kexec(void)
{
}
#endif

/* Calls to these are compiled out when CONFIG_CC_SWIOTLB is not set. */

void __init cc_swiotlb_select(void);
bool __init cc_swiotlb_selected(void);
bool cc_swiotlb_deselect(const char *why);
bool __init cc_swiotlb_veto(bool remap);

phys_addr_t cc_swiotlb_map(struct device *dev, phys_addr_t orig_addr,
			   size_t size, unsigned int alloc_align_mask,
			   unsigned long attrs);
void cc_swiotlb_set_stale(struct device *dev, phys_addr_t tlb_addr);
void cc_swiotlb_clear_stale(struct device *dev, phys_addr_t tlb_addr,
			    struct io_tlb_pool *pool);
bool cc_swiotlb_mapped(struct device *dev, phys_addr_t tlb_addr,
		       struct io_tlb_pool *pool);
void cc_swiotlb_unmap(struct device *dev, phys_addr_t tlb_addr, size_t size,
		      struct io_tlb_pool *pool);
phys_addr_t cc_swiotlb_find_orig(struct device *dev, phys_addr_t tlb_addr,
				 struct io_tlb_pool *pool, size_t *left);
struct io_tlb_pool *cc_swiotlb_find_pool(phys_addr_t paddr);
bool cc_swiotlb_holds(phys_addr_t paddr, size_t size);
void cc_swiotlb_fallback(struct device *dev, phys_addr_t orig_addr, size_t size,
			 unsigned int alloc_align_mask, bool mapped,
			 unsigned long attrs);
size_t cc_swiotlb_max_mapping_size(struct device *dev);

struct page *cc_swiotlb_alloc_pages(struct device *dev, size_t size, gfp_t gfp);
bool cc_swiotlb_free_pages(struct device *dev, phys_addr_t paddr, size_t size);

#endif /* __LINUX_CC_SWIOTLB_H */
