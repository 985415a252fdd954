/* SPDX-License-Identifier: MIT */
/*
 * kswapd WHAT: a program that knows nothing of kswapd, with a thread that uses up all memory that malloc gives, frees
 * it, and begins again. An alarm ends it if it hangs.
 *
 * none: it has done so a hundred times; then the threads that are not the program's are counted.
 * seen: until there is a thread named kswapd0.
 * spawn: then, while it is at work, children are made in every way that libc has; the threads of each are printed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/threads.h"

#define BLOCK 4096
#define ROUNDS 10

#define TELL "cat /proc/$$/task/*/comm >&3; exit 3"

extern char **environ;
static atomic_ulong emptied;
static atomic_int stop;

static void *eat(void *arg)
{
	void **first, **block;

	while (!atomic_load(&stop)) {
		for (first = NULL; (block = malloc(BLOCK)); first = block)
			*block = first;
		while ((block = first)) {
			first = *block;
			free(block);
		}
		atomic_fetch_add(&emptied, 1);
	}
	return arg;
}

static int ended(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int by_vfork(void)
{
	pid_t pid = vfork();

	if (!pid) {
		execl("/bin/sh", "sh", "-c", TELL, (char *)NULL);
		_exit(127);
	}
	return ended(pid);
}

static int by_spawn(void)
{
	char *const argv[] = { "sh", "-c", TELL, NULL };
	pid_t pid;

	while ((errno = posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ)))
		if (errno != ENOMEM)
			return -1;
	return ended(pid);
}

static int by_system(void)
{
	int status = system(TELL);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The stream is of malloc, which may have nothing just now. */
static int by_popen(void)
{
	FILE *pipe;
	int status;

	while (!(pipe = popen(TELL, "r")))
		if (errno != ENOMEM)
			return -1;
	status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int spawn(void)
{
	int i;

	if (dup2(1, 3) != 3)
		return 1;
	for (i = 0; i < ROUNDS; i++)
		if (by_vfork() != 3 || by_spawn() != 3 || by_system() != 3 || by_popen() != 3)
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	pthread_t thread;
	int status = 0;

	alarm(900);
	if (pthread_create(&thread, NULL, eat, NULL))
		return 1;
	if (!strcmp(what, "none"))
		while (atomic_load(&emptied) < 100)
			usleep(1000);
	else
		while (threads_named("kswapd0", NULL) < 1)
			usleep(1000);
	if (!strcmp(what, "spawn"))
		status = spawn();
	atomic_store(&stop, 1);
	pthread_join(thread, NULL);
	if (!strcmp(what, "none"))
		printf("%d others\n", threads_named("", NULL) - threads_named(argv[0] + 2, NULL));
	return status;
}
