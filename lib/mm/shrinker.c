/* SPDX-License-Identifier: MIT */
/*
 * The application's shrinkers: the registry, and how much each is asked for.
 *
 * A shrinker is called with no lock held, by any number of threads at once. A thread that is at one has counted itself
 * in s->running, under the lock, which keeps it on the list: so that is also where the thread goes on from. It is
 * unregistered by marking it dead, which ends everybody's turn at it; who is the last to leave takes it off the list,
 * unless somebody waits for that to happen. Its memory serves another one then, and is never given back, so that a
 * handle that is out of date is no danger.
 */
#include "mm/shrinker.h"

#include <errno.h>
#include <string.h>

#include "base/host.h"
#include "mm/current.h"
#include "mm/memblock.h"
#include "mm/owner.h"
#include "mm/vmstat.h"

#define NAME_LEN 32

struct bm_shrinker {
	/* While it is registered these do not change. */
	char name[NAME_LEN];
	struct bm_shrinker_ops ops;
	void *arg;
	unsigned int seeks;
	/* The lock's; running is also what unregister sleeps on, dead is looked at without. */
	struct bm_shrinker *next;
	uint32_t running; /* threads that are at it */
	bool dead;	  /* no further call begins */
	bool awaited;	  /* somebody waits until nobody is at it, and takes it off then */
	/* Atomic. */
	unsigned long calls, freed;
	struct {
		unsigned long freeable; /* objects, as it said last */
		unsigned long deferred; /* objects that were to be scanned, and could not or were too few */
	} node[MAX_NUMNODES];
};

static struct {
	struct mutex lock;
	struct bm_shrinker *head; /* in the order of registration */
	struct bm_shrinker *free;
	unsigned int nr; /* on the list; read without the lock */
} registry = { .lock = MUTEX_INIT(RANK_SHRINKER) };

bool have_shrinkers(void)
{
	return READ_ONCE(registry.nr) != 0;
}

static void copy_name(struct bm_shrinker *s, const char *name)
{
	size_t i;

	for (i = 0; i < NAME_LEN - 1 && name[i]; i++)
		s->name[i] = name[i] > ' ' && name[i] < 0x7f ? name[i] : '_'; /* a report has one word for it */
	s->name[i] = 0;
}

static struct bm_shrinker *take_free(void)
{
	struct bm_shrinker *s;

	mutex_lock(&registry.lock);
	s = registry.free;
	if (s)
		registry.free = s->next;
	mutex_unlock(&registry.lock);
	return s ? s : memblock_alloc(sizeof(*s));
}

struct bm_shrinker *register_shrinker_app(const char *name, const struct bm_shrinker_ops *ops, void *arg, int seeks)
{
	struct bm_shrinker *s = take_free(), **last;
	int nid;

	if (!s)
		return NULL;
	memset(s, 0, sizeof(*s));
	copy_name(s, name);
	s->ops = *ops;
	s->arg = arg;
	s->seeks = (unsigned int)seeks;
	/* It has not been asked: it may have something. */
	for (nid = 0; nid < MAX_NUMNODES; nid++)
		s->node[nid].freeable = 1;
	mutex_lock(&registry.lock);
	for (last = &registry.head; *last; last = &(*last)->next)
		;
	*last = s;
	WRITE_ONCE(registry.nr, registry.nr + 1);
	mutex_unlock(&registry.lock);
	return s;
}

/* The lock is held, and nobody is at it. */
static void retire(struct bm_shrinker *s)
{
	struct bm_shrinker **at;

	for (at = &registry.head; *at != s; at = &(*at)->next)
		;
	*at = s->next;
	WRITE_ONCE(registry.nr, registry.nr - 1);
	s->next = registry.free;
	registry.free = s;
}

static bool is_registered(const struct bm_shrinker *s)
{
	const struct bm_shrinker *at;

	for (at = registry.head; at && at != s; at = at->next)
		;
	return at && !at->dead;
}

