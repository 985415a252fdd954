/* SPDX-License-Identifier: MIT */
/*
 * The C++ operators by their mangled names. The C++ runtime is reached through weak references; where the program
 * loaded one later, it is looked up, on failure only.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/annotate.h"
#include "base/compiler.h"
#include "base/message.h"
#include "interpose/interpose.h"
#include "malloc/heap.h"

typedef void (*new_handler_t)(void);

extern new_handler_t get_new_handler(void) __asm__("_ZSt15get_new_handlerv") __attribute__((weak));
extern void throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv") __attribute__((weak));

static new_handler_t current_new_handler(void)
{
	new_handler_t (*get)(void) = get_new_handler;

	if (!get)
		get = (new_handler_t(*)(void))dlsym(RTLD_DEFAULT, "_ZSt15get_new_handlerv");
	return get ? get() : NULL;
}

static void throw_it(size_t size)
{
	void (*throw)(void) = throw_bad_alloc;

	if (!throw)
		throw = (void (*)(void))dlsym(RTLD_DEFAULT, "_ZSt17__throw_bad_allocv");
	if (throw)
		throw();
	bm_fatal("operator new(%zu): out of memory, and there is no C++ runtime to throw bad_alloc", size);
}

typedef void *(*new_nothrow_t)(size_t size, const void *nothrow);
typedef void *(*new_aligned_nothrow_t)(size_t size, size_t align, const void *nothrow);

/*
 * A handler may throw where that must end in NULL, and nothing in C can catch it. The C++ runtime's own operator can:
 * it calls the one that throws, which is ours. False: there is none, or memcheck or a sanitizer has put its own in the
 * place.
 */
static bool new_by_runtime(size_t size, size_t align, void **p)
{
	bool aligned = align > MALLOC_ALIGN;
	void *found = dlsym(RTLD_NEXT, aligned ? "_ZnwmSt11align_val_tRKSt9nothrow_t" : "_ZnwmRKSt9nothrow_t");
	static const char nothrow; /* nobody looks at it */

	if (found && aligned)
		*p = ((new_aligned_nothrow_t)found)(size, align, &nothrow);
	else if (found)
		*p = ((new_nothrow_t)found)(size, &nothrow);
	return found;
}

#ifdef BM_PREFIX
#define RUNTIME_IS_PLAIN false
#else
#define RUNTIME_IS_PLAIN (!annotate_listening)
#endif

/* What operator new does when memory ends: as long as there is a handler, let it make room and try again. */
static cold void *new_slow(size_t size, size_t align, bool nothrow, unsigned long caller)
{
	void *p;

	if (nothrow && RUNTIME_IS_PLAIN && current_new_handler() && new_by_runtime(size, align, &p))
		return p;
	for (;;) {
		new_handler_t handler = current_new_handler();

		if (!handler)
			break;
		handler();
		p = heap_memalign_track_caller(align, size, caller);
		if (p)
			return p;
	}
	if (!nothrow)
		throw_it(size);
	return NULL;
}

static always_inline void *new_plain(size_t size, bool nothrow)
{
	void *p = heap_new(size);

	return likely(p) ? p : new_slow(size, MALLOC_ALIGN, nothrow, RET_IP_COLD);
}

static always_inline void *new_aligned(size_t size, size_t align, bool nothrow)
{
	void *p = heap_memalign(align, size);

	return likely(p) ? p : new_slow(size, align, nothrow, RET_IP_COLD);
}

#define NEW(name) EXPORT void *NAME(name)

/* new and new[]: throwing, nothrow, aligned, aligned nothrow. */
NEW(_Znwm)(size_t size);
NEW(_Znam)(size_t size);
NEW(_ZnwmRKSt9nothrow_t)(size_t size, const void *nothrow);
NEW(_ZnamRKSt9nothrow_t)(size_t size, const void *nothrow);
NEW(_ZnwmSt11align_val_t)(size_t size, size_t align);
NEW(_ZnamSt11align_val_t)(size_t size, size_t align);
NEW(_ZnwmSt11align_val_tRKSt9nothrow_t)(size_t size, size_t align, const void *nothrow);
NEW(_ZnamSt11align_val_tRKSt9nothrow_t)(size_t size, size_t align, const void *nothrow);

NEW(_Znwm)(size_t size)
{
	return new_plain(size, false);
}
NEW(_Znam)(size_t size)
{
	return new_plain(size, false);
}
NEW(_ZnwmRKSt9nothrow_t)(size_t size, const void *nothrow)
{
	(void)nothrow;
	return new_plain(size, true);
}
NEW(_ZnamRKSt9nothrow_t)(size_t size, const void *nothrow)
{
	(void)nothrow;
	return new_plain(size, true);
}
NEW(_ZnwmSt11align_val_t)(size_t size, size_t align)
{
	return new_aligned(size, align, false);
}
NEW(_ZnamSt11align_val_t)(size_t size, size_t align)
{
	return new_aligned(size, align, false);
}
NEW(_ZnwmSt11align_val_tRKSt9nothrow_t)(size_t size, size_t align, const void *nothrow)
{
	(void)nothrow;
	return new_aligned(size, align, true);
}
NEW(_ZnamSt11align_val_tRKSt9nothrow_t)(size_t size, size_t align, const void *nothrow)
{
	(void)nothrow;
	return new_aligned(size, align, true);
}

/* delete and delete[]: plain, nothrow, sized, aligned, aligned nothrow, sized aligned. All are free(). */
#define DELETE(name, ...)                                  \
	EXPORT void NAME(name)(void *addr, ##__VA_ARGS__); \
	void NAME(name)(void *addr, ##__VA_ARGS__)         \
	{                                                  \
		heap_free(addr);                           \
	}

#pragma GCC diagnostic ignored "-Wunused-parameter"
DELETE(_ZdlPv)
DELETE(_ZdaPv)
DELETE(_ZdlPvRKSt9nothrow_t, const void *nothrow)
DELETE(_ZdaPvRKSt9nothrow_t, const void *nothrow)
DELETE(_ZdlPvm, size_t size)
DELETE(_ZdaPvm, size_t size)
DELETE(_ZdlPvSt11align_val_t, size_t align)
DELETE(_ZdaPvSt11align_val_t, size_t align)
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, size_t align, const void *nothrow)
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, size_t align, const void *nothrow)
DELETE(_ZdlPvmSt11align_val_t, size_t size, size_t align)
DELETE(_ZdaPvmSt11align_val_t, size_t size, size_t align)
