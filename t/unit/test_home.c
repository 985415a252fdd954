/* SPDX-License-Identifier: MIT */
/*
 * Homes: threads' objects lie in slabs of their own, and what one has free serves others.
 */
#include "slab.h"

/* Who comes has a home of his own while there are enough, or shares one that few share; who leaves, leaves his. */
static void homes_are_shared(void)
{
	unsigned int i;

	start(1);
	must(nr_slab_homes == 1);
	for (i = 1; i < SLAB_HOMES; i++)
		must(slab_home_enter() == i);
	must(slab_home_enter() == 0 && slab_home_enter() == 1);
	slab_home_leave(7);
	must(slab_home_enter() == 7);
	must(nr_slab_homes == SLAB_HOMES);
	slab_homes_reinit_after_fork(3);
	must(slab_home_enter() == 0 && slab_home_enter() == 1 && slab_home_enter() == 2 && slab_home_enter() == 4);
}

/* Two threads' objects lie in slabs of their own, though the first has a little room in its, and whoever frees them;
 * and a slab that comes empty is for any of them. */
static void own_slabs(void)
{
	enum { SLABS = 20, EACH = 256 };
	struct object *first, *second, *chain, *next, *all = NULL;
	unsigned int home, other;

	start(1);
	must(PAGE_SIZE / cache->size == EACH);
	other = slab_home_enter();
	for (home = 0; home <= other; home++)
		for (unsigned int i = !home; i < SLABS * EACH / 4; i++)
			for (chain = take_at(home, 4); chain; chain = next) {
				must(slab_home(slab_of_object(chain)) == home);
				next = chain->next;
				chain->next = all;
				all = chain;
			}
	must(cache->nr_slabs == 2 * SLABS && cache->nr_active == 2 * SLABS * EACH - 4);
	check_cache(cache);
	slab_free_bulk(cache, all);
	must(!cache->nr_active && cache->nr_slabs == 1 && cache_nr_empty(cache) == 1);
	check_cache(cache);
	for (home = 0; home <= other; home++) {
		first = take_at(home, 1);
		second = take_at(home, 1);
		must(cache->nr_slabs == 1 && !cache_nr_empty(cache), "home %u: another slab", home);
		must(slab_home(slab_of_object(first)) == home && slab_home(slab_of_object(second)) == home);
		first->next = second;
		second->next = NULL;
		slab_free_bulk(cache, first);
	}
	check_nothing_left();
}

/* What is left free in the slabs of a home that nobody takes from serves another before there are more slabs. */
static void serve(unsigned int from, unsigned int to)
{
	enum { SLABS = 20, EACH = 64 };
	struct object *obj[SLABS * EACH];
	unsigned long i, used = 0;

	must(PAGE_SIZE / cache->size == EACH);
	for (i = 0; i < SLABS * EACH; i++)
		obj[i] = take_at(from, 1);
	must(cache->nr_slabs == SLABS);
	for (i = 0; i < SLABS * EACH; i++)
		if (i % 4) {
			obj[i]->next = NULL;
			slab_free_bulk(cache, obj[i]);
			obj[i] = NULL;
		}
	for (i = 0; i < SLABS * EACH; i++)
		if (!obj[i]) {
			obj[i] = take_at(to, 1);
			used += slab_home(slab_of_object(obj[i])) == from;
		}
	check_cache(cache);
	must(cache->nr_slabs <= SLABS + 2 && used > SLABS * EACH / 2, "%lu slabs, %lu objects of home %u",
	     cache->nr_slabs, used, from);
	for (i = 0; i < SLABS * EACH; i++) {
		obj[i]->next = NULL;
		slab_free_bulk(cache, obj[i]);
	}
	check_nothing_left();
}

static void free_elsewhere(void)
{
	unsigned int other;

	start(4);
	other = slab_home_enter();
	serve(0, other);
	serve(other, 0);
}

/* Who forks holds the locks of all homes, and lets go of them; the child's are open. */
static void forked(void)
{
	struct mutex *lock;

	start(4);
	lock = &get_home(cache, slab_home_enter(), 0)->lock;
	slab_lock_all();
	must(!mutex_trylock(lock));
	slab_unlock_all();
	must(mutex_trylock(lock));
	mutex_unlock(lock);
	slab_lock_all();
	slab_reinit_after_fork();
	must(mutex_trylock(lock));
	mutex_unlock(lock);
}

int main(void)
{
	model_init();
	run_case("threads share homes when there are more", homes_are_shared);
	run_case("objects of different homes lie in different slabs", own_slabs);
	run_case("what is free in a home serves the others", free_elsewhere);
	run_case("a fork holds the locks of all homes", forked);
	return done_testing();
}
