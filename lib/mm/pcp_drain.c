/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU page lists from outside: emptied for who is short of memory, when nobody uses them, or for good; counted; and
 * held while the process forks. What a CPU does with its own is in pcp.c.
 */
#include "mm/balance_inner.h"
#include "mm/exact.h"
#include "mm/pcp.h"
#include "mm/pcp_inner.h"
#include "os/os.h"

/* Times to give up the CPU before sleeping. */
#define TAKE_YIELDS 100

/* For those who must have it: it is held for a few instructions. But whoever holds it may be kept from running by us,
 * if we are of a higher priority: sleep then. */
long pcp_take_wait(long *word)
{
	long count;
	int tries;

	for (tries = 0; (count = __atomic_exchange_n(word, PCP_TAKEN, __ATOMIC_ACQUIRE)) == PCP_TAKEN; tries++)
		if (tries < TAKE_YIELDS)
			os_yield();
		else
			os_sleep_ms(1);
	return count;
}

/* Empty one list; pages brought back. wait: also if it is held, but not for a thread that forks and holds it itself. */
static unsigned long drain_list(struct zone *zone, struct per_cpu_pages *pcp, unsigned int l, bool wait)
{
	unsigned int order = pcp_list_order(l);
	struct per_cpu_list *list = &pcp->lists[l];
	struct page **slots = list_slots(pcp, order, l % MIGRATE_PCPTYPES), *batch[PCP_SLOTS_0];
	long count, i;

	if (!wait && !READ_ONCE(list->count))
		return 0;
	count = wait && !mutex_held_for_fork() ? pcp_take_wait(&list->count) : list_take(list);
	if (count == PCP_TAKEN)
		return 0;
	for (i = 0; i < count; i++)
		batch[i] = slots[i];
	if (wait && list->word)
		WRITE_ONCE(list->high, list_high(zone, order));
	list_give(list, 0);
	free_pcppages_bulk(zone, batch, count);
	return (unsigned long)count << order;
}

static unsigned long drain_zone(struct zone *zone, bool wait)
{
	unsigned long drained = drain_exact_lists(zone, wait);
	struct per_cpu_pages *pcp;
	unsigned int cpu, l;

	for_each_pcp_list (pcp, l, cpu, zone)
		drained += drain_list(zone, pcp, l, wait);
	return drained;
}

unsigned long drain_zone_pages(struct zone *zone)
{
	return drain_zone(zone, false);
}

unsigned long drain_all_pages(void)
{
	unsigned long drained = 0;
	struct zone *zone;
	int i;

	for_each_zone (zone, i)
		drained += drain_zone(zone, false);
	return drained;
}

/* A list that is used has handed out blocks since the last look, or holds another number of them. */
static void drain_if_idle(struct zone *zone, struct per_cpu_pages *pcp, unsigned int l)
{
	struct per_cpu_list *list = &pcp->lists[l];
	long count = READ_ONCE(list->count);
	uint32_t now = (uint32_t)(READ_ONCE(list->nr_alloc) * (PCP_SLOTS_0 + 1) + (unsigned long)count);

	if (count > 0 && now == READ_ONCE(list->seen))
		drain_list(zone, pcp, l, false);
	else
		WRITE_ONCE(list->seen, now);
}

void drain_idle_pages(uint32_t age)
{
	static uint32_t last;
	uint32_t now = (uint32_t)os_clock_ms(), then = READ_ONCE(last);
	struct per_cpu_pages *pcp;
	unsigned int cpu, l;
	struct zone *zone;
	int i;

	if (now - then < age || !try_cmpxchg(&last, then, now))
		return;
	for_each_populated_zone (zone, i) {
		for_each_pcp_list (pcp, l, cpu, zone)
			drain_if_idle(zone, pcp, l);
		zone_forget_regret(zone);
	}
}

unsigned long nr_pcp_pages(const struct zone *zone)
{
	unsigned long nr = nr_exact_list_pages(zone);
	const struct per_cpu_pages *pcp;
	unsigned int cpu, l;

	for_each_pcp_list (pcp, l, cpu, zone)
		nr += pcp_list_pages(pcp, l);
	return nr;
}

void zone_set_pageset_high(struct zone *zone)
{
	drain_zone(zone, true);
}

void zone_pcp_disable(struct zone *zone)
{
	atomic_add_return(&zone->pcp_disabled, 1);
	zone_set_pageset_high(zone);
}

void zone_pcp_enable(struct zone *zone)
{
	atomic_sub_return(&zone->pcp_disabled, 1);
	zone_set_pageset_high(zone);
}

/* Every list of every zone, by turns: held until unlocked. */
static void for_all_lists(void (*fn)(struct per_cpu_list *list))
{
	struct per_cpu_pages *pcp;
	unsigned int cpu, l;
	struct zone *zone;
	int i;

	for_each_zone (zone, i)
		for_each_pcp_list (pcp, l, cpu, zone)
			fn(&pcp->lists[l]);
}

static void hold_list(struct per_cpu_list *list)
{
	list->held = (int32_t)pcp_take_wait(&list->count) + 1;
}
/* A zone may have got its lists since, which somebody uses. */
static void release_list(struct per_cpu_list *list)
{
	long held = list->held;

	if (!held)
		return;
	list->held = 0;
	list_give(list, held - 1);
}

void pcp_lock_all(void)
{
	for_all_lists(hold_list);
	exact_lists_lock();
}

void pcp_unlock_all(void)
{
	exact_lists_unlock();
	for_all_lists(release_list);
}
