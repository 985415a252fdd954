/* SPDX-License-Identifier: MIT */
/*
 * Reclaim in the background: a thread for each node, which works from the low mark up to the high one, so that those
 * who allocate need not.
 */
#ifndef MM_KSWAPD_H
#define MM_KSWAPD_H

#include "mm/gfp.h"

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

/* There are marks: its threads will be those of this process, not of a child of vfork. */
void kswapd_belongs_here(void);

/* Something else than a zone took memory under a limit: is it time to wake kswapd? No lock may be held. */
void kswapd_poll(void);

/* Is any zone that such requests use at its high mark? */
bool pgdat_balanced(pg_data_t *pgdat, unsigned int order, enum zone_type highest_zoneidx);

/* The child of a fork has no such threads, until they are needed again. */
void kswapd_reinit_after_fork(void);

#endif
