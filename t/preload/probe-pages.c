/* SPDX-License-Identifier: MIT */
/*
 * probe-pages [FILE]: blocks by the page API, linked with the library. Says in FILE, or on stdout, what the probes have
 * to report from begin() on, a line each:
 *	mm_page_alloc ADDRESS ORDER GFP MIGRATETYPE
 *	mm_page_free ADDRESS ORDER
 * and "large ADDRESS" for a block that comes from the zone itself, "stolen ADDRESS" for one of order 5 that was taken
 * from another migratetype.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "buddymalloc.h"

#define NR_PAGES 300
#define NR_LARGE 512

static char text[1 << 17];
static size_t length;

static void say(const char *what, void *p, const char *rest)
{
	length += (size_t)sprintf(text + length, "%s %#lx%s\n", what, (unsigned long)p, rest);
}

static void expect_alloc(void *p, bm_gfp_t gfp, unsigned int order)
{
	char rest[64];

	sprintf(rest, " %u %#x %u", order, gfp, gfp & BM_GFP_MOVABLE ? 1 : gfp & BM_GFP_RECLAIMABLE ? 2 : 0);
	say("mm_page_alloc", p, rest);
}

static void *allocate(bm_gfp_t gfp, unsigned int order)
{
	void *p = bm_alloc_pages(gfp, order);

	expect_alloc(p, gfp, order);
	return p;
}

static void release(void *p, unsigned int order)
{
	char rest[16];

	sprintf(rest, " %u", order);
	say("mm_page_free", p, rest);
	bm_free_pages(p, order);
}

__attribute__((__noinline__)) void begin(void);
void begin(void)
{
	__asm__ volatile("");
}

/* The shortest way, there and back, and the lists running dry and over. */
static void single_pages(void)
{
	static void *p[NR_PAGES];
	int i;

	for (i = 0; i < NR_PAGES; i++)
		p[i] = allocate(BM_GFP_KERNEL, 0);
	for (i = 0; i < NR_PAGES; i++)
		release(p[i], 0);
	release(allocate(BM_GFP_NOWAIT | BM_GFP_ZERO, 0), 0);
}

static void blocks(void)
{
	void *p;

	release(allocate(BM_GFP_KERNEL, 1), 1);
	release(allocate(BM_GFP_KERNEL | BM_GFP_COMP, 3), 3);
	release(allocate(BM_GFP_USER | BM_GFP_MOVABLE, 2), 2);
	p = allocate(BM_GFP_KERNEL, 7);
	say("large", p, "");
	release(p, 7);
	p = bm_alloc_pages_node(0, BM_GFP_KERNEL, 4);
	expect_alloc(p, BM_GFP_KERNEL, 4);
	bm_get_page(p);
	bm_free_pages(p, 4); /* not the last reference: nothing is free */
	release(p, 4);
}

/* Nothing of our migratetype, and no growth: from another. */
static void fallback(void)
{
	static void *p[NR_LARGE];
	struct rlimit limit = { 0, RLIM_INFINITY };
	const bm_gfp_t gfp = BM_GFP_KERNEL | BM_GFP_NOWARN;
	void *half, *stolen;
	int n = 1;

	p[0] = allocate(gfp, 9);
	if (!p[0] || setrlimit(RLIMIT_AS, &limit))
		exit(1);
	while (n < NR_LARGE && (p[n] = allocate(gfp, 9)))
		n++;
	if (n == NR_LARGE)
		exit(2);
	release(p[--n], 9);
	half = allocate(gfp, 8);
	stolen = bm_alloc_pages(gfp | BM_GFP_RECLAIMABLE, 5);
	say("stolen", stolen, "");
	expect_alloc(stolen, gfp | BM_GFP_RECLAIMABLE, 5);
	release(stolen, 5);
	release(half, 8);
	while (n)
		release(p[--n], 9);
}

int main(int argc, char **argv)
{
	int fd = argc > 1 ? open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0666) : 1;

	free(malloc(1));		   /* a pageblock that keeps fallback()'s last one above the marks */
	bm_ctl_set("vm.drop_caches", "1"); /* the per-CPU lists are empty */
	begin();
	single_pages();
	blocks();
	fallback();
	return write(fd, text, length) != (ssize_t)length;
}
