/* SPDX-License-Identifier: MIT */
/*
 * What tunables are, in words: the help, what a key accepts, and values as a configuration would write them.
 */
#include <errno.h>
#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/tunables_inner.h"

/* As a configuration would write it: the largest suffix that leaves a whole number. */
static void put_size(struct out *o, unsigned long size)
{
	static const char suffix[][2] = { "", "k", "m", "g", "t" };
	unsigned int i = 0;

	while (size && !(size & 1023) && i < ARRAY_SIZE(suffix) - 1) {
		size >>= 10;
		i++;
	}
	out_printf(o, "%lu%s", size, suffix[i]);
}

void tunable_put_accepted(struct out *o, const struct row *row)
{
	switch (row->kind) {
	case KIND_BOOL:
	case KIND_ENUM:
		out_printf(o, "%s", row->choices);
		break;
	case KIND_SIZE:
		out_printf(o, "a size from ");
		put_size(o, row->min);
		out_printf(o, " to ");
		put_size(o, row->max);
		break;
	case KIND_MSEC:
		out_printf(o, "milliseconds from %lu to %lu", row->min, row->max);
		break;
	case KIND_NUMBER:
		out_printf(o, "a number from %lu to %lu", row->min, row->max);
		break;
	case KIND_FAULT:
		out_printf(o, "interval/probability/space/times, four numbers; probability at most 100, "
			      "times -1 for no end");
		break;
	case KIND_PATH:
		out_printf(o, "a path of at most %d bytes without control characters", TUNABLE_PATH_LEN - 1);
		break;
	case KIND_AREAS:
		out_printf(o, "SIZE or SIZE@NODE, up to %d of them with '+' in between", TUNABLE_AREAS_MAX);
		break;
	case KIND_NODES:
		out_printf(o, "auto, or fake=N with N from %lu to %lu", row->min, row->max);
		break;
	}
}

/* Of "a|b|c" the one at the index. */
static void put_choice(struct out *o, const char *choices, unsigned long index)
{
	struct span rest = { choices, strlen(choices) };
	struct span choice = { 0 };

	for (unsigned long i = 0; i <= index; i++)
		choice = span_cut(&rest, '|', '|');
	for (size_t i = 0; i < choice.len; i++)
		out_printf(o, "%c", choice.p[i]);
}

static void put_default(struct out *o, const struct row *row)
{
	switch (row->kind) {
	case KIND_BOOL:
	case KIND_ENUM:
		put_choice(o, row->choices, row->dflt);
		break;
	case KIND_SIZE:
		put_size(o, row->dflt);
		break;
	case KIND_MSEC:
	case KIND_NUMBER:
		out_printf(o, "%lu", row->dflt);
		break;
	case KIND_FAULT:
	case KIND_PATH:
	case KIND_AREAS:
		out_printf(o, "none");
		break;
	case KIND_NODES:
		out_printf(o, "auto");
		break;
	}
}

void tunables_help(struct out *o)
{
	for (const struct row *row = tunable_rows; row < tunable_rows + nr_tunable_rows; row++) {
		out_printf(o, "%s: ", row->key);
		tunable_put_accepted(o, row);
		out_printf(o, " (default ");
		put_default(o, row);
		out_printf(o, ")\n\t%s\n", row->help);
	}
}

static void put_areas(struct out *o, const struct tunable_areas *areas)
{
	for (unsigned int i = 0; i < areas->nr; i++) {
		out_printf(o, "%s%lu", i ? "+" : "", areas->area[i].size);
		if (areas->area[i].nid >= 0)
			out_printf(o, "@%d", areas->area[i].nid);
	}
}

static void put_nodes(struct out *o, unsigned int nodes)
{
	if (nodes)
		out_printf(o, "fake=%u", nodes);
	else
		out_printf(o, "auto");
}

static void put_fault(struct out *o, const struct tunable_fault *fault)
{
	out_printf(o, "%lu/%lu/%lu/%ld", fault->interval, fault->probability, fault->space, fault->times);
}

int tunables_print(struct out *o, const char *key)
{
	const struct row *row = tunable_row((struct span){ key, strlen(key) });
	const void *field;

	if (!row)
		return -ENOENT;
	field = (const char *)&tunables + row->offset;
	switch (row->kind) {
	case KIND_BOOL:
		put_choice(o, row->choices, READ_ONCE(*(const bool *)field));
		break;
	case KIND_ENUM:
		put_choice(o, row->choices, READ_ONCE(*(const unsigned int *)field));
		break;
	case KIND_SIZE:
	case KIND_MSEC:
	case KIND_NUMBER:
		out_printf(o, "%lu", READ_ONCE(*(const unsigned long *)field));
		break;
	case KIND_FAULT:
		put_fault(o, field);
		break;
	case KIND_PATH:
		out_printf(o, "%s", (const char *)field);
		break;
	case KIND_AREAS:
		put_areas(o, field);
		break;
	case KIND_NODES:
		put_nodes(o, *(const unsigned int *)field);
		break;
	}
	return 0;
}
