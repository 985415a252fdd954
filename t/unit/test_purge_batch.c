/* SPDX-License-Identifier: MIT */
/*
 * Dirty memory of a zone goes back a few blocks at a time; fork finds those that are on their way; and without IO
 * nothing does.
 */
#include "base/tunables.h"
#include "mm/balance.h"
#include "mm/balance_inner.h"
#include "mm/current.h"
#include "mm/pcp.h"
#include "mm/vmscan.h"
#include "walk.h"

static struct zone *purged_zone;
static unsigned long most_missing, total_free, nr_advised;
static bool fork_meanwhile;

static long madvise_hook(void *addr, size_t len, int advice)
{
	unsigned long missing = total_free - purged_zone->nr_free_pages;
	int status;

	nr_advised++;
	if (missing > most_missing)
		most_missing = missing;
	if (fork_meanwhile && nr_advised == 3) {
		zones_lock_all();
		if (!fork()) {
			zones_reinit_after_fork();
			must(purged_zone->nr_free_pages == total_free && purged_zone->purging == NO_PFN);
			check_zone(purged_zone);
			_exit(0);
		}
		zones_unlock_all();
		must(wait(&status) > 0 && status == 0);
	}
	return os_linux.madvise(addr, len, advice);
}

static void purge_start(void)
{
	static struct os_ops ops;
	struct page *page;
	unsigned int i;

	walk_start(1);
	purged_zone = zone_of(0);
	grow(purged_zone, 8, MIGRATE_UNMOVABLE);
	zone_pcp_disable(purged_zone);
	/* Order 5, every second one free and dirty. */
	for (i = 0; i < 8; i++) {
		must(page = take(purged_zone, PAGEBLOCK_ORDER, MIGRATE_UNMOVABLE));
		split_page(page, PAGEBLOCK_ORDER);
		for (unsigned int at = 0; at < PAGEBLOCK_PAGES; at += 64)
			give(page + at, 5);
	}
	total_free = purged_zone->nr_free_pages;
	must(total_free == 8 * 8 * 32UL && purged_zone->nr_dirty == total_free);
	ops = *os;
	ops.madvise = madvise_hook;
	os = &ops;
}

static void purging(void)
{
	unsigned long released;

	purge_start();
	released = mm_released;
	must(zone_purge(purged_zone, 0, 1000) >= (total_free - 1000) * PAGE_SIZE);
	must(purged_zone->nr_dirty <= 1000 && purged_zone->nr_dirty > 1000 - 32 && mm_released > released);
	must(zone_purge(purged_zone, 0, 0) == 31 * 32 * PAGE_SIZE && !purged_zone->nr_dirty);
	must(nr_advised == 64 && most_missing <= 1024 && most_missing >= 32, "%lu %lu", nr_advised, most_missing);
	must(purged_zone->nr_free_pages == total_free && purged_zone->purging == NO_PFN);
	must(mm_released == released + total_free * PAGE_SIZE);
	check_zone(purged_zone);
}

static void purging_forks(void)
{
	purge_start();
	fork_meanwhile = true;
	must(zone_purge(purged_zone, 0, 0) == total_free * PAGE_SIZE);
	must(purged_zone->nr_free_pages == total_free && nr_advised == 64);
	check_zone(purged_zone);
}

/* Without IO nothing is given back, by whatever way: not by a scope, not for a request that may not wait. */
static void without_io(void)
{
	unsigned int scopes;
	unsigned long pb[4];
	bool clean;
	int i;

	purge_start();
	for (i = 0; i < 4; i++)
		must((pb[i] = arena_alloc(1, 1, PB_HUGE, 0, &clean)));
	arena_free(pb[0], 1, true);
	arena_free(pb[2], 1, true);
	nr_advised = 0;
	WRITE_ONCE(tunables.dirty_max, 0);
	scopes = memalloc_flags_save(PF_MEMALLOC_NOIO);
	balance_zone(purged_zone);
	must(mm_trim(0) == 0);
	memalloc_flags_restore(scopes);
	must(!try_to_free_pages(NODE_DATA(0)->node_zonelists[ZONELIST_FALLBACK], 0, GFP_NOIO, NULL) && !nr_advised &&
	     arena_stats.dirty == 2);
	/* A zone that grows where the system has no more: then others give back. */
	fake_os_no_memory();
	while (alloc_pages(GFP_NOWAIT | GFP_NOWARN, 10))
		;
	must(!nr_advised && arena_stats.dirty, "%lu", nr_advised);
	must(zone_purge(purged_zone, 0, 0) == total_free * PAGE_SIZE && nr_advised == 64);
}

int main(void)
{
	run_case("giving back, a few blocks at a time", purging);
	run_case("fork finds what is being given back", purging_forks);
	run_case("without IO nothing is given back", without_io);
	return done_testing();
}
