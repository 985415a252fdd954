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
#define PF_DUMPCORE 0x10u	 /* is dumping core: the OOM step leaves it alone */
#define PF_FAIL 0x20u		 /* faults are injected here (task-filter) */
#define PF_MEMSTALL 0x40u	 /* is stalled for memory (pressure.h) */
#define PF_KSWAPD 0x80u		 /* reclaims in the background */
#define PF_COUNT_RESIDENT 0x200u /* wants to know exactly how much goes back to the system */
#define PF_FREES_IDLE 0x400u	 /* what it frees has lain idle for long (idle_frees_begin) */

struct owner;

struct mempolicy {
	unsigned short mode;	 /* MPOL_*, without mode flags */
	unsigned short flags;	 /* MPOL_F_STATIC_NODES, MPOL_F_RELATIVE_NODES */
	unsigned int seq;	 /* mems_allowed_seq that nodes is for */
	nodemask_t nodes;	 /* what it comes to: nodes that exist, have memory and are allowed */
	nodemask_t user_nodes;	 /* what was asked for */
	nodemask_t mems_allowed; /* what was allowed when nodes was made */
};

struct task {
	unsigned int flags;	      /* PF_* */
	bool has_policy;	      /* policy is in force; else the process's is still to be copied there */
	uint8_t il_prev;	      /* interleave: the node used last, plus 1; 0: none yet */
	uint8_t il_weight;	      /* weighted interleave: so many more come from that node */
	uint8_t reclaims_node;	      /* is in node_reclaim for this node, plus 1; 0: is not */
	uint8_t reclaimer_of;	      /* the same of direct reclaim */
	uint8_t nr_throttled;	      /* how often in a row it had to wait instead */
	struct bm_shrinker *shrinker; /* of the application's: this thread is at it */
	bool shrink_stopped;	      /* one could not run, lately: somebody held its lock */
	bool shrink_busy;	      /* and another thread was at it */
	unsigned int nr_stopped;      /* how often in a row that was waited for */
	struct owner *owner;	      /* this thread's own; NULL: none yet */
	bool oom_step;		      /* this thread is in the OOM step */
	bool unsettled;		      /* in this round of the slow path pages could not be settled (settle.h) */
	struct owner *oom_callback;   /* whose abort callback this thread is in */
	struct owner *oom_victim; /* for whom this thread is to end: it may use the reserve while that is a victim */
	struct owner *inside;	  /* the named one it has entered; NULL: none */
	struct owner *charged;	  /* that, but for requests that are another's: mm/owner.h */
	struct owner_hold *holds; /* of the calls of the application's that it is in, the innermost first */
	bool by_new;		  /* it is in operator new */
	bool at_limit;		  /* its owner could not pay for the last request */
	struct mempolicy policy;  /* this thread's own; nobody else looks */
};
extern thread_local_var struct task current_task;
#define current (&current_task)

/* Scopes: what was in force before, to be put back. */
static always_inline unsigned int memalloc_flags_save(unsigned int scope)
{
	unsigned int saved = current->flags & PF_SCOPES;

	current->flags |= scope & PF_SCOPES;
	return saved;
}
static always_inline void memalloc_flags_restore(unsigned int saved)
{
	current->flags = (current->flags & ~PF_SCOPES) | (saved & PF_SCOPES);
}

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
