/* SPDX-License-Identifier: MIT */
/*
 * Nodes, zones and zonelists.
 */
#ifndef MM_MMZONE_H
#define MM_MMZONE_H

#include "base/lock.h"
#include "mm/page.h"
#include "os/topology.h"

enum zone_type { ZONE_NORMAL, MAX_NR_ZONES };

enum zone_watermarks { WMARK_MIN, WMARK_LOW, WMARK_HIGH, NR_WMARK };

struct free_area {
	uint32_t free_list[MIGRATE_TYPES]; /* page frame number of the first block */
	unsigned long nr_free;		   /* blocks */
};

/* Orders 0 to PCP_MAX_ORDER are kept per CPU (the kernel's costly order). */
#define PCP_MAX_ORDER 3
#define NR_PCP_LISTS (MIGRATE_TYPES * (PCP_MAX_ORDER + 1))

struct per_cpu_pages {
	struct mutex lock; /* tried, never waited for */
	int count;	   /* pages in the lists */
	int high;	   /* drained by a batch beyond this */
	int batch;
	uint32_t lists[NR_PCP_LISTS];
} __attribute__((aligned(64)));

struct zone {
	struct mutex lock; /* free_area, pages of PAGE_BUDDY, counters */
	unsigned long watermark[NR_WMARK];
	unsigned long nr_free_pages;  /* in free_area */
	unsigned long managed_pages;  /* in pageblocks given to the zone */
	unsigned long nr_free_blocks; /* wholly free pageblocks */
	unsigned long nr_dirty;	      /* pages of free blocks marked dirty */
	unsigned long dirty_floor;    /* what the last giving back could not get below; no lock */
	struct free_area free_area[MAX_ORDER];
	struct per_cpu_pages *pageset; /* one per possible CPU */
	int nid;
	enum zone_type idx;
	/* Events, for vmstat; zone lock. */
	unsigned long nr_grown, nr_given_back, nr_fallback, nr_stolen;
} __attribute__((aligned(64)));

struct zonelist {
	struct zone *zones[MAX_NUMNODES * MAX_NR_ZONES + 1]; /* nearest first; ends with NULL */
};

typedef struct pglist_data {
	struct zone node_zones[MAX_NR_ZONES];
	struct zonelist node_zonelist;
	int node_id;
} pg_data_t;

extern pg_data_t *node_data[MAX_NUMNODES];
#define NODE_DATA(nid) (node_data[nid])

#define for_each_online_node(nid)                                \
	for ((nid) = 0; (nid) < (int)topology.nr_nodes; (nid)++) \
		if (node_data[nid])

/* Build nodes, zones and zonelists from the topology; once; 0 or -ENOMEM. */
int free_area_init(void);
/* The node this thread runs on. */
int numa_node_id(void);
const char *zone_name(const struct zone *zone);

/* Fork handlers: every zone's lock. */
void zones_lock_all(void);
void zones_unlock_all(void);
void zones_reinit_after_fork(void);

#endif
