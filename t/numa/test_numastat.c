/* SPDX-License-Identifier: MIT */
/*
 * numa_hit and its kin in zoneinfo, as of numastat(8): what they count is what move_pages(2) sees.
 */
#include <sys/mman.h>

#include "numa.h"
#include "procfs.h"

#define PAGES 300

struct figures {
	unsigned long hit, miss, foreign, interleave, local, other;
};

static void *page[PAGES];

/* Of each node; nothing is allocated here. */
static void read_figures(struct figures *of)
{
	static struct proc_zone zone[PROCFS_ZONES];
	static char text[1 << 20];
	int fd = memfd_create("zoneinfo", 0);
	ssize_t len;
	int nr;

	memset(of, 0, NUMA_MAX * sizeof(*of));
	if (fd < 0 || bm_stats_print(fd, "zoneinfo") || (len = pread(fd, text, sizeof(text) - 1, 0)) < 0)
		bail_out("cannot read zoneinfo");
	close(fd);
	text[len] = '\0';
	nr = parse_zoneinfo(text, zone);
	want(nr > 0, "%s", procfs_error);
	for (const struct proc_zone *z = zone; z < zone + nr; z++) {
		if (item_value(z->item, z->nr_items, "numa_hit") == ~0UL) /* it never had a page */
			continue;
		of[z->node].hit += item_value(z->item, z->nr_items, "numa_hit");
		of[z->node].miss += item_value(z->item, z->nr_items, "numa_miss");
		of[z->node].foreign += item_value(z->item, z->nr_items, "numa_foreign");
		of[z->node].interleave += item_value(z->item, z->nr_items, "numa_interleave");
		of[z->node].local += item_value(z->item, z->nr_items, "numa_local");
		of[z->node].other += item_value(z->item, z->nr_items, "numa_other");
	}
}

/* Pages of node to (-1: as the policy says) for a thread that runs on node from. What is counted meanwhile is where
 * they lie. */
static void want_counted(int from, int to, bool interleaved)
{
	struct figures before[NUMA_MAX], after[NUMA_MAX];
	unsigned long nr[NUMA_MAX] = { 0 };

	read_figures(before);
	for (int i = 0; i < PAGES; i++)
		page[i] = to < 0 ? bm_alloc_pages(BM_GFP_KERNEL, 0) : bm_alloc_pages_node(to, BM_GFP_KERNEL, 0);
	read_figures(after);
	for (int i = 0; i < PAGES; i++) {
		int nid;

		*(volatile char *)page[i] = 1;
		nid = numa_node_of(page[i]);
		if (nid >= 0)
			nr[nid]++;
		bm_free_pages(page[i], 0);
	}
	for (int nid = 0; nid < numa_nodes; nid++) {
		const struct figures *a = &after[nid], *b = &before[nid];

		want(a->hit - b->hit == nr[nid], "from %d of %d: %lu hits on %d, where %lu pages lie", from, to,
		     a->hit - b->hit, nid, nr[nid]);
		want(a->local - b->local == (nid == from ? nr[nid] : 0), "from %d of %d: %lu local on %d", from, to,
		     a->local - b->local, nid);
		want(a->other - b->other == (nid == from ? 0 : nr[nid]), "from %d of %d: %lu other on %d", from, to,
		     a->other - b->other, nid);
		want(a->interleave - b->interleave == (interleaved ? nr[nid] : 0),
		     "from %d of %d: %lu interleaved on %d", from, to, a->interleave - b->interleave, nid);
		want(a->miss == b->miss && a->foreign == b->foreign, "from %d of %d: %lu missed on %d", from, to,
		     a->miss - b->miss, nid);
	}
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
