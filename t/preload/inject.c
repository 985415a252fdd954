/* SPDX-License-Identifier: MIT */
/*
 * Allocates in ways that want every memory call of the library, also in a thread, and takes NULL for an answer. Any
 * other sign of trouble is exit status 3: a NULL without ENOMEM, contents lost. Says whether something failed.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOTS 64

static int refused;

static void *checked(void *p)
{
	if (p)
		return p;
	if (errno != ENOMEM)
		exit(3);
	refused = 1;
	return NULL;
}

static void mixed(char **block)
{
	static const size_t sizes[] = { 10, 100, 1000, 10000, 100000, 1000000, 3000000, 40000000 };
	size_t i;

	for (i = 0; i < 400; i++) {
		char **p = &block[i * 7 % SLOTS];
		size_t size = sizes[i % 8] + i;

		if (*p && **p != (char)(i * 7 % SLOTS))
			exit(3);
		free(*p);
		errno = 0;
		*p = checked(i % 3 ? malloc(size) : i % 2 ? calloc(1, size) : memalign(4096, size));
		if (*p)
			**p = (*p)[size - 1] = (char)(i * 7 % SLOTS);
	}
	for (i = 0; i < SLOTS; i++)
		free(block[i]);
	memset(block, 0, SLOTS * sizeof(*block));
}

/* Grows and shrinks blocks large enough to be moved by mremap; a refused one keeps its contents. */
static void resized(void)
{
	size_t size = 100000, next;
	char *p = checked(malloc(size)), *q;

	if (!p)
		return;
	p[0] = 1;
	for (next = size * 3 / 2; next < 200000000; next = next * 3 / 2) {
		errno = 0;
		q = checked(realloc(p, next));
		if (!q)
			break;
		p = q;
		if (p[0] != 1)
			exit(3);
		p[next - 1] = 1;
		size = next;
	}
	errno = 0;
	q = checked(realloc(p, size / 3));
	p = q ? q : p;
	if (p[0] != 1)
		exit(3);
	free(p);
}

static void *thread_main(void *arg)
{
	char *block[SLOTS] = { NULL };

	(void)arg;
	mixed(block);
	return NULL;
}

int main(void)
{
	char *block[SLOTS] = { NULL };
	pthread_t thread;

	errno = 0;
	mixed(block);
	resized();
	if (pthread_create(&thread, NULL, thread_main, NULL))
		refused = 1;
	else
		pthread_join(thread, NULL);
	malloc_trim(0);
	resized();
	if (write(1, refused ? "ENOMEM\n" : "worked\n", 7) != 7)
		return 1;
	return 0;
}
