/* SPDX-License-Identifier: MIT */
/*
 * Made-up machines of one, two and four nodes, the policy that the process was started with, and the thread's own. All
 * threads run on node 1 where there is more than one.
 */
#ifndef T_UNIT_MEMPOLICY_H
#define T_UNIT_MEMPOLICY_H

#include <linux/mempolicy.h>
#include <pthread.h>

#include "mm/internal.h"
#include "mm/mempolicy.h"
#include "fake_sys.h"
#include "model.h"

#define PREFERRED_MANY 5
#define WEIGHTED_INTERLEAVE 6
#define NUMA_BALANCING (1 << 13)

/* What the process was started with, and how often it was asked for. */
static int process_mode;
static uint64_t process_nodes;
static long process_error;
static int process_asked;

TAP_UNUSED long get_process_policy(int *mode, uint64_t *mask)
{
	process_asked++;
	*mode = process_mode;
	*mask = process_nodes;
	return process_error;
}

/* On nodes of which only those allowed are in the cpuset. */
TAP_UNUSED void start_cpuset(int nodes, int mode, uint64_t mask, uint64_t allowed)
{
	static struct os_ops ops;

	fake_sys_nodes(nodes, nodes > 1);
	fake_sys_mems_allowed(allowed);
	process_mode = mode;
	process_nodes = mask;
	model_native();
	ops = *os;
	ops.get_mempolicy = get_process_policy;
	os = &ops;
	must(!mm_init());
	mm_init_late();
}

TAP_UNUSED void start(int nodes, int mode, uint64_t mask)
{
	start_cpuset(nodes, mode, mask, ~0UL);
}

/* The system and we agree. */
TAP_UNUSED void allow(nodemask_t nodes)
{
	fake_sys_mems_allowed(nodes);
	set_mems_allowed(nodes);
}

TAP_UNUSED int set(int mode, unsigned long nodes)
{
	return set_task_policy(mode, &nodes, MAX_NUMNODES + 1);
}

TAP_UNUSED void must_get(int mode, unsigned long nodes)
{
	unsigned long got_nodes = ~0UL;
	int got_mode = -1;

	must(!get_task_policy_user(&got_mode, &got_nodes, MAX_NUMNODES + 1));
	must(got_mode == mode && got_nodes == nodes, "got mode %d nodes %#lx, set mode %d nodes %#lx", got_mode,
	     got_nodes, mode, nodes);
}

TAP_UNUSED int policy_first(gfp_t gfp)
{
	return policy_node(gfp, get_task_policy(gfp), numa_node_id());
}
TAP_UNUSED nodemask_t policy_nodes(gfp_t gfp)
{
	const nodemask_t *nodes = policy_nodemask(gfp, get_task_policy(gfp));

	return nodes ? *nodes : ~0UL;
}

TAP_UNUSED void in_thread(void *(*fn)(void *), const void *arg)
{
	pthread_t thread;

	must(!pthread_create(&thread, NULL, fn, (void *)(uintptr_t)arg));
	must(!pthread_join(thread, NULL));
}

#endif
