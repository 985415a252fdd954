/* SPDX-License-Identifier: MIT */
/*
 * Threads that end, and what they leave to others; forks; and blocks that change threads.
 */
#include <pthread.h>

#include "base/tunables.h"
#include "mm/balance.h"
#include "mm/budget.h"
#include "mm/fault_inject.h"
#include "mm/internal.h"
#include "mm/pressure.h"
#include "tcache.h"

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
	size_t first, same, more, most;

	start();
	tunables.kswapd = KSWAPD_OFF; /* what that gives back, and when, is another thing */
	give(take(1), 1);
	tunables.dirty_decay = 3600000;
	first = dirty_after(FEW);
	same = dirty_after(FEW);
	more = dirty_after(MANY);
	must(first < LITTLE, "the first leaves %zu bytes", first);
	must(same > FEW / 2 && same < FEW + PAGEBLOCK_SIZE + LITTLE, "%zu bytes left to the next", same);
	registry_age(tunables.dirty_decay);
	must(threads_follow, "another is expected");
	registry_age(0);
	must(!threads_follow, "none has come for long");
	must(more > MANY / 2 && more < MANY + PAGEBLOCK_SIZE + LITTLE, "one that uses more leaves %zu", more);
	tunables.dirty_decay = 0;
	must(dirty_after(FEW) < LITTLE && !threads_follow, "none follows any other");
	tunables.dirty_decay = 3600000;

	most = tunables.dirty_max;
	tunables.dirty_max = 0;
	must(dirty_after(FEW) < LITTLE && !in_magazines(), "dirty_max:0 keeps nothing");
	tunables.dirty_max = most;
	tunables.limit = 1 * GiB;
	budget_init();
	must(limits_in_force && dirty_after(FEW) < LITTLE, "nothing stays under a limit");
}

#define PART (PAGEBLOCK_SIZE * 3 / 4)

/* What went at ends and is wanted again may stay the next time, though it is parts of pageblocks, which arenas know
 * nothing of. */
static void ends_that_miss_pages(void)
{
	size_t bound;
	int i;

	start();
	tunables.kswapd = KSWAPD_OFF;
	give(take(1), 1);
	tunables.dirty_decay = 3600000;
	tunables.dirty_max = PART / 3;
	dirty_after(0);
	bound = dirty_after(PART);
	must(bound < PART / 2, "%zu bytes left", bound);
	for (i = 0; i < 5; i++)
		bound = dirty_after(PART);
	must(bound > PART * 3 / 4 && bound < PAGEBLOCK_SIZE, "%zu bytes left", bound);
}

/* dirty_max bounds what is left. What went because of that and is wanted again may stay the next time, but no more than
 * three times dirty_max, nor than was used. */
static void ends_that_miss(void)
{
	size_t bound, missed;

	start();
	tunables.kswapd = KSWAPD_OFF;
	give(take(1), 1);
	tunables.dirty_decay = 3600000;
	tunables.dirty_max = FEW;
	dirty_after(0);
	bound = dirty_after(MANY);
	must(bound > FEW / 2 && bound < FEW + LITTLE, "dirty_max:5m keeps %zu", bound);
	dirty_after(MANY);
	missed = dirty_after(MANY);
	must(missed > MANY - PAGEBLOCK_SIZE && missed < MANY + PAGEBLOCK_SIZE + LITTLE, "%zu bytes left", missed);
	tunables.dirty_max = PAGEBLOCK_SIZE;
	bound = dirty_after(MANY);
	must(bound > 2 * PAGEBLOCK_SIZE && bound < 4 * PAGEBLOCK_SIZE + LITTLE, "dirty_max:2m keeps %zu", bound);
	tunables.dirty_max = 0;
	must(dirty_after(MANY) < LITTLE, "dirty_max:0 keeps nothing");
}

#define NR_RUN_CLASSES (FIRST_UNLISTED_CLASS - FIRST_RUN_CLASS)

/* The bytes that new lists of runs hold after one of each class came and went. */
static size_t runs_held(void)
{
	size_t bytes = 0;
	unsigned int class;

	tcache_flush();
	for (class = FIRST_RUN_CLASS; class < FIRST_UNLISTED_CLASS; class ++) {
		tcache.cap[class] = 0;
		tcache.room[class] = 0;
	}
	for (class = FIRST_RUN_CLASS; class < FIRST_UNLISTED_CLASS; class ++)
		give(take(class), class);
	check_lists();
	for (class = FIRST_RUN_CLASS; class < FIRST_UNLISTED_CLASS; class ++)
		bytes += length(tcache.head[class]) * class_size(class);
	return bytes;
}

