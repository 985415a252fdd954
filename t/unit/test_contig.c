/* SPDX-License-Identifier: MIT */
/*
 * Contiguous pages: from what the zone has, over the borders of pageblocks, around what cannot move; from new
 * pageblocks where there is none; and back.
 */
#include <errno.h>
#include <linux/mempolicy.h>

#include "mm/arena.h"
#include "mm/balance.h"
#include "mm/memory_hotplug.h"
#include "mm/mempolicy.h"
#include "mm/page_isolation.h"
#include "mm/pcp.h"
#include "fake_sys.h"
#include "model.h"

static struct zone *zone;

static void start(void)
{
	if (!zone) {
		zone = model_start();
		mm_init_late();
	}
	fake_os_reset();
	mm_trim(0);
	must(!zone->managed_pages);
}

/* A zone of nr free pageblocks side by side, dirty, and no more; its first page. */
static unsigned long free_blocks(unsigned long nr)
{
	unsigned long pb, pfn;
	bool clean;

	start();
	must(!zone_pageset_init(zone));
	pb = arena_alloc(nr, 2, PB_OFFLINE, zone->nid, &clean);
	must(pb);
	pfn = pb << PAGEBLOCK_ORDER;
	memset(pfn_to_addr(pfn), 0x5a, nr << PAGEBLOCK_SHIFT);
	zone_online_blocks(zone, pb, nr, MIGRATE_UNMOVABLE, true);
	no_more_growth();
	return pfn;
}

static void single_pages(unsigned long pfn, unsigned long nr)
{
	unsigned long at;

	for (at = pfn; at < pfn + nr; at++) {
		const struct page *page = pfn_to_page(at);

		must(page_type(page) == PAGE_HEAD && !page->order && page->refcount == 1, "page %lu of %lu", at - pfn,
		     nr);
		must(pfn_to_zone(at) == zone && get_pageblock_migratetype(at) < MIGRATE_PCPTYPES);
	}
	must(!zone->nr_isolated && !zone->nr_isolate_blocks && !zone->pcp_disabled);
	check_zone(zone);
}

/* Exactly the range, and what is around it stays free; back, and all of it joins again. */
static void over_borders(void)
{
	static const struct {
		unsigned long start, nr;
	} range[] = {
		{ 0, 1 }, { 1, 1 }, { 511, 2 }, { 500, 600 }, { 3, 2045 }, { 0, 2048 }, { 1023, 2 }, { 512, 512 }
	};
	unsigned long i;

	for (i = 0; i < ARRAY_SIZE(range); i++) {
		unsigned long first = free_blocks(4) + range[i].start, nr = range[i].nr;

		must(!alloc_contig_range(first, first + nr, MIGRATE_MOVABLE, GFP_KERNEL));
		single_pages(first, nr);
		must(zone->nr_free_pages == 2048 - nr);
		must(alloc_contig_range(first, first + 1, MIGRATE_MOVABLE, GFP_KERNEL) == -EBUSY);
		must(alloc_contig_range(first + nr - 1, first + nr, MIGRATE_MOVABLE, GFP_KERNEL) == -EBUSY);
		free_contig_range(first, nr);
		drain_all_pages();
		must(zone->nr_free_pages == zone->managed_pages);
		check_zone(zone);
		check_arena();
	}
}

static void zeroed(void)
{
	unsigned long pfn = free_blocks(2);

	must(!alloc_contig_range(pfn + 100, pfn + 1000, MIGRATE_MOVABLE, GFP_KERNEL | GFP_ZERO));
	must(all_zero(pfn_to_addr(pfn + 100), 900 * PAGE_SIZE));
	must(*(char *)pfn_to_addr(pfn + 99) == 0x5a && *(char *)pfn_to_addr(pfn + 1000) == 0x5a);
	single_pages(pfn + 100, 900);
}

static void per_cpu_lists(void)
{
	unsigned long pfn = free_blocks(1);
	struct page *page = alloc_pages(GFP_KERNEL, 0);

	free_pages(page, 0);
	must(nr_pcp_pages(zone));
	must(!alloc_contig_range(pfn, pfn + PAGEBLOCK_PAGES, MIGRATE_MOVABLE, GFP_KERNEL));
	single_pages(pfn, PAGEBLOCK_PAGES);
	must(!zone->nr_free_pages);
}

