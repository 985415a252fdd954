/* SPDX-License-Identifier: MIT */
/*
 * Bursts of memory, by one thread and by several: once freed, and a second later touched again by a small program,
 * resident memory is back near where it was, without malloc_trim.
 */
#include "stress.h"

#define NR_THREADS 4

static size_t burst_size, burst_bytes;

static void *burst(void *arg)
{
	size_t nr = burst_bytes / burst_size, i;
	struct block *block = malloc(nr * sizeof(*block));

	(void)arg;
	if (!block)
		bail_out("no memory for %zu blocks", nr);
	for (i = 0; i < nr; i++) {
		block[i].size = burst_size;
		block[i].addr = malloc(burst_size);
		if (!block[i].addr)
			bail_out("no memory for block %zu of %zu bytes", i, burst_size);
		pattern_fill(block[i].addr, burst_size);
	}
	for (i = 0; i < nr; i++)
		block_put(&block[i], "in a burst");
	free(block);
	return NULL;
}

/* What a program does between bursts: little, but it is by such calls that free memory grows old. */
static void be_idle(void)
{
	struct random r = random_of(600);
	size_t i, n;

	for (n = 0; n < 15; n++) {
		for (i = 0; i < 2000; i++)
			free(malloc(random_size(&r, 15)));
		free(malloc(3 * MIB));
		usleep(100000);
	}
}

static void test_burst(size_t size, size_t threads)
{
	size_t total = scaled(256) * MIB;
	long before = api_resident_kib(), after;

	burst_size = size;
	burst_bytes = total / threads;
	if (threads == 1)
		burst(NULL);
	else
		threads_run(threads, burst);
	ok(1, "%zu MiB in blocks of %zu bytes, by %zu threads", total / MIB, size, threads);
	if (api_slow()) {
		skip(1, "resident memory is not the library's alone, or the burst too small");
		return;
	}
	be_idle();
	after = api_resident_kib();
	if (!ok(after - before < (long)(total / KIB / 8), "resident memory comes back"))
		diag("%ld KiB before, %ld KiB after %zu MiB were used and freed", before, after, total / MIB);
}

int main(void)
{
	static const size_t sizes[] = { 48, 2000, 70000, 6 * MIB };
	size_t i;

	stress_begin(2 * (int)API_ARRAY_SIZE(sizes) + 2);
	free(malloc(1));
	for (i = 0; i < API_ARRAY_SIZE(sizes); i++)
		test_burst(sizes[i], 1);
	test_burst(500, NR_THREADS);
	return tap_exit();
}
