/* SPDX-License-Identifier: MIT */
/*
 * Slabs on several nodes: a class has a partial list and magazines for each, so that a thread's objects come from the
 * node that its policy says, or that it runs on. What it frees of other nodes does not come into its lists, as it is
 * not in the class map that it frees by: it is kept in a chain until that is full, and goes home then.
 */
#include <string.h>

#include "mm/buddy.h"
#include "mm/memblock.h"
#include "mm/mempolicy.h"
#include "mm/page_alloc.h"
#include "mm/sparse.h"
#include "slab/tcache.h"

void slab_nodes_init(void)
{
	nodemask_t nodes = node_states_memory();
	struct kmem_cache_node *lists;
	int nr = (int)topology.nr_nodes;
	unsigned int class, i;

	if (is_power_of_2(nodes) || slab_homes)
		return;
	/* Without, all nodes share one list: blocks may lie far, but there are some. */
	lists = memblock_alloc((size_t)nr * FIRST_RUN_CLASS * sizeof(*slab_nodes));
	if (!lists || sparse_map_node_classes(nodes))
		return;
	if (topology.fake)
		memcpy(node_class_map(0), vmemmap.class, vmemmap.nr_pages);
	slab_nodes = lists;
	nr_slab_nodes = nr;
	for (class = 1; class < FIRST_RUN_CLASS; class ++) {
		struct kmem_cache *cache = &kmem_caches[class];

		*get_node(cache, 0) = cache->node;
		cache->node = (struct kmem_cache_node){ 0 };
	}
	for (i = 0; i < (unsigned int)nr * FIRST_RUN_CLASS; i++) /* class 0 has one, too: a fork takes all */
		mutex_init(&slab_nodes[i].lock, RANK_SLAB);
	if (tcache.state == TCACHE_ACTIVE)
		tcache_follow_node(&tcache);
}

#define REMOTE_BYTES (4 * KiB) /* in a chain */

/* The nodes that may serve this thread. */
static nodemask_t allowed_nodes(void)
{
	const nodemask_t *nodes = policy_nodemask(GFP_MALLOC, get_task_policy(GFP_MALLOC));

	return (nodes ? *nodes : ~0UL) & READ_ONCE(cpuset_mems_allowed);
}

struct page *alloc_slab_pages_node(int nid, gfp_t gfp, unsigned int order)
{
	return alloc_pages_policy(gfp, order, nid, get_task_policy(gfp));
}

struct kmem_cache_node *get_any_partial(struct kmem_cache *cache, int nid)
{
	nodemask_t allowed = allowed_nodes();
	struct zone **z;

	for (z = NODE_DATA(nid)->node_zonelists[ZONELIST_FALLBACK]->zones; *z; z++) {
		struct kmem_cache_node *node = NULL;

		if (node_isset((*z)->nid, allowed))
			node = lock_any_home(cache, (*z)->nid);
		if (!node && node_isset((*z)->nid, allowed))
			node = slab_use_empty(cache, (*z)->nid);
		if (node)
			return node;
	}
	return NULL;
}

bool slab_has_free(struct kmem_cache *cache)
{
	nodemask_t allowed = slab_nodes ? allowed_nodes() : 1;

	for (int nid = 0; nid < nr_slab_nodes; nid++) {
		struct kmem_cache_node *node;

		if (!node_isset(nid, allowed))
			continue;
		if (READ_ONCE(get_node(cache, nid)->empty) != NO_PFN)
			return true;
		node = lock_any_home(cache, nid);
		if (node) {
			mutex_unlock(&node->lock);
			return true;
		}
	}
	return false;
}

static int node_of_object(const struct object *obj)
{
	return page_to_nid(pfn_to_page(addr_to_pfn(obj)));
}

unsigned int slab_keep_node(struct kmem_cache *cache, int nid, struct object **chain)
{
	struct object *obj = *chain, *next, *foreign = NULL;
	struct object **tail = chain;
	unsigned int nr = 0;

	for (; obj; obj = next) {
		next = obj->next;
		if (node_of_object(obj) == nid) {
			*tail = obj;
			tail = &obj->next;
			nr++;
		} else {
			obj->next = foreign;
			foreign = obj;
		}
	}
	*tail = NULL;
	if (foreign)
		slab_free_bulk(cache, foreign);
	return nr;
}

