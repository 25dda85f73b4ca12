// SPDX-License-Identifier: GPL-2.0-only
/*
 * What people and tools see: that the files of debugfs and sysfs say what is,
 * and that what is written to them is checked, and has happened on return.
 */
#include <linux/cc_loan.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "cc_test.h"

#define SYSFS		"kernel/mm/cc_swiotlb/"
#define DEBUGFS		"swiotlb/cc/"
#define NR_MAPS		40
/* A size that slots of 4 KiB serve. */
#define SIZE		3000

struct stats_test {
	struct device *dev;
	phys_addr_t buf;
	phys_addr_t tlb[NR_MAPS];
};

static int stats_init(struct kunit *test)
{
	struct stats_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	cc_test_pin(test);
	cc_fake_begin(test);
	cc_test_start(test);
	cc_test_files(test);
	t->dev = cc_test_device(test, DMA_BIT_MASK(64), 0);
	t->buf = virt_to_phys(cc_test_buffer(test, SZ_512K));
	return 0;
}

static void stats_exit(struct kunit *test)
{
	cc_test_stop(test);
	cc_fake_end(test);
}

static void take(struct kunit *test, unsigned int nr, size_t size)
{
	struct stats_test *t = test->priv;

	for (unsigned int i = 0; i < nr; i++) {
		t->tlb[i] = cc_swiotlb_map(t->dev, t->buf, size, 0, 0);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(t->tlb[i]));
	}
}

static void give(struct kunit *test, unsigned int nr)
{
	struct stats_test *t = test->priv;

	for (unsigned int i = 0; i < nr; i++)
		cc_test_give(t->tlb[i]);
}

static const char *debugfs(struct kunit *test, const char *path)
{
	return cc_test_read(test, "debugfs", path);
}

static int reset(struct kunit *test)
{
	return cc_test_write(test, "debugfs", DEBUGFS "reset", "0\n");
}

/* The columns of stats that follow the size of the slots. */
enum column {
	SLOTS, IN_USE, HIGH, CACHED, DEPOT, MAPS, REQUESTED, SLOT_BYTES, HITS,
	INBOX_HITS, DEPOT_HITS, POOL_HITS, RESERVE, REMOTE, LARGER, LEGACY, FAILED,
	NR_COLUMNS
};

/* The numbers of the line of @text that starts with @name. */
static bool find_row(const char *text, const char *name, unsigned long *col,
		     unsigned int nr)
{
	const char *line = text;

	for (; line && *line; line = strchr(line, '\n') ?: "", line += !!*line) {
		char *at = skip_spaces(line);

		if (strncmp(at, name, strlen(name)) || at[strlen(name)] != ' ')
			continue;
		at += strlen(name);
		for (unsigned int i = 0; i < nr; i++) {
			int len;

			if (sscanf(at, "%lu%n", &col[i], &len) != 1)
				return false;
			at += len;
		}
		return true;
	}
	return false;
}

static void stats_row(struct kunit *test, const char *name, unsigned long *col)
{
	KUNIT_ASSERT_TRUE_MSG(test, find_row(debugfs(test, DEBUGFS "stats"), name, col,
					     NR_COLUMNS), "no row %s", name);
}

/* Each number of a row, from the first mapping to the last. */
static void stats_table(struct kunit *test)
{
	struct cc_class *class = &cc_classes[cc_test_class(SIZE)];
	unsigned long col[NR_COLUMNS], batches;

	cc_test_enlarge(class, 16);
	KUNIT_EXPECT_EQ(test, 0, reset(test));
	take(test, NR_MAPS, SIZE);
	stats_row(test, "4096", col);
	batches = DIV_ROUND_UP(NR_MAPS, class->batch);
	KUNIT_EXPECT_EQ(test, col[SLOTS], class->nr_slots);
	KUNIT_EXPECT_EQ(test, col[SLOTS], SZ_512K / SZ_4K);
	KUNIT_EXPECT_EQ(test, col[IN_USE], NR_MAPS);
	KUNIT_EXPECT_EQ(test, col[HIGH], batches * class->batch);
	KUNIT_EXPECT_EQ(test, col[CACHED], batches * class->batch - NR_MAPS);
	KUNIT_EXPECT_EQ(test, col[DEPOT], 0);
	KUNIT_EXPECT_EQ(test, col[MAPS], NR_MAPS);
	KUNIT_EXPECT_EQ(test, col[REQUESTED], NR_MAPS * SIZE);
	KUNIT_EXPECT_EQ(test, col[SLOT_BYTES], NR_MAPS * SZ_4K);
	KUNIT_EXPECT_EQ(test, col[HITS], NR_MAPS - batches);
	KUNIT_EXPECT_EQ(test, col[POOL_HITS], batches - 1);
	KUNIT_EXPECT_EQ(test, col[RESERVE], 1);
	KUNIT_EXPECT_EQ(test, col[DEPOT_HITS] + col[LARGER] + col[LEGACY] + col[FAILED], 0);

	give(test, NR_MAPS);
	cc_test_drain_all();
	stats_row(test, "4096", col);
	KUNIT_EXPECT_EQ(test, col[IN_USE], 0);
	KUNIT_EXPECT_EQ(test, col[CACHED], 0);
	KUNIT_EXPECT_EQ(test, col[DEPOT], batches * class->batch);
	KUNIT_EXPECT_EQ(test, col[MAPS], NR_MAPS);
	take(test, 1, SIZE);
	stats_row(test, "4096", col);
	KUNIT_EXPECT_EQ(test, col[DEPOT_HITS], 1);
	KUNIT_EXPECT_EQ(test, col[HITS], NR_MAPS - batches);
	give(test, 1);
}

