/* SPDX-License-Identifier: MIT */
/*
 * The application's shrinkers: how much each is asked for, what ends a turn, what is put off; who calls them and who
 * does not; and that one may do there what the contract allows: allocate, free, fork, unregister, stall.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#include "malloc/fork.h"
#include "malloc/heap.h"
#include "mm/shrinker.h"
#include "mm/vmscan.h"
#include "slab/slab.h"
#include "walk.h"

#define ALL (~0UL)
#define NR_PRIORITIES (DEF_PRIORITY + 1)

/* A cache of so many objects, of which a scan frees what it is asked for, or what it gives. */
static struct cache {
	unsigned long nr, gives;
	unsigned long counts, scans;
	unsigned long scanned[64]; /* asked for since each count */
	unsigned long answer;	   /* not 0: of count, or of scan, whatever there is */
	unsigned long scan_answer;
	unsigned long nr_scanned; /* not ALL: what it says */
	struct bm_shrink_control last;
	void (*on_scan)(struct cache *c);
	struct bm_shrinker *s;
	struct page *page; /* freed by the next scan */
} caches[2];
static char called[32]; /* which one was scanned, in order */

static unsigned long count(void *arg, struct bm_shrink_control *sc)
{
	struct cache *c = arg;

	must(current->flags & PF_MEMALLOC && current->shrinker);
	must(sc->gfp & GFP_FS);
	c->last = *sc;
	c->counts++;
	return c->answer ? c->answer : c->nr;
}

static unsigned long scan(void *arg, struct bm_shrink_control *sc)
{
	struct cache *c = arg;
	unsigned long freed = min_ul(min_ul(sc->nr_to_scan, c->nr), c->gives);

	must(current->flags & PF_MEMALLOC && current->shrinker);
	must(c->counts && c->counts <= ARRAY_SIZE(c->scanned), "%lu", c->counts);
	must(sc->nr_scanned == sc->nr_to_scan && sc->nr_to_scan && sc->nr_to_scan <= SHRINK_BATCH);
	if (strlen(called) < sizeof(called) - 1)
		called[strlen(called)] = (char)('0' + (c - caches));
	c->last = *sc;
	c->scans++;
	c->scanned[c->counts - 1] += sc->nr_to_scan;
	if (c->nr_scanned != ALL)
		sc->nr_scanned = c->nr_scanned;
	if (c->on_scan)
		c->on_scan(c);
	if (c->page)
		give(c->page, 0);
	c->page = NULL;
	if (c->scan_answer)
		return c->scan_answer;
	c->nr -= freed;
	return freed;
}

static const struct bm_shrinker_ops ops = { .count = count, .scan = scan };

static void forget(void)
{
	for (int i = 0; i < 2; i++) {
		caches[i].counts = caches[i].scans = 0;
		memset(caches[i].scanned, 0, sizeof(caches[i].scanned));
	}
	memset(called, 0, sizeof(called));
	memset(vm_events, 0, sizeof(vm_events));
}

static void add(int i, unsigned long nr, int seeks)
{
	caches[i] = (struct cache){ .nr = nr, .gives = ALL, .nr_scanned = ALL };
	caches[i].s = register_shrinker_app(i ? "second" : "first one", &ops, &caches[i], seeks);
	must(caches[i].s);
}

/* What the report says. */
static unsigned long reported(const char *name, int column)
{
	char text[512], *line, *at = text;
	FILE *file = tmpfile();
	struct out o;
	ssize_t len;

	out_init(&o, fileno(file));
	print_shrinkers(&o);
	out_flush(&o);
	len = pread(fileno(file), text, sizeof(text) - 1, 0);
	must(len > 0);
	text[len] = 0;
	fclose(file);
	while ((line = strtok_r(at, "\n", &at))) {
		unsigned long value[3];

		if (strncmp(line, name, strlen(name)) != 0 || line[strlen(name)] != ' ')
			continue;
		must(sscanf(line + strlen(name), "%lu %lu %lu", &value[0], &value[1], &value[2]) == 3, "%s", line);
		return value[column];
	}
	return ALL;
}
static unsigned long deferred(void)
{
	return reported("first_one", 2);
}

