/* SPDX-License-Identifier: MIT */
/*
 * giveback SIZE BLOCK [huge]: SIZE MiB are allocated in blocks of BLOCK bytes, written, and freed; one line says how
 * long the freeing took, and how much of that the processor was at it, how much of the memory the system had backed
 * with hugepages, and how much less the process has of address space and of resident memory after it. huge: the program
 * asks for hugepages itself, before it writes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define HUGEPAGE ((size_t)2 << 20)

static double now_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* Sums of the lines of a file of /proc/self that begin with the name, in kB. */
static long kilobytes(const char *path, const char *name)
{
	FILE *file = fopen(path, "r");
	char line[512];
	long sum = 0;

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)))
			sum += strtol(line + strlen(name), NULL, 10);
	if (file)
		fclose(file);
	return sum;
}

int main(int argc, char **argv)
{
	size_t size = argc > 2 ? strtoul(argv[1], NULL, 10) << 20 : 0;
	size_t block = argc > 2 ? strtoul(argv[2], NULL, 10) : 0, nr, i;
	char **blocks, *low = (char *)-1, *high = NULL;
	long vm, rss, huge;
	double begin, cpu_begin, ms, cpu_ms;

	if (!size || !block) {
		fprintf(stderr, "usage: giveback MIB BYTES [huge]\n");
		return 2;
	}
	nr = size / block;
	blocks = mmap(NULL, nr * sizeof(*blocks), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < nr; i++) {
		blocks[i] = blocks != MAP_FAILED ? malloc(block) : NULL;
		if (!blocks[i]) {
			fprintf(stderr, "giveback: memory ended after %zu MiB\n", i * block >> 20);
			return 1;
		}
		low = blocks[i] < low ? blocks[i] : low;
		high = blocks[i] + block > high ? blocks[i] + block : high;
	}
	/* What of it is mapped is advised, whatever lies in between. */
	if (argc > 3)
		madvise((void *)((size_t)low & -HUGEPAGE), (size_t)(high - low + HUGEPAGE) & -HUGEPAGE, MADV_HUGEPAGE);
	for (i = 0; i < nr; i++)
		memset(blocks[i], 1, block);
	vm = kilobytes("/proc/self/status", "VmSize:");
	rss = kilobytes("/proc/self/status", "VmRSS:");
	huge = kilobytes("/proc/self/smaps", "AnonHugePages:");
	begin = now_ms(CLOCK_MONOTONIC);
	cpu_begin = now_ms(CLOCK_PROCESS_CPUTIME_ID);
	for (i = 0; i < nr; i++)
		free(blocks[i]);
	cpu_ms = now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu_begin;
	ms = now_ms(CLOCK_MONOTONIC) - begin;
	printf("free_ms=%.3f cpu_ms=%.3f huge_kb=%ld vm_kb=%ld rss_kb=%ld\n", ms, cpu_ms, huge,
	       vm - kilobytes("/proc/self/status", "VmSize:"), rss - kilobytes("/proc/self/status", "VmRSS:"));
	return 0;
}
