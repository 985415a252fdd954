/* SPDX-License-Identifier: MIT */
/*
 * Pageblocks below 4 GiB: random operations between mappings of others, which are stepped over and stay unharmed; a low
 * space that is full.
 */
#include <errno.h>
#include <pthread.h>

#include "lowmem.h"

static void lookups(void)
{
	unsigned long metadata, pb, pfn;

	model_start();
	metadata = sparse_metadata_bytes();
	must(vmemmap.low_pfn != ~0UL && !vmemmap.low_sections);
	must(vmemmap.low_pfn >= sparse_end_block() << PAGEBLOCK_ORDER && vmemmap.low_pfn + LOW_PAGES <= 1UL << 32);
	must(is_aligned(vmemmap.low_pfn, SECTION_PAGES));
	must(!pfn_online(virt_to_pfn((void *)PAGE_SIZE)) && !pfn_online(virt_to_pfn(NULL)));
	must(!pfn_online(~0UL) && !pfn_online(vmemmap.low_pfn + LOW_PAGES) && !pfn_online(vmemmap.low_pfn - 1));
	pb = must_get(1, 1);
	pfn = pb << PAGEBLOCK_ORDER;
	must(pb == low_block(addr_of(pb)));
	must(pfn_online(pfn) && pfn_is_low(pfn) && !pfn_valid(pfn));
	must(virt_to_pfn((char *)block_to_addr(pb) + PAGE_SIZE + 5) == pfn + 1);
	must(page_to_addr(pfn_to_page(pfn + 1)) == (char *)block_to_addr(pb) + PAGE_SIZE);
	must(!pfn_valid(addr_to_pfn(block_to_addr(pb))), "malloc never takes it for its own");
	must(virt_to_pfn((void *)vmemmap.base) == 0 && pfn_online(0) && !pfn_is_low(vmemmap.nr_pages - 1));
	must(sparse_metadata_bytes() ==
		     metadata + SECTION_PAGES * (sizeof(struct page) + 1) + LOW_BLOCKS * sizeof(struct pageblock),
	     "one section's descriptors, and all pageblocks'");
	must(vmemmap.class[pfn] == 0 && all_zero(pfn_to_page(pfn), PAGEBLOCK_PAGES * sizeof(struct page)));
	/* The neighbours of every page of a section that is online can be asked. */
	must(pfn_to_block(pfn ^ PAGEBLOCK_PAGES)->state == PB_HOLE);
	must(lowmem_used() == 1 && lowmem_mapped() == 1);
	memset(block_to_addr(pb), 1, PAGEBLOCK_SIZE);
	check_lowmem();
	lowmem_free(pb, 1);
	must(is_unmapped(addr_of(pb), PAGEBLOCK_SIZE), "it goes back at once");
	must(!lowmem_used() && !lowmem_mapped());
	pb = settled_place(1);
	must(must_get(1, 1) == pb && all_zero(block_to_addr(pb), PAGEBLOCK_SIZE));
	check_lowmem();
	check_arena();
}

/* The heap alone: nothing of this is there. */
static void unused(void)
{
	unsigned long metadata;
	bool clean;

	model_start();
	must(arena_alloc(8, 1, PB_HUGE, 0, &clean));
	must(alloc_pages(GFP_USER, 3));
	metadata = vmemmap.nr_pages * (sizeof(struct page) + 1) +
		   (vmemmap.nr_pages >> PAGEBLOCK_ORDER) * sizeof(struct pageblock);
	must(!vmemmap.low_sections && !lowmem_mapped());
	must(sparse_metadata_bytes() >= metadata && sparse_metadata_bytes() < metadata + 3 * os_page_size());
}

/* Random operations. */
#define MAX_RANGES 40
static struct range {
	unsigned long pb, nr;
	uint64_t stamp;
} ranges[MAX_RANGES];
static uintptr_t foreign[MAX_RANGES];
static unsigned long held;

static uint64_t *last_word(const struct range *r, unsigned long i)
{
	return (uint64_t *)(addr_of(r->pb + i + 1) - 8);
}

