/* SPDX-License-Identifier: MIT */
/*
 * Limits: what is refused, for whom; the marks; limits that come, go, and change; those of cgroups.
 */
#include "mm/current.h"
#include "mm/internal.h"
#include "mm/memory_hotplug.h"
#include "mm/oom.h"
#include "mm/owner.h"
#include "mm/vmstat.h"
#include "budget.h"

static void none(void)
{
	struct budget_line line;
	unsigned long pb;

	start();
	must(budget_total() == 0 && budget_binding() == NR_LIMITS && !budget_line(LIMIT_CONF, &line));
	must(budget_may_grow(FAR, false, 0) && budget_growable_pages(true, true) == 0);
	must(grow_huge(100, &pb) && !min_free_kbytes && !owner_accounting);
	arena_free(pb, 100, true);
	must(arena_stats.mapped >= 100 && fake_os_calls(FAKE_MUNMAP) == 0, "nothing is unmapped");
}

/* The heap's own memory, to the last pageblock, and no more; what is given up can be had again. */
static void conf(void)
{
	unsigned long pb, more, nr;
	struct budget_line line;

	start_with(64 * MIB);
	must(budget_total() == 64 * MIB && budget_binding() == LIMIT_CONF);
	must(!grow_huge(33, &pb) && grow_huge(20, &pb) && !grow_huge(13, &more) && grow_huge(12, &more));
	must(!grow_huge(1, &nr));
	must(budget_line(LIMIT_CONF, &line) && line.used == 64 * MIB && line.limit == 64 * MIB && !line.headroom);
	arena_free(pb, 20, true);
	must(grow_huge(8, &pb), "out of dirty memory");
	must(grow_huge(12, &nr), "which nowhere holds so many in a row");
	must(!grow_huge(1, &nr));
	must(owner_accounting, "under a limit pages are charged");
	check_arena();
}

/* Below the min mark: for those who have a right to it. */
static void reserve(void)
{
	unsigned long nr = 0, reserve;
	struct page *page;
	unsigned int saved;
	bool clean;

	start_with(64 * MIB);
	while ((page = alloc_pages(GFP_NOWAIT | GFP_NOWARN, PAGEBLOCK_ORDER)))
		nr++;
	reserve = zone->watermark[WMARK_MIN];
	must(reserve == 256, "1 MiB of 64: %lu pages", reserve);
	must(nr >= 30 && nr <= 31, "%lu pageblocks", nr);
	must(!arena_alloc(1, 1, PB_HUGE, 0, &clean));
	saved = memalloc_flags_save(PF_MEMALLOC);
	must((page = alloc_pages(GFP_NOWAIT | GFP_NOWARN, PAGEBLOCK_ORDER)) && page->flags & PG_PFMEMALLOC);
	for (nr++; (page = alloc_pages(GFP_NOWAIT | GFP_NOWARN, PAGEBLOCK_ORDER)); nr++)
		;
	must(nr == 32, "all of it: %lu pageblocks", nr);
	memalloc_flags_restore(saved);
	must(!alloc_pages(GFP_NOWAIT | GFP_NOWARN, 0));
}

/* Marks need no free pages, as long as the zone may grow; and they are those of the kernel's formula. */
static void marks(void)
{
	static const unsigned long sizes[][2] = {
		/* MiB, min_free_kbytes */
		{ 16, 340 }, { 64, 1024 }, { 1024, 4096 }, { 4096, 8192 }, { 65536, 21844 },
	};
	unsigned long pb;
	unsigned int i;

	start_with(64 * MIB);
	must(zone_grow(zone, 0, MIGRATE_UNMOVABLE));
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		tunables.limit = sizes[i][0] * MIB;
		budget_limit_changed();
		must(min_free_kbytes == sizes[i][1], "%lu MiB: %lu", sizes[i][0], min_free_kbytes);
		must(zone->watermark[WMARK_MIN] == min_free_kbytes / 4);
		must(zone->watermark[WMARK_LOW] > zone->watermark[WMARK_MIN]);
		must(zone->watermark[WMARK_HIGH] << PAGE_SHIFT <= min_ul(tunables.limit / 32, 32 * MIB));
	}
	must(grow_huge(1000, &pb), "no mark is in the way of it");
	must(zone_watermark_ok(zone, 9, zone->watermark[WMARK_HIGH], ZONE_NORMAL, 0));
	watermark_scale_factor = 1000;
	setup_per_zone_wmarks();
	must(zone->watermark[WMARK_HIGH] << PAGE_SHIFT >= tunables.limit / 5, "what the user has set is done");
	watermark_scale_factor = 10;
	min_free_kbytes = 400;
	min_free_kbytes_sysctl_handler();
	tunables.limit = 128 * MIB;
	budget_limit_changed();
	must(min_free_kbytes == 400 && zone->watermark[WMARK_MIN] == 100, "what the user has set stays");
	must(!zone_watermark_ok(zone, 0, zone->watermark[WMARK_MIN] + 512, ZONE_NORMAL, 0), "far beyond the limit");
}

