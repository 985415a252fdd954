/* SPDX-License-Identifier: MIT */
/*
 * A model of the page API, of plain arrays: which page frames are allocated and to which block; of each block its
 * order, references, flags and what was written at its ends. Whatever the allocator hands out, moves or takes back is
 * told to the model, which says where the two do not agree.
 */
#ifndef T_UNIT_PAGES_MODEL_H
#define T_UNIT_PAGES_MODEL_H

#include <errno.h>

#include "buddymalloc.h"
#include "mm/debug.h"
#include "mm/internal.h"
#include "model.h"

#define NR_BLOCKS 16384U
#define NR_FRAMES (1UL << 20)

struct block {
	char *addr;
	uint64_t stamp;
	bm_gfp_t gfp;
	uint32_t refs;
	uint32_t at; /* live[at] is this one */
	int nid;     /* it must be there until it moves; -1: anywhere */
	uint8_t order;
	uint8_t zone; /* number of the one it lies in */
	bool live, stamped;
	bool movable;  /* has operations */
	bool isolated; /* between isolate and migrate or putback */
};

static struct block blocks[NR_BLOCKS];
static uint32_t live[NR_BLOCKS], nr_live; /* numbers of blocks in use, then those of the others */
static unsigned long model_pages;	  /* in all of them */
static unsigned long zone_pages[MAX_NUMNODES * MAX_NR_ZONES];
static unsigned long model_moves; /* blocks that changed their place */

/* Block number + 1 of each page frame, 0: free. Frames of the window, and those below 4 GiB. */
static uint16_t frame_high[NR_FRAMES], frame_low[NR_FRAMES];
/* Census: how often each page frame was met. */
static uint8_t seen_high[NR_FRAMES], seen_low[NR_FRAMES];

/* Not of the window, but below 4 GiB. */
TAP_UNUSED bool is_low(const void *addr)
{
	return pfn_is_low(virt_to_pfn(addr));
}

TAP_UNUSED unsigned long frame_number(const void *addr)
{
	return ((uintptr_t)addr - (is_low(addr) ? 0 : vmemmap.base)) >> PAGE_SHIFT;
}

TAP_UNUSED bool frame_exists(const void *addr)
{
	return frame_number(addr) < NR_FRAMES;
}

TAP_UNUSED uint16_t *frame_of(const void *addr)
{
	must(frame_exists(addr), "%p is not where the heap should be", addr);
	return (is_low(addr) ? frame_low : frame_high) + frame_number(addr);
}

TAP_UNUSED uint8_t *seen_of(const void *addr)
{
	must(frame_exists(addr), "%p is not where the heap should be", addr);
	return (is_low(addr) ? seen_low : seen_high) + frame_number(addr);
}

TAP_UNUSED void model_reset(void)
{
	for (uint32_t i = 0; i < NR_BLOCKS; i++)
		live[i] = i;
}

TAP_UNUSED size_t block_bytes(const struct block *b)
{
	return PAGE_SIZE << b->order;
}

/* Any address inside stands for it. */
TAP_UNUSED bool is_compound(const struct block *b)
{
	return b->order && b->gfp & BM_GFP_COMP;
}

TAP_UNUSED uint16_t block_number(const struct block *b)
{
	return (uint16_t)(b - blocks + 1);
}

/* The last word tells blocks of different orders apart. */
TAP_UNUSED uint64_t last_word(const struct block *b)
{
	return b->stamp ^ (0x0101010101010101 * (b->order + 1U));
}

TAP_UNUSED void block_stamp(struct block *b)
{
	uint64_t last;

	b->stamp = rnd64();
	last = last_word(b);
	memcpy(b->addr, &b->stamp, 8);
	memcpy(b->addr + block_bytes(b) - 8, &last, 8);
	b->stamped = true;
}

/* What both know of a block is the same. */
TAP_UNUSED void block_verify(const struct block *b)
{
	uint64_t last = last_word(b);
	int nid = bm_page_node(b->addr), order = bm_page_order(b->addr);

	must(b->live && !b->isolated, "block %p", b->addr);
	must(order == b->order, "block %p of order %u: it says %d", b->addr, b->order, order);
	must(!(pfn_to_page(virt_to_pfn(b->addr))->flags & PG_MOVABLE) == !b->movable, "block %p is%s to be movable",
	     b->addr, b->movable ? "" : " not");
	must(nid >= 0 && (b->nid < 0 || nid == b->nid), "block %p of node %d: it says %d", b->addr, b->nid, nid);
	if (!b->stamped)
		return;
	must(!memcmp(b->addr, &b->stamp, 8), "first bytes of %p, order %u, gfp %#x", b->addr, b->order, b->gfp);
	must(!memcmp(b->addr + block_bytes(b) - 8, &last, 8), "last bytes of %p, order %u, gfp %#x", b->addr, b->order,
	     b->gfp);
}

TAP_UNUSED struct zone *zone_of(const void *addr)
{
	return pfn_to_zone(virt_to_pfn(addr));
}

