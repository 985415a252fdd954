/* SPDX-License-Identifier: MIT */
/*
 * Cpusets: the nodes that the kernel lets this process use. It tells nobody of a change: they are asked for now and
 * then, by one thread at a time and not more often than every few milliseconds.
 */
#include "base/bits.h"
#include "mm/arena.h"
#include "mm/balance_inner.h"
#include "mm/internal.h"
#include "mm/mempolicy.h"
#include "mm/oom.h"
#include "mm/pcp.h"
#include "mm/settle.h"
#include "os/os.h"

#define REREAD_MS 4

nodemask_t cpuset_mems_allowed = ~0UL;
unsigned int mems_allowed_seq;
bool cpusets_in_use;

static uint64_t last_read; /* ms; whoever moves it on reads the file */

bool cpuset_zone_allowed(const struct zone *zone, gfp_t gfp)
{
	if (likely(node_isset(zone->nid, READ_ONCE(cpuset_mems_allowed))))
		return true;
	if (tsk_is_oom_victim())
		return true;
	if (gfp & GFP_HARDWALL)
		return false;
	/* The kernel would ask the cpusets around this one: a process cannot see them. Those who cannot wait for memory
	 * of their own, or are about to free some, may go on. */
	return gfp & (GFP_ATOMIC_BIT | GFP_MEMALLOC) || current->flags & PF_MEMALLOC;
}

void set_mems_allowed(nodemask_t mask)
{
	nodemask_t nodes = node_states_memory();

	if (!(mask & nodes) || xchg(&cpuset_mems_allowed, mask) == mask)
		return;
	if (nodes & ~mask && !READ_ONCE(cpusets_in_use)) {
		WRITE_ONCE(cpusets_in_use, true);
		alloc_fast_close(); /* the short way does not ask whether this CPU's node is allowed */
	}
	/* After the mask: who sees the number sees the mask. */
	settle_round(__atomic_add_fetch(&mems_allowed_seq, 1, __ATOMIC_RELEASE));
}

/* What is free of these nodes goes back: of those left it is of no use; and who had some of those that are back, and
 * touched it meanwhile, has got other nodes' pages there. */
static void give_back_nodes(nodemask_t nodes)
{
	struct zone *zone;
	int i;

	for_each_populated_zone (zone, i) {
		if (!node_isset(zone->nid, nodes))
			continue;
		drain_zone_pages(zone);
		zone_trim(zone, 0);
		zone_purge(zone, 0, 0);
	}
	arena_purge(0, ~0U, false);
}

void mems_allowed_poll_slow(void)
{
	uint64_t last = READ_ONCE(last_read), now = os_clock_ms();
	nodemask_t before = READ_ONCE(cpuset_mems_allowed), nodes = node_states_memory(), left;
	uint64_t mask;

	if (current->flags & PF_MEMALLOC_NOIO) /* nothing could be given back */
		return;
	if ((last && now - last < REREAD_MS) || !try_cmpxchg(&last_read, last, now) || !os_read_mems_allowed(&mask))
		return;
	/* Before anybody has some of those that are back. */
	if (unlikely(mask & nodes & ~before))
		give_back_nodes(mask & nodes & ~before);
	set_mems_allowed(mask);
	left = before & nodes & ~READ_ONCE(cpuset_mems_allowed);
	if (unlikely(left))
		give_back_nodes(left);
}

bool read_mems_allowed_retry(unsigned int seq)
{
	if (is_power_of_2(node_states_memory()) || topology.fake)
		return false;
	if (smp_load_acquire(&mems_allowed_seq) == seq)
		mems_allowed_poll_slow();
	return smp_load_acquire(&mems_allowed_seq) != seq;
}

bool check_retry_cpuset(unsigned int seq, struct alloc_context *ac)
{
	bool retry = read_mems_allowed_retry(seq);

	if (retry && READ_ONCE(mempolicies_enabled))
		current_policy(); /* the nodemask may be that of this thread's policy: it follows */
	if (cpusets_enabled() && ac->nodemask && !cpuset_nodemask_valid_mems_allowed(ac->nodemask)) {
		ac->nodemask = NULL;
		retry = true;
	}
	return retry;
}
