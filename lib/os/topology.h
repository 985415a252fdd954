/* SPDX-License-Identifier: MIT */
/*
 * Nodes and CPUs of this machine from sysfs. Missing or unreadable files (a container without /sys) mean one node
 * that has all CPUs and all memory.
 */
#ifndef OS_TOPOLOGY_H
#define OS_TOPOLOGY_H

#include "base/compiler.h"

#define MAX_NUMNODES 64
#define MAX_CPUS 1024

struct topology {
	unsigned int nr_nodes;	  /* highest node id + 1, at least 1 */
	unsigned int nr_cpus;	  /* possible CPUs, at least 1 */
	bool fake;		  /* the kernel knows of no such nodes: do not name them to it */
	uint64_t node_has_memory; /* bit per node */
	uint64_t node_has_cpu;
	uint8_t cpu_to_node[MAX_CPUS];
	uint8_t distance[MAX_NUMNODES][MAX_NUMNODES];
};
extern struct topology topology;
extern hidden_var const char *topology_from; /* the root below which it was read; NULL: not yet */

/* Where sysfs and procfs are; a test gives directories of its own before anything starts. */
extern const char *topology_root; /* "/sys" */
extern const char *proc_root;	  /* "/proc", which is proc_root_real */
extern const char proc_root_real[];

/* Fill topology from files below root. Once, at init, with one thread. Cannot fail. A machine of one node costs one
 * system call, where the kernel lets us ask, else one small file: open, read, close. */
void topology_init(const char *root);
/* In the place of the machine's one node nr of them, up to MAX_NUMNODES: each has memory, and the CPUs are dealt round.
 */
void topology_fake(unsigned int nr);
/* Memory can lie on this node or that, and the kernel can be asked to put it there. */
static always_inline bool topology_binds(void)
{
	return unlikely(topology.nr_nodes > 1) && !topology.fake;
}

/* The nodes that the kernel lets this process have memory from (cpusets): Mems_allowed of self/status below proc_root,
 * up to node 63. False if it does not say. */
bool os_read_mems_allowed(uint64_t *nodes);

/* CPUs' worth of time that the cgroups around the process let it have (cpu.max of v2, cfs_quota_us of v1, the least of
 * all levels), rounded up; 0: as much as there is. A handful of system calls for each level. */
unsigned int os_cpu_quota(void);

/* What the administrator set for weighted interleave below the node's name in sysfs, 1 to 255; 1 where the kernel has
 * no such file. */
unsigned int os_interleave_weight(int nid);

/* Move *text past a number; false if there is none. What is above UINT_MAX counts as that. */
bool parse_number(const char **text, unsigned int *n);

/* What a node has free, in bytes: MemFree of its meminfo below topology_root. False if it does not say. */
bool os_node_free(unsigned int nid, unsigned long *bytes);

/* Parse a kernel list "0-3,8": set bit n of the bitmap (nr_bits long) for each n below nr_bits, pass over those above;
 * false if malformed, with the bits before the fault set. An empty list is well formed. */
bool parse_cpulist(const char *text, unsigned long *bitmap, unsigned int nr_bits);

#endif
