// SPDX-License-Identifier: GPL-2.0-only
/*
 * How the magazines of idle and dead CPUs are emptied. A magazine belongs to its CPU:
 * as long as that is alive, the work is done there.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/lockdep.h>
#include <linux/smp.h>

#include "slot.h"

static void put_away(struct cc_class *class, u64 chain)
{
	if (chain)
		cc_depot_push(class, chain);
}

/* On the CPU itself, interrupts disabled. */
static void drain_local(void *unused)
{
	unsigned long classes = this_cpu_read(cc_cpu.drain);
	unsigned int i;

	for_each_set_bit(i, &classes, CC_NR_CLASSES) {
		struct cc_magazine __percpu *mag = &cc_cpu.mag[i];

		put_away(&cc_classes[i], cc_chain_detach(&mag->loaded));
		put_away(&cc_classes[i], cc_chain_detach(&mag->spare));
		put_away(&cc_classes[i], cc_chain_detach(&mag->foreign));
		put_away(&cc_classes[i],
			 cc_inbox_empty(this_cpu_ptr(&cc_cpu.inbox[i])));
	}
}

/* Classes of which a CPU holds free slots: all of them, or those at rest. */
static unsigned int held_classes(const struct cc_cpu *pcpu, bool all)
{
	unsigned int classes = 0;

	for (unsigned int i = 0; i < CC_NR_CLASSES; i++) {
		u64 loaded = READ_ONCE(pcpu->mag[i].loaded);

		if (!all && pcpu->seen[i] != loaded)
			continue;
		if (cc_chain_index(loaded | READ_ONCE(pcpu->mag[i].spare) |
				   READ_ONCE(pcpu->mag[i].foreign)) ||
		    READ_ONCE(pcpu->inbox[i]))
			classes |= BIT(i);
	}
	return classes;
}

/*
 * @held tells whether CPUs held something before. Fails while a CPU comes or goes: that
 * may wait for I/O, and the I/O for memory that the caller is to share.
 */
static bool drain(bool all, bool *held)
{
	static struct cpumask holders;	/* under cc_swiotlb.mutex */
	int cpu;

	if (!cpus_read_trylock())
		return false;
	cpumask_clear(&holders);
	for_each_online_cpu(cpu) {
		struct cc_cpu *pcpu = per_cpu_ptr(&cc_cpu, cpu);

		*held |= held_classes(pcpu, true);
		pcpu->drain = held_classes(pcpu, all);
		if (pcpu->drain)
			cpumask_set_cpu(cpu, &holders);
		for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
			pcpu->seen[i] = READ_ONCE(pcpu->mag[i].loaded);
	}
	on_each_cpu_mask(&holders, drain_local, NULL, true);
	cpus_read_unlock();
	return true;
}

/**
 * cc_magazine_moves() - count what moves
 *
 * Context: task.
 * Return: a number that changes when a CPU maps or unmaps.
 */
unsigned long cc_magazine_moves(void)
{
	unsigned long moves = 0;
	int cpu;

	for_each_online_cpu(cpu) {
		const struct cc_magazine *mag = per_cpu(cc_cpu, cpu).mag;

		for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
			moves += READ_ONCE(mag[i].count[CC_MAPS]) +
				 READ_ONCE(mag[i].count[CC_UNMAPS]);
	}
	return moves;
}

/**
 * cc_magazine_drain_idle() - empty magazines that nobody used since last time
 *
 * Context: task, under cc_swiotlb.mutex; once per tick of kccd.
 * Return: true if CPUs held slots of any kind, or may have.
 */
bool cc_magazine_drain_idle(void)
{
	bool held = false;

	lockdep_assert_held(&cc_swiotlb.mutex);
	return !drain(false, &held) || held;
}

/**
 * cc_magazine_drain_all() - empty the magazines of all CPUs
 *
 * Context: task, under cc_swiotlb.mutex.
 * Return: false if that must wait, because a CPU comes or goes.
 */
bool cc_magazine_drain_all(void)
{
	bool held = false;

	lockdep_assert_held(&cc_swiotlb.mutex);
	return drain(true, &held);
}

/* A dead CPU's magazines have no owner, and may be emptied from anywhere. */
static int cpu_dead(unsigned int cpu)
{
	struct cc_cpu *pcpu = per_cpu_ptr(&cc_cpu, cpu);

	for (unsigned int i = 0; i < CC_NR_CLASSES; i++) {
		struct cc_magazine *mag = &pcpu->mag[i];
		u64 *head[] = { &mag->loaded, &mag->spare, &mag->foreign };

		for (unsigned int j = 0; j < ARRAY_SIZE(head); j++) {
			put_away(&cc_classes[i], *head[j] & ~CC_CHAIN_TID_MASK);
			*head[j] &= CC_CHAIN_TID_MASK;
		}
		put_away(&cc_classes[i], cc_inbox_empty(&pcpu->inbox[i]));
	}
	return 0;
}

static int cpuhp_state;

/**
 * cc_magazine_init() - empty the magazines of CPUs that go away, from now on
 *
 * Context: task.
 * Return: 0, or what the CPU hotplug core says.
 */
int cc_magazine_init(void)
{
	cpuhp_state = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN,
						"dma/cc-swiotlb:dead", NULL,
						cpu_dead);
	return min(cpuhp_state, 0);
}

/**
 * cc_magazine_exit() - undo cc_magazine_init()
 *
 * Context: task.
 */
void cc_magazine_exit(void)
{
	cpuhp_remove_state_nocalls(cpuhp_state);
}
