/* SPDX-License-Identifier: MIT */
/*
 * Vectors that grow by appending, many at once: by half of their size from 16 bytes up to 8 MiB, and by
 * steps of 4 KiB as a file reader does. All contents are compared when a vector has grown up.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "workload.h"

#define VECTORS 64
#define GROWN 12000 /* vectors in a run */
#define STEPPERS 8
#define STEP 4096
#define STEPS 1024
#define STEP_ROUNDS 6

struct vector {
	uint64_t *words;
	size_t used, room, target; /* words */
	uint64_t tag;
};

static void resize(struct vector *v, size_t room, struct wl_result *result)
{
	uint64_t *words = realloc(v->words, room * sizeof(*words));

	if (!words)
		wl_die("realloc to %zu bytes: %s", room * sizeof(*words), strerror(errno));
	v->words = words;
	v->room = room;
	result->ops++;
}

static void fill(struct vector *v)
{
	for (; v->used < v->room; v->used++)
		v->words[v->used] = v->tag + v->used;
}

static void finish(struct vector *v, struct wl_result *result)
{
	for (size_t i = 0; i < v->used; i++) {
		if (v->words[i] != v->tag + i)
			wl_die("vector of %zu words: word %zu is %016llx, written was %016llx", v->used, i,
			       (unsigned long long)v->words[i], (unsigned long long)(v->tag + i));
	}
	result->sum += wl_mix(v->tag + v->used);
	free(v->words);
	v->words = NULL;
}

static struct vector new_vector(struct wl_rng *rng)
{
	/* Most vectors stay small: of two targets the smaller one counts. */
	size_t a = wl_size_log(rng, 4, 23), b = wl_size_log(rng, 4, 23);

	return (struct vector){ .target = (a < b ? a : b) / sizeof(uint64_t), .tag = wl_random(rng) };
}

static void grow_by_half(uint64_t grown, struct wl_rng *rng, struct wl_result *result)
{
	struct vector vectors[VECTORS];

	for (int i = 0; i < VECTORS; i++)
		vectors[i] = new_vector(rng);
	while (grown) {
		struct vector *v = &vectors[wl_below(rng, VECTORS)];

		resize(v, v->room ? v->room + (v->room + 1) / 2 : 2, result);
		fill(v);
		if (v->room < v->target)
			continue;
		finish(v, result);
		*v = new_vector(rng);
		grown--;
	}
	for (int i = 0; i < VECTORS; i++)
		finish(&vectors[i], result);
}

static void grow_by_steps(uint64_t rounds, struct wl_rng *rng, struct wl_result *result)
{
	while (rounds--) {
		struct vector vectors[STEPPERS] = { 0 };

		for (int i = 0; i < STEPPERS; i++)
			vectors[i].tag = wl_random(rng);
		for (int step = 0; step < STEPS; step++) {
			for (int i = 0; i < STEPPERS; i++) {
				resize(&vectors[i], vectors[i].room + STEP / sizeof(uint64_t), result);
				fill(&vectors[i]);
			}
		}
		for (int i = 0; i < STEPPERS; i++)
			finish(&vectors[i], result);
	}
}

static void run(const struct wl_params *params, struct wl_result *result)
{
	struct wl_rng rng = wl_rng(params->seed, 0);

	grow_by_half(wl_scaled(params, GROWN), &rng, result);
	grow_by_steps(wl_scaled(params, STEP_ROUNDS), &rng, result);
}

const struct workload wl_realloc = { "realloc", "vectors growing to 8 MiB by half and by 4 KiB steps", 1, run };
