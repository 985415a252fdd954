/* SPDX-License-Identifier: MIT */
/*
 * The walk of an allocation, in the kernel's steps: prepare, get_page_from_freelist over the zonelist with the zone
 * growing where it runs dry, and the slow path when that fails.
 *
 * Lock order: per-CPU list, zone, arena.
 */
#include "mm/page_alloc.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/trace.h"
#include "base/tunables.h"
#include "mm/arena.h"
#include "mm/buddy.h"
#include "mm/sparse.h"
#include "os/os.h"

/* Wholly free pageblocks that a zone keeps, so that a slab coming and going does not reach the arenas. */
#define ZONE_KEEP_BLOCKS 1UL

/* Dirty free pages may be half of those in use; smaller blocks than this order are not worth a system call. */
#define ZONE_DIRTY_SHARE 2
#define ZONE_PURGE_ORDER 5

struct alloc_context {
	struct zone **zones;
	enum migratetype migratetype;
};

int mm_init(void)
{
	int err;

	arena_init();
	topology_init("/sys");
	/* A try before this one may have failed after the window was had. */
	err = vmemmap.nr_pages ? 0 : sparse_init();
	return err ? err : free_area_init();
}

/* Has the zone its mark left after this allocation? No limit is in force while the marks are 0. */
static bool zone_watermark_fast(const struct zone *zone, unsigned int order, unsigned long mark)
{
	return READ_ONCE(zone->nr_free_pages) >= mark + (mark ? 1UL << order : 0);
}

/* In the place of the kernel's deferred pages: pageblocks that the arenas still have. */
static bool zone_grow(struct zone *zone, unsigned int order, enum migratetype mt)
{
	unsigned long nr = order > PAGEBLOCK_ORDER ? 1UL << (order - PAGEBLOCK_ORDER) : 1;
	unsigned long pb, i;
	bool clean;

	pb = arena_alloc(nr, nr, PB_ZONE, zone->nid, &clean);
	if (!pb)
		return false;
	arena_advise_huge(pb, nr);
	mutex_lock(&zone->lock);
	ADD_ONCE(zone->managed_pages, nr << PAGEBLOCK_ORDER);
	ADD_ONCE(zone->nr_grown, nr);
	for (i = pb; i < pb + nr; i++) {
		set_pageblock_migratetype(i << PAGEBLOCK_ORDER, mt);
		free_one_page(zone, i << PAGEBLOCK_ORDER, PAGEBLOCK_ORDER, !clean);
	}
	mutex_unlock(&zone->lock);
	return true;
}

static struct page *rmqueue(struct zone *zone, unsigned int order, enum migratetype mt, unsigned int alloc_flags)
{
	struct page *page;

	if (order <= PCP_MAX_ORDER) {
		page = rmqueue_pcplist(zone, order, mt, alloc_flags);
		if (likely(page))
			return page;
	}
	mutex_lock(&zone->lock);
	page = rmqueue_buddy(zone, order, mt, alloc_flags);
	mutex_unlock(&zone->lock);
	return page;
}

static void prep_new_page(struct page *page, unsigned int order)
{
	set_page_type(page, PAGE_HEAD);
	page->order = (uint8_t)order;
	page->refcount = 1;
	page->owner = 0;
}

static struct page *get_page_from_freelist(unsigned int order, unsigned int alloc_flags, const struct alloc_context *ac)
{
	struct zone **z;

	for (z = ac->zones; *z; z++) {
		struct zone *zone = *z;
		struct page *page = NULL;

		if (zone_watermark_fast(zone, order, zone->watermark[alloc_flags & ALLOC_WMARK_MASK]))
			page = rmqueue(zone, order, ac->migratetype, alloc_flags);
		if (!page && zone_grow(zone, order, ac->migratetype))
			page = rmqueue(zone, order, ac->migratetype, alloc_flags);
		if (page) {
			prep_new_page(page, order);
			return page;
		}
	}
	return NULL;
}

/* Nothing free and no growth: mix migratetypes, then bring back what caches hold and try once more. */
static cold struct page *alloc_pages_slowpath(gfp_t gfp, unsigned int order, const struct alloc_context *ac)
{
	struct page *page = get_page_from_freelist(order, ALLOC_WMARK_MIN, ac);

	if (page || !(gfp & GFP_DIRECT_RECLAIM))
		return page;
	drain_all_pages();
	return get_page_from_freelist(order, ALLOC_WMARK_MIN, ac);
}

