/* SPDX-License-Identifier: MIT */
/*
 * Watermarks: how much of a zone must stay free, for whom. While min_free_kbytes is 0 no limit is in force: every mark
 * is 0, and a zone is asked as long as it has anything.
 *
 * With a limit in force the marks come from it, and a zone has what its free lists have and what it may yet grow by: so
 * nothing need be held free, as long as the limit is far away.
 */
#include "base/lock.h"
#include "mm/budget.h"
#include "mm/internal.h"
#include "mm/kswapd.h"

unsigned long min_free_kbytes;
static unsigned long user_min_free_kbytes = ~0UL; /* what was asked for; ~0: nothing */
#define WATERMARK_SCALE_DEFAULT 10
unsigned long watermark_scale_factor = WATERMARK_SCALE_DEFAULT; /* in 1/10000 of the zone: from one mark to the next */
unsigned long watermark_boost_factor = 15000;			/* in 1/10000 of the high mark */
unsigned long sysctl_lowmem_reserve_ratio[MAX_NR_ZONES] = {
	[ZONE_DMA32] = 256, [ZONE_NORMAL] = 32, [ZONE_MOVABLE] = 0
};

/* The marks are written by one thread at a time. */
static struct mutex wmark_lock = MUTEX_INIT(RANK_WMARK);

/* Free pages that this request could not have. */
static unsigned long unusable_free_pages(const struct zone *zone, unsigned int order, unsigned int alloc_flags)
{
	unsigned long unusable = (1UL << order) - 1 + READ_ONCE(zone->nr_isolated);

	if (!(alloc_flags & (ALLOC_HARDER | ALLOC_OOM)))
		unusable += READ_ONCE(zone->nr_reserved_highatomic);
	if (!(alloc_flags & ALLOC_CMA))
		unusable += READ_ONCE(zone->nr_free_cma);
	return unusable;
}

static bool has_block(const struct zone *zone, unsigned int order, unsigned int alloc_flags)
{
	for (; order < MAX_ORDER; order++) {
		const uint32_t *lists = zone->free_area[order].free_list;
		unsigned int mt;

		if (!READ_ONCE(zone->free_area[order].nr_free))
			continue;
		for (mt = 0; mt < MIGRATE_PCPTYPES; mt++)
			if (data_race(lists[mt]) != NO_PFN)
				return true;
		if (alloc_flags & ALLOC_CMA && data_race(lists[MIGRATE_CMA]) != NO_PFN)
			return true;
		if (alloc_flags & (ALLOC_HARDER | ALLOC_OOM) && data_race(lists[MIGRATE_HIGHATOMIC]) != NO_PFN)
			return true;
	}
	return false;
}

bool zone_watermark_ok_pages(const struct zone *zone, unsigned int order, unsigned long mark,
			     enum zone_type highest_zoneidx, unsigned int alloc_flags, unsigned long free_pages)
{
	unsigned long unusable = unusable_free_pages(zone, order, alloc_flags), min = mark;
	/* memory.high is minded by kswapd, and by the first try, which wakes it: to go on is allowed. */
	unsigned long growable = budget_growable_pages(true, alloc_flags & ALLOC_WMARK_LOW);

	if (alloc_flags & ALLOC_HIGH)
		min -= min / 2;
	/* A victim is on its way out, and frees what it has: it may go deeper than who merely cannot wait. */
	if (alloc_flags & ALLOC_OOM)
		min -= min / 2;
	else if (alloc_flags & ALLOC_HARDER)
		min -= min / 4;
	if (free_pages + growable <= unusable + min + READ_ONCE(zone->lowmem_reserve[highest_zoneidx]))
		return false;
	return !order || growable >= max_ul(1UL << order, PAGEBLOCK_PAGES) || has_block(zone, order, alloc_flags);
}

bool zone_watermark_ok(const struct zone *zone, unsigned int order, unsigned long mark, enum zone_type highest_zoneidx,
		       unsigned int alloc_flags)
{
	return zone_watermark_ok_pages(zone, order, mark, highest_zoneidx, alloc_flags, READ_ONCE(zone->nr_free_pages));
}

bool boost_watermark(struct zone *zone)
{
	unsigned long max_boost;

	if (!READ_ONCE(watermark_boost_factor) || PAGEBLOCK_PAGES * 4 > zone->managed_pages)
		return false;
	max_boost = READ_ONCE(zone->watermark[WMARK_HIGH]) * READ_ONCE(watermark_boost_factor) / 10000;
	if (!max_boost)
		return false;
	max_boost = max_ul(PAGEBLOCK_PAGES, max_boost);
	WRITE_ONCE(zone->watermark_boost, min_ul(READ_ONCE(zone->watermark_boost) + PAGEBLOCK_PAGES, max_boost));
	return true;
}

