/* SPDX-License-Identifier: MIT */
/*
 * The system below us: the only place that makes system calls, behind one table, so that a test can put a table that
 * fails in its place. Every operation returns its result or -errno and leaves errno alone; none allocates.
 */
#ifndef OS_OS_H
#define OS_OS_H

#include "base/compiler.h"

struct os_ops {
	/* Anonymous private memory. flags are MAP_* beyond PRIVATE|ANONYMOUS, and NORESERVE for PROT_NONE. Address or
	 * -errno. */
	long (*mmap)(void *addr, size_t len, int prot, int flags);
	long (*munmap)(void *addr, size_t len);
	/* Move to exactly dst, or resize in place when dst is NULL. flags are MREMAP_* beyond MAYMOVE|FIXED, which a
	 * dst means. Address or -errno. */
	long (*mremap)(void *addr, size_t old_len, size_t new_len, void *dst, int flags);
	long (*mprotect)(void *addr, size_t len, int prot);
	long (*madvise)(void *addr, size_t len, int advice);
	/* Bind a range to the nodes of mask (MPOL_* mode). */
	long (*mbind)(void *addr, size_t len, int mode, unsigned long mask);
	/* This thread's policy: MPOL_* mode with its flags, and the first 64 nodes of its mask. */
	long (*get_mempolicy)(int *mode, uint64_t *mask);
	/* Processor time of this thread. */
	uint64_t (*thread_clock_ns)(void);
	/* Where nr pages lie: the node of each, or -errno. Nothing is moved. */
	long (*page_nodes)(unsigned long nr, void **pages, int *nodes);
};

extern const struct os_ops *os;	     /* what everyone calls: os->mmap(...) */
extern const struct os_ops os_linux; /* the real one */

/* Calls that no test needs to fail. */
bool os_is_error(long ret); /* -4095 .. -1 */
uint64_t os_clock_ms(void); /* coarse monotonic clock */
uint64_t os_clock_ns(void);
int os_gettid(void);
int os_getpid(void);
/* A signal for one thread of this process; 0 or -errno. */
int os_tgkill(int tid, int sig);
/* This CPU's number from glibc's registered rseq area, else getcpu; never above os_nr_cpus() - 1. */
unsigned int os_cpu_id(void);
unsigned int os_nr_cpus(void); /* possible CPUs, 1 to MAX_CPUS; read once */
bool os_cpus_known(void);      /* false: numbers above those may yet be seen */
bool os_has_one_node(void);    /* no node but 0 can ever be; false: there may be others */
/* Give up the CPU, to let the holder of something go on. */
void os_yield(void);
void os_sleep_ms(unsigned int ms);
/*
 * The same as os_cpu_id, but a hint: below MAX_CPUS, 0 for a thread or a libc without rseq. A load at the thread
 * pointer plus os_cpu_offset, which os_cpu_init finds out.
 */
extern hidden_var ptrdiff_t os_cpu_offset;
void os_cpu_init(void);
bool os_cpu_id_fast_is_known(void); /* it is not just 0 */
static always_inline unsigned long os_cpu_id_fast(void)
{
	unsigned long cpu;

#if defined(__x86_64__)
	__asm__ volatile("movl %%fs:(%1), %k0" : "=r"(cpu) : "r"(os_cpu_offset));
#elif defined(__aarch64__)
	char *tp;

	__asm__("mrs %0, tpidr_el0" : "=r"(tp));
	cpu = *(volatile uint32_t *)(void *)(tp + os_cpu_offset);
#endif
	return cpu;
}
/* Bytes of the range that are resident; all of it, if that cannot be told. */
size_t os_resident(void *addr, size_t len);
/* Sleep while *word is value, for so long at most. False: it took that long. */
bool os_futex_wait_ms(uint32_t *word, uint32_t value, unsigned int ms);
/* A detached thread of libc's with every signal blocked but libc's own, and so much stack beyond what libc needs; 0 or
 * -errno. It may allocate. errno is untouched. */
int os_thread_start(void *(*fn)(void *), void *arg, size_t stack);
void os_thread_name(const char *name); /* this one's, up to 15 bytes */
/* Have the page at addr there, without a signal if the system has none; what it begins with is lost. 0 or -errno. */
int os_fault_in(void *addr);
size_t os_page_size(void); /* the machine's page size, from the auxiliary vector */
bool os_secure(void);	   /* AT_SECURE: take no configuration from the environment */
uint64_t os_random(void);  /* from AT_RANDOM, another value on each call */
/* Have the code that few processes run in a mapping of its own. */
void os_set_rare_text_apart(void);
/* Soft limits in bytes, ~0UL for none. */
unsigned long os_rlimit_as(void);
unsigned long os_rlimit_data(void);
/* Up to len - 1 bytes of a small file, NUL-terminated; the length or -errno. The buffer is not touched if there is
 * none. */
long os_read_file(const char *path, char *buf, size_t len);
/* A file of any length, a chunk at a time, until take returns false. False if it could not be read so far. */
bool os_read_chunks(const char *path, bool (*take)(void *arg, const char *chunk, size_t len), void *arg);
/* A mapping of the process, and how many bytes of it are there: on pages that are not hugetlb's, of these on
 * transparent hugepages, and on hugetlb pages. */
struct os_mapping {
	uintptr_t start, end;
	size_t resident, anon_huge, hugetlb;
};
/* Each of them; false if that cannot be read. */
bool os_read_smaps(void (*take)(void *arg, const struct os_mapping *m), void *arg);
/* Open for appending (O_CLOEXEC|O_CREAT); a descriptor or -errno. */
int os_open_append(const char *path);
/* The same file under a high number (O_CLOEXEC), out of the program's way; a descriptor or -errno. */
int os_dup(int fd);
void os_close(int fd);
/* Never SIGPIPE; who takes nothing for so long does not get the rest. */
void os_write_within(int fd, const char *text, size_t len, unsigned int ms);
/* An eventfd (O_NONBLOCK, O_CLOEXEC) of this process, or -errno; and whether fd is one that os_eventfd made for the
 * process pid: what cannot be so by chance, whatever has been closed and opened since. */
int os_eventfd(void);
bool os_eventfd_is_ours(int fd, int pid);
/* Make it readable. */
void os_eventfd_signal(int fd);
/* Put what from stands for in the place of to (O_CLOEXEC), and close from; the number it has then. */
int os_move_fd(int from, int to);

#endif
