/* SPDX-License-Identifier: MIT */
/*
 * Memory of the right node, on a machine of three of which some may have none left: the system then puts pages
 * elsewhere, and tells nobody but who looks.
 */
#include <linux/mempolicy.h>

#include "base/tunables.h"
#include "malloc/huge.h"
#include "mm/balance_inner.h"
#include "mm/page_isolation.h"
#include "mm/pcp.h"
#include "mm/settle.h"
#include "walk.h"

#define NODES 3
#define HERE 1

static nodemask_t full;	     /* nodes of which new pages lie elsewhere */
static bool binds;	     /* the system lets us say where memory is to be */
static nodemask_t full_huge; /* of which hugepages do: they lie elsewhere until only small pages are wanted */
static unsigned long populated, looks;
static int last_mode;		/* of mbind */
static nodemask_t allowed_then; /* when something was given back last */

static long my_mbind(void *addr, size_t len, int mode, unsigned long mask)
{
	(void)addr, (void)len, (void)mask;
	last_mode = mode;
	return binds ? 0 : -EPERM;
}

static long my_page_nodes(unsigned long nr, void **pages, int *nodes)
{
	looks++;
	for (unsigned long i = 0; i < nr; i++) {
		int nid = pfn_to_block(virt_to_pfn(pages[i]))->nid;

		nodes[i] = node_isset(nid, full) ? (nid + 1) % NODES : nid;
	}
	return 0;
}

static long my_madvise(void *addr, size_t len, int advice)
{
	if (advice == MADV_DONTNEED)
		allowed_then = cpuset_mems_allowed;
	if (advice == MADV_NOHUGEPAGE)
		full &= ~full_huge;
	if (advice != 23 /* MADV_POPULATE_WRITE */)
		return os_linux.madvise(addr, len, advice);
	populated += len >> PAGE_SHIFT;
	return 0;
}

static struct os_ops my_os;

static void write_free(int nid, unsigned long mib)
{
	char name[64], text[128];

	snprintf(name, sizeof(name), FAKE_SYS_NODE "node%d/meminfo", nid);
	snprintf(text, sizeof(text),
		 "Node %d MemTotal:   8388608 kB\nNode %d MemFree:   %8lu kB\nNode %d MemUsed:    1 kB\n", nid, nid,
		 mib << 10, nid);
	fake_sys_write(name, text);
}

/* Each node has so much free. */
static void start(unsigned long mib)
{
	fake_sys_init();
	fake_sys_nodes(NODES, HERE);
	for (int nid = 0; nid < NODES; nid++)
		write_free(nid, mib);
	model_start();
	my_os = *os;
	my_os.mbind = my_mbind;
	my_os.page_nodes = my_page_nodes;
	my_os.madvise = my_madvise;
	os = &my_os;
	binds = true;
	full = full_huge = 0;
	populated = looks = 0;
}

static struct page *get(int nid, gfp_t gfp, unsigned int order)
{
	return alloc_pages_nodemask(GFP_KERNEL | GFP_NOWARN | gfp, order, nid, NULL);
}

static void plenty(void)
{
	start(4096);
	must(nid_of(get(2, 0, 0)) == 2 && nid_of(get(HERE, 0, 9)) == HERE);
	must(!populated && !looks);
	fake_sys_remove();
}

static void thisnode(void)
{
	struct page *page;

	start(4096);
	must(nid_of(page = get(2, GFP_THISNODE, 0)) == 2 && populated == PAGEBLOCK_PAGES && looks);
	looks = 0;
	must(nid_of(get(2, GFP_THISNODE, 3)) == 2);
	must(!looks && populated == PAGEBLOCK_PAGES, "it is known of its pageblock");
	/* Until some of that is given back. */
	free_pages(page, 0);
	drain_all_pages();
	zone_purge(zone_of(2), 0, 0);
	must(nid_of(get(2, GFP_THISNODE, 3)) == 2);
	must(looks == 1 && populated == PAGEBLOCK_PAGES + 8, "looks %lu populated %lu", looks, populated);
	full = 4;
	must(!get(2, GFP_THISNODE, 3) && !get(2, GFP_THISNODE, 9));
	full = 0;
	settle_again();
	must(nid_of(get(2, GFP_THISNODE, 3)) == 2 && nid_of(get(2, GFP_THISNODE, 9)) == 2);
	fake_sys_remove();
}

