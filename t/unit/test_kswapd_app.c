/* SPDX-License-Identifier: MIT */
/*
 * kswapd in a program: it asks the application's shrinkers, whatever they do there; its signals, fork and exit.
 */
#include <semaphore.h>

#include "malloc/heap.h"
#include "mm/pcp.h"
#include "mm/shrinker.h"
#include "kswapd.h"

/* An application's cache, which frees pages of its own, and does something first. */
static struct app {
	void (*act)(struct app *a);
	struct bm_shrinker *s;
	unsigned long nr, calls, kswapd_calls;
} app;

static unsigned long count_app(void *arg, struct bm_shrink_control *sc)
{
	struct app *a = arg;

	(void)sc;
	return READ_ONCE(a->nr);
}

static unsigned long scan_app(void *arg, struct bm_shrink_control *sc)
{
	struct app *a = arg;
	unsigned long freed = 0;

	must(current->flags & PF_MEMALLOC && current->shrinker == a->s);
	if (current->flags & PF_KSWAPD)
		atomic_add_return(&a->kswapd_calls, 1);
	atomic_add_return(&a->calls, 1);
	if (a->act)
		a->act(a);
	for (; freed < sc->nr_to_scan && nr_held; freed++) {
		WRITE_ONCE(nr_held, nr_held - 1);
		give(held[nr_held], 0);
		WRITE_ONCE(a->nr, a->nr - 1);
	}
	return freed;
}

static const struct bm_shrinker_ops app_ops = { .count = count_app, .scan = scan_app };

/* The pages are the application's, and only its shrinker frees them. */
static void start_app(void (*act)(struct app *a))
{
	start(0);
	must(heap_init());
	hold(NR_HELD);
	app.nr = nr_held;
	app.act = act;
	must(app.s = register_shrinker_app("app", &app_ops, &app, 2));
}

static void asks_application(void)
{
	unsigned long calls;

	start_app(NULL);
	down_to(LOW - 1);
	until(balanced);
	until(stolen_from_app);
	calls = READ_ONCE(app.calls);
	must(!vm_events[ALLOCSTALL] && READ_ONCE(app.kswapd_calls) >= calls);
}

/* What a shrinker may do there: allocate, free, fork, take the application's locks, go. */
static pthread_mutex_t app_lock = PTHREAD_MUTEX_INITIALIZER;
static int forked_status = -1;

static void do_much(struct app *a)
{
	void *p, *large;
	pid_t child;

	(void)a;
	if (!(current->flags & PF_KSWAPD))
		return;
	must(!pthread_mutex_lock(&app_lock));
	p = heap_malloc(100);
	large = heap_malloc(3 << 20);
	heap_free(large);
	heap_free(p);
	must(tcache.state == TCACHE_OFF, "what it frees is for others");
	if (forked_status < 0) {
		child = fork();
		if (!child) {
			must(!(current->flags & PF_KSWAPD) && !pgdat->kswapd);
			p = heap_malloc(100);
			heap_free(p);
			_exit(7);
		}
		must(waitpid(child, &forked_status, 0) == child);
	}
	pthread_mutex_unlock(&app_lock);
}

static void busy_shrinker(void)
{
	start_app(do_much);
	down_to(LOW - 1);
	until(balanced);
	must(READ_ONCE(app.kswapd_calls) && !vm_events[ALLOCSTALL],
	     "%lu calls, %lu of them kswapd's; %lu stalls, %lu free, %lu held", app.calls, app.kswapd_calls,
	     vm_events[ALLOCSTALL], READ_ONCE(zone->nr_free_pages), READ_ONCE(nr_held));
	pthread_mutex_lock(&app_lock);
	must(WIFEXITED(forked_status) && WEXITSTATUS(forked_status) == 7, "%#x", (unsigned int)forked_status);
	pthread_mutex_unlock(&app_lock);
}

static void go_away(struct app *a)
{
	must(unregister_shrinker_app(a->s));
}

static bool unregistered(void)
{
	return !have_shrinkers();
}

static void leaves(void)
{
	start_app(go_away);
	hurry = 100;
	down_to(LOW - 1);
	until(unregistered);
	down_to(MIN + 1);
	until(gone);
	must(READ_ONCE(app.calls) == 1);
}

/* It stalls on kswapd: others reclaim themselves, and it can be unregistered once it goes on. */
static sem_t inside, go;

static void stall(struct app *a)
{
	(void)a;
	if (!(current->flags & PF_KSWAPD))
		return;
	sem_post(&inside);
	while (sem_wait(&go))
		;
}

