/* SPDX-License-Identifier: MIT */
/*
 * Slabs of several nodes: each has its list and its magazines, threads' lists are filled from one and go home when that
 * changes, and what there is elsewhere is taken only when there is nothing else, and only where policy lets.
 */
#include <linux/mempolicy.h>

#include "mm/buddy.h"
#include "mm/mempolicy.h"
#include "walk.h"

#define CLASS 8
#define HERE 1 /* the node that has the CPUs */

static struct kmem_cache *cache;

static void start(int nodes)
{
	fake_sys_nodes(nodes, nodes > 1 ? HERE : 0);
	model_start();
	slab_init();
	cache = &kmem_caches[CLASS];
}

static void *take_object(void)
{
	void *p = tcache_alloc(CLASS);

	p = p ? p : tcache_alloc_slow(CLASS);
	must(p);
	return p;
}

static void give_object(void *p)
{
	if (tcache_free(p, CLASS))
		return;
	tcache_undo_free(CLASS);
	tcache_free_slow(p, CLASS);
}

static int node_of_object(const void *p)
{
	return page_to_nid(pfn_to_page(addr_to_pfn(p)));
}

static void set(int mode, unsigned long nodes)
{
	must(!set_task_policy(mode, &nodes, MAX_NUMNODES + 1));
}

static void one_node(void)
{
	start(1);
	must(!slab_nodes && nr_slab_nodes == 1);
	must(get_node(cache, 0) == &cache->node);
}

/* Chains of all nodes, hung together and freed at once. */
static void own_lists(void)
{
	struct object *all = NULL, *chain, *next;
	unsigned long nr = 0;

	start(4);
	must(slab_nodes && nr_slab_nodes == 4);
	for (int i = 0; i < 40; i++) {
		int nid = i % 4;

		must(slab_alloc_bulk_node(cache, nid, 7, &chain));
		for (; chain; chain = next, nr++) {
			next = chain->next;
			must(node_of_object(chain) == nid, "on %d, not on %d", node_of_object(chain), nid);
			chain->next = all;
			all = chain;
		}
	}
	check_cache(cache);
	must(cache->nr_active == nr);
	slab_free_bulk(cache, all);
	check_cache(cache);
	must(!cache->nr_active);
	slab_reclaim();
	for (int nid = 0; nid < 4; nid++)
		must(get_node(cache, nid)->partial_head == NO_PFN);
	must(!cache->nr_slabs);
}

static void policies(void)
{
	static const int in_turn[] = { 0, 2, 3 };
	struct object *chain;

	start(4);
	must(slab_alloc_bulk(cache, 1, &chain) && node_of_object(chain) == HERE);
	set(MPOL_BIND, 4);
	must(slab_alloc_bulk(cache, 1, &chain) && node_of_object(chain) == 2);
	set(MPOL_PREFERRED, 1);
	must(slab_alloc_bulk(cache, 1, &chain) && node_of_object(chain) == 0);
	set(MPOL_INTERLEAVE, 0xd);
	for (int i = 0; i < 9; i++)
		must(slab_alloc_bulk(cache, 1, &chain) && node_of_object(chain) == in_turn[i % 3], "%d", i);
	check_cache(cache);
}

/* A list that was filled under one policy is not handed out under another once that is asked. */
static void lists_follow(void)
{
	void *p;

	start(4);
	must(node_of_object(take_object()) == HERE && tcache.nid == HERE + 1);
	must(tcache.head[CLASS]);
	set(MPOL_BIND, 8);
	must(node_of_object(tcache_alloc_slow(CLASS + 1)) == 3); /* another class: all lists are of the node */
	must(!tcache.head[CLASS] && tcache.nid == 3 + 1);
	must(node_of_object(p = take_object()) == 3);
	give_object(p);
	set(MPOL_DEFAULT, 0);
	must(tcache_alloc_slow(FIRST_RUN_CLASS)); /* and a run's */
	must(!tcache.head[CLASS] && node_of_object(take_object()) == HERE);
	check_cache(cache);
}

/* Blocks of node 3 that are freed here. */
static void foreign_go_home(void)
{
	struct object *chain, *next;
	unsigned long active, nr = 0;

	start(4);
	give_object(take_object());
	tcache_flush();
	active = cache->nr_active;
	must(!active);
	for (int i = 0; i < 100; i++) {
		must(slab_alloc_bulk_node(cache, 3, 10, &chain));
		for (; chain; chain = next, nr++) {
			next = chain->next;
			give_object(chain);
		}
	}
	must(nr >= 100 && cache->nr_active <= tcache.cap[CLASS], "%lu of %lu are away", cache->nr_active, nr);
	must(!tcache.spare[CLASS] && !cache->nr_magazine_objects);
	check_cache(cache);
}

/* Of a chain of two nodes those of one stay, in their order. */
static void kept_and_not(void)
{
	struct object *chain, *far, *end;
	unsigned int nr, nr_far;

	start(2);
	nr = slab_alloc_bulk_node(cache, 0, 5, &chain);
	nr_far = slab_alloc_bulk_node(cache, 1, 5, &far);
	for (end = chain; end->next; end = end->next)
		;
	end->next = far;
	must(slab_keep_node(cache, 0, &chain) == nr && cache->nr_active == nr);
	for (end = chain; end; end = end->next, nr--)
		must(node_of_object(end) == 0);
	must(!nr && nr_far);
	check_cache(cache);
}

static void nothing_else(void)
{
	struct object *chain;
	unsigned long here = 0;

	start(4);
	must(slab_alloc_bulk_node(cache, 3, 1, &chain));
	must(slab_alloc_bulk_node(cache, 2, 1, &chain));
	no_more_growth();
	do {
		while (alloc_pages_nodemask(GFP_NOWAIT | GFP_NOWARN, 0, HERE, NULL))
			here++;
	} while (drain_all_pages()); /* another CPU may have some that this thread was on before */
	must(here);
	set(MPOL_BIND, 2);
	must(!slab_alloc_bulk(cache, 1, &chain), "bound to a node that has none");
	set(MPOL_DEFAULT, 0);
	must(slab_has_free(cache));
	must(slab_alloc_bulk(cache, 1, &chain) && node_of_object(chain) == 2, "the nearest: on %d",
	     node_of_object(chain));
	check_cache(cache);
}

int main(void)
{
	model_init();
	run_case("one node: one list", one_node);
	run_case("each node has its list, and gets its objects back", own_lists);
	run_case("objects come from the node of the thread's policy", policies);
	run_case("a thread's lists go home when its node changes", lists_follow);
	run_case("what is freed on another node goes home with the list, and into no magazine", foreign_go_home);
	run_case("of a chain those of a node are kept", kept_and_not);
	run_case("where there is no memory another node's objects will do, but not under bind", nothing_else);
	return done_testing();
}
