/* SPDX-License-Identifier: MIT */
/*
 * Ranges of pageblocks: best fit over bins of one length each, with lengths kept at both ends of a free range so that
 * neighbours join in constant time. Dirty pageblocks are linked by age; giving back takes the oldest first.
 *
 * arena.lock protects everything here and the pageblock fields named so in page.h. Memory is given back with the lock
 * dropped: the range is PB_BUSY then and belongs to the one who gives it back.
 */
#include "mm/arena.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/lock.h"
#include "base/tunables.h"
#include "mm/sparse.h"
#include "os/os.h"
#include "os/topology.h"

#define NR_BINS 64
#define NR_EXACT_BINS 32UL
#define FIRST_BLOCK 2UL /* block 0 would hold page frame 0; 2 keeps order 10 aligned */
#define GROWTH_MIN 2UL
#define GROWTH_MAX 32UL
#define GROWTH_TRIES 64
#define PURGE_BATCH 1024UL

static struct {
	struct mutex lock;
	unsigned long top; /* first pageblock that was never taken from the window */
	uint64_t bins_used;
	uint32_t bins[NR_BINS];
	uint32_t oldest, newest; /* dirty pageblocks by age */
	unsigned long slack;     /* pageblocks that may be dirty beyond the limit */
	uint32_t regretted;      /* when slack last changed, in ms */
} arena = { .lock = MUTEX_INIT(RANK_ARENA), .top = FIRST_BLOCK };

struct arena_stats arena_stats;

static struct pageblock *block_at(unsigned long pb)
{
	return &vmemmap.blocks[pb];
}

static unsigned int bin_of(unsigned long nr)
{
	unsigned int log, bin;

	if (nr <= NR_EXACT_BINS)
		return (unsigned int)nr - 1;
	log = ilog2(nr);
	bin = (unsigned int)NR_EXACT_BINS + (log - 5) * 4 + ((nr >> (log - 2)) & 3);
	return bin < NR_BINS ? bin : NR_BINS - 1;
}

static void bin_add(unsigned long pb, unsigned long nr)
{
	unsigned int bin = bin_of(nr);
	struct pageblock *b = block_at(pb);

	b->nr = block_at(pb + nr - 1)->nr = (uint32_t)nr;
	b->prev = 0;
	b->next = arena.bins[bin];
	if (b->next)
		block_at(b->next)->prev = (uint32_t)pb;
	arena.bins[bin] = (uint32_t)pb;
	arena.bins_used |= 1UL << bin;
}

static void bin_del(unsigned long pb)
{
	struct pageblock *b = block_at(pb);
	unsigned int bin = bin_of(b->nr);

	if (b->prev)
		block_at(b->prev)->next = b->next;
	else
		arena.bins[bin] = b->next;
	if (b->next)
		block_at(b->next)->prev = b->prev;
	if (!arena.bins[bin])
		arena.bins_used &= ~(1UL << bin);
}

static void dirty_add(unsigned long pb)
{
	struct pageblock *b = block_at(pb);

	b->newer = 0;
	b->older = arena.newest;
	if (arena.newest)
		block_at(arena.newest)->newer = (uint32_t)pb;
	else
		arena.oldest = (uint32_t)pb;
	arena.newest = (uint32_t)pb;
	ADD_ONCE(arena_stats.dirty, 1);
}

static void dirty_del(unsigned long pb)
{
	struct pageblock *b = block_at(pb);

	if (b->older)
		block_at(b->older)->newer = b->newer;
	else
		arena.oldest = b->newer;
	if (b->newer)
		block_at(b->newer)->older = b->older;
	else
		arena.newest = b->older;
	ADD_ONCE(arena_stats.dirty, -1);
}

/* May two neighbouring pageblocks be in one free range? */
static bool same_kind(const struct pageblock *a, const struct pageblock *b)
{
	return a->state == PB_FREE && b->state == PB_FREE && a->nid == b->nid &&
	       !((a->flags ^ b->flags) & PBF_MAPPED);
}

/* Pageblocks whose fields are set become a free range, joined with its neighbours. */
static void range_insert(unsigned long pb, unsigned long nr)
{
	unsigned long i;

	for (i = pb; i < pb + nr; i++) {
		block_at(i)->state = PB_FREE;
		if (block_at(i)->flags & PBF_DIRTY)
			dirty_add(i);
	}
	if (pb > FIRST_BLOCK && same_kind(block_at(pb - 1), block_at(pb))) {
		unsigned long before = block_at(pb - 1)->nr;

		pb -= before;
		nr += before;
		bin_del(pb);
	}
	if (pb + nr < arena.top && same_kind(block_at(pb + nr), block_at(pb))) {
		bin_del(pb + nr);
		nr += block_at(pb + nr)->nr;
	}
	bin_add(pb, nr);
}

