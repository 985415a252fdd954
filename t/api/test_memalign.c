/* SPDX-License-Identifier: MIT */
/*
 * Alignment: memalign, aligned_alloc and posix_memalign with every power of two up to 64 MiB, valloc and pvalloc, and
 * alignments that are none.
 */
#include "api.h"
#include "pattern.h"
#include "sizes.h"

static void *by_posix(size_t align, size_t size)
{
	void *p = NULL;
	int err = posix_memalign(&p, align, size);

	want(!err, "posix_memalign(%#zx, %zu): %d", align, size, err);
	return p;
}

static void *(*const functions[])(size_t, size_t) = { memalign, aligned_alloc, by_posix };
static const char *const names[] = { "memalign", "aligned_alloc", "posix_memalign" };

/* Three of each, so that not only the first of a slab is seen. */
static void try_one(size_t f, size_t align, size_t size)
{
	void *p[3];
	size_t i;

	for (i = 0; i < 3; i++) {
		errno = ERRNO_MARK;
		p[i] = functions[f](align, size);
		if (!want(p[i], "%s(%#zx, %zu) failed: %d", names[f], align, size, errno))
			continue;
		want(errno == ERRNO_MARK, "%s(%#zx, %zu) changed errno to %d", names[f], align, size, errno);
		want((uintptr_t)p[i] % align == 0, "%s(%#zx, %zu) = %p", names[f], align, size, p[i]);
		want((uintptr_t)p[i] % 16 == 0, "%s(%#zx, %zu) = %p: not aligned to 16", names[f], align, size, p[i]);
		want(malloc_usable_size(p[i]) >= size, "%s(%#zx, %zu): %zu usable", names[f], align, size,
		     malloc_usable_size(p[i]));
		pattern_fill(p[i], size);
	}
	for (i = 0; i < 3; i++) {
		if (!p[i])
			continue;
		want(pattern_intact(p[i], size), "%s(%#zx, %zu): overlap", names[f], align, size);
		free(p[i]);
	}
}

static void test_alignments(size_t f)
{
	static const size_t some[] = { 0,     1,     24,    100,    1000,   4000,    4096,    5000,
				       20000, 32768, 33000, 100000, 300000, 1048576, 1100000, 3000000 };
	size_t align, i, max = api_slow() ? 16 * MIB : 64 * MIB;

	for (align = f == 2 ? sizeof(void *) : 1; align <= max; align *= 2) {
		for (i = 0; i < API_ARRAY_SIZE(some); i++)
			try_one(f, align, some[i]);
		if (align > 16 && align < 2 * MIB) {
			try_one(f, align, align - 1);
			try_one(f, align, align + 1);
			try_one(f, align, align * 3 + 1);
		}
	}
	verdict("%s: every alignment up to %zu MiB", names[f], max / MIB);
}

/* Freed late, so that they come from many places of their slabs. */
static void test_small(void)
{
	size_t align, size, step = api_slow() ? 37 : 1, n = 0;
	void *held[64] = { NULL };

	for (align = 8; align <= 8192; align *= 2) {
		for (size = 0; size <= 2200; size += step) {
			void **p = &held[n++ % API_ARRAY_SIZE(held)];

			free(*p);
			*p = functions[n % 3](align, size);
			want(*p && (uintptr_t)*p % align == 0, "%s(%#zx, %zu) = %p", names[n % 3], align, size, *p);
			want(malloc_usable_size(*p) >= size, "%s(%#zx, %zu): %zu usable", names[n % 3], align, size,
			     malloc_usable_size(*p));
		}
	}
	for (n = 0; n < API_ARRAY_SIZE(held); n++)
		free(held[n]);
	verdict("every small size with every alignment up to 8 KiB");
}

static void test_bad_alignment(void)
{
	static volatile const size_t bad[] = { 0, 3, 24, 48, 1000, SIZE_MAX, SIZE_MAX / 2, 4097 };
	size_t i, f;

	for (i = 0; i < API_ARRAY_SIZE(bad); i++) {
		for (f = 0; f < 2; f++) {
			void *p;

			errno = 0;
			p = functions[f](bad[i], 100);
			want(!p && errno == EINVAL, "%s(%zu, 100) = %p, errno %d", names[f], bad[i], p, errno);
		}
	}
	verdict("memalign and aligned_alloc: an alignment that is no power of two is EINVAL");
}

