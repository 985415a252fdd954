/* SPDX-License-Identifier: MIT */
/*
 * A block here is [slack][header][the program's bytes][red zone]; the header lies in the red zone before the bytes.
 */
#include "malloc/memcheck.h"

#include <string.h>

#include "base/annotate.h"
#include "malloc/block.h"
#include "malloc/heap.h"
#include "malloc/huge.h"
#include "mm/owner.h"
#include "slab/run.h"
#include "slab/slab.h"

#define REDZONE 32UL
#define MAGIC 0x6275646479UL

struct header {
	void *base; /* of the block that the layers below gave */
	size_t size;
	uint64_t magic;
	uint64_t unused;
};
BUILD_BUG_ON(sizeof(struct header) != REDZONE);

static void *take_own(size_t total)
{
	struct object *obj;
	bool zeroed;
	void *base;

	if (total <= SLAB_SIZE_MAX)
		return slab_alloc_bulk(&kmem_caches[size_to_class(total)], 1, &obj) ? obj : NULL;
	base = total <= RUN_SIZE_MAX ? run_alloc(size_to_class(total), 0, &zeroed) : huge_alloc(total, 0, &zeroed);
	if (base)
		annotate_noaccess(base, block_of(base).size);
	return base;
}

/* For the thread, whatever it is inside of: an owner that is destroyed could not tell memcheck which blocks go with it.
 */
static void *take(size_t total)
{
	struct owner *saved = owner_assume(NULL);
	void *base = take_own(total);

	owner_assume(saved);
	return base;
}

static void give(void *base)
{
	struct block b = block_of(base);

	if (b.kind == BLOCK_SLAB) {
		slab_free_bulk(&kmem_caches[b.page->cache], base);
		return;
	}
	/* The pages stay forbidden to the program wherever they lie free. */
	if (b.kind == BLOCK_RUN)
		run_free(base);
	else
		huge_free(b.page);
}

/*
 * Freed blocks rest here before their memory serves again, so that a late access meets a freed block, and memcheck can
 * say which. Large ones do not: they would hold too much.
 */
#define QUARANTINE_NR 256U
#define QUARANTINE_BLOCK_MAX (64 * KiB)

static later_data void *quarantine[QUARANTINE_NR];
static uint32_t quarantine_next;
static size_t quarantine_bytes;

static void put_in_quarantine(uint32_t slot, void *base)
{
	void *old = xchg(&quarantine[slot], base);

	if (base)
		atomic_add_return(&quarantine_bytes, block_of(base).size);
	if (!old)
		return;
	atomic_sub_return(&quarantine_bytes, block_of(old).size);
	give(old);
}

size_t memcheck_quarantined(void)
{
	return READ_ONCE(quarantine_bytes);
}

void memcheck_release(void)
{
	uint32_t slot;

	for (slot = 0; slot < QUARANTINE_NR; slot++)
		put_in_quarantine(slot, NULL);
}

/* The header of a block in use; false when there is none at addr. */
static bool read_header(const void *addr, struct header *h)
{
	const struct header *at = (const struct header *)addr - 1;
	unsigned long pfn = addr_to_pfn(at);

	if (!pfn_valid(pfn) || (uintptr_t)addr % MALLOC_ALIGN ||
	    (pfn_to_block(pfn)->state != PB_ZONE && pfn_to_block(pfn)->state != PB_HUGE))
		return false;
	annotate_defined(at, sizeof(*at));
	*h = *at;
	annotate_noaccess(at, sizeof(*at));
	return h->magic == (MAGIC ^ (uintptr_t)addr);
}

static void write_header(void *addr, struct header h)
{
	struct header *at = (struct header *)addr - 1;

	annotate_undefined(at, sizeof(*at));
	*at = h;
	annotate_noaccess(at, sizeof(*at));
}

void *memcheck_alloc(size_t size, size_t align, bool zero)
{
	size_t slack = align > MALLOC_ALIGN ? align : 0;
	char *base, *p;

	if (size > HEAP_SIZE_MAX - slack - 2 * REDZONE)
		return NULL;
	base = take(size + slack + 2 * REDZONE);
	if (!base)
		return NULL;
	p = (char *)align_up((uintptr_t)base + REDZONE, max_ul(align, MALLOC_ALIGN));
	annotate_undefined(p, size);
	if (zero)
		memset(p, 0, size);
	annotate_malloc(p, size, REDZONE, zero);
	write_header(p, (struct header){ base, size, MAGIC ^ (uintptr_t)p, 0 });
	return p;
}

bool memcheck_free(void *addr)
{
	struct header h;
	bool ours = read_header(addr, &h);

	annotate_free(addr, REDZONE);
	if (!ours)
		return false;
	write_header(addr, (struct header){ NULL, 0, 0, 0 });
	annotate_noaccess(addr, h.size);
	if (block_of(h.base).size <= QUARANTINE_BLOCK_MAX)
		put_in_quarantine(atomic_add_return(&quarantine_next, 1) % QUARANTINE_NR, h.base);
	else
		give(h.base);
	return true;
}

size_t memcheck_usable_size(void *addr)
{
	struct header h;

	return read_header(addr, &h) ? h.size : 0;
}

void *memcheck_realloc(void *addr, size_t size)
{
	struct header h;
	void *p;

	if (!read_header(addr, &h)) {
		annotate_free(addr, REDZONE);
		return NULL;
	}
	p = memcheck_alloc(size, 0, false);
	if (p) {
		memcpy(p, addr, min_ul(size, h.size));
		memcheck_free(addr);
	}
	return p;
}
