/* SPDX-License-Identifier: MIT */
/*
 * Compaction: movable blocks go towards one end of a zone, and large free blocks come together at the other.
 */
#ifndef MM_COMPACTION_H
#define MM_COMPACTION_H

#include "mm/gfp.h"

struct alloc_context;

enum migrate_mode { MIGRATE_ASYNC, MIGRATE_SYNC_LIGHT, MIGRATE_SYNC };

enum compact_priority {
	COMPACT_PRIO_SYNC_FULL,
	MIN_COMPACT_PRIORITY = COMPACT_PRIO_SYNC_FULL,
	COMPACT_PRIO_SYNC_LIGHT,
	MIN_COMPACT_COSTLY_PRIORITY = COMPACT_PRIO_SYNC_LIGHT,
	DEF_COMPACT_PRIORITY = COMPACT_PRIO_SYNC_LIGHT,
	COMPACT_PRIO_ASYNC,
	INIT_COMPACT_PRIORITY = COMPACT_PRIO_ASYNC
};

/* In the order of the kernel: a larger one says more was done. */
enum compact_result {
	COMPACT_NOT_SUITABLE_ZONE,
	COMPACT_SKIPPED,
	COMPACT_DEFERRED,
	COMPACT_NO_SUITABLE_PAGE,
	COMPACT_CONTINUE,
	COMPACT_COMPLETE,
	COMPACT_PARTIAL_SKIPPED,
	COMPACT_CONTENDED,
	COMPACT_SUCCESS,
};

static inline bool compaction_made_progress(enum compact_result r)
{
	return r == COMPACT_SUCCESS;
}
static inline bool compaction_failed(enum compact_result r)
{
	return r == COMPACT_COMPLETE;
}
static inline bool compaction_needs_reclaim(enum compact_result r)
{
	return r == COMPACT_SKIPPED;
}
static inline bool compaction_withdrawn(enum compact_result r)
{
	return r == COMPACT_DEFERRED || r == COMPACT_CONTENDED || r == COMPACT_PARTIAL_SKIPPED;
}

/* Free pages that compaction needs to work with, beyond the mark: where blocks go before those they leave are free. */
static inline unsigned long compact_gap(unsigned int order)
{
	return 2UL << order;
}

/* Compact the zones of the context until one has a block of the order at the mark. No lock may be held. Calls the users
 * of movable blocks: COMPACT_SKIPPED for who may not (GFP_FS). */
enum compact_result try_to_compact_pages(gfp_t gfp, unsigned int order, unsigned int alloc_flags,
					 const struct alloc_context *ac, enum compact_priority prio);
/* Would compaction have enough free pages to work with, were all that can be reclaimed free? */
bool compaction_zonelist_suitable(const struct alloc_context *ac, unsigned int order, unsigned int alloc_flags);
enum compact_result compaction_suitable(const struct zone *zone, unsigned int order, unsigned int alloc_flags,
					enum zone_type highest_zoneidx);

/* Putting off, after failures: each doubles the number of calls that are passed over, up to 64. */
#define COMPACT_MAX_DEFER_SHIFT 6
void defer_compaction(struct zone *zone, int order);
bool compaction_deferred(struct zone *zone, int order);
void compaction_defer_reset(struct zone *zone, int order, bool alloc_success);

/* All zones of the node (-1: of all nodes), fully, and full pageblocks collapsed into hugepages where policy wants
 * them; pages moved. Nothing under PF_MEMALLOC. No lock may be held. */
unsigned long compact_node(int nid);
unsigned long compact_zone_full(struct zone *zone);
/* Put a hugepage behind a pageblock of the zone that has small pages; false: the system cannot, or not now. */
bool collapse_pageblock(struct zone *zone, unsigned long pfn);

/* 0..1000: a failure of this order would be for want of memory .. for fragmentation; -1000: it would not fail. */
int fragmentation_index(const struct zone *zone, unsigned int order);
/* 0..1000: the share of free memory that cannot serve this order. */
int unusable_free_index(const struct zone *zone, unsigned int order);
extern unsigned long sysctl_extfrag_threshold; /* 0..1000, 500: below it reclaim is the better help */

#endif
