/* SPDX-License-Identifier: MIT */
/*
 * Contiguous pages where movable blocks are in the way: they are moved, whole, and their user finds them as they were;
 * or they stay, and nothing else has changed either.
 */
#include <sched.h>

#include "mm/balance.h"
#include "mm/memory_hotplug.h"
#include "mm/page_isolation.h"
#include "mm/pcp.h"
#include "movable.h"

#define GFP_USER_MOVABLE (GFP_USER | GFP_MOVABLE)
#define GFP_CONTIG (GFP_USER | GFP_NOWARN)

static struct zone *zone;

/* One CPU's lists take and give: a zone need not grow because of what another's hold. */
static void stay_on_this_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	must(!sched_setaffinity(0, sizeof(set), &set));
}

/* Movable blocks of the order, nr pageblocks full of them; the first page of the first one, all being side by side. */
static unsigned long movable_blocks(unsigned int order, unsigned long nr)
{
	unsigned long n = nr << PAGEBLOCK_ORDER >> order, i, pb;
	bool clean;

	if (!zone) {
		stay_on_this_cpu();
		model_start();
		mm_init_late();
		zone = &NODE_DATA(numa_node_id())->node_zones[ZONE_MOVABLE];
	}
	must(!zone_pageset_init(zone));
	pb = arena_alloc(nr, 2, PB_OFFLINE, zone->nid, &clean);
	zone_online_blocks(zone, pb, nr, MIGRATE_MOVABLE, !clean);
	for (i = 0; i < n; i++)
		must(user_alloc(&handles[i], order, GFP_USER_MOVABLE));
	must(!zone->nr_free_pages && zone->managed_pages == nr << PAGEBLOCK_ORDER);
	return pb << PAGEBLOCK_ORDER;
}

static void have(unsigned long start, unsigned long end)
{
	unsigned long pfn;

	for (pfn = start; pfn < end; pfn++) {
		must(page_type(pfn_to_page(pfn)) == PAGE_HEAD && !pfn_to_page(pfn)->order &&
		     pfn_to_page(pfn)->refcount == 1);
		memset(pfn_to_addr(pfn), 0xee, PAGE_SIZE);
	}
	must(!zone->nr_isolated && !zone->nr_isolate_blocks && !zone->pcp_disabled);
	check_zone(zone);
	user_verify_all();
}

static void moved_away(void)
{
	static const struct {
		unsigned int order;
		unsigned long start, nr;
	} cases[] = { { 0, 300, 500 }, { 0, 0, 1024 }, { 3, 5, 6 }, { 4, 24, 1000 }, { 9, 100, 5 }, { 10, 700, 100 } };
	unsigned long i, pfn, start, end, blocks;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		pfn = movable_blocks(cases[i].order, 4);
		start = pfn + cases[i].start;
		end = start + cases[i].nr;
		blocks = ((end - 1) >> cases[i].order) - (start >> cases[i].order) + 1;
		must(!alloc_contig_range(start, end, MIGRATE_MOVABLE, GFP_CONTIG), "case %lu", i);
		have(start, end);
		/* Those that the range touches, and no other. */
		must(user.migrated == blocks && user.isolated == blocks && !user.putback, "%lu moved", user.migrated);
		free_contig_range(start, end - start);
		user_free_all(zone);
		mm_trim(0);
		must(!zone->managed_pages);
		memset(&user, 0, sizeof(user));
	}
}

static void found_by_search(void)
{
	unsigned long pfn = movable_blocks(2, 4);
	struct page *page;

	fake_os_no_memory();
	while (arena_alloc(1, 1, PB_HUGE, zone->nid, &(bool){ false }))
		;
	/* Room for them, but nowhere side by side. */
	for (unsigned long i = 0; i < 4 * PAGEBLOCK_PAGES / 4; i += 2)
		user_free(&handles[i]);
	drain_all_pages();
	must(zone->nr_free_pages == 2 * PAGEBLOCK_PAGES);
	must(!alloc_contig_pages(200, (GFP_CONTIG | GFP_MOVABLE) & ~GFP_FS, -1, NULL) && !user.isolated);
	must(!alloc_contig_pages(200, GFP_NOWAIT | GFP_MOVABLE, -1, NULL) && !user.isolated);
	page = alloc_contig_pages(900, GFP_CONTIG | GFP_MOVABLE, -1, NULL);
	must(page && page_to_pfn(page) >= pfn && user.migrated);
	have(page_to_pfn(page), page_to_pfn(page) + 900);
	/* More than is free. */
	must(!alloc_contig_pages(300, GFP_CONTIG | GFP_MOVABLE, -1, NULL));
	user_verify_all();
	check_zone(zone);
	free_contig_range(page_to_pfn(page), 900);
	user_free_all(zone);
}

