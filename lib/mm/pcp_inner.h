/* SPDX-License-Identifier: MIT */
/*
 * Taking and giving a per-CPU list, for the files that do (pcp.c, pcp_drain.c).
 */
#ifndef MM_PCP_INNER_H
#define MM_PCP_INNER_H

#include "mm/pcp.h"

static inline struct page **list_slots(struct per_cpu_pages *pcp, unsigned int order, enum migratetype mt)
{
	return &pcp->slots[mt * PCP_SLOTS + pcp_first_slot[pcp_order_index(order)]];
}

/* The count of a list that is ours now, or PCP_TAKEN. */
static always_inline long list_take(struct per_cpu_list *list)
{
	return __atomic_exchange_n(&list->count, PCP_TAKEN, __ATOMIC_ACQUIRE);
}
static always_inline void list_give(struct per_cpu_list *list, long count)
{
	smp_store_release(&list->count, count);
}

/* pcp.c. What a list has room for, or, if all of a zone's lists may hold only a fraction of it, its share: that may be
 * none. */
unsigned long list_high(const struct zone *zone, unsigned int order);
/* Blocks that were in a list go home. No list is held. */
void free_pcppages_bulk(struct zone *zone, struct page **pages, long nr);

#endif
