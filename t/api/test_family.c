/* SPDX-License-Identifier: MIT */
/*
 * The rest of the family: other names of free, mallopt, mallinfo, malloc_info, malloc_stats, libc's aliases, and what
 * buddymalloc.h adds.
 */
#include "api.h"
#include "pattern.h"

static void test_frees(void)
{
	size_t before = api_in_use(), size;
	int i;

	for (size = 1; size < 8 * MIB; size *= 3) {
		for (i = 0; i < 3; i++) {
			void *p = malloc(size);

			if (!want(p, "malloc(%zu)", size))
				continue;
			memset(p, 1, size);
			errno = ERRNO_MARK;
			if (i == 0)
				cfree(p);
			else if (i == 1)
				free_sized(p, size);
			else
				free_aligned_sized(p, 16, size);
			want(errno == ERRNO_MARK, "free number %d of %zu bytes changed errno", i, size);
		}
	}
	cfree(NULL);
	free_sized(NULL, 100);
	free_aligned_sized(NULL, 64, 100);
	want(api_in_use() == before, "%zu bytes in use before, %zu after", before, api_in_use());
	verdict("cfree, free_sized and free_aligned_sized free");
}

static void test_mallopt(void)
{
	static const int known[] = { M_MXFAST,	     M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX,
				     M_CHECK_ACTION, M_PERTURB, M_ARENA_TEST,	  M_ARENA_MAX };
	size_t i;

	for (i = 0; i < API_ARRAY_SIZE(known); i++)
		want(mallopt(known[i], 1) == 1, "mallopt(%d)", known[i]);
	want(mallopt(M_TRIM_THRESHOLD, 16 << 20) == 1, "mallopt(M_TRIM_THRESHOLD)");
	want(mallopt(12345, 1) == 0, "mallopt(12345)");
	want(mallopt(-12345, 1) == 0, "mallopt(-12345)");
	verdict("mallopt takes what glibc's takes, and refuses the rest");
}

