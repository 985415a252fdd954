/* SPDX-License-Identifier: MIT */
/*
 * What the system says of memory limits, from files that are made up: the process's size, and cgroups of both versions,
 * at every level, in containers, and none at all.
 */
#include "os/limits.h"
#include "os/os.h"
#include "fake_sys.h"

#define V2 "fs/cgroup"
#define V1 "fs/cgroup/memory"
#define HYBRID "fs/cgroup/unified"
#define MIB (1UL << 20)

static void size_file(const char *dir, const char *name, unsigned long bytes)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(text, sizeof(text), "%lu\n", bytes);
	fake_sys_write(path, text);
}

/* A level of v2: limit 0 is "max". */
static void level(const char *dir, unsigned long limit, unsigned long used, unsigned long cache)
{
	char path[128], text[256];

	snprintf(path, sizeof(path), "%s/memory.max", dir);
	if (limit)
		size_file(dir, "memory.max", limit);
	else
		fake_sys_write(path, "max\n");
	size_file(dir, "memory.current", used);
	snprintf(path, sizeof(path), "%s/memory.stat", dir);
	snprintf(text, sizeof(text),
		 "anon 1\nfile %lu\nunevictable_and_long 77\ninactive_file %lu\nactive_file %lu\nslab 5\n", cache * 3,
		 cache / 2, cache - cache / 2);
	fake_sys_write(path, text);
}

static void v1_level(const char *dir, unsigned long limit, unsigned long used, unsigned long cache)
{
	char path[128], text[256];

	size_file(dir, "memory.limit_in_bytes", limit);
	size_file(dir, "memory.usage_in_bytes", used);
	snprintf(path, sizeof(path), "%s/memory.stat", dir);
	snprintf(text, sizeof(text),
		 "cache 9\ninactive_file 4096\nactive_file 4096\ntotal_inactive_file %lu\ntotal_active_file 0\n",
		 cache);
	fake_sys_write(path, text);
}

/* A machine whose /proc/self/cgroup says so. */
static void start(const char *cgroups)
{
	fake_sys_remove();
	fake_sys_write("self/cgroup", cgroups);
}

static bool is_least(unsigned long limit, unsigned long used)
{
	struct cgroup_memory cg;
	bool found = os_cgroup_memory(&cg);

	if (found == (limit != 0) && (!limit || (cg.max.limit == limit && cg.max.used == used)))
		return true;
	diag("found %d, limit %lu, used %lu", found, cg.max.limit, cg.max.used);
	return false;
}

static void test_size(void)
{
	unsigned long as, data, page = os_page_size();

	fake_sys_write("self/statm", "765 416 388 5 0 123 0\n");
	ok(os_process_size(&as, &data) && as == 765 * page && data == 123 * page, "statm: size and data, in bytes");
	fake_sys_write("self/statm", "765 416 388 5 0\n");
	ok(!os_process_size(&as, &data), "one that is cut says nothing");
	fake_sys_write("self/statm", "");
	ok(!os_process_size(&as, &data), "nor does an empty one");
	fake_sys_remove();
	ok(!os_process_size(&as, &data), "nor a system without /proc");
}

static void test_v2(void)
{
	bool rlimits = os_rlimit_as() != NO_LIMIT || os_rlimit_data() != NO_LIMIT;

	start("0::/user/session/app\n");
	level(V2 "/user/session/app", 0, 10 * MIB, 0);
	level(V2 "/user/session", 0, 20 * MIB, 0);
	level(V2 "/user", 0, 30 * MIB, 0);
	ok(is_least(0, 0) && os_memory_is_limited() == rlimits, "v2: \"max\" at every level is no limit");
	level(V2 "/user/session/app", 100 * MIB, 10 * MIB, 0);
	ok(is_least(100 * MIB, 10 * MIB) && os_memory_is_limited(), "the process's own cgroup");
	level(V2 "/user", 300 * MIB, 220 * MIB, 0);
	ok(is_least(300 * MIB, 220 * MIB), "an ancestor that has less left");
	level(V2 "/user/session", 0, 20 * MIB, 0);
	level(V2 "/user/session/app", 100 * MIB, 95 * MIB, 0);
	ok(is_least(100 * MIB, 95 * MIB), "and the own one again");
	/* Else the ancestor would have less left then. */
	level(V2 "/user", 0, 30 * MIB, 0);
	level(V2 "/user/session/app", 100 * MIB, 95 * MIB, 51 * MIB);
	ok(is_least(100 * MIB, 44 * MIB), "the cache of files is not used memory");
	level(V2 "/user/session/app", 100 * MIB, 120 * MIB, 0);
	ok(is_least(100 * MIB, 120 * MIB), "more used than the limit");
	start("0::/\n");
	ok(is_least(0, 0), "v2: the root has no limit");
	level(V2, 64 * MIB, MIB, 0);
	ok(is_least(64 * MIB, MIB), "but that of a container has");
}

