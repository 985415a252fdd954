/* SPDX-License-Identifier: MIT */
/*
 * What every workload shares: its place in the table of workload.c, random numbers, and blocks whose
 * contents prove at their end that nobody else was given the same memory.
 *
 * A workload does the same requests in the same order from the same seed, whatever the allocator: its
 * operation count and its checksum must agree between allocators.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct wl_params {
	uint64_t seed;
	double scale;
	unsigned int threads;
};

struct wl_result {
	uint64_t ops;	  /* blocks allocated or resized */
	uint64_t sum;	  /* over the contents of all blocks at their end; does not depend on order */
	long rss_idle_kb; /* nonzero: the workload has slept and measured by itself */
	uint64_t live;	  /* bytes in use when that was measured */
	double slept;	  /* seconds of its run that were idle */
};

struct workload {
	const char *name;
	const char *what;
	unsigned int threads; /* by default */
	void (*run)(const struct wl_params *params, struct wl_result *result);
};

extern const struct workload wl_small, wl_mixed, wl_prodcons, wl_larson, wl_xmalloc, wl_large, wl_midlarge, wl_realloc,
	wl_churn, wl_frag, wl_json, wl_oversub, wl_calloc, wl_strings, wl_idle;

/* Says what was wrong on stderr and exits with status 1. */
void wl_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* n times the scale, at least 1. */
uint64_t wl_scaled(const struct wl_params *params, uint64_t n);

/* Resident set: now, and the most there was. */
long wl_available_kb(void);
long wl_rss_kb(void);
long wl_peak_kb(void);
long wl_peak_vm_kb(void);

/* Sleeps, and measures the resident set of a process that has long been idle. */
void wl_idle_rss(struct wl_result *result);

/* malloc and calloc that end the run where there is no memory. */
void *wl_alloc(size_t size);
void *wl_zalloc(size_t nr, size_t size);

/* Runs fn on nr threads; the i-th gets arg + i * size. Returns when all have ended. */
void wl_run_threads(unsigned int nr, void *(*fn)(void *), void *arg, size_t size);
void wl_start_thread(pthread_t *thread, void *(*fn)(void *), void *arg);
void wl_join_thread(pthread_t thread);

/* Adds what a thread did to the whole. */
void wl_add(struct wl_result *to, const struct wl_result *from);

struct wl_rng {
	uint64_t state;
};

/* An independent sequence for each pair of seed and stream. */
struct wl_rng wl_rng(uint64_t seed, uint64_t stream);

static inline uint64_t wl_mix(uint64_t x)
{
	x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
	x = (x ^ (x >> 29)) * 0xa0761d6478bd642fu;
	return x ^ (x >> 32);
}

static inline uint64_t wl_random(struct wl_rng *rng)
{
	rng->state += 0x9e3779b97f4a7c15u;
	return wl_mix(rng->state);
}

/* 0 .. n - 1, n below 2^32. */
static inline uint32_t wl_below(struct wl_rng *rng, uint32_t n)
{
	return (uint32_t)(((wl_random(rng) >> 32) * n) >> 32);
}

/* lo .. hi, each as likely. */
static inline size_t wl_size(struct wl_rng *rng, size_t lo, size_t hi)
{
	return lo + wl_below(rng, (uint32_t)(hi - lo + 1));
}

/* 2^lo .. 2^hi - 1, each power of two as likely. */
static inline size_t wl_size_log(struct wl_rng *rng, unsigned int lo, unsigned int hi)
{
	size_t base = (size_t)1 << (lo + wl_below(rng, hi - lo));

	return base + wl_below(rng, (uint32_t)base);
}

/* A block and the tag that its contents must show. Sizes are 8 and more. */
struct block {
	void *p;
	size_t size;
	uint64_t tag;
};

/*
 * Writes the tag into a block: all of a small one, and of a larger one the ends and a word of every page.
 * The check ends the run where anything but the tag is found there.
 */
void block_fill(const struct block *b);
void block_check(const struct block *b);

/* Allocates and fills; the tag comes from the random sequence. */
void block_new(struct block *b, size_t size, struct wl_rng *rng);

/* Checks, frees and counts. A block that holds nothing is left alone. */
void block_drop(struct block *b, struct wl_result *result);

/* Replaces a random one of nr blocks, ops times, with sizes as `size` finds them. */
void block_churn(struct block *blocks, uint32_t nr, uint64_t ops, size_t (*size)(struct wl_rng *), struct wl_rng *rng,
		 struct wl_result *result);
void block_drop_all(struct block *blocks, uint32_t nr, struct wl_result *result);

#endif
