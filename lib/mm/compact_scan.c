/* SPDX-License-Identifier: MIT */
/*
 * The scanners' work in one zone. The zone's lock is held while free blocks are taken, and never while users of blocks
 * are asked: so the scanner of blocks reads descriptors that may be anybody's, and isolate_movable_page is the judge.
 */
#include "mm/compact_scan.h"

#include "mm/buddy.h"
#include "mm/internal.h"
#include "mm/migrate.h"
#include "mm/vmstat.h"

/* Free pages that are held at most while one is looked for that is large enough. */
#define FREEPAGES_MAX PAGEBLOCK_PAGES

/* One who does not wait gives up the whole of his scan instead. */
static bool compact_lock(struct compact_control *cc)
{
	if (cc->mode != MIGRATE_ASYNC) {
		mutex_lock(&cc->zone->lock);
		return true;
	}
	if (mutex_trylock(&cc->zone->lock))
		return true;
	cc->contended = true;
	return false;
}

void reset_isolation_suitable(struct zone *zone)
{
	unsigned long start = READ_ONCE(zone->zone_start_pfn), end = READ_ONCE(zone->zone_end_pfn), pfn;

	WRITE_ONCE(zone->compact_blockskip_flush, false);
	WRITE_ONCE(zone->compact_cached_migrate_pfn[0], start);
	WRITE_ONCE(zone->compact_cached_migrate_pfn[1], start);
	WRITE_ONCE(zone->compact_cached_free_pfn, end ? end - PAGEBLOCK_PAGES : 0);
	for (pfn = start; pfn < end; pfn += PAGEBLOCK_PAGES)
		if (pageblock_in_zone(zone, pfn))
			WRITE_ONCE(pfn_to_block(pfn)->skip, 0);
}

static bool isolation_suitable(const struct compact_control *cc, unsigned long pfn)
{
	return cc->ignore_skip_hint || !READ_ONCE(pfn_to_block(pfn)->skip);
}

/* All of a pageblock was looked at, and nothing found: others need not look, nor come this way again. */
static void update_pageblock_skip(const struct compact_control *cc, unsigned long start, bool migrate_scanner)
{
	struct zone *zone = cc->zone;
	unsigned long end = start + PAGEBLOCK_PAGES;

	if (cc->ignore_skip_hint)
		return;
	WRITE_ONCE(pfn_to_block(start)->skip, 1);
	if (!migrate_scanner) {
		if (start < READ_ONCE(zone->compact_cached_free_pfn))
			WRITE_ONCE(zone->compact_cached_free_pfn, start);
		return;
	}
	if (end > READ_ONCE(zone->compact_cached_migrate_pfn[0]))
		WRITE_ONCE(zone->compact_cached_migrate_pfn[0], end);
	if (cc->mode != MIGRATE_ASYNC && end > READ_ONCE(zone->compact_cached_migrate_pfn[1]))
		WRITE_ONCE(zone->compact_cached_migrate_pfn[1], end);
}

static bool migrate_movable_type(enum migratetype mt)
{
	return mt == MIGRATE_MOVABLE || mt == MIGRATE_CMA;
}

/*
 * One who does not wait looks only where movable blocks belong: elsewhere one that stays spoils the rest. Isolated
 * pageblocks are being emptied by somebody already.
 */
static bool suitable_migration_source(const struct compact_control *cc, unsigned long pfn)
{
	enum migratetype mt = get_pageblock_migratetype(pfn);

	if (mt == MIGRATE_ISOLATE)
		return false;
	return cc->mode != MIGRATE_ASYNC || migrate_movable_type(mt);
}

