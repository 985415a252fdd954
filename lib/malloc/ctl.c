/* SPDX-License-Identifier: MIT */
/*
 * Control by name: a table of values and actions, most of them under the names that sysctl(8) and the fault injection
 * of debugfs give them. What is not in it may be a key of the configuration.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/message.h"
#include "base/span.h"
#include "base/tunables.h"
#include "malloc/heap.h"
#include "mm/budget.h"
#include "mm/compaction.h"
#include "mm/fault_inject.h"
#include "mm/internal.h"
#include "mm/oom.h"
#include "mm/pcp.h"
#include "mm/pressure.h"
#include "mm/vmscan.h"
#include "mm/vmstat.h"

enum ctl_kind {
	CTL_NUMBER, /* unsigned long */
	CTL_SIGNED, /* long */
	CTL_SWITCH, /* bool, Y or N */
	CTL_ACTION, /* a number to do something with */
	CTL_TEXT,   /* cannot be set */
	CTL_CALL,   /* what a function returns when it is asked for; cannot be set */
};

struct ctl {
	const char *name;
	void *value;			      /* nr of them; actions and texts have none */
	void (*changed)(void);		      /* after value was written */
	void (*action)(unsigned long number); /* CTL_ACTION */
	void (*print)(struct out *o);	      /* CTL_TEXT; CTL_ACTION: NULL if there is nothing to be read */
	long (*call)(void);		      /* CTL_CALL: a number, or -errno */
	long min, max;
	bool or_zero; /* 0 is accepted too */
	unsigned int nr;
	enum ctl_kind kind;
};

static void compact_memory(unsigned long number)
{
	(void)number;
	compact_node(-1);
}

static unsigned long dropped; /* bytes that the last one gave back */

static void drop(unsigned long what)
{
	WRITE_ONCE(dropped, drop_caches((unsigned int)what));
}

static void print_dropped(struct out *o)
{
	out_printf(o, "%lu", READ_ONCE(dropped));
}

/* After percpu_pagelist_high_fraction. */
static void set_pagesets_high(void)
{
	struct zone *zone;
	int i;

	for_each_zone (zone, i)
		zone_set_pageset_high(zone);
}

static void make_it_fail(unsigned long on)
{
	set_make_it_fail(on);
}

static void print_make_it_fail(struct out *o)
{
	out_printf(o, "%d", !!(current->flags & PF_FAIL));
}

static void print_fault_seed(struct out *o)
{
	out_printf(o, "%lu", READ_ONCE(fault_seed));
}

static void print_version(struct out *o)
{
	out_printf(o, "%s", PACKAGE_VERSION);
}

static void print_page_size(struct out *o)
{
	out_printf(o, "%lu", PAGE_SIZE);
}

static void print_nodes(struct out *o)
{
	nodemask_t nodes = node_states_memory();

	print_nodemask(o, nodes ? nodes : topology.node_has_memory); /* none has been set up yet */
}

static void print_binding(struct out *o)
{
	struct budget_line line = { .name = "none" };
	enum limit_kind kind = budget_binding();

	if (kind < NR_LIMITS)
		budget_line(kind, &line);
	out_printf(o, "%s", line.name);
}

static void print_total(struct out *o)
{
	out_printf(o, "%zu", budget_total());
}

static void print_available(struct out *o)
{
	out_printf(o, "%lu", budget_growable_pages(false, false) << PAGE_SHIFT);
}

#define NUMBERS(n, v, count, lo, hi, fn)                                                                \
	{                                                                                               \
		.name = (n), .kind = CTL_NUMBER, .value = (v), .nr = (count), .min = (lo), .max = (hi), \
		.changed = (fn)                                                                         \
	}
#define NUMBER(n, v, lo, hi, fn) NUMBERS(n, &(v), 1, lo, hi, fn)
#define ACTION(n, fn, lo, hi, show)                                                                                 \
	{                                                                                                           \
		.name = (n), .kind = CTL_ACTION, .action = (fn), .nr = 1, .min = (lo), .max = (hi), .print = (show) \
	}
#define SIGNED(n, v, lo, hi, fn)                                                                                   \
	{                                                                                                          \
		.name = (n), .kind = CTL_SIGNED, .value = &(v), .nr = 1, .min = (lo), .max = (hi), .changed = (fn) \
	}
#define SWITCH(n, v)                                                    \
	{                                                               \
		.name = (n), .kind = CTL_SWITCH, .value = &(v), .nr = 1 \
	}
#define TEXT(n, fn)                                          \
	{                                                    \
		.name = (n), .kind = CTL_TEXT, .print = (fn) \
	}
#define CALL(n, fn)                                         \
	{                                                   \
		.name = (n), .kind = CTL_CALL, .call = (fn) \
	}
#define FAULT_ATTR(n, fault)                                                            \
	NUMBER(n ".probability", fault.attr.probability, 0, 100, fault_attr_changed),   \
		NUMBER(n ".interval", fault.attr.interval, 0, LONG_MAX, NULL),          \
		SIGNED(n ".times", fault.attr.times, -1, LONG_MAX, fault_attr_changed), \
		SIGNED(n ".space", fault.attr.space, 0, LONG_MAX, NULL),                \
		NUMBER(n ".verbose", fault.attr.verbose, 0, 2, NULL),                   \
		SWITCH(n ".task-filter", fault.attr.task_filter), SWITCH(n ".ignore-gfp-wait", fault.ignore_gfp_wait)

