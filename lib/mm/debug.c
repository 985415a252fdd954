/* SPDX-License-Identifier: MIT */
/*
 * Zeroing, poison, guard pages, and the checks of pages that come from the free lists.
 *
 * Poison rests on one rule: while it is on, each page of a free block that is marked dirty either reads as zero, since
 * it was never used or has been given back, or holds the pattern. What is freed is filled on its way; what was free
 * before, when it is switched on; what comes dirty from the arenas, when it reaches the zone.
 */
#include "mm/debug.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/annotate.h"
#include "base/tunables.h"
#include "mm/arena.h"
#include "mm/buddy.h"
#include "mm/page_owner.h"
#include "mm/pcp.h"
#include "mm/settle.h"
#include "os/os.h"

#define PAGE_POISON 0xaa
#define PAGE_POISON_WORD 0xaaaaaaaaaaaaaaaaUL
/* Each inaccessible page makes up to two mappings more, of which a process has 65530. */
#define GUARDS_PROTECTED_MAX 16384

unsigned int page_debug;
unsigned long debug_guardpage_minorder;
unsigned long nr_guard_pages;

static unsigned long guards_protected;
static bool poison_complete; /* the rule holds */

/* memcheck knows free pages as nobody's. */
static void fill_pages(unsigned long pfn, unsigned long nr, int byte)
{
	void *addr = pfn_to_addr(pfn);

	if (annotate_listening)
		annotate_undefined(addr, nr << PAGE_SHIFT);
	memset(addr, byte, nr << PAGE_SHIFT);
}

void kernel_init_free_pages(struct page *page, unsigned int order)
{
	if (page->flags & PG_DIRTY)
		fill_pages(page_to_pfn(page), 1UL << order, 0);
}

static void fill_free_pages(unsigned long pfn, unsigned long nr)
{
	if (page_debug & DEBUG_PAGE_POISON)
		fill_pages(pfn, nr, PAGE_POISON);
	else if (page_debug & DEBUG_INIT_ON_FREE)
		fill_pages(pfn, nr, 0);
	else
		return;
	if (annotate_listening)
		annotate_noaccess(pfn_to_addr(pfn), nr << PAGE_SHIFT);
}

/* So that a reference that somebody takes of a free page is seen. */
static void clear_refcounts(unsigned long pfn, unsigned long nr)
{
	unsigned long i;

	for (i = pfn; i < pfn + nr; i++)
		WRITE_ONCE(pfn_to_page(i)->refcount, 0U);
}

/* The first word of the page that is not the pattern; NULL: all is well. */
static const uint64_t *find_unpoisoned(const uint64_t *word)
{
	const uint64_t *end = word + PAGE_SIZE / sizeof(*word), *w;
	uint64_t any = 0;

	for (w = word; w < end && *w == PAGE_POISON_WORD; w++)
		;
	if (w == end)
		return NULL;
	if (w > word)
		return w;
	for (w = word; w < end; w++) /* given back: zeros */
		any |= *w;
	return any ? word : NULL;
}

static cold void report_corruption(unsigned long pfn, const uint64_t *word)
{
	static struct ratelimit_state rs = RATELIMIT_STATE_INIT(5000, 10);
	const uint8_t *page = pfn_to_addr(pfn), *p = (const uint8_t *)word, *end = page + PAGE_SIZE, *q;
	unsigned int missed;
	struct out o;

	if (!ratelimit(&rs, os_clock_ms(), &missed))
		return;
	while (p < end - 1 && *p == PAGE_POISON)
		p++;
	while (end > p + 1 && end[-1] == PAGE_POISON)
		end--;
	bm_warn("pagealloc: %s: written to after it was freed: page %p, offset %zu to %zu",
		end == p + 1 && is_power_of_2(*p ^ PAGE_POISON) ? "single bit error" : "memory corruption", page,
		(size_t)(p - page), (size_t)(end - page - 1));
	out_init(&o, STDERR_FILENO);
	out_printf(&o, "%p:", p);
	for (q = p; q < end && q < p + 16; q++)
		out_printf(&o, " %02x", *q);
	out_printf(&o, "\n");
	if (page_debug & DEBUG_PAGE_OWNER)
		dump_page_owner(&o, pfn);
	out_flush(&o);
}

static void check_poison(unsigned long pfn, unsigned long nr)
{
	unsigned long i;

	for (i = pfn; i < pfn + nr; i++) {
		const uint64_t *page = pfn_to_addr(i), *word;

		if (annotate_listening)
			annotate_defined(page, PAGE_SIZE);
		word = find_unpoisoned(page);
		if (unlikely(word))
			report_corruption(i, word);
		if (annotate_listening)
			annotate_undefined(page, PAGE_SIZE);
	}
}

