// SPDX-License-Identifier: GPL-2.0-only
/*
 * The loop of kccd in simulated time: random histories of demand, memory, limits,
 * failures, reclaim, and a thread that is late. Each pass is held against the rules
 * of cc_loop.c; and in the end, when nothing happens any more, kccd must sleep, and
 * what can be had must be there.
 *
 * Boot with cc_swiotlb_loop.histories=100000 for as many of them,
 * cc_swiotlb_loop.seed=<n> to begin with one that has failed, and
 * cc_swiotlb_loop.trace=1 to see what happens in it.
 */
#include <kunit/resource.h>
#include <linux/dma-map-ops.h>
#include <linux/moduleparam.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "../../../rcu/rcu.h"
#include "cc_loop.h"

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "cc_swiotlb_loop."

static uint seed;
module_param(seed, uint, 0);
MODULE_PARM_DESC(seed, "seed of the first history; 0: a random one");

static uint histories = 1000;
module_param(histories, uint, 0);
MODULE_PARM_DESC(histories, "number of random histories");

static bool trace;
module_param(trace, bool, 0);
MODULE_PARM_DESC(trace, "log each event and pass");

#define NR_EVENTS	48
#define NR_LIVE		384

/**
 * struct history - one of them
 * @loop: kccd
 * @rnd: what happens is taken from here
 * @dev: device that maps
 * @buf: what it maps
 * @live: mappings
 * @nr_live: number of @live
 */
struct history {
	struct cc_loop loop;
	struct rnd_state rnd;
	struct device *dev;
	phys_addr_t buf;
	phys_addr_t live[NR_LIVE];
	unsigned int nr_live;
};

static int node;	/* of the CPU; those from CC_FAKE_CPUS on are on one each, and dead */

static unsigned int count_nodes(void)
{
	return max(cc_arena.nr_nodes, 1);
}

static int cpu_node(unsigned int cpu)
{
	return cpu < CC_FAKE_CPUS ? node : cpu - CC_FAKE_CPUS;
}

static bool online(unsigned int cpu)
{
	return cpu < CC_FAKE_CPUS;
}

static u32 rnd(struct history *h, u32 below)
{
	return prandom_u32_state(&h->rnd) % below;
}

#define event(h, fmt, ...)						\
do {									\
	if (trace)							\
		kunit_info((h)->loop.test,				\
			   "%lu: " fmt " (shared %lu, reserve %lu of %lu KiB)",	\
			   cc_test_now, ##__VA_ARGS__, cc_swiotlb.shared >> 10,	\
			   cc_swiotlb.reserve_bytes >> 10, cc_swiotlb.target >> 10); \
} while (0)

static void do_map(struct history *h)
{
	unsigned int nr = 1 + rnd(h, 1 << rnd(h, 7)), served = 0;
	unsigned long before = cc_swiotlb.reserve_bytes;
	size_t size = 1 + rnd(h, 1 << rnd(h, cc_max_shift + 1));
	unsigned long attrs = 0;

	/* Some of them last. */
	if (!rnd(h, 4)) {
		size = PAGE_SIZE;
		attrs = DMA_ATTR_SKIP_CPU_SYNC;
	}
	for (; nr && h->nr_live < NR_LIVE; nr--, served++) {
		phys_addr_t tlb = cc_swiotlb_map(h->dev, h->buf, size, 0, attrs);

		if (cc_test_failed(tlb))
			break;
		h->live[h->nr_live++] = tlb;
	}
	h->loop.taken += before - cc_swiotlb.reserve_bytes;
	event(h, "%u mappings of %zu bytes, %u not", served, size, nr);
}

static void do_unmap(struct history *h, unsigned int nr)
{
	event(h, "%u of %u unmapped", nr, h->nr_live);
	while (nr--) {
		unsigned int i = rnd(h, h->nr_live);

		cc_test_give(h->live[i]);
		h->live[i] = h->live[--h->nr_live];
	}
}

