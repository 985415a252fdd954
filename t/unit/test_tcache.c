/* SPDX-License-Identifier: MIT */
/*
 * The threads' lists: counts and bounds, growth, idle lists that go home, and blocks freed twice.
 */
#include <pthread.h>

#include "base/tunables.h"
#include "malloc/block.h"
#include "mm/exact.h"
#include "mm/pressure.h"
#include "tcache.h"

#define MAX_LIVE 3000

static void random_operations(void)
{
	static struct {
		unsigned char *p;
		unsigned int class;
		unsigned char fill;
	} live[MAX_LIVE];
	unsigned long i, nr = 0, before;

	start();
	before = active() - cached();
	for (i = steps(200000); i; i--) {
		unsigned int n = rnd(MAX_LIVE);
		size_t size;

		if (live[n].p) {
			size = class_size(live[n].class);
			must(live[n].p[0] == live[n].fill && live[n].p[size - 1] == live[n].fill &&
			     live[n].p[size / 2] == live[n].fill);
			give(live[n].p, live[n].class);
			live[n].p = NULL;
			nr--;
		} else {
			live[n].class = 1 + rnd(rnd(50) ? 40 : FIRST_RUN_CLASS + 10);
			live[n].p = take(live[n].class);
			live[n].fill = (unsigned char)rnd(256);
			size = class_size(live[n].class);
			must(is_aligned((uintptr_t)live[n].p, MALLOC_ALIGN));
			memset(live[n].p, live[n].fill, min_ul(size, 64));
			live[n].p[size - 1] = live[n].p[size / 2] = live[n].fill;
			nr++;
		}
		if (i % 1000 == 0) {
			check_lists();
			must(active() - cached() == nr + before, "%lu active, %lu cached, %lu live", active(), cached(),
			     nr);
		}
		if (rnd(20000) == 0)
			tcache_flush();
	}
	for (i = 0; i < MAX_LIVE; i++)
		if (live[i].p)
			give(live[i].p, live[i].class);
	check_lists();
	tcache_flush();
	check_lists();
	slab_reclaim();
	must(active() == before && cached() == 0, "%lu active, %lu cached", active(), cached());
}

/* Lists of one of many threads may hardly grow, and have the room of their spares. */
static void random_operations_of_many(void)
{
	start();
	nr_heap_threads += 1000;
	random_operations();
	nr_heap_threads -= 1000;
}

static void growth(void)
{
	enum { N = 16000, CLASS = 4 };
	static void *p[N];
	unsigned int i, round, first;

	start();
	give(take(CLASS), CLASS);
	tcache_flush();
	first = tcache.cap[CLASS];
	must(first >= 1 && first < 100);
	for (round = 0; round < 10; round++) {
		for (i = 0; i < N; i++)
			p[i] = take(CLASS);
		for (i = 0; i < N; i++)
			give(p[i], CLASS);
		check_lists();
		must(usual_cap(CLASS) >= first);
	}
	must(usual_cap(CLASS) > first, "a list that runs dry and overflows grows");
	for (i = 0; i < N; i++)
		p[i] = take(CLASS);
	for (i = 0; i < N / 4; i++)
		give(p[i], CLASS);
	must(tcache.spare[CLASS], "and has a spare");
	/* What the spare holds is taken from there: no slab is asked. */
	mutex_lock(&kmem_caches[CLASS].node.lock);
	for (i = 0; i < 2U * tcache.cap[CLASS] && (tcache.head[CLASS] || tcache.spare[CLASS]); i++)
		p[i] = take(CLASS);
	mutex_unlock(&kmem_caches[CLASS].node.lock);
	must(i > tcache.cap[CLASS]);
	while (i)
		give(p[--i], CLASS);
	for (i = N / 4; i < N; i++)
		give(p[i], CLASS);
	tcache_flush();
	must(!tcache.head[CLASS] && !tcache.spare[CLASS] && tcache.room[CLASS] == tcache.cap[CLASS]);
}

/* A list that runs dry again is filled with what is left of the page that it came to. */
static void page_worth(void)
{
	enum { CLASS = 27 };
	unsigned int i, most = (unsigned int)(PAGE_SIZE / class_size(CLASS));
	void *first, *p;

	start();
	first = take(CLASS);
	must(tcache.cap[CLASS] == 1 && !tcache.head[CLASS], "%u in the list at first", length(tcache.head[CLASS]));
	p = take(CLASS);
	must(length(tcache.head[CLASS]) == most - 2, "%u in the list", length(tcache.head[CLASS]));
	for (i = 2; i < most; i++) {
		give(p, CLASS);
		take(CLASS);
		p = take(CLASS);
		must(p == (char *)first + i * class_size(CLASS), "%p is not the %u. behind %p", p, i, first);
	}
	must(!tcache.head[CLASS]);
	check_lists();
}

