/* SPDX-License-Identifier: MIT */
/*
 * Lists of blocks of exact lengths: how much they hold, and emptying them.
 */
#include "mm/exact.h"

#include <string.h>

#include "base/annotate.h"
#include "base/tunables.h"
#include "mm/arena.h"
#include "mm/balance_inner.h"
#include "mm/buddy.h"
#include "mm/budget.h"
#include "mm/debug.h"
#include "mm/page_alloc.h"
#include "mm/pcp.h"
#include "mm/touched.h"

/* What they hold always, in pages, but no more than this share of dirty_max. */
#define EXACT_KEPT 256UL
#define EXACT_DIRTY_SHARE 2

/* Lengths are few if so many blocks of each went home for want of room; of plainly few lengths half as many are enough,
 * for large blocks are few. */
#define BLOCKS_PER_LENGTH 8
#define LENGTHS_PLAINLY_FEW 2

/* A short block counts as so many pages of the room; as fewer where they hold more than always. */
#define LEAST_ROOM 64UL
#define LEAST_ROOM_FEW 8UL

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

static unsigned long dirty_max_pages(void)
{
	return READ_ONCE(tunables.dirty_max) >> PAGE_SHIFT;
}

/* What they hold if nothing is known of the lengths. */
static unsigned long least_kept(void)
{
	return exact_lists.many ? 0 : min_ul(EXACT_KEPT, dirty_max_pages() / EXACT_DIRTY_SHARE);
}

/* And at most: what may be dirty, and what may be beyond that because it was missed. */
static unsigned long most_kept(void)
{
	return dirty_max_pages() + (arena_regrets() << PAGEBLOCK_ORDER);
}

static void count_gone(unsigned long nr)
{
	uint64_t *word = &exact_lists.gone[nr / 64], bit = 1UL << nr % 64;

	if (exact_lists.gone_pages >= dirty_max_pages())
		return;
	exact_lists.gone_lengths += !(*word & bit);
	exact_lists.gone_blocks++;
	exact_lists.gone_pages += nr;
	*word |= bit;
}

/* Taken. All of it off the lists, in one chain. */
static uint32_t unlink_all(void)
{
	unsigned long nr, left = exact_lists.nr_pages;
	uint32_t all = NO_PFN, pfn, next;

	for (nr = 1; left; nr++) {
		for (pfn = exact_lists.first[nr]; pfn != NO_PFN; pfn = next) {
			next = pfn_to_page(pfn)->next;
			pfn_to_page(pfn)->next = all;
			all = pfn;
			count_gone(nr);
			left -= nr;
		}
		WRITE_ONCE(exact_lists.first[nr], NO_PFN);
	}
	WRITE_ONCE(exact_lists.nr_pages, 0);
	return all;
}

/* A chain goes home: its pages belong to nobody meanwhile, as those that a per-CPU list is drained of. */
static unsigned long free_chain(struct zone *zone, uint32_t pfn)
{
	unsigned long nr, freed = 0;
	uint32_t next;

	if (pfn == NO_PFN)
		return 0;
	mutex_lock(&zone->lock);
	for (; pfn != NO_PFN; pfn = next) {
		next = pfn_to_page(pfn)->next;
		nr = pfn_to_page(pfn)->nr_pages;
		free_page_range(zone, pfn, nr, true);
		freed += nr;
	}
	mutex_unlock(&zone->lock);
	return freed;
}

unsigned long drain_exact_lists(struct zone *zone, bool wait)
{
	uint32_t all;
	long room;

	if (zone != exact_zone() || (!wait && !READ_ONCE(exact_lists.nr_pages)))
		return 0;
	room = wait && !mutex_held_for_fork() ? pcp_take_wait(&exact_lists.room) : exact_lists_take();
	if (room == EXACT_TAKEN)
		return 0;
	all = unlink_all();
	/* They were in somebody's way. */
	WRITE_ONCE(exact_lists.more, 0);
	WRITE_ONCE(exact_lists.least_room, LEAST_ROOM);
	exact_lists.granted = 0;
	exact_lists_give(0);
	return free_chain(zone, all);
}