static void take(struct range *r)
{
	unsigned long align = 1UL << rnd(3), i;
	bool large = rnd(10) == 0;

	/* A large one may find everything in pieces. */
	r->nr = 1 + rnd(large ? 200 : 4);
	r->pb = large ? get(r->nr, align) : must_get(r->nr, align);
	if (!r->pb)
		r->nr = 0;
	r->stamp = rnd64() | 1;
	for (i = 0; i < r->nr; i++)
		*(uint64_t *)block_to_addr(r->pb + i) = *last_word(r, i) = r->stamp + i;
	held += r->nr;
}

static void give(struct range *r)
{
	unsigned long i, nr = rnd(2) ? r->nr : 1 + rnd(r->nr);

	for (i = 0; i < r->nr; i++)
		must(*(uint64_t *)block_to_addr(r->pb + i) == r->stamp + i && *last_word(r, i) == r->stamp + i,
		     "pageblock %lu of %lu", i, r->nr);
	lowmem_free(r->pb, nr);
	r->pb += nr;
	r->nr -= nr;
	r->stamp += nr;
	held -= nr;
}

static void one_step(void)
{
	struct range *r = &ranges[rnd(MAX_RANGES)];
	uintptr_t *f = &foreign[rnd(MAX_RANGES)], addr;

	if (r->nr)
		give(r);
	else
		take(r);
	if (*f) {
		must(*(volatile char *)*f == 42, "a foreign mapping at %#lx was changed", *f);
		os_linux.munmap((void *)*f, os_page_size());
		*f = 0;
	} else {
		/* Near the top, where it is in the way. */
		addr = LOW_END - (1 + rnd(rnd(2) ? 60 : LOW_BLOCKS - 2)) * PAGEBLOCK_SIZE;
		addr += align_down(rnd(PAGEBLOCK_SIZE), os_page_size());
		*f = map_foreign(addr) ? addr : 0;
	}
	check_lowmem();
	must(lowmem_used() == held && lowmem_mapped() == held);
}

static void random_operations(void)
{
	unsigned long i;

	model_start();
	tunables.thp = THP_NEVER;
	for (i = steps(5000); i; i--)
		one_step();
	for (i = 0; i < MAX_RANGES; i++) {
		while (ranges[i].nr)
			give(&ranges[i]);
		must(!foreign[i] || *(volatile char *)foreign[i] == 42);
	}
	must(!lowmem_used());
	check_lowmem();
}

static void exhaustion(void)
{
	unsigned long n, calls;
	uintptr_t addr;
	bool clean;

	model_start();
	must_get(1, 1);
	n = take_all(1, all);
	must(n && n < LOW_BLOCKS - 1);
	check_lowmem();
	must(lowmem_used() == n + 1);
	/* That there is nothing is known without asking again. */
	calls = fake_os_calls(FAKE_ANY);
	must(!lowmem_alloc(1, 1, 0, &clean) && !lowmem_alloc(2, 2, 0, &clean) && !lowmem_alloc(7, 1, 0, &clean));
	must(fake_os_calls(FAKE_ANY) == calls, "%lu calls", fake_os_calls(FAKE_ANY) - calls);
	/* One that is free is found at once, be it of a single length or of two. */
	lowmem_free(all[n / 2], 1);
	must(!lowmem_alloc(2, 2, 0, &clean));
	must(must_get(1, 1) == all[n / 2]);
	/* One that was somebody else's is found later. */
	addr = addr_of(all[n - 1]);
	lowmem_free(all[n - 1], 1);
	must(map_foreign(addr));
	must(!lowmem_alloc(1, 1, 0, &clean));
	os_linux.munmap((void *)addr, os_page_size());
	must(!lowmem_alloc(1, 1, 0, &clean));
	clock_ms += 1000;
	must(must_get(1, 1) == all[n - 1]);
	check_lowmem();
}

static void exhaustion_by_pairs(void)
{
	unsigned long n, calls, i;
	bool clean;

	model_start();
	n = take_all(2, all);
	must(n && n < LOW_BLOCKS / 2);
	calls = fake_os_calls(FAKE_ANY);
	must(!lowmem_alloc(2, 2, 0, &clean));
	must(fake_os_calls(FAKE_ANY) == calls, "%lu calls", fake_os_calls(FAKE_ANY) - calls);
	/* Halves that are free are no pair. */
	for (i = 0; i < n; i += 2)
		lowmem_free(all[i] + (i & 2) / 2, 1);
	must(!lowmem_alloc(2, 2, 0, &clean));
	must(must_get(1, 1));
	check_lowmem();
}

