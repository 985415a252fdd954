/* SPDX-License-Identifier: MIT */
/*
 * Threads that each allocate 1 MB in mixed sizes, free it and exit: after 50 to warm up, a thousand more must leave
 * resident memory where it was within 10 %. Ten live at once, or as many as the argument says, and all hold their
 * memory before one of them frees any, so that the peak is the same in each run. Prints "kept", or both figures.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resident.h"

#define AT_ONCE_MOST 10
#define BYTES 1000000

static pthread_barrier_t full;
static size_t at_once = AT_ONCE_MOST;

static void *thread_main(void *arg)
{
	static const size_t sizes[] = { 16, 48, 130, 500, 2000, 9000, 40000, 150000 };
	char *block[2000];
	size_t n = 0, sum = 0, i = (size_t)arg;

	while (sum < BYTES && n < 2000) {
		size_t size = sizes[(i = i * 25173 + 13849) >> 8 & 7];

		block[n] = malloc(size);
		if (!block[n])
			abort();
		memset(block[n++], 1, size);
		sum += size;
	}
	pthread_barrier_wait(&full);
	while (n > 0)
		free(block[--n]);
	return NULL;
}

static void run_threads(size_t count)
{
	pthread_t thread[AT_ONCE_MOST];
	size_t i, wave;

	for (wave = 0; wave < count / at_once; wave++) {
		for (i = 0; i < at_once; i++)
			if (pthread_create(&thread[i], NULL, thread_main, (void *)(wave * at_once + i)))
				abort();
		for (i = 0; i < at_once; i++)
			pthread_join(thread[i], NULL);
	}
}

int main(int argc, char **argv)
{
	long before, after;

	if (argc > 1)
		at_once = strtoul(argv[1], NULL, 10);
	if (!at_once || at_once > AT_ONCE_MOST)
		return 2;
	pthread_barrier_init(&full, NULL, (unsigned int)at_once);
	run_threads(50);
	resident_kb(); /* touches pages of libc that would else be counted as left behind by threads */
	before = resident_kb();
	run_threads(1000);
	after = resident_kb();
	if (after * 10 <= before * 11)
		puts("kept");
	else
		printf("%ld kB before, %ld kB after\n", before, after);
	return 0;
}