static void lowered(void)
{
	unsigned long pb, more;

	start_with(128 * MIB);
	must(grow_huge(40, &pb));
	tunables.limit = 32 * MIB;
	budget_limit_changed();
	must(!grow_huge(1, &more) && !alloc_pages(GFP_NOWAIT | GFP_NOWARN, 0));
	must(budget_growable_pages(true, true) == 0);
	arena_free(pb, 20, true);
	must(arena_stats.dirty == 0, "nothing may stay");
	must(!grow_huge(1, &more), "and there is still more in use");
	tunables.limit = 128 * MIB;
	budget_limit_changed();
	must(grow_huge(30, &more));
	arena_free(pb + 20, 20, true);
	tunables.limit = 0;
	budget_limit_changed();
	must(!limits_in_force && grow_huge(1000, &pb) && !min_free_kbytes && !zone->watermark[WMARK_HIGH]);
}

/* The system refuses, and only then it turns out why. */
static void learnt(void)
{
	struct rlimit limit = { FAR, RLIM_INFINITY };
	unsigned long pb, none;

	start();
	must(grow_huge(1, &none));
	leave(36 * MIB);
	must(!setrlimit(RLIMIT_DATA, &limit));
	must(!limits_in_force);
	fake_os_fail(window_reserved() ? FAKE_MPROTECT : FAKE_MMAP, 1, true, ENOMEM);
	must(!grow_huge(100, &pb) && limits_in_force && budget_binding() == LIMIT_DATA);
	fake_os_reset();
	must(!grow_huge(100, &pb));
	limit.rlim_cur = RLIM_INFINITY;
	must(!setrlimit(RLIMIT_DATA, &limit));
	must(grow_huge(100, &pb) && !limits_in_force, "it was raised");
	limit.rlim_cur = FAR;
	must(!setrlimit(RLIMIT_DATA, &limit));
	os_sleep_ms(1100); /* so often is looked, while the heap changes */
	grow_huge(1, &pb);
	must(limits_in_force, "and is there again");
	limit.rlim_cur = RLIM_INFINITY;
	must(!setrlimit(RLIMIT_DATA, &limit));
	budget_refresh();
	must(!limits_in_force);
	fake_os_no_memory();
	must(!grow_huge(1000, &pb) && !limits_in_force, "without a limit the system's word stands");
}

#define GIB_ (1UL << 30)

static void cgroup_file(const char *name, unsigned long bytes)
{
	char path[64], text[32];

	snprintf(path, sizeof(path), "fs/cgroup/box/memory.%s", name);
	snprintf(text, sizeof(text), "%lu\n", bytes);
	fake_sys_write(path, text);
}

/* A cgroup counts what was touched: no size is too large, but when little is left nothing is given out. */
static void cgroup(void)
{
	unsigned long pb, more, calls;

	start();
	fake_sys_write("self/cgroup", "0::/box\n");
	cgroup_file("max", GIB_);
	cgroup_file("current", 100 * MIB);
	budget_refresh();
	must(limits_in_force && budget_binding() == LIMIT_CGROUP && budget_total() == GIB_);
	must(grow_huge(2000, &pb) && grow_huge(1000, &more), "they were not touched");
	cgroup_file("current", GIB_ - 10 * MIB);
	budget_refresh();
	must(!grow_huge(1, &more) && !alloc_pages(GFP_NOWAIT | GFP_NOWARN, 0));
	calls = fake_os_calls(FAKE_MUNMAP);
	arena_free(pb, 100, true);
	/* Until there is plenty, which is 128 MiB of this one. */
	must(arena_stats.dirty == BLOCKS(210 * MIB - 128 * MIB) && fake_os_calls(FAKE_MUNMAP) == calls,
	     "pages go, addresses stay");
	cgroup_file("current", GIB_ / 2);
	must(grow_huge(1, &more), "others have left: that is seen");
	cgroup_file("max", 2 * GIB_);
	budget_refresh();
	must(budget_total() == 2 * GIB_);
}

static unsigned long cgroup_used(void)
{
	struct budget_line line;

	must(budget_line(LIMIT_CGROUP, &line));
	return line.used;
}

/* What a zone gets will be touched, which a cgroup counts then: it must be left. What is free there may be another's.
 */
