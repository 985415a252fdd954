/* SPDX-License-Identifier: MIT */
/*
 * Direct reclaim: over the built-in shrinkers, in the order in which they were registered, with all effort; only if
 * that was not enough, over the application's.
 */
#include "mm/vmscan.h"

#include "base/host.h"
#include "mm/arena.h"
#include "mm/balance.h"
#include "mm/balance_inner.h"
#include "mm/budget.h"
#include "mm/current.h"
#include "mm/kswapd.h"
#include "mm/mempolicy.h"
#include "mm/pcp.h"
#include "mm/pressure.h"
#include "mm/shrinker.h"
#include "mm/vmstat.h"
#include "os/os.h"

#define SWAP_CLUSTER_MAX 32UL /* pages that end a round */
#define RECLAIM_DISTANCE 30   /* farther nodes are not worth reclaiming here for */
#define RECLAIMERS_MAX 4U     /* threads at once on a node, one a CPU: more are in each other's way */
#define THROTTLE_MS 2	      /* the others wait so long, */
#define THROTTLES_MAX 2	      /* and so often, before they go on as well: somebody may be stalled there */

unsigned long node_reclaim_mode;

static unsigned long count_pcp(int nid), count_blocks(int nid);
static unsigned long scan_pcp(int nid, unsigned long nr_pages), scan_blocks(int nid, unsigned long nr_pages);

/* The page allocator's own come first. */
static struct shrinker blocks = { .name = "blocks", .count = count_blocks, .scan = scan_blocks };
static struct shrinker pcp = { .name = "pcp", .count = count_pcp, .scan = scan_pcp, .next = &blocks };
static struct shrinker *const shrinkers = &pcp;
struct shrinker **shrinkers_last = &blocks.next;

/* The share of what a shrinker has that is scanned at a priority: all of it at 0. */
unsigned long shrink_slab(gfp_t gfp, int nid, int priority, unsigned long *scanned)
{
	unsigned long freed = 0;
	struct shrinker *s;

	for (s = shrinkers; s; s = s->next) {
		unsigned long count, nr;

		if (s->needs & ~gfp)
			continue;
		count = s->count(nid);
		if (!count)
			continue;
		nr = max_ul(count >> priority, SWAP_CLUSTER_MAX);
		freed += s->scan(nid, nr);
		*scanned += min_ul(nr, count);
	}
	return freed;
}

/* Reclaim must not recurse: while it runs the thread is one that may use the reserve instead. Without IO nothing goes
 * back to the system: what comes free is for others to give back. */
static unsigned long do_shrink(gfp_t gfp, int nid, unsigned long enough, unsigned long *scanned)
{
	unsigned int scopes = memalloc_flags_save(PF_MEMALLOC | (gfp & GFP_IO ? 0 : PF_MEMALLOC_NOIO));
	unsigned long freed = 0;
	int priority;

	for (priority = DEF_PRIORITY; priority >= 0 && freed < enough; priority--)
		freed += shrink_slab(gfp, nid, priority, scanned);
	memalloc_flags_restore(scopes);
	return freed;
}

void reclaim_unthrottle(pg_data_t *pgdat)
{
	if (!__atomic_load_n(&pgdat->throttled, __ATOMIC_SEQ_CST))
		return;
	__atomic_add_fetch(&pgdat->unthrottled, 1, __ATOMIC_SEQ_CST);
	host_futex_wake(&pgdat->unthrottled, INT32_MAX);
}

/* False if it waited instead, for those who are at it. */
static bool throttle_direct_reclaim(pg_data_t *pgdat)
{
	uint32_t seen = __atomic_load_n(&pgdat->unthrottled, __ATOMIC_SEQ_CST);

	if (__atomic_add_fetch(&pgdat->reclaimers, 1, __ATOMIC_SEQ_CST) <= min_ul(RECLAIMERS_MAX, pcp_nr_lists()) ||
	    current->nr_throttled >= THROTTLES_MAX) {
		current->nr_throttled = 0;
		current->reclaimer_of = (uint8_t)(pgdat->node_id + 1);
		return true;
	}
	__atomic_sub_fetch(&pgdat->reclaimers, 1, __ATOMIC_SEQ_CST);
	current->nr_throttled++;
	count_vm_event(PGSCAN_DIRECT_THROTTLE);
	atomic_add_return(&pgdat->throttled, 1);
	os_futex_wait_ms(&pgdat->unthrottled, seen, THROTTLE_MS);
	atomic_sub_return(&pgdat->throttled, 1);
	return false;
}

