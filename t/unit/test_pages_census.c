/* SPDX-License-Identifier: MIT */
/*
 * A census that finds nothing must be one that would find something.
 */
#include "mm/pcp.h"
#include "pages_census.h"

static struct zone *zone;

static char *some_blocks(void)
{
	char *addr = NULL;

	zone = pages_start();
	for (int i = 0; i < 100; i++) {
		unsigned int order = rnd(6);

		addr = bm_alloc_pages(BM_GFP_KERNEL, order);
		block_stamp(block_new(addr, order, BM_GFP_KERNEL, -1));
	}
	zones_check(false);
	census();
	return addr;
}

static void freed_behind(void)
{
	char *addr = some_blocks();

	bm_free_pages(addr, (unsigned int)bm_page_order(addr));
	census();
}

static void lost(void)
{
	some_blocks();
	block_forget(&blocks[live[0]]);
	census();
}

static void on_two_lists(void)
{
	struct page *page;

	some_blocks();
	drain_all_pages();
	mutex_lock(&zone->lock);
	page = rmqueue_smallest(zone, 0, MIGRATE_UNMOVABLE);
	must(page);
	free_one_page(zone, page_to_pfn(page), 0, true);
	/* As a free list that was joined wrongly would look. */
	zone->free_area[1].free_list[MIGRATE_MOVABLE] = (uint32_t)page_to_pfn(page);
	mutex_unlock(&zone->lock);
	zones_check(false);
}

static void overwritten(void)
{
	char *addr = some_blocks();

	addr[0] ^= 1;
	for (uint32_t i = 0; i < nr_live; i++)
		block_verify(&blocks[live[i]]);
}

int main(void)
{
	model_init();
	run_case_aborts("a page that is free, and is not", freed_behind, "already met elsewhere");
	run_case_aborts("pages that are nowhere", lost, "found");
	run_case_aborts("a page on two lists", on_two_lists, "check_zone");
	run_case_aborts("a block that somebody wrote to", overwritten, "first bytes");
	return done_testing();
}
