/* SPDX-License-Identifier: MIT */
/*
 * Frees whose list has no room.
 *
 * A list starts small and doubles its bound when it overflows, up to MAGAZINE_BYTES, but only if it has run dry since
 * the last time, or, up to less, if other threads want what it sheds: a list that only ever overflows keeps slabs from
 * emptying and saves its thread nothing. Lists of objects that are not small grow within a bound in common, and so do
 * all where there are several threads: most of what these cache is what they only pass on. A full list becomes the
 * spare magazine; a full spare goes to the class's magazines, whole, or, of a single thread that no other has followed,
 * scattered objects, and those of who goes on freeing, go home in parts. A single thread that does nothing but free
 * caches less and less, for no look may come after it. Runs have a list only, no spare, and only the smaller ones; of
 * several threads only who takes runs keeps those that it frees. Of one of several threads a list that may not grow
 * has the spare's room rather than a spare.
 */
#include "slab/tcache_inner.h"

#include "mm/arena.h"
#include "mm/exact.h"
#include "mm/pressure.h"
#include "slab/run.h"

#define MAGAZINE_BYTES (128 * KiB)
#define MAGAZINE_SMALL_BYTES (64 * KiB) /* of small objects */
#define MAGAZINE_MAX 1024UL
/* Lists of objects above 1 KiB grow by that, beyond their first objects; of several threads all lists, by their
 * thread's part, as far as it lasts. Each may have a part of what others leave. */
#define SHARED_BYTES (1 * MiB)
#define SHARED_LEAST (32 * KiB)
#define SHARED_FEW 4   /* threads: each may have all of it */
#define SHARED_USED 16 /* or such a share of what is in use is for all threads */
#define SHARED_PART (SHARED_BYTES / MAGAZINE_BYTES)
#define SPARSE_CAP 4U		     /* of a list of small objects, most of which are free: each may pin a slab */
#define SPARSE_SHARE 64		     /* of the slabs, which such a list may pin if that is more */
#define WANTED_BYTES (16 * KiB)	     /* of a list that never runs dry, for others */
#define RUN_CACHED_BYTES (128 * KiB) /* see FIRST_UNLISTED_CLASS */
#define RUN_MORE_BYTES (1 * MiB)     /* for all classes together, while few lengths come and go */
/* For all threads, as far as it lasts: a list of runs that grows has its thread's part. Most of many threads are
 * asleep, with what they hold. */
#define RUN_THREADS_BYTES (4 * MiB)
#define RUN_THREADS_LEAST (64 * KiB) /* or one run */
#define RUN_THREADS_USED 8
#define RUN_THREADS_FEW (RUN_THREADS_BYTES / (FIRST_UNLISTED_CLASS - FIRST_RUN_CLASS) / RUN_CACHED_BYTES)
#define SHED_MAX 64U	      /* scattered objects that go home at a time where no other thread asks for them, */
#define SHED_BYTES (12 * KiB) /* or of others so much, */
#define SHED_MIN 24UL	      /* so many at least, */
#define SHED_FROM 2U	      /* once a list overflowed so often */
#define SAMPLE 8U	      /* tells whether they are */
#define CACHED_SHARE 5	      /* of what is left of a class may be cached by who does nothing but free */
#define FREES_UNLISTED 4096   /* more than an ending thread frees: libc's cache of stacks has fewer */

unsigned int max_cap(unsigned int class)
{
	size_t size = class_size(class);

	if (class >= FIRST_RUN_CLASS)
		return (unsigned int)(RUN_CACHED_BYTES / size);
	if (class_is_small(class))
		return (unsigned int)min_ul(MAGAZINE_SMALL_BYTES / size, MAGAZINE_MAX);
	return (unsigned int)(MAGAZINE_BYTES / size);
}

/* The part of one of several threads in what all of them may have: so much, or a share of what is in use if that is
 * more. */
