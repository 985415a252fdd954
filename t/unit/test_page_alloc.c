/* SPDX-License-Identifier: MIT */
/*
 * The walk of an allocation: bad orders, exact lengths, growth, watermarks, reclaim before failure; and everything of
 * lib/mm and lib/slab over a system that fails at every single call in turn.
 */
#include "base/tunables.h"
#include "malloc/huge.h"
#include "mm/balance.h"
#include "mm/balance_inner.h"
#include "mm/internal.h"
#include "mm/pcp.h"
#include "slab/run.h"
#include "slab/slab.h"
#include "failing.h"

static struct zone *zone;

static void bad_order(void)
{
	model_start();
	if (alloc_pages(GFP_USER, MAX_ORDER))
		return;
	abort();
}

static void exact(void)
{
	unsigned long nr, managed;
	struct page *page, *next;

	zone = model_start();
	for (nr = 1; nr <= 1024; nr += nr < 40 ? 1 : 37) {
		page = alloc_pages_exact(GFP_USER | GFP_NOWARN, nr, order_for_pages(nr));
		must(page && is_aligned(page_to_pfn(page), 1UL << order_for_pages(nr)));
		drain_all_pages();
		managed = zone->managed_pages;
		must(managed - zone->nr_free_pages == nr, "the tail of %lu pages is free", nr);
		free_pages_exact(page, nr);
		zone_trim(zone, 0);
		must(!zone->managed_pages);
	}
	page = alloc_pages_exact(GFP_USER | GFP_NOWARN, 5, 6);
	must(is_aligned(page_to_pfn(page), 64), "as aligned as asked");
	must(resize_pages_exact(page, 5, 60) && !resize_pages_exact(page, 60, 513));
	next = alloc_pages_exact(GFP_USER | GFP_NOWARN, 4, 2);
	must(next);
	drain_all_pages();
	must(resize_pages_exact(page, 60, 1) && resize_pages_exact(page, 1, 1));
	check_zone(zone);
	free_pages_exact(page, 1);
	free_pages_exact(next, 4);
	drain_all_pages();
	must(zone->nr_free_pages == zone->managed_pages);
	check_zone(zone);
}

/* Side by side in address, but of two zones: neither grows into the other. */
static void zones_side_by_side(void)
{
	struct page *normal, *movable;

	zone = model_start();
	normal = alloc_pages(GFP_USER, PAGEBLOCK_ORDER);
	movable = alloc_pages(GFP_USER | GFP_MOVABLE, 0);
	must(pfn_to_zone(page_to_pfn(movable))->idx == ZONE_MOVABLE);
	must(movable >= normal + PAGEBLOCK_PAGES && movable < normal + 2 * PAGEBLOCK_PAGES);
	free_pages(movable, 0);
	drain_all_pages();
	/* A block that ends where its pageblock does. */
	free_pages_exact(normal, PAGEBLOCK_PAGES - 16);
	must(!resize_pages_exact(normal + PAGEBLOCK_PAGES - 16, 16, 32));
	check_zone(zone);
	check_zone(&NODE_DATA(0)->node_zones[ZONE_MOVABLE]);
}

/* Below its mark a zone does not serve from what it has: it grows. */
static void watermarks(void)
{
	struct page *page;
	unsigned long grown;

	zone = model_start();
	page = alloc_pages(GFP_USER, 5);
	must(page && zone->nr_grown == 1);
	zone->watermark[WMARK_LOW] = PAGEBLOCK_PAGES;
	must(alloc_pages(GFP_USER, 5) && zone->nr_grown == 2);
	grown = zone->nr_grown;
	zone->watermark[WMARK_LOW] = 0;
	must(alloc_pages(GFP_USER, 5) && zone->nr_grown == grown);
	/* The slow path uses the min mark. */
	fake_os_no_memory();
	while (arena_stats.used < arena_stats.mapped)
		must(alloc_pages(GFP_USER, PAGEBLOCK_ORDER));
	zone->watermark[WMARK_LOW] = 1UL << 30;
	must(alloc_pages(GFP_USER, 5), "above min it is served after all");
	zone->watermark[WMARK_MIN] = zone->watermark[WMARK_HIGH] = 1UL << 30;
	must(!alloc_pages(GFP_USER | GFP_NOWARN, 5));
	check_zone(zone);
}

