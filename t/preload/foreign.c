/* SPDX-License-Identifier: MIT */
/* foreign WHERE CALL: says a pointer that malloc never gave out, hands it to free, realloc or malloc_usable_size. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static char in_data[1000];

/* In "middle-SIZE" it is the 16th byte of a block of that size; "untouched": where an object may begin, but none has.
 */
static char *pointer(const char *where, char *stack)
{
	if (!strcmp(where, "stack"))
		return stack;
	if (!strcmp(where, "static"))
		return in_data + 64;
	if (!strcmp(where, "mmap"))
		return mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!strcmp(where, "null-page"))
		return (char *)16;
	if (!strcmp(where, "kernel"))
		return (char *)-4096L;
	if (!strcmp(where, "untouched")) {
		char *first = malloc(1000);

		return first + 8 * malloc_usable_size(first);
	}
	if (!strncmp(where, "middle-", 7))
		return (char *)malloc((size_t)atol(where + 7)) + 16;
	exit(99);
}

static void free_many(size_t size)
{
	static void *blocks[2000];

	for (int i = 0; i < 2000; i++)
		blocks[i] = malloc(size);
	for (int i = 0; i < 2000; i++)
		free(blocks[i]);
}

int main(int argc, char **argv)
{
	char stack[1000] __attribute__((aligned(64)));
	char *p;

	if (argc != 3)
		return 99;
	memset(stack, 0, sizeof(stack));
	p = pointer(argv[1], stack);
	printf("%p\n", (void *)p);
	fflush(stdout);
	free(malloc(500)); /* what the short way of realloc takes */
	if (!strcmp(argv[2], "free"))
		free(p);
	else if (!strcmp(argv[2], "realloc"))
		p = realloc(p, 500);
	else if (malloc_usable_size(p) > 1UL << 47)
		return 98;
	free(malloc(100));
	/* A block's middle in a slab is noticed when the thread's list goes home, at the latest. */
	if (!strncmp(argv[1], "middle-", 7) && !strcmp(argv[2], "free"))
		free_many((size_t)atol(argv[1] + 7));
	puts("goes on");
	return 0;
}
