/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A fake of memory and conversions that is cheap enough for a million blocks. It is
 * exclusive: not together with cc_fake.
 */
#ifndef _CC_SWIOTLB_TEST_ARENA_H
#define _CC_SWIOTLB_TEST_ARENA_H

#include <linux/prandom.h>

#include "cc_test.h"

#define CC_ARENA_BYTES	(SZ_64M + SZ_16M)

/**
 * struct cc_arena - what the arena gives, and has given
 * @max_shift: log2 of the bytes of the largest piece that is to be had
 * @limit: bytes that can be allocated in all
 * @nr_nodes: NUMA nodes that it is spread over; 0 is one
 * @bad_nodes: a bit for each whose memory cannot be shared
 * @fail: of 256 calls, so many fail, by chance
 * @rnd: the chance
 * @used: bytes allocated
 * @unknown: bytes that could be neither shared nor made private
 * @converted: conversions, those that failed included
 */
struct cc_arena {
	unsigned int max_shift;
	unsigned long limit;
	unsigned int nr_nodes;
	unsigned int bad_nodes;
	u16 fail[CC_FAKE_NR];
	struct rnd_state rnd;
	unsigned long used;
	unsigned long unknown;
	unsigned long converted;
};

extern struct cc_arena cc_arena;

void cc_arena_begin(struct kunit *test);
void cc_arena_reset(u32 seed);
bool cc_arena_has(unsigned int shift);
int cc_arena_page_node(const struct page *page);
bool cc_arena_check(void);
void cc_arena_end(void);

#endif /* _CC_SWIOTLB_TEST_ARENA_H */
