// SPDX-License-Identifier: GPL-2.0-only
/*
 * kccd's thread in simulated time, see cc_loop.h.
 */
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/sched.h>

#include "cc_loop.h"
#include "../kccd.h"

/* What a pass may change. */
struct snapshot {
	struct cc_kccd_stats stats;
	unsigned long shared;
	unsigned long quarantined;
	unsigned long reserve;
	unsigned long target;
	unsigned long taken;
	unsigned long converted;
	unsigned long slots[CC_NR_CLASSES];
	bool starved[CC_NR_CLASSES];
	unsigned int nr_starved;
	bool lacks;
	bool rises;
};

/**
 * cc_loop_lacks() - is anything missing that kccd has promised?
 *
 * Return: true if reserve, minimum or a mark is not there.
 */
bool cc_loop_lacks(void)
{
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		if (cc_class_free(&cc_classes[i]) < cc_classes[i].mark)
			return true;
	return cc_swiotlb.reserve_bytes < cc_swiotlb.target ||
	       cc_swiotlb.shared < cc_swiotlb.min;
}

/* Does a node lack something of its part of the reserve? */
static bool node_lacks(unsigned int nid)
{
	return cc_nr_nodes > 1 && cc_swiotlb.node[nid].used &&
	       cc_swiotlb.node[nid].bytes < cc_reserve_share();
}

/* Is it tried again, and are the others full? */
static bool node_waits(void)
{
	for (unsigned int nid = 0; nid < cc_nr_nodes; nid++)
		if (cc_swiotlb.node[nid].backoff.wanted && node_lacks(nid))
			return true;
	return false;
}

/**
 * cc_loop_room() - bytes that may still be shared
 *
 * Return: bytes.
 */
unsigned long cc_loop_room(void)
{
	unsigned long sum = cc_swiotlb.shared + cc_swiotlb.quarantined;

	return cc_swiotlb.max > sum ? cc_swiotlb.max - sum : 0;
}

static void take_snapshot(struct snapshot *s)
{
	s->stats = cc_kccd_stats;
	s->shared = cc_swiotlb.shared;
	s->quarantined = cc_swiotlb.quarantined;
	s->reserve = cc_swiotlb.reserve_bytes;
	s->target = cc_swiotlb.target;
	s->taken = cc_swiotlb.taken;
	s->converted = cc_arena.converted;
	s->nr_starved = 0;
	s->lacks = cc_loop_lacks();
	for (unsigned int nid = 0; nid < cc_nr_nodes; nid++)
		s->lacks |= node_lacks(nid);
	/* Mappings took half of the target: it rises. */
	s->rises = cc_swiotlb.taken - cc_growth.taken_full > cc_swiotlb.target / 2;
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++) {
		s->slots[i] = cc_classes[i].nr_slots;
		s->starved[i] = cc_classes[i].starved;
		s->nr_starved += s->starved[i];
	}
}

/* Every byte is in one place, and no more is shared than may be. */
static void check_sum(struct cc_loop *loop, const struct snapshot *before)
{
	unsigned long sum = cc_swiotlb.shared + cc_swiotlb.quarantined;
	unsigned long was = before->shared + before->quarantined;
	unsigned long bytes = cc_swiotlb.reserve_bytes;

	for (unsigned int i = 0; i < CC_NR_OWNERS; i++)
		bytes += cc_classes[i].nr_slots << cc_classes[i].shift;
	CC_RULE(loop, bytes == cc_swiotlb.shared, "%lu, %lu", bytes, cc_swiotlb.shared);
	CC_RULE(loop, sum <= max(cc_swiotlb.max, was), "%lu of %lu, before %lu",
		sum, cc_swiotlb.max, was);
	CC_RULE(loop, cc_swiotlb.quarantined == cc_arena.unknown, "%lu, %lu",
		cc_swiotlb.quarantined, cc_arena.unknown);
}

