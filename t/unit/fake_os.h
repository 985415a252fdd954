/* SPDX-License-Identifier: MIT */
/*
 * A system that fails when told to, for unit tests: in front of the real one it counts the calls of each operation and
 * fails the Nth. And a child process, to see how something ends that ends the process.
 */
#ifndef T_UNIT_FAKE_OS_H
#define T_UNIT_FAKE_OS_H

#include <stdbool.h>
#include <stddef.h>

enum fake_op {
	FAKE_MMAP,
	FAKE_MUNMAP,
	FAKE_MREMAP,
	FAKE_MPROTECT,
	FAKE_MADVISE,
	FAKE_MBIND,
	FAKE_GET_MEMPOLICY,
	FAKE_PAGE_NODES,
	FAKE_ANY, /* each call, whatever the operation */
	NR_FAKE_OPS
};

/* Put the fake into os, counting from 0 and failing nothing. */
void fake_os_install(void);
/* Fail the nth call of op from now (1 is the next), or that and all later ones, with -err. One rule for each op. */
void fake_os_fail(enum fake_op op, long nth, bool forever, int err);
/* There is no more memory: what maps or commits some fails from now on. */
void fake_os_no_memory(void);
/* Calls of op since fake_os_install or fake_os_reset, the failed ones too. */
unsigned long fake_os_calls(enum fake_op op);
/* And those of op that were failed, whatever rule did it. */
unsigned long fake_os_failed(enum fake_op op);
/* So many hugetlb pages of 2 MiB, and so many of 1 GiB, are in the pools, which are ordinary memory in truth. Where one
 * is dropped from under its mapping the test ends; and how many are left. */
void fake_os_hugetlb(unsigned long pages, unsigned long gigantic);
unsigned long fake_os_hugetlb_free(void);
unsigned long fake_os_gigantic_free(void);
/* The threads' clock stands still, but for so many ns a page that MADV_DONTNEED takes. */
extern unsigned long fake_os_dontneed_ns;
/* Forget the rules and the counts. */
void fake_os_reset(void);

/* Run fn in a child, with up to len - 1 bytes of what it says on stderr in said. The status as of waitpid; 0 if fn
 * returns. There must be one thread only. */
int fake_os_child(void (*fn)(void), char *said, size_t len);

#endif
