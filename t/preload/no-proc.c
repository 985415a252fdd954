/* SPDX-License-Identifier: MIT */
/* Allocates in several threads where there is neither /proc nor /sys; says whether that is so. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *work(void *arg)
{
	char *block[100] = { NULL };
	size_t i;

	for (i = 0; i < 20000; i++) {
		size_t slot = i * 7919 % 100, size = 1 + i * 104729 % (i % 50 ? 3000 : 3000000);

		free(block[slot]);
		block[slot] = malloc(size);
		if (!block[slot])
			abort();
		block[slot][0] = block[slot][size - 1] = 1;
	}
	for (i = 0; i < 100; i++)
		free(block[i]);
	return arg;
}

int main(void)
{
	pthread_t thread[4];
	int i;

	for (i = 0; i < 4; i++)
		if (pthread_create(&thread[i], NULL, work, NULL))
			return 1;
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	printf("proc %s, sys %s\n", access("/proc/self", F_OK) ? "absent" : "there",
	       access("/sys/devices", F_OK) ? "absent" : "there");
	return 0;
}
