/* SPDX-License-Identifier: MIT */
/*
 * The page API in a minute: blocks and flags, a number of pages that is no power of two, blocks that may be moved and
 * the compaction that moves them, a scope, a setting, a report. Link with -lbuddymalloc (pkg-config buddymalloc).
 */
#include <buddymalloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096
#define NR_CELLS 4096

/* A page of ours that the library may put elsewhere: whoever uses it asks here where it is. */
struct cell {
	char *page;
	int in_use;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* May it be moved now? If so, nobody shall use it until it was moved or put back. */
static int cell_isolate(void *addr, void *arg)
{
	(void)addr;
	return ((struct cell *)arg)->in_use;
}

/* Copy it, and say where it is now. */
static int cell_migrate(void *dst, void *src, unsigned int order, void *arg)
{
	memcpy(dst, src, (size_t)PAGE << order);
	((struct cell *)arg)->page = dst;
	return 0;
}

static void cell_putback(void *addr, void *arg)
{
	(void)addr;
	(void)arg;
}

static const struct bm_movable_ops cell_ops = { cell_isolate, cell_migrate, cell_putback };

/* 2^4 pages, aligned to their size, zeroed. A compound block is found by any address in it, and has one count. */
static void blocks(void)
{
	char *block = bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_ZERO | BM_GFP_COMP, 4);

	if (!block)
		die("bm_alloc_pages");
	printf("a block of order %d on node %d, aligned to its size: %s, first byte %d\n", bm_page_order(block + 5000),
	       bm_page_node(block), (uintptr_t)block % (16 * PAGE) ? "no" : "yes", block[0]);
	bm_get_page(block);	 /* a second user ... */
	bm_free_pages(block, 4); /* ... outlives the first */
	block[0] = 1;
	bm_put_page(block);

	block = bm_alloc_pages_exact(5 * PAGE, BM_GFP_KERNEL);
	if (!block)
		die("bm_alloc_pages_exact");
	printf("5 pages side by side, not 8: the last has order %d\n", bm_page_order(block + 4 * PAGE));
	bm_free_pages_exact(block, 5 * PAGE);
}

/* Movable pages, of which every second is freed: compaction brings the others together. */
static void moving(void)
{
	static struct cell cells[NR_CELLS];
	int moved, i, elsewhere = 0, wrong = 0;
	static char *before[NR_CELLS];

	for (i = 0; i < NR_CELLS; i++) {
		before[i] = cells[i].page = bm_alloc_pages(BM_GFP_USER | BM_GFP_MOVABLE, 0);
		if (!cells[i].page || bm_set_page_movable(cells[i].page, &cell_ops, &cells[i]))
			die("a movable page");
		memset(cells[i].page, i, PAGE);
	}
	for (i = 0; i < NR_CELLS; i += 2)
		bm_free_pages(cells[i].page, 0);
	moved = bm_compact_memory(-1);
	for (i = 1; i < NR_CELLS; i += 2) {
		elsewhere += cells[i].page != before[i];
		wrong += cells[i].page[0] != (char)i || cells[i].page[PAGE - 1] != (char)i;
		bm_free_pages(cells[i].page, 0);
	}
	printf("compaction moved %d pages: %d of %d are elsewhere now, %d damaged\n", moved, elsewhere, NR_CELLS / 2,
	       wrong);
}

int main(void)
{
	char value[32];
	unsigned int saved;
	void *p;

	blocks();
	moving();

	/* While we hold a lock that our own shrinker takes, no allocation of this thread may call shrinkers. */
	saved = bm_memalloc_save(BM_SCOPE_NOFS);
	p = bm_alloc_pages(BM_GFP_KERNEL, 0);
	bm_memalloc_restore(saved);
	bm_free_pages(p, 0);

	if (bm_ctl_set("vm.min_free_kbytes", "1024") || bm_ctl_get("vm.min_free_kbytes", value, sizeof(value)) < 0)
		die("bm_ctl");
	printf("vm.min_free_kbytes is %s now\n", value);
	fflush(stdout);
	return bm_stats_print(1, "buddyinfo") ? 1 : 0;
}
