/* SPDX-License-Identifier: MIT */
/*
 * The classes of the small sizes, by size / 16 rounded up.
 */
#include "slab/size_class.h"

const uint8_t size_class_table[TABLE_SIZE_MAX / MALLOC_ALIGN + 1] = {
	1,  1,	2,  3,	4,  5,	6,  7,	8,  9,	10, 11, 12, 13, 14, 15, 16, 17, 17, 18, 18, 19,
	19, 20, 20, 21, 21, 22, 22, 23, 23, 24, 24, 25, 25, 25, 25, 26, 26, 26, 26, 27, 27, 27,
	27, 28, 28, 28, 28, 29, 29, 29, 29, 30, 30, 30, 30, 31, 31, 31, 31, 32, 32, 32, 32,
};
