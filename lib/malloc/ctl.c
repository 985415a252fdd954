/* SPDX-License-Identifier: MIT */
/*
 * Control by name: a table of values and actions, most of them under the names that sysctl(8) and the fault injection
 * of debugfs give them. What is not in it may be a key of the configuration.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/message.h"
#include "base/tunables.h"
#include "malloc/heap.h"
#include "mm/compaction.h"
#include "mm/vmscan.h"
#include "mm/vmstat.h"

enum ctl_kind {
	CTL_NUMBER, /* unsigned long */
	CTL_ACTION, /* a number that is not kept: it cannot be read */
	CTL_TEXT,   /* cannot be set */
};

struct ctl {
	const char *name;
	void *value;			      /* nr of them; actions and texts have none */
	void (*changed)(void);		      /* after value was written */
	void (*action)(unsigned long number); /* CTL_ACTION */
	void (*print)(struct out *o);	      /* CTL_TEXT */
	long min, max;
	unsigned int nr;
	enum ctl_kind kind;
};

static void compact_memory(unsigned long number)
{
	(void)number;
	compact_node(-1);
}

static void drop(unsigned long what)
{
	drop_caches((unsigned int)what);
}

static void print_version(struct out *o)
{
	out_printf(o, "%s", bm_version());
}

static void print_page_size(struct out *o)
{
	out_printf(o, "%lu", PAGE_SIZE);
}

static void print_nodes(struct out *o)
{
	print_nodemask(o, node_states_memory());
}

#define NUMBERS(n, v, count, lo, hi, fn)                                                                \
	{                                                                                               \
		.name = (n), .kind = CTL_NUMBER, .value = (v), .nr = (count), .min = (lo), .max = (hi), \
		.changed = (fn)                                                                         \
	}
#define NUMBER(n, v, lo, hi, fn) NUMBERS(n, &(v), 1, lo, hi, fn)
#define ACTION(n, fn, lo, hi)                                                                      \
	{                                                                                          \
		.name = (n), .kind = CTL_ACTION, .action = (fn), .nr = 1, .min = (lo), .max = (hi) \
	}
#define TEXT(n, fn)                                          \
	{                                                    \
		.name = (n), .kind = CTL_TEXT, .print = (fn) \
	}
static const struct ctl ctls[] = {
	TEXT("version", print_version),
	TEXT("page_size", print_page_size),
	TEXT("nodes", print_nodes),
	NUMBER("vm.min_free_kbytes", min_free_kbytes, 0, INT_MAX, setup_per_zone_wmarks),
	NUMBER("vm.watermark_scale_factor", watermark_scale_factor, 1, 3000, setup_per_zone_wmarks),
	NUMBER("vm.watermark_boost_factor", watermark_boost_factor, 0, INT_MAX, NULL),
	NUMBERS("vm.lowmem_reserve_ratio", sysctl_lowmem_reserve_ratio, MAX_NR_ZONES, 0, INT_MAX,
		setup_per_zone_wmarks),
	NUMBER("vm.zone_reclaim_mode", node_reclaim_mode, 0, 7, NULL),
	ACTION("vm.compact_memory", compact_memory, 1, 1),
	ACTION("vm.drop_caches", drop, 1, 3),
};

/* Keys of the configuration that mean something after the start too. */
static const char *const settable[] = { "dirty_max", "dirty_decay", "thp", "foreign_free" };

static const struct ctl *find_ctl(const char *name)
{
	const struct ctl *ctl;

	for (ctl = ctls; ctl < ctls + ARRAY_SIZE(ctls); ctl++)
		if (!strcmp(name, ctl->name))
			return ctl;
	return NULL;
}

static int print_value(const struct ctl *ctl, struct out *o)
{
	unsigned int i;

	if (ctl->kind == CTL_ACTION)
		return -EPERM;
	if (ctl->kind == CTL_TEXT)
		ctl->print(o);
	for (i = 0; i < ctl->nr; i++) {
		if (i)
			out_printf(o, "\t");
		out_printf(o, "%lu", READ_ONCE(((unsigned long *)ctl->value)[i]));
	}
	return 0;
}

