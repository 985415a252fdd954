/* SPDX-License-Identifier: MIT */
/*
 * Runs: size classes above SLAB_SIZE_MAX, each object a number of whole pages of its own. The rest of the power-of-two
 * block that a run is cut from stays free for others.
 */
#ifndef SLAB_RUN_H
#define SLAB_RUN_H

#include "mm/page.h"
#include "slab/size_class.h"

/* How many there are of a class, and of all with their pages; those in threads' lists too. Torn. */
struct run_stats {
	unsigned long nr, pages;
};
unsigned long run_nr(unsigned int class);
struct run_stats run_stats_read(void);

/* A run of the class, aligned to 2^order pages if that is more than its size asks for; NULL when out of memory.
 * *zeroed: it reads as zero. */
void *run_alloc(unsigned int class, unsigned int order, bool *zeroed);
void run_free(void *addr);
/* Make it a run of another class where it lies; false if there is no room. */
bool run_resize(void *addr, unsigned int class);

#endif
