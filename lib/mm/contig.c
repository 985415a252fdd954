/* SPDX-License-Identifier: MIT */
/*
 * Contiguous pages: any number of them side by side. A range is isolated, so that nobody takes what is free in it;
 * what is movable is moved away; and when all of it is free it is taken. Where the zones have no such range, they grow.
 */
#include <errno.h>
#include "base/message.h"
#include "mm/arena.h"
#include "mm/buddy.h"
#include "mm/current.h"
#include "mm/fault_inject.h"
#include "mm/internal.h"
#include "mm/mempolicy.h"
#include "mm/migrate.h"
#include "mm/page_alloc.h"
#include "mm/page_isolation.h"
#include "mm/pcp.h"
#include "mm/settle.h"

/* More than there can be: the window is smaller, and sums do not wrap. */
#define CONTIG_PAGES_MAX (1UL << 34)

/* Times a block is asked to move before the range is given up. */
#define MIGRATE_TRIES 5

/* Moving calls the user of a block. */
static bool may_migrate(gfp_t gfp)
{
	return (gfp & (GFP_DIRECT_RECLAIM | GFP_FS)) == (GFP_DIRECT_RECLAIM | GFP_FS);
}

/* Where the block at pfn may move to: near it, as long as there is room. */
static struct page *alloc_migration_target(unsigned long pfn, unsigned int order, gfp_t gfp)
{
	const struct zone *zone = pfn_to_zone(pfn);

	gfp &= GFP_RECLAIM | GFP_IO | GFP_FS;
	gfp |= GFP_HARDWALL | GFP_MOVABLE | GFP_RETRY_MAYFAIL | GFP_NOWARN;
	return alloc_pages_nodemask(gfp, order, zone->nid, NULL);
}

static int migrate_block(unsigned long pfn, gfp_t gfp)
{
	struct page *page = pfn_to_page(pfn), *dst;
	unsigned int order;
	int err;

	if (!isolate_movable_page(page))
		return -EAGAIN;
	/* It is ours to look at now. */
	order = page->order;
	dst = alloc_migration_target(pfn, order, gfp);
	if (!dst) {
		putback_movable_page(page);
		return -ENOMEM;
	}
	err = migrate_page(dst, page, MIGRATE_SYNC);
	if (err)
		free_pages(dst, order);
	return err;
}

/* Move away what is movable in the range; 0 if nothing else stays. */
static int migrate_contig_range(unsigned long start, unsigned long end, gfp_t gfp)
{
	unsigned long pfn = start;
	unsigned int tries = 0;
	int err = 0;

	while (pfn < end) {
		struct block_seen b = look_at_block(pfn);

		if (b.use == BLOCK_FREE) {
			pfn = b.pfn + b.nr;
			tries = 0;
			continue;
		}
		if (b.use == BLOCK_FIXED || !may_migrate(gfp) || ++tries > MIGRATE_TRIES)
			return err ? err : -EBUSY;
		err = migrate_block(b.pfn, gfp);
		if (err == -ENOMEM)
			return err;
		if (err)
			err = -EBUSY;
	}
	return 0;
}

/* Off its list what the free block at pfn has of [start, end); the rest of it stays free. Where it ends. */
static unsigned long take_free_block(struct zone *zone, unsigned long pfn, unsigned long start, unsigned long end,
				     bool *dirty)
{
	unsigned long block_end;
	struct page *page;

	mutex_lock(&zone->lock);
	pfn = look_at_block(pfn).pfn;
	page = pfn_to_page(pfn);
	VM_BUG_ON(page_type(page) != PAGE_BUDDY);
	block_end = pfn + (1UL << page->order);
	*dirty = page->flags & PG_DIRTY;
	del_page_from_free_list(zone, page);
	if (pfn < start)
		free_page_range(zone, pfn, start - pfn, *dirty);
	if (block_end > end)
		free_page_range(zone, end, block_end - end, *dirty);
	ADD_ONCE(zone->nr_alloc_pages, min_ul(block_end, end) - max_ul(pfn, start));
	mutex_unlock(&zone->lock);
	return min_ul(block_end, end);
}

