/* SPDX-License-Identifier: MIT */
/*
 * Magazines go from thread to thread whole, as many as these show that they need, and come home when nobody does.
 */
#include "slab.h"

/* What one thread puts another gets, whole. */
static void magazines(void)
{
	int a, b;
	unsigned int nr = 0, round;
	struct object *chain, *got;

	start(4);
	must(!magazine_get(cache, 0, &a, &nr));
	/* b has asked in vain: a's magazine stays for it. */
	must(slab_alloc_bulk(cache, 30, &chain) == 30);
	magazine_put(cache, &a, chain, 30);
	for (round = 0; round < 3 && !cache->node.magazines; round++) {
		must(cache->nr_active == 0, "not kept, so it went home");
		must(!magazine_get(cache, 0, &b, &nr));
		must(slab_alloc_bulk(cache, 30, &chain) == 30);
		magazine_put(cache, &a, chain, 30);
	}
	must(cache->node.magazines && cache->nr_magazine_objects == 30 && cache->nr_active == 30);
	got = magazine_get(cache, 0, &b, &nr);
	must(got == chain && nr == 30 && chain_length(got) == 30 && cache->nr_magazine_objects == 0);
	must(!magazine_get(cache, 0, &b, &nr));
	slab_free_bulk(cache, got);
	check_nothing_left();
}

/* Freed twice, and since the first time all others of the slab came home. */
static struct object *freed_long_ago(void)
{
	struct object *chain;

	start(4);
	must(slab_alloc_bulk(cache, 1, &chain) == 1);
	slab_free_bulk(cache, chain);
	slab_reclaim();
	chain->next = NULL;
	return chain;
}

static void left_twice(void)
{
	struct object *chain = freed_long_ago();

	WRITE_ONCE(cache->magazine_missed, true);
	magazine_put(cache, &cache, chain, 1);
}

static void left_twice_at_end(void)
{
	struct object *chain = freed_long_ago();

	if (!magazine_leave(cache, chain, 1))
		slab_free_bulk(cache, chain);
}

/* However many are in demand, there is a limit; and all come home. */
static void many_magazines(void)
{
	int a, b;
	unsigned long most = 0, in_hand = 0;
	unsigned int nr, i;
	struct object *chain, *hand = NULL;

	start(FIRST_RUN_CLASS - 8);
	for (i = 0; i < 400; i++) {
		if (i < 100 && (chain = magazine_get(cache, 0, &b, &nr))) {
			must(nr == 1 && !chain->next);
			chain->next = hand;
			hand = chain;
			in_hand++;
		}
		must(slab_alloc_bulk(cache, 1, &chain) == 1);
		magazine_put(cache, &a, chain, 1);
		most = max_ul(most, cache->nr_magazine_objects);
		must(cache->nr_active == cache->nr_magazine_objects + in_hand);
		check_cache(cache);
	}
	must(most > 0 && most * cache->size <= MiB, "%lu objects", most);
	slab_free_bulk(cache, hand);
	must(cache->nr_active == cache->nr_magazine_objects);
	slab_reclaim();
	check_nothing_left();
}

/* What nobody wanted between two looks goes home. */
static void age(void)
{
	int a, b;
	unsigned int nr;
	struct object *chain;

	start(4);
	for (nr = 0; nr < 3 && !cache->node.magazines; nr++) {
		must(slab_alloc_bulk(cache, 10, &chain) == 10);
		magazine_put(cache, &a, chain, 10);
		if (!cache->node.magazines)
			must(!magazine_get(cache, 0, &b, &nr));
	}
	must(cache->nr_magazine_objects == 10);
	magazines_age();
	magazines_age();
	check_nothing_left();
}

#define REFILL 40

/* Somebody brings a magazine home for each one that is taken: reclaim leaves him to it. */
static unsigned int refills;
struct object *__real_magazine_get_any(struct kmem_cache *c, unsigned int *nr);
struct object *__wrap_magazine_get_any(struct kmem_cache *c, unsigned int *nr);
struct object *__wrap_magazine_get_any(struct kmem_cache *c, unsigned int *nr)
{
	struct object *chain = __real_magazine_get_any(c, nr), *more = NULL;
	unsigned int n;

	if (refills && chain && --refills) {
		n = slab_alloc_bulk(c, REFILL, &more);
		must(n);
		magazine_put(c, &refills, more, n);
	}
	return chain;
}

static void refilled(void)
{
	struct object *chain = NULL;
	unsigned int n;

	start(5);
	n = slab_alloc_bulk(cache, REFILL, &chain);
	WRITE_ONCE(cache->magazine_missed, true);
	magazine_put(cache, &n, chain, n);
	must(cache->nr_magazine_objects == n);
	refills = 1000;
	slab_reclaim();
	must(refills > 900 && cache->nr_magazine_objects, "%u", refills);
	refills = 0;
	slab_reclaim();
	check_nothing_left();
}

static void leave_at(unsigned int home, struct object *chain)
{
	tcache.home = (uint8_t)home;
	WRITE_ONCE(cache->magazine_missed, true);
	magazine_put(cache, &chain, chain, 10);
	must(cache->nr_magazine_objects == 10);
}

static struct object *magazine_at(unsigned int home)
{
	unsigned int nr;

	tcache.home = (uint8_t)home;
	return magazine_get(cache, 0, NULL, &nr);
}

