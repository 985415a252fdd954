/* SPDX-License-Identifier: MIT */
/*
 * What lies idle in slabs. A slab of several pages that has few objects in use keeps all of its pages; those without
 * one go back to the system where nobody has taken objects of the class for long, or where too much is free and one
 * came home just now. Free objects are linked through their first words, so those that reach into such a hole leave
 * their slab's list: they are absent, and only counted. When nothing else is in the list they come back, a page's worth
 * at a time. Everything is under the node's lock, the system calls too: who wants objects waits for one slab's at most.
 */
#include <sys/mman.h>

#include "base/tunables.h"
#include "mm/balance.h"
#include "mm/current.h"
#include "mm/kswapd.h"
#include "mm/settle.h"
#include "os/os.h"
#include "slab/inner.h"

#define AGE_LOOKS (KSWAPD_LOOKS + 1) /* in dirty_decay, at most: none of kswapd's comes too early for one */
#define QUIET_SHARE 64U		     /* so little of what is free is taken between two of them where a class is quiet */
#define MORE_SHARE 16U		     /* of what is free: so much more is worth another look at all slabs */
#define SLABS_AT_A_TIME 4U
#define LOOK_STEP_NS 500000U /* of a CPU, that a thread of the program's looks on for */
#define PUNCH_ORDER 2	     /* of slabs whose pages may go before the class is quiet: of shorter ones few would */

static uint64_t slab_holes(const struct page *slab)
{
	return slab->flags & PG_HOLES ? slab[1].holes : 0;
}

static unsigned int object_number(const struct kmem_cache *cache, const struct page *slab, const struct object *obj)
{
	return (unsigned int)((size_t)((const char *)obj - (const char *)page_to_window_addr(slab)) / cache->size);
}

/* Pages that were used, and have no object in use; those that are holes too. */
static uint64_t unused_pages(const struct kmem_cache *cache, const struct page *slab, uint64_t holes)
{
	uint64_t is_free[4] = { 0 }, used = 0, carved = 0;
	const struct object *obj;
	unsigned int i;

	for (obj = slab->freelist; obj; obj = obj->next) {
		i = object_number(cache, slab, obj);
		is_free[i / 64] |= 1ULL << i % 64;
	}
	for (i = 0; i < slab->carved; i++) {
		uint64_t pages = object_pages(cache, i);

		carved |= pages;
		if (!(is_free[i / 64] >> i % 64 & 1) && !(pages & holes))
			used |= pages;
	}
	return carved & ~used;
}

/* The list without what reaches into holes, in the order that it has; how many those are. */
static unsigned int unlink_absent(const struct kmem_cache *cache, struct page *slab, uint64_t holes)
{
	struct object *obj = slab->freelist, *kept = NULL, *last = NULL;
	unsigned int nr = 0;

	for (; obj; obj = obj->next) {
		if (object_pages(cache, object_number(cache, slab, obj)) & holes) {
			nr++;
			continue;
		}
		if (last)
			last->next = obj;
		else
			kept = obj;
		last = obj;
	}
	if (last)
		last->next = NULL;
	slab->freelist = kept;
	return nr;
}

/* The pages, a bit each, of which those that lie side by side go in one call. */
static unsigned long drop_pages(struct page *slab, uint64_t pages)
{
	unsigned long bytes = 0;

	while (pages) {
		unsigned int first = (unsigned int)__builtin_ctzll(pages), nr = 0;
		char *addr = (char *)page_to_window_addr(slab) + ((size_t)first << PAGE_SHIFT);
		unsigned long resident;

		while (first + nr < 64 && pages >> (first + nr) & 1)
			pages &= ~(1ULL << (first + nr++));
		resident = mm_resident(addr, (size_t)nr << PAGE_SHIFT);
		if (os->madvise(addr, (size_t)nr << PAGE_SHIFT, MADV_DONTNEED) < 0)
			break; /* holes they are, whatever lies there */
		unsettle_pages(page_to_pfn(slab) + first, nr);
		atomic_add_return(&mm_released, resident);
		bytes += (size_t)nr << PAGE_SHIFT;
	}
	return bytes;
}

