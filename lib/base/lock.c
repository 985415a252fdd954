/* SPDX-License-Identifier: MIT */
/*
 * The contended paths of the futex mutex, and the rank checks of debug builds.
 */
#include "base/lock.h"
#include "base/host.h"
#include "base/message.h"

bool fork_in_progress;
thread_local_var bool forking_here;

/* Looks at a held lock before sleeping: less than what a sleep and a wake cost. */
#define SPIN_LOOKS 100

void mutex_init(struct mutex *m, enum lock_rank rank)
{
	m->state = 0;
	m->rank = (uint8_t)rank;
}

static always_inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__asm__ volatile("pause" ::: "memory");
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#endif
}

/* True if the lock was taken. Gives up early where others sleep already: they come first. */
static bool mutex_spin(struct mutex *m)
{
	for (int i = 0; i < SPIN_LOOKS; i++) {
		uint32_t state = READ_ONCE(m->state);

		if (state == 2)
			return false;
		if (state == 0 && try_cmpxchg(&m->state, 0U, 1U))
			return true;
		cpu_relax();
	}
	return false;
}

/*
 * Whoever has slept takes the lock as 2: it cannot know whether others sleep too, and one wake too many costs less
 * than a lost one.
 */
cold void mutex_lock_slow(struct mutex *m)
{
	if (host_nr_cpus() > 1 && mutex_spin(m))
		return;
	while (xchg(&m->state, 2U) != 0)
		host_futex_wait(&m->state, 2);
}

cold void mutex_unlock_slow(struct mutex *m)
{
	host_futex_wake(&m->state, 1);
}

#ifdef BM_DEBUG
/*
 * What this thread holds of each rank. The fork handlers hold hundreds of locks, so only the highest address is kept;
 * it stays until the last of the rank is released.
 */
static thread_local_var struct {
	unsigned int count;
	uintptr_t highest;
} held[NR_LOCK_RANKS];

static void check_order(const struct mutex *m)
{
	for (unsigned int rank = m->rank + 1U; rank < NR_LOCK_RANKS; rank++) {
		if (held[rank].count)
			bm_fatal("BUG: lock %p of rank %d taken while one of rank %u is held", (const void *)m, m->rank,
				 rank);
	}
	if (held[m->rank].count && held[m->rank].highest >= (uintptr_t)m)
		bm_fatal("BUG: lock %p of rank %d taken after the one at 0x%lx", (const void *)m, m->rank,
			 (unsigned long)held[m->rank].highest);
}

/* A tried lock cannot wait, hence not deadlock: it may be out of order. */
void lock_rank_acquire(const struct mutex *m, bool tried)
{
	if (m->rank >= NR_LOCK_RANKS)
		bm_fatal("BUG: lock %p has no rank: %d", (const void *)m, m->rank);
	if (!tried)
		check_order(m);
	held[m->rank].count++;
	if (held[m->rank].highest < (uintptr_t)m)
		held[m->rank].highest = (uintptr_t)m;
}

void lock_rank_release(const struct mutex *m)
{
	if (!held[m->rank].count)
		bm_fatal("BUG: lock %p of rank %d released but not held", (const void *)m, m->rank);
	if (!--held[m->rank].count)
		held[m->rank].highest = 0;
}
#endif
