/* SPDX-License-Identifier: MIT */
/*
 * The parser of configuration strings, made from the rows of tunables.def.
 */
#include "base/tunables.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/host.h"
#include "base/message.h"
#include "base/span.h"
#include "base/tunables_inner.h"

/* Defaults are what the compiler writes here, so the values are good before anyone has parsed anything. */
struct tunables tunables = {
#define TUNABLE_BOOL(name, dflt, help) .name = (dflt),
#define TUNABLE_SIZE(name, dflt, min, max, help) .name = (dflt),
#define TUNABLE_MSEC(name, dflt, min, max, help) .name = (dflt),
#define TUNABLE_NUMBER(name, dflt, min, max, help) .name = (dflt),
#define TUNABLE_ENUM(name, dflt, choices, help) .name = (dflt),
#define TUNABLE_FAULT(name, help) .name = { .interval = 1, .times = -1 },
#define TUNABLE_PATH(name, help) .name = "",
#define TUNABLE_AREAS(name, help) .name = { .nr = 0 },
#define TUNABLE_NODES(name, help) .name = 0,
#include "base/tunables.def"
};

/* false and true take turns. */
#define BOOL_CHOICES "false|true|0|1|no|yes|off|on"

/* An area, and the number of its node. */
#define AREA_MAX (1UL << 46)
#define AREA_NID_MAX 63

const struct row tunable_rows[] = {
#define ROW(n, k, d, lo, hi, c, h) \
	{ .key = #n,               \
	  .choices = (c),          \
	  .help = (h),             \
	  .dflt = (d),             \
	  .min = (lo),             \
	  .max = (hi),             \
	  .kind = (k),             \
	  .offset = offsetof(struct tunables, n) },
#define TUNABLE_BOOL(name, dflt, help) ROW(name, KIND_BOOL, dflt, 0, 1, BOOL_CHOICES, help)
#define TUNABLE_SIZE(name, dflt, min, max, help) ROW(name, KIND_SIZE, dflt, min, max, NULL, help)
#define TUNABLE_MSEC(name, dflt, min, max, help) ROW(name, KIND_MSEC, dflt, min, max, NULL, help)
#define TUNABLE_NUMBER(name, dflt, min, max, help) ROW(name, KIND_NUMBER, dflt, min, max, NULL, help)
#define TUNABLE_FAULT(name, help) ROW(name, KIND_FAULT, 0, 0, LONG_MAX, NULL, help)
#define TUNABLE_ENUM(name, dflt, choices, help) ROW(name, KIND_ENUM, dflt, 0, 0, choices, help)
#define TUNABLE_PATH(name, help) ROW(name, KIND_PATH, 0, 0, 0, NULL, help)
#define TUNABLE_AREAS(name, help) ROW(name, KIND_AREAS, 0, 1, AREA_MAX, NULL, help)
#define TUNABLE_NODES(name, help) ROW(name, KIND_NODES, 0, 1, AREA_NID_MAX + 1, NULL, help)
#include "base/tunables.def"
};
const unsigned int nr_tunable_rows = ARRAY_SIZE(tunable_rows);

/* Text of the user's as a warning may show it: no control characters, at most 64 characters. */
#define SHOWN_LEN 64
struct shown {
	char text[SHOWN_LEN + sizeof("...")];
};

static struct shown show(struct span s)
{
	struct shown shown;
	char *p = shown.text;

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool plain = c >= ' ' && c <= '~' && c != '\\';

		if (p + (plain ? 1 : 4) > shown.text + SHOWN_LEN) {
			memcpy(p, "...", 3);
			p += 3;
			break;
		}
		if (plain) {
			*p++ = (char)c;
			continue;
		}
		*p++ = '\\';
		*p++ = 'x';
		*p++ = "0123456789abcdef"[c >> 4];
		*p++ = "0123456789abcdef"[c & 15];
	}
	*p = '\0';
	return shown;
}

