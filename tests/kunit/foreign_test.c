// SPDX-License-Identifier: GPL-2.0-only
/*
 * Slots that another CPU frees: how they are collected and sent back to the CPU
 * that has mapped them, and what becomes of all that a CPU holds when it dies.
 */
#include <linux/cpu.h>
#include <linux/workqueue.h>

#include "magazine_test.h"

/* The tests run on CPU 0, and use this one too. */
static unsigned int other_cpu(void)
{
	return cpumask_any_but(cpu_online_mask, 0);
}

static int foreign_init(struct kunit *test)
{
	if (other_cpu() >= nr_cpu_ids)
		kunit_skip(test, "needs two CPUs");
	return magazine_init(test);
}

static struct cc_magazine *magazine_of(struct mag_test *t, unsigned int cpu)
{
	return &per_cpu_ptr(&cc_cpu, cpu)->mag[t->nr];
}

static unsigned int foreign(struct mag_test *t, unsigned int cpu)
{
	return cc_chain_count(magazine_of(t, cpu)->foreign);
}

static unsigned int inbox(struct mag_test *t, unsigned int cpu)
{
	u32 index = per_cpu_ptr(&cc_cpu, cpu)->inbox[t->nr];

	return index ? cc_slot_by_index(index)->size : 0;
}

struct elsewhere {
	struct kunit *test;
	unsigned int from;
	unsigned int nr;
};

/* A worker is no test, and must not end like one: who waits for it asserts. */
static long take_there(void *arg)
{
	struct elsewhere *e = arg;

	return take_some(e->test->priv, e->from, e->nr);
}

static long give_there(void *arg)
{
	struct elsewhere *e = arg;

	give(e->test, e->from, e->nr);
	return e->nr;
}

/* take() or give() on a CPU. */
static void on_cpu(struct kunit *test, unsigned int cpu, long (*fn)(void *arg),
		   unsigned int from, unsigned int nr)
{
	struct elsewhere e = { test, from, nr };

	KUNIT_ASSERT_EQ(test, nr, work_on_cpu(cpu, fn, &e));
}

/* What another CPU frees is sent back, a chain at a time. */
static void foreign_send(struct kunit *test)
{
	struct mag_test *t = test->priv;
	unsigned int cpu = other_cpu(), half = cc_foreign_size(t->class);
	unsigned int n = 2 * half + 1, rest;
	unsigned long pool;
	phys_addr_t last;

	KUNIT_ASSERT_GT(test, half, 4);
	take(test, 0, n);
	rest = loaded(t);
	take(test, n, rest);
	KUNIT_ASSERT_EQ(test, loaded(t) + spare(t), 0);
	last = t->tlb[half - 1];
	on_cpu(test, cpu, give_there, 0, half);
	KUNIT_EXPECT_EQ(test, foreign(t, cpu), half);
	KUNIT_EXPECT_EQ(test, cc_chain_count(magazine_of(t, cpu)->loaded), 0);
	KUNIT_EXPECT_EQ(test, inbox(t, 0), 0);
	cc_test_check(test);

	/* The inbox has room for one; the next one goes to the depot. */
	on_cpu(test, cpu, give_there, half, 1);
	KUNIT_EXPECT_EQ(test, foreign(t, cpu), 1);
	KUNIT_EXPECT_EQ(test, inbox(t, 0), half);
	KUNIT_EXPECT_EQ(test, t->class->node->depot.slots, 0);
	on_cpu(test, cpu, give_there, half + 1, half);
	KUNIT_EXPECT_EQ(test, foreign(t, cpu), 1);
	KUNIT_EXPECT_EQ(test, inbox(t, 0), half);
	KUNIT_EXPECT_EQ(test, t->class->node->depot.slots, half);
	cc_test_check(test);

	/* It is needed before the depot; what was freed last comes first. */
	pool = pool_hits(t);
	take(test, 0, half);
	KUNIT_EXPECT_EQ(test, t->tlb[0], last);
	KUNIT_EXPECT_EQ(test, cc_test_count(t->nr, CC_INBOX), 1);
	KUNIT_EXPECT_EQ(test, cc_test_count(t->nr, CC_DEPOT), 0);
	KUNIT_EXPECT_EQ(test, inbox(t, 0), 0);
	take(test, half, half);
	KUNIT_EXPECT_EQ(test, cc_test_count(t->nr, CC_DEPOT), 1);
	KUNIT_EXPECT_EQ(test, pool_hits(t), pool);
	cc_test_check(test);
	give(test, 0, 2 * half);
	give(test, n, rest);
}

