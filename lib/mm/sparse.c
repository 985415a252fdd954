/* SPDX-License-Identifier: MIT */
/*
 * The window and its descriptor arrays (the kernel's sparsemem with vmemmap).
 *
 * Normally nothing is reserved: the window and the arrays beside it are only a plan of addresses, far from where the
 * kernel places mappings by itself, and memory is mapped there piece by piece with MAP_FIXED_NOREPLACE. So the heap
 * costs no address space beyond what it uses, which is what ulimit -v counts. Where the planned addresses cannot be
 * had (valgrind, a sanitizer, a small address space) a modest window is reserved instead and committed by mprotect,
 * which RLIMIT_DATA checks where it would not check a mapping over a reservation.
 */
#include "mm/sparse.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "mm/page.h"
#include "os/os.h"
#include "os/topology.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* The planned window: with the page frames below 4 GiB as many as have 32-bit numbers; its base anywhere in a range
 * that neither mmap's own placement (top-down or bottom-up), nor brk, nor the shadows of sanitizers use. */
#define WINDOW_SIZE ((1UL << 44) - LOW_END)
#define WINDOW_LOW (0x11UL << 40)
#define WINDOW_SPREAD (0x9UL << 40)
#define RESERVED_WINDOW_MAX (64 * GiB)
#define RESERVED_WINDOW_MIN (32 * MiB)
/* A smaller reservation has no room for descriptors of what is not in it. */
#define LOW_WINDOW_MIN (GiB - 2 * PAGEBLOCK_SIZE)

#ifdef BM_PREFIX /* a sanitizer may know only the addresses that mmap picks */
#define CAN_PLAN false
#else
#define CAN_PLAN true
#endif

/* One descriptor array: mapped from its start as far as the heap reaches, and, far behind, for sections below 4 GiB. */
struct descriptor_area {
	uintptr_t base;
	size_t mapped;
	uint32_t low; /* sections below 4 GiB */
	size_t low_mapped;
};

static struct {
	bool reserved; /* committed by mprotect inside a reservation */
	unsigned long end_block;
	struct descriptor_area class, map, blocks;
	size_t class_stride;
	uint64_t class_nodes; /* those that have a class map of their own */
	unsigned int class_homes;
} sparse;
static later_data struct descriptor_area node_class[MAX_NUMNODES];
static later_data struct descriptor_area home_class[HOME_MAPS];

struct vmemmap vmemmap = { .low_pfn = ~0UL };

int sparse_map_fresh(uintptr_t addr, size_t len, int prot, int flags)
{
	long ret = os->mmap((void *)addr, len, prot, MAP_FIXED_NOREPLACE | flags);

	if (os_is_error(ret))
		return (int)ret;
	if ((uintptr_t)ret != addr) { /* a kernel that takes the flag for a hint */
		os->munmap((void *)ret, len);
		return -EEXIST;
	}
	return 0;
}

static int commit_range(uintptr_t addr, size_t len)
{
	if (sparse.reserved)
		return (int)os->mprotect((void *)addr, len, PROT_READ | PROT_WRITE);
	return sparse_map_fresh(addr, len, PROT_READ | PROT_WRITE, 0);
}

static int area_extend(struct descriptor_area *area, size_t need)
{
	size_t target = align_up(need, max_ul(os_page_size(), PAGE_SIZE));
	int err;

	if (target <= area->mapped)
		return 0;
	err = commit_range(area->base + area->mapped, target - area->mapped);
	if (err)
		return err;
	/* A hugepage of descriptors would be resident for a heap of a few pages. */
	os->madvise((void *)(area->base + area->mapped), target - area->mapped, MADV_NOHUGEPAGE);
	WRITE_ONCE(area->mapped, target);
	return 0;
}

/* Lay the arrays and the window out from base on; the size of it all. */
static size_t lay_out(uintptr_t base, size_t window)
{
	unsigned long pages = window >> PAGE_SHIFT, low_pfn = align_up(pages, SECTION_PAGES);
	bool low = window >= LOW_WINDOW_MIN;
	uintptr_t at = base;

	if (low)
		pages = low_pfn + LOW_PAGES;
	sparse.blocks.base = at;
	at += align_up((pages >> PAGEBLOCK_ORDER) * sizeof(struct pageblock), PAGEBLOCK_SIZE);
	sparse.class.base = at;
	sparse.class_stride = align_up(pages, max_ul(os_page_size(), PAGE_SIZE));
	at += align_up(sparse.class_stride * (1 + MAX_NUMNODES + HOME_MAPS), PAGEBLOCK_SIZE);
	sparse.map.base = at;
	at += align_up(pages * sizeof(struct page), PAGEBLOCK_SIZE);
	at = align_up(at, PAGEBLOCK_SIZE << 1); /* order 10 is the largest alignment of a block */
	vmemmap.base = at;
	vmemmap.blocks = (struct pageblock *)sparse.blocks.base;
	vmemmap.class = (uint8_t *)sparse.class.base;
	vmemmap.map = (struct page *)sparse.map.base;
	vmemmap.bias = vmemmap.base - (sparse.map.base << 7);
	vmemmap.low_pfn = low ? low_pfn : ~0UL;
	vmemmap.home_stride = sparse.class_stride;
	sparse.blocks.mapped = sparse.class.mapped = sparse.map.mapped = 0;
	sparse.end_block = window >> PAGEBLOCK_SHIFT;
	return at + window - base;
}