bool unregister_shrinker_app(struct bm_shrinker *s)
{
	uint32_t own = current->shrinker == s, running;

	mutex_lock(&registry.lock);
	if (!is_registered(s)) {
		mutex_unlock(&registry.lock);
		return false;
	}
	WRITE_ONCE(s->dead, true);
	s->awaited = true;
	while ((running = s->running) > own) {
		mutex_unlock(&registry.lock);
		host_futex_wait(&s->running, running);
		mutex_lock(&registry.lock);
	}
	s->awaited = false;
	/* A thread that is in one of its own calls takes it off when that has returned. */
	if (!own)
		retire(s);
	mutex_unlock(&registry.lock);
	return true;
}

/* Leave s (NULL: none yet) and go to the next that is registered; NULL: that was the last. */
static struct bm_shrinker *next_shrinker(struct bm_shrinker *s)
{
	struct bm_shrinker *next;
	bool wake = false;

	mutex_lock(&registry.lock);
	for (next = s ? s->next : registry.head; next && next->dead; next = next->next)
		;
	if (next)
		WRITE_ONCE(next->running, next->running + 1);
	if (s) {
		WRITE_ONCE(s->running, s->running - 1);
		wake = s->awaited;
		if (s->dead && !s->running && !s->awaited)
			retire(s);
	}
	current->shrinker = next;
	mutex_unlock(&registry.lock);
	if (wake)
		host_futex_wake(&s->running, INT32_MAX);
	return next;
}

/* What a priority makes of so many objects. Those that are made again for nothing go by halves, always. */
static unsigned long scan_share(const struct bm_shrinker *s, unsigned long freeable, int priority)
{
	if (!s->seeks)
		return freeable / 2;
	return (freeable >> priority) * 4 / s->seeks;
}

static void defer(struct bm_shrinker *s, int nid, unsigned long nr)
{
	unsigned long *deferred = &s->node[nid].deferred;
	/* It shall not come to more than going over all of them twice. */
	unsigned long most = 2 * READ_ONCE(s->node[nid].freeable), was;

	do {
		was = READ_ONCE(*deferred);
	} while (!try_cmpxchg(deferred, was, min_ul(was + nr, max_ul(most, was))));
}

/* BM_SHRINK_STOP and what is no count of anything end its turn. */
static unsigned long call_scan(struct bm_shrinker *s, struct bm_shrink_control *sc, unsigned long nr)
{
	unsigned long freed;

	sc->nr_to_scan = sc->nr_scanned = nr;
	atomic_add_return(&s->calls, 1);
	freed = s->ops.scan(s->arg, sc);
	if (freed >= BM_SHRINK_EMPTY)
		return BM_SHRINK_STOP;
	count_vm_events(SLABS_SCANNED, sc->nr_scanned);
	atomic_add_return(&s->freed, freed);
	return freed;
}

/* How many it has; 0 if it is not to be scanned. */
static unsigned long call_count(struct bm_shrinker *s, struct bm_shrink_control *sc)
{
	unsigned long freeable;

	sc->nr_to_scan = sc->nr_scanned = 0;
	freeable = s->ops.count(s->arg, sc);
	if (freeable == BM_SHRINK_EMPTY)
		xchg(&s->node[sc->nid].deferred, 0UL); /* nothing is left that it was put off for */
	if (freeable >= BM_SHRINK_EMPTY)
		freeable = 0;
	freeable = min_ul(freeable, ~0UL >> 8); /* no sum below overflows */
	WRITE_ONCE(s->node[sc->nid].freeable, freeable);
	return freeable;
}

/* One shrinker's turn at a priority: the share of what it has, with a part of what was put off, by batches. */
static unsigned long do_shrink_slab(struct bm_shrinker *s, gfp_t gfp, int nid, int priority)
{
	struct bm_shrink_control sc = { .gfp = gfp & GFP_PUBLIC_BITS, .nid = nid };
	unsigned long freeable, deferred, delta, total, scanned = 0, freed = 0;

	freeable = call_count(s, &sc);
	if (!freeable || READ_ONCE(s->dead))
		return 0;
	deferred = xchg(&s->node[nid].deferred, 0UL);
	delta = scan_share(s, freeable, priority);
	total = min_ul((deferred >> priority) + delta, 2 * freeable);
	while ((total >= SHRINK_BATCH || total >= freeable) && !READ_ONCE(s->dead)) {
		unsigned long got = call_scan(s, &sc, min_ul(SHRINK_BATCH, total));

		if (got == BM_SHRINK_STOP) {
			current->shrink_stopped = true;
			current->shrink_busy = READ_ONCE(s->running) > 1;
			break;
		}
		freed += got;
		scanned += min_ul(sc.nr_scanned, total);
		total -= min_ul(sc.nr_scanned, total);
		if (!sc.nr_scanned || !total)
			break;
	}
	if (freed)
		current->nr_stopped = 0;
	WRITE_ONCE(s->node[nid].freeable, freeable - min_ul(freed, freeable));
	if (deferred + delta > scanned)
		defer(s, nid, min_ul(deferred + delta - scanned, 2 * freeable));
	return freed;
}