static unsigned long shrink(unsigned long enough)
{
	forget();
	return shrink_slab_app(GFP_KERNEL, 0, enough);
}

/* (freeable >> priority) * 4 / seeks, from a 4096th to all, or twice; with seeks 0 half each time. */
static void shares(void)
{
	static const int seeks[] = { 2, 4, 16, 0 };
	const unsigned long nr = 1UL << 20;
	unsigned int i, n;

	walk_start(1);
	for (i = 0; i < ARRAY_SIZE(seeks); i++) {
		add(0, nr, seeks[i]);
		caches[0].gives = 0;
		must(shrink(1) == 0 && caches[0].counts == NR_PRIORITIES);
		for (n = 0; n < NR_PRIORITIES; n++) {
			unsigned long share =
				seeks[i] ? (nr >> (DEF_PRIORITY - n)) * 4 / (unsigned int)seeks[i] : nr / 2;

			/* Whole batches; less than one is put off. */
			must(caches[0].scanned[n] / SHRINK_BATCH == share / SHRINK_BATCH, "seeks %d, turn %u: %lu",
			     seeks[i], n, caches[0].scanned[n]);
		}
		must(vm_events[SLABS_SCANNED] >= nr * 3 / 8 && reported("first_one", 0) == caches[0].scans);
		must(unregister_shrinker_app(caches[0].s));
	}
	add(0, nr, DEFAULT_SEEKS);
	must(shrink(1) == 512 && caches[0].counts == 1 && caches[0].scans == 4, "no more than is enough");
	must(shrink(1000) >= 1000 && caches[0].counts == 2, "more, where that is not");
	must(caches[0].last.nid == 0 && caches[0].last.gfp == (GFP_KERNEL & GFP_PUBLIC_BITS));
	must(reported("first_one", 1) == nr - caches[0].nr);
}

/* Less than a batch, of more than that, is not worth a call: it adds up. */
static void small_ones(void)
{
	walk_start(1);
	add(0, 100, DEFAULT_SEEKS);
	caches[0].gives = 0;
	must(shrink(1) == 0 && caches[0].counts == NR_PRIORITIES && caches[0].scans == 2);
	must(caches[0].scanned[NR_PRIORITIES - 2] == 128 && caches[0].scanned[NR_PRIORITIES - 1] == 128);
	must(deferred() == 138, "%lu", deferred());
	caches[0].gives = ALL;
	must(shrink(1) == 100 && caches[0].nr == 0, "all of them, in the end");
}

static void stop(void)
{
	walk_start(1);
	add(0, 1000, DEFAULT_SEEKS);
	add(1, 1000, DEFAULT_SEEKS);
	caches[0].scan_answer = BM_SHRINK_STOP;
	must(shrink(1000) == 1000 && !caches[1].nr, "others have theirs");
	must(caches[0].scans == caches[0].counts - 8, "one call each time");
	must(caches[0].nr == 1000 && deferred() == 1988, "all of it is put off: %lu", deferred());
	must(shrink(1) == 0 && deferred() == 2000, "within bounds: %lu", deferred());
	must(reported("first_one", 1) == 0);
	caches[0].answer = 0;
	caches[0].nr = 0;
	must(shrink(1) == 0 && !caches[0].scans && deferred() == 2000, "nothing just now");
	caches[0].answer = BM_SHRINK_EMPTY;
	must(shrink(1) == 0 && !caches[0].scans && deferred() == 0, "nothing at all");
	caches[0].answer = BM_SHRINK_STOP;
	must(shrink(1) == 0 && !caches[0].scans, "no number of objects");
}

