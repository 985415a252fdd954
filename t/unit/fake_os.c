/* SPDX-License-Identifier: MIT */
/*
 * The failing system: every operation asks for its rule, then goes on to Linux.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "os/os.h"
#include "fake_os.h"

static struct rule {
	unsigned long calls;
	unsigned long fail_at; /* the call that fails; 0 for none */
	bool forever;
	int err;
} rules[NR_FAKE_OPS];

/* Counts a call; 0 or what it must fail with. */
static long rule_hit(struct rule *rule)
{
	unsigned long call = atomic_add_return(&rule->calls, 1UL);
	unsigned long fail_at = READ_ONCE(rule->fail_at);

	if (fail_at && (call == fail_at || (rule->forever && call > fail_at)))
		return -rule->err;
	return 0;
}

static long fail(enum fake_op op)
{
	long any = rule_hit(&rules[FAKE_ANY]);
	long own = rule_hit(&rules[op]);

	return own ? own : any;
}

/* The pool, and where its pages are mapped. For one thread. */
#define HUGETLB_SIZE (2UL << 20)
#define HUGETLB_MAX 64
static struct {
	unsigned long pages;
	uintptr_t at[HUGETLB_MAX]; /* 0: in the pool */
} hugetlb;

unsigned long fake_os_hugetlb_free(void)
{
	unsigned long i, nr = hugetlb.pages;

	for (i = 0; i < hugetlb.pages; i++)
		nr -= hugetlb.at[i] != 0;
	return nr;
}

static bool hugetlb_mapped(uintptr_t start, size_t len)
{
	unsigned long i;

	for (i = 0; i < hugetlb.pages; i++)
		if (hugetlb.at[i] >= start && hugetlb.at[i] < start + len)
			return true;
	return false;
}

static void hugetlb_unmap(uintptr_t start, size_t len)
{
	unsigned long i;

	for (i = 0; i < hugetlb.pages; i++)
		if (hugetlb.at[i] >= start && hugetlb.at[i] < start + len)
			hugetlb.at[i] = 0;
}

static long hugetlb_map(void *addr, size_t len, int prot, int flags)
{
	unsigned long i;
	size_t done;
	long ret;

	if (fake_os_hugetlb_free() < len / HUGETLB_SIZE)
		return -ENOMEM;
	ret = os_linux.mmap(addr, len, prot, flags & ~(MAP_HUGETLB | 63 << 26));
	for (i = 0, done = 0; !os_is_error(ret) && done < len; i++)
		if (!hugetlb.at[i]) {
			hugetlb.at[i] = (uintptr_t)ret + done;
			done += HUGETLB_SIZE;
		}
	return ret;
}

static long fake_mmap(void *addr, size_t len, int prot, int flags)
{
	long err = fail(FAKE_MMAP);

	if (!err && flags & MAP_HUGETLB)
		return hugetlb_map(addr, len, prot, flags);
	return err ? err : os_linux.mmap(addr, len, prot, flags);
}

static long fake_munmap(void *addr, size_t len)
{
	long err = fail(FAKE_MUNMAP);

	if (!err)
		hugetlb_unmap((uintptr_t)addr, len);
	return err ? err : os_linux.munmap(addr, len);
}

static long fake_mremap(void *addr, size_t old_len, size_t new_len, void *dst, int flags)
{
	long err = fail(FAKE_MREMAP);

	if (!err && hugetlb_mapped((uintptr_t)addr, old_len))
		abort(); /* many kernels do not move them */
	if (!err && dst)
		hugetlb_unmap((uintptr_t)dst, new_len);
	return err ? err : os_linux.mremap(addr, old_len, new_len, dst, flags);
}

static long fake_mprotect(void *addr, size_t len, int prot)
{
	long err = fail(FAKE_MPROTECT);

	return err ? err : os_linux.mprotect(addr, len, prot);
}

static long fake_madvise(void *addr, size_t len, int advice)
{
	long err = fail(FAKE_MADVISE);

	if (!err && (advice == MADV_DONTNEED || advice == MADV_FREE) && hugetlb_mapped((uintptr_t)addr, len))
		abort();
	return err ? err : os_linux.madvise(addr, len, advice);
}

static long fake_mbind(void *addr, size_t len, int mode, unsigned long mask)
{
	long err = fail(FAKE_MBIND);

	return err ? err : os_linux.mbind(addr, len, mode, mask);
}

static long fake_get_mempolicy(int *mode, uint64_t *mask)
{
	long err = fail(FAKE_GET_MEMPOLICY);

	return err ? err : os_linux.get_mempolicy(mode, mask);
}

static uint64_t fake_thread_clock_ns(void)
{
	return os_linux.thread_clock_ns();
}

static const struct os_ops fake_ops = {
	.mmap = fake_mmap,
	.munmap = fake_munmap,
	.mremap = fake_mremap,
	.mprotect = fake_mprotect,
	.madvise = fake_madvise,
	.mbind = fake_mbind,
	.get_mempolicy = fake_get_mempolicy,
	.thread_clock_ns = fake_thread_clock_ns,
};

void fake_os_reset(void)
{
	memset(rules, 0, sizeof(rules));
}

void fake_os_hugetlb(unsigned long pages)
{
	if (pages > HUGETLB_MAX)
		abort();
	memset(&hugetlb, 0, sizeof(hugetlb));
	hugetlb.pages = pages;
}

void fake_os_install(void)
{
	fake_os_reset();
	os = &fake_ops;
}

void fake_os_fail(enum fake_op op, long nth, bool forever, int err)
{
	struct rule *rule = &rules[op];

	rule->forever = forever;
	rule->err = err;
	WRITE_ONCE(rule->fail_at, READ_ONCE(rule->calls) + (unsigned long)nth);
}

unsigned long fake_os_calls(enum fake_op op)
{
	return READ_ONCE(rules[op].calls);
}

int fake_os_child(void (*fn)(void), char *said, size_t len)
{
	static const struct rlimit no_core;
	FILE *file = tmpfile();
	int status = -1;
	ssize_t got;
	pid_t child;

	if (!file)
		abort();
	fflush(NULL);
	child = fork();
	if (child == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		dup2(fileno(file), STDERR_FILENO);
		fn();
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		abort();
	got = pread(fileno(file), said, len - 1, 0);
	said[got > 0 ? got : 0] = '\0';
	fclose(file);
	return status;
}
