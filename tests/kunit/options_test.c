// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command line: what each string gives, and what is refused.
 */
#include <linux/slab.h>
#include <linux/string.h>

#include "cc_test.h"

#define RAM	SZ_1G
#define ALL	GENMASK(CC_SLOT_MAX_SHIFT, CC_SLOT_MIN_SHIFT)

/* What differs from the defaults; 0 stands for the default. */
struct options_param {
	const char *str;
	int refused;
	unsigned long max;
	unsigned long min;
	unsigned long reserve;
	unsigned long classes;
	unsigned long mark[6];
};

static const u8 mark_shift[] = { 9, 11, 12, 14, 19, 21 };

static const struct options_param options_params[] = {
	{ "max=64M", .max = SZ_64M },
	{ "max:64M", .max = SZ_64M },
	{ "max=67108864", .max = SZ_64M },
	{ "max=0x4000000", .max = SZ_64M },
	{ "max=50%", .max = round_down(RAM / 100 * 50, SZ_64K) },
	{ "max=100%", .max = round_down(RAM / 100 * 100, SZ_64K) },
	{ "max=1G", .max = RAM },
	/* A zero in front changes nothing. */
	{ "max=0256M", .max = SZ_256M },
	{ "max=0X4000000", .max = SZ_64M },
	{ "min=08M", .min = SZ_8M },
	{ "reserve=05%", .reserve = round_down(RAM / 100 * 5, SZ_64K) },
	{ "classes=04096", .classes = BIT(12) | BIT(19) },
	{ "010,0020,0x1e,09", .mark = { 10, 20, 30, 9 } },
	{ "min=16M", .min = SZ_16M },
	{ "min=1%", .min = round_down(RAM / 100, SZ_64K) },
	{ "reserve=2M", .reserve = SZ_2M },
	{ "max=64M,min=16M,reserve=2M", 0, SZ_64M, SZ_16M, SZ_2M },
	{ "reserve=2M,max=64M,min=16M", 0, SZ_64M, SZ_16M, SZ_2M },
	{ "10", .mark = { 10 } },
	{ "10,20,30,40,5", .mark = { 10, 20, 30, 40, 5 } },
	{ "10,20,max=64M,30", 0, SZ_64M, .mark = { 10, 20, 30 } },
	{ "classes=512:2K:4K:16K:512K", .classes = 0x85a00 & ALL },
	{ "classes=4096", .classes = BIT(12) | BIT(19) },
	{ "classes:512", .classes = BIT(9) | BIT(19) },
	{ "classes=512K", .classes = BIT(19) },
	{ "classes=1M", .classes = BIT(19) | BIT(20) },
	{ "classes=4K:2M", .classes = BIT(12) | BIT(19) | BIT(21) },
	{ "10,20,30,40,5,6", .mark = { 10, 20, 30, 40, 5, 6 } },
	{ "max=64M,10,20,30,40,5,6", .max = SZ_64M, .mark = { 10, 20, 30, 40, 5, 6 } },
	/* Bad ones; the rest of the string is used. */
	{ "", 1 },
	{ "max", 1 },
	{ "max=", 1 },
	{ "max=2G", 1 },
	{ "max=0x40000K", .max = SZ_256M },
	/* Modulo 64 bits this is 64 MiB, 1 GiB, and 512. */
	{ "max=18446744073776660480", 1 },
	{ "max=17179869185G", 1 },
	{ "reserve=17179869184G", 1 },
	{ "classes=18446744073709552128", 1 },
	/* Mappings of 508 KiB could not be served. */
	{ "max=2M", .max = SZ_2M, .reserve = SZ_1M },
	/* A reserve that nobody has asked for is what is left; one that was is refused. */
	{ "max=4M", .max = SZ_4M, .reserve = SZ_2M + SZ_1M },
	{ "max=4M,reserve=x", 1, SZ_4M, .reserve = SZ_2M + SZ_1M },
	{ "max=4M,reserve=8M", 1, SZ_4M, .reserve = SZ_2M + SZ_1M },
	{ "reserve=8M,max=4M", 1, SZ_4M, .reserve = SZ_2M + SZ_1M },
	/* Slots of 2 MiB that are kept leave nothing to others, or there are none. */
	{ "10,20,30,40,5,6,max=32M", 1, SZ_32M, .mark = { 10, 20, 30, 40, 5 } },
	{ "0,0,0,0,5,6,classes=4K:1M", 1, .classes = BIT(12) | BIT(19) | BIT(20),
	  .mark = { 0, 0, 0, 0, 5 } },
	/* Nor are there any of sizes that are not used. */
	{ "256,classes=4K:512K", 1, .classes = BIT(12) | BIT(19) },
	{ "classes=4K:512K,256,0,30", 1, .classes = BIT(12) | BIT(19), .mark = { 0, 0, 30 } },
	{ "10,20,30,40,5,6,classes=4K:1M", 4, .classes = BIT(12) | BIT(19) | BIT(20),
	  .mark = { 0, 0, 30, 0, 5 } },
	{ "max=2047K", 1 },
	{ "max=0", 1 },
	{ "max=0%", 1 },
	{ "0,0,0,0,0", 1, .mark = { 0 } },
	{ "max=101%", 1 },
	{ "max=50%%", 1 },
	{ "max=64Q", 1 },
	{ "max=-1", 1 },
	{ "max=64M ", 1 },
	{ "maximum=64M", 1 },
	{ "Max=64M", 1 },
	{ "size=64M", 1 },
	{ "=64M", 1 },
	{ "force", 1 },
	{ "10,20,30,40,5,6,7", 1, .mark = { 10, 20, 30, 40, 5, 6 } },
	{ "10x", 1 },
	{ "10,x,30", 1, .mark = { 10, 30 } },
	{ "18446744073709551616", 1 },
	{ "99999999", 1 },
	{ "-5", 1 },
	{ "max=64M,bad,min=16M", 1, SZ_64M, SZ_16M },
	{ ",max=64M", 1, SZ_64M },
	{ "max=64M,", 1, SZ_64M },
	{ "max=64M,,min=16M", 1, SZ_64M, SZ_16M },
	{ "classes=", 1 },
	{ "classes=256", 1 },
	{ "classes=4M", 1 },
	{ "classes=3000", 1 },
	{ "classes=512:", 1 },
	{ "classes=512,2K", 1, .classes = BIT(9) | BIT(19) },
	{ "classes=512:x", 1 },
	{ "classes=0", 1 },
	{ "max=64M,min=128M", 1, SZ_64M, SZ_64M },
	/* What is kept must fit, all of it together, and the reserve beside that. */
	{ "200000,max=64M", 1, SZ_64M },
	{ "max=64M,200000,20", 1, SZ_64M, .mark = { 0, 20, 0, 0, 0, 0 } },
	{ "0,0,0,0,200,max=64M", 1, SZ_64M },
	{ "0,0,0,0,2,31,max=64M", 0, SZ_64M, .reserve = SZ_1M, .mark = { 0, 0, 0, 0, 2, 31 } },
	{ "0,0,0,0,2,32,max=64M", 1, SZ_64M },
	{ "0,0,0,0,2,1,max=64M,reserve=64M", 1, SZ_64M, .reserve = SZ_64M - SZ_2M - SZ_1M,
	  .mark = { 0, 0, 0, 0, 2, 1 } },
	{ "1,1,1,1,2,max=8M", 0, SZ_8M, .reserve = SZ_8M - 6 * SZ_512K, .mark = { 1, 1, 1, 1, 2 } },
	{ "0,0,1,0,2,max=8M,classes=4K", 0, SZ_8M, .reserve = SZ_8M - 3 * SZ_512K,
	  .classes = BIT(12) | BIT(19), .mark = { 0, 0, 1, 0, 2 } },
	{ "bad,worse,max=x", 3 },
	{ "a very long token that is much longer than the buffer for names in the log", 1 },
};

