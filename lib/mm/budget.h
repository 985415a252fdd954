/* SPDX-License-Identifier: MIT */
/*
 * The budget: how much memory the process may have, which is the least that any of its limits leaves. What others in
 * the process take (libraries, stacks, mappings of files) is read from the system now and then; what the heap takes
 * in between is known exactly. A part of each limit, the headroom, is left to those others.
 *
 * While no limit is in force nothing here is asked.
 */
#ifndef MM_BUDGET_H
#define MM_BUDGET_H

#include "base/atomic.h"
#include "base/compiler.h"

enum limit_kind {
	LIMIT_CONF,   /* limit: of the configuration: memory of the heap's that is in use or dirty */
	LIMIT_AS,     /* RLIMIT_AS: what the process has mapped */
	LIMIT_DATA,   /* RLIMIT_DATA: what of that is private and can be written */
	LIMIT_CGROUP, /* memory.max of a cgroup around the process: what is resident in all of it */
	LIMIT_HIGH,   /* memory.high: the same, but nothing is refused for it, and nobody ended */
	NR_LIMITS,    /* as budget_binding(): none is in force that refuses anything */
};

/* Read without a lock; changes when the limits are read. */
extern hidden_var bool limits_in_force;
/* Some were, or are: they may come again. */
extern hidden_var bool limits_known;

/* At the end of the configuration, if any limit is known then: read the limits. */
void budget_init(void);
/* Read the limits, and what is used, again. No lock of rank RANK_BUDGET or above may be held. */
void budget_refresh(void);
/* The same, if so much happened since the last time that it may say something new. */
void budget_poll_slow(void);
static always_inline void budget_poll(void)
{
	if (unlikely(READ_ONCE(limits_known)))
		budget_poll_slow();
}
/* Before a request fails or somebody is ended for it: what was read may be out of date. */
static always_inline void budget_recheck(void)
{
	if (unlikely(READ_ONCE(limits_in_force)))
		budget_refresh();
}
/* The system refused memory: is it because of a limit that was not known yet? */
void budget_refused(void);
/* After `limit:` was set. */
void budget_limit_changed(void);

/*
 * May the heap take so many bytes more? mapped: AS and DATA count them already. reserve: how much of what lies below
 * the min marks the request has a right to, or makes up for, as a zone does by what it grows by. Any lock may be held.
 */
#define BUDGET_RESERVE ((size_t)INT64_MAX) /* all of it */
bool budget_may_grow_slow(size_t bytes, bool mapped, size_t reserve);
static always_inline bool budget_may_grow(size_t bytes, bool mapped, size_t reserve)
{
	return likely(!READ_ONCE(limits_in_force)) || budget_may_grow_slow(bytes, mapped, reserve);
}
/* Pages, in whole pageblocks, that the zones could yet grow by, less what of the reserve they lack if reserve is false;
 * high: up to memory.high. With no limit in force none are counted on. */
unsigned long budget_growable_pages_slow(bool reserve, bool high);
static always_inline unsigned long budget_growable_pages(bool reserve, bool high)
{
	return likely(!READ_ONCE(limits_in_force)) ? 0 : budget_growable_pages_slow(reserve, high);
}
/* Would the next pageblock be beyond memory.high, and has the heap grown or shrunk since reclaim was in vain? No lock
 * of rank RANK_BUDGET or above may be held. */
bool budget_over_high_slow(void);
static always_inline bool budget_over_high(void)
{
	return unlikely(READ_ONCE(limits_in_force)) && budget_over_high_slow();
}
void budget_over_high_in_vain(void);
/* Bytes that the zones' min marks keep from ordinary requests. */
size_t budget_reserve(void);

/* Does a limit count what is mapped, so that giving back means to unmap? */
bool budget_counts_mapped(void);
/* Bytes that may be mapped twice for a moment: what is left to others of those limits, once. */
size_t budget_move_bytes(void);
/* Of free memory that could be used again, how many bytes may stay: the usual ones, and as slack those that were missed
 * before. Less when little is left of a limit, down to the high mark. */
size_t budget_keep(size_t usual, size_t slack);
/* The same for pages that lie in the zones: only a cgroup counts those. dirty: how many bytes there are. */
size_t budget_keep_resident(size_t usual, size_t dirty);

/* The smallest limit in force, in bytes; 0: none is. */
size_t budget_total(void);
/* Where least is left. */
enum limit_kind budget_binding(void);

struct budget_line {
	const char *name;
	size_t limit, used, headroom;
};
/* False: that limit is not in force. */
bool budget_line(enum limit_kind kind, struct budget_line *line);

/* What the high marks of all zones may come to together, in bytes. */
size_t budget_max_high(void);

/* Fork handlers. */
void budget_lock_all(void);
void budget_unlock_all(void);
void budget_reinit_after_fork(void);

#endif
