// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of lib/genalloc-ext.c: each function by itself.
 */
#include <linux/bitmap.h>
#include <linux/slab.h>

#include "genalloc_ext_test.h"

/* All bits of a new descriptor are set, and so is a word behind it. */
static struct gen_pool_chunk *new_chunk(struct kunit *test, size_t size)
{
	size_t bytes = gen_pool_chunk_bytes(size, ORDER) + sizeof(long);
	struct gen_pool_chunk *chunk = kunit_kmalloc(test, bytes, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, chunk);
	memset(chunk, 0xff, bytes);
	return chunk;
}

static struct gen_pool_chunk *add_bytes(struct kunit *test, unsigned int nr,
					size_t size)
{
	struct gen_pool_chunk *chunk = new_chunk(test, size);
	struct ctx *c = test->priv;

	gen_pool_add_chunk(&c->pool, chunk, obj(nr, 0), obj(nr, 0), size,
			   (void *)obj(nr, 0));
	return chunk;
}

struct gen_pool_chunk *gen_test_add(struct kunit *test, unsigned int nr,
				    unsigned int objs)
{
	return add_bytes(test, nr, objs * OBJ_SIZE);
}

static unsigned int take(struct kunit *test, unsigned int nr)
{
	struct ctx *c = test->priv;

	memset(c->addrs, 0, sizeof(c->addrs));
	return gen_pool_alloc_bulk(&c->pool, &c->hint, c->addrs, nr, UINT_MAX, NULL);
}

static unsigned int give(struct kunit *test, struct gen_pool_chunk *chunk,
			 const unsigned long *addrs, unsigned int nr)
{
	struct ctx *c = test->priv;

	return gen_pool_free_bulk(&c->pool, chunk, addrs, nr);
}

/* The state of @chunk is what its bitmap and its count of free bytes say. */
void gen_test_expect_used(struct kunit *test, struct gen_pool_chunk *chunk,
			  unsigned int used)
{
	size_t size = chunk->end_addr - chunk->start_addr + 1;
	unsigned int bits = BITS_TO_LONGS(size >> ORDER) * BITS_PER_LONG;

	/* All words whole: a bit past the last object must never be set. */
	KUNIT_EXPECT_EQ(test, bitmap_weight(chunk->bits, bits), used);
	KUNIT_EXPECT_EQ(test, chunk->bits[BIT_WORD(bits)], ~0UL);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&chunk->avail),
			(long)(size - used * OBJ_SIZE));
}

static void test_init(struct kunit *test)
{
	struct ctx *c = test->priv;

	KUNIT_EXPECT_EQ(test, gen_pool_size(&c->pool), 0);
	KUNIT_EXPECT_EQ(test, gen_pool_avail(&c->pool), 0);
	KUNIT_EXPECT_EQ(test, gen_pool_alloc(&c->pool, OBJ_SIZE), 0);
	KUNIT_EXPECT_EQ(test, take(test, 1), 0);

	KUNIT_EXPECT_EQ(test, gen_pool_chunk_bytes(OBJ_SIZE, ORDER),
			sizeof(struct gen_pool_chunk) + sizeof(long));
	KUNIT_EXPECT_EQ(test,
			gen_pool_chunk_bytes((BITS_PER_LONG + 1) * OBJ_SIZE, ORDER),
			sizeof(struct gen_pool_chunk) + 2 * sizeof(long));

	gen_test_add(test, 0, 10);
	KUNIT_EXPECT_EQ(test, gen_pool_size(&c->pool), 10 * OBJ_SIZE);
	KUNIT_EXPECT_EQ(test, gen_pool_avail(&c->pool), 10 * OBJ_SIZE);
	KUNIT_EXPECT_EQ(test, gen_pool_virt_to_phys(&c->pool, obj(0, 3)), obj(0, 3));
}

/* A descriptor of a chunk that was removed can be used again as it is. */
static void test_add_dirty(struct kunit *test)
{
	struct gen_pool_chunk *chunk = gen_test_add(test, 0, 100);

	gen_test_expect_used(test, chunk, 0);
	KUNIT_EXPECT_EQ(test, take(test, 101), 100);
}