/* What lies in per-CPU lists is brought back before an allocation fails, if the caller may wait for it. */
static void reclaim_drains(void)
{
	struct page *page[64];
	unsigned int i;

	zone = model_start();
	for (i = 0; i < 64; i++)
		page[i] = alloc_pages(GFP_USER, 0);
	fake_os_no_memory();
	while (alloc_pages(GFP_USER | GFP_NOWARN, PCP_MAX_ORDER + 1))
		;
	while (alloc_pages(GFP_USER | GFP_NOWARN, 0))
		;
	for (i = 0; i < 64; i++)
		free_pages(page[i], 0);
	must(nr_pcp_pages(zone) == 64);
	must(!alloc_pages(GFP_NOWARN, PCP_MAX_ORDER + 1), "without DIRECT_RECLAIM the lists stay");
	must(nr_pcp_pages(zone) == 64);
	must(alloc_pages(GFP_USER, PCP_MAX_ORDER + 1));
	must(nr_pcp_pages(zone) == 0);
	check_zone(zone);
}

/* The failing system. */
enum kind { NOTHING, PAGES, EXACT, RUN, HUGE, SLAB, NR_KINDS };

static struct item {
	enum kind kind;
	char *p;
	size_t size;
	struct page *page;
	unsigned int order;
	uint64_t stamp;
} items[48];

static void mark(struct item *it)
{
	it->stamp = rnd64() & ~15UL;
	memcpy(it->p, &it->stamp, 8);
	memcpy(it->p + it->size - 8, &it->stamp, 8);
}

static void verify(const struct item *it, bool whole)
{
	must(!memcmp(it->p, &it->stamp, 8), "kind %d of %zu bytes", it->kind, it->size);
	must(!whole || !memcmp(it->p + it->size - 8, &it->stamp, 8), "kind %d of %zu bytes", it->kind, it->size);
}

static void *get(struct item *it, enum kind kind)
{
	struct object *obj;
	unsigned int class = 1 + rnd(FIRST_RUN_CLASS - 1);
	bool zeroed = false;

	it->size = PAGE_SIZE << (it->order = rnd(MAX_ORDER));
	switch (kind) {
	case PAGES:
		it->page = alloc_pages(GFP_USER | GFP_NOWARN | (rnd(2) ? GFP_MOVABLE : 0), it->order);
		return it->page ? page_to_addr(it->page) : NULL;
	case EXACT:
		it->size = PAGE_SIZE * (1 + rnd(1000));
		it->page = alloc_pages_exact(GFP_USER | GFP_NOWARN, it->size >> PAGE_SHIFT,
					     order_for_pages(it->size >> PAGE_SHIFT));
		return it->page ? page_to_addr(it->page) : NULL;
	case RUN:
		class = FIRST_RUN_CLASS + rnd(NR_CLASSES - FIRST_RUN_CLASS);
		it->size = class_size(class);
		it->p = run_alloc(class, 0, &zeroed);
		break;
	case HUGE:
		it->size = MiB + 8 + 16 * rnd(MiB / 4);
		it->p = huge_alloc(it->size, rnd(2) ? 8 * MiB : 0, &zeroed);
		break;
	default:
		it->size = class_size(class);
		return slab_alloc_bulk(&kmem_caches[class], 1, &obj) ? obj : NULL;
	}
	must(!it->p || !zeroed || (all_zero(it->p, 64) && all_zero(it->p + align_down(it->size, 8) - 64, 64)));
	return it->p;
}

static void put(struct item *it)
{
	verify(it, true);
	switch (it->kind) {
	case PAGES:
		free_pages(it->page, it->order);
		break;
	case EXACT:
		free_pages_exact(it->page, it->size >> PAGE_SHIFT);
		break;
	case RUN:
		run_free(it->p);
		break;
	case HUGE:
		huge_free(pfn_to_page(addr_to_pfn(it->p)));
		break;
	default:
		memset(it->p, 0, 8);
		slab_free_bulk(&kmem_caches[size_to_class(it->size)], (struct object *)it->p);
		break;
	}
	it->kind = NOTHING;
}