static void stalls(void)
{
	struct page *page;

	sem_init(&inside, 0, 0);
	sem_init(&go, 0, 0);
	start_app(stall);
	down_to(LOW - 1);
	while (sem_wait(&inside))
		;
	down_to(MIN);
	must((page = alloc_pages(GFP_KERNEL, 0)), "kswapd is not the only one who can");
	must(vm_events[ALLOCSTALL] == 1 && READ_ONCE(app.kswapd_calls) == 1 && READ_ONCE(app.calls) > 1);
	sem_post(&go);
	sem_post(&go);
	sem_post(&go);
	must(unregister_shrinker_app(app.s));
	free_pages(page, 0);
}

static volatile int handled_by;
static void handler(int sig)
{
	(void)sig;
	handled_by = os_gettid();
}

/* A signal to the process is never delivered on it; and setuid() reaches it. */
static void signals(void)
{
	struct timespec soon = { .tv_nsec = 50000000 };
	char path[64], line[128];
	unsigned long blocked = 0;
	sigset_t set;
	FILE *file;
	int tid;

	start(NR_HELD);
	down_to(LOW - 1);
	until(balanced);
	must(threads_named("kswapd0", &tid) == 1);
	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	must((file = fopen(path, "r")));
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "SigBlk: %lx", &blocked) == 1)
			break;
	fclose(file);
	blocked |= 1UL << (SIGKILL - 1) | 1UL << (SIGSTOP - 1);
	if (on_valgrind())
		blocked |= 1UL << 63; /* its own */
	must(blocked == ~(3UL << 31), "%lx", blocked);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	must(!pthread_sigmask(SIG_BLOCK, &set, NULL));
	signal(SIGUSR1, handler);
	must(!kill(getpid(), SIGUSR1));
	nanosleep(&soon, NULL);
	must(!handled_by && sigtimedwait(&set, NULL, &soon) == SIGUSR1, "it was nobody's");
	must(!setuid(getuid()) && !setgid(getgid()), "libc's own signals reach it");
	must(!pthread_sigmask(SIG_UNBLOCK, &set, NULL));
	must(!kill(getpid(), SIGUSR1));
	must(handled_by == os_gettid());
}

static void again(void)
{
	while (READ_ONCE(zone->nr_free_pages) < NR_FREE * 3 / 4 && nr_taken)
		give(taken[--nr_taken], 0);
	hold(NR_FREE / 2);
	down_to(LOW - 1);
}

/* A child has none, and makes its own when it needs one. */
static void forks(void)
{
	int status, i;
	pid_t child;

	start(NR_HELD);
	must(heap_init());
	for (i = 0; i < 20; i++) {
		again(); /* it may be at work, or not be there yet */
		if (ASAN)
			until(balanced);
		fflush(NULL);
		child = fork();
		if (!child) {
			alarm(900);
			pthread_mutex_init(&held_lock, NULL);
			zone_pcp_disable(zone); /* fork has opened the lists */
			must(threads_named("", NULL) == 1 && !running());
			again();
			until(balanced);
			must(has_kswapd() && threads_named("", NULL) == 2);
			_exit(0);
		}
		must(waitpid(child, &status, 0) == child && status == 0, "status %#x", (unsigned int)status);
		until(balanced);
	}
	must(has_kswapd() && threads_named("", NULL) == 2);
}

/* The child of a vfork has our memory, and would take the thread along when it becomes another program. */
static void vforks(void)
{
	pid_t child;
	int status;

	start(NR_HELD);
	hurry = 100;
	down_to(LOW - 1);
	until(balanced);
	WRITE_ONCE(tunables.kswapd, KSWAPD_OFF);
	until(gone);
	WRITE_ONCE(tunables.kswapd, KSWAPD_ON);
	child = vfork();
	if (!child) {
		down_to(LOW - 1);
		_exit(starts == 1 && !running() ? 7 : 8);
	}
	must(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
	down_to(LOW - 2);
	until(balanced);
	must(starts == 2);
}

/* The process ends while it works, or right after it was made. */
static void endless(struct app *a)
{
	(void)a;
	if (current->flags & PF_KSWAPD)
		sem_post(&inside);
	for (;;)
		os_sleep_ms(1000);
}

static void ends(void)
{
	sem_init(&inside, 0, 0);
	start_app(endless);
	down_to(LOW - 1);
	while (sem_wait(&inside))
		;
	exit(0);
}

int main(void)
{
	run_case("asks the application's shrinkers", asks_application);
	run_case("which allocate, free, lock and fork there", busy_shrinker);
	run_case("or unregister themselves", leaves);
	run_case("or stall, and others go on without it", stalls);
	run_case("no signal is delivered on it, but setuid() reaches it", signals);
	if (TSAN) {
		skip(2, "thread sanitizer has no new threads in the child of one that has some, and no vfork");
	} else {
		run_case("fork: the child makes its own", forks);
		run_case("vfork: the child makes none", vforks);
	}
	run_case("exit while it works", ends);
	return done_testing();
}
