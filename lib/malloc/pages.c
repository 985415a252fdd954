/* SPDX-License-Identifier: MIT */
/*
 * The page API: addresses for struct pages, bad arguments told, the short way for single pages.
 */
#include <errno.h>
#include <string.h>

#include "base/message.h"
#include "buddymalloc.h"
#include "malloc/heap.h"
#include "mm/buddy.h"
#include "mm/compaction.h"
#include "mm/internal.h"
#include "mm/migrate.h"
#include "mm/owner.h"
#include "mm/page_alloc.h"
#include "mm/page_isolation.h"
#include "mm/pcp.h"

static void *fail(int err)
{
	errno = err;
	return NULL;
}

static bool gfp_valid(bm_gfp_t gfp)
{
	return !(gfp & ~GFP_PUBLIC_BITS) && (gfp & GFP_MOVABLE_MASK) != GFP_MOVABLE_MASK;
}

static bool nid_valid(int nid)
{
	return nid >= 0 && nid < (int)topology.nr_nodes &&
	       node_isset(nid, topology.node_has_memory | topology.node_has_cpu);
}

/* For a node without memory: the nearest that has some; -1: it is to be that node or none. */
static int nid_with_memory(int nid, bm_gfp_t gfp)
{
	if (NODE_DATA(nid))
		return nid;
	return gfp & GFP_THISNODE ? -1 : nearest_node_with_memory(nid);
}

/* A block, or nr single pages side by side, for the program; once owners are charged, for one that has room for them.
 */
static void *give_out(struct page *page, unsigned long nr, unsigned int order, bm_gfp_t gfp)
{
	if (likely(!READ_ONCE(owner_accounting)) || !owner_charge_blocks(page, nr, order, gfp))
		return page_to_addr(page);
	if (order)
		free_pages(page, order);
	else
		free_contig_range(page_to_pfn(page), nr); /* an area of CMA may have lent them */
	return fail(ENOMEM);
}

static noinline void *alloc_pages_slow(bm_gfp_t gfp, unsigned int order)
{
	struct page *page;

	if (likely(gfp < data_race(gfp_api_limit) && order < MAX_ORDER && !(gfp & GFP_COMP))) {
		if (!pcp_allowed_order(order) || !alloc_block_fast(order, &page))
			page = alloc_pages_fast(order);
		if (likely(page)) {
			trace_mm_page_alloc(page_to_window_addr(page), order, gfp, MIGRATE_UNMOVABLE);
			return page_to_window_addr(page);
		}
	}
	if (!gfp_valid(gfp))
		return fail(EINVAL);
	if (!heap_init())
		return fail(ENOMEM);
	page = alloc_pages(gfp, order);
	if (page)
		return give_out(page, 1, order, gfp);
	return fail(order < MAX_ORDER ? ENOMEM : EINVAL);
}

void *bm_alloc_pages(bm_gfp_t gfp, unsigned int order)
{
	struct page *page;
	void *addr;

	if (unlikely(gfp >= data_race(gfp_api_limit)) || unlikely(order) || unlikely(!alloc_block_fast(0, &page)))
		return alloc_pages_slow(gfp, order);
	addr = page_to_window_addr(page);
	trace_mm_page_alloc_fast(addr, 0, gfp, MIGRATE_UNMOVABLE);
	return addr;
}

void *bm_alloc_pages_node(int nid, bm_gfp_t gfp, unsigned int order)
{
	struct page *page;

	if (!heap_init())
		return fail(ENOMEM);
	if (nid == -1)
		nid = numa_node_id();
	if (!nid_valid(nid) || !gfp_valid(gfp))
		return fail(EINVAL);
	nid = nid_with_memory(nid, gfp);
	page = nid < 0 ? NULL : alloc_pages_nodemask(gfp, order, nid, NULL);
	if (page)
		return give_out(page, 1, order, gfp);
	return fail(order < MAX_ORDER ? ENOMEM : EINVAL);
}

/* The descriptor of an allocated block that begins at addr; NULL: none does. */
static struct page *block_page(const void *addr)
{
	unsigned long pfn = virt_to_pfn(addr);
	struct page *page;