/* The last row is the sum of the others; there is one for each size in use. */
static void stats_total(struct kunit *test)
{
	unsigned long total[NR_COLUMNS] = { 0 }, col[NR_COLUMNS];
	struct stats_test *t = test->priv;
	unsigned int rows = 0;
	const char *text;
	phys_addr_t tlb[CC_CHUNK_CLASS + 1];

	for (unsigned int i = 0; i < CC_CHUNK_CLASS + 1; i++) {
		tlb[i] = cc_swiotlb_map(t->dev, t->buf, 512 << i, 0, 0);
		KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb[i]));
		cc_test_grow();
	}
	cc_swiotlb_fallback(t->dev, t->buf, SZ_4K, 0, false, DMA_ATTR_NO_WARN);
	text = debugfs(test, DEBUGFS "stats");
	for (unsigned int i = 0; i < CC_CHUNK_CLASS + 1; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%u", 512 << i);
		if (!find_row(text, name, col, NR_COLUMNS))
			continue;
		rows++;
		for (unsigned int j = 0; j < NR_COLUMNS; j++)
			total[j] += col[j];
	}
	KUNIT_EXPECT_EQ(test, rows, CC_CHUNK_CLASS + 1);
	KUNIT_ASSERT_TRUE(test, find_row(text, "total", col, NR_COLUMNS));
	KUNIT_EXPECT_MEMEQ(test, col, total, sizeof(col));
	KUNIT_EXPECT_EQ(test, col[IN_USE], CC_CHUNK_CLASS + 1);
	KUNIT_EXPECT_GE(test, col[FAILED], 1);
	cc_classes[0].enabled = false;
	KUNIT_EXPECT_FALSE(test, find_row(debugfs(test, DEBUGFS "stats"), "512", col, NR_COLUMNS));
	cc_classes[0].enabled = true;
	for (unsigned int i = 0; i < CC_CHUNK_CLASS + 1; i++)
		cc_test_give(tlb[i]);
}

/* Counters start again; what is mapped is known all the same. */
static void stats_reset(struct kunit *test)
{
	struct cc_class *class = &cc_classes[cc_test_class(SIZE)];
	unsigned long col[NR_COLUMNS];

	take(test, NR_MAPS, SIZE);
	KUNIT_EXPECT_EQ(test, -EINVAL,
			cc_test_write(test, "debugfs", DEBUGFS "reset", "1\n"));
	stats_row(test, "4096", col);
	KUNIT_EXPECT_GE(test, col[MAPS], NR_MAPS);
	give(test, NR_MAPS / 2);
	cc_test_drain_all();
	KUNIT_EXPECT_EQ(test, 0, reset(test));
	stats_row(test, "4096", col);
	for (unsigned int i = MAPS; i < NR_COLUMNS; i++)
		KUNIT_EXPECT_EQ_MSG(test, col[i], 0, "column %u", i);
	KUNIT_EXPECT_EQ(test, col[IN_USE], NR_MAPS / 2);
	KUNIT_EXPECT_EQ(test, col[HIGH], class->nr_slots - cc_class_free(class));
	KUNIT_EXPECT_EQ(test, cc_used_bytes(), NR_MAPS / 2 * SZ_4K);
	KUNIT_EXPECT_FALSE(test, find_row(debugfs(test, DEBUGFS "percpu"), "0   4096", col, 8));
	KUNIT_EXPECT_TRUE(test, find_row(debugfs(test, DEBUGFS "kccd"), "grown_bytes", col, 1));
	KUNIT_EXPECT_EQ(test, col[0], 0);
	for (unsigned int i = NR_MAPS / 2; i < NR_MAPS; i++)
		cc_test_give(((struct stats_test *)test->priv)->tlb[i]);
}

