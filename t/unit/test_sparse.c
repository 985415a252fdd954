/* SPDX-License-Identifier: MIT */
/*
 * The window: planned and reserved, look-ups inside and beyond it, growth of the descriptors, commit and decommit, and
 * a system that refuses each step of the beginning.
 */
#include <errno.h>

#include "model.h"

static void check_lookups(void)
{
	int local;
	unsigned long last = vmemmap.nr_pages - 1;

	must(vmemmap.nr_pages && is_aligned(vmemmap.base, PAGEBLOCK_SIZE << 1));
	must(!pfn_valid(addr_to_pfn(NULL)));
	must(!pfn_valid(addr_to_pfn(&local)));
	must(!pfn_valid(addr_to_pfn((void *)UINTPTR_MAX)));
	must(!pfn_valid(addr_to_pfn((void *)(vmemmap.base - 1))));
	must(pfn_valid(addr_to_pfn((void *)vmemmap.base)));
	must(pfn_valid(last) && addr_to_pfn((char *)pfn_to_addr(last) + PAGE_SIZE - 1) == last);
	must(!pfn_valid(last + 1) && !pfn_valid(addr_to_pfn(pfn_to_addr(last + 1))));
	must(pfn_valid(addr_to_pfn(pfn_to_addr(last))));
	/* Descriptors exist to the very end, and say nothing. */
	must(all_zero(pfn_to_page(last), sizeof(struct page)));
	must(all_zero(pfn_to_block(last), sizeof(struct pageblock)));
	must(vmemmap.class[last] == 0);
	must(page_to_pfn(pfn_to_page(last)) == last && page_to_addr(pfn_to_page(last)) == pfn_to_addr(last));
	must(page_to_window_addr(pfn_to_page(last)) == pfn_to_addr(last));
	/* The same look-ups where pages below 4 GiB are known too. */
	must(virt_to_pfn(pfn_to_addr(last)) == last && pfn_online(last) && !pfn_online(last + 1));
	must(!pfn_online(virt_to_pfn(&local)) && !pfn_online(virt_to_pfn((void *)UINTPTR_MAX)));
	must(!pfn_online(virt_to_pfn(NULL)) && !pfn_online(virt_to_pfn((void *)PAGE_SIZE)));
	must(vmemmap.low_pfn == ~0UL || vmemmap.low_pfn + LOW_PAGES <= 1UL << 32, "numbers have 32 bits");
}

/* Descriptors of a larger heap: those that were there stay. */
static void check_extend(void)
{
	unsigned long before = vmemmap.nr_pages, bytes = sparse_metadata_bytes();

	must(bytes >= before * (sizeof(struct page) + 1) + (before >> PAGEBLOCK_ORDER) * sizeof(struct pageblock));
	vmemmap.class[before - 1] = 7;
	must(!sparse_extend(1) && vmemmap.nr_pages == before);
	must(!sparse_extend((before >> PAGEBLOCK_ORDER) + 1));
	must(vmemmap.nr_pages > before && sparse_metadata_bytes() > bytes);
	must(vmemmap.class[before - 1] == 7);
	vmemmap.class[before - 1] = 0;
	check_lookups();
}

/* Class maps of two nodes: they reach as far as the one of all, also when the system first refused the second. */
static void check_node_classes(void)
{
	unsigned long bytes = sparse_metadata_bytes(), before = vmemmap.nr_pages;
	uint8_t *map[2];

	must(!vmemmap.class_stride);
	must(!sparse_map_node_classes(1 | 1UL << (MAX_NUMNODES - 1)) && vmemmap.class_stride >= before);
	must(sparse_metadata_bytes() == bytes + 2 * before);
	map[0] = node_class_map(0);
	map[1] = node_class_map(MAX_NUMNODES - 1);
	must((uintptr_t)(map[1] + vmemmap.class_stride) <= (uintptr_t)vmemmap.map, "they end before what follows");
	map[0][before - 1] = 3;
	set_class_map(pfn_to_page(before - 1), 1, 9);
	must(map[0][before - 1] == 9 && vmemmap.class[before - 1] == 9 && !map[1][before - 1]);
	fake_os_reset();
	fake_os_fail(window_reserved() ? FAKE_MPROTECT : FAKE_MMAP, 4, false, ENOMEM);
	must(sparse_extend((before >> PAGEBLOCK_ORDER) + 1) == -ENOMEM && vmemmap.nr_pages == before);
	must(!sparse_extend((before >> PAGEBLOCK_ORDER) + 1) && vmemmap.nr_pages > before);
	for (int i = 0; i < 2; i++)
		must(!map[i][vmemmap.nr_pages - 1]);
}