	if (!pfn_online(pfn) || !is_aligned((uintptr_t)addr, PAGE_SIZE))
		return NULL;
	page = pfn_to_page(pfn);
	return page_type(page) == PAGE_HEAD && READ_ONCE(page->refcount) ? page : NULL;
}

/* The same for any address inside a compound one. */
static struct page *block_page_inside(const void *addr)
{
	unsigned long pfn = virt_to_pfn(addr);
	struct page *page;

	if (!pfn_online(pfn))
		return NULL;
	page = block_page((const void *)align_down((uintptr_t)addr, PAGE_SIZE));
	if (page)
		return is_aligned((uintptr_t)addr, PAGE_SIZE) || page->flags & PG_COMPOUND ? page : NULL;
	page = compound_head(pfn_to_page(pfn));
	/* A stale tail may point anywhere: believe only a compound block that reaches this far. */
	if (!pfn_online(page_to_pfn(page)) || page_type(page) != PAGE_HEAD || !READ_ONCE(page->refcount) ||
	    !(page->flags & PG_COMPOUND) || pfn - page_to_pfn(page) >= 1UL << page->order)
		return NULL;
	return page;
}

/* What is wrong with addr, said as free() says it. */
static cold void report_bad_page(const char *what, const void *addr, unsigned int order)
{
	struct page *page = block_page_inside(addr);
	unsigned long pfn = virt_to_pfn(addr);

	if (!page)
		page = block_page((const void *)align_down((uintptr_t)addr, PAGE_SIZE));
	if (page && page_to_addr(page) == addr)
		bm_misuse("%s(%p, order %u): the block has order %u", what, addr, order, page->order);
	else if (page)
		bm_misuse("%s(%p): inside the block of order %u at %p", what, addr, page->order, page_to_addr(page));
	else if (pfn_online(pfn) &&
		 (page_type(pfn_to_page(pfn)) == PAGE_BUDDY || page_type(pfn_to_page(pfn)) == PAGE_HEAD))
		bm_misuse("%s(%p): the pages are free already", what, addr);
	else if (pfn_online(pfn))
		bm_misuse("%s(%p): invalid address: no block of pages begins there", what, addr);
	else
		bm_misuse("%s(%p): invalid address: not from this heap", what, addr);
}

static noinline void free_pages_slow(void *addr, unsigned int order)
{
	struct page *page = block_page(addr);

	if (!addr)
		return;
	if (!page || page->order != order)
		report_bad_page("bm_free_pages", addr, order);
	else if (pcp_allowed_order(order) && free_block_fast(page, order))
		trace_mm_page_free(addr, order);
	else
		free_pages(page, order);
}

void bm_free_pages(void *addr, unsigned int order)
{
	unsigned long offset = (uintptr_t)addr - vmemmap.base;

	/* Of the descriptor in the map: a page's is 128 times smaller. Rotated, so that what is no multiple is a number
	 * too large; what is one of 128 alone is not found to look like a page. */
	offset = offset >> 7 | offset << 57;
	if (likely(!order) && likely(offset < data_race(vmemmap.map_size)) &&
	    likely(free_block_fast((struct page *)((char *)vmemmap.map + offset), 0)))
		trace_mm_page_free_fast(addr, 0);
	else
		free_pages_slow(addr, order);
}

#define EXACT_SIZE_MAX (PAGE_SIZE << (MAX_ORDER - 1))

void *bm_alloc_pages_exact(size_t size, bm_gfp_t gfp)
{
	unsigned long nr = size_to_pages(size);
	struct page *page;

	if (!size || size > EXACT_SIZE_MAX || !gfp_valid(gfp) || gfp & GFP_COMP)
		return fail(EINVAL);
	if (!heap_init())
		return fail(ENOMEM);
	page = alloc_pages_exact(gfp, nr, order_for_pages(nr));
	if (!page)
		return fail(ENOMEM);
	split_page_range(page, nr);
	return give_out(page, nr, 0, gfp);
}

/* nr single pages from addr on; what is none of them is reported and passed over. */
static void free_single_pages(const char *what, void *addr, unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++) {
		void *at = (char *)addr + (i << PAGE_SHIFT);
		struct page *page = block_page(at);

		if (!page || page->order)
			report_bad_page(what, at, 0);
		else
			free_pages(page, 0);
	}
}

