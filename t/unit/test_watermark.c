/* SPDX-License-Identifier: MIT */
/*
 * Watermarks where they are asked: the boost and who ignores it, marks that follow the zone's size, who is let below
 * them, what giving back leaves; and the first try of a request, which mixes nothing and keeps to its node and cpuset.
 */
#include "mm/balance_inner.h"
#include "mm/memory_hotplug.h"
#include "mm/pcp.h"
#include "walk.h"

static struct alloc_context ac;

/* One node, four pageblocks free, no more to be had. */
static struct zone *start(void)
{
	struct zone *zone;

	walk_start(1);
	zone = zone_of(0);
	grow(zone, 4, MIGRATE_UNMOVABLE);
	no_more_growth();
	zone_pcp_disable(zone);
	ac.zonelist = NODE_DATA(0)->node_zonelists[ZONELIST_FALLBACK];
	ac.highest_zoneidx = ZONE_NORMAL;
	reset_preferred(&ac);
	return zone;
}

static bool get(gfp_t gfp, unsigned int order, unsigned int alloc_flags)
{
	struct page *page = get_page_from_freelist(gfp, order, alloc_flags, &ac);

	if (page)
		give(page, order);
	return page;
}

/* The boost is there to begin reclaim early, not to fail who cannot wait for it. */
static void boost_ignored(void)
{
	struct zone *zone = start();

	set_marks(zone, 1000, 1000, 1000);
	must(get(QUIET, 0, ALLOC_WMARK_LOW) && get(QUIET, 4, ALLOC_WMARK_LOW));
	zone->watermark_boost = HUGE_MARK;
	must(!get(QUIET, 0, ALLOC_WMARK_MIN) && !get(QUIET, 0, ALLOC_WMARK_LOW));
	must(get(GFP_ATOMIC, 0, ALLOC_WMARK_MIN));
	must(!get(GFP_ATOMIC, 4, ALLOC_WMARK_MIN), "single pages alone");
	must(!get(GFP_ATOMIC, 0, ALLOC_WMARK_LOW) && !get(GFP_ATOMIC, 0, ALLOC_WMARK_HIGH), "from the min mark alone");
	zone->watermark[WMARK_MIN] = zone->nr_free_pages;
	must(!get(GFP_ATOMIC, 0, ALLOC_WMARK_MIN), "and not below that");
	must(get(GFP_ATOMIC, 0, ALLOC_WMARK_MIN | ALLOC_HARDER), "but by right");
	zone->watermark[WMARK_MIN]--;
	must(get(GFP_ATOMIC, 0, ALLOC_WMARK_MIN));
}

/* The fewest pages that were free while some were given back. */
static struct zone *purged;
static unsigned long least_free;
static long look_and_give_back(void *addr, size_t len, int advice)
{
	least_free = min_ul(least_free, purged->nr_free_pages);
	return os_linux.madvise(addr, len, advice);
}

static unsigned long least_while_purging(unsigned long nr_free, unsigned long low)
{
	static struct os_ops looking;

	purged = walk_start_with(nr_free);
	set_marks(purged, low / 2, low, low * 2);
	looking = *os;
	looking.madvise = look_and_give_back;
	os = &looking;
	least_free = nr_free;
	must(zone_purge(purged, 0, 0) == nr_free << PAGE_SHIFT && !purged->nr_dirty &&
	     purged->nr_free_pages == nr_free);
	check_zone(purged);
	return least_free;
}

/* What is being given back is in no list: those who allocate meanwhile are not to fall below their mark for that. */
static void purge_without_marks(void)
{
	must(least_while_purging(80, 0) == 80 - 32, "%lu pages", least_free);
}
static void purge_above_the_mark(void)
{
	must(least_while_purging(60, 40) == 40 + 1, "%lu pages", least_free);
}
static void purge_below_the_mark(void)
{
	must(least_while_purging(38, 40) == 38 - 1, "%lu pages", least_free);
}

