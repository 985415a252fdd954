/* SPDX-License-Identifier: MIT */
/*
 * Pageblocks below 4 GiB: random operations between mappings of others, which are stepped over and stay unharmed; a low
 * space that is full; a system that refuses each step, or takes an address for a hint; small address spaces and
 * reserved windows.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>

#include "base/tunables.h"
#include "mm/lowmem.h"
#include "model.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static uintptr_t addr_of(unsigned long pb)
{
	return (uintptr_t)block_to_addr(pb);
}

static unsigned long low_block(uintptr_t addr)
{
	return (vmemmap.low_pfn >> PAGEBLOCK_ORDER) + (addr >> PAGEBLOCK_SHIFT);
}

/* Is nothing mapped there? Asked of the system itself, which says so by letting us. */
static bool is_unmapped(uintptr_t addr, size_t len)
{
	long ret = os_linux.mmap((void *)addr, len, PROT_NONE, MAP_FIXED_NOREPLACE);

	if (os_is_error(ret))
		return false;
	os_linux.munmap((void *)ret, len);
	return (uintptr_t)ret == addr;
}

/* A page of somebody else's; false: something is there already. */
static bool map_foreign(uintptr_t addr)
{
	long ret = os_linux.mmap((void *)addr, os_page_size(), PROT_READ | PROT_WRITE, MAP_FIXED_NOREPLACE);

	if (!os_is_error(ret) && (uintptr_t)ret != addr)
		os_linux.munmap((void *)ret, os_page_size());
	if ((uintptr_t)ret != addr)
		return false;
	*(volatile char *)addr = 42;
	return true;
}

static unsigned long get(unsigned long nr, unsigned long align)
{
	bool clean;
	unsigned long pb = lowmem_alloc(nr, align, 0, &clean), i;

	if (!pb)
		return 0;
	must(addr_of(pb) + (nr << PAGEBLOCK_SHIFT) <= LOW_END && addr_of(pb) >= PAGEBLOCK_SIZE);
	must(is_aligned(addr_of(pb), align << PAGEBLOCK_SHIFT));
	for (i = 0; i < nr; i++) {
		const struct pageblock *b = &vmemmap.blocks[pb + i];

		must(b->state == PB_OFFLINE && b->flags & PBF_MAPPED && b->nid == 0);
		must(!clean || (!*(uint64_t *)block_to_addr(pb + i) && all_zero(block_to_addr(pb + i), 64)));
	}
	return pb;
}

static unsigned long must_get(unsigned long nr, unsigned long align)
{
	unsigned long pb = get(nr, align);

	must(pb, "%lu pageblocks", nr);
	return pb;
}

/* Where somebody sits at the top (a sanitizer's shadow, valgrind) it takes some requests until that is known; from
 * then on the place of the next is the highest. */
static unsigned long settled_place(unsigned long nr)
{
	static unsigned long pb[LOW_BLOCKS / 16];
	unsigned int n;

	for (n = 0; n < ARRAY_SIZE(pb); n++)
		pb[n] = must_get(1, 1);
	while (n)
		lowmem_free(pb[--n], 1);
	pb[0] = must_get(nr, nr);
	lowmem_free(pb[0], nr);
	return pb[0];
}

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

/* Take what there is, ones or pairs; how many there were. */
static unsigned long take_all(unsigned long nr, unsigned long *pb)
{
	unsigned long n = 0;
	bool clean;

	while (n < LOW_BLOCKS && (pb[n] = lowmem_alloc(nr, nr, 0, &clean)))
		n++;
	return n;
}

static unsigned long all[LOW_BLOCKS + 1];

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
	usleep(1200000);
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

static struct os_ops ops;

static void use_mmap(long (*mmap_op)(void *, size_t, int, int))
{
	ops = *os;
	ops.mmap = mmap_op;
	os = &ops;
}

/* A kernel before 4.17 takes the address for a hint. */
static long hinting_mmap(void *addr, size_t len, int prot, int flags)
{
	return os_linux.mmap(addr, len, prot, flags & ~MAP_FIXED_NOREPLACE);
}

