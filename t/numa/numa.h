/* SPDX-License-Identifier: MIT */
/*
 * What the guests' tests share: the nodes that the guest was booted with, threads that run on one of them, and where
 * the kernel says a page lies.
 */
#ifndef T_NUMA_NUMA_H
#define T_NUMA_NUMA_H

#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "api.h"

#define NUMA_MAX 8
#define PAGE 4096UL
#define MASK_BITS (8 * sizeof(unsigned long) + 1) /* what takes a mask wants one more than it has bits */

/* As the test's script says it: CPUS:MIB:DISTANCE,... for each node. */
struct numa_node {
	int cpus, first_cpu;
	long mib;
	int distance[NUMA_MAX];
};
static struct numa_node numa_node[NUMA_MAX];
static int numa_nodes;

API_UNUSED void numa_init(void)
{
	const char *p = getenv("GUEST_NODES");
	int cpu = 0, len;

	if (!p)
		skip_all("this is for the guests of make check-numa");
	for (; sscanf(p, " %d:%ld:%n", &numa_node[numa_nodes].cpus, &numa_node[numa_nodes].mib, &len) == 2;
	     numa_nodes++) {
		struct numa_node *node = &numa_node[numa_nodes];

		p += len;
		for (int to = 0; *p && *p != ' '; to++) {
			node->distance[to] = (int)strtol(p, (char **)&p, 10);
			p += *p == ',';
		}
		node->first_cpu = cpu;
		cpu += node->cpus;
	}
	api_prove_served();
}

/* The calling thread runs on this node's CPUs; -1: on all. */
API_UNUSED void numa_run_on(int nid)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int n = 0; n < numa_nodes; n++) {
		for (int cpu = 0; cpu < numa_node[n].cpus; cpu++)
			if (nid < 0 || n == nid)
				CPU_SET(numa_node[n].first_cpu + cpu, &set);
	}
	if (sched_setaffinity(0, sizeof(set), &set))
		bail_out("cannot run on node %d: %s", nid, strerror(errno));
}

/* Of the nodes in the set those with memory that are nearest to nid. */
API_UNUSED unsigned long numa_nearest(int nid, unsigned long set)
{
	unsigned long nearest = 0;
	int least = 256;

	for (int n = 0; n < numa_nodes; n++) {
		if (!numa_node[n].mib || !(set & 1UL << n) || numa_node[nid].distance[n] > least)
			continue;
		nearest = numa_node[nid].distance[n] < least ? 1UL << n : nearest | 1UL << n;
		least = numa_node[nid].distance[n];
	}
	return nearest;
}

/* Into a file of /sys; false: there is none, or it does not take that. */
API_UNUSED bool numa_put(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/* The node that the page at addr lies on, by the kernel; below 0: -errno, -ENOENT where there is none yet. */
API_UNUSED int numa_node_of(const void *addr)
{
	void *page = (void *)((uintptr_t)addr & ~(PAGE - 1));
	int status = -EINVAL;

	return syscall(SYS_move_pages, 0, 1UL, &page, NULL, &status, 0) ? -errno : status;
}

/* Of a page that has been written to. While the kernel moves it, as its compaction does where little is free, it is
 * said to be nowhere; who reads it waits for that. */
API_UNUSED int numa_node_of_written(const void *addr)
{
	int nid = -ENOENT;

	for (int i = 0; i < 1000 && nid == -ENOENT; i++) {
		(void)*(const volatile char *)addr;
		nid = numa_node_of(addr);
	}
	return nid;
}

/* How many of the bytes' pages, each of which is written to, do not lie on a node of the set. */
API_UNUSED unsigned long numa_astray(void *addr, size_t bytes, unsigned long set)
{
	unsigned long nr = 0;

	for (size_t at = 0; at < bytes; at += PAGE) {
		int nid;

		((volatile char *)addr)[at] = 1;
		nid = numa_node_of_written((char *)addr + at);
		nr += nid < 0 || !(set & 1UL << nid);
	}
	return nr;
}

#endif
