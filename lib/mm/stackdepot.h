/* SPDX-License-Identifier: MIT */
/*
 * Stack traces kept once each, for ever: a small number stands for one. No lock, no allocation but of whole mappings.
 */
#ifndef MM_STACKDEPOT_H
#define MM_STACKDEPOT_H

#include "base/compiler.h"

typedef uint32_t depot_stack_handle_t; /* 0: none */

/* The number of this trace, new or known; 0 when it is empty or there is no memory for it. Any thread. */
depot_stack_handle_t stack_depot_save(const uintptr_t *entries, unsigned int nr);
/* How many entries it has, and where they are. */
unsigned int stack_depot_fetch(depot_stack_handle_t handle, const uintptr_t **entries);
/* Bytes mapped for it. */
size_t stack_depot_bytes(void);

#endif
