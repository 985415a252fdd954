/* SPDX-License-Identifier: MIT */
/*
 * Linux on x86-64 and aarch64. System calls are instructions of our own, not libc's wrappers: those set errno, are
 * cancellation points and can be interposed, and malloc may do none of that. The clock alone comes from libc, which
 * knows the vDSO.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/host.h"
#include "os/os.h"
#include "os/syscall.h"
#include "os/topology.h"

#if defined(__x86_64__)
static always_inline char *thread_pointer(void)
{
	char *tp;

	__asm__("mov %%fs:0, %0" : "=r"(tp));
	return tp;
}
#elif defined(__aarch64__)
static always_inline char *thread_pointer(void)
{
	char *tp;

	__asm__("mrs %0, tpidr_el0" : "=r"(tp));
	return tp;
}
#endif

#define FIRST_HIGH_FD 200

/* The kernel's own signal set, one word for 64 signals. */
#define KERNEL_SIGSET_SIZE 8

static long linux_mmap(void *addr, size_t len, int prot, int flags)
{
	/* What is to be used is asked for honestly, so that the system can refuse what it could never give. */
	if (prot == PROT_NONE)
		flags |= MAP_NORESERVE;
	return SYSCALL(SYS_mmap, addr, len, prot, flags | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static long linux_munmap(void *addr, size_t len)
{
	return SYSCALL(SYS_munmap, addr, len);
}

static long linux_mremap(void *addr, size_t old_len, size_t new_len, void *dst, int flags)
{
	if (dst)
		flags |= MREMAP_MAYMOVE | MREMAP_FIXED;
	return SYSCALL(SYS_mremap, addr, old_len, new_len, flags, dst);
}

static long linux_mprotect(void *addr, size_t len, int prot)
{
	return SYSCALL(SYS_mprotect, addr, len, prot);
}

static long linux_madvise(void *addr, size_t len, int advice)
{
	return SYSCALL(SYS_madvise, addr, len, advice);
}

static long linux_mbind(void *addr, size_t len, int mode, unsigned long mask)
{
	/* The kernel takes one off the number of bits it is told. */
	return SYSCALL(SYS_mbind, addr, len, mode, &mask, 8 * sizeof(mask) + 1, 0);
}

static long linux_get_mempolicy(int *mode, uint64_t *mask)
{
	uint64_t nodes[KERNEL_MAX_NUMNODES / 64] = { 0 };
	long ret = SYSCALL(SYS_get_mempolicy, mode, nodes, KERNEL_MAX_NUMNODES + 1, 0, 0);

	*mask = nodes[0];
	return ret;
}

/* A mask shorter than the kernel's own, of all nodes that can be, is refused: it must be longer than one bit then. */
bool os_has_one_node(void)
{
	uint64_t mask = 0;

	return !SYSCALL(SYS_get_mempolicy, 0, &mask, 1, 0, 0);
}

static struct timespec read_clock(clockid_t clock)
{
	struct timespec ts = { 0 };

	clock_gettime(clock, &ts);
	return ts;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts = read_clock(clock);

	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t linux_thread_clock_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static long linux_page_nodes(unsigned long nr, void **pages, int *nodes)
{
	return SYSCALL(SYS_move_pages, 0, nr, pages, 0, nodes, 0);
}

const struct os_ops os_linux = {
	.mmap = linux_mmap,
	.munmap = linux_munmap,
	.mremap = linux_mremap,
	.mprotect = linux_mprotect,
	.madvise = linux_madvise,
	.mbind = linux_mbind,
	.get_mempolicy = linux_get_mempolicy,
	.thread_clock_ns = linux_thread_clock_ns,
	.page_nodes = linux_page_nodes,
};

const struct os_ops *os = &os_linux;

bool os_is_error(long ret)
{
	return (unsigned long)ret >= -4095UL;
}

size_t os_resident(void *addr, size_t len)
{
	size_t page = os_page_size(), chunk = 512 * page, done, i, nr = 0;
	unsigned char in_core[512];

	for (done = 0; done < len; done += chunk) {
		size_t bytes = len - done < chunk ? len - done : chunk;

		if (SYSCALL(SYS_mincore, (char *)addr + done, bytes, in_core) < 0)
			return len;
		for (i = 0; i < (bytes + page - 1) / page; i++)
			nr += in_core[i] & 1;
	}
	return nr * page;
}

void host_futex_wait(uint32_t *word, uint32_t value)
{
	SYSCALL(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, 0);
}

void host_futex_wake(uint32_t *word, int nr)
{
	SYSCALL(SYS_futex, word, FUTEX_WAKE_PRIVATE, nr);
}

/* An operation that reads the word, and wakes and moves nobody. */
bool host_readable(const void *addr)
{
	uint32_t nobody = 0;
	long ret = SYSCALL(SYS_futex, (uintptr_t)addr & ~3UL, FUTEX_CMP_REQUEUE_PRIVATE, 0, 0, &nobody, 0);

	return ret >= 0 || ret == -EAGAIN;
}

void host_write(int fd, const char *text, size_t len)
{
	while (len) {
		long ret = SYSCALL(SYS_write, fd, text, len);

		if (ret == -EINTR)
			continue;
		if (ret <= 0)
			return;
		text += ret;
		len -= (size_t)ret;
	}
}

/* The kernel's struct sigaction, of both machines; all zero is the default action. */
struct kernel_sigaction {
	unsigned long handler, flags, restorer, mask;
};

cold void host_abort(void)
{
	struct kernel_sigaction dfl = { 0 };
	unsigned long mask = 1UL << (SIGABRT - 1);

	SYSCALL(SYS_rt_sigaction, SIGABRT, &dfl, 0, KERNEL_SIGSET_SIZE);
	SYSCALL(SYS_rt_sigprocmask, SIG_UNBLOCK, &mask, 0, KERNEL_SIGSET_SIZE);
	os_tgkill(os_gettid(), SIGABRT);
	/* The first process of a container ignores what it sends itself, but not a fault. */
	__builtin_trap();
}

cold void host_exit(int status)
{
	for (;;)
		SYSCALL(SYS_exit_group, status);
}

unsigned int host_nr_cpus(void)
{
	return os_nr_cpus();
}

uint64_t os_clock_ms(void)
{
	struct timespec ts = read_clock(CLOCK_MONOTONIC_COARSE);

	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t os_clock_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int os_gettid(void)
{
	return (int)SYSCALL(SYS_gettid);
}

int os_getpid(void)
{
	return (int)SYSCALL(SYS_getpid);
}

int os_tgkill(int tid, int sig)
{
	return (int)SYSCALL(SYS_tgkill, os_getpid(), tid, sig);
}

static unsigned int highest_cpu(const unsigned long *mask, size_t words)
{
	while (words--) {
		if (mask[words])
			return (unsigned int)(words * 64) + ilog2(mask[words]);
	}
	return 0;
}

static first_data bool cpus_are_known; /* no other number than those counted will ever be seen */

/* Every number that os_cpu_id can give counts, so this is the highest one, not how many there are. */
static cold unsigned int read_nr_cpus(void)
{
	unsigned long mask[MAX_CPUS / 64] = { 0 };
	char list[256];

	/* CPU 0 is always there: without it this is not the kernel's list. */
	cpus_are_known = os_read_file("/sys/devices/system/cpu/possible", list, sizeof(list)) > 0 &&
			 parse_cpulist(list, mask, MAX_CPUS) && mask[0] & 1;
	if (!cpus_are_known) {
		memset(mask, 0, sizeof(mask));
		if (os_is_error(SYSCALL(SYS_sched_getaffinity, 0, sizeof(mask), mask)))
			return 1;
	}
	return highest_cpu(mask, ARRAY_SIZE(mask)) + 1;
}

unsigned int os_nr_cpus(void)
{
	static first_data unsigned int nr_cpus;
	unsigned int nr = READ_ONCE(nr_cpus);

	if (unlikely(!nr)) {
		nr = read_nr_cpus();
		WRITE_ONCE(nr_cpus, nr);
	}
	return nr;
}

/*
 * glibc 2.35 and later register an rseq area for each thread and tell where. The references are weak, and as both live
 * in the loader, which we are not linked with, the linker gives them no version: an older glibc loads us and leaves
 * them null.
 */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));
#define RSEQ_CPU_ID 4 /* offset of cpu_id in struct rseq */

static cold unsigned int getcpu_slow(void)
{
	unsigned int cpu = 0;

	SYSCALL(SYS_getcpu, &cpu, 0, 0);
	return cpu;
}

unsigned int os_cpu_id(void)
{
	unsigned int nr = os_nr_cpus();
	uint32_t cpu = ~0U;

	if (likely(&__rseq_size && &__rseq_offset && __rseq_size))
		cpu = *(volatile uint32_t *)(void *)(thread_pointer() + __rseq_offset + RSEQ_CPU_ID);
	/* Negative: this thread has no registration. */
	if (unlikely(cpu >= 1U << 31))
		cpu = getcpu_slow();
	return likely(cpu < nr) ? cpu : cpu % nr;
}

/* cpu_id_start in struct rseq is a possible CPU's number even where this thread has no registration. */
#define RSEQ_CPU_ID_START 0

/* Always 0, and always at the same offset, whatever model the other thread-local words have. */
static __thread uint32_t no_cpu __attribute__((tls_model("initial-exec")));
ptrdiff_t os_cpu_offset;

void os_cpu_init(void)
{
	if (&__rseq_size && &__rseq_offset && __rseq_size && cpus_are_known && os_nr_cpus() < MAX_CPUS)
		os_cpu_offset = __rseq_offset + RSEQ_CPU_ID_START;
	else
		os_cpu_offset = (char *)&no_cpu - thread_pointer();
}

bool os_cpu_id_fast_is_known(void)
{
	return os_cpu_offset != (char *)&no_cpu - thread_pointer();
}

bool os_cpus_known(void)
{
	os_nr_cpus();
	return cpus_are_known;
}

void os_yield(void)
{
	SYSCALL(SYS_sched_yield);
}

/* By futex, which every seccomp filter that allows threads allows. */
void os_sleep_ms(unsigned int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
	uint32_t word = 0;

	SYSCALL(SYS_futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &ts);
}

/* getauxval sets errno for what it does not find. */
static unsigned long auxv(unsigned long type)
{
	int saved = errno;
	unsigned long value = getauxval(type);

	errno = saved;
	return value;
}

size_t os_page_size(void)
{
	size_t size = auxv(AT_PAGESZ);

	return size ? size : PAGE_SIZE;
}

bool os_secure(void)
{
	return auxv(AT_SECURE) != 0;
}

/* A finaliser that lets each bit of x reach each bit of the result. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93UL;
	x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93UL;
	return x ^ (x >> 32);
}

/* Of the kernel's two words libc makes its guards, so neither must be found from what we return: both go in. */
uint64_t os_random(void)
{
	static uint64_t calls;
	const void *bytes = (const void *)auxv(AT_RANDOM); /* aligned to nothing */
	uint64_t n = atomic_add_return(&calls, 1);
	uint64_t seed[2];

	if (!bytes)
		return mix(mix(os_clock_ns()) + n);
	memcpy(seed, bytes, sizeof(seed));
	return mix(mix(seed[0] + n) ^ seed[1]);
}

static unsigned long read_rlimit(int resource)
{
	struct {
		uint64_t soft, hard;
	} limit = { ~0UL, ~0UL };

	SYSCALL(SYS_prlimit64, 0, resource, 0, &limit);
	return limit.soft;
}

unsigned long os_rlimit_as(void)
{
	return read_rlimit(RLIMIT_AS);
}

unsigned long os_rlimit_data(void)
{
	return read_rlimit(RLIMIT_DATA);
}

/* Less than asked for is the end: one read serves nearly every file. */
static long read_all(int fd, char *buf, size_t len)
{
	size_t got = 0;

	while (got < len) {
		size_t asked = len - got;
		long ret = SYSCALL(SYS_read, fd, buf + got, asked);

		if (ret == -EINTR)
			continue;
		if (ret < 0)
			return ret;
		got += (size_t)ret;
		if ((size_t)ret < asked)
			break;
	}
	return (long)got;
}

/* A FIFO in the file's place must not block us. */
static long open_to_read(const char *path)
{
	return SYSCALL(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

bool os_read_chunks(const char *path, bool (*take)(void *arg, const char *chunk, size_t len), void *arg)
{
	long fd = open_to_read(path), ret;
	char chunk[512];

	if (os_is_error(fd))
		return false;
	while ((ret = read_all((int)fd, chunk, sizeof(chunk))) > 0 && take(arg, chunk, (size_t)ret))
		;
	os_close((int)fd);
	return ret >= 0;
}

long os_read_file(const char *path, char *buf, size_t len)
{
	long fd = open_to_read(path);
	long ret;

	if (os_is_error(fd))
		return fd;
	ret = read_all((int)fd, buf, len - 1);
	os_close((int)fd);
	buf[ret > 0 ? ret : 0] = '\0';
	return ret;
}

int os_open_append(const char *path)
{
	return (int)SYSCALL(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
}

int os_dup(int fd)
{
	return (int)SYSCALL(SYS_fcntl, fd, F_DUPFD_CLOEXEC, FIRST_HIGH_FD);
}

void os_close(int fd)
{
	SYSCALL(SYS_close, fd);
}
