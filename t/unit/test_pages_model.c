/* SPDX-License-Identifier: MIT */
/*
 * A million random operations on the page API, beside a model (pages_model.h): with all flags, on one node and on
 * several, with options that watch pages, in little memory, and on a system that fails. After each step the block that
 * was touched is as the model has it, and every zone proves itself and adds up; every few steps a census of all page
 * frames is taken.
 *
 * SEED=N runs the same again, T_STEPS=N makes N steps of each kind, T_CASE=N runs one kind (from 0), in this process.
 */
#include <sched.h>

#include "base/tunables.h"
#include "mm/balance.h"
#include "mm/balance_inner.h"
#include "mm/compaction.h"
#include "mm/debug.h"
#include "mm/mempolicy.h"
#include "mm/page_isolation.h"
#include "mm/pcp.h"
#include "mm/settle.h"
#include "mm/vmscan.h"
#include "fake_sys.h"
#include "pages_census.h"
#include "pages_ops.h"

static const struct setting settings[] = {
	{ "one node", 6000, 25, 1, 0, false, true, 0 },
	{ "four nodes", 6000, 15, 4, 0, false, false, 0 },
	{ "one node, a system that fails", 12000, 25, 1, 0, true, true, 0 },
	{ "four nodes, a system that fails", 12000, 15, 4, 0, true, true, 0 },
	{ "a CMA area", 6000, 10, 1, 0, true, false, 8 * MiB },
	{ "zeroed and owned", 3000, 5, 1, DEBUG_INIT_ON_ALLOC | DEBUG_INIT_ON_FREE | DEBUG_PAGE_OWNER, true, true, 0 },
	{ "poison", 3000, 4, 1, DEBUG_PAGE_POISON, true, true, 0 },
	{ "guard pages", 3000, 1, 1, DEBUG_GUARDPAGE, false, true, 0 },
};

static unsigned long step, nr_steps, census_period;
static unsigned int busy; /* how much of 100 steps that take or give take */
static unsigned int scopes[MAX_SCOPES];

/*
 * Where requests are made.
 */
static void do_scope(void)
{
	if (nr_scopes < MAX_SCOPES && rnd(2)) {
		unsigned int scope = rnd(16);

		scopes[nr_scopes] = bm_memalloc_save(scope);
		scope_now[nr_scopes + 1] = scope_now[nr_scopes] | scope;
		nr_scopes++;
	} else if (nr_scopes) {
		bm_memalloc_restore(scopes[--nr_scopes]);
	}
}

static void do_policy(void)
{
	static const int modes[] = { MPOL_DEFAULT, MPOL_PREFERRED, MPOL_BIND, MPOL_INTERLEAVE, MPOL_LOCAL };
	int mode = modes[rnd(ARRAY_SIZE(modes))], got = -1, err;
	unsigned long nodes = 0, mask = ~0UL;

	if (mode != MPOL_DEFAULT && mode != MPOL_LOCAL) {
		while (!(nodes = rnd64() & memory_nodes()))
			;
		mode |= rnd(2) ? MPOL_F_STATIC_NODES : 0;
	}
	if ((mode & ~MPOL_F_STATIC_NODES) == MPOL_PREFERRED)
		nodes &= -nodes;
	err = bm_set_mempolicy(mode, nodes ? &nodes : NULL, nodes ? 65 : 0);
	must(err == (nodes && !(nodes & mems_allowed) ? -EINVAL : 0), "mode %#x, nodes %#lx of %#lx: %d", mode, nodes,
	     mems_allowed, err);
	if (err)
		return;
	policy = mode;
	policy_nodes = nodes;
	policy_moved = false;
	must(!bm_get_mempolicy(&got, &mask, 65));
	nodes &= mode & MPOL_F_STATIC_NODES ? nodes : mems_allowed;
	must(got == mode && mask == nodes, "mode %#x nodes %#lx: got %#x %#lx", mode, nodes, got, mask);
}

