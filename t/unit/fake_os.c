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
#include "base/bits.h"
#include "os/os.h"
#include "fake_os.h"

#ifndef MADV_COLD /* Linux 5.4 */
#define MADV_COLD 20
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

unsigned long fake_os_dontneed_ns;
static uint64_t clock_ns = 1;

static struct rule {
	unsigned long calls;
	unsigned long failed;
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
	long own = rule_hit(&rules[op]), err = own ? own : any;

	if (err)
		atomic_add_return(&rules[op].failed, 1UL);
	return err;
}

/* Pools of pages of two sizes, and where their pages are mapped. For one thread. */
#define POOL_MAX 64
static struct pool {
	size_t size;
	unsigned long pages;
	uintptr_t at[POOL_MAX]; /* 0: in the pool */
} pools[] = { { .size = 2UL << 20 }, { .size = 1UL << 30 } };

static unsigned long pool_free(const struct pool *pool)
{
	unsigned long i, nr = pool->pages;

	for (i = 0; i < pool->pages; i++)
		nr -= pool->at[i] != 0;
	return nr;
}

static struct pool *pool_of(int flags)
{
	return &pools[(flags >> 26 & 63) == 30];
}

/* Is any of it mapped from a pool? */
static bool hugetlb_mapped(const struct pool *pool, uintptr_t start, size_t len)
{
	unsigned long i;

	for (i = 0; i < pool->pages; i++)
		if (pool->at[i] && pool->at[i] < start + len && start < pool->at[i] + pool->size)
			return true;
	return false;
}

/* 0, or -EINVAL where a part of a page would go. */
static long hugetlb_unmap(uintptr_t start, size_t len)
{
	struct pool *pool;
	unsigned long i;

	for (pool = pools; pool < pools + ARRAY_SIZE(pools); pool++)
		if (hugetlb_mapped(pool, start, len) && (start | len) & (pool->size - 1))
			return -EINVAL;
	for (pool = pools; pool < pools + ARRAY_SIZE(pools); pool++)
		for (i = 0; i < pool->pages; i++)
			if (pool->at[i] >= start && pool->at[i] < start + len)
				pool->at[i] = 0;
	return 0;
}

static long hugetlb_map(void *addr, size_t len, int prot, int flags)
{
	struct pool *pool = pool_of(flags);
	unsigned long i;
	size_t done;
	long ret;

	if (pool_free(pool) < len / pool->size)
		return -ENOMEM;
	ret = os_linux.mmap(addr, len, prot, (flags & ~(MAP_HUGETLB | 63 << 26)) | MAP_NORESERVE);
	for (i = 0, done = 0; !os_is_error(ret) && done < len; i++)
		if (!pool->at[i]) {
			pool->at[i] = (uintptr_t)ret + done;
			done += pool->size;
		}
	return ret;
}

unsigned long fake_os_hugetlb_free(void)
{
	return pool_free(&pools[0]);
}

unsigned long fake_os_gigantic_free(void)
{
	return pool_free(&pools[1]);
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
		err = hugetlb_unmap((uintptr_t)addr, len);
	return err ? err : os_linux.munmap(addr, len);
}

static long fake_mremap(void *addr, size_t old_len, size_t new_len, void *dst, int flags)
{
	long err = fail(FAKE_MREMAP);

	if (!err && (hugetlb_mapped(&pools[0], (uintptr_t)addr, old_len) ||
		     hugetlb_mapped(&pools[1], (uintptr_t)addr, old_len)))
		abort(); /* many kernels do not move them */
	if (!err && dst)
		err = hugetlb_unmap((uintptr_t)dst, new_len);
	return err ? err : os_linux.mremap(addr, old_len, new_len, dst, flags);
}

static long fake_mprotect(void *addr, size_t len, int prot)
{
	long err = fail(FAKE_MPROTECT);

	return err ? err : os_linux.mprotect(addr, len, prot);
}

static long fake_madvise(void *addr, size_t len, int advice)
{
	long err = advice == MADV_COLD ? -EINVAL : fail(FAKE_MADVISE); /* how long it takes decides no test */

	if (!err && (advice == MADV_DONTNEED || advice == MADV_FREE) &&
	    (hugetlb_mapped(&pools[0], (uintptr_t)addr, len) || hugetlb_mapped(&pools[1], (uintptr_t)addr, len)))
		abort();
	/* As much as it says is not there in truth. */
	if (!err && advice == MADV_POPULATE_WRITE && hugetlb_mapped(&pools[1], (uintptr_t)addr, len))
		return 0;
	if (advice == MADV_DONTNEED)
		atomic_add_return(&clock_ns, (len >> PAGE_SHIFT) * fake_os_dontneed_ns);
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
	return READ_ONCE(clock_ns);
}

static long fake_page_nodes(unsigned long nr, void **pages, int *nodes)
{
	long err = fail(FAKE_PAGE_NODES);

	return err ? err : os_linux.page_nodes(nr, pages, nodes);
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
	.page_nodes = fake_page_nodes,
};

void fake_os_reset(void)
{
	fake_os_dontneed_ns = 0;
	memset(rules, 0, sizeof(rules));
}

void fake_os_hugetlb(unsigned long pages, unsigned long gigantic)
{
	if (pages > POOL_MAX || gigantic > POOL_MAX)
		abort();
	memset(pools[0].at, 0, sizeof(pools[0].at));
	memset(pools[1].at, 0, sizeof(pools[1].at));
	pools[0].pages = pages;
	pools[1].pages = gigantic;
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

void fake_os_no_memory(void)
{
	fake_os_fail(FAKE_MMAP, 1, true, ENOMEM);
	fake_os_fail(FAKE_MPROTECT, 1, true, ENOMEM);
}

unsigned long fake_os_calls(enum fake_op op)
{
	return READ_ONCE(rules[op].calls);
}

unsigned long fake_os_failed(enum fake_op op)
{
	return READ_ONCE(rules[op].failed);
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
