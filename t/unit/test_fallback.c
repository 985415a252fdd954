/* SPDX-License-Identifier: MIT */
/*
 * Migratetypes: pageblocks stay pure while the zone can grow; when it cannot, requests are served from other types,
 * whole pageblocks change sides, and the order of preference is kept.
 */
#include <errno.h>

#include "mm/internal.h"
#include "mm/memory_hotplug.h"
#include "mm/pcp.h"
#include "model.h"

static struct zone *zone;

/* A request of any mobility from the zone Normal, which by itself is asked for movable pages only when the zone Movable
 * has none. */
static struct page *take(gfp_t gfp, unsigned int order)
{
	struct alloc_context ac = {
		.zonelist = NODE_DATA(0)->node_zonelists[ZONELIST_NOFALLBACK],
		.migratetype = gfp_migratetype(gfp),
		.highest_zoneidx = ZONE_NORMAL,
		.lowest_zoneidx = ZONE_NORMAL,
	};

	struct page *page;

	reset_preferred(&ac);
	page = get_page_from_freelist(gfp, order, ALLOC_WMARK_LOW | ALLOC_NOFRAGMENT, &ac);
	if (!page && drain_all_pages()) /* the rest may lie in another type's list */
		page = get_page_from_freelist(gfp, order, ALLOC_WMARK_LOW | ALLOC_NOFRAGMENT, &ac);
	return page;
}

static enum migratetype type_of(const struct page *page)
{
	return get_pageblock_migratetype(page_to_pfn(page));
}

static unsigned long block_of_page(const struct page *page)
{
	return page_to_pfn(page) >> PAGEBLOCK_ORDER;
}

/* Two pageblocks, all taken, and the system has no more. */
static void two_full_blocks(gfp_t gfp0, gfp_t gfp1, struct page **page)
{
	zone = model_start();
	page[0] = take(GFP_USER | gfp0, PAGEBLOCK_ORDER);
	page[1] = take(GFP_USER | gfp1, PAGEBLOCK_ORDER);
	must(page[0] && page[1] && type_of(page[0]) == gfp_migratetype(gfp0) &&
	     type_of(page[1]) == gfp_migratetype(gfp1));
	fake_os_no_memory();
	must(!take(GFP_USER, 0));
	must(zone->nr_free_pages == 0);
}

static void free_half(struct page *page)
{
	free_pages_exact(page + PAGEBLOCK_PAGES / 2, PAGEBLOCK_PAGES / 2);
	check_zone(zone);
}

static void growth_first(void)
{
	struct page *u, *m, *r;

	zone = model_start();
	u = take(GFP_USER, 0);
	must(zone->nr_grown == 1 && type_of(u) == MIGRATE_UNMOVABLE);
	m = take(GFP_USER | GFP_MOVABLE, 0);
	r = take(GFP_USER | GFP_RECLAIMABLE, 4);
	must(zone->nr_grown == 3 && !zone->nr_stolen && !zone->nr_fallback);
	must(type_of(m) == MIGRATE_MOVABLE && type_of(r) == MIGRATE_RECLAIMABLE);
	must(block_of_page(u) != block_of_page(m) && block_of_page(m) != block_of_page(r));
	check_zone(zone);
}

static void half_a_block_is_stolen(void)
{
	struct page *page[2], *m, *u;
	unsigned int i;

	two_full_blocks(0, 0, page);
	free_half(page[0]);
	m = take(GFP_USER | GFP_MOVABLE, 0);
	must(m && block_of_page(m) == block_of_page(page[0]));
	must(type_of(m) == MIGRATE_MOVABLE && zone->nr_stolen == 1);
	must(type_of(page[1]) == MIGRATE_UNMOVABLE);
	check_zone(zone);
	drain_all_pages();
	u = take(GFP_USER, PCP_MAX_ORDER + 1);
	must(u && type_of(u) == MIGRATE_UNMOVABLE && zone->nr_stolen == 2);
	check_zone(zone);
	/* Down to the last page, whoever asks. */
	for (i = 1 + 16; i < PAGEBLOCK_PAGES / 2; i++)
		must(take(GFP_USER | (i % 2 ? GFP_MOVABLE : GFP_RECLAIMABLE), 0), "page %u", i);
	must(!take(GFP_USER, 0) && !take(GFP_USER | GFP_MOVABLE, 0));
	must(!zone->nr_free_pages && !nr_pcp_pages(zone));
	check_zone(zone);
}

