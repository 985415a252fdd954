/* SPDX-License-Identifier: MIT */
/*
 * Messages and reports without stdio: a formatter for %s %c %d %u %x %p %% with l, ll, z, a width, '-' and '0', that
 * writes through host_write and never allocates. Async-signal-safe; errno is untouched. Anything else that starts with
 * % is printed as it stands.
 */
#ifndef BASE_MESSAGE_H
#define BASE_MESSAGE_H

#include <stdarg.h>

#include "base/compiler.h"

/* A line buffer for reports; flushed when full. fd -1 collects into buf only, NUL-terminated, and drops what does not
 * fit. */
struct out {
	int fd;
	size_t len;
	char buf[1536];
};

void out_init(struct out *o, int fd);
void out_vprintf(struct out *o, const char *fmt, va_list ap);
void out_printf(struct out *o, const char *fmt, ...) printf_like(2, 3);
void out_flush(struct out *o);

/* One line "buddymalloc: …\n" on stderr, in one write; a line of more than 511 bytes is cut and ends in "...". */
void bm_warn(const char *fmt, ...) printf_like(1, 2);
/* The same, then SIGABRT. */
_Noreturn void bm_fatal(const char *fmt, ...) printf_like(1, 2);

/* Warn once per place. */
#define WARN_ONCE(cond, ...)                                                             \
	__extension__({                                                                  \
		static uint8_t warned_;                                                  \
		bool c_ = (cond);                                                        \
		if (unlikely(c_) && !__atomic_exchange_n(&warned_, 1, __ATOMIC_RELAXED)) \
			bm_warn(__VA_ARGS__);                                            \
		c_;                                                                      \
	})

/* Assertions of debug builds: the kernel's VM_BUG_ON. */
#ifdef BM_DEBUG
#define VM_BUG_ON(cond)                                                          \
	do {                                                                     \
		if (unlikely(cond))                                              \
			bm_fatal("BUG: %s at %s:%d", #cond, __FILE__, __LINE__); \
	} while (0)
#else
#define VM_BUG_ON(cond) ((void)sizeof(cond))
#endif

#endif
