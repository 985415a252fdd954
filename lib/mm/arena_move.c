/* SPDX-License-Identifier: MIT */
/*
 * Memory of pageblocks in use that changes its length, its place or its kind: more of it, moves by page tables, and
 * small pages that become a hugepage.
 */
#include <errno.h>
#include <sys/mman.h>

#include "base/tunables.h"
#include "mm/arena.h"
#include "mm/range.h"
#include "mm/sparse.h"
#include "mm/thp.h"
#include "os/os.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static bool extends(unsigned long pb, unsigned long behind, unsigned long nr)
{
	return behind < range_top() && range_serves(behind, nr, 1, block_at(pb)->nid, block_at(pb)->flags & PBF_KIND);
}

bool arena_extend(unsigned long pb, unsigned long nr, unsigned long new_nr)
{
	struct arena_request rq = { .nr = new_nr - nr, .align = 1 };
	unsigned long behind = pb + nr;
	bool done = false;

	arena_lock_all();
	rq.nid = block_at(pb)->nid;
	rq.state = (enum pageblock_state)block_at(pb)->state;
	if (arena_stats.dirty && !(block_at(pb)->flags & PBF_HUGETLB) && extends(pb, behind, rq.nr))
		done = arena_gather_at(behind, behind, &rq);
	/* It may have changed meanwhile. */
	if (!done && extends(pb, behind, rq.nr))
		done = !arena_take(behind, behind, &rq);
	if (done)
		arena_count_used(behind, rq.nr, rq.state);
	arena_unlock_all();
	return done;
}

/* Fill a hole of the first bytes of a range in use. If there is no memory, or somebody was faster, then the range has
 * none behind it any more. */
static void refill(unsigned long pb, unsigned long nr, size_t bytes)
{
	unsigned long i;

	if (!sparse_fill_hole(pb, bytes)) {
		arena_advise_new(block_to_addr(pb), bytes, block_at(pb)->nid);
		return;
	}
	arena_lock_all();
	range_set_unmapped(pb, nr);
	if (sparse_give_up_hole(pb, nr, bytes))
		for (i = pb; i < pb + nr; i++)
			WRITE_ONCE(block_at(i)->flags, PBF_LOST);
	arena_unlock_all();
}

/* After a move that was refused: Linux before 6.17 unmaps the target first, and only then finds out that the source
 * is several mappings, which it does not move. */
static void refill_target(unsigned long pb, unsigned long nr, size_t bytes)
{
	if (os->madvise(block_to_addr(pb), bytes, MADV_NORMAL) < 0) /* not all of it is mapped */
		refill(pb, nr, bytes);
}

/* Move the page tables. *hole: the source is unmapped now, because the kernel, older than 5.7, cannot leave a mapping
 * without pages in its place. */
static long move_pages(unsigned long dst, unsigned long src, size_t bytes, bool *hole)
{
	static bool always_hole;
	long ret;

	*hole = READ_ONCE(always_hole);
	if (!*hole) {
		ret = os->mremap(block_to_addr(src), bytes, bytes, block_to_addr(dst), MREMAP_DONTUNMAP);
		if (ret != -EINVAL) /* which comes before anything is done */
			return ret;
		*hole = true;
		WRITE_ONCE(always_hole, true);
	}
	return os->mremap(block_to_addr(src), bytes, bytes, block_to_addr(dst), 0);
}

/* The advice has moved along with the mapping; what takes its place has the same, or, over a hole, none. */
static void move_advice(unsigned long dst, unsigned long src, unsigned long nr, bool hole)
{
	unsigned long i, before = 0, after = 0;

	for (i = 0; i < nr; i++) {
		struct pageblock *d = block_at(dst + i), *s = block_at(src + i);

		before += !!(d->flags & PBF_THP) + !!(s->flags & PBF_THP);
		WRITE_ONCE(d->flags, (uint8_t)((d->flags & ~PBF_THP) | (s->flags & PBF_THP)));
		WRITE_ONCE(d->settled, s->settled);
		WRITE_ONCE(s->settled, 0);
		if (hole)
			WRITE_ONCE(s->flags, (uint8_t)(s->flags & ~PBF_THP));
		after += !!(d->flags & PBF_THP) + !!(s->flags & PBF_THP);
	}
	ADD_ONCE(arena_stats.thp, after - before);
}

bool arena_move(unsigned long dst, unsigned long src, unsigned long nr, size_t bytes)
{
	bool hole;

	if (block_is_hugetlb(block_at(dst)) || block_is_hugetlb(block_at(src)))
		return false;
	if (os_is_error(move_pages(dst, src, bytes, &hole))) {
		refill_target(dst, nr, bytes);
		return false;
	}
	arena_lock_all();
	move_advice(dst, src, nr, hole);
	arena_unlock_all();
	if (hole)
		refill(src, nr, bytes);
	return true;
}

int arena_collapse(unsigned long pb)
{
	bool have;
	int err;

	arena_lock_all();
	have = block_at(pb)->flags & (PBF_THP | PBF_HUGETLB);
	arena_unlock_all();
	if (have || !thp_collapse_wanted(READ_ONCE(arena_stats.mapped) << PAGEBLOCK_SHIFT))
		return -EALREADY;
	err = thp_collapse(block_to_addr(pb));
	/* If that alone was granted, the system does the rest at its leisure. */
	if (READ_ONCE(tunables.thp) == THP_ALWAYS || err == -EINVAL)
		return err;
	arena_lock_all();
	/* By now it may be somebody else's, or nobody's. */
	if ((block_at(pb)->flags & (PBF_MAPPED | PBF_THP)) == PBF_MAPPED) {
		ADD_ONCE(arena_stats.thp, 1);
		WRITE_ONCE(block_at(pb)->flags, (uint8_t)(block_at(pb)->flags | PBF_THP));
	}
	arena_unlock_all();
	return err;
}
