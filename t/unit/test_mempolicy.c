/* SPDX-License-Identifier: MIT */
/*
 * Memory policies and scopes: what each says, thread by thread.
 */
#include "mm/vmstat.h"
#include "mempolicy.h"

static void test_one_node(void)
{
	unsigned int seq;

	start_cpuset(1, MPOL_INTERLEAVE, 1, 1);
	must(process_asked == 0);
	must(cpuset_mems_allowed == ~0UL && !cpusets_enabled());
	seq = read_mems_allowed_begin();
	must(!read_mems_allowed_retry(seq) && cpuset_mems_allowed == ~0UL);
	must_get(MPOL_DEFAULT, 0);
	must(!set(MPOL_INTERLEAVE, 1));
	must_get(MPOL_INTERLEAVE, 1);
	must(set(MPOL_BIND, 2) == -EINVAL);
	/* It makes no difference, so it costs nothing. */
	must(!mempolicies_enabled && get_task_policy(0) == &default_policy);
}

static void test_default(void)
{
	start(2, MPOL_DEFAULT, 0);
	must(process_asked == 1);
	must_get(MPOL_DEFAULT, 0);
	must(get_task_policy(GFP_KERNEL) == &default_policy && !mempolicies_enabled);
	must(numa_node_id() == 1);
	must(policy_first(0) == 1 && policy_nodes(0) == ~0UL);
	must(mempolicy_slab_node() == 1);
	must(!set(MPOL_LOCAL, 0));
	must_get(MPOL_LOCAL, 0);
	must(!mempolicies_enabled); /* as by default */
	must(!set(MPOL_BIND, 1) && policy_nodes(0) == 1);
	must(!set(MPOL_LOCAL, 0) && policy_first(0) == 1 && policy_nodes(0) == ~0UL);
	must(!set(MPOL_BIND, 1) && policy_nodes(0) == 1);
	must(!set(MPOL_DEFAULT, 0) && policy_first(0) == 1 && policy_nodes(0) == ~0UL);
	must_get(MPOL_DEFAULT, 0);
}

static void test_preferred(void)
{
	start(4, MPOL_DEFAULT, 0);
	must(!set(MPOL_PREFERRED, 0xc));
	must_get(MPOL_PREFERRED, 4); /* the first of several */
	must(policy_first(0) == 2 && policy_nodes(0) == ~0UL);
	must(policy_first(GFP_THISNODE) == 1);
	must(mempolicy_slab_node() == 2);
	must(!set(MPOL_PREFERRED, 0));
	must_get(MPOL_LOCAL, 0);
	must(policy_first(0) == 1 && policy_nodes(0) == ~0UL);
	must(!set(PREFERRED_MANY, 0xc));
	must_get(PREFERRED_MANY, 0xc);
	must(policy_first(0) == 2 && policy_nodes(0) == ~0UL);
	must(!set(PREFERRED_MANY, 0xa) && policy_first(0) == 1);
}

static void test_bind(void)
{
	struct mempolicy late = { .mode = MPOL_BIND, .nodes = 0x1 }; /* its nodes were taken away meanwhile */

	start(4, MPOL_DEFAULT, 0);
	must(!set(MPOL_BIND, 0xc));
	must_get(MPOL_BIND, 0xc);
	must(policy_first(0) == 1 && policy_nodes(0) == 0xc);
	must(policy_nodes(GFP_THISNODE) == ~0UL);
	must(mempolicy_slab_node() == 2);
	must(!set(MPOL_BIND, 0x3) && mempolicy_slab_node() == 1);
	must(policy_nodemask(0, &late) == &late.nodes);
	allow(0xe);
	must(!policy_nodemask(0, &late));
}

static void must_go(const char *nids)
{
	for (; *nids; nids++) {
		int nid = interleave_nodes(get_task_policy(0));

		must(nid == *nids - '0', "node %d instead of %c, %zu before the end", nid, *nids, strlen(nids));
	}
}

