/* SPDX-License-Identifier: MIT */
/* A plug-in that allocates, frees, and calls a function that the program has, too. */
#include <stdlib.h>
#include <string.h>

const char *name(void);
const char *name(void)
{
	return "the plug-in's";
}

/* Volatile: the loader shall say whose it is, not the compiler. */
const char *seen_name(void)
{
	const char *(*volatile seen)(void) = name;

	return seen();
}

char *give(void)
{
	char *p = malloc(100);

	return p ? memset(memset(p, 0, 100), 'p', 99) : NULL;
}

void take(char *p)
{
	free(p);
}
