/* SPDX-License-Identifier: MIT */
/*
 * The fork handlers. The child keeps the cache of the thread that forked; what other threads had cached stays with
 * the objects in use, as it does for the threads themselves.
 */
#include "malloc/fork.h"

#include <pthread.h>

#include "mm/arena.h"
#include "mm/budget.h"
#include "mm/hugetlb.h"
#include "mm/migrate.h"
#include "mm/internal.h"
#include "mm/lowmem.h"
#include "mm/mmzone.h"
#include "mm/owner.h"
#include "mm/page_isolation.h"
#include "mm/pressure.h"
#include "mm/shrinker.h"
#include "mm/vmscan.h"
#include "slab/slab.h"
#include "slab/tcache.h"

void fork_handlers_register(void)
{
	static bool registered;

	if (xchg(&registered, true))
		return;
	pthread_atfork(fork_prepare, fork_parent, fork_child);
	owner_first_thread();
}

void fork_prepare(void)
{
	oom_lock_all();
	tcache_lock_all();
	slab_lock_all();
	zones_grow_lock_all();
	budget_lock_all();
	watermark_lock_all();
	cma_lock_all();
	zones_lock_all();
	arena_lock_all();
	lowmem_lock_all();
	movable_lock_all();
	shrinkers_lock_all();
	pressure_lock_all();
	owner_locks_lock_all();
	owners_lock_all();
	hugetlb_fork_prepare();
	mutex_hold_for_fork(true);
}

void fork_parent(void)
{
	mutex_hold_for_fork(false);
	hugetlb_fork_parent();
	owners_unlock_all();
	owner_locks_unlock_all();
	pressure_unlock_all();
	shrinkers_unlock_all();
	movable_unlock_all();
	lowmem_unlock_all();
	arena_unlock_all();
	zones_unlock_all();
	cma_unlock_all();
	watermark_unlock_all();
	budget_unlock_all();
	zones_grow_unlock_all();
	slab_unlock_all();
	tcache_unlock_all();
	oom_unlock_all();
}

void fork_child(void)
{
	mutex_hold_for_fork(false);
	owners_reinit_after_fork();
	owner_locks_reinit_after_fork();
	pressure_reinit_after_fork();
	shrinkers_reinit_after_fork();
	movable_reinit_after_fork();
	lowmem_reinit_after_fork();
	arena_reinit_after_fork();
	hugetlb_fork_child();
	zones_reinit_after_fork();
	cma_reinit_after_fork();
	watermark_reinit_after_fork();
	budget_reinit_after_fork();
	zones_grow_reinit_after_fork();
	isolation_reinit_after_fork();
	vmscan_reinit_after_fork();
	slab_reinit_after_fork();
	tcache_reinit_after_fork();
	oom_reinit_after_fork();
}
