/* SPDX-License-Identifier: MIT */
/*
 * Who looks at what lies idle, and when: each look ages all that is kept for others, and there is one each tenth of a
 * second at most. What is aged notes that it was asked, and does nothing.
 */
#include <pthread.h>

#include "base/tunables.h"
#include "malloc/heap.h"
#include "mm/balance.h"
#include "mm/exact.h"
#include "mm/kswapd.h"
#include "model.h"

enum { MAGAZINES, EXACT, UNUSED, KSWAPD, PCP, ZONES, ARENA, NR_ASKED };
static unsigned int asked[NR_ASKED], slabs;
static uint64_t clock_ms = 1000000;

uint64_t __wrap_os_clock_ms(void);
void __wrap_magazines_age(void);
void __wrap_exact_lists_age(void);
unsigned long __wrap_slab_unused_pages(void);
void __wrap_kswapd_note_dirty(size_t bytes);
void __wrap_slabs_age(uint32_t decay);
void __wrap_drain_idle_pages(uint32_t age);
void __wrap_zones_decay(uint32_t decay);
unsigned long __real_arena_purge(unsigned long keep, uint32_t age_ms, bool unmap);
unsigned long __wrap_arena_purge(unsigned long keep, uint32_t age_ms, bool unmap);

uint64_t __wrap_os_clock_ms(void)
{
	return clock_ms;
}

void __wrap_magazines_age(void)
{
	asked[MAGAZINES]++;
}

void __wrap_exact_lists_age(void)
{
	asked[EXACT]++;
}

unsigned long __wrap_slab_unused_pages(void)
{
	return ++asked[UNUSED];
}

void __wrap_kswapd_note_dirty(size_t bytes)
{
	must(bytes == mm_dirty_bytes());
	asked[KSWAPD]++;
}

void __wrap_drain_idle_pages(uint32_t age)
{
	must(age == tunables.dirty_decay);
	asked[PCP]++;
}

void __wrap_zones_decay(uint32_t decay)
{
	must(decay == tunables.dirty_decay);
	asked[ZONES]++;
}

unsigned long __wrap_arena_purge(unsigned long keep, uint32_t age_ms, bool unmap)
{
	if (keep != ~0UL) /* not for its age */
		return __real_arena_purge(keep, age_ms, unmap);
	must(age_ms == tunables.dirty_decay);
	asked[ARENA]++;
	return 0;
}

void __wrap_slabs_age(uint32_t decay)
{
	must(decay == tunables.dirty_decay);
	slabs++;
}

static void start(void)
{
	must(heap_init());
	model_native();
	must(tcache_alloc_slow(1));
	clock_ms += 1000;
	tcache_age_if_due();
	memset(asked, 0, sizeof(asked));
	slabs = 0;
}

/* All have been asked so often since the start, but for kswapd so often. */
static void must_have_asked(unsigned int times, unsigned int kswapd)
{
	for (int i = 0; i < NR_ASKED; i++)
		must(asked[i] == (i == KSWAPD ? kswapd : times), "%d: %u times", i, asked[i]);
	must(mm_unused_pages == asked[UNUSED]);
}

static void looks(void)
{
	start();
	clock_ms += 99;
	tcache_age_if_due();
	must(!asked[MAGAZINES]);
	clock_ms++;
	tcache_age_if_due();
	must_have_asked(1, 0);
	must(slabs == 1, "nobody else comes by");
	tunables.kswapd = KSWAPD_ON;
	clock_ms += 100;
	tcache_age_if_due();
	must_have_asked(2, 1);
	must(slabs == 1, "that is for kswapd");
}

/* Slabs are looked at by kswapd, which comes by while others wait, if anything goes back for its age. */
static void idle_slabs(void)
{
	start();
	must(!slabs && kswapd_idle_work == tcache_idle_work);
	tunables.kswapd = KSWAPD_ON;
	clock_ms += 100;
	tcache_idle_work();
	must_have_asked(1, 1);
	must(slabs == 1);
	tunables.dirty_decay = 0;
	tcache_idle_work();
	must(slabs == 1);
}

static void no_decay(void)
{
	start();
	tunables.dirty_decay = 0;
	clock_ms += 100;
	tcache_age_if_due();
	must(asked[MAGAZINES] && asked[EXACT] && asked[UNUSED] && !slabs && !asked[PCP] && !asked[ZONES] &&
	     !asked[ARENA]);
}

static void *come_and_go(void *arg)
{
	void *p = tcache_alloc_slow(1);

	must(p);
	tcache_exit();
	return arg;
}

/* Threads may be many, and each of them short. */
static void threads_end(void)
{
	pthread_t thread;

	start();
	tunables.kswapd = KSWAPD_OFF;
	clock_ms += 100;
	must(!pthread_create(&thread, NULL, come_and_go, NULL) && !pthread_join(thread, NULL));
	must_have_asked(1, 0);
}

int main(void)
{
	model_init();
	run_case("a look, each tenth of a second at most, ages everything", looks);
	run_case("idle slabs are for who comes by while others wait", idle_slabs);
	run_case("dirty_decay:0: but for pages", no_decay);
	run_case("a thread that ends looks", threads_end);
	return done_testing();
}
