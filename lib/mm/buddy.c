/* SPDX-License-Identifier: MIT */
/*
 * Splitting and joining of blocks, as page_alloc.c of the kernel does: expand() on the way down, buddies joined on
 * the way up, each step a few operations on descriptors.
 */
#include "mm/buddy.h"

#include "base/trace.h"
#include "mm/debug.h"
#include "mm/pcp.h"

/* Wholly free pageblocks that may be given back: those that are set aside stay. */
static void count_free_blocks(struct zone *zone, enum migratetype mt, unsigned int order, long sign)
{
	if (order >= PAGEBLOCK_ORDER && mt < MIGRATE_PCPTYPES)
		ADD_ONCE(zone->nr_free_blocks, (unsigned long)(sign * (1L << (order - PAGEBLOCK_ORDER))));
}

/* Free pages that not everybody may have: watermarks leave them out. */
static void count_set_aside(struct zone *zone, enum migratetype mt, long nr)
{
	if (mt == MIGRATE_CMA)
		ADD_ONCE(zone->nr_free_cma, (unsigned long)nr);
	else
		ADD_ONCE(zone->nr_isolated, (unsigned long)nr);
}

/*
 * Free lists have two ends: the first block links back to the last. What lies in pageblocks fuller than most is at the
 * beginning and used first; what lies in emptier ones is added at the end, so that these have time to become free.
 */
static always_inline void free_list_add(uint32_t *head, struct page *page, bool at_end)
{
	uint32_t pfn = (uint32_t)page_to_pfn(page), first = *head;

	if (first == NO_PFN) {
		page->next = NO_PFN;
		page->prev = pfn;
		WRITE_ONCE(*head, pfn);
		return;
	}
	page->prev = pfn_to_page(first)->prev;
	pfn_to_page(first)->prev = pfn;
	if (at_end) {
		page->next = NO_PFN;
		pfn_to_page(page->prev)->next = pfn;
	} else {
		page->next = first;
		WRITE_ONCE(*head, pfn);
	}
}

static always_inline void free_list_del(uint32_t *head, struct page *page)
{
	if (*head == (uint32_t)page_to_pfn(page)) {
		WRITE_ONCE(*head, page->next);
		if (page->next != NO_PFN)
			pfn_to_page(page->next)->prev = page->prev;
		return;
	}
	pfn_to_page(page->prev)->next = page->next;
	pfn_to_page(page->next != NO_PFN ? page->next : *head)->prev = page->prev;
}

/* Has the pageblock more free pages than pageblocks of the zone have on average? */
static always_inline bool is_sparse(const struct zone *zone, const struct pageblock *block)
{
	return block->nr_free * (zone->managed_pages >> PAGEBLOCK_ORDER) > zone->nr_free_pages;
}

void move_to_free_list(struct zone *zone, struct page *page, enum migratetype from, enum migratetype to)
{
	uint32_t *lists = zone->free_area[page->order].free_list;

	free_list_del(&lists[from], page);
	free_list_add(&lists[to], page, false);
	count_free_blocks(zone, from, page->order, -1);
	count_free_blocks(zone, to, page->order, 1);
	if (unlikely(from >= MIGRATE_CMA))
		count_set_aside(zone, from, -(1L << page->order));
	if (unlikely(to >= MIGRATE_CMA))
		count_set_aside(zone, to, 1L << page->order);
}

static always_inline void add_to_free_list(struct zone *zone, unsigned long pfn, unsigned int order,
					   enum migratetype mt, bool dirty)
{
	struct page *page = pfn_to_page(pfn);

	set_page_type(page, PAGE_BUDDY);
	page->order = (uint8_t)order;
	page->flags = dirty ? PG_DIRTY : 0;
	ADD_ONCE(zone->free_area[order].nr_free, 1);
	ADD_ONCE(zone->nr_free_pages, 1UL << order);
	if (dirty) {
		ADD_ONCE(zone->free_area[order].nr_dirty, 1);
		ADD_ONCE(zone->nr_dirty, 1UL << order);
	}
	pfn_to_block(pfn)->nr_free += 1U << order;
	free_list_add(&zone->free_area[order].free_list[mt], page, is_sparse(zone, pfn_to_block(pfn)));
	count_free_blocks(zone, mt, order, 1);
	if (unlikely(mt >= MIGRATE_CMA))
		count_set_aside(zone, mt, 1L << order);
}