/* It may say how far it got. */
static void looked_at(void)
{
	walk_start(1);
	add(0, 1UL << 20, DEFAULT_SEEKS);
	caches[0].nr_scanned = 256;
	must(shrink(1) == 256 && caches[0].scans == 2 && vm_events[SLABS_SCANNED] == 512);
	caches[0].nr_scanned = 1UL << 40;
	must(shrink(1) == 128 && caches[0].scans == 1);
	caches[0].nr_scanned = 0;
	must(shrink(1) == 128 && caches[0].scans == 1, "or would go on for ever");
}

/* Nobody is called without FS; but it counts. */
static void without_fs(void)
{
	const unsigned long nr = 1UL << 20;

	walk_start(1);
	add(0, nr, 4);
	must(shrink(1) == 256 && caches[0].scans == 2 && deferred() == 0);
	forget();
	must(shrink_slab_app(GFP_NOFS, 0, 1) == 0 && !caches[0].counts && !caches[0].scans);
	must(deferred() > nr && deferred() <= 2 * nr, "%lu", deferred());
	must(shrink_slab_app(GFP_NOFS, 0, 1) == 0 && deferred() <= 2 * nr);
	must(shrink(1) == 640 && caches[0].scans == 5, "what was put off is made up for, bit by bit: %lu",
	     caches[0].scans);
	current->flags |= PF_MEMALLOC_NOFS;
	forget();
	drop_caches(2);
	must(!caches[0].counts);
	current->flags &= ~PF_MEMALLOC_NOFS;
	drop_caches(2);
	must(!caches[0].nr && vm_events[SLABS_SCANNED] >= nr / 2);
}

static void nest(struct cache *c)
{
	unsigned long counts = c->counts, before = c->nr;

	must(c->scans < 1000);
	must(shrink_slab_app(GFP_KERNEL, 0, ALL) == 0 && shrink_application(GFP_KERNEL, ALL) == 0);
	current->flags &= ~PF_MEMALLOC; /* as a scope badly restored leaves it */
	drop_caches(2);
	must(shrink_slab_app(GFP_KERNEL, 0, ALL) == 0);
	current->flags |= PF_MEMALLOC | PF_MEMALLOC_NOIO;
	must(c->counts == counts && c->nr == before);
	errno = EDOM;
}

static void nesting(void)
{
	walk_start(1);
	add(0, 1UL << 16, DEFAULT_SEEKS);
	caches[0].on_scan = nest;
	errno = 0;
	must(shrink(1) > 0 && caches[0].scans);
	must(!(current->flags & PF_SCOPES) && !current->shrinker && errno == 0, "all is as it was");
	current->flags |= PF_MEMALLOC;
	must(shrink(1) == 0 && !caches[0].counts);
	current->flags &= ~PF_MEMALLOC;
	mutex_hold_for_fork(true);
	must(shrink(1) == 0 && !caches[0].counts, "not while the locks are held");
	mutex_hold_for_fork(false);
	must(shrink(1) > 0);
}

/* Reclaim comes to them last, and only then. */
static void last_resort(void)
{
	struct zone *zone;
	nodemask_t mask = 1 << 2;

	walk_start(4);
	zone = zone_at(1, ZONE_MOVABLE);
	add(0, 1000, DEFAULT_SEEKS);
	add(1, 1000, DEFAULT_SEEKS);
	must(zone_reclaimable_pages(zone_of(3)) == 2, "each may have something, as long as it was not asked");
	grow(zone, 1, MIGRATE_MOVABLE);
	forget();
	must(try_to_free_pages(NODE_DATA(1)->node_zonelists[ZONELIST_FALLBACK], 0, GFP_KERNEL, NULL) >= 32);
	must(!caches[0].counts, "there was enough");
	must(try_to_free_pages(NODE_DATA(1)->node_zonelists[ZONELIST_FALLBACK], 0, GFP_NOFS, NULL) == 0);
	must(!caches[0].counts);
	forget();
	must(try_to_free_pages(NODE_DATA(1)->node_zonelists[ZONELIST_FALLBACK], 0, GFP_KERNEL, &mask) >= 32);
	must(!strncmp(called, "01", 2) && caches[0].last.nid == 2, "in their order, for the request's nodes: %s",
	     called);
	must(vm_events[SLABS_SCANNED] && !vm_events[PGSTEAL_DIRECT], "objects are no pages");
	must(zone_reclaimable_pages(zone_of(2)) == caches[0].nr + caches[1].nr);
	node_reclaim_mode = 1;
	forget();
	must(node_reclaim(NODE_DATA(3), GFP_NOFS, 0) == NODE_RECLAIM_SOME && !caches[0].counts);
	must(node_reclaim(NODE_DATA(3), GFP_KERNEL, 0) == NODE_RECLAIM_SUCCESS && caches[0].last.nid == 3);
	must(!NODE_DATA(3)->reclaiming && !current->reclaims_node);
	must(unregister_shrinker_app(caches[0].s) && unregister_shrinker_app(caches[1].s) && !have_shrinkers());
	must(zone_reclaimable_pages(zone_of(2)) == 0);
}

