// SPDX-License-Identifier: GPL-2.0-only
/*
 * kccd: the thread that converts memory, since that may sleep and mappings are
 * made in any context.
 *
 * It is a control loop: the thread calls one pass with the time of day and sleeps as
 * long as that says, or until a pass would find something new to do. A pass does
 * what is due:
 *
 *  - Up: the reserve is filled, and all that is promised shared. See grow.c.
 *
 *  - Down. Once a second, until nothing has happened for two, the tick moves memory
 *    the other way: idle magazines to the depot, what the depot has not needed to
 *    the gen_pools, empty chunks beyond the decaying need of their class to the
 *    reserve, and whole blocks beyond the target back to the page allocator.
 *
 * Why it does not spin: growth that fails is suspended. What a pass was asked for and
 * could not get, it does not hear of for 20 ms, and for 20 ms more what was so just before;
 * what else is missing it does. What kccd takes from the reserve itself asks nobody.
 */
#define pr_fmt(fmt) "cc-swiotlb: " fmt

#include <kunit/static_stub.h>
#include <linux/freezer.h>
#include <linux/kthread.h>
#include <linux/rcupdate.h>
#include <linux/rcuwait.h>
#include <linux/reboot.h>
#include <linux/sched/mm.h>
#include <linux/shrinker.h>

#include "holders.h"
#include "kccd.h"

static struct task_struct *kccd;

static bool reclaim;			/* the shrinker asks; any context */

/* All below is under cc_swiotlb.mutex. */
static struct cc_wait vain_wait[CC_NR_ASKS];	/* what a pass was asked for in vain */
static struct cc_wait drain_wait;	/* all magazines have just been emptied */
static struct cc_wait holders_wait;	/* who holds what has just been logged */
static struct cc_wait shrink_wait;	/* memory could not be made private */
static unsigned long shrink_delay;	/* jiffies between tries; 0: it worked the last time */
static unsigned long next_tick;
static unsigned int quiet;		/* ticks in a row without news */
static unsigned long moves_seen;
static unsigned long taken_tick;	/* cc_swiotlb.taken at the last tick */
static unsigned long surplus;		/* bytes of the reserve to be returned */
static bool reclaimed;			/* of these, some for the shrinker */
static unsigned long leftover;		/* bytes that the last reclaim left */

/* The first quiet tick only sets the marks of the second one. */
#define CC_QUIET_TICKS	2

/* What a pass can be asked for: not what another one was just asked for in vain. */
static unsigned int hears(unsigned long now)
{
	unsigned int what = 0;

	for (unsigned int i = 0; i < CC_NR_ASKS; i++)
		if (!cc_waits(&vain_wait[i], now))
			what |= BIT(i);
	return what;
}

/**
 * cc_kccd_pending() - would a pass find something new to do?
 * @now: the time in jiffies
 *
 * Context: any.
 * Return: true if it would.
 */
bool cc_kccd_pending(unsigned long now)
{
	if (READ_ONCE(cc_swiotlb.stopping))
		return false;
	return (atomic_read(&cc_kicks.asked) & hears(now)) ||
	       (READ_ONCE(reclaim) && !cc_waits(&drain_wait, now)) ||
	       (READ_ONCE(cc_kicks.holders) && !cc_waits(&holders_wait, now)) ||
	       (READ_ONCE(cc_kicks.tick) && READ_ONCE(quiet) == CC_QUIET_TICKS);
}

static void start_ticks(unsigned long now)
{
	if (quiet == CC_QUIET_TICKS)
		next_tick = now + CC_TICK;
	WRITE_ONCE(quiet, 0);
}

/* Return what the depot of a node has not needed. True if it is something. */
static bool shrink_depot(struct cc_class *class, int nid, bool reclaiming)
{
	struct cc_depot *depot = &class->node[nid].depot;
	unsigned int idle = READ_ONCE(depot->low);

	if (reclaiming)
		idle = READ_ONCE(depot->slots);
	if (idle)
		cc_depot_drain(class, nid, idle);
	/* Not before: to the drain itself a large magazine looks like a need. */
	raw_spin_lock_irq(&depot->lock);
	depot->low = depot->slots;
	raw_spin_unlock_irq(&depot->lock);
	return idle;
}

