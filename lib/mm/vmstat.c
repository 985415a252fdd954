/* SPDX-License-Identifier: MIT */
/*
 * Events, and the reports that count them or free blocks: buddyinfo, pagetypeinfo, vmstat, and how fragmented the free
 * memory is. All figures are read without a lock; free lists are never walked, for they may change under the walk.
 */
#include "mm/vmstat.h"

#include "base/message.h"
#include "mm/arena.h"
#include "mm/buddy.h"
#include "mm/compaction.h"
#include "mm/exact.h"
#include "mm/pcp.h"

unsigned long vm_events[NR_VM_EVENT_ITEMS];

static const char *const vm_event_names[NR_VM_EVENT_ITEMS] = {
#define VM_EVENT_NAME(item, name) [item] = (name),
	VM_EVENTS(VM_EVENT_NAME)
#undef VM_EVENT_NAME
};

const char *const migratetype_names[MIGRATE_TYPES] = {
	[MIGRATE_UNMOVABLE] = "Unmovable",   [MIGRATE_MOVABLE] = "Movable", [MIGRATE_RECLAIMABLE] = "Reclaimable",
	[MIGRATE_HIGHATOMIC] = "HighAtomic", [MIGRATE_CMA] = "CMA",	    [MIGRATE_ISOLATE] = "Isolate",
};

const struct zone_stat_item zone_stat_items[NR_ZONE_STAT_ITEMS] = {
	{ "nr_free_pages", offsetof(struct zone, nr_free_pages), 0 },
	{ "nr_free_pages_blocks", offsetof(struct zone, nr_free_blocks), PAGEBLOCK_ORDER },
	{ "nr_free_cma", offsetof(struct zone, nr_free_cma), 0 },
	{ "nr_free_dirty", offsetof(struct zone, nr_dirty), 0 },
	{ "nr_reserved_highatomic", offsetof(struct zone, nr_reserved_highatomic), 0 },
	{ "nr_grown", offsetof(struct zone, nr_grown), 0 },
	{ "nr_given_back", offsetof(struct zone, nr_given_back), 0 },
	{ "nr_fallback", offsetof(struct zone, nr_fallback), 0 },
	{ "nr_stolen", offsetof(struct zone, nr_stolen), 0 },
};

const char *const numa_stat_names[NR_NUMA_STATS] = {
	[NUMA_HIT] = "numa_hit",	 [NUMA_MISS] = "numa_miss",
	[NUMA_FOREIGN] = "numa_foreign", [NUMA_INTERLEAVE_HIT] = "numa_interleave",
	[NUMA_LOCAL] = "numa_local",	 [NUMA_OTHER] = "numa_other",
};

unsigned long zone_stat(const struct zone *zone, enum zone_stat item)
{
	const struct zone_stat_item *i = &zone_stat_items[item];

	return READ_ONCE(*(const unsigned long *)((const char *)zone + i->offset)) << i->shift;
}

/* Blocks that per-CPU lists handed out, and the pages in them. */
static unsigned long pcp_nr_alloc(const struct zone *zone, unsigned long *pages)
{
	const struct per_cpu_pages *pcp;
	unsigned long nr = 0;
	unsigned int cpu, l;

	*pages = 0;
	for_each_pcp_list (pcp, l, cpu, zone) {
		unsigned long n = READ_ONCE(pcp->lists[l].nr_alloc);

		nr += n;
		*pages += n << pcp_list_order(l);
	}
	return nr;
}

unsigned long zone_numa_stat(const struct zone *zone, enum numa_stat_item item)
{
	unsigned long nr = READ_ONCE(zone->numa[item]), pages;

	/* The short ways are a hit, and local; where a per-CPU list's was not so, the zone has counted it off. */
	if (item == NUMA_HIT || item == NUMA_LOCAL)
		nr += READ_ONCE(zone->nr_alloc_fast) + pcp_nr_alloc(zone, &pages);
	return (long)nr > 0 ? nr : 0;
}

unsigned long zone_pages_allocated(const struct zone *zone)
{
	unsigned long pages;

	pcp_nr_alloc(zone, &pages);
	return READ_ONCE(zone->nr_alloc_pages) + pages + exact_list_pages_allocated(zone);
}