void debug_alloc_pages(struct page *page, unsigned int order, gfp_t gfp)
{
	unsigned long pfn = page_to_pfn(page);

	if (READ_ONCE(poison_complete) && page->flags & PG_DIRTY)
		check_poison(pfn, 1UL << order);
	if (page_debug & DEBUG_PAGE_OWNER)
		set_page_owner(pfn, 1UL << order, order, gfp);
}

void debug_free_pages(unsigned long pfn, unsigned long nr)
{
	clear_refcounts(pfn, nr);
	fill_free_pages(pfn, nr);
	if (page_debug & DEBUG_PAGE_OWNER)
		reset_page_owner(pfn, nr);
}

void debug_online_pages(unsigned long pfn, unsigned long nr, bool dirty)
{
	clear_refcounts(pfn, nr);
	if (dirty)
		fill_free_pages(pfn, nr);
}

/* Drop what lies there; false if the system does not: then it was cleared by hand, if there is memory at all. */
static bool clear_pages(unsigned long pfn, unsigned long nr)
{
	bool hugetlb = block_is_hugetlb(pfn_to_block(pfn));
	long ret = nr && !hugetlb ? os->madvise(pfn_to_addr(pfn), nr << PAGE_SHIFT, MADV_DONTNEED) : 0;

	if (nr)
		unsettle_pages(pfn, nr);
	if (hugetlb || (ret < 0 && ret != -ENOMEM))
		fill_pages(pfn, nr, 0);
	return ret >= 0;
}

void debug_alloc_huge(struct page *page, unsigned long from, unsigned long nr, bool *zeroed)
{
	unsigned long pfn = page_to_pfn(page);

	if (page_debug & DEBUG_INIT_ON_ALLOC && !*zeroed) {
		clear_pages(pfn + from, nr - from);
		*zeroed = true;
	}
	if (page_debug & DEBUG_PAGE_OWNER)
		set_page_owner(pfn, nr, ilog2(nr) + !is_power_of_2(nr), GFP_MALLOC);
}

bool debug_free_huge(struct page *page, unsigned long from, unsigned long nr)
{
	unsigned long pfn = page_to_pfn(page) + from;

	if (page_debug & DEBUG_PAGE_OWNER)
		reset_page_owner(pfn, nr - from);
	/* The arenas keep nothing filled: it goes back to the system. */
	if (page_debug & (DEBUG_INIT_ON_FREE | DEBUG_PAGE_POISON))
		return !clear_pages(pfn, nr - from);
	return true;
}

static cold void bad_page(const struct page *page, const char *reason)
{
	static struct ratelimit_state rs = RATELIMIT_STATE_INIT(60000, 60);
	unsigned int missed;
	struct out o;

	if (!ratelimit(&rs, os_clock_ms(), &missed))
		return;
	bm_warn("BUG: Bad page state in process %s  pfn:%05lx", program_invocation_short_name, page_to_pfn(page));
	out_init(&o, STDERR_FILENO);
	out_printf(&o, "page:%p refcount:%u type:%u order:%u flags:0x%x class:%u\npage dumped because: %s\n",
		   page_to_addr(page), page->refcount, page_type(page), page->order, page->flags,
		   vmemmap.class[page_to_pfn(page)], reason);
	if (page_debug & DEBUG_PAGE_OWNER)
		dump_page_owner(&o, page_to_pfn(page));
	out_flush(&o);
}

/* By any class map; those of homes know nothing of what lies below 4 GiB. */
static bool has_class(unsigned long pfn)
{
	unsigned int i, homes = READ_ONCE(vmemmap.home_maps) && !pfn_is_low(pfn) ? HOME_MAPS : 0;

	for (i = 0; i < homes; i++)
		if (READ_ONCE(home_class_map(i)[pfn]))
			return true;
	return READ_ONCE(vmemmap.class[pfn]);
}

/* Why a page cannot be handed out; NULL: it can. */
static const char *check_new_page(const struct page *page, bool head)
{
	if (READ_ONCE(page->refcount))
		return "nonzero _refcount";
	if (head ? page_type(page) != PAGE_NONE : page_type(page) == PAGE_BUDDY || page_type(page) == PAGE_GUARD)
		return "wrong type";
	if (has_class(page_to_pfn(page)))
		return "blocks of malloc's are said to begin in it";
	return NULL;
}

