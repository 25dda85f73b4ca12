// SPDX-License-Identifier: GPL-2.0-only
/*
 * All contexts at once: tasks, softirqs and hard interrupts on every CPU map,
 * check and unmap; half of the mappings are undone by whoever comes next, on
 * any CPU. In the end every slot is accounted for. Nothing is allocated there
 * but by the mappings: a hard interrupt may not, if all else can be preempted.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/dma-map-ops.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/kthread.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "cc_test.h"

#define NR_BOXES	256
#define MAX_SIZE	SZ_16K
#define MSEC		2000

enum context { TASK, SOFTIRQ, HARDIRQ, NR_CONTEXTS };

/* A mapping on its way from one CPU to another, or a box without one. */
struct box {
	phys_addr_t tlb;
	u32 size;
	u32 stamp;
};

struct worker {
	struct irq_test *t;
	struct rnd_state rnd[NR_CONTEXTS];
	u8 *buf[NR_CONTEXTS];
	struct box *box[NR_CONTEXTS];	/* without a mapping */
	unsigned long done[NR_CONTEXTS];
	struct hrtimer timer;
	struct tasklet_struct tasklet;
	struct task_struct *task;
};

struct irq_test {
	struct device *dev;
	struct box *box[NR_BOXES];
	struct worker *worker;
	atomic_t wrong;
	bool stop;
};

/* Check that the buffer is what was mapped, and give it back. */
static void finish(struct irq_test *t, struct box *box)
{
	u32 *first;
	u8 *last;

	if (cc_test_failed(box->tlb))
		return;
	first = cc_test_virt(box->tlb);
	last = cc_test_virt(box->tlb + box->size - 1);
	if (*first != box->stamp || (box->size > 4 && *last != (u8)box->stamp))
		atomic_inc(&t->wrong);
	*first = 0;
	*last = 0;
	swiotlb_tbl_unmap_single(t->dev, box->tlb, box->size, DMA_TO_DEVICE, 0);
	box->tlb = (phys_addr_t)DMA_MAPPING_ERROR;
}

static void work(struct worker *w, enum context ctx)
{
	struct irq_test *t = w->t;
	u32 r = prandom_u32_state(&w->rnd[ctx]);
	struct box *box = w->box[ctx];

	box->size = 4 + prandom_u32_state(&w->rnd[ctx]) % (MAX_SIZE >> r % 6);
	box->stamp = prandom_u32_state(&w->rnd[ctx]);
	*(u32 *)w->buf[ctx] = box->stamp;
	if (box->size > 4)
		w->buf[ctx][box->size - 1] = box->stamp;
	if (box->size < 8)
		box->size = 4;
	box->tlb = cc_test_tbl_map(t->dev, virt_to_phys(w->buf[ctx]),
				   box->size, 0, DMA_TO_DEVICE,
				   DMA_ATTR_NO_WARN);
	if (cc_test_failed(box->tlb))
		return;
	w->done[ctx]++;
	box = xchg(&t->box[(r >> 8) % NR_BOXES], box);
	finish(t, box);
	w->box[ctx] = box;
}

static void softirq_work(struct tasklet_struct *tasklet)
{
	struct worker *w = container_of(tasklet, struct worker, tasklet);

	for (int i = 0; i < 4; i++)
		work(w, SOFTIRQ);
}

static enum hrtimer_restart hardirq_work(struct hrtimer *timer)
{
	struct worker *w = container_of(timer, struct worker, timer);

	if (READ_ONCE(w->t->stop))
		return HRTIMER_NORESTART;
	for (int i = 0; i < 2; i++)
		work(w, HARDIRQ);
	tasklet_schedule(&w->tasklet);
	hrtimer_forward_now(timer, ns_to_ktime(50 * NSEC_PER_USEC));
	return HRTIMER_RESTART;
}

static int task_work_fn(void *arg)
{
	struct worker *w = arg;

	hrtimer_start(&w->timer, ns_to_ktime(50 * NSEC_PER_USEC), HRTIMER_MODE_REL_PINNED_HARD);
	while (!kthread_should_stop()) {
		for (int i = 0; i < 64; i++)
			work(w, TASK);
		cond_resched();
	}
	return 0;
}

