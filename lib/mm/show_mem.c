/* SPDX-License-Identifier: MIT */
/*
 * The report of an allocation that failed, on stderr, in the kernel's words: what was asked, and what the zones have.
 * A line at a time through one buffer, for it may be printed on a small stack; nothing is allocated, no lock is taken.
 */
#include "base/message.h"
#include "mm/arena.h"
#include "mm/internal.h"
#include "mm/mempolicy.h"
#include "mm/pcp.h"
#include "mm/vmstat.h"
#include "os/os.h"

extern char *program_invocation_short_name;

#define STDERR 2

/* Sets before the bits they consist of, the larger ones first. */
static const struct {
	gfp_t bits;
	const char *name;
} gfp_names[] = {
	{ GFP_TRANSHUGE, "GFP_TRANSHUGE" },
	{ GFP_USER, "GFP_USER" },
	{ GFP_KERNEL, "GFP_KERNEL" },
	{ GFP_NOFS, "GFP_NOFS" },
	{ GFP_ATOMIC, "GFP_ATOMIC" },
	{ GFP_NOIO, "GFP_NOIO" },
	{ GFP_NOWAIT, "GFP_NOWAIT" },
	{ GFP_DMA32, "GFP_DMA32" },
	{ GFP_MOVABLE, "GFP_MOVABLE" },
	{ GFP_RECLAIMABLE, "GFP_RECLAIMABLE" },
	{ GFP_HARDWALL, "GFP_HARDWALL" },
	{ GFP_THISNODE, "GFP_THISNODE" },
	{ GFP_HIGH, "GFP_HIGH" },
	{ GFP_MEMALLOC, "GFP_MEMALLOC" },
	{ GFP_NOMEMALLOC, "GFP_NOMEMALLOC" },
	{ GFP_DIRECT_RECLAIM, "GFP_DIRECT_RECLAIM" },
	{ GFP_KSWAPD_RECLAIM, "GFP_KSWAPD_RECLAIM" },
	{ GFP_IO, "GFP_IO" },
	{ GFP_FS, "GFP_FS" },
	{ GFP_NORETRY, "GFP_NORETRY" },
	{ GFP_RETRY_MAYFAIL, "GFP_RETRY_MAYFAIL" },
	{ GFP_NOFAIL, "GFP_NOFAIL" },
	{ GFP_NOWARN, "GFP_NOWARN" },
	{ GFP_ZERO, "GFP_ZERO" },
	{ GFP_COMP, "GFP_COMP" },
	{ GFP_ACCOUNT, "GFP_ACCOUNT" },
	{ GFP_WRITE, "GFP_WRITE" },
	{ GFP_ATOMIC_BIT, "GFP_ATOMIC_BIT" },
	{ GFP_NOLOWMEM, "GFP_NOLOWMEM" },
};

void print_gfp(struct out *o, gfp_t gfp)
{
	const char *separator = "";
	unsigned int i;

	if (!gfp)
		out_printf(o, "none");
	for (i = 0; i < ARRAY_SIZE(gfp_names); i++) {
		if ((gfp & gfp_names[i].bits) != gfp_names[i].bits)
			continue;
		out_printf(o, "%s%s", separator, gfp_names[i].name);
		gfp &= ~gfp_names[i].bits;
		separator = "|";
	}
	if (gfp)
		out_printf(o, "%s0x%x", separator, gfp);
}

static unsigned long kib(unsigned long pages)
{
	return pages << (PAGE_SHIFT - 10);
}

static bool show_node(int nid, const nodemask_t *nodemask)
{
	return node_isset(nid, nodemask ? *nodemask : READ_ONCE(cpuset_mems_allowed));
}

static unsigned long cpu_pcp_pages(const struct zone *zone, unsigned int cpu)
{
	const struct per_cpu_pages *pcp = zone_pcp(zone, cpu);
	unsigned long nr = 0;
	unsigned int l;

	for (l = 0; pcp && l < NR_PCP_LISTS; l++)
		nr += pcp_list_pages(pcp, l);
	return nr;
}

