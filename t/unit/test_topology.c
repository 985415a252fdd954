/* SPDX-License-Identifier: MIT */
/*
 * Nodes and CPUs from directory trees of our own that look like sysfs, good and bad.
 */

#include "base/compiler.h"
#include "os/os.h"
#include "os/topology.h"
#include "fake_sys.h"
#include "tap.h"

#define NODE FAKE_SYS_NODE

static void test_two_nodes(void)
{
	fake_sys_write(NODE "online", "0-1\n");
	fake_sys_write(NODE "has_memory", "0-1\n");
	fake_sys_write(NODE "node0/cpulist", "0-1,4\n");
	fake_sys_write(NODE "node1/cpulist", "2-3,5-6,1023\n");
	fake_sys_write(NODE "node0/distance", "10 21\n");
	fake_sys_write(NODE "node1/distance", "22 11\n");
	topology_init(fake_sys_root);
	is_int(topology.nr_nodes, 2, "two nodes");
	is_int(topology.nr_cpus, os_nr_cpus(), "as many CPUs as the machine has");
	is_int(topology.node_has_memory, 3, "both have memory");
	is_int(topology.node_has_cpu, 3, "both have CPUs");
	is_int(topology.cpu_to_node[1], 0, "CPU 1 is on node 0");
	is_int(topology.cpu_to_node[4], 0, "so is CPU 4");
	is_int(topology.cpu_to_node[2], 1, "CPU 2 is on node 1");
	is_int(topology.cpu_to_node[6], 1, "so is CPU 6");
	is_int(topology.cpu_to_node[1023], 1, "and the last of all");
	is_int(topology.cpu_to_node[7], 0, "a CPU of no node is on the first");
	is_int(topology.distance[0][1], 21, "distance from 0 to 1");
	is_int(topology.distance[1][0], 22, "distance from 1 to 0");
	is_int(topology.distance[1][1], 11, "distance within node 1");
}

/* Numbers with gaps, the first missing; memory without CPUs and CPUs without memory. */
static void test_sparse_nodes(void)
{
	fake_sys_write(NODE "online", "1,4,63\n");
	fake_sys_write(NODE "has_memory", "4,63\n");
	fake_sys_write(NODE "node1/cpulist", "0-5\n");
	fake_sys_write(NODE "node4/cpulist", "6-7\n");
	fake_sys_write(NODE "node63/cpulist", "\n");
	fake_sys_write(NODE "node1/distance", "10 20 300\n");
	fake_sys_write(NODE "node4/distance", "20 10\n");
	fake_sys_write(NODE "node63/distance", "rubbish\n");
	topology_init(fake_sys_root);
	is_int(topology.nr_nodes, 64, "the highest node counts");
	ok(topology.node_has_memory == (1UL << 4 | 1UL << 63), "two have memory");
	is_int(topology.node_has_cpu, 1 << 1 | 1 << 4, "two have CPUs");
	is_int(topology.cpu_to_node[5], 1, "CPU 5 is on node 1");
	is_int(topology.cpu_to_node[7], 4, "CPU 7 is on node 4");
	is_int(topology.cpu_to_node[100], 1, "a CPU of no node is on the first that is online");
	is_int(topology.distance[1][4], 20, "distances go by the nodes that are online");
	is_int(topology.distance[1][63], 255, "a distance that is too large is the largest");
	is_int(topology.distance[4][63], 20, "a missing distance is that of a remote node");
	is_int(topology.distance[63][63], 10, "a malformed file leaves the local distance");
	is_int(topology.distance[63][1], 20, "and the remote ones");
}

static void is_one_node(const char *why)
{
	topology_init(fake_sys_root);
	ok(topology.nr_nodes == 1 && topology.node_has_memory == 1 && topology.node_has_cpu == 1 &&
		   topology.distance[0][0] == 10 && !topology.cpu_to_node[5] && !topology.cpu_to_node[1023] &&
		   topology.nr_cpus == os_nr_cpus(),
	   "one node with everything: %s", why);
}

static void test_fallbacks(void)
{
	static char lots[5000];

	fake_sys_write(NODE "online", "0-1\n");
	fake_sys_write(NODE "has_memory", "7-\n");
	fake_sys_write(NODE "node0/cpulist", "x\n");
	fake_sys_write(NODE "node1/cpulist", "1-0\n");
	topology_init(fake_sys_root);
	is_int(topology.node_has_memory, 3, "a malformed has_memory: all nodes have some");
	is_int(topology.node_has_cpu, 1, "no CPU anywhere: the first node is taken to have all");
	fake_sys_write(NODE "has_memory", "5\n");
	topology_init(fake_sys_root);
	is_int(topology.node_has_memory, 3, "no node with memory is online: all have some");

	fake_sys_write(NODE "online", "0\n");
	is_one_node("only node 0 is online");
	fake_sys_write(NODE "online", "");
	is_one_node("the file is empty");
	fake_sys_write(NODE "online", "0-1,\n");
	is_one_node("the file is malformed");
	fake_sys_write(NODE "online", "64-70\n");
	is_one_node("all nodes are beyond what we count");
	for (size_t i = 0; i < sizeof(lots) - 2; i += 2)
		memcpy(lots + i, "1,", 2);
	fake_sys_write(NODE "online", lots);
	is_one_node("the file is too long");
	fake_sys_remove();
	is_one_node("there is no sysfs");
}

