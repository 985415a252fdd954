/* SPDX-License-Identifier: MIT */
/*
 * malloc, free and malloc_usable_size over all sizes: alignment, errno, every usable byte of a block its own.
 */
#include "api.h"
#include "pattern.h"
#include "sizes.h"

static void *block[SIZES_MAX];

static void test_each_size(void)
{
	size_t i, usable;

	for (i = 0; i < nr_sizes; i++) {
		errno = ERRNO_MARK;
		block[i] = malloc(sizes[i]);
		if (!want(block[i], "malloc(%zu) failed: %d", sizes[i], errno))
			continue;
		want(errno == ERRNO_MARK, "malloc(%zu) changed errno to %d", sizes[i], errno);
		want((uintptr_t)block[i] % 16 == 0, "malloc(%zu) = %p is not aligned to 16", sizes[i], block[i]);
		usable = malloc_usable_size(block[i]);
		want(usable >= sizes[i], "malloc_usable_size is %zu of %zu", usable, sizes[i]);
		want(errno == ERRNO_MARK, "malloc_usable_size changed errno to %d", errno);
		pattern_fill(block[i], usable);
	}
	verdict("malloc of %zu sizes from 0 to %zu", nr_sizes, sizes[nr_sizes - 1]);
}

static void test_all_apart(void)
{
	size_t i, usable;

	for (i = 0; i < nr_sizes; i++) {
		if (!block[i])
			continue;
		usable = malloc_usable_size(block[i]);
		want(pattern_intact(block[i], usable), "another block lies in that of malloc(%zu)", sizes[i]);
		errno = ERRNO_MARK;
		free(block[i]);
		want(errno == ERRNO_MARK, "free of %zu bytes changed errno to %d", sizes[i], errno);
	}
	verdict("every usable byte belongs to one block alone");
}

/* All sizes live at once lie in slabs of their own; neighbours in one slab are only met within a size. */
static void test_neighbours(void)
{
	enum { NR = 40 };
	static const size_t of[] = { 1,	   16,	 17,   48,   100,  128,	  129,	 1000,
				     1024, 1025, 3000, 5000, 9000, 32768, 32769, 200000 };
	void *near[NR];
	size_t i, n;

	for (i = 0; i < API_ARRAY_SIZE(of); i++) {
		for (n = 0; n < NR; n++) {
			near[n] = malloc(of[i]);
			if (!near[n])
				bail_out("malloc(%zu) failed", of[i]);
			pattern_fill(near[n], malloc_usable_size(near[n]));
		}
		for (n = 0; n < NR; n += 2) {
			want(pattern_intact(near[n], malloc_usable_size(near[n])), "%zu bytes, block %zu", of[i], n);
			free(near[n]);
		}
		for (n = 1; n < NR; n += 2) {
			want(pattern_intact(near[n], malloc_usable_size(near[n])),
			     "%zu bytes, block %zu, after its neighbours' free", of[i], n);
			free(near[n]);
		}
	}
	verdict("neighbours do not disturb each other, nor does their free");
}

static void test_zero(void)
{
	void *a = malloc(0), *b = malloc(0);

	want(a && b, "malloc(0) is NULL");
	want(a != b, "malloc(0) twice is the same block");
	free(a);
	free(b);
	verdict("malloc(0) gives a block of its own");
}

static void test_null(void)
{
	errno = ERRNO_MARK;
	free(NULL);
	want(errno == ERRNO_MARK, "free(NULL) changed errno");
	want(malloc_usable_size(NULL) == 0, "malloc_usable_size(NULL)");
	verdict("NULL may be freed, and holds nothing");
}

static void test_impossible(void)
{
	size_t i;
	void *p;

	for (i = 0; i < NR_IMPOSSIBLE; i++) {
		errno = 0;
		p = malloc(impossible_sizes[i]);
		want(!p, "malloc(%#zx) = %p", impossible_sizes[i], p);
		want(errno == ENOMEM, "malloc(%#zx): errno %d", impossible_sizes[i], errno);
	}
	p = malloc(100);
	want(p, "malloc(100) after failures");
	free(p);
	verdict("impossible sizes are refused with ENOMEM");
}

/* A freed block serves again, and how often changes nothing. */
static void test_reuse(void)
{
	size_t i, n, before = api_in_use();

	for (i = 0; i < nr_sizes; i++) {
		for (n = 0; n < 20; n++) {
			void *p = malloc(sizes[i]);

			if (!want(p, "malloc(%zu), time %zu", sizes[i], n))
				break;
			memset(p, (int)n, sizes[i] < 64 ? sizes[i] : 64);
			free(p);
		}
	}
	want(api_in_use() == before, "%zu bytes in use before, %zu after", before, api_in_use());
	verdict("what was freed is not in use");
}

int main(void)
{
	plan(7);
	api_prove_served();
	sizes_init(api_slow() ? 16 * MIB : 64 * MIB);
	test_each_size();
	test_all_apart();
	test_neighbours();
	test_zero();
	test_null();
	test_impossible();
	test_reuse();
	return tap_exit();
}
