/* SPDX-License-Identifier: MIT */
/*
 * pair [-e] [-t] SIZE HELD ROUNDS: malloc and free in a steady state, for counting.
 *
 * A round allocates HELD blocks of SIZE bytes and then frees them in the same order. After a warm-up, two
 * write calls that fail mark the beginning and the end of ROUNDS rounds in a trace of system calls.
 * -t touches the first and the last byte of every block. -e runs an empty loop: the same calls through the
 * procedure linkage table, to functions that do nothing; what it costs is the loop and not the allocator.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WARM_UP_PAIRS	2000
#define MAX_HELD	100000

/* Two instructions or fewer, and no_free one: bench/instructions knows how many. */
static void *no_alloc(size_t size)
{
	return (void *)size;
}

static void no_free(void *p)
{
	(void)p;
}

/* Indirect functions are called through the linkage table as those of a shared library are. */
static void *(*__attribute__((used)) resolve_alloc(void))(size_t)
{
	return no_alloc;
}

static void (*__attribute__((used)) resolve_free(void))(void *)
{
	return no_free;
}

void *empty_alloc(size_t size) __attribute__((ifunc("resolve_alloc")));
void empty_free(void *p) __attribute__((ifunc("resolve_free")));

static void *held[MAX_HELD];

static void rounds(size_t size, unsigned long nr, unsigned long count)
{
	while (count--) {
		for (unsigned long i = 0; i < nr; i++)
			held[i] = malloc(size);
		for (unsigned long i = 0; i < nr; i++)
			free(held[i]);
	}
}

static void empty_rounds(size_t size, unsigned long nr, unsigned long count)
{
	while (count--) {
		for (unsigned long i = 0; i < nr; i++)
			held[i] = empty_alloc(size);
		for (unsigned long i = 0; i < nr; i++)
			empty_free(held[i]);
	}
}

static void touching_rounds(size_t size, unsigned long nr, unsigned long count)
{
	while (count--) {
		for (unsigned long i = 0; i < nr; i++) {
			volatile char *p = held[i] = malloc(size);

			if (!p) {
				fprintf(stderr, "pair: no memory for %zu bytes\n", size);
				exit(1);
			}
			p[0] = 1;
			p[size - 1] = 1;
		}
		for (unsigned long i = 0; i < nr; i++)
			free(held[i]);
	}
}

static void mark(const char *text, size_t length)
{
	if (write(-1, text, length) >= 0)
		exit(1);
}

static unsigned long number(const char *text, unsigned long max)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || !value || value > max) {
		fprintf(stderr, "pair: '%s' is not a number from 1 to %lu\n", text, max);
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	void (*run)(size_t, unsigned long, unsigned long) = rounds;
	unsigned long size, nr;
	int option;

	while ((option = getopt(argc, argv, "et")) != -1) {
		if (option == '?')
			return 2;
		run = option == 'e' ? empty_rounds : touching_rounds;
	}
	if (argc - optind != 3) {
		fprintf(stderr, "usage: pair [-e] [-t] SIZE HELD ROUNDS\n");
		return 2;
	}
	size = number(argv[optind], 1UL << 40);
	nr = number(argv[optind + 1], MAX_HELD);
	run(size, nr, WARM_UP_PAIRS / nr + 1);
	mark("begin", 5);
	run(size, nr, number(argv[optind + 2], 1UL << 40));
	mark("end", 3);
	return 0;
}
