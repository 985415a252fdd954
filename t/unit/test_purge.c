/* SPDX-License-Identifier: MIT */
/*
 * Giving back: free pageblocks to the arenas, dirty pages to the system; how much may stay, and what goes because
 * nobody wants it.
 */
#include <errno.h>

#include "mm/balance.h"
#include "mm/balance_inner.h"
#include "mm/current.h"
#include "mm/exact.h"
#include "mm/pcp.h"
#include "purge.h"

static void trimming(void)
{
	struct page *page[4];
	unsigned int i;

	zone = model_start();
	for (i = 0; i < 4; i++)
		page[i] = alloc_pages(GFP_USER, PAGEBLOCK_ORDER);
	must(zone->managed_pages == 4 * PAGEBLOCK_PAGES && arena_stats.used == 4);
	for (i = 0; i < 4; i++)
		free_pages(page[i], PAGEBLOCK_ORDER);
	drain_all_pages();
	zone_trim(zone, 1);
	must(arena_stats.used <= 1 && zone->nr_free_blocks <= 1, "a zone keeps one free pageblock");
	must(zone->managed_pages == zone->nr_free_blocks << PAGEBLOCK_ORDER);
	zone_trim(zone, 0);
	must(!arena_stats.used && !zone->managed_pages && arena_stats.dirty == 4);
	must(mm_trim(2 * PAGEBLOCK_SIZE) == 2 * PAGEBLOCK_SIZE && arena_stats.dirty == 2);
	must(mm_trim(0) == 2 * PAGEBLOCK_SIZE && arena_stats.dirty == 0);
	must(mm_trim(0) == 0);
	for (i = 0; i < 4; i++)
		page[i] = alloc_pages(GFP_USER, 5);
	free_pages(page[0], 5);
	free_pages(page[2], 5);
	drain_all_pages();
	must(mm_trim(32 * PAGE_SIZE) == 32 * PAGE_SIZE && zone->nr_dirty == 32, "%lu pages left", zone->nr_dirty);
	free_pages(page[1], 5);
	free_pages(page[3], 5);
	check_zone(zone);
	check_arena();
}

static void purging(void)
{
	struct page *page, *hold;
	unsigned long dirty;

	zone = model_start();
	hold = alloc_pages(GFP_USER, 4);
	page = alloc_pages(GFP_USER, 7);
	memset(page_to_addr(page), 1, PAGE_SIZE << 7);
	free_pages(page, 7);
	dirty = zone->nr_dirty;
	must(dirty >= 128);
	fake_os_fail(FAKE_MADVISE, 1, true, EINVAL);
	must(zone_purge(zone, 0, 0) == 0 && zone->nr_dirty == dirty, "a refused purge changes nothing");
	check_zone(zone);
	fake_os_reset();
	must(zone_purge(zone, MAX_ORDER - 1, 0) == 0, "no block is that large");
	must(zone_purge(zone, 0, dirty) == 0, "that much may stay");
	must(zone_purge(zone, 0, 0) == dirty << PAGE_SHIFT && zone->nr_dirty == 0);
	check_zone(zone);
	page = alloc_pages(GFP_USER, 7);
	must(!(page->flags & PG_DIRTY) && all_zero(page_to_addr(page), PAGE_SIZE << 7));
	free_pages(page, 7);
	free_pages(hold, 4);
}

/* What lies scattered in blocks of 64 KiB goes as well. */
static void small_ones(void)
{
	static struct page *page[800];
	unsigned int i;

	start(4 * MiB);
	take(page, ARRAY_SIZE(page), 4);
	for (i = 0; i < ARRAY_SIZE(page); i++)
		if (i % 4)
			free_pages(page[i], 4);
	drain_all_pages();
	balance_zone(zone);
	must(zone->nr_dirty <= may_be_dirty(), "%lu pages dirty", zone->nr_dirty);
}

/* The most pages that one of many frees gives back, where one takes so long. */
static unsigned long most_given(unsigned long ns)
{
	static struct page *page[1500];
	unsigned long dirty, given, most = 0;
	unsigned int i;

	start(32 * MiB);
	fake_os_dontneed_ns = ns;
	take(page, ARRAY_SIZE(page), 5);
	for (i = 0; i < ARRAY_SIZE(page); i++) {
		if (i % 16 == 0)
			continue;
		dirty = zone->nr_dirty;
		free_pages(page[i], 5);
		given = dirty + (1UL << 5) - min_ul(dirty + (1UL << 5), zone->nr_dirty);
		most = max_ul(most, given);
	}
	return most;
}

/* However much is freed, no single free takes long to give back; and what is free comes to the limit all the same. */
static void in_steps(void)
{
	unsigned long most, limit;

	most = most_given(520);
	must(most && most <= 4 * MiB >> PAGE_SHIFT, "%lu pages given back by one free", most);
	limit = may_be_dirty() + zone->regret.slack;
	must(zone->nr_dirty <= limit + (MiB >> PAGE_SHIFT), "%lu pages dirty, %lu may be", zone->nr_dirty, limit);
	most = most_given(5200);
	must(most && most <= MiB >> PAGE_SHIFT, "%lu pages given back by one free where that is slow", most);
	most = most_given(0);
	must(most >= 8 * MiB >> PAGE_SHIFT, "%lu pages given back by one free where that is quick", most);
}