static void small_rest(void)
{
	struct page *page[2];

	two_full_blocks(0, 0, page);
	free_pages_exact(page[0] + 5, 1);
	free_pages_exact(page[1] + 8, 2);
	mutex_lock(&zone->lock);
	must(!rmqueue_buddy(zone, 0, MIGRATE_MOVABLE, ALLOC_NOFRAGMENT));
	must(rmqueue_buddy(zone, 0, MIGRATE_MOVABLE, 0) == page[0] + 5, "a movable page from the smallest rest");
	must(rmqueue_buddy(zone, 1, MIGRATE_MOVABLE, 0) == page[1] + 8);
	must(!rmqueue_buddy(zone, 0, MIGRATE_MOVABLE, 0));
	mutex_unlock(&zone->lock);
	check_zone(zone);
}

/* Who is asked first: fallbacks from a request of type gfp, with the types of gfp0 and gfp1 to take from. */
static void first_choice(gfp_t gfp, gfp_t gfp0, gfp_t gfp1)
{
	struct page *page[2], *got;

	two_full_blocks(gfp0, gfp1, page);
	free_half(page[0]);
	free_half(page[1]);
	got = take(GFP_USER | gfp, 5);
	must(got && block_of_page(got) == block_of_page(page[0]));
	must(type_of(page[0]) == gfp_migratetype(gfp) && type_of(page[1]) == gfp_migratetype(gfp1));
	check_zone(zone);
}

static void unmovable_choice(void)
{
	first_choice(0, GFP_RECLAIMABLE, GFP_MOVABLE);
}

static void movable_choice(void)
{
	first_choice(GFP_MOVABLE, GFP_RECLAIMABLE, 0);
}

static void reclaimable_choice(void)
{
	first_choice(GFP_RECLAIMABLE, 0, GFP_MOVABLE);
}

/* The largest block of the other type is broken, so that the fewest pageblocks are mixed. */
static void largest_first(void)
{
	struct page *page[2], *got;

	two_full_blocks(GFP_MOVABLE, GFP_MOVABLE, page);
	free_pages_exact(page[0] + 16, 16);
	free_half(page[1]);
	got = take(GFP_USER, PCP_MAX_ORDER + 1);
	must(got && block_of_page(got) == block_of_page(page[1]));
	must(type_of(page[0]) == MIGRATE_MOVABLE);
	check_zone(zone);
}

static void order_10_is_stolen(void)
{
	struct page *page, *got;

	zone = model_start();
	page = take(GFP_USER | GFP_MOVABLE, MAX_ORDER - 1);
	must(page && type_of(page + PAGEBLOCK_PAGES) == MIGRATE_MOVABLE);
	fake_os_no_memory();
	mutex_lock(&zone->lock);
	free_one_page(zone, page_to_pfn(page), MAX_ORDER - 1, true);
	mutex_unlock(&zone->lock);
	while ((got = take(GFP_USER, PAGEBLOCK_ORDER)))
		must(type_of(got) == MIGRATE_UNMOVABLE);
	must(type_of(page) == MIGRATE_UNMOVABLE && type_of(page + PAGEBLOCK_PAGES) == MIGRATE_UNMOVABLE);
	check_zone(zone);
}

static void whole_block_moves(void)
{
	struct page *page[2];
	unsigned long moved;

	two_full_blocks(0, 0, page);
	free_pages_exact(page[0] + 1, 6);
	free_pages_exact(page[0] + 100, 1);
	mutex_lock(&zone->lock);
	moved = move_freepages_block(zone, page_to_pfn(page[0]) + 300, MIGRATE_RECLAIMABLE);
	mutex_unlock(&zone->lock);
	must(moved == 7 && type_of(page[0]) == MIGRATE_RECLAIMABLE && type_of(page[1]) == MIGRATE_UNMOVABLE);
	check_zone(zone);
	/* And pages that are freed later follow the pageblock. */
	free_pages_exact(page[0], 1);
	must(take(GFP_USER | GFP_RECLAIMABLE, 2) && zone->nr_fallback == 0);
	check_zone(zone);
}

/* Two pageblocks that are kept for atomic requests are free, and one block: given back one by one. */
static void joined_reserve(void)
{
	struct alloc_context ac = { .migratetype = MIGRATE_MOVABLE, .highest_zoneidx = ZONE_NORMAL };
	unsigned long pfn;

	zone = model_start();
	pfn = page_to_pfn(alloc_pages(GFP_USER, MAX_ORDER - 1));
	ac.zonelist = NODE_DATA(zone->nid)->node_zonelists[ZONELIST_FALLBACK];
	reset_preferred(&ac);
	mutex_lock(&zone->lock);
	set_pageblock_migratetype(pfn, MIGRATE_HIGHATOMIC);
	set_pageblock_migratetype(pfn + PAGEBLOCK_PAGES, MIGRATE_HIGHATOMIC);
	zone->nr_reserved_highatomic = 2 * PAGEBLOCK_PAGES;
	free_one_page(zone, pfn, MAX_ORDER - 1, true);
	mutex_unlock(&zone->lock);
	check_zone(zone);
	must(unreserve_highatomic_pageblock(&ac, false));
	check_zone(zone);
	must(zone->nr_reserved_highatomic == PAGEBLOCK_PAGES && zone->nr_free_blocks == 1);
	must(!unreserve_highatomic_pageblock(&ac, false) && unreserve_highatomic_pageblock(&ac, true));
	check_zone(zone);
	must(!zone->nr_reserved_highatomic && zone->free_area[MAX_ORDER - 1].free_list[MIGRATE_MOVABLE] == pfn);
}