static void prep_contig_pages(unsigned long pfn, unsigned long end, bool dirty, gfp_t gfp)
{
	for (; pfn < end; pfn++) {
		struct page *page = pfn_to_page(pfn);

		page->flags = dirty ? PG_DIRTY : 0;
		prep_new_page(page, 0, gfp, 0);
	}
}

/* What is free and isolated stays so, whoever else comes: the range is had block by block. */
static void take_contig_range(struct zone *zone, unsigned long start, unsigned long end, gfp_t gfp)
{
	unsigned long pfn, next;
	bool dirty;

	for (pfn = start; pfn < end; pfn = next) {
		next = take_free_block(zone, pfn, start, end, &dirty);
		prep_contig_pages(pfn, next, dirty, gfp);
	}
}

int alloc_contig_range(unsigned long start, unsigned long end, enum migratetype mt, gfp_t gfp)
{
	int err;

	gfp = current_gfp_context(gfp);
	/* Freed one by one, pages of an area go into no list but that of movable ones. */
	if (mt == MIGRATE_CMA)
		gfp = (gfp & ~GFP_MOVABLE_MASK) | GFP_MOVABLE;
	err = start_isolate_page_range(start, end, mt);
	if (err)
		return err;
	err = migrate_contig_range(start, end, gfp);
	if (!err)
		err = test_pages_isolated(start, end);
	if (!err)
		take_contig_range(pfn_to_zone(start), start, end, gfp);
	undo_isolate_page_range(start, end);
	return err;
}

void free_contig_range(unsigned long pfn, unsigned long nr_pages)
{
	unsigned long end = pfn + nr_pages, in_use = 0, at;

	for (at = pfn; at < end; at++) {
		struct page *page = pfn_to_page(at);

		if (put_page_testzero(page))
			free_the_page(page, 0);
		else
			in_use++;
	}
	cma_clear_bits(pfn, nr_pages);
	WARN_ONCE(in_use, "%lu pages are still in use!", in_use);
}

unsigned long align_pfn(unsigned long pfn, unsigned long align)
{
	uintptr_t addr = (uintptr_t)pfn_to_addr(pfn);

	return pfn + ((align_up(addr, align << PAGE_SHIFT) - addr) >> PAGE_SHIFT);
}

unsigned long pfn_range_obstacle(const struct zone *zone, unsigned long start, unsigned long end, enum migratetype mt,
				 gfp_t gfp)
{
	struct block_seen b;

	for (; start < end; start = b.pfn + b.nr) {
		const struct pageblock *block = pfn_to_block(start);
		unsigned int type = READ_ONCE(block->migratetype);

		if (!pageblock_in_zone(zone, start) || type == MIGRATE_ISOLATE || type == MIGRATE_HIGHATOMIC ||
		    (type == MIGRATE_CMA) != (mt == MIGRATE_CMA))
			return align_down(start, PAGEBLOCK_PAGES) + PAGEBLOCK_PAGES;
		b = look_at_block(start);
		if (b.use == BLOCK_FIXED || (b.use == BLOCK_MOVABLE && !may_migrate(gfp)))
			return b.pfn + b.nr;
	}
	return NO_PFN;
}

/* From what the zone has. */
static struct page *contig_from_zone(struct zone *zone, unsigned long nr_pages, unsigned long align, gfp_t gfp)
{
	unsigned long pfn = READ_ONCE(zone->zone_start_pfn), end = READ_ONCE(zone->zone_end_pfn), next;

	for (pfn = align_pfn(pfn, align); pfn < end && nr_pages <= end - pfn; pfn = align_pfn(next, align)) {
		next = pfn_range_obstacle(zone, pfn, pfn + nr_pages, MIGRATE_MOVABLE, gfp);
		if (next != NO_PFN)
			continue;
		if (!alloc_contig_range(pfn, pfn + nr_pages, MIGRATE_MOVABLE, gfp))
			return pfn_to_page(pfn);
		next = align_down(pfn, PAGEBLOCK_PAGES) + PAGEBLOCK_PAGES;
	}
	return NULL;
}

