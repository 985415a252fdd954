/* SPDX-License-Identifier: MIT */
/*
 * Readers of buddyinfo, pagetypeinfo, zoneinfo, vmstat, slabinfo and the indices of debugfs, as programs that watch a
 * kernel have them: they know nothing of this library, and take the kernel's own files and ours by the same code.
 * Each returns how many entries there are, or -1 and says in procfs_error which line is malformed.
 */
#ifndef T_LIB_PROCFS_H
#define T_LIB_PROCFS_H

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

#define PROCFS_ZONES 64
#define PROCFS_ORDERS 20
#define PROCFS_TYPES 8
#define PROCFS_CPUS 1024
#define PROCFS_ITEMS 512

static char procfs_error[256];

/* The line at *text without its end, in line; false after the last. */
TAP_UNUSED bool procfs_line(const char **text, char *line, size_t size)
{
	size_t len = strcspn(*text, "\n");

	if (!**text || len >= size || (*text)[len] != '\n') {
		if (**text)
			snprintf(procfs_error, sizeof(procfs_error), "a line that is too long, or does not end");
		return false;
	}
	memcpy(line, *text, len);
	line[len] = '\0';
	*text += len + 1;
	return true;
}

TAP_UNUSED int procfs_bad(const char *line)
{
	snprintf(procfs_error, sizeof(procfs_error), "malformed: '%.200s'", line);
	return -1;
}

/* After the last line: was it the end? */
TAP_UNUSED int procfs_end(const char *text, int nr)
{
	return *text ? -1 : nr;
}

/* Numbers with blanks between them up to the end of the line, at most max; -1: something else is there. A kernel marks
 * those that it did not count to the end by '>'. */
TAP_UNUSED int procfs_numbers(const char *p, unsigned long *n, int max)
{
	int nr = 0, len;

	for (;;) {
		p += strspn(p, " ");
		if (!*p)
			return nr;
		p += *p == '>';
		if (nr == max || !isdigit((unsigned char)*p) || sscanf(p, "%lu%n", &n[nr], &len) != 1)
			return -1;
		p += len;
		if (*p && *p != ' ')
			return -1;
		nr++;
	}
}

/*
 * buddyinfo
 */
struct proc_buddy {
	int node;
	char zone[16];
	int orders;
	unsigned long nr[PROCFS_ORDERS];
};

TAP_UNUSED int parse_buddyinfo(const char *text, struct proc_buddy *b)
{
	char line[512];
	int nr = 0, at;

	while (procfs_line(&text, line, sizeof(line))) {
		at = -1;
		if (nr == PROCFS_ZONES || sscanf(line, "Node %d, zone %15s%n", &b->node, b->zone, &at) != 2 || at < 0)
			return procfs_bad(line);
		/* The zone's name is in a column of eight. */
		if (at < 21 || line[at] != ' ')
			return procfs_bad(line);
		b->orders = procfs_numbers(line + at, b->nr, PROCFS_ORDERS);
		if (b->orders < 1)
			return procfs_bad(line);
		b++;
		nr++;
	}
	return procfs_end(text, nr);
}

/*
 * extfrag_index and unusable_index: "Node 0, zone   Normal -1.000 0.123 ...", here in thousandths.
 */
struct proc_index {
	int node;
	char zone[16];
	int orders;
	long index[PROCFS_ORDERS];
};

TAP_UNUSED int parse_index(const char *text, struct proc_index *x)
{
	char line[512], fraction[8];
	int nr = 0, at, len;
	double value;

	for (; procfs_line(&text, line, sizeof(line)); x++, nr++) {
		const char *p;

		if (nr == PROCFS_ZONES || sscanf(line, "Node %d, zone %15s%n", &x->node, x->zone, &at) != 2)
			return procfs_bad(line);
		x->orders = 0;
		for (p = line + at; *(p += strspn(p, " ")); p += len) {
			if (x->orders == PROCFS_ORDERS || sscanf(p, "%lf%n", &value, &len) != 1 ||
			    sscanf(p, "%*[-0-9].%7[0-9]", fraction) != 1 || strlen(fraction) != 3)
				return procfs_bad(line);
			x->index[x->orders++] = (long)(value * 1000 + (value < 0 ? -0.5 : 0.5));
		}
	}
	return procfs_end(text, nr);
}

