/* SPDX-License-Identifier: MIT */
/*
 * The threads of this process, by their names.
 */
#ifndef T_LIB_THREADS_H
#define T_LIB_THREADS_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many have names that begin so, and in *tid the number of one of them, unless tid is NULL; -1: there is no memory
 * to find out. */
static int threads_named(const char *name, int *tid)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *d;
	int nr = 0;

	if (!dir)
		return -1;
	while ((d = readdir(dir))) {
		char path[300], comm[32] = "";
		FILE *file;

		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", d->d_name);
		file = fopen(path, "r");
		if (file && fgets(comm, sizeof(comm), file) && !strncmp(comm, name, strlen(name))) {
			nr++;
			if (tid)
				*tid = atoi(d->d_name);
		}
		if (file)
			fclose(file);
	}
	closedir(dir);
	return nr;
}

#endif
