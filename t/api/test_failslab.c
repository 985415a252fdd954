/* SPDX-License-Identifier: MIT */
/*
 * Every function of the family fails with ENOMEM when failslab says so, one line for each failure on stderr, and works
 * as ever when it does not. The test starts itself again under each configuration; a child's status is 0 if it saw what
 * it should, else the line that did not.
 */

#include "child.h"

extern void *new_nothrow(size_t size, const void *nothrow) __asm__(API_SYMBOL("_ZnwmRKSt9nothrow_t"));

/* malloc and free that the compiler does not take for a pair to leave out. */
static void *volatile kept;

#define CHECK(cond)                                \
	do {                                       \
		if (!(cond))                       \
			_exit(__LINE__ % 250 + 1); \
	} while (0)

static int refused(void *p)
{
	int error = errno;

	kept = p;
	errno = 0;
	return !p && error == ENOMEM;
}

static void everything_fails(void)
{
	static const size_t sizes[] = { 0, 1, 64, 1000, 5000, 40000, 1000000, 5000000 };
	void *p = &p, *before = p;

	for (size_t i = 0; i < API_ARRAY_SIZE(sizes); i++)
		for (int n = 0; n < 3; n++) {
			size_t size = sizes[i];

			CHECK(refused(malloc(size)));
			CHECK(refused(calloc(1, size)));
			CHECK(refused(realloc(NULL, size)));
			CHECK(refused(aligned_alloc(64, size)));
			CHECK(refused(memalign(4096, size)));
			CHECK(refused(valloc(size)));
			CHECK(refused(pvalloc(size)));
			CHECK(refused(reallocarray(NULL, 1, size)));
			CHECK(posix_memalign(&p, 64, size) == ENOMEM && p == before && !errno);
		}
	_exit(0);
}

static void new_fails(void)
{
	for (size_t size = 1; size < 10000000; size *= 10)
		CHECK(!(kept = new_nothrow(size, "")));
	_exit(0);
}

/* Of 3000 calls each third fails, of those that have lists full of blocks too. */
static void each_third_fails(void)
{
	int failed = 0;

	for (int i = 0; i < 3000; i++) {
		void *p = malloc(64);

		failed += !p;
		free(p);
	}
	CHECK(failed == 1000);
	_exit(0);
}

static void seven_fail(void)
{
	int failed = 0;

	for (int i = 0; i < 3000; i++) {
		void *p = malloc(64);

		failed += !p;
		free(p);
	}
	CHECK(failed == 7);
	CHECK(!refused(malloc(64)));
	_exit(0);
}

/* 100000 bytes pass. */
static void space_runs_out(void)
{
	int passed = 0;

	while (passed < 3000 && malloc(1000))
		passed++;
	CHECK(passed == 99);
	CHECK(refused(malloc(1000)));
	_exit(0);
}

static void realloc_keeps(void)
{
	char *small, *large;

	CHECK((small = malloc(100)) && (large = malloc(3000000))); /* within the space */
	small[99] = large[2999999] = 42;
	CHECK(refused(malloc(1000000)));
	CHECK(refused(realloc(small, 500)) && refused(realloc(small, 1000000)) && refused(realloc(large, 9000000)));
	CHECK(small[99] == 42 && large[2999999] == 42);
	CHECK(realloc(large, 2000000));
	_exit(0);
}

static void nothing_fails(void)
{
	for (int i = 0; i < 3000; i++) {
		void *p = malloc((size_t)i * 100);

		CHECK(p);
		free(p);
	}
	_exit(0);
}

static void set(const char *name, const char *value)
{
	CHECK(!bm_ctl_set(name, value));
}

/* Blocks of lists, which are full: how many of 100 calls fail. */
static int failures(void)
{
	int failed = 0;

	for (int i = 0; i < 100; i++) {
		void *p = malloc(64);

		failed += !p;
		free(p);
	}
	return failed;
}

