/* SPDX-License-Identifier: MIT */
/*
 * Pageblocks below 4 GiB, and mappings of others between them.
 */
#ifndef T_UNIT_LOWMEM_H
#define T_UNIT_LOWMEM_H

#include "base/tunables.h"
#include "mm/lowmem.h"
#include "model.h"

/* Instead of the clock: what is known of others' places is not forgotten by itself, however slow this machine is. */
static uint64_t clock_ms = 1000000;
uint64_t __wrap_os_clock_ms(void);
uint64_t __wrap_os_clock_ms(void)
{
	return clock_ms;
}

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

TAP_UNUSED uintptr_t addr_of(unsigned long pb)
{
	return (uintptr_t)block_to_addr(pb);
}

TAP_UNUSED unsigned long low_block(uintptr_t addr)
{
	return (vmemmap.low_pfn >> PAGEBLOCK_ORDER) + (addr >> PAGEBLOCK_SHIFT);
}

/* Is nothing mapped there? Asked of the system itself, which says so by letting us. */
TAP_UNUSED bool is_unmapped(uintptr_t addr, size_t len)
{
	long ret = os_linux.mmap((void *)addr, len, PROT_NONE, MAP_FIXED_NOREPLACE);

	if (os_is_error(ret))
		return false;
	os_linux.munmap((void *)ret, len);
	return (uintptr_t)ret == addr;
}

/* A page of somebody else's; false: something is there already. */
TAP_UNUSED bool map_foreign(uintptr_t addr)
{
	long ret = os_linux.mmap((void *)addr, os_page_size(), PROT_READ | PROT_WRITE, MAP_FIXED_NOREPLACE);

	if (!os_is_error(ret) && (uintptr_t)ret != addr)
		os_linux.munmap((void *)ret, os_page_size());
	if ((uintptr_t)ret != addr)
		return false;
	*(volatile char *)addr = 42;
	return true;
}

TAP_UNUSED unsigned long get(unsigned long nr, unsigned long align)
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

TAP_UNUSED unsigned long must_get(unsigned long nr, unsigned long align)
{
	unsigned long pb = get(nr, align);

	must(pb, "%lu pageblocks", nr);
	return pb;
}

/* Where somebody sits at the top (a sanitizer's shadow, valgrind) it takes some requests until that is known; from
 * then on the place of the next is the highest. */
TAP_UNUSED unsigned long settled_place(unsigned long nr)
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

/* Take what there is, ones or pairs; how many there were. */
TAP_UNUSED unsigned long take_all(unsigned long nr, unsigned long *pb)
{
	unsigned long n = 0;
	bool clean;

	while (n < LOW_BLOCKS && (pb[n] = lowmem_alloc(nr, nr, 0, &clean)))
		n++;
	return n;
}

static unsigned long all[LOW_BLOCKS + 1];

#endif
