/* SPDX-License-Identifier: MIT */
/*
 * When a zone is compacted, how far, and when that is put off. The scanners are in compact_scan.c.
 */
#include "mm/compaction.h"

#include <errno.h>

#include "mm/arena.h"
#include "mm/buddy.h"
#include "mm/compact_scan.h"
#include "mm/current.h"
#include "mm/internal.h"
#include "mm/migrate.h"
#include "mm/page_alloc.h"
#include "mm/pcp.h"
#include "mm/vmscan.h"
#include "mm/vmstat.h"

/* Free pages that a pageblock may have and still be worth a hugepage: they become resident. */
#define COLLAPSE_MAX_FREE (PAGEBLOCK_PAGES / 16)

unsigned long sysctl_extfrag_threshold = 500;

struct contig_page_info {
	unsigned long free_pages, free_blocks_total, free_blocks_suitable;
};

static void fill_contig_page_info(const struct zone *zone, unsigned int suitable_order, struct contig_page_info *info)
{
	unsigned int order;

	*info = (struct contig_page_info){ 0 };
	for (order = 0; order < MAX_ORDER; order++) {
		unsigned long blocks = READ_ONCE(zone->free_area[order].nr_free);

		info->free_blocks_total += blocks;
		info->free_pages += blocks << order;
		if (order >= suitable_order)
			info->free_blocks_suitable += blocks << (order - suitable_order);
	}
}

int fragmentation_index(const struct zone *zone, unsigned int order)
{
	struct contig_page_info info;

	if (order >= MAX_ORDER)
		return 0;
	fill_contig_page_info(zone, order, &info);
	if (!info.free_blocks_total)
		return 0;
	if (info.free_blocks_suitable)
		return -1000;
	/* 0: as many blocks as would make up one of the order if they were of it; the more there are, the nearer to 1.
	 */
	return 1000 - (int)((1000 + info.free_pages * 1000 / (1UL << order)) / info.free_blocks_total);
}

int unusable_free_index(const struct zone *zone, unsigned int order)
{
	struct contig_page_info info;

	fill_contig_page_info(zone, order, &info);
	if (!info.free_pages)
		return 1000;
	return (int)((info.free_pages - (info.free_blocks_suitable << order)) * 1000 / info.free_pages);
}

void defer_compaction(struct zone *zone, int order)
{
	WRITE_ONCE(zone->compact_considered, 0);
	if (READ_ONCE(zone->compact_defer_shift) < COMPACT_MAX_DEFER_SHIFT)
		WRITE_ONCE(zone->compact_defer_shift, READ_ONCE(zone->compact_defer_shift) + 1);
	if (order < READ_ONCE(zone->compact_order_failed))
		WRITE_ONCE(zone->compact_order_failed, order);
}

bool compaction_deferred(struct zone *zone, int order)
{
	unsigned int limit = 1U << READ_ONCE(zone->compact_defer_shift);
	unsigned int considered = READ_ONCE(zone->compact_considered) + 1;

	if (order < READ_ONCE(zone->compact_order_failed))
		return false;
	WRITE_ONCE(zone->compact_considered, considered < limit ? considered : limit);
	return considered < limit;
}

void compaction_defer_reset(struct zone *zone, int order, bool alloc_success)
{
	if (alloc_success) {
		WRITE_ONCE(zone->compact_considered, 0);
		WRITE_ONCE(zone->compact_defer_shift, 0);
	}
	if (order >= READ_ONCE(zone->compact_order_failed))
		WRITE_ONCE(zone->compact_order_failed, order + 1);
}

/* It was put off for as long as can be: what was found then is worth nothing now. */
static bool compaction_restarting(const struct zone *zone, int order)
{
	return order >= READ_ONCE(zone->compact_order_failed) &&
	       READ_ONCE(zone->compact_defer_shift) == COMPACT_MAX_DEFER_SHIFT &&
	       READ_ONCE(zone->compact_considered) >= 1U << COMPACT_MAX_DEFER_SHIFT;
}

/* If free_pages were free: SUCCESS without compaction, CONTINUE with it, SKIPPED for want of memory. */
static enum compact_result suitable_with(const struct zone *zone, unsigned int order, unsigned int alloc_flags,
					 enum zone_type highest_zoneidx, unsigned long free_pages)
{
	unsigned int mark = order > PAGE_ALLOC_COSTLY_ORDER ? ALLOC_WMARK_LOW : ALLOC_WMARK_MIN;

	if (zone_watermark_ok(zone, order, wmark_pages(zone, alloc_flags), highest_zoneidx, alloc_flags))
		return COMPACT_SUCCESS;
	/* Targets may lie in CMA areas whatever the request: what is moved is movable. */
	if (!zone_watermark_ok_pages(zone, 0, wmark_pages(zone, mark) + compact_gap(order), highest_zoneidx, ALLOC_CMA,
				     free_pages))
		return COMPACT_SKIPPED;
	return COMPACT_CONTINUE;
}

