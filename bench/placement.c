/* SPDX-License-Identifier: MIT */
/*
 * placement [-t] [-n BLOCKS] [-p PREFIX]: where the memory lies that threads of a machine of several nodes get from
 * malloc.
 *
 * Each case is a child. It ends with blocks that a thread on some node has or uses, and prints a line: the share of
 * them that do not lie on that node, by move_pages(2), and what an access to them costs by the model of bench/README:
 * the mean of the distance to the node that a block lies on, by 10. -t: and the ns of an access in random order.
 */
#include <errno.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_NODES 64
#define BLOCK 1000UL
#define LARGE (256UL << 10)
#define RING 1024UL
#define HANDED_OVER 1000000UL
#define STEPS 2000000UL

static struct {
	cpu_set_t cpus;
	int distance[MAX_NODES];
	unsigned long kib; /* 0: it is not there, or has no memory */
} node[MAX_NODES];
static unsigned long online;
static int nr_nodes, here = -1, there = -1; /* two with CPUs and memory, as far from each other as can be */

static int timed;
static const char *prefix = "";
static char **block;
static unsigned long nr_blocks = 40000, nr_max;

static void die(const char *what)
{
	fprintf(stderr, "placement: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Without malloc, whose pages are counted. */
static int read_sys(int nid, const char *name, char *text, size_t len)
{
	char path[96];
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/%s", nid, name);
	file = fopen(path, "r");
	if (!file)
		return -1;
	n = fread(text, 1, len - 1, file);
	fclose(file);
	text[n] = '\0';
	return 0;
}

static void read_node(int nid)
{
	char text[4096], *p, *end;
	long from, to;

	/* They stand there in the order of the nodes that are online. */
	if (read_sys(nid, "distance", text, sizeof(text)))
		return;
	p = text;
	for (int i = 0; i < MAX_NODES; i++)
		if (online >> i & 1)
			node[nid].distance[i] = (int)strtol(p, &p, 10);
	if (!read_sys(nid, "meminfo", text, sizeof(text)) && (p = strstr(text, "MemTotal:")))
		node[nid].kib = strtoul(p + 9, NULL, 10);
	read_sys(nid, "cpulist", text, sizeof(text));
	for (p = text; from = strtol(p, &end, 10), end != p; p = end + (*end == ',')) {
		to = *end == '-' ? strtol(end + 1, &end, 10) : from;
		for (; from <= to; from++)
			CPU_SET((size_t)from, &node[nid].cpus);
	}
}

static int read_nodes(void)
{
	char text[4096];
	int most = 0;

	for (int nid = 0; nid < MAX_NODES; nid++)
		if (!read_sys(nid, "distance", text, sizeof(text)))
			online |= 1UL << (nr_nodes = nid);
	nr_nodes++;
	for (int nid = 0; nid < nr_nodes; nid++)
		read_node(nid);
	for (int a = 0; a < nr_nodes; a++)
		for (int b = 0; b < nr_nodes; b++)
			if (a != b && node[a].kib && node[b].kib && CPU_COUNT(&node[a].cpus) &&
			    CPU_COUNT(&node[b].cpus) && node[a].distance[b] > most) {
				most = node[a].distance[b];
				here = a;
				there = b;
			}
	return most;
}

static void run_on(int nid)
{
	if (sched_setaffinity(0, sizeof(cpu_set_t), &node[nid].cpus))
		die("sched_setaffinity");
}

static unsigned long nr;

static void fill(size_t size, unsigned long count, int touch)
{
	for (nr = 0; nr < count && nr < nr_max; nr++) {
		block[nr] = malloc(size);
		if (!block[nr])
			die("malloc");
		if (touch)
			memset(block[nr], 1, size);
	}
}

static void drop(void)
{
	while (nr)
		free(block[--nr]);
}

static double ns_of_access(void)
{
	unsigned long at = 0, seed = 1;
	struct timespec begin, end;

	for (unsigned long i = nr; i > 1; i--) {
		unsigned long j = (seed = seed * 6364136223846793005UL + 1442695040888963407UL, (seed >> 33) % i);
		char *p = block[j];

		block[j] = block[i - 1];
		block[i - 1] = p;
	}
	for (unsigned long i = 0; i < nr; i++)
		*(unsigned long *)block[i] = (i + 1) % nr;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (unsigned long i = 0; i < STEPS; i++)
		at = *(volatile unsigned long *)block[at];
	clock_gettime(CLOCK_MONOTONIC, &end);
	return ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) / STEPS;
}

/* The blocks, as the calling thread, on that node, sees them. */
static void report(const char *what, int nid)
{
	unsigned long remote = 0, distance = 0, found = 0;

	for (unsigned long i = 0; i < nr; i++) {
		void *page = (void *)((unsigned long)block[i] & ~4095UL);
		int on = -1;

		if (syscall(SYS_move_pages, 0, 1UL, &page, NULL, &on, 0) || on < 0)
			continue;
		found++;
		remote += on != nid;
		distance += (unsigned long)node[nid].distance[on];
	}
	if (!found)
		die("move_pages");
	printf("%s%-36s %7lu %6.1f %6.2f", prefix, what, found, 100.0 * (double)remote / (double)found,
	       (double)distance / (double)found / 10);
	if (timed)
		printf(" %7.1f", ns_of_access());
	printf("\n");
}

static void case_local(void)
{
	run_on(here);
	fill(BLOCK, nr_blocks, 1);
	report("allocated and used on one node", here);
}

static void case_remote(void)
{
	run_on(here);
	fill(BLOCK, nr_blocks, 1);
	run_on(there);
	report("allocated on one, used on another", there);
}

static void case_migrated(void)
{
	run_on(here);
	fill(BLOCK, nr_blocks, 1);
	drop();
	run_on(there);
	fill(BLOCK, nr_blocks, 1);
	report("thread moved, allocates anew", there);
}

/* One thread allocates, the other frees; then both allocate for themselves. */
static char *_Atomic ring[RING];

static void *consume(void *arg)
{
	run_on(there);
	for (unsigned long i = 0; i < HANDED_OVER; i++) {
		char *p;

		while (!(p = atomic_exchange(&ring[i % RING], NULL)))
			sched_yield();
		p[0]++;
		free(p);
	}
	return arg;
}

static void produce(void)
{
	for (unsigned long i = 0; i < HANDED_OVER; i++) {
		char *none = NULL, *p = malloc(BLOCK / 4);

		if (!p)
			die("malloc");
		memset(p, 1, BLOCK / 4);
		while (!atomic_compare_exchange_weak(&ring[i % RING], &none, p)) {
			none = NULL;
			sched_yield();
		}
	}
}

static void *consume_then_fill(void *arg)
{
	consume(NULL);
	fill(BLOCK / 4, nr_blocks, 1);
	report("consumer, after 10^6 blocks", there);
	return arg;
}

static void hand_over(void *(*consumer)(void *))
{
	pthread_t thread;

	run_on(here);
	if (pthread_create(&thread, NULL, consumer, NULL))
		die("pthread_create");
	produce();
	pthread_join(thread, NULL);
}

static void case_producer(void)
{
	hand_over(consume);
	fill(BLOCK / 4, nr_blocks, 1);
	report("producer, after 10^6 blocks", here);
}

static void case_consumer(void)
{
	hand_over(consume_then_fill);
}

static void case_forked(void)
{
	pid_t pid;

	run_on(here);
	fill(BLOCK, nr_blocks, 1);
	drop();
	fflush(stdout);
	pid = fork();
	if (!pid) {
		run_on(there);
		fill(BLOCK, nr_blocks, 1);
		report("child on another node", there);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void case_touched(void)
{
	run_on(here);
	fill(LARGE, nr_blocks * BLOCK / LARGE, 0);
	run_on(there);
	for (unsigned long i = 0; i < nr; i++) {
		memset(block[i], 1, LARGE);
		block[i] += LARGE / 2; /* what lies before the block may have been touched by malloc */
	}
	report("256 KiB, first touched elsewhere", there);
}

/* As by numactl --interleave=all: a program that is started so. */
static void case_interleaved(void)
{
	unsigned long mask = 0;
	char number[32];

	for (int nid = 0; nid < nr_nodes; nid++)
		mask |= node[nid].kib ? 1UL << nid : 0;
	if (syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &mask, 8 * sizeof(mask) + 1))
		die("set_mempolicy");
	snprintf(number, sizeof(number), "%lu", nr_blocks);
	execl("/proc/self/exe", "placement", "-i", "-n", number, "-p", prefix, timed ? "-t" : NULL, (char *)NULL);
	die("execl");
}

static int interleaved(void)
{
	run_on(here);
	fill(BLOCK, nr_blocks, 1);
	report("under interleave, over all nodes", here);
	return 0;
}

/* A third more than the node has left; only where that is little. */
static void case_exhausted(void)
{
	char text[4096], *p;
	unsigned long kib;

	run_on(here);
	if (read_sys(here, "meminfo", text, sizeof(text)) || !(p = strstr(text, "MemFree:")))
		return;
	kib = strtoul(p + 8, NULL, 10);
	if (kib > 1UL << 20)
		return;
	fill(4 * BLOCK, kib * 1024 / 3 * 4 / (4 * BLOCK), 1);
	report("a third more than the node has", here);
}

static void run_case(void (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		fn();
		fflush(stdout);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		fprintf(stderr, "placement: a case has ended with status %#x\n", status);
}

int main(int argc, char **argv)
{
	static void (*const cases[])(void) = {
		case_local,  case_remote,  case_migrated,    case_producer,  case_consumer,
		case_forked, case_touched, case_interleaved, case_exhausted,
	};
	int opt, is_interleaved = 0;

	while ((opt = getopt(argc, argv, "tn:p:i")) != -1) {
		if (opt == 't')
			timed = 1;
		else if (opt == 'n')
			nr_blocks = strtoul(optarg, NULL, 10);
		else if (opt == 'p')
			prefix = optarg;
		else if (opt == 'i')
			is_interleaved = 1;
		else
			return 2;
	}
	if (!read_nodes()) {
		fprintf(stderr, "placement: this machine has no two nodes with CPUs and memory\n");
		return 3;
	}
	nr_max = nr_blocks > 1UL << 20 ? nr_blocks : 1UL << 20;
	block = mmap(NULL, nr_max * sizeof(*block), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (block == MAP_FAILED)
		die("mmap");
	if (is_interleaved)
		return interleaved();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		run_case(cases[i]);
	return 0;
}
