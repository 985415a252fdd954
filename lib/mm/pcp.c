/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU page lists: a stack for each small order and migratetype, filled and drained by halves. The list is that of
 * the CPU the thread runs on as rseq tells it; a thread that is moved meanwhile does no harm, for a list has one holder
 * at a time. Whoever finds it held goes to the zone. No list is held while anything is waited for: what goes to the
 * zone or comes from it is carried in an array.
 *
 * A block in a list looks like an allocated one, but for its reference count of 0: to hand it out is one store.
 */
#include <errno.h>

#include "base/annotate.h"
#include "base/trace.h"
#include "mm/buddy.h"
#include "mm/exact.h"
#include "mm/internal.h"
#include "mm/memblock.h"
#include "mm/mempolicy.h"
#include "mm/owner.h"
#include "mm/page_alloc.h"
#include "os/os.h"

unsigned int gfp_fast_limit;
unsigned int gfp_api_limit;
later_data struct per_cpu_pages *cpu_pageset_table[MAX_CPUS];

static const uint8_t pcp_capacity[NR_PCP_ORDERS] = { PCP_SLOTS_0, PCP_SLOTS_1, PCP_SLOTS_2, PCP_SLOTS_3, PCP_SLOTS_9 };
const uint8_t pcp_first_slot[NR_PCP_ORDERS] = {
	0,
	PCP_SLOTS_0,
	PCP_SLOTS_0 + PCP_SLOTS_1,
	PCP_SLOTS_0 + PCP_SLOTS_1 + PCP_SLOTS_2,
	PCP_SLOTS_0 + PCP_SLOTS_1 + PCP_SLOTS_2 + PCP_SLOTS_3,
};

static unsigned int nr_lists; /* of a zone, that the CPUs share */

static bool closed; /* for good: pcp_fast_close. Under memcheck all is: it is told of every block */

static struct page **list_slots(struct per_cpu_pages *pcp, unsigned int order, enum migratetype mt)
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
/* Times to give up the CPU before sleeping. */
#define TAKE_YIELDS 100

/* For those who must have it: it is held for a few instructions. But whoever holds it may be kept from running by us, if
 * we are of a higher priority: sleep then. */
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

unsigned long percpu_pagelist_high_fraction;

/* What a list has room for, or, if all of a zone's lists may hold only a fraction of it, its share: that may be none. */
static unsigned long list_high(const struct zone *zone, unsigned int order)
{
	unsigned long fraction = READ_ONCE(percpu_pagelist_high_fraction);
	unsigned long capacity = pcp_capacity[pcp_order_index(order)];

	if (READ_ONCE(closed) || annotate_listening || READ_ONCE(zone->pcp_disabled))
		return 0;
	if (likely(!fraction))
		return capacity;
	return min_ul(READ_ONCE(zone->managed_pages) / fraction / topology.nr_cpus / NR_PCP_LISTS >> order, capacity);
}

int zone_pageset_init(struct zone *zone)
{
	struct per_cpu_pages *pageset;

	if (smp_load_acquire(&zone->pageset))
		return 0;
	pageset = memblock_alloc(topology.nr_cpus * sizeof(*pageset));
	if (!pageset)
		return -ENOMEM;
	mutex_lock(&zone->lock);
	if (!zone->pageset) /* else another was faster: memblock's memory is never freed */
		smp_store_release(&zone->pageset, pageset);
	mutex_unlock(&zone->lock);
	return 0;
}

unsigned int pcp_nr_lists(void)
{
	return READ_ONCE(nr_lists);
}

void pcp_share_lists(unsigned int nr)
{
	unsigned int cpu, nr_cpus = os_cpus_known() ? topology.nr_cpus : MAX_CPUS;
	int nid;

	WRITE_ONCE(nr_lists, nr);
	for (cpu = 0; cpu < nr_cpus; cpu++) {
		nid = nearest_node_with_memory(topology.cpu_to_node[cpu]);
		WRITE_ONCE(cpu_pageset_table[cpu], &NODE_DATA(nid)->node_zones[ZONE_NORMAL].pageset[cpu % nr]);
	}
}

void pcp_init(void)
{
	pcp_share_lists(topology.nr_cpus);
	os_cpu_init();
	alloc_fast_open();
}

cold void pcp_follow_quota(void)
{
	unsigned int quota = os_cpu_quota();

	if (quota && quota < topology.nr_cpus / 2) {
		pcp_share_lists(2 * quota);
		drain_all_pages();
	}
}

/* First use on this CPU: untouched memory is a closed list. */
static cold void pageset_open(const struct zone *zone, struct per_cpu_pages *pcp)
{
	unsigned int i, mt;

	for (i = 0; i < NR_PCP_ORDERS; i++)
		for (mt = 0; mt < MIGRATE_PCPTYPES; mt++) {
			unsigned int order = pcp_order(i);
			struct per_cpu_list *list = &pcp->lists[pcp_index(order, mt)];
			long count = list_take(list);

			if (count == PCP_TAKEN)
				continue;
			WRITE_ONCE(list->word, pcp_word(zone, order, mt, 1));
			WRITE_ONCE(list->high, list_high(zone, order));
			list_give(list, count);
		}
}

