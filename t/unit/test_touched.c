/* SPDX-License-Identifier: MIT */
/*
 * What is told from the time that the system takes to walk over freed memory, and what follows from it: hardly touched
 * pageblocks are not moved, nor are hugepages asked for.
 */
#include <errno.h>

#include "base/tunables.h"
#include "malloc/huge.h"
#include "mm/touched.h"
#include "model.h"

#ifndef MADV_COLD
#define MADV_COLD 20
#endif

#define CLOCK_NS 400UL
#define PAGE_NS 40UL

static struct os_ops ops;
static uint64_t now;
static unsigned long there; /* pages of each pageblock */
static unsigned long looks, hugepages;
static bool coarse, unknown;

static uint64_t timed_clock(void)
{
	now += coarse ? 0 : CLOCK_NS;
	return now;
}

static long timed_madvise(void *addr, size_t len, int advice)
{
	hugepages += advice == MADV_HUGEPAGE;
	if (advice != MADV_COLD)
		return os_linux.madvise(addr, len, advice);
	must(len <= PAGEBLOCK_SIZE);
	looks++;
	now += coarse ? 0 : CLOCK_NS + PAGE_NS * (there * len >> PAGEBLOCK_SHIFT);
	return unknown ? -EINVAL : 0;
}

static void start(unsigned long pages)
{
	model_start();
	ops = *os;
	ops.thread_clock_ns = timed_clock;
	ops.madvise = timed_madvise;
	os = &ops;
	there = pages;
	tunables.dirty_max = GiB;
	tunables.dirty_decay = 0;
}

static unsigned long take(unsigned long nr)
{
	bool clean;
	unsigned long pb = arena_alloc(nr, 1, PB_HUGE, 0, &clean);

	must(pb);
	return pb;
}

static void note_frees(unsigned int times)
{
	unsigned long pb;

	arena_purge(0, ~0U, false);
	pb = take(4);
	for (; times; times--) {
		touched_ask();
		if (touched_is_due())
			touched_look_at_blocks(pb, 4);
	}
	arena_free(pb, 4, true);
}

/* Every second of four is free, so that six pageblocks fit nowhere; how many calls those take that move some. */
static unsigned long moves(void)
{
	unsigned long pb = take(16), i;

	for (i = 0; i < 16; i += 4)
		arena_free(pb + i, 2, true);
	fake_os_reset();
	take(6);
	return fake_os_calls(FAKE_MREMAP);
}

static bool huge_after(unsigned long pages)
{
	unsigned long pb;

	start(pages);
	tunables.thp = THP_AUTO;
	tunables.thp_threshold = 0;
	note_frees(1);
	pb = take(4);
	hugepages = 0;
	arena_advise_huge(pb, 4, false);
	return hugepages;
}

static void full(void)
{
	start(PAGEBLOCK_PAGES);
	must(touched.pages == PAGEBLOCK_PAGES);
	note_frees(1);
	must(looks == 2 && touched.pages == PAGEBLOCK_PAGES && moves());
}

static void hardly(void)
{
	start(2);
	note_frees(1);
	must(touched.pages == 2 && !moves());
}

static void parts(void)
{
	must(huge_after(PAGEBLOCK_PAGES));
}

static void a_few(void)
{
	must(!huge_after(TOUCHED_HARDLY / 2));
	arena_advise_huge(take(4), 4, true);
	must(hugepages, "what small blocks will fill");
}

/* The more looks have agreed, the fewer are made; the first that does not is followed by others at once. */
static void seldom(void)
{
	unsigned long before;

	start(2);
	note_frees(1000);
	must(looks >= 10 && looks <= 40, "%lu", looks);
	there = PAGEBLOCK_PAGES;
	before = looks;
	note_frees(300);
	must(looks >= before + 6 && touched.pages >= TOUCHED_HARDLY, "%lu", looks - before);
}

static void no_clock(void)
{
	coarse = true;
	start(2);
	note_frees(1);
	must(looks && touched.pages == PAGEBLOCK_PAGES);
}

static void no_advice(void)
{
	unknown = true;
	start(2);
	note_frees(1);
	must(looks && touched.pages == PAGEBLOCK_PAGES);
}

static void free_blocks(unsigned long nr, unsigned int times)
{
	bool zeroed;

	for (; times; times--)
		huge_free(pfn_to_page(addr_to_pfn(huge_alloc(nr << PAGEBLOCK_SHIFT, 0, &zeroed))));
}

/* A steady state makes no call. */
static void when_asked(void)
{
	start(2);
	free_blocks(4, 1);
	must(looks && touched.pages == 2);
	free_blocks(4, 10);
	looks = 0;
	free_blocks(4, 1000);
	must(!looks);
}

