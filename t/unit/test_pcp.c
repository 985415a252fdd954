/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU lists: filled and drained by halves, bounded by what they hold, passed by when held or closed; the short way
 * that single pages take; and random operations, with the lists looked through after each.
 */
#include <sched.h>

#include "mm/pcp.h"
#include "mm/vmstat.h"
#include "model.h"

#define NR_PAGES 600

static struct zone *zone;

/* One CPU, so that it is known whose lists are used. */
static struct per_cpu_pages *start(void)
{
	cpu_set_t one;
	int cpu = sched_getcpu();

	CPU_ZERO(&one);
	CPU_SET((unsigned int)cpu, &one);
	must(!sched_setaffinity(0, sizeof(one), &one));
	zone = model_start();
	return &zone->pageset[os_cpu_id_fast()];
}

static long count_of(const struct per_cpu_pages *pcp, unsigned int order, enum migratetype mt)
{
	return pcp->lists[pcp_index(order, mt)].count;
}

/* Each block in a list is one that a user had, but for its count; none is there twice. */
static void check_pcp(struct per_cpu_pages *pcp)
{
	static const unsigned int capacity[] = { PCP_SLOTS_0, PCP_SLOTS_1, PCP_SLOTS_2, PCP_SLOTS_3, PCP_SLOTS_9 };
	struct page **slots = pcp->slots;
	unsigned int mt, i;

	for (mt = 0; mt < MIGRATE_PCPTYPES; mt++)
		for (i = 0; i < NR_PCP_ORDERS; slots += capacity[i++]) {
			unsigned int order = pcp_order(i);
			long n, count = count_of(pcp, order, mt);

			must(count >= 0 && count <= (long)capacity[i]);
			for (n = 0; n < count; n++) {
				must(slots[n]->word == pcp_word(zone, order, mt, 0), "order %u type %u", order, mt);
				must(is_aligned(page_to_pfn(slots[n]), 1UL << order));
				slots[n]->refcount = 7;
			}
			for (n = 0; n < count; n++) {
				must(slots[n]->refcount == 7);
				slots[n]->refcount = 0;
			}
		}
	check_zone(zone);
}

static void halves(void)
{
	struct per_cpu_pages *pcp = start();
	static struct page *page[NR_PAGES];
	int i, high = PCP_SLOTS_0, half = PCP_SLOTS_0 / 2;
	unsigned long before;

	page[0] = alloc_pages(GFP_USER, 0);
	must(count_of(pcp, 0, 0) == half - 1, "half a list, less the one");
	before = zone->nr_free_pages;
	for (i = 1; i < half; i++)
		page[i] = alloc_pages(GFP_USER, 0);
	must(count_of(pcp, 0, 0) == 0 && zone->nr_free_pages == before, "the list served without the zone");
	page[half] = alloc_pages(GFP_USER, 0);
	must(count_of(pcp, 0, 0) == half - 1 && zone->nr_free_pages == before - (unsigned long)half);
	for (i = half + 1; i < 2 * high; i++)
		page[i] = alloc_pages(GFP_USER, 0);
	check_pcp(pcp);
	drain_all_pages();
	for (i = 0; i < high; i++)
		free_pages(page[i], 0);
	must(count_of(pcp, 0, 0) == high);
	before = zone->nr_free_pages;
	free_pages(page[high], 0);
	must(count_of(pcp, 0, 0) == half + 1, "of a full list the older half goes home");
	must(zone->nr_free_pages == before + (unsigned long)half);
	must(alloc_pages(GFP_USER, 0) == page[high] && alloc_pages(GFP_USER, 0) == page[high - 1], "not the newer");
	free_pages(page[high], 0);
	free_pages(page[high - 1], 0);
	check_pcp(pcp);
	for (i = high + 1; i < 2 * high; i++)
		free_pages(page[i], 0);
	check_pcp(pcp);
	i = (int)nr_pcp_pages(zone);
	must(drain_all_pages() == (unsigned long)i && count_of(pcp, 0, 0) == 0 && nr_pcp_pages(zone) == 0);
	check_pcp(pcp);
}

