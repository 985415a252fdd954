/* SPDX-License-Identifier: MIT */
/*
 * owners: what a named owner costs, and saves. To be run under the library (LD_PRELOAD).
 *
 * owners [-r ROUNDS]: µs of a request that allocates so many blocks of 16 to 1024 bytes: plain, with every block freed;
 * under an owner that is made for it, and destroyed with all it has; and of both the part that gives the memory back.
 * By turns, medians of ROUNDS (31).
 * owners -p BLOCKS REQUESTS: requests under owners, for counting instructions.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "buddymalloc.h"

#define MAX_BLOCKS 100000UL
#define MAX_ROUNDS 1001
#define BLOCKS_PER_ROUND 100000UL

static bm_owner_t *(*owner_create)(const struct bm_owner_attr *attr);
static int (*owner_destroy)(bm_owner_t *owner);
static bm_owner_t *(*owner_enter)(bm_owner_t *owner);

static char *blocks[MAX_BLOCKS];
static const struct bm_owner_attr attr = { .name = "request" };

static void *symbol(const char *name)
{
	void *p = dlsym(RTLD_DEFAULT, name);

	if (!p) {
		fprintf(stderr, "owners: no %s here: run it with LD_PRELOAD=.../libbuddymalloc.so\n", name);
		exit(2);
	}
	return p;
}

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* The same sizes each time, most of them small. */
static void allocate(unsigned long nr)
{
	unsigned int seed = 1;
	unsigned long i;

	for (i = 0; i < nr; i++) {
		size_t size = 16 + ((seed >> 16) & 1023) * ((seed >> 8) & 255) / 259;

		blocks[i] = malloc(size);
		if (!blocks[i]) {
			fprintf(stderr, "owners: malloc: %s\n", strerror(errno));
			exit(1);
		}
		blocks[i][0] = 1;
		seed = seed * 1103515245 + 12345;
	}
}

/* What it took in all, and *back: to give the memory back. */
static double plain_request(unsigned long nr, double *back)
{
	double start = now_us(), mid;
	unsigned long i;

	allocate(nr);
	mid = now_us();
	for (i = 0; i < nr; i++)
		free(blocks[i]);
	*back += now_us() - mid;
	return now_us() - start;
}

static double owner_request(unsigned long nr, double *back)
{
	double start = now_us(), mid;
	bm_owner_t *owner = owner_create(&attr);

	if (!owner) {
		fprintf(stderr, "owners: bm_owner_create: %s\n", strerror(errno));
		exit(1);
	}
	owner_enter(owner);
	allocate(nr);
	owner_enter(NULL);
	mid = now_us();
	owner_destroy(owner);
	*back += now_us() - mid;
	return now_us() - start;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *figures, int nr)
{
	qsort(figures, (size_t)nr, sizeof(*figures), compare);
	return figures[nr / 2];
}

static void measure(unsigned long nr, int rounds)
{
	static double plain[MAX_ROUNDS], plain_back[MAX_ROUNDS], owner[MAX_ROUNDS], owner_back[MAX_ROUNDS];
	unsigned long requests = BLOCKS_PER_ROUND / nr, i;
	int r;

	for (r = 0; r < rounds; r++) {
		plain[r] = plain_back[r] = owner[r] = owner_back[r] = 0;
		for (i = 0; i < requests; i++)
			plain[r] += plain_request(nr, &plain_back[r]) / (double)requests;
		for (i = 0; i < requests; i++)
			owner[r] += owner_request(nr, &owner_back[r]) / (double)requests;
		plain_back[r] /= (double)requests;
		owner_back[r] /= (double)requests;
	}
	printf("%8lu %10.2f %10.2f %10.2f %10.2f %8.2f %8.2f\n", nr, median(plain, rounds), median(owner, rounds),
	       median(plain_back, rounds), median(owner_back, rounds), median(owner, rounds) / median(plain, rounds),
	       median(owner_back, rounds) / median(plain_back, rounds));
}

int main(int argc, char **argv)
{
	static const unsigned long sizes[] = { 10, 100, 1000, 10000, 100000 };
	int rounds = 31;
	size_t i;

	owner_create = (bm_owner_t * (*)(const struct bm_owner_attr *)) symbol("bm_owner_create");
	owner_destroy = (int (*)(bm_owner_t *))symbol("bm_owner_destroy");
	owner_enter = (bm_owner_t * (*)(bm_owner_t *)) symbol("bm_owner_enter");
	if (argc == 4 && !strcmp(argv[1], "-p")) {
		unsigned long nr = strtoul(argv[2], NULL, 0), requests = strtoul(argv[3], NULL, 0);
		double back = 0;

		if (nr > MAX_BLOCKS)
			return 2;
		while (requests--)
			owner_request(nr, &back);
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "-r"))
		rounds = atoi(argv[2]);
	else if (argc != 1)
		rounds = 0;
	if (rounds < 1 || rounds > MAX_ROUNDS) {
		fprintf(stderr, "usage: owners [-r ROUNDS]\n       owners -p BLOCKS REQUESTS\n");
		return 2;
	}
	printf("         us of a request       of giving back        owner / plain\n");
	printf("  blocks      plain      owner      plain      owner  request     back\n");
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		measure(sizes[i], rounds);
	return 0;
}
