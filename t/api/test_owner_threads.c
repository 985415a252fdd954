/* SPDX-License-Identifier: MIT */
/*
 * Named owners and threads: that end, that are inside when it is to be destroyed, that fork, and many at once.
 */
#include <fcntl.h>
#include <pthread.h>

#include "owner.h"

/* Run by a thread of its own. */
static void *run(void *(*fn)(void *), void *arg)
{
	pthread_t t;
	void *ret;

	if (pthread_create(&t, NULL, fn, arg) || pthread_join(t, &ret))
		bail_out("no thread");
	return ret;
}

/* Not as the last thing a thread does: that would be a jump, and libc the caller. */
static void *allocate_inside(void *arg)
{
	char *p;

	bm_owner_enter(arg);
	p = malloc(1000);
	p[0] = 1;
	return p;
}

static void *free_it(void *arg)
{
	free(arg);
	return NULL;
}

static void *grow_it(void *arg)
{
	return realloc(arg, 300000);
}

static pthread_key_t key;
static void enter_again(void *arg)
{
	bm_owner_enter(arg);
	free(malloc(50));
}

static void *end_with_destructor(void *arg)
{
	pthread_setspecific(key, arg);
	bm_owner_enter(arg);
	return malloc(10);
}

static void threads_that_end(void)
{
	bm_owner_t *owner = make("threads");
	void *p;

	p = run(allocate_inside, owner);
	want(bm_owner_usage(owner) >= PAGE, "what a thread that ended allocated");
	p = run(grow_it, p);
	want(bm_owner_usage(owner) >= 300000, "made larger by another");
	run(free_it, p);
	want(bm_owner_usage(owner) == 0, "freed by another: %zu", bm_owner_usage(owner));
	run(allocate_inside, owner);
	want(bm_owner_destroy(owner) == 0, "a thread that ends leaves");
	owner = make("destructors");
	pthread_key_create(&key, enter_again);
	run(end_with_destructor, owner);
	want(bm_owner_destroy(owner) == 0, "also one whose destructors enter again");
	pthread_key_delete(key);
	verdict("threads that end, and blocks that stay");
}

static pthread_barrier_t barrier;
static void *stay_inside(void *arg)
{
	bm_owner_enter(arg);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	bm_owner_enter(NULL);
	return NULL;
}

static void busy(void)
{
	bm_owner_t *owner = make("busy");
	pthread_t t;
	int status = -1;
	pid_t pid;

	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&t, NULL, stay_inside, owner);
	pthread_barrier_wait(&barrier);
	want(bm_owner_destroy(owner) == -EBUSY, "a thread is inside");
	pid = fork();
	if (!pid)
		_exit(bm_owner_destroy(owner) == 0 ? 0 : 1);
	want(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "but it is not in the child: %#x", status);
	pthread_barrier_wait(&barrier);
	pthread_join(t, NULL);
	want(bm_owner_destroy(owner) == 0, "nobody any more");
	verdict("no destroying while a thread is inside");
}

static void forked(void)
{
	bm_owner_t *owner = make("forked");
	int status = -1;
	char *p;
	pid_t pid;

	bm_owner_enter(owner);
	p = malloc(5000);
	strcpy(p, "parent's");
	pid = fork();
	if (!pid) {
		bool good = bm_owner_destroy(owner) == -EBUSY && !strcmp(p, "parent's");
		size_t before = bm_owner_usage(owner);
		char *q = malloc(100000);

		good = good && bm_owner_usage(owner) >= before + 100000;
		p = realloc(p, 50000);
		free(q);
		good = good && bm_owner_enter(NULL) == owner && bm_owner_destroy(owner) == 0;
		_exit(good ? 0 : 1);
	}
	want(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "child: %#x", status);
	want(!strcmp(p, "parent's") && bm_owner_usage(owner) >= 2 * PAGE, "the parent has its own");
	want(bm_owner_enter(NULL) == owner && bm_owner_destroy(owner) == 0, "destroy");
	verdict("fork inside of an owner");
}

static bm_owner_t *shared_owner;
static void *work(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg, n = api_slow() ? 300 : 3000, i;
	void *p[16] = { NULL };

	for (i = 0; i < n; i++) {
		bm_owner_t *own = make("request");
		unsigned int k;

		bm_owner_enter(own);
		for (k = 0; k < 16; k++)
			p[k] = block_of_kind(k, (size_t)rand_r(&seed) % 3000 + 1);
		bm_owner_enter(shared_owner);
		free(p[3]);
		p[3] = malloc(100);
		bm_owner_enter(NULL);
		free(p[5]);
		p[6] = realloc(p[6], 10000);
		free(p[3]);
		free(malloc(200));
		if (bm_owner_destroy(own))
			return own;
	}
	return NULL;
}

/* Reports walk over owners that come and go. */
static int working;
static void *watch(void *arg)
{
	int null = open("/dev/null", O_WRONLY);

	do {
		if (bm_stats_print(null, "owners"))
			return arg;
	} while (__atomic_load_n(&working, __ATOMIC_RELAXED));
	close(null);
	return NULL;
}

static void threads(void)
{
	pthread_t t[4], watcher;
	void *err;
	uintptr_t i;

	shared_owner = make("shared");
	working = 1;
	want(!pthread_create(&watcher, NULL, watch, &working), "thread");
	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, work, (void *)(i + 1));
	for (i = 0; i < 4; i++)
		want(!pthread_join(t[i], &err) && !err, "destroy");
	__atomic_store_n(&working, 0, __ATOMIC_RELAXED);
	want(!pthread_join(watcher, &err) && !err, "a report");
	want(bm_owner_usage(shared_owner) == 0, "%zu left", bm_owner_usage(shared_owner));
	want(bm_owner_destroy(shared_owner) == 0, "destroy");
	verdict("four threads, each with owners, and one that they share; reports meanwhile");
}

int main(void)
{
	api_prove_served();
	if (api_under_valgrind())
		skip_all("under memcheck every block has pages of memcheck's heap, and none an owner");
	threads_that_end();
	busy();
	forked();
	threads();
	return done_testing();
}