/* Cut nr pageblocks from start on out of the free range at pb; the rest stays free. */
static void range_take(unsigned long pb, unsigned long start, unsigned long nr, enum pageblock_state state)
{
	unsigned long len = block_at(pb)->nr;
	unsigned long i;

	bin_del(pb);
	if (start > pb)
		bin_add(pb, start - pb);
	if (start + nr < pb + len)
		bin_add(start + nr, pb + len - start - nr);
	for (i = start; i < start + nr; i++) {
		if (block_at(i)->flags & PBF_DIRTY)
			dirty_del(i);
		block_at(i)->state = (uint8_t)state;
	}
}

/* The first pageblock from pb on whose address is a multiple of align pageblocks: the window's base may not be one. */
static unsigned long align_block(unsigned long pb, unsigned long align)
{
	unsigned long base = vmemmap.base >> PAGEBLOCK_SHIFT;

	return align_up(base + pb, align) - base;
}

/* Where in the free range at pb would nr aligned pageblocks begin? 0: it does not fit. */
static unsigned long range_fit(unsigned long pb, unsigned long nr, unsigned long align)
{
	unsigned long start = align_block(pb, align);

	return start + nr <= pb + block_at(pb)->nr ? start : 0;
}

/* The best range of a bin: one with memory before one without, then the shortest, then the lowest. */
static unsigned long bin_find(unsigned int bin, unsigned long nr, unsigned long align, int nid)
{
	unsigned long pb, best = 0;

	for (pb = arena.bins[bin]; pb; pb = block_at(pb)->next) {
		const struct pageblock *b = block_at(pb), *old = block_at(best);

		if (!range_fit(pb, nr, align) || ((b->flags & PBF_MAPPED) && b->nid != nid))
			continue;
		if (best && (old->flags & PBF_MAPPED) != (b->flags & PBF_MAPPED)) {
			if (b->flags & PBF_MAPPED)
				best = pb;
		} else if (!best || b->nr < old->nr || (b->nr == old->nr && pb < best)) {
			best = pb;
		}
	}
	return best;
}

static unsigned long range_find(unsigned long nr, unsigned long align, int nid)
{
	unsigned int bin = bin_of(nr);
	uint64_t bins = arena.bins_used & (~0UL << bin);

	for (; bins; bins &= bins - 1) {
		unsigned long pb = bin_find(first_bit(bins), nr, align, nid);

		if (pb)
			return pb;
	}
	return 0;
}

static void advise_new_mapping(unsigned long pb, size_t bytes, int nid)
{
	if (topology.nr_nodes > 1)
		os->mbind(block_to_addr(pb), bytes, 1 /* MPOL_PREFERRED */, 1UL << nid);
	if (tunables.thp != THP_ALWAYS) /* hugepages come by arena_advise_huge, not by chance */
		os->madvise(block_to_addr(pb), bytes, MADV_NOHUGEPAGE);
}

/* Put memory behind pageblocks that have none. */
static int range_commit(unsigned long pb, unsigned long nr, int nid)
{
	int err = sparse_commit(pb, nr);
	unsigned long i;

	if (err)
		return err;
	advise_new_mapping(pb, nr << PAGEBLOCK_SHIFT, nid);
	for (i = pb; i < pb + nr; i++) {
		block_at(i)->flags = PBF_MAPPED;
		block_at(i)->nid = (uint8_t)nid;
	}
	ADD_ONCE(arena_stats.grown, 1);
	ADD_ONCE(arena_stats.mapped, nr);
	if (arena_stats.mapped > arena_stats.mapped_peak)
		WRITE_ONCE(arena_stats.mapped_peak, arena_stats.mapped);
	return 0;
}

/* Map want pageblocks at the top of the window, or as few as need if the system will not give more. */
static int grow_at_top(unsigned long need, unsigned long want, int nid)
{
	unsigned long nr = want;
	int err;

	for (;;) {
		if (arena.top + need > sparse_end_block())
			return -ENOMEM;
		nr = min_ul(nr, sparse_end_block() - arena.top);
		err = sparse_extend(arena.top + nr);
		if (!err)
			err = range_commit(arena.top, nr, nid);
		if (!err || nr == need)
			break;
		nr = max_ul(need, nr / 2);
	}
	if (err)
		return err;
	arena.top += nr;
	range_insert(arena.top - nr, nr);
	return 0;
}