/* kswapd keeps nobody waiting. */
static void not_in_steps(void)
{
	unsigned long most;

	current->flags |= PF_KSWAPD;
	most = most_given(5200);
	must(most >= 8 * MiB >> PAGE_SHIFT, "%lu pages given back by kswapd", most);
}

/* What lies in small blocks counts as dirty, but only while it does. */
static void no_longer_small(void)
{
	static struct page *small[8192], *page[208];
	unsigned long limit, i;

	start(1 * MiB);
	take(page, ARRAY_SIZE(page), 5);
	take(small, ARRAY_SIZE(small), 0);
	for (i = 0; i < ARRAY_SIZE(small); i += 2)
		free_pages(small[i], 0);
	drain_all_pages();
	balance_zone(zone);
	must(zone->nr_dirty >= ARRAY_SIZE(small) / 2);
	for (i = 0; i < ARRAY_SIZE(small); i += 2)
		must(small[i] = alloc_pages(GFP_USER, 0));
	for (i = 0; i < ARRAY_SIZE(page); i++)
		if (i % 16)
			free_pages(page[i], 5);
	limit = may_be_dirty();
	must(zone->nr_dirty <= limit + limit / 8, "%lu pages dirty, %lu may be", zone->nr_dirty, limit);
}

/* More than may be dirty, but all of it in small blocks: to look at them at every free would be in vain. */
static void all_small(void)
{
	static struct page *small[8192];
	unsigned long i;

	start(1 * MiB);
	take(small, ARRAY_SIZE(small), 0);
	for (i = 0; i < ARRAY_SIZE(small); i += 2)
		free_pages(small[i], 0);
	drain_all_pages();
	must(zone->nr_dirty > may_be_dirty());
	zone->clean_left = ~0UL;
	balance_zone(zone);
	must(zone->clean_left == ~0UL);
}

/* Of blocks of 16 KiB free those that lie so in a group of four. */
static void free_lying(struct page **page, unsigned int nr, unsigned int where)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (page[i] && (page_to_pfn(page[i]) >> 2) % 4 == where) {
			free_pages(page[i], 2);
			page[i] = NULL;
		}
	drain_all_pages();
	for (i = 0; i < 16; i++)
		balance_zone(zone);
}

/* Small blocks are given back while twice as much is dirty as in use. */
static void mostly_small(void)
{
	static struct page *page[4096];
	unsigned long used;

	start(1 * MiB);
	take(page, ARRAY_SIZE(page), 2);
	free_lying(page, ARRAY_SIZE(page), 1);
	free_lying(page, ARRAY_SIZE(page), 2);
	must(zone->nr_dirty >= ARRAY_SIZE(page) * 2, "%lu pages dirty beside half that is in use", zone->nr_dirty);
	free_lying(page, ARRAY_SIZE(page), 3);
	used = zone->managed_pages - zone->nr_free_pages;
	must(zone->nr_dirty <= 2 * used, "%lu pages dirty, %lu in use", zone->nr_dirty, used);
	check_zone(zone);
}

/* One look in each tenth of a second of so many ms, where dirty_decay is a second. */
static void looks(unsigned int ms)
{
	for (uint64_t end = clock_ms + ms; clock_ms < end;) {
		clock_ms += 100;
		zones_decay(1000);
	}
}

static void free_every_other(struct page **page, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i += 2)
		free_pages(page[i], 0);
	drain_all_pages();
	must(zone->nr_dirty >= nr / 2);
}

/* Single pages go, too, that nobody wanted for long; those that are wanted now and then stay. */
static void decaying(void)
{
	struct page *page[32];
	unsigned long swings;

	zone = model_start();
	clock_ms = 1000000;
	take(page, ARRAY_SIZE(page), 0);
	looks(2000);
	free_every_other(page, ARRAY_SIZE(page));
	looks(900);
	must(zone->nr_dirty >= ARRAY_SIZE(page) / 2, "not yet");
	for (swings = 0; swings < 8; swings++) {
		page[0] = alloc_pages(GFP_USER, 6);
		looks(300);
		free_pages(page[0], 6);
		looks(300);
	}
	must(zone->nr_dirty == 64, "%lu pages, of which 64 are wanted", zone->nr_dirty);
	looks(600);
	must(zone->nr_dirty == 64, "%lu pages, too early", zone->nr_dirty);
	looks(700);
	must(!zone->nr_dirty, "%lu pages after 1.6 s", zone->nr_dirty);
	check_zone(zone);
}

