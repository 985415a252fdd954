/* SPDX-License-Identifier: MIT */
/*
 * pages: what the page API costs. To be run under the library (LD_PRELOAD).
 *
 * pages [-r ROUNDS] [-m MIB]: ns of a pair of bm_alloc_pages and bm_free_pages with 64 MiB under management and with
 * MIB (16384), both by turns, medians of ROUNDS (9); and what descriptors and bookkeeping take of memory beside what is
 * in use. The memory is allocated and never touched, so that what becomes resident is not it. Status 1 if that is more
 * than 0.9 %.
 *
 * pages -p [-e] ORDER HELD ROUNDS: pairs in a steady state, for counting, as bench/pair does it; -e: of functions that
 * do nothing. pages -s MIB ORDER: one figure of descriptors and bookkeeping.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "buddymalloc.h"

#define MAX_ORDER 10U
#define MAX_HELD 4096
#define MAX_ROUNDS 101
#define WARM_UP_PAIRS 2000
#define NR_SAMPLES 10
#define SMALL_MIB 64UL
#define PAGES_PER_MIB 256UL
#define METADATA_GOAL 0.009

static void *(*alloc_pages)(bm_gfp_t gfp, unsigned int order);
static void (*free_pages)(void *addr, unsigned int order);
static void (*split_page)(void *addr, unsigned int order);
static int (*trim)(size_t keep);

static void *held[MAX_HELD];

static void die(const char *what)
{
	fprintf(stderr, "pages: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *symbol(const char *name)
{
	void *p = dlsym(RTLD_DEFAULT, name);

	if (!p) {
		fprintf(stderr, "pages: no %s here: run it with LD_PRELOAD=.../libbuddymalloc.so\n", name);
		exit(2);
	}
	return p;
}

/* Not inlined, and as few instructions as there can be: bench/instructions knows how many. */
static __attribute__((noinline)) void *no_alloc(bm_gfp_t gfp, unsigned int order)
{
	(void)gfp;
	return (void *)(size_t)order;
}

static __attribute__((noinline)) void no_free(void *addr, unsigned int order)
{
	(void)addr;
	(void)order;
}

static void find_functions(int empty)
{
	if (empty) {
		alloc_pages = no_alloc;
		free_pages = no_free;
		return;
	}
	*(void **)&alloc_pages = symbol("bm_alloc_pages");
	*(void **)&free_pages = symbol("bm_free_pages");
	*(void **)&split_page = symbol("bm_split_page");
	*(void **)&trim = symbol("malloc_trim");
}

static void pairs(unsigned int order, unsigned long nr, unsigned long rounds)
{
	while (rounds--) {
		for (unsigned long i = 0; i < nr; i++)
			held[i] = alloc_pages(BM_GFP_KERNEL, order);
		for (unsigned long i = 0; i < nr; i++)
			free_pages(held[i], order);
	}
}

static void mark(const char *text, size_t length)
{
	if (write(-1, text, length) >= 0)
		exit(1);
}

static void count(unsigned int order, unsigned long nr, unsigned long rounds)
{
	pairs(order, nr, WARM_UP_PAIRS / nr + 1);
	mark("begin", 5);
	pairs(order, nr, rounds);
	mark("end", 3);
}

/*
 * Memory under management: blocks of the largest order. Of every fourth half the pages are free again, one by one, so
 * that free lists are long; and every 16th is free as a whole.
 */
struct managed {
	void **block;
	unsigned long nr;
};

static struct managed manage(unsigned long mib)
{
	struct managed m = { NULL, mib * PAGES_PER_MIB >> MAX_ORDER };
	unsigned long i, page;

	m.block = mmap(NULL, m.nr * sizeof(*m.block), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m.block == MAP_FAILED)
		die("mmap");
	for (i = 0; i < m.nr; i++)
		if (!(m.block[i] = alloc_pages(BM_GFP_KERNEL | BM_GFP_NOWARN, MAX_ORDER)))
			die("cannot allocate what is to be managed");
	for (i = 0; i < m.nr; i++) {
		if (i % 4 == 1) {
			split_page(m.block[i], MAX_ORDER);
			for (page = 0; page < 1UL << MAX_ORDER; page += 2)
				free_pages((char *)m.block[i] + (page << 12), 0);
		} else if (i % 16 == 0) {
			free_pages(m.block[i], MAX_ORDER);
			m.block[i] = NULL;
		}
	}
	return m;
}

