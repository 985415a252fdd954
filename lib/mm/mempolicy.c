/* SPDX-License-Identifier: MIT */
/*
 * Memory policy: each thread has its own, copied from the process's when it first asks, so that no lock is needed and
 * what a policy comes to can be made anew whenever the nodes that are allowed have changed.
 */
#include "mm/mempolicy.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "mm/pcp.h"
#include "os/os.h"

#define POLICY_NUMA_BALANCING (1 << 13) /* asks the kernel to move pages: that is for set_mempolicy(2), not for us */

#define POLICY_FLAGS (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES)

/* A nodemask of a program may be as long as this, if nothing is set beyond the nodes that we count. */
#define NODEMASK_MAX_BITS (PAGE_SIZE * 8)

#define BITS_PER_LONG (8 * sizeof(unsigned long))

thread_local_var struct task current_task;

const struct mempolicy default_policy = { .mode = MPOL_DEFAULT };
bool mempolicies_enabled;

static struct mempolicy process_policy; /* constant once it is known */
static bool process_policy_known;
/* Where the thread began that last began to interleave under the process's policy: threads take turns in that, too,
 * or many short ones would all use the first nodes. A lost update does no harm. */
static uint8_t process_il_prev;

static bool stores_user_nodes(const struct mempolicy *pol)
{
	return pol->flags & POLICY_FLAGS;
}

/* The set bit with this ordinal; there are more than that. */
static unsigned int nth_node(nodemask_t mask, unsigned int nth)
{
	while (nth--)
		mask &= mask - 1;
	return first_bit(mask);
}

static unsigned int nodes_weight(nodemask_t mask)
{
	return hweight_long(mask);
}

/* Each number of relative counts within allowed, beginning again after its last. */
static nodemask_t relative_nodemask(nodemask_t relative, nodemask_t allowed)
{
	nodemask_t nodes = 0;

	for (; relative; relative &= relative - 1)
		nodes |= 1UL << nth_node(allowed, first_bit(relative) % nodes_weight(allowed));
	return nodes;
}

/* What has a place among the old nodes gets the same among the new ones; the rest stays. */
static nodemask_t nodes_remap(nodemask_t nodes, nodemask_t old, nodemask_t new)
{
	nodemask_t mapped = 0;

	for (; nodes; nodes &= nodes - 1) {
		nodemask_t node = nodes & -nodes;

		if (node & old)
			node = 1UL << nth_node(new, nodes_weight(old & (node - 1)) % nodes_weight(new));
		mapped |= node;
	}
	return mapped;
}

static nodemask_t allowed_nodes(void)
{
	return READ_ONCE(cpuset_mems_allowed) & node_states_memory();
}

static nodemask_t lowest_node(nodemask_t nodes)
{
	return nodes & -nodes;
}

/* pol is for the nodes that were allowed at pol->mems_allowed; make it one for those that are now. */
static cold void mpol_rebind_policy(struct mempolicy *pol)
{
	unsigned int seq = read_mems_allowed_begin();
	nodemask_t allowed = allowed_nodes(), nodes;

	pol->seq = seq;
	if (pol->mode == MPOL_DEFAULT || pol->mode == MPOL_LOCAL || pol->mems_allowed == allowed)
		return;
	if (pol->flags & MPOL_F_RELATIVE_NODES)
		nodes = relative_nodemask(pol->user_nodes, allowed);
	else if (pol->flags & MPOL_F_STATIC_NODES)
		nodes = pol->user_nodes & allowed;
	else
		nodes = nodes_remap(pol->nodes, pol->mems_allowed, allowed) & allowed;
	if (pol->mode == MPOL_PREFERRED)
		nodes = lowest_node(nodes); /* none: as local */
	else if (!nodes)
		nodes = allowed;
	pol->mems_allowed = allowed;
	pol->nodes = nodes;
}

static uint8_t il_weights[MAX_NUMNODES]; /* of each node, as of when a thread last set such a policy */

static cold void read_il_weights(void)
{
	int nid;

	for_each_online_node (nid)
		WRITE_ONCE(il_weights[nid], topology.fake ? 1 : (uint8_t)os_interleave_weight(nid));
}

