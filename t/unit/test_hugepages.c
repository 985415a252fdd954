/* SPDX-License-Identifier: MIT */
/*
 * The share of hugepages, from an smaps of our own making.
 */
#include "base/message.h"
#include "mm/hugepages.h"
#include "fake_sys.h"
#include "model.h"

static char text[4096];

static size_t add_mapping(size_t len, const void *start, size_t bytes, const char *figures)
{
	return len + (size_t)snprintf(text + len, sizeof(text) - len,
				      "%lx-%lx rw-p 00000000 00:00 0     [%0*d]\nSize:   %zu kB\n%sVmFlags: rd wr\n",
				      (unsigned long)start, (unsigned long)start + bytes, 300, 7, bytes >> 10, figures);
}

static void sums(void)
{
	struct hugepages nodes[MAX_NUMNODES], all;
	char *ours, other;
	unsigned long pb;
	size_t len = 0;
	struct out o;
	bool clean;

	model_start();
	pb = arena_alloc(8, 1, PB_HUGE, 0, &clean);
	ours = block_to_addr(pb);
	proc_root = fake_sys_root;
	len = add_mapping(len, &other, PAGE_SIZE, "Rss: 4 kB\nAnonHugePages: 2048 kB\n");
	len = add_mapping(len, ours, 4 * PAGEBLOCK_SIZE,
			  "Rss:   5000 kB\nRss_of_none: 7 kB\nAnonHugePages:  4096 kB\nPrivate_Hugetlb:  0 kB\n");
	add_mapping(len, ours + 4 * PAGEBLOCK_SIZE, 4 * PAGEBLOCK_SIZE,
		    "Rss:   0 kB\nShared_Hugetlb:  2048 kB\nPrivate_Hugetlb:  6144 kB\n");
	fake_sys_write("self/smaps", text);
	must(hugepages_read(nodes, &all));
	must(all.resident == (5000UL + 8192) << 10 && all.transparent == 4096UL << 10 && all.hugetlb == 8192UL << 10);
	must(!memcmp(&nodes[0], &all, sizeof(all)));
	out_init(&o, -1);
	print_hugepages(&o);
	must(strstr(o.buf, "Node 0 AnonHugePages:      4096 kB\nNode 0 HugetlbPages:       8192 kB\n"), "%s", o.buf);
}

static void unreadable(void)
{
	struct hugepages nodes[MAX_NUMNODES], all;
	struct out o;

	model_start();
	proc_root = "/nowhere";
	must(!hugepages_read(nodes, &all) && !all.resident);
	out_init(&o, -1);
	print_hugepages(&o);
	must(!o.len);
}

int main(void)
{
	model_init();
	fake_sys_init();
	run_case("mappings of the heap are added up, and no others", sums);
	run_case("where the system tells nothing, nothing is said", unreadable);
	fake_sys_remove();
	return done_testing();
}
