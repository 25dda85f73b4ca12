// SPDX-License-Identifier: GPL-2.0-only
/*
 * What was freed while somebody still had a reference to a page of it. It waits in a
 * list, linked through the slots, until kccd finds that nobody has one any more.
 */
#include <linux/lockdep.h>

#include "internal.h"

/**
 * cc_hold() - add to a list what was freed too early
 * @held: the list
 * @slot: first slot of what was freed, of @slot->size bytes
 *
 * Context: any but NMI.
 */
void cc_hold(struct cc_held *held, struct cc_slot *slot)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	slot->next = held->first;
	held->first = slot - cc_slots;
	held->bytes += slot->size;
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
}

/**
 * cc_held_take() - empty a list
 * @held: the list
 *
 * Who takes it holds again what still has to wait.
 *
 * Context: task, under cc_swiotlb.mutex.
 * Return: index of the first slot, which has that of the next one; 0 if it was empty.
 */
u32 cc_held_take(struct cc_held *held)
{
	u32 first;

	lockdep_assert_held(&cc_swiotlb.mutex);
	raw_spin_lock_irq(&cc_swiotlb.lock);
	first = held->first;
	held->first = 0;
	held->bytes = 0;
	raw_spin_unlock_irq(&cc_swiotlb.lock);
	return first;
}
