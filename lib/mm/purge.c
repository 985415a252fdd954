/* SPDX-License-Identifier: MIT */
/*
 * Giving back: pageblocks that are wholly free go from the zones to the arenas (those below 4 GiB to the system), dirty
 * free blocks back to the system. How much, and when, is said by balance.c.
 */
#include <sys/mman.h>

#include "mm/arena.h"
#include "mm/balance.h"
#include "mm/balance_inner.h"
#include "mm/buddy.h"
#include "mm/budget.h"
#include "mm/current.h"
#include "mm/hugetlb.h"
#include "mm/internal.h"
#include "mm/lowmem.h"
#include "mm/pcp.h"
#include "mm/settle.h"
#include "os/os.h"

unsigned long mm_released;

/* Does the zone keep its high mark without so many pages? What is above it alone may go. */
static bool can_offline(const struct zone *zone, unsigned int order)
{
	unsigned long high = READ_ONCE(zone->watermark[WMARK_HIGH]);

	/* Under a limit what it could grow by counts as much as what it has. */
	return !high || READ_ONCE(limits_in_force) || zone->nr_free_pages >= high + (1UL << order);
}

/* A wholly free block comes off the lists: the largest, or no more than one pageblock if the high mark forbids that.
 * Its order, 0: none may go. */
static unsigned int take_offline_block(struct zone *zone, enum migratetype mt, unsigned long *pfn, bool *dirty)
{
	uint32_t large = zone->free_area[MAX_ORDER - 1].free_list[mt],
		 small = zone->free_area[PAGEBLOCK_ORDER].free_list[mt];
	bool one = !can_offline(zone, MAX_ORDER - 1);
	unsigned int order;

	if (one && !can_offline(zone, PAGEBLOCK_ORDER))
		return 0;
	*pfn = large == NO_PFN || (one && small != NO_PFN) ? small : large;
	if (*pfn == NO_PFN)
		return 0;
	order = pfn_to_page(*pfn)->order;
	*dirty = pfn_to_page(*pfn)->flags & PG_DIRTY;
	del_page_from_free_list(zone, pfn_to_page(*pfn));
	if (one && order > PAGEBLOCK_ORDER)
		free_one_page(zone, *pfn + PAGEBLOCK_PAGES, --order, *dirty);
	return order;
}

/* Take one wholly free block off the zone; its order, 0 when there is none. */
static unsigned int offline_free_block(struct zone *zone, unsigned long keep, unsigned long *pfn, bool *dirty)
{
	unsigned int order = 0, mt;
	unsigned long at;

	mutex_lock(&zone->lock);
	for (mt = 0; mt < MIGRATE_PCPTYPES && zone->nr_free_blocks > keep && !order; mt++) {
		order = take_offline_block(zone, mt, pfn, dirty);
		if (!order)
			continue;
		for (at = *pfn; at < *pfn + (1UL << order); at += PAGEBLOCK_PAGES)
			WRITE_ONCE(pfn_to_block(at)->state, PB_OFFLINE);
		ADD_ONCE(zone->managed_pages, -(1UL << order));
		ADD_ONCE(zone->nr_given_back, 1UL << (order - PAGEBLOCK_ORDER));
		if (!*dirty)
			zone_clean_trimmed(zone, 1UL << order);
	}
	mutex_unlock(&zone->lock);
	if (order && unlikely(READ_ONCE(min_free_kbytes)))
		setup_per_zone_wmarks();
	if (order && unlikely(READ_ONCE(percpu_pagelist_high_fraction)))
		zone_set_pageset_high(zone);
	return order;
}

void zone_give_back(const struct zone *zone, unsigned long pb, unsigned long nr, bool dirty)
{
	if (unlikely(zone->idx == ZONE_DMA32))
		lowmem_free(pb, nr);
	else
		arena_free(pb, nr, dirty);
}

void zone_trim(struct zone *zone, unsigned long keep)
{
	unsigned long pfn;
	unsigned int order;
	bool dirty;

	/* The arenas keep what they get, if need be; what lies below 4 GiB is unmapped. */
	if (unlikely(zone->idx == ZONE_DMA32 && current->flags & PF_MEMALLOC_NOIO))
		return;
	while ((order = offline_free_block(zone, keep, &pfn, &dirty)))
		zone_give_back(zone, pfn >> PAGEBLOCK_ORDER, 1UL << (order - PAGEBLOCK_ORDER), dirty);
}

/*
 * Blocks that are being given back are in no free list meanwhile, but on one of the zone's own, so that a fork finds
 * them: their threads do not come along. No more are taken at once than others can do without.
 */
#define PURGE_BATCH 32U		 /* blocks, and */
#define PURGE_BATCH_PAGES 1024UL /* pages; fewer where the time is looked at in between */

struct purge_batch {
	unsigned int nr, order;
	uint32_t pfn[PURGE_BATCH];
};

/* Near the marks others would find too little meanwhile, and reclaim: one block at a time goes there. The zone lock is
 * held. */
static bool can_spare(const struct zone *zone, unsigned long nr)
{
	unsigned long low = wmark_pages(zone, ALLOC_WMARK_LOW);

	return likely(!low) ||
	       zone_watermark_ok_pages(zone, 0, low, zone->idx, ALLOC_WMARK_LOW, zone->nr_free_pages - nr);
}

