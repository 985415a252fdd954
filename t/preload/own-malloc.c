/* SPDX-License-Identifier: MIT */
/*
 * A program with a malloc of its own, out of a static arena. With a preloaded library every block must still come
 * from that arena: what libc allocates, and what the library serves because this program lacks it (aligned_alloc,
 * posix_memalign, valloc, reallocarray, operator new), which has to forward here. Before main begins it cannot free.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC 0x6f776e6d616c6c6fUL

struct header {
	size_t size;
	uint64_t magic;
};

static char arena[16 << 20] __attribute__((aligned(65536)));
static size_t used;
static int ready;

static int is_own(const void *p)
{
	return (const char *)p > arena && (const char *)p < arena + sizeof(arena);
}

static void die(const char *text)
{
	ssize_t written = write(2, text, strlen(text));

	(void)written;
	_exit(1);
}

void *memalign(size_t align, size_t size)
{
	size_t at;

	align = align < 16 ? 16 : align;
	at = (__atomic_fetch_add(&used, size + 2 * align + sizeof(struct header), __ATOMIC_RELAXED) +
	      sizeof(struct header) + align - 1) &
	     ~(align - 1);
	if (size > sizeof(arena) || at + size > sizeof(arena)) {
		errno = ENOMEM;
		return NULL;
	}
	((struct header *)(arena + at))[-1] = (struct header){ size, MAGIC };
	return arena + at;
}

void *malloc(size_t size)
{
	return memalign(16, size);
}

/* The arena is never used twice, so it is still zero. */
void *calloc(size_t n, size_t size)
{
	return memalign(16, n * size);
}

void free(void *p)
{
	if (p && !ready)
		die("free before main\n");
	if (p && (!is_own(p) || ((struct header *)p)[-1].magic != MAGIC))
		die("free of a block that is not the program's\n");
}

void *realloc(void *p, size_t size)
{
	void *q = malloc(size);
	size_t old = p ? ((struct header *)p)[-1].size : 0;

	free(p);
	return q && p ? memcpy(q, p, old < size ? old : size) : q;
}

static void check(void *p, size_t align, const char *what)
{
	if (!is_own(p) || (uintptr_t)p % align)
		die(what);
	memset(p, 1, 100);
	free(p);
}

int main(void)
{
	void *(*operator_new)(size_t), *p = NULL;

	ready = 1;
	check(strdup("a text of more than a hundred bytes, so that each block of this program can be filled "
		     "with a hundred bytes of ones"),
	      16, "strdup is not from the program\n");
	check(aligned_alloc(64, 128), 64, "aligned_alloc is not from the program\n");
	if (posix_memalign(&p, 4096, 100))
		die("posix_memalign fails\n");
	check(p, 4096, "posix_memalign is not from the program\n");
	check(valloc(100), 4096, "valloc is not from the program\n");
	check(reallocarray(NULL, 10, 10), 16, "reallocarray is not from the program\n");
	*(void **)&operator_new = dlsym(RTLD_DEFAULT, "_Znwm");
	if (operator_new)
		check(operator_new(100), 16, "operator new is not from the program\n");
	puts(operator_new ? "own malloc, operator new too" : "own malloc");
	return 0;
}
