/* SPDX-License-Identifier: MIT */
/*
 * Lists of freed runs: had back as they were, bounded, emptied and closed with the per-CPU lists.
 */
#include "base/tunables.h"
#include "malloc/huge.h"
#include "mm/arena.h"
#include "mm/balance.h"
#include "mm/budget.h"
#include "mm/exact.h"
#include "mm/internal.h"
#include "mm/pcp.h"
#include "mm/touched.h"
#include "mm/vmstat.h"
#include "slab/run.h"
#include "model.h"

#define LARGE (NR_CLASSES - 1) /* 256 pages */
#define KEPT 256UL	       /* pages that are kept */

static struct zone *zone;

static void start(void)
{
	zone = model_start();
	tunables.dirty_max = 16 * MiB;
}

static void *get(unsigned int class)
{
	bool zeroed;
	void *p = run_alloc(class, 0, &zeroed);

	must(p);
	*(volatile char *)p = 1;
	return p;
}

/* What is allocated and what is free is all that the zone has. */
static void check(unsigned long held)
{
	must(held + zone->nr_free_pages + nr_pcp_pages(zone) == zone->managed_pages);
	must(zone_pages_used(zone) == held);
	must(exact_lists.room >= 0);
	check_zone(zone);
}

static void kept(void)
{
	unsigned int class;
	unsigned long before;
	void *p, *q;
	bool zeroed;

	start();
	for (class = FIRST_RUN_CLASS; class < NR_CLASSES; class ++) {
		p = get(class);
		before = zone_pages_allocated(zone);
		run_free(p);
		must(nr_exact_list_pages(zone) == class_pages(class), "%u", class);
		check(0);
		q = run_alloc(class, 0, &zeroed);
		must(q == p && !zeroed && page_type(pfn_to_page(addr_to_pfn(q))) == PAGE_RUN, "it is had back");
		must(!nr_exact_list_pages(zone) && vmemmap.class[addr_to_pfn(q)] == class);
		must(zone_pages_allocated(zone) - before == class_pages(class));
		check(class_pages(class));
		run_free(q);
		must(drain_all_pages() >= class_pages(class) && !nr_exact_list_pages(zone));
		check(0);
	}
	p = get(FIRST_RUN_CLASS);
	q = get(FIRST_RUN_CLASS);
	run_free(p);
	run_free(q);
	must(get(FIRST_RUN_CLASS) == q && get(FIRST_RUN_CLASS) == p, "the last first");
}

static void bounded(void)
{
	void *runs[19]; /* every other one finds them full */
	unsigned long i;

	start();
	for (i = 0; i < ARRAY_SIZE(runs); i++)
		runs[i] = get(LARGE);
	for (i = 0; i < ARRAY_SIZE(runs); i++) {
		run_free(runs[i]);
		must(nr_exact_list_pages(zone) == (i % 2 ? 0 : KEPT));
		check((ARRAY_SIZE(runs) - i - 1) * class_pages(LARGE));
	}
	must(nr_exact_list_pages(zone) && get(LARGE) == runs[i - 1], "when they are full they begin anew");
	run_free(runs[i - 1]);
	exact_lists_age();
	must(nr_exact_list_pages(zone), "in use since the last look");
	exact_lists_age();
	must(!nr_exact_list_pages(zone), "not in use");
}

/* So many blocks of each of the classes from first to LARGE are had, and then all are freed. */
static void burst(unsigned int first, unsigned int each)
{
	void *runs[256];
	unsigned int class, i, nr = 0;

	for (class = first; class <= LARGE; class ++)
		for (i = 0; i < each; i++)
			runs[nr++] = get(class);
	for (i = 0; i < nr; i++)
		run_free(runs[i]);
}

static void bursts(unsigned int first, unsigned int each)
{
	unsigned int round;

	for (round = 0; round < 40; round++)
		burst(first, each);
}

/* Half of each of so many pageblocks is free: a zone of these need not grow, and gives none back. */
static void halve(unsigned int nr)
{
	void *runs[2 * 64];
	unsigned int i;

	must(2 * nr <= ARRAY_SIZE(runs));
	for (i = 0; i < 2 * nr; i++)
		runs[i] = get(LARGE);
	for (i = 0; i < 2 * nr; i += 2)
		run_free(runs[i]);
	drain_all_pages();
}

