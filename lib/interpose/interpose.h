/* SPDX-License-Identifier: MIT */
/*
 * Exported names. In a build with a sanitizer, which has a malloc of its own, they carry a prefix, and t/api/api.h
 * maps the tests' calls to them.
 */
#ifndef INTERPOSE_INTERPOSE_H
#define INTERPOSE_INTERPOSE_H

#include <stddef.h>

#define EXPORT __attribute__((__visibility__("default")))

#ifdef BM_PREFIX
#define NAME_PASTE(prefix, name) prefix##name
#define NAME_EXPAND(prefix, name) NAME_PASTE(prefix, name)
#define NAME(name) NAME_EXPAND(BM_PREFIX, name)
#else
#define NAME(name) name

/* malloc and free, by names that nobody else's can take the place of. */
extern void *own_malloc(size_t size) __attribute__((__visibility__("hidden")));
extern void own_free(void *addr) __attribute__((__visibility__("hidden")));
#endif

#endif
