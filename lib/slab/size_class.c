/* SPDX-License-Identifier: MIT */
/*
 * The classes of the small sizes, and the sizes of all classes.
 */
#include "slab/size_class.h"

#define DOUBLING(unit) \
	9 * (unit), 10 * (unit), 11 * (unit), 12 * (unit), 13 * (unit), 14 * (unit), 15 * (unit), 16 * (unit)

/* Entries from first on, len of them for each of eight classes. */
#define STEP(first, len, n, class) [(first) + (n) * (len) ... (first) + ((n) + 1) * (len) - 1] = (class) + (n)
#define EIGHT(first, len, class)                                                                      \
	STEP(first, len, 0, class), STEP(first, len, 1, class), STEP(first, len, 2, class),           \
		STEP(first, len, 3, class), STEP(first, len, 4, class), STEP(first, len, 5, class),   \
		STEP(first, len, 6, class), STEP(first, len, 7, class)

const struct size_classes size_classes = {
	.table = {
		1, EIGHT(1, 16, 1), EIGHT(129, 16, 9), EIGHT(257, 32, 17), EIGHT(513, 64, 25),
	},
	.slab_table = {
		EIGHT(8, 1, 33), EIGHT(16, 2, 41), EIGHT(32, 4, 49), EIGHT(64, 8, 57), EIGHT(128, 16, 65),
	},
	.size = {
		0, 16, 32, 48, 64, 80, 96, 112, 128,
		DOUBLING(16), DOUBLING(32), DOUBLING(64), DOUBLING(128), DOUBLING(256), DOUBLING(512), DOUBLING(KiB),
		DOUBLING(2 * KiB), DOUBLING(4 * KiB), DOUBLING(8 * KiB), DOUBLING(16 * KiB), DOUBLING(32 * KiB),
		DOUBLING(64 * KiB),
	},
};