static void orders(void)
{
	struct per_cpu_pages *pcp = start();
	struct page *page;
	unsigned int i;

	for (i = 0; i < NR_PCP_ORDERS; i++) {
		unsigned int order = pcp_order(i);

		page = alloc_pages(GFP_USER | GFP_RECLAIMABLE, order);
		must(page && is_aligned(page_to_pfn(page), 1UL << order));
		must(order == PAGEBLOCK_ORDER || count_of(pcp, order, MIGRATE_RECLAIMABLE) > 0);
		drain_all_pages();
		free_pages(page, order);
		must(count_of(pcp, order, MIGRATE_RECLAIMABLE) == 1);
		must(alloc_pages(GFP_USER | GFP_RECLAIMABLE, order) == page, "last in, first out");
		must(page->flags & PG_DIRTY, "what comes from a user is dirty");
		free_pages(page, order);
		drain_all_pages();
	}
	page = alloc_pages(GFP_USER, PCP_MAX_ORDER + 1);
	must(nr_pcp_pages(zone) == 0, "larger orders pass by");
	free_pages(page, PCP_MAX_ORDER + 1);
	must(nr_pcp_pages(zone) == 0);
	/* Types do not mix in the lists. */
	page = alloc_pages(GFP_USER, 0);
	drain_all_pages();
	free_pages(page, 0);
	must(alloc_pages(GFP_USER | GFP_RECLAIMABLE, 0) != page);
	check_pcp(pcp);
}

/* Somebody holds the lists: both ways lead to the zone, and nobody waits. */
static void busy(void)
{
	struct per_cpu_pages *pcp = start();
	struct per_cpu_list *list = &pcp->lists[0];
	struct page *page[2];
	unsigned long free_before;
	long count;

	page[0] = alloc_pages(GFP_USER, 0);
	count = list->count;
	free_before = zone->nr_free_pages;
	list->count = PCP_TAKEN;
	page[1] = alloc_pages(GFP_USER, 0);
	must(page[1] && list->count == PCP_TAKEN && zone->nr_free_pages == free_before - 1);
	free_pages(page[0], 0);
	must(list->count == PCP_TAKEN && zone->nr_free_pages == free_before);
	must(drain_all_pages() == 0 && list->count == PCP_TAKEN);
	list->count = count;
	free_pages(page[1], 0);
	must(list->count == count + 1);
	check_pcp(pcp);
}

/* Somebody takes the list while it is to be filled: what came from the zone goes back there, but for the one. */
static struct per_cpu_list *taken_meanwhile;

struct page *__real_rmqueue_buddy(struct zone *z, unsigned int order, enum migratetype mt, unsigned int alloc_flags);
struct page *__wrap_rmqueue_buddy(struct zone *z, unsigned int order, enum migratetype mt, unsigned int alloc_flags);
struct page *__wrap_rmqueue_buddy(struct zone *z, unsigned int order, enum migratetype mt, unsigned int alloc_flags)
{
	if (taken_meanwhile)
		taken_meanwhile->count = PCP_TAKEN;
	return __real_rmqueue_buddy(z, order, mt, alloc_flags);
}

static void busy_when_filled(void)
{
	struct per_cpu_pages *pcp = start();
	struct page *page;

	must(alloc_pages(GFP_USER, PCP_MAX_ORDER + 1));
	must(zone_pages_allocated(zone) == 16 && zone_numa_stat(zone, NUMA_HIT) == 1);
	taken_meanwhile = &pcp->lists[0];
	page = alloc_pages(GFP_USER, 0);
	must(page && page->refcount == 1 && taken_meanwhile->count == PCP_TAKEN);
	must(zone->nr_free_pages == PAGEBLOCK_PAGES - 17);
	must(zone_pages_allocated(zone) == 17 && zone_numa_stat(zone, NUMA_HIT) == 2, "it is counted all the same");
	taken_meanwhile->count = 0;
	taken_meanwhile = NULL;
	check_pcp(pcp);
}

/* Lists that are closed stay empty, and are as they were when they are opened again. */
static void disabled(void)
{
	struct per_cpu_pages *pcp = start();
	struct page *page = alloc_pages(GFP_USER, 0), *other;

	must(count_of(pcp, 0, 0) > 0);
	zone_pcp_disable(zone);
	must(nr_pcp_pages(zone) == 0);
	other = alloc_pages(GFP_USER, 0);
	must(other && nr_pcp_pages(zone) == 0, "no refill");
	must(!free_block_fast(page, 0), "the short way is closed");
	free_pages(page, 0);
	must(nr_pcp_pages(zone) == 0);
	zone_pcp_disable(zone);
	zone_pcp_enable(zone);
	free_pages(other, 0);
	must(nr_pcp_pages(zone) == 0, "it nests");
	zone_pcp_enable(zone);
	page = alloc_pages(GFP_USER, 0);
	must(count_of(pcp, 0, 0) > 0);
	free_pages(page, 0);
	check_pcp(pcp);
}