/* Most of many threads are asleep: each one's lists of runs hold no more than its part, of what it used last. */
static void runs_of_many(void)
{
	unsigned int class = FIRST_UNLISTED_CLASS - 1;
	size_t bytes;
	void *p;

	start();
	give(take(1), 1);
	bytes = runs_held();
	must(bytes > NR_RUN_CLASSES * 32 * KiB && bytes < 2 * MiB, "%zu bytes of one thread", bytes);
	nr_heap_threads += 7;
	bytes = runs_held();
	must(bytes > 384 * KiB && bytes <= 512 * KiB, "%zu bytes of one of 8", bytes);
	nr_heap_threads += 1000;
	bytes = runs_held();
	must(bytes && bytes <= 64 * KiB, "%zu bytes of one of many", bytes);
	tcache_flush();
	p = take(FIRST_RUN_CLASS);
	give(take(class), class);
	must(length(tcache.head[class]) == 1, "what is empty leaves its room");
	take(class);
	give(p, FIRST_RUN_CLASS);
	must(length(tcache.head[FIRST_RUN_CLASS]) == 1 && !tcache.cap[class]);
	nr_heap_threads -= 1007;
}

/* Of several threads one that frees runs keeps as many as it takes: those that it is only given are for others. */
static void runs_of_others(void)
{
	unsigned int class = FIRST_RUN_CLASS + 1, i;
	bool zeroed;
	void *p[3];

	start();
	give(take(1), 1);
	nr_heap_threads++;
	memset(tcache.runs_missed, 0, sizeof(tcache.runs_missed));
	for (i = 0; i < ARRAY_SIZE(p); i++)
		must(p[i] = run_alloc(class, 0, &zeroed));
	/* As if others had taken all but one of them. */
	must(tcache.runs_missed[class - FIRST_RUN_CLASS] == ARRAY_SIZE(p), "who takes runs is not known");
	tcache.runs_missed[class - FIRST_RUN_CLASS] = 1;
	while (i)
		give(p[--i], class);
	must(length(tcache.head[class]) == 1, "%u in the list", length(tcache.head[class]));
	must(run_nr(class) == 1, "%lu are kept", run_nr(class));
	nr_heap_threads--;
	for (i = 0; i < 2; i++)
		must(p[i] = run_alloc(class, 0, &zeroed));
	while (i)
		give(p[--i], class);
	must(length(tcache.head[class]) > 1, "who is alone keeps what it frees");
	check_lists();
	tcache_flush();
}

/* What lists hold beyond their first objects, once each class was filled and emptied again and again. */
static size_t held_beyond_first(void)
{
	enum { ROUNDS = 30 };
	unsigned int class, i, round, nr;
	static void *p[4096];
	size_t bytes = 0;

	for (round = 0; round < ROUNDS; round++)
		for (class = 1; class < FIRST_RUN_CLASS; class ++) {
			nr = (unsigned int)min_ul(96 * KiB / class_size(class), ARRAY_SIZE(p));
			for (i = 0; i < nr; i++)
				p[i] = take(class);
			while (i)
				give(p[--i], class);
			tcache.ticks = 0; /* no look at what lies idle */
		}
	for (class = 1; class < FIRST_RUN_CLASS; class ++)
		bytes += (tcache.cap[class] - size_classes.first_cap[class]) * class_size(class);
	check_lists();
	return bytes;
}

/* The bytes that a list has room for, after all that it may cache came and went often. */
static size_t grown(unsigned int class)
{
	static void *p[4096];
	int i, round;

	for (round = 0; round < 10; round++) {
		for (i = 0; i < (int)ARRAY_SIZE(p); i++)
			p[i] = take(class);
		while (i)
			give(p[--i], class);
	}
	return tcache.cap[class] * class_size(class);
}

