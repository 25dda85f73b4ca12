// SPDX-License-Identifier: GPL-2.0-only
/*
 * Growth: the part of kccd's pass that converts memory to be shared.
 *
 * There is one watermark for all classes: bytes of class-less, already converted memory
 * in the reserve. Any context takes from it; that kicks kccd, which fills it up to the
 * target. The target doubles when mappings have taken more than half of it before it was
 * full again, and decays when they do not (see kccd.c).
 *
 * Growth that fails is suspended, on the node whose memory could not be shared, or, if it
 * fails on all, for that size of chunk: for 20 ms and twice as long after each further
 * failure, up to 10 s. What it takes from the reserve itself kicks nobody.
 */
#define pr_fmt(fmt) "cc-swiotlb: " fmt

#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/log2.h>
#include <linux/ratelimit.h>

#include "kccd.h"

struct cc_kccd_stats cc_kccd_stats;
struct cc_growth cc_growth;

/* Under cc_swiotlb.mutex. Those of nodes are in struct cc_node. */
static struct cc_backoff backoff[CC_NR_GROW_SIZES];
static unsigned long pass_grown;	/* bytes grown before this pass */

/* All of them: of sizes, then of nodes; NULL after the last one. */
static struct cc_backoff *backoff_nr(unsigned int nr)
{
	if (nr < CC_NR_GROW_SIZES)
		return &backoff[nr];
	nr -= CC_NR_GROW_SIZES;
	return nr < cc_nr_nodes ? &cc_swiotlb.node[nr].backoff : NULL;
}

/**
 * cc_grow_backoff() - how long growth is suspended after a failure
 * @now: the time in jiffies
 *
 * Context: any.
 * Return: jiffies, for the size of chunks or the node that waits longest; 0 if none does.
 */
unsigned long cc_grow_backoff(unsigned long now)
{
	unsigned long longest = 0;
	struct cc_backoff *b;

	for (unsigned int i = 0; (b = backoff_nr(i)); i++)
		longest = max(longest, cc_wait_left(&b->wait, now));
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

/* Growth has failed: not again too soon. */
static void back_off(struct cc_backoff *b, unsigned long now)
{
	b->delay = clamp(2 * b->delay, CC_BACKOFF_MIN, CC_BACKOFF_MAX);
	cc_wait_for(&b->wait, now, b->delay);
}

/* It has worked. */
static void forget_failure(struct cc_backoff *b)
{
	b->delay = 0;
	WRITE_ONCE(b->wait.span, 0);
}

/* Does a node lack something of its part of the reserve that it has memory for? */
static bool lacks_share(const struct cc_node *node)
{
	return READ_ONCE(node->used) && !node->no_memory &&
	       READ_ONCE(node->bytes) < cc_reserve_share();
}

/* The NUMA node that lacks most, of those that need not wait; or NUMA_NO_NODE. */
static int neediest_node(unsigned long now)
{
	int found = NUMA_NO_NODE;

	if (cc_nr_nodes == 1)
		return NUMA_NO_NODE;
	for (unsigned int nid = 0; nid < cc_nr_nodes; nid++) {
		const struct cc_node *node = &cc_swiotlb.node[nid];

		if (lacks_share(node) && !cc_waits(&node->backoff.wait, now) &&
		    (found == NUMA_NO_NODE ||
		     READ_ONCE(node->bytes) < READ_ONCE(cc_swiotlb.node[found].bytes)))
			found = nid;
	}
	return found;
}

/* A block of a node, or an error. */
static int grow_node(int nid, unsigned long limit, unsigned int min_shift, unsigned long now)
{
	struct cc_node *node = &cc_swiotlb.node[nid];
	int err = cc_block_grow(limit, min_shift, nid);

	/* That a node has no memory is no failure; that it cannot be shared is one. */
	if (!err)
		forget_failure(&node->backoff);
	else if (err != -ENOMEM)
		back_off(&node->backoff, now);
	else if (min_shift == CC_FRAME_SHIFT)
		node->no_memory = true;
	return err;
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
	     BIT(CC_FRAME_SHIFT + size) <= bytes; size++)
		forget_failure(&backoff[size]);
}

/* Was memory of a node refused or lost the last time? */
static bool any_bad_node(void)
{
	for (unsigned int nid = 0; nid < cc_nr_nodes; nid++)
		if (cc_swiotlb.node[nid].refuses || cc_swiotlb.node[nid].lossy)
			return true;
	return false;
}

