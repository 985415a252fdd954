/* SPDX-License-Identifier: MIT */
/*
 * What was given back and soon wanted again may stay the next time: how much, for how long, and when not.
 */
#include "mm/balance.h"
#include "mm/balance_inner.h"
#include "mm/budget.h"
#include "purge.h"

#define SWING 540

/* Use goes up by nr blocks and down again, a few times, and a block in each pageblock stays. What is dirty then. */
static unsigned long swing(unsigned int nr, unsigned int times)
{
	static struct page *page[SWING];
	unsigned int i;

	while (times--) {
		for (i = 0; i < nr; i++)
			if (!page[i])
				must(page[i] = alloc_pages(GFP_USER, 5));
		for (i = 0; i < nr; i++)
			if (i % 16) {
				free_pages(page[i], 5);
				page[i] = NULL;
			}
		check_zone(zone);
	}
	return zone->nr_dirty;
}

/* Nobody wants again what a program that only frees gives back. */
static void nothing_in_vain(void)
{
	static struct page *page[1500];

	start(16 * MiB);
	tunables.dirty_decay = 3600000;
	take(page, ARRAY_SIZE(page), 5);
	for (unsigned int i = 0; i < ARRAY_SIZE(page); i++) {
		if (i % 16)
			free_pages(page[i], 5);
		zones_decay(3600000);
	}
	must(fake_os_calls(FAKE_MADVISE));
	must(zone->regret.slack <= (tunables.dirty_max >> PAGE_SHIFT) / 8, "%lu pages", zone->regret.slack);
}

/* What is wanted again is seen when use rises, not only when there is too much once more, which may be long after. */
static void seen_at_a_look(void)
{
	static struct page *page[SWING];

	start(4 * MiB);
	tunables.dirty_decay = 3600000;
	swing(SWING, 1);
	must(!zone->regret.slack);
	for (unsigned int i = 0; i < SWING / 2; i++)
		must(page[i] = alloc_pages(GFP_USER, 5));
	zones_decay(3600000);
	must(zone->regret.slack >= tunables.dirty_max >> PAGE_SHIFT, "%lu pages", zone->regret.slack);
}

/* What is wanted after dirty_decay was not given back in vain. */
static void wanted_late(void)
{
	start(4 * MiB);
	tunables.dirty_decay = 1000;
	clock_ms = 1000000;
	swing(SWING, 1);
	must(zone->purged && !zone->regret.slack);
	clock_ms += 1000;
	for (unsigned int i = 0; i < SWING / 2; i++)
		must(alloc_pages(GFP_USER, 5));
	zone_forget_regret(zone);
	balance_zone(zone);
	must(!zone->regret.slack && !zone->purged, "%lu pages", zone->regret.slack);
}

/* And counts once. */
static void missed_once(void)
{
	unsigned long slack;

	start(4 * MiB);
	tunables.dirty_decay = 3600000;
	swing(SWING, 1);
	while (!zone->regret.slack) {
		must(alloc_pages(GFP_USER, 5));
		zones_decay(3600000);
	}
	slack = zone->regret.slack;
	zones_decay(3600000);
	must(zone->regret.slack == slack, "%lu pages, then %lu", slack, zone->regret.slack);
}

/* What is missed while there is still more to give back in steps ends these, though it is less than that. */
static void missed_meanwhile(void)
{
	static struct page *page[1500];
	unsigned long calls, nr;
	unsigned int i;

	start(16 * MiB);
	fake_os_dontneed_ns = 520;
	tunables.dirty_decay = 3600000;
	take(page, ARRAY_SIZE(page), 5);
	for (i = 0; i < ARRAY_SIZE(page) && !zone->purge_goal; i++)
		if (i % 16)
			free_pages(page[i], 5);
	must(zone->purge_goal && zone->purge_goal < zone->nr_dirty && zone->purged);
	nr = zone->purged / 2;
	zone->clean_left += nr;
	zone->regret.least -= nr;
	calls = fake_os_calls(FAKE_MADVISE);
	for (i = 0; i < 4; i++)
		balance_zone(zone);
	must(zone->regret.slack && fake_os_calls(FAKE_MADVISE) == calls, "given back: %lu pages",
	     fake_os_calls(FAKE_MADVISE) - calls);
}

/* Nor is it lost where whole pageblocks go to the arenas in between, as nothing else is in use, and come back. */
static void missed_from_arenas(void)
{
	struct page *page[10];
	unsigned long calls = 0;
	unsigned int round, i;

	start(4 * MiB);
	tunables.dirty_decay = 3600000;
	for (round = 0; round < 12; round++) {
		if (round == 8)
			calls = fake_os_calls(FAKE_MADVISE);
		take(page, ARRAY_SIZE(page), 7);
		for (i = 0; i < ARRAY_SIZE(page); i++)
			free_pages(page[i], 7);
		check_zone(zone);
	}
	must(calls, "nothing was given back");
	must(zone->nr_given_back, "nothing went to the arenas");
	must(fake_os_calls(FAKE_MADVISE) == calls, "%lu calls for what is wanted again",
	     fake_os_calls(FAKE_MADVISE) - calls);
}

