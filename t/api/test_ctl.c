/* SPDX-License-Identifier: MIT */
/*
 * bm_ctl_get and bm_ctl_set: what each name says and does, and every way to ask for nonsense.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

#include "api.h"
#include "reports.h"

static char value[256];

/* The value of a name that can be read. */
static const char *get(const char *name)
{
	int n = bm_ctl_get(name, value, sizeof(value));

	if (n < 0 || (size_t)n != strlen(value))
		bail_out("bm_ctl_get(%s) is %d", name, n);
	return value;
}

static void want_value(const char *name, const char *expected)
{
	want(!strcmp(get(name), expected), "%s is '%s', not '%s'", name, value, expected);
}

static void want_set(const char *name, const char *text, int result)
{
	int ret = bm_ctl_set(name, text);

	want(ret == result, "%s = '%s' is %d, not %d", name, text, ret, result);
}

static void test_arguments(void)
{
	char buf[16] = "untouched";
	int n;

	want(bm_ctl_get(NULL, buf, sizeof(buf)) == -EINVAL && bm_ctl_get("version", NULL, 10) == -EINVAL,
	     "NULL to get");
	want(bm_ctl_set(NULL, "1") == -EINVAL && bm_ctl_set("vm.min_free_kbytes", NULL) == -EINVAL, "NULL to set");
	want(bm_ctl_get("", buf, sizeof(buf)) == -ENOENT && bm_ctl_get("vm.", buf, sizeof(buf)) == -ENOENT &&
		     bm_ctl_get("vm.min_free_kbytes ", buf, sizeof(buf)) == -ENOENT &&
		     bm_ctl_get("vm.swappiness", buf, sizeof(buf)) == -ENOENT,
	     "unknown names to get");
	want_set("", "1", -ENOENT);
	want_set("vm.swappiness", "1", -ENOENT);
	want_set("VERSION", "1", -ENOENT);
	n = (int)strlen(bm_version());
	want(bm_ctl_get("version", buf, 0) == -ENOSPC && bm_ctl_get("version", buf, (size_t)n) == -ENOSPC, "no room");
	want(!strcmp(buf, "untouched"), "and yet '%s'", buf);
	want(bm_ctl_get("version", buf, (size_t)n + 1) == n && !strcmp(buf, bm_version()), "just enough room");
	want_set("version", "1", -EPERM);
	want_set("page_size", "4096", -EPERM);
	want_set("nodes", "0", -EPERM);
	want_value("page_size", "4096");
	want(get("nodes")[0] >= '0' && strspn(value, "0123456789,-") == strlen(value), "nodes are '%s'", value);
	verdict("names, room and rights");
}

/* A descriptor to poll, and the figures. */
static void test_pressure(void)
{
	struct pollfd p = { .events = POLLIN };
	char again[16];

	want(!strncmp(get("pressure.memory"), "some avg10=", 11) && strstr(value, "\nfull avg10="), "figures: %s",
	     value);
	want_set("pressure.memory", "1", -EPERM);
	strcpy(again, get("pressure.eventfd"));
	p.fd = atoi(again);
	want(fcntl(p.fd, F_GETFD) == FD_CLOEXEC && !strcmp(get("pressure.eventfd"), again), "descriptor %s", again);
	want(poll(&p, 1, 0) == 0, "memory does not end");
	want_set("pressure.eventfd", "1", -EPERM);
	close(p.fd);
	verdict("pressure figures and their descriptor");
}

static void test_tunables(void)
{
	char before[32];

	strcpy(before, get("dirty_max"));
	want(strspn(before, "0123456789") == strlen(before), "dirty_max is '%s'", before);
	want_set("dirty_max", "7m", 0);
	want_value("dirty_max", "7340032");
	want(mallopt(M_TRIM_THRESHOLD, 123456) == 1, "mallopt");
	want_value("dirty_max", "123456");
	want_set("dirty_max", "seven", -EINVAL);
	want_set("dirty_max", "", -EINVAL);
	want_set("dirty_max", "-1", -EINVAL);
	want_set("dirty_max", "65t", -EINVAL);
	want_set("dirty_max", "7m 7m", -EINVAL);
	want_value("dirty_max", "123456");
	want_set("dirty_max", before, 0);
	want_set("dirty_decay", " 2000\n", 0);
	want_value("dirty_decay", "2000");
	want_set("thp", "never", 0);
	want_value("thp", "never");
	want_set("thp", "auto", 0);
	want_set("foreign_free", "warn", 0);
	want_value("foreign_free", "warn");
	want_set("foreign_free", "abort", 0);
	want_value("verbose", "false");
	want_set("verbose", "true", -EPERM);
	want_set("stats_file", "/tmp/x", -EPERM);
	want_set("thp_threshold", "1m", -EPERM);
	want_value("thp_threshold", "67108864");
	want_value("stats_file", "");
	verdict("configuration keys are read, and some are set");
}

