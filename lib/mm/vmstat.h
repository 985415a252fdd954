/* SPDX-License-Identifier: MIT */
/*
 * Events and reports, in the formats of /proc. Async-signal-safe: no lock is taken, figures may be torn.
 */
#ifndef MM_VMSTAT_H
#define MM_VMSTAT_H

#include "base/atomic.h"

struct out;

/* Of the whole process, under the names of /proc/vmstat; counted on slow paths alone. What zones and per-CPU lists
 * count (pgalloc_*, pgfree, numa_*) is added up when it is printed. */
#define VM_EVENTS(X)                             \
	X(ALLOCSTALL, "allocstall_normal")       \
	X(PGSCAN_DIRECT, "pgscan_direct")        \
	X(PGSTEAL_DIRECT, "pgsteal_direct")      \
	X(PGSCAN_KSWAPD, "pgscan_kswapd")        \
	X(PGSTEAL_KSWAPD, "pgsteal_kswapd")      \
	X(PAGEOUTRUN, "pageoutrun")              \
	X(ZONE_RECLAIM_SUCCESS, "zone_reclaim_success") \
	X(ZONE_RECLAIM_FAILED, "zone_reclaim_failed") \
	X(SLABS_SCANNED, "slabs_scanned")        \
	X(DROP_PAGECACHE, "drop_pagecache")      \
	X(DROP_SLAB, "drop_slab")                \
	X(OOM_KILL, "oom_kill")                  \
	X(PGMIGRATE_SUCCESS, "pgmigrate_success") \
	X(PGMIGRATE_FAIL, "pgmigrate_fail")      \
	X(COMPACTMIGRATE_SCANNED, "compact_migrate_scanned") \
	X(COMPACTFREE_SCANNED, "compact_free_scanned") \
	X(COMPACTISOLATED, "compact_isolated")   \
	X(COMPACTSTALL, "compact_stall")         \
	X(COMPACTFAIL, "compact_fail")           \
	X(COMPACTSUCCESS, "compact_success")     \
	X(CMA_ALLOC_SUCCESS, "cma_alloc_success") \
	X(CMA_ALLOC_FAIL, "cma_alloc_fail")      \
	X(THP_COLLAPSE_ALLOC, "thp_collapse_alloc") \
	X(THP_COLLAPSE_ALLOC_FAILED, "thp_collapse_alloc_failed") \
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

void print_buddyinfo(struct out *o);

#endif
