/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SWIOTLB_BENCH_H
#define _SWIOTLB_BENCH_H

#include <linux/device.h>
#include <linux/prandom.h>
#include <linux/types.h>

#undef pr_fmt
#define pr_fmt(fmt) "BENCH " fmt

#define NR_BATCHES	301

extern struct device *bench_dev;
extern struct rnd_state bench_rnd;

/* Mappings that fill the pool. */
extern dma_addr_t *bench_filled;
extern unsigned int bench_nr_filled;
void bench_fill(void);
void bench_thin_out(unsigned int left);

s64 bench_median(s64 *val, unsigned int nr);
s64 bench_remote_rate(unsigned int nr, unsigned int size);

#ifdef CONFIG_CC_SWIOTLB
void bench_magazine(void);
void bench_scheme(void);
void bench_lookup(void);
void bench_index(void);
void bench_depot(void);
void bench_block(void);
#else
static inline void bench_magazine(void) { }
static inline void bench_scheme(void) { }
static inline void bench_lookup(void) { }
static inline void bench_index(void) { }
static inline void bench_depot(void) { }
static inline void bench_block(void) { }
#endif

#endif /* _SWIOTLB_BENCH_H */