static struct page *from(unsigned int order, enum migratetype mt, unsigned int alloc_flags)
{
	struct page *page;

	mutex_lock(&zone->lock);
	page = rmqueue_buddy(zone, order, mt, alloc_flags);
	mutex_unlock(&zone->lock);
	return page;
}

/* Of nr pages of a pageblock every second group of 2^order is free. */
static void free_every_second(struct page *page, unsigned long nr, unsigned int order)
{
	unsigned long i;

	for (i = 0; i < nr; i += 2UL << order)
		free_pages_exact(page + i, 1UL << order);
}

/* Less than half of it is free or alike: a block is lent, the pageblock stays what it is. */
static void lent(void)
{
	struct page *page[2], *got;

	two_full_blocks(GFP_RECLAIMABLE, GFP_RECLAIMABLE, page);
	free_pages_exact(page[0] + 256, 128);
	got = from(3, MIGRATE_UNMOVABLE, 0);
	must(got && zone->nr_fallback == 1 && !zone->nr_stolen && type_of(got) == MIGRATE_RECLAIMABLE);
	must(zone->free_area[6].free_list[MIGRATE_RECLAIMABLE] != NO_PFN, "the rest of it, too");
	check_zone(zone);
}

/* What is not movable in a movable pageblock is most likely like us. */
static void claimed_from_movable(void)
{
	struct page *page[2], *got;

	two_full_blocks(GFP_MOVABLE, GFP_MOVABLE, page);
	free_pages_exact(page[0] + 256, 128);
	got = from(3, MIGRATE_UNMOVABLE, 0);
	must(got && zone->nr_stolen == 1 && type_of(got) == MIGRATE_UNMOVABLE);
	check_zone(zone);
}

static void not_claimed_from_movable(void)
{
	struct page *page[2], *got;

	two_full_blocks(GFP_MOVABLE, GFP_MOVABLE, page);
	page[0]->order = 8;
	page[0]->flags |= PG_MOVABLE;
	page[0][256].type = PAGE_HEAD;
	page[0][256].order = 7;
	page[0][256].flags = PG_MOVABLE;
	free_pages_exact(page[0] + 384, 128);
	got = from(3, MIGRATE_UNMOVABLE, 0);
	must(got && zone->nr_fallback == 1 && !zone->nr_stolen && type_of(got) == MIGRATE_MOVABLE, "it is theirs");
	check_zone(zone);
}

/* Movable requests count the blocks that can be moved. */
static void claimed_for_movable(void)
{
	struct page *page[2], *got;

	two_full_blocks(0, 0, page);
	page[0]->order = 8;
	page[0]->flags |= PG_MOVABLE;
	free_pages_exact(page[0] + 256, 32);
	got = from(0, MIGRATE_MOVABLE, 0);
	must(got && zone->nr_stolen == 1 && type_of(got) == MIGRATE_MOVABLE);
	check_zone(zone);
}

/* Small blocks of a pageblock that is half free: others claim it, movable requests leave it. */
static void small_blocks(void)
{
	struct page *page[2], *got;
	enum migratetype mt;
	bool can_steal;

	two_full_blocks(0, GFP_RECLAIMABLE, page);
	free_every_second(page[0], PAGEBLOCK_PAGES, 3);
	free_pages_exact(page[0] + 8, 1);
	got = from(0, MIGRATE_MOVABLE, 0);
	must(got == page[0] + 8 && !zone->nr_stolen && type_of(got) == MIGRATE_UNMOVABLE, "the smallest");
	mt = find_suitable_fallback(zone, 3, MIGRATE_MOVABLE, false, &can_steal);
	must(mt == MIGRATE_UNMOVABLE && !can_steal);
	must(find_suitable_fallback(zone, 3, MIGRATE_MOVABLE, true, &can_steal) == MIGRATE_TYPES);
	must(find_suitable_fallback(zone, 3, MIGRATE_RECLAIMABLE, true, &can_steal) == MIGRATE_UNMOVABLE && can_steal);
	must(find_suitable_fallback(zone, 4, MIGRATE_RECLAIMABLE, false, &can_steal) == MIGRATE_TYPES);
	got = from(0, MIGRATE_RECLAIMABLE, 0);
	must(got && zone->nr_stolen == 1 && type_of(got) == MIGRATE_RECLAIMABLE);
	check_zone(zone);
}

