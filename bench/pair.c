/* SPDX-License-Identifier: MIT */
/*
 * pair [-c | -r | -u] [-e] [-t] SIZE HELD ROUNDS: malloc and free in a steady state, for counting.
 *
 * A round allocates HELD blocks of SIZE bytes and then frees them in the same order. After a warm-up, two
 * write calls that fail mark the beginning and the end of ROUNDS rounds in a trace of system calls.
 * -t touches the first and the last byte of every block. -c allocates by calloc. -r has one block, which a round lets
 * come to SIZE bytes byte by byte, in HELD calls of realloc; -u one of SIZE bytes, of which a round asks HELD times for
 * the usable size. -e runs an empty loop: the same calls through the procedure linkage table, to functions that do
 * nothing, but for -c, where one calls memset for a block; what it costs is the loop, and the memset, and not the
 * allocator.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WARM_UP_PAIRS 2000
#define MAX_HELD 100000

/* Two instructions or fewer, and no_free one: bench/instructions knows how many. */
static void *no_alloc(size_t size)
{
	return (void *)size;
}

static void no_free(void *p)
{
	(void)p;
}

static char zeroed[1 << 20] __attribute__((aligned(16)));

static void *no_calloc(size_t nmemb, size_t size)
{
	(void)nmemb;
	return memset(zeroed, 0, size);
}

static void *no_realloc(void *p, size_t size)
{
	(void)size;
	return p;
}

static size_t no_usable(void *p)
{
	return (size_t)p;
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

static void *(*__attribute__((used)) resolve_calloc(void))(size_t, size_t)
{
	return no_calloc;
}

static void *(*__attribute__((used)) resolve_realloc(void))(void *, size_t)
{
	return no_realloc;
}

static size_t (*__attribute__((used)) resolve_usable(void))(void *)
{
	return no_usable;
}

size_t empty_usable(void *p) __attribute__((ifunc("resolve_usable")));
void *empty_calloc(size_t nmemb, size_t size) __attribute__((ifunc("resolve_calloc")));
void *empty_realloc(void *p, size_t size) __attribute__((ifunc("resolve_realloc")));
void *empty_alloc(size_t size) __attribute__((ifunc("resolve_alloc")));
void empty_free(void *p) __attribute__((ifunc("resolve_free")));

static void *held[MAX_HELD];

/* With the functions of the library, and with empty ones. */
#define DEFINE_ROUNDS(name, alloc, release)                                  \
	static void name(size_t size, unsigned long nr, unsigned long count) \
	{                                                                    \
		while (count--) {                                            \
			for (unsigned long i = 0; i < nr; i++)               \
				held[i] = alloc;                             \
			for (unsigned long i = 0; i < nr; i++)               \
				release(held[i]);                            \
		}                                                            \
	}
#define DEFINE_GROWTH(name, resize)                                           \
	static void name(size_t size, unsigned long nr, unsigned long count)  \
	{                                                                     \
		while (count--)                                               \
			for (unsigned long i = 0; i < nr; i++)                \
				held[0] = resize(held[0], size - nr + 1 + i); \
	}
#define DEFINE_LOOKS(name, usable)                                           \
	static void name(size_t size, unsigned long nr, unsigned long count) \
	{                                                                    \
		void *p = malloc(size);                                      \
                                                                             \
		while (count--)                                              \
			for (unsigned long i = 0; i < nr; i++)               \
				held[0] = (char *)p + usable(p);             \
		free(p);                                                     \
	}

DEFINE_ROUNDS(rounds, malloc(size), free)
DEFINE_ROUNDS(empty_rounds, empty_alloc(size), empty_free)
DEFINE_ROUNDS(calloc_rounds, calloc(1, size), free)
DEFINE_ROUNDS(empty_calloc_rounds, empty_calloc(1, size), empty_free)
DEFINE_GROWTH(realloc_rounds, realloc)
DEFINE_GROWTH(empty_realloc_rounds, empty_realloc)
DEFINE_LOOKS(usable_rounds, malloc_usable_size)
DEFINE_LOOKS(empty_usable_rounds, empty_usable)

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

/* By -c, -r, -u, or none of them; and -e. */
static void (*const modes[4][2])(size_t, unsigned long, unsigned long) = {
	{ rounds, empty_rounds },
	{ calloc_rounds, empty_calloc_rounds },
	{ realloc_rounds, empty_realloc_rounds },
	{ usable_rounds, empty_usable_rounds },
};

int main(int argc, char **argv)
{
	void (*run)(size_t, unsigned long, unsigned long);
	unsigned int mode = 0, empty = 0, touch = 0;
	unsigned long size, nr;
	int option;

	while ((option = getopt(argc, argv, "certu")) != -1) {
		if (option == '?')
			return 2;
		mode = option == 'c' ? 1 : option == 'r' ? 2 : option == 'u' ? 3 : mode;
		empty |= option == 'e';
		touch |= option == 't';
	}
	if (argc - optind != 3) {
		fprintf(stderr, "usage: pair [-c | -r | -u] [-e] [-t] SIZE HELD ROUNDS\n");
		return 2;
	}
	size = number(argv[optind], mode == 1 ? sizeof(zeroed) : 1UL << 40);
	nr = number(argv[optind + 1], mode == 2 && size < MAX_HELD ? size : MAX_HELD);
	run = touch ? touching_rounds : modes[mode][empty];
	run(size, nr, WARM_UP_PAIRS / nr + 1);
	mark("begin", 5);
	run(size, nr, number(argv[optind + 2], 1UL << 40));
	mark("end", 3);
	return 0;
}