static void grown(void)
{
	unsigned long before, limit;

	start();
	halve(32);
	bursts(FIRST_RUN_CLASS, 1);
	must(exact_lists.granted <= (long)KEPT, "many lengths");
	drain_all_pages();
	limit = arena_dirty_limit();
	bursts(LARGE, 10);
	must(nr_exact_list_pages(zone) == 10 * KEPT, "one length");
	must(arena_dirty_limit() == limit - exact_lists_excess() / PAGEBLOCK_PAGES, "they count as dirty");
	before = exact_list_pages_allocated(zone);
	burst(LARGE, 10);
	must(exact_list_pages_allocated(zone) - before == 10 * KEPT);
	bursts(FIRST_RUN_CLASS, 1);
	must(exact_lists.granted <= (long)KEPT, "other lengths");
}

/* Many lengths, of blocks that are touched: each goes home at once. */
static void many(void)
{
	start();
	run_free(get(LARGE));
	must(nr_exact_list_pages(zone) == KEPT, "at first");
	halve(32);
	bursts(FIRST_RUN_CLASS, 1);
	must(exact_lists.many);
	run_free(get(LARGE));
	must(!nr_exact_list_pages(zone));
	touched.pages = TOUCHED_HARDLY - 1;
	bursts(FIRST_RUN_CLASS, 1);
	must(!exact_lists.many, "hardly touched");
	drain_all_pages();
	touched.pages = TOUCHED_HARDLY;
	bursts(FIRST_RUN_CLASS, 1);
	must(exact_lists.many);
	bursts(LARGE, 10);
	must(!exact_lists.many && nr_exact_list_pages(zone) == 10 * KEPT, "one length again");
	check_zone(zone);
}

/* Four blocks of each of a few lengths are not enough, though they are of one or two. */
static void lengths_per_block(void)
{
	start();
	halve(32);
	bursts(LARGE - 3, 4);
	must(!exact_lists.more, "%lu", exact_lists.more);
	bursts(LARGE - 1, 6);
	must(exact_lists.more);
}

/* One length comes and goes, but most of what is missed is of others. */
static void others_missed(void)
{
	unsigned int round, i;

	start();
	halve(32);
	for (round = 0; round < 40; round++) {
		burst(LARGE, 10);
		for (i = 0; i < 40; i++)
			exact_list_missed(KEPT - 1);
	}
	must(exact_lists.granted <= (long)KEPT && !exact_lists.more);
}

/* Of many lengths, too, where that holds few pages. */
static void hardly_touched(void)
{
	start();
	halve(32);
	touched.pages = TOUCHED_HARDLY - 1;
	bursts(FIRST_RUN_CLASS, 1);
	must(exact_lists.granted == (long)(tunables.dirty_max >> PAGE_SHIFT), "%ld", exact_lists.granted);
	drain_all_pages();
	check_zone(zone);
	touched.pages = TOUCHED_HARDLY;
	bursts(FIRST_RUN_CLASS, 1);
	must(exact_lists.granted <= (long)KEPT, "%ld", exact_lists.granted);
}

/* Of few lengths short blocks take no more of the room than they hold; of many they count as longer. */
static void short_ones(void)
{
	enum { NR = 200 };
	unsigned long pages = NR * class_pages(FIRST_RUN_CLASS);
	void *runs[NR];
	unsigned int round, i;

	start();
	for (round = 0; round < 60; round++) {
		for (i = 0; i < NR; i++)
			runs[i] = get(FIRST_RUN_CLASS);
		for (i = 0; i < NR; i++)
			run_free(runs[i]);
		must(round || nr_exact_list_pages(zone) <= 4 * class_pages(FIRST_RUN_CLASS));
	}
	must(nr_exact_list_pages(zone) == pages, "%lu of %lu", nr_exact_list_pages(zone), pages);
	bursts(LARGE, 20);
	must(nr_exact_list_pages(zone) <= tunables.dirty_max >> PAGE_SHIFT, "%lu", nr_exact_list_pages(zone));
	bursts(FIRST_RUN_CLASS, 1);
	must(nr_exact_list_pages(zone) <= KEPT, "%lu", nr_exact_list_pages(zone));
	drain_all_pages();
	check(0);
}

/* Full of one length, they keep what they have; that is more where more may be dirty because it was missed. */
static void full(void)
{
	start();
	bursts(LARGE, 20);
	must(nr_exact_list_pages(zone) == 16 * KEPT, "%lu: what may be dirty", nr_exact_list_pages(zone));
	drain_all_pages();
	tunables.dirty_max = 8 * MiB;
	mm_trim(0);
	bursts(LARGE, 20);
	must(arena_regrets() && nr_exact_list_pages(zone) == 20 * KEPT, "%lu", nr_exact_list_pages(zone));
	/* One of them is in use, the others are not. */
	exact_lists_age();
	run_free(get(LARGE));
	exact_lists_age();
	must(!nr_exact_list_pages(zone), "not in use");
	check(0);
}

