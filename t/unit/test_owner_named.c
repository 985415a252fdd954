/* SPDX-License-Identifier: MIT */
/*
 * Named owners: their slabs, their limits, blocks of theirs that move, and the lists of a thread that is inside.
 */
#include <errno.h>
#include <pthread.h>

#include "base/tunables.h"
#include "malloc/huge.h"
#include "mm/balance.h"
#include "mm/fault_inject.h"
#include "mm/migrate.h"
#include "mm/pcp.h"
#include "owner.h"

static struct owner *named(const char *name, unsigned long limit_pages)
{
	struct bm_owner_attr attr = { .name = name, .limit = limit_pages << PAGE_SHIFT };
	struct owner *o = owner_create(&attr, owner_cache_init);

	must(o && o->kind == OWNER_NAMED && !owner_usage(o));
	return o;
}

static void named_slabs(void)
{
	struct owner *o;
	unsigned long index;
	size_t offset;

	start();
	o = named("slabs", 0);
	for (unsigned int class = 1; class < FIRST_RUN_CLASS; class ++) {
		unsigned int least = order_for_pages(size_to_pages(class_size(class))), nr = 0, highest = 0, i;
		unsigned long before = owner_usage(o);
		static void *obj[4096];
		struct page *slab;

		obj[nr++] = owner_cache_alloc(o, class);
		must(owner_usage(o) == before + (1UL << least), "the first slab is the smallest");
		must(vmemmap.class[addr_to_pfn(obj[0])] == NO_CLASS, "no list takes it");
		while (nr < ARRAY_SIZE(obj) && highest < kmem_caches[class].order) {
			obj[nr] = owner_cache_alloc(o, class);
			must(is_aligned((uintptr_t)obj[nr], MALLOC_ALIGN));
			slab = slab_of(obj[nr], &index, &offset);
			must(slab && !offset && slab->cache == class && slab->owner == o->id);
			highest = (unsigned int)max_ul(highest, slab->order);
			nr++;
		}
		must(highest == kmem_caches[class].order, "later ones are as those of threads");
		check_owner_cache(o);
		for (i = 0; i < nr; i += 2)
			must(owner_cache_free(o, slab_of(obj[i], &index, &offset), obj[i]));
		check_owner_cache(o);
		for (i = 1; i < nr; i += 2)
			must(owner_cache_free(o, slab_of(obj[i], &index, &offset), obj[i]));
		must(owner_usage(o) == before && !owner_slabs.pages, "nobody is inside: nothing is kept");
	}
}

/* Freed twice by a thread, and since the first time its page has become an owner's. */
static struct object *freed_into_owner(struct owner **o)
{
	struct object *obj = NULL;

	start();
	*o = named("other", 0);
	must(slab_alloc_bulk(&kmem_caches[4], 1, &obj) == 1);
	slab_free_bulk(&kmem_caches[4], obj);
	slab_reclaim();
	must(owner_cache_alloc(*o, 4) == obj, "not the page that was free last");
	obj->next = NULL;
	return obj;
}

static void freed_twice(void)
{
	struct owner *o;

	slab_free_bulk(&kmem_caches[4], freed_into_owner(&o));
}

static void left_twice(void)
{
	struct owner *o;
	struct object *obj = freed_into_owner(&o);

	tunables.foreign_free = FOREIGN_IGNORE;
	must(!magazine_leave(&kmem_caches[4], obj, 1));
	slab_free_bulk(&kmem_caches[4], obj);
	check_owner_cache(o);
	must(owner_usage(o) == 1 && !kmem_caches[4].nr_active);
}

static void kept_slabs(void)
{
	struct owner *o;
	unsigned long index;
	size_t offset;
	void *obj;

	start();
	o = named("kept", 0);
	must(owner_enter(owner_handle(o), 1) == o && o->inside == 1);
	obj = owner_cache_alloc(o, 5);
	must(owner_cache_free(o, slab_of(obj, &index, &offset), obj));
	must(owner_usage(o) == 1 && owner_slabs.empty_pages == 1, "one is kept for who is inside");
	must(!owner_cache_free(o, slab_of(obj, &index, &offset), obj), "it is free already");
	must(owner_cache_alloc(o, 5) == obj && !owner_slabs.empty_pages);
	must(owner_cache_free(o, slab_of(obj, &index, &offset), obj));
	slab_reclaim();
	must(!owner_usage(o) && !owner_slabs.pages && !owner_slabs.empty_pages, "reclaim has it");
	must(owner_leave(o));
}

