/* SPDX-License-Identifier: MIT */
/*
 * What a request may expect where it is made: the thread's scopes and policy, the cpuset, the CPU, and whether the
 * system fails just now.
 */
#ifndef T_UNIT_PAGES_EXPECT_H
#define T_UNIT_PAGES_EXPECT_H

#include <linux/mempolicy.h>

#include "mm/fault_inject.h"
#include "pages_model.h"

#define MAX_SCOPES 4

struct setting {
	const char *name;
	unsigned long max_pages; /* in use, more or less */
	unsigned int share;	 /* of the steps, in percent */
	unsigned int nodes;
	unsigned int debug; /* DEBUG_* */
	bool fails;	    /* the system does, for stretches of steps */
	bool low_marks;	    /* watermarks come and go */
	size_t cma;
};
static const struct setting *set;

/* Where the child is, for the parent to tell. */
static struct {
	unsigned long step;
	char doing[32];
	unsigned long served, failed, moved, most_pages;
} * shared;

static bool failing;		  /* the system does, now */
static unsigned long not_advised; /* calls of madvise that it had failed before this step */
static unsigned int scope_now[MAX_SCOPES + 1], nr_scopes;
static int policy;		/* MPOL_* */
static nodemask_t policy_nodes; /* as it was set */
static bool policy_moved;	/* the cpuset has changed since */
static nodemask_t mems_allowed;
static int cpu_pinned; /* the CPU we are on; -1: no saying */

static nodemask_t memory_nodes(void)
{
	return topology.node_has_memory;
}

/* The node of this thread, or the nearest with memory; -1: no saying. */
static int local_node(void)
{
	int nid = cpu_pinned < 0 ? -1 : topology.cpu_to_node[cpu_pinned];

	return nid == 2 ? 1 : nid;
}

/* May it go below the marks, and so beyond its policy? */
static bool uses_reserve(bm_gfp_t gfp)
{
	return (gfp & (BM_GFP_MEMALLOC | GFP_ATOMIC_BIT)) || (scope_now[nr_scopes] & BM_SCOPE_NORECLAIM);
}

/* What the policy's nodes come to by now; modes without nodes have none. */
static nodemask_t nodes_of_policy(void)
{
	nodemask_t nodes = policy_nodes & mems_allowed;

	if (policy & MPOL_F_STATIC_NODES)
		return nodes ? nodes : mems_allowed;
	/* Moved along with the cpuset, one by one: anywhere in it. */
	return policy_moved ? mems_allowed : nodes;
}

/* The nodes that a block may be on; who may go below the marks may also leave its policy. nid -1: that of the caller.
 */
static nodemask_t nodes_for(bm_gfp_t gfp, int nid, bool by_policy, bool reserve)
{
	nodemask_t nodes = memory_nodes();

	if (gfp & BM_GFP_THISNODE) {
		if (nid < 0)
			nid = local_node();
		return nid < 0 ? nodes : nodes & 1UL << nid;
	}
	if (by_policy && (policy & ~MPOL_F_STATIC_NODES) == MPOL_BIND && !reserve)
		nodes &= nodes_of_policy();
	if (gfp & BM_GFP_HARDWALL && !reserve && mems_allowed & nodes)
		nodes &= mems_allowed;
	return nodes;
}

/* The request's flags as the scopes leave them. */
static bm_gfp_t in_scope(bm_gfp_t gfp)
{
	if (scope_now[nr_scopes] & BM_SCOPE_PIN)
		gfp &= ~BM_GFP_MOVABLE;
	return gfp;
}

/* Does it leave its policy in the end, for a block on any node? */
static bool leaves_policy(bm_gfp_t gfp)
{
	return gfp & GFP_ATOMIC_BIT || (uses_reserve(gfp) && !(gfp & BM_GFP_NOMEMALLOC));
}

/*
 * Was memory refused that had to be of its node before it was handed out? Such a request puts memory behind each block
 * that it comes to, those of the free lists too, and goes without where the system fails that: for one who asked for a
 * node, or is bound to some, be it to all of them.
 */
