/* SPDX-License-Identifier: MIT */
/*
 * page_owner: a record for each allocated block, as the report prints it; and the depot of stacks behind it.
 */
#include <errno.h>

#include "base/tunables.h"
#include "malloc/heap.h"
#include "mm/debug.h"
#include "mm/migrate.h"
#include "mm/page_owner.h"
#include "mm/stackdepot.h"
#include "blocks.h"
#include "model.h"

static char said[65536];

static void start(void)
{
	model_start();
	gfp_allowed_mask = GFP_BITS_MASK;
	tunables.page_owner = true;
	debug_init();
}

static void *take(unsigned int order)
{
	return take_block(GFP_USER, order);
}

static int count(const char *text, const char *words)
{
	int n = 0;

	for (; (text = strstr(text, words)); text++)
		n++;
	return n;
}

/* The report of page_owner. */
static void read_owners(void)
{
	FILE *file = tmpfile();
	ssize_t got;

	must(file && !bm_stats_print(fileno(file), "page_owner"));
	got = pread(fileno(file), said, sizeof(said) - 1, 0);
	said[got > 0 ? got : 0] = '\0';
	fclose(file);
}

/* The record of the page; NULL: it has none. */
static const char *record(const void *addr)
{
	char line[64];
	char *at;

	snprintf(line, sizeof(line), "\nPFN %lu type ", addr_to_pfn(addr));
	at = strstr(said, line);
	if (!at)
		return NULL;
	while (at > said && at[-1] != '\n')
		at--;
	return at;
}

static bool record_is(const void *addr, const char *begins, const char *line)
{
	const char *at = record(addr), *end = at ? strstr(at, "\n\n") : NULL, *found = at ? strstr(at, line) : NULL;

	return end && !strncmp(at, begins, strlen(begins)) && found && found < end;
}

static void case_owner(void)
{
	char begins[128], expect[128];
	struct page *page;
	char *p, *q;
	int i;

	start();
	read_owners();
	must(!*said, "nothing is allocated");
	p = page_to_addr(alloc_pages(GFP_USER, 3));
	page = alloc_pages(GFP_USER | GFP_MOVABLE | GFP_COMP, 1);
	read_owners();
	must(count(said, "Page allocated via order") == 2, "%s", said);
	snprintf(begins, sizeof(begins), "Page allocated via order 3, mask 0x%x(GFP_USER), pid %d, ts ", GFP_USER,
		 os_gettid());
	snprintf(expect, sizeof(expect), "PFN %lu type Unmovable Block %lu type Unmovable Flags 0x", addr_to_pfn(p),
		 addr_to_pfn(p) >> PAGEBLOCK_ORDER);
	must(record_is(p, begins, expect), "%s", said);
	must(record_is(p, begins, "test_page_owner+0x") && record_is(p, begins, " ns, free_ts 0 ns\n"), "%s", said);
	must(record_is(page_to_addr(page), "Page allocated via order 1, mask ", "GFP_USER|GFP_MOVABLE|GFP_COMP"), "%s",
	     said);
	must(record_is(page_to_addr(page), "Page", " type Movable Block "), "%s", said);
	free_pages(page, 1);
	split_page(page_of(p), 3);
	read_owners();
	must(count(said, "Page allocated via order 0") == 8 && !count(said, "order 1"), "%s", said);
	give(p, 0);
	give(p + PAGE_SIZE, 0);
	read_owners();
	must(count(said, "Page allocated via order 0") == 6 && !record(p) && record(p + 2 * PAGE_SIZE), "%s", said);
	q = take(0);
	must(q == p || q == p + PAGE_SIZE);
	read_owners();
	must(record(q) && !record_is(q, "Page", "free_ts 0 ns"), "who was there before is known");
	for (i = 2; i < 8; i++)
		give(p + i * PAGE_SIZE, 0);
}

static int no_op(void *addr, void *arg)
{
	(void)addr;
	(void)arg;
	return 0;
}
static int move(void *dst, void *src, unsigned int order, void *arg)
{
	(void)order;
	(void)arg;
	memcpy(dst, src, PAGE_SIZE);
	return 0;
}
static void put_back(void *addr, void *arg)
{
	no_op(addr, arg);
}

/* A moved block keeps who asked for it. */
static void case_owner_moved(void)
{
	static const struct bm_movable_ops ops = { no_op, move, put_back };
	struct page *src, *dst;

	start();
	src = alloc_pages(GFP_USER | GFP_MOVABLE, 1);
	must(src && !set_page_movable(src, &ops, NULL) && isolate_movable_page(src));
	dst = alloc_pages(GFP_KERNEL | GFP_NOWARN, 1);
	must(dst && !migrate_page(dst, src, MIGRATE_SYNC));
	read_owners();
	must(!record(page_to_addr(src)) && count(said, "Page allocated") == 1, "%s", said);
	must(record_is(page_to_addr(dst), "Page allocated via order 1, mask ", "(GFP_USER|GFP_MOVABLE)"), "%s", said);
	must(record_is(page_to_addr(dst), "Page", "Page has been migrated, last migrate reason: compaction\n"));
}

static void case_owner_exact(void)
{
	char *p;

	start();
	p = page_to_addr(alloc_pages_exact(GFP_KERNEL, 9, 0));
	read_owners();
	must(record(p) && count(said, "Page allocated") == 1);
	free_pages_exact(page_of(p), 9);
	must(heap_init());
	p = heap_malloc(3000000);
	read_owners();
	must(record_is(p, "Page allocated via order 10, mask ", "GFP_USER"), "huge blocks too: %s", said);
	heap_free(p);
	read_owners();
	must(!*said, "%s", said);
}

/* One stack is kept once, however often it comes. */
static void case_depot(void)
{
	uintptr_t stack[3] = { 1, 2, 3 };
	const uintptr_t *entries;
	uint32_t one, other;
	size_t bytes;
	int i;

	one = stack_depot_save(stack, 3);
	must(one && stack_depot_save(stack, 3) == one && stack_depot_fetch(one, &entries) == 3);
	must(entries[0] == 1 && entries[2] == 3);
	other = stack_depot_save(stack, 2);
	must(other && other != one && stack_depot_fetch(other, &entries) == 2);
	must(!stack_depot_save(stack, 0) && !stack_depot_fetch(0, &entries));
	bytes = stack_depot_bytes();
	for (i = 0; i < 100000; i++)
		must(stack_depot_save(stack, 3) == one);
	must(stack_depot_bytes() == bytes);
	for (i = 0; i < 100000; i++) {
		stack[1] = (uintptr_t)i + 1000;
		other = stack_depot_save(stack, 3);
		must(other && stack_depot_fetch(other, &entries) == 3 && entries[1] == stack[1]);
	}
	must(stack_depot_bytes() > bytes);
	stack[1] = 2;
	must(stack_depot_save(stack, 3) == one, "it is found among many");
	fake_os_install();
	fake_os_fail(FAKE_MMAP, 1, true, ENOMEM);
	for (i = 0; i < 100000 && (stack[1] = (uintptr_t)i + 1000000, stack_depot_save(stack, 3)); i++)
		;
	must(i < 100000 && stack_depot_save(stack, 3) == 0, "when memory ends there is no number");
	stack[1] = 2;
	must(stack_depot_save(stack, 3) == one);
}

int main(void)
{
	model_init();
	run_case("a record for each block", case_owner);
	run_case("moved blocks", case_owner_moved);
	run_case("exact pages and huge blocks", case_owner_exact);
	run_case("the stack depot", case_depot);
	return done_testing();
}
