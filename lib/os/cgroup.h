/* SPDX-License-Identifier: MIT */
/*
 * The control groups around this process, for those who read what they limit.
 */
#ifndef OS_CGROUP_H
#define OS_CGROUP_H

#include "os/path.h"

/* Where the process is in the hierarchy of a controller: "" at its root. */
struct cgroup {
	bool v1; /* else v2 */
	struct path path;
};
/* False if there is none, or it is not to be found out. */
bool os_own_cgroup(const char *controller, struct cgroup *cg);

/* look at the directory of each level, from the process's cgroup up to the root of mount, which is below topology_root.
 * True if any call was. In a container the path may be of the world outside: then the mount's root is the process's
 * own. */
bool os_cgroup_levels(const char *mount, const struct cgroup *cg, bool (*look)(struct path *dir, void *arg), void *arg);

#endif
