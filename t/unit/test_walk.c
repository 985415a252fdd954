/* SPDX-License-Identifier: MIT */
/*
 * The walk of an allocation on made-up machines: the order of zones and nodes, growth, the marks and what lies below
 * them, the reserve for large requests that may not wait, reclaim on the near node, and what a new page is like.
 */
#include <pthread.h>

#include "mm/owner.h"
#include "mm/vmscan.h"
#include "walk.h"

static void zonelists(void)
{
	int first[4] = { 0 }, nid;
	unsigned int i;

	walk_start(4);
	for (nid = 0; nid < 4; nid++) {
		const struct zonelist *all = NODE_DATA(nid)->node_zonelists[ZONELIST_FALLBACK];
		const struct zonelist *one = NODE_DATA(nid)->node_zonelists[ZONELIST_NOFALLBACK];

		must(one->nr == MAX_NR_ZONES && all->nr == 4 * MAX_NR_ZONES && !all->zones[all->nr] &&
		     !one->zones[one->nr]);
		for (i = 0; i < one->nr; i++)
			must(one->zones[i] == all->zones[i] && one->zones[i]->nid == nid);
		for (i = 1; i < all->nr; i++) {
			const struct zone *before = all->zones[i - 1], *zone = all->zones[i];

			must(topology.distance[nid][zone->nid] >= topology.distance[nid][before->nid]);
			must(zone->nid == before->nid ? zone->idx < before->idx : zone->idx == ZONE_MOVABLE);
		}
		first[all->zones[MAX_NR_ZONES]->nid]++;
	}
	for (nid = 0; nid < 4; nid++)
		must(first[nid] <= 2, "equally near nodes take turns in being first");
}

/* Two blocks a node, taken in order of distance from node 1. */
static void distance(void)
{
	static const int at_distance[] = { 10, 10, 20, 20, 20, 20, 30, 30 };
	struct zone *local;
	unsigned int i;
	int nid;

	walk_start(4);
	for (nid = 0; nid < 4; nid++)
		grow(zone_of(nid), 1, MIGRATE_UNMOVABLE);
	no_more_growth();
	local = zone_of(1);
	for (i = 0; i < ARRAY_SIZE(at_distance); i++) {
		nid = nid_of(alloc_pages(QUIET, PAGEBLOCK_ORDER - 1));
		must(nid >= 0 && topology.distance[1][nid] == at_distance[i], "block %u from node %d", i, nid);
		if (i == 1)
			must(!alloc_pages(QUIET | GFP_THISNODE, PAGEBLOCK_ORDER - 1), "THISNODE or nothing");
	}
	must(!alloc_pages(QUIET, PAGEBLOCK_ORDER - 1));
	must(local->numa[NUMA_HIT] + local->nr_alloc_fast == 2 && local->numa[NUMA_FOREIGN] == 6);
	must(zone_of(3)->numa[NUMA_MISS] == 2 && zone_of(3)->numa[NUMA_OTHER] == 2 && !zone_of(3)->numa[NUMA_HIT]);
}

/* Only the highest zone that a request may have grows for it; the lower ones serve with what they have. */
static void growth(void)
{
	struct zone *normal, *movable;

	walk_start(1);
	normal = zone_of(0);
	movable = &NODE_DATA(0)->node_zones[ZONE_MOVABLE];
	must(pfn_to_zone(page_to_pfn(alloc_pages(GFP_USER, 4))) == normal && normal->nr_grown == 1 &&
	     !movable->nr_grown);
	must(pfn_to_zone(page_to_pfn(alloc_pages(GFP_USER | GFP_MOVABLE, 4))) == movable && movable->nr_grown == 1);
	must(normal->nr_grown == 1);
	no_more_growth();
	while (alloc_pages_nodemask(QUIET | GFP_MOVABLE, 8, 0, NULL))
		;
	must(normal->nr_free_pages < PAGEBLOCK_PAGES / 2, "movable requests were served from Normal");
	must(!alloc_pages(QUIET, 8));
}

