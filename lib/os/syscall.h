/* SPDX-License-Identifier: MIT */
/*
 * System calls as instructions of our own: for the files of this layer alone.
 */
#ifndef OS_SYSCALL_H
#define OS_SYSCALL_H

#include <sys/syscall.h>

#include "base/compiler.h"

#if defined(__x86_64__)
static always_inline long raw_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
static always_inline long raw_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}
#else
#error "this library knows Linux on x86-64 and aarch64"
#endif

/* The kernel refuses to tell of nodes in fewer bits than it has of them; this is as many as it can be built for. */
#define KERNEL_MAX_NUMNODES 1024

/* SYSCALL(number, up to six arguments): the result or -errno. */
#define SYSCALL(...) SYSCALL_PADDED(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define SYSCALL_PADDED(nr, a, b, c, d, e, f, ...) \
	raw_syscall((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#endif