struct page *alloc_pages(gfp_t gfp, unsigned int order)
{
	struct alloc_context ac = {
		.zones = NODE_DATA(numa_node_id())->node_zonelist.zones,
		.migratetype = gfp_migratetype(gfp),
	};
	struct page *page;

	if (WARN_ONCE(order >= MAX_ORDER, "page allocation of order %u: the largest is %d", order, MAX_ORDER - 1))
		return NULL;
	page = get_page_from_freelist(order, ALLOC_WMARK_LOW | ALLOC_NOFRAGMENT, &ac);
	if (unlikely(!page))
		page = alloc_pages_slowpath(gfp, order, &ac);
	trace_mm_page_alloc(page ? page_to_pfn(page) : 0, order, gfp, ac.migratetype);
#ifdef BM_DEBUG
	if (page)
		check_zone(pfn_to_zone(page_to_pfn(page)));
#endif
	return page;
}

/* Dirty pages that the free blocks of a zone may hold: as much as is kept anyway, and a share of what is in use. */
static unsigned long zone_dirty_limit(const struct zone *zone)
{
	return (READ_ONCE(tunables.dirty_max) >> PAGE_SHIFT) +
	       (READ_ONCE(zone->managed_pages) - READ_ONCE(zone->nr_free_pages)) / ZONE_DIRTY_SHARE;
}

/* After a free: pageblocks that are wholly free beyond need go to the arenas, dirty pages beyond the limit back to
 * the system, to well below it, so that the next free is not again over. */
static void balance_zone(struct zone *zone)
{
	unsigned long limit;

	if (unlikely(READ_ONCE(zone->nr_free_blocks) > ZONE_KEEP_BLOCKS))
		zone_trim(zone, ZONE_KEEP_BLOCKS);
	limit = zone_dirty_limit(zone);
	if (unlikely(READ_ONCE(zone->nr_dirty) > limit + READ_ONCE(zone->dirty_floor))) {
		zone_purge(zone, ZONE_PURGE_ORDER, limit * 3 / 4);
		/* What is left lies in small blocks: to look at them at every free would be in vain. */
		WRITE_ONCE(zone->dirty_floor, max_ul(READ_ONCE(zone->nr_dirty), limit * 3 / 4) - limit * 3 / 4);
	}
#ifdef BM_DEBUG
	check_zone(zone);
#endif
}

void free_pages(struct page *page, unsigned int order)
{
	unsigned long pfn = page_to_pfn(page);
	struct zone *zone = pfn_to_zone(pfn);

	VM_BUG_ON(page_type(page) == PAGE_BUDDY || page_type(page) == PAGE_PCP);
	trace_mm_page_free(pfn, order);
	if (order > PCP_MAX_ORDER || !free_pcp_page(zone, page, order)) {
		mutex_lock(&zone->lock);
		free_one_page(zone, pfn, order, true);
		mutex_unlock(&zone->lock);
	}
	balance_zone(zone);
}

struct page *alloc_pages_exact(gfp_t gfp, unsigned long nr, unsigned int order)
{
	unsigned int whole = order_for_pages(nr);
	struct page *page = NULL;
	struct zone *zone;