enum compact_result compaction_suitable(const struct zone *zone, unsigned int order, unsigned int alloc_flags,
					enum zone_type highest_zoneidx)
{
	enum compact_result ret =
		suitable_with(zone, order, alloc_flags, highest_zoneidx, READ_ONCE(zone->nr_free_pages));
	int index;

	if (ret != COMPACT_CONTINUE || order <= PAGE_ALLOC_COSTLY_ORDER)
		return ret;
	/* Were it for want of memory, reclaim would be the help; and a large block is not worth both. */
	index = fragmentation_index(zone, order);
	return index >= 0 && index <= (int)READ_ONCE(sysctl_extfrag_threshold) ? COMPACT_SKIPPED : COMPACT_CONTINUE;
}

bool compaction_zonelist_suitable(const struct alloc_context *ac, unsigned int order, unsigned int alloc_flags)
{
	struct zone *zone, **z;

	for_each_zone_of (zone, z, ac) {
		/* The higher the order, the less of what is reclaimed will lie where it helps. */
		unsigned long available = zone_reclaimable_pages(zone) / max_ul(order, 1);

		available += READ_ONCE(zone->nr_free_pages);
		if (suitable_with(zone, order, alloc_flags, ac->highest_zoneidx, available) != COMPACT_SKIPPED)
			return true;
	}
	return false;
}

/* Can the request be served by a block of this order, without spoiling a pageblock? The zone is locked. */
static bool suitable_block(const struct compact_control *cc, unsigned int order)
{
	const uint32_t *lists = cc->zone->free_area[order].free_list;
	bool can_steal;

	if (lists[cc->migratetype] != NO_PFN)
		return true;
	if (cc->migratetype == MIGRATE_MOVABLE && lists[MIGRATE_CMA] != NO_PFN)
		return true;
	if (find_suitable_fallback(cc->zone, order, cc->migratetype, true, &can_steal) == MIGRATE_TYPES)
		return false;
	/* A pageblock that is claimed for what stays should be emptied as far as it goes. */
	return cc->migratetype == MIGRATE_MOVABLE || cc->mode == MIGRATE_ASYNC ||
	       is_aligned(cc->migrate_pfn, PAGEBLOCK_PAGES);
}

static bool compact_served(const struct compact_control *cc)
{
	struct zone *zone = cc->zone;
	unsigned int order = (unsigned int)cc->order;
	bool served = false;

	if (!zone_watermark_ok(zone, order, wmark_pages(zone, cc->alloc_flags), cc->highest_zoneidx, cc->alloc_flags))
		return false;
	mutex_lock(&zone->lock);
	for (; order < MAX_ORDER && !served; order++)
		served = suitable_block(cc, order);
	mutex_unlock(&zone->lock);
	return served;
}

/* After each round: is this the end? */
static enum compact_result compact_finished(struct compact_control *cc)
{
	struct zone *zone = cc->zone;

	if (compact_scanners_met(cc)) {
		WRITE_ONCE(zone->compact_cached_migrate_pfn[0], READ_ONCE(zone->zone_start_pfn));
		WRITE_ONCE(zone->compact_cached_migrate_pfn[1], READ_ONCE(zone->zone_start_pfn));
		WRITE_ONCE(zone->compact_cached_free_pfn, READ_ONCE(zone->zone_end_pfn) - PAGEBLOCK_PAGES);
		/* The kernel leaves it to kswapd, when it goes to sleep, to forget what was passed over; here there may
		 * be none: the next one does. */
		if (cc->direct_compaction)
			WRITE_ONCE(zone->compact_blockskip_flush, true);
		return cc->whole_zone ? COMPACT_COMPLETE : COMPACT_PARTIAL_SKIPPED;
	}
	if (cc->contended)
		return COMPACT_CONTENDED;
	if (cc->order < 0)
		return COMPACT_CONTINUE;
	return compact_served(cc) ? COMPACT_SUCCESS : COMPACT_CONTINUE;
}

static void putback_movable_pages(struct compact_control *cc, unsigned int from)
{
	for (; from < cc->nr_blocks; from++)
		putback_movable_page(cc->migratepages[from]);
	cc->nr_blocks = 0;
	cc->nr_migratepages = 0;
}

