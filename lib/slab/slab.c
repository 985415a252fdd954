/* SPDX-License-Identifier: MIT */
/*
 * Slabs of a class: allocation takes from the slab that has been partial for longest, freed objects go to the slab's
 * own list, and untouched objects are cut off page by page. All bookkeeping is in the slab's first struct page.
 */
#include "slab/slab.h"

#include <string.h>

#include "base/annotate.h"
#include "base/tunables.h"
#include "mm/mempolicy.h"
#include "mm/owner.h"
#include "mm/page_alloc.h"
#include "mm/vmscan.h"
#include "slab/inner.h"
#include "slab/owner_cache.h"

#define SLAB_MIN_OBJECTS 16	 /* of up to 1 KiB, */
#define SLAB_MIN_LARGE_OBJECTS 2 /* and of more */
#define SLAB_WASTE 12		 /* that part of a slab may be left over */
#define SLAB_MAX_ORDER 6
#define SLAB_KEEP_EMPTY 1U /* wholly free slabs a class keeps */

struct kmem_cache kmem_caches[FIRST_RUN_CLASS];
struct kmem_cache_node *slab_nodes;
int nr_slab_nodes = 1;

/* A reciprocal is 2^64 / size, rounded up: for offsets in a slab, below 2^18, the upper half of the product is the
 * quotient, and the lower half, of a multiple of the size alone, less than the reciprocal. */
BUILD_BUG_ON((PAGE_SIZE << SLAB_MAX_ORDER) > UINT64_MAX / SLAB_SIZE_MAX);

static unsigned long object_index(const struct kmem_cache *cache, size_t at)
{
	return (unsigned long)((unsigned __int128)at * cache->reciprocal >> 64);
}

static bool is_object_start(const struct kmem_cache *cache, size_t at)
{
	return at * cache->reciprocal < cache->reciprocal;
}

/* Enough objects that a slab is worth its descriptor, few enough that it empties. The kernel's calculate_order. */
static unsigned int slab_order(size_t size)
{
	size_t least = size <= KiB ? SLAB_MIN_OBJECTS : SLAB_MIN_LARGE_OBJECTS, bytes = PAGE_SIZE;
	unsigned int order = 0;

	for (; (bytes / size < least || bytes % size > bytes / SLAB_WASTE) && order < SLAB_MAX_ORDER; bytes *= 2)
		order++;
	return order;
}

/* Pages of empty slabs, and as many more as magazines could free at best. */
static unsigned long count_slabs(int nid)
{
	unsigned long nr = 0;
	unsigned int class;

	(void)nid;
	for (class = 1; class < FIRST_RUN_CLASS; class++) {
		const struct kmem_cache *cache = &kmem_caches[class];

		nr += (unsigned long)READ_ONCE(cache->nr_empty) << cache->order;
		nr += size_to_pages(READ_ONCE(cache->nr_magazine_objects) * (size_t)cache->size);
	}
	return nr + READ_ONCE(owner_slabs.empty_pages);
}

static unsigned long slab_pages(void)
{
	unsigned long nr = 0;
	unsigned int class;

	for (class = 1; class < FIRST_RUN_CLASS; class++)
		nr += READ_ONCE(kmem_caches[class].nr_pages);
	return nr + READ_ONCE(owner_slabs.pages);
}