/*
 * pagetypeinfo
 */
struct proc_pagetype {
	int node;
	char zone[16], type[16];
	unsigned long nr[PROCFS_ORDERS];
};
struct proc_blocktype {
	int node;
	char zone[16];
	unsigned long nr[PROCFS_TYPES]; /* in the order of types */
};
struct proc_pagetypeinfo {
	unsigned int block_order;
	unsigned long block_pages;
	int orders, types, zones;
	char type[PROCFS_TYPES][16];
	struct proc_pagetype free[PROCFS_ZONES * PROCFS_TYPES];
	struct proc_blocktype blocks[PROCFS_ZONES];
};

TAP_UNUSED int parse_type_names(char *names, char type[][16])
{
	int nr = 0;

	for (char *name = strtok(names, " "); name; name = strtok(NULL, " ")) {
		if (nr == PROCFS_TYPES || strlen(name) > 15)
			return -1;
		strcpy(type[nr++], name);
	}
	return nr;
}

TAP_UNUSED int parse_pagetypeinfo(const char *text, struct proc_pagetypeinfo *t)
{
	static const char free_title[] = "Free pages count per migrate type at order ";
	static const char blocks_title[] = "Number of blocks type ";
	unsigned long order[PROCFS_ORDERS];
	int nr = 0, at, i;
	char line[512];

	memset(t, 0, sizeof(*t));
	if (!procfs_line(&text, line, sizeof(line)) || sscanf(line, "Page block order: %u", &t->block_order) != 1)
		return procfs_bad(line);
	if (!procfs_line(&text, line, sizeof(line)) || sscanf(line, "Pages per block: %lu", &t->block_pages) != 1)
		return procfs_bad(line);
	if (!procfs_line(&text, line, sizeof(line)) || *line)
		return procfs_bad(line);
	if (!procfs_line(&text, line, sizeof(line)) || strncmp(line, free_title, strlen(free_title)) != 0)
		return procfs_bad(line);
	t->orders = procfs_numbers(line + strlen(free_title), order, PROCFS_ORDERS);
	for (i = 0; i < t->orders; i++)
		if (order[i] != (unsigned long)i)
			return procfs_bad(line);
	for (; procfs_line(&text, line, sizeof(line)) && *line; nr++) {
		struct proc_pagetype *f = &t->free[nr];

		if (nr == PROCFS_ZONES * PROCFS_TYPES ||
		    sscanf(line, "Node %d, zone %15[^,], type %15s%n", &f->node, f->zone, f->type, &at) != 3 ||
		    procfs_numbers(line + at, f->nr, PROCFS_ORDERS) != t->orders)
			return procfs_bad(line);
	}
	if (!procfs_line(&text, line, sizeof(line)) || strncmp(line, blocks_title, strlen(blocks_title)) != 0)
		return procfs_bad(line);
	t->types = parse_type_names(line + strlen(blocks_title), t->type);
	for (; procfs_line(&text, line, sizeof(line)); t->zones++) {
		struct proc_blocktype *b = &t->blocks[t->zones];

		if (t->zones == PROCFS_ZONES || sscanf(line, "Node %d, zone %15s%n", &b->node, b->zone, &at) != 2 ||
		    procfs_numbers(line + at, b->nr, PROCFS_TYPES) != t->types)
			return procfs_bad(line);
	}
	if (t->types < 1 || nr != t->zones * t->types)
		return procfs_bad("another number of types, or of zones");
	return procfs_end(text, nr);
}

/*
 * vmstat, and the items of zoneinfo
 */
struct proc_item {
	char name[40];
	unsigned long value;
};

