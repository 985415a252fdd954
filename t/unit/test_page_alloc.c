/* SPDX-License-Identifier: MIT */
/*
 * The walk of an allocation: bad orders, exact lengths, growth and trimming, watermarks, reclaim before failure, giving
 * back; and everything of lib/mm and lib/slab over a system that fails at every single call in turn.
 */
#include <errno.h>
#include <time.h>

#include "base/tunables.h"
#include "malloc/block.h"
#include "malloc/huge.h"
#include "mm/budget.h"
#include "mm/internal.h"
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

static void trimming(void)
{
	struct page *page[4];
	unsigned int i;

	zone = model_start();
	for (i = 0; i < 4; i++)
		page[i] = alloc_pages(GFP_USER, PAGEBLOCK_ORDER);
	must(zone->managed_pages == 4 * PAGEBLOCK_PAGES && arena_stats.used == 4);
	for (i = 0; i < 4; i++)
		free_pages(page[i], PAGEBLOCK_ORDER);
	drain_all_pages();
	zone_trim(zone, 1);
	must(arena_stats.used <= 1 && zone->nr_free_blocks <= 1, "a zone keeps one free pageblock");
	must(zone->managed_pages == zone->nr_free_blocks << PAGEBLOCK_ORDER);
	zone_trim(zone, 0);
	must(!arena_stats.used && !zone->managed_pages && arena_stats.dirty == 4);
	must(mm_trim(2 * PAGEBLOCK_SIZE) == 2 * PAGEBLOCK_SIZE && arena_stats.dirty == 2);
	must(mm_trim(0) == 2 * PAGEBLOCK_SIZE && arena_stats.dirty == 0);
	must(mm_trim(0) == 0);
	for (i = 0; i < 4; i++)
		page[i] = alloc_pages(GFP_USER, 5);
	free_pages(page[0], 5);
	free_pages(page[2], 5);
	drain_all_pages();
	must(mm_trim(32 * PAGE_SIZE) == 32 * PAGE_SIZE && zone->nr_dirty == 32, "%lu pages left", zone->nr_dirty);
	free_pages(page[1], 5);
	free_pages(page[3], 5);
	check_zone(zone);
	check_arena();
}

static void purging(void)
{
	struct page *page, *hold;
	unsigned long dirty;

	zone = model_start();
	hold = alloc_pages(GFP_USER, 4);
	page = alloc_pages(GFP_USER, 7);
	memset(page_to_addr(page), 1, PAGE_SIZE << 7);
	free_pages(page, 7);
	dirty = zone->nr_dirty;
	must(dirty >= 128);
	fake_os_fail(FAKE_MADVISE, 1, true, EINVAL);
	must(zone_purge(zone, 0, 0) == 0 && zone->nr_dirty == dirty, "a refused purge changes nothing");
	check_zone(zone);
	fake_os_reset();
	must(zone_purge(zone, MAX_ORDER - 1, 0) == 0, "no block is that large");
	must(zone_purge(zone, 0, dirty) == 0, "that much may stay");
	must(zone_purge(zone, 0, 0) == dirty << PAGE_SHIFT && zone->nr_dirty == 0);
	check_zone(zone);
	page = alloc_pages(GFP_USER, 7);
	must(!(page->flags & PG_DIRTY) && all_zero(page_to_addr(page), PAGE_SIZE << 7));
	free_pages(page, 7);
	free_pages(hold, 4);
}

#define SWING 540

/* Use goes up by nr blocks and down again, a few times, and a block in each pageblock stays. What is dirty then. */
static unsigned long swing(unsigned int nr, unsigned int times)
{
	static struct page *page[SWING];
	unsigned int i;

	while (times--) {
		for (i = 0; i < nr; i++)
			if (!page[i])
				must(page[i] = alloc_pages(GFP_USER, 5));
		for (i = 0; i < nr; i++)
			if (i % 16) {
				free_pages(page[i], 5);
				page[i] = NULL;
			}
		check_zone(zone);
	}
	return zone->nr_dirty;
}

/* Nobody wants again what a program that only frees gives back. */
static void nothing_in_vain(void)
{
	static struct page *page[1500];

	zone = model_start();
	tunables.dirty_max = 16 * MiB;
	tunables.thp = THP_NEVER;
	tunables.dirty_decay = 3600000;
	for (unsigned int i = 0; i < ARRAY_SIZE(page); i++)
		must(page[i] = alloc_pages(GFP_USER, 5));
	for (unsigned int i = 0; i < ARRAY_SIZE(page); i++) {
		if (i % 16)
			free_pages(page[i], 5);
		zones_decay(3600000);
	}
	must(fake_os_calls(FAKE_MADVISE));
	must(zone->regret.slack <= (tunables.dirty_max >> PAGE_SHIFT) / 8, "%lu pages", zone->regret.slack);
}

