/* SPDX-License-Identifier: MIT */
/*
 * kswapd: when there is one, how far it works, whom it asks, and what it is as a thread: its name, its signals, the end
 * of it, fork and exit.
 */
#include <pthread.h>
#include <semaphore.h>

#include "base/tunables.h"
#include "malloc/fork.h"
#include "malloc/heap.h"
#include "mm/budget.h"
#include "mm/kswapd.h"
#include "mm/pressure.h"
#include "mm/shrinker.h"
#include "mm/vmscan.h"
#include "threads.h"
#include "walk.h"

#define NR_FREE 200
#define NR_HELD 120
#define MIN 20
#define LOW 40
#define HIGH 60

/* The test says how fast time goes for who waits, and whether threads can be made. */
static unsigned int hurry = 1;
static bool no_threads;
static int starts;
bool __real_os_futex_wait_ms(uint32_t *word, uint32_t value, unsigned int ms);
bool __wrap_os_futex_wait_ms(uint32_t *word, uint32_t value, unsigned int ms);
bool __wrap_os_futex_wait_ms(uint32_t *word, uint32_t value, unsigned int ms)
{
	return __real_os_futex_wait_ms(word, value, ms / READ_ONCE(hurry) + 1);
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

static unsigned long count_held(int nid)
{
	(void)nid;
	atomic_add_return(&held_counts, 1);
	return READ_ONCE(nr_held);
}
static unsigned long scan_held(int nid, unsigned long nr)
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

static void hold(unsigned long nr)
{
	pthread_mutex_lock(&held_lock);
	while (nr_held < nr) {
		must(held[nr_held] = take(zone, 0, MIGRATE_UNMOVABLE));
		WRITE_ONCE(nr_held, nr_held + 1);
	}
	pthread_mutex_unlock(&held_lock);
}

/* Single pages, some of them held by the cache, and marks. */
static void start(unsigned long nr_to_hold)
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
	alarm(120);
}

static void until(bool (*so)(void))
{
	while (!so())
		os_sleep_ms(1);
}
static bool balanced(void)
{
	return READ_ONCE(zone->nr_free_pages) >= HIGH;
}
static bool running(void)
{
	return READ_ONCE(pgdat->kswapd) != 0;
}
static bool gone(void)
{
	return !running();
}
static bool given_up(void)
{
	return READ_ONCE(pgdat->kswapd_failures) >= MAX_RECLAIM_RETRIES;
}

/* It counts when a cache has answered: the pages are there before that. */
static bool stolen(void)
{
	return READ_ONCE(vm_events[PGSTEAL_KSWAPD]) >= HIGH - LOW;
}
static bool stolen_from_app(void)
{
	return READ_ONCE(vm_events[KSWAPD_INODESTEAL]) >= HIGH - LOW;
}

/* Allocate until nr pages are free, or would be, were kswapd not there. */
static struct page *taken[1000];
static unsigned int nr_taken;

static void down_to(unsigned long nr)
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

static bool has_kswapd(void)
{
	return threads_named("kswapd0", NULL) == 1;
}

/* From low to high, and nobody had to reclaim himself. */
static void works(void)
{
	start(NR_HELD);
	down_to(LOW);
	must(!starts && !has_kswapd() && (TSAN || threads_named("", NULL) == 1), "not needed yet");
	must(alloc_pages(GFP_KERNEL, 0));
	until(balanced);
	must(starts == 1 && !vm_events[ALLOCSTALL] && has_kswapd() && (TSAN || threads_named("", NULL) == 2));
	until(stolen);
	must(READ_ONCE(vm_events[PAGEOUTRUN]) >= 1);
	must(READ_ONCE(nr_held) >= NR_HELD - 2 * 32, "no more than needed: %lu", nr_held);
	/* The same thread, the next time. */
	down_to(LOW - 1);
	until(balanced);
	must(starts == 1 && !vm_events[ALLOCSTALL] && has_kswapd() && (TSAN || threads_named("", NULL) == 2));
	must(!(current->flags & PF_SCOPES));
}

