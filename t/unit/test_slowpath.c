/* SPDX-License-Identifier: MIT */
/*
 * The slow path, step by step: who may wait, who may use the reserve, how often it is tried again, and what is said in
 * the end. How it ends otherwise is in test_slowpath_oom.c.
 */
#include "mm/pcp.h"
#include "slowpath.h"

/* The highest min mark at which 1000 free pages are enough, in steps of 25: how far the request goes below it. */
static unsigned long deepest(gfp_t gfp)
{
	unsigned long mark;

	for (mark = 4000; mark; mark -= 25) {
		set_min(mark);
		if (get(gfp, 0))
			return mark;
	}
	return 0;
}

static void rights(void)
{
	unsigned long mark;

	start(1001, 0);
	must((mark = deepest(GFP_NOWAIT)) == 1000, "%lu", mark);
	must((mark = deepest(GFP_NOWAIT | GFP_HIGH)) == 2000, "half of the mark: %lu", mark);
	must((mark = deepest(GFP_ATOMIC)) == 2650, "three quarters of half of it: %lu", mark);
	must((mark = deepest(GFP_ATOMIC | GFP_NOMEMALLOC)) == 2000, "not HARDER: %lu", mark);
	must((mark = deepest(GFP_NOWAIT | GFP_MEMALLOC)) == 4000, "%lu", mark);
	must((mark = deepest(GFP_NOWAIT | GFP_MEMALLOC | GFP_NOMEMALLOC)) == 1000, "%lu", mark);
	must(!ooms && !stalls());
	victim = true;
	must((mark = deepest(GFP_NOWAIT)) == 2000, "a victim's half: %lu", mark);
	must((mark = deepest(GFP_NOWAIT | GFP_NOMEMALLOC)) == 1000, "%lu", mark);
}

static void no_waiting(void)
{
	start(10, 1000);
	set_min(HUGE_MARK);
	must(!get(GFP_NOWAIT, 0) && !get(GFP_ATOMIC, 0) && !get(0, 0) && !get(GFP_IO | GFP_FS, 2));
	must(!stalls() && !scans && !compactions && !ooms && !sleeps);
	wakeups = 0;
	must(!get(GFP_IO | GFP_FS, 0) && !wakeups);
	must(!get(GFP_NOWAIT, 0) && wakeups);
	must(!get(GFP_KERNEL, 0) && stalls() && scans && ooms == 1);
}

static void atomic_and_reclaim(void)
{
	start(1001, 0);
	set_min(2200);
	must(get(GFP_ATOMIC, 0));
	must(!alloc_pages(GFP_ATOMIC | GFP_DIRECT_RECLAIM | GFP_NORETRY, 0), "it is not ATOMIC");
}

static void atomic_and_reclaim_quiet(void)
{
	start(0, 0);
	must(!get(GFP_ATOMIC | GFP_DIRECT_RECLAIM | GFP_NORETRY, 0));
}

/* A thread that reclaims, or says that it is about to: the reserve, and no reclaim. */
static void memalloc_scope(void)
{
	struct page *page;
	unsigned int saved;

	start(10, 1000);
	set_min(HUGE_MARK);
	saved = memalloc_flags_save(PF_MEMALLOC);
	page = alloc_pages(GFP_KERNEL, 0);
	must(page && page->flags & PG_PFMEMALLOC && !stalls());
	free_pages(page, 0);
	must(!get(GFP_KERNEL | GFP_NOMEMALLOC, 0) && !stalls() && !ooms, "neither");
	must(!get(GFP_KERNEL, 1) && !compactions && !stalls(), "the reserve has no block so large");
	memalloc_flags_restore(saved);
	must(!get(GFP_KERNEL | GFP_NORETRY, 0) && stalls() == 1);
	page = alloc_pages(GFP_KERNEL | GFP_MEMALLOC, 0);
	must(page && page->flags & PG_PFMEMALLOC && stalls() == 1);
	free_pages(page, 0);
	must(!get(GFP_KERNEL | GFP_MEMALLOC, 1) && stalls() > 1, "the flag alone does not keep one from reclaim");
}

