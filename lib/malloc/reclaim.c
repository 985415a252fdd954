/* SPDX-License-Identifier: MIT */
/*
 * What malloc itself holds that is free, the caches of the application, and the OOM step, in this order.
 */
#include "malloc/reclaim.h"

#include "malloc/heap.h"
#include "malloc/memcheck.h"
#include "mm/balance.h"
#include "mm/current.h"
#include "mm/oom.h"
#include "mm/shrinker.h"
#include "mm/vmscan.h"
#include "os/os.h"
#include "slab/run.h"
#include "slab/slab.h"

/* Objects that the application's shrinkers are asked for: at least, and when it is given up. */
#define RECLAIM_MIN 32UL
#define RECLAIM_MAX (1UL << 48)

/* Bring home what caches hold, and give back what is free; true if that was anything. */
static bool reclaim_own(void)
{
	tcache_flush();
	slab_reclaim();
	return mm_trim(0) > 0;
}

/* A block that no limit could ever allow is not worth the application's caches. */
static bool hopeless(size_t size)
{
	return size >= os_rlimit_as() || size >= os_rlimit_data();
}

cold bool heap_reclaim(size_t size, unsigned int class, struct heap_effort *effort)
{
	if (!effort->objects) {
		effort->objects = max_ul(size_to_pages(size), RECLAIM_MIN);
		if (reclaim_own() || (class && class < FIRST_RUN_CLASS && slab_has_free(&kmem_caches[class])))
			return true;
	}
	if (have_shrinkers() && effort->objects <= RECLAIM_MAX && !hopeless(size) &&
	    shrink_application(current_gfp_context(GFP_MALLOC), effort->objects)) {
		effort->objects *= 2;
		reclaim_own();
		return true;
	}
	if (oom_wait_for_shrinkers())
		return true;
	return alloc_may_oom(GFP_MALLOC, order_for_pages(size_to_pages(size)), &effort->had_reserve);
}

int heap_trim(size_t pad)
{
	unsigned long released;

	if (heap_forward || !heap_init())
		return 0;
	released = READ_ONCE(mm_released);
	memcheck_release();
	tcache_flush();
	slab_reclaim();
	/* Some of it may have gone back as it came free. */
	return mm_trim(pad) > 0 || READ_ONCE(mm_released) != released;
}
