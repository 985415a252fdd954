/* SPDX-License-Identifier: MIT */
/*
 * Slabs: blocks of pages cut into objects of one size class. A kmem_cache owns the slabs of a class, and the
 * magazines - chains of free objects - that threads exchange through it whole.
 */
#ifndef SLAB_SLAB_H
#define SLAB_SLAB_H

#include "base/lock.h"
#include "mm/gfp.h"
#include "mm/page.h"
#include "slab/size_class.h"

/* A free object in a chain. Only the first object of a magazine uses the second word. */
struct object {
	struct object *next;
	uintptr_t magazine; /* next magazine, with the number of objects of this one in the upper 16 bits */
};

/* What a class has on a node in a home (home.c). */
struct kmem_cache_node {
	struct mutex lock;     /* protects the list, and the struct page of slabs of this home, full ones too */
	uint32_t partial_head; /* slabs with free objects and with others; taken from the head, added at the tail */
	uint32_t partial_tail;
	uint32_t empty;		  /* home 0, for all: a slab without objects in use, whoever takes it by xchg */
	uint32_t nr_taken;	  /* objects that were taken from its slabs, ever; read without the lock */
	struct object *magazines; /* home 0's are for all; the cache's lock */
};

struct kmem_cache {
	uint32_t size; /* of an object */
	uint8_t class;
	uint8_t order;		     /* preferred, of a slab */
	uint64_t reciprocal;	     /* 2^64 / size, rounded up: to divide by it */
	struct kmem_cache_node node; /* home 0's where there is but one node */
	/* Atomic: */
	unsigned long nr_slabs;
	unsigned long nr_pages;
	unsigned long nr_active; /* objects that are not in slabs: the program's, threads' and magazines' */
	struct mutex lock;	 /* protects the magazines */
	uint32_t nr_magazine_objects;
	uint32_t magazine_limit;     /* objects that magazines may hold: grows while other threads ask in vain */
	uint32_t magazine_low;	     /* fewest of them since magazines were aged: nobody needed those */
	uint32_t own_limit;	     /* the same, for what a thread that is alone leaves to itself; a hint */
	uint32_t own_missed;	     /* objects that it brought home since it last asked in vain; a hint */
	const void *magazine_putter; /* the last thread that left one, or would have; a hint */
	bool magazine_missed;	     /* another thread than it asked in vain; a hint, written without the lock */
	bool magazine_taken;	     /* another thread took one since the last was left */
} __attribute__((aligned(64)));

extern struct kmem_cache kmem_caches[FIRST_RUN_CLASS];

static always_inline bool cache_is_large(const struct kmem_cache *cache)
{
	return cache->size > MEDIUM_SIZE_MAX;
}

/* Where several nodes have memory: of each node, from 0 on, and of each class. Else NULL. */
extern hidden_var struct kmem_cache_node *slab_nodes;
extern hidden_var int nr_slab_nodes; /* 1, or one more than the last node's number */
static always_inline struct kmem_cache_node *get_node(struct kmem_cache *cache, int nid)
{
	return likely(!slab_nodes) ? &cache->node : &slab_nodes[(unsigned int)nid * FIRST_RUN_CLASS + cache->class];
}

/* Home 0 is the first thread's. The lists of others are in a table, those of all nodes for each. */
#define SLAB_HOMES 16U
extern hidden_var struct kmem_cache_node *slab_homes;
extern hidden_var unsigned int nr_slab_homes; /* grows only */
/* With it a slab says whose class it is, so that who brings an object home compares both at once. */
#define HOME_CLASS_SHIFT 8
#define NO_HOME 0xffffU /* a named owner's */
static always_inline unsigned int slab_home(const struct page *slab)
{
	return slab->home & ((1U << HOME_CLASS_SHIFT) - 1);
}
static always_inline struct kmem_cache_node *get_home(struct kmem_cache *cache, unsigned int home, int nid)
{
	if (!home)
		return get_node(cache, nid);
	return &slab_homes[((home - 1) * (unsigned int)nr_slab_nodes + (unsigned int)nid) * FIRST_RUN_CLASS +
			   cache->class];
}

void slab_init(void);
/* Lists for each node that has memory, where these are several; once, while there is one thread. What the classes have
 * so far is node 0's. */
void slab_nodes_init(void);

/*
 * Take about nr objects, at least one, as a chain that ends in NULL; the number taken, 0 when out of memory. All are of
 * one slab, on node nid or, if that has no memory, near it; by slab_alloc_bulk on that of the thread's policy. More
 * than nr, where nr is more than one, only if they are within one page's worth. Fresh objects come from at most one
 * page, so that a page is touched only when it is needed.
 */
