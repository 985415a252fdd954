/* SPDX-License-Identifier: MIT */
/*
 * When nothing else helps: one owner of memory is ended, so that the others can go on. One thread decides at a time; it
 * is the oom lock that says which. An owner that has been chosen is a victim, and nobody else is chosen before it has
 * given up half of what it had, or oom_wait_ms have passed in which it gave up nothing.
 */
#ifndef MM_OOM_H
#define MM_OOM_H

#include "mm/gfp.h"

struct alloc_context;
struct out;
struct owner;

enum oom_constraint { CONSTRAINT_NONE, CONSTRAINT_MEMORY_POLICY, CONSTRAINT_MEMCG };

struct oom_control {
	/* What was asked for. */
	struct zonelist *zonelist;
	const nodemask_t *nodemask;
	struct owner *memcg; /* over its own limit: nobody else counts; NULL: memory has ended for all */
	gfp_t gfp_mask;
	unsigned int order;
	const struct alloc_context *ac; /* to look whether memory has come free meanwhile; NULL: there is no looking */
	/* What came of it. */
	struct page *page; /* that looking found: the decision is dropped */
	enum oom_constraint constraint;
	unsigned long totalpages;
	struct owner *chosen;
	long chosen_points;
	unsigned long passed_over; /* pages of the largest that was asked in vain */
	bool dumped;		   /* the report has been made */
};

/*
 * Make memory come free by ending somebody; true: it will, or it has, try again. The caller holds the oom lock; it is
 * dropped while a callback of the application or a signal handler runs, and held again on return. False without a limit
 * in force, and where the oom tunable wants NULL instead. May not return.
 */
bool out_of_memory(struct oom_control *oc);
/* The same for one owner that has reached its own limit. No lock held. */
bool mem_cgroup_out_of_memory(struct owner *owner, gfp_t gfp, unsigned int order);
/* slowpath.c. The OOM step for a request of 2^order pages that is not one to the page allocator, or not only: its
 * lock, its last look, its exemptions. True: try again. *had_reserve: the last try had a victim's rights; false at
 * first. No lock held. */
bool alloc_may_oom(gfp_t gfp, unsigned int order, bool *had_reserve);

/* Is it a victim that still has time? */
bool oom_victim_in_time(const struct owner *owner);
/* Is this thread to end? Then a part of the reserve is its, and it does not wait for anybody. */
bool tsk_is_oom_victim(void);
/* Who waits until there are news about the end of memory looks at oom_news before the step that makes it wait, which
 * may make some itself. Any lock may be held by who tells, none by who waits: a tick at most. */
uint32_t oom_news(void);
void oom_tell_waiting(void);
void oom_wait_for_news(uint32_t seen);
/* Before a request fails, or somebody is ended for it: a tick, if the application's caches could not be asked just now.
 * True: they are to be asked again. No lock held. */
bool oom_wait_for_shrinkers(void);
/* This thread makes no OOM step: it is in one, or forks. */
bool oom_step_closed(void);
/* A victim has given up something: with the half of what it had it is none any more. Any lock may be held. */
void oom_victim_gave(struct owner *owner);
/* The owner is being destroyed: what it frees is waited for as a victim's is, and no callback of it runs when this
 * returns, but for one that this thread is in. False: one does, and this thread is in that of another. No lock held. */
bool oom_owner_goes(struct owner *owner);

/* Tried only, but by fork and who forgets an owner. */
extern struct mutex oom_lock;
/* How often out_of_memory was called; for tests. */
extern unsigned long oom_calls;

/* vm.panic_on_oom, vm.oom_kill_allocating_task, vm.oom_dump_tasks, oom.report_fd. */
extern unsigned long sysctl_panic_on_oom, sysctl_oom_kill_allocating_task, sysctl_oom_dump_tasks;
extern long oom_report_fd; /* -1: none */

/*
 * oom_report.c. On stderr and wherever else it is wanted, under the oom lock: who asked and what there is, once for a
 * step, and not for all of many if limited: false; the choice; a line of words.
 */
bool dump_header(struct oom_control *oc, bool limited);
void dump_decision(const struct oom_control *oc);
void oom_say(const char *fmt, ...) printf_like(1, 2);
/* Pages that count against an owner; what exited threads have left counts against the process. */
unsigned long oom_pages(const struct owner *owner);
/* Its thread, 0: none. That of a fork's child has another number than before. */
int owner_tid(const struct owner *owner);
/* "thread" and the like. */
const char *owner_kind(const struct owner *owner);
/* What it is called, that of a thread is what the system calls it; buf has OWNER_LABEL_LEN bytes. */
#define OWNER_LABEL_LEN 40
const char *owner_label(const struct owner *owner, char *buf);

/* A line or more about what the layers above have, for the report; set at start. */
extern void (*oom_show_heap)(struct out *o);

#endif
