/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU page lists, in front of each zone (pcp.c, pcp_drain.c).
 */
#ifndef MM_PCP_H
#define MM_PCP_H

#include "mm/gfp.h"
#include "mm/mmzone.h"
#include "os/os.h"

/*
 * Orders 0 to PCP_MAX_ORDER (the kernel's costly order) and whole pageblocks are kept per CPU: a stack of pages for
 * each order and migratetype. A list is taken by exchanging its count for -1, and given back by storing it again; it is
 * held for a few instructions, and never waited for, but by fork.
 */
#define PCP_MAX_ORDER 3
#define NR_PCP_ORDERS (PCP_MAX_ORDER + 2)
#define NR_PCP_LISTS (MIGRATE_PCPTYPES * NR_PCP_ORDERS)
#define PCP_TAKEN (-1L)
/* Blocks of the orders 0 to 3, and 9, that a list can hold. */
#define PCP_SLOTS_0 64
#define PCP_SLOTS_1 16
#define PCP_SLOTS_2 12
#define PCP_SLOTS_3 8
#define PCP_SLOTS_9 2
#define PCP_SLOTS (PCP_SLOTS_0 + PCP_SLOTS_1 + PCP_SLOTS_2 + PCP_SLOTS_3 + PCP_SLOTS_9)

struct per_cpu_list {
	long count;		/* blocks in it, or PCP_TAKEN */
	unsigned long high;	/* it is drained by half when it holds as many; 0: closed */
	uint64_t word;		/* struct page's of an allocated block from this list */
	unsigned long nr_alloc; /* blocks that were allocated from it, ever */
	int32_t held;		/* the count + 1, while fork holds it; else 0 */
	uint32_t seen;		/* what it was when drain_idle_pages last looked */
};

struct per_cpu_pages {
	struct per_cpu_list lists[NR_PCP_LISTS]; /* by order, then migratetype: pcp_index() */
	struct page *slots[MIGRATE_PCPTYPES * PCP_SLOTS];
} __attribute__((aligned(64)));

extern hidden_var struct per_cpu_pages *cpu_pageset_table[MAX_CPUS]; /* of each CPU's nearest zone Normal */
/* Requests with flags below this may take the short way: GFP_FAST_LIMIT, or 0 before there are zones, and if nobody
 * may. */
extern hidden_var unsigned int gfp_fast_limit;
/* The same for the page API, whose blocks are to be seen once owners are charged. */
extern hidden_var unsigned int gfp_api_limit;

static always_inline bool pcp_allowed_order(unsigned int order)
{
	return order <= PCP_MAX_ORDER || order == PAGEBLOCK_ORDER;
}
/* Of an allowed order; and the order of that many-th of them. */
static always_inline unsigned int pcp_order_index(unsigned int order)
{
	return order == PAGEBLOCK_ORDER ? PCP_MAX_ORDER + 1 : order;
}
static always_inline unsigned int pcp_order(unsigned int index)
{
	return index == PCP_MAX_ORDER + 1 ? PAGEBLOCK_ORDER : index;
}
static always_inline unsigned int pcp_index(unsigned int order, enum migratetype mt)
{
	return pcp_order_index(order) * MIGRATE_PCPTYPES + mt;
}
/* The order of the list that pcp_index() numbers so. */
static always_inline unsigned int pcp_list_order(unsigned int l)
{
	return pcp_order(l / MIGRATE_PCPTYPES);
}
/* Pages in it; torn. */
static inline unsigned long pcp_list_pages(const struct per_cpu_pages *pcp, unsigned int l)
{
	long count = READ_ONCE(pcp->lists[l].count);

	return count > 0 ? (unsigned long)count << pcp_list_order(l) : 0;
}

/* The zone's lists of a CPU, NULL behind the last CPU, and while the zone has none; and all of them, by CPU. */
static inline struct per_cpu_pages *zone_pcp(const struct zone *zone, unsigned int cpu)
{
	struct per_cpu_pages *pageset = smp_load_acquire(&zone->pageset);

	return pageset && cpu < topology.nr_cpus ? &pageset[cpu] : NULL;
}
#define for_each_pcp(pcp, cpu, zone) for ((cpu) = 0; ((pcp) = zone_pcp(zone, cpu)); (cpu)++)
/* Of each CPU all lists: two loops, so break goes on with the next CPU's. */
#define for_each_pcp_list(pcp, l, cpu, zone) \
	for_each_pcp (pcp, cpu, zone)        \
		for ((l) = 0; (l) < NR_PCP_LISTS; (l)++)

