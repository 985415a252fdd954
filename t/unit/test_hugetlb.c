/* SPDX-License-Identifier: MIT */
/*
 * Ranges on hugetlb pages, of a pool that is not real: who gets some, what happens where there are none or the system
 * does not stand by its promise, that they go back whole or not at all, and what a fork makes of them.
 */
#include <errno.h>
#include <sys/mman.h>

#include "base/tunables.h"
#include "malloc/huge.h"
#include "mm/balance.h"
#include "mm/hugetlb.h"
#include "mm/range.h"
#include "mm/vmstat.h"
#include "model.h"

#define SIZE(nr) ((nr) << PAGEBLOCK_SHIFT)

static void start(unsigned int mode, unsigned long pool)
{
	model_start();
	fake_os_hugetlb(pool, 0);
	tunables.hugetlb = mode;
}

static unsigned long failures(void)
{
	return vm_events[HTLB_BUDDY_ALLOC_FAIL];
}

static bool on_hugetlb(const void *p)
{
	return pfn_to_block(addr_to_pfn(p))->flags & PBF_HUGETLB;
}

static void *huge(size_t size)
{
	bool zeroed;

	return huge_alloc(size, 0, &zeroed);
}

static void put(void *p)
{
	huge_free(pfn_to_page(addr_to_pfn(p)));
	check_arena();
}

static void off(void)
{
	start(HUGETLB_OFF, 10);
	must(!on_hugetlb(huge(SIZE(2UL))));
	must(fake_os_hugetlb_free() == 10 && !failures());
}

static void served(void)
{
	bool zeroed;
	char *p, *q;

	start(HUGETLB_TRY, 10);
	p = huge_alloc(SIZE(3UL), 0, &zeroed);
	must(on_hugetlb(p) && zeroed && arena_stats.hugetlb == 3 && fake_os_hugetlb_free() == 7);
	must(vm_events[HTLB_BUDDY_ALLOC_SUCCESS] == 3);
	memset(p, 1, SIZE(3UL));
	q = huge_alloc(SIZE(2UL) - 5, SIZE(4UL), &zeroed);
	must(on_hugetlb(q) && is_aligned((uintptr_t)q, SIZE(4UL)));
	put(p);
	/* What is free is used again, by such requests alone. */
	must(!on_hugetlb(block_to_addr(arena_alloc(1, 1, PB_OFFLINE, 0, &zeroed))));
	must(huge_alloc(SIZE(3UL), 0, &zeroed) == p && !zeroed && fake_os_hugetlb_free() == 5);
	check_arena();
	must(!failures());
}

/* A slab may be written to in the child of a fork before it has a copy: no zone but Movable lies there. */
static void zones(void)
{
	struct page *page;

	start(HUGETLB_TRY, 10);
	page = alloc_pages(GFP_USER, 0);
	must(!on_hugetlb(page_to_addr(page)));
	page = alloc_pages(GFP_USER | GFP_MOVABLE, 0);
	must(page && on_hugetlb(page_to_addr(page)) && arena_stats.hugetlb == 1);
	page = alloc_pages(GFP_USER | GFP_MOVABLE, MAX_ORDER - 1);
	must(page && on_hugetlb(page_to_addr(page)) && on_hugetlb((char *)page_to_addr(page) + PAGEBLOCK_SIZE));
	memset(page_to_addr(page), 1, SIZE(2UL));
	/* Dirty blocks of a zone are dropped, but for such. */
	free_pages(page, MAX_ORDER - 1);
	mm_trim(0);
	must(arena_stats.hugetlb == 1, "%lu", arena_stats.hugetlb);
	check_arena();
}

static void dry_try(void)
{
	void *p[6];
	int i;

	start(HUGETLB_TRY, 5);
	for (i = 0; i < 6; i++) {
		p[i] = huge(SIZE(2UL));
		must(p[i] && on_hugetlb(p[i]) == (i < 2));
		memset(p[i], i, SIZE(2UL));
	}
	must(failures() == 4);
	put(p[0]);
}

static void dry_only(void)
{
	void *p, *q;

	start(HUGETLB_ONLY, 4);
	p = huge(SIZE(2UL));
	q = huge(SIZE(2UL));
	must(on_hugetlb(p) && on_hugetlb(q) && !huge(SIZE(1UL)) && failures() == 1);
	/* Free pages in two pieces are given back to make one of them. */
	put(p);
	put(q);
	p = huge(SIZE(4UL));
	must(p && on_hugetlb(p) && failures() == 1 && !fake_os_hugetlb_free());
	must(alloc_pages(GFP_USER, 0) && failures() == 1, "slabs need none");
}