/* What is so of the figures at any time. */
static void want_sound(struct mallinfo2 m, const char *when)
{
	want(m.uordblks + m.fordblks <= m.arena, "%s: %zu in use and %zu free of %zu", when, m.uordblks, m.fordblks,
	     m.arena);
	want(m.fsmblks <= m.fordblks, "%s: %zu cached of %zu free", when, m.fsmblks, m.fordblks);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static struct mallinfo narrow_mallinfo(void)
{
	return mallinfo();
}
#pragma GCC diagnostic pop

static void test_mallinfo(void)
{
	enum { NR = 100, SIZE = 30000, HUGE = 20 << 20 };
	struct mallinfo2 before, with, after;
	struct mallinfo narrow;
	void *p[NR], *huge;
	int i;

	before = mallinfo2();
	want_sound(before, "before");
	for (i = 0; i < NR; i++) {
		p[i] = malloc(SIZE);
		if (!p[i])
			bail_out("malloc(%d) failed", SIZE);
	}
	huge = malloc(HUGE);
	with = mallinfo2();
	narrow = narrow_mallinfo();
	want_sound(with, "with blocks");
	want(with.uordblks >= before.uordblks + NR * SIZE, "%zu more in use", with.uordblks - before.uordblks);
	want(with.uordblks <= before.uordblks + NR * SIZE / 8 * 9 + 2 * MIB, "%zu more in use, far too many",
	     with.uordblks - before.uordblks);
	want(with.hblkhd >= before.hblkhd + HUGE && with.hblkhd <= before.hblkhd + HUGE + 2 * MIB,
	     "%zu more in huge blocks", with.hblkhd - before.hblkhd);
	want(with.hblks == before.hblks + 1, "%zu huge blocks more", with.hblks - before.hblks);
	want(narrow.uordblks == (int)with.uordblks && narrow.arena == (int)with.arena &&
		     narrow.hblkhd == (int)with.hblkhd && narrow.fordblks == (int)with.fordblks,
	     "mallinfo says other than mallinfo2");
	for (i = 0; i < NR; i++)
		free(p[i]);
	free(huge);
	after = mallinfo2();
	want_sound(after, "after");
	want(after.uordblks == before.uordblks, "%zu in use before, %zu after", before.uordblks, after.uordblks);
	want(after.hblkhd == before.hblkhd && after.hblks == before.hblks, "huge blocks remain");
	verdict("mallinfo and mallinfo2 count what is in use, and add up");
}

/* Every element closed, in order; the number of elements, -1 if it is not so. */
static int xml_elements(const char *text)
{
	char open[8][32];
	int depth = 0, nr = 0, len;

	for (; (text = strchr(text, '<')); text++) {
		const char *end = strchr(text, '>');
		char name[32];

		if (!end)
			return -1;
		if (sscanf(text, "</%31[a-z]%n", name, &len) == 1) {
			if (!depth || strcmp(open[--depth], name) != 0)
				return -1;
			continue;
		}
		if (sscanf(text, "<%31[a-z]", name) != 1 || depth == 8)
			return -1;
		nr++;
		if (end[-1] != '/')
			strcpy(open[depth++], name);
	}
	return depth ? -1 : nr;
}

static void test_malloc_info(void)
{
	static char text[65536];
	FILE *stream = fmemopen(text, sizeof(text), "w");
	void *p = malloc(5000);

	if (!stream || !p)
		bail_out("cannot set malloc_info up");
	is_int(malloc_info(1, stream), EINVAL, "malloc_info: options are EINVAL");
	fflush(stream);
	is_str(text, "", "and nothing is written");
	is_int(malloc_info(0, stream), 0, "malloc_info(0)");
	fclose(stream);
	free(p);
	ok(!strncmp(text, "<malloc version=", 16), "malloc_info writes a <malloc> element");
	ok(strstr(text, "<system type=\"current\" size=\"") && strstr(text, "<class"),
	   "malloc_info tells of the system's memory and of size classes");
	if (!ok(xml_elements(text) > 5, "malloc_info is well formed"))
		diag("%s", text);
}

/* What a function writes to stderr, at most len - 1 bytes. */
static void stderr_of(void (*function)(void), char *text, size_t len)
{
	FILE *file = tmpfile();
	int saved = dup(2);
	ssize_t n;

	if (!file || saved < 0 || dup2(fileno(file), 2) < 0)
		bail_out("cannot redirect stderr");
	function();
	dup2(saved, 2);
	close(saved);
	n = pread(fileno(file), text, len - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	fclose(file);
}

static void print_summary(void)
{
	want(bm_stats_print(2, "summary") == 0, "bm_stats_print(summary)");
}

static void print_buddyinfo(void)
{
	want(bm_stats_print(2, "buddyinfo") == 0, "bm_stats_print(buddyinfo)");
}

static void print_unknown(void)
{
	want(bm_stats_print(2, "no such report") == -EINVAL, "bm_stats_print of an unknown report is not -EINVAL");
	want(bm_stats_print(2, "") == -EINVAL, "bm_stats_print(\"\") is not -EINVAL");
	want(bm_stats_print(2, NULL) == -EINVAL, "bm_stats_print(NULL) is not -EINVAL");
}

static long asked_kib(const char *summary)
{
	const char *at = strstr(summary, "\nasked");

	return at ? atol(at + strlen("\nasked")) : -1;
}

static void test_reports(void)
{
	char before[8192], with[8192], stats[8192], other[8192];
	void *p;

	stderr_of(print_summary, before, sizeof(before));
	p = malloc(10 * MIB);
	stderr_of(print_summary, with, sizeof(with));
	stderr_of(malloc_stats, stats, sizeof(stats));
	free(p);
	want(asked_kib(before) >= 0, "no line \"asked\" in: %s", before);
	want(asked_kib(with) >= asked_kib(before) + 10 * 1024, "10 MiB more were asked: %s", with);
	verdict("the summary counts what the program has");
	ok(asked_kib(stats) == asked_kib(with), "malloc_stats writes the summary to stderr");
	stderr_of(print_buddyinfo, other, sizeof(other));
	want(strstr(other, "Node 0, zone") && strstr(other, "Normal"), "buddyinfo: %s", other);
	verdict("buddyinfo lists the zones");
	stderr_of(print_unknown, other, sizeof(other));
	want(!*other, "an unknown report wrote: %s", other);
	verdict("an unknown report is -EINVAL, and writes nothing");
	want(bm_stats_print(-1, "summary") == 0, "a bad descriptor");
	ok(!strcmp(bm_version(), PACKAGE_VERSION), "bm_version() is %s", PACKAGE_VERSION);
}

#ifndef BM_PREFIX
static void test_aliases(void)
{
	static const char *const pairs[][2] = {
		{ "__libc_malloc", "malloc" },	   { "__libc_calloc", "calloc" },
		{ "__libc_realloc", "realloc" },   { "__libc_free", "free" },
		{ "__libc_memalign", "memalign" }, { "__libc_valloc", "valloc" },
		{ "__libc_pvalloc", "pvalloc" },   { "__posix_memalign", "posix_memalign" },
	};
	size_t i;

	for (i = 0; i < API_ARRAY_SIZE(pairs); i++) {
		void *alias = dlsym(RTLD_DEFAULT, pairs[i][0]), *name = dlsym(RTLD_DEFAULT, pairs[i][1]);

		want(alias && alias == name, "%s is %p, %s is %p", pairs[i][0], alias, pairs[i][1], name);
	}
	verdict("libc's other names are the same functions");
}
#else
static void test_aliases(void)
{
	skip(1, "libc's other names are its own under a sanitizer");
}
#endif

int main(void)
{
	plan(15);
	api_prove_served();
	test_frees();
	test_mallopt();
	test_mallinfo();
	test_malloc_info();
	test_reports();
	test_aliases();
	return tap_exit();
}