static void unmanage(struct managed *m)
{
	unsigned long i, page;

	for (i = 0; i < m->nr; i++) {
		if (i % 4 == 1)
			for (page = 1; page < 1UL << MAX_ORDER; page += 2)
				free_pages((char *)m->block[i] + (page << 12), 0);
		else if (m->block[i])
			free_pages(m->block[i], MAX_ORDER);
	}
	munmap(m->block, m->nr * sizeof(*m->block));
	trim(0);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static const struct cost_case {
	unsigned int order;
	unsigned long nr, rounds;
} cases[] = { { 0, 1, 20000 }, { 0, 500, 40 }, { 4, 1, 10000 }, { 4, 100, 100 }, { 9, 1, 10000 }, { 9, 16, 100 } };
#define NR_CASES (sizeof(cases) / sizeof(*cases))

static double cost[2][NR_CASES][MAX_ROUNDS];

/* The best of some samples: what others do on this machine only ever adds. */
static double sample(const struct cost_case *c)
{
	double best = 0;

	pairs(c->order, c->nr, c->rounds);
	for (int i = 0; i < NR_SAMPLES; i++) {
		double begin = now(), ns;

		pairs(c->order, c->nr, c->rounds);
		ns = (now() - begin) / (double)(c->nr * c->rounds);
		if (!i || ns < best)
			best = ns;
	}
	return best;
}

static void measure(int which, int round)
{
	for (size_t i = 0; i < NR_CASES; i++)
		cost[which][i][round] = sample(&cases[i]);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int nr)
{
	qsort(values, (size_t)nr, sizeof(*values), by_size);
	return nr % 2 ? values[nr / 2] : (values[nr / 2 - 1] + values[nr / 2]) / 2;
}

static void report_cost(unsigned long large_mib, int rounds)
{
	double ratio[MAX_ROUNDS];

	for (int round = 0; round < rounds; round++)
		for (int which = 0; which < 2; which++) {
			struct managed m = manage(which ? large_mib : SMALL_MIB);

			measure(which, round);
			unmanage(&m);
		}
	printf("\nns of a pair, by memory under management\n%8s %6s %10lu MiB %10lu MiB %8s\n", "order", "held",
	       SMALL_MIB, large_mib, "ratio");
	for (size_t i = 0; i < NR_CASES; i++) {
		for (int round = 0; round < rounds; round++)
			ratio[round] = cost[1][i][round] / cost[0][i][round];
		printf("%8u %6lu %14.1f %14.1f %8.2f\n", cases[i].order, cases[i].nr, median(cost[0][i], rounds),
		       median(cost[1][i], rounds), median(ratio, rounds));
	}
}

/* Resident memory of our own making, exactly; nothing is allocated. */
static double resident(void)
{
	static char text[4096];
	int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	ssize_t len;
	char *at;

	if (fd < 0)
		die("/proc/self/smaps_rollup");
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[len > 0 ? len : 0] = '\0';
	at = strstr(text, "\nAnonymous:");
	return at ? strtod(at + 11, NULL) * 1024 : 0;
}

/* What becomes resident when so much is in use, in blocks of the order, untouched. */
static double metadata_share(unsigned long mib, unsigned int order)
{
	unsigned long nr = mib * PAGES_PER_MIB >> order, i;
	void **block = mmap(NULL, nr * sizeof(*block), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	double before;

	if (block == MAP_FAILED)
		die("mmap");
	before = resident();
	for (i = 0; i < nr; i++)
		if (!(block[i] = alloc_pages(BM_GFP_KERNEL, order)))
			die("cannot allocate");
	return (resident() - before) / ((double)mib * 1024 * 1024);
}

/* One figure of the report; 1 if it is above the goal. Descriptors stay resident once they are, so each is of a process
 * of its own, and that without hugepages, which may come before the memory is touched. */
static int metadata_figure(unsigned long mib, unsigned int order)
{
	char mib_text[24], order_text[24];
	int status;
	pid_t child;

	snprintf(mib_text, sizeof(mib_text), "%lu", mib);
	snprintf(order_text, sizeof(order_text), "%u", order);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		setenv("BUDDYMALLOC_CONF", "thp:never", 1);
		execl("/proc/self/exe", "pages", "-s", mib_text, order_text, NULL);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) > 1)
		die("a child failed");
	return WEXITSTATUS(status);
}

static int report_metadata(void)
{
	static const unsigned long sizes[] = { 64, 256, 1024 };
	static const unsigned int orders[] = { 0, 4, 9 };
	int above = 0;

	printf("descriptors and bookkeeping, in percent of what is in use (goal %.1f)\n%8s", METADATA_GOAL * 100,
	       "order");
	for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++)
		printf(" %10lu MiB", sizes[s]);
	printf("\n");
	for (size_t o = 0; o < sizeof(orders) / sizeof(*orders); o++) {
		printf("%8u", orders[o]);
		for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++)
			above |= metadata_figure(sizes[s], orders[o]);
		printf("\n");
	}
	if (above)
		printf("above the goal\n");
	return above;
}

static unsigned long number(const char *text, unsigned long min, unsigned long max)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || value < min || value > max) {
		fprintf(stderr, "pages: '%s' is not a number from %lu to %lu\n", text, min, max);
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	unsigned long mib = 16384;
	int option, above, empty = 0, counting = 0, share = 0, rounds = 9;

	while ((option = getopt(argc, argv, "epsm:r:")) != -1) {
		if (option == '?')
			return 2;
		empty |= option == 'e';
		counting |= option == 'p';
		share |= option == 's';
		if (option == 'm')
			mib = number(optarg, SMALL_MIB, 1UL << 22);
		else if (option == 'r')
			rounds = (int)number(optarg, 1, MAX_ROUNDS);
	}
	if (argc - optind != (counting ? 3 : share ? 2 : 0)) {
		fprintf(stderr, "usage: pages [-r ROUNDS] [-m MIB]\n       pages -p [-e] ORDER HELD ROUNDS\n");
		return 2;
	}
	find_functions(empty);
	if (counting) {
		count((unsigned int)number(argv[optind], 0, MAX_ORDER), number(argv[optind + 1], 1, MAX_HELD),
		      number(argv[optind + 2], 1, 1UL << 40));
		return 0;
	}
	if (share) {
		double figure = metadata_share(number(argv[optind], 1, 1UL << 22),
					       (unsigned int)number(argv[optind + 1], 0, MAX_ORDER));

		printf(" %14.2f", figure * 100);
		return figure > METADATA_GOAL;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	above = report_metadata();
	report_cost(mib, rounds);
	return above;
}
