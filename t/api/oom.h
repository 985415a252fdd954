/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the OOM step share: cases that are children under `limit:`, so that they may die; memory that is
 * used up; owners that are told to abort.
 */
#ifndef T_API_OOM_H
#define T_API_OOM_H

#include <stdatomic.h>

#include "child.h"

#define LIMIT_MIB 32

/* A chain of blocks; what it costs, its owner pays. */
struct chain {
	void **head;
	size_t nr;
};

TAP_UNUSED bool add(struct chain *c, size_t size)
{
	void **block = malloc(size);

	if (!block)
		return false;
	memset(block, 1, size);
	*block = c->head;
	c->head = block;
	c->nr++;
	return true;
}

TAP_UNUSED void drop(struct chain *c)
{
	void **block;

	for (; (block = c->head); free(block))
		c->head = *block;
	c->nr = 0;
}

/* At most so many MiB; true if all could be had. */
TAP_UNUSED bool eat(struct chain *c, size_t mib, size_t size)
{
	size_t had;

	for (had = 0; had < mib * MIB; had += size)
		if (!add(c, size))
			return false;
	return true;
}

/* Leave the case, which failed, with the number of the line. */
#define check(cond)                                                   \
	do {                                                          \
		if (!(cond)) {                                        \
			dprintf(2, "line %d: %s\n", __LINE__, #cond); \
			_exit(100);                                   \
		}                                                     \
	} while (0)

TAP_UNUSED void set(const char *name, const char *value)
{
	if (bm_ctl_set(name, value)) {
		dprintf(2, "bm_ctl_set(%s, %s): %d\n", name, value, bm_ctl_set(name, value));
		_exit(99);
	}
}

TAP_UNUSED void call_limited(const void *arg)
{
	void (*const *fn)(void) = arg;
	char limit[32];

	alarm(600);
	snprintf(limit, sizeof(limit), "%dm", LIMIT_MIB);
	set("limit", limit);
	(*fn)();
}

/* The status of a child that runs fn under the limit. */
TAP_UNUSED int run(void (*fn)(void))
{
	return run_child(call_limited, &fn);
}

TAP_UNUSED void case_exits(const char *name, void (*fn)(void), int reports)
{
	int status = run(fn);

	if (!ok(status == 0 && count("invoked oom-killer") == reports, "%s", name))
		tell(status);
}

TAP_UNUSED void case_aborts(const char *name, void (*fn)(void), const char *words)
{
	int status = run(fn);

	if (!ok(aborted(status, words), "%s", name))
		tell(status);
}

/* What is charged to no owner with a name. */
static struct chain all;

/* Owners with names; a case is told what they are told. */
static struct party {
	bm_owner_t *owner;
	struct chain chain;
	atomic_int calls;
	int answer;
	void (*on_abort)(struct party *p);
} parties[3];

TAP_UNUSED int told(bm_owner_t *owner, void *arg)
{
	struct party *p = arg;

	check(owner == p->owner);
	atomic_fetch_add(&p->calls, 1);
	if (p->on_abort)
		p->on_abort(p);
	return p->answer;
}

TAP_UNUSED void create(int i, size_t limit, size_t min, int score_adj, bool with_abort)
{
	struct bm_owner_attr attr = { .limit = limit, .min = min, .score_adj = score_adj, .arg = &parties[i] };
	char name[16];

	snprintf(name, sizeof(name), "party-%d", i);
	attr.name = name;
	attr.abort = with_abort ? told : NULL;
	parties[i].owner = bm_owner_create(&attr);
	check(parties[i].owner);
}

TAP_UNUSED bool eat_as(int i, size_t mib, size_t size)
{
	bm_owner_t *before = bm_owner_enter(parties[i].owner);
	bool all_had = eat(&parties[i].chain, mib, size);

	bm_owner_enter(before);
	return all_had;
}

TAP_UNUSED void drop_chain(struct party *p)
{
	drop(&p->chain);
}

#endif
