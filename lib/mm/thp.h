/* SPDX-License-Identifier: MIT */
/*
 * Transparent hugepages: whether they are worth asking for, here and now.
 */
#ifndef MM_THP_H
#define MM_THP_H

#include "base/compiler.h"

/* Does policy want hugepages behind a heap of this many mapped bytes, and did the last ones come fast enough? */
bool thp_wanted(size_t mapped);
/* Touch a clean pageblock for which hugepages were just asked, and learn from the time that takes. */
void thp_probe(volatile char *addr);

/* May small pages that are in use be made hugepages, in a heap of this many mapped bytes? */
bool thp_collapse_wanted(size_t mapped);
/* Do it for one pageblock, whose content stays: 0 or -errno. No lock may be held. */
int thp_collapse(void *addr);

#endif