/* From pageblocks that the zone has not yet; what is left of the last one is free. */
static struct page *contig_from_growth(struct zone *zone, unsigned long nr_pages, unsigned long align, gfp_t gfp,
				       bool settled)
{
	unsigned long nr = (nr_pages + PAGEBLOCK_PAGES - 1) >> PAGEBLOCK_ORDER, pb, pfn;
	bool clean;

	if (zone_pageset_init(zone))
		return NULL;
	pb = arena_alloc(nr, max_ul(align >> PAGEBLOCK_ORDER, 1), PB_OFFLINE, zone->nid, &clean);
	if (!pb)
		return NULL;
	arena_advise_huge(pb, nr, true);
	if (topology_binds() && !settle_blocks(pb, nr, zone->nid, settled, &clean)) {
		arena_free(pb, nr, !clean);
		return NULL;
	}
	pfn = pb << PAGEBLOCK_ORDER;
	online_isolated_blocks(zone, pb, nr, gfp_migratetype(gfp), !clean);
	take_contig_range(zone, pfn, pfn + nr_pages, gfp);
	unset_isolated_blocks(zone, pfn, pfn + nr_pages);
	return pfn_to_page(pfn);
}

static struct page *contig_from_zonelist(const struct alloc_context *ac, unsigned long nr_pages, gfp_t gfp)
{
	unsigned long align = is_power_of_2(nr_pages) ? nr_pages : 1;
	bool settled = wants_settled(gfp, ac->nodemask);
	struct page *page = NULL;
	struct zone *zone, **z;

	for_each_zone_of (zone, z, ac) {
		if (cpusets_enabled() && !cpuset_zone_allowed(zone, gfp))
			continue;
		if (READ_ONCE(zone->nr_cma))
			page = cma_alloc(nr_pages, zone->nid, gfp);
		if (!page && populated_zone(zone))
			page = contig_from_zone(zone, nr_pages, align, gfp);
		if (!page)
			page = contig_from_growth(zone, nr_pages, align, gfp, settled);
		if (page && (!settled || settle_pages(page, nr_pages)))
			return page;
		if (page)
			free_contig_range(page_to_pfn(page), nr_pages);
		page = NULL;
	}
	return NULL;
}

static struct page *contig_from_nodes(unsigned long nr_pages, gfp_t gfp, int nid, const nodemask_t *nodemask)
{
	int list = gfp & GFP_THISNODE ? ZONELIST_NOFALLBACK : ZONELIST_FALLBACK;
	struct alloc_context ac = {
		.zonelist = NODE_DATA(nid)->node_zonelists[list],
		.nodemask = nodemask,
		.migratetype = gfp_migratetype(gfp),
		.highest_zoneidx = gfp_zone(gfp),
		.lowest_zoneidx = ZONE_NORMAL,
	};

	reset_preferred(&ac);
	return contig_from_zonelist(&ac, nr_pages, gfp);
}

struct page *alloc_contig_pages(unsigned long nr_pages, gfp_t gfp, int nid, const nodemask_t *nodemask)
{
	const struct mempolicy *pol;
	struct page *page;

	/* What lies below 4 GiB is too precious, and too scattered. */
	if (!nr_pages || nr_pages > CONTIG_PAGES_MAX || gfp & GFP_DMA32)
		return NULL;
	gfp = current_gfp_context(gfp & READ_ONCE(gfp_allowed_mask));
	if (unlikely(READ_ONCE(fail_page_alloc_enabled)) && should_fail_alloc_page(gfp, order_for_pages(nr_pages)))
		return NULL;
	if (nid >= 0)
		return contig_from_nodes(nr_pages, gfp, nid, nodemask);
	pol = get_task_policy(gfp);
	if (mpol_interleaves(pol))
		return contig_from_nodes(nr_pages, gfp, interleave_nodes(pol), nodemask);
	nid = policy_node(gfp, pol, numa_node_id());
	if (pol->mode == POLICY_PREFERRED_MANY && !nodemask) {
		page = contig_from_nodes(nr_pages, gfp, nid, &pol->nodes);
		if (page)
			return page;
	}
	return contig_from_nodes(nr_pages, gfp, nid, nodemask ? nodemask : policy_nodemask(gfp, pol));
}
