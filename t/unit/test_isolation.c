/* SPDX-License-Identifier: MIT */
/*
 * Isolation: what is free in an isolated pageblock is nobody's, what is freed there stays there, and everything is as
 * it was when it is undone.
 */
#include <errno.h>

#include "model.h"

#include "mm/arena.h"
#include "mm/balance.h"
#include "mm/balance_inner.h"
#include "mm/internal.h"
#include "mm/memory_hotplug.h"
#include "mm/page_isolation.h"
#include "mm/pcp.h"

static struct zone *zone;

/* A zone of one free block of order 10 and no more; its first page. */
static unsigned long two_free_blocks(void)
{
	struct page *page;
	unsigned long pfn;

	zone = model_start();
	page = alloc_pages(GFP_USER, MAX_ORDER - 1);
	must(page);
	pfn = page_to_pfn(page);
	mutex_lock(&zone->lock);
	free_one_page(zone, pfn, MAX_ORDER - 1, true);
	mutex_unlock(&zone->lock);
	no_more_growth();
	return pfn;
}

static unsigned long nr_blocks(unsigned int order, enum migratetype mt)
{
	unsigned long nr = 0;
	uint32_t pfn;

	for (pfn = zone->free_area[order].free_list[mt]; pfn != NO_PFN; pfn = pfn_to_page(pfn)->next)
		nr++;
	return nr;
}

static enum migratetype type_of(unsigned long pfn)
{
	return get_pageblock_migratetype(pfn);
}

/* As two_free_blocks left it. */
static void all_as_before(unsigned long pfn)
{
	check_zone(zone);
	must(!zone->nr_isolated && !zone->nr_isolate_blocks && !zone->pcp_disabled);
	must(type_of(pfn) == MIGRATE_UNMOVABLE && type_of(pfn + PAGEBLOCK_PAGES) == MIGRATE_UNMOVABLE);
	must(zone->nr_free_pages == 2 * PAGEBLOCK_PAGES && zone->nr_free_blocks == 2);
	must(zone->free_area[MAX_ORDER - 1].free_list[MIGRATE_UNMOVABLE] == pfn);
	must(zone->nr_dirty == 2 * PAGEBLOCK_PAGES);
}

static void not_allocated(void)
{
	static const gfp_t mobility[] = { 0, GFP_MOVABLE, GFP_RECLAIMABLE };
	unsigned long pfn = two_free_blocks();
	unsigned int order, i;

	must(!start_isolate_page_range(pfn, pfn + 2 * PAGEBLOCK_PAGES, MIGRATE_MOVABLE));
	check_zone(zone);
	must(type_of(pfn) == MIGRATE_ISOLATE && type_of(pfn + PAGEBLOCK_PAGES) == MIGRATE_ISOLATE);
	must(zone->nr_isolated == 2 * PAGEBLOCK_PAGES && zone->nr_isolate_blocks == 2);
	must(zone->nr_free_pages == 2 * PAGEBLOCK_PAGES && !zone->nr_free_blocks);
	for (i = 0; i < ARRAY_SIZE(mobility); i++)
		for (order = 0; order < MAX_ORDER; order++) {
			must(!alloc_pages(GFP_NOWAIT | GFP_NOWARN | mobility[i], order), "order %u", order);
			must(!alloc_pages(GFP_ATOMIC | GFP_NOWARN | mobility[i], order), "order %u", order);
		}
	undo_isolate_page_range(pfn, pfn + 2 * PAGEBLOCK_PAGES);
	all_as_before(pfn);
	must(alloc_pages(GFP_NOWAIT, MAX_ORDER - 1) == pfn_to_page(pfn));
}

