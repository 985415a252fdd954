/* SPDX-License-Identifier: MIT */
/*
 * The one kind of lock: a futex mutex of one word with a rank. Ranks grow inwards: while a thread holds a lock it may
 * take only locks of a higher rank (debug builds assert it). doc/locking.md has a row for each rank.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include "base/atomic.h"
#include "base/compiler.h"

enum lock_rank {
	RANK_INIT = 0, /* first use and configuration */
	RANK_OOM,      /* the OOM step: only ever tried, but by fork */
	RANK_THREADS,  /* registry of thread caches */
	RANK_CACHE,    /* a kmem_cache: central magazines */
	RANK_SLAB,     /* and its slabs of home 0 on a node, */
	RANK_HOME,     /* or of another home */
	RANK_GROW,     /* a zone's growth */
	RANK_BUDGET,   /* the reading of limits */
	RANK_WMARK,    /* the computing of watermarks */
	RANK_CMA,      /* which pages of CMA areas are given out */
	RANK_ZONE,     /* a zone's free areas */
	RANK_ARENA,    /* pageblock ranges */
	RANK_LOWMEM,   /* pageblocks below 4 GiB */
	RANK_MOVABLE,  /* movable blocks and their operations */
	RANK_SHRINKER, /* the list of the application's shrinkers */
	RANK_PRESSURE, /* what threads are stalled for */
	RANK_OWNER,    /* a named owner: its slabs and blocks, who is inside */
	RANK_OWNERS,   /* the table of owners */
	NR_LOCK_RANKS
};

struct mutex {
	uint32_t state; /* 0 free, 1 held, 2 held and waited for */
	uint8_t rank;
};

#define MUTEX_INIT(r)                   \
	{                               \
		.state = 0, .rank = (r) \
	}

void mutex_init(struct mutex *m, enum lock_rank rank);
void mutex_lock_slow(struct mutex *m);
void mutex_unlock_slow(struct mutex *m);

/* Debug builds: note and check what this thread holds. Two locks of one rank may be held only in address order, and
 * only by the fork handlers. */
#ifdef BM_DEBUG
void lock_rank_acquire(const struct mutex *m, bool tried);
void lock_rank_release(const struct mutex *m);
#else
static always_inline void lock_rank_acquire(const struct mutex *m, bool tried)
{
	(void)m;
	(void)tried;
}
static always_inline void lock_rank_release(const struct mutex *m)
{
	(void)m;
}
#endif

/*
 * While a thread forks it holds every lock, and handlers of others that run then may allocate: for it all locks are
 * open. fork_in_progress is what everyone looks at; forking_here is true in the thread that forks.
 */
extern bool fork_in_progress;
extern thread_local_var bool forking_here;

static always_inline bool mutex_held_for_fork(void)
{
	return unlikely(READ_ONCE(fork_in_progress)) && forking_here;
}
static inline void mutex_hold_for_fork(bool held)
{
	forking_here = held;
	WRITE_ONCE(fork_in_progress, held);
}

static always_inline void mutex_lock(struct mutex *m)
{
	if (mutex_held_for_fork())
		return;
	lock_rank_acquire(m, false);
	if (unlikely(!try_cmpxchg(&m->state, 0U, 1U)))
		mutex_lock_slow(m);
}

static always_inline bool mutex_trylock(struct mutex *m)
{
	if (mutex_held_for_fork())
		return true;
	if (!try_cmpxchg(&m->state, 0U, 1U))
		return false;
	lock_rank_acquire(m, true);
	return true;
}

static always_inline void mutex_unlock(struct mutex *m)
{
	if (mutex_held_for_fork())
		return;
	lock_rank_release(m);
	if (unlikely(xchg(&m->state, 0U) == 2U))
		mutex_unlock_slow(m);
}

/* In the child of a fork: the lock was held by the forking thread, and nobody waits any more. */
static always_inline void mutex_reinit_after_fork(struct mutex *m)
{
	lock_rank_release(m);
	WRITE_ONCE(m->state, 0U);
}

#endif
