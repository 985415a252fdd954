/* SPDX-License-Identifier: MIT */
/*
 * Memory policy and cpusets: from which nodes a request may be served, and from which first.
 */
#ifndef MM_MEMPOLICY_H
#define MM_MEMPOLICY_H

#include "mm/current.h"

/* The process's policy (get_mempolicy(2)) and Mems_allowed are read; once, at start. */
void mempolicy_init(void);

/* The policy of this thread for a request; the default one under THISNODE. */
const struct mempolicy *get_task_policy(gfp_t gfp);
/* The node to begin at, and the nodes that may serve (NULL: all). */
int policy_node(gfp_t gfp, const struct mempolicy *pol, int nid);
const nodemask_t *policy_nodemask(gfp_t gfp, const struct mempolicy *pol);
/* The next node in turn. */
int interleave_nodes(const struct mempolicy *pol);

/* set_mempolicy(2), get_mempolicy(2) for this thread: 0 or -EINVAL. */
int set_task_policy(int mode, const unsigned long *nodemask, unsigned long maxnode);
int get_task_policy_user(int *mode, unsigned long *nodemask, unsigned long maxnode);

/*
 * Cpusets. cpuset_mems_allowed is the set of nodes the kernel lets this process use, as last read from
 * /proc/self/status; all nodes where that cannot be read. A read section around an allocation sees whether it changed.
 */
extern nodemask_t cpuset_mems_allowed;
bool cpusets_enabled(void); /* not all nodes are allowed, or that has been so */
bool cpuset_zone_allowed(const struct zone *zone, gfp_t gfp);
unsigned int read_mems_allowed_begin(void);
/* About to fail: read the file again; true if the set is another than at begin. */
bool read_mems_allowed_retry(unsigned int seq);
/* Take mask for the set of nodes; for tests and read_mems_allowed_retry. */
void set_mems_allowed(nodemask_t mask);

#endif