static bool unsettled(bm_gfp_t gfp, bool by_policy)
{
	bool bound = by_policy && (policy & ~MPOL_F_STATIC_NODES) == MPOL_BIND && !leaves_policy(gfp);

	return (gfp & BM_GFP_THISNODE || bound) && fake_os_failed(FAKE_MADVISE) != not_advised;
}

/* Has a zone that the request may use a block for it, far above every mark? Then it should have got that. */
static struct zone *served_by(bm_gfp_t gfp, unsigned int order, nodemask_t nodes)
{
	enum migratetype mt = gfp_migratetype(gfp);
	struct zone *zone;
	unsigned int o;
	int i;

	for_each_zone (zone, i) {
		unsigned long kept = zone->watermark[WMARK_HIGH] + zone->watermark_boost + zone->nr_free_cma +
				     zone->nr_reserved_highatomic + zone->nr_isolated +
				     zone->lowmem_reserve[gfp_zone(gfp)] + (1UL << order);

		if (zone->idx > gfp_zone(gfp) || !(nodes >> zone->nid & 1) || zone->nr_free_pages < kept)
			continue;
		for (o = order; o < MAX_ORDER; o++)
			if (zone->free_area[o].free_list[mt] != NO_PFN)
				return zone;
	}
	return NULL;
}

/* A request failed: there was a reason. */
static void failure_ok(bm_gfp_t gfp, unsigned int order, int nid, bool by_policy, int err)
{
	nodemask_t nodes = nodes_for(gfp, nid, by_policy, false) & mems_allowed;
	bool moved = by_policy && policy == MPOL_BIND && policy_moved;
	const struct zone *zone;

	gfp = in_scope(gfp);
	must(err == ENOMEM, "errno %d", err);
	must(!(gfp & BM_GFP_NOFAIL));
	shared->failed++;
	if (fail_page_alloc_enabled || moved || (cpu_pinned < 0 && gfp & BM_GFP_THISNODE) || unsettled(gfp, by_policy))
		return;
	zone = served_by(gfp, order, nodes);
	must(!zone, "order %u, gfp %#x, nodes %#lx failed, and node %d zone %s has %lu pages", order, gfp, nodes,
	     zone->nid, zone_name(zone), zone->nr_free_pages);
	must(failing || !nodes || (gfp & BM_GFP_DMA32), "order %u, gfp %#x, nodes %#lx failed", order, gfp, nodes);
}

/* The node that a request is served from as long as there is no want; -1: no saying. */
static int first_node(bm_gfp_t gfp, int nid, bool by_policy)
{
	if (set->fails || set->low_marks || mems_allowed != memory_nodes() || gfp & (BM_GFP_WRITE | BM_GFP_DMA32))
		return -1;
	if (nid >= 0)
		return nid == 2 ? 1 : nid;
	if (!by_policy || gfp & BM_GFP_THISNODE || policy == MPOL_DEFAULT || policy == MPOL_LOCAL)
		return local_node();
	if (policy == MPOL_PREFERRED && !policy_moved)
		return (int)first_bit(policy_nodes);
	return -1;
}

/* A block that came: where it may be, and as it was asked for. */
static struct block *served(void *addr, unsigned int order, bm_gfp_t gfp, int nid, bool by_policy)
{
	struct block *b = block_new(addr, order, in_scope(gfp), gfp & BM_GFP_THISNODE ? bm_page_node(addr) : -1);
	nodemask_t nodes = nodes_for(gfp, nid, by_policy, uses_reserve(gfp));

	must(node_isset(bm_page_node(addr), nodes), "order %u, gfp %#x, nodes %#lx: came from node %d", order, gfp,
	     nodes, bm_page_node(addr));
	nid = first_node(gfp, nid, by_policy);
	must(nid < 0 || bm_page_node(addr) == nid, "order %u, gfp %#x: came from node %d, not %d", order, gfp,
	     bm_page_node(addr), nid);
	shared->served++;
	return b;
}

#endif
