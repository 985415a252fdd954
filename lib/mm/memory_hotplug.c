/* SPDX-License-Identifier: MIT */
/*
 * Zones grow: pageblocks that the arenas have, or that lie below 4 GiB, become theirs. The way back is in purge.c.
 *
 * Lock order: grow, zone, arena. The first alone may be held from one step to the next.
 */
#include "mm/memory_hotplug.h"

#include "mm/arena.h"
#include "mm/balance_inner.h"
#include "mm/buddy.h"
#include "mm/budget.h"
#include "mm/current.h"
#include "mm/debug.h"
#include "mm/hugetlb.h"
#include "mm/internal.h"
#include "mm/lowmem.h"
#include "mm/pcp.h"
#include "mm/settle.h"

static unsigned long order_to_blocks(unsigned int order)
{
	return order > PAGEBLOCK_ORDER ? 1UL << (order - PAGEBLOCK_ORDER) : 1;
}

#define GROW_LARGE 0x10000U /* beside the flags of a request: for a large block, of which little may be touched */

/* In the place of the kernel's deferred pages: pageblocks that the arenas still have, or that lie below 4 GiB. */
static bool grow_zone(struct zone *zone, unsigned long nr, unsigned long align, enum migratetype mt, unsigned int flags)
{
	bool reserve = flags & ALLOC_RESERVE;
	unsigned long pb;
	bool clean;

	if (zone_pageset_init(zone))
		return false;
	if (unlikely(zone->idx == ZONE_DMA32))
		pb = budget_may_grow(nr << PAGEBLOCK_SHIFT, false, reserve ? BUDGET_RESERVE : nr << PAGEBLOCK_SHIFT)
			     ? lowmem_alloc(nr, align, zone->nid, &clean)
			     : 0;
	else if (unlikely(zone->idx == ZONE_MOVABLE) && !reserve)
		pb = arena_alloc_hugetlb(nr, align, PB_OFFLINE, zone->nid, &clean);
	else if (unlikely(reserve))
		pb = arena_alloc_reserve(nr, align, zone->nid, &clean);
	else
		pb = arena_alloc(nr, align, PB_OFFLINE, zone->nid, &clean);
	if (!pb)
		return false;
	if (likely(zone->idx != ZONE_DMA32))
		arena_advise_huge(pb, nr, !(flags & GROW_LARGE));
	/* Under a limit no more is put there than is asked for: a cgroup's may be near. */
	if (topology_binds() && !READ_ONCE(limits_in_force) &&
	    !settle_blocks(pb, nr, zone->nid, flags & ALLOC_SETTLED, &clean)) {
		zone_give_back(zone, pb, nr, !clean);
		return false;
	}
	zone_online_blocks(zone, pb, nr, mt, !clean);
	return true;
}

bool zone_grow(struct zone *zone, unsigned int order, enum migratetype mt)
{
	return grow_zone(zone, order_to_blocks(order), order_to_blocks(order), mt, 0);
}

bool zone_grow_blocks(struct zone *zone, unsigned long nr, enum migratetype mt)
{
	return grow_zone(zone, nr, 1, mt, GROW_LARGE);
}

bool zone_grow_for(struct zone *zone, unsigned int order, enum migratetype mt, gfp_t gfp, unsigned int alloc_flags)
{
	unsigned long nr = order_to_blocks(order);
	unsigned int scopes;
	bool grown;

	if (likely(gfp & GFP_IO))
		return grow_zone(zone, nr, nr, mt, alloc_flags);
	scopes = memalloc_flags_save(PF_MEMALLOC_NOIO);
	grown = grow_zone(zone, nr, nr, mt, alloc_flags);
	memalloc_flags_restore(scopes);
	return grown;
}

bool zone_grow_to_mark(struct zone *zone, unsigned int order, gfp_t gfp, unsigned int alloc_flags,
		       const struct alloc_context *ac)
{
	bool ok;

	mutex_lock(&zone->grow_lock);
	do /* its marks grow with it */
		ok = zone_watermark_ok(zone, order, wmark_pages(zone, alloc_flags), ac->highest_zoneidx, alloc_flags);
	while (!ok && !READ_ONCE(limits_in_force) &&
	       zone_grow_for(zone, order, ac->migratetype, gfp, alloc_flags & ~ALLOC_RESERVE));
	mutex_unlock(&zone->grow_lock);
	return ok;
}

void zone_online_blocks(struct zone *zone, unsigned long pb, unsigned long nr, enum migratetype mt, bool dirty)
{
	unsigned long start = pb << PAGEBLOCK_ORDER, end = (pb + nr) << PAGEBLOCK_ORDER, i;

	if (unlikely(page_debug))
		debug_online_pages(start, end - start, dirty);
	mutex_lock(&zone->lock);
	ADD_ONCE(zone->managed_pages, nr << PAGEBLOCK_ORDER);
	ADD_ONCE(zone->nr_grown, nr);
	if (!dirty)
		zone_clean_returned(zone, nr << PAGEBLOCK_ORDER);
	if (unlikely(mt == MIGRATE_ISOLATE))
		ADD_ONCE(zone->nr_isolate_blocks, nr);
	else if (unlikely(mt == MIGRATE_CMA))
		ADD_ONCE(zone->nr_cma, nr << PAGEBLOCK_ORDER);
	if (!zone->zone_end_pfn || start < zone->zone_start_pfn)
		WRITE_ONCE(zone->zone_start_pfn, start);
	WRITE_ONCE(zone->zone_end_pfn, max_ul(zone->zone_end_pfn, end));
	for (i = pb; i < pb + nr; i++) {
		struct pageblock *block = &vmemmap.blocks[i];

		block->nr_free = 0;
		WRITE_ONCE(block->skip, 0);
		WRITE_ONCE(block->zone_id, zone->zone_id);
		smp_store_release(&block->state, PB_ZONE);
	}
	for (i = start; i < end; i += PAGEBLOCK_PAGES) {
		set_pageblock_migratetype(i, mt);
		free_one_page(zone, i, PAGEBLOCK_ORDER, dirty);
	}
	mutex_unlock(&zone->lock);
	if (unlikely(READ_ONCE(min_free_kbytes)))
		setup_per_zone_wmarks();
	if (unlikely(READ_ONCE(percpu_pagelist_high_fraction)))
		zone_set_pageset_high(zone);
}
