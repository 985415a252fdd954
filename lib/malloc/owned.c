/* SPDX-License-Identifier: MIT */
/*
 * Named owners have slabs of their own; runs, huge blocks and pages come from where all do, charged to the owner.
 */
#include "malloc/owned.h"

#include "malloc/heap.h"
#include "malloc/huge.h"
#include "mm/page_alloc.h"
#include "slab/owner_cache.h"
#include "slab/run.h"

static void *alloc_object(struct owner *o, unsigned int class)
{
	void *p;

	if (likely(o))
		return owner_cache_alloc(o, class);
	p = tcache_alloc(class);
	return p ? p : tcache_alloc_slow(class);
}

void *owned_alloc(struct owner *o, size_t size, size_t align, bool *zeroed, size_t *bytes)
{
	struct owner *saved = owner_assume(o);
	size_t most = max_ul(size, align);
	unsigned int class = NO_CLASS;
	void *p;

	*zeroed = false;
	current->at_limit = false;
	if (likely(most <= SLAB_SIZE_MAX)) {
		class = align ? size_to_class_aligned(align, aligned_last(align, most) + 1) : size_to_class(most);
		p = alloc_object(o, class);
	} else if (most <= RUN_SIZE_MAX) {
		class = size_to_class(max_ul(size, SLAB_SIZE_MAX + 1));
		p = run_alloc(class, align > PAGE_SIZE ? order_for_pages(align >> PAGE_SHIFT) : 0, zeroed);
	} else {
		p = huge_alloc(size, align, zeroed);
	}
	owner_assume(saved);
	*bytes = class ? class_size(class) : align_up(size, PAGE_SIZE);
	return p;
}

bool owned_free(const struct block *b)
{
	struct owner *o = b->kind != BLOCK_FOREIGN ? page_named_owner(b->page) : NULL;

	if (!o)
		return false;
	if (b->kind == BLOCK_SLAB && !owner_cache_free(o, b->page, b->start))
		block_report_double_free(b->start);
	if (b->kind == BLOCK_RUN)
		run_free(b->start);
	else if (b->kind == BLOCK_HUGE)
		huge_free(b->page);
	return true;
}

void owned_destroy(struct owner *o)
{
	struct page *page;

	owner_cache_destroy(o);
	while ((page = owner_pop_block(o)))
		switch (page_type(page)) {
		case PAGE_RUN:
			run_free(page_to_window_addr(page));
			break;
		case PAGE_HUGE:
			huge_free(page);
			break;
		default:
			free_the_page(page, page->order);
		}
}
