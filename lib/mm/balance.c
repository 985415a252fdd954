/* SPDX-License-Identifier: MIT */
/*
 * How much may stay free in a zone: a few pageblocks, and dirty pages by what is in use, by what was missed after it
 * was given back, and by what nobody wanted for long. What is beyond that is given back by purge.c.
 */
#include "mm/balance.h"

#include "base/tunables.h"
#include "mm/arena.h"
#include "mm/balance_inner.h"
#include "mm/buddy.h"
#include "mm/budget.h"
#include "mm/current.h"
#include "mm/exact.h"
#include "mm/kswapd.h"
#include "mm/lowmem.h"
#include "mm/pcp.h"
#include "os/os.h"

/* Wholly free pageblocks that a zone keeps, so that a slab, or a block of order 10, coming and going does not reach the
 * arenas. */
#define ZONE_KEEP_BLOCKS 2UL

/* Dirty free pages may be this share of those in use, */
#define ZONE_DIRTY_SHARE 2
/* and beyond that so many times dirty_max, or the least that is in use, if they were missed before. */
#define ZONE_SLACK_MAX 3
/* What is too much goes down to this share below what may be. */
#define ZONE_GOAL_SHARE 4

/* Smaller blocks than this order are not worth a system call, but where so many times as much is dirty as in use: so
 * little splits what is free that it will hardly join. */
#define ZONE_PURGE_ORDER 4
#define ZONE_PURGE_ORDER_LOW 2
#define ZONE_DIRTY_MOSTLY 2

#define ZONE_DECAY_STEP (2 * MiB >> PAGE_SHIFT) /* goes at a time of what was idle */

#define PURGE_STEP_NS 500000U /* of a CPU, that a free takes for giving back */

unsigned long mm_unused_pages;
unsigned long mm_hole_pages;
unsigned long mm_kept_bytes;
bool (*mm_drop_kept)(void);

static unsigned long used_pages(const struct zone *zone)
{
	return READ_ONCE(zone->managed_pages) - READ_ONCE(zone->nr_free_pages);
}

/* Dirty pages that the free blocks of a zone may hold: as much as is kept anyway, a share of what is in use and not
 * free inside of slabs, and what was given back in vain. *scarce: less, as that is too much for a limit. */
static unsigned long zone_dirty_limit(const struct zone *zone, bool *scarce)
{
	unsigned long used = used_pages(zone), filled = used - min_ul(used, READ_ONCE(mm_unused_pages)), limit, wanted;

	wanted = (dirty_max_for(filled << PAGE_SHIFT) >> PAGE_SHIFT) + filled / ZONE_DIRTY_SHARE +
		 regret_slack(&zone->regret, used);
	limit = wanted;
	if (unlikely(READ_ONCE(limits_in_force))) {
		/* Others in the cgroup may want what lies free here, though this zone's own use does not change. */
		budget_poll_slow();
		limit = budget_keep_resident(limit << PAGE_SHIFT, READ_ONCE(zone->nr_dirty) << PAGE_SHIFT) >>
			PAGE_SHIFT;
	}
	*scarce = limit < wanted;
	return limit - min_ul(limit, exact_lists_excess() + mm_kept_pages());
}

static unsigned long clean_pages(const struct zone *zone)
{
	unsigned long nr_free = READ_ONCE(zone->nr_free_pages);

	return nr_free - min_ul(nr_free, READ_ONCE(zone->nr_dirty));
}

static unsigned long most_slack(const struct zone *zone)
{
	return max_ul(READ_ONCE(tunables.dirty_max) >> PAGE_SHIFT, READ_ONCE(zone->regret.least)) * ZONE_SLACK_MAX;
}

/* What went and was soon wanted again was given back in vain: so much more may be dirty from now on, within bounds.
 * True: that is more than it was, and ends what goes in steps. */
static bool zone_regret(struct zone *zone)
{
	unsigned long left = READ_ONCE(zone->clean_left), clean = min_ul(left, clean_pages(zone)),
		      purged = READ_ONCE(zone->purged), used = used_pages(zone),
		      before = regret_slack(&zone->regret, used),
		      vain = min_ul(min_ul(left - clean, purged), regret_rise(&zone->regret, used));

	if ((uint32_t)os_clock_ms() - READ_ONCE(zone->purge_stamp) >= READ_ONCE(tunables.dirty_decay)) {
		vain = purged = 0;
		WRITE_ONCE(zone->clean_trimmed, 0);
	}
	WRITE_ONCE(zone->purged, purged - vain);
	WRITE_ONCE(zone->clean_left, clean);
	if (vain)
		regret_more(&zone->regret, vain, most_slack(zone));
	if (regret_slack(&zone->regret, used) <= before)
		return false;
	WRITE_ONCE(zone->purge_goal, 0);
	return true;
}

