/* SPDX-License-Identifier: MIT */
/*
 * When a zone is compacted, how far, when that is put off, the indices it goes by, and collapsing afterwards.
 */
#include "fragment.h"

#include "base/tunables.h"
#include "mm/current.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* For an allocation: no more than it needs, and by priority. */
static void direct(void)
{
	fragment(GFP_USER | GFP_MOVABLE, 0, 2);
	must(try_to_compact_pages(GFP_NOFS, PAGEBLOCK_ORDER, ALLOC_WMARK_LOW, &ac, COMPACT_PRIO_SYNC_FULL) ==
		     COMPACT_SKIPPED,
	     "users may not be called");
	must(!user.isolated && compact(COMPACT_PRIO_ASYNC) == COMPACT_SUCCESS);
	must(zone->nr_free_blocks == 1 && user.migrated <= PAGEBLOCK_PAGES / 2 + COMPACT_CLUSTER_MAX, "%lu moved",
	     user.migrated);
	must(compact(COMPACT_PRIO_ASYNC) == COMPACT_SUCCESS && zone->nr_free_blocks == 1, "there is one already");
	check_zone(zone);
	user_free_all(zone);
}

/* The whole way: the system gives no more, and a large block is wanted. */
static void for_an_allocation(void)
{
	unsigned int i;

	fragment(GFP_USER | GFP_MOVABLE, 0, 2);
	mm_init_late();
	fake_os_fail(FAKE_ANY, 1, true, ENOMEM);
	/* There may be pageblocks left that the system gave already. */
	for (i = 1; i < 100 && !user.migrated; i++)
		must(user_alloc(&handles[NR_HANDLES - i], PAGEBLOCK_ORDER, GFP_USER | GFP_MOVABLE | GFP_NORETRY));
	must(user.migrated && vm_events[COMPACTSTALL] == 1 && vm_events[COMPACTSUCCESS] == 1);
	fake_os_reset();
	user_free_all(zone);
}

static void suitable(void)
{
	unsigned long free_pages;

	fragment(GFP_USER | GFP_MOVABLE, 0, 2);
	free_pages = zone->nr_free_pages;
	must(compaction_suitable(zone, 9, ALLOC_WMARK_LOW, ZONE_MOVABLE) == COMPACT_CONTINUE);
	must(compaction_suitable(zone, 0, ALLOC_WMARK_LOW, ZONE_MOVABLE) == COMPACT_SUCCESS);
	/* About 2000 pages in as many pieces, where 4 would do: 1000 - (1000 + 4000) / 2000 */
	must(fragmentation_index(zone, 9) > 990 && fragmentation_index(zone, 9) < 1000);
	sysctl_extfrag_threshold = 999;
	must(compaction_suitable(zone, 9, ALLOC_WMARK_LOW, ZONE_MOVABLE) == COMPACT_SKIPPED);
	must(compaction_suitable(zone, 3, ALLOC_WMARK_LOW, ZONE_MOVABLE) == COMPACT_CONTINUE, "not a costly order");
	sysctl_extfrag_threshold = 500;
	/* It takes the low mark and twice the block. */
	zone->watermark[WMARK_LOW] = free_pages - compact_gap(9) - 1;
	must(compaction_suitable(zone, 9, ALLOC_WMARK_MIN, ZONE_MOVABLE) == COMPACT_CONTINUE);
	must(compaction_zonelist_suitable(&ac, 9, ALLOC_WMARK_MIN));
	zone->watermark[WMARK_LOW]++;
	must(compaction_suitable(zone, 9, ALLOC_WMARK_MIN, ZONE_MOVABLE) == COMPACT_SKIPPED);
	must(compact(COMPACT_PRIO_SYNC_FULL) == COMPACT_SKIPPED && !user.isolated);
	zone->watermark[WMARK_LOW] = 1UL << 40;
	must(!compaction_zonelist_suitable(&ac, 9, ALLOC_WMARK_MIN));
	zone->watermark[WMARK_LOW] = 0;
	must(compact(COMPACT_PRIO_SYNC_FULL) == COMPACT_SUCCESS);
	user_free_all(zone);
}

