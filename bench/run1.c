/* SPDX-License-Identifier: MIT */
/*
 * run1 [-m] [-p LIBRARY] [-o FILE] PROGRAM [ARGUMENT]...: runs a program and reports what it took.
 *
 * A child's ru_maxrss starts with the memory of the process that forked it, so that programs measured from
 * a large launcher would all look large. This one is small, and linked statically so as to stay small; it
 * preloads LIBRARY into the program alone. The line of figures goes to FILE, or to stderr. Exits as the
 * program did, or with 126 if it could not be run.
 *
 * The kernel's peak is rough for small programs, as each CPU keeps up to 32 pages to itself before it counts them. With
 * -m the program is traced, and resident_kb is what its page tables say when it ends; times mean nothing then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CANNOT_RUN 126

static void fail(const char *what)
{
	dprintf(STDERR_FILENO, "run1: %s: %s\n", what, strerror(errno));
	_exit(CANNOT_RUN);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double seconds(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static void report(int fd, double wall, const struct rusage *usage, long resident, int status)
{
	dprintf(fd, "elapsed_s=%.6f cpu_s=%.6f peak_kb=%ld resident_kb=%ld status=%d\n", wall,
		seconds(usage->ru_utime) + seconds(usage->ru_stime), usage->ru_maxrss, resident, status);
}

static long read_resident(pid_t pid)
{
	char name[64], text[4096], *rss;
	ssize_t len;
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/smaps_rollup", (int)pid);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (len < 0)
		fail(name);
	close(fd);
	text[len] = '\0';
	rss = strstr(text, "\nRss:");
	return rss ? atol(rss + strlen("\nRss:")) : -1;
}

/* A traced program has stopped: at its start, at its end, or for a signal, which it is given. */
static void go_on(pid_t pid, int status, long *resident)
{
	int sig = WSTOPSIG(status);

	if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8))
		*resident = read_resident(pid);
	if (sig == SIGTRAP) {
		ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)PTRACE_O_TRACEEXIT);
		sig = 0;
	}
	ptrace(PTRACE_CONT, pid, NULL, (void *)(long)sig);
}

int main(int argc, char **argv)
{
	const char *library = NULL;
	int fd = STDERR_FILENO, option, status;
	bool traced = false;
	long resident = -1;
	struct rusage usage;
	double start;
	pid_t pid;

	while ((option = getopt(argc, argv, "+mp:o:")) != -1) {
		if (option == 'm')
			traced = true;
		else if (option == 'p')
			library = optarg;
		else if (option == 'o')
			fd = open(optarg, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		else
			return CANNOT_RUN;
		if (fd < 0)
			fail(optarg);
	}
	if (optind == argc) {
		dprintf(STDERR_FILENO, "usage: run1 [-m] [-p LIBRARY] [-o FILE] PROGRAM [ARGUMENT]...\n");
		return CANNOT_RUN;
	}
	start = now();
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (!pid) {
		if (library && setenv("LD_PRELOAD", library, 1))
			fail("setenv");
		if (traced && ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			fail("ptrace");
		execvp(argv[optind], argv + optind);
		fail(argv[optind]);
	}
	for (;;) {
		if (wait4(pid, &status, 0, &usage) < 0) {
			if (errno != EINTR)
				fail("wait4");
		} else if (WIFSTOPPED(status)) {
			go_on(pid, status, &resident);
		} else {
			break;
		}
	}
	status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	report(fd, now() - start, &usage, resident, status);
	return status;
}
