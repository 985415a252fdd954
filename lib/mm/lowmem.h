/* SPDX-License-Identifier: MIT */
/*
 * Pageblocks below 4 GiB, for the zone DMA32: addresses that fit in 32 bits. Nobody keeps them for us, so they are
 * looked for between what the program and its libraries have there, and go back to the system as soon as they are free.
 */
#ifndef MM_LOWMEM_H
#define MM_LOWMEM_H

#include "base/compiler.h"

/*
 * Map nr contiguous pageblocks below 4 GiB whose address is a multiple of align (a power of two) of them, bound to node
 * nid, for state PB_OFFLINE. The first one's number; 0 when there is no room or no memory. *clean: all of it reads as
 * zero. No lock of rank RANK_LOWMEM may be held.
 */
unsigned long lowmem_alloc(unsigned long nr, unsigned long align, int nid, bool *clean);
/* Unmap pageblocks that lowmem_alloc mapped, some or all of them. */
void lowmem_free(unsigned long pb, unsigned long nr);
/* Pageblocks in use, and those that are mapped: the system may refuse to unmap some. Torn. */
unsigned long lowmem_used(void);
unsigned long lowmem_mapped(void);

/* Fork handlers. */
void lowmem_lock_all(void);
void lowmem_unlock_all(void);
void lowmem_reinit_after_fork(void);

/* Prove that the sets of pageblocks, their states and the counters agree. Fatal if not. Debug and tests. */
void check_lowmem(void);

#endif