static void do_memory(struct history *h)
{
	static const u8 shifts[] = { 0, 16, 16, 17, 18, 19, 20, 21, 21 };

	cc_arena.max_shift = shifts[rnd(h, ARRAY_SIZE(shifts))];
	cc_arena.limit = rnd(h, 2) ? CC_ARENA_BYTES : rnd(h, CC_ARENA_BYTES);
	event(h, "memory in pieces of up to %u, %lu in all", cc_arena.max_shift, cc_arena.limit);
}

static void do_fail(struct history *h)
{
	static const u16 often[] = { 0, 0, 0, 10, 128, 256 };
	unsigned int call = rnd(h, CC_FAKE_NR);

	if (cc_arena.nr_nodes > 1 && rnd(h, 2)) {
		cc_arena.bad_nodes = rnd(h, 2) ? BIT(rnd(h, cc_arena.nr_nodes)) : 0;
		event(h, "memory of nodes %x cannot be shared", cc_arena.bad_nodes);
		return;
	}
	/* What cannot be made private is lost: soon nothing would be left. */
	cc_arena.fail[call] = often[rnd(h, ARRAY_SIZE(often) -
					(call == CC_FAKE_UNSHARE ? 2 : 0))];
	event(h, "call %u fails %u of 256 times", call, cc_arena.fail[call]);
}

static void do_limit(struct history *h)
{
	unsigned long *fields[] = {
		&cc_swiotlb.max, &cc_swiotlb.min, &cc_swiotlb.reserve_min,
	};
	unsigned int i = rnd(h, ARRAY_SIZE(fields));
	unsigned long bytes = rnd(h, i ? SZ_16M : CC_ARENA_BYTES);
	int err;

	if (i == 0 && cc_swiotlb.max > SZ_8M && rnd(h, 2))
		bytes = cc_swiotlb.shared - min(cc_swiotlb.shared, rnd(h, SZ_2M));
	err = cc_kccd_set(fields[i], bytes);
	event(h, "limit %u is %lu: %d", i, bytes, err);
}

static void do_mark(struct history *h)
{
	struct cc_class *class = &cc_classes[rnd(h, CC_NR_CLASSES)];
	unsigned long slots = rnd(h, 3) ? rnd(h, (SZ_2M >> class->shift) + 1) : 0;
	int err = cc_kccd_set_mark(class, slots);

	event(h, "mark of %lu is %lu: %d", BIT(class->shift), slots, err);
}

static void do_reclaim(struct history *h)
{
	event(h, "reclaim, %lu could be freed", cc_kccd_freeable());
	cc_kccd_reclaim();
}

static void do_steal(struct history *h)
{
	struct cc_class *class = &cc_classes[rnd(h, CC_NR_CLASSES)];
	unsigned long before = cc_swiotlb.reserve_bytes;

	cc_reserve_take(class, NUMA_NO_NODE, ULONG_MAX >> 1);
	h->loop.taken += before - cc_swiotlb.reserve_bytes;
	cc_kccd_ask(CC_ASK_ALL);
	event(h, "a chunk for %lu", BIT(class->shift));
}

/* From now on it is a CPU of another node. What is mapped is of the one before. */
static void do_move(struct history *h)
{
	if (cc_arena.nr_nodes == 1 || !cc_test_drain_all())
		return;
	for (unsigned int i = 0; i < h->nr_live; i++) {
		struct cc_chunk *chunk = cc_chunk_by_addr(h->live[i]);
		struct cc_slot *slot = cc_slot_by_index(cc_index_by_addr(chunk, h->live[i]));

		if (slot->cpu < CC_FAKE_CPUS)
			slot->cpu = CC_FAKE_CPUS + node;
	}
	node = rnd(h, cc_arena.nr_nodes);
	event(h, "node %d", node);
}

static void do_sleep(struct history *h)
{
	unsigned long time = rnd(h, 1 << rnd(h, 12));

	event(h, "%lu jiffies", time);
	if (rnd(h, 4))
		cc_loop_run(&h->loop, time);
	else
		cc_test_now += time;	/* the thread is late */
}

