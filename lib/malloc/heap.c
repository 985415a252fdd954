/* SPDX-License-Identifier: MIT */
/*
 * The slow half of malloc, free and their kin.
 */
#include "malloc/heap.h"

#include <errno.h>

#include "base/annotate.h"
#include "base/trace.h"
#include "malloc/block.h"
#include "malloc/huge.h"
#include "malloc/inner.h"
#include "malloc/memcheck.h"
#include "malloc/owned.h"
#include "malloc/reclaim.h"
#include "slab/owner_cache.h"
#include "slab/run.h"
#include "slab/slab.h"

const struct heap_forward *heap_forward;

cold void *heap_no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

static cold void *alloc_class_reclaim(unsigned int class)
{
	struct heap_effort effort = { 0 };
	void *p = NULL;

	while (!p && heap_reclaim(class_size(class), class, &effort))
		p = tcache_alloc_slow(class);
	return p;
}

/* An object for a request of size bytes, which this thread's list has none for; told to those who listen to caller's
 * requests. */
static always_inline void *alloc_class_slow(unsigned int class, size_t size, gfp_t gfp, unsigned long caller)
{
	void *p = tcache_alloc_slow(class);

	if (unlikely(!p))
		p = alloc_class_reclaim(class);
	if (likely(p))
		trace_kmalloc(caller, p, size, size_classes.size[class], gfp);
	return p;
}

static void *alloc_class(unsigned int class, size_t size, gfp_t gfp, unsigned long caller)
{
	void *p = tcache_alloc(class);

	if (unlikely(!p))
		return alloc_class_slow(class, size, gfp, caller);
	trace_kmalloc(caller, p, size, size_classes.size[class], gfp);
	return p;
}

static void *alloc_huge(size_t size, size_t align, bool *zeroed, gfp_t gfp, unsigned long caller)
{
	struct heap_effort effort = { 0 };
	void *p;

	if (size > HEAP_SIZE_MAX)
		return NULL;
	p = huge_alloc(size, align, zeroed);
	while (unlikely(!p) && heap_reclaim(max_ul(size, align), 0, &effort))
		p = huge_alloc(size, align, zeroed);
	if (likely(p))
		trace_kmalloc(caller, p, size, align_up(size, PAGE_SIZE), gfp);
	return p;
}

static cold void *alloc_memcheck(size_t size, size_t align, bool zero, unsigned long caller)
{
	void *p = memcheck_alloc(size, align, zero);

	if (!p)
		return heap_no_memory();
	trace_kmalloc(caller, p, size, size, GFP_MALLOC | (zero ? GFP_ZERO : 0));
	return p;
}

bool heap_watched;

/* For a named owner, or, o NULL, for the thread, whatever it is inside of. */
static void *alloc_for(struct owner *o, size_t size, size_t align, bool *zeroed, gfp_t gfp, unsigned long caller)
{
	struct heap_effort effort = { 0 };
	size_t bytes;
	void *p;

	if (unlikely(size > HEAP_SIZE_MAX))
		return NULL;
	p = owned_alloc(o, size, align, zeroed, &bytes);
	/* What others have does not help an owner at its limit. */
	while (unlikely(!p) && !owner_was_at_limit() && heap_reclaim(max_ul(size, align), 0, &effort))
		p = owned_alloc(o, size, align, zeroed, &bytes);
	if (likely(p))
		trace_kmalloc(caller, p, size, bytes, gfp);
	return p;
}

/* heap_watched: the blocks of this thread, or all, are to be looked at. */
static always_inline bool alloc_is_watched(void)
{
	return unlikely(READ_ONCE(heap_watched)) && (annotate_listening || current->inside);
}

/* What most requests inside of a named owner are. */
static void *alloc_inside(unsigned int class, size_t size, unsigned long caller)
{
	struct owner *o = owner_of_request(caller);
	void *p;

	current->at_limit = false;
	p = likely(o) ? owner_cache_alloc(o, class) : NULL;
	if (likely(p))
		trace_kmalloc(caller, p, size, class_size(class), GFP_MALLOC);
	return p;
}

/* The alignment for calloc and realloc: of whole pageblocks it is known which are zero, and they move without a copy,
 * for what has grown once will grow again. */
