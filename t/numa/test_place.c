/* SPDX-License-Identifier: MIT */
/*
 * Pages lie on the node that they were asked of: by the request, by a policy, or by where the thread runs.
 * move_pages(2) says where they are.
 */
#include "numa.h"

#define SLOTS 4096
#define PREFERRED_MANY 5 /* Linux 5.15 */

/* What has been had and is kept, so that nothing is had twice. */
static struct {
	void *addr;
	unsigned int order;
} page[SLOTS];
static int pages;
static void *block[SLOTS];
static int blocks;

static void keep_page(void *addr, unsigned int order)
{
	if (pages == SLOTS)
		bail_out("too many pages");
	page[pages].addr = addr;
	page[pages++].order = order;
}

static void drop_all(void)
{
	while (pages) {
		pages--;
		bm_free_pages(page[pages].addr, page[pages].order);
	}
	while (blocks)
		free(block[--blocks]);
}

static unsigned long all_nodes(void)
{
	return ~0UL >> (64 - numa_nodes);
}

/* Blocks of all orders; nid -1: as the thread's policy has it. All of them lie in the set. */
static void want_pages(int nid, bm_gfp_t gfp, unsigned long set)
{
	for (unsigned int order = 0; order <= 10; order++) {
		for (int i = 0; i < (order < 5 ? 8 : 1); i++) {
			void *p = nid < 0 ? bm_alloc_pages(gfp, order) : bm_alloc_pages_node(nid, gfp, order);

			want(p != NULL, "no block of order %u on nodes %#lx", order, set);
			if (!p)
				continue;
			want(!numa_astray(p, PAGE << order, set), "order %u on nodes %#lx: a page lies on %d", order,
			     set, numa_node_of(p));
			want(set & 1UL << bm_page_node(p), "order %u: bm_page_node %d", order, bm_page_node(p));
			keep_page(p, order);
		}
	}
}

/* The other ways to have pages. */
static void want_kin(int nid, unsigned long set)
{
	void *array[64];
	char *p;

	p = bm_alloc_pages_exact(5 * PAGE, BM_GFP_KERNEL);
	want(p && !numa_astray(p, 5 * PAGE, set), "exact pages on nodes %#lx", set);
	bm_free_pages_exact(p, 5 * PAGE);

	memset(array, 0, sizeof(array));
	want(bm_alloc_pages_bulk(BM_GFP_KERNEL, 64, array) == 64, "no 64 pages on nodes %#lx", set);
	for (int i = 0; i < 64; i++) {
		want(array[i] && !numa_astray(array[i], PAGE, set), "page %d of bulk on nodes %#lx", i, set);
		bm_free_pages(array[i], 0);
	}

	p = bm_alloc_contig_pages(1500, BM_GFP_KERNEL, nid);
	want(p && !numa_astray(p, 1500 * PAGE, set), "contiguous pages on nodes %#lx", set);
	bm_free_contig_pages(p, 1500);
}

static void want_malloc(size_t size, int nr, unsigned long set)
{
	for (int i = 0; i < nr; i++) {
		void *p = malloc(size);

		want(p != NULL, "no %zu bytes on nodes %#lx", size, set);
		if (!p)
			return;
		if (blocks == SLOTS)
			bail_out("too many blocks");
		block[blocks++] = p;
		want(!numa_astray(p, size, set), "%zu bytes on nodes %#lx: a page lies on %d", size, set,
		     numa_node_of(p));
	}
}

/* Blocks that no slab holds. */
static void want_large(unsigned long set)
{
	static const size_t sizes[] = { 40000, 100000, 200000, 500000, 1000000, 1500000, 5000000 };

	for (size_t i = 0; i < API_ARRAY_SIZE(sizes); i++)
		want_malloc(sizes[i], 2, set);
}

