/* SPDX-License-Identifier: MIT */
/*
 * The zonelists of made-up machines: own zones from the highest, other nodes by distance, equally near ones by turns;
 * nodes without memory; and the walk over a list between zones and within a nodemask.
 */
#include "mm/memory_hotplug.h"
#include "walk.h"

#define NR 8

/* Distances from each node to the others, and nodes that have CPUs; then the machine starts. */
static void start_with_cpus(int nr, const int *distance, unsigned long with_cpus)
{
	char name[64], text[NR * 8];

	fake_sys_init();
	fake_sys_nodes(nr, 0);
	for (int nid = 0; nid < nr; nid++) {
		size_t len = 0;

		for (int to = 0; to < nr; to++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%d ", distance[nid * nr + to]);
		snprintf(name, sizeof(name), FAKE_SYS_NODE "node%d/distance", nid);
		fake_sys_write(name, text);
		snprintf(name, sizeof(name), FAKE_SYS_NODE "node%d/cpulist", nid);
		snprintf(text, sizeof(text), "%d\n", nid);
		fake_sys_write(name, with_cpus & 1UL << nid ? text : "\n");
	}
	model_start();
	fake_sys_remove();
}

static void start(int nr, const int *distance)
{
	start_with_cpus(nr, distance, ~0UL);
}

/* The n-th node of a node's list. */
static int nth(int nid, unsigned int n)
{
	return NODE_DATA(nid)->node_zonelists[ZONELIST_FALLBACK]->zones[n * MAX_NR_ZONES]->nid;
}

/* Each list is whole: every node once, all of its zones, the higher ones first. */
static void check_lists(int nr)
{
	for (int nid = 0; nid < nr; nid++) {
		const struct zonelist *zl = NODE_DATA(nid)->node_zonelists[ZONELIST_FALLBACK];
		nodemask_t seen = 0;

		must(zl->nr == (unsigned int)nr * MAX_NR_ZONES && !zl->zones[zl->nr]);
		for (unsigned int i = 0; i < zl->nr; i++) {
			must(zl->zones[i]->idx == MAX_NR_ZONES - 1 - i % MAX_NR_ZONES);
			must(zl->zones[i]->nid == nth(nid, i / MAX_NR_ZONES));
			seen |= 1UL << zl->zones[i]->nid;
		}
		must(seen == (1UL << nr) - 1 && nth(nid, 0) == nid);
		zl = NODE_DATA(nid)->node_zonelists[ZONELIST_NOFALLBACK];
		must(zl->nr == MAX_NR_ZONES && !zl->zones[zl->nr] && zl->zones[0] == zone_at(nid, ZONE_MOVABLE) &&
		     zl->zones[2] == zone_at(nid, ZONE_DMA32));
	}
}

static void by_distance(void)
{
	static const int distance[] = {
		10, 40, 20, 30, /* */
		40, 10, 30, 20, /* */
		20, 30, 10, 40, /* */
		30, 20, 40, 10,
	};
	static const int order[4][4] = { { 0, 2, 3, 1 }, { 1, 3, 2, 0 }, { 2, 0, 1, 3 }, { 3, 1, 0, 2 } };

	start(4, distance);
	check_lists(4);
	for (int nid = 0; nid < 4; nid++)
		for (unsigned int n = 0; n < 4; n++)
			must(nth(nid, n) == order[nid][n], "node %d, place %u: %d", nid, n, nth(nid, n));
}

/* Everyone is equally far from everyone: each is somebody's first choice. */
static void by_turns(void)
{
	int distance[NR * NR], first[NR] = { 0 };

	for (int i = 0; i < NR * NR; i++)
		distance[i] = i / NR == i % NR ? 10 : 20;
	start(NR, distance);
	check_lists(NR);
	for (int nid = 0; nid < NR; nid++)
		first[nth(nid, 1)]++;
	for (int nid = 0; nid < NR; nid++)
		must(first[nid] == 1, "node %d is first of %d", nid, first[nid]);
}

/* Two boxes of four: the other box's nodes take turns in being the first there, too. */
static void by_turns_far(void)
{
	int distance[NR * NR], first[NR] = { 0 };

	for (int i = 0; i < NR * NR; i++)
		distance[i] = i / NR == i % NR ? 10 : i / NR / 4 == i % NR / 4 ? 20 : 40;
	start(NR, distance);
	check_lists(NR);
	for (int nid = 0; nid < NR; nid++)
		first[nth(nid, 4)]++;
	for (int nid = 0; nid < NR; nid++)
		must(first[nid] == 1, "node %d is first of %d", nid, first[nid]);
}

/* Nodes 1 and 2 have no CPUs that would want their memory; else the next one comes first. A distance outweighs both. */
static void by_preference(void)
{
	static const int distance[] = {
		10, 20, 20, 20, /* */
		20, 10, 20, 20, /* */
		20, 20, 10, 20, /* */
		19, 20, 20, 10,
	};
	static const int order[4][4] = { { 0, 1, 2, 3 }, { 1, 2, 3, 0 }, { 2, 3, 1, 0 }, { 3, 0, 1, 2 } };

	start_with_cpus(4, distance, 1 << 0 | 1 << 3);
	check_lists(4);
	for (int nid = 0; nid < 4; nid++)
		for (unsigned int n = 0; n < 4; n++)
			must(nth(nid, n) == order[nid][n], "node %d, place %u: %d", nid, n, nth(nid, n));
}

/* Node 1, where we run, has no memory: its neighbours serve, and it has no lists. */
static void without_memory(void)
{
	fake_sys_init();
	fake_sys_nodes(4, 1);
	fake_sys_write(FAKE_SYS_NODE "has_memory", "0,3\n");
	model_start();
	fake_sys_remove();
	must(!NODE_DATA(1) && !NODE_DATA(2) && node_states_memory() == 9);
	must(nearest_node_with_memory(1) == 0 && nearest_node_with_memory(2) == 3 && numa_node_id() == 0);
	must(NODE_DATA(0)->node_zonelists[ZONELIST_FALLBACK]->nr == 2 * MAX_NR_ZONES && nth(0, 1) == 3);
	must(nid_of(alloc_pages(GFP_USER, 0)) == 0);
	must(nid_of(alloc_pages(GFP_USER | GFP_THISNODE, 5)) == 0);
}

/* What the walk comes by, as a string of zone names' first letters and nodes. */
static const char *walk(enum zone_type lowest, enum zone_type highest, const nodemask_t *nodes)
{
	static char came_by[64];
	struct alloc_context ac = {
		.zonelist = NODE_DATA(1)->node_zonelists[ZONELIST_FALLBACK],
		.nodemask = nodes,
		.highest_zoneidx = highest,
		.lowest_zoneidx = lowest,
	};
	struct zone *zone, **z;
	int len = 0;

	reset_preferred(&ac);
	came_by[0] = '\0';
	for_each_zone_of (zone, z, &ac)
		len += snprintf(came_by + len, sizeof(came_by) - (size_t)len, "%c%d", zone_name(zone)[0], zone->nid);
	return came_by;
}

static void walks(void)
{
	static const int distance[] = { 10, 20, 40, 20, 10, 30, 40, 30, 10 };
	nodemask_t none = 8, one = 1, two = 6;

	start(3, distance);
	must(!strcmp(walk(ZONE_DMA32, ZONE_MOVABLE, NULL), "M1N1D1M0N0D0M2N2D2"));
	must(!strcmp(walk(ZONE_DMA32, ZONE_NORMAL, NULL), "N1D1N0D0N2D2"));
	must(!strcmp(walk(ZONE_NORMAL, ZONE_NORMAL, NULL), "N1N0N2"), "malloc does not fall back to DMA32");
	must(!strcmp(walk(ZONE_DMA32, ZONE_DMA32, NULL), "D1D0D2"));
	must(!strcmp(walk(ZONE_NORMAL, ZONE_MOVABLE, &one), "M0N0"));
	must(!strcmp(walk(ZONE_NORMAL, ZONE_MOVABLE, &two), "M1N1M2N2"));
	must(!strcmp(walk(ZONE_NORMAL, ZONE_MOVABLE, &none), ""));
}

/* Flags say the highest zone; malloc's the lowest. */
static void flags(void)
{
	must(gfp_zone(GFP_KERNEL) == ZONE_NORMAL && gfp_zone(GFP_USER | GFP_RECLAIMABLE) == ZONE_NORMAL);
	must(gfp_zone(GFP_USER | GFP_MOVABLE) == ZONE_MOVABLE);
	must(gfp_zone(GFP_USER | GFP_DMA32) == ZONE_DMA32 && gfp_zone(GFP_DMA32 | GFP_MOVABLE) == ZONE_DMA32);
	must(gfp_migratetype(GFP_USER) == MIGRATE_UNMOVABLE &&
	     gfp_migratetype(GFP_USER | GFP_MOVABLE) == MIGRATE_MOVABLE);
	must(gfp_migratetype(GFP_RECLAIMABLE) == MIGRATE_RECLAIMABLE);
	must(gfp_migratetype(GFP_TRANSHUGE) == MIGRATE_MOVABLE);
	must(gfp_migratetype(GFP_MOVABLE | GFP_RECLAIMABLE) == MIGRATE_UNMOVABLE);
}

/* All that is left lies below 4 GiB. */
static void lowest(void)
{
	walk_start(1);
	if (!zone_grow(zone_at(0, ZONE_DMA32), 0, MIGRATE_UNMOVABLE)) {
		diag("nothing is free below 4 GiB");
		return;
	}
	no_more_growth();
	use_up(zone_of(0));
	must(!alloc_pages(GFP_MALLOC, 0) && !alloc_pages(GFP_MALLOC, 5));
	must(page_zone(alloc_pages(GFP_USER, 5)) == zone_at(0, ZONE_DMA32));
}

int main(void)
{
	run_case("flags say migratetype and zone", flags);
	run_case("other nodes by distance", by_distance);
	run_case("equally near ones take turns in being first", by_turns);
	run_case("those far away do so among themselves", by_turns_far);
	run_case("of equally near ones those without CPUs, and the next", by_preference);
	run_case("nodes without memory", without_memory);
	run_case("the walk is between two zones and within the nodemask", walks);
	run_case("malloc never comes to DMA32, others do at last", lowest);
	return done_testing();
}