static always_inline void del_free_block(struct zone *zone, struct page *page)
{
	unsigned int order = page->order;
	struct free_area *area = &zone->free_area[order];
	enum migratetype mt = get_pageblock_migratetype(page_to_pfn(page));

	free_list_del(&area->free_list[mt], page);
	set_page_type(page, PAGE_NONE);
	ADD_ONCE(area->nr_free, -1);
	ADD_ONCE(zone->nr_free_pages, -(1UL << order));
	if (page->flags & PG_DIRTY) {
		ADD_ONCE(area->nr_dirty, -1);
		ADD_ONCE(zone->nr_dirty, -(1UL << order));
	}
	pfn_to_block(page_to_pfn(page))->nr_free -= 1U << order;
	count_free_blocks(zone, mt, order, -1);
	if (unlikely(mt >= MIGRATE_CMA))
		count_set_aside(zone, mt, -(1L << order));
}

void del_page_from_free_list(struct zone *zone, struct page *page)
{
	del_free_block(zone, page);
}

/* The free buddy of a block, or NULL. Only at the pageblock's own order may it lie outside the zone: in no zone, or
 * in another. It has descriptors, for they come by sections, or to the window's end, which is even. */
static always_inline struct page *find_buddy_page(const struct zone *zone, unsigned long pfn, unsigned int order)
{
	unsigned long buddy_pfn = pfn ^ (1UL << order);
	struct page *buddy = pfn_to_page(buddy_pfn);

	if (order == PAGEBLOCK_ORDER) {
		if (!pageblock_in_zone(zone, buddy_pfn))
			return NULL;
		if (!migratetype_is_mergeable(get_pageblock_migratetype(buddy_pfn), get_pageblock_migratetype(pfn)))
			return NULL;
	}
	return page_type(buddy) == PAGE_BUDDY && buddy->order == order ? buddy : NULL;
}

/* Below the order of guard pages: a buddy that is not in use is one, and is joined; without one, this becomes one. */
static cold void free_guarded_page(struct zone *zone, unsigned long pfn, unsigned int order, bool dirty)
{
	unsigned long buddy_pfn = pfn ^ (1UL << order);
	struct page *buddy = pfn_to_page(buddy_pfn);

	if (!page_is_guard(buddy) || buddy->order != order)
		set_page_guard(pfn_to_page(pfn), order, dirty);
	else if (clear_page_guard(buddy))
		free_one_page(zone, pfn & buddy_pfn, order + 1, dirty || buddy->flags & PG_DIRTY);
	else /* for somebody to take and free it, so that it is tried again */
		add_to_free_list(zone, pfn, order, get_pageblock_migratetype(pfn), dirty);
}

void free_one_page(struct zone *zone, unsigned long pfn, unsigned int order, bool dirty)
{
	enum migratetype mt = get_pageblock_migratetype(pfn);
	struct page *buddy;

	VM_BUG_ON(!is_aligned(pfn, 1UL << order) || pfn_to_zone(pfn) != zone);
	set_page_type(pfn_to_page(pfn), PAGE_NONE);
	/* Of its two pageblocks one was isolated while it was in use: each half goes home by itself. */
	if (order > PAGEBLOCK_ORDER &&
	    unlikely(!migratetype_is_mergeable(mt, get_pageblock_migratetype(pfn + PAGEBLOCK_PAGES)))) {
		free_one_page(zone, pfn + PAGEBLOCK_PAGES, PAGEBLOCK_ORDER, dirty);
		order = PAGEBLOCK_ORDER;
	}
	while (order < MAX_ORDER - 1 && (buddy = find_buddy_page(zone, pfn, order))) {
		del_page_from_free_list(zone, buddy);
		dirty |= !!(buddy->flags & PG_DIRTY);
		if (order >= PAGEBLOCK_ORDER)
			set_pageblock_migratetype(page_to_pfn(buddy), mt);
		pfn &= page_to_pfn(buddy);
		order++;
	}
	if (unlikely(order < debug_guardpage_minorder)) {
		free_guarded_page(zone, pfn, order, dirty);
		return;
	}
	add_to_free_list(zone, pfn, order, mt, dirty);
}

void free_page_range(struct zone *zone, unsigned long pfn, unsigned long nr, bool dirty)
{
	while (nr) {
		unsigned int order = min_ul(first_bit(pfn), min_ul(ilog2(nr), MAX_ORDER - 1));

		free_one_page(zone, pfn, order, dirty);
		pfn += 1UL << order;
		nr -= 1UL << order;
	}
}

/* Give back the upper halves of a block of order high until it has order low. */
static void expand(struct zone *zone, struct page *page, unsigned int low, unsigned int high, enum migratetype mt)
{
	unsigned long pfn = page_to_pfn(page);

	while (high > low) {
		high--;
		if (unlikely(page_debug & DEBUG_GUARDPAGE) &&
		    set_page_guard(pfn_to_page(pfn + (1UL << high)), high, page->flags & PG_DIRTY))
			continue;
		add_to_free_list(zone, pfn + (1UL << high), high, mt, page->flags & PG_DIRTY);
	}
}

