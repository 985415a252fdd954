/* SPDX-License-Identifier: MIT */
/*
 * Runs on exact pages.
 */
#include "slab/run.h"

#include "base/annotate.h"
#include "mm/buddy.h"
#include "mm/page_alloc.h"
#include "slab/tcache.h"

/* Of each class, from FIRST_RUN_CLASS on. */
unsigned long nr_runs[NR_CLASSES - FIRST_RUN_CLASS];

unsigned long run_nr(unsigned int class)
{
	return READ_ONCE(nr_runs[class - FIRST_RUN_CLASS]);
}

struct run_stats run_stats_read(void)
{
	struct run_stats s = { 0, 0 };
	unsigned int class;

	for (class = FIRST_RUN_CLASS; class < NR_CLASSES; class ++) {
		s.nr += run_nr(class);
		s.pages += run_nr(class) * class_pages(class);
	}
	return s;
}

static void set_class(struct page *page, unsigned int class)
{
	page->cache = (uint8_t) class;
	page->nr_pages = class_pages(class);
	/* Under memcheck free() must look at every block. */
	set_class_map(page, 1, unlikely(annotate_listening) ? NO_CLASS : class);
}

/* Off the books of runs; the pages are still to be freed. The maps of homes say nothing of it. */
static always_inline void forget_run(struct page *page)
{
	__set_class_map(page, 1, NO_CLASS);
	set_page_type(page, PAGE_NONE);
	atomic_sub_return(&nr_runs[page->cache - FIRST_RUN_CLASS], 1);
}

/* free() must look at every block of a named owner: it is of no class that a thread's list would take. */
static void hide_named_run(const struct page *page)
{
	if (page_named_owner(page))
		set_class_map(page, 1, NO_CLASS);
}

/* A new run; NULL, and no run, if its owner cannot pay. */
static cold void *charge_run(struct page *page)
{
	if (likely(!owner_try_charge(page, page->nr_pages, GFP_MALLOC))) {
		hide_named_run(page);
		return page_to_window_addr(page);
	}
	forget_run(page);
	free_pages_exact(page, page->nr_pages);
	return NULL;
}

static cold void free_charged_run(struct page *page)
{
	owner_uncharge(page, page->nr_pages);
	free_pages_exact(page, page->nr_pages);
}

void *run_alloc(unsigned int class, unsigned int order, bool *zeroed)
{
	struct page *page;
	void *p = order ? NULL : run_alloc_fast(class);

	tcache_note_run_missed(class);
	*zeroed = false;
	if (p)
		return p;
	exact_list_missed(class_pages(class));
	page = alloc_pages_exact(GFP_MALLOC, class_pages(class), order);
	if (!page)
		return NULL;
	*zeroed = !(page->flags & PG_DIRTY);
	set_page_type(page, PAGE_RUN);
	set_class(page, class);
	atomic_add_return(&nr_runs[class - FIRST_RUN_CLASS], 1);
	if (unlikely(data_race(owner_accounting)))
		return charge_run(page);
	return page_to_window_addr(page);
}

static always_inline void free_run(struct page *page, const void *addr)
{
	unsigned int order = page->order; /* once it is on a list, another thread may take it */

	forget_run(page);
	if (unlikely(page->owner))
		free_charged_run(page);
	else if (likely(exact_list_free(page, page->nr_pages)))
		trace_mm_page_free(addr, order);
	else
		exact_list_free_slow(page, page->nr_pages);
}

/* Of several threads. Apart, so that one thread alone saves no registers for it. */
static noinline void free_home_run(struct page *page, const void *addr)
{
	forget_home_classes(page_to_pfn(page), 1);
	free_run(page, addr);
}

void run_free(void *addr)
{
	struct page *page = pfn_to_page(addr_to_pfn(addr));

	if (unlikely((uintptr_t)addr % PAGE_SIZE))
		report_bad_free(addr, (uintptr_t)addr % PAGE_SIZE, page->nr_pages << PAGE_SHIFT);
	else if (unlikely(READ_ONCE(vmemmap.home_maps)))
		free_home_run(page, addr);
	else
		free_run(page, addr);
}

/* Does a run of the class begin there? One that was freed twice may be nobody's by now, or another's. */
static bool is_run(const void *addr, unsigned int class)
{
	unsigned long pfn = addr_to_pfn(addr);

	return pfn_valid(pfn) && page_type(pfn_to_page(pfn)) == PAGE_RUN && pfn_to_page(pfn)->cache == class;
}

void run_free_chain(struct object *chain, unsigned int class)
{
	struct object *next;

	for (; chain && is_run(chain, class); chain = next) {
		next = chain->next;
		run_free(chain);
	}
	/* What that says is next cannot be believed. */
	if (unlikely(chain))
		report_bad_free(chain, (uintptr_t)chain % PAGE_SIZE, class_size(class));
}

bool run_resize(void *addr, unsigned int class)
{
	struct page *page = pfn_to_page(addr_to_pfn(addr));
	unsigned long nr = page->nr_pages, new_nr = class_pages(class);

	if (!charge_resize(page, nr, new_nr, GFP_MALLOC))
		return false;
	/* What lies behind it may be kept for another run. */
	if (!resize_pages_exact(page, nr, new_nr) &&
	    !(new_nr > nr && drain_exact_lists(pfn_to_zone(page_to_pfn(page)), false) &&
	      resize_pages_exact(page, nr, new_nr))) {
		charge_resize(page, new_nr, nr, GFP_MALLOC);
		return false;
	}
	atomic_sub_return(&nr_runs[page->cache - FIRST_RUN_CLASS], 1);
	atomic_add_return(&nr_runs[class - FIRST_RUN_CLASS], 1);
	set_class(page, class);
	hide_named_run(page);
	return true;
}