static always_inline struct per_cpu_pages *this_cpu_pcp(struct zone *zone)
{
	unsigned long cpu = os_cpu_id_fast();
	unsigned int nr = READ_ONCE(nr_lists);
	struct per_cpu_pages *pcp = &smp_load_acquire(&zone->pageset)[likely(cpu < nr) ? cpu : cpu % nr];

	if (unlikely(!READ_ONCE(pcp->lists[NR_PCP_LISTS - 1].word)))
		pageset_open(zone, pcp);
	return pcp;
}

/* Blocks that were in a list go home. */
static void free_pcppages_bulk(struct zone *zone, struct page **pages, long nr)
{
	mutex_lock(&zone->lock);
	while (nr-- > 0) {
		struct page *page = pages[nr];
		unsigned long pfn = page_to_pfn(page);

		trace_mm_page_pcpu_drain(page_to_addr(page), page->order, get_pageblock_migratetype(pfn));
		free_one_page(zone, pfn, page->order, page->flags & PG_DIRTY);
	}
	mutex_unlock(&zone->lock);
}

/* A block that a list was to hand out, but did not. */
static void count_alloc(struct zone *zone, unsigned int order)
{
	mutex_lock(&zone->lock);
	ADD_ONCE(zone->nr_alloc_fast, 1);
	ADD_ONCE(zone->nr_alloc_pages, 1UL << order);
	mutex_unlock(&zone->lock);
}

/* Fetch up to nr blocks from the zone. */
static int rmqueue_bulk(struct zone *zone, unsigned int order, int nr, struct page **pages, enum migratetype mt,
			unsigned int alloc_flags)
{
	int n;

	mutex_lock(&zone->lock);
	for (n = 0; n < nr; n++) {
		pages[n] = rmqueue_buddy(zone, order, mt, alloc_flags);
		if (!pages[n])
			break;
	}
	mutex_unlock(&zone->lock);
	return n;
}

/* An empty list: take a batch from the zone, keep one, and put the rest into the list as far as it takes them. */
static struct page *refill_pcplist(struct zone *zone, struct per_cpu_pages *pcp, unsigned int order,
				   enum migratetype mt, unsigned int alloc_flags)
{
	struct per_cpu_list *list = &pcp->lists[pcp_index(order, mt)];
	struct page **slots = list_slots(pcp, order, mt);
	struct page *batch[PCP_SLOTS_0 / 2], *page;
	long count;
	int nr;

	if (order == PAGEBLOCK_ORDER && !READ_ONCE(zone->nr_free_blocks))
		return NULL;
	nr = (int)min_ul(pcp_capacity[pcp_order_index(order)] / 2, READ_ONCE(list->high));
	/* From below the marks nothing more than is asked for: what lies in a list is for all. */
	if (unlikely(alloc_flags & (ALLOC_NO_WATERMARKS | ALLOC_OOM | ALLOC_HARDER | ALLOC_HIGH)))
		nr = 1;
	nr = rmqueue_bulk(zone, order, max_int(nr, 1), batch, mt, alloc_flags);
	if (!nr)
		return NULL;
	page = batch[0];
	count = list_take(list);
	if (count != PCP_TAKEN) {
		/* The first page of the batch is the first to be allocated. */
		while (nr > 1 && (unsigned long)count < list->high) {
			struct page *p = batch[--nr];

			WRITE_ONCE(p->word, pcp_word(zone, order, mt, 0));
			slots[count++] = p;
		}
		ADD_ONCE(list->nr_alloc, 1);
		list_give(list, count);
	} else {
		count_alloc(zone, order);
	}
	if (nr > 1)
		free_pcppages_bulk(zone, batch + 1, nr - 1);
	return page;
}

struct page *rmqueue_pcplist(struct zone *zone, unsigned int order, enum migratetype mt, unsigned int alloc_flags)
{
	struct per_cpu_pages *pcp = this_cpu_pcp(zone);
	struct per_cpu_list *list = &pcp->lists[pcp_index(order, mt)];
	struct page *page;
	long count = list_take(list);

	if (count == PCP_TAKEN)
		return NULL;
	if (!count) {
		bool open = list->high;

		list_give(list, 0);
		mems_allowed_poll();
		return open ? refill_pcplist(zone, pcp, order, mt, alloc_flags) : NULL;
	}
	page = list_slots(pcp, order, mt)[--count];
	ADD_ONCE(list->nr_alloc, 1);
	list_give(list, count);
	return page;
}

/* The newer half stays: it is the warmer one. */
static long take_older_half(struct page **slots, long *count, struct page **batch)
{
	long nr = *count / 2, i;

	for (i = 0; i < nr; i++)
		batch[i] = slots[i];
	for (i = nr; i < *count; i++)
		slots[i - nr] = slots[i];
	*count -= nr;
	return nr;
}