/* What went there is forgotten after dirty_decay: what comes then was not given back lately, though others were. */
static void trimmed_long_ago(void)
{
	struct page *page[10];
	unsigned int round;

	start(4 * MiB);
	tunables.dirty_decay = 1000;
	clock_ms = 1000000;
	for (round = 0; round < 12 && !(zone->purged && zone->clean_trimmed); round++) {
		take(page, ARRAY_SIZE(page), 7);
		for (unsigned int i = 0; i < ARRAY_SIZE(page); i++)
			free_pages(page[i], 7);
	}
	must(zone->purged && zone->clean_trimmed, "%lu pages went, %lu to the arenas", zone->purged,
	     zone->clean_trimmed);
	clock_ms += 1000;
	zones_decay(1000);
	must(!zone->purged && !zone->clean_trimmed, "%lu pages", zone->clean_trimmed);
}

/* What the arenas bring that was not missed is none of it. */
static void grown_without_regret(void)
{
	static struct page *page[SWING];
	unsigned int i;

	start(4 * MiB);
	tunables.dirty_decay = 3600000;
	swing(SWING, 1);
	must(zone->purged > 2 * PAGEBLOCK_PAGES && !zone->regret.slack);
	for (i = 0; i < 4; i++)
		must(page[i] = alloc_pages(GFP_USER, MAX_ORDER - 1));
	zones_decay(3600000);
	must(zone->regret.slack < PAGEBLOCK_PAGES, "%lu pages", zone->regret.slack);
}

/* Where much is in use, swings may be so much larger. */
static void regretting_much(void)
{
	unsigned long i, usual, kept;

	start(1 * MiB);
	tunables.dirty_decay = 3600000;
	for (i = 0; i < SWING / 2; i++)
		must(alloc_pages(GFP_USER, 5));
	usual = swing(SWING, 1);
	kept = swing(SWING, 9);
	must(kept >= 2 * usual, "%lu pages dirty, %lu at first", kept, usual);
}

/* What is given back in vain is kept, up to three times as much again as is kept anyway; and when that ends it goes. */
static void regret_and_forget(unsigned long limit)
{
	unsigned long calls, usual, kept, most;
	int i;

	zone = model_start();
	tunables.limit = limit;
	budget_limit_changed();
	tunables.dirty_max = 12 * MiB;
	tunables.thp = THP_NEVER;
	tunables.dirty_decay = 3600000;
	usual = swing(SWING / 3, 1);
	swing(SWING / 3, 5);
	calls = fake_os_calls(FAKE_MADVISE);
	kept = swing(SWING / 3, 5);
	must(fake_os_calls(FAKE_MADVISE) == calls, "%lu calls for what is wanted again",
	     fake_os_calls(FAKE_MADVISE) - calls);
	must(kept > usual, "%lu pages dirty, %lu at first", kept, usual);
	kept = swing(SWING, 10);
	most = 3 * (tunables.dirty_max >> PAGE_SHIFT) + may_be_dirty();
	must(kept <= most, "%lu pages dirty, at most %lu", kept, most);
	tunables.dirty_decay = 1;
	for (i = 0; i < 20; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		zone_forget_regret(zone);
	}
	most -= 3 * (tunables.dirty_max >> PAGE_SHIFT);
	must(zone->nr_dirty <= most, "%lu pages are still dirty, at most %lu", zone->nr_dirty, most);
}

static void regretting(void)
{
	regret_and_forget(0);
}

/* A limit of the heap's own counts whole pageblocks, whatever is free in them. */
static void regretting_limited(void)
{
	regret_and_forget(1024 * MiB);
}

/* But when less is in use than while it was missed, the work is done: it goes with the rest. */
static void no_regret_when_done(void)
{
	static struct page *page[160];
	unsigned int i;

	start(12 * MiB);
	tunables.dirty_decay = 3600000;
	take(page, ARRAY_SIZE(page), 5);
	swing(SWING, 10);
	must(zone->regret.slack >= tunables.dirty_max >> PAGE_SHIFT, "%lu pages", zone->regret.slack);
	must(zone->nr_dirty > tunables.dirty_max >> PAGE_SHIFT);
	for (i = 0; i < ARRAY_SIZE(page); i++)
		if (i % 16)
			free_pages(page[i], 5);
	must(zone->nr_dirty <= may_be_dirty(), "%lu pages dirty", zone->nr_dirty);
}

int main(void)
{
	model_init();
	run_case("what is given back in vain is kept next time", regretting);
	run_case("also under a limit that does not count it", regretting_limited);
	run_case("more of it where more is in use", regretting_much);
	run_case("which is seen when use rises", seen_at_a_look);
	run_case("but soon", wanted_late);
	run_case("and once", missed_once);
	run_case("from the arenas, too", missed_from_arenas);
	run_case("if soon, there too", trimmed_long_ago);
	run_case("but not what was never given back", grown_without_regret);
	run_case("and ends what goes in steps", missed_meanwhile);
	run_case("and nothing is in vain where use only falls", nothing_in_vain);
	run_case("nor kept when less is in use than while it was missed", no_regret_when_done);
	return done_testing();
}
