/* SPDX-License-Identifier: MIT */
/*
 * A cpuset that is changed while threads allocate: none of them fails, and new pages are of the nodes allowed then.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "numa.h"

#define GROUP "/sys/fs/cgroup/cpuset-test"
#define CHANGES 6
#define THREADS 2

static bool allow(int nid)
{
	char text[8];

	snprintf(text, sizeof(text), "%d", nid);
	return numa_put(GROUP "/cpuset.mems", text);
}

/* Two nodes that have memory. */
static void find_two(int two[2])
{
	int nr = 0;

	for (int nid = 0; nid < numa_nodes && nr < 2; nid++)
		if (numa_node[nid].mib)
			two[nr++] = nid;
	if (nr < 2)
		skip_all("only one node has memory");
}

static atomic_bool over;
static atomic_ulong failed, served;

static void *load(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	void *kept[64] = { NULL };

	while (!over) {
		size_t i = (size_t)rand_r(&seed) % 64;

		free(kept[i]);
		kept[i] = malloc((size_t)1 << (rand_r(&seed) % 22));
		if (kept[i])
			*(volatile char *)kept[i] = 1;
		else
			failed++;
		served++;
	}
	for (size_t i = 0; i < 64; i++)
		free(kept[i]);
	return NULL;
}

/* Until the threads have done something under the new set, too. */
static void let_them_work(void)
{
	unsigned long until = served + 2000;

	while (served < until)
		sched_yield();
	usleep(20000); /* the change is looked for every few milliseconds */
}

int main(void)
{
	pthread_t thread[THREADS];
	char pid[16];
	int two[2];

	numa_init();
	find_two(two);
	snprintf(pid, sizeof(pid), "%d", getpid());
	if (!numa_put("/sys/fs/cgroup/cgroup.subtree_control", "+cpuset") || mkdir(GROUP, 0755) || !allow(two[0]) ||
	    !numa_put(GROUP "/cgroup.procs", pid))
		bail_out("cannot make a cpuset: %s", strerror(errno));
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, load, (void *)(i + 1)))
			bail_out("no thread");
	for (int i = 1; i <= CHANGES; i++) {
		int nid = two[i % 2];
		void *pages;
		char *huge;

		want(allow(nid), "cannot allow node %d: %s", nid, strerror(errno));
		let_them_work();
		huge = malloc(3 * MIB);
		want(huge && !numa_astray(huge, 3 * MIB, 1UL << nid), "change %d: malloc's pages are not on node %d", i,
		     nid);
		pages = bm_alloc_pages(BM_GFP_KERNEL, 9);
		want(pages && !numa_astray(pages, PAGE << 9, 1UL << nid), "change %d: pages are not on node %d", i,
		     nid);
		want(bm_page_node(pages) == nid, "change %d: the library takes node %d for %d", i, nid,
		     bm_page_node(pages));
		bm_free_pages(pages, 9);
		pages = bm_alloc_pages(BM_GFP_KERNEL, 0);
		want(pages && !numa_astray(pages, PAGE, 1UL << nid) && bm_page_node(pages) == nid,
		     "change %d: a page is not on node %d", i, nid);
		bm_free_pages(pages, 0);
		free(huge);
	}
	over = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	verdict("after each of %d changes what is had lies on the node that is allowed", CHANGES);
	is_int(failed, 0, "and of %lu requests of %d threads meanwhile none failed", served, THREADS);
	return done_testing();
}