static void one_event(struct history *h)
{
	switch (rnd(h, 25)) {
	case 0 ... 6:
		return do_map(h);
	case 7 ... 9:
		return do_unmap(h, h->nr_live ? rnd(h, h->nr_live) : 0);
	case 10:
		return do_unmap(h, h->nr_live);
	case 11 ... 12:
		return do_memory(h);
	case 13 ... 14:
		return do_fail(h);
	case 15:
		return do_limit(h);
	case 16:
		return do_mark(h);
	case 17:
		return do_reclaim(h);
	case 18:
		return do_steal(h);
	case 19:
		return do_move(h);
	default:
		return do_sleep(h);
	}
}

static void random_options(struct history *h, struct cc_options *opts)
{
	cc_test_options(opts);
	opts->max = SZ_2M + rnd(h, SZ_64M);
	opts->min = rnd(h, 2) ? 0 : rnd(h, opts->max / 2);
	opts->reserve = rnd(h, min(opts->max, SZ_8M) + 1);
	if (rnd(h, 2))
		opts->classes = prandom_u32_state(&h->rnd) | BIT(CC_CHUNK_SHIFT);
	/* Larger ones take whole blocks from the others. */
	if (rnd(h, 2))
		opts->classes &= CC_TEST_CLASSES;
	memset(opts->mark, 0, sizeof(opts->mark));
	for (unsigned int n = rnd(h, 4); n--; ) {
		unsigned int i = rnd(h, CC_NR_CLASSES);

		opts->mark[i] = rnd(h, (SZ_2M >> (i + CC_SLOT_MIN_SHIFT)) + 1);
	}
	/* What is enough for some may be given up for others. */
	if (rnd(h, 2))
		opts->mark[CC_CHUNK_CLASS] = 2;
}

/* Nothing happens any more; memory is as it is. */
static void check_rest(struct history *h)
{
	/* What fails sometimes, fails always from now on. */
	for (unsigned int i = 0; i < CC_FAKE_NR; i++)
		if (cc_arena.fail[i] && i != CC_FAKE_UNSHARE)
			cc_arena.fail[i] = 256;
	event(h, "rest");
	cc_loop_rest(&h->loop);
	cc_loop_check_promises(&h->loop);
	CC_RULE(&h->loop, cc_swiotlb.target <=
		max(cc_swiotlb.reserve_min, cc_swiotlb.max / 4), "%lu", cc_swiotlb.target);
}

/* All memory can be had again, and nobody tells kccd: it is used soon. */
static void check_recovery(struct history *h)
{
	event(h, "memory is back");
	cc_arena.max_shift = CC_BLOCK_SHIFT;
	cc_arena.limit = CC_ARENA_BYTES;
	cc_arena.bad_nodes = 0;
	memset(cc_arena.fail, 0, sizeof(cc_arena.fail));
	cc_loop_run(&h->loop, CC_BACKOFF_MAX);
	cc_loop_check_promises(&h->loop);
	cc_loop_rest(&h->loop);
	CC_RULE(&h->loop, h->loop.sleep == MAX_SCHEDULE_TIMEOUT || cc_loop_lacks(),
		"awake, and nothing is missing");
	cc_loop_check_promises(&h->loop);
	cc_loop_check_nodes(&h->loop);
}

