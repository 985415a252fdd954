/* SPDX-License-Identifier: MIT */
/*
 * How many CPUs' worth of time the cgroups around this process let it have.
 */
#include "base/bits.h"
#include "os/cgroup.h"
#include "os/os.h"
#include "os/topology.h"

/* A small file below the directory, in text; false if it cannot be read. */
static bool read_file(struct path *dir, const char *name, char *text, size_t size)
{
	size_t len = dir->len;
	long ret;

	path_add(dir, name);
	ret = os_read_file(dir->text, text, size);
	path_cut(dir, len);
	return ret > 0;
}

/* So much time in each period; what is begun of a CPU counts as one. */
static void take_quota(const char *quota, const char *period, unsigned int *least)
{
	unsigned int time, each;

	if (parse_number(&quota, &time) && parse_number(&period, &each) && time && each)
		*least = (unsigned int)min_ul(*least, (time + (unsigned long)each - 1) / each);
}

/* "max 100000", or "150000 100000". */
static bool look_v2(struct path *dir, void *least)
{
	char text[64];
	const char *period = text;

	if (!read_file(dir, "/cpu.max", text, sizeof(text)))
		return false;
	while (*period && *period != ' ')
		period++;
	take_quota(text, *period ? period + 1 : period, least);
	return true;
}

/* A quota of -1 is none. */
static bool look_v1(struct path *dir, void *least)
{
	char quota[32], period[32];

	if (!read_file(dir, "/cpu.cfs_quota_us", quota, sizeof(quota)) ||
	    !read_file(dir, "/cpu.cfs_period_us", period, sizeof(period)))
		return false;
	take_quota(quota, period, least);
	return true;
}

unsigned int os_cpu_quota(void)
{
	unsigned int least = UINT32_MAX;
	struct cgroup cg;

	if (!os_own_cgroup("cpu", &cg))
		return 0;
	if (cg.v1)
		os_cgroup_levels("/fs/cgroup/cpu", &cg, look_v1, &least);
	else if (!os_cgroup_levels("/fs/cgroup", &cg, look_v2, &least))
		os_cgroup_levels("/fs/cgroup/unified", &cg, look_v2, &least);
	return least == UINT32_MAX ? 0 : least;
}
