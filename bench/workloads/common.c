/* SPDX-License-Identifier: MIT */
/* Errors, memory figures, threads and random sequences for the workloads. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "workload.h"

#define IDLE_SECONDS 2

void wl_die(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	_exit(1);
}

uint64_t wl_scaled(const struct wl_params *params, uint64_t n)
{
	double scaled = (double)n * params->scale;

	return scaled < 1.0 ? 1 : (uint64_t)scaled;
}

/* A figure of a file in /proc, read without touching the allocator that is measured. */
static long figure_kb(const char *file, const char *key)
{
	char text[8192];
	ssize_t len;
	char *at;
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		wl_die("%s: %s", file, strerror(errno));
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[len > 0 ? len : 0] = '\0';
	at = strstr(text, key);
	if (!at)
		wl_die("%s has no '%s'", file, key);
	return strtol(at + strlen(key), NULL, 10);
}

static long status_kb(const char *key)
{
	return figure_kb("/proc/self/status", key);
}

long wl_available_kb(void)
{
	return figure_kb("/proc/meminfo", "MemAvailable:");
}

long wl_rss_kb(void)
{
	return status_kb("VmRSS:");
}

long wl_peak_kb(void)
{
	return status_kb("VmHWM:");
}

long wl_peak_vm_kb(void)
{
	return status_kb("VmPeak:");
}

void wl_idle_rss(struct wl_result *result)
{
	struct timespec ts = { .tv_sec = IDLE_SECONDS };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
	result->slept = IDLE_SECONDS;
	result->rss_idle_kb = wl_rss_kb();
}

void *wl_alloc(size_t size)
{
	void *p = malloc(size);

	if (!p)
		wl_die("malloc(%zu): %s", size, strerror(errno));
	return p;
}

void *wl_zalloc(size_t nr, size_t size)
{
	void *p = calloc(nr, size);

	if (!p)
		wl_die("calloc(%zu, %zu): %s", nr, size, strerror(errno));
	return p;
}

void wl_start_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	int error = pthread_create(thread, NULL, fn, arg);

	if (error)
		wl_die("pthread_create: %s", strerror(error));
}

void wl_join_thread(pthread_t thread)
{
	int error = pthread_join(thread, NULL);

	if (error)
		wl_die("pthread_join: %s", strerror(error));
}

void wl_run_threads(unsigned int nr, void *(*fn)(void *), void *arg, size_t size)
{
	pthread_t *threads = wl_alloc(nr * sizeof(*threads));

	for (unsigned int i = 0; i < nr; i++)
		wl_start_thread(&threads[i], fn, (char *)arg + i * size);
	for (unsigned int i = 0; i < nr; i++)
		wl_join_thread(threads[i]);
	free(threads);
}

void wl_add(struct wl_result *to, const struct wl_result *from)
{
	to->ops += from->ops;
	to->sum += from->sum;
}

struct wl_rng wl_rng(uint64_t seed, uint64_t stream)
{
	return (struct wl_rng){ .state = wl_mix(wl_mix(seed + 1) + stream) };
}
