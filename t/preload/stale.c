/* SPDX-License-Identifier: MIT */
/*
 * Errors with whole blocks of pages: "after" writes to one after it was freed, "past" behind its end; "fine" does
 * neither. "fresh" says whether blocks are zero when they come, though rubbish was freed before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <malloc.h>

#define SIZE 262144 /* order 6 */

static char *block(void)
{
	char *p = malloc(SIZE);

	if (!p)
		exit(3);
	return p;
}

static void write_to(volatile char *p)
{
	*p = 1;
}

static int fresh(void)
{
	int i, dirty = 0;

	for (i = 0; i < 10; i++) {
		char *p = block();
		size_t at;

		for (at = 0; at < SIZE; at++)
			dirty |= p[at];
		memset(p, 0x55, SIZE);
		free(p);
	}
	puts(dirty ? "dirty" : "zero");
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "fine";
	char *p = block();

	if (!strcmp(what, "fresh"))
		return fresh();
	memset(p, 0x55, SIZE);
	if (!strcmp(what, "past"))
		write_to(p + SIZE);
	free(p);
	if (!strcmp(what, "after"))
		write_to(p + 5000);
	p = block();
	memset(p, 0x55, SIZE);
	puts("done");
	free(p);
	return 0;
}
