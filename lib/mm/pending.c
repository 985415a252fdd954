/* SPDX-License-Identifier: MIT */
/*
 * What the walk calls and what comes with the next changes, each in a file of its own.
 */
#include "mm/compaction.h"
#include "mm/mempolicy.h"
#include "mm/page_alloc.h"
#include "mm/page_isolation.h"
#include "mm/vmstat.h"

/* compaction.c */
enum compact_result try_to_compact_pages(gfp_t gfp, unsigned int order, unsigned int alloc_flags,
					 const struct alloc_context *ac, enum compact_priority prio)
{
	(void)gfp, (void)order, (void)alloc_flags, (void)ac, (void)prio;
	return COMPACT_SKIPPED;
}
bool compaction_zonelist_suitable(const struct alloc_context *ac, unsigned int order, unsigned int alloc_flags)
{
	(void)ac, (void)order, (void)alloc_flags;
	return false;
}
void compaction_defer_reset(struct zone *zone, int order, bool alloc_success)
{
	(void)zone, (void)order, (void)alloc_success;
}
unsigned long compact_node(int nid)
{
	(void)nid;
	return 0;
}
