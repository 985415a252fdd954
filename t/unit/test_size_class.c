/* SPDX-License-Identifier: MIT */
/*
 * Every size from 0 to 1 MiB: the class holds it, no smaller class does, the table says what the formula says, and the
 * waste is what the design allows.
 */
#include "slab/size_class.h"
#include "tap.h"

static void test_sizes(void)
{
	unsigned long small = 0, not_least = 0, wasteful = 0, falls = 0, differs = 0;
	unsigned int last = 0;
	size_t size;

	for (size = 1; size <= RUN_SIZE_MAX; size++) {
		unsigned int class = size_to_class(size);

		small += class >= NR_CLASSES || class_size(class) < size;
		not_least += class > 1 && class_size(class - 1) >= size;
		wasteful += size > 128 && (class_size(class) - size) * 8 >= class_size(class);
		falls += class < last;
		if (size > 128 && size <= TABLE_SIZE_MAX)
			differs += size_to_class_small(size) != size_to_class_computed(size);
		last = class;
	}
	is_int(small, 0, "every size fits its class");
	is_int(not_least, 0, "and no smaller class");
	is_int(wasteful, 0, "above 128 bytes less than an eighth is wasted");
	is_int(falls, 0, "a larger size never has a smaller class");
	is_int(differs, 0, "the table says what is computed");
	is_int(last, NR_CLASSES - 1, "1 MiB has the last class");
	is_int(size_to_class(0), 1, "size 0 has the first class");
}

static void test_classes(void)
{
	unsigned long unaligned = 0, falls = 0, not_pages = 0, not_own = 0;
	unsigned int class;

	for (class = 1; class < NR_CLASSES; class++) {
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

int main(void)
{
	test_sizes();
	test_classes();
	return done_testing();
}