static void test_interleave(void)
{
	start(4, MPOL_DEFAULT, 0);
	must(!set(MPOL_INTERLEAVE, 0xf));
	must(policy_nodes(0) == ~0UL);
	must_go("0123012301");
	must(!set(MPOL_INTERLEAVE, 0xb));
	must_get(MPOL_INTERLEAVE, 0xb);
	must_go("01301301");
	must(mempolicy_slab_node() == 3 && mempolicy_slab_node() == 0);
	must(!set(MPOL_INTERLEAVE, 0x4));
	must_go("222");
	must(!set(MPOL_INTERLEAVE, 0x8));
	must_go("33");
}

/* The last node that there can be, where the turn is over. */
static void test_interleave_last(void)
{
	struct mempolicy pol = { .mode = MPOL_INTERLEAVE, .nodes = 1UL << 63 | 1 };

	must(interleave_nodes(&pol) == 0 && interleave_nodes(&pol) == 63 && interleave_nodes(&pol) == 0);
}

static void test_arguments(void)
{
	unsigned long nodes[3] = { 0x2, 0, 1 }, got[3] = { 7, 7, 7 };
	int mode;

	start(4, MPOL_DEFAULT, 0);
	must(set(-1, 0) == -EINVAL && set(7, 1) == -EINVAL && set(1000, 1) == -EINVAL);
	must(set(MPOL_DEFAULT, 1) == -EINVAL && set(MPOL_LOCAL, 1) == -EINVAL);
	must(set(MPOL_BIND, 0) == -EINVAL && set(MPOL_INTERLEAVE, 0) == -EINVAL && set(PREFERRED_MANY, 0) == -EINVAL);
	must(set(MPOL_BIND, 0x10) == -EINVAL && set(MPOL_PREFERRED, 0x10) == -EINVAL);
	must(set(MPOL_BIND | MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES, 1) == -EINVAL);
	must(set(MPOL_LOCAL | MPOL_F_STATIC_NODES, 0) == -EINVAL);
	must(set(MPOL_PREFERRED | MPOL_F_RELATIVE_NODES, 0) == -EINVAL);
	must(set(MPOL_BIND | NUMA_BALANCING, 1) == -EINVAL);
	must_get(MPOL_DEFAULT, 0); /* none of them was taken */
	must(!mempolicies_enabled);
	/* Nodes that do not exist beside some that do. */
	must(!set(MPOL_BIND, 0x16));
	must_get(MPOL_BIND, 0x6);

	/* maxnode is one more than the bits that are looked at. */
	must(!set_task_policy(MPOL_BIND, nodes, 129));
	must_get(MPOL_BIND, 2);
	must(set_task_policy(MPOL_BIND, nodes, 130) == -EINVAL);
	must(set_task_policy(MPOL_BIND, nodes, 2) == -EINVAL);
	must(!set_task_policy(MPOL_BIND, nodes, 3));
	must(set_task_policy(MPOL_BIND, nodes, PAGE_SIZE * 8 + 2) == -EINVAL);
	must(!set_task_policy(MPOL_PREFERRED, nodes, 0));
	must_get(MPOL_LOCAL, 0);
	must(!set_task_policy(MPOL_PREFERRED, NULL, 65));
	must_get(MPOL_LOCAL, 0);

	must(!set(MPOL_INTERLEAVE, 0xd));
	must(get_task_policy_user(&mode, got, 3) == -EINVAL && got[0] == 7);
	must(get_task_policy_user(&mode, got, PAGE_SIZE * 8 + 2) == -EINVAL && got[0] == 7);
	must(!get_task_policy_user(&mode, got, 65) && got[0] == 0xd && got[1] == 7);
	must(!get_task_policy_user(NULL, got, 129) && got[0] == 0xd && !got[1] && got[2] == 7);
	must(!get_task_policy_user(NULL, NULL, 0));
	mode = -1;
	must(!get_task_policy_user(&mode, NULL, 0) && mode == MPOL_INTERLEAVE);
}

