/* SPDX-License-Identifier: MIT */
/*
 * Threads on different nodes: each has its small blocks on its own, also after others have left free blocks, and after
 * blocks went from one to another.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "numa.h"

#define BLOCKS 3000
#define PASSED 1000000
#define RING 1024

static const size_t sizes[] = { 16, 48, 100, 500, 1000, 2500, 8000 };
static pthread_barrier_t barrier;

static unsigned long home_of(int nid)
{
	return numa_nearest(nid, ~0UL >> (64 - numa_nodes));
}

struct worker {
	pthread_t thread;
	int nid;
	unsigned long astray;
	char *block[BLOCKS];
};
static struct worker worker[NUMA_MAX];

static bool is_astray(char *p, int nid)
{
	int lies;

	*(volatile char *)p = 1;
	lies = numa_node_of_written(p);
	return lies < 0 || !(home_of(nid) & 1UL << lies);
}

/* All at once; a second round finds what the first has left. */
static void *work(void *arg)
{
	struct worker *w = arg;

	numa_run_on(w->nid);
	for (int round = 0; round < 2; round++) {
		pthread_barrier_wait(&barrier);
		for (int i = 0; i < BLOCKS; i++) {
			w->block[i] = malloc(sizes[(size_t)i % API_ARRAY_SIZE(sizes)]);
			w->astray += is_astray(w->block[i], w->nid);
		}
		pthread_barrier_wait(&barrier);
		for (int i = 0; i < BLOCKS; i++)
			free(w->block[i]);
	}
	return NULL;
}

/* Free blocks of every class, on the node of the calling thread: every second one, so that their slabs stay. */
static void leave_blocks(void)
{
	static char *block[BLOCKS];

	for (int i = 0; i < BLOCKS; i++)
		block[i] = malloc(sizes[(size_t)i / 2 % API_ARRAY_SIZE(sizes)]);
	for (int i = 0; i < BLOCKS; i += 2)
		free(block[i]);
}

static void test_own_slabs(void)
{
	unsigned int nr = 0;

	numa_run_on(0);
	leave_blocks();
	for (int nid = 0; nid < numa_nodes; nid++)
		nr += !!numa_node[nid].cpus;
	pthread_barrier_init(&barrier, NULL, nr);
	for (int nid = 0; nid < numa_nodes; nid++) {
		worker[nid].nid = nid;
		if (numa_node[nid].cpus && pthread_create(&worker[nid].thread, NULL, work, &worker[nid]))
			bail_out("no thread");
	}
	for (int nid = 0; nid < numa_nodes; nid++) {
		if (!numa_node[nid].cpus)
			continue;
		pthread_join(worker[nid].thread, NULL);
		want(!worker[nid].astray, "%lu of %d blocks of node %d lie on others", worker[nid].astray, 2 * BLOCKS,
		     nid);
	}
	numa_run_on(-1);
	verdict("threads on %u nodes have each block on their own: they share no slab", nr);
}

/* They have entered the same owner, whose slabs its threads share. */
static bm_owner_t *owner;

static void *work_inside(void *arg)
{
	struct worker *w = arg;

	numa_run_on(w->nid);
	bm_owner_enter(owner);
	for (int i = 0; i < BLOCKS; i++) {
		w->block[i] = malloc(sizes[(size_t)i % API_ARRAY_SIZE(sizes)]);
		w->astray += is_astray(w->block[i], w->nid);
	}
	/* Each slab has room again. */
	for (int i = 0; i < BLOCKS; i += 2)
		free(w->block[i]);
	bm_owner_enter(NULL);
	return NULL;
}

