// SPDX-License-Identifier: GPL-2.0-only
/*
 * cc-swiotlb: bounce buffers for confidential VMs, allocated at run time.
 *
 * swiotlb decides who bounces and copies the data; this replaces its allocator
 * when "swiotlb=cc" is on the command line. See internal.h for the structures
 * and the lock order, map.h for the fast path.
 *
 * This file starts and stops the allocator. Until it has started, and for what it
 * cannot do (devices that do not reach its memory, emergencies), swiotlb's own
 * small pool serves.
 */
#define pr_fmt(fmt) "cc-swiotlb: " fmt

#include <kunit/static_stub.h>
#include <linux/init.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <asm/setup.h>
#include <xen/xen.h>

#include "options.h"

/**
 * cc_swiotlb_select() - choose this allocator; called for "swiotlb=cc"
 */
void __init cc_swiotlb_select(void)
{
	cc_swiotlb.selected = true;
}

/**
 * cc_swiotlb_selected() - has this allocator been chosen?
 *
 * Return: true if so, and if nothing has vetoed it.
 */
bool __init cc_swiotlb_selected(void)
{
	return cc_swiotlb.selected;
}

/**
 * cc_swiotlb_deselect() - veto the choice, before the allocator has started
 * @why: what the log shall say
 *
 * Return: true if it had been chosen.
 */
bool cc_swiotlb_deselect(const char *why)
{
	if (!cc_swiotlb.selected)
		return false;
	cc_swiotlb.selected = false;
	pr_info("not used: %s\n", why);
	return true;
}

/**
 * cc_swiotlb_veto() - veto the choice where swiotlb serves Xen
 * @remap: bounce buffers must be contiguous for the machine, as on x86
 *
 * Return: true if it had been chosen, and is not any more.
 */
bool __init cc_swiotlb_veto(bool remap)
{
	KUNIT_STATIC_STUB_REDIRECT(cc_swiotlb_veto, remap);
	if (remap)
		return cc_swiotlb_deselect("bounce buffers must be remapped (Xen)");
	/* Elsewhere swiotlb-xen maps through swiotlb's functions. */
	return !IS_ENABLED(CONFIG_X86) && xen_domain() && cc_swiotlb_deselect("Xen");
}

/**
 * cc_swiotlb_start() - start the allocator
 * @opts: options
 *
 * The first blocks are there when it returns.
 *
 * Context: task.
 * Return: 0 or an error; then nothing is shared, and swiotlb does not come here.
 */
int cc_swiotlb_start(const struct cc_options *opts)
{
	int err;

	cc_swiotlb.stopping = false;
	cc_swiotlb.shared = 0;
	cc_swiotlb.peak = 0;
	cc_swiotlb.quarantined = 0;
	cc_swiotlb.coherent_held = (struct cc_held){};
	cc_swiotlb.loans_held = (struct cc_held){};
	cc_swiotlb.reserve_bytes = 0;
	cc_swiotlb.reserve_low = opts->reserve;
	cc_swiotlb.taken = 0;
	cc_swiotlb.max = opts->max;
	cc_swiotlb.min = opts->min;
	cc_swiotlb.reserve_min = opts->reserve;
	cc_swiotlb.target = opts->reserve;
	err = cc_class_init(num_possible_cpus(), opts->max);
	if (err)
		return err;
	cc_class_enable(opts->classes);
	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		cc_classes[i].mark = cc_classes[i].enabled ? opts->mark[i] : 0;
	/* What is promised must be held. */
	cc_promised_shift = CC_CHUNK_SHIFT;
	for (unsigned int i = CC_CHUNK_CLASS + 1; i < CC_NR_CLASSES; i++)
		if (cc_classes[i].mark)
			cc_promised_shift = cc_classes[i].shift;

	err = cc_chunk_init();
	if (err)
		return err;
	err = cc_magazine_init();
	if (err)
		goto exit_chunk;
	err = cc_loan_init();
	if (err)
		goto exit_magazine;
	err = cc_kccd_start();
	if (err)
		goto exit_loan;

	static_branch_enable(&cc_swiotlb_key);
	/* Not every architecture waits until all CPUs execute the new branch. */
	synchronize_rcu();
	static_branch_enable(&cc_swiotlb_map_key);
	return 0;

exit_loan:
	cc_loan_exit();
exit_magazine:
	cc_magazine_exit();
exit_chunk:
	cc_chunk_exit();
	return err;
}

