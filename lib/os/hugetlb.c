/* SPDX-License-Identifier: MIT */
/*
 * Hugetlb pages: whether one is there.
 */
#include <string.h>
#include <time.h>

#include "os/os.h"
#include "os/syscall.h"

int os_fault_in(void *addr)
{
	/* Any call that writes to memory would do. It says -EFAULT where the program would get SIGBUS. */
	long err = SYSCALL(SYS_clock_gettime, CLOCK_MONOTONIC, addr);

	if (!err)
		memset(addr, 0, sizeof(struct timespec));
	return (int)err;
}