/* The target follows what mappings take, and nothing grows without a reason. */
static void check_growth(struct cc_loop *loop, const struct snapshot *before)
{
	unsigned long own = cc_swiotlb.taken - before->taken;
	unsigned long target = cc_swiotlb.target;

	if (target > before->target) {
		/* It doubles, to a chunk at least; a tick in the same pass may have lowered it. */
		CC_RULE(loop, loop->taken > (target > BIT(CC_CHUNK_SHIFT) ? target / 4 : 0),
			"the target rises from %lu to %lu, %lu were taken",
			before->target, target, loop->taken);
		CC_RULE(loop, target <= min(max(2 * before->target, BIT(CC_CHUNK_SHIFT)),
					    cc_swiotlb.max / 4),
			"%lu, before %lu", target, before->target);
		loop->taken = 0;
	}
	if (cc_kccd_stats.grown != before->stats.grown)
		CC_RULE(loop, before->lacks || before->nr_starved || before->rises ||
			target > before->target,
			"%lu more without need", cc_kccd_stats.grown - before->stats.grown);
	/* A starved class is fed for the mapping that has failed. */
	CC_RULE(loop, own <= before->nr_starved * BIT(CC_CHUNK_SHIFT), "%lu for %u classes",
		own, before->nr_starved);
	loop->taken += own;
	if (cc_swiotlb.reserve_bytes >= target)
		loop->taken = 0;
}

/*
 * Marks get what the reserve has beyond its target; a starved class gets more. With a
 * limit that has been lowered, some of the reserve is returned afterwards.
 */
static void check_marks(struct cc_loop *loop, const struct snapshot *before)
{
	if (before->shared + before->quarantined > cc_swiotlb.max)
		return;
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		if (cc_classes[i].nr_slots > before->slots[i] && !before->starved[i])
			CC_RULE(loop, cc_swiotlb.reserve_bytes >= cc_swiotlb.target,
				"class %u got a chunk, reserve %lu of %lu", i,
				cc_swiotlb.reserve_bytes, cc_swiotlb.target);
}

/* A pass that changes nothing is rare, and so is one that disturbs all CPUs. */
static void check_rate(struct cc_loop *loop, const struct snapshot *before)
{
	unsigned long now = cc_test_now, *oldest;
	bool same = before->reserve == cc_swiotlb.reserve_bytes;

	CC_RULE(loop, loop->sleep || cc_kccd_stats.grown != before->stats.grown ||
		cc_kccd_stats.returned != before->stats.returned,
		"goes on at once, but has done nothing");
	if (cc_kccd_stats.drains != before->stats.drains) {
		CC_RULE(loop, cc_kccd_stats.drains == before->stats.drains + 1 &&
			now - loop->last_drain >= CC_RECLAIM_INTERVAL,
			"%lu jiffies", now - loop->last_drain);
		loop->last_drain = now;
	} else if (cc_kccd_stats.ticks != before->stats.ticks) {
		CC_RULE(loop, now - loop->last_tick >= CC_TICK, "%lu jiffies",
			now - loop->last_tick);
	}
	if (cc_kccd_stats.ticks != before->stats.ticks)
		loop->last_tick = now;
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		same &= cc_classes[i].nr_slots == before->slots[i];
	if (!same || cc_kccd_stats.grown != before->stats.grown ||
	    cc_kccd_stats.returned != before->stats.returned)
		return;
	oldest = &loop->idle[loop->nr_idle % CC_IDLE_PASSES];
	CC_RULE(loop, loop->nr_idle++ < CC_IDLE_PASSES || now - *oldest >= HZ,
		"%u passes did nothing in %lu jiffies", CC_IDLE_PASSES + 1, now - *oldest);
	*oldest = now;
}

static void check_stopped(struct cc_loop *loop, const struct snapshot *before)
{
	CC_RULE(loop, cc_arena.converted == before->converted, "%lu",
		cc_arena.converted - before->converted);
	CC_RULE(loop, loop->sleep == MAX_SCHEDULE_TIMEOUT, "%lu", loop->sleep);
}

/**
 * cc_loop_pass() - let kccd make a pass now
 * @loop: the loop
 */
void cc_loop_pass(struct cc_loop *loop)
{
	struct snapshot before;

	take_snapshot(&before);
	loop->sleep = cc_kccd_pass(cc_test_now);
	loop->slept = cc_test_now;
	if (loop->trace)
		kunit_info(loop->test, "%lu: pass, sleeps %ld, %lu grown, %lu failed, reserve %lu of %lu, %lu taken",
			   cc_test_now, loop->sleep, cc_kccd_stats.grown - before.stats.grown,
			   cc_kccd_stats.grow_failed - before.stats.grow_failed,
			   cc_swiotlb.reserve_bytes, cc_swiotlb.target,
			   cc_swiotlb.taken);
	CC_RULE(loop, loop->sleep <= MAX_SCHEDULE_TIMEOUT, "%lu", loop->sleep);
	check_sum(loop, &before);
	check_rate(loop, &before);
	if (cc_swiotlb.stopping) {
		check_stopped(loop, &before);
		return;
	}
	check_growth(loop, &before);
	check_marks(loop, &before);
}

