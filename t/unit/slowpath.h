/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the slow path share. Compaction, the OOM step, kswapd and sleeping are played by them: the linker
 * puts these functions in front of the real ones.
 */
#ifndef T_UNIT_SLOWPATH_H
#define T_UNIT_SLOWPATH_H

#include "mm/compaction.h"
#include "mm/oom.h"
#include "mm/vmscan.h"
#include "walk.h"

/* Compaction: calls, with what priority, and what is to come of each; the last result is repeated. */
static enum compact_result compact_results[8];
static enum compact_priority compact_prio[64];
static unsigned int compactions, defer_resets;
static void (*on_compact)(void);

enum compact_result __wrap_try_to_compact_pages(gfp_t gfp, unsigned int order, unsigned int alloc_flags,
						const struct alloc_context *ac, enum compact_priority prio);
enum compact_result __wrap_try_to_compact_pages(gfp_t gfp, unsigned int order, unsigned int alloc_flags,
						const struct alloc_context *ac, enum compact_priority prio)
{
	enum compact_result result = compact_results[compactions < ARRAY_SIZE(compact_results) ? compactions : 0];

	(void)gfp, (void)order, (void)alloc_flags, (void)ac;
	must(current->flags & PF_MEMALLOC, "callbacks must not compact in turn");
	must(compactions < ARRAY_SIZE(compact_prio), "compaction without end");
	compact_prio[compactions++] = prio;
	if (on_compact)
		on_compact();
	return result;
}

void __wrap_compaction_defer_reset(struct zone *zone, int order, bool alloc_success);
void __wrap_compaction_defer_reset(struct zone *zone, int order, bool alloc_success)
{
	(void)zone, (void)order;
	defer_resets += alloc_success;
}

/* Compaction would have enough to work with, so many times. */
static unsigned int suitable;
static void (*on_suitable)(void);

bool __wrap_compaction_zonelist_suitable(const struct alloc_context *ac, unsigned int order, unsigned int alloc_flags);
bool __wrap_compaction_zonelist_suitable(const struct alloc_context *ac, unsigned int order, unsigned int alloc_flags)
{
	(void)ac, (void)order, (void)alloc_flags;
	if (on_suitable)
		on_suitable();
	return suitable && suitable--;
}

/* The OOM step: calls, and how many of them bring something. */
static unsigned int ooms, oom_helps;
static bool victim;

bool __wrap_out_of_memory(struct oom_control *oc);
bool __wrap_out_of_memory(struct oom_control *oc)
{
	(void)oc;
	must(ooms++ < 64, "OOM step without end");
	return oom_helps && oom_helps--;
}

bool __wrap_tsk_is_oom_victim(void);
bool __wrap_tsk_is_oom_victim(void)
{
	return victim;
}

static unsigned int sleeps;
static void (*on_sleep)(void);

void __wrap_os_sleep_ms(unsigned int ms);
void __wrap_os_sleep_ms(unsigned int ms)
{
	must(ms == 1 && sleeps++ < 64, "sleep without end");
	if (on_sleep)
		on_sleep();
}

void __wrap_oom_wait_for_news(uint32_t seen);
void __wrap_oom_wait_for_news(uint32_t seen)
{
	must(seen == oom_news() && sleeps++ < 64, "wait without end");
	if (on_sleep)
		on_sleep();
}

static unsigned int wakeups;

void __wrap_wakeup_kswapd(struct zone *zone, gfp_t gfp, unsigned int order, enum zone_type highest_zoneidx);
void __wrap_wakeup_kswapd(struct zone *zone, gfp_t gfp, unsigned int order, enum zone_type highest_zoneidx)
{
	(void)zone, (void)gfp, (void)order, (void)highest_zoneidx;
	wakeups++;
}

/* A cache that says it has pages, and gives what it wants: so many times so much is said to be freed. */
static unsigned long cached;
static unsigned int scans, helping_scans;
static void (*on_scan)(void);

TAP_UNUSED unsigned long count_cached(int nid)
{
	(void)nid;
	return cached;
}

TAP_UNUSED unsigned long scan_cached(int nid, unsigned long nr)
{
	(void)nid, (void)nr;
	must(current->flags & PF_MEMALLOC, "shrinkers must not reclaim in turn");
	scans++;
	if (on_scan)
		on_scan();
	return helping_scans && helping_scans-- ? 1000 : 0;
}

static struct shrinker cache = { .name = "cache", .count = count_cached, .scan = scan_cached };
static struct zone *zone;

/* nr_free single pages are free; a cache has some more. */
TAP_UNUSED void start(unsigned long nr_free, unsigned long nr_cached)
{
	zone = walk_start_with(nr_free);
	register_shrinker(&cache);
	cached = nr_cached;
}

TAP_UNUSED void set_min(unsigned long min)
{
	set_marks(zone, min, min, min);
}

TAP_UNUSED unsigned long stalls(void)
{
	return vm_events[ALLOCSTALL];
}

/* A page: it is given back at once. */
TAP_UNUSED bool get(gfp_t gfp, unsigned int order)
{
	struct page *page = alloc_pages(gfp | GFP_NOWARN, order);

	if (page)
		free_pages(page, order);
	return page;
}

/* Rounds of reclaim of a request that fails. */
TAP_UNUSED unsigned long rounds(gfp_t gfp, unsigned int order)
{
	unsigned long before = stalls();

	must(!get(gfp, order));
	return stalls() - before;
}

/* What is freed while we sleep, or by reclaim. */
static struct page *kept;

#endif