static void test_high(void)
{
	struct cgroup_memory cg;

	start("0::/user/app\n");
	level(V2 "/user/app", 0, 30 * MIB, 0);
	level(V2 "/user", 100 * MIB, 60 * MIB, 0);
	fake_sys_write(V2 "/user/app/memory.high", "max\n");
	ok(os_cgroup_memory(&cg) && cg.high.limit == NO_LIMIT, "memory.high: \"max\" is none");
	size_file(V2 "/user/app", "memory.high", 50 * MIB);
	size_file(V2 "/user", "memory.high", 70 * MIB);
	ok(os_cgroup_memory(&cg) && cg.high.limit == 70 * MIB && cg.high.used == 60 * MIB && cg.max.limit == 100 * MIB,
	   "that of an ancestor which has less left, beside its memory.max");
	level(V2 "/user", 0, 60 * MIB, 21 * MIB);
	ok(os_cgroup_memory(&cg) && cg.high.limit == 50 * MIB && cg.high.used == 30 * MIB && cg.max.limit == NO_LIMIT,
	   "without the cache of files, and without any memory.max");
	ok(os_memory_is_limited(), "which is a limit, too");
}

static void test_paths(void)
{
	char text[700] = "0::/";

	start("0::/machine/container.scope\n");
	level(V2, 64 * MIB, MIB, 0);
	ok(is_least(64 * MIB, MIB), "a path of the world outside: the mount's root counts");
	start("0::/../other\n");
	level(V2, 64 * MIB, MIB, 0);
	level("fs/other", 32 * MIB, MIB, 0);
	ok(is_least(64 * MIB, MIB), "outside of the namespace: the root counts");
	memset(text + 4, 'x', sizeof(text) - 6);
	text[sizeof(text) - 2] = '\n';
	start(text);
	level(V2, 64 * MIB, MIB, 0);
	ok(is_least(64 * MIB, MIB), "a path that is too long: the root counts");
	start("12:cpu,cpuacct:/\n1:name=systemd:/user\n0::/user\n");
	level(HYBRID "/user", 48 * MIB, MIB, 0);
	ok(is_least(48 * MIB, MIB), "hybrid: v2 at its own place");
	start("3:cpuset:/memory\n2:notmemory,memoryx:/a\n");
	v1_level(V1 "/a", 64 * MIB, MIB, 0);
	v1_level(V1, 64 * MIB, MIB, 0);
	ok(is_least(0, 0), "without a memory controller there is no limit");
	fake_sys_remove();
	level(V2, 64 * MIB, MIB, 0);
	ok(is_least(0, 0), "nor where /proc does not say");
	start("garbage\n\n0:\n:::\n");
	ok(is_least(0, 0), "nor if it says nonsense");
}

static void test_v1(void)
{
	unsigned long none = 9223372036854771712UL;

	start("9:name=systemd:/\n4:cpu,memory,pids:/a/b\n0::/a\n");
	v1_level(V1 "/a/b", none, 10 * MIB, 0);
	v1_level(V1 "/a", none, 20 * MIB, 0);
	v1_level(V1, none, 20 * MIB, 0);
	level(V2 "/a", 5 * MIB, MIB, 0);
	ok(is_least(0, 0), "v1: the largest number is no limit, and v2 has no memory controller then");
	v1_level(V1 "/a/b", 200 * MIB, 100 * MIB, 0);
	ok(is_least(200 * MIB, 100 * MIB), "the process's own cgroup");
	v1_level(V1 "/a", 256 * MIB, 250 * MIB, 0);
	ok(is_least(256 * MIB, 250 * MIB), "an ancestor");
	v1_level(V1 "/a", 256 * MIB, 250 * MIB, 30 * MIB);
	ok(is_least(256 * MIB, 220 * MIB), "its files, and those of all below it, are not used memory");
	fake_sys_write(V1 "/a/b/memory.limit_in_bytes", "\n");
	fake_sys_write(V1 "/a/memory.limit_in_bytes", "12x4567890123456789012345\n");
	size_file(V1, "memory.limit_in_bytes", 77 * MIB);
	ok(is_least(77 * MIB, 20 * MIB), "files that say nothing do not hide those above");
}

int main(void)
{
	fake_sys_init();
	fake_sys_nodes(1, 0);
	test_size();
	test_v2();
	test_high();
	test_paths();
	test_v1();
	fake_sys_remove();
	return done_testing();
}
