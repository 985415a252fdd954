/* SPDX-License-Identifier: MIT */
/*
 * Contiguous pages as a program asks for them, with blocks of its own in the way.
 */
#include <pthread.h>
#include <sys/wait.h>

#include "api.h"

#define PAGE 4096UL

static bool filled(const unsigned char *p, unsigned char with, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != with)
			return false;
	return true;
}

static void test_sizes(void)
{
	static const unsigned long sizes[] = { 1, 2, 7, 512, 1000, 1024, 3000, 8192 };

	for (size_t i = 0; i < API_ARRAY_SIZE(sizes); i++) {
		unsigned long nr = sizes[i], align = nr & (nr - 1) ? PAGE : nr * PAGE;
		unsigned char *p = bm_alloc_contig_pages(nr, BM_GFP_USER | BM_GFP_ZERO, -1);

		if (!ok(p && (uintptr_t)p % align == 0, "%lu pages at %p", nr, (void *)p))
			continue;
		ok(filled(p, 0, nr * PAGE), "are zero");
		memset(p, 0xa5, nr * PAGE);
		ok(bm_page_order(p) == 0 && bm_page_order(p + (nr - 1) * PAGE) == 0, "and single ones");
		/* The first by itself, the last by another name, the rest. */
		bm_free_pages(p, 0);
		if (nr > 2)
			bm_put_page(p + (nr - 1) * PAGE);
		if (nr > 1)
			bm_free_contig_pages(p + PAGE, nr > 2 ? nr - 2 : 1);
		ok(bm_page_order(p) == -EINVAL && bm_page_order(p + (nr - 1) * PAGE) == -EINVAL,
		   "are freed one by one");
	}
	bm_free_contig_pages(NULL, 5);
}

static bool refused(unsigned long nr, bm_gfp_t gfp, int nid)
{
	errno = 0;
	return !bm_alloc_contig_pages(nr, gfp, nid) && errno == EINVAL;
}

static void test_errors(void)
{
	ok(refused(0, BM_GFP_USER, -1), "no pages");
	ok(refused(1, BM_GFP_USER, 64) && refused(1, BM_GFP_USER, -2), "a node that is none");
	ok(refused(1, BM_GFP_USER | BM_GFP_NOFAIL, -1), "NOFAIL");
	ok(refused(4, BM_GFP_USER | BM_GFP_COMP, -1), "single pages, and compound");
	ok(refused(1, 0x80000000u, -1), "a flag that is none");
	errno = 0;
	ok(!bm_alloc_contig_pages(1UL << 33, BM_GFP_USER | BM_GFP_NOWARN, -1) && errno, "more than there can be");
}

/* Blocks that know where they are. */
#define NR_BLOCKS 2048
static unsigned char *block[NR_BLOCKS];
static int nr_migrated;

static int block_isolate(void *addr, void *arg)
{
	return *(unsigned char **)arg == addr ? 0 : -1;
}
static int block_migrate(void *dst, void *src, unsigned int order, void *arg)
{
	memcpy(dst, src, PAGE << order);
	*(unsigned char **)arg = dst;
	nr_migrated++;
	return 0;
}
static void block_putback(void *addr, void *arg)
{
	(void)addr;
	(void)arg;
}

static bool blocks_are_whole(void)
{
	for (size_t i = 0; i < NR_BLOCKS; i++)
		if (block[i] && !filled(block[i], (unsigned char)i, PAGE))
			return false;
	return true;
}

static void test_movable(void)
{
	static const struct bm_movable_ops ops = { block_isolate, block_migrate, block_putback };
	unsigned char *p;
	int bad = 0;

	for (size_t i = 0; i < NR_BLOCKS; i++) {
		block[i] = bm_alloc_pages(BM_GFP_USER | BM_GFP_MOVABLE, 0);
		if (!block[i])
			bail_out("no memory");
		memset(block[i], (int)i, PAGE);
		bad += bm_set_page_movable(block[i], &ops, &block[i]) != 0;
	}
	is_int(bad, 0, "%d blocks are movable", NR_BLOCKS);
	for (size_t i = 0; i < NR_BLOCKS; i += 2) {
		bm_free_pages(block[i], 0);
		block[i] = NULL;
	}
	p = bm_alloc_contig_pages(NR_BLOCKS / 4, BM_GFP_USER | BM_GFP_MOVABLE, -1);
	ok(p && nr_migrated, "pages side by side among them: %d had to move", nr_migrated);
	memset(p, 0xff, NR_BLOCKS / 4 * PAGE);
	ok(blocks_are_whole(), "whose content moved along");
	bm_free_contig_pages(p, NR_BLOCKS / 4);
	for (size_t i = 1; i < NR_BLOCKS; i += 2)
		bm_free_pages(block[i], 0);
}

static void *contig_in_thread(void *arg)
{
	void *p = bm_alloc_contig_pages(700, BM_GFP_USER, -1);

	(void)arg;
	bm_free_contig_pages(p, 700);
	return p;
}

static void test_fork(void)
{
	pthread_t thread;
	int status = -1;
	void *p = NULL;
	pid_t pid;

	pthread_create(&thread, NULL, contig_in_thread, NULL);
	pthread_join(thread, &p);
	ok(p != NULL, "from another thread");
	pid = fork();
	if (!pid)
		_exit(contig_in_thread(NULL) ? 7 : 1);
	waitpid(pid, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 7, "in the child of a fork");
}

int main(void)
{
	test_sizes();
	test_errors();
	test_movable();
	test_fork();
	return done_testing();
}
