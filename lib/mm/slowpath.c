/* SPDX-License-Identifier: MIT */
/*
 * The slow path: what is done, step by step, when the free lists have nothing at the low mark. Who may not wait gets a
 * second look with more rights; who may reclaims, compacts, and tries again as long as that makes progress; and at last
 * somebody is aborted. No lock is held but the oom lock, and that is only ever tried.
 */
#include "base/trace.h"
#include "base/tunables.h"
#include "mm/arena.h"
#include "mm/balance_inner.h"
#include "mm/buddy.h"
#include "mm/budget.h"
#include "mm/compaction.h"
#include "mm/fault_inject.h"
#include "mm/internal.h"
#include "mm/kswapd.h"
#include "mm/mempolicy.h"
#include "mm/oom.h"
#include "mm/page_alloc.h"
#include "mm/pcp.h"
#include "mm/pressure.h"
#include "mm/settle.h"
#include "mm/vmscan.h"
#include "mm/vmstat.h"
#include "os/os.h"

/* Rounds of compaction without success. */
#define MAX_COMPACT_RETRIES 16

/* Who waits at the OOM step looks more often than that. */
#define LOOK_MS 100

/* One request's way through. */
struct slowpath {
	gfp_t gfp;
	unsigned int order;
	unsigned int alloc_flags;
	struct alloc_context *ac;
	unsigned int cpuset_mems_cookie;
	bool retry_cpuset; /* what the cpuset allows has changed: begin again */
	unsigned long did_some_progress;
	enum compact_priority compact_priority;
	enum compact_result compact_result;
	int compaction_retries;
	int no_progress_loops;
};

static unsigned int gfp_to_alloc_flags_cma(gfp_t gfp, unsigned int alloc_flags)
{
	return gfp_migratetype(gfp) == MIGRATE_MOVABLE ? alloc_flags | ALLOC_CMA : alloc_flags;
}

/* The min mark; and for those who cannot wait a part of what lies below it. */
static unsigned int gfp_to_alloc_flags(gfp_t gfp)
{
	unsigned int alloc_flags = ALLOC_WMARK_MIN | ALLOC_CPUSET;

	if (gfp & GFP_HIGH)
		alloc_flags |= ALLOC_HIGH;
	if (gfp & GFP_KSWAPD_RECLAIM)
		alloc_flags |= ALLOC_KSWAPD;
	if (gfp & GFP_ATOMIC_BIT) {
		/* Speculative ones give up early, and are not worth the reserve. */
		if (!(gfp & GFP_NOMEMALLOC))
			alloc_flags |= ALLOC_HARDER;
		alloc_flags &= ~ALLOC_CPUSET;
	}
	return gfp_to_alloc_flags_cma(gfp, alloc_flags);
}

/* The rights of this request on the reserve: none, a victim's part, or all. */
static unsigned int gfp_pfmemalloc_flags(gfp_t gfp)
{
	if (unlikely(gfp & GFP_NOMEMALLOC))
		return 0;
	if (unlikely(gfp & GFP_MEMALLOC || current->flags & PF_MEMALLOC))
		return ALLOC_NO_WATERMARKS;
	return tsk_is_oom_victim() ? ALLOC_OOM : 0;
}

/* May a request with these flags use the reserve? */
static bool gfp_pfmemalloc_allowed(gfp_t gfp)
{
	return gfp_pfmemalloc_flags(gfp) != 0;
}

static void wake_all_kswapds(const struct slowpath *s)
{
	struct zone *zone, **z;

	for_each_zone_of (zone, z, s->ac)
		wakeup_kswapd(zone, s->gfp, s->order, s->ac->highest_zoneidx);
}

static struct page *try_freelist(const struct slowpath *s)
{
	return get_page_from_freelist(s->gfp, s->order, s->alloc_flags, s->ac);
}

static struct page *alloc_pages_direct_compact(struct slowpath *s, enum compact_priority prio)
{
	unsigned long stalled;
	unsigned int memalloc;
	struct page *page;