static void want_small(unsigned long set)
{
	static const size_t sizes[] = { 1, 16, 100, 500, 1000, 3000, 8000, 16000, 32000 };

	for (size_t i = 0; i < API_ARRAY_SIZE(sizes); i++)
		want_malloc(sizes[i], 100, set);
}

static void test_thisnode(void)
{
	for (int from = 0; from < numa_nodes; from++) {
		if (!numa_node[from].cpus)
			continue;
		numa_run_on(from);
		for (int nid = 0; nid < numa_nodes; nid++)
			if (numa_node[nid].mib)
				want_pages(nid, BM_GFP_KERNEL | BM_GFP_THISNODE, 1UL << nid);
	}
	numa_run_on(-1);
	drop_all();
	verdict("with THISNODE every page lies on the node asked for");
}

static void test_node(void)
{
	for (int nid = 0; nid < numa_nodes; nid++)
		if (numa_node[nid].mib)
			want_pages(nid, BM_GFP_USER, 1UL << nid);
	drop_all();
	verdict("without it too, as long as the node has some");
}

static void test_bind(void)
{
	for (int nid = 0; nid < numa_nodes; nid++) {
		unsigned long set = 1UL << nid;

		if (!numa_node[nid].mib)
			continue;
		bm_set_mempolicy(MPOL_BIND, &set, MASK_BITS);
		want_pages(-1, BM_GFP_KERNEL, set);
		want_kin(nid, set);
		want_small(set);
		want_large(set);
	}
	drop_all();
	bm_set_mempolicy(MPOL_DEFAULT, NULL, 0);
	verdict("under bind every page and every block lies on the node it is bound to");
}

static void test_preferred(void)
{
	for (int nid = 0; nid < numa_nodes; nid++) {
		unsigned long set = 1UL << nid;

		if (!numa_node[nid].mib)
			continue;
		bm_set_mempolicy(MPOL_PREFERRED, &set, MASK_BITS);
		want_pages(-1, BM_GFP_KERNEL, set);
		want_small(set);
		want_large(set);
	}
	drop_all();
	bm_set_mempolicy(MPOL_DEFAULT, NULL, 0);
	verdict("under preferred too");
}

static void test_local(void)
{
	for (int from = 0; from < numa_nodes; from++) {
		if (!numa_node[from].cpus)
			continue;
		numa_run_on(from);
		want_pages(-1, BM_GFP_KERNEL, numa_nearest(from, all_nodes()));
		want_large(numa_nearest(from, all_nodes()));
	}
	numa_run_on(-1);
	drop_all();
	verdict("without a policy a thread that moves from node to node has them where it runs, or nearest to it");
}

/* So many pages lie on each node: as many on one as on another, within one. */
static void want_even(const unsigned long *nr, const char *what)
{
	unsigned long least = ~0UL, most = 0;

	for (int nid = 0; nid < numa_nodes; nid++) {
		if (!numa_node[nid].mib)
			continue;
		least = nr[nid] < least ? nr[nid] : least;
		most = nr[nid] > most ? nr[nid] : most;
	}
	want(most - least <= 1, "%s: between %lu and %lu pages on a node", what, least, most);
}

static void count_pages(char *p, size_t bytes, unsigned long *nr)
{
	memset(nr, 0, NUMA_MAX * sizeof(*nr));
	for (size_t at = 0; at < bytes; at += PAGE) {
		int nid;

		((volatile char *)p)[at] = 1;
		nid = numa_node_of_written(p + at);
		if (want(nid >= 0, "page %zu lies on %d", at / PAGE, nid))
			nr[nid]++;
	}
}