/* The mapping was had, but a page cannot be. */
static void broken_promise(void)
{
	void *p;

	start(HUGETLB_TRY, 10);
	fake_os_fail(FAKE_MADVISE, 1, false, EFAULT);
	p = huge(SIZE(3UL));
	must(p && !on_hugetlb(p) && fake_os_hugetlb_free() == 10 && failures() == 1);
	memset(p, 1, SIZE(3UL));
	check_arena();
}

/* A system that has never heard of MADV_POPULATE_WRITE. */
static void old_system(void)
{
	bool zeroed;
	char *p;

	start(HUGETLB_TRY, 10);
	fake_os_fail(FAKE_MADVISE, 1, false, EINVAL);
	p = huge_alloc(SIZE(3UL), 0, &zeroed);
	must(p && on_hugetlb(p) && zeroed && all_zero(p, SIZE(3UL)));
	must(os_fault_in(NULL) == -EFAULT);
}

static void foreign_mapping(void)
{
	unsigned long foreign;
	void *p;

	start(HUGETLB_TRY, 20);
	foreign = range_top() + 1;
	must(os_linux.mmap(block_to_addr(foreign), PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_FIXED) > 0);
	*(char *)block_to_addr(foreign) = 42;
	p = huge(SIZE(4UL));
	must(p && on_hugetlb(p));
	memset(p, 1, SIZE(4UL));
	check_arena();
	must(*(char *)block_to_addr(foreign) == 42 && !failures());
}

static void given_back(void)
{
	void *p;

	start(HUGETLB_TRY, 10);
	p = huge(SIZE(4UL));
	memset(p, 1, SIZE(4UL));
	put(p);
	must(arena_stats.dirty == 4 && fake_os_hugetlb_free() == 6);
	must(arena_purge(1, ~0U, false) == 3 && fake_os_hugetlb_free() == 9);
	check_arena();
	/* Where the system has no room for one more mapping it keeps what it has. */
	fake_os_fail(FAKE_MUNMAP, 1, true, ENOMEM);
	must(!arena_purge(0, ~0U, false) && arena_stats.dirty == 1 && arena_stats.hugetlb == 1);
	fake_os_reset();
	must(arena_purge(0, ~0U, false) == 1 && fake_os_hugetlb_free() == 10 && !arena_stats.hugetlb);
	check_arena();
}

/* A block is lengthened by its kind alone, and never moved by page tables. */
static void resized(void)
{
	char *p, *q;

	start(HUGETLB_TRY, 8);
	p = huge(SIZE(6UL));
	must(huge_resize(pfn_to_page(addr_to_pfn(p)), SIZE(2UL)) &&
	     huge_resize(pfn_to_page(addr_to_pfn(p)), SIZE(4UL)));
	must(on_hugetlb(p + SIZE(3UL)));
	must(!huge_resize(pfn_to_page(addr_to_pfn(p)), SIZE(7UL)));
	p[0] = 1;
	q = huge_move(pfn_to_page(addr_to_pfn(p)), SIZE(9UL));
	must(!q && p[0] == 1 && on_hugetlb(p));
	check_arena();
	must(arena_collapse(addr_to_pfn(p) >> PAGEBLOCK_ORDER) == -EALREADY);
}

/* The steps of a fork, in one process: what the child does is done to what the parent had. */
static void forked(void)
{
	char *p, *free_one, *plain;

	start(HUGETLB_TRY, 10);
	p = huge(SIZE(4UL));
	free_one = huge(SIZE(2UL));
	tunables.hugetlb = HUGETLB_OFF;
	plain = huge(SIZE(2UL));
	memset(p, 7, SIZE(4UL));
	memset(plain, 8, SIZE(2UL));
	put(free_one);
	hugetlb_fork_prepare();
	hugetlb_fork_parent();
	must(on_hugetlb(p) && arena_stats.hugetlb == 6 && fake_os_hugetlb_free() == 4, "the parent is as it was");
	hugetlb_fork_prepare();
	p[0] = 9; /* by somebody, after it was copied */
	hugetlb_fork_child();
	must(!arena_stats.hugetlb && fake_os_hugetlb_free() == 10 && !on_hugetlb(p));
	must(p[0] == 7 && p[SIZE(4UL) - 1] == 7 && plain[0] == 8);
	check_arena();
	put(p);
	put(plain);
	arena_purge(0, ~0U, false);
	check_arena();
}

static void forked_without_memory(void)
{
	char *p;

	start(HUGETLB_TRY, 10);
	p = huge(SIZE(4UL));
	*p = 7;
	fake_os_fail(FAKE_MMAP, 1, true, ENOMEM);
	hugetlb_fork_prepare();
	hugetlb_fork_child();
	must(on_hugetlb(p) && *p == 7);
	check_arena();
}