	if (!s->order) {
		s->compact_result = COMPACT_SKIPPED;
		return NULL;
	}
	/* Callbacks that allocate, though they must not, shall not compact in turn. */
	psi_memstall_enter(&stalled);
	memalloc = current->flags & PF_MEMALLOC;
	current->flags |= PF_MEMALLOC;
	s->compact_result = try_to_compact_pages(s->gfp, s->order, s->alloc_flags, s->ac, prio);
	current->flags = (current->flags & ~PF_MEMALLOC) | memalloc;
	psi_memstall_leave(&stalled);
	if (s->compact_result <= COMPACT_DEFERRED)
		return NULL;
	count_vm_event(COMPACTSTALL);
	drain_all_pages();
	page = try_freelist(s);
	if (page) {
		compaction_defer_reset(pfn_to_zone(page_to_pfn(page)), (int)s->order, true);
		count_vm_event(COMPACTSUCCESS);
		return page;
	}
	count_vm_event(COMPACTFAIL);
	return NULL;
}

static struct page *alloc_pages_direct_reclaim(struct slowpath *s)
{
	struct page *page;
	bool drained = false;

	s->did_some_progress = try_to_free_pages(s->ac->zonelist, s->order, s->gfp, s->ac->nodemask);
	if (!s->did_some_progress)
		return NULL;
	settle_again();
	for (;;) {
		page = try_freelist(s);
		if (page || drained)
			return page;
		/* What was freed may lie in per-CPU lists, or in the reserve for those who cannot wait. */
		unreserve_highatomic_pageblock(s->ac, false);
		drain_all_pages();
		drained = true;
	}
}

/* Could some zone serve it, were all freed that can be? Then reclaim is worth another round. */
static bool should_reclaim_retry(struct slowpath *s)
{
	struct zone *zone, **z;

	/* Costly orders may reclaim for ever without ever forming a block: that is no progress. */
	if (s->did_some_progress && s->order <= PAGE_ALLOC_COSTLY_ORDER)
		s->no_progress_loops = 0;
	else
		s->no_progress_loops++;
	if (s->no_progress_loops > MAX_RECLAIM_RETRIES)
		return unreserve_highatomic_pageblock(s->ac, true);
	for_each_zone_of (zone, z, s->ac) {
		unsigned long available = zone_reclaimable_pages(zone) + READ_ONCE(zone->nr_free_pages);

		if (!populated_zone(zone))
			continue;
		if (s->alloc_flags & ALLOC_CPUSET && cpusets_enabled() && !cpuset_zone_allowed(zone, s->gfp))
			continue;
		if (zone_watermark_ok_pages(zone, s->order, READ_ONCE(zone->watermark[WMARK_MIN]),
					    s->ac->highest_zoneidx, s->alloc_flags, available))
			return true;
	}
	/* Nothing is withheld from one who is about to fail. */
	return unreserve_highatomic_pageblock(s->ac, true);
}

/* Compaction failed; with more effort, or after more reclaim, it may not. */
static bool should_compact_retry(struct slowpath *s)
{
	int max_retries = MAX_COMPACT_RETRIES;
	enum compact_priority min_priority;

	if (!s->order)
		return false;
	if (compaction_made_progress(s->compact_result))
		s->compaction_retries++;
	if (!compaction_failed(s->compact_result)) {
		/* It had nothing to work with: reclaim gives it that. */
		if (compaction_needs_reclaim(s->compact_result))
			return compaction_zonelist_suitable(s->ac, s->order, s->alloc_flags);
		if (!compaction_withdrawn(s->compact_result)) {
			if (s->order > PAGE_ALLOC_COSTLY_ORDER)
				max_retries /= 4;
			if (s->compaction_retries <= max_retries)
				return true;
		}
	}
	min_priority = s->order > PAGE_ALLOC_COSTLY_ORDER ? MIN_COMPACT_COSTLY_PRIORITY : MIN_COMPACT_PRIORITY;
	if (s->compact_priority > min_priority) {
		s->compact_priority--;
		s->compaction_retries = 0;
		return true;
	}
	return false;
}

