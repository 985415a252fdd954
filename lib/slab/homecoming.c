/* SPDX-License-Identifier: MIT */
/*
 * Objects come home to their slabs, chain by chain: neighbours together, under the lock of one home and node at a time.
 * Here it is found out what is no object in use.
 */
#include "base/annotate.h"
#include "mm/buddy.h"
#include "slab/inner.h"

#define PUNCH_SHARE 4 /* of a slab may be in use when its other pages go, */
#define PUNCH_LEAST 2 /* if that is such a part of them; */
#define PUNCH_SLABS 4 /* of so many at a time, for a free is not to take long */

/* A pointer into the middle of an object gets this far before anyone looks where the object begins; one that was freed
 * before, to find its pages in another's use, or in nobody's. */
void report_bad_free(const void *addr, size_t offset, size_t size)
{
	if (offset)
		bm_misuse("free(%p): invalid pointer: %zu bytes into a block of %zu bytes", addr, offset, size);
	else
		bm_misuse("free(%p): invalid pointer: no block of %zu bytes is there any more", addr, size);
}

cold void report_double_free(const void *addr, size_t size)
{
	bm_fatal("free(%p): double free of a block of %zu bytes", addr, size);
}

/* Objects on their way to their slabs, of a home and node at a time. */
struct homecoming {
	struct kmem_cache *cache;
	struct object *chain;
	struct kmem_cache_node *node; /* locked; NULL: none is */
	int home;		      /* its slabs' home and class; any: several nodes */
	uint32_t empty;		      /* slabs that are to be freed, linked by next */
	const struct page *emptied;   /* the last one that has become empty: whoever's by now */
};
#define ANY_HOME (-1)

static noinline void switch_node(struct homecoming *h, const struct page *slab)
{
	struct kmem_cache_node *node = slab ? node_of(h->cache, slab) : NULL;

	if (node == h->node)
		return;
	if (h->node)
		mutex_unlock(&h->node->lock);
	if (node)
		mutex_lock(&node->lock);
	h->node = node;
	h->home = slab && !slab_nodes ? slab->home : ANY_HOME;
}

/* A slab has no objects in use any more: the class keeps it, or it is to be freed, if there is one already. */
static noinline void slab_emptied(struct homecoming *h, struct page *slab)
{
	struct kmem_cache_node *node = get_node(h->cache, likely(!slab_nodes) ? 0 : page_to_nid(slab));

	h->emptied = slab;
	if (slab->flags & PG_PARTIAL)
		partial_del(h->node, slab);
	if (READ_ONCE(node->empty) == NO_PFN && try_cmpxchg(&node->empty, NO_PFN, (uint32_t)page_to_pfn(slab)))
		return;
	slab->next = h->empty;
	h->empty = (uint32_t)page_to_pfn(slab);
}

/* The slab's node is locked. False: it is another class's by now, or a named owner's, whom no chain comes home to. */
static noinline bool enter_home(struct homecoming *h, const struct page *slab)
{
	if (unlikely(!slab_is_of(h->cache, slab)))
		return false;
	switch_node(h, slab);
	return true;
}

/* No object that is in use begins there. Nothing is locked afterwards. */
static cold void refuse_object(struct homecoming *h)
{
	struct object *obj = h->chain;
	unsigned long index = 0;
	size_t offset = 0;
	struct page *slab = slab_of(obj, &index, &offset);
	bool ours = slab && slab_is_of(h->cache, slab);
	bool twice = ours && !offset && !slab->refcount;

	/* In a page that is another's by now no next one can be believed. */
	h->chain = ours && !annotate_listening ? obj->next : NULL;
	switch_node(h, NULL);
	if (twice)
		report_double_free(obj, h->cache->size);
	report_bad_free(obj, ours ? offset : 0, h->cache->size);
}

/* The objects at the head of the chain that lie in one slab, up to most, come home together: neighbours are often freed
 * one after the other. How many. */
static always_inline unsigned int free_objects(struct homecoming *h, unsigned int most)
{
	struct object *obj = h->chain, *last;
	unsigned long pfn = addr_to_pfn(obj);
	struct page *slab = likely(pfn_valid(pfn)) ? slab_head_of(pfn) : NULL;
	uint64_t reciprocal = h->cache->reciprocal;
	unsigned int nr, used;
	const char *base;
	size_t at, end;

	if (unlikely(!slab || page_type(slab) != PAGE_SLAB) ||
	    (unlikely(slab->home != h->home) && !enter_home(h, slab))) {
		refuse_object(h);
		return 0;
	}
	base = page_to_window_addr(slab);
	end = slab->carved * (size_t)h->cache->size;
	at = (size_t)((const char *)obj - base); /* a stale tail's is beyond the end, too */
	used = slab->refcount;
	if (unlikely(at >= end || at * reciprocal >= reciprocal || !used)) {
		refuse_object(h);
		return 0;
	}
	most = annotate_listening ? 1 : (unsigned int)min_ul(most, used); /* memcheck: one at a time */
	last = h->chain;
	for (nr = 1; nr < most; nr++) {
		obj = last->next;
		at = (size_t)((const char *)obj - base);
		if (at >= end || at * reciprocal >= reciprocal)
			break;
		last = obj;
	}
	obj = annotate_listening ? NULL : last->next;
	object_link(last, slab->freelist);
	slab->freelist = h->chain;
	h->chain = obj;
	slab->refcount = used - nr;
	if (unlikely(nr == used))
		slab_emptied(h, slab);
	else if (!(slab->flags & PG_PARTIAL))
		partial_add_tail(h->node, slab);
	return nr;
}