static struct proc_zone zone_normal(void)
{
	const struct proc_zone *z;
	int nr = report_zones(&z);

	for (int i = 0; i < nr; i++)
		if (z[i].managed && !strcmp(z[i].zone, "Normal"))
			return z[i];
	bail_out("zoneinfo has no zone Normal");
}

static void test_watermarks(void)
{
	struct proc_zone z;

	want_value("vm.min_free_kbytes", "0");
	z = zone_normal();
	want(z.min == 0 && z.high == 0, "no marks at first: %lu %lu", z.min, z.high);
	want_set("vm.min_free_kbytes", "400", 0);
	want_value("vm.min_free_kbytes", "400");
	want_set("vm.watermark_scale_factor", "1000", 0);
	want_value("vm.watermark_scale_factor", "1000");
	z = zone_normal();
	want(z.min > 0 && z.min <= 100 && z.low - z.min >= z.managed / 10 - 1 && z.high > z.low,
	     "marks of %lu pages: %lu %lu %lu", z.managed, z.min, z.low, z.high);
	want_set("vm.watermark_scale_factor", "0", -EINVAL);
	want_set("vm.watermark_scale_factor", "3001", -EINVAL);
	want_set("vm.min_free_kbytes", "-1", -EINVAL);
	want_set("vm.min_free_kbytes", "4k", -EINVAL);
	want_set("vm.min_free_kbytes", "0x", -EINVAL);
	want_set("vm.min_free_kbytes", "99999999999999999999999999", -EINVAL);
	want_set("vm.min_free_kbytes", "400 400", -EINVAL);
	want_set("vm.min_free_kbytes", " \n", -EINVAL);
	want_value("vm.min_free_kbytes", "400");
	want_value("vm.watermark_scale_factor", "1000");
	want_set("vm.min_free_kbytes", "\t0x0\n", 0);
	want(zone_normal().high == 0, "and none at last");
	want_set("vm.watermark_scale_factor", "10", 0);
	want_set("vm.watermark_boost_factor", "20000", 0);
	want_value("vm.watermark_boost_factor", "20000");
	want_set("vm.watermark_boost_factor", "15000", 0);
	verdict("vm.min_free_kbytes and the factors move the marks");
}

static void test_array(void)
{
	char before[64];

	strcpy(before, get("vm.lowmem_reserve_ratio"));
	want_set("vm.lowmem_reserve_ratio", "11 22\t33", 0);
	want_value("vm.lowmem_reserve_ratio", "11\t22\t33");
	want_set("vm.lowmem_reserve_ratio", "44", 0);
	want_value("vm.lowmem_reserve_ratio", "44\t22\t33");
	want_set("vm.lowmem_reserve_ratio", "1 2 3 4", -EINVAL);
	want_set("vm.lowmem_reserve_ratio", "1 x 3", -EINVAL);
	want_set("vm.lowmem_reserve_ratio", "1,2,3", -EINVAL);
	want_set("vm.lowmem_reserve_ratio", "1 2 -3", -EINVAL);
	want_value("vm.lowmem_reserve_ratio", "44\t22\t33");
	want_set("vm.lowmem_reserve_ratio", before, 0);
	want_value("vm.lowmem_reserve_ratio", before);
	verdict("vm.lowmem_reserve_ratio is a value for each zone");
}

