/* SPDX-License-Identifier: MIT */
/*
 * What the stress tests share: a seed that is printed and may be given (SEED), how much to do (T_SCALE, 1 by default
 * and 0.1 where everything is slow), and blocks that carry a pattern, looked at before they go.
 */
#ifndef T_STRESS_STRESS_H
#define T_STRESS_STRESS_H

#include <pthread.h>
#include <time.h>

#include "api.h"
#include "pattern.h"

struct random {
	uint64_t state;
};

struct block {
	char *addr;
	size_t size;
};

static uint64_t stress_seed;
static double stress_scale;

/* First of all: end unless the library serves us, and say what is needed to run the same again. */
API_UNUSED void stress_begin(int nr_tests)
{
	const char *seed = getenv("SEED"), *scale = getenv("T_SCALE");

	plan(nr_tests);
	api_prove_served();
	stress_seed = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
	stress_scale = scale ? strtod(scale, NULL) : api_slow() ? 0.1 : 1;
	if (!(stress_scale > 0))
		bail_out("T_SCALE=%s: accepted are numbers above 0", scale);
	diag("SEED=%llu T_SCALE=%g", (unsigned long long)stress_seed, stress_scale);
}

/* n times, scaled, but at least once. */
API_UNUSED size_t scaled(size_t n)
{
	size_t some = (size_t)((double)n * stress_scale);

	return some ? some : 1;
}

API_UNUSED uint64_t random_next(struct random *r)
{
	uint64_t x = r->state += 0x9e3779b97f4a7c15UL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9UL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebUL;
	return x ^ x >> 31;
}

API_UNUSED struct random random_of(uint64_t number)
{
	struct random r = { stress_seed ^ number * 0xd1342543de82ef95UL };

	random_next(&r);
	return r;
}

API_UNUSED size_t random_below(struct random *r, size_t n)
{
	return random_next(r) % n;
}

/* 1 to 2^max_log bytes, every power of two as likely as any other. */
API_UNUSED size_t random_size(struct random *r, unsigned int max_log)
{
	size_t power = (size_t)1 << random_below(r, max_log + 1);

	return power / 2 + 1 + random_below(r, (power + 1) / 2);
}

API_UNUSED __attribute__((noreturn)) void damaged(const struct block *b, const char *when)
{
	bail_out("%s: the block of %zu bytes at %p is damaged (SEED=%llu)", when, b->size, (void *)b->addr,
		 (unsigned long long)stress_seed);
}

API_UNUSED void block_check(const struct block *b, const char *when)
{
	if (!pattern_intact(b->addr, b->size))
		damaged(b, when);
}

/* By one of the ways there are to a block. */
API_UNUSED void block_get(struct block *b, size_t size, struct random *r)
{
	size_t how = random_below(r, 8), align = (size_t)16 << random_below(r, 9);

	b->size = size;
	if (how == 0)
		b->addr = calloc(1, size);
	else if (how == 1)
		b->addr = aligned_alloc(align, size);
	else
		b->addr = malloc(size);
	if (!b->addr)
		bail_out("no memory for %zu bytes (SEED=%llu)", size, (unsigned long long)stress_seed);
	if ((uintptr_t)b->addr % (how == 1 ? align : 16))
		bail_out("%p is not aligned to %zu", (void *)b->addr, how == 1 ? align : 16);
	if (how == 0 && (b->addr[0] || b->addr[size / 2] || b->addr[size - 1]))
		bail_out("calloc of %zu bytes is not zero (SEED=%llu)", size, (unsigned long long)stress_seed);
	pattern_fill(b->addr, size);
}

API_UNUSED void block_put(struct block *b, const char *when)
{
	block_check(b, when);
	free(b->addr);
	b->addr = NULL;
}

API_UNUSED void block_resize(struct block *b, size_t size)
{
	struct block was = *b;

	block_check(b, "before realloc");
	b->addr = realloc(b->addr, size);
	if (!b->addr)
		bail_out("no memory to make %zu bytes %zu", was.size, size);
	if (pattern_damage(b->addr, (uintptr_t)was.addr, was.size, was.size < size ? was.size : size) >= 0)
		damaged(&was, "after realloc");
	b->size = size;
	pattern_fill(b->addr, size);
}

API_UNUSED pthread_t thread_start(void *(*function)(void *), void *arg)
{
	pthread_t thread;
	int err = pthread_create(&thread, NULL, function, arg);

	if (err)
		bail_out("pthread_create: %s", strerror(err));
	return thread;
}

/* Run nr threads of the function, each with its number. */
API_UNUSED void threads_run(size_t nr, void *(*function)(void *))
{
	pthread_t thread[64];
	size_t i;

	for (i = 0; i < nr; i++)
		thread[i] = thread_start(function, (void *)i);
	for (i = 0; i < nr; i++)
		pthread_join(thread[i], NULL);
}

#endif
