/* SPDX-License-Identifier: MIT */
/*
 * The report slabinfo.
 */
#ifndef SLAB_SLABINFO_H
#define SLAB_SLABINFO_H

struct out;

/* As /proc/slabinfo, version 2.1: a line for each size class. What lies in magazines and threads' lists is not active.
 * Torn. */
void print_slabinfo(struct out *o);
/* Pages in slabs and runs; torn. */
unsigned long nr_slab_pages(void);

#endif