static const struct ctl ctls[] = {
	TEXT("version", print_version),
	TEXT("page_size", print_page_size),
	TEXT("nodes", print_nodes),
	TEXT("budget.binding", print_binding),
	TEXT("budget.total", print_total),
	TEXT("budget.available", print_available),
	NUMBER("vm.min_free_kbytes", min_free_kbytes, 0, INT_MAX, min_free_kbytes_sysctl_handler),
	NUMBER("vm.watermark_scale_factor", watermark_scale_factor, 1, 3000, setup_per_zone_wmarks),
	NUMBER("vm.watermark_boost_factor", watermark_boost_factor, 0, INT_MAX, NULL),
	NUMBERS("vm.lowmem_reserve_ratio", sysctl_lowmem_reserve_ratio, MAX_NR_ZONES, 0, INT_MAX,
		setup_per_zone_wmarks),
	NUMBER("vm.extfrag_threshold", sysctl_extfrag_threshold, 0, 1000, NULL),
	NUMBER("vm.zone_reclaim_mode", node_reclaim_mode, 0, 7, NULL),
	{
		.name = "vm.percpu_pagelist_high_fraction",
		.kind = CTL_NUMBER,
		.value = &percpu_pagelist_high_fraction,
		.nr = 1,
		.or_zero = true,
		.min = 8,
		.max = INT_MAX,
		.changed = set_pagesets_high,
	},
	TEXT("pressure.memory", print_pressure),
	CALL("pressure.eventfd", pressure_eventfd),
	NUMBER("vm.panic_on_oom", sysctl_panic_on_oom, 0, 2, NULL),
	NUMBER("vm.oom_kill_allocating_task", sysctl_oom_kill_allocating_task, 0, 1, NULL),
	NUMBER("vm.oom_dump_tasks", sysctl_oom_dump_tasks, 0, 1, NULL),
	SIGNED("oom.report_fd", oom_report_fd, -1, INT_MAX, NULL),
	ACTION("vm.compact_memory", compact_memory, 1, 1, NULL),
	ACTION("vm.drop_caches", drop, 1, 3, print_dropped),
	FAULT_ATTR("fail_page_alloc", fail_page_alloc),
	NUMBER("fail_page_alloc.min-order", fail_page_alloc.min_order, 0, MAX_ORDER - 1, NULL),
	FAULT_ATTR("failslab", failslab),
	ACTION("fault.make-it-fail", make_it_fail, 0, 1, print_make_it_fail),
	ACTION("fault.seed", fault_set_seed, 0, LONG_MAX, print_fault_seed),
};

/* Keys of the configuration that mean something after the start too. */
static const struct {
	const char *key;
	void (*changed)(void);
} settable[] = {
	{ "dirty_max", NULL }, { "dirty_decay", NULL },	 { "thp", NULL },
	{ "hugetlb", NULL },   { "foreign_free", NULL }, { "limit", budget_limit_changed },
	{ "kswapd", NULL },    { "oom", NULL },		 { "oom_wait_ms", NULL },
};

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
	long result;

	if (ctl->kind == CTL_ACTION && !ctl->print)
		return -EPERM;
	if (ctl->kind == CTL_CALL) {
		result = ctl->call();
		if (result < 0)
			return (int)result;
		out_printf(o, "%ld", result);
		return 0;
	}
	if (ctl->print) {
		ctl->print(o);
		return 0;
	}
	for (i = 0; i < ctl->nr; i++) {
		if (i)
			out_printf(o, "\t");
		if (ctl->kind == CTL_NUMBER)
			out_printf(o, "%lu", READ_ONCE(((unsigned long *)ctl->value)[i]));
		else if (ctl->kind == CTL_SIGNED)
			out_printf(o, "%ld", READ_ONCE(((long *)ctl->value)[i]));
		else
			out_printf(o, "%c", READ_ONCE(((bool *)ctl->value)[i]) ? 'Y' : 'N');
	}
	return 0;
}

static int get(const char *name, char *buf, size_t len)
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

int bm_ctl_get(const char *name, char *buf, size_t len)
{
	return get(name, buf, len);
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
		const char *d = text_find(digits, (size_t)base, c);

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
		if (nr == ctl->nr || !parse_long(&t, &n[nr]))
			return 0;
		if ((n[nr] < ctl->min || n[nr] > ctl->max) && !(ctl->or_zero && !n[nr]))
			return 0;
		nr++;
	}
	return nr;
}

/* As debugfs has it. */
static int set_switch(bool *value, struct text t)
{
	const char *place = t.end - t.p == 1 ? text_find("NYny01", 6, *t.p) : NULL;

	if (!place)
		return -EINVAL;
	WRITE_ONCE(*value, *place == 'Y' || *place == 'y' || *place == '1');
	return 0;
}

static int set_value(const struct ctl *ctl, struct text t)
{
	long n[CTL_MAX_NR];
	unsigned int nr, i;

	if (ctl->kind == CTL_TEXT || ctl->kind == CTL_CALL)
		return -EPERM;
	if (ctl->kind == CTL_SWITCH)
		return set_switch(ctl->value, t);
	nr = parse_numbers(ctl, t, n);
	if (!nr)
		return -EINVAL;
	if (ctl->kind == CTL_ACTION) {
		ctl->action((unsigned long)n[0]);
		return 0;
	}
	/* An unsigned long may be written as a long. */
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
	int known = get(name, buf, sizeof(buf)), err;

	for (i = 0; i < ARRAY_SIZE(settable); i++) {
		if (strcmp(name, settable[i].key) != 0)
			continue;
		err = tunables_set(name, t.p, (size_t)(t.end - t.p));
		if (!err && settable[i].changed)
			settable[i].changed();
		return err;
	}
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
