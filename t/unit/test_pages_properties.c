/* SPDX-License-Identifier: MIT */
/*
 * Properties of the page allocator: everything coalesces again; NOFAIL is never NULL;
 * who may go how deep below the marks; whom the OOM step is for; how often who tries.
 */
#include <linux/mempolicy.h>
#include <pthread.h>

#include "mm/balance.h"
#include "mm/balance_inner.h"
#include "mm/memory_hotplug.h"
#include "mm/oom.h"
#include "mm/pcp.h"
#include "mm/vmscan.h"
#include "mm/vmstat.h"
#include "fake_sys.h"
#include "pages_census.h"

static struct zone *zone;

static void start(void)
{
	zone = pages_start();
}

static void shuffle(struct page **page, unsigned long nr)
{
	for (unsigned long i = nr; i > 1; i--) {
		unsigned long j = rnd(i);
		struct page *other = page[j];

		page[j] = page[i - 1];
		page[i - 1] = other;
	}
}

/*
 * All of a zone is allocated at random orders and freed in random order: the free lists are as at the start, and no
 * block that has a dirty page is taken for a clean one.
 */
#define NR_COALESCING 16384
static struct page *taken[NR_COALESCING];
static unsigned char taken_order[NR_COALESCING];
static bool was_dirty[NR_COALESCING]; /* by page frame */

static void free_lists(unsigned long nr[MAX_ORDER])
{
	for (unsigned int order = 0; order < MAX_ORDER; order++)
		nr[order] = zone->free_area[order].nr_free;
}

static unsigned long take_all(void)
{
	unsigned long nr = 0;

	while (zone->nr_free_pages) {
		unsigned int order = rnd(MAX_ORDER);
		enum migratetype mt = rnd(MIGRATE_PCPTYPES);
		struct page *page;

		mutex_lock(&zone->lock);
		while (!(page = rmqueue_buddy(zone, order, mt, 0)) && order)
			order--;
		mutex_unlock(&zone->lock);
		must(page && nr < NR_COALESCING, "%lu pages are free, and cannot be had", zone->nr_free_pages);
		taken_order[page_to_pfn(page) % NR_COALESCING] = (unsigned char)order;
		taken[nr++] = page;
	}
	return nr;
}

static void free_dirty(unsigned long pfn, unsigned int order, bool dirty)
{
	for (unsigned long i = 0; dirty && i < 1UL << order; i++)
		was_dirty[(pfn + i) % NR_COALESCING] = true;
	mutex_lock(&zone->lock);
	free_one_page(zone, pfn, order, dirty);
	mutex_unlock(&zone->lock);
}

static void check_dirt(void)
{
	for (unsigned int order = 0; order < MAX_ORDER; order++)
		for (unsigned int mt = 0; mt < MIGRATE_TYPES; mt++) {
			uint32_t pfn = zone->free_area[order].free_list[mt];

			for (; pfn != NO_PFN; pfn = pfn_to_page(pfn)->next)
				for (unsigned long i = 0; i < 1UL << order; i++)
					must(pfn_to_page(pfn)->flags & PG_DIRTY ||
						     !was_dirty[(pfn + i) % NR_COALESCING],
					     "page %lu of the block of order %u at %u is dirty, the block is not", i,
					     order, pfn);
		}
}

static void coalescing(void)
{
	unsigned long before[MAX_ORDER], after[MAX_ORDER], nr, i;

	start();
	for (i = 0; i < 8; i++)
		must(zone_grow(zone, rnd(2) ? MAX_ORDER - 1 : PAGEBLOCK_ORDER, rnd(MIGRATE_PCPTYPES)));
	must(zone->managed_pages <= NR_COALESCING);
	for (int round = 0; round < 10; round++) {
		free_lists(before);
		nr = take_all();
		shuffle(taken, nr);
		for (i = 0; i < nr; i++) {
			unsigned long pfn = page_to_pfn(taken[i]);

			free_dirty(pfn, taken_order[pfn % NR_COALESCING], taken[i]->flags & PG_DIRTY || rnd(1000) == 0);
		}
		check_zone(zone);
		check_dirt();
		free_lists(after);
		must(!memcmp(before, after, sizeof(before)), "after %lu blocks in round %d", nr, round);
	}
}

