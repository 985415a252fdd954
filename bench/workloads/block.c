/* SPDX-License-Identifier: MIT */
/*
 * Blocks with contents that are checked.
 *
 * The tag is kept outside the block as well: two live blocks that overlap differ in their tags, so that
 * one of them is found to be overwritten, even where they have the same address and size.
 */
#include <stdlib.h>
#include <string.h>

#include "workload.h"

#define WORD sizeof(uint64_t)
#define FILLED_WHOLE 1024
#define TOUCH_STEP 4096

/* The bytes in whole words; the fewer than 8 behind them carry the tag's low byte. */
static size_t words_end(const struct block *b)
{
	return b->size / WORD * WORD;
}

static void put(const struct block *b, size_t offset)
{
	memcpy((char *)b->p + offset, &b->tag, WORD);
}

/* The bits in which a word differs from the tag. */
static uint64_t difference(const struct block *b, size_t offset)
{
	uint64_t found;

	memcpy(&found, (char *)b->p + offset, WORD);
	return found ^ b->tag;
}

void block_fill(const struct block *b)
{
	size_t end = words_end(b);

	if (b->size <= FILLED_WHOLE) {
		for (size_t offset = 0; offset < end; offset += WORD)
			put(b, offset);
	} else {
		for (size_t offset = 0; offset < end; offset += TOUCH_STEP)
			put(b, offset);
		put(b, end - WORD);
	}
	for (size_t offset = end; offset < b->size; offset++)
		((unsigned char *)b->p)[offset] = (unsigned char)b->tag;
}

static void overwritten(const struct block *b)
{
	size_t step = b->size <= FILLED_WHOLE ? WORD : TOUCH_STEP, offset = 0;

	while (offset + step < words_end(b) && !difference(b, offset))
		offset += step;
	wl_die("block %p of %zu bytes does not hold what was written, seen near offset %zu", b->p, b->size, offset);
}

void block_check(const struct block *b)
{
	size_t end = words_end(b);
	uint64_t wrong = 0;

	if (b->size <= FILLED_WHOLE) {
		for (size_t offset = 0; offset < end; offset += WORD)
			wrong |= difference(b, offset);
	} else {
		for (size_t offset = 0; offset < end; offset += TOUCH_STEP)
			wrong |= difference(b, offset);
		wrong |= difference(b, end - WORD);
	}
	for (size_t offset = end; offset < b->size; offset++)
		wrong |= ((unsigned char *)b->p)[offset] ^ (b->tag & 0xff);
	if (wrong)
		overwritten(b);
}

void block_new(struct block *b, size_t size, struct wl_rng *rng)
{
	b->p = wl_alloc(size);
	b->size = size;
	b->tag = wl_random(rng);
	block_fill(b);
}

void block_drop(struct block *b, struct wl_result *result)
{
	if (!b->p)
		return;
	block_check(b);
	result->sum += wl_mix(b->tag ^ b->size);
	result->ops++;
	free(b->p);
	b->p = NULL;
}

void block_churn(struct block *blocks, uint32_t nr, uint64_t ops, size_t (*size)(struct wl_rng *), struct wl_rng *rng,
		 struct wl_result *result)
{
	while (ops--) {
		struct block *b = &blocks[wl_below(rng, nr)];

		block_drop(b, result);
		block_new(b, size(rng), rng);
	}
}

void block_drop_all(struct block *blocks, uint32_t nr, struct wl_result *result)
{
	for (uint32_t i = 0; i < nr; i++)
		block_drop(&blocks[i], result);
}
