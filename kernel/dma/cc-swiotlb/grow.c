// SPDX-License-Identifier: GPL-2.0-only
/*
 * Growth: the part of kccd's pass that converts memory to be shared.
 *
 * There is one watermark for all classes: bytes of class-less, already converted memory
 * in the reserve. Any context takes from it; that kicks kccd, which fills it up to the
 * target. The target doubles when mappings have taken more than half of it before it was
 * full again, and decays when they do not (see kccd.c).
 *
 * Growth that fails is suspended, for each size of chunk and for the parts of nodes, for
 * 20 ms and twice as long after each further failure, up to 10 s. What it takes from the
 * reserve itself kicks nobody.
 */
#define pr_fmt(fmt) "cc-swiotlb: " fmt

#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/ratelimit.h>

#include "kccd.h"

struct cc_kccd_stats cc_kccd_stats;
struct cc_growth cc_growth;

/**
 * struct backoff - growth by chunks of one size, at least, or for nodes, after a failure
 * @wait:	until then it is suspended
 * @delay:	jiffies; 0: it worked the last time
 * @wanted:	somebody still waits for it
 */
struct backoff {
	struct cc_wait wait;
	unsigned long delay;
	bool wanted;
};

/* Under cc_swiotlb.mutex. The last one is of a node's part: as the bits of what is asked. */
static struct backoff backoff[CC_NR_ASKS];
static struct backoff *const node_backoff = &backoff[CC_NR_GROW_SIZES];
static unsigned long pass_grown;	/* bytes grown before this pass */

/**
 * cc_grow_backoff() - how long growth is suspended after a failure
 * @now: the time in jiffies
 *
 * Context: any.
 * Return: jiffies, for the size of chunks that waits longest, or the nodes; 0 if none does.
 */
unsigned long cc_grow_backoff(unsigned long now)
{
	unsigned long longest = 0;

	for (unsigned int i = 0; i < CC_NR_ASKS; i++)
		longest = max(longest, cc_wait_left(&backoff[i].wait, now));
	return longest;
}

/**
 * cc_marks_bytes() - bytes that all marks take
 * @but: but for this class's; may be NULL
 *
 * Context: task, under cc_swiotlb.mutex.
 * Return: bytes.
 */
u64 cc_marks_bytes(const struct cc_class *but)
{
	u64 bytes = 0;

	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		if (&cc_classes[i] != but)
			bytes += cc_mark_bytes(cc_classes[i].shift, cc_classes[i].mark);
	return bytes;
}

/**
 * cc_grow_most() - what the target of the reserve may be at most
 *
 * Context: task, under cc_swiotlb.mutex.
 * Return: bytes; a quarter of the limit, or what marks leave of it, but what is kept when
 * idle at least.
 */
unsigned long cc_grow_most(void)
{
	unsigned long max = cc_swiotlb.max;

	return max(cc_swiotlb.reserve_min,
		   min(max / 4, max - min_t(u64, max, cc_marks_bytes(NULL))));
}

/**
 * cc_grow_note_full() - what has been taken until now is there again, if it is
 *
 * Context: task, under cc_swiotlb.mutex.
 */
void cc_grow_note_full(void)
{
	if (READ_ONCE(cc_swiotlb.reserve_bytes) >= cc_swiotlb.target)
		cc_growth.taken_full = READ_ONCE(cc_swiotlb.taken);
}

/* Double the target if mappings have taken more than half of it: kccd is late. */
static bool raise_target(void)
{
	unsigned long target, flags;

	raw_spin_lock_irqsave(&cc_swiotlb.lock, flags);
	target = cc_swiotlb.target;
	if (cc_swiotlb.taken - cc_growth.taken_full > target / 2) {
		unsigned long more = max(2 * target, BIT(CC_CHUNK_SHIFT));

		cc_swiotlb.target = max(target, min(more, cc_grow_most()));
		cc_growth.taken_full = cc_swiotlb.taken;
	}
	raw_spin_unlock_irqrestore(&cc_swiotlb.lock, flags);
	return cc_swiotlb.target > target;
}

