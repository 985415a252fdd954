/* SPDX-License-Identifier: MIT */
/*
 * Huge blocks: above RUN_SIZE_MAX, each a range of pageblocks of its own, of which only the pages used are touched; or,
 * packed, exactly its pages of a zone, so that what lies before and behind it in its pageblocks is others'.
 */
#ifndef MALLOC_HUGE_H
#define MALLOC_HUGE_H

#include "mm/page.h"

struct huge_stats {
	unsigned long nr;
	unsigned long packed; /* pages of those that are */
};
extern struct huge_stats huge_stats;

/* size is at most HEAP_SIZE_MAX; align a power of two, or 0: the block may be packed, if it is not too large. NULL when
 * out of memory. *zeroed: it reads as zero. */
void *huge_alloc(size_t size, size_t align, bool *zeroed);
/* The same for calloc of what may be packed, of dirty pages alone, which it writes all over; NULL: of whole pageblocks.
 */
void *huge_alloc_dirty(size_t size);
/* The first bytes of a new block shall read as zero: what does already is not touched. */
void huge_clear(void *p, size_t size);
void huge_free(struct page *page);
/* Make it hold size bytes where it lies; false if it cannot. */
bool huge_resize(struct page *page, size_t size);
/* Move it to a larger range by page tables, keeping its contents; NULL: nothing has changed. */
void *huge_move(struct page *page, size_t size);

#endif
