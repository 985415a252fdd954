/* SPDX-License-Identifier: MIT */
/* One thread, 16 to 512 bytes, with the three usual lifetimes: last in first out, first in first out, random. */
#include <stdlib.h>

#include "workload.h"

#define LIVE 10000
#define OPS 1200000

static size_t small_size(struct wl_rng *rng)
{
	return wl_size(rng, 16, 512);
}

/* A stack that rises and falls by random strides. */
static void lifo(struct block *blocks, uint64_t ops, struct wl_rng *rng, struct wl_result *result)
{
	uint32_t depth = 0;

	while (ops) {
		uint32_t target = wl_below(rng, LIVE + 1);

		for (; depth < target && ops; ops--)
			block_new(&blocks[depth++], small_size(rng), rng);
		while (depth > target)
			block_drop(&blocks[--depth], result);
	}
	block_drop_all(blocks, depth, result);
}

static void fifo(struct block *blocks, uint64_t ops, struct wl_rng *rng, struct wl_result *result)
{
	for (uint64_t i = 0; i < ops; i++) {
		struct block *b = &blocks[i % LIVE];

		block_drop(b, result);
		block_new(b, small_size(rng), rng);
	}
	block_drop_all(blocks, LIVE, result);
}

static void run(const struct wl_params *params, struct wl_result *result)
{
	struct wl_rng rng = wl_rng(params->seed, 0);
	struct block *blocks = wl_zalloc(LIVE, sizeof(*blocks));
	uint64_t ops = wl_scaled(params, OPS);

	lifo(blocks, ops, &rng, result);
	fifo(blocks, ops, &rng, result);
	block_churn(blocks, LIVE, ops, small_size, &rng, result);
	block_drop_all(blocks, LIVE, result);
	free(blocks);
}

const struct workload wl_small = { "small", "16 to 512 bytes, lifetimes LIFO, FIFO and random", 1, run };
