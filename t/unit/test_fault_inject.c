/* SPDX-License-Identifier: MIT */
/*
 * Fault injection: which calls fail, as probability, interval, times, space and filters say; and that while anything
 * may fail no request of malloc's or for pages gets past the question.
 */
#include <errno.h>
#include <pthread.h>

#include "malloc/heap.h"
#include "mm/fault_inject.h"
#include "mm/page_isolation.h"
#include "mm/pcp.h"
#include "mm/vmstat.h"
#include "model.h"

#define CALLS 1000

static struct fault_attr attr;

static struct fault_attr attr_of(unsigned long interval, unsigned long probability, long space, long times)
{
	return (struct fault_attr){
		.name = "test",
		.interval = interval,
		.probability = probability,
		.space = space,
		.times = times,
	};
}

/* Of CALLS calls of this size, how many failed; which, as a text of their numbers' digests, in *which. */
static int failures(size_t size, uint64_t *which)
{
	int failed = 0, i;
	uint64_t hash = 0;

	for (i = 0; i < CALLS; i++)
		if (should_fail(&attr, size)) {
			hash = (hash ^ (uint64_t)i) * 0x9e3779b97f4a7c15;
			failed++;
		}
	if (which)
		*which = hash;
	return failed;
}

static void test_setup(void)
{
	static const char *const bad[] = { "",		"1",	    "1/2/3",	"1/2/3/",
					   "1/101/0/1", "1/2/3/-2", "1/2/3/4/", "1/2/3/4/5",
					   " 1/2/3/4",	"1/-1/0/0", "1/2/3/x",	"1,2,3,4",
					   "1//3/4",	"1/2/3/4k", "/1/2/3/4", "1/2/3/99999999999999999999" };
	size_t i;

	attr = attr_of(7, 7, 7, 7);
	ok(!setup_fault_attr(&attr, "10/50/4096/-1"), "four numbers are accepted");
	ok(attr.interval == 10 && attr.probability == 50 && attr.space == 4096 && attr.times == -1,
	   "interval, probability, space and times, in this order");
	ok(!setup_fault_attr(&attr, "0/100/0/0x10") && attr.times == 16, "hexadecimal ones too");
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fault_attr before = attr;

		ok(setup_fault_attr(&attr, bad[i]) == -EINVAL && !memcmp(&attr, &before, sizeof(attr)),
		   "\"%s\" is not, and changes nothing", bad[i]);
	}
}

static void test_counts(void)
{
	uint64_t one, other, again;
	int some;

	attr = attr_of(1, 100, 0, -1);
	is_int(failures(1, NULL), CALLS, "100 %%: all");
	attr = attr_of(1, 0, 0, -1);
	is_int(failures(1, NULL), 0, "0 %%: none");
	attr = attr_of(0, 100, 0, -1);
	is_int(failures(1, NULL), CALLS, "interval 0 is none");
	attr = attr_of(4, 100, 0, -1);
	ok(!should_fail(&attr, 1) && !should_fail(&attr, 1) && !should_fail(&attr, 1) && should_fail(&attr, 1),
	   "interval 4: the fourth");
	is_int(failures(1, NULL), CALLS / 4, "and each fourth after it");
	attr = attr_of(1, 100, 0, 3);
	is_int(failures(1, NULL), 3, "three times");
	ok(attr.times == 0, "and no more");
	attr = attr_of(1, 100, 0, 0);
	is_int(failures(1, NULL), 0, "no times at all");
	attr = attr_of(1, 100, 1000, -1);
	is_int(failures(10, NULL), CALLS - 99, "space: calls pass while there is more of it than they take");
	attr = attr_of(1, 100, 1000, -1);
	is_int(failures(1001, NULL), CALLS, "one that asks for more than is left fails");
	ok(attr.space == 1000, "and takes nothing");
	fault_set_seed(1);
	attr = attr_of(1, 30, 0, -1);
	some = failures(1, &one);
	ok(some > CALLS * 3 / 20 && some < CALLS * 9 / 20, "30 %%: %d of %d", some, CALLS);
	fault_set_seed(2);
	failures(1, &other);
	fault_set_seed(1);
	failures(1, &again);
	ok(one == again && one != other, "the same seed, the same calls; another, others");
	fault_set_seed(0);
	failures(1, &one);
	fault_set_seed(0);
	failures(1, &other);
	ok(one != other, "without a seed it is chance");
}

