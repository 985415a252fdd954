/* SPDX-License-Identifier: MIT */
/*
 * Shrinkers of several threads: one that stalls, unregisters, or forks while others are at it.
 */
#include <sched.h>
#include <semaphore.h>

#include "malloc/fork.h"
#include "shrinker.h"

/* Stalls until it is let go. */
static sem_t inside, go;
static int stalled;

static void stall(struct cache *c)
{
	(void)c;
	__atomic_store_n(&stalled, 1, __ATOMIC_RELEASE);
	sem_post(&inside);
	while (sem_wait(&go))
		;
	__atomic_store_n(&stalled, 0, __ATOMIC_RELEASE);
}

static void *reclaimer(void *arg)
{
	(void)arg;
	shrink_slab_app(GFP_KERNEL, 0, 1);
	return NULL;
}

static void *let_go(void *arg)
{
	os_sleep_ms(20);
	sem_post(arg);
	return NULL;
}

static void stalling(void)
{
	pthread_t a, b;

	walk_start(1);
	sem_init(&inside, 0, 0);
	sem_init(&go, 0, 0);
	add(0, 128, 4);
	caches[0].on_scan = stall;
	must(!pthread_create(&a, NULL, reclaimer, NULL));
	while (sem_wait(&inside))
		;
	must(!pthread_create(&b, NULL, let_go, &go));
	must(unregister_shrinker_app(caches[0].s));
	must(!__atomic_load_n(&stalled, __ATOMIC_ACQUIRE), "it was still running");
	must(!have_shrinkers());
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	must(caches[0].scans == 1);
}

/* One thread stalls in it; another one, in a call of its own, unregisters it: that waits for the first alone. */
static pthread_t helper;

static void first_stalls(struct cache *c)
{
	if (__atomic_fetch_add(&c->answer, 0, __ATOMIC_RELAXED) == 0 &&
	    !__atomic_exchange_n(&stalled, 1, __ATOMIC_ACQ_REL)) {
		sem_post(&inside);
		while (sem_wait(&go))
			;
		__atomic_store_n(&stalled, 2, __ATOMIC_RELEASE);
		return;
	}
	must(!pthread_create(&helper, NULL, let_go, &go));
	must(unregister_shrinker_app(c->s));
	must(__atomic_load_n(&stalled, __ATOMIC_ACQUIRE) == 2, "the other call was still running");
	must(have_shrinkers(), "this one still is");
}

static unsigned long plain_count(void *arg, struct bm_shrink_control *sc)
{
	(void)arg, (void)sc;
	return 128;
}
static unsigned long plain_scan(void *arg, struct bm_shrink_control *sc)
{
	first_stalls(arg);
	return sc->nr_to_scan;
}

static void from_within(void)
{
	static const struct bm_shrinker_ops plain = { .count = plain_count, .scan = plain_scan };
	pthread_t a;

	walk_start(1);
	sem_init(&inside, 0, 0);
	sem_init(&go, 0, 0);
	caches[0].s = register_shrinker_app("plain", &plain, &caches[0], 4);
	must(!pthread_create(&a, NULL, reclaimer, NULL));
	while (sem_wait(&inside))
		;
	reclaimer(NULL);
	must(!have_shrinkers());
	pthread_join(a, NULL);
	pthread_join(helper, NULL);
}

/* A child of a fork has none of the threads that were at it. */
static void check_child(struct bm_shrinker *s, bool unregister)
{
	int status;
	pid_t child;

	child = fork();
	if (child) {
		must(child > 0 && waitpid(child, &status, 0) == child && status == 0, "status %#x",
		     (unsigned int)status);
		return;
	}
	alarm(300);
	must(!NODE_DATA(0)->reclaiming == !current->reclaims_node);
	if (unregister)
		must(unregister_shrinker_app(s) && (current->shrinker || !have_shrinkers()));
	else
		must(!have_shrinkers(), "it was about to go");
	must(current->shrinker || shrink_slab_app(GFP_KERNEL, 0, 1) == 0);
	_exit(0);
}

