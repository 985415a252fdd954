/* SPDX-License-Identifier: MIT */
/*
 * The OOM step as a program sees it, under `limit:`: who is ended, how, what is said, and what may happen meanwhile.
 * Each case is a child, so that it may die.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

#include "api.h"

#define LIMIT_MIB 32

/* A chain of blocks; what it costs, its owner pays. */
struct chain {
	void **head;
	size_t nr;
};

static bool add(struct chain *c, size_t size)
{
	void **block = malloc(size);

	if (!block)
		return false;
	memset(block, 1, size);
	*block = c->head;
	c->head = block;
	c->nr++;
	return true;
}

static void drop(struct chain *c)
{
	void **block;

	for (; (block = c->head); free(block))
		c->head = *block;
	c->nr = 0;
}

/* At most so many MiB; true if all could be had. */
static bool eat(struct chain *c, size_t mib, size_t size)
{
	size_t had;

	for (had = 0; had < mib * MIB; had += size)
		if (!add(c, size))
			return false;
	return true;
}

/* Leave the case, which failed, with the number of the line. */
#define check(cond)                                                   \
	do {                                                          \
		if (!(cond)) {                                        \
			dprintf(2, "line %d: %s\n", __LINE__, #cond); \
			_exit(100);                                   \
		}                                                     \
	} while (0)

static void set(const char *name, const char *value)
{
	if (bm_ctl_set(name, value)) {
		dprintf(2, "bm_ctl_set(%s, %s): %d\n", name, value, bm_ctl_set(name, value));
		_exit(99);
	}
}

static char said[1 << 17];

/* The status of a child that runs fn under the limit, and what it said on stderr. */
static int run(void (*fn)(void))
{
	FILE *file = tmpfile();
	int status = -1;
	pid_t child;
	ssize_t n;

	fflush(NULL);
	child = fork();
	if (child == 0) {
		const struct rlimit no_core = { 0, 0 };
		char limit[32];

		setrlimit(RLIMIT_CORE, &no_core);
		dup2(fileno(file), 2);
		alarm(60);
		snprintf(limit, sizeof(limit), "%dm", LIMIT_MIB);
		set("limit", limit);
		fn();
		_exit(0);
	}
	waitpid(child, &status, 0);
	n = pread(fileno(file), said, sizeof(said) - 1, 0);
	said[n > 0 ? n : 0] = 0;
	fclose(file);
	return status;
}

static int count(const char *words)
{
	const char *p;
	int nr = 0;

	for (p = said; (p = strstr(p, words)); p++)
		nr++;
	return nr;
}

static void tell(int status)
{
	char *line;

	diag("status %#x", (unsigned int)status);
	for (line = strtok(said, "\n"); line; line = strtok(NULL, "\n"))
		diag("%s", line);
}

static void case_exits(const char *name, void (*fn)(void), int reports)
{
	int status = run(fn);

	if (!ok(status == 0 && count("invoked oom-killer") == reports, "%s", name))
		tell(status);
}

static void case_aborts(const char *name, void (*fn)(void), const char *words)
{
	int status = run(fn);

	if (!ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(said, words), "%s", name))
		tell(status);
}

/*
 * Plain threads.
 */
static struct chain all;

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

/*
 * Named owners.
 */
static struct party {
	bm_owner_t *owner;
	struct chain chain;
	atomic_int calls;
	int answer;
	void (*on_abort)(struct party *p);
} parties[3];

static int told(bm_owner_t *owner, void *arg)
{
	struct party *p = arg;

	check(owner == p->owner);
	atomic_fetch_add(&p->calls, 1);
	if (p->on_abort)
		p->on_abort(p);
	return p->answer;
}

static void create(int i, size_t limit, size_t min, int score_adj, bool with_abort)
{
	struct bm_owner_attr attr = { .limit = limit, .min = min, .score_adj = score_adj, .arg = &parties[i] };
	char name[16];

	snprintf(name, sizeof(name), "party-%d", i);
	attr.name = name;
	attr.abort = with_abort ? told : NULL;
	parties[i].owner = bm_owner_create(&attr);
	check(parties[i].owner);
}

static bool eat_as(int i, size_t mib, size_t size)
{
	bm_owner_t *before = bm_owner_enter(parties[i].owner);
	bool all_had = eat(&parties[i].chain, mib, size);

	bm_owner_enter(before);
	return all_had;
}

static void drop_chain(struct party *p)
{
	drop(&p->chain);
}

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