bool check_new_pages(const struct page *page, unsigned int order)
{
	unsigned long i;
	bool bad = false;

	for (i = 0; i < 1UL << order; i++) {
		const char *reason = check_new_page(&page[i], !i);

		if (unlikely(reason)) {
			bad_page(&page[i], reason);
			bad = true;
		}
	}
	return bad;
}

/* Make a free block inaccessible, or accessible again; true if the system did it. */
static bool kernel_map_pages(unsigned long pfn, unsigned long nr, bool enable)
{
	return os->mprotect(pfn_to_addr(pfn), nr << PAGE_SHIFT, enable ? PROT_READ | PROT_WRITE : PROT_NONE) >= 0;
}

bool set_page_guard(struct page *page, unsigned int order, bool dirty)
{
	unsigned long pfn = page_to_pfn(page);

	if (order >= debug_guardpage_minorder)
		return false;
	page->order = (uint8_t)order;
	page->flags = dirty ? PG_DIRTY : 0;
	set_page_type(page, PAGE_GUARD);
	atomic_add_return(&nr_guard_pages, 1UL << order);
	if (PAGE_SIZE << order < os_page_size() || READ_ONCE(guards_protected) >= GUARDS_PROTECTED_MAX)
		return true;
	if (kernel_map_pages(pfn, 1UL << order, false)) {
		page->flags |= PG_PROTECTED;
		atomic_add_return(&guards_protected, 1);
	}
	return true;
}

bool clear_page_guard(struct page *page)
{
	if (page->flags & PG_PROTECTED) {
		if (!kernel_map_pages(page_to_pfn(page), 1UL << page->order, true))
			return false;
		atomic_sub_return(&guards_protected, 1);
	}
	page->flags &= PG_DIRTY;
	set_page_type(page, PAGE_NONE);
	atomic_sub_return(&nr_guard_pages, 1UL << page->order);
	return true;
}

/* What is free already becomes what is freed from now on. */
static void convert_free_blocks(struct zone *zone)
{
	unsigned int order, mt;
	uint32_t pfn, *list;

	mutex_lock(&zone->lock);
	for (order = 0; order < MAX_ORDER; order++)
		for (mt = 0; mt < MIGRATE_TYPES; mt++)
			for (pfn = zone->free_area[order].free_list[mt]; pfn != NO_PFN; pfn = pfn_to_page(pfn)->next) {
				clear_refcounts(pfn, 1UL << order);
				if (pfn_to_page(pfn)->flags & PG_DIRTY)
					fill_free_pages(pfn, 1UL << order);
			}
	for (order = 0; order < debug_guardpage_minorder; order++)
		for (mt = 0; mt < MIGRATE_TYPES; mt++)
			for (list = &zone->free_area[order].free_list[mt]; (pfn = *list) != NO_PFN;) {
				bool dirty = pfn_to_page(pfn)->flags & PG_DIRTY;

				del_page_from_free_list(zone, pfn_to_page(pfn));
				set_page_guard(pfn_to_page(pfn), order, dirty);
			}
	mutex_unlock(&zone->lock);
}

void debug_init(void)
{
	unsigned int debug = 0;
	struct zone *zone;
	int i;

	debug |= tunables.init_on_alloc ? DEBUG_INIT_ON_ALLOC : 0;
	debug |= tunables.page_poison ? DEBUG_PAGE_POISON : tunables.init_on_free ? DEBUG_INIT_ON_FREE : 0;
	debug |= tunables.debug_guardpage_minorder ? DEBUG_GUARDPAGE : 0;
	debug |= tunables.page_owner ? DEBUG_PAGE_OWNER : 0;
	if (!debug)
		return;
	if (debug & DEBUG_PAGE_OWNER && page_owner_init()) {
		bm_warn("page_owner: the system gives no memory for it");
		debug &= ~DEBUG_PAGE_OWNER;
	}
	/* Whole pageblocks are what a zone grows by. */
	debug_guardpage_minorder = min_ul(tunables.debug_guardpage_minorder, PAGEBLOCK_ORDER);
	WRITE_ONCE(page_debug, debug);
	pcp_fast_close();
	for_each_zone (zone, i)
		convert_free_blocks(zone);
	if (debug & (DEBUG_PAGE_POISON | DEBUG_INIT_ON_FREE))
		arena_purge(0, ~0U, false);
	WRITE_ONCE(poison_complete, debug & DEBUG_PAGE_POISON);
}