/* Isolate blocks of one pageblock, from low_pfn on; how far it was looked at. */
static unsigned long isolate_migratepages_block(struct compact_control *cc, unsigned long low_pfn,
						unsigned long end_pfn)
{
	unsigned int max_order = cc->order < 0 ? PAGEBLOCK_ORDER : (unsigned int)cc->order;
	unsigned long start_pfn = low_pfn, pfn = low_pfn;

	while (pfn < end_pfn && cc->nr_migratepages < COMPACT_CLUSTER_MAX) {
		struct page *page = pfn_to_page(pfn);
		unsigned int order;
		bool maybe = page_maybe_movable(page, &order);

		cc->migrate_scanned++;
		pfn = min_ul(pfn + (1UL << order), end_pfn);
		/* To move a block as large as the one that is wanted gains nothing. */
		if (!maybe || order >= max_order || !isolate_movable_page(page))
			continue;
		cc->migratepages[cc->nr_blocks++] = page;
		cc->nr_migratepages += 1UL << page->order;
	}
	cc->isolated += cc->nr_migratepages;
	if (pfn == end_pfn && is_aligned(start_pfn, PAGEBLOCK_PAGES) && !cc->nr_blocks)
		update_pageblock_skip(cc, start_pfn, true);
	return pfn;
}

enum isolate_migrate isolate_migratepages(struct compact_control *cc)
{
	unsigned long low_pfn = cc->migrate_pfn;
	unsigned long block_start = align_down(low_pfn, PAGEBLOCK_PAGES);

	/* The pageblock of the other scanner is the end. */
	for (; block_start + PAGEBLOCK_PAGES <= cc->free_pfn; low_pfn = block_start += PAGEBLOCK_PAGES) {
		if (!pageblock_in_zone(cc->zone, block_start) || !isolation_suitable(cc, block_start) ||
		    !suitable_migration_source(cc, block_start))
			continue;
		low_pfn = isolate_migratepages_block(cc, low_pfn, block_start + PAGEBLOCK_PAGES);
		if (cc->contended) {
			cc->migrate_pfn = low_pfn;
			return ISOLATE_ABORT;
		}
		break;
	}
	cc->migrate_pfn = low_pfn;
	return cc->nr_blocks ? ISOLATE_SUCCESS : ISOLATE_NONE;
}

static bool suitable_migration_target(const struct compact_control *cc, unsigned long pfn)
{
	enum migratetype mt = get_pageblock_migratetype(pfn);

	/* Not what is being emptied, nor what is kept for others. */
	if (mt == MIGRATE_ISOLATE || mt == MIGRATE_HIGHATOMIC)
		return false;
	return cc->ignore_block_suitable || migrate_movable_type(mt);
}

static void freepages_add(struct compact_control *cc, struct page *page)
{
	page->next = cc->freepages[page->order];
	cc->freepages[page->order] = (uint32_t)page_to_pfn(page);
	cc->nr_freepages += 1UL << page->order;
}

static struct page *freepages_del(struct compact_control *cc, unsigned int order)
{
	struct page *page = pfn_to_page(cc->freepages[order]);

	cc->freepages[order] = page->next;
	cc->nr_freepages -= 1UL << order;
	return page;
}

/* Take a free block for ours, unless others need it more; the zone is locked. */
static bool isolate_free_page(struct compact_control *cc, struct page *page)
{
	struct zone *zone = cc->zone;

	/* What is one piece already is what compaction is for. */
	if (page->order >= PAGEBLOCK_ORDER)
		return false;
	if (!zone_watermark_ok(zone, 0, READ_ONCE(zone->watermark[WMARK_MIN]) + (1UL << page->order), ZONE_DMA32,
			       ALLOC_CMA))
		return false;
	del_page_from_free_list(zone, page);
	freepages_add(cc, page);
	return true;
}

