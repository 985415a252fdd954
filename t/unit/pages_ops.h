/* SPDX-License-Identifier: MIT */
/*
 * Random operations on the page API, each told to the model.
 */
#ifndef T_UNIT_PAGES_OPS_H
#define T_UNIT_PAGES_OPS_H

#include "pages_expect.h"

#define MAX_RUN 64

static unsigned int random_order(void)
{
	unsigned int dice = rnd(64);

	if (dice < 28)
		return 0;
	if (dice < 58)
		return 1 + rnd(4);
	if (dice < 63)
		return 5 + rnd(4);
	return 9 + rnd(2);
}

static bm_gfp_t random_gfp(unsigned int order)
{
	static const bm_gfp_t base[] = { BM_GFP_KERNEL,
					 BM_GFP_KERNEL,
					 BM_GFP_USER,
					 BM_GFP_ATOMIC,
					 BM_GFP_NOWAIT,
					 BM_GFP_NOIO,
					 BM_GFP_NOFS,
					 0,
					 BM_GFP_USER | BM_GFP_NORETRY };
	static const bm_gfp_t place[] = { BM_GFP_MOVABLE, BM_GFP_MOVABLE, BM_GFP_RECLAIMABLE, BM_GFP_DMA32,
					  BM_GFP_DMA32 | BM_GFP_MOVABLE };
	static const bm_gfp_t more[] = { BM_GFP_HIGH,	 BM_GFP_MEMALLOC, BM_GFP_NOMEMALLOC,
					 BM_GFP_NORETRY, BM_GFP_COMP,	  BM_GFP_ACCOUNT,
					 BM_GFP_WRITE,	 BM_GFP_HARDWALL, BM_GFP_RETRY_MAYFAIL };
	bm_gfp_t gfp = base[rnd(ARRAY_SIZE(base))];

	if (order == PAGEBLOCK_ORDER && rnd(2))
		return BM_GFP_TRANSHUGE;
	if (rnd(2))
		gfp |= place[rnd(ARRAY_SIZE(place))];
	while (rnd(3) == 0)
		gfp |= more[rnd(ARRAY_SIZE(more))];
	if (rnd(8) == 0)
		gfp |= BM_GFP_COMP;
	if (rnd(order > 5 ? 32 : 4) == 0)
		gfp |= BM_GFP_ZERO;
	if (rnd(16) == 0)
		gfp |= BM_GFP_THISNODE;
	if (rnd(8) == 0 && !set->fails && order < 2 && gfp & BM_GFP_DIRECT_RECLAIM && !uses_reserve(gfp) &&
	    !(gfp & (BM_GFP_NORETRY | BM_GFP_RETRY_MAYFAIL | BM_GFP_THISNODE | BM_GFP_DMA32)))
		gfp |= BM_GFP_NOFAIL;
	/* What may well be nowhere. */
	if (set->fails || gfp & (BM_GFP_DMA32 | BM_GFP_THISNODE))
		gfp |= BM_GFP_NOWARN;
	return gfp;
}

static int random_node(void)
{
	return (int)rnd(topology.nr_nodes + 1) - 1;
}

static void do_alloc(void)
{
	unsigned int order = random_order();
	bm_gfp_t gfp = random_gfp(order);
	bool by_policy = rnd(2);
	int nid = by_policy ? -1 : random_node();
	void *addr;

	errno = 0;
	addr = by_policy ? bm_alloc_pages(gfp, order) : bm_alloc_pages_node(nid, gfp, order);
	if (!addr) {
		failure_ok(gfp, order, nid, by_policy, errno);
		return;
	}
	must(errno == 0, "errno %d of a call that did", errno);
	block_stamp(served(addr, order, gfp, nid, by_policy));
}

/* Drop a reference, by one function or the other; the block may be gone after that. */
static void block_put(struct block *b)
{
	char *addr = b->addr, *any = addr;
	unsigned int order = b->order;
	bool by_put = rnd(2);

	block_verify(b);
	if (by_put && is_compound(b))
		any += rnd(block_bytes(b));
	if (--b->refs == 0)
		block_forget(b);
	if (by_put)
		bm_put_page(any);
	else
		bm_free_pages(addr, order);
	if (!b->live)
		must(bm_page_order(addr) == -EINVAL && bm_page_node(addr) == -EINVAL, "%p is free and of order %d",
		     addr, bm_page_order(addr));
	else
		block_verify(b);
}

static void do_free(void)
{
	struct block *b = block_any();

	if (b)
		block_put(b);
}

static void do_get(void)
{
	struct block *b = block_any();

	if (!b || b->refs > 3)
		return;
	bm_get_page(is_compound(b) ? b->addr + rnd(block_bytes(b)) : b->addr);
	b->refs++;
	block_verify(b);
}

/* Single pages side by side; they are written to, but not all of them. */
static void run_new(char *addr, unsigned long nr, bm_gfp_t gfp, int nid, bool by_policy)
{
	for (unsigned long i = 0; i < nr; i++) {
		struct block *b = served(addr + i * PAGE_SIZE, 0, gfp, nid, by_policy);

		if (i == 0 || i == nr - 1 || rnd(32) == 0)
			block_stamp(b);
	}
}

