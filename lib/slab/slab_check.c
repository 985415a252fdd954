/* SPDX-License-Identifier: MIT */
/*
 * The invariants of slabs, for debug builds and tests.
 */
#include "base/message.h"
#include "slab/inner.h"

static void check_slab(struct kmem_cache *cache, struct page *slab)
{
	unsigned long objects = (PAGE_SIZE << slab->order) / cache->size, nr = 0, index;
	struct object *obj;
	size_t offset;

	for (obj = slab->freelist; obj; obj = object_next(obj)) {
		if (slab_of(obj, &index, &offset) != slab || offset || index >= slab->carved)
			bm_fatal("check_cache: free object %p is not of its slab", (void *)obj);
		if (slab->flags & PG_HOLES && object_pages(cache, (unsigned int)index) & slab[1].holes)
			bm_fatal("check_cache: free object %p reaches into a hole", (void *)obj);
		if (++nr > objects)
			bm_fatal("check_cache: free list of slab %p loops", page_to_addr(slab));
	}
	if (page_type(slab) != PAGE_SLAB || slab->cache != cache->class)
		bm_fatal("check_cache: page %p is not a slab of class %u", page_to_addr(slab), cache->class);
	if (slab->carved > objects || slab_nr_free(slab) != nr)
		bm_fatal("check_cache: slab %p: %u carved, %u in use, %lu free", page_to_addr(slab), slab->carved,
			 slab->refcount, nr);
}

static void check_node(struct kmem_cache *cache, struct kmem_cache_node *node)
{
	uint32_t pfn, prev = NO_PFN;

	mutex_lock(&node->lock);
	for (pfn = node->partial_head; pfn != NO_PFN; pfn = pfn_to_page(pfn)->next) {
		struct page *slab = pfn_to_page(pfn);

		if (slab->prev != prev || !(slab->flags & PG_PARTIAL) || node_of(cache, slab) != node)
			bm_fatal("check_cache: slab %p is not linked as it should be", page_to_addr(slab));
		check_slab(cache, slab);
		if (!slab->refcount || !slab_has_room(cache, slab))
			bm_fatal("check_cache: slab %p is %s, but on the partial list", page_to_addr(slab),
				 slab->refcount ? "full" : "empty");
		prev = pfn;
	}
	if (prev != node->partial_tail)
		bm_fatal("check_cache: class %u: tail %u, counted %u", cache->class, prev, node->partial_tail);
	mutex_unlock(&node->lock);
}

void check_cache(struct kmem_cache *cache)
{
	unsigned int home;
	uint32_t empty;
	int nid;

	for (nid = 0; nid < nr_slab_nodes; nid++) {
		for (home = 0; home < nr_slab_homes; home++)
			check_node(cache, get_home(cache, home, nid));
		empty = READ_ONCE(get_node(cache, nid)->empty);
		if (empty != NO_PFN && pfn_to_page(empty)->refcount)
			bm_fatal("check_cache: slab %p is not empty", page_to_addr(pfn_to_page(empty)));
		if (empty != NO_PFN)
			check_slab(cache, pfn_to_page(empty));
	}
}
