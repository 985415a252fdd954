/* SPDX-License-Identifier: MIT */
/*
 * Dirty pages that are moved to where they are wanted in one piece: that they are the same pages and those in use stay
 * where they are, how many calls it takes, what is not moved, and what a system does that moves less, or nothing.
 */
#include <errno.h>

#include "base/tunables.h"
#include "mm/range.h"
#include "model.h"

#define PIECE 3UL
#define NR_PIECES 8UL
#define MARK 0x1000UL

static unsigned long first;

static unsigned long *word(unsigned long pb)
{
	return (unsigned long *)block_to_addr(pb);
}

static unsigned long take(unsigned long nr)
{
	bool clean;
	unsigned long pb = arena_alloc(nr, 1, PB_HUGE, 0, &clean);

	must(pb);
	return pb;
}

/* Pieces side by side, each pageblock with its number; then every second one is free. */
static void make_pieces(void)
{
	unsigned long i;

	model_start();
	tunables.dirty_max = GiB;
	tunables.dirty_decay = 0;
	first = take(NR_PIECES * PIECE);
	for (i = 0; i < NR_PIECES * PIECE; i++)
		*word(first + i) = MARK + i;
	for (i = 0; i < NR_PIECES; i += 2)
		arena_free(first + i * PIECE, PIECE, true);
	/* Whatever else the heap has grown by. */
	for (i = arena_stats.mapped - arena_stats.used - arena_stats.dirty; i; i--)
		take(1);
	must(arena_stats.dirty == NR_PIECES / 2 * PIECE && arena_stats.mapped - arena_stats.used == arena_stats.dirty);
}

/* What is in use was not touched. */
static void check_used(void)
{
	unsigned long i;

	for (i = 0; i < NR_PIECES * PIECE; i++)
		if (i / PIECE % 2)
			must(*word(first + i) == MARK + i, "pageblock %lu", i);
	check_arena();
}

/* Pageblocks of the nr that hold what was in one that was free. */
static unsigned long moved_to(unsigned long pb, unsigned long nr)
{
	unsigned long i, seen = 0, n;

	for (i = pb; i < pb + nr; i++) {
		n = *word(i) - MARK;
		if (n >= NR_PIECES * PIECE)
			continue;
		must(n / PIECE % 2 == 0 && !(seen >> n & 1), "%lu", n);
		seen |= 1UL << n;
	}
	return (unsigned long)__builtin_popcountl(seen);
}

static void together(void)
{
	unsigned long pb, mapped;

	make_pieces();
	mapped = arena_stats.mapped;
	fake_os_reset();
	pb = take(3 * PIECE + 1);
	must(moved_to(pb, 3 * PIECE + 1) == 3 * PIECE + 1 && arena_stats.dirty == PIECE - 1);
	must(fake_os_calls(FAKE_MREMAP) == 4 && arena_stats.mapped == mapped);
	check_used();
	/* What it left is taken as ever, and free once more it serves as it is. */
	fake_os_reset();
	take(PIECE - 1);
	arena_free(pb, 3 * PIECE + 1, true);
	must(take(3 * PIECE + 1) == pb && fake_os_calls(FAKE_ANY) == 0);
	check_used();
}

/* Of what is longer than all that is dirty, as much. */
static void a_part(void)
{
	unsigned long pb, nr = NR_PIECES * PIECE, mapped;

	make_pieces();
	mapped = arena_stats.mapped;
	pb = take(nr);
	must(moved_to(pb, nr) == nr / 2 && arena_stats.dirty == 0 && arena_stats.mapped == mapped + nr / 2);
	memset(block_to_addr(pb), 1, nr * PAGEBLOCK_SIZE);
	check_used();
}

/* Into a range that has memory, but no pages, in part. */
static void into_clean(void)
{
	unsigned long pb, given;

	make_pieces();
	given = first;
	must(arena_purge(arena_stats.dirty - PIECE, ~0U, false) == PIECE && !*word(given));
	arena_free(given + PIECE, PIECE, true); /* one range with that behind */
	fake_os_reset();
	pb = take(3 * PIECE);
	must(pb == given && fake_os_calls(FAKE_MREMAP) == 1 && fake_os_calls(FAKE_MMAP) == 0);
	must(moved_to(pb, PIECE) == PIECE, "over the clean ones");
	must(*word(pb + PIECE) == MARK + PIECE && moved_to(pb + 2 * PIECE, PIECE) == PIECE, "the others lay there");
	check_arena();
}

static void lengthened(void)
{
	unsigned long pb;

	make_pieces();
	pb = take(3 * PIECE); /* leaves holes behind the second, fourth and sixth piece, or one of them */
	must(arena_stats.dirty == PIECE && moved_to(pb, 3 * PIECE) == 3 * PIECE);
	must(!(block_at(first + 2 * PIECE)->flags & PBF_MAPPED));
	must(arena_extend(first + PIECE, PIECE, 2 * PIECE - 1));
	must(moved_to(first + 2 * PIECE, PIECE - 1) == PIECE - 1 && arena_stats.dirty == 1);
	must(arena_extend(first + PIECE, 2 * PIECE - 1, 2 * PIECE));
	must(!arena_extend(first + PIECE, 2 * PIECE, 2 * PIECE + 1), "what is behind is in use");
	check_used();
}

/* A zone needs no pair of an order for what goes over the end of a pageblock. */
static void odd_pair(void)
{
	unsigned long odd;
	struct page *page;

	make_pieces();
	odd = first + (align_block(first, 2) == first ? 1 : 0);
	while (arena_stats.mapped > arena_stats.used)
		take(1);
	arena_free(odd, 2, true);
	fake_os_reset();
	page = alloc_pages_exact(GFP_KERNEL, PAGEBLOCK_PAGES + 1, 0);
	must(page && page_to_pfn(page) == odd << PAGEBLOCK_ORDER && fake_os_calls(FAKE_ANY) == 0);
	free_pages_exact(page, PAGEBLOCK_PAGES + 1);
	check_arena();
}

