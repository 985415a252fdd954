/* SPDX-License-Identifier: MIT */
/*
 * The ways out of a process, by the first argument, each with other threads inside malloc and with handlers that
 * allocate and free. What the handlers do is said on stdout.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *early;

static void say(const char *text)
{
	ssize_t written = write(1, text, strlen(text));

	(void)written;
}

static void churn(void)
{
	static const size_t sizes[] = { 1, 100, 5000, 100000, 2000000 };
	size_t i;

	for (i = 0; i < 50; i++) {
		char *p = malloc(sizes[i % 5]);

		p[0] = 1;
		p = realloc(p, sizes[(i + 1) % 5]);
		free(p);
	}
}

static void *busy(void *arg)
{
	for (;;)
		churn();
	return arg;
}

static void at_exit(void)
{
	churn();
	free(early);
	early = NULL;
	say("atexit handler\n");
}

static void at_quick(void)
{
	churn();
	say("at_quick_exit handler\n");
}

static void on_abort(int sig)
{
	(void)sig;
	say("SIGABRT handler\n");
}

static __attribute__((destructor)) void last(void)
{
	churn();
	say("destructor\n");
}

static void *leaver(void *arg)
{
	churn();
	exit(arg != NULL);
}

static void *late(void *arg)
{
	pthread_join(*(pthread_t *)arg, NULL);
	churn();
	say("main thread is gone\n");
	return NULL;
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "return";
	pthread_t thread, self = pthread_self();
	int i;

	alarm(600);
	early = malloc(1000);
	atexit(at_exit);
	at_quick_exit(at_quick);
	for (i = 0; i < 3 && strcmp(how, "pthread_exit"); i++)
		pthread_create(&thread, NULL, busy, NULL);
	churn();
	if (!strcmp(how, "_exit"))
		_exit(3);
	if (!strcmp(how, "quick_exit"))
		quick_exit(4);
	if (!strcmp(how, "abort")) {
		signal(SIGABRT, on_abort);
		abort();
	}
	if (!strcmp(how, "thread")) {
		pthread_create(&thread, NULL, leaver, NULL);
		for (;;)
			churn();
	}
	if (!strcmp(how, "pthread_exit")) {
		pthread_create(&thread, NULL, late, &self);
		pthread_exit(NULL);
	}
	return 0;
}
