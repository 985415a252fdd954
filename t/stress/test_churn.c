/* SPDX-License-Identifier: MIT */
/*
 * Thousands of threads, a few at a time: each takes over what the one before left, leaves some of its own, and exits.
 * Neither the blocks that outlive their thread nor what exited threads had cached may be lost.
 */
#include "stress.h"

#define AT_ONCE 8
#define NR_LEFT 64 /* blocks a thread leaves to the next */
#define NR_OWN 300 /* blocks it has for itself */

static struct block left[AT_ONCE][NR_LEFT];
static size_t wave;

static void *thread_main(void *arg)
{
	struct block own[NR_OWN], *mine = left[(uintptr_t)arg];
	struct random r = random_of(wave * AT_ONCE + (uintptr_t)arg);
	size_t i;

	for (i = 0; i < NR_OWN; i++)
		block_get(&own[i], random_size(&r, i % 100 ? 12 : 19), &r);
	for (i = 0; i < NR_LEFT; i++) {
		if (mine[i].addr)
			block_put(&mine[i], "left by a thread that is gone");
		block_get(&mine[i], random_size(&r, i ? 12 : 17), &r);
	}
	for (i = 0; i < NR_OWN; i++)
		block_put(&own[i], "of a short thread");
	return NULL;
}

static void run_waves(size_t nr)
{
	for (; nr--; wave++)
		threads_run(AT_ONCE, thread_main);
}

static void free_left(void)
{
	size_t i, n;

	for (i = 0; i < AT_ONCE; i++)
		for (n = 0; n < NR_LEFT; n++)
			if (left[i][n].addr)
				block_put(&left[i][n], "left by the last threads");
}

/* The caches of exited threads come back; what a few waves needed, a thousand must not exceed by much. */
static void test_memory(long warm, long after)
{
	if (api_sanitized() || api_under_valgrind())
		skip(1, "resident memory is the sanitizer's or valgrind's");
	else if (warm < 0)
		skip(1, "no /proc/self to read resident memory from");
	else if (!ok(after < warm + warm / 4 + 4096, "memory does not grow with the number of threads"))
		diag("%ld KiB after the first waves, %ld KiB after the last", warm, after);
}

int main(void)
{
	size_t before, waves;
	long warm;

	stress_begin(3);
	before = api_in_use();
	waves = scaled(500);
	run_waves(waves / 10 + 1);
	warm = api_resident_kib();
	run_waves(waves);
	ok(1, "%zu threads, each finding what another left", wave * AT_ONCE);
	test_memory(warm, api_resident_kib());
	free_left();
	if (!ok(api_in_use() < before + 256 * KIB, "nothing is left in use"))
		diag("%zu bytes before, %zu after", before, api_in_use());
	return tap_exit();
}