/* The system takes its time. */
static long slow_mprotect(void *addr, size_t len, int prot)
{
	usleep(20000);
	return os_linux.mprotect(addr, len, prot);
}

static pthread_barrier_t all_there;

static void *take_one(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&all_there);
	return alloc_pages(GFP_KERNEL, 1);
}

static void grows_once(void)
{
	static struct os_ops slow_os;
	pthread_t threads[4];
	void *page;

	walk_start(1);
	slow_os = *os;
	slow_os.mprotect = slow_mprotect;
	os = &slow_os;
	pthread_barrier_init(&all_there, NULL, ARRAY_SIZE(threads));
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		must(!pthread_create(&threads[i], NULL, take_one, NULL));
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		must(!pthread_join(threads[i], &page) && page);
	must(zone_of(0)->nr_grown == 1, "%lu times", zone_of(0)->nr_grown);
}

/* Node 1 has room among reclaimable pages, node 0 a whole pageblock: near goes before pure. */
static void near_before_pure(void)
{
	struct page *page;

	walk_start(2);
	grow(zone_of(1), 1, MIGRATE_RECLAIMABLE);
	must(nid_of(alloc_pages(QUIET | GFP_RECLAIMABLE | GFP_THISNODE, 4)) == 1);
	grow(zone_of(0), 1, MIGRATE_UNMOVABLE);
	no_more_growth();
	page = alloc_pages(QUIET, 4);
	must(nid_of(page) == 1, "from node %d", nid_of(page));
	must(zone_of(1)->nr_fallback == 1);
}

/* What will be written is kept from a node that has much more in use than the other. */
static void spreading(void)
{
	int i;

	walk_start(2);
	for (i = 0; i < 12; i++)
		must(nid_of(alloc_pages(GFP_USER, PAGEBLOCK_ORDER)) == 1);
	must(nid_of(alloc_pages(GFP_USER, 5)) == 1);
	must(nid_of(alloc_pages(GFP_USER | GFP_WRITE, 5)) == 0, "spread");
	must(nid_of(alloc_pages(GFP_USER | GFP_WRITE | GFP_THISNODE, 5)) == 1, "but not refused");
}

/* The fewest free pages with which a request is served. */
static unsigned long fewest(const struct zone *zone, unsigned int order, unsigned int alloc_flags)
{
	unsigned long free_pages = 0;

	while (!zone_watermark_ok_pages(zone, order, 800, ZONE_NORMAL, alloc_flags, free_pages))
		must(++free_pages < 10000);
	return free_pages;
}

static void below_the_marks(void)
{
	static struct zone zone;

	walk_start(1);
	must(fewest(&zone, 0, 0) == 801 && fewest(&zone, 0, ALLOC_HIGH) == 401 &&
	     fewest(&zone, 0, ALLOC_HARDER) == 601);
	must(fewest(&zone, 0, ALLOC_HIGH | ALLOC_HARDER) == 301 && fewest(&zone, 0, ALLOC_OOM) == 401);
	must(fewest(&zone, 0, ALLOC_HIGH | ALLOC_OOM) == 201);
	zone.lowmem_reserve[ZONE_NORMAL] = 50;
	must(fewest(&zone, 0, 0) == 851 && fewest(&zone, 0, ALLOC_HARDER) == 651);
	zone.lowmem_reserve[ZONE_NORMAL] = 0;
	zone.nr_reserved_highatomic = 30;
	must(fewest(&zone, 0, 0) == 831 && fewest(&zone, 0, ALLOC_HARDER) == 601 && fewest(&zone, 0, ALLOC_OOM) == 401);
	zone.nr_reserved_highatomic = 0;
	zone.nr_free_cma = 20;
	must(fewest(&zone, 0, 0) == 821 && fewest(&zone, 0, ALLOC_CMA) == 801);
	zone.nr_free_cma = 0;
	/* A block of the order there must be, too, of a kind that the request may have. */
	zone.nr_free_pages = HUGE_MARK;
	must(!zone_watermark_ok(&zone, 3, 0, ZONE_NORMAL, 0));
	zone.free_area[5].nr_free = 1;
	zone.free_area[5].free_list[MIGRATE_HIGHATOMIC] = 1;
	must(!zone_watermark_ok(&zone, 3, 0, ZONE_NORMAL, 0) &&
	     zone_watermark_ok(&zone, 3, 0, ZONE_NORMAL, ALLOC_HARDER));
	zone.free_area[5].free_list[MIGRATE_CMA] = 1;
	must(!zone_watermark_ok(&zone, 3, 0, ZONE_NORMAL, 0) && zone_watermark_ok(&zone, 3, 0, ZONE_NORMAL, ALLOC_CMA));
	zone.free_area[5].free_list[MIGRATE_MOVABLE] = 1;
	must(zone_watermark_ok(&zone, 3, 0, ZONE_NORMAL, 0) && !zone_watermark_ok(&zone, 6, 0, ZONE_NORMAL, 0));
	must(fewest(&zone, 3, 0) == 808);
}

