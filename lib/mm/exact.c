/* SPDX-License-Identifier: MIT */
/*
 * Lists of blocks of exact lengths: how much they hold, and emptying them.
 */
#include "mm/exact.h"

#include "base/annotate.h"
#include "base/tunables.h"
#include "mm/budget.h"
#include "mm/buddy.h"
#include "mm/debug.h"
#include "mm/internal.h"
#include "mm/page_alloc.h"

/* They hold this, but no more than a share of what may be dirty. */
#define EXACT_KEPT 256UL
#define EXACT_DIRTY_SHARE 2

struct exact_lists exact_lists;

static struct zone *exact_zone(void)
{
	return zone_table[ZONE_NORMAL];
}

unsigned long nr_exact_list_pages(const struct zone *zone)
{
	return zone == exact_zone() ? READ_ONCE(exact_lists.nr_pages) : 0;
}

unsigned long exact_list_pages_allocated(const struct zone *zone)
{
	return zone == exact_zone() ? READ_ONCE(exact_lists.nr_alloc) : 0;
}

static bool exact_lists_closed(const struct zone *zone)
{
	return topology.nr_nodes > 1 || annotate_listening || page_debug || READ_ONCE(zone->pcp_disabled) ||
	       READ_ONCE(limits_in_force) || READ_ONCE(percpu_pagelist_high_fraction);
}

static unsigned long exact_lists_limit(const struct zone *zone)
{
	if (exact_lists_closed(zone))
		return 0;
	return min_ul(EXACT_KEPT, (READ_ONCE(tunables.dirty_max) >> PAGE_SHIFT) / EXACT_DIRTY_SHARE);
}

/* One list home: its pages belong to nobody meanwhile, as those that a per-CPU list is drained of. */
static unsigned long drain_list(struct zone *zone, unsigned long nr)
{
	unsigned long drained = 0;
	uint32_t pfn, first;

	if (!READ_ONCE(exact_lists.first[nr]) || exact_lists_take() == EXACT_TAKEN)
		return 0;
	first = exact_lists.first[nr];
	WRITE_ONCE(exact_lists.first[nr], NO_PFN);
	for (pfn = first; pfn != NO_PFN; pfn = pfn_to_page(pfn)->next)
		drained += nr;
	ADD_ONCE(exact_lists.nr_pages, -drained);
	exact_lists_give(0);

	mutex_lock(&zone->lock);
	while (first != NO_PFN) {
		pfn = first;
		first = pfn_to_page(pfn)->next;
		free_page_range(zone, pfn, nr, true);
	}
	mutex_unlock(&zone->lock);
	return drained;
}

unsigned long drain_exact_lists(struct zone *zone, bool wait)
{
	unsigned long nr, drained = 0;

	if (zone != exact_zone())
		return 0;
	if (wait && !mutex_held_for_fork()) {
		pcp_take_wait(&exact_lists.room);
		exact_lists_give(0);
	}
	for (nr = EXACT_PAGES_MAX; nr && READ_ONCE(exact_lists.nr_pages); nr--)
		drained += drain_list(zone, nr);
	return drained;
}

void exact_lists_ask(unsigned long nr)
{
	struct zone *zone = exact_zone();
	unsigned long limit = exact_lists_limit(zone), have;

	if (exact_lists_take() == EXACT_TAKEN)
		return;
	have = exact_lists.nr_pages;
	exact_lists_give((long)(limit - min_ul(limit, have)));
	/* Full: they begin anew, with what is freed next. What stayed would keep its pageblocks from emptying. */
	if (have + nr > limit)
		drain_exact_lists(zone, false);
}

void exact_lists_age(void)
{
	unsigned long nr_alloc = READ_ONCE(exact_lists.nr_alloc);

	if (nr_alloc == READ_ONCE(exact_lists.seen) && drain_exact_lists(exact_zone(), false))
		balance_zone(exact_zone());
	WRITE_ONCE(exact_lists.seen, nr_alloc);
}

void exact_lists_lock(void)
{
	exact_lists.held = pcp_take_wait(&exact_lists.room) + 1;
}

void exact_lists_unlock(void)
{
	long held = exact_lists.held;

	exact_lists.held = 0;
	exact_lists_give(held - 1);
}
