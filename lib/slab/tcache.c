/* SPDX-License-Identifier: MIT */
/*
 * Slow paths of the thread caches but for frees into full lists (tcache_free.c): how lists begin, are filled, and go
 * home.
 *
 * Now and then lists that nobody touched since the last look are brought home, so that a phase of the program does not
 * keep its blocks for ever.
 */
#include "slab/tcache.h"

#include <string.h>

#include "base/annotate.h"
#include "base/tunables.h"
#include "mm/arena.h"
#include "mm/balance.h"
#include "mm/current.h"
#include "mm/exact.h"
#include "mm/kswapd.h"
#include "mm/mempolicy.h"
#include "mm/owner.h"
#include "mm/pcp.h"
#include "mm/pressure.h"
#include "mm/vmscan.h"
#include "os/os.h"
#include "slab/run.h"
#include "slab/slabinfo.h"
#include "slab/tcache_inner.h"

#define AGE_MS 100

thread_local_var struct tcache tcache;

void tcache_free_chain(struct object *chain, unsigned int class)
{
	if (class < FIRST_RUN_CLASS)
		slab_free_bulk(&kmem_caches[class], chain);
	else
		run_free_chain(chain, class);
}

void flush_class(struct tcache *tc, unsigned int class)
{
	struct object *chain = tc->head[class], *spare = NULL;

	if (class < FIRST_RUN_CLASS) {
		tc->cap[class] -= (uint16_t)spare_room(tc, class);
		spare = take_spare(tc, class);
	}
	tc->head[class] = NULL;
	tc->room[class] = tc->cap[class];
	if (chain)
		tcache_free_chain(chain, class);
	if (spare)
		tcache_free_chain(spare, class);
}

noinline void split_list(struct tcache *tc, unsigned int class)
{
	unsigned int held = tc->cap[class] - (unsigned int)tc->room[class];
	unsigned int left = tc->cap[class] - tc->spare_nr[class], i;
	struct object *last = tc->head[class];

	tc->cap[class] = (uint16_t)left;
	tc->spare_nr[class] = 0;
	tc->room[class] = (int32_t)(left - min_ul(left, held));
	if (held <= left)
		return;
	for (i = 1; i < left && last->next; i++)
		last = last->next;
	tc->spare[class] = last->next;
	tc->spare_nr[class] = (uint16_t)(last->next ? held - left : 0);
	last->next = NULL;
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
	int32_t room = READ_ONCE(tc->room[class]);

	/* Else whoever takes it would have a list of twice the length, and leave one of twice that. */
	if (room >= 0 && class < FIRST_RUN_CLASS && spare_room(tc, class)) {
		split_list(tc, class);
		room = READ_ONCE(tc->room[class]);
	}
	if (leave_chain(class, tc->spare[class], tc->spare_nr[class]))
		take_spare(tc, class);
	/* Else tcache_close_all has been here, and nobody knows how many there are. */
	if (room >= 0 && leave_chain(class, tc->head[class], tc->cap[class] - (unsigned int)room)) {
		tc->head[class] = NULL;
		tc->room[class] = tc->cap[class];
	}
}

static void empty_lists(bool ending)
{
	bool borrowed = tcache_borrow_lists(&tcache);
	unsigned int class;

	if (tcache.state == TCACHE_ACTIVE)
		for (class = 1; class < NR_CLASSES; class ++) {
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
	__builtin_memset(tc->spare_nr, 0, sizeof(tc->spare_nr));
	tc->more_runs = tc->more_shared = tc->more_small = 0;
}

static void open_lists(struct tcache *tc)
{
	unsigned int class;

	tc->ticks = 0;
	tcache_close_lists(tc);
	/* Of a class that it has never taken a thread is one that only frees. */
	__builtin_memset(tc->overflows, OVERFLOWS_MOST, sizeof(tc->overflows));
	for (class = 1; class < FIRST_RUN_CLASS; class ++) {
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

/* Another when the list was used, but for chance. The addresses of large objects differ in their upper bits alone. */
static always_inline uint16_t list_mark(const struct tcache *tc, unsigned int class)
{
	uint32_t head = (uint32_t)((uintptr_t)tc->head[class] >> 4);

	return (uint16_t)(head + (head >> 16) + (uint32_t)tc->room[class]);
}

/* Lists that are as they were at the last look go home, and what they had of the room that lists share is for others.
 */
static void flush_idle(struct tcache *tc)
{
	unsigned int class;

	tc->more_shared = tc->more_small = 0;
	for (class = 1; class < NR_CLASSES; class ++) {
		uint32_t more = class < FIRST_RUN_CLASS ? shared_bytes(tc, class) : 0;
		uint16_t now;

		if (list_is_empty(tc, class) && !more)
			continue;
		now = list_mark(tc, class);
		if (tc->seen[class] == now) {
			flush_class(tc, class);
			forget_more(tc, class);
		} else if (more) {
			*shared_more(tc, class) += more;
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
	for (class = 1; class < NR_CLASSES; class ++)
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

	if (smp_load_acquire(&vmemmap.home_maps))
		tc->class_map = home_class_map(tc->home);
	else
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
	if (READ_ONCE(vmemmap.home_maps))
		tcache_set_view(tc);
	if (unlikely(slab_nodes))
		tcache_follow_node(tc);
	if (unlikely(READ_ONCE(failslab_enabled)))
		tcache_follow_failslab(tc);
}

static void age_all(void)
{
	uint32_t decay = (uint32_t)READ_ONCE(tunables.dirty_decay);

	magazines_age();
	returns_age();
	exact_lists_age();
	WRITE_ONCE(mm_unused_pages, slab_unused_pages());
	if (unlikely(kswapd_welcome()))
		kswapd_note_dirty(mm_dirty_bytes() + READ_ONCE(mm_kept_bytes));
	registry_age(decay);
	if (decay) {
		drain_idle_pages(decay);
		if (!kswapd_welcome()) /* else it does, once there is enough to start it for */
			slabs_age(decay);
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
	if (unlikely(tc->class_map == vmemmap.class && READ_ONCE(vmemmap.home_maps)))
		tcache_set_view(tc);
	flush_idle(tc);
	tcache_age_if_due();
	mems_allowed_poll();
}

noinline void tcache_check(struct tcache *tc, bool freeing)
{
	unsigned int wait = tcache_follow_use(tc, freeing);

	if (tc->ticks >= TICKS_PER_LOOK)
		tcache_look(tc);
	tc->check = (uint32_t)min_ul(tc->ticks + wait, TICKS_PER_LOOK);
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
	if (nr > tc->cap[class]) {
		*shared_more(tc, class) += (uint32_t)((nr - tc->cap[class]) * class_size(class));
		tc->cap[class] = (uint16_t)nr;
	}
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
	tc->spare_nr[class] = 0; /* room, if any: there is no spare */
}

/* Objects to ask for: where a list runs dry again, a page's worth at least, for the rest of its page is there anyway.
 */
static unsigned int refill(const struct tcache *tc, unsigned int class)
{
	unsigned int cap = tc->cap[class] - spare_room(tc, class), page = (unsigned int)(PAGE_SIZE / class_size(class));

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
	tcache_tick(tc, false);
	cache = &kmem_caches[class];
	if (tc->spare[class]) {
		nr = tc->spare_nr[class];
		chain = take_spare(tc, class);
	} else {
		if (tc->usual_cap[class])
			restore_cap(tc, class);
		chain = returns_take(tc->home, class, &nr);
		if (!chain)
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
