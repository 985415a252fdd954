/* SPDX-License-Identifier: MIT */
/*
 * What a pointer is: the block that malloc gave, found from descriptors alone; and what to say when it is none.
 */
#ifndef MALLOC_BLOCK_H
#define MALLOC_BLOCK_H

#include "mm/page.h"

enum block_kind {
	BLOCK_FOREIGN, /* no block of ours begins there */
	BLOCK_SLAB,
	BLOCK_RUN,
	BLOCK_HUGE,
};

struct block {
	enum block_kind kind;
	struct page *page; /* first page of the slab, run or range */
	void *start;	   /* where the block begins; for BLOCK_FOREIGN the block it points into, or NULL */
	size_t size;	   /* usable bytes from start on */
};

/* Look an address up; reads descriptors only. Whether the block is free already is not known here. */
struct block block_of(const void *addr);

/* Say what is wrong with a pointer that the program gave to function what, as bm_misuse() does. */
void block_report_foreign(const char *what, const void *addr);
_Noreturn void block_report_double_free(const void *addr);

#endif
