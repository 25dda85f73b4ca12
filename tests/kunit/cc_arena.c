// SPDX-License-Identifier: GPL-2.0-only
/*
 * An arena: memory that is taken from the page allocator once, for tests that
 * make the allocator grow and shrink so often that pages of their own would cost
 * too much. It says which orders can be had, how much, and which calls fail, as it
 * is told, and knows the state of each piece.
 */
#include <linux/bitops.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/prandom.h>
#include <linux/slab.h>

#include "cc_arena.h"

#define UNIT_ORDER	(CC_BLOCK_SHIFT - PAGE_SHIFT)
#define UNIT_FRAMES	BIT(CC_BLOCK_SHIFT - CC_FRAME_SHIFT)

static_assert(UNIT_FRAMES == 32);

enum frame_state { PRIVATE, SHARED, UNKNOWN };

/**
 * struct unit - what one block of the largest size is cut from
 * @page:	its memory
 * @used:	a bit for each frame that is allocated
 * @state:	of each frame
 */
struct unit {
	struct page *page;
	u32 used;
	u8 state[UNIT_FRAMES];
};

struct cc_arena cc_arena;

static struct unit units[CC_ARENA_BYTES / SZ_2M];
static struct kunit *arena_test;
static unsigned int metadata;

static bool fails(enum cc_fake_call call)
{
	return cc_arena.fail[call] &&
	       prandom_u32_state(&cc_arena.rnd) % 256 < cc_arena.fail[call];
}

static u32 frame_mask(unsigned int order, unsigned int frame)
{
	return GENMASK((1U << (PAGE_SHIFT + order - CC_FRAME_SHIFT)) - 1, 0) << frame;
}

static int unit_node(const struct unit *u)
{
	return (u - units) % max(cc_arena.nr_nodes, 1);
}

/* A free piece of some nodes, if possible of a unit that is broken already. */
static struct unit *find_free(unsigned int order, unsigned int nodes, unsigned int *frame)
{
	unsigned int step = 1U << (PAGE_SHIFT + order - CC_FRAME_SHIFT);
	struct unit *whole = NULL;

	for (struct unit *u = units; u < units + ARRAY_SIZE(units); u++) {
		if (!(nodes & BIT(unit_node(u))))
			continue;
		if (!u->used) {
			whole = whole ?: u;
			continue;
		}
		for (*frame = 0; *frame < UNIT_FRAMES; *frame += step)
			if (!(u->used & frame_mask(order, *frame)))
				return u;
	}
	*frame = 0;
	return whole;
}

/**
 * cc_arena_has() - could memory be had, and shared?
 * @shift: log2 of its size in bytes, CC_FRAME_SHIFT at least
 *
 * Return: true if nothing stands against it now.
 */
bool cc_arena_has(unsigned int shift)
{
	unsigned int frame;

	return !cc_arena.fail[CC_FAKE_MEMORY] && !cc_arena.fail[CC_FAKE_METADATA] &&
	       !cc_arena.fail[CC_FAKE_SHARE] && shift <= cc_arena.max_shift &&
	       cc_arena.used + BIT(shift) <= cc_arena.limit &&
	       find_free(shift - PAGE_SHIFT, ~cc_arena.bad_nodes, &frame);
}

static struct page *arena_alloc(unsigned int order, bool try_hard, int nid)
{
	unsigned int frame;
	struct unit *u;

	if (PAGE_SHIFT + order > cc_arena.max_shift || fails(CC_FAKE_MEMORY) ||
	    cc_arena.used + (PAGE_SIZE << order) > cc_arena.limit)
		return NULL;
	u = find_free(order, nid == NUMA_NO_NODE ? UINT_MAX : BIT(nid), &frame);
	if (!u)
		return NULL;
	u->used |= frame_mask(order, frame);
	cc_arena.used += PAGE_SIZE << order;
	return u->page + ((frame << CC_FRAME_SHIFT) >> PAGE_SHIFT);
}

static struct unit *unit_of(const struct page *page, unsigned int *frame)
{
	for (struct unit *u = units; u < units + ARRAY_SIZE(units); u++)
		if (page >= u->page && page < u->page + (1 << UNIT_ORDER)) {
			*frame = (page - u->page) >> (CC_FRAME_SHIFT - PAGE_SHIFT);
			return u;
		}
	return NULL;
}

/**
 * cc_arena_page_node() - the node of a piece, if the arena has several
 * @page: its first page
 *
 * Return: its number.
 */
int cc_arena_page_node(const struct page *page)
{
	unsigned int frame;

	return unit_node(unit_of(page, &frame));
}

