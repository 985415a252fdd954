/* SPDX-License-Identifier: MIT */
/*
 * Slow paths of the thread caches.
 *
 * A list starts small and doubles its bound when it overflows, up to MAGAZINE_BYTES, but only if it has run dry since
 * the last time, or, up to less, if other threads want what it sheds: a list that only ever overflows keeps slabs from
 * emptying and saves its thread nothing. A full list becomes the spare magazine; a full spare goes to the class's
 * magazines, whole, or, of a single thread that no other has followed, scattered objects go home in parts. Now and then
 * lists that nobody touched since the last look are brought home, so that a phase of the program does not keep its
 * blocks for ever; and a single thread that does nothing but free caches less and less, for no look may come after it.
 * Runs have a list only, no spare, and only the smaller ones.
 */
#include "slab/tcache.h"

#include <string.h>

#include "base/annotate.h"
#include "base/tunables.h"
#include "mm/arena.h"
#include "mm/budget.h"
#include "mm/current.h"
#include "mm/exact.h"
#include "mm/fault_inject.h"
#include "mm/kswapd.h"
#include "mm/mempolicy.h"
#include "mm/owner.h"
#include "mm/page_alloc.h"
#include "mm/pressure.h"
#include "mm/vmscan.h"
#include "os/os.h"
#include "slab/run.h"
#include "slab/slabinfo.h"

#define MAGAZINE_BYTES (128 * KiB)
#define MAGAZINE_SMALL_BYTES (64 * KiB) /* for objects up to 1 KiB */
#define MAGAZINE_MAX 1024UL
#define SPARSE_CAP 4U /* of a list of objects up to 1 KiB, most of which are free: each may pin a slab */
#define SPARSE_SHARE 64 /* of the slabs, which such a list may pin if that is more */
#define WANTED_BYTES (16 * KiB) /* of a list that never runs dry, for others */
#define RUN_CACHED_BYTES (128 * KiB) /* see FIRST_UNLISTED_CLASS */
#define RUN_MORE_BYTES (1 * MiB) /* for all classes together, while few lengths come and go */
#define SHED_MAX 128U /* scattered objects that go home at a time where no other thread asks for them */
#define SAMPLE 16U    /* tells whether they are */
#define CACHED_SHARE 5 /* of what is left of a class may be cached by who does nothing but free */
#define AGE_MS 100
#define FREES_UNLISTED 4096 /* more than an ending thread frees: libc's cache of stacks has fewer */

thread_local_var struct tcache tcache;

static unsigned int max_cap(unsigned int class)
{
	size_t size = class_size(class);

	if (class >= FIRST_RUN_CLASS)
		return (unsigned int)(RUN_CACHED_BYTES / size);
	if (size <= 1 * KiB)
		return (unsigned int)min_ul(MAGAZINE_SMALL_BYTES / size, MAGAZINE_MAX);
	return (unsigned int)max_ul(MAGAZINE_BYTES / size, 2);
}

/* Bring a list home: to its slabs, or as runs. */
static void free_chain(struct object *chain, unsigned int class)
{
	if (class < FIRST_RUN_CLASS)
		slab_free_bulk(&kmem_caches[class], chain);
	else
		run_free_chain(chain, class);
}

static void flush_class(struct tcache *tc, unsigned int class)
{
	struct object *chain = tc->head[class];

	tc->head[class] = NULL;
	tc->room[class] = tc->cap[class];
	if (chain)
		free_chain(chain, class);
	if (class < FIRST_RUN_CLASS && tc->spare[class]) {
		chain = tc->spare[class];
		tc->spare[class] = NULL;
		free_chain(chain, class);
	}
}

/* Nothing to bring home, and room for all that there may be: tcache_close_all has not been here. */
static always_inline bool list_is_empty(const struct tcache *tc, unsigned int class)
{
	return !tc->head[class] && tc->room[class] >= 0 && (class >= FIRST_RUN_CLASS || !tc->spare[class]);
}