static void while_it_runs(void)
{
	int some;

	CHECK(failures() == 0);
	set("failslab.verbose", "0");
	set("failslab.times", "-1");
	set("failslab.probability", "100");
	CHECK(failures() == 100);
	set("failslab.interval", "10");
	CHECK(failures() == 10);
	set("failslab.interval", "1");
	set("failslab.probability", "30");
	set("fault.seed", "42");
	some = failures();
	CHECK(some > 10 && some < 50);
	set("fault.seed", "42");
	CHECK(failures() == some);
	set("failslab.probability", "100");
	set("failslab.task-filter", "Y");
	CHECK(failures() == 0);
	set("fault.make-it-fail", "1");
	CHECK(failures() == 100);
	set("fault.make-it-fail", "0");
	set("failslab.task-filter", "N");
	set("failslab.ignore-gfp-wait", "Y");
	CHECK(failures() == 0);
	set("failslab.ignore-gfp-wait", "N");
	set("failslab.times", "3");
	CHECK(failures() == 3);
	set("failslab.times", "-1");
	CHECK(failures() == 100);
	set("failslab.probability", "0");
	CHECK(failures() == 0);
	_exit(0);
}

static int page_refused(bm_gfp_t gfp, unsigned int order)
{
	void *p = bm_alloc_pages(gfp, order);
	int result = refused(p);

	bm_free_pages(p, order);
	return result;
}

static void pages_fail(void)
{
	for (unsigned int order = 0; order <= 10; order++)
		CHECK(!page_refused(BM_GFP_KERNEL, order));
	set("fail_page_alloc.verbose", "0");
	set("fail_page_alloc.times", "-1");
	set("fail_page_alloc.probability", "100");
	for (unsigned int order = 0; order <= 10; order++)
		CHECK(page_refused(BM_GFP_KERNEL | BM_GFP_NOWARN, order));
	set("fail_page_alloc.min-order", "4");
	for (unsigned int order = 0; order <= 10; order++)
		CHECK(page_refused(BM_GFP_KERNEL | BM_GFP_NOWARN, order) == (order >= 4));
	set("fail_page_alloc.ignore-gfp-wait", "Y");
	CHECK(!page_refused(BM_GFP_KERNEL, 5) && page_refused(BM_GFP_NOWAIT | BM_GFP_NOWARN, 5));
	set("fail_page_alloc.probability", "0");
	CHECK(!page_refused(BM_GFP_NOWAIT, 5));
	_exit(0);
}

#define ANY (-1)

static const struct scenario {
	const char *name, *conf, *what;
	void (*run)(void);
	int lines; /* on stderr; ANY: looking for a new-handler may allocate, too */
} scenarios[] = {
	{ "none", "verbose:false", "without it nothing fails", nothing_fails, 0 },
	{ "all", "failslab:1/100/0/-1", "every function fails, always", everything_fails, 8 * 3 * 9 },
	{ "new", "failslab:1/100/0/-1", "operator new fails, too", new_fails, ANY },
	{ "third", "failslab:3/100/0/-1", "interval: each third call", each_third_fails, 1000 },
	{ "seven", "failslab:2/100/0/7", "times: seven calls, then none", seven_fail, 7 },
	{ "space", "failslab:1/100/100000/-1", "space: 100000 bytes pass", space_runs_out, 2 },
	{ "ctl", "verbose:false", "bm_ctl_set while the program runs", while_it_runs, 0 },
	{ "pages", "verbose:false", "fail_page_alloc by bm_ctl_set", pages_fail, 0 },
	{ "realloc", "failslab:1/100/3000200/-1", "realloc leaves the block as it is", realloc_keeps, 4 },
};

static int count_lines(void)
{
	static const char start[] = "buddymalloc: FAULT_INJECTION: forcing a failure. name failslab, ";
	int lines = 0;

	for (const char *line = said; *line; line += strcspn(line, "\n"), line += *line == '\n')
		lines += !strncmp(line, start, sizeof(start) - 1) ? 1 : 10000;
	return lines;
}

static const char *self;

static void start_scenario(const void *arg)
{
	const struct scenario *s = arg;

	setenv("BUDDYMALLOC_CONF", s->conf, 1);
	execl(self, self, s->name, (char *)NULL);
	_exit(127);
}

static void run_scenario(const struct scenario *s)
{
	int status = run_child(start_scenario, s), lines = count_lines();

	ok(status == 0, "%s", s->what);
	if (status)
		diag("status %#x", (unsigned int)status);
	if (!ok(lines == s->lines || (s->lines == ANY && lines > 0), "%s: a line for each", s->what))
		diag("%d lines, wanted %d", lines, s->lines);
}

int main(int argc, char **argv)
{
	self = argv[0];
	for (size_t i = 0; i < API_ARRAY_SIZE(scenarios); i++) {
		if (argc < 2)
			run_scenario(&scenarios[i]);
		else if (!strcmp(argv[1], scenarios[i].name))
			scenarios[i].run();
	}
	api_prove_served();
	return done_testing();
}
