/* SPDX-License-Identifier: MIT */
/*
 * numa_hit and its kin in zoneinfo, as of numastat(8): what they count is what move_pages(2) sees.
 */
#include "numa.h"
#include "reports.h"

#define PAGES 300

static void *page[PAGES];

/* Pages of node to (-1: as the policy says) for a thread that runs on node from. What is counted meanwhile is where
 * they lie. */
static void want_counted(int from, int to, bool interleaved)
{
	struct numa_figures before[NUMA_MAX], after[NUMA_MAX];
	unsigned long nr[NUMA_MAX] = { 0 };

	report_numa(before, NUMA_MAX);
	for (int i = 0; i < PAGES; i++)
		page[i] = to < 0 ? bm_alloc_pages(BM_GFP_KERNEL, 0) : bm_alloc_pages_node(to, BM_GFP_KERNEL, 0);
	report_numa(after, NUMA_MAX);
	for (int i = 0; i < PAGES; i++) {
		int nid;

		*(volatile char *)page[i] = 1;
		nid = numa_node_of_written(page[i]);
		if (nid >= 0)
			nr[nid]++;
		bm_free_pages(page[i], 0);
	}
	want_numa_counted(before, after, numa_nodes, from, nr, interleaved);
}

int main(void)
{
	unsigned long set = 0;

	numa_init();
	for (int nid = 0; nid < numa_nodes; nid++)
		set |= numa_node[nid].mib ? 1UL << nid : 0;
	for (int from = 0; from < numa_nodes; from++) {
		if (!numa_node[from].cpus || !numa_node[from].mib)
			continue;
		numa_run_on(from);
		want_counted(from, -1, false);
		for (int to = 0; to < numa_nodes; to++)
			if (numa_node[to].mib)
				want_counted(from, to, false);
	}
	verdict("numa_hit, numa_local and numa_other are the pages of each node");
	for (int from = 0; from < numa_nodes; from++) {
		if (!numa_node[from].cpus || !numa_node[from].mib)
			continue;
		numa_run_on(from);
		bm_set_mempolicy(MPOL_INTERLEAVE, &set, MASK_BITS);
		want_counted(from, -1, set & (set - 1));
		bm_set_mempolicy(MPOL_DEFAULT, NULL, 0);
	}
	verdict("and numa_interleave those that were interleaved");
	return done_testing();
}