/* Every object exactly once, the lowest first, then nothing. */
static void test_bulk_full(struct kunit *test)
{
	struct gen_pool_chunk *chunk = gen_test_add(test, 0, 128);
	struct ctx *c = test->priv;
	unsigned int i, round;

	for (round = 0; round < 8; round++) {
		KUNIT_EXPECT_EQ(test, take(test, 16), 16);
		for (i = 0; i < 16; i++)
			KUNIT_EXPECT_EQ(test, c->addrs[i], obj(0, 16 * round + i));
		KUNIT_EXPECT_EQ(test, c->addrs[16], 0);
		gen_test_expect_used(test, chunk, 16 * (round + 1));
	}
	KUNIT_EXPECT_EQ(test, take(test, 1), 0);
	KUNIT_EXPECT_EQ(test, gen_pool_avail(&c->pool), 0);

	for (i = 0; i < 128; i++)
		c->addrs[i] = obj(0, i);
	KUNIT_EXPECT_EQ(test, give(test, chunk, c->addrs, 128), 128);
	gen_test_expect_used(test, chunk, 0);
	KUNIT_EXPECT_EQ(test, take(test, 128), 128);
	gen_test_expect_used(test, chunk, 128);
}

/* Less than asked for is there, scattered over the words. */
static void test_bulk_partial(struct kunit *test)
{
	static const unsigned int hole[] = { 0, 1, 31, 32, 63, 64, 100, 127, 130, 199 };
	struct gen_pool_chunk *chunk = gen_test_add(test, 0, 200);
	unsigned long addrs[ARRAY_SIZE(hole)];
	struct ctx *c = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hole); i++)
		addrs[i] = obj(0, hole[i]);

	KUNIT_EXPECT_EQ(test, take(test, 0), 0);
	KUNIT_EXPECT_EQ(test, take(test, 250), 200);
	KUNIT_EXPECT_EQ(test, give(test, chunk, addrs, ARRAY_SIZE(addrs)),
			ARRAY_SIZE(addrs));
	KUNIT_EXPECT_EQ(test, take(test, 4), 4);
	KUNIT_EXPECT_MEMEQ(test, c->addrs, addrs, 4 * sizeof(long));
	KUNIT_EXPECT_EQ(test, take(test, 250), ARRAY_SIZE(addrs) - 4);
	KUNIT_EXPECT_MEMEQ(test, c->addrs, addrs + 4, sizeof(addrs) - 4 * sizeof(long));
	gen_test_expect_used(test, chunk, 200);
}

/* Sizes around a word and bytes left over at the end of the chunk. */
static void test_tail(struct kunit *test)
{
	static const unsigned int objs[] = { 1, 4, 31, 32, 33, 63, 64, 65, 100, 129 };
	struct ctx *c = test->priv;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(objs); i++) {
		unsigned int n = objs[i];
		struct gen_pool_chunk *chunk =
			add_bytes(test, i, n * OBJ_SIZE + OBJ_SIZE / 2);

		KUNIT_EXPECT_EQ(test, take(test, MAX_OBJS), n);
		KUNIT_EXPECT_EQ(test, c->addrs[n - 1], obj(i, n - 1));
		gen_test_expect_used(test, chunk, n);
		KUNIT_EXPECT_EQ(test, take(test, 1), 0);

		/* The bytes left over are no object. */
		for (j = 0; j <= n; j++)
			c->addrs[j] = obj(i, j);
		KUNIT_EXPECT_EQ(test, give(test, chunk, c->addrs, n + 1), n);
		gen_test_expect_used(test, chunk, 0);

		KUNIT_EXPECT_TRUE(test, gen_pool_seal_chunk(&c->pool, chunk));
		gen_test_expect_used(test, chunk, n);
	}
}

