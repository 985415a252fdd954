/* SPDX-License-Identifier: MIT */
/*
 * Writing to somebody who may be gone, or not read.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#include "base/bits.h"
#include "os/os.h"
#include "os/syscall.h"

#define KERNEL_SIGSET_SIZE 8
#define SIGPIPE_MASK (1UL << (SIGPIPE - 1))

static bool can_write(int fd, unsigned int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	long ret;

	do
		ret = SYSCALL(SYS_ppoll, &p, 1, &ts, NULL, 0); /* ts is what remains then */
	while (ret == -EINTR);
	return ret == 1 && p.revents & (POLLOUT | POLLERR);
}

void os_write_within(int fd, const char *text, size_t len, unsigned int ms)
{
	unsigned long mask = SIGPIPE_MASK, before = 0;
	struct timespec now = { 0 };
	long ret = 0;

	SYSCALL(SYS_rt_sigprocmask, SIG_BLOCK, &mask, &before, KERNEL_SIGSET_SIZE);
	/* A pipe that takes anything takes so much. */
	while (len && can_write(fd, ms)) {
		ret = SYSCALL(SYS_write, fd, text, min_ul(len, PIPE_BUF));
		if (ret <= 0)
			break;
		text += ret;
		len -= (size_t)ret;
	}
	if (ret == -EPIPE && !(before & SIGPIPE_MASK))
		SYSCALL(SYS_rt_sigtimedwait, &mask, NULL, &now, KERNEL_SIGSET_SIZE);
	SYSCALL(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, KERNEL_SIGSET_SIZE);
}
