/* SPDX-License-Identifier: MIT */
/*
 * The budget on a system of our own making: the figures of /proc and of cgroups are files of the test, and limits are so
 * large that the real system never minds them. What is refused, for whom; the marks; what is given back, how, and when
 * nothing is; limits that come, go, and change.
 */
#include <sys/resource.h>

#include "base/tunables.h"
#include "mm/budget.h"
#include "mm/current.h"
#include "mm/internal.h"
#include "mm/oom.h"
#include "mm/owner.h"
#include "mm/vmstat.h"
#include "os/limits.h"
#include "fake_sys.h"
#include "model.h"

#define MIB (1UL << 20)
#define GIB_ (1UL << 30)
#define BLOCKS(bytes) ((bytes) >> PAGEBLOCK_SHIFT)

/* A limit that is so much above what this process can ever map. */
#define FAR (1UL << 52)

static struct zone *zone;

static bool grow_huge(unsigned long nr, unsigned long *pb)
{
	bool clean;

	*pb = arena_alloc(nr, 1, PB_HUGE, 0, &clean);
	return *pb != 0;
}

/* One node; nothing is known of any limit. */
static void start(void)
{
	struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_AS, &none);
	setrlimit(RLIMIT_DATA, &none);
	fake_sys_remove();
	fake_sys_nodes(1, 0);
	zone = model_start();
	tunables.dirty_max = 16 * MiB;
	budget_init();
	must(!limits_in_force);
}

static void start_with(unsigned long limit)
{
	start();
	tunables.limit = limit;
	budget_limit_changed();
	must(limits_in_force);
}

/* The process's size, as the system has it, so that others than the heap have all but left bytes of FAR. */
static void leave(unsigned long left)
{
	char text[96];
	unsigned long own = (arena_stats.mapped << PAGEBLOCK_SHIFT) + sparse_metadata_bytes();
	unsigned long as = (FAR - left + (sparse_is_reserved() ? 0 : own)) / os_page_size();

	snprintf(text, sizeof(text), "%lu 1 1 1 0 %lu 0\n", as, (FAR - left + own) / os_page_size());
	fake_sys_write("self/statm", text);
}

