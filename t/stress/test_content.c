/* SPDX-License-Identifier: MIT */
/*
 * Threads that allocate, resize and free blocks of random sizes up to 8 MiB, looking at the contents each time.
 */
#include "stress.h"

#define NR_THREADS 6
#define NR_SLOTS 400
#define LARGE_EVERY 32 /* one slot in so many may hold up to 8 MiB, the others 64 KiB */

static void step(struct block *b, size_t slot, struct random *r)
{
	unsigned int max_log = slot % LARGE_EVERY ? 16 : 23;

	if (!b->addr)
		block_get(b, random_size(r, max_log), r);
	else if (random_below(r, 3))
		block_put(b, "at free");
	else
		block_resize(b, random_size(r, max_log));
}

static void *thread_main(void *arg)
{
	struct block block[NR_SLOTS] = { { NULL, 0 } };
	struct random r = random_of((uintptr_t)arg);
	size_t i, steps = scaled(150000), slot;

	for (i = 0; i < steps; i++) {
		slot = random_below(&r, NR_SLOTS);
		step(&block[slot], slot, &r);
	}
	for (slot = 0; slot < NR_SLOTS; slot++)
		if (block[slot].addr)
			block_put(&block[slot], "at the end");
	return NULL;
}

/* The same by one thread, with a pause to give memory back now and then. */
static void test_trimming(void)
{
	static struct block block[NR_SLOTS];
	struct random r = random_of(1000);
	size_t i, steps = scaled(60000), slot;

	for (i = 0; i < steps; i++) {
		slot = random_below(&r, NR_SLOTS);
		step(&block[slot], slot, &r);
		if (i % 2000 == 0)
			malloc_trim(random_below(&r, 2) * MIB);
	}
	for (slot = 0; slot < NR_SLOTS; slot++)
		if (block[slot].addr)
			block_put(&block[slot], "at the end");
	ok(1, "%zu steps with malloc_trim between them", steps);
}

int main(void)
{
	size_t before;

	stress_begin(3);
	before = api_in_use();
	threads_run(NR_THREADS, thread_main);
	ok(1, "%d threads, %zu steps each", NR_THREADS, scaled(150000));
	test_trimming();
	/* libc keeps a little for each thread it had. */
	if (!ok(api_in_use() < before + 256 * KIB, "nothing is left in use"))
		diag("%zu bytes before, %zu after", before, api_in_use());
	return tap_exit();
}
