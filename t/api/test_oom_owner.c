/* SPDX-License-Identifier: MIT */
/*
 * Owners with names in the OOM step: whom it asks to abort and in which order, and an owner over its own limit.
 */
#include <pthread.h>
#include <time.h>

#include "oom.h"

/* The leaker itself asks last: it is told once, and has the reserve; then it gets NULL. */
static void callback_once(void)
{
	create(0, 0, 0, 0, true);
	check(!eat_as(0, 100, 500) && errno == ENOMEM);
	check(parties[0].calls == 1);
	check(!eat_as(0, 100, 500) && parties[0].calls == 1);
	drop(&parties[0].chain);
	check(!bm_owner_destroy(parties[0].owner));
	check(eat(&all, LIMIT_MIB / 2, 500));
}

/* Each time that it has given up what it had it may be told again. */
static void callback_frees(void)
{
	create(0, 0, 0, 0, true);
	parties[0].on_abort = drop_chain;
	check(eat_as(0, 100, 500));
	check(parties[0].calls == 3);
}

static void refuses(void)
{
	create(0, 0, 0, 0, true);
	create(1, 0, 0, 0, true);
	parties[0].answer = 1;
	parties[1].on_abort = drop_chain;
	check(eat_as(0, 16, 500) && eat_as(1, 8, 500));
	check(eat(&all, 10, 500));
	check(parties[0].calls == 1 && parties[1].calls == 1);
}

static void all_refuse(void)
{
	create(0, 0, 0, 0, true);
	parties[0].answer = -1;
	check(eat_as(0, 20, 500));
	eat(&all, 100, 500);
}

static void score_adj(void)
{
	create(0, 0, 0, -1000, true);
	create(1, 0, 0, 0, true);
	create(2, 0, 0, 500, true);
	parties[1].on_abort = parties[2].on_abort = drop_chain;
	check(eat_as(0, 12, 500) && eat_as(1, 10, 500) && eat_as(2, 5, 500));
	check(eat(&all, 6, 500));
	check(!parties[0].calls && !parties[1].calls && parties[2].calls == 1);
}

static void below_min(void)
{
	create(0, 0, 20 * MIB, 0, true);
	create(1, 0, 0, 0, true);
	parties[1].on_abort = drop_chain;
	check(eat_as(0, 14, 500) && eat_as(1, 9, 500));
	check(eat(&all, 9, 500));
	check(!parties[0].calls && parties[1].calls == 1);
}