static void test_owner(struct kunit *test)
{
	struct ctx *c = test->priv;
	unsigned int i, n, total = 0;
	void *owner;

	gen_test_add(test, 0, 5);
	gen_test_add(test, 1, 70);
	gen_test_add(test, 2, 9);
	while ((n = gen_pool_alloc_bulk(&c->pool, &c->hint, c->addrs, 8, UINT_MAX, &owner))) {
		/* All from one chunk, and its owner. */
		for (i = 0; i < n; i++)
			KUNIT_EXPECT_PTR_EQ(test, owner,
					    (void *)(c->addrs[i] & ~(SPAN - 1)));
		total += n;
	}
	KUNIT_EXPECT_EQ(test, total, 5 + 70 + 9);
	KUNIT_EXPECT_NULL(test, owner);
}

#define EXPECT_HINT(test, chunk) \
	KUNIT_EXPECT_PTR_EQ(test, rcu_access_pointer(c->hint), chunk)

static void test_hint(struct kunit *test)
{
	struct gen_pool_chunk *chunk[3];
	struct ctx *c = test->priv;
	unsigned int i;

	for (i = 0; i < 3; i++)
		chunk[i] = gen_test_add(test, i, 4);

	/* No hint: the oldest chunk first. */
	KUNIT_EXPECT_EQ(test, take(test, 2), 2);
	KUNIT_EXPECT_EQ(test, c->addrs[0], obj(0, 0));
	EXPECT_HINT(test, chunk[0]);

	/* The hint overrides that, and stays where it was useful. */
	rcu_assign_pointer(c->hint, chunk[1]);
	KUNIT_EXPECT_EQ(test, take(test, 2), 2);
	KUNIT_EXPECT_EQ(test, c->addrs[0], obj(1, 0));
	EXPECT_HINT(test, chunk[1]);
	KUNIT_EXPECT_EQ(test, take(test, 3), 2);
	KUNIT_EXPECT_EQ(test, c->addrs[0], obj(1, 2));
	EXPECT_HINT(test, chunk[1]);

	/* Full: on to the next, and from the last to the first. */
	KUNIT_EXPECT_EQ(test, take(test, 4), 4);
	KUNIT_EXPECT_EQ(test, c->addrs[0], obj(2, 0));
	EXPECT_HINT(test, chunk[2]);
	KUNIT_EXPECT_EQ(test, take(test, 4), 2);
	KUNIT_EXPECT_EQ(test, c->addrs[0], obj(0, 2));
	EXPECT_HINT(test, chunk[0]);

	/* Nothing found: the hint stays. */
	rcu_assign_pointer(c->hint, chunk[1]);
	KUNIT_EXPECT_EQ(test, take(test, 1), 0);
	EXPECT_HINT(test, chunk[1]);

	/* No place for a hint at all. */
	c->addrs[0] = obj(2, 3);
	KUNIT_EXPECT_EQ(test, give(test, chunk[2], c->addrs, 1), 1);
	KUNIT_EXPECT_EQ(test, gen_pool_alloc_bulk(&c->pool, NULL, c->addrs, 1, UINT_MAX, NULL), 1);
	KUNIT_EXPECT_EQ(test, c->addrs[0], obj(2, 3));
}

/* The last of a full pool is found from wherever the walk starts. */
static void test_hint_wrap(struct kunit *test)
{
	struct gen_pool_chunk *chunk[4];
	struct ctx *c = test->priv;
	unsigned int from, to;
	unsigned long addr;

	for (to = 0; to < 4; to++) {
		chunk[to] = gen_test_add(test, to, 3);
		KUNIT_EXPECT_EQ(test, take(test, 3), 3);
	}
	for (from = 0; from < 4; from++) {
		for (to = 0; to < 4; to++) {
			addr = obj(to, 1);
			KUNIT_EXPECT_EQ(test, give(test, chunk[to], &addr, 1), 1);
			rcu_assign_pointer(c->hint, chunk[from]);
			KUNIT_EXPECT_EQ(test, take(test, 3), 1);
			KUNIT_EXPECT_EQ(test, c->addrs[0], addr);
			EXPECT_HINT(test, chunk[to]);
		}
	}
}

