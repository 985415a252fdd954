/* SPDX-License-Identifier: MIT */
/*
 * How much of the heap lies on hugepages, as the kernel has it.
 */
#ifndef MM_HUGEPAGES_H
#define MM_HUGEPAGES_H

#include "mm/mmzone.h"

struct out;

/* In bytes. Memory on hugetlb pages is resident here, which it is not in the kernel's RSS. */
struct hugepages {
	size_t resident, transparent, hugetlb;
};

/* Of each node, and their sum; reads the kernel's file, whose length is that of all that is mapped. False if it cannot
 * be read. Async-signal-safe. */
bool hugepages_read(struct hugepages nodes[MAX_NUMNODES], struct hugepages *all);
/* In the format of the nodes' meminfo below /sys. */
void print_hugepages(struct out *o);

#endif