/* Of the nodes that a policy names, and those of the cpuset, only ordinary requests take notice. */
static void high_priority(void)
{
	nodemask_t nodes = 1 << 0;

	walk_start(2);
	zone = zone_of(1);
	grow(zone, 1, MIGRATE_UNMOVABLE);
	no_more_growth();
	must(!alloc_pages_nodemask(QUIET, 0, 0, &nodes));
	must(nid_of(alloc_pages_nodemask(QUIET | GFP_MEMALLOC, 0, 0, &nodes)) == 1);
	must(nid_of(alloc_pages_nodemask(GFP_ATOMIC, 0, 0, &nodes)) == 1);
	must(!alloc_pages_nodemask(QUIET | GFP_MEMALLOC | GFP_THISNODE, 0, 0, &nodes));
}

static void retries(void)
{
	unsigned long nr;

	start(10, 1000);
	set_min(100);
	must((nr = rounds(GFP_KERNEL | GFP_NORETRY, 0)) == 1 && !ooms, "NORETRY: %lu", nr);
	must((nr = rounds(GFP_KERNEL, 0)) == 17 && ooms == 1, "no progress: %lu", nr);
	must((nr = rounds(GFP_KERNEL | GFP_RETRY_MAYFAIL, 0)) == 17 && ooms == 1, "the same without OOM: %lu", nr);
	/* As long as it makes progress it goes on. */
	helping_scans = 20;
	must((nr = rounds(GFP_KERNEL | GFP_RETRY_MAYFAIL, 0)) == 37, "%lu", nr);
	helping_scans = 20;
	must((nr = rounds(GFP_KERNEL | GFP_NORETRY, 0)) == 1, "%lu", nr);
	helping_scans = 0;
	/* As long as the OOM step helps, it begins anew. */
	oom_helps = 1;
	must((nr = rounds(GFP_KERNEL, 0)) == 34 && ooms == 3, "%lu", nr);
	/* Not even all that can be reclaimed would do. */
	cached = 89;
	must((nr = rounds(GFP_KERNEL, 0)) == 1, "%lu", nr);
	cached = 91;
	must((nr = rounds(GFP_KERNEL, 0)) == 17, "%lu", nr);
	cached = 1000;
	must((nr = rounds(GFP_KERNEL, 1)) == 1, "there is no block of the order: %lu", nr);
}

/* One block of order 4 is free, and it would be served, were it not for the mark. */
static void costly_retries(void)
{
	struct page *page;
	unsigned long nr;

	start(10, 1000);
	fake_os_reset();
	grow(zone, 1, MIGRATE_UNMOVABLE);
	no_more_growth();
	must(page = take(zone, PAGEBLOCK_ORDER, MIGRATE_UNMOVABLE));
	page->order = 4;
	split_page(page + 16, 4);
	give(page, 4);
	set_min(100);
	compact_results[0] = COMPACT_COMPLETE;
	must((nr = rounds(GFP_KERNEL, 4)) == 1, "%lu", nr);
	must(compactions == 2 && compact_prio[0] == COMPACT_PRIO_ASYNC && compact_prio[1] == COMPACT_PRIO_SYNC_LIGHT);
	helping_scans = ~0U;
	must((nr = rounds(GFP_KERNEL, 4)) == 1, "progress makes no difference: %lu", nr);
	must((nr = rounds(GFP_KERNEL | GFP_RETRY_MAYFAIL, 4)) == 17, "but it is not progress for ever: %lu", nr);
	must((nr = rounds(GFP_KERNEL | GFP_NORETRY, 4)) == 1, "%lu", nr);
	must(!ooms);
}

/* An order that no zone has a block of, for an end only compaction can bring; reclaim says it helps. */
static void expect_compaction(gfp_t gfp, unsigned int order, enum compact_result result, const char *priorities)
{
	unsigned int i;

	compactions = ooms = 0;
	for (i = 0; i < ARRAY_SIZE(compact_results); i++)
		compact_results[i] = result;
	must(!get(gfp, order));
	for (i = 0; i < compactions; i++)
		must(priorities[i] == (char)('0' + compact_prio[i]), "result %d, call %u of %u: priority %d", result, i,
		     compactions, compact_prio[i]);
	must(!priorities[i], "result %d: %u calls", result, i);
	must(!(current->flags & PF_MEMALLOC));
}

