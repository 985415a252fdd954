/* SPDX-License-Identifier: MIT */
/*
 * calloc and reallocarray: zeroes whatever the memory held before, and products that overflow.
 */
#include "api.h"
#include "pattern.h"
#include "sizes.h"

/* The offset of the first byte of p that is not zero, or size. */
static size_t first_nonzero(const unsigned char *p, size_t size)
{
	size_t i;

	if (!size || (!p[0] && !memcmp(p, p + 1, size - 1)))
		return size;
	for (i = 0; !p[i]; i++)
		;
	return i;
}

static void dirty(size_t size)
{
	void *p[4];
	size_t i;

	for (i = 0; i < 4; i++) {
		p[i] = malloc(size);
		if (p[i])
			memset(p[i], 0xa5, malloc_usable_size(p[i]));
	}
	for (i = 0; i < 4; i++)
		free(p[i]);
}

static void want_zero(size_t nmemb, size_t size, const char *when)
{
	unsigned char *p;

	errno = ERRNO_MARK;
	p = calloc(nmemb, size);
	if (!want(p, "calloc(%zu, %zu) failed %s: %d", nmemb, size, when, errno))
		return;
	want(errno == ERRNO_MARK, "calloc(%zu, %zu) changed errno to %d", nmemb, size, errno);
	want((uintptr_t)p % 16 == 0, "calloc(%zu, %zu) = %p", nmemb, size, (void *)p);
	want(malloc_usable_size(p) >= nmemb * size, "calloc(%zu, %zu): usable size", nmemb, size);
	want(first_nonzero(p, nmemb * size) == nmemb * size, "calloc(%zu, %zu) %s: byte %zu is not zero", nmemb, size,
	     when, first_nonzero(p, nmemb * size));
	memset(p, 0x5a, nmemb * size);
	free(p);
}

static void test_zero(void)
{
	size_t i;

	for (i = 0; i < nr_sizes; i++) {
		want_zero(1, sizes[i], "at first");
		want_zero(sizes[i], 1, "again");
		dirty(sizes[i]);
		want_zero(1, sizes[i], "after dirty ones");
	}
	verdict("calloc of %zu sizes up to %zu is zero, fresh and reused", nr_sizes, sizes[nr_sizes - 1]);
}

/* Memory that held other sizes, and memory that realloc cut off or grew over. */
static void test_mixed_reuse(void)
{
	static const size_t some[] = { 64, 5000, 40000, 700000, 1500000, 5000000, 9000000 };
	size_t a, b;
	char *p;

	for (a = 0; a < API_ARRAY_SIZE(some); a++) {
		for (b = 0; b < API_ARRAY_SIZE(some); b++) {
			dirty(some[a]);
			want_zero(some[b] / 4, 4, "after another size");
			p = calloc(1, some[a]);
			if (p)
				memset(p, 1, some[a]);
			p = realloc(p, some[b]);
			if (p)
				memset(p, 2, some[b]);
			want_zero(1, some[a], "beside a block that was reallocated");
			free(p);
			want_zero(1, some[a] > some[b] ? some[a] - some[b] : some[b], "after realloc");
		}
	}
	malloc_trim(0);
	for (a = 0; a < API_ARRAY_SIZE(some); a++)
		want_zero(1, some[a], "after malloc_trim");
	verdict("calloc is zero whatever the memory was before");
}

static volatile const size_t factors[][2] = {
	{ SIZE_MAX, 2 },
	{ 2, SIZE_MAX },
	{ SIZE_MAX, SIZE_MAX },
	{ SIZE_MAX / 2 + 1, 2 },
	{ 1UL << 32, 1UL << 32 },
	{ (1UL << 32) + 1, 1UL << 32 },
	{ SIZE_MAX / 16 + 1, 16 },
	{ 3, SIZE_MAX / 3 + 1 },
	{ 1, SIZE_MAX },
	{ 1, (size_t)PTRDIFF_MAX + 1 },
	{ (size_t)PTRDIFF_MAX / 8 + 1, 8 },
	{ 1, PTRDIFF_MAX },
};

static void test_overflow(void)
{
	char *p, *volatile keep = malloc(100);
	size_t i;

	if (!keep)
		bail_out("malloc(100) failed");
	pattern_fill(keep, 100);
	for (i = 0; i < API_ARRAY_SIZE(factors); i++) {
		size_t n = factors[i][0], size = factors[i][1];

		errno = 0;
		want(!calloc(n, size) && errno == ENOMEM, "calloc(%#zx, %#zx): errno %d", n, size, errno);
		errno = 0;
		want(!reallocarray(NULL, n, size) && errno == ENOMEM, "reallocarray(NULL, %#zx, %#zx): errno %d", n,
		     size, errno);
		errno = 0;
		p = reallocarray(keep, n, size);
		want(!p && errno == ENOMEM, "reallocarray(p, %#zx, %#zx): errno %d", n, size, errno);
		want(pattern_intact(keep, 100), "reallocarray(p, %#zx, %#zx) touched p", n, size);
	}
	free(keep);
	verdict("calloc and reallocarray: a product that overflows is ENOMEM, and the block stays");
}

static void test_nothing(void)
{
	volatile size_t most = SIZE_MAX;
	void *a = calloc(0, 100), *b = calloc(100, 0), *c = calloc(0, most), *d = calloc(most, 0);

	want(a && b && c && d, "calloc of nothing is NULL");
	want(a != b && b != c && c != d, "calloc of nothing: a block twice");
	free(a);
	free(b);
	free(c);
	free(d);
	verdict("calloc with a factor of 0 gives a block");
}

static void test_reallocarray(void)
{
	uintptr_t was;
	char *volatile p;
	char *q;

	errno = ERRNO_MARK;
	p = reallocarray(NULL, 10, 30);
	if (!want(p && malloc_usable_size(p) >= 300, "reallocarray(NULL, 10, 30)"))
		return;
	pattern_fill(p, 300);
	was = (uintptr_t)p;
	q = reallocarray(p, 1000, 300);
	want(q && malloc_usable_size(q) >= 300000, "reallocarray(p, 1000, 300)");
	want(q && pattern_damage(q, was, 300, 300) < 0, "reallocarray lost the contents");
	want(errno == ERRNO_MARK, "reallocarray changed errno to %d", errno);
	want(!reallocarray(q, 0, 8), "reallocarray to nothing frees");
	verdict("reallocarray is realloc of the product");
}

int main(void)
{
	size_t before;

	plan(6);
	api_prove_served();
	before = api_in_use();
	sizes_init(api_slow() ? 4 * MIB : 64 * MIB);
	test_zero();
	test_mixed_reuse();
	test_overflow();
	test_nothing();
	test_reallocarray();
	is_int(api_in_use(), before, "nothing is left in use");
	return tap_exit();
}