/* One line per CPU and class that was used. */
static void stats_percpu(struct kunit *test)
{
	struct cc_magazine *mag = cc_test_magazine(cc_test_class(SIZE));
	unsigned long col[10], base[CC_NR_COUNTERS], n[CC_NR_COUNTERS];
	const char *text;

	KUNIT_EXPECT_EQ(test, 0, reset(test));
	memcpy(base, mag->count, sizeof(base));
	take(test, 3, SIZE);
	for (unsigned int i = 0; i < CC_NR_COUNTERS; i++)
		n[i] = mag->count[i] - base[i];
	text = debugfs(test, DEBUGFS "percpu");
	KUNIT_ASSERT_TRUE(test, find_row(text, "0   4096", col, ARRAY_SIZE(col)));
	KUNIT_EXPECT_EQ(test, col[0], cc_chain_count(mag->loaded));
	KUNIT_EXPECT_EQ(test, col[1], cc_chain_count(mag->spare));
	KUNIT_EXPECT_EQ(test, col[2], cc_chain_count(mag->foreign));
	KUNIT_EXPECT_EQ(test, col[3], n[CC_MAPS]);
	KUNIT_EXPECT_EQ(test, col[4], n[CC_UNMAPS]);
	KUNIT_EXPECT_EQ(test, col[5], n[CC_MAPS] - n[CC_INBOX] - n[CC_DEPOT] -
				      n[CC_POOL] - n[CC_RESERVE]);
	KUNIT_EXPECT_EQ(test, col[6], n[CC_INBOX]);
	KUNIT_EXPECT_EQ(test, col[7], n[CC_DEPOT]);
	KUNIT_EXPECT_EQ(test, col[8], n[CC_POOL]);
	KUNIT_EXPECT_EQ(test, col[9], n[CC_RESERVE]);
	give(test, 3);
}

/* The sizes that were asked for, since the reset. */
static void stats_histogram(struct kunit *test)
{
	static const char want[] =
		"up_to 1 1\nup_to 512 2\nup_to 4096 3\nup_to 524288 2\n"
		"share_up_to 512 37.5%\nshare_up_to 2048 37.5%\n"
		"share_up_to 4096 75.0%\nshare_up_to 16384 75.0%\n"
		"share_up_to 524288 100.0%\n";
	static const size_t sizes[] = {
		1, 300, 512, 3000, 4095, SZ_4K, SZ_512K - 1, SZ_512K,
	};

	KUNIT_EXPECT_EQ(test, 0, reset(test));
	KUNIT_EXPECT_STREQ(test, debugfs(test, DEBUGFS "histogram"),
			   "share_up_to 512 0.0%\nshare_up_to 2048 0.0%\n"
			   "share_up_to 4096 0.0%\nshare_up_to 16384 0.0%\n"
			   "share_up_to 524288 0.0%\n");
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		take(test, 1, sizes[i]);
		give(test, 1);
	}
	KUNIT_EXPECT_STREQ(test, debugfs(test, DEBUGFS "histogram"), want);
}

/* One line per chunk, with its state. */
static void stats_chunks(struct kunit *test)
{
	struct stats_test *t = test->priv;
	const char *text;
	char line[64];
	unsigned int lines = 0;

	take(test, 1, SIZE);
	text = debugfs(test, DEBUGFS "chunks");
	for (const char *c = text; *c; c++)
		lines += *c == '\n';
	KUNIT_EXPECT_EQ(test, lines - 1, cc_swiotlb.shared / SZ_512K);
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, "reserve"));
	/* The first batch of the only chunk of its class is out. */
	snprintf(line, sizeof(line), "%#18llx %5u    4096 %7u     used",
		 (u64)cc_chunk_by_addr(t->tlb[0])->pool.start, 19 - PAGE_SHIFT,
		 SZ_512K / SZ_4K - cc_classes[cc_test_class(SIZE)].batch);
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, line), "%s", line);
	give(test, 1);
	cc_test_drain_all();
	cc_depot_drain(&cc_classes[cc_test_class(SIZE)], 0, UINT_MAX);
	text = debugfs(test, DEBUGFS "chunks");
	snprintf(line, sizeof(line), "   4096 %7u    empty", SZ_512K / SZ_4K);
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, line), "%s", line);
	KUNIT_EXPECT_NULL(test, strstr(text, "used"));
}

