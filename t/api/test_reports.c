/* SPDX-License-Identifier: MIT */
/*
 * Reports in the formats of /proc: readers that take the system's own files take ours, and the figures are those of
 * what this test has allocated.
 */
#include "reports.h"

/* The system's file is read too: that shows that the reader is right, and not only made for us. */
static char *system_file(const char *path)
{
	char *text = read_whole(path);

	if (!text)
		diag("no %s to read", path);
	return text;
}

static struct proc_slab slabs[1000];

static const struct proc_slab *slab_of_size(int nr, unsigned long size)
{
	for (int i = 0; i < nr; i++)
		if (slabs[i].objsize == size)
			return &slabs[i];
	return NULL;
}

static struct proc_slab read_class(unsigned long size)
{
	int nr = parse_slabinfo(api_report("slabinfo"), slabs, 1000);
	const struct proc_slab *s = slab_of_size(nr, size);
	char name[32];

	want(nr > 50, "slabinfo: %d lines: %s", nr, procfs_error);
	if (!s)
		bail_out("no class of this size");
	snprintf(name, sizeof(name), "malloc-%lu", size);
	want(!strcmp(s->name, name), "the name is %s", s->name);
	return *s;
}

static void want_sound_slab(const struct proc_slab *s)
{
	want(s->active_objs <= s->num_objs, "%s: %lu of %lu objects", s->name, s->active_objs, s->num_objs);
	want(s->active_slabs <= s->num_slabs, "%s: %lu of %lu slabs", s->name, s->active_slabs, s->num_slabs);
	want(s->objperslab >= 1 && s->objperslab * s->objsize <= s->pagesperslab * 4096,
	     "%s: %lu objects of %lu in %lu", s->name, s->objperslab, s->objsize, s->pagesperslab);
	want(s->num_objs <= s->num_slabs * s->objperslab, "%s: %lu objects in %lu slabs of %lu", s->name, s->num_objs,
	     s->num_slabs, s->objperslab);
}

static void test_slabinfo(void)
{
	enum { NR = 3000 };
	static const size_t sizes[] = { 48, 640, 20480, 40960 };
	static void *p[NR];
	struct proc_slab before, with, after;
	char *text = system_file("/proc/slabinfo");
	size_t i, n;

	if (text)
		want(parse_slabinfo(text, slabs, 1000) > 0, "/proc/slabinfo: %s", procfs_error);
	free(text);
	read_class(sizes[0]);
	/* Under memcheck blocks are of other classes, and rest for a while when they are freed. */
	for (i = 0; i < API_ARRAY_SIZE(sizes) && !api_under_valgrind(); i++) {
		size_t nr = sizes[i] > 4096 ? 50 : NR;

		before = read_class(sizes[i]);
		for (n = 0; n < nr; n++)
			p[n] = malloc(sizes[i]);
		with = read_class(sizes[i]);
		want(with.active_objs == before.active_objs + nr, "%zu of %zu bytes: active %lu before, %lu after", nr,
		     sizes[i], before.active_objs, with.active_objs);
		want(with.num_slabs >= nr / with.objperslab && with.active_slabs >= nr / with.objperslab,
		     "they are in %lu slabs", with.num_slabs);
		want_sound_slab(&before);
		want_sound_slab(&with);
		for (n = 0; n < nr; n++)
			free(p[n]);
		after = read_class(sizes[i]);
		want_sound_slab(&after);
		want(after.active_objs == before.active_objs, "freed: %lu before, %lu after", before.active_objs,
		     after.active_objs);
	}
	verdict("slabinfo is the kernel's, and counts what malloc gave");
}

static struct proc_buddy buddies[PROCFS_ZONES];

static void test_buddyinfo(void)
{
	char *text = system_file("/proc/buddyinfo");
	int nr;

	if (text)
		want(parse_buddyinfo(text, buddies) > 0, "/proc/buddyinfo: %s", procfs_error);
	free(text);
	nr = parse_buddyinfo(api_report("buddyinfo"), buddies);
	want(nr > 0, "buddyinfo: %s", procfs_error);
	for (int i = 0; i < nr; i++)
		want(buddies[i].orders == 11, "%d orders", buddies[i].orders);
	verdict("buddyinfo is the kernel's");
}

static void test_indices(void)
{
	static const char *const names[] = { "extfrag_index", "unusable_index" };
	static struct proc_index x[PROCFS_ZONES];
	char path[64];

	for (int n = 0; n < 2; n++) {
		char *text;
		int nr;

		snprintf(path, sizeof(path), "/sys/kernel/debug/extfrag/%s", names[n]);
		text = system_file(path);
		if (text)
			want(parse_index(text, x) > 0, "%s: %s", path, procfs_error);
		free(text);
		nr = parse_index(api_report(names[n]), x);
		want(nr > 0, "%s: %s", names[n], procfs_error);
		for (int i = 0; i < nr; i++)
			for (int order = 0; order < x[i].orders; order++)
				want(x[i].orders == 11 && x[i].index[order] >= (n ? 0 : -1000) &&
					     x[i].index[order] <= 1000,
				     "%s: %ld of order %d", names[n], x[i].index[order], order);
	}
	verdict("extfrag_index and unusable_index are the kernel's");
}

