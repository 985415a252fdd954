/* SPDX-License-Identifier: MIT */
/*
 * Blocks of an exact number of pages that were freed a moment ago, in a list for each length, so that the next of the
 * same length is neither cut from larger ones nor joined with its neighbours again. To malloc's runs and packed blocks
 * they are what the per-CPU lists are to blocks of an order, though one for all CPUs: what empties and closes those
 * empties and closes these, and nr_pcp_pages counts them. Several nodes have none.
 */
#ifndef MM_EXACT_H
#define MM_EXACT_H

#include "mm/page.h"

struct zone;

#define EXACT_PAGES_MAX 1024UL
#define EXACT_TAKEN (-1L)

/*
 * Taken, as a per-CPU list is, by exchanging room for EXACT_TAKEN: who finds that there does without. Given back by
 * storing room, which is held for a few instructions and protects the rest. Others read what they like, torn.
 */
struct exact_lists {
	uint32_t first[EXACT_PAGES_MAX + 1]; /* by length; what every process uses lies behind it (lib/layout.ld) */
	long room;    /* that they have left of granted. None: closed, or to be asked: exact_list_free_slow */
	long granted; /* 0: closed */
	unsigned long least_room; /* what a shorter block takes of it, changed while they are empty */
	unsigned long nr_pages;
	unsigned long nr_alloc; /* pages that came from here, ever */
	unsigned long seen;	/* the same when last looked at */
	unsigned long more;	/* pages that they may hold beyond what they always may */
	/* Lately: what went home from here, of how many lengths; pages that were asked for in vain, and of these
	 * lengths. */
	unsigned long gone_pages, gone_blocks, gone_lengths, missed, wanted;
	uint64_t gone[EXACT_PAGES_MAX / 64 + 1]; /* a bit for each length that did */
	long held;				 /* room + 1, while fork holds them; else 0 */
	bool many; /* lengths come and go, of blocks that are touched: each goes home at once, to join its neighbours */
};
extern struct exact_lists exact_lists local_symbol;

/* What a block takes of the room: where many lengths come and go short ones count as longer, as each keeps a pageblock
 * from emptying. */
static always_inline long exact_room(unsigned long nr)
{
	return (long)max_ul(nr, READ_ONCE(exact_lists.least_room));
}

static always_inline long exact_lists_take(void)
{
	return __atomic_exchange_n(&exact_lists.room, EXACT_TAKEN, __ATOMIC_ACQUIRE);
}
static always_inline void exact_lists_give(long room)
{
	smp_store_release(&exact_lists.room, room);
}

/* The lists are taken, and this one is not empty. */
static always_inline struct page *exact_list_pop(unsigned long nr)
{
	struct page *page = pfn_to_page(exact_lists.first[nr]);

	WRITE_ONCE(exact_lists.first[nr], page->next);
	ADD_ONCE(exact_lists.nr_pages, -nr);
	return page;
}

/* A block of 1 to EXACT_PAGES_MAX pages, dirty, of type PAGE_NONE, otherwise as it was when it was given to
 * exact_list_free. NULL: there is none. */
static always_inline struct page *exact_list_alloc(unsigned long nr)
{
	struct page *page = NULL;
	long room;

	if (!READ_ONCE(exact_lists.first[nr]))
		return NULL;
	room = exact_lists_take();
	if (unlikely(room == EXACT_TAKEN))
		return NULL;
	if (likely(exact_lists.first[nr])) {
		page = exact_list_pop(nr);
		ADD_ONCE(exact_lists.nr_alloc, nr);
		room += exact_room(nr);
	}
	exact_lists_give(room);
	return page;
}

/* Keep a block that is not in use any more, of type PAGE_NONE; false: it is to be freed. */
static always_inline bool exact_list_free(struct page *page, unsigned long nr)
{
	long room = exact_lists_take();

	if (unlikely(room < exact_room(nr))) {
		if (room != EXACT_TAKEN)
			exact_lists_give(room);
		return false;
	}
	page->next = exact_lists.first[nr];
	WRITE_ONCE(exact_lists.first[nr], (uint32_t)page_to_pfn(page));
	ADD_ONCE(exact_lists.nr_pages, nr);
	exact_lists_give(room - exact_room(nr));
	return true;
}

/* exact_list_free has refused it: it is kept after all, as they have more room now, or freed. If they were full, all
 * that they had is freed, too. */
void exact_list_free_slow(struct page *page, unsigned long nr);
/* They had no such block. */
void exact_list_missed(unsigned long nr);
/* Pages that they hold because they may hold more than always: dirty ones, to those who bound these. */
static always_inline unsigned long exact_lists_excess(void)
{
	unsigned long more = READ_ONCE(exact_lists.more);

	return likely(!more) ? 0 : min_ul(READ_ONCE(exact_lists.nr_pages), more);
}
/* Of a zone: pages in the lists, and that came from there. */
unsigned long nr_exact_list_pages(const struct zone *zone);
unsigned long exact_list_pages_allocated(const struct zone *zone);
/* All of them to the free lists, how many were; closed until asked. wait: also if somebody is at them. */
unsigned long drain_exact_lists(struct zone *zone, bool wait);
/* What they hold beyond what they always may goes home, and with it all, rather than that new memory is used. */
void exact_lists_yield(void);
/* If nothing was needed since the last call, or less than they hold beyond what they always may, all of it goes to the
 * free lists. */
void exact_lists_age(void);
/* For pcp_lock_all. */
void exact_lists_lock(void);
void exact_lists_unlock(void);

#endif
