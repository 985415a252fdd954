/* SPDX-License-Identifier: MIT */
/*
 * kswapd as a program has it, under `limit:`: its cache is asked by kswapd before the limit is reached, so that nobody
 * stalls; the thread is there, by its name, and only where it may be; what poll() says; fork, setuid, exit.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reports.h"
#include "threads.h"

#define OBJECT 200
#define NR_OBJECTS (128 * MIB / OBJECT)
#define STEP 100 /* objects, about five pages */

static struct {
	pthread_mutex_t lock;
	void *object[NR_OBJECTS];
	size_t oldest, nr;
	unsigned long calls, kswapd_calls;
	bool kswapd_first;
} cache = { .lock = PTHREAD_MUTEX_INITIALIZER };

static unsigned long first_stalls; /* threads that had to reclaim by the time that kswapd had done something */

static unsigned long cache_count(void *arg, struct bm_shrink_control *sc)
{
	(void)arg, (void)sc;
	return __atomic_load_n(&cache.nr, __ATOMIC_RELAXED);
}

static unsigned long cache_scan(void *arg, struct bm_shrink_control *sc)
{
	unsigned long n = 0;
	char name[16] = "";
	bool is_kswapd, first;

	(void)arg;
	prctl(PR_GET_NAME, name);
	is_kswapd = !strcmp(name, "kswapd0");
	first = __atomic_add_fetch(&cache.calls, 1, __ATOMIC_RELAXED) == 1;
	__atomic_add_fetch(&cache.kswapd_calls, is_kswapd, __ATOMIC_RELAXED);
	if (first)
		cache.kswapd_first = is_kswapd;
	free(malloc(1000));
	if (pthread_mutex_trylock(&cache.lock))
		return BM_SHRINK_STOP;
	for (; n < sc->nr_to_scan && cache.nr; n++) {
		free(cache.object[cache.oldest]);
		cache.oldest = (cache.oldest + 1) % NR_OBJECTS;
		__atomic_sub_fetch(&cache.nr, 1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&cache.lock);
	return n;
}

static const struct bm_shrinker_ops cache_ops = { .count = cache_count, .scan = cache_scan };

static bool cache_add(void)
{
	char *p = malloc(OBJECT);

	if (!p)
		return false;
	memset(p, 0x5a, OBJECT);
	pthread_mutex_lock(&cache.lock);
	cache.object[(cache.oldest + cache.nr) % NR_OBJECTS] = p;
	__atomic_add_fetch(&cache.nr, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&cache.lock);
	return true;
}

/* Another one that uses the heap, and stays. */
static void *second(void *arg)
{
	void *volatile p = malloc(100);

	free(p);
	pthread_barrier_wait(arg);
	for (;;)
		pause();
	return NULL;
}

static void two_threads(void)
{
	static pthread_barrier_t barrier;
	pthread_t t;

	if (pthread_barrier_init(&barrier, NULL, 2) || pthread_create(&t, NULL, second, &barrier))
		_exit(90);
	pthread_barrier_wait(&barrier);
}

/* More than the limit has room for, the oldest of which the cache need not keep; how many there were. patient: once
 * there is a kswapd it is given the time to do something. */
static size_t fill(bool patient)
{
	size_t n;
	int i;

	for (n = 0; n < NR_OBJECTS && cache_add(); n++) {
		if (!patient || n % STEP || threads_named("", NULL) < 3) /* it may have no name yet */
			continue;
		for (i = 0; i < 2000 && !__atomic_load_n(&cache.calls, __ATOMIC_RELAXED); i++)
			usleep(1000);
		patient = false;
		first_stalls = report_vmstat("allocstall_normal");
	}
	return n;
}

static int child(int (*fn)(void))
{
	int status = -1;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		alarm(900);
		bm_ctl_set("oom", "enomem");
		_exit(bm_ctl_set("limit", "64m") ? 91 : fn());
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

static int without(void)
{
	two_threads();
	return fill(false) == NR_OBJECTS;
}

static int single(void)
{
	if (!bm_shrinker_register("cache", &cache_ops, NULL, 2) || fill(false) != NR_OBJECTS)
		return 1;
	return !cache.calls || cache.kswapd_calls || threads_named("kswapd", NULL);
}

static int in_time(void)
{
	struct pollfd p = { .events = POLLIN };
	char text[16] = "-1";

	two_threads();
	bm_ctl_set("vm.watermark_scale_factor", "3000");
	if (!bm_shrinker_register("cache", &cache_ops, NULL, 2) ||
	    bm_ctl_get("pressure.eventfd", text, sizeof(text)) < 0)
		return 1;
	p.fd = atoi(text);
	if (poll(&p, 1, 0) != 0)
		return 2;
	if (fill(true) != NR_OBJECTS)
		return 3;
	if (first_stalls || !cache.kswapd_first)
		return 4;
	if (threads_named("kswapd0", NULL) != 1)
		return 5;
	if (poll(&p, 1, 0) != 1 || p.revents != POLLIN)
		return 6;
	return report_vmstat("pageoutrun") && report_vmstat("kswapd_inodesteal") ? 0 : 7;
}

static int at_full_speed(void)
{
	two_threads();
	if (!bm_shrinker_register("cache", &cache_ops, NULL, 2) || fill(false) != NR_OBJECTS)
		return 1;
	if (!cache.kswapd_calls || threads_named("kswapd0", NULL) != 1)
		return 2;
	return setuid(getuid()) || setgid(getgid()) ? 3 : 0;
}

/* A child of vfork, which is the first that needs one, makes none; its parent does. */
static int vforked(void)
{
	int status;
	pid_t pid;

	two_threads();
	if (!bm_shrinker_register("cache", &cache_ops, NULL, 2))
		return 1;
	pid = vfork();
	if (!pid)
		_exit(fill(false) == NR_OBJECTS ? 0 : 1);
	if (waitpid(pid, &status, 0) != pid || status)
		return 2;
	return fill(false) != NR_OBJECTS || threads_named("kswapd0", NULL) != 1 || !cache.kswapd_calls;
}

/* Its child has no kswapd, until it has a second thread and needs one. */
static int forked(void)
{
	int status;
	pid_t pid;

	if (at_full_speed())
		return 1;
	/* kswapd may be at the cache: its lock is the program's to take before. */
	pthread_mutex_lock(&cache.lock);
	pid = fork();
	pthread_mutex_unlock(&cache.lock);
	if (pid)
		return waitpid(pid, &status, 0) != pid || status;
	alarm(900);
	cache.kswapd_calls = 0;
	if (threads_named("kswapd", NULL) || fill(false) != NR_OBJECTS || threads_named("kswapd", NULL))
		_exit(1);
	two_threads();
	if (fill(false) != NR_OBJECTS || threads_named("kswapd0", NULL) != 1 || !cache.kswapd_calls)
		_exit(2);
	exit(0); /* while it may be at work */
}

int main(void)
{
	if (api_sanitized() || api_under_valgrind())
		skip_all("a sanitizer or valgrind has threads and memory of its own");
	if (access("/proc/self/task", R_OK))
		skip_all("no /proc to see threads in");
	is_int(child(without), 0, "without a shrinker the limit ends it");
	is_int(child(single), 0, "a program of one thread asks its cache itself, and stays one of one thread");
	is_int(child(in_time), 0, "kswapd asks it before the limit is reached and anybody stalls; poll() hears of it");
	is_int(child(at_full_speed), 0, "at full speed both do; setuid() does not hang");
	is_int(child(forked), 0, "a forked child makes its own");
	is_int(child(vforked), 0, "one of vfork makes none, and its parent does");
	return done_testing();
}
