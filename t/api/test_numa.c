/* SPDX-License-Identifier: MIT */
/*
 * Four nodes made of one by numa:fake=4, through the API: which node a thread's pages come from, those that are asked
 * for on a node or under a policy, and what the statistics of each node say.
 */
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include "reports.h"

#define NODES 4
#define ALL_NODES 0xfUL
#define PAGES 400
#define MASK_BITS (8 * sizeof(unsigned long) + 1)

extern const char *bm_conf;
const char *bm_conf = "numa:fake=4";

static void *page[PAGES];

/* The nodes of CPUs that this process may use, running on each in turn; -1 at the end. */
static int next_cpu_node(int *cpu)
{
	static cpu_set_t all;
	cpu_set_t one;

	if (*cpu < 0 && sched_getaffinity(0, sizeof(all), &all))
		bail_out("sched_getaffinity: %s", strerror(errno));
	while (++*cpu < CPU_SETSIZE) {
		if (!CPU_ISSET(*cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(*cpu, &one);
		if (!sched_setaffinity(0, sizeof(one), &one))
			return *cpu % NODES;
	}
	sched_setaffinity(0, sizeof(all), &all);
	return -1;
}

/* PAGES pages, of node to (-1: as the policy says), while this thread runs on node from: nr of each node, and what is
 * counted meanwhile is the same. */
static void take_pages(int from, int to, bool interleave, unsigned long *nr)
{
	struct numa_figures before[NODES], after[NODES];

	memset(nr, 0, NODES * sizeof(*nr));
	report_numa(before, NODES);
	for (int i = 0; i < PAGES; i++)
		page[i] = to < 0 ? bm_alloc_pages(BM_GFP_KERNEL, 0) : bm_alloc_pages_node(to, BM_GFP_KERNEL, 0);
	report_numa(after, NODES);
	for (int i = 0; i < PAGES; i++) {
		nr[bm_page_node(page[i])]++;
		bm_free_pages(page[i], 0);
	}
	want_numa_counted(before, after, NODES, from, nr, interleave);
}

static void test_local(void)
{
	unsigned long nr[NODES];
	int cpu = -1, from;

	while ((from = next_cpu_node(&cpu)) >= 0) {
		take_pages(from, -1, false, nr);
		want(nr[from] == PAGES, "CPU %d: %lu of %d pages on its node", cpu, nr[from], PAGES);
		for (int to = 0; to < NODES; to++) {
			take_pages(from, to, false, nr);
			want(nr[to] == PAGES, "CPU %d: %lu of %d pages on node %d", cpu, nr[to], PAGES, to);
		}
	}
	verdict("pages come from the node of the CPU, or that which is asked for, and are counted there");
}

static void test_this_node(void)
{
	for (int nid = 0; nid < NODES; nid++) {
		for (unsigned int order = 0; order <= 10; order++) {
			void *block = bm_alloc_pages_node(nid, BM_GFP_KERNEL | BM_GFP_THISNODE, order);

			want(block && bm_page_node(block) == nid, "order %u on node %d", order, nid);
			bm_free_pages(block, order);
		}
	}
	want(!bm_alloc_pages_node(NODES, BM_GFP_KERNEL, 0), "there is a fifth node");
	verdict("THISNODE is that node, whatever the order");
}

/* Of node 0's list of the others, by taking one after the other away. */
static void test_order(void)
{
	unsigned long set = ALL_NODES;
	int cpu = -1, from = next_cpu_node(&cpu), nid = from;

	while (set &= ~(1UL << nid)) {
		void *block;

		want(!bm_set_mempolicy(MPOL_BIND, &set, MASK_BITS), "bind to %#lx", set);
		block = bm_alloc_pages(BM_GFP_KERNEL, 0);
		nid = bm_page_node(block);
		want(nid >= 0 && set & 1UL << nid, "bound to %#lx, a page of node %d", set, nid);
		bm_free_pages(block, 0);
	}
	bm_set_mempolicy(MPOL_DEFAULT, NULL, 0);
	while (next_cpu_node(&cpu) >= 0)
		;
	verdict("each other node serves when those before it may not");
}

static void test_interleave(void)
{
	unsigned long nr[NODES], set = ALL_NODES;
	int cpu = -1, from = next_cpu_node(&cpu);

	want(!bm_set_mempolicy(MPOL_INTERLEAVE, &set, MASK_BITS), "interleave");
	take_pages(from, -1, true, nr);
	for (int nid = 0; nid < NODES; nid++)
		want(nr[nid] == PAGES / NODES, "%lu pages on node %d", nr[nid], nid);
	bm_set_mempolicy(MPOL_DEFAULT, NULL, 0);
	while (next_cpu_node(&cpu) >= 0)
		;
	verdict("interleaved pages are spread evenly, and counted as such");
}

/* malloc's blocks, slabs and runs, of a thread that is told where to run. */
static void *use_malloc(void *arg)
{
	static const size_t sizes[] = { 24, 700, 5000, 60000, 400000 };
	struct numa_figures before[NODES], after[NODES];
	static char *block[300];
	int cpu = -1, from;

	(void)arg;
	while ((from = next_cpu_node(&cpu)) >= 0) {
		for (size_t i = 0; i < API_ARRAY_SIZE(sizes); i++) {
			report_numa(before, NODES);
			for (size_t n = 0; n < API_ARRAY_SIZE(block); n++)
				block[n] = malloc(sizes[i]);
			report_numa(after, NODES);
			for (size_t n = 0; n < API_ARRAY_SIZE(block); n++)
				free(block[n]);
			for (int nid = 0; nid < NODES; nid++)
				want((after[nid].hit > before[nid].hit) == (nid == from),
				     "CPU %d: %lu pages of node %d for %zu bytes", cpu,
				     after[nid].hit - before[nid].hit, nid, sizes[i]);
		}
	}
	return NULL;
}

static void test_malloc(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, use_malloc, NULL) || pthread_join(thread, NULL))
		bail_out("no thread");
	verdict("malloc's slabs and runs come from the CPU's node");
}

int main(void)
{
	char nodes[32], online[32] = "";
	int fd = open("/sys/devices/system/node/online", O_RDONLY);

	if (fd >= 0 && read(fd, online, sizeof(online) - 1) > 0 && strcmp(online, "0\n"))
		skip_all("this machine has several nodes");
	bm_ctl_get("nodes", nodes, sizeof(nodes));
	is_str(nodes, "0-3", "four nodes are made of one");
	test_local();
	test_this_node();
	test_order();
	test_interleave();
	test_malloc();
	return done_testing();
}