unsigned long slab_unused_pages(void)
{
	unsigned long nr = 0;
	unsigned int class;

	for (class = 1; class < FIRST_RUN_CLASS; class++) {
		const struct kmem_cache *cache = &kmem_caches[class];
		unsigned long pages = READ_ONCE(cache->nr_pages);

		nr += pages - min_ul(pages, READ_ONCE(cache->nr_active) * cache->size >> PAGE_SHIFT);
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

	for (class = 1; class < FIRST_RUN_CLASS; class++) {
		struct kmem_cache *cache = &kmem_caches[class];

		mutex_init(&cache->lock, RANK_CACHE);
		cache->class = (uint8_t) class;
		cache->size = (uint32_t)class_size(class);
		cache->reciprocal = UINT64_MAX / cache->size + 1;
		cache->order = (uint8_t)slab_order(cache->size);
	}
	if (unlikely(topology.nr_nodes > 1))
		slab_nodes_init();
}

static void partial_add_tail(struct kmem_cache_node *node, struct page *slab)
{
	uint32_t pfn = (uint32_t)page_to_pfn(slab);

	slab->next = NO_PFN;
	slab->prev = node->partial_tail;
	if (node->partial_tail != NO_PFN)
		pfn_to_page(node->partial_tail)->next = pfn;
	else
		node->partial_head = pfn;
	node->partial_tail = pfn;
	slab->flags |= PG_PARTIAL;
}

static void partial_del(struct kmem_cache *cache, struct page *slab)
{
	struct kmem_cache_node *node = node_of(cache, slab);

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

static void free_slab(struct page *slab)
{
	set_class_map(slab, 1UL << slab->order, NO_CLASS);
	uncharge_pages(slab, 1UL << slab->order);
	free_the_page(slab, slab->order);
}

/* Cut up to nr untouched objects off, as far as the page that is begun reaches, but at least one. */
static unsigned int carve(struct kmem_cache *cache, struct page *slab, unsigned int nr, struct object ***tail)
{
	char *base = page_to_window_addr(slab);
	size_t at = slab->carved * (size_t)cache->size;
	size_t end = PAGE_SIZE << slab->order;
	size_t page_end = align_up(at + 1, PAGE_SIZE);
	unsigned int n = 0;

	while (n < nr && at + cache->size <= end && (n == 0 || at + cache->size <= page_end)) {
		struct object *obj = (struct object *)(base + at);

		**tail = obj;
		if (annotate_listening)
			annotate_undefined(obj, sizeof(*obj));
		*tail = &obj->next;
		at += cache->size;
		n++;
	}
	ADD_ONCE(slab->carved, n); /* block_of reads it without the lock */
	return n;
}

/* A page's worth of free objects goes as it is, even if it is more than nr: whoever gets an object is then the first to
 * load it into his cache, where cutting the list at nr would load them one after the other. */
static bool takes_all(const struct kmem_cache *cache, const struct page *slab, unsigned int nr)
{
	unsigned int free = slab->carved - slab->refcount;

	return free <= nr || (nr > 1 && free * cache->size <= PAGE_SIZE);
}

/* Take up to nr objects of one slab onto the chain's tail; a tail of NULL afterwards: the chain is ended already. */
static unsigned int slab_take(struct kmem_cache *cache, struct page *slab, unsigned int nr, struct object ***tail)
{
	unsigned int n = 0;

	if (!slab->refcount)
		ADD_ONCE(cache->nr_empty, -1);
	if (!annotate_listening && slab->freelist && takes_all(cache, slab, nr)) {
		n = slab->carved - slab->refcount;
		**tail = slab->freelist;
		*tail = NULL;
		slab->freelist = NULL;
	}
	while (n < nr && slab->freelist) {
		struct object *obj = slab->freelist;

		slab->freelist = object_next(obj);
		if (annotate_listening)
			annotate_undefined(obj, sizeof(*obj));
		**tail = obj;
		*tail = &obj->next;
		n++;
	}
	if (!n)
		n = carve(cache, slab, nr, tail);
	slab->refcount += n;
	if (!slab_has_room(cache, slab))
		partial_del(cache, slab);
	return n;
}

/* A slab more, with the lock dropped meanwhile; the node that it lies on, or another that has some. NULL: none has.
 * *surplus: what came lies on another node than asked, whose slabs are to be filled first. */
static struct kmem_cache_node *refill_node(struct kmem_cache *cache, int nid, struct page **surplus)
{
	struct kmem_cache_node *node;
	struct page *slab;

	mutex_unlock(&cache->lock);
	slab = new_slab(cache, nid);
	mutex_lock(&cache->lock);
	if (unlikely(!slab))
		return slab_nodes ? get_any_partial(cache, nid) : NULL;
	node = node_of(cache, slab);
	if (unlikely(node->partial_head != NO_PFN) && node != get_node(cache, nid)) {
		*surplus = slab;
		return node;
	}
	ADD_ONCE(cache->nr_slabs, 1);
	ADD_ONCE(cache->nr_pages, 1UL << slab->order);
	ADD_ONCE(cache->nr_empty, 1);
	partial_add_tail(node, slab);
	return node;
}

unsigned int slab_alloc_bulk_node(struct kmem_cache *cache, int nid, unsigned int nr, struct object **chain)
{
	struct kmem_cache_node *node = get_node(cache, nid);
	struct object **tail = chain;
	struct page *slab, *surplus = NULL;
	unsigned int n;

	mutex_lock(&cache->lock);
	if (node->partial_head == NO_PFN)
		node = refill_node(cache, nid, &surplus);
	if (unlikely(!node)) {
		mutex_unlock(&cache->lock);
		return 0;
	}
	slab = pfn_to_page(node->partial_head);
	n = slab_take(cache, slab, nr, &tail);
	ADD_ONCE(cache->nr_active, n);
	mutex_unlock(&cache->lock);
	if (unlikely(surplus))
		free_slab(surplus);
	if (tail)
		*tail = NULL;
	/* Others may have had blocks of it: who gets some last pays, so that none pays for what another hoards. */
	if (unlikely(READ_ONCE(owner_accounting)))
		owner_take_charge(slab);
	return n;
}

unsigned int slab_alloc_bulk(struct kmem_cache *cache, unsigned int nr, struct object **chain)
{
	return slab_alloc_bulk_node(cache, likely(!slab_nodes) ? 0 : mempolicy_slab_node(), nr, chain);
}

static struct page *head_of(unsigned long pfn)
{
	struct page *page = pfn_to_page(pfn);

	return page_type(page) == PAGE_TAIL ? pfn_to_page(page->head) : page;
}

/* A pointer into the middle of an object gets this far before anyone looks where the object begins. */
void report_bad_free(const void *addr, size_t offset, size_t size)
{
	static const char text[] = "free(%p): invalid pointer: %zu bytes into a block of %zu bytes";

	if (READ_ONCE(tunables.foreign_free) == FOREIGN_ABORT)
		bm_fatal(text, addr, offset, size);
	if (READ_ONCE(tunables.foreign_free) == FOREIGN_WARN)
		bm_warn(text, addr, offset, size);
}

/* Its slab has got so many objects back; true if it is to be freed, being empty where the class has enough of those. */
static bool slab_gets_back(struct kmem_cache *cache, struct page *slab, unsigned int nr)
{
	slab->refcount -= nr;
	ADD_ONCE(cache->nr_active, -(unsigned long)nr);
	if (!(slab->flags & PG_PARTIAL))
		partial_add_tail(node_of(cache, slab), slab);
	if (slab->refcount)
		return false;
	if (cache->nr_empty < SLAB_KEEP_EMPTY) {
		ADD_ONCE(cache->nr_empty, 1);
		return false;
	}
	partial_del(cache, slab);
	ADD_ONCE(cache->nr_slabs, -1);
	ADD_ONCE(cache->nr_pages, -(1UL << slab->order));
	return true;
}

/* The objects at the head of the chain that lie in one slab come home together: neighbours are often freed one after the
 * other. That slab if it is to be freed. */
static struct page *free_objects(struct kmem_cache *cache, struct object **chain)
{
	unsigned long index = 0;
	size_t offset = 0, at, end;
	struct page *slab = slab_of(*chain, &index, &offset);
	struct object *first = *chain, *last, *obj = first;
	const char *base;
	unsigned int nr = 0;

	if (unlikely(!slab || offset || index >= slab->carved || !slab->refcount)) {
		bool twice = slab && !offset && !slab->refcount;

		*chain = annotate_listening ? NULL : obj->next;
		mutex_unlock(&cache->lock);
		if (twice)
			bm_fatal("free(%p): double free of a block of %zu bytes", (void *)obj, (size_t)cache->size);
		report_bad_free(obj, offset, cache->size);
		mutex_lock(&cache->lock);
		return NULL;
	}
	base = page_to_window_addr(slab);
	end = slab->carved * (size_t)cache->size;
	do {
		last = obj;
		obj = annotate_listening ? NULL : obj->next; /* memcheck: one at a time */
		nr++;
		at = (size_t)((const char *)obj - base);
	} while (at < end && is_object_start(cache, at) && nr < slab->refcount);
	object_link(last, slab->freelist);
	slab->freelist = first;
	*chain = obj;
	return slab_gets_back(cache, slab, nr) ? slab : NULL;
}

static void free_slab_list(uint32_t pfn)
{
	while (pfn != NO_PFN) {
		struct page *slab = pfn_to_page(pfn);

		pfn = slab->next;
		free_slab(slab);
	}
}

void slab_free_bulk(struct kmem_cache *cache, struct object *chain)
{
	uint32_t empty = NO_PFN;

	mutex_lock(&cache->lock);
	while (chain) {
		struct page *slab = free_objects(cache, &chain);

		if (slab) {
			slab->next = empty;
			empty = (uint32_t)page_to_pfn(slab);
		}
	}
	mutex_unlock(&cache->lock);
	free_slab_list(empty);
}

/* Take a node's empty slabs out, onto the list empty. */
static uint32_t take_empty(struct kmem_cache *cache, struct kmem_cache_node *node, uint32_t empty)
{
	uint32_t pfn, next;

	for (pfn = node->partial_head; pfn != NO_PFN && cache->nr_empty; pfn = next) {
		struct page *slab = pfn_to_page(pfn);

		next = slab->next;
		if (slab->refcount)
			continue;
		partial_del(cache, slab);
		ADD_ONCE(cache->nr_empty, -1);
		ADD_ONCE(cache->nr_slabs, -1);
		ADD_ONCE(cache->nr_pages, -(1UL << slab->order));
		slab->next = empty;
		empty = pfn;
	}
	return empty;
}

/* Free the empty slabs that a class keeps. */
static void shrink_cache(struct kmem_cache *cache)
{
	uint32_t empty = NO_PFN;
	int nid;

	mutex_lock(&cache->lock);
	for (nid = 0; nid < nr_slab_nodes; nid++)
		empty = take_empty(cache, get_node(cache, nid), empty);
	mutex_unlock(&cache->lock);
	free_slab_list(empty);
}

void slab_reclaim(void)
{
	unsigned int class, nr;
	unsigned long left;
	struct object *chain;
	int nid;

	for (class = 1; class < FIRST_RUN_CLASS; class++) {
		/* No more than there was: others may fill them meanwhile. */
		left = READ_ONCE(kmem_caches[class].nr_magazine_objects);
		for (nid = 0; left && nid < nr_slab_nodes; nid++)
			for (; left && (chain = magazine_get(&kmem_caches[class], nid, NULL, &nr));
			     left -= min_ul(left, nr))
				slab_free_bulk(&kmem_caches[class], chain);
		if (READ_ONCE(kmem_caches[class].nr_empty))
			shrink_cache(&kmem_caches[class]);
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
	slab = head_of(pfn);
	/* A stale tail may point anywhere: believe only a slab that reaches this far. */
	if (page_type(slab) != PAGE_SLAB || pfn - page_to_pfn(slab) >= 1UL << slab->order)
		return NULL;
	at = (size_t)((const char *)addr - (const char *)page_to_window_addr(slab));
	*index = object_index(&kmem_caches[slab->cache], at);
	*offset = at - *index * kmem_caches[slab->cache].size;
	return slab;
}

bool slab_begins_object(const void *addr, unsigned int class)
{
	const struct kmem_cache *cache = &kmem_caches[class];
	const struct page *slab = head_of(addr_to_pfn(addr));
	size_t at = (size_t)((const char *)addr - (const char *)page_to_window_addr(slab));

	return is_object_start(cache, at) && at < READ_ONCE(slab->carved) * (size_t)cache->size;
}

static void for_all_locks(void (*op)(struct mutex *))
{
	unsigned int class;

	for (class = 1; class < FIRST_RUN_CLASS; class++)
		op(&kmem_caches[class].lock);
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
}
