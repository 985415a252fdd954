/* SPDX-License-Identifier: MIT */
/*
 * Size classes as the caches of /proc/slabinfo. A run is a slab of one object.
 */
#include "slab/slabinfo.h"

#include "base/message.h"
#include "slab/owner_cache.h"
#include "slab/run.h"
#include "slab/slab.h"
#include "slab/tcache.h"

static unsigned long objects_per_slab(const struct kmem_cache *cache, unsigned int order)
{
	return (PAGE_SIZE << order) / cache->size;
}

/* A slab has the preferred order, or the least one that will do: their sums tell how many there are of each. */
static unsigned long nr_objects(const struct kmem_cache *cache, unsigned long nr_slabs)
{
	unsigned int least = order_for_pages(size_to_pages(cache->size));
	unsigned long pages = READ_ONCE(cache->nr_pages), all = nr_slabs << cache->order, nr_least;

	if (least == cache->order || pages >= all)
		return nr_slabs * objects_per_slab(cache, cache->order);
	nr_least = min_ul((all - pages) / ((1UL << cache->order) - (1UL << least)), nr_slabs);
	return (nr_slabs - nr_least) * objects_per_slab(cache, cache->order) +
	       nr_least * objects_per_slab(cache, least);
}

static unsigned long less(unsigned long n, unsigned long by)
{
	return n > by ? n - by : 0;
}

/* objs: in use, and all; slabs likewise. */
static void print_line(struct out *o, size_t size, const unsigned long objs[2], unsigned long objs_per_slab,
		       unsigned long pages_per_slab, const unsigned long slabs[2])
{
	out_printf(o, "malloc-%-10zu %6lu %6lu %6zu %4lu %4lu", size, min_ul(objs[0], objs[1]), objs[1], size,
		   objs_per_slab, pages_per_slab);
	out_printf(o, " : tunables    0    0    0 : slabdata %6lu %6lu      0\n", slabs[0], slabs[1]);
}

static void print_cache(struct out *o, struct kmem_cache *cache)
{
	unsigned long nr_slabs = READ_ONCE(cache->nr_slabs);
	unsigned long idle = cache_nr_waiting(cache) + tcache_cached(cache->class);
	unsigned long objs[2] = { less(READ_ONCE(cache->nr_active), idle), nr_objects(cache, nr_slabs) };
	unsigned long slabs[2] = { less(nr_slabs, cache_nr_empty(cache)), nr_slabs };

	print_line(o, cache->size, objs, objects_per_slab(cache, cache->order), 1UL << cache->order, slabs);
}

static void print_runs(struct out *o, unsigned int class)
{
	unsigned long nr = run_nr(class);
	unsigned long objs[2] = { less(nr, tcache_cached(class)), nr }, slabs[2] = { nr, nr };

	print_line(o, class_size(class), objs, 1, class_size(class) >> PAGE_SHIFT, slabs);
}

void print_slabinfo(struct out *o)
{
	bool ready = smp_load_acquire(&kmem_caches[FIRST_RUN_CLASS - 1].size); /* else there is no heap yet */
	unsigned int class;

	out_printf(o, "slabinfo - version: 2.1\n");
	out_printf(o, "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>");
	out_printf(o, " : tunables <limit> <batchcount> <sharedfactor>");
	out_printf(o, " : slabdata <active_slabs> <num_slabs> <sharedavail>\n");
	for (class = 1; ready && class < FIRST_RUN_CLASS; class ++)
		print_cache(o, &kmem_caches[class]);
	for (; ready && class < NR_CLASSES; class ++)
		print_runs(o, class);
}

unsigned long nr_slab_pages(void)
{
	return run_stats_read().pages + slab_pages();
}
