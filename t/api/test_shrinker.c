/* SPDX-License-Identifier: MIT */
/*
 * Shrinkers as a program has them: bad arguments; a cache that keeps the program alive under a limit at which it gets
 * NULL without; one that takes its lock by trylock, forks, or goes; and what drop_caches and the report say.
 */
#include <pthread.h>
#include <sys/wait.h>

#include "api.h"

#define OBJECT 3000
#define NR_OBJECTS (64 * MIB / OBJECT)

/* A cache: the program's oldest objects go first. */
static struct {
	pthread_mutex_t lock;
	void *object[NR_OBJECTS];
	size_t oldest, nr; /* from there on, round */
	unsigned long scans, stops, shrunk;
	int depth;
	int fork_status;
	bool fork_once;
	bm_shrinker_t *unregister_once;
} cache = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void drop_oldest(void)
{
	free(cache.object[cache.oldest]);
	cache.oldest = (cache.oldest + 1) % NR_OBJECTS;
	cache.nr--;
}

static unsigned long cache_count(void *arg, struct bm_shrink_control *sc)
{
	(void)sc;
	if (arg != &cache)
		abort();
	return __atomic_load_n(&cache.nr, __ATOMIC_RELAXED);
}

/* Allocate, though it may get nothing, and fork. */
static void exercise(void)
{
	pid_t child;
	char *p = malloc(1000);

	if (p)
		memset(p, 1, 1000);
	free(p);
	if (!cache.fork_once)
		return;
	cache.fork_once = false;
	child = fork();
	if (child == 0) {
		alarm(300);
		p = malloc(500);
		free(p);
		_exit(7);
	}
	if (child < 0 || waitpid(child, &cache.fork_status, 0) != child)
		cache.fork_status = -1;
}

static unsigned long cache_scan(void *arg, struct bm_shrink_control *sc)
{
	unsigned long n = 0;

	if (arg != &cache || cache.depth)
		abort();
	if (pthread_mutex_trylock(&cache.lock)) {
		cache.stops++;
		return BM_SHRINK_STOP;
	}
	cache.depth++;
	cache.scans++;
	exercise();
	for (; n < sc->nr_to_scan && cache.nr; n++)
		drop_oldest();
	cache.shrunk += n;
	if (cache.unregister_once) {
		bm_shrinker_unregister(cache.unregister_once);
		cache.unregister_once = NULL;
	}
	cache.depth--;
	pthread_mutex_unlock(&cache.lock);
	return n;
}

static const struct bm_shrinker_ops cache_ops = { .count = cache_count, .scan = cache_scan };

/* One object more; false: memory has ended. */
static bool cache_add(void)
{
	char *p = malloc(OBJECT);

	if (!p)
		return false;
	memset(p, 0x5a, OBJECT);
	pthread_mutex_lock(&cache.lock);
	if (cache.nr == NR_OBJECTS)
		drop_oldest();
	cache.object[(cache.oldest + cache.nr++) % NR_OBJECTS] = p;
	pthread_mutex_unlock(&cache.lock);
	return true;
}

static void test_arguments(void)
{
	static const struct bm_shrinker_ops partial = { .count = cache_count };
	bm_shrinker_t *s;

	errno = 0;
	ok(!bm_shrinker_register(NULL, &cache_ops, &cache, 2) && errno == EINVAL, "no name");
	errno = 0;
	ok(!bm_shrinker_register("a", NULL, &cache, 2) && errno == EINVAL, "no operations");
	errno = 0;
	ok(!bm_shrinker_register("a", &partial, &cache, 2) && errno == EINVAL, "an operation is missing");
	errno = 0;
	ok(!bm_shrinker_register("a", &cache_ops, &cache, -1) && errno == EINVAL, "negative seeks");
	errno = 0;
	bm_shrinker_unregister(NULL);
	ok(errno == 0, "NULL is nothing");
	s = bm_shrinker_register("a", &cache_ops, &cache, 2);
	bm_shrinker_unregister(s);
	ok(s && errno == 0, "registered, and unregistered");
	bm_shrinker_unregister(s);
	ok(errno == EINVAL, "but not twice");
}