/* What is cut off a block of which nothing was touched has memory behind it, and is to be given back. */
static void cut_off(void)
{
	struct page *page;

	start(4096);
	must(nid_of(get(HERE, 0, 0)) == HERE && !zone_of(HERE)->nr_dirty);
	page = alloc_pages_exact(GFP_KERNEL | GFP_THISNODE, 5 << 4, 0);
	must(nid_of(page) == HERE && populated == 8 << 4);
	must(zone_of(HERE)->nr_dirty == 3 << 4, "%lu dirty", zone_of(HERE)->nr_dirty);
	fake_sys_remove();
}

static void next_nearest(void)
{
	unsigned long foreign;

	start(32);
	must(nid_of(get(0, 0, 9)) == 0 && looks && populated == PAGEBLOCK_PAGES);
	foreign = zone_numa_stat(zone_of(0), NUMA_FOREIGN);
	full = 1;
	must(nid_of(get(0, 0, 9)) == 1 && nid_of(get(0, 0, 9)) == 1);
	must(zone_numa_stat(zone_of(0), NUMA_FOREIGN) == foreign + 2 && zone_numa_stat(zone_of(1), NUMA_MISS) == 2);
	full = 3;
	must(nid_of(get(0, 0, 9)) == 2);
	full = 7;
	must(!get(0, GFP_NORETRY, 9));
	fake_sys_remove();
}

/* A node that had too little is not tried at each request, but it is after a while. */
static void tried_again(void)
{
	start(32);
	full = 4;
	must(nid_of(get(2, 0, 9)) == 1);
	full = 0;
	usleep(50000);
	must(nid_of(get(2, 0, 9)) == 2);
	fake_sys_remove();
}

/* Nodes with plenty, and this thread is bound to some of them. */
static void start_bound(unsigned long nodes)
{
	start(4096);
	must(!set_task_policy(MPOL_BIND, &nodes, MAX_NUMNODES + 1));
}

static void bound(void)
{
	bool zeroed;
	void *p;

	start_bound(6);
	must(nid_of(alloc_pages(GFP_MALLOC, 2)) == HERE && looks);
	populated = 0;
	must((p = huge_alloc(5 * PAGEBLOCK_SIZE, 0, &zeroed)) && populated == 5 * PAGEBLOCK_PAGES);
	must(page_to_nid(pfn_to_page(addr_to_pfn(p))) == HERE || pfn_to_block(addr_to_pfn(p))->nid == HERE);
	full = 2;
	must((p = huge_alloc(5 * PAGEBLOCK_SIZE, 0, &zeroed)) && pfn_to_block(addr_to_pfn(p))->nid == 2);
	must(nid_of(alloc_pages(GFP_MALLOC, 9)) == 2);
	full = 6;
	must(!huge_alloc(5 * PAGEBLOCK_SIZE, 0, &zeroed) && !alloc_pages(GFP_MALLOC | GFP_NOWARN, 9));
	fake_sys_remove();
}

static void contiguous(void)
{
	struct page *page;

	start(4096);
	must(nid_of(page = alloc_contig_pages(700, GFP_KERNEL | GFP_THISNODE, 2, NULL)) == 2 && looks);
	free_contig_range(page_to_pfn(page), 700);
	full = 4;
	must(!alloc_contig_pages(1500, GFP_KERNEL | GFP_THISNODE, 2, NULL));
	write_free(2, 1);
	usleep(150000);
	must(nid_of(alloc_contig_pages(1500, GFP_KERNEL, 2, NULL)) == 1);
	fake_sys_remove();
}

