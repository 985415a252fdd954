/* SPDX-License-Identifier: MIT */
/*
 * The scanners of compaction: what is moved, from where and to where, who is left alone, and that nothing is lost.
 */
#include "fragment.h"

#include "mm/balance.h"
#include "mm/page_isolation.h"
#include "mm/pcp.h"

static void whole_zone(unsigned int order, unsigned int keep)
{
	unsigned long free_pages, moved, given_back, free_blocks;

	fragment(GFP_USER | GFP_MOVABLE, order, keep);
	free_pages = zone->nr_free_pages;
	given_back = zone->nr_given_back;
	moved = compact_node(-1);
	check_zone(zone);
	must(moved == vm_events[PGMIGRATE_SUCCESS] && moved > 0);
	/* What is whole again may have gone back to the arenas at once. */
	given_back = zone->nr_given_back - given_back;
	free_blocks = zone->nr_free_blocks + given_back;
	must(zone->nr_free_pages + (given_back << PAGEBLOCK_ORDER) == free_pages, "%lu pages free, %lu before",
	     zone->nr_free_pages, free_pages);
	must(free_blocks + 1 >= free_pages >> PAGEBLOCK_ORDER, "%lu pageblocks free", free_blocks);
	must(vm_events[COMPACTISOLATED] >= moved && vm_events[COMPACTMIGRATE_SCANNED] > 0 &&
	     vm_events[COMPACTFREE_SCANNED] > 0);
	must(compact_node(-1) < PAGEBLOCK_PAGES, "there is not much left to do");
	must(user_alloc(&handles[NR_HANDLES - 1], PAGEBLOCK_ORDER, GFP_USER | GFP_MOVABLE));
	user_free_all(zone);
}

static void single_pages(void)
{
	whole_zone(0, 2);
}

static void few_pages(void)
{
	whole_zone(0, 8);
}

static void larger_blocks(void)
{
	whole_zone(3, 2);
}

static void other_nodes(void)
{
	fragment(GFP_USER | GFP_MOVABLE, 0, 2);
	must(compact_node(MAX_NUMNODES - 1) == 0 && !user.isolated);
	must(compact_node(zone->nid) > 0);
	user_free_all(zone);
}

static void small_only(struct page *page)
{
	must(page->order < PAGEBLOCK_ORDER);
}

/* Whole pageblocks, in use or free, are what it is all about. */
static void whole_pageblocks(void)
{
	struct handle *used = &handles[NR_HANDLES - 1], *last = used - 1;
	struct page *page;

	first = used;
	fragment(GFP_USER | GFP_MOVABLE, 0, 8);
	must(used->page && page_to_pfn(used->page) < zone->zone_start_pfn + 2 * PAGEBLOCK_PAGES);
	must(user_alloc(last, PAGEBLOCK_ORDER, GFP_USER | GFP_MOVABLE));
	page = last->page;
	must(page_to_pfn(page) == zone->zone_end_pfn - PAGEBLOCK_PAGES);
	user_free(last);
	drain_all_pages();
	must(page_type(page) == PAGE_BUDDY && zone->nr_free_blocks == 1);
	user.in_isolate = small_only;
	must(compact_node(-1) > 0);
	must(page_type(page) == PAGE_BUDDY && page->order == PAGEBLOCK_ORDER);
	user_free_all(zone);
}

/* Blocks of all orders in one zone. */
static void mixed_orders(void)
{
	unsigned long i, before;

	user_start();
	context(MIGRATE_MOVABLE, ZONE_MOVABLE);
	for (i = 0; i < 1500; i++)
		must(user_alloc(&handles[i], rnd(5), GFP_USER | GFP_MOVABLE));
	for (i = 0; i < 1500; i++)
		if (rnd(3))
			user_free(&handles[i]);
	drain_all_pages();
	before = zone->nr_free_blocks + zone->nr_given_back;
	compact_zone_full(zone);
	must(zone->nr_free_blocks + zone->nr_given_back >= before + 8);
	user_free_all(zone);
}

/* A page that stays, in some of the pageblocks. */
static void unmovable_between(void)
{
	struct page *page[2];
	unsigned int i;

	fragment(GFP_USER | GFP_MOVABLE, 0, 2);
	for (i = 0; i < 2; i++) {
		struct handle *h = &handles[i * 1024];

		page[i] = h->page ? h->page : (h + 1)->page;
		h = find_handle(page[i]);
		must(!set_page_movable(page[i], NULL, NULL));
		set_handle(h, NULL);
	}
	compact_node(-1);
	must(zone->nr_free_blocks >= BLOCKS / 2 - 3);
	for (i = 0; i < 2; i++) {
		must(page[i]->refcount == 1);
		free_pages(page[i], 0);
	}
	user_free_all(zone);
}

