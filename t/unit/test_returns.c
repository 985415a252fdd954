/* SPDX-License-Identifier: MIT */
/*
 * Returns: medium and large objects that a thread of another home frees go back to it, small ones and runs stay with
 * who frees them; and what the class maps of homes say. The homes are those of one thread, which moves from one to the
 * other.
 */

#include <pthread.h>
#include <sched.h>

#include "malloc/stats.h"
#include "mm/internal.h"
#include "mm/pressure.h"
#include "tcache.h"

#define LARGE 3000
#define LISTED 32768 /* bytes that wait in a list, at most */

static unsigned int here, there;

/* Its lists are empty. */
static void move(unsigned int home)
{
	tcache_flush();
	tcache.home = (uint8_t)home;
	tcache_set_view(&tcache);
}

/* Two homes, and the thread in the first; it has found others' objects to be in its cache, or not. */
static void begin(bool far)
{
	start();
	/* Under valgrind the thread came twice, and has the second home. */
	must(tcache.home || !vmemmap.home_maps, "there are maps for one home");
	heap_free(heap_malloc(LARGE));
	here = tcache.home;
	there = slab_home_enter();
	must(there && vmemmap.home_maps);
	move(here);
	tcache.far = far ? 4 : -4;
	tcache.others_freed = 1; /* not looked at, but for enough of them */
}

static struct kmem_cache *large(void)
{
	return &kmem_caches[size_to_class(LARGE)];
}

static uint8_t map_of(unsigned int home, const void *p)
{
	return home_class_map(home)[addr_to_pfn(p)];
}

static void classes(void)
{
	must(!class_is_small(FIRST_RETURNED_CLASS) && class_is_small(FIRST_RETURNED_CLASS - 1));
	must(class_is_returned(FIRST_RETURNED_CLASS) && class_is_returned(FIRST_RUN_CLASS - 1));
	must(!class_is_returned(FIRST_RETURNED_CLASS - 1) && !class_is_returned(FIRST_RUN_CLASS));
}

static bool is_one_of(const void *p, void *const *of, unsigned int nr)
{
	while (nr)
		if (of[--nr] == p)
			return true;
	return false;
}

/* What another home frees goes back, is counted as free meanwhile, and is taken before anything new. */
static void go_back(void)
{
	enum { N = 4 };
	unsigned int i, class = size_to_class(LARGE);
	struct heap_stats before, after;
	void *p[N];

	begin(true);
	for (i = 0; i < N; i++)
		p[i] = heap_malloc(LARGE);
	move(there);
	heap_stats_read(&before);
	for (i = 0; i < N; i++)
		heap_free(p[i]);
	heap_stats_read(&after);
	must(!tcache.head[class] && returns_nr(large()) == N, "%lu have gone back", returns_nr(large()));
	must(before.in_use - after.in_use == N * class_size(class));
	must(!is_one_of(heap_malloc(LARGE), p, N), "another home has one");
	move(here);
	for (i = 0; i < N; i++)
		must(is_one_of(heap_malloc(LARGE), p, N), "object %u is another", i);
	must(!returns_nr(large()) && tcache.cap[class] >= N - 1);
	check_lists();
}

/* Not what this thread has in its CPU's cache, nor what is left by threads that have ended, nor where there are many.
 */
static void stay(void)
{
	unsigned int class = size_to_class(LARGE);
	void *p[4];
	unsigned int i;

	begin(false);
	for (i = 0; i < 4; i++)
		p[i] = heap_malloc(LARGE);
	move(there);
	heap_free(p[0]);
	must((void *)tcache.head[class] == p[0] && map_of(there, p[0]) == NO_CLASS, "it was near");
	tcache_flush();
	tcache.far = 4;
	slab_home_leave(here);
	heap_free(p[1]);
	must((void *)tcache.head[class] == p[1] && !returns_nr(large()), "nobody was there");
	tcache_flush();
	must(slab_home_enter() == here);
	heap_free(p[2]);
	must(!tcache.head[class] && returns_nr(large()) == 1);
	nr_heap_threads += 4;
	heap_free(p[3]);
	nr_heap_threads -= 4;
	must((void *)tcache.head[class] == p[3] && map_of(there, p[3]) == class, "there were many threads");
}

/* One in sixteen is looked at: by and by it is known. */
static void looked_at(void)
{
	enum { N = 100 };
	unsigned int i;
	void *p[N];

	begin(false);
	tcache.others_freed = 0;
	for (i = 0; i < N; i++)
		p[i] = memset(heap_malloc(LARGE), 1, LARGE);
	move(there);
	for (i = 0; i < N; i++)
		heap_free(p[i]);
	must(tcache.others_freed == N && tcache.far >= -4 && tcache.far <= 4, "%u, %d", tcache.others_freed,
	     tcache.far);
}

