/* SPDX-License-Identifier: MIT */
/*
 * On a machine of many CPUs pages lie in the lists of each that a thread has run on; with a quota of two CPUs' time,
 * set by the cgroup around the one that the process is in, in those of four.
 */
#include <sys/stat.h>

#include "numa.h"
#include "reports.h"

#define OUTER "/sys/fs/cgroup/quota"
#define INNER OUTER "/inner"
#define PAGES 100

/* Pages of this CPU's node, back again. */
static void use_cpu(int cpu)
{
	void *page[PAGES];
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((unsigned int)cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		bail_out("cannot run on CPU %d", cpu);
	for (int i = 0; i < PAGES; i++)
		page[i] = bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_RECLAIMABLE, 0);
	for (int i = 0; i < PAGES; i++)
		bm_free_pages(page[i], 0);
}

/* Each CPU is used; how many lists then hold pages, of all CPUs of the zone that has most such lists. */
static int lists_in_use(int nr_cpus)
{
	const struct proc_zone *zone;
	int nr, most = 0;

	for (int cpu = 0; cpu < nr_cpus; cpu++)
		use_cpu(cpu);
	nr = report_zones(&zone);
	for (int z = 0; z < nr; z++) {
		int lists = 0;

		for (int i = 0; i < zone[z].nr_cpus; i++)
			lists += zone[z].cpu[i].count > 0;
		most = lists > most ? lists : most;
	}
	return most;
}

static int as_child(char *self)
{
	char arg[] = "child", *argv[] = { self, arg, NULL };
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		if (numa_put(INNER "/cgroup.procs", "0"))
			execv(self, argv);
		_exit(99);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(int argc, char **argv)
{
	int nr_cpus = 0, most = 0;

	numa_init();
	for (int nid = 0; nid < numa_nodes; nid++) {
		nr_cpus += numa_node[nid].cpus;
		most = numa_node[nid].cpus > most ? numa_node[nid].cpus : most;
	}
	if (argc > 1)
		return lists_in_use(nr_cpus);
	if (mkdir(OUTER, 0755) || !numa_put("/sys/fs/cgroup/cgroup.subtree_control", "+cpu") || mkdir(INNER, 0755))
		skip_all("no cgroup for the cpu controller");
	is_int(as_child(argv[0]), most, "without a quota each CPU of a node has its lists");
	if (!numa_put(OUTER "/cpu.max", "200000 100000"))
		bail_out("no quota: %s", strerror(errno));
	is_int(as_child(argv[0]), 4, "with one of two CPUs there are four in use");
	return done_testing();
}
