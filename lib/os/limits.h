/* SPDX-License-Identifier: MIT */
/*
 * How much memory the system lets this process have, and how much of that is used: resource limits, the process's own
 * size, and the memory cgroups that it is in. Files are looked for below topology_root and proc_root; one that is not
 * there, as in a container without /proc, is no limit.
 */
#ifndef OS_LIMITS_H
#define OS_LIMITS_H

#include "base/compiler.h"

#define NO_LIMIT (~0UL)

/* What RLIMIT_AS and RLIMIT_DATA (os.h) are compared with, in bytes; data has the stacks in it, which RLIMIT_DATA does
 * not count. False if the system does not say. */
bool os_process_size(unsigned long *as, unsigned long *data);

/*
 * Of all the memory cgroups around the process, v1 or v2, that have a limit, the one that has least left; used is
 * without the cache of files, which goes when memory is short. The same for memory.high of v2, beyond which the system
 * refuses nothing, but slows down who goes there. False if there is neither. A handful of system calls for each level.
 */
struct cgroup_limit {
	unsigned long limit, used; /* NO_LIMIT: there is none */
};
struct cgroup_memory {
	struct cgroup_limit max, high;
};
bool os_cgroup_memory(struct cgroup_memory *cg);

/* The cache of files in memory.stat of that directory: two of its lines. */
struct path;
unsigned long os_file_cache(struct path *dir, const char *inactive, const char *active);

/* Is there any of these limits? */
bool os_memory_is_limited(void);

#endif
