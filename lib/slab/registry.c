/* SPDX-License-Identifier: MIT */
/*
 * The threads that use the heap: their caches are on a list, which each leaves when it ends. A process of one thread is
 * spared what only several need: that is made when the second one comes.
 */
#include <pthread.h>

#include "base/annotate.h"
#include "base/tunables.h"
#include "mm/arena.h"
#include "mm/balance.h"
#include "mm/budget.h"
#include "mm/kswapd.h"
#include "mm/owner.h"
#include "mm/pressure.h"
#include "os/os.h"
#include "slab/tcache.h"

#define QUIESCE_MIN (128 * KiB)
#define QUIESCE_SHARE 32
#define KEEP_SHARE 8
#define MISSED_SHARE 3 /* times dirty_max */

static struct {
	struct mutex lock;
	struct tcache *threads;	 /* nr_heap_threads of them */
	unsigned long seen;	 /* threads that ever came */
	void (*on_second)(void); /* called when a second one does, or is expected; NULL: it has been */
	struct tcache_aside *asides;
	pthread_key_t key;
	bool have_key;
} registry = { .lock = MUTEX_INIT(RANK_THREADS) };

void tcache_on_second_thread(void (*call)(void))
{
	registry.on_second = call;
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

void tcache_register(struct tcache *tc)
{
	bool threaded = READ_ONCE(registry.seen) >= 2;

	mutex_lock(&registry.lock);
	tc->prev = NULL;
	tc->next = registry.threads;
	if (tc->next)
		tc->next->prev = tc;
	registry.threads = tc;
	ADD_ONCE(nr_heap_threads, 1);
	if (threaded) {
		tc->home = (uint8_t)slab_home_enter();
		make_key();
	}
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
	slab_home_leave(tc->home);
	left = nr_heap_threads;
	if (tc->aside) {
		tc->aside->next = registry.asides;
		registry.asides = tc->aside;
		tc->aside = NULL;
	}
	mutex_unlock(&registry.lock);
	return left;
}

static uint32_t last_quiesced; /* ms; 0: not yet */

/* Of ends in a row, in bytes. Races are harmless. */
static struct {
	size_t went, left; /* at the last one; the latter counts only where something went */
	size_t missed;	   /* so much that went was dirty again at the next */
} ends;

/* What threads that follow find dirty; so much is now. What went and was wanted again may stay: of that at these ends,
 * and of what frees gave back meanwhile. */
static size_t most_to_leave(size_t dirty)
{
	size_t most = READ_ONCE(tunables.dirty_max), left = READ_ONCE(ends.left), missed = READ_ONCE(ends.missed);

	missed += min_ul(READ_ONCE(ends.went), dirty - min_ul(dirty, left));
	missed = min_ul(missed, most * MISSED_SHARE);
	WRITE_ONCE(ends.missed, missed);
	missed = min_ul(missed + (arena_regrets() << PAGEBLOCK_SHIFT), most * MISSED_SHARE);
	return min_ul(READ_ONCE(arena_stats.used_peak) << PAGEBLOCK_SHIFT, most + missed);
}

static void trim_at_end(size_t keep)
{
	WRITE_ONCE(ends.went, mm_trim(keep));
	WRITE_ONCE(ends.left, mm_dirty_bytes());
}

/*
 * The last thread but one ends: what threads exchanged, and what they used, is not needed any more, unless others are
 * about to start. So it is not done for little; and where ends follow each other, as much stays dirty as was ever in
 * use, within bounds. What lies in lists of pages goes home even so: it is seldom what the next threads ask for first,
 * and more would be resident after each of them.
 */
static void quiesce(void)
{
	uint32_t now = (uint32_t)os_clock_ms(), before = READ_ONCE(last_quiesced);
	bool in_a_row = before && now - before < READ_ONCE(tunables.dirty_decay) && !READ_ONCE(limits_in_force);
	size_t keep = 0;

	WRITE_ONCE(last_quiesced, now + !now); /* 0: there was none */
	WRITE_ONCE(threads_follow, in_a_row);
	if (in_a_row) {
		keep = most_to_leave(mm_dirty_bytes());
	} else {
		slab_reclaim();
		WRITE_ONCE(ends.missed, 0);
	}
	WRITE_ONCE(ends.went, 0);
	if (mm_dirty_bytes() < QUIESCE_MIN + mm_used_bytes() / QUIESCE_SHARE + keep / KEEP_SHARE)
		return;
	if (in_a_row)
		slab_reclaim();
	trim_at_end(keep);
}

void registry_age(uint32_t decay)
{
	if (unlikely(READ_ONCE(threads_follow)) && (uint32_t)os_clock_ms() - READ_ONCE(last_quiesced) >= decay)
		WRITE_ONCE(threads_follow, false);
}

void tcache_exit(void)
{
	tcache.exit_known = false;
	owner_exit_thread();
	if (tcache.state < TCACHE_ACTIVE || tcache.state == TCACHE_OFF)
		return;
	tcache_follow_owner();
	tcache_leave_lists();
	/* A short one has looked at nothing. */
	tcache_age_if_due();
	/* What later destructors allocate and free passes by. */
	tcache.state = TCACHE_OFF;
	tcache_close_lists(&tcache);
	if (unregister_thread(&tcache) <= 1) {
		quiesce();
		kswapd_threads_ended();
	} else if (unlikely(READ_ONCE(kswapd_wanted))) {
		/* Those who are left may free all that they have, and never allocate again. */
		kswapd_start_wanted();
	}
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
		for (class = 1; tc != &tcache && class < NR_CLASSES; class ++)
			WRITE_ONCE(tc->room[class], ROOM_LOST);
	mutex_unlock(&registry.lock);
}

/* Other threads change these words without a lock: the figures are torn, and meant to be. */
__attribute__((__no_sanitize_thread__)) unsigned long tcache_cached(unsigned int class)
{
	const struct tcache *tc;
	unsigned long nr = 0;

	if (!mutex_trylock(&registry.lock)) /* a report may be asked for in a signal handler */
		return 0;
	for (tc = registry.threads; tc; tc = tc->next)
		nr += tcache_nr_cached(tc, class);
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
	slab_homes_reinit_after_fork(tcache.home);
	tcache.next = tcache.prev = NULL;
	mutex_reinit_after_fork(&registry.lock);
}