static void start_rlimit(int resource, unsigned long left)
{
	struct rlimit limit = { FAR, RLIM_INFINITY };

	start();
	leave(left);
	must(!setrlimit(resource, &limit));
	budget_refresh();
	must(limits_in_force);
}

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
	static const unsigned long sizes[][2] = { /* MiB, min_free_kbytes */
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

/* Beyond the headroom nothing is mapped; what is free is unmapped once little is left. */
static void unmapped(int resource, enum limit_kind kind)
{
	unsigned long pb, more, left = 200 * MIB, nr, calls;
	struct budget_line line;

	start_rlimit(resource, left);
	must(budget_binding() == kind && budget_line(kind, &line) && line.headroom == 32 * MIB);
	/* Descriptors are part of it. */
	for (nr = 0; grow_huge(1, &pb); nr++)
		;
	must(nr >= BLOCKS(left - 32 * MIB) - 3 && nr <= BLOCKS(left - 32 * MIB), "%lu pageblocks", nr);
	check_arena();
	calls = fake_os_calls(FAKE_MUNMAP);
	for (more = 0; more < nr; more++)
		arena_free(pb - more, 1, true);
	must(fake_os_calls(FAKE_MUNMAP) > calls && fake_os_calls(FAKE_MADVISE) < 3 * nr);
	check_arena();
	must(arena_stats.used == 0 && BLOCKS(left) - arena_stats.mapped >= BLOCKS(128 * MIB), "%lu stay",
	     arena_stats.mapped);
	must(grow_huge(BLOCKS(left - 40 * MIB), &pb), "all of it again, as one");
}
static void address_space(void)
{
	if (window_reserved())
		return;
	unmapped(RLIMIT_AS, LIMIT_AS);
}
static void data(void)
{
	if (window_reserved())
		return;
	unmapped(RLIMIT_DATA, LIMIT_DATA);
}

/* Memory that was never used takes address space too, and goes first. */
static void clean_first(void)
{
	unsigned long pb, dirty;

	start_rlimit(RLIMIT_DATA, 160 * MIB);
	must(grow_huge(5, &dirty) && grow_huge(50, &pb));
	arena_free(dirty, 5, true);
	must(arena_stats.dirty == 5);
	arena_free(pb, 50, false);
	must(arena_stats.dirty == 5 && arena_stats.mapped < 30, "%lu dirty, %lu mapped", arena_stats.dirty,
	     arena_stats.mapped);
	check_arena();
}

/* Short ranges of dirty pages, each page with its number; nothing is given back for it. */
static void make_short_ranges(void)
{
	unsigned int scopes = memalloc_flags_save(PF_MEMALLOC_NOIO);
	unsigned long pb[8], i;

	for (i = 0; i < 8; i++)
		must(grow_huge(4, &pb[i]));
	for (i = 0; i < 16; i++)
		*(unsigned long *)block_to_addr(pb[i / 4 * 2] + i % 4) = i + 1;
	for (i = 0; i < 8; i += 2)
		arena_free(pb[i], 4, true);
	memalloc_flags_restore(scopes);
	must(arena_stats.dirty == 16);
}

/* Near the limit pages that are there are moved together, rather than given back and made again. */
static void gathered(void)
{
	unsigned long pb, i, mapped, seen = 0;

	if (window_reserved())
		return;
	start_rlimit(RLIMIT_DATA, 200 * MIB);
	make_short_ranges();
	mapped = arena_stats.mapped;
	must(grow_huge(14, &pb) && fake_os_calls(FAKE_MREMAP) == 4 && fake_os_calls(FAKE_MUNMAP) == 0);
	must(arena_stats.mapped == mapped && arena_stats.dirty == 2);
	for (i = 0; i < 14; i++)
		seen |= 1UL << *(unsigned long *)block_to_addr(pb + i);
	must(seen >> 1 == (1UL << 14) - 1, "the pages are those that were there: %#lx", seen);
	check_arena();
	/* What is not there is mapped. */
	must(grow_huge(6, &pb) && fake_os_calls(FAKE_MREMAP) == 5 && arena_stats.dirty == 0);
	must(arena_stats.mapped == mapped + 4 && !*(unsigned long *)block_to_addr(pb + 5));
	check_arena();
}

/* The system does not move them: then it makes others. */
static void not_gathered(void)
{
	unsigned long pb;

	if (window_reserved())
		return;
	start_rlimit(RLIMIT_DATA, 200 * MIB);
	make_short_ranges();
	fake_os_fail(FAKE_MREMAP, 2, true, EFAULT);
	must(grow_huge(14, &pb) && fake_os_calls(FAKE_MREMAP) == 2);
	check_arena();
	must(grow_huge(3, &pb), "out of one of the ranges");
	arena_free(pb, 3, true);
	check_arena();
}

/* Where the system makes no hole, the pages go at least. */
static void no_holes(void)
{
	unsigned long pb;

	if (window_reserved())
		return;
	start_rlimit(RLIMIT_DATA, 160 * MIB);
	must(grow_huge(40, &pb));
	fake_os_fail(FAKE_MUNMAP, 1, true, ENOMEM);
	arena_free(pb + 10, 20, true);
	must(arena_stats.dirty <= 8 && arena_stats.pieces == 1, "%lu dirty", arena_stats.dirty);
	check_arena();
	fake_os_reset();
	must(arena_purge(0, ~0U, false) && arena_stats.pieces == 2);
	must(grow_huge(15, &pb) && arena_stats.pieces <= 3);
	check_arena();
}

/* What comes and goes near the limit makes calls at first, and then none. */
static void swing(unsigned long in_use, unsigned long nr)
{
	unsigned long held[16], first, i, round, calls = 0;

	must(grow_huge(in_use, &first));
	for (round = 0; round < 40; round++) {
		if (round == 20)
			calls = fake_os_calls(FAKE_MUNMAP) + fake_os_calls(FAKE_MMAP) + fake_os_calls(FAKE_MPROTECT);
		for (i = 0; i < nr; i++)
			must(grow_huge(2, &held[i]));
		while (i--)
			arena_free(held[i], 2, true);
	}
	must(fake_os_calls(FAKE_MUNMAP) + fake_os_calls(FAKE_MMAP) + fake_os_calls(FAKE_MPROTECT) == calls, "%lu",
	     fake_os_calls(FAKE_MUNMAP));
}

/* Also where more comes and goes than is in use all the time, if that leaves plenty. */
static void steady_plenty(void)
{
	start_rlimit(RLIMIT_DATA, 400 * MIB);
	swing(8, 8);
	/* In a reserved window nothing is moved together: one more lies behind them. */
	must(arena_stats.dirty == 16 + (unsigned long)window_reserved(), "%lu dirty", arena_stats.dirty);
}

static void steady(void)
{
	unsigned long pb;

	start_rlimit(RLIMIT_DATA, 200 * MIB);
	swing(50, 7);
	must(arena_stats.mapped < 80);
	/* But if much is asked for, that is no hindrance. */
	must(grow_huge(20, &pb));
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

/* What a zone gets will be touched, which a cgroup counts then: it must be left. What is free there may be another's. */
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
	must(!budget_over_high() && grow_huge(2000, &pb) && !budget_over_high(), "a block that is not touched is no use");
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
	run_case("RLIMIT_AS: refused at the headroom, unmapped when free", address_space);
	run_case("RLIMIT_DATA: the same", data);
	run_case("clean memory is unmapped before dirty memory", clean_first);
	run_case("pages of short ranges are moved together", gathered);
	run_case("or not, if the system does not move them", not_gathered);
	run_case("no holes where the system makes none", no_holes);
	run_case("a steady state near the limit makes no calls", steady);
	run_case("nor one where plenty is left", steady_plenty);
	run_case("a limit that is found when the system refuses, and lifted", learnt);
	run_case("a cgroup's limit", cgroup);
	run_case("a cgroup's limit, for zones", cgroup_zone);
	run_case("memory.high of a cgroup", cgroup_high);
	run_case("without /proc", no_proc);
	fake_sys_remove();
	return done_testing();
}
