// SPDX-License-Identifier: GPL-2.0-only
/*
 * Magazines and the depot: how slots move between a CPU, the depot, and the
 * gen_pool, and that the head of a magazine changes by the rule of map.c.
 */
#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "magazine_test.h"

static u32 tid_of(u64 head)
{
	return (head & CC_CHAIN_TID_MASK) / CC_CHAIN_TID;
}

static u32 tid(struct mag_test *t)
{
	return tid_of(cc_test_magazine(t->nr)->loaded);
}

/* The slot that was given back last is taken first, while it is in the cache. */
static void magazine_pop_push(struct kunit *test)
{
	struct mag_test *t = test->priv;
	unsigned int count;
	phys_addr_t last;

	take(test, 0, 2);
	count = loaded(t);
	last = t->tlb[1];
	give(test, 1, 1);
	KUNIT_EXPECT_EQ(test, loaded(t), count + 1);
	take(test, 1, 1);
	KUNIT_EXPECT_EQ(test, t->tlb[1], last);
	KUNIT_EXPECT_EQ(test, loaded(t), count);
	cc_test_check(test);
	give(test, 0, 2);
}

/* An empty magazine is refilled with a batch from the gen_pool. */
static void magazine_refill(struct kunit *test)
{
	struct mag_test *t = test->priv;
	unsigned int batch = t->class->batch;

	KUNIT_ASSERT_GT(test, batch, 1);
	take(test, 0, 1);
	KUNIT_EXPECT_EQ(test, loaded(t), batch - 1);
	KUNIT_EXPECT_EQ(test, cc_test_count(t->nr, CC_RESERVE), 1);
	KUNIT_EXPECT_EQ(test, cc_test_count(t->nr, CC_POOL), 0);
	take(test, 1, batch - 1);
	KUNIT_EXPECT_EQ(test, loaded(t), 0);
	KUNIT_EXPECT_EQ(test, cc_test_count(t->nr, CC_POOL), 0);
	take(test, batch, 1);
	KUNIT_EXPECT_EQ(test, cc_test_count(t->nr, CC_POOL), 1);
	KUNIT_EXPECT_EQ(test, loaded(t), batch - 1);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&t->class->node->pool_free),
			(long)t->class->nr_slots - 2 * batch);
	cc_test_check(test);
	give(test, 0, batch + 1);
}

/* A full magazine becomes the spare one, a second one goes to the depot. */
static void magazine_flush(struct kunit *test)
{
	struct mag_test *t = test->priv;
	unsigned int size = t->class->mag_size;

	KUNIT_ASSERT_LE(test, 4 * size, MAX_TLB);
	take(test, 0, 4 * size);
	cc_test_drain_all();
	cc_depot_drain(t->class, 0, UINT_MAX);
	give(test, 0, size);
	KUNIT_EXPECT_EQ(test, loaded(t), size);
	KUNIT_EXPECT_EQ(test, spare(t), 0);
	give(test, size, 1);
	KUNIT_EXPECT_EQ(test, loaded(t), 1);
	KUNIT_EXPECT_EQ(test, spare(t), size);
	give(test, size + 1, size - 1);
	KUNIT_EXPECT_EQ(test, t->class->node->depot.slots, 0);
	give(test, 2 * size, 1);
	KUNIT_EXPECT_EQ(test, loaded(t), 1);
	KUNIT_EXPECT_EQ(test, spare(t), size);
	KUNIT_EXPECT_EQ(test, t->class->node->depot.slots, size);
	cc_test_check(test);

	/* And the way back: loaded, spare, depot. */
	take(test, 0, 1 + size);
	KUNIT_EXPECT_EQ(test, t->class->node->depot.slots, size);
	KUNIT_EXPECT_EQ(test, cc_test_count(t->nr, CC_DEPOT), 0);
	take(test, 1 + size, 1);
	KUNIT_EXPECT_EQ(test, cc_test_count(t->nr, CC_DEPOT), 1);
	KUNIT_EXPECT_EQ(test, t->class->node->depot.slots, 0);
	KUNIT_EXPECT_EQ(test, loaded(t), size - 1);
	cc_test_check(test);
	give(test, 0, size + 2);
	give(test, 2 * size + 1, 2 * size - 1);
}

