/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who holds what.
 */
#ifndef _KERNEL_DMA_CC_SWIOTLB_HOLDERS_H
#define _KERNEL_DMA_CC_SWIOTLB_HOLDERS_H

#include <linux/types.h>

struct device;

/* Devices that are told apart. */
#define CC_NR_HOLDERS		64

/**
 * struct cc_holder - what a device has mapped
 * @dev:	the device; not to be followed. NULL: all that were too many
 * @name:	its name
 * @slots:	number of slots
 * @bytes:	bytes mapped in them
 * @slot_bytes:	bytes of the slots
 * @largest:	bytes of the largest one
 */
struct cc_holder {
	const struct device *dev;
	char name[40];
	unsigned long slots;
	unsigned long bytes;
	unsigned long slot_bytes;
	unsigned long largest;
};

const struct cc_holder *cc_holders_count(unsigned int *nr);
void cc_holders_report(void);

#endif /* _KERNEL_DMA_CC_SWIOTLB_HOLDERS_H */