/* No more chunks are looked at than may be, wherever the walk begins. */
static void test_bound(struct kunit *test)
{
	struct gen_pool_chunk *chunk[4];
	struct ctx *c = test->priv;
	unsigned long addr;

	for (unsigned int i = 0; i < 4; i++)
		chunk[i] = gen_test_add(test, i, 4);
	for (unsigned int i = 0; i < 4; i++)
		KUNIT_ASSERT_EQ(test, take(test, 4), 4);
	for (unsigned int from = 0; from < 4; from++) {
		for (unsigned int away = 0; away < 4; away++) {
			unsigned int to = (from + away) % 4;

			addr = obj(to, 2);
			KUNIT_ASSERT_EQ(test, give(test, chunk[to], &addr, 1), 1);
			for (unsigned int most = 0; most <= away + 1; most++) {
				rcu_assign_pointer(c->hint, chunk[from]);
				KUNIT_EXPECT_EQ_MSG(test, most > away,
						    gen_pool_alloc_bulk(&c->pool, &c->hint,
									&addr, 1, most, NULL),
						    "%u of 4 from %u, %u away", most, from, away);
			}
		}
	}
}

/* What must be refused is, and what is good in between is not lost. */
static void test_free_bad(struct kunit *test)
{
	struct gen_pool_chunk *chunk = gen_test_add(test, 1, 100);
	const unsigned long addrs[] = {
		obj(1, 0) - OBJ_SIZE,		/* just below */
		0,
		obj(1, 2),			/* good */
		obj(1, 3) + 1,			/* not aligned */
		obj(1, 100),			/* just above */
		obj(1, 127),			/* in the last word, past the end */
		obj(2, 5),			/* of another chunk */
		obj(1, 2),			/* twice */
		obj(1, 70),			/* good, other word */
		obj(1, 90),			/* not in use */
		~0UL,
		obj(1, 2),			/* twice, other run */
	};

	gen_test_add(test, 2, 10);
	KUNIT_EXPECT_EQ(test, take(test, 80), 80);
	KUNIT_EXPECT_EQ(test, give(test, chunk, addrs, ARRAY_SIZE(addrs)), 2);
	gen_test_expect_used(test, chunk, 78);
	KUNIT_EXPECT_FALSE(test, test_bit(2, chunk->bits));
	KUNIT_EXPECT_FALSE(test, test_bit(70, chunk->bits));
	KUNIT_EXPECT_EQ(test, give(test, chunk, addrs, ARRAY_SIZE(addrs)), 0);
	KUNIT_EXPECT_EQ(test, give(test, chunk, addrs, 0), 0);
	gen_test_expect_used(test, chunk, 78);
}

/* Runs in the same word, forth, back, and changing the word each time. */
static void test_free_merge(struct kunit *test)
{
	struct gen_pool_chunk *chunk = gen_test_add(test, 0, 192);
	unsigned long addrs[192];
	unsigned int way, i;

	for (way = 0; way < 4; way++) {
		for (i = 0; i < 192; i++) {
			static const unsigned int step[] = { 1, 191, 65, 67 };

			addrs[i] = obj(0, (i * step[way]) % 192);
		}
		KUNIT_EXPECT_EQ(test, take(test, 192), 192);
		KUNIT_EXPECT_EQ(test, give(test, chunk, addrs, 50), 50);
		gen_test_expect_used(test, chunk, 142);
		for (i = 0; i < 192; i++)
			KUNIT_EXPECT_EQ(test, i >= 50,
					test_bit((addrs[i] - BASE) / OBJ_SIZE,
						 chunk->bits));
		KUNIT_EXPECT_EQ(test, give(test, chunk, addrs + 50, 142), 142);
		gen_test_expect_used(test, chunk, 0);
	}
}