/* Going back and forth around a full or an empty magazine needs no depot. */
static void magazine_spare(struct kunit *test)
{
	struct mag_test *t = test->priv;
	unsigned int size = t->class->mag_size;
	unsigned long depot, pool;

	take(test, 0, 3 * size);
	/* What is left of the last batch. */
	cc_test_drain_all();
	give(test, 0, 3 * size);
	/* Loaded and spare are full. */
	KUNIT_ASSERT_EQ(test, loaded(t) + spare(t), 2 * size);
	depot = cc_test_count(t->nr, CC_DEPOT);
	pool = pool_hits(t);
	for (int i = 0; i < 10; i++) {
		take(test, 0, size + 2);
		give(test, 0, size + 2);
		take(test, 0, 2);
		give(test, 0, 2);
	}
	KUNIT_EXPECT_EQ(test, cc_test_count(t->nr, CC_DEPOT), depot);
	KUNIT_EXPECT_EQ(test, pool_hits(t), pool);
	cc_test_check(test);
}

/* Each change of the head is seen by whoever it interrupts. */
static void magazine_tid(struct kunit *test)
{
	struct mag_test *t = test->priv;
	struct cc_magazine *mag = cc_test_magazine(t->nr);
	u32 before, spare_before;

	take(test, 0, 2);
	before = tid(t);
	take(test, 2, 1);
	KUNIT_EXPECT_EQ(test, tid(t), before + 1);
	give(test, 2, 1);
	KUNIT_EXPECT_EQ(test, tid(t), before + 2);
	spare_before = tid_of(mag->spare);
	preempt_disable();
	cc_magazine_flush(t->class);
	preempt_enable();
	KUNIT_EXPECT_EQ(test, tid(t), before + 3);
	KUNIT_EXPECT_EQ(test, tid_of(mag->spare), spare_before + 1);
	take(test, 2, 1);
	KUNIT_EXPECT_GT(test, tid(t), before + 3);
	KUNIT_EXPECT_EQ(test, tid_of(mag->spare), spare_before + 2);
	before = tid(t);
	cc_test_drain_all();
	KUNIT_EXPECT_EQ(test, tid(t), before + 1);
	cc_test_check(test);
	give(test, 0, 3);
}

/* When the tid wraps, count and index are not hurt. */
static void magazine_tid_wraps(struct kunit *test)
{
	struct mag_test *t = test->priv;
	struct cc_magazine *mag = cc_test_magazine(t->nr);
	unsigned int count;

	take(test, 0, 1);
	count = loaded(t);
	mag->loaded |= CC_CHAIN_TID_MASK;
	take(test, 1, 1);
	KUNIT_EXPECT_EQ(test, tid(t), 0);
	KUNIT_EXPECT_EQ(test, loaded(t), count - 1);
	mag->loaded |= CC_CHAIN_TID_MASK;
	give(test, 0, 1);
	KUNIT_EXPECT_EQ(test, tid(t), 0);
	KUNIT_EXPECT_EQ(test, loaded(t), count);
	give(test, 1, 1);
	cc_test_check(test);
}

/* A class whose slots are too large for magazines does without. */
static void magazine_bypass(struct kunit *test)
{
	struct mag_test *t = test->priv;

	t->class->mag_size = 0;
	t->class->batch = 1;
	take(test, 0, 10);
	KUNIT_EXPECT_EQ(test, loaded(t), 0);
	KUNIT_EXPECT_EQ(test, spare(t), 0);
	KUNIT_EXPECT_EQ(test, t->class->node->depot.slots, 0);
	cc_test_check(test);
	give(test, 0, 10);
	KUNIT_EXPECT_EQ(test, loaded(t), 0);
	KUNIT_EXPECT_EQ(test, spare(t), 0);
	KUNIT_EXPECT_EQ(test, t->class->node->depot.slots, 10);
	take(test, 0, 10);
	KUNIT_EXPECT_EQ(test, t->class->node->depot.slots, 0);
	cc_test_check(test);
	give(test, 0, 10);
}

/* A chunk that is not a multiple of the batch gives the rest, and no more. */
static void magazine_short_batch(struct kunit *test)
{
	struct mag_test *t = test->priv;
	unsigned int slots = SZ_512K / SIZE;

	t->class->batch = 12;
	take(test, 0, 1);
	KUNIT_ASSERT_TRUE(test, cc_reserve_give(t->class, NUMA_NO_NODE, slots, 0));
	KUNIT_ASSERT_EQ(test, t->class->nr_slots, 2 * slots);
	/* The last batch of the first chunk is short. */
	take(test, 1, slots - 1);
	KUNIT_EXPECT_EQ(test, loaded(t), 0);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&t->class->node->pool_free), (long)slots);
	cc_test_check(test);
	/* And so is that of the second one, which the class ends with. */
	take(test, slots, slots);
	KUNIT_EXPECT_EQ(test, t->class->nr_slots, 2 * slots);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&t->class->node->pool_free), 0);
	cc_test_check(test);
	give(test, 0, 2 * slots);
	cc_test_check(test);
}

