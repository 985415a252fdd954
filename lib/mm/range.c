/* SPDX-License-Identifier: MIT */
/*
 * Bins, joining and cutting of free ranges, and the ages of dirty pageblocks.
 */
#include "mm/range.h"

#include "mm/arena.h"

#define NR_BINS 64
#define NR_EXACT_BINS 32UL

/* The arena lock protects all of it, and the pageblock fields named so in page.h. */
static struct {
	unsigned long top;
	uint64_t bins_used;
	uint32_t bins[NR_BINS];
	uint32_t oldest, newest; /* dirty pageblocks by age */
} ranges = { .top = FIRST_BLOCK };

unsigned long range_top(void)
{
	return ranges.top;
}

void range_raise_top(unsigned long nr)
{
	ranges.top += nr;
}

static void set_state(unsigned long pb, enum pageblock_state state)
{
	WRITE_ONCE(block_at(pb)->state, (uint8_t)state);
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
	b->next = ranges.bins[bin];
	if (b->next)
		block_at(b->next)->prev = (uint32_t)pb;
	ranges.bins[bin] = (uint32_t)pb;
	ranges.bins_used |= 1UL << bin;
}

static void bin_del(unsigned long pb)
{
	struct pageblock *b = block_at(pb);
	unsigned int bin = bin_of(b->nr);

	if (b->prev)
		block_at(b->prev)->next = b->next;
	else
		ranges.bins[bin] = b->next;
	if (b->next)
		block_at(b->next)->prev = b->prev;
	if (!ranges.bins[bin])
		ranges.bins_used &= ~(1UL << bin);
}

static void dirty_add(unsigned long pb)
{
	struct pageblock *b = block_at(pb);

	b->newer = 0;
	b->older = ranges.newest;
	if (ranges.newest)
		block_at(ranges.newest)->newer = (uint32_t)pb;
	else
		ranges.oldest = (uint32_t)pb;
	ranges.newest = (uint32_t)pb;
	ADD_ONCE(arena_stats.dirty, 1);
}

static void dirty_del(unsigned long pb)
{
	struct pageblock *b = block_at(pb);

	if (b->older)
		block_at(b->older)->newer = b->newer;
	else
		ranges.oldest = b->newer;
	if (b->newer)
		block_at(b->newer)->older = b->older;
	else
		ranges.newest = b->older;
	ADD_ONCE(arena_stats.dirty, -1);
}

static bool is_mapped(unsigned long pb)
{
	return pb >= FIRST_BLOCK && pb < ranges.top && READ_ONCE(block_at(pb)->flags) & PBF_MAPPED;
}

/* Is it in one mapping of the system with the one before it? */
static bool is_joined(unsigned long pb)
{
	return is_mapped(pb) && is_mapped(pb - 1) && !(block_at(pb)->flags & PBF_SPLIT);
}

void range_split(unsigned long pb)
{
	if (!is_joined(pb))
		return;
	WRITE_ONCE(block_at(pb)->flags, block_at(pb)->flags | PBF_SPLIT);
	ADD_ONCE(arena_stats.pieces, 1);
}

bool range_splits(unsigned long pb, unsigned long nr)
{
	return is_mapped(pb - 1) && is_mapped(pb + nr);
}

void range_set_mapped(unsigned long pb, unsigned long nr, int nid)
{
	unsigned long i;

	for (i = pb; i < pb + nr; i++) {
		WRITE_ONCE(block_at(i)->flags, PBF_MAPPED | (block_at(i)->flags & PBF_GIVEN));
		WRITE_ONCE(block_at(i)->nid, (uint8_t)nid);
		WRITE_ONCE(block_at(i)->settled, 0);
	}
	ADD_ONCE(arena_stats.mapped, nr);
	ADD_ONCE(arena_stats.pieces, 1UL - is_mapped(pb - 1) - is_joined(pb + nr));
	if (arena_stats.mapped > arena_stats.mapped_peak)
		WRITE_ONCE(arena_stats.mapped_peak, arena_stats.mapped);
}

void range_set_unmapped(unsigned long pb, unsigned long nr)
{
	unsigned long i, joins = 0;

	for (i = pb; i <= pb + nr; i++)
		joins += is_joined(i);
	for (i = pb; i < pb + nr; i++) {
		if (block_at(i)->flags & PBF_THP)
			ADD_ONCE(arena_stats.thp, -1);
		if (block_at(i)->flags & PBF_HUGETLB)
			ADD_ONCE(arena_stats.hugetlb, -1);
		WRITE_ONCE(block_at(i)->flags, block_at(i)->flags & PBF_GIVEN);
	}
	ADD_ONCE(arena_stats.mapped, -nr);
	ADD_ONCE(arena_stats.pieces, joins - nr);
}

void range_insert(unsigned long pb, unsigned long nr)
{
	unsigned long i;

	for (i = pb; i < pb + nr; i++) {
		set_state(i, PB_FREE);
		if (is_dirty(block_at(i)))
			dirty_add(i);
	}
	if (pb > FIRST_BLOCK && same_kind(block_at(pb - 1), block_at(pb))) {
		unsigned long before = block_at(pb - 1)->nr;

		pb -= before;
		nr += before;
		bin_del(pb);
	}
	if (pb + nr < ranges.top && same_kind(block_at(pb + nr), block_at(pb))) {
		bin_del(pb + nr);
		nr += block_at(pb + nr)->nr;
	}
	bin_add(pb, nr);
}

void range_forget(unsigned long pb, unsigned long nr)
{
	unsigned long i;

	for (i = pb; i < pb + nr; i++)
		set_state(i, PB_HOLE);
}

