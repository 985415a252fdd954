/* SPDX-License-Identifier: MIT */
/*
 * limit WHAT [touch]: what a program meets under a limit of memory.
 *
 * fill: blocks of 4 KiB until malloc says no, all freed; then a thread, a raw mmap and a malloc of 64 MiB must do.
 * again: filled and freed three times; after each, most of that must be had by one raw mmap.
 * untouched: one block of 1 GiB, of which one page is used.
 * binding: which limit binds, and how much that is.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCK 4096UL
#define LARGE (64UL << 20)

extern int bm_ctl_get(const char *name, char *buf, size_t len);
#pragma weak bm_ctl_get

static void *thread(void *arg)
{
	return arg;
}

static const char *outcome(int ok)
{
	return ok ? "ok" : strerror(errno);
}

/* How many bytes could be had, and were freed; 0: malloc did not end as it should. */
static size_t fill_and_free(int touch)
{
	void **first = NULL, **block;
	size_t nr = 0;

	for (errno = 0; (block = malloc(BLOCK)); first = block, nr++) {
		if (touch)
			memset(block, 1, BLOCK);
		*block = first;
	}
	if (errno != ENOMEM)
		return 0;
	while ((block = first)) {
		first = *block;
		free(block);
	}
	fprintf(stderr, "%zu MiB in blocks\n", nr * BLOCK >> 20);
	return nr * BLOCK;
}

static int again(void)
{
	int i;

	for (i = 0; i < 3; i++) {
		size_t most = fill_and_free(1) / 3 * 2;
		void *p = mmap(NULL, most, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		printf("%s ", outcome(most && p != MAP_FAILED));
		if (p != MAP_FAILED)
			munmap(p, most);
	}
	printf("\n");
	return 0;
}

static int fill(int touch)
{
	size_t bytes = fill_and_free(touch);
	pthread_t id;
	void *p;

	printf("%s ", bytes > LARGE * 3 ? "filled" : "too little");
	errno = pthread_create(&id, NULL, thread, NULL);
	printf("thread %s ", outcome(!errno));
	if (!errno)
		pthread_join(id, NULL);
	p = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	printf("mmap %s ", outcome(p != MAP_FAILED));
	if (p != MAP_FAILED)
		munmap(p, LARGE);
	p = malloc(LARGE);
	printf("malloc %s\n", outcome(p != NULL));
	free(p);
	return 0;
}

static int untouched(void)
{
	char *p = malloc(1UL << 30);

	printf("%s\n", outcome(p != NULL));
	if (p)
		p[1 << 20] = 1;
	free(p);
	return 0;
}

static int binding(void)
{
	char name[64], total[64];

	if (!bm_ctl_get || bm_ctl_get("budget.binding", name, sizeof(name)) < 0 ||
	    bm_ctl_get("budget.total", total, sizeof(total)) < 0)
		return 1;
	printf("%s %s\n", name, total);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "fill"))
		return fill(argc > 2);
	if (argc > 1 && !strcmp(argv[1], "again"))
		return again();
	if (argc > 1 && !strcmp(argv[1], "untouched"))
		return untouched();
	return binding();
}
