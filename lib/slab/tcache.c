/* SPDX-License-Identifier: MIT */
/*
 * Slow paths of the thread caches.
 *
 * A list starts small and doubles its bound when it overflows, up to MAGAZINE_BYTES, but only if it has run dry since
 * the last time, or other threads want what it sheds: a list that only ever overflows would keep slabs from emptying
 * and save nothing. A full list becomes the spare magazine; a full spare goes to the class's magazines, whole. Now and
 * then lists that nobody touched since the last look are brought home, so that a phase of the program does not keep
 * its blocks for ever. Runs have a list only, no spare, and only the smaller ones.
 */
#include "slab/tcache.h"

#include <pthread.h>
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
#define MAGAZINE_MAX 256UL
#define RUN_CACHED_BYTES (128 * KiB) /* see FIRST_UNLISTED_CLASS */
#define RUN_MORE_BYTES (1 * MiB) /* for all classes together, while few lengths come and go */
#define FIRST_CAP_BYTES 1024UL
#define AGE_MS 100
#define FREES_UNLISTED 4096 /* more than an ending thread frees: libc's cache of stacks has fewer */
#define QUIESCE_MIN (128 * KiB)
#define QUIESCE_SHARE 32

thread_local_var struct tcache tcache;

static struct {
	struct mutex lock;
	struct tcache *threads;	 /* nr_heap_threads of them */
	unsigned long seen;	 /* threads that ever came */
	void (*on_second)(void); /* called when a second one does, or is expected; NULL: it has been */
	struct tcache_aside *asides;
	pthread_key_t key;
	bool have_key;
} registry = { .lock = MUTEX_INIT(RANK_THREADS) };

static void age_if_due(void);

static unsigned int first_cap(unsigned int class)
{
	return (unsigned int)max_ul(FIRST_CAP_BYTES / class_size(class), 1);
}

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
	if (class < FIRST_RUN_CLASS) {
		slab_free_bulk(&kmem_caches[class], chain);
		return;
	}
	while (chain) {
		struct object *run = chain;

		chain = run->next;
		run_free(run);
	}
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

void tcache_flush(void)
{
	bool borrowed = tcache_borrow_lists(&tcache);
	unsigned int class;

	if (tcache.state == TCACHE_ACTIVE)
		for (class = 1; class < NR_CLASSES; class++)
			flush_class(&tcache, class);
	if (borrowed)
		tcache_return_lists(&tcache);
	if (unlikely(slab_nodes))
		tcache_flush_remote(&tcache);
}

/* Room for nothing: with empty lists, every call comes to the slow functions. */
void tcache_close_lists(struct tcache *tc)
{
	__builtin_memset(tc->room, 0, sizeof(tc->room));
	__builtin_memset(tc->cap, 0, sizeof(tc->cap));
	tc->more_runs = 0;
}

