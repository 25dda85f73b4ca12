/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What must not be done before a time is over, and backoff after failures.
 */
#ifndef _KERNEL_DMA_CC_SWIOTLB_BACKOFF_H
#define _KERNEL_DMA_CC_SWIOTLB_BACKOFF_H

#include <linux/compiler.h>
#include <linux/minmax.h>
#include <linux/types.h>

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

/**
 * struct cc_backoff - growth by chunks of one size, at least, or on one node, after a failure
 * @wait:	until then it is suspended
 * @delay:	jiffies; 0: it worked the last time
 * @wanted:	somebody still waits for it
 */
struct cc_backoff {
	struct cc_wait wait;
	unsigned long delay;
	bool wanted;
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

#endif /* _KERNEL_DMA_CC_SWIOTLB_BACKOFF_H */