static void compact_retries(void)
{
	start(1000, 1000);
	helping_scans = ~0U;
	/* Asynchronous at first; then with more and more effort. */
	expect_compaction(GFP_KERNEL, 2, COMPACT_COMPLETE, "210");
	must(ooms == 1);
	expect_compaction(GFP_KERNEL, 2, COMPACT_DEFERRED, "210");
	expect_compaction(GFP_KERNEL, 2, COMPACT_CONTENDED, "210");
	expect_compaction(GFP_KERNEL, 2, COMPACT_PARTIAL_SKIPPED, "210");
	/* It makes blocks, and others take them: so many times, and again with more effort. */
	expect_compaction(GFP_KERNEL, 2, COMPACT_SUCCESS, "21111111111111111100000000000000000");
	/* It has nothing to work with. */
	expect_compaction(GFP_KERNEL, 2, COMPACT_SKIPPED, "21");
	suitable = 3;
	expect_compaction(GFP_KERNEL, 2, COMPACT_SKIPPED, "21111");
	/* Movable requests reclaim first. */
	expect_compaction(GFP_KERNEL | GFP_MOVABLE, 2, COMPACT_COMPLETE, "10");
	expect_compaction(GFP_KERNEL | GFP_MOVABLE, 4, COMPACT_COMPLETE, "21");
	expect_compaction(GFP_KERNEL | GFP_NORETRY, 2, COMPACT_COMPLETE, "21");
	expect_compaction(GFP_KERNEL | GFP_MEMALLOC | GFP_NORETRY, 2, COMPACT_COMPLETE, "1");
	/* Costly orders get less. */
	expect_compaction(GFP_KERNEL, 4, COMPACT_SUCCESS, "21");
	expect_compaction(GFP_KERNEL | GFP_RETRY_MAYFAIL, 4, COMPACT_COMPLETE, "21");
	expect_compaction(GFP_KERNEL | GFP_RETRY_MAYFAIL, 4, COMPACT_SUCCESS, "211111");
	must(ooms == 0);
	/* Without progress of reclaim there is no other round. */
	helping_scans = 0;
	expect_compaction(GFP_KERNEL, 2, COMPACT_COMPLETE, "21");
	set_min(HUGE_MARK);
	expect_compaction(GFP_KERNEL, 0, COMPACT_COMPLETE, "");
}

/* A hugepage, or rather none. */
static void costly_noretry(void)
{
	start(1000, 1000);
	expect_compaction(GFP_KERNEL | GFP_NORETRY, 9, COMPACT_SKIPPED, "2");
	expect_compaction(GFP_KERNEL | GFP_NORETRY, 9, COMPACT_DEFERRED, "2");
	must(!stalls(), "there is no use in reclaim");
	expect_compaction(GFP_KERNEL | GFP_NORETRY, 9, COMPACT_COMPLETE, "22");
	must(stalls() == 1);
}

/* Compaction makes a block of two pages. */
static struct page *buddy;

static void make_block(void)
{
	if (buddy)
		give(buddy, 0);
	buddy = NULL;
}

static void compaction_helps(void)
{
	start(2, 0);
	buddy = pfn_to_page(zone->free_area[0].free_list[MIGRATE_UNMOVABLE]) + 1;
	on_compact = make_block;
	compact_results[0] = COMPACT_SUCCESS;
	must(get(GFP_KERNEL, 1) && compactions == 1 && defer_resets == 1 && !stalls());
	must(vm_events[COMPACTSTALL] == 1 && vm_events[COMPACTSUCCESS] == 1 && !vm_events[COMPACTFAIL]);
	expect_compaction(GFP_KERNEL, 2, COMPACT_COMPLETE, "21");
	must(vm_events[COMPACTSTALL] == 3 && vm_events[COMPACTFAIL] == 2);
	expect_compaction(GFP_KERNEL, 2, COMPACT_SKIPPED, "21");
	must(vm_events[COMPACTSTALL] == 3 && defer_resets == 1);
}

