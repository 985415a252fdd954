/* SPDX-License-Identifier: MIT */
/*
 * fill: under a limit of address space or data, takes memory until malloc says no, which must be by ENOMEM; frees it
 * all; then as much can be had again in blocks of another size.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST (1UL << 30)

/* Blocks are chained through their first word. Returns bytes had, 0 if it was refused for a wrong reason. */
static size_t fill(size_t size)
{
	void **first = NULL, **block;
	size_t had = 0;

	for (errno = 0; had < MOST && (block = malloc(size)); had += size, errno = 0) {
		memset(block, 1, size);
		*block = first;
		first = block;
	}
	if (errno != ENOMEM)
		had = 0;
	while ((block = first)) {
		first = *block;
		free(block);
	}
	return had;
}

int main(void)
{
	static const size_t sizes[] = { 16, 100, 4096, 30000, 500000, 4000000 };
	size_t i;

	for (i = 0; i < 6; i++) {
		size_t had = fill(sizes[i]);

		if (had < 8UL << 20) {
			printf("%zu bytes in blocks of %zu, errno %d\n", had, sizes[i], errno);
			return 1;
		}
	}
	puts("done");
	return 0;
}
