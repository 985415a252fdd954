/* SPDX-License-Identifier: MIT */
/*
 * Moves of ranges by page tables, and what is left of both where the system refuses them, or makes a hole.
 */
#include <errno.h>
#include <sys/mman.h>

#include "base/tunables.h"
#include "model.h"

static unsigned long src, dst;
#define MOVED 4UL

static void prepare_move(void)
{
	bool clean;

	model_start();
	src = arena_alloc(MOVED, 1, PB_HUGE, 0, &clean);
	dst = arena_alloc(2 * MOVED, 1, PB_HUGE, 0, &clean);
	must(src && dst);
	memset(block_to_addr(src), 3, MOVED * PAGEBLOCK_SIZE);
	*word_at(src, 0) = 1;
	*word_at(src + MOVED - 1, PAGEBLOCK_SIZE - 8) = 2;
}

static void check_moved(void)
{
	must(*word_at(dst, 0) == 1 && *word_at(dst + MOVED - 1, PAGEBLOCK_SIZE - 8) == 2);
	must(*word_at(dst + 1, 64) == 0x0303030303030303);
	memset(block_to_addr(dst), 5, 2 * MOVED * PAGEBLOCK_SIZE);
	check_arena();
}

/* The source is whole again afterwards, and usable. */
static void must_move(void)
{
	must(arena_move(dst, src, MOVED, MOVED * PAGEBLOCK_SIZE));
	must(all_zero(block_to_addr(src), MOVED * PAGEBLOCK_SIZE));
	memset(block_to_addr(src), 4, MOVED * PAGEBLOCK_SIZE);
	check_moved();
	arena_free(src, MOVED, true);
	arena_free(dst, 2 * MOVED, true);
	check_arena();
}

static void move(void)
{
	prepare_move();
	must_move();
}

/* The source lies in several mappings of the system, as it does when a part was advised: done or refused, both are
 * good, and the target is usable. */
static void move_several_mappings(void)
{
	prepare_move();
	must(os_linux.mprotect(block_to_addr(src + 1), PAGEBLOCK_SIZE, PROT_READ) == 0);
	if (arena_move(dst, src, MOVED, MOVED * PAGEBLOCK_SIZE)) {
		must(*word_at(dst, 0) == 1);
		must(os_linux.mprotect(block_to_addr(dst + 1), PAGEBLOCK_SIZE, PROT_READ | PROT_WRITE) == 0);
		check_moved();
	} else {
		memset(block_to_addr(dst), 5, 2 * MOVED * PAGEBLOCK_SIZE);
		must(*word_at(src, 0) == 1 && *word_at(src + MOVED - 1, PAGEBLOCK_SIZE - 8) == 2);
	}
	check_arena();
}

/* The system refuses; before it does, it may have unmapped the target already (Linux did, until 6.17). */
static long unmapping_mremap(void *addr, size_t old_len, size_t new_len, void *to, int flags)
{
	(void)addr, (void)old_len, (void)flags;
	os_linux.munmap(to, new_len);
	return -EFAULT;
}

static long refusing_mremap(void *addr, size_t old_len, size_t new_len, void *to, int flags)
{
	(void)addr, (void)old_len, (void)new_len, (void)to, (void)flags;
	return -ENOMEM;
}

static void use_mremap(long (*mremap_op)(void *, size_t, size_t, void *, int))
{
	static struct os_ops ops;

	ops = *os;
	ops.mremap = mremap_op;
	os = &ops;
}

static void check_refused(void)
{
	unsigned long mmaps = fake_os_calls(FAKE_MMAP);

	must(!arena_move(dst, src, MOVED, MOVED * PAGEBLOCK_SIZE));
	must(os->mremap != refusing_mremap || fake_os_calls(FAKE_MMAP) == mmaps, "nothing is missing");
	must(*word_at(src, 0) == 1 && *word_at(src + MOVED - 1, PAGEBLOCK_SIZE - 8) == 2);
	memset(block_to_addr(dst), 5, 2 * MOVED * PAGEBLOCK_SIZE);
	check_arena();
	arena_free(dst, 2 * MOVED, true);
	arena_free(src, MOVED, true);
	check_arena();
}

static void move_refused(void)
{
	prepare_move();
	use_mremap(unmapping_mremap);
	check_refused();
}

static void move_refused_early(void)
{
	prepare_move();
	use_mremap(refusing_mremap);
	check_refused();
}

/* The place that the refused move unmapped is somebody else's before it can be mapped again. */
static long losing_mremap(void *addr, size_t old_len, size_t new_len, void *to, int flags)
{
	unmapping_mremap(addr, old_len, new_len, to, flags);
	must(os_linux.mmap((char *)to + PAGEBLOCK_SIZE, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_FIXED) > 0);
	((char *)to)[PAGEBLOCK_SIZE] = 42;
	return -EFAULT;
}

