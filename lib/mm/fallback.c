/* SPDX-License-Identifier: MIT */
/*
 * When a migratetype has no block left: take from another, as much as keeps the pageblocks pure. Large blocks first,
 * so that few pageblocks are mixed, and the whole pageblock when most of it is free or of our kind. And the pageblocks
 * that are kept for large requests that may not wait.
 */
#include "mm/buddy.h"

#include "base/trace.h"
#include "mm/internal.h"

static const enum migratetype fallbacks[MIGRATE_PCPTYPES][MIGRATE_PCPTYPES - 1] = {
	[MIGRATE_UNMOVABLE] = { MIGRATE_RECLAIMABLE, MIGRATE_MOVABLE },
	[MIGRATE_MOVABLE] = { MIGRATE_RECLAIMABLE, MIGRATE_UNMOVABLE },
	[MIGRATE_RECLAIMABLE] = { MIGRATE_UNMOVABLE, MIGRATE_MOVABLE },
};

/* The free block that has all of a pageblock, and maybe its buddy too; NULL: there is none. */
static struct page *whole_free_block(const struct zone *zone, unsigned long start)
{
	unsigned long pair = align_down(start, 1UL << (MAX_ORDER - 1));
	struct page *page = pfn_to_page(start);

	if (page_type(page) == PAGE_BUDDY)
		return page->order >= PAGEBLOCK_ORDER ? page : NULL;
	if (pair == start || !pageblock_in_zone(zone, pair))
		return NULL;
	page = pfn_to_page(pair);
	return page_type(page) == PAGE_BUDDY && page->order == MAX_ORDER - 1 ? page : NULL;
}

/* A pageblock that is wholly free may have to part from its buddy, or to join it, for its new type. */
static void move_whole_block(struct zone *zone, struct page *page, unsigned long start, enum migratetype mt)
{
	unsigned long pfn = page_to_pfn(page), end = pfn + (1UL << page->order);
	bool dirty = page->flags & PG_DIRTY;

	del_page_from_free_list(zone, page);
	set_pageblock_migratetype(start, mt);
	for (; pfn < end; pfn += PAGEBLOCK_PAGES)
		free_one_page(zone, pfn, PAGEBLOCK_ORDER, dirty);
}

unsigned long move_freepages_block(struct zone *zone, unsigned long pfn, enum migratetype mt)
{
	unsigned long start = align_down(pfn, PAGEBLOCK_PAGES);
	unsigned long end = start + PAGEBLOCK_PAGES;
	enum migratetype old = get_pageblock_migratetype(start);
	struct page *whole = whole_free_block(zone, start);
	unsigned long moved = 0, at, step;

	if (whole) {
		move_whole_block(zone, whole, start, mt);
		return PAGEBLOCK_PAGES;
	}
	for (at = start; at < end; at += step) {
		struct page *page = pfn_to_page(at);

		step = 1;
		if (page_type(page) != PAGE_BUDDY)
			continue;
		step = 1UL << page->order;
		move_to_free_list(zone, page, old, mt);
		moved += step;
	}
	set_pageblock_migratetype(start, mt);
	return moved;
}

/* Free pages of a pageblock, and those of blocks that can be moved. */
static unsigned long count_movable(unsigned long start, unsigned long *movable)
{
	unsigned long free = 0, at, step;

	*movable = 0;
	for (at = start; at < start + PAGEBLOCK_PAGES; at += step) {
		const struct page *page = pfn_to_page(at);
		bool can_move = page_type(page) == PAGE_HEAD && READ_ONCE(page->flags) & PG_MOVABLE;

		/* Other blocks may have been shortened, and what lies behind be free. */
		step = page_type(page) == PAGE_BUDDY || can_move ? 1UL << READ_ONCE(page->order) : 1;
		if (can_move)
			*movable += step;
		else if (page_type(page) == PAGE_BUDDY)
			free += step;
	}
	return free;
}

/* Taking half a pageblock or more claims all of it; unmovable and reclaimable requests try always, for they would
 * otherwise spoil one pageblock after the other. */
static bool can_steal_fallback(unsigned int order, enum migratetype mt)
{
	return order >= PAGEBLOCK_ORDER / 2 || mt != MIGRATE_MOVABLE;
}

enum migratetype find_suitable_fallback(const struct zone *zone, unsigned int order, enum migratetype mt,
					bool only_stealable, bool *can_steal)
{
	unsigned int i;

	*can_steal = can_steal_fallback(order, mt);
	for (i = 0; i < MIGRATE_PCPTYPES - 1; i++)
		if (zone->free_area[order].free_list[fallbacks[mt][i]] != NO_PFN && (*can_steal || !only_stealable))
			return fallbacks[mt][i];
	return MIGRATE_TYPES;
}

/* Half of it or more is free, or of our kind: the pageblock is ours. */
static bool try_to_claim_block(struct zone *zone, unsigned long pfn, enum migratetype from, enum migratetype mt)
{
	unsigned long start = align_down(pfn, PAGEBLOCK_PAGES), movable, alike = 0;
	unsigned long free = count_movable(start, &movable);

	if (mt == MIGRATE_MOVABLE)
		alike = movable;
	else if (from == MIGRATE_MOVABLE) /* what is not movable there is most likely of our kind */
		alike = PAGEBLOCK_PAGES - (free + movable);
	if (free + alike < PAGEBLOCK_PAGES / 2)
		return false;
	move_freepages_block(zone, start, mt);
	return true;
}

