/* SPDX-License-Identifier: MIT */
/*
 * The nodes: the guest has those it was booted with, and the library knows them, their memory and their distances.
 */
#include "numa.h"
#include "reports.h"

static char text[4096];

/* A file of a node's directory, without its line end. */
static const char *node_file(int nid, const char *name)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/%s", nid, name);
	file = fopen(path, "r");
	if (!file)
		return "no such file";
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* Without this the rest would prove nothing. */
static void test_guest(void)
{
	char wanted[128];
	long kib;

	for (int nid = 0; nid < numa_nodes; nid++) {
		const struct numa_node *node = &numa_node[nid];
		int len = 0;

		for (int to = 0; to < numa_nodes; to++)
			len += snprintf(wanted + len, sizeof(wanted) - (size_t)len, "%s%d", to ? " " : "",
					node->distance[to]);
		is_str(node_file(nid, "distance"), wanted, "the guest's node %d has the distances asked for", nid);

		wanted[0] = '\0';
		if (node->cpus == 1)
			snprintf(wanted, sizeof(wanted), "%d", node->first_cpu);
		else if (node->cpus > 1)
			snprintf(wanted, sizeof(wanted), "%d-%d", node->first_cpu, node->first_cpu + node->cpus - 1);
		is_str(node_file(nid, "cpulist"), wanted, "and the CPUs");

		/* The file is "Node 0 MemTotal: 12345 kB". */
		kib = atol(node_file(nid, "meminfo") + strlen("Node 0 MemTotal:"));
		ok(node->mib ? kib > node->mib * 512 : kib == 0, "and the memory: %ld KiB", kib);
	}
}

/* Nodes that have memory, as a list. */
static const char *memory_nodes(void)
{
	static char list[64];
	int nid, last, len = 0;

	for (nid = 0; nid < numa_nodes; nid = last + 1) {
		last = nid;
		if (!numa_node[nid].mib)
			continue;
		while (last + 1 < numa_nodes && numa_node[last + 1].mib)
			last++;
		len += snprintf(list + len, sizeof(list) - (size_t)len, last > nid ? "%s%d-%d" : "%s%d", len ? "," : "",
				nid, last);
	}
	return list;
}

static void test_reports(void)
{
	const struct proc_zone *zone;
	char nodes[64];
	int nr;

	bm_ctl_get("nodes", nodes, sizeof(nodes));
	is_str(nodes, memory_nodes(), "bm_ctl_get(\"nodes\") names the nodes that have memory");
	nr = report_zones(&zone);
	for (int nid = 0; nid < numa_nodes; nid++) {
		int zones = 0;

		for (int z = 0; z < nr; z++)
			zones += zone[z].node == nid && !strcmp(zone[z].zone, "Normal");
		want(zones == !!numa_node[nid].mib, "%d zones on node %d", zones, nid);
	}
	verdict("zoneinfo has the zones of these nodes and no other");
}

/* From each node's CPUs: a page under a policy that binds to each set of nodes lies on the nearest of them. */
static void test_order(void)
{
	unsigned long set, memory = 0;

	for (int n = 0; n < numa_nodes; n++)
		memory |= numa_node[n].mib ? 1UL << n : 0;
	for (int nid = 0; nid < numa_nodes; nid++) {
		if (!numa_node[nid].cpus)
			continue;
		numa_run_on(nid);
		for (set = 1; set <= memory; set++) {
			unsigned long nearest = numa_nearest(nid, set);
			void *page;
			int lies;

			if (set & ~memory)
				continue;
			bm_set_mempolicy(set == memory ? MPOL_DEFAULT : MPOL_BIND, set == memory ? NULL : &set,
					 MASK_BITS);
			page = bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_ZERO, 0);
			*(volatile char *)page = 1;
			lies = numa_node_of_written(page);
			want(lies >= 0 && nearest & 1UL << lies, "on node %d, nodes %#lx: the page lies on %d", nid,
			     set, lies);
			want(bm_page_node(page) == lies, "bm_page_node: %d", bm_page_node(page));
			bm_free_pages(page, 0);
		}
	}
	bm_set_mempolicy(MPOL_DEFAULT, NULL, 0);
	numa_run_on(-1);
	verdict("of each set of nodes that may serve the nearest does");
}

int main(void)
{
	numa_init();
	test_guest();
	test_reports();
	test_order();
	return done_testing();
}
