/* SPDX-License-Identifier: MIT */
/*
 * Random replacement in a live set of sizes from 8 bytes to 64 KiB; the smaller powers of two are the
 * likelier, as in most programs. `mixed` is one thread with 100000 blocks; `oversub` shares the same work
 * out to more threads than there are processors.
 */
#include <stdlib.h>

#include "workload.h"

#define LIVE 100000
#define OPS 1500000
#define OVERSUB_OPS 4000000

struct part {
	struct wl_rng rng;
	struct wl_result result;
	uint32_t live;
	uint64_t ops;
};

static size_t mixed_size(struct wl_rng *rng)
{
	uint32_t a = wl_below(rng, 13), b = wl_below(rng, 13);
	size_t base = (size_t)8 << (a < b ? a : b);

	return base + wl_below(rng, (uint32_t)base);
}

static void *run_part(void *arg)
{
	struct part *part = arg;
	struct block *blocks = wl_zalloc(part->live, sizeof(*blocks));

	for (uint32_t i = 0; i < part->live; i++)
		block_new(&blocks[i], mixed_size(&part->rng), &part->rng);
	block_churn(blocks, part->live, part->ops, mixed_size, &part->rng, &part->result);
	block_drop_all(blocks, part->live, &part->result);
	free(blocks);
	return NULL;
}

static struct part part_of(const struct wl_params *params, uint64_t ops, uint64_t stream)
{
	return (struct part){
		.rng = wl_rng(params->seed, stream),
		.live = LIVE / params->threads,
		.ops = wl_scaled(params, ops) / params->threads,
	};
}

/* No thread is started for a single part: some allocators change their ways with the first thread. */
static void run_mixed(const struct wl_params *params, struct wl_result *result)
{
	struct part part = part_of(params, OPS, 0);

	run_part(&part);
	wl_add(result, &part.result);
}

static void run_oversub(const struct wl_params *params, struct wl_result *result)
{
	struct part *parts = wl_alloc(params->threads * sizeof(*parts));

	for (unsigned int i = 0; i < params->threads; i++)
		parts[i] = part_of(params, OVERSUB_OPS, i);
	wl_run_threads(params->threads, run_part, parts, sizeof(*parts));
	for (unsigned int i = 0; i < params->threads; i++)
		wl_add(result, &parts[i].result);
	free(parts);
}

const struct workload wl_mixed = { "mixed", "8 bytes to 64 KiB, random replacement of 100000 live", 1, run_mixed };
const struct workload wl_oversub = { "oversub", "the same shared out to 8 threads", 8, run_oversub };
