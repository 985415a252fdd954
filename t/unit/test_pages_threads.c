/* SPDX-License-Identifier: MIT */
/*
 * Random operations on the page API by several threads, each with a model of its own; blocks change hands between
 * them, a compactor moves what is movable, and another thread drains, trims and changes the marks meanwhile.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "buddymalloc.h"
#include "malloc/heap.h"
#include "mm/balance.h"
#include "mm/internal.h"
#include "mm/pcp.h"
#include "mm/vmscan.h"
#include "model.h"

#define NR_MINE 256
#define NR_HANDED 64
#define MAX_WORKERS 4

/* A block and its user: who touches the block, or moves it, holds the lock. */
struct item {
	char *addr; /* NULL: none */
	uint64_t stamp;
	uint32_t locked;
	bm_gfp_t gfp;
	unsigned int order;
	unsigned int refs;
	bool movable;
};

struct worker {
	pthread_t thread;
	uint64_t state;
	unsigned long moved; /* of its blocks; atomic */
	struct item *mine[NR_MINE];
};

static struct worker workers[MAX_WORKERS];
static unsigned int nr_workers;
static struct item items[MAX_WORKERS * NR_MINE * 2 + NR_HANDED];
static unsigned long nr_moved; /* atomic */
static bool stop;	       /* atomic */

/* Items that are nobody's, and those on their way from one worker to another. */
static struct {
	pthread_mutex_t lock;
	unsigned int nr;
	struct item *item[ARRAY_SIZE(items)];
} spare = { .lock = PTHREAD_MUTEX_INITIALIZER }, handed = { .lock = PTHREAD_MUTEX_INITIALIZER };

static unsigned int w_rnd(struct worker *w, unsigned long n)
{
	uint64_t z = w->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (unsigned int)((z ^ (z >> 31)) % n);
}

static bool item_trylock(struct item *it)
{
	return !__atomic_exchange_n(&it->locked, 1, __ATOMIC_ACQUIRE);
}

static void item_lock(struct item *it)
{
	while (!item_trylock(it))
		sched_yield();
}

static void item_unlock(struct item *it)
{
	__atomic_store_n(&it->locked, 0, __ATOMIC_RELEASE);
}

static struct item *spare_get(void)
{
	struct item *it;

	pthread_mutex_lock(&spare.lock);
	must(spare.nr);
	it = spare.item[--spare.nr];
	pthread_mutex_unlock(&spare.lock);
	return it;
}

static void spare_put(struct item *it)
{
	pthread_mutex_lock(&spare.lock);
	spare.item[spare.nr++] = it;
	pthread_mutex_unlock(&spare.lock);
}

static size_t item_bytes(const struct item *it)
{
	return PAGE_SIZE << it->order;
}

static void item_stamp(struct item *it, uint64_t stamp)
{
	it->stamp = stamp;
	memcpy(it->addr, &stamp, 8);
	memcpy(it->addr + item_bytes(it) - 8, &stamp, 8);
}

static void item_verify(const struct item *it)
{
	must(!memcmp(it->addr, &it->stamp, 8) && !memcmp(it->addr + item_bytes(it) - 8, &it->stamp, 8),
	     "%p of order %u", (void *)it->addr, it->order);
	must(bm_page_order(it->addr) == (int)it->order, "%p of order %u: it says %d", (void *)it->addr, it->order,
	     bm_page_order(it->addr));
}

/* The operations of movable blocks; any thread may call them. */
static int item_isolate(void *addr, void *arg)
{
	struct item *it = arg;

	if (!item_trylock(it))
		return -EBUSY;
	/* It may have been freed a moment ago. */
	if (it->addr == addr && it->movable && it->refs == 1)
		return 0;
	item_unlock(it);
	return -EBUSY;
}

static int item_migrate(void *dst, void *src, unsigned int order, void *arg)
{
	struct item *it = arg;

	must(it->addr == src && it->order == order && READ_ONCE(it->locked), "%p moves; its user has %p", src,
	     (void *)it->addr);
	if (atomic_add_return(&nr_moved, 1UL) % 16 == 0)
		return -EAGAIN;
	memcpy(dst, src, PAGE_SIZE << order);
	it->addr = dst;
	item_unlock(it);
	return 0;
}

static void item_putback(void *addr, void *arg)
{
	struct item *it = arg;

	must(it->addr == addr && READ_ONCE(it->locked), "%p is put back; its user has %p", addr, (void *)it->addr);
	item_unlock(it);
}

