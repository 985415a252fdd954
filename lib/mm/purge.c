/* SPDX-License-Identifier: MIT */
/*
 * Giving back: pageblocks that are wholly free go from the zones to the arenas (those below 4 GiB to the system), dirty
 * free blocks back to the system.
 */
#include <sys/mman.h>

#include "base/tunables.h"
#include "mm/arena.h"
#include "mm/budget.h"
#include "mm/current.h"
#include "mm/exact.h"
#include "mm/hugetlb.h"
#include "mm/internal.h"
#include "mm/kswapd.h"
#include "mm/lowmem.h"
#include "mm/page_alloc.h"
#include "mm/settle.h"
#include "os/os.h"

/* Wholly free pageblocks that a zone keeps, so that a slab, or a block of order 10, coming and going does not reach the
 * arenas. */
#define ZONE_KEEP_BLOCKS 2UL

/* Dirty free pages may be half of those in use; smaller blocks than this order are not worth a system call, but where
 * twice as much is dirty as in use: so little splits what is free that it will hardly join. */
#define ZONE_DIRTY_SHARE 2
#define ZONE_PURGE_ORDER 4
#define ZONE_PURGE_ORDER_LOW 2
#define ZONE_DIRTY_MOSTLY 2
/* Beyond that may stay what was missed: so many times dirty_max, or the least that is in use. */
#define ZONE_SLACK_MAX 3
#define ZONE_SLACK_SHARE 3

#define ZONE_DECAY_STEP (2 * MiB >> PAGE_SHIFT) /* goes at a time of what was idle */

unsigned long mm_released;
unsigned long mm_unused_pages;
unsigned long mm_kept_bytes;
bool (*mm_drop_kept)(void);

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
#define PURGE_STEP_NS 500000U	 /* of a CPU, that a free takes for giving back */
#define PURGE_STEP_PAGES 256UL

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