void bm_free_pages_exact(void *addr, size_t size)
{
	/* A size that cannot be meant: none of what it would reach is freed. */
	if (addr && size > EXACT_SIZE_MAX)
		bm_misuse("bm_free_pages_exact(%p, %zu): at most %lu bytes are one allocation", addr, size,
			  EXACT_SIZE_MAX);
	else if (addr)
		free_single_pages("bm_free_pages_exact", addr, size_to_pages(size));
}

unsigned long bm_alloc_pages_bulk(bm_gfp_t gfp, unsigned long nr, void **array)
{
	struct page **pages = (struct page **)array;
	unsigned long n, i, rest;

	if (!array || !gfp_valid(gfp)) {
		errno = EINVAL;
		return 0;
	}
	if (!heap_init()) {
		errno = ENOMEM;
		return 0;
	}
	n = alloc_pages_bulk(gfp, nr, pages);
	for (i = 0; i < n && (array[i] = give_out(pages[i], 1, 0, gfp)); i++)
		;
	for (rest = i + 1; rest < n; rest++)
		free_pages(pages[rest], 0);
	if (i < nr)
		errno = ENOMEM;
	return i;
}

void *bm_alloc_contig_pages(unsigned long nr_pages, bm_gfp_t gfp, int nid)
{
	struct page *page;

	if (!nr_pages || nr_pages > HEAP_SIZE_MAX >> PAGE_SHIFT || !gfp_valid(gfp) ||
	    gfp & (GFP_COMP | GFP_NOFAIL | GFP_DMA32))
		return fail(EINVAL);
	if (!heap_init())
		return fail(ENOMEM);
	if (nid != -1 && !nid_valid(nid))
		return fail(EINVAL);
	if (nid != -1 && (nid = nid_with_memory(nid, gfp)) < 0)
		return fail(ENOMEM);
	page = alloc_contig_pages(nr_pages, gfp, nid, NULL);
	return page ? give_out(page, nr_pages, 0, gfp) : fail(ENOMEM);
}

void bm_free_contig_pages(void *addr, unsigned long nr_pages)
{
	unsigned long pfn = virt_to_pfn(addr), i;

	if (!addr)
		return;
	for (i = 0; i < nr_pages; i++) {
		struct page *page = block_page((char *)addr + (i << PAGE_SHIFT));

		if (!page || page->order) {
			report_bad_page("bm_free_contig_pages", (char *)addr + (i << PAGE_SHIFT), 0);
			return;
		}
	}
	free_contig_range(pfn, nr_pages);
}

void bm_get_page(void *addr)
{
	struct page *page = block_page_inside(addr);

	if (page)
		__atomic_add_fetch(&page->refcount, 1, __ATOMIC_RELAXED);
	else
		report_bad_page("bm_get_page", addr, 0);
}

void bm_put_page(void *addr)
{
	struct page *page = block_page_inside(addr);

	if (page)
		free_pages(page, page->order);
	else
		report_bad_page("bm_put_page", addr, 0);
}

void bm_split_page(void *addr, unsigned int order)
{
	struct page *page = block_page(addr);

	if (!page || page->order != order || page->flags & (PG_COMPOUND | PG_MOVABLE))
		report_bad_page("bm_split_page", addr, order);
	else
		split_page(page, order);
}

int bm_page_node(const void *addr)
{
	struct page *page = block_page_inside(addr);

	return page ? page_to_nid(page) : -EINVAL;
}

int bm_page_order(const void *addr)
{
	struct page *page = block_page_inside(addr);

	return page ? page->order : -EINVAL;
}

int bm_set_page_movable(void *addr, const struct bm_movable_ops *ops, void *arg)
{
	struct page *page = block_page(addr);

	if (!page || (ops && (!ops->isolate || !ops->migrate || !ops->putback)))
		return -EINVAL;
	return set_page_movable(page, ops, arg);
}

int bm_compact_memory(int nid)
{
	if (!heap_init())
		return -ENOMEM;
	if (nid != -1 && !nid_valid(nid))
		return -EINVAL;
	if (nid != -1 && !NODE_DATA(nid))
		return 0;
	return (int)min_ul(compact_node(nid), INT32_MAX);
}
