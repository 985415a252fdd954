/* SPDX-License-Identifier: MIT */
/*
 * What lies idle in slabs: whole pages without an object in use go back to the system, and empty slabs go home, once
 * nobody has taken objects of the class for dirty_decay. Objects keep what is in them, and what was free comes back.
 */
#include <errno.h>

#include "os/os.h"
#include "slab/slab.h"
#include "model.h"

#define DECAY 1000
#define MOST 600

static struct kmem_cache *cache;
static struct zone *zone;
static uint64_t clock_ms = 1000000;

uint64_t __wrap_os_clock_ms(void);
uint64_t __wrap_os_clock_ms(void)
{
	return clock_ms;
}

static struct {
	unsigned char *p;
	unsigned char fill;
} objects[MOST];
static unsigned int nr_objects;

static void start(size_t size)
{
	zone = model_start();
	slab_init();
	cache = &kmem_caches[size_to_class(size)];
	nr_objects = 0;
}

static void take(unsigned int nr)
{
	struct object *chain, *next;

	while (nr && nr_objects < MOST && slab_alloc_bulk(cache, 1, &chain)) {
		for (; chain; chain = next, nr--) {
			unsigned char fill = (unsigned char)rnd(256);

			next = chain->next;
			memset(chain, fill, cache->size);
			objects[nr_objects].p = (unsigned char *)chain;
			objects[nr_objects++].fill = fill;
		}
	}
	must(!nr || nr_objects == MOST);
}

static void give(unsigned int i)
{
	struct object *obj = (struct object *)objects[i].p;

	for (unsigned int at = 0; at < cache->size; at++)
		must(objects[i].p[at] == objects[i].fill, "byte %u of an object has changed", at);
	objects[i] = objects[--nr_objects];
	obj->next = NULL;
	slab_free_bulk(cache, obj);
}

/* One in so many stays. */
static void give_but(unsigned int every)
{
	unsigned int i, left = nr_objects / every;

	while (nr_objects > left) {
		i = rnd(nr_objects);
		give(i);
	}
	check_cache(cache);
}

static void looks(unsigned int ms)
{
	for (uint64_t end = clock_ms + ms; clock_ms < end;) {
		clock_ms += 100;
		slabs_age(DECAY);
	}
	check_cache(cache);
}

static void give_all(void)
{
	while (nr_objects)
		give(nr_objects - 1);
	check_cache(cache);
	slab_reclaim();
	must(!cache->nr_slabs && !cache->nr_active);
	drain_all_pages();
	must(zone->nr_free_pages == zone->managed_pages);
	check_zone(zone);
}

static bool is_used(const char *page)
{
	unsigned int i;

	for (i = 0; i < nr_objects; i++)
		if ((char *)objects[i].p < page + PAGE_SIZE && (char *)objects[i].p + cache->size > page)
			return true;
	return false;
}

/* Of the slabs of all objects: pages that are there though nobody uses them. */
static unsigned int nr_unused(void)
{
	unsigned int i, at, nr = 0;
	unsigned long index;
	size_t offset;

	for (i = 0; i < nr_objects; i++) {
		struct page *slab = slab_of(objects[i].p, &index, &offset);

		for (at = 0; at < 1U << slab->order; at++) {
			char *page = (char *)page_to_addr(slab) + at * PAGE_SIZE;

			must(os_resident(page, PAGE_SIZE) || !is_used(page));
			nr += os_resident(page, PAGE_SIZE) && !is_used(page);
		}
	}
	return nr;
}

static void pages_go_of(size_t size)
{
	start(size);
	take(400);
	looks(2000);
	give_but(20);
	fake_os_reset();
	take(cache->nr_pages / 8);
	looks(800);
	must(!fake_os_calls(FAKE_MADVISE) && nr_unused(), "not yet");
	looks(400);
	must(fake_os_calls(FAKE_MADVISE) && !nr_unused(), "%zu: %u pages that nobody uses", size, nr_unused());
	must(nr_objects < cache->nr_pages, "%zu: there are some", size);
	for (unsigned int i = 0; i < 30; i++) {
		unsigned int before = nr_unused();

		take(1);
		must(nr_unused() <= before + 2, "%zu: more comes back than is needed", size);
	}
	take(400);
	check_cache(cache);
	must(cache->nr_active == nr_objects);
	give_all();
}

static void pages_go(void)
{
	static const size_t sizes[] = { 1408, 1664, 2816, 3328, 3584 };

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++)
		pages_go_of(sizes[i]);
}

static void rest(void)
{
	clock_ms += DECAY;
	slabs_age(DECAY);
	clock_ms += DECAY;
	slabs_age(DECAY);
}

/* Objects come and go, and between any two of them pages may go. */
static void random_operations(void)
{
	static const size_t sizes[] = { 288, 640, 896, 1152, 2304, 3328, 4096, 5120, 10240, 32768 };
	unsigned long i, class, pages_went = 0;

	for (class = 0; class < ARRAY_SIZE(sizes); class++) {
		start(sizes[class]);
		take(400);
		give_but(20);
		rest();
		pages_went += fake_os_calls(FAKE_MADVISE);
		for (i = steps(4000); i; i--) {
			if (rnd(100) < (i / 200 % 2 ? 70U : 30U))
				take(1 + rnd(4));
			else
				for (unsigned int nr = rnd(6); nr && nr_objects; nr--)
					give(rnd(nr_objects));
			if (rnd(50) == 0)
				rest();
			check_cache(cache);
			must(cache->nr_active == nr_objects);
		}
		give_all();
	}
	must(pages_went > ARRAY_SIZE(sizes), "%lu times", pages_went);
}

/* A class that is in use keeps what it has; where next to nothing is taken that is no use. */
static void in_use(void)
{
	unsigned int i;

	start(3328);
	take(MOST);
	give_but(10);
	fake_os_reset();
	for (i = 0; i < 40; i++) {
		take(20);
		looks(200);
		while (nr_objects > MOST / 10)
			give(nr_objects - 1);
	}
	must(!fake_os_calls(FAKE_MADVISE));
	for (i = 0; i < 10; i++) {
		take(1);
		looks(200);
	}
	must(fake_os_calls(FAKE_MADVISE));
	give_all();
}

static void empty_goes(void)
{
	start(256);
	take(16);
	looks(200);
	while (nr_objects)
		give(0);
	must(cache_nr_empty(cache) == 1);
	looks(800);
	must(cache_nr_empty(cache) == 1, "not yet");
	looks(400);
	must(!cache_nr_empty(cache) && !cache->nr_slabs);
	give_all();
}

/* The system refuses: nothing is lost but the chance. */
static void refused(void)
{
	start(3328);
	take(400);
	give_but(20);
	fake_os_fail(FAKE_MADVISE, 1, true, EINVAL);
	looks(3000);
	must(fake_os_failed(FAKE_MADVISE));
	take(400);
	fake_os_reset();
	give_all();
}

int main(void)
{
	model_init();
	run_case("pages inside of slabs that nobody uses go back", pages_go);
	run_case("random operations, and pages that go meanwhile", random_operations);
	run_case("not those of a class that is in use", in_use);
	run_case("empty slabs go home", empty_goes);
	run_case("the system gives nothing back", refused);
	return done_testing();
}
