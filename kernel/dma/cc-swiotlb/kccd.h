/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the loop of kccd and growth share.
 */
#ifndef _KERNEL_DMA_CC_SWIOTLB_KCCD_H
#define _KERNEL_DMA_CC_SWIOTLB_KCCD_H

#include <linux/jiffies.h>
#include <linux/minmax.h>

#include "internal.h"

/* A pass ends after this much, so that the thread can freeze or stop. */
#define CC_PASS_BYTES		SZ_64M

/**
 * struct cc_wait - something that must not be done before a time is over
 * @from:	jiffies
 * @span:	jiffies from then on; 0: no need to wait
 *
 * Not the time when it is over: after half of all jiffies that would be ahead again.
 */
struct cc_wait {
	unsigned long from;
	unsigned long span;
};

/* Jiffies until a wait is over; 0 if it is. */
static inline unsigned long cc_wait_left(const struct cc_wait *wait, unsigned long now)
{
	unsigned long span = READ_ONCE(wait->span), gone = now - READ_ONCE(wait->from);

	return span - min(span, gone);
}

static inline bool cc_waits(const struct cc_wait *wait, unsigned long now)
{
	return cc_wait_left(wait, now);
}

static inline void cc_wait_for(struct cc_wait *wait, unsigned long now, unsigned long span)
{
	WRITE_ONCE(wait->from, now);
	WRITE_ONCE(wait->span, span);
}

/* Jiffies until @wait is over, @sleep at most. */
static inline unsigned long cc_sooner(unsigned long sleep, const struct cc_wait *wait,
				      unsigned long now)
{
	return min(sleep, cc_wait_left(wait, now) ?: sleep);
}

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
