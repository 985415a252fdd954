/* SPDX-License-Identifier: MIT */
/*
 * The slow half of malloc from inside, for realloc.
 */
#ifndef MALLOC_INNER_H
#define MALLOC_INNER_H

#include "malloc/block.h"
#include "malloc/heap.h"
#include "mm/fault_inject.h"

/* Is this one of the requests that a test wants to fail? */
static always_inline bool fault_injected(size_t size)
{
	return unlikely(READ_ONCE(failslab_enabled)) && should_failslab(size, current_gfp_context(GFP_MALLOC));
}

/* What malloc does once it is clear that it will. */
void *heap_alloc_any(size_t size, unsigned long caller);
/* The same where pages are charged: it is for whom the block is. */
void *heap_alloc_like(const struct block *b, size_t size, unsigned long caller);

#endif
