/* SPDX-License-Identifier: MIT */
/*
 * Dirty pages that lie elsewhere are moved, by page tables, to where they are wanted in one piece. To make them anew
 * takes a page fault and the clearing of each, and as many others are given back for it.
 */
#include <errno.h>
#include <sys/mman.h>

#include "mm/arena.h"
#include "mm/budget.h"
#include "mm/debug.h"
#include "mm/range.h"
#include "mm/sparse.h"
#include "mm/touched.h"
#include "os/os.h"

/* So many at once; Linux before 6.17 moves no more than one mapping, and a filter may forbid it. */
static unsigned long most = ~0UL;

static bool has(unsigned long pb, uint8_t flag)
{
	return block_at(pb)->flags & flag;
}

static unsigned long nr_clean(unsigned long pb, unsigned long nr)
{
	unsigned long i, clean = 0;

	for (i = pb; i < pb + nr; i++)
		clean += !has(i, PBF_DIRTY);
	return clean;
}

unsigned long arena_find(unsigned long nr, unsigned long align, int nid, uint8_t kind)
{
	unsigned long pb = range_find_kind(nr, align, nid, kind), top = range_top(), end = align_block(top, align) + nr;

	if (!pb && end <= sparse_end_block() && !sparse_extend(end)) {
		range_raise_top(end - top);
		range_insert(top, end - top);
		pb = range_find_kind(nr, align, nid, kind);
	}
	return pb;
}

/* What belongs to the pages goes where they go; that they were given back stays with the place that has none. */
static void move_flags(unsigned long dst, unsigned long src, unsigned long nr, int nid)
{
	uint8_t of_pages = PBF_DIRTY | PBF_THP;
	unsigned long i, thp = 0;

	if (has(dst, PBF_MAPPED))
		range_set_unmapped(dst, nr);
	range_set_mapped(dst, nr, nid);
	range_split(dst);
	range_split(dst + nr);
	for (i = 0; i < nr; i++) {
		struct pageblock *d = block_at(dst + i), *s = block_at(src + i);
		uint8_t given = d->flags & PBF_GIVEN;

		WRITE_ONCE(d->settled, s->settled);
		if (s->flags & PBF_SPLIT)
			range_split(dst + i);
		thp += !!(s->flags & PBF_THP);
		WRITE_ONCE(d->flags, (uint8_t)((d->flags & ~PBF_GIVEN) | (s->flags & of_pages)));
		WRITE_ONCE(s->flags, s->flags | given);
		s->stamp = d->stamp;
	}
	range_set_unmapped(src, nr);
	ADD_ONCE(arena_stats.thp, thp);
}

static void unmap_rest(unsigned long pb, unsigned long nr)
{
	unsigned long i;

	if (has(pb, PBF_MAPPED))
		range_set_unmapped(pb, nr);
	if (sparse_decommit(pb, nr))
		for (i = pb; i < pb + nr; i++)
			WRITE_ONCE(block_at(i)->flags, PBF_LOST);
}

/* By then a kernel may have unmapped the target, and moved a part of the source. */
static void refused(unsigned long dst, unsigned long src, unsigned long nr, long err)
{
	bool several = err == -EFAULT; /* mappings */

	if (several && nr > 1)
		most = 1;
	else if (!several && err != -ENOMEM)
		most = 0;
	unmap_rest(dst, nr);
	if ((several && nr == 1) || os->madvise(block_to_addr(src), nr << PAGEBLOCK_SHIFT, MADV_NORMAL) < 0)
		unmap_rest(src, nr);
}

/*
 * At most max pageblocks of what has been dirty for longest to dst, which is taken and not dirty; how many. A place
 * without memory is mapped first, in a way that finds out whether somebody else is there.
 */