/* Each half of a block of order 10. */
static void half_of_a_large_block(void)
{
	unsigned long pfn = two_free_blocks(), half, other;
	struct page *page;
	int i;

	for (i = 0; i < 2; i++) {
		half = pfn + (i ? PAGEBLOCK_PAGES : 0);
		other = pfn + (i ? 0 : PAGEBLOCK_PAGES);
		/* One page of it is enough to ask for. */
		must(!start_isolate_page_range(half + 7, half + 8, MIGRATE_MOVABLE));
		check_zone(zone);
		must(type_of(half) == MIGRATE_ISOLATE && type_of(other) == MIGRATE_UNMOVABLE);
		must(zone->nr_isolated == PAGEBLOCK_PAGES && zone->nr_free_blocks == 1);
		must(!alloc_pages(GFP_NOWAIT | GFP_NOWARN, MAX_ORDER - 1));
		page = alloc_pages(GFP_NOWAIT, PAGEBLOCK_ORDER);
		must(page == pfn_to_page(other));
		must(!alloc_pages(GFP_NOWAIT | GFP_NOWARN, 0));
		free_pages(page, PAGEBLOCK_ORDER);
		check_zone(zone);
		undo_isolate_page_range(half + 7, half + 8);
		all_as_before(pfn);
	}
}

static void freed_while_isolated(void)
{
	unsigned long pfn = two_free_blocks();
	struct page *low = alloc_pages(GFP_NOWAIT, PAGEBLOCK_ORDER - 1), *page[8];
	unsigned int i;

	must(low == pfn_to_page(pfn));
	for (i = 0; i < 8; i++)
		must((page[i] = alloc_pages(GFP_NOWAIT, 0)));
	/* Pages lie in a per-CPU list, and more will. */
	must(nr_pcp_pages(zone));
	must(start_isolate_page_range(pfn, pfn + PAGEBLOCK_PAGES, MIGRATE_MOVABLE) == -EBUSY);
	must(!start_isolate_page_range(pfn + PAGEBLOCK_PAGES - 1, pfn + PAGEBLOCK_PAGES, MIGRATE_MOVABLE));
	must(type_of(pfn) == MIGRATE_ISOLATE && !nr_pcp_pages(zone));
	check_zone(zone);
	for (i = 0; i < 8; i++) {
		free_pages(page[i], 0);
		must(!nr_pcp_pages(zone), "page %u is in a per-CPU list", i);
		check_zone(zone);
	}
	must(nr_blocks(PAGEBLOCK_ORDER - 1, MIGRATE_ISOLATE) == 1);
	must(test_pages_isolated(pfn, pfn + PAGEBLOCK_PAGES) == -EBUSY);
	must(test_pages_isolated(pfn + PAGEBLOCK_PAGES / 2 + 1, pfn + PAGEBLOCK_PAGES) == 0);
	free_pages(low, PAGEBLOCK_ORDER - 1);
	must(nr_blocks(PAGEBLOCK_ORDER, MIGRATE_ISOLATE) == 1 && zone->nr_isolated == PAGEBLOCK_PAGES);
	must(test_pages_isolated(pfn, pfn + PAGEBLOCK_PAGES) == 0);
	must(test_pages_isolated(pfn + 3, pfn + 5) == 0);
	undo_isolate_page_range(pfn + PAGEBLOCK_PAGES - 1, pfn + PAGEBLOCK_PAGES);
	all_as_before(pfn);
	/* And the lists are open again. */
	page[0] = alloc_pages(GFP_NOWAIT, 0);
	must(page[0] && nr_pcp_pages(zone));
}