/* Frames that were one's are another's; 0 is nobody. */
TAP_UNUSED void frames_set(const struct block *b, uint16_t from, uint16_t to)
{
	uint16_t *frame = frame_of(b->addr);

	for (unsigned long i = 0; i < 1UL << b->order; i++) {
		must(frame[i] == from, "page %lu of %p, order %u, is that of block %u, not %u", i, b->addr, b->order,
		     frame[i], from);
		frame[i] = to;
	}
}

/* The block lies at addr, where nothing else does. */
TAP_UNUSED void block_place(struct block *b, void *addr)
{
	const struct zone *zone = zone_of(addr);

	must(is_aligned((uintptr_t)addr, block_bytes(b)), "%p is not aligned to order %u", addr, b->order);
	must(!(b->gfp & BM_GFP_DMA32) || (uintptr_t)addr + block_bytes(b) <= LOW_END, "%p is not below 4 GiB", addr);
	must(zone->idx == ZONE_DMA32 ? is_low(addr) : !is_low(addr), "%p is in zone %s", addr, zone_name(zone));
	must(zone->idx <= gfp_zone(b->gfp) || b->movable, "%p, gfp %#x, is in zone %s", addr, b->gfp, zone_name(zone));
	b->addr = addr;
	b->zone = zone->zone_id;
	frames_set(b, 0, block_number(b));
	zone_pages[b->zone] += 1UL << b->order;
}

TAP_UNUSED void block_unplace(struct block *b)
{
	frames_set(b, block_number(b), 0);
	zone_pages[b->zone] -= 1UL << b->order;
}

TAP_UNUSED struct block *block_add(void *addr, unsigned int order, bm_gfp_t gfp, int nid)
{
	struct block *b = &blocks[live[nr_live]];

	must(nr_live < NR_BLOCKS - 1 && !b->live);
	*b = (struct block){
		.gfp = gfp, .refs = 1, .nid = nid, .order = (uint8_t)order, .live = true, .at = nr_live++
	};
	block_place(b, addr);
	model_pages += 1UL << order;
	return b;
}

TAP_UNUSED void block_forget(struct block *b)
{
	uint32_t number = live[b->at], last = live[nr_live - 1];

	block_unplace(b);
	model_pages -= 1UL << b->order;
	live[b->at] = last;
	blocks[last].at = b->at;
	live[--nr_live] = number;
	b->live = false;
}

/* A block that was allocated as asked: check all that was promised of it. */
TAP_UNUSED struct block *block_new(void *addr, unsigned int order, bm_gfp_t gfp, int nid)
{
	struct block *b = block_add(addr, order, gfp, nid);

	if (gfp & BM_GFP_ZERO || page_debug & DEBUG_INIT_ON_ALLOC)
		must(all_zero(addr, block_bytes(b)), "%p of order %u, gfp %#x, does not read as zero", addr, order,
		     gfp);
	if (is_compound(b)) {
		char *inside = (char *)addr + rnd(block_bytes(b));

		must(bm_page_order(inside) == (int)order, "%p inside of %p: order %d", (void *)inside, addr,
		     bm_page_order(inside));
		must(bm_page_node(inside) == bm_page_node(addr));
	}
	block_verify(b);
	return b;
}

/* Any block in use. */
TAP_UNUSED struct block *block_any(void)
{
	return nr_live ? &blocks[live[rnd(nr_live)]] : NULL;
}

/* The user of the movable blocks: what is called to move one. It says no now and then. */
TAP_UNUSED struct block *moved_block(void *addr, void *arg)
{
	struct block *b = arg;

	must(b >= blocks && b < blocks + NR_BLOCKS && b->live && b->movable, "%p moves, and is not to be moved", addr);
	must(b->addr == addr, "%p moves, and its user knows it as %p", addr, b->addr);
	return b;
}

TAP_UNUSED int model_isolate(void *addr, void *arg)
{
	struct block *b = moved_block(addr, arg);

	must(!b->isolated, "%p is isolated twice", addr);
	if (b->refs > 1 || rnd(16) == 0)
		return -EBUSY;
	b->isolated = true;
	return 0;
}

TAP_UNUSED int model_migrate(void *dst, void *src, unsigned int order, void *arg)
{
	struct block *b = moved_block(src, arg);

	must(b->isolated && order == b->order, "%p of order %u", src, order);
	if (rnd(16) == 0)
		return -EAGAIN;
	memcpy(dst, src, block_bytes(b));
	block_unplace(b);
	block_place(b, dst);
	b->nid = -1;
	b->isolated = false;
	model_moves++;
	return 0;
}

TAP_UNUSED void model_putback(void *addr, void *arg)
{
	struct block *b = moved_block(addr, arg);

	must(b->isolated, "%p", addr);
	b->isolated = false;
}

static const struct bm_movable_ops model_ops = { model_isolate, model_migrate, model_putback };

#endif