static void user_says_no(void)
{
	unsigned long pfn = movable_blocks(1, 2);

	user.isolate = -EBUSY;
	must(alloc_contig_range(pfn, pfn + 100, MIGRATE_MOVABLE, GFP_CONTIG) == -EBUSY);
	must(user.isolated && !user.migrated && !user.putback);
	user.isolate = 0;
	user.migrate = -EIO;
	must(alloc_contig_range(pfn, pfn + 100, MIGRATE_MOVABLE, GFP_CONTIG) == -EBUSY);
	must(user.migrated && user.putback && !zone->nr_isolated && !zone->pcp_disabled);
	user_verify_all();
	/* Not at first. */
	user.migrate = 0;
	user.again = 3;
	must(!alloc_contig_range(pfn, pfn + 100, MIGRATE_MOVABLE, GFP_CONTIG));
	have(pfn, pfn + 100);
	free_contig_range(pfn, 100);
	user_free_all(zone);
}

static void no_place_to_go(void)
{
	unsigned long pfn = movable_blocks(1, 2);

	fake_os_no_memory();
	while (arena_alloc(1, 1, PB_HUGE, zone->nid, &(bool){ false }))
		;
	must(alloc_contig_range(pfn, pfn + 100, MIGRATE_MOVABLE, GFP_CONTIG | GFP_NORETRY) == -ENOMEM);
	must(user.isolated == 1 && user.putback == 1 && !zone->nr_isolated && !zone->pcp_disabled);
	user_free_all(zone);
}

/* A reference from elsewhere, and one that is no longer movable. */
static void pinned(void)
{
	unsigned long pfn = movable_blocks(0, 2);
	struct page *page = pfn_to_page(pfn + 50);

	page->refcount++;
	must(alloc_contig_range(pfn, pfn + 100, MIGRATE_MOVABLE, GFP_CONTIG) == -EBUSY);
	user_verify_all();
	page->refcount--;
	page = pfn_to_page(pfn + 70);
	must(!set_page_movable(page, NULL, NULL));
	user.isolated = 0;
	must(alloc_contig_range(pfn, pfn + 100, MIGRATE_MOVABLE, GFP_CONTIG) == -EBUSY && !user.isolated);
	must(!set_page_movable(page, &user_ops, &user));
	must(!alloc_contig_range(pfn, pfn + 100, MIGRATE_MOVABLE, GFP_CONTIG));
	have(pfn, pfn + 100);
	free_contig_range(pfn, 100);
	user_free_all(zone);
}

/* Compound blocks stay so. */
static void compound(void)
{
	unsigned long pfn;
	struct page *page;
	unsigned int i;

	model_start();
	mm_init_late();
	must(user_alloc(&handles[0], 3, GFP_USER_MOVABLE | GFP_COMP));
	page = handles[0].page;
	pfn = page_to_pfn(page);
	zone = pfn_to_zone(pfn);
	must(page->flags & PG_COMPOUND);
	must(!alloc_contig_range(pfn + 7, pfn + 9, MIGRATE_MOVABLE, GFP_CONTIG));
	have(pfn + 7, pfn + 9);
	must(handles[0].page != page);
	page = handles[0].page;
	for (i = 0; i < 8; i++)
		must(compound_head(page + i) == page);
	free_contig_range(pfn + 7, 2);
	user_free_all(zone);
}

