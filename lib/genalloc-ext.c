// SPDX-License-Identifier: GPL-2.0-only
/*
 * Extensions to the general purpose allocator (lib/genalloc.c)
 *
 * gen_pool takes one object per call, allocates the descriptor of a chunk when
 * the chunk is added, and keeps a chunk until the whole pool is destroyed. A
 * user that grows and shrinks a pool at run time, possibly from interrupts, and
 * keeps caches of objects in front of it, needs what this file adds:
 *
 *  - many objects in one call: one walk over the chunks, one cmpxchg for each
 *    bitmap word and one update of the available bytes, however many objects;
 *  - chunks in preallocated descriptors, so that adding one cannot fail;
 *  - removal of a chunk: seal it, which succeeds only while it is whole, unlink
 *    it, and reuse it after a grace period.
 *
 * The bitmap protocol is that of lib/genalloc.c (a set bit is an object in use,
 * words change by cmpxchg only), so both sets of functions may be used on the
 * same pool at the same time. Chunks added here must be gone before
 * gen_pool_destroy(), which would vfree() them.
 */

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/bug.h>
#include <linux/genalloc_ext.h>
#include <linux/preempt.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>

/*
 * Losing the cmpxchg this often means that other CPUs are busy in this word:
 * the next one is the better place to look for objects.
 */
#define TAKE_RETRIES	BITS_PER_LONG

static inline unsigned long chunk_nbits(const struct gen_pool *pool,
					const struct gen_pool_chunk *chunk)
{
	return (chunk->end_addr - chunk->start_addr + 1) >> pool->min_alloc_order;
}

/* The bits of word @word that stand for objects: all but those past the end. */
static inline unsigned long word_mask(unsigned long nbits, unsigned long word)
{
	return word == BIT_WORD(nbits - 1) ? BITMAP_LAST_WORD_MASK(nbits) : ~0UL;
}

static inline bool bad_nmi(void)
{
	return WARN_ON_ONCE(!IS_ENABLED(CONFIG_ARCH_HAVE_NMI_SAFE_CMPXCHG) &&
			    in_nmi());
}

/* Set the lowest @nr free bits within @valid; return the bits set. */
static unsigned long take_bits(unsigned long *p, unsigned long valid,
			       unsigned int nr)
{
	unsigned long val = READ_ONCE(*p);
	unsigned int tries, n;

	for (tries = 0; tries < TAKE_RETRIES; tries++) {
		unsigned long avail = ~val & valid;
		unsigned long rest = avail;

		for (n = nr; rest && n; n--)
			rest &= rest - 1;
		if (avail == rest)
			return 0;
		if (try_cmpxchg(p, &val, val | (avail & ~rest)))
			return avail & ~rest;
	}
	return 0;
}

/* Clear those of @bits that are set; return how many that were. */
static unsigned int give_bits(unsigned long *p, unsigned long bits)
{
	unsigned long val = bits ? READ_ONCE(*p) : 0;

	do {
		if (!(val & bits))
			return 0;
	} while (!try_cmpxchg(p, &val, val & ~bits));

	return hweight_long(val & bits);
}

static unsigned int take_objects(struct gen_pool *pool,
				 struct gen_pool_chunk *chunk,
				 unsigned long *addrs, unsigned int nr)
{
	const unsigned long nbits = chunk_nbits(pool, chunk);
	const int order = pool->min_alloc_order;
	unsigned long word, bit, bits;
	unsigned int taken = 0;

	if (atomic_long_read(&chunk->avail) < (long)BIT(order))
		return 0;

	for (word = 0; word < BITS_TO_LONGS(nbits) && taken < nr; word++) {
		bits = take_bits(&chunk->bits[word], word_mask(nbits, word),
				 nr - taken);
		for (; bits; bits &= bits - 1) {
			bit = word * BITS_PER_LONG + __ffs(bits);
			addrs[taken++] = chunk->start_addr + (bit << order);
		}
	}
	if (taken)
		atomic_long_sub((unsigned long)taken << order, &chunk->avail);

	return taken;
}

/**
 * gen_pool_init - initialise a pool in memory of the caller
 * @pool: pool to initialise, embedded or static
 * @min_alloc_order: log base 2 of number of bytes each bitmap bit represents
 *
 * Does what gen_pool_create() does, without an allocation. Such a pool must not
 * be passed to gen_pool_destroy(); it needs no other end than being empty.
 *
 * Context: Any context.
 */
