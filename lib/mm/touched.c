/* SPDX-License-Identifier: MIT */
/*
 * How long the system takes to walk over the pages of a part of freed memory.
 */
#include "mm/touched.h"

#include <sys/mman.h>

#include "base/bits.h"
#include "mm/arena.h"
#include "os/os.h"

#ifndef MADV_COLD /* Linux 5.4 */
#define MADV_COLD 20
#endif

/* To begin a walk takes about as long as a look at the clock; so many pages of it do, too. */
#define PAGES_PER_CLOCK 10
#define LOOK_SELDOM 255U /* frees without one, while the looks agree */
#define LOOK_BLOCKS 16UL
#define LOOK_WEIGHT 8U /* a look counts for one in so many */

/* All of it is read and written without a lock. */
struct touched touched = { .pages = PAGEBLOCK_PAGES };

static struct {
	unsigned int nr, interval;
	unsigned int vain; /* what could be looked at since the last was dirty, so many times */
	unsigned long turn;
	long clock; /* ns that a look at it takes, at best */
} look;

/* Negative: the system refuses. */
static long time_walk(void *addr, size_t bytes)
{
	uint64_t begin = os->thread_clock_ns();
	long err = os->madvise(addr, bytes, MADV_COLD);

	return err < 0 ? err : (long)(os->thread_clock_ns() - begin);
}

static long time_clock(void)
{
	uint64_t begin = os->thread_clock_ns();
	long ns = (long)(os->thread_clock_ns() - begin), least = READ_ONCE(look.clock);

	if (!least || ns < least)
		WRITE_ONCE(look.clock, least = ns);
	return least;
}

/* Pages that are there, of so many. */
static long pages_there(unsigned long pfn, long nr)
{
	size_t bytes = (size_t)nr << PAGE_SHIFT;
	long walk = time_walk(pfn_to_addr(pfn), bytes), clock = time_clock();

	if (walk >= 0)
		walk = time_walk(pfn_to_addr(pfn), bytes); /* without the misses of the first */
	if (walk < 0 || !clock)
		return nr;
	walk = (walk - 2 * clock) * PAGES_PER_CLOCK / clock;
	return walk < 0 ? 0 : (long)min_ul((unsigned long)walk, (unsigned long)nr);
}

static void count_look(unsigned int pages)
{
	unsigned int before = READ_ONCE(touched.pages), nr = (unsigned int)min_ul(READ_ONCE(look.nr) + 1, LOOK_WEIGHT),
		     now = (before * (nr - 1) + pages) / nr, interval = 0;

	if ((pages < TOUCHED_HARDLY) == (before < TOUCHED_HARDLY))
		interval = (unsigned int)min_ul(2 * READ_ONCE(look.interval) + 1, LOOK_SELDOM);
	WRITE_ONCE(look.nr, nr);
	WRITE_ONCE(look.interval, interval);
	WRITE_ONCE(look.vain, 0);
	WRITE_ONCE(touched.pages, now);
	WRITE_ONCE(touched.wait, interval);
	WRITE_ONCE(touched.asked, false);
}

/* What was dirty when it was taken may have pages that somebody else has left: it says that there are no more than so
 * many, and is looked at seldom if that is nothing new. False: it is not. */
static bool look_at(unsigned long pfn, unsigned long nr, bool dirty)
{
	unsigned int pages, vain = READ_ONCE(look.vain);

	/* Of hugepages nothing can be told. */
	if ((READ_ONCE(pfn_to_block(pfn)->flags) | READ_ONCE(pfn_to_block(pfn + nr - 1)->flags)) &
	    (PBF_THP | PBF_HUGETLB))
		return true;
	if (dirty)
		WRITE_ONCE(look.vain, vain + 1);
	if (dirty && vain & LOOK_SELDOM)
		return true;
	pages = (unsigned int)(pages_there(pfn, (long)nr) * (long)PAGEBLOCK_PAGES / (long)nr);
	if (dirty && pages > READ_ONCE(touched.pages))
		return false;
	count_look(pages);
	return true;
}

void touched_look(unsigned long pfn, unsigned long nr, bool dirty)
{
	if (nr >= TOUCHED_LOOK_MIN && READ_ONCE(touched.asked))
		look_at(pfn, min_ul(nr, PAGEBLOCK_PAGES), dirty);
}

/* One of them, another each time; rather one that was clean. If there are none, one is made, for somebody to take. */
void touched_look_at_blocks(unsigned long pb, unsigned long nr)
{
	unsigned long turn = READ_ONCE(look.turn), most = min_ul(nr, LOOK_BLOCKS), at = pb, i;

	if (!READ_ONCE(touched.asked))
		return;
	WRITE_ONCE(look.turn, turn + 1);
	for (i = 0; i < most; i++) {
		at = pb + (turn + i) % nr;
		if (!(READ_ONCE(vmemmap.blocks[at].flags) & PBF_DIRTY))
			break;
	}
	if (!look_at(at << PAGEBLOCK_ORDER, PAGEBLOCK_PAGES, i == most) && touched_less_than(TOUCHED_TO_PACK) &&
	    READ_ONCE(arena_stats.dirty))
		arena_purge(READ_ONCE(arena_stats.dirty) - 1, ~0U, false);
}