/* Resized in place or moved, the contents are as they were. */
static void change(struct item *it)
{
	size_t old = it->size;
	unsigned int class;
	void *p = NULL;

	if (it->kind == RUN) {
		class = FIRST_RUN_CLASS + rnd(NR_CLASSES - FIRST_RUN_CLASS);
		if (run_resize(it->p, class))
			it->size = class_size(class);
	} else if (it->kind == HUGE) {
		size_t size = MiB + 8 + 16 * rnd(MiB / 2);
		struct page *page = pfn_to_page(addr_to_pfn(it->p));

		if (huge_resize(page, size))
			it->size = size;
		else if ((p = huge_move(page, size)))
			it->size = size;
		it->p = p ? p : it->p;
	}
	verify(it, it->size >= old && it->size == old);
	mark(it);
}

/* The random steps may move, and unmap, nothing at all. So large that it is no part of a zone. */
static void move_once(void)
{
	bool zeroed;
	uint64_t *p = huge_alloc(5 * MiB, 0, &zeroed), *moved;

	if (!p)
		return;
	*p = 42;
	moved = huge_move(pfn_to_page(addr_to_pfn(p)), 7 * MiB);
	p = moved ? moved : p;
	must(*p == 42);
	huge_free(pfn_to_page(addr_to_pfn(p)));
	arena_purge(0, ~0U, true);
}

static void workload(bool all_must_work)
{
	unsigned int i;

	move_once();
	for (i = 0; i < 150; i++) {
		struct item *it = &items[rnd(ARRAY_SIZE(items))];
		enum kind kind = 1 + rnd(NR_KINDS - 1);

		if (it->kind == NOTHING) {
			it->p = get(it, kind);
			must(it->p || !all_must_work, "kind %d of %zu bytes", kind, it->size);
			if (!it->p)
				continue;
			it->kind = kind;
			mark(it);
		} else if (rnd(2)) {
			change(it);
		} else {
			put(it);
		}
		if (i % 40 == 39)
			mm_trim(rnd(2) * 8 * MiB);
		if (i % 64 == 63)
			slab_reclaim();
		if (i % 50 == 49)
			arena_purge(0, ~0U, true);
	}
	for (i = 0; i < ARRAY_SIZE(items); i++)
		if (items[i].kind != NOTHING)
			verify(&items[i], true);
	check_zone(zone);
	check_arena();
}

static void fail_nth(void)
{
	bool started, reached;
	unsigned int i;

	fake_os_install();
	failing_begin();
	started = !mm_init();
	slab_init();
	tunables.dirty_max = 4 * MiB;
	tunables.thp_threshold = 8 * MiB;
	threads_follow = true; /* all of dirty_max counts: with less to move munmap might never be called */
	zone = started ? &NODE_DATA(0)->node_zones[ZONE_NORMAL] : NULL;
	if (started)
		workload(false);
	reached = failing_end();
	zone = started ? zone : model_start();
	workload(true);
	for (i = 0; i < ARRAY_SIZE(items); i++)
		if (items[i].kind != NOTHING)
			put(&items[i]);
	for (i = 1; i < FIRST_RUN_CLASS; i++) {
		check_cache(&kmem_caches[i]);
		must(!kmem_caches[i].nr_active);
	}
	slab_reclaim();
	drain_all_pages();
	zone_trim(zone, 0);
	zone_trim(&NODE_DATA(0)->node_zones[ZONE_MOVABLE], 0);
	must(!arena_stats.used && !arena_stats.huge && !zone->managed_pages && !run_stats_read().nr,
	     "used %lu huge %lu managed %lu runs %lu", arena_stats.used, arena_stats.huge, zone->managed_pages,
	     run_stats_read().nr);
	check_arena();
	if (!reached)
		_exit(NOT_REACHED);
}

int main(void)
{
	model_init();
	run_case_aborts("an order too large is NULL and a warning", bad_order, "order 11: the largest is 10");
	run_case("exact lengths", exact);
	run_case("blocks of two zones side by side", zones_side_by_side);
	run_case("watermarks", watermarks);
	run_case("reclaim before failure", reclaim_drains);
	for (int forever = 0; forever < 2; forever++) {
		fail_each(FAKE_MMAP, forever, fail_nth, "mmap");
		fail_each(FAKE_MADVISE, forever, fail_nth, "madvise");
		fail_each(CAN_PLAN ? FAKE_MUNMAP : FAKE_MPROTECT, forever, fail_nth, CAN_PLAN ? "munmap" : "mprotect");
		fail_each(FAKE_MREMAP, forever, fail_nth, "mremap");
		fail_each(FAKE_ANY, forever, fail_nth, "any call");
	}
	return done_testing();
}