TAP_UNUSED int parse_vmstat(const char *text, struct proc_item *item)
{
	char line[128];
	int nr = 0, at, i;

	for (; procfs_line(&text, line, sizeof(line)); nr++) {
		at = -1;
		if (nr == PROCFS_ITEMS ||
		    sscanf(line, "%39[a-z0-9_] %lu%n", item[nr].name, &item[nr].value, &at) != 2 || at < 0 ||
		    line[at] || line[strlen(item[nr].name)] != ' ' ||
		    !isdigit((unsigned char)line[strlen(item[nr].name) + 1]))
			return procfs_bad(line);
		for (i = 0; i < nr; i++)
			if (!strcmp(item[i].name, item[nr].name))
				return procfs_bad(line);
	}
	return procfs_end(text, nr);
}

/* ~0UL if there is no such item. */
TAP_UNUSED unsigned long item_value(const struct proc_item *item, int nr, const char *name)
{
	for (int i = 0; i < nr; i++)
		if (!strcmp(item[i].name, name))
			return item[i].value;
	return ~0UL;
}

/*
 * zoneinfo
 */
struct proc_pageset {
	unsigned int cpu;
	unsigned long count, high, batch;
};
struct proc_zone {
	int node;
	char zone[16];
	bool node_stats; /* it is the one that those of the node stand in */
	unsigned long free, min, low, high, spanned, present, managed;
	int nr_protection, nr_items, nr_cpus;
	long protection[16];
	struct proc_item item[64];
	struct proc_pageset cpu[PROCFS_CPUS];
	unsigned long unreclaimable, start_pfn;
};

/* "        name     value" below pages free; false: it is something else. */
TAP_UNUSED bool parse_zone_pages(const char *line, struct proc_zone *z)
{
	static const char *const names[] = { "min", "low", "high", "spanned", "present", "managed" };
	unsigned long *const fields[] = { &z->min, &z->low, &z->high, &z->spanned, &z->present, &z->managed };
	unsigned long value;
	char name[16];

	if (sscanf(line, "        %15[a-z] %lu", name, &value) != 2)
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			*fields[i] = value;
	return true; /* boost, promo, cma: not in every version */
}

TAP_UNUSED bool parse_protection(const char *p, struct proc_zone *z)
{
	int len;

	if (sscanf(p, " protection: (%ld%n", &z->protection[0], &len) != 1)
		return false;
	for (z->nr_protection = 1, p += len; z->nr_protection < 16; z->nr_protection++, p += len)
		if (sscanf(p, ", %ld%n", &z->protection[z->nr_protection], &len) != 1)
			break;
	return !strcmp(p, ")");
}

/* "      name value" */
TAP_UNUSED bool parse_item(const char *line, struct proc_item *item)
{
	int at = -1;

	return !strncmp(line, "      ", 6) && line[6] != ' ' &&
	       sscanf(line, "      %39[a-z0-9_] %lu%n", item->name, &item->value, &at) == 2 && at > 0 && !line[at];
}

/* Three lines, and perhaps more that begin as deep, then the threshold. */
TAP_UNUSED bool parse_pageset(const char **text, char *line, size_t size, struct proc_pageset *c)
{
	unsigned int threshold;

	if (sscanf(line, "    cpu: %u", &c->cpu) != 1)
		return false;
	if (!procfs_line(text, line, size) || sscanf(line, "              count: %lu", &c->count) != 1)
		return false;
	if (!procfs_line(text, line, size) || sscanf(line, "              high: %lu", &c->high) != 1)
		return false;
	if (!procfs_line(text, line, size) || sscanf(line, "              batch: %lu", &c->batch) != 1)
		return false;
	do {
		if (!procfs_line(text, line, size))
			return false;
	} while (!strncmp(line, "              ", 14));
	return sscanf(line, "  vm stats threshold: %u", &threshold) == 1;
}

