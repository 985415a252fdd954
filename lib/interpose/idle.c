/* SPDX-License-Identifier: MIT */
/*
 * A program that defines malloc itself keeps it. Its definition comes first in the loader's search, so the addresses
 * of malloc and its kin as seen from here are the program's; if they are, whatever still calls us is sent there.
 */
#include <malloc.h>
#include <stdlib.h>

#include "interpose/interpose.h"
#include "malloc/heap.h"

#ifndef BM_PREFIX
extern __typeof__(malloc) __libc_malloc;
extern __typeof__(memalign) __libc_memalign;

__attribute__((constructor)) static void stay_idle_if_not_wanted(void)
{
	static struct heap_forward forward;

	if (&malloc == &__libc_malloc)
		return;
	forward.malloc = malloc;
	forward.realloc = realloc;
	forward.free = free;
	forward.memalign = &memalign == &__libc_memalign ? NULL : memalign;
	heap_forward = &forward;
}
#endif