	if (!order && nr != 1UL << whole) {
		zone = NODE_DATA(numa_node_id())->node_zonelist.zones[0];
		mutex_lock(&zone->lock);
		page = rmqueue_exact(zone, nr, gfp_migratetype(gfp));
		mutex_unlock(&zone->lock);
		if (page) {
			prep_new_page(page, whole);
			trace_mm_page_alloc(page_to_pfn(page), whole, gfp, gfp_migratetype(gfp));
			return page;
		}
	}
	if (order < whole)
		order = whole;
	page = alloc_pages(gfp, order);
	if (page && nr < 1UL << order) {
		unsigned long pfn = page_to_pfn(page);

		zone = pfn_to_zone(pfn);
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

	trace_mm_page_free(pfn, order_for_pages(nr));
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

	mutex_lock(&zone->lock);
	if (new_nr > nr)
		ok = take_free_range(zone, pfn + nr, new_nr - nr);
	else if (new_nr < nr)
		free_page_range(zone, pfn + new_nr, nr - new_nr, true);
	mutex_unlock(&zone->lock);
	return ok;
}

/* Take one wholly free block off the zone; its order, 0 when there is none. */
static unsigned int offline_free_block(struct zone *zone, unsigned long keep, unsigned long *pfn, bool *dirty)
{
	unsigned int order = 0, mt;

	mutex_lock(&zone->lock);
	for (mt = 0; mt < MIGRATE_TYPES && zone->nr_free_blocks > keep && !order; mt++) {
		unsigned int o;

		for (o = MAX_ORDER - 1; o >= PAGEBLOCK_ORDER; o--)
			if (zone->free_area[o].free_list[mt] != NO_PFN)
				break;
		if (o < PAGEBLOCK_ORDER)
			continue;
		order = o;
		*pfn = zone->free_area[o].free_list[mt];
		*dirty = pfn_to_page(*pfn)->flags & PG_DIRTY;
		del_page_from_free_list(zone, pfn_to_page(*pfn));
		ADD_ONCE(zone->managed_pages, -(1UL << o));
		ADD_ONCE(zone->nr_given_back, 1UL << (o - PAGEBLOCK_ORDER));
	}
	mutex_unlock(&zone->lock);
	return order;
}

void zone_trim(struct zone *zone, unsigned long keep)
{
	unsigned long pfn;
	unsigned int order;
	bool dirty;

	while ((order = offline_free_block(zone, keep, &pfn, &dirty)))
		arena_free(pfn >> PAGEBLOCK_ORDER, 1UL << (order - PAGEBLOCK_ORDER), dirty);
}

/* Dirty free blocks of the order, nr pages or a little more if there are as many, off their lists: a chain. */
static uint32_t take_dirty_blocks(struct zone *zone, unsigned int order, unsigned long nr)
{
	uint32_t chain = NO_PFN, pfn, next;
	unsigned long taken = 0;
	unsigned int mt;

	for (mt = 0; mt < MIGRATE_TYPES; mt++)
		for (pfn = zone->free_area[order].free_list[mt]; pfn != NO_PFN && taken < nr; pfn = next) {
			struct page *page = pfn_to_page(pfn);

			next = page->next;
			if (!(page->flags & PG_DIRTY))
				continue;
			del_page_from_free_list(zone, page);
			page->next = chain;
			chain = pfn;
			taken += 1UL << order;
		}
	return chain;
}

unsigned long zone_purge(struct zone *zone, unsigned int min_order, unsigned long keep)
{
	unsigned long purged = 0;
	unsigned int order;
	bool ok = true;

	/* The system gives back whole pages of its own, which may be larger than ours. */
	min_order = (unsigned int)max_ul(min_order, order_for_pages(size_to_pages(os_page_size())));
	for (order = MAX_ORDER; ok && order-- > min_order;) {
		uint32_t chain = NO_PFN, pfn;

		mutex_lock(&zone->lock);
		if (zone->nr_dirty > keep)
			chain = take_dirty_blocks(zone, order, zone->nr_dirty - keep);
		mutex_unlock(&zone->lock);
		while ((pfn = chain) != NO_PFN) {
			chain = pfn_to_page(pfn)->next;
			ok = os->madvise(pfn_to_addr(pfn), PAGE_SIZE << order, MADV_DONTNEED) >= 0;
			purged += ok ? PAGE_SIZE << order : 0;
			mutex_lock(&zone->lock);
			free_one_page(zone, pfn, order, !ok);
			mutex_unlock(&zone->lock);
		}
	}
	return purged;
}

size_t mm_dirty_bytes(void)
{
	size_t bytes = READ_ONCE(arena_stats.dirty) << PAGEBLOCK_SHIFT;
	int nid;

	for_each_online_node (nid) {
		const struct zone *zone = &NODE_DATA(nid)->node_zones[ZONE_NORMAL];

		bytes += (READ_ONCE(zone->nr_dirty) + nr_pcp_pages(zone)) << PAGE_SHIFT;
	}
	return bytes;
}

size_t mm_used_bytes(void)
{
	size_t bytes = READ_ONCE(arena_stats.used) << PAGEBLOCK_SHIFT;
	int nid;

	for_each_online_node (nid)
		bytes -= READ_ONCE(NODE_DATA(nid)->node_zones[ZONE_NORMAL].nr_free_pages) << PAGE_SHIFT;
	return bytes;
}

unsigned long mm_trim(size_t keep)
{
	unsigned long bytes = 0;
	int nid;

	drain_all_pages();
	for_each_online_node (nid)
		zone_trim(&NODE_DATA(nid)->node_zones[ZONE_NORMAL], 0);
	bytes += arena_purge(keep >> PAGEBLOCK_SHIFT, ~0U, false) << PAGEBLOCK_SHIFT;
	if (keep < PAGEBLOCK_SIZE)
		for_each_online_node (nid)
			bytes += zone_purge(&NODE_DATA(nid)->node_zones[ZONE_NORMAL], 0, 0);
	return bytes;
}
