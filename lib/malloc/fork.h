/* SPDX-License-Identifier: MIT */
/*
 * fork: the child finds every structure whole, because the parent holds all locks, in rank order, while it forks.
 */
#ifndef MALLOC_FORK_H
#define MALLOC_FORK_H

/* Called once, when a second thread comes to use the heap: a process of one thread needs no handlers. It may allocate.
 * Handlers of others that were registered before ours run while we hold our locks, see mutex_hold_for_fork. */
void fork_handlers_register(void);
void fork_prepare(void);
void fork_parent(void);
void fork_child(void);

#endif