static bool arena_grow(unsigned long nr, unsigned long align, int nid)
{
	unsigned long want = min_ul(max_ul(arena_stats.mapped / 8, GROWTH_MIN), GROWTH_MAX);
	int tries, err = -ENOMEM;

	for (tries = 0; tries < GROWTH_TRIES; tries++) {
		const struct pageblock *last = arena.top > FIRST_BLOCK ? block_at(arena.top - 1) : NULL;
		unsigned long start = arena.top;
		unsigned long need;

		/* A free range that ends at the top is lengthened, not stranded. */
		if (last && last->state == PB_FREE && (last->flags & PBF_MAPPED) && last->nid == nid)
			start = arena.top - last->nr;
		start = align_block(start, align);
		need = start + nr > arena.top ? start + nr - arena.top : 1;
		err = grow_at_top(need, max_ul(need, want), nid);
		if (err != -EEXIST)
			break;
		/* Somebody else's mapping lies there: step over it. */
		if (arena.top + 1 >= sparse_end_block() || sparse_extend(arena.top + 1))
			break;
		arena.top++;
	}
	return !err;
}

static void count_used(unsigned long nr, enum pageblock_state state)
{
	ADD_ONCE(arena_stats.used, nr);
	if (arena_stats.used > arena_stats.used_peak)
		WRITE_ONCE(arena_stats.used_peak, arena_stats.used);
	if (state == PB_HUGE)
		ADD_ONCE(arena_stats.huge, nr);
}

/* Addresses that are somebody else's, or may be: never again. */
static void range_forget(unsigned long pb, unsigned long nr)
{
	unsigned long i;

	for (i = pb; i < pb + nr; i++)
		block_at(i)->state = PB_HOLE;
}

/*
 * A pageblock that is wanted again soon after it was given back was given back for nothing: more may stay dirty from
 * now on, so that a steady state, however large its swings, comes to need no system call. Time takes it back.
 */
static void regret(unsigned long pb, unsigned long nr)
{
	uint32_t now = (uint32_t)os_clock_ms();
	unsigned long i, soon = 0;

	for (i = pb; i < pb + nr; i++) {
		struct pageblock *b = block_at(i);

		soon += (b->flags & PBF_GIVEN) && now - b->stamp < tunables.dirty_decay;
		b->flags &= (uint8_t)~PBF_GIVEN;
	}
	if (!soon)
		return;
	arena.slack = min_ul(arena.slack + soon, arena_stats.used_peak);
	arena.regretted = now;
}

static void forget_regret(uint32_t now)
{
	if (arena.slack && now - arena.regretted > 2 * tunables.dirty_decay) {
		arena.slack /= 2;
		arena.regretted = now;
	}
}

static unsigned long alloc_locked(unsigned long nr, unsigned long align, enum pageblock_state state, int nid,
				  bool *grown)
{
	unsigned long pb, start;

	while (!(pb = range_find(nr, align, nid))) {
		if (*grown || !arena_grow(nr, align, nid))
			return 0;
		*grown = true;
	}
	start = range_fit(pb, nr, align);
	range_take(pb, start, nr, state);
	if (!(block_at(start)->flags & PBF_MAPPED)) {
		int err = range_commit(start, nr, nid);

		if (err == -EEXIST) { /* taken by somebody while it was not ours */
			range_forget(start, nr);
			return alloc_locked(nr, align, state, nid, grown);
		}
		if (err) {
			range_insert(start, nr);
			return 0;
		}
	}
	count_used(nr, state);
	regret(start, nr);
	return start;
}

unsigned long arena_alloc(unsigned long nr, unsigned long align, enum pageblock_state state, int nid, bool *clean)
{
	unsigned long pb, i, dirty;
	bool grown = false;

	if (nr > sparse_end_block())
		return 0;
	mutex_lock(&arena.lock);
	pb = alloc_locked(nr, align, state, nid, &grown);
	*clean = true;
	for (i = pb; pb && i < pb + nr; i++)
		if (block_at(i)->flags & PBF_DIRTY)
			*clean = false;
	dirty = arena_stats.dirty;
	mutex_unlock(&arena.lock);

	/* Dirty memory that did not fit makes room for what will be resident instead. */
	if (grown && dirty > arena.slack)
		arena_purge(max_ul(dirty > nr ? dirty - nr : 0, arena.slack), ~0U, false);
	if (!pb && arena_purge(0, 0, true)) {
		grown = false;
		mutex_lock(&arena.lock);
		pb = alloc_locked(nr, align, state, nid, &grown);
		mutex_unlock(&arena.lock);
		*clean = false;
	}
	return pb;
}