/* A block that has a mapping to itself. What it has lent goes back where it came from. */
static void test_interleave_huge(void)
{
	unsigned long set = all_nodes(), nr[NUMA_MAX];
	static const size_t sizes[] = { 4 * MIB, 5 * MIB, 7 * MIB };

	for (int round = 0; round < 3; round++) {
		char *p;

		bm_set_mempolicy(MPOL_INTERLEAVE, &set, MASK_BITS);
		p = malloc(sizes[round]);
		want(p != NULL, "no %zu bytes", sizes[round]);
		count_pages(p, sizes[round], nr);
		want_even(nr, "huge");
		p = realloc(p, sizes[round] + MIB / 2);
		want(p != NULL, "no %zu bytes", sizes[round] + MIB / 2);
		count_pages(p, sizes[round] + MIB / 2, nr);
		want_even(nr, "longer");
		free(p);
		for (int nid = 0; nid < numa_nodes; nid++) {
			unsigned long one = 1UL << nid;

			if (!numa_node[nid].mib)
				continue;
			bm_set_mempolicy(round ? MPOL_PREFERRED : MPOL_BIND, &one, MASK_BITS);
			want_malloc(sizes[round], 1, one);
		}
		drop_all();
	}
	bm_set_mempolicy(MPOL_DEFAULT, NULL, 0);
	verdict("the pages of an interleaved huge block, too, and what is had after it lies where it is to");
}

/* Pages in turn, by the policy that holds. */
static void want_interleaved(void)
{
	unsigned long nr[NUMA_MAX] = { 0 };

	for (int i = 0; i < 1001; i++) {
		char *p = bm_alloc_pages(BM_GFP_KERNEL, 0);
		int nid;

		*(volatile char *)p = 1;
		nid = numa_node_of_written(p);
		if (want(nid >= 0, "page %d lies on %d", i, nid))
			nr[nid]++;
		keep_page(p, 0);
	}
	drop_all();
	want_even(nr, "pages");
}

static void test_interleave(void)
{
	unsigned long set = all_nodes();

	bm_set_mempolicy(MPOL_INTERLEAVE, &set, MASK_BITS);
	want_interleaved();
	bm_set_mempolicy(MPOL_DEFAULT, NULL, 0);
	verdict("interleaved pages are spread evenly, within one");
}

/* From one node to the other by their numbers: what comes to a block is on that which the policy of now says. */
static void resize_between(int from, int to)
{
	static const size_t sizes[][2] = { { 100, 1000 },	 { 20000, 30000 },     { 40000, 50000 },
					   { 300000, 900000 },	 { 500000, 600000 },   { 900000, 1500000 },
					   { 1500000, 1600000 }, { 1500000, 9000000 }, { 5000000, 5100000 } };

	for (size_t i = 0; i < API_ARRAY_SIZE(sizes); i++) {
		unsigned long set = 1UL << from;
		size_t had;
		char *p, *moved;

		bm_set_mempolicy(MPOL_BIND, &set, MASK_BITS);
		p = malloc(sizes[i][0]);
		want(p && !numa_astray(p, sizes[i][0], set), "%zu bytes on node %d", sizes[i][0], from);
		had = (malloc_usable_size(p) + PAGE - 1) & ~(PAGE - 1);
		set = 1UL << to;
		bm_set_mempolicy(MPOL_BIND, &set, MASK_BITS);
		moved = realloc(p, sizes[i][1]);
		had = moved == p ? had : 0;
		want(moved && (had >= sizes[i][1] || !numa_astray(moved + had, sizes[i][1] - had, set)),
		     "%zu bytes of node %d came to be %zu: what came is not of node %d", sizes[i][0], from, sizes[i][1],
		     to);
		free(moved);
	}
}

static void test_realloc(void)
{
	for (int from = 0; from < numa_nodes; from++)
		for (int to = 0; to < numa_nodes; to++)
			if (numa_node[from].mib && numa_node[to].mib)
				resize_between(from, to);
	bm_set_mempolicy(MPOL_DEFAULT, NULL, 0);
	verdict("what realloc lengthens a block by lies where the policy says by then");
}

/* Blocks of every size, on some of the nodes from the start of their program. */
static void want_all(unsigned long set)
{
	want_small(set);
	want_large(set);
	want_pages(-1, BM_GFP_KERNEL, set);
	drop_all();
}