/* A block of order 10 comes back with one half isolated: each half goes where it belongs. */
static void freed_over_the_border(void)
{
	unsigned long pfn = two_free_blocks(), half;
	int i;

	for (i = 0; i < 2; i++) {
		half = pfn + (i ? PAGEBLOCK_PAGES : 0);
		mutex_lock(&zone->lock);
		must(rmqueue_smallest(zone, MAX_ORDER - 1, MIGRATE_UNMOVABLE) == pfn_to_page(pfn));
		set_pageblock_migratetype(half, MIGRATE_ISOLATE);
		free_one_page(zone, pfn, MAX_ORDER - 1, true);
		mutex_unlock(&zone->lock);
		must(zone->free_area[PAGEBLOCK_ORDER].free_list[MIGRATE_ISOLATE] == half);
		must(nr_blocks(PAGEBLOCK_ORDER, MIGRATE_UNMOVABLE) == 1 && zone->nr_isolated == PAGEBLOCK_PAGES);
		/* As who isolates does. */
		pfn_to_block(half)->isolated_from = MIGRATE_UNMOVABLE;
		zone->nr_isolate_blocks = 1;
		check_zone(zone);
		zone_pcp_disable(zone);
		undo_isolate_page_range(half, half + 1);
		all_as_before(pfn);
	}
}

static void what_is_refused(void)
{
	unsigned long pfn = two_free_blocks(), second = pfn + PAGEBLOCK_PAGES;
	struct page *page;

	/* One after the other: the second fails, and the first is as before. */
	must(!start_isolate_page_range(second, second + 1, MIGRATE_MOVABLE));
	must(start_isolate_page_range(pfn, second + 1, MIGRATE_MOVABLE) == -EBUSY);
	must(type_of(pfn) == MIGRATE_UNMOVABLE && zone->nr_isolate_blocks == 1 && zone->pcp_disabled == 1);
	must(start_isolate_page_range(second, second + 1, MIGRATE_MOVABLE) == -EBUSY);
	undo_isolate_page_range(second, second + 1);
	all_as_before(pfn);
	/* Not of a CMA area, and of one. */
	must(start_isolate_page_range(pfn, second, MIGRATE_CMA) == -EBUSY);
	all_as_before(pfn);
	/* Pageblocks of nobody. */
	must(start_isolate_page_range(second, second + PAGEBLOCK_PAGES + 1, MIGRATE_MOVABLE) == -EBUSY);
	must(start_isolate_page_range(second + PAGEBLOCK_PAGES, second + PAGEBLOCK_PAGES + 1, MIGRATE_MOVABLE) ==
	     -EBUSY);
	all_as_before(pfn);
	/* A page in use, alone and inside a block, compound or not. */
	page = alloc_pages(GFP_NOWAIT, 4);
	must(page_to_pfn(page) == pfn);
	must(start_isolate_page_range(pfn, pfn + 1, MIGRATE_MOVABLE) == -EBUSY);
	must(start_isolate_page_range(pfn + 15, pfn + 17, MIGRATE_MOVABLE) == -EBUSY);
	must(!start_isolate_page_range(pfn + 16, pfn + 17, MIGRATE_MOVABLE));
	undo_isolate_page_range(pfn + 16, pfn + 17);
	free_pages(page, 4);
	page = alloc_pages(GFP_NOWAIT | GFP_COMP, 4);
	must(page_to_pfn(page) == pfn);
	must(start_isolate_page_range(pfn + 15, pfn + 16, MIGRATE_MOVABLE) == -EBUSY);
	must(!zone->nr_isolate_blocks && !zone->pcp_disabled);
	check_zone(zone);
}

static void types_come_back(void)
{
	unsigned long pfn = two_free_blocks(), second = pfn + PAGEBLOCK_PAGES;

	must(alloc_pages(GFP_NOWAIT, PAGEBLOCK_ORDER) == pfn_to_page(pfn));
	must(alloc_pages(GFP_NOWAIT | GFP_MOVABLE, 5) == pfn_to_page(second));
	must(type_of(second) == MIGRATE_MOVABLE);
	free_pages(pfn_to_page(pfn), PAGEBLOCK_ORDER);
	must(!start_isolate_page_range(second - 1, second, MIGRATE_MOVABLE));
	must(!start_isolate_page_range(second + 32, second + 33, MIGRATE_MOVABLE));
	must(zone->pcp_disabled == 2);
	check_zone(zone);
	undo_isolate_page_range(second - 1, second);
	undo_isolate_page_range(second + 32, second + 33);
	must(type_of(pfn) == MIGRATE_UNMOVABLE && type_of(second) == MIGRATE_MOVABLE && !zone->nr_isolated);
	check_zone(zone);
}

