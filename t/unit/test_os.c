/* SPDX-License-Identifier: MIT */
/*
 * Linux as our own system calls see it, against what libc tells: memory, clocks, CPUs, limits; and the fake that the
 * other tests rely on.
 */
#include <errno.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/host.h"
#include "os/os.h"
#include "os/topology.h"
#include "fake_os.h"
#include "tap.h"

static char *volatile sealed;

static void read_sealed(void)
{
	_exit(sealed[0] == 8);
}

static void test_memory(void)
{
	size_t page = os_page_size();
	size_t len = 16 * page;
	char *p = (char *)os->mmap(NULL, len, PROT_READ | PROT_WRITE, 0);
	char *q = (char *)os->mmap(NULL, 2 * len, PROT_READ | PROT_WRITE, 0);
	char said[256];

	ok(!os_is_error((long)p) && !os_is_error((long)q), "mmap gives addresses");
	memset(p, 7, len);
	is_int(os->madvise(p, page, MADV_DONTNEED), 0, "madvise is done");
	ok(p[0] == 0 && p[page] == 7, "and empties what it was told alone");
	p[page] = 8;
	is_int(os->mmap(p + page, page, PROT_READ | PROT_WRITE, MAP_FIXED), (long)(p + page), "flags of mmap arrive");
	ok(p[page] == 0 && p[2 * page] == 7, "and a fixed mapping replaces what was there alone");
	is_int(os->mremap(p, len, len, q, 0), (long)q, "mremap moves to where it is told");
	is_int(q[2 * page], 7, "with the contents");
	is_int(os->mprotect(p, page, PROT_READ), -ENOMEM, "and leaves nothing behind");
	is_int(os->mremap(q, len, 2 * len, NULL, 0), -ENOMEM, "it does not grow over a neighbour");
	is_int(os->mremap(q, len, page, NULL, 0), (long)q, "it shrinks in place");
	is_int(os->mprotect(q, page, PROT_NONE), 0, "mprotect is done");
	sealed = q;
	ok(fake_os_child(read_sealed, said, sizeof(said)), "a read is a fault then");
	is_int(os->munmap(q, page), 0, "munmap is done");
	is_int(os->mprotect(q, page, PROT_READ), -ENOMEM, "and leaves nothing behind");
	is_int(os->munmap(q + len, len), 0, "munmap of the rest is done");
}

static void test_mbind(void)
{
	size_t page = os_page_size();
	char *p = (char *)os->mmap(NULL, page, PROT_READ | PROT_WRITE, 0);
	unsigned long mask = 0;
	unsigned long node;
	int mode = -1;
	long ret;

	topology_init("/sys");
	node = topology.node_has_memory & -topology.node_has_memory;
	ret = os->mbind(p, page, MPOL_BIND, node);
	if (ret == -EPERM || ret == -ENOSYS) {
		skip(2, "this system has no mbind or forbids it");
	} else {
		is_int(ret, 0, "mbind is done");
		ok(!syscall(SYS_get_mempolicy, &mode, &mask, 65, p, MPOL_F_ADDR) && mode == MPOL_BIND && mask == node,
		   "and is what the kernel has noted: mode %d, nodes %#lx", mode, mask);
	}
	os->munmap(p, page);
}

/* The kernel's answer for a policy that this thread has set. */
static void test_get_mempolicy(void)
{
	uint64_t node, mask = 0;
	int mode = -1;
	long ret = os->get_mempolicy(&mode, &mask);

	if (ret == -EPERM || ret == -ENOSYS) {
		skip(3, "this system has no get_mempolicy or forbids it");
		return;
	}
	is_int(ret, 0, "get_mempolicy is done");
	topology_init("/sys");
	node = topology.node_has_memory & -topology.node_has_memory;
	if (syscall(SYS_set_mempolicy, MPOL_BIND, &node, 65)) {
		skip(2, "this system forbids set_mempolicy");
		return;
	}
	is_int(os->get_mempolicy(&mode, &mask), 0, "and again");
	ok(mode == MPOL_BIND && mask == node, "and tells what was set: mode %d, nodes %#lx", mode, mask);
	syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0);
}

/* sysfs and the kernel's mask of nodes say the same of how many there can be. */
static void test_one_node(void)
{
	uint64_t mask;
	char list[64];

	if (os_read_file("/sys/devices/system/node/possible", list, sizeof(list)) <= 0)
		skip(1, "sysfs does not say which nodes there can be");
	else if (strcmp(list, "0\n"))
		ok(!os_has_one_node(), "there may be several nodes: %s", list);
	else if (syscall(SYS_get_mempolicy, NULL, &mask, 2, NULL, 0))
		skip(1, "this system forbids get_mempolicy, or wants a mask for more nodes than there are");
	else
		ok(os_has_one_node(), "there is one node");
}

