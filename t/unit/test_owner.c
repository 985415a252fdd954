/* SPDX-License-Identifier: MIT */
/*
 * Owners: who is charged for what, from when on, and that every charge is taken back by whoever frees.
 */
#include <errno.h>
#include <pthread.h>

#include "malloc/fork.h"
#include "malloc/huge.h"
#include "mm/fault_inject.h"
#include "mm/migrate.h"
#include "mm/owner.h"
#include "slab/owner_cache.h"
#include "slab/run.h"
#include "slab/slab.h"
#include "model.h"

static struct zone *zone;

static void start(void)
{
	zone = model_start();
	mm_init_late();
	owner_accounting_enable();
}

static unsigned long own_usage(void)
{
	return current->owner ? owner_usage(current->owner) : 0;
}

static void nobody_before(void)
{
	struct object *obj;
	struct page *slab;
	unsigned long index;
	size_t offset;

	zone = model_start();
	mm_init_late();
	slab_init();
	must(slab_alloc_bulk(&kmem_caches[4], 1, &obj) == 1);
	slab = slab_of(obj, &index, &offset);
	must(!slab->owner && !current->owner && !owner_next(owner_next(NULL)));
	owner_accounting_enable();
	slab_free_bulk(&kmem_caches[4], obj);
	slab_reclaim();
	must(!current->owner, "what was not charged is not taken back");
}

static void slabs(void)
{
	struct object *obj;

	start();
	slab_init();
	for (unsigned int class = 1; class < FIRST_RUN_CLASS; class ++) {
		must(slab_alloc_bulk(&kmem_caches[class], 1, &obj) == 1);
		must(own_usage() == 1UL << kmem_caches[class].order, "%u", class);
		slab_free_bulk(&kmem_caches[class], obj);
		slab_reclaim();
		must(!own_usage());
	}
	must(current->owner->kind == OWNER_THREAD && current->owner->tid == os_gettid());
	must(owner_is_own(current_owner()));
}

static void runs(void)
{
	unsigned int class = size_to_class(100 * KiB), less = size_to_class(60 * KiB);
	bool zeroed;
	void *p;

	start();
	p = run_alloc(class, 0, &zeroed);
	must(p && own_usage() == class_size(class) >> PAGE_SHIFT);
	must(run_resize(p, less) && own_usage() == class_size(less) >> PAGE_SHIFT);
	must(run_resize(p, class) && own_usage() == class_size(class) >> PAGE_SHIFT);
	must(own_usage() == pfn_to_page(addr_to_pfn(p))->nr_pages);
	run_free(p);
	must(!own_usage() && !pfn_to_page(addr_to_pfn(p))->owner);
}

static void huge(void)
{
	struct page *page;
	bool zeroed;
	void *p;

	start();
	p = huge_alloc(5 * MiB, 0, &zeroed);
	page = pfn_to_page(addr_to_pfn(p));
	must(own_usage() == 5 * MiB >> PAGE_SHIFT);
	must(huge_resize(page, 3 * MiB) && own_usage() == 3 * MiB >> PAGE_SHIFT);
	must(huge_resize(page, 4 * MiB) && own_usage() == 4 * MiB >> PAGE_SHIFT);
	p = huge_move(page, 20 * MiB);
	must(p && own_usage() == 20 * MiB >> PAGE_SHIFT && !page->owner);
	huge_free(pfn_to_page(addr_to_pfn(p)));
	must(!own_usage());
}

static void blocks(void)
{
	struct page *page;

	start();
	page = alloc_pages(GFP_KERNEL, 3);
	must(!owner_charge_blocks(page, 1, 3, GFP_KERNEL) && own_usage() == 8);
	must(page->flags & PG_CHARGED && !free_block_fast(page, 3), "the short way of freeing does not take it");
	split_page(page, 3);
	for (int i = 0; i < 8; i++) {
		must(page[i].owner == current->owner->id && page[i].flags & PG_CHARGED);
		free_pages(page + i, 0);
		must(own_usage() == 7UL - (unsigned long)i);
	}
	page = alloc_pages(GFP_KERNEL | GFP_COMP, 2);
	must(!owner_charge_blocks(page, 1, 2, GFP_KERNEL) && own_usage() == 4);
	atomic_add_return(&page->refcount, 1U);
	free_pages(page, 2);
	must(own_usage() == 4, "a reference is left");
	free_pages(page, 2);
	must(!own_usage());
}

static void *free_it(void *arg)
{
	run_free(arg);
	must(!own_usage());
	return NULL;
}

