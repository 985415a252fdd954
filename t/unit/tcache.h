/* SPDX-License-Identifier: MIT */
/*
 * What the tests of threads' lists share: a heap that works, objects as malloc and free take and give them, and counts.
 */
#ifndef T_UNIT_TCACHE_H
#define T_UNIT_TCACHE_H

#include "malloc/heap.h"
#include "slab/run.h"
#include "model.h"

TAP_UNUSED void start(void)
{
	must(heap_init());
	model_native();
}

TAP_UNUSED void *take(unsigned int class)
{
	void *p = tcache_alloc(class);

	p = p ? p : tcache_alloc_slow(class);
	must(p);
	return p;
}

TAP_UNUSED void give(void *p, unsigned int class)
{
	if (tcache_free(p, class))
		return;
	tcache_undo_free(class);
	must(p != tcache.head[class]);
	tcache_free_slow(p, class);
}

TAP_UNUSED unsigned int length(const struct object *obj)
{
	unsigned int n = 0;

	for (; obj; obj = obj->next)
		n++;
	return n;
}

/* Every list is as long as is said, and within bounds. */
TAP_UNUSED void check_lists(void)
{
	size_t more_runs = 0;
	unsigned int class;

	for (class = 1; class < NR_CLASSES; class ++) {
		size_t size = class_size(class);
		int n = (int)length(tcache.head[class]);

		must(n == tcache.cap[class] - tcache.room[class], "class %u: %d in the list, cap %d room %d", class, n,
		     tcache.cap[class], tcache.room[class]);
		if (class >= FIRST_RUN_CLASS && tcache.cap[class] > 128 * KiB / size)
			more_runs += (tcache.cap[class] - 128 * KiB / size) * size;
		else
			must(tcache.cap[class] * size <= max_ul(256 * KiB, 2 * size), "class %u: cap %u", class,
			     tcache.cap[class]);
		if (class < FIRST_RUN_CLASS && tcache.spare[class])
			must(length(tcache.spare[class]) == tcache.spare_nr[class], "class %u: spare", class);
		if (class < FIRST_RUN_CLASS && !tcache.spare[class] && tcache.spare_nr[class])
			must(tcache.spare_nr[class] < tcache.cap[class], "class %u: %u of cap %u", class,
			     tcache.spare_nr[class], tcache.cap[class]);
	}
	must(more_runs == tcache.more_runs && more_runs <= 1 * MiB);
}

TAP_UNUSED unsigned long active(void)
{
	unsigned long nr = run_stats_read().nr;
	unsigned int class;

	for (class = 1; class < FIRST_RUN_CLASS; class ++) {
		check_cache(&kmem_caches[class]);
		nr += kmem_caches[class].nr_active;
	}
	return nr;
}

TAP_UNUSED unsigned long in_magazines(void)
{
	unsigned long nr = 0;
	unsigned int class;

	for (class = 1; class < FIRST_RUN_CLASS; class ++)
		nr += kmem_caches[class].nr_magazine_objects;
	return nr;
}

TAP_UNUSED unsigned long cached(void)
{
	unsigned long nr = 0;
	unsigned int class;

	for (class = 1; class < NR_CLASSES; class ++)
		nr += tcache_cached(class);
	return nr + in_magazines();
}

/* What a list has room for when the thread allocates, too. */
TAP_UNUSED unsigned int usual_cap(unsigned int class)
{
	return max_ul(tcache.cap[class], tcache.usual_cap[class]);
}

#endif
