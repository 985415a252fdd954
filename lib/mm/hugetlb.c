/* SPDX-License-Identifier: MIT */
/*
 * Hugetlb pages behind ranges of pageblocks. A mapping of them is a promise that the system may break with SIGBUS, so a
 * range is handed out only when all of its pages are there: bound to the node, faulted in, and said to be so by the
 * system. From then on they stay, for they are never taken out from under the mapping: a free range is unmapped whole,
 * or kept whole.
 *
 * A fork takes all of that back: pages are shared then, who writes first needs another one, and where the pool has none
 * the child's is taken away. So what is in use is copied to ordinary pages before a fork, and the child puts the copy
 * in the place of what it shares, before it does anything else; then the parent is alone with its pages again. What
 * libc does before that must not meet such a page: neither slabs nor runs lie on them. Calls that make a process
 * without the handlers (clone, _Fork) leave the child what it shares.
 */
#include "mm/hugetlb.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/mman.h>

#include "base/message.h"
#include "mm/budget.h"
#include "mm/range.h"
#include "mm/sparse.h"
#include "mm/thp.h"
#include "mm/vmstat.h"
#include "os/os.h"
#include "os/topology.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif

/* With hugetlb:try a node that had none is not asked again for so long. */
#define DRY_MS 100U

void (*hugetlb_before_first)(void);

/* When each node last had none, in ms; 0: never. A hint. */
static uint32_t dry_since[MAX_NUMNODES];

/* All of the pages are there then, or it fails. */
static int fault_in(char *addr, size_t bytes, size_t page)
{
	int err = (int)os->madvise(addr, bytes, MADV_POPULATE_WRITE);
	size_t at;

	if (err != -EINVAL)
		return err;
	for (at = 0, err = 0; at < bytes && !err; at += page)
		err = os_fault_in(addr + at);
	return err;
}

static int commit(unsigned long pb, unsigned long nr, int nid, unsigned int page_shift)
{
	size_t bytes = nr << PAGEBLOCK_SHIFT;
	void *addr = block_to_addr(pb);
	int err;

	/* Where that fails over a reservation, the reservation may be gone. */
	if (sparse_is_reserved())
		return -EOPNOTSUPP;
	err = sparse_map_fresh((uintptr_t)addr, bytes, PROT_READ | PROT_WRITE,
			       MAP_HUGETLB | (int)(page_shift << MAP_HUGE_SHIFT));
	if (err)
		return err;
	if (topology_binds())
		err = (int)os->mbind(addr, bytes, MPOL_BIND, 1UL << nid);
	if (!err)
		err = fault_in(addr, bytes, 1UL << page_shift);
	if (err && sparse_decommit(pb, nr))
		return -EEXIST; /* what lies there now is of no use, but stays */
	return err;
}

/* The arena lock is held. */
static unsigned long take(unsigned long pb, unsigned long nr, unsigned long align, enum pageblock_state state)
{
	unsigned long start = range_fit(pb, nr, align);

	range_take(pb, start, nr, state);
	arena_count_used(start, nr, state);
	return start;
}

/* What is free of what was had; 0: none fits. Gigantic pages first, of which most stays for long anyway. */
static unsigned long take_mapped(unsigned long nr, unsigned long align, enum pageblock_state state, int nid)
{
	static const uint8_t kinds[] = { PBF_MAPPED | PBF_HUGETLB | PBF_GIGANTIC, PBF_MAPPED | PBF_HUGETLB };
	unsigned long pb, start = 0;
	unsigned int i;

	arena_lock_all();
	for (i = 0; i < ARRAY_SIZE(kinds) && !start; i++) {
		pb = range_find_kind(nr, align, nid, kinds[i]);
		if (pb)
			start = take(pb, nr, align, state);
	}
	arena_unlock_all();
	return start;
}

