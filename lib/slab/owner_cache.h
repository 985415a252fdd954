/* SPDX-License-Identifier: MIT */
/*
 * The slabs of a named owner. Nobody else has objects in them, and their pages have no class in the class map, so that
 * no list of a thread ever takes one: every free comes here, and finds the owner by the slab. All of an owner's slabs
 * are on its lists, full ones too, so that it can be freed as a whole without a look at an object.
 */
#ifndef SLAB_OWNER_CACHE_H
#define SLAB_OWNER_CACHE_H

#include "mm/owner.h"

/* Of all named owners. */
extern hidden_var struct owner_slab_stats {
	unsigned long pages;	   /* in slabs */
	unsigned long empty_pages; /* of them in slabs that have no object in use */
} owner_slabs;

/* Before an owner's handle is given out: false if there is no memory for its lists. */
bool owner_cache_init(struct owner *o);

/* An object; NULL when memory has ended, or the owner's limit is reached. No lock held. */
void *owner_cache_alloc(struct owner *o, unsigned int class);
/* False: it is free already. */
bool owner_cache_free(struct owner *o, struct page *slab, void *addr);

/* Free the empty slabs of one, or of all; pages freed. */
unsigned long owner_cache_shrink(struct owner *o);
void owner_slabs_reclaim(void);
/* Free all of them, whatever is in use. Nobody is inside, and nobody can enter. */
void owner_cache_destroy(struct owner *o);

/* Prove the invariants of its lists. Debug and tests. */
void check_owner_cache(struct owner *o);

#endif