static void report_failure(unsigned int min_shift, int err)
{
	/* kccd tries again and again; the counter says how often. */
	static DEFINE_RATELIMIT_STATE(limit, 60 * HZ, 1);

	cc_kccd_stats.grow_failed++;
	if (__ratelimit(&limit))
		pr_warn("cannot share another %lu KiB at least (%d): %lu of at most %lu KiB shared, reserve %lu KiB\n",
			BIT(min_shift) >> 10, err, cc_swiotlb.shared >> 10,
			cc_swiotlb.max >> 10, cc_swiotlb.reserve_bytes >> 10);
}

/*
 * The NUMA node whose part of the reserve lacks most, of those that have memory; or
 * NUMA_NO_NODE.
 */
static int neediest_node(void)
{
	unsigned long least = cc_reserve_share();
	int found = NUMA_NO_NODE;

	for (unsigned int nid = 0; nid < cc_nr_nodes; nid++) {
		const struct cc_node *node = &cc_swiotlb.node[nid];
		unsigned long bytes = READ_ONCE(node->bytes);

		if (READ_ONCE(node->used) && !node->refused && bytes < least) {
			least = bytes;
			found = nid;
		}
	}
	return found;
}

/* A block of the node that needs it most, if there is one with memory; or an error. */
static int grow_node(unsigned long limit, unsigned int min_shift)
{
	int nid = cc_nr_nodes > 1 ? neediest_node() : NUMA_NO_NODE, err;

	if (nid == NUMA_NO_NODE)
		return -ENOMEM;
	err = cc_block_grow(limit, min_shift, nid);
	if (err)
		cc_swiotlb.node[nid].refused = true;
	return err;
}

/* Growth has failed: not again too soon. */
static void back_off(struct backoff *b, unsigned long now)
{
	b->delay = clamp(2 * b->delay, CC_BACKOFF_MIN, CC_BACKOFF_MAX);
	cc_wait_for(&b->wait, now, b->delay);
}

/* Bytes that may still be shared. */
static unsigned long room(void)
{
	unsigned long sum = cc_swiotlb.shared + cc_swiotlb.quarantined;

	return cc_swiotlb.max - min(sum, cc_swiotlb.max);
}

/* So much could be had: what serves a size serves those that are smaller. */
static void forget_failures(unsigned long bytes)
{
	for (unsigned int size = 0; size < CC_NR_GROW_SIZES &&
	     BIT(CC_FRAME_SHIFT + size) <= bytes; size++) {
		backoff[size].delay = 0;
		WRITE_ONCE(backoff[size].wait.span, 0);
	}
}

/*
 * More memory in chunks of 1 << (CC_FRAME_SHIFT + @size) bytes at least. -EINTR: the pass
 * has to end first.
 */
static int grow(unsigned int size, unsigned long now)
{
	unsigned long before = cc_swiotlb.shared;
	unsigned int min_shift = CC_FRAME_SHIFT + size;
	struct backoff *b = &backoff[size];
	int err;

	if (cc_kccd_stats.grown - pass_grown >= CC_PASS_BYTES ||
	    READ_ONCE(cc_swiotlb.stopping)) {
		cc_growth.unfinished = true;
		return -EINTR;
	}
	if (cc_waits(&b->wait, now)) {
		b->wanted = true;
		return -EAGAIN;
	}
	if (room() < BIT(min_shift)) {
		if (!cc_growth.no_room)
			report_failure(min_shift, -ENOSPC);
		cc_growth.no_room |= BIT(size);
		return -ENOSPC;
	}
	err = grow_node(room(), min_shift);
	if (err == -ENOMEM)
		err = cc_block_grow(room(), min_shift, NUMA_NO_NODE);
	/* Something, maybe, even if not what was asked for. */
	cc_kccd_stats.grown += cc_swiotlb.shared - before;
	forget_failures(cc_swiotlb.shared - before);
	if (err) {
		report_failure(min_shift, err);
		b->wanted = true;
		back_off(b, now);
	}
	return err;
}

