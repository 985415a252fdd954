/* SPDX-License-Identifier: MIT */
/*
 * The application's shrinkers: how much each is asked for, what ends a turn, what is put off; who calls them and who
 * does not; and malloc, which asks them for its own blocks.
 */
#include "slab/slab.h"
#include "shrinker.h"

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
	run_case("malloc asks, and loses nothing of what is freed meanwhile", malloc_asks);
	run_case("runs ask too", large_runs);
	run_case("and huge blocks", large_huge);
	return done_testing();
}
