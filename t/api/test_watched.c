/* SPDX-License-Identifier: MIT */
/*
 * Threads that allocate in every way, while others print every report, turn options, compact, and give back what is
 * free, once at least. What is printed is checked elsewhere: here it must come, and no data race with it.
 */
#include <pthread.h>

#include "api.h"

#define NR_WORKERS 2
#define NR_HELD 64

static int working;

static bool goes_on(void)
{
	return __atomic_load_n(&working, __ATOMIC_RELAXED);
}

static unsigned int roll(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005 + 1442695040888963407;
	return (unsigned int)(*seed >> 33);
}

/* Mostly small ones, now and then some of several pageblocks. */
static size_t any_size(uint64_t *seed)
{
	static const unsigned int shift[16] = { 6, 6, 6, 6, 7, 8, 8, 10, 10, 12, 14, 15, 17, 18, 20, 23 };

	return roll(seed) % (1U << shift[roll(seed) % 16]) + 1;
}

static void *another(void *p, uint64_t *seed)
{
	switch (roll(seed) % 5) {
	case 0:
		return realloc(p, any_size(seed));
	case 1:
		free(p);
		return calloc(1, any_size(seed));
	case 2:
		free(p);
		return aligned_alloc(64, any_size(seed));
	default:
		free(p);
		return malloc(any_size(seed));
	}
}

static void *work(void *arg)
{
	void *held[NR_HELD] = { NULL };
	uint64_t seed = (uintptr_t)arg;
	int i, n = api_slow() ? 4000 : 20000;

	while (n--) {
		i = (int)(roll(&seed) % NR_HELD);
		if (!(held[i] = another(held[i], &seed)))
			return arg;
	}
	for (i = 0; i < NR_HELD; i++)
		free(held[i]);
	return NULL;
}

/* What it has freed others use, and it leaves its lists to the next. */
static void *work_shortly(void *arg)
{
	uint64_t seed = (uintptr_t)arg;
	void *p[40];
	int i;

	for (i = 0; i < 40; i++)
		p[i] = malloc(any_size(&seed));
	for (i = 0; i < 40; i++)
		free(p[i]);
	return NULL;
}

static void *start_others(void *arg)
{
	uintptr_t nr;
	pthread_t t;

	for (nr = 1; nr == 1 || goes_on(); nr++)
		if (pthread_create(&t, NULL, work_shortly, (void *)nr) || pthread_join(t, NULL))
			return arg;
	return NULL;
}

/* Blocks of the page API, below 4 GiB too, and of every type. */
static void *take_pages(void *arg)
{
	static const bm_gfp_t gfp[] = { BM_GFP_KERNEL, BM_GFP_ATOMIC, BM_GFP_USER | BM_GFP_MOVABLE,
					BM_GFP_KERNEL | BM_GFP_RECLAIMABLE, BM_GFP_KERNEL | BM_GFP_DMA32 };
	struct {
		void *addr;
		unsigned int order;
	} held[16] = { { NULL, 0 } };
	uint64_t seed = 1;
	int i;

	(void)arg;
	do {
		i = (int)(roll(&seed) % 16);
		if (held[i].addr)
			bm_free_pages(held[i].addr, held[i].order);
		held[i].order = roll(&seed) % 8 ? roll(&seed) % 4 : roll(&seed) % 11;
		held[i].addr = bm_alloc_pages(gfp[roll(&seed) % 5] | BM_GFP_NOWARN, held[i].order);
	} while (goes_on());
	for (i = 0; i < 16; i++)
		if (held[i].addr)
			bm_free_pages(held[i].addr, held[i].order);
	return NULL;
}

static void *make_owners(void *arg)
{
	struct bm_owner_attr attr = { .name = "request", .limit = 64 << 20 };
	uint64_t seed = 2;
	bm_owner_t *owner;
	int i;

	do {
		if (!(owner = bm_owner_create(&attr)))
			return arg;
		bm_owner_enter(owner);
		for (i = 0; i < 20; i++)
			if (i % 3)
				free(malloc(any_size(&seed)));
			else
				work_shortly((void *)(uintptr_t)i);
		bm_owner_enter(NULL);
		if (bm_owner_destroy(owner))
			return arg;
	} while (goes_on());
	return NULL;
}

static void *look(void *arg)
{
	static const char *const reports[] = { "summary",  "buddyinfo",	    "pagetypeinfo",   "zoneinfo",
					       "vmstat",   "extfrag_index", "unusable_index", "hugepages",
					       "slabinfo", "shrinkers",	    "pressure",	      "owners" };
	int null = open("/dev/null", O_WRONLY);
	size_t i;

	do {
		for (i = 0; i < sizeof(reports) / sizeof(*reports); i++)
			if (bm_stats_print(null, reports[i]))
				return arg;
		mallinfo2();
	} while (goes_on());
	close(null);
	return NULL;
}

static void *turn_options(void *arg)
{
	static const char *const set[][2] = {
		{ "dirty_max", "1M" },
		{ "thp", "never" },
		{ "vm.compact_memory", "1" },
		{ "dirty_decay", "20" },
		{ "vm.drop_caches", "3" },
		{ "vm.percpu_pagelist_high_fraction", "100" },
		{ "dirty_max", "64M" },
		{ "thp", "auto" },
		{ "vm.min_free_kbytes", "1024" },
		{ "dirty_decay", "1000" },
		{ "vm.compact_memory", "1" },
		{ "vm.percpu_pagelist_high_fraction", "0" },
		{ "vm.min_free_kbytes", "0" },
		{ "failslab.interval", "1000000000" },
		{ "failslab.probability", "1" },
		{ "failslab.times", "-1" },
		{ "failslab.probability", "0" },
	};
	size_t i;

	do {
		for (i = 0; i < sizeof(set) / sizeof(*set); i++) {
			if (bm_ctl_set(set[i][0], set[i][1]) < 0)
				return arg;
			malloc_trim(0);
			usleep(500);
		}
	} while (goes_on());
	return NULL;
}

int main(void)
{
	static void *(*const beside[])(void *) = { start_others, take_pages, make_owners, look, turn_options };
	pthread_t worker[NR_WORKERS], t[sizeof(beside) / sizeof(*beside)];
	void *err;
	size_t i;

	api_prove_served();
	if (api_under_valgrind())
		skip_all("its threads take turns");
	working = 1;
	for (i = 0; i < sizeof(beside) / sizeof(*beside); i++)
		want(!pthread_create(&t[i], NULL, beside[i], &working), "thread");
	for (i = 0; i < NR_WORKERS; i++)
		want(!pthread_create(&worker[i], NULL, work, (void *)(i + 1)), "thread");
	for (i = 0; i < NR_WORKERS; i++)
		want(!pthread_join(worker[i], &err) && !err, "no memory for thread %zu", i);
	__atomic_store_n(&working, 0, __ATOMIC_RELAXED);
	for (i = 0; i < sizeof(beside) / sizeof(*beside); i++)
		want(!pthread_join(t[i], &err) && !err, "what goes on beside, %zu", i);
	verdict("every way to allocate, and everything that looks at it");
	return done_testing();
}
