/* SPDX-License-Identifier: MIT */
/*
 * Transparent hugepages: where each setting of ours and of the system's gives them, and that they lie on the node asked
 * for.
 */
#include "hugepages.h"

#define ENABLED "/sys/kernel/mm/transparent_hugepage/enabled"
#define GROWN (72 * MIB) /* more than thp_threshold */

/* False: the system has none, or lets us not choose. */
static bool system_set(const char *mode)
{
	FILE *f = fopen(ENABLED, "w");

	return f && fputs(mode, f) >= 0 && !fclose(f);
}

/* The mode in brackets is the one that holds. */
static void system_get(char *mode, size_t len)
{
	FILE *f = fopen(ENABLED, "r");
	char line[64] = "", *open;

	if (!f || !fgets(line, sizeof(line), f))
		line[0] = '\0';
	if (f)
		fclose(f);
	open = strchr(line, '[');
	snprintf(mode, len, "%.*s", open ? (int)strcspn(open + 1, "]") : 0, open ? open + 1 : "");
}

/* Bytes on hugepages behind these, which are then there, on a node of the set. Each mapping is counted once, and holds
 * nothing that an earlier case touched. */
static long huge_kib(char *p, size_t bytes, unsigned long set)
{
	want(p && !numa_astray(p, bytes, set), "%zu bytes on nodes %#lx: a page lies on %d", bytes, set,
	     p ? numa_node_of(p) : -1);
	return p ? smaps_kib(p + bytes / 2, "AnonHugePages:") : 0;
}

/* The heap is large, but nothing of it is there. */
static void grow(void)
{
	want(malloc(GROWN) != NULL, "no %zu bytes", GROWN);
}

static void want_none(void)
{
	grow();
	want(!huge_kib(malloc(12 * MIB), 12 * MIB, ~0UL), "a block lies on hugepages");
	want(!huge_kib(bm_alloc_pages(BM_GFP_USER, 10), 4 * MIB, ~0UL), "a page block lies on hugepages");
}

static void small_auto(void)
{
	want(!huge_kib(malloc(12 * MIB), 12 * MIB, ~0UL), "a block of a small heap lies on hugepages");
}

static void want_some(void)
{
	/* The one that makes the heap large: later ones may have none, if that took longer than small pages would. Its
	 * first pageblock may be in a mapping of its own. */
	long kib = huge_kib(malloc(GROWN), 12 * MIB, ~0UL);

	want(kib >= 10 * 1024, "of 12 MiB %ld kB are hugepages", kib);
}

/* For each node: a block of malloc's, a block of pages. */
static void on_nodes(void)
{
	grow();
	for (int nid = 0; nid < numa_nodes; nid++) {
		unsigned long mask = 1UL << nid;

		if (!numa_node[nid].mib)
			continue;
		want(huge_kib(bm_alloc_pages_node(nid, BM_GFP_USER | BM_GFP_THISNODE, 10), 4 * MIB, mask) >= 2048,
		     "THISNODE: no hugepages on node %d", nid);
		bm_set_mempolicy(MPOL_BIND, &mask, MASK_BITS);
		want(huge_kib(malloc(9 * MIB), 9 * MIB, mask) >= 2048, "bind: no hugepages on node %d", nid);
		bm_set_mempolicy(MPOL_DEFAULT, NULL, 0);
		if (!numa_node[nid].cpus)
			continue;
		numa_run_on(nid);
		want(huge_kib(malloc(9 * MIB), 9 * MIB, mask) >= 2048, "local: no hugepages on node %d", nid);
	}
}

int main(void)
{
	char before[32];

	numa_init();
	system_get(before, sizeof(before));
	if (!before[0] || !system_set("madvise"))
		skip_all("this system lets us not choose how transparent hugepages are given");
	run_child("thp:never gives none", "thp", "never", want_none, NULL, 0);
	run_child("thp:auto gives a small heap none", "thp", "auto", small_auto, NULL, 0);
	run_child("thp:auto gives a large one some", "thp", "auto", want_some, NULL, 0);
	run_child("thp:always gives some", "thp", "always", want_some, NULL, 0);
	run_child("hugepages lie on the node asked for", "thp", "always", on_nodes, NULL, 0);
	system_set("always");
	run_child("thp:never gives none where the system always does", "thp", "never", want_none, NULL, 0);
	run_child("nor does thp:auto in a small heap", "thp", "auto", small_auto, NULL, 0);
	system_set("never");
	run_child("where the system never does, nothing fails", "thp", "always", want_none, NULL, 0);
	system_set(before);
	return done_testing();
}
