/* SPDX-License-Identifier: MIT */
/*
 * Every function of the page API as buddymalloc.h promises it, and with arguments that are wrong.
 */
#include <linux/mempolicy.h>

#include "child.h"

#define PAGE ((size_t)4096)
#define MAX_ORDER 10U
#define LOW_END ((uintptr_t)4 << 30)
#define NO_SUCH_FLAG 0x80000000U

static void *wanted_pages(bm_gfp_t gfp, unsigned int order)
{
	void *p;

	errno = ERRNO_MARK;
	p = bm_alloc_pages(gfp, order);
	if (!p)
		bail_out("bm_alloc_pages(%#x, %u): errno %d", gfp, order, errno);
	want(errno == ERRNO_MARK, "errno of an allocation that succeeds is %d", errno);
	want((uintptr_t)p % (PAGE << order) == 0, "%p is not aligned to order %u", p, order);
	return p;
}

static bool zero_at(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static void test_aborts(void (*fn)(void), const char *words, const char *what)
{
	if (!ok(aborts(fn, words), "%s", what))
		diag("said: %s", said);
}

static void test_orders(void)
{
	unsigned int order;

	for (order = 0; order <= MAX_ORDER; order++) {
		char *p = wanted_pages(BM_GFP_KERNEL, order);

		memset(p, 1, PAGE << order);
		want(bm_page_order(p) == (int)order, "order %u: it says %d", order, bm_page_order(p));
		want(bm_page_node(p) >= 0, "order %u: node %d", order, bm_page_node(p));
		errno = ERRNO_MARK;
		bm_free_pages(p, order);
		want(errno == ERRNO_MARK, "errno after freeing order %u is %d", order, errno);
		want(bm_page_order(p) == -EINVAL && bm_page_node(p) == -EINVAL, "free, and of order %d",
		     bm_page_order(p));
	}
	verdict("blocks of every order");
}

static void *failed;
static int failed_errno;
#define want_error(call, error)                                                                            \
	do {                                                                                               \
		errno = 0;                                                                                 \
		failed = (call);                                                                           \
		failed_errno = errno;                                                                      \
		want(!failed && failed_errno == (error), "%s: %p, errno %d", #call, failed, failed_errno); \
	} while (0)

static void test_bad_requests(void)
{
	bm_gfp_t quiet = BM_GFP_KERNEL | BM_GFP_NOWARN;

	want_error(bm_alloc_pages(quiet, MAX_ORDER + 1), EINVAL);
	want_error(bm_alloc_pages(quiet, 63), EINVAL);
	want_error(bm_alloc_pages(quiet, ~0U), EINVAL);
	want_error(bm_alloc_pages(quiet | NO_SUCH_FLAG, 0), EINVAL);
	want_error(bm_alloc_pages_node(0, quiet, MAX_ORDER + 1), EINVAL);
	want_error(bm_alloc_pages_node(0, quiet | NO_SUCH_FLAG, 0), EINVAL);
	want_error(bm_alloc_pages_node(-2, quiet, 0), EINVAL);
	want_error(bm_alloc_pages_node(1 << 20, quiet, 0), EINVAL);
	want_error(bm_alloc_pages_exact(0, quiet), EINVAL);
	want_error(bm_alloc_pages_exact(4 * MIB + 1, quiet), EINVAL);
	want_error(bm_alloc_pages_exact(~(size_t)0, quiet), EINVAL);
	want_error(bm_alloc_pages_exact(PAGE, quiet | NO_SUCH_FLAG), EINVAL);
	want_error(bm_alloc_contig_pages(0, quiet, -1), EINVAL);
	want_error(bm_alloc_contig_pages(1, quiet | NO_SUCH_FLAG, -1), EINVAL);
	want_error(bm_alloc_contig_pages(1, quiet, 1 << 20), EINVAL);
	want_error(bm_alloc_contig_pages(1UL << 33, quiet, -1), ENOMEM);
	want_error(bm_alloc_contig_pages(~0UL, quiet, -1), EINVAL);
	verdict("requests that make no sense");
}

static void test_not_blocks(void)
{
	static char data[2 * 4096];
	char *small = malloc(100), *large = malloc(300000), *huge = malloc(10 * MIB);
	const void *wrong[] = { NULL, data, &small, (void *)1, (void *)~(uintptr_t)0, small, large, huge, "text" };
	size_t i;

	for (i = 0; i < API_ARRAY_SIZE(wrong); i++) {
		want(bm_page_order(wrong[i]) == -EINVAL, "%p is of order %d", wrong[i], bm_page_order(wrong[i]));
		want(bm_page_node(wrong[i]) == -EINVAL, "%p is of node %d", wrong[i], bm_page_node(wrong[i]));
	}
	free(small);
	free(large);
	free(huge);
	verdict("addresses that are no page block's");
}

static void test_zero(void)
{
	unsigned int order;
	char *p;

	for (order = 0; order <= MAX_ORDER; order++) {
		p = wanted_pages(BM_GFP_KERNEL, order);
		memset(p, 0xff, PAGE << order);
		bm_free_pages(p, order);
		p = wanted_pages(BM_GFP_KERNEL | BM_GFP_ZERO, order);
		want(zero_at(p, PAGE << order), "order %u", order);
		bm_free_pages(p, order);
	}
	verdict("BM_GFP_ZERO");
}

static void test_low(void)
{
	char *low[16];
	size_t i;

	for (i = 0; i < API_ARRAY_SIZE(low); i++) {
		low[i] = bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_DMA32 | BM_GFP_NOWARN, (unsigned int)i % 11);
		if (!low[i])
			break;
		memset(low[i], (int)i, PAGE << i % 11);
		want((uintptr_t)low[i] + (PAGE << i % 11) <= LOW_END, "%p", (void *)low[i]);
		want(bm_page_order(low[i]) == (int)i % 11, "order %d", bm_page_order(low[i]));
	}
	want(i == API_ARRAY_SIZE(low) || api_sanitized(), "block %zu below 4 GiB cannot be had", i);
	while (i--) {
		want(low[i][0] == (char)i && low[i][(PAGE << i % 11) - 1] == (char)i, "block %zu", i);
		bm_free_pages(low[i], (unsigned int)i % 11);
	}
	verdict("BM_GFP_DMA32 is below 4 GiB");
}

static void test_compound(void)
{
	char *p = wanted_pages(BM_GFP_KERNEL | BM_GFP_COMP, 4);
	size_t i;

	for (i = 0; i < PAGE << 4; i += 1000)
		want(bm_page_order(p + i) == 4 && bm_page_node(p + i) == bm_page_node(p), "byte %zu: order %d", i,
		     bm_page_order(p + i));
	want(bm_page_order(p + (PAGE << 4)) != 4 || bm_page_order(p + (PAGE << 4) - 1) == 4, "the byte behind it");
	bm_get_page(p + 5 * PAGE);
	bm_put_page(p + 9 * PAGE + 77);
	want(bm_page_order(p) == 4, "two references less one");
	bm_put_page(p + 15 * PAGE);
	want(bm_page_order(p) == -EINVAL && bm_page_order(p + PAGE) == -EINVAL, "the last reference");
	p = wanted_pages(BM_GFP_KERNEL, 4);
	for (i = PAGE; i < PAGE << 4; i += PAGE)
		want(bm_page_order(p + i) == -EINVAL && bm_page_node(p + i) == -EINVAL, "page %zu: order %d", i / PAGE,
		     bm_page_order(p + i));
	bm_free_pages(p, 4);
	verdict("compound pages are found from inside, others are not");
}

static void test_references(void)
{
	char *p = wanted_pages(BM_GFP_KERNEL, 3);

	bm_get_page(p);
	bm_get_page(p);
	bm_free_pages(p, 3);
	want(bm_page_order(p) == 3, "after one free of three");
	bm_put_page(p);
	want(bm_page_order(p) == 3, "after two of three");
	memset(p, 1, PAGE << 3);
	bm_free_pages(p, 3);
	want(bm_page_order(p) == -EINVAL, "after three of three");
	bm_free_pages(NULL, 3);
	verdict("references");
}

static void test_split(void)
{
	char *p = wanted_pages(BM_GFP_KERNEL, 5);
	size_t i;

	bm_split_page(p, 5);
	for (i = 0; i < 32; i++)
		want(bm_page_order(p + i * PAGE) == 0, "page %zu: order %d", i, bm_page_order(p + i * PAGE));
	for (i = 0; i < 32; i += 2)
		bm_free_pages(p + i * PAGE, 0);
	for (i = 0; i < 32; i++)
		want(bm_page_order(p + i * PAGE) == (i % 2 ? 0 : -EINVAL), "page %zu: order %d", i,
		     bm_page_order(p + i * PAGE));
	for (i = 1; i < 32; i += 2)
		bm_put_page(p + i * PAGE);
	p = wanted_pages(BM_GFP_KERNEL, 1);
	bm_get_page(p);
	bm_split_page(p, 1);
	bm_free_pages(p, 0);
	want(bm_page_order(p) == 0, "a reference from before the split is to the first page");
	bm_put_page(p);
	bm_put_page(p + PAGE);
	want(bm_page_order(p) == -EINVAL && bm_page_order(p + PAGE) == -EINVAL, "both are free");
	verdict("a block that is split is single pages");
}

static void test_exact(void)
{
	static const size_t sizes[] = { 1, 4095, 4096, 4097, 3 * 4096, 100000, MIB + 1, 4 * MIB - 1, 4 * MIB };
	size_t i, n, pages;
	char *p;

	for (i = 0; i < API_ARRAY_SIZE(sizes); i++) {
		pages = (sizes[i] + PAGE - 1) / PAGE;
		p = bm_alloc_pages_exact(sizes[i], BM_GFP_KERNEL | BM_GFP_ZERO);
		if (!want(p != NULL, "%zu bytes", sizes[i]))
			continue;
		want(zero_at(p, pages * PAGE), "%zu bytes are zero", sizes[i]);
		memset(p, 1, pages * PAGE);
		for (n = 0; n < pages; n++)
			want(bm_page_order(p + n * PAGE) == 0, "page %zu of %zu bytes: order %d", n, sizes[i],
			     bm_page_order(p + n * PAGE));
		/* One of its pages alone, then what lies on both sides. */
		n = pages / 2;
		bm_free_pages(p + n * PAGE, 0);
		if (n)
			bm_free_pages_exact(p, n * PAGE);
		if (sizes[i] > (n + 1) * PAGE)
			bm_free_pages_exact(p + (n + 1) * PAGE, sizes[i] - (n + 1) * PAGE);
		want(bm_page_order(p) == -EINVAL && bm_page_order(p + (pages - 1) * PAGE) == -EINVAL, "freed");
	}
	bm_free_pages_exact(NULL, 0);
	p = bm_alloc_pages_exact(PAGE, BM_GFP_KERNEL);
	bm_ctl_set("foreign_free", "ignore");
	bm_free_pages_exact(p, SIZE_MAX);
	bm_free_pages_exact(p, 5 << 20);
	is_int(bm_page_order(p), 0, "a size that no allocation has frees nothing");
	bm_ctl_set("foreign_free", "abort");
	bm_free_pages_exact(p, PAGE);
	verdict("exact sizes");
}

static int by_address(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return (x > y) - (x < y);
}

static void test_bulk(void)
{
	enum { NR = 1000 };
	static void *page[NR];
	unsigned long i, nr;

	want(bm_alloc_pages_bulk(BM_GFP_KERNEL, 0, NULL) == 0, "none");
	memset(page, 0xff, sizeof(page));
	nr = bm_alloc_pages_bulk(BM_GFP_KERNEL | BM_GFP_ZERO, NR, page);
	want(nr == NR, "%lu of %d pages", nr, NR);
	qsort(page, nr, sizeof(*page), by_address);
	for (i = 0; i < nr; i++) {
		want(i == 0 || page[i] != page[i - 1], "%p came twice", page[i]);
		want(bm_page_order(page[i]) == 0 && zero_at(page[i], PAGE), "%p", page[i]);
		memset(page[i], 1, PAGE);
	}
	for (i = 0; i < nr; i++)
		bm_free_pages(page[i], 0);
	errno = 0;
	want(bm_alloc_pages_bulk(BM_GFP_KERNEL | NO_SUCH_FLAG, NR, page) == 0 && errno == EINVAL, "errno %d", errno);
	verdict("pages in bulk");
}

static void test_contig(void)
{
	static const unsigned long lengths[] = { 1, 511, 512, 1025, 3000 };
	unsigned long i, n;
	char *p;

	for (i = 0; i < API_ARRAY_SIZE(lengths); i++) {
		p = bm_alloc_contig_pages(lengths[i], BM_GFP_KERNEL | BM_GFP_NOWARN, -1);
		if (!want(p != NULL, "%lu pages, errno %d", lengths[i], errno))
			continue;
		memset(p, 1, lengths[i] * PAGE);
		for (n = 0; n < lengths[i]; n++)
			want(bm_page_order(p + n * PAGE) == 0, "page %lu of %lu: order %d", n, lengths[i],
			     bm_page_order(p + n * PAGE));
		bm_free_contig_pages(p, lengths[i]);
		want(bm_page_order(p) == -EINVAL && bm_page_order(p + (lengths[i] - 1) * PAGE) == -EINVAL, "freed");
	}
	verdict("contiguous pages");
}

/*
 * Movable blocks: their user is an array that says where each lies.
 */
#define NR_MOVABLE 2048

static struct movable {
	char *addr;
	int isolated;
} movable[NR_MOVABLE];
static int nr_moved, nr_wrong;

static int isolate(void *addr, void *arg)
{
	struct movable *m = arg;

	nr_wrong += m->addr != addr || m->isolated;
	m->isolated = 1;
	return 0;
}

static int migrate(void *dst, void *src, unsigned int order, void *arg)
{
	struct movable *m = arg;

	nr_wrong += m->addr != src || !m->isolated || order != 0;
	memcpy(dst, src, PAGE << order);
	m->addr = dst;
	m->isolated = 0;
	nr_moved++;
	return 0;
}

static void putback(void *addr, void *arg)
{
	struct movable *m = arg;

	nr_wrong += m->addr != addr || !m->isolated;
	m->isolated = 0;
}

static const struct bm_movable_ops ops = { isolate, migrate, putback };

static void test_movable(void)
{
	struct bm_movable_ops incomplete = ops;
	char *p = wanted_pages(BM_GFP_KERNEL, 0);
	int i, moved;

	want(bm_set_page_movable(NULL, &ops, NULL) == -EINVAL, "NULL");
	want(bm_set_page_movable(p + PAGE / 2, &ops, NULL) == -EINVAL, "not the address of a block");
	incomplete.migrate = NULL;
	want(bm_set_page_movable(p, &incomplete, NULL) == -EINVAL, "no migrate");
	want(bm_set_page_movable(p, &ops, &movable[0]) == 0 && bm_set_page_movable(p, NULL, NULL) == 0, "and back");
	bm_free_pages(p, 0);
	want(bm_set_page_movable(p, &ops, NULL) == -EINVAL, "a free page");
	want(bm_compact_memory(-2) == -EINVAL && bm_compact_memory(1 << 20) == -EINVAL, "nodes that are none");
	verdict("operations that make no sense");

	for (i = 0; i < NR_MOVABLE; i++) {
		movable[i].addr = wanted_pages(BM_GFP_KERNEL | BM_GFP_MOVABLE, 0);
		memset(movable[i].addr, i, PAGE);
		want(bm_set_page_movable(movable[i].addr, &ops, &movable[i]) == 0, "block %d", i);
	}
	/* Three of four go, so that those left lie in four times the memory they need. */
	for (i = 0; i < NR_MOVABLE; i++)
		if (i % 4) {
			bm_free_pages(movable[i].addr, 0);
			movable[i].addr = NULL;
		}
	moved = bm_compact_memory(-1);
	want(moved > 0 && nr_moved > 0 && !nr_wrong, "%d pages moved, %d blocks, %d of them wrongly", moved, nr_moved,
	     nr_wrong);
	for (i = 0; i < NR_MOVABLE; i += 4) {
		p = movable[i].addr;
		want(!movable[i].isolated && bm_page_order(p) == 0 && p[0] == (char)i && p[PAGE - 1] == (char)i,
		     "block %d, at %p now", i, (void *)p);
		bm_free_pages(p, 0);
	}
	verdict("compaction moves blocks by their user's operations");
}

static void test_scopes(void)
{
	unsigned int outer = bm_memalloc_save(BM_SCOPE_NOFS | BM_SCOPE_PIN);
	unsigned int inner = bm_memalloc_save(BM_SCOPE_NOIO | BM_SCOPE_NORECLAIM);
	void *p = wanted_pages(BM_GFP_KERNEL | BM_GFP_MOVABLE, 2);

	bm_memalloc_restore(inner);
	bm_free_pages(p, 2);
	p = wanted_pages(BM_GFP_KERNEL, 2);
	bm_memalloc_restore(outer);
	bm_free_pages(p, 2);
	outer = bm_memalloc_save(BM_SCOPE_NOFS);
	bm_memalloc_restore(outer);
	want(bm_memalloc_save(0) == outer, "nothing is left of a scope that was restored");
	verdict("scopes nest");
}

static void test_mempolicy(void)
{
	unsigned long node0 = 1, none = 0, got[16];
	void *p;
	int mode;

	memset(got, 0xff, sizeof(got));
	want(bm_set_mempolicy(MPOL_BIND, &node0, 64) == 0, "bind");
	want(bm_get_mempolicy(&mode, got, 64) == 0 && mode == MPOL_BIND && got[0] == 1, "mode %d, nodes %#lx", mode,
	     got[0]);
	p = wanted_pages(BM_GFP_KERNEL, 0);
	want(bm_page_node(p) == 0, "node %d", bm_page_node(p));
	bm_free_pages(p, 0);
	want(bm_set_mempolicy(1000, NULL, 0) == -EINVAL && bm_set_mempolicy(-1, NULL, 0) == -EINVAL, "bad modes");
	want(bm_set_mempolicy(MPOL_BIND, &none, 64) == -EINVAL, "bind to nothing");
	want(bm_set_mempolicy(MPOL_INTERLEAVE, NULL, 0) == -EINVAL, "interleave over nothing");
	want(bm_set_mempolicy(MPOL_DEFAULT, &node0, 64) == -EINVAL, "default with nodes");
	want(bm_get_mempolicy(&mode, got, 64) == 0 && mode == MPOL_BIND && got[0] == 1, "as it was before those");
	want(bm_set_mempolicy(MPOL_DEFAULT, NULL, 0) == 0, "default");
	want(bm_get_mempolicy(&mode, NULL, 0) == 0 && mode == MPOL_DEFAULT, "mode %d", mode);
	want(bm_get_mempolicy(NULL, NULL, 0) == 0, "nobody wants to know");
	verdict("memory policy");
}

static void free_foreign(void)
{
	static char data[3 * 4096];

	bm_free_pages((void *)(((uintptr_t)data + PAGE) & -PAGE), 0);
}

static void free_twice(void)
{
	void *p = wanted_pages(BM_GFP_KERNEL, 9);

	bm_free_pages(p, 9);
	bm_free_pages(p, 9);
}

static void free_other_order(void)
{
	bm_free_pages(wanted_pages(BM_GFP_KERNEL, 4), 3);
}

static void free_inside(void)
{
	bm_free_pages((char *)wanted_pages(BM_GFP_KERNEL, 4) + PAGE, 0);
}

static void put_inside_page(void)
{
	bm_put_page((char *)wanted_pages(BM_GFP_KERNEL | BM_GFP_COMP, 0) + 16);
}

static void put_malloc(void)
{
	bm_put_page(malloc(100000));
}

static void malloc_free(void)
{
	free(wanted_pages(BM_GFP_KERNEL, 4));
}

int main(void)
{
	api_prove_served();
	test_orders();
	test_bad_requests();
	test_not_blocks();
	test_zero();
	test_low();
	test_compound();
	test_references();
	test_split();
	test_exact();
	test_bulk();
	test_contig();
	test_movable();
	test_scopes();
	test_mempolicy();
	test_aborts(free_foreign, "not from this heap", "bm_free_pages of what is not ours");
	test_aborts(free_twice, "", "bm_free_pages twice");
	test_aborts(free_other_order, "order 3): the block has order 4", "bm_free_pages with another order");
	test_aborts(free_inside, "no block of pages begins there", "bm_free_pages of a page inside of a block");
	test_aborts(put_inside_page, "inside the block of order 0 at", "bm_put_page of an address inside a page");
	test_aborts(put_malloc, "no block of pages begins there", "bm_put_page of a block of malloc");
	if (api_under_valgrind())
		skip(1, "memcheck says it first");
	else
		test_aborts(malloc_free, "", "free of a page block");
	return done_testing();
}