static void short_way(void)
{
	struct per_cpu_pages *pcp = start();
	struct page *page = NULL, *other;
	long count;

	must(gfp_fast_limit == GFP_FAST_LIMIT);
	must(alloc_pages(GFP_USER, 1));
	must(!alloc_block_fast(0, &page) && !page, "an empty list");
	page = alloc_pages(GFP_USER, 0);
	count = count_of(pcp, 0, 0);
	must(alloc_block_fast(0, &other) && other != page && other->refcount == 1 && count_of(pcp, 0, 0) == count - 1);
	must(free_block_fast(other, 0) && other->refcount == 0 && count_of(pcp, 0, 0) == count);
	must(!free_block_fast(other, 0), "freed twice");
	page->refcount = 2;
	must(!free_block_fast(page, 0), "a page that somebody else refers to");
	page->refcount = 1;
	other = alloc_pages(GFP_USER | GFP_RECLAIMABLE, 0);
	must(!free_block_fast(other, 0), "a page of another type");
	while (free_block_fast(page, 0)) {
		page = NULL;
		if (count_of(pcp, 0, 0) == PCP_SLOTS_0)
			break;
		zone_pcp_disable(zone);
		page = alloc_pages(GFP_USER, 0);
		zone_pcp_enable(zone);
		page->word = pcp_word(zone, 0, 0, 1);
	}
	check_pcp(pcp);
	pcp_fast_close();
	must(gfp_fast_limit == 0 && nr_pcp_pages(zone) == 0);
	must(alloc_pages(GFP_USER, 0) && nr_pcp_pages(zone) == 0, "closed for good");
}

static void random_operations(void)
{
	static struct page *page[NR_PAGES];
	static unsigned int order[NR_PAGES];
	struct per_cpu_pages *pcp = start();
	unsigned long i, held = 0;

	for (i = steps(30000); i; i--) {
		unsigned int n = rnd(NR_PAGES);

		if (page[n]) {
			must(*(unsigned int *)page_to_addr(page[n]) == n, "page %u was written to", n);
			free_pages(page[n], order[n]);
			held -= 1UL << order[n];
			page[n] = NULL;
		} else {
			order[n] = pcp_order(rnd(rnd(20) ? PCP_MAX_ORDER + 1 : NR_PCP_ORDERS));
			page[n] = alloc_pages(GFP_USER | (rnd(2) ? GFP_RECLAIMABLE : 0), order[n]);
			must(page[n]);
			*(unsigned int *)page_to_addr(page[n]) = n;
			held += 1UL << order[n];
		}
		if (!rnd(500))
			drain_all_pages();
		if (!rnd(50))
			check_pcp(pcp);
		must(zone->managed_pages == zone->nr_free_pages + nr_pcp_pages(zone) + held);
	}
}

/* What is freed by the lists alone goes back as any other does. */
static void giving_back(void)
{
	static struct page *page[64 * PAGEBLOCK_PAGES];
	unsigned int order, i;

	start();
	for (order = 0; order <= PCP_MAX_ORDER; order++) {
		unsigned int nr = ARRAY_SIZE(page) >> order;

		for (i = 0; i < nr; i++)
			must((page[i] = alloc_pages(GFP_USER, order)));
		for (i = 0; i < nr; i++)
			free_pages(page[i], order);
		must(zone->managed_pages <= 8 * PAGEBLOCK_PAGES, "%lu pages stay", zone->managed_pages);
	}
}

/* A thread that forks holds every list itself. */
static void forking(void)
{
	struct per_cpu_pages *pcp = start();
	long count;

	must(alloc_pages(GFP_USER, 0));
	count = count_of(pcp, 0, 0);
	zones_lock_all();
	mutex_hold_for_fork(true);
	percpu_pagelist_high_fraction = 8;
	must(alloc_pages(GFP_USER, PAGEBLOCK_ORDER + 1), "the zone grows");
	zone_pcp_disable(zone);
	zone_pcp_enable(zone);
	mutex_hold_for_fork(false);
	zones_unlock_all();
	must(count_of(pcp, 0, 0) == count && count);
	check_pcp(pcp);
}

static struct per_cpu_list *held_list;
static bool forks;

/* A holder who runs only while nobody of a higher priority does. */
void __wrap_os_sleep_ms(unsigned int ms);
void __wrap_os_sleep_ms(unsigned int ms)
{
	(void)ms;
	must(held_list && held_list->count == PCP_TAKEN && (!forks || zone->lock.state));
	WRITE_ONCE(held_list->count, 0);
	held_list = NULL;
}

