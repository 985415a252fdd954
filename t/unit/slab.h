/* SPDX-License-Identifier: MIT */
/*
 * What the tests of slabs share: a class of a heap that begins, whose threads are told by their homes, and the proof
 * that nothing of it is left.
 */
#ifndef T_UNIT_SLAB_H
#define T_UNIT_SLAB_H

#include "mm/pcp.h"
#include "slab/tcache.h"
#include "model.h"

static struct zone *zone;
static struct kmem_cache *cache;

TAP_UNUSED void start(unsigned int class)
{
	zone = model_start();
	slab_init();
	cache = &kmem_caches[class];
}

/* Nothing of the class is left, nor of the zone. */
TAP_UNUSED void check_nothing_left(void)
{
	check_cache(cache);
	must(!cache->nr_active && !cache->nr_magazine_objects, "%lu active, %lu in magazines", cache->nr_active,
	     (unsigned long)cache->nr_magazine_objects);
	must(cache_nr_empty(cache) == cache->nr_slabs, "%lu of %lu slabs are empty", cache_nr_empty(cache),
	     cache->nr_slabs);
	slab_reclaim();
	must(!cache->nr_slabs && !cache->nr_pages && cache->node.partial_head == NO_PFN);
	drain_all_pages();
	must(zone->nr_free_pages == zone->managed_pages);
	check_zone(zone);
}

TAP_UNUSED struct page *slab_of_object(const struct object *obj)
{
	unsigned long index;
	size_t offset;

	return slab_of(obj, &index, &offset);
}

TAP_UNUSED struct object *take_at(unsigned int home, unsigned int nr)
{
	struct object *chain;

	tcache.home = (uint8_t)home;
	must(slab_alloc_bulk(cache, nr, &chain));
	return chain;
}

TAP_UNUSED unsigned int chain_length(const struct object *obj)
{
	unsigned int n = 0;

	for (; obj; obj = obj->next)
		n++;
	return n;
}

#endif