/* A chain of an ending thread; false: it is still to come home. */
static bool leave_chain(unsigned int class, struct object *chain, unsigned int nr)
{
	return chain && !cache_is_sparse(&kmem_caches[class]) && magazine_leave(&kmem_caches[class], chain, nr);
}

static void leave_class(struct tcache *tc, unsigned int class)
{
	if (leave_chain(class, tc->spare[class], tc->spare_nr[class]))
		tc->spare[class] = NULL;
	/* Else tcache_close_all has been here, and nobody knows how many there are. */
	if (tc->room[class] >= 0 && leave_chain(class, tc->head[class], tc->cap[class] - (unsigned int)tc->room[class])) {
		tc->head[class] = NULL;
		tc->room[class] = tc->cap[class];
	}
}

static void empty_lists(bool ending)
{
	bool borrowed = tcache_borrow_lists(&tcache);
	unsigned int class;

	if (tcache.state == TCACHE_ACTIVE)
		for (class = 1; class < NR_CLASSES; class++) {
			if (list_is_empty(&tcache, class))
				continue;
			if (ending && class < FIRST_RUN_CLASS && !slab_nodes)
				leave_class(&tcache, class);
			flush_class(&tcache, class);
		}
	if (borrowed)
		tcache_return_lists(&tcache);
	if (unlikely(slab_nodes))
		tcache_flush_remote(&tcache);
}

void tcache_flush(void)
{
	empty_lists(false);
}

void tcache_leave_lists(void)
{
	empty_lists(true);
}

/* Room for nothing: with empty lists, every call comes to the slow functions. */
void tcache_close_lists(struct tcache *tc)
{
	__builtin_memset(tc->room, 0, sizeof(tc->room));
	__builtin_memset(tc->cap, 0, sizeof(tc->cap));
	__builtin_memset(tc->usual_cap, 0, sizeof(tc->usual_cap));
	tc->more_runs = 0;
}

static void open_lists(struct tcache *tc)
{
	unsigned int class;

	tc->ticks = 0;
	tcache_close_lists(tc);
	for (class = 1; class < FIRST_RUN_CLASS; class++) {
		tc->cap[class] = size_classes.first_cap[class];
		tc->room[class] = size_classes.first_cap[class];
	}
}

/* An empty list of runs holds no more than always from now on. */
static void forget_more(struct tcache *tc, unsigned int class)
{
	unsigned int always = max_cap(class), cap = tc->cap[class];

	if (class < FIRST_RUN_CLASS || cap <= always)
		return;
	tc->more_runs -= (uint32_t)((cap - always) * class_size(class));
	tc->cap[class] = (uint16_t)always;
	tc->room[class] = (int32_t)always;
}

/* Lists that are as they were at the last look go home. */
static void flush_idle(struct tcache *tc)
{
	unsigned int class;

	for (class = 1; class < NR_CLASSES; class++) {
		uint32_t now = (uint32_t)((uintptr_t)tc->head[class] >> 4) + (uint32_t)tc->room[class];

		if (list_is_empty(tc, class))
			continue;
		if (tc->seen[class] == now) {
			flush_class(tc, class);
			forget_more(tc, class);
		}
		tc->seen[class] = now;
	}
	if (unlikely(slab_nodes))
		tcache_flush_remote(tc);
}

static always_inline int list_room(const struct tcache *tc, unsigned int class)
{
	return READ_ONCE(tc->state) == TCACHE_ASIDE ? READ_ONCE(tc->aside->room[class]) : READ_ONCE(tc->room[class]);
}

