/* SPDX-License-Identifier: MIT */
/*
 * Nodes, zones and zonelists.
 */
#ifndef MM_MMZONE_H
#define MM_MMZONE_H

#include "base/lock.h"
#include "mm/page.h"
#include "mm/regret.h"
#include "os/topology.h"

struct per_cpu_pages;

enum zone_type {
	ZONE_DMA32, /* below 4 GiB */
	ZONE_NORMAL,
	ZONE_MOVABLE, /* blocks that their users let be moved, and nothing else */
	MAX_NR_ZONES
};

enum zone_watermarks { WMARK_MIN, WMARK_LOW, WMARK_HIGH, NR_WMARK };

/* A set of nodes, a bit each. */
typedef uint64_t nodemask_t;
BUILD_BUG_ON(MAX_NUMNODES > 64);
static always_inline bool node_isset(int nid, nodemask_t mask)
{
	return mask >> nid & 1;
}

struct free_area {
	uint32_t free_list[MIGRATE_TYPES]; /* page frame number of the first block */
	unsigned long nr_free;		   /* blocks */
	unsigned long nr_dirty;		   /* of them: what looks for these stops behind the last one */
};

enum numa_stat_item { NUMA_HIT, NUMA_MISS, NUMA_FOREIGN, NUMA_INTERLEAVE_HIT, NUMA_LOCAL, NUMA_OTHER, NR_NUMA_STATS };

enum zone_flags {
	ZONE_BOOSTED_WATERMARK = 0x1, /* boosted since kswapd was last woken for it */
};

struct zone {
	struct mutex lock;	       /* free_area, pages of PAGE_BUDDY, counters; all below unless said otherwise */
	uint8_t zone_id;	       /* index into zone_table; constant */
	uint8_t flags;		       /* enum zone_flags; atomic */
	int nid;		       /* constant */
	enum zone_type idx;	       /* constant */
	struct per_cpu_pages *pageset; /* one per possible CPU; NULL until the zone first grows */
	unsigned int pcp_disabled;     /* how many want the per-CPU lists empty; atomic */
	unsigned long watermark[NR_WMARK]; /* wmark lock */
	unsigned long watermark_boost;
	unsigned long lowmem_reserve[MAX_NR_ZONES]; /* wmark lock: pages kept from requests that could go to zone i */
	unsigned long nr_free_pages;		    /* in free_area */
	unsigned long managed_pages;		    /* in pageblocks given to the zone */
	unsigned long nr_free_blocks;		    /* wholly free pageblocks */
	unsigned long nr_dirty;			    /* pages of free blocks marked dirty */
	uint32_t purging;			    /* blocks that are being given back: in no free list */
	unsigned long purge_goal; /* giving back goes on, until no more than this is dirty; 0: it does not; no lock */
	unsigned long nr_reserved_highatomic;	    /* pages in pageblocks of MIGRATE_HIGHATOMIC */
	unsigned long nr_free_cma;		    /* free pages of MIGRATE_CMA */
	unsigned long nr_cma;			    /* pages in pageblocks of MIGRATE_CMA */
	unsigned long nr_isolated;		    /* free pages of MIGRATE_ISOLATE */
	unsigned long nr_isolate_blocks;	    /* pageblocks of MIGRATE_ISOLATE */
	unsigned long zone_start_pfn, zone_end_pfn; /* all its pageblocks lie in between; both 0: it has none */
	struct free_area free_area[MAX_ORDER];
	/* Compaction (compaction.c): where the scanners go on, and how long it is put off; races are harmless. */
	unsigned long compact_cached_free_pfn, compact_cached_migrate_pfn[2]; /* async, sync */
	unsigned int compact_considered, compact_defer_shift;
	int compact_order_failed;
	bool compact_blockskip_flush;
	/* Giving back (balance.c), what was given back in vain; no lock, and races are harmless. */
	struct regret regret;	     /* pages that may be dirty beyond the limit */
	unsigned long purged;	     /* pages that went and are not known to have been wanted again */
	unsigned long clean_left;    /* free pages that were clean when the last ones went, */
	unsigned long clean_trimmed; /* and those of them that the arenas have since */
	uint32_t purge_stamp;	     /* when that was, in ms */
	uint32_t decay_stamp;	     /* when this part of dirty_decay began, */
#define DECAY_PARTS 6U
	unsigned long dirty_low[DECAY_PARTS + 1]; /* fewest dirty pages at any look of this part, and of those before */
	unsigned long dirty_before;		  /* when idle_frees_begin was called */
	struct mutex grow_lock;			  /* held by who brings it pageblocks: the others wait for these */
	/* Events, for vmstat. What per-CPU lists serve they count themselves. numa: atomic; see zone_numa_stat(). */
	unsigned long nr_grown, nr_given_back, nr_fallback, nr_stolen;
	unsigned long nr_alloc_pages; /* pages */
	unsigned long nr_alloc_fast;  /* blocks that were allocated the short way: hits, and local */
	unsigned long nr_freed_seen;  /* the largest pgfree that was printed; atomic */
	unsigned long numa[NR_NUMA_STATS];
} __attribute__((aligned(64)));

