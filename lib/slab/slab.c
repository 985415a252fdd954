/* SPDX-License-Identifier: MIT */
/*
 * Slabs of a class: allocation takes from the slab that has been partial for longest, freed objects go to the slab's
 * own list (homecoming.c), and untouched objects are cut off page by page. All bookkeeping is in the slab's first
 * struct page.
 */
#include "slab/slab.h"

#include <string.h>

#include "base/annotate.h"
#include "mm/buddy.h"
#include "mm/mempolicy.h"
#include "mm/owner.h"
#include "mm/page_alloc.h"
#include "mm/vmscan.h"
#include "slab/inner.h"
#include "slab/owner_cache.h"
#include "slab/tcache.h"

#define SLAB_MIN_SMALL_OBJECTS 16 /* small ones, */
#define SLAB_MIN_OBJECTS 2	  /* or others */
#define SLAB_WASTE 11		  /* that part of a slab may be left over, */
#define SLAB_NARROW_WASTE 31 /* and that of those which are there to save as much as half as long ones would leave */
#define SLAB_MAX_ORDER 6

struct kmem_cache kmem_caches[FIRST_RUN_CLASS];
struct kmem_cache_node *slab_nodes;
int nr_slab_nodes = 1;
struct kmem_cache_node *slab_homes;
unsigned int nr_slab_homes = 1;

/* The upper half of the product with a reciprocal is the quotient, for offsets in a slab, below 2^18. */
BUILD_BUG_ON((PAGE_SIZE << SLAB_MAX_ORDER) > UINT64_MAX / SLAB_SIZE_MAX);

static unsigned long object_index(const struct kmem_cache *cache, size_t at)
{
	return (unsigned long)((unsigned __int128)at * cache->reciprocal >> 64);
}

/* Enough objects that a slab is worth its descriptor, few enough that it empties. The kernel's calculate_order. */
static unsigned int slab_order(size_t size)
{
	size_t least = size <= SMALL_SIZE_MAX ? SLAB_MIN_SMALL_OBJECTS : SLAB_MIN_OBJECTS, bytes = PAGE_SIZE;
	unsigned int order = 0, waste = class_is_narrow(size) ? SLAB_NARROW_WASTE : SLAB_WASTE;

	for (; (bytes / size < least || bytes % size > bytes / waste) && order < SLAB_MAX_ORDER; bytes *= 2)
		order++;
	return order;
}

unsigned long cache_nr_empty(struct kmem_cache *cache)
{
	unsigned long nr = 0;
	int nid;

	for (nid = 0; nid < nr_slab_nodes; nid++)
		nr += READ_ONCE(get_node(cache, nid)->empty) != NO_PFN;
	return nr;
}

/* Pages of empty slabs, and as many more as magazines could free at best. */
static unsigned long count_slabs(int nid)
{
	unsigned long nr = 0;
	unsigned int class;

	(void)nid;
	for (class = 1; class < FIRST_RUN_CLASS; class ++) {
		struct kmem_cache *cache = &kmem_caches[class];

		nr += cache_nr_empty(cache) << cache->order;
		nr += size_to_pages(cache_nr_waiting(cache) * cache->size);
	}
	return nr + READ_ONCE(owner_slabs.empty_pages);
}

unsigned long slab_pages(void)
{
	unsigned long nr = 0;
	unsigned int class;

	for (class = 1; class < FIRST_RUN_CLASS; class ++)
		nr += READ_ONCE(kmem_caches[class].nr_pages);
	return nr + READ_ONCE(owner_slabs.pages);
}

unsigned long slab_unused_pages(void)
{
	unsigned long nr = 0;
	unsigned int class;

	for (class = 1; class < FIRST_RUN_CLASS; class ++) {
		const struct kmem_cache *cache = &kmem_caches[class];
		unsigned long pages = READ_ONCE(cache->nr_pages);
		unsigned long used = READ_ONCE(cache->nr_active) - cache_nr_waiting(cache);

		nr += pages - min_ul(pages, used * cache->size >> PAGE_SHIFT);
	}
	return nr;
}

static unsigned long scan_slabs(int nid, unsigned long nr_pages)
{
	unsigned long before = slab_pages();

	(void)nid;
	(void)nr_pages;
	slab_reclaim();
	return before - min_ul(before, slab_pages());
}