static void freed_by_another(void)
{
	bool zeroed;
	void *p;
	pthread_t t;

	start();
	p = run_alloc(size_to_class(200 * KiB), 0, &zeroed);
	must(own_usage());
	must(!pthread_create(&t, NULL, free_it, p) && !pthread_join(t, NULL));
	must(!own_usage());
}

static uint32_t its_id;
static void *its_run;

static void *allocate_and_end(void *arg)
{
	bool zeroed;

	(void)arg;
	its_run = run_alloc(size_to_class(200 * KiB), 0, &zeroed);
	its_id = current->owner->id;
	owner_exit_thread();
	must(!current_owner()->id, "what it allocates yet is the process's");
	return NULL;
}

static void thread_that_ends(void)
{
	const struct owner *o;
	uint32_t first;
	pthread_t t;

	start();
	must(!pthread_create(&t, NULL, allocate_and_end, NULL) && !pthread_join(t, NULL));
	o = owner_by_id(its_id);
	must(o->kind == OWNER_THREAD && o->state & OWNER_EXITED && o->usage == 208 * KiB >> PAGE_SHIFT);
	run_free(its_run);
	must(o->kind == OWNER_UNUSED && !o->usage, "its place is free with its last page");
	first = its_id;
	must(!pthread_create(&t, NULL, allocate_and_end, NULL) && !pthread_join(t, NULL));
	must(its_id == first, "and is used again");
}

static void after_fork(void)
{
	const struct bm_owner_attr attr = { .name = "dying" };
	struct owner *dying;
	const struct owner *other;
	bool zeroed;
	pthread_t t;
	pid_t pid;
	int status;

	start();
	slab_init();
	must(run_alloc(size_to_class(200 * KiB), 0, &zeroed));
	must(!pthread_create(&t, NULL, allocate_and_end, NULL) && !pthread_join(t, NULL));
	other = owner_by_id(its_id);
	owner_by_id(its_id)->state = 0; /* as if it were still there */
	must(dying = owner_create(&attr, owner_cache_init));
	must(!owner_destroy_begin(owner_handle(dying), &dying) && !owner_by_handle(owner_handle(dying)));
	fork_prepare();
	pid = fork();
	if (!pid) {
		fork_child();
		must(current->owner->tid == os_gettid() && !(current->owner->state & OWNER_EXITED));
		must(other->state & OWNER_EXITED && other->usage);
		run_free(its_run);
		must(other->kind == OWNER_UNUSED);
		must(owner_by_handle(owner_handle(dying)) == dying, "who destroyed it is not here");
		_exit(0);
	}
	fork_parent();
	must(waitpid(pid, &status, 0) == pid && !status);
	must(!(other->state & OWNER_EXITED));
}

static void *get_object(unsigned int class)
{
	void *obj = tcache_alloc(class);

	return obj ? obj : tcache_alloc_slow(class);
}

static void put_object(void *obj, unsigned int class)
{
	if (!tcache_free(obj, class)) {
		tcache_undo_free(class);
		tcache_free_slow(obj, class);
	}
}

#define SHARED_CLASS 4
#define NR_SHARED 20000

static void *allocate_shared(void *arg)
{
	unsigned long *usage = arg;

	for (int i = 0; i < NR_SHARED / 4 * 3; i++)
		must(get_object(SHARED_CLASS));
	*usage = own_usage();
	return NULL;
}

static void slabs_change_hands(void)
{
	static void *objects[NR_SHARED];
	const unsigned long pages = size_to_pages(NR_SHARED * class_size(SHARED_CLASS));
	unsigned long its_usage;
	pthread_t t;

	start();
	slab_init();
	tcache_init();
	for (int i = 0; i < NR_SHARED; i++)
		must(objects[i] = get_object(SHARED_CLASS));
	must(own_usage() >= pages);
	for (int i = 0; i < NR_SHARED; i++)
		if (i % 4)
			put_object(objects[i], SHARED_CLASS);
	tcache_flush();
	must(own_usage() >= pages, "a block of each is left");
	must(!pthread_create(&t, NULL, allocate_shared, &its_usage) && !pthread_join(t, NULL));
	must(its_usage >= pages * 9 / 10 && own_usage() <= pages / 10, "%lu and %lu of %lu", its_usage, own_usage(), pages);
}

static void *allocate_one(void *arg)
{
	(void)arg;
	must(get_object(SHARED_CLASS) && own_usage() == 1UL << kmem_caches[SHARED_CLASS].order);
	return NULL;
}

