/* SPDX-License-Identifier: MIT */
/*
 * Reclaim: which shrinkers are asked, for how much, on which nodes, and what is counted; reclaim of one node; what
 * drop_caches does; and what waking kswapd means while there is none.
 */
#include <pthread.h>
#include <semaphore.h>

#include "mm/balance_inner.h"
#include "mm/kswapd.h"
#include "mm/pcp.h"
#include "mm/pressure.h"
#include "mm/shrinker.h"
#include "mm/vmscan.h"
#include "walk.h"

/* Two caches on each node, the second of which needs IO. */
static struct cache {
	unsigned long nr[8];	 /* pages on each node */
	unsigned long asked[32]; /* pages that each scan was for */
	unsigned int scans;
	unsigned long gives; /* most that a scan frees */
	nodemask_t nodes;    /* on which it was scanned */
} caches[2];
static char order_of_calls[64];
static struct page *freed; /* by the next scan, whatever it says */

static unsigned long scan(struct cache *c, int nid, unsigned long nr)
{
	unsigned long got = min_ul(min_ul(nr, c->nr[nid]), c->gives);
	size_t len = strlen(order_of_calls);

	must(current->flags & PF_MEMALLOC, "what allocates meanwhile must not reclaim in turn");
	must(c->scans < ARRAY_SIZE(c->asked));
	c->asked[c->scans++] = nr;
	c->nodes |= 1UL << nid;
	c->nr[nid] -= got;
	if (freed)
		give(freed, 0);
	freed = NULL;
	if (len < sizeof(order_of_calls) - 1)
		order_of_calls[len] = (char)('0' + (c - caches));
	return got;
}
static unsigned long count_0(int nid)
{
	return caches[0].nr[nid];
}
static unsigned long scan_0(int nid, unsigned long nr)
{
	return scan(&caches[0], nid, nr);
}
static unsigned long count_1(int nid)
{
	return caches[1].nr[nid];
}
static unsigned long scan_1(int nid, unsigned long nr)
{
	return scan(&caches[1], nid, nr);
}

static void start(int nodes)
{
	static struct shrinker first = { .name = "first", .count = count_0, .scan = scan_0 };
	static struct shrinker second = { .name = "second", .count = count_1, .scan = scan_1, .needs = GFP_IO };

	walk_start(nodes);
	register_shrinker(&first);
	register_shrinker(&second);
	caches[0].gives = caches[1].gives = ~0UL;
}

static void forget(void)
{
	memset(order_of_calls, 0, sizeof(order_of_calls));
	for (int i = 0; i < 2; i++) {
		caches[i].scans = 0;
		caches[i].nodes = 0;
		memset(caches[i].asked, 0, sizeof(caches[i].asked));
	}
	memset(vm_events, 0, sizeof(vm_events));
}

static unsigned long try(gfp_t gfp, unsigned int order, const nodemask_t *nodes)
{
	forget();
	return try_to_free_pages(NODE_DATA(numa_node_id())->node_zonelists[ZONELIST_FALLBACK], order, gfp, nodes);
}

static void rights(void)
{
	start(1);
	must(try(GFP_KERNEL, 0, NULL) == 0 && !caches[0].scans && !caches[1].scans && vm_events[ALLOCSTALL] == 1);
	caches[0].nr[0] = caches[1].nr[0] = 100;
	must(try(GFP_NOIO, 0, NULL) == 32 && caches[0].scans == 1 && !caches[1].scans);
	must(try(GFP_KERNEL, 0, NULL) == 64 && !strcmp(order_of_calls, "01"), "in the order of registration");
	must(try(GFP_NOFS, 0, NULL) == 64 && caches[0].nr[0] == 4 && caches[1].nr[0] == 36);
	must(!(current->flags & PF_MEMALLOC));
	current->flags |= PF_MEMALLOC;
	must(try(GFP_KERNEL, 0, NULL) == 36);
	must(current->flags & PF_MEMALLOC, "as it was");
	must(vm_events[PGSTEAL_DIRECT] == 36 && vm_events[PGSCAN_DIRECT] == 36 && vm_events[SLABS_SCANNED] == 36);
}

