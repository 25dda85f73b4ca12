// SPDX-License-Identifier: GPL-2.0-only
/*
 * kccd: the thread that converts memory, since that may sleep and mappings are
 * made in any context.
 *
 * There is one watermark for all classes: bytes of class-less, already
 * converted memory in the reserve. Any context takes from it; that kicks kccd,
 * which fills it up to the target. The target doubles each time the reserve
 * has been found less than half full, and decays when it has not been used.
 *
 * Once a second while there is something to do, the tick moves memory the other
 * way: idle magazines to the depot, what the depot has not needed to the
 * gen_pools, empty chunks beyond the decaying need of their class to the
 * reserve, and whole blocks beyond the target back to the page allocator.
 *
 * The thread is a loop around cc_kccd_step() and cc_kccd_tick(), which do all
 * the work synchronously.
 */
#define pr_fmt(fmt) "cc-swiotlb: " fmt

#include <kunit/static_stub.h>
#include <linux/freezer.h>
#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/ratelimit.h>
#include <linux/reboot.h>
#include <linux/sched/mm.h>
#include <linux/shrinker.h>
#include <linux/wait.h>

#include "internal.h"

#define CC_TICK			HZ
#define CC_BACKOFF_MIN		max(HZ / 50, 1)
#define CC_BACKOFF_MAX		(10 * HZ)

struct cc_kccd_stats cc_kccd_stats;

static struct task_struct *kccd;
static DECLARE_WAIT_QUEUE_HEAD(kccd_wait);
static bool kicked;
static bool reclaim;
static unsigned long backoff;		/* jiffies; 0: the last growth worked */
static unsigned long backoff_until;
static unsigned long maps_seen;

static void kick_wake(struct irq_work *work)
{
	wake_up(&kccd_wait);
}

static DEFINE_IRQ_WORK(kick_work, kick_wake);

/**
 * cc_kccd_kick() - tell kccd that memory was taken from the reserve
 * @starved: a class is marked as starved
 *
 * Context: any. The irq_work makes it safe under any lock, and on PREEMPT_RT.
 */
void cc_kccd_kick(bool starved)
{
	if (!starved && READ_ONCE(cc_swiotlb.reserve_bytes) >= READ_ONCE(cc_swiotlb.target))
		return;
	WRITE_ONCE(kicked, true);
	irq_work_queue(&kick_work);
}

/**
 * cc_kccd_backoff() - how long growth is suspended after a failure
 *
 * Context: any.
 * Return: jiffies from now on; 0 if it is not.
 */
unsigned long cc_kccd_backoff(void)
{
	unsigned long until = READ_ONCE(backoff_until);

	return READ_ONCE(backoff) && time_before(jiffies, until) ?
		until - jiffies : 0;
}

/* Double the target if less than half of it was left: kccd was late. */
static void raise_target(void)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	if (cc_swiotlb.reserve_low < cc_swiotlb.target / 2)
		cc_swiotlb.target = max(cc_swiotlb.target, min(2 * cc_swiotlb.target, cc_swiotlb.max / 4));
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
}

static int grow(unsigned int min_shift)
{
	/* kccd tries again and again; the counter says how often. */
	static DEFINE_RATELIMIT_STATE(limit, 60 * HZ, 1);
	unsigned long before = cc_swiotlb.shared;
	int err = before < cc_swiotlb.max ? cc_block_grow(cc_swiotlb.max - before, min_shift) :
				-ENOSPC;

	if (!err) {
		cc_kccd_stats.grown += cc_swiotlb.shared - before;
		WRITE_ONCE(backoff, 0);
		return 0;
	}
	cc_kccd_stats.grow_failed++;
	if (__ratelimit(&limit))
		pr_warn("cannot share another %lu KiB at least (%d): %lu of at most %lu KiB shared, reserve %lu KiB\n",
			BIT(min_shift) >> 10, err, cc_swiotlb.shared >> 10,
			cc_swiotlb.max >> 10, cc_swiotlb.reserve_bytes >> 10);
	if (min_shift > CC_FRAME_SHIFT)
		return err;
	WRITE_ONCE(backoff_until, jiffies +
		   clamp(2 * backoff, CC_BACKOFF_MIN, CC_BACKOFF_MAX));
	WRITE_ONCE(backoff, backoff_until - jiffies);
	return err;
}