void gen_pool_init(struct gen_pool *pool, int min_alloc_order)
{
	spin_lock_init(&pool->lock);
	INIT_LIST_HEAD(&pool->chunks);
	pool->min_alloc_order = min_alloc_order;
	pool->algo = gen_pool_first_fit;
	pool->data = NULL;
	pool->name = NULL;
}

/**
 * gen_pool_add_chunk - publish a chunk in a preallocated descriptor
 * @pool: pool to add the chunk to
 * @chunk: descriptor, gen_pool_chunk_bytes() long; its content is overwritten
 * @virt: virtual starting address of the chunk
 * @phys: physical starting address of the chunk
 * @size: size in bytes of the chunk
 * @owner: private data to recall at alloc time
 *
 * Adds at the tail, unlike gen_pool_add_owner(): a walk meets the old chunks
 * first, so that the young ones run empty and can be removed.
 *
 * Context: Any context but NMI. Allocates nothing and takes no lock (the lock
 * of the pool sleeps on PREEMPT_RT): the caller serialises all additions to and
 * removals from a pool.
 */
void gen_pool_add_chunk(struct gen_pool *pool, struct gen_pool_chunk *chunk,
			unsigned long virt, phys_addr_t phys, size_t size,
			void *owner)
{
	chunk->phys_addr = phys;
	chunk->start_addr = virt;
	chunk->end_addr = virt + size - 1;
	chunk->owner = owner;
	atomic_long_set(&chunk->avail, size);
	bitmap_zero(chunk->bits, chunk_nbits(pool, chunk));

	list_add_tail_rcu(&chunk->next_chunk, &pool->chunks);
}

/**
 * gen_pool_alloc_bulk - take several objects of the minimum size
 * @pool: pool to take from
 * @hint: where the walk over the chunks starts; points to NULL for the oldest
 *	chunk. On success, points to the chunk that was taken from. Can be NULL.
 * @addrs: where the addresses of the objects go
 * @nr: how many objects to take at most
 * @nr_chunks: how many chunks to look at, at most
 * @owner: optionally retrieve the chunk owner, NULL if nothing was taken
 *
 * All objects come from the same chunk, the first one with a free object, the
 * lowest addresses first. The walk goes once around the list, if @nr_chunks lets
 * it. Under contention free objects may be overlooked, as with any hint of what is
 * available.
 *
 * Context: Any context but NMI, unless the architecture has an NMI-safe cmpxchg.
 * Lock-free.
 * Return: the number of objects taken, 0 if none was found.
 */
unsigned int gen_pool_alloc_bulk(struct gen_pool *pool,
				 struct gen_pool_chunk __rcu **hint,
				 unsigned long *addrs, unsigned int nr,
				 unsigned int nr_chunks, void **owner)
{
	struct gen_pool_chunk *start, *chunk;
	unsigned int taken = 0;

	if (owner)
		*owner = NULL;
	if (bad_nmi())
		return 0;

	rcu_read_lock();
	start = hint ? rcu_dereference(*hint) : NULL;
	chunk = start;
	if (chunk) {
		list_for_each_entry_from_rcu(chunk, &pool->chunks, next_chunk) {
			if (!nr_chunks--)
				goto out;
			taken = take_objects(pool, chunk, addrs, nr);
			if (taken)
				goto found;
		}
	}
	/* @start is not met if it has been unlinked: then this ends at the end. */
	list_for_each_entry_rcu(chunk, &pool->chunks, next_chunk) {
		if (chunk == start || !nr_chunks--)
			break;
		taken = take_objects(pool, chunk, addrs, nr);
		if (taken)
			goto found;
	}
	goto out;
found:
	if (owner)
		*owner = chunk->owner;
	if (hint && chunk != start)
		rcu_assign_pointer(*hint, chunk);
out:
	rcu_read_unlock();
	return taken;
}

/**
 * gen_pool_free_bulk - give back several objects of the minimum size
 * @pool: pool that the objects were taken from
 * @chunk: chunk that the objects belong to
 * @addrs: addresses of the objects
 * @nr: number of objects
 *
 * Neighbours in @addrs that share a bitmap word are given back together. What is
 * outside of the chunk, not aligned, or not in use is skipped. An object that is
 * given back twice is found out only while nobody else has taken it, and while
 * the chunk is not sealed.
 *
 * Context: Any context but NMI, unless the architecture has an NMI-safe cmpxchg.
 * Lock-free.
 * Return: the number of objects given back.
 */
