/* SPDX-License-Identifier: MIT */
/*
 * The threads' lists: counts and bounds, growth, idle lists that go home, exit, blocks that change threads, and a block
 * freed twice.
 */
#include <pthread.h>
#include <sched.h>

#include "base/tunables.h"
#include "malloc/heap.h"
#include "mm/budget.h"
#include "mm/pressure.h"
#include "os/os.h"
#include "slab/run.h"
#include "model.h"

#define MAX_LIVE 3000

static void start(void)
{
	must(heap_init());
	model_native();
}

static void *take(unsigned int class)
{
	void *p = tcache_alloc(class);

	p = p ? p : tcache_alloc_slow(class);
	must(p);
	return p;
}

static void give(void *p, unsigned int class)
{
	if (tcache_free(p, class))
		return;
	tcache_undo_free(class);
	must(p != tcache.head[class]);
	tcache_free_slow(p, class);
}

static unsigned int length(const struct object *obj)
{
	unsigned int n = 0;

	for (; obj; obj = obj->next)
		n++;
	return n;
}

/* Every list is as long as is said, and within bounds. */
static void check_lists(void)
{
	size_t more_runs = 0;
	unsigned int class;

	for (class = 1; class < NR_CLASSES; class++) {
		size_t size = class_size(class);
		int n = (int)length(tcache.head[class]);

		must(n == tcache.cap[class] - tcache.room[class], "class %u: %d in the list, cap %d room %d", class, n,
		     tcache.cap[class], tcache.room[class]);
		if (class >= FIRST_RUN_CLASS && tcache.cap[class] > 128 * KiB / size)
			more_runs += (tcache.cap[class] - 128 * KiB / size) * size;
		else
			must(tcache.cap[class] * size <= max_ul(256 * KiB, 2 * size), "class %u: cap %u", class,
			     tcache.cap[class]);
		if (class < FIRST_RUN_CLASS && tcache.spare[class])
			must(length(tcache.spare[class]) == tcache.spare_nr[class], "class %u: spare", class);
	}
	must(more_runs == tcache.more_runs && more_runs <= 1 * MiB);
}

static unsigned long active(void)
{
	unsigned long nr = run_stats_read().nr;
	unsigned int class;

	for (class = 1; class < FIRST_RUN_CLASS; class++) {
		check_cache(&kmem_caches[class]);
		nr += kmem_caches[class].nr_active;
	}
	return nr;
}

static unsigned long in_magazines(void)
{
	unsigned long nr = 0;
	unsigned int class;

	for (class = 1; class < FIRST_RUN_CLASS; class++)
		nr += kmem_caches[class].nr_magazine_objects;
	return nr;
}

static unsigned long cached(void)
{
	unsigned long nr = 0;
	unsigned int class;

	for (class = 1; class < NR_CLASSES; class++)
		nr += tcache_cached(class);
	return nr + in_magazines();
}

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
			must(active() - cached() == nr + before, "%lu active, %lu cached, %lu live", active(), cached(), nr);
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

/* What a list has room for when the thread allocates, too. */
static unsigned int usual_cap(unsigned int class)
{
	return max_ul(tcache.cap[class], tcache.usual_cap[class]);
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
	must(most && most <= 256, "%lu scattered blocks", most);
	nr_heap_threads++;
	most = most_home(67);
	must(most > 128, "%lu scattered blocks of one thread of two", most);
	nr_heap_threads--;
	/* Others may have them, though: of a thread that has asked in vain the next ones shall not. */
	must(!pthread_create(&thread, NULL, ask_in_vain, NULL) && !pthread_join(thread, NULL));
	most = most_home(67);
	must(most > 128, "%lu scattered blocks that others want", most);
}