/* And on each of them as many: small blocks by their slabs, so that none has much more than another. */
static void want_spread(unsigned long set)
{
	unsigned long nr[NUMA_MAX] = { 0 }, least = ~0UL, most = 0;
	char *p = malloc(6 * MIB);

	want_all(set);
	want_interleaved();
	want(p != NULL, "no 6 MiB");
	count_pages(p, 6 * MIB, nr);
	want_even(nr, "huge");
	free(p);
	memset(nr, 0, sizeof(nr));
	for (int i = 0; i < SLOTS; i++) {
		int nid;

		block[i] = malloc(1000);
		*(volatile char *)block[i] = 1;
		nid = numa_node_of_written(block[i]);
		if (want(nid >= 0, "block %d lies on %d", i, nid))
			nr[nid]++;
	}
	for (int nid = 0; nid < numa_nodes; nid++) {
		if (!numa_node[nid].mib)
			continue;
		least = nr[nid] < least ? nr[nid] : least;
		most = nr[nid] > most ? nr[nid] : most;
	}
	want(most - least < SLOTS / 10, "between %lu and %lu of %d blocks on a node", least, most, SLOTS);
}

/* A program of its own, under a policy from its start. */
static int as_child(int mode, unsigned long set)
{
	if (mode == MPOL_INTERLEAVE)
		want_spread(set);
	else
		want_all(set);
	return api_failures != 0;
}

/* Start it on the CPUs of a node (-1: of all). */
static bool child_passes(int cpus_of, int mode, unsigned long set)
{
	char by[16], nodes[24];
	int status = -1;
	pid_t child;

	snprintf(by, sizeof(by), "%d", mode);
	snprintf(nodes, sizeof(nodes), "%lu", set);
	fflush(NULL);
	child = fork();
	if (!child) {
		numa_run_on(cpus_of);
		if (mode == MPOL_DEFAULT || !syscall(SYS_set_mempolicy, mode, &set, MASK_BITS))
			execl("/proc/self/exe", "test_place", by, nodes, NULL);
		_exit(2);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static void test_children(void)
{
	unsigned long nearest;

	for (int nid = 0; nid < numa_nodes; nid++) {
		if (!numa_node[nid].mib)
			continue;
		want(child_passes(-1, MPOL_BIND, 1UL << nid), "bound to node %d", nid);
		want(child_passes(-1, MPOL_PREFERRED, 1UL << nid), "preferring node %d", nid);
		want(child_passes(-1, PREFERRED_MANY, 1UL << nid), "preferring the one node %d", nid);
		for (int other = 0; other < nid; other++)
			if (numa_node[other].mib)
				want(child_passes(-1, MPOL_BIND, 1UL << nid | 1UL << other), "bound to nodes %d and %d",
				     nid, other);
	}
	want(child_passes(-1, MPOL_INTERLEAVE, all_nodes()), "interleaving");
	verdict("a program that is started under a policy has blocks of every size where that says");
	for (int nid = 0; nid < numa_nodes; nid++) {
		nearest = numa_nearest(nid, all_nodes());
		if (numa_node[nid].cpus && !(nearest & (nearest - 1)))
			want(child_passes(nid, MPOL_DEFAULT, nearest), "on the CPUs of node %d", nid);
	}
	verdict("and one that runs on a node's CPUs has them there, or nearest to it");
}

int main(int argc, char **argv)
{
	numa_init();
	if (argc > 2)
		return as_child(atoi(argv[1]), strtoul(argv[2], NULL, 10));
	/* Pages are counted; where it has hugepages at hand the system interleaves those. */
	if (bm_ctl_set("thp", "never"))
		bail_out("thp cannot be set");
	test_thisnode();
	test_node();
	test_bind();
	test_preferred();
	test_realloc();
	test_local();
	test_interleave();
	test_interleave_huge();
	test_children();
	return done_testing();
}
