/* SPDX-License-Identifier: MIT */
/*
 * What a thread keeps of that which it frees, and what goes home or to others: as they ask for it, as it lies side by
 * side or scattered, and as the thread is alone.
 */
#include <pthread.h>

#include "base/tunables.h"
#include "mm/arena.h"
#include "mm/balance.h"
#include "mm/budget.h"
#include "mm/mmzone.h"
#include "mm/page_alloc.h"
#include "mm/pressure.h"
#include "slab/size_class.h"
#include "tcache.h"

static uint64_t clock_ms = 1000000;

uint64_t __wrap_os_clock_ms(void);
uint64_t __wrap_os_clock_ms(void)
{
	return clock_ms;
}

/* Lists have just gone home because use fell, and will not soon do so again. */
static void start_without_falls(void)
{
	start();
	tcache.swept = (uint32_t)clock_ms;
}

enum { SCATTERED_BLOCKS = 15000, SCATTERED_CLASS = 4 };

/* Take blocks and free each stride-th in turn. The most that one free brought home. */
static unsigned long most_home(unsigned int stride)
{
	static void *p[SCATTERED_BLOCKS];
	const struct kmem_cache *cache = &kmem_caches[SCATTERED_CLASS];
	unsigned long i, before, most = 0;

	for (i = 0; i < SCATTERED_BLOCKS; i++)
		p[i] = take(SCATTERED_CLASS);
	for (i = 0; i < SCATTERED_BLOCKS; i++) {
		before = cache->nr_active;
		give(p[i * stride % SCATTERED_BLOCKS], SCATTERED_CLASS);
		most = max_ul(most, before - cache->nr_active);
	}
	check_lists();
	return most;
}

static void *ask_in_vain(void *arg)
{
	give(take(SCATTERED_CLASS), SCATTERED_CLASS);
	return arg;
}

/* Blocks that lie side by side go home by the list, but no free waits for a whole list of those that do not. */
static void scattered(void)
{
	unsigned long most;
	pthread_t thread;
	int i;

	start();
	for (i = 0; i < 10; i++)
		most_home(1);
	magazines_drop(&kmem_caches[SCATTERED_CLASS]);
	most = most_home(1);
	must(most == usual_cap(SCATTERED_CLASS) && most > 512, "%lu blocks side by side", most);
	most = most_home(67);
	must(most && most <= 96, "%lu scattered blocks", most);
	nr_heap_threads++;
	most = most_home(67);
	must(most > 128, "%lu scattered blocks of one thread of two", most);
	nr_heap_threads--;
	/* Others may have them, though: of a thread that has asked in vain the next ones shall not. */
	must(!pthread_create(&thread, NULL, ask_in_vain, NULL) && !pthread_join(thread, NULL));
	most = most_home(67);
	must(most > 128, "%lu scattered blocks that others want", most);
}

/* Who goes on freeing brings home what he freed last, a part of a list at a time, and what he freed before stays. */
static void goes_on_freeing(void)
{
	enum { N = 12000, FIRST = 1000, LAST = 8000, SIZE = 512, PART = 24, ROUNDS = 10 };
	static void *p[N];
	unsigned int class = size_to_class(SIZE), i, round;
	const struct kmem_cache *cache = &kmem_caches[class];
	unsigned long before, most = 0;
	const struct object *spare = NULL;

	start_without_falls();
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < N; i++)
			p[i] = take(class);
		for (i = 0; i < N; i++) {
			before = cache->nr_active;
			give(p[i], class);
			if (!round && i > FIRST && i < LAST)
				most = max_ul(most, before - cache->nr_active);
			if (!round && i == FIRST)
				spare = tcache.spare[class];
			must(round || i != LAST || (spare && tcache.spare[class] == spare), "a list was put aside");
		}
		check_lists();
	}
	must(most && most <= PART, "%lu at a time", most);
	/* All the same it is known what is asked for again. */
	must(cache->nr_magazine_objects > N / 10, "%u wait", cache->nr_magazine_objects);
	tcache_flush();
	slab_reclaim();
}

