/* SPDX-License-Identifier: MIT */
/*
 * The OOM step as a program sees it, under `limit:`: which thread is ended, how, what is said, and the knobs.
 */
#include <pthread.h>
#include <setjmp.h>

#include "oom.h"
#include "reports.h"

static void leak_small(void)
{
	eat(&all, 100, 500);
}

static void leak_order_3(void)
{
	eat(&all, 100, 32768);
}

/* The kernel's costly order: those who ask for so much can be told no. */
static void leak_costly(void)
{
	errno = 0;
	check(!eat(&all, 100, 33000) && errno == ENOMEM);
	drop(&all);
	check(!eat(&all, 100, 300000));
	drop(&all);
	check(!malloc(100 * MIB) && !malloc((size_t)1 << 40) && errno == ENOMEM);
	check(!calloc(1, 100 * MIB) && !realloc(NULL, 100 * MIB) && !memalign(4096, 100 * MIB));
}

static void leak_pages(void)
{
	while (bm_alloc_pages(BM_GFP_KERNEL, 0))
		;
}

static void enomem(void)
{
	set("oom", "enomem");
	check(!eat(&all, 100, 500) && errno == ENOMEM);
	check(all.nr * 500 > LIMIT_MIB * MIB / 2);
	while (bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_NOWARN, 0))
		;
	drop(&all);
	check(eat(&all, LIMIT_MIB / 2, 500));
}

static void report_only(void)
{
	set("oom", "report");
	check(!eat(&all, 100, 500) && errno == ENOMEM);
	drop(&all);
	check(eat(&all, LIMIT_MIB / 2, 500));
}

static void shape_of_report(void)
{
	static const char *const lines[] = {
		"invoked oom-killer: gfp_mask=0x",
		", order=0, oom_score_adj=0\n",
		" TID: ",
		"limit limit: usage ",
		", this one binds\n",
		"Mem-Info:\n",
		"Node 0 Normal free:",
		"Node 0 Normal: ",
		"arenas mapped:",
		"slabs:",
		"Owners state (",
		"oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),limit=limit",
		"Out of memory: aborting owner ",
	};
	int status = run(leak_small);
	const char *at = said;
	size_t i;

	want(WIFSIGNALED(status), "status %#x", (unsigned int)status);
	for (i = 0; i < API_ARRAY_SIZE(lines); i++) {
		const char *found = strstr(at, lines[i]);

		if (want(found, "no \"%s\" after the one before", lines[i]))
			at = found;
	}
	for (at = said; *at; at = strchr(at, '\n') + 1)
		want(!strncmp(at, "buddymalloc: ", 13) && strchr(at, '\n'), "a line without its prefix: %.60s", at);
	verdict("the report has the kernel's shape");
}

static void on_abort_return(int sig)
{
	(void)sig;
	dprintf(2, "handled\n");
}

static void leak_handler_returns(void)
{
	set("oom_wait_ms", "50");
	signal(SIGABRT, on_abort_return);
	leak_small();
}

static void leak_blocked(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGABRT);
	set("oom_wait_ms", "50");
	sigprocmask(SIG_BLOCK, &mask, NULL);
	leak_small();
}

/* A handler that wants memory has some, then none, but no OOM step of its own. */
static void on_abort_leak(int sig)
{
	size_t before = all.nr;

	(void)sig;
	check(add(&all, 500));
	eat(&all, 100, 500);
	dprintf(2, "the handler had %s\n", all.nr > before ? "memory" : "nothing");
	_exit(0);
}

static sigjmp_buf before_leak;

static void on_abort_jump(int sig)
{
	siglongjmp(before_leak, sig);
}

/* One that leaves by longjmp, and has all freed then: so it is each time. */
static void leak_handler_jumps(void)
{
	volatile int rounds = 0;

	signal(SIGABRT, on_abort_jump);
	if (sigsetjmp(before_leak, 1)) {
		rounds++;
		drop(&all);
	}
	if (rounds < 3)
		check(eat(&all, 100, 500));
	check(rounds == 3);
}

static void leak_handler_leaks(void)
{
	signal(SIGABRT, on_abort_leak);
	leak_small();
	check(!"reached");
}

/* What the handler frees is worth waiting for. */
static void on_abort_free(int sig)
{
	(void)sig;
	drop(&all);
}

static void leak_handler_frees(void)
{
	signal(SIGABRT, on_abort_free);
	check(eat(&all, 100, 500));
}

