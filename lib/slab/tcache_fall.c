/* SPDX-License-Identifier: MIT */
/*
 * Falls of use in a process of one thread.
 *
 * Many classes each hold a little, too little for one of them to be seen as mostly free, and all of it pins slabs. A
 * program that has done its work frees what it had, and may never call again. So each time a quarter of what was in use
 * is not any more, all lists go home, and magazines: what is left of them in the end is what came free after the last
 * such time. Where use swings, that is done in one swing of each FALL_MS.
 */
#include "slab/tcache_inner.h"

#include "mm/balance.h"
#include "os/os.h"

#define FALL_SHARE 4			       /* by which use has fallen, */
#define FALL_LEAST (2 * MiB >> PAGE_SHIFT)     /* from more than that; less is hardly worth it */
#define FALL_MS 100
#define SWEEP_OBJECTS 64U /* go home in one call; they are in nobody's cache, and each may empty a slab */

enum tcache_fall { USE_RISES, USE_FALLS, USE_FALLS_SWEPT };

static unsigned int sweep_runs(struct tcache *tc, unsigned int class)
{
	unsigned int nr = tc->head[class] ? SWEEP_OBJECTS : 0;

	flush_class(tc, class);
	return nr;
}

/* Part of what waits of a class: of the list, of the spare, or of a magazine, which becomes the spare. How many
 * objects; 0: there are none left. */
static unsigned int sweep_part(struct tcache *tc, unsigned int class, unsigned int most)
{
	struct object *chain;
	unsigned int nr;

	if (class >= FIRST_RUN_CLASS)
		return sweep_runs(tc, class);
	if (tc->room[class] < 0) { /* tcache_close_all has been here: nobody knows how many there are */
		flush_class(tc, class);
		return most;
	}
	if (tc->head[class]) {
		nr = shed(class, &tc->head[class], (unsigned int)(tc->cap[class] - tc->room[class]), most);
		tc->room[class] += (int32_t)nr;
		return nr;
	}
	if (!tc->spare[class]) {
		flush_class(tc, class); /* room in the place of a spare */
		chain = magazine_take_own(&kmem_caches[class], &nr);
		if (!chain) {
			slab_shrink(&kmem_caches[class]);
			return 0;
		}
		tc->spare[class] = chain;
		tc->spare_nr[class] = (uint16_t)nr;
	}
	nr = shed(class, &tc->spare[class], tc->spare_nr[class], most);
	tc->spare_nr[class] -= (uint16_t)nr;
	return nr;
}

/* So many objects, and no more: no call is to take long. */
static void sweep_some(struct tcache *tc)
{
	unsigned int left = SWEEP_OBJECTS, nr;

	while (tc->sweep && left) {
		nr = sweep_part(tc, tc->sweep, left);
		tc->sweep -= !nr;
		left -= (unsigned int)min_ul(left, nr);
	}
	if (!tc->sweep)
		tc->used_high = (uint32_t)normal_used_pages();
}

static void note_fall(struct tcache *tc)
{
	uint32_t now = (uint32_t)os_clock_ms();

	if (tc->fall != USE_FALLS_SWEPT && now - tc->swept >= FALL_MS) {
		tc->fall = USE_FALLS_SWEPT;
		tc->swept = now;
	} else if (tc->fall == USE_RISES) {
		tc->fall = USE_FALLS;
	}
	if (tc->fall == USE_FALLS_SWEPT)
		tc->sweep = NR_CLASSES - 1;
}

static void note_use(struct tcache *tc)
{
	uint32_t used = (uint32_t)normal_used_pages(), share = tc->used_high / FALL_SHARE;

	if (used > tc->used_high + (tc->fall == USE_RISES ? 0 : share)) {
		tc->used_high = used;
		tc->fall = USE_RISES;
	} else if (used < tc->used_high - share && tc->used_high > FALL_LEAST) {
		tc->used_high = used;
		note_fall(tc);
	}
}

unsigned int tcache_follow_use(struct tcache *tc, bool freeing)
{
	if (!thread_is_alone()) {
		tc->sweep = 0;
		return TICKS_PER_CHECK;
	}
	if (!tc->sweep)
		note_use(tc);
	if (tc->sweep && freeing)
		sweep_some(tc);
	if (tc->sweep)
		return 1;
	return tc->fall == USE_RISES ? TICKS_PER_CHECK : TICKS_PER_CHECK_FALLING;
}