static void test_round_trip(void)
{
	static const int flags[] = { 0, MPOL_F_STATIC_NODES, MPOL_F_RELATIVE_NODES };

	start(4, MPOL_DEFAULT, 0);
	for (unsigned int f = 0; f < ARRAY_SIZE(flags); f++)
		for (unsigned long nodes = 1; nodes < 16; nodes++) {
			must(!set(MPOL_BIND | flags[f], nodes));
			must_get(MPOL_BIND | flags[f], nodes);
			must(policy_nodes(0) == nodes);
			must(!set(MPOL_INTERLEAVE | flags[f], nodes));
			must_get(MPOL_INTERLEAVE | flags[f], nodes);
			must(!set(PREFERRED_MANY | flags[f], nodes));
			must_get(PREFERRED_MANY | flags[f], nodes);
			must(!set(MPOL_PREFERRED | flags[f], nodes));
			must_get(MPOL_PREFERRED | flags[f], flags[f] ? nodes : nodes & -nodes);
			must(policy_first(0) == (int)first_bit(nodes));
		}
}

/* What static and relative nodes come to where only some nodes are allowed. */
static void test_mode_flags(void)
{
	start_cpuset(4, MPOL_DEFAULT, 0, 0xa);
	must(set(MPOL_BIND, 0x5) == -EINVAL);
	must(!set(MPOL_BIND, 0x3) && policy_nodes(0) == 0x2);
	must_get(MPOL_BIND, 0x2);
	must(set(MPOL_BIND | MPOL_F_STATIC_NODES, 0x5) == -EINVAL);
	must(!set(MPOL_BIND | MPOL_F_STATIC_NODES, 0x3) && policy_nodes(0) == 0x2);
	must_get(MPOL_BIND | MPOL_F_STATIC_NODES, 0x3);
	must(!set(MPOL_BIND | MPOL_F_RELATIVE_NODES, 0x1) && policy_nodes(0) == 0x2);
	must(!set(MPOL_BIND | MPOL_F_RELATIVE_NODES, 0x2) && policy_nodes(0) == 0x8);
	must(!set(MPOL_BIND | MPOL_F_RELATIVE_NODES, 0x4) && policy_nodes(0) == 0x2);
	must(!set(MPOL_BIND | MPOL_F_RELATIVE_NODES, 1UL << 63) && policy_nodes(0) == 0x8);
	must_get(MPOL_BIND | MPOL_F_RELATIVE_NODES, 1UL << 63);
	must(!set(MPOL_PREFERRED | MPOL_F_RELATIVE_NODES, 0x2) && policy_first(0) == 3);
}

static void *inherit_in_thread(void *arg)
{
	must_get(MPOL_INTERLEAVE, 0x7);
	must_go(arg);
	return NULL;
}

static void *inherit_weighted_in_thread(void *arg)
{
	must_get(WEIGHTED_INTERLEAVE, 0x3);
	must_go(arg);
	return NULL;
}

static void test_inherited(void)
{
	start(4, MPOL_INTERLEAVE, 0x7);
	must(process_asked == 1 && mempolicies_enabled);
	must_get(MPOL_INTERLEAVE, 0x7);
	must_go("01201");
	/* Each thread goes its own round; where they begin goes round, too. */
	in_thread(inherit_in_thread, "12012");
	in_thread(inherit_in_thread, "20");
	in_thread(inherit_in_thread, "0120");
	must_go("2");
	/* A thread that wants nothing has nothing, whatever the process has. */
	must(!set(MPOL_DEFAULT, 0));
	must(policy_first(0) == 1 && policy_nodes(0) == ~0UL);
	in_thread(inherit_in_thread, "12");
	must(process_asked == 1);
}

static void test_inherited_static(void)
{
	start_cpuset(4, MPOL_BIND | MPOL_F_STATIC_NODES | NUMA_BALANCING, 0x7, 0xa);
	must_get(MPOL_BIND | MPOL_F_STATIC_NODES, 0x7);
	must(policy_nodes(0) == 0x2);
}

static void write_weight(int nid, const char *weight)
{
	char name[64];

	snprintf(name, sizeof(name), "kernel/mm/mempolicy/weighted_interleave/node%d", nid);
	fake_sys_write(name, weight);
}