static void test_posix_memalign_bad(void)
{
	static volatile const size_t bad[] = { 0, 1, 2, 4, 3, 12, 24, 40, SIZE_MAX };
	void *const mark = &api_failures;
	void *p = mark;
	size_t i;

	errno = ERRNO_MARK;
	for (i = 0; i < API_ARRAY_SIZE(bad); i++) {
		want(posix_memalign(&p, bad[i], 100) == EINVAL, "posix_memalign(%zu) is not EINVAL", bad[i]);
		want(p == mark, "posix_memalign(%zu) wrote to its result", bad[i]);
	}
	verdict("posix_memalign: a bad alignment is EINVAL");
	for (i = 0; i < NR_IMPOSSIBLE; i++) {
		want(posix_memalign(&p, 64, impossible_sizes[i]) == ENOMEM, "posix_memalign(64, %#zx)",
		     impossible_sizes[i]);
		want(p == mark, "posix_memalign(64, %#zx) wrote to its result", impossible_sizes[i]);
	}
	want(errno == ERRNO_MARK, "posix_memalign changed errno to %d", errno);
	verdict("posix_memalign: an impossible size is ENOMEM, and errno is not touched");
}

static void test_impossible(void)
{
	size_t i, align, f;

	for (i = 0; i < NR_IMPOSSIBLE; i++) {
		for (align = 8; align; align *= 2) {
			for (f = 0; f < 2; f++) {
				void *p;

				errno = 0;
				p = functions[f](align, impossible_sizes[i]);
				want(!p && errno == ENOMEM, "%s(%#zx, %#zx) = %p, errno %d", names[f], align,
				     impossible_sizes[i], p, errno);
			}
		}
	}
	for (align = (size_t)1 << 60; align; align *= 2) {
		errno = 0;
		want(!memalign(align, 1) && errno == ENOMEM, "memalign(%#zx, 1): errno %d", align, errno);
	}
	verdict("impossible sizes and alignments are refused with ENOMEM");
}

static void test_valloc(void)
{
	static const size_t some[] = { 0, 1, 100, 4095, 4096, 4097, 40000, 2000000 };
	size_t page = (size_t)sysconf(_SC_PAGESIZE), i;

	for (i = 0; i < API_ARRAY_SIZE(some); i++) {
		size_t whole = (some[i] + page - 1) / page * page;
		void *v = valloc(some[i]), *p = pvalloc(some[i]);

		want(v && (uintptr_t)v % page == 0, "valloc(%zu) = %p", some[i], v);
		want(p && (uintptr_t)p % page == 0, "pvalloc(%zu) = %p", some[i], p);
		want(malloc_usable_size(v) >= some[i], "valloc(%zu): %zu usable", some[i], malloc_usable_size(v));
		want(malloc_usable_size(p) >= whole, "pvalloc(%zu): %zu usable", some[i], malloc_usable_size(p));
		memset(p, 1, whole);
		free(v);
		free(p);
	}
	verdict("valloc and pvalloc are aligned to a page, pvalloc holds whole ones");
	for (i = 0; i < NR_IMPOSSIBLE; i++) {
		errno = 0;
		want(!valloc(impossible_sizes[i]) && errno == ENOMEM, "valloc(%#zx): %d", impossible_sizes[i], errno);
		errno = 0;
		want(!pvalloc(impossible_sizes[i]) && errno == ENOMEM, "pvalloc(%#zx): %d", impossible_sizes[i], errno);
	}
	verdict("valloc and pvalloc: impossible sizes, and those that rounding up overflows, are ENOMEM");
}

/* An aligned block is like any other to realloc, which keeps its contents, and to every way of freeing. */
static void test_then_realloc(void)
{
	size_t align;

	for (align = 32; align <= 4 * MIB; align *= 4) {
		char *p = memalign(align, 5000), *q;
		uintptr_t was = (uintptr_t)p;

		if (!want(p, "memalign(%#zx, 5000)", align))
			continue;
		pattern_fill(p, 5000);
		q = realloc(p, 50000);
		want(q && pattern_damage(q, was, 5000, 5000) < 0, "realloc of memalign(%#zx) lost contents", align);
		free(q);
		free_aligned_sized(aligned_alloc(align, 100), align, 100);
		cfree(memalign(align, 100));
	}
	verdict("aligned blocks may be reallocated and freed");
}

int main(void)
{
	size_t f, before;

	plan(12);
	api_prove_served();
	before = api_in_use();
	for (f = 0; f < 3; f++)
		test_alignments(f);
	test_small();
	test_bad_alignment();
	test_posix_memalign_bad();
	test_impossible();
	test_valloc();
	test_then_realloc();
	is_int(api_in_use(), before, "nothing is left in use");
	return tap_exit();
}