/* Mixing boosts the mark; who may wake kswapd is to do so. */
static void boosted(void)
{
	struct page *page[2];

	two_full_blocks(GFP_RECLAIMABLE, GFP_RECLAIMABLE, page);
	free_every_second(page[0], 64, 0);
	must(from(0, MIGRATE_UNMOVABLE, ALLOC_KSWAPD) && !zone->watermark_boost && !zone->flags, "no mark is in force");
	zone->watermark[WMARK_HIGH] = 1000;
	zone->managed_pages += 2 * PAGEBLOCK_PAGES;
	must(from(0, MIGRATE_UNMOVABLE, 0) && zone->watermark_boost == PAGEBLOCK_PAGES && !zone->flags);
	must(from(0, MIGRATE_UNMOVABLE, ALLOC_KSWAPD) && zone->flags == ZONE_BOOSTED_WATERMARK);
	must(zone->watermark_boost == 2 * PAGEBLOCK_PAGES);
	must(from(0, MIGRATE_UNMOVABLE, 0) && zone->watermark_boost == 1500);
	zone->managed_pages -= 2 * PAGEBLOCK_PAGES;
	/* Not where a whole pageblock is to be had. */
	zone->watermark_boost = 0;
	zone->watermark[WMARK_HIGH] = 0;
	free_pages_exact(page[1], PAGEBLOCK_PAGES);
	zone->watermark[WMARK_HIGH] = 1000;
	must(from(0, MIGRATE_UNMOVABLE, 0) && !zone->watermark_boost && zone->nr_stolen == 1);
}

/* Of the first blocks of a list that in the fullest pageblock, so that the other empties. */
static void fullest_first(void)
{
	struct page *page[2];

	two_full_blocks(0, 0, page);
	free_pages_exact(page[1] + 8, 1);
	free_every_second(page[0], 8, 0);
	must(from(0, MIGRATE_UNMOVABLE, 0) == page[1] + 8);
	check_zone(zone);
}

/* While CMA areas have more than half of what is free, movable requests are served there; afterwards at last. */
static void cma_balance(void)
{
	struct page *page[2], *got;
	unsigned long i;

	two_full_blocks(GFP_MOVABLE, GFP_MOVABLE, page);
	fake_os_reset();
	must(zone_grow(zone, PAGEBLOCK_ORDER, MIGRATE_CMA) && zone->nr_free_cma == PAGEBLOCK_PAGES);
	fake_os_no_memory();
	free_pages_exact(page[0], 384);
	for (i = 0; i < 128; i++)
		must(type_of(from(0, MIGRATE_MOVABLE, ALLOC_CMA)) == MIGRATE_CMA, "page %lu", i);
	for (i = 0; i < 384; i++) {
		got = from(0, MIGRATE_MOVABLE, ALLOC_CMA);
		must(got, "page %lu", i);
	}
	must(zone->nr_free_cma <= zone->nr_free_pages);
	while (from(0, MIGRATE_MOVABLE, 0))
		;
	must(zone->nr_free_cma && zone->nr_free_cma == zone->nr_free_pages, "only with the right to it");
	must(!from(0, MIGRATE_UNMOVABLE, 0));
	must(type_of(from(0, MIGRATE_MOVABLE, ALLOC_CMA)) == MIGRATE_CMA);
	check_zone(zone);
}

int main(void)
{
	run_case("the zone grows before types mix", growth_first);
	run_case("without growth a half-free pageblock changes its type", half_a_block_is_stolen);
	run_case("a rest of one page serves", small_rest);
	run_case("unmovable requests take from reclaimable first", unmovable_choice);
	run_case("movable requests take from reclaimable first", movable_choice);
	run_case("reclaimable requests take from unmovable first", reclaimable_choice);
	run_case("the largest block is broken first", largest_first);
	run_case("both pageblocks of an order 10 block change their type", order_10_is_stolen);
	run_case("the atomic reserve gives back pageblocks that have joined", joined_reserve);
	run_case("move_freepages_block moves all that is free", whole_block_moves);
	run_case("less than half: the pageblock stays what it is", lent);
	run_case("what is in a movable pageblock may be like us", claimed_from_movable);
	run_case("but not what is movable there", not_claimed_from_movable);
	run_case("movable requests count what can be moved", claimed_for_movable);
	run_case("small blocks: others claim, movable requests take the smallest", small_blocks);
	run_case("mixing boosts the mark", boosted);
	run_case("the fullest pageblock first", fullest_first);
	run_case("CMA areas and the rest are used in balance", cma_balance);
	return done_testing();
}