unsigned int slab_alloc_bulk_node(struct kmem_cache *cache, int nid, unsigned int nr, struct object **chain);
unsigned int slab_alloc_bulk(struct kmem_cache *cache, unsigned int nr, struct object **chain);
/* Bring a chain of objects of this class home to their slabs; slabs that become empty go back to the zone. */
void slab_free_bulk(struct kmem_cache *cache, struct object *chain);
/* The first nr of them only; the rest of the chain. */
struct object *slab_free_some(struct kmem_cache *cache, struct object *chain, unsigned int nr);

/*
 * returns.c. What free() finds to be of class 0, but is of this one: the class map of the thread's home does not say
 * so. True: it has gone back to another home. False: it is to be freed as any of the class.
 */
bool returns_free(void *addr, unsigned int class);
/* A second home opens, with the registry's lock held: from now on threads come to free by maps of their homes. */
void returns_open(void);
/* Objects that have gone back and wait. Torn. */
unsigned long returns_nr(const struct kmem_cache *cache);
/* Bring those of a class home; and those of all that wait since the last call. */
void returns_drop(unsigned int class);
void returns_age(void);

#define NR_RETURNED_CLASSES (FIRST_RUN_CLASS - FIRST_RETURNED_CLASS)
/* A list for each class: its first object, and how many they are in the upper 16 bits, of which one says that nobody
 * takes it. */
extern hidden_var struct returned {
	uintptr_t list[NR_RETURNED_CLASSES];
} __attribute__((aligned(64))) returned[SLAB_HOMES];

static always_inline bool class_is_returned(unsigned int class)
{
	return class - FIRST_RETURNED_CLASS < NR_RETURNED_CLASSES;
}
static always_inline uintptr_t *returned_list(unsigned int home, unsigned int class)
{
	return &returned[home].list[class - FIRST_RETURNED_CLASS];
}
/* All of a class that have gone back to a home, *nr of them; or NULL. */
struct object *returns_take_slow(unsigned int home, unsigned int class, unsigned int *nr);
static always_inline struct object *returns_take(unsigned int home, unsigned int class, unsigned int *nr)
{
	if (likely(!READ_ONCE(vmemmap.home_maps)) || !class_is_returned(class) ||
	    !READ_ONCE(*returned_list(home, class)))
		return NULL;
	return returns_take_slow(home, class, nr);
}

/* Free objects that wait to be taken whole, in magazines or of a home. Torn. */
static inline unsigned long cache_nr_waiting(const struct kmem_cache *cache)
{
	return READ_ONCE(cache->nr_magazine_objects) + returns_nr(cache);
}

#define SPARSE_BYTES_MIN (1 * MiB)

/* Are the slabs of a class mostly free, but for what magazines hold? Then what threads cache of it keeps pages from
 * being freed. Torn. */
static always_inline bool cache_is_sparse(const struct kmem_cache *cache)
{
	size_t held = READ_ONCE(cache->nr_pages) << PAGE_SHIFT, left;

	if (likely(held <= SPARSE_BYTES_MIN))
		return false;
	left = cache_nr_waiting(cache);
	held -= left * cache->size;
	return held > SPARSE_BYTES_MIN && (READ_ONCE(cache->nr_active) - left) * cache->size < held / 4;
}

/* Slabs that are wholly free, which the class keeps. */
unsigned long cache_nr_empty(struct kmem_cache *cache);

/* Pages of all slabs; torn. */
unsigned long slab_pages(void);
/* Pages' worth of objects that lie free in slabs, and of what slabs have left over; torn. */
unsigned long slab_unused_pages(void);

/* Has it a free object in a slab, at this moment? */
bool slab_has_free(struct kmem_cache *cache);

/* As bm_misuse(): a block was freed by a pointer into its middle; offset 0: or freed that is none any more. */
void report_bad_free(const void *addr, size_t offset, size_t size);
_Noreturn void report_double_free(const void *addr, size_t size);

/* A whole magazine left to the thread's home or to all, or to other homes, if much is there and the thread's has no
 * slab; or NULL. *nr: objects in it, which are all on the node. self is any address of the thread's own.
 * magazine_get_any: of any home and node. */
struct object *magazine_get(struct kmem_cache *cache, int nid, const void *self, unsigned int *nr);
struct object *magazine_get_any(struct kmem_cache *cache, unsigned int *nr);
/* Leave a magazine of nr objects, all on one node, to other threads; its objects go home unless those have shown that
 * they need them, and if there are too many already. True if such magazines are in demand. */
