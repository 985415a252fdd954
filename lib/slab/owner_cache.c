/* SPDX-License-Identifier: MIT */
/*
 * Objects one by one, under the owner's lock. The first slab of a class is the smallest that holds an object, later
 * ones grow to what threads' slabs are: most owners are small, and short-lived.
 *
 * A free object says in its second word that it is free, so that to free it again is found out: the word alone proves
 * nothing, since the program may have written it, but it is a reason to look through the slab's list.
 */
#include "slab/owner_cache.h"

#include <linux/mempolicy.h>

#include "mm/buddy.h"
#include "mm/memblock.h"
#include "mm/mempolicy.h"
#include "mm/page_alloc.h"
#include "slab/slab.h"
#include "slab/tcache.h"

struct owner_slab_stats owner_slabs;

struct owner_class {
	uint32_t partial; /* slabs with free objects */
	uint32_t full;
};

/* All under the owner's lock. */
struct owner_cache {
	uint64_t used[2];	     /* a bit for each class that has slabs */
	uint32_t nr_empty;	     /* slabs without an object in use */
	uint8_t nr[FIRST_RUN_CLASS]; /* slabs ever made, up to what matters for the next one's order */
	struct owner_class class[FIRST_RUN_CLASS];
};
BUILD_BUG_ON(FIRST_RUN_CLASS > 128);

#define NEAR_TRIES 8
#define SLAB_ORDERS 8 /* the order of an owner's next slab depends on no more than so many before */
#define FREE_MARK 0x66726565626c6f63UL

static uintptr_t free_mark(const struct object *obj)
{
	return (uintptr_t)obj ^ FREE_MARK;
}

bool owner_cache_init(struct owner *o)
{
	WRITE_ONCE(owner_reclaim, owner_cache_shrink);
	WRITE_ONCE(owner_moved, tcache_follow_owner);
	if (!o->cache)
		o->cache = memblock_alloc(sizeof(*o->cache));
	return o->cache;
}

static size_t slab_bytes(const struct page *slab)
{
	return PAGE_SIZE << slab->order;
}

/* Pages for a slab, paid for; NULL: not of this order. */
static struct page *alloc_slab_pages(struct owner *o, unsigned int order, gfp_t gfp)
{
	struct page *slab;

	if (owner_charge(o, 1UL << order, gfp))
		return NULL;
	slab = alloc_pages(gfp | GFP_RETRY_MAYFAIL, order);
	if (slab)
		slab->owner = o->id;
	else
		owner_give_back(o, 1UL << order);
	return slab;
}

/* near: of the node that this thread runs on, if that is easily had. */
static struct page *new_slab(struct owner *o, unsigned int class, bool near)
{
	unsigned int least = order_for_pages(size_to_pages(class_size(class))), order;
	struct page *slab = NULL;

	order = (unsigned int)min_ul(kmem_caches[class].order, least + READ_ONCE(o->cache->nr[class]));
	order = (unsigned int)max_ul(order, least);
	if (near)
		slab = alloc_slab_pages(o, least, GFP_MALLOC | GFP_NORETRY | GFP_THISNODE);
	else if (order > least)
		slab = alloc_slab_pages(o, order, GFP_MALLOC | GFP_NORETRY);
	if (!slab && !near)
		slab = alloc_slab_pages(o, least, GFP_MALLOC);
	if (!slab)
		return NULL;
	slab_prepare(slab, class);
	slab->home = NO_HOME;
	atomic_add_return(&owner_slabs.pages, 1UL << slab->order);
	atomic_add_return(&owner_slabs.empty_pages, 1UL << slab->order);
	return slab;
}

/* The lock is held; and for those that follow. */
static void add_slab(struct owner_cache *cache, struct page *slab, unsigned int class)
{
	page_list_add(&cache->class[class].partial, slab);
	slab->flags |= PG_PARTIAL;
	cache->used[class / 64] |= 1UL << class % 64;
	ADD_ONCE(cache->nr_empty, 1);
	if (cache->nr[class] < SLAB_ORDERS)
		ADD_ONCE(cache->nr[class], 1);
}

static void *take_object(struct owner_cache *cache, struct owner_class *c, struct page *slab, size_t size)
{
	struct object *obj = slab->freelist;

	if (!slab->refcount) {
		ADD_ONCE(cache->nr_empty, -1U);
		atomic_sub_return(&owner_slabs.empty_pages, 1UL << slab->order);
	}
	if (obj) {
		slab->freelist = obj->next;
		obj->magazine = 0;
	} else {
		obj = (struct object *)((char *)page_to_window_addr(slab) + slab->carved * size);
		ADD_ONCE(slab->carved, 1);
	}
	slab->refcount++;
	if (unlikely(!slab->freelist && (slab->carved + 1) * size > slab_bytes(slab))) {
		page_list_del(&c->partial, slab);
		slab->flags &= (uint8_t)~PG_PARTIAL;
		page_list_add(&c->full, slab);
	}
	return obj;
}

