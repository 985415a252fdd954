/* SPDX-License-Identifier: MIT */
/*
 * The page allocator: blocks of 2^order pages from the zones of the nearest node that has some.
 */
#ifndef MM_PAGE_ALLOC_H
#define MM_PAGE_ALLOC_H

#include "mm/gfp.h"
#include "mm/mmzone.h"

#define PAGE_ALLOC_COSTLY_ORDER 3

/* First use: window, nodes, zones. 0 or -errno. */
int mm_init(void);

/*
 * A block of 2^order pages (order below MAX_ORDER), aligned to its size, reference count 1, type PAGE_HEAD. Its flags
 * still say whether it may be dirty: without PG_DIRTY it reads as zero. NULL when out of memory. Any thread; no lock
 * of rank RANK_PCP or above may be held.
 */
struct page *alloc_pages(gfp_t gfp, unsigned int order);
void free_pages(struct page *page, unsigned int order);

/* Exactly nr pages, aligned to 2^order pages; what is cut off a larger block stays free. */
struct page *alloc_pages_exact(gfp_t gfp, unsigned long nr, unsigned int order);
void free_pages_exact(struct page *page, unsigned long nr);
/* Lengthen or shorten in place; false if what lies behind is not free. */
bool resize_pages_exact(struct page *page, unsigned long nr, unsigned long new_nr);

/* rmqueue through the per-CPU lists; NULL sends the caller to the zone. */
struct page *rmqueue_pcplist(struct zone *zone, unsigned int order, enum migratetype mt, unsigned int alloc_flags);
/* False: the lists are busy, free to the zone. */
bool free_pcp_page(struct zone *zone, struct page *page, unsigned int order);
/* Bring the pages of all CPUs' lists back to the zones; pages brought back. */
unsigned long drain_all_pages(void);
/* Pages in the per-CPU lists; torn. */
unsigned long nr_pcp_pages(const struct zone *zone);

/* Hand wholly free pageblocks beyond the few a zone keeps back to the arenas. */
void zone_trim(struct zone *zone, unsigned long keep);
/* Give free blocks of at least the order back to the system, the largest first, until at most keep pages of the zone
 * are dirty; bytes given back. */
unsigned long zone_purge(struct zone *zone, unsigned int min_order, unsigned long keep);
/* Bytes that giving back could free, and bytes that are in use; torn. */
size_t mm_dirty_bytes(void);
size_t mm_used_bytes(void);
/* All that can be given back, as malloc_trim(3) wants: keep at most keep bytes dirty. Bytes given back. */
unsigned long mm_trim(size_t keep);

#endif
