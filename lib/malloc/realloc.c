/* SPDX-License-Identifier: MIT */
/*
 * The slow half of realloc: blocks are resized where they lie, or move.
 */
#include <errno.h>

#include "base/annotate.h"
#include "malloc/huge.h"
#include "malloc/inner.h"
#include "malloc/memcheck.h"
#include "mm/budget.h"
#include "mm/owner.h"
#include "slab/run.h"

/* In a block with room for so much. The smallest classes are 16 apart: with 12 a block that moves is one of a smaller
 * class. */
static always_inline bool stays_in_place(size_t room, size_t size)
{
	return size <= room && room - size < room / SHRINK_IN_PLACE + 12;
}

/* The bytes that the block has where it lies, once resized; 0 if it must move. */
static size_t resize_in_place(const struct block *b, size_t size)
{
	if (b->kind == BLOCK_HUGE)
		return size > RUN_SIZE_MAX && huge_resize(b->page, size) ? align_up(size, PAGE_SIZE) : 0;
	if (stays_in_place(b->size, size))
		return b->size;
	if (b->kind == BLOCK_RUN && size > SLAB_SIZE_MAX && size <= RUN_SIZE_MAX) {
		unsigned int class = size_to_class_run(size);

		return run_resize(b->start, class) ? class_size(class) : 0;
	}
	return 0;
}

static always_inline void trace_resized(const struct block *b, size_t size, size_t bytes, unsigned long caller)
{
	trace_kfree(caller, b->start);
	trace_kmalloc(caller, b->start, size, bytes, GFP_MALLOC);
}

static void *move_huge(const struct block *b, size_t size)
{
	struct owner *saved = owner_assume(page_named_owner(b->page));
	void *p = huge_move(b->page, size);

	owner_assume(saved);
	return p;
}

/* A run that grows but has no room to gets a fifth more than it had, where nobody counts it: it will grow again, and
 * what is beyond costs nothing until it is written. With its class rounded up it is still less than a quarter of the
 * new one. */
#define RUN_ROOMY_SHARE 5
static size_t size_to_move(const struct block *b, size_t size)
{
	size_t roomy = b->size + b->size / RUN_ROOMY_SHARE;

	if (b->kind != BLOCK_RUN || size <= b->size || roomy > RUN_SIZE_MAX || READ_ONCE(limits_in_force))
		return size;
	return max_ul(size, roomy);
}

static void *alloc_to_move(const struct block *b, size_t size, unsigned long caller)
{
	size_t roomy = size_to_move(b, size);
	int saved = errno;
	void *p;

	if (unlikely(READ_ONCE(heap_watched)))
		return heap_alloc_like(b, size, caller);
	p = heap_alloc_any(roomy, caller);
	if (unlikely(!p) && roomy > size) {
		errno = saved;
		p = heap_alloc_any(size, caller);
	}
	return p;
}

static void *realloc_move(const struct block *b, size_t size, unsigned long caller)
{
	int saved = errno;
	void *p = NULL;

	if (b->kind == BLOCK_HUGE && size > RUN_SIZE_MAX)
		p = move_huge(b, size);
	if (p) {
		trace_kmalloc(caller, p, size, align_up(size, PAGE_SIZE), GFP_MALLOC);
		trace_kfree(caller, b->start);
		return p;
	}
	p = alloc_to_move(b, size, caller);
	if (unlikely(!p)) {
		if (size > b->size)
			return NULL;
		errno = saved; /* a block that is to shrink may stay as it is */
		trace_resized(b, size, b->size, caller);
		return b->start;
	}
	memcpy(p, b->start, min_ul(size, b->size));
	heap_free_track_caller(b->start, caller);
	return p;
}

/* A block of memcheck's; its size says what it gets. */
static cold void *realloc_memcheck(void *addr, size_t size, unsigned long caller)
{
	void *p = NULL;

	if (size <= memcheck_usable_size(addr) || !fault_injected(size))
		p = memcheck_realloc(addr, size);
	if (!p)
		return heap_no_memory();
	trace_kmalloc(caller, p, size, size, GFP_MALLOC);
	trace_kfree(caller, addr);
	return p;
}

/* Of an object of room bytes. What grows gets more than an eighth, two classes mostly where the next would do: it will
 * grow again, and then moves half as often. It is not more than a quarter, so that it stays until it shrinks. */
#define FIRST_ROOMY_SIZE 128UL
static always_inline unsigned long class_to_grow(size_t room, size_t size)
{
	size_t roomy = room + room / 8 + 1;

	return size_to_class(size <= room || room < FIRST_ROOMY_SIZE || roomy > SLAB_SIZE_MAX ? size
											      : max_ul(size, roomy));
}

/* Of a class that the thread's list has none of. */
static noinline void *realloc_refill(unsigned long class)
{
	if (unlikely(READ_ONCE(heap_watched)) || unlikely(READ_ONCE(failslab_enabled)))
		return NULL;
	return tcache_alloc_slow((unsigned int)class);
}

/* What most that move are: objects in slabs, both before and after. NULL: it is not that simple. */
static always_inline void *realloc_listed(void *addr, size_t size, unsigned long caller)
{
	unsigned long pfn = addr_to_pfn(addr), class, want;
	size_t room;
	void *p;

	if (unlikely(pfn >= tcache.nr_pages || size - 1 >= SLAB_SIZE_MAX))
		return NULL;
	class = vmemmap.class[pfn]; /* of the thread's map it may be none, for what free() is to look at */
	room = class_size((unsigned int)class);
	if (unlikely(class - 1 >= FIRST_RUN_CLASS - 1 || stays_in_place(room, size) ||
		     !slab_begins_object(addr, (unsigned int)class)))
		return NULL;
	want = class_to_grow(room, size);
	p = tcache_alloc(want);
	if (unlikely(!p))
		p = realloc_refill(want);
	if (unlikely(!p))
		return NULL;
	trace_kmalloc(caller, p, size, size_classes.size[want], GFP_MALLOC);
	memcpy(p, addr, min_ul(size, room));
	trace_kfree(caller, addr);
	heap_free_known(addr, pfn);
	return p;
}

static noinline void *realloc_slow(void *addr, size_t size, unsigned long caller)
{
	struct block b;
	size_t bytes;

	if (unlikely(heap_forward))
		return heap_forward->realloc(addr, size);
	if (!addr)
		return heap_malloc_track_caller(size, caller);
	if (!size) {
		heap_free_track_caller(addr, caller);
		return NULL;
	}
	if (size > HEAP_SIZE_MAX)
		return heap_no_memory();
	tcache_enter();
	if (unlikely(annotate_listening))
		return realloc_memcheck(addr, size, caller);
	b = block_of(addr);
	if (unlikely(b.kind == BLOCK_FOREIGN)) {
		block_report_foreign("realloc", addr);
		return heap_no_memory();
	}
	if (size > b.size && fault_injected(size))
		return heap_no_memory();
	bytes = resize_in_place(&b, size);
	if (!bytes)
		return realloc_move(&b, size, caller);
	trace_resized(&b, size, bytes, caller);
	return addr;
}

void *heap_realloc_track_caller(void *addr, size_t size, unsigned long caller)
{
	void *p = realloc_listed(addr, size, caller);

	return likely(p) ? p : realloc_slow(addr, size, caller);
}
