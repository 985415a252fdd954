/* SPDX-License-Identifier: MIT */
/*
 * The failing system: every operation asks for its rule, then goes on to Linux.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static long fake_mmap(void *addr, size_t len, int prot, int flags)
{
	long err = fail(FAKE_MMAP);

	return err ? err : os_linux.mmap(addr, len, prot, flags);
}

static long fake_munmap(void *addr, size_t len)
{
	long err = fail(FAKE_MUNMAP);

	return err ? err : os_linux.munmap(addr, len);
}

static long fake_mremap(void *addr, size_t old_len, size_t new_len, void *dst, int flags)
{
	long err = fail(FAKE_MREMAP);

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

static const struct os_ops fake_ops = {
	.mmap = fake_mmap,
	.munmap = fake_munmap,
	.mremap = fake_mremap,
	.mprotect = fake_mprotect,
	.madvise = fake_madvise,
	.mbind = fake_mbind,
	.get_mempolicy = fake_get_mempolicy,
};

void fake_os_reset(void)
{
	memset(rules, 0, sizeof(rules));
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
