/* SPDX-License-Identifier: MIT */
/*
 * The functions of <malloc.h> that look at the heap or tune it.
 */
#ifndef MALLOC_FAMILY_H
#define MALLOC_FAMILY_H

#include <malloc.h>
#include <stdio.h>

#include "malloc/stats.h"

struct mallinfo2 family_mallinfo(void);
struct mallinfo family_mallinfo_int(void); /* figures beyond INT_MAX stay there */
/* M_TRIM_THRESHOLD sets the bytes of free memory that are kept. glibc's other parameters tune things that do not
 * exist here: they are accepted. 0 for a parameter that glibc does not have either. */
int family_mallopt(int param, int value);
/* XML as malloc_info(3): 0, or EINVAL for options other than 0. */
int family_malloc_info(int options, FILE *stream);

#endif