static void test_filter(void)
{
	attr = attr_of(1, 100, 0, -1);
	attr.task_filter = true;
	is_int(failures(1, NULL), 0, "task-filter: a thread that did not ask for it never fails");
	ok(attr.count == 0, "nor counts");
	set_make_it_fail(true);
	is_int(failures(1, NULL), CALLS, "one that did does");
	set_make_it_fail(false);
	is_int(failures(1, NULL), 0, "until it takes it back");
}

#define THREADS 4
static void *fail_many(void *arg)
{
	*(int *)arg = failures(1, NULL);
	return NULL;
}

static void test_threads(void)
{
	pthread_t id[THREADS];
	int failed[THREADS], sum = 0, i;

	attr = attr_of(1, 100, CALLS, CALLS / 2);
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&id[i], NULL, fail_many, &failed[i]))
			bail_out("no threads");
	for (i = 0; i < THREADS; i++) {
		pthread_join(id[i], NULL);
		sum += failed[i];
	}
	is_int(sum, CALLS / 2, "several threads: as many as it was told, to the last");
	is_int(attr.space, 1, "and as much space");
}

static void fail_once(void)
{
	should_fail(&attr, 77);
}

static void test_says(void)
{
	static char said[8192];
	unsigned long before = vm_events[FAULTS_INJECTED];

	attr = attr_of(1, 100, 0, 5);
	fake_os_child(fail_once, said, sizeof(said));
	is_str(said, "", "verbose 0: not a word");
	attr.verbose = 1;
	fake_os_child(fail_once, said, sizeof(said));
	ok(strstr(said, "FAULT_INJECTION: forcing a failure. name test, interval 1, probability 100, space 0, times 4, "
			"size 77, tid ") &&
		   strchr(said, '\n') == said + strlen(said) - 1,
	   "verbose 1: a line");
	attr.verbose = 2;
	fake_os_child(fail_once, said, sizeof(said));
	ok(strchr(said, '\n') < said + strlen(said) - 1 && strstr(said, "\n /"), "verbose 2: and where");
	attr.verbose = 0;
	should_fail(&attr, 1);
	is_int(vm_events[FAULTS_INJECTED], before + 1, "each is counted");
}

static void set_pages(unsigned long probability, long times)
{
	fail_page_alloc.attr.verbose = 0;
	fail_page_alloc.attr.probability = probability;
	fail_page_alloc.attr.times = times;
	fault_attr_changed();
}

static void set_slabs(unsigned long probability, long times)
{
	failslab.attr.verbose = 0;
	failslab.attr.probability = probability;
	failslab.attr.times = times;
	fault_attr_changed();
}

static bool page_fails(gfp_t gfp, unsigned int order)
{
	struct page *page = alloc_pages(gfp | GFP_NOWARN, order);

	if (page)
		free_pages(page, order);
	return !page;
}

