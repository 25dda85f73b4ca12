/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The options of cc_swiotlb= on the command line, and numbers as they are written there.
 */
#ifndef _KERNEL_DMA_CC_SWIOTLB_OPTIONS_H
#define _KERNEL_DMA_CC_SWIOTLB_OPTIONS_H

#include "internal.h"

/**
 * struct cc_options - what the command line and sysfs can set; bytes
 * @classes:	bit n: slots of 1 << n bytes are used
 * @max:	limit of shared memory
 * @min:	shared memory kept when idle
 * @reserve:	class-less reserve kept when idle
 * @mark:	slots of each class kept free
 */
struct cc_options {
	unsigned long classes;
	unsigned long max;
	unsigned long min;
	unsigned long reserve;
	unsigned long mark[CC_NR_CLASSES];
};

void cc_options_default(struct cc_options *opts, unsigned long ram);
int cc_parse_number(const char *str, unsigned long *val);
const char *cc_parse_size(const char *str, unsigned long *size);
int cc_options_parse(struct cc_options *opts, char *str, unsigned long ram);

#endif /* _KERNEL_DMA_CC_SWIOTLB_OPTIONS_H */
