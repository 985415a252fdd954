/* SPDX-License-Identifier: MIT */
/*
 * A heap in which owners are charged from the start.
 */
#ifndef T_UNIT_OWNER_H
#define T_UNIT_OWNER_H

#include "mm/owner.h"
#include "slab/owner_cache.h"
#include "slab/slab.h"
#include "model.h"

static struct zone *start(void)
{
	struct zone *zone = model_start();

	mm_init_late();
	slab_init();
	owner_accounting_enable();
	return zone;
}

static inline unsigned long own_usage(void)
{
	return current->owner ? owner_usage(current->owner) : 0;
}

#endif
