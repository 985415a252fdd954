/* SPDX-License-Identifier: MIT */
/*
 * The slow half of malloc, free and their kin.
 */
#include "malloc/heap.h"

#include <errno.h>
#include <string.h>

#include "base/annotate.h"
#include "malloc/block.h"
#include "malloc/huge.h"
#include "malloc/memcheck.h"
#include "mm/page_alloc.h"
#include "slab/run.h"

/* Blocks that shrink keep their place while this share of them is still used. */
#define SHRINK_IN_PLACE 2

const struct heap_forward *heap_forward;

static void *out_of_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

/* Bring home what caches hold, and give back what is free; true if that was anything. */
static cold bool reclaim(void)
{
	tcache_flush();
	slab_reclaim();
	return mm_trim(0) > 0;
}

static void *alloc_class(unsigned int class)
{
	void *p = tcache_alloc(class);

	if (likely(p))
		return p;
	p = tcache_alloc_slow(class);
	if (unlikely(!p) && reclaim())
		p = tcache_alloc_slow(class);
	return p;
}

static void *alloc_huge(size_t size, size_t align, bool *zeroed)
{
	void *p;

	if (size > HEAP_SIZE_MAX)
		return NULL;
	p = huge_alloc(size, align, zeroed);
	if (unlikely(!p) && reclaim())
		p = huge_alloc(size, align, zeroed);
	return p;
}

static cold void *alloc_memcheck(size_t size, size_t align, bool zero)
{
	void *p = memcheck_alloc(size, align, zero);

	return p ? p : out_of_memory();
}

void *heap_malloc_slow(size_t size, unsigned long class)
{
	void *p;

	if (unlikely(heap_forward))
		return heap_forward->malloc(size);
	if (unlikely(!heap_init()))
		return out_of_memory();
	if (unlikely(annotate_listening))
		return alloc_memcheck(size, 0, false);
	p = alloc_class((unsigned int)class);
	return likely(p) ? p : out_of_memory();
}

void *heap_malloc_large(size_t size)
{
	bool zeroed;
	void *p;

	if (likely(size <= RUN_SIZE_MAX)) {
		unsigned int class = size_to_class_computed(size);

		p = tcache_alloc(class);
		return likely(p) ? p : heap_malloc_slow(size, class);
	}
	if (unlikely(heap_forward))
		return heap_forward->malloc(size);
	if (unlikely(!heap_init()))
		return out_of_memory();
	if (unlikely(annotate_listening))
		return alloc_memcheck(size, 0, false);
	p = alloc_huge(size, 0, &zeroed);
	return likely(p) ? p : out_of_memory();
}

/* NULL, or an address outside the window. */
cold void heap_free_foreign(void *addr)
{
	if (unlikely(heap_forward))
		heap_forward->free(addr);
	else if (addr)
		block_report_foreign("free", addr);
}

/* After a tcache_free that did not take the block; class is what the class map says of its page. */
void heap_free_slow(void *addr, unsigned long class)
{
	struct block b;

	tcache_undo_free(class);
	if (likely(class != NO_CLASS)) {
		if (unlikely(addr == (void *)tcache.head[class]))
			block_report_double_free(addr);
		tcache_free_slow(addr, (unsigned int)class);
		return;
	}
	tcache_note();
	if (unlikely(annotate_listening)) {
		memcheck_free(addr);
		return;
	}
	b = block_of(addr);
	if (likely(b.kind == BLOCK_HUGE))
		huge_free(b.page);
	else
		block_report_foreign("free", addr);
}

void *heap_calloc(size_t nmemb, size_t size)
{
	size_t bytes;
	bool zeroed = false;
	void *p;

	if (__builtin_mul_overflow(nmemb, size, &bytes))
		return out_of_memory();
	if (unlikely(heap_forward)) {
		p = heap_forward->malloc(bytes);
		return p ? memset(p, 0, bytes) : NULL;
	}
	if (unlikely(!heap_init()))
		return out_of_memory();
	if (unlikely(annotate_listening))
		return alloc_memcheck(bytes, 0, true);
	if (bytes <= SLAB_SIZE_MAX) {
		p = alloc_class(size_to_class(bytes));
	} else if (bytes <= RUN_SIZE_MAX) {
		unsigned int class = size_to_class_computed(bytes);

		p = tcache_alloc(class);
		if (!p)
			p = run_alloc(class, 0, &zeroed);
		if (!p)
			p = alloc_class(class);
	} else {
		p = alloc_huge(bytes, 0, &zeroed);
	}
	if (unlikely(!p))
		return out_of_memory();
	return zeroed ? p : memset(p, 0, bytes);
}

