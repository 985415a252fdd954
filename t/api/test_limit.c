/* SPDX-License-Identifier: MIT */
/*
 * When memory really ends, by RLIMIT_AS: NULL and ENOMEM, every block intact, and all of it serves again once freed.
 */
#include "api.h"
#include "pattern.h"

#define HEADROOM (96 * MIB)
#define NR_MAX 100000

static void *block[NR_MAX];

static void limit_address_space(void)
{
	long now = api_proc_kib("/proc/self/status", "\nVmSize:");
	struct rlimit limit;

	if (now < 0 || getrlimit(RLIMIT_AS, &limit))
		skip_all("the size of the address space cannot be read");
	limit.rlim_cur = (rlim_t)now * KIB + HEADROOM;
	if (setrlimit(RLIMIT_AS, &limit))
		skip_all("RLIMIT_AS cannot be set");
	if (bm_ctl_set("oom", "enomem"))
		bail_out("oom:enomem cannot be set");
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

int main(void)
{
	static const size_t sizes[] = { 1000000, 2000, 5 * MIB, 30000, 100000, 4096 };
	size_t i;

	if (api_sanitized() || api_under_valgrind())
		skip_all("a sanitizer or valgrind cannot live under RLIMIT_AS");
	plan(2 * API_ARRAY_SIZE(sizes));
	api_prove_served();
	limit_address_space();
	for (i = 0; i < API_ARRAY_SIZE(sizes); i++)
		test_size(sizes[i]);
	return tap_exit();
}