unsigned long zone_pages_used(const struct zone *zone)
{
	unsigned long managed = READ_ONCE(zone->managed_pages);
	unsigned long free = READ_ONCE(zone->nr_free_pages) + nr_pcp_pages(zone);

	return managed > free ? managed - free : 0;
}

/* How many of those that ever were allocated have been freed. */
static unsigned long zone_pages_freed(struct zone *zone)
{
	unsigned long allocated = zone_pages_allocated(zone), used = zone_pages_used(zone);
	unsigned long freed = allocated > used ? allocated - used : 0, seen;

	/* Free pages that somebody has in hand look used; but a counter never goes back. */
	do {
		seen = READ_ONCE(zone->nr_freed_seen);
		if (freed <= seen)
			return seen;
	} while (!try_cmpxchg(&zone->nr_freed_seen, seen, freed));
	return freed;
}

void print_nodemask(struct out *o, nodemask_t nodes)
{
	const char *separator = "";
	int first, nid;

	for (nid = 0; nid < MAX_NUMNODES; nid++) {
		if (!node_isset(nid, nodes))
			continue;
		for (first = nid; nid + 1 < MAX_NUMNODES && node_isset(nid + 1, nodes);)
			nid++;
		out_printf(o, nid == first ? "%s%d" : "%s%d-%d", separator, first, nid);
		separator = ",";
	}
}

void print_buddyinfo(struct out *o)
{
	unsigned int order;
	struct zone *zone;
	int i;

	for_each_populated_zone (zone, i) {
		out_printf(o, "Node %d, zone %8s ", zone->nid, zone_name(zone));
		for (order = 0; order < MAX_ORDER; order++)
			out_printf(o, "%6lu ", READ_ONCE(zone->free_area[order].nr_free));
		out_printf(o, "\n");
	}
}

/* Thousandths of each order; plus: what stands before a number that is not negative. */
static void print_index(struct out *o, int (*index)(const struct zone *zone, unsigned int order), const char *plus)
{
	unsigned int order;
	struct zone *zone;
	int i, n;

	for_each_populated_zone (zone, i) {
		out_printf(o, "Node %d, zone %8s ", zone->nid, zone_name(zone));
		for (order = 0; order < MAX_ORDER; order++) {
			n = index(zone, order);
			out_printf(o, "%s%d.%03d ", n < 0 ? "-" : plus, (n < 0 ? -n : n) / 1000,
				   (n < 0 ? -n : n) % 1000);
		}
		out_printf(o, "\n");
	}
}

void print_extfrag_index(struct out *o)
{
	print_index(o, fragmentation_index, " ");
}

void print_unusable_index(struct out *o)
{
	print_index(o, unusable_free_index, "");
}

/* Free blocks of a zone by migratetype and order, and its pageblocks by migratetype. */
struct pagetype_counts {
	unsigned long free[MIGRATE_TYPES][MAX_ORDER];
	unsigned long blocks[MIGRATE_TYPES];
};

/* Page after page: a descriptor that changes meanwhile is counted wrong, but leads nowhere. What the zone lock guards
 * is read without it. */
__attribute__((__no_sanitize_thread__)) static void count_pageblock(unsigned long start, struct pagetype_counts *counts)
{
	const struct pageblock *block = pfn_to_block(start);
	unsigned int mt = READ_ONCE(block->migratetype);
	unsigned long pfn, step;

	if (mt >= MIGRATE_TYPES)
		return;
	counts->blocks[mt]++;
	if (!READ_ONCE(block->nr_free))
		return;
	for (pfn = start; pfn < start + PAGEBLOCK_PAGES; pfn += step) {
		struct page seen = { .word = READ_ONCE(pfn_to_page(pfn)->word) };

		step = 1;
		if (seen.type != PAGE_BUDDY || seen.order >= MAX_ORDER)
			continue;
		counts->free[mt][seen.order]++;
		step = 1UL << seen.order;
	}
}

__attribute__((__no_sanitize_thread__)) static void count_pagetypes(const struct zone *zone,
								    struct pagetype_counts *counts)
{
	unsigned long pfn = READ_ONCE(zone->zone_start_pfn), end = READ_ONCE(zone->zone_end_pfn);

	*counts = (struct pagetype_counts){ 0 };
	for (; pfn < end; pfn += PAGEBLOCK_PAGES)
		if (pfn_online(pfn) && pageblock_in_zone(zone, pfn))
			count_pageblock(pfn, counts);
}