void zone_clean_trimmed(struct zone *zone, unsigned long nr)
{
	nr = min_ul(nr, READ_ONCE(zone->clean_left));
	WRITE_ONCE(zone->clean_left, READ_ONCE(zone->clean_left) - nr);
	WRITE_ONCE(zone->clean_trimmed, READ_ONCE(zone->clean_trimmed) + nr);
}

void zone_clean_returned(struct zone *zone, unsigned long nr)
{
	nr = min_ul(nr, READ_ONCE(zone->clean_trimmed));
	WRITE_ONCE(zone->clean_trimmed, READ_ONCE(zone->clean_trimmed) - nr);
	WRITE_ONCE(zone->clean_left, READ_ONCE(zone->clean_left) + nr);
}

/* Well below the limit, so that the next free is not over it again. */
static unsigned long goal_below(unsigned long limit)
{
	return limit - min_ul(limit / ZONE_GOAL_SHARE, READ_ONCE(tunables.dirty_max) >> PAGE_SHIFT);
}

static unsigned int purge_order(const struct zone *zone)
{
	return READ_ONCE(zone->nr_dirty) / ZONE_DIRTY_MOSTLY > used_pages(zone) ? ZONE_PURGE_ORDER_LOW
										: ZONE_PURGE_ORDER;
}

/* Dirty pages that are not in small blocks. */
static unsigned long worth_purging(const struct zone *zone)
{
	unsigned long nr = 0;
	unsigned int order;

	for (order = purge_order(zone); order < MAX_ORDER; order++)
		nr += READ_ONCE(zone->free_area[order].nr_dirty) << order;
	return nr;
}

/* Is more dirty than the limit, and so much of it in blocks worth a call that this comes to the goal? What was begun
 * goes on until it has. */
static bool purge_is_due(const struct zone *zone, unsigned long limit)
{
	unsigned long dirty = READ_ONCE(zone->nr_dirty), goal = READ_ONCE(zone->purge_goal);

	if (unlikely(goal))
		return dirty > limit || dirty >= goal;
	return unlikely(dirty > limit) && worth_purging(zone) > limit - goal_below(limit);
}

/* Give back what is too much: near the end of memory, and by kswapd, at once; else in steps, so that no free takes
 * long: the next ones go on with it. */
static cold void zone_purge_excess(struct zone *zone, unsigned long limit, bool scarce)
{
	unsigned long dirty = READ_ONCE(zone->nr_dirty), goal = READ_ONCE(zone->purge_goal), left;
	uint64_t until = 0;
	bool over;

	if (!scarce) {
		if (zone_regret(zone))
			return;
		if (kswapd_gives_back(dirty, limit))
			return;
	}
	if (!scarce && !(current->flags & PF_KSWAPD))
		until = os->thread_clock_ns() + PURGE_STEP_NS;
	if (!goal || goal > limit)
		goal = goal_below(limit);
	zone_purge_until(zone, purge_order(zone), goal, until, &over);
	left = READ_ONCE(zone->nr_dirty);
	WRITE_ONCE(zone->purge_goal, over && left > goal ? goal : 0);
	WRITE_ONCE(zone->purged, READ_ONCE(zone->purged) + dirty - min_ul(dirty, left));
	WRITE_ONCE(zone->clean_left, clean_pages(zone));
	regret_note_use(&zone->regret, used_pages(zone), true);
	WRITE_ONCE(zone->purge_stamp, (uint32_t)os_clock_ms());
}

void zone_forget_regret(struct zone *zone)
{
	uint32_t decay = (uint32_t)READ_ONCE(tunables.dirty_decay);

	if (!regret_forget(&zone->regret, &zone->purge_stamp, (uint32_t)os_clock_ms(), decay))
		return;
	WRITE_ONCE(zone->purged, 0);
	WRITE_ONCE(zone->clean_trimmed, 0);
	balance_zone(zone);
}

/* No more was idle through than is dirty now; a part of dirty_decay that is over makes room for the next one. */
static void note_dirty_low(struct zone *zone, unsigned long dirty, uint32_t decay, uint32_t now)
{
	unsigned long *low = zone->dirty_low;
	unsigned int i;

	WRITE_ONCE(low[0], min_ul(READ_ONCE(low[0]), dirty));
	if (now - READ_ONCE(zone->decay_stamp) < decay / DECAY_PARTS)
		return;
	WRITE_ONCE(zone->decay_stamp, now);
	for (i = ARRAY_SIZE(zone->dirty_low) - 1; i; i--)
		WRITE_ONCE(low[i], READ_ONCE(low[i - 1]));
	WRITE_ONCE(low[0], dirty);
}

/* The fewest pages that were dirty at any look of this part of dirty_decay and of those before were needed by nobody.
 */
static unsigned long idle_dirty(const struct zone *zone, unsigned long dirty)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(zone->dirty_low); i++)
		dirty = min_ul(dirty, READ_ONCE(zone->dirty_low[i]));
	return dirty;
}

