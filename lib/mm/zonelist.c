/* SPDX-License-Identifier: MIT */
/*
 * The walk over a request's zonelist, in the kernel's steps: get_page_from_freelist asks zone after zone for its mark,
 * takes from its per-CPU lists or its free lists, and has it grow where they run dry. No policy, no waiting: those are
 * page_alloc.c's and slowpath.c's.
 *
 * Lock order: grow, zone, arena. The first alone is held from one step to the next.
 */
#include "base/annotate.h"
#include "mm/balance_inner.h"
#include "mm/buddy.h"
#include "mm/budget.h"
#include "mm/current.h"
#include "mm/debug.h"
#include "mm/internal.h"
#include "mm/kswapd.h"
#include "mm/memory_hotplug.h"
#include "mm/mempolicy.h"
#include "mm/page_alloc.h"
#include "mm/pcp.h"
#include "mm/settle.h"
#include "mm/vmscan.h"

/* Has the zone its mark left after this allocation? While no limit is in force the free lists themselves are asked. */
static bool zone_watermark_fast(const struct zone *zone, unsigned int order, unsigned long mark,
				enum zone_type highest_zoneidx, unsigned int alloc_flags, gfp_t gfp)
{
	unsigned long reserve = mark + READ_ONCE(zone->lowmem_reserve[highest_zoneidx]);

	if (likely(!reserve))
		return true;
	if (zone_watermark_ok(zone, order, mark, highest_zoneidx, alloc_flags))
		return true;
	/* The boost is there to let kswapd work: it is no reason to fail one who cannot wait. */
	if (!order && gfp & GFP_ATOMIC_BIT && READ_ONCE(zone->watermark_boost) &&
	    (alloc_flags & ALLOC_WMARK_MASK) == ALLOC_WMARK_MIN)
		return zone_watermark_ok(zone, order, READ_ONCE(zone->watermark[WMARK_MIN]), highest_zoneidx,
					 alloc_flags);
	return false;
}

/* Zones count whose allocation it was: asked of preferred, served by zone. What a per-CPU list served is a hit and
 * local when it is added up (zone_numa_stat): here only what was not so is put right. */
static void zone_statistics(struct zone *preferred, struct zone *zone, bool by_pcplist)
{
	if (!by_pcplist) {
		atomic_add_return(&zone->numa[NUMA_HIT], 1);
		atomic_add_return(&zone->numa[NUMA_LOCAL], 1);
	}
	if (zone->nid != preferred->nid) {
		atomic_sub_return(&zone->numa[NUMA_HIT], 1);
		atomic_add_return(&zone->numa[NUMA_MISS], 1);
		atomic_add_return(&preferred->numa[NUMA_FOREIGN], 1);
	}
	if (zone->nid != numa_node_id()) {
		atomic_sub_return(&zone->numa[NUMA_LOCAL], 1);
		atomic_add_return(&zone->numa[NUMA_OTHER], 1);
	}
}

/* For who wants no page of another node. A block that is not of its node, and will not be, is free again;
 * by_pcplist: its list has counted it. */
static struct page *settled_or_free(struct zone *zone, struct page *page, unsigned int order, bool by_pcplist)
{
	if (likely(settle_pages(page, 1UL << order))) {
		/* There is memory behind it, and behind what is cut off. Debugging looks at what dirty pages hold. */
		if (likely(!page_debug))
			page->flags |= PG_DIRTY;
		return page;
	}
	current->unsettled = true;
	if (by_pcplist) {
		atomic_sub_return(&zone->numa[NUMA_HIT], 1);
		atomic_sub_return(&zone->numa[NUMA_LOCAL], 1);
	}
	mutex_lock(&zone->lock);
	free_one_page(zone, page_to_pfn(page), order, page->flags & PG_DIRTY);
	mutex_unlock(&zone->lock);
	return NULL;
}

static struct page *rmqueue(struct zone *preferred, struct zone *zone, unsigned int order, gfp_t gfp,
			    unsigned int alloc_flags, enum migratetype mt)
{
	struct page *page;

	if (unlikely(!smp_load_acquire(&zone->pageset))) /* it never grew: it has nothing */
		return NULL;
	/* CMA pages are in the lists for movable ones: not for who may not have them. */
	if (pcp_allowed_order(order) &&
	    (mt != MIGRATE_MOVABLE || alloc_flags & ALLOC_CMA || !READ_ONCE(zone->nr_cma))) {
		page = rmqueue_pcplist(zone, order, mt, alloc_flags);
		if (unlikely(alloc_flags & ALLOC_SETTLED) && page)
			page = settled_or_free(zone, page, order, true);
		if (likely(page)) {
			if (unlikely(topology.nr_nodes > 1))
				zone_statistics(preferred, zone, true);
			goto out;
		}
	}
	WARN_ONCE_GFP(gfp & GFP_NOFAIL && order > 1, gfp, "NOFAIL page allocation of order %u: at most 1 is expected",
		      order);
	do {
		mutex_lock(&zone->lock);
		page = rmqueue_buddy(zone, order, mt, alloc_flags);
		if (page)
			ADD_ONCE(zone->nr_alloc_pages, 1UL << order);
		mutex_unlock(&zone->lock);
	} while (page && unlikely(page_debug) && check_new_pages(page, order));
	if (unlikely(alloc_flags & ALLOC_SETTLED) && page)
		page = settled_or_free(zone, page, order, false);
	if (page)
		zone_statistics(preferred, zone, false);
out:
	if (unlikely(READ_ONCE(zone->flags) & ZONE_BOOSTED_WATERMARK)) {
		__atomic_and_fetch(&zone->flags, (uint8_t)~ZONE_BOOSTED_WATERMARK, __ATOMIC_RELAXED);
		wakeup_kswapd(zone, 0, 0, zone->idx);
	}
	return page;
}