/* Loans, in a file of their own; they are slots that are in use, too. */
static void stats_loans(struct kunit *test)
{
	unsigned long size = SZ_16K, val;
	struct page *page[3];
	struct {
		const char *key;
		unsigned long want;
	} keys[] = {
		{ "used_bytes", 2 * size },
		{ "held_bytes", size },
		{ "budget_bytes", cc_swiotlb.max / CC_LOAN_SHARE },
		{ "allocs", 3 },
		{ "frees", 2 },
		{ "none", 0 },
		{ "over_budget", 0 },
	};
	char line[32];
	const char *text;

	cc_test_lend(test);
	KUNIT_EXPECT_EQ(test, 0, reset(test));
	for (unsigned int i = 0; i < ARRAY_SIZE(page); i++) {
		page[i] = cc_loan_alloc(size, NUMA_NO_NODE);
		KUNIT_ASSERT_NOT_NULL(test, page[i]);
	}
	get_page(page[0]);
	cc_loan_free(page[0], size);
	cc_loan_free(page[1], size);
	text = debugfs(test, DEBUGFS "loans");
	for (unsigned int i = 0; i < ARRAY_SIZE(keys); i++) {
		KUNIT_EXPECT_TRUE_MSG(test, find_row(text, keys[i].key, &val, 1),
				      "no %s", keys[i].key);
		KUNIT_EXPECT_EQ_MSG(test, val, keys[i].want, "%s", keys[i].key);
	}
	snprintf(line, sizeof(line), "%lu\n", 2 * size);
	KUNIT_EXPECT_STREQ(test, cc_test_read(test, "sysfs", SYSFS "loan_bytes"), line);
	KUNIT_EXPECT_STREQ(test, cc_test_read(test, "sysfs", SYSFS "used_bytes"), line);
	put_page(page[0]);
	cc_loan_free(page[2], size);
	cc_test_tick();
	KUNIT_EXPECT_EQ(test, 0, reset(test));
	text = debugfs(test, DEBUGFS "loans");
	KUNIT_EXPECT_TRUE(test, find_row(text, "allocs", &val, 1));
	KUNIT_EXPECT_EQ(test, val, 0);
	KUNIT_EXPECT_TRUE(test, find_row(text, "used_bytes", &val, 1));
	KUNIT_EXPECT_EQ(test, val, 0);
}

/* Coherent allocations, in a file of their own. */
static void stats_coherent(struct kunit *test)
{
	unsigned long size = 3 * PAGE_SIZE, val;
	struct stats_test *t = test->priv;
	struct page *page[3];
	struct {
		const char *key;
		unsigned long want;
	} keys[] = {
		{ "used_bytes", size },
		{ "used_peak_bytes", 3 * size },
		{ "held_bytes", size },
		{ "free_bytes", SZ_512K - 2 * size },
		{ "chunk_bytes", SZ_512K },
		{ "allocs", 3 },
		{ "frees", 2 },
		{ "other", 1 },
	};
	char line[32];
	const char *text;

	KUNIT_EXPECT_EQ(test, 0, reset(test));
	for (unsigned int i = 0; i < ARRAY_SIZE(page); i++) {
		page[i] = cc_swiotlb_alloc_pages(t->dev, size, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, page[i]);
	}
	KUNIT_EXPECT_NULL(test, cc_swiotlb_alloc_pages(t->dev, SZ_1M, GFP_KERNEL));
	get_page(page[0]);
	cc_swiotlb_free_pages(t->dev, page_to_phys(page[0]), size);
	cc_swiotlb_free_pages(t->dev, page_to_phys(page[1]), size);
	text = debugfs(test, DEBUGFS "coherent");
	for (unsigned int i = 0; i < ARRAY_SIZE(keys); i++) {
		KUNIT_EXPECT_TRUE_MSG(test, find_row(text, keys[i].key, &val, 1),
				      "no %s", keys[i].key);
		KUNIT_EXPECT_EQ_MSG(test, val, keys[i].want, "%s", keys[i].key);
	}
	snprintf(line, sizeof(line), "%lu\n", size);
	KUNIT_EXPECT_STREQ(test, cc_test_read(test, "sysfs", SYSFS "coherent_bytes"), line);
	KUNIT_EXPECT_STREQ(test, cc_test_read(test, "sysfs", SYSFS "used_bytes"), "0\n");
	snprintf(line, sizeof(line), "%7lu %7lu coherent", PAGE_SIZE,
		 (SZ_512K - 2 * size) / PAGE_SIZE);
	text = debugfs(test, DEBUGFS "chunks");
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, line), "no %s", line);

	put_page(page[0]);
	cc_swiotlb_free_pages(t->dev, page_to_phys(page[2]), size);
	KUNIT_EXPECT_EQ(test, 0, reset(test));
	text = debugfs(test, DEBUGFS "coherent");
	KUNIT_EXPECT_TRUE(test, find_row(text, "allocs", &val, 1));
	KUNIT_EXPECT_EQ(test, val, 0);
	cc_test_tick();
}

