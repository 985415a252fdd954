/* SPDX-License-Identifier: MIT */
/*
 * malloc under valgrind's memcheck: every block goes past the threads' lists, with a red zone before and behind that
 * the program must not touch, and each step is told to memcheck. Used only where annotate_listening is true.
 */
#ifndef MALLOC_MEMCHECK_H
#define MALLOC_MEMCHECK_H

#include "base/compiler.h"

void *memcheck_alloc(size_t size, size_t align, bool zero);
/* False: not a block that is in use; memcheck has been told, and says so itself. */
bool memcheck_free(void *addr);
size_t memcheck_usable_size(void *addr);
void *memcheck_realloc(void *addr, size_t size);
/* Bytes in blocks that were freed, but are kept from use for a while; and: let them go. */
size_t memcheck_quarantined(void);
void memcheck_release(void);

#endif
