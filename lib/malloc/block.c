/* SPDX-License-Identifier: MIT */
/*
 * Looking a pointer up, and the messages about bad ones.
 */
#include "malloc/block.h"

#include "slab/slab.h"

struct block block_of(const void *addr)
{
	struct block b = { BLOCK_FOREIGN, NULL, NULL, 0 };
	unsigned long pfn = addr_to_pfn(addr), index;
	struct page *page;
	size_t offset;

	if (!pfn_valid(pfn))
		return b;
	page = slab_of(addr, &index, &offset);
	if (page) {
		b.page = page;
		b.size = kmem_caches[page->cache].size;
		b.start = (char *)addr - offset;
		if (!offset && index < READ_ONCE(page->carved))
			b.kind = BLOCK_SLAB;
		return b;
	}
	page = pfn_to_page(pfn);
	if (page_type(page) != PAGE_RUN && page_type(page) != PAGE_HUGE)
		return b;
	b.page = page;
	b.start = pfn_to_addr(pfn);
	b.size = page->nr_pages << PAGE_SHIFT;
	if (b.start == addr)
		b.kind = page_type(page) == PAGE_RUN ? BLOCK_RUN : BLOCK_HUGE;
	return b;
}

void block_report_foreign(const char *what, const void *addr)
{
	struct block b = block_of(addr);

	if (b.kind != BLOCK_FOREIGN)
		bm_misuse("%s(%p): the block of %zu bytes is free already", what, addr, b.size);
	else if (b.start)
		bm_misuse("%s(%p): invalid pointer: %zu bytes into the block of %zu bytes at %p", what, addr,
			  (size_t)((const char *)addr - (char *)b.start), b.size, b.start);
	else if (pfn_valid(addr_to_pfn(addr)))
		bm_misuse("%s(%p): invalid pointer, or freed before: in the heap, but no block begins there", what,
			  addr);
	else
		bm_misuse("%s(%p): invalid pointer: not from this heap", what, addr);
}

_Noreturn void block_report_double_free(const void *addr)
{
	report_double_free(addr, block_of(addr).size);
}
