/* SPDX-License-Identifier: MIT */
/*
 * Hugetlb pages of a pool that the test sets aside, on each node: where they lie, what happens when the pool runs dry
 * under load, and that a fork never ends anybody, whatever is left in it. Each case is a process of its own.
 */
#include <pthread.h>
#include <signal.h>

#include "hugepages.h"

#define HUGEPAGE (2 * MIB)
#define POOL 8 /* pages on each node */
#define THREADS 4
#define GIGANTIC (1024L * 1024) /* KiB */

static void pool_path(char *path, size_t len, int nid, long kib, const char *file)
{
	snprintf(path, len, "/sys/devices/system/node/node%d/hugepages/hugepages-%ldkB/%s", nid, kib, file);
}

/* Of the pages of so many KiB. */
static long pool_read_size(int nid, long kib, const char *file)
{
	char path[128];
	long nr = -1;
	FILE *f;

	pool_path(path, sizeof(path), nid, kib, file);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%ld", &nr) != 1)
		nr = -1;
	if (f)
		fclose(f);
	return nr;
}

static long pool_read(int nid, const char *file)
{
	return pool_read_size(nid, 2048, file);
}

/* False: the system has not so many. */
static bool pool_set_size(int nid, long kib, long nr)
{
	char path[128];
	FILE *f;

	pool_path(path, sizeof(path), nid, kib, "nr_hugepages");
	f = fopen(path, "w");
	if (!f)
		return false;
	fprintf(f, "%ld", nr);
	return !fclose(f) && pool_read_size(nid, kib, "nr_hugepages") == nr;
}

static bool pool_set(int nid, long nr)
{
	return pool_set_size(nid, 2048, nr);
}

static bool pools_set(long nr)
{
	bool all = true;

	for (int nid = 0; nid < numa_nodes; nid++)
		if (numa_node[nid].mib)
			all &= pool_set(nid, nr);
	return all;
}

static long page_kib(const void *addr)
{
	return smaps_kib(addr, "KernelPageSize:");
}

/* With a pool on each node. */
static void run_case(const char *name, const char *mode, void (*fn)(void), const char *words, int times)
{
	if (pools_set(POOL))
		run_child(name, "hugetlb", mode, fn, words, times);
	else
		skip(1, "the system has not so many hugetlb pages on each node");
}

static void want_hugetlb(void *p, size_t size, int nid)
{
	want(p != NULL, "none on node %d", nid);
	if (!p)
		return;
	want(!numa_astray(p, size, 1UL << nid), "%zu bytes for node %d: a page lies on %d", size, nid, numa_node_of(p));
	want(page_kib(p) == 2048, "%zu bytes on node %d have pages of %ld kB", size, nid, page_kib(p));
}

static void placed(void)
{
	for (int nid = 0; nid < numa_nodes; nid++) {
		unsigned long mask = 1UL << nid;
		void *p;

		if (!numa_node[nid].mib)
			continue;
		p = bm_alloc_pages_node(nid, BM_GFP_USER | BM_GFP_MOVABLE | BM_GFP_THISNODE, 0);
		want_hugetlb(p, PAGE, nid);
		p = bm_alloc_pages_node(nid, BM_GFP_USER | BM_GFP_MOVABLE | BM_GFP_THISNODE, 10);
		want_hugetlb(p, 4 * MIB, nid);
		bm_set_mempolicy(MPOL_BIND, &mask, MASK_BITS);
		want_hugetlb(malloc(3 * MIB), 3 * MIB, nid);
		bm_set_mempolicy(MPOL_DEFAULT, NULL, 0);
		if (!numa_node[nid].cpus)
			continue;
		numa_run_on(nid);
		want_hugetlb(malloc(3 * MIB), 3 * MIB, nid);
	}
	want(stat_of("htlb_buddy_alloc_fail ") == 0, "%ld failed", stat_of("htlb_buddy_alloc_fail "));
}

