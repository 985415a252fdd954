/* SPDX-License-Identifier: MIT */
/*
 * The classes of the small sizes, the sizes of all classes, and what lists of them hold at first.
 */
#include "slab/size_class.h"

#define DOUBLING(of, unit)                                                                                   \
	of(9 * (unit)), of(10 * (unit)), of(11 * (unit)), of(12 * (unit)), of(13 * (unit)), of(14 * (unit)), \
		of(15 * (unit)), of(16 * (unit))

/* Of the sizes of all classes of slabs, and of runs. */
#define SLAB_SIZES(of)                                                                                                 \
	of(16), of(32), of(48), of(64), of(80), of(96), of(112), of(128), DOUBLING(of, 16), of(272), DOUBLING(of, 32), \
		of(544), DOUBLING(of, 64), of(1056), of(1088), DOUBLING(of, 128), of(2176), DOUBLING(of, 256),         \
		of(4368), DOUBLING(of, 512), of(8704), DOUBLING(of, KiB), DOUBLING(of, 2 * KiB)
#define RUN_SIZES(of)                                                                                 \
	DOUBLING(of, 4 * KiB), DOUBLING(of, 8 * KiB), DOUBLING(of, 16 * KiB), DOUBLING(of, 32 * KiB), \
		DOUBLING(of, 64 * KiB)

#define SIZE(size) (size)
#define FIRST_CAP(size) ((size) <= FIRST_CAP_BYTES ? FIRST_CAP_BYTES / (size) : 1)

/* Entries from first on, len of them for each of eight classes. */
#define STEP(first, len, n, class) [(first) + (n) * (len)...(first) + ((n) + 1) * (len)-1] = (class) + (n)
#define EIGHT(first, len, class)                                                                    \
	STEP(first, len, 0, class), STEP(first, len, 1, class), STEP(first, len, 2, class),         \
		STEP(first, len, 3, class), STEP(first, len, 4, class), STEP(first, len, 5, class), \
		STEP(first, len, 6, class), STEP(first, len, 7, class)
#define BEHIND(narrow, first, len, class)                                                                           \
	[(first) + (narrow)...(first) + (len)-1] = (class), STEP(first, len, 1, class), STEP(first, len, 2, class), \
					STEP(first, len, 3, class), STEP(first, len, 4, class),                     \
					STEP(first, len, 5, class), STEP(first, len, 6, class),                     \
					STEP(first, len, 7, class)
/* The same where the first narrow entries have a class of their own, and half of them one more. */
#define NINE(first, len, narrow, class) \
	[(first)...(first) + (narrow)-1] = (class), BEHIND(narrow, first, len, (class) + 1)
#define TEN(first, len, narrow, class)                                                                      \
	[(first)...(first) + (narrow) / 2 - 1] = (class),                                                   \
					    [(first) + (narrow) / 2 ...(first) + (narrow)-1] = (class) + 1, \
					    BEHIND(narrow, first, len, (class) + 2)

const struct size_classes size_classes = {
	.table = {
		1, EIGHT(1, 16, 1), EIGHT(129, 16, 9), NINE(257, 32, 16, 17), NINE(513, 64, 32, 26),
	},
	.slab_table = {
		TEN(64, 8, 4, 35), NINE(128, 16, 8, 45), NINE(256, 32, 17, 54), NINE(512, 64, 32, 63),
		EIGHT(1024, 128, 72),
	},
	.size = { 0, SLAB_SIZES(SIZE), RUN_SIZES(SIZE) },
	.first_cap = { 0, SLAB_SIZES(FIRST_CAP) },
};
