/* SPDX-License-Identifier: MIT */
/*
 * What a new page is like, whatever it was before: count, type, flags, owner; zeroed if asked for; compound pages with
 * a head and tails; the mark of pages from the reserve.
 */
#include "mm/pcp.h"
#include "walk.h"

static struct zone *zone;

static void start(void)
{
	walk_start(1);
	zone = zone_of(0);
	zone_pcp_disable(zone);
	grow(zone, 2, MIGRATE_UNMOVABLE);
}

/* What is free says nothing of its last user. */
static void fresh(void)
{
	struct page *page;
	unsigned int order;

	start();
	for (order = 0; order < MAX_ORDER; order++) {
		must(page = take(zone, order, MIGRATE_UNMOVABLE));
		must(page->order == order && page_type(page) == PAGE_HEAD && page->refcount == 1);
		page->owner = 9;
		page->flags |= PG_PFMEMALLOC | PG_PARTIAL;
		page->carved = 5;
		prep_new_page(page, order, GFP_USER, 0);
		must(page->refcount == 1 && page->owner == 0 && page->cache == zone->zone_id);
		must(!(page->flags & (PG_PFMEMALLOC | PG_PARTIAL | PG_COMPOUND | PG_MOVABLE)));
		give(page, order);
	}
	check_zone(zone);
}

/* That it may be dirty is known of it, and that it is not. */
static void dirt(void)
{
	struct page *page;
	char *p;

	start();
	page = take(zone, 3, MIGRATE_UNMOVABLE);
	must(!(page->flags & PG_DIRTY));
	page->flags |= PG_DIRTY;
	prep_new_page(page, 3, GFP_USER, 0);
	must(page->flags & PG_DIRTY);
	p = page_to_addr(page);
	memset(p, 1, PAGE_SIZE << 3);
	prep_new_page(page, 3, GFP_USER | GFP_ZERO, 0);
	must(all_zero(p, PAGE_SIZE << 3));
	/* What is clean is not written to. */
	page->flags &= (uint8_t)~PG_DIRTY;
	*p = 1;
	prep_new_page(page, 3, GFP_USER | GFP_ZERO, 0);
	must(*p == 1);
	*p = 0;
	/* A single page is dirty from its first user on. */
	give(page, 3);
	must((page = take(zone, 3, MIGRATE_UNMOVABLE)) && page->flags & PG_DIRTY);
}

static void compound(void)
{
	struct page *page;
	unsigned int order;
	unsigned long i;

	start();
	for (order = 0; order < MAX_ORDER; order++) {
		must(page = alloc_pages(GFP_USER | GFP_COMP, order));
		must(!(page->flags & PG_COMPOUND) == !order, "one page is not compound");
		must(compound_head(page) == page && page->order == order && page->refcount == 1);
		for (i = 1; i < 1UL << order; i++)
			must(page_type(&page[i]) == PAGE_TAIL && compound_head(&page[i]) == page);
		free_pages(page, order);
		for (i = 1; i < 1UL << order; i++)
			must(page_type(&page[i]) != PAGE_TAIL, "order %u page %lu", order, i);
		must(page = alloc_pages(GFP_USER, order));
		must(!(page->flags & PG_COMPOUND) && (!order || compound_head(&page[1]) == &page[1]));
		free_pages(page, order);
		check_zone(zone);
	}
}

/* Pages from the reserve say so, until somebody else has them. */
static void from_the_reserve(void)
{
	struct page *page;
	unsigned int order;

	start();
	for (order = 0; order < 5; order++) {
		set_marks(zone, HUGE_MARK, HUGE_MARK, HUGE_MARK);
		no_more_growth();
		must((page = alloc_pages(QUIET | GFP_MEMALLOC, order)) && page->flags & PG_PFMEMALLOC);
		set_marks(zone, 0, 0, 0);
		free_pages(page, order);
		must((page = alloc_pages(QUIET, order)) && !(page->flags & PG_PFMEMALLOC));
		free_pages(page, order);
	}
	/* Not on the way by a CPU's list either. */
	zone_pcp_enable(zone);
	must(page = alloc_pages(QUIET, 0));
	page->flags |= PG_PFMEMALLOC;
	free_pages(page, 0);
	must(alloc_pages(QUIET, 0) == page && !(page->flags & PG_PFMEMALLOC));
	/* Half of the mark is not the reserve. */
	set_marks(zone, 600, HUGE_MARK, HUGE_MARK);
	while (zone->nr_free_pages > 500)
		must(take(zone, 0, MIGRATE_UNMOVABLE));
	must((page = alloc_pages(GFP_ATOMIC, 1)) && !(page->flags & PG_PFMEMALLOC));
}

/* Before the process is set up nobody waits, whatever the flags say; what else they say holds. */
static void allowed_mask(void)
{
	struct page *page;

	model_native();
	must(!mm_init());
	must(!(gfp_allowed_mask & (GFP_DIRECT_RECLAIM | GFP_KSWAPD_RECLAIM | GFP_IO | GFP_FS)));
	must((page = alloc_pages(GFP_KERNEL | GFP_COMP | GFP_ZERO, 2)) && page->flags & PG_COMPOUND);
	no_more_growth();
	use_up(zone_of(0));
	must(!alloc_pages(GFP_KERNEL | GFP_NOWARN, 0) && !vm_events[ALLOCSTALL]);
	mm_init_late();
	must(gfp_allowed_mask == GFP_BITS_MASK);
	must(!alloc_pages(GFP_KERNEL | GFP_NOWARN, 0) && vm_events[ALLOCSTALL]);
}

static void too_large(void)
{
	start();
	must(!alloc_pages(GFP_USER, MAX_ORDER) && !alloc_pages(GFP_USER, 64));
}

static void too_large_once(void)
{
	char said[2048];

	must(fake_os_child(too_large, said, sizeof(said)) == 0);
	must(strstr(said, "order 11: the largest is 10") && !strstr(said, "order 64"), "%s", said);
}

static void too_large_quiet(void)
{
	start();
	must(!alloc_pages(GFP_USER | GFP_NOWARN, MAX_ORDER));
	must(!alloc_pages_nodemask(GFP_USER | GFP_NOWARN | GFP_NOFAIL, MAX_ORDER, 0, NULL));
	must(!alloc_pages(GFP_USER | GFP_MOVABLE | GFP_NOWARN, ~0U));
}

int main(void)
{
	run_case("a new block is like any other", fresh);
	run_case("dirty and clean", dirt);
	run_case("compound pages", compound);
	run_case("from the reserve", from_the_reserve);
	run_case("gfp_allowed_mask until the process is set up", allowed_mask);
	run_case("an order too large is told once", too_large_once);
	run_case("not under NOWARN", too_large_quiet);
	return done_testing();
}