static void options_desc(const struct options_param *p, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "\"%s\"", p->str);
}

KUNIT_ARRAY_PARAM(options, options_params, options_desc);

static void options_parse(struct kunit *test)
{
	const struct options_param *p = test->param_value;
	struct cc_options want, opts;
	char *str = kunit_kmalloc(test, strlen(p->str) + 1, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, str);
	memcpy(str, p->str, strlen(p->str) + 1);
	cc_options_default(&opts, RAM);
	want = opts;
	want.max = p->max ?: want.max;
	want.min = p->min ?: want.min;
	want.reserve = p->reserve ?: want.reserve;
	want.classes = p->classes ?: want.classes;
	for (unsigned int i = 0; i < ARRAY_SIZE(p->mark); i++)
		if (p->mark[i])
			want.mark[mark_shift[i] - CC_SLOT_MIN_SHIFT] = p->mark[i];

	cc_test_log_begin(test);
	KUNIT_EXPECT_EQ(test, p->refused, cc_options_parse(&opts, str, RAM));
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, p->refused, cc_test_log_lines("cc_swiotlb=", ""));
	KUNIT_EXPECT_EQ(test, opts.max, want.max);
	KUNIT_EXPECT_EQ(test, opts.min, want.min);
	KUNIT_EXPECT_EQ(test, opts.reserve, want.reserve);
	KUNIT_EXPECT_EQ(test, opts.classes, want.classes);
	KUNIT_EXPECT_MEMEQ(test, opts.mark, want.mark, sizeof(opts.mark));
}

