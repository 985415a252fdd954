/* SPDX-License-Identifier: MIT */
/*
 * check_zone and check_arena: the invariants of a zone, proved by walking its lists, and those of the free ranges.
 */
#include "mm/arena.h"
#include "mm/buddy.h"
#include "mm/range.h"

struct tally {
	unsigned long pages, dirty, blocks, cma, isolated;
};

static void check_block(struct zone *zone, unsigned long pfn, unsigned int order, unsigned int mt)
{
	const struct page *page = pfn_to_page(pfn);
	unsigned long buddy_pfn = pfn ^ (1UL << order);

	if (page_type(page) != PAGE_BUDDY || page->order != order)
		bm_fatal("check_zone: page %lu on list %u of order %u has type %u order %u", pfn, mt, order,
			 page_type(page), page->order);
	if (!is_aligned(pfn, 1UL << order))
		bm_fatal("check_zone: page %lu is not aligned to its order %u", pfn, order);
	if (!pageblock_in_zone(zone, pfn))
		bm_fatal("check_zone: page %lu of order %u is not of zone %u: state %u, zone %u", pfn, order,
			 zone->zone_id, pfn_to_block(pfn)->state, pfn_to_block(pfn)->zone_id);
	if (pfn_to_block(pfn)->migratetype != mt)
		bm_fatal("check_zone: page %lu on list %u, its pageblock has %u", pfn, mt,
			 pfn_to_block(pfn)->migratetype);
	if (order > PAGEBLOCK_ORDER &&
	    !migratetype_is_mergeable((enum migratetype)mt, get_pageblock_migratetype(pfn + PAGEBLOCK_PAGES)))
		bm_fatal("check_zone: page %lu on list %u, its second pageblock has %u", pfn, mt,
			 get_pageblock_migratetype(pfn + PAGEBLOCK_PAGES));
	if (order == MAX_ORDER - 1)
		return;
	if (!pageblock_in_zone(zone, buddy_pfn) ||
	    !migratetype_is_mergeable(get_pageblock_migratetype(buddy_pfn), get_pageblock_migratetype(pfn)))
		return;
	if (page_type(pfn_to_page(buddy_pfn)) == PAGE_BUDDY && pfn_to_page(buddy_pfn)->order == order)
		bm_fatal("check_zone: pages %lu and %lu are free buddies of order %u", pfn, buddy_pfn, order);
}

static unsigned long check_list(struct zone *zone, unsigned int order, unsigned int mt, struct tally *t)
{
	uint32_t pfn, first = zone->free_area[order].free_list[mt], prev = first;
	unsigned long nr = 0;

	/* The first links back to the last. */
	for (pfn = first; pfn != NO_PFN; pfn = pfn_to_page(pfn)->next)
		prev = pfn;

	for (pfn = first; pfn != NO_PFN; pfn = pfn_to_page(pfn)->next) {
		const struct page *page = pfn_to_page(pfn);

		if (page->prev != prev)
			bm_fatal("check_zone: page %u links back to %u, not %u", pfn, page->prev, prev);
		check_block(zone, pfn, order, mt);
		t->dirty += page->flags & PG_DIRTY ? 1UL << order : 0;
		prev = pfn;
		nr++;
	}
	if (order >= PAGEBLOCK_ORDER && mt < MIGRATE_PCPTYPES)
		t->blocks += nr << (order - PAGEBLOCK_ORDER);
	t->cma += mt == MIGRATE_CMA ? nr << order : 0;
	t->isolated += mt == MIGRATE_ISOLATE ? nr << order : 0;
	return nr;
}

