/* SPDX-License-Identifier: MIT */
/*
 * oom: how long the one who is to end waits to be told. To be run under the library (LD_PRELOAD), with no limit of its
 * own.
 *
 * oom [-t THREADS] [-r ROUNDS] [-l MIB] [-s SIZE]: so many threads (8), each inside an owner of its own, allocate
 * blocks of SIZE bytes (200) under `limit:` MIB (256) until the limit is hit. What counts is the time from the
 * beginning of the malloc on which the victim's callback is called to that call, which sets a flag; the victim frees
 * all it has, and another round begins. Of ROUNDS (21) it prints the median, the 95th percentile and the largest; and
 * what part of each the thread was ready to run and had no CPU, as /proc/thread-self/schedstat says, and what is left.
 * Then the same for the malloc that has lasted longest then, which may be that of a thread that has no CPU; and from the
 * callback until the thread that asked has its memory.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
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

static struct eater {
	pthread_t thread;
	bm_owner_t *owner;
	_Atomic(long) began; /* ns: its malloc; 0: it is not in one */
	atomic_int cancelled;
	void **chain;
	char line[64];
} eaters[MAX_THREADS];

static int nr_threads = 8, nr_rounds = 21;
static size_t block_size = 200;
static atomic_int stop, nr_told;
static long told_after[MAX_ROUNDS], no_cpu[MAX_ROUNDS], the_rest[MAX_ROUNDS], longest_of[MAX_ROUNDS],
	on_after[MAX_ROUNDS];
/* Of the thread that asked. */
static __thread int round_here = -1, schedstat = -1;
static __thread long told_at, delayed_before;
static __thread struct eater *self;

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

/* On a thread that waits for memory; for one victim at a time. */
static int cancel(bm_owner_t *owner, void *arg)
{
	struct eater *e = arg;
	long now = now_ns(), delayed = delayed_ns() - delayed_before, longest = 0;
	int i, nr = atomic_load(&nr_told);

	(void)owner;
	for (i = 0; i < nr_threads; i++) {
		long began = atomic_load(&eaters[i].began);

		if (began && now - began > longest)
			longest = now - began;
	}
	if (nr < nr_rounds) {
		told_after[nr] = now - atomic_load(&self->began);
		no_cpu[nr] = delayed;
		the_rest[nr] = told_after[nr] - delayed;
		longest_of[nr] = longest;
		told_at = now;
		round_here = nr;
		atomic_store(&nr_told, nr + 1);
	}
	atomic_store(&e->cancelled, 1);
	return 0;
}

static void drop(struct eater *e)
{
	void **block;

	for (; (block = e->chain); free(block))
		e->chain = *block;
}

static void *eat(void *arg)
{
	struct eater *e = arg;

	self = e;
	schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	owner_enter(e->owner);
	while (!atomic_load(&stop)) {
		void **block;

		if (atomic_exchange(&e->cancelled, 0))
			drop(e);
		atomic_store(&e->began, now_ns());
		delayed_before = delayed_ns();
		block = malloc(block_size);
		atomic_store(&e->began, 0);
		if (round_here >= 0) {
			on_after[round_here] = now_ns() - told_at;
			if (round_here == nr_rounds - 1)
				atomic_store(&stop, 1);
			round_here = -1;
		}
		if (!block)
			continue; /* it is the victim */
		memset(block, 1, block_size);
		*block = e->chain;
		e->chain = block;
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
	printf("%-44s median %8.3f ms, 95 %% %8.3f ms, largest %8.3f ms\n", what, (double)ns[nr_rounds / 2] / 1e6,
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
	snprintf(limit, sizeof(limit), "%sm", mib);
	if (ctl_set("limit", limit))
		die("cannot set the limit");
	for (i = 0; i < nr_threads; i++)
		start(i);
	for (i = 0; i < nr_threads; i++)
		pthread_join(eaters[i].thread, NULL);
	printf("%d threads, blocks of %zu bytes, limit %s MiB, %d rounds\n", nr_threads, block_size, mib, nr_rounds);
	show("from the limit to the victim's callback", told_after);
	show("  of that, ready to run and without a CPU", no_cpu);
	show("  of that, everything else", the_rest);
	show("the same for the malloc that lasts longest", longest_of);
	show("from there until the thread has its memory", on_after);
	return 0;
}