static void *unregisterer(void *arg)
{
	must(unregister_shrinker_app(arg));
	return NULL;
}

/* The heap's fork handlers come with the second thread that uses it. */
static void *second_thread(void *arg)
{
	must(heap_init());
	return arg;
}

static void fork_inside(struct cache *c)
{
	check_child(c->s, true);
}

static void forks(void)
{
	pthread_t a, b;

	walk_start(1);
	must(heap_init());
	must(!pthread_create(&a, NULL, second_thread, NULL) && !pthread_join(a, NULL));
	sem_init(&inside, 0, 0);
	sem_init(&go, 0, 0);
	add(0, 128, 4);
	caches[0].on_scan = stall;
	NODE_DATA(0)->reclaiming = 1; /* as the other thread would have it */
	must(!pthread_create(&a, NULL, reclaimer, NULL));
	while (sem_wait(&inside))
		;
	check_child(caches[0].s, true);
	must(!pthread_create(&b, NULL, unregisterer, caches[0].s));
	while (reported("first_one", 0) != ALL)
		os_sleep_ms(1);
	check_child(caches[0].s, false);
	NODE_DATA(0)->reclaiming = 0;
	sem_post(&go);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	add(0, 128, 4);
	caches[0].on_scan = fork_inside;
	must(node_reclaim(NODE_DATA(0), GFP_KERNEL, 0) == NODE_RECLAIM_SUCCESS && caches[0].scans >= 1);
	must(unregister_shrinker_app(caches[0].s));
}

/* Two threads reclaim and a third registers and unregisters, all at once. */
#define ROUNDS 2000
static unsigned long shared_nr = 1UL << 20, shared_freed;

static unsigned long count_shared(void *arg, struct bm_shrink_control *sc)
{
	(void)sc;
	return READ_ONCE(*(unsigned long *)arg);
}

static unsigned long scan_shared(void *arg, struct bm_shrink_control *sc)
{
	(void)READ_ONCE(*(unsigned long *)arg);
	atomic_add_return(&shared_freed, sc->nr_to_scan);
	return sc->nr_to_scan;
}

static unsigned long claimed;
static void *reclaim_much(void *arg)
{
	unsigned long n = steps(ROUNDS);

	(void)arg;
	while (n--)
		atomic_add_return(&claimed, shrink_slab_app(n % 4 ? GFP_KERNEL : GFP_NOFS, 0, 32));
	return NULL;
}

static void at_once(void)
{
	static const struct bm_shrinker_ops shared_ops = { .count = count_shared, .scan = scan_shared };
	unsigned long n = steps(ROUNDS);
	pthread_t t[2];
	unsigned int i;

	walk_start(1);
	must(register_shrinker_app("always", &shared_ops, &shared_nr, DEFAULT_SEEKS));
	for (i = 0; i < 2; i++)
		must(!pthread_create(&t[i], NULL, reclaim_much, NULL));
	while (n--) {
		unsigned long *nr = malloc(sizeof(*nr));
		struct bm_shrinker *s;

		*nr = 1UL << 20;
		s = register_shrinker_app("shared", &shared_ops, nr, DEFAULT_SEEKS);
		must(s);
		if (n % 2)
			sched_yield();
		must(unregister_shrinker_app(s));
		free(nr); /* ThreadSanitizer and ASan see whether anybody still has it */
		zone_reclaimable_pages(zone_of(0));
	}
	for (i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	must(claimed && claimed == shared_freed, "%lu %lu", claimed, shared_freed);
}

int main(void)
{
	run_case("unregistering waits for a call that stalls", stalling);
	run_case("from within, it waits for the other calls", from_within);
	run_case("fork: the child waits for nobody", forks);
	run_case("two threads reclaim at once, a third registers", at_once);
	return done_testing();
}