/* A free block of whole pageblocks changes hands as it is. */
static void change_pageblock_range(struct zone *zone, struct page *page, enum migratetype from, enum migratetype mt)
{
	unsigned long pfn = page_to_pfn(page), at;

	move_to_free_list(zone, page, from, mt);
	for (at = pfn; at < pfn + (1UL << page->order); at += PAGEBLOCK_PAGES)
		set_pageblock_migratetype(at, mt);
}

/* Claim the pageblock of a free block, or take a block out of it and leave the rest as it is. */
static struct page *steal_suitable_fallback(struct zone *zone, struct page *page, unsigned int order,
					    enum migratetype from, enum migratetype mt, unsigned int alloc_flags,
					    bool whole_block)
{
	unsigned int current_order = page->order;
	bool claimed = false;

	if (current_order >= PAGEBLOCK_ORDER) {
		change_pageblock_range(zone, page, from, mt);
		claimed = true;
	} else {
		/* Mixing is a sign of too little free memory: reclaim earlier for a while. */
		if (boost_watermark(zone) && alloc_flags & ALLOC_KSWAPD)
			__atomic_or_fetch(&zone->flags, ZONE_BOOSTED_WATERMARK, __ATOMIC_RELAXED);
		if (whole_block)
			claimed = try_to_claim_block(zone, page_to_pfn(page), from, mt);
	}
	trace_mm_page_alloc_extfrag(page_to_addr(page), order, current_order, mt, from, claimed);
	ADD_ONCE(zone->nr_fallback, 1);
	if (claimed) {
		ADD_ONCE(zone->nr_stolen, 1);
		return rmqueue_smallest(zone, order, mt);
	}
	return rmqueue_block(zone, page, order, from);
}

struct page *rmqueue_fallback(struct zone *zone, unsigned int order, enum migratetype mt, unsigned int alloc_flags)
{
	int current_order, min_order = (int)order;
	enum migratetype from;
	bool can_steal;

	/* Rather whole pageblocks than mixed ones. */
	if (alloc_flags & ALLOC_NOFRAGMENT)
		min_order = max_int(min_order, PAGEBLOCK_ORDER);
	if (min_order >= PAGEBLOCK_ORDER && !zone->nr_free_blocks)
		return NULL;
	for (current_order = MAX_ORDER - 1; current_order >= min_order; current_order--) {
		from = find_suitable_fallback(zone, (unsigned int)current_order, mt, false, &can_steal);
		if (from == MIGRATE_TYPES)
			continue;
		/* Movable blocks spoil nothing: the smallest that fits will do. */
		if (!can_steal && current_order > (int)order)
			break;
		return steal_suitable_fallback(zone, pfn_to_page(zone->free_area[current_order].free_list[from]), order,
					       from, mt, alloc_flags, can_steal);
	}
	for (current_order = (int)order; current_order >= min_order && current_order < MAX_ORDER; current_order++) {
		from = find_suitable_fallback(zone, (unsigned int)current_order, mt, false, &can_steal);
		if (from != MIGRATE_TYPES)
			return steal_suitable_fallback(zone,
						       pfn_to_page(zone->free_area[current_order].free_list[from]),
						       order, from, mt, alloc_flags, can_steal);
	}
	return NULL;
}

/* One percent of the zone at most, and one pageblock at least. */
void reserve_highatomic_pageblock(struct page *page, struct zone *zone)
{
	unsigned long max = READ_ONCE(zone->managed_pages) / 100 + PAGEBLOCK_PAGES, pfn = page_to_pfn(page);

	if (READ_ONCE(zone->nr_reserved_highatomic) >= max)
		return;
	mutex_lock(&zone->lock);
	if (zone->nr_reserved_highatomic < max && get_pageblock_migratetype(pfn) < MIGRATE_PCPTYPES &&
	    page->order < PAGEBLOCK_ORDER) {
		ADD_ONCE(zone->nr_reserved_highatomic, PAGEBLOCK_PAGES);
		move_freepages_block(zone, pfn, MIGRATE_HIGHATOMIC);
	}
	mutex_unlock(&zone->lock);
}

/* The pageblock of the first free block that the reserve has. */
static bool unreserve_one(struct zone *zone, enum migratetype mt)
{
	unsigned int order;
	uint32_t pfn;

	for (order = 0; order < MAX_ORDER; order++) {
		pfn = zone->free_area[order].free_list[MIGRATE_HIGHATOMIC];
		if (pfn == NO_PFN)
			continue;
		ADD_ONCE(zone->nr_reserved_highatomic, -min_ul(PAGEBLOCK_PAGES, zone->nr_reserved_highatomic));
		return move_freepages_block(zone, pfn, mt) != 0;
	}
	return false;
}

bool unreserve_highatomic_pageblock(const struct alloc_context *ac, bool force)
{
	struct zone *zone, **z;
	bool done = false;

	for_each_zone_of (zone, z, ac) {
		/* One is kept, unless it is that or nothing. */
		if (READ_ONCE(zone->nr_reserved_highatomic) <= (force ? 0 : PAGEBLOCK_PAGES))
			continue;
		mutex_lock(&zone->lock);
		done = unreserve_one(zone, ac->migratetype);
		mutex_unlock(&zone->lock);
		if (done)
			break;
	}
	return done;
}
