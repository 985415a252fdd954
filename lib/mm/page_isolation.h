/* SPDX-License-Identifier: MIT */
/*
 * Taking given pageblocks out of use, and what is built on it: contiguous ranges and CMA areas.
 *
 * Isolated pageblocks are of MIGRATE_ISOLATE: what is free there is handed out by nobody, and what is freed there
 * stays. They remember the type that they had.
 */
#ifndef MM_PAGE_ISOLATION_H
#define MM_PAGE_ISOLATION_H

#include "mm/gfp.h"

/*
 * What a page is part of, as far as one look without a lock tells: it may be another thing the next moment. FIXED is
 * all that cannot be made free from here, and what is on its way between two owners.
 */
enum block_use { BLOCK_FREE, BLOCK_MOVABLE, BLOCK_FIXED };
struct block_seen {
	unsigned long pfn, nr; /* the pages of it; of a fixed one maybe not all, but the one asked for is there */
	enum block_use use;
};
struct block_seen look_at_block(unsigned long pfn);

/*
 * Isolate the pageblocks that [start, end) lies in, all in one zone. 0; -EBUSY: one is isolated already, or kept for
 * atomic requests, or in [start, end) there is what cannot be made free, or one is of MIGRATE_CMA and mt is not, or
 * the other way round. The per-CPU lists of the zone are empty and closed until undone. No lock held.
 */
int start_isolate_page_range(unsigned long start, unsigned long end, enum migratetype mt);
/* Each pageblock becomes again what it was. */
void undo_isolate_page_range(unsigned long start, unsigned long end);
/* Is every page of the isolated range free? 0 or -EBUSY. */
int test_pages_isolated(unsigned long start, unsigned long end);
/* New pageblocks of a zone, whose thread they belong to until unset; they are of type mt then. The zone's per-CPU lists
 * may stay open: no page of them can be there. */
void online_isolated_blocks(struct zone *zone, unsigned long pb, unsigned long nr, enum migratetype mt, bool dirty);
void unset_isolated_blocks(struct zone *zone, unsigned long start, unsigned long end);
/* In the child of a fork: ranges that were isolated by threads that are no more. */
void isolation_reinit_after_fork(void);

/*
 * The pages [start, end) as single blocks with a reference count of 1: what is movable there is moved away, if gfp
 * allows to wait and to call the application (GFP_DIRECT_RECLAIM and GFP_FS). mt as above. 0; -EBUSY, -ENOMEM: it stays
 * as it was, but for what has been moved. No lock held.
 */
int alloc_contig_range(unsigned long start, unsigned long end, enum migratetype mt, gfp_t gfp);
/* Drop a reference of each page. Pages of a CMA area go back to it. */
void free_contig_range(unsigned long pfn, unsigned long nr_pages);
/*
 * nr_pages of them somewhere, aligned to their size by address if nr_pages is a power of two: from a CMA area if there
 * is one, from what the zones have, else from new pageblocks. On the node nid or, unless GFP_THISNODE, near it; nid -1
 * and nodemask NULL: by the thread's policy. NULL: there are none.
 */
struct page *alloc_contig_pages(unsigned long nr_pages, gfp_t gfp, int nid, const nodemask_t *nodemask);
/* The first page from pfn on whose address is a multiple of align pages. */
unsigned long align_pfn(unsigned long pfn, unsigned long align);
/* Might alloc_contig_range have [start, end) of the zone? NO_PFN: yes; else where to begin the next try, at least. */
unsigned long pfn_range_obstacle(const struct zone *zone, unsigned long start, unsigned long end, enum migratetype mt,
				 gfp_t gfp);

/*
 * Contiguous memory areas: pageblocks of a zone Normal that serve movable requests until cma_alloc wants them.
 * A new one of size bytes, rounded up to pageblocks, on a node (-1: the caller's): 0, -EINVAL, -ENOMEM, -ENOSPC (too
 * many). By one thread at a time.
 */
int cma_declare_contiguous(size_t size, int nid);
/* nr_pages from an area of the node (-1: of any), aligned as above. NULL: none has them. */
struct page *cma_alloc(unsigned long nr_pages, int nid, gfp_t gfp);
bool cma_release(struct page *page, unsigned long nr_pages); /* false: not from an area */
/* The pages may be given out again by cma_alloc, as soon as they are free; false: they are not in one area. */
bool cma_clear_bits(unsigned long pfn, unsigned long nr_pages);
/* Is the page in an area? */
bool cma_contains(unsigned long pfn);
/* The areas that the configuration asks for (tunable cma); once, at start. */
void cma_reserve(void);
/* Fork handlers. */
void cma_lock_all(void);
void cma_unlock_all(void);
void cma_reinit_after_fork(void);

#endif