static void test_actions(void)
{
	enum { SIZE = 8 << 20 };
	unsigned long pages = report_vmstat("drop_pagecache"), slabs = report_vmstat("drop_slab");
	void *p = malloc(SIZE);

	/* A third of it may be dirty where nothing is in use. */
	want_set("dirty_max", "48m", 0);
	want(bm_ctl_get("vm.compact_memory", value, sizeof(value)) == -EPERM, "this action has no value");
	want_value("vm.drop_caches", "0");
	memset(p, 1, SIZE);
	free(p);
	want(report_vmstat("arena_dirty") > 0, "a free block is not dirty");
	want_set("vm.drop_caches", "2", 0);
	want(report_vmstat("drop_pagecache") == pages && report_vmstat("drop_slab") == slabs + 1, "2 drops slabs");
	want_set("vm.drop_caches", "1\n", 0);
	want(report_vmstat("drop_pagecache") == pages + 1 && report_vmstat("drop_slab") == slabs + 1, "1 drops pages");
	/* Under memcheck a freed block rests for a while. */
	want(api_under_valgrind() || report_vmstat("arena_dirty") == 0, "they are still there");
	want(api_under_valgrind() || strtoul(get("vm.drop_caches"), NULL, 10) >= SIZE, "only %s bytes went", value);
	want_set("vm.drop_caches", "3", 0);
	want(strtoul(get("vm.drop_caches"), NULL, 10) < SIZE, "%s bytes more", value);
	want(report_vmstat("drop_pagecache") == pages + 2 && report_vmstat("drop_slab") == slabs + 2, "3 drops both");
	want_set("vm.drop_caches", "0", -EINVAL);
	want_set("vm.drop_caches", "4", -EINVAL);
	want_set("vm.drop_caches", "", -EINVAL);
	want(report_vmstat("drop_slab") == slabs + 2, "a bad value drops");
	want_set("vm.compact_memory", "1", 0);
	want_set("vm.compact_memory", "0", -EINVAL);
	want_set("vm.compact_memory", "2", -EINVAL);
	want_value("vm.extfrag_threshold", "500");
	want_set("vm.extfrag_threshold", "1000", 0);
	want_value("vm.extfrag_threshold", "1000");
	want_set("vm.extfrag_threshold", "1001", -EINVAL);
	want_set("vm.extfrag_threshold", "500", 0);
	want_set("vm.zone_reclaim_mode", "1", 0);
	want_value("vm.zone_reclaim_mode", "1");
	want_set("vm.zone_reclaim_mode", "8", -EINVAL);
	want_set("vm.zone_reclaim_mode", "0", 0);
	want_set("dirty_max", "12m", 0);
	verdict("vm.drop_caches and vm.compact_memory act");
}

static void test_pcp_high(void)
{
	unsigned long high = 0, bounded_high = 0;
	static struct proc_zone z, bounded;
	int i;

	bm_free_pages(bm_alloc_pages(BM_GFP_KERNEL, 1), 1); /* opens this CPU's lists */
	z = zone_normal();
	want_value("vm.percpu_pagelist_high_fraction", "0");
	want_set("vm.percpu_pagelist_high_fraction", "7", -EINVAL);
	want_set("vm.percpu_pagelist_high_fraction", "-8", -EINVAL);
	want_set("vm.percpu_pagelist_high_fraction", "100000", 0);
	bounded = zone_normal();
	for (i = 0; i < z.nr_cpus; i++) {
		high += z.cpu[i].high;
		bounded_high += bounded.cpu[i].high;
		want(bounded.cpu[i].high <= z.cpu[i].high && !bounded.cpu[i].count, "CPU %d: %lu, and %lu in it", i,
		     bounded.cpu[i].high, bounded.cpu[i].count);
	}
	if (api_under_valgrind()) /* while memcheck listens the lists are closed */
		want(!high && !bounded_high, "%lu before, %lu with a bound", high, bounded_high);
	else
		want(high > 0 && bounded_high < high, "%lu before, %lu with a bound", high, bounded_high);
	want_set("vm.percpu_pagelist_high_fraction", "0", 0);
	verdict("vm.percpu_pagelist_high_fraction bounds the per-CPU lists");
}

