/* SPDX-License-Identifier: MIT */
/*
 * Giving back free ranges, the oldest first.
 */
#include <sys/mman.h>

#include "mm/arena.h"
#include "mm/range.h"
#include "mm/sparse.h"
#include "os/os.h"

#define PURGE_BATCH 1024UL

static bool give_back(unsigned long pb, unsigned long nr, bool unmap)
{
	if (unmap)
		return !sparse_decommit(pb, nr);
	return os->madvise(block_to_addr(pb), nr << PAGEBLOCK_SHIFT, MADV_DONTNEED) >= 0;
}

unsigned long arena_purge(unsigned long keep, uint32_t age_ms, bool unmap)
{
	uint32_t now = (uint32_t)os_clock_ms();
	unsigned long done = 0, pb, nr, i;
	bool ok = true;

	arena_lock_all();
	while (ok && range_oldest()) {
		unsigned long excess = arena_stats.dirty > keep ? arena_stats.dirty - keep : 0;

		if (!excess && (age_ms == ~0U || now - block_at(range_oldest())->stamp <= age_ms))
			break;
		pb = range_take_oldest(excess ? excess : PURGE_BATCH, &nr);
		arena_unlock_all();
		ok = give_back(pb, nr, unmap);
		arena_lock_all();
		for (i = pb; ok && i < pb + nr; i++) {
			block_at(i)->flags = (uint8_t)((block_at(i)->flags & ~PBF_DIRTY) | PBF_GIVEN);
			block_at(i)->stamp = now;
		}
		if (ok && unmap)
			range_set_unmapped(pb, nr);
		range_insert(pb, nr);
		done += ok ? nr : 0;
	}
	ADD_ONCE(arena_stats.given_back, done);
	arena_unlock_all();
	return done;
}
