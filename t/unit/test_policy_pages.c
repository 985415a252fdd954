/* SPDX-License-Identifier: MIT */
/*
 * Whether pages, and huge blocks, come from the nodes that the thread's policy and the cpuset name.
 */
#include "malloc/huge.h"
#include "mm/pcp.h"
#include "mempolicy.h"

static int page_node(const struct page *page)
{
	return pfn_to_zone(page_to_pfn(page))->nid;
}

/* How many of nr pages of the order come from each node. */
static void count_nodes(unsigned long nr, gfp_t gfp, unsigned int order, unsigned long *count)
{
	memset(count, 0, MAX_NUMNODES * sizeof(*count));
	while (nr--) {
		struct page *page = alloc_pages(gfp, order);

		must(page);
		count[page_node(page)]++;
	}
}

static void test_pages(void)
{
	unsigned long count[MAX_NUMNODES];

	start(4, MPOL_DEFAULT, 0);
	count_nodes(100, GFP_USER, 0, count);
	must(count[1] == 100);
	must(!set(MPOL_BIND, 0xc));
	for (unsigned int order = 0; order < MAX_ORDER; order++) {
		count_nodes(20, GFP_USER, order, count);
		must(count[2] == 20, "order %u", order);
	}
	count_nodes(20, GFP_USER | GFP_THISNODE, 0, count);
	must(count[1] == 20);
	must(!set(MPOL_PREFERRED, 0x8));
	count_nodes(100, GFP_USER, 0, count);
	must(count[3] == 100);
	must(!set(PREFERRED_MANY, 0x9));
	count_nodes(100, GFP_USER, 0, count);
	must(count[0] == 100);
	must(!set(MPOL_INTERLEAVE, 0xd));
	for (unsigned int order = 0; order <= PAGEBLOCK_ORDER; order++) {
		count_nodes(31, GFP_USER, order, count);
		must(count[0] - 10 < 2 && count[2] - 10 < 2 && count[3] - 10 < 2 && !count[1], "order %u", order);
	}
	must(!set(MPOL_DEFAULT, 0));
	count_nodes(100, GFP_USER, 0, count);
	must(count[1] == 100);
}

/* Pages that this CPU has at hand must not serve a thread that is bound elsewhere. */
static void test_pages_at_hand(void)
{
	unsigned long count[MAX_NUMNODES];
	struct page *page;

	start(2, MPOL_DEFAULT, 0);
	for (int i = 0; i < 20; i++) {
		page = alloc_pages(GFP_USER, 0);
		must(page);
		free_pages(page, 0);
	}
	must(gfp_fast_limit || !os_cpu_id_fast_is_known());
	must(!set(MPOL_BIND, 0x1));
	must(!gfp_fast_limit);
	count_nodes(100, GFP_USER, 0, count);
	must(count[0] == 100);
}

/* Nor a process that is kept off this CPU's node. */
static void test_cpuset_at_hand(void)
{
	start(2, MPOL_DEFAULT, 0);
	must(gfp_fast_limit || !os_cpu_id_fast_is_known());
	allow(0x3);
	must(gfp_fast_limit || !os_cpu_id_fast_is_known());
	allow(0x1);
	must(!gfp_fast_limit);
}

static void *default_pages(void *arg)
{
	count_nodes(100, GFP_USER, 0, arg);
	return NULL;
}

static void test_pages_inherited(void)
{
	unsigned long count[MAX_NUMNODES];

	start(4, MPOL_BIND, 0x1);
	count_nodes(100, GFP_USER, 0, count);
	must(count[0] == 100);
	in_thread(default_pages, count);
	must(count[0] == 100);
}

static void test_pages_cpuset(void)
{
	unsigned long count[MAX_NUMNODES];

	start_cpuset(4, MPOL_DEFAULT, 0, 0xc);
	must(!gfp_fast_limit);
	count_nodes(100, GFP_USER, 0, count);
	must(count[2] == 100); /* this CPU's node is 1 */
	allow(0x8);
	count_nodes(100, GFP_USER, 0, count);
	must(count[3] == 100);
	must(!set(MPOL_BIND, 0x8));
	allow(0x1);
	count_nodes(100, GFP_USER, 0, count);
	must(count[0] == 100);
	/* It is noticed in a request whose nodes have been settled. */
	fake_sys_mems_allowed(0xc);
	usleep(20000);
	count_nodes(1, GFP_USER, 0, count);
	must(count[2] + count[3] == 1);
}

static unsigned long take_all(int nid, unsigned int order)
{
	gfp_t gfp = GFP_NOWAIT | GFP_THISNODE | GFP_NOWARN | GFP_NOLOWMEM;
	unsigned long nr = 0;

	while (alloc_pages_nodemask(gfp, order, nid, NULL))
		nr++;
	return nr;
}

/* When the nearest of its nodes is full the next of its nodes is asked, before any other. */
static void test_preferred_many_full(void)
{
	unsigned long count[MAX_NUMNODES];

	start(4, MPOL_DEFAULT, 0);
	for (int nid = 0; nid < 4; nid++)
		must(alloc_pages_nodemask(GFP_USER | GFP_THISNODE, 0, nid, NULL));
	fake_os_no_memory();
	take_all(0, PAGEBLOCK_ORDER);
	take_all(0, 0);
	must(!set(PREFERRED_MANY, 0x9));
	count_nodes(20, GFP_USER, 0, count);
	must(count[3] == 20);
	take_all(3, PAGEBLOCK_ORDER);
	take_all(3, 0);
	count_nodes(20, GFP_USER, 0, count);
	must(count[1] == 20);
}

static int huge_node(void)
{
	bool zeroed;
	void *p = huge_alloc(4 * MiB, 0, &zeroed);

	must(p);
	return pfn_to_block(addr_to_pfn(p))->nid;
}

/* What malloc takes from the arenas itself. */
static void test_huge(void)
{
	start(4, MPOL_DEFAULT, 0);
	must(huge_node() == 1);
	must(!set(MPOL_BIND, 0xc) && huge_node() == 2);
	must(!set(MPOL_INTERLEAVE, 0x9));
	must(huge_node() == 0 && huge_node() == 3 && huge_node() == 0);
	must(!set(MPOL_DEFAULT, 0) && huge_node() == 1);
	allow(0x8);
	must(huge_node() == 3);
}

int main(void)
{
	model_init();
	fake_sys_init();
	run_case("pages come from the nodes of the policy", test_pages);
	run_case("pages that the CPU has at hand do not get in the way of a policy", test_pages_at_hand);
	run_case("nor of a cpuset", test_cpuset_at_hand);
	run_case("pages come from the nodes of an inherited policy", test_pages_inherited);
	run_case("pages come from the nodes of the cpuset", test_pages_cpuset);
	run_case("preferred nodes that are full: the others of them before the rest", test_preferred_many_full);
	run_case("huge blocks come from the nodes of the policy, each from one", test_huge);
	fake_sys_remove();
	return done_testing();
}
