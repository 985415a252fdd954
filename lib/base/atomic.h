/* SPDX-License-Identifier: MIT */
/*
 * Atomics under the kernel's names. READ_ONCE and WRITE_ONCE order nothing; the smp_ pair orders what is published.
 */
#ifndef BASE_ATOMIC_H
#define BASE_ATOMIC_H

#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
/*
 * A load that may race, where an old value is as good as the new one and a second load in place of the first does no
 * harm. Unlike READ_ONCE it may become an operand of the comparison that it is for.
 */
#ifndef __has_feature /* clang's way to ask */
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define data_race(x) READ_ONCE(x)
#define ADD_ONCE(x, n) WRITE_ONCE(x, (x) + (n))
#else
#define data_race(x) (x)
#define ADD_ONCE(x, n) ((x) += (n)) /* one instruction, where an aligned word is never torn */
#endif
/* ADD_ONCE is for a word that is changed under its lock only, and read without it. */
#define smp_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define smp_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

/* Relaxed counters; both return the value after. */
#define atomic_add_return(p, v) __atomic_add_fetch((p), (v), __ATOMIC_RELAXED)
#define atomic_sub_return(p, v) __atomic_sub_fetch((p), (v), __ATOMIC_RELAXED)

/* True if *p was old and is now new; acquire and release. */
#define try_cmpxchg(p, old, new)                                                                            \
	__extension__({                                                                                     \
		__typeof__(*(p)) expected_ = (old);                                                         \
		__atomic_compare_exchange_n((p), &expected_, (new), 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); \
	})
#define xchg(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)

#endif
