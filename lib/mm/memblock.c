/* SPDX-License-Identifier: MIT */
/*
 * A bump allocator: first a small static buffer, so that a small process needs no mapping for it, then mappings.
 */
#include "mm/memblock.h"

#include <sys/mman.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "os/os.h"

#define CACHE_LINE 64
#define BOOT_SIZE 12288 /* a node, and the per-CPU lists of a few CPUs */

static char boot[BOOT_SIZE] __attribute__((aligned(CACHE_LINE)));
static size_t boot_used;

void *memblock_alloc(size_t size)
{
	size_t end;
	long ret;

	size = align_up(size, CACHE_LINE);
	if (size <= BOOT_SIZE) {
		end = atomic_add_return(&boot_used, size);
		if (end <= BOOT_SIZE)
			return boot + end - size;
		atomic_sub_return(&boot_used, size);
	}
	ret = os->mmap(NULL, align_up(size, os_page_size()), PROT_READ | PROT_WRITE, 0);
	return os_is_error(ret) ? NULL : (void *)ret;
}