/**
 * cc_swiotlb_stop() - stop the allocator and return all its memory; for tests
 *
 * Context: task; nothing may be mapped.
 */
void cc_swiotlb_stop(void)
{
	LIST_HEAD(retired);

	static_branch_disable(&cc_swiotlb_map_key);
	static_branch_disable(&cc_swiotlb_key);
	synchronize_rcu();
	cc_kccd_stop();
	cc_magazine_exit();

	mutex_lock(&cc_swiotlb.mutex);
	cc_coherent_look();
	cc_loan_look();
	while (!cc_magazine_drain_all())
		schedule_timeout_uninterruptible(1);
	for (unsigned int i = 0; i < CC_NR_OWNERS; i++) {
		for (unsigned int nid = 0; nid < cc_nr_nodes; nid++)
			cc_depot_drain(&cc_classes[i], nid, UINT_MAX);
		cc_class_retire(&cc_classes[i], ULONG_MAX, ULONG_MAX, &retired);
		WARN_ONCE(cc_classes[i].nr_slots, "slots are still mapped\n");
	}
	cc_reserve_add_retired(&retired);
	/* It ends where a conversion fails, or in a reboot. */
	cc_swiotlb.stopping = false;
	for (int i = 0; i < 3 && !list_empty(&cc_swiotlb.blocks); i++)
		cc_block_shrink(0, ULONG_MAX);
	cc_block_free_aside();
	mutex_unlock(&cc_swiotlb.mutex);
	if (!WARN_ON(!list_empty(&cc_swiotlb.blocks)))
		cc_chunk_exit();
	cc_loan_exit();
}

static char cc_options_arg[COMMAND_LINE_SIZE] __initdata;

static int __init cc_options_setup(char *str)
{
	if (!str)
		return -EINVAL;
	/* A boot loader may have some, and who boots adds to them. */
	if (cc_options_arg[0])
		strlcat(cc_options_arg, ",", sizeof(cc_options_arg));
	strlcat(cc_options_arg, str, sizeof(cc_options_arg));
	return 0;
}
early_param("cc_swiotlb", cc_options_setup);

/* Slot sizes in use, each with the slots of one magazine; 0: none is used. */
static void __init print_classes(void)
{
	char text[192];
	int len = 0;

	for (unsigned int i = 0; i < CC_NR_CLASSES; i++)
		if (cc_classes[i].enabled)
			len += scnprintf(text + len, sizeof(text) - len,
					 " %lu:%u", BIT(cc_classes[i].shift),
					 cc_classes[i].mag_size);
	pr_info("slot sizes, with slots per magazine:%s\n", text);
}

/*
 * After architectures have decided whether swiotlb stays (x86 at the same
 * level, but linked before), and before drivers probe.
 */
static int __init cc_swiotlb_init(void)
{
	unsigned long ram = totalram_pages() << PAGE_SHIFT;
	struct cc_options opts;
	int err;

	if (cc_options_arg[0] && !cc_swiotlb.selected)
		pr_info("cc_swiotlb= has no effect without swiotlb=cc\n");
	if (!cc_swiotlb.selected)
		return 0;
	if (!is_swiotlb_allocated()) {
		cc_swiotlb_deselect("no device must bounce; swiotlb=cc,force makes all do");
		return 0;
	}

	cc_options_default(&opts, ram);
	if (cc_options_arg[0])
		cc_options_parse(&opts, cc_options_arg, ram);
	err = cc_swiotlb_start(&opts);
	if (err) {
		pr_err("cannot start (%d); swiotlb's own pool of %lu KiB serves alone\n",
		       err, swiotlb_size_or_default() >> 10);
		return 0;
	}
	pr_info("allocator of swiotlb: %lu KiB shared now, at most %lu KiB; reserve %lu KiB; legacy pool %lu KiB\n",
		cc_swiotlb.shared >> 10, cc_swiotlb.max >> 10, cc_swiotlb.reserve_min >> 10,
		swiotlb_size_or_default() >> 10);
	print_classes();
	return 0;
}
rootfs_initcall(cc_swiotlb_init);
