/* SPDX-License-Identifier: MIT */
/*
 * The buddy system of one zone: blocks of 2^order pages, split on allocation and joined with their buddies on free;
 * free lists by migratetype with fallback and stealing. Everything here is called with zone->lock held.
 */
#ifndef MM_BUDDY_H
#define MM_BUDDY_H

#include "mm/gfp.h"
#include "mm/mmzone.h"

static always_inline struct zone *pfn_to_zone(unsigned long pfn)
{
	return zone_table[READ_ONCE(pfn_to_block(pfn)->zone_id)];
}
static always_inline int page_to_nid(const struct page *page)
{
	return pfn_to_zone(page_to_pfn(page))->nid;
}
static always_inline enum migratetype get_pageblock_migratetype(unsigned long pfn)
{
	return (enum migratetype)READ_ONCE(pfn_to_block(pfn)->migratetype);
}
/* Is the pageblock the zone's? While the zone is locked it stays so. Zones of a node lie mixed, with holes and huge
 * blocks in between. */
static always_inline bool pageblock_in_zone(const struct zone *zone, unsigned long pfn)
{
	const struct pageblock *block = pfn_to_block(pfn);

	return smp_load_acquire(&block->state) == PB_ZONE && READ_ONCE(block->zone_id) == zone->zone_id;
}
/* Under the zone lock; read without it, where an old one does no harm. */
static always_inline void set_pageblock_migratetype(unsigned long pfn, enum migratetype mt)
{
	WRITE_ONCE(pfn_to_block(pfn)->migratetype, (uint8_t)mt);
}

/* May free blocks of whole pageblocks of these types join? Not what is set aside with what is not. */
static always_inline bool migratetype_is_mergeable(enum migratetype a, enum migratetype b)
{
	return a == b || (a < MIGRATE_PCPTYPES && b < MIGRATE_PCPTYPES);
}

/* Free a block: join it with its free buddies as far as they go. dirty: it may have been written to. */
void free_one_page(struct zone *zone, unsigned long pfn, unsigned int order, bool dirty);
/* Free nr pages from pfn on, as the largest aligned blocks. */
void free_page_range(struct zone *zone, unsigned long pfn, unsigned long nr, bool dirty);
/* Take a block of the order: smallest fit, then fallback to other migratetypes unless ALLOC_NOFRAGMENT. NULL: none. */
struct page *rmqueue_buddy(struct zone *zone, unsigned int order, enum migratetype mt, unsigned int alloc_flags);
/* The smallest free block of this migratetype that is large enough. */
struct page *rmqueue_smallest(struct zone *zone, unsigned int order, enum migratetype mt);
/* Take the free block that begins at pfn off its list; the caller has seen that it does. */
void del_page_from_free_list(struct zone *zone, struct page *page);
/* A free block to the list of another migratetype; the pageblock's is the caller's business. */
void move_to_free_list(struct zone *zone, struct page *page, enum migratetype from, enum migratetype to);
/* Exactly nr pages, of no more than one page alignment, where they leave least of what is free side by side, as far
 * as the heads of the lists show. NULL: there is none; for fewer than EXACT_WHOLE, but in whole pageblocks. no_clean:
 * or it has clean pages. */
#define EXACT_WHOLE (PAGEBLOCK_PAGES / 8)
struct page *rmqueue_exact(struct zone *zone, unsigned long nr, enum migratetype mt, bool no_clean);
/* Take exactly the pages [pfn, pfn + nr), which lie in the window: all or nothing. */
bool take_free_range(struct zone *zone, unsigned long pfn, unsigned long nr);

/* A block of the order out of this larger free one, whose migratetype is mt. */
struct page *rmqueue_block(struct zone *zone, struct page *page, unsigned int order, enum migratetype mt);
/* A block from another migratetype's lists: the pageblock is claimed if that is worth it. NULL: there is none. */
struct page *rmqueue_fallback(struct zone *zone, unsigned int order, enum migratetype mt, unsigned int alloc_flags);
/* Which migratetype has a free block of the order that mt may fall back to; MIGRATE_TYPES: none. *can_steal: its
 * pageblock would be claimed. */
enum migratetype find_suitable_fallback(const struct zone *zone, unsigned int order, enum migratetype mt,
					bool only_stealable, bool *can_steal);
/* Move the free pages of a pageblock to the lists of mt, which becomes its migratetype; pages moved. */
unsigned long move_freepages_block(struct zone *zone, unsigned long pfn, enum migratetype mt);

/*
 * Prove the zone's invariants: every free block aligned, on the one right list, with no free buddy of its order;
 * counters equal lists. Fatal on a violation. Takes the lock itself. Debug and tests.
 */
void check_zone(struct zone *zone);

#endif
