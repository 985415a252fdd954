/* SPDX-License-Identifier: MIT */
/*
 * Huge blocks.
 */
#include "malloc/huge.h"

#include "mm/arena.h"
#include "mm/budget.h"
#include "mm/debug.h"
#include "mm/hugetlb.h"
#include "mm/kswapd.h"
#include "mm/mempolicy.h"
#include "mm/mmzone.h"
#include "mm/owner.h"

/* Hugepages behind a block of fewer would make its unused tail resident for nothing. */
#define THP_BLOCKS_MIN 4UL

struct huge_stats huge_stats;

static unsigned long blocks_for_pages(unsigned long pages)
{
	return (pages + PAGEBLOCK_PAGES - 1) >> PAGEBLOCK_ORDER;
}

static unsigned long page_block(const struct page *page)
{
	return page_to_pfn(page) >> PAGEBLOCK_ORDER;
}

void *huge_alloc(size_t size, size_t align, bool *zeroed)
{
	unsigned long pages = size_to_pages(size);
	unsigned long pb, full = pages >> PAGEBLOCK_ORDER;
	struct page *page;

	pb = arena_alloc_hugetlb(blocks_for_pages(pages), max_ul(align >> PAGEBLOCK_SHIFT, 1), PB_HUGE,
				 mempolicy_slab_node(), zeroed);
	if (!pb)
		return NULL;
	if (full >= THP_BLOCKS_MIN)
		arena_advise_huge(pb, full);
	page = pfn_to_page(pb << PAGEBLOCK_ORDER);
	page->nr_pages = pages;
	page->order = 0;
	if (charge_pages(page, pages, GFP_MALLOC)) {
		arena_free(pb, blocks_for_pages(pages), !*zeroed);
		return NULL;
	}
	set_page_type(page, PAGE_HUGE);
	if (unlikely(page_debug))
		debug_alloc_huge(page, 0, pages, zeroed);
	atomic_add_return(&huge_stats.nr, 1);
	if (unlikely(READ_ONCE(limits_in_force)))
		kswapd_poll();
	return page_to_window_addr(page);
}

/* The block's pageblocks from the first given on are not its any more. */
static void free_huge_blocks(struct page *page, unsigned long from, unsigned long nr)
{
	bool dirty = true;

	if (unlikely(page_debug))
		dirty = debug_free_huge(page, from << PAGEBLOCK_ORDER, nr << PAGEBLOCK_ORDER);
	arena_free(page_block(page) + from, nr - from, dirty);
}

void huge_free(struct page *page)
{
	set_page_type(page, PAGE_NONE);
	atomic_sub_return(&huge_stats.nr, 1);
	uncharge_pages(page, page->nr_pages);
	free_huge_blocks(page, 0, blocks_for_pages(page->nr_pages));
}

bool huge_resize(struct page *page, size_t size)
{
	unsigned long pb = page_block(page), pages = size_to_pages(size);
	unsigned long nr = blocks_for_pages(page->nr_pages), new_nr = blocks_for_pages(pages);
	bool zeroed = false;

	if (!charge_resize(page, page->nr_pages, pages, GFP_MALLOC))
		return false;
	if (new_nr > nr && !arena_extend(pb, nr, new_nr)) {
		charge_resize(page, pages, page->nr_pages, GFP_MALLOC);
		return false;
	}
	if (new_nr < nr)
		free_huge_blocks(page, new_nr, nr);
	if (unlikely(page_debug) && pages > page->nr_pages)
		debug_alloc_huge(page, page->nr_pages, pages, &zeroed);
	page->nr_pages = pages;
	return true;
}

void *huge_move(struct page *page, size_t size)
{
	unsigned long old_pages = page->nr_pages, nr = blocks_for_pages(old_pages);
	bool zeroed;
	void *p = huge_alloc(size, 0, &zeroed);

	if (!p)
		return NULL;
	if (!arena_move(addr_to_pfn(p) >> PAGEBLOCK_ORDER, page_block(page), nr, old_pages << PAGE_SHIFT)) {
		huge_free(pfn_to_page(addr_to_pfn(p)));
		return NULL;
	}
	/* The pages behind the block's end may have been used before it was shortened: all of it is dirty. */
	huge_free(page);
	return p;
}
