/* SPDX-License-Identifier: MIT */
/*
 * probes [FILE]: calls every function of the family, linked with the library, and says in FILE, or on stdout, what the
 * probes have to report, a line each: "kmalloc CALLER POINTER REQUESTED ALLOCATED GFP" or "kfree CALLER POINTER". A
 * debugger that breaks at the probes from begin() on sees the same.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buddymalloc.h"

#define noinline __attribute__((__noinline__, __noclone__))

/* operator new, new(nothrow), new(align_val_t), delete, delete(size_t); free_sized */
extern void *_Znwm(size_t size);
extern void *_ZnamRKSt9nothrow_t(size_t size, const void *nothrow);
extern void *_ZnwmSt11align_val_t(size_t size, size_t align);
extern void _ZdlPv(void *p);
extern void _ZdaPvm(void *p, size_t size);
extern void free_sized(void *p, size_t size);

static char text[1 << 16];
static size_t length;

/* With the public flags of malloc, and of calloc. */
static void expect_kmalloc(const char *caller, void *p, size_t size)
{
	bm_gfp_t gfp = BM_GFP_USER | BM_GFP_NOWARN | (strcmp(caller, "by_calloc") ? 0 : BM_GFP_ZERO);

	length += (size_t)sprintf(text + length, "kmalloc %s %#lx %zu %zu %#x\n", caller, (unsigned long)p, size,
				  malloc_usable_size(p), gfp);
}

static void expect_kfree(const char *caller, void *p)
{
	length += (size_t)sprintf(text + length, "kfree %s %#lx\n", caller, (unsigned long)p);
}

noinline void begin(void);
void begin(void)
{
	__asm__ volatile("");
}

/* A call in a function of its own, so that the caller has a name; what follows it keeps it from being a jump. */
#define CALL(name, expression)                           \
	static noinline void *name(void *p, size_t size) \
	{                                                \
		void *res = NULL;                        \
                                                         \
		(void)p, (void)size;                     \
		expression;                              \
		__asm__ volatile("" : "+r"(res));        \
		return res;                              \
	}
CALL(by_malloc, res = malloc(size))
CALL(by_calloc, res = calloc(size / 8, 8))
CALL(by_realloc, res = realloc(p, size))
CALL(by_reallocarray, res = reallocarray(p, size / 8, 8))
CALL(by_memalign, res = memalign(64, size))
CALL(by_memalign_small, res = memalign(8, size))
CALL(by_memalign_mib, res = memalign(1 << 20, size))
CALL(by_aligned_alloc, res = aligned_alloc(256, size))
CALL(by_posix_memalign, if (posix_memalign(&res, 4096, size)) abort())
CALL(by_valloc, res = valloc(size))
CALL(by_pvalloc, res = pvalloc(size))
CALL(by_new, res = _Znwm(size))
CALL(by_new_nothrow, res = _ZnamRKSt9nothrow_t(size, ""))
CALL(by_new_aligned, res = _ZnwmSt11align_val_t(size, 128))
CALL(by_free, free(p))
CALL(by_free_sized, free_sized(p, size))
CALL(by_delete, _ZdlPv(p))
CALL(by_delete_sized, _ZdaPvm(p, size))
#define NAMED(function) #function, function

static void *allocate(const char *name, void *(*call)(void *, size_t), size_t size)
{
	void *p = call(NULL, size);

	expect_kmalloc(name, p, size);
	return p;
}

static void release(const char *name, void *(*call)(void *, size_t), void *p, size_t size)
{
	expect_kfree(name, p);
	call(p, size);
}

/* A block that stays is freed and allocated again; one that moves, the other way round. */
static void *resize(const char *name, void *(*call)(void *, size_t), void *p, size_t size)
{
	void *q = call(p, size);

	if (q == p)
		expect_kfree(name, p);
	expect_kmalloc(name, q, size);
	if (q != p)
		expect_kfree(name, p);
	return q;
}

static void sizes(void)
{
	static const size_t size[] = { 64, 64, 0, 1, 1024, 1025, 16384, 40000, 40000, 1 << 20, (1 << 20) + 1, 5 << 20 };
	void *p[sizeof(size) / sizeof(size[0])];
	unsigned int i;

	for (i = 0; i < sizeof(size) / sizeof(size[0]); i++)
		p[i] = allocate(NAMED(by_malloc), size[i]);
	for (i = 0; i < sizeof(size) / sizeof(size[0]); i++)
		release(NAMED(by_free), p[i], 0);
	/* From the lists now. */
	for (i = 0; i < sizeof(size) / sizeof(size[0]); i++)
		p[i] = allocate(NAMED(by_malloc), size[i]);
	for (i = 0; i < sizeof(size) / sizeof(size[0]); i++)
		release(NAMED(by_free), p[i], 0);
	for (i = 0; i < sizeof(size) / sizeof(size[0]); i++)
		release(NAMED(by_free), allocate(NAMED(by_calloc), size[i] & ~7UL), 0);
}

static void resizing(void)
{
	void *p = allocate(NAMED(by_realloc), 100);

	p = resize(NAMED(by_realloc), p, 90);	      /* stays in its slab */
	p = resize(NAMED(by_reallocarray), p, 80000); /* becomes a run */
	p = resize(NAMED(by_realloc), p, 100000);     /* longer, in place */
	p = resize(NAMED(by_realloc), p, 50000);      /* shorter */
	p = resize(NAMED(by_realloc), p, 3 << 20);    /* becomes a huge block */
	p = resize(NAMED(by_realloc), p, 4 << 20);    /* longer, in place if there is room */
	allocate(NAMED(by_malloc), 3 << 20);	      /* in the way, perhaps */
	p = resize(NAMED(by_realloc), p, 64 << 20);   /* its pages move */
	p = resize(NAMED(by_realloc), p, 100);	      /* back into a slab */
	expect_kfree("by_realloc", p);
	by_realloc(p, 0);
}

static void *failing(void)
{
	return by_malloc(NULL, SIZE_MAX - 100);
}

int main(int argc, char **argv)
{
	int fd = argc > 1 ? open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0666) : 1;

	begin();
	sizes();
	resizing();
	release(NAMED(by_free), allocate(NAMED(by_memalign), 200), 0);
	release(NAMED(by_free), allocate(NAMED(by_memalign_small), 200), 0);
	release(NAMED(by_free), allocate(NAMED(by_memalign_mib), 200000), 0);
	release(NAMED(by_free), allocate(NAMED(by_memalign_mib), 2000000), 0);
	release(NAMED(by_free_sized), allocate(NAMED(by_aligned_alloc), 40000), 40000);
	release(NAMED(by_free), allocate(NAMED(by_posix_memalign), 4000), 0);
	release(NAMED(by_free), allocate(NAMED(by_valloc), 4000), 0);
	release(NAMED(by_free), allocate(NAMED(by_pvalloc), 4096), 0);
	release(NAMED(by_delete), allocate(NAMED(by_new), 30), 0);
	release(NAMED(by_delete), allocate(NAMED(by_new), 3000000), 0);
	release(NAMED(by_delete_sized), allocate(NAMED(by_new_nothrow), 2000), 2000);
	release(NAMED(by_delete), allocate(NAMED(by_new_aligned), 100), 0);
	release(NAMED(by_free), NULL, 0);
	if (failing())
		return 1;
	return write(fd, text, length) != (ssize_t)length;
}