/* Pageblocks that are set aside. */
static void check_pageblocks(const struct zone *zone)
{
	unsigned long pfn, highatomic = 0, cma = 0, isolate = 0;

	for (pfn = zone->zone_start_pfn; pfn < zone->zone_end_pfn; pfn += PAGEBLOCK_PAGES) {
		const struct pageblock *block = pfn_to_block(pfn);

		/* Below 4 GiB there may be no descriptors in between. */
		if (!pfn_online(pfn) || !pageblock_in_zone(zone, pfn))
			continue;
		highatomic += block->migratetype == MIGRATE_HIGHATOMIC;
		isolate += block->migratetype == MIGRATE_ISOLATE;
		cma += block->migratetype == MIGRATE_CMA ||
		       (block->migratetype == MIGRATE_ISOLATE && block->isolated_from == MIGRATE_CMA);
	}
	if (isolate != zone->nr_isolate_blocks || cma << PAGEBLOCK_ORDER != zone->nr_cma ||
	    highatomic << PAGEBLOCK_ORDER != zone->nr_reserved_highatomic)
		bm_fatal("check_zone: pageblocks isolated %lu, CMA %lu, highatomic %lu, counted %lu %lu %lu", isolate,
			 cma, highatomic, zone->nr_isolate_blocks, zone->nr_cma >> PAGEBLOCK_ORDER,
			 zone->nr_reserved_highatomic >> PAGEBLOCK_ORDER);
}

void check_zone(struct zone *zone)
{
	struct tally t = { 0, 0, 0, 0, 0 };
	unsigned int order, mt;

	mutex_lock(&zone->lock);
	for (order = 0; order < MAX_ORDER; order++) {
		const struct free_area *area = &zone->free_area[order];
		unsigned long nr = 0, dirty = t.dirty;

		for (mt = 0; mt < MIGRATE_TYPES; mt++)
			nr += check_list(zone, order, mt, &t);
		if (nr != area->nr_free || (t.dirty - dirty) >> order != area->nr_dirty)
			bm_fatal("check_zone: %lu blocks of order %u, %lu dirty, counted %lu %lu", nr, order,
				 (t.dirty - dirty) >> order, area->nr_free, area->nr_dirty);
		t.pages += nr << order;
	}
	if (t.pages != zone->nr_free_pages || t.dirty != zone->nr_dirty || t.blocks != zone->nr_free_blocks)
		bm_fatal("check_zone: %lu pages %lu dirty %lu pageblocks, counted %lu %lu %lu", t.pages, t.dirty,
			 t.blocks, zone->nr_free_pages, zone->nr_dirty, zone->nr_free_blocks);
	if (t.cma != zone->nr_free_cma || t.isolated != zone->nr_isolated)
		bm_fatal("check_zone: %lu pages free for CMA, %lu isolated, counted %lu %lu", t.cma, t.isolated,
			 zone->nr_free_cma, zone->nr_isolated);
	check_pageblocks(zone);
	if (zone->nr_free_pages > zone->managed_pages)
		bm_fatal("check_zone: %lu pages free of %lu", zone->nr_free_pages, zone->managed_pages);
	mutex_unlock(&zone->lock);
}

void check_arena(void)
{
	unsigned long pb, i, nr, dirty = 0, used = 0, mapped = 0, pieces = 0;

	arena_lock_all();
	for (pb = FIRST_BLOCK; pb < range_top(); pb += nr) {
		const struct pageblock *b = block_at(pb);

		bool is_free = READ_ONCE(b->state) == PB_FREE;

		nr = is_free ? b->nr : 1;
		if (!nr || pb + nr > range_top() || (is_free && block_at(pb + nr - 1)->nr != nr))
			bm_fatal("check_arena: free range at pageblock %lu has length %lu", pb, nr);
		for (i = pb; i < pb + nr; i++) {
			if (is_free && !same_kind(block_at(i), b))
				bm_fatal("check_arena: pageblock %lu does not belong to its free range", i);
			unsigned int state = READ_ONCE(block_at(i)->state);

			dirty += state == PB_FREE && is_dirty(block_at(i));
			used += state == PB_ZONE || state == PB_OFFLINE || state == PB_HUGE;
			mapped += !!(block_at(i)->flags & PBF_MAPPED);
			pieces += block_at(i)->flags & PBF_MAPPED &&
				  (block_at(i)->flags & PBF_SPLIT || !(block_at(i - 1)->flags & PBF_MAPPED));
		}
	}
	if (dirty != arena_stats.dirty || used != arena_stats.used || mapped != arena_stats.mapped ||
	    pieces != arena_stats.pieces)
		bm_fatal("check_arena: dirty %lu used %lu mapped %lu in %lu pieces, counted %lu %lu %lu %lu", dirty,
			 used, mapped, pieces, arena_stats.dirty, arena_stats.used, arena_stats.mapped,
			 arena_stats.pieces);
	arena_unlock_all();
}