/* The first slab with free objects; on several nodes, where no policy says otherwise, of the first ones that which is
 * of the node that this thread runs on. NO_PFN: a new one is needed. */
static uint32_t partial_slab(const struct owner_class *c)
{
	uint32_t pfn = c->partial;
	int tries, nid;

	if (likely(topology.nr_nodes == 1) || get_task_policy(GFP_MALLOC)->mode != MPOL_DEFAULT)
		return pfn;
	nid = numa_node_id();
	for (tries = 0; pfn != NO_PFN && tries < NEAR_TRIES; pfn = pfn_to_page(pfn)->next, tries++)
		if (page_to_nid(pfn_to_page(pfn)) == nid)
			return pfn;
	return NO_PFN;
}

void *owner_cache_alloc(struct owner *o, unsigned int class)
{
	struct owner_class *c = &o->cache->class[class];
	bool near = topology.nr_nodes > 1;
	struct page *slab;
	uint32_t pfn;
	void *obj;

	owner_lock(o);
	while (unlikely((pfn = near ? partial_slab(c) : c->partial) == NO_PFN)) {
		near &= c->partial != NO_PFN;
		owner_unlock(o);
		slab = new_slab(o, class, near);
		if (!slab && !near)
			return NULL;
		owner_lock(o);
		if (slab)
			add_slab(o->cache, slab, class);
		/* If there is none of this node, any will do. */
		near = near && slab;
	}
	obj = take_object(o->cache, c, pfn_to_page(pfn), class_size(class));
	owner_unlock(o);
	return obj;
}

/* Off the lists, with no object in use; its pages are still to be freed. */
static void del_empty(struct owner_cache *cache, struct owner_class *c, struct page *slab)
{
	page_list_del(&c->partial, slab);
	slab->flags &= (uint8_t)~PG_PARTIAL;
	ADD_ONCE(cache->nr_empty, -1U);
	atomic_sub_return(&owner_slabs.empty_pages, 1UL << slab->order);
}

/* No lock held; the charge is given back by the caller. */
static unsigned long free_slab(struct page *slab)
{
	unsigned int order = slab->order;

	slab->owner = 0;
	atomic_sub_return(&owner_slabs.pages, 1UL << order);
	free_the_page(slab, order);
	return 1UL << order;
}

static unsigned long free_slab_list(uint32_t pfn)
{
	unsigned long nr = 0;

	while (pfn != NO_PFN) {
		struct page *slab = pfn_to_page(pfn);

		pfn = slab->next;
		nr += free_slab(slab);
	}
	return nr;
}

static bool is_free(const struct page *slab, const struct object *obj)
{
	const struct object *free;

	if (!slab->refcount)
		return true;
	if (likely(obj->magazine != free_mark(obj)))
		return false;
	for (free = slab->freelist; free && free != obj; free = free->next)
		;
	return free;
}

/* The last one of a class that somebody inside may want again stays. */
static bool keep_empty(const struct owner *o, const struct owner_class *c, const struct page *slab)
{
	return o->inside && c->partial == page_to_pfn(slab) && slab->next == NO_PFN;
}

bool owner_cache_free(struct owner *o, struct page *slab, void *addr)
{
	struct owner_class *c = &o->cache->class[slab->cache];
	struct object *obj = addr;
	bool empty = false;

	owner_lock(o);
	if (unlikely(is_free(slab, obj))) {
		owner_unlock(o);
		return false;
	}
	obj->next = slab->freelist;
	obj->magazine = free_mark(obj);
	slab->freelist = obj;
	if (!(slab->flags & PG_PARTIAL)) {
		page_list_del(&c->full, slab);
		page_list_add(&c->partial, slab);
		slab->flags |= PG_PARTIAL;
	}
	if (!--slab->refcount) {
		ADD_ONCE(o->cache->nr_empty, 1);
		atomic_add_return(&owner_slabs.empty_pages, 1UL << slab->order);
		empty = !keep_empty(o, c, slab);
		if (empty)
			del_empty(o->cache, c, slab);
	}
	owner_unlock(o);
	if (empty)
		owner_give_back(o, free_slab(slab));
	return true;
}