static always_inline size_t whole_blocks(size_t size)
{
	return size > RUN_SIZE_MAX ? PAGEBLOCK_SIZE : 0;
}

static cold void *alloc_watched(size_t size, size_t align, bool zero, unsigned long caller)
{
	gfp_t gfp = GFP_MALLOC | (zero ? GFP_ZERO : 0);
	bool zeroed;
	void *p;

	if (annotate_listening)
		return alloc_memcheck(size, align, zero, caller);
	if (zero)
		align = whole_blocks(size);
	p = alloc_for(owner_of_request(caller), size, align, &zeroed, gfp, caller);
	if (unlikely(!p))
		return heap_no_memory();
	return zero && !zeroed ? memset(p, 0, size) : p;
}

static noinline void *malloc_watched(size_t size, unsigned long class, unsigned long caller)
{
	void *p = NULL;

	if (!annotate_listening && class < FIRST_RUN_CLASS) {
		p = alloc_inside((unsigned int)class, size, caller);
		if (unlikely(!p) && owner_was_at_limit())
			return heap_no_memory();
	}
	return likely(p) ? p : alloc_watched(size, 0, false, caller);
}

void *heap_malloc_slow(size_t size, unsigned long class, unsigned long caller)
{
	void *p;

	if (unlikely(heap_forward))
		return heap_forward->malloc(size);
	if (unlikely(!heap_init()) || fault_injected(size))
		return heap_no_memory();
	if (alloc_is_watched())
		return malloc_watched(size, class, caller);
	p = alloc_class_slow((unsigned int)class, size, GFP_MALLOC, caller);
	return likely(p) ? p : heap_no_memory();
}

static noinline void *heap_malloc_huge(size_t size, unsigned long caller)
{
	bool zeroed;
	void *p;

	if (unlikely(heap_forward))
		return heap_forward->malloc(size);
	if (unlikely(!heap_init()) || fault_injected(size))
		return heap_no_memory();
	if (alloc_is_watched())
		return alloc_watched(size, 0, false, caller);
	p = alloc_huge(size, 0, &zeroed, GFP_MALLOC, caller);
	return likely(p) ? p : heap_no_memory();
}

void *heap_new_slow(size_t size, unsigned long class, unsigned long caller)
{
	void *p;

	current->by_new = true;
	p = size > RUN_SIZE_MAX ? heap_malloc_huge(size, caller) : heap_malloc_slow(size, class, caller);
	current->by_new = false;
	return p;
}

void *heap_new_large(size_t size, unsigned long caller)
{
	unsigned int class;
	void *p;

	if (unlikely(size > RUN_SIZE_MAX))
		return heap_new_slow(size, NO_CLASS, caller);
	class = size_to_class(size);
	p = tcache_alloc(class);
	if (unlikely(!p))
		return heap_new_slow(size, class, caller);
	trace_kmalloc(caller, p, size, size_classes.size[class], GFP_MALLOC);
	return p;
}

/* Of a class that threads have no lists of. */
static noinline void *malloc_unlisted(size_t size, unsigned int class, unsigned long caller)
{
	void *p;

	if (unlikely(tcache.state < TCACHE_ACTIVE) || unlikely(READ_ONCE(heap_watched)) ||
	    unlikely(READ_ONCE(failslab_enabled)))
		return heap_malloc_slow(size, class, caller);
	p = run_alloc_fast(class);
	if (unlikely(!p))
		return heap_malloc_slow(size, class, caller);
	trace_kmalloc(caller, p, size, size_classes.size[class], GFP_MALLOC);
	return p;
}

static always_inline void *malloc_listed(size_t size, unsigned int class, unsigned long caller)
{
	void *p = tcache_alloc(class);

	if (unlikely(!p))
		return heap_malloc_slow(size, class, caller);
	trace_kmalloc(caller, p, size, size_classes.size[class], GFP_MALLOC);
	return p;
}

/* Above SLAB_SIZE_MAX. */
static noinline void *malloc_pages(size_t size, unsigned long caller)
{
	unsigned int class;

	if (unlikely(size > RUN_SIZE_MAX))
		return heap_malloc_huge(size, caller);
	class = size_to_class_run(size);
	return class < FIRST_UNLISTED_CLASS ? malloc_listed(size, class, caller) : malloc_unlisted(size, class, caller);
}