/* A CPU collects for one other at a time; the slots of a third one stay. */
static void foreign_home(struct kunit *test)
{
	struct mag_test *t = test->priv;
	struct cc_slot *slot;
	unsigned int count;

	take(test, 0, 1);
	on_cpu(test, other_cpu(), take_there, 1, 2);
	count = loaded(t);
	give(test, 1, 1);
	KUNIT_EXPECT_EQ(test, foreign(t, 0), 1);
	KUNIT_EXPECT_EQ(test, magazine_of(t, 0)->home, other_cpu());
	slot = cc_slot_by_index(cc_index_by_addr(cc_chunk_by_addr(t->tlb[0]),
						 t->tlb[0]));
	KUNIT_EXPECT_EQ(test, slot->cpu, 0);
	slot->cpu = CC_NO_CPU - 1;
	give(test, 0, 1);
	KUNIT_EXPECT_EQ(test, foreign(t, 0), 1);
	KUNIT_EXPECT_EQ(test, loaded(t), count + 1);
	give(test, 2, 1);
	KUNIT_EXPECT_EQ(test, foreign(t, 0), 2);
	KUNIT_EXPECT_EQ(test, loaded(t), count + 1);
	cc_test_check(test);
	cc_test_drain_all();
	KUNIT_EXPECT_EQ(test, foreign(t, 0), 0);
	cc_test_check(test);
}

/* A class with magazines of a slot or none has no room for others' slots. */
static void foreign_bypass(struct kunit *test)
{
	struct mag_test *t = test->priv;
	unsigned int cpu = other_cpu();

	t->class->batch = 1;
	for (unsigned int size = 0; size < 2; size++) {
		t->class->mag_size = size;
		take(test, 0, 10);
		on_cpu(test, cpu, give_there, 0, 10);
		KUNIT_EXPECT_EQ(test, foreign(t, cpu), 0);
		KUNIT_EXPECT_EQ(test, inbox(t, 0), 0);
		KUNIT_EXPECT_GE(test, t->class->node->depot.slots, 10 - 2 * size);
		cc_test_check(test);
	}
}

static bool offline(unsigned int cpu)
{
	return false;
}

/* Nothing is sent to a CPU that nobody will empty the inbox of. */
static void foreign_offline(struct kunit *test)
{
	struct mag_test *t = test->priv;
	unsigned int cpu = other_cpu(), half = cc_foreign_size(t->class);

	on_cpu(test, cpu, take_there, 0, half + 1);
	kunit_activate_static_stub(test, cc_magazine_online, offline);
	give(test, 0, half + 1);
	KUNIT_EXPECT_EQ(test, foreign(t, 0), 1);
	KUNIT_EXPECT_EQ(test, inbox(t, cpu), 0);
	KUNIT_EXPECT_EQ(test, t->class->node->depot.slots, half);
	cc_test_check(test);
}

/* Chains on their way are idle, too, when they are all that a CPU holds. */
static void foreign_idle(struct kunit *test)
{
	struct mag_test *t = test->priv;
	unsigned int cpu = other_cpu(), half = cc_foreign_size(t->class);

	take(test, 0, half + 1);
	cc_test_drain_all();
	on_cpu(test, cpu, give_there, 0, half + 1);
	KUNIT_ASSERT_EQ(test, foreign(t, cpu), 1);
	KUNIT_ASSERT_EQ(test, inbox(t, 0), half);
	cc_test_drain_idle();
	cc_test_drain_idle();
	KUNIT_EXPECT_EQ(test, foreign(t, cpu), 0);
	KUNIT_EXPECT_EQ(test, inbox(t, 0), 0);
	cc_test_check(test);
}

/* Slots that are freed on another CPU come back, all of them. */
static void foreign_return(struct kunit *test)
{
	struct mag_test *t = test->priv;
	unsigned int n = 4 * t->class->mag_size;
	unsigned long pool;

	take(test, 0, n);
	pool = pool_hits(t);
	for (int i = 0; i < 8; i++) {
		on_cpu(test, other_cpu(), give_there, 0, n);
		cc_test_check(test);
		take(test, 0, n);
	}
	/* But for those that are still being collected there. */
	KUNIT_EXPECT_LE(test, pool_hits(t) - pool,
			cc_foreign_size(t->class) / t->class->batch + 1);
	KUNIT_EXPECT_EQ(test, cc_test_count(t->nr, CC_INBOX), 8);
	KUNIT_EXPECT_GE(test, cc_test_count(t->nr, CC_DEPOT), 8);
	give(test, 0, n);
}

