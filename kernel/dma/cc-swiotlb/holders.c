// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who holds what: mapped slots and coherent allocations by device, and loans, counted
 * when somebody asks, so that the fast path notes no more than it needs itself.
 */
#define pr_fmt(fmt) "cc-swiotlb: " fmt

#include <linux/device.h>
#include <linux/lockdep.h>
#include <linux/sort.h>
#include <linux/uaccess.h>

#include "holders.h"
#include "slot.h"

/* Under cc_swiotlb.mutex. */
static struct cc_holder holders[CC_NR_HOLDERS];
static unsigned int nr_holders;

/*
 * The name of a device that may go away meanwhile, which faults at worst. A device
 * that has something mapped does not go away, so the caller looks at that again.
 */
static bool read_name(const struct device *dev, char *name, size_t size)
{
	const char *from;

	if (get_kernel_nofault(from, &dev->init_name) ||
	    (!from && get_kernel_nofault(from, &dev->kobj.name)))
		return false;
	return strncpy_from_kernel_nofault(name, from, size) > 0;
}

/* The device that has mapped @slot; the last one stands for those too many. */
static struct cc_holder *holder_of(const struct cc_slot *slot)
{
	const struct device *dev = cc_slot_owner(slot);
	struct cc_holder *h = holders;

	if (cc_slot_is_lent(slot))
		dev = CC_SLOT_LENT;
	if (!dev)
		return NULL;
	for (; h < holders + nr_holders; h++)
		if (h->dev == dev)
			return h;
	if (nr_holders == CC_NR_HOLDERS)
		return h - 1;
	*h = (struct cc_holder){ .dev = dev };
	if (nr_holders == CC_NR_HOLDERS - 1) {
		h->dev = NULL;
		strscpy(h->name, "others");
	} else if (!read_name(dev, h->name, sizeof(h->name)) ||
		   cc_slot_owner(slot) != dev) {
		return NULL;
	}
	nr_holders++;
	return h;
}

static void look_at(const struct cc_chunk *chunk)
{
	unsigned int shift = READ_ONCE(chunk->shift);

	if (!READ_ONCE(chunk->class))
		return;
	for (u32 i = 0; i < cc_chunk_bytes(chunk) >> shift; i++) {
		const struct cc_slot *slot = cc_slot_by_index(chunk->index + i);
		struct cc_holder *h = holder_of(slot);
		unsigned long size = READ_ONCE(slot->size), bytes = BIT(shift);

		if (!h)
			continue;
		/* Its other pages have no device. */
		if (cc_slot_is_coherent(slot))
			bytes = size;
		h->slots++;
		h->bytes += size;
		h->slot_bytes += bytes;
		h->largest = max(h->largest, bytes);
	}
}

static int by_slot_bytes(const void *a, const void *b)
{
	const struct cc_holder *x = a, *y = b;

	return x->slot_bytes < y->slot_bytes ? 1 : -(x->slot_bytes > y->slot_bytes);
}

/**
 * cc_holders_count() - find out which devices hold slots
 * @nr: receives their number
 *
 * Not exact while mappings are made.
 *
 * Context: task, under cc_swiotlb.mutex; takes time in proportion to what is shared.
 * Return: that many devices, first who holds most; valid until the mutex is released.
 */
const struct cc_holder *cc_holders_count(unsigned int *nr)
{
	struct cc_block *block;

	lockdep_assert_held(&cc_swiotlb.mutex);
	/* Loans have an entry, however many devices there are; empty, it is the last one. */
	holders[0] = (struct cc_holder){ .dev = CC_SLOT_LENT, .name = "loans" };
	nr_holders = 1;
	list_for_each_entry(block, &cc_swiotlb.blocks, node) {
		for (unsigned int i = 0; i < block->nr_chunks;
		     i += cc_chunk_parts(&block->chunks[i]))
			look_at(&block->chunks[i]);
		cond_resched();
	}
	sort(holders, nr_holders, sizeof(holders[0]), by_slot_bytes, NULL);
	nr_holders -= !holders[nr_holders - 1].slots;
	*nr = nr_holders;
	return holders;
}

/**
 * cc_holders_report() - say in the log who holds most
 *
 * Context: task, under cc_swiotlb.mutex.
 */
void cc_holders_report(void)
{
	const struct cc_holder *h;
	unsigned int nr, len = 0;
	char text[200];

	h = cc_holders_count(&nr);
	for (unsigned int i = 0; i < min(nr, 3U); i++)
		len += scnprintf(text + len, sizeof(text) - len, "%s%s %lu KiB in %lu slots",
				 len ? ", " : "", h[i].name, h[i].slot_bytes >> 10,
				 h[i].slots);
	if (nr)
		pr_warn("most is held by %s\n", text);
}