void slab_init(void)
{
	static struct shrinker shrinker = { .name = "slab", .count = count_slabs, .scan = scan_slabs };
	unsigned int class;

	register_shrinker(&shrinker);

	for (class = 1; class < FIRST_RUN_CLASS; class ++) {
		struct kmem_cache *cache = &kmem_caches[class];
		uint32_t size = (uint32_t)class_size(class);

		mutex_init(&cache->lock, RANK_CACHE);
		mutex_init(&cache->node.lock, RANK_SLAB);
		cache->class = (uint8_t) class;
		cache->reciprocal = UINT64_MAX / size + 1;
		cache->order = (uint8_t)slab_order(size);
		smp_store_release(&cache->size, size); /* last, for reports */
	}
	if (unlikely(topology.nr_nodes > 1))
		slab_nodes_init();
}

void partial_add_tail(struct kmem_cache_node *node, struct page *slab)
{
	uint32_t pfn = (uint32_t)page_to_pfn(slab);

	slab->next = NO_PFN;
	slab->prev = node->partial_tail;
	if (node->partial_tail != NO_PFN)
		pfn_to_page(node->partial_tail)->next = pfn;
	else
		WRITE_ONCE(node->partial_head, pfn);
	node->partial_tail = pfn;
	slab->flags |= PG_PARTIAL;
}

/* An empty slab becomes the first of this thread's home: its node, locked. */
static struct kmem_cache_node *lock_new_home(struct kmem_cache *cache, struct page *slab)
{
	struct kmem_cache_node *node;

	slab->home = (uint16_t)(tcache.home | cache->class << HOME_CLASS_SHIFT);
	/* Its objects were another home's. */
	if (unlikely(READ_ONCE(vmemmap.home_maps)) && class_is_returned(cache->class))
		forget_home_classes(page_to_pfn(slab), 1UL << slab->order);
	node = node_of(cache, slab);
	mutex_lock(&node->lock);
	if (node->partial_head == NO_PFN)
		node->partial_tail = (uint32_t)page_to_pfn(slab);
	page_list_add(&node->partial_head, slab);
	slab->flags |= PG_PARTIAL;
	return node;
}

void partial_del(struct kmem_cache_node *node, struct page *slab)
{
	if (slab->next == NO_PFN)
		node->partial_tail = slab->prev;
	page_list_del(&node->partial_head, slab);
	slab->flags &= (uint8_t)~PG_PARTIAL;
}

void slab_prepare(struct page *slab, unsigned int class)
{
	unsigned long i, pfn = page_to_pfn(slab);

	set_page_type(slab, PAGE_SLAB);
	slab->flags = 0;
	slab->cache = (uint8_t) class;
	slab->refcount = 0;
	slab->carved = 0;
	slab->freelist = NULL;
	for (i = 1; i < 1UL << slab->order; i++) {
		set_page_type(&slab[i], PAGE_TAIL);
		slab[i].head = pfn;
	}
}

static struct page *alloc_slab_pages(int nid, gfp_t gfp, unsigned int order)
{
	return likely(!slab_nodes) ? alloc_pages(gfp, order) : alloc_slab_pages_node(nid, gfp, order);
}

/* A slab of the preferred order, or the smallest that holds one object when memory is short. Nobody is ended for it:
 * malloc sees to that, which knows what was asked for. */
static struct page *new_slab(const struct kmem_cache *cache, int nid)
{
	unsigned int least = order_for_pages(size_to_pages(cache->size));
	gfp_t gfp = cache->order > least ? GFP_MALLOC | GFP_NORETRY : GFP_MALLOC | GFP_RETRY_MAYFAIL;
	struct page *slab = alloc_slab_pages(nid, gfp, cache->order);

	if (!slab && least < cache->order)
		slab = alloc_slab_pages(nid, GFP_MALLOC | GFP_RETRY_MAYFAIL, least);
	if (!slab)
		return NULL;
	if (charge_pages(slab, 1UL << slab->order, GFP_MALLOC)) {
		free_the_page(slab, slab->order);
		return NULL;
	}
	slab_prepare(slab, cache->class);
	if (annotate_listening) /* free() must look at every block, to tell memcheck */
		annotate_noaccess(page_to_window_addr(slab), PAGE_SIZE << slab->order);
	else
		set_class_map(slab, 1UL << slab->order, cache->class);
	return slab;
}

void free_slab(struct kmem_cache *cache, struct page *slab)
{
	atomic_sub_return(&cache->nr_slabs, 1);
	atomic_sub_return(&cache->nr_pages, 1UL << slab->order);
	set_class_map(slab, 1UL << slab->order, NO_CLASS);
	uncharge_pages(slab, 1UL << slab->order);
	if (unlikely(slab->flags & PG_HOLES))
		slab_forget_holes(slab);
	slab->flags = 0;
	free_the_page(slab, slab->order);
}

/* Cut up to nr untouched objects off, as far as the page that is begun reaches, but at least one; they are still to be
 * linked. */