static void magazines_change_hands(void)
{
	struct kmem_cache *cache = &kmem_caches[SHARED_CLASS];
	struct object *chain;
	unsigned int nr;
	pthread_t t;

	start();
	slab_init();
	tcache_init();
	tcache_enter();
	cache->magazine_limit = NR_SHARED;
	must((nr = slab_alloc_bulk(cache, 64, &chain)) > 1);
	must(!magazine_put(cache, 0, &tcache, chain, nr) && cache->nr_magazine_objects == nr);
	must(!pthread_create(&t, NULL, allocate_one, NULL) && !pthread_join(t, NULL));
	must(!cache->nr_magazine_objects && !own_usage());
}

static void process_has_the_rest(void)
{
	const struct owner *all;
	unsigned long before;
	bool zeroed;

	start();
	all = owner_next(NULL);
	must(all->kind == OWNER_PROCESS && !all->id);
	before = owner_usage(all);
	must(run_alloc(size_to_class(200 * KiB), 0, &zeroed));
	drain_all_pages();
	must(owner_usage(all) == before, "%lu %lu", owner_usage(all), before);
	must(alloc_pages(GFP_KERNEL, 6));
	must(owner_usage(all) == before + 64);
}

static struct owner *named(const char *name, unsigned long limit_pages)
{
	struct bm_owner_attr attr = { .name = name, .limit = limit_pages << PAGE_SHIFT };
	struct owner *o = owner_create(&attr, owner_cache_init);

	must(o && o->kind == OWNER_NAMED && !owner_usage(o));
	return o;
}

static void named_start(void)
{
	start();
	slab_init();
}

static void named_slabs(void)
{
	struct owner *o;
	unsigned long index;
	size_t offset;

	named_start();
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

static void kept_slabs(void)
{
	struct owner *o;
	unsigned long index;
	size_t offset;
	void *obj;

	named_start();
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

	named_start();
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

	named_start();
	o = named("limited", 4);
	must(owner_enter(owner_handle(o), 1));
	obj = owner_cache_alloc(o, 1);
	must(owner_cache_free(o, slab_of(obj, &index, &offset), obj) && owner_usage(o) == 1);
	must(!owner_charge(o, 4, GFP_NOWAIT) && owner_usage(o) == 4, "what it does not need goes first");
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

	named_start();
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
	struct owner *o;
	pthread_t t;

	named_start();
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

	named_start();
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

	named_start();
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

static void no_memory_for_owners(void)
{
	struct bm_owner_attr attr = { .name = "none" };
	struct object *obj;
	unsigned long index;
	size_t offset;

	named_start();
	must(slab_alloc_bulk(&kmem_caches[1], 1, &obj) == 1);
	must(current->owner);
	current->owner = NULL;
	for (int i = 0; i < 127; i++) /* the rest of the section */
		must(owner_create(&attr, owner_cache_init));
	fake_os_fail(FAKE_MMAP, 1, true, ENOMEM);
	must(!owner_create(&attr, owner_cache_init));
	must(!current_owner()->id, "a thread without a place is the process");
	must(slab_alloc_bulk(&kmem_caches[9], 1, &obj) == 1 && !slab_of(obj, &index, &offset)->owner);
	fake_os_reset();
	must(owner_create(&attr, owner_cache_init) && current_owner()->id == 130);
}

int main(void)
{
	model_native();
	run_case("nothing is charged before, and that is not taken back", nobody_before);
	run_case("slabs are charged when they are made", slabs);
	run_case("runs, also when they are resized", runs);
	run_case("huge blocks, also when they are resized and moved", huge);
	run_case("blocks of the page API: split, compound, with references", blocks);
	run_case("who frees need not be who is charged", freed_by_another);
	run_case("a slab is charged to who gets blocks of it last", slabs_change_hands);
	run_case("also where they come by a magazine", magazines_change_hands);
	run_case("a thread that ends keeps its place until its last page is free", thread_that_ends);
	run_case("in a fork's child the others have ended", after_fork);
	run_case("the process has what nobody else has", process_has_the_rest);
	run_case("a named owner's slabs: small at first, never in a list", named_slabs);
	run_case("an empty one is kept for who is inside, until memory is short", kept_slabs);
	run_case("a limit", at_its_limit);
	run_case("at its limit an owner's empty slabs go first", limit_and_empty_slabs);
	run_case("a block that moves takes its charge along", moved_block);
	run_case("destroying waits for blocks that are being moved", destroyed_while_moved);
	run_case("a thread's lists lie aside while it is inside", lists_aside);
	run_case("and failslab closes them there too", aside_and_failslab);
	run_case("no memory for the table", no_memory_for_owners);
	return done_testing();
}