/* What is wanted again is seen when use rises, not only when there is too much once more, which may be long after. */
static void seen_at_a_look(void)
{
	static struct page *page[SWING];

	zone = model_start();
	tunables.dirty_max = 4 * MiB;
	tunables.thp = THP_NEVER;
	tunables.dirty_decay = 3600000;
	swing(SWING, 1);
	must(!zone->regret.slack);
	for (unsigned int i = 0; i < SWING / 2; i++)
		must(page[i] = alloc_pages(GFP_USER, 5));
	zones_decay(3600000);
	must(zone->regret.slack >= tunables.dirty_max >> PAGE_SHIFT, "%lu pages", zone->regret.slack);
}

/* Where much is in use, swings may be so much larger. */
static void regretting_much(void)
{
	unsigned long i, usual, kept;

	zone = model_start();
	tunables.dirty_max = 1 * MiB;
	tunables.thp = THP_NEVER;
	tunables.dirty_decay = 3600000;
	for (i = 0; i < SWING / 2; i++)
		must(alloc_pages(GFP_USER, 5));
	usual = swing(SWING, 1);
	kept = swing(SWING, 9);
	must(kept >= 2 * usual, "%lu pages dirty, %lu at first", kept, usual);
}

/* What is given back in vain is kept, up to three times as much again as is kept anyway; and when that ends, it goes. */
static void regret_and_forget(unsigned long limit)
{
	unsigned long calls, usual, kept, most;
	int i;

	zone = model_start();
	tunables.limit = limit;
	budget_limit_changed();
	tunables.dirty_max = 12 * MiB;
	tunables.thp = THP_NEVER;
	tunables.dirty_decay = 3600000;
	usual = swing(SWING / 3, 1);
	swing(SWING / 3, 5);
	calls = fake_os_calls(FAKE_MADVISE);
	kept = swing(SWING / 3, 5);
	must(fake_os_calls(FAKE_MADVISE) == calls, "%lu calls for what is wanted again",
	     fake_os_calls(FAKE_MADVISE) - calls);
	must(kept > usual, "%lu pages dirty, %lu at first", kept, usual);
	kept = swing(SWING, 10);
	most = 4 * (tunables.dirty_max >> PAGE_SHIFT) + (zone->managed_pages - zone->nr_free_pages) / 2;
	must(kept <= most, "%lu pages dirty, at most %lu", kept, most);
	tunables.dirty_decay = 1;
	for (i = 0; i < 20; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		zone_forget_regret(zone);
	}
	most -= 3 * (tunables.dirty_max >> PAGE_SHIFT);
	must(zone->nr_dirty <= most, "%lu pages are still dirty, at most %lu", zone->nr_dirty, most);
}

static void regretting(void)
{
	regret_and_forget(0);
}

/* A limit of the heap's own counts whole pageblocks, whatever is free in them. */
static void regretting_limited(void)
{
	regret_and_forget(1024 * MiB);
}

/* What lies scattered in blocks of 64 KiB goes as well. */
static void small_ones(void)
{
	static struct page *page[800];
	unsigned int i;

	zone = model_start();
	tunables.dirty_max = 4 * MiB;
	tunables.thp = THP_NEVER;
	for (i = 0; i < ARRAY_SIZE(page); i++)
		must(page[i] = alloc_pages(GFP_USER, 4));
	for (i = 0; i < ARRAY_SIZE(page); i++)
		if (i % 4)
			free_pages(page[i], 4);
	drain_all_pages();
	balance_zone(zone);
	must(zone->nr_dirty <= (tunables.dirty_max >> PAGE_SHIFT) + (zone->managed_pages - zone->nr_free_pages) / 2,
	     "%lu pages dirty", zone->nr_dirty);
}

/* But when less is in use than while it was missed, the work is done: it goes with the rest. */
static void no_regret_when_done(void)
{
	static struct page *page[160];
	unsigned int i;

	zone = model_start();
	tunables.dirty_max = 12 * MiB;
	tunables.thp = THP_NEVER;
	tunables.dirty_decay = 3600000;
	for (i = 0; i < ARRAY_SIZE(page); i++)
		must(page[i] = alloc_pages(GFP_USER, 5));
	swing(SWING, 10);
	must(zone->regret.slack >= tunables.dirty_max >> PAGE_SHIFT, "%lu pages", zone->regret.slack);
	must(zone->nr_dirty > tunables.dirty_max >> PAGE_SHIFT);
	for (i = 0; i < ARRAY_SIZE(page); i++)
		if (i % 16)
			free_pages(page[i], 5);
	must(zone->nr_dirty <= (tunables.dirty_max >> PAGE_SHIFT) + (zone->managed_pages - zone->nr_free_pages) / 2,
	     "%lu pages dirty", zone->nr_dirty);
}

