/* SPDX-License-Identifier: MIT */
/*
 * Giving back free ranges, the oldest first: by what the limit counts that binds. Where that is address space, or data,
 * they are unmapped, clean ones too, and those first, which cost no page fault when they are wanted again.
 */
#include <sys/mman.h>

#include "base/tunables.h"
#include "mm/arena.h"
#include "mm/balance.h"
#include "mm/budget.h"
#include "mm/current.h"
#include "mm/pressure.h"
#include "mm/range.h"
#include "mm/sparse.h"
#include "os/os.h"

#define PURGE_BATCH 1024UL
/* Of dirty_max counts a share of what is in use, but so much of it whatever that is. */
#define DIRTY_USED_SHARE 4
#define DIRTY_MAX_LEAST 3

bool threads_follow;

static unsigned long busy; /* pageblocks that somebody is giving back; the arena lock's */

/* Returns false if nothing was given back. *unmap: the range is unmapped now; else its pages are gone. Hugetlb pages
 * are not dropped from under their mapping: others might take them. */
static bool give_back(unsigned long pb, unsigned long nr, bool dirty, bool *unmap)
{
	if (*unmap && !sparse_decommit(pb, nr))
		return true;
	/* The system has no room for one more mapping. */
	*unmap = false;
	return dirty && !(block_at(pb)->flags & PBF_HUGETLB) &&
	       os->madvise(block_to_addr(pb), nr << PAGEBLOCK_SHIFT, MADV_DONTNEED) >= 0;
}

static unsigned long excess(unsigned long keep, bool clean_too)
{
	unsigned long nr = clean_too ? arena_stats.mapped - arena_stats.used - busy : arena_stats.dirty;

	return nr > keep ? nr - keep : 0;
}

/* What goes next, as PB_BUSY; 0: nothing. */
static unsigned long take_next(unsigned long too_many, uint32_t now, uint32_t age_ms, bool clean_too, unsigned long *nr)
{
	unsigned long pb = 0, oldest = range_oldest();

	if (too_many && clean_too && arena_stats.mapped - arena_stats.used - busy > arena_stats.dirty)
		pb = range_take_clean(too_many, nr);
	if (pb || !oldest)
		return pb;
	if (!too_many && (age_ms == ~0U || now - block_at(oldest)->stamp <= age_ms))
		return 0;
	*nr = range_take_dirty(oldest, too_many ? too_many : PURGE_BATCH);
	return oldest;
}

unsigned long arena_purge(unsigned long keep, uint32_t age_ms, bool unmap)
{
	bool clean_too = budget_counts_mapped(), ok = true;
	uint32_t now = (uint32_t)os_clock_ms();
	unsigned long done = 0, resident, pb, nr, i;

	if (unlikely(current->flags & PF_MEMALLOC_NOIO))
		return 0;
	arena_lock_all();
	while (ok && (pb = take_next(excess(keep, clean_too), now, age_ms, clean_too, &nr))) {
		bool dirty = block_at(pb)->flags & PBF_DIRTY;
		bool unmapped = (unmap || clean_too || block_at(pb)->flags & PBF_HUGETLB) &&
				(arena_stats.pieces < PIECES_MAX || !range_splits(pb, nr));

		busy += nr;
		arena_unlock_all();
		resident = dirty ? mm_resident(block_to_addr(pb), nr << PAGEBLOCK_SHIFT) : 0;
		ok = give_back(pb, nr, dirty, &unmapped);
		arena_lock_all();
		busy -= nr;
		for (i = pb; ok && i < pb + nr; i++) {
			WRITE_ONCE(block_at(i)->flags, (uint8_t)((block_at(i)->flags & ~PBF_DIRTY) | PBF_GIVEN));
			block_at(i)->stamp = now;
			WRITE_ONCE(block_at(i)->settled, 0);
		}
		if (ok && unmapped)
			range_set_unmapped(pb, nr);
		else
			clean_too = false; /* it would be found again and again */
		range_insert(pb, nr);
		done += ok ? nr : 0;
		atomic_add_return(&mm_released, ok ? resident : 0);
	}
	ADD_ONCE(arena_stats.given_back, done);
	if (done)
		arena_note_given();
	arena_unlock_all();
	return done;
}

size_t dirty_max_for(size_t used)
{
	size_t most = READ_ONCE(tunables.dirty_max), share = used / DIRTY_USED_SHARE;

	if (share >= most || READ_ONCE(nr_heap_threads) > 1 || READ_ONCE(threads_follow))
		return most;
	return max_ul(most / DIRTY_MAX_LEAST, share);
}

void arena_balance(void)
{
	uint32_t decay = (uint32_t)READ_ONCE(tunables.dirty_decay);
	unsigned long keep, usual, slack;

	budget_poll();
	slack = arena_slack();
	usual = arena_dirty_limit();
	usual -= min_ul(usual, slack);
	keep = budget_keep(usual << PAGEBLOCK_SHIFT, slack << PAGEBLOCK_SHIFT) >> PAGEBLOCK_SHIFT;
	arena_purge(keep, decay ? decay : ~0U, false);
}