void range_insert_pieces(unsigned long pb, unsigned long nr)
{
	unsigned long start, end;

	for (start = pb; start < pb + nr; start = end) {
		for (end = start + 1; end < pb + nr; end++)
			if ((block_at(end)->flags ^ block_at(start)->flags) & (PBF_KIND | PBF_LOST))
				break;
		if (block_at(start)->flags & PBF_LOST)
			range_forget(start, end - start);
		else
			range_insert(start, end - start);
	}
}

void range_take(unsigned long pb, unsigned long start, unsigned long nr, enum pageblock_state state)
{
	unsigned long len = block_at(pb)->nr;
	unsigned long i;

	bin_del(pb);
	if (start > pb)
		bin_add(pb, start - pb);
	if (start + nr < pb + len)
		bin_add(start + nr, pb + len - start - nr);
	for (i = start; i < start + nr; i++) {
		if (is_dirty(block_at(i)))
			dirty_del(i);
		set_state(i, state);
	}
}

unsigned long align_block(unsigned long pb, unsigned long align)
{
	unsigned long base = vmemmap.base >> PAGEBLOCK_SHIFT;

	return align_up(base + pb, align) - base;
}

unsigned long range_fit(unsigned long pb, unsigned long nr, unsigned long align)
{
	unsigned long start = align_block(pb, align);

	return start + nr <= pb + block_at(pb)->nr ? start : 0;
}

bool range_serves(unsigned long pb, unsigned long nr, unsigned long align, int nid, uint8_t kind)
{
	const struct pageblock *b = block_at(pb);
	uint8_t has = b->flags & PBF_KIND;

	return READ_ONCE(b->state) == PB_FREE && range_fit(pb, nr, align) &&
	       (has ? has == kind && b->nid == nid : !kind || kind == PBF_MAPPED);
}

/* The best range of a bin: one with memory before one without, then the shortest, then the lowest. */
static unsigned long bin_find(unsigned int bin, unsigned long nr, unsigned long align, int nid, uint8_t kind)
{
	unsigned long pb, best = 0;

	for (pb = ranges.bins[bin]; pb; pb = block_at(pb)->next) {
		const struct pageblock *b = block_at(pb), *old = block_at(best);

		if (!range_serves(pb, nr, align, nid, kind))
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

unsigned long range_find_kind(unsigned long nr, unsigned long align, int nid, uint8_t kind)
{
	unsigned int bin = bin_of(nr);
	uint64_t bins = ranges.bins_used & (~0UL << bin);
	unsigned long pb, unmapped = 0;

	for (; bins; bins &= bins - 1) {
		pb = bin_find(first_bit(bins), nr, align, nid, kind);
		if (pb && block_at(pb)->flags & PBF_MAPPED)
			return pb;
		if (!unmapped)
			unmapped = pb;
	}
	return unmapped;
}

bool range_is_clean(unsigned long pb, unsigned long nr)
{
	unsigned long i;

	for (i = pb; i < pb + nr; i++)
		if (block_at(i)->flags & PBF_DIRTY)
			return false;
	return true;
}

static unsigned long next_range(unsigned int *bin, unsigned long pb)
{
	pb = pb ? block_at(pb)->next : 0;
	while (!pb && *bin > 0)
		pb = ranges.bins[--*bin];
	return pb;
}

unsigned long range_find_clean(unsigned long nr, int nid)
{
	unsigned int bin = NR_BINS;
	unsigned long pb, unmapped = 0;

	for (pb = next_range(&bin, 0); pb; pb = next_range(&bin, pb)) {
		if (!range_serves(pb, nr, 1, nid, PBF_MAPPED) || !range_is_clean(pb, nr))
			continue;
		if (block_at(pb)->flags & PBF_MAPPED)
			return pb;
		unmapped = pb;
	}
	return unmapped;
}

unsigned long range_oldest(void)
{
	return ranges.oldest;
}

unsigned long range_oldest_of(int nid)
{
	unsigned long pb = ranges.oldest;

	while (pb && (block_at(pb)->nid != nid || block_at(pb)->flags & PBF_HUGETLB))
		pb = block_at(pb)->newer;
	return pb;
}

void range_take_busy(unsigned long pb, unsigned long nr)
{
	unsigned long start = pb;

	/* The range's first pageblock is where its length is known. */
	while (start > FIRST_BLOCK && same_kind(block_at(start - 1), block_at(pb)))
		start--;
	range_take(start, pb, nr, PB_BUSY);
}

unsigned long range_take_dirty(unsigned long pb, unsigned long max)
{
	unsigned long end = pb + 1;

	while (end - pb < max && end < ranges.top && same_kind(block_at(end), block_at(pb)) &&
	       (block_at(end)->flags & PBF_DIRTY))
		end++;
	range_take_busy(pb, end - pb);
	return end - pb;
}

unsigned long range_take_clean(unsigned long max, unsigned long *nr)
{
	unsigned int bin = NR_BINS;
	unsigned long pb, i, end;

	/* The largest first: that takes the fewest calls, and makes the fewest holes. */
	for (pb = next_range(&bin, 0); pb; pb = next_range(&bin, pb)) {
		if ((block_at(pb)->flags & (PBF_MAPPED | PBF_GIGANTIC)) != PBF_MAPPED)
			continue;
		end = pb + block_at(pb)->nr;
		for (i = pb; i < end && block_at(i)->flags & PBF_DIRTY; i++)
			;
		if (i == end)
			continue;
		for (*nr = 1; *nr < max && i + *nr < end && !(block_at(i + *nr)->flags & PBF_DIRTY); ++*nr)
			;
		range_take(pb, i, *nr, PB_BUSY);
		return i;
	}
	return 0;
}
