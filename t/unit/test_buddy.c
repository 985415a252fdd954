/* SPDX-License-Identifier: MIT */
/*
 * The buddy system: one zone's free areas by themselves, then random operations through the page allocator against a
 * model that knows nothing but which page belongs to which block.
 */
#include "mm/balance.h"
#include "mm/balance_inner.h"
#include "mm/pcp.h"
#include "model.h"

#define MODEL_PAGES (256UL << PAGEBLOCK_ORDER)
#define MAX_BLOCKS 400
#define MAX_HELD (16UL << PAGEBLOCK_ORDER)

struct block {
	struct page *page;
	unsigned long nr;
	unsigned int order;
	bool exact;
};

static struct zone *zone;
static uint32_t owner[MODEL_PAGES]; /* which block a page belongs to; 0: none */
static struct block blocks[MAX_BLOCKS];
static unsigned long held;

static uint64_t stamp(unsigned long pfn, uint32_t id)
{
	return ((uint64_t)id << 32 | pfn) * 0x9e3779b97f4a7c15 | 1;
}

static void claim(unsigned long pfn, unsigned long nr, uint32_t id)
{
	unsigned long i;

	must(pfn >= PAGEBLOCK_PAGES && pfn + nr <= MODEL_PAGES, "pages %lu to %lu", pfn, pfn + nr);
	for (i = pfn; i < pfn + nr; i++) {
		uint64_t *word = pfn_to_addr(i);

		must(!owner[i], "page %lu is of block %u already", i, owner[i]);
		owner[i] = id;
		word[0] = word[PAGE_SIZE / 8 - 1] = stamp(i, id);
	}
	held += nr;
}

static void disown(unsigned long pfn, unsigned long nr, uint32_t id)
{
	unsigned long i;

	for (i = pfn; i < pfn + nr; i++) {
		uint64_t *word = pfn_to_addr(i);

		must(owner[i] == id);
		must(word[0] == stamp(i, id) && word[PAGE_SIZE / 8 - 1] == stamp(i, id), "page %lu was written to", i);
		owner[i] = 0;
	}
	held -= nr;
}

static void check_all(void)
{
	check_zone(zone);
	check_arena();
	must(held + zone->nr_free_pages + nr_pcp_pages(zone) == zone->managed_pages, "%lu + %lu + %lu of %lu", held,
	     zone->nr_free_pages, nr_pcp_pages(zone), zone->managed_pages);
}

static void check_zero(const struct page *page, unsigned long nr)
{
	unsigned long i;

	if (page->flags & PG_DIRTY)
		return;
	for (i = 0; i < nr; i++) {
		const uint64_t *word = pfn_to_addr(page_to_pfn(page) + i);

		must(!word[0] && !word[PAGE_SIZE / 8 - 1], "page %lu of %lu is said to be clean", i, nr);
	}
}

static void alloc_one(uint32_t id)
{
	static const gfp_t mobility[] = { 0, 0, GFP_RECLAIMABLE };
	struct block *b = &blocks[id];
	unsigned int least;

	b->order = rnd(3) ? rnd(6) : rnd(MAX_ORDER);
	b->exact = rnd(3) == 0;
	b->nr = b->exact ? 1 + rnd(1UL << b->order) : 1UL << b->order;
	if (held + (1UL << b->order) > MAX_HELD)
		return;
	if (b->exact) {
		least = order_for_pages(b->nr);
		b->order = max_ul(least, rnd(4) ? 0 : min_ul(least + 1, MAX_ORDER - 1)) & 15;
		b->page = alloc_pages_exact(GFP_USER | mobility[rnd(ARRAY_SIZE(mobility))], b->nr, b->order);
	} else {
		b->page = alloc_pages(GFP_USER | mobility[rnd(ARRAY_SIZE(mobility))], b->order);
	}
	must(b->page, "%lu pages, order %u", b->nr, b->order);
	must(b->page->type == PAGE_HEAD && b->page->refcount == 1);
	must(is_aligned(page_to_pfn(b->page), 1UL << b->order), "order %u at %lu", b->order, page_to_pfn(b->page));
	must(is_aligned((uintptr_t)page_to_addr(b->page), PAGE_SIZE << b->order));
	check_zero(b->page, b->nr);
	claim(page_to_pfn(b->page), b->nr, id);
}

