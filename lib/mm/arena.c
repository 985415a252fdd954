/* SPDX-License-Identifier: MIT */
/*
 * What is done with ranges: allocation with growth at the window's top, freeing. Lengthening, moving and giving back
 * are in files of their own.
 *
 * arena.lock protects everything here, the free ranges (range.h) and the pageblock fields named so in page.h; the
 * flags of pageblocks in use are their user's. Memory is given back with the lock dropped: the range is PB_BUSY then
 * and belongs to the one who gives it back.
 */
#include "mm/arena.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>

#include "base/lock.h"
#include "base/tunables.h"
#include "mm/balance.h"
#include "mm/balance_inner.h"
#include "mm/budget.h"
#include "mm/current.h"
#include "mm/exact.h"
#include "mm/hugetlb.h"
#include "mm/kswapd.h"
#include "mm/range.h"
#include "mm/regret.h"
#include "mm/sparse.h"
#include "mm/thp.h"
#include "mm/touched.h"
#include "os/os.h"
#include "os/topology.h"

/* The window's top moves up by this share of what is mapped, within bounds in pageblocks; of what is left under a limit
 * by no more than that. */
#define GROWTH_SHARE 8
#define GROWTH_MIN 2UL
#define GROWTH_MAX 32UL
#define GROWTH_LEFT_SHARE 16
#define GROWTH_TRIES 64 /* mappings of somebody else's that are stepped over */

/* Dirty pageblocks may be this share of those in use, beside the usual ones. */
#define ARENA_DIRTY_SHARE 8

static struct {
	struct mutex lock;
	struct regret regret; /* pageblocks that may be dirty beyond the limit; read without the lock, too */
	uint32_t regretted;   /* when they last became more or less, in ms */
} arena = { .lock = MUTEX_INIT(RANK_ARENA) };

struct arena_stats arena_stats;

