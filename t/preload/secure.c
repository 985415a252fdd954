/* SPDX-License-Identifier: MIT */
/* Linked against the library. Says whether the kernel started it in secure mode, and allocates. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>

const char *bm_version(void);

int main(void)
{
	int i;

	for (i = 0; i < 1000; i++)
		free(malloc((size_t)i * 100));
	printf("AT_SECURE %lu, version %s\n", getauxval(AT_SECURE), bm_version() ? "known" : "unknown");
	return 0;
}
