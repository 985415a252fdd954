/* SPDX-License-Identifier: MIT */
/*
 * Large blocks replaced at random, as a program with big buffers does: the heap must neither mix them up nor grow
 * without bound from the holes they leave.
 */
#include "stress.h"

#define NR_THREADS 2
#define NR_SLOTS 12
#define LARGE_MAX (24 * MIB)

static size_t large_size(struct random *r)
{
	return 512 * KIB + random_below(r, LARGE_MAX - 512 * KIB);
}

static void *thread_main(void *arg)
{
	struct block block[NR_SLOTS] = { { NULL, 0 } };
	struct random r = random_of((uintptr_t)arg);
	size_t i, steps = scaled(3000), slot;

	for (i = 0; i < steps; i++) {
		struct block *b = &block[random_below(&r, NR_SLOTS)];

		if (b->addr && random_below(&r, 4) == 0) {
			block_resize(b, large_size(&r));
			continue;
		}
		if (b->addr)
			block_put(b, "large");
		block_get(b, large_size(&r), &r);
	}
	for (slot = 0; slot < NR_SLOTS; slot++)
		if (block[slot].addr)
			block_put(&block[slot], "large, at the end");
	return NULL;
}

int main(void)
{
	const size_t most = NR_THREADS * NR_SLOTS * LARGE_MAX;
	struct mallinfo2 m;

	stress_begin(3);
	threads_run(NR_THREADS, thread_main);
	ok(1, "%d threads replace %zu large blocks each", NR_THREADS, scaled(3000));
	m = mallinfo2();
	if (!ok(m.arena + m.hblkhd < 2 * most, "holes do not make the heap grow without bound"))
		diag("%zu MiB mapped for at most %zu MiB of blocks", (m.arena + m.hblkhd) / MIB, most / MIB);
	ok(m.hblkhd == 0, "no large block is left in use");
	return tap_exit();
}
