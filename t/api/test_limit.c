/* SPDX-License-Identifier: MIT */
/*
 * When memory really ends, by RLIMIT_AS, or by the key limit: NULL and ENOMEM, every block intact, and all of it serves
 * again once freed. What the process unmaps then, and a limit that is raised, counts at once. The key changes while the
 * program runs, to below what is in use, too.
 */
#include <sys/mman.h>

#include "api.h"
#include "pattern.h"

#define HEADROOM (96 * MIB)
#define NR_MAX 100000

static void *block[NR_MAX];

static void limit_address_space(void)
{
	long now = api_figure("/proc/self/status", "VmSize:");
	struct rlimit limit;

	if (now < 0 || getrlimit(RLIMIT_AS, &limit))
		bail_out("the size of the address space cannot be read");
	limit.rlim_cur = (rlim_t)now * KIB + HEADROOM;
	if (setrlimit(RLIMIT_AS, &limit))
		bail_out("RLIMIT_AS cannot be set");
}

static void lift_address_space(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_AS, &limit))
		bail_out("RLIMIT_AS cannot be read");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_AS, &limit))
		bail_out("RLIMIT_AS cannot be lifted");
}

static size_t fill(size_t size)
{
	size_t nr = 0;

	errno = ERRNO_MARK;
	while (nr < NR_MAX && (block[nr] = malloc(size))) {
		want(errno == ERRNO_MARK, "malloc(%zu) changed errno to %d", size, errno);
		pattern_fill(block[nr++], size);
	}
	want(nr < NR_MAX && errno == ENOMEM, "%zu blocks of %zu bytes, errno %d", nr, size, errno);
	return nr;
}

static void want_refused(void *p, const char *what)
{
	want(!p, "%s had memory left", what);
	want(errno == ENOMEM, "%s: errno %d", what, errno);
	errno = 0;
}

static void test_size(size_t size)
{
	size_t nr = fill(size), i;
	void *p = NULL;

	want(nr * size > HEADROOM / 2, "only %zu blocks of %zu bytes before memory ended", nr, size);
	errno = 0;
	want_refused(calloc(1, HEADROOM), "calloc");
	want_refused(memalign(64, HEADROOM), "memalign");
	want_refused(realloc(block[0], HEADROOM), "realloc");
	want_refused(valloc(HEADROOM), "valloc");
	want(posix_memalign(&p, 64, HEADROOM) == ENOMEM && !errno, "posix_memalign");
	for (i = 0; i < nr; i++)
		want(pattern_intact(block[i], size), "block %zu of %zu bytes", i, size);
	for (i = 0; i < nr; i++)
		free(block[i]);
	verdict("blocks of %zu bytes until memory ends, %zu of them", size, nr);
	p = malloc(HEADROOM / 2);
	ok(p != NULL, "what blocks of %zu bytes held can serve one of %zu MiB", size, HEADROOM / 2 / MIB);
	free(p);
}

/* Memory has ended; then there is room again. The first request that comes has it. */
static void test_room(size_t size, bool raise)
{
	void *mapping = mmap(NULL, HEADROOM / 2, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *p;
	size_t nr, i;

	if (mapping == MAP_FAILED)
		bail_out("nothing can be mapped");
	limit_address_space();
	nr = fill(size);
	if (raise)
		lift_address_space();
	else
		munmap(mapping, HEADROOM / 2);
	p = malloc(size);
	want(p != NULL, "%zu bytes are refused though there is room", size);
	free(p);
	for (i = 0; i < nr; i++)
		free(block[i]);
	if (raise)
		munmap(mapping, HEADROOM / 2);
	else
		lift_address_space();
	verdict("%s after blocks of %zu bytes counts at once", raise ? "a raised limit" : "what is unmapped", size);
}

static const char *get(const char *name)
{
	static char buf[64];

	return bm_ctl_get(name, buf, sizeof(buf)) < 0 ? "" : buf;
}

static void set_limit(const char *value)
{
	want(!bm_ctl_set("limit", value), "limit cannot be set to %s", value);
}

static void test_key(void)
{
	volatile size_t far = (size_t)1 << 60; /* a compiler that sees it warns */
	size_t nr, i, more;

	want(!strcmp(get("limit"), "0") && bm_ctl_set("limit", "much") == -EINVAL, "limit is '%s'", get("limit"));
	want(bm_ctl_set("budget.total", "1") == -EPERM && bm_ctl_set("budget.binding", "1") == -EPERM, "read only");
	set_limit("64m");
	want(!strcmp(get("limit"), "67108864") && !strcmp(get("budget.total"), "67108864"), "limit is '%s'",
	     get("limit"));
	want(!strcmp(get("budget.binding"), "limit"), "%s binds", get("budget.binding"));
	want(strtoul(get("budget.available"), NULL, 10) <= 64 * MIB, "%s available", get("budget.available"));
	errno = 0;
	want_refused(malloc(128 * MIB), "malloc");
	want_refused(memalign(far, 1), "memalign with an alignment that nothing has");
	nr = fill(4096);
	want(nr > 32 * MIB / 4096 && nr <= 64 * MIB / 4096, "%zu blocks of 4096 in 64 MiB", nr);
	set_limit("16m");
	/* Zones may have a little left of what was kept for those who cannot wait. */
	for (more = nr; nr < more + MIB / 4096 && (block[nr] = malloc(4096)); nr++)
		pattern_fill(block[nr], 4096);
	want_refused(malloc(4096), "malloc below what is in use");
	want_refused(malloc(3 * MIB), "malloc below what is in use");
	set_limit("128m");
	for (more = nr; more < nr + 16 * MIB / 4096 && (block[more] = malloc(4096)); more++)
		pattern_fill(block[more], 4096);
	want(more == nr + 16 * MIB / 4096, "only %zu blocks after the limit was raised", more - nr);
	set_limit("16m");
	for (i = 0; i < more; i++) {
		want(pattern_intact(block[i], 4096), "block %zu", i);
		free(block[i]);
	}
	free(malloc(8 * MIB));
	want(strtoul(get("budget.available"), NULL, 10) >= 4 * MIB, "%s available", get("budget.available"));
	set_limit("0");
	want(!strcmp(get("budget.total"), "0") || strcmp(get("budget.binding"), "limit"), "the limit is lifted");
	free(malloc(256 * MIB));
	verdict("limit: set, lowered below what is in use, raised and lifted");
}

int main(void)
{
	static const size_t sizes[] = { 1000000, 2000, 5 * MIB, 30000, 100000, 4096 };
	static const size_t room_sizes[] = { 8000, 30000, 100000, 1000000 };
	size_t i;

	if (api_sanitized() || api_under_valgrind())
		skip_all("a sanitizer or valgrind cannot live under RLIMIT_AS");
	plan(1 + 2 * API_ARRAY_SIZE(sizes) + 2 * API_ARRAY_SIZE(room_sizes));
	api_prove_served();
	if (bm_ctl_set("oom", "enomem"))
		bail_out("oom:enomem cannot be set");
	limit_address_space();
	for (i = 0; i < API_ARRAY_SIZE(sizes); i++)
		test_size(sizes[i]);
	lift_address_space();
	for (i = 0; i < API_ARRAY_SIZE(room_sizes); i++) {
		test_room(room_sizes[i], false);
		test_room(room_sizes[i], true);
	}
	test_key();
	return tap_exit();
}