/* Would a kick for a tick wake the thread? */
static bool hears_ticks(void)
{
	bool kicked = cc_kicks.tick, heard;

	cc_kicks.tick = true;
	heard = cc_kccd_pending(cc_test_now);
	cc_kicks.tick = kicked;
	return heard;
}

/* When the thread wakes up; false: not unless something happens. */
static bool wakes_at(struct cc_loop *loop, unsigned long *at)
{
	*at = cc_test_now;
	if (cc_kccd_pending(cc_test_now))
		return true;
	if (loop->sleep == MAX_SCHEDULE_TIMEOUT) {
		CC_RULE(loop, cc_swiotlb.stopping || hears_ticks(), "asleep and deaf");
		return false;
	}
	if (time_after(loop->slept + loop->sleep, cc_test_now))
		*at = loop->slept + loop->sleep;
	return true;
}

/**
 * cc_loop_run() - let time go by, and the thread run
 * @loop: the loop
 * @time: jiffies; with 0 it does what is due now
 */
void cc_loop_run(struct cc_loop *loop, unsigned long time)
{
	unsigned long end = cc_test_now + time, at;

	while (!loop->broken && wakes_at(loop, &at) && !time_after(at, end)) {
		cc_test_now = at;
		cc_loop_pass(loop);
	}
	cc_test_now = end;
}

static bool has_room(unsigned int shift)
{
	return cc_loop_room() >= BIT(shift);
}

static unsigned int chunk_shift(const struct cc_class *class)
{
	return class->shift > CC_CHUNK_SHIFT ? CC_BLOCK_SHIFT :
					       max(class->shift, CC_FRAME_SHIFT);
}

/* Is there room for what the reserve lacks to spare a chunk of this size, in one piece? */
static bool has_room_beside(unsigned int shift)
{
	unsigned long enough = cc_swiotlb.target + BIT(max(shift, CC_CHUNK_SHIFT));
	unsigned long reserve = cc_swiotlb.reserve_bytes;

	return cc_reserve_holds(shift, NUMA_NO_NODE) && reserve >= cc_swiotlb.target &&
	       reserve < enough &&
	       has_room(max_t(unsigned int, order_base_2(enough - reserve), CC_FRAME_SHIFT));
}

/* Is something missing that the limit allows? */
static bool lacks_within_limit(void)
{
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		if (cc_class_free(&cc_classes[i]) < cc_classes[i].mark &&
		    (has_room(chunk_shift(&cc_classes[i])) ||
		     has_room_beside(chunk_shift(&cc_classes[i]))))
			return true;
	return (cc_swiotlb.reserve_bytes < cc_swiotlb.target ||
		cc_swiotlb.shared < cc_swiotlb.min) && has_room(CC_FRAME_SHIFT);
}

/* Is more shared than the limit, and something of it free and in one piece? */
static bool keeps_beyond_limit(void)
{
	unsigned long sum = cc_swiotlb.shared + cc_swiotlb.quarantined;
	const struct cc_block *block;

	if (sum <= cc_swiotlb.max)
		return false;
	list_for_each_entry(block, &cc_swiotlb.blocks, node)
		if (block->nr_reserve == block->nr_chunks)
			return true;
	return false;
}

/**
 * cc_loop_rest() - let the thread run until it has come to rest
 * @loop: the loop
 *
 * That is when it sleeps for ever, unless something promised is missing for which
 * there is room: then it tries for that, and nothing else, time and again.
 *
 * Return: the number of times that it woke up.
 */
