// SPDX-License-Identifier: GPL-2.0-only
/*
 * How far a mapping looks for a free slot in the gen_pool of its class: past many
 * chunks that are full only if there is nothing else. All chunks have one slot.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/slab.h>

#include "cc_test.h"

#define SIZE	SZ_64K
/* Of 64 chunks that a mapping looks at, these are too many. */
#define MANY	100

struct walk_test {
	struct device *dev;
	phys_addr_t buf;
	struct cc_class *class;
	unsigned int nr;
	phys_addr_t tlb[2 * MANY];
	unsigned int points;
};

static int walk_init(struct kunit *test)
{
	struct walk_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	struct cc_options opts;

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	t->dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	t->buf = virt_to_phys(cc_test_buffer(test, SZ_512K));
	cc_test_pin(test);
	cc_fake_begin(test);
	cc_fake.max_order = CC_FRAME_SHIFT - PAGE_SHIFT;
	cc_test_options(&opts);
	opts.reserve = (MANY + 8) * SIZE;
	memset(opts.mark, 0, sizeof(opts.mark));
	cc_test_log_begin(test);
	cc_test_start_with(test, &opts, false);
	cc_test_log_end(test);
	t->class = &cc_classes[cc_test_class(SIZE)];
	/* What is given back goes to the depot. */
	t->class->mag_size = 0;
	return 0;
}

static bool take(struct walk_test *t)
{
	t->tlb[t->nr] = cc_swiotlb_map(t->dev, t->buf, SIZE, 0, 0);
	if (cc_test_failed(t->tlb[t->nr]))
		return false;
	t->nr++;
	return true;
}

static void take_many(struct kunit *test)
{
	struct walk_test *t = test->priv;

	while (t->nr < MANY)
		KUNIT_ASSERT_TRUE(test, take(t));
	KUNIT_ASSERT_EQ(test, t->class->nr_slots, MANY);
}

static void drain(struct walk_test *t)
{
	mutex_lock(&cc_swiotlb.mutex);
	cc_depot_drain(t->class, 0, UINT_MAX);
	mutex_unlock(&cc_swiotlb.mutex);
}

/* Give slot @nr to the gen_pool; the last one takes its place. */
static phys_addr_t give_to_pool(struct walk_test *t, unsigned int nr)
{
	phys_addr_t tlb = t->tlb[nr];

	cc_test_give(tlb);
	t->tlb[nr] = t->tlb[--t->nr];
	drain(t);
	return tlb;
}

static void walk_exit(struct kunit *test)
{
	struct walk_test *t = test->priv;

	while (t->nr)
		cc_test_give(t->tlb[--t->nr]);
	cc_test_stop(test);
	cc_fake_end(test);
}

/* A chunk of the reserve is nearer than a slot behind many full chunks. */
static void walk_ends(struct kunit *test)
{
	struct walk_test *t = test->priv;

	take_many(test);
	give_to_pool(t, MANY - 1);
	rcu_assign_pointer(t->class->node->hint, NULL);
	KUNIT_ASSERT_TRUE(test, take(t));
	KUNIT_EXPECT_EQ(test, t->class->nr_slots, MANY + 1);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&t->class->node->pool_free), 1);
	/* The next one finds what is left of such a chunk, and so on. */
	for (unsigned int left = 7; left; left--)
		KUNIT_ASSERT_TRUE(test, take(t));
	KUNIT_ASSERT_EQ(test, cc_swiotlb.reserve_bytes, 0);

	/* Nothing is nearer: no mapping fails while there is a slot. */
	rcu_assign_pointer(t->class->node->hint, NULL);
	KUNIT_EXPECT_TRUE(test, take(t));
	KUNIT_EXPECT_EQ(test, t->class->nr_slots, MANY + 8);
	cc_test_log_begin(test);
	KUNIT_EXPECT_FALSE(test, take(t));
	cc_test_log_end(test);
	cc_test_check(test);
}

/*
 * What comes back past magazines and depot, and would be a chunk, is found behind many full
 * chunks: the class does not take one of the reserve each time.
 */
static void walk_finds_a_chunk(struct kunit *test)
{
	struct walk_test *t = test->priv;
	unsigned int per_chunk = SZ_512K / SIZE;

	take_many(test);
	for (unsigned int i = 0; i < per_chunk; i++) {
		phys_addr_t tlb = t->tlb[70 + i];
		u32 index = cc_index_by_addr(cc_chunk_by_addr(tlb), tlb);

		cc_slot_by_index(index)->dev = NULL;
		this_cpu_inc(cc_cpu.mag[t->class - cc_classes].count[CC_UNMAPS]);
		cc_depot_pass(index);
		t->tlb[70 + i] = t->tlb[--t->nr];
	}
	KUNIT_ASSERT_TRUE(test, take(t));
	KUNIT_EXPECT_EQ(test, t->class->nr_slots, MANY);
	cc_test_check(test);
}

/* What comes back is found at once, the oldest first. */
static void walk_begins_with_oldest(struct kunit *test)
{
	struct walk_test *t = test->priv;
	phys_addr_t old;

	take_many(test);
	old = t->tlb[MANY - 20];
	cc_test_give(t->tlb[--t->nr]);
	cc_test_give(old);
	t->tlb[MANY - 20] = t->tlb[--t->nr];
	drain(t);
	KUNIT_ASSERT_TRUE(test, take(t));
	KUNIT_EXPECT_EQ(test, t->tlb[t->nr - 1], old);
	KUNIT_ASSERT_TRUE(test, take(t));
	KUNIT_EXPECT_EQ(test, t->class->nr_slots, MANY);

	/* But what is free before that is not passed over. */
	give_to_pool(t, 10);
	old = give_to_pool(t, 5);
	give_to_pool(t, 50);
	KUNIT_ASSERT_TRUE(test, take(t));
	KUNIT_EXPECT_EQ(test, t->tlb[t->nr - 1], old);
	cc_test_check(test);
}