static void free_one(uint32_t id)
{
	struct block *b = &blocks[id];

	disown(page_to_pfn(b->page), b->nr, id);
	if (b->exact)
		free_pages_exact(b->page, b->nr);
	else
		free_pages(b->page, b->order);
	b->page = NULL;
}

static void resize_one(uint32_t id)
{
	struct block *b = &blocks[id];
	unsigned long pfn = page_to_pfn(b->page), nr = 1 + rnd(b->nr * 2), i;
	bool free_behind = true;

	if (!resize_pages_exact(b->page, b->nr, nr)) {
		must(nr > b->nr, "shrinking failed");
		for (i = pfn + b->nr; i < pfn + nr; i++)
			free_behind &= i < MODEL_PAGES && !owner[i] && i >> PAGEBLOCK_ORDER == pfn >> PAGEBLOCK_ORDER;
		/* What lies in the per-CPU lists is not free for this. */
		must(!free_behind || nr_pcp_pages(zone), "%lu pages at %lu not made %lu", b->nr, pfn, nr);
		return;
	}
	if (nr < b->nr)
		disown(pfn + nr, b->nr - nr, id);
	else
		claim(pfn + b->nr, nr - b->nr, id);
	b->nr = nr;
	b->exact = true;
}

static void one_step(void)
{
	uint32_t id = 1 + rnd(MAX_BLOCKS - 1);

	if (!blocks[id].page)
		alloc_one(id);
	else if (rnd(4) == 0)
		resize_one(id);
	else
		free_one(id);
	if (rnd(500) == 0)
		drain_all_pages();
	if (rnd(700) == 0)
		mm_trim(rnd(2) ? 0 : 4 * PAGEBLOCK_SIZE);
	if (rnd(700) == 0)
		zone_purge(zone, rnd(MAX_ORDER), rnd(2) * rnd(1000));
	check_all();
}

static void free_everything(void)
{
	uint32_t id, order;

	for (id = 1; id < MAX_BLOCKS; id++)
		if (blocks[id].page)
			free_one(id);
	drain_all_pages();
	must(!nr_pcp_pages(zone) && zone->nr_free_pages == zone->managed_pages);
	/* Everything has joined: nothing but whole pageblocks is left. */
	for (order = 0; order < PAGEBLOCK_ORDER; order++)
		must(!zone->free_area[order].nr_free, "a free block of order %u is left", order);
	check_all();
	zone_trim(zone, 0);
	must(!zone->managed_pages && !zone->nr_free_blocks && !zone->nr_dirty && !arena_stats.used);
	check_all();
}

static void random_operations(void)
{
	unsigned long i;

	zone = model_start();
	for (i = steps(30000); i; i--)
		one_step();
	free_everything();
	for (i = steps(3000); i; i--)
		one_step();
	free_everything();
}

/* A zone of one block of order 10, to be split and joined by hand. */
static unsigned long one_large_block(void)
{
	struct page *page;

	zone = model_start();
	page = alloc_pages(GFP_USER, MAX_ORDER - 1);
	must(page);
	mutex_lock(&zone->lock);
	free_one_page(zone, page_to_pfn(page), MAX_ORDER - 1, false);
	mutex_unlock(&zone->lock);
	check_zone(zone);
	return page_to_pfn(page);
}

static struct page *take(unsigned int order, enum migratetype mt)
{
	struct page *page;

	mutex_lock(&zone->lock);
	page = rmqueue_buddy(zone, order, mt, ALLOC_NOFRAGMENT);
	mutex_unlock(&zone->lock);
	check_zone(zone);
	return page;
}

static void give(unsigned long pfn, unsigned int order)
{
	mutex_lock(&zone->lock);
	free_one_page(zone, pfn, order, true);
	mutex_unlock(&zone->lock);
	check_zone(zone);
}

