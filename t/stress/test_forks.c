/* SPDX-License-Identifier: MIT */
/*
 * Fork storms: threads fork while others allocate. The child checks and frees what it inherited from all threads,
 * allocates, forks once more, and exits. A lock that a thread held which the child does not have would stop it for
 * ever; an alarm then ends it, as a failure.
 */
#include <signal.h>
#include <sys/wait.h>

#include "stress.h"

#define NR_FORKERS 3
#define NR_NOISY 3
#define NR_INHERITED 200
#define CHILD_SECONDS 120 /* far beyond any child that is not stuck */

static struct block inherited[NR_FORKERS][NR_INHERITED];
static size_t children, broken;
static bool stop;

static void allocate_for_a_while(struct random *r, size_t steps)
{
	struct block block[100] = { { NULL, 0 } };
	size_t i, slot;

	for (i = 0; i < steps; i++) {
		slot = random_below(r, 100);
		if (block[slot].addr)
			block_put(&block[slot], "among forks");
		else
			block_get(&block[slot], random_size(r, slot % 20 ? 13 : 21), r);
	}
	for (slot = 0; slot < 100; slot++)
		if (block[slot].addr)
			block_put(&block[slot], "among forks");
}

static void *noisy(void *arg)
{
	struct random r = random_of(500 + (uintptr_t)arg);

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		allocate_for_a_while(&r, 500);
	return NULL;
}

/* Nothing here may use stdio's locks or report by TAP: a block that is damaged ends it with another status. */
static void child(struct random *r, size_t self, int depth)
{
	size_t i, n;

	alarm(CHILD_SECONDS);
	for (n = 0; n < NR_FORKERS; n++) {
		for (i = 0; i < NR_INHERITED; i++) {
			struct block *b = &inherited[n][i];

			/* Another thread's may have been half written when we were forked. */
			if (n == self && (!b->addr || !pattern_intact(b->addr, b->size)))
				_exit(3);
			if (n == self && i % 2)
				free(b->addr);
			else if (n == self)
				b->addr = realloc(b->addr, b->size * 2);
		}
	}
	allocate_for_a_while(r, 300);
	malloc_trim(0);
	if (!depth) {
		pid_t pid = fork();
		int status = 1;

		if (!pid) {
			allocate_for_a_while(r, 100);
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			_exit(4);
	}
	_exit(0);
}

static void reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		bail_out("waitpid: %s", strerror(errno));
	__atomic_add_fetch(&children, 1, __ATOMIC_RELAXED);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		bail_out("a child of fork is stuck (SEED=%llu)", (unsigned long long)stress_seed);
	if (status) {
		__atomic_add_fetch(&broken, 1, __ATOMIC_RELAXED);
		diag("a child ended with status %#x", status);
	}
}

static void *forker(void *arg)
{
	size_t self = (uintptr_t)arg, i, nr, forks = scaled(150);
	struct random r = random_of(400 + self);
	pid_t pid[4];

	while (forks) {
		for (i = 0; i < NR_INHERITED; i++) {
			if (inherited[self][i].addr)
				block_put(&inherited[self][i], "after forks");
			block_get(&inherited[self][i], random_size(&r, i % 50 ? 14 : 21), &r);
		}
		for (nr = 0; nr < 4 && forks; nr++, forks--) {
			pid[nr] = fork();
			if (!pid[nr])
				child(&r, self, (int)(nr % 2));
			if (pid[nr] < 0)
				bail_out("fork: %s", strerror(errno));
			random_next(&r);
		}
		while (nr)
			reap(pid[--nr]);
	}
	for (i = 0; i < NR_INHERITED; i++)
		block_put(&inherited[self][i], "at the end");
	return NULL;
}

/* The parent itself may hang in fork: then the alarm ends the test, which has not run as many as it planned. */
int main(void)
{
	pthread_t thread[NR_NOISY];
	size_t i, before;

	stress_begin(3);
	alarm(10 * CHILD_SECONDS);
	before = api_in_use();
	for (i = 0; i < NR_NOISY; i++)
		thread[i] = thread_start(noisy, (void *)i);
	threads_run(NR_FORKERS, forker);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < NR_NOISY; i++)
		pthread_join(thread[i], NULL);
	is_int(children, NR_FORKERS * scaled(150), "every child was forked, and the parent goes on");
	is_int(broken, 0, "every child finds what it inherited, and ends well");
	if (!ok(api_in_use() < before + 256 * KIB, "nothing is left in use"))
		diag("%zu bytes before, %zu after", before, api_in_use());
	return tap_exit();
}