static void do_cpuset(void)
{
	nodemask_t mask = rnd64() & memory_nodes();

	policy_moved = true;
	mems_allowed = mask && rnd(2) ? mask : memory_nodes();
	fake_sys_mems_allowed(mems_allowed);
	set_mems_allowed(mems_allowed);
}

static void do_cpu(void)
{
	cpu_set_t cpus;
	int cpu = cpu_pinned;

	if (cpu < 0 || topology.nr_cpus < 2)
		return;
	cpu = (int)rnd(topology.nr_cpus);
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	if (!sched_setaffinity(0, sizeof(cpus), &cpus))
		cpu_pinned = os_cpu_id() == (unsigned int)cpu ? cpu : -1;
}

static void do_drain(void)
{
	struct zone *zone;
	int i;

	drain_all_pages();
	for_each_zone (zone, i)
		must(!nr_pcp_pages(zone));
}

static void do_trim(void)
{
	struct zone *zone = zone_table[rnd(topology.nr_nodes * MAX_NR_ZONES)];

	switch (rnd(5)) {
	case 0:
		mm_trim(rnd(2) * 8 * MiB);
		break;
	case 1:
		arena_purge(rnd(4), ~0U, rnd(2));
		break;
	case 2:
		drop_caches(1 + rnd(3));
		break;
	case 3:
		if (zone)
			zone_purge(zone, rnd(MAX_ORDER), rnd(1000));
		break;
	default:
		must(!bm_ctl_set("vm.drop_caches", "1"));
		break;
	}
}

static void do_marks(void)
{
	if (!set->low_marks)
		return;
	min_free_kbytes = rnd(2) ? 0 : rnd(4096);
	watermark_scale_factor = 10 + rnd(100);
	watermark_boost_factor = rnd(2) ? 0 : rnd(20000);
	sysctl_lowmem_reserve_ratio[rnd(MAX_NR_ZONES)] = rnd(2) ? 0 : 1 + rnd(256);
	node_reclaim_mode = rnd(4) == 0;
	sysctl_extfrag_threshold = rnd(1001);
	setup_per_zone_wmarks();
}

/* Pageblocks that the arenas still have are held by somebody else while the system fails, but for a few. */
static unsigned long ballast[512], nr_ballast;

static void ballast_drop(void)
{
	while (nr_ballast)
		arena_free(ballast[--nr_ballast], 1, true);
}

static void ballast_take(unsigned int leave)
{
	int nid;

	for (nid = 0; nid < (int)topology.nr_nodes; nid++) {
		bool clean;
		unsigned long pb;

		while (nr_ballast < ARRAY_SIZE(ballast) && (pb = arena_alloc(1, 1, PB_HUGE, nid, &clean)))
			ballast[nr_ballast++] = pb;
		for (unsigned int i = 0; i < leave && nr_ballast; i++)
			arena_free(ballast[--nr_ballast], 1, true);
	}
}

static void do_fail(void)
{
	static const enum fake_op ops[] = {
		FAKE_MMAP, FAKE_MPROTECT, FAKE_MUNMAP, FAKE_MADVISE, FAKE_MREMAP, FAKE_ANY
	};

	if (!set->fails)
		return;
	fake_os_reset();
	fail_page_alloc_enabled = false;
	ballast_drop();
	failing = rnd(8) != 0;
	if (!failing) {
		settle_again(); /* nor is remembered that it did */
		return;
	}
	for (unsigned int i = 0; i < 2; i++)
		fake_os_fail(ops[i], 1, true, ENOMEM);
	ballast_take(rnd(3));
	if (rnd(4) == 0)
		fake_os_fail(FAKE_MMAP, 1 + rnd(4), true, ENOMEM);
	if (rnd(2))
		fake_os_fail(ops[rnd(ARRAY_SIZE(ops))], 1 + rnd(40), rnd(2), ENOMEM);
	if (rnd(8) == 0) {
		fail_page_alloc = (struct fail_page_alloc){
			.attr = { .name = "fail_page_alloc", .probability = 1 + rnd(50), .interval = 1, .times = -1 },
			.min_order = rnd(4),
		};
		fail_page_alloc_enabled = true;
	}
}

