/* SPDX-License-Identifier: MIT */
/*
 * Allocations that are not one block of an order, or more than that: exact lengths, single pages in bulk, blocks split
 * into pages, blocks whose pages know their head.
 */
#include <string.h>

#include "base/trace.h"
#include "mm/balance_inner.h"
#include "mm/buddy.h"
#include "mm/current.h"
#include "mm/debug.h"
#include "mm/exact.h"
#include "mm/fault_inject.h"
#include "mm/internal.h"
#include "mm/memory_hotplug.h"
#include "mm/owner.h"
#include "mm/page_alloc.h"
#include "mm/page_owner.h"
#include "mm/pcp.h"
#include "mm/settle.h"
#include "mm/touched.h"

static struct page *take_exact(struct zone *zone, unsigned long nr, enum migratetype mt, bool no_clean)
{
	struct page *page;

	mutex_lock(&zone->lock);
	page = rmqueue_exact(zone, nr, mt, no_clean);
	if (page)
		ADD_ONCE(zone->nr_alloc_pages, nr);
	mutex_unlock(&zone->lock);
	return page;
}

/* The zone had no place for a large block when it had grown so often: it grows now, for what is new lies beside what
 * was left over. */
static struct page *take_grown(struct zone *zone, unsigned long nr, enum migratetype mt, unsigned long grown)
{
	struct page *page = NULL;

	if (nr < EXACT_WHOLE)
		return NULL;
	if (drop_kept_pages(zone))
		page = take_exact(zone, nr, mt, false);
	if (page)
		return page;
	mutex_lock(&zone->grow_lock);
	if (READ_ONCE(zone->nr_grown) != grown)
		page = take_exact(zone, nr, mt, false);
	if (!page && zone_grow_blocks(zone, (nr + PAGEBLOCK_PAGES - 1) >> PAGEBLOCK_ORDER, mt))
		page = take_exact(zone, nr, mt, false);
	mutex_unlock(&zone->grow_lock);
	return page;
}

/* From free blocks that lie side by side: only where nothing else would be asked, the low mark is kept, and nothing is
 * to fail. */
static struct page *alloc_side_by_side(gfp_t gfp, unsigned long nr)
{
	struct zone *zone = &NODE_DATA(numa_node_id())->node_zones[gfp_zone(gfp)];
	enum migratetype mt = gfp_migratetype(gfp);
	unsigned long grown;
	struct page *page;

	if (unlikely(READ_ONCE(fail_page_alloc_enabled)) ||
	    unlikely(current->flags & PF_MEMALLOC_PIN && gfp & GFP_MOVABLE))
		return NULL;
	if (zone->idx == ZONE_DMA32 || page_debug || topology.nr_nodes > 1)
		return NULL;
	if (unlikely(READ_ONCE(min_free_kbytes)) &&
	    !zone_watermark_ok(zone, 0, wmark_pages(zone, ALLOC_WMARK_LOW) + nr, gfp_zone(gfp), ALLOC_WMARK_LOW))
		return NULL;
	grown = READ_ONCE(zone->nr_grown);
	page = take_exact(zone, nr, mt, false);
	if (!page)
		page = take_grown(zone, nr, mt, grown);
	if (page) {
		prep_new_page(page, order_for_pages(nr), gfp & ~(GFP_ZERO | GFP_COMP), 0);
		trace_mm_page_alloc(page_to_addr(page), order_for_pages(nr), gfp, mt);
	}
	return page;
}

struct page *alloc_dirty_pages_exact(unsigned long nr)
{
	struct zone *zone = &NODE_DATA(0)->node_zones[ZONE_NORMAL];
	enum migratetype mt = gfp_migratetype(GFP_MALLOC);
	struct page *page;

	if (topology.nr_nodes > 1 || page_debug || READ_ONCE(min_free_kbytes) || READ_ONCE(zone->nr_dirty) < nr)
		return NULL;
	page = take_exact(zone, nr, mt, true);
	if (page) {
		prep_new_page(page, order_for_pages(nr), GFP_MALLOC, 0);
		trace_mm_page_alloc(page_to_addr(page), order_for_pages(nr), GFP_MALLOC, mt);
	}
	return page;
}

struct page *alloc_pages_exact(gfp_t gfp, unsigned long nr, unsigned int order)
{
	unsigned int whole = order_for_pages(nr);
	struct page *page = NULL;