static void *close_others(void *arg)
{
	tcache_close_all();
	return arg;
}

/* Lists that another thread closed count as if they held very much, until their own thread has a look at them. */
static void closed(void)
{
	pthread_t thread;

	start();
	give(take(5), 5);
	tcache_flush();
	must(!pthread_create(&thread, NULL, close_others, NULL) && !pthread_join(thread, NULL));
	must(tcache.room[5] < 0 && cached() > 0);
	tcache_flush();
	must(cached() == 0, "%lu cached", cached());
}

/* Or while it makes room in a list that was full. */
static bool close_meanwhile;
static unsigned int closings;
bool __real_magazine_put(struct kmem_cache *cache, const void *self, struct object *chain, unsigned int nr);
bool __wrap_magazine_put(struct kmem_cache *cache, const void *self, struct object *chain, unsigned int nr);
bool __wrap_magazine_put(struct kmem_cache *cache, const void *self, struct object *chain, unsigned int nr)
{
	pthread_t thread;

	if (close_meanwhile && closings < 20) {
		must(!pthread_create(&thread, NULL, close_others, NULL) && !pthread_join(thread, NULL));
		closings++;
	}
	return __real_magazine_put(cache, self, chain, nr);
}

static void closed_meanwhile(void)
{
	enum { N = 16000, CLASS = 4 };
	static void *p[N];
	unsigned long before;
	unsigned int i, round;

	start();
	before = active() - cached();
	close_meanwhile = true;
	for (round = 0; round < 4; round++) {
		for (i = 0; i < N; i++)
			p[i] = take(CLASS);
		for (i = 0; i < N; i++)
			give(p[i], CLASS);
	}
	must(closings == 20);
	tcache_flush();
	check_lists();
	must(active() == before + cached(), "%lu active, %lu cached, %lu before", active(), cached(), before);
}

/* A list that nobody touches goes home while the thread is busy with others. */
static void idle(void)
{
	enum { IDLE = 20, BUSY = 3, N = 100000 };
	static void *p[N];
	unsigned int i;
	void *q[2];

	start();
	q[0] = take(IDLE);
	q[1] = take(IDLE);
	give(q[0], IDLE);
	give(q[1], IDLE);
	must(tcache.head[IDLE]);
	for (i = 0; i < N; i++)
		p[i] = take(BUSY);
	for (i = 0; i < N; i++)
		give(p[i], BUSY);
	for (i = 0; i < N; i++)
		p[i] = take(BUSY);
	must(!tcache.head[IDLE] && !tcache.spare[IDLE]);
	must(kmem_caches[IDLE].nr_active == kmem_caches[IDLE].nr_magazine_objects);
	check_lists();
}

/* Fills and empties the class's list, over and over, with no look at what lies idle meanwhile. */
static void use_list(unsigned int class, unsigned int rounds)
{
	void *p[400];
	unsigned int i, nr = (unsigned int)(384 * KiB / class_size(class));

	must(nr <= ARRAY_SIZE(p));
	while (rounds--) {
		tcache.ticks = 0;
		for (i = 0; i < nr; i++)
			p[i] = take(class);
		tcache.ticks = 0;
		while (i)
			give(p[--i], class);
	}
	check_lists();
}

static void shared_room(void)
{
	unsigned int round, class, first = size_to_class(1025), last = size_to_class(30000);
	size_t more = 0;

	start();
	use_list(last, 10);
	must(usual_cap(last) * class_size(last) > 100 * KiB, "alone: %u in a list", usual_cap(last));
	for (round = 0; round < 10; round++)
		for (class = last - 1; class >= first; class --)
			use_list(class, 1);
	for (class = first; class <= last; class ++) {
		must(usual_cap(class) >= 1);
		more += (usual_cap(class) - 1) * class_size(class);
	}
	must(more > 600 * KiB && more <= 1 * MiB, "%zu KiB in lists of many classes", more / KiB);
	/* All are idle: what is used next has all of the room. */
	tcache_look(&tcache);
	tcache_look(&tcache);
	class = last + 1;
	use_list(class, 10);
	must(usual_cap(class) * class_size(class) > 100 * KiB, "later: %u in a list", usual_cap(class));
}

static void use_runs(unsigned int class, unsigned int nr, unsigned int rounds)
{
	void *p[40];
	unsigned int i;

	must(nr <= ARRAY_SIZE(p));
	while (rounds--) {
		for (i = 0; i < nr; i++)
			p[i] = take(class);
		for (i = 0; i < nr; i++)
			give(p[i], class);
	}
}

