/* SPDX-License-Identifier: MIT */
/*
 * Cpusets: who may go outside, how a change is found out, and what becomes of policies then.
 */
#include "mm/pcp.h"
#include "mempolicy.h"

static void test_cpuset(void)
{
	const struct zone *in, *out;

	start_cpuset(2, MPOL_DEFAULT, 0, 0x1);
	in = &NODE_DATA(0)->node_zones[ZONE_NORMAL];
	out = &NODE_DATA(1)->node_zones[ZONE_NORMAL];
	must(cpusets_enabled() && cpuset_mems_allowed == 1);
	must(cpuset_zone_allowed(in, GFP_USER) && cpuset_zone_allowed(in, GFP_ATOMIC));
	must(!cpuset_zone_allowed(out, GFP_USER) && !cpuset_zone_allowed(out, GFP_KERNEL));
	must(cpuset_zone_allowed(out, GFP_ATOMIC) && !cpuset_zone_allowed(out, GFP_ATOMIC | GFP_HARDWALL));
	must(!cpuset_zone_allowed(out, GFP_NOWAIT));
	must(cpuset_zone_allowed(out, GFP_KERNEL | GFP_MEMALLOC));
	must(!cpuset_zone_allowed(out, GFP_USER | GFP_MEMALLOC));
	memalloc_flags_save(BM_SCOPE_NORECLAIM);
	must(cpuset_zone_allowed(out, GFP_KERNEL) && !cpuset_zone_allowed(out, GFP_USER));
	must(mempolicy_slab_node() == 0);
}

/* The file is not read again at once, so this may need some time. */
static bool retry_soon(unsigned int seq)
{
	for (int i = 0; i < 10000; i++) {
		if (read_mems_allowed_retry(seq))
			return true;
		usleep(1000);
	}
	return false;
}

static void test_cpuset_changes(void)
{
	unsigned int seq;

	start(2, MPOL_DEFAULT, 0);
	must(!cpusets_enabled());
	seq = read_mems_allowed_begin();
	for (int i = 0; i < 20; i++, usleep(1000))
		must(!read_mems_allowed_retry(seq));
	fake_sys_mems_allowed(0x1);
	must(retry_soon(seq) && cpuset_mems_allowed == 0x1 && cpusets_enabled());
	must(read_mems_allowed_retry(seq));
	seq = read_mems_allowed_begin();
	must(!read_mems_allowed_retry(seq));
	fake_sys_mems_allowed(0x2);
	must(retry_soon(seq) && cpuset_mems_allowed == 0x2);
	/* Nothing that we know, or nothing at all: that cannot be meant. */
	seq = read_mems_allowed_begin();
	fake_sys_mems_allowed(0x4);
	for (int i = 0; i < 20; i++, usleep(1000))
		must(!read_mems_allowed_retry(seq));
	fake_sys_write("self/status", "Name:\tx\n");
	for (int i = 0; i < 20; i++, usleep(1000))
		must(!read_mems_allowed_retry(seq));
	must(cpuset_mems_allowed == 0x2);
	allow(~0UL);
	must(read_mems_allowed_retry(seq) && cpusets_enabled());
}

static void change(nodemask_t to)
{
	unsigned int seq = read_mems_allowed_begin();

	fake_sys_mems_allowed(to);
	must(retry_soon(seq) && cpuset_mems_allowed == to);
}

/* Memory of a node that is touched while the node is not allowed lies elsewhere: none of it is there when it is back.
 */
static void test_node_comes_back(void)
{
	struct zone *zone;
	struct page *page[3];

	start(2, MPOL_DEFAULT, 0);
	zone = &NODE_DATA(1)->node_zones[ZONE_NORMAL];
	for (int i = 0; i < 3; i++)
		must((page[i] = alloc_pages_nodemask(GFP_USER | GFP_THISNODE, i ? PAGEBLOCK_ORDER : 4, 1, NULL)));
	change(0x1);
	for (int i = 0; i < 3; i++)
		free_pages(page[i], i ? PAGEBLOCK_ORDER : 4);
	drain_all_pages();
	must(zone->nr_dirty + arena_stats.dirty);
	change(0x2);
	must(!zone->nr_dirty && !arena_stats.dirty, "%lu pages, %lu pageblocks", zone->nr_dirty, arena_stats.dirty);
}

static void test_check_retry(void)
{
	nodemask_t nodes = 0x2;
	struct alloc_context ac = { .nodemask = &nodes };
	unsigned int seq;

	start(2, MPOL_DEFAULT, 0);
	seq = read_mems_allowed_begin();
	must(!check_retry_cpuset(seq, &ac) && ac.nodemask == &nodes);
	allow(0x3);
	must(check_retry_cpuset(seq, &ac) && ac.nodemask == &nodes);
	allow(0x1);
	seq = read_mems_allowed_begin();
	must(check_retry_cpuset(seq, &ac) && !ac.nodemask);
	must(!check_retry_cpuset(seq, &ac));
	/* That of the thread's policy follows the cpuset. */
	allow(0x3);
	must(!set(MPOL_BIND, 0x2));
	seq = read_mems_allowed_begin();
	ac.nodemask = policy_nodemask(0, get_task_policy(0));
	must(*ac.nodemask == 0x2);
	allow(0x1);
	must(check_retry_cpuset(seq, &ac) && ac.nodemask && *ac.nodemask == 0x1);
}

static void *rebound_in_thread(void *arg)
{
	(void)arg;
	must_get(MPOL_INTERLEAVE, 0xc);
	return NULL;
}

static void test_rebind(void)
{
	start_cpuset(4, MPOL_INTERLEAVE, 0x3, 0x3);
	must_get(MPOL_INTERLEAVE, 0x3);
	allow(0xc);
	must_get(MPOL_INTERLEAVE, 0xc); /* to the same places among those that are allowed now */
	in_thread(rebound_in_thread, NULL);
	must(!set(MPOL_BIND, 0x8));
	allow(0x3);
	must(policy_nodes(0) == 0x2);
	allow(0x4);
	must(policy_nodes(0) == 0x4);
	allow(0xf);
	must(!set(MPOL_BIND | MPOL_F_STATIC_NODES, 0x5));
	allow(0xc);
	must(policy_nodes(0) == 0x4);
	allow(0xa); /* none is left: all that are allowed */
	must(policy_nodes(0) == 0xa);
	allow(0x7);
	must(policy_nodes(0) == 0x5);
	must_get(MPOL_BIND | MPOL_F_STATIC_NODES, 0x5);
	must(!set(MPOL_BIND | MPOL_F_RELATIVE_NODES, 0x2));
	must(policy_nodes(0) == 0x2);
	allow(0xc);
	must(policy_nodes(0) == 0x8);
	must(!set(MPOL_PREFERRED, 0x8));
	allow(0x3);
	must(policy_first(0) == 1);
	must(!set(MPOL_PREFERRED | MPOL_F_STATIC_NODES, 0x1));
	allow(0xc);
	must(policy_first(0) == 1); /* as local */
	allow(0xf);
	must(policy_first(0) == 0);
}

int main(void)
{
	model_init();
	fake_sys_init();
	run_case("cpuset: who may go outside", test_cpuset);
	run_case("cpuset: a change is seen by who is about to fail", test_cpuset_changes);
	run_case("cpuset: a node that is back has no memory of others", test_node_comes_back);
	run_case("cpuset: a nodemask outside of it is taken away", test_check_retry);
	run_case("cpuset: policies follow it", test_rebind);
	fake_sys_remove();
	return done_testing();
}
