/* SPDX-License-Identifier: MIT */
/*
 * Figures of the whole heap, and the reports made of them.
 */
#ifndef MALLOC_STATS_H
#define MALLOC_STATS_H

#include <stddef.h>

#include "buddymalloc.h"

/* Bytes. Torn: threads go on while it is read. */
struct heap_stats {
	size_t mapped, mapped_peak; /* address space with memory behind it */
	size_t held, held_peak;	    /* of it, used by zones and huge blocks, or free but not given back */
	size_t in_use;		    /* in blocks that the program has, each rounded up to its class */
	size_t cached;		    /* in threads' lists and magazines */
	size_t free;		    /* held, and in no block */
	size_t huge_blocks;	    /* in huge blocks */
	size_t dirty;		    /* free, but maybe resident */
	unsigned long nr_slabs, nr_runs, nr_huge, nr_free_blocks, nr_threads;
};
void heap_stats_read(struct heap_stats *s);

/* bm_stats_print, by a name that is not exported: calls of those are looked up at each start. */
int stats_print(int fd, const char *what);

/* A line about slabs, runs and huge blocks, for the report of an OOM step. */
struct out;
void stats_show_heap(struct out *o);

/* Many programs close stderr as they exit: keep one for the summary. Once, at start. */
void stats_keep_stderr(void);
/* The summary, to the file or descriptor that the configuration names. */
void stats_report(void);

#endif