int interleave_nodes(const struct mempolicy *pol)
{
	unsigned int from = current->il_prev;
	nodemask_t later = from < MAX_NUMNODES ? pol->nodes >> from << from : 0;
	unsigned int nid = first_bit(later ? later : pol->nodes);

	if (unlikely(pol->mode == POLICY_WEIGHTED_INTERLEAVE)) {
		if (current->il_weight && node_isset((int)from - 1, pol->nodes)) {
			current->il_weight--;
			return (int)from - 1;
		}
		current->il_weight = READ_ONCE(il_weights[nid]) - 1;
	}
	current->il_prev = (uint8_t)(nid + 1);
	return (int)nid;
}

/* The first use of a thread that has set none: it has the process's. */
static cold void inherit_policy(void)
{
	uint8_t from = READ_ONCE(process_il_prev);

	current->policy = process_policy;
	current->has_policy = true;
	if (!mpol_interleaves(&process_policy))
		return;
	current->il_prev = from;
	WRITE_ONCE(process_il_prev, (uint8_t)(interleave_nodes(&process_policy) + 1));
	current->il_prev = from;
	current->il_weight = 0;
}

const struct mempolicy *current_policy(void)
{
	if (unlikely(!current->has_policy))
		inherit_policy();
	if (unlikely(current->policy.seq != READ_ONCE(mems_allowed_seq)))
		mpol_rebind_policy(&current->policy);
	return &current->policy;
}

/* Of these nodes the nearest; nid itself if there is none. */
static int nearest_node(int nid, nodemask_t nodes)
{
	struct zone **z = NODE_DATA(nid)->node_zonelists[ZONELIST_FALLBACK]->zones;

	for (; *z; z++)
		if (node_isset((*z)->nid, nodes))
			return (*z)->nid;
	return nid;
}

int policy_node(gfp_t gfp, const struct mempolicy *pol, int nid)
{
	/* get_task_policy gives no such policy. */
	VM_BUG_ON(pol->mode == MPOL_BIND && gfp & GFP_THISNODE);
	(void)gfp;
	if (pol->mode == MPOL_PREFERRED && pol->nodes)
		return (int)first_bit(pol->nodes);
	if (pol->mode == POLICY_PREFERRED_MANY)
		return nearest_node(nid, pol->nodes);
	return nid;
}

/* The kernel leaves requests for low zones free of a policy, because its first node alone has such zones. Here every
 * node has each of them. */
const nodemask_t *policy_nodemask(gfp_t gfp, const struct mempolicy *pol)
{
	(void)gfp;
	if (unlikely(pol->mode == MPOL_BIND) && cpuset_nodemask_valid_mems_allowed(&pol->nodes))
		return &pol->nodes;
	return NULL;
}

int mempolicy_slab_node(void)
{
	const struct mempolicy *pol = get_task_policy(0);
	const nodemask_t *nodemask;
	nodemask_t nodes = ~0UL;
	int nid = numa_node_id();

	if (likely(pol == &default_policy) && !cpusets_enabled())
		return nid;
	if (mpol_interleaves(pol))
		return interleave_nodes(pol);
	nid = policy_node(0, pol, nid);
	nodemask = policy_nodemask(0, pol);
	if (nodemask)
		nodes = *nodemask;
	return nearest_node(nid, nodes & READ_ONCE(cpuset_mems_allowed));
}

/* As set_mempolicy(2) reads its mask: one bit less than maxnode says; no mask, and no bits, are the empty set. */
static int get_nodes(nodemask_t *nodes, const unsigned long *nodemask, unsigned long maxnode)
{
	unsigned long bits, bit;

	*nodes = 0;
	if (!nodemask || maxnode <= 1)
		return 0;
	bits = maxnode - 1;
	if (bits > NODEMASK_MAX_BITS)
		return -EINVAL;
	for (bit = 0; bit < bits; bit += BITS_PER_LONG) {
		unsigned long word = nodemask[bit / BITS_PER_LONG];

		if (bits - bit < BITS_PER_LONG)
			word &= (1UL << (bits - bit)) - 1;
		if (!bit)
			*nodes = word;
		else if (word)
			return -EINVAL;
	}
	return 0;
}