/* A small share at first; more, up to all of it, while that is not enough. */
static void effort(void)
{
	start(1);
	caches[0].nr[0] = 1 << 20;
	must(try(GFP_KERNEL, 0, NULL) == 1 << 8 && caches[0].scans == 1 && caches[0].asked[0] == 1 << 8);
	caches[0].nr[0] = 1 << 20;
	must(try(GFP_KERNEL, 10, NULL) >= 1 << 10, "as much as was asked for");
	must(caches[0].scans == 3 && caches[0].asked[1] >> 1 == 255);
	caches[0].nr[0] = 1 << 20;
	caches[0].gives = 0;
	must(try(GFP_KERNEL, 0, NULL) == 0 && caches[0].scans == 13 && caches[0].asked[12] == 1 << 20);
	must(vm_events[PGSCAN_DIRECT] == (1 << 21) - (1 << 8) && !vm_events[PGSTEAL_DIRECT]);
	must(vm_events[SLABS_SCANNED] == vm_events[PGSCAN_DIRECT]);
	caches[0].nr[0] = 3;
	must(try(GFP_KERNEL, 0, NULL) == 0 && caches[0].asked[0] == 32, "it is not worth less");
	must(vm_events[SLABS_SCANNED] == 13 * 3, "of which there are three");
}

static void nodes(void)
{
	nodemask_t mask = 1 << 0 | 1 << 3;
	int nid;

	start(4);
	for (nid = 0; nid < 4; nid++)
		caches[0].nr[nid] = 1000;
	must(try(GFP_KERNEL, 0, NULL) == 128 && caches[0].nodes == 15 && caches[0].scans == 4, "each node once");
	must(try(GFP_KERNEL, 0, &mask) == 64 && caches[0].nodes == mask);
	set_mems_allowed(1 << 3 | 1 << 2);
	must(try(GFP_KERNEL, 0, NULL) == 64 && caches[0].nodes == (1 << 3 | 1 << 2), "what the cpuset has");
	must(try(GFP_KERNEL, 0, &mask) == 32 && caches[0].nodes == 1 << 3);
}

static void on_one_node(void)
{
	start(5);
	must(node_reclaim(NODE_DATA(1), GFP_KERNEL, 0) == NODE_RECLAIM_FULL);
	caches[0].nr[1] = caches[1].nr[1] = 20;
	caches[0].nr[2] = 1000;
	forget();
	must(node_reclaim(NODE_DATA(1), GFP_NOWAIT, 0) == NODE_RECLAIM_NOSCAN);
	current->flags |= PF_MEMALLOC;
	must(node_reclaim(NODE_DATA(1), GFP_KERNEL, 0) == NODE_RECLAIM_NOSCAN);
	current->flags &= ~PF_MEMALLOC;
	NODE_DATA(1)->reclaiming = 1;
	must(node_reclaim(NODE_DATA(1), GFP_KERNEL, 0) == NODE_RECLAIM_NOSCAN && NODE_DATA(1)->reclaiming == 1);
	NODE_DATA(1)->reclaiming = 0;
	must(!caches[0].scans);
	must(node_reclaim(NODE_DATA(1), GFP_NOIO, 0) == NODE_RECLAIM_SOME && !NODE_DATA(1)->reclaiming);
	must(vm_events[ZONE_RECLAIM_FAILED] == 1 && !vm_events[ZONE_RECLAIM_SUCCESS] && vm_events[SLABS_SCANNED] == 20);
	caches[0].nr[1] = 12;
	must(node_reclaim(NODE_DATA(1), GFP_NOFS, 0) == NODE_RECLAIM_SUCCESS && vm_events[ZONE_RECLAIM_SUCCESS] == 1);
	must(caches[0].nodes == 1 << 1 && caches[0].nr[2] == 1000 && !(current->flags & PF_MEMALLOC));
	must(node_reclaim(NODE_DATA(2), GFP_KERNEL, 6) == NODE_RECLAIM_SUCCESS && caches[0].nr[2] <= 1000 - 64);
	/* That one has CPUs, and threads of its own. */
	topology.node_has_cpu |= 1 << 2;
	must(node_reclaim(NODE_DATA(2), GFP_KERNEL, 0) == NODE_RECLAIM_NOSCAN);
	caches[0].nr[1] = 1000;
	must(node_reclaim(NODE_DATA(1), GFP_KERNEL, 0) == NODE_RECLAIM_SUCCESS);
	must(zone_reclaimable_pages(zone_of(2)) == caches[0].nr[2] && zone_reclaimable_pages(zone_of(3)) == 0);
}