static void post_alloc_hook(struct page *page, unsigned int order, gfp_t gfp)
{
	struct page new = { .word = pcp_word(pfn_to_zone(page_to_pfn(page)), order, gfp_migratetype(gfp), 1) };

	if (!(page->flags & PG_DIRTY))
		new.flags &= (uint8_t)~PG_DIRTY;
	page->owner = 0;
	__atomic_store_n(&page->word, new.word, __ATOMIC_RELAXED);
	if (unlikely(page_debug))
		debug_alloc_pages(page, order, gfp);
}

static cold void annotate_new_pages(const void *addr, size_t size, bool zeroed)
{
	if (zeroed)
		annotate_defined(addr, size);
	else
		annotate_undefined(addr, size);
}

void prep_new_page(struct page *page, unsigned int order, gfp_t gfp, unsigned int alloc_flags)
{
	post_alloc_hook(page, order, gfp);
	if (want_init_on_alloc(gfp))
		kernel_init_free_pages(page, order);
	if (unlikely(annotate_listening) && !(gfp & GFP_NOLOWMEM)) /* malloc tells of its blocks itself */
		annotate_new_pages(page_to_addr(page), PAGE_SIZE << order, want_init_on_alloc(gfp));
	if (unlikely(order && gfp & GFP_COMP))
		prep_compound_page(page, order);
	if (unlikely(alloc_flags & ALLOC_NO_WATERMARKS))
		page->flags |= PG_PFMEMALLOC;
}

/* Nodes in use above the average by more than this are passed over by who wants to spread. */
#define SPREAD_SLACK (4 * PAGEBLOCK_PAGES)

static unsigned long node_used_pages(const pg_data_t *pgdat)
{
	unsigned long used = 0;
	int z;

	for (z = 0; z < MAX_NR_ZONES; z++)
		used += READ_ONCE(pgdat->node_zones[z].managed_pages) - READ_ONCE(pgdat->node_zones[z].nr_free_pages);
	return used;
}

/* In the place of the kernel's limit on dirty pages of a node: what will be written is shared out fairly. */
static bool node_dirty_ok(int nid)
{
	unsigned long all = 0, nodes = 0;
	int other;

	for_each_online_node (other) {
		all += node_used_pages(NODE_DATA(other));
		nodes++;
	}
	return node_used_pages(NODE_DATA(nid)) <= all / nodes + SPREAD_SLACK;
}

/* Zones grow for those who may not use a higher one; or for others, where the system had nothing to start that with. */
static bool zone_may_grow(const struct zone *zone, const struct alloc_context *ac)
{
	return zone->idx == ac->highest_zoneidx ||
	       (zone->idx == ZONE_NORMAL &&
		!smp_load_acquire(&NODE_DATA(zone->nid)->node_zones[ac->highest_zoneidx].pageset));
}

/* The zone is below its mark: more of it, or the reserve, or reclaim on its node. */
static bool zone_help(struct zone *zone, unsigned int order, gfp_t gfp, unsigned int alloc_flags, unsigned long mark,
		      const struct alloc_context *ac)
{
	/* Under a limit what it could grow by has been counted, and is not there; but others may have given back what
	 * they had. */
	if (unlikely(READ_ONCE(limits_in_force))) {
		budget_poll();
		if (zone_watermark_ok(zone, order, mark, ac->highest_zoneidx, alloc_flags))
			return true;
	}
	if (!READ_ONCE(limits_in_force) && zone_may_grow(zone, ac) &&
	    zone_grow_to_mark(zone, order, gfp, alloc_flags, ac))
		return true;
	BUILD_BUG_ON(ALLOC_NO_WATERMARKS < NR_WMARK);
	if (alloc_flags & ALLOC_NO_WATERMARKS)
		return true;
	if (!READ_ONCE(node_reclaim_mode) || !zone_allows_reclaim(*ac->preferred, zone))
		return false;
	return node_reclaim(NODE_DATA(zone->nid), gfp, order) >= NODE_RECLAIM_SOME &&
	       zone_watermark_ok(zone, order, mark, ac->highest_zoneidx, alloc_flags);
}