static void marks_do_not_see_it(void)
{
	unsigned long pfn = two_free_blocks();

	must(zone_watermark_ok(zone, 0, PAGEBLOCK_PAGES, ZONE_NORMAL, 0));
	must(!start_isolate_page_range(pfn, pfn + 1, MIGRATE_MOVABLE));
	must(!zone_watermark_ok(zone, 0, PAGEBLOCK_PAGES, ZONE_NORMAL, 0));
	must(zone_watermark_ok(zone, 0, PAGEBLOCK_PAGES - 2, ZONE_NORMAL, 0));
	undo_isolate_page_range(pfn, pfn + 1);
	must(zone_watermark_ok(zone, 0, PAGEBLOCK_PAGES, ZONE_NORMAL, 0));
}

/* Neither the arenas, nor the system, nor a block that grows get it. */
static void left_alone(void)
{
	unsigned long pfn = two_free_blocks();
	struct page *page = alloc_pages_exact(GFP_NOWAIT, 64, 0);

	must(page_to_pfn(page) == pfn);
	must(!start_isolate_page_range(pfn + 64, pfn + 2 * PAGEBLOCK_PAGES, MIGRATE_MOVABLE));
	must(!resize_pages_exact(page, 64, 65));
	mm_trim(0);
	must(zone->managed_pages == 2 * PAGEBLOCK_PAGES);
	must(zone->nr_dirty == zone->nr_isolated && zone->nr_isolated == 2 * PAGEBLOCK_PAGES - 64);
	undo_isolate_page_range(pfn + 64, pfn + 2 * PAGEBLOCK_PAGES);
	reserve_highatomic_pageblock(page, zone);
	must(zone->nr_reserved_highatomic && !resize_pages_exact(page, 64, 65), "kept for atomic requests");
	mutex_lock(&zone->lock);
	move_freepages_block(zone, pfn, MIGRATE_UNMOVABLE);
	zone->nr_reserved_highatomic = 0;
	mutex_unlock(&zone->lock);
	must(resize_pages_exact(page, 64, 65));
	free_pages_exact(page, 65);
	check_zone(zone);
	mm_trim(0);
	must(!zone->managed_pages && !zone->nr_dirty);
}

static void child_of_a_fork(void)
{
	unsigned long pfn = two_free_blocks();

	must(!start_isolate_page_range(pfn, pfn + PAGEBLOCK_PAGES, MIGRATE_MOVABLE));
	isolation_reinit_after_fork();
	all_as_before(pfn);
	must(alloc_pages(GFP_NOWAIT, 0) && nr_pcp_pages(zone));
}

