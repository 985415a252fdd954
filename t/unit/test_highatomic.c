/* SPDX-License-Identifier: MIT */
/*
 * Pageblocks kept for large requests that may not wait: how many, of which kind, who has them, and how they come back.
 */
#include "mm/memory_hotplug.h"
#include "mm/pcp.h"
#include "walk.h"

static struct zone *zone;

/* nr pageblocks, and no more to be had. */
static void start(int nr)
{
	walk_start(1);
	zone = zone_of(0);
	grow(zone, nr, MIGRATE_UNMOVABLE);
	no_more_growth();
	zone_pcp_disable(zone);
}

static struct page *from(unsigned int order, enum migratetype mt, unsigned int alloc_flags)
{
	struct page *page;

	mutex_lock(&zone->lock);
	page = rmqueue_buddy(zone, order, mt, alloc_flags);
	mutex_unlock(&zone->lock);
	if (page)
		prep_new_page(page, order, 0, 0);
	return page;
}

static struct alloc_context context(int nid, enum migratetype mt)
{
	struct alloc_context ac = {
		.zonelist = NODE_DATA(nid)->node_zonelists[ZONELIST_FALLBACK],
		.migratetype = mt,
		.highest_zoneidx = ZONE_NORMAL,
	};

	reset_preferred(&ac);
	return ac;
}

/* A block out of each pageblock; what is reserved of them. */
static unsigned long reserve_all(void)
{
	struct page *page[64];
	unsigned int n;

	for (n = 0; (page[n] = take(zone, PAGEBLOCK_ORDER, MIGRATE_UNMOVABLE)); n++)
		must(n < ARRAY_SIZE(page) - 1);
	while (n--) {
		page[n]->order = 4;
		split_page(page[n] + 16, 4);
		give(page[n] + 16, 4);
		reserve_highatomic_pageblock(page[n], zone);
	}
	check_zone(zone);
	return zone->nr_reserved_highatomic / PAGEBLOCK_PAGES;
}

/* One percent of the zone, and one pageblock. */
static void limit_small(void)
{
	start(4);
	must(reserve_all() == 2);
}

static void limit_large(void)
{
	start(60);
	must(reserve_all() == 2);
}

static void limit_larger(void)
{
	start(4);
	zone->managed_pages = 300 * PAGEBLOCK_PAGES;
	must(reserve_all() == 4, "it is the zone's size that counts");
}

static void reserved_once(void)
{
	struct page *page;

	start(8);
	page = take(zone, 4, MIGRATE_UNMOVABLE);
	reserve_highatomic_pageblock(page, zone);
	reserve_highatomic_pageblock(page, zone);
	must(zone->nr_reserved_highatomic == PAGEBLOCK_PAGES && type_of(page) == MIGRATE_HIGHATOMIC);
	must(page = take(zone, PAGEBLOCK_ORDER, MIGRATE_UNMOVABLE));
	reserve_highatomic_pageblock(page, zone);
	must(zone->nr_reserved_highatomic == PAGEBLOCK_PAGES && type_of(page) == MIGRATE_UNMOVABLE,
	     "nothing is left of it");
}

/* What is in the lists is for large requests that may not wait; they begin there. */
static void who_has_it(void)
{
	struct page *page, *other;

	start(2);
	page = take(zone, 4, MIGRATE_UNMOVABLE);
	reserve_highatomic_pageblock(page, zone);
	other = from(4, MIGRATE_RECLAIMABLE, ALLOC_HARDER);
	must(other && type_of(other) == MIGRATE_HIGHATOMIC && zone->nr_fallback == 0);
	must(type_of(from(4, MIGRATE_UNMOVABLE, ALLOC_HIGH)) == MIGRATE_UNMOVABLE);
	must(type_of(from(0, MIGRATE_UNMOVABLE, ALLOC_HARDER)) == MIGRATE_UNMOVABLE);
	while (take(zone, 0, MIGRATE_UNMOVABLE))
		;
	must(!from(0, MIGRATE_UNMOVABLE, ALLOC_HARDER), "single pages are not what it is for");
	must(!from(1, MIGRATE_UNMOVABLE, ALLOC_HIGH | ALLOC_NO_WATERMARKS));
	must(!from(1, MIGRATE_MOVABLE, ALLOC_CMA));
	must(type_of(from(1, MIGRATE_MOVABLE, ALLOC_HARDER)) == MIGRATE_HIGHATOMIC);
	/* It goes back where it came from. */
	give(page, 4);
	must(type_of(page) == MIGRATE_HIGHATOMIC && !from(0, MIGRATE_UNMOVABLE, 0));
	check_zone(zone);
}