static void nonsense(void)
{
	unsigned long pb;
	bool clean;

	model_start();
	must(!lowmem_alloc(LOW_BLOCKS, 1, 0, &clean) && !lowmem_alloc(~0UL, 1, 0, &clean));
	must(!lowmem_alloc(1, LOW_BLOCKS, 0, &clean) && !lowmem_alloc(1, 1UL << 40, 0, &clean));
	pb = lowmem_alloc(LOW_BLOCKS - 1, 1, 0, &clean);
	must(!pb || addr_of(pb) == PAGEBLOCK_SIZE, "all of it, where nobody is");
	must(!pb || !lowmem_alloc(1, 1, 0, &clean));
	check_lowmem();
	if (pb)
		lowmem_free(pb, LOW_BLOCKS - 1);
	must(!lowmem_used());
	must_get(1, 1);
	check_lowmem();
}

/* Where the next pageblock would come, somebody is. */
static void step_over(void)
{
	unsigned long pb, pair, calls;

	model_start();
	pb = settled_place(2);
	must(map_foreign(addr_of(pb) + os_page_size()));
	pair = must_get(2, 2);
	must(pair + 2 <= pb, "the pair with a foreign page in it");
	must(must_get(1, 1) == pb + 1 || must_get(1, 1) == pb + 1, "its other half is free");
	calls = fake_os_calls(FAKE_MMAP);
	must(must_get(1, 1) < pair);
	must(fake_os_calls(FAKE_MMAP) == calls + 1, "what is known to be foreign is not tried");
	memset(block_to_addr(pair), 1, 2 * PAGEBLOCK_SIZE);
	must(*(volatile char *)(addr_of(pb) + os_page_size()) == 42);
	check_lowmem();
}

/* The upper half of the low space is somebody else's: the kernel knows better where there is room. */
static void ask_kernel(void)
{
	unsigned long pb, i;
	uintptr_t addr;

	model_start();
	for (addr = LOW_END - PAGEBLOCK_SIZE; addr >= 2 * GiB; addr -= PAGEBLOCK_SIZE)
		map_foreign(addr);
	pb = must_get(2, 2);
	must(addr_of(pb) < 2 * GiB);
#ifdef MAP_32BIT
	must(fake_os_calls(FAKE_MMAP) < 200, "%lu calls", fake_os_calls(FAKE_MMAP));
#endif
	for (i = 0; i < 10; i++)
		must(addr_of(must_get(1, 1)) < 2 * GiB);
	check_lowmem();
}

static void *churn(void *arg)
{
	uint64_t state = (uintptr_t)arg;
	unsigned long pb[4] = { 0 }, i;
	bool clean;

	for (i = steps(2000); i; i--) {
		unsigned int at = (unsigned int)(state >> 33) % 4;

		state = state * 6364136223846793005U + 1442695040888963407U;
		if (pb[at]) {
			must(*(uint64_t *)block_to_addr(pb[at]) == (uintptr_t)arg);
			lowmem_free(pb[at], 1);
			pb[at] = 0;
		} else if ((pb[at] = lowmem_alloc(1, 1, 0, &clean))) {
			must(clean && !*(uint64_t *)block_to_addr(pb[at]));
			*(uint64_t *)block_to_addr(pb[at]) = (uintptr_t)arg;
		}
	}
	for (i = 0; i < 4; i++)
		if (pb[i])
			lowmem_free(pb[i], 1);
	return NULL;
}

static void two_threads(void)
{
	pthread_t thread;

	model_start();
	must(!pthread_create(&thread, NULL, churn, (void *)1));
	churn((void *)2);
	must(!pthread_join(thread, NULL));
	check_lowmem();
	must(!lowmem_mapped());
}

int main(void)
{
	model_init();
	run_case("page frames below 4 GiB: look-ups and descriptors", lookups);
	run_case("who never asks pays nothing", unused);
	run_case("random operations between foreign mappings", random_operations);
	run_case("a full low space is known to be full", exhaustion);
	run_case("the same by pairs", exhaustion_by_pairs);
	run_case("impossible requests", nonsense);
	run_case("foreign mappings are stepped over", step_over);
	run_case("the kernel is asked for room", ask_kernel);
	run_case("two threads", two_threads);
	return done_testing();
}