static const struct bm_movable_ops item_ops = { item_isolate, item_migrate, item_putback };

/* A new block of this worker's. */
static void item_new(struct worker *w, struct item **slot, void *addr, unsigned int order, bm_gfp_t gfp)
{
	struct item *it = spare_get();

	item_lock(it);
	must(is_aligned((uintptr_t)addr, PAGE_SIZE << order));
	must(!(gfp & BM_GFP_ZERO) || all_zero(addr, PAGE_SIZE << order), "%p, order %u, is not zero", addr, order);
	it->addr = addr;
	it->order = order;
	it->gfp = gfp;
	it->refs = 1;
	it->movable = false;
	item_stamp(it, w->state ^ (uintptr_t)addr);
	item_unlock(it);
	*slot = it;
}

static void w_alloc(struct worker *w, struct item **slot)
{
	static const bm_gfp_t base[] = {
		BM_GFP_KERNEL, BM_GFP_KERNEL, BM_GFP_USER, BM_GFP_ATOMIC, BM_GFP_NOWAIT, BM_GFP_TRANSHUGE, 0
	};
	static const bm_gfp_t more[] = { 0, 0, BM_GFP_ZERO, BM_GFP_COMP, BM_GFP_RECLAIMABLE, BM_GFP_DMA32 };
	bm_gfp_t gfp = base[w_rnd(w, ARRAY_SIZE(base))] | BM_GFP_NOWARN;
	unsigned int order = w_rnd(w, 2) ? 0 : w_rnd(w, w_rnd(w, 16) ? 5 : 10);
	void *addr;

	gfp |= w_rnd(w, 2) ? more[w_rnd(w, ARRAY_SIZE(more))] : BM_GFP_MOVABLE;
	addr = w_rnd(w, 2) ? bm_alloc_pages(gfp, order) : bm_alloc_pages_node(0, gfp, order);
	must(addr || !(gfp & BM_GFP_NOFAIL));
	if (addr)
		item_new(w, slot, addr, order, gfp);
}

/* Pages in bulk, or side by side; those for which there is no place are freed again. */
static void w_alloc_many(struct worker *w, unsigned int at)
{
	void *array[24];
	unsigned long nr = 1 + w_rnd(w, ARRAY_SIZE(array)), i;

	if (w_rnd(w, 2)) {
		nr = bm_alloc_pages_bulk(BM_GFP_KERNEL | BM_GFP_NOWARN, nr, array);
	} else {
		char *run = bm_alloc_pages_exact(nr * PAGE_SIZE, BM_GFP_KERNEL | BM_GFP_NOWARN);

		for (i = 0; run && i < nr; i++)
			array[i] = run + i * PAGE_SIZE;
		nr = run ? nr : 0;
	}
	for (i = 0; i < nr; i++) {
		struct item **slot = &w->mine[(at + i) % NR_MINE];

		if (*slot)
			bm_free_pages(array[i], 0);
		else
			item_new(w, slot, array[i], 0, BM_GFP_KERNEL);
	}
}

static void w_put(struct worker *w, struct item **slot)
{
	struct item *it = *slot;
	int err;

	item_lock(it);
	item_verify(it);
	if (it->movable && w_rnd(w, 2)) {
		err = bm_set_page_movable(it->addr, NULL, NULL);
		must(!err || err == -EBUSY, "error %d", err);
		it->movable = err;
	}
	if (w_rnd(w, 2))
		bm_put_page(it->addr);
	else
		bm_free_pages(it->addr, it->order);
	if (--it->refs == 0) {
		it->addr = NULL;
		it->movable = false;
		*slot = NULL;
	}
	item_unlock(it);
	if (!*slot)
		spare_put(it);
}

static void w_split(struct worker *w, struct item **slot)
{
	struct item *it = *slot;
	unsigned int order;
	unsigned long i;

	item_lock(it);
	order = it->order;
	if (order && order < 6 && !it->movable && it->refs == 1 && !(it->gfp & BM_GFP_COMP)) {
		item_verify(it);
		bm_split_page(it->addr, order);
		for (i = 1; i < 1UL << order; i++)
			bm_free_pages(it->addr + i * PAGE_SIZE, 0);
		it->order = 0;
		item_stamp(it, w->state);
	}
	item_unlock(it);
}

static void w_movable(struct item *it)
{
	int err;

	item_lock(it);
	if (it->order <= 4) {
		err = bm_set_page_movable(it->addr, &item_ops, it);
		must(!err || err == -EBUSY, "error %d", err);
		it->movable |= !err;
	}
	item_unlock(it);
}

