// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guarantee, executed: random machines whose CPUs make mappings in three nested
 * contexts, as many as the reserve promises to serve, while nothing can be converted.
 * Each must be served, by the class that it asks for.
 *
 * CPUs that the machine does not have are simulated: the data of each is put in the
 * place of this CPU's while it runs. Interrupts come where cc_magazine_point() is.
 *
 * Boot with cc_swiotlb_guarantee.machines=<n> for more of them, and
 * cc_swiotlb_guarantee.seed=<n> to begin with one that has failed.
 */
#include <kunit/resource.h>
#include <linux/dma-map-ops.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "../kccd.h"
#include "cc_arena.h"

#define SEED_FMT	"cc_swiotlb_guarantee.seed=%u: %lu bytes %s, CPU %u of %u, " \
			"%u nodes, depth %u, %u classes, %lu of %lu used, reserve %lu"

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "cc_swiotlb_guarantee."

static uint seed;
module_param(seed, uint, 0);
MODULE_PARM_DESC(seed, "seed of the first machine; 0: a random one");

static uint machines = 300;
module_param(machines, uint, 0);
MODULE_PARM_DESC(machines, "number of random machines");

#define MAX_CPUS	24
#define MAX_NODES	4
#define MAX_LIVE	(SZ_16M / 512)
#define CONTEXTS	3	/* task, softirq, hard interrupt */
#define BATCH_BYTES	SZ_32K

/**
 * struct machine - one of them
 * @test: the test
 * @seed: repeats it
 * @rnd: what happens is taken from here
 * @dev: device that maps
 * @buf: what it maps
 * @cpu: data of the CPUs that do not run
 * @nr_cpus: number of CPUs
 * @running: the one that runs
 * @class: numbers of the classes that are used
 * @nr_classes: how many there are
 * @promised: bytes of slots that the guarantee covers
 * @used: bytes of slots that have been asked for
 * @depth: contexts that are interrupted
 * @lasts: some mappings of pages last
 * @storm: interrupt at each point, for the class that is being taken of
 * @kccd: it runs, too, now and then
 * @max: what the limit is lowered to meanwhile, if not 0 and if that is possible
 * @live: mappings
 * @nr_live: how many there are
 * @broken: a mapping was not served as promised
 */
struct machine {
	struct kunit *test;
	u32 seed;
	struct rnd_state rnd;
	struct device *dev;
	phys_addr_t buf;
	struct cc_cpu *cpu;
	unsigned int nr_cpus;
	unsigned int running;
	bool lasts;
	u8 class[CC_NR_CLASSES];
	unsigned int nr_classes;
	unsigned long promised;
	unsigned long used;
	unsigned int depth;
	bool storm;
	bool kccd;
	unsigned long max;
	phys_addr_t *live;
	unsigned int nr_live;
	bool broken;
};

static u32 rnd(struct machine *m, u32 below)
{
	return prandom_u32_state(&m->rnd) % below;
}

static unsigned int count_nodes(void)
{
	return cc_arena.nr_nodes;
}

/* Of whatever CPU: it is the one that runs. */
static int cpu_node(unsigned int cpu)
{
	struct machine *m = current->kunit_test->priv;

	return m->running % cc_arena.nr_nodes;
}

static void run_on(struct machine *m, unsigned int cpu)
{
	struct cc_cpu *this = raw_cpu_ptr(&cc_cpu);

	if (cpu == m->running)
		return;
	memcpy(&m->cpu[m->running], this, sizeof(*this));
	memcpy(this, &m->cpu[cpu], sizeof(*this));
	m->running = cpu;
}

/* Map one slot of a class, if it is still covered. False if it is not. */
static bool map_one(struct machine *m, unsigned int nr)
{
	struct cc_class *class = &cc_classes[nr];
	unsigned long attrs = 0;
	phys_addr_t tlb;

	if (m->broken || m->used + BIT(class->shift) > m->promised ||
	    m->nr_live + CONTEXTS > MAX_LIVE)
		return false;
	m->used += BIT(class->shift);
	if (m->lasts && rnd(m, 2))
		attrs = DMA_ATTR_SKIP_CPU_SYNC;
	tlb = cc_swiotlb_map(m->dev, m->buf, BIT(class->shift), 0, attrs);
	if (!cc_test_failed(tlb)) {
		m->live[m->nr_live++] = tlb;
		if (cc_chunk_by_addr(tlb)->class == class ||
		    (attrs && cc_chunk_by_addr(tlb)->class == &cc_classes[CC_LASTING]))
			return true;
	}
	if (!m->broken)
		KUNIT_FAIL(m->test, SEED_FMT, m->seed, BIT(class->shift),
			   cc_test_failed(tlb) ? "not mapped" : "of a larger class",
			   m->running, m->nr_cpus, cc_arena.nr_nodes, m->depth, m->nr_classes,
			   m->used, m->promised, cc_swiotlb.reserve_bytes);
	m->broken = true;
	return false;
}

