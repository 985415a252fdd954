/* SPDX-License-Identifier: MIT */
/*
 * Memory of the right node: put there and looked at; and what is known of what nodes have free.
 */
#include "mm/settle.h"

#include <linux/mempolicy.h>
#include <sys/mman.h>

#include "mm/arena.h"
#include "mm/buddy.h"
#include "mm/budget.h"
#include "mm/debug.h"
#include "mm/hugetlb.h"
#include "os/os.h"

#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

#define LOOK_PAGES 128 /* at once */

/* With more than this free, a node has some for what is touched later, too. */
#define PLENTY (64L << 20)
#define READ_MS 100 /* what a node has free is read so often while that is plenty, */
#define SCARCE_MS 4 /* and so often while it is not */
#define FULL_MS 10  /* a node that had too little is not asked again for so long */

/* Of each node. Races are harmless: each figure is a word, and a guess. */
static later_data struct {
	long left;	     /* bytes free when that was read, less what zones have grown by since */
	uint32_t read;	     /* when, in ms; 0: never */
	uint32_t full_until; /* in ms; 0: not full */
} nodes[MAX_NUMNODES];

/* What pageblocks say that were settled since the process was last let use other nodes: the system may have moved all
 * it has then. */
static uint8_t settled_at(unsigned int seq)
{
	return (uint8_t)(1 + seq % (SETTLED_SPREAD - 1));
}

static uint8_t settled_now(void)
{
	return settled_at(READ_ONCE(mems_allowed_seq));
}

void settle_round(unsigned int seq)
{
	unsigned long pb, end = READ_ONCE(vmemmap.nr_pages) >> PAGEBLOCK_ORDER;

	for (pb = 0; pb < end; pb++)
		if (READ_ONCE(vmemmap.blocks[pb].settled) == settled_at(seq))
			WRITE_ONCE(vmemmap.blocks[pb].settled, 0);
}

static bool blocks_settled(unsigned long pb, unsigned long nr)
{
	unsigned long i;

	/* Hugetlb pages have been looked at, and do not go elsewhere. */
	for (i = pb; i < pb + nr; i++)
		if (READ_ONCE(vmemmap.blocks[i].settled) != settled_now() && !block_is_hugetlb(&vmemmap.blocks[i]))
			return false;
	return true;
}

static size_t system_page(void)
{
	return max_ul(os_page_size(), PAGE_SIZE);
}

/* Put memory behind all of it; what it holds stays. */
static bool populate(char *addr, size_t bytes)
{
	long ret = os->madvise(addr, bytes, MADV_POPULATE_WRITE);
	size_t at;

	if (ret != -EINVAL)
		return ret >= 0;
	for (at = 0; at < bytes; at += system_page())
		__atomic_fetch_or(addr + at, 0, __ATOMIC_RELAXED);
	return true;
}

/* Does it all lie there, as far as the system tells? */
static bool lies_on(char *addr, size_t bytes, int nid)
{
	void *pages[LOOK_PAGES];
	int node[LOOK_PAGES];
	unsigned long i, nr;
	size_t at = 0;

	while (at < bytes) {
		for (nr = 0; nr < LOOK_PAGES && at < bytes; nr++, at += system_page())
			pages[nr] = addr + at;
		if (os->page_nodes(nr, pages, node) < 0)
			return true;
		for (i = 0; i < nr; i++)
			if (node[i] >= 0 && node[i] != nid)
				return false;
	}
	return true;
}

/* Clean memory of another node was put there just now: to try once more would be in vain. */
static bool settle(char *addr, size_t bytes, int nid, bool clean)
{
	if (populate(addr, bytes) && lies_on(addr, bytes, nid))
		return true;
	if (unlikely(page_debug)) /* what free pages hold is looked at */
		return false;
	unsettle_pages(virt_to_pfn(addr), bytes >> PAGE_SHIFT); /* some of it may have been settled before */
	os->madvise(addr, bytes, MADV_DONTNEED);
	if (!clean && populate(addr, bytes) && lies_on(addr, bytes, nid))
		return true;
	/* Where the system does not let us say where, as in a container, or knows of no such node, all is right. */
	if (os->mbind(addr, bytes, MPOL_PREFERRED | MPOL_F_STATIC_NODES, 1UL << nid) < 0)
		return true;
	os->madvise(addr, bytes, MADV_DONTNEED);
	return false;
}