/* Small objects and runs are for who frees them, and the second one of a slab finds its class at once. */
static void small_and_runs(void)
{
	static const size_t sizes[] = { 64, 1024, 40000, 128 * KiB };
	unsigned int i, class;
	void *p, *q;

	begin(true);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		class = size_to_class(sizes[i]);
		p = heap_malloc(sizes[i]);
		q = heap_malloc(sizes[i]);
		move(there);
		must(map_of(there, p) == NO_CLASS);
		heap_free(p);
		must((void *)tcache.head[class] == p && map_of(there, p) == class, "%zu bytes", sizes[i]);
		must(class >= FIRST_RUN_CLASS || map_of(there, q) == class);
		must(map_of(here, p) == NO_CLASS && vmemmap.class[addr_to_pfn(p)] == class);
		heap_free(q);
		move(here);
		slab_reclaim();
		must(map_of(there, p) == NO_CLASS, "%zu bytes have gone", sizes[i]);
	}
	/* Of those that no thread keeps a list of nothing is said. */
	p = heap_malloc(512 * KiB);
	move(there);
	heap_free(p);
	must(vmemmap.class[addr_to_pfn(p)] == NO_CLASS && map_of(there, p) == NO_CLASS);
	/* Nor is it of what is larger than a run. */
	heap_free(heap_malloc(3 * MiB));
	check_lists();
}

/* A run that becomes one of another class where it lies is in no map as what it was. */
static void resized(void)
{
	void *p;

	begin(true);
	p = heap_malloc(40000);
	heap_free(p);
	must(heap_malloc(40000) == p && map_of(here, p) == size_to_class(40000));
	must(heap_realloc(p, 60000) == p, "there was no room");
	must(map_of(here, p) == NO_CLASS);
	heap_free(p);
	must((void *)tcache.head[size_to_class(60000)] == p && map_of(here, p) == size_to_class(60000));
}

/* An empty slab that another home begins with is not the old one's any more. */
static void slab_moves(void)
{
	void *p;

	begin(true);
	slab_shrink(large());
	p = heap_malloc(LARGE);
	heap_free(p);
	must(map_of(here, p) == size_to_class(LARGE));
	move(there);
	must(cache_nr_empty(large()) == 1);
	must((size_t)((char *)heap_malloc(LARGE) - (char *)p) < PAGE_SIZE << large()->order);
	must(map_of(here, p) == NO_CLASS);
}

/* No more wait than there is room for: then all go home, once. As nobody takes them, others stay with who frees them.
 */
static void full(void)
{
	enum { N = 64 };
	unsigned int i, class = size_to_class(LARGE), kept = 0;
	unsigned long most = 0;
	void *p[N];

	begin(true);
	tcache_flush();
	for (i = 0; i < N; i++)
		p[i] = heap_malloc(LARGE);
	move(there);
	for (i = 0; i < N; i++) {
		tcache.far = 4;
		heap_free(p[i]);
		kept += (void *)tcache.head[class] == p[i];
		most = max_ul(most, returns_nr(large()));
		must(large()->nr_active >= returns_nr(large()));
	}
	must(most * class_size(class) >= LISTED && (most - 1) * class_size(class) < LISTED, "%lu wait", most);
	must(most == returns_nr(large()) && kept, "they do not stay with who frees them");
	tcache_flush();
	move(here);
	must((p[0] = heap_malloc(LARGE)));
	move(there);
	tcache.far = 4;
	heap_free(p[0]);
	must(!tcache.head[class] && returns_nr(large()) == 1, "there is room again");
	check_cache(large());
	slab_reclaim();
	must(!returns_nr(large()) && !large()->nr_active && !large()->nr_slabs, "%lu active", large()->nr_active);
}

/* The thread that was alone frees by its home's map from its next look on, others from the first. */
static void *is_by_map(void *arg)
{
	heap_free(arg); /* before it has a home */
	must(heap_malloc(LARGE));
	must(tcache.home && tcache.class_map == home_class_map(tcache.home));
	return arg;
}

static void first_look(void)
{
	pthread_t thread;

	start();
	heap_free(heap_malloc(LARGE));
	if (tcache.home)
		return;
	must(tcache.class_map == vmemmap.class);
	must(!pthread_create(&thread, NULL, is_by_map, heap_malloc(LARGE)) && !pthread_join(thread, NULL));
	must(tcache.class_map == vmemmap.class);
	tcache_look(&tcache);
	must(tcache.class_map == home_class_map(0));
}

