/* SPDX-License-Identifier: MIT */
/* Random replacement of blocks beyond any slab: `large` 5 to 25 MB, `midlarge` 32 KiB to 2 MiB; all pages touched. */
#include <stdlib.h>

#include "workload.h"

#define LARGE_LIVE 20
#define LARGE_OPS 500
#define MIDLARGE_LIVE 200
#define MIDLARGE_OPS 80000

static size_t large_size(struct wl_rng *rng)
{
	return wl_size(rng, 5000000, 25000000);
}

static size_t midlarge_size(struct wl_rng *rng)
{
	return wl_size_log(rng, 15, 21);
}

static void replace(const struct wl_params *params, uint32_t live, uint64_t ops, size_t (*size)(struct wl_rng *),
		    struct wl_result *result)
{
	struct wl_rng rng = wl_rng(params->seed, 0);
	struct block *blocks = wl_zalloc(live, sizeof(*blocks));

	block_churn(blocks, live, wl_scaled(params, ops), size, &rng, result);
	block_drop_all(blocks, live, result);
	free(blocks);
}

static void run_large(const struct wl_params *params, struct wl_result *result)
{
	replace(params, LARGE_LIVE, LARGE_OPS, large_size, result);
}

static void run_midlarge(const struct wl_params *params, struct wl_result *result)
{
	replace(params, MIDLARGE_LIVE, MIDLARGE_OPS, midlarge_size, result);
}

const struct workload wl_large = { "large", "5 to 25 MB, random replacement of 20 live", 1, run_large };
const struct workload wl_midlarge = { "midlarge", "32 KiB to 2 MiB, random replacement of 200 live", 1, run_midlarge };