__attribute__((__no_sanitize_thread__)) unsigned long tcache_nr_cached(const struct tcache *tc, unsigned int class)
{
	const struct remote_chain *r = &tc->remote[class % REMOTE_CHAINS];
	int in_list = (int)READ_ONCE(tc->cap[class]) - list_room(tc, class);
	unsigned long nr = in_list > 0 ? (unsigned long)in_list : 0;

	if (class < FIRST_RUN_CLASS && READ_ONCE(tc->spare[class]))
		nr += READ_ONCE(tc->spare_nr[class]);
	if (READ_ONCE(r->head) && READ_ONCE(r->class) == class)
		nr += READ_ONCE(r->nr);
	return nr;
}

/* Pages' worth in this thread's lists; how many of them come free is seen when they are brought home. */
static unsigned long count_lists(int nid)
{
	unsigned long bytes = 0;
	unsigned int class;

	(void)nid;
	if (tcache.state != TCACHE_ACTIVE && tcache.state != TCACHE_ASIDE)
		return 0;
	for (class = 1; class < NR_CLASSES; class++)
		bytes += tcache_nr_cached(&tcache, class) * class_size(class);
	return bytes >> PAGE_SHIFT;
}

static unsigned long scan_lists(int nid, unsigned long nr_pages)
{
	unsigned long before = nr_slab_pages();

	(void)nid;
	(void)nr_pages;
	tcache_flush();
	return before - min_ul(before, nr_slab_pages());
}

void tcache_init(void)
{
	static struct shrinker shrinker = { .name = "tcache", .count = count_lists, .scan = scan_lists };

	register_shrinker(&shrinker);
	failslab_hook = tcache_close_all;
	kswapd_idle_work = tcache_idle_work;
	mm_drop_kept = magazines_drop_large;
}

/* Close or open this thread's lists, as failslab wants it; true if they are open. */
cold bool tcache_follow_failslab(struct tcache *tc)
{
	bool close = READ_ONCE(failslab_enabled);

	if (close && (tc->state == TCACHE_ACTIVE || tc->state == TCACHE_ASIDE) && !tc->aside_in_use) {
		tcache_flush();
		tc->state = TCACHE_CLOSED;
		tcache_close_lists(tc);
	} else if (!close && tc->state == TCACHE_CLOSED && !current->inside) {
		tc->state = TCACHE_ACTIVE;
		open_lists(tc);
	}
	return tc->state == TCACHE_ACTIVE;
}

cold void tcache_set_view(struct tcache *tc)
{
	bool of_node = slab_nodes && tc->nid && tc->nid != TCACHE_ALL_NODES;

	tc->class_map = of_node ? node_class_map(tc->nid - 1) : vmemmap.class;
	tc->nr_pages = smp_load_acquire(&vmemmap.nr_pages);
}

cold void tcache_enter_slow(void)
{
	struct tcache *tc = &tcache;

	tcache_note();
	if (tc->state != TCACHE_FREED) /* what that allocated has brought us here already */
		return;
	/* Before anything that might allocate. What shrinkers free on kswapd is for others. */
	tc->state = annotate_listening || current->flags & PF_KSWAPD ? TCACHE_OFF : TCACHE_ACTIVE;
	if (tc->state == TCACHE_OFF)
		return;
	open_lists(tc);
	tcache_register(tc);
	if (unlikely(slab_nodes))
		tcache_follow_node(tc);
	if (unlikely(READ_ONCE(failslab_enabled)))
		tcache_follow_failslab(tc);
}

/* False if this thread must do without lists. */
static always_inline bool tcache_ready(struct tcache *tc)
{
	tcache_enter();
	if (unlikely(tc->state != TCACHE_ACTIVE || READ_ONCE(failslab_enabled)))
		return tcache_follow_failslab(tc);
	return true;
}

static void age_all(void)
{
	uint32_t decay = (uint32_t)READ_ONCE(tunables.dirty_decay);

	magazines_age();
	exact_lists_age();
	WRITE_ONCE(mm_unused_pages, slab_unused_pages());
	if (unlikely(kswapd_welcome()))
		kswapd_note_dirty(mm_dirty_bytes() + READ_ONCE(mm_kept_bytes));
	registry_age(decay);
	if (decay) {
		drain_idle_pages(decay);
		zones_decay(decay);
		arena_purge(~0UL, decay, false);
	}
}

