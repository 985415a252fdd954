/* SPDX-License-Identifier: MIT */
/*
 * Every thread frees what the others allocated: each sends batches of blocks to the others in turn and
 * frees the batches that it finds in its own box.
 */
#include <sched.h>
#include <stdlib.h>

#include "workload.h"

#define BATCH 100
#define BOX_MAX 64
#define BATCHES 36000

struct batch {
	struct batch *next;
	struct block blocks[BATCH];
};

struct worker {
	struct wl_rng rng;
	struct wl_result result;
	struct worker *all;
	unsigned int id, nr;
	uint64_t batches;
	pthread_mutex_t lock; /* protects the box */
	struct batch *box;
	unsigned int waiting;
	unsigned int nr_running; /* atomic, the first worker's counts for all */
};

/* False: the box is full. */
static int post(struct worker *to, struct batch *batch)
{
	int fits;

	pthread_mutex_lock(&to->lock);
	fits = to->waiting < BOX_MAX;
	if (fits) {
		batch->next = to->box;
		to->box = batch;
		to->waiting++;
	}
	pthread_mutex_unlock(&to->lock);
	return fits;
}

static void empty_box(struct worker *w)
{
	struct batch *batch, *next;

	pthread_mutex_lock(&w->lock);
	batch = w->box;
	w->box = NULL;
	w->waiting = 0;
	pthread_mutex_unlock(&w->lock);
	for (; batch; batch = next) {
		next = batch->next;
		block_drop_all(batch->blocks, BATCH, &w->result);
		free(batch);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (uint64_t n = 0; n < w->batches; n++) {
		struct worker *to = &w->all[(w->id + 1 + n % (w->nr - 1)) % w->nr];
		struct batch *batch = wl_alloc(sizeof(*batch));

		for (int i = 0; i < BATCH; i++)
			block_new(&batch->blocks[i], wl_size(&w->rng, 16, 256), &w->rng);
		while (!post(to, batch)) {
			empty_box(w);
			sched_yield();
		}
		empty_box(w);
	}
	/* The boxes of those that have ended stay open: nobody may be left waiting at a full one. */
	__atomic_sub_fetch(&w->all[0].nr_running, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&w->all[0].nr_running, __ATOMIC_ACQUIRE)) {
		empty_box(w);
		sched_yield();
	}
	empty_box(w);
	return NULL;
}

static void run(const struct wl_params *params, struct wl_result *result)
{
	unsigned int nr = params->threads < 2 ? 2 : params->threads;
	struct worker *workers = wl_zalloc(nr, sizeof(*workers));

	for (unsigned int i = 0; i < nr; i++) {
		workers[i].rng = wl_rng(params->seed, i);
		workers[i].all = workers;
		workers[i].id = i;
		workers[i].nr = nr;
		workers[i].batches = wl_scaled(params, BATCHES) / nr;
		pthread_mutex_init(&workers[i].lock, NULL);
	}
	workers[0].nr_running = nr;
	wl_run_threads(nr, work, workers, sizeof(*workers));
	for (unsigned int i = 0; i < nr; i++)
		wl_add(result, &workers[i].result);
	free(workers);
}

const struct workload wl_xmalloc = { "xmalloc", "every thread frees batches that others allocated", 4, run };
