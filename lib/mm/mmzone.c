/* SPDX-License-Identifier: MIT */
/*
 * Setting up nodes, zones and the order in which each node falls back on the others.
 */
#include "mm/mmzone.h"

#include <errno.h>

#include "mm/memblock.h"
#include "os/os.h"

#define PCP_BATCH 32
#define PCP_HIGH 128 /* pages: half a MiB a CPU at most */

pg_data_t *node_data[MAX_NUMNODES];

const char *zone_name(const struct zone *zone)
{
	static const char *const names[MAX_NR_ZONES] = { "Normal" };

	return names[zone->idx];
}

static int zone_init(struct zone *zone, int nid, enum zone_type idx)
{
	unsigned int cpu;

	mutex_init(&zone->lock, RANK_ZONE);
	zone->nid = nid;
	zone->idx = idx;
	zone->pageset = memblock_alloc(topology.nr_cpus * sizeof(struct per_cpu_pages));
	if (!zone->pageset)
		return -ENOMEM;
	for (cpu = 0; cpu < topology.nr_cpus; cpu++) {
		mutex_init(&zone->pageset[cpu].lock, RANK_PCP);
		zone->pageset[cpu].high = PCP_HIGH;
		zone->pageset[cpu].batch = PCP_BATCH;
	}
	return 0;
}

/* Nodes in the order of their distance from nid; each node once. */
static void build_zonelist(int nid)
{
	struct zonelist *zl = &NODE_DATA(nid)->node_zonelist;
	uint64_t left = 0;
	unsigned int n = 0;
	int other;

	for_each_online_node (other)
		left |= 1UL << other;
	while (left) {
		int best = -1;
		unsigned int z;

		for_each_online_node (other)
			if ((left & (1UL << other)) &&
			    (best < 0 || topology.distance[nid][other] < topology.distance[nid][best]))
				best = other;
		left &= ~(1UL << best);
		for (z = MAX_NR_ZONES; z-- > 0;)
			zl->zones[n++] = &NODE_DATA(best)->node_zones[z];
	}
	zl->zones[n] = NULL;
}

int free_area_init(void)
{
	unsigned int nid, z;
	int online;

	for (nid = 0; nid < topology.nr_nodes; nid++) {
		if (!(topology.node_has_memory & (1UL << nid)))
			continue;
		node_data[nid] = memblock_alloc(sizeof(pg_data_t));
		if (!node_data[nid])
			return -ENOMEM;
		node_data[nid]->node_id = (int)nid;
		for (z = 0; z < MAX_NR_ZONES; z++)
			if (zone_init(&node_data[nid]->node_zones[z], (int)nid, (enum zone_type)z))
				return -ENOMEM;
	}
	for_each_online_node (online)
		build_zonelist(online);
	return 0;
}

static int nearest_node_with_memory(int nid)
{
	int other, best = -1;

	for_each_online_node (other)
		if (best < 0 || topology.distance[nid][other] < topology.distance[nid][best])
			best = other;
	return best;
}

int numa_node_id(void)
{
	int nid;

	if (likely(topology.nr_nodes == 1))
		return 0;
	nid = topology.cpu_to_node[os_cpu_id()];
	if (likely(node_data[nid]))
		return nid;
	return nearest_node_with_memory(nid);
}

/* Per-CPU locks come before zone locks, as everywhere; the lists are whole while we hold them. */
void zones_lock_all(void)
{
	unsigned int cpu;
	int nid;

	for_each_online_node (nid)
		for (cpu = 0; cpu < topology.nr_cpus; cpu++)
			mutex_lock(&NODE_DATA(nid)->node_zones[ZONE_NORMAL].pageset[cpu].lock);
	for_each_online_node (nid)
		mutex_lock(&NODE_DATA(nid)->node_zones[ZONE_NORMAL].lock);
}

static void zones_release_all(void (*release)(struct mutex *))
{
	unsigned int cpu;
	int nid;

	for_each_online_node (nid)
		release(&NODE_DATA(nid)->node_zones[ZONE_NORMAL].lock);
	for_each_online_node (nid)
		for (cpu = 0; cpu < topology.nr_cpus; cpu++)
			release(&NODE_DATA(nid)->node_zones[ZONE_NORMAL].pageset[cpu].lock);
}

void zones_unlock_all(void)
{
	zones_release_all(mutex_unlock);
}

void zones_reinit_after_fork(void)
{
	zones_release_all(mutex_reinit_after_fork);
}
