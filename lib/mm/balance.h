/* SPDX-License-Identifier: MIT */
/*
 * What is free goes back: from zones to the arenas, and to the system. How much may stay is said by balance.c, how it
 * goes by purge.c.
 */
#ifndef MM_BALANCE_H
#define MM_BALANCE_H

#include "base/atomic.h"
#include "mm/page.h"

struct zone;

/* balance.c. After a free: what is free beyond need goes to the arenas and back to the system. */
void balance_zone(struct zone *zone);
/* kswapd's: all zones and the arenas come to what may be dirty. */
void mm_balance(void);
/* Is more free in a zone, what is free inside of slabs included, than may be dirty? No lock held. */
bool mm_dirty_excess(void);
/* What was free and dirty for so many ms, and wanted by nobody, goes back, small blocks too: a little each time. For
 * one who comes by now and then, as drain_idle_pages. */
void zones_decay(uint32_t decay);
/* What this thread frees in between was needed by nobody for dirty_decay: the next look gives it back, too. One thread
 * at a time; what others free meanwhile may pass for the same. */
void idle_frees_begin(void);
void idle_frees_end(void);
/* Where nothing was given back for twice dirty_decay, half of what may be dirty beyond the usual is to go. */
void zone_forget_regret(struct zone *zone);
/* So many clean free pages go to the arenas, or come from there: what may be missed goes with them, and comes back. The
 * zone lock is held. */
void zone_clean_trimmed(struct zone *zone, unsigned long nr);
void zone_clean_returned(struct zone *zone, unsigned long nr);

/* Pages of slabs' free objects, as far as they were counted: set by who has slabs. They take from what may be dirty. */
extern unsigned long mm_unused_pages;
/* Of these, those that went; atomic. */
extern unsigned long mm_hole_pages;
/* Free memory that is kept above, beyond threads' lists, for who asks for the same again; it counts as dirty. Atomic.
 * And whom to ask for it before a zone grows: true if some is free now; no lock is held. NULL: nobody. */
extern unsigned long mm_kept_bytes;
extern bool (*mm_drop_kept)(void);
static always_inline unsigned long mm_kept_pages(void)
{
	return READ_ONCE(mm_kept_bytes) >> PAGE_SHIFT;
}
/* Before the zone grows: what is kept ready in other lengths is free. False: there is nothing. No lock held. */
bool drop_kept_pages(struct zone *zone);

/* Bytes that giving back could free, and bytes that are in use; torn. */
size_t mm_dirty_bytes(void);
size_t mm_used_bytes(void);
/* Pageblocks between the arenas and the zones, in the hands of threads that have no CPU, maybe; torn. */
unsigned long mm_blocks_on_the_way(void);

/* purge.c. All that can be given back, as malloc_trim(3) wants: keep at most keep bytes dirty. Bytes given back. */
unsigned long mm_trim(size_t keep);
/* Hand wholly free pageblocks beyond the few a zone keeps back to the arenas. */
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
/* Bytes that went back to the system, ever, whether or not all of them were resident; atomic. */
extern unsigned long mm_released;
/* What giving the range back counts: where PF_COUNT_RESIDENT is set, only what is resident. */
unsigned long mm_resident(void *addr, size_t len);
/* In the child of a fork: blocks that other threads were giving back are free again. Every zone's lock is held or
 * nobody's. */
void purge_reinit_after_fork(void);

#endif