void *heap_memalign(size_t align, size_t size)
{
	unsigned int class;
	bool zeroed;
	void *p;

	if (align <= MALLOC_ALIGN)
		return heap_malloc(size);
	if (unlikely(heap_forward))
		return heap_forward->memalign ? heap_forward->memalign(align, size) : out_of_memory();
	if (size > HEAP_SIZE_MAX - align || align > HEAP_SIZE_MAX / 2 || unlikely(!heap_init()))
		return out_of_memory();
	if (unlikely(annotate_listening))
		return alloc_memcheck(size, align, false);
	size = max_ul(size, 1);
	if (max_ul(size, align) > RUN_SIZE_MAX) {
		p = alloc_huge(size, align, &zeroed);
	} else if (max_ul(size, align) > SLAB_SIZE_MAX) {
		unsigned int order = align > PAGE_SIZE ? order_for_pages(align >> PAGE_SHIFT) : 0;

		class = size_to_class(max_ul(size, SLAB_SIZE_MAX + 1));
		p = run_alloc(class, order, &zeroed);
		if (!p && reclaim())
			p = run_alloc(class, order, &zeroed);
	} else {
		/* A slab is aligned to its length: where the size is a multiple of align, all its objects are aligned.
		 */
		for (class = size_to_class(max_ul(size, align)); class_size(class) % align; class++)
			;
		p = alloc_class(class);
	}
	return likely(p) ? p : out_of_memory();
}

size_t heap_usable_size(void *addr)
{
	struct block b;

	if (!addr || unlikely(heap_forward))
		return 0;
	if (unlikely(annotate_listening))
		return memcheck_usable_size(addr);
	b = block_of(addr);
	if (likely(b.kind != BLOCK_FOREIGN))
		return b.size;
	block_report_foreign("malloc_usable_size", addr);
	return 0;
}

/* Resize where it lies; false if it must move. */
static bool resize_in_place(const struct block *b, size_t size)
{
	if (b->kind == BLOCK_HUGE)
		return size > RUN_SIZE_MAX && huge_resize(b->page, size);
	if (size <= b->size && size >= b->size / SHRINK_IN_PLACE)
		return true;
	if (b->kind == BLOCK_RUN && size > SLAB_SIZE_MAX && size <= RUN_SIZE_MAX)
		return run_resize(b->start, size_to_class_computed(size));
	return false;
}

static void *realloc_move(const struct block *b, size_t size)
{
	int saved = errno;
	void *p = NULL;

	if (b->kind == BLOCK_HUGE && size > RUN_SIZE_MAX)
		p = huge_move(b->page, size);
	if (p)
		return p;
	p = heap_malloc(size);
	if (unlikely(!p)) {
		if (size > b->size)
			return NULL;
		errno = saved; /* a block that is to shrink may stay as it is */
		return b->start;
	}
	memcpy(p, b->start, min_ul(size, b->size));
	heap_free(b->start);
	return p;
}

void *heap_realloc(void *addr, size_t size)
{
	struct block b;
	void *p;

	if (unlikely(heap_forward))
		return heap_forward->realloc(addr, size);
	if (!addr)
		return heap_malloc(size);
	if (!size) {
		heap_free(addr);
		return NULL;
	}
	if (size > HEAP_SIZE_MAX)
		return out_of_memory();
	tcache_enter();
	if (unlikely(annotate_listening)) {
		p = memcheck_realloc(addr, size);
		return p ? p : out_of_memory();
	}
	b = block_of(addr);
	if (unlikely(b.kind == BLOCK_FOREIGN)) {
		block_report_foreign("realloc", addr);
		return out_of_memory();
	}
	return resize_in_place(&b, size) ? addr : realloc_move(&b, size);
}

int heap_trim(size_t pad)
{
	if (heap_forward || !heap_init())
		return 0;
	memcheck_release();
	tcache_flush();
	slab_reclaim();
	return mm_trim(pad) > 0;
}