static void modes(void)
{
	start(NR_HELD);
	hurry = 100;
	tunables.kswapd = KSWAPD_OFF;
	nr_heap_threads = 2;
	down_to(LOW - 5);
	must(!starts && READ_ONCE(nr_held) == NR_HELD);
	tunables.kswapd = KSWAPD_AUTO;
	nr_heap_threads = 1;
	down_to(LOW - 10);
	must(!starts, "a process of one thread stays one");
	nr_heap_threads = 2;
	must(alloc_pages(GFP_KERNEL, 0) && !starts, "nor is there a limit");
	limits_in_force = true;
	must(alloc_pages(GFP_KERNEL, 0));
	until(balanced);
	must(starts == 1);
	/* Switched off, it goes. */
	WRITE_ONCE(tunables.kswapd, KSWAPD_OFF);
	until(gone);
	set_marks(zone, 0, 0, 0);
	WRITE_ONCE(tunables.kswapd, KSWAPD_ON);
	down_to(5);
	must(starts == 1, "no marks, no thread");
}

/* Who may not wait does not make a thread, but wakes one. */
static void rights(void)
{
	unsigned int scopes;
	uint32_t seen;

	start(NR_HELD);
	down_to(LOW + 1);
	must(alloc_pages(GFP_NOWAIT, 0) && alloc_pages(GFP_ATOMIC, 0) && !starts);
	scopes = memalloc_flags_save(PF_MEMALLOC);
	must(alloc_pages(GFP_KERNEL, 0) && !starts);
	memalloc_flags_restore(scopes);
	mutex_hold_for_fork(true);
	must(alloc_pages(GFP_KERNEL, 0) && !starts);
	mutex_hold_for_fork(false);
	must(alloc_pages(GFP_KERNEL & ~GFP_KSWAPD_RECLAIM, 0) && !starts);
	must(alloc_pages(GFP_KERNEL, 0) && starts == 1);
	until(balanced);
	/* It may have done its work before this thread goes on: a number of free pages may never be seen. */
	seen = READ_ONCE(pgdat->kswapd_wakeups);
	while (READ_ONCE(pgdat->kswapd_wakeups) == seen)
		must(alloc_pages(GFP_NOWAIT, 0));
	until(balanced);
	must(starts == 1 && !vm_events[ALLOCSTALL]);
}

/* What comes from elsewhere than the zones counts as much: a huge block takes from the same limit. */
static void elsewhere(void)
{
	start(NR_HELD);
	kswapd_poll();
	must(!starts);
	while (zone->nr_free_pages >= LOW)
		must(take(zone, 0, MIGRATE_UNMOVABLE));
	kswapd_poll();
	until(balanced);
	must(starts == 1 && !vm_events[ALLOCSTALL]);
}

/* It cannot be made: the next try comes later, and meanwhile all goes on as without. */
static void no_thread(void)
{
	start(NR_HELD);
	no_threads = true;
	stopped = 1000000;
	down_to(LOW - 1);
	must(starts == 1);
	zone->watermark_boost = 10;
	must(alloc_pages(GFP_KERNEL, 0));
	must(zone->watermark_boost == 0 && starts == 1);
	WRITE_ONCE(stopped, 1000999);
	must(alloc_pages(GFP_KERNEL, 0) && starts == 1);
	WRITE_ONCE(stopped, 1002000);
	must(alloc_pages(GFP_KERNEL, 0) && starts == 2);
	no_threads = false;
	WRITE_ONCE(stopped, 1004000);
	must(alloc_pages(GFP_KERNEL, 0) && starts == 3);
	until(balanced);
}

/* Nothing to be had: it gives up, and is left alone until somebody has freed something. */
static void hopeless(void)
{
	unsigned long runs;

	start(NR_HELD);
	hurry = 100;
	WRITE_ONCE(nr_held, 0);
	down_to(LOW - 1);
	until(given_up);
	runs = READ_ONCE(vm_events[PAGEOUTRUN]);
	must(runs == MAX_RECLAIM_RETRIES, "%lu", runs);
	must(alloc_pages(GFP_KERNEL, 0));
	until(gone);
	must(alloc_pages(GFP_KERNEL, 0) && starts == 1 && READ_ONCE(vm_events[PAGEOUTRUN]) == runs);
	WRITE_ONCE(nr_held, NR_HELD);
	must(try_to_free_pages(pgdat->node_zonelists[ZONELIST_FALLBACK], 0, GFP_KERNEL, NULL) >= 32);
	must(!given_up());
	down_to(LOW - 1);
	until(balanced);
	must(starts == 2);
}

static bool unboosted(void)
{
	return !READ_ONCE(zone->watermark_boost);
}

