/* SPDX-License-Identifier: MIT */
/*
 * Who called us: the return addresses on the stack, found by the unwind tables that every program has for exceptions
 * (.eh_frame), and by frame pointers where there are none. No lock is taken and nothing allocated, so it may run under
 * malloc and in signal handlers.
 */
#ifndef BASE_STACKTRACE_H
#define BASE_STACKTRACE_H

#include "base/compiler.h"

struct out;

/*
 * Up to size return addresses, innermost first, without the first skip of the caller's own; how many. Calls inside the
 * library itself are left out where it is a shared object. The trace ends early where neither table nor frame pointer
 * leads on: in code made at run time, at a signal handler, and before glibc 2.35, which cannot tell where the tables
 * are, at the first function without a frame pointer.
 */
unsigned int stack_trace_save(uintptr_t *entries, unsigned int size, unsigned int skip);

/* One line for each, " FILE+0xOFFSET", as addr2line and gdb want it; in no file: the bare address. */
void stack_trace_print(struct out *o, const uintptr_t *entries, unsigned int nr);

#endif