static void do_exact(void)
{
	size_t size = 1 + rnd(rnd(8) ? 64 * PAGE_SIZE : 4 * MiB);
	unsigned long nr = size_to_pages(size);
	bm_gfp_t gfp = random_gfp(order_for_pages(nr)) & ~(BM_GFP_COMP | BM_GFP_NOFAIL);
	void *addr;

	errno = 0;
	addr = bm_alloc_pages_exact(size, gfp);
	if (addr)
		run_new(addr, nr, gfp, -1, true);
	else
		failure_ok(gfp, order_for_pages(nr), -1, true, errno);
}

static void do_contig(void)
{
	unsigned long nr = 1 + rnd(rnd(8) ? 600 : 2200);
	bm_gfp_t gfp = BM_GFP_KERNEL | BM_GFP_NOWARN;
	int nid = random_node();
	void *addr;

	if (rnd(2))
		gfp |= rnd(2) ? BM_GFP_THISNODE : BM_GFP_ZERO;
	errno = 0;
	addr = bm_alloc_contig_pages(nr, gfp, nid);
	if (addr)
		run_new(addr, nr, gfp | BM_GFP_MOVABLE, nid, nid < 0);
	else
		must(errno == ENOMEM, "errno %d", errno);
}

static void do_bulk(void)
{
	unsigned long nr = rnd(MAX_RUN) + 1, i, got;
	bm_gfp_t gfp = random_gfp(0) & ~(BM_GFP_COMP | BM_GFP_NOFAIL);
	void *array[MAX_RUN];

	memset(array, 0xa5, sizeof(array));
	errno = 0;
	got = bm_alloc_pages_bulk(gfp, nr, array);
	must(got <= nr, "%lu of %lu", got, nr);
	for (i = 0; i < got; i++)
		block_stamp(served(array[i], 0, gfp, -1, true));
	if (!got)
		failure_ok(gfp, 0, -1, true, errno);
}

static void do_split(void)
{
	struct block *b = block_any();
	unsigned int order;
	char *addr;

	if (!b || !b->order || b->refs > 1 || b->movable || is_compound(b) || (b->order > 6 && rnd(16)) ||
	    nr_live + (1U << b->order) > NR_BLOCKS / 2)
		return;
	block_verify(b);
	order = b->order;
	addr = b->addr;
	bm_split_page(addr, order);
	block_forget(b);
	for (unsigned long i = 0; i < 1UL << order; i++) {
		struct block *page = block_add(addr + i * PAGE_SIZE, 0, b->gfp, b->nid);

		block_verify(page);
		if (rnd(8) == 0)
			block_stamp(page);
	}
}

/* The block that begins at addr, if it is a single page that may go with its neighbours. */
static struct block *single_at(const char *addr)
{
	uint16_t number = frame_exists(addr) ? *frame_of(addr) : 0;
	struct block *b = number ? &blocks[number - 1] : NULL;

	return b && !b->order && b->refs == 1 && !b->movable ? b : NULL;
}

/* Single pages side by side are freed together, however they came. */
static void do_free_run(void)
{
	struct block *b = block_any();
	unsigned long nr = 0, max = 1 + rnd(rnd(4) ? 40 : 3000);
	char *addr;

	if (!b)
		return;
	for (addr = b->addr; nr < max && (b = single_at(addr + nr * PAGE_SIZE)); nr++) {
		if (zone_of(addr) != zone_of(b->addr))
			break;
		block_verify(b);
		block_forget(b);
	}
	if (!nr)
		return;
	if (nr * PAGE_SIZE <= 4 * MiB && rnd(2))
		bm_free_pages_exact(addr, nr * PAGE_SIZE - rnd(PAGE_SIZE));
	else
		bm_free_contig_pages(addr, nr);
	must(bm_page_order(addr) == -EINVAL && bm_page_order(addr + (nr - 1) * PAGE_SIZE) == -EINVAL);
}

static void do_movable(void)
{
	struct block *b = block_any();
	int err;

	if (!b || b->order > 5)
		return;
	if (b->movable && rnd(4) == 0) {
		must(!bm_set_page_movable(b->addr, NULL, NULL));
		b->movable = false;
		/* It may have been moved to where all are movable, and so will its parts be when it is split. */
		if (zone_of(b->addr)->idx == ZONE_MOVABLE)
			b->gfp |= BM_GFP_MOVABLE;
		return;
	}
	err = bm_set_page_movable(b->addr, &model_ops, b);
	must(!err || (err == -ENOMEM && failing), "error %d", err); /* nothing is being moved just now */
	b->movable |= !err;
}

static void do_compact(void)
{
	unsigned long before = model_moves;
	int nid = random_node(), moved;

	moved = bm_compact_memory(nid);
	must(moved >= 0 && (unsigned long)moved >= model_moves - before, "%d moved, of that %lu blocks", moved,
	     model_moves - before);
}

#endif