static void all_refuse(void)
{
	fragment(GFP_USER | GFP_MOVABLE, 0, 2);
	user.isolate = -EBUSY;
	must(compact_node(-1) == 0 && user.isolated && !user.migrated && !user.putback);
	must(user_alloc(&handles[NR_HANDLES - 1], 0, GFP_USER | GFP_MOVABLE));
	must(compact(COMPACT_PRIO_ASYNC) == COMPACT_COMPLETE && nr_pcp_pages(zone));
	must(compact(COMPACT_PRIO_SYNC_FULL) == COMPACT_COMPLETE && !nr_pcp_pages(zone));
	check_zone(zone);
	user_free_all(zone);
}

static void all_fail(void)
{
	unsigned long free_pages;

	fragment(GFP_USER | GFP_MOVABLE, 0, 2);
	free_pages = zone->nr_free_pages;
	user.migrate = -EIO;
	must(compact(COMPACT_PRIO_ASYNC) == COMPACT_COMPLETE);
	must(user.migrated && user.migrated <= COMPACT_CLUSTER_MAX * BLOCKS, "the rest of a pageblock is not tried");
	must(compact_node(-1) == 0 && user.migrated && user.putback == user.migrated);
	must(vm_events[PGMIGRATE_FAIL] == user.migrated);
	check_zone(zone);
	drain_all_pages();
	must(zone->nr_free_pages == free_pages);
	user_free_all(zone);
}

/* Users free blocks of theirs as they are asked for them. */
static void free_one(struct page *page)
{
	struct handle *h = find_handle(page);

	if (h && h->page == page && (h->id & 3) == 0)
		user_free(h);
}

static void free_src(struct page *dst, struct page *src)
{
	(void)dst;
	if (rnd(2))
		free_one(src);
}

static void freed_meanwhile(void)
{
	fragment(GFP_USER | GFP_MOVABLE, 0, 2);
	user.in_isolate = free_one;
	user.in_migrate = free_src;
	must(compact_node(-1) > 0);
	check_zone(zone);
	must(zone->nr_free_blocks + 1 >= zone->nr_free_pages >> PAGEBLOCK_ORDER);
	user_free_all(zone);
}

static void async_spares_unmovable(void)
{
	fragment(GFP_USER, 0, 2);
	context(MIGRATE_MOVABLE, ZONE_NORMAL);
	must(compact(COMPACT_PRIO_ASYNC) == COMPACT_COMPLETE && !user.isolated);
	must(compact(COMPACT_PRIO_SYNC_LIGHT) == COMPACT_COMPLETE && user.isolated && !user.migrated,
	     "there is no pageblock to move them to");
	must(compact(COMPACT_PRIO_SYNC_FULL) == COMPACT_SUCCESS && user.migrated);
	check_zone(zone);
	user_free_all(zone);
}

/* Neither moved from, nor moved to. */
static void isolated_pageblocks(void)
{
	unsigned long pfn, free_there = 0;

	fragment(GFP_USER | GFP_MOVABLE, 0, 2);
	mutex_lock(&zone->lock);
	move_freepages_block(zone, zone->zone_start_pfn, MIGRATE_ISOLATE);
	move_freepages_block(zone, zone->zone_end_pfn - PAGEBLOCK_PAGES, MIGRATE_ISOLATE);
	zone->nr_isolate_blocks = 2;
	free_there = zone->nr_isolated;
	mutex_unlock(&zone->lock);
	must(free_there > 0);
	must(compact(COMPACT_PRIO_SYNC_FULL) == COMPACT_SUCCESS && zone->nr_isolated == free_there);
	must(compact_node(-1) > 0 && zone->nr_isolated == free_there);
	mutex_lock(&zone->lock);
	for (pfn = zone->zone_start_pfn; pfn < zone->zone_end_pfn; pfn += PAGEBLOCK_PAGES)
		if (get_pageblock_migratetype(pfn) == MIGRATE_ISOLATE)
			move_freepages_block(zone, pfn, MIGRATE_MOVABLE);
	zone->nr_isolate_blocks = 0;
	mutex_unlock(&zone->lock);
	user_free_all(zone);
}

/* A zone that is in use is no place for one who does not wait. */
static void contended(void)
{
	fragment(GFP_USER | GFP_MOVABLE, 0, 2);
	mutex_lock(&zone->lock);
	must(compact(COMPACT_PRIO_ASYNC) == COMPACT_CONTENDED);
	mutex_unlock(&zone->lock);
	must(!user.migrated && user.isolated && user.putback == user.isolated);
	must(compact(COMPACT_PRIO_ASYNC) == COMPACT_SUCCESS);
	user_free_all(zone);
}

