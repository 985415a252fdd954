/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU lists: filled and drained in batches, bounded by high, passed by when busy; and random operations, with the
 * lists walked and counted after each.
 */
#include <sched.h>

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
	must(zone->pageset[cpu].batch > 1 && zone->pageset[cpu].high > zone->pageset[cpu].batch);
	return &zone->pageset[cpu];
}

static void check_pcp(const struct per_cpu_pages *pcp)
{
	unsigned int list;
	int count = 0;

	for (list = 0; list < NR_PCP_LISTS; list++) {
		uint32_t pfn, prev = NO_PFN;

		for (pfn = pcp->lists[list]; pfn != NO_PFN; pfn = pfn_to_page(pfn)->next) {
			const struct page *page = pfn_to_page(pfn);

			must(page->type == PAGE_PCP && page->prev == prev);
			must(page->order * (unsigned int)MIGRATE_TYPES + page->cache == list);
			must(is_aligned(pfn, 1UL << page->order));
			count += 1 << page->order;
			prev = pfn;
		}
	}
	must(count == pcp->count, "%d in the lists, count %d", count, pcp->count);
	check_zone(zone);
}

static void batches(void)
{
	struct per_cpu_pages *pcp = start();
	static struct page *page[NR_PAGES];
	int i, high = pcp->high, batch = pcp->batch;
	unsigned long free_pages_before;

	page[0] = alloc_pages(GFP_USER, 0);
	must(pcp->count == batch - 1, "one batch, less the one");
	free_pages_before = zone->nr_free_pages;
	for (i = 1; i < batch; i++)
		page[i] = alloc_pages(GFP_USER, 0);
	must(pcp->count == 0 && zone->nr_free_pages == free_pages_before, "the batch served without the zone");
	page[batch] = alloc_pages(GFP_USER, 0);
	must(pcp->count == batch - 1 && zone->nr_free_pages == free_pages_before - (unsigned long)batch);
	for (i = batch + 1; i < 2 * high; i++)
		page[i] = alloc_pages(GFP_USER, 0);
	check_pcp(pcp);
	drain_all_pages();
	for (i = 0; i < high; i++)
		free_pages(page[i], 0);
	must(pcp->count == high);
	free_pages(page[high], 0);
	must(pcp->count == high - batch, "beyond high a batch goes back");
	check_pcp(pcp);
	for (i = high + 1; i < 2 * high; i++) {
		free_pages(page[i], 0);
		must(pcp->count <= high);
	}
	i = pcp->count;
	must(drain_all_pages() == (unsigned long)i && pcp->count == 0 && nr_pcp_pages(zone) == 0);
	check_pcp(pcp);
}

static void orders(void)
{
	struct per_cpu_pages *pcp = start();
	struct page *page;
	unsigned int order;

	for (order = 0; order <= PCP_MAX_ORDER; order++) {
		page = alloc_pages(GFP_USER | GFP_MOVABLE, order);
		must(page && is_aligned(page_to_pfn(page), 1UL << order));
		must(pcp->count > 0 && pcp->count < pcp->batch);
		drain_all_pages();
		free_pages(page, order);
		must(pcp->count == 1 << order);
		must(alloc_pages(GFP_USER | GFP_MOVABLE, order) == page, "last in, first out");
		must(page->flags & PG_DIRTY, "what comes from a user is dirty");
		free_pages(page, order);
		drain_all_pages();
	}
	page = alloc_pages(GFP_USER, PCP_MAX_ORDER + 1);
	must(pcp->count == 0, "larger orders pass by");
	free_pages(page, PCP_MAX_ORDER + 1);
	must(pcp->count == 0);
	/* Types do not mix in the lists. */
	page = alloc_pages(GFP_USER, 0);
	drain_all_pages();
	free_pages(page, 0);
	must(alloc_pages(GFP_USER | GFP_MOVABLE, 0) != page);
	check_pcp(pcp);
}

/* Somebody holds the lists: both ways lead to the zone, and nobody waits. */
static void busy(void)
{
	struct per_cpu_pages *pcp = start();
	struct page *page[2];
	unsigned long free_before;
	int count;

	page[0] = alloc_pages(GFP_USER, 0);
	count = pcp->count;
	free_before = zone->nr_free_pages;
	must(mutex_trylock(&pcp->lock));
	page[1] = alloc_pages(GFP_USER, 0);
	must(page[1] && pcp->count == count && zone->nr_free_pages == free_before - 1);
	free_pages(page[0], 0);
	must(pcp->count == count && zone->nr_free_pages == free_before);
	must(drain_all_pages() == 0 && pcp->count == count);
	mutex_unlock(&pcp->lock);
	free_pages(page[1], 0);
	must(pcp->count == count + 1);
	check_pcp(pcp);
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
			must(order[n] > PCP_MAX_ORDER || pcp->count <= pcp->high, "%d after a free", pcp->count);
		} else {
			order[n] = rnd(PCP_MAX_ORDER + 2);
			page[n] = alloc_pages(GFP_USER | (rnd(2) ? GFP_MOVABLE : 0), order[n]);
			must(page[n] && page[n]->type == PAGE_HEAD);
			must((page[n]->flags & PG_DIRTY) || all_zero(page_to_addr(page[n]), PAGE_SIZE << order[n]));
			*(unsigned int *)page_to_addr(page[n]) = n;
			held += 1UL << order[n];
		}
		if (rnd(300) == 0)
			drain_all_pages();
		if (rnd(300) == 0)
			mm_trim(0);
		check_pcp(pcp);
		must(held + (unsigned long)pcp->count + zone->nr_free_pages == zone->managed_pages);
	}
}

int main(void)
{
	model_init();
	run_case("batches, high, drain", batches);
	run_case("orders and types", orders);
	run_case("busy lists are passed by", busy);
	run_case("random operations, lists counted after each", random_operations);
	return done_testing();
}