/* A fixed page in the middle: the range with it is not to be had, one beside it is, and alloc_contig_pages finds it. */
static void around_fixed_pages(void)
{
	unsigned long pfn = free_blocks(4), fixed = pfn + 1000;
	struct page *page;

	must(!alloc_contig_range(fixed, fixed + 1, MIGRATE_MOVABLE, GFP_KERNEL));
	must(alloc_contig_range(pfn + 900, pfn + 1100, MIGRATE_MOVABLE, GFP_KERNEL) == -EBUSY);
	must(zone->nr_free_pages == 2047);
	page = alloc_contig_pages(900, GFP_KERNEL, -1, NULL);
	must(page == pfn_to_page(pfn));
	single_pages(pfn, 900);
	page = alloc_contig_pages(1000, GFP_KERNEL, -1, NULL);
	must(page == pfn_to_page(fixed + 1));
	single_pages(fixed + 1, 1000);
	must(!alloc_contig_pages(101, GFP_KERNEL, -1, NULL));
	page = alloc_contig_pages(100, GFP_KERNEL, -1, NULL);
	must(page == pfn_to_page(pfn + 900));
	must(zone->nr_free_pages == 47);
	/* Every page can be freed by itself. */
	free_pages(page + 50, 0);
	free_contig_range(page_to_pfn(page), 50);
	free_contig_range(page_to_pfn(page) + 51, 49);
	drain_all_pages();
	must(zone->nr_free_pages == 147);
	check_zone(zone);
}

/* A power of two is aligned to its size, by address. */
static void aligned(void)
{
	unsigned long pfn = free_blocks(8), nr;

	must(!alloc_contig_range(pfn + 1, pfn + 2, MIGRATE_MOVABLE, GFP_KERNEL));
	for (nr = 2; nr <= 1024; nr *= 2) {
		struct page *page = alloc_contig_pages(nr, GFP_KERNEL, -1, NULL);

		must(page, "%lu pages", nr);
		must(is_aligned((uintptr_t)page_to_addr(page), nr << PAGE_SHIFT), "%lu pages at %p", nr,
		     page_to_addr(page));
		single_pages(page_to_pfn(page), nr);
	}
}

/* Nothing there: pageblocks come, and what is left of the last one is free. */
static void by_growth(void)
{
	static const unsigned long sizes[] = { 1, 3, 512, 513, 1500, 4096, 5000, 16384, 20000 };
	unsigned long i, nr, before;
	struct page *page;

	start();
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		nr = sizes[i];
		before = zone->managed_pages - zone->nr_free_pages;
		page = alloc_contig_pages(nr, GFP_KERNEL | GFP_ZERO, -1, NULL);
		must(page, "%lu pages", nr);
		must(zone->managed_pages - zone->nr_free_pages == before + nr);
		single_pages(page_to_pfn(page), nr);
		must(all_zero(page_to_addr(page), nr * PAGE_SIZE));
		must(nr & (nr - 1) || is_aligned((uintptr_t)page_to_addr(page), nr << PAGE_SHIFT));
		memset(page_to_addr(page), 0xff, nr * PAGE_SIZE);
		if (i % 2)
			free_contig_range(page_to_pfn(page), nr);
		check_zone(zone);
		check_arena();
	}
	must(!alloc_contig_pages(0, GFP_KERNEL, -1, NULL));
	must(!alloc_contig_pages(~0UL, GFP_KERNEL, -1, NULL));
	must(!alloc_contig_pages(1UL << 52, GFP_KERNEL, -1, NULL));
	must(!alloc_contig_pages((1UL << 34) - 1, GFP_KERNEL | GFP_THISNODE, 0, NULL));
}

/* The type of new pageblocks is that of the request, and their rest serves others. */
static void rest_of_a_new_pageblock(void)
{
	struct page *page, *other;

	start();
	page = alloc_contig_pages(600, GFP_KERNEL | GFP_MOVABLE | GFP_HARDWALL, -1, NULL);
	must(page);
	no_more_growth();
	zone = pfn_to_zone(page_to_pfn(page));
	must(get_pageblock_migratetype(page_to_pfn(page)) == MIGRATE_MOVABLE);
	must(zone->nr_free_pages == 1024 - 600);
	other = alloc_pages(GFP_KERNEL | GFP_MOVABLE, 8);
	must(other && pfn_to_zone(page_to_pfn(other)) == zone);
	check_zone(zone);
}

static void no_memory(void)
{
	unsigned long used;

	start();
	no_more_growth();
	used = arena_stats.used;
	must(!alloc_contig_pages(700, GFP_KERNEL, -1, NULL));
	must(!zone->managed_pages && arena_stats.used == used);
	check_arena();
}

static void reference_counts(void)
{
	unsigned long pfn = free_blocks(1);

	must(!alloc_contig_range(pfn, pfn + 8, MIGRATE_MOVABLE, GFP_KERNEL));
	pfn_to_page(pfn + 3)->refcount++;
	free_contig_range(pfn, 8);
	drain_all_pages();
	must(zone->nr_free_pages == PAGEBLOCK_PAGES - 1 && pfn_to_page(pfn + 3)->refcount == 1);
	free_pages(pfn_to_page(pfn + 3), 0);
	drain_all_pages();
	must(zone->nr_free_pages == PAGEBLOCK_PAGES);
	check_zone(zone);
}