static void check_commit(unsigned long pb)
{
	char *p = block_to_addr(pb);

	must(!sparse_commit(pb, 2));
	must(all_zero(p, 2 * PAGEBLOCK_SIZE));
	memset(p, 1, 2 * PAGEBLOCK_SIZE);
	must(!sparse_decommit(pb, 2));
	must(!sparse_commit(pb, 2));
	must(all_zero(p, 2 * PAGEBLOCK_SIZE), "memory came back as it went");
	must(!sparse_decommit(pb, 2));
}

static void check_window(void)
{
	check_lookups();
	check_extend();
	check_node_classes();
	check_commit(2);
}

static void planned(void)
{
	model_start();
	must(!window_reserved());
	check_window();
	/* Somebody else's addresses are refused, not taken. */
	must(os_linux.mmap(block_to_addr(9), PAGE_SIZE, PROT_READ, MAP_FIXED) > 0);
	must(sparse_commit(8, 2) == -EEXIST);
	must(sparse_commit(9, 1) == -EEXIST);
	must(!sparse_commit(8, 1));
}

/* The nth mapping of the plan (the three descriptor arrays) cannot be had: a window is reserved. */
static long refused;

static void reserved(void)
{
	fake_os_install();
	fake_os_fail(FAKE_MMAP, refused, false, EEXIST);
	must(!mm_init());
	must(window_reserved());
	must(fake_os_calls(FAKE_MPROTECT) == 3);
	check_window();
	must(sparse_end_block() > 1000);
}

/* The first size of the reservation is refused too: the next is half of it. */
static void reserved_half(void)
{
	unsigned long full;

	fake_os_install();
	fake_os_fail(FAKE_ANY, 1, false, EEXIST);
	must(!mm_init());
	full = sparse_end_block();
	vmemmap.nr_pages = 0;
	fake_os_reset();
	fake_os_fail(FAKE_ANY, 1, false, EEXIST);
	fake_os_fail(FAKE_MMAP, 2, false, ENOMEM);
	must(!sparse_init());
	must(sparse_end_block() < full && sparse_end_block() > full / 2 - 8, "%lu of %lu", sparse_end_block(), full);
	check_window();
}

/* Pages of address space that the process has. */
static unsigned long vm_pages(void)
{
	char text[128];

	must(os_read_file("/proc/self/statm", text, sizeof(text)) > 0);
	return strtoul(text, NULL, 10);
}

static void nothing(void)
{
	unsigned long before;

	fake_os_install();
	fake_os_fail(FAKE_MMAP, 1, true, ENOMEM);
	must(mm_init() == -ENOMEM);
	fake_os_reset();
	/* The reservation is had, but its memory is not: it must not stay behind. */
	before = vm_pages();
	fake_os_fail(FAKE_MMAP, 1, false, EEXIST);
	fake_os_fail(FAKE_MPROTECT, 1, true, ENOMEM);
	must(mm_init() < 0);
	must(vm_pages() < before + (GiB >> PAGE_SHIFT), "%lu pages, %lu before", vm_pages(), before);
	must(vmemmap.nr_pages == 0);
	fake_os_reset();
	must(!mm_init());
	check_window();
}

/* The window was had, the zones were not: a second try keeps the window. */
static void second_try(void)
{
	uintptr_t base;

	model_start();
	base = vmemmap.base;
	must(!mm_init());
	must(vmemmap.base == base, "the window moved below the heap");
	check_window();
}

static void test_planned(void)
{
	run_case("a planned window: look-ups, extension, commit", planned);
	for (refused = 1; refused <= 3; refused++) {
		char name[96];

		snprintf(name, sizeof(name), "a reserved window: mapping %ld of the plan was refused", refused);
		run_case(name, reserved);
	}
	run_case("a reserved window of half the size", reserved_half);
}

int main(void)
{
	if (CAN_PLAN && !on_valgrind())
		test_planned();
	else
		skip(5, "valgrind and sanitizers do not let the planned addresses be had");
	run_case("no memory at all, then there is", nothing);
	run_case("a second initialisation keeps the window", second_try);
	return done_testing();
}
