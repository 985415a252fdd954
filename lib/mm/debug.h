/* SPDX-License-Identifier: MIT */
/*
 * What may be done to pages on their way out and in: zeroing, poison, guard pages, page_owner. All off by default; one
 * word says whether anything is on.
 */
#ifndef MM_DEBUG_H
#define MM_DEBUG_H

#include "mm/gfp.h"

#define DEBUG_INIT_ON_ALLOC 0x1u
#define DEBUG_INIT_ON_FREE 0x2u
#define DEBUG_PAGE_POISON 0x4u
#define DEBUG_GUARDPAGE 0x8u
#define DEBUG_PAGE_OWNER 0x10u
/* Which are on; set once, by debug_init. */
extern hidden_var unsigned int page_debug;

/* Do as the configuration says, from now on. Once; no lock held. */
void debug_init(void);

static always_inline bool want_init_on_alloc(gfp_t gfp)
{
	return unlikely(gfp & GFP_ZERO || page_debug & DEBUG_INIT_ON_ALLOC);
}
/* Zero a block if it may be dirty. */
void kernel_init_free_pages(struct page *page, unsigned int order);

/*
 * The rest is called only while page_debug is not 0; with no lock held unless it says so.
 *
 * A block on its way to the caller, and pages on their way to the free lists.
 */
void debug_alloc_pages(struct page *page, unsigned int order, gfp_t gfp);
void debug_free_pages(unsigned long pfn, unsigned long nr);
/* Free pages that come to a zone. */
void debug_online_pages(unsigned long pfn, unsigned long nr, bool dirty);
/* Is anything about the pages of a block that came from the free lists as it must not be? Says so. */
bool check_new_pages(const struct page *page, unsigned int order);

/* Huge blocks, which go by no zone: pages [from, nr) of the block at page come to it, and leave it. */
void debug_alloc_huge(struct page *page, unsigned long from, unsigned long nr, bool *zeroed);
/* True if they may still be dirty. */
bool debug_free_huge(struct page *page, unsigned long from, unsigned long nr);

/*
 * Guard pages: no block below debug_guardpage_minorder is ever in a free list. What is left when a larger one is split
 * or cut, or freed while its buddy is in use, stays out of use and cannot be accessed, until it can join its buddy.
 * Zone lock.
 */
extern hidden_var unsigned long debug_guardpage_minorder;
extern unsigned long nr_guard_pages;
/* Make a free block one; false: it is large enough for a free list. */
bool set_page_guard(struct page *page, unsigned int order, bool dirty);
/* It is to join its buddy; false: the system does not let it, it stays what it is. */
bool clear_page_guard(struct page *page);
static always_inline bool page_is_guard(const struct page *page)
{
	return page_type(page) == PAGE_GUARD;
}

#endif
