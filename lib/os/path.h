/* SPDX-License-Identifier: MIT */
/*
 * Names of files, put together without a formatter, which a process need not have at its start.
 */
#ifndef OS_PATH_H
#define OS_PATH_H

#include <string.h>

#include "base/bits.h"

#define PATH_LEN 512

struct path {
	size_t len;
	char text[PATH_LEN];
};

/* Cut where there is no more room: then it names nothing, and is PATH_LEN - 1 long. */
static inline void path_add(struct path *path, const char *text)
{
	size_t len = min_ul(strlen(text), PATH_LEN - 1 - path->len);

	memcpy(path->text + path->len, text, len);
	path->len += len;
	path->text[path->len] = '\0';
}

static inline void path_cut(struct path *path, size_t len)
{
	path->len = len;
	path->text[len] = '\0';
}

#endif
