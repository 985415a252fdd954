/* SPDX-License-Identifier: MIT */
/*
 * The budget on a system of our own making: the figures of /proc and of cgroups are files of the test, and limits are
 * so large that the real system never minds them.
 */
#ifndef T_UNIT_BUDGET_H
#define T_UNIT_BUDGET_H

#include <sys/resource.h>

#include "base/tunables.h"
#include "mm/budget.h"
#include "os/limits.h"
#include "fake_sys.h"
#include "model.h"

#define MIB (1UL << 20)
#define BLOCKS(bytes) ((bytes) >> PAGEBLOCK_SHIFT)

/* A limit that is so much above what this process can ever map. */
#define FAR (1UL << 52)

static struct zone *zone;

TAP_UNUSED bool grow_huge(unsigned long nr, unsigned long *pb)
{
	bool clean;

	*pb = arena_alloc(nr, 1, PB_HUGE, 0, &clean);
	return *pb != 0;
}

/* One node; nothing is known of any limit. */
TAP_UNUSED void start(void)
{
	struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_AS, &none);
	setrlimit(RLIMIT_DATA, &none);
	fake_sys_remove();
	fake_sys_nodes(1, 0);
	zone = model_start();
	tunables.dirty_max = 16 * MiB;
	budget_init();
	must(!limits_in_force);
}

TAP_UNUSED void start_with(unsigned long limit)
{
	start();
	tunables.limit = limit;
	budget_limit_changed();
	must(limits_in_force);
}

/* The process's size, as the system has it, so that others than the heap have all but left bytes of FAR. */
TAP_UNUSED void leave(unsigned long left)
{
	char text[96];
	unsigned long own = (arena_stats.mapped << PAGEBLOCK_SHIFT) + sparse_metadata_bytes();
	unsigned long as = (FAR - left + (sparse_is_reserved() ? 0 : own)) / os_page_size();

	snprintf(text, sizeof(text), "%lu 1 1 1 0 %lu 0\n", as, (FAR - left + own) / os_page_size());
	fake_sys_write("self/statm", text);
}

TAP_UNUSED void start_rlimit(int resource, unsigned long left)
{
	struct rlimit limit = { FAR, RLIM_INFINITY };

	start();
	leave(left);
	must(!setrlimit(resource, &limit));
	budget_refresh();
	must(limits_in_force);
}

#endif
