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
 * fit. With a sink, which out_init leaves out, that gets the text instead. */
struct out {
	int fd;
	void (*sink)(const char *text, size_t len);
	size_t len;
	char buf[1536];
};

void out_init(struct out *o, int fd);
void out_vprintf(struct out *o, const char *fmt, va_list ap);
void out_printf(struct out *o, const char *fmt, ...) printf_like(2, 3);
void out_flush(struct out *o);

/* One line "buddymalloc: …\n" on stderr, in one write; a line of more than 1535 bytes is cut and ends in "...". */
void bm_warn(const char *fmt, ...) printf_like(1, 2);
/* The same, then SIGABRT. */
_Noreturn void bm_fatal(const char *fmt, ...) printf_like(1, 2);
/* A pointer that the program gave is none: either of them or nothing, as the foreign_free tunable wants it. No lock may
 * be held. */
void bm_misuse(const char *fmt, ...) printf_like(1, 2);

/*
 * Lets burst things through in each interval, and counts those that it stops. Any thread, and signal handlers; of two
 * at the same moment one is stopped.
 */
struct ratelimit_state {
	uint32_t interval; /* ms; constant */
	uint32_t burst;	   /* constant, at least 1 */
	uint8_t busy;	   /* who set it may change what follows */
	uint32_t passed;   /* in this interval; 0: none has begun */
	uint64_t begin;	   /* of it */
	uint32_t missed;   /* stopped since *missed was last told; atomic */
};
#define RATELIMIT_STATE_INIT(interval_ms, burst_nr)            \
	{                                                      \
		.interval = (interval_ms), .burst = (burst_nr) \
	}
/* May one more pass, now? *missed: how many were stopped in the intervals before, told once, to the first to pass. */
bool ratelimit(struct ratelimit_state *rs, uint64_t now_ms, unsigned int *missed);

/* Without directories, which are those of the machine that compiled it. */
#ifdef __FILE_NAME__
#define BM_FILE __FILE_NAME__
#else
#define BM_FILE __FILE__
#endif

/* What must not be so, but can be lived with: one line with the place, once for each. The value of cond. */
#define WARN_ON_ONCE(cond) WARN_ONCE(cond, "WARNING: %s at %s:%d %s()", #cond, BM_FILE, __LINE__, __func__)

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
#define VM_BUG_ON(cond)                                                         \
	do {                                                                    \
		if (unlikely(cond))                                             \
			bm_fatal("BUG: %s at %s:%d", #cond, BM_FILE, __LINE__); \
	} while (0)
#else
#define VM_BUG_ON(cond) ((void)sizeof(cond))
#endif

#endif
