/* SPDX-License-Identifier: MIT */
/*
 * Pageblocks below 4 GiB where the system refuses each step, or takes an address for a hint; small address spaces and
 * reserved windows.
 */
#include <errno.h>
#include <sys/resource.h>

#include "lowmem.h"

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

int main(void)
{
	model_init();
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
	return done_testing();
}
