/* SPDX-License-Identifier: MIT */
/*
 * Detached threads that never allocate. An ending one may free what libc kept for the stacks of others, after its own
 * destructors have run: a library that lists it then keeps a pointer into a stack that goes away.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BURSTS 12
#define DETACHED 60
#define JOINED 30

static void *rest(void *arg)
{
	usleep(2000);
	return arg;
}

static void *work(void *arg)
{
	for (size_t i = 1; i < 300; i++) {
		char *p = malloc(i * 7);

		p[0] = 1;
		free(p);
	}
	return arg;
}

static void burst(size_t stack)
{
	pthread_t thread[JOINED];
	pthread_attr_t attr;
	int i;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, stack);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (i = 0; i < DETACHED; i++)
		if (pthread_create(&thread[0], &attr, rest, NULL))
			abort();
	usleep(30000);
	for (i = 0; i < JOINED; i++)
		if (pthread_create(&thread[i], NULL, work, NULL))
			abort();
	for (i = 0; i < JOINED; i++)
		pthread_join(thread[i], NULL);
}

int main(void)
{
	struct mallinfo2 left;

	for (int i = 0; i < BURSTS; i++)
		burst((size_t)(2 << i % 4) << 20);
	left = mallinfo2();
	if (left.uordblks + left.hblkhd > 64 << 20)
		puts("much is left");
	puts("done");
	return 0;
}
