/* SPDX-License-Identifier: MIT */
/*
 * Size classes: multiples of 16 up to 128 bytes, then eight to each doubling up to 1 MiB, so that a request is rounded
 * up by less than an eighth. Programs put a header before what is a power of two, so from 256 bytes to 8 KiB there is
 * one more, a sixteenth above each of these, and above 1 KiB another, a thirty-second. Objects up to SLAB_SIZE_MAX
 * share slabs; above, each is a run of pages.
 */
#ifndef SLAB_SIZE_CLASS_H
#define SLAB_SIZE_CLASS_H

#include "base/bits.h"

#define MALLOC_ALIGN 16UL
#define NO_CLASS 0U		 /* what the class map says of a page that free() must look at closer */
#define NR_CLASSES 120U		 /* 1 to 119 */
#define FIRST_RETURNED_CLASS 35U /* the first that is not small: its objects go back to their home */
#define FIRST_RUN_CLASS 80U
#define SMALL_SIZE_MAX (1 * KiB)  /* of these a slab holds many, and so may a list */
#define MEDIUM_SIZE_MAX (2 * KiB) /* what is above is large: it has the best part of a page, and pins no others */
#define SLAB_SIZE_MAX (32 * KiB)
#define RUN_SIZE_MAX (1 * MiB)
#define TABLE_SIZE_MAX 1024UL  /* up to it each size has its class in a table */
#define FIRST_CAP_BYTES 1024UL /* that a thread's new list has room for; one object if they are larger */
#define SLAB_STEP 16UL	       /* above it, up to SLAB_SIZE_MAX, each multiple of this */

struct size_classes {
	uint8_t table[TABLE_SIZE_MAX + 1];	       /* the class of a size */
	uint8_t slab_table[SLAB_SIZE_MAX / SLAB_STEP]; /* of (size - 1) / SLAB_STEP, above TABLE_SIZE_MAX */
	uint32_t size[NR_CLASSES];		       /* bytes in an object */
	uint16_t first_cap[FIRST_RUN_CLASS];	       /* objects that a thread's new list has room for */
};
extern const struct size_classes size_classes local_symbol;

/* The smallest class whose objects hold size bytes; SLAB_SIZE_MAX < size <= RUN_SIZE_MAX. */
static always_inline unsigned int size_to_class_run(size_t size)
{
	unsigned int log = ilog2(size - 1);

	return (log - 16) * 8 + (unsigned int)((size - 1) >> (log - 3)) + FIRST_RUN_CLASS;
}

/* The same for size <= TABLE_SIZE_MAX. */
static always_inline unsigned int size_to_class_small(size_t size)
{
	return size_classes.table[size];
}

/* The same for TABLE_SIZE_MAX < size <= SLAB_SIZE_MAX. */
static always_inline unsigned int size_to_class_slab(size_t size)
{
	return size_classes.slab_table[(size - 1) / SLAB_STEP];
}

/* The same for any size up to RUN_SIZE_MAX. */
static always_inline unsigned int size_to_class(size_t size)
{
	if (size <= TABLE_SIZE_MAX)
		return size_to_class_small(size);
	return size <= SLAB_SIZE_MAX ? size_to_class_slab(size) : size_to_class_run(size);
}

/* Bytes in an object of the class. */
static always_inline size_t class_size(unsigned int class)
{
	return size_classes.size[class];
}

static always_inline bool class_is_small(unsigned int class)
{
	return class_size(class) <= SMALL_SIZE_MAX;
}

/* Is it the size of a class of those up to a sixteenth above a power of two, or of one of these? */
static inline bool class_is_narrow(size_t size)
{
	size_t power = 1UL << ilog2(size);

	return size - power <= power / 15;
}

/* The class of size <= SLAB_SIZE_MAX, a multiple of align, whose objects are aligned to that. All others are multiples
 * of what the sizes in them may be multiples of; 4368, of which a slab of 64 KiB holds 15, is not. */
static always_inline unsigned int size_to_class_aligned(size_t align, size_t size)
{
	unsigned int class = size_to_class(size);

	return class_size(class) & (align - 1) ? class + 1 : class;
}

#endif
