/* SPDX-License-Identifier: MIT */
/*
 * Memory for the allocator's own permanent structures (the kernel's boot allocator): never freed.
 */
#ifndef MM_MEMBLOCK_H
#define MM_MEMBLOCK_H

#include "base/compiler.h"

/* Zeroed, aligned to a cache line. NULL when the system has none. Any thread; takes no lock. */
void *memblock_alloc(size_t size);

#endif