unsigned int gen_pool_free_bulk(struct gen_pool *pool,
				struct gen_pool_chunk *chunk,
				const unsigned long *addrs, unsigned int nr)
{
	const int order = pool->min_alloc_order;
	unsigned long nbits, word = 0, bits = 0;
	unsigned int i, given = 0;

	if (bad_nmi())
		return 0;

	/*
	 * The chunk may be sealed and unlinked as soon as the last bit is clear:
	 * the read-side section keeps the descriptor for the update of avail.
	 */
	rcu_read_lock();
	nbits = chunk_nbits(pool, chunk);
	for (i = 0; i < nr; i++) {
		unsigned long offset = addrs[i] - chunk->start_addr;
		unsigned long bit = offset >> order;

		/* An address below the chunk wraps to an offset past its end. */
		if (bit >= nbits || offset != bit << order)
			continue;
		if (BIT_WORD(bit) != word) {
			given += give_bits(&chunk->bits[word], bits);
			word = BIT_WORD(bit);
			bits = 0;
		}
		bits |= BIT_MASK(bit);
	}
	given += give_bits(&chunk->bits[word], bits);
	if (given)
		atomic_long_add((unsigned long)given << order, &chunk->avail);
	rcu_read_unlock();

	return given;
}

/* Clear the first @nwords words, which this caller has set as a whole. */
static void release_words(struct gen_pool_chunk *chunk, unsigned long nbits,
			  unsigned long nwords)
{
	unsigned long word, mask;

	for (word = 0; word < nwords; word++) {
		mask = word_mask(nbits, word);
		WARN_ON_ONCE(cmpxchg(&chunk->bits[word], mask, 0) != mask);
	}
}

/**
 * gen_pool_seal_chunk - take all objects of a chunk, or none
 * @pool: pool of the chunk
 * @chunk: chunk to seal
 *
 * Fails if an object is in use. While it tries, others may find the chunk short
 * of objects for a moment. A sealed chunk hands out nothing.
 *
 * Context: Any context but NMI. Lock-free; may run against everything but
 * gen_pool_del_chunk() of the same chunk.
 * Return: true if the chunk is sealed now and was not before.
 */
bool gen_pool_seal_chunk(struct gen_pool *pool, struct gen_pool_chunk *chunk)
{
	const unsigned long nbits = chunk_nbits(pool, chunk);
	unsigned long word;

	/* Do not disturb the takers when it is plain that this must fail. */
	if (!bitmap_empty(chunk->bits, nbits))
		return false;

	for (word = 0; word < BITS_TO_LONGS(nbits); word++) {
		if (cmpxchg(&chunk->bits[word], 0, word_mask(nbits, word))) {
			release_words(chunk, nbits, word);
			return false;
		}
	}
	atomic_long_sub(nbits << pool->min_alloc_order, &chunk->avail);

	return true;
}

/**
 * gen_pool_del_chunk - unlink a sealed chunk
 * @pool: pool of the chunk
 * @chunk: chunk that gen_pool_seal_chunk() returned true for
 * @hint: the hint that the users of the pool share, cleared if it points to
 *	@chunk. Can be NULL.
 *
 * The objects of the chunk belong to the caller at once. The descriptor may be
 * reused, freed, or added again only after a grace period.
 *
 * Context: Any context but NMI. Takes no lock: the caller serialises all
 * additions to and removals from a pool.
 */
void gen_pool_del_chunk(struct gen_pool *pool, struct gen_pool_chunk *chunk,
			struct gen_pool_chunk __rcu **hint)
{
	WARN_ON_ONCE(!bitmap_full(chunk->bits, chunk_nbits(pool, chunk)));

	list_del_rcu(&chunk->next_chunk);
	if (!hint)
		return;

	/*
	 * Nobody can store @chunk into *hint again after this. Whoever sets the
	 * hint by hand is serialised with removals. A reader stores @chunk only
	 * with an object of it taken and not yet returned to its caller, so in
	 * use: a chunk in that state cannot be sealed. Nor is such a store late:
	 * it comes before the object is returned, given back (a cmpxchg) and
	 * sealed (another one on the same word), hence before this one. What is
	 * left are readers that loaded the hint earlier: they find nothing in the
	 * chunk, leave it by its next pointer, which list_del_rcu() keeps, and
	 * are gone after the grace period.
	 */
	unrcu_pointer(cmpxchg(hint, RCU_INITIALIZER(chunk), NULL));
}