/* The same where there was one thread: its owner is the parent's, but for its number. */
static void forked_single(void)
{
	int status = -1;
	pid_t child;

	check(eat(&all, 20, 500));
	fflush(NULL);
	child = fork();
	if (child == 0) {
		dprintf(2, "child %d\n", (int)getpid());
		leak_small();
		_exit(8);
	}
	check(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	drop(&all);
	check(eat(&all, 20, 500));
}

static void test_forked_single(void)
{
	int status = run(forked_single);
	char *child = strstr(said, "child "), want[64];

	snprintf(want, sizeof(want), "aborting owner test_oom (thread %d) ", child ? atoi(child + 6) : 0);
	if (!ok(status == 0 && strstr(said, want), "the child of a process of one thread"))
		tell(status);
}

/*
 * What exited threads have left is the process's, whose end is that of the thread that asks.
 */
static void *eat_and_end(void *arg)
{
	check(eat(arg, 18, 500));
	return NULL;
}

static void exited_thread(void)
{
	static struct chain left;
	pthread_t thread;

	check(!pthread_create(&thread, NULL, eat_and_end, &left) && !pthread_join(thread, NULL));
	eat(&all, 14, 500);
}

static void exited_thread_handler(void)
{
	signal(SIGABRT, on_abort_leak);
	exited_thread();
	check(!"reached");
}

/*
 * The knobs.
 */
static void panic_on_oom(void)
{
	set("vm.panic_on_oom", "1");
	create(0, 0, 0, 0, true);
	parties[0].on_abort = drop_chain;
	eat_as(0, 100, 500);
}

static void panic_not_for_one(void)
{
	set("vm.panic_on_oom", "1");
	create(0, 4 * MIB, 0, 0, true);
	parties[0].on_abort = drop_chain;
	check(eat_as(0, 18, 500) && parties[0].calls == 4);
}

static void panic_always(void)
{
	set("vm.panic_on_oom", "2");
	create(0, 4 * MIB, 0, 0, true);
	eat_as(0, 20, 500);
}

static void kill_allocating(void)
{
	set("vm.oom_kill_allocating_task", "1");
	create(0, 0, 0, 0, true);
	create(1, 0, 0, 0, true);
	parties[1].on_abort = drop_chain;
	check(eat_as(0, 20, 500) && eat_as(1, 14, 500));
	check(!parties[0].calls && parties[1].calls);
}

static void no_table(void)
{
	set("vm.oom_dump_tasks", "0");
	leak_small();
}

static void report_elsewhere(void)
{
	FILE *file = tmpfile();
	char value[16];
	static char text[1 << 16];
	ssize_t n;

	snprintf(value, sizeof(value), "%d", fileno(file));
	set("oom.report_fd", value);
	create(0, 0, 0, 0, true);
	parties[0].on_abort = drop_chain;
	check(eat_as(0, 40, 500) && parties[0].calls == 1);
	n = pread(fileno(file), text, sizeof(text) - 1, 0);
	check(n > 0 && strstr(text, "invoked oom-killer") && strstr(text, "Owners state") &&
	      strstr(text, "Out of memory: aborting owner party-0"));
}

/* To a supervisor that does not read, or is gone: the program goes on. */
static void report_into(bool full, bool gone)
{
	static const char much[1 << 16];
	char value[16];
	int fds[2];

	check(!pipe(fds));
	if (full)
		check(write(fds[1], much, sizeof(much)) == sizeof(much));
	if (gone)
		close(fds[0]);
	snprintf(value, sizeof(value), "%d", fds[1]);
	set("oom.report_fd", value);
	create(0, 0, 0, 0, true);
	parties[0].on_abort = drop_chain;
	check(eat_as(0, 40, 500) && parties[0].calls == 1);
}

static void report_unread(void)
{
	report_into(true, false);
}

static void report_to_nobody(void)
{
	sigset_t pending;

	report_into(false, true);
	check(!sigpending(&pending) && !sigismember(&pending, SIGPIPE));
}

static void counted(void)
{
	check(!report_vmstat("oom_kill"));
	create(0, 0, 0, 0, true);
	parties[0].on_abort = drop_chain;
	check(eat_as(0, 40, 500));
	check(report_vmstat("oom_kill") == (unsigned long)parties[0].calls && parties[0].calls);
}

int main(void)
{
	if (api_sanitized() || api_under_valgrind())
		skip_all("the children's memory is the sanitizer's, or valgrind's, too");
	case_aborts("the thread that has it all is aborted", leak_small, "Out of memory: aborting owner");
	case_aborts("so it is for 32 KiB", leak_order_3, ", order=3, ");
	case_aborts("and for pages", leak_pages, "Out of memory: aborting owner");
	case_exits("but not for more, which can be refused", leak_costly, 0);
	shape_of_report();
	case_exits("oom:enomem: NULL, and nothing is said", enomem, 0);
	case_exits("oom:report: NULL, and the report", report_only, 1);
	case_aborts("a handler that returns puts it off", leak_handler_returns, "handled\n");
	case_aborts("so does SIGABRT blocked", leak_blocked, "SIGABRT has not ended");
	case_exits("a handler has memory from the reserve, and no OOM step", leak_handler_leaks, 1);
	case_exits("one that leaves by longjmp may free, and go on as before", leak_handler_jumps, 3);
	case_exits("a handler that frees is waited for", leak_handler_frees, 3);
	test_forked_single();
	case_aborts("what exited threads left is the process's", exited_thread, "aborting owner process");
	case_exits("and a handler there has memory from the reserve, too", exited_thread_handler, 1);
	case_aborts("vm.panic_on_oom", panic_on_oom, "system-wide panic_on_oom is enabled");
	case_exits("but not for one owner's limit", panic_not_for_one, 4);
	case_aborts("vm.panic_on_oom 2: for that too", panic_always, "compulsory panic_on_oom is enabled");
	case_exits("vm.oom_kill_allocating_task", kill_allocating, 1);
	case_aborts("vm.oom_dump_tasks 0", no_table, "Out of memory: aborting owner");
	ok(!count("Owners state"), "has no table of owners");
	case_exits("oom.report_fd", report_elsewhere, 1);
	case_exits("which nobody reads", report_unread, 1);
	case_exits("or whose reader is gone", report_to_nobody, 1);
	case_exits("vm events: oom_kill", counted, 1);
	return done_testing();
}
