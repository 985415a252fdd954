/* SPDX-License-Identifier: MIT */
/*
 * The end of the slow path: who gets as far as the OOM step and who waits there, and NOFAIL, which has no end.
 */
#include "base/tunables.h"
#include "mm/arena.h"
#include "slowpath.h"

static void oom_ends_in(gfp_t gfp, unsigned int order, unsigned int expected)
{
	ooms = 0;
	must(!get(gfp, order));
	must(ooms == expected, "gfp %#x order %u: %u", gfp, order, ooms);
}

static void oom_step(void)
{
	unsigned int order;

	start(1000, 0);
	set_min(HUGE_MARK);
	for (order = 0; order <= 3; order++)
		oom_ends_in(GFP_KERNEL, order, 1);
	oom_ends_in(GFP_KERNEL | GFP_RETRY_MAYFAIL, 4, 0);
	oom_ends_in(GFP_KERNEL, 4, 0);
	oom_ends_in(GFP_KERNEL | GFP_RETRY_MAYFAIL, 0, 0);
	oom_ends_in(GFP_KERNEL | GFP_NORETRY, 0, 0);
	oom_ends_in(GFP_NOFS, 0, 0);
	oom_ends_in(GFP_NOIO, 0, 0);
	oom_ends_in(GFP_KERNEL | GFP_THISNODE, 0, 0);
	oom_ends_in(GFP_KERNEL | GFP_DMA32, 0, 0);
	oom_ends_in(GFP_NOWAIT | GFP_FS, 0, 0);
	current->flags |= PF_DUMPCORE;
	oom_ends_in(GFP_KERNEL, 0, 0);
	current->flags &= ~PF_DUMPCORE;
	memalloc_flags_save(PF_MEMALLOC_NOFS);
	oom_ends_in(GFP_KERNEL, 0, 0);
	memalloc_flags_restore(0);
	/* As long as it helps, it is tried again. */
	oom_helps = 5;
	oom_ends_in(GFP_KERNEL, 0, 6);
	oom_helps = ~0U;
	victim = true;
	oom_ends_in(GFP_KERNEL, 0, 0);
	oom_ends_in(GFP_KERNEL | GFP_NOMEMALLOC, 0, 0);
}

/* A victim waits for nobody, not even for the lock; nor does who is in the step already, or forks. */
static void oom_step_left_out(void)
{
	start(0, 0);
	oom_lock_all();
	victim = true;
	must(!get(GFP_KERNEL, 0) && !ooms && !sleeps);
	victim = false;
	current->oom_step = true;
	must(!get(GFP_KERNEL, 0) && !ooms && !sleeps);
	current->oom_step = false;
	oom_unlock_all();
	mutex_hold_for_fork(true);
	must(!get(GFP_KERNEL, 0) && !ooms && !sleeps);
	mutex_hold_for_fork(false);
	must(!get(GFP_KERNEL, 0) && ooms == 1);
}

/* After the last round of reclaim somebody else is ended, and frees a lot: that is seen before another is. */
static void free_a_lot(void)
{
	set_marks(zone, 0, 0, 999);
}

static void free_little(void)
{
	set_marks(zone, 0, 0, 1000);
}

static bool oom_after(void (*fn)(void))
{
	struct page *page;

	start(1000, 0);
	set_min(HUGE_MARK);
	give(pfn_to_page(zone->free_area[0].free_list[MIGRATE_UNMOVABLE]) + 1, 0);
	cached = helping_scans = 1;
	compact_results[0] = COMPACT_SKIPPED;
	on_suitable = fn;
	page = alloc_pages(GFP_KERNEL | GFP_MOVABLE | GFP_NOWARN, 1);
	must(stalls() == 1 && (page ? 0 : 1) == ooms);
	return ooms;
}

static void oom_last_look(void)
{
	must(!oom_after(free_a_lot));
}

static void oom_high_mark(void)
{
	must(oom_after(free_little), "that may be chance");
}

/* Another is at the OOM step. */
static void third_tick(void)
{
	must(!ooms);
	if (sleeps == 3)
		oom_unlock_all();
}

static void oom_lock_held(void)
{
	start(0, 0);
	on_sleep = third_tick;
	oom_lock_all();
	must(rounds(GFP_KERNEL, 0) == 1 && sleeps == 3 && ooms == 1, "nobody reclaims meanwhile");
	oom_lock_all();
	sleeps = 0;
	must(!get(GFP_KERNEL | GFP_NORETRY, 0) && !get(GFP_NOWAIT, 0) && !sleeps);
	oom_unlock_all();
}

/* A thread has a pageblock in its hands that the arenas do not have any more, and its zone not yet. */
static void third_arrives(void)
{
	must(!ooms);
	if (sleeps == 3)
		arena_stats.used--;
}

