/* SPDX-License-Identifier: MIT */
/*
 * Reports on zones.
 */
#include "mm/vmstat.h"

#include "base/message.h"
#include "mm/mmzone.h"

void print_buddyinfo(struct out *o)
{
	unsigned int order;
	struct zone *zone;
	int i;

	for_each_populated_zone (zone, i) {
		out_printf(o, "Node %d, zone %8s ", zone->nid, zone_name(zone));
		for (order = 0; order < MAX_ORDER; order++)
			out_printf(o, "%6lu ", READ_ONCE(zone->free_area[order].nr_free));
		out_printf(o, "\n");
	}
}
