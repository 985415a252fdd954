/* SPDX-License-Identifier: MIT */
/*
 * A thread's lists, for the files that fill and empty them. The caller's own, but for tcache_free_chain and max_cap.
 */
#ifndef SLAB_TCACHE_INNER_H
#define SLAB_TCACHE_INNER_H

#include "mm/fault_inject.h"
#include "slab/tcache.h"

/* False if this thread must do without lists. */
static always_inline bool tcache_ready(struct tcache *tc)
{
	tcache_enter();
	if (unlikely(tc->state != TCACHE_ACTIVE || READ_ONCE(failslab_enabled)))
		return tcache_follow_failslab(tc);
	return true;
}

/* tcache.c. Bring a chain home: to its slabs, or as runs. No lock held. */
void tcache_free_chain(struct object *chain, unsigned int class);
/* The list and the spare. */
void flush_class(struct tcache *tc, unsigned int class);

/* tcache_free.c. Objects that a list of the class may hold, however much comes and goes. */
unsigned int max_cap(unsigned int class);

/* Room that a list has in the place of a spare. */
static always_inline unsigned int spare_room(const struct tcache *tc, unsigned int class)
{
	unsigned int nr = tc->spare_nr[class];

	return nr && !tc->spare[class] ? nr : 0;
}

/* NULL: there is none. */
static always_inline struct object *take_spare(struct tcache *tc, unsigned int class)
{
	struct object *chain = tc->spare[class];

	tc->spare[class] = NULL;
	tc->spare_nr[class] = 0;
	return chain;
}

/* Of a list's or a spare's objects, so many as are held, the first go home, most at most. How many are gone:
 * all, if one was none, behind which nothing can be believed. */
static inline unsigned int shed(unsigned int class, struct object **chain, unsigned int held, unsigned int most)
{
	unsigned int nr = (unsigned int)min_ul(most, held);

	*chain = slab_free_some(&kmem_caches[class], *chain, nr);
	return *chain ? nr : held;
}

/* tcache.c. Of a list with the spare's room what was freed first becomes a spare. */
void split_list(struct tcache *tc, unsigned int class);

/* tcache_fall.c. If much less is in use than before, lists go home, some at each free. Ticks until the next look. */
unsigned int tcache_follow_use(struct tcache *tc, bool freeing);

/*
 * Lists of slab objects that are not small share room, as a thread may use many of these classes, each of them a
 * little; so do all lists of one of several threads. What a list has of it: room for all but its first objects.
 */
static always_inline uint32_t shared_bytes(const struct tcache *tc, unsigned int class)
{
	unsigned int cap = tc->cap[class] - spare_room(tc, class), first = size_classes.first_cap[class];

	return cap > first ? (uint32_t)((cap - first) * class_size(class)) : 0;
}
/* And what all of its kind have. */
static always_inline uint32_t *shared_more(struct tcache *tc, unsigned int class)
{
	return class_is_small(class) ? &tc->more_small : &tc->more_shared;
}

#endif