/* Few lengths come and go, and half of what is missed is of those that went home. */
static bool few_lengths(void)
{
	unsigned long enough = exact_lists.gone_lengths * BLOCKS_PER_LENGTH;

	if (exact_lists.gone_lengths <= LENGTHS_PLAINLY_FEW)
		enough /= 2;
	return exact_lists.gone_blocks >= enough && exact_lists.wanted >= exact_lists.missed / 2;
}

/* Twice as much; first, again what they hold always. */
static void hold_more(void)
{
	unsigned long least, next;

	if (exact_lists.many) {
		WRITE_ONCE(exact_lists.many, false);
		return;
	}
	least = least_kept();
	next = min_ul((least + exact_lists.more) * 2, most_kept());
	WRITE_ONCE(exact_lists.more, max_ul(next, least) - least);
}

/* Half as much; at last nothing. */
static void hold_less(void)
{
	unsigned long least = least_kept(), next = (least + exact_lists.more) / 2;

	WRITE_ONCE(exact_lists.many, !exact_lists.more);
	WRITE_ONCE(exact_lists.more, max_ul(next, least) - least);
}

/* Taken. Once enough has gone home, and was missed, they hold more or less than before. With many lengths they would
 * keep pageblocks from emptying, which matters little where these are hardly touched. */
static void adapt(void)
{
	if (exact_lists.gone_pages < dirty_max_pages() || exact_lists.missed < dirty_max_pages())
		return;
	if (few_lengths() || touched_less_than(TOUCHED_HARDLY))
		hold_more();
	else
		hold_less();
	exact_lists.gone_lengths = exact_lists.gone_blocks = exact_lists.gone_pages = 0;
	exact_lists.missed = exact_lists.wanted = 0;
	memset(exact_lists.gone, 0, sizeof(exact_lists.gone));
}

/* Taken. Short blocks take as much of the room as fits the lengths now; if that is another than before, the lists begin
 * anew: a chain of all that they had. */
static uint32_t set_least_room(void)
{
	unsigned long least = exact_lists.more ? LEAST_ROOM_FEW : LEAST_ROOM;

	if (likely(exact_lists.least_room == least))
		return NO_PFN;
	WRITE_ONCE(exact_lists.least_room, least);
	return unlink_all();
}

/* They are full: is all of it to go home? What stayed would keep its pageblocks from emptying, where lengths are many.
 */
static bool begin_anew(long used)
{
	return used > exact_lists.granted || (used && !exact_lists.more);
}

/* Say anew how much they may hold, for a block of nr pages that they had no room for. */
static void grant_room(unsigned long nr)
{
	struct zone *zone = exact_zone();
	long room = exact_lists_take(), used;
	uint32_t all;
	bool full;

	if (room == EXACT_TAKEN)
		return;
	used = exact_lists.granted - room;
	adapt();
	all = set_least_room();
	if (!exact_lists.nr_pages)
		used = 0;
	exact_lists.granted = exact_lists_closed(zone) ? 0 : (long)(least_kept() + exact_lists.more);
	full = used + exact_room(nr) > exact_lists.granted;
	if (full && begin_anew(used)) {
		all = unlink_all();
		used = exact_lists.granted = 0;
	} else if (full) {
		count_gone(nr);
	}
	exact_lists_give(exact_lists.granted - used);
	free_chain(zone, all);
}

void exact_list_free_slow(struct page *page, unsigned long nr)
{
	grant_room(nr);
	if (!exact_list_free(page, nr))
		free_pages_exact(page, nr);
}

void exact_list_missed(unsigned long nr)
{
	long room = exact_lists_take();

	if (room == EXACT_TAKEN)
		return;
	exact_lists.missed += nr;
	if (exact_lists.gone[nr / 64] & 1UL << nr % 64)
		exact_lists.wanted += nr;
	exact_lists_give(room);
}

void exact_lists_yield(void)
{
	struct zone *zone = exact_zone();

	if (exact_lists_excess() && drain_exact_lists(zone, false))
		balance_zone(zone);
}

void exact_lists_age(void)
{
	unsigned long nr_alloc = READ_ONCE(exact_lists.nr_alloc), needed = nr_alloc - READ_ONCE(exact_lists.seen);

	if ((!needed || needed < exact_lists_excess()) && drain_exact_lists(exact_zone(), false))
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