static void test_errors(void)
{
	errno = ERANGE;
	is_int(os->mmap(NULL, 0, PROT_READ, 0), -EINVAL, "mmap of nothing");
	is_int(os->munmap((void *)1, 4096), -EINVAL, "munmap of half a page");
	is_int(os->mprotect((void *)1, 4096, PROT_READ), -EINVAL, "mprotect of half a page");
	is_int(os->madvise((void *)1, 4096, MADV_DONTNEED), -EINVAL, "madvise of half a page");
	ok(os_is_error(os->mremap((void *)1, 4096, 4096, NULL, 0)), "mremap of half a page");
	ok(os_is_error(os->mbind((void *)1, 4096, MPOL_BIND, 1)), "mbind of half a page");
	is_int(os_open_append("/no/such/directory"), -ENOENT, "no such directory");
	os_close(-1);
	is_int(errno, ERANGE, "none touches errno");
	ok(os_is_error(-1) && os_is_error(-4095), "errors are from -1 to -4095");
	ok(!os_is_error(0) && !os_is_error(-4096) && !os_is_error(0x7f0000000000L), "and nothing else is");
}

static uint64_t libc_clock(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void test_clocks(void)
{
	uint64_t before = libc_clock(CLOCK_MONOTONIC);
	uint64_t ns = os_clock_ns();
	uint64_t after = libc_clock(CLOCK_MONOTONIC);
	uint64_t ms;

	ok(before <= ns && ns <= after, "os_clock_ns is the monotonic clock");
	before = libc_clock(CLOCK_MONOTONIC_COARSE) / 1000000;
	ms = os_clock_ms();
	after = libc_clock(CLOCK_MONOTONIC_COARSE) / 1000000;
	ok(before <= ms && ms <= after, "os_clock_ms is the coarse one");
}

static void *thread_id(void *arg)
{
	*(int *)arg = os_gettid() == (int)syscall(SYS_gettid) ? os_gettid() : -1;
	return NULL;
}

static void test_identity(void)
{
	int tid = 0;
	pthread_t thread;

	is_int(os_getpid(), getpid(), "os_getpid");
	is_int(os_gettid(), getpid(), "the first thread has the process's number");
	if (pthread_create(&thread, NULL, thread_id, &tid))
		bail_out("cannot create a thread");
	pthread_join(thread, NULL);
	ok(tid > 0 && tid != getpid(), "another has its own");
	is_int(os_page_size(), sysconf(_SC_PAGESIZE), "os_page_size");
	is_int(os_secure(), getauxval(AT_SECURE), "os_secure");
}

static void test_random(void)
{
	uint64_t first = os_random();
	int set[64] = { 0 };
	int wrong = 0;
	int same = 0;

	for (int i = 0; i < 1000; i++) {
		uint64_t n = os_random();

		same += n == first;
		for (int bit = 0; bit < 64; bit++)
			set[bit] += n >> bit & 1;
	}
	for (int bit = 0; bit < 64; bit++)
		wrong += set[bit] < 300 || set[bit] > 700;
	is_int(same, 0, "the first random number does not come again");
	is_int(wrong, 0, "each bit is set about as often as not");
}

/* CPUs where os_cpu_id is wrong, of all that this thread may run on. */
static long wrong_cpus(void)
{
	cpu_set_t allowed, one;
	long wrong = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return -1;
	for (unsigned int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (!sched_setaffinity(0, sizeof(one), &one))
			wrong += os_cpu_id() != cpu % os_nr_cpus();
	}
	sched_setaffinity(0, sizeof(allowed), &allowed);
	return wrong;
}

static void *wrong_cpus_thread(void *arg)
{
	*(long *)arg = wrong_cpus();
	return NULL;
}

static void test_cpus(char *self)
{
	char *const args[] = { self, (char[]){ "cpus" }, NULL };
	char *const no_rseq[] = { (char[]){ "GLIBC_TUNABLES=glibc.pthread.rseq=0" }, NULL };
	unsigned int nr = os_nr_cpus();
	long wrong = -1;
	pthread_t thread;
	int status = -1;
	pid_t child;

	ok(nr >= min_ul((unsigned long)sysconf(_SC_NPROCESSORS_CONF), MAX_CPUS) && nr <= MAX_CPUS,
	   "%u CPUs, no fewer than libc knows", nr);
	is_int(host_nr_cpus(), nr, "host_nr_cpus is the same");
	is_int(wrong_cpus(), 0, "os_cpu_id follows the thread from CPU to CPU");
	if (pthread_create(&thread, NULL, wrong_cpus_thread, &wrong))
		bail_out("cannot create a thread");
	pthread_join(thread, NULL);
	is_int(wrong, 0, "and another thread too");
	child = fork();
	if (child == 0) {
		execve(self, args, no_rseq);
		_exit(127);
	}
	waitpid(child, &status, 0);
	is_int(status, 0, "and without rseq");
}

static unsigned long soft_limit(int resource)
{
	struct rlimit limit;

	getrlimit(resource, &limit);
	return limit.rlim_cur;
}

static void limited(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_AS, &limit);
	limit.rlim_cur = limit.rlim_max == RLIM_INFINITY ? 1UL << 46 : limit.rlim_max;
	if (setrlimit(RLIMIT_AS, &limit) || os_rlimit_as() != limit.rlim_cur)
		_exit(1);
	getrlimit(RLIMIT_DATA, &limit);
	limit.rlim_cur = limit.rlim_max == RLIM_INFINITY ? 1UL << 45 : limit.rlim_max;
	if (setrlimit(RLIMIT_DATA, &limit) || os_rlimit_data() != limit.rlim_cur)
		_exit(2);
}

