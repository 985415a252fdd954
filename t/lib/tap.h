/* SPDX-License-Identifier: MIT */
/*
 * Test Anything Protocol for C and C++ tests. A test calls plan() first or done_testing() last, and returns
 * tap_exit() from main (done_testing() returns the same). The status is 0 only if every test passed and as many ran as
 * were planned. Threads may call ok(): each line is one call of stdio and the counters are atomic.
 */
#ifndef T_LIB_TAP_H
#define T_LIB_TAP_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAP_FUNCTION(fmt, args) static __attribute__((unused, format(printf, fmt, args)))
#define TAP_UNUSED static __attribute__((unused))

static int tap_planned = -1;
static int tap_run;
static int tap_failed;

/* One line, whatever is in the text. */
TAP_FUNCTION(2, 0)
void tap_vline(const char *start, const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	for (char *p = text; *p; p++) {
		if (*p == '\n')
			*p = ' ';
	}
	printf("%s%s\n", start, text);
	fflush(stdout);
}

TAP_UNUSED void plan(int n)
{
	tap_planned = n;
	printf("1..%d\n", n);
	fflush(stdout);
}

TAP_FUNCTION(1, 2) void diag(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tap_vline("# ", fmt, ap);
	va_end(ap);
}

TAP_FUNCTION(4, 0)
int tap_result(int passed, const char *file, int line, const char *fmt, va_list ap)
{
	int number = __atomic_add_fetch(&tap_run, 1, __ATOMIC_RELAXED);
	char start[32];

	snprintf(start, sizeof(start), "%sok %d - ", passed ? "" : "not ", number);
	tap_vline(start, fmt, ap);
	if (!passed) {
		__atomic_add_fetch(&tap_failed, 1, __ATOMIC_RELAXED);
		diag("failed at %s:%d", file, line);
	}
	return passed;
}

TAP_FUNCTION(4, 5)
int tap_ok(int passed, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	passed = tap_result(passed, file, line, fmt, ap);
	va_end(ap);
	return passed;
}

TAP_FUNCTION(5, 6)
int tap_is_int(long long got, long long wanted, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tap_result(got == wanted, file, line, fmt, ap);
	va_end(ap);
	if (got != wanted)
		diag("got %lld (%#llx), wanted %lld (%#llx)", got, (unsigned long long)got, wanted,
		     (unsigned long long)wanted);
	return got == wanted;
}

TAP_FUNCTION(5, 6)
int tap_is_str(const char *got, const char *wanted, const char *file, int line, const char *fmt, ...)
{
	int same = got && wanted ? !strcmp(got, wanted) : got == wanted;
	va_list ap;

	va_start(ap, fmt);
	tap_result(same, file, line, fmt, ap);
	va_end(ap);
	if (!same)
		diag("got \"%s\", wanted \"%s\"", got ? got : "(null)", wanted ? wanted : "(null)");
	return same;
}

/* Each takes a printf format as the description and returns whether it passed. */
#define ok(cond, ...) tap_ok(!!(cond), __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, wanted, ...) tap_is_int((long long)(got), (long long)(wanted), __FILE__, __LINE__, __VA_ARGS__)
#define is_str(got, wanted, ...) tap_is_str((got), (wanted), __FILE__, __LINE__, __VA_ARGS__)

/* n results that could not be had, and why. */
TAP_UNUSED void skip(int n, const char *reason)
{
	while (n-- > 0) {
		printf("ok %d # SKIP %s\n", __atomic_add_fetch(&tap_run, 1, __ATOMIC_RELAXED), reason);
		fflush(stdout);
	}
}

/* The whole program has nothing to test here; before the first result. */
TAP_UNUSED __attribute__((noreturn)) void skip_all(const char *reason)
{
	printf("1..0 # SKIP %s\n", reason);
	exit(0);
}

TAP_FUNCTION(1, 2) __attribute__((noreturn)) void bail_out(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tap_vline("Bail out! ", fmt, ap);
	va_end(ap);
	exit(255);
}

/* What main returns. */
TAP_UNUSED int tap_exit(void)
{
	if (tap_planned != tap_run) {
		diag("planned %d tests, ran %d", tap_planned, tap_run);
		return 1;
	}
	if (tap_failed)
		diag("failed %d of %d tests", tap_failed, tap_run);
	return tap_failed != 0;
}

/* For tests that count as they go: prints the plan; what main returns. */
TAP_UNUSED int done_testing(void)
{
	if (tap_planned < 0)
		plan(tap_run);
	return tap_exit();
}

#endif