/*
 * Of what was needed beyond what is out, a quarter less each second, so that a pause costs
 * no conversion; nothing of it while too much is shared.
 */
static unsigned long decayed_need(const struct cc_class *class)
{
	unsigned long out = class->nr_slots - min(class->nr_slots, cc_class_free(class));
	unsigned long more = class->need - min(class->need, out);

	if (cc_bytes_over_limit())
		return 0;
	return class->need - DIV_ROUND_UP(more, 4);
}

/* Return what a class has not needed. True if something has moved. */
static bool shrink_class(struct cc_class *class, bool reclaiming, struct list_head *retired)
{
	unsigned long peak = READ_ONCE(class->peak), keep;
	unsigned long joined = READ_ONCE(class->nr_joined) - class->seen_joined, young;
	bool moved = false;

	for (unsigned int nid = 0; nid < cc_nr_nodes; nid++)
		moved |= shrink_depot(class, nid, reclaiming);

	if (class->need > peak)
		moved = true;
	class->need = max(peak, reclaiming ? class->last_peak : decayed_need(class));
	class->last_peak = peak;
	WRITE_ONCE(class->peak, 0);
	cc_class_note_peak(class);

	/* Who has just been given a chunk may not have taken a slot of it yet. */
	young = class->seen_joined;
	class->seen_joined += joined;
	keep = class->need + class->mark;
	if (class->nr_slots > keep &&
	    cc_class_retire(class, class->nr_slots - keep, young, retired))
		moved = true;
	return moved || joined || cc_class_in_depots(class);
}

/* What mappings do not take half of goes down by an eighth. */
static unsigned long decayed(unsigned long target)
{
	unsigned long less = target - DIV_ROUND_UP(target, 8);

	return less < cc_swiotlb.reserve_min + BIT(CC_FRAME_SHIFT) ?
		cc_swiotlb.reserve_min : less;
}

/* What the reserve may keep: less than its target if too much is shared. */
static unsigned long reserve_keep(void)
{
	unsigned long reserve = READ_ONCE(cc_swiotlb.reserve_bytes);

	return min(cc_swiotlb.target, reserve - min(reserve, cc_bytes_over_limit()));
}

/* Find out what the reserve has too much. True if the target has changed. */
static bool shrink_reserve(bool reclaiming)
{
	unsigned long idle, target, flags;

	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	idle = min(cc_swiotlb.reserve_low, cc_swiotlb.reserve_bytes);
	if (reclaiming)
		idle = cc_swiotlb.reserve_bytes;
	cc_swiotlb.reserve_low = cc_swiotlb.reserve_bytes;
	target = cc_swiotlb.target;
	if (cc_swiotlb.taken - taken_tick <= target / 2 &&
	    target > cc_swiotlb.reserve_min)
		cc_swiotlb.target = decayed(target);
	/* What was taken of a larger target is no reason to raise this one. */
	if (reclaiming) {
		cc_swiotlb.target = cc_swiotlb.reserve_min;
		cc_growth.taken_full = cc_swiotlb.taken;
	}
	taken_tick = cc_swiotlb.taken;
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);

	surplus = idle - min(idle, reserve_keep());
	return cc_swiotlb.target != target;
}

/* Was memory refused, of which the host has taken back @done? Then not again too soon. */
static bool shrink_failed(unsigned long failures, unsigned long done, unsigned long now)
{
	if (cc_convert_stats.failed[false] == failures) {
		if (done)
			shrink_delay = 0;
		return false;
	}
	shrink_delay = clamp(2 * shrink_delay, CC_BACKOFF_MIN, CC_BACKOFF_MAX);
	cc_wait_for(&shrink_wait, now, shrink_delay);
	return true;
}

/* What may go without less being left than min= wants, unless the limit wants it. */
static unsigned long beyond_min(void)
{
	unsigned long shared = READ_ONCE(cc_swiotlb.shared);
	unsigned long over = min(cc_bytes_over_limit(), shared);

	return max(shared - min(shared, READ_ONCE(cc_swiotlb.min)), over);
}

