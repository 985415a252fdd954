/* SPDX-License-Identifier: MIT */
/*
 * Short-lived threads, a few at a time: each allocates 100 blocks, frees all but some, and exits. The
 * survivors are freed much later by the main thread.
 */
#include <stdlib.h>

#include "workload.h"

#define THREADS 20000
#define BLOCKS 100
#define KEPT 3
#define LIVE 3000 /* survivors at a time */

struct visit {
	struct wl_rng rng;
	struct wl_result result;
	struct block kept[KEPT];
};

static void *visit(void *arg)
{
	struct visit *v = arg;
	struct block blocks[BLOCKS];

	for (int i = 0; i < BLOCKS; i++)
		block_new(&blocks[i], wl_size_log(&v->rng, 4, 12), &v->rng);
	for (int i = 0; i < KEPT; i++) {
		struct block *b = &blocks[wl_below(&v->rng, BLOCKS)];

		v->kept[i] = *b;
		b->p = NULL;
	}
	block_drop_all(blocks, BLOCKS, &v->result);
	return NULL;
}

static void run(const struct wl_params *params, struct wl_result *result)
{
	uint64_t rounds = wl_scaled(params, THREADS) / params->threads;
	struct block *kept = wl_zalloc(LIVE, sizeof(*kept));
	struct visit *visits = wl_alloc(params->threads * sizeof(*visits));
	uint32_t next = 0;

	for (uint64_t round = 0; round < rounds; round++) {
		for (unsigned int i = 0; i < params->threads; i++)
			visits[i] = (struct visit){ .rng = wl_rng(params->seed, round * params->threads + i) };
		wl_run_threads(params->threads, visit, visits, sizeof(*visits));
		for (unsigned int i = 0; i < params->threads; i++) {
			wl_add(result, &visits[i].result);
			for (int k = 0; k < KEPT; k++) {
				block_drop(&kept[next], result);
				kept[next] = visits[i].kept[k];
				next = (next + 1) % LIVE;
			}
		}
	}
	block_drop_all(kept, LIVE, result);
	free(visits);
	free(kept);
}

const struct workload wl_churn = { "churn", "thousands of threads, 100 blocks each, some survive", 4, run };
