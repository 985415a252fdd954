/* SPDX-License-Identifier: MIT */
/*
 * Homes: each thread fills its lists from slabs of its home, and an object goes back to its slab's. So what one thread
 * uses lies together, and no line of the cache is another's; and threads that fill or empty lists do not meet in a
 * lock. Where there are more threads than homes they share them; the first thread has the one that is there anyway.
 */
#include "mm/memblock.h"
#include "slab/slab.h"

/* The registry's lock. The first thread does not enter. */
static uint32_t users[SLAB_HOMES] = { 1 };

/* One more, with empty lists; false: there are enough, or there is no memory. */
static bool open_home(void)
{
	unsigned int i, home = nr_slab_homes, nodes = (unsigned int)nr_slab_nodes;

	if (home >= SLAB_HOMES)
		return false;
	if (!slab_homes)
		slab_homes = memblock_alloc((SLAB_HOMES - 1) * nodes * FIRST_RUN_CLASS * sizeof(*slab_homes));
	if (!slab_homes)
		return false;
	for (i = 0; i < nodes * FIRST_RUN_CLASS; i++)
		mutex_init(&slab_homes[(home - 1) * nodes * FIRST_RUN_CLASS + i].lock, RANK_HOME);
	returns_open();
	smp_store_release(&nr_slab_homes, home + 1);
	return true;
}

unsigned int slab_home_enter(void)
{
	unsigned int home, best = 0;

	for (home = 1; home < nr_slab_homes; home++)
		if (users[home] < users[best])
			best = home;
	if (users[best] && open_home())
		best = nr_slab_homes - 1;
	ADD_ONCE(users[best], 1);
	return best;
}

void slab_home_leave(unsigned int home)
{
	ADD_ONCE(users[home], -1U);
}

bool slab_home_is_used(unsigned int home)
{
	return READ_ONCE(users[home]) > 0;
}

void slab_homes_reinit_after_fork(unsigned int home)
{
	for (unsigned int i = 0; i < nr_slab_homes; i++)
		users[i] = i == home;
}

struct kmem_cache_node *lock_any_home(struct kmem_cache *cache, int nid)
{
	unsigned int home, nr = smp_load_acquire(&nr_slab_homes);

	for (home = 0; home < nr; home++) {
		struct kmem_cache_node *node = get_home(cache, home, nid);

		if (READ_ONCE(node->partial_head) == NO_PFN)
			continue;
		mutex_lock(&node->lock);
		if (node->partial_head != NO_PFN)
			return node;
		mutex_unlock(&node->lock);
	}
	return NULL;
}
