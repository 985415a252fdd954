/* SPDX-License-Identifier: MIT */
/*
 * Owners: who is charged for what, from when on, and that every charge is taken back by whoever frees.
 */
#include <pthread.h>

#include "malloc/fork.h"
#include "malloc/huge.h"
#include "mm/owner.h"
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
	fork_prepare();
	pid = fork();
	if (!pid) {
		fork_child();
		must(current->owner->tid == os_gettid() && !(current->owner->state & OWNER_EXITED));
		must(other->state & OWNER_EXITED && other->usage);
		run_free(its_run);
		must(other->kind == OWNER_UNUSED);
		_exit(0);
	}
	fork_parent();
	must(waitpid(pid, &status, 0) == pid && !status);
	must(!(other->state & OWNER_EXITED));
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

int main(void)
{
	model_native();
	run_case("nothing is charged before, and that is not taken back", nobody_before);
	run_case("slabs are charged when they are made", slabs);
	run_case("runs, also when they are resized", runs);
	run_case("huge blocks, also when they are resized and moved", huge);
	run_case("blocks of the page API: split, compound, with references", blocks);
	run_case("who frees need not be who is charged", freed_by_another);
	run_case("a thread that ends keeps its place until its last page is free", thread_that_ends);
	run_case("in a fork's child the others have ended", after_fork);
	run_case("the process has what nobody else has", process_has_the_rest);
	return done_testing();
}
