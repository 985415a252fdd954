/* SPDX-License-Identifier: MIT */
/*
 * mallinfo, mallopt and malloc_info.
 */
#include "malloc/family.h"

#include <errno.h>
#include <limits.h>

#include "base/tunables.h"
#include "mm/mmzone.h"
#include "slab/slab.h"

struct mallinfo2 family_mallinfo(void)
{
	struct heap_stats s;

	heap_stats_read(&s);
	s.in_use -= min_ul(s.huge_blocks, s.in_use); /* programs add hblkhd to uordblks */
	return (struct mallinfo2){
		.arena = s.mapped - min_ul(s.huge_blocks, s.mapped), /* read one after the other */
		.ordblks = s.nr_free_blocks,
		.hblks = s.nr_huge,
		.hblkhd = s.huge_blocks,
		.fsmblks = s.cached,
		.uordblks = s.in_use,
		.fordblks = s.free,
		.keepcost = s.dirty,
	};
}

static int clamp_int(size_t n)
{
	return n > INT_MAX ? INT_MAX : (int)n;
}

struct mallinfo family_mallinfo_int(void)
{
	struct mallinfo2 m = family_mallinfo();

	return (struct mallinfo){
		.arena = clamp_int(m.arena),
		.ordblks = clamp_int(m.ordblks),
		.hblks = clamp_int(m.hblks),
		.hblkhd = clamp_int(m.hblkhd),
		.fsmblks = clamp_int(m.fsmblks),
		.uordblks = clamp_int(m.uordblks),
		.fordblks = clamp_int(m.fordblks),
		.keepcost = clamp_int(m.keepcost),
	};
}

int family_mallopt(int param, int value)
{
	switch (param) {
	case M_TRIM_THRESHOLD:
		WRITE_ONCE(tunables.dirty_max, value < 0 ? ULONG_MAX >> 1 : (unsigned long)value);
		return 1;
	case M_MXFAST:
	case M_TOP_PAD:
	case M_MMAP_THRESHOLD:
	case M_MMAP_MAX:
	case M_CHECK_ACTION:
	case M_PERTURB:
	case M_ARENA_TEST:
	case M_ARENA_MAX:
		return 1;
	default:
		return 0;
	}
}

static void print_class(FILE *stream, const struct kmem_cache *cache)
{
	if (READ_ONCE(cache->nr_slabs))
		fprintf(stream, "<size class=\"%u\" size=\"%u\" slabs=\"%lu\" pages=\"%lu\" active=\"%lu\"/>\n",
			cache->class, cache->size, READ_ONCE(cache->nr_slabs), READ_ONCE(cache->nr_pages),
			READ_ONCE(cache->nr_active));
}

static void print_zone(FILE *stream, const struct zone *zone)
{
	unsigned int order;

	fprintf(stream, "<heap nr=\"%d\" zone=\"%s\">\n<sizes>\n", zone->nid, zone_name(zone));
	for (order = 0; order < MAX_ORDER; order++)
		if (READ_ONCE(zone->free_area[order].nr_free))
			fprintf(stream, "<free order=\"%u\" size=\"%lu\" count=\"%lu\"/>\n", order, PAGE_SIZE << order,
				READ_ONCE(zone->free_area[order].nr_free));
	fprintf(stream, "</sizes>\n<system type=\"current\" size=\"%lu\"/>\n</heap>\n",
		READ_ONCE(zone->managed_pages) << PAGE_SHIFT);
}

int family_malloc_info(int options, FILE *stream)
{
	struct heap_stats s;
	unsigned int class;
	struct zone *zone;
	int i;

	if (options)
		return EINVAL;
	heap_stats_read(&s);
	fprintf(stream, "<malloc version=\"1\" library=\"buddymalloc %s\">\n", PACKAGE_VERSION);
	for_each_populated_zone (zone, i)
		print_zone(stream, zone);
	fputs("<classes>\n", stream);
	for (class = 1; class < FIRST_RUN_CLASS; class ++)
		print_class(stream, &kmem_caches[class]);
	fprintf(stream,
		"</classes>\n<total type=\"rest\" count=\"%lu\" size=\"%zu\"/>\n"
		"<total type=\"mmap\" count=\"%lu\" size=\"%zu\"/>\n"
		"<system type=\"current\" size=\"%zu\"/>\n<system type=\"max\" size=\"%zu\"/>\n</malloc>\n",
		s.nr_free_blocks, s.free, s.nr_huge, s.huge_blocks, s.mapped, s.mapped_peak);
	return 0;
}
