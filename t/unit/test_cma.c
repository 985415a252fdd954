/* SPDX-License-Identifier: MIT */
/*
 * CMA areas: lent to movable requests and to nobody else, and had back as one piece.
 */
#include <errno.h>

#include "model.h"

#include "base/tunables.h"
#include "mm/balance.h"
#include "mm/balance_inner.h"
#include "mm/memory_hotplug.h"
#include "mm/page_isolation.h"
#include "mm/pcp.h"
#include "mm/vmstat.h"

#define AREA_BLOCKS 4UL
#define AREA_PAGES (AREA_BLOCKS << PAGEBLOCK_ORDER)

static struct zone *zone;
static unsigned long area; /* the first page */

static void area_whole(void)
{
	check_zone(zone);
	must(zone->nr_cma == AREA_PAGES && zone->nr_free_cma == AREA_PAGES && !zone->nr_isolated);
	must(zone->free_area[MAX_ORDER - 1].nr_free * 1024 + zone->free_area[PAGEBLOCK_ORDER].nr_free * 512 >=
	     AREA_PAGES);
}

/* An area, and a zone that has nothing else. */
static void start(void)
{
	zone = model_start();
	mm_init_late();
	must(!cma_declare_contiguous(AREA_PAGES * PAGE_SIZE - 1, -1));
	area = zone->zone_start_pfn;
	must(zone->zone_end_pfn == area + AREA_PAGES && zone->managed_pages == AREA_PAGES);
	must(cma_contains(area) && cma_contains(area + AREA_PAGES - 1) && !cma_contains(area - 1) &&
	     !cma_contains(area + AREA_PAGES));
	area_whole();
}

static bool in_area(const struct page *page)
{
	return cma_contains(page_to_pfn(page));
}

#define GFP_QUIET (GFP_KERNEL | GFP_HARDWALL | GFP_NOWARN | GFP_NORETRY)

static void movable_only(void)
{
	unsigned int order;
	struct page *page;

	start();
	no_more_growth();
	for (order = 0; order < MAX_ORDER; order++) {
		must(!alloc_pages(GFP_QUIET, order), "order %u", order);
		must(!alloc_pages(GFP_QUIET | GFP_RECLAIMABLE, order), "order %u", order);
		must(!alloc_pages(GFP_ATOMIC | GFP_NOWARN, order), "order %u", order);
		page = alloc_pages(GFP_QUIET | GFP_MOVABLE, order);
		must(page && in_area(page), "order %u", order);
		must(get_pageblock_migratetype(page_to_pfn(page)) == MIGRATE_CMA);
		must(!alloc_pages(GFP_QUIET, order), "order %u", order);
		check_zone(zone);
		free_pages(page, order);
		/* Not by the per-CPU lists either. */
		must(!alloc_pages(GFP_QUIET, order), "order %u", order);
	}
	drain_all_pages();
	area_whole();
}

/* Before more memory is taken for them. */
static void before_growth(void)
{
	const struct zone *movable;
	unsigned long i;

	start();
	movable = &NODE_DATA(zone->nid)->node_zones[ZONE_MOVABLE];
	for (i = 0; i < AREA_BLOCKS; i++)
		must(in_area(alloc_pages(GFP_QUIET | GFP_MOVABLE, PAGEBLOCK_ORDER)), "block %lu", i);
	must(!movable->managed_pages);
	must(!in_area(alloc_pages(GFP_QUIET | GFP_MOVABLE, PAGEBLOCK_ORDER)) && movable->managed_pages);
	check_zone(zone);
}

/* Movable requests go to the area while it has more than half of what is free. */
static void balance(void)
{
	unsigned long i, pb, others;
	struct page *page;
	bool clean;

	start();
	/* As much for movable requests that is no area's; it is in use. */
	pb = arena_alloc(AREA_BLOCKS, 1, PB_OFFLINE, zone->nid, &clean);
	must(pb);
	others = pb << PAGEBLOCK_ORDER;
	zone_online_blocks(zone, pb, AREA_BLOCKS, MIGRATE_MOVABLE, !clean);
	must(!alloc_contig_range(others, others + AREA_PAGES, MIGRATE_MOVABLE, GFP_KERNEL));
	must(zone->nr_free_pages == zone->nr_free_cma);
	no_more_growth();
	/* Half of each of its pageblocks comes free, less than the area has: */
	for (i = 0; i < AREA_BLOCKS; i++)
		free_contig_range(others + i * PAGEBLOCK_PAGES, 256);
	drain_all_pages();
	must(zone->nr_free_cma > zone->nr_free_pages / 2);
	page = alloc_pages(GFP_QUIET | GFP_MOVABLE, 7);
	must(page && in_area(page));
	free_pages(page, 7);
	/* then more of each, and the area has less. */
	for (i = 0; i < AREA_BLOCKS; i++)
		free_contig_range(others + i * PAGEBLOCK_PAGES + 256, 128);
	must(cma_alloc(2 * PAGEBLOCK_PAGES, -1, GFP_KERNEL));
	drain_all_pages();
	must(zone->nr_free_cma && zone->nr_free_cma < zone->nr_free_pages / 2);
	page = alloc_pages(GFP_QUIET | GFP_MOVABLE, 7);
	must(page && !in_area(page));
	page = alloc_pages(GFP_QUIET, 7);
	must(page && !in_area(page));
	check_zone(zone);
}