/* Split one block down, order by order; join it again in another order of frees. */
static void split_and_join(void)
{
	unsigned long pfn = one_large_block();
	unsigned int order;

	must(take(0, MIGRATE_UNMOVABLE) == pfn_to_page(pfn));
	for (order = 0; order < MAX_ORDER - 1; order++) {
		must(zone->free_area[order].nr_free == 1);
		must(zone->free_area[order].free_list[MIGRATE_UNMOVABLE] == pfn + (1UL << order));
	}
	must(zone->nr_free_blocks == 1 && zone->nr_free_pages == 1023);
	must(!take(MAX_ORDER - 1, MIGRATE_UNMOVABLE), "there is no such block any more");
	give(pfn, 0);
	must(zone->nr_free_pages == 1024 && zone->free_area[MAX_ORDER - 1].nr_free == 1);
	must(pfn_to_page(pfn)->flags & PG_DIRTY, "one dirty page makes the joined block dirty");
	must(zone->nr_dirty == 1024 && zone->nr_free_blocks == 2);
}

static void coalescing(void)
{
	static struct block taken[1024];
	unsigned long pfn = one_large_block(), round;

	for (round = steps(40); round; round--) {
		unsigned int n = 0, fails = 0;

		while (fails < 20) {
			unsigned int order = rnd(rnd(2) ? 4 : MAX_ORDER);
			struct page *page = take(order, MIGRATE_UNMOVABLE);

			fails += !page;
			if (page)
				taken[n++] = (struct block){ page, 1UL << order, order, false };
		}
		must(n);
		while (n) {
			unsigned int i = rnd(n);

			give(page_to_pfn(taken[i].page), taken[i].order);
			taken[i] = taken[--n];
		}
		must(zone->free_area[MAX_ORDER - 1].nr_free == 1 && zone->nr_free_pages == 1024);
		must(zone->free_area[MAX_ORDER - 1].free_list[MIGRATE_UNMOVABLE] == pfn);
	}
}

/* Free ranges of any length make the largest aligned blocks. */
static void ranges(void)
{
	unsigned long pfn = one_large_block();

	must(take(MAX_ORDER - 1, MIGRATE_UNMOVABLE));
	mutex_lock(&zone->lock);
	free_page_range(zone, pfn + 3, 10, false);
	mutex_unlock(&zone->lock);
	check_zone(zone);
	/* 3, 4 to 7, 8 to 11, 12 */
	must(zone->free_area[0].nr_free == 2 && zone->free_area[2].nr_free == 2 && zone->nr_free_pages == 10);
	must(!zone->nr_dirty);

	mutex_lock(&zone->lock);
	must(!take_free_range(zone, pfn + 3, 11), "page 13 is not free");
	must(zone->nr_free_pages == 10, "all or nothing");
	must(take_free_range(zone, pfn + 3, 6));
	must(zone->nr_free_pages == 4);
	must(!take_free_range(zone, pfn + 3, 1));
	must(take_free_range(zone, pfn + 9, 4));
	free_page_range(zone, pfn, 1024, true);
	must(take_free_range(zone, pfn, 510));
	must(take_free_range(zone, pfn + 510, 4), "a range in two pageblocks");
	must(!take_free_range(zone, pfn + 514, 511) && zone->nr_free_pages == 510,
	     "the next pageblock is not the zone's");
	free_page_range(zone, pfn, 514, true);
	mutex_unlock(&zone->lock);
	check_zone(zone);
	must(zone->free_area[MAX_ORDER - 1].nr_free == 1);
}

static unsigned long take_exact_of(unsigned long nr, bool no_clean)
{
	struct page *page;

	mutex_lock(&zone->lock);
	page = rmqueue_exact(zone, nr, MIGRATE_UNMOVABLE, no_clean);
	mutex_unlock(&zone->lock);
	return page ? page_to_pfn(page) : 0;
}

static unsigned long take_exact(unsigned long nr)
{
	return take_exact_of(nr, false);
}

static void give_range(unsigned long pfn, unsigned long nr)
{
	mutex_lock(&zone->lock);
	free_page_range(zone, pfn, nr, true);
	mutex_unlock(&zone->lock);
}