static void deferral(void)
{
	static struct zone z;
	int i, round, passed;

	z.compact_order_failed = MAX_ORDER;
	must(!compaction_deferred(&z, 9));
	for (round = 1; round <= COMPACT_MAX_DEFER_SHIFT + 2; round++) {
		int limit = 1 << (round < COMPACT_MAX_DEFER_SHIFT ? round : COMPACT_MAX_DEFER_SHIFT);

		defer_compaction(&z, 9);
		must(z.compact_order_failed == 9 && !compaction_deferred(&z, 8), "smaller orders did not fail");
		for (passed = 0; compaction_deferred(&z, 9); passed++)
			;
		must(passed == limit - 1, "round %d: %d passed over", round, passed);
		must(!compaction_deferred(&z, 10));
	}
	compaction_defer_reset(&z, 9, false);
	must(z.compact_order_failed == 10 && !compaction_deferred(&z, 9) && compaction_deferred(&z, 10) == false);
	defer_compaction(&z, 9);
	compaction_defer_reset(&z, 9, true);
	must(z.compact_defer_shift == 0 && z.compact_considered == 0 && !compaction_deferred(&z, 9));
	for (i = 0; i < 3; i++)
		defer_compaction(&z, 5);
	must(z.compact_order_failed == 5 && compaction_deferred(&z, 5));
}

static void put_off(void)
{
	unsigned long asked;

	fragment(GFP_USER | GFP_MOVABLE, 0, 2);
	user.isolate = -EBUSY;
	must(compact(COMPACT_PRIO_ASYNC) == COMPACT_COMPLETE && !zone->compact_defer_shift, "that was not all");
	must(compact(COMPACT_PRIO_SYNC_LIGHT) == COMPACT_COMPLETE && zone->compact_defer_shift == 1);
	asked = user.isolated;
	must(compact(COMPACT_PRIO_SYNC_LIGHT) == COMPACT_DEFERRED && user.isolated == asked);
	must(compact(COMPACT_PRIO_SYNC_FULL) == COMPACT_COMPLETE && user.isolated > asked, "who must, does");
	user.isolate = 0;
	must(zone->compact_defer_shift == 2);
	must(compact(COMPACT_PRIO_SYNC_LIGHT) == COMPACT_DEFERRED);
	must(compact(COMPACT_PRIO_SYNC_LIGHT) == COMPACT_DEFERRED);
	must(compact(COMPACT_PRIO_SYNC_LIGHT) == COMPACT_DEFERRED);
	must(compact(COMPACT_PRIO_SYNC_LIGHT) == COMPACT_SUCCESS && zone->compact_order_failed == 10);
	user_free_all(zone);
}

static void indices(void)
{
	static struct zone z;

	must(fragmentation_index(&z, 3) == 0 && unusable_free_index(&z, 3) == 1000, "nothing is free");
	z.free_area[0].nr_free = 8;
	/* 8 pages in 8 blocks, one of order 3 is wanted: 1000 - (1000 + 8000/8) / 8 */
	must(fragmentation_index(&z, 3) == 750 && unusable_free_index(&z, 3) == 1000);
	must(fragmentation_index(&z, 0) == -1000 && unusable_free_index(&z, 0) == 0);
	z.free_area[2].nr_free = 2;
	/* 16 pages in 10 blocks: 1000 - (1000 + 16000/8) / 10; 16000/1024 is 15: 1000 - 1015/10 */
	must(fragmentation_index(&z, 3) == 700 && fragmentation_index(&z, 10) == 899);
	must(fragmentation_index(&z, 2) == -1000 && unusable_free_index(&z, 2) == 500);
	z.free_area[5].nr_free = 1;
	/* 48 pages, of which 32 serve order 3 to 5 */
	must(fragmentation_index(&z, 5) == -1000 && unusable_free_index(&z, 3) == 333);
	must(unusable_free_index(&z, 6) == 1000 && fragmentation_index(&z, 6) == 1000 - 1750 / 11);
	must(fragmentation_index(&z, MAX_ORDER) == 0);
}

/* A callback, or one that reclaims, asks for compaction. */
static void compact_again(struct page *page)
{
	(void)page;
	must(compact_node(-1) == 0);
}

static void no_recursion(void)
{
	fragment(GFP_USER | GFP_MOVABLE, 0, 2);
	user.in_isolate = compact_again;
	must(compact_node(-1) > 0 && !(current->flags & PF_MEMALLOC));
	user_free_all(zone);
}

static long collapse_err;
static unsigned long nr_collapsed, nr_advised;
static struct os_ops ops;