/* True if all frames of the piece are allocated, and in @from; then they are in @to. */
static bool change_state(struct page *page, unsigned int order,
			 enum frame_state from, enum frame_state to)
{
	unsigned int frame;
	struct unit *u = unit_of(page, &frame);
	u32 mask;

	if (!u)
		return false;
	mask = frame_mask(order, frame);
	if ((u->used & mask) != mask)
		return false;
	for (; mask & BIT(frame); frame++) {
		if (u->state[frame] != from)
			return false;
		u->state[frame] = to;
	}
	return true;
}

static void arena_free(struct page *page, unsigned int order)
{
	unsigned int frame;
	struct unit *u = unit_of(page, &frame);

	if (!change_state(page, order, PRIVATE, PRIVATE)) {
		KUNIT_FAIL(arena_test, "freed what is not allocated and private");
		return;
	}
	u->used &= ~frame_mask(order, frame);
	cc_arena.used -= PAGE_SIZE << order;
}

static int arena_convert(struct page *page, unsigned int order, bool share)
{
	bool fail = fails(share ? CC_FAKE_SHARE : CC_FAKE_UNSHARE) ||
		    (share && (cc_arena.bad_nodes & BIT(cc_arena_page_node(page))));
	enum frame_state to = fail ? UNKNOWN : share ? SHARED : PRIVATE;

	might_sleep();
	cc_arena.converted++;
	if (change_state(page, order, share ? PRIVATE : SHARED, to))
		return fail ? -EIO : 0;
	/* What could not be converted is converted back. */
	if (!change_state(page, order, UNKNOWN, to))
		KUNIT_FAIL(arena_test, "converted to what it is");
	if (fail)
		cc_arena.unknown += PAGE_SIZE << order;
	return fail ? -EIO : 0;
}

static void *arena_alloc_metadata(size_t size)
{
	void *ptr = fails(CC_FAKE_METADATA) ? NULL : kzalloc(size, GFP_KERNEL);

	metadata += !!ptr;
	return ptr;
}

static void arena_free_metadata(void *ptr)
{
	metadata -= !!ptr;
	kfree(ptr);
}

static struct page *arena_alloc_page(void)
{
	struct page *page = NULL;

	if (!fails(CC_FAKE_METADATA))
		page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	metadata += !!page;
	return page;
}

static void arena_free_page(struct page *page)
{
	metadata--;
	__free_page(page);
}

/**
 * cc_arena_begin() - put the arena in place
 * @test: the test; before it starts the allocator
 *
 * Skips the test if no page is as large as a block.
 */
void cc_arena_begin(struct kunit *test)
{
	if (UNIT_ORDER > MAX_PAGE_ORDER)
		kunit_skip(test, "no page is as large as a block");
	arena_test = test;
	for (unsigned int i = 0; i < ARRAY_SIZE(units); i++) {
		units[i].page = alloc_pages(GFP_KERNEL, UNIT_ORDER);
		KUNIT_ASSERT_NOT_NULL(test, units[i].page);
	}
	kunit_activate_static_stub(test, cc_alloc_memory, arena_alloc);
	kunit_activate_static_stub(test, cc_free_memory, arena_free);
	kunit_activate_static_stub(test, cc_alloc_metadata, arena_alloc_metadata);
	kunit_activate_static_stub(test, cc_free_metadata, arena_free_metadata);
	kunit_activate_static_stub(test, cc_alloc_metadata_page, arena_alloc_page);
	kunit_activate_static_stub(test, cc_free_metadata_page, arena_free_page);
	kunit_activate_static_stub(test, cc_convert, arena_convert);
	cc_arena_reset(0);
}

/**
 * cc_arena_reset() - all can be had again, and nothing fails
 * @seed: of what fails by chance
 */
void cc_arena_reset(u32 seed)
{
	memset(&cc_arena, 0, sizeof(cc_arena));
	cc_arena.max_shift = CC_BLOCK_SHIFT;
	cc_arena.limit = CC_ARENA_BYTES;
	prandom_seed_state(&cc_arena.rnd, seed);
	for (unsigned int i = 0; i < ARRAY_SIZE(units); i++) {
		units[i].used = 0;
		memset(units[i].state, PRIVATE, sizeof(units[i].state));
	}
}

/**
 * cc_arena_check() - nothing is missing but what is quarantined
 *
 * After the allocator has stopped.
 *
 * Return: true if that is so.
 */
bool cc_arena_check(void)
{
	return !metadata && cc_arena.used == cc_arena.unknown &&
	       cc_arena.unknown == cc_swiotlb.quarantined;
}

/**
 * cc_arena_end() - return the memory of the arena
 */
void cc_arena_end(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(units); i++) {
		if (units[i].page)
			__free_pages(units[i].page, UNIT_ORDER);
		units[i].page = NULL;
	}
}
