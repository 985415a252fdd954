/* SPDX-License-Identifier: MIT */
/*
 * The page allocator: blocks of 2^order pages from the zones of the nearest node that has some.
 */
#ifndef MM_PAGE_ALLOC_H
#define MM_PAGE_ALLOC_H

#include "mm/buddy.h"
#include "mm/gfp.h"
#include "mm/mmzone.h"
#include "os/os.h"

struct mempolicy;

#define PAGE_ALLOC_COSTLY_ORDER 3

/* Read of the system what first use needs to know, while the program lets us make such calls. One thread. */
void mm_init_early(void);
/* First use: window, nodes, zones. 0 or -errno. */
int mm_init(void);
/* The process is set up: from now on requests may wait and reclaim as their flags say. */
void mm_init_late(void);

/*
 * A block of 2^order pages, aligned to its size, reference count 1, type PAGE_HEAD; its flags still say whether it may
 * be dirty: without PG_DIRTY it reads as zero. NULL when out of memory. Any thread; no lock of rank RANK_WMARK or above
 * may be held; none at all if the flags let it reclaim.
 */
struct page *alloc_pages(gfp_t gfp, unsigned int order);
/* The first try of alloc_pages for flags below gfp_fast_limit: NULL only says that it is not that simple. */
struct page *alloc_pages_fast(unsigned int order);
/* From the node's zonelist, without policy; nodemask NULL: any node. */
struct page *alloc_pages_nodemask(gfp_t gfp, unsigned int order, int preferred_nid, const nodemask_t *nodemask);
/* As the policy says, but for interleaving, which is the caller's; nid: where a policy that names no node begins. */
struct page *alloc_pages_policy(gfp_t gfp, unsigned int order, int nid, const struct mempolicy *pol);
/* Drop a reference; the last one frees the block. */
void free_pages(struct page *page, unsigned int order);
/* Free a block whose last reference is gone. */
void free_the_page(struct page *page, unsigned int order);
/* Drop a reference; true if it was the last. */
bool put_page_testzero(struct page *page);

/* The block is 2^order single blocks from now on. */
void split_page(struct page *page, unsigned int order);
/* Head and tails of a compound page. */
void prep_compound_page(struct page *page, unsigned int order);
void destroy_compound_page(struct page *page, unsigned int order);
/* The block that a page of a compound one belongs to; else the page itself. */
struct page *compound_head(struct page *page);

/* Exactly nr pages, aligned to 2^order pages; what is cut off a larger block stays free. */
struct page *alloc_pages_exact(gfp_t gfp, unsigned long nr, unsigned int order);
/* For malloc, free pages side by side that are all dirty; NULL: where that is looked for there are none. */
struct page *alloc_dirty_pages_exact(unsigned long nr);
void free_pages_exact(struct page *page, unsigned long nr);
/* Lengthen or shorten in place; false if what lies behind is not free. */
bool resize_pages_exact(struct page *page, unsigned long nr, unsigned long new_nr);
/* nr single pages, wherever they lie; how many there were. */
unsigned long alloc_pages_bulk(gfp_t gfp, unsigned long nr, struct page **array);

/* Pageblocks from the arenas into the zone; false: there are none. No lock held, but the zone's grow_lock. */
bool zone_grow(struct zone *zone, unsigned int order, enum migratetype mt);
/* So many side by side. */
bool zone_grow_blocks(struct zone *zone, unsigned long nr, enum migratetype mt);

/*
 * Per-CPU lists (pcp.c, pcp_drain.c).
 */
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

void pcp_init(void);
/* The CPUs share so many lists, each zone's. What lies in others goes home when they are drained. */
void pcp_share_lists(unsigned int nr);
unsigned int pcp_nr_lists(void);
/* A quota of CPU time, where there is one, says how many: twice what the CPUs that it is worth would have, so that two
 * threads that run at once seldom meet. Pages would else lie idle in the lists of every CPU that they once ran on. */
void pcp_follow_quota(void);
#define pcp_dirty_word (((struct page){ .flags = PG_DIRTY }).word)

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

/* Hand wholly free pageblocks beyond the few a zone keeps back to the arenas. */
void zone_trim(struct zone *zone, unsigned long keep);
/* Give free blocks of at least the order back to the system, the largest first and a few at a time, until at most keep
 * pages of the zone are dirty; bytes given back. None in a NOIO scope. */
unsigned long zone_purge(struct zone *zone, unsigned int min_order, unsigned long keep);
/* What was free and dirty for so many ms, and wanted by nobody, goes back, small blocks too: a little each time. For
 * one who comes by now and then, as drain_idle_pages. */
void zones_decay(uint32_t decay);
/* What this thread frees in between was needed by nobody for dirty_decay: the next look gives it back, too. One thread
 * at a time; what others free meanwhile may pass for the same. */
void idle_frees_begin(void);
void idle_frees_end(void);
/* Pages of slabs' free objects, as far as they were counted: set by who has slabs. They take from what may be dirty. */
extern unsigned long mm_unused_pages;
/* Of these, those that went; atomic. */
extern unsigned long mm_hole_pages;
/* Free memory that is kept above, beyond threads' lists, for who asks for the same again; it counts as dirty. Atomic.
 * And whom to ask for it before a zone grows: true if some is free now; no lock is held. NULL: nobody. */
extern unsigned long mm_kept_bytes;
extern bool (*mm_drop_kept)(void);
static always_inline unsigned long mm_kept_pages(void)
{
	return READ_ONCE(mm_kept_bytes) >> PAGE_SHIFT;
}
/* Bytes that went back to the system, ever, whether or not all of them were resident; atomic. */
extern unsigned long mm_released;
/* What giving the range back counts: where PF_COUNT_RESIDENT is set, only what is resident. */
unsigned long mm_resident(void *addr, size_t len);
/* In the child of a fork: blocks that other threads were giving back are free again. Every zone's lock is held or
 * nobody's. */
void purge_reinit_after_fork(void);
/* Bytes that giving back could free, and bytes that are in use; torn. */
size_t mm_dirty_bytes(void);
size_t mm_used_bytes(void);
/* kswapd's: all zones and the arenas come to what may be dirty. */
void mm_balance(void);
/* Is more free in a zone, what is free inside of slabs included, than may be dirty? No lock held. */
bool mm_dirty_excess(void);
/* Pageblocks between the arenas and the zones, in the hands of threads that have no CPU, maybe; torn. */
unsigned long mm_blocks_on_the_way(void);
/* All that can be given back, as malloc_trim(3) wants: keep at most keep bytes dirty. Bytes given back. */
unsigned long mm_trim(size_t keep);

#endif