/* What reclaim frees may come to lie in this CPU's list. */
static void free_two(void)
{
	free_pages(kept, 0);
	free_pages(kept + 1, 0);
	must(nr_pcp_pages(zone) == 2);
}

static void drain_after_reclaim(void)
{
	start(0, 1);
	fake_os_reset();
	grow(zone, 1, MIGRATE_UNMOVABLE);
	no_more_growth();
	zone_pcp_enable(zone);
	must(kept = take(zone, 1, MIGRATE_UNMOVABLE));
	use_up(zone);
	split_page(kept, 1);
	on_scan = free_two;
	helping_scans = 1;
	must(alloc_pages(GFP_KERNEL | GFP_MOVABLE | GFP_NORETRY, 1) == kept && stalls() == 1 && scans == 1);
}

/* A pageblock is reserved for those who cannot wait, and has 8 free pages. */
static void reserve(unsigned long nr_cached)
{
	struct page *page;

	start(0, nr_cached);
	fake_os_reset();
	grow(zone, 2, MIGRATE_UNMOVABLE);
	no_more_growth();
	must(page = take(zone, 4, MIGRATE_UNMOVABLE));
	reserve_highatomic_pageblock(page, zone);
	must(zone->nr_reserved_highatomic == PAGEBLOCK_PAGES);
	use_up(zone);
	give(page, 3);
	must(type_of(page) == MIGRATE_HIGHATOMIC && zone->nr_free_pages == 8);
	must(!get(GFP_NOWAIT, 0) && !get(GFP_KERNEL | GFP_NORETRY, 0) && !get(GFP_KERNEL | GFP_NORETRY, 3));
}

static void reserve_given_up(void)
{
	reserve(0);
	must(alloc_pages(GFP_KERNEL, 0) && stalls() == 3 && !ooms && !zone->nr_reserved_highatomic);
}

static void reserve_given_up_late(void)
{
	unsigned long before;

	reserve(1000);
	before = stalls();
	must(alloc_pages(GFP_KERNEL, 0) && stalls() == before + 17 && !ooms && !zone->nr_reserved_highatomic);
}

/* With progress it is given up at once, but for the last pageblock. */
static void reserve_after_progress(void)
{
	struct page *page;

	reserve(1000);
	fake_os_reset();
	zone->managed_pages += 100 * PAGEBLOCK_PAGES;
	grow(zone, 1, MIGRATE_UNMOVABLE);
	no_more_growth();
	must(page = take(zone, 4, MIGRATE_UNMOVABLE));
	reserve_highatomic_pageblock(page, zone);
	must(zone->nr_reserved_highatomic == 2 * PAGEBLOCK_PAGES);
	helping_scans = 1;
	must(alloc_pages(GFP_KERNEL | GFP_NORETRY, 0) && zone->nr_reserved_highatomic == PAGEBLOCK_PAGES);
}

static void failure(void)
{
	start(0, 0);
	must(!alloc_pages(GFP_KERNEL, 1));
}

/* Rights of the thread's scope: the cache may be asked only by who may call the application. */
static void scopes(void)
{
	cache.needs = GFP_FS;
	start(10, 1000);
	set_min(100);
	must(rounds(GFP_NOFS, 0) == 17 && !scans);
	memalloc_flags_save(PF_MEMALLOC_NOFS);
	must(rounds(GFP_KERNEL, 0) == 17 && !scans);
	memalloc_flags_restore(0);
	memalloc_flags_save(PF_MEMALLOC_NOIO);
	must(rounds(GFP_KERNEL, 0) == 17 && !scans);
	memalloc_flags_restore(0);
	must(rounds(GFP_KERNEL, 0) == 17 && scans);
	cache.needs = GFP_IO;
	scans = 0;
	must(rounds(GFP_NOIO, 0) == 17 && !scans);
	must(rounds(GFP_NOFS, 0) == 17 && scans);
	memalloc_flags_save(PF_MEMALLOC_NOIO);
	scans = 0;
	must(rounds(GFP_NOFS, 0) == 17 && !scans);
}

