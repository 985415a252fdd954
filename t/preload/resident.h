/* SPDX-License-Identifier: MIT */
/*
 * What is resident of this process, in KiB; -1: not known. Not VmRSS: the kernel sums that per CPU, and lazily.
 */
#ifndef PRELOAD_RESIDENT_H
#define PRELOAD_RESIDENT_H

#include <stdio.h>

static inline long resident_kb(void)
{
	char line[256];
	long kb = -1;
	FILE *file = fopen("/proc/self/smaps_rollup", "r");

	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "Rss: %ld", &kb);
	if (file)
		fclose(file);
	return kb;
}

#endif
