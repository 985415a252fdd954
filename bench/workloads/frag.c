/* SPDX-License-Identifier: MIT */
/*
 * Fragmentation over time: phase after phase fills memory with blocks of another size distribution and
 * frees most of them; random survivors of every phase stay for many phases more, and hold the memory that
 * the next distribution would need in one piece.
 */
#include <stdlib.h>

#include "workload.h"

#define PHASES 18
#define PHASE_BYTES (48u << 20)
#define SURVIVORS 30000
#define MAX_BLOCKS (PHASE_BYTES / 16)

/* The powers of two that a phase draws from: narrow windows that wander from small to large and back. */
static unsigned int window(uint64_t phase)
{
	static const unsigned char lows[] = { 4, 7, 5, 10, 6, 12, 8, 4, 13, 9, 5, 11 };

	return lows[phase % sizeof(lows)];
}

static uint32_t fill_phase(struct block *blocks, uint64_t phase, struct wl_rng *rng)
{
	unsigned int low = window(phase);
	size_t bytes = 0;
	uint32_t nr = 0;

	while (bytes < PHASE_BYTES && nr < MAX_BLOCKS) {
		block_new(&blocks[nr], wl_size_log(rng, low, low + 3), rng);
		bytes += blocks[nr++].size;
	}
	return nr;
}

/* About one in 16 of a phase's bytes lives on, each in the place of a random older one. */
static void keep_some(struct block *survivors, struct block *blocks, uint32_t nr, struct wl_rng *rng,
		      struct wl_result *result)
{
	for (uint32_t i = 0; i < nr / 16; i++) {
		struct block *b = &blocks[wl_below(rng, nr)];
		struct block *s = &survivors[wl_below(rng, SURVIVORS)];

		if (!b->p)
			continue;
		block_drop(s, result);
		*s = *b;
		b->p = NULL;
	}
}

static void run(const struct wl_params *params, struct wl_result *result)
{
	struct wl_rng rng = wl_rng(params->seed, 0);
	struct block *survivors = wl_zalloc(SURVIVORS, sizeof(*survivors));
	struct block *blocks = wl_zalloc(MAX_BLOCKS, sizeof(*blocks));
	uint64_t phases = wl_scaled(params, PHASES);

	for (uint64_t phase = 0; phase < phases; phase++) {
		uint32_t nr = fill_phase(blocks, phase, &rng);

		keep_some(survivors, blocks, nr, &rng, result);
		block_drop_all(blocks, nr, result);
	}
	block_drop_all(survivors, SURVIVORS, result);
	free(blocks);
	free(survivors);
}

const struct workload wl_frag = { "frag", "phases of shifting sizes with long-lived survivors", 1, run };
