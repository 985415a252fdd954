/* SPDX-License-Identifier: MIT */
/*
 * The page allocator: blocks of 2^order pages from the zones of the nearest node that has some.
 */
#ifndef MM_PAGE_ALLOC_H
#define MM_PAGE_ALLOC_H

#include "mm/gfp.h"
#include "mm/mmzone.h"

struct mempolicy;

#define PAGE_ALLOC_COSTLY_ORDER 3

/* Read of the system what first use needs to know, while the program lets us make such calls. One thread. */
void mm_init_early(void);
/* First use: window, nodes, zones. 0 or -errno. */
int mm_init(void);
/* The process is set up: from now on requests may wait and reclaim as their flags say. */
void mm_init_late(void);

/*
 * A block of 2^order pages, aligned to its size, reference count 1, type PAGE_HEAD; its flags still say whether it may
 * be dirty: without PG_DIRTY it reads as zero. NULL when out of memory. Any thread; no lock of rank RANK_WMARK or above
 * may be held; none at all if the flags let it reclaim.
 */
struct page *alloc_pages(gfp_t gfp, unsigned int order);
/* The first try of alloc_pages for flags below gfp_fast_limit: NULL only says that it is not that simple. */
struct page *alloc_pages_fast(unsigned int order);
/* From the node's zonelist, without policy; nodemask NULL: any node. */
struct page *alloc_pages_nodemask(gfp_t gfp, unsigned int order, int preferred_nid, const nodemask_t *nodemask);
/* As the policy says, but for interleaving, which is the caller's; nid: where a policy that names no node begins. */
struct page *alloc_pages_policy(gfp_t gfp, unsigned int order, int nid, const struct mempolicy *pol);
/* Drop a reference; the last one frees the block. */
void free_pages(struct page *page, unsigned int order);
/* Free a block whose last reference is gone. */
void free_the_page(struct page *page, unsigned int order);
/* Drop a reference; true if it was the last. */
bool put_page_testzero(struct page *page);

/* The block is 2^order single blocks from now on. */
void split_page(struct page *page, unsigned int order);
/* Head and tails of a compound page. */
void prep_compound_page(struct page *page, unsigned int order);
void destroy_compound_page(struct page *page, unsigned int order);
/* The block that a page of a compound one belongs to; else the page itself. */
struct page *compound_head(struct page *page);

/* Exactly nr pages, aligned to 2^order pages; what is cut off a larger block stays free. */
struct page *alloc_pages_exact(gfp_t gfp, unsigned long nr, unsigned int order);
/* For malloc, free pages side by side that are all dirty; NULL: where that is looked for there are none. */
struct page *alloc_dirty_pages_exact(unsigned long nr);
void free_pages_exact(struct page *page, unsigned long nr);
/* Lengthen or shorten in place; false if what lies behind is not free. */
bool resize_pages_exact(struct page *page, unsigned long nr, unsigned long new_nr);
/* nr single pages, wherever they lie; how many there were. */
unsigned long alloc_pages_bulk(gfp_t gfp, unsigned long nr, struct page **array);

#endif
