/* SPDX-License-Identifier: MIT */
/*
 * Huge blocks.
 */
#include "malloc/huge.h"

#include <string.h>

#include "mm/arena.h"
#include "mm/budget.h"
#include "mm/current.h"
#include "mm/debug.h"
#include "mm/exact.h"
#include "mm/fault_inject.h"
#include "mm/hugetlb.h"
#include "mm/kswapd.h"
#include "mm/mempolicy.h"
#include "mm/mmzone.h"
#include "mm/owner.h"
#include "mm/page_alloc.h"
#include "mm/settle.h"
#include "mm/touched.h"
#include "mm/vmscan.h"
#include "slab/tcache.h"

/* Hugepages behind a block of fewer would make its unused tail resident for nothing. */
#define THP_BLOCKS_MIN 4UL

/* A larger one leaves little of its last pageblock. */
#define PACKED_PAGES_MAX EXACT_PAGES_MAX
/* Whole pageblocks are the other choice, so nothing is reclaimed for one that is packed, nor the reserve touched. */
#define GFP_PACKED ((GFP_MALLOC | GFP_NOMEMALLOC) & ~GFP_RECLAIM)

struct huge_stats huge_stats;

static unsigned long blocks_for_pages(unsigned long pages)
{
	return (pages + PAGEBLOCK_PAGES - 1) >> PAGEBLOCK_ORDER;
}

/* What its last pageblock has behind it: nobody can have that. */
static unsigned long tail_pages(unsigned long pages)
{
	return -pages % PAGEBLOCK_PAGES;
}

static unsigned long page_block(const struct page *page)
{
	return page_to_pfn(page) >> PAGEBLOCK_ORDER;
}

static void free_blocks(unsigned long pb, unsigned long nr, bool dirty)
{
	if (topology_binds() && settle_unspread(pb, nr))
		dirty = false;
	arena_free(pb, nr, dirty);
}

/* Charge it, and see what that leaves of a limit; false: its owner cannot pay. */
static cold bool pay_huge(struct page *page, unsigned long pages)
{
	if (owner_try_charge(page, pages, GFP_MALLOC))
		return false;
	if (READ_ONCE(limits_in_force)) {
		kswapd_poll();
		mem_cgroup_handle_over_high(current_gfp_context(GFP_MALLOC));
	}
	return true;
}

/* Under a limit pages are charged, too. */
static always_inline bool is_paid(struct page *page, unsigned long pages)
{
	return likely(!data_race(owner_accounting)) || pay_huge(page, pages);
}

static always_inline void *new_huge(struct page *page)
{
	set_page_type(page, PAGE_HUGE);
	atomic_add_return(&huge_stats.nr, 1);
	return page_to_window_addr(page);
}

/* pb: its pageblocks, 0 for none. */
static void *begin_huge(unsigned long pb, unsigned long pages, bool *zeroed)
{
	unsigned long full = pages >> PAGEBLOCK_ORDER;
	struct page *page;

	if (!pb)
		return NULL;
	if (full >= THP_BLOCKS_MIN)
		arena_advise_huge(pb, full, false);
	page = pfn_to_page(pb << PAGEBLOCK_ORDER);
	page->nr_pages = pages;
	page->order = 0;
	if (!is_paid(page, pages)) {
		free_blocks(pb, blocks_for_pages(pages), !*zeroed);
		return NULL;
	}
	atomic_add_return(&arena_stats.huge_tails, tail_pages(pages));
	if (unlikely(page_debug))
		debug_alloc_huge(page, 0, pages, zeroed);
	return new_huge(page);
}

/* Of whole pageblocks nothing lies behind the end; and what doubles has half of such a block yet to fill, which is not
 * to lie on a hugepage as what is packed may. */
static bool may_pack(unsigned long pages)
{
	return pages <= PACKED_PAGES_MAX && pages % PAGEBLOCK_PAGES && topology.nr_nodes == 1 &&
	       READ_ONCE(tunables.hugetlb) == HUGETLB_OFF && !page_debug;
}

