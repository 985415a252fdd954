/* SPDX-License-Identifier: MIT */
/*
 * Slabs: random bulk allocations and frees of several classes against a model that fills each object with bytes of its
 * own; carving page by page; magazines; and reclaim that leaves nothing.
 */
#include <errno.h>

#include "base/tunables.h"
#include "slab/tcache.h"
#include "model.h"

#define MAX_OBJECTS 4000
#define MAX_BYTES (3 * MiB)
#define BULK 40

static struct zone *zone;
static struct kmem_cache *cache;

static struct {
	unsigned char *p;
	unsigned char fill;
} objects[MAX_OBJECTS];
static unsigned long nr_objects;

static void start(unsigned int class)
{
	zone = model_start();
	slab_init();
	cache = &kmem_caches[class];
}

/* Nothing of the class is left, nor of the zone. */
static void check_nothing_left(void)
{
	check_cache(cache);
	must(!cache->nr_active && !cache->nr_magazine_objects, "%lu active, %lu in magazines", cache->nr_active,
	     (unsigned long)cache->nr_magazine_objects);
	must(cache_nr_empty(cache) == cache->nr_slabs, "%lu of %lu slabs are empty", cache_nr_empty(cache),
	     cache->nr_slabs);
	slab_reclaim();
	must(!cache->nr_slabs && !cache->nr_pages && cache->node.partial_head == NO_PFN);
	drain_all_pages();
	must(zone->nr_free_pages == zone->managed_pages);
	check_zone(zone);
}

static void add_object(struct object *obj)
{
	unsigned long index, pfn = addr_to_pfn(obj);
	struct page *slab;
	size_t offset;

	must(is_aligned((uintptr_t)obj, MALLOC_ALIGN));
	must(vmemmap.class[pfn] == cache->class);
	slab = slab_of(obj, &index, &offset);
	must(slab && slab->cache == cache->class && offset == 0 && index < slab->carved);
	must((index + 1) * cache->size <= PAGE_SIZE << slab->order);
	objects[nr_objects].p = (unsigned char *)obj;
	objects[nr_objects].fill = (unsigned char)rnd(256);
	memset(obj, objects[nr_objects].fill, cache->size);
	nr_objects++;
}

static void take_some(void)
{
	unsigned int want = 1 + rnd(BULK), nr, n = 0;
	struct object *chain, *next;

	if (nr_objects + want + PAGE_SIZE / cache->size > MAX_OBJECTS || (nr_objects + want) * cache->size > MAX_BYTES)
		return;
	nr = slab_alloc_bulk(cache, want, &chain);
	must(nr >= 1 && (nr <= want || (want > 1 && nr * cache->size <= PAGE_SIZE)), "%u of %u", nr, want);
	for (; chain; chain = next, n++) {
		next = chain->next;
		must(n < nr);
		add_object(chain);
	}
	must(n == nr, "%u in the chain, %u said", n, nr);
}

static struct object *remove_object(unsigned long i)
{
	unsigned char *p = objects[i].p;

	for (unsigned int at = 0; at < cache->size; at++)
		must(p[at] == objects[i].fill, "byte %u of an object was written to", at);
	objects[i] = objects[--nr_objects];
	return (struct object *)p;
}

static void give_some(unsigned long nr)
{
	struct object *chain = NULL, *obj;

	while (nr-- && nr_objects) {
		obj = remove_object(rnd(nr_objects));
		obj->next = chain;
		chain = obj;
	}
	slab_free_bulk(cache, chain);
}

static void random_operations_of(unsigned int class)
{
	unsigned long i, max_slabs;

	cache = &kmem_caches[class];
	for (i = steps(8000); i; i--) {
		if (rnd(100) < (i / 100 % 2 ? 60 : 40))
			take_some();
		else
			give_some(rnd(BULK));
		if (rnd(200) == 0)
			slab_reclaim();
		check_cache(cache);
		must(cache->nr_active == nr_objects, "%lu active of %lu", cache->nr_active, nr_objects);
		must(cache->nr_slabs - cache_nr_empty(cache) <= nr_objects);
	}
	give_some(nr_objects);
	max_slabs = cache->nr_slabs;
	must(max_slabs <= 1, "empty slabs go back by themselves, all but one: %lu", max_slabs);
	check_nothing_left();
}