/* The same through the API: no pageblock stays behind in the zone. */
static void coalescing_api(void)
{
	static char *addr[4000];
	static unsigned int order[ARRAY_SIZE(addr)];
	unsigned long nr, i, j;

	start();
	for (nr = 0; nr < ARRAY_SIZE(addr); nr++) {
		order[nr] = rnd(4) ? rnd(3) : rnd(MAX_ORDER);
		addr[nr] = bm_alloc_pages(BM_GFP_KERNEL | (rnd(2) ? BM_GFP_RECLAIMABLE : 0), order[nr]);
		must(addr[nr]);
		if (nr % 1000 == 0)
			mm_trim(0);
	}
	for (i = nr; i > 0; i--) {
		j = rnd(i);
		bm_free_pages(addr[j], order[j]);
		addr[j] = addr[i - 1];
		order[j] = order[i - 1];
	}
	drain_all_pages();
	must(zone->nr_free_pages == zone->managed_pages &&
		     zone->nr_free_blocks == zone->managed_pages / PAGEBLOCK_PAGES,
	     "%lu pages, %lu free, in %lu whole pageblocks", zone->managed_pages, zone->nr_free_pages,
	     zone->nr_free_blocks);
	zone_trim(zone, 0);
	must(!zone->managed_pages && !arena_stats.used);
	check_arena();
}

/*
 * Memory that is used up: nothing grows, and there is none for requests with these flags.
 */
static char *kept[1 << 16];
static unsigned long nr_kept;

static void use_up(bm_gfp_t gfp, unsigned int max_order)
{
	unsigned int order = max_order + 1;
	char *addr;

	while (order-- > 0)
		while ((addr = bm_alloc_pages(gfp | BM_GFP_NOWARN, order))) {
			must(nr_kept < ARRAY_SIZE(kept));
			kept[nr_kept++] = addr;
		}
}

static void little_memory(void)
{
	start();
	for (int i = 0; i < 8; i++)
		must(zone_grow(zone, PAGEBLOCK_ORDER, MIGRATE_UNMOVABLE));
	fake_os_no_memory();
}

static unsigned long free_now(void)
{
	return zone->nr_free_pages + nr_pcp_pages(zone);
}

/*
 * NOFAIL, while another thread frees a block now and then. What it frees is counted before it is free.
 */
static unsigned long nr_given;
static bool enough;

static void *giver(void *arg)
{
	(void)arg;
	while (!READ_ONCE(enough)) {
		struct timespec ms = { 0, 1000000 };

		nanosleep(&ms, NULL);
		if (!nr_kept)
			continue;
		nr_kept--;
		atomic_add_return(&nr_given, 1UL << bm_page_order(kept[nr_kept]));
		bm_free_pages(kept[nr_kept], (unsigned int)bm_page_order(kept[nr_kept]));
	}
	return NULL;
}

static void nofail(void)
{
	unsigned long nr, max = steps(60);
	pthread_t thread;
	char *addr;

	little_memory();
	use_up(BM_GFP_KERNEL | BM_GFP_MEMALLOC, MAX_ORDER - 1);
	must(nr_kept && !free_now());
	must(!bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_NOWARN, 0), "without NOFAIL there is nothing");
	/* The largest blocks are freed last: of single pages there may be too few. */
	must(!pthread_create(&thread, NULL, giver, NULL));
	for (nr = 0; nr < max; nr++) {
		addr = bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_NOFAIL | (rnd(2) ? BM_GFP_MOVABLE : 0), rnd(2));
		must(addr, "NOFAIL allocation %lu", nr);
		must(atomic_add_return(&nr_given, 0) > nr, "memory that nobody freed");
		memset(addr, 1, PAGE_SIZE);
	}
	WRITE_ONCE(enough, true);
	pthread_join(thread, NULL);
	check_zone(zone);
}

/*
 * The OOM step.
 */
static void fails(bm_gfp_t gfp, unsigned int order, bool oom)
{
	unsigned long before = oom_calls;

	must(!bm_alloc_pages(gfp | BM_GFP_NOWARN, order), "gfp %#x, order %u", gfp, order);
	must((oom_calls > before) == oom, "gfp %#x, order %u: %lu calls of the OOM step", gfp, order,
	     oom_calls - before);
}

