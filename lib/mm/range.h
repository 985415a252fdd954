/* SPDX-License-Identifier: MIT */
/*
 * Free ranges of pageblocks: best fit over bins of one length each, with lengths kept at both ends of a range so that
 * neighbours join in constant time; and dirty pageblocks linked by age. A data structure only: it makes no system
 * call, and everything here is called with the arena lock held.
 */
#ifndef MM_RANGE_H
#define MM_RANGE_H

#include "base/compiler.h"
#include "mm/page.h"

/* What the memory of a free range is, the same for all of it. */
#define PBF_KIND (PBF_MAPPED | PBF_HUGETLB | PBF_GIGANTIC)

#define FIRST_BLOCK 2UL /* block 0 would hold page frame 0; 2 keeps order 10 aligned */

static always_inline struct pageblock *block_at(unsigned long pb)
{
	return &vmemmap.blocks[pb];
}

/* May two neighbouring pageblocks be in one free range? */
static always_inline bool same_kind(const struct pageblock *a, const struct pageblock *b)
{
	return READ_ONCE(a->state) == PB_FREE && READ_ONCE(b->state) == PB_FREE && a->nid == b->nid &&
	       !((a->flags ^ b->flags) & PBF_KIND);
}

/* Is a free one among those that are given back by age? Gigantic pages are not. */
static always_inline bool is_dirty(const struct pageblock *b)
{
	return (b->flags & (PBF_DIRTY | PBF_GIGANTIC)) == PBF_DIRTY;
}

/* The first pageblock that was never taken from the window. */
unsigned long range_top(void);
/* The window's next nr pageblocks are taken; the caller inserts them, or leaves them holes. */
void range_raise_top(unsigned long nr);

/* Pageblocks that are in no range have memory behind them now, of node nid; or none any more. All are alike before. */
void range_set_mapped(unsigned long pb, unsigned long nr, int nid);
void range_set_unmapped(unsigned long pb, unsigned long nr);
/* From the pageblock on it is another mapping of the system's, and will be. */
void range_split(unsigned long pb);
/* Would unmapping them make a hole in a larger piece? */
bool range_splits(unsigned long pb, unsigned long nr);
/* Pageblocks that are in no range, and whose nid, flags and stamp are set, become a free range, joined with its
 * neighbours. All are of one kind. */
void range_insert(unsigned long pb, unsigned long nr);
/* The same where a part may have lost its memory, or its addresses: those are never used again. */
void range_insert_pieces(unsigned long pb, unsigned long nr);
/* Addresses that are somebody else's, or may be: never again. */
void range_forget(unsigned long pb, unsigned long nr);

/* The best range for nr pageblocks whose address is a multiple of align of them: the shortest that has memory of that
 * kind and of node nid behind it, or none if kind is 0. For ordinary memory (PBF_MAPPED) else one that has none. Its
 * first pageblock, 0: there is none. */
unsigned long range_find_kind(unsigned long nr, unsigned long align, int nid, uint8_t kind);
static always_inline unsigned long range_find(unsigned long nr, unsigned long align, int nid)
{
	return range_find_kind(nr, align, nid, PBF_MAPPED);
}
/* The same where no page is free that is there. */
unsigned long range_find_clean(unsigned long nr, int nid);
/* Where in the free range at pb would nr aligned pageblocks begin? 0: it does not fit. */
unsigned long range_fit(unsigned long pb, unsigned long nr, unsigned long align);
/* Is there a free range that does it, by the same rules? */
bool range_serves(unsigned long pb, unsigned long nr, unsigned long align, int nid, uint8_t kind);
/* The first pageblock from pb on whose address is a multiple of align pageblocks: the window's base may not be one. */
unsigned long align_block(unsigned long pb, unsigned long align);
/* Cut nr pageblocks from start on out of the free range at pb, for state; the rest stays free. */
void range_take(unsigned long pb, unsigned long start, unsigned long nr, enum pageblock_state state);

/* Does all of it read as zero? */
bool range_is_clean(unsigned long pb, unsigned long nr);

/* Cut nr pageblocks from pb on, wherever they lie in a free range, out of it as PB_BUSY. */
void range_take_busy(unsigned long pb, unsigned long nr);

/* The pageblock that has been dirty for longest, of all or of the ordinary ones of node nid, 0: none is. */
unsigned long range_oldest(void);
unsigned long range_oldest_of(int nid);
/* Take one, and dirty neighbours behind it, out of the free ranges as PB_BUSY: at most max. How many. */
unsigned long range_take_dirty(unsigned long pb, unsigned long max);
/* The first of memory that is free and not dirty, *nr of it, 0: there is none. Looks at every free pageblock. */
unsigned long range_take_clean(unsigned long max, unsigned long *nr);

#endif
