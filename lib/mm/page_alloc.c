/* SPDX-License-Identifier: MIT */
/*
 * A request for pages, in the kernel's steps: the policy picks the node, prepare_alloc_pages sets the context up, the
 * zonelist is walked (zonelist.c); the slow path (slowpath.c) when that fails. The short way of requests that nothing
 * is special about. And the way back.
 */
#include "mm/page_alloc.h"

#include "base/annotate.h"
#include "base/trace.h"
#include "mm/arena.h"
#include "mm/balance_inner.h"
#include "mm/buddy.h"
#include "mm/current.h"
#include "mm/debug.h"
#include "mm/fault_inject.h"
#include "mm/internal.h"
#include "mm/mempolicy.h"
#include "mm/migrate.h"
#include "mm/owner.h"
#include "mm/pcp.h"
#include "mm/sparse.h"
#include "os/os.h"

#define LISTS_FOR_ALL_CPUS 8

gfp_t gfp_allowed_mask = GFP_BOOT_MASK;

static void topology_init_once(void)
{
	if (topology_from != topology_root)
		topology_init(topology_root);
}

void mm_init_early(void)
{
	topology_init_once();
	/* A few lists are not worth looking at cgroups for, which a short process would pay. */
	if (unlikely(topology.nr_cpus > LISTS_FOR_ALL_CPUS))
		pcp_follow_quota();
}

int mm_init(void)
{
	int err;

	arena_init();
	topology_init_once();
	/* A try before this one may have failed after the window was had. */
	err = vmemmap.nr_pages ? 0 : sparse_init();
	if (!err)
		err = free_area_init();
	/* What the loader allocates stays for as long as the process: it is where the process's policy says, too. */
	if (!err)
		mempolicy_init();
	return err;
}

void mm_init_late(void)
{
	os_cpu_init(); /* libc may not have had its rseq area the first time */
	alloc_fast_open();
	WRITE_ONCE(gfp_allowed_mask, GFP_BITS_MASK);
}

static always_inline void debug_check_zone(const struct page *page)
{
#ifdef BM_DEBUG
	check_zone(pfn_to_zone(page_to_pfn(page)));
#else
	(void)page;
#endif
}

void reset_preferred(struct alloc_context *ac)
{
	ac->preferred = next_zones_zonelist(ac->zonelist->zones, ac->lowest_zoneidx, ac->highest_zoneidx, ac->nodemask);
}

/* The context of a request; false: it fails, as a test wants it to. That no zone will do is found out by the slow path,
 * which knows who may leave the cpuset, and what to say. */
static bool prepare_alloc_pages(gfp_t gfp, unsigned int order, int preferred_nid, const nodemask_t *nodemask,
				struct alloc_context *ac, unsigned int *alloc_flags)
{
	int list = gfp & GFP_THISNODE ? ZONELIST_NOFALLBACK : ZONELIST_FALLBACK;

	ac->zonelist = NODE_DATA(preferred_nid)->node_zonelists[list];
	ac->nodemask = nodemask;
	ac->migratetype = gfp_migratetype(gfp);
	ac->highest_zoneidx = gfp_zone(gfp);
	ac->lowest_zoneidx = gfp & GFP_NOLOWMEM ? ZONE_NORMAL : ZONE_DMA32;
	if (unlikely(cpusets_enabled())) {
		if (!nodemask)
			ac->nodemask = &cpuset_mems_allowed;
		else
			*alloc_flags |= ALLOC_CPUSET;
	}
	if (unlikely(READ_ONCE(fail_page_alloc_enabled)) && should_fail_alloc_page(gfp, order))
		return false;
	if (ac->migratetype == MIGRATE_MOVABLE)
		*alloc_flags |= ALLOC_CMA;
	reset_preferred(ac);
	return true;
}

struct page *alloc_pages_nodemask(gfp_t gfp, unsigned int order, int preferred_nid, const nodemask_t *nodemask)
{
	unsigned int alloc_flags = ALLOC_WMARK_LOW;
	struct alloc_context ac;
	struct page *page;

	if (unlikely(order >= MAX_ORDER)) {
		WARN_ONCE_GFP(true, gfp, "page allocation of order %u: the largest is %d", order, MAX_ORDER - 1);
		return NULL;
	}
	gfp &= READ_ONCE(gfp_allowed_mask);
	if (unlikely(current->flags & PF_MEMALLOC_PIN))
		gfp &= ~GFP_MOVABLE;
	mems_allowed_poll();
	if (unlikely(!prepare_alloc_pages(gfp, order, preferred_nid, nodemask, &ac, &alloc_flags)))
		return NULL;
	/* There is always somewhere to grow instead: the first try mixes nothing. */
	alloc_flags |= ALLOC_NOFRAGMENT | (gfp & GFP_KSWAPD_RECLAIM ? ALLOC_KSWAPD : 0);
	page = get_page_from_freelist(gfp | GFP_HARDWALL, order, alloc_flags, &ac);
	if (unlikely(!page)) {
		/* The first try may have been confined to the cpuset for speed alone. */
		ac.nodemask = nodemask;
		page = alloc_pages_slowpath(current_gfp_context(gfp), order, &ac);
	}
	trace_mm_page_alloc(page ? page_to_addr(page) : NULL, order, gfp, ac.migratetype);
	if (page)
		debug_check_zone(page);
	return page;
}

/* Over the nodes of the policy in turn. */
static struct page *alloc_page_interleave(gfp_t gfp, unsigned int order, int nid)
{
	struct page *page = alloc_pages_nodemask(gfp, order, nid, NULL);

