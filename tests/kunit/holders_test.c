// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who holds what: the file in debugfs and the line in the log name the devices
 * that have slots, first who has most of them.
 */
#include <linux/slab.h>

#include <linux/cc_loan.h>

#include "../holders.h"
#include "cc_test.h"

#define DEVICES		"swiotlb/cc/devices"
#define NR_DEVICES	(CC_NR_HOLDERS + 3)

struct holders_test {
	phys_addr_t buf;
	struct device *dev[NR_DEVICES];
	phys_addr_t tlb[NR_DEVICES];
	unsigned int nr;
};

static int holders_init(struct kunit *test)
{
	struct holders_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	cc_test_pin(test);
	cc_fake_begin(test);
	cc_test_start(test);
	cc_test_files(test);
	t->buf = virt_to_phys(cc_test_buffer(test, SZ_512K));
	for (unsigned int i = 0; i < 3; i++)
		t->dev[i] = cc_test_device(test, DMA_BIT_MASK(64), 0);
	return 0;
}

static void take(struct kunit *test, struct device *dev, size_t size)
{
	struct holders_test *t = test->priv;

	t->tlb[t->nr] = cc_swiotlb_map(dev, t->buf, size, 0, 0);
	KUNIT_ASSERT_FALSE(test, cc_test_failed(t->tlb[t->nr]));
	t->nr++;
}

static void holders_exit(struct kunit *test)
{
	struct holders_test *t = test->priv;

	while (t->nr)
		cc_test_give(t->tlb[--t->nr]);
	cc_test_stop(test);
	cc_fake_end(test);
}

static const char *devices(struct kunit *test)
{
	return cc_test_read(test, "debugfs", DEVICES);
}

/* The row of a device, and where it stands in @text. */
static const char *row(struct kunit *test, const char *text, const char *name,
		       unsigned int slots, unsigned long bytes,
		       unsigned long slot_bytes, unsigned long largest)
{
	char line[120];
	const char *at;

	snprintf(line, sizeof(line), "%-32s %8u %16lu %16lu %8lu\n", name, slots,
		 bytes, slot_bytes, largest);
	at = strstr(text, line);
	KUNIT_EXPECT_NOT_NULL_MSG(test, at, "no\n%sin\n%s", line, text);
	return at;
}

/* A row for each device that has something mapped, and no other. */
static void holders_rows(struct kunit *test)
{
	struct holders_test *t = test->priv;
	const char *text, *first, *second;

	for (unsigned int i = 0; i < 5; i++)
		take(test, t->dev[0], 3000);
	take(test, t->dev[1], 100000);
	take(test, t->dev[1], 500);
	text = devices(test);
	first = row(test, text, dev_name(t->dev[1]), 2, 100500, SZ_128K + 512, SZ_128K);
	second = row(test, text, dev_name(t->dev[0]), 5, 15000, 5 * SZ_4K, SZ_4K);
	KUNIT_EXPECT_LT(test, (unsigned long)first, (unsigned long)second);
	KUNIT_EXPECT_NULL(test, strstr(text, dev_name(t->dev[2])));
	while (t->nr > 1)
		cc_test_give(t->tlb[--t->nr]);
	text = devices(test);
	row(test, text, dev_name(t->dev[0]), 1, 3000, SZ_4K, SZ_4K);
	KUNIT_EXPECT_NULL(test, strstr(text, dev_name(t->dev[1])));
}

/* What too many devices hold is not left out. */
static void holders_many(struct kunit *test)
{
	struct holders_test *t = test->priv;

	struct page *page;
	const char *text;

	for (unsigned int i = 3; i < NR_DEVICES; i++)
		t->dev[i] = cc_test_device(test, DMA_BIT_MASK(64), 0);
	for (unsigned int i = 0; i < NR_DEVICES; i++)
		take(test, t->dev[i], SZ_4K);
	row(test, devices(test), "others", 5, 5 * SZ_4K, 5 * SZ_4K, SZ_4K);
	/* A borrower that loses its loans is found, however many devices there are. */
	cc_test_lend(test);
	page = cc_loan_alloc(SZ_64K, NUMA_NO_NODE);
	KUNIT_ASSERT_NOT_NULL(test, page);
	text = devices(test);
	cc_loan_free(page, SZ_64K);
	row(test, text, "loans", 1, SZ_64K, SZ_64K, SZ_64K);
	row(test, text, "others", 5, 5 * SZ_4K, 5 * SZ_4K, SZ_4K);
}