/* Addresses that are no block's: an error, and nothing else. */
static void do_wrong(void)
{
	char *addr = pfn_to_addr(rnd(NR_FRAMES));
	struct block *b = block_any();
	int order;

	if (*frame_of(addr))
		return;
	order = bm_page_order(addr);
	must(order == -EINVAL && bm_page_node(addr) == -EINVAL, "%p is no block, and of order %d", addr, order);
	must(bm_set_page_movable(addr, &model_ops, NULL) == -EINVAL);
	if (!b || !b->order || is_compound(b))
		return;
	addr = b->addr + PAGE_SIZE * (1 + rnd((1UL << b->order) - 1));
	order = bm_page_order(addr);
	must(order == -EINVAL, "%p is inside of %p, and of order %d", addr, b->addr, order);
}

static void do_verify(void)
{
	struct block *b = block_any();

	if (b)
		block_verify(b);
}

static const struct op {
	const char *name;
	void (*fn)(void);
	unsigned int weight;
} ops_up[] = {
	{ "alloc_pages", do_alloc, 700 }, { "alloc_pages_exact", do_exact, 10 }, { "alloc_contig_pages", do_contig, 3 },
	{ "alloc_pages_bulk", do_bulk, 20 },
}, ops_down[] = {
	{ "free_pages", do_free, 800 }, { "free a run", do_free_run, 80 },
}, ops_other[] = {
	{ "get_page", do_get, 50 },	   { "split_page", do_split, 30 },     { "set_page_movable", do_movable, 150 },
	{ "compact_memory", do_compact, 2 }, { "memalloc_save", do_scope, 20 },  { "set_mempolicy", do_policy, 10 },
	{ "Mems_allowed", do_cpuset, 5 },    { "another CPU", do_cpu, 2 },	     { "drain", do_drain, 5 },
	{ "trim", do_trim, 4 },		   { "watermarks", do_marks, 5 },	     { "failing", do_fail, 5 },
	{ "wrong addresses", do_wrong, 20 }, { "verify", do_verify, 100 },
};

static const struct op *choose(const struct op *ops, size_t nr)
{
	unsigned int sum = 0, dice;
	size_t i;

	for (i = 0; i < nr; i++)
		sum += ops[i].weight;
	dice = rnd(sum);
	for (i = 0; dice >= ops[i].weight; i++)
		dice -= ops[i].weight;
	return &ops[i];
}

static void now_doing(const char *what)
{
	shared->step = step;
	snprintf(shared->doing, sizeof(shared->doing), "%s", what);
}

static void one_step(void)
{
	const struct op *op;
	bool full = model_pages > set->max_pages || nr_live > NR_BLOCKS / 2;

	if (step % 256 == 0)
		busy = 30 + 20 * rnd(3);
	if (rnd(4) == 0)
		op = choose(ops_other, ARRAY_SIZE(ops_other));
	else if (!full && rnd(100) < busy)
		op = choose(ops_up, ARRAY_SIZE(ops_up));
	else
		op = choose(ops_down, ARRAY_SIZE(ops_down));
	now_doing(op->name);
	not_advised = fake_os_failed(FAKE_MADVISE);
	op->fn();
	shared->most_pages = max_ul(shared->most_pages, model_pages);
	now_doing("checking");
	zones_check(set->debug & DEBUG_GUARDPAGE);
	if (step < 1000 || step % census_period == 0)
		census();
}

/* Everything is freed: then the zones have all their pages, in the largest blocks there can be. */
static void finish(void)
{
	struct zone *zone;
	int i;

	now_doing("finishing");
	fake_os_reset();
	fail_page_alloc_enabled = false;
	ballast_drop();
	min_free_kbytes = 0;
	setup_per_zone_wmarks();
	while (nr_scopes)
		bm_memalloc_restore(scopes[--nr_scopes]);
	while (nr_live)
		block_put(&blocks[live[nr_live - 1]]);
	drain_all_pages();
	census();
	zones_check(false);
	for_each_zone (zone, i)
		zone_trim(zone, 0);
	fake_sys_remove();
	for_each_zone (zone, i)
		must(zone->managed_pages == zone->nr_cma + zone->nr_reserved_highatomic,
		     "node %d zone %s: %lu pages, %lu of them free", zone->nid, zone_name(zone), zone->managed_pages,
		     zone->nr_free_pages);
	shared->moved = model_moves;
	now_doing("the end");
}

