/* SPDX-License-Identifier: MIT */
/*
 * A program after its rush hour: memory grows to about 200 MB and nine blocks of ten are freed. The idle figure is
 * taken with the tenth still live: what does the process hold then?
 */
#include <stdlib.h>

#include "workload.h"

#define BYTES (200u << 20)
#define MAX_BLOCKS 600000
#define PASSES 5

/* Runs of neighbours survive together, as the entries of a cache that were loaded at the same time do. */
#define RUN 64

static size_t idle_size(struct wl_rng *rng)
{
	return wl_size_log(rng, 5, 12);
}

static uint32_t grow(struct block *blocks, struct wl_rng *rng, struct wl_result *result)
{
	size_t bytes = 0;
	uint32_t nr = 0;

	for (; bytes < BYTES && nr < MAX_BLOCKS; nr++) {
		block_drop(&blocks[nr], result);
		block_new(&blocks[nr], idle_size(rng), rng);
		bytes += blocks[nr].size;
	}
	return nr;
}

static void shrink(struct block *blocks, uint32_t nr, struct wl_rng *rng, struct wl_result *result)
{
	for (uint32_t start = 0; start < nr; start += RUN) {
		uint32_t end = start + RUN < nr ? start + RUN : nr;

		if (wl_below(rng, 10))
			block_drop_all(blocks + start, end - start, result);
	}
}

static void run(const struct wl_params *params, struct wl_result *result)
{
	struct wl_rng rng = wl_rng(params->seed, 0);
	struct block *blocks = wl_zalloc(MAX_BLOCKS, sizeof(*blocks));
	uint64_t passes = wl_scaled(params, PASSES);
	uint32_t nr = 0;

	while (passes--) {
		nr = grow(blocks, &rng, result);
		shrink(blocks, nr, &rng, result);
	}
	for (uint32_t i = 0; i < nr; i++)
		result->live += blocks[i].p ? blocks[i].size : 0;
	result->live += MAX_BLOCKS * sizeof(*blocks);
	wl_idle_rss(result);
	block_drop_all(blocks, nr, result);
	free(blocks);
}

const struct workload wl_idle = { "idle", "grow to 200 MB, free 90 %, sleep 2 s", 1, run };