static unsigned long take_unmapped(unsigned long nr, unsigned long align, enum pageblock_state state, int nid)
{
	size_t bytes = nr << PAGEBLOCK_SHIFT;
	unsigned long pb, start = 0;

	arena_lock_all();
	pb = arena_find(nr, align, nid, 0);
	if (pb && budget_may_grow(bytes, false, state == PB_OFFLINE ? bytes : 0))
		start = take(pb, nr, align, state);
	arena_unlock_all();
	return start;
}

/* Memory of pageblocks that are in no range is hugetlb pages, of these flags, or is not any more. The arena lock is
 * held. */
static void set_hugetlb(unsigned long pb, unsigned long nr, uint8_t flags)
{
	unsigned long i;

	for (i = pb; i < pb + nr; i++)
		WRITE_ONCE(block_at(i)->flags, (uint8_t)((block_at(i)->flags & ~(PBF_HUGETLB | PBF_GIGANTIC)) | flags));
	ADD_ONCE(arena_stats.hugetlb, flags ? nr : -nr);
}

static void set_committed(unsigned long pb, unsigned long nr, int nid, uint8_t flags)
{
	arena_lock_all();
	range_set_mapped(pb, nr, nid);
	range_split(pb);
	range_split(pb + nr);
	set_hugetlb(pb, nr, flags);
	ADD_ONCE(arena_stats.grown, 1);
	arena_unlock_all();
	count_vm_events(HTLB_BUDDY_ALLOC_SUCCESS, nr);
}

static void give_up_range(unsigned long pb, unsigned long nr, int err)
{
	unsigned long i;

	for (i = pb; i < pb + nr && err == -EEXIST; i++)
		WRITE_ONCE(block_at(i)->flags, PBF_LOST);
	arena_free(pb, nr, false);
}

/* Pages of this size from the system, at least for so many pageblocks; 0 and *err: why not. */
static unsigned long map_more(unsigned long nr, unsigned long align, enum pageblock_state state, int nid,
			      unsigned int page_shift, int *err)
{
	unsigned long page = 1UL << (page_shift - PAGEBLOCK_SHIFT), whole = align_up(nr, page), pb;

	do {
		pb = take_unmapped(whole, max_ul(align, page), state, nid);
		*err = pb ? commit(pb, whole, nid, page_shift) : -ENOMEM;
		if (pb && *err)
			give_up_range(pb, whole, *err);
	} while (*err == -EEXIST);
	if (*err)
		return 0;
	set_committed(pb, whole, nid, page > 1 ? PBF_HUGETLB | PBF_GIGANTIC : PBF_HUGETLB);
	if (whole > nr)
		arena_free(pb + nr, whole - nr, false);
	return pb;
}

static bool is_dry(int nid)
{
	uint32_t since = READ_ONCE(dry_since[nid]);

	return since && (uint32_t)os_clock_ms() - since < DRY_MS;
}

static void set_dry(unsigned long nr, int nid, int err, bool only)
{
	WRITE_ONCE(dry_since[nid], (uint32_t)os_clock_ms() | 1);
	WARN_ONCE(true,
		  "hugetlb:%s: node %d has not %lu hugetlb pages of %lu kB (error %d): %s; vmstat counts it in "
		  "htlb_buddy_alloc_fail, and this is said once",
		  only ? "only" : "try", nid, nr, PAGEBLOCK_SIZE >> 10, -err,
		  only ? "requests fail without" : "ordinary pages serve instead");
}

/* Gigantic pages for what fills one; for less only where there are no others. */
static unsigned long get_more(unsigned long nr, unsigned long align, enum pageblock_state state, int nid, int *err)
{
	unsigned long pb = 0;
	int ignored;

	if (nr >= GIGANTIC_BLOCKS)
		pb = map_more(nr, align, state, nid, GIGANTIC_SHIFT, err);
	if (!pb)
		pb = map_more(nr, align, state, nid, PAGEBLOCK_SHIFT, err);
	if (!pb && nr < GIGANTIC_BLOCKS)
		pb = map_more(nr, align, state, nid, GIGANTIC_SHIFT, &ignored);
	/* What is free, but not in one piece, may be all that there is. */
	if (!pb && READ_ONCE(arena_stats.hugetlb) && arena_purge(0, ~0U, true))
		pb = map_more(nr, align, state, nid, PAGEBLOCK_SHIFT, err);
	return pb;
}