/* It is said once if the system fails just when a page is handed out that is the first of so many. */
static const char *may_say(void)
{
	bool owned = set->fails && set->debug & DEBUG_PAGE_OWNER;

	return owned ? "buddymalloc: page_owner: no memory for the records of 2^16 pages\n" : "";
}

static void pin(void)
{
	cpu_set_t cpus;
	int cpu;

	cpu_pinned = -1;
	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return;
	for (cpu = 0; cpu < CPU_SETSIZE && !CPU_ISSET(cpu, &cpus); cpu++)
		;
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	if (!sched_setaffinity(0, sizeof(cpus), &cpus) && os_cpu_id() == (unsigned int)cpu)
		cpu_pinned = cpu;
}

/* CPUs are on the nodes 0 and 2 by turns; 2 has no memory, and 1 is the nearest. */
static void four_nodes(void)
{
	char even[MAX_CPUS * 3] = "0", odd[MAX_CPUS * 3] = "1";

	fake_sys_nodes(4, 0);
	for (int cpu = 2; cpu < MAX_CPUS; cpu++) {
		char *list = cpu % 2 ? odd : even;

		snprintf(list + strlen(list), 8, ",%d", cpu);
	}
	fake_sys_write(FAKE_SYS_NODE "has_memory", "0-1,3\n");
	fake_sys_write(FAKE_SYS_NODE "node0/cpulist", even);
	fake_sys_write(FAKE_SYS_NODE "node2/cpulist", odd);
	fake_sys_write(FAKE_SYS_NODE "node2/distance", "30 15 10 20\n");
}

static void run_setting(void)
{
	now_doing("starting");
	model_state = model_seed + (uint64_t)(set - settings);
	model_reset();
	pin();
	fake_sys_init();
	if (set->nodes == 4)
		four_nodes();
	else
		fake_sys_nodes(1, 0);
	/* What follows the clock would not replay. */
	tunables.dirty_decay = 0;
	tunables.thp = THP_NEVER;
	model_start();
	mm_init_late();
	mems_allowed = memory_nodes();
	tunables.init_on_alloc = set->debug & DEBUG_INIT_ON_ALLOC;
	tunables.init_on_free = set->debug & DEBUG_INIT_ON_FREE;
	tunables.page_poison = set->debug & DEBUG_PAGE_POISON;
	tunables.page_owner = set->debug & DEBUG_PAGE_OWNER;
	tunables.debug_guardpage_minorder = set->debug & DEBUG_GUARDPAGE ? 2 : 0;
	debug_init();
	if (set->cma)
		must(!cma_declare_contiguous(set->cma, 0));
	for (step = 0; step < nr_steps; step++)
		one_step();
	finish();
}

int main(void)
{
	const char *given = getenv("T_STEPS"), *only = getenv("T_CASE");

	model_init();
	census_period = CAN_PLAN && !on_valgrind() ? 16 : 64;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(shared != MAP_FAILED);
	for (set = settings; set < settings + ARRAY_SIZE(settings); set++) {
		if (only && strtol(only, NULL, 0) != set - settings)
			continue;
		nr_steps = given ? strtoul(given, NULL, 0) : steps(10000UL * set->share);
		if (only)
			run_setting();
		else
			run_case_may_say(set->name, run_setting, may_say());
		diag("%lu steps: %lu blocks, %lu failed, %lu moved, %lu pages at most", shared->step, shared->served,
		     shared->failed, shared->moved, shared->most_pages);
		if (strcmp(shared->doing, "the end"))
			diag("at step %lu: %s (SEED=%llu)", shared->step, shared->doing,
			     (unsigned long long)model_seed);
		memset(shared, 0, sizeof(*shared));
	}
	return done_testing();
}