/* gen_pool_alloc() and gen_pool_free() on the same chunk. */
static void test_mixed(struct kunit *test)
{
	struct gen_pool_chunk *chunk = gen_test_add(test, 0, 100);
	struct ctx *c = test->priv;
	unsigned long big, addr;
	void *owner;

	KUNIT_EXPECT_EQ(test, take(test, 60), 60);
	big = gen_pool_alloc(&c->pool, 10 * OBJ_SIZE);	/* across the word */
	KUNIT_EXPECT_EQ(test, big, obj(0, 60));
	gen_test_expect_used(test, chunk, 70);

	KUNIT_EXPECT_EQ(test, take(test, 1), 1);
	KUNIT_EXPECT_EQ(test, c->addrs[0], obj(0, 70));
	gen_pool_free(&c->pool, c->addrs[0], OBJ_SIZE);
	addr = gen_pool_alloc_owner(&c->pool, OBJ_SIZE, &owner);
	KUNIT_EXPECT_EQ(test, addr, obj(0, 70));
	KUNIT_EXPECT_PTR_EQ(test, owner, (void *)BASE);
	KUNIT_EXPECT_EQ(test, give(test, chunk, &addr, 1), 1);

	gen_pool_free(&c->pool, big, 10 * OBJ_SIZE);
	gen_test_expect_used(test, chunk, 60);
	KUNIT_EXPECT_EQ(test, gen_pool_avail(&c->pool), 40 * OBJ_SIZE);
	KUNIT_EXPECT_EQ(test, take(test, MAX_OBJS), 40);
	KUNIT_EXPECT_EQ(test, c->addrs[0], obj(0, 60));
	KUNIT_EXPECT_EQ(test, gen_pool_alloc(&c->pool, OBJ_SIZE), 0);
}

/* All or nothing: one object in use, wherever it is, and nothing changes. */
static void test_seal(struct kunit *test)
{
	struct gen_pool_chunk *chunk = gen_test_add(test, 0, 100);
	struct ctx *c = test->priv;
	unsigned int i;

	for (i = 0; i < 100; i++) {
		unsigned long addr = obj(0, i);

		__set_bit(i, chunk->bits);
		atomic_long_sub(OBJ_SIZE, &chunk->avail);
		KUNIT_EXPECT_FALSE(test, gen_pool_seal_chunk(&c->pool, chunk));
		gen_test_expect_used(test, chunk, 1);
		KUNIT_EXPECT_EQ(test, give(test, chunk, &addr, 1), 1);
	}

	KUNIT_EXPECT_TRUE(test, gen_pool_seal_chunk(&c->pool, chunk));
	gen_test_expect_used(test, chunk, 100);
	KUNIT_EXPECT_EQ(test, take(test, 1), 0);
	KUNIT_EXPECT_EQ(test, gen_pool_alloc(&c->pool, OBJ_SIZE), 0);
	KUNIT_EXPECT_FALSE(test, gen_pool_seal_chunk(&c->pool, chunk));
	gen_test_expect_used(test, chunk, 100);

	/* All of it can be given back. */
	for (i = 0; i < 100; i++)
		c->addrs[i] = obj(0, i);
	KUNIT_EXPECT_EQ(test, give(test, chunk, c->addrs, 100), 100);
	gen_test_expect_used(test, chunk, 0);
	KUNIT_EXPECT_EQ(test, take(test, MAX_OBJS), 100);
}