static void oom_step(void)
{
	unsigned int order;

	little_memory();
	use_up(BM_GFP_KERNEL | BM_GFP_MEMALLOC, MAX_ORDER - 1);
	for (order = 0; order <= PAGE_ALLOC_COSTLY_ORDER; order++)
		fails(BM_GFP_KERNEL, order, true);
	for (; order < MAX_ORDER; order++)
		fails(BM_GFP_KERNEL, order, false);
	fails(BM_GFP_KERNEL | BM_GFP_RETRY_MAYFAIL, 0, false);
	fails(BM_GFP_KERNEL | BM_GFP_NORETRY, 0, false);
	fails(BM_GFP_KERNEL | BM_GFP_THISNODE, 0, false);
	fails(BM_GFP_NOFS, 0, false);
	fails(BM_GFP_NOWAIT, 0, false);
	fails(BM_GFP_ATOMIC, 0, false);
	fails(BM_GFP_TRANSHUGE, PAGEBLOCK_ORDER, false);
}

/*
 * Below the marks: nobody gets what is kept for those who need it more.
 */
static void marks(void)
{
	static const bm_gfp_t deeper[] = { BM_GFP_KERNEL, BM_GFP_KERNEL | BM_GFP_HIGH, BM_GFP_ATOMIC,
					   BM_GFP_KERNEL | BM_GFP_MEMALLOC };
	unsigned long min, left[ARRAY_SIZE(deeper)], parts[ARRAY_SIZE(deeper)];
	unsigned int i;

	little_memory();
	min_free_kbytes = 2048;
	setup_per_zone_wmarks();
	min = zone->watermark[WMARK_MIN];
	must(min == 512 && zone->watermark[WMARK_LOW] > min && zone->watermark[WMARK_HIGH] > zone->watermark[WMARK_LOW],
	     "min %lu low %lu high %lu", min, zone->watermark[WMARK_LOW], zone->watermark[WMARK_HIGH]);
	parts[0] = min;
	parts[1] = min / 2;
	parts[2] = min / 2 - min / 8;
	parts[3] = 0;
	for (i = 0; i < ARRAY_SIZE(deeper); i++) {
		use_up(deeper[i], 0);
		left[i] = free_now();
		/* Lists are filled in batches, which may be one over. */
		must(left[i] <= parts[i] + 1 && left[i] + 40 >= parts[i], "gfp %#x leaves %lu pages, not %lu",
		     deeper[i], left[i], parts[i]);
		must(i == 0 || left[i] < left[i - 1], "gfp %#x leaves %lu pages, %#x left %lu", deeper[i], left[i],
		     deeper[i - 1], left[i - 1]);
	}
	check_zone(zone);
}

/* NOMEMALLOC takes what MEMALLOC, or the scope, would give. */
static void memalloc_scope(void)
{
	unsigned int saved;

	little_memory();
	min_free_kbytes = 2048;
	setup_per_zone_wmarks();
	use_up(BM_GFP_KERNEL, 0);
	saved = bm_memalloc_save(BM_SCOPE_NORECLAIM);
	must(!bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_NOMEMALLOC | BM_GFP_NOWARN, 0));
	must(bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_NOWARN, 0), "in the scope the reserve serves");
	bm_memalloc_restore(saved);
	must(!bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_NOWARN, 0), "and after it does not");
}

/*
 * How often reclaim is asked: its shrinker says that it made progress, up to a number of times, and never did.
 */
static unsigned long scans_left;

static unsigned long liar_count(int nid)
{
	(void)nid;
	return scans_left ? 1000 : 0;
}

static unsigned long liar_scan(int nid, unsigned long nr_pages)
{
	(void)nid;
	scans_left -= scans_left > 0;
	return nr_pages;
}

static unsigned long stalls(bm_gfp_t gfp, unsigned int order)
{
	unsigned long before = vm_events[ALLOCSTALL];

	scans_left = 200;
	must(!bm_alloc_pages(gfp | BM_GFP_NOWARN, order));
	return vm_events[ALLOCSTALL] - before;
}

