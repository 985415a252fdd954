/* SPDX-License-Identifier: MIT */
/*
 * Thread-specific data whose destructors allocate, in every round of destructors, so after any destructor of an
 * allocator's own. Threads by the thousand must still leave nothing behind: prints "leaves nothing", or by how many
 * kB resident memory grew.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS 100
#define WARM 300
#define THREADS 3000
#define LIMIT_KB 4096

static pthread_key_t key[KEYS];

/* Sets its key again, so it runs in all PTHREAD_DESTRUCTOR_ITERATIONS rounds; the last one frees. */
static void destroy(void *arg)
{
	int *round = arg;
	unsigned int k = (unsigned int)round[1];
	char *p;

	if (++round[0] < 4) {
		int *next = malloc(sizeof(int) * 2 + k * 50);

		memcpy(next, round, sizeof(int) * 2);
		free(round);
		pthread_setspecific(key[k], next);
		return;
	}
	p = malloc(k * 100 + 1);
	p = realloc(p, k * 200 + 1);
	free(p);
	free(round);
}

static void *thread_main(void *arg)
{
	int k;

	for (k = 0; k < KEYS; k++) {
		int *value = malloc(sizeof(int) * 2);

		value[0] = 0;
		value[1] = k;
		pthread_setspecific(key[k], value);
	}
	return arg;
}

static void run_threads(int n)
{
	pthread_t thread;

	while (n-- > 0) {
		if (pthread_create(&thread, NULL, thread_main, NULL))
			abort();
		pthread_join(thread, NULL);
	}
}

static long resident_kb(void)
{
	char line[256];
	long kb = -1;
	FILE *file = fopen("/proc/self/status", "r");

	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "VmRSS: %ld", &kb);
	if (file)
		fclose(file);
	return kb;
}

int main(void)
{
	long before, after;
	int k;

	for (k = 0; k < KEYS; k++)
		if (pthread_key_create(&key[k], destroy))
			return 1;
	run_threads(WARM);
	before = resident_kb();
	run_threads(THREADS);
	after = resident_kb();
	if (after - before > LIMIT_KB)
		printf("%d threads leave %ld kB behind\n", THREADS, after - before);
	else
		puts("leaves nothing");
	return 0;
}
