/* SPDX-License-Identifier: MIT */
/*
 * What the tests of hugepages share: what the kernel's page behind an address is, and cases that are processes of their
 * own, with a setting of their own.
 */
#ifndef T_NUMA_HUGEPAGES_H
#define T_NUMA_HUGEPAGES_H

#include "numa.h"

/* A figure that smaps has of the mapping at addr, in KiB; -1: there is none. */
API_UNUSED long smaps_kib(const void *addr, const char *name)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long start, end;
	bool here = false;
	char line[512];
	long kib = -1;

	while (f && kib < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = (uintptr_t)addr >= start && (uintptr_t)addr < end;
		else if (here && !strncmp(line, name, strlen(name)))
			sscanf(line + strlen(name), " %ld", &kib);
	}
	if (f)
		fclose(f);
	return kib;
}

/* A number of the report vmstat; the name ends with a blank. */
API_UNUSED long stat_of(const char *name)
{
	static char text[16384];
	size_t len = 0;
	ssize_t got;
	char *at;
	int fd[2];

	if (pipe(fd))
		return -1;
	bm_stats_print(fd[1], "vmstat");
	close(fd[1]);
	while ((got = read(fd[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)got;
	close(fd[0]);
	text[len] = '\0';
	at = strstr(text, name);
	return at ? atol(at + strlen(name)) : -1;
}

/* A child with key set to value; it passes if it ends well, and says on stderr these words, so often, and nothing if
 * that is never. */
API_UNUSED void run_child(const char *name, const char *key, const char *value, void (*fn)(void), const char *words,
			  int times)
{
	int fd[2], status = -1, seen = 0;
	static char said[4096];
	ssize_t got, len = 0;
	pid_t pid;

	if (pipe(fd))
		bail_out("no pipe");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		dup2(fd[1], 2);
		close(fd[0]);
		alarm(500);
		want(!bm_ctl_set(key, value), "cannot set %s to %s", key, value);
		fn();
		fflush(stdout);
		_exit(api_failures != 0);
	}
	close(fd[1]);
	while ((got = read(fd[0], said + len, sizeof(said) - 1 - (size_t)len)) > 0)
		len += got;
	said[len] = '\0';
	close(fd[0]);
	waitpid(pid, &status, 0);
	for (const char *at = said; times && (at = strstr(at, words)); at++)
		seen++;
	if (!ok(!status && seen == times && (times || !len), "%s", name))
		diag("status %#x, said %d times, in all: %s", (unsigned int)status, seen, said);
}

#endif
