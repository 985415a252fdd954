/* SPDX-License-Identifier: MIT */
/*
 * Runs: size classes above SLAB_SIZE_MAX, each object a number of whole pages of its own. The rest of the power-of-two
 * block that a run is cut from stays free for others.
 */
#ifndef SLAB_RUN_H
#define SLAB_RUN_H

#include "base/trace.h"
#include "mm/exact.h"
#include "mm/fault_inject.h"
#include "mm/owner.h"
#include "slab/size_class.h"

/* How many there are of a class, and of all with their pages; those in threads' lists too. Torn. */
struct run_stats {
	unsigned long nr, pages;
};
unsigned long run_nr(unsigned int class);
struct run_stats run_stats_read(void);

/* A run of the class, aligned to 2^order pages if that is more than its size asks for; NULL when out of memory.
 * *zeroed: it reads as zero. */
void *run_alloc(unsigned int class, unsigned int order, bool *zeroed);
void run_free(void *addr);
/* What a thread's list has of the class. The first that is no such run is reported: it and what follows stay as they
 * are. */
struct object;
void run_free_chain(struct object *chain, unsigned int class);

extern unsigned long nr_runs[NR_CLASSES - FIRST_RUN_CLASS] local_symbol; /* of each class */

static always_inline unsigned long class_pages(unsigned int class)
{
	return class_size(class) >> PAGE_SHIFT;
}

/* A run that was freed a moment ago, dirty; NULL: there is none, run_alloc may have one. */
static always_inline void *run_alloc_fast(unsigned int class)
{
	struct page *page = NULL;
	void *p;

	if (likely(!data_race(owner_accounting)) && likely(!READ_ONCE(fail_page_alloc_enabled)))
		page = exact_list_alloc(class_pages(class));
	if (unlikely(!page))
		return NULL;
	/* Whatever else its descriptor says is as it was. Where there are such runs no node has a class map, and those
	 * of homes were cleared when it was freed. */
	set_page_type(page, PAGE_RUN);
	WRITE_ONCE(vmemmap.class[page_to_pfn(page)], (uint8_t) class);
	atomic_add_return(&nr_runs[class - FIRST_RUN_CLASS], 1);
	p = page_to_window_addr(page);
	trace_mm_page_alloc(p, order_for_pages(page->nr_pages), GFP_MALLOC, MIGRATE_UNMOVABLE);
	return p;
}
/* Make it a run of another class where it lies; false if there is no room. */
bool run_resize(void *addr, unsigned int class);

#endif