/* Return what the reserve has too much, as much as a pass may. */
static void return_surplus(unsigned long now)
{
	unsigned long failures = cc_convert_stats.failed[false];
	unsigned long lost_before = cc_swiotlb.quarantined;
	/* After a failure, the rest stays where mappings find it. */
	unsigned long pass_bytes = shrink_delay ? BIT(CC_BLOCK_SHIFT) : CC_PASS_BYTES;
	unsigned long most = min3(surplus, pass_bytes, beyond_min());
	unsigned long done = cc_block_shrink(reserve_keep(), most);

	cc_kccd_stats.returned += done;
	/* A block more could have been returned: the rest is in blocks in use. */
	if (shrink_failed(failures, done, now) ||
	    (done && most - done < BIT(CC_BLOCK_SHIFT)))
		surplus -= min(surplus, done + cc_swiotlb.quarantined - lost_before);
	else
		surplus = 0;
	if (!done)
		return;
	start_ticks(now);
	if (cc_growth.no_room)
		cc_growth.unfinished = true;
}

/* Free bytes that CPUs do not hold and that nothing keeps. */
static unsigned long idle_bytes(void)
{
	unsigned long bytes = READ_ONCE(cc_swiotlb.reserve_bytes);

	for (unsigned int i = 0; i < CC_NR_OWNERS; i++) {
		struct cc_class *class = &cc_classes[i];
		unsigned long free = cc_class_free(class);

		bytes += (free - min(free, READ_ONCE(class->mark))) << class->shift;
	}
	bytes -= min(bytes, READ_ONCE(cc_swiotlb.reserve_min));
	return min(bytes, beyond_min());
}

/* What a reclaim cannot return, and what has become of that since. */
static void note_leftover(bool reclaimed)
{
	unsigned long bytes = idle_bytes();

	/* What is to be returned, if the host takes it back. */
	if (!shrink_delay)
		bytes -= min(bytes, surplus);
	WRITE_ONCE(leftover, reclaimed ? bytes : min(leftover, bytes));
}

/* What was asked for, and is not any more. */
static unsigned int take_asked(unsigned long now)
{
	unsigned int what = hears(now);

	return atomic_fetch_andnot(what, &cc_kicks.asked) & what;
}

/*
 * The pass has shared nothing for these. What is missing and is not, in turns, though
 * nothing is shared, is missing: what was asked for in vain just before is so again.
 */
static void note_vain(unsigned int asked, unsigned long now)
{
	unsigned int vain = cc_grow_vain(asked);

	for (unsigned int i = 0; i < CC_NR_ASKS; i++) {
		struct cc_wait *wait = &vain_wait[i];
		bool again = wait->span && now - wait->from < 2 * CC_BACKOFF_MIN;

		if ((vain & BIT(i)) || ((asked & BIT(i)) && again))
			cc_wait_for(wait, now, CC_BACKOFF_MIN);
	}
}

/* Share what is asked for. False if nothing is. */
static bool serve_asked(unsigned long now)
{
	unsigned long grown = cc_kccd_stats.grown;
	unsigned int asked = take_asked(now);

	if (!asked)
		return false;
	/* Who has asked has got slots, or has had some moved. */
	start_ticks(now);
	cc_grow(now);
	/* That a pass may share no more is no reason to wait. */
	if (cc_kccd_stats.grown == grown && !cc_growth.unfinished)
		note_vain(asked, now);
	return true;
}

