/* SPDX-License-Identifier: MIT */
/*
 * vfork and posix_spawn, system and popen, from threads while others allocate. An alarm ends it if it hangs.
 * Exit status 0 if every child did what it should.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 25

extern char **environ;
static atomic_int stop, failures;

static void *busy(void *arg)
{
	size_t i = 0;

	while (!atomic_load(&stop)) {
		char *p = malloc(1 + i++ * 97 % 200000);

		p[0] = 1;
		free(p);
	}
	return arg;
}

static int ended(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The child borrows our memory until it is another program. */
static int by_vfork(void)
{
	pid_t pid = vfork();

	if (!pid) {
		execl("/bin/sh", "sh", "-c", "exit 5", (char *)NULL);
		_exit(127);
	}
	return ended(pid);
}

static int vfork_exit(void)
{
	pid_t pid = vfork();

	if (!pid)
		_exit(6);
	return ended(pid);
}

static int by_spawn(void)
{
	char *const argv[] = { "sh", "-c", "cat >/dev/null; exit 7", NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", 0, 0);
	if (posix_spawnp(&pid, "sh", &actions, NULL, argv, environ))
		return -1;
	posix_spawn_file_actions_destroy(&actions);
	return ended(pid);
}

static int by_popen(void)
{
	char line[64] = "";
	FILE *pipe = popen("echo eight", "r");

	if (!pipe || !fgets(line, sizeof(line), pipe) || pclose(pipe))
		return -1;
	return strcmp(line, "eight\n") ? -1 : 8;
}

static void *spawner(void *arg)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		if (by_vfork() != 5 || vfork_exit() != 6 || by_spawn() != 7 || by_popen() != 8 ||
		    system("exit 9") >> 8 != 9)
			atomic_fetch_add(&failures, 1);
	}
	return arg;
}

int main(void)
{
	pthread_t thread[6];
	int i;

	alarm(900);
	for (i = 0; i < 6; i++)
		if (pthread_create(&thread[i], NULL, i < 3 ? busy : spawner, NULL))
			return 1;
	for (i = 3; i < 6; i++)
		pthread_join(thread[i], NULL);
	atomic_store(&stop, 1);
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	printf("%d rounds failed\n", failures);
	return failures != 0;
}
