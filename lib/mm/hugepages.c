/* SPDX-License-Identifier: MIT */
/*
 * Whether a hugepage is had is the system's to say, so it is asked: each mapping of the heap is of one node, and of
 * one kind.
 */
#include "mm/hugepages.h"

#include <string.h>

#include "base/message.h"
#include "os/os.h"

static void take_mapping(void *arg, const struct os_mapping *m)
{
	struct hugepages *nodes = arg, *node;
	unsigned long pfn = virt_to_pfn((const void *)m->start);
	unsigned int nid;

	/* Of what is below 4 GiB the descriptors may be there, and the mapping somebody else's. */
	if (!pfn_online(pfn) || !(READ_ONCE(pfn_to_block(pfn)->flags) & PBF_MAPPED))
		return;
	nid = READ_ONCE(pfn_to_block(pfn)->nid);
	node = &nodes[nid < MAX_NUMNODES ? nid : 0];
	node->resident += m->resident + m->hugetlb;
	node->transparent += m->anon_huge;
	node->hugetlb += m->hugetlb;
}

bool hugepages_read(struct hugepages nodes[MAX_NUMNODES], struct hugepages *all)
{
	int nid;

	memset(nodes, 0, MAX_NUMNODES * sizeof(*nodes));
	memset(all, 0, sizeof(*all));
	if (!os_read_smaps(take_mapping, nodes))
		return false;
	for (nid = 0; nid < MAX_NUMNODES; nid++) {
		all->resident += nodes[nid].resident;
		all->transparent += nodes[nid].transparent;
		all->hugetlb += nodes[nid].hugetlb;
	}
	return true;
}

void print_hugepages(struct out *o)
{
	struct hugepages nodes[MAX_NUMNODES], all;
	int nid;

	if (!hugepages_read(nodes, &all))
		return;
	for_each_online_node (nid) {
		out_printf(o, "Node %d Resident:       %8zu kB\n", nid, nodes[nid].resident >> 10);
		out_printf(o, "Node %d AnonHugePages:  %8zu kB\n", nid, nodes[nid].transparent >> 10);
		out_printf(o, "Node %d HugetlbPages:   %8zu kB\n", nid, nodes[nid].hugetlb >> 10);
	}
}