/* Where most of a class is free, each object that a list holds may be all that keeps a slab. */
static void sparse(void)
{
	enum { N = 40000, CLASS = 4, KEPT = 8 };
	static void *p[N];
	unsigned int i;

	start();
	for (i = 0; i < N; i++)
		p[i] = take(CLASS);
	for (i = 0; i < N; i++)
		if (i % KEPT)
			give(p[i], CLASS);
	must(cache_is_sparse(&kmem_caches[CLASS]));
	must(cached() <= 4, "%lu cached", cached());
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

/* A thread that is alone and has freed all that it had keeps few blocks, and as many as before when it allocates again. */
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
	must(usual > 512 && tcache.cap[SCATTERED_CLASS] < 2 * first, "room for %u, now %u", usual, tcache.cap[SCATTERED_CLASS]);
	for (i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = take(SCATTERED_CLASS);
	must(tcache.cap[SCATTERED_CLASS] == usual && tcache.usual_cap[SCATTERED_CLASS] == 0);
	while (i)
		give(p[--i], SCATTERED_CLASS);
	tcache_flush();
	must(!pthread_create(&thread, NULL, left_cached_by_thread, &left) && !pthread_join(thread, NULL));
	must(left > usual, "%lu cached by one of two", left);
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
	unsigned int i, nr, least;

	start();
	for (i = 0; i < 10; i++)
		nr = left_to_itself(1);
	must(nr > 1024 && nr * cache->size <= 1 * MiB, "%u objects wait", nr);
	magazines_age();
	least = nr;
	for (i = 0; i < 2; i++) {
		magazines_age();
		must(cache->nr_magazine_objects < least);
		least = cache->nr_magazine_objects;
	}
	must(!least, "%u objects still wait", least);
	tcache_flush();
	for (i = 0; i < 10; i++)
		nr = left_to_itself(67);
	must(!nr, "%u scattered objects wait", nr);
	tcache_flush();
}

/* They keep slabs: where most of the class is free they go home. */
static void own_magazines_sparse(void)
{
	enum { N = 60000, KEPT = 8 };
	static void *p[N];
	struct kmem_cache *cache = &kmem_caches[OWN_CLASS];
	unsigned int i;

	start();
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

/* A list that nobody touches goes home while the thread is busy with others. */
static void idle(void)
{
	enum { IDLE = 20, BUSY = 3, N = 20000 };
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

static unsigned long thread_allocates;

static void *allocate_and_free(void *arg)
{
	static __thread void *p[500];
	unsigned int class, i;

	for (class = 1; class <= 80; class += 9) {
		for (i = 0; i < 500 && i * class_size(class) < 4 * MiB; i++)
			p[i] = take(class);
		while (i)
			give(p[--i], class);
	}
	check_lists();
	atomic_add_return(&thread_allocates, 1UL);
	if (arg)
		tcache_exit();
	return p;
}

static void exits(void)
{
	unsigned long before, threads, i;
	pthread_t thread;

	start();
	give(take(1), 1);
	tcache_flush();
	slab_reclaim();
	before = active();
	threads = tcache_threads();
	must(threads == 1);
	for (i = 0; i < 20; i++) {
		must(!pthread_create(&thread, NULL, allocate_and_free, i % 2 ? &thread : NULL));
		must(!pthread_join(thread, NULL));
		must(tcache_threads() == threads);
	}
	must(thread_allocates == 20);
	tcache_flush();
	slab_reclaim();
	must(active() == before && cached() == 0, "%lu active, %lu before", active(), before);
}

static void *use_few(void *arg)
{
	struct object *list;

	give(take(5), 5);
	must(tcache.home, "the first thread's");
	list = tcache.head[5];
	must(length(list) == tcache.cap[5] - (unsigned int)tcache.room[5]);
	tcache_exit();
	(void)arg;
	return list;
}

/* The next thread takes up the lists of one that has ended, as they are. */
static void lists_left(void)
{
	void *first, *second;
	unsigned int i;
	pthread_t thread;

	start();
	give(take(1), 1);
	tunables.dirty_decay = 3600000;
	for (i = 0; i < 2; i++) {
		must(!in_magazines(), "the first leaves nothing, as none may follow");
		must(!pthread_create(&thread, NULL, use_few, NULL));
		must(!pthread_join(thread, &first));
	}
	must(in_magazines() == length(first));
	must(!pthread_create(&thread, NULL, use_few, NULL));
	must(!pthread_join(thread, &second));
	must(second == first && in_magazines() == length(first));
	tunables.dirty_decay = 0;
	must(!pthread_create(&thread, NULL, use_few, NULL));
	must(!pthread_join(thread, NULL) && !in_magazines(), "none follows: all is home");
	check_lists();
}

static void *use_many(void *arg)
{
	static __thread void *p[1000];
	unsigned int i, nr = 4U * size_classes.first_cap[5];
	unsigned long *left = arg;

	must(nr <= ARRAY_SIZE(p));
	for (i = 0; i < nr; i++)
		p[i] = take(5);
	while (i && !tcache.spare[5])
		give(p[--i], 5);
	*left = length(tcache.spare[5]) + length(tcache.head[5]);
	must(*left, "nothing to leave");
	tcache_exit();
	while (i)
		give(p[--i], 5);
	return NULL;
}

/* Both its lists are left, but not what keeps slabs that are mostly free, nor anything where much is given back. */
static void some_left(void)
{
	enum { N = 40000, KEPT = 8 };
	static void *p[N];
	unsigned long left;
	pthread_t thread;
	unsigned int i;

	start();
	give(take(1), 1);
	must(!pthread_create(&thread, NULL, use_few, NULL) && !pthread_join(thread, NULL));
	tunables.dirty_decay = 3600000;
	must(!pthread_create(&thread, NULL, use_many, &left) && !pthread_join(thread, NULL));
	must(in_magazines() == left && left > size_classes.first_cap[5], "%lu of %lu", in_magazines(), left);
	slab_reclaim();
	for (i = 0; i < N; i++)
		p[i] = take(5);
	for (i = 0; i < N; i++)
		if (i % KEPT)
			give(p[i], 5);
	tcache_flush();
	slab_reclaim();
	must(cache_is_sparse(&kmem_caches[5]));
	must(!pthread_create(&thread, NULL, use_many, &left) && !pthread_join(thread, NULL));
	must(!in_magazines(), "%lu where much is free", in_magazines());
}

/* Of the homes only that of the thread that forked is in use in the child. */
static void *fork_here(void *arg)
{
	int status;
	pid_t pid;

	give(take(5), 5);
	must(tcache.home);
	pid = fork();
	if (!pid) {
		must(slab_home_enter() == 0 && slab_home_enter() == 3U - tcache.home);
		_exit(0);
	}
	must(waitpid(pid, &status, 0) == pid && !status);
	return arg;
}

static void forks(void)
{
	pthread_t thread;

	start();
	give(take(1), 1);
	must(!pthread_create(&thread, NULL, fork_here, NULL));
	must(!pthread_join(thread, NULL));
}

static void *use_bytes(void *arg)
{
	static __thread void *p[1000];
	size_t size = class_size(FIRST_RUN_CLASS), i, n = *(size_t *)arg / size;

	for (i = 0; i < n; i++)
		*(char *)(p[i] = take(FIRST_RUN_CLASS)) = 1;
	while (i)
		give(p[--i], FIRST_RUN_CLASS);
	give(take(5), 5);
	return NULL;
}

/* A thread that uses so much comes and goes; what is dirty afterwards. */
static size_t dirty_after(size_t bytes)
{
	pthread_t thread;

	must(!pthread_create(&thread, NULL, use_bytes, &bytes));
	must(!pthread_join(thread, NULL));
	return mm_dirty_bytes();
}

#define FEW (5 * MiB)
#define MANY (12 * MiB)
#define LITTLE (512 * KiB) /* not worth giving back */

/* What an ended thread used is given back. Of threads that follow each other within dirty_decay each leaves to the next
 * as much as was ever used at a time, and no more. */
static void ends_in_a_row(void)
{
	size_t first, same, more, bound, most;

	start();
	tunables.kswapd = KSWAPD_OFF; /* what that gives back, and when, is another thing */
	give(take(1), 1);
	tunables.dirty_decay = 3600000;
	first = dirty_after(FEW);
	same = dirty_after(FEW);
	more = dirty_after(MANY);
	must(first < LITTLE, "the first leaves %zu bytes", first);
	must(same > FEW / 2 && same < FEW + PAGEBLOCK_SIZE + LITTLE, "%zu bytes left to the next", same);
	must(more > MANY / 2 && more < MANY + PAGEBLOCK_SIZE + LITTLE, "one that uses more leaves %zu", more);
	tunables.dirty_decay = 0;
	must(dirty_after(FEW) < LITTLE, "none follows any other");
	tunables.dirty_decay = 3600000;

	most = tunables.dirty_max;
	tunables.dirty_max = FEW;
	bound = dirty_after(MANY);
	must(bound > FEW / 2 && bound < FEW + LITTLE, "dirty_max:5m keeps %zu", bound);
	tunables.dirty_max = 0;
	must(dirty_after(FEW) < LITTLE && !in_magazines(), "dirty_max:0 keeps nothing");
	tunables.dirty_max = most;
	tunables.limit = 1 * GiB;
	budget_init();
	must(limits_in_force && dirty_after(FEW) < LITTLE, "nothing stays under a limit");
}

/* After its end a thread is still served, past the lists. */
static void after_exit(void)
{
	void *small, *run;

	start();
	small = take(5);
	run = take(FIRST_RUN_CLASS);
	tcache_exit();
	must(tcache.state == TCACHE_OFF && tcache_threads() == 0);
	give(small, 5);
	give(run, FIRST_RUN_CLASS);
	small = take(6);
	give(take(7), 7);
	give(small, 6);
	must(!tcache.head[5] && !tcache.head[6] && !tcache.head[7] && !run_stats_read().nr);
	tcache_exit();
	must(tcache_threads() == 0);
}

#define NR_THREADS 3

static void *mailbox[NR_THREADS][64];

/* Each puts blocks into all the others' boxes, and frees what it finds in its own. */
static void *exchange(void *arg)
{
	unsigned long self = (unsigned long)(uintptr_t)arg, i, state = self * 977 + 1, rounds = steps(100000);

	for (i = 0; i < rounds; i++) {
		unsigned long *p;
		unsigned int class;
		void **box;

		state = state * 6364136223846793005 + 1442695040888963407;
		class = 2 + (unsigned int)(state >> 40) % 30;
		p = take(class);
		p[0] = class;
		p[1] = ~(unsigned long)class;
		p[class_size(class) / 8 - 1] = ~(unsigned long)class;
		box = &mailbox[(state >> 33) % NR_THREADS][(state >> 50) % 64];
		p = __atomic_exchange_n(box, p, __ATOMIC_ACQ_REL);
		if (!p)
			continue;
		class = (unsigned int)p[0];
		must(class >= 2 && class < 32 && p[class_size(class) / 8 - 1] == ~p[0], "a block was written to");
		give(p, class);
	}
	return NULL;
}

static void threads_exchange(void)
{
	pthread_t thread[NR_THREADS];
	uintptr_t i, j;

	start();
	for (i = 0; i < NR_THREADS; i++)
		must(!pthread_create(&thread[i], NULL, exchange, (void *)i));
	for (i = 0; i < NR_THREADS; i++)
		must(!pthread_join(thread[i], NULL));
	for (i = 0; i < NR_THREADS; i++)
		for (j = 0; j < 64; j++)
			if (mailbox[i][j])
				give(mailbox[i][j], (unsigned int)*(unsigned long *)mailbox[i][j]);
	tcache_flush();
	slab_reclaim();
	must(active() == 0 && cached() == 0, "%lu active, %lu cached", active(), cached());
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

int main(void)
{
	model_init();
	run_case("lists grow on demand, and have a spare", growth);
	run_case("what lies scattered goes home in parts", scattered);
	run_case("lists of what is mostly free hold little", sparse);
	run_case("a list that only others need stays small", filled_for_others);
	run_case("who has freed all keeps little", freed_all);
	run_case("what a thread takes and frees in turn waits for it", own_magazines);
	run_case("but goes home where most is free", own_magazines_sparse);
	run_case("a flush opens lists that hold nothing and were closed", closed);
	run_case("idle lists go home", idle);
	run_case("lists of runs hold more while few lengths come and go", runs);
	run_case("random operations: lists and counts", random_operations);
	run_case("a thread's end leaves nothing behind", exits);
	run_case("a thread's lists are left to the next", lists_left);
	run_case("all of them, unless they keep what is free", some_left);
	run_case("the child of a fork has the homes of others", forks);
	run_case("threads that end one after the other leave as much as was in use", ends_in_a_row);
	run_case("after its end a thread is served without lists", after_exit);
	run_case("threads exchange blocks", threads_exchange);
	run_case_aborts("a block freed twice in a row is reported", double_free, "double free of a block of 112 bytes");
	run_case_aborts("and so it is when the list is full", double_free_full, "double free of a block of 1024 bytes");
	return done_testing();
}