/* Fill all that a CPU can hold: its magazines, foreign chain and inbox. */
static void fill_cpu(struct kunit *test, unsigned int cpu)
{
	struct mag_test *t = test->priv;
	unsigned int n = 2 * t->class->mag_size, half = cc_foreign_size(t->class);

	/* What is left of a batch would go to the depot. */
	on_cpu(test, cpu, take_there, 0, n);
	cc_test_drain_all();
	on_cpu(test, cpu, give_there, 0, n);
	KUNIT_EXPECT_EQ(test, cc_chain_count(magazine_of(t, cpu)->loaded), n / 2);
	KUNIT_EXPECT_EQ(test, cc_chain_count(magazine_of(t, cpu)->spare), n / 2);
	on_cpu(test, cpu, take_there, 0, half + 1);
	give(test, 0, half + 1);
	KUNIT_EXPECT_EQ(test, inbox(t, cpu), half);
	take(test, 0, half);
	on_cpu(test, cpu, give_there, 0, half);
	KUNIT_EXPECT_EQ(test, foreign(t, cpu), half);
}

static void expect_empty(struct kunit *test, unsigned int cpu)
{
	struct mag_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, cc_chain_count(magazine_of(t, cpu)->loaded), 0);
	KUNIT_EXPECT_EQ(test, cc_chain_count(magazine_of(t, cpu)->spare), 0);
	KUNIT_EXPECT_EQ(test, foreign(t, cpu), 0);
	KUNIT_EXPECT_EQ(test, inbox(t, cpu), 0);
	cc_test_check(test);
}

/* The callback of CPU hotplug, where no CPU can be removed. */
static void foreign_dead_callback(struct kunit *test)
{
	int (*dead)(unsigned int cpu) = cc_test_symbol(test, "cpu_dead");
	struct mag_test *t = test->priv;
	unsigned int cpu = other_cpu(), held;

	fill_cpu(test, cpu);
	held = t->class->node->depot.slots + foreign(t, cpu) + inbox(t, cpu);
	held += cc_chain_count(magazine_of(t, cpu)->loaded);
	held += cc_chain_count(magazine_of(t, cpu)->spare);
	KUNIT_EXPECT_EQ(test, 0, dead(cpu));
	KUNIT_EXPECT_EQ(test, t->class->node->depot.slots, held);
	expect_empty(test, cpu);
}

/* What a CPU held when it died is not lost, nor is what it had mapped. */
static void foreign_dead_cpu(struct kunit *test)
{
	struct mag_test *t = test->priv;
	__maybe_unused unsigned int n = 2 * t->class->mag_size;

	if (!IS_ENABLED(CONFIG_HOTPLUG_CPU))
		kunit_skip(test, "needs CPU hotplug");
#ifdef CONFIG_HOTPLUG_CPU
	for (int i = 0; i < 3; i++) {
		unsigned int cpu = other_cpu();

		fill_cpu(test, cpu);
		on_cpu(test, cpu, take_there, 0, n);
		KUNIT_ASSERT_EQ(test, 0, remove_cpu(cpu));
		expect_empty(test, cpu);
		give(test, 0, n);
		expect_empty(test, cpu);
		KUNIT_ASSERT_EQ(test, 0, add_cpu(cpu));
	}
#endif
	cc_test_check(test);
}

static struct kunit_case foreign_cases[] = {
	KUNIT_CASE(foreign_send),
	KUNIT_CASE(foreign_home),
	KUNIT_CASE(foreign_bypass),
	KUNIT_CASE(foreign_offline),
	KUNIT_CASE(foreign_idle),
	KUNIT_CASE(foreign_return),
	KUNIT_CASE(foreign_dead_callback),
	KUNIT_CASE(foreign_dead_cpu),
	{}
};

static struct kunit_suite foreign_suite = {
	.name = "cc_swiotlb_foreign",
	.init = foreign_init,
	.exit = cc_test_exit,
	.test_cases = foreign_cases,
};

kunit_test_suite(foreign_suite);

MODULE_DESCRIPTION("Tests of slots that are freed on another CPU by cc-swiotlb");
MODULE_LICENSE("GPL");
