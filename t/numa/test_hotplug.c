/* SPDX-License-Identifier: MIT */
/*
 * A CPU goes offline and comes back, again and again, while threads allocate: nothing is lost, what its lists held goes
 * home by its age, and its node's memory serves on.
 */
#include <pthread.h>

#include "numa.h"
#include "reports.h"

#define CPU 1
#define ROUNDS 3
#define THREADS 3
#define BLOCKS 200
#define LOOKS 600 /* 0.1 s each: so many times dirty_decay */

static bool stop;

static bool set_online(bool online)
{
	return numa_put("/sys/devices/system/cpu/cpu1/online", online ? "1" : "0");
}

/* Pages in the lists of CPU 1, of all zones; nothing is allocated here. */
static long pages_in_lists(void)
{
	const struct proc_zone *zone;
	int nr = report_zones(&zone);
	long pages = 0;

	for (int z = 0; z < nr; z++)
		for (int i = 0; i < zone[z].nr_cpus; i++)
			pages += zone[z].cpu[i].cpu == CPU ? (long)zone[z].cpu[i].count : 0;
	return pages;
}

/* Blocks of all kinds, each with what was written into it. */
static void *churn(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	static __thread unsigned char *block[BLOCKS];
	static __thread size_t size[BLOCKS];
	unsigned long wrong = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		unsigned int i = (unsigned int)rand_r(&seed) % BLOCKS;

		if (block[i])
			wrong += block[i][0] != (unsigned char)i || block[i][size[i] - 1] != (unsigned char)i;
		free(block[i]);
		size[i] = 1U << (rand_r(&seed) % 18);
		block[i] = malloc(size[i]);
		if (!block[i])
			return (void *)-1;
		memset(block[i], (int)i, size[i]);
	}
	for (int i = 0; i < BLOCKS; i++)
		free(block[i]);
	return (void *)wrong;
}

/* On CPU 1: pages into its lists. */
static void *fill_lists(void *arg)
{
	void *page[40];
	cpu_set_t one;

	(void)arg;
	CPU_ZERO(&one);
	CPU_SET(CPU, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		bail_out("cannot run on CPU 1");
	for (size_t i = 0; i < API_ARRAY_SIZE(page); i++)
		page[i] = bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_RECLAIMABLE, 0);
	for (size_t i = 0; i < API_ARRAY_SIZE(page); i++)
		bm_free_pages(page[i], 0);
	return NULL;
}

static void run_thread(void *(*fn)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fn, NULL) || pthread_join(thread, NULL))
		bail_out("no thread");
}

int main(void)
{
	pthread_t thread[THREADS];
	void *page;

	numa_init();
	if (!set_online(true) && !set_online(false))
		skip_all("CPU 1 cannot go offline");
	set_online(true);
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, churn, (void *)(i + 1)))
			bail_out("no thread");
	for (int round = 0; round < ROUNDS; round++) {
		int waited;

		/* However slow the guest is, nothing grows old before the CPU is gone. */
		want(!bm_ctl_set("dirty_decay", "0"), "round %d: dirty_decay", round);
		run_thread(fill_lists);
		want(set_online(false), "round %d: CPU 1 does not go offline", round);
		want(pages_in_lists() > 0, "round %d: nothing is in the lists of CPU 1", round);
		want(!bm_ctl_set("dirty_decay", "100"), "round %d: dirty_decay", round);
		for (waited = 0; waited < LOOKS && pages_in_lists(); waited++)
			usleep(100000);
		want(!pages_in_lists(), "round %d: %ld pages are left in its lists", round, pages_in_lists());
		page = bm_alloc_pages_node(1, BM_GFP_KERNEL | BM_GFP_THISNODE, 0);
		if (page)
			*(volatile char *)page = 1;
		want(page && numa_node_of_written(page) == 1, "round %d: a page of node %d", round,
		     page ? numa_node_of(page) : -1);
		bm_free_pages(page, 0);
		want(set_online(true), "round %d: CPU 1 does not come back", round);
	}
	verdict("what is in the lists of a CPU that is offline goes home");
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < THREADS; i++) {
		void *wrong = NULL;

		pthread_join(thread[i], &wrong);
		want(!wrong, "%ld blocks are not as they were", (long)wrong);
	}
	verdict("threads allocate meanwhile, and no block is lost");
	return done_testing();
}
