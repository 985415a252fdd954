/* SPDX-License-Identifier: MIT */
/*
 * Magazines: whole chains of free objects that one thread leaves and another takes, linked through the objects
 * themselves. What is of its own home a thread leaves to the threads of that, so that what lies together stays with
 * those who use it, unless that is much, and others would need more slabs; all else is for anybody. How many a class
 * may hold grows while threads ask in vain for what others bring home, and there is none, and shrinks as magazines age
 * unused. A thread that is alone leaves to itself what it has brought home before and then asked for, if that lies
 * side by side, so that it keeps no more pages than it fills. The cache's lock protects all of it; hints are read and
 * written without, and bounds are read.
 */
#include "mm/balance.h"
#include "mm/buddy.h"
#include "mm/budget.h"
#include "mm/pressure.h"
#include "slab/inner.h"
#include "slab/tcache.h"

#define MAGAZINES_MIN_BYTES (32 * KiB)
#define MAGAZINES_MAX_BYTES (512 * KiB)
#define OWN_BYTES (1 * MiB)	  /* of all classes, that a thread which is alone may leave to itself */
#define OWN_LEAST 64U		  /* objects: of fewer nobody knows whether they lie side by side */
#define OWN_LARGE_BYTES (4 * MiB) /* of all classes of large objects, */
#define LARGE_SWING 4		  /* where that part and more of those in use comes and goes */
#define MAGAZINE_COUNT_SHIFT 48

static unsigned long magazine_bytes; /* in those of all classes but large ones; atomic */

/* What magazines hold of its kind: large objects are kept pages to the page allocator. */
static always_inline unsigned long *bytes_of(const struct kmem_cache *cache)
{
	return cache_is_large(cache) ? &mm_kept_bytes : &magazine_bytes;
}

/* Unlink the first magazine; the lock is held. */
static struct object *magazine_pop(struct kmem_cache *cache, struct kmem_cache_node *node, unsigned int *nr)
{
	struct object *chain = node->magazines;

	if (!chain)
		return NULL;
	*nr = (unsigned int)(chain->magazine >> MAGAZINE_COUNT_SHIFT);
	WRITE_ONCE(node->magazines, (struct object *)(chain->magazine & ((1UL << MAGAZINE_COUNT_SHIFT) - 1)));
	ADD_ONCE(cache->nr_magazine_objects, -*nr);
	atomic_sub_return(bytes_of(cache), (unsigned long)*nr * cache->size);
	if (cache->magazine_low > cache->nr_magazine_objects)
		cache->magazine_low = cache->nr_magazine_objects;
	return chain;
}

bool thread_is_alone(void)
{
	return READ_ONCE(nr_heap_threads) < 2 && !slab_nodes;
}

/* The thread asks for what it has brought home: the next time so much more waits for it. */
static noinline void grow_own(struct kmem_cache *cache)
{
	unsigned long most = (cache_is_large(cache) ? OWN_LARGE_BYTES : OWN_BYTES) / cache->size;
	unsigned long limit = READ_ONCE(cache->own_limit) + READ_ONCE(cache->own_missed);

	WRITE_ONCE(cache->own_missed, 0);
	if (!cache_is_large(cache) || limit >= READ_ONCE(cache->nr_active) / LARGE_SWING)
		WRITE_ONCE(cache->own_limit, (uint32_t)min_ul(limit, most));
}

/* One of any home on the node; the lock is held. */
static struct object *magazine_pop_node(struct kmem_cache *cache, int nid, unsigned int *nr)
{
	unsigned int home, nr_homes = smp_load_acquire(&nr_slab_homes);
	struct object *chain = NULL;

	for (home = 0; home < nr_homes && !chain; home++)
		chain = magazine_pop(cache, get_home(cache, home, nid), nr);
	return chain;
}

/* Rather than another slab, is much of the class in magazines of other homes? */
static bool others_have_magazines(struct kmem_cache *cache, int nid)
{
	return READ_ONCE(cache->nr_magazine_objects) > READ_ONCE(cache->nr_active) / SLAB_SPARE &&
	       READ_ONCE(get_home(cache, tcache.home, nid)->partial_head) == NO_PFN;
}