static int plan_window(void)
{
	uintptr_t base = WINDOW_LOW + align_down(os_random() % WINDOW_SPREAD, PAGEBLOCK_SIZE);

	sparse.reserved = false;
	lay_out(base, WINDOW_SIZE);
	return sparse_extend(SECTION_BLOCKS);
}

static int reserve_window(void)
{
	size_t window = RESERVED_WINDOW_MAX;
	size_t total;
	long ret;
	int err;

	for (; window >= RESERVED_WINDOW_MIN; window >>= 1) {
		total = lay_out(0, window) + PAGEBLOCK_SIZE;
		ret = os->mmap(NULL, total, PROT_NONE, 0);
		if (os_is_error(ret))
			continue;
		sparse.reserved = true;
		lay_out(align_up((uintptr_t)ret, PAGEBLOCK_SIZE), window - 2 * PAGEBLOCK_SIZE);
		err = sparse_extend(min_ul(SECTION_BLOCKS, sparse.end_block));
		if (err)
			os->munmap((void *)ret, total);
		return err;
	}
	return -ENOMEM;
}

int sparse_init(void)
{
	if (CAN_PLAN) {
		if (!plan_window())
			return 0;
		os->munmap((void *)sparse.blocks.base, sparse.blocks.mapped);
		os->munmap((void *)sparse.class.base, sparse.class.mapped);
	}
	return reserve_window();
}

/* The class maps of these nodes. */
static int extend_node_classes(uint64_t nodes, unsigned long pages)
{
	int err = 0;

	for (; nodes && !err; nodes &= nodes - 1)
		err = area_extend(&node_class[first_bit(nodes)], pages);
	return err;
}

cold int sparse_map_node_classes(uint64_t nodes)
{
	uint64_t left;
	int err;

	for (left = nodes; left; left &= left - 1) {
		unsigned int nid = first_bit(left);

		node_class[nid].base = sparse.class.base + (nid + 1) * sparse.class_stride;
	}
	err = extend_node_classes(nodes, vmemmap.nr_pages);
	if (err)
		return err;
	WRITE_ONCE(sparse.class_nodes, nodes);
	vmemmap.class_stride = sparse.class_stride;
	return 0;
}

/* The first nr of those of homes. */
static int extend_home_classes(unsigned int nr, unsigned long pages)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < nr && !err; i++)
		err = area_extend(&home_class[i], pages);
	return err;
}

cold int sparse_map_home_classes(void)
{
	uintptr_t first = sparse.class.base + (1 + MAX_NUMNODES) * sparse.class_stride;
	unsigned int i;
	int err;

	for (i = 0; i < HOME_MAPS; i++)
		home_class[i].base = first + i * sparse.class_stride;
	err = extend_home_classes(HOME_MAPS, vmemmap.nr_pages);
	if (err)
		return err;
	WRITE_ONCE(sparse.class_homes, HOME_MAPS);
	smp_store_release(&vmemmap.home_maps, (uint8_t *)first);
	return 0;
}

void forget_home_classes(unsigned long pfn, unsigned long nr)
{
	unsigned int i;

	for (i = 0; i < HOME_MAPS; i++) {
		uint8_t *map = home_class_map(i) + pfn;
		unsigned long j;

		for (j = 0; READ_ONCE(*map) != 0 && j < nr; j++) /* backwards: all or nothing is said of a slab */
			WRITE_ONCE(map[nr - 1 - j], 0);
	}
}

int sparse_extend(unsigned long pb)
{
	unsigned long pages;
	int err;

	pb = min_ul(align_up(pb, SECTION_BLOCKS), sparse.end_block);
	pages = pb << PAGEBLOCK_ORDER;
	if (pages <= vmemmap.nr_pages)
		return 0;
	err = area_extend(&sparse.blocks, pb * sizeof(struct pageblock));
	if (!err)
		err = area_extend(&sparse.class, pages);
	if (!err)
		err = extend_node_classes(sparse.class_nodes, pages);
	if (!err)
		err = extend_home_classes(sparse.class_homes, pages);
	if (!err)
		err = area_extend(&sparse.map, pages * sizeof(struct page));
	if (!err) {
		smp_store_release(&vmemmap.nr_pages, pages);
		smp_store_release(&vmemmap.map_size, pages * sizeof(struct page));
	}
	return err;
}

