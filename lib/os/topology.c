/* SPDX-License-Identifier: MIT */
/*
 * Nodes, their CPUs and their distances, from the kernel's lists in sysfs.
 */
#include "os/topology.h"

#include <string.h>

#include "base/bits.h"
#include "base/message.h"
#include "os/os.h"
#include "os/path.h"

#define LOCAL_DISTANCE 10
#define REMOTE_DISTANCE 20

struct topology topology;
first_data const char *topology_from;
static const char topology_root_real[] = "/sys";
const char *topology_root = topology_root_real;
const char proc_root_real[] = "/proc";
const char *proc_root = proc_root_real;

bool parse_number(const char **text, unsigned int *n)
{
	const char *p = *text;
	unsigned long value = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		value = min_ul(value * 10 + (unsigned long)(*p - '0'), UINT32_MAX);
	if (p == *text)
		return false;
	*text = p;
	*n = (unsigned int)value;
	return true;
}

bool parse_cpulist(const char *text, unsigned long *bitmap, unsigned int nr_bits)
{
	unsigned int first, last;

	if (*text == '\0' || !strcmp(text, "\n"))
		return true;
	for (;; text++) {
		if (!parse_number(&text, &first))
			return false;
		last = first;
		if (*text == '-') {
			text++;
			if (!parse_number(&text, &last) || last < first)
				return false;
		}
		for (unsigned long n = first; n <= last && n < nr_bits; n++)
			bitmap[n / 64] |= 1UL << (n % 64);
		if (*text != ',')
			return *text == '\0' || !strcmp(text, "\n");
	}
}

/* A file of the node directory; false if it cannot be read or may have been cut. */
static bool read_node_file(const char *root, const char *name, char *buf, size_t len)
{
	struct path path = { .len = 0 };
	long ret;

	path_add(&path, root);
	path_add(&path, "/devices/system/node/");
	path_add(&path, name);
	ret = os_read_file(path.text, buf, len);
	return ret > 0 && (size_t)ret < len - 1;
}

/* A list of nodes; 0 if it is missing or malformed. */
static uint64_t read_node_mask(const char *root, const char *name)
{
	unsigned long mask = 0;
	char list[256];

	if (!read_node_file(root, name, list, sizeof(list)) || !parse_cpulist(list, &mask, MAX_NUMNODES))
		return 0;
	return mask;
}

/* Worst case of a list: every second CPU, four digits and a comma each. */
static later_data char node_text[MAX_CPUS / 2 * 5 + 2];

static void read_cpus(const char *root, unsigned int nid)
{
	unsigned long cpus[MAX_CPUS / 64] = { 0 };
	struct out name;

	out_init(&name, -1);
	out_printf(&name, "node%u/cpulist", nid);
	if (!read_node_file(root, name.buf, node_text, sizeof(node_text)) || !parse_cpulist(node_text, cpus, MAX_CPUS))
		return;
	for (unsigned int cpu = 0; cpu < MAX_CPUS; cpu++) {
		if (cpus[cpu / 64] & 1UL << (cpu % 64)) {
			topology.cpu_to_node[cpu] = (uint8_t)nid;
			topology.node_has_cpu |= 1UL << nid;
		}
	}
}

static void default_distances(void)
{
	for (unsigned int from = 0; from < topology.nr_nodes; from++) {
		for (unsigned int to = 0; to < topology.nr_nodes; to++)
			topology.distance[from][to] = from == to ? LOCAL_DISTANCE : REMOTE_DISTANCE;
	}
}

/* The file has a number for each node that is online, in their order. */
static void read_distances(const char *root, unsigned int nid, uint64_t online)
{
	const char *p = node_text;
	struct out name;
	unsigned int n;

	out_init(&name, -1);
	out_printf(&name, "node%u/distance", nid);
	if (!read_node_file(root, name.buf, node_text, sizeof(node_text)))
		return;
	for (; online; online &= online - 1) {
		while (*p == ' ')
			p++;
		if (!parse_number(&p, &n))
			return;
		topology.distance[nid][first_bit(online)] = (uint8_t)min_ul(n, UINT8_MAX);
	}
}

static void read_nodes(const char *root, uint64_t online)
{
	uint64_t has_memory = read_node_mask(root, "has_memory") & online;

	topology.node_has_memory = has_memory ? has_memory : online;
	/* A CPU that no node names is as well off on the first as on any. */
	memset(topology.cpu_to_node, (int)first_bit(online), sizeof(topology.cpu_to_node));
	for (uint64_t left = online; left; left &= left - 1) {
		read_cpus(root, first_bit(left));
		read_distances(root, first_bit(left), online);
	}
	if (!topology.node_has_cpu)
		topology.node_has_cpu = 1UL << first_bit(online);
}

void topology_init(const char *root)
{
	uint64_t online = root == topology_root_real && os_has_one_node() ? 1 : read_node_mask(root, "online");

	/* Not at start, when it is all zero and not worth its pages. */
	if (topology_from)
		memset(&topology, 0, sizeof(topology));
	if (!online)
		online = 1;
	topology_from = root;
	topology.nr_cpus = os_nr_cpus();
	topology.nr_nodes = ilog2(online) + 1;
	default_distances();
	if (online == 1) {
		topology.node_has_memory = 1;
		topology.node_has_cpu = 1;
		return;
	}
	read_nodes(root, online);
}

cold void topology_fake(unsigned int nr)
{
	topology.fake = true;
	topology.nr_nodes = nr;
	default_distances();
	topology.node_has_memory = ~0UL >> (64 - nr);
	topology.node_has_cpu = ~0UL >> (64 - min_ul(nr, topology.nr_cpus));
	for (unsigned int cpu = 0; cpu < MAX_CPUS; cpu++)
		topology.cpu_to_node[cpu] = (uint8_t)(cpu % nr);
}

cold unsigned int os_interleave_weight(int nid)
{
	struct path path = { .len = 0 };
	char text[16];
	const char *p = text;
	unsigned int weight;
	struct out o;

	out_init(&o, -1);
	out_printf(&o, "/kernel/mm/mempolicy/weighted_interleave/node%d", nid);
	path_add(&path, topology_root);
	path_add(&path, o.buf);
	if (os_read_file(path.text, text, sizeof(text)) <= 0 || !parse_number(&p, &weight) || !weight ||
	    weight > UINT8_MAX)
		return 1;
	return weight;
}