/* It said that it would, and did not: after its time the next is told. */
static void waits(void)
{
	struct timespec start, end;
	long ms;

	set("oom_wait_ms", "100");
	create(0, 0, 0, 0, true);
	create(1, 0, 0, 0, true);
	parties[1].on_abort = drop_chain;
	check(eat_as(0, 14, 500) && eat_as(1, 10, 500));
	clock_gettime(CLOCK_MONOTONIC, &start);
	check(eat(&all, 12, 500));
	clock_gettime(CLOCK_MONOTONIC, &end);
	ms = (end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000;
	check(parties[0].calls == 1 && parties[1].calls == 1);
	check(ms >= 90);
}

static void no_callback(void)
{
	create(0, 0, 0, 0, false);
	eat_as(0, 100, 500);
}

/* SIGABRT goes to the thread inside, not to the one that asks. */
static atomic_int inside_eaten;

static void on_abort_who(int sig)
{
	static const char text[] = "the one inside\n";

	(void)sig;
	if (bm_owner_enter(NULL) == parties[0].owner)
		check(write(2, text, sizeof(text) - 1) > 0);
	signal(SIGABRT, SIG_DFL);
	raise(SIGABRT);
}

static void *eat_inside(void *arg)
{
	bm_owner_enter(parties[0].owner);
	check(eat(&parties[0].chain, 18, 500));
	atomic_store(&inside_eaten, 1);
	for (;;)
		pause();
	return arg;
}

static void no_callback_inside(void)
{
	pthread_t thread;

	signal(SIGABRT, on_abort_who);
	create(0, 0, 0, 0, false);
	check(!pthread_create(&thread, NULL, eat_inside, NULL));
	while (!atomic_load(&inside_eaten))
		usleep(1000);
	eat(&all, 15, 500);
	pause();
}

/* Nor to one that was inside. */
static void *be_inside(void *arg)
{
	bm_owner_enter(parties[0].owner);
	bm_owner_enter(NULL);
	atomic_store(&inside_eaten, 1);
	for (;;)
		pause();
	return arg;
}

static void no_callback_left(void)
{
	pthread_t thread;

	signal(SIGABRT, on_abort_who);
	create(0, 0, 0, 0, false);
	bm_owner_enter(parties[0].owner);
	check(!pthread_create(&thread, NULL, be_inside, NULL));
	while (!atomic_load(&inside_eaten))
		usleep(1000);
	eat(&parties[0].chain, 100, 500);
	pause();
}

/* In the child of a process that had one thread, which has an owner already, as the child soon has more. */
static void *eat_more(void *arg)
{
	while (!atomic_load(&inside_eaten))
		usleep(1000);
	eat(&all, 15, 500);
	pause();
	return arg;
}

static void forked_first(void)
{
	pthread_t thread;

	signal(SIGABRT, on_abort_who);
	create(0, 0, 0, 0, false);
	bm_owner_enter(parties[0].owner);
	check(!pthread_create(&thread, NULL, eat_more, NULL));
	check(eat(&parties[0].chain, 18, 500));
	atomic_store(&inside_eaten, 1);
	for (;;)
		pause();
}

static void no_callback_forked(void)
{
	int status;
	pid_t child;

	check(eat(&all, 1, 500));
	child = fork();
	if (child == 0) {
		forked_first();
		_exit(1);
	}
	check(waitpid(child, &status, 0) == child);
	if (WIFSIGNALED(status))
		raise(WTERMSIG(status));
}

/*
 * An owner's own limit.
 */
static void own_limit(void)
{
	create(0, 4 * MIB, 0, 0, true);
	create(1, 0, 0, 0, true);
	check(eat_as(1, 10, 500));
	check(!eat_as(0, 20, 500) && errno == ENOMEM && parties[0].calls == 1);
	check(bm_owner_usage(parties[0].owner) < 6 * MIB);
	check(!parties[1].calls && eat(&all, 4, 500));
}

static void own_limit_no_callback(void)
{
	create(0, 4 * MIB, 0, 0, false);
	eat_as(0, 20, 500);
}

static void own_limit_enomem(void)
{
	set("oom", "enomem");
	create(0, 4 * MIB, 0, 0, true);
	check(!eat_as(0, 20, 500) && errno == ENOMEM && !parties[0].calls);
}

static void own_limit_refuses(void)
{
	create(0, 4 * MIB, 0, 0, true);
	parties[0].answer = 1;
	check(!eat_as(0, 20, 500) && errno == ENOMEM && parties[0].calls >= 1);
}

/* However often it asks, not more than ten times in five seconds is that said. */
static void own_limit_often(void)
{
	int i;

	own_limit_refuses();
	for (i = 0; i < 100; i++)
		check(!eat_as(0, 20, 500));
}

static void test_often(void)
{
	int status = run(own_limit_often), reports = count("invoked oom-killer");

	if (!ok(status == 0 && reports >= 10 && reports < 60 && count("no owner that could be aborted") < 60,
		"a request that fails again and again is not always reported"))
		tell(status);
}

/* Who asks for much is told no; nobody is ended for it. */
static void own_limit_costly(void)
{
	bm_owner_t *before;

	create(0, 4 * MIB, 0, 0, true);
	before = bm_owner_enter(parties[0].owner);
	check(!malloc(8 * MIB) && errno == ENOMEM);
	bm_owner_enter(before);
	check(!parties[0].calls);
}

int main(void)
{
	if (api_sanitized() || api_under_valgrind())
		skip_all("the children's memory is the sanitizer's, or valgrind's, too");
	case_exits("a callback is called once", callback_once, 1);
	case_exits("and again when it has freed", callback_frees, 3);
	case_exits("who refuses is passed over", refuses, 1);
	case_aborts("if all refuse, the thread that asks is left", all_refuse, "cannot end now");
	case_exits("score_adj", score_adj, 1);
	case_exits("who is below min is spared", below_min, 1);
	case_exits("who does not end is waited for, but not for ever", waits, 2);
	case_aborts("no callback: SIGABRT", no_callback, "aborting owner party-0");
	case_aborts("no callback: SIGABRT to the thread inside", no_callback_inside, "the one inside");
	case_aborts("and not to one that has left", no_callback_left, "the one inside");
	case_aborts("in a child, whose threads came later, too", no_callback_forked, "the one inside");
	case_exits("an owner over its own limit is its own OOM", own_limit, 1);
	case_aborts("without a callback: SIGABRT", own_limit_no_callback, "CONSTRAINT_MEMCG");
	case_exits("with oom:enomem: NULL", own_limit_enomem, 0);
	case_exits("if it refuses: NULL", own_limit_refuses, 1);
	test_often();
	case_exits("a large request is refused", own_limit_costly, 0);
	return done_testing();
}
