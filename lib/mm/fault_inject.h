/* SPDX-License-Identifier: MIT */
/*
 * Fault injection: allocations that fail although there is memory, so that a program's reaction can be tried.
 */
#ifndef MM_FAULT_INJECT_H
#define MM_FAULT_INJECT_H

#include "mm/current.h"

/* Any thread may write a field at any time, and calls fault_attr_changed then. */
struct fault_attr {
	const char *name;
	unsigned long probability; /* percent; 0: off */
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

/* Take what the configuration says. Before it nothing fails: what the loader and libc allocate must not. */
void fault_inject_init(void);
/* After a change of the two above: what follows from it for those who allocate. */
void fault_attr_changed(void);
/* "interval/probability/space/times", as the kernel's boot parameter but for the slashes; 0 or -EINVAL. */
int setup_fault_attr(struct fault_attr *attr, const char *text);
/* Begin the random numbers anew, so that a run can be repeated; 0: by chance. */
void fault_set_seed(unsigned long seed);
extern unsigned long fault_seed; /* the one set last */
/* This thread is one of those that a task filter lets fail. */
void set_make_it_fail(bool fail);

bool should_fail(struct fault_attr *attr, size_t size);

/* Are any page allocations, or slab allocations, to fail? Read on slow paths. */
extern hidden_var bool fail_page_alloc_enabled, failslab_enabled;
bool should_fail_alloc_page(gfp_t gfp, unsigned int order);
/* A request of malloc's. Called for every one while failslab_enabled, by those whom failslab_hook told. */
bool should_failslab(size_t size, gfp_t gfp);
extern void (*failslab_hook)(void);

#endif
