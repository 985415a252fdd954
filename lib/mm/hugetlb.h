/* SPDX-License-Identifier: MIT */
/*
 * Pageblocks on hugetlb pages, which the administrator has set aside and nobody else can have meanwhile.
 */
#ifndef MM_HUGETLB_H
#define MM_HUGETLB_H

#include "base/atomic.h"
#include "base/tunables.h"
#include "mm/arena.h"

/* The larger of the two sizes that are asked for; in pageblocks. */
#define GIGANTIC_SHIFT 30
#define GIGANTIC_BLOCKS (1UL << (GIGANTIC_SHIFT - PAGEBLOCK_SHIFT))

/* Called before the first of them is had, with no lock held. */
extern hidden_var void (*hugetlb_before_first)(void);

/* As arena_alloc, but on hugetlb pages; on others where there are none, unless hugetlb:only says that there is nothing
 * then. */
unsigned long hugetlb_alloc(unsigned long nr, unsigned long align, enum pageblock_state state, int nid, bool *clean);

/*
 * For what may lie on hugetlb pages: huge blocks and ZONE_MOVABLE. Not what libc itself has of us, which it writes to
 * in the child of a fork before any handler runs (hugetlb.c).
 */
static always_inline unsigned long arena_alloc_hugetlb(unsigned long nr, unsigned long align,
						       enum pageblock_state state, int nid, bool *clean)
{
	if (unlikely(READ_ONCE(tunables.hugetlb) != HUGETLB_OFF))
		return hugetlb_alloc(nr, align, state, nid, clean);
	return arena_alloc(nr, align, state, nid, clean);
}

/* Give back pages of 1 GiB that are free as a whole, but so many; pageblocks given back. */
unsigned long hugetlb_trim(unsigned long keep);

/* Fork handlers, with all locks held; in the child when they are free again. */
void hugetlb_fork_prepare(void);
void hugetlb_fork_parent(void);
void hugetlb_fork_child(void);

#endif