/* Random ranges come and go while blocks do. */
#define NR_BLOCKS 300
#define NR_RANGES 4
static void random_isolation(void)
{
	struct {
		struct page *page;
		unsigned int order;
	} blocks[NR_BLOCKS] = { { NULL, 0 } };
	struct {
		unsigned long start, end;
	} ranges[NR_RANGES] = { { 0, 0 } };
	unsigned long i, pfn, at, nr_isolated = 0;
	struct zone *movable;

	zone = model_start();
	movable = &NODE_DATA(zone->nid)->node_zones[ZONE_MOVABLE];
	for (i = steps(30000); i; i--) {
		unsigned int b = rnd(NR_BLOCKS), r = rnd(NR_RANGES);

		if (blocks[b].page) {
			free_pages(blocks[b].page, blocks[b].order);
			blocks[b].page = NULL;
		} else {
			blocks[b].order = rnd(rnd(8) ? 5 : MAX_ORDER);
			blocks[b].page = alloc_pages(GFP_USER | (rnd(2) ? GFP_MOVABLE : 0), blocks[b].order);
			pfn = page_to_pfn(blocks[b].page);
			for (at = pfn; at < pfn + (1UL << blocks[b].order); at += PAGEBLOCK_PAGES)
				must(type_of(at) != MIGRATE_ISOLATE);
		}
		if (rnd(8))
			continue;
		if (ranges[r].end) {
			undo_isolate_page_range(ranges[r].start, ranges[r].end);
			nr_isolated--;
			ranges[r].end = 0;
		} else {
			const struct zone *z = rnd(2) && movable->zone_end_pfn ? movable : zone;

			ranges[r].start = z->zone_start_pfn + rnd(z->zone_end_pfn - z->zone_start_pfn + 1);
			ranges[r].end = ranges[r].start + 1 + rnd(rnd(2) ? 8 : 1200);
			if (start_isolate_page_range(ranges[r].start, ranges[r].end, MIGRATE_MOVABLE))
				ranges[r].end = 0;
			else
				nr_isolated++;
		}
		must(zone->pcp_disabled + movable->pcp_disabled == nr_isolated);
		check_zone(zone);
		check_zone(movable);
		check_arena();
	}
	for (i = 0; i < NR_RANGES; i++)
		if (ranges[i].end)
			undo_isolate_page_range(ranges[i].start, ranges[i].end);
	for (i = 0; i < NR_BLOCKS; i++)
		if (blocks[i].page)
			free_pages(blocks[i].page, blocks[i].order);
	drain_all_pages();
	check_zone(zone);
	check_zone(movable);
	must(!zone->nr_isolated && !zone->nr_isolate_blocks && !movable->nr_isolated);
	zone_trim(zone, 0);
	zone_trim(movable, 0);
	must(!zone->managed_pages && !movable->managed_pages && !arena_stats.used);
}

/* A pageblock that one zone gave back, on its way to another, is neither's. */
static void between_zones(void)
{
	struct zone *movable;
	unsigned long pb, pfn;
	bool clean;

	zone = model_start();
	movable = &NODE_DATA(zone->nid)->node_zones[ZONE_MOVABLE];
	must(zone_grow(zone, PAGEBLOCK_ORDER, MIGRATE_MOVABLE) && !zone_pageset_init(movable));
	pfn = zone->zone_start_pfn;
	must(pageblock_in_zone(zone, pfn));
	zone_trim(zone, 0);
	must(!pageblock_in_zone(zone, pfn));
	pb = arena_alloc(1, 1, PB_OFFLINE, zone->nid, &clean);
	must(pb == pfn >> PAGEBLOCK_ORDER && !pageblock_in_zone(zone, pfn));
	must(start_isolate_page_range(pfn, pfn + PAGEBLOCK_PAGES, MIGRATE_MOVABLE) == -EBUSY);
	zone_online_blocks(movable, pb, 1, MIGRATE_MOVABLE, true);
	must(!pageblock_in_zone(zone, pfn) && pageblock_in_zone(movable, pfn));
	check_zone(movable);
}

int main(void)
{
	model_init();
	run_case("a pageblock between two zones is neither's", between_zones);
	run_case("isolated pageblocks are not allocated from", not_allocated);
	run_case("half of a free block of two pageblocks", half_of_a_large_block);
	run_case("what is freed while isolated stays there, and in no per-CPU list", freed_while_isolated);
	run_case("a block of two pageblocks comes back when one is isolated", freed_over_the_border);
	run_case("what is in use, isolated, of another kind or nobody's is refused", what_is_refused);
	run_case("pageblocks become again what they were", types_come_back);
	run_case("watermarks do not count it", marks_do_not_see_it);
	run_case("it is not trimmed, purged or grown into", left_alone);
	run_case("the child of a fork undoes what others isolated", child_of_a_fork);
	run_case("random ranges among random blocks", random_isolation);
	return done_testing();
}