/* Where others began, and whole pageblocks, of which many may be dirty. */
static void spread(void)
{
	unsigned long limit;
	struct page *page;
	bool zeroed;

	start(PAGEBLOCK_PAGES);
	limit = arena_dirty_limit();
	page = pfn_to_page(addr_to_pfn(huge_alloc(3 * MiB, 0, &zeroed)));
	must(pfn_to_block(page_to_pfn(page))->state == PB_ZONE);
	there = 2;
	note_frees(1);
	must(arena_dirty_limit() == TOUCHED_MORE_DIRTY * limit);
	there = TOUCHED_HARDLY / 2;
	note_frees(100);
	must(touched.pages < TOUCHED_HARDLY && arena_dirty_limit() < TOUCHED_MORE_DIRTY * limit);
	take(1);
	page = pfn_to_page(addr_to_pfn(huge_alloc(3 * MiB, 0, &zeroed)));
	must(pfn_to_block(page_to_pfn(page))->state == PB_HUGE);
	must((uintptr_t)page_to_addr(page) % (2 * PAGEBLOCK_SIZE) == 0);
	must((uintptr_t)block_to_addr(take(7)) % (4 * PAGEBLOCK_SIZE) == 0);
	/* Address space may be what a limit counts. */
	limits_in_force = true;
	must(!touched_less_than(PAGEBLOCK_PAGES) && touched_more_dirty() == 1);
}

/* Unless the system has nothing more, and there is room elsewhere. */
static void where_there_is_room(void)
{
	unsigned long pb[256], nr = 0, i;
	bool clean;

	start(2);
	note_frees(1);
	must(touched_less_than(TOUCHED_HARDLY));
	fake_os_no_memory();
	while (nr < ARRAY_SIZE(pb) && (pb[nr] = arena_alloc(1, 1, PB_HUGE, 0, &clean)))
		nr++;
	must(nr < ARRAY_SIZE(pb));
	for (i = 0; i + 2 < nr && !(pb[i] % 2 && pb[i + 1] == pb[i] + 1 && pb[i + 2] == pb[i] + 2); i++)
		;
	must(i + 2 < nr, "no three side by side of %lu", nr);
	arena_free(pb[i], 3, true);
	must(arena_alloc(3, 1, PB_HUGE, 0, &clean) == pb[i]);
	must(!arena_alloc(3, 1, PB_HUGE, 0, &clean));
	check_arena();
}

static void free_two(void)
{
	bool zeroed;
	void *p = huge_alloc(PAGEBLOCK_SIZE, 0, &zeroed);

	touched_ask();
	free_blocks(1, 1);
	huge_free(pfn_to_page(addr_to_pfn(p)));
}

/* What others left is not this one's; so that something can be told at all, some of it goes. */
static void left_by_others(void)
{
	unsigned long given;

	start(2);
	tunables.dirty_max = GiB;
	note_frees(1);
	/* Two are left, which all take in turn. */
	while (arena_stats.mapped - arena_stats.used > 2)
		take(1);
	free_two();
	must(arena_stats.dirty == 2);
	there = PAGEBLOCK_PAGES;
	given = arena_stats.given_back;
	for (looks = 0; looks < 2;) {
		touched_ask();
		free_blocks(1, 1);
	}
	must(touched.pages == 2 && arena_stats.given_back == given + 1);
	for (looks = 0; touched.pages < TOUCHED_HARDLY && looks < 100;) {
		free_two();
	}
	must(touched.pages >= TOUCHED_HARDLY);
}

/* Blocks of a zone on their way home, if they are large. */
static void of_zones(void)
{
	start(2);
	free_pages_exact(alloc_pages_exact(GFP_MALLOC, TOUCHED_LOOK_MIN - 1, 0), TOUCHED_LOOK_MIN - 1);
	must(!looks);
	free_pages_exact(alloc_pages_exact(GFP_MALLOC, 300, 0), 300);
	must(looks && touched.pages <= 2, "%lu %u", looks, touched.pages);
}

static void of_hugepages(void)
{
	unsigned long pb;

	start(2);
	tunables.thp = THP_AUTO;
	tunables.thp_threshold = 0;
	pb = take(4);
	arena_advise_huge(pb, 4, false);
	must(hugepages);
	touched_look_at_blocks(pb, 4);
	must(!looks);
}

/* Which no pageblock is marked with. */
static void of_hugepages_throughout(void)
{
	start(2);
	tunables.thp = THP_ALWAYS;
	note_frees(1);
	must(!looks && touched.pages == PAGEBLOCK_PAGES && moves());
}

int main(void)
{
	model_init();
	if (!CAN_PLAN || on_valgrind())
		skip_all("valgrind and sanitizers reserve the window: nothing is moved in it");
	run_case("what is full is found so, and moved", full);
	run_case("what is hardly touched is not", hardly);
	run_case("hugepages where blocks are filled", parts);
	run_case("none where a few pages are touched, which are worth moving", a_few);
	run_case("looks that agree become rare", seldom);
	run_case("a coarse clock tells nothing", no_clock);
	run_case("nor does a system without the advice", no_advice);
	run_case("huge blocks are looked at while the heap grows", when_asked);
	run_case("large blocks begin at pageblocks where others did, and more stay dirty", spread);
	run_case("or anywhere, where there is no more memory", where_there_is_room);
	run_case("what others left does not count", left_by_others);
	run_case("large blocks of zones are looked at, too", of_zones);
	run_case("hugepages are not", of_hugepages);
	run_case("nor is anything under thp:always", of_hugepages_throughout);
	return done_testing();
}
