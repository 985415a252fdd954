/* SPDX-License-Identifier: MIT */
/*
 * The decision whether a request fails, in the kernel's order of questions, and what follows from being asked at all:
 * while anything may fail, no request may take a short way that does not come by here.
 */
#include "mm/fault_inject.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/message.h"
#include "base/stacktrace.h"
#include "base/tunables.h"
#include "mm/pcp.h"
#include "mm/vmstat.h"
#include "os/os.h"

#define FAULT_STACK_DEPTH 16

struct fail_page_alloc fail_page_alloc = {
	.attr = { .name = "fail_page_alloc", .interval = 1, .times = 1, .verbose = 1 },
};
struct failslab failslab = {
	.attr = { .name = "failslab", .interval = 1, .times = 1, .verbose = 1 },
};
bool fail_page_alloc_enabled, failslab_enabled;
/* Written in every process: among what is written anyway. */
void (*failslab_hook)(void) __attribute__((section(".data")));
unsigned long fault_seed;

static uint64_t random_state;

void fault_set_seed(unsigned long seed)
{
	WRITE_ONCE(fault_seed, seed);
	/* xorshift never leaves 0 */
	WRITE_ONCE(random_state, (seed ? seed : os_random()) | 1UL << 63);
}

static uint64_t fault_random(void)
{
	uint64_t old, x;

	if (!READ_ONCE(random_state))
		fault_set_seed(0);
	old = READ_ONCE(random_state);
	do {
		x = old;
		x ^= x >> 12;
		x ^= x << 25;
		x ^= x >> 27;
	} while (!__atomic_compare_exchange_n(&random_state, &old, x, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return x * 0x2545f4914f6cdd1d;
}

static void set_attr(struct fault_attr *attr, const struct tunable_fault *fault)
{
	WRITE_ONCE(attr->interval, fault->interval);
	WRITE_ONCE(attr->space, (long)fault->space);
	WRITE_ONCE(attr->times, fault->times);
	WRITE_ONCE(attr->count, 0UL);
	WRITE_ONCE(attr->probability, fault->probability);
}

int setup_fault_attr(struct fault_attr *attr, const char *text)
{
	struct tunable_fault fault;

	if (!tunable_fault_parse(text, strlen(text), &fault))
		return -EINVAL;
	set_attr(attr, &fault);
	return 0;
}

static bool attr_is_on(const struct fault_attr *attr)
{
	/* Not before the process is set up: the loader and libc must start. */
	return READ_ONCE(gfp_allowed_mask) == GFP_BITS_MASK && READ_ONCE(attr->probability) && READ_ONCE(attr->times);
}

void fault_attr_changed(void)
{
	bool pages = attr_is_on(&fail_page_alloc.attr), slabs = attr_is_on(&failslab.attr);

	if (pages && !READ_ONCE(fail_page_alloc_enabled))
		alloc_fast_close();
	WRITE_ONCE(fail_page_alloc_enabled, pages);
	if (xchg(&failslab_enabled, slabs) != slabs && slabs && failslab_hook)
		failslab_hook();
}

void fault_inject_init(void)
{
	if (tunables.fail_page_alloc.probability)
		set_attr(&fail_page_alloc.attr, &tunables.fail_page_alloc);
	if (tunables.failslab.probability)
		set_attr(&failslab.attr, &tunables.failslab);
	fault_attr_changed();
}

void set_make_it_fail(bool fail)
{
	if (fail)
		current->flags |= PF_FAIL;
	else
		current->flags &= ~PF_FAIL;
}

/* Takes size from the space that is left; false if that is used up. */
static bool take_space(struct fault_attr *attr, size_t size)
{
	long space = READ_ONCE(attr->space);

	while (space > 0 && (size_t)space > size)
		if (__atomic_compare_exchange_n(&attr->space, &space, space - (long)size, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			return true;
	return false;
}

/* Takes one of the failures that are left; false if there is none. */
static bool take_time(struct fault_attr *attr)
{
	long times = READ_ONCE(attr->times);

	while (times > 0)
		if (__atomic_compare_exchange_n(&attr->times, &times, times - 1, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			return true;
	return times < 0;
}

static cold void fail_dump(const struct fault_attr *attr, size_t size)
{
	unsigned long verbose = READ_ONCE(attr->verbose);
	uintptr_t entries[FAULT_STACK_DEPTH];
	struct out o;

	count_vm_event(FAULTS_INJECTED);
	if (!verbose)
		return;
	bm_warn("FAULT_INJECTION: forcing a failure. name %s, interval %lu, probability %lu, space %ld, times %ld, "
		"size %zu, tid %d",
		attr->name, READ_ONCE(attr->interval), READ_ONCE(attr->probability), READ_ONCE(attr->space),
		READ_ONCE(attr->times), size, os_gettid());
	if (verbose < 2)
		return;
	out_init(&o, STDERR_FILENO);
	stack_trace_print(&o, entries, stack_trace_save(entries, ARRAY_SIZE(entries), 0));
	out_flush(&o);
}

bool should_fail(struct fault_attr *attr, size_t size)
{
	unsigned long probability = READ_ONCE(attr->probability), interval = READ_ONCE(attr->interval);

	if (!probability)
		return false;
	if (READ_ONCE(attr->task_filter) && !(current->flags & PF_FAIL))
		return false;
	if (!READ_ONCE(attr->times))
		return false;
	if (take_space(attr, size))
		return false;
	if (interval > 1 && atomic_add_return(&attr->count, 1) % interval)
		return false;
	if (probability <= fault_random() % 100)
		return false;
	if (!take_time(attr))
		return false;
	fail_dump(attr, size);
	if (!READ_ONCE(attr->times)) /* that was the last */
		fault_attr_changed();
	return true;
}

bool should_fail_alloc_page(gfp_t gfp, unsigned int order)
{
	if (order < READ_ONCE(fail_page_alloc.min_order))
		return false;
	if (gfp & GFP_NOFAIL)
		return false;
	if (READ_ONCE(fail_page_alloc.ignore_gfp_wait) && gfp & GFP_DIRECT_RECLAIM)
		return false;
	return should_fail(&fail_page_alloc.attr, PAGE_SIZE << order);
}

bool should_failslab(size_t size, gfp_t gfp)
{
	if (gfp & GFP_NOFAIL)
		return false;
	if (READ_ONCE(failslab.ignore_gfp_wait) && gfp & GFP_DIRECT_RECLAIM)
		return false;
	return should_fail(&failslab.attr, size);
}