/* From the highest mark that it clears on, a request says which it wants. */
static void marks(void)
{
	struct zone *zone = start();
	unsigned long free = zone->nr_free_pages;

	set_marks(zone, free - 1, free, free + 1);
	must(get(QUIET, 0, ALLOC_WMARK_MIN) && !get(QUIET, 0, ALLOC_WMARK_LOW) && !get(QUIET, 0, ALLOC_WMARK_HIGH));
	must(!get(QUIET, 1, ALLOC_WMARK_MIN), "of a block only its first page counts");
	set_marks(zone, free - 1, free - 1, free);
	must(get(QUIET, 0, ALLOC_WMARK_LOW) && !get(QUIET, 0, ALLOC_WMARK_HIGH));
	set_marks(zone, HUGE_MARK, HUGE_MARK, HUGE_MARK);
	must(!get(QUIET, 0, ALLOC_HARDER | ALLOC_HIGH | ALLOC_OOM) && get(QUIET, 0, ALLOC_NO_WATERMARKS));
	must(get(QUIET, MAX_ORDER - 1, ALLOC_NO_WATERMARKS));
	set_marks(zone, 0, 0, 0);
	zone->lowmem_reserve[ZONE_MOVABLE] = free;
	must(get(QUIET, 0, ALLOC_WMARK_LOW));
	ac.highest_zoneidx = ZONE_MOVABLE;
	reset_preferred(&ac);
	must(!get(QUIET, 0, ALLOC_WMARK_LOW), "kept from who may have movable pages");
	zone->lowmem_reserve[ZONE_MOVABLE] = free - 1;
	must(get(QUIET, 0, ALLOC_WMARK_LOW));
	/* For no mark to be in force, it must not be. */
	zone->lowmem_reserve[ZONE_MOVABLE] = 0;
	zone->nr_isolated = free;
	must(get(QUIET, 0, ALLOC_WMARK_LOW));
	set_marks(zone, 1, 1, 1);
	must(!get(QUIET, 0, ALLOC_WMARK_LOW));
	zone->nr_isolated = 0;
}

/* A zone of less than four pageblocks has nothing that a boost could save. */
static void boost_of_small_zones(void)
{
	struct zone *zone;
	bool clean;
	unsigned long pb;

	walk_start(1);
	zone = zone_of(0);
	grow(zone, 3, MIGRATE_UNMOVABLE);
	set_marks(zone, 10, 20, 30);
	must(!boost_watermark(zone) && !zone->watermark_boost);
	must(pb = arena_alloc(1, 1, PB_ZONE, 0, &clean));
	zone_online_blocks(zone, pb, 1, MIGRATE_UNMOVABLE, true);
	must(boost_watermark(zone) && zone->watermark_boost == PAGEBLOCK_PAGES);
	must(boost_watermark(zone) && zone->watermark_boost == PAGEBLOCK_PAGES, "one at least, and no more than that");
	must(wmark_pages(zone, ALLOC_WMARK_LOW) == 20 + PAGEBLOCK_PAGES);
	setup_per_zone_wmarks();
	must(!zone->watermark_boost);
}

/* Marks are shares of what the zones have; trimming stops at the high mark. */
static void marks_follow(void)
{
	struct page *page[8];
	struct zone *zone;
	unsigned int i;

	walk_start(1);
	zone = zone_of(0);
	for (i = 0; i < 8; i++)
		must(page[i] = alloc_pages(GFP_USER, PAGEBLOCK_ORDER));
	min_free_kbytes = 4 * PAGEBLOCK_PAGES;
	setup_per_zone_wmarks();
	must(zone->watermark[WMARK_MIN] == PAGEBLOCK_PAGES && zone->watermark[WMARK_HIGH] == 3 * PAGEBLOCK_PAGES / 2);
	zone_pcp_disable(zone);
	for (i = 0; i < 8; i++)
		free_pages(page[i], PAGEBLOCK_ORDER);
	zone_trim(zone, 0);
	must(zone->nr_free_pages == 2 * PAGEBLOCK_PAGES, "%lu pages are left", zone->nr_free_pages);
	must(zone->watermark[WMARK_MIN] == PAGEBLOCK_PAGES, "it is the only zone");
	grow(zone_at(0, ZONE_MOVABLE), 2, MIGRATE_MOVABLE);
	must(zone->watermark[WMARK_MIN] == PAGEBLOCK_PAGES / 2, "half of all");
	must(zone->lowmem_reserve[ZONE_MOVABLE] == 2 * PAGEBLOCK_PAGES / 32);
	must(zone_at(0, ZONE_MOVABLE)->watermark[WMARK_MIN] == PAGEBLOCK_PAGES / 2);
	zone_trim(zone, 0);
	must(zone->nr_free_pages == PAGEBLOCK_PAGES);
	must(zone->watermark[WMARK_MIN] == PAGEBLOCK_PAGES / 3, "a third");
	min_free_kbytes = 0;
	setup_per_zone_wmarks();
	must(!zone->watermark[WMARK_HIGH] && !zone->lowmem_reserve[ZONE_MOVABLE]);
	zone_trim(zone, 0);
	must(!zone->managed_pages, "without marks nothing is kept");
}

