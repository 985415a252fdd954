/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the allocator's walk share: made-up machines, zones with just as much in them as is wanted, and an
 * end to growth.
 */
#ifndef T_UNIT_WALK_H
#define T_UNIT_WALK_H

#include "mm/internal.h"
#include "mm/memory_hotplug.h"
#include "mm/mempolicy.h"
#include "mm/pcp.h"
#include "mm/vmstat.h"
#include "fake_sys.h"
#include "model.h"

#define QUIET (GFP_NOWAIT | GFP_NOWARN)
#define HUGE_MARK (1UL << 30)

/* nr nodes in a row; this thread runs on node 1, or on the only one. */
TAP_UNUSED void walk_start(int nr)
{
	fake_sys_init();
	fake_sys_nodes(nr, nr > 1);
	model_start();
	fake_sys_remove();
}

TAP_UNUSED struct zone *zone_at(int nid, enum zone_type idx)
{
	return &NODE_DATA(nid)->node_zones[idx];
}
TAP_UNUSED struct zone *zone_of(int nid)
{
	return zone_at(nid, ZONE_NORMAL);
}
TAP_UNUSED struct zone *page_zone(const struct page *page)
{
	return pfn_to_zone(page_to_pfn(page));
}
TAP_UNUSED int nid_of(const struct page *page)
{
	return page ? page_zone(page)->nid : -1;
}
TAP_UNUSED enum migratetype type_of(const struct page *page)
{
	return get_pageblock_migratetype(page_to_pfn(page));
}

/* nr pageblocks of the type for the zone. */
TAP_UNUSED void grow(struct zone *zone, int nr, enum migratetype mt)
{
	while (nr--)
		must(zone_grow(zone, PAGEBLOCK_ORDER, mt));
}

TAP_UNUSED void set_marks(struct zone *zone, unsigned long min, unsigned long low, unsigned long high)
{
	WRITE_ONCE(zone->watermark[WMARK_MIN], min);
	WRITE_ONCE(zone->watermark[WMARK_LOW], low);
	WRITE_ONCE(zone->watermark[WMARK_HIGH], high);
}

/* A block of the type from the zone's lists, as if it were allocated; NULL: none is that large. */
TAP_UNUSED struct page *take(struct zone *zone, unsigned int order, enum migratetype mt)
{
	struct page *page;

	mutex_lock(&zone->lock);
	page = rmqueue_smallest(zone, order, mt);
	mutex_unlock(&zone->lock);
	if (page)
		prep_new_page(page, order, 0, 0);
	return page;
}

/* Back to the zone's lists, and not to a CPU's. */
TAP_UNUSED void give(struct page *page, unsigned int order)
{
	struct zone *zone = page_zone(page);

	mutex_lock(&zone->lock);
	free_one_page(zone, page_to_pfn(page), order, true);
	mutex_unlock(&zone->lock);
}

/* Everything the zone has; how many pages. */
TAP_UNUSED unsigned long use_up(struct zone *zone)
{
	unsigned long nr = 0;
	unsigned int mt, order;

	drain_all_pages();
	for (mt = 0; mt < MIGRATE_ISOLATE; mt++)
		for (order = MAX_ORDER; order--;)
			while (take(zone, order, mt))
				nr += 1UL << order;
	must(zone->nr_free_pages == 0);
	return nr;
}

/* One node, nr_free single pages free in its zone Normal that cannot join, and nothing more to be had. No CPU's list
 * comes in between. */
TAP_UNUSED struct zone *walk_start_with(unsigned long nr_free)
{
	struct page *page = NULL;
	struct zone *zone;
	unsigned long i;

	walk_start(1);
	zone = zone_of(0);
	grow(zone, (int)(2 * nr_free / PAGEBLOCK_PAGES + 1), MIGRATE_UNMOVABLE);
	no_more_growth();
	zone_pcp_disable(zone);
	for (i = 0; i < nr_free || zone->nr_free_pages; i++) {
		if (i % (PAGEBLOCK_PAGES / 2) == 0) {
			must(page = take(zone, PAGEBLOCK_ORDER, MIGRATE_UNMOVABLE));
			split_page(page, PAGEBLOCK_ORDER);
		}
		if (i >= nr_free)
			break;
		give(page + i % (PAGEBLOCK_PAGES / 2) * 2, 0);
	}
	must(zone->nr_free_pages == nr_free && zone->free_area[0].nr_free == nr_free);
	return zone;
}

#endif
