// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of lib/genalloc-ext.c: everything against everything else, on
 * all CPUs.
 */
#include <linux/bitmap.h>
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "genalloc_ext_test.h"

/*
 * A long bitmap makes the seal take its time, and a thread on another CPU
 * takes and gives back the last object meanwhile: the seal has to roll back.
 */
#define RACE_OBJS	(BITS_PER_LONG * 2048UL)
#define RACE_MS		500

struct race {
	struct gen_pool *pool;
	struct gen_pool_chunk *chunk;
	unsigned long taken;
};

static int race_thread(void *data)
{
	unsigned long addr = BASE + (RACE_OBJS - 1) * OBJ_SIZE;
	struct genpool_data_fixed fixed = { .offset = addr - BASE };
	struct race *r = data;

	while (!kthread_should_stop()) {
		if (gen_pool_alloc_algo(r->pool, OBJ_SIZE, gen_pool_fixed_alloc,
					&fixed) == addr &&
		    gen_pool_free_bulk(r->pool, r->chunk, &addr, 1) == 1)
			r->taken++;
		cond_resched();
	}
	return 0;
}

/* Others may run already, so that a failure must not end the test. */
static struct task_struct *run_on(struct kunit *test, unsigned int cpu,
				  int (*fn)(void *), void *data)
{
	struct task_struct *t;

	t = kthread_create_on_cpu(fn, data, cpu, "genalloc_ext/%u");
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, t);
	if (!IS_ERR(t))
		wake_up_process(t);
	return t;
}

static void stop(struct task_struct *t)
{
	if (!IS_ERR(t))
		kthread_stop(t);
}

static void test_seal_race(struct kunit *test)
{
	unsigned long *addrs = kvmalloc_array(RACE_OBJS, sizeof(*addrs), GFP_KERNEL);
	unsigned long end, sealed = 0, refused = 0;
	struct ctx *c = test->priv;
	struct race r = { .pool = &c->pool };
	struct task_struct *t;

	KUNIT_ASSERT_NOT_NULL(test, addrs);
	for (unsigned long i = 0; i < RACE_OBJS; i++)
		addrs[i] = BASE + i * OBJ_SIZE;
	r.chunk = gen_test_add(test, 0, RACE_OBJS);
	t = run_on(test, cpumask_last(cpu_online_mask), race_thread, &r);
	end = jiffies + msecs_to_jiffies(RACE_MS);
	/* On a busy host, the other CPU may not run for a while. */
	while (time_before(jiffies, end) ||
	       (!IS_ERR(t) && !READ_ONCE(r.taken) && time_before(jiffies, end + 60 * HZ))) {
		if (gen_pool_seal_chunk(&c->pool, r.chunk)) {
			sealed++;
			KUNIT_EXPECT_EQ(test, RACE_OBJS,
					gen_pool_free_bulk(&c->pool, r.chunk,
							   addrs, RACE_OBJS));
		} else {
			refused++;
		}
		cond_resched();
	}
	stop(t);
	kvfree(addrs);

	gen_test_expect_used(test, r.chunk, 0);
	KUNIT_EXPECT_GT(test, sealed, 0);
	KUNIT_EXPECT_GT(test, r.taken, 0);
	kunit_info(test, "sealed %lu, refused %lu, taken %lu\n", sealed, refused,
		   r.taken);
}

/*
 * Threads on all CPUs take and give back, also what another one took, while
 * this thread seals chunks, removes them, frees the descriptor and adds the
 * same memory again in a new one.
 */
#define STRESS_CHUNKS	4
#define STRESS_OBJS	100
#define STRESS_BATCH	24
#define STRESS_MS	2000

struct batch {
	struct stress_chunk *from;
	unsigned long addrs[STRESS_BATCH];
	unsigned int nr;
};

struct stress_chunk {
	struct gen_pool_chunk *chunk;
	bool gone;
};

struct stress {
	struct gen_pool pool;
	struct gen_pool_chunk __rcu *hint;
	struct stress_chunk chunks[STRESS_CHUNKS];
	DECLARE_BITMAP(owned, STRESS_CHUNKS * STRESS_OBJS);
	struct batch *batches, *mailbox;
	atomic_long_t taken, twice, sealed, lost;
};

static unsigned int stress_bit(unsigned long addr)
{
	unsigned long offset = addr - BASE;

	return offset / SPAN * STRESS_OBJS + offset % SPAN / OBJ_SIZE;
}

static void stress_own(struct stress *s, struct stress_chunk *from,
		       unsigned long addr)
{
	if (test_and_set_bit(stress_bit(addr), s->owned))
		atomic_long_inc(&s->twice);
	if (READ_ONCE(from->gone) || from != &s->chunks[(addr - BASE) / SPAN])
		atomic_long_inc(&s->sealed);
}

static void stress_disown(struct stress *s, unsigned long addr)
{
	if (!test_and_clear_bit(stress_bit(addr), s->owned))
		atomic_long_inc(&s->twice);
}

static void stress_take(struct stress *s, struct batch *b, unsigned int nr)
{
	void *owner;
	unsigned int i;

	b->nr = gen_pool_alloc_bulk(&s->pool, &s->hint, b->addrs, nr, UINT_MAX, &owner);
	b->from = owner;
	atomic_long_add(b->nr, &s->taken);
	for (i = 0; i < b->nr; i++)
		stress_own(s, b->from, b->addrs[i]);
}

static void stress_give(struct stress *s, struct batch *b)
{
	unsigned int i;

	for (i = 0; i < b->nr; i++)
		stress_disown(s, b->addrs[i]);
	if (b->nr && gen_pool_free_bulk(&s->pool, b->from->chunk, b->addrs,
					b->nr) != b->nr)
		atomic_long_inc(&s->lost);
	b->nr = 0;
}

