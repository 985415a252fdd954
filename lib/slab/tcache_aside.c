/* SPDX-License-Identifier: MIT */
/*
 * Inside of a named owner a thread's lists lie aside, so that each call comes to the slow functions. What is the
 * thread's own then, because libc asks for it or because it had it before, goes to them and comes from them all the
 * same: one by one where that is all, with all lists in their place for the call where it is not.
 */
#include <string.h>

#include "mm/current.h"
#include "mm/fault_inject.h"
#include "mm/memblock.h"
#include "slab/tcache.h"

static void put_aside(struct tcache *tc)
{
	struct tcache_aside *aside = tc->aside;

	memcpy(aside->head, tc->head, sizeof(tc->head));
	memcpy(aside->room, tc->room, sizeof(tc->room));
	memset(tc->head, 0, sizeof(tc->head));
	memset(tc->room, 0, sizeof(tc->room));
	tc->state = TCACHE_ASIDE;
}

static void bring_back(struct tcache *tc)
{
	memcpy(tc->head, tc->aside->head, sizeof(tc->head));
	memcpy(tc->room, tc->aside->room, sizeof(tc->room));
	tc->state = TCACHE_ACTIVE;
}

bool tcache_borrow_lists(struct tcache *tc)
{
	if (likely(tc->state != TCACHE_ASIDE))
		return false;
	tc->aside_in_use = true;
	bring_back(tc);
	return true;
}

void tcache_return_lists(struct tcache *tc)
{
	tc->aside_in_use = false;
	tcache_follow_owner();
}

/* A place for lists; where there is none they are emptied, and closed as for failslab. */
static bool aside_ready(struct tcache *tc)
{
	if (likely(tc->aside))
		return true;
	tc->aside = tcache_left_aside();
	if (!tc->aside)
		tc->aside = memblock_alloc(sizeof(*tc->aside));
	return tc->aside;
}

void tcache_follow_owner(void)
{
	struct tcache *tc = &tcache;

	if (tc->aside_in_use) /* a shrinker of the application is called, and enters an owner */
		return;
	if (current->inside && tc->state == TCACHE_ACTIVE) {
		if (aside_ready(tc)) {
			put_aside(tc);
		} else {
			tcache_flush();
			tc->state = TCACHE_CLOSED;
			tcache_close_lists(tc);
		}
	} else if (!current->inside && tc->state == TCACHE_ASIDE) {
		bring_back(tc);
	}
	if (!current->inside && unlikely(READ_ONCE(failslab_enabled) || tc->state == TCACHE_CLOSED))
		tcache_follow_failslab(tc);
}

void *tcache_alloc_aside(struct tcache *tc, unsigned int class)
{
	struct tcache_aside *aside = tc->aside;
	struct object *obj = aside->head[class];
	bool borrowed;

	if (obj) {
		aside->head[class] = obj->next;
		aside->room[class]++;
		return obj;
	}
	borrowed = tcache_borrow_lists(tc);
	obj = tcache_alloc_slow(class);
	if (borrowed)
		tcache_return_lists(tc);
	return obj;
}

void tcache_free_aside(struct tcache *tc, struct object *obj, unsigned int class)
{
	struct tcache_aside *aside = tc->aside;
	bool borrowed;

	if (unlikely(obj == aside->head[class]))
		report_double_free(obj, class_size(class));
	if (aside->room[class] > 0) {
		obj->next = aside->head[class];
		aside->head[class] = obj;
		aside->room[class]--;
		return;
	}
	borrowed = tcache_borrow_lists(tc);
	tcache_free_slow(obj, class);
	if (borrowed)
		tcache_return_lists(tc);
}