static int node_of(const struct page *page)
{
	return page ? pfn_to_zone(page_to_pfn(page))->nid : -1;
}
static int contig_node(unsigned long nr_pages, gfp_t gfp, int nid)
{
	return node_of(alloc_contig_pages(nr_pages, GFP_KERNEL | gfp, nid, NULL));
}
static void policy(int mode, unsigned long nodes)
{
	must(!set_task_policy(mode, &nodes, MAX_NUMNODES + 1));
}

static void nodes(void)
{
	const nodemask_t last = 0x4;
	struct page *page;
	int nid;

	fake_sys_nodes(3, 1);
	start();
	for (nid = 0; nid < 3; nid++)
		must(contig_node(600, 0, nid) == nid && contig_node(600, GFP_THISNODE, nid) == nid);
	must(contig_node(600, 0, -1) == 1);
	must(node_of(alloc_contig_pages(600, GFP_KERNEL, 0, &last)) == 2);
	policy(MPOL_BIND, 0x4);
	must(contig_node(600, 0, -1) == 2 && contig_node(600, GFP_THISNODE, -1) == 1);
	policy(MPOL_PREFERRED, 0x1);
	must(contig_node(600, 0, -1) == 0);
	policy(MPOL_INTERLEAVE, 0x7);
	must(contig_node(600, 0, -1) == 0 && contig_node(600, 0, -1) == 1 && contig_node(600, 0, -1) == 2);
	policy(MPOL_DEFAULT, 0);
	/* An area is that of its node. */
	must(!cma_declare_contiguous(4 * PAGEBLOCK_SIZE, 2));
	must(!cma_alloc(1, 0, GFP_KERNEL) && !cma_alloc(1, 1, GFP_KERNEL));
	page = alloc_contig_pages(600, GFP_KERNEL, 2, NULL);
	must(cma_contains(page_to_pfn(page)) && node_of(page) == 2);
	must(contig_node(600, 0, 0) == 0);
	/* Only a far one has some left. */
	free_contig_range(page_to_pfn(page), 600);
	zone = &NODE_DATA(0)->node_zones[ZONE_NORMAL];
	no_more_growth();
	must(contig_node(2000, GFP_THISNODE, 0) == -1 && contig_node(2000, GFP_THISNODE, 1) == -1);
	policy(POLICY_PREFERRED_MANY, 0x3);
	must(contig_node(2000, 0, -1) == 2);
}

#define NR_HELD 60
static void random_ranges(void)
{
	struct {
		unsigned long pfn, nr;
		unsigned int order; /* MAX_ORDER: a range */
	} held[NR_HELD] = { { 0, 0, 0 } };
	unsigned long used = 0, at, i;

	start();
	for (i = steps(4000); i; i--) {
		unsigned int h = rnd(NR_HELD);
		struct page *page;

		if (!held[h].nr) {
			held[h].order = rnd(4) ? rnd(MAX_ORDER) : MAX_ORDER;
			held[h].nr = held[h].order == MAX_ORDER ? 1 + rnd(rnd(2) ? 30 : 3000) : 1UL << held[h].order;
			page = held[h].order == MAX_ORDER ? alloc_contig_pages(held[h].nr, GFP_KERNEL, -1, NULL)
							  : alloc_pages(GFP_KERNEL, held[h].order);
			must(page);
			held[h].pfn = page_to_pfn(page);
			for (at = held[h].pfn; at < held[h].pfn + held[h].nr; at++)
				*(unsigned long *)pfn_to_addr(at) = at * NR_HELD + h;
			used += held[h].nr;
			if (held[h].order == MAX_ORDER)
				single_pages(held[h].pfn, held[h].nr);
		} else {
			for (at = held[h].pfn; at < held[h].pfn + held[h].nr; at++)
				must(*(unsigned long *)pfn_to_addr(at) == at * NR_HELD + h);
			if (held[h].order == MAX_ORDER)
				free_contig_range(held[h].pfn, held[h].nr);
			else
				free_pages(pfn_to_page(held[h].pfn), held[h].order);
			used -= held[h].nr;
			held[h].nr = 0;
		}
		must(used + zone->nr_free_pages + nr_pcp_pages(zone) == zone->managed_pages);
		check_zone(zone);
		check_arena();
	}
}

int main(void)
{
	model_init();
	fake_sys_init();
	run_case("exactly a range, over the borders of pageblocks", over_borders);
	run_case("zeroed when wanted", zeroed);
	run_case("what is in per-CPU lists is no obstacle", per_cpu_lists);
	run_case("what is in use is one: another place is found", around_fixed_pages);
	run_case("powers of two are aligned", aligned);
	run_case("from new pageblocks", by_growth);
	run_case("the rest of a new pageblock is free", rest_of_a_new_pageblock);
	run_case("no memory", no_memory);
	run_case_says("pages with another reference stay", reference_counts, "1 pages are still in use!");
	run_case("the nodes that are asked for, by number or by policy", nodes);
	run_case("random ranges among random blocks", random_ranges);
	fake_sys_remove();
	return done_testing();
}
