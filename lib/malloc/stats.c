/* SPDX-License-Identifier: MIT */
/*
 * Statistics. Nothing is counted on the fast paths: what the program has is what left the slabs less what lies in
 * caches.
 */
#include "malloc/stats.h"

#include <errno.h>
#include <string.h>

#include "base/message.h"
#include "base/tunables.h"
#include "malloc/huge.h"
#include "malloc/memcheck.h"
#include "mm/arena.h"
#include "mm/budget.h"
#include "mm/hugepages.h"
#include "mm/lowmem.h"
#include "mm/owner.h"
#include "mm/page_owner.h"
#include "mm/pressure.h"
#include "mm/shrinker.h"
#include "mm/vmstat.h"
#include "os/os.h"
#include "slab/owner_cache.h"
#include "slab/run.h"
#include "slab/slab.h"
#include "slab/slabinfo.h"
#include "slab/tcache.h"

#ifndef PACKAGE_VERSION
#error "PACKAGE_VERSION comes from configure"
#endif

extern char *program_invocation_short_name;

const char *bm_version(void)
{
	return PACKAGE_VERSION;
}

static size_t blocks_to_bytes(unsigned long pageblocks)
{
	return pageblocks << PAGEBLOCK_SHIFT;
}

static void read_classes(struct heap_stats *s)
{
	unsigned int class;

	for (class = 1; class < NR_CLASSES; class ++) {
		size_t size = class_size(class), cached = tcache_cached(class) * size;

		if (class < FIRST_RUN_CLASS) {
			struct kmem_cache *cache = &kmem_caches[class];

			cached += cache_nr_waiting(cache) * size;
			s->nr_slabs += READ_ONCE(cache->nr_slabs);
			s->in_use += READ_ONCE(cache->nr_active) * size;
		}
		s->cached += cached;
	}
	s->cached += memcheck_quarantined();
	s->in_use += run_stats_read().pages << PAGE_SHIFT;
	/* What is free in them is nobody else's. */
	s->in_use += (READ_ONCE(owner_slabs.pages) - READ_ONCE(owner_slabs.empty_pages)) << PAGE_SHIFT;
	s->in_use += s->huge_blocks;
	s->in_use -= s->in_use > s->cached ? s->cached : s->in_use;
}

void heap_stats_read(struct heap_stats *s)
{
	unsigned long clean = 0;
	struct zone *zone;
	int i;

	memset(s, 0, sizeof(*s));
	for_each_zone (zone, i) {
		unsigned int order;

		clean += READ_ONCE(zone->nr_free_pages) - READ_ONCE(zone->nr_dirty);
		s->dirty += READ_ONCE(zone->nr_dirty) << PAGE_SHIFT;
		for (order = 0; order < MAX_ORDER; order++)
			s->nr_free_blocks += READ_ONCE(zone->free_area[order].nr_free);
	}
	s->dirty += blocks_to_bytes(READ_ONCE(arena_stats.dirty));
	s->mapped = blocks_to_bytes(READ_ONCE(arena_stats.mapped) + lowmem_mapped());
	/* What is below 4 GiB has no peak of its own. */
	s->mapped_peak = max_ul(blocks_to_bytes(READ_ONCE(arena_stats.mapped_peak)), s->mapped);
	s->held = blocks_to_bytes(READ_ONCE(arena_stats.used) + lowmem_used() + READ_ONCE(arena_stats.dirty)) -
		  (clean << PAGE_SHIFT);
	s->held_peak = blocks_to_bytes(READ_ONCE(arena_stats.used_peak));
	if (s->held_peak < s->held)
		s->held_peak = s->held;
	s->huge_blocks = blocks_to_bytes(READ_ONCE(arena_stats.huge)) + (READ_ONCE(huge_stats.packed) << PAGE_SHIFT);
	s->nr_runs = run_stats_read().nr;
	s->nr_huge = READ_ONCE(huge_stats.nr);
	s->nr_threads = tcache_threads();
	read_classes(s);
	s->free = s->held > s->in_use ? s->held - s->in_use : 0;
}

/* A line for each limit in force; and which of them binds. */
static void print_budget(struct out *o)
{
	enum limit_kind binding = budget_binding();
	struct budget_line line;
	unsigned int kind;

	for (kind = 0; kind < NR_LIMITS; kind++)
		if (budget_line((enum limit_kind)kind, &line))
			out_printf(o, "budget     %10zu KiB of %s%s, used %zu KiB, headroom %zu KiB\n",
				   line.limit >> 10, line.name, kind == binding ? ", which binds" : "", line.used >> 10,
				   line.headroom >> 10);
}