static size_t part_of_thread(size_t bytes, unsigned int share, unsigned int threads)
{
	return max_ul(bytes, (READ_ONCE(arena_stats.used) << PAGEBLOCK_SHIFT) / share) / threads;
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

/* Bytes that a list may hold of so many threads' common room: of a single thread as much as any, if it is the only one
 * that shares it; less, as others have more. */
static size_t share_of_room(const struct tcache *tc, unsigned int class, unsigned int threads)
{
	size_t left = SHARED_BYTES, taken = tc->more_shared;

	if (threads > 1)
		taken += tc->more_small;
	if (threads > SHARED_FEW)
		left = min_ul(max_ul(part_of_thread(SHARED_BYTES, SHARED_USED, threads), SHARED_LEAST), left);
	left += shared_bytes(tc, class);
	return (left - min_ul(left, taken)) / SHARED_PART;
}

/* The list may hold twice as much, up to max. False: no more than it does. */
static noinline bool grow_list(struct tcache *tc, unsigned int class, unsigned int max)
{
	unsigned int threads = (unsigned int)max_ul(READ_ONCE(nr_heap_threads), 1), cap = tc->cap[class];
	size_t size = class_size(class);

	if (threads > 1 || !class_is_small(class)) {
		size_t share = share_of_room(tc, class, threads);

		if ((cap + 1) * size > share)
			return false;
		max = (unsigned int)min_ul(max, share / size);
	}
	if (cap >= max)
		return false;
	grow_cap(tc, class, max);
	*shared_more(tc, class) += (uint32_t)((tc->cap[class] - cap) * size);
	return true;
}

/* Of the objects freed last, does every other one begin another page? Then misses would make a whole list's way long.
 */
static bool is_scattered(const struct object *obj)
{
	unsigned int i, pages = 0;

	for (i = 0; i < SAMPLE && obj->next; i++, obj = obj->next)
		pages += addr_to_pfn(obj) != addr_to_pfn(obj->next);
	return pages >= SAMPLE / 2;
}

/*
 * Objects that go home of a full list rather than the spare, 0: none. Of scattered ones, as a whole list's way would be
 * long. Of others if the thread goes on freeing and none can wait for it: what it freed last is in the CPU's cache,
 * which the spare has left, and to walk along that is to wait for each object.
 */
static unsigned int part_of_list(const struct tcache *tc, unsigned int class)
{
	struct kmem_cache *cache = &kmem_caches[class];
	unsigned int cap = tc->cap[class];
	unsigned long nr = max_ul(SHED_BYTES / cache->size, SHED_MIN);

	if (!tc->spare[class] || !thread_is_alone() || cache_is_large(cache) || magazine_wanted(cache, tc))
		return 0;
	if (is_scattered(tc->head[class]))
		return cap;
	if (tc->overflows[class] < SHED_FROM || magazine_has_own_room(cache, tc->spare_nr[class]))
		return 0;
	nr = min_ul(nr, cap);
	magazine_note_shed(cache, cap, (unsigned int)nr);
	return (unsigned int)nr;
}

/* The list is full: it becomes the spare, and a spare that was there goes to the others. True: they want it. */
static bool put_list_aside(struct tcache *tc, unsigned int class)
{
	struct object *spare = tc->spare[class];
	unsigned int spare_nr = tc->spare_nr[class], part = part_of_list(tc, class);

	if (part) {
		part = (unsigned int)min_ul(part, SHED_MAX);
		tc->room[class] = (int32_t)shed(class, &tc->head[class], tc->cap[class], part);
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

/*
 * A list that is full and runs dry in turn, and may not grow, has room for the spare's objects rather than a spare: to
 * exchange the two would be a slow call each time. A spare that is there goes to the others. False: it has a spare all
 * the same.
 */
static noinline bool take_spare_room(struct tcache *tc, unsigned int class)
{
	unsigned int cap = tc->cap[class], nr = tc->spare_nr[class];
	struct object *spare;

	if (READ_ONCE(nr_heap_threads) < 2 || slab_nodes)
		return false;
	spare = take_spare(tc, class);
	tc->spare_nr[class] = (uint16_t)cap;
	tc->cap[class] += (uint16_t)cap;
	tc->room[class] += (int32_t)cap;
	if (spare)
		magazine_put(&kmem_caches[class], tc, spare, nr);
	return true;
}

/* Who does nothing but free has no use for a spare: it goes to the others, too, if they want it. */
static bool hand_spare_over(struct tcache *tc, unsigned int class)
{
	unsigned int nr;

	if (!tc->spare[class] || tc->overflows[class] < OVERFLOWS_MOST || !magazine_wanted(&kmem_caches[class], tc))
		return false;
	nr = tc->spare_nr[class];
	return magazine_put(&kmem_caches[class], tc, take_spare(tc, class), nr);
}

static unsigned int least_cap(unsigned int class)
{
	return class_is_small(class) ? SPARSE_CAP : 1;
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
	unsigned int cap = tc->cap[class], nr = shed(class, &tc->head[class], cap, SHED_MAX), more = 0;

	if (tc->spare[class])
		more = shed(class, &tc->spare[class], tc->spare_nr[class], SHED_MAX);
	tc->spare_nr[class] -= (uint16_t)more;
	if (cache_is_large(&kmem_caches[class]))
		magazine_note_shed(&kmem_caches[class], cap, nr + more);
	if (!tc->usual_cap[class])
		tc->usual_cap[class] = (uint16_t)cap;
	tc->cap[class] = (uint16_t)max_ul(cap - nr / 2, least_cap(class));
	tc->room[class] = (int32_t)(tc->cap[class] - (cap - nr));
}

/* The list is full; one that others want may grow for them. */
static void make_spare(struct tcache *tc, unsigned int class, bool missed)
{
	bool wanted = put_list_aside(tc, class);

	if (!missed)
		wanted |= hand_spare_over(tc, class);
	if (wanted && tc->cap[class] < WANTED_BYTES / class_size(class))
		grow_list(tc, class, (unsigned int)(WANTED_BYTES / class_size(class)));
}

/* Make room in a full list of slab objects. */
static void make_room(struct tcache *tc, unsigned int class)
{
	unsigned int max = max_cap(class);
	bool missed = tc->overflows[class] == OVERFLOWS_DRY;

	if (unlikely(spare_room(tc, class)))
		split_list(tc, class);
	tc->overflows[class] = missed ? 0 : (uint8_t)min_ul(tc->overflows[class] + 1UL, OVERFLOWS_MOST);
	if (cache_is_sparse(&kmem_caches[class])) {
		shrink_list(tc, class);
	} else if (!missed && outgrows_use(tc, class)) {
		recede(tc, class);
	} else if (!missed || likely(tc->cap[class] >= max) ||
		   (!grow_list(tc, class, max) && !take_spare_room(tc, class))) {
		make_spare(tc, class, missed);
	}
}

/* What its lists of runs may hold; those that are empty now lose their room to the one that is full. */
static noinline size_t claim_run_room(struct tcache *tc)
{
	size_t bytes = 0;
	unsigned int class;

	for (class = FIRST_RUN_CLASS; class < FIRST_UNLISTED_CLASS; class ++) {
		if (!tc->head[class] && tc->cap[class] <= max_cap(class)) {
			tc->cap[class] = 0;
			tc->room[class] = 0;
		}
		bytes += tc->cap[class] * class_size(class);
	}
	return bytes;
}

/* As many as any thread's, but where there are many threads, each has its part. */
static bool run_fits(struct tcache *tc, unsigned int class)
{
	unsigned long threads = READ_ONCE(nr_heap_threads);
	size_t most, held;

	if (likely(threads <= RUN_THREADS_FEW))
		return true;
	most = max_ul(part_of_thread(RUN_THREADS_BYTES, RUN_THREADS_USED, (unsigned int)threads), RUN_THREADS_LEAST);
	held = claim_run_room(tc);
	return !held || held + max_ul(tc->cap[class], 1) * class_size(class) <= most;
}

/* Of several threads one that frees runs and takes none, or fewer than come, keeps those that it will not miss for
 * others, who would have new ones. */
static bool misses_runs(struct tcache *tc, unsigned int class)
{
	uint8_t *missed = &tc->runs_missed[class - FIRST_RUN_CLASS];

	if (READ_ONCE(nr_heap_threads) < 2)
		return true;
	if (!*missed)
		return false;
	--*missed;
	return true;
}

/* Many lengths come and go, and what waits in a list keeps its neighbours from joining: all of them together hold what
 * one may. */
static cold void limit_runs(struct tcache *tc, unsigned int class)
{
	unsigned int cap = tc->cap[class], most = max_cap(class);
	size_t size = class_size(class), bytes = claim_run_room(tc);

	if (bytes + size <= RUN_CACHED_BYTES) {
		grow_cap(tc, class, cap + 1);
	} else if (bytes > RUN_CACHED_BYTES) {
		if (cap > most)
			tc->more_runs -= (uint32_t)((cap - most) * size);
		tc->cap[class] = 0;
		flush_class(tc, class);
	}
}

/* A list of runs is full. */
static void grow_runs(struct tcache *tc, unsigned int class)
{
	unsigned int cap = tc->cap[class];
	size_t size = class_size(class);

	if (!misses_runs(tc, class))
		return;
	if (READ_ONCE(exact_lists.many)) {
		if (run_fits(tc, class))
			limit_runs(tc, class);
	} else if (cap < max_cap(class)) {
		if (run_fits(tc, class))
			grow_cap(tc, class, max_cap(class));
	} else if (READ_ONCE(exact_lists.more) && tc->more_runs + size <= RUN_MORE_BYTES) {
		tc->more_runs += (uint32_t)size;
		grow_cap(tc, class, cap + 1);
	}
}

static void free_uncached(struct object *obj, unsigned int class)
{
	obj->next = NULL;
	tcache_free_chain(obj, class);
}

cold void tcache_free_slow(void *addr, unsigned int class)
{
	struct tcache *tc = &tcache;
	struct object *obj = addr;
	int32_t room;

	tcache_note();
	if ((tc->state == TCACHE_FREED && ++tc->ticks < FREES_UNLISTED) || !tcache_ready(tc)) {
		if (tc->state == TCACHE_ASIDE) {
			tcache_free_aside(tc, obj, class);
			return;
		}
		free_uncached(obj, class);
		return;
	}
	tcache_tick(tc, true);
	if (unlikely(slab_nodes) && tcache_moved_away(tc, obj)) {
		tcache_free_remote(obj);
		return;
	}
	room = READ_ONCE(tc->room[class]); /* tcache_close_all may come at any time */
	if (unlikely(room < 0)) {	   /* it has, and that is over already */
		flush_class(tc, class);
		room = tc->cap[class];
	}
	if (!room) { /* else this was the thread's first call */
		if (class < FIRST_RUN_CLASS)
			make_room(tc, class);
		else
			grow_runs(tc, class);
		room = READ_ONCE(tc->room[class]);
	}
	if (room > 0)
		push(tc, class, obj);
	else if (class >= FIRST_RUN_CLASS)
		run_free(obj);
	else
		free_uncached(obj, class);
}

void tcache_free_unlisted(void *addr)
{
	struct tcache *tc = &tcache;

	tcache_note();
	if (likely(tc->state == TCACHE_ACTIVE))
		tcache_tick(tc, true);
	run_free(addr);
}
