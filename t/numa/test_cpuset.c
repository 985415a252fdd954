/* SPDX-License-Identifier: MIT */
/*
 * A cpuset that is changed while threads allocate: none of them fails, and new pages are of the nodes allowed then. Of
 * cgroups of version 2, where the kernel moves the pages that there are; by the word "v1" of version 1, as older
 * containers have it, where they stay; by "v1-migrate" of that, but moved.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "numa.h"

#define UNIFIED "/sys/fs/cgroup"
#define VERSION_1 "/tmp/cpuset"
#define NAME "/cpuset-test"
#define CHANGES 6
#define THREADS 2

static const char *root = UNIFIED;

static bool put(const char *file, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "%s" NAME "/%s", root, file);
	return numa_put(path, text);
}

static bool allow(int nid)
{
	char text[8];

	snprintf(text, sizeof(text), "%d", nid);
	return put("cpuset.mems", text);
}

/* The controller is of one version at a time, and stays for a moment where it was. */
static void mount_version_1(void)
{
	rmdir(UNIFIED NAME);
	if (!numa_put(UNIFIED "/cgroup.subtree_control", "-cpuset"))
		bail_out("cannot give the controller up: %s", strerror(errno));
	mkdir(VERSION_1, 0755);
	for (int i = 0; mount("cgroup", VERSION_1, "cgroup", 0, "cpuset"); i++) {
		if (errno != EBUSY || i == 1000)
			bail_out("cannot mount cpusets of version 1: %s", strerror(errno));
		usleep(10000);
	}
	root = VERSION_1;
}

/* This process is alone in it. */
static void make_cpuset(const char *version, int nid)
{
	char path[64], text[16];
	bool made;

	if (version)
		mount_version_1();
	else if (!numa_put(UNIFIED "/cgroup.subtree_control", "+cpuset"))
		bail_out("no cpusets: %s", strerror(errno));
	snprintf(path, sizeof(path), "%s" NAME, root);
	made = !mkdir(path, 0755) && allow(nid);
	if (version) { /* nothing is inherited there */
		snprintf(text, sizeof(text), "0-%ld", sysconf(_SC_NPROCESSORS_CONF) - 1);
		made = made && put("cpuset.cpus", text) &&
		       put("cpuset.memory_migrate", strcmp(version, "v1") ? "1" : "0");
	}
	snprintf(text, sizeof(text), "%d", getpid());
	if (!made || !put("cgroup.procs", text))
		bail_out("cannot make a cpuset: %s", strerror(errno));
}

/* The last process of version 1 leaves it, and it is to be had again. */
static void leave_cpuset(void)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", getpid());
	if (numa_put(VERSION_1 "/cgroup.procs", text) && !rmdir(VERSION_1 NAME))
		umount(VERSION_1);
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

int main(int argc, char **argv)
{
	pthread_t thread[THREADS];
	int two[2];

	numa_init();
	find_two(two);
	make_cpuset(argc > 1 ? argv[1] : NULL, two[0]);
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
	if (argc > 1)
		leave_cpuset();
	verdict("after each of %d changes what is had lies on the node that is allowed", CHANGES);
	is_int(failed, 0, "and of %lu requests of %d threads meanwhile none failed", served, THREADS);
	return done_testing();
}