/* The system spreads a huge block's pages; what is had after it of one node is all of that. */
static void interleaved(void)
{
	unsigned long set = 7, pb;
	bool zeroed;
	void *p;

	start(4096);
	must(!set_task_policy(MPOL_INTERLEAVE, &set, MAX_NUMNODES + 1));
	must((p = huge_alloc(5 * PAGEBLOCK_SIZE, 0, &zeroed)) && zeroed);
	pb = addr_to_pfn(p) >> PAGEBLOCK_ORDER;
	must(vmemmap.blocks[pb].settled == SETTLED_SPREAD && last_mode == (MPOL_INTERLEAVE | MPOL_F_STATIC_NODES));
	*(volatile char *)p = 1;
	must(huge_resize(pfn_to_page(pb << PAGEBLOCK_ORDER), 2 * PAGEBLOCK_SIZE));
	must(!vmemmap.blocks[pb + 2].settled && last_mode == (MPOL_PREFERRED | MPOL_F_STATIC_NODES));
	must(!huge_resize(pfn_to_page(pb << PAGEBLOCK_ORDER), 5 * PAGEBLOCK_SIZE), "what lies behind is of one node");
	huge_free(pfn_to_page(pb << PAGEBLOCK_ORDER));
	must(!vmemmap.blocks[pb].settled && !(vmemmap.blocks[pb].flags & PBF_DIRTY) && !*(volatile char *)p);
	fake_sys_remove();
}

/* What is already there, but lies elsewhere, is had again. */
static void dirty_elsewhere(void)
{
	struct page *page;

	start(4096);
	page = get(2, 0, 9);
	free_the_page(page, 9);
	full = 4;
	must(!get(2, GFP_THISNODE | GFP_NORETRY, 9));
	full = 0;
	settle_again();
	must(nid_of(get(2, GFP_THISNODE, 9)) == 2);
	fake_sys_remove();
}

/* What a block lost when there was too little for all of it is not settled any more. */
static void settled_in_part(void)
{
	bool zeroed;
	void *p;

	start_bound(4);
	must(p = huge_alloc(PAGEBLOCK_SIZE, 0, &zeroed));
	huge_free(pfn_to_page(addr_to_pfn(p)));
	must(pfn_to_block(addr_to_pfn(p))->settled && pfn_to_block(addr_to_pfn(p))->flags & PBF_DIRTY);
	full = 4;
	must(!huge_alloc(2 * PAGEBLOCK_SIZE, 0, &zeroed));
	must(!huge_alloc(PAGEBLOCK_SIZE, 0, &zeroed));
	fake_sys_remove();
}

/* A node without a hugepage has small ones. */
static void small_pages(void)
{
	start(4096);
	tunables.thp = THP_ALWAYS;
	must(nid_of(get(2, GFP_THISNODE, 9)) == 2);
	full = full_huge = 4;
	must(nid_of(get(2, GFP_THISNODE, 9)) == 2 && !full);
	full = 4;
	full_huge = 0;
	must(!get(2, GFP_THISNODE, 9));
	/* Where it has hardly more than that free, it is full. */
	settle_again();
	write_free(2, 3);
	full_huge = 4;
	must(!get(2, GFP_THISNODE, 9) && full);
	fake_sys_remove();
}

/* By the library's clock, which may stand still for longer than a sleep on a machine that others use, too. */
static void pass_ms(unsigned int ms)
{
	uint64_t then = os_clock_ms();

	while (os_clock_ms() - then < ms)
		usleep(1000);
}

static void not_told(void)
{
	start(4096);
	binds = false;
	full = 7;
	must(nid_of(get(2, GFP_THISNODE, 9)) == 2 && nid_of(get(0, GFP_THISNODE, 0)) == 0);
	fake_sys_remove();
}

