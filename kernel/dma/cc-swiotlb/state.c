// SPDX-License-Identifier: GPL-2.0-only
/*
 * What all files of the allocator share: its state, and the signal that wakes kccd.
 */
#include <linux/rcuwait.h>

#define CREATE_TRACE_POINTS
#include <trace/events/cc_swiotlb.h>

#include "internal.h"

DEFINE_STATIC_KEY_FALSE(cc_swiotlb_key);
DEFINE_STATIC_KEY_FALSE(cc_swiotlb_map_key);
EXPORT_SYMBOL_GPL(cc_swiotlb_map_key);

struct cc_swiotlb cc_swiotlb = {
	.mutex = __MUTEX_INITIALIZER(cc_swiotlb.mutex),
	.lock = __RAW_SPIN_LOCK_UNLOCKED(cc_swiotlb.lock),
};

DEFINE_PER_CPU_ALIGNED(struct cc_cpu, cc_cpu);

struct cc_chunk_table cc_no_chunks;
struct cc_chunk_table *cc_by_frame = &cc_no_chunks;

/*
 * All slots, as one array: address space for all that RAM could hold, with pages
 * behind the slots of blocks only. No slot has index 0.
 */
struct cc_slot *cc_slots __read_mostly;

/* In hard interrupt context, even on PREEMPT_RT. */
static void kick_wake(struct irq_work *work)
{
	rcuwait_wake_up(&cc_kicks.wait);
}

/*
 * All CPUs share the one work. If it had to wait for a thread of the CPU that has queued
 * it, as on PREEMPT_RT others do, a real-time task there would make kccd deaf.
 */
struct cc_kicks cc_kicks = {
	.wait = __RCUWAIT_INITIALIZER(cc_kicks.wait),
	.work = IRQ_WORK_INIT_HARD(kick_wake),
};

/**
 * cc_kccd_kick() - tell kccd what has happened
 * @kick: what
 *
 * Context: any. The irq_work makes it safe under any lock, and on PREEMPT_RT: there, too,
 * it is run by an interrupt.
 */
void cc_kccd_kick(enum cc_kick kick)
{
	switch (kick) {
	case CC_KICK_TICK:
		/* Often, and by all CPUs: most only read. */
		if (READ_ONCE(cc_kicks.tick))
			return;
		WRITE_ONCE(cc_kicks.tick, true);
		break;
	case CC_KICK_HOLDERS:
		/* As long as it is set, kccd has been woken for it, or has set a timer. */
		if (READ_ONCE(cc_kicks.holders))
			return;
		WRITE_ONCE(cc_kicks.holders, true);
		break;
	}
	irq_work_queue(&cc_kicks.work);
}

/**
 * cc_kccd_ask() - ask kccd for memory
 * @what: what is missing, see &struct cc_kicks; maybe nothing
 *
 * Context: any, as cc_kccd_kick().
 */
void cc_kccd_ask(unsigned int what)
{
	if (!what)
		return;
	/*
	 * If all of it is still set, the look that will clear it has not begun, and sees
	 * what the caller has done: this pairs with atomic_fetch_andnot() there. kccd has
	 * been woken for it, or has set a timer.
	 */
	smp_mb();
	if ((atomic_read(&cc_kicks.asked) & what) == what)
		return;
	atomic_or(what, &cc_kicks.asked);
	irq_work_queue(&cc_kicks.work);
}
