/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU page lists: a stack for each small order and migratetype, filled and drained by halves. The list is that of
 * the CPU the thread runs on as rseq tells it; a thread that is moved meanwhile does no harm, for a list has one holder
 * at a time. Whoever finds it held goes to the zone. No list is held while anything is waited for: what goes to the
 * zone or comes from it is carried in an array.
 *
 * A block in a list looks like an allocated one, but for its reference count of 0: to hand it out is one store.
 */
#include "mm/pcp.h"

#include <errno.h>

#include "base/annotate.h"
#include "base/trace.h"
#include "mm/balance_inner.h"
#include "mm/buddy.h"
#include "mm/memblock.h"
#include "mm/mempolicy.h"
#include "mm/owner.h"
#include "mm/pcp_inner.h"
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

static unsigned int nr_lists;	 /* of a zone, that the CPUs share; 0: there is no zone yet */
static unsigned int quota_lists; /* so many, for a quota of CPU time; 0: there is none */

static bool closed; /* for good: pcp_fast_close. Under memcheck all is: it is told of every block */

unsigned long percpu_pagelist_high_fraction;

unsigned long list_high(const struct zone *zone, unsigned int order)
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
	pcp_share_lists(quota_lists ? quota_lists : topology.nr_cpus);
	os_cpu_init();
	alloc_fast_open();
}

cold void pcp_follow_quota(void)
{
	unsigned int quota = os_cpu_quota();

	if (!quota || quota >= topology.nr_cpus / 2)
		return;
	quota_lists = 2 * quota;
	if (nr_lists) {
		pcp_share_lists(quota_lists);
		drain_all_pages();
	}
}

/* First use on this CPU: untouched memory is a closed list. */
static cold void pageset_open(const struct zone *zone, struct per_cpu_pages *pcp)
{
	unsigned int l;

	for (l = 0; l < NR_PCP_LISTS; l++) {
		unsigned int order = pcp_list_order(l);
		struct per_cpu_list *list = &pcp->lists[l];
		long count = list_take(list);

		if (count == PCP_TAKEN)
			continue;
		WRITE_ONCE(list->word, pcp_word(zone, order, l % MIGRATE_PCPTYPES, 1));
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

void free_pcppages_bulk(struct zone *zone, struct page **pages, long nr)
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
