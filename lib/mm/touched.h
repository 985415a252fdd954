/* SPDX-License-Identifier: MIT */
/*
 * How much of what is freed had been touched. A large block may have been written from end to end, or not but at its
 * ends, and no call that is made here says which pages it has. But the system walks over them when it is advised that
 * they are not needed soon, which changes nothing that a program can see: now and then that is done to memory on its
 * way home, with a look at the thread's own clock before and after. A walk that was held up takes what was hardly
 * touched for full, as does a system without such advice, or with a coarse clock: full is what everything is before the
 * first.
 */
#ifndef MM_TOUCHED_H
#define MM_TOUCHED_H

#include "base/bits.h"
#include "base/tunables.h"
#include "mm/budget.h"
#include "mm/page.h"

/* Of the PAGEBLOCK_PAGES of a pageblock. Fewer: large blocks begin where others did, so that they find the pages of
 * these; nothing is moved, for it would lie anywhere then, and there are no hugepages. */
#define TOUCHED_HARDLY 128U
/* Fewer: there is little between the ends of blocks and those of their pageblocks that would be saved by packing them.
 */
#define TOUCHED_TO_PACK 256U
/* As many times more pageblocks as this allows may be dirty: they hold no more than half as much as others would. */
#define TOUCHED_MORE_DIRTY 8UL
#define TOUCHED_LOOK_MIN 128UL /* pages: of fewer the walk takes no longer than its beginning */

/* Races are harmless: one look more, or less. */
struct touched {
	unsigned int pages; /* that a pageblock has, as far as is known */
	unsigned int wait;  /* for so many frees until the next look, */
	bool asked;	    /* and for somebody to want to know: a steady state makes no call */
};
extern struct touched touched;

static always_inline bool touched_is_due(void)
{
	unsigned int wait = READ_ONCE(touched.wait);

	if (likely(wait))
		WRITE_ONCE(touched.wait, wait - 1);
	return !wait;
}
/* Then: so many pages from pfn on, or all of so many pageblocks, are free as soon as the caller lets go of them. dirty:
 * they were not clean when they were taken, which pageblocks know. */
void touched_look(unsigned long pfn, unsigned long nr, bool dirty);
void touched_look_at_blocks(unsigned long pb, unsigned long nr);

/* It is asked for, or will soon be, as the heap grows. Where all lies on hugepages, which are walked over in no time,
 * nothing can be told. */
static always_inline void touched_ask(void)
{
	WRITE_ONCE(touched.asked, READ_ONCE(tunables.thp) != THP_ALWAYS);
}
/* Have pageblocks fewer pages, and does it not matter how far the heap reaches? */
static always_inline bool touched_less_than(unsigned int pages)
{
	return READ_ONCE(touched.pages) < pages && likely(!READ_ONCE(limits_in_force));
}
static inline unsigned long touched_more_dirty(void)
{
	unsigned long pages = max_ul(READ_ONCE(touched.pages), 1);

	return touched_less_than(TOUCHED_HARDLY) ? min_ul(PAGEBLOCK_PAGES / 2 / pages, TOUCHED_MORE_DIRTY) : 1;
}

#endif