bool free_pcp_page(struct zone *zone, struct page *page, unsigned int order)
{
	struct per_cpu_pages *pcp = this_cpu_pcp(zone);
	enum migratetype mt = get_pageblock_migratetype(page_to_pfn(page));
	struct page *batch[PCP_SLOTS_0 / 2];
	struct per_cpu_list *list;
	long count, nr = 0;

	/* As the kernel: what was kept for others is used as movable, what is isolated goes home at once. */
	if (unlikely(mt >= MIGRATE_PCPTYPES)) {
		if (mt == MIGRATE_ISOLATE)
			return false;
		mt = MIGRATE_MOVABLE;
	}
	list = &pcp->lists[pcp_index(order, mt)];
	count = list_take(list);
	if (count == PCP_TAKEN)
		return false;
	if (!list->high) {
		list_give(list, count);
		return false;
	}
	if ((unsigned long)count >= list->high)
		nr = take_older_half(list_slots(pcp, order, mt), &count, batch);
	WRITE_ONCE(page->word, pcp_word(zone, order, mt, 0));
	list_slots(pcp, order, mt)[count++] = page;
	list_give(list, count);
	if (nr) {
		free_pcppages_bulk(zone, batch, nr);
		balance_zone(zone);
	}
	return true;
}

/* Empty one list; pages brought back. wait: also if it is held, but not for a thread that forks and holds it itself. */
static unsigned long drain_list(struct zone *zone, struct per_cpu_pages *pcp, unsigned int order, enum migratetype mt,
				bool wait)
{
	struct per_cpu_list *list = &pcp->lists[pcp_index(order, mt)];
	struct page **slots = list_slots(pcp, order, mt), *batch[PCP_SLOTS_0];
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
	struct per_cpu_pages *pageset = smp_load_acquire(&zone->pageset);
	unsigned long drained = drain_exact_lists(zone, wait);
	unsigned int cpu, i, mt;

	for (cpu = 0; pageset && cpu < topology.nr_cpus; cpu++)
		for (i = 0; i < NR_PCP_ORDERS; i++)
			for (mt = 0; mt < MIGRATE_PCPTYPES; mt++)
				drained += drain_list(zone, &pageset[cpu], pcp_order(i), mt, wait);
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
		drain_list(zone, pcp, pcp_order(l / MIGRATE_PCPTYPES), l % MIGRATE_PCPTYPES, false);
	else
		WRITE_ONCE(list->seen, now);
}

void drain_idle_pages(uint32_t age)
{
	static uint32_t last;
	uint32_t now = (uint32_t)os_clock_ms(), then = READ_ONCE(last);
	unsigned int cpu, l;
	struct zone *zone;
	int i;

	if (now - then < age || !try_cmpxchg(&last, then, now))
		return;
	for_each_populated_zone (zone, i) {
		struct per_cpu_pages *pageset = smp_load_acquire(&zone->pageset);

		for (cpu = 0; pageset && cpu < topology.nr_cpus; cpu++)
			for (l = 0; l < NR_PCP_LISTS; l++)
				drain_if_idle(zone, &pageset[cpu], l);
		zone_forget_regret(zone);
	}
}

unsigned long nr_pcp_pages(const struct zone *zone)
{
	const struct per_cpu_pages *pageset = smp_load_acquire(&zone->pageset);
	unsigned long nr = nr_exact_list_pages(zone);
	unsigned int cpu, l;

	for (cpu = 0; pageset && cpu < topology.nr_cpus; cpu++)
		for (l = 0; l < NR_PCP_LISTS; l++) {
			long count = READ_ONCE(pageset[cpu].lists[l].count);

			nr += count > 0 ? (unsigned long)count << pcp_order(l / MIGRATE_PCPTYPES) : 0;
		}
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

void pcp_fast_close(void)
{
	struct zone *zone;
	int i;

	WRITE_ONCE(closed, true);
	alloc_fast_close();
	for_each_zone (zone, i)
		zone_set_pageset_high(zone);
}

static bool alloc_closed; /* for good */

void alloc_fast_open(void)
{
	/* The short way goes to the node of the CPU: on several nodes it must be the right one. */
	bool open = !READ_ONCE(alloc_closed) && !annotate_listening &&
		    (topology.nr_nodes == 1 || os_cpu_id_fast_is_known());

	smp_store_release(&gfp_api_limit, open && !READ_ONCE(owner_accounting) ? GFP_FAST_LIMIT : 0);
	smp_store_release(&gfp_fast_limit, open ? GFP_FAST_LIMIT : 0);
}

void api_fast_close(void)
{
	WRITE_ONCE(gfp_api_limit, 0);
}

void alloc_fast_close(void)
{
	WRITE_ONCE(alloc_closed, true);
	WRITE_ONCE(gfp_fast_limit, 0);
	WRITE_ONCE(gfp_api_limit, 0);
}

/* Every list of every zone, by turns: held until unlocked. */
static void for_all_lists(void (*fn)(struct per_cpu_list *list))
{
	unsigned int cpu, l;
	struct zone *zone;
	int i;

	for_each_zone (zone, i) {
		struct per_cpu_pages *pageset = smp_load_acquire(&zone->pageset);

		for (cpu = 0; pageset && cpu < topology.nr_cpus; cpu++)
			for (l = 0; l < NR_PCP_LISTS; l++)
				fn(&pageset[cpu].lists[l]);
	}
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
