/* SPDX-License-Identifier: MIT */
/*
 * Blocks that are not of one order: exact lengths and their tails, blocks split into pages, pages in bulk; and the
 * counting of references.
 */
#include <pthread.h>

#include "mm/current.h"
#include "mm/fault_inject.h"
#include "mm/oom.h"
#include "mm/owner.h"
#include "mm/pcp.h"
#include "walk.h"

static struct zone *zone;

/* Free pages of the one pageblock there is, no CPU's list in between. */
static struct page *start(void)
{
	struct page *page;

	walk_start(1);
	zone = zone_of(0);
	zone_pcp_disable(zone);
	grow(zone, 1, MIGRATE_UNMOVABLE);
	page = take(zone, PAGEBLOCK_ORDER, MIGRATE_UNMOVABLE);
	give(page, PAGEBLOCK_ORDER);
	return page;
}

static void single_pages(struct page *page, unsigned long nr)
{
	for (unsigned long i = 0; i < nr; i++)
		must(page_type(&page[i]) == PAGE_HEAD && page[i].order == 0 && page[i].refcount == 1 &&
			     !(page[i].flags & (PG_COMPOUND | PG_MOVABLE)) && page_zone(&page[i]) == zone,
		     "page %lu", i);
}

static void exact_tail(void)
{
	struct page *page;
	unsigned long i;

	start();
	page = alloc_pages_exact(GFP_USER | GFP_COMP, 37, order_for_pages(37));
	must(page && zone->nr_free_pages == PAGEBLOCK_PAGES - 37 && page->refcount == 1);
	must(!(page->flags & PG_COMPOUND), "a tail could not be cut off");
	split_page_range(page, 37);
	single_pages(page, 37);
	check_zone(zone);
	/* In any order. */
	for (i = 0; i < 37; i++)
		free_pages(page + i * 5 % 37, 0);
	must(zone->nr_free_pages == zone->managed_pages && zone->nr_free_blocks == 1);
	check_zone(zone);
}

static void exact_zero(void)
{
	struct page *page = start();

	memset(page_to_addr(page), 1, PAGEBLOCK_SIZE);
	page = alloc_pages_exact(GFP_USER | GFP_ZERO, 5, 0);
	must(all_zero(page_to_addr(page), 5 * PAGE_SIZE));
	memset(page_to_addr(page), 1, 5 * PAGE_SIZE);
	free_pages_exact(page, 5);
	/* The same from blocks that lie side by side. */
	give(take(zone, 2, MIGRATE_UNMOVABLE), 2);
	must(page = alloc_pages_exact(GFP_USER | GFP_ZERO, 5, 0));
	must(all_zero(page_to_addr(page), 5 * PAGE_SIZE));
	/* The tail reads as it was left. */
	must(page = alloc_pages(GFP_USER, 0));
	must(page->flags & PG_DIRTY);
}

/* All that is free are seven pages: four, two, one. */
static struct page *start_with_seven(void)
{
	struct page *page = start();

	use_up(zone);
	no_more_growth();
	mutex_lock(&zone->lock);
	free_page_range(zone, page_to_pfn(page) + 8, 7, false);
	mutex_unlock(&zone->lock);
	return page + 8;
}

static void exact_side_by_side(void)
{
	struct page *page = start_with_seven();
	unsigned long before = zone->nr_alloc_pages;

	must(!alloc_pages(QUIET, 3) && alloc_pages_exact(QUIET, 7, 0) == page);
	must(zone->nr_alloc_pages == before + 7 && !zone->nr_free_pages);
	check_zone(zone);
	free_pages_exact(page, 7);
	/* As a larger order: aligned like it. */
	must(!alloc_pages_exact(QUIET, 7, 3));
	/* Not against the low mark. */
	min_free_kbytes = 4;
	must(!alloc_pages_exact(QUIET, 7, 0));
}

/* Two of them leave a third of a pageblock, which no other has room in. */
static void exact_over_ends(void)
{
	unsigned long nr = 176, i;

	start();
	for (i = 0; i < 8 * PAGEBLOCK_PAGES / nr; i++)
		must(alloc_pages_exact(GFP_USER, nr, 0));
	must(zone->managed_pages == 8 * PAGEBLOCK_PAGES, "%lu blocks have %lu pageblocks", i,
	     zone->managed_pages / PAGEBLOCK_PAGES);
	check_zone(zone);
}

/* A program that tests how it deals with failure meets it here, too. */
static void exact_fails(void)
{
	unsigned int i, failed = 0;

	start_with_seven();
	fault_inject_init();
	fail_page_alloc.attr.probability = 100;
	fail_page_alloc.attr.times = -1;
	fail_page_alloc.attr.verbose = 0;
	fault_attr_changed();
	for (i = 0; i < 8; i++)
		failed += !alloc_pages_exact(GFP_USER | GFP_NOWARN, 5, 0);
	must(failed == 8, "%u", failed);
}