static void print_free_by_type(struct out *o)
{
	struct pagetype_counts counts;
	unsigned int mt, order;
	struct zone *zone;
	int i;

	out_printf(o, "%-43s ", "Free pages count per migrate type at order");
	for (order = 0; order < MAX_ORDER; order++)
		out_printf(o, "%6u ", order);
	out_printf(o, "\n");
	for_each_populated_zone (zone, i) {
		count_pagetypes(zone, &counts);
		for (mt = 0; mt < MIGRATE_TYPES; mt++) {
			out_printf(o, "Node %4d, zone %8s, type %12s ", zone->nid, zone_name(zone),
				   migratetype_names[mt]);
			for (order = 0; order < MAX_ORDER; order++)
				out_printf(o, "%6lu ", counts.free[mt][order]);
			out_printf(o, "\n");
		}
	}
}

void print_pagetypeinfo(struct out *o)
{
	struct pagetype_counts counts;
	struct zone *zone;
	unsigned int mt;
	int i;

	out_printf(o, "Page block order: %d\nPages per block:  %lu\n\n", PAGEBLOCK_ORDER, PAGEBLOCK_PAGES);
	print_free_by_type(o);
	out_printf(o, "\n%-23s", "Number of blocks type ");
	for (mt = 0; mt < MIGRATE_TYPES; mt++)
		out_printf(o, "%12s ", migratetype_names[mt]);
	out_printf(o, "\n");
	for_each_populated_zone (zone, i) {
		count_pagetypes(zone, &counts);
		out_printf(o, "Node %d, zone %8s ", zone->nid, zone_name(zone));
		for (mt = 0; mt < MIGRATE_TYPES; mt++)
			out_printf(o, "%12lu ", counts.blocks[mt]);
		out_printf(o, "\n");
	}
}

static unsigned long sum_zone_stat(enum zone_stat item)
{
	unsigned long sum = 0;
	struct zone *zone;
	int i;

	for_each_zone (zone, i)
		sum += zone_stat(zone, item);
	return sum;
}

static unsigned long sum_numa_stat(enum numa_stat_item item)
{
	unsigned long sum = 0;
	struct zone *zone;
	int i;

	for_each_zone (zone, i)
		sum += zone_numa_stat(zone, item);
	return sum;
}

/* pgalloc_*, pgfree */
static void print_page_events(struct out *o)
{
	static const char *const names[MAX_NR_ZONES] = {
		[ZONE_DMA32] = "dma32", [ZONE_NORMAL] = "normal", [ZONE_MOVABLE] = "movable"
	};
	unsigned long allocated[MAX_NR_ZONES] = { 0 }, freed = 0;
	struct zone *zone;
	unsigned int z;
	int i;

	for_each_zone (zone, i) {
		allocated[zone->idx] += zone_pages_allocated(zone);
		freed += zone_pages_freed(zone);
	}
	for (z = 0; z < MAX_NR_ZONES; z++)
		out_printf(o, "pgalloc_%s %lu\n", names[z], allocated[z]);
	out_printf(o, "pgfree %lu\n", freed);
}

void print_vmstat(struct out *o)
{
	unsigned int i;

	for (i = 0; i < NR_ZONE_STAT_ITEMS; i++)
		out_printf(o, "%s %lu\n", zone_stat_items[i].name, sum_zone_stat((enum zone_stat)i));
	for (i = 0; i < NR_NUMA_STATS; i++)
		out_printf(o, "%s %lu\n", numa_stat_names[i], sum_numa_stat((enum numa_stat_item)i));
	print_page_events(o);
	for (i = 0; i < NR_VM_EVENT_ITEMS; i++)
		out_printf(o, "%s %lu\n", vm_event_names[i], READ_ONCE(vm_events[i]));
	/* In pageblocks. */
	out_printf(o, "arena_mapped %lu\n", READ_ONCE(arena_stats.mapped));
	out_printf(o, "arena_used %lu\n", READ_ONCE(arena_stats.used));
	out_printf(o, "arena_huge %lu\n", READ_ONCE(arena_stats.huge));
	out_printf(o, "arena_dirty %lu\n", READ_ONCE(arena_stats.dirty));
	out_printf(o, "arena_given_back %lu\n", READ_ONCE(arena_stats.given_back));
}
