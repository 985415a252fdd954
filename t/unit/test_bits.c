/* SPDX-License-Identifier: MIT */
/*
 * Powers of two and alignment against definitions that count step by step.
 */
#include <limits.h>

#include "base/bits.h"
#include "tap.h"

static unsigned int naive_ilog2(unsigned long n)
{
	unsigned int log = 0;

	while (n >>= 1)
		log++;
	return log;
}

static unsigned int naive_order(unsigned long nr)
{
	unsigned int order = 0;

	while ((1UL << order) < nr)
		order++;
	return order;
}

static int logs_differ(unsigned long n)
{
	unsigned int low = 0;

	while (!(n >> low & 1))
		low++;
	return ilog2(n) != naive_ilog2(n) || first_bit(n) != low || is_power_of_2(n) != (low == naive_ilog2(n));
}

static void test_logs(void)
{
	int wrong = 0;

	for (unsigned long n = 1; n < 10000; n++)
		wrong += logs_differ(n);
	is_int(wrong, 0, "ilog2, first_bit and is_power_of_2 of small numbers");
	wrong = 0;
	for (unsigned int bit = 1; bit < 64; bit++)
		wrong += logs_differ(1UL << bit) + logs_differ((1UL << bit) - 1) + logs_differ((1UL << bit) | 1);
	is_int(wrong, 0, "and around each power of two");
	ok(!is_power_of_2(0), "0 is no power of two");
	is_int(ilog2(ULONG_MAX), 63, "ilog2 of the largest number");
}

static void test_align(void)
{
	int wrong = 0;

	for (unsigned long a = 1; a <= 4096; a *= 2) {
		for (unsigned long n = 0; n < 9000; n++) {
			unsigned long down = n - n % a;
			unsigned long up = n % a ? down + a : n;

			wrong += align_up(n, a) != up || align_down(n, a) != down || is_aligned(n, a) != !(n % a);
		}
	}
	is_int(wrong, 0, "align_up, align_down and is_aligned");
	is_int(align_down(ULONG_MAX, PAGE_SIZE) >> PAGE_SHIFT, ULONG_MAX >> PAGE_SHIFT, "align_down at the top");
	is_int(align_up(ULONG_MAX, PAGE_SIZE), 0, "align_up wraps at the top, as documented");
}

static void test_pages(void)
{
	int wrong = 0;

	for (unsigned long nr = 1; nr < 5000; nr++)
		wrong += order_for_pages(nr) != naive_order(nr);
	is_int(wrong, 0, "order_for_pages");
	is_int(order_for_pages(1UL << 51), 51, "order_for_pages of a huge power of two");
	is_int(order_for_pages((1UL << 51) + 1), 52, "and of one page more");
	is_int(size_to_pages(0), 0, "no page holds 0 bytes");
	is_int(size_to_pages(1), 1, "one holds 1");
	is_int(size_to_pages(PAGE_SIZE), 1, "one holds a page");
	is_int(size_to_pages(PAGE_SIZE + 1), 2, "two hold one byte more");
	is_int(size_to_pages(ULONG_MAX - PAGE_SIZE + 1), ULONG_MAX >> PAGE_SHIFT, "the largest size allowed");
}

int main(void)
{
	test_logs();
	test_align();
	test_pages();
	is_int(min_ul(0, ULONG_MAX), 0, "min_ul");
	is_int(min_ul(7, 3), 3, "min_ul the other way round");
	ok(max_ul(0, ULONG_MAX) == ULONG_MAX, "max_ul compares without sign");
	is_int(max_ul(7, 3), 7, "max_ul the other way round");
	ok(likely(2) == 1 && unlikely(4) == 1 && !likely(0) && !unlikely(0),
	   "likely and unlikely say what they are told");
	return done_testing();
}