void *heap_malloc_large(size_t size, unsigned long caller)
{
	if (unlikely(size > SLAB_SIZE_MAX))
		return malloc_pages(size, caller);
	return malloc_listed(size, size_to_class_slab(size), caller);
}

void *heap_malloc_track_caller(size_t size, unsigned long caller)
{
	if (size > TABLE_SIZE_MAX)
		return heap_malloc_large(size, caller);
	return malloc_listed(size, size_to_class_small(size), caller);
}

/* NULL, an address outside the window, or in a part of it that the thread has not looked at yet. */
cold void heap_free_unknown(void *addr)
{
	unsigned long pfn = addr_to_pfn(addr);

	if (!addr)
		return;
	if (pfn_valid(pfn)) {
		tcache_set_view(&tcache);
		heap_free_known(addr, pfn);
	} else if (unlikely(heap_forward)) {
		heap_forward->free(addr);
	} else {
		block_report_foreign("free", addr);
	}
}

/* By the class map of this thread's home it is none; false: nor is it by that of all. */
static bool free_unmapped(void *addr)
{
	unsigned int class = vmemmap.class[addr_to_pfn(addr)];

	if (class == NO_CLASS)
		return false;
	if (!returns_free(addr, class) && !tcache_free(addr, class))
		heap_free_slow(addr, class);
	return true;
}

static noinline void free_unclassed(void *addr)
{
	struct block b;

	tcache_note();
	if (unlikely(annotate_listening)) {
		memcheck_free(addr);
		return;
	}
	if (unlikely(slab_nodes) && tcache_free_remote(addr))
		return;
	if (READ_ONCE(vmemmap.home_maps) && free_unmapped(addr))
		return;
	b = block_of(addr);
	if (likely(b.kind == BLOCK_HUGE))
		huge_free(b.page);
	else if (!owned_free(&b))
		block_report_foreign("free", addr);
}

/* After a tcache_free that did not take the block; class is what the class map says of its page. */
void heap_free_slow(void *addr, unsigned long class)
{
	tcache_undo_free(class);
	if (class >= FIRST_UNLISTED_CLASS)
		tcache_free_unlisted(addr);
	else if (unlikely(class == NO_CLASS))
		free_unclassed(addr);
	else if (unlikely(addr == (void *)tcache.head[class]))
		block_report_double_free(addr);
	else
		tcache_free_slow(addr, (unsigned int)class);
}

/* *zeroed: it is; else all of it is to be. */
static void *alloc_run_zeroed(size_t bytes, bool *zeroed, unsigned long caller)
{
	gfp_t gfp = GFP_MALLOC | GFP_ZERO;
	unsigned int class = size_to_class_run(bytes);
	void *p = tcache_alloc(class);

	if (!p)
		p = run_alloc(class, 0, zeroed);
	if (unlikely(!p)) {
		*zeroed = false; /* whatever was had and could not be paid */
		return alloc_class(class, bytes, gfp, caller);
	}
	trace_kmalloc(caller, p, bytes, size_classes.size[class], gfp);
	return p;
}

static void *alloc_huge_zeroed(size_t bytes, bool *zeroed, unsigned long caller)
{
	gfp_t gfp = GFP_MALLOC | GFP_ZERO;
	void *p = huge_alloc_dirty(bytes);

	if (p) {
		trace_kmalloc(caller, p, bytes, align_up(bytes, PAGE_SIZE), gfp);
		return p;
	}
	p = alloc_huge(bytes, whole_blocks(bytes), zeroed, gfp, caller);
	if (p && !*zeroed)
		huge_clear(p, bytes);
	*zeroed = true;
	return p;
}

void *heap_calloc_slow(size_t bytes, unsigned long caller)
{
	bool zeroed = false;
	void *p;

	if (unlikely(heap_forward)) {
		p = heap_forward->malloc(bytes);
		return p ? memset(p, 0, bytes) : NULL;
	}
	if (unlikely(!heap_init()) || fault_injected(bytes))
		return heap_no_memory();
	if (alloc_is_watched())
		return alloc_watched(bytes, 0, true, caller);
	if (bytes <= SLAB_SIZE_MAX)
		p = alloc_class(size_to_class(bytes), bytes, GFP_MALLOC | GFP_ZERO, caller);
	else if (bytes <= RUN_SIZE_MAX)
		p = alloc_run_zeroed(bytes, &zeroed, caller);
	else
		p = alloc_huge_zeroed(bytes, &zeroed, caller);
	if (unlikely(!p))
		return heap_no_memory();
	return zeroed ? p : memset(p, 0, bytes);
}

