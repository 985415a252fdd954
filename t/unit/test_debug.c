/* SPDX-License-Identifier: MIT */
/*
 * What the debug options do to pages: zeroing, poison, guard pages, the check of pages on their way out.
 */
#include <errno.h>

#include "base/tunables.h"
#include "malloc/heap.h"
#include "mm/balance.h"
#include "mm/balance_inner.h"
#include "mm/debug.h"
#include "mm/pcp.h"
#include "blocks.h"
#include "model.h"

static struct zone *zone;

/* The page allocator with the options that the caller has set. */
static void start(void)
{
	zone = model_start();
	gfp_allowed_mask = GFP_BITS_MASK;
	debug_init();
}

static void *take(unsigned int order)
{
	return take_block(GFP_KERNEL, order);
}

static bool all_bytes(const void *addr, size_t len, int byte)
{
	const char *p = addr;

	return *p == (char)byte && !memcmp(p, p + 1, len - 1);
}

/* What runs under options must not need them: each test has its opposite here. */
static void case_nothing(void)
{
	char *p;

	start();
	must(!page_debug && gfp_fast_limit);
	p = take(0);
	memset(p, 0x55, PAGE_SIZE);
	give(p, 0);
	must(all_bytes(p, PAGE_SIZE, 0x55));
	must(take(0) == p && all_bytes(p, PAGE_SIZE, 0x55));
}

static void case_closed(void)
{
	void *p;

	tunables.init_on_free = true;
	start();
	must(page_debug && !gfp_fast_limit);
	p = take(0);
	give(p, 0);
	must(!nr_pcp_pages(zone), "nothing stays in lists that pass the options by");
}

/* Blocks of all kinds with rubbish in them are freed; what comes instead is zero. */
static void case_init_on_alloc(void)
{
	static const size_t sizes[] = { 40000, 500000, 3000000, 5000000 };
	unsigned int order, i;
	char *p;

	tunables.init_on_alloc = true;
	start();
	for (order = 0; order < MAX_ORDER; order++)
		for (i = 0; i < 3; i++) {
			p = take(order);
			must(all_bytes(p, PAGE_SIZE << order, 0), "order %u", order);
			memset(p, 0x55, PAGE_SIZE << order);
			give(p, order);
		}
	for (i = 0; i < 3 * ARRAY_SIZE(sizes); i++) {
		size_t size = sizes[i / 3];

		must(heap_init());
		p = heap_malloc(size);
		must(p && all_bytes(p, size, 0), "%zu", size);
		memset(p, 0x55, size);
		heap_free(p);
		heap_trim(size);
	}
	/* A huge block that grows where it lies, over what it once had. */
	p = heap_malloc(8 * MiB);
	memset(p, 0x55, 8 * MiB);
	must(heap_realloc(p, 3 * MiB) == p && heap_realloc(p, 4 * MiB - 8192) == p);
	must(all_bytes(p, 3 * MiB, 0x55) && all_bytes(p + 3 * MiB, MiB - 8192, 0));
}

static void case_init_on_free(void)
{
	unsigned int order;
	char *p;

	tunables.init_on_free = true;
	start();
	for (order = 0; order < MAX_ORDER; order++) {
		p = take(order);
		memset(p, 0x55, PAGE_SIZE << order);
		give(p, order);
		must(all_bytes(p, PAGE_SIZE << order, 0), "order %u", order);
	}
	p = page_to_addr(alloc_pages_exact(GFP_KERNEL, 13, 0));
	memset(p, 0x55, 13 * PAGE_SIZE);
	must(resize_pages_exact(page_of(p), 13, 11) && all_bytes(p + 11 * PAGE_SIZE, 2 * PAGE_SIZE, 0));
	free_pages_exact(page_of(p), 11);
	must(all_bytes(p, 13 * PAGE_SIZE, 0));
	p = heap_malloc(3000000);
	memset(p, 0x55, 3000000);
	heap_free(p);
	must(all_bytes(p, 3000000, 0), "a huge block");
}

/* What was free before the option came is cleared too. */
static void case_init_late(void)
{
	char *p;

	zone = model_start();
	p = take(3);
	memset(p, 0x55, 8 * PAGE_SIZE);
	give(p, 3);
	tunables.init_on_free = true;
	debug_init();
	must(all_bytes(p, 8 * PAGE_SIZE, 0));
}

