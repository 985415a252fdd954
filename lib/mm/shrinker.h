/* SPDX-License-Identifier: MIT */
/*
 * The application's shrinkers: caches of its own that reclaim asks when the built-in ones (vmscan.h) have not given
 * enough. bm_shrinker_register in buddymalloc.h is what their writers know of it.
 */
#ifndef MM_SHRINKER_H
#define MM_SHRINKER_H

#include "mm/gfp.h"

struct out;

#define DEF_PRIORITY 12	   /* where reclaim begins: a 4096th of what there is */
#define SHRINK_BATCH 128UL /* objects that a scan is asked for, and less than which is put off */
#define DEFAULT_SEEKS 2	   /* an object costs this many accesses to make again */

/* ops and name are copied; the caller has checked them. NULL: no memory. */
struct bm_shrinker *register_shrinker_app(const char *name, const struct bm_shrinker_ops *ops, void *arg, int seeks);
/* Returns once no call of it is running, but for one that this thread is in. False: it is not registered. May wait: the
 * caller holds no lock. */
bool unregister_shrinker_app(struct bm_shrinker *s);

/*
 * Call them for a node, priority by priority, until they say that so many objects were freed; how many were. No lock of
 * ours may be held. Nobody is called without GFP_FS, what was to do is put off then; nor on a thread that reclaims
 * already, is in such a scope, or forks.
 */
unsigned long shrink_slab_app(gfp_t gfp, int nid, unsigned long enough);
/* kswapd's: one round at a priority, on a thread that is at none. */
unsigned long shrink_slab_app_at(gfp_t gfp, int nid, int priority);
/* Objects that they had on the node when they were asked last. */
unsigned long shrinkers_freeable(int nid);
/* Has the application any? */
bool have_shrinkers(void);

/* A line for each: name, calls of scan, objects freed, objects put off. Async-signal-safe. */
void print_shrinkers(struct out *o);

void shrinkers_lock_all(void);
void shrinkers_unlock_all(void);
void shrinkers_reinit_after_fork(void);

#endif
