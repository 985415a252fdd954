/* SPDX-License-Identifier: MIT */
/*
 * bench/workload NAME [--scale X] [--seed N] [--threads N]: runs one workload and prints one line about it.
 *
 * The time covers the work alone. The peak is VmHWM of this process, so that the memory of whoever started
 * it is kept out. The idle figure is VmRSS after the work and two seconds of sleep.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "workload.h"

static const struct workload *const workloads[] = {
	&wl_small, &wl_mixed, &wl_prodcons, &wl_larson,	 &wl_xmalloc, &wl_large,   &wl_midlarge, &wl_realloc,
	&wl_churn, &wl_frag,  &wl_json,	    &wl_oversub, &wl_calloc,  &wl_strings, &wl_idle,
};

#define NR_WORKLOADS (sizeof(workloads) / sizeof(workloads[0]))

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double seconds(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static double cpu_now(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/* Which object serves malloc here: the proof that a preloaded library did. */
static const char *malloc_object(void)
{
	Dl_info info;

	if (!dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info) || !info.dli_fname)
		return "unknown";
	return info.dli_fname;
}

static void list(void)
{
	for (size_t i = 0; i < NR_WORKLOADS; i++)
		printf("%-10s %s\n", workloads[i]->name, workloads[i]->what);
}

static const struct workload *find(const char *name)
{
	for (size_t i = 0; i < NR_WORKLOADS; i++) {
		if (!strcmp(workloads[i]->name, name))
			return workloads[i];
	}
	wl_die("no workload is called '%s'; --list shows them", name);
}

static double number(const char *option, const char *text, double min, double max)
{
	char *end;
	double value;

	if (!text)
		wl_die("%s needs a number", option);
	value = strtod(text, &end);
	if (end == text || *end || !(value >= min && value <= max))
		wl_die("%s: '%s' is not a number from %g to %g", option, text, min, max);
	return value;
}

static void parse(int argc, char **argv, struct wl_params *params)
{
	for (int i = 2; i < argc; i += 2) {
		if (!strcmp(argv[i], "--scale"))
			params->scale = number(argv[i], argv[i + 1], 1e-6, 1e6);
		else if (!strcmp(argv[i], "--seed"))
			params->seed = (uint64_t)number(argv[i], argv[i + 1], 0, 1e15);
		else if (!strcmp(argv[i], "--threads"))
			params->threads = (unsigned int)number(argv[i], argv[i + 1], 1, 1024);
		else
			wl_die("unknown option '%s'; there are --scale, --seed and --threads", argv[i]);
	}
}

int main(int argc, char **argv)
{
	struct wl_params params = { .seed = 1, .scale = 1.0 };
	struct wl_result result = { 0 };
	const struct workload *wl;
	double start, cpu, elapsed;
	long peak;

	if (argc < 2)
		wl_die("usage: workload --list | NAME [--scale X] [--seed N] [--threads N]");
	if (!strcmp(argv[1], "--list")) {
		list();
		return 0;
	}
	wl = find(argv[1]);
	params.threads = wl->threads;
	parse(argc, argv, &params);

	cpu = cpu_now();
	start = now();
	wl->run(&params, &result);
	elapsed = now() - start - result.slept;
	cpu = cpu_now() - cpu;
	peak = wl_peak_kb();
	if (!result.rss_idle_kb)
		wl_idle_rss(&result);
	printf("workload=%s ops=%llu checksum=%016llx elapsed_s=%.6f cpu_s=%.6f ", wl->name,
	       (unsigned long long)result.ops, (unsigned long long)result.sum, elapsed, cpu);
	printf("peak_kb=%ld peak_vm_kb=%ld rss_idle_kb=%ld live_kb=%llu malloc=%s\n", peak, wl_peak_vm_kb(),
	       result.rss_idle_kb, (unsigned long long)result.live >> 10, malloc_object());
	return 0;
}
