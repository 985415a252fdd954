/* SPDX-License-Identifier: MIT */
/*
 * Slabs: random bulk allocations and frees of several classes against a model that fills each object with bytes of its
 * own; carving page by page; and reclaim that leaves nothing.
 */
#include "base/tunables.h"
#include "mm/pcp.h"
#include "slab.h"

#define MAX_OBJECTS 4000
#define MAX_BYTES (3 * MiB)
#define BULK 40

static struct {
	unsigned char *p;
	unsigned char fill;
} objects[MAX_OBJECTS];
static unsigned long nr_objects;

static void add_object(struct object *obj)
{
	unsigned long index, pfn = addr_to_pfn(obj);
	struct page *slab;
	size_t offset;

	must(is_aligned((uintptr_t)obj, MALLOC_ALIGN));
	must(vmemmap.class[pfn] == cache->class);
	slab = slab_of(obj, &index, &offset);
	must(slab && slab->cache == cache->class && offset == 0 && index < slab->carved);
	must((index + 1) * cache->size <= PAGE_SIZE << slab->order);
	objects[nr_objects].p = (unsigned char *)obj;
	objects[nr_objects].fill = (unsigned char)rnd(256);
	memset(obj, objects[nr_objects].fill, cache->size);
	nr_objects++;
}

static void take_some(void)
{
	unsigned int want = 1 + rnd(BULK), nr, n = 0;
	struct object *chain, *next;

	if (nr_objects + want + PAGE_SIZE / cache->size > MAX_OBJECTS || (nr_objects + want) * cache->size > MAX_BYTES)
		return;
	nr = slab_alloc_bulk(cache, want, &chain);
	must(nr >= 1 && (nr <= want || (want > 1 && nr * cache->size <= PAGE_SIZE)), "%u of %u", nr, want);
	for (; chain; chain = next, n++) {
		next = chain->next;
		must(n < nr);
		add_object(chain);
	}
	must(n == nr, "%u in the chain, %u said", n, nr);
}

static struct object *remove_object(unsigned long i)
{
	unsigned char *p = objects[i].p;

	for (unsigned int at = 0; at < cache->size; at++)
		must(p[at] == objects[i].fill, "byte %u of an object was written to", at);
	objects[i] = objects[--nr_objects];
	return (struct object *)p;
}

static void give_some(unsigned long nr)
{
	struct object *chain = NULL, *obj;

	while (nr-- && nr_objects) {
		obj = remove_object(rnd(nr_objects));
		obj->next = chain;
		chain = obj;
	}
	slab_free_bulk(cache, chain);
}

static void random_operations_of(unsigned int class)
{
	unsigned long i, max_slabs;

	cache = &kmem_caches[class];
	for (i = steps(8000); i; i--) {
		if (rnd(100) < (i / 100 % 2 ? 60 : 40))
			take_some();
		else
			give_some(rnd(BULK));
		if (rnd(200) == 0)
			slab_reclaim();
		check_cache(cache);
		must(cache->nr_active == nr_objects, "%lu active of %lu", cache->nr_active, nr_objects);
		must(cache->nr_slabs - cache_nr_empty(cache) <= nr_objects);
	}
	give_some(nr_objects);
	max_slabs = cache->nr_slabs;
	must(max_slabs <= 1, "empty slabs go back by themselves, all but one: %lu", max_slabs);
	check_nothing_left();
}

static void random_operations(void)
{
	static const unsigned int classes[] = { 1, 3, 8, 9, 21, 33, 47, 56, 61, 72 };

	start(1);
	for (unsigned int i = 0; i < ARRAY_SIZE(classes); i++)
		random_operations_of(classes[i]);
}