/* A move that went wrong may have left a part without memory, or lost it: each free range is of one kind. */
static void insert_pieces(unsigned long pb, unsigned long nr)
{
	unsigned long start, end;

	for (start = pb; start < pb + nr; start = end) {
		for (end = start + 1; end < pb + nr; end++)
			if ((block_at(end)->flags ^ block_at(start)->flags) & (PBF_MAPPED | PBF_LOST))
				break;
		if (block_at(start)->flags & PBF_LOST)
			range_forget(start, end - start);
		else
			range_insert(start, end - start);
	}
}

unsigned long arena_dirty_limit(void)
{
	return (tunables.dirty_max >> PAGEBLOCK_SHIFT) + READ_ONCE(arena_stats.used) / 8 + READ_ONCE(arena.slack);
}

void arena_free(unsigned long pb, unsigned long nr, bool dirty)
{
	uint32_t now = (uint32_t)os_clock_ms();
	unsigned long i, limit;
	bool over;

	mutex_lock(&arena.lock);
	if (block_at(pb)->state == PB_HUGE)
		ADD_ONCE(arena_stats.huge, -nr);
	ADD_ONCE(arena_stats.used, -nr);
	for (i = pb; i < pb + nr; i++) {
		struct pageblock *b = block_at(i);

		b->flags = (uint8_t)((b->flags & ~PBF_DIRTY) | (dirty && (b->flags & PBF_MAPPED) ? PBF_DIRTY : 0));
		b->stamp = now;
	}
	insert_pieces(pb, nr);
	forget_regret(now);
	limit = arena_dirty_limit();
	over = arena_stats.dirty > limit ||
	       (arena.oldest && tunables.dirty_decay && now - block_at(arena.oldest)->stamp > tunables.dirty_decay);
	mutex_unlock(&arena.lock);
	if (over)
		arena_purge(limit, (uint32_t)tunables.dirty_decay, false);
}

bool arena_extend(unsigned long pb, unsigned long nr, unsigned long new_nr)
{
	unsigned long behind = pb + nr;
	unsigned long more = new_nr - nr;
	bool done = false;

	mutex_lock(&arena.lock);
	if (behind < arena.top && same_kind(block_at(behind), block_at(behind)) &&
	    block_at(behind)->nr >= more && (block_at(behind)->flags & PBF_MAPPED) &&
	    block_at(behind)->nid == block_at(pb)->nid) {
		enum pageblock_state state = (enum pageblock_state)block_at(pb)->state;

		range_take(behind, behind, more, state);
		count_used(more, state);
		done = true;
	}
	mutex_unlock(&arena.lock);
	return done;
}

static void set_unmapped(unsigned long pb, unsigned long nr)
{
	unsigned long i;

	for (i = pb; i < pb + nr; i++) {
		if (block_at(i)->flags & PBF_THP)
			ADD_ONCE(arena_stats.thp, -1);
		block_at(i)->flags = 0;
	}
	ADD_ONCE(arena_stats.mapped, -nr);
}

/* Fill a hole that moving left in a range in use; if there is no memory the range has none behind it any more. */
static void refill(unsigned long pb, unsigned long nr, size_t bytes)
{
	long ret = os->mmap(block_to_addr(pb), bytes, PROT_READ | PROT_WRITE, MAP_FIXED);
	unsigned long i;

	if (!os_is_error(ret)) {
		advise_new_mapping(pb, bytes, block_at(pb)->nid);
		return;
	}
	mutex_lock(&arena.lock);
	set_unmapped(pb, nr);
	if (sparse_decommit(pb, nr))
		for (i = pb; i < pb + nr; i++)
			block_at(i)->flags = PBF_LOST;
	mutex_unlock(&arena.lock);
}

bool arena_move(unsigned long dst, unsigned long src, unsigned long nr, size_t bytes)
{
	long ret = os->mremap(block_to_addr(src), bytes, bytes, block_to_addr(dst));
	unsigned long i;

	if (os_is_error(ret)) {
		/* Linux before 6.17 unmaps the target first, and refuses a source of several mappings then. */
		refill(dst, nr, bytes);
		return false;
	}
	mutex_lock(&arena.lock);
	for (i = 0; i < nr; i++) {
		uint8_t thp = block_at(src + i)->flags & PBF_THP;

		if (block_at(dst + i)->flags & PBF_THP)
			ADD_ONCE(arena_stats.thp, -1);
		block_at(dst + i)->flags = (uint8_t)((block_at(dst + i)->flags & ~PBF_THP) | thp);
		block_at(src + i)->flags &= (uint8_t)~PBF_THP;
	}
	mutex_unlock(&arena.lock);
	refill(src, nr, bytes);
	return true;
}