/* A magazine of objects of its own home is left to the threads of that, and one of another home's to all. */
static void magazines_of_a_home(void)
{
	struct object *chain, *used[30];
	unsigned int i, one, other;

	start(4);
	one = slab_home_enter();
	other = slab_home_enter();
	for (i = 0; i < ARRAY_SIZE(used); i++)
		used[i] = take_at(one, 10);
	chain = take_at(one, 10);
	leave_at(one, chain);
	must(!magazine_at(0) && !magazine_at(other) && magazine_at(one) == chain);
	must(!cache->magazine_missed, "there was one, though not for them");
	leave_at(other, chain);
	must(magazine_at(one) == chain);
	leave_at(other, chain);
	must(magazine_at(other) == chain);
	leave_at(one, chain);
	for (i = 0; i < ARRAY_SIZE(used); i++)
		slab_free_bulk(cache, used[i]);
	must(magazine_at(other) == chain, "most of the class lies there, and the home has no slab");
	leave_at(one, chain);
	slab_reclaim();
	check_nothing_left();
}

/* As much as threads that end leave without a word from others; or as those have shown that they need. */
static void bounded(void)
{
	enum { EACH = 32, MIN = 32 * KiB, MORE = 80 * KiB };
	struct object *chain;
	size_t held;

	start(4);
	for (size_t most = MIN; most; most = most == MIN ? MORE : 0) {
		if (most == MORE)
			cache->magazine_limit = (uint32_t)(most / cache->size);
		while (slab_alloc_bulk(cache, EACH, &chain) == EACH && magazine_leave(cache, chain, EACH))
			;
		held = cache->nr_magazine_objects * (size_t)cache->size;
		must(held <= most && held > most - EACH * cache->size, "%zu bytes, %zu may be", held, most);
		slab_free_bulk(cache, chain);
	}
	slab_reclaim();
	check_nothing_left();
}

/* Another thread has asked in vain since this one would have left a magazine; or since it did. */
static void wanted(void)
{
	struct object *chain;
	unsigned int nr;
	int a, b;

	start(4);
	must(!magazine_wanted(cache, &a) && !magazine_get(cache, 0, &a, &nr));
	must(!magazine_wanted(cache, &a) && !magazine_get(cache, 0, &b, &nr));
	must(magazine_wanted(cache, &a));
	nr = slab_alloc_bulk(cache, 10, &chain);
	magazine_put(cache, &a, chain, nr);
	must(cache->nr_magazine_objects == nr && !cache->magazine_missed && magazine_wanted(cache, &a));
	slab_reclaim();
	check_nothing_left();
}

/* A thread that is alone leaves to itself what is a page's worth and more of it, and no more than it is to have. */
static void own_chains(void)
{
	enum { LEAST = 64, MOST = 2 * LEAST };
	struct object *chain;
	unsigned int nr;

	start(4);
	must(thread_is_alone() && PAGE_SIZE / cache->size == LEAST);
	cache->own_limit = MOST;
	for (nr = LEAST - 1; nr <= LEAST; nr++) {
		must(slab_alloc_bulk(cache, nr, &chain) == nr);
		magazine_put(cache, &nr, chain, nr);
		must(cache->nr_magazine_objects == (nr < LEAST ? 0 : nr), "%u objects wait",
		     cache->nr_magazine_objects);
		slab_reclaim();
	}
	for (unsigned int i = 0; i < 3; i++) {
		must(slab_alloc_bulk(cache, LEAST, &chain) == LEAST);
		magazine_put(cache, &nr, chain, LEAST);
	}
	must(cache->nr_magazine_objects == MOST && cache->own_missed == LEAST);
	magazines_age();
	magazines_age();
	must(!cache->nr_magazine_objects && cache->own_limit == MOST / 2, "less, as it did not ask for it");
	check_nothing_left();
}

/* And not more than 1 MiB of all classes together. */
static void own_of_all_classes(void)
{
	enum { EACH = 64 };
	struct object *chain;
	size_t held = 0;
	unsigned int i, class;

	start(3);
	for (class = 3; class <= 4; class ++) {
		cache = &kmem_caches[class];
		cache->own_limit = class == 3 ? 10000 : UINT16_MAX;
		for (i = 0; i < 400; i++) {
			unsigned int nr = slab_alloc_bulk(cache, EACH, &chain);

			magazine_put(cache, &i, chain, nr);
		}
		must(cache->nr_magazine_objects, "class %u", class);
		held += cache->nr_magazine_objects * (size_t)cache->size;
	}
	must(held <= 1 * MiB && held > 1 * MiB - 4 * PAGE_SIZE, "%zu bytes", held);
	slab_reclaim();
	check_nothing_left();
}

int main(void)
{
	model_init();
	run_case("a magazine goes from one thread to another", magazines);
	run_case("magazines are bounded, and come home", many_magazines);
	run_case("magazines that nobody wants come home", age);
	run_case("magazines that are filled as fast as they are emptied", refilled);
	run_case("magazines are for their home, or for all", magazines_of_a_home);
	run_case("threads that end leave as many as there is room for", bounded);
	run_case("who would leave one learns that it is wanted", wanted);
	run_case("who is alone leaves whole pages to itself", own_chains);
	run_case("within bounds", own_of_all_classes);
	run_case_aborts("a block freed twice is reported as it is left to others", left_twice,
			"invalid pointer: no block of 64 bytes is there any more");
	run_case_aborts("by a thread that ends, too", left_twice_at_end,
			"invalid pointer: no block of 64 bytes is there any more");
	return done_testing();
}
