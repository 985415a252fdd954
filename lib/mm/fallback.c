/* SPDX-License-Identifier: MIT */
/*
 * When a migratetype has no block left: take from another, as much as keeps the pageblocks pure. Large blocks first,
 * so that few pageblocks are mixed, and the whole pageblock when it is mostly free.
 */
#include "mm/buddy.h"

#include "base/trace.h"

static const enum migratetype fallbacks[MIGRATE_TYPES][MIGRATE_TYPES - 1] = {
	[MIGRATE_UNMOVABLE] = { MIGRATE_RECLAIMABLE, MIGRATE_MOVABLE },
	[MIGRATE_MOVABLE] = { MIGRATE_RECLAIMABLE, MIGRATE_UNMOVABLE },
	[MIGRATE_RECLAIMABLE] = { MIGRATE_UNMOVABLE, MIGRATE_MOVABLE },
};

unsigned long move_freepages_block(struct zone *zone, unsigned long pfn, enum migratetype mt)
{
	unsigned long start = align_down(pfn, PAGEBLOCK_PAGES);
	unsigned long end = start + PAGEBLOCK_PAGES;
	enum migratetype old = get_pageblock_migratetype(start);
	unsigned long moved = 0, at, step;

	for (at = start; at < end; at += step) {
		struct page *page = pfn_to_page(at);

		step = 1;
		if (page_type(page) != PAGE_BUDDY)
			continue;
		step = 1UL << page->order;
		page_list_del(&zone->free_area[page->order].free_list[old], page);
		page_list_add(&zone->free_area[page->order].free_list[mt], page);
		moved += step;
	}
	set_pageblock_migratetype(start, mt);
	return moved;
}

/* The migratetype to take a block of this order from; MIGRATE_TYPES: none has one. */
static enum migratetype find_suitable_fallback(const struct zone *zone, unsigned int order, enum migratetype mt)
{
	unsigned int i;

	for (i = 0; i < MIGRATE_TYPES - 1; i++)
		if (zone->free_area[order].free_list[fallbacks[mt][i]] != NO_PFN)
			return fallbacks[mt][i];
	return MIGRATE_TYPES;
}

/* Taking half a pageblock or more claims all of it; unmovable and reclaimable requests claim it always, for they
 * would otherwise spoil one pageblock after the other. */
static bool can_steal_fallback(unsigned int order, enum migratetype mt)
{
	return order >= PAGEBLOCK_ORDER / 2 || mt != MIGRATE_MOVABLE;
}

static void steal_suitable_fallback(struct zone *zone, unsigned long pfn, unsigned int order, enum migratetype mt)
{
	unsigned long at = align_down(pfn, PAGEBLOCK_PAGES);
	unsigned long end = pfn + (1UL << order);

	/* A block of order 10 lies on two lists' worth of pageblocks, but only its first page is linked. */
	if (order >= PAGEBLOCK_ORDER) {
		struct page *page = pfn_to_page(pfn);
		uint32_t *lists = zone->free_area[order].free_list;

		page_list_del(&lists[get_pageblock_migratetype(pfn)], page);
		page_list_add(&lists[mt], page);
		for (; at < end; at += PAGEBLOCK_PAGES)
			set_pageblock_migratetype(at, mt);
	} else {
		move_freepages_block(zone, pfn, mt);
	}
	ADD_ONCE(zone->nr_stolen, 1);
}

bool rmqueue_fallback(struct zone *zone, unsigned int order, enum migratetype mt)
{
	int current_order;

	for (current_order = MAX_ORDER - 1; current_order >= (int)order; current_order--) {
		enum migratetype from = find_suitable_fallback(zone, (unsigned int)current_order, mt);

		if (from == MIGRATE_TYPES)
			continue;
		ADD_ONCE(zone->nr_fallback, 1);
		if (!can_steal_fallback((unsigned int)current_order, mt))
			continue;
		trace_mm_page_alloc_extfrag(zone->free_area[current_order].free_list[from], order, current_order, mt,
					    from, true);
		steal_suitable_fallback(zone, zone->free_area[current_order].free_list[from],
					(unsigned int)current_order, mt);
		return true;
	}
	/* A movable request that may not claim: claim the smallest pageblock remainder after all. */
	for (current_order = (int)order; current_order < MAX_ORDER; current_order++) {
		enum migratetype from = find_suitable_fallback(zone, (unsigned int)current_order, mt);

		if (from == MIGRATE_TYPES)
			continue;
		move_freepages_block(zone, zone->free_area[current_order].free_list[from], mt);
		return true;
	}
	return false;
}