/* Dirty free blocks of the order, until that is as many pages as wanted or enough for a batch. The zone lock is held.
 */
static void take_dirty_blocks(struct zone *zone, struct purge_batch *batch, unsigned long most)
{
	const struct free_area *area = &zone->free_area[batch->order];
	uint32_t pfn, next;
	unsigned int mt;

	batch->nr = 0;
	if (!can_spare(zone, min_ul(most, (unsigned long)PURGE_BATCH << batch->order)))
		most = 1;
	for (mt = 0; mt < MIGRATE_ISOLATE; mt++) /* what is isolated is somebody's already */
		for (pfn = area->free_list[mt]; pfn != NO_PFN && area->nr_dirty; pfn = next) {
			struct page *page = pfn_to_page(pfn);

			if (batch->nr == PURGE_BATCH || (unsigned long)batch->nr << batch->order >= most)
				return;
			next = page->next;
			if (!(page->flags & PG_DIRTY) || block_is_hugetlb(pfn_to_block(pfn)))
				continue;
			del_page_from_free_list(zone, page);
			page_list_add(&zone->purging, page);
			unsettle_pages(pfn, 1UL << batch->order);
			batch->pfn[batch->nr++] = pfn;
		}
}

/* The zone lock is held. */
static void put_back(struct zone *zone, uint32_t pfn, unsigned int order, bool dirty)
{
	page_list_del(&zone->purging, pfn_to_page(pfn));
	free_one_page(zone, pfn, order, dirty);
}

unsigned long mm_resident(void *addr, size_t len)
{
	return current->flags & PF_COUNT_RESIDENT ? os_resident(addr, len) : len;
}

/* A batch; false: the system refuses. *bytes: given back. */
static bool purge_batch(struct zone *zone, const struct purge_batch *batch, unsigned long *bytes)
{
	size_t size = PAGE_SIZE << batch->order;
	unsigned int i, done;

	for (done = 0; done < batch->nr; done++) {
		void *addr = pfn_to_addr(batch->pfn[done]);
		unsigned long resident = mm_resident(addr, size);

		if (os->madvise(addr, size, MADV_DONTNEED) < 0)
			break;
		atomic_add_return(&mm_released, resident);
	}
	mutex_lock(&zone->lock);
	for (i = 0; i < batch->nr; i++)
		put_back(zone, batch->pfn[i], batch->order, i >= done);
	mutex_unlock(&zone->lock);
	*bytes += done * size;
	return done == batch->nr;
}

unsigned long zone_purge_until(struct zone *zone, unsigned int min_order, unsigned long keep, uint64_t until,
			       bool *over)
{
	struct purge_batch batch;
	unsigned long purged = 0, left = READ_ONCE(zone->nr_dirty); /* others may free as fast as this gives back */
	unsigned long most = until ? PURGE_STEP_PAGES : PURGE_BATCH_PAGES;
	bool ok = true;

	*over = false;
	if (unlikely(current->flags & PF_MEMALLOC_NOIO))
		return 0;
	/* The system gives back whole pages of its own, which may be larger than ours. */
	min_order = (unsigned int)max_ul(min_order, order_for_pages(size_to_pages(os_page_size())));
	for (batch.order = MAX_ORDER; ok && !*over && batch.order-- > min_order;)
		do {
			batch.nr = 0;
			mutex_lock(&zone->lock);
			if (zone->nr_dirty > keep)
				take_dirty_blocks(zone, &batch, min_ul(min_ul(zone->nr_dirty - keep, left), most));
			mutex_unlock(&zone->lock);
			left -= min_ul(left, (unsigned long)batch.nr << batch.order);
			if (!batch.nr)
				break;
			ok = purge_batch(zone, &batch, &purged);
			*over = ok && until && os->thread_clock_ns() >= until;
		} while (ok && !*over);
	return purged;
}

unsigned long zone_purge(struct zone *zone, unsigned int min_order, unsigned long keep)
{
	bool over;

	return zone_purge_until(zone, min_order, keep, 0, &over);
}

void purge_reinit_after_fork(void)
{
	struct zone *zone;
	int i;

	for_each_zone (zone, i)
		while (zone->purging != NO_PFN)
			put_back(zone, zone->purging, pfn_to_page(zone->purging)->order, true);
}

unsigned long mm_trim(size_t keep)
{
	unsigned long bytes = 0;
	struct zone *zone;
	int i;

	drain_all_pages();
	for_each_zone (zone, i)
		zone_trim(zone, 0);
	bytes += (arena_purge(keep >> PAGEBLOCK_SHIFT, ~0U, false) + hugetlb_trim(keep >> GIGANTIC_SHIFT))
		 << PAGEBLOCK_SHIFT;
	keep -= min_ul(keep, READ_ONCE(arena_stats.dirty) << PAGEBLOCK_SHIFT);
	for_each_zone (zone, i) {
		bytes += zone_purge(zone, 0, keep >> PAGE_SHIFT);
		keep -= min_ul(keep, READ_ONCE(zone->nr_dirty) << PAGE_SHIFT);
	}
	return bytes;
}