static unsigned long move_oldest(unsigned long dst, unsigned long max, int nid)
{
	unsigned long src = range_oldest_of(nid), nr;
	bool mapped = has(dst, PBF_MAPPED);
	long ret;

	if (!src || !most)
		return 0;
	nr = range_take_dirty(src, min_ul(max, most));
	ret = mapped ? 0 : sparse_commit(dst, nr);
	if (!os_is_error(ret)) {
		ret = os->mremap(block_to_addr(src), nr << PAGEBLOCK_SHIFT, nr << PAGEBLOCK_SHIFT, block_to_addr(dst),
				 0);
		if (os_is_error(ret))
			refused(dst, src, nr, ret);
		else
			move_flags(dst, src, nr, nid);
	}
	range_insert_pieces(src, nr);
	return os_is_error(ret) ? 0 : nr;
}

/* From pb on to end, as far as there are dirty pages; at most batch at once. */
static void move_to(unsigned long pb, unsigned long end, unsigned long batch, int nid)
{
	unsigned long nr;

	for (; pb < end; pb += nr) {
		nr = 1;
		if (has(pb, PBF_DIRTY))
			continue;
		while (nr < batch && pb + nr < end && !has(pb + nr, PBF_DIRTY))
			nr++;
		nr = move_oldest(pb, nr, nid);
		if (!nr)
			return;
	}
}

/* Put memory behind what has none, if the limits allow that. */
static bool commit_rest(unsigned long pb, unsigned long end, int nid, size_t reserve)
{
	unsigned long nr, unmapped = 0, clean = nr_clean(pb, end - pb), i;

	for (i = pb; i < end; i++)
		unmapped += !has(i, PBF_MAPPED);
	if (clean && !budget_may_grow(clean << PAGEBLOCK_SHIFT, !unmapped, reserve))
		return false;
	for (; unmapped && pb < end; pb += nr) {
		nr = 1;
		if (has(pb, PBF_MAPPED))
			continue;
		while (pb + nr < end && !has(pb + nr, PBF_MAPPED | PBF_LOST))
			nr++;
		if (has(pb, PBF_LOST) || arena_commit(pb, nr, nid))
			return false;
	}
	return true;
}

/* Of what is missing a part can be moved there, and the limits leave the rest. */
static bool pays(unsigned long missing, bool mapped, size_t reserve)
{
	unsigned long dirty = arena_stats.dirty;

	if (!missing || !dirty || !most || sparse_is_reserved() || unlikely(page_debug) ||
	    arena_stats.pieces >= PIECES_MAX)
		return false;
	touched_ask();
	if (touched_less_than(TOUCHED_HARDLY))
		return false;
	return dirty >= missing || budget_may_grow((missing - dirty) << PAGEBLOCK_SHIFT, mapped, reserve);
}

bool arena_gather_at(unsigned long pb, unsigned long start, const struct arena_request *rq)
{
	unsigned long end = start + rq->nr, batch = max_ul(budget_move_bytes() >> PAGEBLOCK_SHIFT, 1);

	if (!pays(nr_clean(start, rq->nr), has(pb, PBF_MAPPED), rq->reserve))
		return false;
	range_take(pb, start, rq->nr, rq->state);
	move_to(start, end, batch, rq->nid);
	if (commit_rest(start, end, rq->nid, rq->reserve))
		return true;
	range_insert_pieces(start, rq->nr);
	return false;
}

bool arena_gather_behind(unsigned long start, const struct arena_request *rq)
{
	unsigned long from = start + rq->moved_to, end = start + rq->nr;

	if (!pays(min_ul(end - from, arena_stats.dirty), true, rq->reserve))
		return true;
	move_to(from, end, end - from, rq->nid);
	if (commit_rest(from, end, rq->nid, rq->reserve))
		return true;
	range_insert_pieces(start, rq->nr);
	return false;
}

unsigned long arena_gather(const struct arena_request *rq)
{
	unsigned long pb = range_find(rq->nr, rq->align, rq->nid), start;

	if (!pb && pays(rq->nr, false, rq->reserve))
		pb = arena_find(rq->nr, rq->align, rq->nid, PBF_MAPPED);
	if (!pb)
		return 0;
	start = range_fit(pb, rq->nr, rq->align);
	if (!nr_clean(start, rq->nr))
		return arena_take(pb, start, rq) ? 0 : start;
	return arena_gather_at(pb, start, rq) ? start : 0;
}
