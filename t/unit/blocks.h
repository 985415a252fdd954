/* SPDX-License-Identifier: MIT */
/*
 * Blocks by their addresses, for tests that look at what is in them.
 */
#ifndef T_UNIT_BLOCKS_H
#define T_UNIT_BLOCKS_H

#include "mm/page_alloc.h"
#include "model.h"

TAP_UNUSED void *take_block(gfp_t gfp, unsigned int order)
{
	struct page *page = alloc_pages(gfp, order);

	must(page, "order %u", order);
	return page_to_addr(page);
}

TAP_UNUSED struct page *page_of(const void *addr)
{
	return pfn_to_page(addr_to_pfn(addr));
}

TAP_UNUSED void give(void *addr, unsigned int order)
{
	free_pages(page_of(addr), order);
}

#endif