/* Whom the OOM step cannot help, or must not. */
static bool oom_exempt(const struct slowpath *s)
{
	/* However many are ended, that does not make a large block. */
	if (s->order > PAGE_ALLOC_COSTLY_ORDER)
		return true;
	if (s->gfp & GFP_NOFAIL)
		return false;
	if (current->flags & PF_DUMPCORE)
		return true;
	/* It asked for all but that. */
	if (s->gfp & (GFP_RETRY_MAYFAIL | GFP_THISNODE))
		return true;
	if (s->ac->highest_zoneidx < ZONE_NORMAL)
		return true;
	/* The application's caches could not be asked. The kernel lets it loop until somebody else may; here there may
	 * be nobody else, and NULL is better than a process that hangs. */
	return !(s->gfp & GFP_FS);
}

/*
 * A thread that has taken a pageblock from the arenas and lost its CPU before its zone had it is waited for as a victim
 * is: what it holds is nobody's, and would count for the process. Under the oom lock.
 */
static bool blocks_on_the_way(void)
{
	static unsigned long seen, in_vain;
	static uint64_t since, looked;
	unsigned long nr = mm_blocks_on_the_way();
	uint64_t now = os_clock_ms();

	if (nr != seen || now - looked > LOOK_MS)
		since = now;
	seen = nr;
	looked = now;
	/* A fork may have lost some. */
	in_vain = now - since < READ_ONCE(tunables.oom_wait_ms) ? min_ul(in_vain, nr) : nr;
	return nr > in_vain;
}

/* Under the oom lock. A last look, at the high mark: only to notice that an abort elsewhere has just freed a lot. */
static struct page *look_or_oom(struct slowpath *s)
{
	struct oom_control oc = {
		.zonelist = s->ac->zonelist,
		.nodemask = s->ac->nodemask,
		.gfp_mask = s->gfp,
		.order = s->order,
		.ac = s->ac,
	};

	/* A limit may have been raised since it was read, or others may have unmapped something. */
	budget_recheck();
	oc.page = get_page_from_freelist((s->gfp | GFP_HARDWALL) & ~GFP_DIRECT_RECLAIM, s->order,
					 ALLOC_WMARK_HIGH | ALLOC_CPUSET, s->ac);
	if (oc.page)
		oom_tell_waiting();
	else if (!oom_exempt(s))
		s->did_some_progress = blocks_on_the_way() || out_of_memory(&oc);
	return oc.page;
}

/* Its request for a slab or a run: alloc_may_oom follows, and to read the limits takes as long as all the rest. */
static bool malloc_looks_again(const struct slowpath *s)
{
	return s->gfp & GFP_NOLOWMEM && s->gfp & GFP_RETRY_MAYFAIL && s->order <= PAGE_ALLOC_COSTLY_ORDER;
}

/* While another thread is at the OOM step nobody reclaims, but leaves it the CPU. True: it has waited, for a tick at
 * most; seen: the news there were before. */
static bool wait_for_oom_step(const struct slowpath *s, uint32_t seen)
{
	if (!READ_ONCE(oom_lock.state) || s->gfp & GFP_NORETRY || oom_step_closed() || tsk_is_oom_victim())
		return false;
	oom_wait_for_news(seen);
	return true;
}

static struct page *alloc_pages_may_oom(struct slowpath *s)
{
	struct page *page = NULL;
	uint32_t news = oom_news();

	s->did_some_progress = 0;
	if (oom_step_closed())
		return NULL;
	/* A victim waits for nobody; it has had its share of the reserve, or gets it in the next round. */
	if (tsk_is_oom_victim()) {
		s->did_some_progress = !(s->alloc_flags & ALLOC_OOM);
		return NULL;
	}
	if (malloc_looks_again(s))
		return NULL;
	current->oom_step = true;
	if (mutex_trylock(&oom_lock)) {
		page = look_or_oom(s);
		mutex_unlock(&oom_lock);
	} else {
		s->did_some_progress = 1; /* somebody else is at it */
	}
	current->oom_step = false;
	if (!page && s->did_some_progress)
		oom_wait_for_news(news);
	return page;
}