/* Fresh objects reach no further than the page that is begun, or one object. */
static void carving(void)
{
	unsigned int class, i;

	start(1);
	for (class = 1; class < FIRST_RUN_CLASS; class ++) {
		struct object *chain[8];
		char *base = NULL, *reached = NULL;

		cache = &kmem_caches[class];
		for (i = 0; i < 8; i++) {
			unsigned int nr = slab_alloc_bulk(cache, 1000, &chain[i]);
			char *first = (char *)chain[i], *end = first + (size_t)nr * cache->size;

			must(nr);
			if (!base || first != reached)
				base = first;
			must(nr == 1 || (uintptr_t)(end - 1) >> PAGE_SHIFT == (uintptr_t)first >> PAGE_SHIFT ||
				     (uintptr_t)(end - 1) >> PAGE_SHIFT ==
					     (uintptr_t)(first + cache->size - 1) >> PAGE_SHIFT,
			     "class %u: %u objects", class, nr);
			must(i || nr == max_ul(PAGE_SIZE / cache->size, 1), "class %u: %u objects first", class, nr);
			reached = end;
		}
		must(cache->nr_active >= 8);
		while (i)
			slab_free_bulk(cache, chain[--i]);
		check_cache(cache);
		must(!cache->nr_active);
	}
	slab_reclaim();
	drain_all_pages();
	must(zone->nr_free_pages == zone->managed_pages);
}

/* Where every byte of a slab lies; and what points into an object's middle does not come home with its neighbours. */
static void byte_by_byte(void)
{
	unsigned int class;

	tunables.foreign_free = FOREIGN_IGNORE;
	start(1);
	for (class = 1; class < FIRST_RUN_CLASS; class ++) {
		struct object *chain = NULL, *middle;
		unsigned long at, index = 0, nr;
		struct page *slab;
		size_t offset = 1;
		char *base;

		cache = &kmem_caches[class];
		must(slab_alloc_bulk(cache, 1, &chain) == 1);
		slab = slab_of(chain, &index, &offset);
		must(slab && index == 0 && offset == 0);
		base = (char *)chain;
		for (at = 0; at < PAGE_SIZE << slab->order; at += 1 + at % 3) {
			must(slab_of(base + at, &index, &offset) == slab);
			must(index == at / cache->size && offset == at % cache->size, "byte %lu of class %u", at,
			     class);
		}
		nr = slab_alloc_bulk(cache, 1, &chain->next);
		must(nr == 1 && slab_of(chain->next, &index, &offset) == slab && index == 1);
		if (cache->size >= 2 * MALLOC_ALIGN) {
			middle = (struct object *)(base + MALLOC_ALIGN);
			middle->next = chain->next;
			chain->next = middle;
		}
		must(cache->nr_active == 2);
		slab_free_bulk(cache, chain);
		check_nothing_left();
	}
}

enum { FEW = 4 };

/* FEW slabs of objects, and a chain of them that goes from slab to slab with each object. */
static struct object *scatter(struct object *of[FEW], unsigned int each)
{
	struct object *chain = NULL, *obj;
	unsigned int i, n;

	for (n = 0; n < each; n++)
		for (i = 0; i < FEW; i++) {
			obj = of[i];
			of[i] = obj->next;
			obj->next = chain;
			chain = obj;
		}
	return chain;
}

/* All objects of FEW slabs, as a chain each; how many in each. */
static unsigned int fill_slabs(struct object *of[FEW])
{
	unsigned int i, nr = 0, n;

	for (i = 0; i < FEW; i++) {
		struct object **tail = &of[i];

		do {
			n = slab_alloc_bulk(cache, UINT16_MAX, tail);
			must(n);
			nr += n;
			while (*tail)
				tail = &(*tail)->next;
		} while (cache->node.partial_head != NO_PFN);
	}
	return nr / FEW;
}

/* Objects that lie apart come home one by one; what is none, or in use no more, does not come with them. */
static void scattered_home(unsigned int class)
{
	struct object *of[FEW], *chain, *at, *middle;
	unsigned int each, i;

	start(class);
	tunables.foreign_free = FOREIGN_IGNORE;
	each = fill_slabs(of);
	must(each > FEW && cache->nr_slabs == FEW);
	chain = scatter(of, each / 2);
	slab_free_bulk(cache, chain);
	check_cache(cache);
	must(cache->nr_active == (each - each / 2) * FEW && cache->nr_slabs == FEW);
	chain = scatter(of, each - each / 2);
	/* A pointer into an object, between those of other slabs. */
	for (i = 0, at = chain; i < FEW; i++)
		at = at->next;
	if (cache->size >= 2 * MALLOC_ALIGN) {
		middle = (struct object *)((char *)at + MALLOC_ALIGN);
		middle->next = at->next->next;
		at->next->next = middle;
	}
	slab_free_bulk(cache, chain);
	check_nothing_left();
}