static void at_its_limit(void)
{
	static void *obj[8];
	struct owner *o;
	int i;

	start();
	o = named("limited", 8);
	for (i = 0; i < 8; i++)
		must((obj[i] = owner_cache_alloc(o, 33)) || i > 1, "%d", i);
	must(!owner_charge(o, 8 - owner_usage(o), GFP_NOWAIT) && owner_usage(o) == 8);
	must(owner_charge(o, 1, GFP_NOWAIT) == -ENOMEM && owner_was_at_limit() && owner_usage(o) == 8);
	must(!owner_charge(o, 1, GFP_NOWAIT | GFP_NOFAIL) && owner_usage(o) == 9, "NOFAIL is not refused");
	must(owner_charge(o, 100, GFP_KERNEL) == -ENOMEM, "more than the limit is not tried");
}

static void limit_and_empty_slabs(void)
{
	struct owner *o;
	unsigned long index;
	size_t offset;
	void *obj;

	start();
	o = named("limited", 4);
	must(owner_enter(owner_handle(o), 1));
	obj = owner_cache_alloc(o, 1);
	must(owner_cache_free(o, slab_of(obj, &index, &offset), obj) && owner_usage(o) == 1);
	must(!owner_charge(o, 4, GFP_NOWAIT) && owner_usage(o) == 4, "what it does not need goes first");
}

/* What its limit refuses is free again, and its end finds the rest. */
static void packed(void)
{
	unsigned long used;
	struct owner *o, *saved, *same;
	bool zeroed;

	start();
	o = named("packed", 600);
	saved = owner_assume(o);
	must(huge_alloc(2 * MiB - PAGE_SIZE, 0, &zeroed) && owner_usage(o) == 511 && huge_stats.packed == 511);
	used = mm_used_bytes();
	must(!huge_alloc(601 << PAGE_SHIFT, 0, &zeroed) && owner_was_at_limit());
	must(owner_usage(o) == 511 && huge_stats.packed == 511 && mm_used_bytes() == used);
	owner_assume(saved);
	must(!owner_destroy_begin(owner_handle(o), &same) && same == o);
	huge_free(owner_pop_block(o));
	must(!owner_pop_block(o) && !owner_usage(o) && !huge_stats.packed);
	owner_destroy_end(o);
}

static int isolated(void *addr, void *arg)
{
	(void)addr;
	(void)arg;
	return 0;
}
static int copy(void *dst, void *src, unsigned int order, void *arg)
{
	(void)arg;
	memcpy(dst, src, PAGE_SIZE << order);
	return 0;
}
static void put_back(void *addr, void *arg)
{
	(void)addr;
	(void)arg;
}
static const struct bm_movable_ops movable_ops = { isolated, copy, put_back };

static void free_all(struct owner *o)
{
	struct owner *same;
	struct page *page;

	must(!owner_destroy_begin(owner_handle(o), &same) && same == o);
	while ((page = owner_pop_block(o))) {
		must(!page->refcount && !page->owner && !(page->flags & PG_CHARGED));
		free_the_page(page, page->order);
	}
	must(!owner_usage(o));
	owner_destroy_end(o);
	must(o->kind == OWNER_UNUSED);
}

static struct page *movable_block(struct owner *o)
{
	struct page *page = alloc_pages(GFP_KERNEL | GFP_MOVABLE, 2);

	owner_assume(o);
	must(!owner_charge_blocks(page, 1, 2, GFP_KERNEL) && owner_usage(o) == 4);
	owner_assume(NULL);
	must(!set_page_movable(page, &movable_ops, NULL));
	return page;
}

static void moved_block(void)
{
	struct page *page, *dst;
	struct owner *o;

	start();
	o = named("moved", 0);
	page = movable_block(o);
	dst = alloc_pages(GFP_KERNEL | GFP_MOVABLE, 2);
	must(isolate_movable_page(page) && !migrate_page(dst, page, MIGRATE_SYNC));
	must(dst->owner == o->id && !page->owner && owner_usage(o) == 4 && o->blocks == page_to_pfn(dst));
	free_all(o);
	must(!dst->refcount, "it is freed where it is");
}

static struct page *moving;
static uint32_t step;

static void *mover(void *arg)
{
	must(isolate_movable_page(moving));
	smp_store_release(&step, 1);
	usleep(20000);
	if (arg)
		must(!migrate_page(arg, moving, MIGRATE_SYNC));
	else
		putback_movable_page(moving);
	return NULL;
}