/* The place of s in "a|b|c". */
static bool parse_choice(struct span s, const char *choices, unsigned int *index)
{
	struct span rest = { choices, strlen(choices) };

	for (*index = 0; rest.len; ++*index) {
		struct span choice = span_cut(&rest, '|', '|');

		if (span_is(s, choice.p, choice.len))
			return true;
	}
	return false;
}

static bool parse_range(struct span s, const struct row *row, unsigned long *n)
{
	unsigned int shift = 0;

	if (!span_number(&s, n))
		return false;
	if ((row->kind == KIND_SIZE || row->kind == KIND_AREAS) ? !span_suffix(s, &shift) : s.len != 0)
		return false;
	if (*n > ~0UL >> shift)
		return false;
	*n <<= shift;
	return *n >= row->min && *n <= row->max;
}

/* A number and the slash behind it, which the last one has not. */
static bool parse_part(struct span *s, unsigned long *n, bool last)
{
	if (!span_number(s, n) || *n > LONG_MAX)
		return false;
	if (last)
		return !s->len;
	if (!s->len || *s->p != '/')
		return false;
	s->p++, s->len--;
	return true;
}

bool tunable_fault_parse(const char *text, size_t len, struct tunable_fault *fault)
{
	struct span s = { text, len };
	unsigned long interval, probability, space, times;
	bool endless;

	if (!parse_part(&s, &interval, false) || !parse_part(&s, &probability, false) || !parse_part(&s, &space, false))
		return false;
	endless = span_is(s, "-1", 2);
	if (probability > 100 || (!endless && !parse_part(&s, &times, true)))
		return false;
	*fault = (struct tunable_fault){ interval, probability, space, endless ? -1 : (long)times };
	return true;
}

static bool parse_path(struct span s, char *path)
{
	if (s.len >= TUNABLE_PATH_LEN)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
			return false;
	}
	memcpy(path, s.p, s.len);
	path[s.len] = '\0';
	return true;
}

static bool parse_area(struct span s, const struct row *row, struct tunable_area *area)
{
	bool has_node = text_find(s.p, s.len, '@') != NULL;
	struct span size = span_cut(&s, '@', '@');
	unsigned long nid = 0;

	if (!parse_range(size, row, &area->size))
		return false;
	if (has_node && (!span_number(&s, &nid) || s.len || nid > AREA_NID_MAX))
		return false;
	area->nid = has_node ? (int)nid : -1;
	return true;
}

/* "SIZE@NODE+SIZE"; empty: none. */
static bool parse_areas(struct span s, const struct row *row, struct tunable_areas *areas)
{
	struct tunable_areas parsed = { .nr = 0 };
	bool more = s.len;

	while (more) {
		struct span one;

		more = text_find(s.p, s.len, '+') != NULL;
		one = span_cut(&s, '+', '+');
		if (parsed.nr == TUNABLE_AREAS_MAX || !parse_area(one, row, &parsed.area[parsed.nr++]))
			return false;
	}
	*areas = parsed;
	return true;
}

static bool parse_nodes(struct span s, const struct row *row, unsigned int *nodes)
{
	unsigned long nr = 0;

	if (!span_is(s, "auto", 4)) {
		if (!span_is(span_cut(&s, '=', '='), "fake", 4) || !parse_range(s, row, &nr))
			return false;
	}
	*nodes = (unsigned int)nr;
	return true;
}

/* Sets the key's field; false, and nothing changes, if the value is not accepted. */
static bool set_value(const struct row *row, struct span value)
{
	void *field = (char *)&tunables + row->offset;
	unsigned int index;
	unsigned long n;

	switch (row->kind) {
	case KIND_BOOL:
		if (!parse_choice(value, row->choices, &index))
			return false;
		WRITE_ONCE(*(bool *)field, index & 1);
		return true;
	case KIND_ENUM:
		if (!parse_choice(value, row->choices, &index))
			return false;
		WRITE_ONCE(*(unsigned int *)field, index);
		return true;
	case KIND_SIZE:
	case KIND_MSEC:
	case KIND_NUMBER:
		if (!parse_range(value, row, &n))
			return false;
		WRITE_ONCE(*(unsigned long *)field, n);
		return true;
	case KIND_FAULT:
		return tunable_fault_parse(value.p, value.len, field);
	case KIND_AREAS:
		return parse_areas(value, row, field);
	case KIND_NODES:
		return parse_nodes(value, row, field);
	default:
		return parse_path(value, field);
	}
}

