/* SPDX-License-Identifier: MIT */
/*
 * oom: how long the one who is to end waits to be told. To be run under the library (LD_PRELOAD), with no limit of its
 * own.
 *
 * oom [-t THREADS] [-r ROUNDS] [-l MIB] [-s SIZE]: so many threads (8), each inside an owner of its own, allocate
 * blocks of SIZE bytes (200) under `limit:` MIB (256) until the limit is hit and an owner is called back; the victim
 * frees all it has, and when everybody has the memory that he asked for, the next of ROUNDS (21) begins.
 *
 * A thread has met the limit when a shrinker of ours is asked on it, which is when the library had nothing left itself;
 * that counts from where its malloc began, or another thread last came to a new page, whichever was later: who lost
 * his CPU on the way into malloc has met nothing yet. Printed are the median, the 95th percentile and the largest: from
 * when the first thread has met it and none comes to a new page any more, to the callback; from when the one has met it
 * that the callback runs on; what part of the latter that one was ready to run and had no CPU, as
 * /proc/thread-self/schedstat says, and what is left; from the first thread that has met it and waits since, while
 * others may still come to pages; and from the callback until the one that it runs on has its memory.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "buddymalloc.h"

#define MAX_THREADS 64
#define MAX_ROUNDS 1001

static bm_owner_t *(*owner_create)(const struct bm_owner_attr *attr);
static bm_owner_t *(*owner_enter)(bm_owner_t *owner);
static int (*ctl_set)(const char *name, const char *value);
static bm_shrinker_t *(*shrinker_register)(const char *name, const struct bm_shrinker_ops *ops, void *arg, int seeks);

static struct eater {
	pthread_t thread;
	bm_owner_t *owner;
	_Atomic(long) grew; /* ns: when it last came to a new page */
	_Atomic(long) met;  /* ns: when it met the limit; 0: it has not */
	bool cancelled;
	void **chain;
} eaters[MAX_THREADS];

static int nr_threads = 8, nr_rounds = 21;
static size_t block_size = 200;
static pthread_barrier_t all_here;
static atomic_int nr_told; /* victims, one each round */
static long met_by_all[MAX_ROUNDS], told_after[MAX_ROUNDS], no_cpu[MAX_ROUNDS], the_rest[MAX_ROUNDS],
	first_met[MAX_ROUNDS], on_after[MAX_ROUNDS];
/* Of the thread that asks. */
static __thread struct eater *self;
static __thread int schedstat = -1;
static __thread long began, delayed_before, told_at;

static void die(const char *what)
{
	fprintf(stderr, "oom: %s\n", what);
	exit(2);
}

static void *symbol(const char *name)
{
	void *p = dlsym(RTLD_DEFAULT, name);

	if (!p) {
		fprintf(stderr, "oom: no %s here: run it with LD_PRELOAD=.../libbuddymalloc.so\n", name);
		exit(2);
	}
	return p;
}

static long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000L + ts.tv_nsec;
}

/* ns that this thread could have run, and had no CPU; 0 where the system does not say. */
static long delayed_ns(void)
{
	char text[96], *p = text;
	ssize_t len = pread(schedstat, text, sizeof(text) - 1, 0);

	if (len <= 0)
		return 0;
	text[len] = '\0';
	strtol(p, &p, 10);
	return strtol(p, NULL, 10);
}

/* When a thread last came to a new page, if that was after then. */
static long last_growth(long then)
{
	int i;

	for (i = 0; i < nr_threads; i++) {
		long grew = atomic_load(&eaters[i].grew);

		then = grew > then ? grew : then;
	}
	return then;
}

static unsigned long meet_limit(void *arg, struct bm_shrink_control *sc)
{
	(void)arg;
	(void)sc;
	/* kswapd asks, too. */
	if (!self || atomic_load(&self->met))
		return BM_SHRINK_EMPTY;
	delayed_before = delayed_ns();
	atomic_store(&self->met, last_growth(began));
	return BM_SHRINK_EMPTY;
}

/* It has nothing: it is not called. */
static unsigned long free_some(void *arg, struct bm_shrink_control *sc)
{
	(void)arg;
	(void)sc;
	return BM_SHRINK_STOP;
}

