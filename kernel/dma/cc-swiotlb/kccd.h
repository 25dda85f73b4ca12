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
 * struct cc_wait - something that must not be done before a time
 * @on:		wait at all
 * @until:	jiffies
 */
struct cc_wait {
	bool on;
	unsigned long until;
};

static inline bool cc_waits(const struct cc_wait *wait, unsigned long now)
{
	return READ_ONCE(wait->on) && time_before(now, READ_ONCE(wait->until));
}

static inline void cc_wait_for(struct cc_wait *wait, unsigned long now, unsigned long time)
{
	WRITE_ONCE(wait->until, now + time);
	WRITE_ONCE(wait->on, true);
}

/* Jiffies until @wait is over, @sleep at most. */
static inline unsigned long cc_sooner(unsigned long sleep, const struct cc_wait *wait,
				      unsigned long now)
{
	return cc_waits(wait, now) ? min(sleep, wait->until - now) : sleep;
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

void cc_grow(unsigned long now);
bool cc_grow_due(unsigned long now);
unsigned long cc_grow_sleep(unsigned long now);
unsigned int cc_grow_vain(unsigned int asked);
void cc_grow_reset(void);

#endif /* _KERNEL_DMA_CC_SWIOTLB_KCCD_H */