/* Nothing that is pinned lies among what may be moved. */
static void exact_pinned(void)
{
	struct zone *movable;
	struct page *page;

	start();
	movable = zone_at(0, ZONE_MOVABLE);
	grow(movable, 1, MIGRATE_MOVABLE);
	zone_pcp_disable(movable);
	must(page = alloc_pages_exact(GFP_USER | GFP_MOVABLE, 5, 0));
	must(page_zone(page) == movable);
	free_pages_exact(page, 5);
	/* Seven free pages side by side are there, too. */
	must(page = take(movable, PAGEBLOCK_ORDER, MIGRATE_MOVABLE));
	mutex_lock(&movable->lock);
	free_page_range(movable, page_to_pfn(page) + 8, 7, false);
	mutex_unlock(&movable->lock);
	memalloc_flags_save(PF_MEMALLOC_PIN);
	page = alloc_pages_exact(GFP_USER | GFP_MOVABLE, 5, 0);
	must(page_zone(page) == zone && type_of(page) == MIGRATE_UNMOVABLE);
}

static void split(void)
{
	struct page *page = start(), *other;
	unsigned int i;

	page = alloc_pages(GFP_USER, 4);
	owner_accounting_enable();
	must(!owner_charge_blocks(page, 1, 4, GFP_KERNEL));
	page->refcount = 3;
	split_page(page, 4);
	must(page->refcount == 3, "whoever refers to the block refers to its first page now");
	page->refcount = 1;
	single_pages(page, 16);
	for (i = 0; i < 16; i++)
		must(page[i].owner == current->owner->id);
	for (i = 0; i < 16; i += 2)
		free_pages(page + i, 0);
	must(zone->nr_free_pages == PAGEBLOCK_PAGES - 8 && zone->free_area[0].nr_free == 8);
	must((other = alloc_pages(GFP_USER, 0)) && other < page + 16);
	free_pages(other, 0);
	for (i = 1; i < 16; i += 2)
		free_pages(page + i, 0);
	must(!owner_usage(current->owner));
	must(zone->nr_free_pages == PAGEBLOCK_PAGES && zone->nr_free_blocks == 1);
	check_zone(zone);
}

static void bulk(void)
{
	struct page *page[40];
	unsigned long i, stalls;

	start();
	no_more_growth();
	must(alloc_pages_bulk(GFP_USER, 0, page) == 0);
	must(alloc_pages_bulk(GFP_USER | GFP_ZERO, 40, page) == 40 && zone->nr_free_pages == PAGEBLOCK_PAGES - 40);
	for (i = 0; i < 40; i++) {
		single_pages(page[i], 1);
		must(i == 0 || page[i] != page[i - 1]);
		must(all_zero(page_to_addr(page[i]), PAGE_SIZE));
	}
	use_up(zone);
	for (i = 0; i < 10; i++)
		free_pages(page[i], 0);
	stalls = vm_events[ALLOCSTALL];
	/* Without a word, and without much ado: there is something. */
	must(alloc_pages_bulk(GFP_USER | GFP_NOFAIL, 40, page) == 10);
	must(vm_events[ALLOCSTALL] == stalls + 1 && !oom_calls);
	must(alloc_pages_bulk(GFP_USER | GFP_NOWARN, 40, page) == 0);
}

/* Several threads hold references, and drop them. */
#define NR_THREADS 4
static struct page *shared;
static unsigned int last;

static void *getter(void *arg)
{
	unsigned long i;

	(void)arg;
	for (i = steps(200000); i; i--) {
		__atomic_add_fetch(&shared->refcount, 1, __ATOMIC_RELAXED);
		if (put_page_testzero(shared))
			atomic_add_return(&last, 1);
	}
	if (put_page_testzero(shared))
		atomic_add_return(&last, 1);
	return NULL;
}

static void references(void)
{
	pthread_t thread[NR_THREADS];
	int i;

	start();
	shared = alloc_pages(GFP_USER, 4);
	must(shared->refcount == 1);
	shared->refcount = 2;
	must(!put_page_testzero(shared) && shared->refcount == 1);
	must(put_page_testzero(shared) && shared->refcount == 0);
	shared->refcount = NR_THREADS;
	for (i = 0; i < NR_THREADS; i++)
		must(!pthread_create(&thread[i], NULL, getter, NULL));
	for (i = 0; i < NR_THREADS; i++)
		must(!pthread_join(thread[i], NULL));
	must(last == 1 && shared->refcount == 0, "one of them was the last: %u", last);
	shared->refcount = 2;
	free_pages(shared, 4);
	must(zone->nr_free_pages == PAGEBLOCK_PAGES - 16, "somebody refers to it");
	free_pages(shared, 4);
	must(zone->nr_free_pages == PAGEBLOCK_PAGES);
	check_zone(zone);
}

int main(void)
{
	run_case("the tail of an exact length is free", exact_tail);
	run_case("exact lengths that read as zero", exact_zero);
	run_case("exact lengths from blocks side by side", exact_side_by_side);
	run_case("exact lengths over the ends of pageblocks", exact_over_ends);
	run_case("exact lengths fail when they are told to", exact_fails);
	run_case("exact lengths are not movable in the scope of a pin", exact_pinned);
	run_case("a block that is split is single pages", split);
	run_case("as many pages in bulk as there are", bulk);
	run_case("the last reference frees the block", references);
	return done_testing();
}
