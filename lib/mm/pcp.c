/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU page lists: small orders, a list for each migratetype and order, filled and drained in batches. The list is
 * that of the CPU the thread runs on as rseq tells it; a thread that is moved meanwhile does no harm, for the lock is
 * taken. It is only ever tried: whoever finds it held goes to the zone.
 */
#include "base/trace.h"
#include "mm/buddy.h"
#include "mm/page_alloc.h"
#include "os/os.h"

static unsigned int order_to_pindex(enum migratetype mt, unsigned int order)
{
	return order * MIGRATE_TYPES + mt;
}

static struct per_cpu_pages *this_cpu_pcp(struct zone *zone)
{
	return &zone->pageset[os_cpu_id()];
}

static void pcp_add(struct per_cpu_pages *pcp, struct page *page, unsigned int order, enum migratetype mt)
{
	set_page_type(page, PAGE_PCP);
	page->order = (uint8_t)order;
	page->cache = (uint8_t)mt;
	page_list_add(&pcp->lists[order_to_pindex(mt, order)], page);
	ADD_ONCE(pcp->count, 1 << order);
}

static void pcp_del(struct per_cpu_pages *pcp, struct page *page)
{
	page_list_del(&pcp->lists[order_to_pindex((enum migratetype)page->cache, page->order)], page);
	set_page_type(page, PAGE_NONE);
	ADD_ONCE(pcp->count, -(1 << page->order));
}

/* Fetch a batch from the zone. */
static void rmqueue_bulk(struct zone *zone, struct per_cpu_pages *pcp, unsigned int order, enum migratetype mt,
			 unsigned int alloc_flags)
{
	int nr = pcp->batch >> order;
	struct page *page;

	mutex_lock(&zone->lock);
	do {
		page = rmqueue_buddy(zone, order, mt, alloc_flags);
		if (page)
			pcp_add(pcp, page, order, mt);
	} while (page && --nr > 0);
	mutex_unlock(&zone->lock);
}

/* Return up to nr pages to the zone, list after list; pages returned. */
static unsigned long free_pcppages_bulk(struct zone *zone, struct per_cpu_pages *pcp, int nr)
{
	int before = pcp->count, floor = pcp->count > nr ? pcp->count - nr : 0;
	unsigned int i;

	mutex_lock(&zone->lock);
	for (i = 0; i < NR_PCP_LISTS; i++)
		while (pcp->lists[i] != NO_PFN && pcp->count > floor) {
			struct page *page = pfn_to_page(pcp->lists[i]);

			trace_mm_page_pcpu_drain(page_to_pfn(page), page->order, page->cache);
			pcp_del(pcp, page);
			free_one_page(zone, page_to_pfn(page), page->order, page->flags & PG_DIRTY);
		}
	mutex_unlock(&zone->lock);
	return (unsigned long)(before - pcp->count);
}

struct page *rmqueue_pcplist(struct zone *zone, unsigned int order, enum migratetype mt, unsigned int alloc_flags)
{
	struct per_cpu_pages *pcp = this_cpu_pcp(zone);
	uint32_t *list = &pcp->lists[order_to_pindex(mt, order)];
	struct page *page = NULL;

	if (!mutex_trylock(&pcp->lock))
		return NULL;
	if (*list == NO_PFN)
		rmqueue_bulk(zone, pcp, order, mt, alloc_flags);
	if (*list != NO_PFN) {
		page = pfn_to_page(*list);
		pcp_del(pcp, page);
	}
	mutex_unlock(&pcp->lock);
	return page;
}

bool free_pcp_page(struct zone *zone, struct page *page, unsigned int order)
{
	struct per_cpu_pages *pcp = this_cpu_pcp(zone);

	if (!mutex_trylock(&pcp->lock))
		return false;
	page->flags = PG_DIRTY;
	pcp_add(pcp, page, order, get_pageblock_migratetype(page_to_pfn(page)));
	/* Refills of many lists may have gone beyond high by more than a batch. */
	if (pcp->count > pcp->high)
		free_pcppages_bulk(zone, pcp, pcp->count - pcp->high + pcp->batch);
	mutex_unlock(&pcp->lock);
	return true;
}

unsigned long drain_all_pages(void)
{
	unsigned long drained = 0;
	unsigned int cpu;
	int nid;

	for_each_online_node (nid) {
		struct zone *zone = &NODE_DATA(nid)->node_zones[ZONE_NORMAL];

		for (cpu = 0; cpu < topology.nr_cpus; cpu++) {
			struct per_cpu_pages *pcp = &zone->pageset[cpu];

			if (!READ_ONCE(pcp->count) || !mutex_trylock(&pcp->lock))
				continue;
			drained += free_pcppages_bulk(zone, pcp, pcp->count);
			mutex_unlock(&pcp->lock);
		}
	}
	return drained;
}

unsigned long nr_pcp_pages(const struct zone *zone)
{
	unsigned long nr = 0;
	unsigned int cpu;

	for (cpu = 0; cpu < topology.nr_cpus; cpu++)
		nr += (unsigned long)READ_ONCE(zone->pageset[cpu].count);
	return nr;
}