static bool is_packed(const struct page *page)
{
	return READ_ONCE(pfn_to_block(page_to_pfn(page))->state) == PB_ZONE;
}

static struct page *alloc_packed(unsigned long pages, bool *zeroed)
{
	struct page *page = unlikely(READ_ONCE(fail_page_alloc_enabled)) ? NULL : exact_list_alloc(pages);

	*zeroed = false;
	if (likely(page))
		return page;
	if (touched_less_than(TOUCHED_TO_PACK))
		return NULL;
	exact_list_missed(pages);
	page = alloc_pages_exact(GFP_PACKED, pages, 0);
	if (!page)
		return NULL;
	*zeroed = !(page->flags & PG_DIRTY);
	page->nr_pages = pages;
	return page;
}

static void *begin_packed(struct page *page, unsigned long pages)
{
	if (!is_paid(page, pages)) {
		free_pages_exact(page, pages);
		return NULL;
	}
	atomic_add_return(&huge_stats.packed, pages);
	return new_huge(page);
}

void *huge_alloc(size_t size, size_t align, bool *zeroed)
{
	unsigned long pages = size_to_pages(size), nr = blocks_for_pages(pages), pb;
	struct page *packed = !align && may_pack(pages) ? alloc_packed(pages, zeroed) : NULL;

	if (packed)
		return begin_packed(packed, pages);
	align = max_ul(align >> PAGEBLOCK_SHIFT, 1);
	if (unlikely(READ_ONCE(arena_stats.dirty) < nr))
		exact_lists_yield();
	if (likely(topology.nr_nodes == 1))
		pb = arena_alloc_hugetlb(nr, align, PB_HUGE, 0, zeroed);
	else
		pb = settle_alloc_huge(nr, align, zeroed);
	return begin_huge(pb, pages, zeroed);
}

static struct page *take_dirty(unsigned long pages)
{
	struct page *page = exact_list_alloc(pages);

	if (page)
		return page;
	page = alloc_dirty_pages_exact(pages);
	if (!page)
		return NULL;
	exact_list_missed(pages);
	page->nr_pages = pages;
	return page;
}

void *huge_alloc_dirty(size_t size)
{
	unsigned long pages = size_to_pages(size);
	struct page *page;

	if (!may_pack(pages) || touched_less_than(TOUCHED_TO_PACK) || unlikely(READ_ONCE(fail_page_alloc_enabled)))
		return NULL;
	page = take_dirty(pages);
	return page ? begin_packed(page, pages) : NULL;
}

void huge_clear(void *p, size_t size)
{
	unsigned long pb = addr_to_pfn(p) >> PAGEBLOCK_ORDER;
	size_t at;

	for (at = 0; at < size; at += PAGEBLOCK_SIZE, pb++)
		if (data_race(vmemmap.blocks[pb].flags) & PBF_DIRTY) /* which nobody else changes */
			memset((char *)p + at, 0, min_ul(size - at, PAGEBLOCK_SIZE));
}

/* What lies free behind it, if that is where policy says. */
static bool extend_blocks(unsigned long pb, unsigned long nr, unsigned long new_nr)
{
	if (!arena_extend(pb, nr, new_nr))
		return false;
	if (!topology_binds() || settle_extension(pb + nr, new_nr - nr))
		return true;
	arena_free(pb + nr, new_nr - nr, true);
	return false;
}

/* The block's pageblocks from the first given on, up to nr, are not its any more. */
static void free_huge_blocks(struct page *page, unsigned long from, unsigned long nr, bool dirty)
{
	if (from == nr)
		return;
	if (unlikely(page_debug))
		dirty = debug_free_huge(page, from << PAGEBLOCK_ORDER, nr << PAGEBLOCK_ORDER);
	if (dirty && touched_is_due())
		touched_look_at_blocks(page_block(page) + from, nr - from);
	free_blocks(page_block(page) + from, nr - from, dirty);
}

/* Of all huge blocks: no more of this one. */
static void forget_huge(struct page *page)
{
	set_page_type(page, PAGE_NONE);
	atomic_sub_return(&huge_stats.nr, 1);
	uncharge_pages(page, page->nr_pages);
}