/* Node 2 has no file, 3 one that makes no sense: they weigh 1. */
static void test_weighted(void)
{
	write_weight(0, "3\n");
	write_weight(1, "2\n");
	write_weight(3, "256\n");
	start(4, MPOL_DEFAULT, 0);
	must(!set(WEIGHTED_INTERLEAVE, 0xf));
	must_get(WEIGHTED_INTERLEAVE, 0xf);
	must_go("0001123000112300");
	must(!set(WEIGHTED_INTERLEAVE, 0x6));
	must_go("112112");
	must(mempolicy_slab_node() == 1 && mempolicy_slab_node() == 1 && mempolicy_slab_node() == 2);
	must_go("1");
	must(!set(MPOL_INTERLEAVE, 0x3));
	must_go("0101");
	/* Weights are as of when the policy is set; a node that is no longer allowed has none. */
	write_weight(0, "1");
	must(!set(WEIGHTED_INTERLEAVE, 0x3));
	must_go("0110");
	allow(0x1);
	must_go("00");
}

/* Pages are counted as interleaved ones, on the node that they are from. */
static void test_weighted_pages(void)
{
	unsigned long nr[4] = { 0 };

	write_weight(2, "7");
	start(4, MPOL_DEFAULT, 0);
	must(!set(WEIGHTED_INTERLEAVE, 0xc));
	for (int i = 0; i < 80; i++)
		nr[page_to_nid(alloc_pages(GFP_KERNEL, 0))]++;
	must(nr[2] == 70 && nr[3] == 10, "%lu of node 2, %lu of node 3", nr[2], nr[3]);
	for (int nid = 2; nid < 4; nid++)
		must(zone_numa_stat(&NODE_DATA(nid)->node_zones[ZONE_NORMAL], NUMA_INTERLEAVE_HIT) == nr[nid]);
}

static void test_inherited_weighted(void)
{
	write_weight(1, "2");
	start(2, WEIGHTED_INTERLEAVE, 0x3);
	must_get(WEIGHTED_INTERLEAVE, 0x3);
	must_go("011011");
	in_thread(inherit_weighted_in_thread, "1101");
}

static void test_inherited_unknown(void)
{
	start(2, 77, 0x3);
	must_get(MPOL_DEFAULT, 0);
	must(!mempolicies_enabled);
}

static void test_inherited_elsewhere(void)
{
	start(2, MPOL_BIND, 0xc);
	must_get(MPOL_DEFAULT, 0);
	must(!mempolicies_enabled);
}

static void test_inherited_forbidden(void)
{
	process_error = -EPERM;
	start(2, MPOL_BIND, 0x1);
	must_get(MPOL_DEFAULT, 0);
}

static pthread_barrier_t barrier;

static void *bind_in_thread(void *arg)
{
	unsigned long nodes = (unsigned long)arg;

	must_get(MPOL_DEFAULT, 0);
	must(!set(MPOL_BIND, nodes));
	pthread_barrier_wait(&barrier);
	must_get(MPOL_BIND, nodes);
	must(policy_nodes(0) == nodes);
	pthread_barrier_wait(&barrier);
	return NULL;
}

