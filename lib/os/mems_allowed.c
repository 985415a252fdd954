/* SPDX-License-Identifier: MIT */
/*
 * Which nodes the process may have memory from, by system call; from procfs where that is not let, or where a test has
 * put one of its own.
 */
#include <linux/mempolicy.h>

#include "os/os.h"
#include "os/path.h"
#include "os/syscall.h"
#include "os/topology.h"

/* The line "Mems_allowed:\t00000000,00000003": groups of hexadecimal digits, the highest nodes first. How far it has
 * been read. */
struct mems_line {
	int matched; /* characters of the name; -1: this line is another */
	bool ended;
	uint64_t nodes;
};
static const char mems_name[] = "Mems_allowed:";

static void take_char(struct mems_line *line, char c)
{
	if (line->matched < 0)
		line->matched = c == '\n' ? 0 : -1;
	else if (mems_name[line->matched])
		line->matched = c == mems_name[line->matched] ? line->matched + 1 : c == '\n' ? 0 : -1;
	else if (c == '\n')
		line->ended = true;
	else if (c >= '0' && c <= '9')
		line->nodes = line->nodes << 4 | (uint64_t)(c - '0');
	else if (c >= 'a' && c <= 'f')
		line->nodes = line->nodes << 4 | (uint64_t)(c - 'a' + 10);
}

static bool take_chunk(void *arg, const char *chunk, size_t len)
{
	struct mems_line *line = arg;

	for (; len && !line->ended; len--)
		take_char(line, *chunk++);
	return !line->ended;
}

bool os_read_mems_allowed(uint64_t *nodes)
{
	uint64_t mask[KERNEL_MAX_NUMNODES / 64] = { 0 };
	struct mems_line line = { 0 };
	struct path path = { .len = 0 };

	if (proc_root == proc_root_real &&
	    !SYSCALL(SYS_get_mempolicy, 0, mask, KERNEL_MAX_NUMNODES + 1, 0, MPOL_F_MEMS_ALLOWED)) {
		*nodes = mask[0];
		return true;
	}
	path_add(&path, proc_root);
	path_add(&path, "/self/status");
	if (!os_read_chunks(path.text, take_chunk, &line) || !line.ended)
		return false;
	*nodes = line.nodes;
	return true;
}