static unsigned long vm_pages(void)
{
	char text[128];

	must(os_read_file("/proc/self/statm", text, sizeof(text)) > 0);
	return strtoul(text, NULL, 10);
}

static void old_kernel(void)
{
	unsigned long pb, before, i;

	model_start();
	use_mmap(hinting_mmap);
	pb = settled_place(1);
	for (i = 0; i < 4; i++)
		must(map_foreign(addr_of(pb - i)));
	before = vm_pages();
	must(must_get(1, 1) < pb - 3);
	must(on_valgrind() || vm_pages() <= before + PAGEBLOCK_PAGES, "what came elsewhere is unmapped again");
	for (i = 0; i < 4; i++)
		must(*(volatile char *)addr_of(pb - i) == 42);
	check_lowmem();
}

/* It may not map below a high vm.mmap_min_addr. */
static unsigned long mmap_calls;

static long forbidding_mmap(void *addr, size_t len, int prot, int flags)
{
	mmap_calls++;
	if ((uintptr_t)addr < LOW_END - 8 * PAGEBLOCK_SIZE && (uintptr_t)addr && (uintptr_t)addr < LOW_END)
		return -EPERM;
	return (uintptr_t)addr || !(flags & 0x40) ? os_linux.mmap(addr, len, prot, flags) : -ENOMEM;
}

static void forbidden(void)
{
	unsigned long n;
	bool clean;

	model_start();
	use_mmap(forbidding_mmap);
	n = take_all(1, all);
	must(n <= 8, "%lu", n);
	mmap_calls = 0;
	must(!lowmem_alloc(1, 1, 0, &clean) && !mmap_calls, "they are known like those of others");
	while (n)
		lowmem_free(all[--n], 1);
	check_lowmem();
}

static void no_memory(void)
{
	unsigned long pb, before;
	bool clean;
	int i;

	model_start();
	before = vm_pages();
	/* Each call of a request, descriptors included, fails once. */
	for (i = 0; i < 4; i++) {
		bool commits = i && window_reserved();

		fake_os_fail(commits ? FAKE_MPROTECT : FAKE_MMAP, i && !commits ? 2 : 1, false, ENOMEM);
		pb = lowmem_alloc(1, 1, 0, &clean);
		must(!pb && !lowmem_mapped(), "failure %d", i);
		must(on_valgrind() || vm_pages() < before + PAGEBLOCK_PAGES, "memory without descriptors stayed");
		check_lowmem();
		fake_os_reset();
	}
	pb = must_get(1, 1);
	fake_os_fail(FAKE_MMAP, 1, true, ENOMEM);
	must(!lowmem_alloc(1, 1, 0, &clean));
	must(fake_os_calls(FAKE_MMAP) <= 2 + 2 * 16, "it does not look further for what there is not");
	fake_os_reset();
	must(must_get(1, 1), "nor remembers it");
	lowmem_free(pb, 1);
	check_lowmem();
}

static void no_advice(void)
{
	model_start();
	tunables.thp = THP_AUTO;
	tunables.thp_threshold = 0;
	fake_os_fail(FAKE_MADVISE, 1, true, EINVAL);
	fake_os_fail(FAKE_MBIND, 1, true, EINVAL);
	must(!(vmemmap.blocks[must_get(1, 1)].flags & PBF_THP));
	fake_os_reset();
	must(vmemmap.blocks[must_get(1, 1)].flags & PBF_THP || annotate_listening);
	check_lowmem();
}

/* The system will not unmap (too many mappings): the memory goes back all the same, and serves again. */
static void no_unmapping(void)
{
	unsigned long pb, calls;
	bool clean;

	model_start();
	pb = must_get(2, 2);
	memset(block_to_addr(pb), 1, 2 * PAGEBLOCK_SIZE);
	fake_os_fail(FAKE_MUNMAP, 1, true, ENOMEM);
	lowmem_free(pb, 2);
	must(!lowmem_used() && lowmem_mapped() == 2);
	must(all_zero(block_to_addr(pb), 2 * PAGEBLOCK_SIZE));
	check_lowmem();
	calls = fake_os_calls(FAKE_MMAP);
	must(lowmem_alloc(2, 2, 0, &clean) == pb && clean && lowmem_mapped() == 2);
	must(fake_os_calls(FAKE_MMAP) == calls);
	check_lowmem();
	memset(block_to_addr(pb), 1, 2 * PAGEBLOCK_SIZE);
	fake_os_fail(FAKE_MADVISE, 1, true, EINVAL);
	lowmem_free(pb, 2);
	must(lowmem_alloc(1, 1, 0, &clean) == pb + 1 && !clean, "it says that it is dirty");
	must(lowmem_used() == 1 && lowmem_mapped() == 2);
	check_lowmem();
	fake_os_reset();
	lowmem_free(pb + 1, 1);
	must(lowmem_mapped() == 1 && is_unmapped(addr_of(pb + 1), PAGEBLOCK_SIZE));
	check_lowmem();
}