static void test_limits(void)
{
	char said[64];

	ok(os_rlimit_as() == soft_limit(RLIMIT_AS), "os_rlimit_as");
	ok(os_rlimit_data() == soft_limit(RLIMIT_DATA), "os_rlimit_data");
	is_int(fake_os_child(limited, said, sizeof(said)), 0, "limits are those of now");
}

static long call_all(void)
{
	size_t page = os_page_size();
	long p = os->mmap(NULL, page, PROT_READ | PROT_WRITE, 0);
	void *at = os_is_error(p) ? NULL : (void *)p;
	long failed = os_is_error(p);
	uint64_t mask;
	int mode, node;

	failed += os_is_error(os->mprotect(at, page, PROT_READ));
	failed += os_is_error(os->madvise(at, page, MADV_DONTNEED));
	failed += os_is_error(os->mremap(at, page, page, NULL, 0));
	os->mbind(at, page, MPOL_DEFAULT, 0);
	os->get_mempolicy(&mode, &mask);
	os->page_nodes(1, &at, &node);
	failed += os_is_error(os->munmap(at, page));
	return failed;
}

static void test_fake(void)
{
	size_t page = os_page_size();
	long p;

	fake_os_install();
	is_int(call_all(), 0, "the fake passes everything on");
	for (int op = 0; op < FAKE_ANY; op++)
		is_int(fake_os_calls((enum fake_op)op), 1, "and counted operation %d", op);
	is_int(fake_os_calls(FAKE_ANY), FAKE_ANY, "and all of them");
	fake_os_fail(FAKE_MPROTECT, 2, false, EACCES);
	is_int(call_all(), 0, "the call before the one that fails");
	is_int(os->mprotect(NULL, page, 0), -EACCES, "fails when told, with what it was told");
	is_int(call_all(), 0, "and only that time");
	is_int(fake_os_calls(FAKE_MPROTECT), 4, "the failed call counts");
	fake_os_fail(FAKE_MMAP, 1, true, ENOMEM);
	is_int(os->mmap(NULL, page, PROT_READ, 0), -ENOMEM, "fails the next");
	is_int(os->mmap(NULL, page, PROT_READ, 0), -ENOMEM, "and all later ones");
	fake_os_reset();
	is_int(fake_os_calls(FAKE_ANY), 0, "a reset forgets the counts");
	p = os->mmap(NULL, page, PROT_READ, 0);
	ok(!os_is_error(p), "and the rules");
	fake_os_fail(FAKE_ANY, 2, false, EPERM);
	is_int(os->mprotect((void *)p, page, PROT_NONE), 0, "any operation: the first goes through");
	is_int(os->munmap((void *)p, page), -EPERM, "the second fails");
	is_int(os->munmap((void *)p, page), 0, "the third goes through");
	fake_os_fail(FAKE_ANY, 1, true, ENOSYS);
	is_int(call_all(), 5, "everything fails");
	fake_os_reset();
	os = &os_linux;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return wrong_cpus() != 0;
	test_memory();
	test_mbind();
	test_get_mempolicy();
	test_errors();
	test_clocks();
	test_identity();
	test_random();
	test_one_node();
	test_cpus(argv[0]);
	test_limits();
	test_fake();
	return done_testing();
}
