/* SPDX-License-Identifier: MIT */
/*
 * Taking given pageblocks out of use, and what is built on it: contiguous ranges and CMA areas.
 */
#ifndef MM_PAGE_ISOLATION_H
#define MM_PAGE_ISOLATION_H

#include "mm/internal.h"

/*
 * Set the pageblocks of [start, end) to MIGRATE_ISOLATE: nothing free there is handed out, and what is freed stays
 * there. All in one zone. 0; -EBUSY: one is isolated already, or holds what can never be moved. Per-CPU lists of the
 * zone are closed until undone.
 */
int start_isolate_page_range(unsigned long start, unsigned long end, enum migratetype mt);
void undo_isolate_page_range(unsigned long start, unsigned long end, enum migratetype mt);
/* Is every page of it free? 0 or -EBUSY. */
int test_pages_isolated(unsigned long start, unsigned long end);

/* The pages [start, end), whose pageblocks are of type mt, moved free and taken as single pages. 0, -EBUSY, -EINTR. */
int alloc_contig_range(unsigned long start, unsigned long end, enum migratetype mt, gfp_t gfp);
void free_contig_range(unsigned long pfn, unsigned long nr_pages);
/* Somewhere on the node, or by policy and distance for nid -1. NULL: none. */
struct page *alloc_contig_pages(unsigned long nr_pages, gfp_t gfp, int nid, const nodemask_t *nodemask);

/* A CMA area of size bytes (whole pageblocks) on a node, from the zone Normal; 0 or -errno. cma_alloc: nr_pages of any
 * area of the node (-1: any). */
int cma_declare_contiguous(size_t size, int nid);
struct page *cma_alloc(unsigned long nr_pages, int nid, gfp_t gfp);
bool cma_release(struct page *page, unsigned long nr_pages); /* false: not from an area */
/* Is the page in an area? */
bool cma_contains(unsigned long pfn);

#endif