/* Rather a new pageblock than a block out of another type's. */
static void pure(void)
{
	struct page *page;
	struct zone *zone;

	walk_start(1);
	zone = zone_of(0);
	must(alloc_pages(GFP_USER | GFP_RECLAIMABLE, 4) && zone->nr_grown == 1);
	must((page = alloc_pages(GFP_USER, 5)) && zone->nr_grown == 2 && type_of(page) == MIGRATE_UNMOVABLE);
	must(!zone->nr_fallback);
	use_up(zone);
	must(page = take(zone, 0, MIGRATE_UNMOVABLE) ?: alloc_pages(GFP_USER | GFP_RECLAIMABLE, 4));
	no_more_growth();
	must(alloc_pages(GFP_USER, 5) && zone->nr_fallback == 1, "rather that than nothing");
}

/* A whole pageblock of another type is claimed in the first try already. */
static void pure_by_claim(void)
{
	struct zone *zone;
	struct page *page;

	walk_start(1);
	zone = zone_of(0);
	grow(zone, 1, MIGRATE_RECLAIMABLE);
	must((page = alloc_pages(GFP_USER, 5)) && zone->nr_grown == 1 && type_of(page) == MIGRATE_UNMOVABLE);
	must(zone->nr_stolen == 1);
}

/* The first try keeps to the cpuset even for one who may leave it: the near node below its low mark comes first. */
static void near_in_the_cpuset(void)
{
	nodemask_t both = 3;

	walk_start(2);
	set_mems_allowed(2);
	grow(zone_of(0), 1, MIGRATE_UNMOVABLE);
	grow(zone_of(1), 1, MIGRATE_UNMOVABLE);
	no_more_growth();
	set_marks(zone_of(1), 0, HUGE_MARK, HUGE_MARK);
	must(nid_of(alloc_pages_nodemask(GFP_ATOMIC, 0, 1, &both)) == 1);
	set_marks(zone_of(1), HUGE_MARK, HUGE_MARK, HUGE_MARK);
	must(nid_of(alloc_pages_nodemask(GFP_ATOMIC, 0, 1, &both)) == 0);
	must(!alloc_pages_nodemask(QUIET, 0, 1, &both));
}

/* Nodes are spared once they have more in use than the others, by more than a little. */
static void spread(void)
{
	struct page *page;
	int i;

	walk_start(2);
	for (i = 0; i < 8; i++)
		must(nid_of(page = alloc_pages(GFP_USER | GFP_WRITE, PAGEBLOCK_ORDER)) == 1, "block %d", i);
	/* Nine are nine more than none: that is 4.5 above the average. */
	must(nid_of(alloc_pages(GFP_USER | GFP_WRITE, PAGEBLOCK_ORDER)) == 1);
	must(nid_of(alloc_pages(GFP_USER | GFP_WRITE, PAGEBLOCK_ORDER)) == 0);
	must(nid_of(alloc_pages(GFP_USER, PAGEBLOCK_ORDER)) == 1);
	/* It is a wish, not a condition. */
	no_more_growth();
	use_up(zone_of(0));
	use_up(zone_of(1));
	free_pages(page, PAGEBLOCK_ORDER);
	must(nid_of(alloc_pages(QUIET | GFP_WRITE, PAGEBLOCK_ORDER)) == 1);
}

int main(void)
{
	run_case("a boost is ignored for single pages of who cannot wait", boost_ignored);
	run_case("the mark that is asked for, and lowmem reserves", marks);
	run_case("small zones are not boosted", boost_of_small_zones);
	run_case("marks follow growth and trimming, which stops at the high mark", marks_follow);
	run_case("who gives back takes many pages at once", purge_without_marks);
	run_case("but leaves the low mark to others", purge_above_the_mark);
	run_case("and below it takes one at a time", purge_below_the_mark);
	run_case("the first try mixes nothing", pure);
	run_case("but claims whole pageblocks", pure_by_claim);
	run_case("the first try keeps to the cpuset", near_in_the_cpuset);
	run_case("WRITE spares nodes that have more in use", spread);
	return done_testing();
}