/*
 * Keep the free slots of a class at its mark. Not to get a large chunk is no
 * error: memory may be fragmented, and more of it would not help.
 */
static int keep_mark(struct cc_class *class)
{
	unsigned int min_shift = max(class->shift, CC_FRAME_SHIFT);

	while (cc_class_free(class) < class->mark) {
		unsigned long in_depot = READ_ONCE(class->depot.slots);
		int err;

		if (cc_reserve_give(class, class->mark - in_depot))
			continue;
		err = grow(min_shift);
		if (err)
			return min_shift > CC_FRAME_SHIFT ? 0 : err;
	}
	return 0;
}

/*
 * The reserve may be full of chunks that are too small for a class. Try once
 * for a larger one; the next mapping that fails asks again.
 */
static void feed_starved(void)
{
	for (unsigned int i = CC_NR_CLASSES; i--; ) {
		struct cc_class *class = &cc_classes[i];

		if (!READ_ONCE(class->starved))
			continue;
		WRITE_ONCE(class->starved, false);
		if (!cc_reserve_give(class, 1) &&
		    !grow(max(class->shift, CC_FRAME_SHIFT)))
			cc_reserve_give(class, 1);
	}
}

static bool wants_memory(void)
{
	return READ_ONCE(cc_swiotlb.reserve_bytes) < cc_swiotlb.target ||
	       cc_swiotlb.shared < cc_swiotlb.min;
}

/**
 * cc_kccd_step() - convert memory until the reserve is at its target
 *
 * Reclaim that this causes must not wait for I/O, which may wait for this.
 *
 * Context: task. Takes cc_swiotlb.mutex.
 * Return: 0, or the error that ended it: -ENOSPC at the limit, -ENOMEM, or what
 * the conversion says. Then growth is suspended for a time that doubles with
 * each failure.
 */
int cc_kccd_step(void)
{
	unsigned int noio = memalloc_noio_save();
	int err = 0;

	mutex_lock(&cc_swiotlb.mutex);
	cc_kccd_stats.steps++;
	WRITE_ONCE(kicked, false);
	raise_target();
	if (!cc_swiotlb.stopping)
		feed_starved();
	for (unsigned int i = CC_NR_CLASSES; i-- && !err && !cc_swiotlb.stopping; )
		err = keep_mark(&cc_classes[i]);
	while (!err && !cc_swiotlb.stopping && wants_memory()) {
		err = grow(CC_FRAME_SHIFT);
		cond_resched();
	}
	raw_spin_lock_irq(&cc_swiotlb.lock);
	cc_swiotlb.reserve_low = cc_swiotlb.reserve_bytes;
	raw_spin_unlock_irq(&cc_swiotlb.lock);
	mutex_unlock(&cc_swiotlb.mutex);

	memalloc_noio_restore(noio);
	return err;
}

/* Return what a class has not needed. True if something has moved. */
static bool shrink_class(struct cc_class *class)
{
	unsigned long peak = READ_ONCE(class->peak), keep, idle;
	bool moved = false;

	idle = READ_ONCE(class->depot.low);
	if (idle) {
		cc_depot_drain(class, idle);
		moved = true;
	}
	/* Not before: to the drain itself a large magazine looks like a need. */
	raw_spin_lock_irq(&class->depot.lock);
	class->depot.low = class->depot.slots;
	raw_spin_unlock_irq(&class->depot.lock);

	/* A quarter less each second, so that a pause costs no conversion. */
	if (class->need > peak)
		moved = true;
	class->need = max(peak, class->need - DIV_ROUND_UP(class->need, 4));
	WRITE_ONCE(class->peak, 0);
	cc_class_note_peak(class);

	keep = max(class->need, class->mark);
	if (class->nr_slots > keep &&
	    cc_class_retire(class, class->nr_slots - keep))
		moved = true;
	return moved;
}

