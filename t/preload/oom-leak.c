/* SPDX-License-Identifier: MIT */
/*
 * oom-leak [handler|returns|blocked|frees]: a program of several threads that knows nothing of owners. One eats memory,
 * most of what there is, and then is busy with something else; another asks for a little more, until somebody is ended.
 * With a handler of SIGABRT that says which thread it runs in, and ends the process, or returns, or frees what the
 * eater has; or SIGABRT blocked.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EATEN (40UL << 20)

static __thread const char *role = "main";
static __thread char *stack_marker;
static atomic_int eaten, asked, freed;
static int eater_tid;
static void **chain;
static const char *mode = "";

/* It may allocate: there is a reserve for it. */
static void on_abort(int sig)
{
	char here, text[200], *note = malloc(100);
	long distance = stack_marker ? stack_marker - &here : -1;
	int len;

	(void)sig;
	len = snprintf(text, sizeof(text), "SIGABRT in the %s, tid %s, stack %s, malloc %s\n", role,
		       (int)syscall(SYS_gettid) == eater_tid ? "right" : "wrong",
		       distance > 0 && distance < 1 << 20 ? "right" : "wrong", note ? "serves" : "fails");
	if (write(1, text, (size_t)len) != len)
		_exit(9);
	if (!strcmp(mode, "handler")) {
		signal(SIGABRT, SIG_DFL);
		raise(SIGABRT);
	}
	if (!strcmp(mode, "frees"))
		atomic_store(&freed, 1);
}

static void **add(void **list, size_t size)
{
	void **block = malloc(size);

	if (!block)
		return NULL;
	memset(block, 1, size);
	*block = list;
	return block;
}

static __attribute__((noinline)) void digest(void)
{
	while (!atomic_load(&freed))
		usleep(1000);
	while (chain) {
		void **next = *chain;

		free(chain);
		chain = next;
	}
	atomic_store(&freed, 2);
}

static __attribute__((noinline)) void eat_memory(void)
{
	char marker = 0;
	size_t had;

	stack_marker = &marker;
	for (had = 0; had < EATEN; had += 500)
		chain = add(chain, 500);
	atomic_store(&eaten, 1);
	digest();
}

static void *eater(void *arg)
{
	sigset_t mask;

	role = "eater";
	eater_tid = (int)syscall(SYS_gettid);
	sigemptyset(&mask);
	sigaddset(&mask, SIGABRT);
	if (!strcmp(mode, "blocked"))
		pthread_sigmask(SIG_BLOCK, &mask, NULL);
	eat_memory();
	return arg;
}

static void *asker(void *arg)
{
	void **list = NULL;
	size_t i;

	role = "asker";
	while (!atomic_load(&eaten))
		usleep(1000);
	for (i = 0; i < 40000; i++) {
		list = add(list, 700);
		if (!list) {
			puts("the asker got NULL");
			exit(4);
		}
	}
	atomic_store(&asked, 1);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t threads[2];

	if (argc > 1)
		mode = argv[1];
	if (!strcmp(mode, "handler") || !strcmp(mode, "returns") || !strcmp(mode, "frees"))
		signal(SIGABRT, on_abort);
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("starts");
	if (pthread_create(&threads[0], NULL, eater, NULL) || pthread_create(&threads[1], NULL, asker, NULL))
		return 3;
	pthread_join(threads[1], NULL);
	pthread_join(threads[0], NULL);
	puts("all had what they wanted");
	return 0;
}
