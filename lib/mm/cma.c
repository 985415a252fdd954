/* SPDX-License-Identifier: MIT */
/*
 * CMA areas. Their pageblocks are of MIGRATE_CMA: movable requests use them, and move away when cma_alloc wants the
 * place. A bit for each page says which ones cma_alloc has given out; everything else is between the page and the
 * zone's free lists.
 */
#include <errno.h>

#include "base/lock.h"
#include "base/message.h"
#include "base/tunables.h"
#include "mm/arena.h"
#include "mm/buddy.h"
#include "mm/memblock.h"
#include "mm/memory_hotplug.h"
#include "mm/page_isolation.h"
#include "mm/pcp.h"
#include "mm/vmstat.h"

#define MAX_CMA_AREAS 16
#define BITS_PER_WORD 64UL

struct cma {
	unsigned long base_pfn, count; /* pages; constant */
	int nid;		       /* constant */
	uint64_t *bitmap;	       /* cma_lock */
};

/* Areas are added at the end, by one thread at a time, and never go. */
static struct cma areas[MAX_CMA_AREAS];
static unsigned int nr_areas;
static struct mutex cma_lock = MUTEX_INIT(RANK_CMA);

/* The first bit from start to end that is set, or not, as value says; end if there is none. */
static unsigned long find_bit(const struct cma *cma, unsigned long start, unsigned long end, bool value)
{
	while (start < end) {
		uint64_t word = cma->bitmap[start / BITS_PER_WORD];

		word = (value ? word : ~word) >> (start % BITS_PER_WORD);
		if (word)
			return min_ul(start + first_bit(word), end);
		start = align_down(start, BITS_PER_WORD) + BITS_PER_WORD;
	}
	return end;
}

static void write_bits(struct cma *cma, unsigned long start, unsigned long nr, bool value)
{
	unsigned long end = start + nr;

	while (start < end) {
		unsigned long in_word = start % BITS_PER_WORD, n = min_ul(BITS_PER_WORD - in_word, end - start);
		uint64_t mask = ~0UL >> (BITS_PER_WORD - n) << in_word;
		uint64_t *word = &cma->bitmap[start / BITS_PER_WORD];

		*word = value ? *word | mask : *word & ~mask;
		start += n;
	}
}

/* nr bits that are not set, whose first page is aligned by address; cma->count: there are none. */
static unsigned long find_zero_area(const struct cma *cma, unsigned long start, unsigned long nr, unsigned long align)
{
	while (start < cma->count) {
		unsigned long bit = align_pfn(cma->base_pfn + start, align) - cma->base_pfn, used;

		if (bit >= cma->count || nr > cma->count - bit)
			break;
		used = find_bit(cma, bit, bit + nr, true);
		if (used == bit + nr)
			return bit;
		start = find_bit(cma, used, cma->count, false);
	}
	return cma->count;
}

/*
 * Bits of pages that were freed one by one, by other ways than cma_release; false: there were none. That some may be of
 * a range that is being had just now, and is isolated, does no harm: what is in use is seen by who wants the place,
 * too.
 */
static bool forget_freed_pages(struct cma *cma)
{
	unsigned long bit = 0, nr;
	bool any = false;

	mutex_lock(&cma_lock);
	while ((bit = find_bit(cma, bit, cma->count, true)) < cma->count) {
		struct block_seen b = look_at_block(cma->base_pfn + bit);

		nr = min_ul(b.pfn + b.nr - cma->base_pfn, cma->count) - bit;
		if (b.use != BLOCK_FIXED) {
			write_bits(cma, bit, nr, false);
			any = true;
		}
		bit += nr;
	}
	mutex_unlock(&cma_lock);
	return any;
}

static struct page *alloc_from_area(struct cma *cma, unsigned long nr, gfp_t gfp)
{
	const struct zone *zone = pfn_to_zone(cma->base_pfn);
	unsigned long align = is_power_of_2(nr) ? nr : 1, start = 0, bit, pfn, next;
	int err = -EBUSY;

	while (err == -EBUSY) {
		mutex_lock(&cma_lock);
		bit = find_zero_area(cma, start, nr, align);
		if (bit < cma->count)
			write_bits(cma, bit, nr, true);
		mutex_unlock(&cma_lock);
		if (bit == cma->count)
			return NULL;
		pfn = cma->base_pfn + bit;
		/* Something there cannot move: try behind it. */
		next = pfn_range_obstacle(zone, pfn, pfn + nr, MIGRATE_CMA, gfp);
		err = next == NO_PFN ? alloc_contig_range(pfn, pfn + nr, MIGRATE_CMA, gfp) : -EBUSY;
		if (!err)
			return pfn_to_page(pfn);
		start = next == NO_PFN ? bit + 1 : next - cma->base_pfn;
		cma_clear_bits(pfn, nr);
	}
	return NULL;
}