static void marks_by_size(void)
{
	struct zone *zone;

	walk_start(2);
	zone = zone_of(1);
	grow(zone_of(0), 1, MIGRATE_UNMOVABLE);
	grow(zone, 3, MIGRATE_UNMOVABLE);
	grow(&NODE_DATA(1)->node_zones[ZONE_MOVABLE], 4, MIGRATE_MOVABLE);
	must(!zone->watermark[WMARK_HIGH] && !zone->lowmem_reserve[ZONE_MOVABLE], "no limit is in force");
	min_free_kbytes = 4096;
	setup_per_zone_wmarks();
	must(zone->watermark[WMARK_MIN] == 1024 * 3 / 8 && zone_of(0)->watermark[WMARK_MIN] == 1024 / 8);
	must(zone->watermark[WMARK_LOW] == 384 + 96 && zone->watermark[WMARK_HIGH] == 384 + 2 * 96);
	watermark_scale_factor = 1000;
	setup_per_zone_wmarks();
	must(zone->watermark[WMARK_LOW] == 384 + 3 * PAGEBLOCK_PAGES / 10);
	must(zone->lowmem_reserve[ZONE_MOVABLE] == 4 * PAGEBLOCK_PAGES / 32 && !zone->lowmem_reserve[ZONE_NORMAL]);
	grow(zone, 1, MIGRATE_UNMOVABLE);
	must(zone->watermark[WMARK_MIN] == 1024 * 4 / 9, "growth is noticed");
	min_free_kbytes = 0;
	setup_per_zone_wmarks();
	must(!zone->watermark[WMARK_HIGH] && !zone->lowmem_reserve[ZONE_MOVABLE]);
}

static void boost(void)
{
	struct zone *zone;

	walk_start(1);
	zone = zone_of(0);
	grow(zone, 8, MIGRATE_UNMOVABLE);
	no_more_growth();
	must(!boost_watermark(zone), "no marks, no boost");
	set_marks(zone, 10, 1000, 1000);
	must(boost_watermark(zone) && zone->watermark_boost == PAGEBLOCK_PAGES);
	must(wmark_pages(zone, ALLOC_WMARK_MIN) == 10 + PAGEBLOCK_PAGES);
	must(boost_watermark(zone) && boost_watermark(zone) && zone->watermark_boost == 1500);
	watermark_boost_factor = 0;
	must(!boost_watermark(zone));
	/* One who cannot wait is not refused for it; another is. */
	zone->watermark_boost = HUGE_MARK;
	must(!alloc_pages(GFP_NOWARN, 0) && alloc_pages(GFP_ATOMIC_BIT | GFP_NOWARN, 0));
	must(zone->watermark_boost == HUGE_MARK);
	zone->watermark_boost = 512;
	zone->flags |= ZONE_BOOSTED_WATERMARK;
	must(alloc_pages(QUIET, 4) && !zone->watermark_boost && !(zone->flags & ZONE_BOOSTED_WATERMARK));
}