/* Move memory that has not been needed for a while; when reclaiming, at once. */
static void move_down(unsigned long now, bool reclaiming)
{
	unsigned long moves;
	LIST_HEAD(retired);
	bool busy;

	cc_kccd_stats.ticks++;
	for (unsigned int nid = 0; nid < cc_nr_nodes; nid++)
		cc_swiotlb.node[nid].no_memory = false;
	WRITE_ONCE(cc_kicks.tick, false);
	/* Before a grace period. To share while memory is reclaimed would be no help. */
	if (!reclaiming)
		serve_asked(now);
	/* Before the last tick: who has not seen that has left its magazine as it is. */
	if (quiet == CC_QUIET_TICKS - 1)
		cc_grace_period();
	cc_coherent_look();
	cc_loan_look();
	busy = cc_magazine_drain_idle();
	for (unsigned int i = 0; i < CC_NR_OWNERS; i++)
		busy |= shrink_class(&cc_classes[i], reclaiming, &retired);
	/* One grace period for all of them: mappings may wait for what comes after it. */
	cc_reserve_add_retired(&retired);
	busy |= shrink_reserve(reclaiming);
	moves = cc_magazine_moves();
	busy |= moves != moves_seen;
	moves_seen = moves;

	WRITE_ONCE(quiet, busy ? 0 : quiet + 1);
	next_tick = now + CC_TICK;
}

/* Jiffies until something is due. */
static unsigned long until_due(unsigned long now)
{
	unsigned long sleep = cc_grow_sleep(now);

	/* What comes meanwhile does not wake the thread. */
	for (unsigned int i = 0; i < CC_NR_ASKS; i++)
		sleep = cc_sooner(sleep, &vain_wait[i], now);
	sleep = cc_sooner(sleep, &drain_wait, now);
	sleep = cc_sooner(sleep, &holders_wait, now);
	if (surplus)
		sleep = cc_sooner(sleep, &shrink_wait, now);
	if (quiet < CC_QUIET_TICKS)
		sleep = min(sleep, next_tick - now);
	return (surplus && !cc_waits(&shrink_wait, now)) || cc_growth.unfinished ||
	       cc_grow_due(now) ? 0 : sleep;
}

/* False while a CPU comes or goes. */
static bool empty_magazines(unsigned long now)
{
	cc_wait_for(&drain_wait, now, CC_RECLAIM_INTERVAL);
	if (!cc_magazine_drain_all())
		return false;
	cc_growth.starved = false;
	cc_kccd_stats.drains++;
	start_ticks(now);
	return true;
}

/*
 * Empty all magazines, if a class is starved or memory is to be reclaimed. That
 * interrupts the CPUs that hold something, so not again too soon. True if it is
 * memory that is to be reclaimed.
 */
static bool drain_all(unsigned long now)
{
	bool reclaiming = READ_ONCE(reclaim);

	if (cc_waits(&drain_wait, now) || !(cc_growth.starved || reclaiming))
		return false;
	/* What is asked for from here on is for another pass. */
	if (reclaiming)
		WRITE_ONCE(reclaim, false);
	if (empty_magazines(now))
		return reclaiming;
	if (reclaiming)
		WRITE_ONCE(reclaim, true);
	return false;
}

static unsigned long pass(unsigned long now)
{
	unsigned long grown = cc_kccd_stats.grown;
	bool reclaiming = drain_all(now), tick, done;

	cc_grow_begin();
	if (READ_ONCE(cc_kicks.tick))
		start_ticks(now);
	tick = reclaiming || (quiet < CC_QUIET_TICKS &&
			      time_after_eq(now, next_tick));
	if (tick)
		move_down(now, reclaiming);
	/* What the tick has moved may be what was missing. */
	if (!serve_asked(now) && (tick || cc_growth.unfinished || cc_grow_due(now)))
		cc_grow(now);
	/* At once, and not with the next tick; a reclaim is for the next pass. */
	if (cc_growth.starved && !cc_waits(&drain_wait, now))
		empty_magazines(now);
	cc_grow_note_full();
	/* What is beyond the target, since it came in larger pieces, goes back. */
	if (cc_kccd_stats.grown != grown)
		start_ticks(now);
	reclaimed |= reclaiming;
	if (surplus && !cc_waits(&shrink_wait, now))
		return_surplus(now);
	/* All that was reclaimed has gone, in this pass or in several. */
	done = reclaimed && !surplus;
	if (done)
		reclaimed = false;
	if (tick || done)
		note_leftover(reclaiming || done);
	/* Last, since it takes long, and memory is short. */
	if (READ_ONCE(cc_kicks.holders) && !cc_waits(&holders_wait, now)) {
		WRITE_ONCE(cc_kicks.holders, false);
		cc_holders_report();
		cc_wait_for(&holders_wait, now, CC_HOLDERS_INTERVAL);
	}
	return until_due(now);
}