static void block_on_the_way(void)
{
	start(0, 0);
	tunables.oom_wait_ms = 60000;
	arena_stats.used = arena_stats.huge + (zone->managed_pages >> PAGEBLOCK_ORDER) + 1;
	on_sleep = third_arrives;
	must(rounds(GFP_KERNEL, 0) == 4 && sleeps == 3 && ooms == 1, "%u sleeps, %u", sleeps, ooms);
	/* It does not come: that is not waited for again. */
	arena_stats.used++;
	on_sleep = NULL;
	tunables.oom_wait_ms = 0;
	must(!get(GFP_KERNEL, 0) && ooms == 2 && sleeps == 3);
	tunables.oom_wait_ms = 60000;
	must(!get(GFP_KERNEL, 0) && ooms == 3 && sleeps == 3);
}

/* NOFAIL: another thread frees something while we sleep. */
static void free_kept(void)
{
	if (sleeps == 5)
		free_pages(kept, 0);
}

static void nofail(void)
{
	struct page *page;

	start(1, 0);
	must(kept = alloc_pages(GFP_KERNEL, 0));
	on_sleep = free_kept;
	page = alloc_pages(GFP_KERNEL | GFP_NOFAIL, 0);
	must(page == kept && sleeps == 5 && ooms >= 5);
	/* Who may not loop otherwise does so, too. */
	sleeps = 0;
	must(alloc_pages(GFP_KERNEL | GFP_NOFAIL | GFP_NORETRY, 0) == kept && sleeps == 5);
	sleeps = ooms = 0;
	must(alloc_pages(GFP_NOFS | GFP_NOFAIL | GFP_THISNODE, 0) == kept && sleeps == 5 && ooms, "though not FS");
}

/* Part of the reserve is for NOFAIL, wherever it lies; not all of it. */
static void nofail_reserve(void)
{
	start(1000, 0);
	set_min(1200);
	must(rounds(GFP_KERNEL, 0) == 1);
	must(alloc_pages(GFP_KERNEL | GFP_NOFAIL, 0) && !sleeps);
	set_min(1400);
	on_sleep = free_a_lot;
	must(alloc_pages(GFP_KERNEL | GFP_NOFAIL, 0) && sleeps == 1);
}

static void nofail_nowait(void)
{
	start(0, 0);
	must(!alloc_pages(GFP_NOWAIT | GFP_NOFAIL, 0));
}

static void nofail_order_2(void)
{
	start(8, 0);
	must(!alloc_pages(GFP_NOWAIT | GFP_NOFAIL, 2));
}

static void nofail_memalloc(void)
{
	start(1, 0);
	must(kept = alloc_pages(GFP_KERNEL, 0));
	on_sleep = free_kept;
	memalloc_flags_save(PF_MEMALLOC);
	must(alloc_pages(GFP_KERNEL | GFP_NOFAIL, 0) == kept && !stalls());
}

static void costly_comes(void)
{
	if (sleeps == 3)
		give(kept, 4);
}

static void nofail_costly(void)
{
	start(0, 0);
	fake_os_reset();
	grow(zone, 1, MIGRATE_UNMOVABLE);
	no_more_growth();
	must(kept = take(zone, PAGEBLOCK_ORDER, MIGRATE_UNMOVABLE));
	on_sleep = costly_comes;
	must(alloc_pages(GFP_KERNEL | GFP_NOFAIL, 4) == kept && !ooms, "a costly order never comes to the OOM step");
	sleeps = 0;
	must(alloc_pages(GFP_KERNEL | GFP_NOFAIL | GFP_RETRY_MAYFAIL, 4) == kept && !ooms);
}

static void nofail_quiet(void)
{
	start(8, 0);
	must(!get(GFP_NOWAIT | GFP_NOFAIL, 2) && !get(GFP_NOWAIT | GFP_NOFAIL, 4) && !get(GFP_USER, MAX_ORDER));
}

int main(void)
{
	run_case("who comes to the OOM step, and who must not", oom_step);
	run_case("who makes no OOM step, and does not wait for one", oom_step_left_out);
	run_case("before it, memory that has come free is seen", oom_last_look);
	run_case("but only a lot of it", oom_high_mark);
	run_case("one at the OOM step, the others wait a tick and try again", oom_lock_held);
	run_case("a pageblock between an arena and its zone is waited for", block_on_the_way);
	run_case("NOFAIL waits until somebody frees", nofail);
	run_case("NOFAIL uses a part of the reserve", nofail_reserve);
	run_case_says("NOFAIL that cannot wait fails, and is told", nofail_nowait,
		      "NOFAIL allocation that may not wait");
	run_case_says("and reported", nofail_nowait, "page allocation failure: order:0");
	run_case_says("NOFAIL of more than two pages is told", nofail_order_2, "NOFAIL page allocation of order 2");
	run_case_says("NOFAIL while reclaiming is told", nofail_memalloc, "NOFAIL allocation by a thread that is");
	run_case_says("NOFAIL of a costly order is told, and served", nofail_costly,
		      "NOFAIL allocation of the costly order 4");
	run_case("nothing is told under NOWARN", nofail_quiet);
	return done_testing();
}