/* Dirty free blocks of the order, until that is as many pages as wanted or enough for a batch. The zone lock is held. */
static void take_dirty_blocks(struct zone *zone, struct purge_batch *batch, unsigned long most)
{
	const struct free_area *area = &zone->free_area[batch->order];
	uint32_t pfn, next;
	unsigned int mt;

	batch->nr = 0;
	for (mt = 0; mt < MIGRATE_ISOLATE; mt++) /* what is isolated is somebody's already */
		for (pfn = area->free_list[mt]; pfn != NO_PFN && area->nr_dirty; pfn = next) {
			struct page *page = pfn_to_page(pfn);

			if (batch->nr == PURGE_BATCH || (unsigned long)batch->nr << batch->order >= most)
				return;
			next = page->next;
			if (!(page->flags & PG_DIRTY) || block_is_hugetlb(pfn_to_block(pfn)))
				continue;
			if (batch->nr && !can_spare(zone, 1UL << batch->order))
				return;
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

/* Until the thread has run for so long, 0: however long it takes. *over: there was more to do then. Bytes. */
static unsigned long zone_purge_until(struct zone *zone, unsigned int min_order, unsigned long keep, uint64_t until,
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

static unsigned long used_pages(const struct zone *zone)
{
	return READ_ONCE(zone->managed_pages) - READ_ONCE(zone->nr_free_pages);
}

/* Dirty pages that the free blocks of a zone may hold: as much as is kept anyway, a share of what is in use and not free
 * inside of slabs, and what was given back in vain. *scarce: less, as that is too much for a limit. */
static unsigned long zone_dirty_limit(const struct zone *zone, bool *scarce)
{
	unsigned long used = used_pages(zone), filled = used - min_ul(used, READ_ONCE(mm_unused_pages)), limit, wanted;

	wanted = (dirty_max_for(filled << PAGE_SHIFT) >> PAGE_SHIFT) + filled / ZONE_DIRTY_SHARE +
		 regret_slack(&zone->regret, used);
	limit = wanted;
	if (unlikely(READ_ONCE(limits_in_force))) {
		/* Others in the cgroup may want what lies free here, though this zone's own use does not change. */
		budget_poll_slow();
		limit = budget_keep_resident(limit << PAGE_SHIFT, READ_ONCE(zone->nr_dirty) << PAGE_SHIFT) >> PAGE_SHIFT;
	}
	*scarce = limit < wanted;
	return limit - min_ul(limit, exact_lists_excess() + mm_kept_pages());
}

static unsigned long clean_pages(const struct zone *zone)
{
	unsigned long nr_free = READ_ONCE(zone->nr_free_pages);

	return nr_free - min_ul(nr_free, READ_ONCE(zone->nr_dirty));
}

static unsigned long most_slack(const struct zone *zone)
{
	return max_ul((READ_ONCE(tunables.dirty_max) >> PAGE_SHIFT) * ZONE_SLACK_MAX,
		      READ_ONCE(zone->regret.least) * ZONE_SLACK_SHARE);
}

/* What went and was soon wanted again was given back in vain: so much more may be dirty from now on, within bounds. True:
 * that is more than it was, and ends what goes in steps. */
static bool zone_regret(struct zone *zone)
{
	unsigned long left = READ_ONCE(zone->clean_left), clean = min_ul(left, clean_pages(zone)),
		      purged = READ_ONCE(zone->purged), used = used_pages(zone),
		      before = regret_slack(&zone->regret, used),
		      vain = min_ul(min_ul(left - clean, purged), regret_rise(&zone->regret, used));

	if ((uint32_t)os_clock_ms() - READ_ONCE(zone->purge_stamp) >= READ_ONCE(tunables.dirty_decay))
		vain = purged = 0;
	WRITE_ONCE(zone->purged, purged - vain);
	WRITE_ONCE(zone->clean_left, clean);
	if (vain)
		regret_more(&zone->regret, vain, most_slack(zone));
	if (regret_slack(&zone->regret, used) <= before)
		return false;
	WRITE_ONCE(zone->purge_goal, 0);
	return true;
}

static unsigned long purge_goal(unsigned long limit)
{
	return limit - min_ul(limit / 4, READ_ONCE(tunables.dirty_max) >> PAGE_SHIFT);
}

static unsigned int purge_order(const struct zone *zone)
{
	return READ_ONCE(zone->nr_dirty) / ZONE_DIRTY_MOSTLY > used_pages(zone) ? ZONE_PURGE_ORDER_LOW : ZONE_PURGE_ORDER;
}

/* Dirty pages that are not in small blocks. */
static unsigned long worth_purging(const struct zone *zone)
{
	unsigned long nr = 0;
	unsigned int order;

	for (order = purge_order(zone); order < MAX_ORDER; order++)
		nr += READ_ONCE(zone->free_area[order].nr_dirty) << order;
	return nr;
}

/* More is dirty than the limit: down to well below it, so that the next free is not over it again. Near the end of memory,
 * and by kswapd, at once; else in steps, so that no free takes long: the next ones go on with it. */
static cold void zone_purge_excess(struct zone *zone, unsigned long limit, bool scarce)
{
	unsigned long dirty = READ_ONCE(zone->nr_dirty), goal = READ_ONCE(zone->purge_goal), left;
	uint64_t until = 0;
	bool over;

	if (!scarce) {
		if (zone_regret(zone))
			return;
		if (kswapd_gives_back(dirty, limit))
			return;
	}
	if (!scarce && !(current->flags & PF_KSWAPD))
		until = os->thread_clock_ns() + PURGE_STEP_NS;
	if (!goal || goal > limit)
		goal = purge_goal(limit);
	zone_purge_until(zone, purge_order(zone), goal, until, &over);
	left = READ_ONCE(zone->nr_dirty);
	WRITE_ONCE(zone->purge_goal, over && left > goal ? goal : 0);
	WRITE_ONCE(zone->purged, READ_ONCE(zone->purged) + dirty - min_ul(dirty, left));
	WRITE_ONCE(zone->clean_left, clean_pages(zone));
	regret_note_use(&zone->regret, used_pages(zone), true);
	WRITE_ONCE(zone->purge_stamp, (uint32_t)os_clock_ms());
}

void zone_forget_regret(struct zone *zone)
{
	uint32_t decay = (uint32_t)READ_ONCE(tunables.dirty_decay);

	if (!regret_forget(&zone->regret, &zone->purge_stamp, (uint32_t)os_clock_ms(), decay))
		return;
	WRITE_ONCE(zone->purged, 0);
	balance_zone(zone);
}

/* No more was idle through than is dirty now; a part of dirty_decay that is over makes room for the next one. */
static void note_dirty_low(struct zone *zone, unsigned long dirty, uint32_t decay, uint32_t now)
{
	unsigned long *low = zone->dirty_low;
	unsigned int i;

	WRITE_ONCE(low[0], min_ul(READ_ONCE(low[0]), dirty));
	if (now - READ_ONCE(zone->decay_stamp) < decay / DECAY_PARTS)
		return;
	WRITE_ONCE(zone->decay_stamp, now);
	for (i = ARRAY_SIZE(zone->dirty_low) - 1; i; i--)
		WRITE_ONCE(low[i], READ_ONCE(low[i - 1]));
	WRITE_ONCE(low[0], dirty);
}

/* The fewest pages that were dirty at any look of this part of dirty_decay and of those before were needed by nobody. */
static unsigned long idle_dirty(const struct zone *zone, unsigned long dirty)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(zone->dirty_low); i++)
		dirty = min_ul(dirty, READ_ONCE(zone->dirty_low[i]));
	return dirty;
}

/* One look at a zone. */
static void zone_decay(struct zone *zone, uint32_t decay, uint32_t now)
{
	unsigned long dirty = READ_ONCE(zone->nr_dirty), idle = idle_dirty(zone, dirty);

	zone_regret(zone);
	if (idle) {
		zone_purge(zone, 0, dirty - (current->flags & PF_KSWAPD ? idle : min_ul(idle, ZONE_DECAY_STEP)));
		dirty = min_ul(dirty, READ_ONCE(zone->nr_dirty));
	}
	note_dirty_low(zone, dirty, decay, now);
}

void idle_frees_begin(void)
{
	struct zone *zone;
	int i;

	current->flags |= PF_FREES_IDLE;
	for_each_zone (zone, i)
		WRITE_ONCE(zone->dirty_before, READ_ONCE(zone->nr_dirty));
}

void idle_frees_end(void)
{
	struct zone *zone;
	int i;

	current->flags &= ~PF_FREES_IDLE;
	for_each_zone (zone, i) {
		unsigned long before = READ_ONCE(zone->dirty_before), dirty = READ_ONCE(zone->nr_dirty), l;

		for (l = 0; dirty > before && l < ARRAY_SIZE(zone->dirty_low); l++)
			WRITE_ONCE(zone->dirty_low[l], READ_ONCE(zone->dirty_low[l]) + dirty - before);
	}
}

void zones_decay(uint32_t decay)
{
	uint32_t now = (uint32_t)os_clock_ms();
	struct zone *zone;
	int i;

	for_each_populated_zone (zone, i)
		zone_decay(zone, decay, now);
}

/* After a free: pageblocks that are wholly free beyond need go to the arenas, dirty pages beyond the limit back to
 * the system. */
void balance_zone(struct zone *zone)
{
	unsigned long limit, goal;
	bool scarce;

	if (unlikely(data_race(zone->nr_free_blocks) > ZONE_KEEP_BLOCKS))
		zone_trim(zone, ZONE_KEEP_BLOCKS);
	if (unlikely(clean_pages(zone) + PURGE_STEP_PAGES < READ_ONCE(zone->clean_left)) && READ_ONCE(zone->purged))
		zone_regret(zone);
	goal = READ_ONCE(zone->purge_goal);
	limit = zone_dirty_limit(zone, &scarce);
	regret_note_use(&zone->regret, used_pages(zone), false);
	if (unlikely(READ_ONCE(zone->nr_dirty) > min_ul(limit, goal - 1)) &&
	    (goal || worth_purging(zone) > limit - purge_goal(limit)))
		zone_purge_excess(zone, limit, scarce);
#ifdef BM_DEBUG
	check_zone(zone);
#endif
}

bool drop_kept_pages(struct zone *zone)
{
	bool dropped = READ_ONCE(exact_lists.nr_pages) && drain_exact_lists(zone, false);

	if (READ_ONCE(mm_kept_bytes) && mm_drop_kept && mm_drop_kept())
		dropped = true;
	return dropped;
}

void mm_balance(void)
{
	uint32_t decay = (uint32_t)READ_ONCE(tunables.dirty_decay);
	struct zone *zone;
	int i;

	for_each_populated_zone (zone, i)
		balance_zone(zone);
	arena_purge(arena_dirty_limit(), decay ? decay : ~0U, false);
}

size_t mm_dirty_bytes(void)
{
	size_t bytes = READ_ONCE(arena_stats.dirty) << PAGEBLOCK_SHIFT;
	struct zone *zone;
	int i;

	for_each_zone (zone, i)
		bytes += (READ_ONCE(zone->nr_dirty) + nr_pcp_pages(zone)) << PAGE_SHIFT;
	return bytes;
}

size_t mm_used_bytes(void)
{
	size_t bytes = (READ_ONCE(arena_stats.used) + lowmem_used()) << PAGEBLOCK_SHIFT;
	struct zone *zone;
	int i;

	for_each_zone (zone, i)
		bytes -= READ_ONCE(zone->nr_free_pages) << PAGE_SHIFT;
	return bytes;
}

unsigned long mm_blocks_on_the_way(void)
{
	unsigned long used = READ_ONCE(arena_stats.used) - READ_ONCE(arena_stats.huge), managed = 0;
	struct zone *zone;
	int i;

	for_each_zone (zone, i)
		if (zone->idx != ZONE_DMA32)
			managed += READ_ONCE(zone->managed_pages) >> PAGEBLOCK_ORDER;
	return used - min_ul(used, managed);
}

unsigned long mm_trim(size_t keep)
{
	unsigned long bytes = 0;
	struct zone *zone;
	int i;

	drain_all_pages();
	for_each_zone (zone, i)
		zone_trim(zone, 0);
	bytes += (arena_purge(keep >> PAGEBLOCK_SHIFT, ~0U, false) + hugetlb_trim(keep >> GIGANTIC_SHIFT)) << PAGEBLOCK_SHIFT;
	keep -= min_ul(keep, READ_ONCE(arena_stats.dirty) << PAGEBLOCK_SHIFT);
	for_each_zone (zone, i) {
		bytes += zone_purge(zone, 0, keep >> PAGE_SHIFT);
		keep -= min_ul(keep, READ_ONCE(zone->nr_dirty) << PAGE_SHIFT);
	}
	return bytes;
}