/* Magazines are nobody's: whichever thread first sees that it is time ages them. */
void tcache_age_if_due(void)
{
	static uint32_t last;
	uint32_t now = (uint32_t)os_clock_ms(), then = READ_ONCE(last);

	if (now - then >= AGE_MS && try_cmpxchg(&last, then, now))
		age_all();
}

void tcache_idle_work(void)
{
	uint32_t decay = (uint32_t)READ_ONCE(tunables.dirty_decay);

	if (decay)
		slabs_age(decay);
	tcache_age_if_due();
}

noinline void tcache_look(struct tcache *tc)
{
	tc->ticks = 0;
	flush_idle(tc);
	tcache_age_if_due();
	mems_allowed_poll();
}

static always_inline void *alloc_uncached(unsigned int class)
{
	struct object *obj = NULL;
	bool zeroed;

	if (class >= FIRST_RUN_CLASS)
		return run_alloc(class, 0, &zeroed);
	return slab_alloc_bulk(&kmem_caches[class], 1, &obj) ? obj : NULL;
}

/* Hang a chain of nr objects in as the list. */
static void set_list(struct tcache *tc, unsigned int class, struct object *chain, unsigned int nr)
{
	if (nr > tc->cap[class])
		tc->cap[class] = (uint16_t)nr;
	tc->head[class] = chain;
	tc->room[class] = (int32_t)(tc->cap[class] - nr);
}

/* What others had put there: see slab_alloc_bulk_node. */
static cold void take_charges(struct object *chain)
{
	unsigned long index;
	size_t offset;

	for (; chain; chain = chain->next)
		owner_take_charge(slab_of(chain, &index, &offset));
}

/* It allocates again: with a list as small as it got each few objects would be asked for. */
static void restore_cap(struct tcache *tc, unsigned int class)
{
	tc->room[class] += tc->usual_cap[class] - tc->cap[class];
	tc->cap[class] = tc->usual_cap[class];
	tc->usual_cap[class] = 0;
}

/* Objects to ask for: where a list runs dry again, a page's worth at least, for the rest of its page is there anyway. */
static unsigned int refill(const struct tcache *tc, unsigned int class)
{
	unsigned int cap = tc->cap[class], page = (unsigned int)(PAGE_SIZE / class_size(class));

	return tc->overflows[class] == OVERFLOWS_DRY && page > cap ? page : cap;
}

cold void *tcache_alloc_slow(unsigned int class)
{
	struct tcache *tc = &tcache;
	struct kmem_cache *cache;
	struct object *chain;
	unsigned int nr;
	int nid = 0;

	if (!tcache_ready(tc))
		return tc->state == TCACHE_ASIDE ? tcache_alloc_aside(tc, class) : alloc_uncached(class);
	if (unlikely(READ_ONCE(kswapd_wanted)))
		kswapd_start_wanted();
	if (unlikely(slab_nodes))
		nid = tcache_alloc_node(tc, class);
	if (class >= FIRST_RUN_CLASS)
		return alloc_uncached(class);
	tcache_tick(tc);
	cache = &kmem_caches[class];
	if (tc->spare[class]) {
		chain = tc->spare[class];
		tc->spare[class] = NULL;
		nr = tc->spare_nr[class];
	} else {
		if (tc->usual_cap[class])
			restore_cap(tc, class);
		chain = magazine_get(cache, nid, tc, &nr);
		if (chain && unlikely(READ_ONCE(owner_accounting)) && READ_ONCE(nr_heap_threads) > 1)
			take_charges(chain);
		if (!chain)
			nr = slab_alloc_bulk_node(cache, nid, refill(tc, class), &chain);
		if (!nr)
			return NULL;
		if (unlikely(slab_nodes))
			tcache_note_node(tc, chain, nid);
	}
	/* While pages were sought a shrinker may have run here, and freed. */
	if (unlikely(tc->head[class]))
		flush_class(tc, class);
	tc->overflows[class] = OVERFLOWS_DRY;
	set_list(tc, class, chain->next, nr - 1);
	return chain;
}