static unsigned int carve(const struct kmem_cache *cache, struct page *slab, unsigned int nr, struct object **first)
{
	size_t at = slab->carved * (size_t)cache->size;
	unsigned long fit = object_index(cache, align_up(at + 1, PAGE_SIZE) - at);
	unsigned int n = (unsigned int)max_ul(min_ul(fit, nr), 1);

	*first = (struct object *)((char *)page_to_window_addr(slab) + at);
	ADD_ONCE(slab->carved, n); /* who looks an object up reads it without the lock */
	return n;
}

/* Objects that were cut off become a chain: with no lock held, as an unlock waits until all of them are written. */
static void link_carved(const struct kmem_cache *cache, struct object *obj, unsigned int nr)
{
	const size_t size = cache->size;
	char *at = (char *)obj, *last = at + (nr - 1) * size;

	if (annotate_listening)
		for (; nr; nr--)
			annotate_undefined((char *)obj + (nr - 1) * size, sizeof(*obj));
	for (; at != last; at += size)
		((struct object *)at)->next = (struct object *)(at + size);
	((struct object *)last)->next = NULL;
}

/* A page's worth of free objects goes as it is, even if it is more than nr: whoever gets an object is then the first to
 * load it into his cache, where cutting the list at nr would load them one after the other. */
static bool takes_all(const struct kmem_cache *cache, const struct page *slab, unsigned int nr)
{
	unsigned int free = slab_nr_free(slab);

	return free <= nr || (nr > 1 && free * cache->size <= PAGE_SIZE);
}

/* Up to nr objects of the slab's list, or about a page's worth. */
static unsigned int take_free(const struct kmem_cache *cache, struct page *slab, unsigned int nr, struct object **chain)
{
	struct object **tail = chain;
	unsigned int n;

	if (!annotate_listening && takes_all(cache, slab, nr)) {
		n = slab_nr_free(slab);
		*chain = slab->freelist;
		slab->freelist = NULL;
		return n;
	}
	for (n = 0; n < nr && slab->freelist; n++) {
		struct object *obj = slab->freelist;

		slab->freelist = object_next(obj);
		if (annotate_listening)
			annotate_undefined(obj, sizeof(*obj));
		*tail = obj;
		tail = &obj->next;
	}
	*tail = NULL;
	return n;
}

/* Take up to nr objects of one slab as a chain. *carved: they are still to be linked. */
static unsigned int slab_take(struct kmem_cache *cache, struct kmem_cache_node *node, struct page *slab,
			      unsigned int nr, struct object **chain, bool *carved)
{
	unsigned int n;

	if (unlikely(slab->flags & PG_HOLES) && !slab->freelist)
		slab_fill_hole(cache, slab);
	*carved = !slab->freelist;
	n = *carved ? carve(cache, slab, nr, chain) : take_free(cache, slab, nr, chain);
	slab->refcount += n;
	if (!slab_has_room(cache, slab))
		partial_del(node, slab);
	return n;
}

/* The class's empty slab on the node, which is the caller's now; NULL: it has none. */
static struct page *take_empty(struct kmem_cache *cache, int nid)
{
	struct kmem_cache_node *node = get_node(cache, nid);
	uint32_t pfn = READ_ONCE(node->empty);

	if (pfn != NO_PFN)
		pfn = xchg(&node->empty, NO_PFN);
	return pfn != NO_PFN ? pfn_to_page(pfn) : NULL;
}

struct kmem_cache_node *slab_use_empty(struct kmem_cache *cache, int nid)
{
	struct page *slab = take_empty(cache, nid);

	return slab ? lock_new_home(cache, slab) : NULL;
}

/* Is much of what the class holds free, in homes of others? Then what one thread has given back serves others. */
static bool others_have_spare(const struct kmem_cache *cache)
{
	size_t held = READ_ONCE(cache->nr_pages) << PAGE_SHIFT;

	return READ_ONCE(nr_slab_homes) > 1 && held - READ_ONCE(cache->nr_active) * cache->size > held / SLAB_SPARE;
}

/* This thread's home on the node has no slab: one more, or a node that has some, locked. NULL: out of memory.
 * *surplus: what came lies on another node than asked, whose slabs are to be filled first. */
static struct kmem_cache_node *refill_node(struct kmem_cache *cache, int nid, struct page **surplus)
{
	struct kmem_cache_node *node = slab_use_empty(cache, nid);
	struct page *slab;