/**
 * cc_kccd_pass() - one pass of the loop
 * @now: the time in jiffies
 *
 * Reclaim that this causes must not wait for I/O, which may wait for this.
 *
 * Context: task. Takes cc_swiotlb.mutex.
 * Return: jiffies until something is due, as far as is known;
 * MAX_SCHEDULE_TIMEOUT if nothing is.
 */
unsigned long cc_kccd_pass(unsigned long now)
{
	unsigned long sleep = MAX_SCHEDULE_TIMEOUT;
	unsigned int noio = memalloc_noio_save();

	mutex_lock(&cc_swiotlb.mutex);
	cc_kccd_stats.passes++;
	if (!READ_ONCE(cc_swiotlb.stopping))
		sleep = pass(now);
	if (sleep == MAX_SCHEDULE_TIMEOUT)
		cc_block_free_aside();
	mutex_unlock(&cc_swiotlb.mutex);
	memalloc_noio_restore(noio);
	return sleep;
}

/* The target is what has been learned, within what can be. */
static void bound_target(void)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	cc_swiotlb.target = clamp(cc_swiotlb.target, cc_swiotlb.reserve_min, cc_grow_most());
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
}

/* Does a limit leave room for all that is kept? */
static bool holds_all(unsigned long max, unsigned long min, u64 reserve_and_marks)
{
	return max >= (cc_promised_shift > CC_CHUNK_SHIFT ? CC_LARGE_MAX : CC_MAX_LEAST) &&
	       max >= min && max >= reserve_and_marks;
}

/**
 * cc_kccd_set() - change a limit at run time
 * @field: one of cc_swiotlb.max, cc_swiotlb.min and cc_swiotlb.reserve_min
 * @val: bytes, rounded down to what is shared at once at least
 *
 * kccd does what follows from it.
 *
 * Context: task. Takes cc_swiotlb.mutex.
 * Return: 0, or -EINVAL if cc_swiotlb.max would be less than CC_MAX_LEAST, or
 * CC_LARGE_MAX if drivers were told of slots of more than 512 KiB, than
 * cc_swiotlb.min, or than cc_swiotlb.reserve_min and all marks together.
 */
int cc_kccd_set(unsigned long *field, unsigned long val)
{
	unsigned long flags;

	val = round_down(val, BIT(CC_FRAME_SHIFT));
	mutex_lock(&cc_swiotlb.mutex);
	if (!holds_all(field == &cc_swiotlb.max ? val : cc_swiotlb.max,
		       field == &cc_swiotlb.min ? val : cc_swiotlb.min,
		       cc_marks_bytes(NULL) +
		       (field == &cc_swiotlb.reserve_min ? val : cc_swiotlb.reserve_min))) {
		mutex_unlock(&cc_swiotlb.mutex);
		return -EINVAL;
	}
	if (field == &cc_swiotlb.max && val < cc_swiotlb.max)
		WRITE_ONCE(reclaim, true);
	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	WRITE_ONCE(*field, val);
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
	bound_target();
	mutex_unlock(&cc_swiotlb.mutex);
	cc_kccd_ask(CC_ASK_ALL);
	return 0;
}

/**
 * cc_kccd_set_mark() - change how many slots of a class are kept free
 * @class: class
 * @slots: number of slots
 *
 * Context: task. Takes cc_swiotlb.mutex.
 * Return: 0, or -EINVAL if cc_swiotlb.max does not allow that beside the other marks and
 * cc_swiotlb.reserve_min, or if it is nothing in a class of which drivers are told that
 * its mappings will work.
 */
