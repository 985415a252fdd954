/* SPDX-License-Identifier: MIT */
/*
 * Whether a request comes from libc, the dynamic loader or a module of the name service or of iconv: what they allocate
 * they may keep, so it is never a named owner's. The C++ runtime keeps what it asks of malloc itself, such as
 * exceptions; what it makes with operator new is the program's.
 */
#ifndef MALLOC_LIBC_CALLER_H
#define MALLOC_LIBC_CALLER_H

#include "base/compiler.h"

/* Find out where they lie, before the first named owner. May take locks of the loader, and allocate. */
void libc_caller_init(void);

bool caller_in_libc_slow(uintptr_t caller);

struct address_range {
	uintptr_t start, len;
};
/* libc itself, and the program; neither is ever unloaded. */
extern hidden_var struct address_range libc_range, program_range;

/* Lock-free, and allocates nothing. */
static always_inline bool caller_in_libc(uintptr_t caller)
{
	if (caller - program_range.start < program_range.len)
		return false;
	return caller - libc_range.start < libc_range.len || caller_in_libc_slow(caller);
}

#endif