static void given_out_and_back(void)
{
	unsigned long success = vm_events[CMA_ALLOC_SUCCESS], fail = vm_events[CMA_ALLOC_FAIL];
	struct page *all, *part, *rest;

	start();
	all = cma_alloc(AREA_PAGES - 1, -1, GFP_KERNEL);
	must(all == pfn_to_page(area) && all->refcount == 1 && page_type(all) == PAGE_HEAD && !all->order);
	must(zone->nr_free_cma == 1 && !zone->nr_isolated);
	must(get_pageblock_migratetype(area) == MIGRATE_CMA);
	must(!cma_alloc(2, -1, GFP_KERNEL) && !cma_alloc(AREA_PAGES + 1, -1, GFP_KERNEL));
	must(!cma_alloc(1, 63, GFP_KERNEL), "there is no such node");
	rest = cma_alloc(1, 0, GFP_KERNEL);
	must(rest == pfn_to_page(area + AREA_PAGES - 1));
	must(vm_events[CMA_ALLOC_SUCCESS] == success + AREA_PAGES && vm_events[CMA_ALLOC_FAIL] > fail);
	check_zone(zone);
	/* Parts of it. */
	must(cma_release(all + 100, 500));
	part = cma_alloc(400, -1, GFP_KERNEL);
	must(part == all + 100);
	must(cma_release(rest, 1) && cma_release(all, 500) && cma_release(all + 600, AREA_PAGES - 1 - 600));
	must(!cma_release(pfn_to_page(area + AREA_PAGES), 1));
	drain_all_pages();
	area_whole();
}

static void aligned(void)
{
	unsigned long nr;

	start();
	must(cma_alloc(1, -1, GFP_KERNEL));
	for (nr = 2; nr <= 512; nr *= 2) {
		struct page *page = cma_alloc(nr, -1, GFP_KERNEL);

		must(page && is_aligned((uintptr_t)page_to_addr(page), nr << PAGE_SHIFT), "%lu pages", nr);
	}
	check_zone(zone);
}

/* A page in use that nobody can move: another place. */
static void around_fixed_pages(void)
{
	struct page *fixed, *page;

	start();
	no_more_growth();
	fixed = alloc_pages(GFP_QUIET | GFP_MOVABLE, PAGEBLOCK_ORDER);
	must(fixed && in_area(fixed));
	must(!cma_alloc(AREA_PAGES, -1, GFP_KERNEL));
	page = cma_alloc(AREA_PAGES / 4, -1, GFP_KERNEL);
	must(page && (page >= fixed + PAGEBLOCK_PAGES || page + AREA_PAGES / 4 <= fixed));
	check_zone(zone);
	free_pages(fixed, PAGEBLOCK_ORDER);
	must(cma_release(page, AREA_PAGES / 4));
	drain_all_pages();
	area_whole();
	must(cma_alloc(AREA_PAGES, -1, GFP_KERNEL));
}

/* The area stays the zone's; its dirty pages do not stay the process's. */
static void kept(void)
{
	struct page *page;

	start();
	page = cma_alloc(AREA_PAGES, -1, GFP_KERNEL);
	memset(page_to_addr(page), 1, AREA_PAGES * PAGE_SIZE);
	must(cma_release(page, AREA_PAGES));
	drain_all_pages();
	must(zone->nr_dirty == AREA_PAGES);
	zone_trim(zone, 0);
	must(zone->managed_pages == AREA_PAGES);
	mm_trim(0);
	must(zone->managed_pages == AREA_PAGES && !zone->nr_dirty);
	area_whole();
	must(all_zero(page_to_addr(page), AREA_PAGES * PAGE_SIZE));
	/* Nor do its free pageblocks count for those that a zone keeps. */
	page = alloc_pages(GFP_KERNEL, PAGEBLOCK_ORDER);
	must(page && !in_area(page));
	free_pages(page, PAGEBLOCK_ORDER);
	must(zone->managed_pages == AREA_PAGES + PAGEBLOCK_PAGES, "%lu managed", zone->managed_pages);
	check_zone(zone);
}

