/* SPDX-License-Identifier: MIT */
/*
 * bench/curves NAME [--scale X] [--seed N]: how cost and memory go with something that grows; a line for each point.
 *
 * Cost is processor time of all threads per block replaced, so that other work on the machine counts little; the
 * latencies of `tail` alone are time that passed, with all that the machine did meanwhile.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "workloads/workload.h"

#define MIB (1UL << 20)

static struct wl_params params = { .seed = 1, .scale = 1.0 };

static double clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void point(const char *curve, double x, double cpu_ns, uint64_t ops, size_t live)
{
	double rss = (double)wl_rss_kb() / 1024;

	printf("curve=%s x=%.10g ns=%.2f live_mib=%.3f rss_mib=%.3f\n", curve, x, cpu_ns / (double)ops,
	       (double)live / MIB, rss);
	fflush(stdout);
}

static size_t small_size(struct wl_rng *rng)
{
	return wl_size_log(rng, 4, 12);
}

static size_t live_bytes(const struct block *blocks, uint32_t nr)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < nr; i++)
		bytes += blocks[i].p ? blocks[i].size : 0;
	return bytes;
}

/* Live bytes double from 10 MiB to 12 GiB, or two thirds of what is free; at each step blocks are replaced. */
static void growth(void)
{
	size_t free_bytes = (size_t)wl_available_kb() * 1024 / 3 * 2;
	size_t most = wl_scaled(&params, 12288UL * MIB), live = 0, target;
	uint32_t nr = 0, max;
	struct wl_rng rng = wl_rng(params.seed, 0);
	struct wl_result result = { 0 };
	struct block *blocks;

	most = most < free_bytes ? most : free_bytes;
	max = (uint32_t)(most / 256 + 1);
	blocks = wl_zalloc(max, sizeof(*blocks));
	for (target = 10 * MIB;; target = target < most / 2 ? target * 2 : most) {
		uint64_t ops = wl_scaled(&params, 1000000);
		double before;

		for (; live < target && nr < max; nr++) {
			block_new(&blocks[nr], small_size(&rng), &rng);
			live += blocks[nr].size;
		}
		before = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		block_churn(blocks, nr, ops, small_size, &rng, &result);
		live = live_bytes(blocks, nr);
		point("growth", (double)target / MIB, clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before, ops, live);
		if (target >= most)
			break;
	}
}

struct worker {
	struct wl_rng rng;
	struct wl_result result;
	uint64_t ops;
	struct block blocks[100];
};

static void *work(void *arg)
{
	struct worker *w = arg;

	block_churn(w->blocks, 100, w->ops, small_size, &w->rng, &w->result);
	return NULL;
}

/* The same work shared out to more and more threads; their blocks live on until all have ended. */
static void threads(void)
{
	static const unsigned int numbers[] = { 1, 2, 4, 8, 16, 32, 64, 128, 250, 500 };

	for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++) {
		struct worker *workers = wl_zalloc(numbers[n], sizeof(*workers));
		uint64_t ops = wl_scaled(&params, 4000000) / numbers[n] + 1;
		double before = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		size_t live = 0;

		for (unsigned int i = 0; i < numbers[n]; i++) {
			workers[i].rng = wl_rng(params.seed, i);
			workers[i].ops = ops;
		}
		wl_run_threads(numbers[n], work, workers, sizeof(*workers));
		for (unsigned int i = 0; i < numbers[n]; i++)
			live += live_bytes(workers[i].blocks, 100);
		point("threads", numbers[n], clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before, ops * numbers[n], live);
		for (unsigned int i = 0; i < numbers[n]; i++)
			block_drop_all(workers[i].blocks, 100, &workers[i].result);
		free(workers);
	}
}

/* Replacement whose sizes wander; 50 points. --scale 50 makes 10^9 operations. */
static void fragments(void)
{
	static const unsigned char lows[] = { 4, 6, 5, 8, 4, 10, 7, 5, 9, 6 };
	enum { NR = 100000, POINTS = 50 };
	struct wl_rng rng = wl_rng(params.seed, 0);
	struct block *blocks = wl_zalloc(NR, sizeof(*blocks));
	uint64_t ops = wl_scaled(&params, 20000000) / POINTS + 1;
	struct wl_result result = { 0 };

	for (unsigned int n = 0; n < POINTS; n++) {
		unsigned int low = lows[n % sizeof(lows)];
		double before = clock_ns(CLOCK_PROCESS_CPUTIME_ID);

		/* Runs of neighbours stay for many points, as what is long-lived in a program does. */
		for (uint64_t i = 0; i < ops; i++) {
			struct block *b = &blocks[(n * 1999 + wl_below(&rng, NR / 2)) % NR];

			block_drop(b, &result);
			block_new(b, wl_size_log(&rng, low, low + 3), &rng);
		}
		point("fragments", (double)((n + 1) * ops), clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before, ops,
		      live_bytes(blocks, NR));
	}
}

/* Latencies, sixteen steps to each power of two. */
struct histogram {
	uint64_t count[40 * 16], all;
	double worst;
};

static void count(struct histogram *h, double ns)
{
	unsigned int log = ns < 16 ? 4 : 63 - (unsigned int)__builtin_clzll((uint64_t)ns);

	h->count[log * 16 + (((uint64_t)ns >> (log - 4)) & 15)]++;
	h->all++;
	h->worst = ns > h->worst ? ns : h->worst;
}

