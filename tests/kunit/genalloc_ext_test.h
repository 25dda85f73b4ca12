/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Common to the tests of lib/genalloc-ext.c. The addresses are made up:
 * gen_pool never touches the memory it manages.
 */
#ifndef _GENALLOC_EXT_TEST_H
#define _GENALLOC_EXT_TEST_H

#include <kunit/test.h>
#include <linux/genalloc_ext.h>

#define ORDER		9
#define OBJ_SIZE	BIT(ORDER)
#define BASE		0x10000000UL
#define SPAN		0x00100000UL	/* from one chunk to the next */
#define MAX_OBJS	256

struct ctx {
	struct gen_pool pool;
	struct gen_pool_chunk __rcu *hint;
	unsigned long addrs[MAX_OBJS];
};

static inline unsigned long obj(unsigned int chunk, unsigned int nr)
{
	return BASE + chunk * SPAN + nr * OBJ_SIZE;
}

int gen_test_init(struct kunit *test);
struct gen_pool_chunk *gen_test_add(struct kunit *test, unsigned int nr,
				    unsigned int objs);
void gen_test_expect_used(struct kunit *test, struct gen_pool_chunk *chunk,
			  unsigned int used);

#endif /* _GENALLOC_EXT_TEST_H */