bool settle_pages(const struct page *page, unsigned long nr)
{
	unsigned long pfn = page_to_pfn(page), pb = pfn >> PAGEBLOCK_ORDER;

	return blocks_settled(pb, ((pfn + nr - 1) >> PAGEBLOCK_ORDER) - pb + 1) ||
	       settle(page_to_addr(page), nr << PAGE_SHIFT, page_to_nid(page), false);
}

/* Less these bytes, which something grows by. */
static bool node_has_plenty(int nid, size_t bytes)
{
	bool plenty = READ_ONCE(nodes[nid].left) > PLENTY + (long)bytes;
	uint32_t now = (uint32_t)os_clock_ms(), read = READ_ONCE(nodes[nid].read);
	unsigned long free;

	if (!read || now - read >= (plenty ? READ_MS : SCARCE_MS)) {
		WRITE_ONCE(nodes[nid].read, now | 1);
		WRITE_ONCE(nodes[nid].left, os_node_free((unsigned int)nid, &free) ? (long)free : INT64_MAX / 2);
		plenty = READ_ONCE(nodes[nid].left) > PLENTY + (long)bytes;
	}
	atomic_sub_return(&nodes[nid].left, (long)bytes);
	return plenty;
}

static bool node_is_full(int nid)
{
	uint32_t until = READ_ONCE(nodes[nid].full_until);

	return until && (int32_t)(until - (uint32_t)os_clock_ms()) > 0;
}

void settle_again(void)
{
	int nid;

	for_each_online_node (nid)
		WRITE_ONCE(nodes[nid].full_until, 0);
}

/* The node had nothing for these pageblocks, but says that it has more than that free. Where hugepages are advised the
 * system rather takes one of another node than small pages of this one. */
static bool settle_small(unsigned long pb, unsigned long nr, int nid)
{
	size_t bytes = nr << PAGEBLOCK_SHIFT;
	unsigned long free;

	if (unlikely(page_debug) || pfn_is_low(pb << PAGEBLOCK_ORDER) || !os_node_free((unsigned int)nid, &free) ||
	    free < 2 * bytes)
		return false;
	arena_advise_small(pb, nr);
	return settle(block_to_addr(pb), bytes, nid, true);
}

bool settle_blocks(unsigned long pb, unsigned long nr, int nid, bool always, bool *clean)
{
	unsigned long i;

	if (blocks_settled(pb, nr) || (node_has_plenty(nid, nr << PAGEBLOCK_SHIFT) && !always))
		return true;
	if (*clean && node_is_full(nid))
		return false;
	if (!settle(block_to_addr(pb), nr << PAGEBLOCK_SHIFT, nid, *clean) && !(always && settle_small(pb, nr, nid))) {
		WRITE_ONCE(nodes[nid].full_until, ((uint32_t)os_clock_ms() + FULL_MS) | 1);
		return false;
	}
	for (i = pb; i < pb + nr; i++)
		WRITE_ONCE(vmemmap.blocks[i].settled, settled_now());
	*clean = false;
	return true;
}

static const nodemask_t *bound_nodes(void)
{
	return policy_nodemask(GFP_MALLOC, get_task_policy(GFP_MALLOC));
}

/* Under a limit that counts what is touched: is so much left? */
static bool affordable(size_t bytes)
{
	return !READ_ONCE(limits_in_force) || budget_growable_pages(true, false) >= bytes >> PAGE_SHIFT;
}