/* So many threads are in the scan at once; who comes then waits a while, and is told that there was progress. */
static sem_t inside, go;
static unsigned int at_once, most_at_once;

static unsigned long count_slow(int nid)
{
	(void)nid;
	return 100;
}
static unsigned long scan_slow(int nid, unsigned long nr)
{
	unsigned int now = atomic_add_return(&at_once, 1);

	(void)nid;
	if (now > READ_ONCE(most_at_once))
		WRITE_ONCE(most_at_once, now);
	sem_post(&inside);
	while (now <= 4 && sem_wait(&go))
		;
	atomic_sub_return(&at_once, 1);
	return nr;
}

static void start_slow(unsigned int cpus)
{
	static struct shrinker slow = { .name = "slow", .count = count_slow, .scan = scan_slow };

	start(1);
	register_shrinker(&slow);
	sem_init(&inside, 0, 0);
	sem_init(&go, 0, 0);
	pcp_share_lists(cpus);
}

static void *reclaimer(void *arg)
{
	*(unsigned long *)arg = try_to_free_pages(NODE_DATA(0)->node_zonelists[ZONELIST_FALLBACK], 0, GFP_KERNEL, NULL);
	return NULL;
}

/* No more than there are CPUs: who waits leaves his to them. */
static void throttled_on_one_cpu(void)
{
	unsigned long got;
	pthread_t t;

	start_slow(1);
	must(!pthread_create(&t, NULL, reclaimer, &got));
	while (sem_wait(&inside))
		;
	must(try(GFP_KERNEL, 0, NULL) == 1 && vm_events[PGSCAN_DIRECT_THROTTLE] == 1 && READ_ONCE(most_at_once) == 1);
	sem_post(&go);
	pthread_join(t, NULL);
}

static void throttled(void)
{
	unsigned long got[5], waited;
	pthread_t t[4];
	int i, status;

	start_slow(8);
	for (i = 0; i < 4; i++)
		must(!pthread_create(&t[i], NULL, reclaimer, &got[i]));
	for (i = 0; i < 4; i++)
		while (sem_wait(&inside))
			;
	must(try(GFP_KERNEL, 0, NULL) == 1 && vm_events[PGSCAN_DIRECT_THROTTLE] == 1 && vm_events[ALLOCSTALL] == 1);
	must(READ_ONCE(most_at_once) == 4 && NODE_DATA(0)->reclaimers == 4);
	if (!fork()) {
		vmscan_reinit_after_fork();
		_exit(NODE_DATA(0)->reclaimers != 0);
	}
	must(wait(&status) > 0 && status == 0, "the child waits for nobody");
	/* They may be stalled for good: then they are too many after all. */
	for (waited = 1; READ_ONCE(most_at_once) == 4; waited++) {
		must(waited < 100);
		reclaimer(&got[4]);
	}
	must(waited == 3, "%lu", waited);
	for (i = 0; i < 4; i++)
		sem_post(&go);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	must(got[1] >= 32 && NODE_DATA(0)->reclaimers == 0 && NODE_DATA(0)->throttled == 0);
	must(!current->reclaimer_of && !current->nr_throttled);
}

