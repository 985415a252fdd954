/* SPDX-License-Identifier: MIT */
/*
 * Arenas: ranges of whole pageblocks. Zones grow from here and give empty pageblocks back; a malloc larger than a run
 * takes a range for itself. Freed ranges stay mapped and dirty for a while, to be used again without a page fault,
 * and are given back to the system when they are many or old.
 */
#ifndef MM_ARENA_H
#define MM_ARENA_H

#include "base/compiler.h"
#include "mm/page.h"

/* The figures are pageblocks. */
struct arena_stats {
	unsigned long mapped; /* has memory behind it */
	unsigned long mapped_peak;
	unsigned long used; /* in zones or huge */
	unsigned long used_peak;
	unsigned long huge;	  /* serving one malloc by themselves */
	unsigned long dirty;	  /* free, but maybe resident */
	unsigned long thp;	  /* advised to be a hugepage */
	unsigned long hugetlb;	  /* on hugetlb pages */
	unsigned long grown;	  /* times memory was mapped */
	unsigned long given_back; /* pageblocks given back to the system, ever */
	unsigned long huge_tails; /* pages, not pageblocks: behind the ends of huge blocks */
	unsigned long pieces;	  /* that the mapped ones lie in: each is a mapping, or several of different advice */
};
extern struct arena_stats arena_stats;

/* More pieces than these are not made: an eighth of the mappings that a system usually allows a process. */
#define PIECES_MAX 8192UL

/* What is asked of the arenas, as they hand it on. */
struct arena_request {
	unsigned long nr, align; /* pageblocks */
	enum pageblock_state state;
	int nid;
	size_t reserve;		/* as budget_may_grow() has it */
	unsigned long moved_to; /* pages are brought to its first so many pageblocks */
};

/*
 * Take nr contiguous pageblocks whose address is a multiple of align (a power of two) of them, bound to node nid, for
 * state PB_OFFLINE or PB_HUGE. Returns the first pageblock's number, 0 when out of memory. *clean: all of it reads as
 * zero.
 */
unsigned long arena_alloc(unsigned long nr, unsigned long align, enum pageblock_state state, int nid, bool *clean);
/* The same for PB_OFFLINE, and for a request that has a right to what lies below the min mark. */
unsigned long arena_alloc_reserve(unsigned long nr, unsigned long align, int nid, bool *clean);
/* The same for what arena_move() brings pages to: none of those that are free are spent on it if that can be helped. */
unsigned long arena_alloc_to_move(unsigned long nr, unsigned long moved, int nid, bool *clean);
/* arena_gather.c. The same, out of the best free range if that is dirty throughout, else of dirty pages that lie
 * elsewhere, and under a limit of what it leaves; the arena lock is held, and the caller counts what is used. 0: that
 * is not enough, or the system does not move them. */
unsigned long arena_gather(const struct arena_request *rq);
/* The same for this place: from start on in the free range at pb. False: nothing was taken. */
bool arena_gather_at(unsigned long pb, unsigned long start, const struct arena_request *rq);
/* What was taken from start on, and has pages brought to it, has others' dirty ones behind these, as far as there are
 * any. False: the system did not do it, and does not give new ones; nothing is taken any more. */
bool arena_gather_behind(unsigned long start, const struct arena_request *rq);
/* arena_gather.c. As range_find_kind, for ordinary memory or none; if need be from the window's top on. 0: there is no
 * room. The arena lock is held. */
unsigned long arena_find(unsigned long nr, unsigned long align, int nid, uint8_t kind);
/* Take what is asked for from start on out of the free range at pb; 0 or -errno. The arena lock is held, and the caller
 * counts it. */
int arena_take(unsigned long pb, unsigned long start, const struct arena_request *rq);
/* What was taken from a free range is in use. The arena lock is held. */
void arena_count_used(unsigned long pb, unsigned long nr, enum pageblock_state state);
/* Put memory behind pageblocks that have none; 0 or -errno. The arena lock is held. */
int arena_commit(unsigned long pb, unsigned long nr, int nid);
/* Give a range back; dirty unless it was never written. May give memory back to the system. */
void arena_free(unsigned long pb, unsigned long nr, bool dirty);
/* Lengthen a range in place by what lies free behind it; false if it does not. */
bool arena_extend(unsigned long pb, unsigned long nr, unsigned long new_nr);
/* Move the memory of the first bytes of src onto dst by page tables alone; src loses its memory, and stays allocated.
 * False if the system will not: nothing has changed. */
bool arena_move(unsigned long dst, unsigned long src, unsigned long nr, size_t bytes);
/* What every new mapping for pages is told: its node, and hugepages at once, or not until they are asked for. */
void arena_advise_new(void *addr, size_t bytes, int nid);
/* Ask for hugepages behind a range where policy says so (thp tunable). filled: whatever is known of large blocks. */
void arena_advise_huge(unsigned long pb, unsigned long nr, bool filled);
/* No hugepages behind a range, whatever policy says: it gets its next memory by small pages. */
void arena_advise_small(unsigned long pb, unsigned long nr);
/* Make the small pages of a pageblock in use a hugepage, where policy says so: 0, -errno, or -EALREADY if policy does
 * not, or it was asked for before. No lock may be held. */
int arena_collapse(unsigned long pb);
/* Give back dirty ranges: until at most keep pageblocks are dirty, and all that are older than age_ms (~0: any age
 * stays). With unmap, address space too. Where a limit counts address space that is always so, and keep is of all free
 * pageblocks that are mapped. Returns pageblocks given back. */
unsigned long arena_purge(unsigned long keep, uint32_t age_ms, bool unmap);
/* Under a limit: give back what is free beyond what may stay. */
void arena_balance(void);
/* Bytes that may be dirty, beyond shares of what is in use and what was missed: less where little is in use, for that
 * is a program that is done rather than one that begins again; but not of several threads, nor where one is to follow.
 */
size_t dirty_max_for(size_t used);
/* Set by who knows threads: those that end are followed by others. */
extern hidden_var bool threads_follow;
/* sparse_map_home_classes(), as far as the system gives memory for that. Once. */
void arena_map_home_classes(void);
/* Dirty pageblocks that may stay; and how many of those only because more were missed soon after they had gone. */
unsigned long arena_dirty_limit(void);
unsigned long arena_slack(void);
/* The latter, whatever is in use. */
unsigned long arena_regrets(void);
/* Some were given back. The arena lock is held. */
void arena_note_given(void);

void arena_init(void);
/* The lock of all of it: for fork, and for the parts of the arenas that are in files of their own. */
void arena_lock_all(void);
void arena_unlock_all(void);
void arena_reinit_after_fork(void);

/* Prove the invariants of the ranges: states, lengths, bins, counters. Fatal on a violation. Debug and tests. */
void check_arena(void);

#endif