static void given_back(void)
{
	struct alloc_context ac;
	unsigned long free;

	start(4);
	must(reserve_all() == 2);
	free = zone->nr_free_pages;
	ac = context(0, MIGRATE_RECLAIMABLE);
	must(unreserve_highatomic_pageblock(&ac, false) && zone->nr_reserved_highatomic == PAGEBLOCK_PAGES);
	must(type_of(from(4, MIGRATE_RECLAIMABLE, 0)) == MIGRATE_RECLAIMABLE && !zone->nr_fallback,
	     "of the type that asks");
	must(!unreserve_highatomic_pageblock(&ac, false), "one is kept");
	must(unreserve_highatomic_pageblock(&ac, true) && !zone->nr_reserved_highatomic);
	must(!unreserve_highatomic_pageblock(&ac, true));
	must(zone->nr_free_pages == free - 16);
	check_zone(zone);
}

/* Both pageblocks of a block of order 10 had been reserved, and come back one by one. */
static void given_back_as_pair(void)
{
	struct alloc_context ac;
	struct page *page;

	walk_start(1);
	zone = zone_of(0);
	zone_pcp_disable(zone);
	must(zone_grow(zone, MAX_ORDER - 1, MIGRATE_UNMOVABLE));
	must(page = take(zone, MAX_ORDER - 1, MIGRATE_UNMOVABLE));
	split_page(page, MAX_ORDER - 1);
	reserve_highatomic_pageblock(page, zone);
	reserve_highatomic_pageblock(page + PAGEBLOCK_PAGES, zone);
	must(zone->nr_reserved_highatomic == 2 * PAGEBLOCK_PAGES);
	mutex_lock(&zone->lock);
	free_page_range(zone, page_to_pfn(page), 2 * PAGEBLOCK_PAGES, true);
	mutex_unlock(&zone->lock);
	must(page->order == MAX_ORDER - 1 && !zone->nr_free_blocks);
	check_zone(zone);
	ac = context(0, MIGRATE_UNMOVABLE);
	must(unreserve_highatomic_pageblock(&ac, false) && zone->nr_reserved_highatomic == PAGEBLOCK_PAGES);
	must(zone->nr_free_blocks == 1);
	check_zone(zone);
	must(unreserve_highatomic_pageblock(&ac, true) && !zone->nr_reserved_highatomic && zone->nr_free_blocks == 2);
	check_zone(zone);
	must(from(MAX_ORDER - 1, MIGRATE_UNMOVABLE, 0) == page);
}

/* Of one zone is enough. */
static void given_back_near_by(void)
{
	struct alloc_context ac;
	int nid;

	walk_start(2);
	for (nid = 0; nid < 2; nid++) {
		zone = zone_of(nid);
		zone_pcp_disable(zone);
		grow(zone, 1, MIGRATE_UNMOVABLE);
		reserve_highatomic_pageblock(take(zone, 4, MIGRATE_UNMOVABLE), zone);
	}
	ac = context(1, MIGRATE_UNMOVABLE);
	must(unreserve_highatomic_pageblock(&ac, true));
	must(!zone_of(1)->nr_reserved_highatomic && zone_of(0)->nr_reserved_highatomic == PAGEBLOCK_PAGES);
}

/* ATOMIC orders find their way there by themselves; and nobody else's. */
static void by_request(void)
{
	struct page *page;

	start(8);
	must(alloc_pages(GFP_ATOMIC, 4) && !zone->nr_reserved_highatomic, "above the marks there is no need");
	set_marks(zone, 10, HUGE_MARK, HUGE_MARK);
	must(alloc_pages(GFP_ATOMIC, 0) && !zone->nr_reserved_highatomic);
	must(alloc_pages(GFP_NOWAIT | GFP_HIGH, 4) && !zone->nr_reserved_highatomic);
	must(alloc_pages(GFP_ATOMIC | GFP_NOMEMALLOC, 4) && !zone->nr_reserved_highatomic);
	must((page = alloc_pages(GFP_ATOMIC, 4)) && zone->nr_reserved_highatomic == PAGEBLOCK_PAGES);
	must(type_of(page) == MIGRATE_HIGHATOMIC);
}

int main(void)
{
	run_case("one percent of the zone and one pageblock: a small zone", limit_small);
	run_case("a larger one", limit_large);
	run_case("and one of 600 MiB", limit_larger);
	run_case("a pageblock is reserved once, and only if there is something in it", reserved_once);
	run_case("who has what is reserved", who_has_it);
	run_case("it is given back, for the type that asks, but for one pageblock", given_back);
	run_case("two pageblocks that have become one block are given back one by one", given_back_as_pair);
	run_case("one zone's is enough", given_back_near_by);
	run_case("which requests reserve", by_request);
	return done_testing();
}