struct page *rmqueue_block(struct zone *zone, struct page *page, unsigned int order, enum migratetype mt)
{
	unsigned int current_order = page->order;

	del_free_block(zone, page);
	expand(zone, page, order, current_order, mt);
	page->order = (uint8_t)order;
	return page;
}

/* The first block of a list whose pageblock is not sparse; what was put there when its pageblock was fuller goes to the
 * end, but not more than one. */
static uint32_t dense_block(const struct zone *zone, uint32_t *head)
{
	uint32_t first = *head;

	if (first == NO_PFN || !is_sparse(zone, pfn_to_block(first)))
		return first;
	if (pfn_to_page(first)->next != NO_PFN) {
		free_list_del(head, pfn_to_page(first));
		free_list_add(head, pfn_to_page(first), true);
		if (!is_sparse(zone, pfn_to_block(*head)))
			return *head;
	}
	return NO_PFN;
}

struct page *rmqueue_smallest(struct zone *zone, unsigned int order, enum migratetype mt)
{
	unsigned int current_order;
	uint32_t pfn;

	for (current_order = order; current_order < PAGEBLOCK_ORDER; current_order++) {
		pfn = dense_block(zone, &zone->free_area[current_order].free_list[mt]);
		if (pfn != NO_PFN)
			return rmqueue_block(zone, pfn_to_page(pfn), order, mt);
	}
	for (current_order = order; current_order < MAX_ORDER; current_order++) {
		uint32_t *head = &zone->free_area[current_order].free_list[mt];

		if (*head == NO_PFN)
			continue;
		return rmqueue_block(zone, pfn_to_page(*head), order, mt);
	}
	return NULL;
}

/* From a CMA area: movable requests only. */
static struct page *rmqueue_cma_fallback(struct zone *zone, unsigned int order)
{
	return rmqueue_smallest(zone, order, MIGRATE_CMA);
}

static struct page *rmqueue_type(struct zone *zone, unsigned int order, enum migratetype mt, unsigned int alloc_flags)
{
	struct page *page = NULL;

	/* While more than half of what is free lies in CMA areas, movable requests are served from there. */
	if (alloc_flags & ALLOC_CMA && zone->nr_free_cma > zone->nr_free_pages / 2)
		page = rmqueue_cma_fallback(zone, order);
	if (page)
		return page;
	page = rmqueue_smallest(zone, order, mt);
	if (likely(page))
		return page;
	if (alloc_flags & ALLOC_CMA)
		page = rmqueue_cma_fallback(zone, order);
	return page ? page : rmqueue_fallback(zone, order, mt, alloc_flags);
}

struct page *rmqueue_buddy(struct zone *zone, unsigned int order, enum migratetype mt, unsigned int alloc_flags)
{
	struct page *page = NULL;

	if (order && unlikely(alloc_flags & ALLOC_HARDER))
		page = rmqueue_smallest(zone, order, MIGRATE_HIGHATOMIC);
	if (!page)
		page = rmqueue_type(zone, order, mt, alloc_flags);
	if (page)
		trace_mm_page_alloc_zone_locked(page_to_addr(page), order, mt, pcp_allowed_order(order));
	return page;
}

bool take_free_range(struct zone *zone, unsigned long pfn, unsigned long nr)
{
	unsigned long end = pfn + nr, at;

	/* What is set aside is for others. */
	for (at = pfn; at < end; at += 1UL << pfn_to_page(at)->order)
		if (!pfn_valid(at) || !pageblock_in_zone(zone, at) ||
		    get_pageblock_migratetype(at) >= MIGRATE_PCPTYPES || page_type(pfn_to_page(at)) != PAGE_BUDDY)
			return false;
	for (at = pfn; at < end;) {
		struct page *page = pfn_to_page(at);
		unsigned long block_end = at + (1UL << page->order);

		del_page_from_free_list(zone, page);
		if (block_end > end)
			free_page_range(zone, end, block_end - end, page->flags & PG_DIRTY);
		at = block_end;
	}
	return true;
}

/* Free blocks that lie side by side in pageblocks of one type. */
struct free_extent {
	unsigned long pfn, nr;
};

/* May they go on into the pageblock of this page? */
static bool is_alike(const struct zone *zone, unsigned long pfn, enum migratetype mt)
{
	return pfn_valid(pfn) && pageblock_in_zone(zone, pfn) && get_pageblock_migratetype(pfn) == mt;
}

/* The free block that ends before pfn; NULL: that page is in use, or another type's. */
static struct page *free_block_before(const struct zone *zone, unsigned long pfn, enum migratetype mt)
{
	unsigned int order;

