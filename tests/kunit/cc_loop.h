/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kccd's thread in simulated time: it sleeps as long as a pass says, or until
 * something is pending, and may be late. Each pass is held against the rules that
 * hold for all of them.
 */
#ifndef _CC_SWIOTLB_TEST_LOOP_H
#define _CC_SWIOTLB_TEST_LOOP_H

#include "cc_arena.h"

/* Passes in one second that do nothing, whatever happens; see loop_check_rate(). */
#define CC_IDLE_PASSES	64

/**
 * struct cc_loop - the thread, and what it is judged by
 * @test: the test, which fails once
 * @what: told when it fails, as the seed that repeats it
 * @slept: when the last pass ended
 * @sleep: what it returned
 * @taken: bytes that mappings took from the reserve since that was full
 * @idle: when the last passes were that did nothing
 * @nr_idle: how many there were
 * @last_tick: when the last tick was
 * @last_drain: when all magazines were emptied last
 * @broken: a rule has been broken
 * @trace: log each pass
 */
struct cc_loop {
	struct kunit *test;
	const char *what;
	unsigned long slept;
	unsigned long sleep;
	unsigned long taken;
	unsigned long idle[CC_IDLE_PASSES];
	unsigned long nr_idle;
	unsigned long last_tick;
	unsigned long last_drain;
	bool broken;
	bool trace;
};

#define CC_RULE(loop, cond, fmt, ...)						\
do {										\
	struct cc_loop *__loop = (loop);					\
										\
	if (!(cond) && !__loop->broken) {					\
		__loop->broken = true;						\
		KUNIT_FAIL(__loop->test, "%s: not " #cond ": " fmt,		\
			   __loop->what, ##__VA_ARGS__);			\
	}									\
} while (0)

void cc_loop_start(struct kunit *test, struct cc_loop *loop,
		   const struct cc_options *opts, const char *what);
void cc_loop_pass(struct cc_loop *loop);
void cc_loop_run(struct cc_loop *loop, unsigned long jiffies_to_run);
unsigned int cc_loop_rest(struct cc_loop *loop);
unsigned long cc_loop_room(void);
void cc_loop_check_promises(struct cc_loop *loop);
void cc_loop_check_nodes(struct cc_loop *loop);
bool cc_loop_lacks(void);

#endif /* _CC_SWIOTLB_TEST_LOOP_H */