/* An interrupt, in the middle of taking slots. */
static void interrupt(struct cc_class *class)
{
	struct machine *m = current->kunit_test->priv;

	if (m->depth == CONTEXTS - 1)
		return;
	m->depth++;
	if (m->storm)
		map_one(m, class - cc_classes);
	else
		for (unsigned int n = rnd(m, 4); n--; )
			map_one(m, m->class[rnd(m, m->nr_classes)]);
	m->depth--;
}

/* Each CPU takes as many batches of each class as it can, and uses little of them. */
static void strand_batches(struct machine *m)
{
	m->storm = true;
	for (unsigned int cpu = 0; cpu < m->nr_cpus; cpu++) {
		run_on(m, cpu);
		for (unsigned int i = 0; i < m->nr_classes; i++)
			map_one(m, m->class[i]);
	}
	m->storm = false;
}

/* Whatever kccd does without memory, what is promised stays. */
static void run_kccd(struct machine *m)
{
	if (!rnd(m, 4))
		cc_kccd_reclaim();
	if (!rnd(m, 4))
		cc_kccd_set_mark(&cc_classes[m->class[rnd(m, m->nr_classes)]], rnd(m, 16));
	if (m->max && !rnd(m, 4))
		cc_kccd_set(&cc_swiotlb.max, m->max);
	cc_test_now += rnd(m, 2 * HZ);
	cc_kccd_pass(cc_test_now);
}

/* Use up all that is promised, most of it on one CPU. */
static void use_up(struct machine *m)
{
	unsigned int hot = rnd(m, m->nr_cpus), i;
	bool any = true;

	while (any) {
		run_on(m, rnd(m, 4) ? hot : rnd(m, m->nr_cpus));
		i = rnd(m, m->nr_classes);
		any = map_one(m, m->class[i]);
		/* Not that one; perhaps a smaller one. */
		for (i = 0; i < m->nr_classes && !any; i++)
			any = map_one(m, m->class[i]);
		if (m->kccd && !rnd(m, 64))
			run_kccd(m);
	}
}

static void choose_classes(struct machine *m)
{
	m->nr_classes = 0;
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		if (cc_classes[i].enabled && rnd(m, 2))
			m->class[m->nr_classes++] = i;
	if (!m->nr_classes)
		m->class[m->nr_classes++] = CC_CHUNK_CLASS;
}

/* What so many CPUs would have; and fewer, as at a low limit. */
static void choose_magazines(struct machine *m)
{
	unsigned long bytes = (SZ_64M >> rnd(m, 8)) / 3 / m->nr_cpus;

	for (unsigned int i = 0; i < CC_NR_CLASSES; i++) {
		struct cc_class *class = &cc_classes[i];

		class->mag_size = min(bytes >> class->shift, 128);
		class->batch = clamp(BATCH_BYTES >> class->shift, 1,
				     min_not_zero(class->mag_size, 16));
	}
}

static void random_options(struct machine *m, struct cc_options *opts)
{
	cc_test_options(opts);
	opts->max = SZ_64M;
	opts->reserve = SZ_1M + rnd(m, SZ_16M);
	if (rnd(m, 2))
		opts->classes = (prandom_u32_state(&m->rnd) & CC_TEST_CLASSES) |
				BIT(CC_CHUNK_SHIFT);
	for (unsigned int n = rnd(m, 4); n--; ) {
		unsigned int i = rnd(m, CC_CHUNK_CLASS + 1);

		opts->mark[i] = rnd(m, SZ_1M >> (i + CC_SLOT_MIN_SHIFT));
	}
}

/* Each by a CPU of its node, as the one was that has mapped it, if its magazine had it. */
static void give_all(struct machine *m)
{
	while (m->nr_live) {
		phys_addr_t tlb = m->live[--m->nr_live];
		unsigned int nid = cc_chunk_by_addr(tlb)->nid;

		if (nid < m->nr_cpus)
			run_on(m, nid);
		cc_test_give(tlb);
	}
}

/* Give back what all CPUs hold, and make their counters those of this one. */
static void merge_cpus(struct machine *m)
{
	struct cc_cpu *this = raw_cpu_ptr(&cc_cpu);

	for (unsigned int cpu = 0; cpu < m->nr_cpus; cpu++) {
		run_on(m, cpu);
		cc_test_drain_all();
	}
	run_on(m, 0);
	for (unsigned int cpu = 1; cpu < m->nr_cpus; cpu++)
		for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
			for (unsigned int c = 0; c < CC_NR_COUNTERS; c++)
				this->mag[i].count[c] += m->cpu[cpu].mag[i].count[c];
}

/* Some CPUs have mapped before, and kccd has given their nodes a part of the reserve. */
static void spread_reserve(struct machine *m)
{
	for (unsigned int nid = 0; nid < cc_arena.nr_nodes; nid++)
		if (rnd(m, 2))
			cc_reserve_use(nid);
	cc_kccd_ask(CC_ASK_ALL);
	cc_test_grow();
}

/* One that leaves room for what is kept, but not for all that is shared. */
static unsigned long lower_limit(struct machine *m)
{
	unsigned long kept;

	guard(mutex)(&cc_swiotlb.mutex);
	kept = max(cc_swiotlb.reserve_min + cc_marks_bytes(NULL), CC_MAX_LEAST);
	return cc_swiotlb.shared > kept ?
		cc_swiotlb.shared - rnd(m, cc_swiotlb.shared - kept) : 0;
}