static void check_not_ours(unsigned long foreign)
{
	bool clean;

	must(*(char *)block_to_addr(foreign) == 42, "it was mapped over");
	arena_free(dst, 2 * MOVED, true);
	arena_free(src, MOVED, true);
	check_arena();
	for (unsigned long i = 0; i < 8 * MOVED; i++) {
		unsigned long pb = arena_alloc(1, 1, PB_HUGE, 0, &clean);

		must(pb && pb != foreign);
		must(!clean || all_zero(block_to_addr(pb), PAGEBLOCK_SIZE));
		memset(block_to_addr(pb), 6, PAGEBLOCK_SIZE);
	}
	arena_purge(0, 0, true);
	must(*(char *)block_to_addr(foreign) == 42);
	check_arena();
}

static void move_target_lost(void)
{
	prepare_move();
	use_mremap(losing_mremap);
	must(!arena_move(dst, src, MOVED, MOVED * PAGEBLOCK_SIZE - PAGE_SIZE));
	must(*word_at(src, 0) == 1 && *word_at(src + MOVED - 1, PAGEBLOCK_SIZE - 8) == 2);
	check_not_ours(dst + 1);
}

/* Linux before 5.7 can only leave a hole. */
static long old_mremap(void *addr, size_t old_len, size_t new_len, void *to, int flags)
{
	return flags ? -EINVAL : os_linux.mremap(addr, old_len, new_len, to, flags);
}

static void move_with_hole(void)
{
	prepare_move();
	use_mremap(old_mremap);
	must_move();
}

static long hole_mremap(void *addr, size_t old_len, size_t new_len, void *to, int flags)
{
	long ret = old_mremap(addr, old_len, new_len, to, flags);

	if (ret > 0) {
		must(os_linux.mmap((char *)addr + PAGEBLOCK_SIZE, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_FIXED) > 0);
		((char *)addr)[PAGEBLOCK_SIZE] = 42;
	}
	return ret;
}

static void move_hole_lost(void)
{
	prepare_move();
	use_mremap(hole_mremap);
	must(arena_move(dst, src, MOVED, MOVED * PAGEBLOCK_SIZE));
	check_moved();
	check_not_ours(src + 1);
}

/* The memory has moved, but there is none to fill the hole. */
static void check_without_refill(void)
{
	bool clean;

	use_mremap(old_mremap);
	fake_os_fail(FAKE_MMAP, 1, true, ENOMEM);
	must(arena_move(dst, src, MOVED, MOVED * PAGEBLOCK_SIZE));
	check_moved();
	arena_free(src, MOVED, true);
	check_arena();
	arena_purge(0, ~0U, true);
	check_arena();
	fake_os_reset();
	arena_free(dst, 2 * MOVED, true);
	for (int i = 0; i < 4; i++) {
		unsigned long pb = arena_alloc(MOVED, 1, PB_HUGE, 0, &clean);

		must(pb);
		must(!clean || all_zero(block_to_addr(pb), MOVED * PAGEBLOCK_SIZE));
		memset(block_to_addr(pb), 6, MOVED * PAGEBLOCK_SIZE);
	}
	check_arena();
}

static void move_without_refill(void)
{
	prepare_move();
	check_without_refill();
}

/* Without its reservation the hole may be taken by others: it must not be used again. */
static void reserve(void)
{
	fake_os_install();
	if (CAN_PLAN)
		fake_os_fail(FAKE_MMAP, 1, false, EEXIST);
	must(!mm_init() && window_reserved());
}

static void move_hole_lost_reserved(void)
{
	reserve();
	move_hole_lost();
}

static void move_target_lost_reserved(void)
{
	reserve();
	move_target_lost();
}

static void move_without_refill_reserved(void)
{
	reserve();
	prepare_move();
	check_without_refill();
	must(vmemmap.blocks[src].state == PB_HOLE && vmemmap.blocks[src + MOVED - 1].state == PB_HOLE);
}

int main(void)
{
	model_init();
	run_case("a move by page tables", move);
	run_case("a move from several mappings", move_several_mappings);
	run_case("a refused move leaves source and target usable", move_refused);
	run_case("so does one that is refused at once", move_refused_early);
	run_case("a target that was lost in a refused move is left alone", move_target_lost);
	run_case("the same in a reserved window", move_target_lost_reserved);
	run_case("a move that leaves a hole", move_with_hole);
	run_case("a hole that was taken by others is left alone", move_hole_lost);
	run_case("the same in a reserved window", move_hole_lost_reserved);
	run_case("a move with no memory for the hole", move_without_refill);
	run_case("the same in a reserved window", move_without_refill_reserved);
	return done_testing();
}
