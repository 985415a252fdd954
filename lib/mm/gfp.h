/* SPDX-License-Identifier: MIT */
/*
 * gfp flags: what an allocation may do and where it may land (the public ones without their prefix); and the
 * allocator's own alloc_flags, which say how far it goes this time.
 */
#ifndef MM_GFP_H
#define MM_GFP_H

#include "base/compiler.h"
#include "base/message.h"
#include "buddymalloc.h"
#include "mm/mmzone.h"

typedef bm_gfp_t gfp_t;

#define GFP_DMA32 BM_GFP_DMA32
#define GFP_MOVABLE BM_GFP_MOVABLE
#define GFP_RECLAIMABLE BM_GFP_RECLAIMABLE
#define GFP_HARDWALL BM_GFP_HARDWALL
#define GFP_THISNODE BM_GFP_THISNODE
#define GFP_HIGH BM_GFP_HIGH
#define GFP_MEMALLOC BM_GFP_MEMALLOC
#define GFP_NOMEMALLOC BM_GFP_NOMEMALLOC
#define GFP_DIRECT_RECLAIM BM_GFP_DIRECT_RECLAIM
#define GFP_KSWAPD_RECLAIM BM_GFP_KSWAPD_RECLAIM
#define GFP_IO BM_GFP_IO
#define GFP_FS BM_GFP_FS
#define GFP_NORETRY BM_GFP_NORETRY
#define GFP_RETRY_MAYFAIL BM_GFP_RETRY_MAYFAIL
#define GFP_NOFAIL BM_GFP_NOFAIL
#define GFP_NOWARN BM_GFP_NOWARN
#define GFP_ZERO BM_GFP_ZERO
#define GFP_COMP BM_GFP_COMP
#define GFP_ACCOUNT BM_GFP_ACCOUNT
#define GFP_WRITE BM_GFP_WRITE
#define GFP_ATOMIC_BIT 0x00100000u /* the kernel's __GFP_ATOMIC: may not wait, so it may go below the min mark */
#define GFP_NOLOWMEM 0x00200000u   /* malloc: never fall back to DMA32 */

#define GFP_RECLAIM BM_GFP_RECLAIM
#define GFP_NOWAIT BM_GFP_NOWAIT
#define GFP_ATOMIC BM_GFP_ATOMIC
#define GFP_NOIO BM_GFP_NOIO
#define GFP_NOFS BM_GFP_NOFS
#define GFP_KERNEL BM_GFP_KERNEL
#define GFP_USER BM_GFP_USER
#define GFP_TRANSHUGE BM_GFP_TRANSHUGE
/* What malloc itself asks with. */
#define GFP_MALLOC (GFP_USER | GFP_NOWARN | GFP_NOLOWMEM)

#define GFP_PUBLIC_BITS 0x001fffffu /* those a caller of the API may set */
#define GFP_BITS_MASK 0x003fffffu
/* Until the process is set up: no waiting, no system calls, no shrinkers. */
#define GFP_BOOT_MASK (GFP_BITS_MASK & ~(GFP_RECLAIM | GFP_IO | GFP_FS))
#define GFP_MOVABLE_MASK (GFP_MOVABLE | GFP_RECLAIMABLE)

/* Flags below this one make no difference to a request that is served at once. */
#define GFP_FAST_LIMIT GFP_DMA32

/* Flags that requests are masked with; written at start. */
extern gfp_t gfp_allowed_mask;

#define ALLOC_WMARK_MIN WMARK_MIN
#define ALLOC_WMARK_LOW WMARK_LOW
#define ALLOC_WMARK_HIGH WMARK_HIGH
#define ALLOC_NO_WATERMARKS 0x04u
#define ALLOC_WMARK_MASK (ALLOC_NO_WATERMARKS - 1)
#define ALLOC_OOM 0x08u	   /* an OOM victim's: half of the mark */
#define ALLOC_HARDER 0x10u /* a quarter below the mark, and the highatomic reserve */
#define ALLOC_HIGH 0x20u   /* half of the mark */
#define ALLOC_RESERVE (ALLOC_NO_WATERMARKS | ALLOC_OOM | ALLOC_HARDER | ALLOC_HIGH) /* who may go below the min mark \
										     */
#define ALLOC_CPUSET 0x40u							    /* only nodes of Mems_allowed */
#define ALLOC_CMA 0x80u								    /* CMA areas too: movable only */
#define ALLOC_NOFRAGMENT 0x100u /* rather another zone or a new pageblock than mixing migratetypes */
#define ALLOC_SETTLED 0x200u	/* the memory must be there, and of the node */
#define ALLOC_KSWAPD 0x800u	/* wake kswapd */

static always_inline enum migratetype gfp_migratetype(gfp_t gfp)
{
	BUILD_BUG_ON(GFP_RECLAIMABLE != 2 * GFP_MOVABLE || MIGRATE_MOVABLE != 1 || MIGRATE_RECLAIMABLE != 2);
	gfp = (gfp & GFP_MOVABLE_MASK) / GFP_MOVABLE;
	return likely(gfp <= 2) ? (enum migratetype)gfp : MIGRATE_UNMOVABLE;
}

/* What is wrong with a request, once for each place, unless it asks for silence. The value of cond. */
#define WARN_ONCE_GFP(cond, gfp, ...)                                        \
	__extension__({                                                      \
		bool wrong_ = (cond);                                        \
		(void)WARN_ONCE(wrong_ && !((gfp)&GFP_NOWARN), __VA_ARGS__); \
		wrong_;                                                      \
	})

/* The highest zone that may serve. */
static always_inline enum zone_type gfp_zone(gfp_t gfp)
{
	if (unlikely(gfp & GFP_DMA32))
		return ZONE_DMA32;
	return gfp & GFP_MOVABLE ? ZONE_MOVABLE : ZONE_NORMAL;
}

#endif
