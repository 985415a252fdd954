/* SPDX-License-Identifier: MIT */
/*
 * Reclaim in the background: a thread for each node, which works from the low mark up to the high one, so that those
 * who allocate need not; and which gives back what lies idle.
 */
#ifndef MM_KSWAPD_H
#define MM_KSWAPD_H

#include "base/tunables.h"
#include "mm/gfp.h"
#include "mm/pressure.h"

/* So often in dirty_decay it looks at what lies idle. */
#define KSWAPD_LOOKS 5U

#define MAX_RECLAIM_RETRIES 16 /* rounds of reclaim without progress before it is given up */

/* Set at the start by the layers above: what must be done before there is a thread of ours, any number of times (fork
 * handlers); and what can be done in the background while memory lies idle. */
extern hidden_var void (*kswapd_before_start)(void);
extern hidden_var void (*kswapd_idle_work)(void);

/*
 * The zone is below its low mark, or (gfp 0) its marks were boosted. Starts the node's thread or wakes it, if `kswapd`
 * and the request's flags allow that; no lock may be held then, but with gfp 0. Where there is no such thread a boost
 * makes zones grow, and is taken back when there is enough, or when they could not.
 */
void wakeup_kswapd(struct zone *zone, gfp_t gfp, unsigned int order, enum zone_type highest_zoneidx);

/* There are marks, a second thread has come, or kswapd:on was said: its threads will be those of this process, not of a
 * child of vfork. */
void kswapd_belongs_here(void);

/* Something else than a zone took memory under a limit: is it time to wake kswapd? No lock may be held. */
void kswapd_poll(void);

/* Is any zone that such requests use at its high mark? */
bool pgdat_balanced(pg_data_t *pgdat, unsigned int order, enum zone_type highest_zoneidx);

/* May there be one, without marks? A program of one thread stays one. */
static inline bool kswapd_welcome(void)
{
	unsigned int mode = READ_ONCE(tunables.kswapd);

	return mode == KSWAPD_ON || (mode == KSWAPD_AUTO && READ_ONCE(nr_heap_threads) >= 2);
}

/*
 * More is dirty than the limit, both of the zone's or the arena's. True: somebody who frees need not give that back,
 * for kswapd will. Where a thread of the program's makes one more nothing new, it is made by the next
 * kswapd_start_wanted(). Any lock may be held.
 */
bool kswapd_gives_back_slow(unsigned long dirty, unsigned long limit);
static inline bool kswapd_gives_back(unsigned long dirty, unsigned long limit)
{
	return unlikely(READ_ONCE(nr_heap_threads) >= 2) && kswapd_gives_back_slow(dirty, limit);
}
/* So much lies free and dirty: the same, were it too little to be given back by those who free. */
void kswapd_note_dirty(size_t bytes);
/* For who allocates, with no lock held, nor one of libc's: those may be who free. */
extern hidden_var bool kswapd_wanted;
void kswapd_start_wanted(void);
/* Threads have ended: where one is left kswapd ends, too. */
void kswapd_threads_ended(void);

/* The child of a fork has no such threads, until they are needed again. */
void kswapd_reinit_after_fork(void);

#endif
