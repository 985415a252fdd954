/* SPDX-License-Identifier: MIT */
/*
 * Two caches of an application, what was asked of them, and what the reports say of it.
 */
#ifndef T_UNIT_SHRINKER_H
#define T_UNIT_SHRINKER_H

#include <pthread.h>

#include "malloc/heap.h"
#include "mm/shrinker.h"
#include "mm/vmscan.h"
#include "walk.h"

#define ALL (~0UL)
#define NR_PRIORITIES (DEF_PRIORITY + 1)

/* A cache of so many objects, of which a scan frees what it is asked for, or what it gives. */
static struct cache {
	unsigned long nr, gives;
	unsigned long counts, scans;
	unsigned long scanned[64]; /* asked for since each count */
	unsigned long answer;	   /* not 0: of count, or of scan, whatever there is */
	unsigned long scan_answer;
	unsigned long nr_scanned; /* not ALL: what it says */
	struct bm_shrink_control last;
	void (*on_scan)(struct cache *c);
	struct bm_shrinker *s;
	struct page *page; /* freed by the next scan */
} caches[2];
static char called[32]; /* which one was scanned, in order */

TAP_UNUSED unsigned long count(void *arg, struct bm_shrink_control *sc)
{
	struct cache *c = arg;

	must(current->flags & PF_MEMALLOC && current->shrinker);
	must(sc->gfp & GFP_FS);
	c->last = *sc;
	c->counts++;
	return c->answer ? c->answer : c->nr;
}

TAP_UNUSED unsigned long scan(void *arg, struct bm_shrink_control *sc)
{
	struct cache *c = arg;
	unsigned long freed = min_ul(min_ul(sc->nr_to_scan, c->nr), c->gives);

	must(current->flags & PF_MEMALLOC && current->shrinker);
	must(c->counts && c->counts <= ARRAY_SIZE(c->scanned), "%lu", c->counts);
	must(sc->nr_scanned == sc->nr_to_scan && sc->nr_to_scan && sc->nr_to_scan <= SHRINK_BATCH);
	if (strlen(called) < sizeof(called) - 1)
		called[strlen(called)] = (char)('0' + (c - caches));
	c->last = *sc;
	c->scans++;
	c->scanned[c->counts - 1] += sc->nr_to_scan;
	if (c->nr_scanned != ALL)
		sc->nr_scanned = c->nr_scanned;
	if (c->on_scan)
		c->on_scan(c);
	if (c->page)
		give(c->page, 0);
	c->page = NULL;
	if (c->scan_answer)
		return c->scan_answer;
	c->nr -= freed;
	return freed;
}

static const struct bm_shrinker_ops ops = { .count = count, .scan = scan };

TAP_UNUSED void forget(void)
{
	for (int i = 0; i < 2; i++) {
		caches[i].counts = caches[i].scans = 0;
		memset(caches[i].scanned, 0, sizeof(caches[i].scanned));
	}
	memset(called, 0, sizeof(called));
	memset(vm_events, 0, sizeof(vm_events));
}

TAP_UNUSED void add(int i, unsigned long nr, int seeks)
{
	caches[i] = (struct cache){ .nr = nr, .gives = ALL, .nr_scanned = ALL };
	caches[i].s = register_shrinker_app(i ? "second" : "first one", &ops, &caches[i], seeks);
	must(caches[i].s);
}

/* What the report says. */
TAP_UNUSED unsigned long reported(const char *name, int column)
{
	char text[512], *line, *at = text;
	FILE *file = tmpfile();
	struct out o;
	ssize_t len;

	out_init(&o, fileno(file));
	print_shrinkers(&o);
	out_flush(&o);
	len = pread(fileno(file), text, sizeof(text) - 1, 0);
	must(len > 0);
	text[len] = 0;
	fclose(file);
	while ((line = strtok_r(at, "\n", &at))) {
		unsigned long value[3];

		if (strncmp(line, name, strlen(name)) != 0 || line[strlen(name)] != ' ')
			continue;
		must(sscanf(line + strlen(name), "%lu %lu %lu", &value[0], &value[1], &value[2]) == 3, "%s", line);
		return value[column];
	}
	return ALL;
}
TAP_UNUSED unsigned long deferred(void)
{
	return reported("first_one", 2);
}

TAP_UNUSED unsigned long shrink(unsigned long enough)
{
	forget();
	return shrink_slab_app(GFP_KERNEL, 0, enough);
}

#endif