/* It ends; its first clean pageblocks have no pages. */
static void end_huge(struct page *page, unsigned long clean)
{
	unsigned long nr = blocks_for_pages(page->nr_pages);

	atomic_sub_return(&arena_stats.huge_tails, tail_pages(page->nr_pages));
	forget_huge(page);
	free_huge_blocks(page, clean, nr, true);
	free_huge_blocks(page, 0, clean, false);
}

void huge_free(struct page *page)
{
	unsigned long nr = page->nr_pages;

	if (!is_packed(page)) {
		end_huge(page, 0);
		return;
	}
	forget_huge(page);
	atomic_sub_return(&huge_stats.packed, nr);
	if (unlikely(!exact_list_free(page, nr)))
		exact_list_free_slow(page, nr);
	tcache_age_if_due(); /* who has none but such blocks never comes to the arenas */
}

static bool resize_packed(struct page *page, unsigned long pages)
{
	if (pages > PACKED_PAGES_MAX || !resize_pages_exact(page, page->nr_pages, pages))
		return false;
	atomic_add_return(&huge_stats.packed, pages - page->nr_pages);
	return true;
}

/* The pageblocks of one that is not packed. */
static bool resize_blocks(struct page *page, unsigned long pages)
{
	unsigned long nr = blocks_for_pages(page->nr_pages), new_nr = blocks_for_pages(pages);
	bool zeroed = false;

	/* Of its last pageblock it has not touched all. */
	if (topology_binds() && pages > page->nr_pages && !settle_may_extend(page_to_pfn(page) + page->nr_pages - 1))
		return false;
	if (new_nr > nr && !extend_blocks(page_block(page), nr, new_nr))
		return false;
	if (new_nr < nr)
		free_huge_blocks(page, new_nr, nr, true);
	atomic_add_return(&arena_stats.huge_tails, tail_pages(pages) - tail_pages(page->nr_pages));
	if (unlikely(page_debug) && pages > page->nr_pages)
		debug_alloc_huge(page, page->nr_pages, pages, &zeroed);
	return true;
}

bool huge_resize(struct page *page, size_t size)
{
	unsigned long nr = page->nr_pages, pages = size_to_pages(size);

	if (!charge_resize(page, nr, pages, GFP_MALLOC))
		return false;
	if (!(is_packed(page) ? resize_packed(page, pages) : resize_blocks(page, pages))) {
		charge_resize(page, pages, nr, GFP_MALLOC);
		return false;
	}
	page->nr_pages = pages;
	return true;
}

void *huge_move(struct page *page, size_t size)
{
	unsigned long old_pages = page->nr_pages, nr = blocks_for_pages(old_pages), pages = size_to_pages(size);
	unsigned long new_nr = blocks_for_pages(pages), pb;
	size_t bytes = nr << PAGEBLOCK_SHIFT;
	int nid = topology_binds() ? pfn_to_block(page_to_pfn(page))->nid : mempolicy_slab_node();
	bool zeroed;
	void *p;

	if (is_packed(page) || (topology_binds() && !settle_may_move(page_block(page))))
		return NULL;
	/* What lies behind the block's end comes along, and nothing stays; but not into memory that shall be zero. */
	if (unlikely(page_debug))
		bytes = old_pages << PAGE_SHIFT;
	if (likely(READ_ONCE(tunables.hugetlb) == HUGETLB_OFF))
		pb = arena_alloc_to_move(new_nr, nr, nid, &zeroed);
	else
		pb = hugetlb_alloc(new_nr, 1, PB_HUGE, nid, &zeroed);
	p = begin_huge(pb, pages, &zeroed);
	if (!p)
		return NULL;
	if (!arena_move(addr_to_pfn(p) >> PAGEBLOCK_ORDER, page_block(page), nr, bytes)) {
		huge_free(pfn_to_page(addr_to_pfn(p)));
		return NULL;
	}
	end_huge(page, bytes >> PAGEBLOCK_SHIFT);
	return p;
}