static unsigned int size_for(const struct cc_class *class)
{
	return max(READ_ONCE(class->wanted), CC_FRAME_SHIFT) - CC_FRAME_SHIFT;
}

/*
 * The reserve may be full of chunks that are too small for a class. A larger one is
 * there for the next mapping that needs it. After the longest backoff whoever does
 * will have asked again.
 */
static void feed_starved(unsigned long now)
{
	for (unsigned int i = CC_NR_OWNERS; i--; ) {
		struct cc_class *class = &cc_classes[i];
		unsigned int size;
		int err;

		/* Before the reserve and what is wanted are looked at; see grow_class(). */
		if (!READ_ONCE(class->starved) || !xchg(&class->starved, false))
			continue;
		size = size_for(class);
		err = cc_reserve_holds(CC_FRAME_SHIFT + size, NUMA_NO_NODE) ? 0 :
			grow(size, now);
		if (!err)
			continue;
		if (err == -EINTR || (err != -ENOSPC && backoff[size].delay < CC_BACKOFF_MAX))
			WRITE_ONCE(class->starved, true);
		/* Idle CPUs may hold what this one needs, but no whole block. */
		if (err != -EINTR && size < CC_NR_CHUNK_SIZES)
			cc_growth.starved = true;
	}
}

static bool wants_memory(void)
{
	return READ_ONCE(cc_swiotlb.reserve_bytes) < READ_ONCE(cc_swiotlb.target) ||
	       READ_ONCE(cc_swiotlb.shared) < READ_ONCE(cc_swiotlb.min);
}

/*
 * Have on each node what the reserve should have there, though others have too much: up
 * to twice the target, or a block more for each node, until that has been returned.
 */
static void balance(unsigned long now)
{
	unsigned long most = cc_swiotlb.target + max(cc_swiotlb.target,
						     cc_swiotlb.nr_used * BIT(CC_BLOCK_SHIFT));
	int err = 0;

	if (cc_waits(&node_backoff->wait, now)) {
		node_backoff->wanted = true;
		return;
	}
	if (node_backoff->delay)
		for (unsigned int nid = 0; nid < cc_nr_nodes; nid++)
			cc_swiotlb.node[nid].refused = false;
	/* A node that has no memory is not asked again: then it is the next one's turn. */
	while ((!err || err == -ENOMEM) && cc_nr_nodes > 1 && neediest_node() != NUMA_NO_NODE &&
	       READ_ONCE(cc_swiotlb.reserve_bytes) < most) {
		unsigned long before = cc_swiotlb.shared;

		if (cc_kccd_stats.grown - pass_grown >= CC_PASS_BYTES) {
			cc_growth.unfinished = true;
			break;
		}
		if (READ_ONCE(cc_swiotlb.stopping) || room() < BIT(CC_BLOCK_SHIFT))
			break;
		if (cc_waits(&backoff[0].wait, now)) {
			backoff[0].wanted = true;
			break;
		}
		err = grow_node(BIT(CC_BLOCK_SHIFT), CC_FRAME_SHIFT);
		cc_kccd_stats.grown += cc_swiotlb.shared - before;
		forget_failures(cc_swiotlb.shared - before);
		cond_resched();
	}
	/* That a node has no memory is no failure; that it cannot be shared is one. */
	if (err && err != -ENOMEM) {
		report_failure(CC_FRAME_SHIFT, err);
		node_backoff->wanted = true;
		back_off(node_backoff, now);
	} else if (neediest_node() == NUMA_NO_NODE) {
		node_backoff->delay = 0;
	}
}

/*
 * Keep the free slots of a class at its mark, from what the reserve has beyond its
 * target: what is below is for mappings.
 */