static void case_poison(void)
{
	unsigned int order;
	char *p;

	tunables.page_poison = true;
	tunables.init_on_free = true; /* the weaker of the two */
	start();
	for (order = 0; order < MAX_ORDER; order++) {
		p = take(order);
		memset(p, 0x55, PAGE_SIZE << order);
		give(p, order);
		must(order >= PAGEBLOCK_ORDER || all_bytes(p, PAGE_SIZE << order, 0xaa), "order %u", order);
	}
	p = take(0);
	must(all_bytes(p, PAGE_SIZE, 0xaa) || all_bytes(p, PAGE_SIZE, 0), "nothing clears it on its way out");
}

/* Everything that moves pages about, without a word: what was freed before the option, given back, grown, cut. */
static void random_ops(unsigned long nr)
{
	static struct {
		struct page *page;
		unsigned long nr;
		unsigned int order;
	} blocks[100];
	unsigned long i;

	for (i = 0; i < steps(nr); i++) {
		unsigned int b = rnd(ARRAY_SIZE(blocks));

		if (rnd(200) == 0)
			mm_trim(rnd(2) ? 0 : 4 * MiB);
		else if (rnd(100) == 0)
			zone_purge(zone, rnd(6), 0);
		if (!blocks[b].page) {
			blocks[b].order = rnd(4) ? rnd(4) : rnd(MAX_ORDER);
			blocks[b].nr = rnd(2) ? 1 + rnd(1UL << blocks[b].order) : 0;
			blocks[b].page =
				blocks[b].nr ? alloc_pages_exact(GFP_KERNEL, blocks[b].nr, 0)
					     : alloc_pages(GFP_KERNEL | (rnd(2) ? GFP_MOVABLE : 0), blocks[b].order);
			must(blocks[b].page);
			if (rnd(2))
				memset(page_to_addr(blocks[b].page), (int)rnd(256),
				       (blocks[b].nr ? blocks[b].nr : 1UL << blocks[b].order) << PAGE_SHIFT);
			continue;
		}
		if (blocks[b].nr)
			free_pages_exact(blocks[b].page, blocks[b].nr);
		else
			free_pages(blocks[b].page, blocks[b].order);
		blocks[b].page = NULL;
		if (i % 64 == 0) {
			check_zone(zone);
			check_arena();
		}
	}
	for (i = 0; i < ARRAY_SIZE(blocks); i++) {
		if (blocks[i].page && blocks[i].nr)
			free_pages_exact(blocks[i].page, blocks[i].nr);
		else if (blocks[i].page)
			free_pages(blocks[i].page, blocks[i].order);
		blocks[i].page = NULL;
	}
	drain_all_pages();
	check_zone(zone);
	must(zone->nr_free_pages == zone->managed_pages, "%lu free of %lu", zone->nr_free_pages, zone->managed_pages);
	must(!nr_guard_pages);
}

static void case_poison_random(void)
{
	char *huge;

	zone = model_start();
	gfp_allowed_mask = GFP_BITS_MASK;
	random_ops(2000);
	must(heap_init());
	huge = heap_malloc(20 * MiB);
	memset(huge, 0x55, 20 * MiB);
	heap_free(huge);
	tunables.page_poison = true;
	fake_os_fail(FAKE_MADVISE, 1, true, EINVAL); /* what the arenas have stays as it is */
	debug_init();
	random_ops(2000);
	fake_os_reset();
	random_ops(5000);
	huge = heap_malloc(20 * MiB);
	memset(huge, 0x55, 20 * MiB);
	fake_os_fail(FAKE_MADVISE, 1, true, EINVAL);
	heap_free(huge);
	random_ops(2000);
	fake_os_reset();
	tunables.init_on_alloc = true;
	page_debug = 0; /* both together */
	debug_init();
	random_ops(2000);
}

/* Of a block of order 2 page 1 is written to while it is free. */
static char *write_after_free(size_t offset, char byte)
{
	char *p = take(2);

	memset(p, 0x55, 4 * PAGE_SIZE);
	give(p, 2);
	p[PAGE_SIZE + offset] = byte;
	must(take(2) == p && p[PAGE_SIZE + offset] == byte, "it is handed out all the same");
	return p;
}

static void poison_write(void)
{
	char *p;

	tunables.page_poison = true;
	start();
	p = write_after_free(100, 0x11);
	fprintf(stderr, "page %p\n", (void *)(p + PAGE_SIZE));
	give(p, 2);
}