/* The class after class that has slabs; FIRST_RUN_CLASS: none. */
static unsigned int next_used(const struct owner_cache *cache, unsigned int class)
{
	for (class ++; class < FIRST_RUN_CLASS; class = (class | 63) + 1) {
		uint64_t rest = READ_ONCE(cache->used[class / 64]) >> class % 64;

		if (rest)
			return class + (unsigned int)__builtin_ctzl(rest);
	}
	return FIRST_RUN_CLASS;
}

unsigned long owner_cache_shrink(struct owner *o)
{
	struct owner_cache *cache = o->cache;
	uint32_t pfn, next, empty = NO_PFN;
	unsigned long nr;
	unsigned int class;

	owner_lock(o);
	for (class = next_used(cache, 0); class < FIRST_RUN_CLASS && cache->nr_empty; class = next_used(cache, class))
		for (pfn = cache->class[class].partial; pfn != NO_PFN; pfn = next) {
			struct page *slab = pfn_to_page(pfn);

			next = slab->next;
			if (slab->refcount)
				continue;
			del_empty(cache, &cache->class[class], slab);
			slab->next = empty;
			empty = pfn;
		}
	owner_unlock(o);
	nr = free_slab_list(empty);
	if (nr)
		owner_give_back(o, nr);
	return nr;
}

void owner_slabs_reclaim(void)
{
	struct owner *o;

	/* Its lists are there before it is named, and for ever. */
	for (o = owner_next(NULL); o; o = owner_next(o))
		if (smp_load_acquire(&o->kind) == OWNER_NAMED && READ_ONCE(o->cache->nr_empty))
			owner_cache_shrink(o);
}

void owner_cache_destroy(struct owner *o)
{
	struct owner_cache *cache = o->cache;
	unsigned long nr = 0;
	unsigned int class;

	for (class = next_used(cache, 0); class < FIRST_RUN_CLASS; class = next_used(cache, class)) {
		struct owner_class c;
		uint32_t pfn;

		owner_lock(o);
		c = cache->class[class];
		cache->class[class] = (struct owner_class){ NO_PFN, NO_PFN };
		cache->nr[class] = 0;
		for (pfn = c.partial; pfn != NO_PFN && cache->nr_empty; pfn = pfn_to_page(pfn)->next)
			if (!pfn_to_page(pfn)->refcount) {
				ADD_ONCE(cache->nr_empty, -1U);
				atomic_sub_return(&owner_slabs.empty_pages, 1UL << pfn_to_page(pfn)->order);
			}
		owner_unlock(o);
		nr += free_slab_list(c.partial) + free_slab_list(c.full);
	}
	/* Who looks for empty slabs meanwhile finds none, either way. */
	WRITE_ONCE(cache->used[0], 0);
	WRITE_ONCE(cache->used[1], 0);
	if (nr)
		owner_give_back(o, nr);
}

static unsigned long check_list(const struct owner *o, uint32_t pfn, unsigned int class, bool partial, uint32_t *empty)
{
	unsigned long pages = 0, objects, nr;
	const struct object *obj;

	for (; pfn != NO_PFN; pfn = pfn_to_page(pfn)->next) {
		const struct page *slab = pfn_to_page(pfn);

		objects = slab_bytes(slab) / class_size(class);
		for (nr = 0, obj = slab->freelist; obj && nr <= objects; obj = obj->next)
			nr++;
		if (page_type(slab) != PAGE_SLAB || slab->cache != class || slab->owner != o->id ||
		    vmemmap.class[pfn] != NO_CLASS)
			bm_fatal("check_owner_cache: page %p is not a slab of owner %u", page_to_addr(slab), o->id);
		if (slab->refcount + nr != slab->carved || slab->carved > objects ||
		    partial != (slab->refcount < objects) || partial != !!(slab->flags & PG_PARTIAL))
			bm_fatal("check_owner_cache: slab %p: %u carved, %u in use, %lu free", page_to_addr(slab),
				 slab->carved, slab->refcount, nr);
		*empty += !slab->refcount;
		pages += 1UL << slab->order;
	}
	return pages;
}

void check_owner_cache(struct owner *o)
{
	unsigned long pages = 0;
	uint32_t empty = 0;
	unsigned int class;

	owner_lock(o);
	for (class = next_used(o->cache, 0); class < FIRST_RUN_CLASS; class = next_used(o->cache, class)) {
		pages += check_list(o, o->cache->class[class].partial, class, true, &empty);
		pages += check_list(o, o->cache->class[class].full, class, false, &empty);
	}
	if (empty != o->cache->nr_empty || pages > owner_usage(o))
		bm_fatal("check_owner_cache: owner %u: %u empty slabs, counted %u; %lu pages, charged %lu", o->id,
			 empty, o->cache->nr_empty, pages, owner_usage(o));
	owner_unlock(o);
}
