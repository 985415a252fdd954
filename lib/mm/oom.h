/* SPDX-License-Identifier: MIT */
/*
 * When nothing else helps.
 */
#ifndef MM_OOM_H
#define MM_OOM_H

#include "mm/internal.h"

struct oom_control {
	struct zonelist *zonelist;
	const nodemask_t *nodemask;
	gfp_t gfp_mask;
	unsigned int order;
};

/* Make memory come free by ending somebody; true if it will. The caller holds the oom lock. */
bool out_of_memory(struct oom_control *oc);
/* Is this thread to end? */
bool tsk_is_oom_victim(void);

/* How often out_of_memory was called; for tests and vmstat. */
extern unsigned long oom_calls;

#endif
