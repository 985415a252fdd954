/* SPDX-License-Identifier: MIT */
/*
 * Named owners, and blocks of every kind for them.
 */
#ifndef T_API_OWNER_H
#define T_API_OWNER_H

#include "child.h"

#define PAGE 4096UL
#define NR_SIZES 12
static const size_t sizes[NR_SIZES] = { 1, 24, 100, 500, 1024, 3000, 9000, 32768, 40000, 200000, 1 << 20, 3 << 20 };

TAP_UNUSED bm_owner_t *make(const char *name)
{
	struct bm_owner_attr attr = { .name = name };
	bm_owner_t *owner = bm_owner_create(&attr);

	if (!owner)
		bail_out("no owner: errno %d", errno);
	return owner;
}

/* Bytes that the library has in use. */
TAP_UNUSED size_t in_use(void)
{
	malloc_trim(0);
	return api_in_use();
}

TAP_UNUSED void *block_of_kind(unsigned int kind, size_t size)
{
	void *p = NULL;

	switch (kind % 5) {
	case 0:
		return malloc(size);
	case 1:
		p = calloc(1, size);
		for (size_t i = 0; p && i < size; i += 97)
			want(!((char *)p)[i], "calloc: byte %zu of %zu", i, size);
		return p;
	case 2:
		return memalign(64, size);
	case 3:
		return posix_memalign(&p, 8192, size) ? NULL : p;
	default:
		return realloc(malloc(size / 2 + 1), size);
	}
}

#endif