/*
 * What may happen meanwhile.
 */
static void allocate_in_callback(struct party *p)
{
	struct chain c = { 0 };

	check(add(&c, 100));
	eat(&c, 100, 500); /* all of the reserve, and then NULL */
	drop(&c);
	drop_chain(p);
}

static void callback_allocates(void)
{
	create(0, 0, 0, 0, true);
	parties[0].on_abort = allocate_in_callback;
	check(eat_as(0, 40, 500) && parties[0].calls);
}

static void fork_in_callback(struct party *p)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		check(malloc(100));
		_exit(7);
	}
	check(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
	drop_chain(p);
}

static void callback_forks(void)
{
	create(0, 0, 0, 0, true);
	parties[0].on_abort = fork_in_callback;
	check(eat_as(0, 40, 500) && parties[0].calls);
}

static void destroy_in_callback(struct party *p)
{
	check(!bm_owner_destroy(p->owner));
	p->chain = (struct chain){ 0 };
}

static void callback_destroys(void)
{
	create(0, 0, 0, 0, true);
	parties[0].on_abort = destroy_in_callback;
	check(eat_as(0, 18, 500));
	check(eat(&all, 18, 500));
	check(parties[0].calls == 1);
	create(0, 0, 0, 0, true);
	check(eat_as(0, 5, 500) && parties[0].calls == 1);
	check(!bm_owner_destroy(parties[0].owner));
}

/* The child of a victim is none, and its own leak is its own. */
static void forked_child(void)
{
	int status = -1;
	pid_t child;

	create(0, 0, 0, 0, true);
	check(!eat_as(0, 100, 500) && parties[0].calls == 1);
	child = fork();
	if (child == 0) {
		drop(&parties[0].chain);
		parties[0].on_abort = drop_chain;
		check(eat_as(0, 40, 500) && parties[0].calls > 1);
		_exit(7);
	}
	check(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
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

/* Failures on purpose are no end of memory. */
static void injected(void)
{
	int i, failed = 0;

	set("fail_page_alloc.probability", "100");
	set("fail_page_alloc.times", "-1");
	for (i = 0; i < 100; i++)
		failed += !add(&all, 5000);
	set("fail_page_alloc.probability", "0");
	check(failed && eat(&all, 10, 500));
}

/* A handler of whatever signal, on a stack of its own. */
static void on_signal(int sig)
{
	(void)sig;
	check(eat_as(0, 40, 500));
}

static void in_handler(void)
{
	static char stack[64 * 1024];
	stack_t altstack = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };

	create(0, 0, 0, 0, true);
	parties[0].on_abort = drop_chain;
	check(!sigaltstack(&altstack, NULL) && !sigaction(SIGUSR1, &action, NULL));
	raise(SIGUSR1);
	check(parties[0].calls == 1);
}

static int shrinks;

static unsigned long count_cache(void *arg, struct bm_shrink_control *sc)
{
	(void)arg, (void)sc;
	return shrinks < 3 ? 10 : 0;
}

static unsigned long leak_in_scan(void *arg, struct bm_shrink_control *sc)
{
	struct chain c = { 0 };

	(void)arg, (void)sc;
	shrinks++;
	eat(&c, 100, 500);
	drop(&c);
	return 0;
}

static void in_shrinker(void)
{
	static const struct bm_shrinker_ops ops = { .count = count_cache, .scan = leak_in_scan };

	check(bm_shrinker_register("leaker", &ops, NULL, 2));
	create(0, 0, 0, 0, true);
	parties[0].on_abort = drop_chain;
	check(eat_as(0, 40, 500) && parties[0].calls && shrinks);
}

/* Memory that nobody may be refused: it comes when the victim has ended. */
static void *unwind(void *arg)
{
	while (!parties[0].calls)
		usleep(1000);
	usleep(20000);
	drop(&parties[0].chain);
	return arg;
}

static void nofail(void)
{
	pthread_t thread;
	int i;

	create(0, 0, 0, 0, true);
	check(!pthread_create(&thread, NULL, unwind, NULL));
	check(eat_as(0, 18, 500));
	for (i = 0; i < 4096; i++)
		check(bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_NOFAIL, 0));
	check(parties[0].calls == 1);
	pthread_join(thread, NULL);
}

/* Many at once: one report, one victim. */
static void *ask(void *arg)
{
	check(eat(arg, 2, 500));
	return NULL;
}

