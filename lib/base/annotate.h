/* SPDX-License-Identifier: MIT */
/*
 * What we tell valgrind's memcheck about blocks and pages. annotate_listening is true only where memcheck
 * really listens (not callgrind, not native): then no block goes through a thread's lists, so that every malloc and
 * free is seen, with red zones around each block.
 */
#ifndef BASE_ANNOTATE_H
#define BASE_ANNOTATE_H

#include "base/compiler.h"

#ifdef BM_VALGRIND
extern hidden_var bool annotate_listening;

/* Find out whether memcheck runs us; once, before the first block. */
void annotate_init(void);
/* A block of size bytes at p, with rz bytes of red zone before and behind, is handed to the program. */
void annotate_malloc(const void *p, size_t size, size_t rz, bool zeroed);
void annotate_free(const void *p, size_t rz);
/* Memory that only the allocator may touch from now on; and memory that it may read and write again. */
void annotate_noaccess(const void *p, size_t size);
void annotate_undefined(const void *p, size_t size);
void annotate_defined(const void *p, size_t size);
#else
#define annotate_listening false
static always_inline void annotate_init(void)
{
}
static always_inline void annotate_malloc(const void *p, size_t size, size_t rz, bool zeroed)
{
	(void)p, (void)size, (void)rz, (void)zeroed;
}
static always_inline void annotate_free(const void *p, size_t rz)
{
	(void)p, (void)rz;
}
static always_inline void annotate_noaccess(const void *p, size_t size)
{
	(void)p, (void)size;
}
static always_inline void annotate_undefined(const void *p, size_t size)
{
	(void)p, (void)size;
}
static always_inline void annotate_defined(const void *p, size_t size)
{
	(void)p, (void)size;
}
#endif

#endif
