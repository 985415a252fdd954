/* SPDX-License-Identifier: MIT */
/*
 * Setting up nodes, zones and the order in which each node falls back on the others.
 */
#include "mm/mmzone.h"

#include <errno.h>

#include "mm/balance_inner.h"
#include "mm/exact.h"
#include "mm/memblock.h"
#include "mm/pcp.h"
#include "os/os.h"

pg_data_t *node_data[MAX_NUMNODES];
struct zone *zone_table[MAX_NUMNODES * MAX_NR_ZONES];

const char *zone_name(const struct zone *zone)
{
	static const char *const names[MAX_NR_ZONES] = { "DMA32", "Normal", "Movable" };

	return names[zone->idx];
}

static void zone_init(struct zone *zone, int nid, enum zone_type idx)
{
	mutex_init(&zone->lock, RANK_ZONE);
	mutex_init(&zone->grow_lock, RANK_GROW);
	zone->nid = nid;
	zone->idx = idx;
	zone->zone_id = (uint8_t)((unsigned int)nid * MAX_NR_ZONES + idx);
	zone->compact_order_failed = MAX_ORDER;
}

nodemask_t node_states_memory(void)
{
	nodemask_t nodes = 0;
	int nid;

	for_each_online_node (nid)
		nodes |= 1UL << nid;
	return nodes;
}

/* How often a node comes first among equally near ones in the lists built so far: they take turns. */
static uint8_t node_load[MAX_NUMNODES];

/* The nearest of the nodes left. Of equally near ones those come first that have no CPUs of their own, and those with
 * higher numbers than this one; then that which is used least. -1: none is left. */
static int find_next_best_node(int nid, nodemask_t left)
{
	unsigned int least = ~0U, val;
	int other, best = -1;

	for_each_online_node (other) {
		if (!node_isset(other, left))
			continue;
		val = topology.distance[nid][other] * 4U; /* room for what follows: nothing makes up for a distance */
		val += (other < nid) + (unsigned int)node_isset(other, topology.node_has_cpu);
		val = val * 256 + node_load[other];
		if (val < least) {
			least = val;
			best = other;
		}
	}
	return best;
}

static size_t zonelist_size(unsigned int nodes)
{
	return sizeof(struct zonelist) + (nodes * MAX_NR_ZONES + 1) * sizeof(struct zone *);
}

/* Of each node the highest zone first, so that the lower ones are kept for those who must have them. */
static void add_node_zones(struct zonelist *zl, int nid)
{
	int z;

	for (z = MAX_NR_ZONES - 1; z >= 0; z--)
		zl->zones[zl->nr++] = &NODE_DATA(nid)->node_zones[z];
	zl->zones[zl->nr] = NULL;
}

/* Itself, then the others in order of distance; and itself alone, for THISNODE. */
static void build_zonelists(int nid, struct zonelist *all, struct zonelist *one)
{
	nodemask_t left = node_states_memory() & ~(1UL << nid);
	int best, before = nid;

	add_node_zones(one, nid);
	add_node_zones(all, nid);
	while ((best = find_next_best_node(nid, left)) >= 0) {
		if (topology.distance[nid][best] != topology.distance[nid][before])
			node_load[best]++;
		before = best;
		left &= ~(1UL << best);
		add_node_zones(all, best);
	}
	NODE_DATA(nid)->node_zonelists[ZONELIST_FALLBACK] = all;
	NODE_DATA(nid)->node_zonelists[ZONELIST_NOFALLBACK] = one;
}

static int build_all_zonelists(void)
{
	unsigned int nodes = hweight_long(node_states_memory());
	size_t size = zonelist_size(nodes), size_one = zonelist_size(1);
	char *mem = memblock_alloc(nodes * (size + size_one));
	int nid;

	if (!mem)
		return -ENOMEM;
	for_each_online_node (nid) {
		build_zonelists(nid, (void *)mem, (void *)(mem + size));
		mem += size + size_one;
	}
	return 0;
}

static int node_init(int nid)
{
	pg_data_t *pgdat = memblock_alloc(sizeof(*pgdat));
	unsigned int z;

	if (!pgdat)
		return -ENOMEM;
	pgdat->node_id = nid;
	for (z = 0; z < MAX_NR_ZONES; z++)
		zone_init(&pgdat->node_zones[z], nid, (enum zone_type)z);
	if (zone_pageset_init(&pgdat->node_zones[ZONE_NORMAL]))
		return -ENOMEM;
	/* Whoever sees a zone, to report on it, sees its node. */
	node_data[nid] = pgdat;
	for (z = 0; z < MAX_NR_ZONES; z++)
		smp_store_release(&zone_table[pgdat->node_zones[z].zone_id], &pgdat->node_zones[z]);
	return 0;
}

int free_area_init(void)
{
	int nid, err = 0;

	for (nid = 0; nid < (int)topology.nr_nodes && !err; nid++)
		if (node_isset(nid, topology.node_has_memory) && !node_data[nid])
			err = node_init(nid);
	if (!err)
		err = build_all_zonelists();
	if (!err)
		pcp_init();
	return err;
}

cold int numa_emulation(unsigned int nr)
{
	int err;

	if (topology.nr_nodes > 1)
		return -EEXIST;
	topology_fake(nr);
	err = free_area_init();
	if (err)
		topology_init(topology_root);
	else
		drain_exact_lists(&NODE_DATA(0)->node_zones[ZONE_NORMAL], true); /* several nodes have none */
	return err;
}

int nearest_node_with_memory(int nid)
{
	int other, best = -1;

	for_each_online_node (other)
		if (best < 0 || topology.distance[nid][other] < topology.distance[nid][best])
			best = other;
	return best;
}

int numa_node_id_slow(void)
{
	int nid;

	nid = topology.cpu_to_node[os_cpu_id()];
	if (likely(node_data[nid]))
		return nid;
	return nearest_node_with_memory(nid);
}

/* Locks of one rank are taken in the order of their addresses. */
static struct zone *next_zone_by_address(const struct zone *after)
{
	struct zone *zone, *next = NULL;
	int i;

	for_each_zone (zone, i)
		if (zone > after && (!next || zone < next))
			next = zone;
	return next;
}

#define ZONE_LOCKS offsetof(struct zone, lock)
#define GROW_LOCKS offsetof(struct zone, grow_lock)

static void for_all(size_t locks, void (*fn)(struct mutex *))
{
	struct zone *zone = NULL;

	while ((zone = next_zone_by_address(zone)))
		fn((struct mutex *)((char *)zone + locks));
}

void zones_grow_lock_all(void)
{
	for_all(GROW_LOCKS, mutex_lock);
}

void zones_grow_unlock_all(void)
{
	for_all(GROW_LOCKS, mutex_unlock);
}

void zones_grow_reinit_after_fork(void)
{
	for_all(GROW_LOCKS, mutex_reinit_after_fork);
}

/* Per-CPU lists inside: while it is locked a zone gets none, so that those that are let go are those that were held. */
void zones_lock_all(void)
{
	for_all(ZONE_LOCKS, mutex_lock);
	pcp_lock_all();
}

void zones_unlock_all(void)
{
	pcp_unlock_all();
	for_all(ZONE_LOCKS, mutex_unlock);
}

void zones_reinit_after_fork(void)
{
	pcp_unlock_all();
	purge_reinit_after_fork();
	for_all(ZONE_LOCKS, mutex_reinit_after_fork);
}