/* One zone, whose first line is in line; the line behind it is there afterwards. */
TAP_UNUSED bool parse_zone(const char **text, char *line, size_t size, struct proc_zone *z)
{
	struct proc_item item;

	memset(z, 0, sizeof(*z));
	if (strncmp(line, "Node ", 5) != 0 || sscanf(line, "Node %d, zone %15s", &z->node, z->zone) != 2 ||
	    !procfs_line(text, line, size))
		return false;
	if (!strcmp(line, "  per-node stats")) {
		z->node_stats = true;
		while (procfs_line(text, line, size) && parse_item(line, &item))
			;
	}
	if (sscanf(line, "  pages free %lu", &z->free) != 1 || strncmp(line, "  pages free     ", 17) != 0)
		return false;
	while (procfs_line(text, line, size) && parse_zone_pages(line, z))
		;
	if (!parse_protection(line, z))
		return false;
	*line = '\0';
	if (!procfs_line(text, line, size) || !strncmp(line, "Node ", 5)) /* no pages: nothing more is said */
		return !z->managed;
	for (; parse_item(line, &z->item[z->nr_items]) && z->nr_items < 63; z->nr_items++)
		if (!procfs_line(text, line, size))
			return false;
	if (strcmp(line, "  pagesets") != 0)
		return false;
	while (procfs_line(text, line, size) && z->nr_cpus < PROCFS_CPUS &&
	       parse_pageset(text, line, size, &z->cpu[z->nr_cpus]))
		z->nr_cpus++;
	if (sscanf(line, "  node_unreclaimable: %lu", &z->unreclaimable) != 1 || !procfs_line(text, line, size) ||
	    sscanf(line, "  start_pfn: %lu", &z->start_pfn) != 1)
		return false;
	*line = '\0';
	procfs_line(text, line, size);
	return true;
}

TAP_UNUSED int parse_zoneinfo(const char *text, struct proc_zone *z)
{
	char line[512];
	int nr = 0;

	if (!procfs_line(&text, line, sizeof(line)))
		return procfs_end(text, 0);
	for (; *line; nr++)
		if (nr == PROCFS_ZONES || !parse_zone(&text, line, sizeof(line), &z[nr]))
			return procfs_bad(line);
	return procfs_end(text, nr);
}

/*
 * slabinfo
 */
struct proc_slab {
	char name[64];
	unsigned long active_objs, num_objs, objsize, objperslab, pagesperslab;
	unsigned long active_slabs, num_slabs;
};

TAP_UNUSED int parse_slabinfo(const char *text, struct proc_slab *s, int max)
{
	static const char columns[] = "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"
				      " : tunables <limit> <batchcount> <sharedfactor>"
				      " : slabdata <active_slabs> <num_slabs> <sharedavail>";
	unsigned int limit, batchcount, sharedfactor, sharedavail;
	char line[512];
	int nr, at;

	if (!procfs_line(&text, line, sizeof(line)) || strcmp(line, "slabinfo - version: 2.1") != 0)
		return procfs_bad(line);
	if (!procfs_line(&text, line, sizeof(line)) || strcmp(line, columns) != 0)
		return procfs_bad(line);
	for (nr = 0; procfs_line(&text, line, sizeof(line)); nr++, s++) {
		at = -1;
		if (nr == max)
			return procfs_bad("too many");
		if (sscanf(line, "%63s %lu %lu %lu %lu %lu : tunables %u %u %u : slabdata %lu %lu %u%n", s->name,
			   &s->active_objs, &s->num_objs, &s->objsize, &s->objperslab, &s->pagesperslab, &limit,
			   &batchcount, &sharedfactor, &s->active_slabs, &s->num_slabs, &sharedavail, &at) != 12 ||
		    at < 0 || line[at])
			return procfs_bad(line);
		/* The name is in a column of 17, the figures in columns as wide as the kernel's. */
		if (strlen(line) < 17 + 7 + 7 + 7 + 5 + 5)
			return procfs_bad(line);
	}
	return procfs_end(text, nr);
}

/* All of a file of the system's; NULL if there is none, or it may not be read. Freed by the caller. */
TAP_UNUSED char *read_whole(const char *path)
{
	FILE *file = fopen(path, "r");
	size_t size = 1 << 20, len;
	char *text;

	if (!file)
		return NULL;
	text = malloc(size);
	len = text ? fread(text, 1, size - 1, file) : 0;
	fclose(file);
	if (!len) {
		free(text);
		return NULL;
	}
	text[len] = '\0';
	return text;
}

#endif