static void open_lists(struct tcache *tc)
{
	unsigned int class;

	tc->ticks = 0;
	__builtin_memset(tc->cap, 0, sizeof(tc->cap));
	for (class = 1; class < FIRST_RUN_CLASS; class++)
		tc->cap[class] = (uint16_t)first_cap(class);
	for (class = 1; class < NR_CLASSES; class++)
		tc->room[class] = tc->cap[class];
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

		if (!tc->head[class] && (class >= FIRST_RUN_CLASS || !tc->spare[class]))
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

static void thread_destructor(void *arg)
{
	(void)arg;
	tcache_exit();
}

/* The lock is held. */
static void make_key(void)
{
	if (!registry.have_key)
		registry.have_key = !pthread_key_create(&registry.key, thread_destructor);
}

/* Put the cache on the list; from the second thread on there is a key whose destructor takes it off again. */
static void register_thread(struct tcache *tc, bool threaded)
{
	mutex_lock(&registry.lock);
	tc->prev = NULL;
	tc->next = registry.threads;
	if (tc->next)
		tc->next->prev = tc;
	registry.threads = tc;
	ADD_ONCE(nr_heap_threads, 1);
	if (threaded)
		make_key();
	mutex_unlock(&registry.lock);
	if (threaded && registry.have_key)
		tc->exit_known = !pthread_setspecific(registry.key, tc);
}

/* Caches that are left. */
static unsigned long unregister_thread(struct tcache *tc)
{
	unsigned long left;

	mutex_lock(&registry.lock);
	if (tc->prev)
		tc->prev->next = tc->next;
	else
		registry.threads = tc->next;
	if (tc->next)
		tc->next->prev = tc->prev;
	ADD_ONCE(nr_heap_threads, -1);
	left = nr_heap_threads;
	if (tc->aside) {
		tc->aside->next = registry.asides;
		registry.asides = tc->aside;
		tc->aside = NULL;
	}
	mutex_unlock(&registry.lock);
	return left;
}

/*
 * The last thread but one ends: what threads exchanged, and what they used, is not needed any more, unless others are
 * about to start. So it is not done for little; and where ends follow each other, as much stays as the first one left.
 */
static void quiesce(void)
{
	static uint32_t last;
	static size_t left;
	uint32_t now = (uint32_t)os_clock_ms();
	size_t dirty, keep = 0;

	slab_reclaim();
	dirty = mm_dirty_bytes();
	if (now - READ_ONCE(last) < AGE_MS && !READ_ONCE(limits_in_force))
		keep = min_ul(READ_ONCE(left), READ_ONCE(tunables.dirty_max));
	else
		WRITE_ONCE(left, dirty);
	WRITE_ONCE(last, now);
	if (dirty >= keep + QUIESCE_MIN + mm_used_bytes() / QUIESCE_SHARE)
		mm_trim(keep);
}

void tcache_exit(void)
{
	tcache.exit_known = false;
	owner_exit_thread();
	if (tcache.state < TCACHE_ACTIVE || tcache.state == TCACHE_OFF)
		return;
	tcache_follow_owner();
	tcache_flush();
	/* What later destructors allocate and free passes by. */
	tcache.state = TCACHE_OFF;
	tcache_close_lists(&tcache);
	if (unregister_thread(&tcache) <= 1)
		quiesce();
}

struct tcache_aside *tcache_left_aside(void)
{
	struct tcache_aside *aside;

	mutex_lock(&registry.lock);
	aside = registry.asides;
	if (aside)
		registry.asides = aside->next;
	mutex_unlock(&registry.lock);
	return aside;
}

static always_inline int list_room(const struct tcache *tc, unsigned int class)
{
	return READ_ONCE(tc->state) == TCACHE_ASIDE ? READ_ONCE(tc->aside->room[class]) : READ_ONCE(tc->room[class]);
}

/* Objects of the class that the thread caches; torn, if it is another. */
static always_inline unsigned long nr_cached(const struct tcache *tc, unsigned int class)
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
		bytes += nr_cached(&tcache, class) * class_size(class);
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

void tcache_init(void (*on_second_thread)(void))
{
	static struct shrinker shrinker = { .name = "tcache", .count = count_lists, .scan = scan_lists };

	register_shrinker(&shrinker);
	registry.on_second = on_second_thread;
	failslab_hook = tcache_close_all;
	kswapd_idle_work = age_if_due;
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

/* Once. */
static void tell_of_second(void)
{
	void (*tell)(void) = READ_ONCE(registry.on_second);

	if (tell && try_cmpxchg(&registry.on_second, tell, NULL))
		tell();
}

/*
 * What only a process of several threads needs is made when the second one comes: a process of one is spared the pages
 * of libc that it takes. The first thread's cache so lives as long as the process.
 */
cold void tcache_note_slow(void)
{
	tcache.state = TCACHE_FREED;
	/* Before this thread takes a lock: it is about forks. */
	if (atomic_add_return(&registry.seen, 1) >= 2)
		tell_of_second();
}

cold void tcache_set_view(struct tcache *tc)
{
	bool of_node = slab_nodes && tc->nid && tc->nid != TCACHE_ALL_NODES;

	tc->class_map = of_node ? node_class_map(tc->nid - 1) : vmemmap.class;
	tc->nr_pages = smp_load_acquire(&vmemmap.nr_pages);
}

cold void tcache_expect_threads(void)
{
	struct tcache *tc = &tcache;

	tell_of_second();
	if (tc->exit_known)
		return;
	mutex_lock(&registry.lock);
	make_key();
	mutex_unlock(&registry.lock);
	tc->exit_known = registry.have_key && !pthread_setspecific(registry.key, tc);
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
	register_thread(tc, READ_ONCE(registry.seen) >= 2);
	if (unlikely(slab_nodes))
		tcache_follow_node(tc);
	if (unlikely(READ_ONCE(failslab_enabled)))
		tcache_follow_failslab(tc);
}

/* Less than any thread can count up: it keeps free() on the slow path until the thread sets its room anew. */
#define ROOM_LOST (INT32_MIN / 2)

/* A list's room is written by its own thread without care for us, so that one of these stores may be lost, with others
 * of the same thread standing; what the thread itself writes sets the room right again. */
__attribute__((__no_sanitize_thread__)) void tcache_close_all(void)
{
	struct tcache *tc;
	unsigned int class;

	tcache_follow_failslab(&tcache);
	mutex_lock(&registry.lock);
	for (tc = registry.threads; tc; tc = tc->next)
		for (class = 1; tc != &tcache && class < NR_CLASSES; class++)
			WRITE_ONCE(tc->room[class], ROOM_LOST);
	mutex_unlock(&registry.lock);
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
	if (decay) {
		drain_idle_pages(decay);
		arena_purge(~0UL, decay, false);
	}
}

/* Magazines are nobody's: whichever thread first sees that it is time ages them. */
static void age_if_due(void)
{
	static uint32_t last;
	uint32_t now = (uint32_t)os_clock_ms(), then = READ_ONCE(last);

	if (now - then >= AGE_MS && try_cmpxchg(&last, then, now))
		age_all();
}

noinline void tcache_look(struct tcache *tc)
{
	tc->ticks = 0;
	flush_idle(tc);
	age_if_due();
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

cold void *tcache_alloc_slow(unsigned int class)
{
	struct tcache *tc = &tcache;
	struct kmem_cache *cache;
	struct object *chain;
	unsigned int nr;
	int nid = 0;

	if (!tcache_ready(tc))
		return tc->state == TCACHE_ASIDE ? tcache_alloc_aside(tc, class) : alloc_uncached(class);
	if (unlikely(slab_nodes))
		nid = tcache_alloc_node(tc, class);
	if (class >= FIRST_RUN_CLASS)
		return alloc_uncached(class);
	tcache_tick(tc);
	cache = &kmem_caches[class];
	tc->missed[class] = true;
	if (tc->spare[class]) {
		chain = tc->spare[class];
		tc->spare[class] = NULL;
		nr = tc->spare_nr[class];
	} else {
		chain = magazine_get(cache, nid, tc, &nr);
		if (chain && unlikely(READ_ONCE(owner_accounting)) && READ_ONCE(nr_heap_threads) > 1)
			take_charges(chain);
		if (!chain)
			nr = slab_alloc_bulk_node(cache, nid, tc->cap[class], &chain);
		if (!nr)
			return NULL;
		if (unlikely(slab_nodes))
			tcache_note_node(tc, chain, nid);
	}
	/* While pages were sought a shrinker may have run here, and freed. */
	if (unlikely(tc->head[class]))
		flush_class(tc, class);
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

/* The list is full: it becomes the spare, and a spare that was there goes to the others. True: they want it. */
static bool put_list_aside(struct tcache *tc, unsigned int class)
{
	struct object *spare = tc->spare[class];
	unsigned int spare_nr = tc->spare_nr[class];

	if (unlikely(slab_nodes) && tcache_drop_foreign(tc, class))
		return false;
	tc->spare[class] = tc->head[class];
	tc->spare_nr[class] = tc->cap[class];
	tc->head[class] = NULL;
	tc->room[class] = tc->cap[class];
	return spare && magazine_put(&kmem_caches[class], tc->nid - 1, tc, spare, spare_nr);
}

/* What is cached of a class whose slabs are mostly free pins them: let it go, and cache less. */
static void shrink_list(struct tcache *tc, unsigned int class)
{
	if (tc->cap[class] > first_cap(class))
		tc->cap[class] /= 2;
	flush_class(tc, class);
}

/* Make room in a full list of slab objects. */
static void make_room(struct tcache *tc, unsigned int class)
{
	unsigned int max = max_cap(class);

	if (cache_is_sparse(&kmem_caches[class])) {
		shrink_list(tc, class);
	} else if (tc->missed[class] && tc->cap[class] < max) {
		tc->missed[class] = false;
		grow_cap(tc, class, max);
	} else if (put_list_aside(tc, class) && tc->cap[class] < max) {
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

/* Other threads change these words without a lock: the figures are torn, and meant to be. */
__attribute__((__no_sanitize_thread__)) unsigned long tcache_cached(unsigned int class)
{
	const struct tcache *tc;
	unsigned long nr = 0;

	if (!mutex_trylock(&registry.lock)) /* a report may be asked for in a signal handler */
		return 0;
	for (tc = registry.threads; tc; tc = tc->next)
		nr += nr_cached(tc, class);
	mutex_unlock(&registry.lock);
	return nr;
}

unsigned long tcache_threads(void)
{
	return READ_ONCE(nr_heap_threads);
}

void tcache_lock_all(void)
{
	mutex_lock(&registry.lock);
}

void tcache_unlock_all(void)
{
	mutex_unlock(&registry.lock);
}

void tcache_reinit_after_fork(void)
{
	registry.threads = tcache.state >= TCACHE_ACTIVE && tcache.state != TCACHE_OFF ? &tcache : NULL;
	nr_heap_threads = registry.threads ? 1 : 0;
	tcache.next = tcache.prev = NULL;
	mutex_reinit_after_fork(&registry.lock);
}
