/* SPDX-License-Identifier: MIT */
/*
 * A zone whose free memory is given back by what tunables say and by the test's clock. Linked with
 * -Wl,--wrap=os_clock_ms.
 */
#ifndef T_UNIT_PURGE_H
#define T_UNIT_PURGE_H

#include "base/tunables.h"
#include "mm/internal.h"
#include "model.h"

static struct zone *zone;
static uint64_t clock_ms; /* 0: the real one */

uint64_t __real_os_clock_ms(void);
uint64_t __wrap_os_clock_ms(void);
uint64_t __wrap_os_clock_ms(void)
{
	return clock_ms ? clock_ms : __real_os_clock_ms();
}

TAP_UNUSED void start(size_t dirty_max)
{
	zone = model_start();
	tunables.dirty_max = dirty_max;
	tunables.thp = THP_NEVER;
}

TAP_UNUSED void take(struct page **page, unsigned long nr, unsigned int order)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		must(page[i] = alloc_pages(GFP_USER, order));
}

/* So many pages, if nothing was missed. */
TAP_UNUSED unsigned long may_be_dirty(void)
{
	return (tunables.dirty_max >> PAGE_SHIFT) + (zone->managed_pages - zone->nr_free_pages) / 2;
}

#endif