unsigned long slab_punch(struct kmem_cache *cache, struct page *slab, unsigned int least)
{
	uint64_t holes = slab_holes(slab), more = unused_pages(cache, slab, holes) & ~holes;

	if (!more || (unsigned int)__builtin_popcountll(more) < least)
		return 0;
	holes |= more;
	if (!(slab->flags & PG_HOLES))
		slab[1].absent = 0;
	slab[1].absent = (uint16_t)(slab[1].absent + unlink_absent(cache, slab, holes));
	slab[1].holes = holes;
	slab->flags |= PG_HOLES;
	atomic_add_return(&mm_hole_pages, (unsigned long)__builtin_popcountll(more));
	return drop_pages(slab, more);
}

bool slabs_are_punched(const struct kmem_cache *cache)
{
	return cache->order >= PUNCH_ORDER && cache_is_sparse(cache) && thread_is_alone() && !kswapd_welcome() &&
	       !annotate_listening && os_page_size() == PAGE_SIZE && !(current->flags & PF_MEMALLOC_NOIO) &&
	       mm_dirty_excess();
}

/* The first object that is absent comes back, and with it all that reach into the pages that it needs, and into no
 * other hole. */
void slab_fill_hole(struct kmem_cache *cache, struct page *slab)
{
	uint64_t holes = slab[1].holes, left = holes, pages;
	unsigned int i;

	for (i = 0; left == holes; i++)
		left &= ~(object_pages(cache, i) & holes);
	for (i = slab->carved; i--;) {
		pages = object_pages(cache, i);
		if (pages & holes && !(pages & left)) {
			struct object *obj =
				(struct object *)((char *)page_to_window_addr(slab) + i * (size_t)cache->size);

			object_link(obj, slab->freelist);
			slab->freelist = obj;
			slab[1].absent--;
		}
	}
	slab[1].holes = left;
	if (!slab[1].absent)
		slab->flags &= (uint8_t)~PG_HOLES;
	atomic_sub_return(&mm_hole_pages, (unsigned long)__builtin_popcountll(holes & ~slab_holes(slab)));
}

void slab_forget_holes(struct page *slab)
{
	atomic_sub_return(&mm_hole_pages, (unsigned long)__builtin_popcountll(slab_holes(slab)));
	slab->flags &= (uint8_t)~PG_HOLES;
}

/* Each of the node's slabs once, a few at a time: from the head of the list to its end, so that it stays in order.
 * until: of the thread's clock, 0 without an end. How many of nr are left then: what comes first in the list. */
static unsigned long punch_node(struct kmem_cache *cache, struct kmem_cache_node *node, unsigned long nr,
				uint64_t until)
{
	uint32_t first = NO_PFN, pfn;

	if (READ_ONCE(node->partial_head) == NO_PFN)
		return 0;
	mutex_lock(&node->lock);
	for (; nr && (pfn = node->partial_head) != NO_PFN && pfn != first; nr--) {
		struct page *slab = pfn_to_page(pfn);

		if (first == NO_PFN)
			first = pfn;
		partial_del(node, slab);
		/* What is not in use is a page at least; never so in a slab of one. */
		if (slab->refcount * (size_t)cache->size + PAGE_SIZE <= PAGE_SIZE << slab->order)
			slab_punch(cache, slab, 1);
		partial_add_tail(node, slab);
		if (nr % SLABS_AT_A_TIME == 0) {
			mutex_unlock(&node->lock);
			if (until && os->thread_clock_ns() >= until)
				return nr - 1;
			mutex_lock(&node->lock);
		}
	}
	mutex_unlock(&node->lock);
	return 0;
}

/* Where the last look had no more time, the next one goes on; class 0: it had. Of whoever is in slabs_age. */
static struct {
	unsigned int class, node;
	unsigned long slabs; /* left of that node's */
} stopped;

/* False: out of time. */
static bool punch_class(struct kmem_cache *cache, uint64_t until)
{
	unsigned int nr_nodes = (unsigned int)nr_slab_nodes, nr = smp_load_acquire(&nr_slab_homes) * nr_nodes, node = 0;
	unsigned long slabs = READ_ONCE(cache->nr_slabs);

	if (stopped.class == cache->class) {
		node = stopped.node;
		slabs = stopped.slabs;
	}
	stopped.class = 0;
	for (; node < nr; node++) {
		slabs = punch_node(cache, get_home(cache, node / nr_nodes, (int)(node % nr_nodes)), slabs, until);
		if (slabs) {
			stopped.class = cache->class;
			stopped.node = node;
			stopped.slabs = slabs;
			return false;
		}
		slabs = READ_ONCE(cache->nr_slabs);
	}
	return true;
}