/* What kccd has done, and what it keeps to. */
static void stats_kccd(struct kunit *test)
{
	struct cc_kccd_stats *s = &cc_kccd_stats;
	struct {
		const char *key;
		unsigned long want;
	} keys[] = {
		{ "shared_bytes", cc_swiotlb.shared },
		{ "shared_peak_bytes", cc_swiotlb.peak },
		{ "max_bytes", cc_swiotlb.max },
		{ "min_bytes", cc_swiotlb.min },
		{ "reserve_bytes", cc_swiotlb.reserve_bytes },
		{ "reserve_min_bytes", cc_swiotlb.reserve_min },
		{ "reserve_target_bytes", cc_swiotlb.target },
		{ "mark_524288", cc_classes[CC_CHUNK_CLASS].mark },
		{ "passes", s->passes },
		{ "ticks", s->ticks },
		{ "drains", s->drains },
		{ "grown_bytes", cc_swiotlb.shared },
		{ "returned_bytes", 0 },
		{ "grow_failed", 0 },
		{ "backoff_ms", 0 },
		{ "share_blocks", cc_fake.calls[CC_FAKE_SHARE] },
		{ "share_failed", 0 },
		{ "unshare_blocks", 0 },
		{ "unshare_failed", 0 },
		{ "quarantined_bytes", 0 },
	};
	const char *text = debugfs(test, DEBUGFS "kccd");
	unsigned long val;

	for (unsigned int i = 0; i < ARRAY_SIZE(keys); i++) {
		KUNIT_EXPECT_TRUE_MSG(test, find_row(text, keys[i].key, &val, 1),
				      "no %s", keys[i].key);
		KUNIT_EXPECT_EQ_MSG(test, val, keys[i].want, "%s", keys[i].key);
	}
	cc_fake_fail(CC_FAKE_MEMORY, 0, UINT_MAX);
	cc_test_log_begin(test);
	cc_swiotlb.min = cc_swiotlb.shared + 1;
	/* The file looks at the real clock: begin so that the last attempt is now. */
	cc_test_now = jiffies - 127 * CC_BACKOFF_MIN;
	for (int i = 0; i < 8; i++) {
		cc_test_now += cc_grow_backoff(cc_test_now);
		KUNIT_EXPECT_EQ(test, -EAGAIN, cc_test_grow());
	}
	cc_swiotlb.min = 0;
	cc_test_log_end(test);
	text = debugfs(test, DEBUGFS "kccd");
	KUNIT_EXPECT_TRUE(test, find_row(text, "grow_failed", &val, 1));
	KUNIT_EXPECT_EQ(test, val, 8);
	KUNIT_EXPECT_TRUE(test, find_row(text, "backoff_ms", &val, 1));
	KUNIT_EXPECT_GT(test, val, 1000);
	KUNIT_EXPECT_LE(test, val, 10000);
	cc_fake_fail(CC_FAKE_MEMORY, 0, 0);
}

static unsigned long sysfs(struct kunit *test, const char *path)
{
	unsigned long val;

	KUNIT_ASSERT_EQ_MSG(test, 0, kstrtoul(cc_test_read(test, "sysfs", path), 10, &val),
			    "%s", path);
	return val;
}