static void leave_direct_reclaim(pg_data_t *pgdat)
{
	current->reclaimer_of = 0;
	__atomic_sub_fetch(&pgdat->reclaimers, 1, __ATOMIC_SEQ_CST);
	reclaim_unthrottle(pgdat);
}

/* On each node that the request may use; the application's shrinkers if that was not enough. */
static unsigned long do_try_to_free_pages(const struct zonelist *zonelist, unsigned int order, gfp_t gfp,
					  const nodemask_t *nodemask)
{
	unsigned long freed = 0, scanned = 0, enough = max_ul(SWAP_CLUSTER_MAX, 1UL << order);
	nodemask_t done = 0;
	unsigned int i;
	int nid;

	for (i = 0; i < zonelist->nr; i++) {
		const struct zone *zone = zonelist->zones[i];

		if (node_isset(zone->nid, done) || (nodemask && !node_isset(zone->nid, *nodemask)))
			continue;
		/* What comes free outside the cpuset is of no use to this process. */
		if (cpusets_enabled() && !cpuset_zone_allowed(zone, GFP_KERNEL | GFP_HARDWALL))
			continue;
		done |= 1UL << zone->nid;
		freed += do_shrink(gfp, zone->nid, enough, &scanned);
	}
	count_vm_events(SLABS_SCANNED, scanned);
	count_vm_events(PGSCAN_DIRECT, scanned);
	count_vm_events(PGSTEAL_DIRECT, freed);
	for_each_online_node (nid) {
		if (freed < enough && node_isset(nid, done))
			freed += shrink_slab_app(gfp, nid, enough - freed);
		/* There is something to be had after all. */
		if (freed && node_isset(nid, done))
			WRITE_ONCE(NODE_DATA(nid)->kswapd_failures, 0);
	}
	return freed;
}

unsigned long try_to_free_pages(const struct zonelist *zonelist, unsigned int order, gfp_t gfp,
				const nodemask_t *nodemask)
{
	pg_data_t *pgdat = NODE_DATA(zonelist->zones[0]->nid);
	unsigned long freed = 1, stalled;

	count_vm_event(ALLOCSTALL);
	pressure_signal();
	psi_memstall_enter(&stalled);
	if (throttle_direct_reclaim(pgdat)) {
		freed = do_try_to_free_pages(zonelist, order, gfp, nodemask);
		leave_direct_reclaim(pgdat);
	}
	psi_memstall_leave(&stalled);
	return freed;
}

void mem_cgroup_handle_over_high(gfp_t gfp)
{
	const struct zonelist *zonelist = NODE_DATA(numa_node_id())->node_zonelists[ZONELIST_FALLBACK];
	int tries;

	if (!(gfp & GFP_DIRECT_RECLAIM) || current->flags & PF_MEMALLOC)
		return;
	for (tries = 0; tries < MAX_RECLAIM_RETRIES && budget_over_high(); tries++)
		if (!try_to_free_pages(zonelist, PAGEBLOCK_ORDER, gfp, NULL))
			budget_over_high_in_vain();
}

unsigned long zone_reclaimable_pages(const struct zone *zone)
{
	unsigned long nr = shrinkers_freeable(zone->nid);
	struct shrinker *s;

	for (s = shrinkers; s; s = s->next)
		nr += s->count(zone->nid);
	return nr;
}

static unsigned long shrink_all_nodes(gfp_t gfp, unsigned long enough)
{
	unsigned long freed = 0;
	int nid;

	for_each_online_node (nid)
		if (freed < enough)
			freed += shrink_slab_app(gfp, nid, enough - freed);
	return freed;
}

unsigned long shrink_application(gfp_t gfp, unsigned long enough)
{
	unsigned long stalled, freed;

	pressure_signal();
	psi_memstall_enter(&stalled);
	freed = shrink_all_nodes(gfp, enough);
	psi_memstall_leave(&stalled);
	return freed;
}

bool zone_allows_reclaim(const struct zone *local, const struct zone *zone)
{
	return topology.distance[local->nid][zone->nid] <= RECLAIM_DISTANCE;
}

