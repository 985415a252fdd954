/* SPDX-License-Identifier: MIT */
/*
 * Events and reports, in the formats of /proc. Async-signal-safe: no lock is taken, figures may be torn.
 */
#ifndef MM_VMSTAT_H
#define MM_VMSTAT_H

#include "base/atomic.h"
#include "mm/mmzone.h"

struct out;

/* Of the whole process, under the names of /proc/vmstat; counted on slow paths alone. What zones and per-CPU lists
 * count (pgalloc_*, pgfree, numa_*) is added up when it is printed. */
#define VM_EVENTS(X)                                                    \
	X(ALLOCSTALL, "allocstall_normal")                              \
	X(PGSCAN_DIRECT, "pgscan_direct")                               \
	X(PGSTEAL_DIRECT, "pgsteal_direct")                             \
	X(PGSCAN_KSWAPD, "pgscan_kswapd")                               \
	X(PGSTEAL_KSWAPD, "pgsteal_kswapd")                             \
	X(PGSCAN_DIRECT_THROTTLE, "pgscan_direct_throttle")             \
	X(PGINODESTEAL, "pginodesteal")                                 \
	X(KSWAPD_INODESTEAL, "kswapd_inodesteal")                       \
	X(KSWAPD_LOW_WMARK_HIT_QUICKLY, "kswapd_low_wmark_hit_quickly") \
	X(PAGEOUTRUN, "pageoutrun")                                     \
	X(ZONE_RECLAIM_SUCCESS, "zone_reclaim_success")                 \
	X(ZONE_RECLAIM_FAILED, "zone_reclaim_failed")                   \
	X(SLABS_SCANNED, "slabs_scanned")                               \
	X(DROP_PAGECACHE, "drop_pagecache")                             \
	X(DROP_SLAB, "drop_slab")                                       \
	X(OOM_KILL, "oom_kill")                                         \
	X(PGMIGRATE_SUCCESS, "pgmigrate_success")                       \
	X(PGMIGRATE_FAIL, "pgmigrate_fail")                             \
	X(COMPACTMIGRATE_SCANNED, "compact_migrate_scanned")            \
	X(COMPACTFREE_SCANNED, "compact_free_scanned")                  \
	X(COMPACTISOLATED, "compact_isolated")                          \
	X(COMPACTSTALL, "compact_stall")                                \
	X(COMPACTFAIL, "compact_fail")                                  \
	X(COMPACTSUCCESS, "compact_success")                            \
	X(CMA_ALLOC_SUCCESS, "cma_alloc_success")                       \
	X(CMA_ALLOC_FAIL, "cma_alloc_fail")                             \
	X(THP_COLLAPSE_ALLOC, "thp_collapse_alloc")                     \
	X(THP_COLLAPSE_ALLOC_FAILED, "thp_collapse_alloc_failed")       \
	X(HTLB_BUDDY_ALLOC_SUCCESS, "htlb_buddy_alloc_success")         \
	X(HTLB_BUDDY_ALLOC_FAIL, "htlb_buddy_alloc_fail")               \
	X(FAULTS_INJECTED, "faults_injected")

enum vm_event_item {
#define VM_EVENT_ENUM(item, name) item,
	VM_EVENTS(VM_EVENT_ENUM)
#undef VM_EVENT_ENUM
		NR_VM_EVENT_ITEMS
};
extern unsigned long vm_events[NR_VM_EVENT_ITEMS];

static inline void count_vm_events(enum vm_event_item item, unsigned long nr)
{
	atomic_add_return(&vm_events[item], nr);
}
static inline void count_vm_event(enum vm_event_item item)
{
	count_vm_events(item, 1);
}

/* Of each zone: names, and where they are. The first three are the kernel's; the others are in pages (reserved, dirty:
 * maybe resident) or pageblocks (grown, given back), or events (fallbacks, stolen pageblocks). */
enum zone_stat {
	ZONE_STAT_FREE_PAGES,
	ZONE_STAT_FREE_PAGES_BLOCKS, /* in wholly free pageblocks */
	ZONE_STAT_FREE_CMA,
	ZONE_STAT_FREE_DIRTY,
	ZONE_STAT_RESERVED_HIGHATOMIC,
	ZONE_STAT_GROWN,
	ZONE_STAT_GIVEN_BACK,
	ZONE_STAT_FALLBACK,
	ZONE_STAT_STOLEN,
	NR_ZONE_STAT_ITEMS
};
struct zone_stat_item {
	const char *name;
	unsigned int offset, shift; /* in struct zone; what is counted is 2^shift pages */
};
extern const struct zone_stat_item zone_stat_items[NR_ZONE_STAT_ITEMS];
extern const char *const numa_stat_names[NR_NUMA_STATS];
extern const char *const migratetype_names[MIGRATE_TYPES];

unsigned long zone_stat(const struct zone *zone, enum zone_stat item);
unsigned long zone_numa_stat(const struct zone *zone, enum numa_stat_item item);
/* Pages that are allocated now, and how many ever were. */
unsigned long zone_pages_used(const struct zone *zone);
unsigned long zone_pages_allocated(const struct zone *zone);

/* Each is the file of that name below /proc, or (the last two) below debugfs. */
void print_buddyinfo(struct out *o);
void print_pagetypeinfo(struct out *o);
void print_zoneinfo(struct out *o); /* zoneinfo.c */
void print_vmstat(struct out *o);
void print_extfrag_index(struct out *o);
void print_unusable_index(struct out *o);
/* "0-1,3" */
void print_nodemask(struct out *o, nodemask_t nodes);

#endif