/* They stay, too, where a look that saw them in use was one of many in a part of dirty_decay. */
static void wanted_for_a_moment(void)
{
	struct page *page, *buddy;
	unsigned int i;

	zone = model_start();
	clock_ms = 1000000;
	page = alloc_pages(GFP_USER, 6);
	buddy = alloc_pages(GFP_USER, 6);
	for (i = 0; i < 200; i++) {
		bool wanted = i % 18 == 4; /* a part begins with each ninth look */

		if (wanted && i > 4)
			page = alloc_pages(GFP_USER, 6);
		zones_decay(1000);
		if (wanted)
			free_pages(page, 6);
		clock_ms += 20;
	}
	must(zone->nr_dirty == 64, "%lu pages", zone->nr_dirty);
	free_pages(buddy, 6);
}

/* What a look gives back takes no thread of the program's long; kswapd's may. */
static void idle_in_steps(void)
{
	static struct page *page[64];
	unsigned long dirty;
	unsigned int i;

	start(256 * MiB);
	clock_ms = 1000000;
	take(page, ARRAY_SIZE(page), 6);
	for (i = 0; i < ARRAY_SIZE(page); i += 2)
		free_pages(page[i], 6);
	dirty = zone->nr_dirty;
	must(dirty == ARRAY_SIZE(page) / 2 << 6);
	for (i = 0; i < 20 && zone->nr_dirty == dirty; i++)
		looks(100);
	must(dirty - zone->nr_dirty == 2 * MiB >> PAGE_SHIFT, "%lu pages at a look", dirty - zone->nr_dirty);
	current->flags |= PF_KSWAPD;
	looks(100);
	current->flags &= ~PF_KSWAPD;
	must(!zone->nr_dirty, "%lu pages are left by kswapd", zone->nr_dirty);
}

/* What was idle before it was freed goes at once, pages and pageblocks; what others freed before does not. */
static void freed_idle(void)
{
	struct page *page[32], *large[4];

	start(256 * MiB);
	tunables.dirty_decay = 1000;
	clock_ms = 1000000;
	take(page, ARRAY_SIZE(page), 0);
	take(large, ARRAY_SIZE(large), MAX_ORDER - 1);
	looks(2000);
	free_every_other(page, ARRAY_SIZE(page) / 2);
	idle_frees_begin();
	free_every_other(page + ARRAY_SIZE(page) / 2, ARRAY_SIZE(page) / 2);
	free_pages(large[0], MAX_ORDER - 1);
	free_pages(large[1], MAX_ORDER - 1);
	zone_trim(zone, 0);
	idle_frees_end();
	must(!arena_stats.dirty && zone->nr_dirty == ARRAY_SIZE(page) / 2, "%lu pageblocks, %lu pages",
	     arena_stats.dirty, zone->nr_dirty);
	looks(100);
	must(zone->nr_dirty == ARRAY_SIZE(page) / 4, "%lu pages", zone->nr_dirty);
	free_pages(large[2], MAX_ORDER - 1);
	zone_trim(zone, 0);
	arena_purge(~0UL, 1000, false);
	must(arena_stats.dirty == 2, "others' is not idle yet");
}

/* What slabs have free takes from what may be dirty. */
static void unused_counts(void)
{
	static struct page *page[512];
	unsigned int i;

	start(0);
	take(page, ARRAY_SIZE(page), 5);
	mm_unused_pages = ARRAY_SIZE(page) << 5;
	for (i = 0; i < ARRAY_SIZE(page); i += 4)
		free_pages(page[i], 5);
	mm_unused_pages = 0;
	must(zone->nr_dirty <= 64, "%lu pages dirty", zone->nr_dirty);
}

/* So does what lists of runs have because few lengths come and go. */
static void lists_count(void)
{
	static struct page *page[512];
	unsigned long limit, i;

	start(4 * MiB);
	take(page, ARRAY_SIZE(page), 5);
	limit = may_be_dirty();
	exact_lists.more = exact_lists.nr_pages = limit / 2;
	for (i = 0; i < ARRAY_SIZE(page); i += 4)
		free_pages(page[i], 5);
	exact_lists.more = exact_lists.nr_pages = 0;
	must(zone->nr_dirty <= limit / 2 + (1UL << 5), "%lu pages dirty, %lu may be", zone->nr_dirty, limit / 2);
}

int main(void)
{
	model_init();
	run_case("whole free pageblocks go back to the arenas, and to the system", trimming);
	run_case("purging of free blocks", purging);
	run_case("giving back in steps", in_steps);
	run_case("but not by kswapd", not_in_steps);
	run_case("what nobody wants goes", decaying);
	run_case("nor what was wanted for a moment", wanted_for_a_moment);
	run_case("by little at a time", idle_in_steps);
	run_case("what was idle goes at once", freed_idle);
	run_case("what slabs have free counts", unused_counts);
	run_case("and what lists of runs have", lists_count);
	run_case("small blocks that are wanted again do not count", no_longer_small);
	run_case("nor is there a look at them at each free", all_small);
	run_case("small blocks go, too", small_ones);
	run_case("at once where little else is in use", mostly_small);
	return done_testing();
}