struct page *cma_alloc(unsigned long nr_pages, int nid, gfp_t gfp)
{
	unsigned int i, nr = smp_load_acquire(&nr_areas);
	struct page *page = NULL;

	if (!nr_pages)
		return NULL;
	for (i = 0; i < nr && !page; i++)
		if (nid < 0 || areas[i].nid == nid) {
			page = alloc_from_area(&areas[i], nr_pages, gfp);
			if (!page && forget_freed_pages(&areas[i]))
				page = alloc_from_area(&areas[i], nr_pages, gfp);
		}
	count_vm_events(page ? CMA_ALLOC_SUCCESS : CMA_ALLOC_FAIL, nr_pages);
	return page;
}

static struct cma *find_area(unsigned long pfn)
{
	unsigned int i, nr = smp_load_acquire(&nr_areas);

	for (i = 0; i < nr; i++)
		if (pfn - areas[i].base_pfn < areas[i].count)
			return &areas[i];
	return NULL;
}

bool cma_contains(unsigned long pfn)
{
	return find_area(pfn) != NULL;
}

bool cma_clear_bits(unsigned long pfn, unsigned long nr_pages)
{
	struct cma *cma = find_area(pfn);

	if (likely(!cma) || nr_pages > cma->base_pfn + cma->count - pfn)
		return false;
	mutex_lock(&cma_lock);
	write_bits(cma, pfn - cma->base_pfn, nr_pages, false);
	mutex_unlock(&cma_lock);
	return true;
}

bool cma_release(struct page *page, unsigned long nr_pages)
{
	unsigned long pfn = page_to_pfn(page);

	if (!cma_contains(pfn))
		return false;
	free_contig_range(pfn, nr_pages);
	return true;
}

/* Pageblocks for an area, in the zone already; 0: there are none. */
static unsigned long area_blocks(struct zone *zone, unsigned long nr)
{
	unsigned long pb;
	bool clean;

	if (zone_pageset_init(zone))
		return 0;
	/* Aligned so that it can serve every power of two that is not larger than it. */
	pb = arena_alloc(nr, 1UL << ilog2(nr), PB_OFFLINE, zone->nid, &clean);
	if (!pb)
		return 0;
	arena_advise_huge(pb, nr, true);
	zone_online_blocks(zone, pb, nr, MIGRATE_CMA, !clean);
	return pb;
}

int cma_declare_contiguous(size_t size, int nid)
{
	unsigned long nr = (size >> PAGEBLOCK_SHIFT) + !is_aligned(size, PAGEBLOCK_SIZE), pb;
	struct cma cma = { .count = nr << PAGEBLOCK_ORDER, .nid = nid < 0 ? numa_node_id() : nid };

	if (!size || nid >= (int)topology.nr_nodes || !NODE_DATA(cma.nid))
		return -EINVAL;
	if (nr_areas == MAX_CMA_AREAS)
		return -ENOSPC;
	cma.bitmap = memblock_alloc(cma.count / 8);
	if (!cma.bitmap)
		return -ENOMEM;
	pb = area_blocks(&NODE_DATA(cma.nid)->node_zones[ZONE_NORMAL], nr);
	if (!pb)
		return -ENOMEM;
	cma.base_pfn = pb << PAGEBLOCK_ORDER;
	areas[nr_areas] = cma;
	smp_store_release(&nr_areas, nr_areas + 1);
	return 0;
}

void cma_reserve(void)
{
	unsigned int i;

	for (i = 0; i < tunables.cma.nr; i++) {
		const struct tunable_area *area = &tunables.cma.area[i];
		int err = cma_declare_contiguous(area->size, area->nid);

		if (err)
			bm_warn("cma: no area of %lu KiB on node %d: error %d", area->size >> 10, area->nid, -err);
	}
}

void cma_lock_all(void)
{
	mutex_lock(&cma_lock);
}

void cma_unlock_all(void)
{
	mutex_unlock(&cma_lock);
}

void cma_reinit_after_fork(void)
{
	mutex_reinit_after_fork(&cma_lock);
}
