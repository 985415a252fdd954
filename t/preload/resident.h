/* SPDX-License-Identifier: MIT */
/*
 * What is resident of this process, in KiB; -1: not known. Not VmRSS: the kernel sums that per CPU, and lazily.
 * Allocates nothing.
 */
#ifndef PRELOAD_RESIDENT_H
#define PRELOAD_RESIDENT_H

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline long resident_kb(void)
{
	int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	char text[256] = "", *rss;

	if (fd < 0)
		return -1;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	rss = strstr(text, "\nRss:");
	return rss ? strtol(rss + 5, NULL, 10) : -1;
}

#endif
