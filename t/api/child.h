/* SPDX-License-Identifier: MIT */
/*
 * A child, since it may die, and what it said.
 */
#ifndef T_API_CHILD_H
#define T_API_CHILD_H

#include <signal.h>
#include <sys/wait.h>

#include "api.h"

static char said[1 << 18];

/* The status of a child that calls start, and what it said on stderr. */
TAP_UNUSED int run_child(void (*start)(const void *arg), const void *arg)
{
	FILE *file = tmpfile();
	int status = -1;
	pid_t child;
	ssize_t n;

	fflush(NULL);
	child = fork();
	if (child == 0) {
		const struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		dup2(fileno(file), 2);
		start(arg);
		_exit(0);
	}
	waitpid(child, &status, 0);
	n = pread(fileno(file), said, sizeof(said) - 1, 0);
	said[n > 0 ? n : 0] = 0;
	fclose(file);
	return status;
}

TAP_UNUSED void call_plainly(const void *arg)
{
	void (*const *fn)(void) = arg;

	(*fn)();
}

/* Has it ended by SIGABRT, and said these words? */
TAP_UNUSED bool aborted(int status, const char *words)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(said, words);
}

/* Does the function end its process so? */
TAP_UNUSED bool aborts(void (*fn)(void), const char *words)
{
	return aborted(run_child(call_plainly, &fn), words);
}

TAP_UNUSED int count(const char *words)
{
	const char *p;
	int nr = 0;

	for (p = said; (p = strstr(p, words)); p++)
		nr++;
	return nr;
}

TAP_UNUSED void tell(int status)
{
	char *line;

	diag("status %#x", (unsigned int)status);
	for (line = strtok(said, "\n"); line; line = strtok(NULL, "\n"))
		diag("%s", line);
}

#endif
