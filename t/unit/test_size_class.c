/* SPDX-License-Identifier: MIT */
/*
 * Every size from 0 to 1 MiB: the class holds it, no smaller class does, and the waste is what the design allows; of
 * what is a little more than a power of two it is less. What is aligned lies in a class whose objects are.
 */
#include "slab/size_class.h"
#include "tap.h"

static void test_sizes(void)
{
	unsigned long small = 0, not_least = 0, wasteful = 0, falls = 0;
	unsigned int last = 0;
	size_t size;

	for (size = 1; size <= RUN_SIZE_MAX; size++) {
		unsigned int class = size_to_class(size);

		small += class >= NR_CLASSES || class_size(class) < size;
		not_least += class > 1 && class_size(class - 1) >= size;
		wasteful += size > 128 && (class_size(class) - size) * 8 >= class_size(class);
		falls += class < last;
		last = class;
	}
	is_int(small, 0, "every size fits its class");
	is_int(not_least, 0, "and no smaller class");
	is_int(wasteful, 0, "above 128 bytes less than an eighth is wasted");
	is_int(falls, 0, "a larger size never has a smaller class");
	is_int(last, NR_CLASSES - 1, "1 MiB has the last class");
	is_int(size_to_class(0), 1, "size 0 has the first class");
}

static void test_classes(void)
{
	unsigned long unaligned = 0, falls = 0, not_pages = 0, not_own = 0;
	unsigned int class;

	for (class = 1; class < NR_CLASSES; class ++) {
		size_t size = class_size(class);

		unaligned += !is_aligned(size, MALLOC_ALIGN);
		falls += class > 1 && size <= class_size(class - 1);
		not_pages += class >= FIRST_RUN_CLASS && !is_aligned(size, PAGE_SIZE);
		not_own += size_to_class(size) != class;
	}
	is_int(unaligned, 0, "classes are multiples of 16 bytes");
	is_int(falls, 0, "and grow");
	is_int(not_pages, 0, "runs are whole pages");
	is_int(not_own, 0, "an object's size has the object's class");
	is_int(class_size(FIRST_RUN_CLASS - 1), SLAB_SIZE_MAX, "the largest slab class");
	is_int(class_size(NR_CLASSES - 1), RUN_SIZE_MAX, "the largest run class");
}

/* A power of two and a header: a sixteenth is lost at most. */
static void test_headers(void)
{
	unsigned long wasteful = 0;
	size_t power, size;

	for (power = 256; power <= 8 * KiB; power *= 2)
		for (size = power + 1; size <= power + power / 16; size++)
			wasteful += class_size(size_to_class(size)) > power + power / 16 + MALLOC_ALIGN;
	is_int(wasteful, 0, "a sixteenth more than a power of two loses no more than that");
	for (size = KiB + 1; size <= KiB + KiB / 32; size++)
		wasteful += class_size(size_to_class(size)) > KiB + KiB / 32;
	is_int(wasteful, 0, "nor a thirty-second more than 1 KiB");
}

static void test_aligned(void)
{
	unsigned long unaligned = 0, small = 0, wasteful = 0, listed = 0;
	size_t align, size;

	for (align = MALLOC_ALIGN; align <= SLAB_SIZE_MAX; align *= 2) {
		for (size = align; size <= SLAB_SIZE_MAX; size += align) {
			size_t bytes = class_size(size_to_class_aligned(align, size));

			unaligned += bytes % align != 0;
			small += bytes < size;
			wasteful += size > 128 && (bytes - size) * 8 >= bytes;
			listed += size <= TABLE_SIZE_MAX && class_size(size_to_class_small(size)) != bytes;
		}
	}
	is_int(unaligned, 0, "objects for a multiple of an alignment are multiples of it");
	is_int(small + wasteful, 0, "and hold it, with less than an eighth to spare");
	is_int(listed, 0, "up to 1 KiB all classes are so");
}

int main(void)
{
	test_sizes();
	test_classes();
	test_headers();
	test_aligned();
	return done_testing();
}
