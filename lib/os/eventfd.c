/* SPDX-License-Identifier: MIT */
/*
 * Descriptors to poll. Each is tagged where nobody looks: with an owner and a signal, which a file that can send none
 * has no use for.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>

#include "os/os.h"
#include "os/syscall.h"

#ifndef F_SETSIG
#define F_SETSIG 10
#define F_GETSIG 11
#endif
#define TAG 63 /* a signal's number, and one that programs hardly choose */

int os_eventfd(void)
{
	long fd = SYSCALL(SYS_eventfd2, 0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		return (int)fd;
	if (SYSCALL(SYS_fcntl, fd, F_SETSIG, TAG) < 0 || SYSCALL(SYS_fcntl, fd, F_SETOWN, os_getpid()) < 0) {
		os_close((int)fd);
		return -EPERM;
	}
	return (int)fd;
}

bool os_eventfd_is_ours(int fd, int pid)
{
	return SYSCALL(SYS_fcntl, fd, F_GETSIG) == TAG && SYSCALL(SYS_fcntl, fd, F_GETOWN) == pid;
}

void os_eventfd_signal(int fd)
{
	uint64_t one = 1;

	SYSCALL(SYS_write, fd, &one, sizeof(one));
}

int os_move_fd(int from, int to)
{
	int ret = (int)SYSCALL(SYS_dup3, from, to, O_CLOEXEC);

	if (ret < 0)
		return from;
	os_close(from);
	return ret;
}