/* Move what is isolated; blocks that would not be moved, all of them back in their place. *nomem: for want of pages. */
static unsigned int migrate_pages(struct compact_control *cc, bool *nomem)
{
	unsigned int i, failed = 0;

	*nomem = false;
	for (i = 0; i < cc->nr_blocks; i++) {
		struct page *src = cc->migratepages[i];
		unsigned int order = src->order;
		struct page *dst = compaction_alloc(cc, order);
		int err;

		if (!dst && !cc->nr_freepages) {
			*nomem = true;
			failed += cc->nr_blocks - i;
			break;
		}
		cc->nr_migratepages -= 1UL << order;
		if (!dst) {
			putback_movable_page(src);
			failed++;
			continue;
		}
		err = migrate_page(dst, src, cc->mode);
		if (err)
			free_pages(dst, order);
		else
			cc->moved += 1UL << order;
		failed += err && err != -ENOENT;
	}
	putback_movable_pages(cc, i);
	return failed;
}

/* Where the scanners begin: where the last ones stopped, or at the ends. */
static void compact_start(struct compact_control *cc)
{
	struct zone *zone = cc->zone;
	unsigned long start = READ_ONCE(zone->zone_start_pfn), end = READ_ONCE(zone->zone_end_pfn);

	cc->migrate_pfn = READ_ONCE(zone->compact_cached_migrate_pfn[cc->mode != MIGRATE_ASYNC]);
	cc->free_pfn = align_down(READ_ONCE(zone->compact_cached_free_pfn), PAGEBLOCK_PAGES);
	if (cc->whole_zone || cc->migrate_pfn < start || cc->migrate_pfn >= end) {
		cc->migrate_pfn = start;
		WRITE_ONCE(zone->compact_cached_migrate_pfn[0], start);
		WRITE_ONCE(zone->compact_cached_migrate_pfn[1], start);
	}
	if (cc->whole_zone || cc->free_pfn < start || cc->free_pfn >= end) {
		cc->free_pfn = end - PAGEBLOCK_PAGES;
		WRITE_ONCE(zone->compact_cached_free_pfn, cc->free_pfn);
	}
	if (cc->migrate_pfn == start)
		cc->whole_zone = true;
}

/* Blocks that were moved leave their pages in per-CPU lists, where they join with nothing: bring them back once all of
 * a block of the order was passed. */
static void drain_after(struct compact_control *cc, unsigned long *last_migrated_pfn)
{
	unsigned long block = 1UL << (cc->order < 0 ? PAGEBLOCK_ORDER : (unsigned int)cc->order);

	if (!*last_migrated_pfn || *last_migrated_pfn >= align_down(cc->migrate_pfn, block))
		return;
	drain_zone_pages(cc->zone);
	*last_migrated_pfn = 0;
}

static enum compact_result compact_rounds(struct compact_control *cc)
{
	unsigned long last_migrated_pfn = 0;
	enum compact_result ret;

	while ((ret = compact_finished(cc)) == COMPACT_CONTINUE) {
		unsigned long start_pfn = cc->migrate_pfn;
		enum isolate_migrate isolated = isolate_migratepages(cc);
		unsigned int failed;
		bool nomem;

		if (isolated == ISOLATE_SUCCESS) {
			last_migrated_pfn = start_pfn;
			failed = migrate_pages(cc, &nomem);
			if (nomem && !compact_scanners_met(cc)) {
				ret = COMPACT_CONTENDED;
				break;
			}
			/* One that stays spoils the block of the order that it lies in. */
			if (failed && cc->direct_compaction && cc->mode == MIGRATE_ASYNC) {
				cc->migrate_pfn = min_ul(align_up(cc->migrate_pfn, 1UL << cc->order), cc->free_pfn);
				last_migrated_pfn = 0;
			}
		}
		drain_after(cc, &last_migrated_pfn);
	}
	if (last_migrated_pfn)
		drain_zone_pages(cc->zone);
	return ret;
}

static enum compact_result compact_zone(struct compact_control *cc)
{
	struct zone *zone = cc->zone;
	enum compact_result ret;
	unsigned long free_pfn;

	if (cc->order >= 0) {
		ret = compaction_suitable(zone, (unsigned int)cc->order, cc->alloc_flags, cc->highest_zoneidx);
		if (ret != COMPACT_CONTINUE)
			return ret;
	}
	if (READ_ONCE(zone->compact_blockskip_flush) || compaction_restarting(zone, cc->order))
		reset_isolation_suitable(zone);
	compact_start(cc);
	/* What lies in per-CPU lists is in the way. */
	if (cc->mode != MIGRATE_ASYNC)
		drain_zone_pages(zone);
	ret = compact_rounds(cc);
	/* The next one shall find again what we did not need. */
	free_pfn = align_down(release_freepages(cc), PAGEBLOCK_PAGES);
	if (free_pfn > READ_ONCE(zone->compact_cached_free_pfn))
		WRITE_ONCE(zone->compact_cached_free_pfn, free_pfn);
	count_vm_events(COMPACTMIGRATE_SCANNED, cc->migrate_scanned);
	count_vm_events(COMPACTFREE_SCANNED, cc->free_scanned);
	count_vm_events(COMPACTISOLATED, cc->isolated);
	return ret;
}