unsigned long hugetlb_alloc(unsigned long nr, unsigned long align, enum pageblock_state state, int nid, bool *clean)
{
	bool only = READ_ONCE(tunables.hugetlb) == HUGETLB_ONLY;
	void (*before_first)(void) = xchg(&hugetlb_before_first, NULL);
	unsigned long pb;
	int err;

	if (unlikely(before_first))
		before_first();
	budget_poll();
	pb = take_mapped(nr, align, state, nid);
	if (!pb && (only || !is_dry(nid))) {
		pb = get_more(nr, align, state, nid, &err);
		if (!pb)
			set_dry(nr, nid, err, only);
	}
	if (!pb)
		count_vm_event(HTLB_BUDDY_ALLOC_FAIL);
	if (!pb && !only)
		return arena_alloc(nr, align, state, nid, clean);
	*clean = pb && range_is_clean(pb, nr);
	return pb;
}

static bool is_free_gigantic(unsigned long pb)
{
	unsigned long i;

	for (i = pb; i < pb + GIGANTIC_BLOCKS; i++)
		if (READ_ONCE(block_at(i)->state) != PB_FREE || !(block_at(i)->flags & PBF_GIGANTIC))
			return false;
	return true;
}

unsigned long hugetlb_trim(unsigned long keep)
{
	unsigned long pb, kept = 0, done = 0;

	if (likely(!READ_ONCE(arena_stats.hugetlb)))
		return 0;
	arena_lock_all();
	for (pb = align_block(FIRST_BLOCK, GIGANTIC_BLOCKS); pb + GIGANTIC_BLOCKS <= range_top();
	     pb += GIGANTIC_BLOCKS) {
		if (!is_free_gigantic(pb) || kept++ < keep)
			continue;
		range_take_busy(pb, GIGANTIC_BLOCKS);
		if (!sparse_decommit(pb, GIGANTIC_BLOCKS)) {
			range_set_unmapped(pb, GIGANTIC_BLOCKS);
			done += GIGANTIC_BLOCKS;
		}
		range_insert(pb, GIGANTIC_BLOCKS);
	}
	ADD_ONCE(arena_stats.given_back, done);
	arena_unlock_all();
	return done;
}

/* What the child of a fork will have; between the handlers alone. */
static struct {
	char *map, *at; /* where it is mapped, and where the copy begins, pageblock after pageblock */
	size_t mapped;
	bool huge; /* hugepages were asked for */
} copy;

static bool holds_data(unsigned long pb)
{
	unsigned int state = READ_ONCE(block_at(pb)->state);

	/* Of what is on its way, somebody knows the content only when it has arrived. */
	return block_is_hugetlb(block_at(pb)) && (state == PB_HUGE || state == PB_ZONE);
}

/* From pb on the first ones that hold data, of one node; 0: none. */
static unsigned long next_with_data(unsigned long pb, unsigned long *nr)
{
	unsigned long end;

	while (pb < range_top() && !holds_data(pb))
		pb++;
	for (end = pb; end < range_top() && holds_data(end) && block_at(end)->nid == block_at(pb)->nid; end++)
		;
	*nr = end - pb;
	return *nr ? pb : 0;
}

static bool map_copy(size_t bytes)
{
	long map = os->mmap(NULL, bytes + PAGEBLOCK_SIZE, PROT_READ | PROT_WRITE, 0);

	if (os_is_error(map))
		return false;
	copy.map = (char *)map;
	copy.mapped = bytes + PAGEBLOCK_SIZE;
	copy.at = (char *)align_up((uintptr_t)map, PAGEBLOCK_SIZE);
	return true;
}

