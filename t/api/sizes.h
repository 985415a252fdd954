/* SPDX-License-Identifier: MIT */
/*
 * Sizes at which an allocator may go wrong: around every size class (eight to a doubling up to 1 MiB, so all multiples
 * of an eighth of a power of two), around every power of two up to 64 MiB, and those that no allocator can serve.
 */
#ifndef T_API_SIZES_H
#define T_API_SIZES_H

#include <stddef.h>
#include <stdint.h>

#define SIZES_MAX 1024

static size_t sizes[SIZES_MAX];
static size_t nr_sizes;

/* Read through volatile, so that the compiler does not warn of what we mean to do. */
static volatile const size_t impossible_sizes[] __attribute__((unused)) = {
	SIZE_MAX,
	SIZE_MAX - 1,
	SIZE_MAX - 15,
	SIZE_MAX - 16,
	SIZE_MAX - 31,
	SIZE_MAX - 64,
	SIZE_MAX - 4095,
	SIZE_MAX - 4096,
	SIZE_MAX - (2UL << 20),
	SIZE_MAX / 2 + 4096,
	(size_t)PTRDIFF_MAX + 1,
	PTRDIFF_MAX,
	PTRDIFF_MAX - 1,
	PTRDIFF_MAX - 4096,
	PTRDIFF_MAX - (2UL << 20),
	SIZE_MAX / 4,
};
#define NR_IMPOSSIBLE (sizeof(impossible_sizes) / sizeof(impossible_sizes[0]))

static __attribute__((unused)) void sizes_around(size_t n)
{
	size_t i;

	for (i = n - 1; i <= n + 1 && nr_sizes < SIZES_MAX; i++)
		if (!nr_sizes || i > sizes[nr_sizes - 1])
			sizes[nr_sizes++] = i;
}

/* Fill the table, ascending, with sizes up to max + 1. */
static __attribute__((unused)) void sizes_init(size_t max)
{
	size_t power, eighth;

	for (power = 1; power <= max; power *= 2) {
		sizes_around(power);
		if (power < 8 || power >= 1UL << 20)
			continue;
		for (eighth = 1; eighth < 8; eighth++)
			sizes_around(power + power / 8 * eighth);
	}
}

#endif
