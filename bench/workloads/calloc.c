/* SPDX-License-Identifier: MIT */
/*
 * Zeroed blocks, mostly small, some up to 4 MiB. They are found to be zero before use and are dirtied all
 * over before they are freed, so that the allocator has to clear what it hands out again.
 */
#include <stdlib.h>
#include <string.h>

#include "workload.h"

#define LIVE 2000
#define OPS 900000
#define LARGE 256 /* one in so many */

static void expect_zero(const struct block *b)
{
	static const char zeros[4096];

	for (size_t offset = 0; offset < b->size; offset += sizeof(zeros)) {
		size_t left = b->size - offset;

		if (memcmp((char *)b->p + offset, zeros, left < sizeof(zeros) ? left : sizeof(zeros)))
			wl_die("calloc: block %p of %zu bytes is not zero near offset %zu", b->p, b->size, offset);
	}
}

static void new_zeroed(struct block *b, size_t size, struct wl_rng *rng)
{
	b->p = wl_zalloc(1, size);
	b->size = size;
	expect_zero(b);
	b->tag = wl_random(rng);
	block_fill(b);
}

static void run(const struct wl_params *params, struct wl_result *result)
{
	struct wl_rng rng = wl_rng(params->seed, 0);
	struct block *blocks = wl_zalloc(LIVE, sizeof(*blocks));
	uint64_t ops = wl_scaled(params, OPS);

	while (ops--) {
		int large = wl_below(&rng, LARGE) == 0;
		/* Large blocks keep to the front of the table, so that few live at a time. */
		struct block *b = &blocks[large ? wl_below(&rng, 16) : 16 + wl_below(&rng, LIVE - 16)];

		if (b->p)
			block_check(b), memset(b->p, 0xa5, b->size), block_fill(b);
		block_drop(b, result);
		new_zeroed(b, large ? wl_size_log(&rng, 14, 22) : wl_size_log(&rng, 4, 12), &rng);
	}
	block_drop_all(blocks, LIVE, result);
	free(blocks);
}

const struct workload wl_calloc = { "calloc", "zeroed blocks of 16 bytes to 4 MiB, dirtied before free", 1, run };
