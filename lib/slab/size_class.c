/* SPDX-License-Identifier: MIT */
/*
 * The classes of the small sizes, and the sizes of all classes.
 */
#include "slab/size_class.h"

#define DOUBLING(unit) \
	9 * (unit), 10 * (unit), 11 * (unit), 12 * (unit), 13 * (unit), 14 * (unit), 15 * (unit), 16 * (unit)

const struct size_classes size_classes = {
	.table = {
	1,  1,	2,  3,	4,  5,	6,  7,	8,  9,	10, 11, 12, 13, 14, 15, 16, 17, 17, 18, 18, 19,
	19, 20, 20, 21, 21, 22, 22, 23, 23, 24, 24, 25, 25, 25, 25, 26, 26, 26, 26, 27, 27, 27,
	27, 28, 28, 28, 28, 29, 29, 29, 29, 30, 30, 30, 30, 31, 31, 31, 31, 32, 32, 32, 32,
	},
	.size = {
		0, 16, 32, 48, 64, 80, 96, 112, 128,
		DOUBLING(16), DOUBLING(32), DOUBLING(64), DOUBLING(128), DOUBLING(256), DOUBLING(512), DOUBLING(KiB),
		DOUBLING(2 * KiB), DOUBLING(4 * KiB), DOUBLING(8 * KiB), DOUBLING(16 * KiB), DOUBLING(32 * KiB),
		DOUBLING(64 * KiB),
	},
};