static bool on_gigantic(const void *p)
{
	return pfn_to_block(addr_to_pfn(p))->flags & PBF_GIGANTIC;
}

/* What fills a page of 1 GiB has one, and its end is for others. */
static void gigantic(void)
{
	char *p, *q;

	start(HUGETLB_TRY, 10);
	fake_os_hugetlb(10, 2);
	p = huge(SIZE(GIGANTIC_BLOCKS + 1));
	must(p && on_gigantic(p) && !fake_os_gigantic_free() && fake_os_hugetlb_free() == 10);
	must(is_aligned((uintptr_t)p, 1UL << GIGANTIC_SHIFT) && arena_stats.hugetlb == 2 * GIGANTIC_BLOCKS);
	check_arena();
	q = huge(SIZE(4UL));
	must(on_gigantic(q) && q > p && arena_stats.used == GIGANTIC_BLOCKS + 5);
	*p = *q = 1;
	/* Parts of it stay, however old. */
	put(q);
	must(!arena_stats.dirty && !mm_trim(0) && !fake_os_gigantic_free());
	/* The one is free as a whole, and kept; then both are. */
	must(huge_resize(pfn_to_page(addr_to_pfn(p)), SIZE(3UL)));
	must(!fake_os_gigantic_free());
	put(p);
	must(fake_os_gigantic_free() == 1);
	mm_trim(0);
	must(fake_os_gigantic_free() == 2 && !arena_stats.hugetlb);
	check_arena();
}

/* Where there are no others one serves small blocks, too. */
static void gigantic_alone(void)
{
	char *p, *q;

	start(HUGETLB_ONLY, 10);
	fake_os_hugetlb(2, 1);
	p = huge(SIZE(2UL));
	q = huge(SIZE(2UL));
	must(on_hugetlb(p) && !on_gigantic(p) && on_gigantic(q) && !failures());
	must(!huge(SIZE(GIGANTIC_BLOCKS)) && failures() == 1);
	check_arena();
}

static void gigantic_forked(void)
{
	unsigned long used;
	char *p, *q;

	start(HUGETLB_TRY, 10);
	fake_os_hugetlb(0, 1);
	p = huge(SIZE(3UL));
	q = huge(SIZE(2UL));
	memset(p, 7, SIZE(3UL));
	memset(q, 8, SIZE(2UL));
	must(on_gigantic(p) && on_gigantic(q));
	used = arena_stats.used;
	hugetlb_fork_prepare();
	hugetlb_fork_child();
	must(!on_hugetlb(p) && !arena_stats.hugetlb && fake_os_gigantic_free() == 1 && arena_stats.used == used);
	must(p[0] == 7 && p[SIZE(3UL) - 1] == 7 && q[0] == 8 && q[SIZE(2UL) - 1] == 8);
	check_arena();
	put(p);
	put(q);
}

static void reserved(void)
{
	void *p;

	start(HUGETLB_TRY, 10);
	p = huge(SIZE(2UL));
	must(p && !on_hugetlb(p) && failures() == 1);
}

int main(void)
{
	model_init();
	if (!CAN_PLAN) {
		run_case_says("in a reserved window ordinary pages serve", reserved, "htlb_buddy_alloc_fail");
		return done_testing();
	}
	run_case("off, nothing is asked of the pool", off);
	run_case("huge blocks lie on hugetlb pages, and use again what is free", served);
	run_case("so does the Movable zone, and no other", zones);
	run_case_says("try: without any, ordinary pages serve", dry_try, "hugetlb:try: node 0 has not 2 hugetlb pages");
	run_case_says("only: without any, nothing does", dry_only, "hugetlb:only: node 0 has not 1 hugetlb pages");
	run_case_says("a page that is not there is found out", broken_promise, "error 14");
	if (on_valgrind())
		skip(1, "the system is asked with an address that is none, which memcheck tells");
	else
		run_case("also by an old system", old_system);
	run_case("what is somebody else's is passed over", foreign_mapping);
	run_case("they go back by munmap, or not at all", given_back);
	run_case_says("lengthened by their kind, not moved, not collapsed", resized, "has not 9 hugetlb pages");
	run_case("the child of a fork has ordinary pages, the parent what it had", forked);
	run_case_says("without memory for that they are shared", forked_without_memory, "for a fork");
	run_case("blocks of 1 GiB have pages of 1 GiB, which go back whole", gigantic);
	run_case_says("smaller ones where there are no others", gigantic_alone, "has not 512 hugetlb pages");
	run_case("the child of a fork gets rid of them whole", gigantic_forked);
	return done_testing();
}
