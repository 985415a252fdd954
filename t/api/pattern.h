/* SPDX-License-Identifier: MIT */
/*
 * Contents that tell whose they are: words made from a block's address and size, so that two blocks that overlap, a
 * block moved without its bytes or a stale one are seen. Small blocks are filled wholly; larger ones at both ends and
 * in one word of every page.
 */
#ifndef T_API_PATTERN_H
#define T_API_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PATTERN_DENSE 8192UL /* words, of a block that is filled wholly */
#define PATTERN_END 512UL    /* words, filled at each end of a larger one; also the distance between the others */
#define PATTERN_UNUSED static __attribute__((unused))

PATTERN_UNUSED uint64_t pattern_word(uintptr_t addr, size_t size, size_t i)
{
	uint64_t key = (addr >> 4) * 0x9e3779b97f4a7c15UL ^ (uint64_t)size * 0xd6e8feb86659fd93UL;

	return key + (uint64_t)i * 0xbf58476d1ce4e5b9UL;
}

PATTERN_UNUSED size_t pattern_words(size_t size)
{
	return (size + 7) / 8;
}

/* The word to look at after the i-th of nr. */
PATTERN_UNUSED size_t pattern_next(size_t i, size_t nr)
{
	size_t next = i + 1;

	if (nr <= PATTERN_DENSE || next < PATTERN_END || next >= nr - PATTERN_END)
		return next;
	next = (next + PATTERN_END - 1) / PATTERN_END * PATTERN_END;
	return next < nr - PATTERN_END ? next : nr - PATTERN_END;
}

/* Bytes of the i-th word that lie within size. */
PATTERN_UNUSED size_t pattern_bytes(size_t i, size_t size)
{
	return size - i * 8 < 8 ? size - i * 8 : 8;
}

PATTERN_UNUSED void pattern_fill(void *addr, size_t size)
{
	size_t i, nr = pattern_words(size);

	for (i = 0; i < nr; i = pattern_next(i, nr)) {
		uint64_t word = pattern_word((uintptr_t)addr, size, i);

		memcpy((char *)addr + i * 8, &word, pattern_bytes(i, size));
	}
}

/*
 * The first len bytes at addr must be what pattern_fill(then, size) wrote, then being where the block was. Returns
 * the offset of the first word that is not, -1 when all are.
 */
PATTERN_UNUSED ptrdiff_t pattern_damage(const void *addr, uintptr_t then, size_t size, size_t len)
{
	size_t i, nr = pattern_words(size);

	for (i = 0; i * 8 < len; i = pattern_next(i, nr)) {
		uint64_t word = pattern_word(then, size, i);

		if (memcmp((const char *)addr + i * 8, &word, pattern_bytes(i, len)) != 0)
			return (ptrdiff_t)(i * 8);
	}
	return -1;
}

PATTERN_UNUSED bool pattern_intact(const void *addr, size_t size)
{
	return pattern_damage(addr, (uintptr_t)addr, size, size) < 0;
}

#endif