void arena_advise_huge(unsigned long pb, unsigned long nr)
{
	unsigned long i, without = 0;

	if (tunables.thp != THP_AUTO || READ_ONCE(arena_stats.mapped) << PAGEBLOCK_SHIFT < tunables.thp_threshold)
		return;
	for (i = pb; i < pb + nr; i++)
		without += !(block_at(i)->flags & PBF_THP);
	if (!without || os->madvise(block_to_addr(pb), nr << PAGEBLOCK_SHIFT, MADV_HUGEPAGE) < 0)
		return;
	for (i = pb; i < pb + nr; i++)
		block_at(i)->flags |= PBF_THP;
	atomic_add_return(&arena_stats.thp, without);
}

/* Take the oldest dirty pageblock, and dirty neighbours behind it, at most max, out of the free ranges. */
static unsigned long take_oldest(unsigned long max, unsigned long *nr)
{
	unsigned long pb = arena.oldest, start = pb, end = pb + 1;

	while (end - start < max && end < arena.top && same_kind(block_at(end), block_at(pb)) &&
	       (block_at(end)->flags & PBF_DIRTY))
		end++;
	/* The range's first pageblock is where its length is known. */
	while (start > FIRST_BLOCK && same_kind(block_at(start - 1), block_at(pb)))
		start--;
	*nr = end - pb;
	range_take(start, pb, *nr, PB_BUSY);
	return pb;
}

static bool give_back(unsigned long pb, unsigned long nr, bool unmap)
{
	if (unmap)
		return !sparse_decommit(pb, nr);
	return os->madvise(block_to_addr(pb), nr << PAGEBLOCK_SHIFT, MADV_DONTNEED) >= 0;
}

unsigned long arena_purge(unsigned long keep, uint32_t age_ms, bool unmap)
{
	uint32_t now = (uint32_t)os_clock_ms();
	unsigned long done = 0, pb, nr, i;
	bool ok = true;

	mutex_lock(&arena.lock);
	while (ok && arena.oldest) {
		unsigned long excess = arena_stats.dirty > keep ? arena_stats.dirty - keep : 0;

		if (!excess && (age_ms == ~0U || now - block_at(arena.oldest)->stamp <= age_ms))
			break;
		pb = take_oldest(excess ? excess : PURGE_BATCH, &nr);
		mutex_unlock(&arena.lock);
		ok = give_back(pb, nr, unmap);
		mutex_lock(&arena.lock);
		for (i = pb; ok && i < pb + nr; i++) {
			block_at(i)->flags = (uint8_t)((block_at(i)->flags & ~PBF_DIRTY) | PBF_GIVEN);
			block_at(i)->stamp = now;
		}
		if (ok && unmap)
			set_unmapped(pb, nr);
		range_insert(pb, nr);
		done += ok ? nr : 0;
	}
	ADD_ONCE(arena_stats.given_back, done);
	mutex_unlock(&arena.lock);
	return done;
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

void check_arena(void)
{
	unsigned long pb, i, nr, dirty = 0, used = 0, mapped = 0;

	mutex_lock(&arena.lock);
	for (pb = FIRST_BLOCK; pb < arena.top; pb += nr) {
		const struct pageblock *b = block_at(pb);

		nr = b->state == PB_FREE ? b->nr : 1;
		if (!nr || pb + nr > arena.top || (b->state == PB_FREE && block_at(pb + nr - 1)->nr != nr))
			bm_fatal("check_arena: free range at pageblock %lu has length %lu", pb, nr);
		for (i = pb; i < pb + nr; i++) {
			if (b->state == PB_FREE && !same_kind(block_at(i), b))
				bm_fatal("check_arena: pageblock %lu does not belong to its free range", i);
			dirty += block_at(i)->state == PB_FREE && (block_at(i)->flags & PBF_DIRTY);
			used += block_at(i)->state == PB_ZONE || block_at(i)->state == PB_HUGE;
			mapped += !!(block_at(i)->flags & PBF_MAPPED);
		}
	}
	if (dirty != arena_stats.dirty || used != arena_stats.used || mapped != arena_stats.mapped)
		bm_fatal("check_arena: dirty %lu used %lu mapped %lu, counted %lu %lu %lu", dirty, used, mapped,
			 arena_stats.dirty, arena_stats.used, arena_stats.mapped);
	mutex_unlock(&arena.lock);
}