/* Of ours both are read with nothing allocated in between. */
static void test_pagetypeinfo(void)
{
	static const char *const types[] = { "Unmovable", "Movable", "Reclaimable", "HighAtomic", "CMA", "Isolate" };
	static struct proc_pagetypeinfo t;
	char *text = system_file("/proc/pagetypeinfo");
	unsigned long blocks = 0;
	int nr, i, order, type;

	if (text)
		want(parse_pagetypeinfo(text, &t) > 0, "/proc/pagetypeinfo: %s", procfs_error);
	free(text);
	nr = parse_buddyinfo(api_report("buddyinfo"), buddies);
	want(parse_pagetypeinfo(api_report("pagetypeinfo"), &t) == nr * 6 && t.zones == nr && t.types == 6,
	     "%d zones and %d types: %s", t.zones, t.types, procfs_error);
	for (i = 0; i < t.types; i++)
		want(!strcmp(t.type[i], types[i]), "type %s, not %s", t.type[i], types[i]);
	for (i = 0; i < nr; i++) {
		want(buddies[i].node == t.blocks[i].node && !strcmp(buddies[i].zone, t.blocks[i].zone), "zone %d", i);
		for (type = 0; type < t.types; type++)
			blocks += t.blocks[i].nr[type];
		for (order = 0; order < t.orders; order++) {
			unsigned long sum = 0;

			for (type = 0; type < t.types; type++)
				sum += t.free[i * t.types + type].nr[order];
			want(sum == buddies[i].nr[order], "order %d: %lu of all types, not %lu", order, sum,
			     buddies[i].nr[order]);
		}
	}
	want(blocks > 0, "no pageblocks");
	verdict("pagetypeinfo is the kernel's, and its sums are those of buddyinfo");
}

static void test_zoneinfo(void)
{
	static const char *const names[] = { "DMA32", "Normal", "Movable" };
	static struct proc_zone systems[PROCFS_ZONES];
	const struct proc_zone *z;
	char *text = system_file("/proc/zoneinfo");
	int nr, i;

	if (text)
		want(parse_zoneinfo(text, systems) > 0, "/proc/zoneinfo: %s", procfs_error);
	free(text);
	nr = report_zones(&z);
	want(nr >= 3 && nr % 3 == 0, "%d zones", nr);
	for (i = 0; i < nr; i++) {
		want(!strcmp(z[i].zone, names[i % 3]) && z[i].node == z[i - i % 3].node, "zone %d is %s", i, z[i].zone);
		want(z[i].free <= z[i].managed && z[i].managed <= z[i].present && z[i].present <= z[i].spanned,
		     "%s: %lu free, %lu managed, %lu present, %lu spanned", z[i].zone, z[i].free, z[i].managed,
		     z[i].present, z[i].spanned);
		want(z[i].nr_protection == 3, "%d reserves", z[i].nr_protection);
		want(!z[i].managed || z[i].nr_cpus > 0, "no per-CPU lists");
	}
	verdict("zoneinfo is the kernel's");
}

static struct proc_item items[PROCFS_ITEMS];

static void test_vmstat(void)
{
	enum { NR = 1000, ORDER = 2, PAGES = NR << ORDER };
	static const char *const names[] = { "nr_free_pages",	"nr_free_cma",	 "numa_hit",
					     "numa_local",	"pgalloc_dma32", "pgalloc_normal",
					     "pgalloc_movable", "pgfree",	 "pgsteal_direct",
					     "compact_stall",	"oom_kill",	 "nr_slab_unreclaimable",
					     "pgscan_kswapd",	"drop_slab",	 "nr_grown",
					     "arena_mapped" };
	char *text = system_file("/proc/vmstat");
	unsigned long allocated, freed, hits, i;
	static void *p[NR];

	if (text)
		want(parse_vmstat(text, items) > 0, "/proc/vmstat: %s", procfs_error);
	free(text);
	for (i = 0; i < API_ARRAY_SIZE(names); i++)
		report_vmstat(names[i]);
	allocated = report_vmstat("pgalloc_normal");
	freed = report_vmstat("pgfree");
	hits = report_vmstat("numa_hit");
	for (i = 0; i < NR; i++)
		p[i] = bm_alloc_pages(BM_GFP_KERNEL, ORDER);
	allocated = report_vmstat("pgalloc_normal") - allocated;
	want(allocated >= PAGES && allocated < PAGES + 5000, "%lu pages allocated, not %d", allocated, PAGES);
	want(report_vmstat("pgfree") - freed < PAGES, "%lu pages freed", report_vmstat("pgfree") - freed);
	want(report_vmstat("numa_hit") - hits >= NR, "%lu hits", report_vmstat("numa_hit") - hits);
	freed = report_vmstat("pgfree");
	for (i = 0; i < NR; i++)
		bm_free_pages(p[i], ORDER);
	freed = report_vmstat("pgfree") - freed;
	want(freed >= PAGES && freed < PAGES + 5000, "%lu pages freed, not %d", freed, PAGES);
	verdict("vmstat is the kernel's, and counts pages");
}

int main(void)
{
	api_prove_served();
	test_slabinfo();
	test_buddyinfo();
	test_indices();
	test_pagetypeinfo();
	test_zoneinfo();
	test_vmstat();
	return done_testing();
}
