/* SPDX-License-Identifier: MIT */
/*
 * Finding pageblocks below 4 GiB. There is no list of what is free there but the kernel's own, so it is asked: a
 * mapping is tried at one place after the other, from 4 GiB down, in a way that never lands on what is there already.
 * What turned out to be somebody else's is remembered for a second, so a full low space says so without a system call;
 * after that the world may have changed, and a request that finds nothing looks again.
 */
#include "mm/lowmem.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/lock.h"
#include "mm/arena.h"
#include "mm/page.h"
#include "mm/sparse.h"
#include "mm/thp.h"
#include "os/os.h"

/* The first pageblock holds address 0 and what vm.mmap_min_addr keeps. */
#define LOW_FIRST 1UL
#define FORGET_MS 1000U
/* Places that were taken, after which the kernel is asked for one. */
#define HINT_AFTER 16

typedef uint64_t low_set[LOW_BLOCKS / 64];

/* Pageblocks are counted from address 0 here. The lock protects all of it, and the descriptors of pageblocks that
 * nobody holds. */
static struct {
	struct mutex lock;
	low_set held;	 /* given out, or on their way back */
	low_set spare;	 /* free, but the system would not unmap them */
	low_set foreign; /* somebody else's, when they were last looked at */
	bool learned;	 /* is anything in foreign? */
	uint32_t since;	 /* when it was first, in ms */
	unsigned long nr_held, nr_spare;
} lowmem = { .lock = MUTEX_INIT(RANK_LOWMEM) };

static unsigned long low_block(void)
{
	return vmemmap.low_pfn >> PAGEBLOCK_ORDER;
}

static void *low_addr(unsigned long at)
{
	return (void *)(at << PAGEBLOCK_SHIFT);
}

static bool is_in(const low_set set, unsigned long at)
{
	return set[at / 64] >> at % 64 & 1;
}

static void put_in(low_set set, unsigned long at, unsigned long nr, bool in)
{
	for (; nr; at++, nr--)
		set[at / 64] = (set[at / 64] & ~(1UL << at % 64)) | (uint64_t)in << at % 64;
}

static bool all_spare(unsigned long at, unsigned long nr)
{
	for (; nr && is_in(lowmem.spare, at); at++)
		nr--;
	return !nr;
}

/* The first of nr pageblocks that is known to be taken; at + nr: none. */
static unsigned long first_taken(unsigned long at, unsigned long nr)
{
	unsigned long end = at + nr;

	while (at < end && !is_in(lowmem.held, at) && !is_in(lowmem.spare, at) && !is_in(lowmem.foreign, at))
		at++;
	return at;
}

/* Do the addresses belong to others? Below vm.mmap_min_addr it is forbidden to map. */
static bool is_foreign(int err)
{
	return err == -EEXIST || err == -EPERM || err == -EACCES;
}

static void learn(unsigned long at)
{
	if (!lowmem.learned)
		lowmem.since = (uint32_t)os_clock_ms();
	lowmem.learned = true;
	put_in(lowmem.foreign, at, 1, true);
}

/* Some of nr pageblocks are somebody else's: the first of them, or the last of all if they are no more. */
static unsigned long first_foreign(unsigned long at, unsigned long nr)
{
	unsigned long end = at + nr;

	for (; at < end; at++) {
		int err = nr > 1 ? sparse_commit(low_block() + at, 1) : -EEXIST;

		if (!err)
			sparse_decommit(low_block() + at, 1);
		if (!is_foreign(err))
			continue;
		learn(at);
		return at;
	}
	return end - 1;
}

static int map_blocks(unsigned long at, unsigned long nr)
{
	unsigned long pb = low_block() + at;
	int err = sparse_commit(pb, nr);

	if (err)
		return err;
	err = sparse_extend_low(pb, nr);
	if (err)
		sparse_decommit(pb, nr);
	return err ? -ENOMEM : 0;
}

