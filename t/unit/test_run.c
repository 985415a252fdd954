/* SPDX-License-Identifier: MIT */
/*
 * Runs: exact pages, tails that serve others, resizing where they lie, alignment, and random operations.
 */
#include "malloc/block.h"
#include "mm/pcp.h"
#include "slab/run.h"
#include "model.h"

#define MAX_RUNS 60

static struct zone *zone;

static void start(void)
{
	zone = model_start();
}

static unsigned long pages_of(unsigned int class)
{
	return class_size(class) >> PAGE_SHIFT;
}

static void check_run(void *p, unsigned int class)
{
	struct block b = block_of(p);

	must(b.kind == BLOCK_RUN && b.start == p && b.size == class_size(class) && b.page->nr_pages == pages_of(class));
	must(vmemmap.class[addr_to_pfn(p)] == class && b.page->cache == class);
	must(vmemmap.class[addr_to_pfn(p) + 1] == NO_CLASS, "only the first page has the class");
}

static void sizes(void)
{
	unsigned int class;
	bool zeroed;

	start();
	for (class = FIRST_RUN_CLASS; class < NR_CLASSES; class ++) {
		char *p = run_alloc(class, 0, &zeroed);

		must(p && is_aligned((uintptr_t)p, PAGE_SIZE));
		must(!zeroed || all_zero(p, class_size(class)));
		check_run(p, class);
		must(run_stats_read().nr == 1 && run_stats_read().pages == pages_of(class));
		memset(p, 1, class_size(class));
		drain_all_pages();
		must(zone->managed_pages - zone->nr_free_pages == pages_of(class), "the tail is free");
		run_free(p);
		must(!run_stats_read().nr && !run_stats_read().pages && block_of(p).kind == BLOCK_FOREIGN);
		must(vmemmap.class[addr_to_pfn(p)] == NO_CLASS);
		check_zone(zone);
	}
}

static void tails(void)
{
	bool zeroed, used = false;
	unsigned int i;
	char *run, *p;

	start();
	run = run_alloc(size_to_class(36 * KiB), 0, &zeroed); /* 9 pages of a block of 16 */
	must(is_aligned((uintptr_t)run, 64 * KiB));
	for (i = 0; i < 8; i++) { /* a batch of them */
		p = page_to_addr(alloc_pages(GFP_USER, 2));
		must(p >= run + 36 * KiB || p + 16 * KiB <= run);
		used |= p > run && p < run + 64 * KiB;
	}
	must(used, "4 of the other 7 pages serve");
}

static void resizing(void)
{
	unsigned int small = size_to_class(40 * KiB), large = size_to_class(128 * KiB);
	bool zeroed;
	char *p, *q;

	start();
	p = run_alloc(large, 0, &zeroed);
	memset(p, 7, 128 * KiB);
	must(run_resize(p, small) && run_stats_read().pages == 10);
	check_run(p, small);
	q = run_alloc(small, 0, &zeroed);
	check_zone(zone);
	must(q != p);
	run_free(q);
	must(run_resize(p, large) && run_stats_read().pages == 32, "what lies behind is free again");
	check_run(p, large);
	must(p[0] == 7 && p[40 * KiB - 1] == 7);
	run_resize(p, small);
	q = page_to_addr(alloc_pages_exact(GFP_USER, 16, 4));
	must(q == p + 64 * KiB, "a neighbour behind");
	must(!run_resize(p, large), "is in the way");
	must(run_resize(p, size_to_class(64 * KiB)), "up to it there is room");
	check_run(p, size_to_class(64 * KiB));
	must(p[40 * KiB - 1] == 7 && run_stats_read().nr == 1 && run_stats_read().pages == 16);
	run_free(p);
	check_zone(zone);
}

static void alignment(void)
{
	unsigned int order;
	bool zeroed;

	start();
	for (order = 0; order <= 8; order++) {
		void *p = run_alloc(FIRST_RUN_CLASS, order, &zeroed);

		must(p && is_aligned((uintptr_t)p, PAGE_SIZE << order), "order %u", order);
		check_run(p, FIRST_RUN_CLASS);
	}
	must(run_stats_read().nr == 9 && run_stats_read().pages == 9 * pages_of(FIRST_RUN_CLASS));
	check_zone(zone);
}

static void random_operations(void)
{
	static struct {
		unsigned char *p;
		unsigned int class;
	} runs[MAX_RUNS];
	unsigned long i, held = 0;
	bool zeroed;

	start();
	for (i = steps(10000); i; i--) {
		unsigned int n = rnd(MAX_RUNS),
			     class = FIRST_RUN_CLASS + rnd(rnd(4) ? 20 : NR_CLASSES - FIRST_RUN_CLASS);
		unsigned char *p = runs[n].p;

		if (p) {
			check_run(p, runs[n].class);
			must(p[0] == n && p[class_size(runs[n].class) - 1] == n, "run %u was written to", n);
		}
		if (!p) {
			p = run_alloc(class, rnd(8) ? 0 : rnd(9), &zeroed);
			must(p);
			must(!zeroed || (all_zero(p, 64) && all_zero(p + class_size(class) - 64, 64)));
			held += pages_of(class);
		} else if (rnd(2)) {
			run_free(p);
			held -= pages_of(runs[n].class);
			p = NULL;
		} else if (run_resize(p, class)) {
			held += pages_of(class) - pages_of(runs[n].class);
		} else {
			must(class > runs[n].class, "shrinking failed");
			class = runs[n].class;
		}
		runs[n].p = p;
		runs[n].class = class;
		if (p)
			p[0] = p[class_size(class) - 1] = (unsigned char)n;
		must(run_stats_read().pages == held);
		must(held + zone->nr_free_pages + nr_pcp_pages(zone) == zone->managed_pages);
		check_zone(zone);
	}
}

int main(void)
{
	model_init();
	run_case("every class", sizes);
	run_case("tails serve others", tails);
	run_case("resizing in place", resizing);
	run_case("alignment", alignment);
	run_case("random operations against the model", random_operations);
	return done_testing();
}