/* Everything is unmapped, and reclaim wants it. */
static void check_return(struct history *h)
{
	struct cc_block *block;
	unsigned long whole = 0;

	do_unmap(h, h->nr_live);
	cc_loop_rest(&h->loop);
	event(h, "all is free");
	/* What the first round has torn a mark from, the second one sees. */
	for (int i = 0; i < 2; i++) {
		do_reclaim(h);
		cc_loop_rest(&h->loop);
		cc_test_now += CC_RECLAIM_INTERVAL;
	}
	CC_RULE(&h->loop, h->loop.sleep == MAX_SCHEDULE_TIMEOUT || cc_loop_lacks(),
		"awake, and nothing is missing");
	CC_RULE(&h->loop, cc_swiotlb.target == cc_swiotlb.reserve_min, "%lu, %lu",
		cc_swiotlb.target, cc_swiotlb.reserve_min);
	CC_RULE(&h->loop, cc_kccd_freeable() < SZ_64K, "%lu after reclaim", cc_kccd_freeable());
	list_for_each_entry(block, &cc_swiotlb.blocks, node)
		if (block->nr_reserve == block->nr_chunks)
			whole += BIT(block->shift);
	/* The parts of nodes are of whole blocks, too. */
	CC_RULE(&h->loop, whole < max(cc_swiotlb.min, cc_swiotlb.reserve_min) +
		cc_swiotlb.nr_used * SZ_2M,
		"%lu in whole blocks, min %lu, reserve %lu", whole, cc_swiotlb.min,
		cc_swiotlb.reserve_min);
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++) {
		const struct cc_class *class = &cc_classes[i];
		unsigned int shift = class->shift > CC_CHUNK_SHIFT ? CC_BLOCK_SHIFT :
								     CC_CHUNK_SHIFT;
		unsigned long most = class->mark + BIT(shift - class->shift);

		CC_RULE(&h->loop, class->nr_slots < most || !class->nr_slots,
			"class %u: %lu slots, mark %lu", i, class->nr_slots,
			class->mark);
	}
	cc_loop_check_promises(&h->loop);
}

static void check_stopping(struct history *h)
{
	event(h, "reboot");
	cc_swiotlb.stopping = true;
	for (unsigned int n = 0; n < 4; n++)
		one_event(h);
	cc_loop_pass(&h->loop);
	do_unmap(h, h->nr_live);
	cc_swiotlb.stopping = false;
	memset(cc_arena.fail, 0, sizeof(cc_arena.fail));
}

/* Returns false if it has shown an error. */
static bool one_history(struct kunit *test, struct history *h, u32 nr)
{
	struct cc_options opts;
	char what[48];

	snprintf(what, sizeof(what), "cc_swiotlb_loop.seed=%u", nr);
	prandom_seed_state(&h->rnd, nr);
	cc_arena_reset(nr);
	random_options(h, &opts);
	h->loop.test = test;
	cc_arena.nr_nodes = 1 + rnd(h, rnd(h, 3) + 1);
	node = 0;
	if (!rnd(h, 4))
		do_memory(h);
	cc_loop_start(test, &h->loop, &opts, what);
	h->loop.trace = trace;
	event(h, "max %lu, min %lu, reserve %lu", opts.max, opts.min, opts.reserve);
	h->nr_live = 0;
	for (unsigned int n = 0; n < NR_EVENTS && !h->loop.broken; n++) {
		one_event(h);
		/* Sometimes the thread gets no CPU for a while. */
		if (rnd(h, 4))
			cc_loop_run(&h->loop, 0);
		cond_resched();
	}
	if (rnd(h, 8)) {
		check_rest(h);
		check_recovery(h);
		check_return(h);
	} else {
		check_stopping(h);
	}
	do_unmap(h, h->nr_live);
	if (nr % 64 == 0)
		cc_test_check(test);
	memset(cc_arena.fail, 0, sizeof(cc_arena.fail));
	cc_test_stop(test);
	CC_RULE(&h->loop, cc_arena_check(), "%lu used, %lu unknown, %lu quarantined",
		cc_arena.used, cc_arena.unknown, cc_swiotlb.quarantined);
	return !h->loop.broken && test->status != KUNIT_FAILURE;
}

static void loop_histories(struct kunit *test)
{
	struct history *h = test->priv;
	u32 first = seed ?: get_random_u32() / 2, nr;

	kunit_info(test, "cc_swiotlb_loop.seed=%u, %u histories", first, histories);
	for (nr = first; nr - first < histories; nr++)
		if (!one_history(test, h, nr))
			break;
	if (nr - first < histories)
		kunit_err(test, "after %u histories; cc_swiotlb_loop.seed=%u repeats the last one",
			  nr - first, nr);
}

