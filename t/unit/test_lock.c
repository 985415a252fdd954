/* SPDX-License-Identifier: MIT */
/*
 * The mutex: exclusion under contention, sleeping and waking, trying, fork, and the rank checks of debug builds.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/lock.h"
#include "fake_os.h"
#include "tap.h"

#define NR_THREADS 4
#define ROUNDS 50000

static struct mutex lock = MUTEX_INIT(RANK_ZONE);
static unsigned long counter; /* under lock */
static unsigned long refused;

static void *add_locked(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		mutex_lock(&lock);
		counter++;
		mutex_unlock(&lock);
	}
	return arg;
}

static void *add_tried(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		while (!mutex_trylock(&lock)) {
			atomic_add_return(&refused, 1UL);
			sched_yield();
		}
		counter++;
		mutex_unlock(&lock);
	}
	return arg;
}

static void run_threads(void *(*even)(void *), void *(*odd)(void *))
{
	pthread_t thread[NR_THREADS];

	counter = 0;
	for (int i = 0; i < NR_THREADS; i++) {
		if (pthread_create(&thread[i], NULL, i % 2 ? odd : even, NULL))
			bail_out("cannot create a thread");
	}
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(thread[i], NULL);
}

static void test_exclusion(void)
{
	run_threads(add_locked, add_locked);
	is_int(counter, NR_THREADS * ROUNDS, "no increment under the lock is lost");
	run_threads(add_locked, add_tried);
	is_int(counter, NR_THREADS * ROUNDS, "nor where half of them try");
	is_int(lock.state, 0, "the lock is free afterwards");
	diag("tries refused: %lu", refused);
}

static void *lock_once(void *arg)
{
	mutex_lock(&lock);
	counter++;
	mutex_unlock(&lock);
	return arg;
}

/* The state becomes 2 only when a waiter has given up spinning, and nothing but the wake ends its sleep. */
static void test_sleep(void)
{
	pthread_t thread[NR_THREADS];

	counter = 0;
	mutex_lock(&lock);
	is_int(lock.state, 1, "held, and nobody waits");
	for (int i = 0; i < NR_THREADS; i++) {
		if (pthread_create(&thread[i], NULL, lock_once, NULL))
			bail_out("cannot create a thread");
	}
	while (READ_ONCE(lock.state) != 2)
		sched_yield();
	usleep(10000);
	is_int(counter, 0, "waiters wait while it is held");
	mutex_unlock(&lock);
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(thread[i], NULL);
	is_int(counter, NR_THREADS, "every sleeper is woken in its turn");
	is_int(lock.state, 0, "and the last leaves it free");
}

static void test_try(void)
{
	struct mutex m;

	mutex_init(&m, RANK_WMARK);
	is_int(m.rank, RANK_WMARK, "mutex_init sets the rank");
	ok(mutex_trylock(&m), "trylock takes a free lock");
	ok(!mutex_trylock(&m), "and refuses a held one");
	mutex_unlock(&m);
	ok(mutex_trylock(&m), "and takes it again once it is free");
	mutex_unlock(&m);
}

static void lock_after_fork(void)
{
	WRITE_ONCE(lock.state, 2U);
	mutex_reinit_after_fork(&lock);
	mutex_lock(&lock);
	mutex_unlock(&lock);
	_exit(lock.state ? 2 : 3);
}

static void test_fork(void)
{
	char said[256];
	int status;

	mutex_lock(&lock);
	status = fake_os_child(lock_after_fork, said, sizeof(said));
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 3, "the child of a fork uses the lock its parent held");
	mutex_unlock(&lock);
	is_str(said, "", "and has nothing to say");
}

static struct mutex zones[2] = { MUTEX_INIT(RANK_ZONE), MUTEX_INIT(RANK_ZONE) };
static struct mutex cache = MUTEX_INIT(RANK_CACHE);

static void in_order(void)
{
	mutex_lock(&cache);
	mutex_lock(&zones[0]);
	mutex_lock(&zones[1]);
	mutex_unlock(&cache);
	mutex_unlock(&zones[0]);
	mutex_unlock(&zones[1]);
	mutex_lock(&cache);
	mutex_unlock(&cache);
}

static void try_out_of_order(void)
{
	mutex_lock(&zones[1]);
	if (!mutex_trylock(&cache) || !mutex_trylock(&zones[0]))
		_exit(1);
	mutex_unlock(&zones[1]);
	mutex_unlock(&cache);
	mutex_unlock(&zones[0]);
	in_order();
}

static void out_of_rank(void)
{
	mutex_lock(&zones[0]);
	mutex_lock(&cache);
}

static void out_of_address(void)
{
	mutex_lock(&zones[1]);
	mutex_lock(&zones[0]);
}

static void twice(void)
{
	mutex_lock(&cache);
	mutex_lock(&cache);
}

static void not_held(void)
{
	mutex_unlock(&cache);
}

static void no_rank(void)
{
	struct mutex m = { .state = 0, .rank = NR_LOCK_RANKS };

	mutex_lock(&m);
}

static void is_legal(void (*fn)(void), const char *what)
{
	char said[256];
	int status = fake_os_child(fn, said, sizeof(said));

	ok(!status && !said[0], "%s is legal (status %d, \"%s\")", what, status, said);
}

static void test_ranks(void)
{
	static const struct {
		void (*fn)(void);
		const char *what, *says;
		int rank, other; /* that are named; 0: none */
	} bugs[] = {
		{ out_of_rank, "a lower rank inside a higher", "taken while one of rank", RANK_CACHE, RANK_ZONE },
		{ out_of_address, "one rank against the addresses", "taken after the one at 0x", RANK_ZONE, 0 },
		{ twice, "one lock twice", "taken after the one at 0x", RANK_CACHE, 0 },
		{ not_held, "to release what is not held", "released but not held", RANK_CACHE, 0 },
		{ no_rank, "a lock that has no rank", "has no rank", 0, 0 },
	};

	is_legal(in_order, "to lock in order");
	is_legal(try_out_of_order, "to try out of order");
#ifdef BM_DEBUG
	for (size_t i = 0; i < sizeof(bugs) / sizeof(bugs[0]); i++) {
		char said[256], rank[24], other[24];
		int status = fake_os_child(bugs[i].fn, said, sizeof(said));

		ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s aborts", bugs[i].what);
		snprintf(rank, sizeof(rank), "of rank %d ", bugs[i].rank);
		snprintf(other, sizeof(other), "of rank %d ", bugs[i].other);
		ok(strstr(said, bugs[i].says) && (!bugs[i].rank || strstr(said, rank)) &&
			   (!bugs[i].other || strstr(said, other)),
		   "and says so: %s", said);
	}
#else
	skip(2 * (int)(sizeof(bugs) / sizeof(bugs[0])), "ranks are asserted in debug builds alone");
#endif
}

int main(void)
{
	test_try();
	test_exclusion();
	test_sleep();
	test_fork();
	test_ranks();
	return done_testing();
}