static void push(struct tcache *tc, unsigned int class, struct object *obj)
{
	obj->next = tc->head[class];
	tc->head[class] = obj;
	tc->room[class]--;
}

static void grow_cap(struct tcache *tc, unsigned int class, unsigned int max)
{
	unsigned int cap = tc->cap[class];

	tc->cap[class] = (uint16_t)min_ul(max_ul(cap * 2, 1), max);
	tc->room[class] += tc->cap[class] - (int)cap;
}

/* Of the objects freed last, does every other one begin another page? Then misses would make a whole list's way long. */
static bool is_scattered(const struct object *obj)
{
	unsigned int i, pages = 0;

	for (i = 0; i < SAMPLE && obj->next; i++, obj = obj->next)
		pages += addr_to_pfn(obj) != addr_to_pfn(obj->next);
	return pages >= SAMPLE / 2;
}

/* The first of a chain go home; how many. */
static unsigned int shed(struct object **chain, unsigned int held, unsigned int class)
{
	unsigned int nr = (unsigned int)min_ul(held, SHED_MAX);

	*chain = slab_free_some(&kmem_caches[class], *chain, nr);
	return nr;
}

/* The list is full: it becomes the spare, and a spare that was there goes to the others. True: they want it. */
static bool put_list_aside(struct tcache *tc, unsigned int class)
{
	struct object *spare = tc->spare[class];
	unsigned int spare_nr = tc->spare_nr[class];

	if (spare && thread_is_alone() && !cache_is_large(&kmem_caches[class]) &&
	    !magazine_wanted(&kmem_caches[class], tc) && is_scattered(tc->head[class])) {
		tc->room[class] = (int32_t)shed(&tc->head[class], tc->cap[class], class);
		return false;
	}
	if (unlikely(slab_nodes) && tcache_drop_foreign(tc, class))
		return false;
	tc->spare[class] = tc->head[class];
	tc->spare_nr[class] = tc->cap[class];
	tc->head[class] = NULL;
	tc->room[class] = tc->cap[class];
	return spare && magazine_put(&kmem_caches[class], tc, spare, spare_nr);
}

/* Who does nothing but free has no use for a spare: it goes to the others, too, if they want it. */
static bool hand_spare_over(struct tcache *tc, unsigned int class)
{
	struct object *spare = tc->spare[class];

	if (!spare || tc->overflows[class] < OVERFLOWS_MOST || !magazine_wanted(&kmem_caches[class], tc))
		return false;
	tc->spare[class] = NULL;
	return magazine_put(&kmem_caches[class], tc, spare, tc->spare_nr[class]);
}

static unsigned int least_cap(unsigned int class)
{
	return class_size(class) <= 1 * KiB ? SPARSE_CAP : 1;
}

/* What is cached of a class whose slabs are mostly free pins them: let it go, and cache less until it allocates. */
static void shrink_list(struct tcache *tc, unsigned int class)
{
	unsigned long least = max_ul(least_cap(class), READ_ONCE(kmem_caches[class].nr_slabs) / SPARSE_SHARE);

	if (!tc->usual_cap[class])
		tc->usual_cap[class] = tc->cap[class];
	if (tc->cap[class] > least)
		tc->cap[class] /= 2;
	flush_class(tc, class);
	magazines_drop(&kmem_caches[class]);
}