static void keep_mark(struct cc_class *class, unsigned long now)
{
	while (cc_class_free(class) < class->mark) {
		unsigned long in_depot = cc_class_in_depots(class);

		if (!cc_reserve_give(class, NUMA_NO_NODE,
				     class->mark - min(in_depot, class->mark),
				     cc_swiotlb.target) &&
		    grow(size_for(class), now))
			break;
		cond_resched();
	}
}

/**
 * cc_grow_begin() - a pass begins
 *
 * What it may share counts from here.
 *
 * Context: task, under cc_swiotlb.mutex.
 */
void cc_grow_begin(void)
{
	pass_grown = cc_kccd_stats.grown;
}

/**
 * cc_grow() - share memory until the reserve is at its target, and all that is promised
 * @now: the time in jiffies
 *
 * Or as much as a pass may; see &struct cc_growth for what has come of it.
 *
 * Context: task, under cc_swiotlb.mutex.
 */
void cc_grow(unsigned long now)
{
	lockdep_assert_held(&cc_swiotlb.mutex);
	cc_growth.unfinished = false;
	cc_growth.no_room = 0;
	for (unsigned int i = 0; i < CC_NR_ASKS; i++)
		backoff[i].wanted = false;
	raise_target();
	feed_starved(now);
	/* What is taken meanwhile counts, too. */
	do {
		while (wants_memory() && !grow(0, now))
			cond_resched();
	} while (raise_target());
	balance(now);
	for (unsigned int i = CC_NR_CLASSES; i--; )
		keep_mark(&cc_classes[i], now);
	cc_grow_note_full();
}

/**
 * cc_grow_due() - is growth due that was wanted before, and suspended?
 * @now: the time in jiffies
 *
 * Context: task, under cc_swiotlb.mutex.
 * Return: true if so.
 */
bool cc_grow_due(unsigned long now)
{
	for (unsigned int i = 0; i < CC_NR_ASKS; i++)
		if (backoff[i].wanted && !cc_waits(&backoff[i].wait, now))
			return true;
	return false;
}

/**
 * cc_grow_sleep() - how long nothing has to be tried again
 * @now: the time in jiffies
 *
 * Context: task, under cc_swiotlb.mutex.
 * Return: jiffies; MAX_SCHEDULE_TIMEOUT if nothing is wanted.
 */
unsigned long cc_grow_sleep(unsigned long now)
{
	unsigned long sleep = MAX_SCHEDULE_TIMEOUT;

	for (unsigned int i = 0; i < CC_NR_ASKS; i++)
		if (backoff[i].wanted)
			sleep = cc_sooner(sleep, &backoff[i].wait, now);
	return sleep;
}

/**
 * cc_grow_vain() - what is missing all the same?
 * @asked: what was asked for, see &struct cc_kicks
 *
 * Context: task, under cc_swiotlb.mutex, after cc_grow().
 * Return: what of @asked could not be had.
 */
unsigned int cc_grow_vain(unsigned int asked)
{
	unsigned int vain = cc_growth.no_room;

	/* Whatever it was asked for, it may be this that was missing. */
	if (wants_memory())
		return asked;
	for (unsigned int i = 0; i < CC_NR_ASKS; i++)
		if (backoff[i].wanted)
			vain |= BIT(i);
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		if (cc_class_free(&cc_classes[i]) < cc_classes[i].mark)
			vain |= BIT(size_for(&cc_classes[i]));
	for (unsigned int nid = 0; nid < cc_nr_nodes; nid++)
		if (cc_reserve_lacks(nid))
			vain |= CC_ASK_SHARE;
	return vain & asked;
}

/**
 * cc_grow_reset() - forget all that was before
 *
 * Context: task, before kccd runs.
 */
void cc_grow_reset(void)
{
	memset(backoff, 0, sizeof(backoff));
	memset(&cc_growth, 0, sizeof(cc_growth));
}