static void destroyed_while_moved(void)
{
	struct zone *zone = start();
	struct owner *o;
	pthread_t t;

	for (int i = 0; i < 2; i++) {
		struct page *dst = i ? alloc_pages(GFP_KERNEL | GFP_MOVABLE, 2) : NULL;

		o = named("moved", 0);
		moving = movable_block(o);
		step = 0;
		must(!pthread_create(&t, NULL, mover, dst));
		while (!smp_load_acquire(&step))
			os_yield();
		free_all(o);
		must(!pthread_join(t, NULL));
		must(!moving->refcount && (!dst || !dst->refcount));
	}
	drain_all_pages();
	check_zone(zone);
}

/* Its lists, as another sees them. */
static unsigned long listed(unsigned int class)
{
	return tcache_cached(class);
}

static void lists_aside(void)
{
	struct object *obj, *own;
	struct owner *o;

	start();
	tcache_init();
	tcache_enter();
	o = named("aside", 0);
	obj = tcache_alloc_slow(4);
	must(tcache_free(obj, 4) && listed(4) > 1);
	for (int i = 0; i < 3; i++) {
		unsigned long before = listed(4);

		current->inside = owner_enter(owner_handle(o), 1);
		tcache_follow_owner();
		must(tcache.state == TCACHE_ASIDE && !tcache.head[4] && listed(4) == before);
		must(!tcache_alloc(4), "nothing to take");
		must(!tcache_free(obj, 4), "nowhere to put");
		tcache_undo_free(4);
		own = tcache_alloc_slow(4);
		must(own == obj && listed(4) == before - 1, "the thread's own comes from where they are");
		tcache_free_slow(own, 4);
		must(listed(4) == before && !tcache.head[4]);
		while (tcache.aside->head[4])
			must(tcache_alloc_slow(4));
		must(tcache_alloc_slow(4) && !tcache.head[4] && tcache.state == TCACHE_ASIDE, "and more is fetched");
		if (i == 1) {
			tcache_flush();
			must(!listed(4) && !tcache.head[4]);
		}
		owner_leave(o);
		current->inside = NULL;
		tcache_follow_owner();
		must(tcache.state == TCACHE_ACTIVE);
		obj = tcache_alloc(4);
		if (!obj)
			obj = tcache_alloc_slow(4);
		must(tcache_free(obj, 4));
	}
}

static void aside_and_failslab(void)
{
	struct owner *o;
	void *obj;

	start();
	tcache_init();
	tcache_enter();
	o = named("aside", 0);
	obj = tcache_alloc_slow(4);
	must(tcache_free(obj, 4));
	current->inside = o;
	tcache_follow_owner();
	WRITE_ONCE(failslab_enabled, true);
	obj = tcache_alloc_slow(4);
	must(obj && tcache.state == TCACHE_CLOSED && !listed(4), "closed for that");
	WRITE_ONCE(failslab_enabled, false);
	tcache_free_slow(obj, 4);
	must(tcache.state == TCACHE_CLOSED && !tcache_alloc(4), "they stay closed inside");
	current->inside = NULL;
	tcache_follow_owner();
	must(tcache.state == TCACHE_ACTIVE && tcache.room[4] > 0);
	WRITE_ONCE(failslab_enabled, true);
	current->inside = o;
	tcache_follow_owner();
	current->inside = NULL;
	tcache_follow_owner();
	must(tcache.state == TCACHE_CLOSED, "and if it began inside");
	WRITE_ONCE(failslab_enabled, false);
	current->inside = o;
	tcache_follow_owner();
	current->inside = NULL;
	tcache_follow_owner();
	must(tcache.state == TCACHE_ACTIVE);
}

int main(void)
{
	model_native();
	run_case("a named owner's slabs: small at first, never in a list", named_slabs);
	run_case("an empty one is kept for who is inside, until memory is short", kept_slabs);
	run_case_aborts("a thread's block that was freed twice is not taken for an owner's", freed_twice,
			"invalid pointer: no block of 64 bytes is there any more");
	run_case("and changes nothing of it", left_twice);
	run_case("a limit", at_its_limit);
	run_case("at its limit an owner's empty slabs go first", limit_and_empty_slabs);
	run_case("blocks that are packed", packed);
	run_case("a block that moves takes its charge along", moved_block);
	run_case("destroying waits for blocks that are being moved", destroyed_while_moved);
	run_case("a thread's lists lie aside while it is inside", lists_aside);
	run_case("and failslab closes them there too", aside_and_failslab);
	return done_testing();
}