/* No class's magazine ever holds more than its size. */
static void magazine_limits(struct kunit *test)
{
	struct mag_test *t = test->priv;

	for (size_t size = 512; size <= SZ_512K; size *= 2) {
		struct cc_magazine *mag = cc_test_magazine(cc_test_class(size));
		struct cc_class *class = &cc_classes[cc_test_class(size)];
		unsigned int n = min(3 * class->mag_size + 3, (int)(SZ_8M / size));

		for (unsigned int i = 0; i < n; i++) {
			cc_test_grow();
			t->tlb[i] = cc_swiotlb_map(t->dev, t->buf, size, 0, 0);
			KUNIT_ASSERT_FALSE(test, cc_test_failed(t->tlb[i]));
			KUNIT_EXPECT_LE(test, cc_chain_count(mag->loaded), class->batch);
		}
		for (unsigned int i = 0; i < n; i++) {
			cc_test_give(t->tlb[i]);
			KUNIT_EXPECT_LE(test, cc_chain_count(mag->loaded), class->mag_size);
			KUNIT_EXPECT_LE(test, cc_chain_count(mag->spare), class->mag_size);
		}
		cc_test_check(test);
	}
}

/* Only a magazine that has not moved since the last tick is emptied. */
static void magazine_drain_idle(struct kunit *test)
{
	struct mag_test *t = test->priv;
	unsigned int size = t->class->mag_size;

	take(test, 0, 2 * size);
	give(test, 0, 2 * size);
	cc_test_drain_idle();
	KUNIT_EXPECT_EQ(test, loaded(t) + spare(t), 2 * size);
	for (int i = 0; i < 5; i++) {
		take(test, 0, 1);
		give(test, 0, 1);
		cc_test_drain_idle();
		KUNIT_EXPECT_EQ_MSG(test, loaded(t) + spare(t), 2 * size, "in use");
	}
	cc_test_drain_idle();
	KUNIT_EXPECT_EQ(test, loaded(t), 0);
	KUNIT_EXPECT_EQ(test, spare(t), 0);
	KUNIT_EXPECT_GE(test, t->class->node->depot.slots, 2 * size);
	cc_test_check(test);
}

/* A magazine in use is left alone while another one is emptied. */
static void magazine_drain_one(struct kunit *test)
{
	struct cc_magazine *idle = cc_test_magazine(cc_test_class(512));
	struct mag_test *t = test->priv;
	unsigned int count;
	phys_addr_t tlb;

	tlb = cc_swiotlb_map(t->dev, t->buf, 512, 0, 0);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
	cc_test_give(tlb);
	take(test, 0, 1);
	count = loaded(t);
	cc_test_drain_idle();
	KUNIT_ASSERT_GT(test, cc_chain_count(idle->loaded), 0);
	KUNIT_ASSERT_GT(test, count, 1);
	take(test, 1, 1);
	cc_test_drain_idle();
	KUNIT_EXPECT_EQ(test, cc_chain_count(idle->loaded), 0);
	KUNIT_EXPECT_EQ(test, loaded(t), count - 1);
	cc_test_check(test);
	give(test, 0, 2);
}

/* The depot: last in, first out; counts right; low water for kccd. */
static void depot_order(struct kunit *test)
{
	struct mag_test *t = test->priv;
	struct cc_class *class = t->class;
	u64 chain[3];

	KUNIT_EXPECT_EQ(test, cc_depot_pop(class, 0, UINT_MAX, 0), 0);
	take(test, 0, 3);
	cc_test_drain_all();
	cc_depot_drain(class, 0, UINT_MAX);
	KUNIT_EXPECT_EQ(test, class->node->depot.slots, 0);
	class->mag_size = 0;
	give(test, 0, 3);
	class->node->depot.low = UINT_MAX;
	KUNIT_EXPECT_EQ(test, class->node->depot.slots, 3);
	for (int i = 0; i < 3; i++) {
		chain[i] = cc_depot_pop(class, 0, UINT_MAX, 0);
		KUNIT_EXPECT_EQ(test, cc_chain_count(chain[i]), 1);
		KUNIT_EXPECT_EQ(test, class->node->depot.slots, 2 - i);
		KUNIT_EXPECT_EQ(test, class->node->depot.low, 2 - i);
	}
	KUNIT_EXPECT_EQ(test, cc_depot_pop(class, 0, UINT_MAX, 0), 0);
	for (int i = 3; i--; )
		cc_depot_push(class, chain[i]);
	KUNIT_EXPECT_EQ(test, cc_depot_pop(class, 0, UINT_MAX, 0), chain[0]);
	cc_depot_push(class, chain[0]);
	/* Draining stops before more than it was told. */
	cc_depot_drain(class, 0, 2);
	KUNIT_EXPECT_EQ(test, class->node->depot.slots, 1);
	class->node->depot.low = 0;
	cc_test_check(test);
}

