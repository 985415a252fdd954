/* SPDX-License-Identifier: MIT */
/*
 * The census: every page frame of every zone is in one place and one only, a free list, a per-CPU list, a guard or a
 * block of the model; and the zones count what was found. One thread, nothing in flight. And the allocator's start in a
 * case, not before main.
 */
#ifndef T_UNIT_PAGES_CENSUS_H
#define T_UNIT_PAGES_CENSUS_H

#include "base/tunables.h"
#include "malloc/heap.h"
#include "mm/pcp.h"
#include "pages_model.h"

/* Instead of the library's. */
bool heap_ready;
bool heap_init_slow(void)
{
	return true;
}

/* The allocator from its start, with nothing that happens by the clock. */
TAP_UNUSED struct zone *pages_start(void)
{
	struct zone *zone;

	model_reset();
	zone = model_start();
	mm_init_late();
	tunables.dirty_decay = 0;
	tunables.thp = THP_NEVER;
	return zone;
}

TAP_UNUSED void see(const void *addr, unsigned int order, const char *where)
{
	uint8_t *seen = seen_of(addr);

	for (unsigned long i = 0; i < 1UL << order; i++) {
		must(!seen[i], "page %lu of %p, order %u, %s, was already met elsewhere", i, addr, order, where);
		seen[i] = 1;
	}
}

/* Forget what was seen in the zone. It has as many pageblocks as it counts, of each type that it counts. */
TAP_UNUSED void census_blocks(const struct zone *zone)
{
	unsigned long pages[MIGRATE_TYPES] = { 0 }, all = 0, pfn;

	for (pfn = zone->zone_start_pfn; pfn < zone->zone_end_pfn; pfn += PAGEBLOCK_PAGES) {
		const struct pageblock *block = pfn_to_block(pfn);

		if (!pfn_online(pfn) || block->state != PB_ZONE || block->zone_id != zone->zone_id)
			continue;
		memset(seen_of(pfn_to_addr(pfn)), 0, PAGEBLOCK_PAGES);
		pages[block->migratetype] += PAGEBLOCK_PAGES;
		all += PAGEBLOCK_PAGES;
	}
	must(all == zone->managed_pages, "node %d zone %s: %lu pages, counted %lu", zone->nid, zone_name(zone), all,
	     zone->managed_pages);
	must(pages[MIGRATE_HIGHATOMIC] == zone->nr_reserved_highatomic,
	     "node %d zone %s: %lu pages HIGHATOMIC, counted %lu", zone->nid, zone_name(zone),
	     pages[MIGRATE_HIGHATOMIC], zone->nr_reserved_highatomic);
	must(pages[MIGRATE_CMA] == zone->nr_cma && !pages[MIGRATE_ISOLATE] && !zone->nr_isolate_blocks,
	     "node %d zone %s: %lu pages CMA, counted %lu; %lu isolated", zone->nid, zone_name(zone),
	     pages[MIGRATE_CMA], zone->nr_cma, pages[MIGRATE_ISOLATE]);
}

/* What is not marked dirty reads as zero: blocks leave something at their ends, so that is where to look. */
TAP_UNUSED void check_clean(unsigned long pfn, unsigned int order)
{
	const char *page = pfn_to_addr(pfn + rnd(1UL << order));

	must(all_zero(page, 8) && all_zero(page + PAGE_SIZE - 8, 8),
	     "%p is in a clean block of order %u, and was written to", page, order);
}

TAP_UNUSED unsigned long census_free(const struct zone *zone)
{
	unsigned long pages = 0;
	unsigned int order, mt;

	for (order = 0; order < MAX_ORDER; order++)
		for (mt = 0; mt < MIGRATE_TYPES; mt++) {
			uint32_t pfn = zone->free_area[order].free_list[mt];

			for (; pfn != NO_PFN; pfn = pfn_to_page(pfn)->next) {
				see(pfn_to_addr(pfn), order, "in a free list");
				if (!(pfn_to_page(pfn)->flags & PG_DIRTY))
					check_clean(pfn, order);
				pages += 1UL << order;
			}
		}
	return pages;
}