	if (page && pfn_to_zone(page_to_pfn(page))->nid == nid)
		atomic_add_return(&pfn_to_zone(page_to_pfn(page))->numa[NUMA_INTERLEAVE_HIT], 1);
	return page;
}

/*
 * The walk of a request that nothing is special about, where it ends most of the time: the near zone Normal, no mark in
 * force. NULL: walk.
 */
struct page *alloc_pages_fast(unsigned int order)
{
	struct zone *zone = zone_table[numa_node_id() * MAX_NR_ZONES + ZONE_NORMAL];
	struct page *page;

	if (unlikely(data_race(zone->watermark[WMARK_LOW])))
		return NULL;
	if (pcp_allowed_order(order)) {
		page = rmqueue_pcplist(zone, order, MIGRATE_UNMOVABLE, ALLOC_WMARK_LOW | ALLOC_NOFRAGMENT);
	} else {
		mutex_lock(&zone->lock);
		page = rmqueue_smallest(zone, order, MIGRATE_UNMOVABLE);
		if (page) {
			ADD_ONCE(zone->nr_alloc_fast, 1);
			ADD_ONCE(zone->nr_alloc_pages, 1UL << order);
			trace_mm_page_alloc_zone_locked(page_to_window_addr(page), order, MIGRATE_UNMOVABLE, 0);
		}
		mutex_unlock(&zone->lock);
	}
	if (likely(page)) {
		uint64_t word = pcp_word(zone, order, MIGRATE_UNMOVABLE, 1);

		if (!(page->flags & PG_DIRTY))
			word -= pcp_dirty_word;
		__atomic_store_n(&page->word, word, __ATOMIC_RELAXED);
	}
	return page;
}

/* From the nodes of the policy, as long as that takes no reclaim; else from all. */
static struct page *alloc_pages_preferred_many(gfp_t gfp, unsigned int order, const struct mempolicy *pol)
{
	gfp_t light = (gfp | GFP_NOWARN) & ~(GFP_DIRECT_RECLAIM | GFP_NOFAIL);
	struct page *page = alloc_pages_nodemask(light, order, numa_node_id(), &pol->nodes);

	return page ? page : alloc_pages_nodemask(gfp, order, numa_node_id(), NULL);
}

struct page *alloc_pages_policy(gfp_t gfp, unsigned int order, int nid, const struct mempolicy *pol)
{
	if (unlikely(pol->mode == POLICY_PREFERRED_MANY))
		return alloc_pages_preferred_many(gfp, order, pol);
	return alloc_pages_nodemask(gfp, order, nid, policy_nodemask(gfp, pol));
}

struct page *alloc_pages(gfp_t gfp, unsigned int order)
{
	const struct mempolicy *pol;
	struct page *page;

	if (likely((gfp & ~GFP_NOLOWMEM) < data_race(gfp_fast_limit) && order < MAX_ORDER &&
		   !(order && gfp & GFP_COMP))) {
		if (!pcp_allowed_order(order) || !alloc_block_fast(order, &page))
			page = alloc_pages_fast(order);
		if (likely(page)) {
			trace_mm_page_alloc(page_to_window_addr(page), order, gfp, MIGRATE_UNMOVABLE);
			debug_check_zone(page);
			return page;
		}
	}

	if (likely(topology.nr_nodes == 1))
		return alloc_pages_nodemask(gfp, order, numa_node_id(), NULL);
	pol = get_task_policy(gfp);
	if (unlikely(mpol_interleaves(pol)))
		return alloc_page_interleave(gfp, order, interleave_nodes(pol));
	return alloc_pages_policy(gfp, order, policy_node(gfp, pol, numa_node_id()), pol);
}

bool put_page_testzero(struct page *page)
{
	/* One reference is ours: nobody else can be taking or dropping one, but to move the block. */
	if (likely(READ_ONCE(page->refcount) == 1 && !(READ_ONCE(page->flags) & PG_MOVABLE))) {
		WRITE_ONCE(page->refcount, 0);
		return true;
	}
	return !__atomic_sub_fetch(&page->refcount, 1, __ATOMIC_ACQ_REL);
}

void free_the_page(struct page *page, unsigned int order)
{
	unsigned long pfn = page_to_pfn(page);
	struct zone *zone = pfn_to_zone(pfn);

	VM_BUG_ON(page_type(page) == PAGE_BUDDY);
	trace_mm_page_free(page_to_addr(page), order);
	if (unlikely(page->flags & (PG_COMPOUND | PG_MOVABLE | PG_CHARGED)) && page_type(page) == PAGE_HEAD) {
		if (page->flags & PG_CHARGED)
			owner_uncharge_block(page, order);
		if (page->flags & PG_MOVABLE)
			clear_page_movable(page);
		if (page->flags & PG_COMPOUND)
			destroy_compound_page(page, order);
	}
	if (unlikely(annotate_listening))
		annotate_noaccess(page_to_addr(page), PAGE_SIZE << order);
	if (unlikely(page_debug))
		debug_free_pages(pfn, 1UL << order);
	if (pcp_allowed_order(order) && free_pcp_page(zone, page, order))
		return;
	mutex_lock(&zone->lock);
	free_one_page(zone, pfn, order, true);
	mutex_unlock(&zone->lock);
	balance_zone(zone);
}

void free_pages(struct page *page, unsigned int order)
{
	if (put_page_testzero(page))
		free_the_page(page, order);
}
