/* SPDX-License-Identifier: MIT */
/*
 * What the page allocator knows of each thread: the kernel's fields of current.
 */
#ifndef MM_CURRENT_H
#define MM_CURRENT_H

#include "mm/gfp.h"

#define PF_MEMALLOC_NOFS BM_SCOPE_NOFS
#define PF_MEMALLOC_NOIO BM_SCOPE_NOIO
#define PF_MEMALLOC BM_SCOPE_NORECLAIM /* reclaims, or is in such a scope: may use the reserve, must not reclaim */
#define PF_MEMALLOC_PIN BM_SCOPE_PIN
#define PF_SCOPES 0xfu
#define PF_DUMPCORE 0x10u /* is dumping core: the OOM step leaves it alone */
#define PF_FAIL 0x20u	  /* faults are injected here (task-filter) */

struct mempolicy {
	unsigned short mode; /* MPOL_* */
	unsigned short flags;
	nodemask_t nodes;
};

struct task {
	unsigned int flags; /* PF_* */
	bool has_policy;    /* it set one; else the process's counts */
	uint8_t il_prev;    /* interleave: the node used last */
	struct mempolicy policy;
};
extern thread_local_var struct task current_task;
#define current (&current_task)

/* The request under the thread's scopes. */
static always_inline gfp_t current_gfp_context(gfp_t gfp)
{
	unsigned int flags = current->flags;

	if (unlikely(flags & (PF_MEMALLOC_NOFS | PF_MEMALLOC_NOIO | PF_MEMALLOC_PIN))) {
		if (flags & PF_MEMALLOC_NOIO)
			gfp &= ~(GFP_IO | GFP_FS);
		else if (flags & PF_MEMALLOC_NOFS)
			gfp &= ~GFP_FS;
		if (flags & PF_MEMALLOC_PIN)
			gfp &= ~GFP_MOVABLE;
	}
	return gfp;
}

#endif
