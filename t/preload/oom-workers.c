/* SPDX-License-Identifier: MIT */
/*
 * oom-workers: four workers, each with an owner of its own, under whatever limit there is. The third leaks until its
 * owner is told to end, then frees what it had a piece at a time; the others work on until it has ended. Says how often
 * each was told to end, whether all results are right, and whether 150 MiB can be had afterwards.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buddymalloc.h"

#define NR_WORKERS 4
#define LEAKER 2
#define NR_NODES 20000UL
#define AFTERWARDS 150UL

struct node {
	struct node *next;
	unsigned long value;
	char payload[48];
};

static struct worker {
	pthread_t thread;
	bm_owner_t *owner;
	atomic_int calls, cancelled;
	unsigned long rounds, wrong, leaked;
} workers[NR_WORKERS];
static atomic_int leaker_ended;

/* On whatever thread asked for memory: it sets a flag. */
static int cancel(bm_owner_t *owner, void *arg)
{
	struct worker *w = arg;

	if (owner != w->owner)
		abort();
	atomic_fetch_add(&w->calls, 1);
	atomic_store(&w->cancelled, 1);
	return 0;
}

/* A list of numbers is made, added up and freed. */
static int work(struct worker *w)
{
	struct node *list = NULL, *node;
	unsigned long i, sum = 0;

	for (i = 0; i < NR_NODES; i++) {
		node = malloc(sizeof(*node));
		if (!node)
			return w->wrong++, 0;
		memset(node->payload, (int)i, sizeof(node->payload));
		*node = (struct node){ .next = list, .value = i };
		list = node;
	}
	for (; (node = list); free(node)) {
		list = node->next;
		sum += node->value;
	}
	w->wrong += sum != NR_NODES * (NR_NODES - 1) / 2;
	w->rounds++;
	return 1;
}

static void leak(struct worker *w)
{
	void **chain = NULL, **block;
	unsigned long i;

	while (!atomic_load(&w->cancelled) && (block = malloc(1000))) {
		memset(block, 1, 1000);
		*block = chain;
		chain = block;
		w->leaked++;
	}
	/* Unwinds: no faster than it likes to. Half of it is left to the owner's end. */
	for (i = 0; i < w->leaked / 2; i++) {
		block = chain;
		chain = *chain;
		free(block);
		if (i % 4096 == 0)
			usleep(1000);
	}
}

static void *run(void *arg)
{
	struct worker *w = arg;
	bm_owner_t *before = bm_owner_enter(w->owner);

	if (w == &workers[LEAKER])
		leak(w);
	else
		while (work(w) && !atomic_load(&leaker_ended))
			;
	bm_owner_enter(before);
	if (bm_owner_destroy(w->owner))
		w->wrong++;
	if (w == &workers[LEAKER])
		atomic_store(&leaker_ended, 1);
	return NULL;
}

static unsigned long have_mib(unsigned long mib)
{
	void *blocks[AFTERWARDS];
	unsigned long nr = 0, i;

	for (; nr < mib && (blocks[nr] = malloc(1 << 20)); nr++)
		memset(blocks[nr], 2, 1 << 20);
	for (i = 0; i < nr; i++)
		free(blocks[i]);
	return nr;
}

int main(void)
{
	unsigned long wrong = 0;
	int i;

	for (i = 0; i < NR_WORKERS; i++) {
		struct bm_owner_attr attr = { .abort = cancel, .arg = &workers[i] };
		char name[16];

		snprintf(name, sizeof(name), "worker-%d", i);
		attr.name = name;
		workers[i].owner = bm_owner_create(&attr);
		if (!workers[i].owner)
			return 2;
	}
	for (i = 0; i < NR_WORKERS; i++)
		if (pthread_create(&workers[i].thread, NULL, run, &workers[i]))
			return 3;
	for (i = 0; i < NR_WORKERS; i++) {
		pthread_join(workers[i].thread, NULL);
		wrong += workers[i].wrong + (i != LEAKER && !workers[i].rounds);
	}
	printf("told to end:");
	for (i = 0; i < NR_WORKERS; i++)
		printf(" %d", workers[i].calls);
	printf("\n%lu wrong\n", wrong);
	printf("%lu MiB\n", have_mib(AFTERWARDS));
	return 0;
}