/* Who is refused is told what would not be. */
static void options_said(struct kunit *test)
{
	static const struct {
		const char *str, *said;
	} of[] = {
		{ "max=4G", "\"max=4G\" refused" },
		{ "max=4G", "max= (2M to all RAM)" },
		{ "max=1M", "max= (2M to all RAM)" },
		{ "256,classes=4K:512K", "256 slots of 512 bytes" },
		{ "0,0,0,7,classes=4K:512K", "7 slots of 16384 bytes" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(of); i++) {
		struct cc_options opts;
		char str[32];

		strscpy(str, of[i].str);
		cc_options_default(&opts, SZ_2G);
		cc_test_log_begin(test);
		KUNIT_EXPECT_EQ(test, 1, cc_options_parse(&opts, str, SZ_2G));
		cc_test_log_end(test);
		KUNIT_EXPECT_EQ_MSG(test, 1, cc_test_log_lines("cc_swiotlb=: ", of[i].said),
				    "%s", of[i].said);
	}
}

/* The defaults follow the memory of the machine, within bounds. */
static void options_defaults(struct kunit *test)
{
	struct cc_options small, large;

	cc_options_default(&small, SZ_256M);
	cc_options_default(&large, SZ_2G);
	KUNIT_EXPECT_EQ(test, small.max, SZ_64M);
	KUNIT_EXPECT_EQ(test, large.max, SZ_512M);
	KUNIT_EXPECT_EQ(test, small.min, 0);
	KUNIT_EXPECT_EQ(test, small.classes, ALL);
	KUNIT_EXPECT_LE(test, small.reserve, small.max);
	KUNIT_EXPECT_LE(test, small.reserve, large.reserve);
	KUNIT_EXPECT_GT(test, small.mark[CC_CHUNK_CLASS], 0);
	KUNIT_EXPECT_EQ(test, small.mark[CC_NR_CLASSES - 1], 0);
	cc_options_default(&small, SZ_32M);
	KUNIT_EXPECT_EQ(test, small.reserve, SZ_8M - SZ_1M);
#ifdef CONFIG_64BIT
	cc_options_default(&large, 1UL << 42);
	KUNIT_EXPECT_EQ(test, large.max, 1UL << 40);
	KUNIT_EXPECT_LE(test, large.reserve, SZ_128M);
#endif
}

static struct kunit_case options_cases[] = {
	KUNIT_CASE_PARAM(options_parse, options_gen_params),
	KUNIT_CASE(options_said),
	KUNIT_CASE(options_defaults),
	{}
};

static struct kunit_suite options_suite = {
	.name = "cc_swiotlb_options",
	.test_cases = options_cases,
};

kunit_test_suite(options_suite);

MODULE_DESCRIPTION("Tests of the command line of cc-swiotlb");
MODULE_LICENSE("GPL");
