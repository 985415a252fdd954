/* SPDX-License-Identifier: MIT */
/*
 * Threads of the library's own. They are made by libc, so that setuid(2) reaches them and the program's code can run
 * on them.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "os/os.h"
#include "os/syscall.h"

#define KERNEL_SIGSET_SIZE 8
/* All but those of libc's own: setuid() and pthread_cancel() wait until every thread has answered. */
#define ALL_SIGNALS (~(3UL << (32 - 1)))
#define STACK_MAX (16 * MiB)

static unsigned long set_signal_mask(unsigned long mask)
{
	unsigned long before = 0;

	SYSCALL(SYS_rt_sigprocmask, SIG_SETMASK, &mask, &before, KERNEL_SIGSET_SIZE);
	return before;
}

/* libc puts its thread-local memory, of any size, on the stack, too. */
static int create_detached(void *(*fn)(void *), void *arg, size_t stack)
{
	long least = PTHREAD_STACK_MIN; /* of newer ones a call of sysconf */
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	stack += least > 0 ? (size_t)least : 0;
	if (pthread_attr_init(&attr))
		return ENOMEM;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	do {
		err = pthread_attr_setstacksize(&attr, align_up(stack, os_page_size()));
		if (!err)
			err = pthread_create(&thread, &attr, fn, arg);
		stack *= 2;
	} while (err == EINVAL && stack <= STACK_MAX);
	pthread_attr_destroy(&attr);
	return err;
}

int os_thread_start(void *(*fn)(void *), void *arg, size_t stack)
{
	int saved = errno, err;
	unsigned long mask = set_signal_mask(ALL_SIGNALS);

	err = create_detached(fn, arg, stack);
	set_signal_mask(mask);
	errno = saved;
	return -err;
}

void os_thread_name(const char *name)
{
	SYSCALL(SYS_prctl, PR_SET_NAME, name);
}

bool os_futex_wait_ms(uint32_t *word, uint32_t value, unsigned int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	return SYSCALL(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &ts) != -ETIMEDOUT;
}