/* Zones in the order in which they are tried. */
struct zonelist {
	unsigned int nr;
	struct zone *zones[]; /* nr of them, then NULL */
};

enum { ZONELIST_FALLBACK, ZONELIST_NOFALLBACK, MAX_ZONELISTS };

typedef struct pglist_data {
	struct zone node_zones[MAX_NR_ZONES];
	struct zonelist *node_zonelists[MAX_ZONELISTS];
	int node_id;
	/* All atomic. */
	unsigned int reclaiming; /* threads in node_reclaim */
	unsigned int reclaimers; /* threads in direct reclaim, and how many wait for their turn */
	unsigned int throttled;
	uint32_t unthrottled; /* changes when one of those may go on; they sleep on it */
	/* kswapd.c */
	uint32_t kswapd;	  /* is there one */
	uint32_t kswapd_wakeups;  /* it sleeps until this changes */
	uint32_t kswapd_failures; /* runs in a row that freed nothing; direct reclaim that frees something sets it to 0
				   */
	uint32_t kswapd_retry;	  /* until then, in ms, none is made; 0: whenever one is needed */
	unsigned int kswapd_order, kswapd_zones; /* what it was woken for: highest order, a bit for each highest zone */
} pg_data_t;

extern pg_data_t *node_data[MAX_NUMNODES];
#define NODE_DATA(nid) (node_data[nid])

/* Every zone by its number: nid * MAX_NR_ZONES + idx. */
extern struct zone *zone_table[MAX_NUMNODES * MAX_NR_ZONES];

#define for_each_online_node(nid)                                \
	for ((nid) = 0; (nid) < (int)topology.nr_nodes; (nid)++) \
		if (node_data[nid])

/* Every zone of every node, whether it has pages or not. */
#define for_each_zone(zone, i)                                            \
	for ((i) = 0; (i) < (int)topology.nr_nodes * MAX_NR_ZONES; (i)++) \
		if (((zone) = zone_table[i]))
#define for_each_populated_zone(zone, i) \
	for_each_zone (zone, i)          \
		if (READ_ONCE((zone)->managed_pages))

static always_inline bool populated_zone(const struct zone *zone)
{
	return READ_ONCE(zone->managed_pages) != 0;
}

/* Build nodes, zones and zonelists from the topology; again when it has more nodes than it had, while there is one
 * thread. 0 or -ENOMEM; then the nodes that were there are as they were. */
int free_area_init(void);
/* numa:fake=nr: the machine's one node becomes several of our own making, all of whose memory so far is the first
 * one's. While there is one thread. 0, -EEXIST if there are several already, or -ENOMEM. */
int numa_emulation(unsigned int nr);
/* The node this thread runs on; a node without memory's is the nearest that has some. */
int numa_node_id_slow(void);
static always_inline int numa_node_id(void)
{
	return likely(topology.nr_nodes == 1) ? 0 : numa_node_id_slow();
}
int nearest_node_with_memory(int nid);
/* The nodes that exist and can have pages. */
nodemask_t node_states_memory(void);
const char *zone_name(const struct zone *zone);

/* Fork handlers: every per-CPU list, every zone's lock. */
void zones_grow_lock_all(void);
void zones_grow_unlock_all(void);
void zones_grow_reinit_after_fork(void);
void zones_lock_all(void);
void zones_unlock_all(void);
void zones_reinit_after_fork(void);

#endif