static void case_pages(void)
{
	struct page *page;

	model_start();
	must(!fail_page_alloc_enabled && !page_fails(GFP_KERNEL, 0) && !page_fails(GFP_KERNEL, 10));
	must(alloc_block_fast(0, &page) && free_block_fast(page, 0), "there is a fast path");
	set_pages(100, -1);
	must(fail_page_alloc_enabled);
	must(page_fails(GFP_KERNEL, 0) && page_fails(GFP_ATOMIC, 3) && page_fails(GFP_KERNEL, 10));
	must(!gfp_fast_limit, "nobody gets past the question");
	must(!page_fails(GFP_KERNEL | GFP_NOFAIL, 0) && !page_fails(GFP_KERNEL | GFP_NOFAIL, 1));
	fail_page_alloc.min_order = 3;
	must(!page_fails(GFP_KERNEL, 2) && page_fails(GFP_KERNEL, 3));
	fail_page_alloc.min_order = 0;
	fail_page_alloc.ignore_gfp_wait = true;
	must(!page_fails(GFP_KERNEL, 2) && page_fails(GFP_NOWAIT, 2) && page_fails(GFP_ATOMIC, 0));
	fail_page_alloc.ignore_gfp_wait = false;
	set_pages(100, 2);
	must(page_fails(GFP_KERNEL, 0) && page_fails(GFP_KERNEL, 0) && !page_fails(GFP_KERNEL, 0));
	must(!fail_page_alloc_enabled, "the last failure ends it");
	set_pages(100, -1);
	must(page_fails(GFP_KERNEL, 0));
	must(!alloc_contig_pages(3, GFP_KERNEL, -1, NULL), "contiguous pages too");
	fail_page_alloc.min_order = 2;
	must(!alloc_contig_pages(3, GFP_KERNEL, -1, NULL) && alloc_contig_pages(2, GFP_KERNEL, -1, NULL));
	fail_page_alloc.min_order = 0;
	set_pages(0, -1);
	must(!page_fails(GFP_KERNEL, 0) && !fail_page_alloc_enabled);
}

/* One call of each of malloc's ways; true if it failed, and as it should. */
static bool malloc_fails(size_t size, int how)
{
	void *p;

	errno = 0;
	if (how == 0)
		p = heap_malloc(size);
	else if (how == 1)
		p = heap_calloc(1, size);
	else
		p = heap_memalign(256, size);
	must(p || errno == ENOMEM, "size %zu way %d errno %d", size, how, errno);
	heap_free(p);
	return !p;
}

static const size_t sizes[] = { 1, 64, 1000, 5000, 32768, 40000, 100000, 1048576, 3000000 };

static void all_ways(bool fail)
{
	size_t i;
	int how, n;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		for (how = 0; how < 3; how++)
			for (n = 0; n < 10; n++)
				must(malloc_fails(sizes[i], how) == fail, "size %zu way %d", sizes[i], how);
}

/* malloc's lists are full of blocks when failslab comes. */
static void case_slabs(void)
{
	unsigned int class;

	model_native();
	must(heap_init());
	all_ways(false);
	set_slabs(100, -1);
	for (class = 1; class < NR_CLASSES; class ++)
		must(!tcache.head[class]);
	all_ways(true);
	failslab.ignore_gfp_wait = true;
	all_ways(false);
	failslab.ignore_gfp_wait = false;
	failslab.attr.interval = 3;
	failslab.attr.count = 0;
	must(!malloc_fails(64, 0) && !malloc_fails(64, 0) && malloc_fails(64, 0), "each call is asked for, once");
	must(!malloc_fails(100000, 1) && !malloc_fails(64, 2) && malloc_fails(3000000, 0));
	must(!malloc_fails(100000, 2) && !malloc_fails(64, 1) && malloc_fails(40000, 2));
	failslab.attr.interval = 1;
	set_slabs(0, -1);
	all_ways(false);
	heap_free(heap_malloc(64));
	must(tcache.head[size_to_class(64)], "the lists are open again");
	set_slabs(100, 2);
	must(malloc_fails(64, 0) && malloc_fails(64, 0) && !malloc_fails(64, 0) && !failslab_enabled);
	heap_free(heap_malloc(64));
	must(tcache.head[size_to_class(64)], "the last failure ends it");
}