/* The window is reserved; its descriptors are committed inside the reservation, low pageblocks are mapped as ever. */
static void reserved(void)
{
	unsigned long pb, calls;

	fake_os_install();
	if (CAN_PLAN)
		fake_os_fail(FAKE_MMAP, 1, false, EEXIST);
	must(!mm_init() && window_reserved());
	must(sparse_end_block() >> (30 - PAGEBLOCK_SHIFT), "less than one GiB was to be had");
	calls = fake_os_calls(FAKE_MPROTECT);
	pb = must_get(2, 2);
	must(fake_os_calls(FAKE_MPROTECT) == calls + 3);
	memset(pfn_to_page(pb << PAGEBLOCK_ORDER), 0, 2 * PAGEBLOCK_PAGES * sizeof(struct page));
	memset(block_to_addr(pb), 1, 2 * PAGEBLOCK_SIZE);
	check_lowmem();
	lowmem_free(pb, 2);
	must(is_unmapped(addr_of(pb), 2 * PAGEBLOCK_SIZE));
	check_lowmem();
}

/* Too small a one has no room for them. */
static long miserly_mmap(void *addr, size_t len, int prot, int flags)
{
	return len > 900 * MiB || (CAN_PLAN && addr) ? -ENOMEM : os_linux.mmap(addr, len, prot, flags);
}

static void reserved_small(void)
{
	unsigned long pb;
	bool clean;

	fake_os_install();
	use_mmap(miserly_mmap);
	must(!mm_init() && window_reserved());
	must(sparse_end_block() < 512 && vmemmap.low_pfn == ~0UL);
	must(!lowmem_alloc(1, 1, 0, &clean));
	must(!pfn_online(virt_to_pfn((void *)PAGE_SIZE)) && !pfn_online(~0UL));
	pb = arena_alloc(2, 1, PB_HUGE, 0, &clean);
	must(pb && addr_of(pb) > vmemmap.base);
	must(virt_to_pfn(block_to_addr(pb)) == pb << PAGEBLOCK_ORDER);
}

/* ulimit -v. */
static void small_address_space(void)
{
	struct rlimit limit;
	unsigned long n, pb;
	bool clean;

	model_start();
	n = vm_pages();
	limit.rlim_cur = limit.rlim_max = (n << PAGE_SHIFT) + 64 * MiB;
	must(!setrlimit(RLIMIT_AS, &limit));
	n = take_all(1, all);
	must(n >= 16 && n <= 32, "%lu", n);
	check_lowmem();
	must(!arena_alloc(8, 1, PB_HUGE, 0, &clean));
	while (n)
		lowmem_free(all[--n], 1);
	pb = arena_alloc(8, 1, PB_HUGE, 0, &clean);
	must(pb, "what was given back serves elsewhere");
	must(take_all(1, all) >= 8);
	check_lowmem();
	check_arena();
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
	run_case("a kernel that takes addresses for hints", old_kernel);
	run_case("addresses that are forbidden", forbidden);
	run_case("no memory", no_memory);
	run_case("no advice", no_advice);
	run_case("no unmapping", no_unmapping);
	run_case("a reserved window", reserved);
	run_case("a small reserved window has no low pageblocks", reserved_small);
	if (CAN_PLAN && !on_valgrind())
		run_case("a small address space", small_address_space);
	else
		skip(1, "valgrind and sanitizers need the address space themselves");
	run_case("two threads", two_threads);
	return done_testing();
}
