/* SPDX-License-Identifier: MIT */
/*
 * A machine of our own making: a directory tree that looks like sysfs and procfs, for the allocator to start on.
 */
#ifndef T_UNIT_FAKE_SYS_H
#define T_UNIT_FAKE_SYS_H

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/topology.h"
#include "tap.h"

static char fake_sys_root[] = "/tmp/fake_sys.XXXXXX";

/* Make the empty tree; once, before anything else here. */
TAP_UNUSED void fake_sys_init(void)
{
	if (!mkdtemp(fake_sys_root))
		bail_out("cannot make %s", fake_sys_root);
}

/* A file below the root, with the directories on the way. Whoever reads meanwhile sees the old text or the new one. */
TAP_UNUSED void fake_sys_write(const char *name, const char *text)
{
	char path[256], temporary[264];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", fake_sys_root, name);
	for (char *p = path + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			bail_out("cannot make %s", path);
		*p = '/';
	}
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	file = fopen(temporary, "w");
	if (!file || fputs(text, file) < 0 || fclose(file) || rename(temporary, path))
		bail_out("cannot write %s", path);
}

/* The tree is gone; it may be made again. */
TAP_UNUSED void fake_sys_remove(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf '%s'", fake_sys_root);
	if (system(command))
		bail_out("cannot remove %s", fake_sys_root);
}

#define FAKE_SYS_NODE "devices/system/node/"

/* What the process may use, as of /proc/self/status. */
TAP_UNUSED void fake_sys_mems_allowed(unsigned long nodes)
{
	char text[64];

	snprintf(text, sizeof(text), "Name:\tfake\nMems_allowed:\t%08lx,%08lx\n", nodes >> 32, nodes & 0xffffffff);
	fake_sys_write("self/status", text);
}

/*
 * nr nodes in a row, each with memory and 10 further from its neighbours than from itself. All CPUs are on cpu_node, so
 * that every thread is. The process may use all nodes. What is started from now on starts there.
 */
TAP_UNUSED void fake_sys_nodes(int nr, int cpu_node)
{
	char name[64], text[64 * 4 + 1];

	snprintf(text, sizeof(text), "0-%d\n", nr - 1);
	fake_sys_write(FAKE_SYS_NODE "online", text);
	fake_sys_write(FAKE_SYS_NODE "has_memory", text);
	for (int nid = 0; nid < nr; nid++) {
		size_t len = 0;

		snprintf(name, sizeof(name), FAKE_SYS_NODE "node%d/cpulist", nid);
		fake_sys_write(name, nid == cpu_node ? "0-1023\n" : "\n");
		for (int to = 0; to < nr; to++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%d ", 10 + 10 * abs(nid - to));
		snprintf(name, sizeof(name), FAKE_SYS_NODE "node%d/distance", nid);
		fake_sys_write(name, text);
	}
	fake_sys_mems_allowed(~0UL);
	topology_root = fake_sys_root;
	proc_root = fake_sys_root;
}

#endif