static const struct {
	unsigned int order, slots;
} pcp_orders[NR_PCP_ORDERS] = {
	{ 0, PCP_SLOTS_0 },
	{ 1, PCP_SLOTS_1 },
	{ 2, PCP_SLOTS_2 },
	{ 3, PCP_SLOTS_3 },
	{ PAGEBLOCK_ORDER, PCP_SLOTS_9 },
};

TAP_UNUSED unsigned long census_list(const struct per_cpu_list *list, struct page *const *slots, unsigned int order)
{
	long i;

	must(list->count >= 0, "a list is held, and nobody is there");
	for (i = 0; i < list->count; i++) {
		must(page_type(slots[i]) == PAGE_HEAD && slots[i]->order == order && !slots[i]->refcount);
		see(page_to_addr(slots[i]), order, "in a per-CPU list");
	}
	return (unsigned long)list->count << order;
}

TAP_UNUSED unsigned long census_pcp(const struct zone *zone)
{
	unsigned long pages = 0;
	unsigned int cpu, i, mt;

	for (cpu = 0; zone->pageset && cpu < topology.nr_cpus; cpu++) {
		const struct per_cpu_pages *pcp = &zone->pageset[cpu];
		struct page *const *slots = pcp->slots;

		for (mt = 0; mt < MIGRATE_PCPTYPES; mt++)
			for (i = 0; i < NR_PCP_ORDERS; i++) {
				unsigned int order = pcp_orders[i].order;

				pages += census_list(&pcp->lists[pcp_index(order, mt)], slots, order);
				slots += pcp_orders[i].slots;
			}
	}
	return pages;
}

/* Pages that debug_guardpage keeps out of the free lists; few zones have any. */
TAP_UNUSED unsigned long census_guards(const struct zone *zone)
{
	unsigned long pages = 0, pfn;

	for (pfn = zone->zone_start_pfn; pfn < zone->zone_end_pfn; pfn++) {
		const struct page *page = pfn_to_page(pfn);

		if (!pfn_online(pfn) || pfn_to_block(pfn)->state != PB_ZONE ||
		    pfn_to_block(pfn)->zone_id != zone->zone_id || seen_of(pfn_to_addr(pfn))[0] ||
		    page_type(page) != PAGE_GUARD)
			continue;
		see(pfn_to_addr(pfn), page->order, "guard");
		pages += 1UL << page->order;
	}
	return pages;
}

/* The zones' own proof, and their counters beside the model's. */
TAP_UNUSED void zones_check(bool guards)
{
	struct zone *zone;
	int i;

	for_each_zone (zone, i) {
		unsigned long pages = zone->nr_free_pages + nr_pcp_pages(zone) + zone_pages[zone->zone_id];

		if (!zone->managed_pages && !zone_pages[zone->zone_id])
			continue;
		check_zone(zone);
		must(pages == zone->managed_pages || (guards && pages < zone->managed_pages),
		     "node %d zone %s: %lu free, %lu in per-CPU lists, %lu in use, but %lu in all", zone->nid,
		     zone_name(zone), zone->nr_free_pages, nr_pcp_pages(zone), zone_pages[zone->zone_id],
		     zone->managed_pages);
	}
}

TAP_UNUSED void census(void)
{
	unsigned long blocks_in[ARRAY_SIZE(zone_pages)] = { 0 };
	struct zone *zone;
	int i;

	for_each_zone (zone, i)
		census_blocks(zone);
	for (uint32_t n = 0; n < nr_live; n++) {
		const struct block *b = &blocks[live[n]];

		must(b->live && b->at == n && !b->isolated);
		see(b->addr, b->order, "allocated");
		must(b->zone == zone_of(b->addr)->zone_id);
		blocks_in[b->zone] += 1UL << b->order;
	}
	for_each_zone (zone, i) {
		unsigned long id = zone->zone_id, found = census_free(zone) + census_pcp(zone) + blocks_in[id];

		must(blocks_in[id] == zone_pages[id]);
		if (found != zone->managed_pages)
			found += census_guards(zone);
		must(found == zone->managed_pages, "node %d zone %s: found %lu pages of %lu", zone->nid,
		     zone_name(zone), found, zone->managed_pages);
	}
	check_arena();
}

#endif