/* What was asked for is known; what was had, the system may not tell. */
static void print_hugepage_share(struct out *o)
{
	struct hugepages nodes[MAX_NUMNODES], all;
	size_t had;

	if (hugepages_read(nodes, &all)) {
		had = all.transparent + all.hugetlb;
		out_printf(o, "hugepages  %10zu KiB of %zu KiB resident, %zu %%, %zu KiB of hugetlb", had >> 10,
			   all.resident >> 10, all.resident ? had * 100 / all.resident : 0, all.hugetlb >> 10);
	} else {
		out_printf(o, "hugepages     unknown");
	}
	out_printf(o, "; asked for behind %lu pageblocks\n",
		   READ_ONCE(arena_stats.thp) + READ_ONCE(arena_stats.hugetlb));
}

static void print_summary(struct out *o)
{
	unsigned long mapped = READ_ONCE(arena_stats.mapped);
	struct heap_stats s;

	heap_stats_read(&s);
	out_printf(o, "buddymalloc %s pid %d %s: summary\n", PACKAGE_VERSION, os_getpid(),
		   program_invocation_short_name);
	out_printf(o, "asked      %10zu KiB in blocks that the program has now\n", s.in_use >> 10);
	out_printf(o, "held       %10zu KiB, peak %zu KiB\n", s.held >> 10, s.held_peak >> 10);
	out_printf(o, "arenas     %10zu KiB in %lu pageblocks, peak %zu KiB, grown %lu times, given back %lu\n",
		   s.mapped >> 10, mapped, s.mapped_peak >> 10, READ_ONCE(arena_stats.grown),
		   READ_ONCE(arena_stats.given_back));
	print_hugepage_share(o);
	out_printf(o, "slabs      %10lu, runs %lu, huge blocks %lu of %zu KiB\n", s.nr_slabs, s.nr_runs, s.nr_huge,
		   s.huge_blocks >> 10);
	out_printf(o, "caches     %10zu KiB in %lu threads' lists and magazines\n", s.cached >> 10, s.nr_threads);
	out_printf(o, "dirty      %10zu KiB free, but not given back\n", s.dirty >> 10);
	print_owners_summary(o);
	print_budget(o);
	print_buddyinfo(o);
}

void stats_show_heap(struct out *o)
{
	struct heap_stats s;

	heap_stats_read(&s);
	out_printf(o, "buddymalloc: slabs:%lukB runs:%lukB huge:%zukB in_use:%zukB cached:%zukB free:%zukB\n",
		   nr_slab_pages() << (PAGE_SHIFT - 10), run_stats_read().pages << (PAGE_SHIFT - 10),
		   s.huge_blocks >> 10, s.in_use >> 10, s.cached >> 10, s.free >> 10);
	out_flush(o);
}

static void print_vmstat_all(struct out *o)
{
	print_vmstat(o);
	out_printf(o, "nr_slab_unreclaimable %lu\n", nr_slab_pages());
}

static const struct {
	const char *name;
	void (*print)(struct out *o);
} reports[] = {
	{ "summary", print_summary },
	{ "buddyinfo", print_buddyinfo },
	{ "pagetypeinfo", print_pagetypeinfo },
	{ "zoneinfo", print_zoneinfo },
	{ "vmstat", print_vmstat_all },
	{ "extfrag_index", print_extfrag_index },
	{ "unusable_index", print_unusable_index },
	{ "page_owner", print_page_owner },
	{ "hugepages", print_hugepages },
	{ "slabinfo", print_slabinfo },
	{ "shrinkers", print_shrinkers },
	{ "pressure", print_pressure },
	{ "owners", print_owners },
};

int stats_print(int fd, const char *what)
{
	struct out o;
	unsigned int i;

	for (i = 0; what && i < ARRAY_SIZE(reports); i++) {
		if (strcmp(what, reports[i].name) != 0)
			continue;
		out_init(&o, fd);
		reports[i].print(&o);
		out_flush(&o);
		return 0;
	}
	return -EINVAL;
}

int bm_stats_print(int fd, const char *what)
{
	return stats_print(fd, what);
}

static int report_fd = 2;

void stats_keep_stderr(void)
{
	int fd = os_dup(2);

	if (fd >= 0)
		report_fd = fd;
}

void stats_report(void)
{
	int fd = report_fd;

	if (tunables.stats_file[0]) {
		fd = os_open_append(tunables.stats_file);
		if (fd < 0) {
			bm_warn("cannot open stats_file %s: error %d; the summary goes to stderr", tunables.stats_file,
				-fd);
			fd = report_fd;
		}
	}
	stats_print(fd, "summary");
	if (fd != report_fd)
		os_close(fd);
}