/* Where most of a class is free, each object that a list holds may be all that keeps a slab. */
static void sparse(void)
{
	enum { N = 40000, CLASS = 4, KEPT = 8 };
	static void *p[N];
	unsigned int i, usual;

	start_without_falls();
	for (i = 0; i < N; i++)
		p[i] = take(CLASS);
	for (i = 0; i < N; i++)
		if (i % KEPT)
			give(p[i], CLASS);
	must(cache_is_sparse(&kmem_caches[CLASS]));
	must(cached() <= 4, "%lu cached", cached());
	/* What would pin a 64th of its slabs may stay. */
	must(tcache.cap[CLASS] > 4 && tcache.cap[CLASS] <= kmem_caches[CLASS].nr_slabs / 64, "room for %u, %lu slabs",
	     tcache.cap[CLASS], kmem_caches[CLASS].nr_slabs);
	usual = usual_cap(CLASS);
	must(usual >= 16, "room for %u", usual);
	/* Once the thread allocates it asks for as many as before. */
	for (i = 1; i < KEPT; i++)
		p[i] = take(CLASS);
	must(tcache.cap[CLASS] >= usual, "room for %u, not %u", tcache.cap[CLASS], usual);
	while (--i)
		give(p[i], CLASS);
	for (i = 0; i < N; i += KEPT)
		give(p[i], CLASS);
	tcache_flush();
	check_lists();
}

/* A list that is filled for others alone, by a thread that takes nothing, grows for them, but stays small. */
static void filled_for_others(void)
{
	unsigned int i, first, bound = 16 * KiB / class_size(SCATTERED_CLASS);
	static void *p[SCATTERED_BLOCKS];
	pthread_t thread;

	start();
	for (i = 0; i < SCATTERED_BLOCKS; i++)
		p[i] = take(SCATTERED_CLASS);
	first = tcache.cap[SCATTERED_CLASS];
	for (i = 0; i < SCATTERED_BLOCKS; i++) {
		give(p[i], SCATTERED_CLASS);
		if (i % 64 == 0)
			must(!pthread_create(&thread, NULL, ask_in_vain, NULL) && !pthread_join(thread, NULL));
		must(tcache.cap[SCATTERED_CLASS] <= bound, "%u blocks in a list", tcache.cap[SCATTERED_CLASS]);
	}
	must(usual_cap(SCATTERED_CLASS) > 2 * first);
	check_lists();
	tcache_flush();
}

/* Free so many lists of what was taken, from the last on. */
static unsigned int give_lists(void **p, unsigned int nr, unsigned int lists)
{
	for (unsigned int left = lists * tcache.cap[SCATTERED_CLASS]; left; left--)
		give(p[--nr], SCATTERED_CLASS);
	return nr;
}

/* Who frees what others want keeps no second list; it does if nobody wants it, or if it takes some itself. */
static void spare_for_others(void)
{
	struct object **spare = &tcache.spare[SCATTERED_CLASS];
	static void *p[SCATTERED_BLOCKS];
	unsigned int i, nr, bound = 16 * KiB / class_size(SCATTERED_CLASS);
	pthread_t thread;

	start();
	nr_heap_threads++;
	for (nr = 0; nr < SCATTERED_BLOCKS; nr++)
		p[nr] = take(SCATTERED_CLASS);
	nr = give_lists(p, nr, 80);
	must(*spare, "a spare that nobody wants");
	must(!pthread_create(&thread, NULL, ask_in_vain, NULL) && !pthread_join(thread, NULL));
	nr = give_lists(p, nr, 10);
	must(!*spare && tcache.cap[SCATTERED_CLASS] <= bound, "a spare that others want");
	for (i = 4 * tcache.cap[SCATTERED_CLASS]; i; i--)
		p[nr++] = take(SCATTERED_CLASS);
	nr = give_lists(p, nr, 4);
	must(*spare, "a spare of who takes some, too");
	while (nr)
		give(p[--nr], SCATTERED_CLASS);
	check_lists();
	tcache_flush();
	nr_heap_threads--;
}

static void *never_takes(void *arg)
{
	void **p = arg;
	unsigned int i;

	give(take(SCATTERED_CLASS + 1), SCATTERED_CLASS + 1);
	/* Two lists, and one more while the first of them grows. */
	for (i = 0; i < 3U * size_classes.first_cap[SCATTERED_CLASS]; i++)
		give(p[i], SCATTERED_CLASS);
	must(!tcache.spare[SCATTERED_CLASS], "a second list of what it never took");
	return arg;
}

