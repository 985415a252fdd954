/* SPDX-License-Identifier: MIT */
/*
 * Fault injection: allocations that fail although there is memory, so that a program's reaction can be tried.
 */
#ifndef MM_FAULT_INJECT_H
#define MM_FAULT_INJECT_H

#include "mm/current.h"

struct fault_attr {
	const char *name;
	unsigned long probability; /* percent */
	unsigned long interval;	   /* every so many calls */
	long times;		   /* failures left; -1: no end */
	long space;		   /* bytes to let pass first */
	unsigned long verbose;	   /* 0: silent, 1: a line for each, 2: with the stack */
	bool task_filter;	   /* only threads that said so (PF_FAIL) */
	unsigned long count;	   /* calls, for interval */
};
/* fail_page_alloc's own: ignore_gfp_wait passes over requests that may wait; min_order over smaller ones. */
struct fail_page_alloc {
	struct fault_attr attr;
	bool ignore_gfp_wait;
	unsigned long min_order;
};
struct failslab {
	struct fault_attr attr;
	bool ignore_gfp_wait;
};
extern struct fail_page_alloc fail_page_alloc;
extern struct failslab failslab;

/* "interval/probability/space/times", as the kernel's boot parameter but for the slashes; 0 or -EINVAL. */
int setup_fault_attr(struct fault_attr *attr, const char *text);
bool should_fail(struct fault_attr *attr, size_t size);

/* Are any page allocations, or slab allocations, to fail? Read on slow paths. */
extern bool fail_page_alloc_enabled, failslab_enabled;
bool should_fail_alloc_page(gfp_t gfp, unsigned int order);
bool should_failslab(size_t size, gfp_t gfp);

#endif
