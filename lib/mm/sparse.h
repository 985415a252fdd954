/* SPDX-License-Identifier: MIT */
/*
 * The window of address space that the heap lives in, and the memory of its descriptors.
 */
#ifndef MM_SPARSE_H
#define MM_SPARSE_H

#include "base/compiler.h"

/* Choose the window. Called once, with one thread; 0 or -ENOMEM. */
int sparse_init(void);
/* Make descriptors for all pageblocks below pb; under the arena lock; 0 or -errno. */
int sparse_extend(unsigned long pb);
/* These nodes have a class map each from now on (node_class_map), which says nothing yet. Once, with one thread; 0 or
 * -errno. */
int sparse_map_node_classes(uint64_t nodes);
/* So do homes of malloc's (home_class_map). Once, under the arena lock; 0 or -errno. */
int sparse_map_home_classes(void);
/* Make descriptors for nr pageblocks below 4 GiB, which vmemmap.low_pfn says there can be; under the lowmem lock; 0 or
 * -errno. */
int sparse_extend_low(unsigned long pb, unsigned long nr);
/* Put memory behind nr pageblocks; 0 or -errno (-EEXIST: the addresses are somebody else's). */
int sparse_commit(unsigned long pb, unsigned long nr);
/* Map exactly there (MAP_* flags), over nothing that is there already; 0 or -errno, as above. */
int sparse_map_fresh(uintptr_t addr, size_t len, int prot, int flags);
/* Take memory and address space away again; 0 or -errno. */
int sparse_decommit(unsigned long pb, unsigned long nr);
/* Put memory into a hole of bytes at the start of a committed range; 0 or -errno: nothing changed, -EEXIST if it is
 * no hole any more. */
int sparse_fill_hole(unsigned long pb, size_t bytes);
/* Decommit a range of nr pageblocks that begins with such a hole, touching nothing that may lie in it by now; 0 or
 * -errno: the addresses can never be used again. */
int sparse_give_up_hole(unsigned long pb, unsigned long nr, size_t bytes);
/* Is the window reserved, so that growth in it takes no more address space? */
bool sparse_is_reserved(void);
/* First pageblock past the window. */
unsigned long sparse_end_block(void);
/* Bytes of descriptors that are mapped (not all of them are touched). */
unsigned long sparse_metadata_bytes(void);

#endif
