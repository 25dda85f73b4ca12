/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Loans: pages that the host can access already, for kernel code whose device would have
 * to bounce otherwise. A read bio with REQ_CC_SHARED, or a mapping with
 * DMA_ATTR_CC_SHARED, gives it to the device as it is.
 *
 * What is in a loan is the host's at any time: it reads all that is written there, and
 * changes what is read from there, between any two instructions. So data that matter are
 * taken out by one pass that ends in private memory, and nothing that the kernel relies on
 * is ever stored there. See Documentation/core-api/cc-swiotlb-shared.rst.
 */
#ifndef __LINUX_CC_LOAN_H
#define __LINUX_CC_LOAN_H

#include <linux/cc_swiotlb.h>
#include <linux/sizes.h>
#include <linux/types.h>

struct page;

/* The most that one loan can have. */
#define CC_LOAN_MAX		SZ_512K

#ifdef CONFIG_CC_SWIOTLB
/* May there be loans? What does not ask costs nothing where there are none. Any context. */
static __always_inline bool cc_loan_enabled(void)
{
	return cc_swiotlb_maps();
}

struct page *cc_loan_alloc(size_t size, int nid);
void cc_loan_free(struct page *page, size_t size);
bool cc_loan_covers(phys_addr_t paddr, size_t size);
#else
static __always_inline bool cc_loan_enabled(void)
{
	return false;
}

static inline struct page *cc_loan_alloc(size_t size, int nid)
{
	return NULL;
}

static inline void cc_loan_free(struct page *page, size_t size)
{
}

static inline bool cc_loan_covers(phys_addr_t paddr, size_t size)
{
	return false;
}
#endif

#endif /* __LINUX_CC_LOAN_H */