/* Node 1, where we are, is all of the cpuset; until it is seen that it has become larger. */
static void start_cpuset(unsigned int nr0)
{
	fake_sys_init();
	fake_sys_nodes(2, 1);
	fake_sys_mems_allowed(2);
	model_start();
	must(cpusets_enabled() && cpuset_mems_allowed == 2);
	if (nr0)
		grow(zone_of(0), (int)nr0, MIGRATE_UNMOVABLE);
	grow(zone_of(1), 1, MIGRATE_UNMOVABLE);
	no_more_growth();
	use_up(zone_of(1));
}

static void cpuset_grows(void)
{
	start_cpuset(1);
	must(!alloc_pages(QUIET | GFP_HARDWALL, 0));
	usleep(10000); /* it is not read again at once */
	fake_sys_mems_allowed(3);
	must(nid_of(alloc_pages(QUIET | GFP_HARDWALL, 0)) == 0, "about to fail");
	fake_sys_remove();
}

static void let_cpuset_grow(void)
{
	usleep(10000);
	fake_sys_mems_allowed(3);
}

/* While the request is on its way already. */
static void cpuset_grows_before_oom(void)
{
	start_cpuset(1);
	register_shrinker(&cache);
	cached = 1000;
	on_scan = let_cpuset_grow;
	must(nid_of(alloc_pages(GFP_USER, 0)) == 0 && !ooms && stalls() == 1);
	fake_sys_remove();
}

/* Ordinary requests keep to the cpuset; not those that cannot wait, or that must have it. */
static void cpuset_left(void)
{
	nodemask_t both = 3, other = 1;

	start_cpuset(1);
	must(!alloc_pages(QUIET, 0) && !alloc_pages_nodemask(QUIET, 0, 1, &both));
	must(nid_of(alloc_pages(GFP_ATOMIC, 0)) == 0);
	must(nid_of(alloc_pages(QUIET | GFP_MEMALLOC, 0)) == 0);
	must(nid_of(alloc_pages(GFP_KERNEL | GFP_NOFAIL, 0)) == 0 && !sleeps);
	/* A node of which the cpuset has nothing: who may leave it finds out in the slow path. */
	must(nid_of(alloc_pages_nodemask(GFP_ATOMIC | GFP_THISNODE, 0, 0, NULL)) == 0);
	must(!alloc_pages_nodemask(QUIET | GFP_THISNODE, 0, 0, NULL));
	/* What lies outside of it altogether is not asked for: the whole cpuset is. */
	must(!alloc_pages_nodemask(QUIET, 0, 1, &other));
	fake_sys_remove();
}

int main(void)
{
	run_case("how far below the mark each right goes", rights);
	run_case("who may not wait does not", no_waiting);
	run_case_says("ATOMIC with reclaim is not ATOMIC", atomic_and_reclaim, "ATOMIC and may reclaim");
	run_case("ATOMIC with reclaim: NOWARN", atomic_and_reclaim_quiet);
	run_case("a thread that reclaims uses the reserve instead", memalloc_scope);
	run_case("policies do not bind those of high priority", high_priority);
	run_case("how often it is tried again", retries);
	run_case("costly orders: once, or a few times", costly_retries);
	run_case("compaction is tried again with more effort", compact_retries);
	run_case("NORETRY of a costly order", costly_noretry);
	run_case("what compaction makes is taken", compaction_helps);
	run_case("after reclaim CPUs' lists are drained", drain_after_reclaim);
	run_case("the reserve of large blocks is given up before all is lost", reserve_given_up);
	run_case("the same when reclaim went on in vain", reserve_given_up_late);
	run_case("after progress it is given up but for one pageblock", reserve_after_progress);
	run_case_says("a failure is reported", failure, "page allocation failure: order:1");
	run_case("reclaim asks whom the flags and the scope allow", scopes);
	run_case("a cpuset that has grown is seen by who is about to fail", cpuset_grows);
	run_case("and by who is about to come to the OOM step", cpuset_grows_before_oom);
	run_case("who may leave the cpuset", cpuset_left);
	return done_testing();
}
