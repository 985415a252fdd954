/* SPDX-License-Identifier: MIT */
/*
 * idle: a program with two threads that wait, whose first one fills 64 MiB with blocks and frees all of it, every
 * second one first, four times, and then does little; or, with "once", once, whereupon one of the others ends; or, with
 * "alone", without the others, until there is a kswapd0 or the time is over. Prints "given back" when all but 5 MiB is,
 * or how much is resident beyond what was at first, after so many seconds as its argument says; then "alone" when it
 * has one thread again once the others have ended.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/threads.h"
#include "resident.h"

#define BYTES (64UL << 20)
#define SIZE 20000
#define KEPT_KB 5120

static void *wait_for_end(void *arg)
{
	pthread_barrier_t *barrier = arg;
	void *volatile block = malloc(100);

	free(block);
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	return NULL;
}

/* It has allocated when this returns, and waits. */
static pthread_t start_waiter(pthread_barrier_t *barrier)
{
	pthread_t thread;

	pthread_barrier_init(barrier, NULL, 2);
	if (pthread_create(&thread, NULL, wait_for_end, barrier))
		exit(1);
	pthread_barrier_wait(barrier);
	return thread;
}

static void end_waiter(pthread_barrier_t *barrier, pthread_t thread)
{
	pthread_barrier_wait(barrier);
	pthread_join(thread, NULL);
}

static void rush_hour(void)
{
	static char *block[BYTES / SIZE];
	size_t n = BYTES / SIZE, i;

	for (i = 0; i < n; i++)
		if (!(block[i] = malloc(SIZE)) || !memset(block[i], 1, SIZE))
			exit(1);
	for (i = 0; i < n; i += 2)
		free(block[i]);
	for (i = 1; i < n; i += 2)
		free(block[i]);
}

static void wait_until_given_back(long before, int tenths)
{
	long more;

	while ((more = resident_kb() - before) > KEPT_KB && tenths-- > 0)
		usleep(100000);
	if (more <= KEPT_KB)
		puts("given back");
	else
		printf("%ld kB more\n", more);
}

static int alone(int tenths)
{
	long before = resident_kb();

	do {
		rush_hour();
		usleep(100000);
	} while (threads_named("kswapd0", NULL) != 1 && tenths-- > 0);
	wait_until_given_back(before, tenths);
	return 0;
}

int main(int argc, char **argv)
{
	int i, tenths = argc > 1 ? atoi(argv[1]) * 10 : 100;
	bool once = argc > 2 && !strcmp(argv[2], "once");
	pthread_barrier_t last, other;
	pthread_t thread, third;
	long before;

	if (argc > 2 && !once)
		return alone(tenths);
	thread = start_waiter(&last);
	third = start_waiter(&other);
	before = resident_kb();
	for (i = 0; i < (once ? 1 : 4); i++)
		rush_hour();
	if (once)
		end_waiter(&other, third);
	wait_until_given_back(before, tenths);
	if (!once)
		end_waiter(&other, third);
	end_waiter(&last, thread);
	for (i = 0; i < 2000 && threads_named("", NULL) > 1; i++)
		usleep(10000);
	puts(threads_named("", NULL) == 1 ? "alone" : "not alone");
	return 0;
}
