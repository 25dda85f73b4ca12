// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who is told: kccd sleeps until it hears of something, so that each thing that it has to
 * do something about must be said, and by nothing but that.
 */
#include <linux/cc_loan.h>
#include <linux/irq_work.h>
#include <linux/mm.h>
#include <linux/rcuwait.h>
#include <linux/sched.h>

#include "defects_test.h"

static struct cc_class *class_4k(void)
{
	return &cc_classes[cc_test_class(SZ_4K)];
}

static struct cc_slot *slot_of(phys_addr_t tlb)
{
	return cc_slot_by_index(cc_index_by_addr(cc_chunk_by_addr(tlb), tlb));
}

/* kccd has nothing to do any more, and has heard of all that was. */
static void fall_asleep(struct kunit *test)
{
	live(60 * HZ);
	KUNIT_ASSERT_TRUE(test, asleep());
	KUNIT_ASSERT_FALSE(test, cc_kicks.tick);
	irq_work_sync(&cc_kicks.work);
}

/* The first slot that rests in a magazine wakes kccd, and the next one does not. */
static void signal_first_slot(struct kunit *test)
{
	start(test, SZ_128M, SZ_8M, 0);
	KUNIT_ASSERT_EQ(test, take(test, 2, SZ_4K), 2);
	fall_asleep(test);
	wakes_begin();
	for (unsigned int i = 0; i < 2; i++) {
		give(test, 1);
		KUNIT_EXPECT_EQ(test, wakes(), 1);
	}
	wakes_end();
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
}

/* Whoever sleeps as kccd does is woken by what it is asked for. */
static void signal_wakes(struct kunit *test)
{
	long left;

	start(test, SZ_128M, SZ_8M, 0);
	fall_asleep(test);
	prepare_to_rcuwait(&cc_kicks.wait);
	set_current_state(TASK_UNINTERRUPTIBLE);
	kick();
	left = schedule_timeout(HZ);
	finish_rcuwait(&cc_kicks.wait);
	KUNIT_EXPECT_GT(test, left, 0);
}

/*
 * Where interrupts are threads, a CPU that never leaves its real-time task would keep the
 * signal of all CPUs in its queue.
 */
static void signal_hard(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, irq_work_is_hard(&cc_kicks.work));
}

/* A mapping that leaves the rest of its batch in the magazine. */
static void signal_rest_of_batch(struct kunit *test)
{
	start(test, SZ_128M, SZ_8M, 0);
	KUNIT_ASSERT_EQ(test, take(test, 1, SZ_4K), 1);
	fall_asleep(test);
	KUNIT_ASSERT_EQ(test, cc_chain_count(cc_test_magazine(cc_test_class(SZ_4K))->loaded), 0);
	KUNIT_ASSERT_EQ(test, take(test, 1, SZ_4K), 1);
	KUNIT_ASSERT_EQ(test, atomic_read(&cc_kicks.asked), 0);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
}

/* The first slot that is collected for another CPU. */
static void signal_foreign(struct kunit *test)
{
	struct defects_test *t = test->priv;
	struct cc_magazine *mag;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");
	start(test, SZ_128M, SZ_8M, 0);
	mag = cc_test_magazine(cc_test_class(SZ_4K));
	class_4k()->mag_size = max_t(u8, class_4k()->mag_size, 4);
	KUNIT_ASSERT_EQ(test, take(test, 1, SZ_4K), 1);
	fall_asleep(test);
	slot_of(t->tlb[0])->cpu = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());
	give(test, 1);
	KUNIT_ASSERT_EQ(test, cc_chain_count(mag->foreign), 1);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
}

/* Coherent memory that was freed is returned after a while. */
static void signal_coherent_free(struct kunit *test)
{
	struct defects_test *t = test->priv;
	struct page *page;

	start(test, SZ_128M, SZ_8M, 0);
	page = cc_swiotlb_alloc_pages(t->dev, PAGE_SIZE, GFP_ATOMIC);
	KUNIT_ASSERT_NOT_NULL(test, page);
	fall_asleep(test);
	KUNIT_EXPECT_TRUE(test, cc_swiotlb_free_pages(t->dev, page_to_phys(page), PAGE_SIZE));
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
	live(60 * HZ);
	KUNIT_EXPECT_EQ(test, cc_classes[CC_COHERENT].nr_slots, 0);
}

/* A loan that is over while somebody holds a page is looked at again. */
static void signal_loan_held(struct kunit *test)
{
	struct page *page;

	start(test, SZ_128M, SZ_8M, 0);
	cc_test_lend(test);
	page = cc_loan_alloc(PAGE_SIZE, NUMA_NO_NODE);
	KUNIT_ASSERT_NOT_NULL(test, page);
	fall_asleep(test);
	get_page(page);
	cc_loan_free(page, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, cc_swiotlb.loans_held.bytes, PAGE_SIZE);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
	put_page(page);
	cc_test_tick();
	KUNIT_EXPECT_EQ(test, cc_swiotlb.loans_held.bytes, 0);
}

/* A coherent allocation for which all chunks are too small says what it needs. */
static void signal_coherent_starved(struct kunit *test)
{
	struct defects_test *t = test->priv;

	cc_fake.max_order = CC_FRAME_SHIFT - PAGE_SHIFT;
	start(test, SZ_128M, SZ_2M, 0);
	fall_asleep(test);
	atomic_set(&cc_kicks.asked, 0);
	KUNIT_EXPECT_NULL(test, cc_swiotlb_alloc_pages(t->dev, SZ_256K, GFP_ATOMIC));
	KUNIT_EXPECT_EQ(test, atomic_read(&cc_kicks.asked), cc_ask_chunk(ilog2(SZ_256K)));
}

static struct kunit_case signal_cases[] = {
	KUNIT_CASE(signal_first_slot),
	KUNIT_CASE(signal_wakes),
	KUNIT_CASE(signal_hard),
	KUNIT_CASE(signal_rest_of_batch),
	KUNIT_CASE(signal_foreign),
	KUNIT_CASE(signal_coherent_free),
	KUNIT_CASE(signal_loan_held),
	KUNIT_CASE(signal_coherent_starved),
	{}
};

static struct kunit_suite signal_suite = {
	.name = "cc_swiotlb_signal",
	.init = defects_init,
	.exit = defects_exit,
	.test_cases = signal_cases,
};

kunit_test_suite(signal_suite);

MODULE_DESCRIPTION("Tests of what wakes kccd");
MODULE_LICENSE("GPL");