/* What a shrinker frees serves the request for which it was called. */
static void serves(void)
{
	struct zone *zone = walk_start_with(1);

	add(0, 500, DEFAULT_SEEKS);
	caches[0].page = alloc_pages(GFP_KERNEL, 0);
	must(caches[0].page && !zone->nr_free_pages);
	must(!alloc_pages(GFP_NOFS | GFP_NOWARN, 0) && caches[0].page);
	must(alloc_pages(GFP_KERNEL | GFP_NOWARN, 0) && !caches[0].page);
	must(!alloc_pages(GFP_KERNEL | GFP_NOWARN, 0) && !caches[0].nr);
}

static void unregister_self(struct cache *c)
{
	must(unregister_shrinker_app(c->s) && !unregister_shrinker_app(c->s), "once");
}

static void registry(void)
{
	struct bm_shrinker_ops changed = ops;
	struct bm_shrinker *s;
	char name[] = "a";

	walk_start(1);
	must(!unregister_shrinker_app((struct bm_shrinker *)&changed) && shrink(1) == 0);
	add(0, 1UL << 20, DEFAULT_SEEKS);
	s = register_shrinker_app(name, &changed, &caches[1], DEFAULT_SEEKS);
	changed.scan = NULL;
	name[0] = 'b';
	caches[1] = (struct cache){ .nr = 1UL << 20, .gives = ALL, .nr_scanned = ALL, .s = s };
	must(shrink(1) && reported("a", 0) == 4 && reported("b", 0) == ALL, "both are copied");
	/* No call comes after that, not for the rest of the turn. */
	caches[0].on_scan = unregister_self;
	must(shrink(ALL) && caches[0].scans == 1 && caches[0].counts == 1 && caches[1].counts == NR_PRIORITIES);
	must(reported("first_one", 0) == ALL && !unregister_shrinker_app(caches[0].s));
	caches[1].on_scan = unregister_self;
	caches[1].nr = 1000;
	must(shrink(1) && caches[1].scans == 1 && !have_shrinkers());
	must(shrink(1) == 0 && !caches[1].counts);
	add(0, 1UL << 20, DEFAULT_SEEKS);
	must(caches[0].s != s || shrink(1) == 512, "the memory of one serves another");
}

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
	alarm(20);
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

/* A cache of malloc's blocks, in malloc's own way: what is freed inside it goes to lists of the thread that is about to
 * fill one. */
#define SIZE 1000
#define NR_BLOCKS 20000
static void *blocks[NR_BLOCKS];
static unsigned long nr_blocks, nr_freed;

static unsigned long count_blocks(void *arg, struct bm_shrink_control *sc)
{
	(void)arg, (void)sc;
	return nr_blocks - nr_freed;
}

static unsigned long scan_blocks(void *arg, struct bm_shrink_control *sc)
{
	unsigned long nr = min_ul(sc->nr_to_scan, nr_blocks - nr_freed), i;
	void *p = heap_malloc(SIZE);

	(void)arg;
	for (i = 0; i < nr; i++)
		heap_free(blocks[nr_freed++]);
	heap_free(p);
	return nr;
}

