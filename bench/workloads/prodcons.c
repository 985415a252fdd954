/* SPDX-License-Identifier: MIT */
/*
 * Pairs of threads: one allocates and passes blocks on through a bounded ring, the other checks and frees.
 * Blocks travel in batches, so that the allocator is measured and not the ring.
 */
#include <stdlib.h>

#include "workload.h"

#define BATCH 128
#define RING 64
#define BATCHES 24000

struct pair {
	struct wl_rng rng;
	struct wl_result result;
	uint64_t batches;
	pthread_mutex_t lock; /* protects head and tail; the slots between them are the consumer's */
	pthread_cond_t moved;
	uint64_t head, tail;
	struct block ring[RING][BATCH];
};

static void *produce(void *arg)
{
	struct pair *pair = arg;

	for (uint64_t n = 0; n < pair->batches; n++) {
		struct block *batch = pair->ring[n % RING];

		pthread_mutex_lock(&pair->lock);
		while (pair->head - pair->tail == RING)
			pthread_cond_wait(&pair->moved, &pair->lock);
		pthread_mutex_unlock(&pair->lock);
		for (int i = 0; i < BATCH; i++)
			block_new(&batch[i], wl_size_log(&pair->rng, 4, 10), &pair->rng);
		pthread_mutex_lock(&pair->lock);
		pair->head++;
		pthread_cond_signal(&pair->moved);
		pthread_mutex_unlock(&pair->lock);
	}
	return NULL;
}

static void *consume(void *arg)
{
	struct pair *pair = arg;

	for (uint64_t n = 0; n < pair->batches; n++) {
		pthread_mutex_lock(&pair->lock);
		while (pair->head == pair->tail)
			pthread_cond_wait(&pair->moved, &pair->lock);
		pthread_mutex_unlock(&pair->lock);
		block_drop_all(pair->ring[n % RING], BATCH, &pair->result);
		pthread_mutex_lock(&pair->lock);
		pair->tail++;
		pthread_cond_signal(&pair->moved);
		pthread_mutex_unlock(&pair->lock);
	}
	return NULL;
}

static void *run_pair(void *arg)
{
	pthread_t consumer;

	wl_start_thread(&consumer, consume, arg);
	produce(arg);
	wl_join_thread(consumer);
	return NULL;
}

static void run(const struct wl_params *params, struct wl_result *result)
{
	unsigned int nr = params->threads < 2 ? 1 : params->threads / 2;
	struct pair *pairs = wl_zalloc(nr, sizeof(*pairs));

	for (unsigned int i = 0; i < nr; i++) {
		pairs[i].rng = wl_rng(params->seed, i);
		pairs[i].batches = wl_scaled(params, BATCHES) / nr;
		pthread_mutex_init(&pairs[i].lock, NULL);
		pthread_cond_init(&pairs[i].moved, NULL);
	}
	wl_run_threads(nr, run_pair, pairs, sizeof(*pairs));
	for (unsigned int i = 0; i < nr; i++)
		wl_add(result, &pairs[i].result);
	free(pairs);
}

const struct workload wl_prodcons = { "prodcons", "one thread allocates, another frees, through a ring", 2, run };