static void poison_bit(void)
{
	tunables.page_poison = true;
	start();
	write_after_free(PAGE_SIZE - 1, (char)0xab);
}

static void poison_zero(void)
{
	tunables.page_poison = true;
	start();
	write_after_free(0, 0);
}

static void poison_owner(void)
{
	tunables.page_poison = tunables.page_owner = true;
	start();
	write_after_free(100, 0x11);
}

static void poison_many(void)
{
	int i;

	tunables.page_poison = true;
	start();
	for (i = 0; i < 100; i++)
		give(write_after_free(100, 0x11), 2);
}

static int count(const char *text, const char *words)
{
	int n = 0;

	for (; (text = strstr(text, words)); text++)
		n++;
	return n;
}

static char said[65536];

static void test_corruption(void)
{
	char page[64];
	const char *at;

	is_int(fake_os_child(poison_write, said, sizeof(said)), 0, "a write after free does not end the program");
	at = strstr(said, "\npage ");
	snprintf(page, sizeof(page), "page %s", at ? at + 6 : "");
	page[strcspn(page, "\n")] = 0;
	ok(strstr(said, "pagealloc: memory corruption: written to after it was freed: page 0x") && strstr(said, page) &&
		   strstr(said, ", offset 100 to 100\n") && strstr(said, ": 11\n"),
	   "but is reported: which page, where, and what");
	ok(!strstr(said, "page last free"), "without page_owner not by whom");
	is_int(count(said, "pagealloc: "), 1, "once: what was seen is not seen again");
	fake_os_child(poison_bit, said, sizeof(said));
	ok(strstr(said, "pagealloc: single bit error: ") && strstr(said, "offset 4095 to 4095\n"),
	   "a bit that fell over");
	fake_os_child(poison_zero, said, sizeof(said));
	ok(strstr(said, "offset 0 to 0\n"), "a zero in a page that was not given back");
	fake_os_child(poison_owner, said, sizeof(said));
	ok(strstr(said, "page last allocated via order 2, migratetype Unmovable, gfp_mask 0x") &&
		   strstr(said, "page last free by tid ") && count(said, "test_debug+0x") >= 6,
	   "page_owner knows who freed it, and from where");
	fake_os_child(poison_many, said, sizeof(said));
	is_int(count(said, "pagealloc: "), 10, "at most ten reports at a time");
}

static unsigned long free_pages_of_order(unsigned int order)
{
	return zone->free_area[order].nr_free << order;
}

static void case_guard(void)
{
	char *p, *q, *four;

	tunables.debug_guardpage_minorder = 2;
	start();
	p = take(0);
	must(page_is_guard(page_of(p) + 1) && page_is_guard(page_of(p) + 2) && nr_guard_pages == 3);
	must(page_of(p)[1].order == 0 && page_of(p)[2].order == 1 && !free_pages_of_order(0) &&
	     !free_pages_of_order(1));
	must(free_pages_of_order(2) == 4);
	check_zone(zone);
	must(zone->nr_free_pages + 1 + nr_guard_pages == zone->managed_pages, "a guard page is not free");
	q = take(1);
	must(q != p + 2 * PAGE_SIZE && page_is_guard(page_of(q) + 2) && nr_guard_pages == 5);
	four = take(2);
	must(!page_is_guard(page_of(four) + 4), "order 2 is not below order 2");
	give(four, 2);
	memset(p, 0x55, PAGE_SIZE);
	memset(q, 0x55, 2 * PAGE_SIZE);
	give(p, 0);
	must(nr_guard_pages == 2);
	p[PAGE_SIZE] = 1;
	give(q, 1);
	must(!nr_guard_pages && !free_pages_of_order(0) && !free_pages_of_order(1));
	check_zone(zone);
	/* Pages that are freed beside others in use do not serve either. */
	p = take(1);
	split_page(page_of(p), 1);
	give(p, 0);
	must(page_is_guard(page_of(p)) && !free_pages_of_order(0));
	give(p + PAGE_SIZE, 0);
	must(!nr_guard_pages);
	/* Nor what is cut off. */
	p = page_to_addr(alloc_pages_exact(GFP_KERNEL, 9, 0));
	must(page_is_guard(page_of(p) + 9) && page_is_guard(page_of(p) + 10) && nr_guard_pages == 3);
	free_pages_exact(page_of(p), 9);
	must(!nr_guard_pages);
	tunables.page_poison = true;
	page_debug = 0;
	debug_init();
	random_ops(5000);
}

