/* SPDX-License-Identifier: MIT */
/*
 * A quota of CPU time, from files that are made up and from the system's own, and what it does: with 128 CPUs, which
 * this test has the allocator believe in, the lists of a few serve all of them.
 */
#include <fcntl.h>
#include <sched.h>

#include "mm/pcp.h"
#include "os/cgroup.h"
#include "walk.h"

#define V2 "fs/cgroup"
#define V1 "fs/cgroup/cpu"
#define NR_CPUS 128

unsigned int __real_os_nr_cpus(void);
unsigned int __wrap_os_nr_cpus(void);
static unsigned int nr_cpus;
unsigned int __wrap_os_nr_cpus(void)
{
	return nr_cpus ? nr_cpus : __real_os_nr_cpus();
}

static void is_quota(unsigned int quota, const char *what)
{
	is_int(os_cpu_quota(), quota, "%s", what);
}

static void machine(const char *cgroups)
{
	fake_sys_remove();
	fake_sys_write("self/cgroup", cgroups);
}

static void test_v2(void)
{
	machine("0::/user/app\n");
	is_quota(0, "v2: no cpu.max at any level");
	fake_sys_write(V2 "/user/app/cpu.max", "max 100000\n");
	is_quota(0, "v2: max is no quota");
	fake_sys_write(V2 "/user/app/cpu.max", "200000 100000\n");
	is_quota(2, "v2: of the process's own cgroup");
	fake_sys_write(V2 "/user/cpu.max", "150001 50000\n");
	is_quota(2, "v2: an ancestor's that is larger");
	fake_sys_write(V2 "/user/app/cpu.max", "max 100000\n");
	is_quota(4, "v2: an ancestor's, rounded up");
	fake_sys_write(V2 "/user/cpu.max", "1000 100000\n");
	is_quota(1, "v2: a part of a CPU is one");
	fake_sys_write(V2 "/user/cpu.max", "100000");
	is_quota(0, "v2: a file that was cut says nothing");
	fake_sys_write(V2 "/user/cpu.max", "100000 0\n");
	is_quota(0, "v2: nor does one without a period");
	machine("0::/elsewhere\n");
	fake_sys_write(V2 "/cpu.max", "300000 100000\n");
	is_quota(3, "v2: that of a container's root");
	machine("0::/app\n1:name=systemd:/app\n");
	fake_sys_write(V2 "/unified/app/cpu.max", "300000 100000\n");
	is_quota(3, "v2: beside v1 controllers");
}

static void test_v1(void)
{
	machine("3:cpuset:/set\n2:cpu,cpuacct:/app\n1:memory:/other\n0::/app\n");
	is_quota(0, "v1: no files");
	fake_sys_write(V1 "/app/cpu.cfs_quota_us", "-1\n");
	fake_sys_write(V1 "/app/cpu.cfs_period_us", "100000\n");
	is_quota(0, "v1: -1 is no quota");
	fake_sys_write(V1 "/app/cpu.cfs_quota_us", "500000\n");
	is_quota(5, "v1: of the process's own cgroup, by the name cpu among others");
	fake_sys_write(V1 "/cpu.cfs_quota_us", "250000\n");
	fake_sys_write(V1 "/cpu.cfs_period_us", "100000\n");
	is_quota(3, "v1: an ancestor's");
	machine("4:cpuacct:/app\n");
	fake_sys_write(V1 "/app/cpu.cfs_quota_us", "500000\n");
	fake_sys_write(V1 "/app/cpu.cfs_period_us", "100000\n");
	is_quota(0, "v1: another controller's cgroup");
	fake_sys_remove();
	is_quota(0, "no /proc");
}

static bool write_to(const char *dir, const char *name, const char *text)
{
	char path[PATH_LEN + 192];
	int fd;
	bool done;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY);
	done = fd >= 0 && write(fd, text, strlen(text)) > 0;
	if (fd >= 0)
		close(fd);
	return done;
}

