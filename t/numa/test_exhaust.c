/* SPDX-License-Identifier: MIT */
/*
 * A node that has no memory left: what is asked of it alone fails, and what may be of others comes from the nearest
 * that has some, whatever node the thread that asks runs on.
 */
#include "numa.h"
#include "reports.h"

#define FOLLOWING 4 /* blocks of another node, before the next one is exhausted, too */
#define SLOTS 65536

static char *block[SLOTS];

static unsigned long all_but(int nid)
{
	return (~0UL >> (64 - numa_nodes)) & ~(1UL << nid);
}

static long free_kib(int nid)
{
	char path[64], key[32];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", nid);
	snprintf(key, sizeof(key), "Node %d MemFree:", nid);
	return api_figure(path, key);
}

static struct numa_figures figures_of(int nid)
{
	struct numa_figures of[NUMA_MAX];

	report_numa(of, NUMA_MAX);
	return of[nid];
}

/* Until some come from elsewhere: the first of them from the nearest. */
static void fill(int nid, unsigned int order)
{
	unsigned long nearest = numa_nearest(nid, all_but(nid)), missed = 0, foreign = figures_of(nid).foreign;
	size_t bytes = PAGE << order;
	long most = numa_node[nid].mib * MIB / (long)bytes + FOLLOWING;
	int following = 0, last = nid;

	for (long i = 0; i < most && i < SLOTS && following < FOLLOWING; i++) {
		char *p = bm_alloc_pages_node(nid, BM_GFP_KERNEL, order);
		int of;

		if (!want(p != NULL, "node %d, order %u: no memory", nid, order))
			return;
		of = bm_page_node(p);
		want(!numa_astray(p, bytes, 1UL << of), "node %d, order %u: a block is of node %d, but lies elsewhere",
		     nid, order, of);
		if (of == nid)
			continue;
		if (!following)
			want(free_kib(nid) < numa_node[nid].mib * 1024 / 8, "node %d, order %u: %ld KiB are free", nid,
			     order, free_kib(nid));
		want(nearest & 1UL << of, "node %d, order %u: a block of node %d", nid, order, of);
		last = of;
		following++;
	}
	want(following >= FOLLOWING, "node %d, order %u never ended", nid, order);
	missed = figures_of(last).miss;
	foreign = figures_of(nid).foreign - foreign;
	want(missed >= FOLLOWING && foreign >= FOLLOWING, "node %d, order %u: %lu missed, %lu foreign", nid, order,
	     missed, foreign);
}

/* Blocks are only looked at when there are no more: they are there all the same. */
static void want_blocks(int nid, int nr, size_t bytes, const char *what)
{
	unsigned long astray = 0;
	long left = free_kib(nid);

	for (int i = 0; i < nr; i++)
		astray += numa_astray(block[i], bytes, 1UL << nid);
	want(!astray, "node %d, %s: %lu pages of %d blocks lie elsewhere", nid, what, astray, nr);
	want((size_t)nr * bytes >= (size_t)numa_node[nid].mib * MIB / 3 || nr == SLOTS,
	     "node %d, %s: only %d blocks, and %ld KiB are free, %ld when it was refused", nid, what, nr, free_kib(nid),
	     left);
}

static void fill_thisnode(int nid, unsigned int order)
{
	char what[32];
	int nr = 0;

	while (nr < SLOTS &&
	       (block[nr] = bm_alloc_pages_node(nid, BM_GFP_KERNEL | BM_GFP_NOWARN | BM_GFP_THISNODE, order)))
		nr++;
	snprintf(what, sizeof(what), "order %u", order);
	want_blocks(nid, nr, PAGE << order, what);
	want(order == 0 || nr < SLOTS, "node %d, %s: never ended", nid, what);
	/* What is given back can be had again. */
	for (int i = 0; i < nr / 2; i++)
		bm_free_pages(block[i], order);
	for (int i = 0; i < nr / 4; i++) {
		block[i] = bm_alloc_pages_node(nid, BM_GFP_KERNEL | BM_GFP_THISNODE, order);
		want(block[i] && !numa_astray(block[i], PAGE << order, 1UL << nid),
		     "node %d, %s: block %d of %d, again", nid, what, i, nr);
	}
}

static void fill_bound(int nid, size_t bytes)
{
	unsigned long set = 1UL << nid;
	char what[32];
	int nr = 0;

	bm_set_mempolicy(MPOL_BIND, &set, MASK_BITS);
	while (nr < SLOTS && (block[nr] = malloc(bytes)))
		nr++;
	bm_set_mempolicy(MPOL_DEFAULT, NULL, 0);
	snprintf(what, sizeof(what), "%zu bytes", bytes);
	want_blocks(nid, nr, bytes, what);
	want(bytes * SLOTS < (size_t)numa_node[nid].mib * MIB || nr < SLOTS, "node %d, %s: never ended", nid, what);
}

/* A program of its own, as what it has had is all free again at its end. */
static int as_child(int nid, const char *what, unsigned long how)
{
	if (!strcmp(what, "any"))
		fill(nid, (unsigned int)how);
	else if (!strcmp(what, "this"))
		fill_thisnode(nid, (unsigned int)how);
	else
		fill_bound(nid, how);
	return api_failures != 0;
}

static bool child_passes(int nid, const char *what, unsigned long how)
{
	char number[16], by[24];
	int status = -1;
	pid_t child;

	snprintf(number, sizeof(number), "%d", nid);
	snprintf(by, sizeof(by), "%lu", how);
	fflush(NULL);
	child = fork();
	if (!child) {
		execl("/proc/self/exe", "test_exhaust", number, what, by, NULL);
		_exit(2);
	}
	waitpid(child, &status, 0);
	return want(WIFEXITED(status) && !WEXITSTATUS(status), "node %d, %s %lu: status %#x", nid, what, how, status);
}

static void each_node(const char *what, const unsigned long *how, size_t nr)
{
	for (int nid = 0; nid < numa_nodes; nid++)
		for (size_t i = 0; numa_node[nid].mib && i < nr; i++)
			child_passes(nid, what, how[i]);
}

int main(int argc, char **argv)
{
	static const unsigned long orders[] = { 9, 0 }, sizes[] = { 3000, 100000, 5000000 };

	numa_init();
	if (argc > 3)
		return as_child(atoi(argv[1]), argv[2], strtoul(argv[3], NULL, 10));
	each_node("any", orders, API_ARRAY_SIZE(orders));
	verdict("after a node's last page come those of the node nearest to it, and are counted as such");
	each_node("this", orders, API_ARRAY_SIZE(orders));
	verdict("with THISNODE there are no more then");
	each_node("bound", sizes, API_ARRAY_SIZE(sizes));
	verdict("and malloc has none for who is bound to the node");
	return done_testing();
}