/*
 * Objects at the head of the chain, up to most, each of another slab than the one before it, of most slabs' order,
 * partial and of the home that is locked. How many; what else follows is for free_objects, as is what is wrong.
 */
static always_inline unsigned int free_scattered(struct homecoming *h, unsigned int most)
{
	const struct kmem_cache *cache = h->cache;
	const struct page usual = { .type = PAGE_SLAB,
				    .order = cache->order,
				    .flags = PG_PARTIAL,
				    .cache = cache->class };
	const uint64_t reciprocal = cache->reciprocal, size = cache->size;
	const size_t in_slab = (PAGE_SIZE << cache->order) - 1, end = data_race(vmemmap.nr_pages) << PAGE_SHIFT;
	struct object *obj = h->chain;
	struct page *slab = NULL, *before;
	unsigned int nr, used;
	size_t at;

	for (nr = 0; nr < most; nr++) {
		before = slab;
		at = (uintptr_t)obj - vmemmap.base;
		slab = pfn_to_page((at & ~in_slab) >> PAGE_SHIFT); /* a slab is aligned to its length */
		/* Of another home the rest may be changing. */
		if (at >= end || slab == before || slab->home != h->home || slab->kind != usual.kind)
			break;
		at &= in_slab;
		used = slab->refcount;
		if (at >= slab->carved * size || at * reciprocal >= reciprocal || used < 2)
			break;
		h->chain = obj->next;
		obj->next = slab->freelist;
		slab->freelist = obj;
		slab->refcount = used - 1;
		obj = h->chain;
	}
	return nr;
}

static void free_slab_list(struct kmem_cache *cache, uint32_t pfn)
{
	while (pfn != NO_PFN) {
		struct page *slab = pfn_to_page(pfn);

		pfn = slab->next;
		free_slab(cache, slab);
	}
}

/* An object came home: its slab has so few in use by now that its other pages go. Not each time, as all that is free in
 * it is looked at, which it was if this says so. */
static bool punch_sparse(struct kmem_cache *cache, struct page *slab)
{
	unsigned int used = slab->refcount;

	if (!is_power_of_2(used) || used * (size_t)cache->size > (PAGE_SIZE << slab->order) / PUNCH_SHARE)
		return false;
	slab_punch(cache, slab, (1U << slab->order) / PUNCH_LEAST);
	return true;
}

/* The first *nr objects of the chain, of a class that is mostly free, until enough slabs were looked at. How many; *nr:
 * those that are left. */
static noinline unsigned long free_and_punch(struct homecoming *h, unsigned int *nr)
{
	unsigned long freed = 0;
	unsigned int n, looked = 0;

	for (; h->chain && *nr && looked < PUNCH_SLABS; *nr -= n + !n) {
		/* Now that an object of it is in use: one that is empty may be anybody's at once. */
		unsigned long pfn = addr_to_pfn(h->chain);
		struct page *slab = pfn_valid(pfn) ? slab_head_of(pfn) : NULL;

		h->emptied = NULL;
		n = free_objects(h, *nr);
		freed += n;
		looked += n && slab != h->emptied && punch_sparse(h->cache, slab);
	}
	return freed;
}

struct object *slab_free_some(struct kmem_cache *cache, struct object *chain, unsigned int nr)
{
	struct homecoming h = { .cache = cache, .chain = chain, .home = ANY_HOME, .empty = NO_PFN };
	unsigned long freed = 0;
	unsigned int n;

	if (slabs_are_punched(cache))
		freed = free_and_punch(&h, &nr);
	for (; h.chain && nr; nr -= n + !n) {
		n = free_objects(&h, nr);
		if (n == 1 && likely(h.home != ANY_HOME && !annotate_listening))
			n += free_scattered(&h, nr - n);
		freed += n;
	}
	switch_node(&h, NULL);
	atomic_sub_return(&cache->nr_active, freed);
	free_slab_list(cache, h.empty);
	return h.chain;
}

void slab_free_bulk(struct kmem_cache *cache, struct object *chain)
{
	slab_free_some(cache, chain, UINT32_MAX);
}
