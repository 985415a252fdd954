/* SPDX-License-Identifier: MIT */
/*
 * Systems that are strict: that commit no more than they have, and that let a process have few mappings. Each case is
 * this program anew, so that the library starts there, too.
 */
#include "numa.h"

#define SLOTS 65536
#define FEW_MAPPINGS "70"
#define LIVE 32
#define TURNS 2000

static char *block[SLOTS];

static size_t fill(size_t size)
{
	size_t nr = 0;

	while (nr < SLOTS && (block[nr] = malloc(size))) {
		memset(block[nr], (int)nr, size < 100 ? size : 100);
		nr++;
	}
	want(nr == SLOTS || errno == ENOMEM, "%zu bytes: errno %d", size, errno);
	return nr;
}

static size_t fill_and_empty(size_t size)
{
	size_t nr = fill(size), i;

	for (i = 0; i < nr; i++) {
		want(block[i][size < 100 ? size - 1 : 99] == (char)i, "%zu bytes: block %zu has changed", size, i);
		free(block[i]);
	}
	return nr * size;
}

/* All that the system commits can be had, in blocks of any size, one size after the other. */
static int commit_limit(void)
{
	static const size_t sizes[] = { 4096, 100000, 6 * MIB, 600 };
	long committed = api_figure("/proc/meminfo", "Committed_AS:"),
	     limit = api_figure("/proc/meminfo", "CommitLimit:");
	size_t free = (size_t)(limit - committed) * KIB, had;

	want(free > 64 * MIB, "only %zu MiB are there to begin with", free / MIB);
	for (size_t i = 0; i < API_ARRAY_SIZE(sizes); i++) {
		had = fill_and_empty(sizes[i]);
		want(had >= free / 4 * 3 || had / sizes[i] == SLOTS, "%zu MiB of %zu in blocks of %zu bytes", had / MIB,
		     free / MIB, sizes[i]);
	}
	return api_failures;
}

/* Large blocks come, go, move and keep what is in them. */
static int few_mappings(void)
{
	static struct {
		char *p;
		size_t size;
	} live[LIVE];
	unsigned int x = 1, refused = 0;

	for (unsigned int turn = 0; turn < TURNS; turn++) {
		unsigned int i = (unsigned int)rand_r(&x) % LIVE;
		size_t size = (size_t)rand_r(&x) % (6 * MIB) + 1;
		char *p;

		if (live[i].p)
			want(live[i].p[0] == (char)i && live[i].p[live[i].size - 1] == (char)i, "block %u has changed",
			     i);
		if (rand_r(&x) % 3 == 0) {
			free(live[i].p);
			live[i].p = NULL;
			continue;
		}
		p = realloc(live[i].p, size);
		refused += !p;
		if (!p)
			continue;
		want(!live[i].p || p[0] == (char)i, "block %u has changed as it moved", i);
		memset(p, (int)i, size);
		live[i].p = p;
		live[i].size = size;
	}
	want(!refused, "%u requests were refused", refused);
	for (unsigned int i = 0; i < LIVE; i++)
		free(live[i].p);
	malloc_trim(0);
	want(api_resident_kib() < 16 * 1024, "%ld KiB stay", api_resident_kib());
	return api_failures;
}

static int as_child(char *self, const char *what)
{
	char arg[16], *argv[] = { self, arg, NULL };
	int status = -1;
	pid_t child;

	snprintf(arg, sizeof(arg), "%s", what);
	child = fork();
	if (child == 0) {
		execv(self, argv);
		_exit(99);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(int argc, char **argv)
{
	numa_init();
	if (argc > 1)
		return strcmp(argv[1], "mappings") ? commit_limit() : few_mappings();
	if (!numa_put("/proc/sys/vm/max_map_count", FEW_MAPPINGS))
		bail_out("no limit of mappings: %s", strerror(errno));
	is_int(as_child(argv[0], "mappings"), 0, "large blocks where a process may have few mappings");
	numa_put("/proc/sys/vm/max_map_count", "65530");
	if (!numa_put("/proc/sys/vm/overcommit_kbytes", "131072") || !numa_put("/proc/sys/vm/overcommit_memory", "2"))
		bail_out("no strict commit: %s", strerror(errno));
	is_int(as_child(argv[0], "commit"), 0, "all of memory where the system commits no more than there is");
	numa_put("/proc/sys/vm/overcommit_memory", "0");
	return done_testing();
}
