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
#include <string.h>

#include "base/trace.h"
#include "mm/gfp.h"
#include "mm/page.h"
#include "slab/size_class.h"
#include "slab/tcache.h"

/* No object is larger: the difference of two pointers into it must fit ptrdiff_t. */
#define HEAP_SIZE_MAX ((size_t)PTRDIFF_MAX)
/* Blocks that shrink keep their place while less than a quarter of them is unused. */
#define SHRINK_IN_PLACE 4

/* caller, here and below: the address that the exported function returns to, for the probes. */
void *heap_malloc_slow(size_t size, unsigned long class, unsigned long caller);
void *heap_malloc_large(size_t size, unsigned long caller);
void heap_free_slow(void *addr, unsigned long class);
void heap_free_unknown(void *addr);

static always_inline void *heap_malloc(size_t size)
{
	unsigned long class;
	void *p;

	if (unlikely(size > TABLE_SIZE_MAX))
		return heap_malloc_large(size, RET_IP_COLD);
	class = size_to_class_small(size);
	p = tcache_alloc(class);
	if (likely(p)) {
		trace_kmalloc_fast(RET_IP, p, size, &size_classes.size[class], GFP_MALLOC);
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

/* The block is in page pfn, of those that this thread knows of. */
static always_inline void heap_free_known(void *addr, unsigned long pfn)
{
	unsigned long class = data_race(tcache.class_map[pfn]);

	if (unlikely(!tcache_free(addr, class)))
		heap_free_slow(addr, class);
}
static always_inline void heap_free_track_caller(void *addr, unsigned long caller)
{
	unsigned long pfn = addr_to_pfn(addr);

	trace_kfree_fast(caller, addr);
	if (unlikely(pfn >= tcache.nr_pages)) /* grows only: what has a block in it stays below */
		heap_free_unknown(addr);
	else
		heap_free_known(addr, pfn);
}
static always_inline void heap_free(void *addr)
{
	heap_free_track_caller(addr, RET_IP);
}

/* NULL, and errno says why. */
void *heap_no_memory(void);
/* What nmemb * size bytes come to is not too much for a size_t. */
void *heap_calloc_slow(size_t bytes, unsigned long caller);
static always_inline void *heap_calloc(size_t nmemb, size_t size)
{
	unsigned long class;
	size_t bytes;
	void *p;

	if (unlikely(__builtin_mul_overflow(nmemb, size, &bytes)))
		return heap_no_memory();
	if (unlikely(bytes > TABLE_SIZE_MAX))
		return heap_calloc_slow(bytes, RET_IP_COLD);
	class = size_to_class_small(bytes);
	p = tcache_alloc(class);
	if (unlikely(!p))
		return heap_calloc_slow(bytes, RET_IP_COLD);
	trace_kmalloc_fast(RET_IP, p, bytes, &size_classes.size[class], GFP_MALLOC | GFP_ZERO);
	return memset(p, 0, bytes);
}
/* realloc(3) as glibc has it: size 0 frees and returns NULL. */
void *heap_realloc_track_caller(void *addr, size_t size, unsigned long caller);
static always_inline void *heap_realloc(void *addr, size_t size)
{
	unsigned long pfn = addr_to_pfn(addr), class;
	size_t room, spare;

	if (unlikely(pfn >= data_race(vmemmap.nr_pages)))
		return heap_realloc_track_caller(addr, size, RET_IP_COLD);
	class = vmemmap.class[pfn];
	room = class_size((unsigned int)class);
	spare = room / SHRINK_IN_PLACE;
	/* From three quarters to all of what it has; never of NO_CLASS, which has 0. */
	if (unlikely(size - 1 - (room - spare) >= spare))
		return heap_realloc_track_caller(addr, size, RET_IP_COLD);
	trace_kfree(RET_IP, addr);
	trace_kmalloc(RET_IP, addr, size, size_classes.size[class], GFP_MALLOC);
	return addr;
}
/*
 * align is a power of two. A slab is aligned to its length, so that all objects of a class are aligned where its size
 * is a multiple of align; that of the class which a multiple of align has is one.
 */
void *heap_memalign_track_caller(size_t align, size_t size, unsigned long caller);
/* One less than size as a multiple of align, and for 0 more than any. */
static always_inline size_t aligned_last(size_t align, size_t size)
{
	return (size - 1) | (align - 1);
}
/* NULL: it takes more, and errno is as it was. */
static always_inline void *heap_memalign_listed(size_t align, size_t size)
{
	size_t last = aligned_last(align, size);
	unsigned long class;
	void *p;

	if (unlikely(last >= TABLE_SIZE_MAX))
		return NULL;
	class = size_to_class_small(last + 1);
	p = tcache_alloc(class);
	if (likely(p))
		trace_kmalloc(RET_IP, p, size, size_classes.size[class], GFP_MALLOC);
	return p;
}
static always_inline void *heap_memalign(size_t align, size_t size)
{
	void *p = heap_memalign_listed(align, size);

	return likely(p) ? p : heap_memalign_track_caller(align, size, RET_IP_COLD);
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
extern hidden_var bool heap_ready;
bool heap_init_slow(void);
static always_inline bool heap_init(void)
{
	if (unlikely(!smp_load_acquire(&heap_ready)) && !heap_init_slow())
		return false;
	tcache_enter();
	return true;
}

#endif