static void random_operations(void)
{
	static const unsigned int classes[] = { 1, 3, 8, 9, 21, 33, 47, 56, 61, 72 };

	start(1);
	for (unsigned int i = 0; i < ARRAY_SIZE(classes); i++)
		random_operations_of(classes[i]);
}

/* Fresh objects reach no further than the page that is begun, or one object. */
static void carving(void)
{
	unsigned int class, i;

	start(1);
	for (class = 1; class < FIRST_RUN_CLASS; class++) {
		struct object *chain[8];
		char *base = NULL, *reached = NULL;

		cache = &kmem_caches[class];
		for (i = 0; i < 8; i++) {
			unsigned int nr = slab_alloc_bulk(cache, 1000, &chain[i]);
			char *first = (char *)chain[i], *end = first + (size_t)nr * cache->size;

			must(nr);
			if (!base || first != reached)
				base = first;
			must(nr == 1 || (uintptr_t)(end - 1) >> PAGE_SHIFT == (uintptr_t)first >> PAGE_SHIFT ||
				     (uintptr_t)(end - 1) >> PAGE_SHIFT ==
					     (uintptr_t)(first + cache->size - 1) >> PAGE_SHIFT,
			     "class %u: %u objects", class, nr);
			must(i || nr == max_ul(PAGE_SIZE / cache->size, 1), "class %u: %u objects first", class, nr);
			reached = end;
		}
		must(cache->nr_active >= 8);
		while (i)
			slab_free_bulk(cache, chain[--i]);
		check_cache(cache);
		must(!cache->nr_active);
	}
	slab_reclaim();
	drain_all_pages();
	must(zone->nr_free_pages == zone->managed_pages);
}

static unsigned int chain_length(const struct object *obj)
{
	unsigned int n = 0;

	for (; obj; obj = obj->next)
		n++;
	return n;
}

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

/* Where every byte of a slab lies; and what points into an object's middle does not come home with its neighbours. */
static void byte_by_byte(void)
{
	unsigned int class;

	tunables.foreign_free = FOREIGN_IGNORE;
	start(1);
	for (class = 1; class < FIRST_RUN_CLASS; class++) {
		struct object *chain = NULL, *middle;
		unsigned long at, index = 0, nr;
		struct page *slab;
		size_t offset = 1;
		char *base;

		cache = &kmem_caches[class];
		must(slab_alloc_bulk(cache, 1, &chain) == 1);
		slab = slab_of(chain, &index, &offset);
		must(slab && index == 0 && offset == 0);
		base = (char *)chain;
		for (at = 0; at < PAGE_SIZE << slab->order; at += 1 + at % 3) {
			must(slab_of(base + at, &index, &offset) == slab);
			must(index == at / cache->size && offset == at % cache->size, "byte %lu of class %u", at, class);
		}
		nr = slab_alloc_bulk(cache, 1, &chain->next);
		must(nr == 1 && slab_of(chain->next, &index, &offset) == slab && index == 1);
		if (cache->size >= 2 * MALLOC_ALIGN) {
			middle = (struct object *)(base + MALLOC_ALIGN);
			middle->next = chain->next;
			chain->next = middle;
		}
		must(cache->nr_active == 2);
		slab_free_bulk(cache, chain);
		check_nothing_left();
	}
}