/* A thread that never took any is one of these from the start. */
static void spare_for_others_at_once(void)
{
	static void *p[SCATTERED_BLOCKS];
	pthread_t thread;
	unsigned int nr;

	start();
	nr_heap_threads++;
	for (nr = 0; nr < SCATTERED_BLOCKS; nr++)
		p[nr] = take(SCATTERED_CLASS);
	nr = give_lists(p, nr, 80);
	must(!pthread_create(&thread, NULL, ask_in_vain, NULL) && !pthread_join(thread, NULL));
	must(nr > 100 && !pthread_create(&thread, NULL, never_takes, p) && !pthread_join(thread, NULL));
	nr_heap_threads--;
}

/* Take blocks and free all of them, without order, again and again: how many more are cached in the end. */
static unsigned long left_cached(void)
{
	const struct kmem_cache *cache = &kmem_caches[SCATTERED_CLASS];
	unsigned long before = cache->nr_active;

	for (int i = 0; i < 10; i++)
		most_home(67);
	return cache->nr_active - before;
}

static void *left_cached_by_thread(void *arg)
{
	unsigned long *left = arg;

	*left = left_cached();
	return NULL;
}

/* A thread that is alone and has freed all that it had keeps few blocks, and as many as before when it allocates again.
 */
static void freed_all(void)
{
	unsigned int first = size_classes.first_cap[SCATTERED_CLASS], usual, i;
	unsigned long left;
	void *p[100];
	pthread_t thread;

	start();
	left = left_cached();
	usual = usual_cap(SCATTERED_CLASS);
	must(left <= 2UL * first, "%lu cached", left);
	must(usual > 512 && tcache.cap[SCATTERED_CLASS] < 2 * first, "room for %u, now %u", usual,
	     tcache.cap[SCATTERED_CLASS]);
	for (i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = take(SCATTERED_CLASS);
	must(tcache.cap[SCATTERED_CLASS] == usual && tcache.usual_cap[SCATTERED_CLASS] == 0);
	while (i)
		give(p[--i], SCATTERED_CLASS);
	tcache_flush();
	must(!pthread_create(&thread, NULL, left_cached_by_thread, &left) && !pthread_join(thread, NULL));
	must(left > usual, "%lu cached by one of two", left);
}

enum { FALL_BYTES = 400 * KiB, FALL_CLASSES = 24, FALL_BLOCKS = FALL_BYTES / 1024 };

static unsigned long not_in_slabs(void)
{
	unsigned long nr = 0;
	unsigned int class;

	for (class = 1; class < FIRST_RUN_CLASS; class ++)
		nr += kmem_caches[class].nr_active;
	return nr;
}

/* Take so many bytes of many classes, and free all of it. */
static void use_classes(unsigned int first)
{
	static void *p[FALL_CLASSES][FALL_BLOCKS];
	unsigned int class, nr, i;

	for (class = 0; class < FALL_CLASSES; class ++) {
		nr = FALL_BYTES / class_size(first + class);
		for (i = 0; i < nr; i++)
			p[class][i] = take(first + class);
	}
	for (class = 0; class < FALL_CLASSES; class ++)
		for (i = 0; i < FALL_BYTES / class_size(first + class); i++)
			give(p[class][i], first + class);
}

/* The same of one class. The most objects that one free brought home. */
static unsigned long use_class(unsigned int class)
{
	static void *p[8000];
	unsigned long before, most = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = take(class);
	for (i = 0; i < ARRAY_SIZE(p); i++) {
		before = not_in_slabs();
		give(p[i], class);
		most = max_ul(most, before - not_in_slabs());
	}
	return most;
}

static size_t cached_bytes(unsigned int first)
{
	unsigned int class;
	size_t bytes = 0;

	for (class = first; class < first + FALL_CLASSES; class ++)
		bytes += (tcache_nr_cached(&tcache, class) + kmem_caches[class].nr_magazine_objects) *
			 class_size(class);
	return bytes;
}

/* No class has enough for itself to be seen as mostly free. When most of all is, lists and magazines go home, if it is
 * a while since they did, a few at each call; it is known of each. */
static void use_falls(void)
{
	unsigned int first = size_to_class(1100), round;
	unsigned long used, most;

	start_without_falls();
	for (round = 0; round < 5; round++)
		use_classes(first);
	must(cached_bytes(first) > 2 * MiB, "%zu KiB cached where use swings", cached_bytes(first) / KiB);
	used = normal_used_pages();
	clock_ms += 100;
	most = use_class(size_to_class(512));
	must(most <= 2 * 64, "one call brought %lu home", most);
	must(cached_bytes(first) < 1 * MiB, "%zu KiB cached", cached_bytes(first) / KiB);
	must(normal_used_pages() < used / 2, "%lu pages in use, before %lu", normal_used_pages(), used);
	must(tcache.swept == (uint32_t)clock_ms && tcache.fall);
	check_lists();
}

enum { OWN_BLOCKS = 12000, OWN_CLASS = 4 };

/* Take blocks and free all of them, side by side or not. How many wait in magazines afterwards. */
static unsigned int left_to_itself(unsigned int stride)
{
	static void *p[OWN_BLOCKS];
	unsigned int i;

	for (i = 0; i < OWN_BLOCKS; i++)
		p[i] = take(OWN_CLASS);
	for (i = 0; i < OWN_BLOCKS; i++)
		give(p[i * stride % OWN_BLOCKS], OWN_CLASS);
	check_lists();
	return kmem_caches[OWN_CLASS].nr_magazine_objects;
}

/* What a thread that is alone takes and frees in turn waits for it, unless it lies scattered, while it is asked for. */
static void own_magazines(void)
{
	struct kmem_cache *cache = &kmem_caches[OWN_CLASS];
	unsigned int i, nr;

	start();
	for (i = 0; i < 10; i++)
		nr = left_to_itself(1);
	must(nr > 1024 && nr * cache->size <= 1 * MiB, "%u objects wait", nr);
	magazines_age();
	must(cache->nr_magazine_objects == nr, "asked for since the last look");
	magazines_age();
	must(!cache->nr_magazine_objects, "%u objects still wait", cache->nr_magazine_objects);
	tcache_flush();
	for (i = 0; i < 10; i++)
		nr = left_to_itself(67);
	must(!nr, "%u scattered objects wait", nr);
	tcache_flush();
}

/* The list of who takes and frees the same few in turn stays as long as it is, though it holds most of them. */
static void own_list(void)
{
	enum { N = 3000 };
	static void *p[N];
	unsigned int i, round;

	start();
	for (round = 0; round < 30; round++) {
		for (i = 0; i < N; i++)
			p[i] = take(OWN_CLASS);
		for (i = 0; i < N; i++)
			give(p[i], OWN_CLASS);
	}
	must(kmem_caches[OWN_CLASS].own_limit && !tcache.usual_cap[OWN_CLASS], "room for %u, %u at most",
	     tcache.cap[OWN_CLASS], tcache.usual_cap[OWN_CLASS]);
	tcache_flush();
	slab_reclaim();
}

/* They keep slabs: where most of the class is free they go home. */
static void own_magazines_sparse(void)
{
	enum { N = 60000, KEPT = 8 };
	static void *p[N];
	struct kmem_cache *cache = &kmem_caches[OWN_CLASS];
	unsigned int i;

	start_without_falls();
	for (i = 0; i < 10; i++)
		left_to_itself(1);
	for (i = 0; i < N; i++)
		p[i] = take(OWN_CLASS);
	for (i = 0; i < N / 2; i++)
		give(p[i], OWN_CLASS);
	must(cache->nr_magazine_objects, "none waits");
	for (; i < N; i++)
		if (i % KEPT)
			give(p[i], OWN_CLASS);
	must(cache_is_sparse(cache) && !cache->nr_magazine_objects, "%u objects wait", cache->nr_magazine_objects);
	for (i = N / 2; i < N; i++)
		if (i % KEPT == 0)
			give(p[i], OWN_CLASS);
	tcache_flush();
	slab_reclaim();
}

enum { LARGE_BLOCKS = 1000, LARGE_BYTES = 16384 };

static struct kmem_cache *large_cache(void)
{
	return &kmem_caches[size_to_class(LARGE_BYTES)];
}

/* Blocks of 16 KiB are taken and freed in turn, some rounds. How many wait in magazines afterwards. */
static unsigned int large_in_turn(unsigned int nr, unsigned int rounds)
{
	struct kmem_cache *cache = large_cache();
	static void *p[LARGE_BLOCKS];
	unsigned int i;

	for (; rounds; rounds--) {
		for (i = 0; i < nr; i++)
			p[i] = take(cache->class);
		for (i = 0; i < nr; i++)
			give(p[i], cache->class);
		check_lists();
	}
	return cache->nr_magazine_objects;
}

/* Large blocks wait, of several threads, too, and count as dirty; then no slab is asked. */
static void large_wait(void)
{
	unsigned long limit, bytes;
	struct kmem_cache *cache;
	unsigned int nr, taken, i;

	start();
	cache = large_cache();
	nr_heap_threads++;
	large_in_turn(200, 5);
	taken = cache->node.nr_taken;
	nr = large_in_turn(200, 1);
	bytes = nr * (unsigned long)LARGE_BYTES;
	must(nr > 150 && cache->node.nr_taken == taken, "%u wait, %u were taken", nr, cache->node.nr_taken - taken);
	must(mm_kept_bytes == bytes, "%lu", mm_kept_bytes);
	mm_kept_bytes = 0;
	limit = arena_dirty_limit();
	mm_kept_bytes = bytes;
	must(bytes > PAGEBLOCK_SIZE && arena_dirty_limit() == limit - (bytes >> PAGEBLOCK_SHIFT), "%lu", limit);
	nr = large_in_turn(LARGE_BLOCKS, 10);
	must(nr * (unsigned long)LARGE_BYTES <= 4 * MiB && mm_kept_bytes <= 4 * MiB, "%u wait", nr);
	for (i = 0; i < 3; i++)
		magazines_age();
	must(!cache->nr_magazine_objects && !mm_kept_bytes, "%u still wait", cache->nr_magazine_objects);
	nr_heap_threads--;
	tcache_flush();
}

/* Before the zone grows they go home. */
static void large_before_growth(void)
{
	static struct page *page[1000];
	unsigned long managed;
	unsigned int i, nr;

	start();
	must(large_in_turn(50, 5) > 30, "few, too");
	must(large_in_turn(200, 5) > 150);
	managed = zone_table[ZONE_NORMAL]->managed_pages;
	for (i = 0; i < ARRAY_SIZE(page) && large_cache()->nr_magazine_objects; i++)
		must((page[i] = alloc_pages(GFP_MALLOC, 4)));
	nr = i;
	must(!large_cache()->nr_magazine_objects && zone_table[ZONE_NORMAL]->managed_pages == managed);
	while (i)
		free_the_page(page[--i], 4);
	/* The thread asks for them as before, and they wait again. */
	must(large_in_turn(200, 5) > 150, "after %u", nr);
	tcache_flush();
	slab_reclaim();
}

/* Where little of what is in use comes and goes none waits, nor where a limit is in force. */
static void large_go_home(void)
{
	static void *p[LARGE_BLOCKS];
	unsigned int i, nr;

	start();
	for (i = 0; i < LARGE_BLOCKS; i++)
		p[i] = take(large_cache()->class);
	must(!large_in_turn(40, 10));
	while (i)
		give(p[--i], large_cache()->class);
	tcache_flush();
	slab_reclaim();
	must(large_in_turn(200, 5));
	slab_reclaim();
	tunables.limit = 1024 * MiB;
	budget_limit_changed();
	nr = large_in_turn(200, 5);
	must(limits_in_force && !nr, "%u wait", nr);
	tcache_flush();
}

int main(void)
{
	model_init();
	run_case("what lies scattered goes home in parts", scattered);
	run_case("and so does what was freed last of much", goes_on_freeing);
	run_case("lists of what is mostly free hold little", sparse);
	run_case("a list that only others need stays small", filled_for_others);
	run_case("who frees for others alone keeps no second list", spare_for_others);
	run_case("from the start, if it has taken none", spare_for_others_at_once);
	run_case("who has freed all keeps little", freed_all);
	run_case("when much less is in use lists go home", use_falls);
	run_case("what a thread takes and frees in turn waits for it", own_magazines);
	run_case("and its list does not become smaller", own_list);
	run_case("but goes home where most is free", own_magazines_sparse);
	run_case("large blocks wait for whoever takes and frees them in turn", large_wait);
	run_case("until a zone would grow", large_before_growth);
	run_case("but not for small swings, or under a limit", large_go_home);
	return done_testing();
}