/* Of whoever is in slabs_age. */
static struct {
	uint32_t taken;		 /* at the last look */
	unsigned long nr_active; /* and one more, when its pages were given back; 0: since it is quiet they were not */
	uint32_t since;		 /* when it was not quiet, the last time */
} ages[FIRST_RUN_CLASS];
static uint32_t somebody_looks;

static uint32_t objects_taken(struct kmem_cache *cache)
{
	unsigned int home, nr_homes = smp_load_acquire(&nr_slab_homes);
	uint32_t taken = 0;
	int nid;

	for (home = 0; home < nr_homes; home++)
		for (nid = 0; nid < nr_slab_nodes; nid++)
			taken += READ_ONCE(get_home(cache, home, nid)->nr_taken);
	return taken;
}

static unsigned long nr_free_objects(const struct kmem_cache *cache)
{
	unsigned long held = (READ_ONCE(cache->nr_pages) << PAGE_SHIFT) / cache->size,
		      active = READ_ONCE(cache->nr_active);

	return held - min_ul(held, active);
}

/* Has the class been quiet for long: was so little taken that what is free lasts for many such times? */
static bool is_quiet(struct kmem_cache *cache, uint32_t now, uint32_t decay)
{
	unsigned int class = cache->class;
	uint32_t taken = objects_taken(cache), since = taken - ages[class].taken;

	ages[class].taken = taken;
	if (since > nr_free_objects(cache) / QUIET_SHARE) {
		ages[class].since = now;
		ages[class].nr_active = 0;
	}
	return now - ages[class].since >= decay;
}

/* Once while it is quiet, and then when that much more has come free that it may be worth looking through all slabs
 * again. */
static bool has_more_free(const struct kmem_cache *cache)
{
	unsigned long nr_active = READ_ONCE(cache->nr_active) + 1, before = ages[cache->class].nr_active;

	if (before && nr_active + nr_free_objects(cache) / MORE_SHARE >= before)
		return false;
	ages[cache->class].nr_active = nr_active;
	return true;
}

/* until: NULL without an end, *until 0 where none has been set yet. False: out of time. */
static bool age_class(struct kmem_cache *cache, uint64_t *until)
{
	bool goes_on = stopped.class == cache->class;

	if (!goes_on && !has_more_free(cache))
		return true;
	if (!goes_on)
		slab_shrink(cache);
	if (!cache->order || annotate_listening || os_page_size() > PAGE_SIZE)
		return true;
	if (until && !*until)
		*until = os->thread_clock_ns() + LOOK_STEP_NS;
	return punch_class(cache, until ? *until : 0);
}

static void age_classes(uint32_t now, uint32_t decay, uint64_t *until)
{
	bool quiet[FIRST_RUN_CLASS] = { false };
	unsigned int class, i;

	for (class = 1; class < FIRST_RUN_CLASS; class ++)
		quiet[class] = READ_ONCE(kmem_caches[class].nr_slabs) && is_quiet(&kmem_caches[class], now, decay);
	class = stopped.class ? stopped.class : 1;
	for (i = 1; i < FIRST_RUN_CLASS; i++) {
		if (quiet[class] && !age_class(&kmem_caches[class], until))
			return;
		class = class + 1 < FIRST_RUN_CLASS ? class + 1 : 1;
	}
}

void slabs_age(uint32_t decay)
{
	static uint32_t last;
	uint32_t now = (uint32_t)os_clock_ms();
	uint64_t until = 0;

	if (now - READ_ONCE(last) < decay / AGE_LOOKS || unlikely(current->flags & PF_MEMALLOC_NOIO) ||
	    xchg(&somebody_looks, 1U))
		return;
	WRITE_ONCE(last, now);
	idle_frees_begin();
	age_classes(now, decay, current->flags & PF_KSWAPD ? NULL : &until);
	idle_frees_end();
	smp_store_release(&somebody_looks, 0U);
}

void slabs_age_reinit_after_fork(void)
{
	somebody_looks = 0;
	stopped.class = 0;
}