/* Bytes that the guarantee is about. */
static unsigned long promise(struct machine *m)
{
	unsigned long reserve = min(cc_swiotlb.reserve_bytes, cc_swiotlb.reserve_min);
	/* What lasts is a class of its own. */
	unsigned long waste = (m->nr_classes + m->lasts) *
		(cc_arena.nr_nodes * SZ_512K + m->nr_cpus * CONTEXTS * BATCH_BYTES);

	/* That much goes back, in whole blocks. */
	if (m->max)
		waste += cc_swiotlb.shared - m->max + BIT(CC_BLOCK_SHIFT);
	return reserve > waste ? reserve - waste : 0;
}

static void one_machine(struct kunit *test, struct machine *m)
{
	struct cc_options opts;

	prandom_seed_state(&m->rnd, m->seed);
	cc_arena_reset(m->seed);
	cc_arena.max_shift = CC_CHUNK_SHIFT + rnd(m, CC_BLOCK_SHIFT - CC_CHUNK_SHIFT + 1);
	cc_arena.nr_nodes = 1 + rnd(m, rnd(m, MAX_NODES) + 1);
	random_options(m, &opts);
	m->running = 0;
	cc_test_start_with(test, &opts, false);
	spread_reserve(m);

	m->nr_cpus = 1 + rnd(m, rnd(m, MAX_CPUS) + 1);
	memset(m->cpu, 0, m->nr_cpus * sizeof(*m->cpu));
	m->nr_live = 0;
	m->used = 0;
	m->kccd = rnd(m, 2);
	m->max = m->kccd && rnd(m, 2) ? lower_limit(m) : 0;
	choose_magazines(m);
	choose_classes(m);
	m->lasts = rnd(m, 2);
	m->promised = promise(m);

	/* From here on nothing can be had. */
	cc_arena.limit = 0;
	if (m->max && rnd(m, 2))
		cc_kccd_set(&cc_swiotlb.max, m->max);
	if (rnd(m, 4))
		strand_batches(m);
	use_up(m);
	give_all(m);
	merge_cpus(m);
	cc_test_check(test);
	cc_test_stop(test);
	KUNIT_EXPECT_TRUE(test, cc_arena_check());
}

/* What the guarantee promises is served, on whatever machine, in any context. */
static void guarantee_machines(struct kunit *test)
{
	struct machine *m = test->priv;
	unsigned long served = 0;
	unsigned int covered = 0, nodes = 0, lowered = 0;

	m->seed = seed ?: get_random_u32() / 2;
	kunit_info(test, "cc_swiotlb_guarantee.seed=%u, %u machines", m->seed, machines);
	for (unsigned int n = 0; n < machines && !m->broken; n++, m->seed++) {
		one_machine(test, m);
		served += m->used;
		covered += m->used > 0;
		nodes += m->used > 0 && cc_arena.nr_nodes > 1;
		lowered += m->used > 0 && cc_swiotlb.max < SZ_64M;
		cond_resched();
	}
	kunit_info(test, "%lu KiB served on %u machines, %u of several nodes, %u whose limit is lowered",
		   served >> 10, covered, nodes, lowered);
	/* On most of them the reserve covers something. */
	KUNIT_EXPECT_GT(test, covered, machines / 4);
	KUNIT_EXPECT_GT(test, nodes, machines / 16);
	KUNIT_EXPECT_GT(test, lowered, machines / 300);
}

static void free_live(void *live)
{
	kvfree(live);
}

static int guarantee_init(struct kunit *test)
{
	struct machine *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, m);
	test->priv = m;
	m->test = test;
	m->cpu = kunit_kcalloc(test, MAX_CPUS, sizeof(*m->cpu), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m->cpu);
	m->live = kvmalloc_array(MAX_LIVE, sizeof(*m->live), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m->live);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_live, m->live));
	cc_test_pin(test);
	m->dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	m->buf = virt_to_phys(cc_test_buffer(test, SZ_512K));
	cc_arena_begin(test);
	kunit_activate_static_stub(test, cc_magazine_point, interrupt);
	kunit_activate_static_stub(test, cc_count_nodes, count_nodes);
	kunit_activate_static_stub(test, cc_cpu_node, cpu_node);
	kunit_activate_static_stub(test, cc_page_node, cc_arena_page_node);
	return 0;
}

static void guarantee_exit(struct kunit *test)
{
	cc_test_stop(test);
	cc_arena_end();
}

static struct kunit_case guarantee_cases[] = {
	KUNIT_CASE_SLOW(guarantee_machines),
	{}
};

static struct kunit_suite guarantee_suite = {
	.name = "cc_swiotlb_guarantee",
	.init = guarantee_init,
	.exit = guarantee_exit,
	.test_cases = guarantee_cases,
};

kunit_test_suite(guarantee_suite);

MODULE_DESCRIPTION("The guarantee of cc-swiotlb");
MODULE_LICENSE("GPL");