static void w_hand_over(struct item **slot)
{
	pthread_mutex_lock(&handed.lock);
	if (*slot && handed.nr < NR_HANDED) {
		handed.item[handed.nr++] = *slot;
		*slot = NULL;
	} else if (!*slot && handed.nr) {
		*slot = handed.item[--handed.nr];
	}
	pthread_mutex_unlock(&handed.lock);
}

static void w_touch(struct worker *w, struct item *it)
{
	item_lock(it);
	item_verify(it);
	if (it->refs < 3 && w_rnd(w, 8) == 0) {
		bm_get_page(it->addr);
		it->refs++;
	}
	item_stamp(it, w->state);
	item_unlock(it);
}

static void w_step(struct worker *w)
{
	unsigned int at = w_rnd(w, NR_MINE), dice = w_rnd(w, 100);
	struct item **slot = &w->mine[at];

	if (dice < 10)
		w_hand_over(slot);
	else if (!*slot && dice < 15)
		w_alloc_many(w, at);
	else if (!*slot)
		w_alloc(w, slot);
	else if (dice < 60)
		w_put(w, slot);
	else if (dice < 65)
		w_split(w, slot);
	else if (dice < 80)
		w_movable(*slot);
	else
		w_touch(w, *slot);
}

static unsigned long w_steps;

static void *work(void *arg)
{
	struct worker *w = arg;

	/* On a busy machine the compactor may not have had its turn by then. */
	for (unsigned long i = 0; i < w_steps || (!__atomic_load_n(&nr_moved, __ATOMIC_RELAXED) && i < 100 * w_steps);
	     i++)
		w_step(w);
	for (unsigned int at = 0; at < NR_MINE; at++)
		while (w->mine[at])
			w_put(w, &w->mine[at]);
	return NULL;
}

static void *compactor(void *arg)
{
	unsigned long nr = 0;
	char *run;

	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		must(bm_compact_memory(nr % 2 ? -1 : 0) >= 0);
		run = bm_alloc_contig_pages(nr % 700 + 1, BM_GFP_KERNEL | BM_GFP_NOWARN, -1);
		if (run)
			bm_free_contig_pages(run, nr % 700 + 1);
		nr++;
		sched_yield();
	}
	return NULL;
}

static void *disturber(void *arg)
{
	unsigned long nr = 0;

	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		switch (nr++ % 4) {
		case 0:
			drain_all_pages();
			break;
		case 1:
			mm_trim(nr % 8 * MiB);
			break;
		case 2:
			drop_caches(3);
			break;
		default:
			setup_per_zone_wmarks();
			break;
		}
		sched_yield();
	}
	return NULL;
}

static void start_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	must(!pthread_create(thread, NULL, fn, arg));
}

static void check_all(void)
{
	struct zone *z;
	int i;

	drain_all_pages();
	for_each_populated_zone (z, i) {
		check_zone(z);
		must(z->nr_free_pages == z->managed_pages, "node %d zone %s: %lu pages, %lu free", z->nid, zone_name(z),
		     z->managed_pages, z->nr_free_pages);
	}
	check_arena();
}

static void with_threads(void)
{
	pthread_t helpers[2];
	unsigned int i;

	must(heap_init());
	model_native();
	for (i = 0; i < ARRAY_SIZE(items); i++)
		spare_put(&items[i]);
	start_thread(&helpers[0], compactor, NULL);
	start_thread(&helpers[1], disturber, NULL);
	for (i = 0; i < nr_workers; i++) {
		workers[i].state = model_seed + i * 0x123456789;
		start_thread(&workers[i].thread, work, &workers[i]);
	}
	for (i = 0; i < nr_workers; i++)
		pthread_join(workers[i].thread, NULL);
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++)
		pthread_join(helpers[i], NULL);
	while (handed.nr) {
		workers[0].mine[0] = handed.item[--handed.nr];
		while (workers[0].mine[0])
			w_put(&workers[0], &workers[0].mine[0]);
	}
	must(nr_moved, "not one block was ever moved");
	check_all();
	diag("%lu tries to move a block", nr_moved);
}

int main(void)
{
	model_init();
	w_steps = steps(500000);
	for (nr_workers = 2; nr_workers <= MAX_WORKERS; nr_workers += 2)
		run_case(nr_workers == 2 ? "two threads" : "four threads", with_threads);
	return done_testing();
}