/* A device that goes away while its name is read faults nobody. */
static void holders_gone(struct kunit *test)
{
	struct holders_test *t = test->priv;
	struct cc_chunk *chunk;
	struct cc_slot *slot;
	const char *text;

	if (IS_ENABLED(CONFIG_UML))
		kunit_skip(test, "not on UML, where such a read is not caught");
	take(test, t->dev[0], SZ_4K);
	take(test, t->dev[1], SZ_4K);
	chunk = cc_chunk_by_addr(t->tlb[0]);
	slot = cc_slot_by_index(cc_index_by_addr(chunk, t->tlb[0]));
	slot->dev = (struct device *)16;
	text = devices(test);
	slot->dev = t->dev[0];
	row(test, text, dev_name(t->dev[1]), 1, SZ_4K, SZ_4K, SZ_4K);
	KUNIT_EXPECT_NULL(test, strstr(text, dev_name(t->dev[0])));
}

/* After a mapping has failed the log says who holds most, once a minute. */
static void holders_report(struct kunit *test)
{
	struct holders_test *t = test->priv;
	char text[80];

	for (unsigned int i = 0; i < 4; i++)
		take(test, t->dev[0], SZ_4K);
	take(test, t->dev[1], SZ_4K);
	snprintf(text, sizeof(text), "%s 16 KiB in 4 slots, %s 4 KiB in 1 slots",
		 dev_name(t->dev[0]), dev_name(t->dev[1]));
	cc_test_log_begin(test);
	cc_kccd_pass(cc_test_now);
	for (unsigned int i = 0; i < 3; i++) {
		cc_swiotlb_fallback(t->dev[2], t->buf, SZ_4K, 0, false, 0);
		if (!i)
			KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
		cc_kccd_pass(cc_test_now);
		cc_test_now += CC_HOLDERS_INTERVAL / 3;
	}
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("cc-swiotlb: most is held by", text));
	/* What has failed within the interval is reported after it. */
	cc_test_log_begin(test);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now));
	cc_kccd_pass(cc_test_now);
	KUNIT_EXPECT_FALSE(test, cc_kicks.holders);
	cc_test_now += CC_HOLDERS_INTERVAL;
	cc_swiotlb_fallback(t->dev[2], t->buf, SZ_4K, 0, true, 0);
	cc_kccd_pass(cc_test_now);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("cc-swiotlb: most is held by", text));
}

static bool still_asked;

static void note_asked(struct page *page, unsigned int order, bool share)
{
	still_asked = READ_ONCE(cc_kicks.holders);
}

/* To look at all slots takes long: memory comes first, when mappings fail. */
static void holders_last(struct kunit *test)
{
	struct holders_test *t = test->priv;

	for (unsigned int i = 0; i < 6; i++)
		take(test, t->dev[0], SZ_512K);
	cc_test_log_begin(test);
	cc_swiotlb_fallback(t->dev[2], t->buf, SZ_4K, 0, false, 0);
	cc_kccd_ask(CC_ASK_ALL);
	still_asked = false;
	cc_fake.converted = note_asked;
	cc_kccd_pass(cc_test_now);
	cc_fake.converted = NULL;
	cc_test_log_end(test);
	KUNIT_EXPECT_TRUE(test, still_asked);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("cc-swiotlb: most is held by", ""));
}

/* However many mappings fail within the minute, kccd is woken once, and then by a timer. */
static void holders_wakes(struct kunit *test)
{
	unsigned int queued = 0;

	cc_test_log_begin(test);
	cc_kccd_kick(CC_KICK_HOLDERS);
	cc_test_tick();
	cc_test_settle(test);
	cc_test_log_end(test);
	cc_kccd_pass(cc_test_now);
	irq_work_sync(&cc_kicks.work);
	for (int i = 0; i < 3; i++) {
		local_irq_disable();
		cc_kccd_kick(CC_KICK_HOLDERS);
		queued += irq_work_is_pending(&cc_kicks.work);
		local_irq_enable();
		irq_work_sync(&cc_kicks.work);
	}
	KUNIT_EXPECT_EQ(test, queued, 1);
	KUNIT_EXPECT_FALSE(test, cc_kccd_pending(cc_test_now));
	KUNIT_EXPECT_LE(test, cc_kccd_pass(cc_test_now), CC_HOLDERS_INTERVAL);
	KUNIT_EXPECT_TRUE(test, cc_kccd_pending(cc_test_now + CC_HOLDERS_INTERVAL));
}

static struct kunit_case holders_cases[] = {
	KUNIT_CASE(holders_rows),
	KUNIT_CASE(holders_many),
	KUNIT_CASE(holders_gone),
	KUNIT_CASE(holders_report),
	KUNIT_CASE(holders_last),
	KUNIT_CASE(holders_wakes),
	{}
};

static struct kunit_suite holders_suite = {
	.name = "cc_swiotlb_holders",
	.init = holders_init,
	.exit = holders_exit,
	.test_cases = holders_cases,
};

kunit_test_suite(holders_suite);

MODULE_DESCRIPTION("Tests of who holds what in cc-swiotlb");
MODULE_LICENSE("GPL");
