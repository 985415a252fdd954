/* SPDX-License-Identifier: MIT */
/*
 * A node that has no memory left: what is asked of it comes from the nearest that has some, whatever node the thread
 * that asks runs on.
 */
#include "numa.h"

#define ORDER 10
#define BYTES (PAGE << ORDER)
#define FOLLOWING 4 /* blocks of another node, before the next one is exhausted, too */

static long node_free_kib(int nid)
{
	char path[64], key[32];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", nid);
	snprintf(key, sizeof(key), "Node %d MemFree:", nid);
	return api_proc_kib(path, key);
}

/* A program of its own, as what it has had is all free again at its end. */
static int fill(int nid)
{
	unsigned long nearest = numa_nearest(nid, (~0UL >> (64 - numa_nodes)) & ~(1UL << nid));
	int following = 0;

	for (long left = numa_node[nid].mib * MIB / BYTES + FOLLOWING; left && following < FOLLOWING; left--) {
		char *p = bm_alloc_pages_node(nid, BM_GFP_KERNEL, ORDER);

		if (!want(p != NULL, "node %d: no memory", nid))
			break;
		for (size_t at = 0; at < BYTES; at += PAGE) {
			int lies;

			p[at] = 1;
			lies = numa_node_of(p + at);
			if (lies == nid)
				continue;
			if (!following)
				want(node_free_kib(nid) < numa_node[nid].mib * 1024 / 8,
				     "node %d: a page lies on %d, and %ld KiB are free", nid, lies, node_free_kib(nid));
			if (!want(lies >= 0 && nearest & 1UL << lies, "node %d: a page lies on %d", nid, lies))
				return 1;
			following += !following;
		}
		following += !!following;
	}
	want(following >= FOLLOWING, "node %d never ended", nid);
	return api_failures != 0;
}

static bool child_passes(int nid)
{
	char number[16];
	int status = -1;
	pid_t child;

	snprintf(number, sizeof(number), "%d", nid);
	fflush(NULL);
	child = fork();
	if (!child) {
		execl("/proc/self/exe", "test_exhaust", number, NULL);
		_exit(2);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	numa_init();
	if (argc > 1)
		return fill(atoi(argv[1]));
	for (int nid = 0; nid < numa_nodes; nid++)
		if (numa_node[nid].mib)
			ok(child_passes(nid), "after the last page of node %d come those of the node nearest to it",
			   nid);
	return done_testing();
}
