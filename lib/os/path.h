/* SPDX-License-Identifier: MIT */
/*
 * Names of files, put together without a formatter and without libc's functions, which a process need not have resident
 * at its start.
 */
#ifndef OS_PATH_H
#define OS_PATH_H

#include "base/bits.h"

#define PATH_LEN 512

struct path {
	size_t len;
	char text[PATH_LEN];
};

/* Cut where there is no more room: then it names nothing, and is PATH_LEN - 1 long. */
static inline void path_add(struct path *path, const char *text)
{
	size_t len = path->len;

	while (*text && len < PATH_LEN - 1)
		path->text[len++] = *text++;
	path->text[len] = '\0';
	path->len = len;
}

static inline void path_cut(struct path *path, size_t len)
{
	path->len = len;
	path->text[len] = '\0';
}

#endif