/* One look at a zone. */
static void zone_decay(struct zone *zone, uint32_t decay, uint32_t now)
{
	unsigned long dirty = READ_ONCE(zone->nr_dirty), idle = idle_dirty(zone, dirty);

	zone_regret(zone);
	if (idle) {
		zone_purge(zone, 0, dirty - (current->flags & PF_KSWAPD ? idle : min_ul(idle, ZONE_DECAY_STEP)));
		dirty = min_ul(dirty, READ_ONCE(zone->nr_dirty));
	}
	note_dirty_low(zone, dirty, decay, now);
}

void idle_frees_begin(void)
{
	struct zone *zone;
	int i;

	current->flags |= PF_FREES_IDLE;
	for_each_zone (zone, i)
		WRITE_ONCE(zone->dirty_before, READ_ONCE(zone->nr_dirty));
}

void idle_frees_end(void)
{
	struct zone *zone;
	int i;

	current->flags &= ~PF_FREES_IDLE;
	for_each_zone (zone, i) {
		unsigned long before = READ_ONCE(zone->dirty_before), dirty = READ_ONCE(zone->nr_dirty), l;

		for (l = 0; dirty > before && l < ARRAY_SIZE(zone->dirty_low); l++)
			WRITE_ONCE(zone->dirty_low[l], READ_ONCE(zone->dirty_low[l]) + dirty - before);
	}
}

void zones_decay(uint32_t decay)
{
	uint32_t now = (uint32_t)os_clock_ms();
	struct zone *zone;
	int i;

	for_each_populated_zone (zone, i)
		zone_decay(zone, decay, now);
}

/* After a free: pageblocks that are wholly free beyond need go to the arenas, dirty pages beyond the limit back to
 * the system. */
void balance_zone(struct zone *zone)
{
	unsigned long limit;
	bool scarce;

	if (unlikely(data_race(zone->nr_free_blocks) > ZONE_KEEP_BLOCKS))
		zone_trim(zone, ZONE_KEEP_BLOCKS);
	if (unlikely(clean_pages(zone) + PURGE_STEP_PAGES < READ_ONCE(zone->clean_left)) && READ_ONCE(zone->purged))
		zone_regret(zone);
	limit = zone_dirty_limit(zone, &scarce);
	regret_note_use(&zone->regret, used_pages(zone), false);
	if (purge_is_due(zone, limit))
		zone_purge_excess(zone, limit, scarce);
#ifdef BM_DEBUG
	check_zone(zone);
#endif
}

bool mm_dirty_excess(void)
{
	unsigned long unused = READ_ONCE(mm_unused_pages);
	struct zone *zone;
	bool scarce;
	int i;

	unused -= min_ul(unused, READ_ONCE(mm_hole_pages));
	for_each_populated_zone (zone, i)
		if (READ_ONCE(zone->nr_dirty) + min_ul(unused, used_pages(zone)) > zone_dirty_limit(zone, &scarce))
			return true;
	return false;
}

bool drop_kept_pages(struct zone *zone)
{
	bool dropped = READ_ONCE(exact_lists.nr_pages) && drain_exact_lists(zone, false);

	if (READ_ONCE(mm_kept_bytes) && mm_drop_kept && mm_drop_kept())
		dropped = true;
	return dropped;
}

void mm_balance(void)
{
	uint32_t decay = (uint32_t)READ_ONCE(tunables.dirty_decay);
	struct zone *zone;
	int i;

	for_each_populated_zone (zone, i)
		balance_zone(zone);
	arena_purge(arena_dirty_limit(), decay ? decay : ~0U, false);
}

size_t mm_dirty_bytes(void)
{
	size_t bytes = READ_ONCE(arena_stats.dirty) << PAGEBLOCK_SHIFT;
	struct zone *zone;
	int i;

	for_each_zone (zone, i)
		bytes += (READ_ONCE(zone->nr_dirty) + nr_pcp_pages(zone)) << PAGE_SHIFT;
	return bytes;
}

size_t mm_used_bytes(void)
{
	size_t bytes = (READ_ONCE(arena_stats.used) + lowmem_used()) << PAGEBLOCK_SHIFT;
	struct zone *zone;
	int i;

	for_each_zone (zone, i)
		bytes -= READ_ONCE(zone->nr_free_pages) << PAGE_SHIFT;
	return bytes;
}

unsigned long normal_used_pages(void)
{
	return used_pages(zone_table[ZONE_NORMAL]);
}

unsigned long mm_blocks_on_the_way(void)
{
	unsigned long used = READ_ONCE(arena_stats.used) - READ_ONCE(arena_stats.huge), managed = 0;
	struct zone *zone;
	int i;

	for_each_zone (zone, i)
		if (zone->idx != ZONE_DMA32)
			managed += READ_ONCE(zone->managed_pages) >> PAGEBLOCK_ORDER;
	return used - min_ul(used, managed);
}