static bool shrink_reserve(void)
{
	unsigned long idle, target, done, flags;

	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	idle = min(cc_swiotlb.reserve_low, cc_swiotlb.reserve_bytes);
	cc_swiotlb.reserve_low = cc_swiotlb.reserve_bytes;
	target = cc_swiotlb.target;
	/* The part of the target that nobody has used goes down by an eighth. */
	if (idle >= target / 2)
		cc_swiotlb.target = max(cc_swiotlb.reserve_min,
				target - DIV_ROUND_UP(target, 8));
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);

	if (idle <= cc_swiotlb.target || cc_swiotlb.shared <= cc_swiotlb.min)
		return cc_swiotlb.target != target;
	done = cc_block_shrink(cc_swiotlb.target, min(idle - cc_swiotlb.target,
					      cc_swiotlb.shared - cc_swiotlb.min));
	cc_kccd_stats.retired += done;
	return done || cc_swiotlb.target != target;
}

/**
 * cc_kccd_tick() - return memory that has not been needed for a while
 *
 * Context: task, about once a second. Takes cc_swiotlb.mutex.
 * Return: true if there may be more to do in the next tick.
 */
bool cc_kccd_tick(void)
{
	unsigned int noio = memalloc_noio_save();
	unsigned long maps = 0;
	bool busy = false;

	mutex_lock(&cc_swiotlb.mutex);
	cc_kccd_stats.ticks++;
	if (!cc_swiotlb.stopping) {
		cc_magazine_drain_idle();
		for (unsigned int i = 0; i < CC_NR_CLASSES; i++) {
			busy |= shrink_class(&cc_classes[i]);
			maps += cc_count(i, CC_MAPS) + cc_count(i, CC_UNMAPS);
		}
		busy |= shrink_reserve();
		busy |= maps != maps_seen;
		maps_seen = maps;
	}
	mutex_unlock(&cc_swiotlb.mutex);

	memalloc_noio_restore(noio);
	return busy;
}

/**
 * cc_kccd_set() - change a limit or a mark at run time
 * @field: one of cc_swiotlb.max, cc_swiotlb.min and cc_swiotlb.reserve_min
 * @val: bytes
 *
 * What has to grow has grown when this returns; what may shrink shrinks in the
 * ticks that follow.
 *
 * Context: task. Takes cc_swiotlb.mutex.
 * Return: 0, or -EINVAL if cc_swiotlb.max would be less than one of the others.
 */
int cc_kccd_set(unsigned long *field, unsigned long val)
{
	unsigned long flags;

	mutex_lock(&cc_swiotlb.mutex);
	if (field == &cc_swiotlb.max ? val < max(cc_swiotlb.min, cc_swiotlb.reserve_min) :
			       val > cc_swiotlb.max) {
		mutex_unlock(&cc_swiotlb.mutex);
		return -EINVAL;
	}
	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	WRITE_ONCE(*field, val);
	cc_swiotlb.target = max(cc_swiotlb.target, cc_swiotlb.reserve_min);
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
	mutex_unlock(&cc_swiotlb.mutex);
	cc_kccd_step();
	WRITE_ONCE(reclaim, true);
	wake_up(&kccd_wait);
	return 0;
}

/**
 * cc_kccd_set_mark() - change how many slots of a class are kept free
 * @class: class
 * @slots: number of slots
 *
 * Context: task. Takes cc_swiotlb.mutex.
 * Return: 0, or -EINVAL if that is more than cc_swiotlb.max allows.
 */
int cc_kccd_set_mark(struct cc_class *class, unsigned long slots)
{
	mutex_lock(&cc_swiotlb.mutex);
	if (slots > cc_swiotlb.max >> class->shift) {
		mutex_unlock(&cc_swiotlb.mutex);
		return -EINVAL;
	}
	WRITE_ONCE(class->mark, slots);
	mutex_unlock(&cc_swiotlb.mutex);
	cc_kccd_step();
	return 0;
}

static bool kccd_should_run(void)
{
	return kthread_should_stop() || READ_ONCE(reclaim) ||
	       (READ_ONCE(kicked) && !cc_kccd_backoff());
}

/*
 * Mappings fail when this thread is late, so it goes before other threads of
 * normal priority; it works in short pieces and sleeps most of the time. It is
 * not a real-time thread: one conversion can take milliseconds. It has no
 * affinity: the CPU that kicks it is busy with I/O, and the scheduler finds
 * one that is not.
 */