/* What was looked at in vain is passed by the next time, until all was. */
static void skip_hints(void)
{
	unsigned long scanned, pfn, hints = 0;

	fragment(GFP_USER | GFP_MOVABLE, 0, 2);
	user.isolate = -EBUSY;
	must(compact(COMPACT_PRIO_ASYNC) == COMPACT_COMPLETE);
	for (pfn = zone->zone_start_pfn; pfn < zone->zone_end_pfn; pfn += PAGEBLOCK_PAGES)
		hints += pfn_to_block(pfn)->state == PB_ZONE && pfn_to_block(pfn)->skip;
	must(hints >= BLOCKS - 1 && zone->compact_blockskip_flush);
	zone->compact_blockskip_flush = false;
	scanned = vm_events[COMPACTMIGRATE_SCANNED];
	user.isolate = 0;
	must(compact(COMPACT_PRIO_ASYNC) != COMPACT_SUCCESS && vm_events[COMPACTMIGRATE_SCANNED] == scanned);
	must(compact(COMPACT_PRIO_ASYNC) == COMPACT_SUCCESS, "after a whole scan the hints are forgotten");
	user_free_all(zone);
}

/* Where the first pageblocks have nothing to move, the next scan begins behind them, whatever the hints. */
static void cached_positions(void)
{
	unsigned long pfn, scanned, start, behind;

	fragment(GFP_USER | GFP_MOVABLE, 0, 2);
	start = zone->zone_start_pfn;
	behind = start + 3 * PAGEBLOCK_PAGES;
	for (pfn = start; pfn < behind; pfn++)
		if (handle_of[pfn])
			must(!set_page_movable(pfn_to_page(pfn), NULL, NULL));
	must(compact(COMPACT_PRIO_ASYNC) == COMPACT_SUCCESS);
	must(zone->compact_cached_migrate_pfn[0] >= behind && zone->compact_cached_migrate_pfn[1] == start);
	must(zone->compact_cached_free_pfn >= start && zone->compact_cached_free_pfn < zone->zone_end_pfn);
	must(user_alloc(&handles[NR_HANDLES - 1], PAGEBLOCK_ORDER, GFP_USER | GFP_MOVABLE));
	for (pfn = start; pfn < zone->zone_end_pfn; pfn += PAGEBLOCK_PAGES)
		WRITE_ONCE(pfn_to_block(pfn)->skip, 0);
	scanned = vm_events[COMPACTMIGRATE_SCANNED];
	compact(COMPACT_PRIO_ASYNC);
	must(vm_events[COMPACTMIGRATE_SCANNED] - scanned < 3 * PAGEBLOCK_PAGES);
	compact_node(-1);
	must(zone->compact_cached_migrate_pfn[0] == start, "one that saw all begins anew");
	for (pfn = start; pfn < zone->zone_end_pfn; pfn++)
		if (handle_of[pfn] && !(pfn_to_page(pfn)->flags & PG_MOVABLE))
			must(!set_page_movable(pfn_to_page(pfn), &user_ops, &user));
	user_free_all(zone);
}

/* Free pages are not taken below the min mark. */
static void min_mark(void)
{
	fragment(GFP_USER | GFP_MOVABLE, 0, 2);
	zone->watermark[WMARK_MIN] = zone->nr_free_pages;
	must(compact_node(-1) == 0 && user.isolated == user.putback && user.isolated);
	zone->watermark[WMARK_MIN] = 0;
	must(compact_node(-1) > 0);
	user_free_all(zone);
}

#define THREAD_HANDLES 2048U
static bool stop;

static void *churn(void *arg)
{
	struct handle *mine = arg;
	uint64_t n = (uint64_t)(uintptr_t)arg;
	unsigned long i;

	for (i = steps(200000); i; i--) {
		struct handle *h =
			&mine[(n = n * 6364136223846793005 + 1442695040888963407) >> 33 & (THREAD_HANDLES - 1)];

		if (READ_ONCE(h->page))
			user_free(h);
		else
			must(user_alloc(h, n >> 60 ? 0 : 2, GFP_USER | GFP_MOVABLE));
	}
	return NULL;
}

static void *compact_all_along(void *arg)
{
	int prio = COMPACT_PRIO_ASYNC;

	(void)arg;
	while (!READ_ONCE(stop)) {
		compact_node(-1);
		compact((enum compact_priority)prio);
		prio = prio ? prio - 1 : COMPACT_PRIO_ASYNC;
	}
	return NULL;
}

