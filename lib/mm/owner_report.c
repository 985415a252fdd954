/* SPDX-License-Identifier: MIT */
/*
 * Who has what: the table of owners, and a line of it. Takes no lock, so figures may be of different moments.
 */
#include "base/message.h"
#include "mm/oom.h"
#include "mm/owner.h"

static unsigned long to_kb(unsigned long pages)
{
	return pages << (PAGE_SHIFT - 10);
}

static const char *owner_state(const struct owner *o)
{
	unsigned int state = READ_ONCE(o->state);

	if (state & OWNER_EXITED)
		return "exited";
	if (state & OWNER_DYING)
		return "dying";
	if (state & OWNER_VICTIM)
		return "victim";
	return "-";
}

void print_owners(struct out *o)
{
	const struct owner *owner;

	out_printf(
		o,
		"# name                            kind        tid   usage_kB   limit_kB     min_kB score_adj inside state\n");
	for (owner = owner_next(NULL); owner; owner = owner_next(owner)) {
		char label[OWNER_LABEL_LEN];

		out_printf(o, "%-33s %-7s %7d %10lu %10lu %10lu %9d %6u %s\n", owner_label(owner, label),
			   owner_kind(owner), READ_ONCE(owner->tid), to_kb(owner_usage(owner)),
			   to_kb(READ_ONCE(owner->limit)), to_kb(READ_ONCE(owner->min)), READ_ONCE(owner->score_adj),
			   READ_ONCE(owner->inside), owner_state(owner));
	}
}

void print_owners_summary(struct out *o)
{
	unsigned long nr[OWNER_NAMED + 1] = { 0 }, pages[OWNER_NAMED + 1] = { 0 };
	const struct owner *owner;

	if (!READ_ONCE(owner_accounting))
		return;
	for (owner = owner_next(NULL); owner; owner = owner_next(owner)) {
		unsigned int kind = READ_ONCE(owner->kind);

		nr[kind]++;
		pages[kind] += owner_usage(owner);
	}
	out_printf(o, "owners     %10lu named with %lu KiB, %lu threads with %lu KiB, process %lu KiB\n",
		   nr[OWNER_NAMED], to_kb(pages[OWNER_NAMED]), nr[OWNER_THREAD], to_kb(pages[OWNER_THREAD]),
		   to_kb(pages[OWNER_PROCESS]));
}