/* What a zone keeps from requests that could have been served by a higher one, so that they do not use up the memory of
 * those that could not. */
static void setup_per_zone_lowmem_reserve(pg_data_t *pgdat)
{
	unsigned int i, j;

	for (i = 0; i < MAX_NR_ZONES; i++) {
		unsigned long above = 0, ratio = READ_ONCE(sysctl_lowmem_reserve_ratio[i]);

		for (j = i + 1; j < MAX_NR_ZONES; j++) {
			above += READ_ONCE(pgdat->node_zones[j].managed_pages);
			WRITE_ONCE(pgdat->node_zones[i].lowmem_reserve[j],
				   ratio && READ_ONCE(min_free_kbytes) ? above / ratio : 0);
		}
	}
}

/* Of pages for all zones, a zone's. */
static unsigned long share(unsigned long pages, unsigned long managed, unsigned long all_pages)
{
	return all_pages ? (unsigned long)((unsigned __int128)pages * managed / all_pages) : 0;
}

static void setup_zone_wmarks(struct zone *zone, unsigned long pages_min, unsigned long all_pages)
{
	unsigned long managed = READ_ONCE(zone->managed_pages), total = budget_total() >> PAGE_SHIFT, min, step, max;

	min = share(pages_min, managed, all_pages);
	/* The whole machine is what the budget allows, not what of it the zones have so far. */
	step = share(max_ul(all_pages, total), managed, all_pages) * READ_ONCE(watermark_scale_factor) / 10000;
	step = pages_min ? max_ul(min / 4, step) : 0;
	/* Who sets one of these two knows what is to be kept. */
	if (total && READ_ONCE(user_min_free_kbytes) == ~0UL &&
	    READ_ONCE(watermark_scale_factor) == WATERMARK_SCALE_DEFAULT) {
		max = share(budget_max_high() >> PAGE_SHIFT, managed, all_pages);
		step = min_ul(step, max > min ? (max - min) / 2 : 0);
	}
	WRITE_ONCE(zone->watermark[WMARK_MIN], min);
	WRITE_ONCE(zone->watermark[WMARK_LOW], min + step);
	WRITE_ONCE(zone->watermark[WMARK_HIGH], min + 2 * step);
	WRITE_ONCE(zone->watermark_boost, 0);
}

void setup_per_zone_wmarks(void)
{
	unsigned long pages_min = READ_ONCE(min_free_kbytes) >> (PAGE_SHIFT - 10), all_pages = 0;
	struct zone *zone;
	int i;

	if (pages_min)
		kswapd_belongs_here();
	mutex_lock(&wmark_lock);
	for_each_zone (zone, i)
		all_pages += READ_ONCE(zone->managed_pages);
	for_each_zone (zone, i)
		setup_zone_wmarks(zone, pages_min, all_pages);
	for_each_online_node (i)
		setup_per_zone_lowmem_reserve(NODE_DATA(i));
	mutex_unlock(&wmark_lock);
}

static unsigned long int_sqrt(unsigned long n)
{
	unsigned long root = 0, bit;

	for (bit = 1UL << 31; bit; bit >>= 1)
		if ((root + bit) * (root + bit) <= n)
			root += bit;
	return root;
}

/* A small machine needs more of its memory free than a large one: the square root of 16 times its size, in KiB. At most
 * two thirds of what the high mark may come to, which leaves room for the steps between the marks. */
static void calculate_min_free_kbytes(void)
{
	unsigned long user = READ_ONCE(user_min_free_kbytes), max = budget_max_high() >> 10;

	WRITE_ONCE(min_free_kbytes, user != ~0UL ? user : min_ul(int_sqrt((budget_total() >> 10) * 16), max / 3 * 2));
}

void init_per_zone_wmark_min(void)
{
	calculate_min_free_kbytes();
	setup_per_zone_wmarks();
}

void min_free_kbytes_sysctl_handler(void)
{
	WRITE_ONCE(user_min_free_kbytes, READ_ONCE(min_free_kbytes));
	setup_per_zone_wmarks();
}

void watermark_lock_all(void)
{
	mutex_lock(&wmark_lock);
}
void watermark_unlock_all(void)
{
	mutex_unlock(&wmark_lock);
}
void watermark_reinit_after_fork(void)
{
	mutex_reinit_after_fork(&wmark_lock);
}
