/* SPDX-License-Identifier: MIT */
/*
 * A zone that is fragmented on purpose, for the tests of compaction.
 */
#ifndef T_UNIT_FRAGMENT_H
#define T_UNIT_FRAGMENT_H

#include <sched.h>

#include "mm/balance_inner.h"
#include "mm/compact_scan.h"
#include "mm/internal.h"
#include "mm/pcp.h"
#include "movable.h"

#define BLOCKS 8U /* pageblocks that are filled */

static struct zone *zone;
static struct alloc_context ac;

static void context(enum migratetype mt, enum zone_type idx)
{
	ac = (struct alloc_context){
		.zonelist = NODE_DATA(numa_node_id())->node_zonelists[ZONELIST_NOFALLBACK],
		.migratetype = mt,
		.highest_zoneidx = idx,
		.lowest_zoneidx = idx,
	};
	reset_preferred(&ac);
	must(*ac.preferred && (*ac.preferred)->idx == idx);
	zone = *ac.preferred;
}

static cpu_set_t all_cpus;
static struct handle *first; /* is to have a whole pageblock, before all others */

/* One CPU's lists, so that pageblocks are filled one after the other. */
static void stay_on_this_cpu(void)
{
	cpu_set_t one;

	must(!sched_getaffinity(0, sizeof(all_cpus), &all_cpus));
	CPU_ZERO(&one);
	CPU_SET((unsigned int)sched_getcpu(), &one);
	must(!sched_setaffinity(0, sizeof(one), &one));
}

/* Fill pageblocks with blocks of the order, and free all but each keep-th of them: much is free, but in pieces. */
static void fragment(gfp_t gfp, unsigned int order, unsigned int keep)
{
	unsigned int i, nr = (unsigned int)(BLOCKS * PAGEBLOCK_PAGES) >> order;
	static struct handle *by_pfn[MODEL_PAGES];

	stay_on_this_cpu();
	user_start();
	context(gfp & GFP_MOVABLE ? MIGRATE_MOVABLE : MIGRATE_UNMOVABLE,
		gfp & GFP_MOVABLE ? ZONE_MOVABLE : ZONE_NORMAL);
	must(!first || user_alloc(first, PAGEBLOCK_ORDER, gfp));
	for (i = 0; i < nr; i++) {
		must(user_alloc(&handles[i], order, gfp));
		must(pfn_to_zone(page_to_pfn(handles[i].page)) == zone);
		by_pfn[page_to_pfn(handles[i].page)] = &handles[i];
	}
	for (i = 0; i < MODEL_PAGES; i++)
		if (by_pfn[i] && (i >> order) % keep)
			user_free(by_pfn[i]);
	drain_all_pages();
	while (zone->nr_free_blocks) /* of what it grew last */
		zone_trim(zone, 0);
	must(zone->managed_pages == (BLOCKS + !!first) * PAGEBLOCK_PAGES);
	must(unusable_free_index(zone, PAGEBLOCK_ORDER) == 1000);
}

static enum compact_result compact(enum compact_priority prio)
{
	return try_to_compact_pages(GFP_USER, PAGEBLOCK_ORDER, ALLOC_WMARK_LOW, &ac, prio);
}

#endif
