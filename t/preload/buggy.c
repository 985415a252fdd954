/* SPDX-License-Identifier: MIT */
/* buggy BUG SIZE: makes that mistake with a block of that size, once; "none" makes none, in all sizes. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile char sink;

static void none(void)
{
	size_t size, round;
	char *block[40];

	for (round = 0; round < 3; round++) {
		size_t n = 0, i;

		for (size = 1; size < 3000000; size = size * 3 / 2 + 1) {
			char *p = n % 2 ? malloc(size) : calloc(1, size);

			memset(p, 1, size);
			p = realloc(p, size * 2);
			memset(p + size, 1, size);
			p = realloc(p, size / 2 + 1);
			sink = p[size / 2];
			block[n++] = p;
		}
		for (i = 0; i < n; i++)
			free(block[i]);
		block[0] = memalign(256, 1000);
		memset(block[0], 1, 1000);
		free(block[0]);
	}
}

static __attribute__((noinline)) void leak(size_t size)
{
	char *volatile p = malloc(size);

	p[0] = 1;
	p = NULL;
}

int main(int argc, char **argv)
{
	const char *bug = argc > 1 ? argv[1] : "none";
	size_t size = argc > 2 ? (size_t)atol(argv[2]) : 100;
	char *volatile p = NULL;

	if (!strcmp(bug, "none"))
		none();
	else if (!strcmp(bug, "leak"))
		leak(size);
	else
		p = malloc(size);
	if (!strcmp(bug, "use-after-free")) {
		free(p);
		sink = p[size / 2];
		return 0;
	}
	if (!strcmp(bug, "overflow"))
		p[size] = 1;
	if (!strcmp(bug, "underflow"))
		p[-1] = 1;
	if (!strcmp(bug, "uninitialised") && p[size / 2])
		sink = 1;
	if (!strcmp(bug, "double-free"))
		free(p);
	free(p);
	return 0;
}