static void init_timer(struct worker *w)
{
/* Kernels that have this macro have hrtimer_setup(), too. */
#ifdef KUNIT_CASE_PARAM_WITH_INIT
	hrtimer_setup(&w->timer, hardirq_work, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
#else
	hrtimer_init(&w->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
	w->timer.function = hardirq_work;
#endif
}

static struct box *new_box(struct kunit *test)
{
	struct box *box = kunit_kmalloc(test, sizeof(*box), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, box);
	box->tlb = (phys_addr_t)DMA_MAPPING_ERROR;
	return box;
}

/* All that can end the test, before the first one starts. */
static void init_worker(struct kunit *test, struct irq_test *t, int cpu, u32 seed)
{
	struct worker *w = &t->worker[cpu];

	w->t = t;
	for (int c = 0; c < NR_CONTEXTS; c++) {
		prandom_seed_state(&w->rnd[c], seed + cpu * NR_CONTEXTS + c);
		w->buf[c] = cc_test_buffer(test, 2 * MAX_SIZE);
		w->box[c] = new_box(test);
	}
	tasklet_setup(&w->tasklet, softirq_work);
	init_timer(w);
}

static void start_worker(struct kunit *test, struct worker *w, int cpu)
{
	w->task = kthread_create_on_cpu(task_work_fn, w, cpu, "cc-irq-test/%u");
	if (IS_ERR(w->task)) {
		w->task = NULL;
		KUNIT_FAIL(test, "no thread for CPU %d", cpu);
	} else {
		wake_up_process(w->task);
	}
}

/* All contexts at once, against ticks that drain and return what they use. */
static void irq_all_contexts(struct kunit *test)
{
	struct irq_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	unsigned long done[NR_CONTEXTS] = { 0 }, end, ticks = 0;
	struct cc_options opts;
	int cpu;

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->worker = kunit_kcalloc(test, nr_cpu_ids, sizeof(*t->worker), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->worker);
	t->dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	for (unsigned int i = 0; i < NR_BOXES; i++)
		t->box[i] = new_box(test);
	for_each_online_cpu(cpu)
		init_worker(test, t, cpu, 1);
	cc_test_options(&opts);
	/* So that none fails: more than all of them together can hold, see core-api. */
	opts.reserve = SZ_64M;
	cc_test_start_with(test, &opts, true);

	for_each_online_cpu(cpu)
		start_worker(test, &t->worker[cpu], cpu);
	end = jiffies + msecs_to_jiffies(MSEC);
	while (time_before(jiffies, end)) {
		/* Ticks at this rate drain magazines that are in use, too. */
		cc_test_tick();
		if (++ticks % 4 == 0)
			cc_test_drain_all();
		schedule_timeout_uninterruptible(1);
	}
	WRITE_ONCE(t->stop, true);
	for_each_possible_cpu(cpu) {
		struct worker *w = &t->worker[cpu];

		if (!w->task)
			continue;
		kthread_stop(w->task);
		hrtimer_cancel(&w->timer);
		tasklet_kill(&w->tasklet);
		for (int c = 0; c < NR_CONTEXTS; c++)
			done[c] += w->done[c];
	}
	for (unsigned int i = 0; i < NR_BOXES; i++)
		finish(t, t->box[i]);
	kunit_info(test, "%lu maps in tasks, %lu in softirqs, %lu in hardirqs, %lu ticks",
		   done[TASK], done[SOFTIRQ], done[HARDIRQ], ticks);
	for (int c = 0; c < NR_CONTEXTS; c++)
		KUNIT_EXPECT_GT(test, done[c], 0);
	KUNIT_EXPECT_EQ(test, cc_test_sum(CC_LEGACY) + cc_test_sum(CC_FAILED), 0);
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&t->wrong));
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), 0);
	KUNIT_EXPECT_EQ(test, cc_test_sum(CC_MAPS), done[TASK] + done[SOFTIRQ] + done[HARDIRQ]);
	cc_test_check(test);
}

static struct kunit_case irq_cases[] = {
	KUNIT_CASE_SLOW(irq_all_contexts),
	{}
};

static struct kunit_suite irq_suite = {
	.name = "cc_swiotlb_irq",
	.exit = cc_test_exit,
	.test_cases = irq_cases,
};

kunit_test_suite(irq_suite);

MODULE_DESCRIPTION("Test of cc-swiotlb in all contexts at once");
MODULE_LICENSE("GPL");
