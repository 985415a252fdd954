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

	for (size = 16; size <= 3000000; size += size / 4) {
		p = malloc(size);
		p = realloc(p, 2 * size);
		free(p);
		p = calloc(1, size);
		free(p);
		p = aligned_alloc(64, size / 64 * 64);
		free(p);
	}
	return arg;
}

int main(void)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char line[512];
	int ours = 0, kb, sum = 0;
	pthread_t thread;

	if (!smaps || pthread_create(&thread, NULL, use, NULL) || pthread_join(thread, NULL))
		return 1;
	use(NULL);
	while (fgets(line, sizeof(line), smaps)) {
		if (strchr(line, '-') && strchr(line, '-') < strchr(line, ' '))
			ours = strstr(line, " r-xp ") && strstr(line, "libbuddymalloc");
		else if (ours && sscanf(line, "Rss: %d", &kb) == 1)
			sum += kb;
	}
	printf("%d\n", sum);
	return 0;
}