/* One node's pool is empty, the others' are not: what serves lies on the node asked for all the same. */
static void other_pools_left(void)
{
	int last = -1;

	for (int nid = 0; nid < numa_nodes; nid++)
		last = numa_node[nid].mib ? nid : last;
	unsigned long mask = 1UL << last;
	pool_set(last, 1);
	bm_set_mempolicy(MPOL_BIND, &mask, MASK_BITS);
	for (int i = 0; i < 4; i++) {
		char *p = malloc(3 * MIB);

		want(p && !numa_astray(p, 3 * MIB, mask), "block %d", i);
		want(page_kib(p) == 4, "block %d has pages of %ld kB", i, page_kib(p));
	}
	want(stat_of("htlb_buddy_alloc_fail ") == 4, "%ld failed", stat_of("htlb_buddy_alloc_fail "));
}

static void given_back(void)
{
	void *p = malloc(5 * MIB);
	long before = 0, after = 0;

	for (int nid = 0; nid < numa_nodes; nid++)
		before += numa_node[nid].mib ? pool_read(nid, "free_hugepages") : 0;
	free(p);
	malloc_trim(0);
	for (int nid = 0; nid < numa_nodes; nid++)
		after += numa_node[nid].mib ? pool_read(nid, "free_hugepages") : 0;
	want(after == before + 3, "%ld free, then %ld", before, after);
}

static void *churn(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	char *block[8] = { NULL };

	for (int i = 0; i < 60; i++) {
		size_t size = (1 + rand_r(&seed) % 3) * MIB + 100000;
		unsigned int slot = (unsigned int)rand_r(&seed) % 8;

		if (block[slot])
			want(block[slot][0] == (char)slot && block[slot][MIB] == (char)slot, "a block is damaged");
		free(block[slot]);
		block[slot] = i % 3 ? malloc(size) : calloc(1, size);
		want(block[slot] && (i % 3 || !block[slot][size - 1]), "no zeroed %zu bytes", size);
		if (block[slot])
			for (size_t at = 0; at < size; at += PAGE)
				block[slot][at] = (char)slot;
	}
	for (int slot = 0; slot < 8; slot++)
		free(block[slot]);
	return NULL;
}

/* More than the pools have, by several threads at once. */
static void dry_under_load(void)
{
	pthread_t thread[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, churn, (void *)(i + 1));
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	want(stat_of("htlb_buddy_alloc_success ") > 0, "none was had");
	want(stat_of("htlb_buddy_alloc_fail ") > 0, "none failed");
}

/* The same while another process takes half of them and gives them back, over and over. */
static void drained_by_another(void)
{
	pid_t other = fork();

	if (!other) {
		for (alarm(500);;) {
			void *p = mmap(NULL, POOL * HUGEPAGE, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);

			if (p != MAP_FAILED)
				munmap(p, POOL * HUGEPAGE);
			usleep(1000);
		}
	}
	dry_under_load();
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
}

static void only(void)
{
	void *p[64];
	int nr = 0;

	while (nr < 64 && (p[nr] = malloc(3 * MIB))) {
		want(page_kib(p[nr]) == 2048, "block %d has other pages", nr);
		nr++;
	}
	want(nr > 0 && nr < 64 && errno == ENOMEM, "%d blocks, then error %d", nr, errno);
	want(malloc(1000) != NULL, "nor small ones");
	if (nr)
		free(p[0]);
	want(malloc(3 * MIB) != NULL, "none after one was freed");
}

/* All of the pool, in blocks that say who they are. */
#define BLOCKS 32
static char *filled[BLOCKS];
static int nr_filled;
static bool stop;

static void fill_pool(void)
{
	while (nr_filled < BLOCKS && (filled[nr_filled] = malloc(3 * MIB))) {
		memset(filled[nr_filled], nr_filled + 1, 3 * MIB);
		nr_filled++;
	}
	want(nr_filled > 1, "%d blocks", nr_filled);
	for (int nid = 0; nid < numa_nodes; nid++)
		if (numa_node[nid].mib)
			pool_set(nid, 0); /* what is in use stays; nothing is left */
}

/* Blocks from the first on hold what they did; all of them are written to. */
static bool intact(int first)
{
	bool good = true;

	for (int i = first; i < nr_filled; i++) {
		for (size_t at = 0; at < 3 * MIB; at += PAGE) {
			good &= filled[i][at] == i + 1;
			filled[i][at + 1]++;
		}
	}
	return good;
}

