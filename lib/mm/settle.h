/* SPDX-License-Identifier: MIT */
/*
 * That memory lies on the node that it is handed out for. A mapping's node is a wish: the system puts memory behind a
 * page when it is first touched, and where the node has none left by then it takes another's, and says nothing. For who
 * asked for a node or none it is therefore put there, and looked at, before a page is handed out; and for all others
 * when a zone grows while its node has little free.
 *
 * All of it is for machines of several nodes: but for settle_alloc_huge not for fake ones.
 */
#ifndef MM_SETTLE_H
#define MM_SETTLE_H

#include "mm/gfp.h"
#include "mm/mempolicy.h"

/* May a request have no page of another node, or of other nodes than some? */
static always_inline bool wants_settled(gfp_t gfp, const nodemask_t *nodemask)
{
	return topology_binds() && (gfp & GFP_THISNODE || (nodemask && nodemask != &cpuset_mems_allowed));
}

/* Pages that have just come off the free lists get memory of their node, whatever they had; false: it has no more. No
 * more than a look where that is known of their pageblocks. */
bool settle_pages(const struct page *page, unsigned long nr);
/* For pageblocks that the arenas have just given for the node. always: whatever it has free. False: it has not
 * enough. What is settled is not clean, for there is memory behind it. */
bool settle_blocks(unsigned long pb, unsigned long nr, int nid, bool always, bool *clean);
/* Some was given back, or moved elsewhere: what is known of the pages' pageblocks is not so any more. */
static inline void unsettle_pages(unsigned long pfn, unsigned long nr)
{
	unsigned long at;

	for (at = pfn >> PAGEBLOCK_ORDER; at <= (pfn + nr - 1) >> PAGEBLOCK_ORDER; at++)
		WRITE_ONCE(vmemmap.blocks[at].settled, 0);
}
/* The process may use other nodes, for the seq-th time. What says so already was settled a whole round of numbers ago:
 * it is forgotten. */
void settle_round(unsigned int seq);
/* Memory was given back to the system: nodes that had none may have some. */
void settle_again(void);

/* For one malloc: arena_alloc from where the thread's policy says; under interleave its pages are of all nodes in turn.
 */
unsigned long settle_alloc_huge(unsigned long nr, unsigned long align, bool *clean);
/* Pageblocks that lengthen such a block; false: they are not where the policy says. */
bool settle_extension(unsigned long pb, unsigned long nr);
/* May memory of such a block from pb on be moved to new addresses, or is there a policy to be followed anew? */
bool settle_may_move(unsigned long pb);
/* Before arena_free for such pageblocks; false: they are of their node. True: they are, now, and clean. */
bool settle_unspread(unsigned long pb, unsigned long nr);
/* May a block get pages behind it, in its pageblock? */
bool settle_may_extend(unsigned long pfn);

#endif
