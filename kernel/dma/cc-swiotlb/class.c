// SPDX-License-Identifier: GPL-2.0-only
/*
 * Size classes.
 *
 * The table of classes holds every power of two from 512 bytes to 2 MiB, and behind
 * them the pages of coherent allocations, and those of mappings that last. A class
 * costs nothing until it is used: it owns no chunk before its first mapping.
 */
#include <linux/bitops.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include "slot.h"

struct cc_class cc_classes[CC_NR_OWNERS];
u8 cc_class_of[CC_SLOT_MAX_SHIFT + 1] __read_mostly;
u8 cc_max_shift __read_mostly;
u8 cc_promised_shift __read_mostly;
unsigned int cc_nr_nodes __read_mostly;

/*
 * What all CPUs together may hold in full magazines of one class, at most, and
 * for all classes as a share of the memory that may be shared.
 */
#define CC_MAGAZINES_BYTES	(SZ_64M + SZ_32M)
#define CC_MAGAZINES_SHARE	(2 * (CC_CHUNK_CLASS + 1))
#define CC_MAGAZINE_SLOTS	128
/* Bytes that a CPU takes from a gen_pool at once. */
#define CC_BATCH_BYTES		SZ_32K

static unsigned int magazine_slots(unsigned int nr_cpus, unsigned long max,
				   unsigned int shift)
{
	unsigned long bytes = min(max / CC_MAGAZINES_SHARE, CC_MAGAZINES_BYTES);

	/* The copy takes so long that a lock is nothing, and the memory is missed. */
	if (shift > CC_CHUNK_SHIFT)
		return 0;
	/* Two on each CPU, a half of what it sends, a half of what it gets. */
	return min(bytes / 3 / nr_cpus >> shift, CC_MAGAZINE_SLOTS);
}

static struct cc_class_node *class_nodes;	/* of all classes */

/* Room for what the classes have on each node, until the next start. */
static int init_nodes(void)
{
	unsigned int nr = cc_count_nodes();

	kvfree(class_nodes);
	class_nodes = kvcalloc(nr * CC_NR_OWNERS, sizeof(*class_nodes), GFP_KERNEL);
	cc_nr_nodes = class_nodes ? nr : 0;
	return class_nodes ? 0 : -ENOMEM;
}

/**
 * cc_class_init() - bring all classes into their initial, empty state
 * @nr_cpus: CPUs that share the bytes that magazines may hold
 * @max: bytes that may be shared with the host
 *
 * Context: task, before anything is mapped.
 * Return: 0 or -ENOMEM.
 */
int cc_class_init(unsigned int nr_cpus, unsigned long max)
{
	if (init_nodes())
		return -ENOMEM;
	for (unsigned int i = 0; i < CC_NR_OWNERS; i++) {
		struct cc_class *class = &cc_classes[i];

		memset(class, 0, sizeof(*class));
		class->shift = i < CC_NR_CLASSES ? CC_SLOT_MIN_SHIFT + i : PAGE_SHIFT;
		class->wanted = class->shift > CC_CHUNK_SHIFT ? CC_BLOCK_SHIFT : class->shift;
		INIT_LIST_HEAD(&class->chunks);
		class->node = &class_nodes[i * cc_nr_nodes];
		for (unsigned int nid = 0; nid < cc_nr_nodes; nid++) {
			gen_pool_init(&class->node[nid].pool, class->shift);
			raw_spin_lock_init(&class->node[nid].depot.lock);
		}
		class->mag_size = magazine_slots(nr_cpus, max, class->shift);
		class->batch = clamp(CC_BATCH_BYTES >> class->shift, 1,
				     min_not_zero(class->mag_size,
						  CC_BATCH_SLOTS));
	}
	return 0;
}

/**
 * cc_class_enable() - choose the classes of the table that are used
 * @mask: bit n stands for slots of 1 << n bytes; CC_CHUNK_SHIFT must be among them
 *
 * Context: task, before anything is mapped.
 */
void cc_class_enable(unsigned long mask)
{
	unsigned int serves = CC_CHUNK_CLASS;

	mask &= GENMASK(CC_SLOT_MAX_SHIFT, CC_SLOT_MIN_SHIFT);
	cc_max_shift = fls_long(mask) - 1;
	for (int order = CC_SLOT_MAX_SHIFT; order >= 0; order--) {
		if (order >= CC_SLOT_MIN_SHIFT && (mask & BIT(order))) {
			serves = order - CC_SLOT_MIN_SHIFT;
			cc_classes[serves].enabled = true;
		}
		cc_class_of[order] = serves;
	}
}

/**
 * cc_node_or_local() - the memory of a node, or of this CPU's if there is no such node
 * @nid: what a caller has given or a device has been set to; NUMA_NO_NODE, too
 *
 * Context: any; this CPU may be another one by now.
 * Return: a node, of whose memory none may be left.
 */
int cc_node_or_local(int nid)
{
	return nid >= 0 && nid < cc_nr_nodes ? cc_memory_node(nid) :
					       cc_cpu_node(raw_smp_processor_id());
}

/**
 * cc_class_note_peak() - remember how many slots are out
 * @class: a class whose pool or depot has just given slots away
 *
 * Not exact, since the two counts move while they are read: it steers kccd and
 * informs people.
 *
 * Context: any but NMI.
 */
void cc_class_note_peak(struct cc_class *class)
{
	long out = READ_ONCE(class->nr_slots) - cc_class_free(class);

	if (out > (long)READ_ONCE(class->peak))
		WRITE_ONCE(class->peak, out);
	if (out > (long)READ_ONCE(class->high))
		WRITE_ONCE(class->high, out);
}

/**
 * cc_class_pool_free() - slots in the gen_pools of a class
 * @class: class
 *
 * Context: any; not exact while mappings are made.
 * Return: the sum over all NUMA nodes.
 */
unsigned long cc_class_pool_free(const struct cc_class *class)
{
	unsigned long sum = 0;

	for (unsigned int nid = 0; nid < cc_nr_nodes; nid++)
		sum += max(atomic_long_read(&class->node[nid].pool_free), 0L);
	return sum;
}

/**
 * cc_class_in_depots() - slots in the depots of a class
 * @class: class
 *
 * Context: any; not exact while mappings are made.
 * Return: the sum over all NUMA nodes.
 */
unsigned long cc_class_in_depots(const struct cc_class *class)
{
	unsigned long sum = 0;

	for (unsigned int nid = 0; nid < cc_nr_nodes; nid++)
		sum += READ_ONCE(class->node[nid].depot.slots);
	return sum;
}

/**
 * cc_class_free() - slots of a class that are not with a CPU
 * @class: class
 *
 * Context: any; not exact while mappings are made.
 * Return: slots in the gen_pools and in the depots.
 */
unsigned long cc_class_free(const struct cc_class *class)
{
	return cc_class_pool_free(class) + cc_class_in_depots(class);
}
