/* SPDX-License-Identifier: MIT */
/*
 * The public functions for a thread's scopes and memory policy. Policies need the nodes, so the heap is started first;
 * scopes are a word of the thread's own.
 */
#include <errno.h>

#include "malloc/heap.h"
#include "mm/mempolicy.h"
#include "os/topology.h"
#include "slab/tcache.h"

unsigned int bm_memalloc_save(unsigned int scope)
{
	return memalloc_flags_save(scope);
}

void bm_memalloc_restore(unsigned int saved)
{
	memalloc_flags_restore(saved);
}

int bm_set_mempolicy(int mode, const unsigned long *nodemask, unsigned long maxnode)
{
	int err;

	if (!heap_init())
		return -ENOMEM;
	err = set_task_policy(mode, nodemask, maxnode);
	/* What this thread has freed lies where the policy before it said. */
	if (!err && topology.nr_nodes > 1) {
		tcache_flush();
		tcache_follow_node(&tcache);
	}
	return err;
}

int bm_get_mempolicy(int *mode, unsigned long *nodemask, unsigned long maxnode)
{
	if (!heap_init())
		return -ENOMEM;
	return get_task_policy_user(mode, nodemask, maxnode);
}
