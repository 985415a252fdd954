/* SPDX-License-Identifier: MIT */
/*
 * The last step of the slow path. Nobody is aborted by this version: who asked gets NULL.
 */
#include "mm/oom.h"

#include "mm/vmstat.h"

unsigned long oom_calls;

bool tsk_is_oom_victim(void)
{
	return false;
}

bool out_of_memory(struct oom_control *oc)
{
	(void)oc;
	ADD_ONCE(oom_calls, 1); /* under the oom lock */
	return false;
}