/* All lists of one of several threads share its part of the room, those of small objects, too. */
static void room_of_several(void)
{
	unsigned int class = size_to_class(64);
	size_t bytes;

	start();
	give(take(1), 1);
	nr_heap_threads += 7;
	bytes = held_beyond_first();
	/* Small lists may have a page's worth anyway. */
	must(bytes > 64 * KiB && bytes <= 256 * KiB, "one of 8: %zu KiB", bytes / KiB);
	tcache_look(&tcache);
	tcache_look(&tcache); /* all are idle */
	must(!tcache.more_shared && !tcache.more_small);
	bytes = grown(class);
	must(bytes > 8 * KiB && bytes <= 17 * KiB, "one list: %zu bytes", bytes);
	/* Of a large heap it is more. */
	arena_stats.used += 128;
	bytes = grown(class);
	must(bytes > 32 * KiB, "one list where much is in use: %zu bytes", bytes);
	arena_stats.used -= 128;
	tcache_flush();
	nr_heap_threads -= 7;
}

/* Slow calls that it takes to free and take so many in turn, a hundred times. */
static unsigned int slow_calls(void **p, unsigned int nr, unsigned int class)
{
	unsigned int i, round, before = tcache.ticks;

	for (round = 0; round < 100; round++) {
		for (i = 0; i < nr; i++)
			give(p[i], class);
		while (i)
			p[--i] = take(class);
	}
	return tcache.ticks - before;
}

static void must_hold(unsigned int class, unsigned int in_list, unsigned int in_spare)
{
	must(length(tcache.head[class]) == in_list && length(tcache.spare[class]) == in_spare, "%u and %u",
	     length(tcache.head[class]), length(tcache.spare[class]));
	must(tcache.cap[class] == (in_spare ? 1 : 2), "cap %u", tcache.cap[class]);
	check_lists();
}

