/* SPDX-License-Identifier: MIT */
/*
 * A short tour of the heap at work: blocks of each kind, from two threads, with what malloc_usable_size() and
 * mallinfo2() say about them. It is an ordinary program; run it under the library to see the library.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NR_BLOCKS 1000

struct kind {
	const char *name;
	const char *source;
	size_t size;
	int count;
};

static const struct kind kinds[] = {
	{ "small", "a slab of its size class", 48, NR_BLOCKS },
	{ "medium", "a slab of several pages", 6000, 200 },
	{ "large", "pages of the buddy allocator", 300 << 10, 16 },
	{ "huge", "a mapping of its own", 20 << 20, 2 },
};
#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void print_heap(const char *when)
{
	struct mallinfo2 info = mallinfo2();

	printf("  %-28s %10zu KiB in use, %10zu KiB in arenas and mappings\n", when, info.uordblks >> 10,
	       (info.arena + info.hblkhd) >> 10);
}

static void *allocate(size_t size)
{
	void *p = malloc(size);

	if (!p) {
		perror("tour: malloc");
		exit(1);
	}
	memset(p, 0x5a, size);
	return p;
}

static void show_kind(const struct kind *kind, void **blocks)
{
	for (int i = 0; i < kind->count; i++)
		blocks[i] = allocate(kind->size);
	printf("%d %s blocks of %zu bytes: the first at %p, %zu usable; from %s\n", kind->count, kind->name, kind->size,
	       blocks[0], malloc_usable_size(blocks[0]), kind->source);
	print_heap("now");
}

static void free_blocks(void **blocks, int count)
{
	for (int i = 0; i < count; i++)
		free(blocks[i]);
}

/* Allocates blocks that another thread will free. */
static void *producer(void *arg)
{
	void **blocks = arg;

	for (int i = 0; i < NR_BLOCKS; i++)
		blocks[i] = allocate(16 + (size_t)i % 512);
	return NULL;
}

static void show_threads(void)
{
	static void *blocks[NR_BLOCKS];
	pthread_t thread;

	if (pthread_create(&thread, NULL, producer, blocks)) {
		fputs("tour: cannot start a thread\n", stderr);
		exit(1);
	}
	pthread_join(thread, NULL);
	printf("a second thread allocated %d blocks and ended; this one frees them\n", NR_BLOCKS);
	print_heap("before");
	free_blocks(blocks, NR_BLOCKS);
	print_heap("after");
}

static void show_realloc(void)
{
	size_t size = 1 << 20;
	char *p = allocate(size);
	int moves = 0;

	while (size < (32U << 20)) {
		size *= 2;
		void *before = p;
		p = realloc(p, size);
		if (!p) {
			perror("tour: realloc");
			exit(1);
		}
		moves += (void *)p != before;
	}
	printf("realloc from 1 MiB to %zu MiB by doubling: the block changed its place %d times\n", size >> 20, moves);
	free(p);
}

static void say_who_serves(void)
{
	const char *(*version)(void);

	*(void **)&version = dlsym(RTLD_DEFAULT, "bm_version");
	if (version)
		printf("This program runs under libbuddymalloc %s.\n\n", version());
	else
		puts("This program does NOT run under libbuddymalloc: the figures are those of another malloc.\n"
		     "To see ours: LD_PRELOAD=/path/to/libbuddymalloc.so tour\n");
}

int main(void)
{
	static void *blocks[NR_KINDS][NR_BLOCKS];

	say_who_serves();
	for (size_t k = 0; k < NR_KINDS; k++)
		show_kind(&kinds[k], blocks[k]);
	show_threads();
	show_realloc();
	for (size_t k = 0; k < NR_KINDS; k++)
		free_blocks(blocks[k], kinds[k].count);
	malloc_trim(0);
	puts("everything freed, and malloc_trim called");
	print_heap("now");
	fflush(stdout);
	puts("\nmalloc_stats() says, on stderr:");
	fflush(stdout);
	malloc_stats();
	return 0;
}