/* Before the zone of movable blocks grows: what the node's CMA areas lend, by the same rule as in their own zone. */
static struct page *rmqueue_lent(struct zone *preferred, const struct zone *zone, unsigned int order,
				 unsigned int alloc_flags)
{
	struct zone *lender = &NODE_DATA(zone->nid)->node_zones[ZONE_NORMAL];
	struct page *page;

	if (zone->idx != ZONE_MOVABLE || !(alloc_flags & ALLOC_CMA) || likely(!READ_ONCE(lender->nr_free_cma)) ||
	    READ_ONCE(lender->nr_free_cma) <= READ_ONCE(lender->nr_free_pages) / 2)
		return NULL;
	mutex_lock(&lender->lock);
	page = rmqueue_smallest(lender, order, MIGRATE_CMA);
	if (page)
		ADD_ONCE(lender->nr_alloc_pages, 1UL << order);
	mutex_unlock(&lender->lock);
	if (unlikely(alloc_flags & ALLOC_SETTLED) && page)
		page = settled_or_free(lender, page, order, false);
	if (page)
		zone_statistics(preferred, lender, false);
	return page;
}

/* Its lists were empty when it had grown so often. */
static struct page *rmqueue_grow(struct zone *zone, gfp_t gfp, unsigned int order, unsigned int alloc_flags,
				 const struct alloc_context *ac, unsigned long grown)
{
	struct page *page = NULL;

	mutex_lock(&zone->grow_lock);
	if (READ_ONCE(zone->nr_grown) != grown)
		page = rmqueue(*ac->preferred, zone, order, gfp, alloc_flags, ac->migratetype);
	if (!page && zone_grow_for(zone, order, ac->migratetype, gfp, alloc_flags))
		page = rmqueue(*ac->preferred, zone, order, gfp, alloc_flags, ac->migratetype);
	mutex_unlock(&zone->grow_lock);
	return page;
}

static struct page *try_this_zone(struct zone *zone, gfp_t gfp, unsigned int order, unsigned int alloc_flags,
				  const struct alloc_context *ac)
{
	unsigned long grown = READ_ONCE(zone->nr_grown);
	struct page *page = rmqueue(*ac->preferred, zone, order, gfp, alloc_flags, ac->migratetype);

	if (!page)
		page = rmqueue_lent(*ac->preferred, zone, order, alloc_flags);
	if (!page && drop_kept_pages(zone))
		page = rmqueue(*ac->preferred, zone, order, gfp, alloc_flags, ac->migratetype);
	if (!page && zone_may_grow(zone, ac))
		page = rmqueue_grow(zone, gfp, order, alloc_flags, ac, grown);
	if (!page)
		return NULL;
	prep_new_page(page, order, gfp, alloc_flags);
	/* Who may not wait for a large block shall find the next one, too. */
	if (unlikely(order && alloc_flags & ALLOC_HARDER))
		reserve_highatomic_pageblock(page, zone);
	return page;
}

/* One pass over the zonelist. *again: nothing, but only because fragmentation was to be avoided, or nodes spared. */
static struct page *walk_zonelist(gfp_t gfp, unsigned int order, unsigned int alloc_flags,
				  const struct alloc_context *ac, bool spread, bool *again)
{
	struct zone *zone, **z;

	*again = alloc_flags & ALLOC_NOFRAGMENT || spread;
	for_each_zone_of (zone, z, ac) {
		unsigned long mark;
		struct page *page;

		if (alloc_flags & ALLOC_CPUSET && unlikely(cpusets_enabled()) && !cpuset_zone_allowed(zone, gfp))
			continue;
		if (spread && !node_dirty_ok(zone->nid))
			continue;
		/* Rather mix migratetypes on the near node than go to a far one. */
		if (alloc_flags & ALLOC_NOFRAGMENT && zone->nid != (*ac->preferred)->nid && !spread)
			return NULL;
		mark = wmark_pages(zone, alloc_flags);
		if (!zone_watermark_fast(zone, order, mark, ac->highest_zoneidx, alloc_flags, gfp) &&
		    !zone_help(zone, order, gfp, alloc_flags, mark, ac))
			continue;
		page = try_this_zone(zone, gfp, order, alloc_flags, ac);
		if (page)
			return page;
	}
	return NULL;
}

struct page *get_page_from_freelist(gfp_t gfp, unsigned int order, unsigned int alloc_flags,
				    const struct alloc_context *ac)
{
	bool spread = gfp & GFP_WRITE && topology.nr_nodes > 1, again;
	struct page *page;

	if (wants_settled(gfp, ac->nodemask))
		alloc_flags |= ALLOC_SETTLED;
	page = walk_zonelist(gfp, order, alloc_flags, ac, spread, &again);
	if (unlikely(!page) && again)
		page = walk_zonelist(gfp, order, alloc_flags & ~ALLOC_NOFRAGMENT, ac, false, &again);
	return page;
}