static void cgroup_zone(void)
{
	unsigned long pb;
	struct page *page;
	bool clean;

	start();
	fake_sys_write("self/cgroup", "0::/box\n");
	cgroup_file("max", GIB_);
	cgroup_file("current", GIB_ - 63 * MIB);
	min_free_kbytes = 0;
	min_free_kbytes_sysctl_handler();
	budget_refresh();
	must(zone_grow(zone, 0, MIGRATE_UNMOVABLE));
	budget_refresh();
	must(cgroup_used() == GIB_ - 61 * MIB, "the system does not know yet of what nobody has touched");
	pb = arena_alloc(4, 1, PB_OFFLINE, 0, &clean);
	must(pb);
	budget_refresh();
	must(cgroup_used() == GIB_ - 53 * MIB, "nor of what is on its way to a zone");
	arena_free(pb, 4, false);
	cgroup_file("current", GIB_ - 35 * MIB);
	budget_refresh();
	must(!zone_grow(zone, 0, MIGRATE_UNMOVABLE), "there is the headroom, and 1 MiB");
	must(grow_huge(4, &pb));
	arena_free(pb, 4, false);

	page = alloc_pages(GFP_KERNEL, 6);
	must(page);
	cgroup_file("current", GIB_ - 50 * MIB);
	os_sleep_ms(110);
	free_pages(page, 6);
	must(cgroup_used() < GIB_ - 45 * MIB, "looked at again, though no arena was asked");
}

/* Beyond memory.high all goes on, but what is free goes back, and kswapd and whoever allocates reclaim. */
static void cgroup_high(void)
{
	struct page *page[40];
	unsigned long pb, i;

	start();
	fake_sys_write("self/cgroup", "0::/box\n");
	fake_sys_write("fs/cgroup/box/memory.max", "max\n");
	cgroup_file("high", GIB_);
	cgroup_file("current", 100 * MIB);
	budget_refresh();
	must(limits_in_force && budget_binding() == NR_LIMITS && budget_total() == GIB_);
	must(!budget_over_high() && grow_huge(2000, &pb) && !budget_over_high(),
	     "a block that is not touched is no use");
	cgroup_file("current", GIB_ + MIB);
	budget_refresh();
	must(budget_over_high());
	budget_over_high_in_vain();
	must(!budget_over_high(), "until the heap changes");
	must(!zone_watermark_ok(zone, 0, zone->watermark[WMARK_LOW], ZONE_NORMAL, ALLOC_WMARK_LOW), "kswapd is woken");
	must(zone_watermark_ok(zone, 0, zone->watermark[WMARK_MIN], ZONE_NORMAL, ALLOC_WMARK_MIN));
	for (i = 0; i < ARRAY_SIZE(page); i++) {
		page[i] = alloc_pages(GFP_KERNEL, PAGEBLOCK_ORDER);
		must(page[i], "nobody is refused");
	}
	must(vm_events[ALLOCSTALL] >= 10 && vm_events[ALLOCSTALL] <= ARRAY_SIZE(page), "who makes it grow reclaims");
	must(oom_calls == 0);
	for (i = 0; i < ARRAY_SIZE(page); i++)
		free_pages(page[i], PAGEBLOCK_ORDER);
	must(arena_stats.dirty == 0, "what is freed goes back");
	fake_sys_write("fs/cgroup/box/memory.high", "max\n");
	budget_refresh();
	must(!limits_in_force && !budget_over_high());
}

/* Without /proc the heap's own figures have to do. */
static void no_proc(void)
{
	struct rlimit limit = { 256 * MIB + FAR, RLIM_INFINITY };
	struct budget_line line;
	unsigned long pb;

	start();
	must(!setrlimit(RLIMIT_DATA, &limit));
	fake_sys_remove();
	budget_refresh();
	must(budget_line(LIMIT_DATA, &line) && line.used == sparse_metadata_bytes());
	must(grow_huge(10, &pb) && budget_line(LIMIT_DATA, &line) && line.used >= 20 * MIB && line.used < 40 * MIB);
}

int main(void)
{
	fake_sys_init();
	run_case("no limit: nothing is asked, and nothing changes", none);
	run_case("limit: is what the heap may have", conf);
	run_case("the reserve is for those who have a right to it", reserve);
	run_case("marks from the budget, which count what may yet be had", marks);
	run_case("a limit below what is in use, raised again, and lifted", lowered);
	run_case("a limit that is found when the system refuses, and lifted", learnt);
	run_case("a cgroup's limit", cgroup);
	run_case("a cgroup's limit, for zones", cgroup_zone);
	run_case("memory.high of a cgroup", cgroup_high);
	run_case("without /proc", no_proc);
	fake_sys_remove();
	return done_testing();
}