/* What struct page says of an allocated block from such a list; count: its references. */
static always_inline uint64_t pcp_word(const struct zone *zone, unsigned int order, enum migratetype mt, uint32_t count)
{
	struct page page = {
		.type = PAGE_HEAD,
		.order = (uint8_t)order,
		.flags = (uint8_t)(PG_DIRTY | mt << PG_MT_SHIFT),
		.cache = zone->zone_id,
		.refcount = count,
	};

	return page.word;
}
#define pcp_dirty_word (((struct page){ .flags = PG_DIRTY }).word)

void pcp_init(void);
/* Before a zone's first pageblock: its per-CPU lists; 0 or -ENOMEM. Any number of times. */
int zone_pageset_init(struct zone *zone);
/* The CPUs share so many lists, each zone's. What lies in others goes home when they are drained. */
void pcp_share_lists(unsigned int nr);
unsigned int pcp_nr_lists(void);
/* A quota of CPU time, where there is one, says how many: twice what the CPUs that it is worth would have, so that two
 * threads that run at once seldom meet. Pages would else lie idle in the lists of every CPU that they once ran on. */
void pcp_follow_quota(void);

/* A block from this CPU's list, filled from the zone if need be; NULL: the caller goes to the zone. */
struct page *rmqueue_pcplist(struct zone *zone, unsigned int order, enum migratetype mt, unsigned int alloc_flags);
/* False: the lists are busy or closed, free to the zone. */
bool free_pcp_page(struct zone *zone, struct page *page, unsigned int order);
/* Bring the pages of all CPUs' lists back to the zones; pages brought back. */
unsigned long drain_all_pages(void);
unsigned long drain_zone_pages(struct zone *zone);
/* Those of lists that nobody has used for so many ms, as of a CPU that is offline or has no work of ours. For one who
 * comes by now and then. */
void drain_idle_pages(uint32_t age);
/* Pages in the per-CPU lists; torn. */
unsigned long nr_pcp_pages(const struct zone *zone);
/* vm.percpu_pagelist_high_fraction: the lists of a zone hold at most one in so many of its pages; 0: what they have
 * room for. And after a change of it, or of the zone: how much each list holds. No lock held. */
extern unsigned long percpu_pagelist_high_fraction;
void zone_set_pageset_high(struct zone *zone);
/* Empty the zone's lists and keep them empty until enabled again; nests. */
void zone_pcp_disable(struct zone *zone);
void zone_pcp_enable(struct zone *zone);
/* From now on every request takes the whole way, and every free: for options that have something to do there. */
void pcp_fast_close(void);
/* The same for requests alone; and the opposite, unless it was closed for good. */
void alloc_fast_close(void);
void alloc_fast_open(void);
/* The page API alone: while owners are charged. */
void api_fast_close(void);
/* Take a word as a per-CPU list is taken, once nobody holds it. */
long pcp_take_wait(long *word);
/* Fork handlers. */
void pcp_lock_all(void);
void pcp_unlock_all(void);

/*
 * The way most blocks go: off this CPU's stack of unmovable ones, and back onto it. order is one that has lists. False:
 * take the whole way. For allocation, only if the flags are below gfp_fast_limit.
 */
extern hidden_var const uint8_t pcp_first_slot[NR_PCP_ORDERS];

static always_inline bool alloc_block_fast(unsigned int order, struct page **page)
{
	struct per_cpu_pages *pcp = cpu_pageset_table[os_cpu_id_fast()];
	struct per_cpu_list *list = &pcp->lists[pcp_index(order, MIGRATE_UNMOVABLE)];
	long count = __atomic_exchange_n(&list->count, PCP_TAKEN, __ATOMIC_ACQUIRE) - 1;

	if (unlikely(count < 0)) {
		if (count == -1)
			WRITE_ONCE(list->count, 0);
		return false;
	}
	forget_origin(count); /* else the compiler keeps the old value beside the new one */
	*page = pcp->slots[(order ? pcp_first_slot[pcp_order_index(order)] : 0) + count];
	ADD_ONCE(list->nr_alloc, 1);
	WRITE_ONCE((*page)->refcount, 1);
	smp_store_release(&list->count, count);
	return true;
}

static always_inline bool free_block_fast(struct page *page, unsigned int order)
{
	struct per_cpu_pages *pcp = cpu_pageset_table[os_cpu_id_fast()];
	struct per_cpu_list *list = &pcp->lists[pcp_index(order, MIGRATE_UNMOVABLE)];
	long count;

	if (unlikely(data_race(page->word) != data_race(list->word)))
		return false;
	count = __atomic_exchange_n(&list->count, PCP_TAKEN, __ATOMIC_ACQUIRE);
	if (unlikely((unsigned long)count >= data_race(list->high))) {
		if (count != PCP_TAKEN)
			smp_store_release(&list->count, count);
		return false;
	}
	WRITE_ONCE(page->refcount, 0);
	pcp->slots[(order ? pcp_first_slot[pcp_order_index(order)] : 0) + count] = page;
	smp_store_release(&list->count, count + 1);
	return true;
}

#endif
