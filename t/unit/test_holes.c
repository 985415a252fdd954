/* SPDX-License-Identifier: MIT */
/*
 * What lies idle in slabs: whole pages without an object in use go back to the system, and empty slabs go home, once
 * nobody has taken objects of the class for dirty_decay, or where too much is free. Objects keep what is in them, and
 * what was free comes back.
 */
#include <errno.h>
#include <setjmp.h>

#include "base/tunables.h"
#include "mm/balance.h"
#include "mm/current.h"
#include "mm/fault_inject.h"
#include "mm/internal.h"
#include "mm/pcp.h"
#include "mm/pressure.h"
#include "os/os.h"
#include "slab/slab.h"
#include "model.h"

#define DECAY 1000
#define MOST 1200

static struct kmem_cache *cache;
static struct zone *zone;
static uint64_t clock_ms = 1000000;

uint64_t __wrap_os_clock_ms(void);
uint64_t __wrap_os_clock_ms(void)
{
	return clock_ms;
}

static sigjmp_buf *leave_look;

void __real_idle_frees_begin(void);
void __wrap_idle_frees_begin(void);
void __wrap_idle_frees_begin(void)
{
	if (leave_look)
		siglongjmp(*leave_look, 1);
	__real_idle_frees_begin();
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
	must(!mm_hole_pages, "%lu pages are counted as holes", mm_hole_pages);
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

/* Of the slabs of all objects: pages that nobody uses, those that are there or those that went. */
static unsigned int count_unused(bool resident)
{
	unsigned int i, at, nr = 0;
	unsigned long index;
	size_t offset;

	for (i = 0; i < nr_objects; i++) {
		struct page *slab = slab_of(objects[i].p, &index, &offset);

		for (at = 0; at < 1U << slab->order; at++) {
			char *page = (char *)page_to_addr(slab) + at * PAGE_SIZE;

			must(os_resident(page, PAGE_SIZE) || !is_used(page));
			nr += !!os_resident(page, PAGE_SIZE) == resident && !is_used(page);
		}
	}
	return nr;
}

static unsigned int nr_unused(void)
{
	return count_unused(true);
}

/* Of the slabs of all objects, those of which pages went. */
static unsigned int nr_holes(void)
{
	unsigned int i, nr = 0;
	unsigned long index;
	size_t offset;

	for (i = 0; i < nr_objects; i++)
		nr += !!(slab_of(objects[i].p, &index, &offset)->flags & PG_HOLES);
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

/* The last page of a slab has little but the end of one object. */
static void last_page(void)
{
	size_t bytes;
	unsigned int nr;

	start(2816);
	bytes = PAGE_SIZE << cache->order;
	nr = (unsigned int)(bytes / cache->size);
	take(nr);
	must(cache->nr_slabs == 1 && (nr - 1) * cache->size + PAGE_SIZE <= bytes && cache->size < PAGE_SIZE);
	looks(2000);
	give(nr - 1);
	must(nr_unused() == nr - 1, "seen from each object");
	looks(400);
	must(!nr_unused(), "it stays");
	give_all();
}

/* While the class is quiet its slabs are looked through again when much more has come free, and not for less. */
static void more_goes(size_t size)
{
	unsigned int unused;

	start(size);
	take(400);
	give_but(2);
	looks(2000);
	give_but(10);
	unused = nr_unused();
	must(unused > 20, "%zu: only %u pages that nobody uses", size, unused);
	looks(400);
	must(nr_unused() <= unused / 4, "%zu: %u pages of %u that nobody uses", size, nr_unused(), unused);
	give(rnd(nr_objects));
	give(rnd(nr_objects));
	unused = nr_unused();
	fake_os_reset();
	looks(1000);
	must(!fake_os_calls(FAKE_MADVISE) && nr_unused() == unused, "%zu: for little", size);
	give_all();
}

static void more(void)
{
	more_goes(1408);
	more_goes(3328);
}

/* When it has been in use and is quiet once more, as much goes as before. */
static void quiet_again(void)
{
	unsigned int i, held, unused;

	start(3328);
	take(400);
	give_but(20);
	looks(2000);
	held = nr_objects;
	for (i = 0; i < 10; i++) {
		take(20);
		looks(100);
	}
	while (nr_objects > held)
		give(nr_objects - 1);
	unused = nr_unused();
	must(unused > 20, "only %u pages", unused);
	looks(2000);
	must(nr_unused() <= unused / 4, "%u pages of %u", nr_unused(), unused);
	give_all();
}

/* Where pages were of the right node, it is not known of those that come next. */
static void unsettled(void)
{
	unsigned int i;

	start(3328);
	take(400);
	give_but(20);
	for (i = 0; i < nr_objects; i++)
		pfn_to_block(addr_to_pfn(objects[i].p))->settled = 1;
	looks(2000);
	for (i = 0; i < nr_objects; i++)
		must(!pfn_to_block(addr_to_pfn(objects[i].p))->settled);
	give_all();
}

/* Whoever was looking is not in the child of a fork: there others look. */
static void fork_meanwhile(void)
{
	unsigned int unused;
	sigjmp_buf env;

	start(3328);
	take(400);
	looks(2000);
	give_but(20);
	unused = nr_unused();
	if (!sigsetjmp(env, 0)) {
		leave_look = &env;
		looks(200);
	}
	must(leave_look == &env);
	leave_look = NULL;
	slab_lock_all();
	slab_reinit_after_fork();
	looks(2000);
	must(nr_unused() <= unused / 4, "%u pages of %u", nr_unused(), unused);
	give_all();
}

/* Objects come and go, and between any two of them pages may go. */
static void random_operations(void)
{
	static const size_t sizes[] = { 288, 640, 896, 1152, 2304, 3328, 4096, 5120, 10240, 32768 };
	unsigned long i, class, pages_went = 0;

	for (class = 0; class < ARRAY_SIZE(sizes); class ++) {
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

/* A thread of the program's looks for half a millisecond, and goes on the next time; kswapd goes through all of them.
 */
static void in_steps(void)
{
	unsigned int i, unused;

	start(3328);
	take(400);
	give_but(20);
	looks(800);
	unused = nr_unused();
	current->flags |= PF_MEMALLOC_NOIO;
	looks(1000);
	current->flags &= ~PF_MEMALLOC_NOIO;
	must(nr_unused() == unused, "it may not");
	fake_os_dontneed_ns = 100000; /* for a page */
	for (i = 0; i < 3; i++) {
		unused = nr_unused();
		looks(200);
		must(nr_unused() <= unused - 5, "%u: nothing more goes", i);
		must(nr_unused() >= unused - 40, "%u: %u of %u pages at once", i, unused - nr_unused(), unused);
	}
	must(nr_unused(), "they did not end before");
	looks(2000);
	must(!nr_unused(), "%u pages stay", nr_unused());
	give_all();
}

static void kswapd_in_one_go(void)
{
	start(3328);
	take(400);
	give_but(20);
	looks(800);
	fake_os_dontneed_ns = 100000;
	current->flags |= PF_KSWAPD;
	looks(400);
	current->flags &= ~PF_KSWAPD;
	must(!nr_unused(), "%u pages stay", nr_unused());
	give_all();
}

/* What was not reached stays where the class is in use again. */
static void stopped_by_use(void)
{
	unsigned int i, unused;

	start(3328);
	take(400);
	give_but(20);
	looks(800);
	must(nr_unused() > 20);
	unused = nr_unused();
	fake_os_dontneed_ns = 100000;
	looks(400);
	must(nr_unused() > 20 && nr_unused() < unused);
	for (i = 0; i < 10; i++)
		take(4);
	fake_os_reset();
	looks(800);
	must(!fake_os_calls(FAKE_MADVISE), "after %u pages", unused);
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

/* What was idle in a slab is not kept for dirty_decay once more as a part of the zone. */
static void goes_at_once(void)
{
	unsigned int i;

	start(32768);
	tunables.dirty_max = 64 * MiB;
	take(1);
	for (i = 0; i < 20; i++) {
		looks(100);
		zones_decay(DECAY);
	}
	must(!zone->nr_dirty && cache->nr_slabs == 1);
	give(0);
	for (i = 0; i < 20 && cache->nr_slabs; i++) {
		must(!zone->nr_dirty);
		looks(100);
	}
	must(!cache->nr_slabs && zone->nr_dirty, "the slab is the zone's");
	zones_decay(DECAY);
	must(!zone->nr_dirty, "%lu pages stay", zone->nr_dirty);
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

/* One in twenty objects stays of slabs of sixteen pages; pages in these that nobody uses. */
static unsigned int left_unused(void)
{
	start(6656);
	tunables.dirty_max = 0;
	take(MOST);
	mm_unused_pages = ~0UL;
	give_but(2);
	must(!nr_holes(), "the class is half full");
	mm_unused_pages = slab_unused_pages();
	give_but(10);
	must(cache_is_sparse(cache) && nr_objects < cache->nr_pages / 8);
	return nr_unused();
}

/* Where more is free than may be dirty, slabs of a class that is mostly free do not wait until it is quiet. */
static void beyond_what_may_be_dirty(void)
{
	unsigned int unused = left_unused(), gone = count_unused(false);

	/* A tenth was never used. How many go beyond that differs with the order: nearly all, or half of what is left.
	 */
	must(nr_holes() && gone > unused / 2, "%u pages went, %u stay", gone, unused);
	take(400);
	check_cache(cache);
	give_all();
	mm_unused_pages = 0;
}

/* A chain of random ones, which are no longer in the books. */
static struct object *take_chain(unsigned int nr)
{
	struct object *chain = NULL;

	for (; nr; nr--) {
		unsigned int i = rnd(nr_objects);
		struct object *obj = (struct object *)objects[i].p;

		objects[i] = objects[--nr_objects];
		obj->next = chain;
		chain = obj;
	}
	return chain;
}

/* Who brings many objects home does not wait for the pages of many slabs. */
static void few_slabs_at_a_time(void)
{
	enum { NR = 32 };
	struct object *chain;
	unsigned long holes;

	start(6656);
	tunables.dirty_max = 0;
	take(MOST);
	give_but(4);
	must(!mm_hole_pages, "%lu pages went before", mm_hole_pages);
	mm_unused_pages = ~0UL;
	for (chain = take_chain(nr_objects / 2); chain;) {
		holes = mm_hole_pages;
		chain = slab_free_some(cache, chain, NR);
		must(mm_hole_pages <= holes + (4UL << cache->order), "%lu pages went at once", mm_hole_pages - holes);
	}
	must(mm_hole_pages, "none went");
	give_all();
	mm_unused_pages = 0;
}

/* Not below that; where no call may be made; and where there are others, who have kswapd. */
static void within_what_may_be_dirty(void)
{
	start(6656);
	tunables.dirty_max = 64 * MiB;
	take(MOST);
	mm_unused_pages = slab_unused_pages();
	give_but(20);
	must(!nr_holes());
	give_all();

	current->flags |= PF_MEMALLOC_NOIO;
	left_unused();
	must(!nr_holes(), "in a NOIO scope");
	current->flags &= ~PF_MEMALLOC_NOIO;
	give_all();

	nr_heap_threads = 2;
	left_unused();
	must(!nr_holes(), "of two threads");
	nr_heap_threads = 0;
	give_all();
	mm_unused_pages = 0;
}

/* A part of the slabs is of the smallest order that will do. */
static void fail_large_slabs(unsigned long percent)
{
	fail_page_alloc.attr = (struct fault_attr){ .probability = percent, .interval = 1, .times = -1 };
	fail_page_alloc.min_order = 2;
	fault_attr_changed();
}

static void random_frees(void)
{
	static const size_t sizes[] = { 1024, 2304, 3328, 6656, 7168 };
	unsigned long i, class, holes = 0;

	for (class = 0; class < ARRAY_SIZE(sizes); class ++) {
		start(sizes[class]);
		tunables.dirty_max = 0;
		mm_unused_pages = ~0UL;
		fail_large_slabs(20);
		take(MOST);
		for (i = steps(4000); i; i--) {
			if (rnd(100) < (i / 1000 % 2 ? 70U : 30U))
				take(1 + rnd(4));
			else
				for (unsigned int nr = rnd(6); nr && nr_objects; nr--)
					give(rnd(nr_objects));
			if (rnd(100) == 0)
				rest();
			check_cache(cache);
			holes += nr_holes();
		}
		fail_large_slabs(0);
		give_all();
	}
	must(holes);
	mm_unused_pages = 0;
}

int main(void)
{
	model_init();
	run_case("pages inside of slabs that nobody uses go back", pages_go);
	run_case("the last one, too", last_page);
	run_case("and more of them, when more is free", more);
	run_case("and when the class is quiet again", quiet_again);
	run_case("and are looked at by who is bound to a node", unsettled);
	run_case("also in the child of a fork", fork_meanwhile);
	run_case("random operations, and pages that go meanwhile", random_operations);
	run_case("not those of a class that is in use", in_use);
	run_case("a thread of the program's does it in steps", in_steps);
	run_case("kswapd in one go", kswapd_in_one_go);
	run_case("what is in use again stays", stopped_by_use);
	run_case("pages of slabs that are mostly free go as objects do, where too much is free",
		 beyond_what_may_be_dirty);
	run_case("few of them at a time", few_slabs_at_a_time);
	run_case("and nowhere else", within_what_may_be_dirty);
	run_case("random operations meanwhile", random_frees);
	run_case("empty slabs go home", empty_goes);
	run_case("and to the system", goes_at_once);
	run_case("the system gives nothing back", refused);
	return done_testing();
}