static void stress_mixed(struct stress *s, unsigned int nr)
{
	unsigned long addr;
	unsigned int i;
	void *owner;

	addr = gen_pool_alloc_owner(&s->pool, nr * OBJ_SIZE, &owner);
	if (!addr)
		return;
	for (i = 0; i < nr; i++)
		stress_own(s, owner, addr + i * OBJ_SIZE);
	cpu_relax();
	for (i = 0; i < nr; i++)
		stress_disown(s, addr + i * OBJ_SIZE);
	gen_pool_free(&s->pool, addr, nr * OBJ_SIZE);
}

static int stress_thread(void *data)
{
	unsigned int cpu = smp_processor_id();
	struct stress *s = data;
	struct batch *b = &s->batches[cpu];
	struct rnd_state rnd;

	prandom_seed_state(&rnd, cpu + 1);
	while (!kthread_should_stop()) {
		u32 r = prandom_u32_state(&rnd);

		stress_take(s, b, 1 + r % STRESS_BATCH);
		if (r & BIT(16))
			stress_mixed(s, 1 + (r >> 20) % 5);
		if (r & BIT(17))
			b = xchg(&s->mailbox, b);
		stress_give(s, b);
		cond_resched();
	}
	return 0;
}

static int stress_add(struct stress *s, unsigned int i)
{
	size_t size = STRESS_OBJS * OBJ_SIZE;
	size_t bytes = gen_pool_chunk_bytes(size, ORDER) + sizeof(long);
	struct gen_pool_chunk *chunk = kmalloc(bytes, GFP_KERNEL);

	if (!chunk)
		return -ENOMEM;
	memset(chunk, 0xff, bytes);
	s->chunks[i].chunk = chunk;
	WRITE_ONCE(s->chunks[i].gone, false);
	gen_pool_add_chunk(&s->pool, chunk, obj(i, 0), -1, size, &s->chunks[i]);
	return 0;
}

/* Seal, unlink, free: true if the chunk could be sealed. */
static bool stress_remove(struct kunit *test, struct stress *s, unsigned int i)
{
	struct gen_pool_chunk *chunk = s->chunks[i].chunk;

	if (!gen_pool_seal_chunk(&s->pool, chunk))
		return false;
	WRITE_ONCE(s->chunks[i].gone, true);
	gen_pool_del_chunk(&s->pool, chunk, &s->hint);
	synchronize_rcu();
	KUNIT_EXPECT_PTR_NE(test, rcu_access_pointer(s->hint), chunk);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&chunk->avail), 0);
	memset(chunk, 0x5a, sizeof(*chunk));
	kfree(chunk);
	s->chunks[i].chunk = NULL;
	return true;
}

static void test_stress(struct kunit *test)
{
	struct task_struct **threads;
	unsigned long end, removed = 0;
	unsigned int cpu, i;
	struct stress *s;

	s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, s);
	threads = kunit_kcalloc(test, nr_cpu_ids, sizeof(*threads), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, threads);
	s->batches = kunit_kcalloc(test, nr_cpu_ids + 1, sizeof(*s->batches),
				   GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, s->batches);
	s->mailbox = &s->batches[nr_cpu_ids];
	gen_pool_init(&s->pool, ORDER);
	for (i = 0; i < STRESS_CHUNKS; i++)
		KUNIT_ASSERT_EQ(test, stress_add(s, i), 0);

	for_each_online_cpu(cpu)
		threads[cpu] = run_on(test, cpu, stress_thread, s);
	end = jiffies + msecs_to_jiffies(STRESS_MS);
	for (i = 0; time_before(jiffies, end); i = (i + 1) % STRESS_CHUNKS) {
		if (stress_remove(test, s, i)) {
			removed++;
			if (stress_add(s, i))
				break;
		}
		cond_resched();
	}
	for_each_online_cpu(cpu)
		stop(threads[cpu]);
	for (i = 0; i <= nr_cpu_ids; i++)
		stress_give(s, &s->batches[i]);

	KUNIT_EXPECT_EQ(test, atomic_long_read(&s->twice), 0);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&s->sealed), 0);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&s->lost), 0);
	KUNIT_EXPECT_TRUE(test, bitmap_empty(s->owned, STRESS_CHUNKS * STRESS_OBJS));
	KUNIT_EXPECT_GT(test, atomic_long_read(&s->taken), 0);
	KUNIT_EXPECT_GT(test, removed, 0);
	kunit_info(test, "%u CPUs: %ld objects taken, %lu chunks removed\n",
		   num_online_cpus(), atomic_long_read(&s->taken), removed);
	for (i = 0; i < STRESS_CHUNKS; i++) {
		KUNIT_ASSERT_NOT_NULL(test, s->chunks[i].chunk);
		gen_test_expect_used(test, s->chunks[i].chunk, 0);
		KUNIT_EXPECT_TRUE(test, stress_remove(test, s, i));
	}
}

static struct kunit_case genalloc_ext_stress_cases[] = {
	KUNIT_CASE_SLOW(test_seal_race),
	KUNIT_CASE_SLOW(test_stress),
	{}
};

static struct kunit_suite genalloc_ext_stress_suite = {
	.name = "genalloc_ext_stress",
	.init = gen_test_init,
	.test_cases = genalloc_ext_stress_cases,
};

kunit_test_suite(genalloc_ext_stress_suite);

MODULE_DESCRIPTION("KUnit stress tests of the gen_pool extensions");
MODULE_LICENSE("GPL");
