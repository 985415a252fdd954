/* SPDX-License-Identifier: MIT */
/*
 * Reports on zones in the formats of /proc.
 */
#ifndef MM_VMSTAT_H
#define MM_VMSTAT_H

struct out;

/* As /proc/buddyinfo: a line per zone, the number of free blocks of each order. Takes no lock. */
void print_buddyinfo(struct out *o);

#endif