/* What lay free in pieces when the option came. */
static void case_guard_late(void)
{
	char *p;

	zone = model_start();
	p = take(4);
	must(free_pages_of_order(4) == 16 && free_pages_of_order(6) == 64);
	tunables.debug_guardpage_minorder = 6;
	debug_init();
	must(!free_pages_of_order(4) && !free_pages_of_order(5) && free_pages_of_order(6) == 64);
	must(nr_guard_pages == 48);
	check_zone(zone);
	give(p, 4);
	must(!nr_guard_pages && zone->nr_free_pages == zone->managed_pages);
}

static void case_guard_orders(void)
{
	tunables.debug_guardpage_minorder = 10;
	start();
	random_ops(3000);
}

/* The system refuses: no protection, and a page that stays a guard until it can be used. */
static void case_guard_fails(void)
{
	char *p, *q;

	tunables.debug_guardpage_minorder = 1;
	start();
	give(take(0), 0); /* the zone has grown, for which it may need mprotect, too */
	fake_os_fail(FAKE_MPROTECT, 1, false, ENOMEM);
	p = take(0);
	must(page_is_guard(page_of(p) + 1) && nr_guard_pages == 1);
	p[PAGE_SIZE] = 1;
	give(p, 0);
	must(!nr_guard_pages);
	p = take(0);
	fake_os_fail(FAKE_MPROTECT, 1, false, ENOMEM);
	give(p, 0);
	must(nr_guard_pages == 1 && free_pages_of_order(0) == 1);
	check_zone(zone);
	q = take(0);
	must(q == p && nr_guard_pages == 1);
	give(q, 0);
	must(!nr_guard_pages && !free_pages_of_order(0));
	check_zone(zone);
}

static void overflow(void)
{
	volatile char *p;

	signal(SIGSEGV, SIG_DFL); /* a sanitizer catches it */
	tunables.debug_guardpage_minorder = 1;
	start();
	p = take(0);
	p[PAGE_SIZE - 1] = 1;
	p[PAGE_SIZE] = 1;
}

static void test_overflow(void)
{
	int status = fake_os_child(overflow, said, sizeof(said));

	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "a write past a guarded block is a fault");
}

/* A free page that somebody has spoilt is not handed out. */
static void bad_refcount(void)
{
	char *p, *q;

	tunables.page_owner = true;
	start();
	p = take(0);
	give(p, 0);
	page_of(p)->refcount = 1;
	q = take(0);
	must(q != p);
	fprintf(stderr, "went on\n");
}

static void bad_class(void)
{
	char *p;

	tunables.init_on_free = true;
	start();
	p = take(2);
	give(p, 2);
	vmemmap.class[addr_to_pfn(p) + 3] = 5;
	must(take(2) != p);
	fprintf(stderr, "went on\n");
}

static void test_bad_pages(void)
{
	fake_os_child(bad_refcount, said, sizeof(said));
	ok(strstr(said, "BUG: Bad page state in process test_debug  pfn:") &&
		   strstr(said, "page dumped because: nonzero _refcount\n") && strstr(said, "went on"),
	   "a reference taken of a free page: reported, and another page is given");
	ok(strstr(said, "page last free by tid"), "with its owner");
	fake_os_child(bad_class, said, sizeof(said));
	ok(strstr(said, "page dumped because: blocks of malloc's") && strstr(said, "went on"),
	   "a page still in malloc's map");
}

int main(void)
{
	model_init();
	run_case("without options nothing is done", case_nothing);
	run_case("with one, no page passes it by", case_closed);
	run_case("init_on_alloc: what is handed out is zero", case_init_on_alloc);
	run_case("init_on_free: what is freed is zero at once", case_init_on_free);
	run_case("init_on_free: and what was free before", case_init_late);
	run_case("page_poison: what is freed holds the pattern", case_poison);
	run_case("page_poison: no false alarm, whatever way pages take", case_poison_random);
	test_corruption();
	run_case("guard pages: set on a split, gone with the block", case_guard);
	run_case("guard pages: of what was free before", case_guard_late);
	run_case("guard pages of large orders", case_guard_orders);
	run_case("guard pages that the system does not let us have", case_guard_fails);
	test_overflow();
	test_bad_pages();
	return done_testing();
}