static long count_madvise(void *addr, size_t len, int advice)
{
	if (advice == MADV_HUGEPAGE || advice == MADV_COLLAPSE) {
		must(is_aligned((uintptr_t)addr, PAGEBLOCK_SIZE) && len == PAGEBLOCK_SIZE);
		nr_advised += advice == MADV_HUGEPAGE;
		nr_collapsed += advice == MADV_COLLAPSE;
		return advice == MADV_COLLAPSE ? collapse_err : 0;
	}
	return os_linux.madvise(addr, len, advice);
}

static void collapse(unsigned int choice, long err)
{
	fragment(GFP_USER | GFP_MOVABLE, 0, 2);
	ops = os_linux;
	ops.madvise = count_madvise;
	os = &ops;
	tunables.thp = choice;
	tunables.thp_threshold = 0;
	collapse_err = err;
	must(compact_node(-1) > 0);
	user_verify_all();
}

/* All but a few pages in use. */
static unsigned long full_pageblocks(void)
{
	unsigned long pfn, i, used, nr = 0;

	for (pfn = zone->zone_start_pfn; pfn < zone->zone_end_pfn; pfn += PAGEBLOCK_PAGES) {
		for (i = used = 0; i < PAGEBLOCK_PAGES; i++)
			used += handle_of[pfn + i] != 0;
		nr += used >= PAGEBLOCK_PAGES - PAGEBLOCK_PAGES / 16;
	}
	return nr;
}

static void collapse_full(void)
{
	unsigned long pfn, thp = arena_stats.thp, marked = 0;

	collapse(THP_AUTO, 0);
	must(nr_collapsed == nr_advised && nr_collapsed == full_pageblocks() && nr_collapsed >= BLOCKS / 2 - 1);
	must(vm_events[THP_COLLAPSE_ALLOC] == nr_collapsed && !vm_events[THP_COLLAPSE_ALLOC_FAILED]);
	for (pfn = zone->zone_start_pfn; pfn < zone->zone_end_pfn; pfn += PAGEBLOCK_PAGES)
		if (pfn_to_block(pfn)->flags & PBF_THP) {
			must(pfn_to_block(pfn)->nr_free <= PAGEBLOCK_PAGES / 16);
			marked++;
		}
	must(marked == nr_collapsed && arena_stats.thp == thp + marked);
	compact_node(-1);
	must(nr_collapsed == marked, "once is enough");
	user_free_all(zone);
}

static void collapse_unknown(void)
{
	collapse(THP_AUTO, -EINVAL);
	must(nr_collapsed == 1 && vm_events[THP_COLLAPSE_ALLOC_FAILED] == 1 && !vm_events[THP_COLLAPSE_ALLOC]);
	compact_node(-1);
	must(nr_collapsed == 1, "it is not asked again");
}

static void collapse_fails(void)
{
	unsigned long nr;

	collapse(THP_ALWAYS, -EAGAIN);
	nr = nr_collapsed;
	must(nr == full_pageblocks() && nr >= BLOCKS / 2 - 1 && !nr_advised &&
	     vm_events[THP_COLLAPSE_ALLOC_FAILED] == nr_collapsed);
	collapse_err = 0;
	compact_node(-1);
	must(vm_events[THP_COLLAPSE_ALLOC] == nr, "the next time it may work");
}

static void collapse_never(void)
{
	collapse(THP_NEVER, 0);
	must(!nr_collapsed && !nr_advised);
	must(!collapse_pageblock(zone, zone->zone_start_pfn));
}

/* The system's own: content must survive. */
static void collapse_real(void)
{
	fragment(GFP_USER | GFP_MOVABLE, 0, 2);
	tunables.thp_threshold = 0;
	must(compact_node(-1) > 0);
	user_free_all(zone);
}

int main(void)
{
	model_init();
	run_case("for an allocation, no more than it needs", direct);
	run_case("an allocation that nothing else would serve", for_an_allocation);
	run_case("is it suitable?", suitable);
	run_case("deferral: what is counted", deferral);
	run_case("deferral: what is done", put_off);
	run_case("fragmentation index, unusable free space index", indices);
	run_case("compaction inside of compaction does nothing", no_recursion);
	run_case("full pageblocks are collapsed", collapse_full);
	run_case("collapse: a system that does not know it", collapse_unknown);
	run_case("collapse: a system that cannot now", collapse_fails);
	run_case("collapse: thp:never", collapse_never);
	run_case("collapse, as the system does it", collapse_real);
	return done_testing();
}