static void test_del(struct kunit *test)
{
	struct gen_pool_chunk *chunk[3];
	struct ctx *c = test->priv;
	unsigned int i;

	for (i = 0; i < 3; i++)
		chunk[i] = gen_test_add(test, i, 4);

	/* The hint is another chunk: it stays. */
	rcu_assign_pointer(c->hint, chunk[0]);
	KUNIT_ASSERT_TRUE(test, gen_pool_seal_chunk(&c->pool, chunk[1]));
	gen_pool_del_chunk(&c->pool, chunk[1], &c->hint);
	EXPECT_HINT(test, chunk[0]);
	KUNIT_EXPECT_EQ(test, gen_pool_size(&c->pool), 8 * OBJ_SIZE);
	KUNIT_EXPECT_FALSE(test, gen_pool_has_addr(&c->pool, obj(1, 0), OBJ_SIZE));
	KUNIT_EXPECT_EQ(test, take(test, 4), 4);
	KUNIT_EXPECT_EQ(test, take(test, 4), 4);
	KUNIT_EXPECT_EQ(test, c->addrs[0], obj(2, 0));
	KUNIT_EXPECT_EQ(test, take(test, 4), 0);

	/* The hint is the chunk: it goes, and with it what the walk starts from. */
	EXPECT_HINT(test, chunk[2]);
	for (i = 0; i < 4; i++)
		c->addrs[i] = obj(2, i);
	KUNIT_EXPECT_EQ(test, give(test, chunk[2], c->addrs, 4), 4);
	KUNIT_ASSERT_TRUE(test, gen_pool_seal_chunk(&c->pool, chunk[2]));
	gen_pool_del_chunk(&c->pool, chunk[2], &c->hint);
	EXPECT_HINT(test, NULL);
	KUNIT_EXPECT_EQ(test, take(test, 4), 0);

	/* After a grace period a chunk can come back, now the youngest. */
	synchronize_rcu();
	gen_pool_add_chunk(&c->pool, chunk[1], obj(1, 0), obj(1, 0), 4 * OBJ_SIZE, NULL);
	gen_test_expect_used(test, chunk[1], 0);
	KUNIT_EXPECT_EQ(test, take(test, 4), 4);
	KUNIT_EXPECT_EQ(test, c->addrs[0], obj(1, 0));

	for (i = 0; i < 4; i++)
		c->addrs[i] = obj(0, i);
	KUNIT_EXPECT_EQ(test, give(test, chunk[0], c->addrs, 4), 4);
	KUNIT_ASSERT_TRUE(test, gen_pool_seal_chunk(&c->pool, chunk[0]));
	gen_pool_del_chunk(&c->pool, chunk[0], NULL);
	EXPECT_HINT(test, chunk[1]);
	KUNIT_EXPECT_EQ(test, gen_pool_size(&c->pool), 4 * OBJ_SIZE);
}

/* A reader that is in a chunk while it is unlinked gets out, and sees the rest. */
static void test_del_under_reader(struct kunit *test)
{
	struct gen_pool_chunk *chunk[3];
	struct ctx *c = test->priv;
	unsigned int i;

	for (i = 0; i < 3; i++)
		chunk[i] = gen_test_add(test, i, 4);

	/* The hint as it was loaded before: no grace period has gone by. */
	KUNIT_EXPECT_TRUE(test, gen_pool_seal_chunk(&c->pool, chunk[1]));
	gen_pool_del_chunk(&c->pool, chunk[1], &c->hint);
	rcu_assign_pointer(c->hint, chunk[1]);
	KUNIT_EXPECT_EQ(test, take(test, 4), 4);
	KUNIT_EXPECT_EQ(test, c->addrs[0], obj(2, 0));
	EXPECT_HINT(test, chunk[2]);
	rcu_assign_pointer(c->hint, chunk[1]);
	KUNIT_EXPECT_EQ(test, take(test, 4), 4);
	KUNIT_EXPECT_EQ(test, c->addrs[0], obj(0, 0));
	rcu_assign_pointer(c->hint, chunk[1]);
	KUNIT_EXPECT_EQ(test, take(test, 4), 0);
}

int gen_test_init(struct kunit *test)
{
	struct ctx *c = kunit_kzalloc(test, sizeof(*c), GFP_KERNEL);

	if (!c)
		return -ENOMEM;
	gen_pool_init(&c->pool, ORDER);
	test->priv = c;
	return 0;
}

static struct kunit_case genalloc_ext_test_cases[] = {
	KUNIT_CASE(test_init),
	KUNIT_CASE(test_add_dirty),
	KUNIT_CASE(test_bulk_full),
	KUNIT_CASE(test_bulk_partial),
	KUNIT_CASE(test_tail),
	KUNIT_CASE(test_owner),
	KUNIT_CASE(test_hint),
	KUNIT_CASE(test_hint_wrap),
	KUNIT_CASE(test_bound),
	KUNIT_CASE(test_free_bad),
	KUNIT_CASE(test_free_merge),
	KUNIT_CASE(test_mixed),
	KUNIT_CASE(test_seal),
	KUNIT_CASE(test_del),
	KUNIT_CASE(test_del_under_reader),
	{}
};

static struct kunit_suite genalloc_ext_test_suite = {
	.name = "genalloc_ext",
	.init = gen_test_init,
	.test_cases = genalloc_ext_test_cases,
};

kunit_test_suite(genalloc_ext_test_suite);

MODULE_DESCRIPTION("KUnit tests of the gen_pool extensions");
MODULE_LICENSE("GPL");