/* Blocks that are longer than runs: not at once, for there is no room. */
static void packed(void)
{
	unsigned long pages = EXACT_PAGES_MAX - 1, before; /* whole pageblocks are not packed */
	size_t size = pages * PAGE_SIZE;
	bool zeroed;
	void *p;
	int i;

	start();
	for (i = 0; i < 40; i++) {
		p = huge_alloc(size, 0, &zeroed);
		*(volatile char *)p = 1;
		huge_free(pfn_to_page(addr_to_pfn(p)));
		must(i || !nr_exact_list_pages(zone));
	}
	must(nr_exact_list_pages(zone) == pages);
	before = exact_list_pages_allocated(zone);
	must(huge_alloc(size, 0, &zeroed) == p && !zeroed && page_type(pfn_to_page(addr_to_pfn(p))) == PAGE_HUGE);
	must(exact_list_pages_allocated(zone) - before == pages && !nr_exact_list_pages(zone));
	check(pages);
	huge_free(pfn_to_page(addr_to_pfn(p)));
	must(drain_all_pages() && !nr_exact_list_pages(zone));
	check(0);
}

/* What they hold beyond what they always may is used before new memory is. */
static void before_huge(void)
{
	bool zeroed;

	start();
	bursts(LARGE, 10);
	must(exact_lists_excess() && nr_exact_list_pages(zone) == 10 * KEPT);
	must(huge_alloc(64 * MiB, 0, &zeroed));
	must(!nr_exact_list_pages(zone));
	burst(LARGE, 10);
	must(nr_exact_list_pages(zone) <= KEPT, "and they begin anew");
}

static void closed(void)
{
	void *p, *q;

	start();
	p = get(LARGE);
	q = get(LARGE);
	run_free(p);
	zone_pcp_disable(zone);
	must(!nr_exact_list_pages(zone), "emptied");
	run_free(q);
	must(!nr_exact_list_pages(zone), "and closed");
	zone_pcp_enable(zone);
	run_free(get(LARGE));
	must(nr_exact_list_pages(zone));

	limits_in_force = true;
	zone_set_pageset_high(zone);
	run_free(get(LARGE));
	limits_in_force = false;
	must(!nr_exact_list_pages(zone), "a limit");
	tunables.dirty_max = 0;
	run_free(get(LARGE));
	must(!nr_exact_list_pages(zone), "nothing is to be kept");
}

/* What lies in the lists is used before the zone grows. */
static void before_growth(void)
{
	unsigned long managed;
	void *p;

	start();
	p = get(LARGE);
	drain_all_pages();
	run_free(p);
	managed = zone->managed_pages;
	must(nr_exact_list_pages(zone) == 256);
	while (zone->managed_pages == managed && nr_exact_list_pages(zone))
		must(alloc_pages(GFP_USER, 4));
	must(zone->managed_pages == managed);
	check_zone(zone);
}

/* A fork waits for who is at them, and keeps others away. */
static void forking(void)
{
	bool zeroed;
	void *p, *q;

	start();
	p = get(LARGE);
	run_free(p);
	pcp_lock_all();
	q = run_alloc(LARGE, 0, &zeroed);
	must(q && q != p, "others do without");
	run_free(q);
	must(nr_exact_list_pages(zone) == 256 && exact_lists.room == EXACT_TAKEN);
	pcp_unlock_all();
	must(get(LARGE) == p && nr_exact_list_pages(zone) == 0);
	check(256);
}

int main(void)
{
	model_init();
	run_case("a freed run is had back", kept);
	run_case("bounded, and let go when idle", bounded);
	run_case("they hold more while few lengths come and go", grown);
	run_case("of many lengths they hold nothing", many);
	run_case("how many are few", lengths_per_block);
	run_case("but not if others are wanted", others_missed);
	run_case("they hold more where blocks are hardly touched", hardly_touched);
	run_case("of few lengths short blocks count as what they are", short_ones);
	run_case("full of one length", full);
	run_case("blocks longer than runs", packed);
	run_case("used before a huge block has new memory", before_huge);
	run_case("closed with the per-CPU lists", closed);
	run_case("used before the zone grows", before_growth);
	run_case("held while a fork runs", forking);
	return done_testing();
}
