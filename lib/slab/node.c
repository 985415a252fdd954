/* SPDX-License-Identifier: MIT */
/*
 * Slabs on several nodes: a class has a partial list and magazines for each, so that a thread's objects come from the
 * node that its policy says, or that it runs on. What it frees of other nodes stays in its list until that is full, and
 * goes home then.
 */
#include "mm/buddy.h"
#include "mm/memblock.h"
#include "mm/mempolicy.h"
#include "mm/page_alloc.h"
#include "slab/tcache.h"

void slab_nodes_init(void)
{
	nodemask_t nodes = node_states_memory();
	int nr = (int)topology.nr_nodes;
	unsigned int class;

	if (is_power_of_2(nodes))
		return;
	/* Without, all nodes share one list: blocks may lie far, but there are some. */
	slab_nodes = memblock_alloc((size_t)nr * FIRST_RUN_CLASS * sizeof(*slab_nodes));
	if (!slab_nodes)
		return;
	nr_slab_nodes = nr;
	for (class = 1; class < FIRST_RUN_CLASS; class++) {
		*get_node(&kmem_caches[class], 0) = kmem_caches[class].node;
		kmem_caches[class].node = (struct kmem_cache_node){ 0 };
	}
}

/* The nodes that may serve this thread. */
static nodemask_t allowed_nodes(void)
{
	const nodemask_t *nodes = policy_nodemask(GFP_MALLOC, get_task_policy(GFP_MALLOC));

	return (nodes ? *nodes : ~0UL) & READ_ONCE(cpuset_mems_allowed);
}

struct page *alloc_slab_pages_node(int nid, gfp_t gfp, unsigned int order)
{
	return alloc_pages_nodemask(gfp, order, nid, policy_nodemask(gfp, get_task_policy(gfp)));
}

struct kmem_cache_node *get_any_partial(struct kmem_cache *cache, int nid)
{
	nodemask_t allowed = allowed_nodes();
	struct zone **z;

	for (z = NODE_DATA(nid)->node_zonelists[ZONELIST_FALLBACK]->zones; *z; z++) {
		struct kmem_cache_node *node = get_node(cache, (*z)->nid);

		if (node_isset((*z)->nid, allowed) && node->partial_head != NO_PFN)
			return node;
	}
	return NULL;
}

bool slab_has_free(struct kmem_cache *cache)
{
	bool has;

	mutex_lock(&cache->lock);
	has = slab_nodes ? !!get_any_partial(cache, numa_node_id()) : cache->node.partial_head != NO_PFN;
	mutex_unlock(&cache->lock);
	return has;
}

unsigned int slab_keep_node(struct kmem_cache *cache, int nid, struct object **chain)
{
	struct object *obj = *chain, *next, *foreign = NULL;
	struct object **tail = chain;
	unsigned int nr = 0;

	for (; obj; obj = next) {
		next = obj->next;
		if (page_to_nid(pfn_to_page(addr_to_pfn(obj))) == nid) {
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

int tcache_follow_node(struct tcache *tc, unsigned int class)
{
	bool in_turn = interleaves();
	int nid;

	if (in_turn && class >= FIRST_RUN_CLASS) /* its pages take the turn */
		return 0;
	nid = mempolicy_slab_node();
	if (tc->nid != nid + 1 && tc->nid && !in_turn)
		tcache_flush();
	tc->nid = (uint8_t)(nid + 1);
	return nid;
}

bool tcache_drop_foreign(struct tcache *tc, unsigned int class)
{
	unsigned int nr = 0;

	if (!tc->nid || interleaves()) {
		struct object *chain = tc->head[class];

		tc->head[class] = NULL;
		slab_free_bulk(&kmem_caches[class], chain);
	} else {
		nr = slab_keep_node(&kmem_caches[class], tc->nid - 1, &tc->head[class]);
	}
	tc->room[class] = (int32_t)(tc->cap[class] - nr);
	return tc->room[class] > 0;
}