/* Take free blocks of a pageblock from start_pfn on, until there are want pages; how far it came. */
static unsigned long isolate_freepages_block(struct compact_control *cc, unsigned long start_pfn, unsigned long end_pfn,
					     unsigned long want)
{
	unsigned long pfn = start_pfn;
	bool some = false;

	if (!compact_lock(cc))
		return pfn;
	/* It may have left the zone before that was locked, or be isolated by now: then what is free is somebody's. */
	if (!pageblock_in_zone(cc->zone, pfn) || !suitable_migration_target(cc, pfn))
		pfn = end_pfn;
	while (pfn < end_pfn && cc->nr_freepages < want) {
		struct page *page = pfn_to_page(pfn);

		cc->free_scanned++;
		if (page_type(page) != PAGE_BUDDY) {
			pfn++;
			continue;
		}
		pfn = min_ul(pfn + (1UL << page->order), end_pfn);
		some |= isolate_free_page(cc, page);
	}
	mutex_unlock(&cc->zone->lock);
	if (pfn == end_pfn && is_aligned(start_pfn, PAGEBLOCK_PAGES) && !some)
		update_pageblock_skip(cc, start_pfn, false);
	return pfn;
}

/* Fill the lists of free blocks up to want pages. free_pfn stays where it was interrupted: inside a pageblock it goes
 * upwards, from one to the next down. */
static void isolate_freepages(struct compact_control *cc, unsigned long want)
{
	unsigned long low_pfn = align_down(cc->migrate_pfn, PAGEBLOCK_PAGES) + PAGEBLOCK_PAGES;
	unsigned long pfn = cc->free_pfn, block_start = align_down(pfn, PAGEBLOCK_PAGES);

	for (; block_start >= low_pfn; pfn = block_start -= PAGEBLOCK_PAGES) {
		if (!pageblock_in_zone(cc->zone, block_start) || !suitable_migration_target(cc, block_start) ||
		    !isolation_suitable(cc, block_start))
			continue;
		pfn = isolate_freepages_block(cc, pfn, block_start + PAGEBLOCK_PAGES, want);
		if (cc->contended)
			break;
		if (cc->nr_freepages >= want) {
			if (pfn == block_start + PAGEBLOCK_PAGES)
				pfn = block_start - PAGEBLOCK_PAGES;
			break;
		}
	}
	cc->free_pfn = pfn;
}

/* The smallest of our blocks that is large enough; MAX_ORDER: none is. */
static unsigned int freepages_order(const struct compact_control *cc, unsigned int order)
{
	while (order < MAX_ORDER && cc->freepages[order] == NO_PFN)
		order++;
	return order;
}

struct page *compaction_alloc(struct compact_control *cc, unsigned int order)
{
	unsigned int have = freepages_order(cc, order);
	struct page *page;

	/* One large block that stays spoils a pageblock. Small pages that are passed on the way will serve others. */
	while (have == MAX_ORDER && cc->nr_freepages < FREEPAGES_MAX && !cc->contended && !compact_scanners_met(cc)) {
		isolate_freepages(cc, max_ul(cc->nr_migratepages, cc->nr_freepages + (1UL << order)));
		have = freepages_order(cc, order);
	}
	if (have == MAX_ORDER)
		return NULL;
	page = freepages_del(cc, have);
	while (have > order) {
		struct page *upper = page + (1UL << --have);

		upper->order = (uint8_t)have;
		upper->flags = page->flags;
		freepages_add(cc, upper);
	}
	prep_new_page(page, order, GFP_MOVABLE, ALLOC_WMARK_MIN);
	return page;
}

unsigned long release_freepages(struct compact_control *cc)
{
	unsigned long high_pfn = 0;
	unsigned int order;

	if (!cc->nr_freepages)
		return 0;
	mutex_lock(&cc->zone->lock);
	for (order = 0; order < MAX_ORDER; order++)
		while (cc->freepages[order] != NO_PFN) {
			struct page *page = freepages_del(cc, order);

			high_pfn = max_ul(high_pfn, page_to_pfn(page));
			free_one_page(cc->zone, page_to_pfn(page), order, page->flags & PG_DIRTY);
		}
	mutex_unlock(&cc->zone->lock);
	return high_pfn;
}
