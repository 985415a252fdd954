/* SPDX-License-Identifier: MIT */
/*
 * Zones grow by pageblocks: of the arenas, or below 4 GiB.
 */
#ifndef MM_MEMORY_HOTPLUG_H
#define MM_MEMORY_HOTPLUG_H

#include "mm/gfp.h"
#include "mm/page.h"

struct alloc_context;
struct zone;

/* Pageblocks from the arenas into the zone; false: there are none. No lock held, but the zone's grow_lock. */
bool zone_grow(struct zone *zone, unsigned int order, enum migratetype mt);
/* So many side by side. */
bool zone_grow_blocks(struct zone *zone, unsigned long nr, enum migratetype mt);
/* zone_grow for a request: what its flags and rights allow. With its grow lock held, so that who had to wait looks
 * first at what another has brought. */
bool zone_grow_for(struct zone *zone, unsigned int order, enum migratetype mt, gfp_t gfp, unsigned int alloc_flags);
/* Until the zone meets the request's mark; false: it does not. No lock held. */
bool zone_grow_to_mark(struct zone *zone, unsigned int order, gfp_t gfp, unsigned int alloc_flags,
		       const struct alloc_context *ac);
/* Pageblocks that have just become the zone's: free, of the migratetype. No lock held. */
void zone_online_blocks(struct zone *zone, unsigned long pb, unsigned long nr, enum migratetype mt, bool dirty);

#endif
