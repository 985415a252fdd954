/* SPDX-License-Identifier: MIT */
/*
 * Isolation of pageblocks. A pageblock's type is changed under the zone lock, and its free pages change lists with it,
 * so from then on the free lists of the zone do not have them.
 */
#include "mm/page_isolation.h"

#include <errno.h>

#include "mm/buddy.h"
#include "mm/memory_hotplug.h"
#include "mm/pcp.h"

/* The words of a block at once, so that two owners cannot mix in it. It may be anybody's, who writes it as he likes:
 * ThreadSanitizer is not to look. */
static noinline __attribute__((__no_sanitize__("thread"))) struct page look_at_page(unsigned long pfn)
{
	return (struct page){ .word = READ_ONCE(pfn_to_page(pfn)->word) };
}

static enum block_use use_of(const struct page *seen)
{
	switch (seen->type) {
	case PAGE_BUDDY:
	case PAGE_GUARD: /* free as soon as the block beside it is */
		return BLOCK_FREE;
	case PAGE_HEAD:
		if (!seen->refcount) /* in a per-CPU list, or on its way back */
			return BLOCK_FREE;
		return seen->flags & PG_MOVABLE ? BLOCK_MOVABLE : BLOCK_FIXED;
	default:
		return BLOCK_FIXED;
	}
}

static bool same_zone(unsigned long pfn, unsigned long other)
{
	return smp_load_acquire(&pfn_to_block(other)->state) == PB_ZONE &&
	       READ_ONCE(pfn_to_block(pfn)->zone_id) == READ_ONCE(pfn_to_block(other)->zone_id);
}

struct block_seen look_at_block(unsigned long pfn)
{
	struct block_seen fixed = { pfn, 1, BLOCK_FIXED };
	struct page seen = look_at_page(pfn);
	unsigned long first = pfn;
	unsigned int order;

	/* Inside a block: its first page is where alignment says, and nothing but such pages lies in between. */
	for (order = 1; (seen.type == PAGE_NONE || seen.type == PAGE_TAIL) && order < MAX_ORDER; order++) {
		first = align_down(pfn, 1UL << order);
		if (!same_zone(pfn, first))
			return fixed;
		seen = look_at_page(first);
	}
	if (seen.order >= MAX_ORDER || !is_aligned(first, 1UL << seen.order) || first + (1UL << seen.order) <= pfn)
		return fixed;
	if (seen.type != PAGE_BUDDY && seen.type != PAGE_GUARD && seen.type != PAGE_HEAD)
		return fixed;
	return (struct block_seen){ first, 1UL << seen.order, use_of(&seen) };
}

static bool has_unmovable_pages(unsigned long start, unsigned long end)
{
	struct block_seen b;

	for (; start < end; start = b.pfn + b.nr) {
		b = look_at_block(start);
		if (b.use == BLOCK_FIXED)
			return true;
	}
	return false;
}

/* One pageblock, of which [start, end) is wanted. */
static int set_migratetype_isolate(struct zone *zone, unsigned long start, unsigned long end, enum migratetype mt)
{
	struct pageblock *block = pfn_to_block(start);
	int err = -EBUSY;

	mutex_lock(&zone->lock);
	/* It may have left the zone since the caller looked. */
	if (!pageblock_in_zone(zone, start))
		goto out;
	if (block->migratetype == MIGRATE_ISOLATE || block->migratetype == MIGRATE_HIGHATOMIC ||
	    (block->migratetype == MIGRATE_CMA) != (mt == MIGRATE_CMA))
		goto out;
	if (has_unmovable_pages(start, end))
		goto out;
	block->isolated_from = block->migratetype;
	move_freepages_block(zone, start, MIGRATE_ISOLATE);
	ADD_ONCE(zone->nr_isolate_blocks, 1);
	err = 0;
out:
	mutex_unlock(&zone->lock);
	return err;
}

static void unset_migratetype_isolate(struct zone *zone, unsigned long pfn)
{
	mutex_lock(&zone->lock);
	if (get_pageblock_migratetype(pfn) == MIGRATE_ISOLATE) {
		move_freepages_block(zone, pfn, (enum migratetype)pfn_to_block(pfn)->isolated_from);
		ADD_ONCE(zone->nr_isolate_blocks, -1);
	}
	mutex_unlock(&zone->lock);
}

void unset_isolated_blocks(struct zone *zone, unsigned long start, unsigned long end)
{
	unsigned long pfn;

	for (pfn = align_down(start, PAGEBLOCK_PAGES); pfn < end; pfn += PAGEBLOCK_PAGES)
		unset_migratetype_isolate(zone, pfn);
}

void online_isolated_blocks(struct zone *zone, unsigned long pb, unsigned long nr, enum migratetype mt, bool dirty)
{
	unsigned long i;

	for (i = pb; i < pb + nr; i++)
		pfn_to_block(i << PAGEBLOCK_ORDER)->isolated_from = (uint8_t)mt;
	zone_online_blocks(zone, pb, nr, MIGRATE_ISOLATE, dirty);
}

int start_isolate_page_range(unsigned long start, unsigned long end, enum migratetype mt)
{
	unsigned long pfn, next;
	struct zone *zone;

	/* The zone's number is valid once this is. */
	if (smp_load_acquire(&pfn_to_block(start)->state) != PB_ZONE)
		return -EBUSY;
	zone = pfn_to_zone(start);
	zone_pcp_disable(zone);
	for (pfn = start; pfn < end; pfn = next) {
		next = min_ul(align_down(pfn, PAGEBLOCK_PAGES) + PAGEBLOCK_PAGES, end);
		if (set_migratetype_isolate(zone, pfn, next, mt)) {
			if (pfn > start)
				unset_isolated_blocks(zone, start, pfn);
			zone_pcp_enable(zone);
			return -EBUSY;
		}
	}
	return 0;
}

void undo_isolate_page_range(unsigned long start, unsigned long end)
{
	struct zone *zone = pfn_to_zone(start);

	unset_isolated_blocks(zone, start, end);
	zone_pcp_enable(zone);
}

int test_pages_isolated(unsigned long start, unsigned long end)
{
	struct zone *zone = pfn_to_zone(start);
	unsigned long pfn = start;

	mutex_lock(&zone->lock);
	while (pfn < end) {
		struct block_seen b = look_at_block(pfn);

		if (page_type(pfn_to_page(b.pfn)) != PAGE_BUDDY)
			break;
		pfn = b.pfn + b.nr;
	}
	mutex_unlock(&zone->lock);
	return pfn < end ? -EBUSY : 0;
}

void isolation_reinit_after_fork(void)
{
	struct zone *zone;
	unsigned long pfn;
	int i;

	for_each_zone (zone, i)
		for (pfn = zone->zone_start_pfn; zone->nr_isolate_blocks && pfn < zone->zone_end_pfn;
		     pfn += PAGEBLOCK_PAGES)
			if (pfn_online(pfn) && pageblock_in_zone(zone, pfn))
				unset_migratetype_isolate(zone, pfn);
	for_each_zone (zone, i)
		while (zone->pcp_disabled)
			zone_pcp_enable(zone);
}