static void note_missed(struct kmem_cache *cache, const void *self)
{
	const void *putter = READ_ONCE(cache->magazine_putter);

	if (putter && putter != self && !READ_ONCE(cache->nr_magazine_objects))
		WRITE_ONCE(cache->magazine_missed, true);
}

struct object *magazine_get(struct kmem_cache *cache, int nid, const void *self, unsigned int *nr)
{
	struct kmem_cache_node *node = get_home(cache, tcache.home, nid);
	struct object *chain;

	if (!READ_ONCE(node->magazines))
		node = get_node(cache, nid);
	if (!READ_ONCE(node->magazines)) {
		note_missed(cache, self);
		if (READ_ONCE(cache->own_missed))
			grow_own(cache);
		if (!others_have_magazines(cache, nid))
			return NULL;
		node = NULL;
	}
	mutex_lock(&cache->lock);
	chain = node ? magazine_pop(cache, node, nr) : magazine_pop_node(cache, nid, nr);
	cache->magazine_taken |= READ_ONCE(cache->magazine_putter) != self;
	mutex_unlock(&cache->lock);
	return chain;
}

/* Large objects have pages of their own, wherever these lie. What a limit leaves is for all. */
static bool keeps_large(void)
{
	return !slab_nodes && likely(!READ_ONCE(limits_in_force));
}

/* May it keep what was asked for again? Else, if the thread is alone and no other has asked: for then they lie side by
 * side (part_of_list). */
static bool may_keep_own(const struct kmem_cache *cache, unsigned int nr)
{
	if (cache_is_large(cache))
		return keeps_large();
	return nr >= OWN_LEAST && !READ_ONCE(cache->magazine_limit) && thread_is_alone();
}

static void note_own_missed(struct kmem_cache *cache, unsigned int nr)
{
	WRITE_ONCE(cache->own_missed, READ_ONCE(cache->own_missed) + nr);
}

bool magazine_has_own_room(struct kmem_cache *cache, unsigned int nr)
{
	size_t most = cache_is_large(cache) ? OWN_LARGE_BYTES : OWN_BYTES;

	return READ_ONCE(cache->nr_magazine_objects) + nr <= READ_ONCE(cache->own_limit) &&
	       READ_ONCE(*bytes_of(cache)) + nr * cache->size <= most;
}

static bool own_room(struct kmem_cache *cache, unsigned int nr)
{
	if (!may_keep_own(cache, nr))
		return false;
	if (magazine_has_own_room(cache, nr))
		return true;
	note_own_missed(cache, nr);
	return false;
}

void magazine_note_shed(struct kmem_cache *cache, unsigned int held, unsigned int nr)
{
	if (may_keep_own(cache, held))
		note_own_missed(cache, nr);
}

/* Room for nr more objects? Where others asked in vain the limit grows. */
static bool magazine_room(struct kmem_cache *cache, unsigned int nr)
{
	uint32_t most = MAGAZINES_MAX_BYTES / cache->size;

	if (READ_ONCE(cache->magazine_missed) && cache->nr_magazine_objects + nr > cache->magazine_limit) {
		WRITE_ONCE(cache->magazine_missed, false);
		WRITE_ONCE(cache->magazine_limit,
			   min_ul(max_ul(2 * cache->magazine_limit, MAGAZINES_MIN_BYTES / cache->size), most));
	}
	return cache->nr_magazine_objects + nr <= cache->magazine_limit || own_room(cache, nr);
}

/* The lock is held. */
static void magazine_push(struct kmem_cache *cache, struct kmem_cache_node *node, struct object *chain, unsigned int nr)
{
	chain->magazine = (uintptr_t)node->magazines | (uintptr_t)nr << MAGAZINE_COUNT_SHIFT;
	WRITE_ONCE(node->magazines, chain);
	ADD_ONCE(cache->nr_magazine_objects, nr);
	atomic_add_return(bytes_of(cache), (unsigned long)nr * cache->size);
}

/* The thread's home if it is the chain's, else 0. NULL: what it begins with was freed twice, and its page is another's.
 */
static struct kmem_cache_node *node_for(struct kmem_cache *cache, const struct object *chain)
{
	unsigned long index;
	size_t offset;
	const struct page *slab = slab_of(chain, &index, &offset);

	if (unlikely(!slab || !slab_is_of(cache, slab)))
		return NULL;
	return get_home(cache, slab_home(slab) == tcache.home ? tcache.home : 0,
			likely(!slab_nodes) ? 0 : page_to_nid(slab));
}

