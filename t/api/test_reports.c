/* SPDX-License-Identifier: MIT */
/*
 * Reports in the formats of /proc: readers that take the system's own files take ours, and the figures are those of
 * what this test has allocated.
 */
#include "api.h"
#include "procfs.h"

/* What bm_stats_print writes; freed by the caller. */
static char *report(const char *what)
{
	FILE *file = tmpfile();
	char *text = calloc(1, 1 << 20);
	ssize_t n;

	if (!file || !text)
		bail_out("no temporary file");
	want(bm_stats_print(fileno(file), what) == 0, "bm_stats_print(%s)", what);
	n = pread(fileno(file), text, (1 << 20) - 1, 0);
	want(n > 0, "%s wrote nothing", what);
	fclose(file);
	return text;
}

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
	char *text = report("slabinfo");
	int nr = parse_slabinfo(text, slabs, 1000);
	const struct proc_slab *s = slab_of_size(nr, size);
	char name[32];

	want(nr > 50, "slabinfo: %d lines: %s", nr, procfs_error);
	free(text);
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

/* Under memcheck freed blocks rest for a while: they stay in their slabs. */
static bool frees_rest(void)
{
#ifdef BM_VALGRIND
	return RUNNING_ON_VALGRIND;
#else
	return false;
#endif
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
	for (i = 0; i < API_ARRAY_SIZE(sizes); i++) {
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
		want(frees_rest() || after.active_objs == before.active_objs, "freed: %lu before, %lu after",
		     before.active_objs, after.active_objs);
	}
	verdict("slabinfo is the kernel's, and counts what malloc gave");
}

static void test_buddyinfo(void)
{
	static struct proc_buddy b[PROCFS_ZONES];
	char *text = system_file("/proc/buddyinfo");
	int nr;

	if (text)
		want(parse_buddyinfo(text, b) > 0, "/proc/buddyinfo: %s", procfs_error);
	free(text);
	text = report("buddyinfo");
	nr = parse_buddyinfo(text, b);
	free(text);
	want(nr > 0, "buddyinfo: %s", procfs_error);
	for (int i = 0; i < nr; i++)
		want(b[i].orders == 11, "%d orders", b[i].orders);
	verdict("buddyinfo is the kernel's");
}

int main(void)
{
	api_prove_served();
	test_slabinfo();
	test_buddyinfo();
	return done_testing();
}