/* A pageblock is kept once a large request that may not wait came below the low mark. */
static void highatomic(void)
{
	struct alloc_context ac = { .migratetype = MIGRATE_UNMOVABLE, .highest_zoneidx = ZONE_NORMAL };
	struct page *page, *next;
	struct zone *zone;
	unsigned long pb;

	walk_start(1);
	zone = zone_of(0);
	grow(zone, 8, MIGRATE_UNMOVABLE);
	no_more_growth();
	must(alloc_pages(GFP_ATOMIC, 4) && !zone->nr_reserved_highatomic);
	set_marks(zone, 10, HUGE_MARK, HUGE_MARK);
	page = alloc_pages(GFP_ATOMIC, 4);
	pb = page_to_pfn(page) >> PAGEBLOCK_ORDER;
	must(zone->nr_reserved_highatomic == PAGEBLOCK_PAGES);
	must(get_pageblock_migratetype(page_to_pfn(page)) == MIGRATE_HIGHATOMIC);
	while ((next = alloc_pages(QUIET, 4)))
		must(page_to_pfn(next) >> PAGEBLOCK_ORDER != pb, "not for everybody");
	next = alloc_pages(GFP_ATOMIC, 4);
	must(next && page_to_pfn(next) >> PAGEBLOCK_ORDER == pb);
	check_zone(zone);
	/* It is given up before all is lost. */
	ac.zonelist = NODE_DATA(0)->node_zonelists[ZONELIST_FALLBACK];
	reset_preferred(&ac);
	must(!unreserve_highatomic_pageblock(&ac, false), "the last one is kept");
	must(unreserve_highatomic_pageblock(&ac, true) && !zone->nr_reserved_highatomic);
	must(alloc_pages(QUIET, 4));
	check_zone(zone);
}

/* A cache of node 1: with its block free the zone is above its mark. */
static struct page *cached;
static int scanned;

static unsigned long count_cached(int nid)
{
	return nid == 1 && cached ? 256 : 0;
}

static unsigned long scan_cached(int nid, unsigned long nr_pages)
{
	(void)nid;
	(void)nr_pages;
	scanned++;
	free_pages(cached, 8);
	cached = NULL;
	return 256;
}

static void near_reclaim(void)
{
	static struct shrinker cache = { .name = "cache", .count = count_cached, .scan = scan_cached };
	struct alloc_context ac = { .migratetype = MIGRATE_UNMOVABLE, .highest_zoneidx = ZONE_NORMAL };

	walk_start(5);
	grow(zone_of(1), 1, MIGRATE_UNMOVABLE);
	cached = alloc_pages(GFP_USER, 8);
	no_more_growth();
	set_marks(zone_of(1), 300, 300, 300);
	register_shrinker(&cache);
	ac.zonelist = NODE_DATA(1)->node_zonelists[ZONELIST_FALLBACK];
	reset_preferred(&ac);
	must(!get_page_from_freelist(GFP_KERNEL, 0, ALLOC_WMARK_LOW, &ac) && !scanned, "vm.zone_reclaim_mode is 0");
	node_reclaim_mode = 1;
	must(!get_page_from_freelist(GFP_NOWAIT, 0, ALLOC_WMARK_LOW, &ac) && !scanned);
	must(get_page_from_freelist(GFP_KERNEL, 0, ALLOC_WMARK_LOW, &ac) && scanned == 1);
	must(zone_allows_reclaim(zone_of(1), zone_of(3)) && !zone_allows_reclaim(zone_of(1), zone_of(4)), "too far");
	must(node_reclaim(NODE_DATA(4), GFP_KERNEL, 0) == NODE_RECLAIM_FULL);
	must(node_reclaim(NODE_DATA(1), GFP_NOWAIT, 0) == NODE_RECLAIM_NOSCAN, "it may not wait");
	cached = alloc_pages(GFP_USER | GFP_MEMALLOC, 8);
	NODE_DATA(1)->reclaiming = 1;
	must(node_reclaim(NODE_DATA(1), GFP_KERNEL, 0) == NODE_RECLAIM_NOSCAN, "one thread a node");
	NODE_DATA(1)->reclaiming = 0;
	must(node_reclaim(NODE_DATA(1), GFP_KERNEL, 0) == NODE_RECLAIM_SUCCESS);
}