static void scattered_objects(void)
{
	scattered_home(1);
	scattered_home(4);
	scattered_home(30);
	scattered_home(FIRST_RUN_CLASS - 12);
}

/* A slab gets no more objects back than are out: a chain that leads back into itself comes to an end. */
static void freed_twice(void)
{
	struct object *chain = NULL;

	start(4);
	must(slab_alloc_bulk(cache, 1, &chain) == 1 && slab_alloc_bulk(cache, 1, &chain->next) == 1);
	chain->next->next = chain;
	slab_free_bulk(cache, chain);
}

/* Of objects above 1 KiB few share a slab: one that stays keeps few pages, and what is free in these is counted. */
static void survivors(void)
{
	struct object *obj[64];
	unsigned int i;

	start(size_to_class(2 * KiB));
	for (i = 0; i < ARRAY_SIZE(obj); i++)
		must(slab_alloc_bulk(cache, 1, &obj[i]) == 1);
	must(cache->nr_pages == ARRAY_SIZE(obj) / 2 && !slab_unused_pages());
	for (i = 0; i < ARRAY_SIZE(obj); i++)
		if (i % 8) {
			obj[i]->next = NULL;
			slab_free_bulk(cache, obj[i]);
		}
	must(cache->nr_pages == ARRAY_SIZE(obj) / 8 + 1, "%lu pages", cache->nr_pages);
	must(slab_unused_pages() == cache->nr_pages - ARRAY_SIZE(obj) / 16, "%lu pages", slab_unused_pages());
	for (i = 0; i < ARRAY_SIZE(obj); i += 8) {
		obj[i]->next = NULL;
		slab_free_bulk(cache, obj[i]);
	}
	check_nothing_left();
}

/* No memory: nothing is taken, and nothing lost. */
static void no_memory(void)
{
	struct object *chain, *all = NULL;
	unsigned long nr = 0;

	start(40);
	must(slab_alloc_bulk(cache, 1, &all) == 1);
	fake_os_no_memory();
	while (slab_alloc_bulk(cache, 1, &chain)) {
		memset(chain, 1, cache->size);
		chain->next = all;
		all = chain;
		nr++;
	}
	must(nr * cache->size > PAGEBLOCK_SIZE / 2, "only %lu objects", nr);
	must(cache->nr_active == nr + 1 && cache->node.partial_head == NO_PFN);
	/* The last slabs were of a single object's order. */
	slab_free_bulk(cache, all);
	check_nothing_left();
}

/* Freed twice, and since the first time its page has become another class's, whose first object lies there. */
static struct object *freed_elsewhere(struct object **new)
{
	struct object *chain;
	unsigned int nr;

	start(4);
	nr = slab_alloc_bulk(cache, BULK, &chain);
	slab_free_bulk(cache, chain);
	slab_reclaim();
	cache = &kmem_caches[5];
	must(nr > 1 && slab_alloc_bulk(cache, 2, new) == 2 && *new == chain, "not the page that was free last");
	return chain;
}

static void freed_into_another_class(void)
{
	struct object *new;

	freed_elsewhere(&new)->next = NULL;
	slab_free_bulk(&kmem_caches[4], new);
}

/* Neither that slab nor its object is written to, and what this says is next is not freed. */
static void another_class_is_left_alone(void)
{
	struct object *new, *in_use, *next;

	tunables.foreign_free = FOREIGN_IGNORE;
	slab_free_bulk(&kmem_caches[4], freed_elsewhere(&new));
	must(chain_length(new) == 2 && slab_of_object(new)->refcount == 2 && cache->nr_active == 2);
	must(!kmem_caches[4].nr_active && !slab_of_object(new)->freelist);
	must(!magazine_leave(&kmem_caches[4], new, 1) && !new->magazine, "left to others");
	must(slab_alloc_bulk(&kmem_caches[4], 1, &in_use) == 1);
	next = new->next;
	new->next = in_use;
	slab_free_bulk(&kmem_caches[4], new);
	must(kmem_caches[4].nr_active == 1 && slab_of_object(in_use)->refcount == 1, "freed");
	new->next = next;
	slab_free_bulk(&kmem_caches[4], in_use);
	slab_free_bulk(cache, new);
	check_nothing_left();
}

