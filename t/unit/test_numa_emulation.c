/* SPDX-License-Identifier: MIT */
/*
 * numa:fake=N on a machine of one node whose heap is in use already: nodes, CPUs, distances, zonelists; what was there
 * before is node 0's, and goes home there; the kernel hears nothing of the others.
 */
#include <errno.h>

#include "mm/exact.h"
#include "mm/pcp.h"
#include "slab/run.h"
#include "walk.h"

#define CLASS 8
#define NR 4

static void start(void)
{
	walk_start(1);
	slab_init();
}

/* As the constructor does. */
static void emulate(unsigned int nr)
{
	must(!numa_emulation(nr));
	tcache_flush();
	slab_nodes_init();
	mm_init_late();
}

static void made(void)
{
	int first[NR] = { 0 };

	start();
	emulate(NR);
	must(topology.fake && topology.nr_nodes == NR && topology.node_has_memory == 0xf);
	must(topology.node_has_cpu == (os_nr_cpus() < NR ? (1UL << os_nr_cpus()) - 1 : 0xf));
	for (unsigned int cpu = 0; cpu < MAX_CPUS; cpu++)
		must(topology.cpu_to_node[cpu] == cpu % NR);
	for (int nid = 0; nid < NR; nid++) {
		struct zone **zones = NODE_DATA(nid)->node_zonelists[ZONELIST_FALLBACK]->zones;
		struct page *page;

		for (int to = 0; to < NR; to++)
			must(topology.distance[nid][to] == (to == nid ? 10 : 20));
		must(zones[0]->nid == nid && zones[MAX_NR_ZONES]->nid != nid && !zones[NR * MAX_NR_ZONES]);
		first[zones[MAX_NR_ZONES]->nid]++;
		page = alloc_pages_nodemask(GFP_KERNEL | GFP_THISNODE, 0, nid, NULL);
		must(nid_of(page) == nid);
		free_pages(page, 0);
	}
	for (int nid = 0; nid < NR; nid++)
		must(first[nid] < 3, "node %d is first of %d", nid, first[nid]);
}

/* Pages, objects and lists of the time before. */
static void had_before(void)
{
	struct kmem_cache *cache;
	struct object *chain;
	void *object[200];
	bool zeroed;
	struct page *page;

	start();
	cache = &kmem_caches[CLASS];
	page = alloc_pages(GFP_KERNEL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(object); i++)
		must(object[i] = tcache_alloc_slow(CLASS));
	must(slab_alloc_bulk(cache, 1, &chain) == 1);
	magazine_put(cache, &chain, chain, 1);
	for (int i = 0; i < 3 && !exact_lists.nr_pages; i++)
		run_free(run_alloc(FIRST_RUN_CLASS, 0, &zeroed));
	must(exact_lists.nr_pages);
	emulate(NR);
	must(!exact_lists.nr_pages && exact_lists.room == 0);
	must(cache->node.partial_head == NO_PFN && !cache->node.magazines);
	must(nid_of(page) == 0);
	free_pages(page, 0);
	for (size_t i = 0; i < ARRAY_SIZE(object); i++) {
		must(page_to_nid(pfn_to_page(addr_to_pfn(object[i]))) == 0);
		tcache_free_slow(object[i], CLASS);
	}
	tcache_flush();
	slab_reclaim();
	check_cache(cache);
	must(!cache->nr_active && !cache->nr_slabs, "%lu objects, %lu slabs", cache->nr_active, cache->nr_slabs);
	drain_all_pages();
	for (int nid = 0; nid < NR; nid++)
		check_zone(zone_of(nid));
}

/* Neither are pages bound to such nodes, nor is the cpuset that the kernel names one of them. */
static void kernel_is_not_told(void)
{
	unsigned int seq;

	start();
	emulate(NR);
	fake_sys_mems_allowed(1);
	seq = read_mems_allowed_begin();
	must(!read_mems_allowed_retry(seq) && cpuset_mems_allowed == ~0UL);
	fake_sys_remove();
	for (int nid = 0; nid < NR; nid++)
		must(nid_of(alloc_pages_nodemask(GFP_KERNEL | GFP_THISNODE, PAGEBLOCK_ORDER, nid, NULL)) == nid);
	must(fake_os_calls(FAKE_MBIND) == 0, "%lu calls of mbind", fake_os_calls(FAKE_MBIND));
}

/* One after the other runs out: requests for node 1 go on to the next of its list. */
static void fallback(void)
{
	struct zone **zones;

	start();
	emulate(NR);
	for (int nid = 0; nid < NR; nid++)
		grow(zone_of(nid), 1, MIGRATE_UNMOVABLE);
	no_more_growth();
	zones = NODE_DATA(1)->node_zonelists[ZONELIST_FALLBACK]->zones;
	for (int n = 0; n < NR; n++) {
		int nid = zones[n * MAX_NR_ZONES]->nid;

		must(nid_of(alloc_pages_nodemask(GFP_MALLOC, 0, 1, NULL)) == nid);
		use_up(zone_of(nid));
		must(!alloc_pages_nodemask(GFP_MALLOC | GFP_THISNODE, 0, nid, NULL));
	}
	must(!alloc_pages_nodemask(GFP_MALLOC, 0, 1, NULL));
}

/* Lists of one node are not taken for those of several. */
static void homes_before(void)
{
	struct object *chain;

	start();
	must(slab_home_enter());
	emulate(NR);
	must(!slab_nodes && nr_slab_nodes == 1);
	must(slab_alloc_bulk(&kmem_caches[CLASS], 1, &chain) == 1);
	slab_free_bulk(&kmem_caches[CLASS], chain);
	check_cache(&kmem_caches[CLASS]);
}

static void several(void)
{
	walk_start(2);
	must(numa_emulation(NR) == -EEXIST && topology.nr_nodes == 2 && !topology.fake);
}

/* Whichever piece of memory is not to be had: there is the one node, as before, and at the next try there are all. */
static void no_memory(void)
{
	struct zonelist *before;
	struct page *page;
	long n;
	int err;

	start();
	page = alloc_pages(GFP_KERNEL, 0);
	before = NODE_DATA(0)->node_zonelists[ZONELIST_FALLBACK];
	for (n = 1;; n++) {
		fake_os_fail(FAKE_MMAP, n, false, ENOMEM);
		err = numa_emulation(MAX_NUMNODES);
		if (!err)
			break;
		must(err == -ENOMEM && topology.nr_nodes == 1 && !topology.fake && node_states_memory() == 1);
		must(NODE_DATA(0)->node_zonelists[ZONELIST_FALLBACK] == before);
		free_pages(page, 0);
		must(page = alloc_pages(GFP_KERNEL, 0));
	}
	must(n > 2 && node_states_memory() == ~0UL);
}

int main(void)
{
	run_case("nodes are made of one", made);
	run_case("what was there before is the first one's", had_before);
	run_case("the kernel is neither told of them nor asked", kernel_is_not_told);
	run_case("exhausted ones fall back in the order of their lists", fallback);
	run_case("slabs are as they were where threads have homes", homes_before);
	run_case("not on a machine that has several", several);
	run_case("where there is no memory for them there is the one", no_memory);
	return done_testing();
}