int node_reclaim(pg_data_t *pgdat, gfp_t gfp, unsigned int order)
{
	unsigned long freed, scanned = 0, enough = max_ul(SWAP_CLUSTER_MAX, 1UL << order);

	if (!zone_reclaimable_pages(&pgdat->node_zones[ZONE_NORMAL]))
		return NODE_RECLAIM_FULL;
	if (!(gfp & GFP_DIRECT_RECLAIM) || current->flags & PF_MEMALLOC)
		return NODE_RECLAIM_NOSCAN;
	/* A node with CPUs is left to those that run there. */
	if (node_isset(pgdat->node_id, topology.node_has_cpu) && pgdat->node_id != numa_node_id())
		return NODE_RECLAIM_NOSCAN;
	/* One thread a node is enough. */
	if (atomic_add_return(&pgdat->reclaiming, 1) != 1) {
		atomic_sub_return(&pgdat->reclaiming, 1);
		return NODE_RECLAIM_NOSCAN;
	}
	current->reclaims_node = (uint8_t)(pgdat->node_id + 1);
	freed = do_shrink(gfp, pgdat->node_id, enough, &scanned);
	if (freed < enough)
		freed += shrink_slab_app(gfp, pgdat->node_id, enough - freed);
	current->reclaims_node = 0;
	atomic_sub_return(&pgdat->reclaiming, 1);
	count_vm_events(SLABS_SCANNED, scanned);
	count_vm_event(freed >= enough ? ZONE_RECLAIM_SUCCESS : ZONE_RECLAIM_FAILED);
	return freed >= enough ? NODE_RECLAIM_SUCCESS : NODE_RECLAIM_SOME;
}

void vmscan_reinit_after_fork(void)
{
	int nid;

	for_each_online_node (nid) {
		NODE_DATA(nid)->reclaiming = current->reclaims_node == nid + 1;
		NODE_DATA(nid)->reclaimers = current->reclaimer_of == nid + 1;
		NODE_DATA(nid)->throttled = 0;
	}
	kswapd_reinit_after_fork();
}

/* The application's first: what they free goes to ours. */
unsigned long drop_caches(unsigned int what)
{
	unsigned long released = READ_ONCE(mm_released), scanned = 0;
	int nid;

	current->flags |= PF_COUNT_RESIDENT;
	if (what & 2) {
		count_vm_event(DROP_SLAB);
		shrink_all_nodes(current_gfp_context(GFP_KERNEL), ~0UL);
		for_each_online_node (nid)
			do_shrink(current_gfp_context(GFP_KERNEL), nid, ~0UL, &scanned);
		count_vm_events(SLABS_SCANNED, scanned);
	}
	if (what & 1) {
		count_vm_event(DROP_PAGECACHE);
		mm_trim(0);
	}
	current->flags &= ~PF_COUNT_RESIDENT;
	return READ_ONCE(mm_released) - released;
}

/* What lies in per-CPU lists. */
static unsigned long count_pcp(int nid)
{
	unsigned long nr = 0;
	int z;

	for (z = 0; z < MAX_NR_ZONES; z++)
		nr += nr_pcp_pages(&NODE_DATA(nid)->node_zones[z]);
	return nr;
}

static unsigned long scan_pcp(int nid, unsigned long nr_pages)
{
	unsigned long nr = 0;
	int z;

	for (z = 0; z < MAX_NR_ZONES && nr < nr_pages; z++)
		nr += drain_zone_pages(&NODE_DATA(nid)->node_zones[z]);
	return nr;
}

/* Free pageblocks of zones that this request may not be allowed to use: the arenas can give them to any. */
static unsigned long count_blocks(int nid)
{
	unsigned long nr = 0;
	int z;

	for (z = ZONE_NORMAL; z < MAX_NR_ZONES; z++)
		nr += READ_ONCE(NODE_DATA(nid)->node_zones[z].nr_free_blocks);
	return nr << PAGEBLOCK_ORDER;
}

static unsigned long scan_blocks(int nid, unsigned long nr_pages)
{
	unsigned long before = count_blocks(nid);
	int z;

	(void)nr_pages;
	for (z = ZONE_NORMAL; z < MAX_NR_ZONES; z++)
		zone_trim(&NODE_DATA(nid)->node_zones[z], 0);
	return before - min_ul(before, count_blocks(nid));
}
