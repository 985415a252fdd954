/* SPDX-License-Identifier: MIT */
/*
 * Where a limit counts what is mapped, and nothing free is long enough: dirty pages of shorter ranges are moved, by page
 * tables, to addresses where they lie side by side. To unmap them, and to map as many elsewhere, would have the system
 * clear each of them again.
 */
#include <sys/mman.h>

#include "mm/arena.h"
#include "mm/budget.h"
#include "mm/debug.h"
#include "mm/range.h"
#include "mm/sparse.h"
#include "os/os.h"

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

/* The flags that belong to the pages go where they go. */
static void move_flags(unsigned long dst, unsigned long src, unsigned long nr, int nid)
{
	uint8_t of_pages = PBF_DIRTY | PBF_THP;
	unsigned long i, thp = 0;

	range_set_mapped(dst, nr, nid);
	for (i = 0; i < nr; i++) {
		uint8_t flags = block_at(src + i)->flags & of_pages;

		thp += !!(flags & PBF_THP);
		block_at(dst + i)->flags |= flags;
	}
	range_set_unmapped(src, nr);
	ADD_ONCE(arena_stats.thp, thp);
}

/*
 * At most max pages' worth of what has been dirty for longest to dst, which is taken and unmapped; how much that was. The
 * place is mapped first, in a way that finds out whether somebody else is there: for a moment both count.
 */
static unsigned long move_oldest(unsigned long dst, unsigned long max, int nid)
{
	unsigned long src, nr = 0;
	bool moved;

	if (!range_oldest() || block_at(range_oldest())->nid != nid || block_at(range_oldest())->flags & PBF_HUGETLB)
		return 0;
	src = range_take_oldest(max, &nr);
	moved = !sparse_commit(dst, nr);
	if (moved && os_is_error(os->mremap(block_to_addr(src), nr << PAGEBLOCK_SHIFT, nr << PAGEBLOCK_SHIFT,
					    block_to_addr(dst), 0))) {
		/* A kernel may have unmapped the place by then, but not what was to move. */
		sparse_decommit(dst, nr);
		moved = false;
	}
	if (moved)
		move_flags(dst, src, nr, nid);
	range_insert(src, nr);
	return moved ? nr : 0;
}

static bool enough(unsigned long nr, size_t reserve)
{
	unsigned long dirty = arena_stats.dirty;

	return dirty && (dirty >= nr || budget_may_grow((nr - dirty) << PAGEBLOCK_SHIFT, false, reserve));
}

unsigned long arena_gather(unsigned long nr, unsigned long align, enum pageblock_state state, int nid, size_t reserve)
{
	unsigned long pb, start, at, end, moved, batch = max_ul(budget_move_bytes() >> PAGEBLOCK_SHIFT, 1);

	if (!budget_counts_mapped() || sparse_is_reserved() || unlikely(page_debug) || !enough(nr, reserve))
		return 0;
	pb = arena_find(nr, align, nid, PBF_MAPPED);
	if (!pb || block_at(pb)->flags & PBF_MAPPED)
		return 0;
	start = range_fit(pb, nr, align);
	end = start + nr;
	range_take(pb, start, nr, state);
	for (at = start; at < end; at += moved) {
		moved = move_oldest(at, min_ul(batch, end - at), nid);
		if (!moved)
			break;
	}
	if (at == end)
		return start;
	if (budget_may_grow((end - at) << PAGEBLOCK_SHIFT, false, reserve) && !arena_commit(at, end - at, nid))
		return start;
	range_insert_pieces(start, nr);
	return 0;
}
