/* SPDX-License-Identifier: MIT */
/*
 * What is said of an allocation that failed: the request, the zones and their free lists, on little stack, without a
 * lock, and not more than ten times in five seconds.
 */
#include <pthread.h>

#include "mm/internal.h"
#include "mm/pcp.h"
#include "mm/vmstat.h"
#include "fake_sys.h"
#include "model.h"

static char said[1 << 17];

/* What fn says on stderr; lines that begin with another prefix than ours fail. */
static const char *hear(void (*fn)(void))
{
	FILE *file = tmpfile();
	int saved = dup(2);
	ssize_t n;

	must(file && saved >= 0 && dup2(fileno(file), 2) == 2);
	fn();
	dup2(saved, 2);
	close(saved);
	n = pread(fileno(file), said, sizeof(said) - 1, 0);
	fclose(file);
	must(n >= 0);
	said[n] = '\0';
	for (const char *line = said; *line; line = strchr(line, '\n') + 1)
		must(!strncmp(line, "buddymalloc: ", 13) && strchr(line, '\n'), "%s", line);
	return said;
}

static int count(const char *words)
{
	int nr = 0;

	for (const char *p = said; (p = strstr(p, words)); p++)
		nr++;
	return nr;
}

static void fail_kernel(void)
{
	warn_alloc(GFP_KERNEL | GFP_ZERO, NULL, "page allocation failure: order:%u", 3);
}

static void fail_silently(void)
{
	warn_alloc(GFP_KERNEL | GFP_NOWARN, NULL, "page allocation failure: order:%u", 3);
}

static void request(void)
{
	char want[256];

	model_start();
	hear(fail_silently);
	must(!*said, "NOWARN is silent: %s", said);
	hear(fail_kernel);
	snprintf(want, sizeof(want),
		 "buddymalloc: %s: page allocation failure: order:3, mode:0x%x(GFP_KERNEL|GFP_ZERO), "
		 "nodemask=(null),mems_allowed=",
		 program_invocation_short_name, GFP_KERNEL | GFP_ZERO);
	must(!strncmp(said, want, strlen(want)), "%s", said);
	must(count("Mem-Info:\n") == 1 && count("PID: ") == 1);
}

/* "Node 0 Normal: 4*4kB (UM) 2*8kB (M) ... = 1234kB": the figures of each order, and the sum. */
static void check_free_lists(const struct zone *zone)
{
	char name[16], types[16], want[16], *end;
	unsigned long nr, kib, total = 0;
	const char *p = strstr(said, "Normal: ");
	unsigned int order, mt;
	int nid, len;

	must(p);
	for (p += 8, order = 0; order < MAX_ORDER; order++, p += len) {
		must(sscanf(p, "%lu*%lukB %n", &nr, &kib, &len) == 2 && kib == 4UL << order, "%s", p);
		must(nr == zone->free_area[order].nr_free, "order %u", order);
		total += nr * kib;
		if (!nr)
			continue;
		p += len;
		memset(want, 0, sizeof(want));
		for (mt = 0, end = want; mt < MIGRATE_TYPES; mt++)
			if (zone->free_area[order].free_list[mt] != NO_PFN)
				*end++ = "UMEHCI"[mt];
		must(sscanf(p, "(%15[UMEHCI]) %n", types, &len) == 1 && !strcmp(types, want), "%s", p);
	}
	must(sscanf(p, "= %lukB\n", &kib) == 1 && kib == total && total == zone->nr_free_pages * 4, "%s", p);
	must(sscanf(strstr(said, "Node 0 Normal: "), "Node %d %15[^:]", &nid, name) == 2 && nid == 0);
}

static void zones(void)
{
	struct zone *zone = model_start();
	unsigned long free, boost, min, low, high, highatomic, dirty, present, managed, pcp, local, cma;
	struct page *a[50], *b[50];
	const char *p;
	int n;

	for (n = 0; n < 50; n++) {
		a[n] = alloc_pages(GFP_USER, 0);
		b[n] = alloc_pages(GFP_USER | GFP_RECLAIMABLE, 4);
	}
	for (n = 0; n < 50; n += 2) {
		free_pages(a[n], 0);
		free_pages(b[n], 4);
	}
	min_free_kbytes = 256;
	setup_per_zone_wmarks();
	zone->watermark_boost = 3;
	hear(fail_kernel);
	p = strstr(said, "Node 0 Normal free:");
	must(p);
	must(sscanf(p,
		    "Node 0 Normal free:%lukB boost:%lukB min:%lukB low:%lukB high:%lukB reserved_highatomic:%lukB "
		    "dirty:%lukB present:%lukB managed:%lukB free_pcp:%lukB local_pcp:%lukB free_cma:%lukB\n",
		    &free, &boost, &min, &low, &high, &highatomic, &dirty, &present, &managed, &pcp, &local,
		    &cma) == 12,
	     "%s", p);
	must(free == zone->nr_free_pages * 4 && managed == zone->managed_pages * 4 && present == managed);
	must(boost == 12 && min == (zone->watermark[WMARK_MIN] + 3) * 4 && low == (zone->watermark[WMARK_LOW] + 3) * 4);
	must(high == (zone->watermark[WMARK_HIGH] + 3) * 4 && dirty == zone->nr_dirty * 4);
	must(pcp == nr_pcp_pages(zone) * 4 && pcp && local <= pcp && !highatomic && !cma);
	must(strstr(p, "lowmem_reserve[]: 0 0 0\n"));
	check_free_lists(zone);
}