/* vm.zone_reclaim_mode: the near node is reclaimed before a far one serves. */
static void before_going_far(void)
{
	struct alloc_context ac = { .migratetype = MIGRATE_UNMOVABLE, .highest_zoneidx = ZONE_NORMAL };
	int nid;

	start(5);
	for (nid = 0; nid < 5; nid++) {
		grow(zone_of(nid), 1, MIGRATE_UNMOVABLE);
		set_marks(zone_of(nid), HUGE_MARK, HUGE_MARK, HUGE_MARK);
		caches[0].nr[nid] = 100;
	}
	no_more_growth();
	node_reclaim_mode = 1;
	ac.zonelist = NODE_DATA(1)->node_zonelists[ZONELIST_FALLBACK];
	reset_preferred(&ac);
	forget();
	must(!get_page_from_freelist(GFP_KERNEL, 0, ALLOC_WMARK_LOW, &ac), "it was not enough");
	must(caches[0].nodes == 0xf, "node 4 is too far: %#lx", caches[0].nodes);
	caches[0].nr[1] = 0;
	caches[0].nr[2] = 100; /* which comes before 0 */
	set_marks(zone_of(0), 0, 0, 0);
	forget();
	must(nid_of(get_page_from_freelist(GFP_KERNEL, 0, ALLOC_WMARK_LOW, &ac)) == 0 && caches[0].nodes == 4);
	forget();
	must(get_page_from_freelist(GFP_KERNEL, 0, ALLOC_NO_WATERMARKS, &ac) && !caches[0].nodes);
	set_marks(zone_of(0), HUGE_MARK, HUGE_MARK, HUGE_MARK);
	/* It may be little, as long as it is enough. */
	drain_all_pages();
	freed = take(zone_of(1), 0, MIGRATE_UNMOVABLE);
	set_marks(zone_of(1), 0, zone_of(1)->nr_free_pages, HUGE_MARK);
	caches[0].nr[1] = 1;
	must(nid_of(get_page_from_freelist(GFP_KERNEL, 0, ALLOC_WMARK_LOW, &ac)) == 1);
	set_marks(zone_of(1), HUGE_MARK, HUGE_MARK, HUGE_MARK);
	forget();
	node_reclaim_mode = 0;
	must(!get_page_from_freelist(GFP_KERNEL, 0, ALLOC_WMARK_LOW, &ac) && !caches[0].nodes);
}

/* The page allocator's own: what lies in CPUs' lists, and free pageblocks. */
static void built_in(void)
{
	struct zone *zone, *movable;
	unsigned long pages;
	struct page *page;

	start(1);
	zone = zone_of(0);
	movable = zone_at(0, ZONE_MOVABLE);
	page = alloc_pages(GFP_USER, 0);
	pages = nr_pcp_pages(zone);
	must(pages && zone_reclaimable_pages(zone) == pages);
	must(try(GFP_NOIO, 0, NULL) == pages && nr_pcp_pages(zone) == 0);
	zone_pcp_disable(zone);
	free_pages(page, 0);
	zone_trim(zone, 0);
	grow(movable, 2, MIGRATE_MOVABLE);
	pages = arena_stats.used;
	must(zone_reclaimable_pages(zone) == 2 * PAGEBLOCK_PAGES);
	must(try(GFP_NOIO, 0, NULL) == 2 * PAGEBLOCK_PAGES && arena_stats.used == pages - 2 && !movable->managed_pages);
}

static void caches_dropped(void)
{
	struct page *page;

	start(2);
	caches[0].nr[0] = caches[0].nr[1] = 1 << 14;
	caches[1].nr[0] = 5;
	page = alloc_pages(GFP_USER | GFP_MOVABLE, 9);
	memset(page_to_addr(page), 1, PAGEBLOCK_SIZE - PAGE_SIZE);
	free_pages(page, 9);
	forget();
	must(drop_caches(1) >= PAGEBLOCK_SIZE - PAGE_SIZE && arena_stats.dirty == 0 && !caches[0].scans);
	must(vm_events[DROP_PAGECACHE] == 1 && !vm_events[DROP_SLAB]);
	must(drop_caches(2) == 0 && !caches[0].nr[0] && !caches[0].nr[1], "it is free, but not given back");
	must(vm_events[DROP_PAGECACHE] == 1 && vm_events[DROP_SLAB] == 1 && !caches[1].nr[0]);
	must(vm_events[SLABS_SCANNED] >= 2 << 14);
	drop_caches(3);
	must(vm_events[DROP_PAGECACHE] == 2 && vm_events[DROP_SLAB] == 2);
	must(!(current->flags & PF_MEMALLOC));
}