static void show_zone(struct out *o, const struct zone *zone)
{
	unsigned long boost = READ_ONCE(zone->watermark_boost), managed = kib(READ_ONCE(zone->managed_pages));
	unsigned int z;

	out_printf(o, "buddymalloc: Node %d %s free:%lukB boost:%lukB", zone->nid, zone_name(zone),
		   kib(READ_ONCE(zone->nr_free_pages)), kib(boost));
	out_printf(o, " min:%lukB low:%lukB high:%lukB", kib(READ_ONCE(zone->watermark[WMARK_MIN]) + boost),
		   kib(READ_ONCE(zone->watermark[WMARK_LOW]) + boost),
		   kib(READ_ONCE(zone->watermark[WMARK_HIGH]) + boost));
	out_printf(o, " reserved_highatomic:%lukB dirty:%lukB present:%lukB managed:%lukB",
		   kib(READ_ONCE(zone->nr_reserved_highatomic)), kib(READ_ONCE(zone->nr_dirty)), managed, managed);
	out_printf(o, " free_pcp:%lukB local_pcp:%lukB free_cma:%lukB\n", kib(nr_pcp_pages(zone)),
		   kib(cpu_pcp_pages(zone, os_cpu_id())), kib(READ_ONCE(zone->nr_free_cma)));
	out_flush(o);
	out_printf(o, "buddymalloc: lowmem_reserve[]:");
	for (z = 0; z < MAX_NR_ZONES; z++)
		out_printf(o, " %lu", READ_ONCE(zone->lowmem_reserve[z]));
	out_printf(o, "\n");
	out_flush(o);
}

/* " (UME)": of which migratetypes there are blocks. Heads of lists are read without their lock. */
__attribute__((__no_sanitize_thread__)) static void show_migration_types(struct out *o, const struct free_area *area)
{
	static const char letters[MIGRATE_TYPES] = {
		[MIGRATE_UNMOVABLE] = 'U',  [MIGRATE_MOVABLE] = 'M', [MIGRATE_RECLAIMABLE] = 'E',
		[MIGRATE_HIGHATOMIC] = 'H', [MIGRATE_CMA] = 'C',     [MIGRATE_ISOLATE] = 'I',
	};
	unsigned int mt;

	out_printf(o, "(");
	for (mt = 0; mt < MIGRATE_TYPES; mt++)
		if (READ_ONCE(area->free_list[mt]) != NO_PFN)
			out_printf(o, "%c", letters[mt]);
	out_printf(o, ") ");
}

static void show_free_lists(struct out *o, const struct zone *zone)
{
	unsigned long total = 0;
	unsigned int order;

	out_printf(o, "buddymalloc: Node %d %s: ", zone->nid, zone_name(zone));
	for (order = 0; order < MAX_ORDER; order++) {
		unsigned long nr = READ_ONCE(zone->free_area[order].nr_free);

		total += nr << order;
		out_printf(o, "%lu*%lukB ", nr, kib(1UL << order));
		if (nr)
			show_migration_types(o, &zone->free_area[order]);
	}
	out_printf(o, "= %lukB\n", kib(total));
	out_flush(o);
}

static void show_arenas(struct out *o)
{
	out_printf(o, "buddymalloc: arenas mapped:%lukB used:%lukB huge:%lukB dirty:%lukB\n",
		   kib(READ_ONCE(arena_stats.mapped) << PAGEBLOCK_ORDER),
		   kib(READ_ONCE(arena_stats.used) << PAGEBLOCK_ORDER),
		   kib(READ_ONCE(arena_stats.huge) << PAGEBLOCK_ORDER),
		   kib(READ_ONCE(arena_stats.dirty) << PAGEBLOCK_ORDER));
	out_flush(o);
}

void show_zones(struct out *o, const nodemask_t *nodemask)
{
	struct zone *zone;
	int i;

	out_printf(o, "buddymalloc: Mem-Info:\n");
	out_flush(o);
	for_each_populated_zone (zone, i)
		if (show_node(zone->nid, nodemask))
			show_zone(o, zone);
	for_each_populated_zone (zone, i)
		if (show_node(zone->nid, nodemask))
			show_free_lists(o, zone);
	show_arenas(o);
}

void warn_alloc(gfp_t gfp, const nodemask_t *nodemask, const char *fmt, ...)
{
	static struct ratelimit_state nopage_rs = RATELIMIT_STATE_INIT(5000, 10);
	unsigned int missed;
	struct out o;
	va_list ap;

	if (gfp & GFP_NOWARN || !ratelimit(&nopage_rs, os_clock_ms(), &missed))
		return;
	out_init(&o, STDERR);
	if (missed)
		out_printf(&o, "buddymalloc: warn_alloc: %u reports suppressed\n", missed);
	out_printf(&o, "buddymalloc: %s: ", program_invocation_short_name);
	va_start(ap, fmt);
	out_vprintf(&o, fmt, ap);
	va_end(ap);
	out_printf(&o, ", mode:0x%x(", gfp);
	print_gfp(&o, gfp);
	out_printf(&o, "), nodemask=");
	if (nodemask)
		print_nodemask(&o, *nodemask);
	else
		out_printf(&o, "(null)");
	out_printf(&o, ",mems_allowed=");
	print_nodemask(&o, READ_ONCE(cpuset_mems_allowed) & node_states_memory());
	out_printf(&o, "\n");
	out_flush(&o);
	out_printf(&o, "buddymalloc: CPU: %u PID: %d TID: %d\n", os_cpu_id(), os_getpid(), os_gettid());
	out_flush(&o);
	show_zones(&o, nodemask);
}