static void contig_asks_it_first(void)
{
	struct page *in, *out;

	start();
	in = alloc_contig_pages(AREA_PAGES, GFP_KERNEL, -1, NULL);
	must(in == pfn_to_page(area));
	out = alloc_contig_pages(3, GFP_KERNEL, -1, NULL);
	must(out && !in_area(out));
	free_contig_range(area, AREA_PAGES);
	in = alloc_contig_pages(AREA_PAGES, GFP_KERNEL, -1, NULL);
	must(in == pfn_to_page(area));
}

/* Pages that are given back one by one are the area's again: nobody else is served from it, and it is had as a whole.
 */
static void freed_singly(void)
{
	struct page *page, *other;
	unsigned long i;

	start();
	/* Twice: then what comes is dirty, as what is in the lists. */
	must(alloc_contig_pages(AREA_PAGES, GFP_KERNEL, -1, NULL) == pfn_to_page(area));
	free_contig_range(area, AREA_PAGES);
	must((other = alloc_pages(GFP_KERNEL, 0)) && !in_area(other));
	page = alloc_contig_pages(AREA_PAGES, GFP_KERNEL, -1, NULL);
	must(page == pfn_to_page(area));
	for (i = 0; i < AREA_PAGES; i++)
		if (!free_block_fast(page + i, 0))
			free_pages(page + i, 0);
	for (i = 0; i < AREA_PAGES / 2; i++)
		must((other = alloc_pages(GFP_KERNEL, 0)) && !in_area(other), "page %lu", i);
	must(alloc_contig_pages(AREA_PAGES, GFP_KERNEL, -1, NULL) == page);
	/* What is still in use is not given out. */
	free_pages(page, 0);
	free_pages(page + 2, 0);
	other = alloc_contig_pages(1, GFP_KERNEL, -1, NULL);
	must(other == page || other == page + 2);
	other = alloc_contig_pages(2, GFP_KERNEL, -1, NULL);
	must(other && !in_area(other));
	check_zone(zone);
}

static void several(void)
{
	struct page *page[3];
	unsigned int i, n = 0;

	start();
	must(!cma_declare_contiguous(PAGEBLOCK_SIZE, 0));
	must(zone->nr_cma == AREA_PAGES + PAGEBLOCK_PAGES);
	check_zone(zone);
	must((page[0] = cma_alloc(PAGEBLOCK_PAGES, -1, GFP_KERNEL)));
	must((page[1] = cma_alloc(AREA_PAGES - PAGEBLOCK_PAGES, -1, GFP_KERNEL)));
	must((page[2] = cma_alloc(PAGEBLOCK_PAGES, -1, GFP_KERNEL)));
	must(!zone->nr_free_cma && !cma_alloc(1, -1, GFP_KERNEL));
	must(cma_release(page[2], PAGEBLOCK_PAGES));
	must(cma_declare_contiguous(0, -1) == -EINVAL && cma_declare_contiguous(1, 64) == -EINVAL);
	for (i = 0; i < 100 && !n; i++)
		n = cma_declare_contiguous(1, -1) == -ENOSPC;
	must(n);
	check_zone(zone);
	no_more_growth();
}

static void no_memory(void)
{
	zone = model_start();
	no_more_growth();
	must(cma_declare_contiguous(MiB, -1) == -ENOMEM);
	must(!zone->nr_cma && !zone->managed_pages && !cma_alloc(1, -1, GFP_KERNEL));
}

static void configured(void)
{
	zone = model_start();
	must(!tunables_parse("cma:3m@0+1", 10, "test"));
	cma_reserve();
	must(zone->nr_cma == 3 * PAGEBLOCK_PAGES && zone->nr_free_cma == zone->nr_cma);
	check_zone(zone);
}

static void badly_configured(void)
{
	zone = model_start();
	must(!tunables_parse("cma:2m@63+2m", 12, "test"));
	cma_reserve();
	must(zone->nr_cma == PAGEBLOCK_PAGES);
}

int main(void)
{
	model_init();
	run_case("an area serves movable requests only", movable_only);
	run_case("it does so before their zone grows", before_growth);
	run_case("movable requests leave the rest to others", balance);
	run_case("cma_alloc and cma_release", given_out_and_back);
	run_case("powers of two are aligned", aligned);
	run_case("around what is in use", around_fixed_pages);
	run_case("an area is never given back, its memory is", kept);
	run_case("contiguous pages come from an area first", contig_asks_it_first);
	run_case("pages of an area that are freed one by one", freed_singly);
	run_case("several areas", several);
	run_case("no memory for one", no_memory);
	run_case("areas by configuration", configured);
	run_case_says("an area on a node that is none", badly_configured,
		      "cma: no area of 2048 KiB on node 63: error 22");
	return done_testing();
}