/* A slab gets no more objects back than are out: a chain that leads back into itself comes to an end. */
static void freed_twice(void)
{
	struct object *chain = NULL;

	start(4);
	must(slab_alloc_bulk(cache, 1, &chain) == 1 && slab_alloc_bulk(cache, 1, &chain->next) == 1);
	chain->next->next = chain;
	slab_free_bulk(cache, chain);
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

/* No memory: nothing is taken, and nothing lost. */
/* Of objects above 1 KiB few share a slab: one that stays keeps few pages, and what is free in these is counted. */
static void survivors(void)
{
	struct object *obj[64];
	unsigned int i;

	start(size_to_class(2 * KiB));
	for (i = 0; i < ARRAY_SIZE(obj); i++)
		must(slab_alloc_bulk(cache, 1, &obj[i]) == 1);
	must(cache->nr_pages == ARRAY_SIZE(obj) / 2 && !slab_unused_pages());
	for (i = 0; i < ARRAY_SIZE(obj); i++)
		if (i % 8) {
			obj[i]->next = NULL;
			slab_free_bulk(cache, obj[i]);
		}
	must(cache->nr_pages == ARRAY_SIZE(obj) / 8 + 1, "%lu pages", cache->nr_pages);
	must(slab_unused_pages() == cache->nr_pages - ARRAY_SIZE(obj) / 16, "%lu pages", slab_unused_pages());
	for (i = 0; i < ARRAY_SIZE(obj); i += 8) {
		obj[i]->next = NULL;
		slab_free_bulk(cache, obj[i]);
	}
	check_nothing_left();
}

static void no_memory(void)
{
	struct object *chain, *all = NULL;
	unsigned long nr = 0;

	start(40);
	must(slab_alloc_bulk(cache, 1, &all) == 1);
	fake_os_no_memory();
	while (slab_alloc_bulk(cache, 1, &chain)) {
		memset(chain, 1, cache->size);
		chain->next = all;
		all = chain;
		nr++;
	}
	must(nr * cache->size > PAGEBLOCK_SIZE / 2, "only %lu objects", nr);
	must(cache->nr_active == nr + 1 && cache->node.partial_head == NO_PFN);
	/* The last slabs were of a single object's order. */
	slab_free_bulk(cache, all);
	check_nothing_left();
}

/* Somebody brings a magazine home for each one that is taken: reclaim leaves him to it. */
static unsigned int refills;
struct object *__real_magazine_get_any(struct kmem_cache *c, unsigned int *nr);
struct object *__wrap_magazine_get_any(struct kmem_cache *c, unsigned int *nr);
struct object *__wrap_magazine_get_any(struct kmem_cache *c, unsigned int *nr)
{
	struct object *chain = __real_magazine_get_any(c, nr), *more = NULL;
	unsigned int n;

	if (refills && chain && --refills) {
		n = slab_alloc_bulk(c, BULK, &more);
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
	n = slab_alloc_bulk(cache, BULK, &chain);
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

static struct page *slab_of_object(const struct object *obj)
{
	unsigned long index;
	size_t offset;

	return slab_of(obj, &index, &offset);
}

static struct object *take_at(unsigned int home, unsigned int nr)
{
	struct object *chain;

	tcache.home = (uint8_t)home;
	must(slab_alloc_bulk(cache, nr, &chain));
	return chain;
}

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

/* Two threads' objects lie in slabs of their own, though the first has a little room in its, and whoever frees them; and a
 * slab that comes empty is for any of them. */
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
				must(slab_of_object(chain)->home == home);
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
		must(slab_of_object(first)->home == home && slab_of_object(second)->home == home);
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
			used += slab_of_object(obj[i])->home == from;
		}
	check_cache(cache);
	must(cache->nr_slabs <= SLABS + 2 && used > SLABS * EACH / 2, "%lu slabs, %lu objects of home %u", cache->nr_slabs,
	     used, from);
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

int main(void)
{
	model_init();
	run_case("fresh objects are cut off page by page", carving);
	run_case("random operations against the model", random_operations);
	run_case("every byte of a slab is of the right object", byte_by_byte);
	run_case("a magazine goes from one thread to another", magazines);
	run_case("magazines are bounded, and come home", many_magazines);
	run_case("magazines that nobody wants come home", age);
	run_case("magazines that are filled as fast as they are emptied", refilled);
	run_case("threads share homes when there are more", homes_are_shared);
	run_case("objects of different homes lie in different slabs", own_slabs);
	run_case("what is free in a home serves the others", free_elsewhere);
	run_case("magazines are for their home, or for all", magazines_of_a_home);
	run_case("threads that end leave as many as there is room for", bounded);
	run_case("who would leave one learns that it is wanted", wanted);
	run_case("a fork holds the locks of all homes", forked);
	run_case("what one of many large objects keeps", survivors);
	run_case("out of memory", no_memory);
	run_case_aborts("a block freed twice, others in between, is reported", freed_twice, "double free of a block of 64 bytes");
	run_case_aborts("or left to others when its slab is gone", left_twice, "invalid pointer: 0 bytes into a block of 64 bytes");
	run_case_aborts("by a thread that ends, too", left_twice_at_end, "invalid pointer: 0 bytes into a block of 64 bytes");
	return done_testing();
}
