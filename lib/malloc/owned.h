/* SPDX-License-Identifier: MIT */
/*
 * Allocation for named owners: who a request is for, and where its block comes from.
 */
#ifndef MALLOC_OWNED_H
#define MALLOC_OWNED_H

#include "malloc/block.h"
#include "malloc/libc_caller.h"
#include "mm/owner.h"

/* The named owner that a request is for which comes from caller; NULL: the thread itself. */
static always_inline struct owner *owner_of_request(unsigned long caller)
{
	return caller_in_libc(caller) ? NULL : current->inside;
}

/*
 * A block for the owner, NULL: for the thread itself, whatever it is inside of. *zeroed: it reads as zero; *bytes: that
 * it has. NULL when memory has ended, or the owner is at its limit (owner_was_at_limit). align: 0, or a power of two.
 */
void *owned_alloc(struct owner *o, size_t size, size_t align, bool *zeroed, size_t *bytes);
/* Free a block whose page has no class in the class map; false: no block of a named owner begins there. */
bool owned_free(const struct block *b);
/* Everything it has. */
void owned_destroy(struct owner *o);

#endif