/* The numbers that monitoring relies on. */
static void sysfs_show(struct kunit *test)
{
	struct stats_test *t = test->priv;
	unsigned long failed, legacy;

	KUNIT_EXPECT_EQ(test, sysfs(test, SYSFS "shared_bytes"), cc_swiotlb.shared);
	KUNIT_EXPECT_EQ(test, sysfs(test, SYSFS "shared_peak_bytes"), cc_swiotlb.peak);
	KUNIT_EXPECT_EQ(test, sysfs(test, SYSFS "max_bytes"), cc_swiotlb.max);
	KUNIT_EXPECT_EQ(test, sysfs(test, SYSFS "min_bytes"), cc_swiotlb.min);
	KUNIT_EXPECT_EQ(test, sysfs(test, SYSFS "reserve_bytes"), cc_swiotlb.reserve_bytes);
	KUNIT_EXPECT_EQ(test, sysfs(test, SYSFS "reserve_min_bytes"), cc_swiotlb.reserve_min);
	KUNIT_EXPECT_EQ(test, sysfs(test, SYSFS "slots-524288/mark"),
			cc_classes[CC_CHUNK_CLASS].mark);
	KUNIT_EXPECT_EQ(test, sysfs(test, SYSFS "quarantined_bytes"), 0);
	KUNIT_EXPECT_EQ(test, sysfs(test, SYSFS "used_bytes"), 0);
	take(test, 5, SIZE);
	KUNIT_EXPECT_EQ(test, sysfs(test, SYSFS "used_bytes"), 5 * SZ_4K);
	give(test, 5);

	/* Since boot, whatever is reset. */
	KUNIT_EXPECT_EQ(test, 0, reset(test));
	failed = sysfs(test, SYSFS "map_failures");
	legacy = sysfs(test, SYSFS "legacy_maps");
	cc_test_log_begin(test);
	cc_swiotlb_fallback(t->dev, t->buf, SZ_4K, 0, false, DMA_ATTR_NO_WARN);
	cc_swiotlb_fallback(t->dev, t->buf, SZ_4K, 0, true, 0);
	cc_swiotlb_fallback(t->dev, t->buf, SZ_64K, 0, true, 0);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, sysfs(test, SYSFS "map_failures"), failed + 1);
	KUNIT_EXPECT_EQ(test, sysfs(test, SYSFS "legacy_maps"), legacy + 2);
	KUNIT_EXPECT_EQ(test, 0, reset(test));
	KUNIT_EXPECT_EQ(test, sysfs(test, SYSFS "map_failures"), failed + 1);
}

/* Files that cannot be written, and what must not be. */
struct store_param {
	const char *file;
	const char *text;
	int err;
	unsigned long *field;
	unsigned long want;
};

#define MARK(size)	SYSFS "slots-" #size "/mark"

static const struct store_param store_params[] = {
	{ SYSFS "max_bytes", "64M", 0, &cc_swiotlb.max, SZ_64M },
	{ SYSFS "max_bytes", "64M\n", 0, &cc_swiotlb.max, SZ_64M },
	{ SYSFS "max_bytes", "065536k\n", 0, &cc_swiotlb.max, SZ_64M },
	{ SYSFS "max_bytes", "0x4000000\n", 0, &cc_swiotlb.max, SZ_64M },
	{ SYSFS "min_bytes", "16M\n", 0, &cc_swiotlb.min, SZ_16M },
	{ SYSFS "reserve_min_bytes", "16M\n", 0, &cc_swiotlb.reserve_min, SZ_16M },
	{ SYSFS "max_bytes", "\n", -EINVAL },
	{ SYSFS "max_bytes", "x\n", -EINVAL },
	{ SYSFS "max_bytes", "-1\n", -EINVAL },
	{ SYSFS "max_bytes", "64M x\n", -EINVAL },
	{ SYSFS "max_bytes", "64MB\n", -EINVAL },
	{ SYSFS "max_bytes", "64M\njunk", -EINVAL },
	{ SYSFS "max_bytes", "64M\n\n", -EINVAL },
	{ SYSFS "max_bytes", "50%\n", -EINVAL },
	{ SYSFS "max_bytes", "1024P\n", -ERANGE },
	{ SYSFS "min_bytes", "1024P\n", -ERANGE },
	{ SYSFS "max_bytes", "1M\n", -EINVAL },
	{ SYSFS "max_bytes", "0\n", -EINVAL },
	{ SYSFS "min_bytes", "129M\n", -EINVAL },
	{ SYSFS "reserve_min_bytes", "129M\n", -EINVAL },
	{ SYSFS "shared_bytes", "1\n", -EACCES },
	{ SYSFS "reserve_bytes", "16M\n", -EACCES },
	{ MARK(4096), "0100\n", 0, &cc_classes[3].mark, 100 },
	{ MARK(4096), "200", 0, &cc_classes[3].mark, 200 },
	{ MARK(512), "0x10\n", 0, &cc_classes[0].mark, 16 },
	{ MARK(524288), "4\n", 0, &cc_classes[10].mark, 4 },
	{ MARK(4096), "0\n", 0, &cc_classes[3].mark, 0 },
	/* Modulo 64 bits this is nothing, and 64 MiB. */
	{ SYSFS "reserve_min_bytes", "17179869184G\n", -ERANGE },
	{ SYSFS "max_bytes", "18446744073776660480\n", -ERANGE },
	{ MARK(524288), "0\n", -EINVAL },
	{ MARK(4096), "\n", -EINVAL },
	{ MARK(4096), "x\n", -EINVAL },
	{ MARK(4096), "-1\n", -EINVAL },
	{ MARK(4096), "1 2\n", -EINVAL },
	{ MARK(4096), "4K\n", -EINVAL },
	{ MARK(4096), "18446744073709551616\n", -ERANGE },
	{ MARK(524288), "257\n", -EINVAL },
	{ MARK(4096), "32769\n", -EINVAL },
};