/* What the marks were raised by is taken back, with as much reclaim as that was. */
static void boost(void)
{
	start(NR_HELD);
	down_to(HIGH + 5);
	zone->watermark_boost = 40;
	wakeup_kswapd(zone, 0, 0, ZONE_NORMAL);
	must(!starts && zone->watermark_boost == 40, "a lock may be held there");
	must(alloc_pages(GFP_KERNEL, 0));
	until(unboosted);
	must(starts == 1 && READ_ONCE(zone->nr_free_pages) >= HIGH + 40 && !vm_events[ALLOCSTALL]);
	WRITE_ONCE(zone->watermark_boost, 30);
	wakeup_kswapd(zone, 0, 0, ZONE_NORMAL);
	until(unboosted);
	must(READ_ONCE(vm_events[PAGEOUTRUN]) >= 2);
}

/* What came while it worked is taken back by the next run. */
static void boosted_meanwhile(void)
{
	start(NR_HELD);
	down_to(HIGH + 5);
	zone->watermark_boost = 40;
	boost_meanwhile = 7;
	must(alloc_pages(GFP_KERNEL, 0));
	until(unboosted);
	must(!READ_ONCE(boost_meanwhile) && READ_ONCE(vm_events[PAGEOUTRUN]) == 2 && !vm_events[ALLOCSTALL]);
}

/* For the sake of a boost nobody is asked twice. */
static void boost_in_vain(void)
{
	start(NR_HELD);
	nr_held = 0;
	down_to(HIGH + 5);
	zone->watermark_boost = 40;
	must(alloc_pages(GFP_KERNEL, 0));
	until(unboosted);
	must(READ_ONCE(held_counts) == 1 && READ_ONCE(vm_events[PAGEOUTRUN]) == 1 && !vm_events[ALLOCSTALL]);
}

/* Each kind of request has its zones: what one of them has is no help to the other. */
static void zones(void)
{
	struct zone *movable;

	start(NR_HELD);
	movable = zone_at(0, ZONE_MOVABLE);
	must(pgdat_balanced(pgdat, 0, ZONE_MOVABLE) && pgdat_balanced(pgdat, 0, ZONE_NORMAL));
	set_marks(zone, HUGE_MARK, HUGE_MARK, HUGE_MARK);
	must(!pgdat_balanced(pgdat, 0, ZONE_MOVABLE) && !pgdat_balanced(pgdat, 0, ZONE_NORMAL));
	must(pgdat_balanced(pgdat, 0, ZONE_DMA32), "there is none");
	movable->managed_pages = movable->nr_free_pages = 1000;
	must(pgdat_balanced(pgdat, 0, ZONE_MOVABLE) && !pgdat_balanced(pgdat, 0, ZONE_NORMAL));
	movable->managed_pages = movable->nr_free_pages = 0;
}

/* Idle: what lies dirty goes back in time, and after some time the thread goes, too. */
static int idle_calls;
static void idle_work(void)
{
	atomic_add_return(&idle_calls, 1);
	arena_purge(~0UL, 0, false);
}

static bool idled(void)
{
	return READ_ONCE(idle_calls) >= 3;
}

static void idle(void)
{
	start(NR_HELD);
	hurry = 100;
	kswapd_idle_work = idle_work;
	arena_stats.dirty = 1;
	down_to(LOW - 1);
	until(balanced);
	until(idled);
	must(running());
	arena_lock_all();
	WRITE_ONCE(arena_stats.dirty, 0);
	arena_unlock_all();
	until(gone);
	must(starts == 1);
	down_to(LOW - 1);
	until(balanced);
	must(starts == 2);
}

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
	must(READ_ONCE(app.kswapd_calls) && !vm_events[ALLOCSTALL]);
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
			alarm(120);
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
	run_case("works from the low mark to the high one, and nobody stalls", works);
	run_case("kswapd:auto, on and off", modes);
	run_case("who may not wait makes no thread", rights);
	run_case("huge blocks wake it too", elsewhere);
	run_case("where no thread can be made", no_thread);
	run_case("gives up where nothing is to be had", hopeless);
	run_case("takes a boost back", boost);
	run_case("but not what came meanwhile", boosted_meanwhile);
	run_case("in vain: one round", boost_in_vain);
	run_case("balanced, for which requests", zones);
	run_case("idle: gives back in time, then ends", idle);
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