bool alloc_may_oom(gfp_t gfp, unsigned int order, bool *had_reserve)
{
	const struct mempolicy *pol = topology.nr_nodes == 1 ? NULL : get_task_policy(gfp);
	struct alloc_context ac = {
		.zonelist = NODE_DATA(numa_node_id())->node_zonelists[ZONELIST_FALLBACK],
		.nodemask = pol ? policy_nodemask(gfp, pol) : NULL,
		.migratetype = gfp_migratetype(gfp),
		.highest_zoneidx = gfp_zone(gfp),
		.lowest_zoneidx = ZONE_NORMAL,
	};
	struct slowpath s = { .order = order, .ac = &ac, .alloc_flags = *had_reserve ? ALLOC_OOM : 0 };
	struct page *page;

	s.gfp = current_gfp_context(gfp & READ_ONCE(gfp_allowed_mask));
	/* What a test lets fail is no end of memory. */
	if (!READ_ONCE(limits_in_force) || !(s.gfp & GFP_DIRECT_RECLAIM) || current->flags & PF_MEMALLOC ||
	    order > PAGE_ALLOC_COSTLY_ORDER || READ_ONCE(fail_page_alloc_enabled))
		return false;
	reset_preferred(&ac);
	*had_reserve = tsk_is_oom_victim();
	page = alloc_pages_may_oom(&s);
	if (page)
		free_pages(page, order);
	return page || s.did_some_progress;
}

/* With rights beyond the ordinary: in the cpuset first, then anywhere. */
static struct page *alloc_pages_cpuset_fallback(const struct slowpath *s, unsigned int alloc_flags)
{
	struct page *page = get_page_from_freelist(s->gfp, s->order, alloc_flags | ALLOC_CPUSET, s->ac);

	return page ? page : get_page_from_freelist(s->gfp, s->order, alloc_flags, s->ac);
}

/* NOFAIL: NULL must not leak out. Part of the reserve helps, but not all of it, which would make matters worse. */
static struct page *alloc_pages_nofail(const struct slowpath *s)
{
	struct page *page;

	WARN_ONCE_GFP(current->flags & PF_MEMALLOC, s->gfp,
		      "NOFAIL allocation by a thread that is reclaiming: waiting for others");
	WARN_ONCE_GFP(s->order > PAGE_ALLOC_COSTLY_ORDER, s->gfp, "NOFAIL allocation of the costly order %u", s->order);
	page = alloc_pages_cpuset_fallback(s, ALLOC_HARDER);
	if (!page)
		os_sleep_ms(1);
	return page;
}

/* Before the first round: the true flags, and for large orders compaction, as there may well be enough single pages.
 * *fail: no use to go on. */
static struct page *slowpath_prepare(struct slowpath *s, bool *fail)
{
	bool costly = s->order > PAGE_ALLOC_COSTLY_ORDER;
	struct page *page;

	s->compaction_retries = 0;
	s->no_progress_loops = 0;
	s->compact_priority = DEF_COMPACT_PRIORITY;
	s->compact_result = COMPACT_SKIPPED;
	s->cpuset_mems_cookie = read_mems_allowed_begin();
	s->retry_cpuset = false;
	s->alloc_flags = gfp_to_alloc_flags(s->gfp);
	reset_preferred(s->ac);
	*fail = !*s->ac->preferred;
	if (*fail)
		return NULL;
	if (s->alloc_flags & ALLOC_KSWAPD)
		wake_all_kswapds(s);
	mem_cgroup_handle_over_high(s->gfp);
	page = try_freelist(s);
	if (page || !(s->gfp & GFP_DIRECT_RECLAIM) || gfp_pfmemalloc_allowed(s->gfp))
		return page;
	if (!costly && (!s->order || s->ac->migratetype == MIGRATE_MOVABLE))
		return NULL;
	page = alloc_pages_direct_compact(s, INIT_COMPACT_PRIORITY);
	if (page || !costly || !(s->gfp & GFP_NORETRY))
		return page;
	/* There is little that reclaim could do for a hugepage that compaction could not. */
	*fail = s->compact_result == COMPACT_SKIPPED || s->compact_result == COMPACT_DEFERRED;
	s->compact_priority = INIT_COMPACT_PRIORITY;
	return NULL;
}

