/* SPDX-License-Identifier: MIT */
/*
 * Reclaim: what can be had back without anybody's leave. Layers above register what they cache as shrinkers.
 */
#ifndef MM_VMSCAN_H
#define MM_VMSCAN_H

#include "mm/gfp.h"

/* Built in: no allocation, no locks of the application. Called with no lock held. Lives for ever. */
struct shrinker {
	const char *name;
	unsigned long (*count)(int nid);			/* pages that scan could free; an estimate, torn */
	unsigned long (*scan)(int nid, unsigned long nr_pages); /* pages freed */
	gfp_t needs; /* rights it needs: GFP_IO for those that make system calls */
	struct shrinker *next;
};
/* Before there are threads, in the order in which they are to be called. */
extern struct shrinker **shrinkers_last;
static inline void register_shrinker(struct shrinker *shrinker)
{
	shrinker->next = NULL;
	*shrinkers_last = shrinker;
	shrinkers_last = &shrinker->next;
}

/* What the built-in shrinkers free at a priority, 12 to 0. The caller has PF_MEMALLOC. *scanned: what they looked at.
 */
unsigned long shrink_slab(gfp_t gfp, int nid, int priority, unsigned long *scanned);

/*
 * Direct reclaim for a request; pages freed, 0 if none. Not called recursively: PF_MEMALLOC is set meanwhile. Where
 * enough threads are at it already it waits a while instead, and says that something was freed.
 */
unsigned long try_to_free_pages(const struct zonelist *zonelist, unsigned int order, gfp_t gfp,
				const nodemask_t *nodemask);
/* Before the heap grows beyond memory.high, for a request with these rights: reclaim until it would not, but no more
 * than so many pageblocks. No lock is held. */
void mem_cgroup_handle_over_high(gfp_t gfp);
/* Something was freed: who waits for others to reclaim on the node may go on. */
void reclaim_unthrottle(pg_data_t *pgdat);
/* Pages that reclaim may yet free on this zone's node. */
unsigned long zone_reclaimable_pages(const struct zone *zone);

/* The application's shrinkers alone, on every node, until they say that so many objects were freed; how many were. */
unsigned long shrink_application(gfp_t gfp, unsigned long enough);

/* vm.zone_reclaim_mode: reclaim on the near node before going to a far one. */
extern unsigned long node_reclaim_mode;
enum { NODE_RECLAIM_NOSCAN = -2, NODE_RECLAIM_FULL = -1, NODE_RECLAIM_SOME = 0, NODE_RECLAIM_SUCCESS = 1 };
bool zone_allows_reclaim(const struct zone *local, const struct zone *zone);
int node_reclaim(pg_data_t *pgdat, gfp_t gfp, unsigned int order);

/* In the child no other thread is in node_reclaim. */
void vmscan_reinit_after_fork(void);

/* vm.drop_caches: 1 pages, 2 slabs and the application's shrinkers, 3 both. Bytes that went back to the system
 * meanwhile: what 2 frees need not. */
unsigned long drop_caches(unsigned int what);

#endif
