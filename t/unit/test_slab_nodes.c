/* SPDX-License-Identifier: MIT */
/*
 * Slabs of several nodes: each has its list and its magazines, threads' lists are filled from one and go home when that
 * changes, and what there is elsewhere is taken only when there is nothing else, and only where policy lets.
 */
#include <linux/mempolicy.h>

#include "mm/buddy.h"
#include "mm/mempolicy.h"
#include "mm/pcp.h"
#include "slab/run.h"
#include "walk.h"

#define CLASS 8
#define HERE 1 /* the node that has the CPUs */

static struct kmem_cache *cache;

static void start(int nodes)
{
	walk_start(nodes);
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

/* As free does it. */
static void give_object(void *p)
{
	unsigned long pfn = addr_to_pfn(p), class;

	if (pfn >= tcache.nr_pages)
		tcache_set_view(&tcache);
	class = tcache.class_map[pfn];
	if (tcache_free(p, class))
		return;
	tcache_undo_free(class);
	if (class == NO_CLASS)
		must(tcache_free_remote(p));
	else
		tcache_free_slow(p, (unsigned int)class);
}

/* Those that this thread has of other nodes, on their way home. */
static unsigned int nr_remote(void)
{
	const struct remote_chain *r = &tcache.remote[CLASS % REMOTE_CHAINS];

	return r->head ? r->nr : 0;
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
	must(!thread_is_alone(), "it may run on another node before it asks for what it left to itself");
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

/* All of the table, as the handlers of a fork do not know which classes are used. */
static void locks_have_ranks(void)
{
	start(4);
	for (unsigned int i = 0; i < 4 * FIRST_RUN_CLASS; i++)
		must(slab_nodes[i].lock.rank == RANK_SLAB, "lock %u", i);
	slab_lock_all();
	must(!mutex_trylock(&slab_nodes[0].lock) && !mutex_trylock(&get_node(cache, 3)->lock));
	slab_unlock_all();
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

/* Free nr blocks of a node here, one by one, after each of which malloc is asked: nobody here gets one of them. */
static void free_blocks_of(int nid, unsigned int nr)
{
	struct object *chain = NULL, *next;
	void *own;

	for (; nr; nr--, chain = next) {
		must(chain || slab_alloc_bulk_node(cache, nid, 10, &chain));
		next = chain->next;
		give_object(chain);
		own = take_object();
		must(node_of_object(own) == HERE, "on %d, %u left", node_of_object(own), nr);
		give_object(own);
	}
	slab_free_bulk(cache, chain);
}

static void foreign_go_home(void)
{
	unsigned int most = 0;

	start(4);
	for (int i = 0; i < 1000; i++) {
		free_blocks_of(3, 1);
		most = nr_remote() > most ? nr_remote() : most;
	}
	must(most * cache->size == 4 * KiB, "%u at most", most);
	must(nr_remote() <= most && !cache->nr_magazine_objects);
	check_cache(cache);
	/* One of another node, or class, finds the chain in use. */
	free_blocks_of(3, 1);
	must(nr_remote());
	free_blocks_of(2, 1);
	must(nr_remote() == 1);
	tcache_flush();
	must(!nr_remote() && !cache->nr_active, "%lu are away", cache->nr_active);
	check_cache(cache);
}

/* Threads there have asked in vain for what this one brings home: it is theirs, whole. */
static void foreign_are_wanted(void)
{
	struct object *chain;
	unsigned int nr;

	start(4);
	free_blocks_of(3, 100);
	must(!cache->nr_magazine_objects && !magazine_get(cache, 3, &nr, &nr));
	free_blocks_of(3, 100);
	must(cache->nr_magazine_objects && !magazine_get(cache, HERE, &nr, &nr));
	must((chain = magazine_get(cache, 3, &nr, &nr)) && nr == 32);
	for (; chain; chain = chain->next, nr--)
		must(node_of_object(chain) == 3);
	must(!nr);
}

/* They are on no list, either. */
static void foreign_runs(void)
{
	unsigned long nodes = 1UL << 3;
	bool zeroed;
	void *p;

	start(4);
	set(MPOL_BIND, nodes);
	p = run_alloc(FIRST_RUN_CLASS, 0, &zeroed);
	must(node_of_object(p) == 3);
	set(MPOL_DEFAULT, 0);
	must(!tcache.nr_pages);
	tcache_enter();
	must(tcache.nr_pages && tcache.nid == HERE + 1);
	give_object(p);
	must(!tcache.head[FIRST_RUN_CLASS] && !run_stats_read().nr);
}

/* Lists of a thread that ends are left to nobody: they may be of several nodes. */
static void thread_ends(void)
{
	start(4);
	give_object(take_object());
	must(tcache.head[CLASS]);
	tcache_leave_lists();
	must(!cache->nr_active && !cache->nr_magazine_objects);
	check_cache(cache);
}

static void first_call(void)
{
	struct object *chain;

	start(4);
	must(slab_alloc_bulk_node(cache, 3, 1, &chain) == 1 && !tcache.nr_pages);
	give_object(chain);
	must(tcache.nr_pages == vmemmap.nr_pages && tcache.state == TCACHE_FREED && !cache->nr_active);
}

/* An interleaving thread has blocks of all, and keeps them; until it does not interleave any more. */
static void in_turn(void)
{
	struct object *chain;

	start(4);
	must(take_object());
	set(MPOL_INTERLEAVE, 0xf);
	must(tcache_alloc_slow(CLASS + 1) && tcache.nid == TCACHE_ALL_NODES);
	must(slab_alloc_bulk_node(cache, 3, 1, &chain) == 1);
	give_object(chain);
	must(tcache.head[CLASS] == chain && !nr_remote());
	set(MPOL_DEFAULT, 0);
	must(tcache_alloc_slow(CLASS + 1));
	must(!tcache.head[CLASS] && node_of_object(take_object()) == HERE);
	check_cache(cache);
}

/* A thread that only frees learns where it is when its list is full. */
static void moved_away(void)
{
	void *block[600];

	start(4);
	set(MPOL_BIND, 8);
	for (size_t i = 0; i < ARRAY_SIZE(block); i++)
		must(node_of_object(block[i] = take_object()) == 3);
	set(MPOL_DEFAULT, 0);
	for (size_t i = 0; i < ARRAY_SIZE(block); i++)
		give_object(block[i]);
	must(tcache.nid == HERE + 1 && node_of_object(take_object()) == HERE);
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

/* This node has nothing more. */
static void use_up_here(void)
{
	unsigned long here = 0;

	no_more_growth();
	do {
		while (alloc_pages_nodemask(GFP_NOWAIT | GFP_NOWARN, 0, HERE, NULL))
			here++;
	} while (drain_all_pages()); /* another CPU may have some that this thread was on before */
	must(here);
}

static void nothing_else(void)
{
	struct object *chain;

	start(4);
	must(slab_alloc_bulk_node(cache, 3, 1, &chain));
	must(slab_alloc_bulk_node(cache, 2, 1, &chain));
	use_up_here();
	set(MPOL_BIND, 2);
	must(!slab_alloc_bulk(cache, 1, &chain), "bound to a node that has none");
	set(MPOL_DEFAULT, 0);
	must(slab_has_free(cache));
	must(slab_alloc_bulk(cache, 1, &chain) && node_of_object(chain) == 2, "the nearest: on %d",
	     node_of_object(chain));
	check_cache(cache);
}

/* Or a slab that nothing is taken from, which another class cannot have while nobody may reclaim. */
static void empty_elsewhere(void)
{
	struct object *chain;

	start(4);
	must(slab_alloc_bulk_node(cache, 2, 1, &chain));
	slab_free_bulk(cache, chain);
	must(cache_nr_empty(cache) == 1);
	use_up_here();
	memalloc_flags_save(PF_MEMALLOC);
	must(!slab_alloc_bulk(&kmem_caches[CLASS + 1], 1, &chain), "and nothing else is left");
	must(slab_has_free(cache) && !slab_has_free(&kmem_caches[CLASS + 1]));
	must(slab_alloc_bulk(cache, 1, &chain) && node_of_object(chain) == 2 && !cache_nr_empty(cache));
	check_cache(cache);
}

/* Nodes near by come first, where the policy has no more to say. */
static void preferred_many(void)
{
	struct page *near, *far;
	struct object *chain;

	start(4);
	near = alloc_pages_nodemask(GFP_KERNEL | GFP_THISNODE, cache->order, 2, NULL);
	far = alloc_pages_nodemask(GFP_KERNEL | GFP_THISNODE, cache->order, 3, NULL);
	must(near && far);
	use_up_here();
	free_pages(near, cache->order);
	free_pages(far, cache->order);
	set(POLICY_PREFERRED_MANY, 1UL << HERE | 1UL << 3);
	must(slab_alloc_bulk(cache, 1, &chain) && node_of_object(chain) == 3, "on %d", node_of_object(chain));
	set(MPOL_DEFAULT, 0);
	must(slab_alloc_bulk(cache, 1, &chain) && node_of_object(chain) == 2, "on %d", node_of_object(chain));
	check_cache(cache);
}

static void elsewhere_in_turn(void)
{
	struct page *pages[32];
	struct object *chain;
	unsigned long i, slabs;

	start(2);
	for (i = 0; i < ARRAY_SIZE(pages); i++)
		must(pages[i] = alloc_pages_nodemask(GFP_KERNEL | GFP_THISNODE, cache->order, 0, NULL));
	use_up_here();
	for (i = 0; i < ARRAY_SIZE(pages); i++)
		free_pages(pages[i], cache->order);
	must(slab_alloc_bulk(cache, 1, &chain) && node_of_object(chain) == 0);
	slabs = cache->nr_slabs;
	for (i = 1; i < (PAGE_SIZE << cache->order) / cache->size; i++)
		must(slab_alloc_bulk(cache, 1, &chain) && node_of_object(chain) == 0);
	must(cache->nr_slabs == slabs, "%lu slabs begun", cache->nr_slabs);
	check_cache(cache);
}

/* Then there are some in the thread's list: they do not stay in it, and are in no magazine, when it is full. */
static void others_in_list(void)
{
	struct object *chain, *obj;
	void *own[200];
	size_t nr = 0;

	start(4);
	must(slab_alloc_bulk_node(cache, 2, 1, &chain));
	while (nr < ARRAY_SIZE(own))
		own[nr++] = take_object();
	must(!tcache.mixed);
	tcache_flush();
	use_up_here();
	while (node_of_object(obj = take_object()) == HERE)
		;
	must(tcache.mixed && node_of_object(obj) == 2 && tcache.head[CLASS]);
	while (nr)
		give_object(own[--nr]);
	for (obj = tcache.head[CLASS]; obj; obj = obj->next)
		must(node_of_object(obj) == HERE);
	for (obj = tcache.spare[CLASS]; obj; obj = obj->next)
		must(node_of_object(obj) == HERE);
	check_cache(cache);
}

/* A chain of such large ones holds one. */
static void freed_twice(void)
{
	const unsigned int class = size_to_class(3000);
	struct object *obj;

	start(3);
	give_object(take_object());
	must(slab_alloc_bulk_node(&kmem_caches[class], 2, 1, &obj) == 1 && node_of_object(obj) == 2);
	must(tcache_free_remote(obj));
	tcache_free_remote(obj);
}

int main(void)
{
	model_init();
	run_case("one node: one list", one_node);
	run_case("each node has its list, and gets its objects back", own_lists);
	run_case("and a lock, which a fork takes", locks_have_ranks);
	run_case("objects come from the node of the thread's policy", policies);
	run_case("a thread's lists go home when its node changes", lists_follow);
	run_case("what is freed on another node goes home by the chain, and is not had again here", foreign_go_home);
	run_case_aborts("where one freed twice is seen", freed_twice, "double free of a block of 3072 bytes");
	run_case("to threads there, if they want it", foreign_are_wanted);
	run_case("runs at once", foreign_runs);
	run_case("a thread's first call", first_call);
	run_case("and its end", thread_ends);
	run_case("who interleaves keeps blocks of all nodes", in_turn);
	run_case("a thread that has moved sees it by a full list, too", moved_away);
	run_case("of a chain those of a node are kept", kept_and_not);
	run_case("where there is no memory another node's objects will do, but not under bind", nothing_else);
	run_case("or an empty slab of another node", empty_elsewhere);
	run_case("several nodes are preferred: these first", preferred_many);
	run_case("slabs elsewhere are used up one after the other", elsewhere_in_turn);
	run_case("and go home when a thread's list of both is full", others_in_list);
	return done_testing();
}
