/* SPDX-License-Identifier: MIT */
/*
 * fork: the child finds every structure whole, because the parent holds all locks, in rank order, while it forks.
 */
#ifndef MALLOC_FORK_H
#define MALLOC_FORK_H

void fork_prepare(void);
void fork_parent(void);
void fork_child(void);

#endif
