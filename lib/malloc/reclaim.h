/* SPDX-License-Identifier: MIT */
/*
 * What malloc does when memory has ended.
 */
#ifndef MALLOC_RECLAIM_H
#define MALLOC_RECLAIM_H

#include <stdbool.h>
#include <stddef.h>

/* What has been done for one request; all zero at first. */
struct heap_effort {
	unsigned long objects; /* that the application's shrinkers are asked for next */
	bool had_reserve;      /* the last try was an OOM victim's */
};

/*
 * After a failure: shall the request for size bytes, of the slab class or 0, be tried again? An alignment takes as much
 * as a size: one who asked for less would be shown free memory that is no use to him, for ever. Our own caches come
 * first; then the application's are asked, for more each time, as long as that frees something: what they freed may be
 * an object of the class, and no page. At last somebody is ended.
 */
bool heap_reclaim(size_t size, unsigned int class, struct heap_effort *effort);

#endif