/* A cgroup that is made here, and a child in it. */
static void test_system(void)
{
	static char dir[PATH_LEN + 128];
	struct cgroup cg;
	int status = 0;
	pid_t child;

	topology_root = "/sys";
	proc_root = "/proc";
	if (os_own_cgroup("cpu", &cg))
		snprintf(dir, sizeof(dir), "/sys/fs/cgroup/cpu%s/bm-quota-%d", cg.path.text, getpid());
	if (!dir[0] || !cg.v1 || mkdir(dir, 0755)) {
		skip(1, "no cgroup v1 of the cpu controller can be made");
	} else if (!write_to(dir, "cpu.cfs_quota_us", "150000")) {
		skip(1, "no quota can be set");
		rmdir(dir);
	} else {
		child = fork();
		if (child == 0)
			_exit(write_to(dir, "cgroup.procs", "0") ? (int)os_cpu_quota() : 99);
		waitpid(child, &status, 0);
		is_int(WEXITSTATUS(status), 2, "one of the system's own: 1.5 CPUs are two");
		rmdir(dir);
	}
	topology_root = fake_sys_root;
	proc_root = fake_sys_root;
}

static unsigned int different_lists(void)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < NR_CPUS; i++) {
		bool seen = false;

		for (unsigned int j = 0; j < i && !seen; j++)
			seen = cpu_pageset_table[i] == cpu_pageset_table[j];
		nr += !seen;
	}
	return nr;
}

static void start(const char *cpu_max)
{
	nr_cpus = NR_CPUS;
	fake_sys_nodes(1, 0);
	fake_sys_write("self/cgroup", "0::/app\n");
	fake_sys_write(V2 "/app/cpu.max", cpu_max);
	model_start();
}

/* Pages that go through every CPU that there is lie in the lists that are shared, and in no other. */
static void shared(void)
{
	struct zone *zone;
	unsigned int cpu, l;

	start("200000 100000\n");
	must(different_lists() == 4, "%u lists", different_lists());
	zone = zone_of(0);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		cpu_set_t one;
		struct page *page[2 * PCP_SLOTS_0];

		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof(one), &one))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(page); i++)
			page[i] = alloc_pages(GFP_KERNEL | GFP_MOVABLE, 0);
		for (size_t i = 0; i < ARRAY_SIZE(page); i++)
			free_pages(page[i], 0);
	}
	for (cpu = 4; cpu < NR_CPUS; cpu++)
		for (l = 0; l < NR_PCP_LISTS; l++)
			must(!zone->pageset[cpu].lists[l].count, "%ld blocks in list %u of CPU %u",
			     zone->pageset[cpu].lists[l].count, l, cpu);
}

static void plenty(void)
{
	start("6400000 100000\n");
	must(different_lists() == NR_CPUS, "%u lists", different_lists());
}

static void none(void)
{
	start("max 100000\n");
	must(different_lists() == NR_CPUS, "%u lists", different_lists());
}

/* No more lists than these come to be used when the CPUs share fewer while pages lie in the others. */
static void left_over(void)
{
	struct page *page;
	struct zone *zone;

	start("max 100000\n");
	zone = zone_of(0);
	page = alloc_pages(GFP_KERNEL, 0);
	must(nr_pcp_pages(zone));
	pcp_share_lists(1);
	free_pages(page, 0);
	must(drain_all_pages() && !nr_pcp_pages(zone));
	check_zone(zone);
}

int main(void)
{
	fake_sys_init();
	topology_root = fake_sys_root;
	proc_root = fake_sys_root;
	test_v2();
	test_v1();
	test_system();
	run_case("128 CPUs share the lists of four where the quota is two", shared);
	run_case("a quota of half of the CPUs changes nothing", plenty);
	run_case("nor does none", none);
	run_case("what lies in lists that are no longer used goes home", left_over);
	fake_sys_remove();
	return done_testing();
}