/* What a request waits for is a stall, whichever way it came to that; what is asked for is none. */
static unsigned long count_app(void *arg, struct bm_shrink_control *sc)
{
	(void)arg, (void)sc;
	return 100;
}
static unsigned long scan_app(void *arg, struct bm_shrink_control *sc)
{
	(void)arg;
	os_sleep_ms(2);
	return sc->nr_to_scan;
}

static unsigned long stalled_us(void)
{
	struct out o;

	out_init(&o, -1);
	print_pressure(&o);
	return strtoul(strstr(o.buf, "total=") + 6, NULL, 10);
}

static void stalls(void)
{
	static const struct bm_shrinker_ops ops = { .count = count_app, .scan = scan_app };
	unsigned long before;

	start(1);
	must(register_shrinker_app("app", &ops, NULL, 2));
	must(try(GFP_KERNEL, 0, NULL) && (before = stalled_us()) >= 2000);
	must(shrink_application(GFP_KERNEL, 1) && stalled_us() >= before + 2000);
	before = stalled_us();
	drop_caches(2);
	must(stalled_us() == before && !(current->flags & (PF_MEMSTALL | PF_COUNT_RESIDENT)));
}

/* A boost stays until there is enough, or until nothing more can be had. */
static void boost(void)
{
	struct zone *zone;

	start(1);
	zone = zone_of(0);
	grow(zone, 2, MIGRATE_UNMOVABLE);
	set_marks(zone, 10, 20, 500);
	zone->watermark_boost = 600;
	wakeup_kswapd(zone, 0, 0, ZONE_NORMAL);
	must(zone->watermark_boost == 600);
	set_marks(zone, 10, 20, 400);
	wakeup_kswapd(zone, 0, 0, ZONE_NORMAL);
	must(zone->watermark_boost == 0, "there is enough");
	set_marks(zone, 10, 20, 500);
	zone->watermark_boost = 600;
	wakeup_kswapd(zone, GFP_KERNEL, 0, ZONE_NORMAL);
	must(zone->watermark_boost == 0, "there is no more");
}

/* Mixing migratetypes boosts the zone, and the boost lets it grow. */
static void boost_grows(void)
{
	struct zone *zone;
	struct page *page;
	bool clean;
	unsigned long pb;

	start(1);
	zone = zone_of(0);
	grow(zone, 4, MIGRATE_RECLAIMABLE);
	zone_pcp_disable(zone);
	min_free_kbytes = 400;
	setup_per_zone_wmarks();
	pb = arena_alloc(1, 1, PB_HUGE, 0, &clean);
	no_more_growth();
	while (zone->nr_free_pages > 400)
		must(take(zone, 4, MIGRATE_RECLAIMABLE));
	page = alloc_pages(QUIET, 4);
	must(page && zone->nr_fallback == 1 && zone->watermark_boost == PAGEBLOCK_PAGES);
	must(!(zone->flags & ZONE_BOOSTED_WATERMARK));
	arena_free(pb, 1, false);
	must(alloc_pages(QUIET, 4) && zone->managed_pages == 5 * PAGEBLOCK_PAGES && !zone->watermark_boost);
}

int main(void)
{
	run_case("shrinkers are asked as the request's rights allow", rights);
	run_case("more and more of them, until it is enough", effort);
	run_case("on the nodes that the request may use", nodes);
	run_case("so many threads at once, the others wait their turn", throttled);
	run_case("and no more than one a CPU", throttled_on_one_cpu);
	run_case("reclaim of one node", on_one_node);
	run_case("reclaim near by before going far", before_going_far);
	run_case("what the page allocator has itself", built_in);
	run_case("drop_caches", caches_dropped);
	run_case("reclaim is a stall, drop_caches is none", stalls);
	run_case("a boost stays until there is enough, or no more", boost);
	run_case("a boosted zone grows", boost_grows);
	return done_testing();
}
