/* SPDX-License-Identifier: MIT */
/*
 * run1 [-p LIBRARY] [-o FILE] PROGRAM [ARGUMENT]...: runs a program and reports what it took.
 *
 * A child's ru_maxrss starts with the memory of the process that forked it, so that programs measured from
 * a large launcher would all look large. This one is small, and linked statically so as to stay small; it
 * preloads LIBRARY into the program alone. The line of figures goes to FILE, or to stderr. Exits as the
 * program did, or with 126 if it could not be run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static void report(int fd, double wall, const struct rusage *usage, int status)
{
	dprintf(fd, "elapsed_s=%.6f cpu_s=%.6f peak_kb=%ld status=%d\n", wall,
		seconds(usage->ru_utime) + seconds(usage->ru_stime), usage->ru_maxrss, status);
}

int main(int argc, char **argv)
{
	const char *library = NULL;
	int fd = STDERR_FILENO, option, status;
	struct rusage usage;
	double start;
	pid_t pid;

	while ((option = getopt(argc, argv, "+p:o:")) != -1) {
		if (option == 'p')
			library = optarg;
		else if (option == 'o')
			fd = open(optarg, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		else
			return CANNOT_RUN;
		if (fd < 0)
			fail(optarg);
	}
	if (optind == argc) {
		dprintf(STDERR_FILENO, "usage: run1 [-p LIBRARY] [-o FILE] PROGRAM [ARGUMENT]...\n");
		return CANNOT_RUN;
	}
	start = now();
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (!pid) {
		if (library && setenv("LD_PRELOAD", library, 1))
			fail("setenv");
		execvp(argv[optind], argv + optind);
		fail(argv[optind]);
	}
	while (wait4(pid, &status, 0, &usage) < 0) {
		if (errno != EINTR)
			fail("wait4");
	}
	status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	report(fd, now() - start, &usage, status);
	return status;
}
