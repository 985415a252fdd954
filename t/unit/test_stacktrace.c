/* SPDX-License-Identifier: MIT */
/*
 * Stack traces beside those that libgcc makes for backtrace(3): the same addresses, from every kind of frame.
 */
#include <alloca.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef BM_VALGRIND
#include <valgrind/valgrind.h>
#endif

#include "base/host.h"
#include "base/message.h"
#include "base/stacktrace.h"
#include "tap.h"

#define DEPTH 32

static uintptr_t ours[DEPTH];
static unsigned int nr_ours;
static void *theirs[DEPTH + 4];
static int nr_theirs;
static volatile int sink;

/* Both begin with the call of take in its caller. */
static void noinline take(void)
{
	nr_ours = stack_trace_save(ours, DEPTH, 1);
	nr_theirs = backtrace(theirs, DEPTH + 4);
	/* Theirs begins with this call, and a sanitizer's backtrace with its own: leave out what comes before ours. */
	while (nr_theirs && nr_ours && (uintptr_t)theirs[0] != ours[0])
		memmove(theirs, theirs + 1, (size_t)--nr_theirs * sizeof(theirs[0]));
	sink++;
}

/* How many calls both have in common, but for this function's own frame, where they were called from two places. */
static int common(void)
{
	int i;

	for (i = 0; i < (int)nr_ours && i < nr_theirs; i++)
		if (ours[i] != (uintptr_t)theirs[i])
			break;
	return i;
}

static void is_same(const char *what, int least)
{
	int same = common();

	if (ok(same >= least && same == nr_theirs && same == (int)nr_ours, "%s", what))
		return;
	diag("%d common of %d and %u", same, nr_theirs, nr_ours);
	for (int i = 0; i < nr_theirs || i < (int)nr_ours; i++)
		diag("%#lx %p", i < (int)nr_ours ? (long)ours[i] : 0L, i < nr_theirs ? theirs[i] : NULL);
}

static void noinline plain(int depth)
{
	if (depth)
		plain(depth - 1);
	else
		take();
	sink++;
}

/* The length is known at run time alone: the frame is found by a register. */
static void noinline with_alloca(size_t len)
{
	char *p = alloca(len);

	p[0] = (char)len;
	plain(2);
	sink += p[0];
}

static int compare(const void *a, const void *b)
{
	plain(1);
	return *(const int *)a - *(const int *)b;
}

static void *thread(void *arg)
{
	with_alloca((size_t)sink % 100 + 100);
	return arg;
}

static void handler(int sig)
{
	(void)sig;
	take();
}

static void test_frames(void)
{
	int numbers[2] = { 2, 1 };
	pthread_t id;

	plain(5);
	is_same("plain functions", 7);
	with_alloca((size_t)sink % 100 + 5000);
	is_same("frames of variable length", 5);
	qsort(numbers, 2, sizeof(numbers[0]), compare);
	is_same("through a function of libc", 5);
	if (pthread_create(&id, NULL, thread, NULL) || pthread_join(id, NULL))
		bail_out("no threads");
	is_same("a thread's, to its first function", 4);
	plain(100);
	ok(nr_ours == DEPTH && common() == DEPTH, "more calls than there is room for");
	ok(stack_trace_save(ours, 0, 0) == 0, "no room at all");
	/* On its way out a signal's frame is not followed. */
	signal(SIGUSR1, handler);
	raise(SIGUSR1);
	ok(nr_ours >= 1 && common() == (int)nr_ours, "a signal handler: as far as it goes it is right");
}

/* push rbp; mov rbp, rsp; call rdi; pop rbp; ret: code made at run time has no table. */
static const uint8_t code[] = { 0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3 };

static void test_no_table(void)
{
#if defined(__x86_64__)
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int before;

	if (page == MAP_FAILED) {
		skip(2, "no memory that is writable and executable");
		return;
	}
	memcpy(page, code, sizeof(code));
	take();
	before = nr_ours;
	((void (*)(void (*)(void)))(uintptr_t)page)(take);
	ok(ours[0] == (uintptr_t)page + 6, "a function without a table is seen");
	ok(nr_ours == before + 1, "and the way goes on by its frame pointer");
	munmap(page, 4096);
#else
	skip(2, "the code is for another machine");
#endif
}

static void test_skip(void)
{
	uintptr_t two[2];

	plain(5);
	memcpy(two, ours + 1, sizeof(two));
	ok(two[0] == two[1] && stack_trace_save(two, 2, 0) == 2 && two[0] != two[1], "one's own caller comes first");
	ok(stack_trace_save(ours, DEPTH, 0) == stack_trace_save(ours, DEPTH, 1) + 1, "skip leaves calls out");
	ok(stack_trace_save(ours, DEPTH, 1000) == 0, "all of them, if told so");
}

static void test_print(void)
{
	uintptr_t entries[2] = { (uintptr_t)test_print, 16 };
	static struct out o;

	out_init(&o, -1);
	stack_trace_print(&o, entries, 2);
	ok(strstr(o.buf, "test_stacktrace+0x"), "an address in the program is printed by its file");
	ok(strstr(o.buf, "\n 0x10\n"), "one in no file as it is");
	if (!strstr(o.buf, "\n 0x10\n"))
		diag("%s", o.buf);
}

static bool on_valgrind(void)
{
#ifdef BM_VALGRIND
	return RUNNING_ON_VALGRIND;
#else
	return false;
#endif
}

static void test_readable(void)
{
	char *page = mmap(NULL, 3 * 4096UL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (on_valgrind()) { /* it reports what is asked here */
		skip(4, "under valgrind");
		return;
	}
	mprotect(page + 4096, 4096, PROT_NONE);
	munmap(page + 2 * 4096, 4096);
	ok(host_readable(page) && host_readable(page + 4095) && host_readable(&page), "what is mapped can be read");
	page[0] = 1;
	ok(host_readable(page) && page[0] == 1, "whatever is there");
	ok(!host_readable(page + 4096), "what is protected cannot");
	ok(!host_readable(page + 2 * 4096) && !host_readable(NULL), "nor what is not there");
	munmap(page, 2 * 4096UL);
}

int main(void)
{
	test_frames();
	test_no_table();
	test_skip();
	test_print();
	test_readable();
	return done_testing();
}