/* On a thread that waits for memory; for one victim at a time. */
static int cancel(bm_owner_t *owner, void *arg)
{
	long now = now_ns(), first = atomic_load(&self->met);
	int i, nr = atomic_load(&nr_told);
	struct eater *e = arg;

	(void)owner;
	if (nr == nr_rounds)
		return 0;
	no_cpu[nr] = delayed_ns() - delayed_before;
	told_after[nr] = now - first;
	the_rest[nr] = told_after[nr] - no_cpu[nr];
	for (i = 0; i < nr_threads; i++) {
		long met = atomic_load(&eaters[i].met);

		first = met && met < first ? met : first;
	}
	first_met[nr] = now - first;
	met_by_all[nr] = now - last_growth(first);
	told_at = now;
	e->cancelled = true;
	atomic_store(&nr_told, nr + 1);
	return 0;
}

static void eat_one(struct eater *e, int round)
{
	void **block;

	began = now_ns();
	block = malloc(block_size);
	atomic_store(&e->met, 0);
	if (told_at) {
		on_after[round] = now_ns() - told_at;
		told_at = 0;
	}
	if (!block)
		return; /* it is the victim */
	if (((uintptr_t)block ^ (uintptr_t)e->chain) / 4096)
		atomic_store(&e->grew, now_ns());
	memset(block, 1, block_size);
	*block = e->chain;
	e->chain = block;
}

static void drop(struct eater *e)
{
	void **block;

	for (; (block = e->chain); free(block))
		e->chain = *block;
	e->cancelled = false;
}

static void *eat(void *arg)
{
	struct eater *e = arg;
	int round;

	self = e;
	schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	owner_enter(e->owner);
	for (round = 0; round < nr_rounds; round++) {
		pthread_barrier_wait(&all_here);
		while (atomic_load(&nr_told) == round)
			eat_one(e, round);
		if (e->cancelled)
			drop(e);
	}
	drop(e);
	owner_enter(NULL);
	close(schedstat);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

static void show(const char *what, long *ns)
{
	qsort(ns, (size_t)nr_rounds, sizeof(*ns), compare);
	printf("%-45s median %8.3f ms, 95 %% %8.3f ms, largest %8.3f ms\n", what, (double)ns[nr_rounds / 2] / 1e6,
	       (double)ns[nr_rounds * 95 / 100] / 1e6, (double)ns[nr_rounds - 1] / 1e6);
}

static void start(int i)
{
	struct bm_owner_attr attr = { .abort = cancel, .arg = &eaters[i] };
	char name[16];

	snprintf(name, sizeof(name), "eater-%d", i);
	attr.name = name;
	eaters[i].owner = owner_create(&attr);
	if (!eaters[i].owner || pthread_create(&eaters[i].thread, NULL, eat, &eaters[i]))
		die("cannot start the threads");
}

int main(int argc, char **argv)
{
	static const struct bm_shrinker_ops ops = { .count = meet_limit, .scan = free_some };
	const char *mib = "256";
	char limit[32];
	int opt, i;

	while ((opt = getopt(argc, argv, "t:r:l:s:")) != -1) {
		if (opt == 't')
			nr_threads = atoi(optarg);
		else if (opt == 'r')
			nr_rounds = atoi(optarg);
		else if (opt == 'l')
			mib = optarg;
		else if (opt == 's')
			block_size = (size_t)atol(optarg);
		else
			die("oom [-t THREADS] [-r ROUNDS] [-l MIB] [-s SIZE]");
	}
	if (nr_threads < 2 || nr_threads > MAX_THREADS || nr_rounds < 1 || nr_rounds > MAX_ROUNDS || block_size < 8)
		die("2 to 64 threads, 1 to 1001 rounds, 8 bytes or more");
	*(void **)&owner_create = symbol("bm_owner_create");
	*(void **)&owner_enter = symbol("bm_owner_enter");
	*(void **)&ctl_set = symbol("bm_ctl_set");
	*(void **)&shrinker_register = symbol("bm_shrinker_register");
	snprintf(limit, sizeof(limit), "%sm", mib);
	if (ctl_set("limit", limit) || !shrinker_register("oom", &ops, NULL, 2) ||
	    pthread_barrier_init(&all_here, NULL, (unsigned int)nr_threads))
		die("cannot set the limit");
	for (i = 0; i < nr_threads; i++)
		start(i);
	for (i = 0; i < nr_threads; i++)
		pthread_join(eaters[i].thread, NULL);
	printf("%d threads, blocks of %zu bytes, limit %s MiB, %d rounds\n", nr_threads, block_size, mib, nr_rounds);
	show("from the limit to the victim's callback", met_by_all);
	show("the same for the thread that calls it", told_after);
	show("  of that, ready to run and without a CPU", no_cpu);
	show("  of that, everything else", the_rest);
	show("the same for the first that has met the limit", first_met);
	show("from there until the thread has its memory", on_after);
	return 0;
}