struct storm_param {
	const char *name;
	unsigned int max_shift;
	unsigned long max;
};

static const struct storm_param storm_params[] = {
	{ "no memory", 0, SZ_64M },
	{ "small pieces", CC_FRAME_SHIFT, SZ_64M },
	{ "at the limit", CC_BLOCK_SHIFT, SZ_8M },
};

static void storm_desc(const struct storm_param *p, char *desc)
{
	strscpy(desc, p->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(storm, storm_params, storm_desc);

/*
 * Mappings of the largest size fail all the time, and so do those of the smallest:
 * whatever kccd is asked for, and how often, it has been asked in vain.
 */
static void loop_storm(struct kunit *test)
{
	const struct storm_param *p = test->param_value;
	struct history *h = test->priv;
	unsigned long passes, target;
	struct cc_options opts;

	cc_test_options(&opts);
	opts.max = p->max;
	opts.reserve = SZ_4M;
	cc_arena_reset(1);
	cc_arena.max_shift = p->max_shift ?: CC_BLOCK_SHIFT;
	cc_loop_start(test, &h->loop, &opts, "storm");
	if (!p->max_shift)
		cc_arena.limit = 0;
	cc_loop_run(&h->loop, HZ);
	passes = cc_kccd_stats.passes;
	for (unsigned int i = 0; i < 10 * HZ && !h->loop.broken; i++) {
		for (unsigned int n = 0; n < 4; n++) {
			phys_addr_t tlb = cc_swiotlb_map(h->dev, h->buf,
							 n % 2 ? SZ_512K : SZ_64K, 0, 0);

			cc_loop_run(&h->loop, 0);
			if (cc_test_failed(tlb))
				continue;
			if (h->nr_live < 8)
				h->live[h->nr_live++] = tlb;
			else
				cc_test_give(tlb);
		}
		cc_test_now++;
	}
	target = cc_swiotlb.target;
	passes = cc_kccd_stats.passes - passes;
	kunit_info(test, "%lu passes in 10 s, target %lu KiB", passes, target >> 10);
	KUNIT_EXPECT_GE(test, passes, 10);
	/* For each of two sizes one in CC_BACKOFF_MIN, and its own retries. */
	KUNIT_EXPECT_LE(test, passes, 10 * (2 * 50 + 2));
	KUNIT_EXPECT_LE(test, target, opts.max / 4 > opts.reserve ? opts.max / 4 : opts.reserve);
	do_unmap(h, h->nr_live);
	cc_loop_rest(&h->loop);
}

static void unexpedite(void *unused)
{
	rcu_unexpedite_gp();
}

static int loop_init(struct kunit *test)
{
	struct history *h = kunit_kzalloc(test, sizeof(*h), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, h);
	test->priv = h;
	cc_test_pin(test);
	h->dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	h->buf = virt_to_phys(cc_test_buffer(test, SZ_512K));
	cc_arena_begin(test);
	kunit_activate_static_stub(test, cc_count_nodes, count_nodes);
	kunit_activate_static_stub(test, cc_cpu_node, cpu_node);
	kunit_activate_static_stub(test, cc_page_node, cc_arena_page_node);
	kunit_activate_static_stub(test, cc_magazine_online, online);
	/* Grace periods without waiting: there are some in each history. */
	rcu_expedite_gp();
	return kunit_add_action_or_reset(test, unexpedite, NULL);
}

static void loop_exit(struct kunit *test)
{
	cc_test_stop(test);
	cc_arena_end();
}

static struct kunit_case loop_cases[] = {
	KUNIT_CASE_PARAM(loop_storm, storm_gen_params),
	KUNIT_CASE_SLOW(loop_histories),
	{}
};

static struct kunit_suite loop_suite = {
	.name = "cc_swiotlb_loop",
	.init = loop_init,
	.exit = loop_exit,
	.test_cases = loop_cases,
};

kunit_test_suite(loop_suite);

MODULE_DESCRIPTION("The loop of kccd in simulated time");
MODULE_LICENSE("GPL");