static void test_owner_slabs(void)
{
	struct bm_owner_attr attr = { .name = "everywhere" };
	unsigned long astray = 0, nr = 0;

	owner = bm_owner_create(&attr);
	for (int round = 0; round < 2; round++) {
		for (int nid = 0; nid < numa_nodes; nid++) {
			worker[nid].nid = nid;
			worker[nid].astray = 0;
			if (!numa_node[nid].cpus)
				continue;
			if (pthread_create(&worker[nid].thread, NULL, work_inside, &worker[nid]) ||
			    pthread_join(worker[nid].thread, NULL))
				bail_out("no thread");
			astray += worker[nid].astray;
			nr += BLOCKS;
		}
	}
	is_int(bm_owner_destroy(owner), 0, "an owner that had threads on all nodes ends");
	want(!astray, "%lu of %lu blocks lie on other nodes", astray, nr);
	verdict("and each of them had its blocks on its own");
}

/* The same for blocks of which many lie on pages that were looked at before. */
static unsigned long seen_astray(char *p, int nid)
{
	static _Thread_local uintptr_t seen[4096];
	uintptr_t page = (uintptr_t)p & ~(PAGE - 1), *place = &seen[page / PAGE % API_ARRAY_SIZE(seen)];

	if (*place == page)
		return 0;
	*place = page;
	return is_astray(p, nid);
}

static void *_Atomic ring[RING];
static unsigned long produced_astray, alternated_astray, consumed_astray;

static size_t passed_size(int i)
{
	return sizes[(size_t)i % API_ARRAY_SIZE(sizes)];
}

static void *produce(void *arg)
{
	int nid = *(int *)arg;

	numa_run_on(nid);
	for (int i = 0; i < PASSED; i++) {
		char *p = malloc(passed_size(i));

		*p = 1;
		produced_astray += seen_astray(p, nid);
		while (ring[i % RING])
			sched_yield();
		ring[i % RING] = p;
	}
	return NULL;
}

/* Of the first half it frees only; after each of the others it wants as much itself, and keeps that for a while:
 * each malloc comes right after the free of a block of the other node, of the same size. */
static void *consume(void *arg)
{
	static char *own[BLOCKS];
	int nid = *(int *)arg;
	void *p;

	numa_run_on(nid);
	for (int i = 0; i < PASSED; i++) {
		while (!(p = ring[i % RING]))
			sched_yield();
		free(p);
		ring[i % RING] = NULL;
		if (i < PASSED / 2)
			continue;
		p = malloc(passed_size(i));
		alternated_astray += seen_astray(p, nid);
		free(own[i % BLOCKS]);
		own[i % BLOCKS] = p;
	}
	for (int i = 0; i < BLOCKS; i++) {
		own[i] = malloc(passed_size(i));
		consumed_astray += is_astray(own[i], nid);
	}
	return NULL;
}

/* The first two nodes that have CPUs and are at home on different ones. */
static bool find_two(int two[2])
{
	for (two[0] = 0; two[0] < numa_nodes; two[0]++)
		for (two[1] = two[0] + 1; two[1] < numa_nodes; two[1]++)
			if (numa_node[two[0]].cpus && numa_node[two[1]].cpus && !(home_of(two[0]) & home_of(two[1])))
				return true;
	return false;
}

static void test_passed_on(void)
{
	pthread_t producer, consumer;
	int two[2];

	if (!find_two(two)) {
		skip(3, "all CPUs are at home on the same node");
		return;
	}
	if (pthread_create(&producer, NULL, produce, &two[0]) || pthread_create(&consumer, NULL, consume, &two[1]))
		bail_out("no thread");
	pthread_join(producer, NULL);
	pthread_join(consumer, NULL);
	is_int(produced_astray, 0, "%d blocks went from node %d to %d: all lay on %d", PASSED, two[0], two[1], two[0]);
	is_int(alternated_astray, 0, "what the thread on %d had for each of half of them lay on %d", two[1], two[1]);
	is_int(consumed_astray, 0, "and so did %d blocks that it had afterwards", BLOCKS);
}

int main(void)
{
	numa_init();
	test_own_slabs();
	test_passed_on();
	test_owner_slabs();
	return done_testing();
}