void arena_advise_new(void *addr, size_t bytes, int nid)
{
	if (topology_binds())
		os->mbind(addr, bytes, MPOL_PREFERRED | MPOL_F_STATIC_NODES, 1UL << nid);
	/* Else hugepages come by arena_advise_huge, not by chance. */
	os->madvise(addr, bytes, READ_ONCE(tunables.thp) == THP_ALWAYS ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

int arena_commit(unsigned long pb, unsigned long nr, int nid)
{
	int err = sparse_commit(pb, nr);

	if (err)
		return err;
	arena_advise_new(block_to_addr(pb), nr << PAGEBLOCK_SHIFT, nid);
	range_set_mapped(pb, nr, nid);
	ADD_ONCE(arena_stats.grown, 1);
	touched_ask();
	return 0;
}

/* Map want pageblocks at the top of the window, or as few as need if the system will not give more. */
static int grow_at_top(unsigned long need, unsigned long want, int nid, size_t reserve)
{
	unsigned long nr = want, top = range_top();
	int err;

	for (;;) {
		if (top + need > sparse_end_block())
			return -ENOMEM;
		nr = min_ul(nr, sparse_end_block() - top);
		err = budget_may_grow(nr << PAGEBLOCK_SHIFT, false, reserve) ? sparse_extend(top + nr) : -ENOMEM;
		if (!err)
			err = arena_commit(top, nr, nid);
		if (!err || nr == need)
			break;
		nr = max_ul(need, nr / 2);
	}
	if (err)
		return err;
	range_raise_top(nr);
	range_insert(top, nr);
	return 0;
}

/* More than is asked for, so that mappings are few; but of what little is left under a limit only a small part. */
static unsigned long want_blocks(void)
{
	unsigned long want = min_ul(max_ul(arena_stats.mapped / GROWTH_SHARE, GROWTH_MIN), GROWTH_MAX);

	if (unlikely(READ_ONCE(limits_in_force)))
		want = min_ul(want, (budget_growable_pages(false, false) >> PAGEBLOCK_ORDER) / GROWTH_LEFT_SHARE);
	return want;
}

static bool arena_grow(unsigned long nr, unsigned long align, int nid, size_t reserve)
{
	unsigned long want = want_blocks();
	int tries, err = -ENOMEM;

	for (tries = 0; tries < GROWTH_TRIES; tries++) {
		unsigned long top = range_top(), start = top, need;
		const struct pageblock *last = top > FIRST_BLOCK ? block_at(top - 1) : NULL;

		/* A free range that ends at the top is lengthened, not stranded. */
		if (last && READ_ONCE(last->state) == PB_FREE && (last->flags & PBF_KIND) == PBF_MAPPED &&
		    last->nid == nid)
			start = top - last->nr;
		start = align_block(start, align);
		need = start + nr > top ? start + nr - top : 1;
		err = grow_at_top(need, max_ul(need, want), nid, reserve);
		if (err != -EEXIST)
			break;
		/* Somebody else's mapping lies there: step over it. */
		if (top + 1 >= sparse_end_block() || sparse_extend(top + 1))
			break;
		range_raise_top(1);
	}
	return !err;
}

/*
 * A pageblock that is wanted again soon after it was given back was given back for nothing: more may stay dirty from
 * now on, so that a steady state, however large its swings, comes to need no system call. Time takes it back.
 */
static void regret(unsigned long pb, unsigned long nr)
{
	unsigned long i, soon = 0;
	uint32_t now = 0;

	for (i = pb; i < pb + nr; i++) {
		struct pageblock *b = block_at(i);

		if (!(b->flags & PBF_GIVEN))
			continue;
		if (!now)
			now = (uint32_t)os_clock_ms();
		soon += now - b->stamp < READ_ONCE(tunables.dirty_decay);
		WRITE_ONCE(b->flags, (uint8_t)(b->flags & ~PBF_GIVEN));
	}
	if (!soon)
		return;
	regret_more(&arena.regret, soon, arena_stats.used_peak);
	arena.regretted = now;
}

/* Of the pageblocks of zones only what they have in use counts. */
static unsigned long used_blocks(void)
{
	return mm_used_bytes() >> PAGEBLOCK_SHIFT;
}

/* But never so much that the process would hold more than it once used. */
unsigned long arena_slack(void)
{
	unsigned long peak = READ_ONCE(arena_stats.used_peak), used = READ_ONCE(arena_stats.used);

	if (!arena_regrets())
		return 0;
	return min_ul(regret_slack(&arena.regret, used_blocks()), peak > used ? peak - used : 0);
}

unsigned long arena_regrets(void)
{
	return READ_ONCE(arena.regret.slack);
}

void arena_note_given(void)
{
	regret_note_use(&arena.regret, used_blocks(), true);
}

void arena_count_used(unsigned long pb, unsigned long nr, enum pageblock_state state)
{
	ADD_ONCE(arena_stats.used, nr);
	if (arena_stats.used > arena_stats.used_peak)
		WRITE_ONCE(arena_stats.used_peak, arena_stats.used);
	if (state == PB_HUGE)
		ADD_ONCE(arena_stats.huge, nr);
	regret(pb, nr);
}

void arena_map_home_classes(void)
{
	mutex_lock(&arena.lock);
	sparse_map_home_classes();
	mutex_unlock(&arena.lock);
}

/* May the free range's pageblocks be used? Those that are dirty count already. */
static bool range_affordable(unsigned long pb, unsigned long nr, size_t reserve)
{
	bool mapped = block_at(pb)->flags & PBF_MAPPED;
	unsigned long i, more = 0;

	if (likely(!READ_ONCE(limits_in_force)))
		return true;
	for (i = pb; i < pb + nr; i++)
		more += !(block_at(i)->flags & PBF_DIRTY);
	return !more || budget_may_grow(more << PAGEBLOCK_SHIFT, mapped, reserve);
}

int arena_take(unsigned long pb, unsigned long start, const struct arena_request *rq)
{
	int err;

	if (!range_affordable(start, rq->nr, rq->reserve))
		return -ENOMEM;
	range_take(pb, start, rq->nr, rq->state);
	if (block_at(start)->flags & PBF_MAPPED)
		return 0;
	err = arena_commit(start, rq->nr, rq->nid);
	if (err == -EEXIST) /* taken by somebody while it was not ours */
		range_forget(start, rq->nr);
	else if (err)
		range_insert(start, rq->nr);
	return err;
}

/* Out of one free range, if need be the window's next. */
static unsigned long take_range(const struct arena_request *rq, bool *grown)
{
	unsigned long pb, start;
	int err;

	do {
		pb = rq->moved_to ? range_find_clean(rq->nr, rq->nid) : 0;
		if (!pb)
			pb = range_find(rq->nr, rq->align, rq->nid);
		while (!pb) {
			if (*grown || !arena_grow(rq->nr, rq->align, rq->nid, rq->reserve))
				return 0;
			*grown = true;
			pb = range_find(rq->nr, rq->align, rq->nid);
		}
		start = range_fit(pb, rq->nr, rq->align);
		err = arena_take(pb, start, rq);
	} while (err == -EEXIST);
	return err ? 0 : start;
}

static unsigned long alloc_locked(const struct arena_request *rq, bool *grown)
{
	unsigned long start = 0;

	if (arena_stats.dirty && !rq->moved_to)
		start = arena_gather(rq);
	if (!start)
		start = take_range(rq, grown);
	if (start && rq->moved_to && !arena_gather_behind(start, rq))
		start = 0;
	if (!start && rq->moved_to)
		start = arena_gather(rq);
	if (start)
		arena_count_used(start, rq->nr, rq->state);
	return start;
}

/* Where others began, for a block of which little will be touched; but rather elsewhere than nowhere. */
static unsigned long alloc_spread(const struct arena_request *rq, bool *grown)
{
	struct arena_request spread = *rq;
	unsigned long pb;

	spread.align = max_ul(rq->align, 1UL << ilog2(rq->nr));
	pb = alloc_locked(&spread, grown);
	return pb ? pb : alloc_locked(rq, grown);
}

static bool may_spread(const struct arena_request *rq)
{
	return rq->state == PB_HUGE && !rq->moved_to && touched_less_than(TOUCHED_HARDLY);
}

/* There was nothing to be had: give back what is free elsewhere, and try again. Under a limit no more than is asked for
 * may do, and the limit may have been raised meanwhile. */
static cold unsigned long alloc_again(const struct arena_request *rq, bool *clean)
{
	bool all = !READ_ONCE(limits_in_force), grown;
	unsigned long pb, free;

	budget_refused();
	for (;;) {
		free = all ? 0 : READ_ONCE(arena_stats.mapped) - READ_ONCE(arena_stats.used);
		if (!arena_purge(free > rq->nr ? free - rq->nr : 0, ~0U, true) && all)
			return 0;
		grown = false;
		mutex_lock(&arena.lock);
		pb = alloc_locked(rq, &grown);
		*clean = pb && range_is_clean(pb, rq->nr);
		mutex_unlock(&arena.lock);
		if (pb || all)
			return pb;
		all = true;
	}
}

static unsigned long alloc_range(const struct arena_request *rq, bool *clean)
{
	unsigned long nr = rq->nr, pb, dirty;
	bool grown = false;

	if (max_ul(nr, rq->align) > sparse_end_block())
		return 0;
	budget_poll();
	mutex_lock(&arena.lock);
	pb = unlikely(may_spread(rq)) ? alloc_spread(rq, &grown) : alloc_locked(rq, &grown);
	*clean = pb && range_is_clean(pb, nr);
	dirty = arena_stats.dirty;
	mutex_unlock(&arena.lock);

	if (unlikely(!pb))
		return alloc_again(rq, clean);
	/* Dirty memory that did not fit makes room for what will be resident instead. */
	if (unlikely(READ_ONCE(limits_in_force))) {
		if (grown)
			arena_balance();
	} else if (grown && !touched_less_than(TOUCHED_HARDLY)) {
		unsigned long slack = arena_slack();

		if (dirty > slack)
			arena_purge(max_ul(dirty > nr ? dirty - nr : 0, slack), ~0U, false);
	}
	return pb;
}

unsigned long arena_alloc(unsigned long nr, unsigned long align, enum pageblock_state state, int nid, bool *clean)
{
	struct arena_request rq = { .nr = nr, .align = align, .state = state, .nid = nid };

	rq.reserve = state == PB_OFFLINE ? nr << PAGEBLOCK_SHIFT : 0;
	return alloc_range(&rq, clean);
}

unsigned long arena_alloc_to_move(unsigned long nr, unsigned long moved, int nid, bool *clean)
{
	return alloc_range(&(struct arena_request){ nr, 1, PB_HUGE, nid, .moved_to = moved }, clean);
}

unsigned long arena_alloc_reserve(unsigned long nr, unsigned long align, int nid, bool *clean)
{
	return alloc_range(&(struct arena_request){ nr, align, PB_OFFLINE, nid, .reserve = BUDGET_RESERVE }, clean);
}

unsigned long arena_dirty_limit(void)
{
	unsigned long used = READ_ONCE(arena_stats.used), most = dirty_max_for(used << PAGEBLOCK_SHIFT),
		      limit = (most >> PAGEBLOCK_SHIFT) + used / ARENA_DIRTY_SHARE + arena_slack();

	limit *= touched_more_dirty();
	return limit - min_ul(limit, (exact_lists_excess() + mm_kept_pages()) >> PAGEBLOCK_ORDER);
}

void arena_free(unsigned long pb, unsigned long nr, bool dirty)
{
	uint32_t decay = (uint32_t)READ_ONCE(tunables.dirty_decay);
	uint32_t now = (uint32_t)os_clock_ms(), since = now;
	unsigned long i, limit, oldest;
	bool over, gigantic;

	if (unlikely(current->flags & PF_FREES_IDLE))
		since -= decay + 1;
	mutex_lock(&arena.lock);
	gigantic = block_at(pb)->flags & PBF_GIGANTIC;
	if (block_at(pb)->state == PB_HUGE)
		ADD_ONCE(arena_stats.huge, -nr);
	ADD_ONCE(arena_stats.used, -nr);
	for (i = pb; i < pb + nr; i++) {
		struct pageblock *b = block_at(i);

		WRITE_ONCE(b->flags,
			   (uint8_t)((b->flags & ~PBF_DIRTY) | (dirty && (b->flags & PBF_MAPPED) ? PBF_DIRTY : 0)));
		b->stamp = since;
	}
	range_insert_pieces(pb, nr);
	regret_forget(&arena.regret, &arena.regretted, now, decay);
	if (arena.regret.least) /* there is something to be less than: some were given back */
		regret_note_use(&arena.regret, used_blocks(), false);
	limit = arena_dirty_limit();
	oldest = range_oldest();
	over = arena_stats.dirty > limit || (oldest && decay && now - block_at(oldest)->stamp > decay);
	mutex_unlock(&arena.lock);
	if (unlikely(READ_ONCE(limits_in_force)))
		arena_balance();
	if (over && !kswapd_gives_back(READ_ONCE(arena_stats.dirty), limit))
		arena_purge(limit, decay ? decay : ~0U, false);
	if (unlikely(gigantic))
		hugetlb_trim(1);
}

static bool advise(unsigned long pb, unsigned long nr, bool want)
{
	unsigned long i, have;

	if (os->madvise(block_to_addr(pb), nr << PAGEBLOCK_SHIFT, want ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) < 0)
		return false;
	mutex_lock(&arena.lock);
	for (i = pb, have = 0; i < pb + nr; i++) {
		have += !!(block_at(i)->flags & PBF_THP);
		WRITE_ONCE(block_at(i)->flags, (uint8_t)((block_at(i)->flags & ~PBF_THP) | (want ? PBF_THP : 0)));
	}
	ADD_ONCE(arena_stats.thp, (want ? nr : 0) - have);
	mutex_unlock(&arena.lock);
	return true;
}

void arena_advise_small(unsigned long pb, unsigned long nr)
{
	if (!block_is_hugetlb(block_at(pb)))
		advise(pb, nr, false);
}

void arena_advise_huge(unsigned long pb, unsigned long nr, bool filled)
{
	size_t mapped = READ_ONCE(arena_stats.mapped) << PAGEBLOCK_SHIFT;
	bool want = thp_wanted(mapped) && (filled || !touched_less_than(TOUCHED_HARDLY));
	unsigned long i, have = 0;

	if (block_is_hugetlb(block_at(pb)))
		return;
	/* A collapse that began before the pageblocks were ours may yet end. */
	for (i = pb; i < pb + nr; i++)
		have += !!(data_race(block_at(i)->flags) & PBF_THP);
	if (have == (want ? nr : 0))
		return;
	if (advise(pb, nr, want) && want && !(block_at(pb)->flags & PBF_DIRTY))
		thp_probe(block_to_addr(pb));
}

void arena_init(void)
{
	mutex_init(&arena.lock, RANK_ARENA);
}

void arena_lock_all(void)
{
	mutex_lock(&arena.lock);
}

void arena_unlock_all(void)
{
	mutex_unlock(&arena.lock);
}

void arena_reinit_after_fork(void)
{
	mutex_reinit_after_fork(&arena.lock);
}
