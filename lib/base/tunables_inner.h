/* SPDX-License-Identifier: MIT */
/*
 * The rows of tunables.def as the parser (tunables.c) and what prints them (tunables_print.c) see them.
 */
#ifndef BASE_TUNABLES_INNER_H
#define BASE_TUNABLES_INNER_H

#include "base/message.h"
#include "base/span.h"
#include "base/tunables.h"

enum kind {
	KIND_BOOL,
	KIND_SIZE,
	KIND_MSEC,
	KIND_NUMBER,
	KIND_ENUM,
	KIND_FAULT,
	KIND_PATH,
	KIND_AREAS,
	KIND_NODES,
};

struct row {
	const char *key;
	const char *choices; /* of an enum, or all spellings of a bool */
	const char *help;
	unsigned long dflt;
	unsigned long min, max;
	enum kind kind;
	unsigned int offset; /* in struct tunables */
};

extern hidden_var const struct row tunable_rows[];
extern hidden_var const unsigned int nr_tunable_rows;

/* tunables.c. The key's row; NULL: there is none. */
const struct row *tunable_row(struct span key);
/* tunables_print.c. What the row takes, as warnings and the help say it. */
void tunable_put_accepted(struct out *o, const struct row *row);

#endif