static void test_drop_caches(void)
{
	bm_shrinker_t *s = bm_shrinker_register("my cache", &cache_ops, &cache, 2);
	unsigned int scope;
	const char *text;
	char line[64];

	while (cache.nr < 1000)
		cache_add();
	scope = bm_memalloc_save(BM_SCOPE_NOFS);
	is_int(bm_ctl_set("vm.drop_caches", "2"), 0, "drop_caches in a NOFS scope");
	bm_memalloc_restore(scope);
	is_int((long)cache.nr, 1000, "leaves the cache alone");
	pthread_mutex_lock(&cache.lock);
	bm_ctl_set("vm.drop_caches", "2");
	pthread_mutex_unlock(&cache.lock);
	ok(cache.nr == 1000 && cache.stops, "and so it does where the cache's lock is held");
	bm_ctl_set("vm.drop_caches", "2");
	is_int((long)cache.nr, 0, "else it empties it");
	text = api_report("shrinkers");
	snprintf(line, sizeof(line), "\nmy_cache %lu 1000 ", cache.scans + cache.stops);
	ok(strstr(text, line) != NULL, "as the report says: %s", text);
	while (cache.nr < 1000)
		cache_add();
	cache.unregister_once = s;
	cache.scans = 0;
	bm_ctl_set("vm.drop_caches", "2");
	ok(cache.scans == 1 && cache.nr < 1000, "it may unregister itself: that was its last call");
	ok(!strstr(api_report("shrinkers"), "my_cache"), "and is gone");
	while (cache.nr)
		drop_oldest();
}

/* So many objects, most of which a cache need not keep; how many there were memory for. */
static size_t run(size_t nr)
{
	size_t n = 0;

	while (n < nr && cache_add())
		n++;
	return n;
}

/* A child under a limit of address space: its cache would grow to 64 MiB beyond it. */
static int live(bool with_shrinker, size_t beyond)
{
	long now = api_figure("/proc/self/status", "VmSize:");
	struct rlimit limit;
	int status;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child)
		return waitpid(child, &status, 0) == child ? status : -1;
	if (now < 0 || getrlimit(RLIMIT_AS, &limit))
		_exit(99);
	limit.rlim_cur = (rlim_t)now * KIB + beyond;
	if (setrlimit(RLIMIT_AS, &limit) || bm_ctl_set("oom", "enomem"))
		_exit(99);
	if (with_shrinker && !bm_shrinker_register("cache", &cache_ops, &cache, 2))
		_exit(98);
	cache.fork_once = true;
	cache.scans = 0;
	if (run(4 * NR_OBJECTS) < 4 * NR_OBJECTS)
		_exit(1);
	/* It was called, gave no more than was needed, and its child went on. */
	if (!cache.scans || cache.nr * OBJECT < beyond / 4 * 3 || !WIFEXITED(cache.fork_status) ||
	    WEXITSTATUS(cache.fork_status) != 7)
		_exit(2);
	/* A large block comes from it too, for a few rounds of what is asked in vain; one of many pageblocks may take
	 * all. */
	now = (long)cache.nr;
	if (!malloc(500000) || (long)cache.nr < now / 2 || !malloc(beyond / 4))
		_exit(3);
	/* What no limit allows is not worth it. */
	now = (long)cache.nr;
	if (malloc((size_t)limit.rlim_cur + MIB) || (long)cache.nr != now)
		_exit(4);
	_exit(0);
}

static void test_limit(void)
{
	int status;

	if (api_sanitized() || api_under_valgrind()) {
		diag("no limits: a sanitizer or valgrind cannot live under RLIMIT_AS");
		return;
	}
	status = live(false, 32 * MIB);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 1, "without a shrinker malloc fails: %#x", (unsigned int)status);
	status = live(true, 32 * MIB);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "with one the program lives: %#x", (unsigned int)status);
}

int main(void)
{
	test_arguments();
	test_drop_caches();
	test_limit();
	return done_testing();
}