static void new_pages(void)
{
	struct page *page;
	struct zone *zone;
	char *p;

	walk_start(1);
	zone = zone_of(0);
	page = alloc_pages(GFP_USER | GFP_COMP, 3);
	must(page->refcount == 1 && page->flags & PG_COMPOUND && page->order == 3 && !(page->flags & PG_PFMEMALLOC));
	must(page_type(&page[7]) == PAGE_TAIL && compound_head(&page[7]) == page && compound_head(page) == page);
	must(page->owner == 0);
	owner_accounting_enable();
	must(!owner_charge_blocks(page, 1, 3, GFP_USER) && page->owner);
	page->refcount++;
	free_pages(page, 3);
	must(page->refcount == 1 && page_type(&page[7]) == PAGE_TAIL, "somebody has a reference yet");
	free_pages(page, 3);
	must(page->refcount == 0 && page_type(&page[7]) != PAGE_TAIL);
	must(alloc_pages(GFP_USER, 3) == page && page->owner == 0, "nobody is charged for what is new");
	page = alloc_pages(GFP_USER, 4);
	must(!(page->flags & (PG_COMPOUND | PG_DIRTY)), "clean: nobody has had it");
	p = page_to_addr(page);
	memset(p, 1, PAGE_SIZE << 4);
	free_pages(page, 4);
	must(alloc_pages(GFP_USER | GFP_ZERO, 4) == page && all_zero(p, PAGE_SIZE << 4));
	no_more_growth();
	set_marks(zone, HUGE_MARK, HUGE_MARK, HUGE_MARK);
	free_pages(page, 4);
	must(!alloc_pages(QUIET, 4));
	must((page = alloc_pages(QUIET | GFP_MEMALLOC, 4)) && page->flags & PG_PFMEMALLOC, "from the reserve");
	must(!alloc_pages(QUIET | GFP_MEMALLOC | GFP_NOMEMALLOC, 4));
	set_marks(zone, 0, 0, 0);
	free_pages(page, 4);
	must((page = alloc_pages(QUIET, 4)) && !(page->flags & PG_PFMEMALLOC));
	check_zone(zone);
}

/* Before the process is set up nobody waits or reclaims, whatever the flags say. */
static void before_the_start(void)
{
	model_native();
	must(!mm_init());
	must(gfp_allowed_mask == GFP_BOOT_MASK);
	must(alloc_pages(GFP_KERNEL, 0));
	no_more_growth();
	while (alloc_pages(GFP_KERNEL | GFP_NOWARN, 0))
		;
	must(!vm_events[ALLOCSTALL]);
	mm_init_late();
	must(!alloc_pages(GFP_KERNEL | GFP_NOWARN, 0) && vm_events[ALLOCSTALL]);
}

int main(void)
{
	model_init();
	run_case("zonelists: the own zones from the highest, then the other nodes by distance", zonelists);
	run_case("blocks come from the nearest node that has any; THISNODE from none but it", distance);
	run_case("the highest zone of the request grows, the lower ones help out", growth);
	run_case("threads that find it empty together make it grow once", grows_once);
	run_case("rather mixed migratetypes near by than pure ones far away", near_before_pure);
	run_case("WRITE spreads over the nodes", spreading);
	run_case("what each right leaves of the mark, the reserves, the orders", below_the_marks);
	run_case("marks and lowmem reserves go by the sizes of the zones", marks_by_size);
	run_case("a boost raises the marks, but not for those who cannot wait, and ends", boost);
	run_case("pageblocks are kept for large requests that may not wait", highatomic);
	run_case("reclaim on the near node before going to a far one", near_reclaim);
	run_case("new pages: count, compound, zeroed, from the reserve", new_pages);
	run_case("before the start nobody waits", before_the_start);
	return done_testing();
}