/* A policy from what was asked for, and what that comes to on the nodes that are allowed now. */
static int mpol_new(struct mempolicy *pol, unsigned int mode, unsigned int flags, nodemask_t nodes)
{
	nodemask_t allowed;

	*pol = (struct mempolicy){ .seq = read_mems_allowed_begin() };
	if (mode > POLICY_WEIGHTED_INTERLEAVE || flags == POLICY_FLAGS)
		return -EINVAL;
	if (mode == MPOL_DEFAULT)
		return nodes ? -EINVAL : 0;
	if (mode == MPOL_PREFERRED && !nodes)
		mode = MPOL_LOCAL;
	pol->mode = (unsigned short)mode;
	if (mode == MPOL_LOCAL)
		return nodes || flags ? -EINVAL : 0;
	allowed = allowed_nodes();
	pol->flags = (unsigned short)flags;
	pol->user_nodes = nodes;
	pol->mems_allowed = allowed;
	pol->nodes = flags & MPOL_F_RELATIVE_NODES ? relative_nodemask(nodes, allowed) : nodes & allowed;
	if (mode == MPOL_PREFERRED)
		pol->nodes = lowest_node(pol->nodes);
	else if (mode == POLICY_WEIGHTED_INTERLEAVE)
		read_il_weights();
	return pol->nodes ? 0 : -EINVAL;
}

/* From now on requests ask for their policy, and none takes the short way, which knows of no node but this CPU's. */
static void enable_policies(const struct mempolicy *pol)
{
	if (pol->mode == MPOL_DEFAULT || pol->mode == MPOL_LOCAL || is_power_of_2(node_states_memory()) ||
	    READ_ONCE(mempolicies_enabled))
		return;
	WRITE_ONCE(mempolicies_enabled, true);
	alloc_fast_close();
}

int set_task_policy(int mode, const unsigned long *nodemask, unsigned long maxnode)
{
	struct mempolicy pol;
	nodemask_t nodes;
	int err;

	mempolicy_init();
	if (get_nodes(&nodes, nodemask, maxnode) || mode < 0)
		return -EINVAL;
	err = mpol_new(&pol, (unsigned int)mode & ~(unsigned int)POLICY_FLAGS, (unsigned int)mode & POLICY_FLAGS,
		       nodes);
	if (err)
		return err;
	current->policy = pol;
	current->has_policy = true;
	current->il_prev = 0;
	current->il_weight = 0;
	enable_policies(&pol);
	return 0;
}

int get_task_policy_user(int *mode, unsigned long *nodemask, unsigned long maxnode)
{
	const struct mempolicy *pol;
	size_t words;

	mempolicy_init();
	pol = current_policy();
	if (nodemask && (maxnode < topology.nr_nodes || maxnode - 1 > NODEMASK_MAX_BITS))
		return -EINVAL;
	if (mode)
		*mode = pol->mode | pol->flags;
	if (nodemask) {
		words = (maxnode - 1 + BITS_PER_LONG - 1) / BITS_PER_LONG;
		memset(nodemask, 0, words * sizeof(*nodemask));
		if (words)
			*nodemask = stores_user_nodes(pol) ? pol->user_nodes : pol->nodes;
	}
	return 0;
}

/* What get_mempolicy(2) says. */
static void read_process_policy(void)
{
	uint64_t nodes = 0;
	int mode = MPOL_DEFAULT;
	unsigned int flags;

	if (os_is_error(os->get_mempolicy(&mode, &nodes)))
		return;
	flags = (unsigned int)mode & POLICY_FLAGS;
	mode &= ~(POLICY_FLAGS | POLICY_NUMA_BALANCING);
	/* One that we cannot follow, as of nodes beyond those that we count, is left to the kernel. */
	if (mpol_new(&process_policy, (unsigned int)mode, flags, nodes))
		process_policy = default_policy;
}

void mempolicy_init(void)
{
	uint64_t allowed;

	if (smp_load_acquire(&process_policy_known))
		return;
	if (!is_power_of_2(node_states_memory())) {
		if (os_read_mems_allowed(&allowed))
			set_mems_allowed(allowed);
		read_process_policy();
		enable_policies(&process_policy);
	}
	smp_store_release(&process_policy_known, true);
}
