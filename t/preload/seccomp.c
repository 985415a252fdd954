/* SPDX-License-Identifier: MIT */
/*
 * After its start this program may make no system call but those that the library says it needs: others kill it, or
 * fail with EPERM if the first argument is "eperm". Then it allocates in all sizes. Does its own output by write.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __aarch64__
#define ARCH AUDIT_ARCH_AARCH64
#else
#define ARCH AUDIT_ARCH_X86_64
#endif
#define ALLOW(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void say(const char *text)
{
	if (write(1, text, strlen(text)) < 0)
		_exit(5);
}

static int forbid(unsigned int otherwise)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_mmap),
		ALLOW(SYS_munmap),
		ALLOW(SYS_mremap),
		ALLOW(SYS_mprotect),
		ALLOW(SYS_madvise),
		ALLOW(SYS_futex),
		ALLOW(SYS_clock_gettime),
		ALLOW(SYS_write),
		ALLOW(SYS_exit_group),
		ALLOW(SYS_exit),
		ALLOW(SYS_rt_sigaction),
		ALLOW(SYS_rt_sigprocmask),
		ALLOW(SYS_rt_sigreturn),
		BPF_STMT(BPF_RET | BPF_K, otherwise),
	};
	struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void all_sizes(void)
{
	static char *block[64];
	size_t size, i, n = 0;

	for (size = 0; size < 64UL << 20; size = size * 5 / 4 + 1) {
		char **p = &block[n++ % 64];

		free(*p);
		*p = n % 3 ? malloc(size) : n % 2 ? calloc(1, size) : memalign(64UL << n % 12, size);
		if (!*p)
			_exit(2);
		if (size)
			(*p)[0] = (*p)[size - 1] = 1;
		if (n % 5 == 0 && !(*p = realloc(*p, size * 2 + 1)))
			_exit(3);
	}
	for (i = 0; i < 64; i++) {
		free(block[i]);
		block[i] = NULL;
	}
	malloc_trim(0);
}

int main(int argc, char **argv)
{
	int round, served = dlsym(RTLD_DEFAULT, "bm_version") != NULL;
	int eperm = argc > 1 && !strcmp(argv[1], "eperm");

	if (forbid(eperm ? SECCOMP_RET_ERRNO | EPERM : SECCOMP_RET_KILL_PROCESS)) {
		say("no seccomp\n");
		_exit(77);
	}
	for (round = 0; round < 10; round++)
		all_sizes();
	say(served ? "served\n" : "not served\n");
	return 0;
}