	if (!order && (nr != 1UL << whole || whole > PCP_MAX_ORDER))
		page = alloc_side_by_side(gfp, nr);
	if (page) {
		if (gfp & GFP_ZERO)
			memset(page_to_addr(page), 0, nr << PAGE_SHIFT);
		return page;
	}
	order = (unsigned int)max_ul(order, whole);
	page = alloc_pages(gfp & ~GFP_COMP, order);
	if (page && nr < 1UL << order) {
		unsigned long pfn = page_to_pfn(page);
		struct zone *zone = pfn_to_zone(pfn);

		/* The pages themselves are as they came. */
		if (unlikely(page_debug & DEBUG_PAGE_OWNER))
			reset_page_owner(pfn + nr, (1UL << order) - nr);
		mutex_lock(&zone->lock);
		free_page_range(zone, pfn + nr, (1UL << order) - nr, page->flags & PG_DIRTY);
		mutex_unlock(&zone->lock);
	}
	return page;
}

void free_pages_exact(struct page *page, unsigned long nr)
{
	unsigned long pfn = page_to_pfn(page);
	struct zone *zone = pfn_to_zone(pfn);

	trace_mm_page_free(page_to_addr(page), order_for_pages(nr));
	if (unlikely(page_debug))
		debug_free_pages(pfn, nr);
	if (touched_is_due())
		touched_look(pfn, nr, page->flags & PG_DIRTY);
	mutex_lock(&zone->lock);
	free_page_range(zone, pfn, nr, true);
	mutex_unlock(&zone->lock);
	balance_zone(zone);
}

bool resize_pages_exact(struct page *page, unsigned long nr, unsigned long new_nr)
{
	unsigned long pfn = page_to_pfn(page);
	struct zone *zone = pfn_to_zone(pfn);
	bool ok = true;

	if (unlikely(page_debug)) {
		if (new_nr > nr) /* what comes must be looked at: let it move */
			return false;
		debug_free_pages(pfn + new_nr, nr - new_nr);
	}
	if (topology_binds() && new_nr > nr && !settle_may_extend(pfn))
		return false;
	mutex_lock(&zone->lock);
	if (new_nr > nr) {
		ok = take_free_range(zone, pfn + nr, new_nr - nr);
		ADD_ONCE(zone->nr_alloc_pages, ok ? new_nr - nr : 0);
	} else if (new_nr < nr) {
		free_page_range(zone, pfn + new_nr, nr - new_nr, true);
	}
	mutex_unlock(&zone->lock);
	return ok;
}

void split_page_range(struct page *page, unsigned long nr)
{
	const struct zone *zone = pfn_to_zone(page_to_pfn(page));
	struct page single = { .word = READ_ONCE(page->word) };
	unsigned long i;

	single.order = 0;
	single.cache = zone->zone_id;
	single.flags &= (uint8_t) ~(PG_COMPOUND | PG_MOVABLE);
	if (unlikely(page_debug & DEBUG_PAGE_OWNER))
		split_page_owner(page_to_pfn(page), nr);
	/* Further references are to the first. */
	for (i = 0; i < nr; i++) {
		__atomic_store_n(&page[i].word, single.word, __ATOMIC_RELAXED);
		single.refcount = 1;
	}
}

void split_page(struct page *page, unsigned int order)
{
	bool charged = READ_ONCE(page->flags) & PG_CHARGED;

	split_page_range(page, 1UL << order);
	if (unlikely(charged))
		owner_split_block(page, order);
}

void prep_compound_page(struct page *page, unsigned int order)
{
	unsigned long i, pfn = page_to_pfn(page);

	page->flags |= PG_COMPOUND;
	for (i = 1; i < 1UL << order; i++) {
		page[i].head = pfn;
		set_page_type(&page[i], PAGE_TAIL);
	}
}

void destroy_compound_page(struct page *page, unsigned int order)
{
	unsigned long i;

	for (i = 1; i < 1UL << order; i++)
		set_page_type(&page[i], PAGE_NONE);
	page->flags &= (uint8_t)~PG_COMPOUND;
}

struct page *compound_head(struct page *page)
{
	return page_type(page) == PAGE_TAIL ? pfn_to_page(page->head) : page;
}

/* A whole list at once from the zone lists would save little: each page is a few instructions off its CPU's list. */
unsigned long alloc_pages_bulk(gfp_t gfp, unsigned long nr, struct page **array)
{
	unsigned long n;

	for (n = 0; n < nr; n++) {
		/* What is missing after the first is no failure: the caller sees how many there are. */
		array[n] = alloc_pages(n ? (gfp & ~GFP_NOFAIL) | GFP_NOWARN | GFP_NORETRY : gfp, 0);
		if (!array[n])
			break;
	}
	return n;
}
