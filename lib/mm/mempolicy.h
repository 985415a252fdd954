/* SPDX-License-Identifier: MIT */
/*
 * Memory policy and cpusets: from which nodes a request may be served, and from which first.
 */
#ifndef MM_MEMPOLICY_H
#define MM_MEMPOLICY_H

#include <linux/mempolicy.h>

#include "base/atomic.h"
#include "mm/current.h"

struct alloc_context;

/* MPOL_PREFERRED_MANY and MPOL_WEIGHTED_INTERLEAVE, which the headers of Linux before 5.15 and 6.9 lack. */
#define POLICY_PREFERRED_MANY 5
#define POLICY_WEIGHTED_INTERLEAVE 6

/* The process's policy (get_mempolicy(2)) and Mems_allowed are read; once, when the nodes are known and before the
 * first page is handed out. No system call where there is but one node. */
void mempolicy_init(void);

/* Local allocation from any node: what a request has where no other policy says anything. */
extern const struct mempolicy default_policy;
/* Some thread has, or had, another policy, and there is more than one node. */
extern bool mempolicies_enabled;

/* The policy of this thread, as far as there is one. */
const struct mempolicy *current_policy(void);

/* The policy of this thread for a request; default_policy under THISNODE. */
static always_inline const struct mempolicy *get_task_policy(gfp_t gfp)
{
	if (likely(!data_race(mempolicies_enabled)) || gfp & GFP_THISNODE)
		return &default_policy;
	return current_policy();
}

/* The node to begin at, for a thread that runs on nid; and the nodes that may serve (NULL: all). For all modes but
 * interleave, where interleave_nodes says the former, and the latter are all. */
int policy_node(gfp_t gfp, const struct mempolicy *pol, int nid);
const nodemask_t *policy_nodemask(gfp_t gfp, const struct mempolicy *pol);
/* From several nodes in turn, weighted or not. */
static always_inline bool mpol_interleaves(const struct mempolicy *pol)
{
	return pol->mode == MPOL_INTERLEAVE || pol->mode == POLICY_WEIGHTED_INTERLEAVE;
}
/* The next node in turn. */
int interleave_nodes(const struct mempolicy *pol);
/* One node, for memory that comes from no zonelist; interleave: the next in turn. */
int mempolicy_slab_node(void);

/* set_mempolicy(2), get_mempolicy(2) for this thread: 0 or -EINVAL. */
int set_task_policy(int mode, const unsigned long *nodemask, unsigned long maxnode);
int get_task_policy_user(int *mode, unsigned long *nodemask, unsigned long maxnode);

/*
 * Cpusets. cpuset_mems_allowed is the set of nodes the kernel lets this process use, as last read from
 * /proc/self/status; all nodes where that cannot be read. A read section around an allocation sees whether it changed.
 */
extern nodemask_t cpuset_mems_allowed;
extern unsigned int mems_allowed_seq; /* one more with each change */
extern bool cpusets_in_use;	      /* not all nodes are allowed, or that has been so */
static always_inline bool cpusets_enabled(void)
{
	return unlikely(READ_ONCE(cpusets_in_use));
}
bool cpuset_zone_allowed(const struct zone *zone, gfp_t gfp);
static always_inline bool cpuset_nodemask_valid_mems_allowed(const nodemask_t *nodes)
{
	return READ_ONCE(*nodes) & READ_ONCE(cpuset_mems_allowed);
}
static always_inline unsigned int read_mems_allowed_begin(void)
{
	return smp_load_acquire(&mems_allowed_seq);
}
/* Several nodes: is the set another by now? Asked for again every few milliseconds, where something is done that takes
 * longer; no lock is held. */
void mems_allowed_poll_slow(void);
static always_inline void mems_allowed_poll(void)
{
	if (topology_binds())
		mems_allowed_poll_slow();
}
/* About to fail: the same; true if the set is another than at begin. */
bool read_mems_allowed_retry(unsigned int seq);
/* The same, for an allocation: the thread's policy follows the change, and a nodemask without a node that is allowed is
 * taken away. */
bool check_retry_cpuset(unsigned int seq, struct alloc_context *ac);
/* Take mask for the set of nodes; for mempolicy_init, read_mems_allowed_retry and tests. A mask without a node that we
 * know changes nothing. */
void set_mems_allowed(nodemask_t mask);

#endif