unsigned int cc_loop_rest(struct cc_loop *loop)
{
	unsigned long start, ticks, passes = cc_kccd_stats.passes;
	unsigned long returned = cc_kccd_stats.returned, most = CC_PASSES_TO_SLEEP;
	unsigned int n = 0;

	do {
		cc_loop_run(loop, 0);
		if (loop->broken)
			return n;
		if (loop->sleep == MAX_SCHEDULE_TIMEOUT) {
			CC_RULE(loop, !lacks_within_limit(), "sleeps for ever, %lu of %lu shared",
				cc_swiotlb.shared, cc_swiotlb.max);
			CC_RULE(loop, !keeps_beyond_limit(), "%lu shared, at most %lu",
				cc_swiotlb.shared, cc_swiotlb.max);
			/*
			 * What has to go back takes passes of its own. With nodes, it may be
			 * all that another one can have, piece by piece.
			 */
			returned = cc_kccd_stats.returned - returned;
			most += returned / CC_PASS_BYTES + 1;
			if (cc_nr_nodes > 1)
				most += 3 * (returned >> CC_FRAME_SHIFT);
			CC_RULE(loop, cc_kccd_stats.passes - passes <= most,
				"%lu passes, at most %lu", cc_kccd_stats.passes - passes, most);
			return n;
		}
		cc_loop_run(loop, loop->sleep);
	} while (++n < CC_PASSES_TO_SLEEP);

	/* What is lost to failed conversions may use up the limit, even in the last pass. */
	if (!lacks_within_limit() && loop->sleep != MAX_SCHEDULE_TIMEOUT)
		cc_loop_run(loop, loop->sleep);
	CC_RULE(loop, lacks_within_limit() || node_waits() ||
		loop->sleep == MAX_SCHEDULE_TIMEOUT, "awake after %u passes, %lu of %lu shared",
		n, cc_swiotlb.shared, cc_swiotlb.max);
	start = cc_test_now;
	ticks = cc_kccd_stats.ticks;
	passes = cc_kccd_stats.passes;
	cc_loop_run(loop, 10 * CC_BACKOFF_MAX);
	CC_RULE(loop, cc_kccd_stats.ticks == ticks, "%lu ticks at rest",
		cc_kccd_stats.ticks - ticks);
	/* Each size of chunk, and each node, may have its own time. */
	CC_RULE(loop, cc_kccd_stats.passes - passes <= 11 * (CC_NR_GROW_SIZES + cc_nr_nodes),
		"%lu passes at rest in %lu jiffies", cc_kccd_stats.passes - passes,
		cc_test_now - start);
	return n;
}

/**
 * cc_loop_check_promises() - what can be had is there
 * @loop: the loop, at rest
 */
void cc_loop_check_promises(struct cc_loop *loop)
{
	bool small = has_room(CC_FRAME_SHIFT) && cc_arena_has(CC_FRAME_SHIFT);

	CC_RULE(loop, cc_swiotlb.reserve_bytes >= cc_swiotlb.target || !small,
		"reserve %lu of %lu, %lu of %lu shared", cc_swiotlb.reserve_bytes,
		cc_swiotlb.target, cc_swiotlb.shared, cc_swiotlb.max);
	CC_RULE(loop, cc_swiotlb.shared >= cc_swiotlb.min || !small,
		"%lu shared of %lu", cc_swiotlb.shared, cc_swiotlb.min);
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++) {
		const struct cc_class *class = &cc_classes[i];

		CC_RULE(loop, cc_class_free(&cc_classes[i]) >= class->mark ||
			!has_room(chunk_shift(class)) || !cc_arena_has(chunk_shift(class)),
			"class %u: %lu free of %lu, reserve %lu of %lu, %lu of %lu shared", i,
			cc_class_free(&cc_classes[i]), class->mark,
			cc_swiotlb.reserve_bytes, cc_swiotlb.target,
			cc_swiotlb.shared, cc_swiotlb.max);
	}
}

/**
 * cc_loop_check_nodes() - each node that is used has its part of the reserve
 * @loop: the loop, at rest, when all memory can be had
 *
 * But for those without memory, which the next tick would ask again.
 */
void cc_loop_check_nodes(struct cc_loop *loop)
{
	bool can_have = !cc_arena.bad_nodes && has_room(CC_BLOCK_SHIFT) &&
			cc_arena_has(CC_BLOCK_SHIFT);

	for (unsigned int nid = 0; nid < cc_nr_nodes; nid++)
		CC_RULE(loop, !can_have || !node_lacks(nid) || cc_swiotlb.node[nid].no_memory ||
			cc_swiotlb.reserve_bytes >= 2 * cc_swiotlb.target,
			"node %u: %lu of %lu", nid, cc_swiotlb.node[nid].bytes,
			cc_reserve_share());
}

/**
 * cc_loop_start() - start the allocator, and the thread
 * @test: the test
 * @loop: receives its state
 * @opts: options
 * @what: told when a rule is broken
 */
void cc_loop_start(struct kunit *test, struct cc_loop *loop,
		   const struct cc_options *opts, const char *what)
{
	memset(loop, 0, sizeof(*loop));
	loop->test = test;
	loop->what = what;
	cc_test_start_with(test, opts, false);
	loop->last_tick = cc_test_now - CC_TICK;
	loop->last_drain = cc_test_now - CC_RECLAIM_INTERVAL;
	loop->slept = cc_test_now;
}
