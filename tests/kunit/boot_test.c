// SPDX-License-Identifier: GPL-2.0-only
/*
 * The boot of a machine where no device must bounce. This suite is the first,
 * since the others make a legacy pool, which stays.
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

static struct kunit_case boot_cases[] = {
	KUNIT_CASE(boot_without_pool),
	{}
};

static struct kunit_suite boot_suite = {
	.name = "cc_swiotlb_boot",
	.test_cases = boot_cases,
};

kunit_test_suite(boot_suite);

MODULE_DESCRIPTION("Test of the boot of cc-swiotlb where nothing bounces");
MODULE_LICENSE("GPL");
