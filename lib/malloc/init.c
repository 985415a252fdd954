/* SPDX-License-Identifier: MIT */
/*
 * First use, and configuration. The first malloc may come from the loader, before libc knows the environment, so
 * there are two steps: the heap with default settings whenever it is first needed, and the configuration when the
 * constructor is given the environment. The constructor itself needs the heap only where there is something to set: the
 * process may never call malloc. But it reads all that is read of the system, for later the program may forbid that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/annotate.h"
#include "base/lock.h"
#include "base/message.h"
#include "base/tunables.h"
#include "malloc/fork.h"
#include "malloc/heap.h"
#include "malloc/stats.h"
#include "mm/budget.h"
#include "mm/debug.h"
#include "mm/fault_inject.h"
#include "mm/hugetlb.h"
#include "mm/kswapd.h"
#include "mm/oom.h"
#include "mm/page_alloc.h"
#include "mm/page_isolation.h"
#include "os/limits.h"
#include "os/os.h"
#include "slab/slab.h"
#include "slab/tcache.h"

#define CONF_FILE "/etc/buddymalloc.conf"

/* A program may define it to bring its own configuration. */
extern const char *bm_conf __attribute__((weak));

static struct mutex init_lock = MUTEX_INIT(RANK_INIT);
bool heap_ready;
static bool configured;

/* What only a process of several threads needs. */
static void prepare_for_threads(void)
{
	fork_handlers_register();
	kswapd_belongs_here();
}

cold bool heap_init_slow(void)
{
	static bool told;
	bool ok;

	mutex_lock(&init_lock);
	ok = READ_ONCE(heap_ready);
	if (!ok) {
		os_set_rare_text_apart();
		annotate_init();
		heap_watched = annotate_listening;
		ok = !mm_init();
	}
	if (ok && !heap_ready) {
		slab_init();
		tcache_init();
		tcache_on_second_thread(prepare_for_threads);
		kswapd_before_start = fork_handlers_register;
		hugetlb_before_first = fork_handlers_register;
		if (configured)
			mm_init_late();
		smp_store_release(&heap_ready, true);
	}
	if (!ok && !told) {
		told = true;
		bm_warn("the system gives no memory for the heap: every allocation will fail until it does");
	}
	mutex_unlock(&init_lock);
	return ok;
}

/* Settings are those of a heap that is there. */
static void parse(const char *text, size_t len, const char *from)
{
	heap_init();
	tunables_parse(text, len, from);
}

/* The value of KEY in an environment string, or NULL. */
static const char *env_value(const char *env, const char *key)
{
	for (; *key; key++, env++)
		if (*env != *key)
			return NULL;
	return *env == '=' ? env + 1 : NULL;
}

static bool is_on(const char *value)
{
	return *value && strcmp(value, "0") != 0;
}

static void read_environment(char **envp)
{
	const char *value;

	for (; *envp; envp++) {
		if ((value = env_value(*envp, "BUDDYMALLOC_CONF")))
			parse(value, strlen(value), "BUDDYMALLOC_CONF");
		else if ((value = env_value(*envp, "BUDDYMALLOC_SHOW_STATS")))
			tunables.show_stats = is_on(value);
		else if ((value = env_value(*envp, "BUDDYMALLOC_VERBOSE")))
			tunables.verbose = is_on(value);
	}
}

static void read_conf_file(void)
{
	static later_data char text[TUNABLES_MAX_LEN + 2];
	long len = os_read_file(CONF_FILE, text, sizeof(text));

	if (len > 0)
		parse(text, (size_t)len, CONF_FILE);
	else if (len < 0 && len != -ENOENT && len != -ENOTDIR && len != -EACCES)
		bm_warn("cannot read %s: error %ld; going on without it", CONF_FILE, -len);
}

static void say_hello(void)
{
	bm_warn("%s serves malloc: %u CPUs, %u %snode%s, thp:%s, dirty_max:%lu KiB", PACKAGE_VERSION, topology.nr_cpus,
		topology.nr_nodes, topology.fake ? "fake " : "", topology.nr_nodes == 1 ? "" : "s",
		tunables.thp == THP_AUTO     ? "auto"
		: tunables.thp == THP_ALWAYS ? "always"
					     : "never",
		tunables.dirty_max >> 10);
}

/* What few processes want is called only where it is wanted: so its code is not paged in for the others. */
static void apply_options(void)
{
	if (tunables.init_on_alloc || tunables.init_on_free || tunables.page_poison || tunables.page_owner ||
	    tunables.debug_guardpage_minorder)
		debug_init();
	if (tunables.cma.nr)
		cma_reserve();
	if (tunables.fail_page_alloc.probability || tunables.failslab.probability)
		fault_inject_init();
	if (tunables.limit || os_memory_is_limited()) {
		heap_init();
		budget_init();
	}
	if (tunables.kswapd == KSWAPD_ON)
		prepare_for_threads();
}

/* Nodes are made of one when the heap has been in use for a while. Its memory is the first one's. */
static cold void emulate_nodes(void)
{
	int err = tcache_threads() > 1 ? -EBUSY : numa_emulation(tunables.numa);

	if (err) {
		bm_warn("numa:fake=%u: %s; going on without", tunables.numa,
			err == -EBUSY	 ? "there are threads already"
			: err == -EEXIST ? "this machine has several nodes"
					 : "no memory");
		return;
	}
	tcache_flush();
	slab_nodes_init();
}

__attribute__((constructor)) static void configure(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	if (&bm_conf && bm_conf)
		parse(bm_conf, strlen(bm_conf), "bm_conf");
	read_conf_file();
	if (envp && !os_secure())
		read_environment(envp);
	if (tunables.numa)
		emulate_nodes();
	mm_init_early();
	if (topology.nr_nodes > 1) /* what the process's policy and cpuset are is read for the heap */
		heap_init();
	configured = true;
	if (heap_ready)
		mm_init_late();
	oom_show_heap = stats_show_heap;
	apply_options();
	if (tunables.show_stats || tunables.verbose)
		heap_init();
	if (tunables.show_stats || tunables.stats_file[0]) /* which may turn out not to be writable */
		stats_keep_stderr();
	if (tunables.verbose)
		say_hello();
}

__attribute__((destructor)) static void report_at_exit(void)
{
	if (tunables.stats_file[0] || tunables.show_stats)
		stats_report();
}