static void another_node(void)
{
	unsigned long pb, i;

	make_pieces();
	/* The oldest are of node 1. */
	pb = take(PIECE);
	for (i = pb; i < pb + PIECE; i++)
		vmemmap.blocks[i].nid = 1;
	arena_free(pb, PIECE, true);
	fake_os_reset();
	i = take(4 * PIECE);
	must(moved_to(i, 4 * PIECE) == 3 * PIECE && arena_stats.dirty == PIECE);
	must(*word(pb) >= MARK && block_at(pb)->state == PB_FREE && block_at(pb)->nid == 1);
	check_used();
}

/* Where there are mappings enough nothing is moved. */
static void enough_pieces(void)
{
	unsigned long pb;

	make_pieces();
	arena_stats.pieces += PIECES_MAX;
	pb = take(2 * PIECE);
	arena_stats.pieces -= PIECES_MAX;
	must(fake_os_calls(FAKE_MREMAP) == 0 && moved_to(pb, 2 * PIECE) == 0);
	check_used();
}

/* Each move is a mapping of its own, and counted as one: as many as the system says at most. */
static void pieces_counted(void)
{
	unsigned long pb, before;

	make_pieces();
	before = arena_stats.pieces;
	pb = take(4 * PIECE);
	must(arena_stats.pieces == before + 3 + 4, "%lu, then %lu", before, arena_stats.pieces);
	check_used();
	arena_free(pb, 4 * PIECE, true);
	must(arena_purge(0, ~0U, true) >= 4 * PIECE && arena_stats.pieces == before + 3);
	check_used();
}

static long refusal;
static unsigned int refusals;

/* Moves one mapping, or none; finds it out when the target is gone. */
static long refusing_mremap(void *addr, size_t old_len, size_t new_len, void *to, int flags)
{
	if (refusal == -EFAULT && old_len == PAGEBLOCK_SIZE)
		return os_linux.mremap(addr, old_len, new_len, to, flags);
	refusals++;
	os_linux.munmap(to, new_len);
	return refusal;
}

static void refuse(long err)
{
	static struct os_ops ops;

	make_pieces();
	refusal = err;
	ops = *os;
	ops.mremap = refusing_mremap;
	os = &ops;
}

static void one_at_a_time(void)
{
	unsigned long pb;

	refuse(-EFAULT);
	pb = take(2 * PIECE);
	memset(block_to_addr(pb), 1, 2 * PIECE * PAGEBLOCK_SIZE);
	must(refusals == 1 && arena_stats.dirty == 4 * PIECE);
	check_used();
	pb = take(2 * PIECE);
	must(refusals == 1 && moved_to(pb, 2 * PIECE) == 2 * PIECE && arena_stats.dirty == 2 * PIECE);
	check_used();
}

static void not_at_all(void)
{
	refuse(-EPERM);
	for (int i = 0; i < 3; i++) {
		memset(block_to_addr(take(2 * PIECE)), 1, 2 * PIECE * PAGEBLOCK_SIZE);
		check_used();
	}
	must(refusals == 1);
}

/* A move that ends half-way: what is left of source and target is found out, and used no more as if it were there. */
static long half_mremap(void *addr, size_t old_len, size_t new_len, void *to, int flags)
{
	size_t half = new_len / 2 & -PAGEBLOCK_SIZE;

	(void)old_len;
	os_linux.munmap(to, new_len);
	must(half && os_linux.mremap(addr, half, half, to, flags) > 0);
	return -ENOMEM;
}

static void half_way(void)
{
	unsigned long pb;

	make_pieces();
	refuse(0);
	((struct os_ops *)os)->mremap = half_mremap;
	pb = take(2 * PIECE);
	memset(block_to_addr(pb), 1, 2 * PIECE * PAGEBLOCK_SIZE);
	must(arena_stats.dirty == 3 * PIECE);
	check_used();
	for (unsigned long i = 0; i < 4; i++)
		memset(block_to_addr(take(PIECE)), 1, PIECE * PAGEBLOCK_SIZE);
	check_used();
}

/* What pages are brought to has dirty ones only behind these. */
static void behind_a_move(void)
{
	unsigned long pb;
	bool clean;

	make_pieces();
	fake_os_reset();
	pb = arena_alloc_to_move(2 * PIECE, PIECE, 0, &clean);
	must(pb && !clean && range_is_clean(pb, PIECE) && fake_os_calls(FAKE_MREMAP) == 1);
	must(moved_to(pb, PIECE) == 0 && moved_to(pb + PIECE, PIECE) == PIECE);
	check_used();
}

int main(void)
{
	model_init();
	if (!CAN_PLAN || on_valgrind())
		skip_all("valgrind and sanitizers reserve the window: nothing is moved in it");
	run_case("pages of short ranges are moved together, and then stay", together);
	run_case("as many as there are", a_part);
	run_case("into a range of which a part has no pages", into_clean);
	run_case("into a hole behind a block that is lengthened", lengthened);
	run_case("behind what is moved itself", behind_a_move);
	run_case("a zone grows by two that are no pair", odd_pair);
	run_case("not those of another node", another_node);
	run_case("each is a mapping, and counted", pieces_counted);
	run_case("not when there are very many mappings", enough_pieces);
	run_case("a system that moves one mapping at a time", one_at_a_time);
	run_case("a system that moves none is asked once", not_at_all);
	run_case("a move that ends half-way", half_way);
	return done_testing();
}