/* Then the thread has objects of all nodes, and no list is of one. */
static bool interleaves(void)
{
	return mpol_interleaves(get_task_policy(GFP_MALLOC));
}

static void set_lists_node(struct tcache *tc, unsigned int nid)
{
	if (tc->nid == nid)
		return;
	if (tc->nid)
		tcache_flush();
	tc->nid = (uint8_t)nid;
	tc->mixed = nid == TCACHE_ALL_NODES;
	tcache_set_view(tc);
}

void tcache_follow_node(struct tcache *tc)
{
	set_lists_node(tc, interleaves() ? TCACHE_ALL_NODES : (unsigned int)mempolicy_slab_node() + 1);
}

bool tcache_moved_away(struct tcache *tc, const struct object *obj)
{
	tcache_follow_node(tc);
	return tc->nid != TCACHE_ALL_NODES && tc->nid - 1 != node_of_object(obj);
}

int tcache_alloc_node(struct tcache *tc, unsigned int class)
{
	bool in_turn = interleaves();
	int nid;

	if (in_turn && class >= FIRST_RUN_CLASS) /* its pages take the turn */
		return 0;
	nid = mempolicy_slab_node();
	set_lists_node(tc, in_turn ? TCACHE_ALL_NODES : (unsigned int)nid + 1);
	return nid;
}

void tcache_note_node(struct tcache *tc, const struct object *chain, int nid)
{
	tc->mixed |= node_of_object(chain) != nid;
}

/* A chain is full, or another is to be kept in its place: to the threads of its node. */
static void send_remote(struct tcache *tc, struct remote_chain *r)
{
	struct object *chain = r->head;

	r->head = NULL;
	magazine_put(&kmem_caches[r->class], tc, chain, r->nr);
}

void tcache_flush_remote(struct tcache *tc)
{
	struct remote_chain *r;

	for (r = tc->remote; r < tc->remote + REMOTE_CHAINS; r++) {
		struct object *chain = r->head;

		r->head = NULL;
		if (chain)
			slab_free_bulk(&kmem_caches[r->class], chain);
	}
}

static void keep_remote(struct tcache *tc, struct object *obj, unsigned int class)
{
	struct remote_chain *r = &tc->remote[class % REMOTE_CHAINS];
	int nid = node_of_object(obj);

	if (unlikely(obj == r->head))
		report_double_free(obj, class_size(class));
	/* Not as soon as it is full: the last that came is looked at, for it may be freed twice. */
	if (r->head && (r->class != class || r->nid != nid || r->nr >= r->most)) {
		send_remote(tc, r);
		tcache_tick(tc, true);
	}
	if (!r->head) {
		r->class = (uint8_t) class;
		r->nid = (uint8_t)nid;
		r->nr = 0;
		r->most = (uint16_t)max_ul(REMOTE_BYTES / class_size(class), 1);
	}
	obj->next = r->head;
	r->head = obj;
	r->nr++;
}

bool tcache_free_remote(void *addr)
{
	struct tcache *tc = &tcache;
	struct object *obj = addr;
	unsigned int class = vmemmap.class[addr_to_pfn(addr)];

	if (class == NO_CLASS)
		return false;
	if (class >= FIRST_RUN_CLASS) {
		tcache_free_unlisted(addr);
	} else if (tc->state == TCACHE_ACTIVE || tc->state == TCACHE_ASIDE) {
		keep_remote(tc, obj, class);
	} else {
		obj->next = NULL;
		slab_free_bulk(&kmem_caches[class], obj);
	}
	return true;
}

bool tcache_drop_foreign(struct tcache *tc, unsigned int class)
{
	unsigned int nr = 0;

	if (!tc->mixed)
		return false;
	if (tc->nid == TCACHE_ALL_NODES) {
		struct object *chain = tc->head[class];

		tc->head[class] = NULL;
		slab_free_bulk(&kmem_caches[class], chain);
	} else {
		nr = slab_keep_node(&kmem_caches[class], tc->nid - 1, &tc->head[class]);
	}
	tc->room[class] = (int32_t)(tc->cap[class] - nr);
	return tc->room[class] > 0;
}