static void out_of_an_area(void)
{
	unsigned long area, pfn, n, in_area = 0;
	struct page *page;

	zone = model_start();
	mm_init_late();
	/* There is memory for what the library must know of them. */
	for (n = 0; n < 100; n++)
		must(user_alloc(&handles[n], 0, GFP_USER_MOVABLE));
	for (n = 0; n < 100; n++)
		user_free(&handles[n]);
	mm_trim(0);
	must(!cma_declare_contiguous(4 * PAGEBLOCK_SIZE, -1));
	area = zone->zone_start_pfn;
	fake_os_no_memory();
	while (arena_alloc(1, 1, PB_HUGE, zone->nid, &(bool){ false }))
		;
	for (n = 0; n < 100; n++) {
		must(user_alloc(&handles[n], rnd(3), GFP_USER_MOVABLE | GFP_NORETRY));
		in_area += cma_contains(page_to_pfn(handles[n].page));
	}
	must(in_area == 100);
	/* To another pageblock of the area. */
	pfn = align_down(page_to_pfn(handles[0].page), PAGEBLOCK_PAGES);
	must(!alloc_contig_range(pfn, pfn + PAGEBLOCK_PAGES, MIGRATE_CMA, GFP_CONTIG | GFP_NORETRY));
	must(user.migrated);
	have(pfn, pfn + PAGEBLOCK_PAGES);
	free_contig_range(pfn, PAGEBLOCK_PAGES);
	fake_os_reset();
	/* And all of it, now that there is more elsewhere. */
	page = cma_alloc(4 * PAGEBLOCK_PAGES, -1, GFP_CONTIG);
	must(page == pfn_to_page(area));
	have(area, area + 4 * PAGEBLOCK_PAGES);
	must(cma_release(page, 4 * PAGEBLOCK_PAGES));
	for (n = 0; n < 100; n++)
		user_free(&handles[n]);
	drain_all_pages();
	check_zone(zone);
	must(zone->nr_free_cma == 4 * PAGEBLOCK_PAGES);
}

/* One thread's blocks come and go, and are moved under its hands by others that want ranges. */
static bool stop;

static void *churn(void *seed)
{
	uint64_t state = (uintptr_t)seed;

	while (!READ_ONCE(stop)) {
		struct handle *h;

		state = state * 6364136223846793005 + 1442695040888963407;
		h = &handles[(state >> 33) % 500 * 2 + ((uintptr_t)seed & 1)];
		if (READ_ONCE(h->page))
			user_free(h);
		else
			must(user_alloc(h, state >> 60 & 3, GFP_USER_MOVABLE));
	}
	return NULL;
}

static void while_others_work(void)
{
	unsigned long i, had = 0;
	pthread_t thread[2];
	struct page *page;

	model_start();
	mm_init_late();
	zone = &NODE_DATA(numa_node_id())->node_zones[ZONE_MOVABLE];
	for (i = 0; i < 2; i++)
		must(!pthread_create(&thread[i], NULL, churn, (void *)(i + 10)));
	for (i = steps(600); i; i--) {
		unsigned long nr = 1 + rnd(rnd(2) ? 1500 : 100), pfn;

		page = alloc_contig_pages(nr, GFP_CONTIG | GFP_MOVABLE, -1, NULL);
		must(page);
		pfn = page_to_pfn(page);
		for (unsigned long at = pfn; at < pfn + nr; at++)
			*(unsigned long *)pfn_to_addr(at) = at;
		for (unsigned long at = pfn; at < pfn + nr; at++)
			must(*(unsigned long *)pfn_to_addr(at) == at);
		free_contig_range(pfn, nr);
		had++;
	}
	WRITE_ONCE(stop, true);
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	must(had && !zone->nr_isolated && !zone->nr_isolate_blocks && !zone->pcp_disabled);
	user_free_all(zone);
}

int main(void)
{
	model_init();
	run_case("blocks in a range are moved, those beside it are not", moved_away);
	run_case("a range is made where there is none", found_by_search);
	run_case("a user may say no", user_says_no);
	run_case("no place to move to", no_place_to_go);
	run_case("what is pinned stays", pinned);
	run_case("compound blocks", compound);
	run_case("cma_alloc empties its place", out_of_an_area);
	run_case("while others allocate, free and are moved", while_others_work);
	return done_testing();
}