static struct walk_test *waiting;

static void count_points(struct cc_class *class)
{
	/* It would spin for ever. */
	if (waiting->points++ == 100)
		atomic_long_set(&class->node->pool_free, 0);
}

/* A chunk that is on its way out has free slots, says the count, and gives none. */
static void walk_does_not_spin(struct kunit *test)
{
	struct walk_test *t = test->priv;
	struct cc_chunk *chunk;

	while (cc_swiotlb.reserve_bytes)
		KUNIT_ASSERT_TRUE(test, take(t));
	chunk = cc_chunk_by_addr(give_to_pool(t, 0));
	KUNIT_ASSERT_TRUE(test, gen_pool_seal_chunk(&t->class->node->pool, chunk->gpc));
	waiting = t;
	cc_test_log_begin(test);
	kunit_activate_static_stub(test, cc_magazine_point, count_points);
	KUNIT_EXPECT_FALSE(test, take(t));
	kunit_deactivate_static_stub(test, cc_magazine_point);
	cc_test_log_end(test);
	KUNIT_EXPECT_LT(test, t->points, 20);
	/* Not sealed any more */
	gen_pool_free_bulk(&t->class->node->pool, chunk->gpc, &chunk->gpc->start_addr, 1);
	atomic_long_set(&t->class->node->pool_free, 1);
	KUNIT_EXPECT_TRUE(test, take(t));
	cc_test_check(test);
}

/* As another CPU would: a slot of a chunk behind the 64 is free again. */
static void free_behind(struct cc_class *class)
{
	struct walk_test *t = waiting;
	phys_addr_t tlb;
	u32 index;

	if (t->points++ >= 20)
		return;
	tlb = t->tlb[--t->nr];
	index = cc_index_by_addr(cc_chunk_by_addr(tlb), tlb);
	cc_slot_by_index(index)->dev = NULL;
	this_cpu_inc(cc_cpu.mag[class - cc_classes].count[CC_UNMAPS]);
	cc_depot_pass(index);
}

/* What others free where a CPU does not look does not make it look there again and again. */
static void walk_looks_everywhere(struct kunit *test)
{
	struct walk_test *t = test->priv;
	unsigned int points;
	phys_addr_t tlb;

	take_many(test);
	rcu_assign_pointer(t->class->node->hint, NULL);
	waiting = t;
	kunit_activate_static_stub(test, cc_magazine_point, free_behind);
	tlb = cc_swiotlb_map(t->dev, t->buf, SIZE, 0, 0);
	points = t->points;
	kunit_deactivate_static_stub(test, cc_magazine_point);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
	t->tlb[t->nr++] = tlb;
	KUNIT_EXPECT_LE(test, points, 6);
	cc_test_check(test);
}

struct walk_other {
	u32 index;
	struct completion locked;
};

/* Another CPU that is giving the class something, and is slow. */
static int give_late(void *data)
{
	struct walk_other *other = data;
	unsigned long flags;

	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	complete(&other->locked);
	for (int i = 0; i < 100 && !raw_spin_is_contended(&cc_swiotlb.lock); i++)
		mdelay(1);
	cc_depot_pass(other->index);
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
	return 0;
}

/* What is on its way from the reserve to the class is waited for. */
static void walk_waits(struct kunit *test)
{
	struct walk_test *t = test->priv;
	struct walk_other *other = kunit_kzalloc(test, sizeof(*other), GFP_KERNEL);
	struct task_struct *task;
	phys_addr_t tlb;

	KUNIT_ASSERT_NOT_NULL(test, other);
	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");
	while (cc_swiotlb.reserve_bytes)
		KUNIT_ASSERT_TRUE(test, take(t));
	tlb = t->tlb[--t->nr];
	other->index = cc_index_by_addr(cc_chunk_by_addr(tlb), tlb);
	cc_slot_by_index(other->index)->dev = NULL;
	this_cpu_inc(cc_cpu.mag[t->class - cc_classes].count[CC_UNMAPS]);
	init_completion(&other->locked);
	task = kthread_create_on_cpu(give_late, other,
				     cpumask_any_but(cpu_online_mask, raw_smp_processor_id()),
				     "cc-late/%u");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	get_task_struct(task);
	wake_up_process(task);
	wait_for_completion(&other->locked);
	KUNIT_EXPECT_TRUE(test, take(t));
	kthread_stop_put(task);
	cc_test_check(test);
}

static struct kunit_case walk_cases[] = {
	KUNIT_CASE(walk_ends),
	KUNIT_CASE(walk_finds_a_chunk),
	KUNIT_CASE(walk_begins_with_oldest),
	KUNIT_CASE(walk_does_not_spin),
	KUNIT_CASE(walk_looks_everywhere),
	KUNIT_CASE(walk_waits),
	{}
};

static struct kunit_suite walk_suite = {
	.name = "cc_swiotlb_walk",
	.init = walk_init,
	.exit = walk_exit,
	.test_cases = walk_cases,
};

kunit_test_suite(walk_suite);

MODULE_DESCRIPTION("Tests of how far cc-swiotlb looks for a slot");
MODULE_LICENSE("GPL");