/* What lies idle goes home, what is used does not. */
static void idle(void)
{
	void *p, *q;

	begin(true);
	p = heap_malloc(LARGE);
	q = heap_malloc(LARGE);
	move(there);
	heap_free(p);
	returns_age();
	heap_free(q);
	returns_age();
	must(returns_nr(large()) == 2, "%lu wait", returns_nr(large()));
	returns_age();
	must(!returns_nr(large()) && !large()->nr_active, "%lu wait still", returns_nr(large()));
}

/* Two threads send each other blocks, and free what they get. */
enum { RING = 32, SENT = 5000 };
static unsigned int *ring[2][RING];
static unsigned long gone_back;

static void *exchange(void *arg)
{
	unsigned int me = arg != NULL, sent = 0, got = 0, **slot, *p;

	while (sent < SENT || got < SENT) {
		tcache.far = 4;
		slot = &ring[me][sent % RING];
		if (sent < SENT && !smp_load_acquire(slot)) {
			p = heap_malloc(LARGE + sent % 16 * 1000);
			*p = sent++;
			smp_store_release(slot, p);
		}
		slot = &ring[!me][got % RING];
		p = smp_load_acquire(slot);
		if (got < SENT && p) {
			must(*p == got++, "another block than was sent");
			smp_store_release(slot, NULL);
			heap_free(p);
			WRITE_ONCE(gone_back, max_ul(READ_ONCE(gone_back), returns_nr(large())));
		} else {
			sched_yield();
		}
	}
	tcache_exit();
	return NULL;
}

static void sent_back_and_forth(void)
{
	pthread_t thread[2];
	unsigned long before;
	unsigned int i;

	start();
	heap_free(heap_malloc(LARGE));
	tcache_flush();
	slab_reclaim();
	before = active();
	for (i = 0; i < 2; i++)
		must(!pthread_create(&thread[i], NULL, exchange, i ? &thread : NULL));
	for (i = 0; i < 2; i++)
		must(!pthread_join(thread[i], NULL));
	must(gone_back, "none has gone back");
	slab_reclaim();
	must(active() == before && !cached(), "%lu active, %lu before", active(), before);
	check_cache(large());
}

static void freed_twice(void)
{
	void *p;

	begin(true);
	p = heap_malloc(LARGE);
	move(there);
	heap_free(p);
	heap_free(p);
}

/* Though the thread has come to another opinion about where such objects belong. */
static void freed_there_and_here(void)
{
	void *p;

	begin(true);
	p = heap_malloc(LARGE);
	move(there);
	heap_free(p);
	tcache.far = -4;
	heap_free(p);
}

static void freed_here_and_there(void)
{
	void *p;

	begin(false);
	p = heap_malloc(LARGE);
	move(there);
	heap_free(p);
	tcache.far = 4;
	heap_free(p);
}

/* What grows by realloc gets room for more, though the thread's map says nothing of it. */
static void grows(void)
{
	void *p;

	begin(true);
	move(there);
	heap_free(heap_malloc(class_size(size_to_class(LARGE)) / 8 * 9 + 1)); /* of the size that it grows to */
	p = heap_malloc(LARGE);
	must(map_of(there, p) == NO_CLASS);
	p = heap_realloc(p, LARGE + 100);
	must(heap_usable_size(p) > class_size(size_to_class(LARGE)) / 8 * 9, "%zu bytes", heap_usable_size(p));
}

int main(void)
{
	model_init();
	run_case("which classes these are", classes);
	run_case("large objects go back to their home, and are had again", go_back);
	run_case("others stay with who frees them", stay);
	run_case("one in sixteen is looked at", looked_at);
	run_case("and so do small objects and runs", small_and_runs);
	run_case("a run that is resized is in no map", resized);
	run_case("a slab that changes homes is in no map", slab_moves);
	run_case("a list that is full goes home, once", full);
	run_case("and so does one that lies idle", idle);
	run_case("two threads send back and forth", sent_back_and_forth);
	run_case("threads come to free by the maps of their homes", first_look);
	run_case("what grows by realloc gets room for more", grows);
	run_case_aborts("an object freed twice is seen, back home", freed_there_and_here,
			"double free of a block of 3072 bytes");
	run_case_aborts("and at hand", freed_here_and_there, "double free of a block of 3072 bytes");
	run_case_aborts("an object freed twice is seen", freed_twice, "double free of a block of 3072 bytes");
	return done_testing();
}
