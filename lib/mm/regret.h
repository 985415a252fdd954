/* SPDX-License-Identifier: MIT */
/*
 * What was given back and soon wanted again was given back in vain, and may stay the next time: while about as much is
 * in use as there was then. A heap whose use falls below that has other things to come, or none.
 */
#ifndef MM_REGRET_H
#define MM_REGRET_H

#include "base/atomic.h"
#include "base/bits.h"

/* In pages, or in pageblocks. Races are harmless. */
struct regret {
	unsigned long slack; /* so much more may be dirty, */
	unsigned long level; /* if nearly as much as this is in use */
	unsigned long least; /* that was in use since something was given back */
};

/* So much is in use. given: and something was just given back. */
static inline void regret_note_use(struct regret *r, unsigned long used, bool given)
{
	if (given || used < READ_ONCE(r->least))
		WRITE_ONCE(r->least, used);
}

/* Use has risen by so much since then. What it has not risen by was not wanted, whatever became of it. */
static inline unsigned long regret_rise(const struct regret *r, unsigned long used)
{
	return used - min_ul(used, READ_ONCE(r->least));
}

/* So much of what went is wanted again. */
static inline void regret_more(struct regret *r, unsigned long nr, unsigned long most)
{
	unsigned long slack = READ_ONCE(r->slack), least = READ_ONCE(r->least);

	WRITE_ONCE(r->level, slack ? min_ul(READ_ONCE(r->level), least) : least);
	WRITE_ONCE(r->slack, max_ul(slack, min_ul(slack + nr, most)));
}

static inline unsigned long regret_slack(const struct regret *r, unsigned long used)
{
	return used >= READ_ONCE(r->level) / 4 * 3 ? READ_ONCE(r->slack) : 0;
}

/* Half of it is forgotten once twice decay has gone by, which begins anew. False: it has not, or there is nothing. */
static inline bool regret_forget(struct regret *r, uint32_t *since, uint32_t now, uint32_t decay)
{
	if (!READ_ONCE(r->slack) || now - READ_ONCE(*since) <= 2 * decay)
		return false;
	WRITE_ONCE(r->slack, READ_ONCE(r->slack) / 2);
	WRITE_ONCE(*since, now);
	return true;
}

#endif
