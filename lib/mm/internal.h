/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the page allocator share: the context of one allocation, and the steps of its walk that are in
 * files of their own.
 */
#ifndef MM_INTERNAL_H
#define MM_INTERNAL_H

#include "mm/gfp.h"
#include "mm/mmzone.h"

/* One allocation: set up by prepare_alloc_pages, changed by the slow path alone. */
struct alloc_context {
	struct zonelist *zonelist;
	const nodemask_t *nodemask; /* nodes that may serve; NULL: all */
	struct zone **preferred;    /* where in the zonelist the walk begins; *preferred is NULL if no zone will do */
	enum migratetype migratetype;
	enum zone_type highest_zoneidx;
	enum zone_type lowest_zoneidx; /* ZONE_NORMAL for malloc, which does not fall back to DMA32 */
};

/* The first zone from z on that this context may use; *NULL at the end. */
static inline struct zone **next_zones_zonelist(struct zone **z, enum zone_type lowest, enum zone_type highest,
						const nodemask_t *nodes)
{
	while (*z &&
	       ((*z)->idx > highest || (*z)->idx < lowest || (nodes && !node_isset((*z)->nid, READ_ONCE(*nodes)))))
		z++;
	return z;
}
#define for_each_zone_of(zone, z, ac)                \
	for ((z) = (ac)->preferred; ((zone) = *(z)); \
	     (z) = next_zones_zonelist((z) + 1, (ac)->lowest_zoneidx, (ac)->highest_zoneidx, (ac)->nodemask))

/* zonelist.c. The free lists of every zone that the context allows, at the mark and with the rights of alloc_flags. */
struct page *get_page_from_freelist(gfp_t gfp, unsigned int order, unsigned int alloc_flags,
				    const struct alloc_context *ac);
void prep_new_page(struct page *page, unsigned int order, gfp_t gfp, unsigned int alloc_flags);
/* page_alloc.c. Begin the walk again at the nearest zone. */
void reset_preferred(struct alloc_context *ac);

/* slowpath.c. All that is done when the free lists have nothing at the low mark. */
struct page *alloc_pages_slowpath(gfp_t gfp, unsigned int order, struct alloc_context *ac);

/* page_range.c. nr pages that were one block are single blocks from now on. */
void split_page_range(struct page *page, unsigned long nr);
/* Fork handlers of the locks in oom.c and watermark.c. */
void oom_lock_all(void);
void oom_unlock_all(void);
void oom_reinit_after_fork(void);
void watermark_lock_all(void);
void watermark_unlock_all(void);
void watermark_reinit_after_fork(void);

/* watermark.c */
/* Has the zone mark pages left, and a block of the order, when this request is served? */
bool zone_watermark_ok(const struct zone *zone, unsigned int order, unsigned long mark, enum zone_type highest_zoneidx,
		       unsigned int alloc_flags);
bool zone_watermark_ok_pages(const struct zone *zone, unsigned int order, unsigned long mark,
			     enum zone_type highest_zoneidx, unsigned int alloc_flags, unsigned long free_pages);
static inline unsigned long wmark_pages(const struct zone *zone, unsigned int alloc_flags)
{
	return READ_ONCE(zone->watermark[alloc_flags & ALLOC_WMARK_MASK]) + READ_ONCE(zone->watermark_boost);
}
/* Recompute every zone's marks and lowmem reserves from the tunables below; any thread. */
void setup_per_zone_wmarks(void);
/* After the budget has changed: min_free_kbytes from it, unless it was set, and the marks from that. */
void init_per_zone_wmark_min(void);
/* After min_free_kbytes was set. */
void min_free_kbytes_sysctl_handler(void);
bool boost_watermark(struct zone *zone);
/* The sysctls: 0 or -EINVAL. */
extern unsigned long min_free_kbytes, watermark_scale_factor, watermark_boost_factor;
extern unsigned long sysctl_lowmem_reserve_ratio[MAX_NR_ZONES];

/* fallback.c */
void reserve_highatomic_pageblock(struct page *page, struct zone *zone);
/* Give reserved pageblocks back to the use of all; force: the last one too. True if some was. */
bool unreserve_highatomic_pageblock(const struct alloc_context *ac, bool force);

/* show_mem.c. The report of an allocation that failed: what was asked, the zones, the free lists. Rate-limited. */
void warn_alloc(gfp_t gfp, const nodemask_t *nodemask, const char *fmt, ...) printf_like(3, 4);
struct out;
void show_zones(struct out *o, const nodemask_t *nodemask);
/* "GFP_KERNEL|GFP_ZERO" */
void print_gfp(struct out *o, gfp_t gfp);

#endif
