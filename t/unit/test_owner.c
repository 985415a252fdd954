/* SPDX-License-Identifier: MIT */
/*
 * Owners: who is charged for what, from when on, and that every charge is taken back by whoever frees.
 */
#include <errno.h>
#include <pthread.h>

#include "malloc/fork.h"
#include "malloc/huge.h"
#include "mm/pcp.h"
#include "slab/run.h"
#include "owner.h"

static void nobody_before(void)
{
	struct object *obj;
	struct page *slab;
	unsigned long index;
	size_t offset;

	model_start();
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

static void packed(void)
{
	struct page *page;
	bool zeroed;
	void *p;

	start();
	p = huge_alloc(3 * MiB, 0, &zeroed);
	page = pfn_to_page(addr_to_pfn(p));
	must(own_usage() == 3 * MiB >> PAGE_SHIFT && huge_stats.packed == own_usage());
	must(huge_resize(page, 2 * MiB) && own_usage() == 2 * MiB >> PAGE_SHIFT && huge_stats.packed == own_usage());
	must(huge_resize(page, 3 * MiB) && own_usage() == 3 * MiB >> PAGE_SHIFT && huge_stats.packed == own_usage());
	must(!huge_resize(page, 40 * MiB) && own_usage() == 3 * MiB >> PAGE_SHIFT);
	huge_free(page);
	must(!own_usage() && !page->owner && !huge_stats.packed);
	must(huge_alloc(3 * MiB, 0, &zeroed) == p && own_usage() == 3 * MiB >> PAGE_SHIFT, "out of a list");
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

static void *begin_third(void *arg)
{
	must(current_owner()->tid == os_gettid());
	owner_first_thread();
	must(current_owner()->tid == os_gettid());
	return arg;
}

/* A third thread may be seen to begin before the second: only the first can have its parent's number. */
static void *begin_second(void *arg)
{
	struct owner *own = current_owner();
	pthread_t t;

	must(!pthread_create(&t, NULL, begin_third, NULL) && !pthread_join(t, NULL));
	must(own->tid == os_gettid(), "%d", own->tid);
	return arg;
}

static void threads_begin(void)
{
	struct owner *first;
	pthread_t t;

	start();
	first = current_owner();
	WRITE_ONCE(first->tid, 1 << 30);
	must(!pthread_create(&t, NULL, begin_second, NULL) && !pthread_join(t, NULL));
	must(first->tid == os_getpid(), "%d", first->tid);
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
	must(its_usage >= pages * 9 / 10 && own_usage() <= pages / 10, "%lu and %lu of %lu", its_usage, own_usage(),
	     pages);
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
	tcache_init();
	tcache_enter();
	cache->magazine_limit = NR_SHARED;
	must((nr = slab_alloc_bulk(cache, 64, &chain)) > 1);
	must(!magazine_put(cache, &tcache, chain, nr) && cache->nr_magazine_objects == nr);
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

static void no_memory_for_owners(void)
{
	struct bm_owner_attr attr = { .name = "none" };
	struct object *obj;
	unsigned long index;
	size_t offset;

	start();
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
	run_case("those that are packed, too", packed);
	run_case("blocks of the page API: split, compound, with references", blocks);
	run_case("who frees need not be who is charged", freed_by_another);
	run_case("a slab is charged to who gets blocks of it last", slabs_change_hands);
	run_case("also where they come by a magazine", magazines_change_hands);
	run_case("threads begin in any order", threads_begin);
	run_case("a thread that ends keeps its place until its last page is free", thread_that_ends);
	run_case("in a fork's child the others have ended", after_fork);
	run_case("the process has what nobody else has", process_has_the_rest);
	run_case("no memory for the table", no_memory_for_owners);
	return done_testing();
}