/* Of these nodes, the nearest to nid first. */
static unsigned long alloc_bound(unsigned long nr, unsigned long align, int nid, nodemask_t allowed, bool *clean)
{
	struct zone **z = NODE_DATA(nid)->node_zonelists[ZONELIST_FALLBACK]->zones;
	unsigned long pb;

	if (!affordable(nr << PAGEBLOCK_SHIFT))
		return 0;
	for (; *z; z++) {
		if ((*z)->idx != ZONE_NORMAL || !node_isset((*z)->nid, allowed))
			continue;
		pb = arena_alloc_hugetlb(nr, align, PB_HUGE, (*z)->nid, clean);
		if (pb && (!topology_binds() || settle_blocks(pb, nr, (*z)->nid, true, clean)))
			return pb;
		if (pb)
			arena_free(pb, nr, !*clean);
	}
	return 0;
}

static bool is_spread(unsigned long pb)
{
	return READ_ONCE(vmemmap.blocks[pb].settled) == SETTLED_SPREAD;
}

/* Over all of these, as the system does it: page by page, when they are touched. */
static unsigned long alloc_spread(unsigned long nr, unsigned long align, const struct mempolicy *pol, bool *clean)
{
	unsigned long i, pb = arena_alloc_hugetlb(nr, align, PB_HUGE, interleave_nodes(pol), clean);
	nodemask_t spread = pol->nodes & READ_ONCE(cpuset_mems_allowed);
	size_t bytes = nr << PAGEBLOCK_SHIFT;

	if (!pb || block_is_hugetlb(&vmemmap.blocks[pb]) ||
	    os->mbind(block_to_addr(pb), bytes, MPOL_INTERLEAVE | MPOL_F_STATIC_NODES, spread) < 0)
		return pb;
	for (i = pb; i < pb + nr; i++)
		WRITE_ONCE(vmemmap.blocks[i].settled, SETTLED_SPREAD);
	if (!*clean)
		*clean = os->madvise(block_to_addr(pb), bytes, MADV_DONTNEED) >= 0;
	return pb;
}

unsigned long settle_alloc_huge(unsigned long nr, unsigned long align, bool *clean)
{
	const struct mempolicy *pol;
	const nodemask_t *bound;

	mems_allowed_poll();
	pol = get_task_policy(GFP_MALLOC);
	bound = policy_nodemask(GFP_MALLOC, pol);
	if (bound)
		return alloc_bound(nr, align, numa_node_id(), *bound & READ_ONCE(cpuset_mems_allowed), clean);
	if (pol->mode == MPOL_INTERLEAVE && topology_binds())
		return alloc_spread(nr, align, pol, clean);
	return arena_alloc_hugetlb(nr, align, PB_HUGE, mempolicy_slab_node(), clean);
}

bool settle_unspread(unsigned long pb, unsigned long nr)
{
	size_t bytes = nr << PAGEBLOCK_SHIFT;

	if (likely(!is_spread(pb)))
		return false;
	unsettle_pages(pb << PAGEBLOCK_ORDER, nr << PAGEBLOCK_ORDER);
	os->mbind(block_to_addr(pb), bytes, MPOL_PREFERRED | MPOL_F_STATIC_NODES, 1UL << vmemmap.blocks[pb].nid);
	return os->madvise(block_to_addr(pb), bytes, MADV_DONTNEED) >= 0;
}

bool settle_extension(unsigned long pb, unsigned long nr)
{
	const nodemask_t *bound = bound_nodes();
	int nid = vmemmap.blocks[pb].nid;
	bool clean = false;

	if (is_spread(pb - 1))
		return false;
	if (!bound)
		return true;
	return node_isset(nid, *bound) && affordable(nr << PAGEBLOCK_SHIFT) && settle_blocks(pb, nr, nid, true, &clean);
}

bool settle_may_move(unsigned long pb)
{
	return !mpol_interleaves(get_task_policy(GFP_MALLOC)) && !bound_nodes() && !is_spread(pb) &&
	       vmemmap.blocks[pb].nid == mempolicy_slab_node();
}

bool settle_may_extend(unsigned long pfn)
{
	const nodemask_t *bound = bound_nodes();
	unsigned long pb = pfn >> PAGEBLOCK_ORDER;

	return !bound || (node_isset(vmemmap.blocks[pb].nid, *bound) && blocks_settled(pb, 1));
}
