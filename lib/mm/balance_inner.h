/* SPDX-License-Identifier: MIT */
/*
 * What only the page allocator asks of balance.c and purge.c: a zone that is to come to its bounds, and what goes.
 */
#ifndef MM_BALANCE_INNER_H
#define MM_BALANCE_INNER_H

#include "base/atomic.h"
#include "mm/balance.h"
#include "mm/page.h"

struct zone;

/* balance.c. After a free: what is free beyond need goes to the arenas and back to the system. */
void balance_zone(struct zone *zone);
/* kswapd's: all zones and the arenas come to what may be dirty. */
void mm_balance(void);
/* Where nothing was given back for twice dirty_decay, half of what may be dirty beyond the usual is to go. */
void zone_forget_regret(struct zone *zone);
/* So many clean free pages go to the arenas, or come from there: what may be missed goes with them, and comes back. The
 * zone lock is held. */
void zone_clean_trimmed(struct zone *zone, unsigned long nr);
void zone_clean_returned(struct zone *zone, unsigned long nr);
static always_inline unsigned long mm_kept_pages(void)
{
	return READ_ONCE(mm_kept_bytes) >> PAGE_SHIFT;
}
/* Before the zone grows: what is kept ready in other lengths is free. False: there is nothing. No lock held. */
bool drop_kept_pages(struct zone *zone);
/* Pageblocks between the arenas and the zones, in the hands of threads that have no CPU, maybe; torn. */
unsigned long mm_blocks_on_the_way(void);

/* purge.c. Hand wholly free pageblocks beyond the few a zone keeps back to the arenas. */
void zone_trim(struct zone *zone, unsigned long keep);
/* Pageblocks that are in no zone any more, or not yet. */
void zone_give_back(const struct zone *zone, unsigned long pb, unsigned long nr, bool dirty);
/* Give free blocks of at least the order back to the system, the largest first and a few at a time, until at most keep
 * pages of the zone are dirty; bytes given back. None in a NOIO scope. */
unsigned long zone_purge(struct zone *zone, unsigned int min_order, unsigned long keep);
/* The same, or until the thread has run until that time of its clock; 0: however long it takes. *over: there was more
 * to do then. */
#define PURGE_STEP_PAGES 256UL /* after so many the time is looked at */
unsigned long zone_purge_until(struct zone *zone, unsigned int min_order, unsigned long keep, uint64_t until,
			       bool *over);
/* In the child of a fork: blocks that other threads were giving back are free again. Every zone's lock is held or
 * nobody's. */
void purge_reinit_after_fork(void);

#endif