static void fork_and_write(int first)
{
	for (int i = 0; i < 2; i++) {
		int status = -1;
		pid_t pid = fork();

		if (!pid) {
			bool good = intact(first) && malloc(100);

			/* A child of its own has nothing to fear either. */
			pid = fork();
			if (!pid)
				_exit(!intact(first));
			good &= waitpid(pid, &status, 0) == pid && !status;
			_exit(!good);
		}
		want(intact(first), "the parent's blocks");
		want(waitpid(pid, &status, 0) == pid && !status, "a child ended with %#x", (unsigned int)status);
	}
	want(page_kib(filled[0]) == 2048, "the parent has pages of %ld kB", page_kib(filled[0]));
}

static void fork_dry(void)
{
	fill_pool();
	fork_and_write(0);
}

static void *write_on(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		for (size_t at = 0; at < 3 * MIB; at += PAGE)
			((volatile char *)arg)[at]++;
	return NULL;
}

/* The same while other threads write to theirs. */
static void fork_dry_threads(void)
{
	pthread_t thread[2];

	fill_pool();
	for (int i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, write_on, filled[i]);
	fork_and_write(2);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
}

/* On the last node that has a page of 1 GiB in one piece; below 0: none has. */
static int gigantic_node = -1;

static void gigantic(void)
{
	unsigned long mask = 1UL << gigantic_node;
	int status = -1;
	pid_t pid;
	char *p;

	bm_set_mempolicy(MPOL_BIND, &mask, MASK_BITS);
	p = malloc(KIB * GIGANTIC);
	want(p && page_kib(p) == GIGANTIC, "%p has pages of %ld kB", (void *)p, page_kib(p));
	for (size_t at = 0; p && at < KIB * GIGANTIC; at += 32 * MIB)
		want(!p[at] && numa_node_of_written(p + at) == gigantic_node, "at %zu: node %d", at,
		     numa_node_of(p + at));
	/* What is copied for a child need not be all of it. */
	p = realloc(p, 4 * MIB);
	want(page_kib(p) == GIGANTIC, "shortened, it has pages of %ld kB", page_kib(p));
	p[5] = 1;
	pid = fork();
	if (!pid) {
		p[5]++;
		_exit(p[5] != 2 || p[MIB]);
	}
	p[5]--;
	want(waitpid(pid, &status, 0) == pid && !status, "a child ended with %#x", (unsigned int)status);
	free(p);
	malloc_trim(0);
	want(pool_read_size(gigantic_node, GIGANTIC, "free_hugepages") == 1, "it did not go back");
}

static void run_gigantic(void)
{
	for (int nid = 0; nid < numa_nodes; nid++)
		if (numa_node[nid].mib > 2048 && pool_set_size(nid, GIGANTIC, 1))
			gigantic_node = nid;
	if (gigantic_node < 0)
		skip(1, "no node has 1 GiB in one piece");
	else
		run_case("1 GiB lies on one page", "try", gigantic, NULL, 0);
	for (int nid = 0; nid < numa_nodes; nid++)
		pool_set_size(nid, GIGANTIC, 0);
}

int main(void)
{
	numa_init();
	if (!pools_set(POOL))
		skip_all("this system sets no hugetlb pages aside for us");
	run_gigantic(); /* before the others: where there are such pages, small blocks never fail */
	run_case("hugetlb pages lie on the node asked for", "try", placed, NULL, 0);
	run_case("where the node's pool is empty, ordinary pages do", "try", other_pools_left, "ordinary pages serve",
		 1);
	run_case("what is free goes back to the pool", "try", given_back, NULL, 0);
	run_case("a pool runs dry under load: counted, with one warning", "try", dry_under_load, "buddymalloc:", 1);
	run_case("and while another process takes of it", "try", drained_by_another, "buddymalloc:", 1);
	run_case("hugetlb:only fails instead", "only", only, "requests fail", 1);
	run_case("a fork with a dry pool harms nobody", "only", fork_dry, "requests fail", 1);
	run_case("nor does one while threads write", "only", fork_dry_threads, "requests fail", 1);
	pools_set(0);
	return done_testing();
}