unsigned long shrink_slab_app_at(gfp_t gfp, int nid, int priority)
{
	unsigned int scopes = memalloc_flags_save(PF_MEMALLOC);
	unsigned long freed = 0;
	struct owner_hold hold;
	struct bm_shrinker *s;
	int err = errno;

	owner_hold(&hold);
	if (have_shrinkers())
		for (s = next_shrinker(NULL); s; s = next_shrinker(s))
			freed += do_shrink_slab(s, gfp, nid, priority);
	owner_unhold(&hold);
	memalloc_flags_restore(scopes);
	errno = err;
	return freed;
}

static unsigned long call_shrinkers(gfp_t gfp, int nid, unsigned long enough)
{
	unsigned long freed = 0;
	int priority;

	for (priority = DEF_PRIORITY; priority >= 0 && freed < enough; priority--)
		freed += shrink_slab_app_at(gfp, nid, priority);
	count_vm_events(PGINODESTEAL, freed);
	return freed;
}

/* What would have been asked for, by what they said last. */
static void defer_all(int nid)
{
	struct bm_shrinker *s;
	int priority;

	mutex_lock(&registry.lock);
	for (s = registry.head; s; s = s->next)
		for (priority = DEF_PRIORITY; priority >= 0; priority--)
			defer(s, nid, scan_share(s, READ_ONCE(s->node[nid].freeable), priority));
	mutex_unlock(&registry.lock);
}

unsigned long shrink_slab_app(gfp_t gfp, int nid, unsigned long enough)
{
	if (!have_shrinkers() || current->shrinker || current->flags & PF_MEMALLOC || mutex_held_for_fork())
		return 0;
	if (gfp & GFP_FS)
		return call_shrinkers(gfp, nid, enough);
	defer_all(nid);
	return 0;
}

unsigned long shrinkers_freeable(int nid)
{
	unsigned long nr = 0;
	struct bm_shrinker *s;

	if (!have_shrinkers())
		return 0;
	mutex_lock(&registry.lock);
	for (s = registry.head; s; s = s->next)
		nr += s->dead ? 0 : READ_ONCE(s->node[nid].freeable);
	mutex_unlock(&registry.lock);
	return nr;
}

void print_shrinkers(struct out *o)
{
	struct bm_shrinker *s;

	out_printf(o, "# name calls freed deferred\n");
	if (!mutex_trylock(&registry.lock)) /* a report may be asked for in a signal handler */
		return;
	for (s = registry.head; s; s = s->next) {
		unsigned long deferred = 0;
		int nid;

		for_each_online_node (nid)
			deferred += READ_ONCE(s->node[nid].deferred);
		if (!s->dead)
			out_printf(o, "%s %lu %lu %lu\n", s->name, READ_ONCE(s->calls), READ_ONCE(s->freed), deferred);
	}
	mutex_unlock(&registry.lock);
}

void shrinkers_lock_all(void)
{
	mutex_lock(&registry.lock);
}
void shrinkers_unlock_all(void)
{
	mutex_unlock(&registry.lock);
}

/* Whatever other threads were at has ended with them, and so has their waiting. */
void shrinkers_reinit_after_fork(void)
{
	struct bm_shrinker *s, *next;

	for (s = registry.head; s; s = next) {
		next = s->next;
		s->running = current->shrinker == s;
		s->awaited = false;
		if (s->dead && !s->running)
			retire(s);
	}
	mutex_reinit_after_fork(&registry.lock);
}