const struct row *tunable_row(struct span key)
{
	for (const struct row *row = tunable_rows; row < tunable_rows + ARRAY_SIZE(tunable_rows); row++) {
		if (span_is(key, row->key, strlen(row->key)))
			return row;
	}
	return NULL;
}

int tunables_set(const char *key, const char *value, size_t len)
{
	const struct row *row = tunable_row((struct span){ key, strlen(key) });

	if (!row)
		return -ENOENT;
	/* These have no moment at which all of the value changes, or have had theirs. */
	if (row->kind == KIND_PATH || row->kind == KIND_FAULT || row->kind == KIND_AREAS || row->kind == KIND_NODES)
		return -EINVAL;
	return set_value(row, (struct span){ value, len }) ? 0 : -EINVAL;
}

static void warn_value(const char *source, const struct row *row, struct span value)
{
	struct out accepted;

	out_init(&accepted, -1);
	tunable_put_accepted(&accepted, row);
	bm_warn("%s: bad value \"%s\" of %s: accepted is %s", source, show(value).text, row->key, accepted.buf);
}

static void warn_key(const char *source, struct span key, struct span value)
{
	struct out keys;

	out_init(&keys, -1);
	for (const struct row *row = tunable_rows; row < tunable_rows + ARRAY_SIZE(tunable_rows); row++)
		out_printf(&keys, "%s%s", row == tunable_rows ? "" : ", ", row->key);
	bm_warn("%s: unknown key \"%s\" (value \"%s\"): accepted are %s", source, show(key).text, show(value).text,
		keys.buf);
}

/* One "key:value"; true if it is good. */
static bool apply(struct span item, const char *source, bool quiet)
{
	struct span value = item;
	struct span key = span_trim(span_cut(&value, ':', ':'));
	const struct row *row = tunable_row(key);
	bool has_value = text_find(item.p, item.len, ':') != NULL;

	value = span_trim(value);
	if (row && has_value && set_value(row, value))
		return true;
	if (quiet)
		return false;
	if (row && has_value)
		warn_value(source, row, value);
	else if (row)
		bm_warn("%s: key %s has no value: write %s:value", source, row->key, row->key);
	else
		warn_key(source, key, value);
	return false;
}

static int apply_all(struct span rest, const char *source)
{
	bool line_start = true;
	int bad = 0;

	while (rest.len) {
		struct span ahead = span_trim(rest);
		struct span item;

		if (line_start && ahead.len && ahead.p[0] == '#') {
			span_cut(&rest, '\n', '\n');
			continue;
		}
		item = span_cut(&rest, ',', '\n');
		line_start = rest.p > item.p + item.len && item.p[item.len] == '\n';
		item = span_trim(item);
		if (item.len && !apply(item, source, bad >= TUNABLES_MAX_WARNINGS))
			bad++;
	}
	return bad;
}

int tunables_parse(const char *text, size_t len, const char *source)
{
	int bad;

	if (len > TUNABLES_MAX_LEN) {
		bm_warn("%s: %zu bytes are too long and ignored: accepted are at most %d", source, len,
			TUNABLES_MAX_LEN);
		bad = 1;
	} else if (!len && !strcmp(source, TUNABLES_ENV)) {
		bm_warn("%s: empty configuration: accepted is key:value,key:value", source);
		bad = 1;
	} else {
		bad = apply_all((struct span){ text, len }, source);
		if (bad > TUNABLES_MAX_WARNINGS)
			bm_warn("%s: %d more", source, bad - TUNABLES_MAX_WARNINGS);
	}
	if (bad && tunables.abort_conf) {
		bm_warn("%s: exiting because of abort_conf:true", source);
		host_exit(1);
	}
	return bad;
}
