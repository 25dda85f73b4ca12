/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the loop of kccd and growth share.
 */
#ifndef _KERNEL_DMA_CC_SWIOTLB_KCCD_H
#define _KERNEL_DMA_CC_SWIOTLB_KCCD_H

#include <linux/jiffies.h>
#include <linux/sizes.h>

#include "internal.h"

/* A pass ends after this much, so that the thread can freeze or stop. */
#define CC_PASS_BYTES		SZ_64M

/**
 * struct cc_growth - what has come of growth; under cc_swiotlb.mutex
 * @unfinished:	it goes on in the next pass
 * @no_room:	sizes that are wanted, at the limit: bits as in &struct cc_kicks
 * @starved:	a class lacks something that idle CPUs may hold; kccd clears it
 * @taken_full:	cc_swiotlb.taken when the reserve was full
 */
struct cc_growth {
	bool unfinished;
	unsigned int no_room;
	bool starved;
	unsigned long taken_full;
};

extern struct cc_growth cc_growth;

u64 cc_marks_bytes(const struct cc_class *but);
unsigned long cc_grow_most(void);
void cc_grow_begin(void);
void cc_grow_note_full(void);
void cc_grow(unsigned long now);
bool cc_grow_due(unsigned long now);
unsigned long cc_grow_sleep(unsigned long now);
unsigned int cc_grow_vain(unsigned int asked);
void cc_grow_reset(void);

#endif /* _KERNEL_DMA_CC_SWIOTLB_KCCD_H */
