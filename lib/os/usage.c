/* SPDX-License-Identifier: MIT */
/*
 * What is used of limits, from procfs and the cgroup file systems: asked once there is a limit.
 */
#include <string.h>

#include "base/bits.h"
#include "base/span.h"
#include "os/limits.h"
#include "os/os.h"
#include "os/path.h"
#include "os/topology.h"

bool os_process_size(unsigned long *as, unsigned long *data)
{
	struct path path = { .len = 0 };
	unsigned long field[6];
	char text[128];
	struct span s = { .p = text };
	unsigned int i;
	long ret;

	path_add(&path, proc_root);
	path_add(&path, "/self/statm");
	ret = os_read_file(path.text, text, sizeof(text));
	if (ret <= 0)
		return false;
	/* size resident shared text lib data */
	for (s.len = (size_t)ret, i = 0; i < ARRAY_SIZE(field); i++) {
		s = span_trim(s);
		if (!span_number(&s, &field[i]))
			return false;
	}
	*as = field[0] * os_page_size();
	*data = field[5] * os_page_size();
	return true;
}

struct stat_lines {
	const char *inactive, *active; /* their names */
	char line[64];		       /* those that are longer are none that is looked for */
	size_t len;
	unsigned long cache;
};

static void take_stat_line(struct stat_lines *stat)
{
	struct span s = { stat->line, stat->len }, name = span_cut(&s, ' ', ' ');
	unsigned long n;

	if ((span_is(name, stat->inactive, strlen(stat->inactive)) ||
	     span_is(name, stat->active, strlen(stat->active))) &&
	    span_number(&s, &n))
		stat->cache += n;
	stat->len = 0;
}

static bool take_stat_chunk(void *arg, const char *chunk, size_t len)
{
	struct stat_lines *stat = arg;

	for (; len; len--, chunk++) {
		if (*chunk == '\n')
			take_stat_line(stat);
		else if (stat->len < sizeof(stat->line))
			stat->line[stat->len++] = *chunk;
	}
	return true;
}

unsigned long os_file_cache(struct path *dir, const char *inactive, const char *active)
{
	struct stat_lines stat = { .inactive = inactive, .active = active };
	size_t len = dir->len;

	path_add(dir, "/memory.stat");
	os_read_chunks(dir->text, take_stat_chunk, &stat);
	path_cut(dir, len);
	return stat.cache;
}