	if (!(pfn % PAGEBLOCK_PAGES) && !is_alike(zone, pfn - 1, mt))
		return NULL;
	for (order = 0; order < MAX_ORDER; order++) {
		unsigned long at = pfn - (1UL << order);
		struct page *page = pfn_to_page(at);

		/* The other pageblock of a pair may be another zone's, under another lock: that is not looked into. */
		if (page_type(page) == PAGE_BUDDY && (order <= PAGEBLOCK_ORDER || pageblock_in_zone(zone, at)) &&
		    page->order == order)
			return page;
		if (pfn & 1UL << order) /* what ends here is no larger */
			break;
	}
	return NULL;
}

/* Are there fewer than nr free pages beside this one? What goes on into the next pageblock begins there with a block.
 */
static bool is_narrow(unsigned long pfn, unsigned long nr)
{
	unsigned long begin = align_down(pfn, PAGEBLOCK_PAGES), end = begin + PAGEBLOCK_PAGES;

	return pfn_to_block(pfn)->nr_free < nr && page_type(pfn_to_page(begin)) != PAGE_BUDDY &&
	       !(pfn_valid(end) && page_type(pfn_to_page(end)) == PAGE_BUDDY);
}

/* What a free block is part of, or `most` pages of it and more; it may go on behind `enough` pages, and before its
 * first pageblock if it has these. */
static struct free_extent extent_of(const struct zone *zone, const struct page *page, unsigned long enough,
				    unsigned long most)
{
	unsigned long pfn = page_to_pfn(page), end = pfn + (1UL << page->order);
	enum migratetype mt = get_pageblock_migratetype(pfn);

	while (end - pfn < most && (pfn % PAGEBLOCK_PAGES || end - pfn < enough) &&
	       (page = free_block_before(zone, pfn, mt)))
		pfn = page_to_pfn(page);
	while (end - pfn < most && end - pfn < enough && (end % PAGEBLOCK_PAGES || is_alike(zone, end, mt)) &&
	       page_type(pfn_to_page(end)) == PAGE_BUDDY)
		end += 1UL << pfn_to_page(end)->order;
	return (struct free_extent){ pfn, end - pfn };
}

/* Blocks of a list that are looked at, fewer if one leaves no more than this share. What they are part of is seen so
 * far: less of it would look like all there is, and what is taken would lie in its midst. */
#define EXACT_TRIES 16
#define EXACT_SHARE 8
#define EXACT_SEEN (4 * PAGEBLOCK_PAGES)

/* The extent that leaves the least of best and those that the first blocks of a list are part of; 0 pages: none holds
 * nr. */
static struct free_extent best_extent(const struct zone *zone, uint32_t pfn, unsigned long nr, struct free_extent best)
{
	int tries;

	for (tries = 0; pfn != NO_PFN && tries < EXACT_TRIES; tries++) {
		const struct page *page = pfn_to_page(pfn);

		if (!is_narrow(pfn, nr)) {
			struct free_extent extent = extent_of(zone, page, EXACT_SEEN, best.nr ? best.nr : ~0UL);

			if (extent.nr >= nr && (!best.nr || extent.nr < best.nr))
				best = extent;
		}
		if (best.nr && best.nr - nr <= nr / EXACT_SHARE)
			break;
		pfn = page->next;
	}
	return best;
}

/* Is any block of a free range dirty, or clean? */
static bool range_has(unsigned long pfn, unsigned long end, bool dirty)
{
	for (; pfn < end; pfn += 1UL << pfn_to_page(pfn)->order)
		if (!!(pfn_to_page(pfn)->flags & PG_DIRTY) == dirty)
			return true;
	return false;
}

struct page *rmqueue_exact(struct zone *zone, unsigned long nr, enum migratetype mt, bool no_clean)
{
	unsigned int order = min_ul(ilog2(nr), MAX_ORDER - 1), end = nr < EXACT_WHOLE ? PAGEBLOCK_ORDER : MAX_ORDER;
	struct free_extent best = { 0, 0 };
	bool dirty;

	/* However badly it lies, an extent that holds nr pages has a block of the order below. */
	for (order -= order > 0; order < end && (!best.nr || order <= ilog2(nr)); order++)
		best = best_extent(zone, zone->free_area[order].free_list[mt], nr, best);
	if (!best.nr || (no_clean && range_has(best.pfn, best.pfn + nr, false)))
		return NULL;
	dirty = no_clean || range_has(best.pfn, best.pfn + nr, true);
	if (!take_free_range(zone, best.pfn, nr))
		return NULL;
	pfn_to_page(best.pfn)->flags = dirty ? PG_DIRTY : 0;
	return pfn_to_page(best.pfn);
}
