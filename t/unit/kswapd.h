/* SPDX-License-Identifier: MIT */
/*
 * kswapd in a zone that has marks, with a cache to reclaim from. How fast time goes for who waits, and whether threads
 * can be made, is for the test to say.
 */
#ifndef T_UNIT_KSWAPD_H
#define T_UNIT_KSWAPD_H

#include <pthread.h>

#include "base/tunables.h"
#include "malloc/fork.h"
#include "mm/budget.h"
#include "mm/kswapd.h"
#include "mm/vmscan.h"
#include "threads.h"
#include "walk.h"

#define NR_FREE 200
#define NR_HELD 120
#define MIN 20
#define LOW 40
#define HIGH 60

/* The test says how fast time goes for who waits, and whether threads can be made. */
static unsigned int hurry = 1, waits; /* 0: it stands still */
static bool no_threads;
static int starts;
bool __real_os_futex_wait_ms(uint32_t *word, uint32_t value, unsigned int ms);
bool __wrap_os_futex_wait_ms(uint32_t *word, uint32_t value, unsigned int ms);
bool __wrap_os_futex_wait_ms(uint32_t *word, uint32_t value, unsigned int ms)
{
	atomic_add_return(&waits, 1);
	return __real_os_futex_wait_ms(word, value, READ_ONCE(hurry) ? ms / READ_ONCE(hurry) + 1 : 100000);
}
/* Whom somebody has woken. */
static unsigned int wakes;
void __real_host_futex_wake(uint32_t *word, int nr);
void __wrap_host_futex_wake(uint32_t *word, int nr);
void __wrap_host_futex_wake(uint32_t *word, int nr)
{
	atomic_add_return(&wakes, 1);
	__real_host_futex_wake(word, nr);
}
int __real_os_thread_start(void *(*fn)(void *), void *arg, size_t stack);
int __wrap_os_thread_start(void *(*fn)(void *), void *arg, size_t stack);
int __wrap_os_thread_start(void *(*fn)(void *), void *arg, size_t stack)
{
	must(current->flags & PF_MEMALLOC, "what libc allocates for it must not come back here");
	atomic_add_return(&starts, 1);
	return no_threads ? -EAGAIN : __real_os_thread_start(fn, arg, stack);
}
static uint64_t stopped; /* not 0: the clock stands still, in ms */
uint64_t __real_os_clock_ms(void);
uint64_t __wrap_os_clock_ms(void);
uint64_t __wrap_os_clock_ms(void)
{
	return READ_ONCE(stopped) ? READ_ONCE(stopped) : __real_os_clock_ms();
}

/* The limit is reached. */
unsigned long __wrap_budget_growable_pages_slow(bool reserve, bool high);
unsigned long __wrap_budget_growable_pages_slow(bool reserve, bool high)
{
	(void)reserve, (void)high;
	return 0;
}

static struct zone *zone;
static pg_data_t *pgdat;

/* A cache of the page allocator's own. */
static struct page *held[NR_FREE];
static unsigned long nr_held;
static unsigned int held_scans, held_counts;
static unsigned long boost_meanwhile; /* the marks are raised by as much, once, while it is asked */
static pthread_mutex_t held_lock = PTHREAD_MUTEX_INITIALIZER;

TAP_UNUSED unsigned long count_held(int nid)
{
	(void)nid;
	atomic_add_return(&held_counts, 1);
	return READ_ONCE(nr_held);
}
TAP_UNUSED unsigned long scan_held(int nid, unsigned long nr)
{
	unsigned long freed = 0;

	(void)nid;
	must(current->flags & PF_MEMALLOC);
	atomic_add_return(&held_scans, 1);
	mutex_lock(&zone->lock);
	WRITE_ONCE(zone->watermark_boost, READ_ONCE(zone->watermark_boost) + xchg(&boost_meanwhile, 0UL));
	mutex_unlock(&zone->lock);
	pthread_mutex_lock(&held_lock);
	for (; freed < nr && nr_held; freed++) {
		WRITE_ONCE(nr_held, nr_held - 1);
		give(held[nr_held], 0);
	}
	pthread_mutex_unlock(&held_lock);
	return freed;
}

TAP_UNUSED void hold(unsigned long nr)
{
	pthread_mutex_lock(&held_lock);
	while (nr_held < nr) {
		must(held[nr_held] = take(zone, 0, MIGRATE_UNMOVABLE));
		WRITE_ONCE(nr_held, nr_held + 1);
	}
	pthread_mutex_unlock(&held_lock);
}

/* Single pages, some of them held by the cache, and marks. */
TAP_UNUSED void start(unsigned long nr_to_hold)
{
	static struct shrinker shrinker = { .name = "held", .count = count_held, .scan = scan_held };

	zone = walk_start_with(NR_FREE);
	pgdat = NODE_DATA(0);
	if (nr_to_hold)
		register_shrinker(&shrinker);
	hold(nr_to_hold);
	set_marks(zone, MIN, LOW, HIGH);
	kswapd_before_start = fork_handlers_register;
	tunables.kswapd = KSWAPD_ON;
	alarm(900);
}

TAP_UNUSED void until(bool (*so)(void))
{
	while (!so())
		os_sleep_ms(1);
}
TAP_UNUSED bool balanced(void)
{
	return READ_ONCE(zone->nr_free_pages) >= HIGH;
}
TAP_UNUSED bool running(void)
{
	return READ_ONCE(pgdat->kswapd) != 0;
}
TAP_UNUSED bool gone(void)
{
	return !running();
}
TAP_UNUSED bool given_up(void)
{
	return READ_ONCE(pgdat->kswapd_failures) >= MAX_RECLAIM_RETRIES;
}

/* It counts when a cache has answered: the pages are there before that. */
TAP_UNUSED bool stolen(void)
{
	return READ_ONCE(vm_events[PGSTEAL_KSWAPD]) >= HIGH - LOW;
}
TAP_UNUSED bool stolen_from_app(void)
{
	return READ_ONCE(vm_events[KSWAPD_INODESTEAL]) >= HIGH - LOW;
}

/* Allocate until nr pages are free, or would be, were kswapd not there. */
static struct page *taken[1000];
static unsigned int nr_taken;

TAP_UNUSED void down_to(unsigned long nr)
{
	unsigned long free = READ_ONCE(zone->nr_free_pages);

	for (; free > nr; free--)
		must(nr_taken < ARRAY_SIZE(taken) && (taken[nr_taken++] = alloc_pages(GFP_KERNEL | GFP_NOWARN, 0)));
}

/* Thread sanitizer has threads of its own, and a child of a fork may make none there. */
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define TSAN 1
#else
#define TSAN 0
#endif
/* Address sanitizer has locks that a thread holds while it begins, and that a fork takes along. */
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define ASAN 1
#else
#define ASAN 0
#endif

TAP_UNUSED bool has_kswapd(void)
{
	return threads_named("kswapd0", NULL) == 1;
}

#endif
