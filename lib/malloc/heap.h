/* SPDX-License-Identifier: MIT */
/*
 * malloc and free over the layers below: sizes up to TABLE_SIZE_MAX in a few instructions from the thread's lists,
 * everything else out of line. These are the functions that the exported names call.
 *
 * All are thread-safe. Those that allocate return NULL with errno ENOMEM when memory ends; heap_free leaves errno
 * alone.
 */
#ifndef MALLOC_HEAP_H
#define MALLOC_HEAP_H

#include <stddef.h>

#include "base/trace.h"
#include "mm/gfp.h"
#include "mm/page.h"
#include "slab/size_class.h"
#include "slab/tcache.h"

/* No object is larger: the difference of two pointers into it must fit ptrdiff_t. */
#define HEAP_SIZE_MAX ((size_t)PTRDIFF_MAX)

/* caller, here and below: the address that the exported function returns to, for the probes. */
void *heap_malloc_slow(size_t size, unsigned long class, unsigned long caller);
void *heap_malloc_large(size_t size, unsigned long caller);
void heap_free_slow(void *addr, unsigned long class);
void heap_free_foreign(void *addr);

static always_inline void *heap_malloc(size_t size)
{
	unsigned long class;
	void *p;

	if (unlikely(size > TABLE_SIZE_MAX))
		return heap_malloc_large(size, RET_IP_COLD);
	class = size_to_class_small(size);
	p = tcache_alloc(class);
	if (likely(p)) {
		trace_kmalloc(RET_IP, p, size, size_classes.size[class], GFP_MALLOC);
		return p;
	}
	return heap_malloc_slow(size, class, RET_IP_COLD);
}
/* The same for operator new, so that a named owner can tell what the C++ runtime asks of malloc itself. */
void *heap_new_slow(size_t size, unsigned long class, unsigned long caller);
void *heap_new_large(size_t size, unsigned long caller);
static always_inline void *heap_new(size_t size)
{
	unsigned long class;
	void *p;

	if (unlikely(size > TABLE_SIZE_MAX))
		return heap_new_large(size, RET_IP_COLD);
	class = size_to_class_small(size);
	p = tcache_alloc(class);
	if (likely(p)) {
		trace_kmalloc(RET_IP, p, size, size_classes.size[class], GFP_MALLOC);
		return p;
	}
	return heap_new_slow(size, class, RET_IP_COLD);
}
/* malloc, out of line, for another caller. */
void *heap_malloc_track_caller(size_t size, unsigned long caller);

static always_inline void heap_free_track_caller(void *addr, unsigned long caller)
{
	unsigned long pfn = addr_to_pfn(addr);
	unsigned long class;

	trace_kfree(caller, addr);
	if (unlikely(pfn >= data_race(vmemmap.nr_pages))) { /* grows only: what has a block in it stays below */
		heap_free_foreign(addr);
		return;
	}
	class = vmemmap.class[pfn];
	if (unlikely(!tcache_free(addr, class)))
		heap_free_slow(addr, class);
}
static always_inline void heap_free(void *addr)
{
	heap_free_track_caller(addr, RET_IP);
}

void *heap_calloc_track_caller(size_t nmemb, size_t size, unsigned long caller);
static always_inline void *heap_calloc(size_t nmemb, size_t size)
{
	return heap_calloc_track_caller(nmemb, size, RET_IP);
}
/* realloc(3) as glibc has it: size 0 frees and returns NULL. */
void *heap_realloc_track_caller(void *addr, size_t size, unsigned long caller);
static always_inline void *heap_realloc(void *addr, size_t size)
{
	return heap_realloc_track_caller(addr, size, RET_IP);
}
/* align is a power of two. */
void *heap_memalign_track_caller(size_t align, size_t size, unsigned long caller);
static always_inline void *heap_memalign(size_t align, size_t size)
{
	return heap_memalign_track_caller(align, size, RET_IP);
}
/* Bytes that may be used; 0 for NULL and, after a message, for what is not ours. */
size_t heap_usable_size(void *addr);
/* malloc_trim(3): all that can be given back, but for pad bytes; nonzero if anything was. */
int heap_trim(size_t pad);

/*
 * Where the program has a malloc of its own, this library stays idle: what is called here all the same, because the
 * program's family is not complete, goes to these. NULL normally; set once, before there are threads.
 */
struct heap_forward {
	void *(*malloc)(size_t size);
	void *(*realloc)(void *addr, size_t size);
	void *(*memalign)(size_t align, size_t size); /* NULL: the program has none */
	void (*free)(void *addr);
};
extern const struct heap_forward *heap_forward;

/* There are, or were, named owners, or memcheck listens: more is asked on every slow path. */
extern hidden_var bool heap_watched;

/* Before anything else on every slow path: the heap is made by whatever comes first, and the thread made known. False:
 * the system gives us nothing at all. */
bool heap_init(void);

#endif
