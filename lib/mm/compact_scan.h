/* SPDX-License-Identifier: MIT */
/*
 * The two scanners of compaction: one goes up a zone and isolates blocks to be moved, the other comes down and isolates
 * free pages for them.
 */
#ifndef MM_COMPACT_SCAN_H
#define MM_COMPACT_SCAN_H

#include "mm/compaction.h"

/* Pages that are isolated before they are moved; a last block may take them beyond. */
#define COMPACT_CLUSTER_MAX 32U

struct compact_control {
	struct zone *zone;
	int order; /* that is wanted; -1: all that is to be had */
	enum migratetype migratetype;
	unsigned int alloc_flags;
	enum zone_type highest_zoneidx;
	enum migrate_mode mode;
	bool direct_compaction; /* for an allocation, that waits */
	bool whole_zone;	/* began at both ends */
	bool ignore_skip_hint;
	bool ignore_block_suitable; /* put blocks into any pageblock */
	bool contended;		    /* asynchronous, and the zone's lock was held */

	unsigned long migrate_pfn, free_pfn; /* where the scanners go on */
	unsigned int nr_blocks;
	unsigned long nr_migratepages; /* in them */
	unsigned long nr_freepages;
	struct page *migratepages[COMPACT_CLUSTER_MAX]; /* isolated blocks */
	uint32_t freepages[MAX_ORDER];			/* lists of free blocks by order, ours; linked by next */

	unsigned long migrate_scanned, free_scanned, isolated, moved; /* pages */
};

static inline bool compact_scanners_met(const struct compact_control *cc)
{
	return cc->free_pfn >> PAGEBLOCK_ORDER <= cc->migrate_pfn >> PAGEBLOCK_ORDER;
}

/* Forget what the last scans found: every pageblock is worth a look, from both ends. */
void reset_isolation_suitable(struct zone *zone);

enum isolate_migrate {
	ISOLATE_ABORT, /* contended: put back what was isolated */
	ISOLATE_NONE,
	ISOLATE_SUCCESS,
};
/* The next pageblock that has something to move. */
enum isolate_migrate isolate_migratepages(struct compact_control *cc);

/* A place for a block that is moved, as if just allocated; NULL: none of that order above it is free. */
struct page *compaction_alloc(struct compact_control *cc, unsigned int order);
/* Free pages that were not needed go back; the highest of them, or 0. */
unsigned long release_freepages(struct compact_control *cc);

#endif