static void many_ask(void)
{
	static struct chain chains[8];
	pthread_t threads[8], unwinder;
	int i;

	create(0, 0, 0, 0, true);
	check(eat_as(0, 20, 500));
	check(!pthread_create(&unwinder, NULL, unwind, NULL));
	for (i = 0; i < 8; i++)
		check(!pthread_create(&threads[i], NULL, ask, &chains[i]));
	for (i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	pthread_join(unwinder, NULL);
	check(parties[0].calls == 1);
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
	char value[16], path[] = "/tmp/oom-report.XXXXXX";
	static char text[1 << 16];
	ssize_t n;

	(void)path;
	snprintf(value, sizeof(value), "%d", fileno(file));
	set("oom.report_fd", value);
	create(0, 0, 0, 0, true);
	parties[0].on_abort = drop_chain;
	check(eat_as(0, 40, 500) && parties[0].calls == 1);
	n = pread(fileno(file), text, sizeof(text) - 1, 0);
	check(n > 0 && strstr(text, "invoked oom-killer") && strstr(text, "Owners state") &&
	      strstr(text, "Out of memory: aborting owner party-0"));
}

static unsigned long oom_kills(void)
{
	static char text[1 << 16];
	FILE *file = tmpfile();
	unsigned long nr = 0;
	const char *p;

	bm_stats_print(fileno(file), "vmstat");
	check(pread(fileno(file), text, sizeof(text) - 1, 0) > 0);
	fclose(file);
	p = strstr(text, "\noom_kill ");
	check(p && sscanf(p, "\noom_kill %lu", &nr) == 1);
	return nr;
}

static void counted(void)
{
	check(!oom_kills());
	create(0, 0, 0, 0, true);
	parties[0].on_abort = drop_chain;
	check(eat_as(0, 40, 500));
	check(oom_kills() == (unsigned long)parties[0].calls && parties[0].calls);
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
	case_exits("a handler that frees is waited for", leak_handler_frees, 3);
	case_exits("a callback is called once", callback_once, 1);
	case_exits("and again when it has freed", callback_frees, 3);
	case_exits("who refuses is passed over", refuses, 1);
	case_aborts("if all refuse, the thread that asks is left", all_refuse, "cannot end now");
	case_exits("score_adj", score_adj, 1);
	case_exits("who is below min is spared", below_min, 1);
	case_exits("who does not end is waited for, but not for ever", waits, 2);
	case_aborts("no callback: SIGABRT", no_callback, "aborting owner party-0");
	case_aborts("no callback: SIGABRT to the thread inside", no_callback_inside, "the one inside");
	case_exits("a callback that allocates", callback_allocates, 1);
	case_exits("a callback that forks", callback_forks, 1);
	case_exits("a callback that destroys its owner", callback_destroys, 1);
	case_exits("the child of a victim starts afresh", forked_child, 2);
	test_forked_single();
	case_aborts("what exited threads left is the process's", exited_thread, "aborting owner process");
	case_exits("and a handler there has memory from the reserve, too", exited_thread_handler, 1);
	case_exits("failures on purpose end nobody", injected, 0);
	case_exits("in a signal handler", in_handler, 1);
	case_exits("a shrinker that leaks", in_shrinker, 1);
	case_exits("NOFAIL has its memory when the victim has ended", nofail, 1);
	case_exits("many threads at once: one report, one victim", many_ask, 1);
	case_aborts("vm.panic_on_oom", panic_on_oom, "system-wide panic_on_oom is enabled");
	case_exits("but not for one owner's limit", panic_not_for_one, 4);
	case_aborts("vm.panic_on_oom 2: for that too", panic_always, "compulsory panic_on_oom is enabled");
	case_exits("vm.oom_kill_allocating_task", kill_allocating, 1);
	case_aborts("vm.oom_dump_tasks 0", no_table, "Out of memory: aborting owner");
	ok(!count("Owners state"), "has no table of owners");
	case_exits("oom.report_fd", report_elsewhere, 1);
	case_exits("vm events: oom_kill", counted, 1);
	case_exits("an owner over its own limit is its own OOM", own_limit, 1);
	case_aborts("without a callback: SIGABRT", own_limit_no_callback, "CONSTRAINT_MEMCG");
	case_exits("with oom:enomem: NULL", own_limit_enomem, 0);
	case_exits("if it refuses: NULL", own_limit_refuses, 1);
	test_often();
	case_exits("a large request is refused", own_limit_costly, 0);
	return done_testing();
}