/* Does the only thread cache a good part of what is left of the class, which it has not asked for again lately? */
static bool outgrows_use(const struct tcache *tc, unsigned int class)
{
	const struct kmem_cache *cache = &kmem_caches[class];
	unsigned long cached = tc->cap[class] + (tc->spare[class] ? tc->spare_nr[class] : 0UL);

	return READ_ONCE(nr_heap_threads) < 2 && !READ_ONCE(cache->own_limit) &&
	       cached > READ_ONCE(cache->nr_active) / CACHED_SHARE;
}

/* If this free was the last call, what is cached pins slabs for good. So of a full list and the spare some go home, and
 * until the thread allocates it caches less. */
static void recede(struct tcache *tc, unsigned int class)
{
	unsigned int cap = tc->cap[class], nr = shed(&tc->head[class], cap, class), more = 0;

	if (tc->spare[class])
		more = shed(&tc->spare[class], tc->spare_nr[class], class);
	tc->spare_nr[class] -= (uint16_t)more;
	magazine_note_shed(&kmem_caches[class], nr + more);
	if (!tc->usual_cap[class])
		tc->usual_cap[class] = (uint16_t)cap;
	tc->cap[class] = (uint16_t)max_ul(cap - nr / 2, least_cap(class));
	tc->room[class] = (int32_t)(tc->cap[class] - (cap - nr));
}

/* Make room in a full list of slab objects. */
static void make_room(struct tcache *tc, unsigned int class)
{
	unsigned int max = max_cap(class);
	bool missed = tc->overflows[class] == OVERFLOWS_DRY;

	tc->overflows[class] = missed ? 0 : (uint8_t)min_ul(tc->overflows[class] + 1UL, OVERFLOWS_MOST);
	if (cache_is_sparse(&kmem_caches[class])) {
		shrink_list(tc, class);
	} else if (!missed && outgrows_use(tc, class)) {
		recede(tc, class);
	} else if (missed && tc->cap[class] < max) {
		grow_cap(tc, class, max);
	} else {
		bool wanted = put_list_aside(tc, class);

		if (!missed)
			wanted |= hand_spare_over(tc, class);
		max = (unsigned int)(WANTED_BYTES / class_size(class));
		if (wanted && tc->cap[class] < max)
			grow_cap(tc, class, max);
	}
}

/* A list of runs is full. */
static void grow_runs(struct tcache *tc, unsigned int class)
{
	unsigned int cap = tc->cap[class];
	size_t size = class_size(class);

	if (cap < max_cap(class)) {
		grow_cap(tc, class, max_cap(class));
	} else if (READ_ONCE(exact_lists.more) && tc->more_runs + size <= RUN_MORE_BYTES) {
		tc->more_runs += (uint32_t)size;
		grow_cap(tc, class, cap + 1);
	}
}

cold void tcache_free_slow(void *addr, unsigned int class)
{
	struct tcache *tc = &tcache;
	struct object *obj = addr;

	tcache_note();
	if ((tc->state == TCACHE_FREED && ++tc->ticks < FREES_UNLISTED) || !tcache_ready(tc)) {
		if (tc->state == TCACHE_ASIDE) {
			tcache_free_aside(tc, obj, class);
			return;
		}
		obj->next = NULL;
		free_chain(obj, class);
		return;
	}
	tcache_tick(tc);
	if (unlikely(slab_nodes) && tcache_moved_away(tc, obj)) {
		tcache_free_remote(obj);
		return;
	}
	if (unlikely(tc->room[class] < 0)) /* tcache_close_all, and that is over already */
		flush_class(tc, class);
	if (tc->room[class] > 0) { /* this was the thread's first call */
		push(tc, class, obj);
		return;
	}
	if (class < FIRST_RUN_CLASS)
		make_room(tc, class);
	else
		grow_runs(tc, class);
	if (tc->room[class] > 0)
		push(tc, class, obj);
	else
		run_free(obj);
}

void tcache_free_unlisted(void *addr)
{
	struct tcache *tc = &tcache;

	tcache_note();
	if (likely(tc->state == TCACHE_ACTIVE))
		tcache_tick(tc);
	run_free(addr);
}
