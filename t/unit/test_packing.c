/* SPDX-License-Identifier: MIT */
/*
 * After nearly all of a large heap was freed here and there, what is allocated anew gathers in few pageblocks, and the
 * others become free as a whole.
 */
#include "model.h"

#define BLOCKS 192
#define PAGES (BLOCKS * PAGEBLOCK_PAGES)
#define LIVE (PAGES / 10)
#define BATCH (LIVE / 20)
#define ROUNDS (8 * LIVE / BATCH)

static struct page *held[PAGES];
static unsigned long nr_held;

static void put_one(void)
{
	unsigned long i = rnd(nr_held);

	free_pages(held[i], 0);
	held[i] = held[--nr_held];
}

static void fill_to(unsigned long nr)
{
	while (nr_held < nr) {
		held[nr_held] = alloc_pages(GFP_USER, 0);
		must(held[nr_held]);
		nr_held++;
	}
}

static void gather(void)
{
	struct zone *zone = model_start();
	unsigned long round, before, after;

	fill_to(PAGES);
	while (nr_held > LIVE)
		put_one();
	before = zone->managed_pages;
	must(before >= PAGES * 9 / 10, "%lu pages: too many became free at once", before);
	for (round = 0; round < ROUNDS; round++) {
		while (nr_held > LIVE - BATCH)
			put_one();
		fill_to(LIVE);
	}
	after = zone->managed_pages;
	/* Four tenths as a rule, with a long tail; all of them where blocks are taken as they come. */
	must(after < before * 3 / 5, "%lu pages of %lu are in the zone for %lu", after, before, nr_held);
	check_zone(zone);
}

int main(void)
{
	model_init();
	run_case("what is allocated gathers, and pageblocks become free", gather);
	return done_testing();
}