/* Blocks of order 4 and above, from the second on, twice. */
static void test_faults(void)
{
	void *p[5];
	int i;

	want_value("fail_page_alloc.probability", "0");
	want_value("fail_page_alloc.task-filter", "N");
	want_set("fail_page_alloc.task-filter", "x", -EINVAL);
	want_set("fail_page_alloc.task-filter", "YY", -EINVAL);
	want_set("fail_page_alloc.task-filter", "Y", 0);
	want_value("fail_page_alloc.task-filter", "Y");
	want_set("fail_page_alloc.task-filter", "0", 0);
	want_value("fail_page_alloc.task-filter", "N");
	want_set("fail_page_alloc.ignore-gfp-wait", "N", 0);
	want_set("fail_page_alloc.min-order", "4", 0);
	want_set("fail_page_alloc.min-order", "11", -EINVAL);
	want_set("fail_page_alloc.verbose", "0", 0);
	want_set("fail_page_alloc.verbose", "3", -EINVAL);
	want_set("fail_page_alloc.space", "70000", 0);
	want_value("fail_page_alloc.space", "70000");
	want_set("fail_page_alloc.interval", "1", 0);
	want_set("fail_page_alloc.times", "-2", -EINVAL);
	want_set("fail_page_alloc.times", "-1", 0);
	want_value("fail_page_alloc.times", "-1");
	want_set("fail_page_alloc.times", "2", 0);
	want_set("fail_page_alloc.probability", "101", -EINVAL);
	want_set("fail_page_alloc.probability", "100", 0);
	want_value("fail_page_alloc.probability", "100");
	for (i = 0; i < 5; i++)
		p[i] = bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_NOWARN, i < 4 ? 4 : 3);
	want(p[0] && !p[1] && !p[2] && p[3] && p[4], "%p %p %p %p %p", p[0], p[1], p[2], p[3], p[4]);
	want_value("fail_page_alloc.times", "0");
	want_value("fail_page_alloc.min-order", "4");
	want_set("fail_page_alloc.probability", "0", 0);
	for (i = 0; i < 5; i++)
		bm_free_pages(p[i], i < 4 ? 4 : 3);
	want_set("fail_page_alloc.min-order", "0", 0);
	want_value("fault.make-it-fail", "0");
	want_set("fault.make-it-fail", "2", -EINVAL);
	want_set("fault.make-it-fail", "1", 0);
	want_value("fault.make-it-fail", "1");
	want_set("fault.make-it-fail", "0", 0);
	want_set("fault.seed", "12345", 0);
	want_value("fault.seed", "12345");
	want_set("fault.seed", "-1", -EINVAL);
	want_set("failslab.min-order", "0", -ENOENT);
	want_value("failslab.probability", "0");
	want_set("failslab.verbose", "0", 0);
	want_set("failslab.times", "1", 0);
	want_set("failslab.probability", "100", 0);
	p[0] = malloc(100);
	p[1] = malloc(100);
	want_set("failslab.probability", "0", 0);
	want(!p[0] && p[1], "malloc %p %p", p[0], p[1]);
	free(p[1]);
	verdict("fail_page_alloc and failslab by their names below debugfs");
}

static int stop;

static void *churn(void *arg)
{
	size_t size = (size_t)arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		void *p = malloc(size), *q = bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_NOWARN, 0);

		if (p)
			memset(p, 1, 1);
		free(p);
		if (q)
			bm_free_pages(q, 0);
	}
	return NULL;
}

/* Nothing waits for those who read a value. */
static void test_threads(void)
{
	static const char *const values[][3] = {
		{ "dirty_max", "0", "16m" },
		{ "dirty_decay", "1", "1000" },
		{ "thp", "never", "auto" },
		{ "vm.min_free_kbytes", "1000", "0" },
		{ "vm.percpu_pagelist_high_fraction", "1000", "0" },
		{ "vm.drop_caches", "3", "3" },
		{ "vm.zone_reclaim_mode", "1", "0" },
	};
	pthread_t thread[2];
	int i, round, rounds = api_slow() ? 3 : 50;

	for (i = 0; i < 2; i++)
		if (pthread_create(&thread[i], NULL, churn, (void *)(i ? (size_t)3 << 20 : (size_t)100)))
			bail_out("no thread");
	for (round = 0; round < rounds; round++)
		for (i = 0; i < (int)API_ARRAY_SIZE(values); i++)
			want_set(values[i][0], values[i][1 + round % 2], 0);
	for (i = 0; i < (int)API_ARRAY_SIZE(values); i++)
		want_set(values[i][0], values[i][2], 0);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	verdict("values are set while threads allocate");
}

int main(void)
{
	api_prove_served();
	test_arguments();
	test_pressure();
	test_tunables();
	test_watermarks();
	test_array();
	test_actions();
	test_pcp_high();
	test_faults();
	test_threads();
	return done_testing();
}