static void malloc_asks(void)
{
	static const struct bm_shrinker_ops block_ops = { .count = count_blocks, .scan = scan_blocks };
	unsigned int class = size_to_class(SIZE);
	struct bm_shrinker *s;
	unsigned long n = 0;
	static void *kept[NR_BLOCKS];
	unsigned int scopes;

	walk_start(1);
	must(heap_init());
	grow(zone_of(0), 2, MIGRATE_UNMOVABLE);
	no_more_growth();
	while ((blocks[nr_blocks] = heap_malloc(SIZE)))
		must(++nr_blocks < NR_BLOCKS);
	must(nr_blocks > 3000, "%lu", nr_blocks);
	s = register_shrinker_app("blocks", &block_ops, NULL, DEFAULT_SEEKS);
	scopes = memalloc_flags_save(PF_MEMALLOC_NOFS);
	must(!heap_malloc(SIZE) && !heap_malloc(100000) && !heap_malloc(2 << 20) && !nr_freed, "not in this scope");
	memalloc_flags_restore(scopes);
	must((kept[n++] = heap_malloc(SIZE)));
	must(nr_freed > 0 && nr_freed < nr_blocks / 2, "no more than is needed: %lu", nr_freed);
	while ((kept[n] = heap_malloc(SIZE)))
		must(memset(kept[n], 0x55, SIZE) && ++n < NR_BLOCKS);
	must(nr_freed == nr_blocks && n + 64 >= nr_blocks, "%lu of %lu were had again", n, nr_blocks);
	while (n)
		heap_free(kept[--n]);
	tcache_flush();
	slab_reclaim();
	must(kmem_caches[class].nr_active == 0, "%lu lost", (unsigned long)kmem_caches[class].nr_active);
	check_cache(&kmem_caches[class]);
	must(unregister_shrinker_app(s));
}

/* What is larger than a slab, and than a run: nothing but the application's cache has it. */
static void *large;

static unsigned long count_large(void *arg, struct bm_shrink_control *sc)
{
	(void)arg, (void)sc;
	return large ? 1 : 0;
}

static unsigned long scan_large(void *arg, struct bm_shrink_control *sc)
{
	(void)arg, (void)sc;
	heap_free(large);
	large = NULL;
	return 1;
}

static void large_blocks(size_t size)
{
	static const struct bm_shrinker_ops large_ops = { .count = count_large, .scan = scan_large };
	unsigned int n = 0;
	void *p = NULL;

	walk_start(1);
	must(heap_init());
	must(large = heap_malloc(7 << 20));
	no_more_growth();
	must(register_shrinker_app("large", &large_ops, NULL, DEFAULT_SEEKS));
	while (large && ((p = heap_malloc(size)) || !n))
		must(n++ < 1000);
	must(p && !large, "%u blocks of %zu", n, size);
}
static void large_runs(void)
{
	large_blocks(100000);
}
static void large_huge(void)
{
	large_blocks(5 << 20);
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
	run_case("the share that each priority and seeks make", shares);
	run_case("what is too little for a call adds up", small_ones);
	run_case("SHRINK_STOP, SHRINK_EMPTY and 0", stop);
	run_case("nr_scanned", looked_at);
	run_case("without FS nobody is called, and the work is put off", without_fs);
	run_case("never nested", nesting);
	run_case("after the built-in ones, if those were not enough", last_resort);
	run_case("what a shrinker frees serves the request", serves);
	run_case("registered, copied, unregistered, from within too", registry);
	run_case("unregistering waits for a call that stalls", stalling);
	run_case("from within, it waits for the other calls", from_within);
	run_case("fork: the child waits for nobody", forks);
	run_case("malloc asks, and loses nothing of what is freed meanwhile", malloc_asks);
	run_case("runs ask too", large_runs);
	run_case("and huge blocks", large_huge);
	run_case("two threads reclaim at once, a third registers", at_once);
	return done_testing();
}
