/* SPDX-License-Identifier: MIT */
/*
 * Who allocated each block, and who freed each page last: a record for each page, out of line.
 */
#ifndef MM_PAGE_OWNER_H
#define MM_PAGE_OWNER_H

#include "mm/gfp.h"

struct out;

/* 0 or -ENOMEM. Once. */
int page_owner_init(void);
/* nr pages from pfn on are a block now, allocated by this thread; and are free again. */
void set_page_owner(unsigned long pfn, unsigned long nr, unsigned int order, gfp_t gfp);
void reset_page_owner(unsigned long pfn, unsigned long nr);
/* The block is nr blocks of one page from now on. */
void split_page_owner(unsigned long pfn, unsigned long nr);
/* The block at new takes the place of that at old. */
void copy_page_owner(unsigned long new_pfn, unsigned long old_pfn, unsigned int order);
/* What is known of one page, for reports. */
void dump_page_owner(struct out *o, unsigned long pfn);

/* A record for each allocated block, as /sys/kernel/debug/page_owner has it. Takes no lock. */
void print_page_owner(struct out *o);

#endif
