/* SPDX-License-Identifier: MIT */
/*
 * What is free goes back: from zones to the arenas, and to the system. How much may stay is said by balance.c, how it
 * goes by purge.c. What the page allocator alone asks of them is in balance_inner.h.
 */
#ifndef MM_BALANCE_H
#define MM_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* balance.c. Is more free in a zone, what is free inside of slabs included, than may be dirty? No lock held. */
bool mm_dirty_excess(void);
/* What was free and dirty for so many ms, and wanted by nobody, goes back, small blocks too: a little each time. For
 * one who comes by now and then, as drain_idle_pages. */
void zones_decay(uint32_t decay);
/* What this thread frees in between was needed by nobody for dirty_decay: the next look gives it back, too. One thread
 * at a time; what others free meanwhile may pass for the same. */
void idle_frees_begin(void);
void idle_frees_end(void);

/* Pages of slabs' free objects, as far as they were counted: set by who has slabs. They take from what may be dirty. */
extern unsigned long mm_unused_pages;
/* Of these, those that went; atomic. */
extern unsigned long mm_hole_pages;
/* Free memory that is kept above, beyond threads' lists, for who asks for the same again; it counts as dirty. Atomic.
 * And whom to ask for it before a zone grows: true if some is free now; no lock is held. NULL: nobody. */
extern unsigned long mm_kept_bytes;
extern bool (*mm_drop_kept)(void);

/* Bytes that giving back could free, and bytes that are in use; torn. */
size_t mm_dirty_bytes(void);
size_t mm_used_bytes(void);
/* Pages of the zone that malloc has most of, in use; torn. */
unsigned long normal_used_pages(void);

/* purge.c. All that can be given back, as malloc_trim(3) wants: keep at most keep bytes dirty. Bytes given back. */
unsigned long mm_trim(size_t keep);
/* Bytes that went back to the system, ever, whether or not all of them were resident; atomic. */
extern unsigned long mm_released;
/* What giving the range back counts: where PF_COUNT_RESIDENT is set, only what is resident. */
unsigned long mm_resident(void *addr, size_t len);

#endif
