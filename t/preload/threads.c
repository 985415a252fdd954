/* SPDX-License-Identifier: MIT */
/*
 * Threads that each allocate 1 MB in mixed sizes, free it and exit: after 50 to warm up, a thousand more must leave
 * resident memory where it was within 10 %. Ten live at once, and all ten hold their memory before one of them frees
 * any, so that the peak is the same in each run. Prints "kept", or both figures.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resident.h"

#define AT_ONCE 10
#define BYTES 1000000

static pthread_barrier_t full;

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
	pthread_t thread[AT_ONCE];
	size_t i, wave;

	for (wave = 0; wave < count / AT_ONCE; wave++) {
		for (i = 0; i < AT_ONCE; i++)
			if (pthread_create(&thread[i], NULL, thread_main, (void *)(wave * AT_ONCE + i)))
				abort();
		for (i = 0; i < AT_ONCE; i++)
			pthread_join(thread[i], NULL);
	}
}

int main(void)
{
	long before, after;

	pthread_barrier_init(&full, NULL, AT_ONCE);
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