/* Ranges that are no power of two leave nothing between them, and take the place that fits best. */
static void exact_lengths(void)
{
	unsigned long pfn = one_large_block(), i;

	must(!take_exact(10), "a whole pageblock is not begun");
	mutex_lock(&zone->lock);
	must(take_free_range(zone, pfn, 10));
	mutex_unlock(&zone->lock);
	for (i = 1; i < 51; i++)
		must(take_exact(10) == pfn + 10 * i && !(pfn_to_page(pfn + 10 * i)->flags & PG_DIRTY), "range %lu", i);
	must(!take_exact(10) && zone->nr_free_pages == 1024 - 510);

	give_range(pfn + 20, 20);
	give_range(pfn + 103, 7);
	give_range(pfn + 110, 3);
	give_range(pfn + 200, 20);
	must(take_exact(10) == pfn + 103 && pfn_to_page(pfn + 103)->flags & PG_DIRTY, "the one extent that is used up");
	i = take_exact(15);
	must(i == pfn + 20 || i == pfn + 200);
	check_zone(zone);
}

/* What is long goes on from one pageblock into the next of its type, and begins where another ended. */
static void exact_across(void)
{
	unsigned long pfn = one_large_block();

	must(take_exact(300) == pfn && take_exact(300) == pfn + 300 && take_exact(300) == pfn + 600,
	     "a pageblock is begun");
	must(!take_exact(300));
	must(take_exact(124) == pfn + 900);
	give_range(pfn + 500, 100);
	must(take_exact(100) == pfn + 500, "shorter ones, too, and 88 in the second are too few");
	give_range(pfn + 300, 300);
	must(take_exact(320) == 0 && take_exact(300) == pfn + 300);
	give_range(pfn + 300, 300);
	mutex_lock(&zone->lock);
	move_freepages_block(zone, pfn, MIGRATE_MOVABLE);
	mutex_unlock(&zone->lock);
	must(!take_exact(300), "the first pageblock is for others");
	check_zone(zone);
}

/* None of one large block is free any more; its first page. */
static unsigned long one_block_in_use(void)
{
	unsigned long pfn = one_large_block();

	mutex_lock(&zone->lock);
	must(take_free_range(zone, pfn, 1024));
	mutex_unlock(&zone->lock);
	return pfn;
}

/* Of what begins in the pageblock before, and is more than twice as long, all is seen: nothing is taken from its midst,
 * nor is it taken for less than it is. */
static void exact_seen_whole(void)
{
	unsigned long pfn = one_block_in_use();

	give_range(pfn + 500, 112);
	must(take_exact(40) == pfn + 500, "at its beginning");
	give_range(pfn + 500, 40);
	give_range(pfn + 800, 100);
	must(take_exact(40) == pfn + 800, "the shorter one");
	check_zone(zone);
}

/* The same for powers of two, above what per-CPU lists have. */
static void exact_powers_of_two(void)
{
	unsigned long pfn = one_block_in_use();

	give_range(pfn + 5, 16);
	give_range(pfn + 512, 512);
	must(page_to_pfn(alloc_pages_exact(GFP_USER, 16, 0)) == pfn + 5);
	check_zone(zone);
}

static void exact_no_clean(void)
{
	unsigned long pfn = one_block_in_use();

	give_range(pfn + 100, 50);
	mutex_lock(&zone->lock);
	free_page_range(zone, pfn + 300, 30, false);
	mutex_unlock(&zone->lock);
	must(!take_exact_of(20, true), "what fits best is clean");
	must(take_exact_of(40, true) == pfn + 100 && pfn_to_page(pfn + 100)->flags & PG_DIRTY);
	must(take_exact(20) == pfn + 300 && !(pfn_to_page(pfn + 300)->flags & PG_DIRTY));
	check_zone(zone);
}

int main(void)
{
	model_init();
	run_case("a block splits down to a page and joins again", split_and_join);
	run_case("blocks of random orders, freed in another order, make one block", coalescing);
	run_case("free_page_range and take_free_range", ranges);
	run_case("ranges of exact lengths", exact_lengths);
	run_case("ranges of exact lengths in two pageblocks", exact_across);
	run_case("what is free side by side is seen as a whole", exact_seen_whole);
	run_case("powers of two take the place that fits best", exact_powers_of_two);
	run_case("exact lengths of dirty pages alone", exact_no_clean);
	run_case("random operations against the model", random_operations);
	return done_testing();
}
