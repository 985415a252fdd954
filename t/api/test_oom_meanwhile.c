/* SPDX-License-Identifier: MIT */
/*
 * What may happen while the OOM step is at work: what a callback does, forks, signal handlers, shrinkers, others who
 * ask.
 */
#include <pthread.h>

#include "oom.h"

static void allocate_in_callback(struct party *p)
{
	struct chain c = { 0 };

	check(add(&c, 100));
	eat(&c, 100, 500); /* all of the reserve, and then NULL */
	drop(&c);
	drop_chain(p);
}

static void callback_allocates(void)
{
	create(0, 0, 0, 0, true);
	parties[0].on_abort = allocate_in_callback;
	check(eat_as(0, 40, 500) && parties[0].calls);
}

static void fork_in_callback(struct party *p)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		check(malloc(100));
		_exit(7);
	}
	check(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
	drop_chain(p);
}

static void callback_forks(void)
{
	create(0, 0, 0, 0, true);
	parties[0].on_abort = fork_in_callback;
	check(eat_as(0, 40, 500) && parties[0].calls);
}

/* On another thread: the child is not to wait for what ended with the fork. */
static atomic_int callback_seen;

static void wait_in_callback(struct party *p)
{
	atomic_store(&callback_seen, 1);
	while (atomic_load(&callback_seen) == 1)
		usleep(1000);
	drop_chain(p);
}