int bm_ctl_get(const char *name, char *buf, size_t len)
{
	const struct ctl *ctl;
	struct out o;
	int err;

	if (!name || !buf)
		return -EINVAL;
	out_init(&o, -1);
	ctl = find_ctl(name);
	err = ctl ? print_value(ctl, &o) : tunables_print(&o, name);
	if (err)
		return err;
	if (o.len >= len)
		return -ENOSPC;
	memcpy(buf, o.buf, o.len + 1);
	return (int)o.len;
}

/* What is left of a value. */
struct text {
	const char *p, *end;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

static void skip_blanks(struct text *t)
{
	while (t->p < t->end && is_blank(*t->p))
		t->p++;
}

/* A number, decimal or 0x hexadecimal, and what must follow: a blank or the end. */
static bool parse_long(struct text *t, long *n)
{
	static const char digits[] = "0123456789abcdef";
	bool negative = t->p < t->end && *t->p == '-', any = false;
	int base = 10;

	t->p += negative;
	if (t->end - t->p > 2 && t->p[0] == '0' && (t->p[1] | 32) == 'x') {
		t->p += 2;
		base = 16;
	}
	for (*n = 0; t->p < t->end && !is_blank(*t->p); t->p++, any = true) {
		char c = *t->p >= 'A' && *t->p <= 'F' ? (char)(*t->p | 32) : *t->p;
		const char *d = memchr(digits, c, (size_t)base);

		if (!d || __builtin_mul_overflow(*n, base, n) || __builtin_add_overflow(*n, d - digits, n))
			return false;
	}
	if (negative)
		*n = -*n;
	return any;
}

#define CTL_MAX_NR 8U
BUILD_BUG_ON(MAX_NR_ZONES > CTL_MAX_NR);

/* As many numbers as there are, at least one and at most nr; how many, 0 if any is not accepted. */
static unsigned int parse_numbers(const struct ctl *ctl, struct text t, long *n)
{
	unsigned int nr = 0;

	for (skip_blanks(&t); t.p < t.end; skip_blanks(&t)) {
		if (nr == ctl->nr || !parse_long(&t, &n[nr]) || n[nr] < ctl->min || n[nr] > ctl->max)
			return 0;
		nr++;
	}
	return nr;
}

static int set_value(const struct ctl *ctl, struct text t)
{
	long n[CTL_MAX_NR];
	unsigned int nr, i;

	if (ctl->kind == CTL_TEXT)
		return -EPERM;
	nr = parse_numbers(ctl, t, n);
	if (!nr)
		return -EINVAL;
	if (ctl->kind == CTL_ACTION) {
		ctl->action((unsigned long)n[0]);
		return 0;
	}
	/* A long may be written as an unsigned long, and none is negative here. */
	for (i = 0; i < nr; i++)
		WRITE_ONCE(((long *)ctl->value)[i], n[i]);
	if (ctl->changed)
		ctl->changed();
	return 0;
}

static int set_tunable(const char *name, struct text t)
{
	char buf[1];
	unsigned int i;
	int known = bm_ctl_get(name, buf, sizeof(buf));

	for (i = 0; i < ARRAY_SIZE(settable); i++)
		if (!strcmp(name, settable[i]))
			return tunables_set(name, t.p, (size_t)(t.end - t.p));
	return known == -ENOENT ? -ENOENT : -EPERM;
}

int bm_ctl_set(const char *name, const char *value)
{
	const struct ctl *ctl;
	struct text t;

	if (!name || !value)
		return -EINVAL;
	if (!heap_init())
		return -ENOMEM;
	t.p = value;
	t.end = value + strlen(value);
	skip_blanks(&t);
	while (t.end > t.p && is_blank(t.end[-1]))
		t.end--;
	ctl = find_ctl(name);
	return ctl ? set_value(ctl, t) : set_tunable(name, t);
}