static int kccd_main(void *unused)
{
	unsigned long next_tick = jiffies + CC_TICK;
	/* Two quiet ticks: the first one only sets the marks of the second. */
	int quiet = 0;

	set_user_nice(current, MIN_NICE);
	set_freezable();
	while (!kthread_should_stop()) {
		long timeout = MAX_SCHEDULE_TIMEOUT;

		if (quiet < 2)
			timeout = max_t(long, next_tick - jiffies, 0);
		if (READ_ONCE(kicked) && cc_kccd_backoff())
			timeout = min_t(long, timeout, cc_kccd_backoff());
		wait_event_freezable_timeout(kccd_wait, kccd_should_run(),
					     timeout);
		cc_kccd_stats.wakeups++;

		if (READ_ONCE(kicked) && !cc_kccd_backoff()) {
			if (quiet == 2)
				next_tick = jiffies + CC_TICK;
			quiet = 0;
			/* After a failure, try again when the backoff ends. */
			if (cc_kccd_step())
				WRITE_ONCE(kicked, true);
		}
		if (READ_ONCE(reclaim)) {
			WRITE_ONCE(reclaim, false);
			/* A slot in a magazine keeps its whole block. */
			cc_magazine_drain_all();
			next_tick = jiffies;
			quiet = 0;
		}
		if (quiet < 2 && time_after_eq(jiffies, next_tick)) {
			quiet = cc_kccd_tick() ? 0 : quiet + 1;
			next_tick = jiffies + CC_TICK;
		}
	}
	return 0;
}

static unsigned long shrinker_count(struct shrinker *shrinker,
				    struct shrink_control *sc)
{
	unsigned long bytes = READ_ONCE(cc_swiotlb.shared);
	unsigned long kept = cc_used_bytes() + READ_ONCE(cc_swiotlb.reserve_min);

	return bytes > kept ? (bytes - kept) >> PAGE_SHIFT : SHRINK_EMPTY;
}

/* Converts nothing, since reclaim must not wait: says what kccd shall do. */
static unsigned long shrinker_scan(struct shrinker *shrinker,
				   struct shrink_control *sc)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	cc_swiotlb.target = cc_swiotlb.reserve_min;
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		WRITE_ONCE(cc_classes[i].need, 0);
	WRITE_ONCE(reclaim, true);
	irq_work_queue(&kick_work);
	return SHRINK_STOP;
}

static struct shrinker *shrinker;

/* Once a kexec has stopped conversions they fail for ever: stop before. */
static int kccd_reboot(struct notifier_block *nb, unsigned long action,
		       void *data)
{
	mutex_lock(&cc_swiotlb.mutex);
	cc_swiotlb.stopping = true;
	mutex_unlock(&cc_swiotlb.mutex);
	return NOTIFY_DONE;
}

static struct notifier_block reboot_nb = { .notifier_call = kccd_reboot };

/**
 * cc_kccd_run() - start the thread
 *
 * Tests that take its steps themselves do without.
 *
 * Context: task.
 * Return: the thread, or an error pointer.
 */
struct task_struct *cc_kccd_run(void)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_kccd_run);
	return kthread_run(kccd_main, NULL, "kccd");
}

/**
 * cc_kccd_start() - start the thread, the shrinker, and the reboot notifier
 *
 * Context: task.
 * Return: 0 or an error.
 */
int cc_kccd_start(void)
{
	backoff = 0;
	kicked = false;
	memset(&cc_kccd_stats, 0, sizeof(cc_kccd_stats));

	kccd = cc_kccd_run();
	if (IS_ERR(kccd))
		return PTR_ERR(kccd);
	shrinker = shrinker_alloc(0, "cc-swiotlb");
	if (shrinker) {
		shrinker->count_objects = shrinker_count;
		shrinker->scan_objects = shrinker_scan;
		shrinker_register(shrinker);
	}
	register_reboot_notifier(&reboot_nb);
	return 0;
}

/**
 * cc_kccd_stop() - undo cc_kccd_start()
 *
 * Context: task.
 */
void cc_kccd_stop(void)
{
	unregister_reboot_notifier(&reboot_nb);
	shrinker_free(shrinker);
	if (kccd)
		kthread_stop(kccd);
	irq_work_sync(&kick_work);
}
