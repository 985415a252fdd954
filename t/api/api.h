/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the malloc family share. In a sanitizer build the library's names carry BM_PREFIX, since the
 * sanitizer has a malloc of its own; below the system's headers this one maps the tests' calls to them. Everywhere
 * else it maps nothing.
 */
#ifndef T_API_API_H
#define T_API_API_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef BM_VALGRIND
#include <valgrind/valgrind.h>
#endif

#include "buddymalloc.h"
#include "tap.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef BM_PREFIX
#define API_PASTE(prefix, name) prefix##name
#define API_EXPAND(prefix, name) API_PASTE(prefix, name)
#define API_NAME(name) API_EXPAND(BM_PREFIX, name)
#define API_STRING(text) #text
#define API_QUOTE(text) API_STRING(text)
/* The assembler's name of an operator: its mangled name, prefixed. */
#define API_SYMBOL(name) API_QUOTE(BM_PREFIX) name

#define malloc API_NAME(malloc)
#define calloc API_NAME(calloc)
#define realloc API_NAME(realloc)
#define free API_NAME(free)
#define aligned_alloc API_NAME(aligned_alloc)
#define posix_memalign API_NAME(posix_memalign)
#define memalign API_NAME(memalign)
#define valloc API_NAME(valloc)
#define pvalloc API_NAME(pvalloc)
#define cfree API_NAME(cfree)
#define reallocarray API_NAME(reallocarray)
#define free_sized API_NAME(free_sized)
#define free_aligned_sized API_NAME(free_aligned_sized)
#define malloc_usable_size API_NAME(malloc_usable_size)
#define malloc_trim API_NAME(malloc_trim)
#define mallopt API_NAME(mallopt)
#define mallinfo() API_NAME(mallinfo)() /* these two also name a struct */
#define mallinfo2() API_NAME(mallinfo2)()
#define malloc_stats API_NAME(malloc_stats)
#define malloc_info API_NAME(malloc_info)

void *malloc(size_t size);
void *calloc(size_t nmemb, size_t size);
void *realloc(void *addr, size_t size);
void free(void *addr);
void *aligned_alloc(size_t align, size_t size);
int posix_memalign(void **res, size_t align, size_t size);
void *memalign(size_t align, size_t size);
void *valloc(size_t size);
void *pvalloc(size_t size);
void *reallocarray(void *addr, size_t nmemb, size_t size);
size_t malloc_usable_size(void *addr);
int malloc_trim(size_t pad);
int mallopt(int param, int value);
struct mallinfo API_NAME(mallinfo)(void);
struct mallinfo2 API_NAME(mallinfo2)(void);
void malloc_stats(void);
int malloc_info(int options, FILE *stream);
#define API_NOTHROW
#else
#define API_SYMBOL(name) name
#define API_NOTHROW __THROW
#endif

/* Not in every libc's headers. */
void cfree(void *addr) API_NOTHROW;
void free_sized(void *addr, size_t size) API_NOTHROW;
void free_aligned_sized(void *addr, size_t align, size_t size) API_NOTHROW;

#ifdef __cplusplus
}
#endif

#define API_UNUSED static __attribute__((unused))
#define API_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

API_UNUSED bool api_under_valgrind(void)
{
#ifdef BM_VALGRIND
	return RUNNING_ON_VALGRIND;
#else
	return false;
#endif
}

API_UNUSED bool api_sanitized(void)
{
#ifdef BM_PREFIX
	return true;
#else
	return false;
#endif
}

/* Bytes in blocks of the program's, large ones too. */
API_UNUSED size_t api_in_use(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* Where every access and every system call costs many times as much. */
API_UNUSED bool api_slow(void)
{
#ifdef BM_DEBUG
	return true;
#else
	return api_sanitized() || api_under_valgrind();
#endif
}

/*
 * One check among the many behind one result: want() complains when it fails, verdict() then is the result of all
 * since the last verdict.
 */
static int api_failures;

TAP_FUNCTION(3, 4) bool api_want(bool cond, int line, const char *fmt, ...)
{
	va_list ap;

	if (cond)
		return true;
	if (++api_failures > 10)
		return false;
	va_start(ap, fmt);
	tap_vline("# ", fmt, ap);
	va_end(ap);
	diag("at line %d", line);
	return false;
}
#define want(cond, ...) api_want((cond), __LINE__, __VA_ARGS__)
#define verdict(...) (ok(!api_failures, __VA_ARGS__), api_failures = 0)

/* No call that succeeds may change errno: mark it before, look after. */
#define ERRNO_MARK 4095

/* The number behind a word of the file, of /proc or the like; its first one for "". -1: there is none. Allocates
 * nothing. */
API_UNUSED long api_figure(const char *file, const char *word)
{
	static char text[8192];
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t len = 0, n;
	const char *at;

	if (fd < 0)
		return -1;
	while ((n = read(fd, text + len, sizeof(text) - 1 - (size_t)len)) > 0)
		len += n;
	close(fd);
	text[len] = '\0';
	for (at = text; len && (at = strstr(at, word)); at++)
		if (at == text || at[-1] == '\n' || at[-1] == ' ')
			return atol(at + strlen(word));
	return -1;
}

/* Resident memory, exactly: VmRSS of /proc/self/status is summed per CPU and lazily. */
API_UNUSED long api_resident_kib(void)
{
	long kib = api_figure("/proc/self/smaps_rollup", "Rss:");

	return kib >= 0 ? kib : api_figure("/proc/self/status", "VmRSS:");
}

/*
 * Ends the test unless it is our library that serves malloc. The library may be linked or preloaded, so bm_version is
 * looked up where nothing guarantees it.
 */
API_UNUSED void api_prove_served(void)
{
	void *block[64];
	size_t before, i;

#ifdef BM_PREFIX
	if (!bm_version())
		bail_out("bm_version() is NULL");
#else
	if (!dlsym(RTLD_DEFAULT, "bm_version"))
		bail_out("libbuddymalloc does not serve this process: run the test by make check, or preload it");
#endif
	before = api_in_use();
	for (i = 0; i < API_ARRAY_SIZE(block); i++) {
		block[i] = malloc(10000);
		if (!block[i])
			bail_out("malloc(10000) failed");
	}
	if (api_in_use() < before + API_ARRAY_SIZE(block) * 10000)
		bail_out("the blocks malloc gives are not of libbuddymalloc's heap");
	for (i = 0; i < API_ARRAY_SIZE(block); i++)
		free(block[i]);
}

/* What bm_stats_print writes; until the next call. Allocates nothing, so that what is counted between two reports is
 * the test's own. */
API_UNUSED const char *api_report(const char *what)
{
	static char text[1 << 20];
	int fd = memfd_create(what, MFD_CLOEXEC);
	ssize_t len;

	if (fd < 0 || bm_stats_print(fd, what) || (len = pread(fd, text, sizeof(text) - 1, 0)) < 0)
		bail_out("cannot read %s", what);
	close(fd);
	text[len] = '\0';
	return text;
}

#endif