/* Where the kernel itself finds room; 0: nowhere, or only it knows. On x86-64 it can be asked for the second GiB. */
static unsigned long ask_kernel(unsigned long nr, unsigned long align)
{
#ifdef MAP_32BIT
	size_t len = (nr + align) << PAGEBLOCK_SHIFT;
	long ret = os->mmap(NULL, len, PROT_NONE, MAP_32BIT);
	unsigned long at;

	if (os_is_error(ret))
		return 0;
	os->munmap((void *)ret, len);
	at = align_up(align_up((unsigned long)ret, PAGEBLOCK_SIZE) >> PAGEBLOCK_SHIFT, align);
	return at + nr <= LOW_BLOCKS && first_taken(at, nr) == at + nr ? at : 0;
#else
	(void)nr, (void)align;
	return 0;
#endif
}

static unsigned long find_spare(unsigned long nr, unsigned long align)
{
	unsigned long at = align_down(LOW_BLOCKS - nr, align);

	while (at >= LOW_FIRST && !all_spare(at, nr))
		at -= align;
	return at;
}

/* Look from 4 GiB down; 0 if there is no place, or no memory: *err says which. */
static unsigned long find_place(unsigned long nr, unsigned long align, int *err)
{
	unsigned long at, taken, misses = 0;

	*err = -EEXIST;
	if (lowmem.nr_spare && (at = find_spare(nr, align)))
		return at;
	for (at = align_down(LOW_BLOCKS - nr, align); at >= LOW_FIRST; at = align_down(taken - nr, align)) {
		taken = first_taken(at, nr);
		if (taken == at + nr) {
			*err = map_blocks(at, nr);
			if (!is_foreign(*err))
				return *err ? 0 : at;
			taken = first_foreign(at, nr);
			if (++misses == HINT_AFTER && (at = ask_kernel(nr, align))) {
				*err = map_blocks(at, nr);
				if (!is_foreign(*err))
					return *err ? 0 : at;
			}
		}
		if (taken < nr + LOW_FIRST)
			break;
	}
	return 0;
}

/* The same, and once more if there is no place because of what is known from long ago. */
static unsigned long find_place_anew(unsigned long nr, unsigned long align)
{
	int err;
	unsigned long at = find_place(nr, align, &err);

	if (at || !is_foreign(err) || !lowmem.learned || (uint32_t)os_clock_ms() - lowmem.since < FORGET_MS)
		return at;
	memset(lowmem.foreign, 0, sizeof(lowmem.foreign));
	lowmem.learned = false;
	return find_place(nr, align, &err);
}

/* Pageblocks that were mapped just now, or could not be unmapped before, are in use from here on. */
static void take_blocks(unsigned long at, unsigned long nr, int nid, bool *clean)
{
	bool was_spare = is_in(lowmem.spare, at);
	unsigned long i, pb = low_block() + at;

	put_in(lowmem.held, at, nr, true);
	put_in(lowmem.spare, at, nr, false);
	ADD_ONCE(lowmem.nr_held, nr);
	ADD_ONCE(lowmem.nr_spare, was_spare ? -nr : 0);
	arena_advise_new(low_addr(at), nr << PAGEBLOCK_SHIFT, nid);
	*clean = true;
	for (i = pb; i < pb + nr; i++) {
		struct pageblock *b = &vmemmap.blocks[i];

		*clean &= !was_spare || !(b->flags & PBF_DIRTY);
		WRITE_ONCE(b->flags, PBF_MAPPED);
		WRITE_ONCE(b->nid, (uint8_t)nid);
		WRITE_ONCE(b->settled, 0);
		WRITE_ONCE(b->state, PB_OFFLINE);
	}
}

/* Ask for hugepages where policy says so; the pageblocks are the caller's already. */
static void advise_huge(unsigned long at, unsigned long nr, bool clean)
{
	unsigned long i, pb = low_block() + at;

	if (!thp_wanted((READ_ONCE(arena_stats.mapped) + lowmem_used()) << PAGEBLOCK_SHIFT))
		return;
	if (os->madvise(low_addr(at), nr << PAGEBLOCK_SHIFT, MADV_HUGEPAGE) < 0)
		return;
	for (i = pb; i < pb + nr; i++)
		WRITE_ONCE(vmemmap.blocks[i].flags, vmemmap.blocks[i].flags | PBF_THP);
	if (clean)
		thp_probe(low_addr(at));
}