static nodemask_t only;

static void fail_on_nodes(void)
{
	warn_alloc(GFP_ATOMIC, &only, "page allocation failure: order:%u", 0);
}

/* Of the nodes that may serve alone. */
static void nodes(void)
{
	fake_sys_nodes(4, 0);
	model_start();
	for (int nid = 0; nid < 4; nid++)
		must(alloc_pages_nodemask(GFP_USER, 0, nid, NULL));
	hear(fail_kernel);
	must(strstr(said, "nodemask=(null)") && count(" Normal free:") == 4 && count(" Normal: ") == 4);
	only = 0xd;
	hear(fail_on_nodes);
	must(strstr(said, "(GFP_ATOMIC), nodemask=0,2-3,mems_allowed=0-3\n"), "%s", said);
	must(count(" Normal free:") == 3 && !strstr(said, "Node 1 "));
}

static void fail_often(void)
{
	for (int i = 0; i < 100; i++)
		fail_kernel();
}

/* However slow this machine is: of a hundred in a row ten are said, and as many again for each 5 s that passed. */
static void limited(void)
{
	uint64_t begin, seconds;
	int nr;

	model_start();
	begin = os_clock_ms();
	hear(fail_often);
	nr = count("allocation failure");
	seconds = (os_clock_ms() - begin) / 1000;
	must(nr >= 10 && nr <= 10 + (int)seconds / 5 * 10, "%d reports in %lu s", nr, (unsigned long)seconds);
}

static void say_none(void)
{
	struct out o;

	out_init(&o, 2);
	out_printf(&o, "buddymalloc: ");
	print_gfp(&o, 0);
	out_printf(&o, " ");
	print_gfp(&o, GFP_TRANSHUGE);
	out_printf(&o, " ");
	print_gfp(&o, GFP_NOIO | GFP_THISNODE | GFP_NORETRY);
	out_printf(&o, " ");
	print_gfp(&o, GFP_IO | 0x40000000U);
	out_printf(&o, "\n");
	out_flush(&o);
}

/* Each flag of the API has a name: together they leave no number. */
static void flags(void)
{
	struct out o;
	gfp_t bit;

	hear(say_none);
	must(!strcmp(said, "buddymalloc: none GFP_TRANSHUGE GFP_NOIO|GFP_THISNODE|GFP_NORETRY GFP_IO|0x40000000\n"),
	     "%s", said);
	for (bit = 1; bit <= GFP_BITS_MASK; bit <<= 1) {
		out_init(&o, -1);
		print_gfp(&o, bit & GFP_BITS_MASK);
		must(!strncmp(o.buf, "GFP_", 4), "0x%x is %s", bit, o.buf);
	}
}

static void no_locks(void)
{
	model_start();
	alloc_pages(GFP_USER, 0);
	alarm(600);
	zones_lock_all();
	hear(fail_kernel);
	zones_unlock_all();
	must(count(" Normal: ") == 1);
}

#define STACK_SIZE (1UL << 18)
#define PATTERN 0xa5

static void *fail_in_thread(void *arg)
{
	(void)arg;
	fail_kernel();
	return NULL;
}

static void *nothing_in_thread(void *arg)
{
	return arg;
}

/* Bytes of its stack that a thread has written. */
static size_t stack_used(void *(*fn)(void *))
{
	unsigned char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attr;
	pthread_t thread;
	size_t i;

	must(stack != MAP_FAILED);
	memset(stack, PATTERN, STACK_SIZE);
	pthread_attr_init(&attr);
	must(!pthread_attr_setstack(&attr, stack, STACK_SIZE) && !pthread_create(&thread, &attr, fn, NULL));
	pthread_join(thread, NULL);
	for (i = 0; i < STACK_SIZE && stack[i] == PATTERN; i++)
		;
	munmap(stack, STACK_SIZE);
	return STACK_SIZE - i;
}

static size_t used;

static void fail_on_small_stack(void)
{
	used = stack_used(fail_in_thread) - stack_used(nothing_in_thread);
}

static void small_stack(void)
{
	model_start();
	alloc_pages(GFP_USER, 0);
	hear(fail_on_small_stack);
	must(count("allocation failure") == 1);
	must(used <= 4096, "%zu bytes of stack", used);
}

int main(void)
{
	model_init();
	fake_sys_init();
	run_case("the request is told, unless NOWARN", request);
	run_case("the zones and their free lists", zones);
	run_case("the nodes that may serve", nodes);
	run_case("ten in five seconds", limited);
	run_case("flags have names", flags);
	run_case("no lock is taken", no_locks);
	if (CAN_PLAN && !on_valgrind())
		run_case("4 KiB of stack are enough", small_stack);
	fake_sys_remove();
	return done_testing();
}
