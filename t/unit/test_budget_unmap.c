/* SPDX-License-Identifier: MIT */
/*
 * Near a limit of the address space: what is free is unmapped, which goes first, and what is moved together instead;
 * and that a steady state makes no calls.
 */
#include "mm/current.h"
#include "budget.h"

/* Beyond the headroom nothing is mapped; what is free is unmapped once little is left. */
static void unmapped(int resource, enum limit_kind kind)
{
	unsigned long pb, more, left = 200 * MIB, nr, calls;
	struct budget_line line;

	start_rlimit(resource, left);
	must(budget_binding() == kind && budget_line(kind, &line) && line.headroom == 32 * MIB);
	/* Descriptors are part of it. */
	for (nr = 0; grow_huge(1, &pb); nr++)
		;
	must(nr >= BLOCKS(left - 32 * MIB) - 3 && nr <= BLOCKS(left - 32 * MIB), "%lu pageblocks", nr);
	check_arena();
	calls = fake_os_calls(FAKE_MUNMAP);
	for (more = 0; more < nr; more++)
		arena_free(pb - more, 1, true);
	must(fake_os_calls(FAKE_MUNMAP) > calls && fake_os_calls(FAKE_MADVISE) < 3 * nr);
	check_arena();
	must(arena_stats.used == 0 && BLOCKS(left) - arena_stats.mapped >= BLOCKS(128 * MIB), "%lu stay",
	     arena_stats.mapped);
	must(grow_huge(BLOCKS(left - 40 * MIB), &pb), "all of it again, as one");
}
static void address_space(void)
{
	if (window_reserved())
		return;
	unmapped(RLIMIT_AS, LIMIT_AS);
}
static void data(void)
{
	if (window_reserved())
		return;
	unmapped(RLIMIT_DATA, LIMIT_DATA);
}

/* Memory that was never used takes address space too, and goes first. */
static void clean_first(void)
{
	unsigned long pb, dirty;

	start_rlimit(RLIMIT_DATA, 160 * MIB);
	must(grow_huge(5, &dirty) && grow_huge(50, &pb));
	arena_free(dirty, 5, true);
	must(arena_stats.dirty == 5);
	arena_free(pb, 50, false);
	must(arena_stats.dirty == 5 && arena_stats.mapped < 30, "%lu dirty, %lu mapped", arena_stats.dirty,
	     arena_stats.mapped);
	check_arena();
}

/* Short ranges of dirty pages, each page with its number; nothing is given back for it. */
static void make_short_ranges(void)
{
	unsigned int scopes = memalloc_flags_save(PF_MEMALLOC_NOIO);
	unsigned long pb[8], i;

	for (i = 0; i < 8; i++)
		must(grow_huge(4, &pb[i]));
	for (i = 0; i < 16; i++)
		*(unsigned long *)block_to_addr(pb[i / 4 * 2] + i % 4) = i + 1;
	for (i = 0; i < 8; i += 2)
		arena_free(pb[i], 4, true);
	memalloc_flags_restore(scopes);
	must(arena_stats.dirty == 16);
}

/* Near the limit pages that are there are moved together, rather than given back and made again. */
static void gathered(void)
{
	unsigned long pb, i, mapped, seen = 0;

	if (window_reserved())
		return;
	start_rlimit(RLIMIT_DATA, 200 * MIB);
	make_short_ranges();
	mapped = arena_stats.mapped;
	must(grow_huge(14, &pb) && fake_os_calls(FAKE_MREMAP) == 4 && fake_os_calls(FAKE_MUNMAP) == 0);
	must(arena_stats.mapped == mapped && arena_stats.dirty == 2);
	for (i = 0; i < 14; i++)
		seen |= 1UL << *(unsigned long *)block_to_addr(pb + i);
	must(seen >> 1 == (1UL << 14) - 1, "the pages are those that were there: %#lx", seen);
	check_arena();
	/* What is not there is mapped. */
	must(grow_huge(6, &pb) && fake_os_calls(FAKE_MREMAP) == 5 && arena_stats.dirty == 0);
	must(arena_stats.mapped == mapped + 4 && !*(unsigned long *)block_to_addr(pb + 5));
	check_arena();
}

/* The system does not move them: then it makes others. */
static void not_gathered(void)
{
	unsigned long pb;

	if (window_reserved())
		return;
	start_rlimit(RLIMIT_DATA, 200 * MIB);
	make_short_ranges();
	fake_os_fail(FAKE_MREMAP, 2, true, EFAULT);
	must(grow_huge(14, &pb) && fake_os_calls(FAKE_MREMAP) == 2);
	check_arena();
	must(grow_huge(3, &pb), "out of one of the ranges");
	arena_free(pb, 3, true);
	check_arena();
}

/* Where the system makes no hole, the pages go at least. */
static void no_holes(void)
{
	unsigned long pb;

	if (window_reserved())
		return;
	start_rlimit(RLIMIT_DATA, 160 * MIB);
	must(grow_huge(40, &pb));
	fake_os_fail(FAKE_MUNMAP, 1, true, ENOMEM);
	arena_free(pb + 10, 20, true);
	must(arena_stats.dirty <= 8 && arena_stats.pieces == 1, "%lu dirty", arena_stats.dirty);
	check_arena();
	fake_os_reset();
	must(arena_purge(0, ~0U, false) && arena_stats.pieces == 2);
	must(grow_huge(15, &pb) && arena_stats.pieces <= 3);
	check_arena();
}

/* What comes and goes near the limit makes calls at first, and then none. */
static void swing(unsigned long in_use, unsigned long nr)
{
	unsigned long held[16], first, i, round, calls = 0;

	must(grow_huge(in_use, &first));
	for (round = 0; round < 40; round++) {
		if (round == 20)
			calls = fake_os_calls(FAKE_MUNMAP) + fake_os_calls(FAKE_MMAP) + fake_os_calls(FAKE_MPROTECT);
		for (i = 0; i < nr; i++)
			must(grow_huge(2, &held[i]));
		while (i--)
			arena_free(held[i], 2, true);
	}
	must(fake_os_calls(FAKE_MUNMAP) + fake_os_calls(FAKE_MMAP) + fake_os_calls(FAKE_MPROTECT) == calls, "%lu",
	     fake_os_calls(FAKE_MUNMAP));
}

/* Also where more comes and goes than is in use all the time, if that leaves plenty. */
static void steady_plenty(void)
{
	start_rlimit(RLIMIT_DATA, 400 * MIB);
	swing(8, 8);
	/* In a reserved window nothing is moved together: one more lies behind them. */
	must(arena_stats.dirty == 16 + (unsigned long)window_reserved(), "%lu dirty", arena_stats.dirty);
}

static void steady(void)
{
	unsigned long pb;

	start_rlimit(RLIMIT_DATA, 200 * MIB);
	swing(50, 7);
	must(arena_stats.mapped < 80);
	/* But if much is asked for, that is no hindrance. */
	must(grow_huge(20, &pb));
}

int main(void)
{
	fake_sys_init();
	run_case("RLIMIT_AS: refused at the headroom, unmapped when free", address_space);
	run_case("RLIMIT_DATA: the same", data);
	run_case("clean memory is unmapped before dirty memory", clean_first);
	run_case("pages of short ranges are moved together", gathered);
	run_case("or not, if the system does not move them", not_gathered);
	run_case("no holes where the system makes none", no_holes);
	run_case("a steady state near the limit makes no calls", steady);
	run_case("nor one where plenty is left", steady_plenty);
	fake_sys_remove();
	return done_testing();
}
