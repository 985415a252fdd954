/* SPDX-License-Identifier: MIT */
/*
 * The report zoneinfo.
 */
#include "base/message.h"
#include "mm/kswapd.h"
#include "mm/pcp.h"
#include "mm/vmstat.h"

static bool is_first_populated(const struct zone *zone)
{
	unsigned int z;

	for (z = 0; z < MAX_NR_ZONES; z++)
		if (populated_zone(&NODE_DATA(zone->nid)->node_zones[z]))
			return zone->idx == z;
	return false;
}

/* Pages that are allocated; what lies in per-CPU lists is not. */
static void print_node_stats(struct out *o, int nid)
{
	unsigned long used = 0;
	unsigned int z;

	for (z = 0; z < MAX_NR_ZONES; z++)
		used += zone_pages_used(&NODE_DATA(nid)->node_zones[z]);
	out_printf(o, "\n  per-node stats\n      %-12s %lu", "nr_used", used);
}

static void print_zone_pages(struct out *o, const struct zone *zone)
{
	unsigned long managed = READ_ONCE(zone->managed_pages), boost = READ_ONCE(zone->watermark_boost);
	unsigned int z;

	out_printf(o, "\n  pages free     %lu", READ_ONCE(zone->nr_free_pages));
	out_printf(o, "\n        boost    %lu", boost);
	out_printf(o, "\n        min      %lu", READ_ONCE(zone->watermark[WMARK_MIN]) + boost);
	out_printf(o, "\n        low      %lu", READ_ONCE(zone->watermark[WMARK_LOW]) + boost);
	out_printf(o, "\n        high     %lu", READ_ONCE(zone->watermark[WMARK_HIGH]) + boost);
	out_printf(o, "\n        spanned  %lu", READ_ONCE(zone->zone_end_pfn) - READ_ONCE(zone->zone_start_pfn));
	/* All that is present is managed: descriptors lie elsewhere. */
	out_printf(o, "\n        present  %lu\n        managed  %lu", managed, managed);
	out_printf(o, "\n        cma      %lu", READ_ONCE(zone->nr_cma));
	out_printf(o, "\n        protection: (%lu", READ_ONCE(zone->lowmem_reserve[0]));
	for (z = 1; z < MAX_NR_ZONES; z++)
		out_printf(o, ", %lu", READ_ONCE(zone->lowmem_reserve[z]));
	out_printf(o, ")");
}

/* A CPU's lists as one: their pages, how many they may hold, and how many are moved at a time at most. */
static void print_pageset(struct out *o, const struct per_cpu_pages *pcp, unsigned int cpu)
{
	unsigned long count = 0, high = 0, batch = 0;
	unsigned int l;

	for (l = 0; l < NR_PCP_LISTS; l++) {
		unsigned int order = pcp_list_order(l);
		unsigned long list_high = READ_ONCE(pcp->lists[l].high);

		count += pcp_list_pages(pcp, l);
		high += list_high << order;
		batch = max_ul(batch, list_high / 2 << order);
	}
	out_printf(o, "\n    cpu: %u", cpu);
	out_printf(o, "\n              count: %lu", count);
	out_printf(o, "\n              high:  %lu", high);
	out_printf(o, "\n              batch: %lu", batch);
	out_printf(o, "\n  vm stats threshold: 0"); /* counters are exact */
}

static void print_zone(struct out *o, const struct zone *zone)
{
	const struct per_cpu_pages *pcp;
	unsigned int i;

	out_printf(o, "Node %d, zone %8s", zone->nid, zone_name(zone));
	if (is_first_populated(zone))
		print_node_stats(o, zone->nid);
	print_zone_pages(o, zone);
	if (!populated_zone(zone)) {
		out_printf(o, "\n");
		return;
	}
	for (i = 0; i < NR_ZONE_STAT_ITEMS; i++)
		out_printf(o, "\n      %-12s %lu", zone_stat_items[i].name, zone_stat(zone, (enum zone_stat)i));
	for (i = 0; i < NR_NUMA_STATS; i++)
		out_printf(o, "\n      %-12s %lu", numa_stat_names[i], zone_numa_stat(zone, (enum numa_stat_item)i));
	out_printf(o, "\n  pagesets");
	for_each_pcp (pcp, i, zone)
		print_pageset(o, pcp, i);
	out_printf(o, "\n  node_unreclaimable:  %d\n  start_pfn:           %lu\n",
		   READ_ONCE(NODE_DATA(zone->nid)->kswapd_failures) >= MAX_RECLAIM_RETRIES,
		   READ_ONCE(zone->zone_start_pfn));
}

void print_zoneinfo(struct out *o)
{
	struct zone *zone;
	int i;

	for_each_zone (zone, i)
		print_zone(o, zone);
}