static void *fork_meanwhile(void *arg)
{
	int status = -1;
	pid_t child;

	while (!atomic_load(&callback_seen))
		usleep(1000);
	child = fork();
	if (child == 0) {
		alarm(300);
		check(!bm_owner_destroy(parties[0].owner));
		_exit(7);
	}
	check(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
	atomic_store(&callback_seen, 2);
	return arg;
}

static void forked_meanwhile(void)
{
	pthread_t thread;

	create(0, 0, 0, 0, true);
	parties[0].on_abort = wait_in_callback;
	check(!pthread_create(&thread, NULL, fork_meanwhile, NULL));
	check(eat_as(0, 40, 500) && !pthread_join(thread, NULL));
}

static void destroy_in_callback(struct party *p)
{
	check(!bm_owner_destroy(p->owner));
	p->chain = (struct chain){ 0 };
}

static void callback_destroys(void)
{
	create(0, 0, 0, 0, true);
	parties[0].on_abort = destroy_in_callback;
	check(eat_as(0, 18, 500));
	check(eat(&all, 18, 500));
	check(parties[0].calls == 1);
	create(0, 0, 0, 0, true);
	check(eat_as(0, 5, 500) && parties[0].calls == 1);
	check(!bm_owner_destroy(parties[0].owner));
}

/* The child of a victim is none, and its own leak is its own. */
static void forked_child(void)
{
	int status = -1;
	pid_t child;

	create(0, 0, 0, 0, true);
	check(!eat_as(0, 100, 500) && parties[0].calls == 1);
	child = fork();
	if (child == 0) {
		drop(&parties[0].chain);
		parties[0].on_abort = drop_chain;
		check(eat_as(0, 40, 500) && parties[0].calls > 1);
		_exit(7);
	}
	check(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

/* Failures on purpose are no end of memory. */
static void injected(void)
{
	int i, failed = 0;

	set("fail_page_alloc.probability", "100");
	set("fail_page_alloc.times", "-1");
	for (i = 0; i < 100; i++)
		failed += !add(&all, 5000);
	set("fail_page_alloc.probability", "0");
	check(failed && eat(&all, 10, 500));
}

/* A handler of whatever signal, on a stack of its own. */
static void on_signal(int sig)
{
	(void)sig;
	check(eat_as(0, 40, 500));
}

static void in_handler(void)
{
	static char stack[64 * 1024];
	stack_t altstack = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };

	create(0, 0, 0, 0, true);
	parties[0].on_abort = drop_chain;
	check(!sigaltstack(&altstack, NULL) && !sigaction(SIGUSR1, &action, NULL));
	raise(SIGUSR1);
	check(parties[0].calls == 1);
}

static int shrinks;

static unsigned long count_cache(void *arg, struct bm_shrink_control *sc)
{
	(void)arg, (void)sc;
	return shrinks < 3 ? 10 : 0;
}

static unsigned long leak_in_scan(void *arg, struct bm_shrink_control *sc)
{
	struct chain c = { 0 };

	(void)arg, (void)sc;
	shrinks++;
	eat(&c, 100, 500);
	drop(&c);
	return 0;
}

static void in_shrinker(void)
{
	static const struct bm_shrinker_ops ops = { .count = count_cache, .scan = leak_in_scan };

	check(bm_shrinker_register("leaker", &ops, NULL, 2));
	create(0, 0, 0, 0, true);
	parties[0].on_abort = drop_chain;
	check(eat_as(0, 40, 500) && parties[0].calls && shrinks);
}

/* Somebody has the lock of a cache for a while: that is no end of memory. */
static atomic_uint scans_locked;
static struct chain cached;

static unsigned long count_locked(void *arg, struct bm_shrink_control *sc)
{
	(void)arg, (void)sc;
	return cached.nr;
}

static unsigned long scan_stops(void *arg, struct bm_shrink_control *sc)
{
	(void)arg, (void)sc;
	return BM_SHRINK_STOP;
}

static unsigned long scan_locked(void *arg, struct bm_shrink_control *sc)
{
	unsigned long freed = 0;
	void **block;

	(void)arg;
	if (scans_locked++ < 60)
		return BM_SHRINK_STOP;
	for (; freed < sc->nr_to_scan && (block = cached.head); freed++) {
		cached.head = *block;
		cached.nr--;
		free(block);
	}
	return freed;
}

static void lock_is_held(void)
{
	static const struct bm_shrinker_ops ops = { .count = count_locked, .scan = scan_locked };

	check(eat(&cached, LIMIT_MIB / 2, 500) && bm_shrinker_register("locked", &ops, NULL, 2));
	check(eat(&all, LIMIT_MIB * 3 / 4, 500) && scans_locked > 60);
	/* Nor does a large request fail for it. */
	drop(&all);
	check(eat(&cached, LIMIT_MIB * 3 / 4, 500));
	scans_locked = 0;
	check(add(&all, LIMIT_MIB / 2 * MIB) && scans_locked > 60);
}

/* Whoever has it never lets go, as a thread that allocates with it: that is waited for, but not for ever. */
static void lock_is_kept(void)
{
	static const struct bm_shrinker_ops ops = { .count = count_locked, .scan = scan_stops };

	check(eat(&cached, LIMIT_MIB / 2, 500) && bm_shrinker_register("kept", &ops, NULL, 2));
	eat(&all, LIMIT_MIB, 1500);
}

/* A shrinker that stalls with its lock held, on another thread, until somebody has asked it so often. */
static pthread_mutex_t stalling = PTHREAD_MUTEX_INITIALIZER;

static unsigned long scan_stalls(void *arg, struct bm_shrink_control *sc)
{
	(void)arg, (void)sc;
	if (pthread_mutex_trylock(&stalling)) {
		scans_locked++;
		return BM_SHRINK_STOP;
	}
	while (scans_locked < 1000)
		usleep(1000);
	drop(&cached);
	pthread_mutex_unlock(&stalling);
	return 1;
}

static void *drop_caches(void *arg)
{
	set("vm.drop_caches", "2");
	return arg;
}

static void stalls(void)
{
	static const struct bm_shrinker_ops ops = { .count = count_locked, .scan = scan_stalls };
	pthread_t thread;

	set("oom_wait_ms", "30000");
	check(eat(&cached, LIMIT_MIB / 2, 500) && bm_shrinker_register("stalls", &ops, NULL, 2));
	check(!pthread_create(&thread, NULL, drop_caches, NULL));
	while (!pthread_mutex_trylock(&stalling)) {
		pthread_mutex_unlock(&stalling);
		usleep(1000);
	}
	check(eat(&all, LIMIT_MIB * 3 / 4, 100000) && scans_locked >= 1000);
	pthread_join(thread, NULL);
}

/* Memory that nobody may be refused: it comes when the victim has ended. */
static void *unwind(void *arg)
{
	while (!parties[0].calls)
		usleep(1000);
	usleep(20000);
	drop(&parties[0].chain);
	return arg;
}

static void nofail(void)
{
	pthread_t thread;
	int i;

	create(0, 0, 0, 0, true);
	check(!pthread_create(&thread, NULL, unwind, NULL));
	check(eat_as(0, 18, 500));
	for (i = 0; i < 4096; i++)
		check(bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_NOFAIL, 0));
	check(parties[0].calls == 1);
	pthread_join(thread, NULL);
}

/* Many at once: one report, one victim. */
static void *ask(void *arg)
{
	check(eat(arg, 2, 500));
	return NULL;
}

static void many_ask(void)
{
	static struct chain chains[8];
	pthread_t threads[8], unwinder;
	int i;

	create(0, 0, 0, 0, true);
	check(eat_as(0, 20, 500));
	check(!pthread_create(&unwinder, NULL, unwind, NULL));
	for (i = 0; i < 8; i++)
		check(!pthread_create(&threads[i], NULL, ask, &chains[i]));
	for (i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	pthread_join(unwinder, NULL);
	check(parties[0].calls == 1);
}

/* Half of the memory is free, in single pages: what needs more than that gets NULL, and does not try for ever. */
static void in_pieces(void)
{
	static void *pages[LIMIT_MIB * 256];
	bm_owner_t *before;
	size_t nr = 0, i;

	set("oom", "enomem");
	create(0, 0, 0, 0, false);
	while (nr < API_ARRAY_SIZE(pages) && (pages[nr] = bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_NOWARN, 0)))
		nr++;
	for (i = 0; i < nr; i += 2)
		bm_free_pages(pages[i], 0);
	/* There is a rest of larger ones. */
	while (memalign(131072, 100) || memalign(32768, 100))
		;
	before = bm_owner_enter(parties[0].owner);
	check(!memalign(131072, 100) && !memalign(32768, 100) && malloc(100));
	bm_owner_enter(before);
}

int main(void)
{
	if (api_sanitized() || api_under_valgrind())
		skip_all("the children's memory is the sanitizer's, or valgrind's, too");
	case_exits("a callback that allocates", callback_allocates, 1);
	case_exits("a callback that forks", callback_forks, 1);
	case_exits("a fork while another thread is in one", forked_meanwhile, 1);
	case_exits("a callback that destroys its owner", callback_destroys, 1);
	case_exits("the child of a victim starts afresh", forked_child, 2);
	case_exits("failures on purpose end nobody", injected, 0);
	case_exits("in a signal handler", in_handler, 1);
	case_exits("a shrinker that leaks", in_shrinker, 1);
	case_exits("a shrinker whose lock is held for a while", lock_is_held, 0);
	case_aborts("one whose lock is never let go", lock_is_kept, "aborting owner");
	case_exits("one that stalls on another thread is waited for", stalls, 0);
	case_exits("NOFAIL has its memory when the victim has ended", nofail, 1);
	case_exits("free memory in pieces, of no use to who asks", in_pieces, 0);
	case_exits("many threads at once: one report, one victim", many_ask, 1);
	return done_testing();
}