/* len bytes of the array, from its byte at on: the descriptors of a section below 4 GiB, which has a bit in low. */
static int area_extend_low(struct descriptor_area *area, unsigned int section, unsigned long at, size_t len)
{
	size_t unit = max_ul(os_page_size(), PAGE_SIZE);
	uintptr_t start = align_down(area->base + at, unit), end = align_up(area->base + at + len, unit);
	int err;

	if (area->low >> section & 1)
		return 0;
	err = commit_range(start, end - start);
	if (err)
		return err;
	os->madvise((void *)start, end - start, MADV_NOHUGEPAGE);
	area->low |= 1U << section;
	ADD_ONCE(area->low_mapped, len);
	return 0;
}

int sparse_extend_low(unsigned long pb, unsigned long nr)
{
	unsigned long low_block = vmemmap.low_pfn >> PAGEBLOCK_ORDER;
	unsigned int section = (unsigned int)((pb - low_block) / SECTION_BLOCKS);
	int err = 0;

	for (; !err && section <= (pb + nr - 1 - low_block) / SECTION_BLOCKS; section++) {
		unsigned long pfn = vmemmap.low_pfn + section * SECTION_PAGES;

		if (vmemmap.low_sections >> section & 1)
			continue;
		/* Pageblocks are few: those of every section at once, so that a zone can be walked from end to end. */
		err = area_extend_low(&sparse.blocks, 0, low_block * sizeof(struct pageblock),
				      LOW_BLOCKS * sizeof(struct pageblock));
		if (!err)
			err = area_extend_low(&sparse.class, section, pfn, SECTION_PAGES);
		if (!err)
			err = area_extend_low(&sparse.map, section, pfn * sizeof(struct page),
					      SECTION_PAGES * sizeof(struct page));
		if (!err)
			smp_store_release(&vmemmap.low_sections, vmemmap.low_sections | 1U << section);
	}
	return err;
}

/* Pageblocks below 4 GiB never are. */
static bool in_reservation(unsigned long pb)
{
	return sparse.reserved && !pfn_is_low(pb << PAGEBLOCK_ORDER);
}

int sparse_commit(unsigned long pb, unsigned long nr)
{
	void *addr = block_to_addr(pb);

	if (!in_reservation(pb))
		return sparse_map_fresh((uintptr_t)addr, nr << PAGEBLOCK_SHIFT, PROT_READ | PROT_WRITE, 0);
	return (int)os->mprotect(addr, nr << PAGEBLOCK_SHIFT, PROT_READ | PROT_WRITE);
}

static int decommit_range(void *addr, size_t len, bool reserved)
{
	long ret;

	if (!reserved)
		return (int)os->munmap(addr, len);
	ret = os->mmap(addr, len, PROT_NONE, MAP_FIXED);
	return os_is_error(ret) ? (int)ret : 0;
}

int sparse_decommit(unsigned long pb, unsigned long nr)
{
	return decommit_range(block_to_addr(pb), nr << PAGEBLOCK_SHIFT, in_reservation(pb));
}

int sparse_fill_hole(unsigned long pb, size_t bytes)
{
	return sparse_map_fresh((uintptr_t)block_to_addr(pb), bytes, PROT_READ | PROT_WRITE, 0);
}

int sparse_give_up_hole(unsigned long pb, unsigned long nr, size_t bytes)
{
	size_t rest = (nr << PAGEBLOCK_SHIFT) - bytes;
	int err = rest ? decommit_range((char *)block_to_addr(pb) + bytes, rest, in_reservation(pb)) : 0;

	/* Without a reservation the next commit finds out whether somebody is there. */
	if (err || !sparse.reserved)
		return err;
	return sparse_map_fresh((uintptr_t)block_to_addr(pb), bytes, PROT_NONE, 0);
}

bool sparse_is_reserved(void)
{
	return sparse.reserved;
}

unsigned long sparse_end_block(void)
{
	return sparse.end_block;
}

unsigned long sparse_metadata_bytes(void)
{
	unsigned long maps = 1 + hweight_long(READ_ONCE(sparse.class_nodes)) + READ_ONCE(sparse.class_homes);

	return READ_ONCE(sparse.blocks.mapped) + READ_ONCE(sparse.class.mapped) * maps + READ_ONCE(sparse.map.mapped) +
	       READ_ONCE(sparse.blocks.low_mapped) + READ_ONCE(sparse.class.low_mapped) +
	       READ_ONCE(sparse.map.low_mapped);
}
