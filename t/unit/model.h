/* SPDX-License-Identifier: MIT */
/*
 * What random-operation tests share: numbers from a seed that is printed and can be given again (SEED), the number of
 * steps (divided by T_SCALE, by 20 under valgrind and by 5 under sanitizers), and cases, each a child that starts the
 * allocator afresh.
 */
#ifndef T_UNIT_MODEL_H
#define T_UNIT_MODEL_H

#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef BM_VALGRIND
#include <valgrind/valgrind.h>
#endif

#include "base/annotate.h"
#include "mm/arena.h"
#include "mm/buddy.h"
#include "mm/page_alloc.h"
#include "mm/sparse.h"
#include "os/os.h"
#include "slab/tcache.h"
#include "fake_os.h"
#include "tap.h"

/* Sanitizer builds always reserve the window. */
#ifdef BM_PREFIX
#define CAN_PLAN false
#else
#define CAN_PLAN true
#endif

static uint64_t model_seed;
static uint64_t model_state;

/* Prints the seed; before the first case. */
TAP_UNUSED void model_init(void)
{
	const char *given = getenv("SEED");
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	model_seed = given ? strtoull(given, NULL, 0) : (uint64_t)now.tv_nsec ^ ((uint64_t)now.tv_sec << 30);
	model_state = model_seed;
	diag("SEED=%llu", (unsigned long long)model_seed);
}

/* splitmix64 */
TAP_UNUSED uint64_t rnd64(void)
{
	uint64_t z = model_state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* 0 to n - 1 */
TAP_UNUSED unsigned int rnd(unsigned long n)
{
	return (unsigned int)(rnd64() % n);
}

TAP_UNUSED bool on_valgrind(void)
{
#ifdef BM_VALGRIND
	return RUNNING_ON_VALGRIND;
#else
	return false;
#endif
}

TAP_UNUSED unsigned long steps(unsigned long n)
{
	const char *scale = getenv("T_SCALE");
	unsigned long by = scale && atol(scale) > 0 ? (unsigned long)atol(scale) : 1;

	by *= on_valgrind() ? 20 : CAN_PLAN ? 1 : 5;
	return max_ul(n / by, 1);
}

TAP_FUNCTION(4, 5)
__attribute__((noreturn)) void must_fail(const char *file, int line, const char *cond, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%d: not so: %s ", file, line, cond);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (SEED=%llu)\n", (unsigned long long)model_seed);
	abort();
}

/* What holds in every step of a case; a printf format and its values may follow, to say where it did not. */
#define must(cond, ...)                                                        \
	do {                                                                   \
		if (!(cond))                                                   \
			must_fail(__FILE__, __LINE__, #cond, " " __VA_ARGS__); \
	} while (0)

/* A case passes if its function returns, and does so without a word, or with these. */
TAP_UNUSED void run_case_may_say(const char *name, void (*fn)(void), const char *words)
{
	char said[8192];
	int status = fake_os_child(fn, said, sizeof(said));

	if (ok(status == 0 && (!*said || !strcmp(said, words)), "%s", name))
		return;
	if (WIFSIGNALED(status))
		diag("signal %d", WTERMSIG(status));
	else
		diag("status %d", WEXITSTATUS(status));
	for (char *line = strtok(said, "\n"); line; line = strtok(NULL, "\n"))
		diag("%s", line);
}

/* A case passes if its function returns, and does so without a word. */
TAP_UNUSED void run_case(const char *name, void (*fn)(void))
{
	run_case_may_say(name, fn, "");
}

/* A case that passes if its function returns, and says these words. */
TAP_UNUSED void run_case_says(const char *name, void (*fn)(void), const char *words)
{
	char said[8192];
	int status = fake_os_child(fn, said, sizeof(said));

	if (!ok(status == 0 && strstr(said, words), "%s", name))
		diag("status %#x, said: %s", (unsigned int)status, said);
}

/* A case that is to end in SIGABRT, with these words. */
TAP_UNUSED void run_case_aborts(const char *name, void (*fn)(void), const char *words)
{
	char said[8192];
	int status = fake_os_child(fn, said, sizeof(said));

	if (!ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(said, words), "%s", name))
		diag("status %#x, said: %s", (unsigned int)status, said);
}

/* memcheck would be told of every block, and the lists would stay empty: these tests look at the lists, so it is not.
 * And the fake system is put below, failing nothing. */
TAP_UNUSED void model_native(void)
{
#ifdef BM_VALGRIND
	annotate_init(); /* before the heap asks */
	annotate_listening = false;
	if (tcache.state == TCACHE_OFF) { /* memcheck was seen when this thread came */
		tcache.state = TCACHE_NEW;
		tcache_enter();
	}
#endif
	fake_os_install();
}

/* The page allocator from its start. */
TAP_UNUSED struct zone *model_start(void)
{
	model_native();
	mm_init_early();
	must(!mm_init());
	mm_init_late();
	threads_follow = true; /* all of dirty_max counts, whatever is in use */
	return &NODE_DATA(numa_node_id())->node_zones[ZONE_NORMAL];
}

/* From now on there is what the zones have: no more memory, and nothing left in the arenas. */
TAP_UNUSED void no_more_growth(void)
{
	bool clean;
	int nid;

	fake_os_no_memory();
	for_each_online_node (nid)
		while (arena_alloc(1, 1, PB_HUGE, nid, &clean))
			;
}

/* Is the window a reservation (else a plan of addresses)? Commits go by mprotect then. */
TAP_UNUSED bool window_reserved(void)
{
	return sparse_end_block() < 1UL << (43 - PAGEBLOCK_SHIFT);
}

TAP_UNUSED uint64_t *word_at(unsigned long pb, unsigned long at)
{
	return (uint64_t *)((char *)block_to_addr(pb) + at);
}

TAP_UNUSED bool all_zero(const void *p, size_t len)
{
	const uint64_t *word = p;

	for (size_t i = 0; i < len / sizeof(*word); i++)
		if (word[i])
			return false;
	return true;
}

#endif
