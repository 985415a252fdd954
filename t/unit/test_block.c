/* SPDX-License-Identifier: MIT */
/*
 * What a pointer is: every kind of block by its start, its middle and its end, freed blocks, and what never was ours;
 * and what is said when it is freed all the same.
 */
#include "base/tunables.h"
#include "malloc/block.h"
#include "malloc/heap.h"
#include "malloc/huge.h"
#include "slab/run.h"
#include "slab/slab.h"
#include "model.h"

static void start(void)
{
	must(heap_init());
	model_native();
}

/* Of a block that begins at p: the start is one, the rest points into it. */
static void check_block(char *p, enum block_kind kind, size_t size)
{
	static const size_t inside[] = { 1, 8, 16, 100 };
	struct block b = block_of(p);

	must(b.kind == kind && b.start == p && b.size == size, "kind %d, %zu bytes", b.kind, b.size);
	must(heap_usable_size(p) == size);
	for (unsigned int i = 0; i < ARRAY_SIZE(inside); i++) {
		if (inside[i] >= size)
			continue;
		b = block_of(p + inside[i]);
		must(b.kind == BLOCK_FOREIGN && b.start == p && b.size == size, "%zu bytes into %zu", inside[i], size);
		must(!heap_usable_size(p + inside[i]), "usable %zu bytes into %zu", inside[i], size);
	}
}

static void every_kind(void)
{
	unsigned int class;
	bool zeroed;
	char *p;

	start();
	tunables.foreign_free = FOREIGN_IGNORE;
	for (class = 1; class < FIRST_RUN_CLASS; class ++) {
		struct object *obj;

		must(slab_alloc_bulk(&kmem_caches[class], 1, &obj) == 1);
		p = (char *)obj;
		check_block(p, BLOCK_SLAB, class_size(class));
		must(block_of(p + class_size(class) - 1).start == p, "the last byte of class %u", class);
		must(block_of(p + class_size(class)).start != p, "the first byte past class %u", class);
	}
	p = run_alloc(FIRST_RUN_CLASS + 3, 0, &zeroed);
	check_block(p, BLOCK_RUN, class_size(FIRST_RUN_CLASS + 3));
	must(block_of(p + PAGE_SIZE).kind == BLOCK_FOREIGN && block_of(p + PAGE_SIZE - 1).start == p);
	run_free(p);
	must(block_of(p).kind == BLOCK_FOREIGN && !block_of(p).start, "a freed run is nothing");
	p = huge_alloc(3 * MiB, 0, &zeroed);
	check_block(p, BLOCK_HUGE, 3 * MiB);
	must(block_of(p + 2 * MiB).kind == BLOCK_FOREIGN);
	huge_free(pfn_to_page(addr_to_pfn(p)));
	must(block_of(p).kind == BLOCK_FOREIGN && !block_of(p).start, "a freed huge block is nothing");
}

static int in_data;

static void never_ours(void)
{
	int on_stack;
	void *libc;

	start();
	libc = malloc(100);
	must(block_of(NULL).kind == BLOCK_FOREIGN && block_of(&on_stack).kind == BLOCK_FOREIGN);
	must(block_of(&in_data).kind == BLOCK_FOREIGN && block_of(libc).kind == BLOCK_FOREIGN);
	must(block_of((void *)1).kind == BLOCK_FOREIGN && block_of((void *)UINTPTR_MAX).kind == BLOCK_FOREIGN);
	must(block_of(vmemmap.map).kind == BLOCK_FOREIGN);
	must(block_of((void *)vmemmap.base).kind == BLOCK_FOREIGN);
	must(block_of((void *)(vmemmap.base - 1)).kind == BLOCK_FOREIGN);
	must(block_of(pfn_to_addr(vmemmap.nr_pages - 1)).kind == BLOCK_FOREIGN);
	must(block_of(pfn_to_addr(vmemmap.nr_pages)).kind == BLOCK_FOREIGN);
	free(libc);
	/* Not yet cut off its slab: no block, though in one. */
	struct object *obj;
	struct kmem_cache *cache = &kmem_caches[50];
	must(slab_alloc_bulk(cache, 1, &obj) == 1);
	must(block_of((char *)obj + cache->size).kind == BLOCK_FOREIGN);
	tunables.foreign_free = FOREIGN_IGNORE;
	must(!heap_usable_size((char *)obj + cache->size));
}

static void slab_is_freed(void)
{
	struct object *obj;

	start();
	must(slab_alloc_bulk(&kmem_caches[9], 1, &obj) == 1);
	slab_free_bulk(&kmem_caches[9], obj);
	slab_reclaim();
	must(block_of(obj).kind == BLOCK_FOREIGN && !block_of(obj).start);
	must(vmemmap.class[addr_to_pfn(obj)] == NO_CLASS);
}

/* What free() says. */
static void free_stack(void)
{
	int local[16];

	start();
	heap_free(local + 4);
}

static void free_inside_run(void)
{
	start();
	heap_free((char *)heap_malloc(100000) + PAGE_SIZE);
}

static void free_inside_huge(void)
{
	start();
	heap_free((char *)heap_malloc(5 * MiB) + 64);
}

static void free_huge_twice(void)
{
	void *p;

	start();
	p = heap_malloc(5 * MiB);
	heap_free(p);
	heap_free(p);
}

static void free_ignored(void)
{
	long local[4];

	start();
	tunables.foreign_free = FOREIGN_IGNORE;
	heap_free(local);
	heap_free(NULL);
	must(!heap_realloc(local, 10) && !heap_usable_size(local));
}

static void free_warns(void)
{
	long local[4];

	start();
	tunables.foreign_free = FOREIGN_WARN;
	heap_free(local);
	abort();
}

static void free_null(void)
{
	start();
	heap_free(NULL);
	must(heap_usable_size(NULL) == 0);
}

static void realloc_stack(void)
{
	long local[4];

	start();
	heap_realloc(local, 100);
}

static void size_of_middle(void)
{
	start();
	heap_usable_size((char *)heap_malloc(1000) + 16);
}

int main(void)
{
	run_case("every kind of block", every_kind);
	run_case("what never was ours", never_ours);
	run_case("an object whose slab has gone", slab_is_freed);
	run_case("free(NULL) does nothing", free_null);
	run_case("foreign_free:ignore is silent", free_ignored);
	run_case_aborts("foreign_free:warn warns and goes on", free_warns, "not from this heap");
	run_case_aborts("free of the stack", free_stack, "invalid pointer: not from this heap");
	run_case_aborts("free inside a run", free_inside_run, "in the heap, but no block begins there");
	run_case_aborts("free inside a huge block", free_inside_huge, "64 bytes into the block of 5242880 bytes");
	run_case_aborts("a huge block freed twice", free_huge_twice, "or freed before: in the heap, but no block");
	run_case_aborts("realloc of the stack", realloc_stack, "realloc(");
	run_case_aborts("malloc_usable_size of the middle", size_of_middle, "16 bytes into the block of 1024 bytes");
	return done_testing();
}
