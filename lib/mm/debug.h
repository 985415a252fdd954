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
/* Which are on; set at start by configuration. */
extern unsigned int page_debug;

/* A block on its way to the caller, and on its way to the free lists; no lock held. */
void debug_alloc_pages(struct page *page, unsigned int order, gfp_t gfp);
void debug_free_pages(struct page *page, unsigned int order);
/* Zero a block if it may be dirty. */
void kernel_init_free_pages(struct page *page, unsigned int order);
/* Is anything about the pages of a block that came from the free lists as it must not be? Says so, once for each. */
bool check_new_pages(const struct page *page, unsigned int order);

/* Keep the upper half of a split block out of the free lists (expand); zone lock. */
bool set_page_guard(struct zone *zone, struct page *page, unsigned int order);
bool page_is_guard(const struct page *page);
void clear_page_guard(struct zone *zone, struct page *page);
extern unsigned long debug_guardpage_minorder; /* blocks below this order get one */

struct out;
void print_page_owner(struct out *o);

#endif
