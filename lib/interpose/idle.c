/* SPDX-License-Identifier: MIT */
/*
 * A program that defines malloc itself keeps it; whatever still calls us is sent there. If malloc's address is our own,
 * so is malloc. Another address says nothing, for in a program at a fixed address that is a stub of the program's own:
 * then who serves malloc is found out by calling it. Nothing of the program's is freed again: main has not begun yet,
 * and there are mallocs that give memory before, but cannot take any back (GCL's).
 */
#include <malloc.h>
#include <stdlib.h>

#include "interpose/interpose.h"
#include "malloc/heap.h"

#ifndef BM_PREFIX
/* By which libc tells one library's fork handlers from another's; start files would define it. */
extern void *__dso_handle __attribute__((__visibility__("hidden")));
void *__dso_handle = &__dso_handle;

static bool is_ours(const void *p)
{
	return pfn_valid(addr_to_pfn(p));
}

__attribute__((constructor)) static void stay_idle_if_not_wanted(void)
{
	static struct heap_forward forward;
	/* Here for good, so that a malloc that looks for leaks sees that somebody still has them. */
	static void *volatile kept[2] __attribute__((__used__));
	/* Volatile, for compilers take two names for two functions. */
	void *(*volatile served_by)(size_t) = malloc;
	void *p;

	if (served_by == own_malloc)
		return;
	p = malloc(1);
	if (!p || is_ours(p)) {
		own_free(p);
		return;
	}
	kept[0] = p;
	forward.malloc = malloc;
	forward.realloc = realloc;
	forward.free = free;
	p = memalign(2 * MALLOC_ALIGN, 1);
	if (p && is_ours(p)) {
		own_free(p); /* free is the program's */
	} else if (p) {
		forward.memalign = memalign;
		kept[1] = p;
	}
	heap_forward = &forward;
}
#endif