	if (!node && others_have_spare(cache))
		node = lock_any_home(cache, nid);
	if (node)
		return node;
	slab = new_slab(cache, nid);
	if (unlikely(!slab))
		return slab_nodes ? get_any_partial(cache, nid) : lock_any_home(cache, nid);
	atomic_add_return(&cache->nr_slabs, 1);
	atomic_add_return(&cache->nr_pages, 1UL << slab->order);
	if (unlikely(slab_nodes) && page_to_nid(slab) != nid) {
		node = lock_any_home(cache, page_to_nid(slab));
		*surplus = node ? slab : NULL;
	}
	return node ? node : lock_new_home(cache, slab);
}

unsigned int slab_alloc_bulk_node(struct kmem_cache *cache, int nid, unsigned int nr, struct object **chain)
{
	struct kmem_cache_node *node = get_home(cache, tcache.home, nid);
	struct page *slab, *surplus = NULL;
	bool carved;
	unsigned int n;

	mutex_lock(&node->lock);
	if (node->partial_head == NO_PFN) {
		mutex_unlock(&node->lock);
		node = refill_node(cache, nid, &surplus);
	}
	if (unlikely(!node))
		return 0;
	slab = pfn_to_page(node->partial_head);
	n = slab_take(cache, node, slab, nr, chain, &carved);
	WRITE_ONCE(node->nr_taken, node->nr_taken + n);
	mutex_unlock(&node->lock);
	atomic_add_return(&cache->nr_active, n);
	if (unlikely(surplus))
		free_slab(cache, surplus);
	if (carved)
		link_carved(cache, *chain, n);
	/* Others may have had blocks of it: who gets some last pays, so that none pays for what another hoards. */
	if (unlikely(READ_ONCE(owner_accounting)))
		owner_take_charge(slab);
	return n;
}

unsigned int slab_alloc_bulk(struct kmem_cache *cache, unsigned int nr, struct object **chain)
{
	return slab_alloc_bulk_node(cache, likely(!slab_nodes) ? 0 : mempolicy_slab_node(), nr, chain);
}

void slab_shrink(struct kmem_cache *cache)
{
	int nid;

	for (nid = 0; nid < nr_slab_nodes; nid++) {
		struct page *slab = take_empty(cache, nid);

		if (slab)
			free_slab(cache, slab);
	}
}

void slab_reclaim(void)
{
	unsigned int class, nr;
	unsigned long left;
	struct object *chain;

	for (class = 1; class < FIRST_RUN_CLASS; class ++) {
		returns_drop(class);
		/* No more than there was: others may fill them meanwhile. */
		left = READ_ONCE(kmem_caches[class].nr_magazine_objects);
		for (; left && (chain = magazine_get_any(&kmem_caches[class], &nr)); left -= min_ul(left, nr))
			slab_free_bulk(&kmem_caches[class], chain);
		slab_shrink(&kmem_caches[class]);
	}
	if (unlikely(READ_ONCE(owner_slabs.empty_pages)))
		owner_slabs_reclaim();
}

struct page *slab_of(const void *addr, unsigned long *index, size_t *offset)
{
	unsigned long pfn = addr_to_pfn(addr);
	struct page *slab;
	size_t at;

	if (!pfn_valid(pfn))
		return NULL;
	slab = slab_head_of(pfn);
	/* A stale tail may point anywhere: believe only a slab that reaches this far. */
	if (page_type(slab) != PAGE_SLAB || pfn - page_to_pfn(slab) >= 1UL << slab->order)
		return NULL;
	at = (size_t)((const char *)addr - (const char *)page_to_window_addr(slab));
	*index = object_index(&kmem_caches[slab->cache], at);
	*offset = at - *index * kmem_caches[slab->cache].size;
	return slab;
}

/* In the order of their ranks, and of their addresses. */
static void for_all_locks(void (*op)(struct mutex *))
{
	unsigned int i, nr = (nr_slab_homes - 1) * (unsigned int)nr_slab_nodes * FIRST_RUN_CLASS;

	for (i = 1; i < FIRST_RUN_CLASS; i++)
		op(&kmem_caches[i].lock);
	for (i = 1; !slab_nodes && i < FIRST_RUN_CLASS; i++)
		op(&kmem_caches[i].node.lock);
	for (i = 0; slab_nodes && i < (unsigned int)nr_slab_nodes * FIRST_RUN_CLASS; i++)
		op(&slab_nodes[i].lock);
	for (i = 0; i < nr; i++)
		op(&slab_homes[i].lock);
}

void slab_lock_all(void)
{
	for_all_locks(mutex_lock);
}

void slab_unlock_all(void)
{
	for_all_locks(mutex_unlock);
}

void slab_reinit_after_fork(void)
{
	for_all_locks(mutex_reinit_after_fork);
	slabs_age_reinit_after_fork();
}