static enum compact_result compact_zone_order(struct zone *zone, unsigned int order, unsigned int alloc_flags,
					      const struct alloc_context *ac, enum compact_priority prio)
{
	struct compact_control cc = {
		.zone = zone,
		.order = (int)order,
		.migratetype = ac->migratetype,
		.alloc_flags = alloc_flags,
		.highest_zoneidx = ac->highest_zoneidx,
		.mode = prio == COMPACT_PRIO_ASYNC ? MIGRATE_ASYNC : MIGRATE_SYNC_LIGHT,
		.direct_compaction = true,
		.whole_zone = prio == MIN_COMPACT_PRIORITY,
		.ignore_skip_hint = prio == MIN_COMPACT_PRIORITY,
		.ignore_block_suitable = prio == MIN_COMPACT_PRIORITY,
	};

	return compact_zone(&cc);
}

enum compact_result try_to_compact_pages(gfp_t gfp, unsigned int order, unsigned int alloc_flags,
					 const struct alloc_context *ac, enum compact_priority prio)
{
	enum compact_result best = COMPACT_SKIPPED;
	struct zone *zone, **z;

	/* To move a block is to call its user, who may need what the caller holds. */
	if (!(gfp & GFP_FS))
		return COMPACT_SKIPPED;
	for_each_zone_of (zone, z, ac) {
		enum compact_result status = COMPACT_DEFERRED;

		if (!populated_zone(zone))
			continue;
		if (prio > MIN_COMPACT_PRIORITY && compaction_deferred(zone, (int)order)) {
			best = status > best ? status : best;
			continue;
		}
		status = compact_zone_order(zone, order, alloc_flags, ac, prio);
		best = status > best ? status : best;
		if (status == COMPACT_SUCCESS) {
			/* It is not known yet whether the allocation will have it. */
			compaction_defer_reset(zone, (int)order, false);
			break;
		}
		/* All was done that can be: not soon again. */
		if (prio != COMPACT_PRIO_ASYNC && (status == COMPACT_COMPLETE || status == COMPACT_PARTIAL_SKIPPED))
			defer_compaction(zone, (int)order);
	}
	return best;
}

static bool pageblock_in_free_block(const struct zone *zone, unsigned long pfn)
{
	unsigned long pair = align_down(pfn, 1UL << (MAX_ORDER - 1));
	const struct page *first = pfn_to_page(pair);

	/* The other pageblock of the pair may be another zone's, under another lock. */
	return pageblock_in_zone(zone, pair) && page_type(first) == PAGE_BUDDY && first->order > PAGEBLOCK_ORDER;
}

bool collapse_pageblock(struct zone *zone, unsigned long pfn)
{
	bool worth = false;
	int err;

	if (zone->idx == ZONE_DMA32) /* not the arenas' */
		return false;
	mutex_lock(&zone->lock);
	/* The free pages of a block of two pageblocks are counted on the first one. */
	if (pageblock_in_zone(zone, pfn) && !pageblock_in_free_block(zone, pfn))
		worth = pfn_to_block(pfn)->nr_free <= COLLAPSE_MAX_FREE;
	mutex_unlock(&zone->lock);
	if (!worth)
		return false;
	err = arena_collapse(pfn >> PAGEBLOCK_ORDER);
	if (err != -EALREADY)
		count_vm_event(err ? THP_COLLAPSE_ALLOC_FAILED : THP_COLLAPSE_ALLOC);
	return !err;
}

unsigned long compact_zone_full(struct zone *zone)
{
	struct compact_control cc = {
		.zone = zone,
		.order = -1,
		.mode = MIGRATE_SYNC,
		.whole_zone = true,
		.ignore_skip_hint = true,
	};
	unsigned long pfn;

	if (!populated_zone(zone))
		return 0;
	compact_zone(&cc);
	for (pfn = READ_ONCE(zone->zone_start_pfn); pfn < READ_ONCE(zone->zone_end_pfn); pfn += PAGEBLOCK_PAGES)
		collapse_pageblock(zone, pfn);
	return cc.moved;
}

unsigned long compact_node(int nid)
{
	unsigned int flags = current->flags;
	unsigned long moved = 0;
	struct zone *zone;
	int i;

	/* The user of a block, or of a shrinker, that calls this from there. */
	if (flags & PF_MEMALLOC)
		return 0;
	current->flags |= PF_MEMALLOC;
	drain_all_pages();
	for_each_populated_zone (zone, i)
		if (nid < 0 || zone->nid == nid)
			moved += compact_zone_full(zone);
	current->flags = flags;
	return moved;
}
