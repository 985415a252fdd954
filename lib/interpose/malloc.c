/* SPDX-License-Identifier: MIT */
/*
 * The malloc family under its public names.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "interpose/interpose.h"
#include "malloc/family.h"
#include "malloc/heap.h"
#include "malloc/stats.h"
#include "os/os.h"

EXPORT void *NAME(malloc)(size_t size);
EXPORT void NAME(free)(void *addr);
EXPORT void *NAME(calloc)(size_t nmemb, size_t size);
EXPORT void *NAME(realloc)(void *addr, size_t size);
EXPORT void *NAME(memalign)(size_t align, size_t size);
EXPORT void *NAME(aligned_alloc)(size_t align, size_t size);
EXPORT int NAME(posix_memalign)(void **res, size_t align, size_t size);
EXPORT void *NAME(valloc)(size_t size);
EXPORT void *NAME(pvalloc)(size_t size);
EXPORT void *NAME(reallocarray)(void *addr, size_t nmemb, size_t size);
EXPORT void NAME(cfree)(void *addr);
EXPORT void NAME(free_sized)(void *addr, size_t size);
EXPORT void NAME(free_aligned_sized)(void *addr, size_t align, size_t size);
EXPORT size_t NAME(malloc_usable_size)(void *addr);
EXPORT int NAME(malloc_trim)(size_t pad);
EXPORT int NAME(mallopt)(int param, int value);
EXPORT struct mallinfo NAME(mallinfo)(void);
EXPORT struct mallinfo2 NAME(mallinfo2)(void);
EXPORT void NAME(malloc_stats)(void);
EXPORT int NAME(malloc_info)(int options, FILE *stream);

void *NAME(malloc)(size_t size)
{
	return heap_malloc(size);
}

void NAME(free)(void *addr)
{
	heap_free(addr);
}

void *NAME(calloc)(size_t nmemb, size_t size)
{
	return heap_calloc(nmemb, size);
}

void *NAME(realloc)(void *addr, size_t size)
{
	return heap_realloc(addr, size);
}

static always_inline void *checked_memalign(size_t align, size_t size)
{
	if (is_power_of_2(align))
		return heap_memalign(align, size);
	errno = EINVAL;
	return NULL;
}

void *NAME(memalign)(size_t align, size_t size)
{
	return checked_memalign(align, size);
}

void *NAME(aligned_alloc)(size_t align, size_t size)
{
	return checked_memalign(align, size);
}

static noinline int posix_memalign_slow(void **res, size_t align, size_t size, unsigned long caller)
{
	int saved = errno;
	void *p = heap_memalign_track_caller(align, size, caller);

	errno = saved;
	if (!p)
		return ENOMEM;
	*res = p;
	return 0;
}

int NAME(posix_memalign)(void **res, size_t align, size_t size)
{
	void *p;

	if (unlikely(!is_power_of_2(align) || align < sizeof(void *)))
		return EINVAL;
	p = heap_memalign_listed(align, size);
	if (unlikely(!p))
		return posix_memalign_slow(res, align, size, RET_IP_COLD);
	*res = p;
	return 0;
}

void *NAME(valloc)(size_t size)
{
	return heap_memalign(os_page_size(), size);
}

void *NAME(pvalloc)(size_t size)
{
	size_t page = os_page_size();

	if (size > HEAP_SIZE_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	return heap_memalign(page, align_up(max_ul(size, 1), page));
}

void *NAME(reallocarray)(void *addr, size_t nmemb, size_t size)
{
	size_t bytes;

	if (!__builtin_mul_overflow(nmemb, size, &bytes))
		return heap_realloc(addr, bytes);
	errno = ENOMEM;
	return NULL;
}

void NAME(cfree)(void *addr)
{
	heap_free(addr);
}

void NAME(free_sized)(void *addr, size_t size)
{
	(void)size;
	heap_free(addr);
}

void NAME(free_aligned_sized)(void *addr, size_t align, size_t size)
{
	(void)align;
	(void)size;
	heap_free(addr);
}

size_t NAME(malloc_usable_size)(void *addr)
{
	return heap_usable_size(addr);
}

int NAME(malloc_trim)(size_t pad)
{
	return heap_trim(pad);
}

int NAME(mallopt)(int param, int value)
{
	return family_mallopt(param, value);
}

struct mallinfo2 NAME(mallinfo2)(void)
{
	return family_mallinfo();
}

struct mallinfo NAME(mallinfo)(void)
{
	return family_mallinfo_int();
}

void NAME(malloc_stats)(void)
{
	stats_print(2, "summary");
}

int NAME(malloc_info)(int options, FILE *stream)
{
	return family_malloc_info(options, stream);
}

#ifndef BM_PREFIX
#ifdef __clang__
#define LIKE(target)
#else
#define LIKE(target) __copy__(target),
#endif
extern __typeof__(malloc) own_malloc __attribute__((LIKE(malloc) __alias__("malloc")));
extern __typeof__(free) own_free __attribute__((LIKE(free) __alias__("free")));
#define ALIAS(name, target) EXPORT __typeof__(target) name __attribute__((LIKE(target) __alias__(#target)))
ALIAS(__libc_malloc, malloc);
ALIAS(__libc_calloc, calloc);
ALIAS(__libc_realloc, realloc);
ALIAS(__libc_free, free);
ALIAS(__libc_memalign, memalign);
ALIAS(__libc_valloc, valloc);
ALIAS(__libc_pvalloc, pvalloc);
ALIAS(__posix_memalign, posix_memalign);
#endif