void hugetlb_fork_prepare(void)
{
	unsigned long pb, nr, all = 0;
	char *at;

	copy.map = NULL;
	if (likely(!arena_stats.hugetlb))
		return;
	for (pb = next_with_data(FIRST_BLOCK, &nr); pb; pb = next_with_data(pb + nr, &nr))
		all += nr;
	if (!all)
		return;
	if (!map_copy(all << PAGEBLOCK_SHIFT)) {
		WARN_ONCE(true, "no memory to copy %lu kB from hugetlb pages for a fork: the child may get SIGBUS",
			  all << (PAGEBLOCK_SHIFT - 10));
		return;
	}
	copy.huge = thp_wanted(arena_stats.mapped << PAGEBLOCK_SHIFT);
	at = copy.at;
	for (pb = next_with_data(FIRST_BLOCK, &nr); pb; pb = next_with_data(pb + nr, &nr)) {
		arena_advise_new(at, nr << PAGEBLOCK_SHIFT, block_at(pb)->nid);
		if (copy.huge)
			os->madvise(at, nr << PAGEBLOCK_SHIFT, MADV_HUGEPAGE);
		memcpy(at, block_to_addr(pb), nr << PAGEBLOCK_SHIFT);
		at += nr << PAGEBLOCK_SHIFT;
	}
}

void hugetlb_fork_parent(void)
{
	if (copy.map)
		os->munmap(copy.map, copy.mapped);
	copy.map = NULL;
}

/* The child has a copy of it now: it is memory like any other. */
static void put_copy(unsigned long pb, unsigned long nr, char *at)
{
	size_t bytes = nr << PAGEBLOCK_SHIFT;
	unsigned long i;

	if (os_is_error(os->mremap(at, bytes, bytes, block_to_addr(pb), 0)))
		return;
	set_hugetlb(pb, nr, 0);
	for (i = pb; copy.huge && i < pb + nr; i++)
		block_at(i)->flags |= PBF_THP;
	ADD_ONCE(arena_stats.thp, copy.huge ? nr : 0);
}

/* A gigantic page cannot be replaced in parts. */
static void unmap_gigantic(void)
{
	unsigned long pb;

	for (pb = align_block(FIRST_BLOCK, GIGANTIC_BLOCKS); pb + GIGANTIC_BLOCKS <= range_top(); pb += GIGANTIC_BLOCKS)
		if (block_at(pb)->flags & PBF_GIGANTIC)
			sparse_decommit(pb, GIGANTIC_BLOCKS);
}

/* What is free is the parent's. */
static void drop_free_ranges(void)
{
	unsigned long pb, nr;

	for (pb = FIRST_BLOCK; pb < range_top(); pb += nr) {
		bool is_free = READ_ONCE(block_at(pb)->state) == PB_FREE;

		nr = is_free ? block_at(pb)->nr : 1;
		if (!is_free || !(block_at(pb)->flags & PBF_HUGETLB))
			continue;
		range_take(pb, pb, nr, PB_BUSY);
		if (!sparse_decommit(pb, nr)) {
			range_set_unmapped(pb, nr);
			range_insert(pb, nr);
		}
	}
}

void hugetlb_fork_child(void)
{
	unsigned long pb, nr;
	char *at = copy.at;

	if (likely(!arena_stats.hugetlb))
		return;
	if (copy.map)
		unmap_gigantic();
	for (pb = next_with_data(FIRST_BLOCK, &nr); copy.map && pb; pb = next_with_data(pb + nr, &nr)) {
		put_copy(pb, nr, at);
		at += nr << PAGEBLOCK_SHIFT;
	}
	hugetlb_fork_parent(); /* what is left of the copy */
	drop_free_ranges();
}