bool magazine_put(struct kmem_cache *cache, const void *self, struct object *chain, unsigned int nr)
{
	struct kmem_cache_node *node = node_for(cache, chain);
	bool room, wanted;

	mutex_lock(&cache->lock);
	wanted = cache->magazine_taken;
	cache->magazine_taken = false;
	WRITE_ONCE(cache->magazine_putter, self);
	room = node && magazine_room(cache, nr);
	if (room)
		magazine_push(cache, node, chain, nr);
	mutex_unlock(&cache->lock);
	if (!room)
		slab_free_bulk(cache, chain);
	return wanted;
}

bool magazine_wanted(struct kmem_cache *cache, const void *self)
{
	WRITE_ONCE(cache->magazine_putter, self);
	return READ_ONCE(cache->magazine_missed) || READ_ONCE(cache->magazine_limit);
}

/* To bring them home would load each object, most of which the thread has not touched, and the next one again. */
bool magazine_leave(struct kmem_cache *cache, struct object *chain, unsigned int nr)
{
	struct kmem_cache_node *node = node_for(cache, chain);
	bool room;

	mutex_lock(&cache->lock);
	room = node &&
	       cache->nr_magazine_objects + nr <= max_ul(cache->magazine_limit, MAGAZINES_MIN_BYTES / cache->size);
	if (room)
		magazine_push(cache, node, chain, nr);
	mutex_unlock(&cache->lock);
	return room;
}

/* One of any home and node. */
static struct object *magazine_pop_any(struct kmem_cache *cache, unsigned int *nr)
{
	struct object *chain = NULL;
	int nid;

	for (nid = 0; nid < nr_slab_nodes && !chain; nid++)
		chain = magazine_pop_node(cache, nid, nr);
	return chain;
}

struct object *magazine_get_any(struct kmem_cache *cache, unsigned int *nr)
{
	struct object *chain;

	mutex_lock(&cache->lock);
	chain = magazine_pop_any(cache, nr);
	mutex_unlock(&cache->lock);
	return chain;
}

struct object *magazine_take_own(struct kmem_cache *cache, unsigned int *nr)
{
	*nr = 0;
	WRITE_ONCE(cache->own_limit, 0);
	WRITE_ONCE(cache->own_missed, 0);
	return READ_ONCE(cache->nr_magazine_objects) ? magazine_get_any(cache, nr) : NULL;
}

void magazines_drop(struct kmem_cache *cache)
{
	struct object *chain;
	unsigned int nr;

	if (!READ_ONCE(cache->own_limit))
		return;
	WRITE_ONCE(cache->own_limit, 0);
	WRITE_ONCE(cache->own_missed, 0);
	while ((chain = magazine_get_any(cache, &nr)))
		slab_free_bulk(cache, chain);
}

/* Rather than that a zone grows. */
bool magazines_drop_large(void)
{
	unsigned long before = READ_ONCE(mm_kept_bytes);
	unsigned int class;

	for (class = 1; before && class < FIRST_RUN_CLASS; class ++)
		if (cache_is_large(&kmem_caches[class]))
			magazines_drop(&kmem_caches[class]);
	return READ_ONCE(mm_kept_bytes) < before;
}

static void age_magazines(struct kmem_cache *cache)
{
	struct object *chain;
	unsigned int nr;
	uint32_t low;

	mutex_lock(&cache->lock);
	if (cache->magazine_low) {
		WRITE_ONCE(cache->magazine_limit, cache->magazine_limit / 2);
		WRITE_ONCE(cache->own_limit, READ_ONCE(cache->own_limit) / 2);
	}
	while ((low = cache->magazine_low) && (chain = magazine_pop_any(cache, &nr))) {
		cache->magazine_low = low > nr ? low - nr : 0;
		mutex_unlock(&cache->lock);
		slab_free_bulk(cache, chain);
		mutex_lock(&cache->lock);
	}
	cache->magazine_low = cache->nr_magazine_objects;
	mutex_unlock(&cache->lock);
}

void magazines_age(void)
{
	unsigned int class;

	for (class = 1; class < FIRST_RUN_CLASS; class ++)
		if (READ_ONCE(kmem_caches[class].nr_magazine_objects))
			age_magazines(&kmem_caches[class]);
}