/* The smallest that hold enough, if no more than an eleventh is left over, a thirty-first of what is to be narrow. */
static void orders(void)
{
	static const struct {
		size_t size;
		unsigned int order;
	} expected[] = { { 16, 0 },   { 256, 0 },  { 272, 1 },	{ 544, 2 },  { 832, 2 },   { 1024, 2 }, { 1056, 3 },
			 { 1088, 2 }, { 1152, 1 }, { 1664, 2 }, { 2048, 0 }, { 2176, 3 },  { 3328, 3 }, { 4368, 4 },
			 { 4608, 3 }, { 6656, 4 }, { 8192, 2 }, { 8704, 5 }, { 13312, 5 }, { 32768, 4 } };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(expected); i++) {
		start(size_to_class(expected[i].size));
		must(cache->size == expected[i].size && cache->order == expected[i].order, "%zu bytes: order %u",
		     expected[i].size, cache->order);
	}
}

/* A page's worth of free objects is had as it is, however few of them are wanted; but one alone is. */
static void uncut(void)
{
	struct object *kept, *chain;
	unsigned int nr;

	start(4);
	nr = slab_alloc_bulk(cache, UINT16_MAX, &kept) - 1;
	must(nr > 8 && nr * cache->size <= PAGE_SIZE);
	slab_free_bulk(cache, kept->next);
	kept->next = NULL;
	must(slab_alloc_bulk(cache, 4, &chain) == nr && chain_length(chain) == nr);
	slab_free_bulk(cache, chain);
	must(slab_alloc_bulk(cache, 1, &chain) == 1 && !chain->next);
	slab_free_bulk(cache, chain);
	slab_free_bulk(cache, kept);
	check_nothing_left();
}

/* Where an object may begin, but none was taken yet, between objects of other slabs. */
static void never_taken(void)
{
	struct object *of[FEW], *chain, *at, *fresh;
	struct page *slab;

	start(30);
	tunables.foreign_free = FOREIGN_IGNORE;
	fill_slabs(of);
	chain = scatter(of, 1);
	must(slab_alloc_bulk(cache, 1, &at) == 1);
	for (slab = slab_of_object(at); slab->carved > slab->refcount;)
		must(slab_alloc_bulk(cache, 1, &at) == 1 && slab_of_object(at) == slab);
	fresh = (struct object *)((char *)page_to_addr(slab) + slab->carved * (size_t)cache->size);
	must((char *)(fresh + 1) <= (char *)page_to_addr(slab) + (PAGE_SIZE << slab->order));
	fresh->next = chain->next;
	chain->next = fresh;
	at = slab->freelist;
	slab_free_bulk(cache, chain);
	must(slab->freelist == at, "taken for one that was in use");
	check_cache(cache);
}

int main(void)
{
	model_init();
	run_case("how long slabs are", orders);
	run_case("fresh objects are cut off page by page", carving);
	run_case("free ones are had page by page, too", uncut);
	run_case("random operations against the model", random_operations);
	run_case("every byte of a slab is of the right object", byte_by_byte);
	run_case("objects that lie apart come home one by one", scattered_objects);
	run_case("but what was never taken", never_taken);
	run_case("what one of many large objects keeps", survivors);
	run_case("out of memory", no_memory);
	run_case_aborts("a block freed twice, others in between, is reported", freed_twice,
			"double free of a block of 64 bytes");
	run_case_aborts("or where its page is of another class by now", freed_into_another_class,
			"invalid pointer: no block of 64 bytes is there any more");
	run_case("which is left alone", another_class_is_left_alone);
	return done_testing();
}