/* While few lengths come and go a list of runs comes to hold more, all of a thread's together a bounded amount. */
static void runs(void)
{
	enum { ONE = FIRST_UNLISTED_CLASS - 3, OTHER = FIRST_RUN_CLASS, ALWAYS = 128 * KiB };
	unsigned int i;

	start();
	use_runs(ONE, 9, 1);
	must(length(tcache.head[ONE]) == ALWAYS / class_size(ONE), "at first");
	use_runs(ONE, 9, 100);
	must(length(tcache.head[ONE]) == 9, "all of them");
	use_runs(OTHER, 40, 100);
	must(tcache.more_runs);
	check_lists();
	for (i = 0; i < 3; i++)
		tcache_look(&tcache);
	must(!tcache.head[ONE] && tcache.cap[ONE] * class_size(ONE) <= ALWAYS, "idle");
	must(!tcache.more_runs);
}

/* While many lengths come and go all lists of runs together hold what one may. */
static void runs_of_many_lengths(void)
{
	enum { ALWAYS = 128 * KiB };
	unsigned int class;
	size_t bytes = 0;

	start();
	use_runs(FIRST_RUN_CLASS, 40, 100);
	must(tcache.more_runs);
	for (class = FIRST_RUN_CLASS + 1; class < FIRST_UNLISTED_CLASS; class ++)
		use_runs(class, 2, 1);
	WRITE_ONCE(exact_lists.many, true);
	for (class = FIRST_RUN_CLASS; class < FIRST_UNLISTED_CLASS; class ++)
		use_runs(class, 40, 1);
	for (class = FIRST_RUN_CLASS; class < FIRST_UNLISTED_CLASS; class ++)
		bytes += length(tcache.head[class]) * class_size(class);
	must(bytes <= ALWAYS, "%zu KiB", bytes / KiB);
	must(!tcache.more_runs);
	check_lists();
	tcache_flush();
	use_runs(FIRST_RUN_CLASS, 1, 1);
	must(tcache.head[FIRST_RUN_CLASS], "one alone is had back");
}

static void double_free(void)
{
	void *p;

	start();
	p = heap_malloc(100);
	heap_free(p);
	heap_free(p);
}

/* The same where the list is full. */
static void double_free_full(void)
{
	void *p[64];
	unsigned int i, class = size_to_class(1000);

	start();
	for (i = 0; i < 64; i++)
		p[i] = heap_malloc(1000);
	for (i = 0; i < 64 && (i == 0 || tcache.room[class]); i++)
		heap_free(p[i]);
	heap_free(p[i - 1]);
}

/* A run that another thread's list had, too; and that has gone home. */
static void *run_in_two_lists(void)
{
	void *p;

	start();
	p = heap_malloc(128 * KiB);
	heap_free(p);
	run_free(p);
	return p;
}

static void run_freed_twice(void)
{
	run_in_two_lists();
	tcache_flush();
}

/* It is nobody's by now: it is not had twice. */
static void run_of_nobody(void)
{
	unsigned int class = size_to_class(128 * KiB);
	bool zeroed;
	void *p;

	tunables.foreign_free = FOREIGN_IGNORE;
	run_in_two_lists();
	tcache_flush();
	must(!tcache.head[class] && tcache.room[class] == tcache.cap[class] && !run_stats_read().nr);
	p = run_alloc(class, 0, &zeroed);
	must(p != run_alloc(class, 0, &zeroed) && run_stats_read().nr == 2);
}

/* It is another's, and of another length: it stays that, and what its first word says is next is not freed. */
static void run_of_another(void)
{
	unsigned int class = size_to_class(128 * KiB);
	void **p, *other;
	bool zeroed;

	tunables.foreign_free = FOREIGN_IGNORE;
	p = run_in_two_lists();
	must(run_alloc(class, 0, &zeroed) == p && run_resize(p, class - 1));
	other = run_alloc(class, 0, &zeroed);
	*p = other;
	tcache_flush();
	must(run_stats_read().nr == 2 && block_of(p).kind == BLOCK_RUN && block_of(other).kind == BLOCK_RUN);
}

int main(void)
{
	model_init();
	run_case("lists grow on demand, and have a spare", growth);
	run_case("a list that runs dry again is filled by a page's worth", page_worth);
	run_case("a flush opens lists that hold nothing and were closed", closed);
	run_case("and so do lists that are closed while there is made room", closed_meanwhile);
	run_case("idle lists go home", idle);
	run_case("lists of many classes of large objects share their room", shared_room);
	run_case("lists of runs hold more while few lengths come and go", runs);
	run_case("and less where many do", runs_of_many_lengths);
	run_case("random operations: lists and counts", random_operations);
	run_case("of one of many threads, too", random_operations_of_many);
	run_case_aborts("a block freed twice in a row is reported", double_free, "double free of a block of 112 bytes");
	run_case_aborts("and so it is when the list is full", double_free_full, "double free of a block of 1024 bytes");
	run_case_aborts("a run is when the second list goes home", run_freed_twice,
			"invalid pointer: no block of 131072 bytes is there any more");
	run_case("and left alone if it is nobody's", run_of_nobody);
	run_case("or another's", run_of_another);
	return done_testing();
}