bool magazine_put(struct kmem_cache *cache, const void *self, struct object *chain, unsigned int nr);
/* The same of a thread that ends: nothing is brought home, and false if there is no room. */
bool magazine_leave(struct kmem_cache *cache, struct object *chain, unsigned int nr);
/* There are no others, and one node: what the thread leaves can but wait for itself. */
bool thread_is_alone(void);
/* Bring home what a thread that was alone has left to itself. */
void magazines_drop(struct kmem_cache *cache);
/* One of them, and no more are left from now on; NULL: there is none. */
struct object *magazine_take_own(struct kmem_cache *cache, unsigned int *nr);
/* The same of all classes of large objects; true if there were any. */
bool magazines_drop_large(void);
/* May so many more objects wait for their thread alone? A hint. */
bool magazine_has_own_room(struct kmem_cache *cache, unsigned int nr);
/* Of a list that held so many, nr objects go home that might have waited for their thread, had it been known to ask for
 * them again. */
void magazine_note_shed(struct kmem_cache *cache, unsigned int held, unsigned int nr);
/* Have others shown that they need what this thread would leave? A hint. */
bool magazine_wanted(struct kmem_cache *cache, const void *self);
/* Bring home what magazines held all the time since the last call. */
void magazines_age(void);
/* Bring all magazines of all classes home, and free empty slabs. */
void slab_reclaim(void);
/* Free the empty slabs that a class keeps. */
void slab_shrink(struct kmem_cache *cache);
/* One look at classes whose slabs nobody needs: after dirty_decay their empty ones go home, and whole pages of others
 * back to the system. kswapd goes through all of them, a thread of the program's for half a millisecond, and its next
 * look goes on from there. No lock held. */
void slabs_age(uint32_t decay);

/* Make an allocated block a slab, all of whose objects are untouched. */
void slab_prepare(struct page *slab, unsigned int class);

/* The first page of the slab that holds the address, NULL when it is in none; *index: which object it points into,
 * *offset: how far. Reads descriptors only. */
struct page *slab_of(const void *addr, unsigned long *index, size_t *offset);
/* The first page of the slab that page pfn is of, if it is of one. */
static always_inline struct page *slab_head_of(unsigned long pfn)
{
	struct page *page = pfn_to_page(pfn);

	return page_type(page) == PAGE_TAIL ? pfn_to_page(page->head) : page;
}
/* Of an address in a slab of the class: does an object that was ever taken begin there? The product's lower half is
 * less than the reciprocal for multiples of the size alone, of offsets below 2^18. */
static always_inline bool slab_begins_object(const void *addr, unsigned int class)
{
	const struct kmem_cache *cache = &kmem_caches[class];
	const struct page *slab = slab_head_of(addr_to_pfn(addr));
	size_t at = (size_t)((const char *)addr - (const char *)page_to_window_addr(slab));

	return at * cache->reciprocal < cache->reciprocal && at < READ_ONCE(slab->carved) * (size_t)cache->size;
}

/* A node of any home, locked, whose list has a slab; and this thread's, which has the class's empty slab now. NULL:
 * there is none. */
struct kmem_cache_node *lock_any_home(struct kmem_cache *cache, int nid);
struct kmem_cache_node *slab_use_empty(struct kmem_cache *cache, int nid);

/* A home for a thread that begins: its own, if there are enough; and what it leaves when it ends. The registry's lock
 * is held, but for the last, in the child of a fork: only this thread's is in use. */
unsigned int slab_home_enter(void);
void slab_home_leave(unsigned int home);
/* Has a thread this home? A hint. */
bool slab_home_is_used(unsigned int home);
void slab_homes_reinit_after_fork(unsigned int home);

/*
 * Several nodes only. Pages for a slab, on nid if it has some, as the thread's policy allows; the node, locked, whose
 * list takes the place of nid's when there are none to be had, NULL if no list has a slab.
 */
struct page *alloc_slab_pages_node(int nid, gfp_t gfp, unsigned int order);
struct kmem_cache_node *get_any_partial(struct kmem_cache *cache, int nid);
/* Of a chain only those on node nid are left; the others are home afterwards. How many are left. */
unsigned int slab_keep_node(struct kmem_cache *cache, int nid, struct object **chain);

/* Fork handlers. */
void slab_lock_all(void);
void slab_unlock_all(void);
void slab_reinit_after_fork(void);

/* Prove a cache's invariants: lists, counts, every free object inside its slab and once only. Debug and tests. */
void check_cache(struct kmem_cache *cache);

#endif
