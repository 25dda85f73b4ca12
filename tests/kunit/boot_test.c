// SPDX-License-Identifier: GPL-2.0-only
/*
 * The boot: "swiotlb=" on the command line, and a machine where no device must
 * bounce. This suite is the first, since the others make a legacy pool, which stays.
 */
#include <linux/init.h>
#include <linux/swiotlb.h>

#include "cc_test.h"

/* Nothing is shared for nobody; the log says why, and what would help. */
static void boot_without_pool(struct kunit *test)
{
	initcall_t init = cc_test_symbol(test, "cc_swiotlb_init");

	if (is_swiotlb_allocated())
		kunit_skip(test, "there is a legacy pool already");
	if (system_state >= SYSTEM_FREEING_INITMEM)
		kunit_skip(test, "only while the kernel boots");
	cc_swiotlb.selected = true;
	cc_test_log_begin(test);
	KUNIT_EXPECT_EQ(test, 0, init());
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("cc-swiotlb: not used",
						   "swiotlb=cc,force makes all do"));
	KUNIT_EXPECT_FALSE(test, cc_swiotlb.selected);
	KUNIT_EXPECT_FALSE(test, cc_swiotlb_enabled());
	KUNIT_EXPECT_EQ(test, cc_swiotlb.shared, 0);
	if (cc_swiotlb_enabled())
		cc_swiotlb_stop();
	cc_swiotlb.selected = false;
}

/*
 * Where it was never started, there is nothing to be made private, not even a list. What
 * this judges is that it returns: to walk that list would crash.
 */
static void boot_kexec(struct kunit *test)
{
	if (cc_swiotlb_enabled())
		kunit_skip(test, "booted with swiotlb=cc");
	cc_swiotlb_kexec();
	KUNIT_EXPECT_FALSE(test, mutex_is_locked(&cc_swiotlb.mutex));
}

/**
 * struct select_param - a command line
 * @arg: what stands behind each "swiotlb=", separated by spaces
 * @slabs: what is left to swiotlb's own pool
 * @said: what the log says, unless NULL
 * @without: what the pool has if cc-swiotlb is vetoed, if that is tried
 */
struct select_param {
	const char *arg;
	unsigned long slabs;
	const char *said;
	unsigned long without;
};

/* What an architecture wants. */
#define ADJUSTED	(SZ_1G >> IO_TLB_SHIFT)

/*
 * The legacy pool has areas of whole segments of 128 slabs. There are four unless
 * somebody asks, which cannot be undone, so that comes last.
 */
static const struct select_param select_params[] = {
	{ "cc", 1024 },
	{ "32768,cc", 32768 },
	{ "640,cc", 1024 },
	{ "384,cc", 512 },
	{ "20000,cc", 32768 },
	{ "0,cc", 512 },
	{ "ccforce", 1024, "swiotlb=ccforce: unknown" },
	{ "cc", 1024, NULL, ADJUSTED },
	{ "16384,cc", 16384, NULL, 16384 },
	{ "cc cc", 1024, NULL, ADJUSTED },
	{ "cc x", 1024, NULL, ADJUSTED },
	{ "131072 cc", 131072, NULL, 131072 },
	{ "cc 131072", 131072, NULL, 131072 },
	{ "cc 131072 cc", 131072, NULL, 131072 },
	{ "8192,cc 16384,cc", 16384, NULL, 16384 },
	{ "8192,2,cc", 8192 },
	{ ",2,cc", 1024 },
};

KUNIT_ARRAY_PARAM_DESC(select, select_params, arg);

static bool veto(bool remap)
{
	cc_swiotlb.selected = false;
	return true;
}

/* What is left to swiotlb's own pool, which no architecture changes then. */
static void boot_select(struct kunit *test)
{
	const struct select_param *p = test->param_value;
	int (*setup)(char *str) = cc_test_symbol(test, "setup_io_tlb_npages");
	void (*adjust)(unsigned long size) = cc_test_symbol(test, "swiotlb_adjust_size");
	bool (*real_veto)(bool remap) = cc_test_symbol(test, "cc_swiotlb_veto");
	unsigned long before = swiotlb_size_or_default();
	char args[24], arg[24], *rest = args, *next;

	if (system_state >= SYSTEM_FREEING_INITMEM)
		kunit_skip(test, "only while the kernel boots");
	cc_swiotlb.selected = false;
	/* This is what nobody has asked for. */
	snprintf(arg, sizeof(arg), "%lu", IO_TLB_DEFAULT_SIZE >> IO_TLB_SHIFT);
	setup(arg);
	strscpy(args, p->arg);
	cc_test_log_begin(test);
	while ((next = strsep(&rest, " ")))
		KUNIT_EXPECT_EQ(test, 0, setup(next));
	cc_test_log_end(test);
	if (p->said)
		KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines(p->said, ""));
	KUNIT_EXPECT_TRUE(test, cc_swiotlb.selected);
	KUNIT_EXPECT_EQ(test, swiotlb_size_or_default(), p->slabs << IO_TLB_SHIFT);
	adjust(SZ_1G);
	KUNIT_EXPECT_EQ(test, swiotlb_size_or_default(), p->slabs << IO_TLB_SHIFT);
	if (p->without) {
		kunit_activate_static_stub(test, real_veto, veto);
		adjust(SZ_1G);
		kunit_deactivate_static_stub(test, real_veto);
		KUNIT_EXPECT_EQ(test, swiotlb_size_or_default(), p->without << IO_TLB_SHIFT);
	}
	snprintf(arg, sizeof(arg), "%lu", before >> IO_TLB_SHIFT);
	setup(arg);
	cc_swiotlb.selected = false;
}

static struct kunit_case boot_cases[] = {
	KUNIT_CASE(boot_without_pool),
	KUNIT_CASE(boot_kexec),
	KUNIT_CASE_PARAM(boot_select, select_gen_params),
	{}
};

static struct kunit_suite boot_suite = {
	.name = "cc_swiotlb_boot",
	.test_cases = boot_cases,
};

kunit_test_suite(boot_suite);

MODULE_DESCRIPTION("Test of the boot of cc-swiotlb where nothing bounces");
MODULE_LICENSE("GPL");