static void threads(void)
{
	pthread_t users[2], compactors[2];
	int i;

	fragment(GFP_USER | GFP_MOVABLE, 0, 2);
	must(!sched_setaffinity(0, sizeof(all_cpus), &all_cpus));
	for (i = 0; i < 2; i++) {
		must(!pthread_create(&users[i], NULL, churn, &handles[(unsigned int)i * THREAD_HANDLES]));
		must(!pthread_create(&compactors[i], NULL, compact_all_along, NULL));
	}
	for (i = 0; i < 2; i++)
		must(!pthread_join(users[i], NULL));
	WRITE_ONCE(stop, true);
	for (i = 0; i < 2; i++)
		must(!pthread_join(compactors[i], NULL));
	check_zone(zone);
	must(vm_events[PGMIGRATE_SUCCESS] > 0);
	user_free_all(zone);
}

static void *take_target(void *arg)
{
	return compaction_alloc(arg, 0);
}

/* A pageblock that is isolated while the scanner of free pages waits for the zone: what is free there is taken. */
static void isolated_meanwhile(void)
{
	struct compact_control cc;
	pthread_t scanner;
	void *page;

	fragment(GFP_USER | GFP_MOVABLE, 0, 2);
	cc = (struct compact_control){ .zone = zone, .order = -1, .mode = MIGRATE_SYNC, .whole_zone = true };
	cc.migrate_pfn = zone->zone_start_pfn;
	cc.free_pfn = zone->zone_end_pfn - PAGEBLOCK_PAGES;
	mutex_lock(&zone->lock);
	must(!pthread_create(&scanner, NULL, take_target, &cc));
	while (READ_ONCE(zone->lock.state) != 2)
		sched_yield();
	pfn_to_block(cc.free_pfn)->isolated_from = MIGRATE_MOVABLE;
	move_freepages_block(zone, cc.free_pfn, MIGRATE_ISOLATE);
	ADD_ONCE(zone->nr_isolate_blocks, 1);
	mutex_unlock(&zone->lock);
	must(!pthread_join(scanner, &page) && page);
	must(get_pageblock_migratetype(page_to_pfn(page)) == MIGRATE_MOVABLE);
	unset_isolated_blocks(zone, zone->zone_end_pfn - PAGEBLOCK_PAGES, zone->zone_end_pfn);
	release_freepages(&cc);
	free_pages(page, 0);
	user_free_all(zone);
}

static void random_operations(void)
{
	unsigned long i;

	user_start();
	context(MIGRATE_MOVABLE, ZONE_MOVABLE);
	for (i = steps(100000); i; i--) {
		struct handle *h = &handles[rnd(4000)];

		if (h->page)
			user_free(h);
		else
			must(user_alloc(h, rnd(4) ? 0 : rnd(6),
					GFP_USER | GFP_MOVABLE | (rnd(2) ? GFP_COMP : 0) | (rnd(8) ? 0 : GFP_ZERO)));
		user.isolate = rnd(50) ? 0 : -EBUSY;
		user.migrate = rnd(50) ? 0 : -EIO;
		if (rnd(1000) == 0) {
			compact((enum compact_priority)rnd(COMPACT_PRIO_ASYNC + 1));
			check_zone(zone);
		}
		if (rnd(5000) == 0) {
			compact_node(-1);
			check_zone(zone);
			user_verify_all();
		}
		if (rnd(3000) == 0)
			mm_trim(0);
	}
	user_free_all(zone);
}

int main(void)
{
	model_init();
	run_case("a zone of single pages, every second free", single_pages);
	run_case("one of eight in use", few_pages);
	run_case("larger blocks are moved, too", larger_blocks);
	run_case("a node's zones only", other_nodes);
	run_case("whole pageblocks are left alone", whole_pageblocks);
	run_case("blocks of all orders", mixed_orders);
	run_case("pages that stay where they are", unmovable_between);
	run_case("users who refuse", all_refuse);
	run_case("users who fail: nothing is lost", all_fail);
	run_case("users who free their blocks meanwhile", freed_meanwhile);
	run_case("asynchronous: pageblocks of other types are left alone", async_spares_unmovable);
	run_case("isolated pageblocks are left alone", isolated_pageblocks);
	run_case("a pageblock that is isolated while the zone is waited for", isolated_meanwhile);
	run_case("asynchronous: a lock that is held ends it", contended);
	run_case("hints", skip_hints);
	run_case("positions are kept", cached_positions);
	run_case("free pages below the min mark are left alone", min_mark);
	run_case("random operations", random_operations);
	run_case("two users, two compactors", threads);
	return done_testing();
}
