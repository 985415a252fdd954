/* SPDX-License-Identifier: MIT */
/*
 * Our reports as the readers of procfs.h have them. Like api_report they allocate nothing.
 */
#ifndef T_API_REPORTS_H
#define T_API_REPORTS_H

#include "api.h"
#include "procfs.h"

/* How many zones zoneinfo has, and they; until the next call. */
API_UNUSED int report_zones(const struct proc_zone **zones)
{
	static struct proc_zone zone[PROCFS_ZONES];
	int nr = parse_zoneinfo(api_report("zoneinfo"), zone);

	if (nr <= 0)
		bail_out("zoneinfo: %s", nr ? procfs_error : "no zone");
	*zones = zone;
	return nr;
}

/* One item of vmstat. */
API_UNUSED unsigned long report_vmstat(const char *name)
{
	static struct proc_item items[PROCFS_ITEMS];
	unsigned long n = item_value(items, parse_vmstat(api_report("vmstat"), items), name);

	want(n != ~0UL, "vmstat has no %s: %s", name, procfs_error);
	return n;
}

/* numa_hit and its kin of a node's zones. */
struct numa_figures {
	unsigned long hit, miss, foreign, interleave, local, other;
};

/* Of each node. */
API_UNUSED void report_numa(struct numa_figures *of, int nodes)
{
	const struct proc_zone *zone;
	int nr = report_zones(&zone);

	memset(of, 0, (size_t)nodes * sizeof(*of));
	for (const struct proc_zone *z = zone; z < zone + nr; z++) {
		if (z->node >= nodes || item_value(z->item, z->nr_items, "numa_hit") == ~0UL) /* it never had a page */
			continue;
		of[z->node].hit += item_value(z->item, z->nr_items, "numa_hit");
		of[z->node].miss += item_value(z->item, z->nr_items, "numa_miss");
		of[z->node].foreign += item_value(z->item, z->nr_items, "numa_foreign");
		of[z->node].interleave += item_value(z->item, z->nr_items, "numa_interleave");
		of[z->node].local += item_value(z->item, z->nr_items, "numa_local");
		of[z->node].other += item_value(z->item, z->nr_items, "numa_other");
	}
}

/* Between the two a thread of node from was given nr[nid] pages of node nid, none where another was asked for. */
API_UNUSED void want_numa_counted(const struct numa_figures *before, const struct numa_figures *after, int nodes,
				  int from, const unsigned long *nr, bool interleaved)
{
	for (int nid = 0; nid < nodes; nid++) {
		const struct numa_figures *a = &after[nid], *b = &before[nid];

		want(a->hit - b->hit == nr[nid], "from %d: %lu hits on %d for %lu pages", from, a->hit - b->hit, nid,
		     nr[nid]);
		want(a->local - b->local == (nid == from ? nr[nid] : 0), "from %d: %lu local on %d", from,
		     a->local - b->local, nid);
		want(a->other - b->other == (nid == from ? 0 : nr[nid]), "from %d: %lu other on %d", from,
		     a->other - b->other, nid);
		want(a->interleave - b->interleave == (interleaved ? nr[nid] : 0), "from %d: %lu interleaved on %d",
		     from, a->interleave - b->interleave, nid);
		want(a->miss == b->miss && a->foreign == b->foreign, "from %d: %lu missed on %d", from,
		     a->miss - b->miss, nid);
	}
}

#endif