/* One round. *again: it is worth another one. */
static struct page *slowpath_round(struct slowpath *s, bool *again)
{
	uint32_t news = oom_news();
	unsigned int reserve;
	struct page *page;

	*again = false;
	current->unsettled = false;
	if (s->alloc_flags & ALLOC_KSWAPD)
		wake_all_kswapds(s);
	reserve = gfp_pfmemalloc_flags(s->gfp);
	if (reserve)
		s->alloc_flags = gfp_to_alloc_flags_cma(s->gfp, reserve);
	/* High priority is the process's business, not the user's: policies do not count. */
	if (!(s->alloc_flags & ALLOC_CPUSET) || reserve) {
		s->ac->nodemask = NULL;
		reset_preferred(s->ac);
	}
	page = try_freelist(s);
	if (page || !(s->gfp & GFP_DIRECT_RECLAIM) || current->flags & PF_MEMALLOC)
		return page;
	*again = wait_for_oom_step(s, news);
	if (*again)
		return NULL;
	page = alloc_pages_direct_reclaim(s);
	if (page)
		return page;
	page = alloc_pages_direct_compact(s, s->compact_priority);
	if (page || s->gfp & GFP_NORETRY)
		return page;
	if (s->order > PAGE_ALLOC_COSTLY_ORDER && !(s->gfp & GFP_RETRY_MAYFAIL)) {
		budget_recheck();
		return try_freelist(s);
	}
	/* Reclaim got nowhere if there are blocks, but no memory of the node. */
	if (current->unsettled && wants_settled(s->gfp, s->ac->nodemask))
		s->did_some_progress = 0;
	*again = should_reclaim_retry(s) || (s->did_some_progress && should_compact_retry(s));
	if (!*again)
		s->retry_cpuset = check_retry_cpuset(s->cpuset_mems_cookie, s->ac);
	if (*again || s->retry_cpuset)
		return NULL;
	/* Whom the OOM step cannot help fails now: his caller may have a try left, and waits then. */
	s->did_some_progress = !oom_exempt(s) && oom_wait_for_shrinkers();
	page = s->did_some_progress ? NULL : alloc_pages_may_oom(s);
	/* A victim that had its share of the reserve is to end, not to wait. */
	if (page || (tsk_is_oom_victim() && (s->alloc_flags & ALLOC_OOM || s->gfp & GFP_NOMEMALLOC)))
		return page;
	*again = s->did_some_progress != 0;
	if (*again)
		s->no_progress_loops = 0;
	return NULL;
}

struct page *alloc_pages_slowpath(gfp_t gfp, unsigned int order, struct alloc_context *ac)
{
	struct slowpath s = { .gfp = gfp, .order = order, .ac = ac };
	struct page *page;
	bool fail, again;

	/* The reserve of those who cannot wait is not for those who can. */
	if (WARN_ONCE_GFP((gfp & (GFP_ATOMIC_BIT | GFP_DIRECT_RECLAIM)) == (GFP_ATOMIC_BIT | GFP_DIRECT_RECLAIM), gfp,
			  "page allocation that is ATOMIC and may reclaim: it is not ATOMIC"))
		s.gfp &= ~GFP_ATOMIC_BIT;
retry_cpuset:
	page = slowpath_prepare(&s, &fail);
	again = !fail;
	while (!page && again)
		page = slowpath_round(&s, &again);
	if (page)
		return page;
	if (s.retry_cpuset || check_retry_cpuset(s.cpuset_mems_cookie, s.ac))
		goto retry_cpuset;
	if (s.gfp & GFP_NOFAIL &&
	    !WARN_ONCE_GFP(!(s.gfp & GFP_DIRECT_RECLAIM), s.gfp, "NOFAIL allocation that may not wait: it can fail")) {
		page = alloc_pages_nofail(&s);
		if (page)
			return page;
		goto retry_cpuset;
	}
	warn_alloc(s.gfp, ac->nodemask, "page allocation failure: order:%u", order);
	return NULL;
}