static void is_list(const char *text, bool good, unsigned long low, unsigned long high)
{
	unsigned long bits[3] = { 0, 0, 0 };
	bool parsed = parse_cpulist(text, bits, 128);

	ok(parsed == good && bits[0] == low && bits[1] == high && !bits[2], "list \"%.40s\": %d %#lx %#lx", text,
	   parsed, bits[0], bits[1]);
}

static void test_lists(void)
{
	unsigned long bits = 1UL << 60;

	is_list("", true, 0, 0);
	is_list("\n", true, 0, 0);
	is_list("0", true, 1, 0);
	is_list("0-3,8\n", true, 0x10f, 0);
	is_list("5,3,3-4", true, 0x38, 0);
	is_list("63-64", true, 1UL << 63, 1);
	is_list("0-127", true, ~0UL, ~0UL);
	is_list("127-4294967295", true, 0, 1UL << 63);
	is_list("128,1000-2000,1", true, 2, 0);
	is_list("1-99999999999999999999999999", true, ~1UL, ~0UL);
	is_list("1,", false, 2, 0);
	is_list(",1", false, 0, 0);
	is_list("1-", false, 0, 0);
	is_list("3-1", false, 0, 0);
	is_list("1 ", false, 2, 0);
	is_list("-1", false, 0, 0);
	is_list("0x3", false, 1, 0);
	is_list("1\n\n", false, 2, 0);
	is_list("a", false, 0, 0);
	parse_cpulist("1", &bits, 64);
	ok(bits == (1UL << 60 | 2), "bits that are set stay set");
}

/* A text of status, and what it says. */
static void is_allowed(const char *text, bool good, unsigned long nodes)
{
	uint64_t got = 12345;
	bool read;

	fake_sys_write("self/status", text);
	read = os_read_mems_allowed(&got);
	ok(read == good && got == (good ? nodes : 12345), "%s nodes of \"%.60s\": %#lx", good ? "the" : "no", text,
	   got);
}

static void test_mems_allowed(void)
{
	static char lots[6000];
	int good = 0, lines = 0;
	uint64_t got = 0;

	ok(os_read_mems_allowed(&got) && got, "this process may use some node");
	proc_root = fake_sys_root;
	is_allowed("Name:\tx\nMems_allowed:\t00000000,00000003\nMems_allowed_list:\t0-1\n", true, 3);
	is_allowed("Mems_allowed:\t8\n", true, 8);
	is_allowed("Mems_allowed:\t00000000,00000001,80000000,00abcdef\n", true, 0x8000000000abcdef);
	is_allowed("Mems_allowed:\t1\nMems_allowed:\t2\n", true, 1);
	is_allowed("Name:\tMems_allowed:\t7\nMems_allowed:\t1\n", true, 1);
	is_allowed("MMems_allowed:\t7\n", false, 0);
	is_allowed("Mems_allow\nMems_allowed:\t6\n", true, 6);
	is_allowed("Mems_allowed_list:\t0-1\n", false, 0);
	is_allowed("Mems_allowed:\t1", false, 0);
	is_allowed("", false, 0);
	/* As long as CPU masks can be, so that the name and the digits lie anywhere among the chunks. */
	for (size_t pad = 1; pad < 600; pad += 7) {
		snprintf(lots, sizeof(lots), "%*s\nMems_allowed:\t%08x,%08x\n", (int)(4000 + pad), "x",
			 (unsigned int)pad, 0x80000001U);
		fake_sys_write("self/status", lots);
		good += os_read_mems_allowed(&got) && got == (pad << 32 | 0x80000001U);
		lines++;
	}
	is_int(good, lines, "wherever the line begins");
	fake_sys_remove();
	ok(!os_read_mems_allowed(&got), "no nodes without procfs");
	proc_root = "/proc";
}

int main(void)
{
	fake_sys_init();
	test_lists();
	test_two_nodes();
	fake_sys_remove();
	test_sparse_nodes();
	fake_sys_remove();
	test_fallbacks();
	test_mems_allowed();
	topology_init("/sys");
	ok(topology.nr_nodes && topology.node_has_memory && topology.node_has_cpu, "this machine has a node");
	return done_testing();
}