unsigned long lowmem_alloc(unsigned long nr, unsigned long align, int nid, bool *clean)
{
	unsigned long at;

	if (vmemmap.low_pfn == ~0UL || nr > LOW_BLOCKS - LOW_FIRST || align >= LOW_BLOCKS)
		return 0;
	mutex_lock(&lowmem.lock);
	at = find_place_anew(nr, align);
	if (at)
		take_blocks(at, nr, nid, clean);
	mutex_unlock(&lowmem.lock);
	if (!at)
		return 0;
	advise_huge(at, nr, *clean);
	return low_block() + at;
}

void lowmem_free(unsigned long pb, unsigned long nr)
{
	unsigned long at = pb - low_block(), i;
	bool spare, dirty;

	/* Still held, so nobody looks there. */
	for (i = pb; i < pb + nr; i++)
		WRITE_ONCE(vmemmap.blocks[i].state, PB_BUSY);
	spare = sparse_decommit(pb, nr) < 0;
	dirty = spare && os->madvise(low_addr(at), nr << PAGEBLOCK_SHIFT, MADV_DONTNEED) < 0;
	mutex_lock(&lowmem.lock);
	for (i = pb; i < pb + nr; i++) {
		WRITE_ONCE(vmemmap.blocks[i].flags, (uint8_t)((spare ? PBF_MAPPED : 0) | (dirty ? PBF_DIRTY : 0)));
		WRITE_ONCE(vmemmap.blocks[i].state, PB_HOLE);
	}
	put_in(lowmem.held, at, nr, false);
	put_in(lowmem.spare, at, nr, spare);
	ADD_ONCE(lowmem.nr_held, -nr);
	ADD_ONCE(lowmem.nr_spare, spare ? nr : 0);
	mutex_unlock(&lowmem.lock);
}

unsigned long lowmem_used(void)
{
	return READ_ONCE(lowmem.nr_held);
}

unsigned long lowmem_mapped(void)
{
	return READ_ONCE(lowmem.nr_held) + READ_ONCE(lowmem.nr_spare);
}

void lowmem_lock_all(void)
{
	mutex_lock(&lowmem.lock);
}

void lowmem_unlock_all(void)
{
	mutex_unlock(&lowmem.lock);
}

void lowmem_reinit_after_fork(void)
{
	mutex_reinit_after_fork(&lowmem.lock);
}

void check_lowmem(void)
{
	unsigned long at, held = 0, spare = 0;

	mutex_lock(&lowmem.lock);
	for (at = 0; at < LOW_BLOCKS; at++) {
		bool online = pfn_online((low_block() + at) << PAGEBLOCK_ORDER);
		const struct pageblock *b = online ? &vmemmap.blocks[low_block() + at] : NULL;
		bool is_held = is_in(lowmem.held, at), is_spare = is_in(lowmem.spare, at);

		if (is_held + is_spare + is_in(lowmem.foreign, at) > 1)
			bm_fatal("check_lowmem: pageblock %lu is in two sets", at);
		if ((is_held || is_spare) && !(online && b->flags & PBF_MAPPED))
			bm_fatal("check_lowmem: pageblock %lu has no memory", at);
		if (online && is_held != (b->state != PB_HOLE))
			bm_fatal("check_lowmem: pageblock %lu has state %u", at, b->state);
		held += is_held;
		spare += is_spare;
	}
	if (held != lowmem.nr_held || spare != lowmem.nr_spare)
		bm_fatal("check_lowmem: held %lu spare %lu, counted %lu %lu", held, spare, lowmem.nr_held,
			 lowmem.nr_spare);
	mutex_unlock(&lowmem.lock);
}