/* However much is freed, no single free gives back much; and what is free comes to the limit all the same. */
static void in_steps(void)
{
	static struct page *page[1500];
	unsigned long dirty, given, most = 0, limit;
	unsigned int i;

	zone = model_start();
	tunables.dirty_max = 32 * MiB;
	tunables.thp = THP_NEVER;
	for (i = 0; i < ARRAY_SIZE(page); i++)
		must(page[i] = alloc_pages(GFP_USER, 5));
	for (i = 0; i < ARRAY_SIZE(page); i++) {
		if (i % 16 == 0)
			continue;
		dirty = zone->nr_dirty;
		free_pages(page[i], 5);
		given = dirty + (1UL << 5) - min_ul(dirty + (1UL << 5), zone->nr_dirty);
		most = max_ul(most, given);
	}
	must(most && most <= 4 * MiB >> PAGE_SHIFT, "%lu pages given back by one free", most);
	limit = (tunables.dirty_max >> PAGE_SHIFT) + (zone->managed_pages - zone->nr_free_pages) / 2 + zone->regret.slack;
	must(zone->nr_dirty <= limit + (MiB >> PAGE_SHIFT), "%lu pages dirty, %lu may be", zone->nr_dirty, limit);
}

/* What lies in small blocks counts as dirty, but only while it does. */
static void no_longer_small(void)
{
	static struct page *small[8192], *page[208];
	unsigned long limit, i;

	zone = model_start();
	tunables.dirty_max = 1 * MiB;
	tunables.thp = THP_NEVER;
	for (i = 0; i < ARRAY_SIZE(page); i++)
		must(page[i] = alloc_pages(GFP_USER, 5));
	for (i = 0; i < ARRAY_SIZE(small); i++)
		must(small[i] = alloc_pages(GFP_USER, 0));
	for (i = 0; i < ARRAY_SIZE(small); i += 2)
		free_pages(small[i], 0);
	drain_all_pages();
	balance_zone(zone);
	must(zone->nr_dirty >= ARRAY_SIZE(small) / 2);
	for (i = 0; i < ARRAY_SIZE(small); i += 2)
		must(small[i] = alloc_pages(GFP_USER, 0));
	for (i = 0; i < ARRAY_SIZE(page); i++)
		if (i % 16)
			free_pages(page[i], 5);
	limit = (tunables.dirty_max >> PAGE_SHIFT) + (zone->managed_pages - zone->nr_free_pages) / 2;
	must(zone->nr_dirty <= limit + limit / 8, "%lu pages dirty, %lu may be", zone->nr_dirty, limit);
}

/* Single pages go, too, that nobody wanted for long; those that are wanted now and then stay. */
static void decaying(void)
{
	struct page *page[32];
	unsigned long swings;
	unsigned int i;

	zone = model_start();
	for (i = 0; i < ARRAY_SIZE(page); i++)
		must(page[i] = alloc_pages(GFP_USER, 0));
	for (i = 0; i < ARRAY_SIZE(page); i += 2)
		free_pages(page[i], 0);
	drain_all_pages();
	must(zone->nr_dirty >= 16);
	zones_decay(3600000);
	zones_decay(3600000);
	must(zone->nr_dirty >= 16, "not yet");
	for (swings = 0; swings < 4; swings++) {
		page[0] = alloc_pages(GFP_USER, 6);
		zones_decay(0);
		free_pages(page[0], 6);
		zones_decay(0);
	}
	must(zone->nr_dirty == 64, "%lu pages, of which 64 are wanted", zone->nr_dirty);
	for (i = 0; i < 4; i++)
		zones_decay(0);
	must(!zone->nr_dirty, "%lu pages", zone->nr_dirty);
	check_zone(zone);
}

/* What slabs have free takes from what may be dirty. */
static void unused_counts(void)
{
	static struct page *page[512];
	unsigned int i;

	zone = model_start();
	tunables.dirty_max = 0;
	tunables.thp = THP_NEVER;
	for (i = 0; i < ARRAY_SIZE(page); i++)
		must(page[i] = alloc_pages(GFP_USER, 5));
	mm_unused_pages = ARRAY_SIZE(page) << 5;
	for (i = 0; i < ARRAY_SIZE(page); i += 4)
		free_pages(page[i], 5);
	mm_unused_pages = 0;
	must(zone->nr_dirty <= 64, "%lu pages dirty", zone->nr_dirty);
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
	     "used %lu huge %lu managed %lu runs %lu", arena_stats.used, arena_stats.huge,
	     zone->managed_pages, run_stats_read().nr);
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
	run_case("whole free pageblocks go back to the arenas, and to the system", trimming);
	run_case("purging of free blocks", purging);
	run_case("giving back in steps", in_steps);
	run_case("what nobody wants goes", decaying);
	run_case("what slabs have free counts", unused_counts);
	run_case("what is given back in vain is kept next time", regretting);
	run_case("also under a limit that does not count it", regretting_limited);
	run_case("more of it where more is in use", regretting_much);
	run_case("which is seen when use rises", seen_at_a_look);
	run_case("and nothing is in vain where use only falls", nothing_in_vain);
	run_case("small blocks that are wanted again do not count", no_longer_small);
	run_case("small blocks go, too", small_ones);
	run_case("nor kept when less is in use than while it was missed", no_regret_when_done);
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