static void holder_does_not_run(void)
{
	held_list = &start()->lists[0];
	must(xchg(&held_list->count, PCP_TAKEN) == 0);
	zone_pcp_disable(zone);
	must(!held_list);
	zone_pcp_enable(zone);
	/* No zone gets its lists while fork takes them. */
	forks = true;
	held_list = &zone->pageset[0].lists[0];
	must(xchg(&held_list->count, PCP_TAKEN) == 0);
	zones_lock_all();
	must(!held_list);
	zones_unlock_all();
}

/* All lists of a zone hold at most a fraction of it, also when it grows; a list whose share is none is closed. */
static void high_fraction(void)
{
	struct per_cpu_pages *pcp = start();
	unsigned long share, high_before;
	struct page *page[200];
	unsigned int i, l;

	must(alloc_pages(GFP_USER, 0) && pcp->lists[0].high == PCP_SLOTS_0 && nr_pcp_pages(zone));
	percpu_pagelist_high_fraction = 8;
	zone_set_pageset_high(zone);
	must(nr_pcp_pages(zone) == 0, "the lists begin anew");
	share = zone->managed_pages / 8 / topology.nr_cpus / NR_PCP_LISTS;
	for (l = 0; l < NR_PCP_LISTS; l++) {
		unsigned int order = pcp_list_order(l);

		must(pcp->lists[l].high <= share >> order, "order %u", order);
	}
	must(!pcp->lists[pcp_index(9, 0)].high, "no pageblock fits into the share");
	for (i = 0; i < 200; i++)
		must((page[i] = alloc_pages(GFP_USER, 0)));
	for (i = 0; i < 200; i++) {
		free_pages(page[i], 0);
		must(count_of(pcp, 0, 0) <= (long)max_ul(share, 2), "%ld in the list", count_of(pcp, 0, 0));
	}
	check_pcp(pcp);
	high_before = pcp->lists[0].high;
	while (zone->managed_pages < 8 * share * NR_PCP_LISTS * topology.nr_cpus * 2 + PAGEBLOCK_PAGES * 8)
		must(alloc_pages(GFP_USER, 8));
	must(pcp->lists[0].high > high_before && pcp->lists[0].high <= PCP_SLOTS_0);
	percpu_pagelist_high_fraction = 0;
	zone_set_pageset_high(zone);
	must(pcp->lists[0].high == PCP_SLOTS_0 && pcp->lists[pcp_index(9, 0)].high == PCP_SLOTS_9);
}

static uint64_t clock_ms = 1000000;
uint64_t __wrap_os_clock_ms(void);
uint64_t __wrap_os_clock_ms(void)
{
	return clock_ms;
}

/* As of a CPU that is offline: nobody comes by its lists any more. */
static void idle(void)
{
	struct per_cpu_pages *pcp = start();
	struct page *page[4];

	for (int i = 0; i < 4; i++)
		page[i] = alloc_pages(GFP_USER, (unsigned int)i);
	for (int i = 0; i < 4; i++)
		free_pages(page[i], (unsigned int)i);
	drain_idle_pages(1000);
	clock_ms += 999;
	drain_idle_pages(1000);
	must(nr_pcp_pages(zone), "looked at once");
	free_pages(alloc_pages(GFP_USER, 1), 1); /* as many as before, but another */
	clock_ms += 1;
	drain_idle_pages(1000);
	must(!count_of(pcp, 0, 0) && !count_of(pcp, 2, 0) && !count_of(pcp, 3, 0), "nobody used them");
	must(count_of(pcp, 1, 0), "used once in the time");
	clock_ms += 1000;
	drain_idle_pages(1000);
	must(!nr_pcp_pages(zone));
	check_pcp(pcp);
}

int main(void)
{
	model_init();
	run_case("lists are filled and drained by halves", halves);
	run_case("each order and migratetype has its list", orders);
	run_case("a held list is passed by", busy);
	run_case("a list that is taken while it is to be filled", busy_when_filled);
	run_case("a disabled list stays empty", disabled);
	run_case("what overflows is given back once whole pageblocks are free", giving_back);
	run_case("a thread that forks waits for no list", forking);
	run_case("who waits for a list lets its holder run", holder_does_not_run);
	run_case("a fraction of the zone bounds the lists", high_fraction);
	run_case("the short way of single pages", short_way);
	run_case("what nobody uses for a while goes home", idle);
	run_case("random operations", random_operations);
	return done_testing();
}