/* Above SLAB_SIZE_MAX: its pages, aligned by their order. */
static void *alloc_run_aligned(size_t align, size_t size, unsigned long caller)
{
	unsigned int order = align > PAGE_SIZE ? order_for_pages(align >> PAGE_SHIFT) : 0,
		     class = size_to_class(max_ul(size, SLAB_SIZE_MAX + 1));
	struct heap_effort effort = { 0 };
	bool zeroed;
	void *p = run_alloc(class, order, &zeroed);

	while (!p && heap_reclaim(max_ul(size, align), 0, &effort))
		p = run_alloc(class, order, &zeroed);
	if (likely(p))
		trace_kmalloc(caller, p, size, size_classes.size[class], GFP_MALLOC);
	return p;
}

static noinline void *memalign_slow(size_t align, size_t size, unsigned long caller)
{
	bool zeroed;
	void *p;

	if (align <= MALLOC_ALIGN)
		return heap_malloc_track_caller(size, caller);
	if (unlikely(heap_forward))
		return heap_forward->memalign ? heap_forward->memalign(align, size) : heap_no_memory();
	if (size > HEAP_SIZE_MAX - align || align > HEAP_SIZE_MAX / 2 || unlikely(!heap_init()))
		return heap_no_memory();
	if (fault_injected(size))
		return heap_no_memory();
	if (alloc_is_watched())
		return alloc_watched(size, align, false, caller);
	size = max_ul(size, 1);
	if (max_ul(size, align) > RUN_SIZE_MAX)
		p = alloc_huge(size, align, &zeroed, GFP_MALLOC, caller);
	else if (max_ul(size, align) > SLAB_SIZE_MAX)
		p = alloc_run_aligned(align, size, caller);
	else
		p = alloc_class(size_to_class_aligned(align, aligned_last(align, size) + 1), size, GFP_MALLOC, caller);
	return likely(p) ? p : heap_no_memory();
}

void *heap_memalign_track_caller(size_t align, size_t size, unsigned long caller)
{
	size_t last = aligned_last(align, size);
	unsigned int class;
	void *p;

	if (last < TABLE_SIZE_MAX || last >= SLAB_SIZE_MAX)
		return memalign_slow(align, size, caller);
	class = size_to_class_aligned(align, last + 1);
	p = tcache_alloc(class);
	if (unlikely(!p))
		return memalign_slow(align, size, caller);
	trace_kmalloc(caller, p, size, size_classes.size[class], GFP_MALLOC);
	return p;
}

static noinline size_t usable_size_slow(void *addr)
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

size_t heap_usable_size(void *addr)
{
	unsigned long pfn = addr_to_pfn(addr), class;

	if (unlikely(pfn >= data_race(vmemmap.nr_pages)))
		return usable_size_slow(addr);
	class = vmemmap.class[pfn];
	if (unlikely(class - 1 >= FIRST_RUN_CLASS - 1 || !slab_begins_object(addr, (unsigned int)class)))
		return usable_size_slow(addr);
	return class_size((unsigned int)class);
}

void *heap_alloc_any(size_t size, unsigned long caller)
{
	bool zeroed;
	void *p;

	if (likely(size <= RUN_SIZE_MAX))
		p = alloc_class(size_to_class(size), size, GFP_MALLOC, caller);
	else
		p = alloc_huge(size, whole_blocks(size), &zeroed, GFP_MALLOC, caller);
	return likely(p) ? p : heap_no_memory();
}

cold void *heap_alloc_like(const struct block *b, size_t size, unsigned long caller)
{
	struct owner *o = page_named_owner(b->page), *saved = current->charged;
	bool zeroed;
	void *p;

	/* Also while others are asked to help: they may not destroy it. */
	if (o)
		current->charged = o;
	p = alloc_for(o, size, whole_blocks(size), &zeroed, GFP_MALLOC, caller);
	current->charged = saved;
	return likely(p) ? p : heap_no_memory();
}