static double percentile(const struct histogram *h, double share)
{
	uint64_t seen = 0;

	for (unsigned int i = 0; i < 40 * 16; i++) {
		seen += h->count[i];
		if ((double)seen >= share * (double)h->all)
			return (double)((16UL + i % 16 + 1) << (i / 16 - 4));
	}
	return h->worst;
}

static void print_tail(const char *call, const struct histogram *h)
{
	double p9999 = percentile(h, 0.9999);

	printf("curve=tail call=%s p50=%.0f p99=%.0f p9999=%.0f worst=%.0f\n", call, percentile(h, 0.5),
	       percentile(h, 0.99), p9999 < h->worst ? p9999 : h->worst, h->worst);
}

/* One in 64 is from a page to a MiB. */
static size_t any_size(struct wl_rng *rng)
{
	return wl_below(rng, 64) ? wl_size_log(rng, 4, 11) : wl_size_log(rng, 12, 20);
}

#define LONG_NS 1e6

/* All latencies; and how many took LONG_NS of the thread's own time, and of these had a page fault inside. */

struct calls {
	struct histogram all;
	uint64_t slow, faulting;
	double slowest;
};

struct tail {
	struct calls malloc, free;
	struct wl_rng rng;
	size_t live;
	int watch; /* for the long ones, which takes more system calls */
	double start, cpu;
	long faults;
};

static long faults_now(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_minflt + usage.ru_majflt;
}

static void call_begins(struct tail *t)
{
	if (t->watch) {
		t->faults = faults_now();
		t->cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	}
	t->start = clock_ns(CLOCK_MONOTONIC);
}

static void call_ends(struct tail *t, struct calls *calls)
{
	double ns = clock_ns(CLOCK_MONOTONIC) - t->start;

	count(&calls->all, ns);
	if (!t->watch || ns < LONG_NS)
		return;
	ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - t->cpu;
	if (ns < LONG_NS)
		return;
	calls->slow++;
	calls->faulting += faults_now() > t->faults;
	calls->slowest = ns > calls->slowest ? ns : calls->slowest;
}

static void timed_new(struct tail *t, struct block *b)
{
	*b = (struct block){ .size = any_size(&t->rng), .tag = wl_random(&t->rng) };
	call_begins(t);
	b->p = malloc(b->size);
	call_ends(t, &t->malloc);
	if (!b->p)
		wl_die("malloc(%zu) failed", b->size);
	block_fill(b);
	t->live += b->size;
}

static void timed_drop(struct tail *t, struct block *b)
{
	block_check(b);
	call_begins(t);
	free(b->p);
	call_ends(t, &t->free);
	t->live -= b->size;
}

/* The heap fills to 512 MiB and empties to an eighth of that, four times over, with replacement all the while. */
static void run_tail(struct tail *t)
{
	size_t most = wl_scaled(&params, 512 * MIB);
	uint32_t max = (uint32_t)(most / 512) + 16, nr = 0;
	struct block *blocks = wl_zalloc(max, sizeof(*blocks));

	t->rng = wl_rng(params.seed, 0);
	for (unsigned int half = 0; half < 8; half++) {
		int fills = half % 2 == 0;

		while (fills ? t->live < most && nr < max : t->live > most / 8 && nr > 1) {
			struct block *other;

			if (fills)
				timed_new(t, &blocks[nr++]);
			else
				timed_drop(t, &blocks[--nr]);
			other = &blocks[wl_below(&t->rng, nr)];
			timed_drop(t, other);
			timed_new(t, other);
		}
	}
}

static void tail(void)
{
	struct tail *t = wl_zalloc(1, sizeof(*t));

	run_tail(t);
	print_tail("malloc", &t->malloc.all);
	print_tail("free", &t->free.all);
}

static void print_slow(const char *call, const struct calls *calls)
{
	printf("curve=slow call=%s calls=%llu faulting=%llu slowest=%.0f\n", call, (unsigned long long)calls->slow,
	       (unsigned long long)calls->faulting, calls->slowest);
}

static void slow(void)
{
	struct tail *t = wl_zalloc(1, sizeof(*t));

	t->watch = 1;
	run_tail(t);
	print_slow("malloc", &t->malloc);
	print_slow("free", &t->free);
}

static const struct {
	const char *name;
	void (*run)(void);
} curves[] = {
	{ "growth", growth }, { "threads", threads }, { "fragments", fragments }, { "tail", tail }, { "slow", slow }
};

int main(int argc, char **argv)
{
	for (int i = 2; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--scale"))
			params.scale = strtod(argv[i + 1], NULL);
		else if (!strcmp(argv[i], "--seed"))
			params.seed = strtoull(argv[i + 1], NULL, 10);
		else
			wl_die("unknown option '%s'; there are --scale and --seed", argv[i]);
	}
	for (size_t i = 0; argc % 2 == 0 && i < sizeof(curves) / sizeof(curves[0]); i++) {
		if (!strcmp(argv[1], curves[i].name)) {
			curves[i].run();
			return 0;
		}
	}
	wl_die("usage: curves growth | threads | fragments | tail | slow [--scale X] [--seed N]");
}