/* The nodes that the process has to leave give back what is free there, and what was settled is looked at again. */
static void cpuset_changes(void)
{
	struct page *page;

	start(4096);
	must(nid_of(page = get(2, GFP_THISNODE, 0)) == 2);
	must(nid_of(get(2, GFP_THISNODE, 0)) == 2);
	looks = 0;
	pass_ms(10);
	fake_sys_mems_allowed(3);
	must(nid_of(get(2, 0, 0)) == 1);
	must(!zone_of(2)->nr_dirty);
	pass_ms(10);
	fake_sys_mems_allowed(7);
	must(nid_of(get(2, GFP_THISNODE, 0)) == 2 && looks);
	fake_sys_remove();
}

/* What becomes free of a node while it is not allowed, may lie anywhere. */
static void gives_back_first(void)
{
	struct page *page;

	start(4096);
	must(nid_of(page = get(2, GFP_THISNODE, 9)) == 2);
	pass_ms(10);
	fake_sys_mems_allowed(3);
	must(nid_of(get(2, 0, 0)) == 1);
	free_the_page(page, 9);
	pass_ms(10);
	fake_sys_mems_allowed(7);
	allowed_then = 0;
	get(0, 0, 0);
	must(cpuset_mems_allowed == 7 && allowed_then == 3, "%#lx", allowed_then);
	fake_sys_remove();
}

static void many_changes(void)
{
	struct page *page;
	int i;

	start(4096);
	must(nid_of(page = get(2, GFP_THISNODE, 0)) == 2);
	for (i = 0; i < SETTLED_SPREAD - 1; i++)
		set_mems_allowed(i % 2 ? 7 : 3);
	looks = 0;
	must(nid_of(get(2, GFP_THISNODE, 0)) == 2 && looks);
	fake_sys_remove();
}

static void moves_nowhere_in_turn(void)
{
	const unsigned long set = 3;
	unsigned long pb;
	bool zeroed;
	int i;
	void *p;

	start(4096);
	must(p = huge_alloc(5 * PAGEBLOCK_SIZE, 0, &zeroed));
	pb = addr_to_pfn(p) >> PAGEBLOCK_ORDER;
	must(settle_may_move(pb));
	must(!set_task_policy(POLICY_WEIGHTED_INTERLEAVE, &set, MAX_NUMNODES + 1));
	for (i = 0; i < 4; i++)
		must(!settle_may_move(pb));
	fake_sys_remove();
}

static void one_node(void)
{
	struct page *page;

	walk_start(1);
	my_os = *os;
	my_os.madvise = my_madvise;
	my_os.page_nodes = my_page_nodes;
	os = &my_os;
	must((page = get(0, GFP_THISNODE, 0)) && !populated && !looks);
}

int main(void)
{
	model_init();
	run_case("one node: nobody looks", one_node);
	run_case("nor where a node has plenty, for who may have others' pages", plenty);
	run_case("THISNODE: memory is there, and of the node, or there is none", thisnode);
	run_case("and what is cut off has memory, too", cut_off);
	run_case("a node that has little is looked at when its zone grows: after it comes the next nearest",
		 next_nearest);
	run_case("and is asked again after a while", tried_again);
	run_case("bind: pages and huge blocks of these nodes alone", bound);
	run_case("contiguous pages are of the node, or not had", contiguous);
	run_case("interleave: the system spreads a huge block, and has it back", interleaved);
	run_case("what lies elsewhere is given back, and had again", dirty_elsewhere);
	run_case("what it takes back from a block's pageblocks it takes from those settled before, too",
		 settled_in_part);
	run_case("where a node has much, but no hugepages, its small pages do", small_pages);
	run_case("where the system does not bind memory all is right", not_told);
	run_case("a cpuset that changes: nodes that are left give back, and what is new is looked at again",
		 cpuset_changes);
	run_case("nodes that are back give back first what is free of them", gives_back_first);
	run_case("as many changes as there are marks", many_changes);
	run_case("who interleaves by weights has no block moved by the system", moves_nowhere_in_turn);
	return done_testing();
}