static void store_desc(const struct store_param *p, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s %.*s", p->file + strlen(SYSFS),
		 (int)strcspn(p->text, "\n"), p->text);
}

KUNIT_ARRAY_PARAM(store, store_params, store_desc);

/* A write is refused and changes nothing, or kccd hears of it and does it. */
static void sysfs_store(struct kunit *test)
{
	const struct store_param *p = test->param_value;
	unsigned long max = cc_swiotlb.max, min = cc_swiotlb.min, reserve = cc_swiotlb.reserve_min;
	unsigned long mark[CC_NR_CLASSES], later = cc_test_now + CC_BACKOFF_MIN;

	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		mark[i] = cc_classes[i].mark;
	KUNIT_EXPECT_EQ(test, p->err, cc_test_write(test, "sysfs", p->file, p->text));
	if (p->field) {
		KUNIT_EXPECT_EQ(test, *p->field, p->want);
	} else {
		KUNIT_EXPECT_EQ(test, cc_swiotlb.max, max);
		KUNIT_EXPECT_EQ(test, cc_swiotlb.min, min);
		KUNIT_EXPECT_EQ(test, cc_swiotlb.reserve_min, reserve);
		for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
			KUNIT_EXPECT_EQ(test, cc_classes[i].mark, mark[i]);
	}
	KUNIT_EXPECT_GE(test, cc_swiotlb.target, cc_swiotlb.reserve_min);
	KUNIT_EXPECT_EQ(test, cc_kccd_pending(later), !p->err);
	KUNIT_EXPECT_EQ(test, 0, cc_test_grow());
	KUNIT_EXPECT_GE(test, cc_swiotlb.shared, cc_swiotlb.min);
	KUNIT_EXPECT_GE(test, cc_swiotlb.reserve_bytes, cc_swiotlb.reserve_min);
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		KUNIT_EXPECT_GE(test, cc_class_free(&cc_classes[i]), cc_classes[i].mark);
	cc_test_check(test);
}

/* A lower limit stops growth, and takes what is free, even of the reserve. */
static void sysfs_lower_limit(struct kunit *test)
{
	unsigned long before;

	take(test, 32, SZ_512K / 2);
	cc_test_grow();
	before = cc_swiotlb.shared;
	KUNIT_ASSERT_GT(test, before, SZ_16M);
	KUNIT_ASSERT_GT(test, cc_swiotlb.target, SZ_8M);
	cc_test_log_begin(test);
	KUNIT_EXPECT_EQ(test, 0, cc_test_write(test, "sysfs", SYSFS "max_bytes", "16M"));
	KUNIT_EXPECT_EQ(test, cc_swiotlb.target, max(cc_swiotlb.reserve_min, SZ_4M));
	cc_test_grow();
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, SZ_16M);
	before = cc_swiotlb.shared;
	cc_swiotlb.target = cc_swiotlb.reserve_bytes + SZ_2M;
	KUNIT_EXPECT_EQ(test, -EAGAIN, cc_test_grow());
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, before);
	cc_swiotlb.target = cc_swiotlb.reserve_min;
	give(test, 32);
	cc_test_settle(test);
	cc_test_log_end(test);
	KUNIT_EXPECT_LE(test, cc_swiotlb.shared, SZ_16M);
	cc_test_check(test);
}

