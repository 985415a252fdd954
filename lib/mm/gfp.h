/* SPDX-License-Identifier: MIT */
/*
 * gfp flags: what an allocation may do and where it may land; and the allocator's own alloc_flags.
 */
#ifndef MM_GFP_H
#define MM_GFP_H

#include "base/compiler.h"
#include "mm/page.h"

typedef unsigned int gfp_t;

#define GFP_MOVABLE 0x0008u	   /* the block's user can move it */
#define GFP_RECLAIMABLE 0x0010u	   /* a shrinker can free it */
#define GFP_DIRECT_RECLAIM 0x0400u /* may reclaim before failing */
#define GFP_USER GFP_DIRECT_RECLAIM

#define ALLOC_WMARK_MIN 0x0u
#define ALLOC_WMARK_LOW 0x1u
#define ALLOC_WMARK_HIGH 0x2u
#define ALLOC_WMARK_MASK 0x3u
#define ALLOC_NOFRAGMENT 0x8u /* rather another zone or a new pageblock than mixing migratetypes */

static always_inline enum migratetype gfp_migratetype(gfp_t gfp)
{
	if (gfp & GFP_MOVABLE)
		return MIGRATE_MOVABLE;
	return gfp & GFP_RECLAIMABLE ? MIGRATE_RECLAIMABLE : MIGRATE_UNMOVABLE;
}

#endif