static void case_realloc(void)
{
	char *small, *run, *huge, *p;

	model_native();
	small = heap_malloc(64);
	run = heap_malloc(40000);
	huge = heap_malloc(3000000);
	small[63] = run[39999] = huge[2999999] = 42;
	set_slabs(100, -1);
	errno = 0;
	must(!heap_realloc(small, 100) && errno == ENOMEM);
	must(!heap_realloc(run, 60000) && !heap_realloc(run, 3000000));
	must(!heap_realloc(huge, 10000000) && !heap_realloc(NULL, 10));
	must(small[63] == 42 && run[39999] == 42 && huge[2999999] == 42, "the blocks are as they were");
	must((small = heap_realloc(small, 10)) && (run = heap_realloc(run, 39000)) && heap_realloc(huge, 2000000),
	     "to ask for less never fails");
	heap_free(small);
	heap_free(run);
	set_slabs(0, -1);
	/* One question for each, whether the block moves or not. */
	run = heap_malloc(40000);
	set_slabs(100, -1);
	failslab.attr.interval = 2;
	failslab.attr.count = 0;
	p = heap_realloc(run, 80000);
	must(p && !heap_realloc(p, 160000) && (p = heap_realloc(p, 200000)) && !heap_realloc(p, 2000000));
	p = heap_realloc(p, 3000000);
	must(p && !heap_realloc(p, 9000000));
}

static pthread_barrier_t barrier;

static void *list_thread(void *arg)
{
	void *block[4];
	int i, failed = 0;

	(void)arg;
	for (i = 0; i < 4; i++)
		block[i] = heap_malloc(64);
	for (i = 0; i < 4; i++)
		heap_free(block[i]);
	must(tcache.head[size_to_class(64)]);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier); /* failslab is on */
	block[0] = heap_malloc(64);
	must(block[0], "a list has a last block");
	heap_free(block[0]);
	must(tcache.state == TCACHE_CLOSED && !tcache.head[size_to_class(64)], "and the free after it closes them all");
	for (i = 0; i < 10; i++)
		failed += malloc_fails(64, 0);
	must(failed == 10);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier); /* failslab is off */
	for (i = 0; i < 10; i++)
		must(!malloc_fails(64, 0));
	must(tcache.head[size_to_class(64)]);
	return NULL;
}

static void case_other_threads(void)
{
	pthread_t id;

	model_native();
	must(heap_init());
	pthread_barrier_init(&barrier, NULL, 2);
	must(!pthread_create(&id, NULL, list_thread, NULL));
	pthread_barrier_wait(&barrier);
	set_slabs(100, -1);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	set_slabs(0, -1);
	pthread_barrier_wait(&barrier);
	pthread_join(id, NULL);
	/* A thread that comes while it is on, and ends then. */
	set_slabs(100, -1);
	must(malloc_fails(64, 0));
	must(tcache_threads() == 1, "%lu", tcache_threads());
}

static void *other_block;

static void *come_and_go(void *arg)
{
	int i;

	heap_free(arg);
	for (i = 0; i < 10; i++)
		must(malloc_fails(64, 0));
	heap_free(other_block);
	must(malloc_fails(64, 0), "what others allocated does not fill a list either");
	return NULL;
}

static void case_new_thread(void)
{
	pthread_t id;
	void *block;

	model_native();
	must(heap_init());
	other_block = heap_malloc(64);
	block = heap_malloc(64);
	set_slabs(100, -1);
	must(!pthread_create(&id, NULL, come_and_go, block));
	pthread_join(id, NULL);
	must(tcache_threads() == 1, "%lu", tcache_threads());
}

int main(void)
{
	model_init();
	test_setup();
	test_counts();
	test_filter();
	test_threads();
	test_says();
	run_case("page allocations fail, as orders and flags say", case_pages);
	run_case("malloc fails, from full lists too", case_slabs);
	run_case("realloc fails where it grows", case_realloc);
	run_case("another thread's lists", case_other_threads);
	run_case("a thread that comes while it is on", case_new_thread);
	return done_testing();
}