static unsigned long copied(struct kunit *test, const char *path)
{
	unsigned long val = 0;

	KUNIT_EXPECT_EQ(test, 0, kstrtoul(debugfs(test, path), 10, &val));
	return val;
}

/* What swiotlb has copied, of every pool, and nothing that it has not. */
static void stats_copied(struct kunit *test)
{
	struct stats_test *t = test->priv;
	/* Its mappings are in the legacy pool: it wants too much of an address kept. */
	struct device *wide = cc_test_device(test, DMA_BIT_MASK(64), SZ_128K - 1);
	unsigned long in = copied(test, "swiotlb/io_tlb_copied_in");
	unsigned long out = copied(test, "swiotlb/io_tlb_copied_out");
	void *buf = phys_to_virt(t->buf);
	phys_addr_t tlb;
	dma_addr_t addr;

	/* A read that may be partial, and a sync of a part of it. */
	tlb = cc_test_map(t->dev, buf, SIZE, 0, DMA_FROM_DEVICE);
	KUNIT_ASSERT_NOT_NULL(test, cc_swiotlb_find_pool(tlb));
	swiotlb_sync_single_for_cpu(t->dev, tlb + 10, 100, DMA_FROM_DEVICE);
	cc_test_unmap(t->dev, tlb, SIZE, DMA_FROM_DEVICE);
	in += SIZE;
	out += SIZE + 100;
	KUNIT_EXPECT_EQ(test, copied(test, "swiotlb/io_tlb_copied_in"), in);
	KUNIT_EXPECT_EQ(test, copied(test, "swiotlb/io_tlb_copied_out"), out);

	/* One that is not, with success and without, on the fast path now. */
	for (unsigned int i = 0; i < 2; i++) {
		addr = swiotlb_map(t->dev, t->buf, SIZE, DMA_FROM_DEVICE, DMA_ATTR_OVERWRITE);
		KUNIT_ASSERT_NE(test, addr, DMA_MAPPING_ERROR);
		swiotlb_tbl_unmap_single(t->dev, dma_to_phys(t->dev, addr), SIZE,
					 DMA_FROM_DEVICE, i ? DMA_ATTR_OVERWRITE : 0);
	}
	out += SIZE;
	KUNIT_EXPECT_EQ(test, copied(test, "swiotlb/io_tlb_copied_in"), in);
	KUNIT_EXPECT_EQ(test, copied(test, "swiotlb/io_tlb_copied_out"), out);

	/* A write, in the legacy pool, and one on the fast path. */
	cc_test_log_begin(test);
	tlb = cc_test_map(wide, buf + SZ_64K, SIZE, 0, DMA_TO_DEVICE);
	cc_test_log_end(test);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(tlb));
	KUNIT_ASSERT_NULL(test, cc_swiotlb_find_pool(tlb));
	cc_test_unmap(wide, tlb, SIZE, DMA_TO_DEVICE);
	addr = swiotlb_map(t->dev, t->buf, SIZE, DMA_TO_DEVICE, 0);
	KUNIT_ASSERT_NE(test, addr, DMA_MAPPING_ERROR);
	cc_test_unmap(t->dev, dma_to_phys(t->dev, addr), SIZE, DMA_TO_DEVICE);
	in += 2 * SIZE;
	KUNIT_EXPECT_EQ(test, copied(test, "swiotlb/io_tlb_copied_in"), in);
	KUNIT_EXPECT_EQ(test, copied(test, "swiotlb/io_tlb_copied_out"), out);
}

static struct kunit_case stats_cases[] = {
	KUNIT_CASE(stats_table),
	KUNIT_CASE(stats_total),
	KUNIT_CASE(stats_reset),
	KUNIT_CASE(stats_percpu),
	KUNIT_CASE(stats_histogram),
	KUNIT_CASE(stats_chunks),
	KUNIT_CASE(stats_coherent),
	KUNIT_CASE(stats_loans),
	KUNIT_CASE(stats_kccd),
	KUNIT_CASE(stats_copied),
	KUNIT_CASE(sysfs_show),
	KUNIT_CASE_PARAM(sysfs_store, store_gen_params),
	KUNIT_CASE(sysfs_lower_limit),
	{}
};

static struct kunit_suite stats_suite = {
	.name = "cc_swiotlb_stats",
	.init = stats_init,
	.exit = stats_exit,
	.test_cases = stats_cases,
};

kunit_test_suite(stats_suite);

MODULE_DESCRIPTION("Tests of the files of cc-swiotlb");
MODULE_LICENSE("GPL");