int cc_kccd_set_mark(struct cc_class *class, unsigned long slots)
{
	mutex_lock(&cc_swiotlb.mutex);
	if (slots > cc_swiotlb.max >> class->shift ||
	    cc_marks_bytes(class) + cc_mark_bytes(class->shift, slots) + cc_swiotlb.reserve_min >
	    cc_swiotlb.max ||
	    (!slots && (class->shift == CC_CHUNK_SHIFT ||
			class->shift == cc_promised_shift))) {
		mutex_unlock(&cc_swiotlb.mutex);
		return -EINVAL;
	}
	WRITE_ONCE(class->mark, slots);
	bound_target();
	mutex_unlock(&cc_swiotlb.mutex);
	cc_kccd_ask(cc_ask_chunk(class->wanted));
	return 0;
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
	set_user_nice(current, MIN_NICE);
	set_freezable();
	while (!kthread_freezable_should_stop(NULL)) {
		unsigned long sleep = cc_kccd_pass(jiffies);

		rcuwait_wait_event_timeout(&cc_kicks.wait, kthread_should_stop() ||
					   cc_kccd_pending(jiffies),
					   TASK_INTERRUPTIBLE | TASK_FREEZABLE, sleep);
	}
	return 0;
}

/**
 * cc_kccd_freeable() - what the shrinker could have back
 *
 * Without what CPUs hold, since to count it is slow; that goes to the depot when they
 * rest. Without what the last reclaim could not free, because a mapping holds a
 * part of its block.
 *
 * Context: any.
 * Return: bytes.
 */
unsigned long cc_kccd_freeable(void)
{
	unsigned long bytes = idle_bytes();

	return bytes - min(bytes, READ_ONCE(leftover));
}

/**
 * cc_kccd_reclaim() - have kccd return what was not in use in the last second or two
 *
 * Context: any.
 */
void cc_kccd_reclaim(void)
{
	if (!xchg(&reclaim, true))
		irq_work_queue(&cc_kicks.work);
}

/* What kccd itself allocates must not make it return what it has. */
static unsigned long shrinker_count(struct shrinker *shrinker,
				    struct shrink_control *sc)
{
	if (current == kccd)
		return SHRINK_EMPTY;
	return cc_kccd_freeable() >> PAGE_SHIFT ?: SHRINK_EMPTY;
}

/*
 * Converts nothing, since reclaim must not wait: kccd does it soon. The objects
 * count as scanned, or they would be deferred and asked for again, and as not freed.
 */
static unsigned long shrinker_scan(struct shrinker *shrinker,
				   struct shrink_control *sc)
{
	cc_kccd_reclaim();
	sc->nr_scanned = sc->nr_to_scan;
	return 0;
}

static struct shrinker *shrinker;

/* Once a kexec has stopped conversions they fail for ever: stop before. */
static int kccd_reboot(struct notifier_block *nb, unsigned long action,
		       void *data)
{
	/* A pass that is under way ends with the block or two that it is at. */
	WRITE_ONCE(cc_swiotlb.stopping, true);
	mutex_lock(&cc_swiotlb.mutex);
	mutex_unlock(&cc_swiotlb.mutex);
	return NOTIFY_DONE;
}

static struct notifier_block reboot_nb = { .notifier_call = kccd_reboot };

/**
 * cc_kccd_run() - start the thread
 *
 * Tests that make its passes themselves do without.
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
 * cc_kccd_start() - start thread, shrinker and notifier, and share the first blocks
 *
 * Context: task.
 * Return: 0 or an error.
 */
int cc_kccd_start(void)
{
	memset(&cc_kccd_stats, 0, sizeof(cc_kccd_stats));
	memset(&cc_convert_stats, 0, sizeof(cc_convert_stats));
	cc_grow_reset();
	memset(vain_wait, 0, sizeof(vain_wait));
	drain_wait.span = 0;
	holders_wait.span = 0;
	shrink_wait.span = 0;
	shrink_delay = 0;
	reclaim = false;
	cc_kicks.tick = false;
	cc_kicks.holders = false;
	quiet = CC_QUIET_TICKS;
	taken_tick = 0;
	surplus = 0;
	reclaimed = false;
	leftover = 0;
	atomic_set(&cc_kicks.asked, CC_ASK_ALL);

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

	while (!cc_kccd_pass(jiffies))
		cond_resched();
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
	irq_work_sync(&cc_kicks.work);
}