/*
 * A block of the node that needs it most, or of any. The page allocator does not know where
 * memory cannot be shared: if there is such a node, those that need not wait are asked one
 * by one.
 */
static int grow_anywhere(unsigned int min_shift, unsigned long now)
{
	int nid = neediest_node(now), err = -ENOMEM;

	if (nid != NUMA_NO_NODE)
		err = grow_node(nid, room(), min_shift, now);
	if (err && cc_nr_nodes > 1 && any_bad_node())
		for (nid = 0; err && nid < cc_nr_nodes && !READ_ONCE(cc_swiotlb.stopping); nid++)
			if (!cc_waits(&cc_swiotlb.node[nid].backoff.wait, now))
				err = grow_node(nid, room(), min_shift, now);
	if (err && !READ_ONCE(cc_swiotlb.stopping))
		err = cc_block_grow(room(), min_shift, NUMA_NO_NODE);
	return err;
}

/*
 * More memory in chunks of 1 << (CC_FRAME_SHIFT + @size) bytes at least. -EINTR: the pass
 * has to end first.
 */
static int grow(unsigned int size, unsigned long now)
{
	unsigned long before = cc_swiotlb.shared;
	unsigned int min_shift = CC_FRAME_SHIFT + size;
	struct cc_backoff *b = &backoff[size];
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
	err = grow_anywhere(min_shift, now);
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
	unsigned long parts = READ_ONCE(cc_swiotlb.nr_used) * BIT(CC_BLOCK_SHIFT);
	unsigned long most = cc_swiotlb.target + max(cc_swiotlb.target, parts);
	int nid;

	/* A node that fails is not asked again: then it is the next one's turn. */
	while ((nid = neediest_node(now)) != NUMA_NO_NODE &&
	       READ_ONCE(cc_swiotlb.reserve_bytes) < most) {
		unsigned long before = cc_swiotlb.shared;
		int err;

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
		err = grow_node(nid, BIT(CC_BLOCK_SHIFT), CC_FRAME_SHIFT, now);
		if (err && err != -ENOMEM)
			report_failure(CC_FRAME_SHIFT, err);
		cc_kccd_stats.grown += cc_swiotlb.shared - before;
		forget_failures(cc_swiotlb.shared - before);
		cond_resched();
	}
	for (nid = 0; nid < cc_nr_nodes; nid++) {
		struct cc_node *node = &cc_swiotlb.node[nid];

		node->backoff.wanted = cc_waits(&node->backoff.wait, now) && lacks_share(node);
	}
}

/*
 * The reserve may have a chunk for the class, which its target keeps there: then it is enough
 * to have what is missing, in one piece. In several, there might not be all of them, and
 * what is too much goes back.
 */
static unsigned int size_for_mark(const struct cc_class *class)
{
	unsigned long reserve = READ_ONCE(cc_swiotlb.reserve_bytes);
	unsigned int size = size_for(class), shift = CC_FRAME_SHIFT + size;
	/* The chunk may be larger than is needed. */
	unsigned long enough = cc_swiotlb.target + BIT(max(shift, CC_CHUNK_SHIFT));

	if (reserve < cc_swiotlb.target || reserve >= enough ||
	    !cc_reserve_holds(shift, NUMA_NO_NODE))
		return size;
	shift = order_base_2(enough - reserve);
	return min(size, max(shift, CC_FRAME_SHIFT) - CC_FRAME_SHIFT);
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
		    grow(size_for_mark(class), now))
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
	struct cc_backoff *b;

	lockdep_assert_held(&cc_swiotlb.mutex);
	cc_growth.unfinished = false;
	cc_growth.no_room = 0;
	for (unsigned int i = 0; (b = backoff_nr(i)); i++)
		b->wanted = false;
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
	struct cc_backoff *b;

	for (unsigned int i = 0; (b = backoff_nr(i)); i++)
		if (b->wanted && !cc_waits(&b->wait, now))
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
	struct cc_backoff *b;

	for (unsigned int i = 0; (b = backoff_nr(i)); i++)
		if (b->wanted)
			sleep = cc_sooner(sleep, &b->wait, now);
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
	for (unsigned int i = 0; i < CC_NR_GROW_SIZES; i++)
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
