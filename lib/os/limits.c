/* SPDX-License-Identifier: MIT */
/*
 * Limits from procfs and the cgroup file systems: what every process looks for at its start.
 */
#include "os/limits.h"

#include "base/bits.h"
#include "base/span.h"
#include "os/cgroup.h"
#include "os/os.h"
#include "os/topology.h"

/* cgroup v1 writes "none" as the largest long, rounded down to pages. */
#define V1_UNLIMITED (1UL << 60)

/* A file of one number, below the directory; "max" is NO_LIMIT. False if it cannot be read, or is something else. */
static bool read_number(struct path *dir, const char *name, unsigned long *n)
{
	size_t len = dir->len;
	char text[64];
	const char *p = text;
	long ret;

	path_add(dir, name);
	ret = os_read_file(dir->text, text, sizeof(text));
	path_cut(dir, len);
	if (ret <= 0)
		return false;
	for (*n = 0; *p >= '0' && *p <= '9'; p++)
		*n = *n * 10 + (unsigned long)(*p - '0');
	if (p == text && *p == 'm') {
		*n = NO_LIMIT;
		return true;
	}
	/* More digits are more than there are numbers. */
	return p > text && p < text + 20 && (!*p || *p == '\n');
}

/*
 * Lines of /proc/self/cgroup, "ID:CONTROLLERS:PATH". The one that names the controller is a v1 cgroup, and what counts;
 * else that without controllers, the v2 one.
 */
struct cgroup_line {
	const char *controller;
	unsigned int field; /* 0 ID, 1 controllers, 2 path */
	bool named;	    /* it is among the controllers */
	bool none;	    /* there are no controllers */
	size_t matched;	    /* characters of its name, in this item; NOT_IT: it is another */
	struct path path;
	bool found;
	struct cgroup *best;
};

#define NOT_IT (~(size_t)0)

static void end_item(struct cgroup_line *line)
{
	line->named |= line->matched != NOT_IT && !line->controller[line->matched];
	line->matched = 0;
}

static void take_controller(struct cgroup_line *line, char c)
{
	if (c == ',' || c == ':') {
		end_item(line);
		return;
	}
	line->none = false;
	if (line->matched != NOT_IT && line->controller[line->matched] == c)
		line->matched++;
	else
		line->matched = NOT_IT;
}

static void end_line(struct cgroup_line *line)
{
	if (line->field == 2 && !line->best->v1 && (line->named || line->none)) {
		line->found = true;
		line->best->v1 = line->named;
		line->best->path = line->path;
	}
	line->field = 0;
	line->named = false;
	line->none = true;
	line->matched = 0;
	path_cut(&line->path, 0);
}

static void take_char(struct cgroup_line *line, char c)
{
	char text[2] = { c, '\0' };

	if (c == '\n') {
		end_line(line);
		return;
	}
	if (line->field == 1)
		take_controller(line, c);
	if (line->field == 2)
		path_add(&line->path, text);
	else if (c == ':')
		line->field++;
}

static bool take_chunk(void *arg, const char *chunk, size_t len)
{
	while (len--)
		take_char(arg, *chunk++);
	return true;
}

/* A process that is outside of its namespace's root ("/../x") counts as at it. */
bool os_own_cgroup(const char *controller, struct cgroup *cg)
{
	struct cgroup_line line = { .controller = controller, .none = true, .best = cg };
	struct path path = { .len = 0 };

	cg->v1 = false;
	path_add(&path, proc_root);
	path_add(&path, "/self/cgroup");
	if (!os_read_chunks(path.text, take_chunk, &line) || !line.found)
		return false;
	/* "/" adds nothing to a directory, and what was cut names another. */
	if (text_begins(cg->path.text, "/..") || cg->path.len == 1 || cg->path.len == PATH_LEN - 1)
		path_cut(&cg->path, 0);
	return true;
}

bool os_cgroup_levels(const char *mount, const struct cgroup *cg, bool (*look)(struct path *dir, void *arg), void *arg)
{
	struct path dir = { .len = 0 };
	size_t root;
	bool any = false;

	path_add(&dir, topology_root);
	path_add(&dir, mount);
	root = dir.len;
	path_add(&dir, cg->path.text);
	for (;;) {
		size_t at = dir.len;

		any |= look(&dir, arg);
		if (at <= root)
			return any;
		while (at > root && dir.text[--at] != '/')
			;
		path_cut(&dir, at);
	}
}

/* What a version of cgroups calls its files, and the lines of memory.stat that are the cache of files. */
struct cgroup_files {
	const char *max, *high, *usage, *inactive, *active; /* high NULL: there is no such thing */
};
static const struct cgroup_files v1_files = {
	"/memory.limit_in_bytes", NULL, "/memory.usage_in_bytes", "total_inactive_file", "total_active_file",
};
static const struct cgroup_files v2_files = {
	"/memory.max", "/memory.high", "/memory.current", "inactive_file", "active_file",
};

static void take_least(struct cgroup_limit *least, unsigned long limit, unsigned long used)
{
	if (limit < V1_UNLIMITED &&
	    (least->limit == NO_LIMIT || (long)(limit - used) < (long)(least->limit - least->used)))
		*least = (struct cgroup_limit){ limit, used };
}

/* One level. It has files of that kind: true. */
static bool look_at(struct path *dir, const struct cgroup_files *files, struct cgroup_memory *least)
{
	unsigned long max, high, used;

	if (!read_number(dir, files->max, &max))
		return false;
	if (!files->high || !read_number(dir, files->high, &high))
		high = NO_LIMIT;
	if (min_ul(max, high) >= V1_UNLIMITED || !read_number(dir, files->usage, &used))
		return true;
	/* The file is slow to read: not where there is plenty without it. */
	if (used > min_ul(max, high) / 4 * 3)
		used -= min_ul(os_file_cache(dir, files->inactive, files->active), used);
	take_least(&least->max, max, used);
	take_least(&least->high, high, used);
	return true;
}

static bool look_v1(struct path *dir, void *least)
{
	return look_at(dir, &v1_files, least);
}

static bool look_v2(struct path *dir, void *least)
{
	return look_at(dir, &v2_files, least);
}

bool os_cgroup_memory(struct cgroup_memory *least)
{
	struct cgroup cg;

	least->max.limit = least->high.limit = NO_LIMIT;
	if (!os_own_cgroup("memory", &cg))
		return false;
	if (cg.v1)
		os_cgroup_levels("/fs/cgroup/memory", &cg, look_v1, least);
	else if (!os_cgroup_levels("/fs/cgroup", &cg, look_v2, least))
		os_cgroup_levels("/fs/cgroup/unified", &cg, look_v2, least);
	return min_ul(least->max.limit, least->high.limit) != NO_LIMIT;
}

bool os_memory_is_limited(void)
{
	struct cgroup_memory cg;

	return os_rlimit_as() != NO_LIMIT || os_rlimit_data() != NO_LIMIT || os_cgroup_memory(&cg);
}