static void depot_drain_keeps_rest(struct kunit *test)
{
	struct mag_test *t = test->priv;
	struct cc_class *class = t->class;
	unsigned int size = class->mag_size;

	take(test, 0, 5 * size);
	cc_test_drain_all();
	cc_depot_drain(class, 0, UINT_MAX);
	give(test, 0, 5 * size);
	KUNIT_EXPECT_EQ(test, class->node->depot.slots, 3 * size);
	cc_depot_drain(class, 0, size - 1);
	KUNIT_EXPECT_EQ(test, class->node->depot.slots, 3 * size);
	cc_depot_drain(class, 0, 2 * size + 1);
	KUNIT_EXPECT_EQ(test, class->node->depot.slots, size);
	cc_test_check(test);
}

/* The slots of a chunk have indexes in a row, fewer than these. */
#define RACE_SLOTS	BIT(CC_CHUNK_SHIFT - CC_SLOT_MIN_SHIFT)

struct depot_race {
	struct cc_class *class;
	DECLARE_BITMAP(held, RACE_SLOTS);
	atomic_t popped;
	atomic_t twice;
};

static int pop_and_push(void *arg)
{
	struct depot_race *r = arg;

	while (!kthread_should_stop()) {
		u64 chain = cc_depot_pop(r->class, 0, UINT_MAX, 0);
		unsigned int nr = cc_chain_index(chain) % RACE_SLOTS;

		if (chain) {
			atomic_inc(&r->popped);
			if (test_and_set_bit(nr, r->held))
				atomic_inc(&r->twice);
			clear_bit(nr, r->held);
			cc_depot_push(r->class, chain);
		}
		cond_resched();
	}
	return 0;
}

/* All CPUs at once: each magazine has one owner at a time. */
static void depot_race(struct kunit *test)
{
	struct mag_test *t = test->priv;
	struct task_struct **task;
	struct depot_race *r;
	int cpu;

	r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, r);
	task = kunit_kcalloc(test, nr_cpu_ids, sizeof(*task), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, task);
	r->class = t->class;
	t->class->mag_size = 0;
	take(test, 0, 64);
	give(test, 0, 64);
	for_each_online_cpu(cpu) {
		task[cpu] = kthread_create_on_cpu(pop_and_push, r, cpu, "cc-depot/%u");
		KUNIT_EXPECT_NOT_ERR_OR_NULL(test, task[cpu]);
		if (!IS_ERR(task[cpu]))
			wake_up_process(task[cpu]);
	}
	schedule_timeout_uninterruptible(HZ / 2);
	for_each_online_cpu(cpu)
		if (!IS_ERR(task[cpu]))
			kthread_stop(task[cpu]);
	KUNIT_EXPECT_GT(test, atomic_read(&r->popped), 64);
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&r->twice));
	/* A list that is broken may have no end. */
	if (atomic_read(&r->twice))
		t->class->node->depot.head = 0;
	cc_test_check(test);
}

static struct kunit_case magazine_cases[] = {
	KUNIT_CASE(magazine_pop_push),
	KUNIT_CASE(magazine_refill),
	KUNIT_CASE(magazine_flush),
	KUNIT_CASE(magazine_spare),
	KUNIT_CASE(magazine_tid),
	KUNIT_CASE(magazine_tid_wraps),
	KUNIT_CASE(magazine_bypass),
	KUNIT_CASE(magazine_short_batch),
	KUNIT_CASE(magazine_limits),
	KUNIT_CASE(magazine_drain_idle),
	KUNIT_CASE(magazine_drain_one),
	KUNIT_CASE(depot_order),
	KUNIT_CASE(depot_drain_keeps_rest),
	KUNIT_CASE(depot_race),
	{}
};

static struct kunit_suite magazine_suite = {
	.name = "cc_swiotlb_magazine",
	.init = magazine_init,
	.exit = cc_test_exit,
	.test_cases = magazine_cases,
};

kunit_test_suite(magazine_suite);

MODULE_DESCRIPTION("Tests of the magazines and the depot of cc-swiotlb");
MODULE_LICENSE("GPL");