static void test_threads(void)
{
	pthread_t threads[2];

	start(2, MPOL_DEFAULT, 0);
	pthread_barrier_init(&barrier, NULL, 3);
	for (unsigned long i = 0; i < 2; i++)
		must(!pthread_create(&threads[i], NULL, bind_in_thread, (void *)(i + 1)));
	pthread_barrier_wait(&barrier);
	must_get(MPOL_DEFAULT, 0);
	must(policy_nodes(0) == ~0UL);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

static void *no_scope_in_thread(void *arg)
{
	(void)arg;
	must(current_gfp_context(GFP_USER) == GFP_USER);
	must(memalloc_flags_save(BM_SCOPE_NOIO) == 0);
	return NULL;
}

static void test_scopes(void)
{
	unsigned int first, second, third;

	must(current_gfp_context(~0U) == ~0U);
	first = memalloc_flags_save(BM_SCOPE_NOFS);
	must(first == 0);
	must(current_gfp_context(~0U) == ~GFP_FS);
	second = memalloc_flags_save(BM_SCOPE_NOIO | BM_SCOPE_PIN);
	must(second == BM_SCOPE_NOFS);
	must(current_gfp_context(~0U) == ~(GFP_FS | GFP_IO | GFP_MOVABLE));
	third = memalloc_flags_save(BM_SCOPE_NOFS | 0x8000);
	must(third == (BM_SCOPE_NOFS | BM_SCOPE_NOIO | BM_SCOPE_PIN));
	in_thread(no_scope_in_thread, NULL);
	memalloc_flags_restore(third);
	must(current_gfp_context(~0U) == ~(GFP_FS | GFP_IO | GFP_MOVABLE));
	memalloc_flags_restore(second);
	must(current_gfp_context(~0U) == ~GFP_FS); /* the outer one was there before */
	memalloc_flags_restore(first);
	must(current_gfp_context(~0U) == ~0U);
	/* Nothing but scopes comes or goes that way. */
	current->flags = PF_FAIL;
	must(memalloc_flags_save(~0U) == 0 && current->flags == (PF_FAIL | PF_SCOPES));
	memalloc_flags_restore(~0U);
	must(current->flags == (PF_FAIL | PF_SCOPES));
	memalloc_flags_restore(0);
	must(current->flags == PF_FAIL);
	first = memalloc_flags_save(BM_SCOPE_NOIO);
	must(current_gfp_context(GFP_USER) == (GFP_USER & ~(GFP_FS | GFP_IO)));
	memalloc_flags_restore(first);
	first = memalloc_flags_save(BM_SCOPE_NORECLAIM);
	must(current_gfp_context(GFP_USER) == GFP_USER && current->flags & PF_MEMALLOC);
	memalloc_flags_restore(first);
}

static enum zone_type movable_page_zone(void)
{
	struct page *page = alloc_pages(GFP_USER | GFP_MOVABLE, 0);

	must(page);
	return pfn_to_zone(page_to_pfn(page))->idx;
}

static void test_pin(void)
{
	unsigned int saved;

	start(1, MPOL_DEFAULT, 0);
	must(movable_page_zone() == ZONE_MOVABLE);
	saved = memalloc_flags_save(BM_SCOPE_PIN);
	must(movable_page_zone() == ZONE_NORMAL);
	memalloc_flags_restore(saved);
	must(movable_page_zone() == ZONE_MOVABLE);
}

int main(void)
{
	model_init();
	fake_sys_init();
	run_case("one node: the kernel is asked nothing, policies mean nothing", test_one_node);
	run_case("default and local: from the node that the thread runs on", test_default);
	run_case("preferred: from that node first", test_preferred);
	run_case("bind: from these nodes alone", test_bind);
	run_case("interleave: from these nodes in turn, beginning with the first", test_interleave);
	run_case("interleave: round the end of the longest mask", test_interleave_last);
	run_case("wrong arguments are refused, as set_mempolicy refuses them", test_arguments);
	run_case("what was set is what is got", test_round_trip);
	run_case("static and relative nodes where not all are allowed", test_mode_flags);
	run_case("threads have the process's policy until they set one", test_inherited);
	run_case("inherited: nodes as they were given, without balancing", test_inherited_static);
	run_case("weighted interleave: from each node as many as the administrator says", test_weighted);
	run_case("weighted interleave: pages lie so, and are counted", test_weighted_pages);
	run_case("inherited: weighted interleave", test_inherited_weighted);
	run_case("inherited: a mode of the future is none", test_inherited_unknown);
	run_case("inherited: nodes that we do not know are none", test_inherited_elsewhere);
	run_case("inherited: where it cannot be asked for it is none", test_inherited_forbidden);
	run_case("each thread has its own", test_threads);
	run_case("scopes nest, and are the thread's own", test_scopes);
	run_case("no movable pages in the scope of a pin", test_pin);
	fake_sys_remove();
	return done_testing();
}
