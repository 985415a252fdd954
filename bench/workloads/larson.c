/* SPDX-License-Identifier: MIT */
/*
 * Threads replace random blocks of an array and then hand the array over to a thread that they start, as a
 * server does whose connections outlive its workers. Every block is soon freed by another thread than the
 * one that allocated it, and that one is gone.
 */
#include <stdlib.h>

#include "workload.h"

#define LIVE 5000
#define GENERATIONS 120
#define OPS 3600000

struct chain {
	struct wl_rng rng;
	struct wl_result result;
	uint64_t ops;		  /* per generation */
	unsigned int generations; /* still to come */
	struct finish *finish;
	struct block blocks[LIVE];
};

struct finish {
	pthread_mutex_t lock;
	pthread_cond_t done;
	unsigned int running; /* chains, under the lock */
};

static size_t larson_size(struct wl_rng *rng)
{
	return wl_size(rng, 16, 1000);
}

static void chain_ends(struct finish *finish)
{
	pthread_mutex_lock(&finish->lock);
	if (!--finish->running)
		pthread_cond_signal(&finish->done);
	pthread_mutex_unlock(&finish->lock);
}

static void *generation(void *arg)
{
	struct chain *chain = arg;
	pthread_t next;

	block_churn(chain->blocks, LIVE, chain->ops, larson_size, &chain->rng, &chain->result);
	if (!--chain->generations) {
		chain_ends(chain->finish);
		return NULL;
	}
	wl_start_thread(&next, generation, chain);
	pthread_detach(next);
	return NULL;
}

static void run(const struct wl_params *params, struct wl_result *result)
{
	unsigned int nr = params->threads;
	struct finish finish = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, nr };
	struct chain *chains = wl_zalloc(nr, sizeof(*chains));

	for (unsigned int i = 0; i < nr; i++) {
		pthread_t first;

		chains[i].rng = wl_rng(params->seed, i);
		chains[i].ops = wl_scaled(params, OPS) / GENERATIONS / nr;
		chains[i].generations = GENERATIONS;
		chains[i].finish = &finish;
		wl_start_thread(&first, generation, &chains[i]);
		pthread_detach(first);
	}
	pthread_mutex_lock(&finish.lock);
	while (finish.running)
		pthread_cond_wait(&finish.done, &finish.lock);
	pthread_mutex_unlock(&finish.lock);
	for (unsigned int i = 0; i < nr; i++) {
		block_drop_all(chains[i].blocks, LIVE, &chains[i].result);
		wl_add(result, &chains[i].result);
	}
	free(chains);
}

const struct workload wl_larson = { "larson", "arrays of blocks handed over from thread to thread", 2, run };