/* Where a list that runs dry may not grow, it holds what it and a spare would. */
static void room_of_a_spare(void)
{
	const unsigned int class = size_to_class(4096), other = class + 1;
	unsigned int i, nr;
	void *p[4];

	start();
	nr_heap_threads += 1000;
	for (i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = take(class);
	must(tcache.cap[class] == 1);
	give(p[0], class);
	give(p[1], class);
	must_hold(class, 2, 0);
	p[1] = take(class);
	p[0] = take(class);
	nr = slow_calls(p, 2, class);
	must(!nr, "%u slow calls", nr);
	/* One that only overflows has a spare. */
	for (i = 0; i < 3; i++)
		give(p[i], class);
	must_hold(class, 1, 1);
	for (i = 0; i < 3; i++)
		p[i] = take(class);
	/* One that ran dry keeps its room, and what was freed first goes home. */
	give(p[0], class);
	give(p[1], class);
	must_hold(class, 2, 0);
	for (i = 0; i < 3; i++)
		p[i] = take(class);
	for (i = 0; i < 3; i++)
		give(p[i], class);
	must_hold(class, 2, 0);
	must(take(class) == p[2] && take(class) == p[1]);
	give(p[1], class);
	tcache_look(&tcache);
	tcache_look(&tcache); /* it is idle */
	must(!tcache.head[class] && tcache.cap[class] == 1 && tcache.room[class] == 1);
	/* One that was made shorter before, and has its length again. */
	for (i = 0; i < 2; i++)
		p[i] = take(class);
	for (i = 0; i < 2; i++)
		give(p[i], class);
	must_hold(class, 2, 0);
	tcache.usual_cap[class] = 4;
	for (i = 0; i < 3; i++)
		take(class);
	must(tcache.cap[class] == 4 && !tcache.spare_nr[class], "cap %u, %u of it a spare's", tcache.cap[class],
	     tcache.spare_nr[class]);
	nr_heap_threads -= 1000;
	/* One of a thread that is alone has a spare. */
	tcache.more_shared += 2 * MiB;
	for (i = 0; i < 3; i++)
		p[i] = take(other);
	give(p[0], other);
	give(p[1], other);
	must_hold(other, 1, 1);
	tcache.more_shared -= 2 * MiB;
}

/* Lists that are closed and opened again have no such room. */
static void room_of_a_spare_closed(void)
{
	const unsigned int class = size_to_class(4096);
	void *p[3];
	unsigned int i;

	start();
	nr_heap_threads += 1000;
	for (i = 0; i < 3; i++)
		p[i] = take(class);
	give(p[0], class);
	give(p[1], class);
	must_hold(class, 2, 0);
	take(class);
	take(class);
	failslab_enabled = true;
	tcache_follow_failslab(&tcache);
	failslab_enabled = false;
	tcache_follow_failslab(&tcache);
	must(tcache.state == TCACHE_ACTIVE && tcache.cap[class] == 1, "room for %u", tcache.cap[class]);
	give(p[2], class);
	tcache_flush();
	must(tcache.cap[class] == 1, "room for %u", tcache.cap[class]);
	nr_heap_threads -= 1000;
}

/* Takes and frees a little more than its list holds, so that this runs dry and overflows, and ends. */
static void *outgrow_list(void *cap)
{
	static void *p[4096];
	const unsigned int class = size_to_class(2048);
	unsigned int round, i, nr;

	for (round = 0; round < 6; round++) {
		nr = tcache.cap[class] + 2U;
		for (i = 0; i < nr; i++)
			p[i] = take(class);
		while (i)
			give(p[--i], class);
	}
	*(unsigned int *)cap = tcache.cap[class];
	tcache_exit();
	return NULL;
}

/* Who takes what such a list has left has no longer list than it was without the spare's room. */
static void room_of_a_spare_left(void)
{
	unsigned int i, first = 0, cap = 0;
	pthread_t thread;

	start();
	for (i = 0; i < 1000; i++) /* the class is not mostly free */
		take(size_to_class(2048));
	tunables.dirty_decay = 3600000;
	nr_heap_threads += 63;
	for (i = 0; i < 40; i++) {
		must(!pthread_create(&thread, NULL, outgrow_list, &cap));
		must(!pthread_join(thread, NULL));
		first = i ? first : cap;
	}
	must(first && cap <= first * 2, "lists of %u at first, of %u in the end", first, cap);
	nr_heap_threads -= 63;
}

/* Magazines of such threads, one after the other; there is nothing else at first. */
static unsigned long left_by(size_t bytes)
{
	mm_trim(0);
	slab_reclaim();
	dirty_after(bytes);
	return in_magazines();
}

/* Magazines stay while little is dirty: an eighth of what the next thread may find, which is no more than once was
 * used. */
static void ends_with_little(void)
{
	start();
	tunables.kswapd = KSWAPD_OFF;
	give(take(1), 1);
	tunables.dirty_decay = 3600000;
	tunables.dirty_max = 16 * MiB;
	dirty_after(0);
	must(arena_stats.used_peak << PAGEBLOCK_SHIFT <= 4 * MiB && !left_by(1 * MiB),
	     "left where little was ever used");
	dirty_after(20 * MiB);
	must(left_by(1 * MiB) && !left_by(4 * MiB));
}

/* When one thread is left the background's is told to look whether it is wanted. */
static void last_but_one(void)
{
	uint32_t *wakeups, before;

	start();
	wakeups = &NODE_DATA(0)->kswapd_wakeups;
	give(take(1), 1);
	nr_heap_threads++;
	before = *wakeups;
	dirty_after(0);
	must(*wakeups == before, "there are others");
	nr_heap_threads--;
	dirty_after(0);
	must(*wakeups == before + 1);
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

int main(void)
{
	model_init();
	run_case("a thread's end leaves nothing behind", exits);
	run_case("a thread's lists are left to the next", lists_left);
	run_case("all of them, unless they keep what is free", some_left);
	run_case("the child of a fork has the homes of others", forks);
	run_case("threads that end one after the other leave as much as was in use", ends_in_a_row);
	run_case("or what they missed, within bounds", ends_that_miss);
	run_case("of pages, too", ends_that_miss_pages);
	run_case("or their lists, where little is dirty", ends_with_little);
	run_case("lists of runs of many threads hold less", runs_of_many);
	run_case("and what others took is not kept in them", runs_of_others);
	run_case("lists of one of several threads share its part of the room", room_of_several);
	run_case("a list that may not grow has its spare's room", room_of_a_spare);
	run_case("not when lists have been closed", room_of_a_spare_closed);
	run_case("nor does it leave it to others", room_of_a_spare_left);
	run_case("the last but one tells kswapd", last_but_one);
	run_case("after its end a thread is served without lists", after_exit);
	run_case("threads exchange blocks", threads_exchange);
	return done_testing();
}
