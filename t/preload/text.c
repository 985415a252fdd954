/* SPDX-License-Identifier: MIT */
/* A program that uses malloc as most do, from two threads: prints what is resident of the preloaded library's code in
 * kB. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *use(void *arg)
{
	static void *volatile p;
	size_t size;

	for (size = 16; size <= 100000; size += size / 4) {
		p = malloc(size);
		p = realloc(p, 2 * size);
		free(p);
		p = calloc(1, size);
		free(p);
	}
	return arg;
}

int main(void)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char line[512];
	int ours = 0, kb = -1;
	pthread_t thread;

	if (!smaps || pthread_create(&thread, NULL, use, NULL) || pthread_join(thread, NULL))
		return 1;
	use(NULL);
	while (kb < 0 && fgets(line, sizeof(line), smaps)) {
		if (strstr(line, " r-xp "))
			ours = strstr(line, "libbuddymalloc") != NULL;
		else if (ours)
			sscanf(line, "Rss: %d", &kb);
	}
	printf("%d\n", kb);
	return 0;
}
