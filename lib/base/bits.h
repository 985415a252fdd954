/* SPDX-License-Identifier: MIT */
/*
 * Powers of two, alignment, and the sizes every layer counts in.
 */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include "base/compiler.h"

#define KiB (1UL << 10)
#define MiB (1UL << 20)
#define GiB (1UL << 30)

/* The page of an arena: 4 KiB whatever the machine's own page size is. */
#define PAGE_SHIFT 12
#define PAGE_SIZE (1UL << PAGE_SHIFT)

static always_inline bool is_power_of_2(unsigned long n)
{
	return n && !(n & (n - 1));
}

/* Floor of log2; n is not 0. */
static always_inline unsigned int ilog2(unsigned long n)
{
	return 63U - (unsigned int)__builtin_clzl(n);
}

/* Index of the lowest set bit; n is not 0. */
static always_inline unsigned int first_bit(unsigned long n)
{
	return (unsigned int)__builtin_ctzl(n);
}

/* Bits that are set. Not by the compiler's builtin: that is a call into its own library. */
static always_inline unsigned int hweight_long(unsigned long n)
{
	unsigned int bits = 0;

	for (; n; n &= n - 1)
		bits++;
	return bits;
}

/* a is a power of two in all three. align_up wraps to a small value near ULONG_MAX: callers check first. */
static always_inline unsigned long align_up(unsigned long n, unsigned long a)
{
	return (n + a - 1) & ~(a - 1);
}
static always_inline unsigned long align_down(unsigned long n, unsigned long a)
{
	return n & ~(a - 1);
}
static always_inline bool is_aligned(unsigned long n, unsigned long a)
{
	return !(n & (a - 1));
}

static always_inline unsigned long min_ul(unsigned long a, unsigned long b)
{
	return a < b ? a : b;
}
static always_inline unsigned long max_ul(unsigned long a, unsigned long b)
{
	return a > b ? a : b;
}

static always_inline int max_int(int a, int b)
{
	return a > b ? a : b;
}

/* Pages that hold size bytes; size is at most ULONG_MAX - PAGE_SIZE + 1. */
static always_inline unsigned long size_to_pages(size_t size)
{
	return (size + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

/* Smallest order whose block holds nr pages; nr is not 0. */
static always_inline unsigned int order_for_pages(unsigned long nr)
{
	return nr == 1 ? 0 : ilog2(nr - 1) + 1;
}

#endif
