/* SPDX-License-Identifier: MIT */
/*
 * Slabs from inside, for the files that take them apart. Their node's lock is held.
 */
#ifndef SLAB_INNER_H
#define SLAB_INNER_H

#include "base/annotate.h"
#include "mm/buddy.h"
#include "slab/slab.h"

/* If more than that part of a class is free, or in magazines, homes use what is in others. */
#define SLAB_SPARE 16

/* A free object's words are ours to read and write, whatever memcheck was told. */
static inline struct object *object_next(struct object *obj)
{
	struct object *next;

	if (annotate_listening)
		annotate_defined(obj, sizeof(*obj));
	next = obj->next;
	if (annotate_listening)
		annotate_noaccess(obj, sizeof(*obj));
	return next;
}

static inline void object_link(struct object *obj, struct object *next)
{
	if (likely(!annotate_listening)) {
		obj->next = next;
		return;
	}
	annotate_undefined(obj, sizeof(*obj));
	obj->next = next;
	annotate_noaccess(obj, sizeof(*obj));
}

static inline struct kmem_cache_node *node_of(struct kmem_cache *cache, const struct page *slab)
{
	return get_home(cache, slab_home(slab), likely(!slab_nodes) ? 0 : page_to_nid(slab));
}

/* A slab that objects of the class come home to: not another class's, nor a named owner's. */
static inline bool slab_is_of(const struct kmem_cache *cache, const struct page *slab)
{
	return slab->home >> HOME_CLASS_SHIFT == cache->class;
}

static inline bool slab_has_room(const struct kmem_cache *cache, const struct page *slab)
{
	return slab->freelist || slab->flags & PG_HOLES ||
	       (slab->carved + 1UL) * cache->size <= PAGE_SIZE << slab->order;
}

/* Of the slab's own list. */
static inline unsigned int slab_nr_free(const struct page *slab)
{
	return (unsigned int)slab->carved - slab->refcount - (slab->flags & PG_HOLES ? slab[1].absent : 0U);
}

/* slab.c. To the end of the list, and off it. */
void partial_add_tail(struct kmem_cache_node *node, struct page *slab);
void partial_del(struct kmem_cache_node *node, struct page *slab);
/* It is in no list, and nothing of it is in use. No lock held. */
void free_slab(struct kmem_cache *cache, struct page *slab);

/* holes.c. The pages of a slab that an object lies in, a bit each. */
static inline uint64_t object_pages(const struct kmem_cache *cache, unsigned int index)
{
	size_t at = index * (size_t)cache->size;
	unsigned int first = (unsigned int)(at >> PAGE_SHIFT),
		     last = (unsigned int)((at + cache->size - 1) >> PAGE_SHIFT);

	return (~0ULL >> (63 - (last - first))) << first;
}

/* Whole pages without an object in use, as far as they were ever used, go back to the system, if they are so many at
 * least: holes. Bytes. */
unsigned long slab_punch(struct kmem_cache *cache, struct page *slab, unsigned int least);
/* Are pages of the class's slabs to go as objects come home, like others that may not stay dirty? It is mostly free,
 * and no kswapd will see to it. No lock held. */
bool slabs_are_punched(const struct kmem_cache *cache);
/* Who was looking at what is idle is not in the child of a fork. */
void slabs_age_reinit_after_fork(void);
/* The slab ends. No lock held: it is nobody's. */
void slab_forget_holes(struct page *slab);
/* The list is empty: some of the objects that are absent are in it again. */
void slab_fill_hole(struct kmem_cache *cache, struct page *slab);

#endif
