/* SPDX-License-Identifier: MIT */
/*
 * The process's own pressure figures, in the format of /proc/pressure/memory: how long threads were kept from their
 * work by the lack of memory; and a descriptor that becomes readable when that begins.
 *
 * A thread is stalled while it reclaims itself, compacts, waits for others who do, or waits for the OOM step. "some"
 * counts the time in which at least one thread was, "full" the time in which all were that use the heap: who sleeps
 * counts as one that is at work, for we cannot know, so that full says too little rather than too much.
 */
#ifndef MM_PRESSURE_H
#define MM_PRESSURE_H

#include "base/compiler.h"

struct out;

/* Threads that use the heap, as the layer above has counted them; 0: it did not. */
extern hidden_var unsigned long nr_heap_threads;

/* This thread is stalled from here to there. May nest: *flags says whether it was stalled already. Any thread but
 * kswapd, whose work keeps nobody from his; any lock may be held. */
void psi_memstall_enter(unsigned long *flags);
void psi_memstall_leave(const unsigned long *flags);

/* Two lines, "some" and "full". Async-signal-safe. */
void print_pressure(struct out *o);

/* The descriptor, which is made when it is first asked for, or -errno. Async-signal-safe. */
long pressure_eventfd(void);
/* Reclaim begins below the low mark, or there is none left: makes the descriptor readable, if there is one, and if it
 * was not made so just now. Any thread, any lock may be held. */
void pressure_signal(void);

/* Fork handlers. The child begins anew, with a descriptor of its own under the same number. */
void pressure_lock_all(void);
void pressure_unlock_all(void);
void pressure_reinit_after_fork(void);

#endif