static void retries(void)
{
	static struct shrinker liar = { .name = "liar", .count = liar_count, .scan = liar_scan };
	unsigned long nr;

	little_memory();
	use_up(BM_GFP_KERNEL | BM_GFP_MEMALLOC, MAX_ORDER - 1);
	register_shrinker(&liar);
	must((nr = stalls(BM_GFP_KERNEL | BM_GFP_NORETRY, 0)) == 1, "NORETRY: %lu rounds", nr);
	must((nr = stalls(BM_GFP_KERNEL, 5)) == 1, "a costly order: %lu rounds", nr);
	must((nr = stalls(BM_GFP_KERNEL, 0)) > 100, "KERNEL: %lu rounds", nr);
	must((nr = stalls(BM_GFP_KERNEL | BM_GFP_RETRY_MAYFAIL, 0)) > 100, "RETRY_MAYFAIL: %lu rounds", nr);
	must((nr = stalls(BM_GFP_KERNEL | BM_GFP_RETRY_MAYFAIL, 5)) > 1, "RETRY_MAYFAIL, costly: %lu rounds", nr);
	must((nr = stalls(BM_GFP_NOWAIT, 0)) == 0, "NOWAIT: %lu rounds", nr);
	must((nr = stalls(BM_GFP_ATOMIC, 0)) == 0, "ATOMIC: %lu rounds", nr);
}

/* One line, however often. */
static void order_too_large(void)
{
	start();
	for (int i = 0; i < 3; i++) {
		errno = 0;
		must(!bm_alloc_pages(BM_GFP_KERNEL, MAX_ORDER) && errno == EINVAL);
		must(!bm_alloc_pages_node(0, BM_GFP_KERNEL, MAX_ORDER + 7) && errno == EINVAL);
	}
}

static void warns_once(void)
{
	char said[1024];
	int status = fake_os_child(order_too_large, said, sizeof(said));

	if (!ok(!status && strstr(said, "order 11") && strchr(said, '\n') == said + strlen(said) - 1,
		"an order too large is said once"))
		diag("status %#x, said: %s", (unsigned int)status, said);
}

/*
 * Several nodes.
 */
static void four_nodes(void)
{
	fake_sys_init();
	fake_sys_nodes(4, 1);
	start();
	fake_sys_remove();
}

static int node_of_one(bm_gfp_t gfp, unsigned int order)
{
	void *addr = bm_alloc_pages(gfp, order);

	must(addr);
	return bm_page_node(addr);
}

static void policies(void)
{
	unsigned long nodes = 0xd, two = 0x4;
	unsigned int order;
	int i, nid, last;

	four_nodes();
	for (order = 0; order < MAX_ORDER; order++) {
		must((nid = node_of_one(BM_GFP_KERNEL, order)) == 1, "local: node %d", nid);
		for (i = 0; i < 4; i++)
			must((nid = bm_page_node(bm_alloc_pages_node(i, BM_GFP_KERNEL, order))) == i, "node %d: %d", i,
			     nid);
	}
	must(!bm_set_mempolicy(MPOL_BIND, &two, 64));
	for (order = 0; order < MAX_ORDER; order++)
		must((nid = node_of_one(BM_GFP_KERNEL, order)) == 2, "bind: node %d, order %u", nid, order);
	must(!bm_set_mempolicy(MPOL_PREFERRED, &two, 64));
	must((nid = node_of_one(BM_GFP_KERNEL, 0)) == 2, "preferred: node %d", nid);
	must((nid = node_of_one(BM_GFP_KERNEL | BM_GFP_THISNODE, 0)) == 1, "THISNODE knows no policy: node %d", nid);
	must(!bm_set_mempolicy(MPOL_INTERLEAVE, &nodes, 64));
	last = node_of_one(BM_GFP_KERNEL, 0);
	for (i = 0; i < 30; i++) {
		nid = node_of_one(BM_GFP_KERNEL, rnd(MAX_ORDER));
		must(nid == (last == 0	 ? 2
			     : last == 2 ? 3
					 : 0),
		     "interleave over 0, 2, 3: node %d after %d", nid, last);
		last = nid;
	}
	must(!bm_set_mempolicy(MPOL_DEFAULT, NULL, 0));
	must((nid = node_of_one(BM_GFP_KERNEL, 0)) == 1, "default again: node %d", nid);
}

int main(void)
{
	model_init();
	run_case("a zone coalesces fully", coalescing);
	run_case("so do zones through the API", coalescing_api);
	run_case("NOFAIL is never NULL", nofail);
	run_case("whom the OOM step is for", oom_step);
	run_case("depths below the marks", marks);
	run_case("the scope of who reclaims", memalloc_scope);
	run_case("who tries again", retries);
	warns_once();
	run_case("policies on four nodes", policies);
	return done_testing();
}
