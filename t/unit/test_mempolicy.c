/* SPDX-License-Identifier: MIT */
/*
 * Memory policies, cpusets and scopes on made-up machines of one, two and four nodes: what each says, thread by thread,
 * and whether pages come from the nodes that they say. All threads run on node 1 where there is more than one.
 */
#include <linux/mempolicy.h>
#include <pthread.h>

#include "malloc/huge.h"
#include "mm/internal.h"
#include "mm/mempolicy.h"
#include "mm/vmstat.h"
#include "fake_sys.h"
#include "model.h"

#define PREFERRED_MANY 5
#define WEIGHTED_INTERLEAVE 6
#define NUMA_BALANCING (1 << 13)

/* What the process was started with, and how often it was asked for. */
static int process_mode;
static uint64_t process_nodes;
static long process_error;
static int process_asked;

static long get_process_policy(int *mode, uint64_t *mask)
{
	process_asked++;
	*mode = process_mode;
	*mask = process_nodes;
	return process_error;
}

/* On nodes of which only those allowed are in the cpuset. */
static void start_cpuset(int nodes, int mode, uint64_t mask, uint64_t allowed)
{
	static struct os_ops ops;

	fake_sys_nodes(nodes, nodes > 1);
	fake_sys_mems_allowed(allowed);
	process_mode = mode;
	process_nodes = mask;
	model_native();
	ops = *os;
	ops.get_mempolicy = get_process_policy;
	os = &ops;
	must(!mm_init());
	mm_init_late();
}

static void start(int nodes, int mode, uint64_t mask)
{
	start_cpuset(nodes, mode, mask, ~0UL);
}

/* The system and we agree. */
static void allow(nodemask_t nodes)
{
	fake_sys_mems_allowed(nodes);
	set_mems_allowed(nodes);
}

static int set(int mode, unsigned long nodes)
{
	return set_task_policy(mode, &nodes, MAX_NUMNODES + 1);
}

static void must_get(int mode, unsigned long nodes)
{
	unsigned long got_nodes = ~0UL;
	int got_mode = -1;

	must(!get_task_policy_user(&got_mode, &got_nodes, MAX_NUMNODES + 1));
	must(got_mode == mode && got_nodes == nodes, "got mode %d nodes %#lx, set mode %d nodes %#lx", got_mode,
	     got_nodes, mode, nodes);
}

static int policy_first(gfp_t gfp)
{
	return policy_node(gfp, get_task_policy(gfp), numa_node_id());
}
static nodemask_t policy_nodes(gfp_t gfp)
{
	const nodemask_t *nodes = policy_nodemask(gfp, get_task_policy(gfp));

	return nodes ? *nodes : ~0UL;
}

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

static void in_thread(void *(*fn)(void *), const void *arg)
{
	pthread_t thread;

	must(!pthread_create(&thread, NULL, fn, (void *)(uintptr_t)arg));
	must(!pthread_join(thread, NULL));
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

static int page_node(const struct page *page)
{
	return pfn_to_zone(page_to_pfn(page))->nid;
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
	run_case("cpuset: who may go outside", test_cpuset);
	run_case("cpuset: a change is seen by who is about to fail", test_cpuset_changes);
	run_case("cpuset: a nodemask outside of it is taken away", test_check_retry);
	run_case("cpuset: policies follow it", test_rebind);
	run_case("scopes nest, and are the thread's own", test_scopes);
	run_case("no movable pages in the scope of a pin", test_pin);
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
