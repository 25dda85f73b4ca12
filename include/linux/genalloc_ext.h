/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Extensions to gen_pool: chunks in memory of the caller that can be removed
 * again, and many objects per call. See lib/genalloc-ext.c.
 */
#ifndef _LINUX_GENALLOC_EXT_H
#define _LINUX_GENALLOC_EXT_H

#include <linux/bitops.h>
#include <linux/genalloc.h>
#include <linux/overflow.h>
#include <linux/types.h>

/**
 * gen_pool_chunk_bytes - size of a chunk descriptor
 * @size: size in bytes of the memory that the chunk will describe
 * @order: log base 2 of the number of bytes each bitmap bit represents
 *
 * Context: Any context.
 * Return: bytes of memory to hand to gen_pool_add_chunk().
 */
static inline size_t gen_pool_chunk_bytes(size_t size, int order)
{
	return struct_size_t(struct gen_pool_chunk, bits,
			     BITS_TO_LONGS(size >> order));
}

void gen_pool_init(struct gen_pool *pool, int min_alloc_order);

void gen_pool_add_chunk(struct gen_pool *pool, struct gen_pool_chunk *chunk,
			unsigned long virt, phys_addr_t phys, size_t size,
			void *owner);

unsigned int gen_pool_alloc_bulk(struct gen_pool *pool,
				 struct gen_pool_chunk __rcu **hint,
				 unsigned long *addrs, unsigned int nr,
				 unsigned int nr_chunks, void **owner);

unsigned int gen_pool_free_bulk(struct gen_pool *pool,
				struct gen_pool_chunk *chunk,
				const unsigned long *addrs, unsigned int nr);

bool gen_pool_seal_chunk(struct gen_pool *pool, struct gen_pool_chunk *chunk);

void gen_pool_del_chunk(struct gen_pool *pool, struct gen_pool_chunk *chunk,
			struct gen_pool_chunk __rcu **hint);

#endif /* _LINUX_GENALLOC_EXT_H */
